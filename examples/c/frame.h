/*
 * Arrays of doubles with two dimensions, as they travel in queues and topics: what Python gets
 * as an ndarray, and sends as one. For queue_feed.c and topic_feed.c.
 */
#ifndef FRAME_H
#define FRAME_H

#include <isthmus/isthmus.h>
#include <string.h>

struct frame {
    uint64_t rows, columns;
    double *elements; /* in the ring, row after row; a reader must not write to them */
};

/* The meta data of such a record: see docs/segment-format.md. */
struct frame_meta {
    struct isthmus_shared_elements elements;
    uint64_t shape[2];
    char dtype[5];
};
#define FRAME_META_SIZE ((uint32_t)(offsetof(struct frame_meta, dtype) + 5))

static inline const char *frame_dtype(void)
{
    const unsigned probe = 1;
    return *(const unsigned char *)&probe ? "\"<f8\"" : "\">f8\"";
}

/* Room for one more record of a write that has begun; its elements are to be filled in place. */
static inline int frame_reserve(struct isthmus_ring *ring, struct isthmus_write *write,
                                uint64_t rows, uint64_t columns, struct frame *frame)
{
    struct frame_meta meta = {
        .elements = {.ndim = 2, .itemsize = sizeof(double), .dtype_size = 5},
        .shape = {rows, columns},
    };
    struct isthmus_record record;
    const int error = isthmus_write_reserve(ring, write, ISTHMUS_TYPE_ARRAY, FRAME_META_SIZE,
                                            rows * columns * sizeof(double), &record);
    if (error)
        return error;
    memcpy(meta.dtype, frame_dtype(), sizeof meta.dtype);
    memcpy(record.meta, &meta, FRAME_META_SIZE);
    *frame = (struct frame){rows, columns, record.data};
    return 0;
}

/*
 * What a record is, if it is such an array. Whoever put it may have been another program, in
 * another language, with a mistake: no number in it is believed before it is checked.
 */
static inline int frame_look(const struct isthmus_record *record, struct frame *frame)
{
    const uint64_t most = UINT32_MAX; /* so that nothing overflows below */
    struct frame_meta meta;
    if (record->type != ISTHMUS_TYPE_ARRAY || record->meta_size < FRAME_META_SIZE)
        return -EBADMSG;
    /* A copy: what is checked is what is used. */
    memcpy(&meta, record->meta, FRAME_META_SIZE);
    if (meta.elements.ndim != 2 || meta.elements.flags || meta.elements.dtype_size != 5 ||
        meta.elements.itemsize != sizeof(double) || memcmp(meta.dtype, frame_dtype(), 5) ||
        meta.shape[0] > most || meta.shape[1] > most ||
        meta.shape[0] * meta.shape[1] != record->size / sizeof(double) ||
        record->size % sizeof(double))
        return -EBADMSG;
    *frame = (struct frame){meta.shape[0], meta.shape[1], record->data};
    return 0;
}

static inline double frame_sum(const struct frame *frame)
{
    double sum = 0;
    for (uint64_t i = 0; i < frame->rows * frame->columns; i++)
        sum += frame->elements[i];
    return sum;
}

#endif
