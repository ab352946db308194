/*
 * A publisher that overwrites the whole topic at any step of a subscriber. For each n, it does so
 * at the n-th step (the kill points, see killpoint.h; here nobody dies), and what the subscriber
 * then reads is a message as it was published, with what it missed counted.
 */
#include "check.h"
#include "killpoint.h"
#include "rings.h"
#include "together.h"
#include <errno.h>

#define MOST_STEPS 300u
#define BEFORE 10u
#define MEANWHILE 200u /* more than fit */

static struct isthmus_ring publisher, subscriber;
static unsigned steps, act_at, published;
static int counting;
static int may_be_held_back; /* by what is in view, or about to be */

static void publish(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const uint64_t message[2] = {published, ~(uint64_t)published};
        const int result = isthmus_ring_write(&publisher, message, sizeof message, 0);
        if (result == -ETIMEDOUT && may_be_held_back)
            return;
        CHECK_OK(result);
        published++;
    }
}

void isthmus_kill_point(void)
{
    if (!counting || ++steps != act_at)
        return;
    counting = 0;
    publish(MEANWHILE);
    counting = 1;
}

static void begin(uint64_t start)
{
    const struct isthmus_ring_plan plan = {
        .kind = ISTHMUS_KIND_TOPIC, .participants = 4, .capacity = 4096, .start = start};
    CHECK_OK(isthmus_ring_anonymous(&publisher, &plan));
    CHECK_OK(isthmus_ring_from_fd(&subscriber, publisher.primitive.fd, ISTHMUS_KIND_TOPIC));
    publisher.overflow = ISTHMUS_OVERFLOW_OVERWRITE;
    steps = published = 0;
}

static void end(void)
{
    isthmus_ring_close(&subscriber);
    isthmus_ring_close(&publisher);
}

static void read_all(unsigned first)
{
    unsigned received = 0;
    int result;
    for (;;) {
        uint64_t message[2];
        size_t size;
        result = isthmus_ring_read(&subscriber, message, sizeof message, &size, 0);
        if (result)
            break;
        CHECK_UINT(size, sizeof message);
        CHECK_UINT(message[1], ~message[0]);
        received++;
        CHECK_UINT(message[0] + 1, first + received + isthmus_topic_missed(&subscriber));
    }
    CHECK_RESULT(result, -ETIMEDOUT);
    counting = 0;
    CHECK_UINT(first + received + isthmus_topic_missed(&subscriber), published);
}

static void a_subscriber_that_is_lapped_at_any_step_reads_whole_messages(void)
{
    for (act_at = 1; act_at <= MOST_STEPS; act_at++) {
        begin(act_at % 2 ? 0 : UINT64_MAX - 8191);
        CHECK_OK(isthmus_topic_subscribe(&subscriber, ISTHMUS_START_NEXT));
        publish(BEFORE);
        counting = 1;
        read_all(0);
        end();
    }
}

static void one_that_begins_then_starts_with_a_whole_message(void)
{
    static const uint64_t starts[] = {ISTHMUS_START_NEXT, ISTHMUS_START_OLDEST, 5};
    for (unsigned i = 0; i < 3; i++)
        for (act_at = 1; act_at <= 60; act_at++) {
            begin(0);
            publish(BEFORE);
            counting = 1;
            CHECK_OK(isthmus_topic_subscribe(&subscriber, starts[i]));
            counting = 0;
            publish(1);
            const uint64_t lag = isthmus_topic_lag(&subscriber);
            CHECK(lag >= 1 && lag <= published);
            read_all((unsigned)(published - lag));
            end();
        }
}

/* A message in view is whole, and stays so; or another one is. */
static void what_is_pinned_at_any_step_stays(void)
{
    for (act_at = 1; act_at <= 60; act_at++) {
        struct isthmus_read read;
        struct isthmus_record record;
        int result;
        begin(0);
        CHECK_OK(isthmus_topic_subscribe(&subscriber, ISTHMUS_START_NEXT));
        publish(BEFORE);
        CHECK_OK(isthmus_read_begin(&subscriber, &read, 0));
        may_be_held_back = counting = 1;
        do {
            result = isthmus_read_next(&subscriber, &read, &record);
            if (!result)
                result = isthmus_topic_pin(&subscriber, record.position);
            if (result == -ESTALE)
                CHECK_RESULT(isthmus_read_valid(&subscriber, &read, &record), -ESTALE);
        } while (result == -ESTALE);
        may_be_held_back = counting = 0;
        CHECK_OK(result);
        isthmus_read_commit(&subscriber, &read);
        const uint64_t *message = record.data;
        const uint64_t number = message[0];
        CHECK_UINT(message[1], ~number);
        while (isthmus_ring_try_write(&publisher, ISTHMUS_TYPE_BYTES, &number, 8) == 0)
            ;
        CHECK_UINT(message[0], number);
        CHECK_UINT(message[1], ~number);
        CHECK_OK(isthmus_topic_pin(&subscriber, UINT64_MAX));
        publish(1);
        end();
    }
}

/* ---- Beside a loan ---------------------------------------------------------------------- */

static void a_pin_does_not_wait_for_a_loan_in_which_its_record_went(void)
{
    struct isthmus_read read;
    struct isthmus_write write;
    struct isthmus_record record, lent;
    begin(0);
    CHECK_OK(isthmus_topic_subscribe(&subscriber, ISTHMUS_START_NEXT));
    publish(BEFORE);
    CHECK_OK(isthmus_read_begin(&subscriber, &read, 0));
    CHECK_OK(isthmus_read_next(&subscriber, &read, &record));
    CHECK_OK(isthmus_write_begin(&publisher, &write, 1, 0));
    CHECK_OK(isthmus_write_reserve(&publisher, &write, ISTHMUS_TYPE_BYTES, 0, 4000, &lent));
    CHECK_RESULT(isthmus_topic_pin(&subscriber, record.position), -ESTALE);
    isthmus_read_abort(&subscriber, &read);
    isthmus_write_abort(&publisher, &write);
    end();
}

static void what_is_pinned_stays_when_its_subscriber_reads_no_more(void)
{
    struct isthmus_read read;
    struct isthmus_record record;
    begin(0);
    CHECK_OK(isthmus_topic_subscribe(&subscriber, ISTHMUS_START_NEXT));
    publish(BEFORE);
    CHECK_OK(isthmus_read_begin(&subscriber, &read, 0));
    CHECK_OK(isthmus_read_next(&subscriber, &read, &record));
    CHECK_OK(isthmus_topic_pin(&subscriber, record.position));
    isthmus_read_commit(&subscriber, &read);
    CHECK_OK(isthmus_topic_unsubscribe(&subscriber));
    may_be_held_back = 1;
    publish(MEANWHILE);
    CHECK(published < MEANWHILE);
    CHECK_UINT(*(const uint64_t *)record.data, 0);
    may_be_held_back = 0;
    CHECK_OK(isthmus_topic_pin(&subscriber, UINT64_MAX));
    publish(MEANWHILE);
    end();
}

int main(void)
{
    static const struct check_test tests[] = {
        CHECK_TEST(a_subscriber_that_is_lapped_at_any_step_reads_whole_messages),
        CHECK_TEST(one_that_begins_then_starts_with_a_whole_message),
        CHECK_TEST(what_is_pinned_at_any_step_stays),
        CHECK_TEST(a_pin_does_not_wait_for_a_loan_in_which_its_record_went),
        CHECK_TEST(what_is_pinned_stays_when_its_subscriber_reads_no_more),
    };
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
