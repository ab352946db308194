/* Atomic integers. */
#include "check.h"
#include "together.h"
#include <errno.h>
#include <unistd.h>

#define ROUNDS 20000u
#define THREADS 4u

static struct isthmus_primitive integer, second;

static void begin(int64_t value)
{
    together_make(&integer, ISTHMUS_KIND_ATOMIC_INT, 0, value);
    together_join(&second, &integer);
}

static void end(void)
{
    isthmus_primitive_close(&second);
    isthmus_primitive_close(&integer);
}

static void each_operation_gives_the_value_before(void)
{
    int64_t expected;
    begin(-5);
    CHECK_INT(isthmus_atomic_int_load(&integer), -5);
    CHECK_INT(isthmus_atomic_int_add(&integer, 7), -5);
    CHECK_INT(isthmus_atomic_int_sub(&second, 12), 2);
    CHECK_INT(isthmus_atomic_int_exchange(&integer, 0x5f), -10);
    CHECK_INT(isthmus_atomic_int_and(&second, 0x3c), 0x5f);
    CHECK_INT(isthmus_atomic_int_or(&integer, 0x103), 0x1c);
    CHECK_INT(isthmus_atomic_int_xor(&second, -1), 0x11f);
    CHECK_INT(isthmus_atomic_int_load(&second), ~INT64_C(0x11f));
    isthmus_atomic_int_store(&second, 3);
    expected = 4;
    CHECK_INT(isthmus_atomic_int_compare_exchange(&integer, &expected, 9), 0);
    CHECK_INT(expected, 3);
    CHECK_INT(isthmus_atomic_int_compare_exchange(&integer, &expected, 9), 1);
    CHECK_INT(expected, 3);
    CHECK_INT(isthmus_atomic_int_load(&second), 9);
    end();
}

static void it_wraps_around(void)
{
    begin(INT64_MAX);
    CHECK_INT(isthmus_atomic_int_add(&integer, 1), INT64_MAX);
    CHECK_INT(isthmus_atomic_int_load(&integer), INT64_MIN);
    CHECK_INT(isthmus_atomic_int_sub(&integer, 1), INT64_MIN);
    CHECK_INT(isthmus_atomic_int_load(&integer), INT64_MAX);
    isthmus_atomic_int_store(&integer, 0);
    CHECK_INT(isthmus_atomic_int_sub(&integer, INT64_MIN), 0);
    CHECK_INT(isthmus_atomic_int_load(&integer), INT64_MIN);
    CHECK_INT(isthmus_atomic_int_add(&integer, INT64_MIN), INT64_MIN);
    CHECK_INT(isthmus_atomic_int_load(&integer), 0);
    end();
}

static void *count(void *argument)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        isthmus_atomic_int_add(argument, i % 2 ? 3 : -1);
    return NULL;
}

static void count_in_a_process(struct isthmus_primitive *own)
{
    count(own);
}

static void no_addition_is_lost(void)
{
    struct together_threads threads;
    pid_t children[2];
    begin(0);
    for (unsigned i = 0; i < 2; i++)
        children[i] = together_send(&integer, count_in_a_process);
    together_begin(&threads, THREADS, count, &integer);
    together_end(&threads);
    for (unsigned i = 0; i < 2; i++)
        CHECK_INT(check_join_child(children[i]), 0);
    CHECK_INT(isthmus_atomic_int_load(&integer), (THREADS + 2) * ROUNDS);
    end();
}

static void waiting_ends_with_the_value(void)
{
    begin(1);
    CHECK_OK(isthmus_atomic_int_wait_while(&integer, 2, 0));
    CHECK_RESULT(isthmus_atomic_int_wait_while(&integer, 1, 0), -ETIMEDOUT);
    const uint64_t deadline = isthmus_deadline_after(12000000);
    CHECK_RESULT(isthmus_atomic_int_wait_while(&integer, 1, deadline), -ETIMEDOUT);
    CHECK(isthmus_deadline_after(0) >= deadline);
    end();
    CHECK_RESULT(isthmus_atomic_int_wait_while(&integer, 1, 0), -EBADF);
    together_make(&integer, ISTHMUS_KIND_EVENT, 0, 0);
    CHECK_RESULT(isthmus_atomic_int_wait_while(&integer, 1, 0), -EINVAL);
    isthmus_primitive_close(&integer);
}

static void *wait_for_change(void *argument)
{
    CHECK_OK(isthmus_atomic_int_wait_while(argument, 0, SOON()));
    return NULL;
}

static void change_by(unsigned operation)
{
    int64_t expected = 0;
    switch (operation) {
    case 0:
        isthmus_atomic_int_store(&second, 1);
        break;
    case 1:
        isthmus_atomic_int_add(&second, 1);
        break;
    case 2:
        isthmus_atomic_int_sub(&second, 1);
        break;
    case 3:
        isthmus_atomic_int_or(&second, 1);
        break;
    case 4:
        isthmus_atomic_int_xor(&second, 1);
        break;
    case 5:
        isthmus_atomic_int_exchange(&second, 1);
        break;
    default:
        CHECK_INT(isthmus_atomic_int_compare_exchange(&second, &expected, 1), 1);
    }
}

static void each_operation_wakes_all_that_wait(void)
{
    for (unsigned operation = 0; operation < 7; operation++) {
        struct together_threads threads;
        begin(0);
        together_begin(&threads, 3, wait_for_change, &integer);
        UNTIL(together_waiting(&integer));
        change_by(operation);
        together_end(&threads);
        end();
    }
}

static void *wait_for_zero(void *argument)
{
    CHECK_OK(isthmus_atomic_int_wait_while(argument, 6, SOON()));
    return NULL;
}

static void taking_bits_away_wakes_as_well(void)
{
    struct together_threads threads;
    begin(6);
    together_begin(&threads, 3, wait_for_zero, &integer);
    UNTIL(together_waiting(&integer));
    isthmus_atomic_int_and(&second, 1);
    together_end(&threads);
    end();
}

/* Each takes its turn when the number is its own: every wake-up is needed. */
static void take_turns(struct isthmus_primitive *own)
{
    for (int64_t turn = 1; turn < 600; turn += 2) {
        for (int64_t now; (now = isthmus_atomic_int_load(own)) != turn;)
            CHECK_OK(isthmus_atomic_int_wait_while(own, now, SOON()));
        isthmus_atomic_int_add(own, 1);
    }
}

static void two_processes_play_ping_pong(void)
{
    begin(0);
    pid_t child = together_send(&integer, take_turns);
    for (int64_t turn = 0; turn < 600; turn += 2) {
        for (int64_t now; (now = isthmus_atomic_int_load(&integer)) != turn;)
            CHECK_OK(isthmus_atomic_int_wait_while(&integer, now, SOON()));
        isthmus_atomic_int_add(&integer, 1);
    }
    CHECK_INT(check_join_child(child), 0);
    CHECK_INT(isthmus_atomic_int_load(&integer), 600);
    end();
}

static const struct check_test tests[] = {
    CHECK_TEST(each_operation_gives_the_value_before),
    CHECK_TEST(it_wraps_around),
    CHECK_TEST(no_addition_is_lost),
    CHECK_TEST(waiting_ends_with_the_value),
    CHECK_TEST(each_operation_wakes_all_that_wait),
    CHECK_TEST(taking_bits_away_wakes_as_well),
    CHECK_TEST(two_processes_play_ping_pong),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
