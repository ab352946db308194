/* Queues and topics: what those find that only try, or wait for a moment. */
#include "check.h"

#include <errno.h>
#include <isthmus/isthmus.h>
#include <string.h>
#include <unistd.h>

static struct isthmus_ring ring;

static void begin(uint32_t kind)
{
    const struct isthmus_ring_plan plan = {.kind = kind, .capacity = ISTHMUS_RING_MIN};
    CHECK_OK(isthmus_ring_anonymous(&ring, &plan));
}

static int try_to_write(void)
{
    static const char message[100];
    return isthmus_ring_try_write(&ring, ISTHMUS_TYPE_BYTES, message, sizeof message);
}

static void subscribe_and_die(void *unused)
{
    struct isthmus_ring own;
    (void)unused;
    CHECK_OK(isthmus_ring_from_fd(&own, ring.primitive.fd, ISTHMUS_KIND_TOPIC));
    CHECK_OK(isthmus_topic_subscribe(&own, ISTHMUS_START_OLDEST));
    _exit(0);
}

static void one_that_only_tries_to_publish_gets_past_dead_subscribers(void)
{
    begin(ISTHMUS_KIND_TOPIC);
    for (unsigned i = 0; i < 5; i++) {
        CHECK_INT(check_in_child(subscribe_and_die, NULL), 0);
        CHECK_OK(try_to_write());
    }
    for (unsigned i = 0; i < 200; i++)
        CHECK_OK(try_to_write());
    isthmus_ring_close(&ring);
}

static void one_that_only_tries_does_not_get_past_a_living_subscriber(void)
{
    begin(ISTHMUS_KIND_TOPIC);
    struct isthmus_ring other;
    int result = 0;
    CHECK_OK(isthmus_ring_from_fd(&other, ring.primitive.fd, ISTHMUS_KIND_TOPIC));
    CHECK_OK(isthmus_topic_subscribe(&other, ISTHMUS_START_OLDEST));
    for (unsigned i = 0; i < 200 && !result; i++)
        result = try_to_write();
    CHECK_RESULT(result, -EAGAIN);
    isthmus_ring_close(&other);
    isthmus_ring_close(&ring);
}

/* As one leaves it that dies between the steps of a lease: that is put in order when it matters. */
static void what_is_no_lease_is_not_counted_as_one(void)
{
    begin(ISTHMUS_KIND_QUEUE);
    struct isthmus_queue_state state;
    CHECK_OK(try_to_write());
    ring.primitive.slots[ring.primitive.slot].share = 1;
    CHECK_OK(isthmus_queue_state(&ring, &state));
    CHECK_UINT(state.leased, 0);
    CHECK_UINT(state.ready, 1);
    ring.primitive.slots[ring.primitive.slot].share = 0;
    isthmus_ring_close(&ring);
}

/* Not by looking again and again: `head` has moved since it was last of interest. */
static void who_waits_for_a_queue_that_holds_its_maxsize_gets_a_timeout(void)
{
    const struct isthmus_ring_plan plan = {
        .kind = ISTHMUS_KIND_QUEUE, .capacity = ISTHMUS_RING_MIN, .maxsize = 2};
    char byte = 1;
    size_t size;
    CHECK_OK(isthmus_ring_anonymous(&ring, &plan));
    for (unsigned i = 0; i < 3; i++) {
        if (i == 2)
            CHECK_OK(isthmus_ring_read(&ring, &byte, 1, &size, 0));
        CHECK_OK(isthmus_ring_write(&ring, &byte, 1, 0));
    }
    CHECK_RESULT(isthmus_ring_write(&ring, &byte, 1, 0), -ETIMEDOUT);
    CHECK_RESULT(isthmus_ring_write(&ring, &byte, 1, isthmus_deadline_after(1000000)), -ETIMEDOUT);
    CHECK_OK(isthmus_ring_read(&ring, &byte, 1, &size, 0));
    CHECK_OK(isthmus_ring_write(&ring, &byte, 1, 0));
    isthmus_ring_close(&ring);
}

