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
    ISTHMUS_KIND_ATOMIC_INT = 9,
    ISTHMUS_KIND_QUEUE = 10,
    ISTHMUS_KIND_TOPIC = 11
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

/*
 * isthmus_shared_primitive.doorbells. Who waits watches the object's file by inotify, sets the bit,
 * then the bit by which a futex sleeper says that it is there. Who wakes sleepers clears
 * both bits, and, where this one was set, reads a byte of the file (IN_ACCESS), or reserves its
 * first one anew (fallocate with FALLOC_FL_KEEP_SIZE: IN_MODIFY), by a description of its own.
 */
#define ISTHMUS_DOORBELL_READY 1u /* a message, a lock, a permit …: IN_ACCESS */
#define ISTHMUS_DOORBELL_ROOM 2u  /* room, or all messages done with: IN_MODIFY */

struct isthmus_shared_primitive {
    uint64_t magic;        /* ISTHMUS_PRIMITIVE_MAGIC, stored last; 0 or …_MAKING before */
    uint32_t kind;         /* enum isthmus_kind */
    uint32_t flags;        /* ISTHMUS_ROBUST and so on */
    uint64_t fingerprint;  /* isthmus_layout_fingerprint(kind) */
    uint32_t participants; /* slots; 0 for kinds without */
    uint32_t used;         /* slots ever taken: none at or beyond this one. Only grows */
    uint64_t swept_ns;     /* CLOCK_MONOTONIC when somebody last looked for dead participants */
    uint32_t doorbells;    /* ISTHMUS_DOORBELL_*: somebody may wait for that by a descriptor */
    uint32_t reserved32;   /* zero */
    uint64_t reserved[2];  /* zero */
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_primitive, magic, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_primitive, kind, 8);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_primitive, flags, 12);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_primitive, fingerprint, 16);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_primitive, participants, 24);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_primitive, used, 28);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_primitive, swept_ns, 32);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_primitive, doorbells, 40);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_primitive, reserved32, 44);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_primitive, reserved, 48);
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

/* ---- Rings: queues and topics ------------------------------------------------------ */

/*
 * A ring of bytes, in which records follow each other. All positions are 64-bit cursors that
 * only grow, and wrap around at 2^64; a byte's place is its position modulo the capacity, a
 * power of two. Those who use it map the bytes twice, back to back, so that every record is
 * contiguous.
 *
 * In a segment: header, isthmus_shared_primitive, isthmus_shared_ring, participants,
 * isthmus_shared_cursors, one isthmus_shared_seat for each participant, and, from a page
 * boundary on, the bytes; of a queue with max_attempts once more as many bytes, for messages
 * that were set aside.
 */
#define ISTHMUS_RING_MIN 4096u       /* the smallest capacity, bytes */
#define ISTHMUS_RECORD_ALIGNMENT 32u /* records start at multiples of it, and so do cursors */

/*
 * What every ring is like, in the place of the state of a primitive. Written once by the
 * creator, constant from then on.
 */
struct isthmus_shared_ring {
    uint64_t capacity;       /* bytes, a power of two, at least ISTHMUS_RING_MIN */
    uint64_t maxsize;        /* messages that may be ready in a queue; 0: as many as fit */
    uint64_t cursors_offset; /* isthmus_shared_cursors, from the segment's start */
    uint64_t seats_offset;   /* isthmus_shared_seat, as many as participants */
    uint64_t data_offset;    /* the bytes; equals header.data_offset */
    uint64_t aside_offset;   /* the bytes for messages set aside; 0: none */
    uint32_t max_attempts;   /* deliveries of a message before it is set aside; 0: no limit */
    uint32_t reserved32;     /* zero */
    uint64_t reserved[9];    /* zero */
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_ring, capacity, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_ring, maxsize, 8);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_ring, cursors_offset, 16);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_ring, seats_offset, 24);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_ring, data_offset, 32);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_ring, aside_offset, 40);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_ring, max_attempts, 48);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_ring, reserved32, 52);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_ring, reserved, 56);
ISTHMUS_ASSERT_SIZE(isthmus_shared_ring, 128);

/*
 * A cursor and how many messages lie before it, changed together in one step: the note whose
 * position is the cursor's is the one that counts, the other is written before the next step.
 */
struct isthmus_shared_note {
    uint64_t position;
    uint64_t count; /* messages since the ring was made */
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_note, position, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_note, count, 8);
ISTHMUS_ASSERT_SIZE(isthmus_shared_note, 16);

/* isthmus_shared_cursors.closed */
#define ISTHMUS_RING_SHUT 1u      /* nothing more may be put */
#define ISTHMUS_RING_DISCARDED 2u /* nor got */

/*
 * What changes. Each hot word has 128 bytes of its own, since processors fetch lines in pairs.
 * Of a topic, `head` to `aside_tail` are not used; of a queue, `oldest` and the floors.
 */
