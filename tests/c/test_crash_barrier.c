/* Death at every step of barriers. See death.h. */
#include "check.h"
#include "death.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

static pid_t dead_party;

static struct isthmus_shared_barrier *state(void)
{
    return (struct isthmus_shared_barrier *)(own.shared + 1);
}

/* Parties that have arrived in the current round, alive or dead. */
static uint32_t arrived(void)
{
    return isthmus_barrier_waiting(&own);
}

/* Whether the victim is one of them. */
static int victim_arrived(void)
{
    const struct isthmus_shared_participant *slot = &own.slots[stage->slot];
    return peek(&slot->share) != 0 && peek(&slot->round) == peek(&state()->round);
}

static void go_through(struct isthmus_primitive *barrier)
{
    int result = isthmus_barrier_wait(barrier, SOON());
    CHECK(result >= 0 || result == -ISTHMUS_E_BROKEN);
    if (result < 0)
        count_up(&stage->broken);
    count_up(&stage->done);
}

/* ---- Victims ---------------------------------------------------------------------------- */

static void wait_for_the_others(void)
{
    int result = isthmus_barrier_wait(&mine, SOON());
    CHECK(result >= 0 || result == -ISTHMUS_E_BROKEN);
}

static void wait_too_long(void)
{
    CHECK_RESULT(isthmus_barrier_wait(&mine, isthmus_deadline_after(10000000)), -ISTHMUS_E_BROKEN);
}

static void try(void)
{
    /* With a dead party in it the round may be full, and trip. */
    int result = isthmus_barrier_wait(&mine, 0);
    CHECK(result >= 0 || result == -ISTHMUS_E_BROKEN);
}

static void arrive(void)
{
    uint32_t round;
    int result = isthmus_barrier_arrive(&mine, SOON(), &round);
    CHECK(result >= 0);
    poke(&stage->free[0], round);
}

static void withdraw(void)
{
    CHECK(isthmus_barrier_withdraw(&mine, stage->free[0]) >= 0);
}

static void trip(void)
{
    int result = isthmus_barrier_trip(&mine, stage->free[0]);
    CHECK(result == 0 || result == -ISTHMUS_E_BROKEN);
}

static void abort_it(void)
{
    CHECK_OK(isthmus_barrier_abort(&mine));
}

static void reset(void)
{
    CHECK_OK(isthmus_barrier_reset(&mine));
}

static void close_it(void)
{
    isthmus_primitive_close(&mine);
}

/* ---- Others ------------------------------------------------------------------------------ */

static void one_waits(void)
{
    death_companion(go_through);
    UNTIL(arrived() == 1);
}

static void two_wait(void)
{
    one_waits();
    death_companion(go_through);
    UNTIL(arrived() == 2);
}

static void break_it(void)
{
    CHECK_OK(isthmus_barrier_abort(&own));
}

/* The victim is the first, and sleeps for some slices; the other comes later. */
static void another_comes_later(void)
{
    UNTIL_PASSED(80);
    death_companion(go_through);
}

static void arrive_and_stay(struct isthmus_primitive *barrier)
{
    uint32_t round;
    CHECK(isthmus_barrier_arrive(barrier, SOON(), &round) >= 0);
}

static void a_dead_one_and_one_that_waits(void)
{
    dead_party = together_stay(&own, arrive_and_stay);
    death_companion(go_through);
    UNTIL(arrived() == 2);
}

static void a_dead_one(void)
{
    dead_party = together_stay(&own, arrive_and_stay);
}

/* One that died while it waited alone: the victim, who completes the round, meets it. */
static void one_died_waiting(void)
{
    a_dead_one();
    together_kill(dead_party);
}

/* Nobody but the victim can break the round. */
static void kill_the_only_other_party(void)
{
    UNTIL_GONE_OR(victim_arrived() && together_waiting(&own) == 1);
    together_kill(dead_party);
}

static void kill_the_party(void)
{
    UNTIL_GONE_OR(victim_arrived() && together_waiting(&own) == 2);
    together_kill(dead_party);
}

/* A round that is full, as the worker has not tripped it yet: the victim has to wait for that. */
static void fill_the_round(void)
{
    uint32_t round;
    one_waits();
    CHECK_INT(isthmus_barrier_arrive(&own, SOON(), &round), 1);
    poke(&stage->free[1], round);
}

static void trip_the_full_round(void)
{
    UNTIL_PASSED(60);
    CHECK_OK(isthmus_barrier_trip(&own, stage->free[1]));
    death_join_companions();
    /* If the victim has come in, it waits for another. */
    UNTIL_GONE_OR(victim_arrived());
    if (victim_arrived())
        death_companion(go_through);
}

/* ---- Afterwards ---------------------------------------------------------------------------- */

/*
 * Those that waited have gone through, or been told that it is broken, without help; only when the
 * victim died before it did anything do they wait for another, rightly.
 */
static void check_released(uint32_t waiters)
{
    UNTIL(peek(&stage->done) == waiters || (!victim_arrived() && arrived() == waiters));
    if (peek(&stage->done) < waiters && !victim_arrived() && arrived() == waiters)
        CHECK_OK(isthmus_barrier_abort(&own));
    UNTIL(peek(&stage->done) == waiters);
    death_join_companions();
}

