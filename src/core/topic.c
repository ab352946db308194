/*
 * Topics: what lies between those who publish and those who subscribe.
 *
 * A subscriber reads on its own; only its seat says where it is. A publisher that needs room lets
 * `oldest` move on over whole records before it writes over them, never past a subscriber that it
 * waits for, and never writes over a record in view. How it knows those without looking at each
 * of them every time: it keeps two floors, below which nobody is, and looks again when they do
 * not suffice, or `epoch` has grown.
 *
 * sync: epoch. Who comes in with an old record (a new subscriber, a pin): its cursor or pin;
 * `epoch`; a look at `overwriting`. Who publishes: `overwriting`; a look at `epoch`; the seats.
 * All in one total order: so either the publisher sees the new one, or the new one sees that its
 * record is about to go, and takes another.
 */
#include "eventcount.h"
#include "os.h"
#include "participant.h"
#include "primitive.h"
#include "repair.h"
#include "ring.h"

/* What a publisher has found in its way. */
#define BY_CURSOR 0u
#define BY_PIN 1u

/* ---- Publishing ------------------------------------------------------------------------ */

static uint64_t next_record(const struct isthmus_ring *topic, uint64_t position, uint64_t tail)
{
    const uint64_t room = isthmus_between(topic, position, tail);
    struct isthmus_record record;
    uint64_t span;
    if (room == UINT64_MAX || room == 0 ||
        isthmus_record_look(isthmus_record_at(topic, position), position, room, &record, &span))
        /* Damaged: nobody knows where the next one begins. All that is there goes. */
        return tail;
    return position + span;
}

/* A seat, and its cursor or pin as it was when it was found to be in the way. */
struct obstacle {
    int32_t slot; /* -1: none */
    uint64_t seen;
};

/* Who is furthest behind, and what is in view. Under the producer lock. */
static void look_around(struct isthmus_ring *topic, uint64_t tail, struct obstacle *slowest,
                        struct obstacle *pinner)
{
    struct isthmus_shared_cursors *cursors = topic->cursors;
    const uint64_t oldest = isthmus_peek_u64(&cursors->oldest);
    const uint32_t used = isthmus_participants_used(&topic->primitive);
    uint64_t floor = tail, pin_floor = tail;
    *slowest = *pinner = (struct obstacle){.slot = -1};
    /* Before the seats, so that who comes in meanwhile makes us look again. sync: epoch. */
    const uint32_t epoch = isthmus_load_u32(&cursors->epoch);
    for (uint32_t i = 0; i < used; i++) {
        const struct isthmus_shared_seat *seat = &topic->seats[i];
        const uint64_t pin = isthmus_load_u64(&seat->pin);
        if (isthmus_load_u32(&seat->role) & ISTHMUS_ROLE_SUBSCRIBER) {
            const uint64_t seen = isthmus_load_u64(&seat->cursor);
            /* If it is behind, it has missed what was before that. */
            const uint64_t cursor = isthmus_beyond(oldest, seen) ? oldest : seen;
            if (isthmus_beyond(floor, cursor)) {
                floor = cursor;
                *slowest = (struct obstacle){(int32_t)i, seen};
            }
        }
        if (pin && isthmus_beyond(pin_floor, pin - 1)) {
            pin_floor = pin - 1;
            *pinner = (struct obstacle){(int32_t)i, pin};
        }
    }
    isthmus_note_u64(&cursors->floor, floor);
    isthmus_note_u64(&cursors->pin_floor, pin_floor);
    /* Last. Dies before: the next one does not take old floors for right, and looks as well. */
    isthmus_note_u32(&cursors->epoch_seen, epoch);
}

/*
 * What to wait for: that the word is no longer what it was when we decided. If it were looked
 * at here once more, it could have moved already, and then perhaps never does again.
 */
static int in_the_way(struct isthmus_write *write, struct obstacle obstacle, uint32_t by)
{
    write->blocker = obstacle.slot;
    write->seen = obstacle.seen;
    write->seen_gone = by;
    return -EAGAIN;
}

