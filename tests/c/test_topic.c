/* Topics: what each subscriber gets, where it starts, what it misses, what stays for whom. */
#include "check.h"
#include "rings.h"
#include <errno.h>
#include <string.h>

#define PARTIES 3u

static struct isthmus_ring topic, subscribers[PARTIES];

static void begin(uint32_t overflow)
{
    rings_topic(&topic);
    topic.overflow = overflow;
    for (unsigned i = 0; i < PARTIES; i++)
        rings_join(&subscribers[i], &topic);
}

static void end(void)
{
    for (unsigned i = 0; i < PARTIES; i++)
        isthmus_ring_close(&subscribers[i]);
    isthmus_ring_close(&topic);
}

static void subscribe(unsigned i, uint64_t start)
{
    CHECK_OK(isthmus_topic_subscribe(&subscribers[i], start));
}

static struct isthmus_topic_state state(void)
{
    struct isthmus_topic_state found;
    CHECK_OK(isthmus_topic_state(&topic, &found));
    return found;
}

static void publish(uint32_t number)
{
    CHECK_OK(rings_try(&topic, 1, number, MESSAGE_SIZE));
}

static void publish_many(uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        publish(first + i);
}

/* ---- Everybody gets everything ----------------------------------------------------------------
 */

static void each_message_goes_to_every_subscriber(void)
{
    begin(ISTHMUS_OVERFLOW_BLOCK);
    for (unsigned i = 0; i < PARTIES; i++)
        subscribe(i, ISTHMUS_START_NEXT);
    for (uint32_t number = 0; number < 5 * MESSAGES_FIT; number++) {
        publish(number);
        for (unsigned i = 0; i < PARTIES; i++) {
            CHECK_UINT(isthmus_topic_lag(&subscribers[i]), 1);
            rings_expect(&subscribers[i], 1, number);
            CHECK_UINT(isthmus_topic_lag(&subscribers[i]), 0);
            rings_expect_none(&subscribers[i]);
        }
    }
    CHECK_UINT(state().subscribers, PARTIES);
    CHECK_UINT(state().published, 5 * MESSAGES_FIT);
    end();
}

static void a_topic_without_subscribers_never_fills(void)
{
    begin(ISTHMUS_OVERFLOW_BLOCK);
    publish_many(0, 5 * MESSAGES_FIT);
    CHECK_UINT(state().published, 5 * MESSAGES_FIT);
    CHECK_UINT(state().subscribers, 0);
    CHECK_UINT(state().kept, MESSAGES_FIT);
    end();
}

/* ---- Where a subscriber starts --------------------------------------------------------------- */

static void a_late_joiner_starts_with_what_it_asks_for(void)
{
    begin(ISTHMUS_OVERFLOW_BLOCK);
    publish_many(0, 10);
    subscribe(0, ISTHMUS_START_NEXT);
    subscribe(1, ISTHMUS_START_OLDEST);
    subscribe(2, 3);
    CHECK_UINT(isthmus_topic_lag(&subscribers[0]), 0);
    CHECK_UINT(isthmus_topic_lag(&subscribers[1]), 10);
    CHECK_UINT(isthmus_topic_lag(&subscribers[2]), 3);
    publish(10);
    rings_expect(&subscribers[0], 1, 10);
    for (uint32_t number = 0; number < 11; number++)
        rings_expect(&subscribers[1], 1, number);
    for (uint32_t number = 7; number < 11; number++)
        rings_expect(&subscribers[2], 1, number);
    for (unsigned i = 0; i < PARTIES; i++) {
        rings_expect_none(&subscribers[i]);
        CHECK_UINT(isthmus_topic_missed(&subscribers[i]), 0);
    }
    end();
}

