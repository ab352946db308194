/* Leases: who has a message, in which order it comes back, and when it is gone for good. */
#include "check.h"
#include "rings.h"
#include <errno.h>
#include <signal.h>

static struct isthmus_ring queue, other;

static void begin(void)
{
    rings_queue(&queue);
    rings_join(&other, &queue);
}

static void end(void)
{
    isthmus_ring_close(&other);
    isthmus_ring_close(&queue);
}

static uint32_t number_of(const struct isthmus_record *record)
{
    return message_read(record->data, record->size).number;
}

static uint32_t lease(struct isthmus_ring *ring, struct isthmus_record *record)
{
    CHECK_OK(rings_lease(ring, record, SOON()));
    return number_of(record);
}

static uint64_t redelivered(void)
{
    struct isthmus_queue_state state;
    CHECK_OK(isthmus_queue_state(&queue, &state));
    return state.redelivered;
}

static void a_leased_message_is_given_to_nobody_else_and_stays_readable(void)
{
    struct isthmus_record record;
    begin();
    rings_put(&queue, 1, 0, 2);
    CHECK_UINT(lease(&other, &record), 0);
    CHECK_UINT(record.attempts, 1);
    rings_expect(&queue, 1, 1);
    rings_expect_none(&queue);
    rings_expect_none(&other);
    /* All the room but for this one. */
    CHECK_UINT(rings_fill(&queue, 2), MESSAGES_FIT - 2);
    CHECK_UINT(number_of(&record), 0);
    CHECK_OK(rings_acknowledge(&other, &record));
    end();
}

static void an_acknowledged_message_is_gone_and_its_room_free(void)
{
    struct isthmus_record record;
    begin();
    for (uint32_t i = 0; i < 3 * MESSAGES_FIT; i++) {
        rings_put(&queue, 1, i, 1);
        CHECK_UINT(lease(&other, &record), i);
        CHECK_OK(rings_acknowledge(&other, &record));
        CHECK_RESULT(rings_acknowledge(&other, &record), -ESTALE);
        CHECK_RESULT(rings_give_back(&other, &record), -ESTALE);
        rings_expect_none(&queue);
    }
    rings_check_state(&queue, 0, 0, 0);
    rings_check_capacity(&queue);
    end();
}

static void leases_may_be_acknowledged_in_any_order(void)
{
    for (uint32_t order = 0; order < 120; order++) {
        struct isthmus_record records[5];
        uint32_t left[5] = {0, 1, 2, 3, 4}, rest = order;
        begin();
        rings_put(&queue, 1, 0, 5);
        for (unsigned i = 0; i < 5; i++)
            CHECK_UINT(lease(i % 2 ? &other : &queue, &records[i]), i);
        for (uint32_t count = 5; count > 0; count--) {
            const uint32_t chosen = rest % count, i = left[chosen];
            rest /= count;
            left[chosen] = left[count - 1];
            /* By nobody but who has it. */
            CHECK_RESULT(rings_acknowledge(i % 2 ? &queue : &other, &records[i]), -ESTALE);
            CHECK_OK(rings_acknowledge(i % 2 ? &other : &queue, &records[i]));
            rings_check_state(&queue, 0, count - 1, 0);
        }
        CHECK_OK(isthmus_queue_join(&queue, 0));
        rings_check_capacity(&queue);
        end();
    }
}

static void what_is_given_back_comes_again_in_the_old_order(void)
{
    for (uint32_t order = 0; order < 24; order++) {
        struct isthmus_record records[4], record;
        uint32_t left[4] = {0, 1, 2, 3}, rest = order;
        begin();
        rings_put(&queue, 1, 0, 6);
        for (unsigned i = 0; i < 4; i++)
            CHECK_UINT(lease(&other, &records[i]), i);
        for (uint32_t count = 4; count > 0; count--) {
            const uint32_t chosen = rest % count, i = left[chosen];
            rest /= count;
            left[chosen] = left[count - 1];
            CHECK_OK(rings_give_back(&other, &records[i]));
            CHECK_RESULT(rings_give_back(&other, &records[i]), -ESTALE);
        }
        rings_check_state(&queue, 6, 0, 0);
        for (uint32_t i = 0; i < 6; i++) {
            CHECK_UINT(lease(&queue, &record), i);
            CHECK_UINT(record.attempts, i < 4 ? 2 : 1);
            CHECK_OK(rings_acknowledge(&queue, &record));
        }
        CHECK_UINT(redelivered(), 4);
        rings_check_capacity(&queue);
        end();
    }
}

