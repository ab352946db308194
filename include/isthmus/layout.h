/*
 * Everything that isthmus puts into shared memory, byte by byte.
 *
 * These structs are read and written by different programs, perhaps built by
 * different compilers, so each field has a fixed width, each offset is asserted
 * as a literal number, positions are offsets from the start of the segment and
 * never pointers, and all numbers are in the host's byte order. The same
 * numbers stand in docs/segment-format.md, and a test compares the two with
 * what the compiled extension reports.
 *
 * Nothing here may change for a published ISTHMUS_FORMAT_VERSION.
 */
#ifndef ISTHMUS_LAYOUT_H
#define ISTHMUS_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define ISTHMUS_STATIC_ASSERT(condition, text) static_assert(condition, text)
#else
#define ISTHMUS_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif

#define ISTHMUS_ASSERT_OFFSET(type, field, offset)                                                 \
    ISTHMUS_STATIC_ASSERT(offsetof(struct type, field) == (offset), #type "." #field)
#define ISTHMUS_ASSERT_SIZE(type, size) ISTHMUS_STATIC_ASSERT(sizeof(struct type) == (size), #type)

/* The eight bytes "ISTHMUS\n" as a little-endian number. */
#define ISTHMUS_MAGIC UINT64_C(0x0a53554d48545349)
#define ISTHMUS_FORMAT_VERSION 1u

/* What a typed object is: isthmus_shared_header.kind. */
enum isthmus_kind {
    ISTHMUS_KIND_ANY = 0, /* never stored; "whatever it is" where a kind is asked for */
    ISTHMUS_KIND_ARRAY = 1
};

/* The most dimensions an array may have; numpy's own limit. */
#define ISTHMUS_ARRAY_MAX_NDIM 64u

/*
 * The start of every typed object's segment.
 *
 * Written once by the creator, before the object has its name; constant from
 * then on, and read by everybody who attaches. `magic` is stored last, with
 * release order: a reader that sees it (acquire) sees all the rest.
 */
struct isthmus_shared_header {
    uint64_t magic;               /* ISTHMUS_MAGIC; 0 while the object is being made */
    uint32_t version;             /* ISTHMUS_FORMAT_VERSION */
    uint32_t kind;                /* enum isthmus_kind */
    uint64_t fingerprint;         /* isthmus_layout_fingerprint(kind) of the creator's build */
    uint64_t total_size;          /* bytes of the whole segment */
    uint64_t created_ns;          /* CLOCK_REALTIME at creation, nanoseconds since 1970 */
    uint32_t creator_pid;         /* as the creator saw itself, in its own pid namespace */
    uint32_t creator_uid;         /* effective user id of the creator */
    uint64_t control_offset;      /* the control block of this kind, multiple of 64 */
    uint64_t control_size;        /* bytes, with what belongs to it (an array's dtype text) */
    uint64_t participants_offset; /* the participant table; equals control_offset when empty */
    uint32_t participants_count;  /* slots in the table; an array has none */
    uint32_t participant_size;    /* bytes per slot; 0 without a table */
    uint64_t data_offset;         /* the object's data */
    uint64_t data_size;           /* bytes of data, without padding at the end */
    uint64_t reserved[20];        /* zero */
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_header, magic, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_header, version, 8);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_header, kind, 12);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_header, fingerprint, 16);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_header, total_size, 24);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_header, created_ns, 32);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_header, creator_pid, 40);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_header, creator_uid, 44);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_header, control_offset, 48);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_header, control_size, 56);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_header, participants_offset, 64);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_header, participants_count, 72);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_header, participant_size, 76);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_header, data_offset, 80);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_header, data_size, 88);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_header, reserved, 96);
ISTHMUS_ASSERT_SIZE(isthmus_shared_header, 256);

/* isthmus_shared_array.flags */
#define ISTHMUS_ARRAY_FORTRAN 1u /* first index varies fastest; else the last one, C order */

/*
 * The control block of an array: what its elements are and how many.
 * Written once by the creator together with the header, constant from then on.
 * The dtype text follows directly, inside header.control_size.
 */
struct isthmus_shared_array {
    uint32_t flags;        /* ISTHMUS_ARRAY_* */
    uint32_t ndim;         /* dimensions, 0 (one element) to ISTHMUS_ARRAY_MAX_NDIM */
    uint64_t itemsize;     /* bytes per element, at least 1 */
    uint64_t count;        /* elements: the product of shape[0..ndim) */
    uint64_t dtype_offset; /* JSON text that names the element type, from the segment's start */
    uint64_t dtype_size;   /* bytes of that text, without terminator */
    uint64_t reserved[3];  /* zero */
    uint64_t shape[64];    /* lengths, first dimension first; zero beyond ndim */
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_array, flags, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_array, ndim, 4);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_array, itemsize, 8);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_array, count, 16);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_array, dtype_offset, 24);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_array, dtype_size, 32);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_array, reserved, 40);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_array, shape, 64);
ISTHMUS_ASSERT_SIZE(isthmus_shared_array, 576);

/* One row of the description of these structs that the library carries with it. */
struct isthmus_layout_field {
    const char *type;  /* struct, without the keyword */
    const char *field; /* member; NULL for the row that gives the struct's own size */
    uint32_t offset;   /* bytes from the start of the struct */
    uint32_t size;     /* bytes */
};

/* All fields of all structs above, as this build lays them out. *count receives the rows. */
const struct isthmus_layout_field *isthmus_layout_fields(size_t *count);

/* A hash (FNV-1a, 64 bit) of the header's and this kind's rows and of the byte order. */
uint64_t isthmus_layout_fingerprint(uint32_t kind);

#ifdef __cplusplus
}
#endif
#endif
