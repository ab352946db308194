/*
 * Who takes part in a primitive and who of them is alive.
 *
 * A handle takes a slot by locking the slot's byte of the file through an open file
 * description of its own. The kernel takes the lock away when the process dies, at
 * whatever instruction and in whatever pid namespace, zombie or not; so the lock tells
 * the living from the dead, and the slot's record tells people who it is.
 */
#ifndef ISTHMUS_PARTICIPANT_H
#define ISTHMUS_PARTICIPANT_H

#include <isthmus/isthmus.h>

/* The state of a primitive follows it, whichever struct of layout.h it is. */
static inline void *isthmus_state(const struct isthmus_primitive *primitive)
{
    return primitive->shared + 1;
}

/* The own record. Only for one that has joined. */
static inline struct isthmus_shared_participant *
isthmus_own(const struct isthmus_primitive *primitive)
{
    return &primitive->slots[primitive->slot];
}

/* Slots that were ever taken, checked against how many there are. */
uint32_t isthmus_participants_used(const struct isthmus_primitive *primitive);

/* Take a slot and put in order what its last user left. -ISTHMUS_E_FULL, -errno. */
int isthmus_participant_join(struct isthmus_primitive *primitive);
/* Give back all that this participant holds, and its slot. */
void isthmus_participant_leave(struct isthmus_primitive *primitive);

/*
 * Step into the place of a dead participant: from 0 to isthmus_participant_release() no
 * other process can join as `slot` or repair after it, nor another thread of this one.
 * -EAGAIN: it lives, or somebody else is at it.
 */
int isthmus_participant_seize(struct isthmus_primitive *primitive, uint32_t slot);
void isthmus_participant_release(struct isthmus_primitive *primitive, uint32_t slot);

/* Does this participant, or anybody in its place, live? */
int isthmus_participant_lives(const struct isthmus_primitive *primitive, uint32_t slot);

/* The sum of all shares: permits, readers, threads in a condition. */
uint64_t isthmus_participants_shares(const struct isthmus_primitive *primitive);

/*
 * Repair after all dead participants that have a share, unless that was done a moment
 * ago: so any number of waiters may call this at the end of every slice. A barrier's
 * guard must be held. 1: somebody was dead.
 */
int isthmus_participants_sweep(struct isthmus_primitive *primitive);

#endif
