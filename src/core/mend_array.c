/* Mending the constant parts of an array: header, control block, and the lock in it. */
#include "array.h"
#include "atomic.h"
#include "mend.h"
#include "os.h"
#include "primitive.h"
#include <string.h>

#define CONTROL ((uint64_t)sizeof(struct isthmus_shared_header))
#define TEXT (CONTROL + sizeof(struct isthmus_shared_array))
#define DTYPE_MAX 65536u

/* The lock behind the text: where its magic is, or the rest of what it is made with. */
static int is_lock(const void *data, uint64_t size, uint64_t offset)
{
    if (offset < TEXT + 1 || offset % 64 != 0 || offset > size ||
        size - offset < ISTHMUS_PRIMITIVE_SIZE(0))
        return 0;
    const struct isthmus_shared_primitive *lock =
        (const struct isthmus_shared_primitive *)((const char *)data + offset);
    return (lock->magic == ISTHMUS_PRIMITIVE_MAGIC) + (lock->kind == ISTHMUS_KIND_RLOCK) +
               (lock->fingerprint == isthmus_layout_fingerprint(ISTHMUS_KIND_RLOCK)) >=
           2;
}

static uint64_t find_lock(const void *data, uint64_t size,
                          const struct isthmus_shared_array *control)
{
    if (is_lock(data, size, control->lock_offset))
        return control->lock_offset;
    for (uint64_t offset = TEXT + 64 - TEXT % 64; offset <= TEXT + DTYPE_MAX + 64; offset += 64)
        if (is_lock(data, size, offset))
            return offset;
    return 0;
}

/* Bytes of the text before the lock, in whose place zeros follow. */
static uint64_t text_size(const char *data, const struct isthmus_shared_array *control,
                          uint64_t lock_offset)
{
    const uint64_t stated = control->dtype_size;
    if (stated && stated <= DTYPE_MAX && (TEXT + stated + 63) / 64 * 64 == lock_offset &&
        memchr(data + TEXT, 0, (size_t)stated) == NULL)
        return stated;
    uint64_t end = lock_offset;
    while (end > TEXT && data[end - 1] == 0)
        end--;
    return end - TEXT;
}

/* The elements that the shape has. UINT64_MAX: no array has such a shape. */
static uint64_t elements(const struct isthmus_shared_array *control)
{
    uint64_t count = 1;
    int empty = 0;
    if (control->ndim > ISTHMUS_ARRAY_MAX_NDIM)
        return UINT64_MAX;
    for (uint32_t i = 0; i < control->ndim; i++) {
        empty |= control->shape[i] == 0;
        if (control->shape[i] && count > (uint64_t)INT64_MAX / control->shape[i])
            return UINT64_MAX;
        count *= control->shape[i] ? control->shape[i] : 1;
    }
    return empty ? 0 : count;
}

/* Is it one, by what says so? */
static int looks_like_one(const void *data, uint64_t size,
                          const struct isthmus_shared_header *header,
                          const struct isthmus_shared_array *control)
{
    if (size < TEXT + ISTHMUS_PRIMITIVE_SIZE(0))
        return 0;
    return (header->kind == ISTHMUS_KIND_ARRAY) +
               (header->fingerprint == isthmus_layout_fingerprint(ISTHMUS_KIND_ARRAY)) +
               (control->dtype_offset == TEXT) + is_lock(data, size, control->lock_offset) >=
           2;
}

static void mend_lock(struct isthmus_shared_primitive *lock, uint32_t participants,
                      struct isthmus_mend *mend)
{
    isthmus_mend_u32(mend, "primitive.kind", &lock->kind, ISTHMUS_KIND_RLOCK, 0);
    isthmus_mend_u32(mend, "primitive.flags", &lock->flags, 0, 0);
    isthmus_mend_u64(mend, "primitive.fingerprint", &lock->fingerprint,
                     isthmus_layout_fingerprint(ISTHMUS_KIND_RLOCK), 0);
    isthmus_mend_u32(mend, "primitive.participants", &lock->participants, participants, 0);
    isthmus_mend_u64(mend, "primitive.magic", &lock->magic, ISTHMUS_PRIMITIVE_MAGIC, 0);
}

