/* Messages that were delivered too often: set aside, looked at, put back, removed. */
#include "check.h"
#include "rings.h"
#include <errno.h>

static struct isthmus_ring queue, other;

static void begin(uint32_t max_attempts)
{
    const struct isthmus_ring_plan plan = {
        .kind = ISTHMUS_KIND_QUEUE, .capacity = ISTHMUS_RING_MIN, .max_attempts = max_attempts};
    rings_make(&queue, &plan);
    rings_join(&other, &queue);
}

static void end(void)
{
    isthmus_ring_close(&other);
    isthmus_ring_close(&queue);
}

static uint32_t fail_once(struct isthmus_ring *ring)
{
    struct isthmus_record record;
    CHECK_OK(rings_lease(ring, &record, SOON()));
    CHECK_OK(rings_give_back(ring, &record));
    return message_read(record.data, record.size).number;
}

/* What is set aside, in order: numbers of messages, and what remove and put back take. */
struct listing {
    uint32_t count;
    uint32_t numbers[2 * MESSAGES_FIT];
    uint64_t sequences[2 * MESSAGES_FIT];
};

static struct listing list_aside(struct isthmus_ring *ring)
{
    struct listing listing = {0};
    struct isthmus_read read;
    struct isthmus_record record;
    int result;
    CHECK_OK(isthmus_queue_aside_begin(ring, &read, SOON()));
    while ((result = isthmus_queue_aside_next(ring, &read, &record)) == 0) {
        CHECK(listing.count < 2 * MESSAGES_FIT);
        listing.numbers[listing.count] = message_read(record.data, record.size).number;
        listing.sequences[listing.count] = record.sequence;
        listing.count++;
    }
    CHECK_RESULT(result, -EAGAIN);
    isthmus_read_abort(ring, &read);
    return listing;
}

static void a_message_delivered_in_vain_too_often_is_set_aside(void)
{
    for (uint32_t limit = 1; limit < 5; limit++) {
        struct isthmus_queue_state state;
        begin(limit);
        rings_put(&queue, 1, 0, 2);
        for (uint32_t i = 0; i < limit; i++) {
            rings_check_state(&queue, 2, 0, 0);
            CHECK_UINT(fail_once(i % 2 ? &queue : &other), 0);
        }
        rings_check_state(&queue, 1, 0, 1);
        CHECK_OK(isthmus_queue_state(&queue, &state));
        CHECK_UINT(state.set_aside, 1);
        rings_expect(&queue, 1, 1);
        rings_expect_none(&queue);
        const struct listing listing = list_aside(&other);
        CHECK_UINT(listing.count, 1);
        CHECK_UINT(listing.numbers[0], 0);
        /* It is nobody's task any more. */
        CHECK_OK(isthmus_queue_task_done(&queue));
        CHECK_OK(isthmus_queue_join(&queue, SOON()));
        /* It takes no room of the queue. */
        rings_check_capacity(&queue);
        end();
    }
}

static void without_a_limit_nothing_is_set_aside(void)
{
    struct isthmus_read read;
    struct isthmus_record record;
    begin(0);
    rings_put(&queue, 1, 0, 1);
    for (unsigned i = 0; i < 1000; i++)
        fail_once(&queue);
    rings_check_state(&queue, 1, 0, 0);
    const int result = isthmus_queue_aside_begin(&queue, &read, 0);
    if (!result) {
        CHECK_RESULT(isthmus_queue_aside_next(&queue, &read, &record), -EAGAIN);
        isthmus_read_abort(&queue, &read);
    }
    CHECK_RESULT(isthmus_queue_aside_remove(&queue, 0), -ENOENT);
    CHECK_RESULT(isthmus_queue_aside_put_back(&queue, 0, 0), -ENOENT);
    end();
}

static void plain_reads_are_no_attempts(void)
{
    struct isthmus_read read;
    struct isthmus_record record;
    begin(1);
    rings_put(&queue, 1, 0, 1);
    for (unsigned i = 0; i < 5; i++) {
        CHECK_OK(rings_next(&queue, &read, &record, 0));
        isthmus_read_abort(&queue, &read);
    }
    rings_expect(&queue, 1, 0);
    rings_check_state(&queue, 0, 0, 0);
    end();
}

static void messages_set_aside_are_listed_oldest_first(void)
{
    struct isthmus_record records[5];
    begin(1);
    rings_put(&queue, 1, 0, 5);
    for (unsigned i = 0; i < 5; i++)
        CHECK_OK(rings_lease(&other, &records[i], 0));
    static const uint32_t order[] = {3, 0, 4, 1, 2};
    for (unsigned i = 0; i < 5; i++)
        CHECK_OK(rings_give_back(&other, &records[order[i]]));
    const struct listing listing = list_aside(&queue);
    CHECK_UINT(listing.count, 5);
    for (unsigned i = 0; i < 5; i++)
        CHECK_UINT(listing.numbers[i], order[i]);
    rings_check_state(&queue, 0, 0, 5);
    end();
}

