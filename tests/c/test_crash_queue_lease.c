/* Death at every step of leases, of what is set aside, and of tasks. See death.h, ledger.h. */
#include "check.h"
#include "death.h"
#include <errno.h>

static const struct isthmus_ring_plan plain = {.kind = ISTHMUS_KIND_QUEUE,
                                               .capacity = ISTHMUS_RING_MIN};
/* The wrap of cursors lies between what is leased. */
static const struct isthmus_ring_plan wrapping = {
    .kind = ISTHMUS_KIND_QUEUE, .capacity = ISTHMUS_RING_MIN, .start = 0 - UINT64_C(96)};
/* What is given back once is set aside; twice. */
static const struct isthmus_ring_plan once = {
    .kind = ISTHMUS_KIND_QUEUE, .capacity = ISTHMUS_RING_MIN, .max_attempts = 1};
static const struct isthmus_ring_plan twice = {
    .kind = ISTHMUS_KIND_QUEUE, .capacity = ISTHMUS_RING_MIN, .max_attempts = 2};

#define LEASES 3u
static struct isthmus_record leases[LEASES]; /* of whoever runs: worker or victim */

/* ---- Victims ---------------------------------------------------------------------------- */

static void lease_one(void)
{
    CHECK_OK(rings_lease(&my_ring, &leases[0], SOON()));
}

static void lease_three(void)
{
    for (unsigned i = 0; i < LEASES; i++)
        CHECK_OK(rings_lease(&my_ring, &leases[i], SOON()));
}

static void lease_in_vain(void)
{
    CHECK_RESULT(rings_lease(&my_ring, &leases[0], 0), -EAGAIN);
}

static void acknowledge_in_order(void)
{
    for (unsigned i = 0; i < LEASES; i++)
        ledger_acknowledge(&my_ring, &leases[i]);
}

static void acknowledge_out_of_order(void)
{
    static const unsigned order[] = {1, 2, 0};
    for (unsigned i = 0; i < LEASES; i++)
        ledger_acknowledge(&my_ring, &leases[order[i]]);
}

static void give_back_out_of_order(void)
{
    static const unsigned order[] = {1, 2, 0};
    for (unsigned i = 0; i < LEASES; i++)
        CHECK_OK(rings_give_back(&my_ring, &leases[order[i]]));
}

static void give_back_one(void)
{
    CHECK_OK(rings_give_back(&my_ring, &leases[0]));
}

static void lease_and_acknowledge(void)
{
    lease_one();
    ledger_acknowledge(&my_ring, &leases[0]);
}

static void acknowledge_second(void)
{
    ledger_acknowledge(&my_ring, &leases[1]);
}

static void acknowledge_the_only_one(void)
{
    ledger_acknowledge(&my_ring, &leases[0]);
}

static void untake_one(void)
{
    CHECK_OK(isthmus_queue_untake(&my_ring, leases[0].position, leases[0].sequence));
}

static void lease_and_give_back_twice(void)
{
    for (unsigned i = 0; i < 2; i++) {
        lease_one();
        give_back_one();
    }
}

static void get_one(void)
{
    CHECK_OK(ledger_get(&my_ring, SOON()));
}

static void report(void)
{
    CHECK_OK(isthmus_queue_task_done(&my_ring));
}

static void join_it(void)
{
    CHECK_OK(isthmus_queue_join(&my_ring, SOON()));
}

static void join_in_vain(void)
{
    CHECK_RESULT(isthmus_queue_join(&my_ring, isthmus_deadline_after(10000000)), -ETIMEDOUT);
}

static void join_briefly(void)
{
    const int result = isthmus_queue_join(&my_ring, isthmus_deadline_after(1000000));
    CHECK(result == 0 || result == -ETIMEDOUT);
}

static void try_as_second(void)
{
    const int result = ledger_try(&my_ring, LEDGER_SECOND);
    CHECK(result == 0 || result == -EAGAIN);
}

static void nothing(void)
{
}

static void close_it(void)
{
    isthmus_ring_close(&my_ring);
}

/* ---- Others ------------------------------------------------------------------------------ */

static void own_puts(void)
{
    ledger_put(&own_ring, LEDGER_OWN, 5);
}

static void own_puts_one(void)
{
    ledger_put(&own_ring, LEDGER_OWN, 1);
}

static void own_puts_two(void)
{
    ledger_put(&own_ring, LEDGER_OWN, 2);
}

