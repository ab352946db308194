/*
 * Rings: the pieces that the files of queues and topics share. See isthmus/layout.h for what is
 * where and who may write it, isthmus/ring.h for what is promised.
 *
 * Locks are taken in the order: a seat's reader lock, producer, consumer.
 * Nothing that is read from shared memory is used as a place or a length before it is checked.
 */
#ifndef ISTHMUS_CORE_RING_H
#define ISTHMUS_CORE_RING_H

#include "atomic.h"
#include "doorbell.h"
#include "mutex.h"
#include "os.h"
#include "wait.h"
#include <isthmus/isthmus.h>

/* ---- What is where ----------------------------------------------------------------- */

struct isthmus_ring_extent {
    uint64_t cursors_offset, seats_offset, data_offset, total_size;
};

static inline int isthmus_ring_kind(uint32_t kind)
{
    return kind == ISTHMUS_KIND_QUEUE || kind == ISTHMUS_KIND_TOPIC;
}

/* How many times `capacity` bytes there are. */
static inline uint32_t isthmus_ring_pieces(const struct isthmus_ring_plan *plan)
{
    return plan->max_attempts ? 2 : 1;
}

/* Check a plan and fill in what it leaves open. -EINVAL, -EFBIG. */
int isthmus_ring_complete(const struct isthmus_ring_plan *plan, struct isthmus_ring_plan *complete);
/* Of a complete plan. */
void isthmus_ring_measure(const struct isthmus_ring_plan *plan, struct isthmus_ring_extent *extent);
/* Write all but the header and the primitive into a zeroed segment at `data`. */
void isthmus_ring_init(void *data, const struct isthmus_ring_plan *plan);
/* Check it, and fill in what of the handle is not the primitive's. `data`: as it is mapped. */
int isthmus_ring_read_shared(struct isthmus_ring *ring, void *data,
                             const struct isthmus_shared_header *header);
/* Does what is there suit the plan? -ENOTUNIQ. */
int isthmus_ring_compare(const struct isthmus_ring *ring, const struct isthmus_ring_plan *plan);

/* ---- Positions ----------------------------------------------------------------------- */

/* Is position a further on than b? Differences of cursors, which may wrap around. */
static inline int isthmus_beyond(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) > 0;
}

/*
 * Bytes between two cursors. UINT64_MAX: they cannot be cursors of one ring, somebody has damaged
 * them; then nothing may be read or written by them.
 */
static inline uint64_t isthmus_between(const struct isthmus_ring *ring, uint64_t from, uint64_t to)
{
    const uint64_t bytes = to - from;
    return bytes <= ring->capacity && ((from | to) & (ISTHMUS_RECORD_ALIGNMENT - 1)) == 0
               ? bytes
               : UINT64_MAX;
}

static inline struct isthmus_shared_record *isthmus_record_at(const struct isthmus_ring *ring,
                                                              uint64_t position)
{
    return (struct isthmus_shared_record *)(ring->data + (position & (ring->capacity - 1)));
}

/* How many messages lie before a cursor, from its two notes. */
static inline uint64_t isthmus_noted(const struct isthmus_shared_note note[2], uint64_t position)
{
    return isthmus_peek_u64(&note[isthmus_peek_u64(&note[0].position) != position].count);
}

/* How many messages lie before a cursor that others move. Right as of some moment in the call. */
uint64_t isthmus_counted(const struct isthmus_shared_note note[2], const uint64_t *cursor);

/* Write the note that does not count yet. Dies between or after: it still does not. */
static inline void isthmus_note_down(struct isthmus_shared_note note[2], uint64_t now,
                                     uint64_t position, uint64_t count)
{
    struct isthmus_shared_note *other = &note[isthmus_peek_u64(&note[0].position) == now];
    isthmus_note_u64(&other->position, position);
    isthmus_note_u64(&other->count, count);
}

/* ---- Records --------------------------------------------------------------------------- */

static inline uint32_t isthmus_record_check(const struct isthmus_shared_record *record,
                                            uint64_t position)
{
    return (uint32_t)(position / ISTHMUS_RECORD_ALIGNMENT) ^ (uint32_t)record->sequence ^
           (uint32_t)record->size ^ (uint32_t)(record->size >> 32) ^ record->data ^
           (uint32_t)record->type << 16;
}

/* Where the payload begins after `meta_size` bytes, from `position` on. */
static inline uint64_t isthmus_record_data(uint64_t position, uint64_t meta_size)
{
    const uint64_t after = position + sizeof(struct isthmus_shared_record) + meta_size;
    return (meta_size ? (after + 63) & ~UINT64_C(63) : after) - position;
}

