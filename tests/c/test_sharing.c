/* Primitives without a name of their own, and in processes that fork. */
#include "check.h"
#include "fixture.h"
#include "named.h"
#include "together.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOR_EACH_KIND(kind)                                                                        \
    for (uint32_t kind = ISTHMUS_KIND_LOCK; kind <= ISTHMUS_KIND_ATOMIC_INT; kind++)

/* ---- Anonymous, and in segments ---------------------------------------------------------------
 */

static void an_anonymous_one_is_passed_on_by_its_descriptor(void)
{
    FOR_EACH_KIND(kind)
    {
        const struct isthmus_primitive_plan plan = plan_of(kind);
        CHECK_OK(isthmus_primitive_anonymous(&first, &plan));
        CHECK(first.path[0] == '\0');
        CHECK_RESULT(isthmus_primitive_unlink(&first), -ENOTSUP);
        CHECK_OK(isthmus_primitive_from_fd(&second, first.fd, kind));
        CHECK(second.fd != first.fd);
        CHECK(second.slot != first.slot || first.count == 0);
        isthmus_primitive_close(&first);
        CHECK(isthmus_primitive_from_fd(&first, -1, kind) < 0);
        CHECK_OK(isthmus_primitive_from_fd(&first, second.fd, kind));
        isthmus_primitive_close(&second);
        isthmus_primitive_close(&first);
    }
}

static void a_descriptor_of_something_else_is_refused(void)
{
    struct isthmus_segment segment;
    fixture_name(name);
    CHECK_OK(isthmus_segment_create(&segment, name, 8192, NULL));
    CHECK_OK(isthmus_segment_unlink(&segment, name));
    CHECK_RESULT(isthmus_primitive_from_fd(&first, segment.fd, ISTHMUS_KIND_LOCK),
                 -ISTHMUS_E_NOT_READY);
    memset(segment.data, 'x', 8192);
    CHECK_RESULT(isthmus_primitive_from_fd(&first, segment.fd, ISTHMUS_KIND_LOCK),
                 -ISTHMUS_E_FOREIGN);
    CHECK_INT(ftruncate(segment.fd, 100), 0);
    CHECK_RESULT(isthmus_primitive_from_fd(&first, segment.fd, ISTHMUS_KIND_LOCK),
                 -ISTHMUS_E_FOREIGN);
    isthmus_segment_close(&segment);
}

#define PLACE 4096u

static void begin_segment(struct isthmus_segment *segment)
{
    fixture_name(name);
    CHECK_OK(isthmus_segment_create(segment, name, 16384, NULL));
    CHECK_OK(isthmus_segment_unlink(segment, name));
}

static int place(const struct isthmus_segment *segment, uint64_t offset, uint32_t kind,
                 struct isthmus_primitive *primitive)
{
    const struct isthmus_primitive_plan plan = plan_of(kind);
    return isthmus_primitive_place(primitive, segment->data, segment->size, segment->fd, offset,
                                   &plan);
}

static int find(const struct isthmus_segment *segment, uint64_t offset, uint32_t kind,
                struct isthmus_primitive *primitive)
{
    return isthmus_primitive_find(primitive, segment->data, segment->size, segment->fd, offset,
                                  kind);
}

static void one_in_a_segment_is_made_where_there_are_zeros_and_found_again(void)
{
    FOR_EACH_KIND(kind)
    {
        struct isthmus_segment segment;
        begin_segment(&segment);
        memset(segment.data, 0xff, PLACE);
        CHECK_RESULT(find(&segment, PLACE, kind, &first), -ENOENT);
        CHECK_OK(place(&segment, PLACE, kind, &first));
        CHECK_OK(place(&segment, PLACE, kind, &second));
        CHECK(second.slot != first.slot || first.count == 0);
        isthmus_primitive_close(&first);
        CHECK_OK(find(&segment, PLACE, kind, &first));
        CHECK_RESULT(isthmus_primitive_unlink(&first), -ENOTSUP);
        isthmus_primitive_close(&first);
        isthmus_primitive_close(&second);
        /* Nothing removes it but its segment. */
        CHECK_OK(find(&segment, PLACE, kind, &first));
        isthmus_primitive_close(&first);
        const uint32_t other = kind == ISTHMUS_KIND_LOCK ? ISTHMUS_KIND_RLOCK : ISTHMUS_KIND_LOCK;
        CHECK_RESULT(find(&segment, PLACE, other, &first), -ISTHMUS_E_KIND);
        CHECK_RESULT(place(&segment, PLACE, other, &first), -ISTHMUS_E_KIND);
        isthmus_segment_close(&segment);
    }
}

