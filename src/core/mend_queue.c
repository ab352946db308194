/* Mending what changes in a queue, under both of its locks. See mend.h for the rules. */
#include "eventcount.h"
#include "mend.h"
#include "participant.h"
#include "ring.h"

#define UNKNOWN UINT64_MAX

static struct isthmus_shared_record *at(const struct isthmus_mend_bytes *bytes, uint64_t position)
{
    return (struct isthmus_shared_record *)(bytes->data + (position & (bytes->ring->capacity - 1)));
}

static uint32_t lossy(const struct isthmus_mend *mend)
{
    return mend->lossy ? ISTHMUS_MENDED_LOSSY : ISTHMUS_MENDED_LOSSY | ISTHMUS_MENDED_LEFT;
}

/* ---- Damaged records ---------------------------------------------------------------------- */

/* A record of nobody's, which is done with, in the place of what is damaged. */
static void write_done(const struct isthmus_mend_bytes *bytes, uint64_t position, uint64_t number,
                       uint64_t span)
{
    struct isthmus_shared_record *shared = at(bytes, position);
    /* `check` last. Dies before: damaged, as before, and done anew. */
    isthmus_note_u32(&shared->state, ISTHMUS_RECORD_DONE);
    isthmus_note_u64(&shared->sequence, number);
    isthmus_note_u64(&shared->size, span - sizeof *shared);
    isthmus_note_u32(&shared->data, sizeof *shared);
    isthmus_note_u16(&shared->type, ISTHMUS_TYPE_BYTES);
    isthmus_note_u16(&shared->attempts, 0);
    isthmus_store_release_u32(&shared->check, isthmus_record_check(shared, position));
}

/*
 * Where after `broken` a sound record begins: the check covers the position, so what lies there by
 * chance, or was there a lap ago, does not look like one. `expected`: the number of the message
 * that was at `broken`, so that the next one has one that fits, as each takes 32 bytes at least.
 */
static uint64_t next_sound(const struct isthmus_mend_bytes *bytes, uint64_t broken, uint64_t to,
                           uint64_t expected, uint64_t *number)
{
    uint64_t position = broken + ISTHMUS_RECORD_ALIGNMENT;
    for (; position != to; position += ISTHMUS_RECORD_ALIGNMENT) {
        struct isthmus_record record;
        uint64_t span;
        if (isthmus_mend_look(bytes, position, to, &record, &span))
            continue;
        const uint64_t most = (position - broken) / ISTHMUS_RECORD_ALIGNMENT;
        if (expected == UNKNOWN || !bytes->numbered || record.sequence - expected - 1 < most) {
            *number = record.sequence;
            return position;
        }
    }
    *number = UNKNOWN;
    return to;
}

/*
 * Put records that are done with in the place of the damaged ones from `broken` on: as many as
 * messages were lost, so that all counts stay right. `end`: the number that the next message put
 * will have. Returns where the sound ones go on.
 */
static uint64_t bridge(const struct isthmus_mend_bytes *bytes, struct isthmus_mend *mend,
                       const char *what, uint64_t broken, uint64_t to, uint64_t expected,
                       uint64_t end)
{
    uint64_t next, number, count = 1;
    next = next_sound(bytes, broken, to, expected, &number);
    if (next == to && bytes->numbered) {
        number = end;
        if (expected != UNKNOWN && end - expected - 1 >= (to - broken) / ISTHMUS_RECORD_ALIGNMENT)
            number = expected + 1; /* one of the two is wrong */
    }
    if (!bytes->numbered)
        number = 1; /* nobody looks at it */
    else if (expected != UNKNOWN)
        count = number - expected;
    isthmus_mend_note(mend, what, lossy(mend), broken,
                      bytes->numbered && expected != UNKNOWN ? expected : UNKNOWN,
                      bytes->numbered ? number : UNKNOWN);
    if (!mend->lossy)
        return next;
    /*
     * From the last to the first: before the first one is there, what is behind it is not reached.
     * Dies between two: those that are written are found as sound ones, and it ends the same.
     */
    for (uint64_t i = count; i > 0; i--) {
        const uint64_t position = broken + (i - 1) * ISTHMUS_RECORD_ALIGNMENT;
        write_done(bytes, position, number - count + i - 1,
                   i == count ? next - position : ISTHMUS_RECORD_ALIGNMENT);
    }
    return next;
}

