/*
 * Threads that wait by doorbell among threads that sleep, and among such as change their minds:
 * nobody's wake-up is lost to another. Also linked with a core whose waits have no slices, and with
 * ThreadSanitizer, for the sake of which all of a kind use one mapping (test_threads.c).
 */
#include "bells.h"
#include "check.h"
#include "fixture.h"
#include "rings.h"
#include <errno.h>
#include <stdio.h>

#define TURNS 10000u
#define THREADS 4u
#define MESSAGES 40000u /* of each producer */
#define SIDES 2u        /* threads of each of: producers and consumers, by doorbell and asleep */

static uint32_t numbers, slept;

/* ---- Taking turns -------------------------------------------------------------------------- */

enum {
    LOCK,
    SEMAPHORE,
    ROBUST,
    WRITER,
    PLACES
};
static const struct place {
    uint32_t kind, flags;
    int64_t value;
    uint32_t side;
    int (*take)(struct isthmus_primitive *, uint64_t);
} places[PLACES] = {
    {ISTHMUS_KIND_LOCK, 0, 0, ISTHMUS_WAIT_READY, isthmus_lock_acquire},
    {ISTHMUS_KIND_SEMAPHORE, 0, 1, ISTHMUS_WAIT_READY, isthmus_semaphore_acquire},
    {ISTHMUS_KIND_SEMAPHORE, ISTHMUS_ROBUST, 1, ISTHMUS_WAIT_READY, isthmus_semaphore_acquire},
    {ISTHMUS_KIND_RWLOCK, 0, 0, ISTHMUS_WAIT_WORD, isthmus_rwlock_claim_write},
};

#define PLACE_SIZE 4096u
static struct isthmus_segment segment;
static struct together_area areas[PLACES];

static void place(struct isthmus_primitive *own, unsigned at)
{
    const struct isthmus_primitive_plan plan = {.kind = places[at].kind,
                                                .participants = THREADS,
                                                .flags = places[at].flags,
                                                .value = places[at].value};
    CHECK_OK(isthmus_primitive_place(own, segment.data, segment.size, segment.fd,
                                     (uint64_t)at * PLACE_SIZE, &plan));
    own->spin_ns = 0;
}

static void give_back(struct isthmus_primitive *own, unsigned place)
{
    if (place == LOCK)
        CHECK_OK(isthmus_lock_release(own));
    else if (place == WRITER)
        CHECK_OK(isthmus_rwlock_give_up_write(own));
    else
        CHECK_OK(isthmus_semaphore_release(own, 1));
}

/* One of two waits by doorbell; every fourth time it says that it waits, and does something else.
 */
static void *take_turns(void *argument)
{
    const unsigned number = count_up(&numbers);
    struct isthmus_primitive own[PLACES];
    struct bell bells[PLACES];
    (void)argument;
    for (unsigned i = 0; i < PLACES; i++) {
        place(&own[i], i);
        bell_watch(&bells[i], &own[i], places[i].side, 0);
    }
    for (unsigned turn = 0; turn < TURNS; turn++) {
        const unsigned at = (turn + number) % PLACES;
        if (number % 2)
            CHECK_OK(places[at].take(&own[at], SOON()));
        else
            CHECK_OK(bell_acquire(&bells[at], places[at].side, places[at].take));
        bells[at].told = 0;
        together_alone(&areas[at]);
        give_back(&own[at], at);
        if (number % 2 == 0 && turn % 4 == 0)
            CHECK(isthmus_doorbell_arm(&bells[(at + 1) % PLACES].thing) >= 0);
    }
    for (unsigned i = 0; i < PLACES; i++) {
        bell_leave(&bells[i]);
        isthmus_primitive_close(&own[i]);
    }
    return NULL;
}

