/*
 * Waiting for the first of several things: locks, semaphores, events, queues, subscribers.
 *
 * A wait takes nothing: see readiness.h for what ready means.
 */
#ifndef ISTHMUS_WAIT_MANY_H
#define ISTHMUS_WAIT_MANY_H

#include "readiness.h"
#include "wait.h"
#include <stddef.h>

/*
 * How many are ready, marked so; at least one, else -ETIMEDOUT or -EINTR. For any number of
 * things. deadline 0: one look. -EINVAL: a kind that cannot be waited for.
 *
 * Sleeps on the first ISTHMUS_WAIT_MANY_WORDS at once; when there are more, it looks at those
 * every 4 ms. `poll`: do without the kernel's help for more than one word (Linux before 5.16
 * does not have it): sleep for longer and longer, 2 ms at most, between two looks.
 */
#define ISTHMUS_WAIT_MANY_WORDS 128u
int isthmus_wait_many(struct isthmus_waited *things, size_t count, int poll, uint64_t deadline);

#endif