static void what_was_set_aside_can_be_removed_in_any_order(void)
{
    static const uint32_t order[] = {2, 0, 1, 4, 3};
    begin(1);
    for (unsigned round = 0; round < 30; round++) {
        rings_put(&queue, 1, 0, 5);
        for (uint32_t i = 0; i < 5; i++)
            CHECK_UINT(fail_once(&other), i);
        const struct listing listing = list_aside(&queue);
        CHECK_UINT(listing.count, 5);
        for (uint32_t i = 0; i < 5; i++) {
            CHECK_OK(isthmus_queue_aside_remove(&other, listing.sequences[order[i]]));
            CHECK_RESULT(isthmus_queue_aside_remove(&queue, listing.sequences[order[i]]), -ENOENT);
            CHECK_UINT(list_aside(&queue).count, 4 - i);
        }
        rings_check_state(&queue, 0, 0, 0);
    }
    CHECK_OK(isthmus_queue_join(&queue, 0));
    rings_check_capacity(&queue);
    end();
}

static void what_is_put_back_is_a_new_message(void)
{
    struct isthmus_record record;
    begin(2);
    rings_put(&queue, 1, 0, 2);
    for (unsigned i = 0; i < 2; i++)
        CHECK_UINT(fail_once(&other), 0);
    const struct listing listing = list_aside(&queue);
    CHECK_OK(isthmus_queue_aside_put_back(&other, listing.sequences[0], 0));
    CHECK_RESULT(isthmus_queue_aside_put_back(&other, listing.sequences[0], 0), -ENOENT);
    rings_check_state(&queue, 2, 0, 0);
    /* Behind those that are there. */
    rings_expect(&queue, 1, 1);
    CHECK_OK(rings_lease(&queue, &record, 0));
    CHECK_UINT(record.attempts, 1);
    CHECK_UINT(message_read(record.data, record.size).number, 0);
    CHECK_RESULT(isthmus_queue_join(&queue, 0), -ETIMEDOUT);
    CHECK_OK(rings_acknowledge(&queue, &record));
    CHECK_OK(isthmus_queue_task_done(&queue));
    CHECK_OK(isthmus_queue_join(&queue, 0));
    rings_check_capacity(&queue);
    end();
}

static void what_is_put_back_keeps_its_type_and_meta_data(void)
{
    struct isthmus_write write;
    struct isthmus_record record;
    struct isthmus_read read;
    begin(1);
    CHECK_OK(isthmus_write_begin(&queue, &write, 0, 0));
    CHECK_OK(isthmus_write_reserve(&queue, &write, 4, 24, 100, &record));
    message_write((void *)(uintptr_t)record.meta, 5, 5, 24);
    message_write(record.data, 1, 1, 100);
    isthmus_write_commit(&queue, &write);
    CHECK_UINT(fail_once(&queue), 1);
    CHECK_OK(isthmus_queue_aside_begin(&queue, &read, 0));
    CHECK_OK(isthmus_queue_aside_next(&queue, &read, &record));
    CHECK_UINT(record.type, 4);
    CHECK_UINT(message_read(record.meta, 24).number, 5);
    CHECK_UINT(record.attempts, 1);
    isthmus_read_abort(&queue, &read);
    CHECK_OK(isthmus_queue_aside_put_back(&queue, record.sequence, 0));
    CHECK_OK(rings_next(&other, &read, &record, 0));
    CHECK_UINT(record.type, 4);
    CHECK_UINT(message_read(record.meta, 24).number, 5);
    CHECK_UINT(message_read(record.data, record.size).number, 1);
    isthmus_read_commit(&other, &read);
    end();
}

static void putting_back_waits_for_room(void)
{
    begin(1);
    rings_put(&queue, 1, 0, 1);
    fail_once(&queue);
    const struct listing listing = list_aside(&queue);
    CHECK_UINT(rings_fill(&queue, 2), MESSAGES_FIT);
    CHECK_RESULT(
        isthmus_queue_aside_put_back(&queue, listing.sequences[0], isthmus_deadline_after(1000000)),
        -ETIMEDOUT);
    CHECK_UINT(list_aside(&queue).count, 1);
    rings_expect(&other, 2, 0);
    CHECK_OK(isthmus_queue_aside_put_back(&queue, listing.sequences[0], SOON()));
    CHECK_UINT(list_aside(&queue).count, 0);
    end();
}