/* Bytes from one record to the next. */
static inline uint64_t isthmus_record_span(uint64_t data, uint64_t size)
{
    const uint64_t unit = ISTHMUS_RECORD_ALIGNMENT;
    return (data + size + unit - 1) & ~(unit - 1);
}

/* The largest capacity: twice this, and as much again, is still an address. */
#define ISTHMUS_CAPACITY_MAX (UINT64_C(1) << 44)

/* isthmus_record_room(), here as what follows it for the sake of those that are called most. */
static inline uint64_t isthmus_room_of(uint64_t meta_size, uint64_t size)
{
    if (size > ISTHMUS_CAPACITY_MAX || meta_size > UINT32_MAX / 2)
        return UINT64_MAX;
    /* At worst 32 more, from one multiple of 32 to the next one of 64. */
    return isthmus_record_span(
        isthmus_record_data(0, meta_size) + (meta_size ? ISTHMUS_RECORD_ALIGNMENT : 0), size);
}

/*
 * Check the record at `shared`, of which `room` bytes lie before the end of what was written,
 * and describe it. *span: bytes to the next one. -EBADMSG.
 */
static inline int isthmus_record_look(struct isthmus_shared_record *shared, uint64_t position,
                                      uint64_t room, struct isthmus_record *record, uint64_t *span)
{
    /* Copies, for the memory may be written to by partners that err, or, in a topic, lap us. */
    const struct isthmus_shared_record copy = {
        .sequence = isthmus_peek_u64(&shared->sequence),
        .size = isthmus_peek_u64(&shared->size),
        .data = isthmus_peek_u32(&shared->data),
        .type = isthmus_peek_u16(&shared->type),
        .attempts = isthmus_peek_u16(&shared->attempts),
    };
    record->position = position;
    record->sequence = copy.sequence;
    record->size = copy.size;
    record->type = copy.type;
    record->attempts = copy.attempts;
    record->meta = shared + 1;
    if (room < sizeof copy || copy.data < sizeof copy || copy.data > room ||
        copy.data % ISTHMUS_RECORD_ALIGNMENT != 0 || copy.size > room - copy.data ||
        isthmus_record_check(&copy, position) != isthmus_peek_u32(&shared->check))
        return -EBADMSG;
    record->meta_size = copy.data - (uint32_t)sizeof copy;
    record->data = (unsigned char *)shared + copy.data;
    *span = isthmus_record_span(copy.data, copy.size);
    return *span <= room ? 0 : -EBADMSG;
}

/* ---- Locks and seats ------------------------------------------------------------------- */

static inline struct isthmus_shared_seat *isthmus_seat_of(const struct isthmus_ring *ring)
{
    return &ring->seats[ring->primitive.slot];
}

/* 0; -EBADF, -ISTHMUS_E_NOT_JOINED, -EINVAL: not of this kind. */
static inline int isthmus_ring_unfit(const struct isthmus_ring *ring, uint32_t kind)
{
    if (!ring->primitive.shared || ring->primitive.slot < 0)
        return isthmus_unusable(&ring->primitive);
    return kind == ISTHMUS_KIND_ANY || kind == ring->primitive.kind ? 0 : -EINVAL;
}

/* As isthmus_mutex_acquire(), for a lock that is free as a rule. */
static inline int isthmus_ring_lock(struct isthmus_ring *ring, uint32_t *word, uint64_t deadline)
{
    uint32_t free_word = 0;
    /* Dies before: nothing happened. Dies after: taken over. sync: lock-word. */
    if (isthmus_swap_u32(word, &free_word, (uint32_t)ring->primitive.slot + 1))
        return 0;
    const int result = isthmus_mutex_acquire(&ring->primitive, word, NULL, deadline);
    return result == -ETIMEDOUT && deadline == 0 ? -EBUSY : result;
}

/* As isthmus_mutex_release(). Dies before: taken over. After: free, see there. */
static inline void isthmus_ring_unlock(const struct isthmus_ring *ring, uint32_t *word)
{
    /* sync: lock-word, lock-waiters */
    if (isthmus_exchange_u32(word, 0) & ISTHMUS_WORD_WAITERS)
        isthmus_wake(&ring->primitive, word, 1);
}

/* For what must not fail. -EOWNERDEAD or 0. */
int isthmus_ring_lock_surely(struct isthmus_ring *ring, uint32_t *word);

static inline int isthmus_plays(const struct isthmus_ring *ring, uint32_t role)
{
    return (isthmus_local_load_u32(&ring->role) & role) != 0;
}