struct isthmus_shared_cursors {
    /* Written by the owner of `producer`, read by all. */
    uint64_t tail;   /* where the next record will begin: storing it is the commit */
    uint64_t oldest; /* topic: the first record that will not be overwritten */
    struct isthmus_shared_note put[2]; /* of `tail` */
    uint32_t closed;                   /* ISTHMUS_RING_SHUT and so on */
    uint32_t reserved32;               /* zero */
    uint64_t overwriting;              /* topic: what `oldest` is about to become, before it does */
    uint64_t reserved0[8];             /* zero */
    /* By the owner of `producer` only. */
    uint32_t producer;      /* robust lock word */
    uint32_t loan;          /* slot + 1 of the owner while it fills a record for long */
    uint64_t head_seen;     /* queue: `head` when last looked at */
    uint64_t gone_seen;     /* queue: how many messages were no longer ready, the same */
    uint64_t floor;         /* topic: no subscriber is before this one */
    uint64_t pin_floor;     /* topic: no record before this one is in view */
    uint32_t epoch_seen;    /* `epoch` when the floors were right */
    uint32_t recount;       /* queue: a lease went back, `gone_seen` may be too many */
    uint32_t reserved1[20]; /* zero */
    /* Written by the owner of `consumer`, read by producers. */
    uint64_t head;                     /* queue: the first record that is not done with */
    struct isthmus_shared_note got[2]; /* of `head` */
    uint64_t reserved2[11];            /* zero */
    /* By the owner of `consumer` only; `returned` is read by those that wait. */
    uint32_t consumer;     /* robust lock word */
    uint32_t returned;     /* grows when a record before `next` becomes ready */
    uint64_t next;         /* no record before it is ready; `head`, where that is further */
    uint64_t tail_seen;    /* `tail` when last looked at */
    uint64_t out;          /* records from `head` on that are leased or done */
    uint64_t moving;       /* position | 1 of the record that is being set aside; else 0 */
    uint64_t aside_head;   /* the first message set aside that is not done with */
    uint64_t aside_tail;   /* where the next one will begin */
    uint64_t aside_count;  /* messages set aside that are there */
    uint64_t reserved3[8]; /* zero */
    /* Eventcounts, futexes: bit 0 somebody may be asleep, above it a count of wake-ups. */
    uint32_t arrival;       /* for those that wait for a message */
    uint32_t room;          /* for room */
    uint32_t finished;      /* for all messages to be done with */
    uint32_t reserved4[13]; /* zero */
    /* Changed seldom. */
    uint32_t epoch;        /* topic: grows when a subscriber or a pin comes in at an old record */
    uint32_t evicted;      /* topic: subscribers found dead in the way, or evicted */
    uint64_t redelivered;  /* queue: leases that were given back or taken from the dead */
    uint64_t put_aside;    /* queue: messages ever set aside */
    uint64_t reserved5[5]; /* zero */
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, tail, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, oldest, 8);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, put, 16);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, closed, 48);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, reserved32, 52);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, overwriting, 56);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, reserved0, 64);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, producer, 128);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, loan, 132);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, head_seen, 136);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, gone_seen, 144);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, floor, 152);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, pin_floor, 160);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, epoch_seen, 168);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, recount, 172);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, reserved1, 176);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, head, 256);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, got, 264);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, reserved2, 296);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, consumer, 384);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, returned, 388);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, next, 392);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, tail_seen, 400);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, out, 408);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, moving, 416);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, aside_head, 424);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, aside_tail, 432);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, aside_count, 440);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, reserved3, 448);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, arrival, 512);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, room, 516);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, finished, 520);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, reserved4, 524);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, epoch, 576);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, evicted, 580);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, redelivered, 584);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, put_aside, 592);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_cursors, reserved5, 600);
ISTHMUS_ASSERT_SIZE(isthmus_shared_cursors, 640);

/* isthmus_shared_seat.role, bits */
#define ISTHMUS_ROLE_PRODUCER 1u   /* has put or published */
#define ISTHMUS_ROLE_CONSUMER 2u   /* has got or leased */
#define ISTHMUS_ROLE_SUBSCRIBER 4u /* its cursor counts */

/*
 * isthmus_shared_seat.debt: how many messages were taken by a plain get and not reported as
 * done, and, above, the low bits of `head` (or of a record's end) as the last get left it:
 *
 *     63 .. 20                                   19 .. 0
 *     position / ISTHMUS_RECORD_ALIGNMENT        messages; stays at the largest
 */
#define ISTHMUS_DEBT_COUNT UINT64_C(0xfffff)
#define ISTHMUS_DEBT_SHIFT 20

/* What else there is of a participant: the seat of slot i is entry i. */
struct isthmus_shared_seat {
    uint64_t cursor;      /* subscriber: the next record that it will read; by itself only */
    uint64_t pin;         /* subscriber: position | 1 of the oldest record it has in view; else 0 */
    uint64_t sequence;    /* subscriber: the number that the record at `cursor` should have */
    uint64_t missed;      /* subscriber: messages that were overwritten before it read them */
    uint64_t debt;        /* consumer: see above; by the owner of `consumer` */
    uint32_t reader;      /* robust lock word, among the threads of one subscriber */
    uint32_t role;        /* ISTHMUS_ROLE_* */
    uint64_t reserved[2]; /* zero */
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_seat, cursor, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_seat, pin, 8);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_seat, sequence, 16);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_seat, missed, 24);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_seat, debt, 32);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_seat, reader, 40);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_seat, role, 44);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_seat, reserved, 48);
ISTHMUS_ASSERT_SIZE(isthmus_shared_seat, 64);

