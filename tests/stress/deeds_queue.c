/*
 * Queues: what was put comes out, whole, once and in order; what somebody leased comes again if
 * that one dies, or gives it back.
 */
#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEASES 40u /* of one actor at a time */

static struct isthmus_ring *ring_of(struct self *self, unsigned object)
{
    return &self->rings[object - FIRST_RING];
}

static int is_no(int result, uint64_t deadline)
{
    return result == -EAGAIN || (result == -EBUSY && !deadline) ||
           (result == -ETIMEDOUT && deadline != ISTHMUS_FOREVER);
}

static void deed_put(struct self *self, unsigned object)
{
    const uint64_t deadline = some_deadline(self);
    begin(self, "puts into", object);
    const int result = bring(self, object, deadline);
    if (result && !is_no(result, deadline))
        unexpected(object, "putting", result);
}

/* ---- Getting --------------------------------------------------------------------------------- */

/*
 * Whoever gets several gets them in the order in which they were put, but for those that come
 * back: these were leased before.
 */
static void require_order(struct self *self, unsigned number, const struct isthmus_record *record,
                          const struct message *message)
{
    uint32_t *heard = &self->heard[number][message->actor];
    if (record->attempts)
        return;
    if (record->sequence + 1 <= self->fresh[number])
        fail("%s: number %llu comes after %llu", objects[FIRST_RING + number].label,
             (unsigned long long)record->sequence, (unsigned long long)self->fresh[number] - 1);
    self->fresh[number] = record->sequence + 1;
    if (get(&entry_of(number, message)->marks) & AGAIN)
        return;
    if (message->number + 1 <= *heard)
        fail("%s: message %u of actor %u comes after %u", objects[FIRST_RING + number].label,
             message->number, message->actor, *heard - 1);
    *heard = message->number + 1;
}

/* What was got is ready again: it may come as if it had never been. */
static void forget_order(struct self *self, unsigned number)
{
    self->fresh[number] = 0;
    memset(self->heard[number], 0, sizeof self->heard[number]);
}

static int next_message(struct self *self, unsigned object, struct isthmus_read *read,
                        struct isthmus_record *record, struct message *message)
{
    const int result = isthmus_read_next(ring_of(self, object), read, record);
    if (result == 0)
        require_whole(object - FIRST_RING, record->data, record->size, message);
    return result;
}

/* Begin to read, and the first message: 0, or -ETIMEDOUT and the like, and it has ended. */
static int first_message(struct self *self, unsigned object, struct isthmus_read *read,
                         struct isthmus_record *record, struct message *message, uint64_t deadline)
{
    struct isthmus_ring *ring = ring_of(self, object);
    for (;;) {
        int result;
        do
            result = isthmus_read_begin(ring, read, deadline);
        while (result == -EINTR);
        if (result)
            return result;
        result = next_message(self, object, read, record, message);
        if (result == 0)
            return 0;
        isthmus_read_abort(ring, read);
        if (result != -EAGAIN || !deadline)
            return result;
        if (pick(self, 2))
            isthmus_read_glance(ring, read);
        do
            result = isthmus_read_await(ring, read, deadline);
        while (result == -EINTR);
        if (result)
            return result;
    }
}

/* Up to `wanted` of them; how many, or what was in the way. */
static int get_several(struct self *self, unsigned object, unsigned wanted, uint64_t deadline)
{
    const unsigned number = object - FIRST_RING;
    struct isthmus_ring *ring = ring_of(self, object);
    struct log *log = own_log(self, number);
    struct isthmus_record record;
    struct message messages[BATCH];
    struct isthmus_read read;
    unsigned count = 0;

    int result = first_message(self, object, &read, &record, &messages[0], deadline);
    if (result)
        return result;
    do {
        const struct message *message = &messages[count];
        require_order(self, number, &record, message);
        log->taken[count++] = (struct mark){message->actor, message->number};
    } while (count < wanted && !next_message(self, object, &read, &record, &messages[count]));
    if (pick(self, 16) == 0) {
        /* They come again, perhaps to another. */
        forget_order(self, number);
        isthmus_read_abort(ring, &read);
        return (int)count;
    }
    put(&log->taking, count);
    isthmus_read_commit(ring, &read);
    for (unsigned i = 0; i < count; i++)
        have_got(number, &messages[i]);
    put(&log->taking, 0);
    return (int)count;
}

