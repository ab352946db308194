/*
 * Queues and topics: messages through shared memory, in order and whole. Included by isthmus.h.
 *
 * Queue: each message goes to one of its consumers. Topic: each message goes to every subscriber.
 *
 * What a crash leaves
 *   A process may be killed at any instruction of any of these functions. A message is there,
 *   whole, or not at all: its commit is one store. One that was leased by a consumer that dies
 *   is ready again; one that a plain read took goes with it. A subscriber that dies no longer
 *   holds anybody back. Who waits for any of this notices within 20 ms.
 *
 * Handles, waiting, fork: as for primitives (isthmus/primitives.h): every struct isthmus_ring
 * is a participant, may be used by several threads at once, and takes absolute deadlines.
 * isthmus_ring.primitive is what isthmus_primitive_before_fork(), isthmus_primitive_after_fork()
 * and isthmus_primitive_participant() take; in the child isthmus_ring_join() follows.
 *
 * Errors, besides those of primitives
 *   -EAGAIN           no message is ready; no room
 *   -EBUSY            somebody else is at it at this moment, or has a loan open
 *   -EMSGSIZE         larger than the ring
 *   -ESHUTDOWN        the queue is shut down
 *   -EBADMSG          what is in the ring is damaged
 *   -ESTALE           overwritten meanwhile; the lease is no longer this handle's
 */
#ifndef ISTHMUS_RING_H
#define ISTHMUS_RING_H

#include <isthmus/primitives.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a publisher does about a subscriber in the way: isthmus_ring.overflow. */
#define ISTHMUS_OVERFLOW_BLOCK 0u     /* wait for it */
#define ISTHMUS_OVERFLOW_OVERWRITE 1u /* go on; it will be told how many it missed */

/* What a ring to be made is like. Zero stands for the default of each member. */
struct isthmus_ring_plan {
    uint32_t kind;         /* ISTHMUS_KIND_QUEUE or ISTHMUS_KIND_TOPIC */
    uint32_t flags;        /* ISTHMUS_PERSIST */
    uint32_t participants; /* room for so many handles at once; 0: ISTHMUS_PARTICIPANTS_DEFAULT */
    uint32_t max_attempts; /* queue: deliveries before a message is set aside; 0: no limit */
    uint64_t capacity;     /* bytes for messages and their headers; becomes a power of two, at
                              least ISTHMUS_RING_MIN; 0: 1 MiB */
    uint64_t maxsize;      /* queue: messages that may be ready at once; 0: as many as fit */
    uint64_t start;        /* the first position, a multiple of ISTHMUS_RECORD_ALIGNMENT */
};

/* An open ring. Set up by one of the functions below; members are for reading, but three. */
struct isthmus_ring {
    struct isthmus_primitive primitive; /* primitive.spin_ns may be set */
    struct isthmus_shared_cursors *cursors;
    struct isthmus_shared_seat *seats;
    unsigned char *data, *aside; /* mapped twice, one after the other */
    uint64_t capacity, maxsize;  /* checked copies */
    uint32_t max_attempts;
    uint32_t overflow; /* ISTHMUS_OVERFLOW_*; may be set */
    uint32_t role;     /* ISTHMUS_ROLE_* of this handle */
    uint32_t looks;    /* pauses between two looks at an empty ring, learnt */
    uint32_t probe;    /* waits until another number of pauses is tried */
    uint32_t probes;
    uint64_t cursor, sequence; /* of a subscriber, for a child that is forked */
};

/* ---- Making and opening: as for primitives ------------------------------------------- */

int isthmus_ring_create(struct isthmus_ring *ring, const char *name,
                        const struct isthmus_ring_plan *plan,
                        const struct isthmus_create_options *options);
int isthmus_ring_attach(struct isthmus_ring *ring, const char *name, uint32_t kind,
                        const struct isthmus_attach_options *options);
/* -ENOTUNIQ: it is there with another capacity, maxsize, max_attempts, or persistence. */
int isthmus_ring_open(struct isthmus_ring *ring, const char *name,
                      const struct isthmus_ring_plan *plan,
                      const struct isthmus_create_options *create,
                      const struct isthmus_attach_options *attach);
