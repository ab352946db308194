/* Barriers. */
#include "check.h"
#include "together.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define PARTIES 4u
#define ROUNDS 200u

static struct isthmus_primitive barrier, second;
static struct {
    uint32_t arrived[ROUNDS]; /* bit n: number n was given out in this round */
    uint32_t broken, ended;
} *shared;

static struct isthmus_shared_barrier *state(void)
{
    return (struct isthmus_shared_barrier *)(barrier.shared + 1);
}

static void begin(int64_t parties)
{
    together_make(&barrier, ISTHMUS_KIND_BARRIER, 0, parties);
    together_join(&second, &barrier);
    shared = together_memory(sizeof *shared);
}

static void end(void)
{
    CHECK_UINT(together_waiting(&barrier), 0);
    isthmus_primitive_close(&second);
    isthmus_primitive_close(&barrier);
}

static void alone_it_trips_at_once(void)
{
    begin(1);
    CHECK_UINT(isthmus_barrier_parties(&barrier), 1);
    for (unsigned i = 0; i < 200; i++) {
        CHECK_INT(isthmus_barrier_wait(&barrier, ISTHMUS_FOREVER), 0);
        CHECK_INT(isthmus_barrier_wait(&second, 0), 0);
    }
    CHECK_UINT(isthmus_barrier_waiting(&barrier), 0);
    end();
}

static void the_number_of_parties_must_be_sensible(void)
{
    struct isthmus_primitive_plan plan = {.kind = ISTHMUS_KIND_BARRIER};
    CHECK_RESULT(isthmus_primitive_anonymous(&barrier, &plan), -EINVAL);
    plan.value = -1;
    CHECK_RESULT(isthmus_primitive_anonymous(&barrier, &plan), -EINVAL);
    plan.value = INT64_C(1) << 31;
    CHECK_RESULT(isthmus_primitive_anonymous(&barrier, &plan), -EINVAL);
    plan.value = INT32_MAX;
    CHECK_OK(isthmus_primitive_anonymous(&barrier, &plan));
    isthmus_primitive_close(&barrier);
}

static void a_handle_that_is_closed_or_of_another_kind_is_refused(void)
{
    static const struct {
        uint32_t kind;
        int error;
    } wrong[] = {{0, -EBADF}, {ISTHMUS_KIND_EVENT, -EINVAL}};
    uint32_t round = 0;
    for (size_t i = 0; i < 2; i++) {
        const int error = wrong[i].error;
        if (wrong[i].kind) {
            together_make(&barrier, wrong[i].kind, 0, 0);
        } else {
            begin(2);
            end();
        }
        CHECK_RESULT(isthmus_barrier_wait(&barrier, 0), error);
        CHECK_RESULT(isthmus_barrier_arrive(&barrier, 0, &round), error);
        CHECK_RESULT(isthmus_barrier_trip(&barrier, 0), error);
        CHECK_RESULT(isthmus_barrier_await(&barrier, 0, 0), error);
        CHECK_RESULT(isthmus_barrier_withdraw(&barrier, 0), error);
        CHECK_RESULT(isthmus_barrier_abort(&barrier), error);
        CHECK_RESULT(isthmus_barrier_reset(&barrier), error);
        CHECK_RESULT(isthmus_barrier_is_broken(&barrier), error);
        CHECK_UINT(isthmus_barrier_parties(&barrier), 0);
        CHECK_UINT(isthmus_barrier_waiting(&barrier), 0);
        isthmus_primitive_close(&barrier);
    }
}

/* ---- Rounds ---------------------------------------------------------------------------- */

static void go_round(struct isthmus_primitive *own)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        int index = isthmus_barrier_wait(own, SOON());
        CHECK(index >= 0 && index < (int)PARTIES);
        const uint32_t bit = UINT32_C(1) << index;
        CHECK_UINT(__atomic_fetch_or(&shared->arrived[i], bit, __ATOMIC_ACQ_REL) & bit, 0);
        /* All that left round i had arrived in it, so all of round i - 1 have left that. */
        if (i > 0)
            CHECK_UINT(peek(&shared->arrived[i - 1]), (1u << PARTIES) - 1);
    }
}

