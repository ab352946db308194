/* Death at every step of publishing, of subscribing and of reading a topic. See death.h. */
#include "check.h"
#include "death.h"
#include <errno.h>

static const struct isthmus_ring_plan plain = {.kind = ISTHMUS_KIND_TOPIC,
                                               .capacity = ISTHMUS_RING_MIN};
static const struct isthmus_ring_plan wrapping = {
    .kind = ISTHMUS_KIND_TOPIC, .capacity = ISTHMUS_RING_MIN, .start = 0 - UINT64_C(96)};

#define BATCH 3u

/* ---- Victims ---------------------------------------------------------------------------- */

static void publish_two(void)
{
    ledger_put(&my_ring, LEDGER_VICTIM, 2);
}

static void publish_one(void)
{
    ledger_put(&my_ring, LEDGER_VICTIM, 1);
}

static void overwrite(void)
{
    my_ring.overflow = ISTHMUS_OVERFLOW_OVERWRITE;
    publish_two();
}

static void publish_a_batch(void)
{
    struct isthmus_write write;
    CHECK_OK(isthmus_write_begin(&my_ring, &write, 1, SOON()));
    ledger_reserve(&my_ring, &write, LEDGER_VICTIM, BATCH);
    ledger_commit(&my_ring, &write, LEDGER_VICTIM);
}

static void abort_a_batch(void)
{
    struct isthmus_write write;
    CHECK_OK(isthmus_write_begin(&my_ring, &write, 0, SOON()));
    ledger_reserve(&my_ring, &write, LEDGER_VICTIM, BATCH);
    isthmus_write_abort(&my_ring, &write);
}

static void publish_in_vain(void)
{
    CHECK_RESULT(ledger_try(&my_ring, LEDGER_VICTIM), -EAGAIN);
}

static void subscribe_to(uint64_t start)
{
    CHECK_OK(isthmus_topic_subscribe(&my_ring, start));
}

static void subscribe_next(void)
{
    subscribe_to(ISTHMUS_START_NEXT);
}

static void subscribe_oldest(void)
{
    subscribe_to(ISTHMUS_START_OLDEST);
}

static void subscribe_to_the_last_three(void)
{
    subscribe_to(3);
}

static void subscribe_to_the_last_one(void)
{
    subscribe_to(1);
}

static void unsubscribe(void)
{
    CHECK_OK(isthmus_topic_unsubscribe(&my_ring));
}

/* What the victim reads is no business of the ledger: others get the same. */
static int receive(uint64_t deadline)
{
    return rings_get(&my_ring, NULL, deadline);
}

static void receive_two(void)
{
    CHECK_OK(receive(SOON()));
    CHECK_OK(receive(SOON()));
}

static void receive_a_batch(void)
{
    struct isthmus_read read;
    struct isthmus_record record;
    CHECK_OK(isthmus_read_begin(&my_ring, &read, SOON()));
    for (unsigned i = 0; i < BATCH; i++) {
        CHECK_OK(isthmus_read_next(&my_ring, &read, &record));
        message_read(record.data, record.size);
        CHECK_OK(isthmus_read_valid(&my_ring, &read, &record));
    }
    isthmus_read_commit(&my_ring, &read);
}

static void receive_one_and_wait_in_vain(void)
{
    CHECK_OK(receive(SOON()));
    CHECK_RESULT(receive(isthmus_deadline_after(10000000)), -ETIMEDOUT);
}

static void receive_one(void)
{
    CHECK_OK(receive(SOON()));
}

static void see_one(void)
{
    struct isthmus_read read;
    struct isthmus_record record;
    CHECK_OK(rings_next(&my_ring, &read, &record, SOON()));
    CHECK_OK(isthmus_topic_pin(&my_ring, record.position));
    isthmus_read_commit(&my_ring, &read);
}

static void unpin(void)
{
    CHECK_OK(isthmus_topic_pin(&my_ring, UINT64_MAX));
}

static void see_and_unpin(void)
{
    see_one();
    unpin();
}

static void see_two_after_each_other(void)
{
    see_one();
    see_one();
}

static void subscribe_and_see(void)
{
    subscribe_oldest();
    see_one();
}

/* Read to the end, so that only what it sees is in the way. */
static void subscribe_and_see_only(void)
{
    subscribe_and_see();
    while (receive(0) == 0)
        ;
}

static void close_it(void)
{
    isthmus_ring_close(&my_ring);
}

/* ---- Others ------------------------------------------------------------------------------ */

static void own_publishes_five(void)
{
    ledger_put(&own_ring, LEDGER_OWN, 5);
}

static void own_subscribes(void)
{
    CHECK_OK(isthmus_topic_subscribe(&own_ring, ISTHMUS_START_NEXT));
}

