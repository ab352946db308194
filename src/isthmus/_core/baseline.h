/*
 * The floor under a benchmark: two processes that do in C, with the same means of the kernel and
 * nothing around them, what the contenders do. Every wait ends by itself: at the other's
 * death (the end of a pipe), or when PATIENCE is over (words in memory, which tell of no death).
 * Results are a count or -errno.
 */
#ifndef ISTHMUS_BASELINE_H
#define ISTHMUS_BASELINE_H

#include "atomic.h"
#include "os.h"
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define ISTHMUS_BASELINE_PATIENCE 5000000000u /* ns */
#define ISTHMUS_BASELINE_LINE 128u            /* off the neighbour that is fetched with it, too */

/* The start of the shared area; what travels follows. Zero at first. */
struct isthmus_baseline {
    _Alignas(128) uint32_t there; /* futexes: the number of the message, by its sender */
    _Alignas(128) uint32_t back;
    _Alignas(128) uint64_t sent; /* counts of a stream */
    _Alignas(128) uint64_t taken;
    _Alignas(128) uint32_t over; /* nothing comes after what has been sent */
};

/* What a stream came to, as its receiver saw it. */
struct isthmus_baseline_stream {
    uint64_t messages;    /* all */
    uint64_t measured;    /* those after the warm-up */
    uint64_t nanoseconds; /* for these */
};

/* Of one that ended with its warm-up, everything was measured. */
static inline struct isthmus_baseline_stream
isthmus_baseline_seen(uint64_t number, uint64_t first, uint64_t start, uint64_t begin, uint64_t end)
{
    struct isthmus_baseline_stream stream = {number, number - first, end - begin};
    if (first == number) {
        stream.measured = number;
        stream.nanoseconds = end - start;
    }
    return stream;
}

static inline size_t isthmus_baseline_rounded(size_t size)
{
    return (size + ISTHMUS_BASELINE_LINE - 1) / ISTHMUS_BASELINE_LINE * ISTHMUS_BASELINE_LINE;
}

/* How many messages pass between two looks at the clock: it costs as much as a small one. */
static inline uint64_t isthmus_baseline_every(size_t size)
{
    return size < 4096 ? 16 : 1;
}

/* The least time between two readings of the clock: part of every trip that is measured. */
static inline uint64_t isthmus_baseline_clock(void)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 1000; i++) {
        uint64_t before = isthmus_os_monotonic_ns();
        uint64_t spent = isthmus_os_monotonic_ns() - before;
        least = spent < least ? spent : least;
    }
    return least;
}

/* SIGKILL when `parent` dies; -ESRCH if it has. */
static inline int isthmus_baseline_die_with(int64_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -errno;
    return getppid() == (pid_t)parent ? 0 : -ESRCH;
}

/* As the trips of isthmus.bench: a busy machine gets a little longer for the least number. */
static inline int isthmus_baseline_enough(uint64_t spent, uint64_t nanoseconds, size_t count,
                                          size_t room)
{
    return count == room ||
           (spent >= nanoseconds && (count >= 100 || spent >= nanoseconds + 50000000u));
}

/* ---- Two that answer each other, over two words --------------------------------------- */

/* sync: baseline word, with the release of the other side's payload. */
static inline int isthmus_baseline_await(const uint32_t *word, uint32_t value, int asleep)
{
    uint64_t deadline = isthmus_os_monotonic_ns() + ISTHMUS_BASELINE_PATIENCE;
    for (uint32_t looks = 1;; looks++) {
        uint32_t seen = isthmus_load_acquire_u32(word);
        if (seen == value)
            return 0;
        if (asleep) {
            int result = isthmus_os_futex_wait(word, seen, deadline);
            if (result == -ETIMEDOUT)
                return result;
        } else if (looks % 65536 == 0 && isthmus_os_monotonic_ns() > deadline) {
            return -ETIMEDOUT;
        }
    }
}

static inline void isthmus_baseline_tell(uint32_t *word, uint32_t value, int asleep)
{
    isthmus_store_release_u32(word, value); /* sync: baseline word */
    if (asleep)
        isthmus_os_futex_wake(word, 1);
}