static void *go_round_in_a_thread(void *argument)
{
    go_round(argument);
    return NULL;
}

static void threads_and_processes_go_round_together(void)
{
    struct together_threads threads;
    begin(PARTIES);
    pid_t child = together_send(&barrier, go_round);
    together_begin(&threads, 2, go_round_in_a_thread, &barrier);
    go_round(&second);
    together_end(&threads);
    CHECK_INT(check_join_child(child), 0);
    CHECK_UINT(state()->round, 2 * ROUNDS);
    CHECK_UINT(isthmus_barrier_waiting(&barrier), 0);
    end();
}

static void the_last_one_does_what_is_to_be_done_before_the_others_go(void)
{
    uint32_t round, other_round;
    begin(2);
    CHECK_INT(isthmus_barrier_arrive(&barrier, SOON(), &round), 0);
    CHECK_UINT(isthmus_barrier_waiting(&second), 1);
    CHECK_INT(isthmus_barrier_arrive(&second, SOON(), &other_round), 1);
    CHECK_UINT(round, other_round);
    /* Not tripped yet: nobody goes, and nobody comes in. */
    struct isthmus_primitive third;
    together_join(&third, &barrier);
    CHECK_RESULT(isthmus_barrier_arrive(&third, 0, &round), -ETIMEDOUT);
    CHECK_OK(isthmus_barrier_trip(&second, other_round));
    CHECK_OK(isthmus_barrier_await(&barrier, 0, other_round));
    CHECK_RESULT(isthmus_barrier_trip(&second, other_round), -ISTHMUS_E_BROKEN);
    CHECK_INT(isthmus_barrier_arrive(&third, 0, &round), 0);
    CHECK_UINT(round, other_round + 2);
    CHECK_OK(isthmus_barrier_withdraw(&third, round));
    CHECK_UINT(isthmus_barrier_waiting(&second), 0);
    isthmus_primitive_close(&third);
    end();
}

/* ---- Broken ----------------------------------------------------------------------------- */

static void *wait_broken(void *argument)
{
    CHECK_RESULT(isthmus_barrier_wait(argument, SOON()), -ISTHMUS_E_BROKEN);
    count_up(&shared->broken);
    return NULL;
}

static void check_usable(uint32_t parties)
{
    uint32_t round;
    CHECK_INT(isthmus_barrier_is_broken(&barrier), 0);
    CHECK_UINT(isthmus_barrier_waiting(&barrier), 0);
    for (uint32_t i = 0; i < parties; i++)
        CHECK_INT(isthmus_barrier_arrive(i % 2 ? &second : &barrier, SOON(), &round), (int)i);
    CHECK_OK(isthmus_barrier_trip(&second, round));
    CHECK_OK(isthmus_barrier_await(&barrier, 0, round));
}

static void abort_breaks_it_until_a_reset(void)
{
    struct together_threads threads;
    begin(3);
    together_begin(&threads, 2, wait_broken, &barrier);
    UNTIL(isthmus_barrier_waiting(&second) == 2);
    CHECK_OK(isthmus_barrier_abort(&second));
    together_end(&threads);
    CHECK_INT(isthmus_barrier_is_broken(&barrier), 1);
    CHECK_RESULT(isthmus_barrier_wait(&barrier, SOON()), -ISTHMUS_E_BROKEN);
    CHECK_RESULT(isthmus_barrier_wait(&second, 0), -ISTHMUS_E_BROKEN);
    CHECK_OK(isthmus_barrier_abort(&second));
    CHECK_INT(isthmus_barrier_is_broken(&barrier), 1);
    CHECK_OK(isthmus_barrier_reset(&second));
    check_usable(3);
    end();
}

static void reset_sends_away_those_that_wait_and_leaves_it_usable(void)
{
    struct together_threads threads;
    begin(3);
    CHECK_OK(isthmus_barrier_reset(&barrier));
    CHECK_UINT(state()->round, 0);
    together_begin(&threads, 2, wait_broken, &barrier);
    UNTIL(isthmus_barrier_waiting(&second) == 2);
    CHECK_OK(isthmus_barrier_reset(&second));
    together_end(&threads);
    check_usable(3);
    end();
}

