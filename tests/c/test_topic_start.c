/* Topics: what a subscriber is told that it missed, before its first message and when it is
 * lapped; damage to where it would start. */
#include "check.h"

#include <errno.h>
#include <isthmus/isthmus.h>
#include <string.h>

static struct isthmus_ring topic;

static void begin(void)
{
    const struct isthmus_ring_plan plan = {.kind = ISTHMUS_KIND_TOPIC,
                                           .capacity = ISTHMUS_RING_MIN};
    CHECK_OK(isthmus_ring_anonymous(&topic, &plan));
    topic.overflow = ISTHMUS_OVERFLOW_OVERWRITE;
}

static void publish(unsigned count)
{
    char message[100];
    memset(message, 7, sizeof message);
    while (count--)
        CHECK_OK(isthmus_ring_try_write(&topic, ISTHMUS_TYPE_BYTES, message, sizeof message));
}

/* The number of the next message. */
static uint64_t receive(void)
{
    struct isthmus_record record;
    struct isthmus_read read;
    CHECK_OK(isthmus_read_begin(&topic, &read, 0));
    CHECK_OK(isthmus_read_next(&topic, &read, &record));
    isthmus_read_commit(&topic, &read);
    return record.sequence;
}

static uint64_t oldest_there_is(void)
{
    struct isthmus_topic_state state;
    CHECK_OK(isthmus_topic_state(&topic, &state));
    return state.published - state.kept;
}

/* Whatever it was to start with: message `number`, which is gone before it has read anything. */
static void is_told_from(uint64_t number)
{
    CHECK_UINT(isthmus_topic_missed(&topic), 0);
    publish(300);
    const uint64_t first = receive();
    CHECK_UINT(isthmus_topic_missed(&topic), first - number);
    isthmus_ring_close(&topic);
}

static void one_that_starts_with_the_next_is_told_what_it_missed_before_its_first_message(void)
{
    begin();
    publish(10);
    CHECK_OK(isthmus_topic_subscribe(&topic, ISTHMUS_START_NEXT));
    CHECK_UINT(isthmus_topic_lag(&topic), 0);
    is_told_from(10);
}

static void one_that_starts_in_an_empty_topic_is_told_the_same(void)
{
    begin();
    CHECK_OK(isthmus_topic_subscribe(&topic, ISTHMUS_START_OLDEST));
    is_told_from(0);
}

static void one_that_starts_with_the_oldest_is_told_the_same(void)
{
    begin();
    publish(200);
    const uint64_t oldest = oldest_there_is();
    CHECK_OK(isthmus_topic_subscribe(&topic, ISTHMUS_START_OLDEST));
    CHECK_UINT(isthmus_topic_lag(&topic), 200 - oldest);
    is_told_from(oldest);
}

static void one_that_starts_with_the_last_few_is_told_the_same(void)
{
    begin();
    publish(200);
    CHECK_OK(isthmus_topic_subscribe(&topic, 3));
    CHECK_UINT(isthmus_topic_lag(&topic), 3);
    is_told_from(197);
}

/* One that is lapped again and again, in one read, and at last finds nothing. */
static void one_that_was_lapped_and_finds_nothing_goes_on_and_is_told(void)
{
    struct isthmus_record record;
    struct isthmus_read read;
    unsigned laps = 0;
    int result;
    begin();
    CHECK_OK(isthmus_topic_subscribe(&topic, ISTHMUS_START_NEXT));
    publish(1);
    CHECK_OK(isthmus_read_begin(&topic, &read, 0));
    CHECK_OK(isthmus_read_next(&topic, &read, &record));
    CHECK_OK(isthmus_read_valid(&topic, &read, &record));
    publish(100);
    while ((result = isthmus_read_next(&topic, &read, &record)) == 0) {
        publish(100);
        CHECK_RESULT(isthmus_read_valid(&topic, &read, &record), -ESTALE);
        CHECK(laps++ < 100);
    }
    CHECK_RESULT(result, -EAGAIN);
    isthmus_read_commit(&topic, &read); /* of the first one */
    publish(1);
    const uint64_t next = receive();
    CHECK_UINT(isthmus_topic_missed(&topic), next - 1);
    isthmus_ring_close(&topic);
}

static void a_topic_whose_cursors_are_damaged_can_be_subscribed_to(void)
{
    static const uint64_t damaged[] = {1,         32,         4096,           1 << 20,
                                       INT64_MAX, UINT64_MAX, UINT64_MAX - 31};
    static const uint64_t starts[] = {ISTHMUS_START_NEXT, ISTHMUS_START_OLDEST, 3};
    begin();
    publish(100);
    struct isthmus_shared_cursors *cursors = topic.cursors;
    const uint64_t tail = cursors->tail;
    for (unsigned i = 0; i < sizeof damaged / sizeof damaged[0]; i++)
        for (unsigned k = 0; k < 3; k++) {
            const uint64_t before = cursors->overwriting;
            cursors->overwriting = tail + damaged[i];
            CHECK_OK(isthmus_topic_subscribe(&topic, starts[k]));
            cursors->overwriting = before;
        }
    isthmus_ring_close(&topic);
}

int main(void)
{
    static const struct check_test tests[] = {
        CHECK_TEST(one_that_starts_with_the_next_is_told_what_it_missed_before_its_first_message),
        CHECK_TEST(one_that_starts_in_an_empty_topic_is_told_the_same),
        CHECK_TEST(one_that_starts_with_the_oldest_is_told_the_same),
        CHECK_TEST(one_that_starts_with_the_last_few_is_told_the_same),
        CHECK_TEST(one_that_was_lapped_and_finds_nothing_goes_on_and_is_told),
        CHECK_TEST(a_topic_whose_cursors_are_damaged_can_be_subscribed_to),
    };
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
