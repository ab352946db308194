/*
 * Looking whether things are ready, whether they would be but for one that died, and saying that
 * somebody is about to sleep until they are. See readiness.h.
 */
#include "readiness.h"

#include "eventcount.h"
#include "participant.h"
#include "parts.h"

#define WAITERS ISTHMUS_WORD_WAITERS

/* Each look: 1 if ready. `arming`: first set the bit, and note the word in `armed`. */

/* ---- Locks ----------------------------------------------------------------------------- */

static int look_at_word(struct isthmus_waited *thing, uint32_t *word, int arming)
{
    uint32_t found = isthmus_load_u32(word);
    thing->word = word;
    while (found & ISTHMUS_WORD_OWNER) {
        thing->armed = found | WAITERS;
        thing->held = (found & ISTHMUS_WORD_OWNER) != (uint32_t)thing->primitive->slot + 1;
        /* sync: lock-waiters. Only on a word that has an owner, who will see it. */
        if (!arming || found & WAITERS || isthmus_swap_u32(word, &found, found | WAITERS))
            return 0;
    }
    return 1;
}

static int look_at_lock(struct isthmus_waited *thing, int arming)
{
    const struct isthmus_primitive *lock = thing->primitive;
    struct isthmus_shared_lock *state = isthmus_state(lock);
    const int mine = lock->kind == ISTHMUS_KIND_RLOCK && isthmus_lock_is_mine(lock);
    return look_at_word(thing, &state->word, arming) || mine;
}

static int lock_of_the_dead(const struct isthmus_waited *thing)
{
    const struct isthmus_primitive *lock = thing->primitive;
    const uint32_t owner = isthmus_load_u32(thing->word) & ISTHMUS_WORD_OWNER;
    /* No participant can have written that: whoever takes it takes it over. */
    if (owner > lock->count)
        return 1;
    return owner == 0 || !isthmus_participant_lives(lock, owner - 1);
}

/* ---- Semaphores ------------------------------------------------------------------------ */

static int look_at_semaphore(struct isthmus_waited *thing, int arming)
{
    const struct isthmus_primitive *primitive = thing->primitive;
    struct isthmus_shared_semaphore *semaphore = isthmus_state(primitive);
    uint32_t *word = &semaphore->word;
    thing->word = word;
    if (primitive->flags & ISTHMUS_ROBUST) {
        /* sync: semaphore-word. First the bit, then the look at the shares. */
        thing->armed = (arming ? isthmus_or_u32(word, WAITERS) : isthmus_load_u32(word)) | WAITERS;
        thing->held = 1;
        return isthmus_participants_shares(primitive) < semaphore->initial;
    }
    uint32_t found = isthmus_load_u32(word);
    while ((found & ~WAITERS) == 0) {
        thing->armed = WAITERS;
        /* sync: semaphore-word. Only on one without permits. */
        if (!arming || found & WAITERS || isthmus_swap_u32(word, &found, WAITERS))
            return 0;
    }
    return 1;
}

/* ---- Events ---------------------------------------------------------------------------- */

#define SET 1u

static int look_at_event(struct isthmus_waited *thing, int arming)
{
    struct isthmus_shared_event *event = isthmus_state(thing->primitive);
    uint32_t found = isthmus_load_u32(&event->word);
    thing->word = &event->word;
    if (thing->seen == 0)
        /* Any number but 0, which says that this is the first look. */
        thing->seen = (found & ~WAITERS) | SET;
    /* Set, or set and cleared since the first look. */
    while (!(found & SET) && ((found & ~WAITERS) | SET) == thing->seen) {
        thing->armed = found | WAITERS;
        /* sync: event-word. */
        if (!arming || found & WAITERS || isthmus_swap_u32(&event->word, &found, found | WAITERS))
            return 0;
    }
    return 1;
}

/* ---- Queues and subscribers ------------------------------------------------------------ */

/* Is it as it was when a look for a message found nothing? */
static int unchanged(const struct isthmus_waited *thing)
{
    const struct isthmus_shared_cursors *cursors = isthmus_ring_of(thing)->cursors;
    return thing->looked && isthmus_load_u64(&cursors->tail) == thing->seen_tail &&
           (thing->primitive->kind == ISTHMUS_KIND_TOPIC ||
            (isthmus_load_u32(&cursors->returned) == thing->seen_returned &&
             isthmus_load_u32(&cursors->closed) == thing->seen_closed));
}