static void one_that_asks_for_more_than_there_is_gets_what_is_there(void)
{
    begin(ISTHMUS_OVERFLOW_BLOCK);
    subscribe(0, 5);
    subscribe(1, ISTHMUS_START_OLDEST);
    CHECK_UINT(isthmus_topic_lag(&subscribers[0]), 0);
    CHECK_UINT(isthmus_topic_lag(&subscribers[1]), 0);
    CHECK_OK(isthmus_topic_unsubscribe(&subscribers[0]));
    CHECK_OK(isthmus_topic_unsubscribe(&subscribers[1]));
    publish_many(0, 2 * MESSAGES_FIT);
    subscribe(0, 10 * MESSAGES_FIT);
    subscribe(1, ISTHMUS_START_OLDEST);
    for (uint32_t number = MESSAGES_FIT; number < 2 * MESSAGES_FIT; number++) {
        rings_expect(&subscribers[0], 1, number);
        rings_expect(&subscribers[1], 1, number);
    }
    rings_expect_none(&subscribers[0]);
    CHECK_UINT(isthmus_topic_missed(&subscribers[0]), 0);
    end();
}

static void the_last_ones_are_found_among_messages_of_all_sizes(void)
{
    static const struct isthmus_ring_plan plan = {
        .kind = ISTHMUS_KIND_TOPIC, .capacity = ISTHMUS_RING_MIN, .start = 0 - UINT64_C(8192)};
    struct isthmus_ring subscriber;
    rings_make(&topic, &plan);
    rings_join(&subscriber, &topic);
    for (uint32_t number = 0; number < 300; number++) {
        CHECK_OK(rings_try(&topic, 1, number, MESSAGE_MIN + number * 37 % 900));
        const uint64_t kept = state().kept, last = number % 9 + 1;
        CHECK(kept > 0);
        CHECK_OK(isthmus_topic_subscribe(&subscriber, last));
        rings_expect(&subscriber, 1, number + 1 - (uint32_t)(last < kept ? last : kept));
        CHECK_OK(isthmus_topic_subscribe(&subscriber, ISTHMUS_START_OLDEST));
        rings_expect(&subscriber, 1, number + 1 - (uint32_t)kept);
        CHECK_OK(isthmus_topic_unsubscribe(&subscriber));
    }
    isthmus_ring_close(&subscriber);
    isthmus_ring_close(&topic);
}

static void subscribing_again_starts_anew(void)
{
    begin(ISTHMUS_OVERFLOW_BLOCK);
    publish_many(0, 5);
    for (unsigned round = 0; round < 3; round++) {
        subscribe(0, ISTHMUS_START_OLDEST);
        rings_expect(&subscribers[0], 1, 0);
        rings_expect(&subscribers[0], 1, 1);
    }
    subscribe(0, ISTHMUS_START_NEXT);
    rings_expect_none(&subscribers[0]);
    CHECK_UINT(state().subscribers, 1);
    end();
}

static void one_that_has_not_subscribed_reads_nothing_and_holds_nobody_back(void)
{
    struct isthmus_read read;
    begin(ISTHMUS_OVERFLOW_BLOCK);
    CHECK(isthmus_read_begin(&subscribers[0], &read, 0) < 0);
    CHECK(rings_get(&subscribers[0], NULL, 0) < 0);
    subscribe(0, ISTHMUS_START_NEXT);
    CHECK_OK(isthmus_topic_unsubscribe(&subscribers[0]));
    CHECK(rings_get(&subscribers[0], NULL, 0) < 0);
    publish_many(0, 3 * MESSAGES_FIT);
    CHECK_UINT(state().subscribers, 0);
    end();
}

/* ---- A slow subscriber --------------------------------------------------------------------------
 */

static void a_slow_subscriber_blocks_who_wants_to_wait_for_it(void)
{
    begin(ISTHMUS_OVERFLOW_BLOCK);
    subscribe(0, ISTHMUS_START_NEXT);
    subscribe(1, ISTHMUS_START_NEXT);
    publish_many(0, MESSAGES_FIT);
    CHECK_RESULT(rings_try(&topic, 1, MESSAGES_FIT, MESSAGE_SIZE), -EAGAIN);
    CHECK_RESULT(
        rings_write(&topic, 1, MESSAGES_FIT, MESSAGE_SIZE, isthmus_deadline_after(1000000)),
        -ETIMEDOUT);
    for (uint32_t number = 0; number < 3 * MESSAGES_FIT; number++) {
        rings_expect(&subscribers[1], 1, number);
        CHECK_RESULT(rings_try(&topic, 1, 0, MESSAGE_SIZE), -EAGAIN);
        rings_expect(&subscribers[0], 1, number);
        publish(number + MESSAGES_FIT);
    }
    CHECK_UINT(isthmus_topic_missed(&subscribers[0]), 0);
    end();
}

