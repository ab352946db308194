/*
 * The company of victims in test_crash_doorbell*.c: companions that wait by doorbell, and what is
 * to be found afterwards. No slice helps who waits so, only a ring, or that somebody is gone.
 */
#ifndef COMPANY_H
#define COMPANY_H

#include "death.h"

/* In stage->free. */
enum {
    HUNG,  /* those that have hung at a doorbell, and not found what they wait for */
    SENT,  /* companions that do */
    OTHERS /* of these, those that had hung before the victim did */
};
uint32_t company_hung(void);
/* Companions that hang now. */
void company_send(together_work *work, uint32_t count);
/* 0 or -EOWNERDEAD, which is counted. */
void company_note(int result);

/* What they do, and victims as well. Each is counted in stage->done at its good end. */
together_work use_lock, use_semaphore, await_event, await_condition, meet, read_it, write_it;
/* Says that it waits, and leaves. */
together_work change_its_mind;

/* Whatever the victim had: all of the company come to a good end, and nothing is left. */
void check_lock(void);
void check_robust(void);
void check_notified(void);
void check_met(void);
void check_rwlock(void);

/* Acts that end with these checks. */
#define LOCK(text, ...)                                                                            \
    {.what = "lock, " text, .kind = ISTHMUS_KIND_LOCK, .after = check_lock, __VA_ARGS__}
#define RLOCK(text, ...)                                                                           \
    {.what = "rlock, " text, .kind = ISTHMUS_KIND_RLOCK, .after = check_lock, __VA_ARGS__}
#define ROBUST(text, ...)                                                                          \
    {.what = "robust semaphore, " text,                                                            \
     .kind = ISTHMUS_KIND_SEMAPHORE,                                                               \
     .flags = ISTHMUS_ROBUST,                                                                      \
     .value = 1,                                                                                   \
     .after = check_robust,                                                                        \
     __VA_ARGS__}
#define CONDITION(text, ...)                                                                       \
    {.what = "condition, " text,                                                                   \
     .kind = ISTHMUS_KIND_CONDITION,                                                               \
     .after = check_notified,                                                                      \
     __VA_ARGS__}
#define BARRIER(text, ...)                                                                         \
    {.what = "barrier, " text, .kind = ISTHMUS_KIND_BARRIER, .after = check_met, __VA_ARGS__}
#define RWLOCK(text, ...)                                                                          \
    {.what = "rwlock, " text, .kind = ISTHMUS_KIND_RWLOCK, .after = check_rwlock, __VA_ARGS__}
#define READERS_FIRST(text, ...)                                                                   \
    RWLOCK("readers first, " text, .flags = ISTHMUS_READER_PREFERENCE, __VA_ARGS__)

#endif
