#include "subjects.h"

#include <string.h>

#define READY ISTHMUS_OS_READY
#define ROOM ISTHMUS_OS_ROOM

struct isthmus_ring waiter, bringer;
uint64_t subject_about;

static struct isthmus_record leased;

static void hold(void)
{
    CHECK_OK(isthmus_lock_acquire(second, 0));
}

static void release(void)
{
    CHECK_OK(isthmus_lock_release(second));
}

static void release_by_another(void)
{
    CHECK_OK(isthmus_lock_release_any(first));
}

static void abandon(void)
{
    CHECK_OK(isthmus_lock_abandon(second));
}

static void take(void)
{
    CHECK_OK(isthmus_semaphore_acquire(second, 0));
}

static void give(void)
{
    CHECK_OK(isthmus_semaphore_release(second, 1));
}

void subject_set(void)
{
    CHECK_OK(isthmus_event_set(second));
}

static void pulse(void)
{
    subject_set();
    CHECK_OK(isthmus_event_clear(second));
}

static void enter_condition(void)
{
    struct isthmus_condition_waiter ticket;
    CHECK_OK(isthmus_lock_acquire(first, 0));
    CHECK_OK(isthmus_condition_enter(first, first, &ticket));
    subject_about = ticket.ticket;
}

static void notify(void)
{
    hold();
    CHECK_OK(isthmus_condition_notify(second, second, 1));
    release();
}

static void arrive(void)
{
    uint32_t round;
    CHECK_INT(isthmus_barrier_arrive(first, 0, &round), 0);
    subject_about = round;
}

static void trip(void)
{
    CHECK_INT(isthmus_barrier_wait(second, SOON()), 1);
}

static void break_it(void)
{
    CHECK_OK(isthmus_barrier_abort(second));
}

static void reset(void)
{
    CHECK_OK(isthmus_barrier_reset(second));
}

static void write_it(void)
{
    CHECK_OK(isthmus_rwlock_acquire_write(second, 0));
}

static void stop_writing(void)
{
    CHECK_OK(isthmus_rwlock_release_write(second));
}

static void abandon_writing(void)
{
    CHECK_OK(isthmus_rwlock_abandon_write(second));
}

/* Readers that have waited while one was writing come in before the next writer. */
static void claim_while_readers_have_a_turn(void)
{
    struct isthmus_waited reader = {.primitive = first, .side = ISTHMUS_WAIT_GATE};
    write_it();
    CHECK_INT(isthmus_look(&reader, ISTHMUS_ARM), 0);
    stop_writing();
    CHECK_OK(isthmus_rwlock_claim_write(first, 0));
    CHECK_INT(isthmus_rwlock_turn(first), 1);
    subject_about = 1;
}

static void read_it(void)
{
    CHECK_OK(isthmus_rwlock_acquire_read(second, 0));
}

static void read_and_claim(void)
{
    CHECK_OK(isthmus_rwlock_acquire_read(second, 0));
    CHECK_OK(isthmus_rwlock_claim_write(first, 0));
    CHECK_RESULT(isthmus_rwlock_begin_write(first), -EAGAIN);
}

static void stop_reading(void)
{
    CHECK_OK(isthmus_rwlock_release_read(second));
}

void subject_put(void)
{
    rings_put(&bringer, 1, 0, 1);
}

void subject_get(void)
{
    CHECK_OK(rings_get(&bringer, NULL, 0));
}

static void lease(void)
{
    subject_put();
    CHECK_OK(rings_lease(&bringer, &leased, 0));
}

static void give_back(void)
{
    CHECK_OK(rings_give_back(&bringer, &leased));
}

static void untake(void)
{
    CHECK_OK(isthmus_queue_untake(&bringer, leased.position, leased.sequence));
}

static void acknowledge(void)
{
    CHECK_OK(rings_acknowledge(&bringer, &leased));
}

void subject_fill(void)
{
    subject_about = MESSAGE_SIZE;
    CHECK(rings_fill(&bringer, 1) > 0);
}

static void fill_and_lease(void)
{
    lease();
    subject_fill();
}

static void lease_one(void)
{
    CHECK_OK(rings_lease(&bringer, &leased, 0));
}

static void put_and_get(void)
{
    subject_put();
    subject_get();
}

