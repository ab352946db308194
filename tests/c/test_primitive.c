/* Primitives of every kind as named objects: making, opening, closing, and what is refused. */
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

static int same_object(const struct isthmus_primitive *one, const struct isthmus_primitive *other)
{
    struct stat a, b;
    CHECK_INT(fstat(one->fd, &a), 0);
    CHECK_INT(fstat(other->fd, &b), 0);
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

#define FOR_EACH_KIND(kind)                                                                        \
    for (uint32_t kind = ISTHMUS_KIND_LOCK; kind <= ISTHMUS_KIND_ATOMIC_INT; kind++)

/* ---- Named ------------------------------------------------------------------------------- */

static void the_last_one_out_removes_it(void)
{
    FOR_EACH_KIND(kind)
    {
        struct stat found;
        struct isthmus_primitive_plan plan = begin(kind);
        CHECK_RESULT(isthmus_primitive_attach(&second, name, kind, NULL), -ENOENT);
        CHECK_OK(isthmus_primitive_create(&first, name, &plan, NULL));
        CHECK_RESULT(isthmus_primitive_create(&second, name, &plan, NULL), -EEXIST);
        CHECK_INT(stat(path, &found), 0);
        CHECK_UINT(found.st_mode & 07777, 0600);
        CHECK_OK(isthmus_primitive_attach(&second, name, kind, NULL));
        CHECK(same_object(&first, &second));
        isthmus_primitive_close(&first);
        CHECK(is_there());
        CHECK_OK(open_it(&first, kind));
        CHECK(same_object(&first, &second));
        isthmus_primitive_close(&second);
        CHECK(is_there());
        isthmus_primitive_close(&first);
        CHECK(!is_there());
        isthmus_primitive_close(&first);
        CHECK_OK(open_it(&first, kind));
        CHECK(is_there());
        isthmus_primitive_close(&first);
        CHECK(!is_there());
    }
}

static void one_that_persists_stays_with_its_state(void)
{
    struct isthmus_primitive_plan plan = begin(ISTHMUS_KIND_ATOMIC_INT);
    plan.flags = ISTHMUS_PERSIST;
    plan.value = 41;
    CHECK_OK(isthmus_primitive_open(&first, name, &plan, NULL, NULL));
    isthmus_atomic_int_add(&first, 1);
    isthmus_primitive_close(&first);
    CHECK(is_there());
    CHECK_OK(isthmus_primitive_attach(&first, name, plan.kind, NULL));
    CHECK_INT(isthmus_atomic_int_load(&first), 42);
    CHECK_OK(isthmus_primitive_unlink(&first));
    CHECK(!is_there());
    CHECK_RESULT(isthmus_primitive_unlink(&first), -ENOENT);
    isthmus_primitive_close(&first);
}

static void unlinked_it_stays_with_those_that_have_it(void)
{
    struct isthmus_primitive third;
    begin(ISTHMUS_KIND_LOCK);
    CHECK_OK(open_it(&first, ISTHMUS_KIND_LOCK));
    CHECK_OK(open_it(&second, ISTHMUS_KIND_LOCK));
    CHECK_OK(isthmus_primitive_unlink(&second));
    CHECK_OK(open_it(&third, ISTHMUS_KIND_LOCK));
    CHECK(!same_object(&first, &third));
    CHECK_RESULT(isthmus_primitive_unlink(&first), -ISTHMUS_E_REPLACED);
    CHECK_OK(isthmus_lock_acquire(&first, 0));
    CHECK_RESULT(isthmus_lock_acquire(&second, 0), -ETIMEDOUT);
    CHECK_OK(isthmus_lock_acquire(&third, 0));
    CHECK_OK(isthmus_lock_release(&third));
    CHECK_OK(isthmus_lock_release(&first));
    isthmus_primitive_close(&first);
    isthmus_primitive_close(&second);
    CHECK(is_there());
    isthmus_primitive_close(&third);
    CHECK(!is_there());
}

/* In a child, which ends without closing: an object that nobody has open any more. */
static void make_and_die(void *argument)
{
    const uint32_t *kind = argument;
    struct isthmus_primitive own;
    CHECK_OK(open_it(&own, *kind));
    if (*kind == ISTHMUS_KIND_ATOMIC_INT)
        isthmus_atomic_int_store(&own, 7);
}

static void take_and_die(void *argument)
{
    const uint32_t *kind = argument;
    struct isthmus_primitive own;
    CHECK_OK(open_it(&own, *kind));
    CHECK_OK(*kind == ISTHMUS_KIND_RWLOCK ? isthmus_rwlock_acquire_write(&own, 0)
                                          : isthmus_lock_acquire(&own, 0));
}

static void when_all_were_killed_the_next_one_starts_anew(void)
{
    FOR_EACH_KIND(kind)
    {
        const struct isthmus_primitive_plan plan = begin(kind);
        CHECK_INT(check_in_child(make_and_die, &kind), 0);
        CHECK(is_there());
        CHECK_RESULT(isthmus_primitive_attach(&first, name, kind, NULL), -ENOENT);
        CHECK(!is_there());
        CHECK_INT(check_in_child(make_and_die, &kind), 0);
        CHECK(is_there());
        CHECK_OK(open_it(&first, kind));
        CHECK_UINT(first.shared->used, first.count ? 1 : 0);
        if (kind == ISTHMUS_KIND_ATOMIC_INT)
            CHECK_INT(isthmus_atomic_int_load(&first), 0);
        isthmus_primitive_close(&first);
        CHECK(!is_there());
        CHECK_INT(check_in_child(make_and_die, &kind), 0);
        CHECK_OK(isthmus_primitive_create(&first, name, &plan, NULL));
        isthmus_primitive_close(&first);
        CHECK(!is_there());
    }
}

static void a_lock_with_a_dead_owner_is_kept_and_says_so(void)
{
    static const uint32_t kinds[] = {ISTHMUS_KIND_LOCK, ISTHMUS_KIND_RLOCK, ISTHMUS_KIND_CONDITION};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        uint32_t kind = kinds[i];
        const struct isthmus_primitive_plan plan = begin(kind);
        CHECK_INT(check_in_child(take_and_die, &kind), 0);
        CHECK_RESULT(isthmus_primitive_create(&first, name, &plan, NULL), -EEXIST);
        CHECK(is_there());
        CHECK_OK(isthmus_primitive_attach(&first, name, kind, NULL));
        /* Coming and going does not take the report away. */
        isthmus_primitive_close(&first);
        CHECK(is_there());
        CHECK_OK(open_it(&first, kind));
        CHECK_RESULT(isthmus_lock_acquire(&first, 0), -EOWNERDEAD);
        CHECK_OK(isthmus_lock_release(&first));
        isthmus_primitive_close(&first);
        CHECK(!is_there());
    }
}

