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
    ISTHMUS_KIND_ARRAY = 1,
    ISTHMUS_KIND_LOCK = 2,
    ISTHMUS_KIND_RLOCK = 3,
    ISTHMUS_KIND_SEMAPHORE = 4,
    ISTHMUS_KIND_EVENT = 5,
    ISTHMUS_KIND_CONDITION = 6,
    ISTHMUS_KIND_BARRIER = 7,
    ISTHMUS_KIND_RWLOCK = 8,
    ISTHMUS_KIND_ATOMIC_INT = 9
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
    uint64_t lock_offset;  /* its lock: an isthmus_shared_primitive, from the segment's start */
    uint64_t reserved[2];  /* zero */
    uint64_t shape[64];    /* lengths, first dimension first; zero beyond ndim */
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_array, flags, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_array, ndim, 4);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_array, itemsize, 8);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_array, count, 16);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_array, dtype_offset, 24);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_array, dtype_size, 32);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_array, lock_offset, 40);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_array, reserved, 48);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_array, shape, 64);
ISTHMUS_ASSERT_SIZE(isthmus_shared_array, 576);

/* ---- Synchronisation primitives -------------------------------------------------- */

/* The eight bytes "ISTHSYN\n" as a little-endian number. */
#define ISTHMUS_PRIMITIVE_MAGIC UINT64_C(0x0a4e595348545349)
/* The same with "." for the last: being made, in a segment of the user's. */
#define ISTHMUS_PRIMITIVE_MAKING UINT64_C(0x2e4e595348545349)

/* isthmus_shared_primitive.flags: what it is, fixed at creation. */
#define ISTHMUS_ROBUST 1u            /* a semaphore that gets back the permits of the dead */
#define ISTHMUS_READER_PREFERENCE 2u /* readers pass waiting writers */
#define ISTHMUS_EXTERNAL_LOCK 4u     /* a condition that goes with a lock of its own object */
#define ISTHMUS_PERSIST 8u           /* stays when the last participant leaves */

/* The most participants that one primitive may have room for. */
#define ISTHMUS_PARTICIPANTS_MAX 32768u

/*
 * What every primitive starts with. In a typed object of its own it is the control
 * block; it may as well stand anywhere in a segment, at a multiple of 64. Its state,
 * one of the structs below, follows at once, and then its participants.
 *
 * A participant is alive as long as it holds an open file description lock
 * (F_OFD_SETLK, write) on the byte ISTHMUS_LOCK_BYTES + the file offset of its slot.
 * Handles of a typed object also hold a read lock on the byte ISTHMUS_LOCK_BYTES +
 * the file offset of the primitive: who can take that one for writing is alone.
 * Where a primitive is placed in a segment, whoever initialises it holds that byte.
 */
#define ISTHMUS_LOCK_BYTES (UINT64_C(1) << 61)

struct isthmus_shared_primitive {
    uint64_t magic;        /* ISTHMUS_PRIMITIVE_MAGIC, stored last; 0 or …_MAKING before */
    uint32_t kind;         /* enum isthmus_kind */
    uint32_t flags;        /* ISTHMUS_ROBUST and so on */
    uint64_t fingerprint;  /* isthmus_layout_fingerprint(kind) */
    uint32_t participants; /* slots; 0 for kinds without */
    uint32_t used;         /* slots ever taken: none at or beyond this one. Only grows */
    uint64_t swept_ns;     /* CLOCK_MONOTONIC when somebody last looked for dead participants */
    uint64_t reserved[3];  /* zero */
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_primitive, magic, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_primitive, kind, 8);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_primitive, flags, 12);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_primitive, fingerprint, 16);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_primitive, participants, 24);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_primitive, used, 28);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_primitive, swept_ns, 32);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_primitive, reserved, 40);
ISTHMUS_ASSERT_SIZE(isthmus_shared_primitive, 64);

/*
 * A slot of the participant table. Who it is, for people; and what this participant
 * has a share in, from which the state is made anew when it dies. Written by the
 * participant itself, by whoever repairs after its death, and by who joins next.
 */
