/*
 * Waiting for the first of several things. Also linked with a core whose waits have no slices:
 * there a wake-up that is lost, or was given to a wait that takes nothing and was not passed
 * on, is a test that hangs.
 */
#include "check.h"
#include "together.h"
#include "wait_many.h"
#include <errno.h>
#include <string.h>

#define ROUNDS 1500u
#define THREADS 4u

enum place {
    LOCK,
    RLOCK,
    SEMAPHORE,
    ROBUST,
    EVENT,
    PLACES
};

static struct isthmus_primitive things[PLACES];
static struct isthmus_waited waited[PLACES];

static void fill(struct isthmus_waited *list, struct isthmus_primitive *handles)
{
    memset(list, 0, PLACES * sizeof *list);
    for (unsigned i = 0; i < PLACES; i++)
        list[i].primitive = &handles[i];
}

static void begin(void)
{
    together_make(&things[LOCK], ISTHMUS_KIND_LOCK, 0, 0);
    together_make(&things[RLOCK], ISTHMUS_KIND_RLOCK, 0, 0);
    together_make(&things[SEMAPHORE], ISTHMUS_KIND_SEMAPHORE, 0, 1);
    together_make(&things[ROBUST], ISTHMUS_KIND_SEMAPHORE, ISTHMUS_ROBUST, 1);
    together_make(&things[EVENT], ISTHMUS_KIND_EVENT, 0, 0);
    fill(waited, things);
}

static void end(void)
{
    for (unsigned i = 0; i < PLACES; i++) {
        CHECK_UINT(things[i].count && together_waiting(&things[i]), 0);
        isthmus_primitive_close(&things[i]);
    }
}

/* Have all of them taken, by a handle that is not waited with. */
static void take_all(struct isthmus_primitive *others)
{
    for (unsigned i = 0; i < PLACES; i++)
        together_join(&others[i], &things[i]);
    CHECK_OK(isthmus_lock_acquire(&others[LOCK], 0));
    CHECK_OK(isthmus_lock_acquire(&others[RLOCK], 0));
    CHECK_OK(isthmus_semaphore_acquire(&others[SEMAPHORE], 0));
    CHECK_OK(isthmus_semaphore_acquire(&others[ROBUST], 0));
}

static void close_all(struct isthmus_primitive *others)
{
    for (unsigned i = 0; i < PLACES; i++)
        isthmus_primitive_close(&others[i]);
}

static void give_back(struct isthmus_primitive *others, unsigned place)
{
    switch (place) {
    case LOCK:
    case RLOCK:
        CHECK_OK(isthmus_lock_release(&others[place]));
        break;
    case SEMAPHORE:
    case ROBUST:
        CHECK_OK(isthmus_semaphore_release(&others[place], 1));
        break;
    default:
        CHECK_OK(isthmus_event_set(&others[place]));
    }
}

static void all_that_are_ready_are_told(void)
{
    begin();
    CHECK_INT(isthmus_wait_many(waited, PLACES, 0, SOON()), 4);
    for (unsigned i = 0; i < PLACES; i++)
        CHECK_INT(waited[i].ready, i != EVENT);
    CHECK_OK(isthmus_event_set(&things[EVENT]));
    CHECK_INT(isthmus_wait_many(waited, PLACES, 0, 0), 5);
    CHECK_RESULT(isthmus_wait_many(waited, 0, 0, 0), -EINVAL);
    end();
}

static void a_recursive_lock_is_ready_for_the_thread_that_has_it(void)
{
    begin();
    CHECK_OK(isthmus_lock_acquire(&things[LOCK], 0));
    CHECK_OK(isthmus_lock_acquire(&things[RLOCK], 0));
    CHECK_RESULT(isthmus_wait_many(waited, 1, 0, 0), -ETIMEDOUT);
    CHECK_INT(isthmus_wait_many(waited + 1, 1, 0, 0), 1);
    end();
}

static void a_wait_ends_when_its_time_is_over(void)
{
    struct isthmus_primitive others[PLACES];
    begin();
    take_all(others);
    for (int poll = 0; poll < 2; poll++) {
        const uint64_t deadline = isthmus_deadline_after(30000000);
        CHECK_RESULT(isthmus_wait_many(waited, PLACES, poll, deadline), -ETIMEDOUT);
        CHECK(isthmus_deadline_after(0) >= deadline);
        CHECK_RESULT(isthmus_wait_many(waited, PLACES, poll, 0), -ETIMEDOUT);
    }
    close_all(others);
    end();
}

