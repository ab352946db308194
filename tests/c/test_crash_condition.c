/* Death at every step of conditions, with their own lock and with another. See death.h. */
#include "check.h"
#include "death.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

/* With ISTHMUS_EXTERNAL_LOCK, the worker's handle of the lock and the victim's. */
static struct isthmus_primitive own_lock, my_lock;
static pid_t dead_waiter;

static struct isthmus_shared_condition *state(void)
{
    return (struct isthmus_shared_condition *)(own.shared + 1);
}

static int external(void)
{
    return (act->flags & ISTHMUS_EXTERNAL_LOCK) != 0;
}

/* The lock that goes with a handle of the condition. */
static struct isthmus_primitive *lock_of(struct isthmus_primitive *condition)
{
    return !external() ? condition : condition == &own ? &own_lock : &my_lock;
}

static void acquire(struct isthmus_primitive *condition)
{
    int result = isthmus_lock_acquire(lock_of(condition), SOON());
    CHECK(result == 0 || result == -EOWNERDEAD);
    if (result)
        count_up(&stage->reports);
}

static void release(struct isthmus_primitive *condition)
{
    CHECK_OK(isthmus_lock_release(lock_of(condition)));
}

static void notify_with(struct isthmus_primitive *condition, uint32_t count)
{
    CHECK_OK(isthmus_condition_notify(condition, lock_of(condition), count));
}

/* Until notified; the lock is held afterwards, and nobody else may be inside. */
static void wait_with(struct isthmus_primitive *condition)
{
    int notified;
    do {
        int result = isthmus_condition_wait(condition, lock_of(condition), SOON(), &notified);
        CHECK(result == 0 || result == -EOWNERDEAD);
        /* One that is told of a death comes back with the lock, notified or not. */
        if (result)
            count_up(&stage->reports);
        together_alone(&stage->area);
    } while (!notified);
}

/* Threads in a wait, alive or dead. */
static uint32_t in_there(void)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < own.count; i++)
        sum += peek(&own.slots[i].share);
    return sum;
}

/* ---- Victims ---------------------------------------------------------------------------- */

static void open_lock(void)
{
    if (external())
        together_join(&my_lock, &own_lock);
}

static void hold(void)
{
    open_lock();
    acquire(&mine);
}

static void wait_for_it(void)
{
    wait_with(&mine);
}

static void wait_in_vain(void)
{
    int notified = 1;
    CHECK_RESULT(
        isthmus_condition_wait(&mine, lock_of(&mine), isthmus_deadline_after(10000000), &notified),
        -ETIMEDOUT);
    CHECK_INT(notified, 0);
}

static struct isthmus_condition_waiter waiter;

static void hold_and_enter(void)
{
    hold();
    CHECK_OK(isthmus_condition_enter(&mine, lock_of(&mine), &waiter));
}

static void close_it(void)
{
    isthmus_primitive_close(&mine);
}

static void notify_one(void)
{
    notify_with(&mine, 1);
}

static void notify_all(void)
{
    notify_with(&mine, UINT32_MAX);
}

static void notify_and_release(void)
{
    notify_with(&mine, 1);
    release(&mine);
}

static void acquire_notify_and_release(void)
{
    acquire(&mine);
    notify_and_release();
}

static void acquire_and_notify_as_second(void)
{
    int result;
    /* Without sleeping: the steps of taking over while waiting are those of a lock. */
    do
        result = isthmus_lock_acquire(&mine, 0);
    while (result == -ETIMEDOUT);
    CHECK(result == 0 || result == -EOWNERDEAD);
    if (result)
        count_up(&stage->reports);
    together_alone(&stage->area);
    notify_one();
    release(&mine);
}

/* ---- Others ------------------------------------------------------------------------------ */

static void make_lock(void)
{
    if (external())
        together_make(&own_lock, ISTHMUS_KIND_RLOCK, 0, 0);
}

static void be_notified(struct isthmus_primitive *condition)
{
    /* In this process, `mine` is the companion's. */
    mine = *condition;
    hold();
    wait_with(&mine);
    count_up(&stage->done);
    release(&mine);
    if (external())
        isthmus_primitive_close(&my_lock);
    *condition = mine;
}

static void one_waits(void)
{
    make_lock();
    death_companion(be_notified);
    UNTIL(in_there() == 1);
}

static void two_wait(void)
{
    one_waits();
    death_companion(be_notified);
    UNTIL(in_there() == 2);
}

static void enter_and_stay(struct isthmus_primitive *condition)
{
    mine = *condition;
    hold_and_enter();
}

/* One waits and dies notified: its token is still there. Then another waits. */
static void one_died_notified_and_one_waits(void)
{
    make_lock();
    dead_waiter = together_stay(&own, enter_and_stay);
    acquire(&own);
    notify_with(&own, 1);
    release(&own);
    together_kill(dead_waiter);
    death_companion(be_notified);
    UNTIL(in_there() == 2);
}

/* Victims that wait sleep first, then the companion; one of them is notified. */
static void notify_when_both_sleep(void)
{
    UNTIL_GONE_OR(in_there() == 1 && together_waiting(&own) == 1);
    death_companion(be_notified);
    UNTIL_GONE_OR(together_waiting(&own) == 2);
    /* In any case the companion is there when it is notified. */
    UNTIL(in_there() >= 1 + (uint32_t)(peek(&own.slots[stage->slot].share) != 0));
    acquire(&own);
    notify_with(&own, 1);
    release(&own);
}