static void a_message_given_back_comes_before_those_put_later(void)
{
    struct isthmus_record first, second;
    begin();
    rings_put(&queue, 1, 0, 3);
    CHECK_UINT(lease(&other, &first), 0);
    CHECK_UINT(lease(&other, &second), 1);
    rings_put(&queue, 1, 3, 1);
    CHECK_OK(rings_give_back(&other, &second));
    rings_expect(&queue, 1, 1);
    CHECK_OK(rings_give_back(&other, &first));
    rings_expect(&queue, 1, 0);
    rings_expect(&queue, 1, 2);
    rings_expect(&queue, 1, 3);
    rings_expect_none(&queue);
    end();
}

static void a_plain_read_between_leases_frees_nothing_too_early(void)
{
    struct isthmus_record records[3];
    begin();
    rings_put(&queue, 1, 0, 5);
    CHECK_UINT(lease(&other, &records[0]), 0);
    rings_expect(&queue, 1, 1);
    CHECK_UINT(lease(&other, &records[1]), 2);
    rings_expect(&queue, 1, 3);
    CHECK_UINT(lease(&other, &records[2]), 4);
    CHECK_UINT(rings_fill(&queue, 2), MESSAGES_FIT - 5);
    CHECK_UINT(number_of(&records[0]), 0);
    CHECK_OK(rings_acknowledge(&other, &records[0]));
    /* The first, and the one after it that was read, are free. */
    CHECK_UINT(rings_fill(&queue, 2), 2);
    CHECK_UINT(number_of(&records[1]), 2);
    CHECK_OK(rings_acknowledge(&other, &records[2]));
    CHECK_UINT(rings_fill(&queue, 2), 0);
    CHECK_OK(rings_acknowledge(&other, &records[1]));
    CHECK_UINT(rings_fill(&queue, 2), 3);
    end();
}

static void each_delivery_is_counted(void)
{
    struct isthmus_record record;
    begin();
    rings_put(&queue, 1, 0, 1);
    for (uint32_t i = 0; i < 10; i++) {
        CHECK_UINT(lease(i % 2 ? &queue : &other, &record), 0);
        CHECK_UINT(record.attempts, i + 1);
        CHECK_OK(rings_give_back(i % 2 ? &queue : &other, &record));
    }
    CHECK_UINT(redelivered(), 10);
    rings_expect(&queue, 1, 0);
    end();
}

static void what_a_plain_read_could_not_take_is_no_delivery(void)
{
    struct isthmus_record record;
    begin();
    rings_put(&queue, 1, 0, 1);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_UINT(lease(&other, &record), 0);
        CHECK_UINT(record.attempts, 1);
        CHECK_RESULT(isthmus_queue_untake(&queue, record.position, record.sequence), -ESTALE);
        CHECK_OK(isthmus_queue_untake(&other, record.position, record.sequence));
        CHECK_RESULT(isthmus_queue_untake(&other, record.position, record.sequence), -ESTALE);
    }
    rings_check_state(&queue, 1, 0, 0);
    rings_expect(&queue, 1, 0);
    rings_check_capacity(&queue);
    end();
}

static void who_closes_gives_back_what_it_has(void)
{
    struct isthmus_record records[3], record;
    begin();
    rings_put(&queue, 1, 0, 4);
    for (unsigned i = 0; i < 3; i++)
        lease(&other, &records[i]);
    CHECK_OK(rings_acknowledge(&other, &records[1]));
    isthmus_ring_close(&other);
    rings_check_state(&queue, 3, 0, 0);
    CHECK_UINT(lease(&queue, &record), 0);
    CHECK_UINT(record.attempts, 2);
    CHECK_OK(rings_acknowledge(&queue, &record));
    rings_expect(&queue, 1, 2);
    rings_expect(&queue, 1, 3);
    for (unsigned i = 0; i < 2; i++)
        CHECK_OK(isthmus_queue_task_done(&queue));
    rings_check_capacity(&queue);
    isthmus_ring_close(&queue);
}

