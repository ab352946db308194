/* Conditions, with a lock of their own and with one that is another object. */
#include "check.h"
#include "together.h"
#include <errno.h>
#include <unistd.h>

#define WAITERS 4u
#define ITEMS 400u

static struct isthmus_primitive condition, lock;
/* What to pass as the lock: the condition itself, or the other object. */
static struct isthmus_primitive *held;
static struct {
    uint32_t notified, timed_out, items, produced;
} *shared;

static struct isthmus_shared_condition *state(void)
{
    return (struct isthmus_shared_condition *)(condition.shared + 1);
}

static void begin(int external)
{
    together_make(&condition, ISTHMUS_KIND_CONDITION, external ? ISTHMUS_EXTERNAL_LOCK : 0, 0);
    together_make(&lock, external == 2 ? ISTHMUS_KIND_LOCK : ISTHMUS_KIND_RLOCK, 0, 0);
    held = external ? &lock : &condition;
    shared = together_memory(sizeof *shared);
}

static void end(void)
{
    CHECK_UINT(together_waiting(&condition), 0);
    CHECK_INT(isthmus_lock_locked(held), 0);
    isthmus_primitive_close(&lock);
    isthmus_primitive_close(&condition);
}

/* Its own lock, a recursive one of another object, a lock of another object. */
#define FOR_EACH_LOCK(external) for (int external = 0; external <= 2; external++)

static void notify(uint32_t count)
{
    CHECK_OK(isthmus_lock_acquire(held, SOON()));
    CHECK_OK(isthmus_condition_notify(&condition, held, count));
    CHECK_OK(isthmus_lock_release(held));
}

/* Threads in a wait, whether asleep already or not. */
static uint32_t in_there(void)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < condition.count; i++)
        sum += peek(&condition.slots[i].share);
    return sum;
}

static void *wait_once(void *argument)
{
    int notified = 0;
    (void)argument;
    CHECK_OK(isthmus_lock_acquire(held, SOON()));
    CHECK_OK(isthmus_condition_wait(&condition, held, SOON(), &notified));
    CHECK_INT(notified, 1);
    CHECK_INT(isthmus_lock_is_mine(held), 1);
    count_up(&shared->notified);
    CHECK_OK(isthmus_lock_release(held));
    return NULL;
}

static void without_the_lock_nothing_is_done(void)
{
    FOR_EACH_LOCK(external)
    {
        begin(external);
        CHECK_RESULT(isthmus_condition_wait(&condition, held, 0, NULL), -EPERM);
        CHECK_RESULT(isthmus_condition_notify(&condition, held, 1), -EPERM);
        /* Its own lock for one that has none, another's for one that has its own. */
        CHECK_OK(isthmus_lock_acquire(held, 0));
        struct isthmus_primitive *other = external ? &condition : &lock;
        CHECK_RESULT(isthmus_condition_wait(&condition, other, 0, NULL), -EINVAL);
        CHECK_RESULT(isthmus_condition_notify(&condition, other, 1), -EINVAL);
        CHECK_OK(isthmus_lock_release(held));
        CHECK_RESULT(isthmus_lock_acquire(&condition, 0), external ? -EINVAL : 0);
        if (!external)
            CHECK_OK(isthmus_lock_release(&condition));
        end();
    }
}

static void a_handle_that_is_closed_or_of_another_kind_is_refused(void)
{
    struct isthmus_condition_waiter waiter = {0, 1};
    begin(0);
    CHECK_RESULT(isthmus_condition_notify(&lock, &lock, 1), -EINVAL);
    CHECK_RESULT(isthmus_condition_sleep(&lock, &waiter, 0), -EINVAL);
    end();
    CHECK_RESULT(isthmus_condition_wait(&condition, &condition, 0, NULL), -EBADF);
    CHECK_RESULT(isthmus_condition_notify(&condition, &condition, 1), -EBADF);
    CHECK_RESULT(isthmus_condition_enter(&condition, &condition, &waiter), -EBADF);
    CHECK_RESULT(isthmus_condition_sleep(&condition, &waiter, 0), -EBADF);
    CHECK_RESULT(isthmus_condition_retake(&condition, &waiter, 0), -EBADF);
    CHECK_RESULT(isthmus_condition_leave(&condition, &condition, &waiter, 0), -EBADF);
}