/* All of a chain. 1: it is sound, or was made so. */
static int mend_records(const struct isthmus_mend_bytes *bytes, struct isthmus_mend *mend,
                        const char *what, uint64_t from, uint64_t to, uint64_t first, uint64_t end)
{
    struct isthmus_mend_walk walk;
    uint64_t position = from, expected = first;
    int sound = 1;
    while (position != to) {
        isthmus_mend_follow(bytes, position, to, &walk);
        /* The check leaves out the high half of a number: another one than it must have is damage.
         */
        if (!bytes->numbered || expected == UNKNOWN || walk.first == expected) {
            if (walk.count)
                expected = walk.next;
            position = walk.position;
        }
        if (position == to)
            break;
        uint64_t known = expected, number;
        /* The count of those before it may be what is wrong: then any number fits. */
        if (position == from && known != UNKNOWN &&
            next_sound(bytes, position, to, known, &number) == to)
            known = next_sound(bytes, position, to, UNKNOWN, &number) == to ? known : UNKNOWN;
        position = bridge(bytes, mend, what, position, to, known, end);
        expected = UNKNOWN; /* it fits */
        sound = sound && mend->lossy;
    }
    return sound;
}

/* ---- Who has what ------------------------------------------------------------------------- */

/* A slot that may have leases: somebody is there, alive, or dead and not buried yet. */
static int somebody(const struct isthmus_ring *queue, uint32_t slot)
{
    return slot < queue->primitive.count && isthmus_peek_u32(&queue->primitive.slots[slot].pid);
}

static void mend_states(struct isthmus_ring *queue, struct isthmus_mend *mend,
                        const struct isthmus_mend_bytes *bytes, uint64_t from, uint64_t to)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    uint64_t position = from, first_ready = to, out = 0, leased = 0, span;
    const uint64_t next = isthmus_queue_next(queue);
    int at_next = next == to;
    struct isthmus_record record;
    for (; position != to && !isthmus_mend_look(bytes, position, to, &record, &span);
         position += span) {
        uint32_t *state = &at(bytes, position)->state;
        const uint32_t found = isthmus_peek_u32(state);
        at_next = at_next || position == next;
        if (found && found != ISTHMUS_RECORD_DONE && !somebody(queue, found - 1)) {
            /* Nobody would ever settle it. Rather once more than never. */
            isthmus_mend_note(mend, "record.state", 0, position, found, 0);
            isthmus_store_release_u32(state, 0);
        }
        const uint32_t now = isthmus_peek_u32(state);
        out += now != 0;
        leased += now != 0 && now != ISTHMUS_RECORD_DONE;
        if (now == 0 && first_ready == to)
            first_ready = position;
    }
    if (!at_next || isthmus_beyond(next, first_ready))
        isthmus_mend_u64(mend, "ring.next", &cursors->next, from, 0);
    isthmus_mend_u64(mend, "ring.out", &cursors->out, out, 0);

    const uint32_t used = isthmus_participants_used(&queue->primitive);
    if (isthmus_participants_shares(&queue->primitive) == leased)
        return;
    for (uint32_t i = 0; i < used; i++) {
        uint32_t count = 0;
        if (mend->dead && mend->dead[i])
            continue; /* what it died at is put in order with the rest of it */
        for (position = from;
             position != to && !isthmus_mend_look(bytes, position, to, &record, &span);
             position += span)
            count += isthmus_peek_u32(&at(bytes, position)->state) == i + 1;
        isthmus_mend_u32(mend, "participant.share", &queue->primitive.slots[i].share, count, 0);
    }
}

/* What producers and consumers remember of each other's cursors. */
static void mend_memories(struct isthmus_ring *queue, struct isthmus_mend *mend, uint64_t from,
                          uint64_t to)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    const struct isthmus_mend_bytes bytes = {queue, queue->data, 1};
    struct isthmus_mend_walk walk;
    const uint64_t seen = isthmus_peek_u64(&cursors->tail_seen);
    /* One that lies behind `head` is looked at anew, and so is one that is no cursor at all. */
    if (isthmus_between(queue, from, seen) != UINT64_MAX && seen != from) {
        const int within = !isthmus_beyond(seen, to);
        if (within)
            isthmus_mend_follow(&bytes, from, seen, &walk);
        if (!within || walk.position != seen)
            isthmus_mend_u64(mend, "ring.tail_seen", &cursors->tail_seen, to, 0);
    }
    /* Too far on, and messages that nobody has got would be written over. */
    if (isthmus_beyond(isthmus_peek_u64(&cursors->head_seen), from))
        isthmus_mend_u64(mend, "ring.head_seen", &cursors->head_seen, from, 0);
    const uint64_t gone = isthmus_queue_gone(queue);
    if (queue->maxsize && !isthmus_peek_u32(&cursors->recount) &&
        isthmus_beyond(isthmus_peek_u64(&cursors->gone_seen), gone))
        isthmus_mend_u64(mend, "ring.gone_seen", &cursors->gone_seen, gone, 0);
}

/* ---- Set aside ------------------------------------------------------------------------------ */