static void a_subscriber_that_leaves_no_longer_blocks(void)
{
    begin(ISTHMUS_OVERFLOW_BLOCK);
    subscribe(0, ISTHMUS_START_NEXT);
    subscribe(1, ISTHMUS_START_NEXT);
    publish_many(0, MESSAGES_FIT);
    CHECK_OK(isthmus_topic_unsubscribe(&subscribers[0]));
    CHECK_RESULT(rings_try(&topic, 1, 0, MESSAGE_SIZE), -EAGAIN);
    isthmus_ring_close(&subscribers[1]);
    publish_many(MESSAGES_FIT, 3 * MESSAGES_FIT);
    CHECK_UINT(state().evicted, 0);
    end();
}

static void a_slow_subscriber_is_told_how_many_it_missed(void)
{
    for (uint32_t late = 0; late < 3 * MESSAGES_FIT; late += 7) {
        struct message message;
        begin(ISTHMUS_OVERFLOW_OVERWRITE);
        subscribe(0, ISTHMUS_START_NEXT);
        publish_many(0, MESSAGES_FIT + late);
        CHECK_UINT(isthmus_topic_lag(&subscribers[0]), MESSAGES_FIT + late);
        CHECK_OK(rings_get(&subscribers[0], &message, 0));
        CHECK_UINT(message.number, late);
        CHECK_UINT(isthmus_topic_missed(&subscribers[0]), late);
        for (uint32_t number = late + 1; number < MESSAGES_FIT + late; number++)
            rings_expect(&subscribers[0], 1, number);
        rings_expect_none(&subscribers[0]);
        CHECK_UINT(isthmus_topic_missed(&subscribers[0]), late);
        end();
    }
}

static void read_and_missed_are_all_that_was_published(void)
{
    struct isthmus_ring publisher;
    uint64_t read = 0, last = 0;
    uint32_t random = 1;
    begin(ISTHMUS_OVERFLOW_OVERWRITE);
    rings_join(&publisher, &topic);
    publisher.overflow = ISTHMUS_OVERFLOW_OVERWRITE;
    subscribe(0, ISTHMUS_START_NEXT);
    for (uint32_t number = 0; number < 5000; number++) {
        struct message message;
        random = random * 1664525 + 1013904223;
        CHECK_OK(rings_try(random >> 31 ? &topic : &publisher, 1, number + 1,
                           MESSAGE_MIN + (random >> 20) % 1000));
        if (random >> 10 & 3)
            continue;
        CHECK_OK(rings_get(&subscribers[0], &message, 0));
        CHECK(message.number > last);
        read++;
        last = message.number;
        CHECK_UINT(read + isthmus_topic_missed(&subscribers[0]), last);
    }
    isthmus_ring_close(&publisher);
    end();
}

static void a_record_overwritten_while_it_is_read_is_known_not_to_be_valid(void)
{
    struct isthmus_read read;
    struct isthmus_record record;
    begin(ISTHMUS_OVERFLOW_OVERWRITE);
    subscribe(0, ISTHMUS_START_NEXT);
    publish_many(0, 2);
    CHECK_OK(rings_next(&subscribers[0], &read, &record, 0));
    CHECK_OK(isthmus_read_valid(&subscribers[0], &read, &record));
    publish_many(2, MESSAGES_FIT + 5);
    CHECK_RESULT(isthmus_read_valid(&subscribers[0], &read, &record), -ESTALE);
    CHECK_RESULT(isthmus_topic_pin(&subscribers[0], record.position), -ESTALE);
    CHECK_OK(isthmus_read_next(&subscribers[0], &read, &record));
    CHECK_OK(isthmus_read_valid(&subscribers[0], &read, &record));
    /* The oldest, or further on: not to be lapped again at once. */
    const uint32_t number = message_read(record.data, record.size).number;
    CHECK(number >= 7 && number < 7 + MESSAGES_FIT / 2);
    isthmus_read_commit(&subscribers[0], &read);
    CHECK_UINT(isthmus_topic_missed(&subscribers[0]), number);
    rings_expect(&subscribers[0], 1, number + 1);
    end();
}

