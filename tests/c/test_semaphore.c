/* Semaphores, plain and robust. */
#include "check.h"
#include "together.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define ROUNDS 1500u
#define THREADS 4u

static struct isthmus_primitive semaphore, second;
static struct together_area *area;

static struct isthmus_shared_semaphore *state(void)
{
    return (struct isthmus_shared_semaphore *)(semaphore.shared + 1);
}

static void begin(uint32_t flags, int64_t permits)
{
    together_make(&semaphore, ISTHMUS_KIND_SEMAPHORE, flags, permits);
    together_join(&second, &semaphore);
    area = together_memory(sizeof *area);
}

static void end(void)
{
    CHECK_UINT(together_waiting(&semaphore) && semaphore.count, 0);
    isthmus_primitive_close(&second);
    isthmus_primitive_close(&semaphore);
}

#define FOR_PLAIN_AND_ROBUST(flags) for (uint32_t flags = 0; flags <= ISTHMUS_ROBUST; flags++)

static void permits_go_and_come_back(void)
{
    FOR_PLAIN_AND_ROBUST(flags)
    {
        begin(flags, 2);
        CHECK_UINT(isthmus_semaphore_value(&semaphore), 2);
        CHECK_OK(isthmus_semaphore_acquire(&semaphore, 0));
        CHECK_OK(isthmus_semaphore_acquire(&second, ISTHMUS_FOREVER));
        CHECK_UINT(isthmus_semaphore_value(&semaphore), 0);
        CHECK_RESULT(isthmus_semaphore_acquire(&semaphore, 0), -ETIMEDOUT);
        CHECK_RESULT(isthmus_semaphore_acquire(&second, 1), -ETIMEDOUT);
        CHECK_OK(isthmus_semaphore_release(&second, 1));
        CHECK_OK(isthmus_semaphore_acquire(&semaphore, 0));
        CHECK_OK(isthmus_semaphore_release(&semaphore, 2));
        CHECK_UINT(isthmus_semaphore_value(&second), 2);
        CHECK_OK(isthmus_semaphore_release(&semaphore, 0));
        CHECK_UINT(isthmus_semaphore_value(&second), 2);
        end();
    }
}

static void none_at_the_start_are_none(void)
{
    begin(0, 0);
    CHECK_RESULT(isthmus_semaphore_acquire(&semaphore, 0), -ETIMEDOUT);
    CHECK_OK(isthmus_semaphore_release(&second, 3));
    CHECK_UINT(isthmus_semaphore_value(&semaphore), 3);
    end();
    begin(ISTHMUS_ROBUST, 0);
    CHECK_RESULT(isthmus_semaphore_acquire(&semaphore, 0), -ETIMEDOUT);
    CHECK_RESULT(isthmus_semaphore_release(&semaphore, 1), -EPERM);
    end();
}

static void a_plain_one_counts_to_its_maximum(void)
{
    struct isthmus_primitive_plan plan = {.kind = ISTHMUS_KIND_SEMAPHORE, .maximum = 3, .value = 2};
    struct isthmus_primitive bounded;
    CHECK_OK(isthmus_primitive_anonymous(&bounded, &plan));
    CHECK_RESULT(isthmus_semaphore_release(&bounded, 2), -EOVERFLOW);
    CHECK_RESULT(isthmus_semaphore_release(&bounded, UINT32_MAX), -EOVERFLOW);
    CHECK_UINT(isthmus_semaphore_value(&bounded), 2);
    CHECK_OK(isthmus_semaphore_release(&bounded, 1));
    CHECK_RESULT(isthmus_semaphore_release(&bounded, 1), -EOVERFLOW);
    isthmus_primitive_close(&bounded);
    plan.value = 4;
    CHECK_RESULT(isthmus_primitive_anonymous(&bounded, &plan), -EINVAL);
    plan.value = -1;
    CHECK_RESULT(isthmus_primitive_anonymous(&bounded, &plan), -EINVAL);
    plan.maximum = UINT32_C(1) << 31;
    CHECK_RESULT(isthmus_primitive_anonymous(&bounded, &plan), -EINVAL);

    begin(0, ISTHMUS_PERMITS_MAX);
    CHECK_RESULT(isthmus_semaphore_release(&semaphore, 1), -EOVERFLOW);
    CHECK_OK(isthmus_semaphore_acquire(&semaphore, 0));
    CHECK_OK(isthmus_semaphore_release(&semaphore, 1));
    CHECK_UINT(isthmus_semaphore_value(&semaphore), ISTHMUS_PERMITS_MAX);
    end();
}

