/*
 * Death at every step of what rings for those that wait by doorbell: primitives. Of waiting so:
 * test_crash_doorbell_wait.c. Rings, in the sense of messages: test_crash_doorbell_ring.c. See
 * death.h.
 */
#include "check.h"
#include "company.h"
#include <errno.h>

/* ---- The company ------------------------------------------------------------------------- */

static void two_use_lock(void)
{
    company_send(use_lock, 2);
}

static void one_uses_lock(void)
{
    company_send(use_lock, 1);
}

static void one_uses_lock_one_has_left(void)
{
    company_send(change_its_mind, 1);
    company_send(use_lock, 1);
}

static void sleep_for_lock(struct isthmus_primitive *lock)
{
    company_note(isthmus_lock_acquire(lock, SOON()));
    together_alone(&stage->area);
    CHECK_OK(isthmus_lock_release(lock));
    count_up(&stage->done);
}

/* The wake-up of one is not the wake-up of the other. */
static void one_uses_lock_one_sleeps(void)
{
    company_send(use_lock, 1);
    death_companion(sleep_for_lock);
    UNTIL(together_waiting(&own) == 1);
}

static void one_uses_semaphore(void)
{
    company_send(use_semaphore, 1);
}

static void two_use_semaphore(void)
{
    company_send(use_semaphore, 2);
}

static void two_await_event(void)
{
    company_send(await_event, 2);
}

static void one_awaits_condition(void)
{
    company_send(await_condition, 1);
}

static void two_await_condition(void)
{
    company_send(await_condition, 2);
}

static void one_meets(void)
{
    company_send(meet, 1);
}

static void one_reads_one_writes(void)
{
    company_send(read_it, 1);
    company_send(write_it, 1);
}

static void two_read(void)
{
    company_send(read_it, 2);
}

static void one_writes(void)
{
    company_send(write_it, 1);
}

/* ---- Victims that bring it ----------------------------------------------------------------- */

static void hold(void)
{
    CHECK_OK(isthmus_lock_acquire(&mine, 0));
}

static void release(void)
{
    CHECK_OK(isthmus_lock_release(&mine));
}

static void hold_own(void)
{
    CHECK_OK(isthmus_lock_acquire(&own, 0));
}

static void release_of_another(void)
{
    CHECK_OK(isthmus_lock_release_any(&mine));
}

static void abandon(void)
{
    CHECK_OK(isthmus_lock_abandon(&mine));
}

static void close_it(void)
{
    isthmus_primitive_close(&mine);
}

static void take(void)
{
    CHECK_OK(isthmus_semaphore_acquire(&mine, 0));
}

static void give(void)
{
    CHECK_OK(isthmus_semaphore_release(&mine, 1));
}

static void set(void)
{
    CHECK_OK(isthmus_event_set(&mine));
}

static void notify_one(void)
{
    CHECK_OK(isthmus_condition_notify(&mine, &mine, 1));
    release();
}

static void notify_all(void)
{
    CHECK_OK(isthmus_condition_notify(&mine, &mine, UINT32_MAX));
    release();
}

static void come_last(void)
{
    CHECK(isthmus_barrier_wait(&mine, SOON()) >= 0);
}

static void come(void)
{
    uint32_t round;
    CHECK(isthmus_barrier_arrive(&mine, 0, &round) >= 0);
}

static void break_it(void)
{
    CHECK_OK(isthmus_barrier_abort(&mine));
}

static void start_anew(void)
{
    CHECK_OK(isthmus_barrier_reset(&mine));
}

static void write_lock(void)
{
    CHECK_OK(isthmus_rwlock_acquire_write(&mine, 0));
}

static void write_unlock(void)
{
    CHECK_OK(isthmus_rwlock_release_write(&mine));
}

static void abandon_writing(void)
{
    CHECK_OK(isthmus_rwlock_abandon_write(&mine));
}

static void read_lock(void)
{
    CHECK_OK(isthmus_rwlock_acquire_read(&mine, 0));
}

static void read_unlock(void)
{
    CHECK_OK(isthmus_rwlock_release_read(&mine));
}

static void victim_uses_lock(void)
{
    use_lock(&mine);
}

/* ---- Afterwards ------------------------------------------------------------------------------ */