static void mend_aside(struct isthmus_ring *queue, struct isthmus_mend *mend)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    const struct isthmus_mend_bytes bytes = {queue, queue->aside, 0};
    const uint64_t mask = ~(uint64_t)(ISTHMUS_RECORD_ALIGNMENT - 1);
    uint64_t from = isthmus_peek_u64(&cursors->aside_head);
    const uint64_t to = isthmus_peek_u64(&cursors->aside_tail);
    uint64_t position, span, count = 0;
    struct isthmus_record record;
    if (isthmus_between(queue, from, to) == UINT64_MAX) {
        isthmus_mend_note(mend, "aside.ring", lossy(mend), 0, UNKNOWN, UNKNOWN);
        if (!mend->lossy)
            return;
        from = to & mask;
        isthmus_note_u64(&cursors->aside_head, from);
        isthmus_note_u64(&cursors->aside_tail, from);
    }
    const uint64_t end = isthmus_peek_u64(&cursors->aside_tail);
    if (!mend_records(&bytes, mend, "aside.record", from, end, UNKNOWN, UNKNOWN))
        return;
    for (position = from;
         position != end && !isthmus_mend_look(&bytes, position, end, &record, &span);
         position += span)
        count += isthmus_peek_u32(&at(&bytes, position)->state) == 0;
    isthmus_mend_u64(mend, "aside.count", &cursors->aside_count, count, 0);
}

/* ---- The whole ----------------------------------------------------------------------------- */

/* Nothing tells where its messages are: it is empty from now on. */
static int empty(struct isthmus_ring *queue, struct isthmus_mend *mend, uint64_t *position)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    const uint64_t mask = ~(uint64_t)(ISTHMUS_RECORD_ALIGNMENT - 1);
    uint64_t count;
    *position = isthmus_peek_u64(&cursors->tail);
    if (!isthmus_mend_noted(cursors->put, *position, &count) &&
        isthmus_mend_noted(cursors->got, isthmus_peek_u64(&cursors->head), &count))
        *position = isthmus_peek_u64(&cursors->head);
    *position &= mask;
    isthmus_mend_note(mend, "ring", lossy(mend), *position, UNKNOWN, UNKNOWN);
    return mend->lossy;
}

void isthmus_mend_queue(struct isthmus_ring *queue, struct isthmus_mend *mend)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    const struct isthmus_mend_bytes bytes = {queue, queue->data, 1};
    const struct isthmus_mend_cursor lower = {isthmus_peek_u64(&cursors->head), cursors->got,
                                              isthmus_peek_u64(&cursors->head_seen)};
    const struct isthmus_mend_cursor upper = {isthmus_peek_u64(&cursors->tail), cursors->put,
                                              isthmus_peek_u64(&cursors->tail_seen)};
    struct isthmus_mend_walk walk;
    uint64_t from, to, first, end, known;
    const uint32_t before = mend->count;

    if (isthmus_mend_ends(&bytes, &lower, &upper, &from, &to) < 0) {
        if (!empty(queue, mend, &to))
            return;
        from = to;
    }
    isthmus_mend_follow(&bytes, from, to, &walk);
    const int noted_first = isthmus_mend_noted(cursors->got, from, &first);
    const int noted_end = isthmus_mend_noted(cursors->put, to, &end);
    if (!noted_end)
        end = noted_first && from == to ? first : isthmus_mend_largest(cursors);
    if (!noted_first)
        first = from == to ? end : UNKNOWN;
    /* The records tell: the count before each is its number. One alone may be what is wrong. */
    if (walk.count > 1 || (walk.count == 1 && (!noted_first || (noted_end && end == walk.next))))
        first = walk.first;
    if (walk.position == to && walk.count && walk.first == first)
        end = walk.next;
    if (from == to && first != end)
        first = end;
    if (!mend_records(&bytes, mend, "record", from, to, first, end))
        return; /* nothing else can be told before that is mended */
    isthmus_mend_follow(&bytes, from, to, &walk);
    if (walk.count) {
        first = walk.first;
        end = walk.next;
    }
    /* The notes before the cursors. Dies between any of these: found as it is, and done anew. */
    isthmus_mend_count(mend, "ring.put", cursors->put, to, end);
    isthmus_mend_count(mend, "ring.got", cursors->got, from, first);
    isthmus_mend_u64(mend, "ring.tail", &cursors->tail, to, 0);
    isthmus_mend_u64(mend, "ring.head", &cursors->head, from, 0);
    mend_states(queue, mend, &bytes, from, to);
    mend_memories(queue, mend, from, to);
    isthmus_mend_u64(mend, "ring.moving", &cursors->moving, 0, 0);
    known = ISTHMUS_RING_SHUT | ISTHMUS_RING_DISCARDED;
    if (isthmus_peek_u32(&cursors->closed) & ~known)
        /* Whether somebody shut it down nobody knows; that can be done again. */
        isthmus_mend_u32(mend, "ring.closed", &cursors->closed, 0, ISTHMUS_MENDED_GUESSED);
    if (queue->aside)
        mend_aside(queue, mend);
    if (mend->count == before)
        return;
    isthmus_queue_reclaim(queue);
    isthmus_store_u32(&cursors->recount, 1); /* sync: recount */
    isthmus_add_u32(&cursors->returned, 1);  /* sync: eventcount */
}