static void a_timeout_breaks_it_for_all(void)
{
    struct together_threads threads;
    begin(3);
    together_begin(&threads, 1, wait_broken, &barrier);
    UNTIL(isthmus_barrier_waiting(&second) == 1);
    const uint64_t deadline = isthmus_deadline_after(12000000);
    CHECK_RESULT(isthmus_barrier_wait(&second, deadline), -ISTHMUS_E_BROKEN);
    CHECK(isthmus_deadline_after(0) >= deadline);
    together_end(&threads);
    CHECK_INT(isthmus_barrier_is_broken(&barrier), 1);
    CHECK_OK(isthmus_barrier_reset(&barrier));
    /* With no time at all as well. */
    CHECK_RESULT(isthmus_barrier_wait(&barrier, 0), -ISTHMUS_E_BROKEN);
    CHECK_OK(isthmus_barrier_reset(&barrier));
    check_usable(3);
    end();
}

/* One that was put aside learns how its round ended, however many the others have gone on. */
static void how_a_round_ended_is_known_long_after(void)
{
    uint32_t round, later;
    begin(1);
    CHECK_INT(isthmus_barrier_arrive(&barrier, 0, &round), 0);
    CHECK_OK(isthmus_barrier_reset(&second));
    for (unsigned i = 0; i < 200; i++)
        CHECK_INT(isthmus_barrier_wait(&second, 0), 0);
    CHECK_RESULT(isthmus_barrier_await(&barrier, 0, round), -ISTHMUS_E_BROKEN);
    CHECK_INT(isthmus_barrier_arrive(&barrier, 0, &later), 0);
    CHECK_OK(isthmus_barrier_trip(&barrier, later));
    CHECK_OK(isthmus_barrier_await(&second, 0, later));
    for (unsigned i = 0; i < 200; i++) {
        if (i % 64 == 63)
            CHECK_OK(isthmus_barrier_abort(&second));
        CHECK_OK(isthmus_barrier_reset(&second));
        CHECK_INT(isthmus_barrier_wait(&second, 0), 0);
    }
    CHECK_OK(isthmus_barrier_await(&second, 0, later));
    CHECK_RESULT(isthmus_barrier_await(&barrier, 0, round), -ISTHMUS_E_BROKEN);
    end();
}

/* In doubt as broken: who goes on as if all had met might be alone. */
static void of_rounds_that_broke_eleven_are_known(void)
{
    uint32_t before, rounds[11];
    begin(2);
    CHECK_INT(isthmus_barrier_arrive(&barrier, 0, &before), 0);
    CHECK_INT(isthmus_barrier_wait(&second, 0), 1);
    for (unsigned i = 0; i < 11; i++) {
        CHECK_OK(isthmus_barrier_await(&barrier, 0, before));
        CHECK_INT(isthmus_barrier_arrive(&barrier, 0, &rounds[i]), 0);
        CHECK_OK(isthmus_barrier_reset(&second));
    }
    for (unsigned i = 0; i < 11; i++)
        CHECK_RESULT(isthmus_barrier_await(&barrier, 0, rounds[i]), -ISTHMUS_E_BROKEN);
    CHECK_RESULT(isthmus_barrier_await(&barrier, 0, before), -ISTHMUS_E_BROKEN);
    end();
}

/* Those that broke then are no newer for it. */
static void how_a_round_ended_is_known_when_none_has_broken_for_as_long_as_numbers_last(void)
{
    uint32_t round;
    begin(1);
    for (unsigned i = 0; i < 30; i++) {
        CHECK_OK(isthmus_barrier_abort(&barrier));
        CHECK_OK(isthmus_barrier_reset(&barrier));
    }
    const uint32_t last = state()->round;
    for (uint32_t part = 1; part < 16; part++) {
        state()->round = last + (part << 28);
        CHECK_INT(isthmus_barrier_arrive(&barrier, 0, &round), 0);
        CHECK_OK(isthmus_barrier_trip(&barrier, round));
        CHECK_OK(isthmus_barrier_await(&second, 0, round));
        CHECK_INT(isthmus_barrier_wait(&barrier, 0), 0);
        CHECK_OK(isthmus_barrier_await(&second, 0, round));
    }
    /* One that breaks is known as well, and so are those around it. */
    for (unsigned broken = 0; broken < 2; broken++) {
        CHECK_INT(isthmus_barrier_arrive(&barrier, 0, &round), 0);
        CHECK_RESULT(
            broken ? isthmus_barrier_reset(&second) : isthmus_barrier_trip(&barrier, round), 0);
        CHECK_INT(isthmus_barrier_wait(&second, 0), 0);
        CHECK_RESULT(isthmus_barrier_await(&second, 0, round), broken ? -ISTHMUS_E_BROKEN : 0);
    }
    end();
}

