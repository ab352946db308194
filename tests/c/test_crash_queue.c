/* Death at every step of putting into a queue and of plain reads. See death.h and ledger.h. */
#include "check.h"
#include "death.h"
#include <errno.h>

/* A record that reaches beyond the end of the bytes, and cursors that wrap. */
#define NEAR_THE_END (0 - UINT64_C(32))
#define BATCH 3u

static const struct isthmus_ring_plan plain = {.kind = ISTHMUS_KIND_QUEUE,
                                               .capacity = ISTHMUS_RING_MIN};
static const struct isthmus_ring_plan wrapping = {
    .kind = ISTHMUS_KIND_QUEUE, .capacity = ISTHMUS_RING_MIN, .start = NEAR_THE_END};
static const struct isthmus_ring_plan limited = {
    .kind = ISTHMUS_KIND_QUEUE, .capacity = ISTHMUS_RING_MIN, .maxsize = 2};

/* ---- Victims ---------------------------------------------------------------------------- */

static void put_one(void)
{
    ledger_put(&my_ring, LEDGER_VICTIM, 1);
}

static void put_one_by_trying(void)
{
    CHECK_OK(ledger_try(&my_ring, LEDGER_VICTIM));
}

static void put_two(void)
{
    ledger_put(&my_ring, LEDGER_VICTIM, 2);
}

static void put_in_vain(void)
{
    CHECK_RESULT(ledger_try(&my_ring, LEDGER_VICTIM), -EAGAIN);
}

static void put_in_vain_for_a_while(void)
{
    CHECK_RESULT(ledger_put_until(&my_ring, LEDGER_VICTIM, isthmus_deadline_after(10000000)),
                 -ETIMEDOUT);
}

static void put_batch(int for_long)
{
    struct isthmus_write write;
    CHECK_OK(isthmus_write_begin(&my_ring, &write, for_long, SOON()));
    ledger_reserve(&my_ring, &write, LEDGER_VICTIM, BATCH);
    ledger_commit(&my_ring, &write, LEDGER_VICTIM);
}

static void put_a_batch(void)
{
    put_batch(0);
}

static void put_a_batch_for_long(void)
{
    put_batch(1);
}

static void abort_a_batch(void)
{
    struct isthmus_write write;
    CHECK_OK(isthmus_write_begin(&my_ring, &write, 1, SOON()));
    ledger_reserve(&my_ring, &write, LEDGER_VICTIM, BATCH);
    isthmus_write_abort(&my_ring, &write);
}

static void get_one(void)
{
    CHECK_OK(ledger_get(&my_ring, SOON()));
}

/* The first message, or the one behind it. */
static void drop(int second)
{
    struct isthmus_read read;
    struct isthmus_record record;
    CHECK_OK(isthmus_read_begin(&my_ring, &read, SOON()));
    for (int i = 0; i <= second; i++)
        CHECK_OK(isthmus_read_next(&my_ring, &read, &record));
    isthmus_read_abort(&my_ring, &read);
    CHECK_OK(ledger_drop(&my_ring, &record));
    CHECK_RESULT(ledger_drop(&my_ring, &record), -ESTALE);
}

static void drop_first(void)
{
    drop(0);
}

static void drop_second(void)
{
    drop(1);
}

static void get_two(void)
{
    get_one();
    get_one();
}

static void get_in_vain(void)
{
    CHECK_RESULT(ledger_get(&my_ring, 0), -ETIMEDOUT);
}

static void get_in_vain_for_a_while(void)
{
    CHECK_RESULT(ledger_get(&my_ring, isthmus_deadline_after(10000000)), -ETIMEDOUT);
}

static void get_a_batch(void)
{
    CHECK_INT(ledger_get_batch(&my_ring, BATCH), (int)BATCH);
}

static void look_only(void)
{
    struct isthmus_read read;
    struct isthmus_record record;
    CHECK_OK(rings_next(&my_ring, &read, &record, SOON()));
    CHECK_OK(isthmus_read_next(&my_ring, &read, &record));
    isthmus_read_abort(&my_ring, &read);
}

static void get_and_put(void)
{
    get_one();
    put_one();
}

/* By the second victim: what the first has put or taken, nobody knows here. */
static void put_one_again(void)
{
    ledger_put(&my_ring, LEDGER_SECOND, 1);
}

static void try_as_second(void)
{
    const int result = ledger_try(&my_ring, LEDGER_SECOND);
    CHECK(result == 0 || result == -EAGAIN);
}

static void get_what_there_is(void)
{
    CHECK(ledger_get_batch(&my_ring, BATCH) > 0);
}

static void close_it(void)
{
    isthmus_ring_close(&my_ring);
}

/* ---- Others ------------------------------------------------------------------------------ */

static void own_puts_two(void)
{
    ledger_put(&own_ring, LEDGER_OWN, 2);
}

static void own_puts_five(void)
{
    ledger_put(&own_ring, LEDGER_OWN, 5);
}

static void own_fills(void)
{
    ledger_fill(&own_ring, LEDGER_OWN);
}

