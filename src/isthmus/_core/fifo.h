/*
 * Queues that count what is in them in bytes of messages, each with the 8 of its length, rather
 * than in bytes of the ring. See isthmus.compat.faster_fifo.
 *
 * The payload of a record:
 *
 *     message | padding, to 8 bytes before a multiple of 32 | word
 *
 * The word is the sum of all messages up to and including this one, since the queue was last
 * empty or before, times 32, plus the bytes of padding. A record then ends with its word, so that
 * the word of the last one is found from `tail`. Nothing else is stored: whoever dies, the sums
 * are those of the records that are there.
 */
#ifndef ISTHMUS_FIFO_H
#define ISTHMUS_FIFO_H

#include <primitive.h>
#include <ring.h>
#include <string.h>

#define ISTHMUS_TYPE_FIFO 256u
#define ISTHMUS_FIFO_LENGTH 8u
#define ISTHMUS_FIFO_UNIT 32u

/* The payload of a message of `size` bytes. */
static inline uint64_t isthmus_fifo_payload(uint64_t size)
{
    return (size + sizeof(uint64_t) + ISTHMUS_FIFO_UNIT - 1) & ~(uint64_t)(ISTHMUS_FIFO_UNIT - 1);
}

/* Write the word of a record that has been reserved for a message of `size` bytes. */
static inline void isthmus_fifo_seal(const struct isthmus_record *record, uint64_t size,
                                     uint64_t sum)
{
    const uint64_t end = record->size - sizeof(uint64_t);
    const uint64_t word = sum * ISTHMUS_FIFO_UNIT + (end - size);
    memset((char *)record->data + size, 0, end - size);
    memcpy((char *)record->data + end, &word, sizeof word);
}

/* How many bytes its message has, and the sum. -EBADMSG: it is none of these records. */
static inline int isthmus_fifo_message(const struct isthmus_record *record, uint64_t *size,
                                       uint64_t *sum)
{
    uint64_t word;
    if (record->type != ISTHMUS_TYPE_FIFO || record->meta_size || record->size < ISTHMUS_FIFO_UNIT)
        return -EBADMSG;
    const uint64_t end = record->size - sizeof word;
    memcpy(&word, (const char *)record->data + end, sizeof word);
    if (word % ISTHMUS_FIFO_UNIT > end)
        return -EBADMSG;
    *size = end - word % ISTHMUS_FIFO_UNIT;
    *sum = word / ISTHMUS_FIFO_UNIT;
    return 0;
}

/* The bytes of the messages between two cursors. UINT64_MAX: what is there contradicts itself. */
static inline uint64_t isthmus_fifo_between(const struct isthmus_ring *queue, uint64_t head,
                                            uint64_t tail)
{
    struct isthmus_record record;
    uint64_t span, size, sum, last;
    const uint64_t room = isthmus_between(queue, head, tail);
    if (room == 0 || room == UINT64_MAX)
        return room;
    if (isthmus_record_look(isthmus_record_at(queue, head), head, room, &record, &span) ||
        isthmus_fifo_message(&record, &size, &sum))
        return UINT64_MAX;
    memcpy(&last, queue->data + ((tail - sizeof last) & (queue->capacity - 1)), sizeof last);
    /* Sums have 59 bits, and wrap. */
    const uint64_t before = sum - size - ISTHMUS_FIFO_LENGTH;
    const uint64_t used = (last / ISTHMUS_FIFO_UNIT - before) & (UINT64_MAX / ISTHMUS_FIFO_UNIT);
    return used <= room ? used : UINT64_MAX;
}

/*
 * In a write, before its first record: how many bytes there are, and in *sum the last word's sum.
 * An isthmus_write_await() that follows waits for `head` to move from where it was now.
 */
static inline uint64_t isthmus_fifo_begun(const struct isthmus_ring *queue,
                                          struct isthmus_write *write, uint64_t *sum)
{
    /* sync: head. What lies behind it may be taken meanwhile, but only we could write over it. */
    const uint64_t head = isthmus_load_acquire_u64(&queue->cursors->head);
    write->seen = head;
    *sum = 0;
    if (head != write->start) {
        memcpy(sum, queue->data + ((write->start - sizeof *sum) & (queue->capacity - 1)),
               sizeof *sum);
        *sum /= ISTHMUS_FIFO_UNIT;
    }
    return isthmus_fifo_between(queue, head, write->start);
}

/* How many bytes there are, as of some moment in the call. UINT64_MAX: it is damaged. */
static inline uint64_t isthmus_fifo_used(const struct isthmus_ring *queue)
{
    uint64_t used = UINT64_MAX;
    for (unsigned i = 0; i < ISTHMUS_ATTEMPTS; i++) {
        /* sync: head, tail */
        const uint64_t head = isthmus_load_acquire_u64(&queue->cursors->head);
        const uint64_t tail = isthmus_load_acquire_u64(&queue->cursors->tail);
        used = isthmus_fifo_between(queue, head, tail);
        isthmus_fence_after_copying();
        /* As long as it is there, nobody writes over what lies behind it. */
        if (isthmus_load_u64(&queue->cursors->head) == head)
            break;
    }
    return used;
}

#endif