static void a_round_that_was_about_to_break_may_end_well(void)
{
    uint32_t round;
    begin(2);
    CHECK_INT(isthmus_barrier_arrive(&barrier, 0, &round), 0);
    /* As left by one that died in the middle of it. */
    state()->broken[state()->breaks++ % ISTHMUS_BARRIER_BROKEN] = round | 1;
    CHECK_INT(isthmus_barrier_wait(&second, 0), 1);
    CHECK_OK(isthmus_barrier_await(&barrier, 0, round));
    CHECK_INT(isthmus_barrier_arrive(&barrier, 0, &round), 0);
    state()->broken[state()->breaks % ISTHMUS_BARRIER_BROKEN] = round | 1;
    CHECK_INT(isthmus_barrier_wait(&second, 0), 1);
    CHECK_OK(isthmus_barrier_await(&barrier, 0, round));
    /* Or be broken by the next one, once. */
    CHECK_INT(isthmus_barrier_arrive(&barrier, 0, &round), 0);
    const uint32_t breaks = ++state()->breaks;
    state()->broken[(breaks - 1) % ISTHMUS_BARRIER_BROKEN] = round | 1;
    CHECK_OK(isthmus_barrier_reset(&second));
    CHECK_RESULT(isthmus_barrier_await(&barrier, 0, round), -ISTHMUS_E_BROKEN);
    CHECK_UINT(state()->breaks, breaks);
    end();
}

/* ---- Signals ------------------------------------------------------------------------------ */

static void ring(int number)
{
    (void)number;
}

/* Signals until it is gone: the first may have come before the sleep. */
static pid_t ring_for(pid_t who)
{
    pid_t bell = fork();
    CHECK(bell >= 0);
    if (bell == 0) {
        UNTIL(together_waiting(&barrier));
        while (getppid() == who && kill(who, SIGUSR1) == 0)
            together_pause();
        _exit(0);
    }
    return bell;
}

static void a_signal_withdraws_a_party(void)
{
    const struct sigaction action = {.sa_handler = ring};
    begin(2);
    CHECK_INT(sigaction(SIGUSR1, &action, NULL), 0);
    pid_t bell = ring_for(getpid());
    CHECK_RESULT(isthmus_barrier_wait(&barrier, SOON()), -EINTR);
    together_kill(bell);
    CHECK_UINT(isthmus_barrier_waiting(&barrier), 0);
    CHECK_INT(isthmus_barrier_is_broken(&barrier), 0);
    check_usable(2);
    end();
}

static void one_that_all_others_have_met_cannot_withdraw(void)
{
    uint32_t round, other;
    begin(2);
    CHECK_INT(isthmus_barrier_arrive(&barrier, SOON(), &round), 0);
    CHECK_INT(isthmus_barrier_arrive(&second, SOON(), &other), 1);
    /* All are there. Were it gone now, the last one would go through the barrier alone. */
    CHECK_INT(isthmus_barrier_withdraw(&barrier, round), 1);
    CHECK_UINT(isthmus_barrier_waiting(&second), 2);
    CHECK_OK(isthmus_barrier_trip(&second, other));
    CHECK_INT(isthmus_barrier_withdraw(&barrier, round), 1);
    CHECK_OK(isthmus_barrier_await(&barrier, 0, round));
    check_usable(2);
    end();
}

static void *wait_through_signals(void *argument)
{
    CHECK_INT(isthmus_barrier_wait(argument, SOON()), 0);
    count_up(&shared->ended);
    return NULL;
}