static void a_wait_that_nobody_ends_times_out_with_the_lock_held(void)
{
    FOR_EACH_LOCK(external)
    {
        int notified = 4711;
        begin(external);
        CHECK_OK(isthmus_lock_acquire(held, 0));
        CHECK_RESULT(isthmus_condition_wait(&condition, held, 0, &notified), -ETIMEDOUT);
        CHECK_INT(notified, 0);
        CHECK_INT(isthmus_lock_is_mine(held), 1);
        const uint64_t deadline = isthmus_deadline_after(12000000);
        CHECK_RESULT(isthmus_condition_wait(&condition, held, deadline, NULL), -ETIMEDOUT);
        CHECK(isthmus_deadline_after(0) >= deadline);
        CHECK_INT(isthmus_lock_is_mine(held), 1);
        CHECK_UINT(in_there(), 0);
        CHECK_OK(isthmus_lock_release(held));
        end();
    }
}

static void however_often_it_is_held_a_wait_releases_it_and_brings_it_back(void)
{
    begin(1);
    struct together_threads thread;
    together_begin(&thread, 1, wait_once, NULL);
    UNTIL(in_there() == 1);
    for (unsigned i = 0; i < 3; i++)
        CHECK_OK(isthmus_lock_acquire(held, SOON()));
    CHECK_OK(isthmus_condition_notify(&condition, held, 1));
    /* The other thread gets the lock only if this wait lets all of it go. */
    while (!peek(&shared->notified))
        CHECK_RESULT(
            isthmus_condition_wait(&condition, held, isthmus_deadline_after(1000000), NULL),
            -ETIMEDOUT);
    together_end(&thread);
    for (unsigned i = 0; i < 3; i++)
        CHECK_OK(isthmus_lock_release(held));
    CHECK_RESULT(isthmus_lock_release(held), -EPERM);
    end();
}

static void notify_wakes_as_many_as_asked_for_and_no_more(void)
{
    FOR_EACH_LOCK(external)
    {
        struct together_threads threads;
        begin(external);
        notify(1); /* to nobody, and so forgotten */
        notify(UINT32_MAX);
        CHECK_UINT(state()->tokens, 0);
        together_begin(&threads, WAITERS, wait_once, NULL);
        UNTIL(in_there() == WAITERS);
        notify(0);
        notify(1);
        UNTIL(peek(&shared->notified) == 1);
        CHECK_UINT(in_there(), WAITERS - 1);
        CHECK_UINT(state()->tokens, 0);
        notify(2);
        UNTIL(peek(&shared->notified) == 3);
        CHECK_UINT(in_there(), WAITERS - 3);
        notify(UINT32_MAX);
        together_end(&threads);
        CHECK_UINT(shared->notified, WAITERS);
        CHECK_UINT(state()->tokens, 0);
        end();
    }
}

static void a_notification_is_for_those_that_waited_then(void)
{
    struct isthmus_condition_waiter first, late;
    begin(0);
    CHECK_OK(isthmus_lock_acquire(held, 0));
    CHECK_OK(isthmus_condition_enter(&condition, held, &first));
    notify(1);
    CHECK_OK(isthmus_lock_acquire(held, 0));
    CHECK_OK(isthmus_condition_enter(&condition, held, &late));
    /* The late one may not take what was the first one's. */
    CHECK_RESULT(isthmus_condition_sleep(&condition, &late, 0), -ETIMEDOUT);
    CHECK_OK(isthmus_condition_sleep(&condition, &first, 0));
    CHECK_OK(isthmus_condition_retake(held, &late, 0));
    CHECK_INT(isthmus_condition_leave(&condition, held, &late, 1), 0);
    CHECK_INT(isthmus_lock_locked(held), 0);
    CHECK_OK(isthmus_condition_retake(held, &late, 0));
    CHECK_INT(isthmus_condition_leave(&condition, held, &late, 0), 0);
    CHECK_INT(isthmus_condition_leave(&condition, held, &first, 0), 1);
    CHECK_OK(isthmus_lock_release(held));
    CHECK_UINT(in_there(), 0);
    end();
}

static void one_that_gives_up_leaves_its_notification_to_none_that_came_later(void)
{
    struct isthmus_condition_waiter waiter;
    begin(0);
    CHECK_OK(isthmus_lock_acquire(held, 0));
    CHECK_OK(isthmus_condition_enter(&condition, held, &waiter));
    notify(UINT32_MAX);
    /* Timed out, and notified before it got the lock: then it was notified. */
    CHECK_OK(isthmus_condition_retake(held, &waiter, 0));
    CHECK_INT(isthmus_condition_leave(&condition, held, &waiter, 0), 1);
    CHECK_UINT(state()->tokens, 0);
    CHECK_RESULT(isthmus_condition_wait(&condition, held, 0, NULL), -ETIMEDOUT);
    CHECK_OK(isthmus_lock_release(held));
    end();
}