static void a_place_that_does_not_suit_is_refused(void)
{
    struct isthmus_segment segment;
    const uint32_t kind = ISTHMUS_KIND_LOCK;
    const size_t size = isthmus_primitive_size(kind, 4);
    begin_segment(&segment);
    char *data = segment.data;
    CHECK_RESULT(place(&segment, 32, kind, &first), -EINVAL);
    CHECK_RESULT(find(&segment, 1, kind, &first), -EINVAL);
    CHECK_RESULT(place(&segment, 16384 - size + 64, kind, &first), -ERANGE);
    CHECK_RESULT(place(&segment, 16384, kind, &first), -ERANGE);
    CHECK_RESULT(place(&segment, UINT64_MAX - 63, kind, &first), -ERANGE);
    CHECK_RESULT(find(&segment, 16384 - 128, kind, &first), -ERANGE);
    /* One byte that is not zero, at the end of where it would be. */
    data[size - 1] = 1;
    CHECK_RESULT(place(&segment, 0, kind, &first), -ISTHMUS_E_FOREIGN);
    CHECK_INT(data[size - 1], 1);
    CHECK_INT(data[0], 0);
    data[size - 1] = 0;
    data[0] = 1;
    CHECK_RESULT(place(&segment, 0, kind, &first), -ISTHMUS_E_FOREIGN);
    CHECK_RESULT(find(&segment, 0, kind, &first), -ISTHMUS_E_FOREIGN);
    data[0] = 0;
    data[size] = 1;
    CHECK_OK(place(&segment, 0, kind, &first));
    CHECK_INT(data[size], 1);
    isthmus_primitive_close(&first);
    CHECK_OK(place(&segment, 16384 - size, kind, &first));
    isthmus_primitive_close(&first);
    struct isthmus_primitive_plan plan = plan_of(ISTHMUS_KIND_SEMAPHORE);
    CHECK_OK(isthmus_primitive_place(&first, data, 16384, segment.fd, PLACE, &plan));
    plan.value = 1;
    CHECK_RESULT(isthmus_primitive_place(&second, data, 16384, segment.fd, PLACE, &plan),
                 -ENOTUNIQ);
    isthmus_primitive_close(&first);
    isthmus_segment_close(&segment);
}

/* ---- Fork --------------------------------------------------------------------------------------
 */

static void forked_child(uint32_t kind)
{
    CHECK_OK(isthmus_primitive_after_fork(&first, 1));
    if (first.count) {
        CHECK_INT(first.slot, -1);
        CHECK_OK(isthmus_primitive_join(&first));
        CHECK_OK(isthmus_primitive_join(&first));
        CHECK_INT(first.slot, 1);
    }
    if (kind == ISTHMUS_KIND_LOCK) {
        /* What was held belongs to the parent. */
        CHECK_INT(isthmus_lock_is_mine(&first), 0);
        CHECK_RESULT(isthmus_lock_release(&first), -EPERM);
        CHECK_RESULT(isthmus_lock_acquire(&first, 0), -ETIMEDOUT);
    }
}

/* Forks as the header says; the child's pid. */
static pid_t fork_with(struct isthmus_primitive *primitive)
{
    CHECK_OK(isthmus_primitive_before_fork(primitive));
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child > 0)
        CHECK_OK(isthmus_primitive_after_fork(primitive, 0));
    else
        alarm(20);
    return child;
}

