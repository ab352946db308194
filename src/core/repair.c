/* All repair after the dead. See repair.h for the rules. */
#include "repair.h"

#include "atomic.h"
#include "doorbell.h"
#include "eventcount.h"
#include "mutex.h"
#include "os.h"
#include "participant.h"
#include "ring.h"

/* If `slot` owns the lock word: nobody does, and the next owner is told. */
static void abandon(const struct isthmus_primitive *primitive, uint32_t *word, uint32_t *tid,
                    uint32_t slot)
{
    uint32_t found = isthmus_load_u32(word);
    while ((found & ISTHMUS_WORD_OWNER) == slot + 1) {
        /* Dies here: the word names the dead one still, so all is done anew. */
        if (tid)
            isthmus_note_u32(tid, 0);
        if (isthmus_swap_u32(word, &found, ISTHMUS_WORD_ABANDONED)) {
            /* Dies here: who sleeps looks again at the slice's end. sync: lock-waiters. */
            if (found & ISTHMUS_WORD_WAITERS)
                isthmus_wake(primitive, word, 1);
            return;
        }
    }
}

void isthmus_repair_permits(const struct isthmus_primitive *primitive, uint32_t permits)
{
    struct isthmus_shared_semaphore *semaphore = isthmus_state(primitive);
    uint32_t found = isthmus_load_u32(&semaphore->word);
    /* sync: semaphore-word. One more, without the bit. */
    while (!isthmus_swap_u32(&semaphore->word, &found, (found + 1) & ~ISTHMUS_WORD_WAITERS))
        ;
    /* Dies before or here: whoever sleeps sees it at the end of the slice. */
    if (found & ISTHMUS_WORD_WAITERS)
        isthmus_wake(primitive, &semaphore->word, permits);
}

static void repair_semaphore(struct isthmus_primitive *primitive, uint32_t slot)
{
    struct isthmus_shared_semaphore *semaphore = isthmus_state(primitive);
    abandon(primitive, &semaphore->guard, NULL, slot);
    /* Dies between the two: the permits are free, and who sleeps sees it at the slice's end. */
    uint32_t permits = isthmus_exchange_u32(&primitive->slots[slot].share, 0);
    if (permits)
        isthmus_repair_permits(primitive, permits);
}

int isthmus_round_noted(const struct isthmus_shared_barrier *barrier, uint32_t round)
{
    const uint32_t last = isthmus_load_u32(&barrier->breaks) - 1;
    return isthmus_load_u32(&barrier->broken[last % ISTHMUS_BARRIER_BROKEN]) == (round | 1);
}

void isthmus_repair_round(const struct isthmus_primitive *primitive, int stay_broken)
{
    struct isthmus_shared_barrier *barrier = isthmus_state(primitive);
    const uint32_t round = isthmus_load_u32(&barrier->round);
    const uint32_t breaks = isthmus_load_u32(&barrier->breaks);
    /* In a round that is broken nobody waits; of one who died below, the entry is there. */
    if (!(round & 1) && !isthmus_round_noted(barrier, round)) {
        isthmus_store_u32(&barrier->broken[breaks % ISTHMUS_BARRIER_BROKEN], round | 1);
        /* Dies before: no entry. After: the round goes on; if it ends well, that takes it back. */
        isthmus_store_u32(&barrier->breaks, breaks + 1);
    }
    /* sync: round. Who sees the new number sees how the old round ended. */
    isthmus_store_u32(&barrier->round, ((round | 1) + 1) | (stay_broken != 0));
    isthmus_wake(primitive, &barrier->round, UINT32_MAX);
}

static void repair_barrier(struct isthmus_primitive *primitive, uint32_t slot)
{
    struct isthmus_shared_barrier *barrier = isthmus_state(primitive);
    struct isthmus_shared_participant *gone = &primitive->slots[slot];
    const int own = slot == (uint32_t)primitive->slot;

    abandon(primitive, &barrier->guard, NULL, slot);
    if (own)
        isthmus_guard_enter(primitive, &barrier->guard);
    const uint32_t round = isthmus_load_u32(&barrier->round);
    if (isthmus_load_u32(&gone->share) && isthmus_load_u32(&gone->round) == round && !(round & 1))
        isthmus_repair_round(primitive, 1);
    /* Dies before this: its share belongs to a round that has ended. */
    isthmus_store_u32(&gone->share, 0);
    if (own)
        isthmus_mutex_release(primitive, &barrier->guard, 0);
}