/* ---- In view
 * ----------------------------------------------------------------------------------------- */

static void see(unsigned i, struct isthmus_record *record)
{
    struct isthmus_read read;
    CHECK_OK(rings_next(&subscribers[i], &read, record, 0));
    CHECK_OK(isthmus_topic_pin(&subscribers[i], record->position));
    isthmus_read_commit(&subscribers[i], &read);
}

static void a_record_in_view_is_not_overwritten_under_any_policy(void)
{
    for (uint32_t policy = 0; policy < 2; policy++) {
        struct isthmus_record record;
        begin(policy);
        subscribe(0, ISTHMUS_START_NEXT);
        publish_many(0, 3);
        see(0, &record);
        publish_many(3, MESSAGES_FIT - 3);
        CHECK_RESULT(rings_try(&topic, 1, 0, MESSAGE_SIZE), -EAGAIN);
        CHECK_RESULT(rings_write(&topic, 1, 0, MESSAGE_SIZE, isthmus_deadline_after(1000000)),
                     -ETIMEDOUT);
        CHECK_UINT(message_read(record.data, record.size).number, 0);
        CHECK_OK(isthmus_topic_pin(&subscribers[0], UINT64_MAX));
        publish(MESSAGES_FIT);
        end();
    }
}

static void a_pin_may_move_on_to_the_oldest_that_is_still_in_view(void)
{
    struct isthmus_record records[3];
    struct isthmus_read read;
    begin(ISTHMUS_OVERFLOW_OVERWRITE);
    subscribe(0, ISTHMUS_START_NEXT);
    publish_many(0, MESSAGES_FIT);
    see(0, &records[0]);
    for (unsigned i = 1; i < 3; i++) {
        CHECK_OK(rings_next(&subscribers[0], &read, &records[i], 0));
        isthmus_read_commit(&subscribers[0], &read);
    }
    CHECK_RESULT(rings_try(&topic, 1, 0, MESSAGE_SIZE), -EAGAIN);
    CHECK_OK(isthmus_topic_pin(&subscribers[0], records[2].position));
    publish_many(100, 2);
    CHECK_RESULT(rings_try(&topic, 1, 0, MESSAGE_SIZE), -EAGAIN);
    CHECK_UINT(message_read(records[2].data, records[2].size).number, 2);
    CHECK_OK(isthmus_topic_pin(&subscribers[0], UINT64_MAX));
    publish_many(200, 10);
    end();
}

static void a_pin_of_one_that_leaves_is_gone(void)
{
    struct isthmus_record record;
    begin(ISTHMUS_OVERFLOW_OVERWRITE);
    subscribe(0, ISTHMUS_START_NEXT);
    publish_many(0, MESSAGES_FIT);
    see(0, &record);
    CHECK_RESULT(rings_try(&topic, 1, 0, MESSAGE_SIZE), -EAGAIN);
    isthmus_ring_close(&subscribers[0]);
    publish_many(0, 3 * MESSAGES_FIT);
    end();
}

/* ---- The dead
 * ------------------------------------------------------------------------------------------ */

static void subscribe_only(struct isthmus_ring *own)
{
    CHECK_OK(isthmus_topic_subscribe(own, ISTHMUS_START_NEXT));
}

static void subscribe_and_pin(struct isthmus_ring *own)
{
    struct isthmus_read read;
    struct isthmus_record record;
    CHECK_OK(isthmus_topic_subscribe(own, ISTHMUS_START_OLDEST));
    CHECK_OK(rings_next(own, &read, &record, 0));
    CHECK_OK(isthmus_topic_pin(own, record.position));
}

