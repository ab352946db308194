/*
 * Conditions: no notification comes from nowhere, and none is lost. For the latter, a bounded
 * buffer whose producers and consumers wait for ever and are notified one at a time: a
 * notification that went down with a waiter would stop it for good.
 */
#include "stress.h"

/* Wait with the lock held; what is protected by it is another's meanwhile. */
static int wait_inside(struct self *self, unsigned condition, unsigned lock, uint64_t deadline,
                       int *notified)
{
    leave(self, lock);
    begin(self, "waits at", condition);
    const uint64_t began = now_ns();
    const int result =
        isthmus_condition_wait(&self->handles[condition], &self->handles[lock], deadline, notified);
    if (result && result != -EINTR && result != -EOWNERDEAD &&
        (result != -ETIMEDOUT || deadline == ISTHMUS_FOREVER))
        unexpected(condition, "waiting", result);
    begin(self, "holds", lock);
    enter(self, lock, lock, result == -EOWNERDEAD ? result : 0, began);
    return result;
}

static void notify(struct self *self, unsigned condition, unsigned lock, uint32_t count)
{
    const int result =
        isthmus_condition_notify(&self->handles[condition], &self->handles[lock], count);
    if (result)
        unexpected(condition, "notifying", result);
}

/* ---- With its own lock ------------------------------------------------------------------------
 */

/*
 * `waiting` counts those that have begun to wait and are not known to have come back: the dead
 * stay in it. So what can have been notified is known as an upper bound.
 */
static void notify_counted(struct self *self, unsigned object, uint32_t count)
{
    struct facts *facts = &stress->facts[object];
    const uint64_t waiting = get(&facts->waiting);
    put(&facts->notified, get(&facts->notified) + (count < waiting ? count : waiting));
    notify(self, object, object, count);
}

static void wait_counted(struct self *self, unsigned object)
{
    struct facts *facts = &stress->facts[object];
    int notified = 0;
    put(&facts->waiting, get(&facts->waiting) + 1);
    wait_inside(self, object, object, pick(self, 2) ? ISTHMUS_FOREVER : some_deadline(self),
                &notified);
    /* One that dies between these has counted itself out, or not: it is a bound all the same. */
    if (notified)
        put(&facts->woken, get(&facts->woken) + 1);
    put(&facts->waiting, get(&facts->waiting) - 1);
    REQUIRE(get(&facts->woken) <= get(&facts->notified), object);
}

void deed_condition(struct self *self, unsigned object)
{
    const uint64_t began = now_ns();
    begin(self, "acquires", object);
    const int result = take(self, object, some_deadline(self));
    if (result == -ETIMEDOUT)
        return;
    begin(self, "holds", object);
    enter(self, object, object, result, began);
    if (pick(self, 3) == 0)
        notify_counted(self, object, pick(self, 4) ? 1 + pick(self, 3) : UINT32_MAX);
    else
        wait_counted(self, object);
    leave(self, object);
    begin(self, "releases", object);
    drop(self, object);
}

void tend_condition(struct self *warden, unsigned object)
{
    const int result = take(warden, object, ISTHMUS_FOREVER);
    enter(warden, object, object, result, now_ns());
    notify_counted(warden, object, UINT32_MAX);
    leave(warden, object);
    drop(warden, object);
}

/* ---- The bounded buffer -----------------------------------------------------------------------
 */

static unsigned not_full(unsigned lock)
{
    return lock + 1;
}

static unsigned not_empty(unsigned lock)
{
    return lock + 2;
}

/* One of these may have been owed by the dead owner. */
static void notify_all(struct self *self, unsigned lock)
{
    notify(self, not_full(lock), lock, UINT32_MAX);
    notify(self, not_empty(lock), lock, UINT32_MAX);
}

static void put_or_get(struct self *self, unsigned lock, int producer)
{
    struct facts *facts = &stress->facts[lock];
    uint64_t *const done = producer ? facts->produced : facts->consumed;
    const uint64_t stored = get(&facts->stored);
    put(&facts->exclusive.dirty, self->identity);
    put(&done[self->actor], get(&done[self->actor]) + 1);
    linger(self);
    put(&facts->stored, producer ? stored + 1 : stored - 1);
    put(&facts->exclusive.dirty, 0);
}

void deed_buffer(struct self *self, unsigned lock)
{
    struct facts *facts = &stress->facts[lock];
    /* For life: whoever comes in the place of a producer is one. */
    const int producer = self->actor / PER_PROCESS % 2 == 0;
    const uint64_t blocked = producer ? BUFFER_CAPACITY : 0;
    const uint64_t began = now_ns();

    begin(self, "acquires", lock);
    int result = take(self, lock, ISTHMUS_FOREVER);
    begin(self, "holds", lock);
    enter(self, lock, lock, result, began);
    if (result == -EOWNERDEAD)
        notify_all(self, lock);
    while (get(&facts->stored) == blocked && !get(&stress->stop)) {
        result = wait_inside(self, producer ? not_full(lock) : not_empty(lock), lock,
                             ISTHMUS_FOREVER, NULL);
        if (result == -EOWNERDEAD)
            notify_all(self, lock);
    }
    REQUIRE(get(&facts->stored) <= BUFFER_CAPACITY, lock);
    if (get(&facts->stored) != blocked) {
        put_or_get(self, lock, producer);
        notify(self, producer ? not_empty(lock) : not_full(lock), lock, 1);
    }
    leave(self, lock);
    begin(self, "releases", lock);
    drop(self, lock);
}

/* Only at the end: before that it would make up for what was lost. */
void tend_buffer(struct self *warden, unsigned lock)
{
    if (!get(&stress->stop))
        return;
    const int result = take(warden, lock, ISTHMUS_FOREVER);
    enter(warden, lock, lock, result, now_ns());
    notify_all(warden, lock);
    leave(warden, lock);
    drop(warden, lock);
}

void conclude_buffer(struct self *warden, unsigned lock)
{
    struct facts *facts = &stress->facts[lock];
    uint64_t produced = 0, consumed = 0;
    conclude_lock(warden, lock);
    for (unsigned i = 0; i < ACTORS; i++) {
        produced += get(&facts->produced[i]);
        consumed += get(&facts->consumed[i]);
    }
    REQUIRE(get(&facts->stored) <= BUFFER_CAPACITY, lock);
    REQUIRE(produced == consumed + get(&facts->stored), lock);
}