static void own_fills(void)
{
    ledger_fill(&own_ring, LEDGER_OWN);
}

static struct isthmus_record own_leases_of_all[MESSAGES_FIT];

/* But for the first one, which the victim has. */
static void own_leases_the_rest(void)
{
    for (unsigned i = 1; i < MESSAGES_FIT; i++)
        CHECK_OK(rings_lease(&own_ring, &own_leases_of_all[i], 0));
}

/* What is untaken and comes late, since its death was noticed late, does not tell by attempts. */
static void own_puts_in_any_order(void)
{
    own_puts();
    stage->ledger.reordered = 1;
}

static void own_puts_and_gives_back(void)
{
    struct isthmus_record record;
    own_puts();
    CHECK_OK(rings_lease(&own_ring, &leases[0], 0));
    CHECK_OK(rings_lease(&own_ring, &record, 0));
    CHECK_OK(rings_give_back(&own_ring, &record));
}

/* Between the victim's leases there is one of the worker's. */
static struct isthmus_record own_lease;

static void own_leases(void)
{
    own_puts();
    CHECK_OK(rings_lease(&own_ring, &own_lease, 0));
}

/* The numbers of what is set aside, for the victims as well. */
static uint64_t aside_sequences[LEASES];

static void set_aside(uint32_t count)
{
    struct isthmus_read read;
    struct isthmus_record record;
    ledger_put(&own_ring, LEDGER_OWN, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        CHECK_OK(rings_lease(&own_ring, &record, 0));
        CHECK_OK(rings_give_back(&own_ring, &record));
    }
    CHECK_OK(isthmus_queue_aside_begin(&own_ring, &read, 0));
    for (uint32_t i = 0; i < count; i++) {
        CHECK_OK(isthmus_queue_aside_next(&own_ring, &read, &record));
        aside_sequences[i] = record.sequence;
    }
    isthmus_read_abort(&own_ring, &read);
    /* What is put back comes after what was put later. */
    stage->ledger.reordered = 1;
}

static void three_are_aside(void)
{
    set_aside(3);
}

static void one_is_aside(void)
{
    set_aside(1);
    CHECK_OK(ledger_get(&own_ring, 0));
    CHECK_OK(isthmus_queue_task_done(&own_ring));
}

static void one_is_aside_and_full(void)
{
    set_aside(1);
    ledger_fill(&own_ring, LEDGER_OWN);
}

/* Removed by whoever has looked at it: that is as good as taken. */
static int remove_number(unsigned i)
{
    unsigned char bytes[MESSAGE_SIZE];
    message_write(bytes, LEDGER_OWN, i, MESSAGE_SIZE);
    __atomic_fetch_add(&stage->ledger.acknowledging, 1, __ATOMIC_ACQ_REL);
    __atomic_fetch_add(&stage->ledger.taking, 1, __ATOMIC_ACQ_REL);
    const int result = isthmus_queue_aside_remove(&my_ring, aside_sequences[i]);
    if (!result)
        ledger_note(bytes, MESSAGE_SIZE);
    /* One that is not there was removed by a victim, whose marks stay. */
    __atomic_fetch_sub(&stage->ledger.taking, 1, __ATOMIC_ACQ_REL);
    __atomic_fetch_sub(&stage->ledger.acknowledging, 1, __ATOMIC_ACQ_REL);
    return result;
}

static void remove_two(void)
{
    CHECK_OK(remove_number(1));
    CHECK_OK(remove_number(0));
}

static void remove_one(void)
{
    CHECK_OK(remove_number(1));
}

static void remove_any(void)
{
    for (unsigned i = 0; i < LEASES; i++) {
        const int result = remove_number(i);
        CHECK(result == 0 || result == -ENOENT);
    }
}

static void put_first_back(void)
{
    CHECK_OK(ledger_put_back(&my_ring, aside_sequences[0]));
}

static void put_two_back(void)
{
    CHECK_OK(ledger_put_back(&my_ring, aside_sequences[1]));
    put_first_back();
}

static void put_first_back_if_it_is_there(void)
{
    const int result = ledger_put_back(&my_ring, aside_sequences[0]);
    CHECK(result == 0 || result == -ENOENT);
}

static void look_aside(void)
{
    struct isthmus_read read;
    struct isthmus_record record;
    CHECK_OK(isthmus_queue_aside_begin(&my_ring, &read, SOON()));
    for (unsigned i = 0; i < LEASES; i++)
        CHECK_OK(isthmus_queue_aside_next(&my_ring, &read, &record));
    isthmus_read_abort(&my_ring, &read);
}