static void be_done(void)
{
    CHECK_OK(isthmus_queue_task_done(&bringer));
}

static void shut_down(void)
{
    CHECK_OK(isthmus_queue_shut_down(&bringer, 0));
}

static void clear(void)
{
    CHECK_OK(isthmus_queue_clear(&bringer));
}

static void subscribe(void)
{
    CHECK_OK(isthmus_topic_subscribe(&waiter, ISTHMUS_START_NEXT));
}

static void fill_the_topic(void)
{
    CHECK_OK(isthmus_topic_subscribe(&bringer, ISTHMUS_START_NEXT));
    subject_fill();
}

static void see_one_and_fill_the_topic(void)
{
    struct isthmus_read read;
    struct isthmus_record record;
    CHECK_OK(isthmus_topic_subscribe(&bringer, ISTHMUS_START_NEXT));
    subject_put();
    CHECK_OK(rings_next(&bringer, &read, &record, 0));
    CHECK_OK(isthmus_topic_pin(&bringer, record.position));
    isthmus_read_commit(&bringer, &read);
    subject_fill();
}

static void unpin(void)
{
    CHECK_OK(isthmus_topic_pin(&bringer, UINT64_MAX));
}

static void unsubscribe(void)
{
    CHECK_OK(isthmus_topic_unsubscribe(&bringer));
}

#define IN_READY ISTHMUS_WAIT_READY, READY
#define IN_WORD ISTHMUS_WAIT_WORD, READY
#define IN_ROUND ISTHMUS_WAIT_ROUND, READY
#define IN_ROOM ISTHMUS_WAIT_ROOM, ROOM
#define IN_END ISTHMUS_WAIT_END, ROOM

const struct subject subjects[] = {
    {"lock", ISTHMUS_KIND_LOCK, 0, 0, IN_READY, hold, release},
    {"lock, by another", ISTHMUS_KIND_LOCK, 0, 0, IN_READY, hold, release_by_another},
    {"lock, abandoned", ISTHMUS_KIND_LOCK, 0, 0, IN_READY, hold, abandon},
    {"lock, its word", ISTHMUS_KIND_LOCK, 0, 0, IN_WORD, hold, release},
    {"rlock", ISTHMUS_KIND_RLOCK, 0, 0, IN_READY, hold, release},
    {"semaphore", ISTHMUS_KIND_SEMAPHORE, 0, 1, IN_READY, take, give},
    {"robust semaphore", ISTHMUS_KIND_SEMAPHORE, ISTHMUS_ROBUST, 1, IN_READY, take, give},
    {"event, set", ISTHMUS_KIND_EVENT, 0, 0, IN_READY, NULL, subject_set},
    {"event, set and clear", ISTHMUS_KIND_EVENT, 0, 0, IN_READY, NULL, pulse},
    {"condition", ISTHMUS_KIND_CONDITION, 0, 0, ISTHMUS_WAIT_TOKEN, READY, enter_condition, notify},
    {"condition, its lock", ISTHMUS_KIND_CONDITION, 0, 0, IN_WORD, hold, release},
    {"barrier", ISTHMUS_KIND_BARRIER, 0, 2, IN_ROUND, arrive, trip},
    {"barrier, abort", ISTHMUS_KIND_BARRIER, 0, 2, IN_ROUND, arrive, break_it},
    {"barrier, reset", ISTHMUS_KIND_BARRIER, 0, 2, IN_ROUND, arrive, reset},
    {"rwlock, reader", ISTHMUS_KIND_RWLOCK, 0, 0, ISTHMUS_WAIT_GATE, READY, write_it, stop_writing},
    {"rwlock, reader after one that gave it up", ISTHMUS_KIND_RWLOCK, 0, 0, ISTHMUS_WAIT_GATE,
     READY, write_it, abandon_writing},
    {"rwlock, writer after a turn", ISTHMUS_KIND_RWLOCK, 0, 0, ISTHMUS_WAIT_READERS, READY,
     claim_while_readers_have_a_turn, read_it},
    {"rwlock, writer after writer", ISTHMUS_KIND_RWLOCK, 0, 0, IN_WORD, write_it, stop_writing},
    {"rwlock, writer after reader", ISTHMUS_KIND_RWLOCK, 0, 0, ISTHMUS_WAIT_READERS, READY,
     read_and_claim, stop_reading},
    {"rwlock, readers first, writer", ISTHMUS_KIND_RWLOCK, ISTHMUS_READER_PREFERENCE, 0,
     ISTHMUS_WAIT_READERS, READY, read_and_claim, stop_reading},
    {"queue, put", ISTHMUS_KIND_QUEUE, 0, 0, IN_READY, NULL, subject_put},
    {"queue, give back", ISTHMUS_KIND_QUEUE, 0, 0, IN_READY, lease, give_back},
    {"queue, untake", ISTHMUS_KIND_QUEUE, 0, 0, IN_READY, lease, untake},
    {"queue, shut down", ISTHMUS_KIND_QUEUE, 0, 0, IN_READY, NULL, shut_down},
    {"queue, get", ISTHMUS_KIND_QUEUE, 0, 0, IN_ROOM, subject_fill, subject_get},
    {"queue, get, maxsize", ISTHMUS_KIND_QUEUE, 0, 2, IN_ROOM, subject_fill, subject_get},
    {"queue, lease, maxsize", ISTHMUS_KIND_QUEUE, 0, 2, IN_ROOM, subject_fill, lease_one},
    {"queue, acknowledge", ISTHMUS_KIND_QUEUE, 0, 0, IN_ROOM, fill_and_lease, acknowledge},
    {"queue, clear", ISTHMUS_KIND_QUEUE, 0, 0, IN_ROOM, subject_fill, clear},
    {"queue, shut down when full", ISTHMUS_KIND_QUEUE, 0, 0, IN_ROOM, subject_fill, shut_down},
    {"queue, all done with", ISTHMUS_KIND_QUEUE, 0, 0, IN_END, put_and_get, be_done},
    {"queue, all acknowledged", ISTHMUS_KIND_QUEUE, 0, 0, IN_END, lease, acknowledge},
    {"topic, publish", ISTHMUS_KIND_TOPIC, 0, 0, IN_READY, subscribe, subject_put},
    {"topic, receive", ISTHMUS_KIND_TOPIC, 0, 0, IN_ROOM, fill_the_topic, subject_get},
    {"topic, unpin", ISTHMUS_KIND_TOPIC, 0, 0, IN_ROOM, see_one_and_fill_the_topic, unpin},
    {"topic, unsubscribe", ISTHMUS_KIND_TOPIC, 0, 0, IN_ROOM, fill_the_topic, unsubscribe},
};
const size_t subject_count = sizeof subjects / sizeof subjects[0];

