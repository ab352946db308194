/*
 * Death at every step of making, opening, sharing and removing primitives. See death.h.
 * The victims here open what they need themselves.
 */
#include "check.h"
#include "death.h"
#include "fixture.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACE 4096u

static char name[FIXTURE_NAME_SIZE], path[FIXTURE_PATH_SIZE];
static struct isthmus_segment segment;

static struct isthmus_primitive_plan plan(void)
{
    return (struct isthmus_primitive_plan){
        .kind = act->kind, .flags = act->flags, .participants = 3, .value = act->value};
}

static int open_as(struct isthmus_primitive *primitive)
{
    const struct isthmus_primitive_plan wanted = plan();
    int error = isthmus_primitive_open(primitive, name, &wanted, NULL, NULL);
    if (!error)
        primitive->spin_ns = 0;
    return error;
}

static int is_there(void)
{
    return access(path, F_OK) == 0;
}

/* ---- Before ------------------------------------------------------------------------------- */

static void new_name(void)
{
    char escaped[ISTHMUS_NAME_MAX + 1];
    fixture_name(name);
    CHECK_OK(isthmus_name_escape(name, escaped));
    fixture_path(path, escaped);
}

static void opened_by_own(void)
{
    new_name();
    CHECK_OK(open_as(&own));
}

static void open_and_end(void *argument)
{
    (void)argument;
    CHECK_OK(open_as(&mine));
}

static void take_and_end(void *argument)
{
    (void)argument;
    CHECK_OK(open_as(&mine));
    CHECK_OK(isthmus_lock_acquire(&mine, 0));
}

/* An object of nobody, as its only participant was killed. */
static void orphaned(void)
{
    new_name();
    CHECK_INT(check_in_child(open_and_end, NULL), 0);
    CHECK(is_there());
}

/* The same, killed while it owned the lock. */
static void orphaned_and_owned(void)
{
    new_name();
    CHECK_INT(check_in_child(take_and_end, NULL), 0);
    CHECK(is_there());
}

/* ---- Victims ------------------------------------------------------------------------------- */

static void create(void)
{
    const struct isthmus_primitive_plan wanted = plan();
    CHECK_OK(isthmus_primitive_create(&mine, name, &wanted, NULL));
}

static void create_in_vain(void)
{
    const struct isthmus_primitive_plan wanted = plan();
    CHECK_RESULT(isthmus_primitive_create(&mine, name, &wanted, NULL), -EEXIST);
}

static void open_it(void)
{
    CHECK_OK(open_as(&mine));
}

static void attach(void)
{
    CHECK_OK(isthmus_primitive_attach(&mine, name, act->kind, NULL));
}

static void attach_in_vain(void)
{
    CHECK_RESULT(isthmus_primitive_attach(&mine, name, act->kind, NULL), -ENOENT);
}

static void open_and_take(void)
{
    open_it();
    CHECK_OK(isthmus_lock_acquire(&mine, 0));
}

static void close_it(void)
{
    isthmus_primitive_close(&mine);
}

static void open_and_close(void)
{
    open_it();
    close_it();
}

static void unlink_it(void)
{
    CHECK_OK(isthmus_primitive_unlink(&mine));
}

static void before_fork(void)
{
    CHECK_OK(isthmus_primitive_before_fork(&mine));
}

static void open_and_prepare(void)
{
    open_it();
    before_fork();
}

static void after_fork_in_parent(void)
{
    CHECK_OK(isthmus_primitive_after_fork(&mine, 0));
}

/*
 * What a child does. The worker stands for the parent, whose handle it inherited; the slot and
 * the description must be another's afterwards.
 */
static void after_fork_in_child(void)
{
    CHECK_OK(isthmus_primitive_after_fork(&own, 1));
    CHECK_OK(isthmus_primitive_join(&own));
    CHECK_RESULT(isthmus_lock_acquire(&own, 0), -ETIMEDOUT);
    isthmus_primitive_close(&own);
}

