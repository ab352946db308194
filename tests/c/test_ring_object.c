/* Rings as objects: plans, names, handles, forks. What all objects share is in test_primitive.c. */
#include "check.h"
#include "fixture.h"
#include "rings.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char name[FIXTURE_NAME_SIZE], path[FIXTURE_PATH_SIZE];
static struct isthmus_ring first, second;

static struct isthmus_ring_plan begin(uint32_t kind)
{
    char escaped[ISTHMUS_NAME_MAX + 1];
    fixture_name(name);
    CHECK_OK(isthmus_name_escape(name, escaped));
    fixture_path(path, escaped);
    return (struct isthmus_ring_plan){
        .kind = kind, .participants = 4, .capacity = ISTHMUS_RING_MIN};
}

static int is_there(void)
{
    return access(path, F_OK) == 0;
}

static const uint32_t kinds[] = {ISTHMUS_KIND_QUEUE, ISTHMUS_KIND_TOPIC};
#define EACH_KIND(kind)                                                                            \
    for (const uint32_t *kind = kinds; kind < kinds + sizeof kinds / sizeof kinds[0]; kind++)

/* ---- Plans --------------------------------------------------------------------------------------
 */

static void a_capacity_becomes_a_power_of_two(void)
{
    static const struct {
        uint64_t wanted, expected;
    } cases[] = {{0, 1 << 20}, {1, 4096},        {4096, 4096},
                 {4097, 8192}, {100000, 131072}, {1 << 21, 1 << 21}};
    EACH_KIND(kind)
    {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            const struct isthmus_ring_plan plan = {.kind = *kind, .capacity = cases[i].wanted};
            CHECK_OK(isthmus_ring_anonymous(&first, &plan));
            CHECK_UINT(first.capacity, cases[i].expected);
            CHECK_UINT(first.primitive.count, ISTHMUS_PARTICIPANTS_DEFAULT);
            /* The bytes are there twice. */
            first.data[5] = 77;
            CHECK_UINT(first.data[first.capacity + 5], 77);
            first.data[2 * first.capacity - 1] = 78;
            CHECK_UINT(first.data[first.capacity - 1], 78);
            isthmus_ring_close(&first);
        }
    }
}

static void a_plan_that_makes_no_sense_is_refused(void)
{
    static const struct isthmus_ring_plan plans[] = {
        {.kind = ISTHMUS_KIND_LOCK},
        {.kind = ISTHMUS_KIND_ANY},
        {.kind = 99},
        {.kind = ISTHMUS_KIND_QUEUE, .flags = ISTHMUS_ROBUST},
        {.kind = ISTHMUS_KIND_QUEUE, .start = 31},
        {.kind = ISTHMUS_KIND_QUEUE, .participants = ISTHMUS_PARTICIPANTS_MAX + 1},
        {.kind = ISTHMUS_KIND_TOPIC, .maxsize = 1},
        {.kind = ISTHMUS_KIND_TOPIC, .max_attempts = 1},
        {.kind = ISTHMUS_KIND_QUEUE, .max_attempts = UINT16_MAX + 1},
    };
    const struct isthmus_ring_plan huge = {.kind = ISTHMUS_KIND_QUEUE, .capacity = UINT64_MAX};
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++)
        CHECK_RESULT(isthmus_ring_anonymous(&first, &plans[i]), -EINVAL);
    CHECK_RESULT(isthmus_ring_anonymous(&first, &huge), -EFBIG);
    CHECK_RESULT(isthmus_ring_attach(&first, "x", ISTHMUS_KIND_LOCK, NULL), -EINVAL);
    CHECK_RESULT(isthmus_ring_from_fd(&first, 0, ISTHMUS_KIND_ARRAY), -EINVAL);
}

static void more_than_there_is_room_for_on_the_system_is_an_error_at_once(void)
{
    const int error = fixture_private_shm("1m");
    if (error)
        check_skip("a private shared memory file system is not to be had", error);
    EACH_KIND(kind)
    {
        struct isthmus_ring_plan plan = begin(*kind);
        plan.capacity = 2 << 20;
        CHECK_RESULT(isthmus_ring_create(&first, name, &plan, NULL), -ENOSPC);
        CHECK(!is_there());
    }
}