/* `looking`: only see whether it can be made. */
static inline int make_room(struct isthmus_ring *topic, struct isthmus_write *write, uint64_t end,
                            const int looking)
{
    struct isthmus_shared_cursors *cursors = topic->cursors;
    const uint64_t limit = end - topic->capacity; /* what is before it will be written over */
    uint64_t before = isthmus_peek_u64(&cursors->oldest);
    const int block = topic->overflow == ISTHMUS_OVERFLOW_BLOCK;
    uint64_t oldest = before;
    const struct obstacle none = {.slot = -1};
    struct obstacle slowest = none, pinner = none;

    if (isthmus_between(topic, before, write->start) == UINT64_MAX)
        return -EBADMSG; /* else nobody would be found to wait for, again and again */
    while (isthmus_beyond(limit, oldest)) {
        if (oldest == write->start)
            return in_the_way(write, none, BY_CURSOR); /* of this batch itself */
        oldest = next_record(topic, oldest, write->start);
    }
    if (looking)
        before = oldest; /* so that nobody is told: those records stay */
    if (oldest != before)
        /* Dies after this: the next publisher writes it anew. sync: epoch. */
        isthmus_store_u64(&cursors->overwriting, oldest);
    if (isthmus_load_u32(&cursors->epoch) != isthmus_peek_u32(&cursors->epoch_seen) ||
        (block && isthmus_beyond(oldest, isthmus_peek_u64(&cursors->floor))) ||
        isthmus_beyond(limit, isthmus_peek_u64(&cursors->pin_floor)))
        look_around(topic, write->start, &slowest, &pinner);
    const int slow = block && isthmus_beyond(oldest, isthmus_peek_u64(&cursors->floor));
    if (slow || isthmus_beyond(limit, isthmus_peek_u64(&cursors->pin_floor))) {
        if (oldest != before)
            isthmus_store_u64(&cursors->overwriting, before); /* it stays, after all */
        return slow ? in_the_way(write, slowest, BY_CURSOR) : in_the_way(write, pinner, BY_PIN);
    }
    if (oldest != before) {
        /*
         * sync: oldest. Before a byte of those records is written over: who has copied one looks
         * at it afterwards. Dies here: those records are gone, though they are whole.
         */
        isthmus_store_u64(&cursors->oldest, oldest);
        isthmus_fence_before_overwriting();
    }
    return 0;
}

int isthmus_topic_make_room(struct isthmus_ring *topic, struct isthmus_write *write, uint64_t end)
{
    return make_room(topic, write, end, 0);
}

int isthmus_topic_look_for_room(struct isthmus_ring *topic, struct isthmus_write *write,
                                uint64_t end)
{
    return make_room(topic, write, end, 1);
}

int isthmus_topic_moved(const struct isthmus_ring *topic, const struct isthmus_write *write)
{
    if (write->blocker < 0 || (uint32_t)write->blocker >= topic->primitive.count)
        return 1;
    const struct isthmus_shared_seat *seat = &topic->seats[write->blocker];
    if (write->seen_gone == BY_PIN)
        return isthmus_load_u64(&seat->pin) != write->seen;
    return isthmus_load_u64(&seat->cursor) != write->seen ||
           !(isthmus_load_u32(&seat->role) & ISTHMUS_ROLE_SUBSCRIBER);
}

int isthmus_topic_evict(struct isthmus_ring *topic, const struct isthmus_write *write)
{
    struct isthmus_primitive *primitive = &topic->primitive;
    const uint32_t slot = (uint32_t)write->blocker;
    if (write->blocker < 0 || isthmus_participant_seize(primitive, slot))
        return 0;
    /* Dies in there: the next publisher does it. */
    isthmus_repair(primitive, slot);
    isthmus_participant_release(primitive, slot);
    isthmus_add_u32(&topic->cursors->evicted, 1);
    return 1;
}