/* ---- Producers and consumers ------------------------------------------------------------ */

static void consume(struct isthmus_primitive *own, struct isthmus_primitive *own_lock)
{
    CHECK_OK(isthmus_lock_acquire(own_lock, SOON()));
    for (unsigned i = 0; i < ITEMS; i++) {
        while (shared->items == 0)
            CHECK_OK(isthmus_condition_wait(own, own_lock, SOON(), NULL));
        shared->items--;
    }
    CHECK_OK(isthmus_lock_release(own_lock));
}

static void consume_in_a_process(struct isthmus_primitive *own)
{
    struct isthmus_primitive own_lock;
    if (held == &condition) {
        consume(own, own);
    } else {
        together_join(&own_lock, &lock);
        consume(own, &own_lock);
        isthmus_primitive_close(&own_lock);
    }
}

static void *consume_in_a_thread(void *argument)
{
    (void)argument;
    consume(&condition, held);
    return NULL;
}

static void every_item_reaches_a_consumer(void)
{
    FOR_EACH_LOCK(external)
    {
        struct together_threads threads;
        pid_t children[2];
        begin(external);
        for (unsigned i = 0; i < 2; i++)
            children[i] = together_send(&condition, consume_in_a_process);
        together_begin(&threads, 2, consume_in_a_thread, NULL);
        for (unsigned i = 0; i < 4 * ITEMS; i++) {
            CHECK_OK(isthmus_lock_acquire(held, SOON()));
            shared->items++;
            CHECK_OK(isthmus_condition_notify(&condition, held, 1));
            CHECK_OK(isthmus_lock_release(held));
        }
        together_end(&threads);
        for (unsigned i = 0; i < 2; i++)
            CHECK_INT(check_join_child(children[i]), 0);
        CHECK_UINT(shared->items, 0);
        CHECK_UINT(in_there(), 0);
        end();
    }
}

/* ---- Death ---------------------------------------------------------------------------------- */

static void wait_for_ever(struct isthmus_primitive *own)
{
    struct isthmus_condition_waiter waiter;
    CHECK_OK(isthmus_lock_acquire(own, SOON()));
    CHECK_OK(isthmus_condition_enter(own, own, &waiter));
}

static void a_notification_is_not_lost_to_a_dead_waiter(void)
{
    struct together_threads thread;
    begin(0);
    /* The dead one was there first, so that the kernel, too, would have woken it first. */
    pid_t child = together_stay(&condition, wait_for_ever);
    together_begin(&thread, 1, wait_once, NULL);
    UNTIL(in_there() == 2);
    together_kill(child);
    notify(1);
    together_end(&thread);
    CHECK_UINT(shared->notified, 1);
    end();
}

static void a_notification_goes_on_when_the_notified_dies(void)
{
    struct together_threads thread;
    begin(0);
    pid_t child = together_stay(&condition, wait_for_ever);
    together_begin(&thread, 1, wait_once, NULL);
    UNTIL(in_there() == 2);
    notify(1);
    together_kill(child);
    together_end(&thread);
    end();
}

static void tokens_of_the_dead_do_not_pile_up(void)
{
    begin(0);
    for (unsigned i = 0; i < 5; i++) {
        pid_t child = together_stay(&condition, wait_for_ever);
        notify(UINT32_MAX);
        together_kill(child);
    }
    /* Whoever comes now waits for a notification of its own. */
    CHECK_OK(isthmus_lock_acquire(held, 0));
    CHECK_RESULT(isthmus_condition_wait(&condition, held, 0, NULL), -ETIMEDOUT);
    CHECK_RESULT(isthmus_condition_wait(&condition, held, isthmus_deadline_after(20000000), NULL),
                 -ETIMEDOUT);
    CHECK_OK(isthmus_lock_release(held));
    end();
}

static void take(struct isthmus_primitive *own)
{
    CHECK_OK(isthmus_lock_acquire(own, SOON()));
    shared->items = 1;
    CHECK_OK(isthmus_condition_notify(own, own, 1));
}

static void *wait_for_an_owner_that_dies(void *argument)
{
    int notified = 0;
    (void)argument;
    CHECK_OK(isthmus_lock_acquire(held, SOON()));
    CHECK_RESULT(isthmus_condition_wait(&condition, held, SOON(), &notified), -EOWNERDEAD);
    CHECK_INT(notified, 1);
    CHECK_OK(isthmus_lock_release(held));
    return NULL;
}

