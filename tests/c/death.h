/*
 * Death at every step of what primitives do. A program links the core built with kill
 * points and lists its acts: what a victim does, in which situation, and what the survivors
 * must find afterwards. For each act and each n, the victim is killed by SIGKILL at the n-th
 * of its kill points, until one comes through; such a one ends without closing, as any
 * process may. An act with a `second` goes further: for each death of the first victim
 * a second one acts on what the first has left, and is killed at each of its points.
 *
 * Acts run side by side in some worker processes, since they mostly wait. The order in one:
 *
 *     before (worker)    brings others about; `own` is the worker's handle
 *     prepare (victim)   `mine` is the victim's handle; not counted, not killed
 *     between (worker)   the victim is prepared, and stands still
 *     run (victim)       this is killed
 *     meanwhile (worker) until the victim is gone
 *     second (victim)    if there is one, like run; death_meanwhile for it: second_meanwhile
 *     after (worker)     the survivors, the state, what is left
 *
 * Acts with a `ring` are about queues and topics: their handles are own_ring and my_ring.
 */
#ifndef DEATH_H
#define DEATH_H

#include "ledger.h"
#include "rings.h"

struct death_act {
    const char *what;
    uint32_t kind, flags;
    int64_t value;
    const struct isthmus_ring_plan *ring; /* in place of the three above */
    uint32_t participants;                /* 0: TOGETHER_PARTICIPANTS */
    int alone;         /* the victim opens what it needs itself; the worker has no `own` */
    int kills_another; /* the worker kills another process in each case: these count as two */
    void (*before)(void);
    void (*prepare)(void);
    void (*between)(void);
    void (*run)(void);
    void (*meanwhile)(void);
    void (*second)(void);
    void (*second_meanwhile)(void);
    void (*after)(void);
};

/* What has become of that which a victim was about to do. */
enum death_outcome {
    DEATH_UNTOLD,      /* the act does not say */
    DEATH_NOTHING,     /* it did not happen */
    DEATH_HAPPENED,    /* it happened */
    DEATH_REDELIVERED, /* what it had leased is given to another one */
    DEATH_LOST,        /* what it had taken is gone with it */
    DEATH_OUTCOMES
};

/* Shared between a worker and the processes that it starts; zero at the start of each case. */
struct stage {
    struct together_area area; /* of exclusive owners */
    uint32_t reading;          /* readers that are inside */
    uint32_t reports;          /* -EOWNERDEAD, however often */
    uint32_t done;             /* companions that have got what they waited for */
    uint32_t broken;           /* of these, with -ISTHMUS_E_BROKEN */
    uint32_t passed;           /* kill points of the victim */
    uint32_t ready, go;        /* the victim is prepared; it may run */
    uint32_t slot;             /* the victim's, if it has one */
    uint32_t free[4];          /* for the acts */
    uint32_t outcome;          /* enum death_outcome, said by `after` */
    struct ledger ledger;      /* of messages */
};
extern struct stage *stage;

/* In the worker: its handle. In a victim: its own one. */
extern struct isthmus_primitive own, mine;
extern struct isthmus_ring own_ring, my_ring;
/* Of the act at hand: how many of its victims came through without dying; its kind and flags. */
extern const struct death_act *act;
/* The point at which the (first) victim is to die. */
extern unsigned death_point;

/* Run all acts, print the points of each and the totals; a test of its own. */
void death_run(const struct death_act *acts, size_t count);

/* In a process that a victim has forked: it lives on. */
void death_spare(void);

/* In the worker, while a victim runs: has it ended, or passed so many points? */
int death_gone(void);
#define UNTIL_GONE_OR(condition) UNTIL(death_gone() || (condition))
#define UNTIL_PASSED(points) UNTIL_GONE_OR(peek(&stage->passed) >= (points))

/*
 * Companions: processes with a handle of their own that must come to a good end. Joined, and
 * their end checked, by death_join_companions().
 */
void death_companion(together_work *work);
void death_ring_companion(rings_work *work);
void death_join_companions(void);

/* As many handles as the table has room for can be opened, but for `living` of them. */
void death_check_table(uint32_t living);
void death_check_ring_table(uint32_t living);

#endif
