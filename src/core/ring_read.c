/*
 * Taking messages: from a queue, each once; from a topic, see topic.c.
 *
 * Under the consumer lock. As long as no lease is out, storing `head` is the commit, and `next`
 * lags behind; else a record's state is, and `head` follows over those that are done.
 */
#include "eventcount.h"
#include "os.h"
#include "participant.h"
#include "ring.h"
#include <string.h>

/* Pauses between two looks, at most; and a glance in all: some microseconds. */
#define LOOKS_MOST 64u
#define GLANCE 96u
/* Waits between two tries of a longer pause, at most. */
#define PROBE_MOST 1024u
#define PROBE_LEAST 16u

static int topic(const struct isthmus_ring *ring)
{
    return ring->primitive.kind == ISTHMUS_KIND_TOPIC;
}

int isthmus_read_begin(struct isthmus_ring *ring, struct isthmus_read *read, uint64_t deadline)
{
    struct isthmus_shared_cursors *cursors = ring->cursors;
    int result = isthmus_ring_unfit(ring, ISTHMUS_KIND_ANY);
    if (result)
        return result;
    read->count = 0;
    read->lapped = 0;
    if (topic(ring)) {
        struct isthmus_shared_seat *seat = isthmus_seat_of(ring);
        if (!isthmus_plays(ring, ISTHMUS_ROLE_SUBSCRIBER))
            return -EINVAL;
        result = isthmus_ring_lock(ring, &seat->reader, deadline);
        if (result && result != -EOWNERDEAD)
            return result;
        read->first = read->position = isthmus_peek_u64(&seat->cursor);
        read->sequence = isthmus_peek_u64(&seat->sequence);
        read->missed = isthmus_peek_u64(&seat->missed);
        return 0;
    }
    result = isthmus_queue_lock(ring, deadline);
    if (result)
        return result;
    isthmus_play(ring, ISTHMUS_ROLE_CONSUMER);
    read->first = read->position = isthmus_queue_next(ring);
    read->direct = read->position == isthmus_peek_u64(&cursors->head);
    return 0;
}

/* May more come, though nothing more may be put? Leases of others may be given back. */
static int others_lease(const struct isthmus_ring *queue)
{
    const uint32_t used = isthmus_participants_used(&queue->primitive);
    if (isthmus_peek_u64(&queue->cursors->out) == 0)
        return 0;
    for (uint32_t i = 0; i < used; i++)
        if (i != (uint32_t)queue->primitive.slot &&
            isthmus_load_u32(&queue->primitive.slots[i].share))
            return 1;
    return 0;
}

/* There is no more, from `position` on. */
static int nothing(struct isthmus_ring *queue, struct isthmus_read *read, uint32_t closed)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    read->seen_tail = read->position;
    read->seen_returned = isthmus_peek_u32(&cursors->returned);
    read->seen_closed = closed;
    if (read->count)
        return -EAGAIN;
    /* What was skipped need not be looked at again. Dies before or after: no matter. */
    if (read->position != read->first)
        isthmus_note_u64(&cursors->next, read->position);
    return closed && !others_lease(queue) ? -ESHUTDOWN : -EAGAIN;
}

static int queue_next(struct isthmus_ring *queue, struct isthmus_read *read,
                      struct isthmus_record *record)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    uint64_t tail = isthmus_peek_u64(&cursors->tail_seen);
    for (;;) {
        uint64_t span;
        /* Not before all that was seen is read: the line that `tail` is in belongs to producers. */
        if (tail == read->position || isthmus_between(queue, read->position, tail) == UINT64_MAX) {
            const uint32_t closed = isthmus_load_u32(&cursors->closed);
            /* sync: tail. Acquire: sees the records. After `closed`: what was put before that. */
            tail = isthmus_load_acquire_u64(&cursors->tail);
            isthmus_note_u64(&cursors->tail_seen, tail);
            if (closed & ISTHMUS_RING_DISCARDED)
                return -ESHUTDOWN;
            if (tail == read->position)
                return nothing(queue, read, closed);
        }
        const uint64_t room = isthmus_between(queue, read->position, tail);
        record->position = read->position;
        if (room == UINT64_MAX)
            return -EBADMSG;
        struct isthmus_shared_record *shared = isthmus_record_at(queue, read->position);
        int error = isthmus_record_look(shared, read->position, room, record, &span);
        if (error)
            return error;
        if (isthmus_peek_u32(&shared->state) == 0) {
            read->position += span;
            read->count++;
            return 0;
        }
        /* Leased, or done. A direct commit can leave nothing out. */
        if (read->direct && read->count)
            return nothing(queue, read, 0);
        read->direct = 0;
        read->position += span;
        if (read->count == 0)
            isthmus_note_u64(&cursors->next, read->position);
        if (read->count == 0)
            read->first = read->position;
    }
}