static void a_dead_subscriber_in_the_way_is_evicted(void)
{
    for (unsigned waiting = 0; waiting < 2; waiting++) {
        begin(ISTHMUS_OVERFLOW_BLOCK);
        together_kill(rings_stay(&topic, subscribe_only));
        for (uint32_t number = 0; number < 3 * MESSAGES_FIT; number++) {
            if (waiting)
                CHECK_OK(rings_write(&topic, 1, number, MESSAGE_SIZE, SOON()));
            else
                UNTIL(rings_write(&topic, 1, number, MESSAGE_SIZE, 0) == 0);
        }
        CHECK_UINT(state().evicted, 1);
        CHECK_UINT(state().subscribers, 0);
        end();
    }
}

static void a_pin_of_the_dead_is_gone(void)
{
    for (uint32_t policy = 0; policy < 2; policy++) {
        begin(policy);
        publish_many(0, MESSAGES_FIT);
        together_kill(rings_stay(&topic, subscribe_and_pin));
        for (uint32_t number = 0; number < 3 * MESSAGES_FIT; number++)
            CHECK_OK(rings_write(&topic, 1, number, MESSAGE_SIZE, SOON()));
        end();
    }
}

static void many_dead_subscribers_are_evicted_and_the_living_one_stays(void)
{
    begin(ISTHMUS_OVERFLOW_BLOCK);
    subscribe(0, ISTHMUS_START_NEXT);
    for (unsigned i = 0; i < 3; i++)
        together_kill(rings_stay(&topic, subscribe_only));
    for (uint32_t number = 0; number < 3 * MESSAGES_FIT; number++) {
        CHECK_OK(rings_write(&topic, 1, number, MESSAGE_SIZE, SOON()));
        rings_expect(&subscribers[0], 1, number);
    }
    CHECK_UINT(state().subscribers, 1);
    end();
}

static void who_joins_after_a_dead_subscriber_has_not_subscribed(void)
{
    struct isthmus_ring successor;
    begin(ISTHMUS_OVERFLOW_BLOCK);
    together_kill(rings_stay(&topic, subscribe_only));
    rings_join(&successor, &topic);
    CHECK_UINT(state().subscribers, 0);
    for (uint32_t number = 0; number < 3 * MESSAGES_FIT; number++)
        CHECK_OK(rings_write(&topic, 1, number, MESSAGE_SIZE, SOON()));
    CHECK(rings_get(&successor, NULL, 0) < 0);
    isthmus_ring_close(&successor);
    end();
}

/* Up to where a publisher is about to overwrite, but has not begun to. */
static void be_about_to_overwrite(struct isthmus_ring *own)
{
    struct isthmus_write write;
    CHECK_OK(isthmus_write_begin(own, &write, 0, 0));
    own->cursors->overwriting = own->cursors->oldest + UINT64_C(2) * MESSAGE_ROOM;
}

static void the_oldest_is_what_a_publisher_has_left_that_died_about_to_overwrite(void)
{
    begin(ISTHMUS_OVERFLOW_OVERWRITE);
    publish_many(0, MESSAGES_FIT);
    together_kill(rings_stay(&topic, be_about_to_overwrite));
    CHECK_UINT(state().kept, MESSAGES_FIT);
    subscribe(0, ISTHMUS_START_OLDEST);
    subscribe(1, MESSAGES_FIT - 1);
    CHECK_UINT(isthmus_topic_lag(&subscribers[0]), MESSAGES_FIT);
    rings_expect(&subscribers[0], 1, 0);
    rings_expect(&subscribers[1], 1, 1);
    end();
}

static void who_starts_with_the_oldest_does_not_wait_for_a_publisher(void)
{
    begin(ISTHMUS_OVERFLOW_OVERWRITE);
    publish_many(0, MESSAGES_FIT);
    pid_t child = rings_stay(&topic, be_about_to_overwrite);
    subscribe(0, ISTHMUS_START_OLDEST);
    rings_expect(&subscribers[0], 1, 2);
    together_kill(child);
    end();
}

/* ---- Damage: one case of what test_corruption.c does at random ------------------------------ */