struct isthmus_shared_participant {
    uint32_t pid;           /* as it sees itself; 0: free, and left in good order */
    uint32_t pid_namespace; /* inode of its pid namespace, low 32 bits; 0: unknown */
    uint64_t joined_ns;     /* CLOCK_REALTIME */
    uint64_t waiting_ns;    /* CLOCK_MONOTONIC when its last thread began to wait */
    uint32_t waiting_tid;   /* that thread, as its process sees it */
    uint32_t waiting;       /* its threads that wait at the moment */
    uint32_t share;         /* permits, readers, parties that arrived, threads in a condition */
    uint32_t round;         /* of the barrier, that `share` belongs to */
    uint64_t held_ns;       /* CLOCK_MONOTONIC when it last took a share */
    uint64_t reserved[2];   /* zero */
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_participant, pid, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_participant, pid_namespace, 4);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_participant, joined_ns, 8);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_participant, waiting_ns, 16);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_participant, waiting_tid, 24);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_participant, waiting, 28);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_participant, share, 32);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_participant, round, 36);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_participant, held_ns, 40);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_participant, reserved, 48);
ISTHMUS_ASSERT_SIZE(isthmus_shared_participant, 64);

/*
 * A robust lock word, a futex:
 *
 *     31        30          29 .. 16   15 .. 0
 *     WAITERS   ABANDONED   zero       slot of the owner + 1; 0: nobody
 *
 * WAITERS: somebody may be asleep on it. ABANDONED: the last owner died, and nobody
 * has taken it since; only together with no owner.
 */
#define ISTHMUS_WORD_OWNER UINT32_C(0xffff)
#define ISTHMUS_WORD_ABANDONED (UINT32_C(1) << 30)
#define ISTHMUS_WORD_WAITERS (UINT32_C(1) << 31)

/* The state of a lock or recursive lock. */
struct isthmus_shared_lock {
    uint32_t word;        /* robust lock word */
    uint32_t tid;         /* the thread that owns it; 0 just before and after */
    uint32_t depth;       /* how often that thread has taken it; written by the owner only */
    uint32_t deaths;      /* owners that died holding it, since it was made */
    uint64_t since_ns;    /* CLOCK_MONOTONIC_COARSE when it was taken; written by the owner */
    uint64_t reserved[5]; /* zero */
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_lock, word, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_lock, tid, 4);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_lock, depth, 8);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_lock, deaths, 12);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_lock, since_ns, 16);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_lock, reserved, 24);
ISTHMUS_ASSERT_SIZE(isthmus_shared_lock, 64);

/*
 * The state of a condition: its own lock (zero, with ISTHMUS_EXTERNAL_LOCK), and
 * below it what only the owner of the lock, whichever it is, may change.
 */
struct isthmus_shared_condition {
    uint32_t word; /* these six as in isthmus_shared_lock */
    uint32_t tid;
    uint32_t depth;
    uint32_t deaths;
    uint64_t since_ns;
    uint64_t lock_reserved[5];
    uint32_t sequence;    /* grows with every notification; waiters sleep on it */
    uint32_t tokens;      /* notifications that no waiter has taken yet */
    uint64_t tickets;     /* given out to waiters so far */
    uint64_t limit;       /* waiters with a ticket below this one may take a token */
    uint64_t reserved[5]; /* zero */
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_condition, word, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_condition, tid, 4);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_condition, depth, 8);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_condition, deaths, 12);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_condition, since_ns, 16);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_condition, lock_reserved, 24);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_condition, sequence, 64);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_condition, tokens, 68);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_condition, tickets, 72);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_condition, limit, 80);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_condition, reserved, 88);
ISTHMUS_ASSERT_SIZE(isthmus_shared_condition, 128);

/*
 * The state of a semaphore. In `word`, a futex, bit 31 says that somebody may be asleep. Of a
 * plain one the rest counts the free permits; of a robust one, how often some were given back.
 */
