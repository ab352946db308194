/* Death at every step of locks and recursive locks. See death.h. */
#include "check.h"
#include "death.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

/* So many points a waiting victim passes before it gets the lock: two slices' worth. */
#define LONG_ASLEEP 34u

static pid_t owner;

static struct isthmus_shared_lock *state(void)
{
    return (struct isthmus_shared_lock *)(own.shared + 1);
}

static void acquire(struct isthmus_primitive *lock, uint64_t deadline)
{
    int result;
    do
        result = isthmus_lock_acquire(lock, deadline);
    while (result == -ETIMEDOUT && deadline == 0);
    CHECK(result == 0 || result == -EOWNERDEAD);
    if (result)
        count_up(&stage->reports);
}

/* What every owner does: nobody else may be inside, and nothing may be half done. */
static void take_turn(struct isthmus_primitive *lock)
{
    acquire(lock, SOON());
    together_alone(&stage->area);
    CHECK_OK(isthmus_lock_release(lock));
    count_up(&stage->done);
}

/* ---- Victims ---------------------------------------------------------------------------- */

static void hold(void)
{
    acquire(&mine, SOON());
}

static void hold_twice(void)
{
    hold();
    hold();
}

static void hold_and_use(void)
{
    hold();
    together_alone(&stage->area);
}

static void try_in_vain(void)
{
    CHECK_RESULT(isthmus_lock_acquire(&mine, 0), -ETIMEDOUT);
}

static void try(void)
{
    acquire(&mine, 0);
    together_alone(&stage->area);
}

static void release(void)
{
    CHECK_OK(isthmus_lock_release(&mine));
}

static void release_twice(void)
{
    release();
    release();
}

static void release_of_another(void)
{
    CHECK_OK(isthmus_lock_release_any(&mine));
}

/* Unless a waiter was quicker to take it over, and has given it back. */
static void release_of_the_dead(void)
{
    int result = isthmus_lock_release_any(&mine);
    CHECK(result == 0 || result == -EPERM);
}

static void take_and_release(void)
{
    take_turn(&mine);
}

static void abandon(void)
{
    CHECK_OK(isthmus_lock_abandon(&mine));
}

static void close_it(void)
{
    isthmus_primitive_close(&mine);
}

static void wait_in_vain(void)
{
    CHECK_RESULT(isthmus_lock_acquire(&mine, isthmus_deadline_after(10000000)), -ETIMEDOUT);
}

/* ---- Others ------------------------------------------------------------------------------ */

static void hold_own(void)
{
    acquire(&own, 0);
}

static void hold_by_another(struct isthmus_primitive *lock)
{
    acquire(lock, 0);
}

static void another_holds(void)
{
    owner = together_stay(&own, hold_by_another);
}

static void another_waits(void)
{
    death_companion(take_turn);
    UNTIL(together_waiting(&own) == 1);
}

static void two_others_wait(void)
{
    another_waits();
    death_companion(take_turn);
    UNTIL(together_waiting(&own) == 2);
}

static void another_waits_for_the_dead(void)
{
    another_waits();
    together_kill(owner);
}

/* The victim is the first to sleep, so the kernel wakes it first. */
static void let_go_after_a_while(void)
{
    UNTIL_PASSED(LONG_ASLEEP / 2);
    death_companion(take_turn);
    UNTIL_PASSED(LONG_ASLEEP);
    CHECK_OK(isthmus_lock_release(&own));
}

/* Woken at once, without a slice in between. */
static void let_go_soon(void)
{
    UNTIL_GONE_OR(together_waiting(&own) == 1);
    CHECK_OK(isthmus_lock_release(&own));
}

static void kill_the_owner(void)
{
    UNTIL_GONE_OR(together_waiting(&own) == 1);
    together_kill(owner);
}

static void kill_the_owner_of_two_waiters(void)
{
    UNTIL_GONE_OR(together_waiting(&own) == 1);
    death_companion(take_turn);
    UNTIL_GONE_OR(together_waiting(&own) == 2);
    together_kill(owner);
}

/* ---- Afterwards ---------------------------------------------------------------------------- */

static void check_whole(void)
{
    struct isthmus_primitive fresh;
    const uint32_t turns = stage->done;
    take_turn(&own);
    CHECK(stage->done > turns);
    death_join_companions();
    CHECK_UINT(state()->word, 0);
    CHECK_UINT(state()->tid, 0);
    /* Each death of an owner is told once; one that was told may have died before it knew. */
    CHECK(stage->reports <= state()->deaths);
    together_join(&fresh, &own);
    CHECK_OK(isthmus_lock_acquire(&fresh, 0));
    CHECK_OK(isthmus_lock_release(&fresh));
    isthmus_primitive_close(&fresh);
    death_check_table(1);
}

/* The victim owned the lock when it died at its first point: that must have been told. */
static void check_owned_at_first(void)
{
    check_whole();
    if (death_point == 1)
        CHECK_UINT(stage->reports, 1);
}

