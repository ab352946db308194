/*
 * What one does to a ring at any step of another: at each n-th step of the other's (the kill
 * points, see killpoint.h; here nobody dies).
 */
#include "check.h"
#include "killpoint.h"
#include "rings.h"
#include <errno.h>
#include <stdio.h>

#define MOST_STEPS 500u

static unsigned steps, act_at;
static int counting;
static void (*act)(void);
static uint32_t put; /* so many were put */
static struct isthmus_ring queue, other, producer;

void isthmus_kill_point(void)
{
    if (!counting || ++steps != act_at)
        return;
    counting = 0;
    act();
    counting = 1;
}

static void begin(void (*action)(void), unsigned step)
{
    steps = 0;
    act = action;
    act_at = step;
    counting = 1;
}

/* ---- Leases that go back ------------------------------------------------------------------ */

/* Not by rings_fill(): one that finds no room looks after the dead, and we own that lock. */
static void put_what_there_is_room_for(void)
{
    struct isthmus_write write;
    struct isthmus_record record;
    CHECK_OK(isthmus_write_begin(&producer, &write, 0, 0));
    while (isthmus_write_reserve(&producer, &write, ISTHMUS_TYPE_BYTES, 0, MESSAGE_SIZE, &record) ==
           0)
        message_write(record.data, 2, (uint32_t)write.count - 1, MESSAGE_SIZE);
    put = (uint32_t)write.count;
    isthmus_write_commit(&producer, &write);
}

/*
 * The ring is full. `queue` has leased messages 0 and 2, which are set aside when they come back;
 * 1 is done with, so that the room of 0 and 1 is free as soon as 0 is aside.
 */
static void give_back_at(unsigned step)
{
    static const struct isthmus_ring_plan plan = {
        .kind = ISTHMUS_KIND_QUEUE, .capacity = ISTHMUS_RING_MIN, .max_attempts = 1};
    struct isthmus_record first, second, third;
    rings_make(&queue, &plan);
    rings_join(&other, &queue);
    rings_join(&producer, &queue);
    CHECK_UINT(rings_fill(&producer, 1), MESSAGES_FIT);
    CHECK_OK(rings_lease(&queue, &first, 0));
    CHECK_OK(rings_lease(&other, &second, 0));
    CHECK_OK(rings_lease(&queue, &third, 0));
    CHECK_OK(rings_acknowledge(&other, &second));

    put = 0;
    begin(put_what_there_is_room_for, step);
    isthmus_ring_close(&queue);
    counting = 0;

    rings_check_state(&other, MESSAGES_FIT - 3 + put, 0, 2);
    for (uint32_t i = 3; i < MESSAGES_FIT; i++)
        rings_expect(&other, 1, i);
    for (uint32_t i = 0; i < put; i++)
        rings_expect(&other, 2, i);
    rings_check_state(&other, 0, 0, 2);
    isthmus_ring_close(&other);
    isthmus_ring_close(&producer);
}

static void all_leases_go_back_though_others_put_where_done_records_were(void)
{
    unsigned step = 0, times = 0;
    do {
        give_back_at(++step);
        times += put > 0;
    } while (steps >= act_at && step < MOST_STEPS);
    CHECK(step < MOST_STEPS);
    CHECK(times > 0);
    printf("       %u steps, at %u of them something was put\n", step - 1, times);
}

/* ---- Subscribers in the way ----------------------------------------------------------------- */

static struct isthmus_ring publisher, subscriber;
static int acted;

static void read_all(void)
{
    acted = 1;
    while (rings_get(&subscriber, NULL, 0) == 0)
        ;
}

static void stop_looking(void)
{
    acted = 1;
    CHECK_OK(isthmus_topic_pin(&subscriber, UINT64_MAX));
}

/* Steps that there were. Whoever found no room must notice that there is some now. */
static unsigned publish_while(void (*prepare)(void), void (*action)(void), unsigned step)
{
    struct isthmus_write write;
    struct isthmus_record record;
    rings_topic(&publisher);
    rings_join(&subscriber, &publisher);
    rings_put(&publisher, 1, 0, MESSAGES_FIT);
    prepare();
    acted = 0;
    begin(action, step);
    CHECK_OK(isthmus_write_begin(&publisher, &write, 0, 0));
    const int result =
        isthmus_write_reserve(&publisher, &write, ISTHMUS_TYPE_BYTES, 0, MESSAGE_SIZE, &record);
    counting = 0;
    isthmus_write_abort(&publisher, &write);
    CHECK(result == 0 || result == -EAGAIN);
    if (acted && result)
        CHECK_OK(isthmus_write_await(&publisher, &write, 0));
    isthmus_ring_close(&subscriber);
    isthmus_ring_close(&publisher);
    return steps;
}

static void subscribe_to_all(void)
{
    CHECK_OK(isthmus_topic_subscribe(&subscriber, ISTHMUS_START_OLDEST));
}

static void look_at_the_first(void)
{
    struct isthmus_read read;
    struct isthmus_record record;
    subscribe_to_all();
    CHECK_OK(rings_next(&subscriber, &read, &record, 0));
    CHECK_OK(isthmus_topic_pin(&subscriber, record.position));
    isthmus_read_commit(&subscriber, &read);
    while (rings_get(&subscriber, NULL, 0) == 0)
        ;
}

static void at_each_step(void (*prepare)(void), void (*action)(void))
{
    unsigned step = 0, taken;
    do
        taken = publish_while(prepare, action, ++step);
    while (taken >= step && step < MOST_STEPS);
    CHECK(step > 5 && step < MOST_STEPS);
    printf("       %u steps\n", step - 1);
}

static void a_publisher_notices_one_that_read_while_it_looked_around(void)
{
    at_each_step(subscribe_to_all, read_all);
}

static void a_publisher_notices_one_that_unpinned_while_it_looked_around(void)
{
    at_each_step(look_at_the_first, stop_looking);
}

static const struct check_test tests[] = {
    CHECK_TEST(all_leases_go_back_though_others_put_where_done_records_were),
    CHECK_TEST(a_publisher_notices_one_that_read_while_it_looked_around),
    CHECK_TEST(a_publisher_notices_one_that_unpinned_while_it_looked_around),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