/* Do consumers have something: leases, or just now the lock? */
static int held_by_consumers(const struct isthmus_ring *ring)
{
    return ring->primitive.kind == ISTHMUS_KIND_QUEUE &&
           (isthmus_load_u64(&ring->cursors->out) != 0 ||
            (isthmus_load_u32(&ring->cursors->consumer) & ISTHMUS_WORD_OWNER) != 0);
}

/* A read that takes nothing, and may find another consumer, or thread, at it: -EBUSY. */
static int try_to_read(struct isthmus_waited *thing, uint64_t deadline)
{
    struct isthmus_ring *ring = isthmus_ring_of(thing);
    struct isthmus_read read;
    struct isthmus_record record;
    int result = isthmus_read_begin(ring, &read, deadline);
    if (result)
        return result;
    result = isthmus_read_next(ring, &read, &record);
    isthmus_read_abort(ring, &read);
    /* Damaged, shut down: whoever reads is told at once. */
    if (result != -EAGAIN)
        return 1;
    thing->seen_tail = read.seen_tail;
    thing->seen_returned = read.seen_returned;
    thing->seen_closed = read.seen_closed;
    thing->looked = 1;
    return 0;
}

static int look_for_message(struct isthmus_waited *thing, int arming)
{
    struct isthmus_ring *ring = isthmus_ring_of(thing);
    uint32_t *busy = ring->primitive.kind == ISTHMUS_KIND_TOPIC ? &isthmus_seat_of(ring)->reader
                                                                : &ring->cursors->consumer;
    int result;
    do {
        thing->word = &ring->cursors->arrival;
        /* sync: eventcount. First the bit, then the look. */
        if (arming)
            thing->armed = isthmus_prepare_to_sleep(thing->word);
        thing->held = held_by_consumers(ring);
        if (unchanged(thing))
            return 0;
        result = try_to_read(thing, 0);
        /*
         * While another one reads, it is not known what it leaves: sleep on its lock instead,
         * and look again when it is free.
         */
    } while (result == -EBUSY && look_at_word(thing, busy, arming));
    return result == -EBUSY || result == -ETIMEDOUT ? 0 : result;
}

/* The sweep first: it takes the consumer lock from a dead owner, which may have changed nothing. */
static int message_of_the_dead(struct isthmus_waited *thing)
{
    struct isthmus_ring *ring = isthmus_ring_of(thing);
    if (ring->primitive.kind == ISTHMUS_KIND_QUEUE)
        isthmus_queue_sweep(ring, 0);
    if (unchanged(thing))
        return 0;
    /* One that only tries still waits for those that are about to be done. */
    const int result = try_to_read(thing, isthmus_deadline_after(ISTHMUS_PATIENCE_NS));
    return result == -ETIMEDOUT || result == -EINTR || result == -EBUSY ? 0 : result;
}

/* ---- Room, and the end of all work ------------------------------------------------------- */

/* A write that writes nothing, and evicts nobody. -EBUSY: another one is at it. */
static int try_to_write(struct isthmus_waited *thing, uint64_t deadline)
{
    struct isthmus_ring *ring = isthmus_ring_of(thing);
    thing->write.blocker = -1;
    thing->looked = 0;
    int result = isthmus_write_begin(ring, &thing->write, 0, deadline);
    if (result)
        return result;
    result = isthmus_write_look(ring, &thing->write, thing->about);
    isthmus_write_abort(ring, &thing->write);
    thing->looked = result == -EAGAIN;
    /* Too large, shut down, damaged: whoever writes is told at once. */
    return result != -EAGAIN;
}

static int held_from_writers(const struct isthmus_waited *thing)
{
    const struct isthmus_ring *ring = isthmus_ring_of(thing);
    return thing->write.blocker >= 0 || held_by_consumers(ring) ||
           (isthmus_load_u32(&ring->cursors->producer) & ISTHMUS_WORD_OWNER) != 0;
}