/* Else one that looked before the release would go to sleep after it (tests/models). */
static void a_release_leaves_another_word_even_when_the_next_one_waits_again(void)
{
    begin(ISTHMUS_ROBUST, 2);
    const uint32_t before = state()->word | ISTHMUS_WORD_WAITERS;
    CHECK_OK(isthmus_semaphore_acquire(&semaphore, 0));
    state()->word |= ISTHMUS_WORD_WAITERS;
    CHECK_OK(isthmus_semaphore_release(&semaphore, 1));
    CHECK_UINT(state()->word & ISTHMUS_WORD_WAITERS, 0);
    CHECK((state()->word | ISTHMUS_WORD_WAITERS) != before);
    /* Nor does a count that is full become a bit that says that somebody waits. */
    state()->word = ~ISTHMUS_WORD_WAITERS;
    CHECK_OK(isthmus_semaphore_acquire(&semaphore, 0));
    CHECK_OK(isthmus_semaphore_release(&semaphore, 1));
    CHECK_UINT(state()->word, 0);
    end();
}

static void permits_of_a_robust_one_are_given_back_by_who_took_them(void)
{
    struct isthmus_participant who;
    begin(ISTHMUS_ROBUST, 3);
    CHECK_RESULT(isthmus_semaphore_release(&semaphore, 1), -EPERM);
    CHECK_OK(isthmus_semaphore_acquire(&semaphore, 0));
    CHECK_OK(isthmus_semaphore_acquire(&semaphore, 0));
    CHECK_RESULT(isthmus_semaphore_release(&second, 1), -EPERM);
    CHECK_RESULT(isthmus_semaphore_release(&semaphore, 3), -EPERM);
    CHECK_UINT(isthmus_semaphore_value(&semaphore), 1);
    CHECK_OK(isthmus_primitive_participant(&second, (uint32_t)semaphore.slot, &who));
    CHECK_UINT(who.share, 2);
    CHECK_INT(who.alive, 1);
    CHECK_OK(isthmus_semaphore_release(&semaphore, 2));
    end();
}

static void closing_gives_back_what_a_robust_one_holds_and_not_what_a_plain_one_holds(void)
{
    FOR_PLAIN_AND_ROBUST(flags)
    {
        begin(flags, 2);
        CHECK_OK(isthmus_semaphore_acquire(&second, 0));
        CHECK_OK(isthmus_semaphore_acquire(&second, 0));
        isthmus_primitive_close(&second);
        CHECK_UINT(isthmus_semaphore_value(&semaphore), flags ? 2 : 0);
        CHECK_RESULT(isthmus_semaphore_acquire(&semaphore, 0), flags ? 0 : -ETIMEDOUT);
        end();
    }
}

static void a_handle_that_is_closed_or_of_another_kind_is_refused(void)
{
    begin(0, 1);
    end();
    CHECK_RESULT(isthmus_semaphore_acquire(&semaphore, 0), -EBADF);
    CHECK_RESULT(isthmus_semaphore_release(&semaphore, 1), -EBADF);
    CHECK_UINT(isthmus_semaphore_value(&semaphore), 0);
    together_make(&semaphore, ISTHMUS_KIND_EVENT, 0, 0);
    CHECK_RESULT(isthmus_semaphore_acquire(&semaphore, 0), -EINVAL);
    CHECK_RESULT(isthmus_semaphore_release(&semaphore, 1), -EINVAL);
    CHECK_UINT(isthmus_semaphore_value(&semaphore), 0);
    isthmus_primitive_close(&semaphore);
}

/* ---- Several ------------------------------------------------------------------------ */

