/* Locks and recursive locks, by themselves and among threads and processes. */
#include "check.h"
#include "fixture.h"
#include "together.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#define ROUNDS 2000u
#define THREADS 4u

static struct isthmus_primitive lock;
static struct together_area *area;

static struct isthmus_shared_lock *state(const struct isthmus_primitive *primitive)
{
    return (struct isthmus_shared_lock *)(primitive->shared + 1);
}

static void begin(uint32_t kind)
{
    together_make(&lock, kind, 0, 0);
    area = together_memory(sizeof *area);
}

/* ---- One at a time ---------------------------------------------------------------- */

static void taken_and_given_back(uint32_t kind)
{
    begin(kind);
    CHECK_INT(isthmus_lock_locked(&lock), 0);
    CHECK_INT(isthmus_lock_is_mine(&lock), 0);
    CHECK_OK(isthmus_lock_acquire(&lock, 0));
    CHECK_INT(isthmus_lock_locked(&lock), 1);
    CHECK_INT(isthmus_lock_is_mine(&lock), 1);
    CHECK_OK(isthmus_lock_release(&lock));
    CHECK_INT(isthmus_lock_locked(&lock), 0);
    CHECK_RESULT(isthmus_lock_release(&lock), -EPERM);
    CHECK_RESULT(isthmus_lock_abandon(&lock), -EPERM);
    CHECK_OK(isthmus_lock_acquire(&lock, ISTHMUS_FOREVER));
    CHECK_OK(isthmus_lock_release(&lock));
    CHECK_UINT(state(&lock)->word, 0);
    CHECK_UINT(state(&lock)->tid, 0);
    CHECK_UINT(state(&lock)->deaths, 0);
    isthmus_primitive_close(&lock);
}

static void a_lock_is_taken_and_given_back(void)
{
    taken_and_given_back(ISTHMUS_KIND_LOCK);
    taken_and_given_back(ISTHMUS_KIND_RLOCK);
}

static void two_handles_in_one_process_exclude_each_other(void)
{
    for (uint32_t kind = ISTHMUS_KIND_LOCK; kind <= ISTHMUS_KIND_RLOCK; kind++) {
        struct isthmus_primitive other;
        begin(kind);
        together_join(&other, &lock);
        CHECK_OK(isthmus_lock_acquire(&lock, 0));
        CHECK_RESULT(isthmus_lock_acquire(&other, 0), -ETIMEDOUT);
        CHECK_RESULT(isthmus_lock_acquire(&other, 1), -ETIMEDOUT);
        CHECK_RESULT(isthmus_lock_release(&other), -EPERM);
        CHECK_RESULT(isthmus_lock_abandon(&other), -EPERM);
        CHECK_INT(isthmus_lock_is_mine(&other), 0);
        CHECK_INT(isthmus_lock_locked(&other), 1);
        CHECK_OK(isthmus_lock_release(&lock));
        CHECK_OK(isthmus_lock_acquire(&other, 0));
        CHECK_OK(isthmus_lock_release(&other));
        isthmus_primitive_close(&other);
        isthmus_primitive_close(&lock);
    }
}

static void a_wait_that_begins_again_at_once_is_still_the_same_one_for_people(void)
{
    struct isthmus_primitive other;
    begin(ISTHMUS_KIND_LOCK);
    together_join(&other, &lock);
    const struct isthmus_shared_participant *own = &other.slots[other.slot];
    const uint64_t clock_tick = 10000000;
    CHECK_OK(isthmus_lock_acquire(&lock, 0));
    CHECK_RESULT(isthmus_lock_acquire(&other, isthmus_deadline_after(2 * clock_tick)), -ETIMEDOUT);
    const uint64_t began = own->waiting_ns;
    CHECK(began != 0);
    CHECK_RESULT(isthmus_lock_acquire(&other, isthmus_deadline_after(clock_tick)), -ETIMEDOUT);
    CHECK_UINT(own->waiting_ns, began);
    /* One that got what it waited for has come to its end. */
    CHECK_OK(isthmus_lock_release(&lock));
    CHECK_OK(isthmus_lock_acquire(&other, ISTHMUS_FOREVER));
    other.gave_up_at -= 1000;
    CHECK_RESULT(isthmus_lock_acquire(&other, isthmus_deadline_after(clock_tick)), -ETIMEDOUT);
    CHECK(own->waiting_ns > began);
    CHECK_OK(isthmus_lock_release(&other));
    isthmus_primitive_close(&other);
    isthmus_primitive_close(&lock);
}