static int look_for_room(struct isthmus_waited *thing, int arming)
{
    struct isthmus_shared_cursors *cursors = isthmus_ring_of(thing)->cursors;
    int result;
    do {
        thing->word = &cursors->room;
        /* sync: eventcount. First the bit, then the look. */
        if (arming)
            thing->armed = isthmus_prepare_to_sleep(thing->word);
        thing->held = held_from_writers(thing);
        /* Else two that wait would find each other at the lock, and ring each other, for ever. */
        if (thing->looked && !isthmus_write_moved(isthmus_ring_of(thing), &thing->write))
            return 0;
        result = try_to_write(thing, 0);
        thing->held = held_from_writers(thing);
    } while (result == -EBUSY && look_at_word(thing, &cursors->producer, arming));
    return result == -EBUSY || result == -ETIMEDOUT ? 0 : result;
}

static int room_of_the_dead(struct isthmus_waited *thing)
{
    isthmus_write_free_of_the_dead(isthmus_ring_of(thing), &thing->write);
    const int result = try_to_write(thing, 0);
    return result == -EBUSY || result == -ETIMEDOUT ? 0 : result;
}

static int look_for_the_end(struct isthmus_waited *thing, int arming)
{
    struct isthmus_ring *queue = isthmus_ring_of(thing);
    int result;
    do {
        thing->word = &queue->cursors->finished;
        /* sync: eventcount. First the bit, then the look. */
        if (arming)
            thing->armed = isthmus_prepare_to_sleep(thing->word);
        result = isthmus_queue_unfinished(queue, 0);
        thing->held = 1;
    } while (result == -EBUSY && look_at_word(thing, &queue->cursors->consumer, arming));
    if (result == -EBUSY || result == -ETIMEDOUT)
        return 0;
    return result < 0 ? result : !result;
}

/* ---- Conditions, barriers, readers-writer locks ------------------------------------------ */

/* Their sleepers set no bit but the one of the doorbell: who wakes them always tries to. */

static int look_for_token(struct isthmus_waited *thing)
{
    struct isthmus_shared_condition *condition = isthmus_state(thing->primitive);
    thing->word = &condition->sequence;
    /* sync: condition-sequence. The number first, then the look. */
    thing->armed = isthmus_load_u32(thing->word);
    return isthmus_condition_may_take(condition, thing->about);
}

static int look_at_round(struct isthmus_waited *thing)
{
    struct isthmus_shared_barrier *barrier = isthmus_state(thing->primitive);
    thing->word = &barrier->round;
    thing->armed = (uint32_t)thing->about;
    thing->held = 1;
    return isthmus_load_u32(thing->word) != thing->armed; /* sync: round */
}

static int look_at_gate(struct isthmus_waited *thing, int arming)
{
    struct isthmus_shared_rwlock *rwlock = isthmus_state(thing->primitive);
    uint32_t found = isthmus_load_u32(&rwlock->gate);
    thing->word = &rwlock->gate;
    thing->held = 1;
    while (found & ISTHMUS_GATE_CLOSED) {
        thing->armed = found | WAITERS;
        /* sync: gate. Only on one that is closed: its opening wakes all. */
        if (!arming || found & WAITERS || isthmus_swap_u32(thing->word, &found, found | WAITERS))
            return 0;
    }
    return 1;
}

/* By the one that owns the word, and has found readers there or a turn of theirs. */
static int look_for_readers(struct isthmus_waited *thing)
{
    struct isthmus_shared_rwlock *rwlock = isthmus_state(thing->primitive);
    thing->word = &rwlock->drained;
    thing->held = 1;
    /* sync: drained, turn. The number first, then the look. */
    thing->armed = isthmus_load_u32(thing->word);
    return thing->about ? !(isthmus_load_u32(&rwlock->gate) & ISTHMUS_GATE_TURN)
                        : isthmus_participants_shares(thing->primitive) == 0;
}

/* ---- All of them ----------------------------------------------------------------------- */

