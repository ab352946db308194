/* Mending: what the parts have in common. See mend.h for the rules. */
#include "mend.h"

#include "eventcount.h"
#include "participant.h"
#include "ring.h"

/* More messages than anybody will put. */
#define COUNT_MOST (UINT64_C(1) << 62)

void isthmus_mend_note(struct isthmus_mend *mend, const char *what, uint32_t flags,
                       uint64_t position, uint64_t before, uint64_t after)
{
    if (mend->count == ISTHMUS_MENDED_MOST) {
        mend->more++;
        return;
    }
    mend->found[mend->count++] = (struct isthmus_mended){
        .what = what, .flags = flags, .position = position, .before = before, .after = after};
}

int isthmus_mend_u32(struct isthmus_mend *mend, const char *what, uint32_t *word, uint32_t value,
                     uint32_t flags)
{
    const uint32_t before = isthmus_peek_u32(word);
    if (before == value)
        return 0;
    isthmus_mend_note(mend, what, flags, 0, before, value);
    /* Dies before or after: the next one finds it as it is. */
    isthmus_note_u32(word, value);
    return 1;
}

int isthmus_mend_u64(struct isthmus_mend *mend, const char *what, uint64_t *word, uint64_t value,
                     uint32_t flags)
{
    const uint64_t before = isthmus_peek_u64(word);
    if (before == value)
        return 0;
    isthmus_mend_note(mend, what, flags, 0, before, value);
    isthmus_store_u64(word, value); /* in order with the others, for those that look meanwhile */
    return 1;
}

/* ---- Who takes part -------------------------------------------------------------------- */

void isthmus_mend_table(const struct isthmus_primitive *primitive, struct isthmus_mend *mend)
{
    uint32_t *used = &primitive->shared->used;
    uint32_t found = isthmus_load_u32(used);
    for (;;) {
        uint32_t right = found < primitive->count ? found : primitive->count;
        for (uint32_t i = primitive->count; i > right; i--)
            if (isthmus_peek_u32(&primitive->slots[i - 1].pid))
                right = i;
        /* Who joins meanwhile makes it grow. sync: used. */
        if (right == found)
            return;
        if (isthmus_swap_u32(used, &found, right)) {
            isthmus_mend_note(mend, "participants.used", 0, 0, found, right);
            return;
        }
    }
}

/* ---- Locks ------------------------------------------------------------------------------- */

int isthmus_mend_begin(struct isthmus_ring *ring, uint64_t deadline, uint32_t *word)
{
    struct isthmus_shared_cursors *cursors = ring->cursors;
    int result = isthmus_ring_lock(ring, &cursors->producer, deadline);
    if (result == -EOWNERDEAD) {
        /* As in isthmus_write_begin(). */
        isthmus_store_u64(&cursors->overwriting, isthmus_peek_u64(&cursors->oldest));
        result = 0;
    }
    if (result) {
        *word = isthmus_peek_u32(&cursors->producer);
        return result;
    }
    if (isthmus_peek_u32(&cursors->loan))
        isthmus_note_u32(&cursors->loan, 0); /* of a dead owner: ours it is not */
    if (ring->primitive.kind == ISTHMUS_KIND_QUEUE) {
        result = isthmus_queue_lock(ring, deadline);
        if (result) {
            *word = isthmus_peek_u32(&cursors->consumer);
            isthmus_ring_unlock(ring, &cursors->producer);
        }
    }
    return result;
}

void isthmus_mend_end(struct isthmus_ring *ring)
{
    struct isthmus_shared_cursors *cursors = ring->cursors;
    if (ring->primitive.kind == ISTHMUS_KIND_QUEUE)
        isthmus_ring_unlock(ring, &cursors->consumer);
    isthmus_ring_unlock(ring, &cursors->producer);
    isthmus_notify(ring, &cursors->arrival, INT32_MAX);
    isthmus_notify(ring, &cursors->room, INT32_MAX);
    isthmus_notify(ring, &cursors->finished, INT32_MAX);
}

/* ---- Records ----------------------------------------------------------------------------- */

int isthmus_mend_look(const struct isthmus_mend_bytes *bytes, uint64_t position, uint64_t to,
                      struct isthmus_record *record, uint64_t *span)
{
    const uint64_t room = isthmus_between(bytes->ring, position, to);
    const uint64_t place = position & (bytes->ring->capacity - 1);
    if (room == UINT64_MAX || room == 0)
        return -EBADMSG;
    /* The header of a record, at a multiple of its size, lies before the end of the bytes. */
    return isthmus_record_look((struct isthmus_shared_record *)(bytes->data + place), position,
                               room, record, span);
}