/* ---- Subscribing ----------------------------------------------------------------------- */

int isthmus_topic_take_seat(struct isthmus_ring *topic, uint64_t cursor, uint64_t sequence)
{
    struct isthmus_shared_cursors *cursors = topic->cursors;
    struct isthmus_shared_seat *seat = isthmus_seat_of(topic);
    topic->cursor = cursor;
    topic->sequence = sequence;
    isthmus_note_u64(&seat->sequence, sequence);
    /* Dies before or after any of these: a dead subscriber, which is evicted when in the way. */
    isthmus_store_u64(&seat->cursor, cursor);
    isthmus_local_or_u32(&topic->role, ISTHMUS_ROLE_SUBSCRIBER);
    isthmus_or_u32(&seat->role, ISTHMUS_ROLE_SUBSCRIBER);
    /* sync: epoch */
    isthmus_add_u32(&cursors->epoch, 1);
    return isthmus_beyond(isthmus_load_u64(&cursors->overwriting), cursor) ? -ESTALE : 0;
}

/* The start of the last `count` messages, or of as many as are there. */
static uint64_t last_ones(const struct isthmus_ring *topic, uint64_t oldest, uint64_t tail,
                          uint64_t count)
{
    uint64_t position = oldest, messages = 0, i;
    /* Where the ring is overwritten meanwhile, taking the seat finds that out. */
    for (position = oldest; position != tail; position = next_record(topic, position, tail))
        messages++;
    position = oldest;
    for (i = count; i < messages && position != tail; i++)
        position = next_record(topic, position, tail);
    return position;
}

/*
 * The number of the message that begins at `position`, or will, at `tail`; so that one that is
 * overwritten before it has read anything can be told. UINT64_MAX: not known, as others move it.
 */
static uint64_t number_at(const struct isthmus_ring *topic, uint64_t position, uint64_t tail)
{
    const struct isthmus_shared_cursors *cursors = topic->cursors;
    struct isthmus_record record;
    uint64_t span;
    if (position != tail)
        return isthmus_record_look(isthmus_record_at(topic, position), position, tail - position,
                                   &record, &span)
                   ? UINT64_MAX
                   : record.sequence;
    const uint64_t number = isthmus_noted(cursors->put, tail);
    isthmus_fence_after_copying();
    /* As long as the cursor is there, its note is not written. */
    return isthmus_load_u64(&cursors->tail) == tail ? number : UINT64_MAX;
}

/*
 * The oldest record that no publisher is about to overwrite. One that died there does not: what it
 * left is whole. One that lives is not waited for, as it may be stopped.
 */
static uint64_t first_to_stay(struct isthmus_ring *topic)
{
    struct isthmus_shared_cursors *cursors = topic->cursors;
    const uint64_t overwriting = isthmus_load_u64(&cursors->overwriting); /* sync: epoch */
    if (overwriting == isthmus_load_u64(&cursors->oldest))
        return overwriting;
    const int result = isthmus_ring_lock(topic, &cursors->producer, 0);
    if (result && result != -EOWNERDEAD)
        return overwriting;
    const uint64_t oldest = isthmus_peek_u64(&cursors->oldest);
    isthmus_store_u64(&cursors->overwriting, oldest);
    isthmus_ring_unlock(topic, &cursors->producer);
    return oldest;
}