/* Two records are leased, and one between them is done: reads mark what they take. */
static struct isthmus_record held[2];

static void own_puts_and_leases(void)
{
    ledger_put(&own_ring, LEDGER_OWN, 7);
    CHECK_OK(rings_lease(&own_ring, &held[0], 0));
    CHECK_OK(ledger_get(&own_ring, 0));
    CHECK_OK(isthmus_queue_task_done(&own_ring));
    CHECK_OK(rings_lease(&own_ring, &held[1], 0));
}

static void get_one_as_companion(struct isthmus_ring *ring)
{
    CHECK_OK(ledger_get(ring, SOON()));
    CHECK_OK(isthmus_queue_task_done(ring));
    count_up(&stage->done);
}

static void put_one_as_companion(struct isthmus_ring *ring)
{
    ledger_put(ring, LEDGER_COMPANION, 1);
    count_up(&stage->done);
}

static void another_waits_for_a_message(void)
{
    death_ring_companion(get_one_as_companion);
    UNTIL(rings_waiting(&own_ring) == 1);
}

static void two_others_wait_for_messages(void)
{
    another_waits_for_a_message();
    death_ring_companion(get_one_as_companion);
    UNTIL(rings_waiting(&own_ring) == 2);
}

static void another_waits_for_room(void)
{
    death_ring_companion(put_one_as_companion);
    UNTIL(rings_waiting(&own_ring) == 1);
}

static void take_one_when_it_waits(void)
{
    UNTIL_GONE_OR(rings_waiting(&own_ring) == 1);
    CHECK_OK(ledger_get(&own_ring, 0));
    CHECK_OK(isthmus_queue_task_done(&own_ring));
}

static void put_one_when_it_waits(void)
{
    UNTIL_GONE_OR(rings_waiting(&own_ring) == 1);
    ledger_put(&own_ring, LEDGER_OWN, 1);
}

/* One message went while another was leased, which has come back: as many as may be. */
static void own_gives_back(void)
{
    struct isthmus_record record;
    ledger_put(&own_ring, LEDGER_OWN, 2);
    CHECK_OK(rings_lease(&own_ring, &record, SOON()));
    CHECK_OK(ledger_get(&own_ring, 0));
    CHECK_OK(isthmus_queue_task_done(&own_ring));
    ledger_put(&own_ring, LEDGER_OWN, 1);
    CHECK_OK(rings_give_back(&own_ring, &record));
}

/* ---- Afterwards ---------------------------------------------------------------------------- */

static void check_queue(void)
{
    ledger_drain_queue(&own_ring);
    death_join_companions();
    ledger_drain_queue(&own_ring);
    ledger_check();
    rings_check_state(&own_ring, 0, 0, 0);
    CHECK_OK(isthmus_queue_join(&own_ring, SOON()));
    CHECK_RESULT(isthmus_queue_task_done(&own_ring), -ERANGE);
    if (act->ring->maxsize) {
        CHECK_UINT(rings_fill(&own_ring, 0), act->ring->maxsize);
        CHECK_OK(isthmus_queue_clear(&own_ring));
    } else {
        rings_check_capacity(&own_ring);
    }
    death_check_ring_table(1);
}

/* Whoever counted, and died, has not let in one more. */
static void check_that_it_is_full(void)
{
    CHECK_RESULT(ledger_try(&own_ring, LEDGER_OWN), -EAGAIN);
    check_queue();
}

static void check_batch(void)
{
    check_queue();
    ledger_check_all_or_none(LEDGER_VICTIM);
}

/* So many more that each companion gets one, whether the victim has put any or not. */
static void feed_companions(void)
{
    ledger_put(&own_ring, LEDGER_OWN, 2);
    death_join_companions();
    check_queue();
}

static void feed_companions_and_check_batch(void)
{
    feed_companions();
    ledger_check_all_or_none(LEDGER_VICTIM);
}

/* What the worker has leased is not touched by any death of others. */
static void acknowledge_and_check(void)
{
    struct isthmus_queue_state state;
    CHECK_OK(isthmus_queue_state(&own_ring, &state));
    CHECK_UINT(state.leased, 2);
    for (unsigned i = 0; i < 2; i++)
        ledger_acknowledge(&own_ring, &held[1 - i]);
    check_queue();
}

#define QUEUE_OF(plan, text, ...) {.what = text, .ring = &plan, __VA_ARGS__}
#define QUEUE(text, ...) QUEUE_OF(plain, text, __VA_ARGS__)

