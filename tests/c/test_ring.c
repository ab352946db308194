/* Messages through a ring: every size at every place, several together, cursors that wrap. */
#include "check.h"
#include "fixture.h"
#include "rings.h"
#include <errno.h>
#include <string.h>

#define CAPACITY ISTHMUS_RING_MIN

static struct isthmus_ring ring, other;

static void begin(uint32_t kind, uint64_t start)
{
    const struct isthmus_ring_plan plan = {.kind = kind, .capacity = CAPACITY, .start = start};
    rings_make(&ring, &plan);
    rings_join(&other, &ring);
    if (kind == ISTHMUS_KIND_TOPIC)
        CHECK_OK(isthmus_topic_subscribe(&other, ISTHMUS_START_NEXT));
}

static void end(void)
{
    isthmus_ring_close(&other);
    isthmus_ring_close(&ring);
}

static const uint32_t kinds[] = {ISTHMUS_KIND_QUEUE, ISTHMUS_KIND_TOPIC};
#define EACH_KIND(kind)                                                                            \
    for (const uint32_t *kind = kinds; kind < kinds + sizeof kinds / sizeof kinds[0]; kind++)

static uint32_t largest_size(void)
{
    uint32_t size = CAPACITY;
    while (isthmus_record_room(0, size) > CAPACITY)
        size--;
    return size;
}

static void pass(uint32_t number, uint32_t size)
{
    struct message message;
    CHECK_OK(rings_try(&ring, 1, number, size));
    CHECK_OK(rings_get(&other, &message, 0));
    CHECK_UINT(message.number, number);
    CHECK_UINT(message.size, size);
}

/* ---- Sizes and places ---------------------------------------------------------------------- */

static void every_size_comes_out_as_it_went_in_wherever_it_stands(void)
{
    EACH_KIND(kind)
    {
        begin(*kind, 0);
        /* Each size modulo the alignment, so that each place at the wrap is met as well. */
        for (uint32_t round = 0; round < 3; round++)
            for (uint32_t size = MESSAGE_MIN; size <= largest_size(); size += size < 700 ? 1 : 61)
                pass(size, size);
        end();
    }
}

static void a_message_may_be_shorter_than_any_header(void)
{
    EACH_KIND(kind)
    {
        begin(*kind, 0);
        for (size_t size = 0; size < 100; size++) {
            unsigned char bytes[100], found[100];
            size_t found_size = 1000;
            memset(bytes, (int)size + 1, sizeof bytes);
            CHECK_OK(isthmus_ring_write(&ring, bytes, size, 0));
            CHECK_OK(isthmus_ring_read(&other, found, sizeof found, &found_size, 0));
            CHECK_UINT(found_size, size);
            CHECK_BYTES(found, bytes, size);
        }
        end();
    }
}

static void a_message_may_take_the_whole_ring_wherever_it_begins(void)
{
    const uint32_t largest = largest_size();
    CHECK(largest >= CAPACITY - 2 * ISTHMUS_RECORD_ALIGNMENT);
    EACH_KIND(kind)
    {
        for (uint64_t start = 0; start < CAPACITY; start += ISTHMUS_RECORD_ALIGNMENT) {
            begin(*kind, start);
            pass(1, largest);
            pass(2, largest - 1);
            pass(3, MESSAGE_SIZE);
            pass(4, largest);
            end();
        }
    }
}

