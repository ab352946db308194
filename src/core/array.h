/* Arrays: the pieces that the Python binding uses as well. Opening and closing is public. */
#ifndef ISTHMUS_ARRAY_H
#define ISTHMUS_ARRAY_H

#include <isthmus/isthmus.h>

/* Where everything goes in the segment of an array. */
struct isthmus_array_extent {
    uint64_t count;        /* elements */
    uint64_t control_size; /* with the dtype text and the lock */
    uint64_t lock_offset;
    uint32_t participants;
    uint64_t data_offset, data_size;
    uint64_t total_size;
};

/* -EINVAL: too many dimensions, no element size, no or too long a dtype; -EFBIG: too large. */
int isthmus_array_measure(const struct isthmus_array_plan *plan,
                          struct isthmus_array_extent *extent);

/* Write header and control block into zeroed memory of extent->total_size bytes; publish it. */
void isthmus_array_init(void *data, const struct isthmus_array_plan *plan,
                        const struct isthmus_array_extent *extent);

/* Check a mapping; fills all of *array but `segment`. */
int isthmus_array_read(void *data, size_t mapped, struct isthmus_array *array);

#endif