/* ---- Names
 * ---------------------------------------------------------------------------------------- */

static void what_one_puts_another_one_gets_by_name(void)
{
    EACH_KIND(kind)
    {
        const struct isthmus_ring_plan plan = begin(*kind);
        CHECK_RESULT(isthmus_ring_attach(&second, name, *kind, NULL), -ENOENT);
        CHECK_OK(isthmus_ring_create(&first, name, &plan, NULL));
        CHECK_RESULT(isthmus_ring_create(&second, name, &plan, NULL), -EEXIST);
        CHECK_OK(isthmus_ring_attach(&second, name, *kind, NULL));
        CHECK_UINT(second.capacity, plan.capacity);
        if (*kind == ISTHMUS_KIND_TOPIC)
            CHECK_OK(isthmus_topic_subscribe(&second, ISTHMUS_START_NEXT));
        rings_put(&first, 1, 0, 3);
        for (uint32_t i = 0; i < 3; i++)
            rings_expect(&second, 1, i);
        isthmus_ring_close(&first);
        CHECK(is_there());
        isthmus_ring_close(&second);
        CHECK(!is_there());
    }
}

static void opening_makes_it_or_takes_what_suits(void)
{
    EACH_KIND(kind)
    {
        const struct isthmus_ring_plan plan = begin(*kind);
        struct isthmus_ring_plan another = plan;
        CHECK_OK(isthmus_ring_open(&first, name, &plan, NULL, NULL));
        CHECK_OK(isthmus_ring_open(&second, name, &plan, NULL, NULL));
        isthmus_ring_close(&second);
        another.capacity = 8192;
        CHECK_RESULT(isthmus_ring_open(&second, name, &another, NULL, NULL), -ENOTUNIQ);
        another.capacity = 4000; /* becomes the same */
        CHECK_OK(isthmus_ring_open(&second, name, &another, NULL, NULL));
        isthmus_ring_close(&second);
        another.flags = ISTHMUS_PERSIST;
        CHECK_RESULT(isthmus_ring_open(&second, name, &another, NULL, NULL), -ENOTUNIQ);
        another = plan;
        another.kind = *kind == ISTHMUS_KIND_QUEUE ? ISTHMUS_KIND_TOPIC : ISTHMUS_KIND_QUEUE;
        CHECK_RESULT(isthmus_ring_open(&second, name, &another, NULL, NULL), -ISTHMUS_E_KIND);
        CHECK_RESULT(isthmus_ring_attach(&second, name, another.kind, NULL), -ISTHMUS_E_KIND);
        isthmus_ring_close(&first);
    }
    struct isthmus_ring_plan plan = begin(ISTHMUS_KIND_QUEUE), another = plan;
    CHECK_OK(isthmus_ring_open(&first, name, &plan, NULL, NULL));
    another.maxsize = 5;
    CHECK_RESULT(isthmus_ring_open(&second, name, &another, NULL, NULL), -ENOTUNIQ);
    another = plan;
    another.max_attempts = 5;
    CHECK_RESULT(isthmus_ring_open(&second, name, &another, NULL, NULL), -ENOTUNIQ);
    isthmus_ring_close(&first);
}

static void one_that_persists_keeps_its_messages_until_it_is_unlinked(void)
{
    EACH_KIND(kind)
    {
        struct isthmus_ring_plan plan = begin(*kind);
        plan.flags = ISTHMUS_PERSIST;
        CHECK_OK(isthmus_ring_create(&first, name, &plan, NULL));
        rings_put(&first, 1, 0, 2);
        isthmus_ring_close(&first);
        CHECK(is_there());
        CHECK_OK(isthmus_ring_attach(&first, name, *kind, NULL));
        if (*kind == ISTHMUS_KIND_TOPIC)
            CHECK_OK(isthmus_topic_subscribe(&first, ISTHMUS_START_OLDEST));
        rings_expect(&first, 1, 0);
        rings_expect(&first, 1, 1);
        CHECK_OK(isthmus_ring_unlink(&first));
        CHECK(!is_there());
        rings_put(&first, 1, 2, 1);
        rings_expect(&first, 1, 2);
        isthmus_ring_close(&first);
    }
}