static void a_signal_does_not_part_one_from_those_that_it_has_met(void)
{
    const struct sigaction action = {.sa_handler = ring};
    struct together_threads thread;
    uint32_t round;
    begin(2);
    CHECK_INT(sigaction(SIGUSR1, &action, NULL), 0);
    together_begin(&thread, 1, wait_through_signals, &barrier);
    UNTIL(isthmus_barrier_waiting(&second) == 1);
    CHECK_INT(isthmus_barrier_arrive(&second, SOON(), &round), 1);
    for (unsigned i = 0; i < 20; i++) {
        CHECK_INT(pthread_kill(thread.threads[0], SIGUSR1), 0);
        together_pause();
    }
    CHECK_UINT(peek(&shared->ended), 0);
    CHECK_OK(isthmus_barrier_trip(&second, round));
    together_end(&thread);
    check_usable(2);
    end();
}

/* ---- Death ---------------------------------------------------------------------------------- */

static void arrive(struct isthmus_primitive *own)
{
    uint32_t round;
    CHECK(isthmus_barrier_arrive(own, SOON(), &round) >= 0);
}

static void a_waiting_party_that_dies_breaks_it(void)
{
    struct together_threads threads;
    begin(4);
    together_begin(&threads, 2, wait_broken, &barrier);
    UNTIL(isthmus_barrier_waiting(&second) == 2);
    together_kill(together_stay(&barrier, arrive));
    together_end(&threads);
    CHECK_INT(isthmus_barrier_is_broken(&barrier), 1);
    CHECK_OK(isthmus_barrier_reset(&second));
    check_usable(4);
    end();
}

/* Nobody was there to notice it: the next one must not meet the dead. */
static void a_party_that_died_alone_meets_nobody(void)
{
    uint32_t round;
    begin(2);
    pid_t alone = together_stay(&barrier, arrive);
    CHECK_UINT(isthmus_barrier_waiting(&second), 1);
    together_kill(alone);
    CHECK_UINT(isthmus_barrier_waiting(&second), 0);
    CHECK_RESULT(isthmus_barrier_wait(&second, SOON()), -ISTHMUS_E_BROKEN);
    CHECK_INT(isthmus_barrier_is_broken(&barrier), 1);
    CHECK_OK(isthmus_barrier_reset(&second));
    check_usable(2);
    /* Nor is a round whole when one of it dies while the last one is at work. */
    alone = together_stay(&barrier, arrive);
    CHECK_INT(isthmus_barrier_arrive(&second, 0, &round), 1);
    together_kill(alone);
    CHECK_RESULT(isthmus_barrier_trip(&second, round), -ISTHMUS_E_BROKEN);
    CHECK_RESULT(isthmus_barrier_await(&barrier, 0, round), -ISTHMUS_E_BROKEN);
    CHECK_OK(isthmus_barrier_reset(&second));
    check_usable(2);
    end();
}

static void the_last_one_dying_before_it_trips_breaks_it(void)
{
    struct together_threads threads;
    begin(3);
    together_begin(&threads, 2, wait_broken, &barrier);
    UNTIL(isthmus_barrier_waiting(&second) == 2);
    pid_t last = together_stay(&barrier, arrive);
    CHECK_UINT(isthmus_barrier_waiting(&second), 3);
    together_kill(last);
    together_end(&threads);
    CHECK_OK(isthmus_barrier_reset(&second));
    check_usable(3);
    end();
}

/* Which is too short for the slices of a sleep to end. */
static void those_that_never_wait_for_long_find_a_party_that_died_as_well(void)
{
    uint32_t round;
    for (int tries_only = 0; tries_only < 2; tries_only++) {
        const int64_t moment = tries_only ? 0 : 3000000;
        /* All have met in a round that nobody is left to end. */
        begin(1);
        together_kill(together_stay(&barrier, arrive));
        UNTIL(isthmus_barrier_arrive(&second, moment ? isthmus_deadline_after(moment) : 0,
                                     &round) == -ISTHMUS_E_BROKEN);
        CHECK_INT(isthmus_barrier_is_broken(&barrier), 1);
        end();
        /* Or one waits who has not given up yet. */
        begin(3);
        CHECK_INT(isthmus_barrier_arrive(&second, 0, &round), 0);
        together_kill(together_stay(&barrier, arrive));
        UNTIL(isthmus_barrier_await(&second, moment ? isthmus_deadline_after(moment) : 0, round) ==
              -ISTHMUS_E_BROKEN);
        CHECK_INT(isthmus_barrier_is_broken(&barrier), 1);
        end();
    }
}

