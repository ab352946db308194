/*
 * Every atomic operation of the core goes through this header, so that a test
 * build can put something else in its place. Both sides of an ordering carry the
 * same label at the place of use: "sync: NAME".
 */
#ifndef ISTHMUS_ATOMIC_H
#define ISTHMUS_ATOMIC_H

#include <stdint.h>

/* What was written before the store is visible to whoever sees the stored value by an acquire. */
static inline void isthmus_store_release_u64(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline uint64_t isthmus_load_acquire_u64(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* Take a value away so that exactly one caller gets it. Relaxed: nothing else is passed by it. */
static inline int isthmus_exchange_int(int *word, int value)
{
    return __atomic_exchange_n(word, value, __ATOMIC_RELAXED);
}

#endif