static void own_subscribes_and_publishes(void)
{
    own_subscribes();
    own_publishes_five();
}

/* The worker is in the way itself. */
static void own_is_full(void)
{
    own_subscribes();
    ledger_fill(&own_ring, LEDGER_OWN);
}

/* The victim will overwrite what the worker has not read. */
static void own_will_miss_some(void)
{
    own_is_full();
    stage->ledger.lossy = 1;
}

static void own_publishes_one_round(void)
{
    for (unsigned i = 0; i < MESSAGES_FIT; i++)
        ledger_put(&own_ring, LEDGER_OWN, 1);
}

/* Publishers have seen that nobody is in the way; now somebody is. */
static void own_subscribes_at_last(void)
{
    own_publishes_one_round();
    ledger_put(&own_ring, LEDGER_OWN, 1);
    CHECK_OK(isthmus_topic_subscribe(&own_ring, ISTHMUS_START_OLDEST));
    stage->ledger.lossy = 1;
}

static void own_overwrites(void)
{
    own_ring.overflow = ISTHMUS_OVERFLOW_OVERWRITE;
    own_publishes_one_round();
    own_publishes_five();
    own_ring.overflow = ISTHMUS_OVERFLOW_BLOCK;
}

static void publish_as_second(void)
{
    ledger_put(&my_ring, LEDGER_SECOND, 1);
}

static void subscribe_and_stay(struct isthmus_ring *ring)
{
    CHECK_OK(isthmus_topic_subscribe(ring, ISTHMUS_START_OLDEST));
}

static void see_and_stay(struct isthmus_ring *ring)
{
    struct isthmus_read read;
    struct isthmus_record record;
    subscribe_and_stay(ring);
    CHECK_OK(rings_next(ring, &read, &record, SOON()));
    CHECK_OK(isthmus_topic_pin(ring, record.position));
    isthmus_read_commit(ring, &read);
}

static void the_dead_are_in_the_way(void)
{
    own_publishes_one_round();
    together_kill(rings_stay(&own_ring, subscribe_and_stay));
    together_kill(rings_stay(&own_ring, subscribe_and_stay));
}

static void what_a_dead_one_saw_is_in_the_way(void)
{
    own_publishes_one_round();
    together_kill(rings_stay(&own_ring, see_and_stay));
}

static void read_one_when_it_waits(void)
{
    UNTIL_GONE_OR(rings_waiting(&own_ring) == 1);
    CHECK_OK(ledger_get(&own_ring, 0));
    CHECK_OK(ledger_get(&own_ring, 0));
}

static void publish_when_it_waits(void)
{
    UNTIL_GONE_OR(rings_waiting(&own_ring) == 1);
    ledger_put(&own_ring, LEDGER_OWN, 1);
}

static void receive_one_as_companion(struct isthmus_ring *ring)
{
    CHECK_OK(isthmus_topic_subscribe(ring, ISTHMUS_START_NEXT));
    count_up(&stage->free[0]);
    CHECK_OK(rings_get(ring, NULL, SOON()));
}

static void two_others_wait_for_a_message(void)
{
    for (unsigned i = 0; i < 2; i++)
        death_ring_companion(receive_one_as_companion);
    UNTIL(peek(&stage->free[0]) == 2 && rings_waiting(&own_ring) == 2);
}

static void publish_as_companion(struct isthmus_ring *ring)
{
    ledger_put(ring, LEDGER_COMPANION, 1);
}

static void another_waits_for_room(void)
{
    death_ring_companion(publish_as_companion);
    UNTIL(rings_waiting(&own_ring) == 1);
}

/* ---- Afterwards ---------------------------------------------------------------------------- */

/* Nobody is held up by the dead; all the room is there; all slots are. */
static void check_topic(void)
{
    struct isthmus_topic_state state;
    struct message message;
    death_join_companions();
    if (own_ring.role & ISTHMUS_ROLE_SUBSCRIBER) {
        ledger_drain_topic(&own_ring);
        ledger_check();
        if (!stage->ledger.lossy)
            CHECK_UINT(isthmus_topic_missed(&own_ring), 0);
    } else {
        own_subscribes();
    }
    for (uint32_t i = 0; i < 2 * MESSAGES_FIT; i++) {
        CHECK_OK(rings_write(&own_ring, 9, i, MESSAGE_SIZE, SOON()));
        CHECK_OK(rings_get(&own_ring, &message, 0));
        CHECK_UINT(message.number, i);
    }
    for (uint32_t i = 0; i < MESSAGES_FIT; i++)
        CHECK_OK(rings_write(&own_ring, 9, i, MESSAGE_SIZE, SOON()));
    CHECK_RESULT(rings_try(&own_ring, 9, 0, MESSAGE_SIZE), -EAGAIN);
    CHECK_OK(isthmus_topic_unsubscribe(&own_ring));
    CHECK_OK(rings_try(&own_ring, 9, 0, MESSAGE_SIZE));
    CHECK_OK(isthmus_topic_state(&own_ring, &state));
    CHECK_UINT(state.subscribers, 0);
    CHECK_UINT(state.kept, MESSAGES_FIT);
    death_check_ring_table(1);
}