static void when_the_place_aside_is_full_no_message_is_lost(void)
{
    begin(1);
    uint32_t put = 0;
    struct isthmus_queue_state state;
    for (unsigned round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < MESSAGES_FIT; i++) {
            if (rings_try(&queue, 1, put, MESSAGE_SIZE))
                break;
            put++;
        }
        for (uint32_t i = 0; i < MESSAGES_FIT + 3; i++) {
            struct isthmus_record record;
            if (rings_lease(&other, &record, 0) == 0)
                CHECK_OK(rings_give_back(&other, &record));
        }
        CHECK_OK(isthmus_queue_state(&queue, &state));
        CHECK_UINT(state.ready + state.aside, put);
        CHECK_UINT(state.leased, 0);
    }
    CHECK(put > MESSAGES_FIT);
    CHECK_UINT(state.aside, MESSAGES_FIT);
    /* What is there is still to be had, each once. */
    uint64_t found = 0;
    for (uint64_t i = 0; i < state.ready; i++) {
        struct message message;
        CHECK_OK(rings_get(&queue, &message, 0));
        CHECK(!(found & UINT64_C(1) << message.number % 64));
        found |= UINT64_C(1) << message.number % 64;
    }
    rings_expect_none(&queue);
    const struct listing listing = list_aside(&queue);
    CHECK_UINT(listing.count, MESSAGES_FIT);
    for (uint32_t i = 0; i < listing.count; i++)
        CHECK_OK(isthmus_queue_aside_remove(&queue, listing.sequences[i]));
    rings_check_state(&queue, 0, 0, 0);
    end();
}

static void room_aside_is_used_again(void)
{
    begin(1);
    for (uint32_t i = 0; i < 5 * MESSAGES_FIT; i++) {
        CHECK_OK(rings_try(&queue, 1, i, MESSAGE_MIN + i * 11 % 2000));
        CHECK_UINT(fail_once(&other), i);
        const struct listing listing = list_aside(&queue);
        CHECK_UINT(listing.count, 1);
        CHECK_UINT(listing.numbers[0], i);
        if (i % 3)
            CHECK_OK(isthmus_queue_aside_remove(&queue, listing.sequences[0]));
        else {
            CHECK_OK(isthmus_queue_aside_put_back(&queue, listing.sequences[0], 0));
            rings_expect(&queue, 1, i);
        }
    }
    end();
}

static void lease_one(struct isthmus_ring *own)
{
    struct isthmus_record record;
    CHECK_OK(rings_lease(own, &record, SOON()));
}

static void a_message_that_kills_its_consumers_is_set_aside(void)
{
    begin(3);
    rings_put(&queue, 1, 0, 1);
    for (unsigned i = 0; i < 3; i++)
        together_kill(rings_stay(&queue, lease_one));
    rings_put(&queue, 1, 1, 1);
    rings_expect(&queue, 1, 1);
    UNTIL(rings_get(&queue, NULL, 0) == -ETIMEDOUT && list_aside(&queue).count == 1);
    rings_check_state(&queue, 0, 0, 1);
    end();
}

static void one_that_closes_with_its_last_attempt_sets_the_message_aside(void)
{
    begin(1);
    rings_put(&queue, 1, 0, 2);
    lease_one(&other);
    isthmus_ring_close(&other);
    rings_check_state(&queue, 1, 0, 1);
    rings_expect(&queue, 1, 1);
    isthmus_ring_close(&queue);
}

static void clearing_leaves_what_was_set_aside(void)
{
    begin(1);
    rings_put(&queue, 1, 0, 3);
    fail_once(&queue);
    CHECK_OK(isthmus_queue_clear(&queue));
    rings_check_state(&queue, 0, 0, 1);
    CHECK_UINT(list_aside(&queue).numbers[0], 0);
    end();
}

static const struct check_test tests[] = {
    CHECK_TEST(a_message_delivered_in_vain_too_often_is_set_aside),
    CHECK_TEST(without_a_limit_nothing_is_set_aside),
    CHECK_TEST(plain_reads_are_no_attempts),
    CHECK_TEST(messages_set_aside_are_listed_oldest_first),
    CHECK_TEST(what_was_set_aside_can_be_removed_in_any_order),
    CHECK_TEST(what_is_put_back_is_a_new_message),
    CHECK_TEST(what_is_put_back_keeps_its_type_and_meta_data),
    CHECK_TEST(putting_back_waits_for_room),
    CHECK_TEST(when_the_place_aside_is_full_no_message_is_lost),
    CHECK_TEST(room_aside_is_used_again),
    CHECK_TEST(a_message_that_kills_its_consumers_is_set_aside),
    CHECK_TEST(one_that_closes_with_its_last_attempt_sets_the_message_aside),
    CHECK_TEST(clearing_leaves_what_was_set_aside),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