int isthmus_topic_subscribe(struct isthmus_ring *topic, uint64_t start)
{
    const struct isthmus_shared_cursors *cursors = topic->cursors;
    uint32_t attempts = ISTHMUS_ATTEMPTS;
    uint64_t number;
    int error = isthmus_ring_unfit(topic, ISTHMUS_KIND_TOPIC);
    if (error)
        return error;
    struct isthmus_shared_seat *seat = isthmus_seat_of(topic);
    (void)isthmus_ring_lock_surely(topic, &seat->reader);
    isthmus_note_u64(&seat->missed, 0);
    do {
        /* Where publishers go on all the time, this is the newest at last. */
        const uint64_t tail = isthmus_load_acquire_u64(&cursors->tail); /* sync: tail */
        uint64_t cursor = tail;
        if (start != ISTHMUS_START_NEXT)
            cursor = first_to_stay(topic);
        if (isthmus_between(topic, cursor, tail) == UINT64_MAX)
            cursor = tail;
        if (start != ISTHMUS_START_NEXT && start != ISTHMUS_START_OLDEST)
            cursor = last_ones(topic, cursor, tail, start);
        number = number_at(topic, cursor, tail);
        /* Not overwritten until it has its seat: then the number is right as well. */
        error = isthmus_topic_take_seat(topic, cursor, number);
    } while ((error || number == UINT64_MAX) && --attempts);
    if (error)
        /* Not for ever: somebody may have damaged the cursors. Its first read finds out. */
        isthmus_note_u64(&seat->sequence, topic->sequence = UINT64_MAX);
    isthmus_ring_unlock(topic, &seat->reader);
    return 0;
}

int isthmus_topic_unsubscribe(struct isthmus_ring *topic)
{
    int error = isthmus_ring_unfit(topic, ISTHMUS_KIND_TOPIC);
    if (error)
        return error;
    struct isthmus_shared_seat *seat = isthmus_seat_of(topic);
    (void)isthmus_ring_lock_surely(topic, &seat->reader);
    isthmus_local_and_u32(&topic->role, ~ISTHMUS_ROLE_SUBSCRIBER);
    /* Dies before: a dead subscriber. After: none. */
    isthmus_and_u32(&seat->role, ~ISTHMUS_ROLE_SUBSCRIBER);
    isthmus_ring_unlock(topic, &seat->reader);
    isthmus_notify(topic, &topic->cursors->room, INT32_MAX);
    return 0;
}

/* ---- Reading --------------------------------------------------------------------------- */

/* Where to go on after a lap: at the oldest, and the second time further on, with a lead. */
static uint64_t go_on(const struct isthmus_ring *topic, const struct isthmus_read *read,
                      uint64_t oldest, uint64_t tail)
{
    uint64_t position = oldest;
    if (read->lapped > 8)
        return tail;
    if (read->lapped > 1)
        while (position != tail && position - oldest < topic->capacity / 8)
            position = next_record(topic, position, tail);
    return position;
}

int isthmus_topic_read_next(struct isthmus_ring *topic, struct isthmus_read *read,
                            struct isthmus_record *record)
{
    const struct isthmus_shared_cursors *cursors = topic->cursors;
    for (;;) {
        /* In this order: `oldest` may be beyond a `tail` that was read before it. sync: oldest */
        const uint64_t oldest = isthmus_load_u64(&cursors->oldest);
        const uint64_t tail = isthmus_load_acquire_u64(&cursors->tail); /* sync: tail */
        /* Not yet the reader's: where it has found nothing, a later read must see that it was
         * lapped. */
        uint64_t position = read->position, span;
        read->seen_tail = tail;
        if (isthmus_beyond(oldest, position)) {
            read->lapped++;
            position = go_on(topic, read, oldest, tail);
        }
        if (position == tail)
            return -EAGAIN;
        const uint64_t room = isthmus_between(topic, position, tail);
        int error = -EBADMSG;
        record->position = position;
        if (room != UINT64_MAX)
            error = isthmus_record_look(isthmus_record_at(topic, position), position, room, record,
                                        &span);
        isthmus_fence_after_copying();
        if (isthmus_beyond(isthmus_load_u64(&cursors->oldest), position))
            continue; /* overwritten while we looked */
        /* Numbers that grow by more than one tell how many were overwritten; else none may. */
        if (!error && read->sequence != UINT64_MAX && record->sequence != read->sequence &&
            (read->lapped == 0 || isthmus_beyond(read->sequence, record->sequence)))
            error = -EBADMSG;
        if (error) {
            read->position = tail;
            read->sequence = UINT64_MAX;
            read->count = 0;
            return error;
        }
        if (read->sequence != UINT64_MAX)
            read->missed += record->sequence - read->sequence;
        read->sequence = record->sequence + 1;
        read->position = position + span;
        read->count++;
        return 0;
    }
}

