/*
 * Whether something that one may wait for is there: the looks that waiting for several things, and
 * waiting by descriptor, are made of.
 *
 * What is ready stays so only as long as nobody else takes it; a look takes nothing. A thing
 * is ready when the operation that takes from it would not have to wait: also when that
 * operation would take over from one that died, or would fail at once.
 */
#ifndef ISTHMUS_READINESS_H
#define ISTHMUS_READINESS_H

#include "ring.h"
#include <isthmus/isthmus.h>

/* What of it is waited for. */
enum isthmus_side {
    ISTHMUS_WAIT_READY = 0, /* a lock, permit, message; that an event is set */
    ISTHMUS_WAIT_ROOM,      /* queue, topic: for a message of `about` bytes */
    ISTHMUS_WAIT_END,       /* queue: that all messages are done with */
    ISTHMUS_WAIT_WORD,      /* a lock, whoever holds it; of a readers-writer lock: among writers */
    ISTHMUS_WAIT_TOKEN,     /* condition: a notification for the ticket `about` */
    ISTHMUS_WAIT_ROUND,     /* barrier: the end of the round `about` */
    ISTHMUS_WAIT_GATE,      /* readers-writer lock: for reading */
    ISTHMUS_WAIT_READERS    /* the same, by its writer: that they have left; or had their turn */
};

/* One thing. The caller fills in `primitive`, `side`, `about`; the rest is zero at first. */
struct isthmus_waited {
    struct isthmus_primitive *primitive; /* of a queue or topic: that of its struct isthmus_ring */
    uint32_t side;                       /* enum isthmus_side */
    int ready;                           /* 1: ready; 0: not; less: -errno */
    uint64_t about;
    uint32_t seen;  /* of an event: as it was at the first look */
    uint32_t *word; /* where to sleep … */
    uint32_t armed; /* … as it was at the last look, with the bit that says that we sleep */
    int held;       /* not ready, and others have what their deaths would give */
    int listed;     /* as waiting, for people */
    /* Of a queue or subscriber: as it was when nothing was there; whether that is known. */
    uint64_t seen_tail;
    uint32_t seen_returned, seen_closed;
    int looked;
    struct isthmus_write write; /* what stood in the way of room */
};

enum isthmus_how {
    ISTHMUS_LOOK,
    ISTHMUS_ARM, /* first say that somebody is about to sleep until it is ready */
    ISTHMUS_ASK  /* whether those live that have it, too: costs system calls */
};

/* 1: ready; 0: not; -EINVAL: no such side of it; less: the operation would fail with that. */
int isthmus_look(struct isthmus_waited *thing, enum isthmus_how how);

/*
 * D2 to D4 of doorbell.h, to be called after D1. 1: it is there; 0: poll; less: -errno, which the
 * operation will give, too. Without waiting, but for a guard that somebody is about to leave.
 */
int isthmus_doorbell_arm(struct isthmus_waited *thing);

static inline int isthmus_is_ring(const struct isthmus_primitive *primitive)
{
    return isthmus_ring_kind(primitive->kind);
}

static inline struct isthmus_ring *isthmus_ring_of(const struct isthmus_waited *thing)
{
    return (struct isthmus_ring *)thing->primitive; /* its first member */
}

/* Rung for as ISTHMUS_DOORBELL_ROOM? */
static inline int isthmus_waits_for_room(const struct isthmus_waited *thing)
{
    return thing->side == ISTHMUS_WAIT_ROOM || thing->side == ISTHMUS_WAIT_END;
}

#endif