static void what_is_larger_than_the_ring_is_refused_at_once(void)
{
    EACH_KIND(kind)
    {
        struct isthmus_write write;
        struct isthmus_record record;
        unsigned char bytes[CAPACITY + 1] = {0};
        begin(*kind, 0);
        CHECK_OK(rings_try(&ring, 1, 0, MESSAGE_SIZE));
        /* Not -EAGAIN: it would never fit. */
        CHECK_RESULT(isthmus_ring_write(&ring, bytes, CAPACITY, ISTHMUS_FOREVER), -EMSGSIZE);
        CHECK_RESULT(isthmus_ring_write(&ring, bytes, CAPACITY + 1, 0), -EMSGSIZE);
        CHECK_RESULT(isthmus_ring_write(&ring, bytes, SIZE_MAX, 0), -EMSGSIZE);
        CHECK_RESULT(isthmus_ring_try_write(&ring, ISTHMUS_TYPE_BYTES, bytes, SIZE_MAX - 63),
                     -EMSGSIZE);
        CHECK_OK(isthmus_write_begin(&ring, &write, 0, 0));
        CHECK_RESULT(isthmus_write_reserve(&ring, &write, ISTHMUS_TYPE_BYTES, UINT32_MAX,
                                           UINT64_MAX, &record),
                     -EMSGSIZE);
        CHECK_RESULT(
            isthmus_write_reserve(&ring, &write, ISTHMUS_TYPE_BYTES, CAPACITY, 16, &record),
            -EMSGSIZE);
        isthmus_write_abort(&ring, &write);
        rings_expect(&other, 1, 0);
        end();
    }
}

static void the_room_that_a_message_takes_is_known_beforehand(void)
{
    CHECK_UINT(isthmus_record_room(0, MESSAGE_SIZE), MESSAGE_ROOM);
    CHECK_UINT(isthmus_record_room(0, UINT64_MAX), UINT64_MAX);
    CHECK_UINT(isthmus_record_room(UINT64_MAX, 0), UINT64_MAX);
    CHECK_UINT(isthmus_record_room(UINT64_MAX / 2, UINT64_MAX / 2), UINT64_MAX);
    for (uint32_t size = MESSAGE_MIN; size <= largest_size(); size += 13) {
        struct isthmus_queue_state state;
        begin(ISTHMUS_KIND_QUEUE, size / 13 * 32);
        CHECK_OK(rings_try(&ring, 0, 0, size));
        CHECK_OK(isthmus_queue_state(&ring, &state));
        CHECK(state.used >= size && state.used <= isthmus_record_room(0, size));
        end();
    }
}

static void cursors_may_start_anywhere_and_wrap_around(void)
{
    static const uint64_t starts[] = {
        (UINT64_C(1) << 63) - 2 * CAPACITY, (UINT64_C(1) << 63) - 32,      UINT64_C(1) << 63,
        0 - UINT64_C(3) * CAPACITY,         0 - (uint64_t)(CAPACITY - 32), 0 - UINT64_C(32),
        (UINT64_C(1) << 32) - 64,
    };
    EACH_KIND(kind)
    {
        for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
            begin(*kind, starts[i]);
            for (uint32_t number = 0; number < 200; number++)
                pass(number, MESSAGE_MIN + number * 7 % 1000);
            /* Full, with both cursors on different sides of the wrap. */
            for (uint32_t round = 0; round < 5; round++) {
                const uint32_t count = rings_fill(&ring, 2);
                CHECK(count >= MESSAGES_FIT - 1);
                for (uint32_t number = 0; number < count; number++)
                    rings_expect(&other, 2, number);
                pass(0, 1000);
            }
            rings_expect_none(&other);
            end();
        }
    }
}

/* Leases, too, compare positions on both sides of the wrap. */
static void leases_are_the_same_on_both_sides_of_the_wrap_of_cursors(void)
{
    static const uint64_t starts[] = {0 - UINT64_C(4 * 64), (UINT64_C(1) << 63) - 4 * 64};
    for (size_t i = 0; i < 2; i++) {
        struct isthmus_record records[8];
        begin(ISTHMUS_KIND_QUEUE, starts[i]);
        rings_put(&ring, 1, 0, 8);
        for (unsigned j = 0; j < 8; j++)
            CHECK_OK(rings_lease(&other, &records[j], 0));
        CHECK_OK(rings_give_back(&other, &records[6]));
        CHECK_OK(rings_give_back(&other, &records[1]));
        CHECK_OK(rings_acknowledge(&other, &records[3]));
        CHECK_OK(rings_acknowledge(&other, &records[0]));
        rings_expect(&ring, 1, 1);
        rings_expect(&ring, 1, 6);
        for (unsigned j = 2; j < 8; j++)
            if (j != 3 && j != 6)
                CHECK_OK(rings_acknowledge(&other, &records[j]));
        for (unsigned j = 0; j < 2; j++)
            CHECK_OK(isthmus_queue_task_done(&ring));
        rings_check_capacity(&ring);
        end();
    }
}

