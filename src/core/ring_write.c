/*
 * Putting and publishing: claim, fill, commit.
 *
 * Under the producer lock a record is written beyond `tail`, where nobody reads; storing the new
 * `tail` is the commit. Dies before: nothing happened, the next producer writes over it.
 * Dies after: the message is there.
 */
#include "eventcount.h"
#include "os.h"
#include "primitive.h"
#include "ring.h"
#include <string.h>

int isthmus_write_begin(struct isthmus_ring *ring, struct isthmus_write *write, int for_long,
                        uint64_t deadline)
{
    struct isthmus_shared_cursors *cursors = ring->cursors;
    int result = isthmus_ring_unfit(ring, ISTHMUS_KIND_ANY);
    if (result)
        return result;
    result = isthmus_ring_lock(ring, &cursors->producer, deadline);
    if (result == -EOWNERDEAD) {
        /* Nothing is half done: what it wrote beyond `tail` is nobody's, and what it was about to
         * overwrite is whole. */
        isthmus_store_u64(&cursors->overwriting, isthmus_peek_u64(&cursors->oldest));
        result = 0;
    }
    if (result)
        return result;
    isthmus_play(ring, ISTHMUS_ROLE_PRODUCER);
    if (for_long || isthmus_peek_u32(&cursors->loan))
        isthmus_note_u32(&cursors->loan, for_long ? (uint32_t)ring->primitive.slot + 1 : 0);
    /* Ours: nobody else stores them while we own the lock. sync: lock-word. */
    write->start = write->end = isthmus_peek_u64(&cursors->tail);
    if (write->start % ISTHMUS_RECORD_ALIGNMENT) {
        isthmus_ring_unlock(ring, &cursors->producer);
        return -EBADMSG;
    }
    write->first = isthmus_noted(cursors->put, write->start);
    write->count = 0;
    write->blocker = -1;
    return 0;
}

/* Has a lease gone back since the messages that are gone were counted? */
static int to_be_counted(struct isthmus_ring *queue, uint64_t number)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    if (!isthmus_load_u32(&cursors->recount))
        return 0;
    /* Dies from here on: the next producer finds so few gone that it counts. */
    isthmus_note_u64(&cursors->gone_seen, number - queue->maxsize);
    /* sync: recount. First this, then the count: a lease that goes back later says so again. */
    isthmus_exchange_u32(&cursors->recount, 0);
    return 1;
}

/* Is there room for one more message that ends at `end`? */
static int make_room(struct isthmus_ring *queue, struct isthmus_write *write, uint64_t end)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    uint64_t head = isthmus_peek_u64(&cursors->head_seen);
    if (end - head > queue->capacity) {
        /* sync: head. Acquire: consumers are done with what lies before it. */
        head = isthmus_load_acquire_u64(&cursors->head);
        if (isthmus_between(queue, head, write->start) == UINT64_MAX)
            return -EBADMSG;
        isthmus_note_u64(&cursors->head_seen, head);
    }
    write->seen = head;
    if (end - head > queue->capacity) {
        if (queue->maxsize)
            write->seen_gone = isthmus_queue_gone(queue);
        return -EAGAIN;
    }
    if (queue->maxsize) {
        const uint64_t number = write->first + write->count;
        /* Those that are gone do not come back, but for leases; then we are told to count anew. */
        uint64_t gone = isthmus_peek_u64(&cursors->gone_seen);
        if (number - gone >= queue->maxsize || to_be_counted(queue, number)) {
            /* What we have seen of it may be old, and who waits waits for it to move. */
            write->seen = isthmus_load_acquire_u64(&cursors->head);
            gone = isthmus_queue_gone(queue);
            isthmus_note_u64(&cursors->gone_seen, gone);
        }
        write->seen_gone = gone;
        if (number - gone >= queue->maxsize)
            return -EAGAIN;
    }
    return 0;
}

