/* Death at every step of semaphores, plain and robust. See death.h. */
#include "check.h"
#include "death.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

static pid_t owner;

static uint32_t value(void)
{
    return isthmus_semaphore_value(&own);
}

static void take_turn(struct isthmus_primitive *semaphore)
{
    CHECK_OK(isthmus_semaphore_acquire(semaphore, SOON()));
    together_alone(&stage->area);
    CHECK_OK(isthmus_semaphore_release(semaphore, 1));
    count_up(&stage->done);
}

/* ---- Victims ---------------------------------------------------------------------------- */

static void take(void)
{
    CHECK_OK(isthmus_semaphore_acquire(&mine, SOON()));
}

static void take_both(void)
{
    take();
    take();
}

static void take_and_use(void)
{
    take();
    together_alone(&stage->area);
}

static void try(void)
{
    int result;
    do
        result = isthmus_semaphore_acquire(&mine, 0);
    while (result == -ETIMEDOUT);
    CHECK_OK(result);
    together_alone(&stage->area);
}

static void try_in_vain(void)
{
    CHECK_RESULT(isthmus_semaphore_acquire(&mine, 0), -ETIMEDOUT);
}

static void wait_in_vain(void)
{
    CHECK_RESULT(isthmus_semaphore_acquire(&mine, isthmus_deadline_after(10000000)), -ETIMEDOUT);
}

static void release(void)
{
    CHECK_OK(isthmus_semaphore_release(&mine, 1));
}

static void release_both(void)
{
    CHECK_OK(isthmus_semaphore_release(&mine, 2));
}

static void take_and_release(void)
{
    take_turn(&mine);
}

static void close_it(void)
{
    isthmus_primitive_close(&mine);
}

/* ---- Others ------------------------------------------------------------------------------ */

static void take_own(void)
{
    CHECK_OK(isthmus_semaphore_acquire(&own, 0));
}

static void let_go_soon(void)
{
    UNTIL_GONE_OR(together_waiting(&own));
    CHECK_OK(isthmus_semaphore_release(&own, 1));
}

static void let_go_after_a_while(void)
{
    UNTIL_PASSED(60);
    death_companion(take_turn);
    UNTIL_PASSED(90);
    CHECK_OK(isthmus_semaphore_release(&own, 1));
}

static void take_one(struct isthmus_primitive *semaphore)
{
    CHECK_OK(isthmus_semaphore_acquire(semaphore, SOON()));
    count_up(&stage->done);
}

static void another_waits(void)
{
    death_companion(take_one);
    UNTIL(together_waiting(&own));
}

static void two_others_wait(void)
{
    another_waits();
    death_companion(take_one);
    if (own.count)
        UNTIL(together_waiting(&own) == 2);
}

static void one_takes_turns(void)
{
    death_companion(take_turn);
    UNTIL(together_waiting(&own));
}

static void two_take_turns(void)
{
    one_takes_turns();
    death_companion(take_turn);
    UNTIL(together_waiting(&own) == 2);
}

static void take_by_another(struct isthmus_primitive *semaphore)
{
    CHECK_OK(isthmus_semaphore_acquire(semaphore, 0));
}

static void another_holds(void)
{
    owner = together_stay(&own, take_by_another);
}

static void kill_the_owner(void)
{
    UNTIL_GONE_OR(together_waiting(&own) == 1);
    together_kill(owner);
}

static void kill_the_owner_of_two(void)
{
    UNTIL_GONE_OR(together_waiting(&own) == 1);
    death_companion(take_turn);
    UNTIL_GONE_OR(together_waiting(&own) == 2);
    together_kill(owner);
}

/* ---- Afterwards: plain --------------------------------------------------------------------- */

/* A permit of one that died is gone, if it had it; nothing more is, and nothing is in the way. */
static void check_count(uint32_t least, uint32_t most)
{
    const uint32_t left = value();
    CHECK(left >= least);
    CHECK(left <= most);
    for (uint32_t i = 0; i < left; i++)
        CHECK_OK(isthmus_semaphore_acquire(&own, 0));
    CHECK_RESULT(isthmus_semaphore_acquire(&own, 0), -ETIMEDOUT);
    CHECK_OK(isthmus_semaphore_release(&own, 1));
    CHECK_OK(isthmus_semaphore_acquire(&own, SOON()));
}

static void check_at_most_one(void)
{
    death_join_companions();
    check_count(0, 1);
}

static void check_none(void)
{
    death_join_companions();
    check_count(0, 0);
}

static void check_one(void)
{
    death_join_companions();
    check_count(1, 1);
}

/* Those that waited get what the victim has released, and need help only for what it has not. */
static void check_waiters_were_served(uint32_t waiters)
{
    const uint32_t there = value() + peek(&stage->done);
    if (there < waiters)
        CHECK_OK(isthmus_semaphore_release(&own, waiters - there));
    UNTIL(peek(&stage->done) == waiters);
    death_join_companions();
    /* One that had taken its permit, and not said so yet, got help that it did not need. */
    check_count(0, 2);
}

static void check_one_was_served(void)
{
    check_waiters_were_served(1);
}

static void check_two_were_served(void)
{
    check_waiters_were_served(2);
}

static void check_up_to_two(void)
{
    check_count(0, 2);
}

/* Two permits were released one by one: the victim may have died with one, or without. */
static void release_two_one_by_one(void)
{
    UNTIL_GONE_OR(together_waiting(&own));
    death_companion(take_one);
    UNTIL_PASSED(30);
    CHECK_OK(isthmus_semaphore_release(&own, 1));
    CHECK_OK(isthmus_semaphore_release(&own, 1));
}