/* The same where it has no room for more bytes, though it might hold more messages. */
static void who_waits_for_a_full_queue_with_a_maxsize_waits_for_room_only(void)
{
    const struct isthmus_ring_plan plan = {
        .kind = ISTHMUS_KIND_QUEUE, .capacity = ISTHMUS_RING_MIN, .maxsize = 1000};
    struct isthmus_record record;
    struct isthmus_write write;
    int result = 0;
    CHECK_OK(isthmus_ring_anonymous(&ring, &plan));
    while (!result) {
        memset(&write, 0xff, sizeof write);
        CHECK_OK(isthmus_write_begin(&ring, &write, 0, 0));
        result = isthmus_write_reserve(&ring, &write, ISTHMUS_TYPE_BYTES, 0, 100, &record);
        isthmus_write_commit(&ring, &write);
    }
    CHECK_RESULT(result, -EAGAIN);
    CHECK_RESULT(isthmus_write_await(&ring, &write, 0), -ETIMEDOUT);
    CHECK_RESULT(isthmus_write_await(&ring, &write, isthmus_deadline_after(1000)), -ETIMEDOUT);
    isthmus_ring_close(&ring);
}

/* Whatever goes on, and however often something moves: when the time is over, it is over. */
static void a_deadline_that_has_passed_ends_a_wait_for_what_moves_all_the_time(void)
{
    begin(ISTHMUS_KIND_QUEUE);
    struct isthmus_record record;
    struct isthmus_write write;
    struct isthmus_read read;
    CHECK_OK(isthmus_read_begin(&ring, &read, 0));
    CHECK_RESULT(isthmus_read_next(&ring, &read, &record), -EAGAIN);
    isthmus_read_abort(&ring, &read);
    while (try_to_write() == 0)
        ;
    CHECK_OK(isthmus_write_begin(&ring, &write, 0, 0));
    CHECK_RESULT(isthmus_write_reserve(&ring, &write, ISTHMUS_TYPE_BYTES, 0, 100, &record),
                 -EAGAIN);
    isthmus_write_abort(&ring, &write);
    CHECK_OK(isthmus_read_await(&ring, &read, 0));
    CHECK_OK(isthmus_read_await(&ring, &read, ISTHMUS_FOREVER));
    CHECK_RESULT(isthmus_read_await(&ring, &read, 1), -ETIMEDOUT);
    CHECK_OK(isthmus_queue_clear(&ring));
    CHECK_OK(isthmus_write_await(&ring, &write, 0));
    CHECK_OK(isthmus_write_await(&ring, &write, ISTHMUS_FOREVER));
    CHECK_RESULT(isthmus_write_await(&ring, &write, 1), -ETIMEDOUT);
    isthmus_ring_close(&ring);
}

static void nobody_waits_to_publish_where_the_oldest_position_is_damaged(void)
{
    static const uint64_t damaged[] = {32, 4096, 1 << 20, INT64_MAX - 31};
    begin(ISTHMUS_KIND_TOPIC);
    for (unsigned i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        CHECK_OK(try_to_write());
        const uint64_t before = ring.cursors->oldest;
        ring.cursors->oldest = ring.cursors->tail + damaged[i];
        CHECK_RESULT(try_to_write(), -EBADMSG);
        CHECK_RESULT(isthmus_ring_write(&ring, "x", 1, ISTHMUS_FOREVER), -EBADMSG);
        ring.cursors->oldest = before;
    }
    isthmus_ring_close(&ring);
}

int main(void)
{
    static const struct check_test tests[] = {
        CHECK_TEST(one_that_only_tries_to_publish_gets_past_dead_subscribers),
        CHECK_TEST(one_that_only_tries_does_not_get_past_a_living_subscriber),
        CHECK_TEST(what_is_no_lease_is_not_counted_as_one),
        CHECK_TEST(who_waits_for_a_queue_that_holds_its_maxsize_gets_a_timeout),
        CHECK_TEST(who_waits_for_a_full_queue_with_a_maxsize_waits_for_room_only),
        CHECK_TEST(a_deadline_that_has_passed_ends_a_wait_for_what_moves_all_the_time),
        CHECK_TEST(nobody_waits_to_publish_where_the_oldest_position_is_damaged),
    };
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