/* The victim forks as it should; its child outlives it, takes what it held, and leaves. */
static void fork_and_die(void)
{
    const pid_t victim = getpid();
    CHECK_OK(isthmus_primitive_before_fork(&mine));
    fflush(NULL);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        death_spare();
        alarm(20);
        UNTIL(getppid() != victim);
        CHECK_OK(isthmus_primitive_after_fork(&mine, 1));
        CHECK_OK(isthmus_primitive_join(&mine));
        CHECK_RESULT(isthmus_lock_acquire(&mine, SOON()), -EOWNERDEAD);
        CHECK_OK(isthmus_lock_release(&mine));
        isthmus_primitive_close(&mine);
        CHECK(!is_there());
        poke(&stage->done, 1);
        _exit(0);
    }
    poke(&stage->free[0], 1);
    CHECK_OK(isthmus_primitive_after_fork(&mine, 0));
}

static void own_takes_and_prepares(void)
{
    opened_by_own();
    CHECK_OK(isthmus_lock_acquire(&own, 0));
    CHECK_OK(isthmus_primitive_before_fork(&own));
}

static void anonymous(void)
{
    const struct isthmus_primitive_plan wanted = plan();
    CHECK_OK(isthmus_primitive_anonymous(&mine, &wanted));
}

/* ---- Afterwards --------------------------------------------------------------------------------
 */

/* What is there can be opened, by two as the same; it works; and nothing stays of it. */
static void check_works_and_goes(void)
{
    struct isthmus_primitive second;
    struct stat found, named;
    CHECK_OK(isthmus_primitive_attach(&second, name, act->kind, NULL));
    CHECK_INT(fstat(second.fd, &found), 0);
    CHECK_INT(stat(path, &named), 0);
    CHECK_UINT(found.st_ino, named.st_ino);
    CHECK_UINT(named.st_nlink, 1);
    if (act->kind == ISTHMUS_KIND_LOCK) {
        int result = isthmus_lock_acquire(&own, SOON());
        CHECK(result == 0 || result == -EOWNERDEAD);
        CHECK_RESULT(isthmus_lock_acquire(&second, 0), -ETIMEDOUT);
        CHECK_OK(isthmus_lock_release(&own));
        CHECK_OK(isthmus_lock_acquire(&second, 0));
        CHECK_OK(isthmus_lock_release(&second));
        poke(&stage->reports, result != 0);
    } else {
        CHECK_INT(isthmus_atomic_int_add(&own, 1), act->value);
        CHECK_INT(isthmus_atomic_int_load(&second), act->value + 1);
    }
    isthmus_primitive_close(&own);
    CHECK(is_there());
    isthmus_primitive_close(&second);
    CHECK(!is_there());
    CHECK_UINT(fixture_count(FIXTURE_SHM, name), 0);
}

/* Nobody has it any more, whether it is there or not. */
static void check_named(void)
{
    CHECK_OK(open_as(&own));
    check_works_and_goes();
    CHECK_UINT(stage->reports, 0);
}

/* The worker has had it open all the time. */
static void check_shared(void)
{
    CHECK(is_there());
    check_works_and_goes();
    CHECK_UINT(stage->reports, 0);
}

static void check_shared_and_held(void)
{
    CHECK_OK(isthmus_primitive_after_fork(&own, 0));
    CHECK_INT(isthmus_lock_is_mine(&own), 1);
    CHECK_OK(isthmus_lock_release(&own));
    check_shared();
}

/* The lock had an owner that died: that is told, however many have died since at opening. */
static void check_kept(void)
{
    CHECK_OK(open_as(&own));
    check_works_and_goes();
    CHECK_UINT(stage->reports, 1);
}

/* If there was a child, it has seen to everything. */
static void check_child_went_on(void)
{
    if (!peek(&stage->free[0])) {
        check_kept();
        return;
    }
    UNTIL(peek(&stage->done));
    check_named();
}

/* Told if it had been taken. */
static void check_kept_or_new(void)
{
    CHECK_OK(open_as(&own));
    check_works_and_goes();
}