/* Trips of `size` bytes for so long; their times. The last one has `over` set. */
static inline int64_t isthmus_baseline_ping(struct isthmus_baseline *area, size_t size, int asleep,
                                            uint64_t nanoseconds, int64_t *times, size_t room)
{
    unsigned char *there = (unsigned char *)(area + 1);
    unsigned char *back = there + isthmus_baseline_rounded(size);
    unsigned char *message = malloc(2 * size);
    size_t count = 0;
    int result = message ? 0 : -ENOMEM;
    if (message)
        memset(message, 1, 2 * size);
    uint64_t clock = isthmus_baseline_clock(), begin = isthmus_os_monotonic_ns(), end = begin;
    for (uint32_t number = 1; result == 0 && !area->over; number++) {
        if (isthmus_baseline_enough(end - begin, nanoseconds, count, room))
            area->over = 1; /* seen by who sees the number of this message */
        message[0] = message[size - 1] = (unsigned char)number;
        uint64_t before = isthmus_os_monotonic_ns();
        memcpy(there, message, size);
        isthmus_baseline_tell(&area->there, number, asleep);
        result = isthmus_baseline_await(&area->back, number, asleep);
        memcpy(message + size, back, size);
        end = isthmus_os_monotonic_ns();
        if (count < room)
            times[count++] = (int64_t)(end - before > clock ? end - before - clock : 0);
        if (result == 0 && (message[size] != message[0] || message[2 * size - 1] != message[0]))
            result = -EBADMSG;
    }
    free(message);
    return result < 0 ? result : (int64_t)count;
}

static inline int isthmus_baseline_pong(struct isthmus_baseline *area, size_t size, int asleep)
{
    unsigned char *there = (unsigned char *)(area + 1);
    unsigned char *back = there + isthmus_baseline_rounded(size);
    unsigned char *message = malloc(size);
    int result = message ? 0 : -ENOMEM, over = 0;
    for (uint32_t number = 1; result == 0 && !over; number++) {
        result = isthmus_baseline_await(&area->there, number, asleep);
        over = (int)area->over;
        memcpy(message, there, size);
        memcpy(back, message, size);
        isthmus_baseline_tell(&area->back, number, asleep);
    }
    free(message);
    return result;
}

/* ---- A stream through `slots` places in memory ----------------------------------------- */

/* Until `*count` is no longer `value`: it, or `value` itself when that will not come. */
static inline int64_t isthmus_baseline_beyond(const struct isthmus_baseline *area,
                                              const uint64_t *count, uint64_t value)
{
    uint64_t deadline = isthmus_os_monotonic_ns() + ISTHMUS_BASELINE_PATIENCE;
    for (uint32_t looks = 1;; looks++) {
        /* sync: baseline over. First: what was sent before it is then seen below. */
        uint32_t over = isthmus_load_acquire_u32(&area->over);
        uint64_t seen = isthmus_load_acquire_u64(count); /* sync: baseline count */
        if (seen != value || over)
            return (int64_t)seen;
        if (looks % 65536 == 0 && isthmus_os_monotonic_ns() > deadline)
            return -ETIMEDOUT;
    }
}

/* Have the pages of the slots before the clock runs. The sender writes: nothing is there yet. */
static inline void isthmus_baseline_touch(unsigned char *data, size_t size)
{
    for (size_t at = 0; at < size; at += 4096)
        *(volatile unsigned char *)(data + at) = 0;
}

/* The same for who reads: its own page table lacks what other processes have had. */
static inline void isthmus_baseline_look(const unsigned char *data, size_t size)
{
    for (size_t at = 0; at < size; at += 4096)
        (void)*(const volatile unsigned char *)(data + at);
}

static inline int64_t isthmus_baseline_put(struct isthmus_baseline *area, size_t size,
                                           uint64_t slots, uint64_t nanoseconds)
{
    unsigned char *message = malloc(size), *data = (unsigned char *)(area + 1);
    uint64_t number = 0;
    int64_t taken = message ? 0 : -ENOMEM;
    if (message)
        memset(message, 1, size);
    isthmus_baseline_touch(data, (size_t)slots * size);
    uint64_t end = isthmus_os_monotonic_ns() + nanoseconds;
    while (taken >= 0 && (number == 0 || number % isthmus_baseline_every(size) ||
                          isthmus_os_monotonic_ns() < end)) {
        if (number - (uint64_t)taken == slots) {
            taken = isthmus_baseline_beyond(area, &area->taken, (uint64_t)taken);
            continue;
        }
        message[0] = (unsigned char)number;
        memcpy(data + number % slots * size, message, size);
        isthmus_store_release_u64(&area->sent, ++number); /* sync: baseline count */
    }
    isthmus_store_release_u32(&area->over, 1); /* sync: baseline over */
    free(message);
    return taken < 0 ? taken : (int64_t)number;
}

static inline int isthmus_baseline_get(struct isthmus_baseline *area, size_t size, uint64_t slots,
                                       uint64_t warm_up, struct isthmus_baseline_stream *stream)
{
    unsigned char *message = malloc(size), *data = (unsigned char *)(area + 1);
    uint64_t number = 0, first = 0;
    int64_t sent = message ? 0 : -ENOMEM;
    if (message)
        memset(message, 0, size);
    isthmus_baseline_look(data, (size_t)slots * size);
    uint64_t start = isthmus_os_monotonic_ns(), begin = start, warm = start + warm_up;
    while (sent >= 0) {
        if (number == (uint64_t)sent) {
            sent = isthmus_baseline_beyond(area, &area->sent, number);
            if (number == (uint64_t)sent)
                break;
            continue;
        }
        memcpy(message, data + number % slots * size, size);
        if (message[0] != (unsigned char)number)
            sent = -EBADMSG;
        isthmus_store_release_u64(&area->taken, ++number); /* sync: baseline count */
        if (first == 0 && number % isthmus_baseline_every(size) == 0 &&
            isthmus_os_monotonic_ns() > warm) {
            begin = isthmus_os_monotonic_ns();
            first = number;
        }
    }
    *stream = isthmus_baseline_seen(number, first, start, begin, isthmus_os_monotonic_ns());
    free(message);
    return sent < 0 ? (int)sent : 0;
}