static void take_one_when_it_waits(void)
{
    UNTIL_GONE_OR(rings_waiting(&own_ring) == 1);
    CHECK_OK(ledger_get(&own_ring, 0));
    CHECK_OK(isthmus_queue_task_done(&own_ring));
}

static void get_one_as_companion(struct isthmus_ring *ring)
{
    CHECK_OK(ledger_get(ring, SOON()));
    CHECK_OK(isthmus_queue_task_done(ring));
}

static void another_waits_for_a_message(void)
{
    death_ring_companion(get_one_as_companion);
    UNTIL(rings_waiting(&own_ring) == 1);
}

static void put_one_as_companion(struct isthmus_ring *ring)
{
    ledger_put(ring, LEDGER_COMPANION, 1);
}

static void another_waits_for_room(void)
{
    death_ring_companion(put_one_as_companion);
    UNTIL(rings_waiting(&own_ring) == 1);
}

static void others_wait_for_a_message_and_for_room(void)
{
    own_leases_the_rest();
    death_ring_companion(get_one_as_companion);
    UNTIL(rings_waiting(&own_ring) == 1);
    death_ring_companion(put_one_as_companion);
    UNTIL(rings_waiting(&own_ring) == 2);
}

static void join_as_companion(struct isthmus_ring *ring)
{
    CHECK_OK(isthmus_queue_join(ring, SOON()));
    count_up(&stage->done);
}

static void another_joins(void)
{
    death_ring_companion(join_as_companion);
    UNTIL(rings_waiting(&own_ring) == 1);
}

/* ---- Afterwards ---------------------------------------------------------------------------- */

static uint64_t redelivered(void)
{
    struct isthmus_queue_state state;
    CHECK_OK(isthmus_queue_state(&own_ring, &state));
    return state.redelivered;
}

/* What was set aside has come out as well. It is removed. */
static uint32_t take_what_is_aside(void)
{
    uint64_t sequences[LEDGER_MESSAGES];
    uint32_t count = 0;
    struct isthmus_read read;
    struct isthmus_record record;
    int result;
    CHECK_OK(isthmus_queue_aside_begin(&own_ring, &read, SOON()));
    while ((result = isthmus_queue_aside_next(&own_ring, &read, &record)) == 0) {
        CHECK(count < LEDGER_MESSAGES);
        ledger_note(record.data, record.size);
        sequences[count++] = record.sequence;
    }
    CHECK_RESULT(result, -EAGAIN);
    isthmus_read_abort(&own_ring, &read);
    struct isthmus_queue_state state;
    CHECK_OK(isthmus_queue_state(&own_ring, &state));
    CHECK_UINT(state.aside, count);
    for (uint32_t i = 0; i < count; i++)
        CHECK_OK(isthmus_queue_aside_remove(&own_ring, sequences[i]));
    return count;
}

static void check_rest(void)
{
    ledger_drain_queue(&own_ring);
    death_join_companions();
    ledger_drain_queue(&own_ring);
    const uint32_t aside = act->ring->max_attempts ? take_what_is_aside() : 0;
    ledger_check();
    if (stage->outcome == DEATH_NOTHING && (redelivered() || aside))
        stage->outcome = DEATH_REDELIVERED;
    rings_check_state(&own_ring, 0, 0, 0);
    CHECK_OK(isthmus_queue_join(&own_ring, SOON()));
    CHECK_RESULT(isthmus_queue_task_done(&own_ring), -ERANGE);
    rings_check_capacity(&own_ring);
    death_check_ring_table(1);
}

static void feed_companions(void)
{
    ledger_put(&own_ring, LEDGER_OWN, 1);
    death_join_companions();
    check_rest();
}

/* Those that wait need nobody else to find out. */
static void check_others_first(void)
{
    death_join_companions();
    check_rest();
}

/* The same, where room is only if the message did not come back. */
static void check_room_first(void)
{
    UNTIL(peek(&stage->ledger.put[LEDGER_COMPANION]) == 1 || redelivered() == 1);
    check_rest();
}

static void check_others_first_and_acknowledge(void)
{
    death_join_companions();
    for (unsigned i = 1; i < MESSAGES_FIT; i++)
        ledger_acknowledge(&own_ring, &own_leases_of_all[i]);
    check_rest();
}

static void acknowledge_own_and_check(void)
{
    ledger_acknowledge(&own_ring, &own_lease);
    check_rest();
}

