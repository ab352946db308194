/*
 * Waiting on a descriptor: what rings whom. The system's part of it: test_doorbell_os.c; at each
 * step of each other, and among the dying: test_overlap_doorbell.c, test_crash_doorbell.c.
 */
#include "bells.h"
#include "check.h"
#include "fixture.h"
#include "subjects.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define READY ISTHMUS_OS_READY
#define ROOM ISTHMUS_OS_ROOM
#define GONE ISTHMUS_OS_GONE
#define WAITERS 3u

/* ---- What rings whom ----------------------------------------------------------------------- */

static void what_comes_to_be_there_rings_at_all_that_wait_for_it(void)
{
    for (size_t i = 0; i < subject_count; i++) {
        struct bell bells[WAITERS];
        subject_begin(&subjects[i]);
        for (unsigned j = 0; j < WAITERS; j++) {
            subject_watch(&bells[j], &subjects[i]);
            CHECK_INT(isthmus_doorbell_arm(&bells[j].thing), 0);
        }
        for (unsigned j = 0; j < WAITERS; j++)
            check_true(__FILE__, __LINE__, subjects[i].what, !bell_is_rung(&bells[j]));
        subjects[i].bring();
        for (unsigned j = 0; j < WAITERS; j++) {
            check_true(__FILE__, __LINE__, subjects[i].what, bell_is_rung(&bells[j]));
            check_true(__FILE__, __LINE__, subjects[i].what,
                       (bell_read(&bells[j]) & subjects[i].whom) != 0);
            check_true(__FILE__, __LINE__, subjects[i].what, !bell_is_rung(&bells[j]));
            check_int(__FILE__, __LINE__, subjects[i].what, isthmus_doorbell_arm(&bells[j].thing),
                      1);
            bell_leave(&bells[j]);
        }
        subject_end();
    }
}

static void nobody_rings_when_nobody_has_hung(void)
{
    for (size_t i = 0; i < subject_count; i++) {
        struct bell bell;
        subject_begin(&subjects[i]);
        subject_watch(&bell, &subjects[i]);
        CHECK_INT(isthmus_look(&bell.thing, ISTHMUS_LOOK), 0);
        subjects[i].bring();
        check_true(__FILE__, __LINE__, subjects[i].what, !bell_is_rung(&bell));
        bell_leave(&bell);
        subject_end();
    }
}

static void one_that_has_left_is_rung_for_once_and_in_vain(void)
{
    struct bell bell, other;
    subject_begin(&(const struct subject){.kind = ISTHMUS_KIND_QUEUE});
    bell_watch(&other, first, ISTHMUS_WAIT_READY, 0);
    bell_watch(&bell, first, ISTHMUS_WAIT_READY, 0);
    CHECK_INT(isthmus_doorbell_arm(&bell.thing), 0);
    bell_leave(&bell);
    rings_put(&bringer, 1, 0, 1);
    CHECK_UINT(bell_read(&other), READY);
    rings_put(&bringer, 1, 1, 5);
    CHECK(!bell_is_rung(&other));
    bell_leave(&other);
    subject_end();
}

static void those_that_wait_for_a_message_are_not_rung_for_room_nor_the_reverse(void)
{
    for (uint32_t kind = ISTHMUS_KIND_QUEUE; kind <= ISTHMUS_KIND_TOPIC; kind++) {
        struct bell bell;
        subject_begin(&(const struct subject){.kind = kind});
        if (kind == ISTHMUS_KIND_TOPIC)
            CHECK_OK(isthmus_topic_subscribe(&bringer, ISTHMUS_START_NEXT));
        subject_fill();
        bell_watch(&bell, first, ISTHMUS_WAIT_ROOM, MESSAGE_SIZE);
        CHECK_INT(isthmus_doorbell_arm(&bell.thing), 0);
        subject_get();
        CHECK_UINT(bell_read(&bell), ROOM);
        CHECK_INT(isthmus_doorbell_arm(&bell.thing), 1);
        subject_put(); /* it has hung for room still */
        CHECK(!bell_is_rung(&bell));
        while (rings_get(&bringer, NULL, 0) == 0)
            ;
        CHECK_UINT(bell_read(&bell), ROOM);

        if (kind == ISTHMUS_KIND_TOPIC)
            CHECK_OK(isthmus_topic_subscribe(&waiter, ISTHMUS_START_NEXT));
        bell_turn(&bell, ISTHMUS_WAIT_READY, 0);
        CHECK_INT(isthmus_doorbell_arm(&bell.thing), 0);
        subject_put();
        CHECK_UINT(bell_read(&bell), READY);
        CHECK_INT(isthmus_doorbell_arm(&bell.thing), 1);
        subject_get();
        CHECK(!bell_is_rung(&bell));
        bell_leave(&bell);
        subject_end();
    }
}

