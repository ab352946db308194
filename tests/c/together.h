/*
 * Several at once: what tests of the primitives need to bring threads and processes into
 * the situation that a test is about, and to see that they keep out of each other's way.
 */
#ifndef TOGETHER_H
#define TOGETHER_H

#include "check.h"
#include <isthmus/isthmus.h>
#include <pthread.h>
#include <time.h>

/* Against hanging only: a deadline that no test reaches unless something is lost. */
#define PATIENCE_NS INT64_C(20000000000)
#define SOON() isthmus_deadline_after(PATIENCE_NS)

/* Wait until others have brought it about. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        const uint64_t until_deadline = SOON();                                                    \
        while (!(condition)) {                                                                     \
            check_true(__FILE__, __LINE__, "in time, " #condition,                                 \
                       isthmus_deadline_after(0) < until_deadline);                                \
            together_pause();                                                                      \
        }                                                                                          \
    } while (0)
void together_pause(void);

/* Zeroed memory that children share with the test. */
void *together_memory(size_t size);

/* An anonymous primitive with room for eight, which does not spin; another handle of it. */
#define TOGETHER_PARTICIPANTS 8u
void together_make(struct isthmus_primitive *primitive, uint32_t kind, uint32_t flags,
                   int64_t value);
void together_join(struct isthmus_primitive *primitive, const struct isthmus_primitive *other);

/* How many threads wait in the kernel, or are about to; of kinds without slots, whether any. */
uint32_t together_waiting(const struct isthmus_primitive *primitive);

/*
 * A child with a handle of its own that does `work` and then: stay, until it is killed; send,
 * closes the handle and ends. stay returns when the work is done, send at once.
 */
typedef void together_work(struct isthmus_primitive *own);
pid_t together_stay(const struct isthmus_primitive *primitive, together_work *work);
pid_t together_send(const struct isthmus_primitive *primitive, together_work *work);
/* Kill a child with SIGKILL and reap it. */
void together_kill(pid_t child);

/*
 * What only one at a time may touch. together_alone() fails the test if somebody else is
 * in there at the same time.
 */
struct together_area {
    uint32_t inside;
    uint64_t first, second; /* not atomic: torn and lost updates show */
};
void together_alone(struct together_area *area);

/* Threads, all with the same work; joined by together_end(). */
#define TOGETHER_THREADS_MAX 16
struct together_threads {
    pthread_t threads[TOGETHER_THREADS_MAX];
    unsigned count;
};
void together_begin(struct together_threads *threads, unsigned count, void *(*work)(void *),
                    void *argument);
void together_end(struct together_threads *threads);

/* Relaxed access to words that tests use as flags between threads and processes. */
static inline uint32_t peek(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void poke(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline uint32_t count_up(uint32_t *word)
{
    return __atomic_fetch_add(word, 1, __ATOMIC_ACQ_REL);
}

#endif