#define HELD 20u

static void lease_many(struct isthmus_ring *own)
{
    struct isthmus_record record;
    for (uint32_t i = 0; i < HELD; i++)
        CHECK_UINT(lease(own, &record), i);
}

static void leases_of_one_that_dies_come_back_to_one_that_waits(void)
{
    struct isthmus_record record;
    begin();
    rings_put(&queue, 1, 0, HELD);
    const pid_t child = rings_stay(&queue, lease_many);
    rings_expect_none(&queue);
    CHECK_INT(kill(child, SIGKILL), 0);
    for (uint32_t i = 0; i < HELD; i++) {
        CHECK_UINT(lease(&queue, &record), i);
        CHECK_UINT(record.attempts, 2);
        CHECK_OK(rings_acknowledge(&queue, &record));
    }
    CHECK_INT(check_join_child(child), -SIGKILL);
    CHECK_UINT(redelivered(), HELD);
    rings_check_capacity(&queue);
    end();
}

static void leases_of_one_that_died_come_back_to_one_that_only_tries(void)
{
    struct message message;
    int result;
    begin();
    rings_put(&queue, 1, 0, HELD);
    together_kill(rings_stay(&queue, lease_many));
    /* Trying looks for the dead now and then only, so that it stays cheap. */
    UNTIL((result = rings_get(&queue, &message, 0)) == 0);
    CHECK_UINT(message.number, 0);
    for (uint32_t i = 1; i < HELD; i++)
        rings_expect(&queue, 1, i);
    end();
}

static void lease_all(struct isthmus_ring *own)
{
    struct isthmus_record record;
    for (uint32_t i = 0; i < MESSAGES_FIT; i++)
        CHECK_UINT(lease(own, &record), i);
}

static void take_all(struct isthmus_ring *own)
{
    for (uint32_t i = 0; i < MESSAGES_FIT; i++)
        rings_expect(own, 1, i);
    rings_expect(own, 2, 0);
}

static void a_ring_full_of_leases_of_the_dead_does_not_stay_so(void)
{
    begin();
    CHECK_UINT(rings_fill(&queue, 1), MESSAGES_FIT);
    together_kill(rings_stay(&queue, lease_all));
    const pid_t consumer = rings_send(&queue, take_all);
    CHECK_OK(rings_write(&queue, 2, 0, MESSAGE_SIZE, SOON()));
    CHECK_INT(check_join_child(consumer), 0);
    end();
}

static void joining_sees_that_the_leases_of_the_dead_are_ready_again(void)
{
    begin();
    rings_put(&queue, 1, 0, HELD);
    together_kill(rings_stay(&queue, lease_many));
    CHECK_RESULT(isthmus_queue_join(&queue, isthmus_deadline_after(1000000)), -ETIMEDOUT);
    for (uint32_t i = 0; i < HELD; i++) {
        rings_expect(&queue, 1, i);
        CHECK_OK(isthmus_queue_task_done(&queue));
    }
    CHECK_OK(isthmus_queue_join(&queue, SOON()));
    end();
}

static void a_successor_in_the_slot_does_not_own_the_leases_of_the_dead(void)
{
    struct isthmus_record old, record;
    begin();
    rings_put(&queue, 1, 0, 1);
    lease(&other, &old);
    const int32_t slot = other.primitive.slot;
    isthmus_ring_close(&other);
    rings_join(&other, &queue);
    CHECK_INT(other.primitive.slot, slot);
    CHECK_RESULT(rings_acknowledge(&other, &old), -ESTALE);
    CHECK_UINT(lease(&other, &record), 0);
    CHECK_OK(rings_acknowledge(&other, &record));
    end();
}