static void a_rwlock_with_a_dead_writer_is_kept_and_says_so(void)
{
    uint32_t kind = ISTHMUS_KIND_RWLOCK;
    begin(kind);
    CHECK_INT(check_in_child(take_and_die, &kind), 0);
    CHECK_OK(open_it(&first, kind));
    CHECK_RESULT(isthmus_rwlock_acquire_read(&first, 0), -EOWNERDEAD);
    CHECK_OK(isthmus_rwlock_release_read(&first));
    isthmus_primitive_close(&first);
    CHECK(is_there());
    CHECK_OK(open_it(&first, kind));
    CHECK_RESULT(isthmus_rwlock_acquire_write(&first, 0), -EOWNERDEAD);
    CHECK_OK(isthmus_rwlock_release_write(&first));
    isthmus_primitive_close(&first);
    CHECK(!is_there());
}

static void take_and_close(void *argument)
{
    const uint32_t *kind = argument;
    struct isthmus_primitive own;
    CHECK_OK(open_it(&own, *kind));
    CHECK_OK(isthmus_lock_acquire(&own, 0));
    isthmus_primitive_close(&own);
}

static void a_lock_that_was_held_when_the_last_one_left_says_so(void)
{
    uint32_t kind = ISTHMUS_KIND_LOCK;
    begin(kind);
    CHECK_INT(check_in_child(take_and_close, &kind), 0);
    CHECK(is_there());
    CHECK_OK(open_it(&first, kind));
    CHECK_RESULT(isthmus_lock_acquire(&first, 0), -EOWNERDEAD);
    CHECK_OK(isthmus_lock_release(&first));
    isthmus_primitive_close(&first);
    CHECK(!is_there());
}