int isthmus_write_reserve(struct isthmus_ring *ring, struct isthmus_write *write, uint32_t type,
                          uint32_t meta_size, uint64_t size, struct isthmus_record *record)
{
    if (isthmus_room_of(meta_size, size) > ring->capacity)
        return -EMSGSIZE;
    if (isthmus_peek_u32(&ring->cursors->closed))
        return -ESHUTDOWN; /* set under the lock that we hold */
    const uint64_t position = write->end;
    const uint64_t data = isthmus_record_data(position, meta_size);
    const uint64_t span = isthmus_record_span(data, size);
    int result = ring->primitive.kind == ISTHMUS_KIND_QUEUE
                     ? make_room(ring, write, position + span)
                     : isthmus_topic_make_room(ring, write, position + span);
    if (result) {
        write->needed = span;
        return result;
    }
    struct isthmus_shared_record *shared = isthmus_record_at(ring, position);
    /* Nobody looks before the commit; but a subscriber that was lapped may be copying this. */
    isthmus_note_u64(&shared->sequence, write->first + write->count);
    isthmus_note_u64(&shared->size, size);
    isthmus_note_u32(&shared->data, (uint32_t)data);
    isthmus_note_u16(&shared->type, (uint16_t)type);
    isthmus_note_u16(&shared->attempts, 0);
    isthmus_note_u32(&shared->state, 0);
    isthmus_note_u32(&shared->check, isthmus_record_check(shared, position));
    *record = (struct isthmus_record){
        .position = position,
        .sequence = write->first + write->count,
        .size = size,
        .type = type,
        .meta_size = meta_size,
        .meta = shared + 1,
        .data = (unsigned char *)shared + data,
    };
    write->end = position + span;
    write->count++;
    return 0;
}

int isthmus_write_look(struct isthmus_ring *ring, struct isthmus_write *write, uint64_t size)
{
    struct isthmus_record record;
    if (ring->primitive.kind == ISTHMUS_KIND_QUEUE)
        return isthmus_write_reserve(ring, write, ISTHMUS_TYPE_BYTES, 0, size, &record);
    if (isthmus_room_of(0, size) > ring->capacity)
        return -EMSGSIZE;
    const uint64_t span = isthmus_record_span(isthmus_record_data(write->end, 0), size);
    return isthmus_topic_look_for_room(ring, write, write->end + span);
}

static void end_write(struct isthmus_ring *ring)
{
    struct isthmus_shared_cursors *cursors = ring->cursors;
    if (isthmus_peek_u32(&cursors->loan))
        isthmus_note_u32(&cursors->loan, 0);
    isthmus_ring_unlock(ring, &cursors->producer);
}

void isthmus_write_commit(struct isthmus_ring *ring, struct isthmus_write *write)
{
    struct isthmus_shared_cursors *cursors = ring->cursors;
    const uint64_t count = write->count;
    if (count) {
        isthmus_note_down(cursors->put, write->start, write->end, write->first + count);
        /* sync: tail. Release: who sees it sees the records before it. The commit. */
        isthmus_store_release_u64(&cursors->tail, write->end);
    }
    /* Dies here: the messages are there; who sleeps sees them at the end of the slice. */
    end_write(ring);
    if (count)
        isthmus_notify(ring, &cursors->arrival,
                       ring->primitive.kind == ISTHMUS_KIND_TOPIC ? INT32_MAX
                       : count < INT32_MAX                        ? (uint32_t)count
                                                                  : INT32_MAX);
}

void isthmus_write_abort(struct isthmus_ring *ring, struct isthmus_write *write)
{
    write->count = 0;
    end_write(ring);
}

/* ---- Waiting for room ------------------------------------------------------------------ */

