/* Named arrays: a typed object whose data are the elements. */
#include "array.h"

#include "header.h"
#include "os.h"
#include "primitive.h"
#include "segment.h"
#include <string.h>

/* Elements start on a page of their own, so that they suit direct I/O and devices. */
#define DATA_ALIGNMENT 4096u
#define CONTROL_OFFSET ((uint64_t)sizeof(struct isthmus_shared_header))
/* Long enough for any record type that people write, short enough to be no attack on a parser. */
#define DTYPE_MAX 65536u
/* Handles that can use the lock at once, at least; more where the page has room for them. */
#define PARTICIPANTS 64u

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* The product of the shape; -EFBIG when count or count * itemsize leave the signed 64-bit range. */
static int count_elements(const uint64_t *shape, uint32_t ndim, uint64_t itemsize, uint64_t *count)
{
    uint64_t product = 1;
    int empty = 0;
    for (uint32_t i = 0; i < ndim; i++) {
        if (shape[i] == 0)
            empty = 1;
        else if (product > INT64_MAX / itemsize / shape[i])
            /* As numpy does, also when another dimension is 0: strides must be computable. */
            return -EFBIG;
        else
            product *= shape[i];
    }
    *count = empty ? 0 : product;
    return 0;
}

int isthmus_array_measure(const struct isthmus_array_plan *plan,
                          struct isthmus_array_extent *extent)
{
    size_t dtype_size = strlen(plan->dtype);
    if (plan->ndim > ISTHMUS_ARRAY_MAX_NDIM || dtype_size == 0 || dtype_size > DTYPE_MAX ||
        plan->itemsize == 0)
        return -EINVAL;
    if (plan->itemsize > INT64_MAX)
        return -EFBIG;

    struct isthmus_array_extent new;
    int error = count_elements(plan->shape, plan->ndim, plan->itemsize, &new.count);
    if (error)
        return error;
    new.lock_offset =
        round_up(CONTROL_OFFSET + sizeof(struct isthmus_shared_array) + dtype_size, 64);
    const uint64_t slots = new.lock_offset + ISTHMUS_PRIMITIVE_SIZE(0);
    new.control_size = slots - CONTROL_OFFSET;
    new.data_offset =
        round_up(new.lock_offset + ISTHMUS_PRIMITIVE_SIZE(PARTICIPANTS), DATA_ALIGNMENT);
    new.participants =
        (uint32_t)((new.data_offset - slots) / sizeof(struct isthmus_shared_participant));
    new.data_size = new.count * plan->itemsize;
    if (new.data_size > INT64_MAX - new.data_offset)
        return -EFBIG;
    new.total_size = new.data_offset + new.data_size;
    *extent = new;
    return 0;
}

void isthmus_array_init(void *data, const struct isthmus_array_plan *plan,
                        const struct isthmus_array_extent *extent)
{
    struct isthmus_shared_header header = {
        .kind = ISTHMUS_KIND_ARRAY,
        .total_size = extent->total_size,
        .control_offset = CONTROL_OFFSET,
        .control_size = extent->control_size,
        .participants_offset = extent->lock_offset + ISTHMUS_PRIMITIVE_SIZE(0),
        .participants_count = extent->participants,
        .participant_size = (uint32_t)sizeof(struct isthmus_shared_participant),
        .data_offset = extent->data_offset,
        .data_size = extent->data_size,
    };
    struct isthmus_shared_array *control =
        (struct isthmus_shared_array *)((char *)data + CONTROL_OFFSET);
    const size_t dtype_size = strlen(plan->dtype);

    isthmus_header_init(data, &header);
    control->flags = plan->fortran ? ISTHMUS_ARRAY_FORTRAN : 0;
    control->ndim = plan->ndim;
    control->itemsize = plan->itemsize;
    control->count = extent->count;
    control->dtype_offset = CONTROL_OFFSET + sizeof *control;
    control->dtype_size = dtype_size;
    control->lock_offset = extent->lock_offset;
    for (uint32_t i = 0; i < plan->ndim; i++)
        control->shape[i] = plan->shape[i];
    memcpy(control + 1, plan->dtype, dtype_size);
    isthmus_primitive_init((char *)data + extent->lock_offset, ISTHMUS_KIND_RLOCK,
                           extent->participants);
    isthmus_header_publish(data);
}

