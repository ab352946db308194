#include "company.h"

#include "bells.h"
#include <errno.h>

uint32_t company_hung(void)
{
    return peek(&stage->free[HUNG]);
}

/* In whoever waits by doorbell: the worker wants to know. */
static void be_counted(void)
{
    bells_hung = &stage->free[HUNG];
}

/* Others that wait by doorbell, and do. */
void company_send(together_work *work, uint32_t count)
{
    const uint32_t before = company_hung();
    for (uint32_t i = 0; i < count; i++)
        death_companion(work);
    poke(&stage->free[SENT], peek(&stage->free[SENT]) + count);
    UNTIL(company_hung() == before + count);
}

static void done(void)
{
    count_up(&stage->done);
}

void company_note(int result)
{
    CHECK(result == 0 || result == -EOWNERDEAD);
    if (result)
        count_up(&stage->reports);
}

/* ---- Those that wait --------------------------------------------------------------------- */

void use_lock(struct isthmus_primitive *lock)
{
    be_counted();
    company_note(bell_lock_acquire(lock));
    together_alone(&stage->area);
    CHECK_OK(isthmus_lock_release(lock));
    done();
}

void use_semaphore(struct isthmus_primitive *semaphore)
{
    be_counted();
    CHECK_OK(bell_semaphore_acquire(semaphore));
    if (semaphore->flags & ISTHMUS_ROBUST) {
        together_alone(&stage->area);
        CHECK_OK(isthmus_semaphore_release(semaphore, 1));
    }
    done();
}

void await_event(struct isthmus_primitive *event)
{
    be_counted();
    bell_event_wait(event);
    done();
}

/* Until it is notified, however often an owner of the lock dies meanwhile. */
void await_condition(struct isthmus_primitive *condition)
{
    int notified = 0;
    be_counted();
    company_note(isthmus_lock_acquire(condition, SOON()));
    while (!notified)
        notified = bell_condition_wait(condition);
    CHECK_OK(isthmus_lock_release(condition));
    done();
}

void meet(struct isthmus_primitive *barrier)
{
    be_counted();
    const int result = bell_barrier_wait(barrier);
    CHECK(result >= 0 || result == -ISTHMUS_E_BROKEN);
    if (result < 0)
        count_up(&stage->broken);
    done();
}

void read_it(struct isthmus_primitive *rwlock)
{
    be_counted();
    company_note(bell_rwlock_acquire_read(rwlock));
    count_up(&stage->reading);
    CHECK_UINT(peek(&stage->area.inside), 0);
    __atomic_fetch_sub(&stage->reading, 1, __ATOMIC_ACQ_REL);
    CHECK_OK(isthmus_rwlock_release_read(rwlock));
    done();
}

void write_it(struct isthmus_primitive *rwlock)
{
    be_counted();
    company_note(bell_rwlock_acquire_write(rwlock));
    CHECK_UINT(peek(&stage->reading), 0);
    together_alone(&stage->area);
    CHECK_OK(isthmus_rwlock_release_write(rwlock));
    done();
}

/* One that says that it waits, and leaves. */
void change_its_mind(struct isthmus_primitive *primitive)
{
    struct bell bell;
    bell_watch(&bell, primitive, ISTHMUS_WAIT_READY, 0);
    CHECK_INT(isthmus_doorbell_arm(&bell.thing), 0);
    bell_leave(&bell);
    count_up(&stage->free[HUNG]);
}

/* ---- Afterwards ------------------------------------------------------------------------------ */

/* Whoever had it is dead: those that wait get it, without anybody's help. */
void check_lock(void)
{
    death_join_companions();
    company_note(isthmus_lock_acquire(&own, SOON()));
    together_alone(&stage->area);
    CHECK_OK(isthmus_lock_release(&own));
    death_check_table(1);
}

void check_robust(void)
{
    death_join_companions();
    UNTIL(isthmus_semaphore_acquire(&own, 0) == 0);
    CHECK_OK(isthmus_semaphore_release(&own, 1));
    CHECK_UINT(isthmus_semaphore_value(&own), 1);
    death_check_table(1);
}

static uint32_t tokens(void)
{
    return peek(&((struct isthmus_shared_condition *)(own.shared + 1))->tokens);
}

/* Notifications that are there, and are for one that lives, are found; then the rest is notified.
 */
void check_notified(void)
{
    UNTIL(tokens() == 0 || peek(&stage->done) >= peek(&stage->free[SENT]));
    company_note(isthmus_lock_acquire(&own, SOON()));
    stage->outcome = peek(&stage->done) ? DEATH_HAPPENED : DEATH_NOTHING;
    CHECK_OK(isthmus_condition_notify(&own, &own, UINT32_MAX));
    CHECK_OK(isthmus_lock_release(&own));
    death_join_companions();
    death_check_table(1);
}

/* The victim may have died before it came: then the one that waits does so rightly. */
void check_met(void)
{
    if (peek(&own.slots[peek(&stage->slot)].share))
        UNTIL(peek(&stage->done)); /* it came, and did not leave */
    UNTIL(peek(&stage->done) || isthmus_barrier_waiting(&own) == 1);
    stage->outcome = peek(&stage->done) ? DEATH_HAPPENED : DEATH_NOTHING;
    CHECK_OK(isthmus_barrier_abort(&own));
    death_join_companions();
    death_check_table(1);
}

void check_rwlock(void)
{
    death_join_companions();
    company_note(isthmus_rwlock_acquire_write(&own, SOON()));
    together_alone(&stage->area);
    CHECK_OK(isthmus_rwlock_release_write(&own));
    death_check_table(1);
}
