/* Queues: the consumer lock and what is done under it, leases, and what is to be known. */
#include "eventcount.h"
#include "os.h"
#include "participant.h"
#include "primitive.h"
#include "repair.h"
#include "ring.h"

/* ---- Under the consumer lock ----------------------------------------------------------- */

uint64_t isthmus_queue_next(const struct isthmus_ring *queue)
{
    const struct isthmus_shared_cursors *cursors = queue->cursors;
    const uint64_t head = isthmus_peek_u64(&cursors->head);
    const uint64_t next = isthmus_peek_u64(&cursors->next);
    return isthmus_beyond(head, next) ? head : next;
}

/* The record at a position below `tail`. */
static int look(const struct isthmus_ring *queue, uint64_t position, uint64_t tail,
                struct isthmus_record *record, uint64_t *span)
{
    const uint64_t room = isthmus_between(queue, position, tail);
    if (room == UINT64_MAX || room == 0)
        return -EBADMSG;
    return isthmus_record_look(isthmus_record_at(queue, position), position, room, record, span);
}

void isthmus_queue_reclaim(struct isthmus_ring *queue)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    const uint64_t tail = isthmus_load_acquire_u64(&cursors->tail); /* sync: tail */
    const uint64_t before = isthmus_peek_u64(&cursors->head);
    uint64_t head = before, done = 0, span;
    struct isthmus_record record;
    while (head != tail && !look(queue, head, tail, &record, &span) &&
           isthmus_peek_u32(&isthmus_record_at(queue, head)->state) & ISTHMUS_RECORD_DONE) {
        head += span;
        done++;
    }
    if (done == 0)
        return;
    /* In this order, so that never too few seem to be ready. A takeover counts anew. */
    isthmus_note_u64(&cursors->out, isthmus_peek_u64(&cursors->out) - done);
    isthmus_note_down(cursors->got, before, head, isthmus_noted(cursors->got, before) + done);
    /* sync: head. Release, as in a direct commit. Dies before: the next one does this. */
    isthmus_store_release_u64(&cursors->head, head);
}

/*
 * The last owner died. Was what it noted as owed also committed? The word of its seat leads to a
 * position that either `head` has reached, or a record that is done ends at; else not. Then it is
 * what a direct commit would have taken, all from `head` on, which is ready; or one record.
 */
static void settle(struct isthmus_ring *queue, uint64_t head, uint64_t tail)
{
    const uint64_t mask = UINT64_MAX >> ISTHMUS_DEBT_SHIFT;
    const uint32_t used = isthmus_participants_used(&queue->primitive);
    for (uint32_t i = 0; i < used; i++) {
        uint64_t *debt = &queue->seats[i].debt;
        const uint64_t word = isthmus_peek_u64(debt);
        const uint64_t owed = word & ISTHMUS_DEBT_COUNT;
        const uint64_t ahead =
            ((word >> ISTHMUS_DEBT_SHIFT) - head / ISTHMUS_RECORD_ALIGNMENT) & mask;
        if (owed == 0 || owed == ISTHMUS_DEBT_COUNT || ahead == 0 ||
            ahead > (tail - head) / ISTHMUS_RECORD_ALIGNMENT)
            continue; /* the word of one that took its last message before */
        const uint64_t end = head + ahead * ISTHMUS_RECORD_ALIGNMENT;
        uint64_t position = head, undone = 0, span = 0;
        uint32_t state = 0;
        struct isthmus_record record;
        const int direct = isthmus_peek_u32(&isthmus_record_at(queue, head)->state) == 0;
        while (isthmus_beyond(end, position) && !look(queue, position, tail, &record, &span)) {
            state = isthmus_peek_u32(&isthmus_record_at(queue, position)->state);
            position += span;
            undone++;
        }
        if (position != end)
            continue;
        if (state & ISTHMUS_RECORD_DONE)
            undone = 0;
        else if (!direct || state)
            undone = 1;
        /* The word leads to `head` from now on, so that it is not settled once more. */
        isthmus_note_u64(debt, head / ISTHMUS_RECORD_ALIGNMENT << ISTHMUS_DEBT_SHIFT |
                                   (owed - (undone < owed ? undone : owed)));
    }
}