static void mend_header(struct isthmus_shared_header *header,
                        const struct isthmus_array_extent *extent, struct isthmus_mend *mend)
{
    isthmus_mend_u32(mend, "header.version", &header->version, ISTHMUS_FORMAT_VERSION, 0);
    isthmus_mend_u32(mend, "header.kind", &header->kind, ISTHMUS_KIND_ARRAY, 0);
    isthmus_mend_u64(mend, "header.fingerprint", &header->fingerprint,
                     isthmus_layout_fingerprint(ISTHMUS_KIND_ARRAY), 0);
    isthmus_mend_u64(mend, "header.total_size", &header->total_size, extent->total_size, 0);
    isthmus_mend_u64(mend, "header.control_offset", &header->control_offset, CONTROL, 0);
    isthmus_mend_u64(mend, "header.control_size", &header->control_size, extent->control_size, 0);
    isthmus_mend_u64(mend, "header.participants_offset", &header->participants_offset,
                     extent->lock_offset + ISTHMUS_PRIMITIVE_SIZE(0), 0);
    isthmus_mend_u32(mend, "header.participants_count", &header->participants_count,
                     extent->participants, 0);
    isthmus_mend_u32(mend, "header.participant_size", &header->participant_size,
                     (uint32_t)sizeof(struct isthmus_shared_participant), 0);
    isthmus_mend_u64(mend, "header.data_offset", &header->data_offset, extent->data_offset, 0);
    isthmus_mend_u64(mend, "header.data_size", &header->data_size, extent->data_size, 0);
    /* sync: header-magic. Last. Dies before: nobody can attach, as before. */
    isthmus_mend_u64(mend, "header.magic", &header->magic, ISTHMUS_MAGIC, 0);
}

int isthmus_mend_array(void *data, size_t size, struct isthmus_mend *mend)
{
    struct isthmus_shared_header *header = data;
    struct isthmus_shared_array *control = (struct isthmus_shared_array *)((char *)data + CONTROL);
    struct isthmus_array_extent extent;
    if (!looks_like_one(data, size, header, control))
        return -ENOENT;
    const uint64_t ours = isthmus_layout_fingerprint(ISTHMUS_KIND_ARRAY);
    if (header->magic == ISTHMUS_MAGIC && header->version != ISTHMUS_FORMAT_VERSION &&
        header->version < 1000)
        return -ISTHMUS_E_VERSION;
    const uint64_t lock_offset = find_lock(data, size, control);
    if (!lock_offset)
        return header->fingerprint != ours ? -ISTHMUS_E_LAYOUT : -ISTHMUS_E_CORRUPT;
    const uint64_t text = text_size(data, control, lock_offset);
    const uint64_t count = elements(control);
    if (count == UINT64_MAX || text == 0 || text > DTYPE_MAX ||
        (TEXT + text + 63) / 64 * 64 != lock_offset)
        return -ISTHMUS_E_CORRUPT;

    /* Where the elements begin follows from the text; how large they are, from the file. */
    char copy[DTYPE_MAX + 1];
    memcpy(copy, (const char *)data + TEXT, (size_t)text);
    copy[text] = '\0';
    const struct isthmus_array_plan measured = {
        .dtype = copy, .itemsize = 1, .shape = control->shape, .ndim = control->ndim};
    int error = isthmus_array_measure(&measured, &extent);
    if (error || extent.data_offset > size)
        return error ? -ISTHMUS_E_CORRUPT : -ISTHMUS_E_TRUNCATED;
    uint64_t itemsize = control->itemsize;
    const uint64_t bytes = size - extent.data_offset;
    const int fits = count ? itemsize <= bytes / count && itemsize * count == bytes
                           : itemsize != 0 && itemsize <= INT64_MAX && bytes == 0;
    if (!fits) {
        /* Cut off, or the shape is wrong: only where the header bears it out is it the itemsize. */
        if (count == 0 || control->count != count || bytes == 0 || bytes % count != 0 ||
            (header->data_size != bytes && header->total_size != size))
            return header->data_size > bytes ? -ISTHMUS_E_TRUNCATED : -ISTHMUS_E_CORRUPT;
        itemsize = bytes / count;
    }
    struct isthmus_array_plan plan = measured;
    plan.itemsize = itemsize;
    if (isthmus_array_measure(&plan, &extent) || extent.total_size != size)
        return -ISTHMUS_E_CORRUPT;
    if (control->flags & ~ISTHMUS_ARRAY_FORTRAN)
        isthmus_mend_u32(mend, "array.flags", &control->flags, 0, ISTHMUS_MENDED_GUESSED);
    isthmus_mend_u64(mend, "array.itemsize", &control->itemsize, itemsize, 0);
    isthmus_mend_u64(mend, "array.count", &control->count, count, 0);
    isthmus_mend_u64(mend, "array.dtype_offset", &control->dtype_offset, TEXT, 0);
    isthmus_mend_u64(mend, "array.dtype_size", &control->dtype_size, text, 0);
    isthmus_mend_u64(mend, "array.lock_offset", &control->lock_offset, lock_offset, 0);
    mend_lock((struct isthmus_shared_primitive *)((char *)data + lock_offset), extent.participants,
              mend);
    mend_header(header, &extent, mend);
    return 0;
}
