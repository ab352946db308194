/* Queues: limits, tasks, the end of a queue, several consumers. */
#include "check.h"
#include "rings.h"
#include <errno.h>
#include <string.h>

static struct isthmus_ring queue, other;

static void begin(uint64_t maxsize)
{
    const struct isthmus_ring_plan plan = {
        .kind = ISTHMUS_KIND_QUEUE, .capacity = ISTHMUS_RING_MIN, .maxsize = maxsize};
    rings_make(&queue, &plan);
    rings_join(&other, &queue);
}

static void end(void)
{
    isthmus_ring_close(&other);
    isthmus_ring_close(&queue);
}

/* ---- How many ---------------------------------------------------------------------------------
 */

static void each_message_goes_to_one_consumer_only(void)
{
    begin(0);
    rings_put(&queue, 1, 0, 6);
    for (uint32_t i = 0; i < 6; i++)
        rings_expect(i % 2 ? &queue : &other, 1, i);
    rings_expect_none(&queue);
    rings_expect_none(&other);
    end();
}

static void a_full_queue_can_be_filled_again_after_each_message_taken(void)
{
    begin(0);
    CHECK_UINT(rings_fill(&queue, 1), MESSAGES_FIT);
    for (uint32_t i = 0; i < 3 * MESSAGES_FIT; i++) {
        CHECK_RESULT(rings_try(&other, 1, 0, MESSAGE_SIZE), -EAGAIN);
        rings_expect(&other, 1, i);
        CHECK_OK(rings_try(&queue, 1, MESSAGES_FIT + i, MESSAGE_SIZE));
    }
    rings_check_state(&queue, MESSAGES_FIT, 0, 0);
    end();
}

static void a_limit_of_messages_counts_those_that_are_ready(void)
{
    struct isthmus_record record;
    begin(3);
    CHECK_UINT(rings_fill(&queue, 1), 3);
    CHECK_RESULT(rings_write(&queue, 1, 3, MESSAGE_SIZE, isthmus_deadline_after(1000000)),
                 -ETIMEDOUT);
    rings_expect(&other, 1, 0);
    CHECK_OK(rings_try(&queue, 1, 3, MESSAGE_SIZE));
    CHECK_RESULT(rings_try(&queue, 1, 4, MESSAGE_SIZE), -EAGAIN);
    /* One that is leased is not ready. */
    CHECK_OK(rings_lease(&other, &record, 0));
    CHECK_OK(rings_try(&queue, 1, 4, MESSAGE_SIZE));
    CHECK_RESULT(rings_try(&queue, 1, 5, MESSAGE_SIZE), -EAGAIN);
    CHECK_OK(rings_acknowledge(&other, &record));
    CHECK_RESULT(rings_try(&queue, 1, 5, MESSAGE_SIZE), -EAGAIN);
    for (uint32_t i = 2; i < 5; i++)
        rings_expect(&other, 1, i);
    CHECK_UINT(rings_fill(&queue, 1), 3);
    end();
}

/* Also when the messages before it were taken meanwhile: `head` has moved, then. */
static void a_wait_for_fewer_messages_ends_in_time(void)
{
    begin(1);
    rings_put(&queue, 1, 0, 1);
    rings_expect(&other, 1, 0);
    rings_put(&queue, 1, 1, 1);
    CHECK_INT(rings_write(&queue, 1, 2, MESSAGE_SIZE, isthmus_deadline_after(1000000)), -ETIMEDOUT);
    CHECK_INT(rings_write(&queue, 1, 2, MESSAGE_SIZE, 0), -ETIMEDOUT);
    end();
}

static void a_batch_keeps_to_the_limit_of_messages(void)
{
    struct isthmus_write write;
    struct isthmus_record record;
    begin(2);
    CHECK_OK(isthmus_write_begin(&queue, &write, 0, 0));
    for (uint32_t i = 0; i < 2; i++) {
        CHECK_OK(isthmus_write_reserve(&queue, &write, 1, 0, MESSAGE_SIZE, &record));
        message_write(record.data, 1, i, MESSAGE_SIZE);
    }
    CHECK_RESULT(isthmus_write_reserve(&queue, &write, 1, 0, MESSAGE_SIZE, &record), -EAGAIN);
    isthmus_write_commit(&queue, &write);
    CHECK_RESULT(isthmus_write_await(&queue, &write, isthmus_deadline_after(1000000)), -ETIMEDOUT);
    rings_expect(&other, 1, 0);
    CHECK_OK(isthmus_write_await(&queue, &write, SOON()));
    rings_expect(&other, 1, 1);
    end();
}

