/*
 * Threads that pass messages to each other through rings: by one handle, and by a handle each.
 * Payloads are written and read as plain memory, so ThreadSanitizer, for which tools/check-core
 * builds this program once more, sees whether a ring orders what it has to order, as far as the
 * threads use one handle: a handle of its own is another mapping of the same bytes, and so
 * are the two mappings of each record. A topic that overwrites is not shown to it, since there
 * a reader may copy what is being written, and throws the copy away (isthmus_read_valid()).
 *
 * It is also linked with a core whose waits have no slices: there each wake-up has to come.
 */
#include "check.h"
#include "rings.h"
#include <errno.h>
#include <sched.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__)
#define SHOW_RACES 1
#else
#define SHOW_RACES 0
#endif

#if SHOW_RACES
/*
 * how_many() looks at the head of a record without the lock, to guess whether others are to be
 * woken; if it is overwritten meanwhile, the guess is "more".
 */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:how_many\n";
}
#endif

#define PARTIES 3u
#define EACH 1200u
#define SIZE_LIMIT 200u

static struct isthmus_ring shared;
static int each_has_its_own; /* handle */
static uint32_t producers, consumers, left;
static unsigned char got[PARTIES][EACH];
static uint32_t overflow;

static struct isthmus_ring *open_handle(struct isthmus_ring *own)
{
    if (!each_has_its_own)
        return &shared;
    rings_join(own, &shared);
    own->overflow = overflow;
    return own;
}

static void close_handle(struct isthmus_ring *own)
{
    if (each_has_its_own)
        isthmus_ring_close(own);
}

static uint32_t size_of(uint32_t number)
{
    return MESSAGE_MIN + number * 7 % SIZE_LIMIT;
}

static void note(const void *bytes, uint64_t size)
{
    const struct message message = message_read(bytes, size);
    CHECK(message.who < PARTIES && message.number < EACH);
    CHECK_UINT(__atomic_fetch_add(&got[message.who][message.number], 1, __ATOMIC_RELAXED), 0);
}

/* ---- Those that put ------------------------------------------------------------------------- */

static void put_one(struct isthmus_ring *ring, uint32_t who, uint32_t number)
{
    CHECK_OK(rings_write(ring, who, number, size_of(number), SOON()));
}

static int reserve(struct isthmus_ring *ring, struct isthmus_write *write, uint32_t who,
                   uint32_t number)
{
    struct isthmus_record record;
    const int result =
        isthmus_write_reserve(ring, write, ISTHMUS_TYPE_BYTES, 0, size_of(number), &record);
    if (!result)
        message_write(record.data, who, number, size_of(number));
    return result;
}

/* As many as there is room for at a time. */
static void put_batch(struct isthmus_ring *ring, uint32_t who, uint32_t first, uint32_t end)
{
    while (first < end) {
        struct isthmus_write write;
        int result;
        CHECK_OK(isthmus_write_begin(ring, &write, 0, SOON()));
        while ((result = reserve(ring, &write, who, first)) == 0)
            if (++first == end)
                break;
        isthmus_write_commit(ring, &write);
        if (result) {
            CHECK_RESULT(result, -EAGAIN);
            CHECK_OK(isthmus_write_await(ring, &write, SOON()));
        }
    }
}

static void *produce(void *argument)
{
    struct isthmus_ring own, *ring = open_handle(&own);
    const uint32_t who = count_up(&producers);
    (void)argument;
    for (uint32_t number = 0; number < EACH;) {
        if (number % 40 < 30 || number + 10 > EACH) {
            put_one(ring, who, number++);
        } else {
            put_batch(ring, who, number, number + 10);
            number += 10;
        }
    }
    close_handle(&own);
    return NULL;
}

/* ---- Those that take ------------------------------------------------------------------------- */

static int take_batch(struct isthmus_ring *ring)
{
    struct isthmus_read read;
    struct isthmus_record record;
    int result = rings_next(ring, &read, &record, SOON());
    if (result)
        return result;
    note(record.data, record.size);
    for (unsigned i = 0; i < 4 && isthmus_read_next(ring, &read, &record) == 0; i++)
        note(record.data, record.size);
    isthmus_read_commit(ring, &read);
    return 0;
}