static void a_lock_taken_twice_waits_for_itself_and_a_recursive_one_counts(void)
{
    begin(ISTHMUS_KIND_LOCK);
    CHECK_OK(isthmus_lock_acquire(&lock, 0));
    CHECK_RESULT(isthmus_lock_acquire(&lock, 0), -ETIMEDOUT);
    CHECK_OK(isthmus_lock_release(&lock));
    isthmus_primitive_close(&lock);

    begin(ISTHMUS_KIND_RLOCK);
    for (unsigned i = 0; i < 3; i++)
        CHECK_OK(isthmus_lock_acquire(&lock, ISTHMUS_FOREVER));
    CHECK_UINT(state(&lock)->depth, 3);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_INT(isthmus_lock_is_mine(&lock), 1);
        CHECK_OK(isthmus_lock_release(&lock));
    }
    CHECK_INT(isthmus_lock_locked(&lock), 0);
    CHECK_RESULT(isthmus_lock_release(&lock), -EPERM);

    /* The depth is a number like any other. */
    CHECK_OK(isthmus_lock_acquire(&lock, 0));
    state(&lock)->depth = UINT32_MAX;
    CHECK_RESULT(isthmus_lock_acquire(&lock, 0), -EOVERFLOW);
    CHECK_INT(isthmus_lock_is_mine(&lock), 1);
    state(&lock)->depth = 1;
    CHECK_OK(isthmus_lock_release(&lock));
    isthmus_primitive_close(&lock);
}

static void anybody_may_release_a_lock_for_its_owner(void)
{
    struct isthmus_primitive other;
    begin(ISTHMUS_KIND_LOCK);
    together_join(&other, &lock);
    CHECK_RESULT(isthmus_lock_release_any(&other), -EPERM);
    CHECK_OK(isthmus_lock_acquire(&lock, 0));
    CHECK_OK(isthmus_lock_release_any(&other));
    CHECK_UINT(state(&lock)->word, 0);
    CHECK_UINT(state(&lock)->tid, 0);
    CHECK_RESULT(isthmus_lock_release_any(&other), -EPERM);
    CHECK_RESULT(isthmus_lock_release(&lock), -EPERM);
    /* And its owner by this way, too. */
    CHECK_OK(isthmus_lock_acquire(&other, 0));
    CHECK_OK(isthmus_lock_release_any(&other));
    /* That somebody died with it is not forgotten, nor is it held for that. */
    CHECK_OK(isthmus_lock_acquire(&lock, 0));
    CHECK_OK(isthmus_lock_abandon(&lock));
    CHECK_RESULT(isthmus_lock_release_any(&other), -EPERM);
    CHECK_RESULT(isthmus_lock_acquire(&other, 0), -EOWNERDEAD);
    CHECK_OK(isthmus_lock_release(&other));
    /* A word that names nobody is free afterwards, like any other. */
    state(&lock)->word = TOGETHER_PARTICIPANTS + 1;
    CHECK_OK(isthmus_lock_release_any(&lock));
    CHECK_UINT(state(&lock)->word, 0);
    isthmus_primitive_close(&other);
    CHECK_RESULT(isthmus_lock_release_any(&other), -EBADF);
    isthmus_primitive_close(&lock);

    begin(ISTHMUS_KIND_RLOCK);
    CHECK_OK(isthmus_lock_acquire(&lock, 0));
    CHECK_RESULT(isthmus_lock_release_any(&lock), -EINVAL);
    CHECK_OK(isthmus_lock_release(&lock));
    isthmus_primitive_close(&lock);
}