static void notify_all_when_both_sleep(void)
{
    UNTIL_PASSED(45);
    death_companion(be_notified);
    UNTIL_PASSED(60);
    UNTIL(in_there() >= 1 + (uint32_t)(peek(&own.slots[stage->slot].share) != 0));
    acquire(&own);
    notify_with(&own, UINT32_MAX);
    release(&own);
}

/* ---- Afterwards ---------------------------------------------------------------------------- */

/*
 * Whoever waits gets the notification that is there, without help; and gets another when
 * that was not given, or was taken by one that died with the lock, as its next owner was told.
 */
static void check_notified(uint32_t waiters, int was_held)
{
    acquire(&own);
    const uint32_t missing = waiters - peek(&stage->done);
    /* Tokens from before they came are not for them. */
    if (missing > (state()->limit == state()->tickets ? state()->tokens : 0)) {
        /* Told to this owner or one before it. */
        if (was_held)
            CHECK(peek(&stage->reports) > 0);
        notify_with(&own, missing);
    }
    release(&own);
    UNTIL(peek(&stage->done) == waiters);
    death_join_companions();
}

static void check_whole(void)
{
    struct isthmus_primitive fresh;
    /* The dead may still have shares, until somebody sweeps. */
    const uint32_t dead = in_there();
    stage->done = 0;
    death_companion(be_notified);
    UNTIL(in_there() == dead + 1);
    acquire(&own);
    notify_with(&own, 1);
    release(&own);
    UNTIL(peek(&stage->done) == 1);
    death_join_companions();
    CHECK_UINT(peek(&state()->word), 0);
    CHECK_INT(isthmus_lock_locked(lock_of(&own)), 0);
    together_join(&fresh, &own);
    isthmus_primitive_close(&fresh);
    death_check_table(1);
    /* Now all slots have been put in order, so nothing may be left. */
    acquire(&own);
    notify_with(&own, 1);
    release(&own);
    CHECK_UINT(in_there(), 0);
    CHECK(state()->tokens <= 1);
    if (external())
        isthmus_primitive_close(&own_lock);
}

static void check_one(void)
{
    check_notified(1, 1);
    check_whole();
}

static void check_two(void)
{
    check_notified(2, 1);
    check_whole();
}

/* The victim may not even have begun. */
static void check_one_or_help(void)
{
    check_notified(1, 0);
    check_whole();
}

static void check_two_or_help(void)
{
    check_notified(2, 0);
    check_whole();
}

static void check_none(void)
{
    acquire(&own);
    release(&own);
    check_whole();
}

#define BOTH_LOCKS(text, ...)                                                                      \
    {.what = "condition, " text, .kind = ISTHMUS_KIND_CONDITION, __VA_ARGS__},                     \
    {                                                                                              \
        .what = "condition, other lock, " text, .kind = ISTHMUS_KIND_CONDITION,                    \
        .flags = ISTHMUS_EXTERNAL_LOCK, __VA_ARGS__                                                \
    }

static const struct death_act waits[] = {
    BOTH_LOCKS("wait, time out", .before = make_lock, .prepare = hold, .run = wait_in_vain,
               .after = check_none),
    BOTH_LOCKS("wait, one of two notified", .before = make_lock, .prepare = hold,
               .run = wait_for_it, .meanwhile = notify_when_both_sleep, .after = check_one),
    BOTH_LOCKS("wait in slices, all notified", .before = make_lock, .prepare = hold,
               .run = wait_for_it, .meanwhile = notify_all_when_both_sleep, .after = check_one),
    BOTH_LOCKS("close while waiting, one more waits", .before = one_waits,
               .prepare = hold_and_enter, .run = close_it, .after = check_one_or_help),
};

static const struct death_act notifications[] = {
    BOTH_LOCKS("notify nobody", .before = make_lock, .prepare = hold, .run = notify_one,
               .after = check_none),
    BOTH_LOCKS("notify one", .before = one_waits, .prepare = hold, .run = notify_one,
               .after = check_one),
    BOTH_LOCKS("notify two", .before = two_wait, .prepare = hold, .run = notify_all,
               .after = check_two),
    BOTH_LOCKS("acquire, notify, release", .before = one_waits, .prepare = open_lock,
               .run = acquire_notify_and_release, .after = check_one_or_help),
    BOTH_LOCKS("notify, sweeping a dead waiter", .before = one_died_notified_and_one_waits,
               .prepare = hold, .run = notify_one, .after = check_one),
    {.what = "condition, notify, then one acquires and notifies",
     .kind = ISTHMUS_KIND_CONDITION,
     .before = two_wait,
     .prepare = hold,
     .run = notify_one,
     .second = acquire_and_notify_as_second,
     .after = check_two_or_help},
    {.what = "condition, close while waiting, then one notifies",
     .kind = ISTHMUS_KIND_CONDITION,
     .before = one_waits,
     .prepare = hold_and_enter,
     .run = close_it,
     .second = acquire_and_notify_as_second,
     .after = check_one_or_help},
};

static void a_waiter_that_dies_at_any_step_takes_no_notification_with_it(void)
{
    death_run(waits, sizeof waits / sizeof waits[0]);
}

static void a_notifier_that_dies_at_any_step_has_notified_or_is_reported(void)
{
    death_run(notifications, sizeof notifications / sizeof notifications[0]);
}

static const struct check_test tests[] = {
    CHECK_TEST(a_waiter_that_dies_at_any_step_takes_no_notification_with_it),
    CHECK_TEST(a_notifier_that_dies_at_any_step_has_notified_or_is_reported),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