/*
 * A share is changed under the lock, before its lease or after it: the last owner may have died
 * between, when it evicted a slot that lives on. `leased`: how many records are, from `head` on.
 */
static void recount_shares(struct isthmus_ring *queue, uint64_t head, uint64_t tail,
                           uint64_t leased)
{
    const uint32_t used = isthmus_participants_used(&queue->primitive);
    if (isthmus_participants_shares(&queue->primitive) == leased)
        return;
    for (uint32_t i = 0; i < used; i++) {
        uint32_t *share = &queue->primitive.slots[i].share;
        struct isthmus_record record;
        uint64_t position = head, span;
        uint32_t count = 0;
        while (position != tail && !look(queue, position, tail, &record, &span)) {
            count += isthmus_peek_u32(&isthmus_record_at(queue, position)->state) == i + 1;
            position += span;
        }
        /* Never fewer than it has: then nobody would look after them when it dies. */
        if (isthmus_peek_u32(share) != count)
            isthmus_store_u32(share, count);
    }
}

/* Put in order what an owner of the consumer lock left that died. All of it may be done again. */
static void recover(struct isthmus_ring *queue)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    const uint64_t tail = isthmus_load_acquire_u64(&cursors->tail); /* sync: tail */
    const uint64_t head = isthmus_peek_u64(&cursors->head);
    uint64_t position = head, out = 0, leased = 0, span;
    struct isthmus_record record;
    if (isthmus_between(queue, head, tail) == UINT64_MAX)
        return;
    if (head != tail)
        settle(queue, head, tail);
    if (queue->aside)
        isthmus_queue_recover_aside(queue);
    while (position != tail && !look(queue, position, tail, &record, &span)) {
        const uint32_t state = isthmus_peek_u32(&isthmus_record_at(queue, position)->state);
        out += state != 0;
        leased += state != 0 && !(state & ISTHMUS_RECORD_DONE);
        position += span;
    }
    if (position == tail)
        recount_shares(queue, head, tail, leased);
    isthmus_note_u64(&cursors->out, out);
    isthmus_store_u32(&cursors->recount, 1); /* sync: recount */
    /*
     * Those that wait look at this. It may have made a record ready and not said so yet, and
     * who takes over need not be one that wants it.
     */
    isthmus_add_u32(&cursors->returned, 1);
    isthmus_queue_reclaim(queue);
}

int isthmus_queue_lock(struct isthmus_ring *queue, uint64_t deadline)
{
    int result = isthmus_ring_lock(queue, &queue->cursors->consumer, deadline);
    if (result == -EOWNERDEAD) {
        /* Dies in there: the next owner is told that this one died. */
        recover(queue);
        result = 0;
    }
    return result;
}

void isthmus_queue_lock_surely(struct isthmus_ring *queue)
{
    if (isthmus_ring_lock_surely(queue, &queue->cursors->consumer) == -EOWNERDEAD)
        recover(queue);
}

/* ---- Leases ---------------------------------------------------------------------------- */