void subject_begin(const struct subject *subject)
{
    const struct isthmus_primitive kind = {.kind = subject->kind};
    subject_about = 0;
    if (isthmus_is_ring(&kind)) {
        const struct isthmus_ring_plan plan = {.kind = subject->kind,
                                               .capacity = ISTHMUS_RING_MIN,
                                               .maxsize = (uint64_t)subject->value};
        rings_make(&bringer, &plan);
        rings_join(&waiter, &bringer);
    } else {
        together_make(second, subject->kind, subject->flags, subject->value);
        together_join(first, second);
    }
    if (subject->prepare)
        subject->prepare();
}

void subject_end(void)
{
    isthmus_ring_close(&waiter);
    isthmus_ring_close(&bringer);
}

void subject_watch(struct bell *bell, const struct subject *subject)
{
    bell_watch(bell, first, subject->side, subject_about);
}

/* Does `handle` own a word that the other one would wait for? */
int subject_in_the_way(const struct isthmus_primitive *handle)
{
    const uint32_t owner = (uint32_t)handle->slot + 1;
    const struct isthmus_shared_cursors *cursors = waiter.cursors;
    const void *state = handle->shared + 1;
    if (handle->count == 0)
        return 0;
    if (isthmus_is_ring(handle))
        return (peek(&cursors->consumer) & ISTHMUS_WORD_OWNER) == owner ||
               (peek(&cursors->producer) & ISTHMUS_WORD_OWNER) == owner;
    if (handle->kind == ISTHMUS_KIND_BARRIER)
        return (peek(&((const struct isthmus_shared_barrier *)state)->guard) &
                ISTHMUS_WORD_OWNER) == owner;
    return 0;
}