static void acknowledge_first_and_check(void)
{
    ledger_acknowledge(&own_ring, &leases[0]);
    check_rest();
}

/* Each record in the place aside is used again. */
static void check_room_aside(void)
{
    struct isthmus_record record;
    for (uint32_t i = 0; i < MESSAGES_FIT; i++) {
        CHECK_OK(rings_try(&own_ring, 88, i, MESSAGE_SIZE));
        do {
            CHECK_OK(rings_lease(&own_ring, &record, 0));
            CHECK_OK(rings_give_back(&own_ring, &record));
        } while (record.attempts < act->ring->max_attempts);
    }
    rings_check_state(&own_ring, 0, 0, MESSAGES_FIT);
}

static void check_with_aside(void)
{
    check_rest();
    check_room_aside();
}

#define QUEUE_OF(plan, text, ...) {.what = text, .ring = &plan, __VA_ARGS__}
#define QUEUE(text, ...) QUEUE_OF(plain, text, __VA_ARGS__)

static const struct death_act single[] = {
    QUEUE("lease", .before = own_puts, .run = lease_one, .after = check_rest),
    QUEUE("lease three", .before = own_puts, .run = lease_three, .after = check_rest),
    QUEUE_OF(wrapping, "lease three, over the end", .before = own_puts, .run = lease_three,
             .after = check_rest),
    QUEUE("lease, none is there", .run = lease_in_vain, .after = check_rest),
    QUEUE("lease what was given back", .before = own_puts_and_gives_back, .run = lease_three,
          .after = acknowledge_first_and_check),
    QUEUE("lease and acknowledge", .before = own_puts, .run = lease_and_acknowledge,
          .after = check_rest),
    QUEUE("acknowledge in order", .before = own_puts, .prepare = lease_three,
          .run = acknowledge_in_order, .after = check_rest),
    QUEUE("acknowledge out of order", .before = own_puts, .prepare = lease_three,
          .run = acknowledge_out_of_order, .after = check_rest),
    QUEUE_OF(wrapping, "acknowledge out of order, over the end", .before = own_puts,
             .prepare = lease_three, .run = acknowledge_out_of_order, .after = check_rest),
    QUEUE("acknowledge behind a lease of another's", .before = own_leases, .prepare = lease_three,
          .run = acknowledge_in_order, .after = acknowledge_own_and_check),
    QUEUE("acknowledge, one waits for room", .before = own_fills, .prepare = lease_one,
          .between = another_waits_for_room, .run = acknowledge_the_only_one, .after = check_rest),
    QUEUE("give back", .before = own_puts, .prepare = lease_three, .run = give_back_out_of_order,
          .after = check_rest),
    QUEUE("untake", .before = own_puts_in_any_order, .prepare = lease_one, .run = untake_one,
          .after = check_rest),
    QUEUE("give back, one waits for it", .before = own_puts_one, .prepare = lease_one,
          .between = another_waits_for_a_message, .run = give_back_one, .after = feed_companions),
    QUEUE("acknowledge, only one waits for room", .before = own_fills, .prepare = lease_one,
          .between = another_waits_for_room, .run = acknowledge_the_only_one,
          .after = check_room_first),
    QUEUE("give back, only one waits for it", .before = own_puts_one, .prepare = lease_one,
          .between = another_waits_for_a_message, .run = give_back_one,
          .after = check_others_first),
    QUEUE("give back, one waits for it and one for room", .before = own_fills, .prepare = lease_one,
          .between = others_wait_for_a_message_and_for_room, .run = give_back_one,
          .after = check_others_first_and_acknowledge),
    QUEUE("close with leases", .before = own_puts, .prepare = lease_three, .run = close_it,
          .after = check_rest),
    QUEUE("close with a lease, one waits for it", .before = own_puts_one, .prepare = lease_one,
          .between = another_waits_for_a_message, .run = close_it, .after = feed_companions),
};