static void *wait_and_release_any(void *argument)
{
    struct isthmus_primitive *handle = argument;
    CHECK_OK(isthmus_lock_acquire(handle, SOON()));
    CHECK_OK(isthmus_lock_release_any(&lock));
    return NULL;
}

static void a_release_by_another_wakes_one_that_waits(void)
{
    struct isthmus_primitive other;
    struct together_threads threads;
    begin(ISTHMUS_KIND_LOCK);
    together_join(&other, &lock);
    CHECK_OK(isthmus_lock_acquire(&lock, 0));
    together_begin(&threads, THREADS, wait_and_release_any, &other);
    UNTIL(together_waiting(&other) == THREADS);
    CHECK_OK(isthmus_lock_release_any(&other));
    together_end(&threads);
    CHECK_UINT(state(&lock)->word, 0);
    isthmus_primitive_close(&other);
    isthmus_primitive_close(&lock);
}

static void a_timeout_is_never_early(void)
{
    struct isthmus_primitive other;
    begin(ISTHMUS_KIND_LOCK);
    together_join(&other, &lock);
    CHECK_OK(isthmus_lock_acquire(&lock, 0));
    /* Shorter and longer than the slices of a sleep. */
    for (int64_t wait = 1000000; wait <= 25000000; wait *= 5) {
        const uint64_t deadline = isthmus_deadline_after(wait);
        CHECK_RESULT(isthmus_lock_acquire(&other, deadline), -ETIMEDOUT);
        CHECK(isthmus_deadline_after(0) >= deadline);
    }
    CHECK_UINT(together_waiting(&other), 0);
    CHECK_OK(isthmus_lock_release(&lock));
    isthmus_primitive_close(&other);
    isthmus_primitive_close(&lock);
}

static void an_abandoned_lock_says_so_to_the_next_owner_and_to_no_other(void)
{
    for (uint32_t kind = ISTHMUS_KIND_LOCK; kind <= ISTHMUS_KIND_RLOCK; kind++) {
        begin(kind);
        CHECK_OK(isthmus_lock_acquire(&lock, 0));
        if (kind == ISTHMUS_KIND_RLOCK)
            CHECK_OK(isthmus_lock_acquire(&lock, 0));
        CHECK_OK(isthmus_lock_abandon(&lock));
        CHECK_INT(isthmus_lock_locked(&lock), 0);
        CHECK_RESULT(isthmus_lock_release(&lock), -EPERM);
        CHECK_RESULT(isthmus_lock_acquire(&lock, 0), -EOWNERDEAD);
        CHECK_UINT(state(&lock)->deaths, 1);
        CHECK_UINT(state(&lock)->depth, 1);
        CHECK_OK(isthmus_lock_release(&lock));
        CHECK_OK(isthmus_lock_acquire(&lock, 0));
        CHECK_OK(isthmus_lock_release(&lock));
        isthmus_primitive_close(&lock);
    }
}

static void the_owner_is_told_to_everybody(void)
{
    struct isthmus_primitive other;
    struct isthmus_participant owner;
    begin(ISTHMUS_KIND_RLOCK);
    together_join(&other, &lock);
    CHECK_RESULT(isthmus_primitive_owner(&other, &owner), -ENOENT);
    const uint64_t before = isthmus_deadline_after(0);
    CHECK_OK(isthmus_lock_acquire(&lock, 0));
    CHECK_OK(isthmus_primitive_owner(&other, &owner));
    CHECK_UINT(owner.slot, (uint32_t)lock.slot);
    CHECK_UINT(owner.pid, (uint32_t)getpid());
    CHECK_UINT(owner.tid, (uint32_t)gettid());
    CHECK(owner.pid_namespace != 0);
    CHECK(owner.joined_ns != 0);
    CHECK_INT(owner.alive, 1);
    /* The coarse clock is behind by a tick; it ticks a hundred times a second at least. */
    CHECK(owner.since_ns + 20000000 > before);
    CHECK(owner.since_ns <= isthmus_deadline_after(0));
    CHECK_OK(isthmus_lock_release(&lock));
    CHECK_RESULT(isthmus_primitive_owner(&lock, &owner), -ENOENT);
    isthmus_primitive_close(&other);
    isthmus_primitive_close(&lock);
}

