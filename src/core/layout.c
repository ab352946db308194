/* The description of layout.h that the library carries with it. */
#include <isthmus/layout.h>
#include <string.h>

#define STRUCT(type) {#type, NULL, 0, (uint32_t)sizeof(struct type)}
#define FIELD(type, field)                                                                         \
    {#type, #field, (uint32_t)offsetof(struct type, field),                                        \
     (uint32_t)sizeof(((struct type *)0)->field)}

/* A test compares these rows with the asserts in layout.h: none may be missing. */
static const struct isthmus_layout_field fields[] = {
    STRUCT(isthmus_shared_header),
    FIELD(isthmus_shared_header, magic),
    FIELD(isthmus_shared_header, version),
    FIELD(isthmus_shared_header, kind),
    FIELD(isthmus_shared_header, fingerprint),
    FIELD(isthmus_shared_header, total_size),
    FIELD(isthmus_shared_header, created_ns),
    FIELD(isthmus_shared_header, creator_pid),
    FIELD(isthmus_shared_header, creator_uid),
    FIELD(isthmus_shared_header, control_offset),
    FIELD(isthmus_shared_header, control_size),
    FIELD(isthmus_shared_header, participants_offset),
    FIELD(isthmus_shared_header, participants_count),
    FIELD(isthmus_shared_header, participant_size),
    FIELD(isthmus_shared_header, data_offset),
    FIELD(isthmus_shared_header, data_size),
    FIELD(isthmus_shared_header, reserved),
    STRUCT(isthmus_shared_array),
    FIELD(isthmus_shared_array, flags),
    FIELD(isthmus_shared_array, ndim),
    FIELD(isthmus_shared_array, itemsize),
    FIELD(isthmus_shared_array, count),
    FIELD(isthmus_shared_array, dtype_offset),
    FIELD(isthmus_shared_array, dtype_size),
    FIELD(isthmus_shared_array, lock_offset),
    FIELD(isthmus_shared_array, reserved),
    FIELD(isthmus_shared_array, shape),
    STRUCT(isthmus_shared_primitive),
    FIELD(isthmus_shared_primitive, magic),
    FIELD(isthmus_shared_primitive, kind),
    FIELD(isthmus_shared_primitive, flags),
    FIELD(isthmus_shared_primitive, fingerprint),
    FIELD(isthmus_shared_primitive, participants),
    FIELD(isthmus_shared_primitive, used),
    FIELD(isthmus_shared_primitive, swept_ns),
    FIELD(isthmus_shared_primitive, doorbells),
    FIELD(isthmus_shared_primitive, reserved32),
    FIELD(isthmus_shared_primitive, reserved),
    STRUCT(isthmus_shared_participant),
    FIELD(isthmus_shared_participant, pid),
    FIELD(isthmus_shared_participant, pid_namespace),
    FIELD(isthmus_shared_participant, joined_ns),
    FIELD(isthmus_shared_participant, waiting_ns),
    FIELD(isthmus_shared_participant, waiting_tid),
    FIELD(isthmus_shared_participant, waiting),
    FIELD(isthmus_shared_participant, share),
    FIELD(isthmus_shared_participant, round),
    FIELD(isthmus_shared_participant, held_ns),
    FIELD(isthmus_shared_participant, reserved),
    STRUCT(isthmus_shared_lock),
    FIELD(isthmus_shared_lock, word),
    FIELD(isthmus_shared_lock, tid),
    FIELD(isthmus_shared_lock, depth),
    FIELD(isthmus_shared_lock, deaths),
    FIELD(isthmus_shared_lock, since_ns),
    FIELD(isthmus_shared_lock, reserved),
    STRUCT(isthmus_shared_condition),
    FIELD(isthmus_shared_condition, word),
    FIELD(isthmus_shared_condition, tid),
    FIELD(isthmus_shared_condition, depth),
    FIELD(isthmus_shared_condition, deaths),
    FIELD(isthmus_shared_condition, since_ns),
    FIELD(isthmus_shared_condition, lock_reserved),
    FIELD(isthmus_shared_condition, sequence),
    FIELD(isthmus_shared_condition, tokens),
    FIELD(isthmus_shared_condition, tickets),
    FIELD(isthmus_shared_condition, limit),
    FIELD(isthmus_shared_condition, reserved),
    STRUCT(isthmus_shared_semaphore),
    FIELD(isthmus_shared_semaphore, word),
    FIELD(isthmus_shared_semaphore, guard),
    FIELD(isthmus_shared_semaphore, initial),
    FIELD(isthmus_shared_semaphore, maximum),
    FIELD(isthmus_shared_semaphore, reserved),
    STRUCT(isthmus_shared_event),
    FIELD(isthmus_shared_event, word),
    FIELD(isthmus_shared_event, reserved32),
    FIELD(isthmus_shared_event, reserved),
    STRUCT(isthmus_shared_barrier),
    FIELD(isthmus_shared_barrier, guard),
    FIELD(isthmus_shared_barrier, round),
    FIELD(isthmus_shared_barrier, parties),
    FIELD(isthmus_shared_barrier, breaks),
    FIELD(isthmus_shared_barrier, broken),
    STRUCT(isthmus_shared_rwlock),
    FIELD(isthmus_shared_rwlock, word),
    FIELD(isthmus_shared_rwlock, tid),
    FIELD(isthmus_shared_rwlock, gate),
    FIELD(isthmus_shared_rwlock, drained),
    FIELD(isthmus_shared_rwlock, since_ns),
    FIELD(isthmus_shared_rwlock, deaths),
    FIELD(isthmus_shared_rwlock, abandoned),
    FIELD(isthmus_shared_rwlock, reserved),
    STRUCT(isthmus_shared_atomic_int),
    FIELD(isthmus_shared_atomic_int, value),
    FIELD(isthmus_shared_atomic_int, changes),
    FIELD(isthmus_shared_atomic_int, waiters),
    FIELD(isthmus_shared_atomic_int, reserved),
    STRUCT(isthmus_shared_ring),
    FIELD(isthmus_shared_ring, capacity),
    FIELD(isthmus_shared_ring, maxsize),
    FIELD(isthmus_shared_ring, cursors_offset),
    FIELD(isthmus_shared_ring, seats_offset),
    FIELD(isthmus_shared_ring, data_offset),
    FIELD(isthmus_shared_ring, aside_offset),
    FIELD(isthmus_shared_ring, max_attempts),
    FIELD(isthmus_shared_ring, reserved32),
    FIELD(isthmus_shared_ring, reserved),
    STRUCT(isthmus_shared_note),
    FIELD(isthmus_shared_note, position),
    FIELD(isthmus_shared_note, count),
    STRUCT(isthmus_shared_cursors),
    FIELD(isthmus_shared_cursors, tail),
    FIELD(isthmus_shared_cursors, oldest),
    FIELD(isthmus_shared_cursors, put),
    FIELD(isthmus_shared_cursors, closed),
    FIELD(isthmus_shared_cursors, reserved32),
    FIELD(isthmus_shared_cursors, overwriting),
    FIELD(isthmus_shared_cursors, reserved0),
    FIELD(isthmus_shared_cursors, producer),
    FIELD(isthmus_shared_cursors, loan),
    FIELD(isthmus_shared_cursors, head_seen),
    FIELD(isthmus_shared_cursors, gone_seen),
    FIELD(isthmus_shared_cursors, floor),
    FIELD(isthmus_shared_cursors, pin_floor),
    FIELD(isthmus_shared_cursors, epoch_seen),
    FIELD(isthmus_shared_cursors, recount),
    FIELD(isthmus_shared_cursors, reserved1),
    FIELD(isthmus_shared_cursors, head),
    FIELD(isthmus_shared_cursors, got),
    FIELD(isthmus_shared_cursors, reserved2),
    FIELD(isthmus_shared_cursors, consumer),
    FIELD(isthmus_shared_cursors, returned),
    FIELD(isthmus_shared_cursors, next),
    FIELD(isthmus_shared_cursors, tail_seen),
    FIELD(isthmus_shared_cursors, out),
    FIELD(isthmus_shared_cursors, moving),
    FIELD(isthmus_shared_cursors, aside_head),
    FIELD(isthmus_shared_cursors, aside_tail),
    FIELD(isthmus_shared_cursors, aside_count),
    FIELD(isthmus_shared_cursors, reserved3),
    FIELD(isthmus_shared_cursors, arrival),
    FIELD(isthmus_shared_cursors, room),
    FIELD(isthmus_shared_cursors, finished),
    FIELD(isthmus_shared_cursors, reserved4),
    FIELD(isthmus_shared_cursors, epoch),
    FIELD(isthmus_shared_cursors, evicted),
    FIELD(isthmus_shared_cursors, redelivered),
    FIELD(isthmus_shared_cursors, put_aside),
    FIELD(isthmus_shared_cursors, reserved5),
    STRUCT(isthmus_shared_seat),
    FIELD(isthmus_shared_seat, cursor),
    FIELD(isthmus_shared_seat, pin),
    FIELD(isthmus_shared_seat, sequence),
    FIELD(isthmus_shared_seat, missed),
    FIELD(isthmus_shared_seat, debt),
    FIELD(isthmus_shared_seat, reader),
    FIELD(isthmus_shared_seat, role),
    FIELD(isthmus_shared_seat, reserved),
    STRUCT(isthmus_shared_record),
    FIELD(isthmus_shared_record, sequence),
    FIELD(isthmus_shared_record, size),
    FIELD(isthmus_shared_record, data),
    FIELD(isthmus_shared_record, type),
    FIELD(isthmus_shared_record, attempts),
    FIELD(isthmus_shared_record, state),
    FIELD(isthmus_shared_record, check),
    STRUCT(isthmus_shared_elements),
    FIELD(isthmus_shared_elements, ndim),
    FIELD(isthmus_shared_elements, flags),
    FIELD(isthmus_shared_elements, itemsize),
    FIELD(isthmus_shared_elements, dtype_size),
    FIELD(isthmus_shared_elements, reserved32),
    STRUCT(isthmus_shared_pickle),
    FIELD(isthmus_shared_pickle, size),
    FIELD(isthmus_shared_pickle, buffers),
    FIELD(isthmus_shared_pickle, reserved32),
};