static uint32_t opened(uint32_t gate, int draining)
{
    uint32_t cleared = ISTHMUS_GATE_CLOSED | ISTHMUS_WORD_WAITERS;
    if (!draining)
        cleared |= ISTHMUS_GATE_DRAINING;
    uint32_t turn = !draining && gate & ISTHMUS_WORD_WAITERS ? ISTHMUS_GATE_TURN : 0;
    return (((gate & ~cleared) + ISTHMUS_GATE_OPENING) & ~ISTHMUS_WORD_WAITERS) | turn;
}

void isthmus_repair_gate(const struct isthmus_primitive *primitive, int draining)
{
    struct isthmus_shared_rwlock *rwlock = isthmus_state(primitive);
    uint32_t found = isthmus_load_u32(&rwlock->gate);
    /* sync: gate. Readers see all that the writer did. */
    while (!isthmus_swap_u32(&rwlock->gate, &found, opened(found, draining)))
        ;
    /* Dies here: readers that sleep look again at the end of the slice. */
    if (found & ISTHMUS_WORD_WAITERS)
        isthmus_wake(primitive, &rwlock->gate, UINT32_MAX);
}

static void repair_rwlock(struct isthmus_primitive *primitive, uint32_t slot)
{
    struct isthmus_shared_rwlock *rwlock = isthmus_state(primitive);
    if ((isthmus_load_u32(&rwlock->word) & ISTHMUS_WORD_OWNER) == slot + 1) {
        /*
         * sync: abandoned. The mark before the gate: a reader that gets in sees it. The gate
         * before the word: it is closed only while somebody owns the word. Dies between
         * these: the word names the dead one still, and all is done anew.
         */
        isthmus_store_u32(&rwlock->abandoned, 1);
        isthmus_repair_gate(primitive, 0);
        abandon(primitive, &rwlock->word, &rwlock->tid, slot);
    }
    if (isthmus_exchange_u32(&primitive->slots[slot].share, 0) == 0)
        return;
    /* Dies before this: the writer that waits for readers to leave looks at the slice's end. */
    isthmus_add_u32(&rwlock->drained, 1);
    isthmus_wake(primitive, &rwlock->drained, 1);
}

/* ---- Rings: their handles are struct isthmus_ring, whose first member is the primitive ---- */

static void abandon_ring(struct isthmus_ring *ring, uint32_t slot)
{
    struct isthmus_shared_cursors *cursors = ring->cursors;
    /* Before the lock: it is about this owner's hold of it. Dies between: done anew. */
    if (isthmus_load_u32(&cursors->loan) == slot + 1)
        isthmus_store_u32(&cursors->loan, 0);
    abandon(&ring->primitive, &cursors->producer, NULL, slot);
    abandon(&ring->primitive, &cursors->consumer, NULL, slot);
    abandon(&ring->primitive, &ring->seats[slot].reader, NULL, slot);
    isthmus_store_u32(&ring->seats[slot].role, 0);
}

uint32_t isthmus_repair_leases(struct isthmus_ring *queue, uint32_t slot, uint32_t *ended)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    const uint64_t tail = isthmus_load_acquire_u64(&cursors->tail); /* sync: tail */
    uint64_t position = isthmus_peek_u64(&cursors->head), span;
    uint32_t ready = 0;
    *ended = 0;
    while (position != tail) {
        const uint64_t room = isthmus_between(queue, position, tail);
        struct isthmus_shared_record *shared = isthmus_record_at(queue, position);
        struct isthmus_record record;
        if (room == UINT64_MAX || isthmus_record_look(shared, position, room, &record, &span))
            break; /* damaged: what lies behind it is lost to all */
        /* Dies in there or between two: the rest stays leased by this slot, and is done anew. */
        if (isthmus_peek_u32(&shared->state) == slot + 1) {
            ready += (uint32_t)isthmus_queue_return(queue, &record);
            ++*ended;
        }
        position += span;
        /* One that was set aside may have let `head` pass others: they may be written over. */
        const uint64_t head = isthmus_peek_u64(&cursors->head);
        if (isthmus_beyond(head, position))
            position = head;
    }
    return ready;
}

