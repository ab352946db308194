/*
 * Locks and recursive locks: nobody else is inside, and what is inside is whole unless the
 * one that takes the lock is told that its last owner died.
 */
#include "stress.h"

#include <unistd.h>

/* A counter and who raised it how often, changed in steps between which all is torn. */
static void change(struct self *self, unsigned facts_of)
{
    struct exclusive *data = &stress->facts[facts_of].exclusive;
    const uint64_t before = get(&data->counter);
    put(&data->dirty, self->identity);
    put(&data->counter, before + 1);
    linger(self);
    REQUIRE(get(&data->counter) == before + 1, facts_of);
    put(&data->report[self->actor], get(&data->report[self->actor]) + 1);
    put(&data->copy, before + 1);
    put(&data->dirty, 0);
}

static uint64_t sum(const uint64_t *values)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < ACTORS; i++)
        total += get(&values[i]);
    return total;
}

static void repair(unsigned facts_of)
{
    struct facts *facts = &stress->facts[facts_of];
    struct exclusive *data = &facts->exclusive;
    put(&data->counter, sum(data->report));
    put(&data->copy, get(&data->counter));
    put(&facts->stored, sum(facts->produced) - sum(facts->consumed));
    put(&data->abandoned, 0);
    put(&data->dirty, 0);
}

void enter(struct self *self, unsigned object, unsigned facts_of, int result, uint64_t began)
{
    struct exclusive *data = &stress->facts[facts_of].exclusive;
    const uint32_t before = exchange(&data->inside, self->identity);
    if (result == -EOWNERDEAD) {
        if (before && !is_doomed(before))
            fail("%s: told that the owner died, but %08x is inside and lives",
                 objects[object].label, (unsigned)before);
        took_over(before, began);
        repair(facts_of);
    }
    if (before && result == 0)
        fail("%s: %08x is inside as well", objects[object].label, (unsigned)before);
    REQUIRE(get(&data->dirty) == 0, object);
    REQUIRE(get(&data->abandoned) == 0, object);
    REQUIRE(get(&data->counter) == get(&data->copy), object);
}

void leave(struct self *self, unsigned facts_of)
{
    struct exclusive *data = &stress->facts[facts_of].exclusive;
    const uint32_t before = exchange(&data->inside, 0);
    if (before != self->identity)
        fail("%s: %08x came in meanwhile", objects[facts_of].label, (unsigned)before);
}

int take(struct self *self, unsigned object, uint64_t deadline)
{
    int result;
    do
        result = isthmus_lock_acquire(&self->handles[object], deadline);
    while (result == -EINTR);
    if (result && result != -EOWNERDEAD && (result != -ETIMEDOUT || deadline == ISTHMUS_FOREVER))
        unexpected(object, "acquiring", result);
    return result;
}

void drop(struct self *self, unsigned object)
{
    int result = isthmus_lock_release(&self->handles[object]);
    if (result)
        unexpected(object, "releasing", result);
}

/* As one may do who cannot repair: the next one must be told, in whichever way it ends. */
static void give_up(struct self *self, unsigned object, int by_closing)
{
    struct exclusive *data = &stress->facts[object].exclusive;
    put(&data->dirty, self->identity);
    put(&data->abandoned, 1);
    leave(self, object);
    if (by_closing) {
        isthmus_primitive_close(&self->handles[object]);
        open_object(self, object);
        return;
    }
    int result = isthmus_lock_abandon(&self->handles[object]);
    if (result)
        unexpected(object, "abandoning", result);
}

/* What people are told about an owner that stays the same meanwhile. */
static void look(struct self *self, unsigned object)
{
    struct isthmus_participant owner;
    int result = isthmus_primitive_owner(&self->handles[object], &owner);
    if (result)
        unexpected(object, "looking for the owner", result);
    REQUIRE(owner.pid == (uint32_t)getpid(), object);
    REQUIRE(owner.alive, object);
    REQUIRE(isthmus_lock_locked(&self->handles[object]) == 1, object);
    REQUIRE(isthmus_lock_is_mine(&self->handles[object]) == 1, object);
}

void deed_lock(struct self *self, unsigned object)
{
    const int recursive = objects[object].kind == ISTHMUS_KIND_RLOCK;
    const uint64_t began = now_ns();

    begin(self, "acquires", object);
    int result = take(self, object, some_deadline(self));
    if (result == -ETIMEDOUT)
        return;
    begin(self, "holds", object);
    enter(self, object, object, result, began);
    for (unsigned i = pick(self, 3); i < 3; i++)
        change(self, object);
    if (pick(self, 16) == 0)
        look(self, object);
    const unsigned more = recursive ? pick(self, 3) : 0;
    for (unsigned i = 0; i < more; i++) {
        if (take(self, object, ISTHMUS_FOREVER))
            fail("%s: could not be taken again by its owner", objects[object].label);
        change(self, object);
    }
    if (pick(self, 64) == 0) {
        give_up(self, object, self->alone && pick(self, 2));
        return;
    }
    for (unsigned i = 0; i < more; i++)
        drop(self, object);
    leave(self, object);
    begin(self, "releases", object);
    drop(self, object);
}

/*
 * An object that is there only while somebody uses it, or while a death has not been reported.
 * Whoever comes must find the one that the others have, or none.
 */
void deed_fleeting(struct self *self, unsigned object)
{
    /* In the place of the table that all actors of the process share. */
    struct isthmus_primitive table[FIRST_RING], *const shared = self->handles;
    const int alone = self->alone;
    self->handles = table;
    self->alone = 1;
    open_object(self, object);
    for (unsigned i = 1 + pick(self, 2); i; i--)
        deed_lock(self, object);
    begin(self, "closes", object);
    isthmus_primitive_close(&table[object]);
    self->handles = shared;
    self->alone = alone;
}

void conclude_fleeting(struct self *warden, unsigned object)
{
    open_object(warden, object);
    conclude_lock(warden, object);
    isthmus_primitive_close(&warden->handles[object]);
}

void conclude_lock(struct self *warden, unsigned object)
{
    struct exclusive *data = &stress->facts[object].exclusive;
    const int result = take(warden, object, ISTHMUS_FOREVER);
    enter(warden, object, object, result, now_ns());
    REQUIRE(sum(data->report) == get(&data->counter), object);
    leave(warden, object);
    drop(warden, object);
}