static void the_state_says_how_much_there_is(void)
{
    struct isthmus_queue_state state;
    struct isthmus_record first, second;
    begin(0);
    CHECK_OK(isthmus_queue_state(&queue, &state));
    CHECK_UINT(state.ready + state.leased + state.aside + state.put + state.used + state.closed, 0);
    rings_put(&queue, 1, 0, 5);
    CHECK_OK(rings_lease(&queue, &first, 0));
    CHECK_OK(rings_lease(&other, &second, 0));
    rings_expect(&other, 1, 2);
    CHECK_OK(isthmus_queue_state(&other, &state));
    CHECK_UINT(state.ready, 2);
    CHECK_UINT(state.leased, 2);
    CHECK_UINT(state.put, 5);
    CHECK_UINT(state.redelivered, 0);
    CHECK_UINT(state.used, 5 * MESSAGE_ROOM);
    CHECK_OK(rings_give_back(&queue, &first));
    CHECK_OK(rings_acknowledge(&other, &second));
    CHECK_OK(isthmus_queue_state(&other, &state));
    CHECK_UINT(state.ready, 3);
    CHECK_UINT(state.leased, 0);
    CHECK_UINT(state.redelivered, 1);
    end();
}

/* ---- Tasks
 * --------------------------------------------------------------------------------------- */

static int join_now(struct isthmus_ring *ring)
{
    return isthmus_queue_join(ring, isthmus_deadline_after(1000000));
}

static void joining_an_empty_queue_waits_for_nothing(void)
{
    begin(0);
    CHECK_OK(isthmus_queue_join(&queue, 0));
    CHECK_OK(isthmus_queue_join(&queue, ISTHMUS_FOREVER));
    CHECK_RESULT(isthmus_queue_task_done(&queue), -ERANGE);
    end();
}

static void joining_waits_until_each_message_is_done_with(void)
{
    begin(0);
    rings_put(&queue, 1, 0, 2);
    CHECK_RESULT(join_now(&queue), -ETIMEDOUT);
    rings_expect(&other, 1, 0);
    rings_expect(&other, 1, 1);
    CHECK_RESULT(isthmus_queue_join(&queue, 0), -ETIMEDOUT);
    CHECK_OK(isthmus_queue_task_done(&other));
    CHECK_RESULT(join_now(&queue), -ETIMEDOUT);
    CHECK_OK(isthmus_queue_task_done(&other));
    CHECK_OK(join_now(&queue));
    CHECK_RESULT(isthmus_queue_task_done(&other), -ERANGE);
    end();
}

static void tasks_may_be_reported_by_another_than_who_took_them(void)
{
    begin(0);
    rings_put(&queue, 1, 0, 2);
    rings_expect(&other, 1, 0);
    rings_expect(&other, 1, 1);
    const int result = isthmus_queue_task_done(&queue);
    /* As queue.Queue has it, if the core permits it; its own taker always may. */
    CHECK(result == 0 || result == -ERANGE);
    CHECK_OK(isthmus_queue_task_done(&other));
    if (result)
        CHECK_OK(isthmus_queue_task_done(&other));
    CHECK_OK(join_now(&queue));
    end();
}

static void an_acknowledged_lease_is_done_with(void)
{
    struct isthmus_record first, second;
    begin(0);
    rings_put(&queue, 1, 0, 2);
    CHECK_OK(rings_lease(&other, &first, 0));
    CHECK_OK(rings_lease(&other, &second, 0));
    CHECK_OK(rings_acknowledge(&other, &second));
    CHECK_RESULT(join_now(&queue), -ETIMEDOUT);
    CHECK_RESULT(isthmus_queue_task_done(&other), -ERANGE);
    CHECK_OK(rings_acknowledge(&other, &first));
    CHECK_OK(join_now(&queue));
    end();
}