static void a_child_takes_part_as_another_and_takes_nothing_with_it(void)
{
    FOR_EACH_KIND(kind)
    {
        const struct isthmus_primitive_plan plan = begin(kind);
        CHECK_OK(isthmus_primitive_create(&first, name, &plan, NULL));
        if (kind == ISTHMUS_KIND_LOCK)
            CHECK_OK(isthmus_lock_acquire(&first, 0));
        pid_t child = fork_with(&first);
        if (child == 0) {
            forked_child(kind);
            _exit(0);
        }
        CHECK_INT(check_join_child(child), 0);
        CHECK(is_there());
        CHECK_INT(first.slot, first.count ? 0 : -1);
        if (kind == ISTHMUS_KIND_LOCK) {
            CHECK_INT(isthmus_lock_is_mine(&first), 1);
            CHECK_OK(isthmus_lock_release(&first));
        }
        isthmus_primitive_close(&first);
        CHECK(!is_there());
    }
}

/* In a child: a description of its own in the place of the one that is inherited. */
static void replace(int fd)
{
    char entry[64];
    snprintf(entry, sizeof entry, "/proc/self/fd/%d", fd);
    const int own = open(entry, O_RDWR | O_CLOEXEC);
    CHECK(own >= 0);
    CHECK_INT(dup3(own, fd, O_CLOEXEC), fd);
    CHECK_INT(close(own), 0);
}

static void child_with_two(int fd)
{
    replace(fd);
    CHECK_OK(isthmus_primitive_after_fork(&first, 1));
    CHECK_OK(isthmus_primitive_after_fork(&second, 1));
    CHECK_RESULT(isthmus_lock_acquire(&first, 0), -ISTHMUS_E_NOT_JOINED);
    CHECK_OK(isthmus_primitive_join(&first));
    CHECK_OK(isthmus_primitive_join(&second));
    CHECK_INT(first.slot, 1);
    CHECK_INT(first.fd, fd);
    CHECK_RESULT(isthmus_lock_acquire(&first, 0), -ETIMEDOUT);
    CHECK_OK(isthmus_lock_acquire(&second, 0));
    /* Dies holding the second. */
}

static void many_in_a_segment_share_a_descriptor_and_a_child_replaces_it(void)
{
    struct isthmus_segment segment;
    const struct isthmus_primitive_plan plan = plan_of(ISTHMUS_KIND_LOCK);
    begin_segment(&segment);
    CHECK_OK(
        isthmus_primitive_place_by_fd(&first, segment.data, segment.size, segment.fd, 0, &plan));
    CHECK_OK(isthmus_primitive_place_by_fd(&second, segment.data, segment.size, segment.fd, PLACE,
                                           &plan));
    CHECK_INT(first.fd, segment.fd);
    CHECK_INT(second.fd, segment.fd);
    CHECK_OK(isthmus_lock_acquire(&first, 0));
    CHECK_OK(isthmus_primitive_before_fork(&first));
    CHECK_INT(first.fork_fd, -1);
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        child_with_two(segment.fd);
        _exit(0);
    }
    CHECK_OK(isthmus_primitive_after_fork(&first, 0));
    CHECK_INT(check_join_child(child), 0);
    CHECK_INT(isthmus_lock_is_mine(&first), 1);
    CHECK_OK(isthmus_lock_release(&first));
    CHECK_RESULT(isthmus_lock_acquire(&second, 0), -EOWNERDEAD);
    /* One that is closed gives up its place alone: the descriptor is the other's, too. */
    isthmus_primitive_close(&first);
    CHECK(fcntl(segment.fd, F_GETFD) >= 0);
    CHECK_OK(isthmus_lock_release(&second));
    CHECK_OK(isthmus_primitive_find_by_fd(&first, segment.data, segment.size, segment.fd, 0,
                                          ISTHMUS_KIND_LOCK));
    CHECK_INT(first.slot, 0);
    isthmus_primitive_close(&first);
    isthmus_primitive_close(&second);
    isthmus_segment_close(&segment);
}

