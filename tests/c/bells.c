#include "bells.h"

#include "rings.h"
#include <errno.h>
#include <poll.h>
#include <string.h>

/* After somebody has gone: see "What death leaves" in doorbell.h. */
#define AGAIN_NS UINT64_C(1000000)
/* What readers that have a turn ought to get. */
#define TURN_NS UINT64_C(2000000)

uint32_t *bells_hung;

void bell_watch(struct bell *bell, struct isthmus_primitive *primitive, uint32_t side,
                uint64_t about)
{
    memset(bell, 0, sizeof *bell);
    CHECK_OK(isthmus_os_doorbell_open(&bell->doorbell, -1));
    bell->id = -1;
    bell_move(bell, primitive, side, about);
}

void bell_move(struct bell *bell, struct isthmus_primitive *primitive, uint32_t side,
               uint64_t about)
{
    struct isthmus_os_rung rung[4];
    if (bell->id >= 0)
        isthmus_os_doorbell_unwatch(&bell->doorbell, bell->id);
    while (isthmus_os_doorbell_read(&bell->doorbell, rung, 4) > 0)
        ;
    bell->id = isthmus_os_doorbell_watch(&bell->doorbell, primitive->fd);
    CHECK(bell->id >= 0);
    bell->thing.primitive = primitive;
    bell_turn(bell, side, about);
}

void bell_turn(struct bell *bell, uint32_t side, uint64_t about)
{
    bell->thing =
        (struct isthmus_waited){.primitive = bell->thing.primitive, .side = side, .about = about};
}

void bell_leave(struct bell *bell)
{
    isthmus_os_doorbell_close(&bell->doorbell);
}

static int readable(const struct bell *bell, int milliseconds)
{
    struct pollfd one = {.fd = bell->doorbell.poll, .events = POLLIN};
    const int count = poll(&one, 1, milliseconds);
    CHECK(count >= 0 || errno == EINTR);
    return count > 0;
}

int bell_is_rung(const struct bell *bell)
{
    return readable(bell, 0);
}

int bell_rings(const struct bell *bell)
{
    return readable(bell, (int)(PATIENCE_NS / 1000000));
}

uint32_t bell_read(struct bell *bell)
{
    struct isthmus_os_rung rung[4];
    uint32_t what = 0;
    int count;
    do {
        count = isthmus_os_doorbell_read(&bell->doorbell, rung, 4);
        CHECK(count >= 0);
        for (int i = 0; i < count; i++) {
            CHECK(rung[i].id < 0 || rung[i].id == bell->id);
            what |= rung[i].what;
        }
    } while (count > 0);
    return what;
}

int bell_wait(struct bell *bell)
{
    for (;;) {
        bell->due |= isthmus_os_doorbell_timer(&bell->doorbell);
        if (bell_read(bell) & ISTHMUS_OS_GONE) {
            bell->again = AGAIN_NS;
            bell->due = 1;
        }
        int found = isthmus_doorbell_arm(&bell->thing);
        if (!found && bell->due && bell->thing.held)
            found = isthmus_look(&bell->thing, ISTHMUS_ASK);
        if (found)
            return found; /* still due: what is waited for next may be a dead one's */
        if (bell->due && bell->thing.held) {
            bell->due = 0;
            isthmus_os_doorbell_after(&bell->doorbell, bell->again);
            bell->again *= 2;
        }
        if (bells_hung && !bell->told) {
            bell->told = 1;
            count_up(bells_hung);
        }
        check_true(__FILE__, __LINE__, "rung for in time", bell_rings(bell));
    }
}

/* ---- Whole operations -------------------------------------------------------------------- */

int bell_acquire(struct bell *bell, uint32_t side,
                 int (*attempt)(struct isthmus_primitive *, uint64_t))
{
    int result;
    bell_turn(bell, side, 0);
    do {
        CHECK_INT(bell_wait(bell), 1);
        result = attempt(bell->thing.primitive, 0);
    } while (result == -ETIMEDOUT);
    return result;
}

static int acquire_alone(struct isthmus_primitive *primitive, uint32_t side,
                         int (*attempt)(struct isthmus_primitive *, uint64_t))
{
    struct bell bell;
    bell_watch(&bell, primitive, side, 0);
    const int result = bell_acquire(&bell, side, attempt);
    bell_leave(&bell);
    return result;
}