/* ---- The same over descriptors: pipes, sockets ------------------------------------------ */

static inline int isthmus_baseline_write(int fd, const unsigned char *message, size_t size)
{
    while (size > 0) {
        ssize_t done = write(fd, message, size);
        if (done < 0 && errno != EINTR)
            return -errno;
        message += done > 0 ? done : 0;
        size -= done > 0 ? (size_t)done : 0;
    }
    return 0;
}

/* 1: a message; 0: the end, between two of them. */
static inline int isthmus_baseline_read(int fd, unsigned char *message, size_t size)
{
    for (size_t got = 0; got < size;) {
        ssize_t done = read(fd, message + got, size - got);
        if (done == 0)
            return got == 0 ? 0 : -EPIPE;
        if (done < 0 && errno != EINTR)
            return -errno;
        got += done > 0 ? (size_t)done : 0;
    }
    return 1;
}

/* Trips over descriptors; the other side is told of the end by the end of `out`. */
static inline int64_t isthmus_baseline_ping_fd(int out, int in, size_t size, uint64_t nanoseconds,
                                               int64_t *times, size_t room)
{
    unsigned char *message = malloc(2 * size);
    size_t count = 0;
    int result = message ? 0 : -ENOMEM;
    if (message)
        memset(message, 1, 2 * size);
    uint64_t clock = isthmus_baseline_clock(), begin = isthmus_os_monotonic_ns(), end = begin;
    while (result == 0 && !isthmus_baseline_enough(end - begin, nanoseconds, count, room)) {
        message[0] = message[size - 1] = (unsigned char)count;
        uint64_t before = isthmus_os_monotonic_ns();
        result = isthmus_baseline_write(out, message, size);
        if (result == 0)
            result = isthmus_baseline_read(in, message + size, size);
        end = isthmus_os_monotonic_ns();
        times[count++] = (int64_t)(end - before > clock ? end - before - clock : 0);
        if (result == 0)
            result = -EPIPE;
        else if (result == 1)
            result = memcmp(message, message + size, size) ? -EBADMSG : 0;
    }
    free(message);
    return result < 0 ? result : (int64_t)count;
}

static inline int isthmus_baseline_pong_fd(int in, int out, size_t size)
{
    unsigned char *message = malloc(size);
    int result = message ? 1 : -ENOMEM;
    while (result == 1) {
        result = isthmus_baseline_read(in, message, size);
        if (result == 1) {
            result = isthmus_baseline_write(out, message, size);
            result = result < 0 ? result : 1;
        }
    }
    free(message);
    return result;
}

static inline int64_t isthmus_baseline_put_fd(int fd, size_t size, uint64_t nanoseconds)
{
    unsigned char *message = malloc(size);
    uint64_t number = 0;
    int result = message ? 0 : -ENOMEM;
    if (message)
        memset(message, 1, size);
    uint64_t end = isthmus_os_monotonic_ns() + nanoseconds;
    while (result == 0 && (number == 0 || number % isthmus_baseline_every(size) ||
                           isthmus_os_monotonic_ns() < end)) {
        message[0] = (unsigned char)number++;
        result = isthmus_baseline_write(fd, message, size);
    }
    free(message);
    return result < 0 ? result : (int64_t)number;
}

static inline int isthmus_baseline_get_fd(int fd, size_t size, uint64_t warm_up,
                                          struct isthmus_baseline_stream *stream)
{
    unsigned char *message = malloc(size);
    int result = message ? 1 : -ENOMEM;
    if (message)
        memset(message, 0, size);
    uint64_t number = 0, first = 0, start = isthmus_os_monotonic_ns();
    uint64_t begin = start, warm = start + warm_up;
    while (result == 1) {
        result = isthmus_baseline_read(fd, message, size);
        if (result != 1)
            break;
        if (message[0] != (unsigned char)number)
            result = -EBADMSG;
        number++;
        if (first == 0 && number % isthmus_baseline_every(size) == 0 &&
            isthmus_os_monotonic_ns() > warm) {
            begin = isthmus_os_monotonic_ns();
            first = number;
        }
    }
    *stream = isthmus_baseline_seen(number, first, start, begin, isthmus_os_monotonic_ns());
    free(message);
    return result;
}

#endif