/* ---- Several together ------------------------------------------------------------------------ */

static int reserve(struct isthmus_write *write, uint32_t number, uint32_t size)
{
    struct isthmus_record record;
    int result = isthmus_write_reserve(&ring, write, ISTHMUS_TYPE_BYTES, 0, size, &record);
    if (!result)
        message_write(record.data, 1, number, size);
    return result;
}

static void a_batch_becomes_visible_at_once(void)
{
    EACH_KIND(kind)
    {
        struct isthmus_write write;
        begin(*kind, CAPACITY - 128);
        CHECK_OK(isthmus_write_begin(&ring, &write, 0, 0));
        for (uint32_t i = 0; i < 3; i++) {
            CHECK_OK(reserve(&write, i, 100));
            rings_expect_none(&other);
        }
        isthmus_write_commit(&ring, &write);
        for (uint32_t i = 0; i < 3; i++)
            rings_expect(&other, 1, i);
        rings_expect_none(&other);
        end();
    }
}

static void an_aborted_batch_has_never_been(void)
{
    EACH_KIND(kind)
    {
        struct isthmus_write write;
        begin(*kind, 0);
        for (unsigned round = 0; round < 100; round++) {
            CHECK_OK(isthmus_write_begin(&ring, &write, 0, 0));
            CHECK_OK(reserve(&write, 1, 500));
            CHECK_OK(reserve(&write, 2, 600));
            isthmus_write_abort(&ring, &write);
            rings_expect_none(&other);
        }
        pass(3, largest_size());
        /* One without records, committed, is nothing either. */
        CHECK_OK(isthmus_write_begin(&ring, &write, 0, 0));
        isthmus_write_commit(&ring, &write);
        rings_expect_none(&other);
        end();
    }
}

static void what_fits_of_a_batch_can_be_committed_when_the_rest_does_not(void)
{
    EACH_KIND(kind)
    {
        struct isthmus_write write;
        uint32_t count = 0;
        int result;
        begin(*kind, 0);
        CHECK_OK(isthmus_write_begin(&ring, &write, 0, 0));
        while ((result = reserve(&write, count, MESSAGE_SIZE)) == 0)
            count++;
        CHECK_RESULT(result, -EAGAIN);
        CHECK_UINT(count, MESSAGES_FIT);
        isthmus_write_commit(&ring, &write);
        /* What stood in the way of it was, of a topic, the batch itself: look anew. */
        CHECK_RESULT(rings_try(&ring, 1, count, MESSAGE_SIZE), -EAGAIN);
        if (*kind == ISTHMUS_KIND_QUEUE)
            CHECK_RESULT(isthmus_write_await(&ring, &write, isthmus_deadline_after(1000000)),
                         -ETIMEDOUT);
        for (uint32_t i = 0; i < count; i++)
            rings_expect(&other, 1, i);
        CHECK_OK(isthmus_write_await(&ring, &write, SOON()));
        pass(0, largest_size());
        end();
    }
}