static void check_batch(void)
{
    check_topic();
    ledger_check_all_or_none(LEDGER_VICTIM);
}

static void publish_for_companions(void)
{
    ledger_put(&own_ring, LEDGER_OWN, 1);
    check_topic();
}

/* What the victim had learnt about those in its way is not half known to the next one. */
static void check_still_in_the_way(void)
{
    CHECK_RESULT(ledger_try(&own_ring, LEDGER_OWN), -EAGAIN);
    ledger_drain_topic(&own_ring);
    CHECK_UINT(isthmus_topic_missed(&own_ring), 0);
    check_topic();
}

/* Published or not: what was missed and what was read is all there was. */
static void check_missed(void)
{
    struct isthmus_topic_state state;
    uint32_t read = 0;
    ledger_drain_topic(&own_ring);
    for (uint32_t who = 0; who < LEDGER_WHO; who++)
        for (uint32_t i = 0; i < LEDGER_MESSAGES; i++)
            read += stage->ledger.got[who][i];
    CHECK_OK(isthmus_topic_state(&own_ring, &state));
    CHECK_UINT(read + isthmus_topic_missed(&own_ring), state.published);
    CHECK(state.published >= MESSAGES_FIT + stage->ledger.put[LEDGER_VICTIM]);
    check_topic();
}

#define TOPIC_OF(plan, text, ...) {.what = text, .ring = &plan, __VA_ARGS__}
#define TOPIC(text, ...) TOPIC_OF(plain, text, __VA_ARGS__)

static const struct death_act publishing[] = {
    TOPIC("publish, nobody subscribed", .before = own_publishes_five, .run = publish_two,
          .after = check_topic),
    TOPIC("publish, one subscribed", .before = own_subscribes_and_publishes, .run = publish_two,
          .after = check_topic),
    TOPIC_OF(wrapping, "publish, over the end", .before = own_subscribes_and_publishes,
             .run = publish_two, .after = check_topic),
    TOPIC("publish a batch", .before = own_subscribes_and_publishes, .run = publish_a_batch,
          .after = check_batch),
    TOPIC("abort a batch", .before = own_subscribes_and_publishes, .run = abort_a_batch,
          .after = check_batch),
    TOPIC("publish over old messages", .before = own_publishes_one_round, .run = publish_two,
          .after = check_topic),
    TOPIC("publish a batch over old messages", .before = own_publishes_one_round,
          .run = publish_a_batch, .after = check_topic),
    TOPIC("abort a batch over old messages", .before = own_publishes_one_round,
          .run = abort_a_batch, .after = check_topic),
    TOPIC("publish, two wait for it", .before = own_subscribes,
          .between = two_others_wait_for_a_message, .run = publish_two,
          .after = publish_for_companions),
    TOPIC("publish, one just subscribed, in vain", .before = own_subscribes_at_last,
          .run = publish_in_vain, .after = check_still_in_the_way),
    TOPIC("publish, one in the way, in vain", .before = own_is_full, .run = publish_in_vain,
          .after = check_topic),
    TOPIC("publish, one in the way, wait for it", .before = own_is_full, .run = publish_one,
          .meanwhile = read_one_when_it_waits, .after = check_topic),
    TOPIC("overwrite, one in the way", .before = own_will_miss_some, .run = overwrite,
          .after = check_missed),
    TOPIC("publish, two dead in the way", .before = the_dead_are_in_the_way, .run = publish_one,
          .kills_another = 1, .after = check_topic),
    TOPIC("publish, what a dead one saw is in the way", .before = what_a_dead_one_saw_is_in_the_way,
          .run = publish_one, .kills_another = 1, .after = check_topic),
    TOPIC("overwrite, what a dead one saw is in the way",
          .before = what_a_dead_one_saw_is_in_the_way, .run = overwrite, .kills_another = 1,
          .after = check_topic),
};