static int unfit(const struct isthmus_waited *thing)
{
    const struct isthmus_primitive *primitive = thing->primitive;
    const uint32_t kind = primitive->kind;
    if (!primitive->shared)
        return -EBADF;
    if (primitive->slot < 0 && primitive->count)
        return -ISTHMUS_E_NOT_JOINED;
    int fits;
    switch (thing->side) {
    case ISTHMUS_WAIT_READY:
        fits = kind == ISTHMUS_KIND_LOCK || kind == ISTHMUS_KIND_RLOCK ||
               kind == ISTHMUS_KIND_SEMAPHORE || kind == ISTHMUS_KIND_EVENT ||
               isthmus_ring_kind(kind);
        break;
    case ISTHMUS_WAIT_ROOM:
        fits = isthmus_ring_kind(kind);
        break;
    case ISTHMUS_WAIT_END:
        fits = kind == ISTHMUS_KIND_QUEUE;
        break;
    case ISTHMUS_WAIT_WORD:
        fits = kind == ISTHMUS_KIND_LOCK || kind == ISTHMUS_KIND_RLOCK ||
               kind == ISTHMUS_KIND_CONDITION || kind == ISTHMUS_KIND_RWLOCK;
        break;
    case ISTHMUS_WAIT_TOKEN:
        fits = kind == ISTHMUS_KIND_CONDITION;
        break;
    case ISTHMUS_WAIT_ROUND:
        fits = kind == ISTHMUS_KIND_BARRIER;
        break;
    default:
        fits = (thing->side == ISTHMUS_WAIT_GATE || thing->side == ISTHMUS_WAIT_READERS) &&
               kind == ISTHMUS_KIND_RWLOCK;
    }
    return fits ? 0 : -EINVAL;
}

static int look_at_ready(struct isthmus_waited *thing, int arming)
{
    switch (thing->primitive->kind) {
    case ISTHMUS_KIND_SEMAPHORE:
        return look_at_semaphore(thing, arming);
    case ISTHMUS_KIND_EVENT:
        return look_at_event(thing, arming);
    case ISTHMUS_KIND_QUEUE:
    case ISTHMUS_KIND_TOPIC:
        return look_for_message(thing, arming);
    default:
        return look_at_lock(thing, arming);
    }
}

static int look_at(struct isthmus_waited *thing, int arming)
{
    const int error = unfit(thing);
    if (error)
        return error;
    switch (thing->side) {
    case ISTHMUS_WAIT_ROOM:
        return look_for_room(thing, arming);
    case ISTHMUS_WAIT_END:
        return look_for_the_end(thing, arming);
    case ISTHMUS_WAIT_WORD:
        return look_at_word(thing, isthmus_word_of(thing->primitive), arming);
    case ISTHMUS_WAIT_TOKEN:
        return look_for_token(thing);
    case ISTHMUS_WAIT_ROUND:
        return look_at_round(thing);
    case ISTHMUS_WAIT_GATE:
        return look_at_gate(thing, arming);
    case ISTHMUS_WAIT_READERS:
        return look_for_readers(thing);
    default:
        return look_at_ready(thing, arming);
    }
}

/* What only a look at who lives can tell. To be called after look_at(). */
static int left_by_the_dead(struct isthmus_waited *thing)
{
    struct isthmus_primitive *primitive = thing->primitive;
    switch (thing->side) {
    case ISTHMUS_WAIT_ROOM:
        return room_of_the_dead(thing);
    case ISTHMUS_WAIT_END:
        isthmus_queue_sweep(isthmus_ring_of(thing), 1);
        break;
    case ISTHMUS_WAIT_WORD:
        return lock_of_the_dead(thing);
    case ISTHMUS_WAIT_TOKEN:
        return 0; /* nobody who could die has what it waits for */
    case ISTHMUS_WAIT_ROUND:
        isthmus_barrier_meet_the_dead(primitive);
        break;
    case ISTHMUS_WAIT_GATE:
        isthmus_rwlock_replace_dead_writer(primitive);
        break;
    case ISTHMUS_WAIT_READERS:
        isthmus_participants_sweep(primitive);
        break;
    default:
        if (isthmus_is_ring(primitive))
            return message_of_the_dead(thing);
        if (primitive->kind == ISTHMUS_KIND_LOCK || primitive->kind == ISTHMUS_KIND_RLOCK)
            return lock_of_the_dead(thing);
        if (primitive->kind == ISTHMUS_KIND_SEMAPHORE && primitive->flags & ISTHMUS_ROBUST)
            isthmus_participants_sweep(primitive);
    }
    return look_at(thing, 0);
}

int isthmus_look(struct isthmus_waited *thing, enum isthmus_how how)
{
    const int found = look_at(thing, how == ISTHMUS_ARM);
    return found == 0 && how == ISTHMUS_ASK ? left_by_the_dead(thing) : found;
}