int isthmus_ring_anonymous(struct isthmus_ring *ring, const struct isthmus_ring_plan *plan);
int isthmus_ring_from_fd(struct isthmus_ring *ring, int fd, uint32_t kind);
/* Leases that are still held go back. Records in view, loans: to be ended before. */
void isthmus_ring_close(struct isthmus_ring *ring);
int isthmus_ring_unlink(const struct isthmus_ring *ring);
/* Join, after a fork; a subscriber goes on where its parent was. */
int isthmus_ring_join(struct isthmus_ring *ring);

/* ---- Records ------------------------------------------------------------------------- */

/* A record in the ring, as it was when it was checked. */
struct isthmus_record {
    uint64_t position, sequence;
    uint64_t size;      /* bytes of payload */
    uint32_t type;      /* enum isthmus_type, or another number: whoever reads must look */
    uint32_t attempts;  /* deliveries by lease; isthmus_queue_lease() counts its own */
    uint32_t meta_size; /* bytes of meta data, and what was added for alignment */
    void *meta;
    void *data; /* both in the ring, and written to by its producer only */
};

/*
 * Bytes that a message takes in a ring, at most. UINT64_MAX: too many. After meta data, the
 * payload begins at a multiple of 64, else at one of 32.
 */
uint64_t isthmus_record_room(uint64_t meta_size, uint64_t size);

/* ---- Writing ------------------------------------------------------------------------- */

/* Put or publish `size` bytes as ISTHMUS_TYPE_BYTES. -ETIMEDOUT: no room in time. */
int isthmus_ring_write(struct isthmus_ring *ring, const void *data, size_t size, uint64_t deadline);
/* The same without waiting: -EAGAIN, -EBUSY. Any type that has no meta data. */
int isthmus_ring_try_write(struct isthmus_ring *ring, uint32_t type, const void *data, size_t size);

/*
 * One or several records that become visible together. From begin to commit or abort no
 * other producer gets in; no other operation on this handle by the same thread meanwhile.
 *
 * begin: for_long: others that only try need not wait for the end. deadline 0: -EBUSY.
 * reserve: *record, whose payload and meta data the caller writes. -EAGAIN: no room; then
 *   abort, or commit what there is, and await. -EMSGSIZE, -ESHUTDOWN, -EBADMSG.
 */
struct isthmus_write {
    uint64_t start, end; /* positions */
    uint64_t count;      /* records */
    uint64_t first;      /* the number of the first of them */
    /* What stood in the way of the last reserve. */
    uint64_t needed;
    uint64_t seen;
    uint64_t seen_gone;
    int32_t blocker; /* slot of a subscriber; -1: none */
};
int isthmus_write_begin(struct isthmus_ring *ring, struct isthmus_write *write, int for_long,
                        uint64_t deadline);
int isthmus_write_reserve(struct isthmus_ring *ring, struct isthmus_write *write, uint32_t type,
                          uint32_t meta_size, uint64_t size, struct isthmus_record *record);
void isthmus_write_commit(struct isthmus_ring *ring, struct isthmus_write *write);
void isthmus_write_abort(struct isthmus_ring *ring, struct isthmus_write *write);
/* Until there may be room again, after an -EAGAIN of reserve. -ETIMEDOUT, -EINTR. */
int isthmus_write_await(struct isthmus_ring *ring, const struct isthmus_write *write,
                        uint64_t deadline);

/* ---- Reading ------------------------------------------------------------------------- */

/*
 * Take the next message as bytes, whatever its type: *size receives how many there are. When
 * `room` is too small: -ENOBUFS, and the message stays. -ETIMEDOUT.
 */
int isthmus_ring_read(struct isthmus_ring *ring, void *buffer, size_t room, size_t *size,
                      uint64_t deadline);

/*
 * One or several records that are taken together. From begin to commit or abort no other
 * consumer of the queue, and no other thread of this subscriber, gets in.
 *
 * next: *record, in the ring; call again for the one after it. -EAGAIN: there is none (more).
 *   -ESHUTDOWN. -EBADMSG: the record at *record is damaged; a queue stays as it is, a
 *   subscriber that commits goes on with what is published next.
 * valid: after the record has been copied: a publisher may have overwritten it. -ESTALE: it
 *   has; call next again. Always 0 for queues.
 * commit: all that next gave are taken. abort: they stay.
 */