/* As a copy. */
static int get_copy(struct self *self, unsigned object, uint64_t deadline)
{
    const unsigned number = object - FIRST_RING;
    struct log *log = own_log(self, number);
    struct message message;
    size_t room = pick(self, 4) ? (size_t)ring_plan(number).capacity : 10, size;
    unsigned char *buffer = malloc((size_t)ring_plan(number).capacity);
    int result;

    if (!buffer)
        fail("no memory");
    put(&log->copying, 1);
    do
        result = isthmus_ring_read(ring_of(self, object), buffer, room, &size, deadline);
    while (result == -EINTR);
    if (result == -ENOBUFS) {
        REQUIRE(room == 10 && size > room, object);
        result = -EAGAIN;
    } else if (result == 0) {
        require_whole(number, buffer, size, &message);
        have_got(number, &message);
        result = 1;
    }
    put(&log->copying, 0);
    free(buffer);
    return result;
}

static void deed_get(struct self *self, unsigned object)
{
    const uint64_t deadline = some_deadline(self);
    begin(self, "gets from", object);
    const int count = pick(self, 3) ? get_several(self, object, 1 + pick(self, 5), deadline)
                                    : get_copy(self, object, deadline);
    if (count < 0 && !is_no(count, deadline))
        unexpected(object, "getting", count);
    /* Not always, as programs are: what is owed by one that closes is forgiven. An abort owes
       nothing, and another thread may have reported it. */
    for (int i = 0; i < count && pick(self, 4); i++) {
        const int result = isthmus_queue_task_done(ring_of(self, object));
        if (result && result != -ERANGE)
            unexpected(object, "reporting a message as done", result);
    }
}

/* ---- Leasing --------------------------------------------------------------------------------- */

struct lease {
    struct message message;
    uint64_t position, sequence;
};

static int lease_one(struct self *self, unsigned object, struct lease *lease, uint64_t deadline)
{
    const unsigned number = object - FIRST_RING;
    const uint64_t began = now_ns();
    struct isthmus_record record;
    struct isthmus_read read;
    int result = first_message(self, object, &read, &record, &lease->message, deadline);
    if (result)
        return result;
    require_order(self, number, &record, &lease->message);
    result = isthmus_queue_lease(ring_of(self, object), &read, &record);
    if (result)
        unexpected(object, "leasing", result);
    have_leased(self, number, &lease->message, &record, began);
    lease->position = record.position;
    lease->sequence = record.sequence;
    /* Where it was, and still whole. */
    require_whole(number, record.data, record.size, &lease->message);
    return 0;
}

static void end_lease(struct self *self, unsigned object, const struct lease *lease)
{
    const unsigned number = object - FIRST_RING;
    struct isthmus_ring *ring = ring_of(self, object);
    struct entry *entry = entry_of(number, &lease->message);
    /* Often enough that some are set aside. */
    const int give_back = pick(self, ring_plan(number).max_attempts ? 2 : 4) == 0;
    int result;
    if (give_back) {
        put(&entry->holder, 0);
        result = isthmus_queue_give_back(ring, lease->position, lease->sequence);
    } else {
        __atomic_fetch_or(&entry->marks, ENDING, __ATOMIC_SEQ_CST);
        result = isthmus_queue_acknowledge(ring, lease->position, lease->sequence);
        __atomic_fetch_or(&entry->marks, ENDED, __ATOMIC_SEQ_CST);
        put(&entry->holder, 0);
    }
    if (result)
        unexpected(object, give_back ? "giving back" : "acknowledging", result);
    add(give_back ? &accounts[number].tally.given_back : &accounts[number].tally.acknowledged, 1);
    /* Nobody can do it twice. */
    if (!give_back && pick(self, 16) == 0)
        REQUIRE(isthmus_queue_acknowledge(ring, lease->position, lease->sequence) == -ESTALE,
                object);
}