static void a_handle_that_is_closed_or_of_another_kind_is_refused(void)
{
    struct isthmus_participant owner;
    begin(ISTHMUS_KIND_LOCK);
    isthmus_primitive_close(&lock);
    isthmus_primitive_close(&lock);
    CHECK_RESULT(isthmus_lock_acquire(&lock, 0), -EBADF);
    CHECK_RESULT(isthmus_lock_release(&lock), -EBADF);
    CHECK_RESULT(isthmus_lock_abandon(&lock), -EBADF);
    CHECK_RESULT(isthmus_lock_locked(&lock), -EBADF);
    CHECK_INT(isthmus_lock_is_mine(&lock), 0);
    CHECK_RESULT(isthmus_primitive_owner(&lock, &owner), -EBADF);

    begin(ISTHMUS_KIND_RWLOCK);
    CHECK_RESULT(isthmus_lock_acquire(&lock, 0), -EINVAL);
    CHECK_RESULT(isthmus_lock_release(&lock), -EINVAL);
    CHECK_RESULT(isthmus_lock_abandon(&lock), -EINVAL);
    CHECK_RESULT(isthmus_lock_locked(&lock), -EINVAL);
    CHECK_INT(isthmus_lock_is_mine(&lock), 0);
    isthmus_primitive_close(&lock);
}

/* ---- Threads ---------------------------------------------------------------------- */

static void *work_in_turn(void *argument)
{
    struct isthmus_primitive *handle = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        CHECK_OK(isthmus_lock_acquire(handle, SOON()));
        together_alone(area);
        CHECK_OK(isthmus_lock_release(handle));
    }
    return NULL;
}

static void threads_of_one_handle_take_turns(void)
{
    for (uint32_t kind = ISTHMUS_KIND_LOCK; kind <= ISTHMUS_KIND_RLOCK; kind++) {
        struct together_threads threads;
        begin(kind);
        together_begin(&threads, THREADS, work_in_turn, &lock);
        together_end(&threads);
        CHECK_UINT(area->first, THREADS * ROUNDS);
        CHECK_UINT(together_waiting(&lock), 0);
        CHECK_UINT(state(&lock)->word, 0);
        isthmus_primitive_close(&lock);
    }
}

static void *release_and_take(void *argument)
{
    (void)argument;
    CHECK_OK(isthmus_lock_release(&lock));
    CHECK_OK(isthmus_lock_acquire(&lock, SOON()));
    return NULL;
}

static void a_lock_belongs_to_all_threads_of_the_handle(void)
{
    struct together_threads thread;
    begin(ISTHMUS_KIND_LOCK);
    CHECK_OK(isthmus_lock_acquire(&lock, 0));
    together_begin(&thread, 1, release_and_take, NULL);
    together_end(&thread);
    CHECK_INT(isthmus_lock_is_mine(&lock), 1);
    CHECK_OK(isthmus_lock_release(&lock));
    isthmus_primitive_close(&lock);
}

static void *try_in_vain(void *argument)
{
    (void)argument;
    CHECK_RESULT(isthmus_lock_release(&lock), -EPERM);
    CHECK_RESULT(isthmus_lock_abandon(&lock), -EPERM);
    CHECK_RESULT(isthmus_lock_acquire(&lock, 0), -ETIMEDOUT);
    CHECK_INT(isthmus_lock_is_mine(&lock), 0);
    return NULL;
}

static void a_recursive_lock_belongs_to_one_thread(void)
{
    struct together_threads thread;
    begin(ISTHMUS_KIND_RLOCK);
    CHECK_OK(isthmus_lock_acquire(&lock, 0));
    together_begin(&thread, 1, try_in_vain, NULL);
    together_end(&thread);
    CHECK_INT(isthmus_lock_is_mine(&lock), 1);
    CHECK_OK(isthmus_lock_release(&lock));
    isthmus_primitive_close(&lock);
}

