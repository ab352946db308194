/* Queues: when everything is done with, and when nothing more is to come. */
#include "eventcount.h"
#include "os.h"
#include "participant.h"
#include "ring.h"

int isthmus_queue_task_done(struct isthmus_ring *queue)
{
    int error = isthmus_ring_unfit(queue, ISTHMUS_KIND_QUEUE);
    if (error)
        return error;
    isthmus_queue_lock_surely(queue);
    /* Its own, or that of another one, who has passed the message on. */
    const uint32_t used = isthmus_participants_used(&queue->primitive);
    uint32_t owner = (uint32_t)queue->primitive.slot;
    for (uint32_t i = 0; !(isthmus_peek_u64(&queue->seats[owner].debt) & ISTHMUS_DEBT_COUNT); i++) {
        if (i == used) {
            error = -ERANGE;
            break;
        }
        owner = i;
    }
    uint64_t *debt = &queue->seats[owner].debt;
    const uint64_t word = isthmus_peek_u64(debt);
    if (!error && (word & ISTHMUS_DEBT_COUNT) != ISTHMUS_DEBT_COUNT)
        /* Dies before: still owed, and forgotten with this participant. After: done with. */
        isthmus_note_u64(debt, word - 1);
    isthmus_ring_unlock(queue, &queue->cursors->consumer);
    if (!error)
        isthmus_notify(queue, &queue->cursors->finished, INT32_MAX);
    return error;
}

int isthmus_queue_unfinished(struct isthmus_ring *queue, uint64_t deadline)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    const int error = isthmus_queue_lock(queue, deadline);
    if (error)
        return error;
    int found = isthmus_queue_ready(queue) != 0;
    const uint32_t used = isthmus_participants_used(&queue->primitive);
    for (uint32_t i = 0; !found && i < used; i++)
        found = isthmus_load_u32(&queue->primitive.slots[i].share) != 0 ||
                (isthmus_peek_u64(&queue->seats[i].debt) & ISTHMUS_DEBT_COUNT) != 0;
    isthmus_ring_unlock(queue, &cursors->consumer);
    return found;
}

static int unfinished(struct isthmus_ring *queue)
{
    int result;
    do
        result = isthmus_queue_unfinished(queue, ISTHMUS_FOREVER);
    while (result == -EINTR);
    return result;
}

int isthmus_queue_join(struct isthmus_ring *queue, uint64_t deadline)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    struct isthmus_wait wait;
    int result = isthmus_ring_unfit(queue, ISTHMUS_KIND_QUEUE);
    if (result)
        return result;
    if (!unfinished(queue) || (isthmus_queue_sweep(queue, 1) && !unfinished(queue)))
        return 0;
    if (deadline == 0)
        return -ETIMEDOUT;
    isthmus_wait_begin(&wait, &queue->primitive, deadline);
    for (;;) {
        /* sync: eventcount. First the bit, then the look. All that wait are woken each time. */
        const uint32_t seen = isthmus_prepare_to_sleep(&cursors->finished);
        result = 0;
        if (!unfinished(queue))
            break;
        result = isthmus_wait_sleep(&wait, &cursors->finished, seen);
        if (result < 0 && result != -ETIMEDOUT)
            break;
        if (result && isthmus_queue_sweep(queue, 1) && !unfinished(queue)) {
            result = 0;
            break;
        }
        if (result < 0)
            break;
    }
    isthmus_wait_end(&wait);
    return result;
}

/* Drop what is ready: as a read of all of it, for which nobody owes anything. */
static void drop_ready(struct isthmus_ring *queue)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    const uint64_t tail = isthmus_load_acquire_u64(&cursors->tail); /* sync: tail */
    uint64_t position = isthmus_queue_next(queue);
    while (position != tail) {
        const uint64_t room = isthmus_between(queue, position, tail);
        struct isthmus_shared_record *shared = isthmus_record_at(queue, position);
        struct isthmus_record record;
        uint64_t span;
        if (room == UINT64_MAX || isthmus_record_look(shared, position, room, &record, &span)) {
            /* Where the next one begins nobody knows: start anew behind all of them. */
            isthmus_note_u64(&cursors->out, 0);
            isthmus_note_down(cursors->got, isthmus_peek_u64(&cursors->head), tail,
                              isthmus_noted(cursors->put, tail));
            isthmus_store_release_u64(&cursors->head, tail);
            position = tail;
            break;
        }
        if (isthmus_peek_u32(&shared->state) == 0) {
            /* Dies before or after: dropped as far as this. */
            isthmus_store_release_u32(&shared->state, ISTHMUS_RECORD_DONE);
            isthmus_note_u64(&cursors->out, isthmus_peek_u64(&cursors->out) + 1);
        }
        position += span;
    }
    isthmus_note_u64(&cursors->next, position);
    isthmus_queue_reclaim(queue);
}

int isthmus_queue_drop(struct isthmus_ring *queue, uint64_t position, uint64_t sequence,
                       uint64_t deadline)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    struct isthmus_record record;
    int error = isthmus_ring_unfit(queue, ISTHMUS_KIND_QUEUE);
    if (!error)
        error = isthmus_queue_lock(queue, deadline);
    if (error)
        return error;
    /* "Leased by nobody": it is ready. */
    error = isthmus_queue_leased(queue, position, sequence, UINT32_MAX, &record);
    if (!error) {
        /* The commit. Dies before: it is ready. After: dropped; whoever takes over counts anew. */
        isthmus_store_release_u32(&isthmus_record_at(queue, position)->state, ISTHMUS_RECORD_DONE);
        isthmus_note_u64(&cursors->out, isthmus_peek_u64(&cursors->out) + 1);
        isthmus_queue_reclaim(queue);
    }
    isthmus_ring_unlock(queue, &cursors->consumer);
    if (!error) {
        isthmus_notify(queue, &cursors->room, INT32_MAX);
        isthmus_notify(queue, &cursors->finished, INT32_MAX);
    }
    return error;
}

int isthmus_queue_clear(struct isthmus_ring *queue)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    int error = isthmus_ring_unfit(queue, ISTHMUS_KIND_QUEUE);
    if (error)
        return error;
    isthmus_queue_lock_surely(queue);
    drop_ready(queue);
    isthmus_ring_unlock(queue, &cursors->consumer);
    isthmus_notify(queue, &cursors->room, INT32_MAX);
    isthmus_notify(queue, &cursors->finished, INT32_MAX);
    return 0;
}

int isthmus_queue_shut_down(struct isthmus_ring *queue, int discard)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    int error = isthmus_ring_unfit(queue, ISTHMUS_KIND_QUEUE);
    if (error)
        return error;
    /* Under the lock: who puts has seen it, or has committed before. Nobody keeps it long. */
    (void)isthmus_ring_lock_surely(queue, &cursors->producer);
    isthmus_or_u32(&cursors->closed, ISTHMUS_RING_SHUT | (discard ? ISTHMUS_RING_DISCARDED : 0));
    /* Dies from here on: shut down; who sleeps sees it at the end of the slice. */
    isthmus_ring_unlock(queue, &cursors->producer);
    isthmus_notify(queue, &cursors->arrival, INT32_MAX);
    isthmus_notify(queue, &cursors->room, INT32_MAX);
    return discard ? isthmus_queue_clear(queue) : 0;
}