int isthmus_queue_lease(struct isthmus_ring *queue, struct isthmus_read *read,
                        struct isthmus_record *record)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    struct isthmus_shared_participant *own = isthmus_own(&queue->primitive);
    struct isthmus_shared_record *shared = isthmus_record_at(queue, record->position);
    if (read->count != 1 || queue->primitive.kind != ISTHMUS_KIND_QUEUE) {
        isthmus_read_abort(queue, read);
        return -EINVAL;
    }
    isthmus_note_u64(&own->held_ns, isthmus_os_coarse_ns());
    /* Before the record says so: whoever has leases is looked after. Dies here: too many by one. */
    isthmus_add_u32(&own->share, 1);
    if (record->attempts < UINT16_MAX)
        record->attempts++;
    /* Dies after this: counted as a delivery, though nobody got it. */
    isthmus_note_u16(&shared->attempts, (uint16_t)record->attempts);
    /* The commit. Dies after this: it comes back with the slot, from wherever `next` is. */
    isthmus_store_release_u32(&shared->state, (uint32_t)queue->primitive.slot + 1);
    isthmus_note_u64(&cursors->out, isthmus_peek_u64(&cursors->out) + 1);
    isthmus_note_u64(&cursors->next, read->position);
    isthmus_ring_unlock(queue, &cursors->consumer);
    isthmus_notify(queue, &cursors->room, INT32_MAX); /* it counts no longer for maxsize */
    return 0;
}

int isthmus_queue_leased(const struct isthmus_ring *queue, uint64_t position, uint64_t sequence,
                         uint32_t slot, struct isthmus_record *record)
{
    const struct isthmus_shared_cursors *cursors = queue->cursors;
    const uint64_t head = isthmus_peek_u64(&cursors->head);
    const uint64_t tail = isthmus_load_acquire_u64(&cursors->tail); /* sync: tail */
    const uint64_t bytes = isthmus_between(queue, head, tail);
    uint64_t span;
    if (bytes == UINT64_MAX || position - head >= bytes ||
        look(queue, position, tail, record, &span) || record->sequence != sequence ||
        isthmus_peek_u32(&isthmus_record_at(queue, position)->state) != slot + 1)
        return -ESTALE;
    return 0;
}

int isthmus_queue_still_leased(const struct isthmus_ring *queue,
                               const struct isthmus_record *record)
{
    const struct isthmus_shared_cursors *cursors = queue->cursors;
    if (isthmus_ring_unfit(queue, ISTHMUS_KIND_QUEUE))
        return -ESTALE;
    /*
     * sync: head. After the copy: nobody writes over the record before `head` has passed it, which
     * it does only when it is done. If it is leased by this slot anew, it was never gone.
     */
    isthmus_fence_after_copying();
    if (isthmus_beyond(isthmus_load_u64(&cursors->head), record->position) ||
        isthmus_load_u32(&isthmus_record_at(queue, record->position)->state) !=
            (uint32_t)queue->primitive.slot + 1)
        return -ESTALE;
    return 0;
}

int isthmus_queue_return(struct isthmus_ring *queue, const struct isthmus_record *record)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    struct isthmus_shared_record *shared = isthmus_record_at(queue, record->position);
    if (isthmus_load_u32(&cursors->closed) & ISTHMUS_RING_DISCARDED) {
        /* Nobody will get it. Who discards sets this before it takes the lock that we hold. */
        isthmus_store_release_u32(&shared->state, ISTHMUS_RECORD_DONE);
        isthmus_queue_reclaim(queue);
        return 0;
    }
    if (queue->max_attempts && record->attempts >= queue->max_attempts &&
        !isthmus_queue_set_aside(queue, record))
        return 0;
    /* Dies before each of these: the lease still stands, and goes back with its slot. */
    if (isthmus_beyond(isthmus_peek_u64(&cursors->next), record->position))
        isthmus_note_u64(&cursors->next, record->position);
    isthmus_note_u64(&cursors->out, isthmus_peek_u64(&cursors->out) - 1);
    isthmus_store_release_u32(&shared->state, 0);
    /* sync: recount. Fewer are gone than a producer may know. Dies before: recover() says so. */
    isthmus_store_u32(&cursors->recount, 1);
    /* sync: eventcount. Those that wait look at this. Dies before: they look at the slice's end. */
    isthmus_add_u32(&cursors->returned, 1);
    isthmus_add_u64(&cursors->redelivered, 1);
    return 1;
}

uint32_t isthmus_queue_lease_ended(struct isthmus_ring *queue, uint32_t ready)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    if (!isthmus_load_u32(&cursors->closed))
        return ready;
    /* sync: eventcount. Dies before: a takeover of the lock, or a sweep, makes them look. */
    isthmus_add_u32(&cursors->returned, 1);
    return INT32_MAX;
}