static void *work_in_turn(void *argument)
{
    struct isthmus_primitive *handle = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        CHECK_OK(isthmus_semaphore_acquire(handle, SOON()));
        together_alone(area);
        CHECK_OK(isthmus_semaphore_release(handle, 1));
    }
    return NULL;
}

static void work_in_a_process(struct isthmus_primitive *own)
{
    work_in_turn(own);
}

static void with_one_permit_threads_and_processes_take_turns(void)
{
    FOR_PLAIN_AND_ROBUST(flags)
    {
        struct together_threads threads;
        pid_t children[2];
        begin(flags, 1);
        for (unsigned i = 0; i < 2; i++)
            children[i] = together_send(&semaphore, work_in_a_process);
        together_begin(&threads, THREADS, work_in_turn, &semaphore);
        together_end(&threads);
        for (unsigned i = 0; i < 2; i++)
            CHECK_INT(check_join_child(children[i]), 0);
        CHECK_UINT(area->first, (THREADS + 2) * ROUNDS);
        CHECK_UINT(isthmus_semaphore_value(&semaphore), 1);
        end();
    }
}

static void *take_one(void *argument)
{
    CHECK_OK(isthmus_semaphore_acquire(argument, SOON()));
    return NULL;
}

static void a_release_of_many_wakes_as_many(void)
{
    struct together_threads threads;
    begin(0, 0);
    together_begin(&threads, 6, take_one, &semaphore);
    UNTIL(together_waiting(&semaphore));
    CHECK_OK(isthmus_semaphore_release(&second, 2));
    CHECK_OK(isthmus_semaphore_release(&second, 1));
    CHECK_OK(isthmus_semaphore_release(&second, 3));
    together_end(&threads);
    CHECK_UINT(isthmus_semaphore_value(&semaphore), 0);
    end();
}

static void giving_back_nothing_leaves_those_that_wait_to_the_next_release(void)
{
    struct together_threads thread;
    begin(0, 0);
    together_begin(&thread, 1, take_one, &semaphore);
    UNTIL(state()->word == ISTHMUS_WORD_WAITERS);
    CHECK_OK(isthmus_semaphore_release(&second, 0));
    /* Else a release that follows would not know that somebody sleeps. */
    CHECK_UINT(peek(&state()->word), ISTHMUS_WORD_WAITERS);
    CHECK_OK(isthmus_semaphore_release(&second, 1));
    together_end(&thread);
    end();
}

/* ---- Death --------------------------------------------------------------------------- */

static void take_two(struct isthmus_primitive *own)
{
    CHECK_OK(isthmus_semaphore_acquire(own, 0));
    CHECK_OK(isthmus_semaphore_acquire(own, 0));
}

static void a_robust_one_gets_back_the_permits_of_the_dead(void)
{
    for (int only_try = 0; only_try < 2; only_try++) {
        begin(ISTHMUS_ROBUST, 3);
        pid_t child = together_stay(&semaphore, take_two);
        CHECK_OK(isthmus_semaphore_acquire(&semaphore, 0));
        CHECK_RESULT(isthmus_semaphore_acquire(&semaphore, 0), -ETIMEDOUT);
        together_kill(child);
        if (only_try)
            UNTIL(isthmus_semaphore_acquire(&semaphore, 0) == 0);
        else
            CHECK_OK(isthmus_semaphore_acquire(&semaphore, SOON()));
        CHECK_OK(isthmus_semaphore_acquire(&semaphore, SOON()));
        CHECK_OK(isthmus_semaphore_release(&semaphore, 3));
        CHECK_UINT(isthmus_semaphore_value(&semaphore), 3);
        end();
    }
}

/* Which is too short for the slices of a sleep to end. */
static void one_that_never_waits_for_long_gets_the_permits_of_the_dead_as_well(void)
{
    begin(ISTHMUS_ROBUST, 2);
    pid_t child = together_stay(&semaphore, take_two);
    CHECK_RESULT(isthmus_semaphore_acquire(&semaphore, isthmus_deadline_after(3000000)),
                 -ETIMEDOUT);
    together_kill(child);
    UNTIL(isthmus_semaphore_acquire(&semaphore, isthmus_deadline_after(3000000)) == 0);
    CHECK_OK(isthmus_semaphore_acquire(&semaphore, isthmus_deadline_after(3000000)));
    CHECK_OK(isthmus_semaphore_release(&semaphore, 2));
    end();
}

