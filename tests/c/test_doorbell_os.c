/*
 * The system's part of doorbells: files told apart, events that were dropped, a timer, and what is
 * left where there is nothing more to be had. What rings whom: test_doorbell.c.
 */
#include "bells.h"
#include "check.h"
#include "fixture.h"
#include "subjects.h"
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#define READY ISTHMUS_OS_READY
#define ROOM ISTHMUS_OS_ROOM
#define GONE ISTHMUS_OS_GONE

static void two_files_are_told_apart_also_when_a_descriptor_is_used_again(void)
{
    struct isthmus_os_doorbell doorbell;
    struct isthmus_os_rung rung[ISTHMUS_OS_RUNG];
    struct isthmus_primitive one, next;
    together_make(&one, ISTHMUS_KIND_EVENT, 0, 0);
    CHECK_OK(isthmus_os_doorbell_open(&doorbell, -1));
    const int number = one.fd, id = isthmus_os_doorbell_watch(&doorbell, one.fd);
    CHECK(id >= 0);
    CHECK_INT(isthmus_os_doorbell_watch(&doorbell, one.fd), id);
    const int kept = dup(one.fd);
    isthmus_primitive_close(&one);
    together_make(&next, ISTHMUS_KIND_EVENT, 0, 0);
    if (next.fd != number)
        CHECK_INT(dup2(next.fd, number), number);
    const int other = isthmus_os_doorbell_watch(&doorbell, number);
    CHECK(other >= 0 && other != id);
    while (isthmus_os_doorbell_read(&doorbell, rung, ISTHMUS_OS_RUNG) > 0)
        ;
    isthmus_os_ring(number, READY);
    CHECK_INT(isthmus_os_doorbell_read(&doorbell, rung, ISTHMUS_OS_RUNG), 1);
    CHECK_INT(rung[0].id, other);
    CHECK_UINT(rung[0].what, READY);
    isthmus_os_ring(kept, READY);
    isthmus_os_ring(number, ROOM);
    CHECK_INT(isthmus_os_doorbell_read(&doorbell, rung, ISTHMUS_OS_RUNG), 2);
    CHECK_INT(rung[0].id, id);
    CHECK_INT(rung[1].id, other);
    CHECK_UINT(rung[1].what, ROOM);
    /* What says that a watch has ended is as an event that was dropped. */
    isthmus_os_doorbell_unwatch(&doorbell, id);
    CHECK_INT(isthmus_os_doorbell_read(&doorbell, rung, ISTHMUS_OS_RUNG), 1);
    CHECK_INT(rung[0].id, id);
    CHECK_UINT(rung[0].what, READY | ROOM | GONE);
    isthmus_os_ring(kept, READY);
    CHECK_INT(isthmus_os_doorbell_read(&doorbell, rung, ISTHMUS_OS_RUNG), 0);
    isthmus_os_doorbell_close(&doorbell);
    close(kept);
    if (next.fd != number)
        close(number);
    isthmus_primitive_close(&next);
}

static void of_a_file_that_is_written_to_no_reader_is_heard(void)
{
    struct isthmus_os_doorbell doorbell;
    struct isthmus_os_rung rung[ISTHMUS_OS_RUNG];
    char byte = 0;
    const int fd = isthmus_os_audible_memory("log");
    CHECK(fd >= 0);
    CHECK_OK(isthmus_os_doorbell_open(&doorbell, -1));
    const int id = isthmus_os_doorbell_watch_writes(&doorbell, fd);
    CHECK(id >= 0);
    CHECK_INT(pwrite(fd, &byte, 1, 0), 1);
    CHECK_INT(isthmus_os_doorbell_read(&doorbell, rung, ISTHMUS_OS_RUNG), 1);
    CHECK_INT(rung[0].id, id);
    CHECK_UINT(rung[0].what, ROOM);
    isthmus_os_ring(fd, READY);
    CHECK_INT(isthmus_os_doorbell_read(&doorbell, rung, ISTHMUS_OS_RUNG), 0);
    isthmus_os_doorbell_close(&doorbell);
    close(fd);
}

static void more_than_is_kept_may_be_anything_of_any_file(void)
{
    struct bell bell;
    struct isthmus_os_rung rung[ISTHMUS_OS_RUNG];
    int count, lost = 0;
    subject_begin(&(const struct subject){.kind = ISTHMUS_KIND_EVENT});
    bell_watch(&bell, first, ISTHMUS_WAIT_READY, 0);
    /* Two of a kind in a row are one; the limit is some 16 thousand, or what the system says. */
    for (unsigned i = 0; i < 9000; i++)
        isthmus_os_ring(second->fd, READY | ROOM);
    while ((count = isthmus_os_doorbell_read(&bell.doorbell, rung, ISTHMUS_OS_RUNG)) > 0)
        for (int i = 0; i < count; i++)
            if (rung[i].id < 0) {
                CHECK_UINT(rung[i].what, READY | ROOM | GONE);
                lost++;
            }
    if (!lost)
        check_skip("fs.inotify.max_queued_events is large here", 0);
    CHECK_INT(lost, 1);
    CHECK(!bell_is_rung(&bell));
    bell_leave(&bell);
    subject_end();
}

