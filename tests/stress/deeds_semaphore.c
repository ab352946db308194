/* Semaphores: never more out than there are, and none lost but with those that may lose them. */
#include "stress.h"

#include <stdio.h>

static int acquire(struct self *self, unsigned object, uint64_t deadline)
{
    int result;
    do
        result = isthmus_semaphore_acquire(&self->handles[object], deadline);
    while (result == -EINTR);
    if (result && (result != -ETIMEDOUT || deadline == ISTHMUS_FOREVER))
        unexpected(object, "acquiring", result);
    return result;
}

static void release(struct self *self, unsigned object, uint32_t permits)
{
    int result = isthmus_semaphore_release(&self->handles[object], permits);
    if (result)
        unexpected(object, "releasing", result);
}

static void require_no_more_than_there_are(unsigned object, int with_doomed)
{
    const int held = count_declared(object, with_doomed);
    if (held > (int)stress->permits)
        fail("%s: %d permits are held, of %u", objects[object].label, held,
             (unsigned)stress->permits);
}

/* ---- Robust ---------------------------------------------------------------------------------- */

void deed_robust(struct self *self, unsigned object)
{
    unsigned held = 0;
    begin(self, "acquires", object);
    /* More than one only by trying: two that wait for each other's second are no bug of ours. */
    const unsigned wanted = 1 + pick(self, stress->permits);
    while (held < wanted && acquire(self, object, held ? 0 : some_deadline(self)) == 0)
        declare(self, object, ++held);
    if (!held)
        return;
    begin(self, "holds", object);
    require_no_more_than_there_are(object, 0);
    linger(self);
    if (pick(self, 8) == 0)
        require_no_more_than_there_are(object, 0);
    if (self->alone && pick(self, 64) == 0) {
        /* Closed with permits: they come back. */
        declare(self, object, 0);
        isthmus_primitive_close(&self->handles[object]);
        open_object(self, object);
        return;
    }
    begin(self, "releases", object);
    while (held) {
        const unsigned some = 1 + pick(self, held);
        declare(self, object, held -= some);
        release(self, object, some);
    }
}

void forget_declared(unsigned object, unsigned actor)
{
    uint32_t *entry = &stress->facts[object].census[actor];
    put(entry, ((get(entry) >> 8) + 1) << 8);
}

void conclude_robust(struct self *warden, unsigned object)
{
    struct isthmus_primitive *semaphore = &warden->handles[object];
    for (unsigned i = 0; i < stress->permits; i++)
        acquire(warden, object, ISTHMUS_FOREVER);
    REQUIRE(isthmus_semaphore_value(semaphore) == 0, object);
    REQUIRE(isthmus_semaphore_acquire(semaphore, 0) == -ETIMEDOUT, object);
    REQUIRE(isthmus_semaphore_release(semaphore, stress->permits + 1) == -EPERM, object);
    release(warden, object, stress->permits);
    REQUIRE(isthmus_semaphore_value(semaphore) == stress->permits, object);
}

/* ---- Plain: a permit of one that died stays taken, and the warden gives it back ----------------
 */

#define UNSURE 0x40u

void deed_plain(struct self *self, unsigned object)
{
    begin(self, "acquires", object);
    declare(self, object, UNSURE);
    /* Never for ever: those that are lost for sure only are given back. */
    if (acquire(self, object, isthmus_deadline_after(pick(self, 2000000)))) {
        declare(self, object, 0);
        return;
    }
    declare(self, object, 1);
    begin(self, "holds", object);
    require_no_more_than_there_are(object, 1);
    linger(self);
    declare(self, object, UNSURE);
    begin(self, "releases", object);
    release(self, object, 1);
    declare(self, object, 0);
}

void forget_plain(unsigned object, unsigned actor)
{
    const unsigned held = declared(object, actor);
    forget_declared(object, actor);
    if (held == 1)
        add(&stress->facts[object].owed, 1);
    else if (held == UNSURE)
        add(&stress->facts[object].unsure, 1);
}

void tend_plain(struct self *warden, unsigned object)
{
    const uint64_t owed = exchange(&stress->facts[object].owed, 0);
    if (owed)
        release(warden, object, (uint32_t)owed);
}

void conclude_plain(struct self *warden, unsigned object)
{
    tend_plain(warden, object);
    const uint64_t value = isthmus_semaphore_value(&warden->handles[object]);
    REQUIRE(value <= stress->permits, object);
    REQUIRE(value + get(&stress->facts[object].unsure) >= stress->permits, object);
}