static void check_the_other_was_served(void)
{
    UNTIL(peek(&stage->done) == 1);
    death_join_companions();
    check_count(0, 1);
}

#define PLAIN(text, permits, ...)                                                                  \
    {.what = "semaphore, " text, .kind = ISTHMUS_KIND_SEMAPHORE, .value = permits, __VA_ARGS__}

static const struct death_act plain[] = {
    PLAIN("acquire free", 1, .run = take_and_use, .after = check_at_most_one),
    PLAIN("try in vain", 0, .run = try_in_vain, .after = check_none),
    PLAIN("acquire, time out", 0, .run = wait_in_vain, .after = check_none),
    PLAIN("acquire, woken", 1, .before = take_own, .run = take_and_use, .meanwhile = let_go_soon,
          .after = check_at_most_one),
    PLAIN("acquire, woken and to wake another", 0, .run = take_and_use,
          .meanwhile = release_two_one_by_one, .after = check_the_other_was_served),
    PLAIN("release", 0, .run = release, .after = check_at_most_one),
    PLAIN("release, one waits", 0, .before = another_waits, .run = release,
          .after = check_one_was_served),
    PLAIN("release two, two wait", 0, .before = two_others_wait, .run = release_both,
          .after = check_two_were_served),
    PLAIN("close while holding", 2, .prepare = take, .run = close_it, .after = check_one),
    PLAIN("acquire, then another does", 2, .run = take, .second = take, .after = check_up_to_two),
    PLAIN("release, one waits, then another releases", 0, .before = another_waits, .run = release,
          .second = release, .after = check_one_was_served),
};

/* ---- Afterwards: robust -------------------------------------------------------------------- */

/* Everything that the dead had is back. */
static void check_whole(void)
{
    take_turn(&own);
    death_join_companions();
    for (int64_t i = 0; i < act->value; i++)
        CHECK_OK(isthmus_semaphore_acquire(&own, SOON()));
    CHECK_RESULT(isthmus_semaphore_acquire(&own, 0), -ETIMEDOUT);
    CHECK_OK(isthmus_semaphore_release(&own, (uint32_t)act->value));
    CHECK_UINT(value(), (uint32_t)act->value);
    const struct isthmus_shared_semaphore *state =
        (const struct isthmus_shared_semaphore *)(own.shared + 1);
    CHECK_UINT(state->guard & ISTHMUS_WORD_OWNER, 0);
    death_check_table(1);
}

static void check_held_by_own(void)
{
    CHECK_OK(isthmus_semaphore_release(&own, 1));
    check_whole();
}

#define ROBUST(text, permits, ...)                                                                 \
    {.what = "robust, " text,                                                                      \
     .kind = ISTHMUS_KIND_SEMAPHORE,                                                               \
     .flags = ISTHMUS_ROBUST,                                                                      \
     .value = permits,                                                                             \
     __VA_ARGS__}

static const struct death_act robust[] = {
    ROBUST("acquire free", 1, .run = take_and_use, .after = check_whole),
    ROBUST("try in vain", 1, .before = take_own, .run = try_in_vain, .after = check_held_by_own),
    ROBUST("acquire, time out", 1, .before = take_own, .run = wait_in_vain,
           .after = check_held_by_own),
    ROBUST("acquire, woken", 1, .before = take_own, .run = take_and_use, .meanwhile = let_go_soon,
           .after = check_whole),
    ROBUST("acquire, woken after slices", 1, .before = take_own, .run = take_and_use,
           .meanwhile = let_go_after_a_while, .after = check_whole),
    ROBUST("release", 1, .prepare = take, .run = release, .after = check_whole),
    ROBUST("release, one waits", 1, .prepare = take, .between = one_takes_turns, .run = release,
           .after = check_whole),
    ROBUST("release two, two wait", 2, .prepare = take_both, .between = two_others_wait,
           .run = release_both, .after = check_whole),
    ROBUST("acquire and release", 1, .run = take_and_release, .after = check_whole),
    ROBUST("close while holding, two wait", 1, .prepare = take, .between = two_take_turns,
           .run = close_it, .after = check_whole),
};

static const struct death_act repair[] = {
    ROBUST("take from the dead while waiting", 1, .kills_another = 1, .before = another_holds,
           .run = take_and_use, .meanwhile = kill_the_owner, .after = check_whole),
    ROBUST("take from the dead, two wait", 1, .kills_another = 1, .before = another_holds,
           .run = take_and_use, .meanwhile = kill_the_owner_of_two, .after = check_whole),
    ROBUST("acquire, then one tries", 1, .run = take_and_use, .second = try, .after = check_whole),
    ROBUST("release, one waits, then one acquires", 1, .prepare = take, .between = one_takes_turns,
           .run = release, .second = take_and_use, .after = check_whole),
    ROBUST("close while holding, then one acquires", 1, .prepare = take, .run = close_it,
           .second = take_and_use, .after = check_whole),
};

static void death_at_any_step_costs_a_plain_one_what_the_dead_held_and_no_more(void)
{
    death_run(plain, sizeof plain / sizeof plain[0]);
}

static void death_at_any_step_costs_a_robust_one_nothing(void)
{
    death_run(robust, sizeof robust / sizeof robust[0]);
}

static void a_second_death_at_any_step_of_the_repair_costs_nothing_either(void)
{
    death_run(repair, sizeof repair / sizeof repair[0]);
}

static const struct check_test tests[] = {
    CHECK_TEST(death_at_any_step_costs_a_plain_one_what_the_dead_held_and_no_more),
    CHECK_TEST(death_at_any_step_costs_a_robust_one_nothing),
    CHECK_TEST(a_second_death_at_any_step_of_the_repair_costs_nothing_either),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