const struct isthmus_layout_field *isthmus_layout_fields(size_t *count)
{
    *count = sizeof fields / sizeof fields[0];
    return fields;
}

static uint64_t hash(uint64_t state, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        state = (state ^ bytes[i]) * UINT64_C(0x100000001b3);
    return state;
}

/* The structs in an object of `kind`, besides the header, and NULL. */
static const char *const *structs_of(uint32_t kind)
{
#define PRIMITIVE(state) {"isthmus_shared_primitive", "isthmus_shared_participant", state, NULL}
#define RING                                                                                       \
    {                                                                                              \
        "isthmus_shared_primitive", "isthmus_shared_participant", "isthmus_shared_ring",           \
            "isthmus_shared_note", "isthmus_shared_cursors", "isthmus_shared_seat",                \
            "isthmus_shared_record", "isthmus_shared_elements", "isthmus_shared_pickle", NULL      \
    }
    static const char *const structs[][10] = {
        [ISTHMUS_KIND_ANY] = {NULL},
        [ISTHMUS_KIND_ARRAY] = {"isthmus_shared_array", NULL},
        [ISTHMUS_KIND_LOCK] = PRIMITIVE("isthmus_shared_lock"),
        [ISTHMUS_KIND_RLOCK] = PRIMITIVE("isthmus_shared_lock"),
        [ISTHMUS_KIND_SEMAPHORE] = PRIMITIVE("isthmus_shared_semaphore"),
        [ISTHMUS_KIND_EVENT] = PRIMITIVE("isthmus_shared_event"),
        [ISTHMUS_KIND_CONDITION] = PRIMITIVE("isthmus_shared_condition"),
        [ISTHMUS_KIND_BARRIER] = PRIMITIVE("isthmus_shared_barrier"),
        [ISTHMUS_KIND_RWLOCK] = PRIMITIVE("isthmus_shared_rwlock"),
        [ISTHMUS_KIND_ATOMIC_INT] = PRIMITIVE("isthmus_shared_atomic_int"),
        [ISTHMUS_KIND_QUEUE] = RING,
        [ISTHMUS_KIND_TOPIC] = RING,
    };
    return structs[kind < sizeof structs / sizeof structs[0] ? kind : ISTHMUS_KIND_ANY];
}

static int belongs(const char *type, uint32_t kind)
{
    if (strcmp(type, "isthmus_shared_header") == 0)
        return 1;
    for (const char *const *name = structs_of(kind); *name; name++)
        if (strcmp(type, *name) == 0)
            return 1;
    return 0;
}

uint64_t isthmus_layout_fingerprint(uint32_t kind)
{
    const uint32_t byte_order = 0x01020304;
    uint64_t state = UINT64_C(0xcbf29ce484222325);

    state = hash(state, &byte_order, sizeof byte_order);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const struct isthmus_layout_field *row = &fields[i];
        if (!belongs(row->type, kind))
            continue;
        if (row->field)
            state = hash(state, row->field, strlen(row->field));
        state = hash(state, &row->offset, sizeof row->offset);
        state = hash(state, &row->size, sizeof row->size);
    }
    return state;
}