static void a_plain_one_does_not(void)
{
    begin(0, 3);
    together_kill(together_stay(&semaphore, take_two));
    CHECK_OK(isthmus_semaphore_acquire(&semaphore, SOON()));
    CHECK_RESULT(isthmus_semaphore_acquire(&semaphore, isthmus_deadline_after(30000000)),
                 -ETIMEDOUT);
    CHECK_OK(isthmus_semaphore_release(&semaphore, 3));
    end();
}

static void many_that_wait_share_what_the_dead_gives_back(void)
{
    struct together_threads threads;
    begin(ISTHMUS_ROBUST, 2);
    pid_t child = together_stay(&semaphore, take_two);
    together_begin(&threads, 2, take_one, &semaphore);
    UNTIL(together_waiting(&semaphore) == 2);
    together_kill(child);
    together_end(&threads);
    CHECK_UINT(isthmus_semaphore_value(&semaphore), 0);
    CHECK_OK(isthmus_semaphore_release(&semaphore, 2));
    end();
}

/* ---- What others may have written ------------------------------------------------------ */

static void shares_of_nobody_and_guards_of_nobody_come_back(void)
{
    begin(ISTHMUS_ROBUST, 1);
    semaphore.shared->used = UINT32_MAX;
    semaphore.shared->swept_ns = UINT64_MAX;
    semaphore.slots[5].share = UINT32_MAX;
    state()->guard = ISTHMUS_WORD_WAITERS | 0xffff;
    state()->word = UINT32_MAX;
    CHECK_OK(isthmus_semaphore_acquire(&semaphore, SOON()));
    CHECK_UINT(semaphore.slots[5].share, 0);
    CHECK_OK(isthmus_semaphore_release(&semaphore, 1));
    CHECK_UINT(isthmus_semaphore_value(&semaphore), 1);
    end();
}

static void a_share_beyond_all_permits_leaves_no_negative_number(void)
{
    begin(ISTHMUS_ROBUST, 1);
    semaphore.slots[second.slot].share = UINT32_MAX;
    CHECK_UINT(isthmus_semaphore_value(&semaphore), 0);
    CHECK_RESULT(isthmus_semaphore_acquire(&semaphore, isthmus_deadline_after(20000000)),
                 -ETIMEDOUT);
    isthmus_primitive_close(&second);
    CHECK_OK(isthmus_semaphore_acquire(&semaphore, 0));
    end();
}

static const struct check_test tests[] = {
    CHECK_TEST(permits_go_and_come_back),
    CHECK_TEST(none_at_the_start_are_none),
    CHECK_TEST(a_plain_one_counts_to_its_maximum),
    CHECK_TEST(a_release_leaves_another_word_even_when_the_next_one_waits_again),
    CHECK_TEST(permits_of_a_robust_one_are_given_back_by_who_took_them),
    CHECK_TEST(closing_gives_back_what_a_robust_one_holds_and_not_what_a_plain_one_holds),
    CHECK_TEST(a_handle_that_is_closed_or_of_another_kind_is_refused),
    CHECK_TEST(with_one_permit_threads_and_processes_take_turns),
    CHECK_TEST(a_release_of_many_wakes_as_many),
    CHECK_TEST(giving_back_nothing_leaves_those_that_wait_to_the_next_release),
    CHECK_TEST(a_robust_one_gets_back_the_permits_of_the_dead),
    CHECK_TEST(one_that_never_waits_for_long_gets_the_permits_of_the_dead_as_well),
    CHECK_TEST(a_plain_one_does_not),
    CHECK_TEST(many_that_wait_share_what_the_dead_gives_back),
    CHECK_TEST(shares_of_nobody_and_guards_of_nobody_come_back),
    CHECK_TEST(a_share_beyond_all_permits_leaves_no_negative_number),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