static int take_by_lease(struct isthmus_ring *ring, int give_back)
{
    struct isthmus_record record;
    const int result = rings_lease(ring, &record, SOON());
    if (result)
        return result;
    if (give_back) {
        message_read(record.data, record.size);
        CHECK_OK(rings_give_back(ring, &record));
    } else {
        note(record.data, record.size);
        CHECK_OK(rings_acknowledge(ring, &record));
    }
    return 0;
}

static int take_one(struct isthmus_ring *ring)
{
    unsigned char bytes[MESSAGE_MIN + SIZE_LIMIT];
    size_t size;
    const int result = isthmus_ring_read(ring, bytes, sizeof bytes, &size, SOON());
    if (!result)
        note(bytes, size);
    return result;
}

static void *consume(void *argument)
{
    struct isthmus_ring own, *ring = open_handle(&own);
    const uint32_t who = count_up(&consumers);
    int result = 0;
    (void)argument;
    for (uint32_t turn = who; !result; turn++) {
        switch (turn % 5) {
        case 0:
            result = take_batch(ring);
            break;
        case 1:
        case 2:
            result = take_by_lease(ring, turn % 5 == 1 && turn % 3 == 0);
            break;
        default:
            result = take_one(ring);
        }
    }
    CHECK_RESULT(result, -ESHUTDOWN);
    close_handle(&own);
    return NULL;
}

static void pass_through_a_queue(uint64_t maxsize)
{
    for (each_has_its_own = 0; each_has_its_own < 2; each_has_its_own++) {
        const struct isthmus_ring_plan plan = {
            .kind = ISTHMUS_KIND_QUEUE, .capacity = ISTHMUS_RING_MIN, .maxsize = maxsize};
        struct together_threads putting, taking;
        rings_make(&shared, &plan);
        producers = consumers = 0;
        memset(got, 0, sizeof got);
        together_begin(&taking, PARTIES, consume, NULL);
        together_begin(&putting, PARTIES, produce, NULL);
        together_end(&putting);
        CHECK_OK(isthmus_queue_shut_down(&shared, 0));
        together_end(&taking);
        for (unsigned i = 0; i < PARTIES; i++)
            for (unsigned j = 0; j < EACH; j++)
                CHECK_UINT(got[i][j], 1);
        rings_check_state(&shared, 0, 0, 0);
        isthmus_ring_close(&shared);
    }
}

static void every_message_of_a_queue_comes_out_once(void)
{
    pass_through_a_queue(0);
}

static void every_message_of_a_queue_with_few_places_comes_out_once(void)
{
    pass_through_a_queue(2);
}

/* ---- Tasks
 * --------------------------------------------------------------------------------------- */

static void *work_on_tasks(void *argument)
{
    struct isthmus_ring own, *ring = open_handle(&own);
    int result;
    (void)argument;
    while ((result = take_one(ring)) == 0)
        CHECK_OK(isthmus_queue_task_done(ring));
    CHECK_RESULT(result, -ESHUTDOWN);
    close_handle(&own);
    return NULL;
}

static void joining_wakes_up_after_the_last_task_of_each_round(void)
{
    for (each_has_its_own = 0; each_has_its_own < 2; each_has_its_own++) {
        struct together_threads threads;
        rings_queue(&shared);
        memset(got, 0, sizeof got);
        together_begin(&threads, PARTIES, work_on_tasks, NULL);
        for (uint32_t number = 0; number < EACH;) {
            for (uint32_t i = 0; i < 1 + number % 4 && number < EACH; i++)
                put_one(&shared, 0, number++);
            CHECK_OK(isthmus_queue_join(&shared, SOON()));
            for (uint32_t i = 0; i < number; i++)
                CHECK_UINT(__atomic_load_n(&got[0][i], __ATOMIC_RELAXED), 1);
        }
        CHECK_OK(isthmus_queue_shut_down(&shared, 0));
        together_end(&threads);
        isthmus_ring_close(&shared);
    }
}

/* ---- One message at a time, back and forth
 * --------------------------------------------------------- */

static struct isthmus_ring answers;

static void *answer(void *argument)
{
    (void)argument;
    for (uint32_t i = 0; i < EACH; i++) {
        rings_expect(&shared, 0, i);
        CHECK_OK(rings_write(&answers, 1, i, MESSAGE_SIZE, SOON()));
    }
    return NULL;
}