int isthmus_read_valid(struct isthmus_ring *ring, struct isthmus_read *read,
                       const struct isthmus_record *record)
{
    if (ring->primitive.kind != ISTHMUS_KIND_TOPIC)
        return 0;
    /* sync: oldest. After the copy: what was written over it came after `oldest` had moved. */
    isthmus_fence_after_copying();
    if (!isthmus_beyond(isthmus_load_u64(&ring->cursors->oldest), record->position))
        return 0;
    /* As if it had never been given: its number is the next one that is missing. */
    read->position = record->position;
    read->sequence = record->sequence;
    read->count--;
    read->lapped++;
    return -ESTALE;
}

void isthmus_topic_read_commit(struct isthmus_ring *topic, struct isthmus_read *read)
{
    struct isthmus_shared_seat *seat = isthmus_seat_of(topic);
    topic->cursor = read->position;
    topic->sequence = read->sequence;
    isthmus_note_u64(&seat->sequence, read->sequence);
    isthmus_note_u64(&seat->missed, read->missed);
    /* sync: cursor. Release: publishers that see it may write over what we have copied. */
    isthmus_store_release_u64(&seat->cursor, read->position);
    isthmus_ring_unlock(topic, &seat->reader);
    /* Dies before: a dead subscriber is not waited for. */
    isthmus_notify(topic, &topic->cursors->room, INT32_MAX);
}

/*
 * A publisher is about to overwrite the record at `position`, or has died there. With its lock,
 * which is held for as long as one message takes, it is clear which.
 */
static int about_to_go(struct isthmus_ring *topic, uint64_t position)
{
    struct isthmus_shared_cursors *cursors = topic->cursors;
    /* Then that is clear already, and the lock may be held for long, by one that fills a loan. */
    if (isthmus_beyond(isthmus_load_u64(&cursors->oldest), position))
        return 1;
    (void)isthmus_ring_lock_surely(topic, &cursors->producer);
    const uint64_t oldest = isthmus_peek_u64(&cursors->oldest);
    isthmus_store_u64(&cursors->overwriting, oldest);
    isthmus_ring_unlock(topic, &cursors->producer);
    return isthmus_beyond(oldest, position);
}

int isthmus_topic_pin(struct isthmus_ring *topic, uint64_t position)
{
    struct isthmus_shared_cursors *cursors = topic->cursors;
    int error = isthmus_ring_unfit(topic, ISTHMUS_KIND_TOPIC);
    if (error)
        return error;
    uint64_t *pin = &isthmus_seat_of(topic)->pin;
    const uint64_t before = isthmus_peek_u64(pin);
    const uint64_t now = position == UINT64_MAX ? 0 : position | 1;
    /* Dies after this: a pin of the dead, which whoever finds it in the way takes out. */
    isthmus_store_u64(pin, now);
    if (now && (before == 0 || isthmus_beyond(before, now))) {
        /* sync: epoch */
        isthmus_add_u32(&cursors->epoch, 1);
        if (isthmus_beyond(isthmus_load_u64(&cursors->overwriting), position) &&
            about_to_go(topic, position)) {
            isthmus_store_u64(pin, before);
            error = -ESTALE;
        }
    }
    if (error || !now || (before && isthmus_beyond(now, before)))
        isthmus_notify(topic, &cursors->room, INT32_MAX);
    return error;
}

/* ---- What is to be known --------------------------------------------------------------- */