/* What a record's bytes are: isthmus_shared_record.type. */
enum isthmus_type {
    ISTHMUS_TYPE_BYTES = 1,     /* any bytes; no meta */
    ISTHMUS_TYPE_BYTEARRAY = 2, /* the same, for a reader that wants to write to its copy */
    ISTHMUS_TYPE_TEXT = 3,      /* UTF-8; no meta */
    ISTHMUS_TYPE_ARRAY = 4,     /* elements; meta: isthmus_shared_elements */
    ISTHMUS_TYPE_PICKLE = 5,    /* Python objects; meta: isthmus_shared_pickle */
    ISTHMUS_TYPE_VALUE = 6      /* one plain value, see below; no meta */
};

/*
 * A plain value: a byte that says what it is, and then its content, in native byte order and
 * without gaps. Sizes and counts have 32 bits.
 */
enum isthmus_value_tag {
    ISTHMUS_VALUE_NONE = 'N',
    ISTHMUS_VALUE_FALSE = 'F',
    ISTHMUS_VALUE_TRUE = 'T',
    ISTHMUS_VALUE_INTEGER = 'i', /* 64 bits, two's complement */
    ISTHMUS_VALUE_DOUBLE = 'd',  /* 64 bits, IEEE 754 */
    ISTHMUS_VALUE_TEXT = 's',    /* its size in bytes; UTF-8 */
    ISTHMUS_VALUE_BYTES = 'b',   /* their size; they */
    ISTHMUS_VALUE_TUPLE = '(',   /* a count; as many values */
    ISTHMUS_VALUE_LIST = '[',    /* the same */
    ISTHMUS_VALUE_DICT = '{'     /* a count; as many pairs of a key and a value */
};
/* A key is no list or dict and has none in it. Tuples, lists and dicts are nested so deep. */
#define ISTHMUS_VALUE_DEPTH 16

/*
 * isthmus_shared_record.state, of a queue:
 *
 *     31      30 .. 16   15 .. 0
 *     DONE    zero       slot + 1 of who has leased it; 0: ready
 */
#define ISTHMUS_RECORD_DONE (UINT32_C(1) << 31)

/*
 * The start of a record. Meta data follow at once, then, from `data` bytes after its start, the
 * payload; the next record begins at the next multiple of ISTHMUS_RECORD_ALIGNMENT. Written
 * by a producer before the commit; `state` and `attempts` also by the owner of `consumer`.
 */
struct isthmus_shared_record {
    uint64_t sequence; /* its number: how many messages were put before it */
    uint64_t size;     /* bytes of payload */
    uint32_t data; /* where the payload begins, bytes from here: the first multiple of 32, or, after
                      meta data, of 64 in positions */
    uint16_t type; /* enum isthmus_type */
    uint16_t attempts; /* how often it was leased; stays at the largest */
    uint32_t state;    /* see above; 0 in a topic */
    uint32_t check;    /* of the position and the fields above but attempts, see below */
};
/*
 * check, with low and high halves of 64-bit numbers: low(position / 32) ^ low(sequence) ^
 * low(size) ^ high(size) ^ data ^ type << 16.
 */
ISTHMUS_ASSERT_OFFSET(isthmus_shared_record, sequence, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_record, size, 8);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_record, data, 16);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_record, type, 20);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_record, attempts, 22);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_record, state, 24);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_record, check, 28);
ISTHMUS_ASSERT_SIZE(isthmus_shared_record, 32);

/* Meta data of an array, followed by its shape (64 bits a dimension) and its dtype as text. */
struct isthmus_shared_elements {
    uint32_t ndim;
    uint32_t flags;      /* ISTHMUS_ARRAY_FORTRAN: first index varies fastest; else C order */
    uint64_t itemsize;   /* bytes */
    uint32_t dtype_size; /* bytes of the text, as in isthmus_shared_array, without terminator */
    uint32_t reserved32; /* zero */
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_elements, ndim, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_elements, flags, 4);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_elements, itemsize, 8);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_elements, dtype_size, 16);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_elements, reserved32, 20);
ISTHMUS_ASSERT_SIZE(isthmus_shared_elements, 24);

/*
 * Meta data of a pickle, protocol 5: how many buffers are out of band, then the bytes of each
 * (64 bits; bit 63: not to be written to). The payload is the pickle, and then
 * each buffer, starting at a multiple of 64 from the start of the payload.
 */
struct isthmus_shared_pickle {
    uint64_t size;       /* bytes of the pickle itself */
    uint32_t buffers;    /* how many */
    uint32_t reserved32; /* zero */
};
ISTHMUS_ASSERT_OFFSET(isthmus_shared_pickle, size, 0);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_pickle, buffers, 8);
ISTHMUS_ASSERT_OFFSET(isthmus_shared_pickle, reserved32, 12);
ISTHMUS_ASSERT_SIZE(isthmus_shared_pickle, 16);

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