static void each_message_wakes_up_who_waits_for_it(void)
{
    struct together_threads threads;
    rings_queue(&shared);
    rings_queue(&answers);
    together_begin(&threads, 1, answer, NULL);
    for (uint32_t i = 0; i < EACH; i++) {
        CHECK_OK(rings_write(&shared, 0, i, MESSAGE_SIZE, SOON()));
        rings_expect(&answers, 1, i);
    }
    together_end(&threads);
    isthmus_ring_close(&answers);
    isthmus_ring_close(&shared);
}

static void *get_one_only(void *argument)
{
    (void)argument;
    CHECK_OK(take_one(&shared));
    return NULL;
}

static void messages_put_one_after_the_other_reach_all_that_wait(void)
{
    for (unsigned round = 0; round < 200; round++) {
        struct together_threads threads;
        struct isthmus_write write;
        rings_queue(&shared);
        memset(got, 0, sizeof got);
        together_begin(&threads, 4, get_one_only, NULL);
        UNTIL(rings_waiting(&shared) == 4);
        if (round % 2) {
            CHECK_OK(isthmus_write_begin(&shared, &write, 0, SOON()));
            for (uint32_t i = 0; i < 4; i++)
                CHECK_OK(reserve(&shared, &write, 0, i));
            isthmus_write_commit(&shared, &write);
        } else {
            for (uint32_t i = 0; i < 4; i++)
                put_one(&shared, 0, i);
        }
        together_end(&threads);
        isthmus_ring_close(&shared);
    }
}

static void *put_one_only(void *argument)
{
    (void)argument;
    put_one(&shared, 1, count_up(&producers));
    return NULL;
}

static void room_made_by_one_read_reaches_all_that_wait_for_it(void)
{
    for (unsigned round = 0; round < 100; round++) {
        struct together_threads threads;
        struct isthmus_read read;
        struct isthmus_record record;
        rings_queue(&shared);
        producers = 0;
        CHECK_UINT(rings_fill(&shared, 0), MESSAGES_FIT);
        together_begin(&threads, 4, put_one_only, NULL);
        UNTIL(rings_waiting(&shared) == 4);
        CHECK_OK(isthmus_read_begin(&shared, &read, SOON()));
        for (unsigned i = 0; i < 20; i++)
            CHECK_OK(isthmus_read_next(&shared, &read, &record));
        isthmus_read_commit(&shared, &read);
        together_end(&threads);
        isthmus_ring_close(&shared);
    }
}

static void *expect_shut_down(void *argument)
{
    struct isthmus_record record;
    (void)argument;
    const uint32_t who = count_up(&consumers);
    CHECK_RESULT(who % 2 ? rings_get(&shared, NULL, SOON()) : rings_lease(&shared, &record, SOON()),
                 -ESHUTDOWN);
    return NULL;
}

static void *expect_no_more_room(void *argument)
{
    (void)argument;
    CHECK_RESULT(rings_write(&shared, 0, 0, MESSAGE_SIZE, SOON()), -ESHUTDOWN);
    return NULL;
}

static void a_shut_down_reaches_all_that_wait(void)
{
    for (unsigned round = 0; round < 100; round++) {
        struct together_threads threads;
        rings_queue(&shared);
        together_begin(&threads, 4, expect_shut_down, NULL);
        UNTIL(rings_waiting(&shared) == 4);
        CHECK_OK(isthmus_queue_shut_down(&shared, (int)round % 2));
        together_end(&threads);
        isthmus_ring_close(&shared);

        rings_queue(&shared);
        CHECK_UINT(rings_fill(&shared, 0), MESSAGES_FIT);
        together_begin(&threads, 4, expect_no_more_room, NULL);
        UNTIL(rings_waiting(&shared) == 4);
        CHECK_OK(isthmus_queue_shut_down(&shared, (int)round % 2));
        together_end(&threads);
        isthmus_ring_close(&shared);
    }
}

static void *get_what_comes_back(void *argument)
{
    struct isthmus_record record;
    (void)argument;
    CHECK_OK(rings_lease(&shared, &record, SOON()));
    CHECK_OK(rings_acknowledge(&shared, &record));
    return NULL;
}

static void what_is_given_back_or_left_reaches_one_that_waits(void)
{
    for (unsigned round = 0; round < 100; round++) {
        struct together_threads threads;
        struct isthmus_ring other;
        struct isthmus_record record;
        rings_queue(&shared);
        rings_join(&other, &shared);
        rings_put(&shared, 0, 0, 1);
        CHECK_OK(rings_lease(&other, &record, 0));
        together_begin(&threads, 1, get_what_comes_back, NULL);
        UNTIL(rings_waiting(&shared) == 1);
        if (round % 2)
            CHECK_OK(rings_give_back(&other, &record));
        isthmus_ring_close(&other);
        together_end(&threads);
        isthmus_ring_close(&shared);
    }
}

