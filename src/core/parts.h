/* Of conditions, barriers and readers-writer locks: what waiting for them by other means needs. */
#ifndef ISTHMUS_PARTS_H
#define ISTHMUS_PARTS_H

#include <isthmus/isthmus.h>

/* Is there a token that the waiter with this ticket may take? */
int isthmus_condition_may_take(const struct isthmus_shared_condition *state, uint64_t ticket);
/* Break the round if one that has arrived in it is dead. Whether anybody was. */
int isthmus_barrier_meet_the_dead(struct isthmus_primitive *barrier);
/* If the writer is dead: open the gate for it. 1: the gate is not, or no longer, closed by it. */
int isthmus_rwlock_replace_dead_writer(struct isthmus_primitive *rwlock);
/* The lock word of a lock, condition or readers-writer lock. */
uint32_t *isthmus_word_of(const struct isthmus_primitive *primitive);

#endif
