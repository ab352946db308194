/*
 * What one does at any step of another. For each pair of actions and each n, the second one is
 * done, from its start to its end, at the n-th step of the first (the kill points, see
 * killpoint.h; here nobody dies). Both handles are in one process, which makes no difference to
 * the protocols, and the order is the same in each run.
 *
 * The core that this is linked with has waits without slices: one that waits goes on because
 * it was woken, or did not sleep at all, or not before its deadline, which is a failure.
 */
#include "check.h"
#include "fixture.h"
#include "killpoint.h"
#include "together.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_STEPS 300u

static struct isthmus_primitive first, second;
static unsigned steps, act_at;
/* By the thread that takes the steps; anything else is not counted. */
static _Thread_local int counting;
static int (*other)(void); /* 1: done. 0: cannot be done at this step, but at a later one. */

/* Who does the other action: one of the two, once. */
enum {
    NOBODY,
    AT_A_STEP,
    ASLEEP,
    OVER
};
static uint32_t doer;

static int claim(uint32_t as)
{
    uint32_t nobody = NOBODY;
    return __atomic_compare_exchange_n(&doer, &nobody, as, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

void isthmus_kill_point(void)
{
    if (!counting || ++steps < act_at || !claim(AT_A_STEP))
        return;
    counting = 0;
    if (!other())
        poke(&doer, NOBODY);
    counting = 1;
}

/* ---- Wake-ups ---------------------------------------------------------------------------- */

struct wait {
    const char *what;
    uint32_t kind, flags;
    int64_t value;
    void (*prepare)(void);
    void (*wait)(void);
    int (*wake)(void);
};

static void hold_lock(void)
{
    CHECK_OK(isthmus_lock_acquire(&second, 0));
}

static void acquire(void)
{
    CHECK_OK(isthmus_lock_acquire(&first, SOON()));
    CHECK_OK(isthmus_lock_release(&first));
}

static int release(void)
{
    CHECK_OK(isthmus_lock_release(&second));
    return 1;
}

static void take_permit(void)
{
    CHECK_OK(isthmus_semaphore_acquire(&second, 0));
}

static void take(void)
{
    CHECK_OK(isthmus_semaphore_acquire(&first, SOON()));
    CHECK_OK(isthmus_semaphore_release(&first, 1));
}

static int give(void)
{
    CHECK_OK(isthmus_semaphore_release(&second, 1));
    return 1;
}

static void await_event(void)
{
    uint32_t seen = 0;
    CHECK_OK(isthmus_event_wait(&first, SOON(), &seen));
}

static int set(void)
{
    CHECK_OK(isthmus_event_set(&second));
    return 1;
}

/* To have been set is enough for one that has looked before. */
static int pulse(void)
{
    if (steps < 2)
        return 0;
    CHECK_OK(isthmus_event_set(&second));
    CHECK_OK(isthmus_event_clear(&second));
    return 1;
}

static void hold_condition(void)
{
    CHECK_OK(isthmus_lock_acquire(&first, 0));
}

static void await_condition(void)
{
    int notified = 0;
    CHECK_OK(isthmus_condition_wait(&first, &first, SOON(), &notified));
    CHECK_INT(notified, 1);
    CHECK_OK(isthmus_lock_release(&first));
}

static int notify(void)
{
    /* Only when the lock is free, and somebody waits. */
    if (isthmus_lock_acquire(&second, 0))
        return 0;
    const uint32_t waiters = first.slots[first.slot].share;
    CHECK_OK(isthmus_condition_notify(&second, &second, 1));
    CHECK_OK(isthmus_lock_release(&second));
    return waiters != 0;
}

static void meet(void)
{
    CHECK(isthmus_barrier_wait(&first, SOON()) >= 0);
}

static int meet_too(void)
{
    uint32_t round;
    const int index = isthmus_barrier_arrive(&second, 0, &round);
    if (index < 0)
        return 0;
    if (index == 1)
        CHECK_OK(isthmus_barrier_trip(&second, round));
    return 1;
}

static int give_up(void)
{
    /* The guard may be held by the other at this step. */
    if (((struct isthmus_shared_barrier *)(first.shared + 1))->guard & ISTHMUS_WORD_OWNER)
        return 0;
    if (isthmus_barrier_waiting(&second) == 0)
        return 0;
    CHECK_OK(isthmus_barrier_abort(&second));
    return 1;
}

static void meet_in_vain(void)
{
    CHECK_RESULT(isthmus_barrier_wait(&first, SOON()), -ISTHMUS_E_BROKEN);
}

static void write_by_second(void)
{
    CHECK_OK(isthmus_rwlock_acquire_write(&second, 0));
}

static void read_by_second(void)
{
    CHECK_OK(isthmus_rwlock_acquire_read(&second, 0));
}

static void read_it(void)
{
    CHECK_OK(isthmus_rwlock_acquire_read(&first, SOON()));
    CHECK_OK(isthmus_rwlock_release_read(&first));
}

static void write_it(void)
{
    CHECK_OK(isthmus_rwlock_acquire_write(&first, SOON()));
    CHECK_OK(isthmus_rwlock_release_write(&first));
}

static int stop_writing(void)
{
    CHECK_OK(isthmus_rwlock_release_write(&second));
    return 1;
}

static int stop_reading(void)
{
    CHECK_OK(isthmus_rwlock_release_read(&second));
    return 1;
}

static void await_change(void)
{
    CHECK_OK(isthmus_atomic_int_wait_while(&first, 5, SOON()));
}

static int change(void)
{
    isthmus_atomic_int_add(&second, 1);
    return 1;
}

/* Does the main thread sleep? Then it has no step left at which anything could be done. */
static int sleeps(pid_t thread)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    CHECK(fgets(text, sizeof text, file) != NULL);
    fclose(file);
    return strstr(text, ") S ") != NULL;
}

static void *wake_the_sleeper(void *argument)
{
    const pid_t *thread = argument;
    while (peek(&doer) == NOBODY || peek(&doer) == AT_A_STEP) {
        together_pause();
        if (together_waiting(&first) && sleeps(*thread) && claim(ASLEEP))
            CHECK_INT(other(), 1);
    }
    return NULL;
}

/* At how many steps the second action was done before the first one slept. */
static unsigned try_each_step(const struct wait *wait)
{
    pid_t self = getpid(); /* the main thread */
    for (act_at = 1;; act_at++) {
        struct together_threads sleeper;
        CHECK(act_at < MOST_STEPS);
        together_make(&first, wait->kind, wait->flags, wait->value);
        together_join(&second, &first);
        if (wait->prepare)
            wait->prepare();
        steps = 0;
        poke(&doer, NOBODY);
        other = wait->wake;
        const uint64_t limit = isthmus_deadline_after(PATIENCE_NS / 2);
        together_begin(&sleeper, 1, wake_the_sleeper, &self);
        counting = 1;
        wait->wait();
        counting = 0;
        CHECK(isthmus_deadline_after(0) < limit);
        const int asleep = peek(&doer) == ASLEEP;
        poke(&doer, OVER);
        together_end(&sleeper);
        isthmus_primitive_close(&second);
        isthmus_primitive_close(&first);
        if (asleep)
            return act_at - 1;
    }
}

static void one_that_waits_is_woken_whenever_that_happens(void)
{
    static const struct wait waits[] = {
        {"lock", ISTHMUS_KIND_LOCK, 0, 0, hold_lock, acquire, release},
        {"semaphore", ISTHMUS_KIND_SEMAPHORE, 0, 1, take_permit, take, give},
        {"robust semaphore", ISTHMUS_KIND_SEMAPHORE, ISTHMUS_ROBUST, 1, take_permit, take, give},
        {"event, set", ISTHMUS_KIND_EVENT, 0, 0, NULL, await_event, set},
        {"event, set and clear", ISTHMUS_KIND_EVENT, 0, 0, NULL, await_event, pulse},
        {"condition", ISTHMUS_KIND_CONDITION, 0, 0, hold_condition, await_condition, notify},
        {"barrier", ISTHMUS_KIND_BARRIER, 0, 2, NULL, meet, meet_too},
        {"barrier, abort", ISTHMUS_KIND_BARRIER, 0, 2, NULL, meet_in_vain, give_up},
        {"rwlock, reader", ISTHMUS_KIND_RWLOCK, 0, 0, write_by_second, read_it, stop_writing},
        {"rwlock, writer after readers", ISTHMUS_KIND_RWLOCK, 0, 0, read_by_second, write_it,
         stop_reading},
        {"rwlock, writer after writer", ISTHMUS_KIND_RWLOCK, 0, 0, write_by_second, write_it,
         stop_writing},
        {"rwlock, readers first, reader", ISTHMUS_KIND_RWLOCK, ISTHMUS_READER_PREFERENCE, 0,
         write_by_second, read_it, stop_writing},
        {"rwlock, readers first, writer", ISTHMUS_KIND_RWLOCK, ISTHMUS_READER_PREFERENCE, 0,
         read_by_second, write_it, stop_reading},
        {"atomic int", ISTHMUS_KIND_ATOMIC_INT, 0, 5, NULL, await_change, change},
    };
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
        printf("       %-32s %3u steps\n", waits[i].what, try_each_step(&waits[i]));
}

/* ---- Coming and going ---------------------------------------------------------------------- */

static char name[FIXTURE_NAME_SIZE];
static int opened; /* by the second one */

static int open_as(struct isthmus_primitive *primitive)
{
    const struct isthmus_primitive_plan plan = {.kind = ISTHMUS_KIND_LOCK, .participants = 4};
    return isthmus_primitive_open(primitive, name, &plan, NULL, NULL);
}

static void open_first(void)
{
    /* The second one may be in the middle of removing it, and cannot go on. */
    const int error = open_as(&first);
    if (error)
        CHECK_RESULT(error, -ISTHMUS_E_NOT_READY);
}

static void open_both(void)
{
    CHECK_OK(open_as(&first));
    CHECK_OK(open_as(&second));
    opened = 1;
}

static void open_only_second(void)
{
    CHECK_OK(open_as(&second));
    opened = 1;
}

static void close_first(void)
{
    isthmus_primitive_close(&first);
}

static void open_only_first(void)
{
    CHECK_OK(open_as(&first));
}

static int leave(void)
{
    isthmus_primitive_close(&second);
    opened = 0;
    return 1;
}

static int come(void)
{
    const int error = open_as(&second);
    opened = !error;
    /* The first one holds the door, and cannot go on as long as we wait. */
    if (error)
        CHECK_RESULT(error, -ISTHMUS_E_NOT_READY);
    return 1;
}

static int come_and_leave(void)
{
    come();
    return leave();
}

static int remove_name(void)
{
    const int error = isthmus_primitive_unlink(&second);
    CHECK(error == 0 || error == -ENOENT || error == -ISTHMUS_E_REPLACED);
    return 1;
}

static uint64_t inode(const struct isthmus_primitive *primitive)
{
    struct stat found;
    CHECK_INT(fstat(primitive->fd, &found), 0);
    return found.st_nlink ? (uint64_t)found.st_ino : 0;
}

/* All that have a name have the same one's object, and it goes with the last of them. */
static void check_one_object(void)
{
    struct isthmus_primitive third;
    CHECK_OK(open_as(&third));
    const uint64_t named = inode(&third);
    CHECK(named != 0);
    if (first.shared && other != remove_name)
        CHECK_UINT(inode(&first), named);
    if (opened && other != remove_name)
        CHECK_UINT(inode(&second), named);
    /* One that has come in has not been left with an object that nobody finds. */
    isthmus_primitive_close(&first);
    if (opened)
        isthmus_primitive_close(&second);
    isthmus_primitive_close(&third);
    CHECK_UINT(fixture_count(FIXTURE_SHM, name), 0);
}

static void who_comes_at_any_step_of_one_that_comes_or_goes_meets_it_or_starts_anew(void)
{
    static const struct {
        const char *what;
        void (*prepare)(void);
        void (*run)(void);
        int (*other)(void);
    } pairs[] = {
        {"open, the only other one leaves", open_only_second, open_first, leave},
        {"open, another comes", NULL, open_first, come},
        {"open, another comes and leaves", NULL, open_first, come_and_leave},
        {"open, another removes the name", open_only_second, open_first, remove_name},
        {"leave, the only other one does too", open_both, close_first, leave},
        {"leave as the last, another comes", open_only_first, close_first, come},
        {"leave as the last, another comes, leaves", open_only_first, close_first, come_and_leave},
        {"leave, another removes the name", open_both, close_first, remove_name},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        other = pairs[i].other;
        for (act_at = 1;; act_at++) {
            CHECK(act_at < MOST_STEPS);
            fixture_name(name);
            opened = 0;
            first.shared = second.shared = NULL;
            if (pairs[i].prepare)
                pairs[i].prepare();
            steps = 0;
            poke(&doer, NOBODY);
            counting = 1;
            pairs[i].run();
            counting = 0;
            const int through = claim(OVER);
            check_one_object();
            if (through)
                break;
        }
        printf("       %-42s %3u steps\n", pairs[i].what, act_at - 1);
    }
}

static const struct check_test tests[] = {
    CHECK_TEST(one_that_waits_is_woken_whenever_that_happens),
    CHECK_TEST(who_comes_at_any_step_of_one_that_comes_or_goes_meets_it_or_starts_anew),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