int isthmus_write_moved(const struct isthmus_ring *ring, const struct isthmus_write *write)
{
    const struct isthmus_shared_cursors *cursors = ring->cursors;
    if (isthmus_load_u32(&cursors->closed))
        return 1;
    if (ring->primitive.kind == ISTHMUS_KIND_TOPIC)
        return isthmus_topic_moved(ring, write);
    /* sync: head, eventcount */
    return isthmus_load_u64(&cursors->head) != write->seen ||
           (ring->maxsize && isthmus_queue_gone(ring) != write->seen_gone);
}

int isthmus_write_free_of_the_dead(struct isthmus_ring *ring, const struct isthmus_write *write)
{
    return ring->primitive.kind == ISTHMUS_KIND_TOPIC ? isthmus_topic_evict(ring, write)
                                                      : isthmus_queue_sweep(ring, 0);
}

int isthmus_write_await(struct isthmus_ring *ring, const struct isthmus_write *write,
                        uint64_t deadline)
{
    struct isthmus_wait wait;
    int result = isthmus_ring_unfit(ring, ISTHMUS_KIND_ANY);
    if (result)
        return result;
    if (isthmus_write_moved(ring, write) || isthmus_write_free_of_the_dead(ring, write))
        return isthmus_time_is_over(deadline) ? -ETIMEDOUT : 0;
    if (deadline == 0)
        return -ETIMEDOUT;
    isthmus_wait_begin(&wait, &ring->primitive, deadline);
    do
        if (isthmus_write_moved(ring, write)) {
            isthmus_wait_end(&wait);
            return 0;
        }
    while (isthmus_wait_spin(&wait));
    for (;;) {
        /* sync: eventcount. First the bit, then the look. All that wait are woken each time. */
        const uint32_t seen = isthmus_prepare_to_sleep(&ring->cursors->room);
        result = 0;
        if (isthmus_write_moved(ring, write))
            break;
        result = isthmus_wait_sleep(&wait, &ring->cursors->room, seen);
        if (result < 0 && result != -ETIMEDOUT)
            break;
        if (result && isthmus_write_free_of_the_dead(ring, write)) {
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

static int write_once(struct isthmus_ring *ring, struct isthmus_write *write, uint32_t type,
                      const void *data, size_t size, uint64_t deadline)
{
    struct isthmus_record record;
    int result = isthmus_write_begin(ring, write, 0, deadline);
    if (result)
        return result;
    result = isthmus_write_reserve(ring, write, type, 0, size, &record);
    if (result) {
        isthmus_write_abort(ring, write);
        return result;
    }
    if (size)
        memcpy(record.data, data, size);
    isthmus_write_commit(ring, write);
    return 0;
}

int isthmus_ring_try_write(struct isthmus_ring *ring, uint32_t type, const void *data, size_t size)
{
    struct isthmus_write write;
    uint32_t attempts = ISTHMUS_ATTEMPTS;
    int result;
    do
        result = write_once(ring, &write, type, data, size, 0);
    /* It is full. Not for the dead, however: for one that never waits nobody else evicts them. */
    while (result == -EAGAIN && --attempts && !isthmus_write_await(ring, &write, 0));
    return result;
}

int isthmus_ring_write(struct isthmus_ring *ring, const void *data, size_t size, uint64_t deadline)
{
    struct isthmus_write write;
    uint64_t patience = deadline;
    int result = write_once(ring, &write, ISTHMUS_TYPE_BYTES, data, size, 0);
    while (result == -EAGAIN || result == -EBUSY) {
        /* One who only tries waits for those that are about to be done, not for a loan. */
        if (deadline == 0 && result == -EBUSY && isthmus_peek_u32(&ring->cursors->loan))
            return -ETIMEDOUT;
        if (deadline == 0)
            patience = isthmus_deadline_after(ISTHMUS_PATIENCE_NS);
        result = result == -EAGAIN ? isthmus_write_await(ring, &write, deadline) : 0;
        if (!result)
            result = write_once(ring, &write, ISTHMUS_TYPE_BYTES, data, size, patience);
        if (deadline == 0 && result == -EAGAIN)
            result = -ETIMEDOUT;
    }
    return result;
}