static void several_are_taken_together_or_not_at_all(void)
{
    EACH_KIND(kind)
    {
        struct isthmus_read read;
        struct isthmus_record record;
        begin(*kind, 0);
        rings_put(&ring, 1, 0, 5);
        for (unsigned round = 0; round < 3; round++) {
            CHECK_OK(isthmus_read_begin(&other, &read, 0));
            for (uint32_t i = 0; i < 5; i++) {
                CHECK_OK(isthmus_read_next(&other, &read, &record));
                CHECK_UINT(message_read(record.data, record.size).number, i);
                CHECK_UINT(record.sequence, i);
                CHECK_UINT(record.attempts, 0);
                CHECK_OK(isthmus_read_valid(&other, &read, &record));
            }
            CHECK_RESULT(isthmus_read_next(&other, &read, &record), -EAGAIN);
            isthmus_read_abort(&other, &read);
        }
        CHECK_OK(isthmus_read_begin(&other, &read, 0));
        for (uint32_t i = 0; i < 3; i++)
            CHECK_OK(isthmus_read_next(&other, &read, &record));
        isthmus_read_commit(&other, &read);
        rings_expect(&other, 1, 3);
        rings_expect(&other, 1, 4);
        /* Nothing taken, committed. */
        CHECK_OK(isthmus_read_begin(&other, &read, 0));
        CHECK_RESULT(isthmus_read_next(&other, &read, &record), -EAGAIN);
        isthmus_read_commit(&other, &read);
        rings_expect_none(&other);
        end();
    }
}

static void a_message_that_is_too_long_for_the_buffer_stays(void)
{
    EACH_KIND(kind)
    {
        unsigned char bytes[100];
        size_t size = 0;
        begin(*kind, 0);
        CHECK_OK(rings_try(&ring, 1, 0, sizeof bytes));
        CHECK_RESULT(isthmus_ring_read(&other, bytes, sizeof bytes - 1, &size, 0), -ENOBUFS);
        CHECK_UINT(size, sizeof bytes);
        CHECK_RESULT(isthmus_ring_read(&other, NULL, 0, &size, SOON()), -ENOBUFS);
        CHECK_UINT(size, sizeof bytes);
        CHECK_OK(isthmus_ring_read(&other, bytes, sizeof bytes, &size, 0));
        CHECK_UINT(message_read(bytes, size).number, 0);
        end();
    }
}

static void types_and_meta_data_travel_with_a_message(void)
{
    EACH_KIND(kind)
    {
        begin(*kind, CAPACITY - 64);
        for (uint32_t meta_size = 0; meta_size < 200; meta_size += 3) {
            const uint32_t type = 3 + meta_size, size = MESSAGE_MIN + meta_size % 17;
            struct isthmus_write write;
            struct isthmus_read read;
            struct isthmus_record record;
            CHECK_OK(isthmus_write_begin(&ring, &write, 0, 0));
            CHECK_OK(isthmus_write_reserve(&ring, &write, type, meta_size, size, &record));
            CHECK(record.meta_size >= meta_size);
            CHECK_UINT((uintptr_t)record.data % 32, 0);
            memset((void *)(uintptr_t)record.meta, (int)meta_size, meta_size);
            message_write(record.data, 1, meta_size, size);
            isthmus_write_commit(&ring, &write);

            CHECK_OK(rings_next(&other, &read, &record, 0));
            CHECK_UINT(record.type, type);
            CHECK_UINT(record.size, size);
            CHECK(record.meta_size >= meta_size);
            for (uint32_t i = 0; i < meta_size; i++)
                CHECK_UINT(((const unsigned char *)record.meta)[i], meta_size & 0xff);
            CHECK_UINT(message_read(record.data, record.size).number, meta_size);
            isthmus_read_commit(&other, &read);
        }
        CHECK_OK(isthmus_ring_try_write(&ring, ISTHMUS_TYPE_TEXT, "text", 4));
        struct isthmus_read read;
        struct isthmus_record record;
        CHECK_OK(rings_next(&other, &read, &record, 0));
        CHECK_UINT(record.type, ISTHMUS_TYPE_TEXT);
        CHECK_BYTES(record.data, "text", 4);
        isthmus_read_commit(&other, &read);
        end();
    }
}

/* ---- Several at once ----------------------------------------------------------------------------
 */