/* Gone from the name, or still there; the worker's handle works in any case. */
static void check_unlinked(void)
{
    if (is_there())
        CHECK_OK(isthmus_primitive_unlink(&own));
    CHECK(!is_there());
    CHECK_OK(isthmus_lock_acquire(&own, SOON()));
    CHECK_OK(isthmus_lock_release(&own));
    isthmus_primitive_close(&own);
    CHECK_OK(open_as(&own));
    check_works_and_goes();
}

static void check_nothing(void)
{
    CHECK_UINT(fixture_count(FIXTURE_SHM, name), 0);
}

/* ---- In segments --------------------------------------------------------------------------------
 */

static void new_segment(void)
{
    new_name();
    CHECK_OK(isthmus_segment_create(&segment, name, 8192, NULL));
    CHECK_OK(isthmus_segment_unlink(&segment, name));
}

static int place_as(struct isthmus_primitive *primitive)
{
    const struct isthmus_primitive_plan wanted = plan();
    return isthmus_primitive_place(primitive, segment.data, segment.size, segment.fd, PLACE,
                                   &wanted);
}

static void place(void)
{
    CHECK_OK(place_as(&mine));
}

static void placed_before(void)
{
    new_segment();
    CHECK_OK(place_as(&own));
}

static void find(void)
{
    CHECK_OK(
        isthmus_primitive_find(&mine, segment.data, segment.size, segment.fd, PLACE, act->kind));
}

static void find_and_take(void)
{
    find();
    CHECK_OK(isthmus_lock_acquire(&mine, 0));
}

static void check_placed(void)
{
    struct isthmus_primitive handles[3], more;
    if (!own.shared)
        CHECK_OK(place_as(&own));
    int result = isthmus_lock_acquire(&own, SOON());
    CHECK(result == 0 || result == -EOWNERDEAD);
    CHECK_OK(isthmus_lock_release(&own));
    /* All slots are to be had. */
    for (unsigned i = 0; i < 2; i++)
        CHECK_OK(place_as(&handles[i]));
    CHECK_RESULT(place_as(&more), -ISTHMUS_E_FULL);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_OK(isthmus_lock_acquire(&handles[i], 0));
        CHECK_OK(isthmus_lock_release(&handles[i]));
        isthmus_primitive_close(&handles[i]);
    }
    isthmus_primitive_close(&own);
    isthmus_segment_close(&segment);
}

/* ---- A table that is full but for the dead
 * ------------------------------------------------------- */

static void take_by_another(struct isthmus_primitive *lock)
{
    CHECK_OK(isthmus_lock_acquire(lock, 0));
}

/* Room for two: the worker, and one that died owning the lock. */
static void the_only_other_slot_is_of_a_dead_owner(void)
{
    struct isthmus_primitive_plan small = plan();
    small.participants = 2;
    CHECK_OK(isthmus_primitive_anonymous(&own, &small));
    own.spin_ns = 0;
    together_kill(together_stay(&own, take_by_another));
}

static void join_in_its_slot(void)
{
    CHECK_OK(isthmus_primitive_from_fd(&mine, own.fd, own.kind));
    CHECK_INT(mine.slot, 1);
}

static void check_slot(void)
{
    CHECK_RESULT(isthmus_lock_acquire(&own, SOON()), -EOWNERDEAD);
    CHECK_OK(isthmus_lock_release(&own));
    join_in_its_slot();
    CHECK_OK(isthmus_lock_acquire(&mine, 0));
    CHECK_OK(isthmus_lock_release(&mine));
    isthmus_primitive_close(&mine);
    isthmus_primitive_close(&own);
}

#define LOCK(text, ...) {.what = text, .kind = ISTHMUS_KIND_LOCK, .alone = 1, __VA_ARGS__}
#define NUMBER(text, ...)                                                                          \
    {.what = text " (atomic int)",                                                                 \
     .kind = ISTHMUS_KIND_ATOMIC_INT,                                                              \
     .value = 5,                                                                                   \
     .alone = 1,                                                                                   \
     __VA_ARGS__}

