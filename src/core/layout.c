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
    FIELD(isthmus_shared_array, reserved),
    FIELD(isthmus_shared_array, shape),
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

/* The struct whose rows describe the control block of `kind`. */
static const char *control_struct(uint32_t kind)
{
    return kind == ISTHMUS_KIND_ARRAY ? "isthmus_shared_array" : "";
}

uint64_t isthmus_layout_fingerprint(uint32_t kind)
{
    const uint32_t byte_order = 0x01020304;
    uint64_t state = UINT64_C(0xcbf29ce484222325);

    state = hash(state, &byte_order, sizeof byte_order);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const struct isthmus_layout_field *row = &fields[i];
        if (strcmp(row->type, "isthmus_shared_header") != 0 &&
            strcmp(row->type, control_struct(kind)) != 0)
            continue;
        if (row->field)
            state = hash(state, row->field, strlen(row->field));
        state = hash(state, &row->offset, sizeof row->offset);
        state = hash(state, &row->size, sizeof row->size);
    }
    return state;
}