static void leases_of_one_that_closed_as_the_last_are_ready_when_it_is_opened_again(void)
{
    struct isthmus_ring_plan plan = begin(ISTHMUS_KIND_QUEUE);
    struct isthmus_record record;
    plan.flags = ISTHMUS_PERSIST;
    CHECK_OK(isthmus_ring_create(&first, name, &plan, NULL));
    rings_put(&first, 1, 0, 2);
    CHECK_OK(rings_lease(&first, &record, 0));
    isthmus_ring_close(&first);
    CHECK_OK(isthmus_ring_open(&first, name, &plan, NULL, NULL));
    rings_expect(&first, 1, 0);
    rings_expect(&first, 1, 1);
    CHECK_OK(isthmus_ring_unlink(&first));
    isthmus_ring_close(&first);
}

static void put_lease_and_die(void *argument)
{
    const struct isthmus_ring_plan *plan = argument;
    struct isthmus_record record;
    CHECK_OK(isthmus_ring_open(&first, name, plan, NULL, NULL));
    rings_put(&first, 1, 0, 2);
    if (plan->kind == ISTHMUS_KIND_QUEUE)
        CHECK_OK(rings_lease(&first, &record, 0));
    else
        CHECK_OK(isthmus_topic_subscribe(&first, ISTHMUS_START_OLDEST));
    _exit(0);
}

static void when_all_have_died_the_next_one_finds_a_new_ring_unless_it_persists(void)
{
    EACH_KIND(kind)
    {
        for (unsigned persists = 0; persists < 2; persists++) {
            struct isthmus_ring_plan plan = begin(*kind);
            plan.flags = persists ? ISTHMUS_PERSIST : 0;
            CHECK_INT(check_in_child(put_lease_and_die, &plan), 0);
            CHECK(is_there());
            CHECK_OK(isthmus_ring_open(&first, name, &plan, NULL, NULL));
            if (*kind == ISTHMUS_KIND_TOPIC)
                CHECK_OK(isthmus_topic_subscribe(&first, ISTHMUS_START_OLDEST));
            uint32_t found = 0;
            while (persists && found != 3) {
                struct message message;
                /* The lease of the dead comes back while somebody waits; perhaps after others. */
                CHECK_OK(rings_get(&first, &message, SOON()));
                CHECK(message.number < 2 && !(found & 1u << message.number));
                found |= 1u << message.number;
            }
            rings_expect_none(&first);
            CHECK_OK(isthmus_ring_unlink(&first));
            isthmus_ring_close(&first);
        }
    }
}

/* ---- Handles
 * ---------------------------------------------------------------------------------------- */

static void there_is_room_for_as_many_handles_as_planned(void)
{
    EACH_KIND(kind)
    {
        const struct isthmus_ring_plan plan = begin(*kind);
        struct isthmus_ring others[3], more;
        CHECK_OK(isthmus_ring_create(&first, name, &plan, NULL));
        for (unsigned round = 0; round < 2; round++) {
            for (unsigned i = 0; i < 3; i++)
                CHECK_OK(isthmus_ring_attach(&others[i], name, *kind, NULL));
            CHECK_RESULT(isthmus_ring_attach(&more, name, *kind, NULL), -ISTHMUS_E_FULL);
            for (unsigned i = 0; i < 3; i++)
                isthmus_ring_close(&others[i]);
        }
        isthmus_ring_close(&first);
    }
}

