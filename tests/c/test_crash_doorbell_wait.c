/*
 * Death at every step of waiting by doorbell, while others do, and go on: primitives. Of ringing:
 * test_crash_doorbell.c. See death.h.
 */
#include "check.h"
#include "company.h"
#include <errno.h>

static pid_t owner;

/* ---- Victims ------------------------------------------------------------------------------- */

static void victim_uses_lock(void)
{
    use_lock(&mine);
}

static void victim_uses_semaphore(void)
{
    use_semaphore(&mine);
}

static void victim_awaits_condition(void)
{
    await_condition(&mine);
}

static void victim_meets(void)
{
    meet(&mine);
}

static void victim_reads(void)
{
    read_it(&mine);
}

static void victim_writes(void)
{
    write_it(&mine);
}

/* ---- Others ------------------------------------------------------------------------------ */

static void hold_own(void)
{
    CHECK_OK(isthmus_lock_acquire(&own, 0));
}

static void one_meets(void)
{
    company_send(meet, 1);
}

static void take_own(void)
{
    CHECK_OK(isthmus_semaphore_acquire(&own, 0));
}

static void write_own(void)
{
    CHECK_OK(isthmus_rwlock_acquire_write(&own, 0));
}

static void read_own(void)
{
    CHECK_OK(isthmus_rwlock_acquire_read(&own, 0));
}

static void until_it_hangs(void)
{
    const uint32_t others = peek(&stage->free[OTHERS]);
    UNTIL_GONE_OR(company_hung() > others);
}

/* The companions of the act have hung: so many. */
static void remember_who_hung(void)
{
    poke(&stage->free[OTHERS], company_hung());
}

static void one_uses_lock_too(void)
{
    company_send(use_lock, 1);
    remember_who_hung();
}

static void release_when_it_hangs(void)
{
    until_it_hangs();
    CHECK_OK(isthmus_lock_release(&own));
}

static void one_uses_semaphore_too(void)
{
    company_send(use_semaphore, 1);
    remember_who_hung();
}

static void give_when_it_hangs(void)
{
    until_it_hangs();
    CHECK_OK(isthmus_semaphore_release(&own, 1));
}

static void one_awaits_condition_too(void)
{
    company_send(await_condition, 1);
    remember_who_hung();
}

/* Again and again, since the other one may be quicker to take it. */
static void notify_when_it_hangs(void)
{
    until_it_hangs();
    do {
        company_note(isthmus_lock_acquire(&own, SOON()));
        CHECK_OK(isthmus_condition_notify(&own, &own, 1));
        CHECK_OK(isthmus_lock_release(&own));
        together_pause();
    } while (!death_gone());
}

static void one_reads_one_writes_too(void)
{
    company_send(read_it, 1);
    company_send(write_it, 1);
    remember_who_hung();
}

static void stop_writing_when_it_hangs(void)
{
    until_it_hangs();
    CHECK_OK(isthmus_rwlock_release_write(&own));
}

static void stop_reading_when_it_hangs(void)
{
    until_it_hangs();
    CHECK_OK(isthmus_rwlock_release_read(&own));
}

static void come_when_it_hangs(void)
{
    until_it_hangs();
    if (!death_gone()) {
        const int result = isthmus_barrier_wait(&own, SOON());
        CHECK(result >= 0 || result == -ISTHMUS_E_BROKEN);
    }
}

static void hold_by_another(struct isthmus_primitive *lock)
{
    CHECK_OK(isthmus_lock_acquire(lock, 0));
}

static void another_holds(void)
{
    owner = together_stay(&own, hold_by_another);
}

static void kill_the_owner_when_it_hangs(void)
{
    until_it_hangs();
    together_kill(owner);
}

static const struct death_act waiting[] = {
    LOCK("wait", .before = hold_own, .between = one_uses_lock_too, .run = victim_uses_lock,
         .meanwhile = release_when_it_hangs),
    LOCK("wait for a dead one", .kills_another = 1, .before = another_holds,
         .between = one_uses_lock_too, .run = victim_uses_lock,
         .meanwhile = kill_the_owner_when_it_hangs),
    RLOCK("wait", .before = hold_own, .between = one_uses_lock_too, .run = victim_uses_lock,
          .meanwhile = release_when_it_hangs),
    ROBUST("wait", .before = take_own, .between = one_uses_semaphore_too,
           .run = victim_uses_semaphore, .meanwhile = give_when_it_hangs),
    CONDITION("wait", .between = one_awaits_condition_too, .run = victim_awaits_condition,
              .meanwhile = notify_when_it_hangs),
    BARRIER("wait", .value = 3, .before = one_meets, .between = remember_who_hung,
            .run = victim_meets, .meanwhile = come_when_it_hangs),
    RWLOCK("wait to read", .before = write_own, .between = one_reads_one_writes_too,
           .run = victim_reads, .meanwhile = stop_writing_when_it_hangs),
    RWLOCK("wait to write, for a writer", .before = write_own, .between = one_reads_one_writes_too,
           .run = victim_writes, .meanwhile = stop_writing_when_it_hangs),
    RWLOCK("wait to write, for a reader", .before = read_own, .between = remember_who_hung,
           .run = victim_writes, .meanwhile = stop_reading_when_it_hangs),
    READERS_FIRST("wait to write, for a reader", .before = read_own, .between = remember_who_hung,
                  .run = victim_writes, .meanwhile = stop_reading_when_it_hangs),
};

static void death_at_any_step_of_waiting_leaves_it_to_the_others(void)
{
    death_run(waiting, sizeof waiting / sizeof waiting[0]);
}

static const struct check_test tests[] = {
    CHECK_TEST(death_at_any_step_of_waiting_leaves_it_to_the_others),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