/*
 * Say what this participant does: for people, and of a subscriber for publishers. Bit by bit,
 * since other threads of this handle may begin or end something else at the same time.
 */
static inline void isthmus_play(struct isthmus_ring *ring, uint32_t role)
{
    if (!isthmus_plays(ring, role)) {
        isthmus_local_or_u32(&ring->role, role);
        isthmus_or_u32(&isthmus_seat_of(ring)->role, role);
    }
}

/* ---- Queue ----------------------------------------------------------------------------- */

/* Take the consumer lock, and put in order what a dead owner has left. 0 or an error. */
int isthmus_queue_lock(struct isthmus_ring *queue, uint64_t deadline);
void isthmus_queue_lock_surely(struct isthmus_ring *queue);

/* Under the consumer lock. */
/*
 * What this participant takes and has not said to be done with. Before the commit, which leads
 * to `position`.
 */
void isthmus_queue_owe(struct isthmus_ring *queue, uint64_t count, uint64_t position);
uint64_t isthmus_queue_next(const struct isthmus_ring *queue); /* no ready record is before it */
void isthmus_queue_reclaim(struct isthmus_ring *queue);        /* move `head` over done records */
/* Find a record that is leased by `slot`: -ESTALE. */
int isthmus_queue_leased(const struct isthmus_ring *queue, uint64_t position, uint64_t sequence,
                         uint32_t slot, struct isthmus_record *record);
/* A record that is leased is so no more. 1: it is ready; 0: it was set aside, or dropped. */
int isthmus_queue_return(struct isthmus_ring *queue, const struct isthmus_record *record);
/*
 * Leases have ended, of which `ready` messages came back: how many of those that wait are to be
 * woken. Once a queue is shut down, all, since there may be nothing more to wait for.
 */
uint32_t isthmus_queue_lease_ended(struct isthmus_ring *queue, uint32_t ready);
/* Try to set it aside. 0; -EAGAIN: there is no room. */
int isthmus_queue_set_aside(struct isthmus_ring *queue, const struct isthmus_record *record);
/* Finish what one that died began; count what is there. */
void isthmus_queue_recover_aside(struct isthmus_ring *queue);

/* Messages that are ready, and those that are no longer; without any lock, or about right. */
uint64_t isthmus_queue_gone(const struct isthmus_ring *queue);
uint64_t isthmus_queue_ready(const struct isthmus_ring *queue);

/* Leases of the dead, and with `debts` what else they owe, unless that was done a moment ago. */
int isthmus_queue_sweep(struct isthmus_ring *queue, int debts);

/* Is anything not done with? Under the consumer lock, so exact as far as consumers go. -EBUSY … */
int isthmus_queue_unfinished(struct isthmus_ring *queue, uint64_t deadline);
/* What stood in the way of a write, if that is dead: evicted, or its leases given back. 1: it was.
 */
int isthmus_write_free_of_the_dead(struct isthmus_ring *ring, const struct isthmus_write *write);
/* As isthmus_write_reserve() of bytes would answer; but nothing is evicted, and abort is to follow.
 */
int isthmus_write_look(struct isthmus_ring *ring, struct isthmus_write *write, uint64_t size);
/* 1: that is not as it was. */
int isthmus_write_moved(const struct isthmus_ring *ring, const struct isthmus_write *write);

/* ---- Topic ----------------------------------------------------------------------------- */

/* Under the producer lock: may the bytes before `end` be written? -EAGAIN: write->blocker. */
int isthmus_topic_make_room(struct isthmus_ring *topic, struct isthmus_write *write, uint64_t end);
/* The same, but what is there stays: they will not be written. */
int isthmus_topic_look_for_room(struct isthmus_ring *topic, struct isthmus_write *write,
                                uint64_t end);
/* 1: what stood in the way has moved. */
int isthmus_topic_moved(const struct isthmus_ring *topic, const struct isthmus_write *write);
/* Evict what stands in the way, if it is dead. 1: it was. */
int isthmus_topic_evict(struct isthmus_ring *topic, const struct isthmus_write *write);
int isthmus_topic_read_next(struct isthmus_ring *topic, struct isthmus_read *read,
                            struct isthmus_record *record);
void isthmus_topic_read_commit(struct isthmus_ring *topic, struct isthmus_read *read);
/* Take a seat at `cursor`. -ESTALE: it was overwritten already. */
int isthmus_topic_take_seat(struct isthmus_ring *topic, uint64_t cursor, uint64_t sequence);

#endif