/* As where there are no instances of inotify left: here, for lack of a descriptor. */
static void a_blind_one_has_the_timer_left(void)
{
    struct isthmus_os_doorbell doorbell;
    struct isthmus_os_rung rung[1];
    struct isthmus_primitive event;
    together_make(&event, ISTHMUS_KIND_EVENT, 0, 0);
    int next;
    do /* those below it are filled, and left so */
        next = dup(event.fd);
    while (next >= 0 && next < event.fd);
    CHECK(next >= 0);
    close(next);
    const struct rlimit two_more = {(rlim_t)next + 2, (rlim_t)next + 2};
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &two_more), 0);
    CHECK_OK(isthmus_os_doorbell_open(&doorbell, -1));
    CHECK_INT(doorbell.watch, -1);
    CHECK_RESULT(isthmus_os_doorbell_watch(&doorbell, event.fd), -ENOSPC);
    CHECK_INT(isthmus_os_doorbell_read(&doorbell, rung, 1), 0);
    isthmus_os_doorbell_unwatch(&doorbell, 0);

    struct bell bell = {.doorbell = doorbell, .thing = {.primitive = &event}};
    CHECK_INT(isthmus_doorbell_arm(&bell.thing), 0);
    CHECK_OK(isthmus_event_set(&event));
    CHECK(!bell_is_rung(&bell));
    isthmus_os_doorbell_after(&doorbell, 1000000);
    CHECK(bell_rings(&bell));
    CHECK_INT(isthmus_os_doorbell_timer(&doorbell), 1);
    CHECK_INT(isthmus_doorbell_arm(&bell.thing), 1);
    isthmus_os_doorbell_close(&doorbell);

    /* Nor is there one without the two others; what there was is closed again. */
    const struct rlimit one_more = {(rlim_t)next + 1, (rlim_t)next + 1};
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &one_more), 0);
    CHECK_RESULT(isthmus_os_doorbell_open(&doorbell, -1), -EMFILE);
    CHECK_INT(dup(event.fd), next);
    close(next);
    isthmus_primitive_close(&event);
}

static void a_timer_ends_once_and_never_when_it_is_called_off(void)
{
    struct bell bell;
    subject_begin(&(const struct subject){.kind = ISTHMUS_KIND_EVENT});
    bell_watch(&bell, first, ISTHMUS_WAIT_READY, 0);
    isthmus_os_doorbell_after(&bell.doorbell, 1);
    CHECK(bell_rings(&bell));
    CHECK_INT(isthmus_os_doorbell_timer(&bell.doorbell), 1);
    CHECK_INT(isthmus_os_doorbell_timer(&bell.doorbell), 0);
    CHECK(!bell_is_rung(&bell));
    isthmus_os_doorbell_after(&bell.doorbell, UINT64_C(3600000000000));
    CHECK(!bell_is_rung(&bell));
    isthmus_os_doorbell_after(&bell.doorbell, 1);
    CHECK(bell_rings(&bell));
    isthmus_os_doorbell_after(&bell.doorbell, 0);
    CHECK(!bell_is_rung(&bell));
    CHECK_INT(isthmus_os_doorbell_timer(&bell.doorbell), 0);
    bell_leave(&bell);
    subject_end();
}

/* Else its handle would take the bits of those that wait, and ring for nobody. */
static void an_event_is_not_placed_without_a_descriptor_to_ring_by(void)
{
    const struct isthmus_primitive_plan plan = {.kind = ISTHMUS_KIND_EVENT};
    struct isthmus_primitive event, other;
    struct isthmus_segment segment;
    char name[FIXTURE_NAME_SIZE];
    fixture_name(name);
    CHECK_OK(isthmus_segment_create(&segment, name, 4096, NULL));
    CHECK_OK(isthmus_segment_unlink(&segment, name));
    CHECK_OK(isthmus_primitive_place(&event, segment.data, segment.size, segment.fd, 0, &plan));
    struct rlimit usual;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &usual), 0);
    const struct rlimit no_more = {0, usual.rlim_max};
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &no_more), 0);
    CHECK_RESULT(isthmus_primitive_find(&other, segment.data, segment.size, segment.fd, 0,
                                        ISTHMUS_KIND_EVENT),
                 -EMFILE);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &usual), 0);
    isthmus_primitive_close(&event);
    isthmus_segment_close(&segment);
}

static const struct check_test tests[] = {
    CHECK_TEST(two_files_are_told_apart_also_when_a_descriptor_is_used_again),
    CHECK_TEST(of_a_file_that_is_written_to_no_reader_is_heard),
    CHECK_TEST(more_than_is_kept_may_be_anything_of_any_file),
    CHECK_TEST(a_blind_one_has_the_timer_left),
    CHECK_TEST(an_event_is_not_placed_without_a_descriptor_to_ring_by),
    CHECK_TEST(a_timer_ends_once_and_never_when_it_is_called_off),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