/* Its leases are ready again, in their places; what it owed is forgotten. */
static void repair_queue(struct isthmus_ring *queue, uint32_t slot)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    uint32_t *share = &queue->primitive.slots[slot].share;
    uint64_t *debt = &queue->seats[slot].debt;
    const int own = slot == (uint32_t)queue->primitive.slot;
    uint32_t ended;
    abandon_ring(queue, slot);
    /* Whoever leases has a share before, and until after. */
    if (isthmus_load_u32(share) == 0 && isthmus_peek_u64(debt) == 0)
        return;
    if (own)
        isthmus_queue_lock_surely(queue);
    uint32_t ready = isthmus_repair_leases(queue, slot, &ended);
    isthmus_store_u32(share, 0);
    isthmus_note_u64(debt, 0);
    ready = isthmus_queue_lease_ended(queue, ready);
    if (own)
        isthmus_ring_unlock(queue, &cursors->consumer);
    /* Dies here: who sleeps looks again at the end of the slice. */
    if (ready)
        isthmus_notify(queue, &cursors->arrival, ready);
    isthmus_notify(queue, &cursors->room, INT32_MAX);
    isthmus_notify(queue, &cursors->finished, INT32_MAX);
}

static void repair_topic(struct isthmus_ring *topic, uint32_t slot)
{
    abandon_ring(topic, slot);
    /* Without a role its cursor does not count. Dies between: done anew. */
    isthmus_store_u64(&topic->seats[slot].pin, 0);
    isthmus_notify(topic, &topic->cursors->room, INT32_MAX);
}

int isthmus_bury(struct isthmus_primitive *primitive, uint32_t slot, uint64_t deadline)
{
    struct isthmus_ring *ring = (struct isthmus_ring *)primitive;
    const int queue = primitive->kind == ISTHMUS_KIND_QUEUE;
    uint32_t *guard = NULL;
    int result = 0;
    if (slot >= primitive->count || isthmus_participant_lives(primitive, slot))
        return 0;
    /* These first: with a seized slot in hand they could not be taken over from another dead one.
     */
    if (queue) {
        guard = &ring->cursors->consumer;
        result = isthmus_queue_lock(ring, deadline);
    } else if (primitive->kind == ISTHMUS_KIND_BARRIER) {
        guard = &((struct isthmus_shared_barrier *)isthmus_state(primitive))->guard;
        result = isthmus_guard_acquire(primitive, guard, deadline);
    }
    if (result)
        return result;
    if (!isthmus_participant_seize(primitive, slot)) {
        /* Dies in there, or before the record is free: still a dead one, and done anew. */
        isthmus_repair(primitive, slot);
        isthmus_note_u32(&primitive->slots[slot].waiting, 0);
        isthmus_note_u32(&primitive->slots[slot].pid, 0);
        isthmus_participant_release(primitive, slot);
        result = 1;
    }
    if (guard)
        isthmus_mutex_release(primitive, guard, 0);
    return result;
}

void isthmus_repair(struct isthmus_primitive *primitive, uint32_t slot)
{
    struct isthmus_ring *ring = (struct isthmus_ring *)primitive;
    struct isthmus_shared_lock *lock = isthmus_state(primitive);
    switch (primitive->kind) {
    case ISTHMUS_KIND_CONDITION:
        /*
         * Tokens are not touched: a notification that was meant for the dead goes to whoever
         * waits, and what is too many is taken back under the lock (condition.c).
         */
        isthmus_store_u32(&primitive->slots[slot].share, 0);
        /* fall through */
    case ISTHMUS_KIND_LOCK:
    case ISTHMUS_KIND_RLOCK:
        abandon(primitive, &lock->word, &lock->tid, slot);
        break;
    case ISTHMUS_KIND_SEMAPHORE:
        repair_semaphore(primitive, slot);
        break;
    case ISTHMUS_KIND_BARRIER:
        repair_barrier(primitive, slot);
        break;
    case ISTHMUS_KIND_RWLOCK:
        repair_rwlock(primitive, slot);
        break;
    case ISTHMUS_KIND_QUEUE:
        repair_queue(ring, slot);
        break;
    case ISTHMUS_KIND_TOPIC:
        repair_topic(ring, slot);
        break;
    default:
        break; /* kinds without participants */
    }
}
