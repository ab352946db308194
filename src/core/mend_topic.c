/* Mending what changes in a topic, under its producer lock. See mend.h for the rules. */
#include "mend.h"
#include "participant.h"
#include "ring.h"

/*
 * Are the records of a walk sound as far as `to`? The check leaves out the high half of a number:
 * of one alone only the count after it tells whether that is right.
 */
static int sound(const struct isthmus_ring *topic, const struct isthmus_mend_walk *walk,
                 uint64_t to)
{
    uint64_t count;
    return walk->position == to &&
           (walk->count != 1 || !isthmus_mend_noted(topic->cursors->put, to, &count) ||
            count == walk->next);
}

/*
 * Records that are damaged: subscribers that come to one go on with what is published next, and a
 * publisher that comes to one lets all that is there go; so nobody is held up, but what lies behind
 * it is out of reach. A record in its place would be given to subscribers, so all before the first
 * sound one from which all are sound is let go, as if it had been overwritten.
 */
static void let_go(struct isthmus_ring *topic, struct isthmus_mend *mend,
                   const struct isthmus_mend_bytes *bytes, uint64_t *from, uint64_t to)
{
    struct isthmus_shared_cursors *cursors = topic->cursors;
    struct isthmus_mend_walk walk;
    isthmus_mend_follow(bytes, *from, to, &walk);
    if (sound(topic, &walk, to))
        return;
    const uint64_t first = walk.count ? walk.first : UINT64_MAX;
    const uint64_t broken = walk.position == to ? *from : walk.position;
    uint64_t position = broken, next = UINT64_MAX;
    for (;;) {
        /* A record begins at each place where one looks like one: the check covers the position. */
        isthmus_mend_follow(bytes, position, to, &walk);
        if (sound(topic, &walk, to))
            break;
        position = walk.count ? walk.position : position + ISTHMUS_RECORD_ALIGNMENT;
    }
    if (walk.count)
        next = walk.first;
    else
        (void)isthmus_mend_noted(cursors->put, to, &next);
    isthmus_mend_note(mend, "record",
                      mend->lossy ? ISTHMUS_MENDED_LOSSY
                                  : ISTHMUS_MENDED_LOSSY | ISTHMUS_MENDED_LEFT,
                      broken, first, next);
    if (!mend->lossy)
        return;
    /* sync: epoch, oldest. As a publisher that makes room. Dies between: the next one does this. */
    isthmus_store_u64(&cursors->overwriting, position);
    isthmus_store_u64(&cursors->oldest, position);
    isthmus_fence_before_overwriting();
    *from = position;
}

/* Pins that nobody can have: what one has in view is not overwritten. */
static void mend_pins(struct isthmus_ring *topic, struct isthmus_mend *mend, uint64_t to)
{
    const uint32_t used = isthmus_participants_used(&topic->primitive);
    for (uint32_t i = 0; i < used; i++) {
        uint64_t *word = &topic->seats[i].pin;
        uint64_t pin = isthmus_load_u64(word);
        /* `oldest` may have moved beyond a pin just now: such a one is to be kept. */
        if (pin == 0 ||
            ((pin & 1) && isthmus_between(topic, pin - 1, to) != UINT64_MAX && pin - 1 != to))
            continue;
        /* Its owner may set or clear it at the same time: then it is that. */
        if (isthmus_swap_u64(word, &pin, 0))
            isthmus_mend_note(mend, "seat.pin", 0, i, pin, 0);
    }
}

void isthmus_mend_topic(struct isthmus_ring *topic, struct isthmus_mend *mend)
{
    struct isthmus_shared_cursors *cursors = topic->cursors;
    const struct isthmus_mend_bytes bytes = {topic, topic->data, 1};
    const struct isthmus_mend_cursor lower = {isthmus_peek_u64(&cursors->oldest), NULL,
                                              isthmus_peek_u64(&cursors->overwriting)};
    const struct isthmus_mend_cursor upper = {isthmus_peek_u64(&cursors->tail), cursors->put,
                                              isthmus_peek_u64(&cursors->floor)};
    struct isthmus_mend_walk walk;
    uint64_t from, to, count;
    int found = isthmus_mend_ends(&bytes, &lower, &upper, &from, &to);
    const uint32_t before = mend->count;

    if (found < 0) {
        /* Nothing tells where its messages are: let all of them go. */
        uint64_t tail = isthmus_mend_noted(cursors->put, upper.now, &count) ? upper.now : lower.now;
        tail &= ~(uint64_t)(ISTHMUS_RECORD_ALIGNMENT - 1);
        isthmus_mend_note(mend, "ring",
                          mend->lossy ? ISTHMUS_MENDED_LOSSY
                                      : ISTHMUS_MENDED_LOSSY | ISTHMUS_MENDED_LEFT,
                          tail, UINT64_MAX, UINT64_MAX);
        if (!mend->lossy)
            return;
        from = to = tail;
    }
    if (!isthmus_mend_noted(cursors->put, to, &count))
        count = isthmus_mend_largest(cursors);
    /* sync: epoch. `overwriting` first, as ever. Dies between any of these: done anew. */
    isthmus_mend_u64(mend, "ring.overwriting", &cursors->overwriting, from, 0);
    isthmus_mend_u64(mend, "ring.oldest", &cursors->oldest, from, 0);
    isthmus_mend_u64(mend, "ring.tail", &cursors->tail, to, 0);
    let_go(topic, mend, &bytes, &from, to);
    isthmus_mend_follow(&bytes, from, to, &walk);
    if (walk.count && sound(topic, &walk, to))
        count = walk.next;
    isthmus_mend_count(mend, "ring.put", cursors->put, to, count);
    mend_pins(topic, mend, to);
    /* Nobody looks behind a floor: too far on, and what is in view would be overwritten. */
    if (isthmus_beyond(isthmus_peek_u64(&cursors->floor), to) ||
        isthmus_beyond(isthmus_peek_u64(&cursors->pin_floor), to)) {
        isthmus_mend_u64(mend, "ring.floor", &cursors->floor, from, 0);
        isthmus_mend_u64(mend, "ring.pin_floor", &cursors->pin_floor, from, 0);
    }
    if (isthmus_peek_u32(&cursors->closed))
        isthmus_mend_u32(mend, "ring.closed", &cursors->closed, 0, 0); /* a topic never is */
    if (mend->count != before)
        isthmus_add_u32(&cursors->epoch, 1); /* all are looked at anew */
}