static void open_says_what_does_not_suit(void)
{
    struct isthmus_primitive_plan plan = begin(ISTHMUS_KIND_SEMAPHORE), other = plan;
    CHECK_OK(isthmus_primitive_create(&first, name, &plan, NULL));
    other.value = 1;
    CHECK_RESULT(isthmus_primitive_open(&second, name, &other, NULL, NULL), -ENOTUNIQ);
    other = plan;
    other.maximum = 2;
    CHECK_RESULT(isthmus_primitive_open(&second, name, &other, NULL, NULL), -ENOTUNIQ);
    other = plan;
    other.flags = 0;
    CHECK_RESULT(isthmus_primitive_open(&second, name, &other, NULL, NULL), -ENOTUNIQ);
    other = plan;
    other.flags |= ISTHMUS_PERSIST;
    CHECK_RESULT(isthmus_primitive_open(&second, name, &other, NULL, NULL), -ENOTUNIQ);
    /* How many there is room for is not asked, nor what has become of the value. */
    other = plan;
    other.participants = 100;
    CHECK_OK(isthmus_semaphore_acquire(&first, 0));
    CHECK_OK(isthmus_primitive_open(&second, name, &other, NULL, NULL));
    CHECK_UINT(second.count, 4);
    isthmus_primitive_close(&second);
    CHECK_OK(isthmus_primitive_attach(&second, name, plan.kind, NULL));
    isthmus_primitive_close(&second);
    isthmus_primitive_close(&first);

    plan = begin(ISTHMUS_KIND_BARRIER);
    CHECK_OK(isthmus_primitive_create(&first, name, &plan, NULL));
    plan.value = 3;
    CHECK_RESULT(isthmus_primitive_open(&second, name, &plan, NULL, NULL), -ENOTUNIQ);
    isthmus_primitive_close(&first);
    CHECK(!is_there());

    plan = begin(ISTHMUS_KIND_ATOMIC_INT);
    CHECK_OK(isthmus_primitive_create(&first, name, &plan, NULL));
    plan.value = 3;
    CHECK_OK(isthmus_primitive_open(&second, name, &plan, NULL, NULL));
    isthmus_primitive_close(&second);
    isthmus_primitive_close(&first);
    CHECK(!is_there());
}

static void another_kind_is_refused_and_left_alone(void)
{
    FOR_EACH_KIND(kind)
    {
        const struct isthmus_primitive_plan plan = begin(kind);
        const uint32_t other = kind == ISTHMUS_KIND_LOCK ? ISTHMUS_KIND_RLOCK : ISTHMUS_KIND_LOCK;
        struct isthmus_array array;
        CHECK_OK(isthmus_primitive_create(&first, name, &plan, NULL));
        CHECK_RESULT(isthmus_primitive_attach(&second, name, other, NULL), -ISTHMUS_E_KIND);
        CHECK_RESULT(open_it(&second, other), -ISTHMUS_E_KIND);
        CHECK_RESULT(isthmus_primitive_from_fd(&second, first.fd, other), -ISTHMUS_E_KIND);
        CHECK_RESULT(isthmus_array_attach(&array, name, NULL), -ISTHMUS_E_KIND);
        CHECK(is_there());
        isthmus_primitive_close(&first);
        CHECK(!is_there());
    }
}