static void what_cannot_be_waited_for_is_refused(void)
{
    struct isthmus_primitive number;
    begin();
    together_make(&number, ISTHMUS_KIND_ATOMIC_INT, 0, 0);
    waited[1].primitive = &number;
    CHECK_RESULT(isthmus_wait_many(waited + 1, 1, 0, SOON()), -EINVAL);
    isthmus_primitive_close(&number);
    CHECK_RESULT(isthmus_wait_many(waited + 1, 1, 0, SOON()), -EBADF);
    end();
}

struct sleeper {
    int poll;
    int result;
    struct isthmus_waited list[PLACES];
};

static void *sleep_on_all(void *argument)
{
    struct sleeper *sleeper = argument;
    sleeper->result = isthmus_wait_many(sleeper->list, PLACES, sleeper->poll, SOON());
    return NULL;
}

static void each_of_them_ends_the_wait(void)
{
    struct isthmus_primitive others[PLACES];
    for (unsigned place = 0; place < 2 * PLACES; place++) {
        struct together_threads threads;
        struct sleeper sleeper = {.poll = place >= PLACES};
        begin();
        take_all(others);
        fill(sleeper.list, things);
        together_begin(&threads, 1, sleep_on_all, &sleeper);
        UNTIL(together_waiting(&things[ROBUST]) && together_waiting(&things[EVENT]));
        give_back(others, place % PLACES);
        together_end(&threads);
        CHECK_INT(sleeper.result, 1);
        CHECK_INT(sleeper.list[place % PLACES].ready, 1);
        close_all(others);
        end();
    }
}

static void an_event_that_was_cleared_again_counts(void)
{
    struct isthmus_primitive others[PLACES];
    begin();
    take_all(others);
    CHECK_RESULT(isthmus_wait_many(waited, PLACES, 0, 0), -ETIMEDOUT);
    CHECK_OK(isthmus_event_set(&things[EVENT]));
    CHECK_OK(isthmus_event_clear(&things[EVENT]));
    CHECK_INT(isthmus_wait_many(waited, PLACES, 0, 0), 1);
    CHECK_INT(waited[EVENT].ready, 1);
    close_all(others);
    end();
}

/* ---- More than the kernel takes at once ---------------------------------------------- */

#define MANY (2 * ISTHMUS_WAIT_MANY_WORDS)

static struct isthmus_primitive many[MANY];
static struct isthmus_waited many_waited[MANY];

static void *set_one(void *argument)
{
    UNTIL(together_waiting(&many[0]));
    CHECK_OK(isthmus_event_set(argument));
    return NULL;
}

static void any_number_may_be_waited_for(void)
{
    static const unsigned which[] = {0, ISTHMUS_WAIT_MANY_WORDS - 1, ISTHMUS_WAIT_MANY_WORDS,
                                     MANY - 1};
    for (unsigned i = 0; i < sizeof which / sizeof which[0]; i++) {
        struct together_threads threads;
        for (unsigned j = 0; j < MANY; j++) {
            together_make(&many[j], ISTHMUS_KIND_EVENT, 0, 0);
            many_waited[j] = (struct isthmus_waited){.primitive = &many[j]};
        }
        together_begin(&threads, 1, set_one, &many[which[i]]);
        CHECK_INT(isthmus_wait_many(many_waited, MANY, 0, SOON()), 1);
        CHECK_INT(many_waited[which[i]].ready, 1);
        together_end(&threads);
        for (unsigned j = 0; j < MANY; j++)
            isthmus_primitive_close(&many[j]);
    }
}

/* ---- Beside others that take ---------------------------------------------------------- */

struct taker {
    struct isthmus_primitive own[PLACES];
    unsigned place;
};
static int take(struct isthmus_primitive *own, unsigned place, uint64_t deadline);

static void *take_one(void *argument)
{
    struct taker *taker = argument;
    CHECK_OK(take(taker->own, taker->place, SOON()));
    give_back(taker->own, taker->place); /* it may have been faster than the wait's look */
    return NULL;
}