static void before_it_joins_a_child_holds_nothing_and_is_told_so(void)
{
    const struct isthmus_primitive_plan plan = plan_of(ISTHMUS_KIND_LOCK);
    CHECK_OK(isthmus_primitive_anonymous(&first, &plan));
    pid_t child = fork_with(&first);
    if (child == 0) {
        CHECK_OK(isthmus_primitive_after_fork(&first, 1));
        CHECK_RESULT(isthmus_lock_acquire(&first, 0), -ISTHMUS_E_NOT_JOINED);
        CHECK_RESULT(isthmus_lock_release(&first), -ISTHMUS_E_NOT_JOINED);
        CHECK_RESULT(isthmus_lock_abandon(&first), -ISTHMUS_E_NOT_JOINED);
        CHECK_INT(isthmus_lock_locked(&first), 0);
        isthmus_primitive_close(&first);
        CHECK_RESULT(isthmus_primitive_join(&first), -EBADF);
        _exit(0);
    }
    CHECK_INT(check_join_child(child), 0);
    isthmus_primitive_close(&first);
}

static void the_child_keeps_the_object_when_its_parent_leaves_first(void)
{
    uint32_t *go = together_memory(2 * sizeof *go);
    const struct isthmus_primitive_plan plan = begin(ISTHMUS_KIND_LOCK);
    CHECK_OK(isthmus_primitive_create(&first, name, &plan, NULL));
    CHECK_OK(isthmus_lock_acquire(&first, 0));
    pid_t child = fork_with(&first);
    if (child == 0) {
        UNTIL(peek(&go[0]));
        /* Not even after_fork() has been called: the description was prepared before. */
        CHECK(is_there());
        CHECK_OK(isthmus_primitive_after_fork(&first, 1));
        CHECK_OK(isthmus_primitive_join(&first));
        CHECK_RESULT(isthmus_lock_acquire(&first, 0), -EOWNERDEAD);
        CHECK_OK(isthmus_lock_release(&first));
        CHECK(is_there());
        isthmus_primitive_close(&first);
        CHECK(!is_there());
        _exit(0);
    }
    isthmus_primitive_close(&first);
    CHECK(is_there());
    poke(&go[0], 1);
    CHECK_INT(check_join_child(child), 0);
    CHECK(!is_there());
}

static void without_a_word_before_the_fork_the_child_still_gets_its_own(void)
{
    const struct isthmus_primitive_plan plan = begin(ISTHMUS_KIND_LOCK);
    CHECK_OK(isthmus_primitive_create(&first, name, &plan, NULL));
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_OK(isthmus_primitive_after_fork(&first, 1));
        CHECK_OK(isthmus_primitive_join(&first));
        CHECK_INT(first.slot, 1);
        _exit(0);
    }
    CHECK_INT(check_join_child(child), 0);
    /* In a child that says nothing at all, closing does not touch what is its parent's. */
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        isthmus_primitive_close(&first);
        _exit(0);
    }
    CHECK_INT(check_join_child(child), 0);
    CHECK(is_there());
    struct isthmus_participant found;
    CHECK_OK(open_it(&second, plan.kind));
    CHECK_OK(isthmus_primitive_participant(&second, 0, &found));
    CHECK_INT(found.alive, 1);
    isthmus_primitive_close(&second);
    isthmus_primitive_close(&first);
    CHECK(!is_there());
}

static const struct check_test tests[] = {
    CHECK_TEST(an_anonymous_one_is_passed_on_by_its_descriptor),
    CHECK_TEST(a_descriptor_of_something_else_is_refused),
    CHECK_TEST(one_in_a_segment_is_made_where_there_are_zeros_and_found_again),
    CHECK_TEST(a_place_that_does_not_suit_is_refused),
    CHECK_TEST(a_child_takes_part_as_another_and_takes_nothing_with_it),
    CHECK_TEST(many_in_a_segment_share_a_descriptor_and_a_child_replaces_it),
    CHECK_TEST(before_it_joins_a_child_holds_nothing_and_is_told_so),
    CHECK_TEST(the_child_keeps_the_object_when_its_parent_leaves_first),
    CHECK_TEST(without_a_word_before_the_fork_the_child_still_gets_its_own),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