static void plans_that_mean_nothing_are_invalid(void)
{
    static const struct isthmus_primitive_plan wrong[] = {
        {.kind = ISTHMUS_KIND_ANY},
        {.kind = ISTHMUS_KIND_ARRAY},
        {.kind = ISTHMUS_KIND_ATOMIC_INT + 1},
        {.kind = UINT32_MAX},
        {.kind = ISTHMUS_KIND_LOCK, .flags = ISTHMUS_ROBUST},
        {.kind = ISTHMUS_KIND_LOCK, .flags = 16},
        {.kind = ISTHMUS_KIND_SEMAPHORE, .flags = ISTHMUS_READER_PREFERENCE},
        {.kind = ISTHMUS_KIND_RWLOCK, .flags = ISTHMUS_EXTERNAL_LOCK},
        {.kind = ISTHMUS_KIND_LOCK, .participants = ISTHMUS_PARTICIPANTS_MAX + 1},
        {.kind = ISTHMUS_KIND_LOCK, .maximum = 1},
    };
    begin(ISTHMUS_KIND_LOCK);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_RESULT(isthmus_primitive_create(&first, name, &wrong[i], NULL), -EINVAL);
        CHECK_RESULT(isthmus_primitive_open(&first, name, &wrong[i], NULL, NULL), -EINVAL);
        CHECK_RESULT(isthmus_primitive_anonymous(&first, &wrong[i]), -EINVAL);
        CHECK_RESULT(isthmus_primitive_place(&first, NULL, 0, -1, 0, &wrong[i]), -EINVAL);
    }
    CHECK_RESULT(isthmus_primitive_attach(&first, name, ISTHMUS_KIND_ARRAY, NULL), -EINVAL);
    CHECK_RESULT(isthmus_primitive_attach(&first, "", ISTHMUS_KIND_LOCK, NULL), -EINVAL);
    CHECK_RESULT(isthmus_primitive_attach(&first, "a", ISTHMUS_KIND_LOCK,
                                          &(struct isthmus_attach_options){1, ISTHMUS_OWNER_SELF}),
                 -EINVAL);
    CHECK_UINT(isthmus_primitive_size(ISTHMUS_KIND_ARRAY, 1), 0);
    CHECK_UINT(isthmus_primitive_size(ISTHMUS_KIND_LOCK, ISTHMUS_PARTICIPANTS_MAX + 1), 0);
    CHECK_UINT(isthmus_primitive_size(ISTHMUS_KIND_LOCK, 0), 192 + 64 * 256);
    CHECK_UINT(isthmus_primitive_size(ISTHMUS_KIND_LOCK, 3), ISTHMUS_PRIMITIVE_SIZE(3));
    CHECK_UINT(isthmus_primitive_size(ISTHMUS_KIND_EVENT, 3), ISTHMUS_PRIMITIVE_SIZE(0));
}

/* ---- Who takes part -------------------------------------------------------------------------- */

static void a_full_table_is_EUSERS_until_somebody_leaves(void)
{
    struct isthmus_primitive handles[4];
    struct isthmus_participant found;
    const struct isthmus_primitive_plan plan = begin(ISTHMUS_KIND_LOCK);
    CHECK_OK(isthmus_primitive_create(&handles[0], name, &plan, NULL));
    for (unsigned i = 1; i < 4; i++)
        CHECK_OK(isthmus_primitive_attach(&handles[i], name, plan.kind, NULL));
    CHECK_RESULT(isthmus_primitive_attach(&first, name, plan.kind, NULL), -ISTHMUS_E_FULL);
    CHECK_RESULT(open_it(&first, plan.kind), -ISTHMUS_E_FULL);
    CHECK_RESULT(isthmus_primitive_from_fd(&first, handles[0].fd, plan.kind), -ISTHMUS_E_FULL);
    CHECK_OK(isthmus_primitive_participant(&handles[0], 2, &found));
    CHECK_UINT(found.pid, (uint32_t)getpid());
    CHECK_INT(found.alive, 1);
    isthmus_primitive_close(&handles[2]);
    CHECK_RESULT(isthmus_primitive_participant(&handles[0], 2, &found), -ENOENT);
    CHECK_RESULT(isthmus_primitive_participant(&handles[0], 4, &found), -ERANGE);
    CHECK_OK(isthmus_primitive_attach(&handles[2], name, plan.kind, NULL));
    CHECK_INT(handles[2].slot, 2);
    for (unsigned i = 0; i < 4; i++)
        isthmus_primitive_close(&handles[i]);
    CHECK_RESULT(isthmus_primitive_participant(&handles[0], 2, &found), -EBADF);
    CHECK(!is_there());
}