/* ---- Processes -------------------------------------------------------------------- */

static void work_in_a_process(struct isthmus_primitive *own)
{
    work_in_turn(own);
}

static void processes_take_turns(void)
{
    for (uint32_t kind = ISTHMUS_KIND_LOCK; kind <= ISTHMUS_KIND_RLOCK; kind++) {
        pid_t children[THREADS];
        begin(kind);
        for (unsigned i = 0; i < THREADS; i++)
            children[i] = together_send(&lock, work_in_a_process);
        work_in_turn(&lock);
        for (unsigned i = 0; i < THREADS; i++)
            CHECK_INT(check_join_child(children[i]), 0);
        CHECK_UINT(area->first, (THREADS + 1) * ROUNDS);
        CHECK_UINT(state(&lock)->word, 0);
        isthmus_primitive_close(&lock);
    }
}

static void take(struct isthmus_primitive *own)
{
    CHECK_OK(isthmus_lock_acquire(own, 0));
}

static void take_and_exit(void *argument)
{
    struct isthmus_primitive own;
    (void)argument;
    together_join(&own, &lock);
    take(&own);
}

static void a_killed_owner_is_replaced_even_as_a_zombie(void)
{
    for (uint32_t kind = ISTHMUS_KIND_LOCK; kind <= ISTHMUS_KIND_RLOCK; kind++) {
        struct isthmus_participant owner;
        begin(kind);
        pid_t child = together_stay(&lock, take);
        CHECK_RESULT(isthmus_lock_acquire(&lock, 0), -ETIMEDOUT);
        CHECK_OK(isthmus_primitive_owner(&lock, &owner));
        CHECK_UINT(owner.pid, (uint32_t)child);
        CHECK_INT(owner.alive, 1);
        CHECK_INT(kill(child, SIGKILL), 0);
        /* Not reaped, so a zombie at most. */
        CHECK_RESULT(isthmus_lock_acquire(&lock, SOON()), -EOWNERDEAD);
        CHECK_UINT(state(&lock)->deaths, 1);
        CHECK_OK(isthmus_lock_release(&lock));
        CHECK_OK(isthmus_lock_acquire(&lock, 0));
        CHECK_OK(isthmus_lock_release(&lock));
        CHECK_INT(check_join_child(child), -SIGKILL);
        isthmus_primitive_close(&lock);
    }
}

/* As the first process of a pid namespace of its own, whose pid others have as well. */
static void take_in_a_namespace(void *argument)
{
    uint32_t *answer = argument;
    if (unshare(CLONE_NEWPID)) {
        poke(answer, (uint32_t)errno);
        return;
    }
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        take_and_exit(NULL);
        _exit(0);
    }
    CHECK_INT(check_join_child(child), 0);
}

static void an_owner_that_died_in_another_pid_namespace_is_replaced(void)
{
    struct isthmus_participant owner;
    uint32_t *answer = together_memory(sizeof *answer);
    begin(ISTHMUS_KIND_LOCK);
    CHECK_INT(check_in_child(take_in_a_namespace, answer), 0);
    if (peek(answer))
        check_skip("no pid namespace of its own", (int)peek(answer));
    CHECK_OK(isthmus_primitive_owner(&lock, &owner));
    CHECK_UINT(owner.pid, 1);
    CHECK_INT(owner.alive, 0);
    /* A process with that pid lives, but not the one that is meant. */
    CHECK(kill(1, 0) == 0 || errno == EPERM);
    CHECK_RESULT(isthmus_lock_acquire(&lock, SOON()), -EOWNERDEAD);
    CHECK_OK(isthmus_lock_release(&lock));
    isthmus_primitive_close(&lock);
}