static const struct death_act writes[] = {
    QUEUE("try to put", .run = put_one_by_trying, .after = check_queue),
    QUEUE("put two", .before = own_puts_two, .run = put_two, .after = check_queue),
    QUEUE_OF(wrapping, "put two, over the end", .run = put_two, .after = check_queue),
    QUEUE("put, one waits for it", .between = another_waits_for_a_message, .run = put_one,
          .after = feed_companions),
    QUEUE("put two, two wait for them", .between = two_others_wait_for_messages, .run = put_two,
          .after = feed_companions),
    QUEUE("put a batch", .before = own_puts_two, .run = put_a_batch, .after = check_batch),
    QUEUE_OF(wrapping, "put a batch, for long, over the end", .run = put_a_batch_for_long,
             .after = check_batch),
    QUEUE("put a batch, two wait for it", .between = two_others_wait_for_messages,
          .run = put_a_batch, .after = feed_companions_and_check_batch),
    QUEUE("abort a batch", .before = own_puts_two, .run = abort_a_batch, .after = check_batch),
    QUEUE("try to put, full", .before = own_fills, .run = put_in_vain, .after = check_queue),
    QUEUE("put, full, wait in vain", .before = own_fills, .run = put_in_vain_for_a_while,
          .after = check_queue),
    QUEUE("put, full, wait for room", .before = own_fills, .run = put_one,
          .meanwhile = take_one_when_it_waits, .after = check_queue),
    QUEUE_OF(limited, "put, as many as may be, wait for one to go", .before = own_fills,
             .run = put_one, .meanwhile = take_one_when_it_waits, .after = check_queue),
    QUEUE_OF(limited, "try to put, a lease has come back", .before = own_gives_back,
             .run = put_in_vain, .after = check_that_it_is_full),
};

static const struct death_act reads[] = {
    QUEUE("get two", .before = own_puts_five, .run = get_two, .after = check_queue),
    QUEUE_OF(wrapping, "get two, over the end", .before = own_puts_five, .run = get_two,
             .after = check_queue),
    QUEUE("get two, leases are out", .before = own_puts_and_leases, .run = get_two,
          .after = acknowledge_and_check),
    QUEUE("get a batch", .before = own_puts_five, .run = get_a_batch, .after = check_queue),
    QUEUE("get a batch, leases are out", .before = own_puts_and_leases, .run = get_a_batch,
          .after = acknowledge_and_check),
    QUEUE("look at two, take none", .before = own_puts_five, .run = look_only,
          .after = check_queue),
    QUEUE("try to get, empty", .run = get_in_vain, .after = check_queue),
    QUEUE("get, empty, wait in vain", .run = get_in_vain_for_a_while, .after = check_queue),
    QUEUE("get, wait for one", .run = get_one, .meanwhile = put_one_when_it_waits,
          .after = check_queue),
    QUEUE("get, one waits for room", .before = own_fills, .between = another_waits_for_room,
          .run = get_one, .after = check_queue),
    QUEUE("get a batch, one waits for room", .before = own_fills, .between = another_waits_for_room,
          .run = get_a_batch, .after = check_queue),
    QUEUE("drop the first", .before = own_puts_five, .run = drop_first, .after = check_queue),
    QUEUE("drop the second", .before = own_puts_five, .run = drop_second, .after = check_queue),
    QUEUE("drop the second, leases are out", .before = own_puts_and_leases, .run = drop_second,
          .after = acknowledge_and_check),
    QUEUE("drop, one waits for room", .before = own_fills, .between = another_waits_for_room,
          .run = drop_first, .after = check_queue),
    QUEUE("get and put", .before = own_puts_two, .run = get_and_put, .after = check_queue),
    QUEUE("get, then close", .before = own_puts_two, .prepare = get_one, .run = close_it,
          .after = check_queue),
};

static const struct death_act repair[] = {
    QUEUE("put a batch, then one puts", .before = own_puts_two, .run = put_a_batch,
          .second = put_one_again, .after = check_queue),
    QUEUE("put, then one gets", .before = own_puts_two, .run = put_one, .second = get_one,
          .after = check_queue),
    QUEUE("get, then one gets", .before = own_puts_five, .run = get_one, .second = get_one,
          .after = check_queue),
    QUEUE("get, leases are out, then one gets", .before = own_puts_and_leases, .run = get_one,
          .second = get_one, .after = acknowledge_and_check),
    QUEUE("get a batch, leases are out, then one gets a batch", .before = own_puts_and_leases,
          .run = get_a_batch, .second = get_what_there_is, .after = acknowledge_and_check),
    QUEUE("get, full, then one puts", .before = own_fills, .run = get_one, .second = try_as_second,
          .after = check_queue),
};

static void death_at_any_step_of_putting_loses_and_invents_nothing(void)
{
    death_run(writes, sizeof writes / sizeof writes[0]);
}

static void death_at_any_step_of_getting_loses_what_was_being_taken_at_most(void)
{
    death_run(reads, sizeof reads / sizeof reads[0]);
}

static void a_second_death_at_any_step_afterwards_does_no_more(void)
{
    death_run(repair, sizeof repair / sizeof repair[0]);
}

static const struct check_test tests[] = {
    CHECK_TEST(death_at_any_step_of_putting_loses_and_invents_nothing),
    CHECK_TEST(death_at_any_step_of_getting_loses_what_was_being_taken_at_most),
    CHECK_TEST(a_second_death_at_any_step_afterwards_does_no_more),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