static void tasks_of_one_that_closes_are_done_with(void)
{
    begin(0);
    rings_put(&queue, 1, 0, 3);
    rings_expect(&other, 1, 0);
    rings_expect(&other, 1, 1);
    rings_expect(&queue, 1, 2);
    isthmus_ring_close(&other);
    CHECK_RESULT(join_now(&queue), -ETIMEDOUT);
    CHECK_OK(isthmus_queue_task_done(&queue));
    CHECK_OK(join_now(&queue));
    isthmus_ring_close(&queue);
}

static void take_two(struct isthmus_ring *own)
{
    rings_expect(own, 1, 0);
    rings_expect(own, 1, 1);
}

static void tasks_of_one_that_dies_are_done_with(void)
{
    begin(0);
    rings_put(&queue, 1, 0, 2);
    const pid_t child = rings_stay(&queue, take_two);
    CHECK_RESULT(join_now(&queue), -ETIMEDOUT);
    together_kill(child);
    CHECK_OK(isthmus_queue_join(&queue, SOON()));
    end();
}

static void a_batch_taken_is_so_many_tasks(void)
{
    struct isthmus_read read;
    struct isthmus_record record;
    begin(0);
    rings_put(&queue, 1, 0, 4);
    CHECK_OK(isthmus_read_begin(&other, &read, 0));
    for (unsigned i = 0; i < 4; i++)
        CHECK_OK(isthmus_read_next(&other, &read, &record));
    isthmus_read_commit(&other, &read);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_RESULT(isthmus_queue_join(&queue, 0), -ETIMEDOUT);
        CHECK_OK(isthmus_queue_task_done(&other));
    }
    CHECK_OK(isthmus_queue_join(&queue, 0));
    CHECK_RESULT(isthmus_queue_task_done(&other), -ERANGE);
    end();
}

/* ---- The end
 * -------------------------------------------------------------------------------------- */

static void after_shut_down_what_is_there_can_be_got_and_nothing_put(void)
{
    struct isthmus_queue_state state;
    begin(0);
    rings_put(&queue, 1, 0, 2);
    CHECK_OK(isthmus_queue_shut_down(&queue, 0));
    CHECK_RESULT(rings_try(&other, 1, 2, MESSAGE_SIZE), -ESHUTDOWN);
    CHECK_RESULT(rings_write(&other, 1, 2, MESSAGE_SIZE, SOON()), -ESHUTDOWN);
    rings_expect(&other, 1, 0);
    rings_expect(&other, 1, 1);
    CHECK_RESULT(rings_get(&other, NULL, 0), -ESHUTDOWN);
    CHECK_RESULT(rings_get(&queue, NULL, ISTHMUS_FOREVER), -ESHUTDOWN);
    CHECK_OK(isthmus_queue_state(&queue, &state));
    CHECK(state.closed != 0);
    CHECK_OK(isthmus_queue_shut_down(&queue, 0));
    for (unsigned i = 0; i < 2; i++)
        CHECK_OK(isthmus_queue_task_done(&other));
    CHECK_OK(isthmus_queue_join(&queue, 0));
    end();
}

static void shut_down_can_discard_what_is_there(void)
{
    begin(0);
    rings_put(&queue, 1, 0, 5);
    CHECK_OK(isthmus_queue_shut_down(&queue, 1));
    CHECK_RESULT(rings_get(&other, NULL, SOON()), -ESHUTDOWN);
    CHECK_RESULT(rings_try(&other, 1, 2, MESSAGE_SIZE), -ESHUTDOWN);
    CHECK_OK(isthmus_queue_join(&queue, 0));
    rings_check_state(&queue, 0, 0, 0);
    end();
}

static void discarding_may_follow_a_shut_down(void)
{
    begin(0);
    rings_put(&queue, 1, 0, 5);
    CHECK_OK(isthmus_queue_shut_down(&queue, 0));
    rings_expect(&other, 1, 0);
    CHECK_OK(isthmus_queue_shut_down(&other, 1));
    CHECK_RESULT(rings_get(&other, NULL, 0), -ESHUTDOWN);
    CHECK_OK(isthmus_queue_task_done(&other));
    CHECK_OK(isthmus_queue_join(&queue, 0));
    end();
}