static void a_closed_handle_does_nothing(void)
{
    EACH_KIND(kind)
    {
        const struct isthmus_ring_plan plan = {.kind = *kind, .capacity = ISTHMUS_RING_MIN};
        struct isthmus_read read;
        struct isthmus_write write;
        struct isthmus_record record;
        struct isthmus_queue_state queue;
        struct isthmus_topic_state topic;
        struct isthmus_seat seat;
        unsigned char bytes[8];
        size_t size;
        CHECK_OK(isthmus_ring_anonymous(&first, &plan));
        isthmus_ring_close(&first);
        isthmus_ring_close(&first);
        CHECK_RESULT(isthmus_ring_write(&first, bytes, 1, 0), -EBADF);
        CHECK_RESULT(isthmus_ring_write(&first, bytes, 1, ISTHMUS_FOREVER), -EBADF);
        CHECK_RESULT(isthmus_ring_try_write(&first, 1, bytes, 1), -EBADF);
        CHECK_RESULT(isthmus_write_begin(&first, &write, 0, 0), -EBADF);
        CHECK_RESULT(isthmus_ring_read(&first, bytes, 8, &size, 0), -EBADF);
        CHECK_RESULT(isthmus_ring_read(&first, bytes, 8, &size, ISTHMUS_FOREVER), -EBADF);
        CHECK_RESULT(isthmus_read_begin(&first, &read, 0), -EBADF);
        CHECK_RESULT(isthmus_queue_acknowledge(&first, 0, 0), -EBADF);
        CHECK_RESULT(isthmus_queue_give_back(&first, 0, 0), -EBADF);
        CHECK_RESULT(isthmus_queue_state(&first, &queue), -EBADF);
        CHECK_RESULT(isthmus_queue_task_done(&first), -EBADF);
        CHECK_RESULT(isthmus_queue_join(&first, ISTHMUS_FOREVER), -EBADF);
        CHECK_RESULT(isthmus_queue_shut_down(&first, 0), -EBADF);
        CHECK_RESULT(isthmus_queue_clear(&first), -EBADF);
        CHECK_RESULT(isthmus_queue_aside_begin(&first, &read, 0), -EBADF);
        CHECK_RESULT(isthmus_queue_aside_remove(&first, 0), -EBADF);
        CHECK_RESULT(isthmus_queue_aside_put_back(&first, 0, 0), -EBADF);
        CHECK_RESULT(isthmus_topic_subscribe(&first, 0), -EBADF);
        CHECK_RESULT(isthmus_topic_unsubscribe(&first), -EBADF);
        CHECK_RESULT(isthmus_topic_pin(&first, 0), -EBADF);
        CHECK_RESULT(isthmus_topic_state(&first, &topic), -EBADF);
        CHECK_RESULT(isthmus_ring_seat(&first, 0, &seat), -EBADF);
        CHECK_UINT(isthmus_topic_lag(&first), 0);
        CHECK_UINT(isthmus_topic_missed(&first), 0);
        (void)record;
    }
}

static void what_is_for_the_other_kind_is_refused(void)
{
    struct isthmus_record record;
    struct isthmus_queue_state queue;
    struct isthmus_topic_state topic;
    struct isthmus_read read;
    rings_queue(&first);
    CHECK_RESULT(isthmus_topic_subscribe(&first, 0), -EINVAL);
    CHECK_RESULT(isthmus_topic_unsubscribe(&first), -EINVAL);
    CHECK_RESULT(isthmus_topic_pin(&first, 0), -EINVAL);
    CHECK_RESULT(isthmus_topic_state(&first, &topic), -EINVAL);
    isthmus_ring_close(&first);

    rings_topic(&first);
    CHECK_OK(isthmus_topic_subscribe(&first, 0));
    rings_put(&first, 1, 0, 1);
    CHECK_RESULT(isthmus_queue_state(&first, &queue), -EINVAL);
    CHECK_RESULT(isthmus_queue_task_done(&first), -EINVAL);
    CHECK_RESULT(isthmus_queue_join(&first, 0), -EINVAL);
    CHECK_RESULT(isthmus_queue_shut_down(&first, 0), -EINVAL);
    CHECK_RESULT(isthmus_queue_clear(&first), -EINVAL);
    CHECK_RESULT(isthmus_queue_acknowledge(&first, 0, 0), -EINVAL);
    CHECK_RESULT(isthmus_queue_give_back(&first, 0, 0), -EINVAL);
    CHECK_RESULT(isthmus_queue_aside_begin(&first, &read, 0), -EINVAL);
    CHECK_OK(rings_next(&first, &read, &record, 0));
    CHECK_RESULT(isthmus_queue_lease(&first, &read, &record), -EINVAL);
    isthmus_ring_close(&first);
}