static void acknowledging_what_was_never_leased_is_refused(void)
{
    struct isthmus_record record;
    begin();
    rings_put(&queue, 1, 0, 3);
    lease(&queue, &record);
    CHECK_RESULT(
        isthmus_queue_acknowledge(&queue, record.position + MESSAGE_ROOM, record.sequence + 1),
        -ESTALE);
    CHECK_RESULT(isthmus_queue_acknowledge(&queue, record.position, record.sequence + 1), -ESTALE);
    CHECK_RESULT(isthmus_queue_acknowledge(&queue, record.position + 32, record.sequence), -ESTALE);
    CHECK_RESULT(isthmus_queue_acknowledge(&queue, record.position + 7, record.sequence), -ESTALE);
    CHECK_RESULT(
        isthmus_queue_give_back(&queue, record.position + 64 * MESSAGE_ROOM, record.sequence + 64),
        -ESTALE);
    CHECK_RESULT(isthmus_queue_give_back(&queue, UINT64_MAX, 0), -ESTALE);
    CHECK_OK(rings_acknowledge(&queue, &record));
    rings_expect(&queue, 1, 1);
    end();
}

/* A model: which are out, and with whom; what comes next is the oldest that is not. */
static void any_mixture_of_deliveries_agrees_with_a_plain_model(void)
{
    enum {
        COUNT = 24
    };
    for (uint32_t seed = 1; seed <= 200; seed++) {
        struct isthmus_record records[COUNT];
        uint32_t holder[COUNT] = {0}, random = seed; /* 0 ready, 1 and 2 leased, 3 gone */
        begin();
        rings_put(&queue, 1, 0, COUNT);
        for (unsigned step = 0; step < 150; step++) {
            random = random * 1664525 + 1013904223;
            const uint32_t who = 1 + (random >> 20) % 2, i = (random >> 24) % COUNT;
            struct isthmus_ring *const ring = who == 1 ? &queue : &other;
            uint32_t first = 0;
            while (first < COUNT && holder[first] != 0)
                first++;
            switch (random >> 8 & 3) {
            case 0: /* lease */
                if (first == COUNT) {
                    rings_expect_none(ring);
                } else {
                    CHECK_UINT(lease(ring, &records[first]), first);
                    holder[first] = who;
                }
                break;
            case 1: /* give back */
                if (holder[i] == who) {
                    CHECK_OK(rings_give_back(ring, &records[i]));
                    holder[i] = 0;
                }
                break;
            case 2:
                if (holder[i] == who) {
                    CHECK_OK(rings_acknowledge(ring, &records[i]));
                    holder[i] = 3;
                }
                break;
            default:
                if (first == COUNT || random >> 28)
                    break;
                rings_expect(ring, 1, first);
                holder[first] = 3;
            }
        }
        uint64_t ready = 0, leased = 0;
        for (uint32_t i = 0; i < COUNT; i++) {
            ready += holder[i] == 0;
            leased += holder[i] == 1 || holder[i] == 2;
        }
        rings_check_state(&queue, ready, leased, 0);
        end();
    }
}

static const struct check_test tests[] = {
    CHECK_TEST(a_leased_message_is_given_to_nobody_else_and_stays_readable),
    CHECK_TEST(an_acknowledged_message_is_gone_and_its_room_free),
    CHECK_TEST(leases_may_be_acknowledged_in_any_order),
    CHECK_TEST(what_is_given_back_comes_again_in_the_old_order),
    CHECK_TEST(a_message_given_back_comes_before_those_put_later),
    CHECK_TEST(a_plain_read_between_leases_frees_nothing_too_early),
    CHECK_TEST(each_delivery_is_counted),
    CHECK_TEST(what_a_plain_read_could_not_take_is_no_delivery),
    CHECK_TEST(who_closes_gives_back_what_it_has),
    CHECK_TEST(leases_of_one_that_dies_come_back_to_one_that_waits),
    CHECK_TEST(leases_of_one_that_died_come_back_to_one_that_only_tries),
    CHECK_TEST(a_ring_full_of_leases_of_the_dead_does_not_stay_so),
    CHECK_TEST(joining_sees_that_the_leases_of_the_dead_are_ready_again),
    CHECK_TEST(a_successor_in_the_slot_does_not_own_the_leases_of_the_dead),
    CHECK_TEST(acknowledging_what_was_never_leased_is_refused),
    CHECK_TEST(any_mixture_of_deliveries_agrees_with_a_plain_model),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
