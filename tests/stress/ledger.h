/*
 * What is known about each message that was put into a queue or published: who makes one writes
 * down that it is about to, and then that it has; who gets one, likewise. Each mark is one
 * atomic operation on one word, and the rest is written by one actor only, so nobody who is
 * killed leaves anything half written. What its death makes uncertain is in its own log.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include "stress.h"

#define MESSAGES 16384u /* of one actor in one ring and round, at most */
#define BATCH 64u       /* taken together, at most */

/* entry.marks; above them the number of leases since it was put */
#define PUT 1u     /* it is there: what put it has returned */
#define GOT 2u     /* a plain get has returned with it */
#define ENDING 4u  /* somebody is about to acknowledge or remove it */
#define ENDED 8u   /* it was acknowledged, or removed after it had been set aside */
#define DOUBT 16u  /* somebody died who may have got it */
#define AGAIN 32u  /* it was set aside and is put back */
#define LEASE 256u /* one more */

struct entry {
    uint32_t marks;
    uint32_t holder; /* identity of who has leased it; 0: nobody */
    uint32_t mover;  /* identity of who has put it back last */
};

/* One message, by who put it. */
struct mark {
    uint32_t actor, number;
};

/* What one actor did and does in one ring. Only `entries` are written by others as well. */
struct log {
    uint32_t next;  /* the number of its next message */
    uint32_t begun; /* numbers below may have been put */
    uint32_t taking;
    struct mark taken[BATCH]; /* the first `taking` of them may be its own by now */
    uint32_t copying;         /* a message that it does not know may be */
    struct entry entries[MESSAGES];
};

/* For the summary. */
struct tally {
    uint64_t put, got, leased, acknowledged, given_back, redelivered, set_aside;
    uint64_t received, viewed, missed, evicted;
};

/* What is known of one ring. */
struct accounts {
    uint64_t lost; /* messages that somebody who died may have got, unknown which */
    struct tally tally;
    struct log logs[ACTORS];
};
extern struct accounts *accounts; /* one for each ring */

/* The start of each message. The rest follows from it. */
struct message {
    uint32_t ring, actor, number, size;
    uint64_t check;
};

/* Shared by all processes; before anything is forked. */
void ledger_map(void);
/* For a new round. */
void ledger_clear(void);
/* An actor is gone. */
void ledger_forget(unsigned actor);
/* At the end: every message that was put has come out, or was on its way to one that died. */
void ledger_require_complete(unsigned ring);
/* Messages that were put for sure, and those that may have been. */
void ledger_count(unsigned ring, uint64_t *put, uint64_t *perhaps);

/* Some size for a message, the own log, and the number of the next message; -1: no more. */
uint32_t some_size(struct self *self, unsigned ring);
struct log *own_log(const struct self *self, unsigned ring);
/* So many messages are about to be put: 0: there is no room for them in the ledger. */
unsigned may_put(const struct self *self, unsigned ring, unsigned count);
/* So many of them were put. */
void have_put(const struct self *self, unsigned ring, unsigned count);
/* Make the message with number log.next + `ahead`. */
void fill(const struct self *self, unsigned ring, unsigned ahead, void *memory, uint32_t size);

/* Whole, and one that was put into this ring; its head into *message. Fails otherwise. */
void require_whole(unsigned ring, const void *memory, uint64_t size, struct message *message);
struct entry *entry_of(unsigned ring, const struct message *message);
/* It has been taken for good, by a get. */
void have_got(unsigned ring, const struct message *message);
/* It is leased by this actor from now on, who has waited since `began`. */
void have_leased(struct self *self, unsigned ring, const struct message *message,
                 const struct isthmus_record *record, uint64_t began);

#endif