static void a_publisher_whose_cursors_are_damaged_does_not_wait_for_nobody(void)
{
    begin(ISTHMUS_OVERFLOW_BLOCK);
    publish_many(0, MESSAGES_FIT);
    subscribe(0, ISTHMUS_START_OLDEST);
    const uint64_t oldest = topic.cursors->oldest;
    topic.cursors->oldest = topic.cursors->tail + 4096;
    CHECK_RESULT(rings_write(&topic, 1, 0, MESSAGE_SIZE, isthmus_deadline_after(1000000)),
                 -EBADMSG);
    topic.cursors->oldest = oldest + 1;
    CHECK_RESULT(rings_write(&topic, 1, 0, MESSAGE_SIZE, SOON()), -EBADMSG);
    topic.cursors->oldest = oldest;
    rings_expect(&subscribers[0], 1, 0);
    publish(MESSAGES_FIT);
    end();
}

/* ---- Who is there
 * ----------------------------------------------------------------------------------------- */

static void seats_say_who_reads_and_how_far_behind(void)
{
    struct isthmus_seat seat;
    begin(ISTHMUS_OVERFLOW_OVERWRITE);
    subscribe(1, ISTHMUS_START_NEXT);
    publish_many(0, MESSAGES_FIT + 3);
    rings_expect(&subscribers[1], 1, 3);
    CHECK_OK(isthmus_ring_seat(&topic, (uint32_t)topic.primitive.slot, &seat));
    CHECK(seat.role & ISTHMUS_ROLE_PRODUCER);
    CHECK_OK(isthmus_ring_seat(&topic, (uint32_t)subscribers[1].primitive.slot, &seat));
    CHECK(seat.role & ISTHMUS_ROLE_SUBSCRIBER);
    CHECK_UINT(seat.lag, MESSAGES_FIT - 1);
    CHECK_UINT(seat.missed, 3);
    CHECK(isthmus_ring_seat(&topic, topic.primitive.count, &seat) < 0);
    CHECK_UINT(state().publishers, 1);
    CHECK_UINT(state().subscribers, 1);
    end();
}

static const struct check_test tests[] = {
    CHECK_TEST(each_message_goes_to_every_subscriber),
    CHECK_TEST(a_topic_without_subscribers_never_fills),
    CHECK_TEST(a_late_joiner_starts_with_what_it_asks_for),
    CHECK_TEST(one_that_asks_for_more_than_there_is_gets_what_is_there),
    CHECK_TEST(the_last_ones_are_found_among_messages_of_all_sizes),
    CHECK_TEST(subscribing_again_starts_anew),
    CHECK_TEST(one_that_has_not_subscribed_reads_nothing_and_holds_nobody_back),
    CHECK_TEST(a_slow_subscriber_blocks_who_wants_to_wait_for_it),
    CHECK_TEST(a_subscriber_that_leaves_no_longer_blocks),
    CHECK_TEST(a_slow_subscriber_is_told_how_many_it_missed),
    CHECK_TEST(read_and_missed_are_all_that_was_published),
    CHECK_TEST(a_record_overwritten_while_it_is_read_is_known_not_to_be_valid),
    CHECK_TEST(a_record_in_view_is_not_overwritten_under_any_policy),
    CHECK_TEST(a_pin_may_move_on_to_the_oldest_that_is_still_in_view),
    CHECK_TEST(a_pin_of_one_that_leaves_is_gone),
    CHECK_TEST(a_dead_subscriber_in_the_way_is_evicted),
    CHECK_TEST(a_pin_of_the_dead_is_gone),
    CHECK_TEST(many_dead_subscribers_are_evicted_and_the_living_one_stays),
    CHECK_TEST(who_joins_after_a_dead_subscriber_has_not_subscribed),
    CHECK_TEST(the_oldest_is_what_a_publisher_has_left_that_died_about_to_overwrite),
    CHECK_TEST(who_starts_with_the_oldest_does_not_wait_for_a_publisher),
    CHECK_TEST(a_publisher_whose_cursors_are_damaged_does_not_wait_for_nobody),
    CHECK_TEST(seats_say_who_reads_and_how_far_behind),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