int bell_lock_acquire(struct isthmus_primitive *lock)
{
    return acquire_alone(lock, ISTHMUS_WAIT_READY, isthmus_lock_acquire);
}

int bell_semaphore_acquire(struct isthmus_primitive *semaphore)
{
    return acquire_alone(semaphore, ISTHMUS_WAIT_READY, isthmus_semaphore_acquire);
}

void bell_event_wait(struct isthmus_primitive *event)
{
    struct bell bell;
    bell_watch(&bell, event, ISTHMUS_WAIT_READY, 0);
    CHECK_INT(bell_wait(&bell), 1);
    bell_leave(&bell);
}

int bell_condition_wait(struct isthmus_primitive *condition)
{
    struct isthmus_condition_waiter waiter;
    struct bell bell;
    int died = 0, notified = 0;
    bell_watch(&bell, condition, ISTHMUS_WAIT_TOKEN, 0);
    CHECK_OK(isthmus_condition_enter(condition, condition, &waiter));
    while (!notified && !died) {
        int result;
        bell_turn(&bell, ISTHMUS_WAIT_TOKEN, waiter.ticket);
        CHECK_INT(bell_wait(&bell), 1);
        bell_turn(&bell, ISTHMUS_WAIT_WORD, 0);
        do {
            CHECK_INT(bell_wait(&bell), 1);
            result = isthmus_condition_retake(condition, &waiter, 0);
        } while (result == -ETIMEDOUT);
        CHECK(result == 0 || result == -EOWNERDEAD);
        died = result != 0;
        notified = isthmus_condition_leave(condition, condition, &waiter, !died);
    }
    bell_leave(&bell);
    return notified;
}

int bell_barrier_wait(struct isthmus_primitive *barrier)
{
    struct bell bell;
    uint32_t round;
    bell_watch(&bell, barrier, ISTHMUS_WAIT_ROUND, 0);
    int result = isthmus_barrier_arrive(barrier, SOON(), &round);
    if (result >= 0 && (uint32_t)result + 1 == isthmus_barrier_parties(barrier)) {
        const int tripped = isthmus_barrier_trip(barrier, round);
        result = tripped ? tripped : result;
    } else if (result >= 0) {
        bell_turn(&bell, ISTHMUS_WAIT_ROUND, round);
        CHECK_INT(bell_wait(&bell), 1);
        const int ended = isthmus_barrier_await(barrier, 0, round);
        result = ended ? ended : result;
    }
    bell_leave(&bell);
    return result;
}

int bell_rwlock_acquire_read(struct isthmus_primitive *rwlock)
{
    return acquire_alone(rwlock, ISTHMUS_WAIT_GATE, isthmus_rwlock_acquire_read);
}

int bell_rwlock_acquire_write(struct isthmus_primitive *rwlock)
{
    struct bell bell;
    bell_watch(&bell, rwlock, ISTHMUS_WAIT_WORD, 0);
    int result = bell_acquire(&bell, ISTHMUS_WAIT_WORD, isthmus_rwlock_claim_write);
    CHECK_OK(result);
    /* Not waited for by doorbell: begin ends the turn. */
    const uint64_t until = isthmus_deadline_after(TURN_NS);
    while (isthmus_rwlock_turn(rwlock) == 1 && isthmus_deadline_after(0) < until)
        together_pause();
    while ((result = isthmus_rwlock_begin_write(rwlock)) == -EAGAIN) {
        bell_turn(&bell, ISTHMUS_WAIT_READERS, 0);
        CHECK_INT(bell_wait(&bell), 1);
    }
    bell_leave(&bell);
    return result;
}

int bell_queue_join(struct isthmus_ring *queue)
{
    struct bell bell;
    int result;
    bell_watch(&bell, &queue->primitive, ISTHMUS_WAIT_END, 0);
    do {
        CHECK_INT(bell_wait(&bell), 1);
        result = isthmus_queue_join(queue, 0);
    } while (result == -ETIMEDOUT);
    bell_leave(&bell);
    return result;
}

int bell_ring(struct isthmus_ring *ring, uint32_t side, int (*attempt)(struct isthmus_ring *ring))
{
    struct bell bell;
    int result;
    bell_watch(&bell, &ring->primitive, side, MESSAGE_SIZE);
    do {
        CHECK_INT(bell_wait(&bell), 1);
        result = attempt(ring);
    } while (result == -ETIMEDOUT || result == -EAGAIN || result == -EBUSY);
    bell_leave(&bell);
    return result;
}