int isthmus_read_next(struct isthmus_ring *ring, struct isthmus_read *read,
                      struct isthmus_record *record)
{
    return topic(ring) ? isthmus_topic_read_next(ring, read, record)
                       : queue_next(ring, read, record);
}

/*
 * What this participant has taken without saying that it is done. Written before the commit,
 * with the position that the commit leads to: so a takeover can tell whether that happened.
 */
void isthmus_queue_owe(struct isthmus_ring *queue, uint64_t count, uint64_t position)
{
    uint64_t *debt = &isthmus_seat_of(queue)->debt;
    const uint64_t before = isthmus_peek_u64(debt) & ISTHMUS_DEBT_COUNT;
    const uint64_t owed = before + count < ISTHMUS_DEBT_COUNT ? before + count : ISTHMUS_DEBT_COUNT;
    isthmus_note_u64(debt, position / ISTHMUS_RECORD_ALIGNMENT << ISTHMUS_DEBT_SHIFT | owed);
}

static void commit_direct(struct isthmus_ring *queue, const struct isthmus_read *read)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    isthmus_queue_owe(queue, read->count, read->position);
    isthmus_note_down(cursors->got, read->first, read->position,
                      isthmus_noted(cursors->got, read->first) + read->count);
    /*
     * sync: head. Release: producers that see it may write over what we have read. The commit.
     * Dies before: another consumer gets these messages. After: they are gone with us.
     */
    isthmus_store_release_u64(&cursors->head, read->position);
    if (isthmus_peek_u64(&cursors->out))
        isthmus_queue_reclaim(queue);
}

static void commit_marked(struct isthmus_ring *queue, const struct isthmus_read *read)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    uint64_t position = read->first;
    while (position != read->position) {
        struct isthmus_shared_record *shared = isthmus_record_at(queue, position);
        struct isthmus_record record;
        uint64_t span;
        if (isthmus_record_look(shared, position, isthmus_between(queue, position, read->position),
                                &record, &span))
            break; /* damaged since it was read */
        position += span;
        if (isthmus_peek_u32(&shared->state))
            continue;
        isthmus_queue_owe(queue, 1, position);
        /* The commit of this one. Dies around it: as above. A takeover counts `out` anew. */
        isthmus_store_release_u32(&shared->state, ISTHMUS_RECORD_DONE);
        isthmus_note_u64(&cursors->out, isthmus_peek_u64(&cursors->out) + 1);
    }
    isthmus_note_u64(&cursors->next, read->position);
    isthmus_queue_reclaim(queue);
}

void isthmus_read_commit(struct isthmus_ring *ring, struct isthmus_read *read)
{
    if (topic(ring)) {
        isthmus_topic_read_commit(ring, read);
        return;
    }
    if (read->count && read->direct)
        commit_direct(ring, read);
    else if (read->count)
        commit_marked(ring, read);
    isthmus_ring_unlock(ring, &ring->cursors->consumer);
    if (read->count)
        isthmus_notify(ring, &ring->cursors->room, INT32_MAX);
}

void isthmus_read_abort(struct isthmus_ring *ring, struct isthmus_read *read)
{
    read->count = 0;
    isthmus_ring_unlock(ring,
                        topic(ring) ? &isthmus_seat_of(ring)->reader : &ring->cursors->consumer);
}

/* ---- Waiting for a message ------------------------------------------------------------- */

static int arrived(const struct isthmus_ring *ring, const struct isthmus_read *read)
{
    const struct isthmus_shared_cursors *cursors = ring->cursors;
    /* sync: tail, eventcount */
    return isthmus_load_u64(&cursors->tail) != read->seen_tail ||
           (!topic(ring) && (isthmus_load_u32(&cursors->returned) != read->seen_returned ||
                             isthmus_load_u32(&cursors->closed) != read->seen_closed));
}

/* How many have arrived: 0, 1, or 2 for more. The ring may be another by now: then more. */
static int how_many(const struct isthmus_ring *ring, const struct isthmus_read *read)
{
    const uint64_t tail = isthmus_load_u64(&ring->cursors->tail);
    const uint64_t room = isthmus_between(ring, read->seen_tail, tail);
    struct isthmus_record record;
    uint64_t span;
    if (room == UINT64_MAX)
        return 2;
    if (room == 0)
        return 0;
    if (isthmus_record_look(isthmus_record_at(ring, read->seen_tail), read->seen_tail, room,
                            &record, &span))
        return 2;
    return span == room ? 1 : 2;
}

/*
 * How often should one look at an empty ring? Each look takes the line of `tail` from the
 * producer. When messages stream in, it pays to let a few come together; when they are answers
 * to ours, to look at once. Which it is shows in how many there are after a longer pause: so that
 * is tried now and then.
 */
