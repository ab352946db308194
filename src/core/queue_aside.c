/*
 * Messages that were delivered too often: set aside, in a ring of their own in the same object,
 * in which only its cursors move. All under the consumer lock.
 */
#include "eventcount.h"
#include "ring.h"
#include <string.h>

static struct isthmus_shared_record *aside_at(const struct isthmus_ring *queue, uint64_t position)
{
    return (struct isthmus_shared_record *)(queue->aside + (position & (queue->capacity - 1)));
}

static int look_aside(const struct isthmus_ring *queue, uint64_t position, uint64_t tail,
                      struct isthmus_record *record, uint64_t *span)
{
    const uint64_t room = isthmus_between(queue, position, tail);
    if (room == UINT64_MAX || room == 0)
        return -EBADMSG;
    return isthmus_record_look(aside_at(queue, position), position, room, record, span);
}

static int done_with(const struct isthmus_ring *queue, uint64_t position)
{
    return isthmus_peek_u32(&aside_at(queue, position)->state) != 0;
}

/* The message `sequence`, if it is there. -ENOENT. */
static int find(const struct isthmus_ring *queue, uint64_t sequence, struct isthmus_record *record)
{
    const uint64_t tail = isthmus_peek_u64(&queue->cursors->aside_tail);
    uint64_t position = isthmus_peek_u64(&queue->cursors->aside_head), span;
    while (position != tail && !look_aside(queue, position, tail, record, &span)) {
        if (record->sequence == sequence && !done_with(queue, position))
            return 0;
        position += span;
    }
    return -ENOENT;
}

static void count_aside(struct isthmus_ring *queue)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    const uint64_t tail = isthmus_peek_u64(&cursors->aside_tail);
    uint64_t position = isthmus_peek_u64(&cursors->aside_head), span, count = 0;
    struct isthmus_record record;
    int front = 1;
    while (position != tail && !look_aside(queue, position, tail, &record, &span)) {
        const int done = done_with(queue, position);
        position += span;
        count += !done;
        front = front && done;
        if (front)
            /* Dies around this: done records in front are no messages, and are passed over. */
            isthmus_note_u64(&cursors->aside_head, position);
    }
    isthmus_note_u64(&cursors->aside_count, count);
}

/* Copy a message to the end of those that are aside. Another position, so another header. */
static void append(struct isthmus_ring *queue, const struct isthmus_record *record,
                   uint64_t position, uint64_t data, uint64_t span)
{
    struct isthmus_shared_record *copy = aside_at(queue, position);
    *copy = (struct isthmus_shared_record){
        .sequence = record->sequence,
        .size = record->size,
        .data = (uint32_t)data,
        .type = (uint16_t)record->type,
        .attempts = (uint16_t)record->attempts,
    };
    copy->check = isthmus_record_check(copy, position);
    memcpy(copy + 1, record->meta, record->meta_size);
    memcpy((unsigned char *)copy + data, record->data, (size_t)record->size);
    /* Whoever sees the new end does so under the lock. Dies before: nothing is there. */
    isthmus_note_u64(&queue->cursors->aside_tail, position + span);
}

/* The same meta data may need other padding at another position; it fits with 32 bytes more. */
static void place(uint64_t position, const struct isthmus_record *record, uint64_t *data,
                  uint64_t *span)
{
    *data = isthmus_record_data(position, record->meta_size);
    *span = isthmus_record_span(*data, record->size);
}

int isthmus_queue_set_aside(struct isthmus_ring *queue, const struct isthmus_record *record)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    const uint64_t head = isthmus_peek_u64(&cursors->aside_head);
    const uint64_t tail = isthmus_peek_u64(&cursors->aside_tail);
    const uint64_t used = isthmus_between(queue, head, tail);
    uint64_t data, span;
    place(tail, record, &data, &span);
    if (used == UINT64_MAX || span > queue->capacity - used)
        return -EAGAIN;
    /*
     * Dies before this, or after it and before the copy is there: the lease still stands. After
     * the copy is there: a takeover finds it by `moving`, and finishes what is below.
     */
    isthmus_note_u64(&cursors->moving, record->position | 1);
    append(queue, record, tail, data, span);
    isthmus_store_release_u32(&isthmus_record_at(queue, record->position)->state,
                              ISTHMUS_RECORD_DONE);
    isthmus_note_u64(&cursors->moving, 0);
    isthmus_note_u64(&cursors->aside_count, isthmus_peek_u64(&cursors->aside_count) + 1);
    isthmus_add_u64(&cursors->put_aside, 1);
    isthmus_queue_reclaim(queue);
    return 0;
}