static const struct death_act aside[] = {
    QUEUE_OF(once, "give back for the last time", .before = own_puts, .prepare = lease_one,
             .run = give_back_one, .after = check_with_aside),
    QUEUE_OF(once, "give back three for the last time", .before = own_puts, .prepare = lease_three,
             .run = give_back_out_of_order, .after = check_with_aside),
    QUEUE_OF(twice, "give back twice", .before = own_puts, .run = lease_and_give_back_twice,
             .after = check_with_aside),
    QUEUE_OF(once, "close with leases for the last time", .before = own_puts,
             .prepare = lease_three, .run = close_it, .after = check_with_aside),
    QUEUE_OF(once, "remove what was set aside", .before = three_are_aside, .run = remove_two,
             .after = check_with_aside),
    QUEUE_OF(once, "put back what was set aside", .before = three_are_aside, .run = put_two_back,
             .after = check_with_aside),
    QUEUE_OF(once, "put back, one waits for a message", .before = one_is_aside,
             .between = another_waits_for_a_message, .run = put_first_back,
             .after = feed_companions),
    QUEUE_OF(once, "put back, full, wait for room", .before = one_is_aside_and_full,
             .run = put_first_back, .meanwhile = take_one_when_it_waits, .after = check_with_aside),
    QUEUE_OF(once, "look at what was set aside", .before = three_are_aside, .run = look_aside,
             .after = check_with_aside),
};

static const struct death_act tasks[] = {
    QUEUE("report a task", .before = own_puts_one, .prepare = get_one, .run = report,
          .after = check_rest),
    QUEUE("report the last task, one joins", .before = own_puts_one, .prepare = get_one,
          .between = another_joins, .run = report, .after = check_rest),
    QUEUE("acknowledge the last one, one joins", .before = own_puts_one, .prepare = lease_one,
          .between = another_joins, .run = acknowledge_the_only_one, .after = check_rest),
    QUEUE("close with a task, one joins", .before = own_puts_one, .prepare = get_one,
          .between = another_joins, .run = close_it, .after = check_rest),
    QUEUE("join, nothing to wait for", .run = join_it, .after = check_rest),
    QUEUE("join, wait in vain", .before = own_puts, .run = join_in_vain, .after = check_rest),
    QUEUE("join, wait", .before = own_puts_one, .run = join_it, .meanwhile = take_one_when_it_waits,
          .after = check_rest),
};

static const struct death_act repair[] = {
    QUEUE("lease, then one leases and acknowledges", .before = own_puts_one, .prepare = lease_one,
          .run = nothing, .second = lease_and_acknowledge, .after = check_rest),
    QUEUE("acknowledge out of order, then one gets", .before = own_puts, .prepare = lease_three,
          .run = acknowledge_second, .second = get_one, .after = check_rest),
    QUEUE("give back, then one leases", .before = own_puts, .prepare = lease_one,
          .run = give_back_one, .second = lease_one, .after = check_rest),
    QUEUE("full of leases, then one puts", .before = own_fills, .prepare = lease_three,
          .run = acknowledge_the_only_one, .second = try_as_second, .after = check_rest),
    QUEUE_OF(once, "lease for the last time, then one gets", .before = own_puts_two,
             .run = lease_one, .second = get_one, .after = check_with_aside),
    QUEUE_OF(once, "give back for the last time, then one gets", .before = own_puts_two,
             .prepare = lease_one, .run = give_back_one, .second = get_one,
             .after = check_with_aside),
    QUEUE_OF(once, "remove what was set aside, then one does", .before = three_are_aside,
             .run = remove_one, .second = remove_any, .after = check_with_aside),
    QUEUE_OF(once, "put back, then one does", .before = three_are_aside, .run = put_first_back,
             .second = put_first_back_if_it_is_there, .after = check_with_aside),
    QUEUE("get, then one joins", .before = own_puts_one, .run = get_one, .second = join_briefly,
          .after = check_rest),
};

static void death_at_any_step_of_a_lease_gives_it_to_another_or_ends_it(void)
{
    death_run(single, sizeof single / sizeof single[0]);
}

static void death_at_any_step_of_setting_aside_keeps_the_message_in_one_place(void)
{
    death_run(aside, sizeof aside / sizeof aside[0]);
}

static void death_at_any_step_of_a_task_ends_it(void)
{
    death_run(tasks, sizeof tasks / sizeof tasks[0]);
}

static void a_second_death_at_any_step_afterwards_does_no_more(void)
{
    death_run(repair, sizeof repair / sizeof repair[0]);
}

static const struct check_test tests[] = {
    CHECK_TEST(death_at_any_step_of_a_lease_gives_it_to_another_or_ends_it),
    CHECK_TEST(death_at_any_step_of_setting_aside_keeps_the_message_in_one_place),
    CHECK_TEST(death_at_any_step_of_a_task_ends_it),
    CHECK_TEST(a_second_death_at_any_step_afterwards_does_no_more),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