/* It had not begun: nothing may have been told. */
static void check_not_owned_at_first(void)
{
    check_whole();
    if (death_point == 1)
        CHECK_UINT(stage->reports, 0);
}

static void check_held_by_own(void)
{
    CHECK_INT(isthmus_lock_is_mine(&own), 1);
    CHECK_OK(isthmus_lock_release(&own));
    check_not_owned_at_first();
}

/* Released by the victim or not, but nobody died owning it. */
static void check_released_for_own(void)
{
    if (isthmus_lock_is_mine(&own))
        CHECK_OK(isthmus_lock_release(&own));
    check_whole();
    CHECK_UINT(stage->reports, 0);
}

/* Somebody died owning it in any case. */
static void check_told(void)
{
    check_whole();
    CHECK(state()->deaths >= 1);
}

#define BOTH_KINDS(text, ...)                                                                      \
    {.what = "lock, " text, .kind = ISTHMUS_KIND_LOCK, __VA_ARGS__},                               \
    {                                                                                              \
        .what = "rlock, " text, .kind = ISTHMUS_KIND_RLOCK, __VA_ARGS__                            \
    }

static const struct death_act single[] = {
    BOTH_KINDS("acquire free", .run = hold_and_use, .after = check_not_owned_at_first),
    BOTH_KINDS("acquire held, long", .before = hold_own, .run = hold_and_use,
               .meanwhile = let_go_after_a_while, .after = check_not_owned_at_first),
    BOTH_KINDS("acquire held, woken at once", .before = hold_own, .run = hold_and_use,
               .meanwhile = let_go_soon, .after = check_not_owned_at_first),
    BOTH_KINDS("acquire held, time out", .before = hold_own, .run = wait_in_vain,
               .after = check_held_by_own),
    BOTH_KINDS("try held", .before = hold_own, .run = try_in_vain, .after = check_held_by_own),
    BOTH_KINDS("release", .prepare = hold, .run = release, .after = check_owned_at_first),
    BOTH_KINDS("release, two wait", .prepare = hold, .between = two_others_wait, .run = release,
               .after = check_owned_at_first),
    BOTH_KINDS("acquire and release", .run = take_and_release, .after = check_not_owned_at_first),
    BOTH_KINDS("abandon, one waits", .prepare = hold, .between = another_waits, .run = abandon,
               .after = check_told),
    BOTH_KINDS("close", .run = close_it, .after = check_not_owned_at_first),
    BOTH_KINDS("close while holding, two wait", .prepare = hold, .between = two_others_wait,
               .run = close_it, .after = check_told),
    {"lock, release another's", ISTHMUS_KIND_LOCK, .before = hold_own, .run = release_of_another,
     .after = check_released_for_own},
    {"lock, release another's, two wait", ISTHMUS_KIND_LOCK, .before = hold_own,
     .between = two_others_wait, .run = release_of_another, .after = check_released_for_own},
    {"rlock, acquire once more", ISTHMUS_KIND_RLOCK, .prepare = hold, .run = hold,
     .after = check_owned_at_first},
    {"rlock, release twice, one waits", ISTHMUS_KIND_RLOCK, .prepare = hold_twice,
     .between = another_waits, .run = release_twice, .after = check_owned_at_first},
};

static const struct death_act repair[] = {
    BOTH_KINDS("take over while waiting", .kills_another = 1, .before = another_holds,
               .run = hold_and_use, .meanwhile = kill_the_owner, .after = check_told),
    BOTH_KINDS("take over, two wait", .kills_another = 1, .before = another_holds,
               .run = hold_and_use, .meanwhile = kill_the_owner_of_two_waiters,
               .after = check_told),
    BOTH_KINDS("acquire, then one tries", .run = hold_and_use, .second = try, .after = check_whole),
    BOTH_KINDS("acquire, then one closes", .run = hold_and_use, .second = close_it,
               .after = check_whole),
    BOTH_KINDS("release, one waits, then one acquires", .prepare = hold, .between = another_waits,
               .run = release, .second = hold_and_use, .after = check_whole),
    {"lock, release a dead one's, one waits", ISTHMUS_KIND_LOCK, .kills_another = 1,
     .before = another_holds, .between = another_waits_for_the_dead, .run = release_of_the_dead,
     .after = check_whole},
    BOTH_KINDS("close, then one tries and releases", .prepare = hold, .run = close_it,
               .second = take_and_release, .after = check_told),
};

static void death_at_any_step_leaves_a_lock_to_the_others(void)
{
    death_run(single, sizeof single / sizeof single[0]);
}

static void a_second_death_at_any_step_of_the_repair_does_so_too(void)
{
    death_run(repair, sizeof repair / sizeof repair[0]);
}

static const struct check_test tests[] = {
    CHECK_TEST(death_at_any_step_leaves_a_lock_to_the_others),
    CHECK_TEST(a_second_death_at_any_step_of_the_repair_does_so_too),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