/* The kernel wakes the one that has slept for longest, which is the one that takes nothing. */
static void a_wake_up_that_came_to_a_wait_goes_on_to_one_that_takes(void)
{
    for (unsigned round = 0; round < 20 * EVENT; round++) {
        struct isthmus_primitive others[PLACES];
        struct together_threads waits, takes;
        struct sleeper sleeper = {.poll = 0};
        struct taker taker = {.place = round % EVENT};
        struct isthmus_primitive *thing = &things[taker.place];
        begin();
        take_all(others);
        fill(sleeper.list, things);
        for (unsigned i = 0; i < PLACES; i++)
            together_join(&taker.own[i], &things[i]);
        together_begin(&waits, 1, sleep_on_all, &sleeper);
        UNTIL(thing->count ? together_waiting(thing) == 1 : together_waiting(&things[EVENT]));
        for (unsigned i = 0; i < 20; i++)
            together_pause();
        together_begin(&takes, 1, take_one, &taker);
        if (thing->count)
            UNTIL(together_waiting(thing) == 2);
        for (unsigned i = 0; i < 20; i++)
            together_pause();
        give_back(others, taker.place);
        together_end(&takes);
        together_end(&waits);
        CHECK_INT(sleeper.list[taker.place].ready, 1);
        close_all(taker.own);
        close_all(others);
        end();
    }
}

static uint32_t numbers;
static struct together_area areas[PLACES];

static int take(struct isthmus_primitive *own, unsigned place, uint64_t deadline)
{
    return place < SEMAPHORE ? isthmus_lock_acquire(&own[place], deadline)
                             : isthmus_semaphore_acquire(&own[place], deadline);
}

/* Some take what they want; the others wait for the first of all, and try to take it. */
static void *take_in_turn(void *argument)
{
    const unsigned number = count_up(&numbers);
    struct isthmus_primitive own[PLACES];
    struct isthmus_waited list[PLACES];
    (void)argument;
    for (unsigned i = 0; i < PLACES; i++)
        together_join(&own[i], &things[i]);
    fill(list, own);
    for (unsigned turn = 0; turn < ROUNDS;) {
        unsigned place = turn % EVENT;
        if (number % 2) {
            CHECK_OK(take(own, place, SOON()));
        } else {
            CHECK(isthmus_wait_many(list, EVENT, 0, SOON()) > 0);
            while (!list[place].ready)
                place = (place + 1) % EVENT;
            int result = take(own, place, 0);
            if (result == -ETIMEDOUT)
                continue;
            CHECK_OK(result);
        }
        together_alone(&areas[place]);
        give_back(own, place);
        turn++;
    }
    for (unsigned i = 0; i < PLACES; i++)
        isthmus_primitive_close(&own[i]);
    return NULL;
}

static void a_wait_keeps_no_wake_up_from_those_that_take(void)
{
    struct together_threads threads;
    begin();
    together_begin(&threads, THREADS, take_in_turn, NULL);
    together_end(&threads);
    end();
}

#ifndef NO_SLICES /* at whose ends the dead are noticed */
/* ---- The dead -------------------------------------------------------------------------- */

static void take_it(struct isthmus_primitive *own)
{
    if (own->kind == ISTHMUS_KIND_SEMAPHORE)
        CHECK_OK(isthmus_semaphore_acquire(own, 0));
    else
        CHECK_OK(isthmus_lock_acquire(own, 0));
}

static void what_a_dead_one_has_is_ready(void)
{
    static const enum place places[] = {LOCK, RLOCK, ROBUST};
    for (unsigned i = 0; i < 3; i++)
        for (int waiting = 0; waiting < 2; waiting++) {
            struct isthmus_waited one;
            begin();
            one = waited[places[i]];
            pid_t child = together_stay(one.primitive, take_it);
            CHECK_RESULT(isthmus_wait_many(&one, 1, 0, 0), -ETIMEDOUT);
            together_kill(child);
            if (!waiting)
                UNTIL(isthmus_wait_many(&one, 1, 0, 0) == 1); /* sweeps are not too often */
            else
                CHECK_INT(isthmus_wait_many(&one, 1, 0, SOON()), 1);
            end();
        }
}
#endif

int main(void)
{
    static const struct check_test tests[] = {
        CHECK_TEST(all_that_are_ready_are_told),
        CHECK_TEST(a_recursive_lock_is_ready_for_the_thread_that_has_it),
        CHECK_TEST(a_wait_ends_when_its_time_is_over),
        CHECK_TEST(what_cannot_be_waited_for_is_refused),
        CHECK_TEST(each_of_them_ends_the_wait),
        CHECK_TEST(an_event_that_was_cleared_again_counts),
        CHECK_TEST(any_number_may_be_waited_for),
        CHECK_TEST(a_wake_up_that_came_to_a_wait_goes_on_to_one_that_takes),
        CHECK_TEST(a_wait_keeps_no_wake_up_from_those_that_take),
#ifndef NO_SLICES
        CHECK_TEST(what_a_dead_one_has_is_ready),
#endif
    };
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