static void a_party_that_closes_its_handle_while_it_waits_breaks_it(void)
{
    struct isthmus_primitive third;
    uint32_t round;
    begin(3);
    together_join(&third, &barrier);
    CHECK_INT(isthmus_barrier_arrive(&third, SOON(), &round), 0);
    CHECK_INT(isthmus_barrier_arrive(&barrier, SOON(), &round), 1);
    isthmus_primitive_close(&third);
    CHECK_RESULT(isthmus_barrier_await(&barrier, SOON(), round), -ISTHMUS_E_BROKEN);
    CHECK_OK(isthmus_barrier_reset(&second));
    check_usable(3);
    end();
}

/* ---- What others may have written -------------------------------------------------------------
 */

static void shares_and_guards_of_nobody_break_it_at_worst(void)
{
    begin(2);
    state()->guard = ISTHMUS_WORD_WAITERS | 0xffff;
    barrier.shared->used = UINT32_MAX;
    barrier.slots[6].share = UINT32_MAX;
    CHECK_RESULT(isthmus_barrier_wait(&barrier, isthmus_deadline_after(PATIENCE_NS / 10)),
                 -ISTHMUS_E_BROKEN);
    CHECK_UINT(barrier.slots[6].share, 0);
    CHECK_OK(isthmus_barrier_reset(&second));
    check_usable(2);
    state()->round = UINT32_MAX - 1;
    check_usable(2);
    CHECK_UINT(state()->round, 0);
    check_usable(2);
    end();
}

/* Numbers that nobody counted to are no error codes. */
static void a_number_of_arrivals_that_cannot_be_is_not_given_out(void)
{
    begin(2);
    state()->parties = UINT32_MAX;
    barrier.slots[second.slot].share = UINT32_C(1) << 31; /* of one that lives */
    CHECK_RESULT(isthmus_barrier_wait(&barrier, 0), -ETIMEDOUT);
    end();
}

static const struct check_test tests[] = {
    CHECK_TEST(alone_it_trips_at_once),
    CHECK_TEST(the_number_of_parties_must_be_sensible),
    CHECK_TEST(a_handle_that_is_closed_or_of_another_kind_is_refused),
    CHECK_TEST(threads_and_processes_go_round_together),
    CHECK_TEST(the_last_one_does_what_is_to_be_done_before_the_others_go),
    CHECK_TEST(abort_breaks_it_until_a_reset),
    CHECK_TEST(reset_sends_away_those_that_wait_and_leaves_it_usable),
    CHECK_TEST(a_timeout_breaks_it_for_all),
    CHECK_TEST(how_a_round_ended_is_known_long_after),
    CHECK_TEST(of_rounds_that_broke_eleven_are_known),
    CHECK_TEST(how_a_round_ended_is_known_when_none_has_broken_for_as_long_as_numbers_last),
    CHECK_TEST(a_round_that_was_about_to_break_may_end_well),
    CHECK_TEST(a_signal_withdraws_a_party),
    CHECK_TEST(one_that_all_others_have_met_cannot_withdraw),
    CHECK_TEST(a_signal_does_not_part_one_from_those_that_it_has_met),
    CHECK_TEST(a_waiting_party_that_dies_breaks_it),
    CHECK_TEST(a_party_that_died_alone_meets_nobody),
    CHECK_TEST(the_last_one_dying_before_it_trips_breaks_it),
    CHECK_TEST(those_that_never_wait_for_long_find_a_party_that_died_as_well),
    CHECK_TEST(a_party_that_closes_its_handle_while_it_waits_breaks_it),
    CHECK_TEST(shares_and_guards_of_nobody_break_it_at_worst),
    CHECK_TEST(a_number_of_arrivals_that_cannot_be_is_not_given_out),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
