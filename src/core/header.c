/* The header that every typed object starts with. */
#include "header.h"

#include "atomic.h"
#include "os.h"
#include <string.h>

void isthmus_header_init(struct isthmus_shared_header *shared,
                         const struct isthmus_shared_header *plan)
{
    struct isthmus_shared_header header = *plan;
    header.magic = 0;
    header.version = ISTHMUS_FORMAT_VERSION;
    header.fingerprint = isthmus_layout_fingerprint(plan->kind);
    header.created_ns = isthmus_os_realtime_ns();
    header.creator_pid = isthmus_os_pid();
    header.creator_uid = isthmus_os_uid();
    memset(header.reserved, 0, sizeof header.reserved);
    memcpy(shared, &header, sizeof header);
}

void isthmus_header_publish(struct isthmus_shared_header *shared)
{
    /* sync: header-magic. Release: who sees the magic sees the header and the control block. */
    isthmus_store_release_u64(&shared->magic, ISTHMUS_MAGIC);
}

/* Do `size` bytes from `offset` lie within `total`? Without overflow for any numbers. */
static int inside(uint64_t offset, uint64_t size, uint64_t total)
{
    return offset <= total && size <= total - offset;
}

/* Have two parts, both inside the segment, no byte in common? An empty one has none at all. */
static int apart(uint64_t offset, uint64_t size, uint64_t other_offset, uint64_t other_size)
{
    return size == 0 || other_size == 0 || offset + size <= other_offset ||
           other_offset + other_size <= offset;
}

static int consistent(const struct isthmus_shared_header *header)
{
    const uint64_t total = header->total_size;
    const uint64_t table = (uint64_t)header->participants_count * header->participant_size;
    return header->kind != ISTHMUS_KIND_ANY &&
           (header->participants_count == 0) == (header->participant_size == 0) &&
           header->control_offset >= sizeof *header && header->control_offset % 64 == 0 &&
           header->participants_offset >= sizeof *header && header->participants_offset % 8 == 0 &&
           header->data_offset >= sizeof *header && header->data_offset % 64 == 0 &&
           inside(header->control_offset, header->control_size, total) &&
           inside(header->participants_offset, table, total) &&
           inside(header->data_offset, header->data_size, total) &&
           /* Else writing data would rewrite what describes them. */
           apart(header->control_offset, header->control_size, header->participants_offset,
                 table) &&
           apart(header->control_offset, header->control_size, header->data_offset,
                 header->data_size) &&
           apart(header->participants_offset, table, header->data_offset, header->data_size);
}

int isthmus_header_read(const void *data, size_t mapped, uint32_t kind,
                        struct isthmus_shared_header *header)
{
    struct isthmus_shared_header copy;

    if (mapped < sizeof copy)
        return -ISTHMUS_E_FOREIGN;
    /* A hole on a full file system, or cut off since it was mapped: reading would be SIGBUS. */
    if (isthmus_os_populate(data, sizeof copy))
        return -ISTHMUS_E_NOT_READY;
    /* sync: header-magic. Acquire: pairs with isthmus_header_publish(). */
    uint64_t magic = isthmus_load_acquire_u64((const uint64_t *)data);
    if (magic == 0)
        return -ISTHMUS_E_NOT_READY;
    if (magic != ISTHMUS_MAGIC)
        return -ISTHMUS_E_FOREIGN;
    /* From here on only the copy counts: what is checked is what will be used. */
    memcpy(&copy, data, sizeof copy);
    copy.magic = magic;
    if (copy.version != ISTHMUS_FORMAT_VERSION)
        return -ISTHMUS_E_VERSION;
    if (kind != ISTHMUS_KIND_ANY && copy.kind != kind)
        return -ISTHMUS_E_KIND;
    if (copy.fingerprint != isthmus_layout_fingerprint(copy.kind))
        return -ISTHMUS_E_LAYOUT;
    if (copy.total_size > mapped)
        return -ISTHMUS_E_TRUNCATED;
    if (!consistent(&copy))
        return -ISTHMUS_E_CORRUPT;
    *header = copy;
    return 0;
}