static void deed_lease(struct self *self, unsigned object)
{
    const unsigned wanted = pick(self, 16) ? 1 + pick(self, 4) : LEASES;
    const uint64_t deadline = some_deadline(self);
    struct lease leases[LEASES];
    unsigned count = 0;
    int result = 0;

    begin(self, "leases from", object);
    while (count < wanted && !result) {
        /* Not for ever with something in hand, that others wait for. */
        result = lease_one(self, object, &leases[count], count ? 0 : deadline);
        count += result == 0;
    }
    if (result && !is_no(result, count ? 0 : deadline))
        unexpected(object, "leasing", result);
    begin(self, "has leases from", object);
    linger(self);
    if (count && self->alone && pick(self, 64) == 0) {
        /* Closed with leases: they come back. */
        for (unsigned i = 0; i < count; i++)
            put(&entry_of(object - FIRST_RING, &leases[i].message)->holder, 0);
        close_object(self, object);
        open_object(self, object);
        return;
    }
    /* In some order. */
    while (count) {
        const unsigned which = pick(self, count);
        end_lease(self, object, &leases[which]);
        leases[which] = leases[--count];
    }
}

/* ---- What was set aside ---------------------------------------------------------------------- */

/* Remove the first of them, or put it back. 1: there was one. */
static int settle_aside(struct self *self, unsigned object, int put_back)
{
    const unsigned number = object - FIRST_RING;
    struct isthmus_ring *ring = ring_of(self, object);
    struct isthmus_record record;
    struct isthmus_read read;
    struct message message;

    int result = isthmus_queue_aside_begin(ring, &read, isthmus_deadline_after(5000000));
    if (result)
        return 0;
    result = isthmus_queue_aside_next(ring, &read, &record);
    if (result == 0) {
        require_whole(number, record.data, record.size, &message);
        if (record.attempts < ring_plan(number).max_attempts)
            fail("%s: set aside after %u attempts", objects[object].label, record.attempts);
    }
    isthmus_read_abort(ring, &read);
    if (result == -EAGAIN)
        return 0;
    if (result)
        unexpected(object, "looking at what was set aside", result);
    struct entry *entry = entry_of(number, &message);
    if (put_back) {
        put(&entry->mover, self->identity);
        /* Attempts are counted anew; another one may do the same at this moment. */
        __atomic_fetch_and(&entry->marks, LEASE - 1, __ATOMIC_SEQ_CST);
        __atomic_fetch_or(&entry->marks, AGAIN, __ATOMIC_SEQ_CST);
        do
            result = isthmus_queue_aside_put_back(ring, record.sequence,
                                                  isthmus_deadline_after(5000000));
        while (result == -EINTR);
        if (result && result != -ENOENT && result != -ETIMEDOUT)
            unexpected(object, "putting back", result);
    } else {
        __atomic_fetch_or(&entry->marks, ENDING, __ATOMIC_SEQ_CST);
        result = isthmus_queue_aside_remove(ring, record.sequence);
        if (result && result != -ENOENT)
            unexpected(object, "removing what was set aside", result);
        if (result == 0)
            __atomic_fetch_or(&entry->marks, ENDED, __ATOMIC_SEQ_CST);
    }
    return 1;
}

/* ---- All together ---------------------------------------------------------------------------- */

static void look(struct self *self, unsigned object)
{
    struct isthmus_queue_state state;
    const int result = isthmus_queue_state(ring_of(self, object), &state);
    if (result)
        unexpected(object, "looking at the state", result);
    REQUIRE(state.used <= ring_plan(object - FIRST_RING).capacity, object);
    REQUIRE(!state.closed, object);
}

void deed_queue(struct self *self, unsigned object)
{
    /* One queue without leases, where all is direct. */
    const int leases = object != FIRST_RING;
    const uint32_t choice = pick(self, 100);
    if (choice < 48)
        deed_put(self, object);
    else if (choice < (leases ? 64 : 96))
        deed_get(self, object);
    else if (choice < 92)
        deed_lease(self, object);
    else if (choice < 96) {
        begin(self, "settles what was set aside of", object);
        settle_aside(self, object, (int)pick(self, 2));
    } else if (choice < 98) {
        look(self, object);
    } else {
        begin(self, "waits for all to be done of", object);
        const int result =
            isthmus_queue_join(ring_of(self, object), isthmus_deadline_after(pick(self, 2000000)));
        if (result && result != -ETIMEDOUT && result != -EINTR)
            unexpected(object, "waiting for all to be done", result);
    }
}

/* Those that wait for ever for a message, or for room. */
void tend_queue(struct self *warden, unsigned object)
{
    struct isthmus_queue_state state;
    int result = isthmus_queue_state(ring_of(warden, object), &state);
    if (result)
        unexpected(object, "looking at the state", result);
    if (state.ready == 0) {
        for (unsigned i = get(&stress->stop) ? 8 : 1; i && !result; i--)
            result = bring_copy(warden, object, 0);
    } else if (pick(warden, 4) == 0) {
        for (unsigned i = get(&stress->stop) ? 8 : 1; i && result >= 0; i--)
            result = get_several(warden, object, 4, 0);
    }
    if (result < 0 && !is_no(result, 0))
        unexpected(object, "tending", result);
}