static void learn(struct isthmus_ring *ring, const struct isthmus_read *read)
{
    /* Of this process only; threads that learn at once may forget what one of them has learnt. */
    uint32_t looks = isthmus_local_load_u32(&ring->looks);
    uint32_t probe = isthmus_local_load_u32(&ring->probe);
    uint32_t probes = isthmus_local_load_u32(&ring->probes);
    if (how_many(ring, read) > 1) {
        looks = looks < LOOKS_MOST / 2 ? looks * 2 + 1 : LOOKS_MOST;
        probes = PROBE_LEAST;
    } else {
        if (looks > LOOKS_MOST / 4 && probes < PROBE_MOST)
            probes *= 2; /* it was not worth it: try less often */
        looks = looks > 1 ? looks / 2 : 1;
    }
    if (probe-- == 0) {
        probe = probes;
        if (looks == 1)
            looks = LOOKS_MOST / 2;
    }
    isthmus_local_store_u32(&ring->looks, looks);
    isthmus_local_store_u32(&ring->probe, probe);
    isthmus_local_store_u32(&ring->probes, probes);
}

int isthmus_read_glance(struct isthmus_ring *ring, const struct isthmus_read *read)
{
    const uint32_t looks = isthmus_local_load_u32(&ring->looks);
    if (isthmus_local_load_u32(&ring->primitive.spin_ns) == 0)
        return -EAGAIN;
    for (uint32_t pauses = 0; pauses < GLANCE; pauses += looks) {
        for (uint32_t i = 0; i < looks; i++)
            isthmus_pause();
        if (arrived(ring, read)) {
            learn(ring, read);
            return 0;
        }
    }
    return -EAGAIN;
}

/* One that was woken up, and perhaps alone for several messages, wakes another one. */
static void pass_on(struct isthmus_ring *ring, const struct isthmus_read *read)
{
    if (!topic(ring) && how_many(ring, read) != 1)
        isthmus_os_futex_wake(&ring->cursors->arrival, 1);
}

int isthmus_read_await(struct isthmus_ring *ring, const struct isthmus_read *read,
                       uint64_t deadline)
{
    struct isthmus_wait wait;
    int slept = 0;
    int result = isthmus_ring_unfit(ring, ISTHMUS_KIND_ANY);
    if (result)
        return result;
    if (arrived(ring, read) || (!topic(ring) && isthmus_queue_sweep(ring, 0)))
        return isthmus_time_is_over(deadline) ? -ETIMEDOUT : 0;
    if (deadline == 0)
        return -ETIMEDOUT;
    isthmus_wait_begin(&wait, &ring->primitive, deadline);
    do
        if (arrived(ring, read)) {
            isthmus_wait_end(&wait);
            return 0;
        }
    while (isthmus_wait_spin(&wait));
    for (;;) {
        /* sync: eventcount. First the bit, then the look. */
        const uint32_t seen = isthmus_prepare_to_sleep(&ring->cursors->arrival);
        result = 0;
        if (arrived(ring, read)) {
            if (slept)
                pass_on(ring, read);
            break;
        }
        result = isthmus_wait_sleep(&wait, &ring->cursors->arrival, seen);
        slept = 1;
        if (result < 0 && result != -ETIMEDOUT) {
            /* Perhaps woken up as well, and nobody else for the same message. */
            pass_on(ring, read);
            break;
        }
        if (result && !topic(ring) && isthmus_queue_sweep(ring, 0)) {
            result = 0;
            break;
        }
        if (result < 0)
            break;
    }
    isthmus_wait_end(&wait);
    return result;
}

/* ---- In one call ----------------------------------------------------------------------- */

static int read_once(struct isthmus_ring *ring, struct isthmus_read *read, void *buffer,
                     size_t room, size_t *size, uint64_t deadline)
{
    struct isthmus_record record;
    int result = isthmus_read_begin(ring, read, deadline);
    if (result)
        return result;
    do {
        result = isthmus_read_next(ring, read, &record);
        if (!result) {
            *size = (size_t)record.size;
            if (record.size > room)
                result = -ENOBUFS;
            else if (record.size)
                memcpy(buffer, record.data, (size_t)record.size);
        }
        if (!result)
            result = isthmus_read_valid(ring, read, &record);
    } while (result == -ESTALE);
    if (result && !(result == -EBADMSG && topic(ring)))
        isthmus_read_abort(ring, read);
    else
        isthmus_read_commit(ring, read); /* also of a damaged one: a subscriber goes on after it */
    return result;
}

int isthmus_ring_read(struct isthmus_ring *ring, void *buffer, size_t room, size_t *size,
                      uint64_t deadline)
{
    struct isthmus_read read;
    uint64_t patience = deadline;
    int result = read_once(ring, &read, buffer, room, size, 0);
    while (result == -EAGAIN || result == -EBUSY) {
        if (deadline == 0)
            patience = isthmus_deadline_after(ISTHMUS_PATIENCE_NS);
        result = result == -EAGAIN ? isthmus_read_await(ring, &read, deadline) : 0;
        if (!result)
            result = read_once(ring, &read, buffer, room, size, patience);
        if (deadline == 0 && result == -EAGAIN)
            result = -ETIMEDOUT;
    }
    return result;
}
