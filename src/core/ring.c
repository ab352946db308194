/* Rings as objects: what a plan says, where everything goes, making and opening them. */
#include "ring.h"

#include "object.h"
#include "os.h"
#include "participant.h"
#include "primitive.h"

#define PLACE ((uint64_t)sizeof(struct isthmus_shared_header))
#define STATE (PLACE + sizeof(struct isthmus_shared_primitive))
#define SLOTS (PLACE + ISTHMUS_PRIMITIVE_SIZE(0))
#define CAPACITY_DEFAULT (UINT64_C(1) << 20)
/* Cursors that are written by different processes start at multiples of it: layout.h. */
#define HOT_ALIGNMENT 128u
/* A position that no record has. */
#define NO_POSITION UINT64_C(1)

_Static_assert(sizeof(struct isthmus_shared_ring) ==
                   ISTHMUS_PRIMITIVE_SIZE(0) - sizeof(struct isthmus_shared_primitive),
               "takes the place of a state");
_Static_assert(offsetof(struct isthmus_ring, primitive) == 0, "one is the other");

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static uint64_t least_capacity(void)
{
    const uint64_t page = isthmus_os_page_size();
    return page > ISTHMUS_RING_MIN ? page : ISTHMUS_RING_MIN;
}

int isthmus_ring_complete(const struct isthmus_ring_plan *plan, struct isthmus_ring_plan *complete)
{
    struct isthmus_ring_plan new = *plan;
    const int topic = new.kind == ISTHMUS_KIND_TOPIC;
    if (!isthmus_ring_kind(new.kind) || new.flags & ~ISTHMUS_PERSIST ||
        new.participants > ISTHMUS_PARTICIPANTS_MAX || new.start % ISTHMUS_RECORD_ALIGNMENT != 0 ||
        (topic && (new.maxsize || new.max_attempts)) || new.max_attempts > UINT16_MAX)
        return -EINVAL;
    if (new.capacity > ISTHMUS_CAPACITY_MAX)
        return -EFBIG;
    if (new.capacity == 0)
        new.capacity = CAPACITY_DEFAULT;
    if (new.participants == 0)
        new.participants = ISTHMUS_PARTICIPANTS_DEFAULT;
    uint64_t capacity = least_capacity();
    while (capacity < new.capacity)
        capacity *= 2;
    new.capacity = capacity;
    *complete = new;
    return 0;
}

static void measure(uint32_t participants, uint64_t capacity, uint32_t pieces,
                    struct isthmus_ring_extent *extent)
{
    const uint64_t slots_end =
        SLOTS + participants * (uint64_t)sizeof(struct isthmus_shared_participant);
    extent->cursors_offset = round_up(slots_end, HOT_ALIGNMENT);
    extent->seats_offset = extent->cursors_offset + sizeof(struct isthmus_shared_cursors);
    const uint64_t end =
        extent->seats_offset + participants * (uint64_t)sizeof(struct isthmus_shared_seat);
    extent->data_offset = round_up(end, least_capacity());
    extent->total_size = extent->data_offset + pieces * capacity;
}

void isthmus_ring_measure(const struct isthmus_ring_plan *plan, struct isthmus_ring_extent *extent)
{
    measure(plan->participants, plan->capacity, isthmus_ring_pieces(plan), extent);
}

void isthmus_ring_init(void *data, const struct isthmus_ring_plan *plan)
{
    struct isthmus_ring_extent extent;
    isthmus_ring_measure(plan, &extent);
    struct isthmus_shared_ring *state = (struct isthmus_shared_ring *)((char *)data + STATE);
    struct isthmus_shared_cursors *cursors =
        (struct isthmus_shared_cursors *)((char *)data + extent.cursors_offset);
    *state = (struct isthmus_shared_ring){
        .capacity = plan->capacity,
        .maxsize = plan->maxsize,
        .cursors_offset = extent.cursors_offset,
        .seats_offset = extent.seats_offset,
        .data_offset = extent.data_offset,
        .aside_offset = plan->max_attempts ? extent.data_offset + plan->capacity : 0,
        .max_attempts = plan->max_attempts,
    };
    const struct isthmus_shared_note none = {.position = NO_POSITION};
    const struct isthmus_shared_note first = {.position = plan->start};
    *cursors = (struct isthmus_shared_cursors){
        .tail = plan->start,
        .oldest = plan->start,
        .overwriting = plan->start,
        .put = {first, none},
        .head_seen = plan->start,
        .floor = plan->start,
        .pin_floor = plan->start,
        .head = plan->start,
        .got = {first, none},
        .next = plan->start,
        .tail_seen = plan->start,
        .aside_head = plan->start,
        .aside_tail = plan->start,
    };
}