static const struct death_act single[] = {
    LOCK("create", .before = new_name, .run = create, .after = check_named),
    NUMBER("create", .before = new_name, .run = create, .after = check_named),
    LOCK("create what is there", .before = opened_by_own, .run = create_in_vain,
         .after = check_shared),
    LOCK("create over an orphan", .before = orphaned, .run = create, .after = check_named),
    LOCK("open, new", .before = new_name, .run = open_it, .after = check_named),
    LOCK("open what is there", .before = opened_by_own, .run = open_it, .after = check_shared),
    LOCK("attach", .before = opened_by_own, .run = attach, .after = check_shared),
    LOCK("open, take the lock", .before = new_name, .run = open_and_take,
         .after = check_kept_or_new),
    LOCK("close as the last", .before = new_name, .prepare = open_it, .run = close_it,
         .after = check_named),
    NUMBER("close as the last", .before = new_name, .prepare = open_it, .run = close_it,
           .after = check_named),
    LOCK("close as the last, holding", .before = new_name, .prepare = open_and_take,
         .run = close_it, .after = check_kept),
    LOCK("close", .before = opened_by_own, .prepare = open_it, .run = close_it,
         .after = check_shared),
    LOCK("unlink", .before = opened_by_own, .prepare = open_it, .run = unlink_it,
         .after = check_unlinked),
    LOCK("before a fork", .before = opened_by_own, .prepare = open_it, .run = before_fork,
         .after = check_shared),
    LOCK("before a fork, alone", .before = new_name, .prepare = open_it, .run = before_fork,
         .after = check_named),
    LOCK("after a fork, parent", .before = new_name, .prepare = open_and_prepare,
         .run = after_fork_in_parent, .after = check_named),
    LOCK("after a fork, child", .before = own_takes_and_prepares, .run = after_fork_in_child,
         .after = check_shared_and_held),
    LOCK("fork while holding, the child goes on", .before = new_name, .prepare = open_and_take,
         .run = fork_and_die, .after = check_child_went_on),
    LOCK("make an anonymous one", .before = new_name, .run = anonymous, .after = check_nothing),
    LOCK("place in a segment", .before = new_segment, .run = place, .after = check_placed),
    LOCK("find in a segment", .before = placed_before, .run = find_and_take, .after = check_placed),
};

static const struct death_act repair[] = {
    LOCK("attach to an orphan", .before = orphaned, .kills_another = 1, .run = attach_in_vain,
         .after = check_named),
    LOCK("open an orphan", .before = orphaned, .kills_another = 1, .run = open_it,
         .after = check_named),
    NUMBER("open an orphan", .before = orphaned, .kills_another = 1, .run = open_it,
           .after = check_named),
    LOCK("open an orphan whose owner died", .before = orphaned_and_owned, .kills_another = 1,
         .run = open_it, .after = check_kept),
    LOCK("open and close an orphan whose owner died", .before = orphaned_and_owned,
         .kills_another = 1, .run = open_and_close, .after = check_kept),
    LOCK("join in the slot of a dead owner", .kills_another = 1,
         .before = the_only_other_slot_is_of_a_dead_owner, .run = join_in_its_slot,
         .after = check_slot),
    LOCK("join in the slot of a dead owner, again",
         .before = the_only_other_slot_is_of_a_dead_owner, .run = join_in_its_slot,
         .second = join_in_its_slot, .after = check_slot),
    LOCK("open, new, then one opens", .before = new_name, .run = open_it, .second = open_it,
         .after = check_named),
    LOCK("close as the last, then one opens", .before = new_name, .prepare = open_it,
         .run = close_it, .second = open_it, .after = check_named),
    LOCK("close as the last, holding, then one opens", .before = new_name, .prepare = open_and_take,
         .run = close_it, .second = open_and_close, .after = check_kept),
    LOCK("place in a segment, then one does again", .before = new_segment, .run = place,
         .second = place, .after = check_placed),
};

static void death_at_any_step_leaves_a_primitive_or_none(void)
{
    death_run(single, sizeof single / sizeof single[0]);
}

static void a_second_death_at_any_step_does_so_too(void)
{
    death_run(repair, sizeof repair / sizeof repair[0]);
}

static const struct check_test tests[] = {
    CHECK_TEST(death_at_any_step_leaves_a_primitive_or_none),
    CHECK_TEST(a_second_death_at_any_step_does_so_too),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