struct isthmus_shared_semaphore {
    uint32_t word;        /* see above */
    uint32_t guard;       /* robust lock word, around all changes of a robust semaphore */
    uint32_t initial;     /* permits at creation; of a robust one, all that there are */
    uint32_t maximum;     /* a bounded one never has more; else 2^31 - 1 */
    uint64_t reserved[6]; /* zero */
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_semaphore, word, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_semaphore, guard, 4);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_semaphore, initial, 8);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_semaphore, maximum, 12);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_semaphore, reserved, 16);
ISTHMUS_ASSERT_SIZE(isthmus_shared_semaphore, 64);

/* The state of an event. */
struct isthmus_shared_event {
    uint32_t word;        /* a futex: bit 0 set, bit 31 waiters, between them a count of sets */
    uint32_t reserved32;  /* zero */
    uint64_t reserved[7]; /* zero */
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_event, word, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_event, reserved32, 4);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_event, reserved, 8);
ISTHMUS_ASSERT_SIZE(isthmus_shared_event, 64);

/* Entries in isthmus_shared_barrier.broken. */
#define ISTHMUS_BARRIER_BROKEN 12u

/*
 * The state of a barrier. Changed under the guard; who arrived stands in the slots.
 *
 * The rounds that broke, as `round` was with bit 0 set, are the entries of `broken` before
 * number `breaks`, each number modulo 12; entry `breaks` itself is being written or is old.
 */
struct isthmus_shared_barrier {
    uint32_t guard;   /* robust lock word */
    uint32_t round;   /* a futex: bit 0 broken until a reset, above it the rounds that ended */
    uint32_t parties; /* how many make a round */
    uint32_t breaks;  /* rounds that broke, since it was made */
    uint32_t broken[12];
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_barrier, guard, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_barrier, round, 4);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_barrier, parties, 8);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_barrier, breaks, 12);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_barrier, broken, 16);
ISTHMUS_ASSERT_SIZE(isthmus_shared_barrier, 64);

/*
 * The state of a readers-writer lock. Who reads stands in the slots. The gate:
 *
 *     31        30 .. 3            2      1          0
 *     WAITERS   how often opened   TURN   DRAINING   CLOSED
 *
 * CLOSED: readers must wait. DRAINING: a writer waits for readers to leave. TURN: readers
 * were waiting when a writer opened it, and none of them has come in since.
 */
#define ISTHMUS_GATE_CLOSED 1u
#define ISTHMUS_GATE_DRAINING 2u
#define ISTHMUS_GATE_TURN 4u
#define ISTHMUS_GATE_OPENING 8u /* added at each opening */

struct isthmus_shared_rwlock {
    uint32_t word;        /* robust lock word of the writers */
    uint32_t tid;         /* the thread that owns it */
    uint32_t gate;        /* a futex, see below; changed by the writer that owns `word` */
    uint32_t drained;     /* a futex: grows when a reader leaves while a writer waits for that */
    uint64_t since_ns;    /* CLOCK_MONOTONIC_COARSE when a writer took it */
    uint32_t deaths;      /* writers that died holding it, since it was made */
    uint32_t abandoned;   /* 1: a writer died, and none has released since; changed like gate */
    uint64_t reserved[4]; /* zero */
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_rwlock, word, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_rwlock, tid, 4);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_rwlock, gate, 8);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_rwlock, drained, 12);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_rwlock, since_ns, 16);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_rwlock, deaths, 24);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_rwlock, abandoned, 28);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_rwlock, reserved, 32);
ISTHMUS_ASSERT_SIZE(isthmus_shared_rwlock, 64);

/* The state of an atomic integer. */
struct isthmus_shared_atomic_int {
    uint64_t value;       /* two's complement */
    uint32_t changes;     /* a futex: grows when a change met a waiter */
    uint32_t waiters;     /* 1: somebody may be asleep on `changes` */
    uint64_t reserved[6]; /* zero */
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_atomic_int, value, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_atomic_int, changes, 8);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_atomic_int, waiters, 12);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_atomic_int, reserved, 16);
ISTHMUS_ASSERT_SIZE(isthmus_shared_atomic_int, 64);

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