static void one_that_only_tries_gets_it_from_a_dead_owner(void)
{
    struct isthmus_participant owner;
    begin(ISTHMUS_KIND_LOCK);
    CHECK_INT(check_in_child(take_and_exit, NULL), 0);
    CHECK_OK(isthmus_primitive_owner(&lock, &owner));
    CHECK_INT(owner.alive, 0);
    CHECK_INT(isthmus_lock_locked(&lock), 1);
    CHECK_RESULT(isthmus_lock_acquire(&lock, 0), -EOWNERDEAD);
    CHECK_OK(isthmus_lock_release(&lock));
    isthmus_primitive_close(&lock);
}

static void *wait_for_the_dead(void *argument)
{
    struct isthmus_primitive *handle = argument;
    int result = isthmus_lock_acquire(handle, SOON());
    CHECK(result == 0 || result == -EOWNERDEAD);
    if (result)
        area->second = area->first;
    together_alone(area);
    CHECK_OK(isthmus_lock_release(handle));
    return NULL;
}

static void of_many_that_wait_for_a_dead_owner_one_is_told(void)
{
    struct together_threads threads;
    begin(ISTHMUS_KIND_LOCK);
    pid_t child = together_stay(&lock, take);
    together_begin(&threads, 8, wait_for_the_dead, &lock);
    UNTIL(together_waiting(&lock) == 8);
    CHECK_INT(kill(child, SIGKILL), 0);
    together_end(&threads);
    CHECK_INT(check_join_child(child), -SIGKILL);
    CHECK_UINT(area->first, 8);
    CHECK_UINT(state(&lock)->deaths, 1);
    CHECK_UINT(together_waiting(&lock), 0);
    isthmus_primitive_close(&lock);
}

static void a_stopped_owner_is_not_a_dead_one(void)
{
    begin(ISTHMUS_KIND_LOCK);
    pid_t child = together_stay(&lock, take);
    CHECK_INT(kill(child, SIGSTOP), 0);
    CHECK_RESULT(isthmus_lock_acquire(&lock, isthmus_deadline_after(30000000)), -ETIMEDOUT);
    CHECK_INT(kill(child, SIGCONT), 0);
    CHECK_INT(kill(child, SIGKILL), 0);
    CHECK_INT(check_join_child(child), -SIGKILL);
    isthmus_primitive_close(&lock);
}

static void closing_while_holding_counts_as_a_death(void)
{
    struct isthmus_primitive other;
    begin(ISTHMUS_KIND_LOCK);
    together_join(&other, &lock);
    CHECK_OK(isthmus_lock_acquire(&lock, 0));
    isthmus_primitive_close(&lock);
    CHECK_RESULT(isthmus_lock_acquire(&other, 0), -EOWNERDEAD);
    CHECK_OK(isthmus_lock_release(&other));
    isthmus_primitive_close(&other);
}

static volatile sig_atomic_t rang;

static void ring(int number)
{
    (void)number;
    rang = 1;
}

static void a_signal_ends_a_wait_and_the_wait_can_go_on(void)
{
    const struct sigaction action = {.sa_handler = ring};
    begin(ISTHMUS_KIND_LOCK);
    pid_t owner = together_stay(&lock, take);
    CHECK_INT(sigaction(SIGUSR1, &action, NULL), 0);
    pid_t self = getpid();
    pid_t bell = fork();
    CHECK(bell >= 0);
    if (bell == 0) {
        UNTIL(together_waiting(&lock));
        while (kill(self, SIGUSR1) == 0 && getppid() == self)
            together_pause();
        _exit(0);
    }
    CHECK_RESULT(isthmus_lock_acquire(&lock, SOON()), -EINTR);
    CHECK_INT(rang, 1);
    CHECK_UINT(together_waiting(&lock), 0);
    CHECK_INT(kill(bell, SIGKILL), 0);
    CHECK_INT(check_join_child(bell), -SIGKILL);
    CHECK_INT(kill(owner, SIGKILL), 0);
    CHECK_RESULT(isthmus_lock_acquire(&lock, SOON()), -EOWNERDEAD);
    CHECK_INT(check_join_child(owner), -SIGKILL);
    isthmus_primitive_close(&lock);
}