/* Not known whether it is there: rung for as soon as it can be. */
static void one_that_hangs_while_others_are_at_it_is_rung_for_when_they_are_done(void)
{
    static const uint32_t sides[] = {ISTHMUS_WAIT_READY, ISTHMUS_WAIT_END, ISTHMUS_WAIT_ROOM};
    for (unsigned i = 0; i < 3; i++) {
        struct isthmus_read read;
        struct isthmus_write write;
        struct bell bell;
        const int room = sides[i] == ISTHMUS_WAIT_ROOM;
        subject_begin(&(const struct subject){.kind = ISTHMUS_KIND_QUEUE});
        bell_watch(&bell, first, sides[i], MESSAGE_SIZE);
        if (sides[i] == ISTHMUS_WAIT_READY)
            subject_put();
        CHECK_OK(room ? isthmus_write_begin(&bringer, &write, 1, 0)
                      : isthmus_read_begin(&bringer, &read, 0));
        CHECK_INT(isthmus_doorbell_arm(&bell.thing), 0);
        CHECK_INT(bell.thing.held, 1); /* it may die meanwhile */
        CHECK(!bell_is_rung(&bell));
        if (room)
            isthmus_write_abort(&bringer, &write);
        else
            isthmus_read_abort(&bringer, &read);
        CHECK(bell_is_rung(&bell));
        bell_read(&bell);
        CHECK_INT(isthmus_doorbell_arm(&bell.thing), 1);
        bell_leave(&bell);
        subject_end();
    }
}

static void what_the_operation_would_say_is_said_at_once(void)
{
    struct bell bell;
    struct isthmus_waited nothing = {.primitive = first};
    subject_begin(&(const struct subject){.kind = ISTHMUS_KIND_QUEUE});
    bell_watch(&bell, first, ISTHMUS_WAIT_ROOM, 2 * ISTHMUS_RING_MIN);
    CHECK_INT(isthmus_doorbell_arm(&bell.thing), 1); /* too large for ever */
    bell_turn(&bell, ISTHMUS_WAIT_GATE, 0);
    CHECK_RESULT(isthmus_doorbell_arm(&bell.thing), -EINVAL);
    bell_leave(&bell);
    subject_end();
    CHECK_RESULT(isthmus_doorbell_arm(&nothing), -EBADF);
}

/* ---- Who has it open ------------------------------------------------------------------------- */

/* Whichever of the two came first. */
static void the_end_of_any_handle_is_told(void)
{
    for (unsigned maker = 0; maker < 2; maker++) {
        struct bell bell;
        subject_begin(&(const struct subject){.kind = ISTHMUS_KIND_LOCK});
        bell_watch(&bell, maker ? first : second, ISTHMUS_WAIT_READY, 0);
        CHECK_OK(isthmus_lock_acquire(maker ? second : first, 0));
        CHECK_INT(isthmus_doorbell_arm(&bell.thing), 0);
        isthmus_primitive_close(maker ? second : first);
        CHECK((bell_read(&bell) & (READY | GONE)) == (READY | GONE));
        CHECK_INT(isthmus_doorbell_arm(&bell.thing), 1);
        bell_leave(&bell);
        subject_end();
    }
}

static void named_ones_ring_as_well(void)
{
    const struct isthmus_primitive_plan plan = {.kind = ISTHMUS_KIND_EVENT};
    char name[FIXTURE_NAME_SIZE];
    struct bell bell;
    fixture_name(name);
    CHECK_OK(isthmus_primitive_create(first, name, &plan, NULL));
    CHECK_OK(isthmus_primitive_attach(second, name, ISTHMUS_KIND_EVENT, NULL));
    bell_watch(&bell, first, ISTHMUS_WAIT_READY, 0);
    CHECK_INT(isthmus_doorbell_arm(&bell.thing), 0);
    subject_set();
    CHECK_UINT(bell_read(&bell), READY);
    bell_leave(&bell);
    subject_end();
}

/* All that are placed in one file ring at who watches it; the look tells which. */
static void those_in_a_segment_ring_as_well(void)
{
    const struct isthmus_primitive_plan plan = {.kind = ISTHMUS_KIND_EVENT};
    const uint32_t size = 4096, place = 1024;
    struct isthmus_primitive events[2], same;
    struct bell bell;
    int fd = memfd_create("segment", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, size) == 0);
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(data != MAP_FAILED);
    for (unsigned i = 0; i < 2; i++)
        CHECK_OK(isthmus_primitive_place(&events[i], data, size, fd, i * place, &plan));
    CHECK_OK(isthmus_primitive_find(&same, data, size, fd, place, ISTHMUS_KIND_EVENT));
    bell_watch(&bell, &events[1], ISTHMUS_WAIT_READY, 0);
    CHECK_INT(isthmus_os_doorbell_watch(&bell.doorbell, events[0].fd), bell.id);
    CHECK_INT(isthmus_doorbell_arm(&bell.thing), 0);
    CHECK_OK(isthmus_event_set(&events[0]));
    CHECK(!bell_is_rung(&bell)); /* nobody has hung there */
    CHECK_OK(isthmus_event_set(&same));
    CHECK_UINT(bell_read(&bell), READY);
    CHECK_INT(isthmus_doorbell_arm(&bell.thing), 1);
    bell_leave(&bell);
    isthmus_primitive_close(&same);
    for (unsigned i = 0; i < 2; i++)
        isthmus_primitive_close(&events[i]);
    CHECK_INT(munmap(data, size), 0);
    close(fd);
}