/* All workers are gone: what is left comes out. */
static void drain(struct self *warden, unsigned object)
{
    struct isthmus_queue_state state;
    struct lease lease;
    for (;;) {
        while (settle_aside(warden, object, 0))
            ;
        const int result = isthmus_queue_state(ring_of(warden, object), &state);
        if (result)
            unexpected(object, "looking at the state", result);
        if (!state.ready && !state.leased && !state.aside)
            return;
        if (pick(warden, 3) == 0 && lease_one(warden, object, &lease, 0) == 0)
            end_lease(warden, object, &lease);
        else
            get_several(warden, object, 8, isthmus_deadline_after(1000000));
    }
}

void conclude_queue(struct self *warden, unsigned object)
{
    const unsigned number = object - FIRST_RING;
    struct isthmus_ring *queue = ring_of(warden, object);
    struct isthmus_queue_state state;
    uint64_t sure, perhaps;
    size_t size;
    char byte;

    drain(warden, object);
    ledger_require_complete(number);
    int result;
    while ((result = isthmus_queue_task_done(queue)) == 0)
        ;
    REQUIRE(result == -ERANGE, object);
    /* Whoever else took something is gone. */
    begin(warden, "waits for all to be done of", object);
    do
        result = isthmus_queue_join(queue, ISTHMUS_FOREVER);
    while (result == -EINTR);
    REQUIRE(result == 0, object);
    REQUIRE(isthmus_queue_state(queue, &state) == 0, object);
    ledger_count(number, &sure, &perhaps);
    REQUIRE(state.put >= sure, object);
    accounts[number].tally.redelivered = state.redelivered;
    accounts[number].tally.set_aside = state.set_aside;
    REQUIRE(isthmus_queue_shut_down(queue, 0) == 0, object);
    REQUIRE(isthmus_ring_write(queue, "x", 1, 0) == -ESHUTDOWN, object);
    REQUIRE(isthmus_ring_read(queue, &byte, 1, &size, ISTHMUS_FOREVER) == -ESHUTDOWN, object);
    if (objects[object].flags & ISTHMUS_PERSIST)
        REQUIRE(isthmus_ring_unlink(queue) == 0, object);
}

/* ---- One that is there only while somebody uses it ------------------------------------------- */

void deed_fleeting_queue(struct self *self, unsigned object)
{
    const unsigned number = object - FIRST_RING;
    struct isthmus_ring table[RINGS], *const shared = self->rings;
    struct isthmus_ring *queue = &table[number];
    struct isthmus_record record;
    struct isthmus_read read;
    struct message message;
    int result = 0;

    self->rings = table;
    open_object(self, object);
    begin(self, "uses", object);
    for (unsigned i = pick(self, 4); i && !result; i--)
        result = bring(self, object, pick(self, 2) ? isthmus_deadline_after(1000000) : 0);
    if (result && result != -ESHUTDOWN && !is_no(result, 0))
        unexpected(object, "putting", result);
    /* Who leases one keeps it until it closes. */
    for (result = 0; result == 0 && pick(self, 4);) {
        result = first_message(self, object, &read, &record, &message, 0);
        if (result == 0 && pick(self, 2))
            isthmus_read_commit(queue, &read);
        else if (result == 0)
            result = isthmus_queue_lease(queue, &read, &record);
    }
    if (result && result != -ESHUTDOWN && !is_no(result, 0))
        unexpected(object, "getting", result);
    if (pick(self, 16) == 0)
        result = pick(self, 2) ? isthmus_queue_clear(queue)
                               : isthmus_queue_shut_down(queue, (int)pick(self, 2));
    else
        result = 0;
    if (result && result != -ESHUTDOWN)
        unexpected(object, "clearing or shutting down", result);
    begin(self, "closes", object);
    close_object(self, object);
    self->rings = shared;
}

/* If all that used it were killed, whoever comes next clears it away. */
void conclude_fleeting_ring(struct self *warden, unsigned object)
{
    open_object(warden, object);
    close_object(warden, object);
}
