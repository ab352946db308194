/* Death at every step of events and atomic integers, which nobody owns. See death.h. */
#include "check.h"
#include "death.h"
#include <errno.h>
#include <unistd.h>

/* ---- Events ---------------------------------------------------------------------------- */

static void wait_for_it(struct isthmus_primitive *event)
{
    uint32_t seen = 0;
    CHECK_OK(isthmus_event_wait(event, SOON(), &seen));
    count_up(&stage->done);
}

static void await_event(void)
{
    wait_for_it(&mine);
}

static void await_event_in_vain(void)
{
    uint32_t seen = 0;
    CHECK_RESULT(isthmus_event_wait(&mine, isthmus_deadline_after(10000000), &seen), -ETIMEDOUT);
}

static void set(void)
{
    CHECK_OK(isthmus_event_set(&mine));
}

static void clear(void)
{
    CHECK_OK(isthmus_event_clear(&mine));
}

static void pulse(void)
{
    set();
    clear();
}

static void set_own(void)
{
    CHECK_OK(isthmus_event_set(&own));
}

static void two_wait(void)
{
    death_companion(wait_for_it);
    death_companion(wait_for_it);
    UNTIL(together_waiting(&own));
}

static void set_when_it_sleeps(void)
{
    UNTIL_PASSED(20);
    death_companion(wait_for_it);
    UNTIL_PASSED(25);
    set_own();
}

/* What has been set reaches all that wait, and needs to be set again only if it was not. */
static void check_event(void)
{
    if (!isthmus_event_is_set(&own))
        set_own();
    death_join_companions();
    CHECK_INT(isthmus_event_is_set(&own), 1);
    CHECK_OK(isthmus_event_clear(&own));
    uint32_t seen = 0;
    CHECK_RESULT(isthmus_event_wait(&own, 0, &seen), -ETIMEDOUT);
    death_companion(wait_for_it);
    UNTIL(together_waiting(&own));
    set_own();
    death_join_companions();
}

#define EVENT(text, ...) {.what = "event, " text, .kind = ISTHMUS_KIND_EVENT, __VA_ARGS__}

/* ---- Atomic integers --------------------------------------------------------------------- */

/* The value at the start, chosen so that every operation with 5 changes it. */
#define START 12

static void wait_for_change(struct isthmus_primitive *integer)
{
    CHECK_OK(isthmus_atomic_int_wait_while(integer, START, SOON()));
    count_up(&stage->done);
}

static void await_change(void)
{
    wait_for_change(&mine);
}

static void await_change_in_vain(void)
{
    CHECK_RESULT(isthmus_atomic_int_wait_while(&mine, START, isthmus_deadline_after(10000000)),
                 -ETIMEDOUT);
}

static void load(void)
{
    CHECK_INT(isthmus_atomic_int_load(&mine), START);
}

static void store(void)
{
    isthmus_atomic_int_store(&mine, 5);
}

static void add(void)
{
    CHECK_INT(isthmus_atomic_int_add(&mine, 5), START);
}

static void subtract(void)
{
    CHECK_INT(isthmus_atomic_int_sub(&mine, 5), START);
}

static void and(void)
{
    CHECK_INT(isthmus_atomic_int_and(&mine, 5), START);
}

static void or(void)
{
    CHECK_INT(isthmus_atomic_int_or(&mine, 5), START);
}

static void xor(void)
{
    CHECK_INT(isthmus_atomic_int_xor(&mine, 5), START);
}

static void exchange(void)
{
    CHECK_INT(isthmus_atomic_int_exchange(&mine, 5), START);
}

static void compare_exchange(void)
{
    int64_t expected = START;
    CHECK_INT(isthmus_atomic_int_compare_exchange(&mine, &expected, 5), 1);
}

static void compare_exchange_in_vain(void)
{
    int64_t expected = 11;
    CHECK_INT(isthmus_atomic_int_compare_exchange(&mine, &expected, 5), 0);
}

static void two_wait_for_change(void)
{
    death_companion(wait_for_change);
    death_companion(wait_for_change);
    UNTIL(together_waiting(&own));
}

static void change_when_it_sleeps(void)
{
    UNTIL_PASSED(20);
    death_companion(wait_for_change);
    UNTIL_PASSED(30);
    isthmus_atomic_int_store(&own, 1);
}

static int64_t expected_result(void)
{
    return act->run == add        ? 17
           : act->run == subtract ? 7
           : act->run == and      ? 4
           : act->run == or       ? 13
           : act->run == xor      ? 9
                                  : 5;
}

/* It is what it was, or what it was to be; those that wait see each change. */
static void check_integer(void)
{
    const int64_t value = isthmus_atomic_int_load(&own);
    if (value == START)
        isthmus_atomic_int_add(&own, 1);
    else if (act->meanwhile)
        CHECK_INT(value, 1);
    else
        CHECK_INT(value, expected_result());
    death_join_companions();
    isthmus_atomic_int_store(&own, START);
    death_companion(wait_for_change);
    UNTIL(together_waiting(&own));
    isthmus_atomic_int_add(&own, 1);
    death_join_companions();
}

#define INTEGER(text, ...)                                                                         \
    {.what = "atomic int, " text, .kind = ISTHMUS_KIND_ATOMIC_INT, .value = START, __VA_ARGS__}
#define WITH_WAITERS(operation)                                                                    \
    INTEGER(#operation ", two wait", .before = two_wait_for_change, .run = operation,              \
            .after = check_integer)

static const struct death_act events[] = {
    EVENT("set, two wait", .before = two_wait, .run = set, .after = check_event),
    EVENT("set what is set", .before = set_own, .run = set, .after = check_event),
    EVENT("clear", .before = set_own, .run = clear, .after = check_event),
    EVENT("set and clear, two wait", .before = two_wait, .run = pulse, .after = check_event),
    EVENT("wait", .run = await_event, .meanwhile = set_when_it_sleeps, .after = check_event),
    EVENT("wait, time out", .run = await_event_in_vain, .after = check_event),
    EVENT("set, two wait, then another does", .before = two_wait, .run = set, .second = set,
          .after = check_event),
    EVENT("clear, then one sets", .before = set_own, .run = clear, .second = set,
          .after = check_event),
};

static const struct death_act integers[] = {
    WITH_WAITERS(load),
    WITH_WAITERS(store),
    WITH_WAITERS(add),
    WITH_WAITERS(subtract),
    WITH_WAITERS(and),
    WITH_WAITERS(or),
    WITH_WAITERS(xor),
    WITH_WAITERS(exchange),
    WITH_WAITERS(compare_exchange),
    WITH_WAITERS(compare_exchange_in_vain),
    INTEGER("wait", .run = await_change, .meanwhile = change_when_it_sleeps,
            .after = check_integer),
    INTEGER("wait, time out", .run = await_change_in_vain, .after = check_integer),
    INTEGER("store, two wait, then another does", .before = two_wait_for_change, .run = store,
            .second = store, .after = check_integer),
};

static void death_at_any_step_loses_no_setting_of_an_event(void)
{
    death_run(events, sizeof events / sizeof events[0]);
}

static void death_at_any_step_leaves_an_integer_changed_or_not_and_waiters_informed(void)
{
    death_run(integers, sizeof integers / sizeof integers[0]);
}

static const struct check_test tests[] = {
    CHECK_TEST(death_at_any_step_loses_no_setting_of_an_event),
    CHECK_TEST(death_at_any_step_leaves_an_integer_changed_or_not_and_waiters_informed),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
