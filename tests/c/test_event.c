/* Events. */
#include "check.h"
#include "together.h"
#include <errno.h>
#include <unistd.h>

#define ROUNDS 300u
#define WAITERS 5u

static struct isthmus_primitive event, second;
static uint32_t *words; /* shared with children */

static struct isthmus_shared_event *state(void)
{
    return (struct isthmus_shared_event *)(event.shared + 1);
}

static void begin(void)
{
    together_make(&event, ISTHMUS_KIND_EVENT, 0, 0);
    together_join(&second, &event);
    words = together_memory(4096);
}

static void end(void)
{
    isthmus_primitive_close(&second);
    isthmus_primitive_close(&event);
}

static int wait_until(struct isthmus_primitive *handle, uint64_t deadline)
{
    uint32_t seen = 0;
    return isthmus_event_wait(handle, deadline, &seen);
}

static void an_event_is_set_until_it_is_cleared(void)
{
    begin();
    CHECK_INT(isthmus_event_is_set(&event), 0);
    CHECK_RESULT(wait_until(&event, 0), -ETIMEDOUT);
    CHECK_RESULT(wait_until(&event, isthmus_deadline_after(12000000)), -ETIMEDOUT);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_OK(isthmus_event_set(&event));
        CHECK_OK(isthmus_event_set(&second));
        CHECK_INT(isthmus_event_is_set(&second), 1);
        CHECK_OK(wait_until(&event, 0));
        CHECK_OK(wait_until(&second, ISTHMUS_FOREVER));
        CHECK_OK(isthmus_event_clear(&second));
        CHECK_OK(isthmus_event_clear(&event));
        CHECK_INT(isthmus_event_is_set(&event), 0);
        CHECK_RESULT(wait_until(&event, 0), -ETIMEDOUT);
    }
    end();
}

static void a_wait_that_goes_on_sees_what_was_set_and_cleared_meanwhile(void)
{
    uint32_t seen = 0;
    begin();
    CHECK_RESULT(isthmus_event_wait(&event, 0, &seen), -ETIMEDOUT);
    CHECK(seen != 0);
    CHECK_RESULT(isthmus_event_wait(&event, 0, &seen), -ETIMEDOUT);
    CHECK_OK(isthmus_event_set(&second));
    CHECK_OK(isthmus_event_clear(&second));
    CHECK_OK(isthmus_event_wait(&event, 0, &seen));
    CHECK_RESULT(wait_until(&event, 0), -ETIMEDOUT);
    /* Also when the count begins anew. */
    state()->word = ~(ISTHMUS_WORD_WAITERS | 1u);
    seen = 0;
    CHECK_RESULT(isthmus_event_wait(&event, 0, &seen), -ETIMEDOUT);
    CHECK_OK(isthmus_event_set(&event));
    CHECK_OK(isthmus_event_clear(&event));
    CHECK_UINT(state()->word, 0);
    CHECK_OK(isthmus_event_wait(&event, 0, &seen));
    end();
}

static void a_handle_that_is_closed_or_of_another_kind_is_refused(void)
{
    begin();
    end();
    CHECK_RESULT(isthmus_event_set(&event), -EBADF);
    CHECK_RESULT(isthmus_event_clear(&event), -EBADF);
    CHECK_RESULT(isthmus_event_is_set(&event), -EBADF);
    CHECK_RESULT(wait_until(&event, 0), -EBADF);
    together_make(&event, ISTHMUS_KIND_LOCK, 0, 0);
    CHECK_RESULT(isthmus_event_set(&event), -EINVAL);
    CHECK_RESULT(isthmus_event_clear(&event), -EINVAL);
    CHECK_RESULT(isthmus_event_is_set(&event), -EINVAL);
    CHECK_RESULT(wait_until(&event, 0), -EINVAL);
    isthmus_primitive_close(&event);
}

static void *wait_once(void *argument)
{
    CHECK_OK(wait_until(argument, SOON()));
    count_up(words);
    return NULL;
}

static void wait_in_a_process(struct isthmus_primitive *own)
{
    wait_once(own);
}

static void setting_wakes_all_threads_and_processes(void)
{
    struct together_threads threads;
    pid_t children[WAITERS];
    begin();
    for (unsigned i = 0; i < WAITERS; i++)
        children[i] = together_send(&event, wait_in_a_process);
    together_begin(&threads, WAITERS, wait_once, &event);
    UNTIL(together_waiting(&event));
    CHECK_OK(isthmus_event_set(&second));
    together_end(&threads);
    for (unsigned i = 0; i < WAITERS; i++)
        CHECK_INT(check_join_child(children[i]), 0);
    CHECK_UINT(peek(words), 2 * WAITERS);
    CHECK_UINT(together_waiting(&event), 0);
    end();
}

/* Two events to and fro: each wake-up is needed. */
static struct isthmus_primitive answer;

static void answer_each(struct isthmus_primitive *own)
{
    struct isthmus_primitive back;
    together_join(&back, &answer);
    for (unsigned i = 0; i < ROUNDS; i++) {
        CHECK_OK(wait_until(own, SOON()));
        CHECK_OK(isthmus_event_clear(own));
        CHECK_OK(isthmus_event_set(&back));
    }
    isthmus_primitive_close(&back);
}

static void two_processes_play_ping_pong(void)
{
    begin();
    together_make(&answer, ISTHMUS_KIND_EVENT, 0, 0);
    pid_t child = together_send(&event, answer_each);
    for (unsigned i = 0; i < ROUNDS; i++) {
        CHECK_OK(isthmus_event_set(&event));
        CHECK_OK(wait_until(&answer, SOON()));
        CHECK_OK(isthmus_event_clear(&answer));
    }
    CHECK_INT(check_join_child(child), 0);
    isthmus_primitive_close(&answer);
    end();
}

static void a_pulse_reaches_all_that_wait(void)
{
    struct together_threads threads;
    begin();
    for (unsigned i = 0; i < 50; i++) {
        poke(words, 0);
        together_begin(&threads, 2, wait_once, &event);
        UNTIL(together_waiting(&event));
        CHECK_OK(isthmus_event_set(&second));
        CHECK_OK(isthmus_event_clear(&second));
        /* One of them may have come too late for this pulse, not both. */
        UNTIL(peek(words) >= 1);
        CHECK_OK(isthmus_event_set(&second));
        together_end(&threads);
        CHECK_OK(isthmus_event_clear(&second));
    }
    end();
}

static void set_it(struct isthmus_primitive *own)
{
    CHECK_OK(isthmus_event_set(own));
}

static void what_a_dead_process_has_set_stays_set(void)
{
    begin();
    together_kill(together_stay(&event, set_it));
    CHECK_OK(wait_until(&event, 0));
    end();
}

static const struct check_test tests[] = {
    CHECK_TEST(an_event_is_set_until_it_is_cleared),
    CHECK_TEST(a_wait_that_goes_on_sees_what_was_set_and_cleared_meanwhile),
    CHECK_TEST(a_handle_that_is_closed_or_of_another_kind_is_refused),
    CHECK_TEST(setting_wakes_all_threads_and_processes),
    CHECK_TEST(two_processes_play_ping_pong),
    CHECK_TEST(a_pulse_reaches_all_that_wait),
    CHECK_TEST(what_a_dead_process_has_set_stays_set),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