int isthmus_ring_read_shared(struct isthmus_ring *ring, void *data,
                             const struct isthmus_shared_header *header)
{
    struct isthmus_ring_extent extent;
    struct isthmus_primitive *primitive = &ring->primitive;
    /* A copy: what is checked is what will be used. */
    const struct isthmus_shared_ring state =
        *(const struct isthmus_shared_ring *)((const char *)data + STATE);
    const uint32_t pieces = state.max_attempts ? 2 : 1;
    const int topic = primitive->kind == ISTHMUS_KIND_TOPIC;

    if (header->control_offset != PLACE || header->control_size != ISTHMUS_PRIMITIVE_SIZE(0) ||
        header->participants_offset != SLOTS || header->participants_count != primitive->count ||
        header->participant_size != sizeof(struct isthmus_shared_participant) ||
        state.capacity < least_capacity() || state.capacity > ISTHMUS_CAPACITY_MAX ||
        (state.capacity & (state.capacity - 1)) != 0 || state.max_attempts > UINT16_MAX ||
        (topic && (state.maxsize || state.max_attempts)))
        return -ISTHMUS_E_CORRUPT;
    measure(primitive->count, state.capacity, pieces, &extent);
    if (state.cursors_offset != extent.cursors_offset ||
        state.seats_offset != extent.seats_offset || state.data_offset != extent.data_offset ||
        header->data_offset != extent.data_offset || header->data_size != pieces * state.capacity ||
        header->total_size != extent.total_size ||
        state.aside_offset != (pieces == 2 ? extent.data_offset + state.capacity : 0))
        return -ISTHMUS_E_CORRUPT;

    char *base = data;
    const struct isthmus_primitive opened = *primitive;
    *ring = (struct isthmus_ring){
        .primitive = opened,
        .cursors = (struct isthmus_shared_cursors *)(base + extent.cursors_offset),
        .seats = (struct isthmus_shared_seat *)(base + extent.seats_offset),
        .data = (unsigned char *)base + extent.data_offset,
        /* Each piece is mapped twice, so the second one begins after two. */
        .aside =
            pieces == 2 ? (unsigned char *)base + extent.data_offset + 2 * state.capacity : NULL,
        .capacity = state.capacity,
        .maxsize = state.maxsize,
        .max_attempts = state.max_attempts,
        .looks = 1,
        .probe = 1,
        .probes = 1,
    };
    return 0;
}

int isthmus_ring_compare(const struct isthmus_ring *ring, const struct isthmus_ring_plan *plan)
{
    return ring->primitive.flags == plan->flags && ring->capacity == plan->capacity &&
                   ring->maxsize == plan->maxsize && ring->max_attempts == plan->max_attempts
               ? 0
               : -ENOTUNIQ;
}

/* ---- Opening --------------------------------------------------------------------------- */

static int complete_object(const struct isthmus_ring_plan *plan, struct isthmus_object_plan *full)
{
    struct isthmus_ring_plan ring;
    int error = isthmus_ring_complete(plan, &ring);
    if (error)
        return error;
    *full = (struct isthmus_object_plan){
        .primitive = {.kind = ring.kind, .flags = ring.flags, .participants = ring.participants},
        .ring = ring,
    };
    return 0;
}

int isthmus_ring_create(struct isthmus_ring *ring, const char *name,
                        const struct isthmus_ring_plan *plan,
                        const struct isthmus_create_options *options)
{
    struct isthmus_object_plan full;
    int error = complete_object(plan, &full);
    return error ? error : isthmus_object_create(ring, name, &full, options);
}

int isthmus_ring_attach(struct isthmus_ring *ring, const char *name, uint32_t kind,
                        const struct isthmus_attach_options *options)
{
    return isthmus_ring_kind(kind) ? isthmus_object_attach(ring, name, kind, options) : -EINVAL;
}

int isthmus_ring_open(struct isthmus_ring *ring, const char *name,
                      const struct isthmus_ring_plan *plan,
                      const struct isthmus_create_options *create,
                      const struct isthmus_attach_options *attach)
{
    struct isthmus_object_plan full;
    int error = complete_object(plan, &full);
    return error ? error : isthmus_object_open(ring, name, &full, create, attach);
}

int isthmus_ring_anonymous(struct isthmus_ring *ring, const struct isthmus_ring_plan *plan)
{
    struct isthmus_object_plan full;
    int error = complete_object(plan, &full);
    return error ? error : isthmus_object_anonymous(ring, &full);
}

int isthmus_ring_from_fd(struct isthmus_ring *ring, int fd, uint32_t kind)
{
    return isthmus_ring_kind(kind) ? isthmus_object_from_fd(ring, fd, kind) : -EINVAL;
}

void isthmus_ring_close(struct isthmus_ring *ring)
{
    isthmus_primitive_close(&ring->primitive);
    *ring = (struct isthmus_ring){.primitive = ring->primitive};
}

int isthmus_ring_unlink(const struct isthmus_ring *ring)
{
    return isthmus_primitive_unlink(&ring->primitive);
}

int isthmus_ring_join(struct isthmus_ring *ring)
{
    struct isthmus_primitive *primitive = &ring->primitive;
    if (primitive->shared && primitive->slot >= 0)
        return 0;
    int error = isthmus_primitive_join(primitive);
    if (error)
        return error;
    const uint32_t role = ring->role;
    ring->role = 0;
    if (role & ISTHMUS_ROLE_SUBSCRIBER) {
        /* What the last one in this slot has missed is no matter of ours. */
        isthmus_note_u64(&isthmus_seat_of(ring)->missed, 0);
        /* Where it is overwritten, the first read finds that out. */
        (void)isthmus_topic_take_seat(ring, ring->cursor, ring->sequence);
    }
    return 0;
}

int isthmus_ring_lock_surely(struct isthmus_ring *ring, uint32_t *word)
{
    int result;
    do
        result = isthmus_ring_lock(ring, word, ISTHMUS_FOREVER);
    while (result == -EINTR);
    return result;
}

/* ---- Counts ------------------------------------------------------------------------------ */

uint64_t isthmus_counted(const struct isthmus_shared_note note[2], const uint64_t *cursor)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < ISTHMUS_ATTEMPTS; i++) {
        const uint64_t position = isthmus_load_u64(cursor);
        count = isthmus_noted(note, position);
        isthmus_fence_after_copying();
        /* As long as the cursor is there, its note is not written. */
        if (isthmus_load_u64(cursor) == position)
            break;
    }
    return count;
}

/* ---- Records --------------------------------------------------------------------------- */

uint64_t isthmus_record_room(uint64_t meta_size, uint64_t size)
{
    return isthmus_room_of(meta_size, size);
}
