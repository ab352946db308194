/*
 * Every atomic operation of the core goes through this header, so that a test
 * build can put something else in its place: with kill points, a process can die
 * before any of them, and after any that changes memory. Both sides of an ordering
 * carry the same label at the place of use: "sync: NAME".
 *
 * Operations without an order in their name are sequentially consistent: these
 * protocols are full of "I say that I am here, then look whether you are there",
 * which needs it on both sides, and on the hot paths it costs nothing more than an
 * acquire or release would, since they are read-modify-writes.
 */
#ifndef ISTHMUS_ATOMIC_H
#define ISTHMUS_ATOMIC_H

#include "killpoint.h"
#include <stdint.h>

/* What was written before the store is visible to whoever sees the stored value by an acquire. */
static inline void isthmus_store_release_u64(uint64_t *word, uint64_t value)
{
    ISTHMUS_KILL_POINT();
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    ISTHMUS_KILL_POINT();
}

static inline uint64_t isthmus_load_acquire_u64(const uint64_t *word)
{
    ISTHMUS_KILL_POINT();
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void isthmus_store_release_u32(uint32_t *word, uint32_t value)
{
    ISTHMUS_KILL_POINT();
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    ISTHMUS_KILL_POINT();
}

/*
 * Around bytes that are copied while another process may write over them, which a cursor tells
 * afterwards. before: what is written after it is not seen before the stores above it.
 * after: what was read above it was read before the loads below it.
 */
static inline void isthmus_fence_before_overwriting(void)
{
#ifndef __SANITIZE_THREAD__ /* which knows no fences, and is not shown those copies */
    __atomic_thread_fence(__ATOMIC_RELEASE);
#endif
}

static inline void isthmus_fence_after_copying(void)
{
#ifndef __SANITIZE_THREAD__
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
#endif
}

static inline uint32_t isthmus_load_acquire_u32(const uint32_t *word)
{
    ISTHMUS_KILL_POINT();
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* Take a value away so that exactly one caller gets it. Relaxed: nothing else is passed by it. */
static inline int isthmus_exchange_int(int *word, int value)
{
    return __atomic_exchange_n(word, value, __ATOMIC_RELAXED);
}

/* ---- In the memory of this process only: no step of a protocol ------------------------- */

static inline uint32_t isthmus_local_load_u32(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void isthmus_local_store_u32(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* Bits that several threads set and clear, each its own. */
static inline void isthmus_local_or_u32(uint32_t *word, uint32_t bits)
{
    __atomic_fetch_or(word, bits, __ATOMIC_RELAXED);
}

static inline void isthmus_local_and_u32(uint32_t *word, uint32_t bits)
{
    __atomic_fetch_and(word, bits, __ATOMIC_RELAXED);
}

/* 1: this thread alone has it now. Acquire and release: what the last one did is seen. */
static inline int isthmus_local_claim(int *flag)
{
    return !__atomic_exchange_n(flag, 1, __ATOMIC_ACQUIRE);
}

static inline void isthmus_local_yield(int *flag)
{
    __atomic_store_n(flag, 0, __ATOMIC_RELEASE);
}

/* ---- Notes for people, and words that another operation orders: no order of their own -- */

static inline uint16_t isthmus_peek_u16(const uint16_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void isthmus_note_u16(uint16_t *word, uint16_t value)
{
    ISTHMUS_KILL_POINT();
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
    ISTHMUS_KILL_POINT();
}

static inline uint32_t isthmus_peek_u32(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint64_t isthmus_peek_u64(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void isthmus_note_u32(uint32_t *word, uint32_t value)
{
    ISTHMUS_KILL_POINT();
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
    ISTHMUS_KILL_POINT();
}

static inline void isthmus_note_u64(uint64_t *word, uint64_t value)
{
    ISTHMUS_KILL_POINT();
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
    ISTHMUS_KILL_POINT();
}

/* ---- 32 bits: futex words, shares ------------------------------------------------------ */

static inline uint32_t isthmus_load_u32(const uint32_t *word)
{
    ISTHMUS_KILL_POINT();
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline void isthmus_store_u32(uint32_t *word, uint32_t value)
{
    ISTHMUS_KILL_POINT();
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
    ISTHMUS_KILL_POINT();
}

static inline uint32_t isthmus_exchange_u32(uint32_t *word, uint32_t value)
{
    ISTHMUS_KILL_POINT();
    uint32_t before = __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
    ISTHMUS_KILL_POINT();
    return before;
}

static inline uint32_t isthmus_add_u32(uint32_t *word, uint32_t value)
{
    ISTHMUS_KILL_POINT();
    uint32_t before = __atomic_fetch_add(word, value, __ATOMIC_SEQ_CST);
    ISTHMUS_KILL_POINT();
    return before;
}

static inline uint32_t isthmus_and_u32(uint32_t *word, uint32_t value)
{
    ISTHMUS_KILL_POINT();
    uint32_t before = __atomic_fetch_and(word, value, __ATOMIC_SEQ_CST);
    ISTHMUS_KILL_POINT();
    return before;
}

static inline uint32_t isthmus_or_u32(uint32_t *word, uint32_t value)
{
    ISTHMUS_KILL_POINT();
    uint32_t before = __atomic_fetch_or(word, value, __ATOMIC_SEQ_CST);
    ISTHMUS_KILL_POINT();
    return before;
}

/* 1: it was *expected and is `value` now. 0: it was another, which *expected receives. */
static inline int isthmus_swap_u32(uint32_t *word, uint32_t *expected, uint32_t value)
{
    ISTHMUS_KILL_POINT();
    int swapped =
        __atomic_compare_exchange_n(word, expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    ISTHMUS_KILL_POINT();
    return swapped;
}

/* ---- 64 bits --------------------------------------------------------------------------- */

static inline uint64_t isthmus_load_u64(const uint64_t *word)
{
    ISTHMUS_KILL_POINT();
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline void isthmus_store_u64(uint64_t *word, uint64_t value)
{
    ISTHMUS_KILL_POINT();
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
    ISTHMUS_KILL_POINT();
}

static inline uint64_t isthmus_exchange_u64(uint64_t *word, uint64_t value)
{
    ISTHMUS_KILL_POINT();
    uint64_t before = __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
    ISTHMUS_KILL_POINT();
    return before;
}

static inline uint64_t isthmus_add_u64(uint64_t *word, uint64_t value)
{
    ISTHMUS_KILL_POINT();
    uint64_t before = __atomic_fetch_add(word, value, __ATOMIC_SEQ_CST);
    ISTHMUS_KILL_POINT();
    return before;
}

static inline uint64_t isthmus_and_u64(uint64_t *word, uint64_t value)
{
    ISTHMUS_KILL_POINT();
    uint64_t before = __atomic_fetch_and(word, value, __ATOMIC_SEQ_CST);
    ISTHMUS_KILL_POINT();
    return before;
}

static inline uint64_t isthmus_or_u64(uint64_t *word, uint64_t value)
{
    ISTHMUS_KILL_POINT();
    uint64_t before = __atomic_fetch_or(word, value, __ATOMIC_SEQ_CST);
    ISTHMUS_KILL_POINT();
    return before;
}

static inline uint64_t isthmus_xor_u64(uint64_t *word, uint64_t value)
{
    ISTHMUS_KILL_POINT();
    uint64_t before = __atomic_fetch_xor(word, value, __ATOMIC_SEQ_CST);
    ISTHMUS_KILL_POINT();
    return before;
}

static inline int isthmus_swap_u64(uint64_t *word, uint64_t *expected, uint64_t value)
{
    ISTHMUS_KILL_POINT();
    int swapped =
        __atomic_compare_exchange_n(word, expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    ISTHMUS_KILL_POINT();
    return swapped;
}

/* ---- In a loop that spins -------------------------------------------------------------- */

static inline void isthmus_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ __volatile__("yield");
#endif
}

#endif