int isthmus_array_read(void *data, size_t mapped, struct isthmus_array *array)
{
    struct isthmus_shared_header header;
    struct isthmus_shared_array control;
    uint64_t used = sizeof control + DTYPE_MAX + ISTHMUS_PRIMITIVE_SIZE(0) + 64;

    int error = isthmus_header_read(data, mapped, ISTHMUS_KIND_ARRAY, &header);
    if (error)
        return error;
    if (header.control_size < sizeof control)
        return -ISTHMUS_E_CORRUPT;
    if (used > header.control_size)
        used = header.control_size;
    /* The first page is there: the header was in it. As a rule it holds all of this, too. */
    if (header.control_offset + used > isthmus_os_page_size() &&
        isthmus_os_populate((const char *)data + header.control_offset, (size_t)used))
        return -ISTHMUS_E_TRUNCATED;
    memcpy(&control, (const char *)data + header.control_offset, sizeof control);

    const uint64_t text_offset = header.control_offset + sizeof control;
    const uint64_t end = header.control_offset + header.control_size;
    uint64_t count;
    if (control.ndim > ISTHMUS_ARRAY_MAX_NDIM || control.itemsize == 0 ||
        control.itemsize > INT64_MAX || (control.flags & ~ISTHMUS_ARRAY_FORTRAN) != 0 ||
        control.dtype_size == 0 || control.dtype_size > DTYPE_MAX ||
        control.dtype_offset != text_offset ||
        header.control_size < sizeof control + ISTHMUS_PRIMITIVE_SIZE(0) ||
        control.lock_offset != end - ISTHMUS_PRIMITIVE_SIZE(0) || control.lock_offset % 64 != 0 ||
        control.dtype_size > control.lock_offset - text_offset ||
        header.participants_offset != end || header.participants_count == 0 ||
        header.participant_size != sizeof(struct isthmus_shared_participant) ||
        count_elements(control.shape, control.ndim, control.itemsize, &count) != 0 ||
        count != control.count || count * control.itemsize != header.data_size)
        return -ISTHMUS_E_CORRUPT;

    array->data = (char *)data + header.data_offset;
    array->itemsize = control.itemsize;
    array->count = control.count;
    /* The specification says zero beyond ndim; whoever wrote otherwise, our caller gets that. */
    memset(array->shape, 0, sizeof array->shape);
    memcpy(array->shape, control.shape, control.ndim * sizeof control.shape[0]);
    array->ndim = control.ndim;
    array->fortran = (control.flags & ISTHMUS_ARRAY_FORTRAN) != 0;
    array->dtype = (const char *)data + control.dtype_offset;
    array->dtype_size = (size_t)control.dtype_size;
    array->lock_offset = control.lock_offset;
    return 0;
}

int isthmus_array_create(struct isthmus_array *array, const char *name,
                         const struct isthmus_array_plan *plan,
                         const struct isthmus_create_options *options)
{
    char posix_name[ISTHMUS_NAME_MAX + 1];
    char path[ISTHMUS_SEGMENT_PATH_SIZE];
    struct isthmus_array_extent extent;
    struct isthmus_draft draft;
    struct isthmus_array new;
    void *data;

    int error = isthmus_name_escape(name, posix_name);
    if (!error)
        error = isthmus_segment_path(posix_name, path);
    if (!error)
        error = isthmus_array_measure(plan, &extent);
    if (!error)
        error = isthmus_segment_draft(&draft, extent.total_size, options);
    if (error)
        return error;

    const size_t size = (size_t)extent.total_size;
    error = isthmus_os_map(draft.fd, size, 0, &data);
    if (!error) {
        isthmus_array_init(data, plan, &extent);
        error = isthmus_array_read(data, size, &new);
        /* Dies up to here: nothing, or an unlocked draft. From here: the complete array. */
        if (!error)
            error = isthmus_draft_publish(&draft, path);
        if (error)
            isthmus_os_unmap(data, size);
    }
    if (error) {
        isthmus_draft_abandon(&draft);
        return error;
    }
    new.segment = (struct isthmus_segment){.data = data, .size = size, .fd = draft.fd};
    *array = new;
    return 0;
}

int isthmus_array_attach(struct isthmus_array *array, const char *name,
                         const struct isthmus_attach_options *options)
{
    char posix_name[ISTHMUS_NAME_MAX + 1];
    struct isthmus_array new;

    int error = isthmus_name_escape(name, posix_name);
    if (!error)
        error = isthmus_segment_attach(&new.segment, posix_name, options);
    if (error)
        return error;
    error = isthmus_array_read(new.segment.data, new.segment.size, &new);
    if (error) {
        isthmus_segment_close(&new.segment);
        return error;
    }
    *array = new;
    return 0;
}

void isthmus_array_close(struct isthmus_array *array)
{
    isthmus_segment_close(&array->segment);
    array->data = NULL;
    array->dtype = NULL;
}

int isthmus_array_unlink(const struct isthmus_array *array, const char *name)
{
    char posix_name[ISTHMUS_NAME_MAX + 1];
    int error = isthmus_name_escape(name, posix_name);
    return error ? error : isthmus_segment_unlink(&array->segment, posix_name);
}

int isthmus_array_lock(const struct isthmus_array *array, struct isthmus_primitive *lock)
{
    if (array->segment.readonly)
        return -EPERM;
    return isthmus_primitive_find(lock, array->segment.data, array->segment.size, array->segment.fd,
                                  array->lock_offset, ISTHMUS_KIND_RLOCK);
}