static const struct death_act subscribing[] = {
    TOPIC("subscribe, next", .before = own_subscribes_and_publishes, .run = subscribe_next,
          .after = check_topic),
    TOPIC("subscribe, oldest", .before = own_publishes_one_round, .run = subscribe_oldest,
          .after = check_topic),
    TOPIC("subscribe, the last three", .before = own_publishes_one_round,
          .run = subscribe_to_the_last_three, .after = check_topic),
    TOPIC("subscribe again", .before = own_publishes_one_round, .prepare = subscribe_next,
          .run = subscribe_oldest, .after = check_topic),
    TOPIC("unsubscribe", .before = own_publishes_five, .prepare = subscribe_oldest,
          .run = unsubscribe, .after = check_topic),
    TOPIC("unsubscribe, one waits for room", .before = own_publishes_one_round,
          .prepare = subscribe_oldest, .between = another_waits_for_room, .run = unsubscribe,
          .after = check_topic),
    TOPIC("close as a subscriber, one waits for room", .before = own_publishes_one_round,
          .prepare = subscribe_oldest, .between = another_waits_for_room, .run = close_it,
          .after = check_topic),
    TOPIC("close with a record in view, one waits for room", .before = own_publishes_one_round,
          .prepare = subscribe_and_see, .between = another_waits_for_room, .run = close_it,
          .after = check_topic),
};

static const struct death_act reading[] = {
    TOPIC("receive two", .before = own_publishes_five, .prepare = subscribe_oldest,
          .run = receive_two, .after = check_topic),
    TOPIC_OF(wrapping, "receive two, over the end", .before = own_publishes_five,
             .prepare = subscribe_oldest, .run = receive_two, .after = check_topic),
    TOPIC("receive a batch", .before = own_publishes_five, .prepare = subscribe_oldest,
          .run = receive_a_batch, .after = check_topic),
    TOPIC("receive, one waits for room", .before = own_publishes_one_round,
          .prepare = subscribe_oldest, .between = another_waits_for_room, .run = receive_two,
          .after = check_topic),
    TOPIC("receive, wait in vain", .before = own_publishes_five,
          .prepare = subscribe_to_the_last_one, .run = receive_one_and_wait_in_vain,
          .after = check_topic),
    TOPIC("receive, wait for one", .prepare = subscribe_next, .run = receive_one,
          .meanwhile = publish_when_it_waits, .after = check_topic),
    TOPIC("receive after some were missed", .prepare = subscribe_next, .between = own_overwrites,
          .run = receive_two, .after = check_topic),
    TOPIC("see a record", .before = own_publishes_five, .prepare = subscribe_oldest,
          .run = see_and_unpin, .after = check_topic),
    TOPIC("see one record after the other", .before = own_publishes_five,
          .prepare = subscribe_oldest, .run = see_two_after_each_other, .after = check_topic),
    TOPIC("unpin, one waits for room", .before = own_publishes_one_round,
          .prepare = subscribe_and_see_only, .between = another_waits_for_room, .run = unpin,
          .after = check_topic),
};

static const struct death_act repair[] = {
    TOPIC("subscribe, then one publishes", .before = own_publishes_one_round,
          .run = subscribe_oldest, .second = publish_one, .after = check_topic),
    TOPIC("see a record, then one publishes", .before = own_publishes_one_round,
          .prepare = subscribe_oldest, .run = see_one, .second = publish_one, .after = check_topic),
    TOPIC("unsubscribe, then one publishes", .before = own_publishes_one_round,
          .prepare = subscribe_oldest, .run = unsubscribe, .second = publish_one,
          .after = check_topic),
    TOPIC("publish over old messages, then one does", .before = own_publishes_one_round,
          .run = publish_one, .second = publish_as_second, .after = check_topic),
    TOPIC("subscribe, then one subscribes", .before = own_publishes_five, .run = subscribe_oldest,
          .second = subscribe_oldest, .after = check_topic),
};

static void death_at_any_step_of_publishing_is_before_or_after_it(void)
{
    death_run(publishing, sizeof publishing / sizeof publishing[0]);
}

static void death_at_any_step_of_subscribing_holds_nobody_back(void)
{
    death_run(subscribing, sizeof subscribing / sizeof subscribing[0]);
}

static void death_at_any_step_of_reading_holds_nobody_back(void)
{
    death_run(reading, sizeof reading / sizeof reading[0]);
}

static void a_second_death_at_any_step_afterwards_holds_nobody_back(void)
{
    death_run(repair, sizeof repair / sizeof repair[0]);
}

static const struct check_test tests[] = {
    CHECK_TEST(death_at_any_step_of_publishing_is_before_or_after_it),
    CHECK_TEST(death_at_any_step_of_subscribing_holds_nobody_back),
    CHECK_TEST(death_at_any_step_of_reading_holds_nobody_back),
    CHECK_TEST(a_second_death_at_any_step_afterwards_holds_nobody_back),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