static void a_lease_outlives_a_shut_down(void)
{
    struct isthmus_record first, second;
    begin(0);
    rings_put(&queue, 1, 0, 2);
    CHECK_OK(rings_lease(&other, &first, 0));
    CHECK_OK(rings_lease(&other, &second, 0));
    CHECK_OK(isthmus_queue_shut_down(&queue, 0));
    CHECK_OK(rings_acknowledge(&other, &second));
    /* It is ready again, and may be got. */
    CHECK_OK(rings_give_back(&other, &first));
    rings_expect(&queue, 1, 0);
    CHECK_OK(isthmus_queue_task_done(&queue));
    CHECK_OK(isthmus_queue_join(&queue, 0));
    end();
}

/* Else the job of a worker that dies last would never be done. */
static void a_shut_down_is_not_complete_while_others_have_leases(void)
{
    struct isthmus_record first, own;
    begin(0);
    rings_put(&queue, 1, 0, 2);
    CHECK_OK(rings_lease(&other, &first, 0));
    CHECK_OK(rings_lease(&queue, &own, 0));
    CHECK_OK(isthmus_queue_shut_down(&queue, 0));
    CHECK_RESULT(rings_get(&queue, NULL, isthmus_deadline_after(1000000)), -ETIMEDOUT);
    CHECK_OK(rings_give_back(&other, &first));
    rings_expect(&queue, 1, 0);
    /* What one has leased oneself, one does not wait for. */
    CHECK_RESULT(rings_get(&queue, NULL, SOON()), -ESHUTDOWN);
    CHECK_OK(rings_acknowledge(&queue, &own));
    end();
}

static void gets_a_message_or_the_shut_down(struct isthmus_ring *own)
{
    CHECK_RESULT(rings_get(own, NULL, SOON()), -ESHUTDOWN);
}

static void the_last_lease_to_be_acknowledged_ends_the_waits_for_it(void)
{
    struct isthmus_record record;
    begin(0);
    rings_put(&queue, 1, 0, 1);
    CHECK_OK(rings_lease(&queue, &record, 0));
    CHECK_OK(isthmus_queue_shut_down(&queue, 0));
    const pid_t waiting = rings_send(&queue, gets_a_message_or_the_shut_down);
    UNTIL(rings_waiting(&queue) == 1);
    CHECK_OK(rings_acknowledge(&queue, &record));
    CHECK_INT(check_join_child(waiting), 0);
    end();
}

static void what_is_given_back_after_all_was_discarded_is_discarded_as_well(void)
{
    struct isthmus_record record;
    begin(0);
    rings_put(&queue, 1, 0, 3);
    CHECK_OK(rings_lease(&other, &record, 0));
    CHECK_OK(isthmus_queue_shut_down(&queue, 1));
    CHECK_RESULT(isthmus_queue_join(&queue, 0), -ETIMEDOUT);
    CHECK_OK(rings_give_back(&other, &record));
    CHECK_RESULT(rings_get(&queue, NULL, 0), -ESHUTDOWN);
    CHECK_OK(isthmus_queue_join(&queue, SOON()));
    end();
}

static void what_is_reserved_may_be_committed_before_a_shut_down_takes_effect(void)
{
    struct isthmus_write write;
    struct isthmus_record record;
    begin(0);
    CHECK_OK(isthmus_write_begin(&queue, &write, 0, 0));
    CHECK_OK(isthmus_write_reserve(&queue, &write, 1, 0, MESSAGE_SIZE, &record));
    message_write(record.data, 1, 0, MESSAGE_SIZE);
    isthmus_write_commit(&queue, &write);
    CHECK_OK(isthmus_queue_shut_down(&other, 0));
    rings_expect(&other, 1, 0);
    end();
}

static void clearing_drops_what_is_ready_and_nothing_else(void)
{
    struct isthmus_record record;
    begin(0);
    CHECK_OK(isthmus_queue_clear(&queue));
    CHECK_UINT(rings_fill(&queue, 1), MESSAGES_FIT);
    CHECK_OK(rings_lease(&other, &record, 0));
    CHECK_OK(isthmus_queue_clear(&queue));
    rings_check_state(&queue, 0, 1, 0);
    CHECK_RESULT(join_now(&queue), -ETIMEDOUT);
    CHECK_OK(rings_give_back(&other, &record));
    rings_expect(&queue, 1, 0);
    CHECK_OK(isthmus_queue_task_done(&queue));
    CHECK_OK(join_now(&queue));
    rings_check_capacity(&queue);
    end();
}