static void a_waiter_hears_that_the_owner_died_after_notifying(void)
{
    struct together_threads thread;
    begin(0);
    together_begin(&thread, 1, wait_for_an_owner_that_dies, NULL);
    UNTIL(in_there() == 1);
    together_kill(together_stay(&condition, take));
    together_end(&thread);
    end();
}

static void *hear_of_a_death_without_a_notification(void *argument)
{
    int notified = 1;
    (void)argument;
    CHECK_OK(isthmus_lock_acquire(held, SOON()));
    CHECK_RESULT(isthmus_condition_wait(&condition, held, ISTHMUS_FOREVER, &notified), -EOWNERDEAD);
    CHECK_INT(notified, 0);
    CHECK_INT(isthmus_lock_is_mine(held), 1);
    count_up(&shared->notified);
    CHECK_OK(isthmus_lock_release(held));
    return NULL;
}

/* Else it would give the lock back as if all was well, and the next one would be told nothing. */
static void a_waiter_that_takes_the_lock_from_a_dead_owner_does_not_sleep_again(void)
{
    struct isthmus_condition_waiter quicker;
    struct together_threads thread;
    begin(1);
    CHECK_OK(isthmus_lock_acquire(held, 0));
    CHECK_OK(isthmus_condition_enter(&condition, held, &quicker));
    together_begin(&thread, 1, hear_of_a_death_without_a_notification, NULL);
    UNTIL(in_there() == 2);
    CHECK_OK(isthmus_lock_acquire(held, SOON()));
    CHECK_OK(isthmus_condition_notify(&condition, held, 1));
    /* It has seen the notification, and wants the lock. */
    UNTIL(together_waiting(&lock));
    CHECK_INT(isthmus_condition_leave(&condition, held, &quicker, 0), 1);
    CHECK_OK(isthmus_lock_abandon(held));
    UNTIL(peek(&shared->notified));
    together_end(&thread);
    end();
}

/* ---- What others may have written --------------------------------------------------------------
 */

static void tokens_that_nobody_gave_end_a_wait_at_worst(void)
{
    struct isthmus_condition_waiter waiter;
    begin(0);
    state()->tokens = UINT32_MAX;
    state()->limit = UINT64_MAX;
    condition.slots[6].share = UINT32_MAX;
    condition.shared->used = UINT32_MAX;
    CHECK_OK(isthmus_lock_acquire(held, 0));
    /* Sweeps, counts who waits, and takes back the rest. */
    CHECK_OK(isthmus_condition_notify(&condition, held, 1));
    CHECK_UINT(condition.slots[6].share, 0);
    CHECK_UINT(state()->tokens, 0);
    CHECK_OK(isthmus_condition_enter(&condition, held, &waiter));
    CHECK_RESULT(isthmus_condition_sleep(&condition, &waiter, 0), -ETIMEDOUT);
    CHECK_OK(isthmus_condition_retake(held, &waiter, 0));
    CHECK_INT(isthmus_condition_leave(&condition, held, &waiter, 0), 0);
    CHECK_OK(isthmus_lock_release(held));
    end();
}

static const struct check_test tests[] = {
    CHECK_TEST(without_the_lock_nothing_is_done),
    CHECK_TEST(a_handle_that_is_closed_or_of_another_kind_is_refused),
    CHECK_TEST(a_wait_that_nobody_ends_times_out_with_the_lock_held),
    CHECK_TEST(however_often_it_is_held_a_wait_releases_it_and_brings_it_back),
    CHECK_TEST(notify_wakes_as_many_as_asked_for_and_no_more),
    CHECK_TEST(a_notification_is_for_those_that_waited_then),
    CHECK_TEST(one_that_gives_up_leaves_its_notification_to_none_that_came_later),
    CHECK_TEST(every_item_reaches_a_consumer),
    CHECK_TEST(a_notification_is_not_lost_to_a_dead_waiter),
    CHECK_TEST(a_notification_goes_on_when_the_notified_dies),
    CHECK_TEST(tokens_of_the_dead_do_not_pile_up),
    CHECK_TEST(a_waiter_hears_that_the_owner_died_after_notifying),
    CHECK_TEST(a_waiter_that_takes_the_lock_from_a_dead_owner_does_not_sleep_again),
    CHECK_TEST(tokens_that_nobody_gave_end_a_wait_at_worst),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