/* The same, but the worker has it, unless the victim has released it. */
static void check_lock_of_own(void)
{
    stage->outcome = isthmus_lock_is_mine(&own) ? DEATH_NOTHING : DEATH_HAPPENED;
    if (isthmus_lock_is_mine(&own))
        CHECK_OK(isthmus_lock_release(&own));
    check_lock();
    CHECK_UINT(stage->reports, 0);
}

/* A permit that was not given back is not there, and one that was is there once. */
static void check_permits(void)
{
    uint32_t helped = 0;
    if (isthmus_semaphore_value(&own) == 0 && peek(&stage->done) == 0) {
        helped = 1;
        CHECK_OK(isthmus_semaphore_release(&own, 1));
    }
    death_join_companions();
    const uint32_t given = isthmus_semaphore_value(&own) + stage->done - helped;
    CHECK_UINT(stage->done, 1);
    CHECK(given <= 1);
    stage->outcome = given ? DEATH_HAPPENED : DEATH_NOTHING;
}

static void check_event(void)
{
    const int was = isthmus_event_is_set(&own);
    if (!was) {
        CHECK_UINT(peek(&stage->done), 0);
        CHECK_OK(isthmus_event_set(&own));
    }
    death_join_companions();
    stage->outcome = was ? DEATH_HAPPENED : DEATH_NOTHING;
}

static const struct death_act bringing[] = {
    LOCK("release", .prepare = hold, .between = two_use_lock, .run = release),
    LOCK("release, one has left", .prepare = hold, .between = one_uses_lock_one_has_left,
         .run = release),
    LOCK("release, another one sleeps", .prepare = hold, .between = one_uses_lock_one_sleeps,
         .run = release),
    {.what = "lock, release another's",
     .kind = ISTHMUS_KIND_LOCK,
     .before = hold_own,
     .between = two_use_lock,
     .run = release_of_another,
     .after = check_lock_of_own},
    LOCK("abandon", .prepare = hold, .between = two_use_lock, .run = abandon),
    LOCK("close while holding", .prepare = hold, .between = two_use_lock, .run = close_it),
    LOCK("release, then one waits so", .prepare = hold, .between = one_uses_lock, .run = release,
         .second = victim_uses_lock),
    RLOCK("release", .prepare = hold, .between = two_use_lock, .run = release),
    {.what = "semaphore, release",
     .kind = ISTHMUS_KIND_SEMAPHORE,
     .value = 1,
     .prepare = take,
     .between = one_uses_semaphore,
     .run = give,
     .after = check_permits},
    ROBUST("release", .prepare = take, .between = two_use_semaphore, .run = give),
    ROBUST("close while holding", .prepare = take, .between = two_use_semaphore, .run = close_it),
    {.what = "event, set",
     .kind = ISTHMUS_KIND_EVENT,
     .between = two_await_event,
     .run = set,
     .after = check_event},
    CONDITION("notify one", .prepare = hold, .before = one_awaits_condition, .run = notify_one),
    CONDITION("notify one of two", .prepare = hold, .before = two_await_condition,
              .run = notify_one),
    CONDITION("notify all", .prepare = hold, .before = two_await_condition, .run = notify_all),
    BARRIER("come last", .value = 2, .before = one_meets, .run = come_last),
    BARRIER("come and die", .value = 3, .before = one_meets, .run = come),
    BARRIER("abort", .value = 3, .before = one_meets, .run = break_it),
    BARRIER("reset", .value = 3, .before = one_meets, .run = start_anew),
    RWLOCK("abandon writing", .prepare = write_lock, .between = one_reads_one_writes,
           .run = abandon_writing),
    RWLOCK("stop writing", .prepare = write_lock, .between = one_reads_one_writes,
           .run = write_unlock),
    RWLOCK("stop writing, two read", .prepare = write_lock, .between = two_read,
           .run = write_unlock),
    RWLOCK("stop reading", .prepare = read_lock, .between = one_writes, .run = read_unlock),
    READERS_FIRST("stop writing", .prepare = write_lock, .between = one_reads_one_writes,
                  .run = write_unlock),
    READERS_FIRST("stop reading", .prepare = read_lock, .between = one_writes, .run = read_unlock),
};

static void death_at_any_step_of_ringing_leaves_nobody_waiting(void)
{
    death_run(bringing, sizeof bringing / sizeof bringing[0]);
}

static const struct check_test tests[] = {
    CHECK_TEST(death_at_any_step_of_ringing_leaves_nobody_waiting),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