/* ---- Forks
 * ------------------------------------------------------------------------------------------- */

static void fork_here(void (*in_child)(void))
{
    CHECK_OK(isthmus_primitive_before_fork(&first.primitive));
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(30);
        CHECK_OK(isthmus_primitive_after_fork(&first.primitive, 1));
        in_child();
        _exit(0);
    }
    CHECK_OK(isthmus_primitive_after_fork(&first.primitive, 0));
    CHECK_INT(check_join_child(child), 0);
}

static void use_a_queue_in_the_child(void)
{
    unsigned char bytes[8];
    size_t size;
    struct isthmus_read read;
    CHECK_RESULT(isthmus_ring_read(&first, bytes, 8, &size, 0), -ISTHMUS_E_NOT_JOINED);
    CHECK_RESULT(isthmus_read_begin(&first, &read, 0), -ISTHMUS_E_NOT_JOINED);
    CHECK_RESULT(isthmus_ring_try_write(&first, 1, bytes, 1), -ISTHMUS_E_NOT_JOINED);
    CHECK_RESULT(isthmus_queue_join(&first, 0), -ISTHMUS_E_NOT_JOINED);
    CHECK_OK(isthmus_ring_join(&first));
    CHECK_OK(isthmus_ring_join(&first));
    rings_expect(&first, 1, 1);
    rings_put(&first, 2, 0, 1);
    isthmus_ring_close(&first);
}

static void a_queue_goes_on_in_a_child_as_another_participant(void)
{
    struct isthmus_record record;
    rings_queue(&first);
    rings_put(&first, 1, 0, 3);
    CHECK_OK(rings_lease(&first, &record, 0));
    fork_here(use_a_queue_in_the_child);
    /* The lease is the parent's still. */
    CHECK_OK(rings_acknowledge(&first, &record));
    rings_expect(&first, 1, 2);
    rings_expect(&first, 2, 0);
    rings_expect_none(&first);
    isthmus_ring_close(&first);
}

static void use_a_topic_in_the_child(void)
{
    CHECK_OK(isthmus_ring_join(&first));
    CHECK_UINT(isthmus_topic_lag(&first), 2);
    rings_expect(&first, 1, 1);
    rings_put(&first, 1, 3, 1);
    rings_expect(&first, 1, 2);
    rings_expect(&first, 1, 3);
    rings_expect_none(&first);
    CHECK_UINT(isthmus_topic_missed(&first), 0);
    isthmus_ring_close(&first);
}

static void a_subscriber_goes_on_in_a_child_where_its_parent_was(void)
{
    rings_topic(&first);
    CHECK_OK(isthmus_topic_subscribe(&first, ISTHMUS_START_NEXT));
    rings_put(&first, 1, 0, 3);
    rings_expect(&first, 1, 0);
    fork_here(use_a_topic_in_the_child);
    for (uint32_t i = 1; i < 4; i++)
        rings_expect(&first, 1, i);
    isthmus_ring_close(&first);
}

static void miss_nothing_in_the_child(void)
{
    CHECK_OK(isthmus_ring_join(&first));
    CHECK_UINT(isthmus_topic_missed(&first), 0);
    isthmus_ring_close(&first);
}