static void nothing(struct isthmus_primitive *own)
{
    (void)own;
}

static void the_slot_of_one_that_died_is_taken_when_there_is_no_other(void)
{
    struct isthmus_primitive_plan plan = plan_of(ISTHMUS_KIND_LOCK);
    struct isthmus_participant found;
    plan.participants = 2;
    CHECK_OK(isthmus_primitive_anonymous(&first, &plan));
    for (unsigned i = 0; i < 3; i++) {
        pid_t child = together_stay(&first, nothing);
        CHECK_RESULT(isthmus_primitive_from_fd(&second, first.fd, plan.kind), -ISTHMUS_E_FULL);
        together_kill(child);
        CHECK_OK(isthmus_primitive_participant(&first, 1, &found));
        CHECK_INT(found.alive, 0);
    }
    CHECK_OK(isthmus_primitive_from_fd(&second, first.fd, plan.kind));
    CHECK_INT(second.slot, 1);
    isthmus_primitive_close(&second);
    isthmus_primitive_close(&first);
}

static void take(struct isthmus_primitive *own)
{
    CHECK_OK(isthmus_lock_acquire(own, 0));
}

static void a_successor_in_the_slot_does_not_own_what_the_dead_one_held(void)
{
    struct isthmus_primitive_plan plan = plan_of(ISTHMUS_KIND_LOCK);
    plan.participants = 2;
    CHECK_OK(isthmus_primitive_anonymous(&first, &plan));
    together_kill(together_stay(&first, take));
    CHECK_OK(isthmus_primitive_from_fd(&second, first.fd, plan.kind));
    CHECK_INT(second.slot, 1);
    CHECK_INT(isthmus_lock_is_mine(&second), 0);
    CHECK_RESULT(isthmus_lock_release(&second), -EPERM);
    CHECK_RESULT(isthmus_lock_acquire(&first, 0), -EOWNERDEAD);
    CHECK_OK(isthmus_lock_release(&first));
    isthmus_primitive_close(&second);
    isthmus_primitive_close(&first);
}

/* ---- What others may have written --------------------------------------------------------------
 */

static void a_primitive_that_lies_is_refused(void)
{
    static const struct {
        size_t offset;
        uint32_t value;
        int error;
    } lies[] = {
        {offsetof(struct isthmus_shared_primitive, magic), 0, -ISTHMUS_E_CORRUPT},
        {offsetof(struct isthmus_shared_primitive, magic), 4711, -ISTHMUS_E_CORRUPT},
        {offsetof(struct isthmus_shared_primitive, kind), ISTHMUS_KIND_EVENT, -ISTHMUS_E_KIND},
        {offsetof(struct isthmus_shared_primitive, flags), ISTHMUS_ROBUST, -ISTHMUS_E_CORRUPT},
        {offsetof(struct isthmus_shared_primitive, flags), UINT32_MAX, -ISTHMUS_E_CORRUPT},
        {offsetof(struct isthmus_shared_primitive, fingerprint), 4711, -ISTHMUS_E_LAYOUT},
        {offsetof(struct isthmus_shared_primitive, participants), 0, -ISTHMUS_E_CORRUPT},
        {offsetof(struct isthmus_shared_primitive, participants), 5, -ISTHMUS_E_TRUNCATED},
        {offsetof(struct isthmus_shared_primitive, participants), 32768, -ISTHMUS_E_TRUNCATED},
        {offsetof(struct isthmus_shared_primitive, participants), 32769, -ISTHMUS_E_CORRUPT},
        {offsetof(struct isthmus_shared_primitive, participants), UINT32_MAX, -ISTHMUS_E_CORRUPT},
    };
    const uint32_t kind = ISTHMUS_KIND_LOCK;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        const struct isthmus_primitive_plan plan = begin(kind);
        CHECK_OK(isthmus_primitive_create(&first, name, &plan, NULL));
        memcpy((char *)first.shared + lies[i].offset, &lies[i].value, sizeof lies[i].value);
        CHECK_RESULT(isthmus_primitive_attach(&second, name, kind, NULL), lies[i].error);
        CHECK_RESULT(isthmus_primitive_from_fd(&second, first.fd, kind), lies[i].error);
        CHECK_RESULT(open_it(&second, kind), lies[i].error);
        /* Who has it open uses what was checked, and removes it as ever. */
        CHECK_OK(isthmus_lock_acquire(&first, 0));
        CHECK_OK(isthmus_lock_release(&first));
        isthmus_primitive_close(&first);
        CHECK(!is_there());
    }
}