static void a_cleared_queue_has_all_its_room(void)
{
    begin(0);
    for (uint32_t round = 0; round < 5; round++) {
        CHECK_UINT(rings_fill(&queue, 1), MESSAGES_FIT);
        CHECK_OK(isthmus_queue_clear(&other));
        rings_expect_none(&other);
    }
    rings_check_capacity(&queue);
    end();
}

/* ---- Many
 * ------------------------------------------------------------------------------------------ */

#define PARTIES 3u
#define EACH_PUTS 1000u

static struct board {
    uint32_t numbers, left;
    uint32_t got[PARTIES][EACH_PUTS];
} *board;

static void produce(struct isthmus_ring *own)
{
    const uint32_t who = count_up(&board->numbers);
    for (uint32_t i = 0; i < EACH_PUTS; i++)
        CHECK_OK(rings_write(own, who, i, MESSAGE_MIN + i % 200, SOON()));
}

static void consume(struct isthmus_ring *own)
{
    uint32_t last[PARTIES] = {0};
    for (;;) {
        struct message message;
        const int result = rings_get(own, &message, SOON());
        if (result == -ESHUTDOWN)
            return;
        CHECK_OK(result);
        CHECK(message.who < PARTIES && message.number < EACH_PUTS);
        CHECK(message.number + 1 > last[message.who]);
        last[message.who] = message.number + 1;
        count_up(&board->got[message.who][message.number]);
        CHECK_OK(isthmus_queue_task_done(own));
    }
}

static void several_consumers_share_what_several_producers_put(void)
{
    pid_t producers[PARTIES], consumers[PARTIES];
    board = together_memory(sizeof *board);
    begin(0);
    for (unsigned i = 0; i < PARTIES; i++) {
        consumers[i] = rings_send(&queue, consume);
        producers[i] = rings_send(&queue, produce);
    }
    for (unsigned i = 0; i < PARTIES; i++)
        CHECK_INT(check_join_child(producers[i]), 0);
    CHECK_OK(isthmus_queue_join(&queue, SOON()));
    CHECK_OK(isthmus_queue_shut_down(&queue, 0));
    for (unsigned i = 0; i < PARTIES; i++)
        CHECK_INT(check_join_child(consumers[i]), 0);
    for (unsigned i = 0; i < PARTIES; i++)
        for (unsigned j = 0; j < EACH_PUTS; j++)
            CHECK_UINT(board->got[i][j], 1);
    end();
}

static const struct check_test tests[] = {
    CHECK_TEST(each_message_goes_to_one_consumer_only),
    CHECK_TEST(a_full_queue_can_be_filled_again_after_each_message_taken),
    CHECK_TEST(a_limit_of_messages_counts_those_that_are_ready),
    CHECK_TEST(a_wait_for_fewer_messages_ends_in_time),
    CHECK_TEST(a_batch_keeps_to_the_limit_of_messages),
    CHECK_TEST(the_state_says_how_much_there_is),
    CHECK_TEST(joining_an_empty_queue_waits_for_nothing),
    CHECK_TEST(joining_waits_until_each_message_is_done_with),
    CHECK_TEST(tasks_may_be_reported_by_another_than_who_took_them),
    CHECK_TEST(an_acknowledged_lease_is_done_with),
    CHECK_TEST(tasks_of_one_that_closes_are_done_with),
    CHECK_TEST(tasks_of_one_that_dies_are_done_with),
    CHECK_TEST(a_batch_taken_is_so_many_tasks),
    CHECK_TEST(after_shut_down_what_is_there_can_be_got_and_nothing_put),
    CHECK_TEST(shut_down_can_discard_what_is_there),
    CHECK_TEST(discarding_may_follow_a_shut_down),
    CHECK_TEST(a_lease_outlives_a_shut_down),
    CHECK_TEST(a_shut_down_is_not_complete_while_others_have_leases),
    CHECK_TEST(the_last_lease_to_be_acknowledged_ends_the_waits_for_it),
    CHECK_TEST(what_is_given_back_after_all_was_discarded_is_discarded_as_well),
    CHECK_TEST(what_is_reserved_may_be_committed_before_a_shut_down_takes_effect),
    CHECK_TEST(clearing_drops_what_is_ready_and_nothing_else),
    CHECK_TEST(a_cleared_queue_has_all_its_room),
    CHECK_TEST(several_consumers_share_what_several_producers_put),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
