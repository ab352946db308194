/*
 * What was put into a ring and what came out of it, when some of those that did it died. It
 * is shared by all processes of a case, and written around the calls that it is about, so that
 * afterwards it is known what must, what may and what must not have happened:
 *
 *     put, and the call has returned       comes out exactly once
 *     the call had begun                   comes out once or not at all; of a batch all or none
 *     taken by one that died in the call   may be gone
 */
#ifndef LEDGER_H
#define LEDGER_H

#include "rings.h"

#define LEDGER_WHO 4u
#define LEDGER_MESSAGES 100u

/* Who puts what. */
enum ledger_who {
    LEDGER_OWN,
    LEDGER_VICTIM,
    LEDGER_COMPANION,
    LEDGER_SECOND
};

struct ledger {
    uint32_t begun[LEDGER_WHO]; /* messages before this number may have been put */
    uint32_t put[LEDGER_WHO];   /* before this one: have been */
    uint32_t taking;            /* messages that a call of one that may die is taking */
    uint32_t acknowledging;     /* that was a lease's acknowledgement */
    uint32_t reordered;         /* some were put back */
    uint32_t doubled;           /* so many, at most, came out twice: see ledger_put_back() */
    uint32_t lossy;             /* a subscriber that is overwritten: anything may be missing */
    unsigned char got[LEDGER_WHO][LEDGER_MESSAGES];
};

/* Put the next messages of `who`: one by one; or several together. */
void ledger_put(struct isthmus_ring *ring, enum ledger_who who, uint32_t count);
int ledger_put_until(struct isthmus_ring *ring, enum ledger_who who, uint64_t deadline);
int ledger_try(struct isthmus_ring *ring, enum ledger_who who);
void ledger_fill(struct isthmus_ring *ring, enum ledger_who who);
void ledger_reserve(struct isthmus_ring *ring, struct isthmus_write *write, enum ledger_who who,
                    uint32_t count);
void ledger_commit(struct isthmus_ring *ring, struct isthmus_write *write, enum ledger_who who);

/* Take one: by a plain read; several by one read; by a lease that is acknowledged. */
int ledger_get(struct isthmus_ring *ring, uint64_t deadline);
int ledger_get_batch(struct isthmus_ring *ring, uint32_t most);
void ledger_acknowledge(struct isthmus_ring *queue, const struct isthmus_record *record);
/* Drop one that is ready: it counts as come out. */
int ledger_drop(struct isthmus_ring *queue, const struct isthmus_record *record);
/* Who dies putting one back may leave it in both places. */
int ledger_put_back(struct isthmus_ring *queue, uint64_t sequence);
/* One that has come out, whichever way. */
void ledger_note(const void *bytes, uint64_t size);

/* Take all that is ready or will be, in order, and report it as done. */
void ledger_drain_queue(struct isthmus_ring *queue);
/* Read all that is there for a subscriber. */
void ledger_drain_topic(struct isthmus_ring *topic);
/* Compare; and say in stage->outcome what has happened, as far as messages tell it. */
void ledger_check(void);

/* The messages of the victim's batch came out all, or none did. */
void ledger_check_all_or_none(enum ledger_who who);

#endif