static void a_truncated_object_is_refused(void)
{
    const struct isthmus_primitive_plan plan = begin(ISTHMUS_KIND_LOCK);
    CHECK_OK(isthmus_primitive_create(&first, name, &plan, NULL));
    CHECK_INT(ftruncate(first.fd, 256 + ISTHMUS_PRIMITIVE_SIZE(4) - 1), 0);
    CHECK_RESULT(isthmus_primitive_attach(&second, name, plan.kind, NULL), -ISTHMUS_E_TRUNCATED);
    CHECK_INT(ftruncate(first.fd, 100), 0);
    CHECK(isthmus_primitive_attach(&second, name, plan.kind, NULL) < 0);
    CHECK_INT(ftruncate(first.fd, 0), 0);
    CHECK_RESULT(isthmus_primitive_attach(&second, name, plan.kind, NULL), -ISTHMUS_E_NOT_READY);
    CHECK_INT(ftruncate(first.fd, 256 + ISTHMUS_PRIMITIVE_SIZE(4)), 0);
    isthmus_primitive_close(&first);
    CHECK(!is_there());
}

static void garbage_in_every_slot_keeps_nobody_out(void)
{
    FOR_EACH_KIND(kind)
    {
        const struct isthmus_primitive_plan plan = plan_of(kind);
        CHECK_OK(isthmus_primitive_anonymous(&first, &plan));
        if (first.count) {
            first.shared->used = UINT32_MAX;
            memset(&first.slots[1], 0xff, 3 * sizeof first.slots[1]);
            CHECK_OK(isthmus_primitive_from_fd(&second, first.fd, kind));
            CHECK_INT(second.slot, 1);
            if (kind != ISTHMUS_KIND_LOCK && kind != ISTHMUS_KIND_RLOCK) /* which have no shares */
                CHECK_UINT(second.slots[1].share, 0);
            CHECK_UINT(second.slots[1].waiting, 0);
            CHECK_UINT(second.slots[1].pid, (uint32_t)getpid());
            isthmus_primitive_close(&second);
        }
        isthmus_primitive_close(&first);
    }
}

static const struct check_test tests[] = {
    CHECK_TEST(the_last_one_out_removes_it),
    CHECK_TEST(one_that_persists_stays_with_its_state),
    CHECK_TEST(unlinked_it_stays_with_those_that_have_it),
    CHECK_TEST(when_all_were_killed_the_next_one_starts_anew),
    CHECK_TEST(a_lock_with_a_dead_owner_is_kept_and_says_so),
    CHECK_TEST(a_rwlock_with_a_dead_writer_is_kept_and_says_so),
    CHECK_TEST(a_lock_that_was_held_when_the_last_one_left_says_so),
    CHECK_TEST(open_says_what_does_not_suit),
    CHECK_TEST(another_kind_is_refused_and_left_alone),
    CHECK_TEST(plans_that_mean_nothing_are_invalid),
    CHECK_TEST(a_full_table_is_EUSERS_until_somebody_leaves),
    CHECK_TEST(the_slot_of_one_that_died_is_taken_when_there_is_no_other),
    CHECK_TEST(a_successor_in_the_slot_does_not_own_what_the_dead_one_held),
    CHECK_TEST(a_primitive_that_lies_is_refused),
    CHECK_TEST(a_truncated_object_is_refused),
    CHECK_TEST(garbage_in_every_slot_keeps_nobody_out),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