/* ---- Topics
 * ------------------------------------------------------------------------------------------ */

/* Each reads all, in the order of each publisher, but for what it is told that it missed. */
static void *subscribe(void *argument)
{
    struct isthmus_ring own;
    uint32_t next[PARTIES] = {0};
    uint64_t read_count = 0, pinned = 0;
    (void)argument;
    rings_join(&own, &shared);
    CHECK_OK(isthmus_topic_subscribe(&own, ISTHMUS_START_NEXT));
    count_up(&consumers);
    while (read_count + isthmus_topic_missed(&own) < (uint64_t)PARTIES * EACH) {
        unsigned char bytes[MESSAGE_MIN + SIZE_LIMIT];
        struct isthmus_read read;
        struct isthmus_record record;
        const int result = rings_next(&own, &read, &record, SOON());
        CHECK_OK(result);
        CHECK(record.size <= sizeof bytes);
        const int in_view = read_count % 8 == 0 && isthmus_topic_pin(&own, record.position) == 0;
        memcpy(bytes, record.data, record.size);
        if (isthmus_read_valid(&own, &read, &record)) {
            CHECK(!in_view && overflow == ISTHMUS_OVERFLOW_OVERWRITE);
            isthmus_read_abort(&own, &read);
            continue;
        }
        isthmus_read_commit(&own, &read);
        const struct message message = message_read(bytes, record.size);
        CHECK(message.number >= next[message.who]);
        next[message.who] = message.number + 1;
        read_count++;
        if (in_view) {
            sched_yield();
            CHECK_BYTES(record.data, bytes, record.size);
            CHECK_OK(isthmus_topic_pin(&own, UINT64_MAX));
            pinned++;
        }
    }
    CHECK_UINT(isthmus_topic_lag(&own), 0);
    if (overflow == ISTHMUS_OVERFLOW_BLOCK)
        CHECK_UINT(read_count, (uint64_t)PARTIES * EACH);
    CHECK(pinned > 0);
    isthmus_ring_close(&own);
    return NULL;
}

static void pass_through_a_topic(uint32_t policy)
{
    for (each_has_its_own = 0; each_has_its_own < 2; each_has_its_own++) {
        struct together_threads putting, taking;
        rings_topic(&shared);
        shared.overflow = overflow = policy;
        producers = consumers = 0;
        together_begin(&taking, PARTIES, subscribe, NULL);
        UNTIL(peek(&consumers) == PARTIES);
        together_begin(&putting, PARTIES, produce, NULL);
        together_end(&putting);
        together_end(&taking);
        isthmus_ring_close(&shared);
    }
}

static void every_subscriber_gets_every_message_where_publishers_wait(void)
{
    pass_through_a_topic(ISTHMUS_OVERFLOW_BLOCK);
}

static void every_subscriber_gets_whole_messages_or_is_told_what_it_missed(void)
{
    if (SHOW_RACES)
        check_skip("a copy that is thrown away is a race, as far as can be seen", 0);
    pass_through_a_topic(ISTHMUS_OVERFLOW_OVERWRITE);
}

/* The threads of one subscriber share what it gets. */
static void *share_a_subscription(void *argument)
{
    (void)argument;
    for (;;) {
        if ((int32_t)__atomic_fetch_sub(&left, 1, __ATOMIC_ACQ_REL) <= 0)
            return NULL;
        CHECK_OK(take_one(&shared));
    }
}

static void threads_of_one_subscriber_get_each_message_once(void)
{
    struct together_threads taking, putting;
    struct isthmus_ring publisher;
    rings_topic(&publisher);
    rings_join(&shared, &publisher);
    overflow = ISTHMUS_OVERFLOW_BLOCK;
    CHECK_OK(isthmus_topic_subscribe(&shared, ISTHMUS_START_NEXT));
    each_has_its_own = 0;
    producers = 0;
    left = PARTIES * EACH;
    memset(got, 0, sizeof got);
    together_begin(&taking, PARTIES, share_a_subscription, NULL);
    together_begin(&putting, PARTIES, produce, NULL);
    together_end(&putting);
    together_end(&taking);
    for (unsigned i = 0; i < PARTIES; i++)
        for (unsigned j = 0; j < EACH; j++)
            CHECK_UINT(got[i][j], 1);
    isthmus_ring_close(&shared);
    isthmus_ring_close(&publisher);
}