struct isthmus_read {
    uint64_t position;         /* where the next record is looked for */
    uint64_t first;            /* and where that began */
    uint64_t count;            /* records so far */
    uint64_t sequence, missed; /* of a subscriber */
    /* What was there when there was nothing. */
    uint64_t seen_tail;
    uint32_t seen_returned, seen_closed;
    uint32_t direct; /* queue: only records from `head` on, none left out */
    uint32_t lapped; /* subscriber: how often a record was overwritten under its eyes */
};
int isthmus_read_begin(struct isthmus_ring *ring, struct isthmus_read *read, uint64_t deadline);
int isthmus_read_next(struct isthmus_ring *ring, struct isthmus_read *read,
                      struct isthmus_record *record);
int isthmus_read_valid(struct isthmus_ring *ring, struct isthmus_read *read,
                       const struct isthmus_record *record);
void isthmus_read_commit(struct isthmus_ring *ring, struct isthmus_read *read);
void isthmus_read_abort(struct isthmus_ring *ring, struct isthmus_read *read);
/* Look for a short while, as long as that has been worth it lately. 0: a message; -EAGAIN. */
int isthmus_read_glance(struct isthmus_ring *ring, const struct isthmus_read *read);
/* Until there may be a message, after an -EAGAIN of next. -ETIMEDOUT, -EINTR. */
int isthmus_read_await(struct isthmus_ring *ring, const struct isthmus_read *read,
                       uint64_t deadline);

/* ---- Queue --------------------------------------------------------------------------- */

/*
 * Lease the next message: it stays in the ring, where `record` points, is given to nobody
 * else, and is ready again if this participant gives it back, closes or dies.
 * In a read: the last one that next gave, which is then no part of what commit takes; the
 * read is over.
 * acknowledge: it is done with. take: it is as if a plain read had taken it. give_back.
 * untake: give it back after a plain read that has failed, which is no delivery by lease.
 * -ESTALE: not, or no longer, leased by this participant.
 * still_leased: after looking at `record` in place: was it as it is all the time? 0; -ESTALE: this
 * participant was evicted, and what was seen may be of another message.
 */
int isthmus_queue_lease(struct isthmus_ring *queue, struct isthmus_read *read,
                        struct isthmus_record *record);
int isthmus_queue_acknowledge(struct isthmus_ring *queue, uint64_t position, uint64_t sequence);
int isthmus_queue_take(struct isthmus_ring *queue, uint64_t position, uint64_t sequence);
int isthmus_queue_give_back(struct isthmus_ring *queue, uint64_t position, uint64_t sequence);
int isthmus_queue_untake(struct isthmus_ring *queue, uint64_t position, uint64_t sequence);
int isthmus_queue_still_leased(const struct isthmus_ring *queue,
                               const struct isthmus_record *record);

/* Messages that are ready; leased; set aside; put, ever. A snapshot. */
struct isthmus_queue_state {
    uint64_t ready, leased, aside;
    uint64_t put, redelivered, set_aside;
    uint64_t used; /* bytes of the capacity */
    uint32_t closed;
};
int isthmus_queue_state(const struct isthmus_ring *queue, struct isthmus_queue_state *state);

/* One message that a plain read took is done with. -ERANGE: there is none that is not. */
int isthmus_queue_task_done(struct isthmus_ring *queue);
/* Until every message is done with: taken and reported, acknowledged, or its taker gone. */
int isthmus_queue_join(struct isthmus_ring *queue, uint64_t deadline);
/*
 * Nothing more may be put; `discard`: what is ready is dropped, and nothing more is got. Without,
 * reads go on, and wait as long as another participant has leases, which may come back; then
 * -ESHUTDOWN.
 */
int isthmus_queue_shut_down(struct isthmus_ring *queue, int discard);
/* Drop what is ready. */
int isthmus_queue_clear(struct isthmus_ring *queue);
/* Drop one message, which nobody can read. -ESTALE: it is not ready, or no more. -ETIMEDOUT. */
int isthmus_queue_drop(struct isthmus_ring *queue, uint64_t position, uint64_t sequence,
                       uint64_t deadline);