static void one_that_fills_a_record_for_long_keeps_others_out_who_may_go_away(void)
{
    EACH_KIND(kind)
    {
        struct isthmus_write write, second;
        begin(*kind, 0);
        struct isthmus_ring third;
        rings_join(&third, &ring);
        CHECK_OK(isthmus_write_begin(&ring, &write, 1, 0));
        CHECK_OK(reserve(&write, 0, 100));
        CHECK_RESULT(rings_try(&third, 2, 0, 100), -EBUSY);
        CHECK_RESULT(isthmus_write_begin(&third, &second, 0, 0), -EBUSY);
        CHECK_RESULT(rings_write(&third, 2, 0, 100, isthmus_deadline_after(2000000)), -ETIMEDOUT);
        CHECK_RESULT(isthmus_write_begin(&third, &second, 1, isthmus_deadline_after(2000000)),
                     -ETIMEDOUT);
        isthmus_write_commit(&ring, &write);
        CHECK_OK(rings_try(&third, 2, 1, 100));
        rings_expect(&other, 1, 0);
        rings_expect(&other, 2, 1);
        isthmus_ring_close(&third);
        end();
    }
}

#define PRODUCERS 4u
#define EACH_PUTS 1500u

static uint32_t *producer_number;

static void produce(struct isthmus_ring *own)
{
    const uint32_t who = count_up(producer_number);
    for (uint32_t i = 0; i < EACH_PUTS; i++)
        CHECK_OK(rings_write(own, who, i, MESSAGE_MIN + (i * 7 + who) % 300, SOON()));
}

static void each_producer_keeps_its_order(void)
{
    producer_number = together_memory(sizeof(uint32_t));
    EACH_KIND(kind)
    {
        pid_t children[PRODUCERS];
        uint32_t next[PRODUCERS] = {0};
        begin(*kind, 0);
        poke(producer_number, 0);
        for (unsigned i = 0; i < PRODUCERS; i++)
            children[i] = rings_send(&ring, produce);
        for (uint32_t i = 0; i < PRODUCERS * EACH_PUTS; i++) {
            struct message message;
            CHECK_OK(rings_get(&other, &message, SOON()));
            CHECK(message.who < PRODUCERS);
            CHECK_UINT(message.number, next[message.who]);
            next[message.who]++;
        }
        for (unsigned i = 0; i < PRODUCERS; i++)
            CHECK_INT(check_join_child(children[i]), 0);
        rings_expect_none(&other);
        end();
    }
}

static void numbers_count_all_messages_of_the_ring(void)
{
    EACH_KIND(kind)
    {
        begin(*kind, 64);
        for (uint32_t i = 0; i < 300; i++) {
            struct isthmus_read read;
            struct isthmus_record record;
            CHECK_OK(rings_try(i % 2 ? &ring : &other, i % 2, i, MESSAGE_SIZE));
            CHECK_OK(rings_next(&other, &read, &record, 0));
            CHECK_UINT(record.sequence, i);
            CHECK_UINT(record.position, 64 + (uint64_t)i * MESSAGE_ROOM);
            isthmus_read_commit(&other, &read);
        }
        end();
    }
}

static const struct check_test tests[] = {
    CHECK_TEST(every_size_comes_out_as_it_went_in_wherever_it_stands),
    CHECK_TEST(a_message_may_be_shorter_than_any_header),
    CHECK_TEST(a_message_may_take_the_whole_ring_wherever_it_begins),
    CHECK_TEST(what_is_larger_than_the_ring_is_refused_at_once),
    CHECK_TEST(the_room_that_a_message_takes_is_known_beforehand),
    CHECK_TEST(cursors_may_start_anywhere_and_wrap_around),
    CHECK_TEST(leases_are_the_same_on_both_sides_of_the_wrap_of_cursors),
    CHECK_TEST(a_batch_becomes_visible_at_once),
    CHECK_TEST(an_aborted_batch_has_never_been),
    CHECK_TEST(what_fits_of_a_batch_can_be_committed_when_the_rest_does_not),
    CHECK_TEST(several_are_taken_together_or_not_at_all),
    CHECK_TEST(a_message_that_is_too_long_for_the_buffer_stays),
    CHECK_TEST(types_and_meta_data_travel_with_a_message),
    CHECK_TEST(one_that_fills_a_record_for_long_keeps_others_out_who_may_go_away),
    CHECK_TEST(each_producer_keeps_its_order),
    CHECK_TEST(numbers_count_all_messages_of_the_ring),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
