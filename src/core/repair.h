/*
 * What is done after a participant that died, or left, by whoever notices or joins in its
 * slot. Each of these looks only at what is in memory, may itself be cut off at any step
 * and done again from the start, and is called by one at a time for a slot: by who has
 * seized it, has joined in it, or is about to leave it.
 */
#ifndef ISTHMUS_REPAIR_H
#define ISTHMUS_REPAIR_H

#include <isthmus/isthmus.h>

/*
 * Give back all that `slot` holds: locks as abandoned, its share as free. When the slot
 * is another's, a barrier's guard must be held; for its own, this takes the guard.
 */
void isthmus_repair(struct isthmus_primitive *primitive, uint32_t slot);

/*
 * The same for one that is dead, if it is, by one that has joined; its slot is free afterwards.
 * Takes what locks that needs. 1: it was dead, and is no more; 0: it lives, or somebody else is at
 * it. -ETIMEDOUT, -EINTR.
 */
int isthmus_bury(struct isthmus_primitive *primitive, uint32_t slot, uint64_t deadline);

/*
 * Under the consumer lock: the leases of a slot are ready again, in their places. *ended: how many
 * there were; how many of them are ready, and not set aside or dropped. Its share stays.
 */
uint32_t isthmus_repair_leases(struct isthmus_ring *queue, uint32_t slot, uint32_t *ended);

/* Is the current round, or was the last one, noted as broken? Under the guard. */
int isthmus_round_noted(const struct isthmus_shared_barrier *barrier, uint32_t round);

/* Permits of a robust semaphore are free again: for those that wait. */
void isthmus_repair_permits(const struct isthmus_primitive *primitive, uint32_t permits);

/* End the current round of a barrier, under its guard, as a broken one. */
void isthmus_repair_round(const struct isthmus_primitive *primitive, int stay_broken);

/*
 * Let readers in again. By the writer that owns the word, or for it. `draining`: it goes on
 * waiting for readers to leave, as one that gives them preference.
 */
void isthmus_repair_gate(const struct isthmus_primitive *primitive, int draining);

#endif