static void what_another_one_missed_in_the_same_slot_is_no_matter_of_the_child(void)
{
    rings_topic(&first);
    rings_join(&second, &first);
    first.overflow = ISTHMUS_OVERFLOW_OVERWRITE;
    CHECK_OK(isthmus_topic_subscribe(&second, ISTHMUS_START_NEXT));
    rings_put(&first, 1, 0, MESSAGES_FIT + 1);
    rings_expect(&second, 1, 1);
    CHECK_UINT(isthmus_topic_missed(&second), 1);
    isthmus_ring_close(&second);
    CHECK_OK(isthmus_topic_subscribe(&first, ISTHMUS_START_NEXT));
    fork_here(miss_nothing_in_the_child);
    isthmus_ring_close(&first);
}

static void a_descriptor_of_something_else_is_no_ring(void)
{
    const int fd = memfd_create("isthmus-test", MFD_CLOEXEC);
    CHECK(fd >= 0);
    CHECK(isthmus_ring_from_fd(&first, fd, ISTHMUS_KIND_QUEUE) < 0);
    CHECK_INT(ftruncate(fd, 65536), 0);
    CHECK_RESULT(isthmus_ring_from_fd(&first, fd, ISTHMUS_KIND_QUEUE), -ISTHMUS_E_NOT_READY);
    CHECK_INT(pwrite(fd, "another program's", 17, 0), 17);
    CHECK_RESULT(isthmus_ring_from_fd(&first, fd, ISTHMUS_KIND_QUEUE), -ISTHMUS_E_FOREIGN);
    CHECK_INT(close(fd), 0);
    CHECK(isthmus_ring_from_fd(&first, fd, ISTHMUS_KIND_QUEUE) < 0);
}

static void one_that_is_cut_short_is_not_opened(void)
{
    EACH_KIND(kind)
    {
        for (off_t size = 0; size < 12288; size += 64) {
            struct isthmus_ring_plan plan = begin(*kind);
            CHECK_OK(isthmus_ring_create(&first, name, &plan, NULL));
            const int fd = open(path, O_RDWR | O_CLOEXEC);
            CHECK(fd >= 0);
            /* Of a copy: what a handle has mapped must not be cut. */
            unsigned char bytes[16384];
            const ssize_t all = pread(fd, bytes, sizeof bytes, 0);
            CHECK(all >= 8192 && all < (ssize_t)sizeof bytes);
            CHECK_INT(close(fd), 0);
            const int copy = memfd_create("isthmus-test", MFD_CLOEXEC);
            CHECK(copy >= 0);
            if (size < all) {
                CHECK_INT(pwrite(copy, bytes, (size_t)size, 0), size);
                CHECK(isthmus_ring_from_fd(&second, copy, *kind) < 0);
            }
            CHECK_INT(close(copy), 0);
            isthmus_ring_close(&first);
        }
    }
}

static const struct check_test tests[] = {
    CHECK_TEST(a_capacity_becomes_a_power_of_two),
    CHECK_TEST(a_plan_that_makes_no_sense_is_refused),
    CHECK_TEST(more_than_there_is_room_for_on_the_system_is_an_error_at_once),
    CHECK_TEST(what_one_puts_another_one_gets_by_name),
    CHECK_TEST(opening_makes_it_or_takes_what_suits),
    CHECK_TEST(one_that_persists_keeps_its_messages_until_it_is_unlinked),
    CHECK_TEST(leases_of_one_that_closed_as_the_last_are_ready_when_it_is_opened_again),
    CHECK_TEST(when_all_have_died_the_next_one_finds_a_new_ring_unless_it_persists),
    CHECK_TEST(there_is_room_for_as_many_handles_as_planned),
    CHECK_TEST(a_closed_handle_does_nothing),
    CHECK_TEST(what_is_for_the_other_kind_is_refused),
    CHECK_TEST(a_queue_goes_on_in_a_child_as_another_participant),
    CHECK_TEST(a_subscriber_goes_on_in_a_child_where_its_parent_was),
    CHECK_TEST(what_another_one_missed_in_the_same_slot_is_no_matter_of_the_child),
    CHECK_TEST(a_descriptor_of_something_else_is_no_ring),
    CHECK_TEST(one_that_is_cut_short_is_not_opened),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