/* What a handle says of itself is not lost where its threads begin different things at once. */
static void *begin_to_publish(void *argument)
{
    (void)argument;
    count_up(&producers);
    while (peek(&consumers) == 0)
        ;
    put_one(&shared, 0, 0);
    return NULL;
}

static void one_handle_may_begin_to_publish_and_to_subscribe_at_once(void)
{
    for (unsigned round = 0; round < 500; round++) {
        struct together_threads threads;
        struct isthmus_seat seat;
        rings_topic(&shared);
        producers = consumers = 0;
        together_begin(&threads, 1, begin_to_publish, NULL);
        while (peek(&producers) == 0)
            ;
        poke(&consumers, 1);
        CHECK_OK(isthmus_topic_subscribe(&shared, ISTHMUS_START_OLDEST));
        together_end(&threads);
        CHECK_OK(isthmus_ring_seat(&shared, (uint32_t)shared.primitive.slot, &seat));
        CHECK_UINT(seat.role, ISTHMUS_ROLE_PRODUCER | ISTHMUS_ROLE_SUBSCRIBER);
        isthmus_ring_close(&shared);
    }
}

/* ---- Evicting ---------------------------------------------------------------------------- */

static void publish_one(struct isthmus_ring *ring)
{
    CHECK_OK(rings_write(ring, 2, 0, MESSAGE_SIZE, SOON()));
}

static void get_one(struct isthmus_ring *ring)
{
    CHECK_OK(rings_get(ring, NULL, SOON()));
}

/* Another handle evicts `ring`, for which `work` waits in another process. */
static void evict_what_is_waited_for(struct isthmus_ring *ring, rings_work *work)
{
    struct isthmus_ring operator_of_it;
    struct isthmus_participant whom;
    struct isthmus_evicted evicted;
    rings_join(&operator_of_it, ring);
    CHECK_OK(isthmus_primitive_participant(&operator_of_it.primitive,
                                           (uint32_t)ring->primitive.slot, &whom));
    const pid_t child = rings_send(ring, work);
    UNTIL(rings_waiting(ring) == 1);
    CHECK_OK(isthmus_ring_evict(&operator_of_it, &whom, SOON(), &evicted));
    CHECK_INT(check_join_child(child), 0);
    isthmus_ring_close(&operator_of_it);
    isthmus_ring_close(ring);
}

static void who_waits_for_one_that_is_evicted_wakes_up(void)
{
    struct isthmus_record record;
    struct isthmus_ring ring;
    rings_topic(&ring);
    CHECK_OK(isthmus_topic_subscribe(&ring, ISTHMUS_START_NEXT));
    rings_fill(&ring, 1);
    evict_what_is_waited_for(&ring, publish_one);
    rings_queue(&ring);
    rings_put(&ring, 1, 0, 1);
    CHECK_OK(rings_lease(&ring, &record, 0));
    evict_what_is_waited_for(&ring, get_one);
}

static const struct check_test tests[] = {
    CHECK_TEST(every_message_of_a_queue_comes_out_once),
    CHECK_TEST(every_message_of_a_queue_with_few_places_comes_out_once),
    CHECK_TEST(joining_wakes_up_after_the_last_task_of_each_round),
    CHECK_TEST(each_message_wakes_up_who_waits_for_it),
    CHECK_TEST(messages_put_one_after_the_other_reach_all_that_wait),
    CHECK_TEST(room_made_by_one_read_reaches_all_that_wait_for_it),
    CHECK_TEST(a_shut_down_reaches_all_that_wait),
    CHECK_TEST(what_is_given_back_or_left_reaches_one_that_waits),
    CHECK_TEST(every_subscriber_gets_every_message_where_publishers_wait),
    CHECK_TEST(every_subscriber_gets_whole_messages_or_is_told_what_it_missed),
    CHECK_TEST(threads_of_one_subscriber_get_each_message_once),
    CHECK_TEST(one_handle_may_begin_to_publish_and_to_subscribe_at_once),
    CHECK_TEST(who_waits_for_one_that_is_evicted_wakes_up),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
