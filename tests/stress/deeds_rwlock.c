/*
 * Readers-writer locks: nobody reads while one writes, and what is read is whole unless the
 * reader is told that a writer died.
 */
#include "stress.h"

#define READS 1u
#define WRITES 2u

/* Who holds it with us in a way that cannot be. */
static void require_nobody(struct self *self, unsigned object, unsigned what)
{
    for (unsigned i = 0; i < ACTORS; i++) {
        const struct actor *other = &stress->actors[i];
        if (i == self->actor)
            continue;
        const uint32_t life = get(&other->life);
        const unsigned has = declared(object, i);
        /* In this order: whoever forgets it clears what it had, then changes its life. */
        if (has & what && !get(&other->doomed) && get(&other->life) == life)
            fail("%s: actor %u %s as well", objects[object].label, i,
                 has & WRITES ? "writes" : "reads");
    }
}

static int whole(const struct facts *facts)
{
    const uint64_t first = get(&facts->words[0]);
    for (unsigned i = 1; i < WORDS; i++)
        if (get(&facts->words[i]) != first)
            return 0;
    return 1;
}

static int acquire(struct self *self, unsigned object, int write)
{
    struct isthmus_primitive *rwlock = &self->handles[object];
    const uint64_t deadline = some_deadline(self);
    int result;
    begin(self, write ? "acquires, to write," : "acquires, to read,", object);
    do
        result = write ? isthmus_rwlock_acquire_write(rwlock, deadline)
                       : isthmus_rwlock_acquire_read(rwlock, deadline);
    while (result == -EINTR);
    if (result && result != -EOWNERDEAD && (result != -ETIMEDOUT || deadline == ISTHMUS_FOREVER))
        unexpected(object, "acquiring", result);
    return result;
}

static void read_words(struct self *self, unsigned object)
{
    struct facts *facts = &stress->facts[object];
    const int result = acquire(self, object, 0);
    if (result == -ETIMEDOUT)
        return;
    declare(self, object, READS);
    begin(self, "reads", object);
    require_nobody(self, object, WRITES);
    if (result == 0) {
        REQUIRE(whole(facts), object);
        linger(self);
        REQUIRE(whole(facts), object);
    }
    declare(self, object, 0);
    const int error = isthmus_rwlock_release_read(&self->handles[object]);
    if (error)
        unexpected(object, "releasing", error);
}

static void write_words(struct self *self, unsigned object)
{
    struct facts *facts = &stress->facts[object];
    const uint64_t began = now_ns();
    const int result = acquire(self, object, 1);
    if (result == -ETIMEDOUT)
        return;
    /* Not until the declared has been looked at: it is by whom the words were left as they are. */
    const uint32_t before = exchange(&facts->exclusive.inside, self->identity);
    declare(self, object, WRITES);
    begin(self, "writes", object);
    require_nobody(self, object, READS | WRITES);
    if (result == -EOWNERDEAD) {
        REQUIRE(before == 0 || is_doomed(before), object);
        took_over(before, began);
    } else {
        REQUIRE(before == 0, object);
        REQUIRE(whole(facts), object);
    }
    const uint64_t value = get(&facts->words[0]) + 1;
    for (unsigned i = 0; i < WORDS; i++) {
        put(&facts->words[i], value);
        if (i == WORDS / 2)
            linger(self);
    }
    const int torn = pick(self, 64) == 0;
    if (torn)
        put(&facts->words[WORDS - 1], 0);
    exchange(&facts->exclusive.inside, 0);
    declare(self, object, 0);
    const int error = torn ? isthmus_rwlock_abandon_write(&self->handles[object])
                           : isthmus_rwlock_release_write(&self->handles[object]);
    if (error)
        unexpected(object, "releasing", error);
}

void deed_rwlock(struct self *self, unsigned object)
{
    if (pick(self, 4))
        read_words(self, object);
    else
        write_words(self, object);
}

void conclude_rwlock(struct self *warden, unsigned object)
{
    struct isthmus_primitive *rwlock = &warden->handles[object];
    int result;
    do
        result = isthmus_rwlock_acquire_write(rwlock, ISTHMUS_FOREVER);
    while (result == -EINTR);
    REQUIRE(result == 0 || result == -EOWNERDEAD, object);
    REQUIRE(result || whole(&stress->facts[object]), object);
    REQUIRE(isthmus_rwlock_readers(rwlock) == 0, object);
    REQUIRE(isthmus_rwlock_release_write(rwlock) == 0, object);
    REQUIRE(isthmus_rwlock_acquire_read(rwlock, 0) == 0, object);
    REQUIRE(isthmus_rwlock_release_read(rwlock) == 0, object);
}
