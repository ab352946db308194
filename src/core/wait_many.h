/*
 * Waiting for the first of several things: locks, semaphores, events, queues, subscribers,
 * and words of this process's own.
 *
 * What is ready stays so only as long as nobody else takes it; a wait takes nothing. Each
 * thing is ready when the operation that takes from it would not have to wait: also when it
 * would take over from one that died.
 */
#ifndef ISTHMUS_WAIT_MANY_H
#define ISTHMUS_WAIT_MANY_H

#include <isthmus/isthmus.h>
#include <stddef.h>

/* One of the things. The caller fills in `primitive`, or `word` and `seen`; the rest is zero. */
struct isthmus_waited {
    struct isthmus_primitive *primitive; /* of a queue or subscriber: that of its struct
                                            isthmus_ring. NULL: a word of the caller's */
    int ready;                           /* 1: ready; 0: not; less: -errno */
    uint32_t seen;  /* of a word: ready when it is another; of an event: at the first look */
    uint32_t *word; /* where to sleep … */
    uint32_t armed; /* … as it was at the last look, with the bit that says that we sleep */
    int listed;     /* as waiting, for people */
    /* Of a queue or subscriber: as it was when nothing was there; whether that is known. */
    uint64_t seen_tail;
    uint32_t seen_returned, seen_closed;
    int looked;
};

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

/* Make a word of the caller's another, and wake who waits for that. */
void isthmus_wait_ring(uint32_t *word);

#endif