/* Messages from a position on. */
static uint64_t from(const struct isthmus_ring *topic, uint64_t position)
{
    const struct isthmus_shared_cursors *cursors = topic->cursors;
    const uint64_t tail = isthmus_load_acquire_u64(&cursors->tail); /* sync: tail */
    const uint64_t put = isthmus_counted(cursors->put, &cursors->tail);
    const uint64_t room = isthmus_between(topic, position, tail);
    struct isthmus_record record;
    uint64_t span;
    if (room == 0 || room == UINT64_MAX ||
        isthmus_record_look(isthmus_record_at(topic, position), position, room, &record, &span))
        return 0;
    return (int64_t)(put - record.sequence) < 0 ? 0 : put - record.sequence;
}

static uint64_t lag_of(const struct isthmus_ring *topic, const struct isthmus_shared_seat *seat)
{
    const struct isthmus_shared_cursors *cursors = topic->cursors;
    const uint64_t sequence = isthmus_peek_u64(&seat->sequence);
    const uint64_t put = isthmus_counted(cursors->put, &cursors->tail);
    if (sequence == UINT64_MAX)
        return from(topic, isthmus_load_u64(&seat->cursor));
    return (int64_t)(put - sequence) < 0 ? 0 : put - sequence;
}

uint64_t isthmus_topic_lag(const struct isthmus_ring *topic)
{
    return isthmus_ring_unfit(topic, ISTHMUS_KIND_TOPIC) ? 0
                                                         : lag_of(topic, isthmus_seat_of(topic));
}

uint64_t isthmus_topic_missed(const struct isthmus_ring *topic)
{
    if (isthmus_ring_unfit(topic, ISTHMUS_KIND_TOPIC))
        return 0;
    return isthmus_peek_u64(&isthmus_seat_of(topic)->missed);
}

int isthmus_topic_state(const struct isthmus_ring *topic, struct isthmus_topic_state *state)
{
    const struct isthmus_shared_cursors *cursors = topic->cursors;
    if (!topic->primitive.shared)
        return -EBADF;
    if (topic->primitive.kind != ISTHMUS_KIND_TOPIC)
        return -EINVAL;
    struct isthmus_topic_state new = {.evicted = isthmus_peek_u32(&cursors->evicted)};
    for (uint32_t attempts = ISTHMUS_ATTEMPTS; attempts; attempts--) {
        new.oldest = isthmus_load_u64(&cursors->oldest);
        new.tail = isthmus_load_u64(&cursors->tail);
        new.published = isthmus_counted(cursors->put, &cursors->tail);
        new.kept = from(topic, new.oldest);
        isthmus_fence_after_copying();
        /* As long as it is there, what was read from there on is right, and it fits together. */
        if (isthmus_load_u64(&cursors->oldest) == new.oldest)
            break;
    }
    const uint32_t used = isthmus_participants_used(&topic->primitive);
    for (uint32_t i = 0; i < used; i++) {
        const uint32_t role = isthmus_load_u32(&topic->seats[i].role);
        if (!role || !isthmus_participant_lives(&topic->primitive, i))
            continue;
        new.subscribers += (role & ISTHMUS_ROLE_SUBSCRIBER) != 0;
        new.publishers += (role & ISTHMUS_ROLE_PRODUCER) != 0;
    }
    *state = new;
    return 0;
}

int isthmus_ring_seat(const struct isthmus_ring *ring, uint32_t slot, struct isthmus_seat *seat)
{
    if (!ring->primitive.shared)
        return -EBADF;
    if (slot >= ring->primitive.count)
        return -ERANGE;
    const struct isthmus_shared_seat *shared = &ring->seats[slot];
    *seat = (struct isthmus_seat){.role = isthmus_load_u32(&shared->role)};
    if (ring->primitive.kind == ISTHMUS_KIND_QUEUE) {
        seat->leases = isthmus_load_u32(&ring->primitive.slots[slot].share);
    } else if (seat->role & ISTHMUS_ROLE_SUBSCRIBER) {
        seat->lag = lag_of(ring, shared);
        seat->missed = isthmus_peek_u64(&shared->missed);
    }
    return 0;
}