static void those_that_wait_by_doorbell_take_turns_with_those_that_sleep(void)
{
    struct together_threads threads;
    bells_hung = &slept;
    char name[FIXTURE_NAME_SIZE];
    fixture_name(name);
    CHECK_OK(isthmus_segment_create(&segment, name, (size_t)PLACES * PLACE_SIZE, NULL));
    together_begin(&threads, THREADS, take_turns, NULL);
    together_end(&threads);
    for (unsigned i = 0; i < PLACES; i++)
        CHECK_UINT(areas[i].first, (uint64_t)TURNS * THREADS / PLACES);
    CHECK_OK(isthmus_segment_unlink(&segment, name));
    isthmus_segment_close(&segment);
    printf("       %u waits by doorbell slept\n", peek(&slept));
}

/* ---- Messages ---------------------------------------------------------------------------------
 */

static struct isthmus_ring queue;
static uint32_t sent, received;
static uint64_t sum;

static int by_doorbell(struct bell *bell, int (*attempt)(struct isthmus_ring *, uint32_t *),
                       uint32_t *message)
{
    int result;
    do {
        const int found = bell_wait(bell);
        CHECK_INT(found, 1);
        bell->told = 0;
        result = attempt(isthmus_ring_of(&bell->thing), message);
    } while (result == -EAGAIN || result == -EBUSY || result == -ETIMEDOUT);
    return result;
}

static int try_to_put(struct isthmus_ring *own, uint32_t *message)
{
    return isthmus_ring_try_write(own, ISTHMUS_TYPE_BYTES, message, sizeof *message);
}

static int try_to_get(struct isthmus_ring *own, uint32_t *message)
{
    size_t size;
    return isthmus_ring_read(own, message, sizeof *message, &size, 0);
}

static void *produce(void *argument)
{
    const int bells = count_up(&numbers) % 2 == 0;
    struct bell bell;
    (void)argument;
    bell_watch(&bell, &queue.primitive, ISTHMUS_WAIT_ROOM, sizeof(uint32_t));
    for (uint32_t i = 0; i < MESSAGES; i++) {
        uint32_t message = count_up(&sent);
        if (bells)
            CHECK_OK(by_doorbell(&bell, try_to_put, &message));
        else
            CHECK_OK(isthmus_ring_write(&queue, &message, sizeof message, SOON()));
    }
    bell_leave(&bell);
    return NULL;
}

/* Until it is shut down. */
static void *consume(void *argument)
{
    const int bells = count_up(&numbers) % 2 == 0;
    struct bell bell;
    uint32_t message;
    int result;
    (void)argument;
    bell_watch(&bell, &queue.primitive, ISTHMUS_WAIT_READY, 0);
    for (;;) {
        size_t size;
        result = bells ? by_doorbell(&bell, try_to_get, &message)
                       : isthmus_ring_read(&queue, &message, sizeof message, &size, SOON());
        if (result)
            break;
        __atomic_fetch_add(&sum, message, __ATOMIC_RELAXED);
        count_up(&received);
        CHECK_OK(isthmus_queue_task_done(&queue));
    }
    CHECK_RESULT(result, -ESHUTDOWN);
    bell_leave(&bell);
    return NULL;
}

static void messages_and_room_reach_those_that_wait_by_doorbell_and_those_that_sleep(void)
{
    const uint64_t all = (uint64_t)SIDES * MESSAGES;
    struct together_threads producers, consumers;
    bells_hung = &slept;
    rings_queue(&queue);
    together_begin(&consumers, SIDES, consume, NULL);
    together_begin(&producers, SIDES, produce, NULL);
    together_end(&producers);
    CHECK_OK(bell_queue_join(&queue));
    CHECK_UINT(received, all);
    CHECK_UINT(sum, all * (all - 1) / 2);
    CHECK_OK(isthmus_queue_shut_down(&queue, 0));
    together_end(&consumers);
    isthmus_ring_close(&queue);
    printf("       %u waits by doorbell slept\n", peek(&slept));
}

static const struct check_test tests[] = {
    CHECK_TEST(those_that_wait_by_doorbell_take_turns_with_those_that_sleep),
    CHECK_TEST(messages_and_room_reach_those_that_wait_by_doorbell_and_those_that_sleep),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