void isthmus_mend_follow(const struct isthmus_mend_bytes *bytes, uint64_t position, uint64_t to,
                         struct isthmus_mend_walk *walk)
{
    struct isthmus_record record;
    uint64_t span;
    *walk = (struct isthmus_mend_walk){.position = position};
    while (walk->position != to && !isthmus_mend_look(bytes, walk->position, to, &record, &span)) {
        if (walk->count && bytes->numbered && record.sequence != walk->next)
            return;
        if (!walk->count)
            walk->first = record.sequence;
        walk->next = record.sequence + 1;
        walk->position += span;
        walk->count++;
    }
}

/* ---- Cursors ----------------------------------------------------------------------------- */

int isthmus_mend_noted(const struct isthmus_shared_note note[2], uint64_t position, uint64_t *count)
{
    /* A note that was never made has a position, too, one that no record can have. */
    for (unsigned i = 0; i < 2 && position % ISTHMUS_RECORD_ALIGNMENT == 0; i++)
        if (isthmus_peek_u64(&note[i].position) == position) {
            *count = isthmus_peek_u64(&note[i].count);
            return 1;
        }
    return 0;
}

void isthmus_mend_count(struct isthmus_mend *mend, const char *what,
                        struct isthmus_shared_note note[2], uint64_t position, uint64_t count)
{
    uint64_t before = isthmus_noted(note, position), noted;
    if (isthmus_mend_noted(note, position, &noted) && noted == count)
        return;
    isthmus_mend_note(mend, what, 0, position, before, count);
    /* The first of the two counts where its position fits. Dies between: not as it should be. */
    isthmus_note_u64(&note[0].count, count);
    isthmus_note_u64(&note[0].position, position);
}

uint64_t isthmus_mend_largest(const struct isthmus_shared_cursors *cursors)
{
    uint64_t largest = 0;
    for (unsigned i = 0; i < 4; i++) {
        const struct isthmus_shared_note *note = i < 2 ? &cursors->put[i] : &cursors->got[i - 2];
        const uint64_t count = isthmus_peek_u64(&note->count);
        if (count < COUNT_MOST && count > largest)
            largest = count;
    }
    return largest;
}

/*
 * Where a cursor may be; how many messages lie before it, as a note tells, UINT64_MAX: none does;
 * and whether the records must agree with that.
 */
struct candidate {
    uint64_t position, count;
    int strict;
};

/*
 * A cursor that a note goes with is right: they are changed together. One without is wrong, or its
 * notes are: the later note is where it should be, unless who moved it died before it did.
 */
static unsigned candidates(const struct isthmus_mend_cursor *cursor, struct candidate list[4])
{
    list[0] = (struct candidate){cursor->now, UINT64_MAX, 0};
    list[1] = (struct candidate){cursor->hint, UINT64_MAX, 0};
    if (!cursor->note)
        return 2;
    if (isthmus_mend_noted(cursor->note, cursor->now, &list[0].count))
        return 1;
    struct candidate noted[2];
    for (unsigned i = 0; i < 2; i++)
        noted[i] = (struct candidate){isthmus_peek_u64(&cursor->note[i].position),
                                      isthmus_peek_u64(&cursor->note[i].count), 1};
    const unsigned later = noted[1].count > noted[0].count;
    list[3] = list[1];
    list[1] = list[0];
    list[0] = noted[later];
    list[2] = noted[!later];
    return 4;
}

int isthmus_mend_ends(const struct isthmus_mend_bytes *bytes,
                      const struct isthmus_mend_cursor *lower,
                      const struct isthmus_mend_cursor *upper, uint64_t *from, uint64_t *to)
{
    struct candidate lowers[4], uppers[4];
    const unsigned low = candidates(lower, lowers), high = candidates(upper, uppers);
    int found = -1;
    *from = lower->now;
    *to = upper->now;
    /* Those between which all records are sound; else the first ones that can be at all. */
    for (unsigned i = 0; i < high; i++)
        for (unsigned j = 0; j < low; j++) {
            const struct candidate *a = &lowers[j], *b = &uppers[i];
            struct isthmus_mend_walk walk;
            if (isthmus_between(bytes->ring, a->position, b->position) == UINT64_MAX)
                continue;
            isthmus_mend_follow(bytes, a->position, b->position, &walk);
            const int unchanged = a->position == lower->now && b->position == upper->now;
            int sound = walk.position == b->position;
            if (walk.count) {
                sound = sound && (!a->strict || a->count == walk.first) &&
                        (!b->strict || b->count == walk.next);
            } else if (a->position == b->position && !unchanged) {
                /* Nothing between them proves nothing. Only the counts do. */
                if (b->count == UINT64_MAX || (lower->note && a->count != b->count))
                    continue;
            }
            if (found == -1 || sound) {
                *from = a->position;
                *to = b->position;
                found = unchanged;
            }
            if (sound)
                return found;
        }
    return found;
}
