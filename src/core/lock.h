/* Locks: the pieces that conditions and the Python binding use. The rest is public. */
#ifndef ISTHMUS_LOCK_H
#define ISTHMUS_LOCK_H

#include <isthmus/isthmus.h>

/* Acquire with a depth that was dropped; results as isthmus_lock_acquire(). */
int isthmus_lock_take(struct isthmus_primitive *lock, uint64_t deadline, uint32_t depth);
/*
 * Acquire a lock of a kind that is known to be one, if it is free or ours, without asking
 * whether the owner lives, which takes a system call. -EBUSY: acquire it the usual way.
 */
int isthmus_lock_glance(struct isthmus_primitive *lock);
/* Release at once, however deep; *depth receives how deep. -EPERM: not held. */
int isthmus_lock_drop(struct isthmus_primitive *lock, int abandoned, uint32_t *depth);

#endif