void isthmus_queue_recover_aside(struct isthmus_ring *queue)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    const uint64_t moving = isthmus_peek_u64(&cursors->moving);
    const uint64_t position = moving & ~UINT64_C(1);
    const uint64_t tail = isthmus_load_acquire_u64(&cursors->tail); /* sync: tail */
    const uint64_t head = isthmus_peek_u64(&cursors->head);
    struct isthmus_record record, copy;
    uint64_t span;
    if (moving && position - head < tail - head &&
        isthmus_between(queue, position, tail) != UINT64_MAX &&
        !isthmus_record_look(isthmus_record_at(queue, position), position, tail - position, &record,
                             &span) &&
        !find(queue, record.sequence, &copy))
        isthmus_store_release_u32(&isthmus_record_at(queue, position)->state, ISTHMUS_RECORD_DONE);
    isthmus_note_u64(&cursors->moving, 0);
    count_aside(queue);
}

/* ---- For those who look after them ----------------------------------------------------- */

static int unfit(const struct isthmus_ring *queue)
{
    int error = isthmus_ring_unfit(queue, ISTHMUS_KIND_QUEUE);
    return error ? error : queue->aside ? 0 : -ENOENT;
}

int isthmus_queue_aside_begin(struct isthmus_ring *queue, struct isthmus_read *read,
                              uint64_t deadline)
{
    int error = unfit(queue);
    if (!error)
        error = isthmus_queue_lock(queue, deadline);
    if (!error)
        *read = (struct isthmus_read){.position = isthmus_peek_u64(&queue->cursors->aside_head)};
    return error;
}

int isthmus_queue_aside_next(struct isthmus_ring *queue, struct isthmus_read *read,
                             struct isthmus_record *record)
{
    const uint64_t tail = isthmus_peek_u64(&queue->cursors->aside_tail);
    uint64_t span;
    while (read->position != tail) {
        const uint64_t position = read->position;
        int error = look_aside(queue, position, tail, record, &span);
        if (error)
            return error;
        read->position += span;
        if (!done_with(queue, position))
            return 0;
    }
    return -EAGAIN;
}

static void drop(struct isthmus_ring *queue, const struct isthmus_record *record)
{
    /* The commit. Dies before: still there. After: `head` passes over it later. */
    isthmus_store_release_u32(&aside_at(queue, record->position)->state, ISTHMUS_RECORD_DONE);
    count_aside(queue);
}

int isthmus_queue_aside_remove(struct isthmus_ring *queue, uint64_t sequence)
{
    struct isthmus_record record;
    int error = unfit(queue);
    if (error)
        return error;
    isthmus_queue_lock_surely(queue);
    error = find(queue, sequence, &record);
    if (!error)
        drop(queue, &record);
    isthmus_ring_unlock(queue, &queue->cursors->consumer);
    return error;
}

/* With the producer lock, and the consumer lock around the look at what is aside. */
static int put_back(struct isthmus_ring *queue, uint64_t sequence, struct isthmus_write *write)
{
    struct isthmus_record record, copy;
    isthmus_queue_lock_surely(queue);
    int error = find(queue, sequence, &record);
    if (!error)
        error =
            isthmus_write_reserve(queue, write, record.type, record.meta_size, record.size, &copy);
    if (error) {
        isthmus_ring_unlock(queue, &queue->cursors->consumer);
        isthmus_write_abort(queue, write);
        return error;
    }
    memcpy(copy.meta, record.meta, record.meta_size);
    memcpy(copy.data, record.data, (size_t)record.size);
    /* Dies between the two: it is in both places. One of the two dead would have lost it. */
    isthmus_write_commit(queue, write);
    drop(queue, &record);
    isthmus_ring_unlock(queue, &queue->cursors->consumer);
    return 0;
}

int isthmus_queue_aside_put_back(struct isthmus_ring *queue, uint64_t sequence, uint64_t deadline)
{
    struct isthmus_write write;
    int error = unfit(queue);
    while (!error) {
        error = isthmus_write_begin(
            queue, &write, 0, deadline ? deadline : isthmus_deadline_after(ISTHMUS_PATIENCE_NS));
        if (!error)
            error = put_back(queue, sequence, &write);
        if (error != -EAGAIN)
            return error;
        error = isthmus_write_await(queue, &write, deadline);
    }
    return error;
}