/* ---- What others may have written --------------------------------------------------- */

static void a_word_that_means_nothing_is_taken_as_from_a_dead_owner(void)
{
    static const uint32_t words[] = {
        TOGETHER_PARTICIPANTS + 1,                    /* no such slot */
        UINT32_C(0xffff),                             /* the same */
        ISTHMUS_WORD_WAITERS | UINT32_C(0xffff),      /* and somebody waits */
        ISTHMUS_WORD_ABANDONED | UINT32_C(0xffff),    /* both owned and abandoned */
        TOGETHER_PARTICIPANTS,                        /* a slot that nobody has had */
        UINT32_C(0x3fff0000) | TOGETHER_PARTICIPANTS, /* with bits that mean nothing */
        UINT32_C(0xffffffff),
    };
    for (uint32_t kind = ISTHMUS_KIND_LOCK; kind <= ISTHMUS_KIND_RLOCK; kind++) {
        begin(kind);
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
            state(&lock)->word = words[i];
            state(&lock)->tid = (uint32_t)gettid();
            CHECK_RESULT(isthmus_lock_acquire(&lock, 0), -EOWNERDEAD);
            CHECK_OK(isthmus_lock_release(&lock));
            CHECK_UINT(state(&lock)->word, 0);
            state(&lock)->word = words[i];
            CHECK_RESULT(isthmus_lock_acquire(&lock, SOON()), -EOWNERDEAD);
            CHECK_OK(isthmus_lock_release(&lock));
            CHECK_UINT(state(&lock)->word, 0);
        }
        /* Nobody has it, whatever else the word says. */
        state(&lock)->word = UINT32_C(0x3fff0000);
        CHECK_OK(isthmus_lock_acquire(&lock, 0));
        CHECK_OK(isthmus_lock_release(&lock));
        CHECK_UINT(state(&lock)->word, 0);
        state(&lock)->word = ISTHMUS_WORD_WAITERS;
        CHECK_OK(isthmus_lock_acquire(&lock, 0));
        CHECK_OK(isthmus_lock_release(&lock));
        CHECK_UINT(state(&lock)->word, 0);
        isthmus_primitive_close(&lock);
    }
}

static const struct check_test tests[] = {
    CHECK_TEST(a_lock_is_taken_and_given_back),
    CHECK_TEST(two_handles_in_one_process_exclude_each_other),
    CHECK_TEST(a_wait_that_begins_again_at_once_is_still_the_same_one_for_people),
    CHECK_TEST(a_lock_taken_twice_waits_for_itself_and_a_recursive_one_counts),
    CHECK_TEST(anybody_may_release_a_lock_for_its_owner),
    CHECK_TEST(a_release_by_another_wakes_one_that_waits),
    CHECK_TEST(a_timeout_is_never_early),
    CHECK_TEST(an_abandoned_lock_says_so_to_the_next_owner_and_to_no_other),
    CHECK_TEST(the_owner_is_told_to_everybody),
    CHECK_TEST(a_handle_that_is_closed_or_of_another_kind_is_refused),
    CHECK_TEST(threads_of_one_handle_take_turns),
    CHECK_TEST(a_lock_belongs_to_all_threads_of_the_handle),
    CHECK_TEST(a_recursive_lock_belongs_to_one_thread),
    CHECK_TEST(processes_take_turns),
    CHECK_TEST(a_killed_owner_is_replaced_even_as_a_zombie),
    CHECK_TEST(an_owner_that_died_in_another_pid_namespace_is_replaced),
    CHECK_TEST(one_that_only_tries_gets_it_from_a_dead_owner),
    CHECK_TEST(of_many_that_wait_for_a_dead_owner_one_is_told),
    CHECK_TEST(a_stopped_owner_is_not_a_dead_one),
    CHECK_TEST(closing_while_holding_counts_as_a_death),
    CHECK_TEST(a_signal_ends_a_wait_and_the_wait_can_go_on),
    CHECK_TEST(a_word_that_means_nothing_is_taken_as_from_a_dead_owner),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