/* It may do what its descriptor allows, whoever it is by now. */
static void get_without_rights(void *argument)
{
    (void)argument;
    CHECK_OK(isthmus_primitive_after_fork(second, 1));
    CHECK_OK(isthmus_ring_join(&bringer));
    fixture_drop_privileges();
    subject_get();
}

static void one_that_has_dropped_its_privileges_rings_as_well(void)
{
    const struct isthmus_ring_plan plan = {.kind = ISTHMUS_KIND_QUEUE,
                                           .capacity = ISTHMUS_RING_MIN};
    char name[FIXTURE_NAME_SIZE];
    struct bell bell;
    if (geteuid() != 0)
        check_skip("only root can become another user", EPERM);
    fixture_name(name);
    CHECK_OK(isthmus_ring_create(&bringer, name, &plan, NULL));
    CHECK_OK(isthmus_ring_attach(&waiter, name, ISTHMUS_KIND_QUEUE, NULL));
    subject_fill();
    bell_watch(&bell, first, ISTHMUS_WAIT_ROOM, MESSAGE_SIZE);
    CHECK_INT(isthmus_doorbell_arm(&bell.thing), 0);
    CHECK_OK(isthmus_primitive_before_fork(second));
    CHECK_INT(check_in_child(get_without_rights, NULL), 0);
    CHECK_OK(isthmus_primitive_after_fork(second, 0));
    CHECK((bell_read(&bell) & ROOM) != 0);
    bell_leave(&bell);
    subject_end();
}

/* To ring takes no memory. */
static void one_rings_on_a_full_file_system_as_well(void)
{
    const struct isthmus_ring_plan plan = {.kind = ISTHMUS_KIND_QUEUE,
                                           .capacity = ISTHMUS_RING_MIN};
    char name[FIXTURE_NAME_SIZE], path[FIXTURE_PATH_SIZE];
    struct bell bell;
    const int error = fixture_private_shm("1m");
    if (error)
        check_skip("no private file system", error);
    fixture_name(name);
    CHECK_OK(isthmus_ring_create(&bringer, name, &plan, NULL));
    CHECK_OK(isthmus_ring_attach(&waiter, name, ISTHMUS_KIND_QUEUE, NULL));
    subject_fill();
    fixture_path(path, "rest");
    const int rest = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(rest >= 0);
    CHECK_INT(fallocate(rest, 0, 0, (off_t)fixture_free_bytes()), 0);
    CHECK_UINT(fixture_free_bytes(), 0);
    bell_watch(&bell, first, ISTHMUS_WAIT_ROOM, MESSAGE_SIZE);
    CHECK_INT(isthmus_doorbell_arm(&bell.thing), 0);
    subject_get();
    CHECK_UINT(bell_read(&bell), ROOM);
    bell_turn(&bell, ISTHMUS_WAIT_END, 0);
    CHECK_INT(isthmus_doorbell_arm(&bell.thing), 0);
    while (rings_get(&bringer, NULL, 0) == 0)
        CHECK_OK(isthmus_queue_task_done(&bringer));
    CHECK_OK(isthmus_queue_task_done(&bringer));
    CHECK_UINT(bell_read(&bell), ROOM);
    bell_leave(&bell);
    close(rest);
    subject_end();
}

static const struct check_test tests[] = {
    CHECK_TEST(what_comes_to_be_there_rings_at_all_that_wait_for_it),
    CHECK_TEST(nobody_rings_when_nobody_has_hung),
    CHECK_TEST(one_that_has_left_is_rung_for_once_and_in_vain),
    CHECK_TEST(those_that_wait_for_a_message_are_not_rung_for_room_nor_the_reverse),
    CHECK_TEST(one_that_hangs_while_others_are_at_it_is_rung_for_when_they_are_done),
    CHECK_TEST(what_the_operation_would_say_is_said_at_once),
    CHECK_TEST(the_end_of_any_handle_is_told),
    CHECK_TEST(named_ones_ring_as_well),
    CHECK_TEST(those_in_a_segment_ring_as_well),
    CHECK_TEST(one_that_has_dropped_its_privileges_rings_as_well),
    CHECK_TEST(one_rings_on_a_full_file_system_as_well),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