static uint64_t end_of(const struct isthmus_ring *queue, const struct isthmus_record *record)
{
    const unsigned char *start = (unsigned char *)isthmus_record_at(queue, record->position);
    const uint64_t data = (uint64_t)((const unsigned char *)record->data - start);
    return record->position + isthmus_record_span(data, record->size);
}

/* `owing`: by this participant, who will say when it is done with. */
static int finish(struct isthmus_ring *queue, uint64_t position, uint64_t sequence, int owing)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    struct isthmus_record record;
    uint32_t woken = 0;
    int error = isthmus_ring_unfit(queue, ISTHMUS_KIND_QUEUE);
    if (error)
        return error;
    isthmus_queue_lock_surely(queue);
    error =
        isthmus_queue_leased(queue, position, sequence, (uint32_t)queue->primitive.slot, &record);
    if (!error) {
        if (owing)
            isthmus_queue_owe(queue, 1, end_of(queue, &record)); /* as in a commit */
        /* The commit. Dies before: it goes to somebody else. After: it is done with. */
        isthmus_store_release_u32(&isthmus_record_at(queue, position)->state, ISTHMUS_RECORD_DONE);
        isthmus_add_u32(&isthmus_own(&queue->primitive)->share, UINT32_MAX);
        isthmus_queue_reclaim(queue);
        woken = isthmus_queue_lease_ended(queue, 0);
    }
    isthmus_ring_unlock(queue, &cursors->consumer);
    if (!error) {
        if (woken)
            isthmus_notify(queue, &cursors->arrival, woken);
        isthmus_notify(queue, &cursors->room, INT32_MAX);
        isthmus_notify(queue, &cursors->finished, INT32_MAX);
    }
    return error;
}

int isthmus_queue_acknowledge(struct isthmus_ring *queue, uint64_t position, uint64_t sequence)
{
    return finish(queue, position, sequence, 0);
}

int isthmus_queue_take(struct isthmus_ring *queue, uint64_t position, uint64_t sequence)
{
    return finish(queue, position, sequence, 1);
}

/* `delivered`: whether it counts as a delivery that this participant had it. */
static int give_back(struct isthmus_ring *queue, uint64_t position, uint64_t sequence,
                     int delivered)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    struct isthmus_record record;
    uint32_t woken = 0;
    int error = isthmus_ring_unfit(queue, ISTHMUS_KIND_QUEUE);
    if (error)
        return error;
    isthmus_queue_lock_surely(queue);
    error =
        isthmus_queue_leased(queue, position, sequence, (uint32_t)queue->primitive.slot, &record);
    if (!error) {
        if (!delivered && record.attempts && record.attempts < UINT16_MAX) {
            record.attempts--;
            /* Dies after this: the lease still stands, and goes back with its slot. */
            isthmus_note_u16(&isthmus_record_at(queue, position)->attempts,
                             (uint16_t)record.attempts);
        }
        woken = (uint32_t)isthmus_queue_return(queue, &record);
        isthmus_add_u32(&isthmus_own(&queue->primitive)->share, UINT32_MAX);
        woken = isthmus_queue_lease_ended(queue, woken);
    }
    isthmus_ring_unlock(queue, &cursors->consumer);
    if (!error) {
        if (woken)
            isthmus_notify(queue, &cursors->arrival, woken);
        isthmus_notify(queue, &cursors->room, INT32_MAX);
        isthmus_notify(queue, &cursors->finished, INT32_MAX);
    }
    return error;
}

int isthmus_queue_give_back(struct isthmus_ring *queue, uint64_t position, uint64_t sequence)
{
    return give_back(queue, position, sequence, 1);
}

int isthmus_queue_untake(struct isthmus_ring *queue, uint64_t position, uint64_t sequence)
{
    return give_back(queue, position, sequence, 0);
}