/*
 * Messages set aside, oldest first. In a read from isthmus_queue_aside_begin() to
 * isthmus_read_abort(), next walks over them; -EAGAIN: no more.
 * remove, put_back: by the record's number; -ENOENT: not there. put_back makes it ready again,
 * as a new message without attempts: -ETIMEDOUT: no room in time. Not within a read.
 */
int isthmus_queue_aside_begin(struct isthmus_ring *queue, struct isthmus_read *read,
                              uint64_t deadline);
int isthmus_queue_aside_next(struct isthmus_ring *queue, struct isthmus_read *read,
                             struct isthmus_record *record);
int isthmus_queue_aside_remove(struct isthmus_ring *queue, uint64_t sequence);
int isthmus_queue_aside_put_back(struct isthmus_ring *queue, uint64_t sequence, uint64_t deadline);

/* ---- Topic --------------------------------------------------------------------------- */

/* Where a subscriber starts. Another number n: with the last n messages, or as many as are. */
#define ISTHMUS_START_NEXT UINT64_C(0)
#define ISTHMUS_START_OLDEST UINT64_MAX

/* This handle reads from now on. Again: it starts anew. */
int isthmus_topic_subscribe(struct isthmus_ring *topic, uint64_t start);
/* It reads no more, and holds nobody back but by what it has pinned. */
int isthmus_topic_unsubscribe(struct isthmus_ring *topic);
/* Messages published that this subscriber has not read; and those that it missed, ever. */
uint64_t isthmus_topic_lag(const struct isthmus_ring *topic);
uint64_t isthmus_topic_missed(const struct isthmus_ring *topic);

/*
 * Keep the records from `position` on from being overwritten, until unpinned (position
 * UINT64_MAX) or pinned further on. In a read: of a record that next gave, before its commit;
 * -ESTALE: overwritten already. Several records in view: the oldest of them is to be pinned.
 */
int isthmus_topic_pin(struct isthmus_ring *topic, uint64_t position);

struct isthmus_topic_state {
    uint64_t published;    /* messages, ever */
    uint64_t oldest, tail; /* positions */
    uint64_t kept;         /* messages that a subscriber could still start with */
    uint32_t subscribers, publishers;
    uint32_t evicted; /* subscribers that died and were in the way, or were evicted */
};
int isthmus_topic_state(const struct isthmus_ring *topic, struct isthmus_topic_state *state);

/* Whether this subscriber was evicted: publishers no longer wait for it. */
int isthmus_topic_evicted(const struct isthmus_ring *topic);

/*
 * Take from another participant what others wait for. It lives on, and may not know at first.
 * Subscriber: no publisher waits for it any more; it goes on reading, and is told what it missed.
 * What it has pinned stays. Consumer: its leases are ready again, to acknowledge them is -ESTALE,
 * and what it sees of them in place may be overwritten. One that is dead: all is put in order.
 *
 * It is known by its slot, pid and joined_ns, as isthmus_primitive_participant() gives them.
 * -ESRCH: it has left, another one may have come. -ENOENT: it holds nobody up: not a subscriber, no
 * leases. -EINVAL: oneself. -ETIMEDOUT: the owner of the consumer lock has it for so long. -EINTR.
 */
struct isthmus_evicted {
    uint32_t leases; /* that went back */
    int dead;        /* it was */
    int pinned;      /* it has records in view, which stay: publishers wait for those still */
};
int isthmus_ring_evict(struct isthmus_ring *ring, const struct isthmus_participant *whom,
                       uint64_t deadline, struct isthmus_evicted *evicted);

/* One participant of a topic or queue, beyond isthmus_primitive_participant(). */
struct isthmus_seat {
    uint32_t role;
    uint64_t lag;    /* subscriber: messages behind */
    uint64_t missed; /* subscriber */
    uint64_t leases; /* consumer */
};
int isthmus_ring_seat(const struct isthmus_ring *ring, uint32_t slot, struct isthmus_seat *seat);

#ifdef __cplusplus
}
#endif
#endif