static void check_usable(void)
{
    const uint32_t parties = (uint32_t)act->value;
    struct isthmus_primitive fresh;
    uint32_t round;
    CHECK_OK(isthmus_barrier_reset(&own));
    CHECK_INT(isthmus_barrier_is_broken(&own), 0);
    CHECK_UINT(arrived(), 0);
    together_join(&fresh, &own);
    for (uint32_t i = 0; i < parties; i++)
        CHECK_INT(isthmus_barrier_arrive(i % 2 ? &own : &fresh, SOON(), &round), (int)i);
    CHECK_OK(isthmus_barrier_trip(&own, round));
    CHECK_OK(isthmus_barrier_await(&fresh, 0, round));
    CHECK_UINT(peek(&state()->guard) & ISTHMUS_WORD_OWNER, 0);
    isthmus_primitive_close(&fresh);
    death_check_table(1);
}

static void check_none(void)
{
    check_usable();
}

static void check_late(void)
{
    death_join_companions();
    check_usable();
}

static void check_one(void)
{
    check_released(1);
    check_usable();
}

static void check_two(void)
{
    check_released(2);
    check_usable();
}

/* Abort and reset: what has been done is seen by all; what has not is done again. */
static void check_sent_away(void)
{
    if (peek(&state()->round) == 0)
        CHECK_OK(isthmus_barrier_reset(&own));
    UNTIL(peek(&stage->done) == 2);
    CHECK_UINT(stage->broken, 2);
    death_join_companions();
    check_usable();
}

static void check_broken_by_the_dead(void)
{
    UNTIL(peek(&stage->done) == 1);
    CHECK_UINT(stage->broken, 1);
    death_join_companions();
    check_usable();
}

/* Whoever comes now is the third, or finds the dead, or that it is broken. */
static void check_another_is_not_held_up(void)
{
    death_companion(go_through);
    death_join_companions();
    check_usable();
}

#define BARRIER(text, parties, ...)                                                                \
    {.what = "barrier, " text, .kind = ISTHMUS_KIND_BARRIER, .value = parties, __VA_ARGS__}

static const struct death_act single[] = {
    BARRIER("wait alone", 1, .run = wait_for_the_others, .after = check_none),
    BARRIER("wait as the first", 2, .run = wait_for_the_others, .meanwhile = another_comes_later,
            .after = check_one),
    BARRIER("wait as the last", 3, .before = two_wait, .run = wait_for_the_others,
            .after = check_two),
    BARRIER("wait until a timeout", 4, .before = two_wait, .run = wait_too_long,
            .after = check_two),
    BARRIER("try, one waits", 3, .before = one_waits, .run = try, .after = check_one),
    BARRIER("arrive in a full round", 2, .before = fill_the_round, .run = wait_for_the_others,
            .meanwhile = trip_the_full_round, .after = check_late),
    BARRIER("trip, two wait", 3, .before = two_wait, .prepare = arrive, .run = trip,
            .after = check_two),
    BARRIER("withdraw, one waits", 3, .before = one_waits, .prepare = arrive, .run = withdraw,
            .after = check_one),
    BARRIER("abort, two wait", 3, .before = two_wait, .run = abort_it, .after = check_sent_away),
    BARRIER("reset, two wait", 3, .before = two_wait, .run = reset, .after = check_sent_away),
    BARRIER("reset what is broken", 2, .before = break_it, .run = reset, .after = check_none),
    BARRIER("close while waiting, one waits", 3, .before = one_waits, .prepare = arrive,
            .run = close_it, .after = check_one),
};

static const struct death_act repair[] = {
    BARRIER("break it for a dead party, alone", 3, .kills_another = 1, .before = a_dead_one,
            .run = wait_for_the_others, .meanwhile = kill_the_only_other_party,
            .after = check_another_is_not_held_up),
    BARRIER("break it for a dead party", 4, .kills_another = 1,
            .before = a_dead_one_and_one_that_waits, .run = wait_for_the_others,
            .meanwhile = kill_the_party, .after = check_broken_by_the_dead),
    BARRIER("meet a dead party as the last", 2, .kills_another = 1, .before = one_died_waiting,
            .run = wait_for_the_others, .after = check_another_is_not_held_up),
    BARRIER("meet a dead party, then one meets both", 2, .kills_another = 1,
            .before = one_died_waiting, .run = wait_for_the_others, .second = try,
            .after = check_another_is_not_held_up),
    BARRIER("wait as the last, then one aborts", 3, .before = two_wait, .run = wait_for_the_others,
            .second = abort_it, .after = check_two),
    BARRIER("abort, then one resets", 3, .before = two_wait, .run = abort_it, .second = reset,
            .after = check_sent_away),
    BARRIER("close while waiting, then one tries", 3, .before = one_waits, .prepare = arrive,
            .run = close_it, .second = try, .after = check_one),
};

static void death_at_any_step_breaks_a_barrier_at_worst(void)
{
    death_run(single, sizeof single / sizeof single[0]);
}

static void a_second_death_at_any_step_breaks_it_at_worst(void)
{
    death_run(repair, sizeof repair / sizeof repair[0]);
}

static const struct check_test tests[] = {
    CHECK_TEST(death_at_any_step_breaks_a_barrier_at_worst),
    CHECK_TEST(a_second_death_at_any_step_breaks_it_at_worst),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