int isthmus_queue_sweep(struct isthmus_ring *queue, int debts)
{
    struct isthmus_primitive *primitive = &queue->primitive;
    uint64_t *swept = &primitive->shared->swept_ns;
    const uint64_t now = isthmus_os_monotonic_ns();
    uint64_t last = isthmus_load_u64(swept);
    int found = 0;
    /* The owner of the lock may be dead, and `out` not yet, or no longer, as it should be. */
    if (!debts && isthmus_peek_u64(&queue->cursors->out) == 0 &&
        isthmus_peek_u32(&queue->cursors->consumer) == 0)
        return 0;
    /* Unsigned: a time in the future, which nobody sensible wrote, is long ago. */
    if (now - last < ISTHMUS_SLICE_NS / 2 || !isthmus_swap_u64(swept, &last, now))
        return 0;
    /*
     * Dies here: the next sweep is half a slice later. The lock first: with a seized slot in hand
     * it could not be taken over from another dead one.
     */
    if (isthmus_queue_lock(queue, isthmus_deadline_after(ISTHMUS_PATIENCE_NS)))
        return 0; /* its owner has been stopped, perhaps: no reason to stop as well */
    const uint32_t used = isthmus_participants_used(primitive);
    for (uint32_t i = 0; i < used; i++) {
        const int owes = debts && isthmus_peek_u64(&queue->seats[i].debt) & ISTHMUS_DEBT_COUNT;
        if ((!owes && isthmus_load_u32(&primitive->slots[i].share) == 0) ||
            isthmus_participant_seize(primitive, i))
            continue;
        isthmus_repair(primitive, i);
        isthmus_participant_release(primitive, i);
        found = 1;
    }
    isthmus_ring_unlock(queue, &queue->cursors->consumer);
    return found;
}

/* ---- What is to be known --------------------------------------------------------------- */

uint64_t isthmus_queue_gone(const struct isthmus_ring *queue)
{
    const struct isthmus_shared_cursors *cursors = queue->cursors;
    /* sync: head, eventcount. `head` first: never too many seem to be gone. */
    const uint64_t got = isthmus_counted(cursors->got, &cursors->head);
    return got + isthmus_load_u64(&cursors->out);
}

uint64_t isthmus_queue_ready(const struct isthmus_ring *queue)
{
    const struct isthmus_shared_cursors *cursors = queue->cursors;
    const uint64_t gone = isthmus_queue_gone(queue);
    const uint64_t ready = isthmus_counted(cursors->put, &cursors->tail) - gone;
    /* These were not read at once. */
    return (int64_t)ready < 0 ? 0 : ready;
}

int isthmus_queue_state(const struct isthmus_ring *queue, struct isthmus_queue_state *state)
{
    const struct isthmus_shared_cursors *cursors = queue->cursors;
    if (!queue->primitive.shared)
        return -EBADF;
    if (queue->primitive.kind != ISTHMUS_KIND_QUEUE)
        return -EINVAL;
    const uint64_t head = isthmus_load_u64(&cursors->head);
    const uint64_t tail = isthmus_load_u64(&cursors->tail);
    const uint64_t used = isthmus_between(queue, head, tail);
    const uint64_t out = isthmus_load_u64(&cursors->out);
    const uint64_t shares = isthmus_participants_shares(&queue->primitive);
    *state = (struct isthmus_queue_state){
        .ready = isthmus_queue_ready(queue),
        /* One that died may have left a share without a lease, until somebody looks after it. */
        .leased = shares < out ? shares : out,
        .aside = isthmus_peek_u64(&cursors->aside_count),
        .put = isthmus_counted(cursors->put, &cursors->tail),
        .redelivered = isthmus_peek_u64(&cursors->redelivered),
        .set_aside = isthmus_peek_u64(&cursors->put_aside),
        .used = used == UINT64_MAX ? queue->capacity : used,
        .closed = isthmus_load_u32(&cursors->closed),
    };
    return 0;
}
