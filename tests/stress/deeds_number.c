/* Events and atomic integers: whoever waits gets on, and the sum is right. */
#include "stress.h"

void deed_event(struct self *self, unsigned object)
{
    struct isthmus_primitive *event = &self->handles[object];
    uint32_t seen = 0;
    int result = 0;

    switch (pick(self, 8)) {
    case 0:
        begin(self, "sets", object);
        result = isthmus_event_set(event);
        break;
    case 1:
    case 2:
        begin(self, "clears", object);
        result = isthmus_event_clear(event);
        break;
    default:
        begin(self, "waits for", object);
        const uint64_t deadline = some_deadline(self);
        do
            result = isthmus_event_wait(event, deadline, &seen);
        while (result == -EINTR);
        if (result == -ETIMEDOUT && deadline != ISTHMUS_FOREVER)
            result = 0;
    }
    if (result)
        unexpected(object, "using", result);
}

void tend_event(struct self *warden, unsigned object)
{
    isthmus_event_set(&warden->handles[object]);
    isthmus_event_clear(&warden->handles[object]);
    if (get(&stress->stop))
        isthmus_event_set(&warden->handles[object]);
}

/* ---- Atomic integers ----------------------------------------------------------------------------
 */

/* What is about to be added stands in `pending`, until it stands in `report`. */
static void add_reported(struct self *self, unsigned object, int64_t value)
{
    struct isthmus_primitive *integer = &self->handles[object];
    struct facts *facts = &stress->facts[object];
    put(&facts->pending[self->actor], value);
    if (pick(self, 4)) {
        isthmus_atomic_int_add(integer, value);
    } else if (pick(self, 2)) {
        isthmus_atomic_int_sub(integer, -value);
    } else {
        int64_t found = isthmus_atomic_int_load(integer);
        while (!isthmus_atomic_int_compare_exchange(integer, &found, found + value))
            ;
    }
    put(&facts->report[self->actor], get(&facts->report[self->actor]) + value);
    put(&facts->pending[self->actor], 0);
}

void deed_integer(struct self *self, unsigned object)
{
    struct isthmus_primitive *integer = &self->handles[object];
    if (pick(self, 2)) {
        begin(self, "adds to", object);
        add_reported(self, object, 1 + (int64_t)pick(self, 3));
        return;
    }
    begin(self, "waits for a change of", object);
    const int64_t value = isthmus_atomic_int_load(integer);
    const uint64_t deadline = some_deadline(self);
    int result;
    do
        result = isthmus_atomic_int_wait_while(integer, value, deadline);
    while (result == -EINTR);
    if (result && (result != -ETIMEDOUT || deadline == ISTHMUS_FOREVER))
        unexpected(object, "waiting", result);
    /* It only grows here. */
    REQUIRE(result || isthmus_atomic_int_load(integer) > value, object);
}

void forget_integer(unsigned object, unsigned actor)
{
    struct facts *facts = &stress->facts[object];
    const int64_t pending = exchange(&facts->pending[actor], 0);
    add(&facts->unsure, (uint64_t)pending);
}

void tend_integer(struct self *warden, unsigned object)
{
    add_reported(warden, object, 1);
}

void conclude_integer(struct self *warden, unsigned object)
{
    const struct facts *facts = &stress->facts[object];
    const int64_t value = isthmus_atomic_int_load(&warden->handles[object]);
    int64_t sum = 0;
    for (unsigned i = 0; i < ACTORS; i++)
        sum += get(&facts->report[i]);
    /* One that was killed has added what it has not reported, or not. */
    REQUIRE(value >= sum, object);
    REQUIRE(value - sum <= (int64_t)get(&facts->unsure), object);
}
