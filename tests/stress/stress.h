/*
 * Processes that use all kinds of primitives, queues and topics at once and are killed at random,
 * and what must hold all the same. Nobody trusts them here: all that is known about who is where
 * and has what stands in memory of this program's own.
 *
 *     stress.c     the supervisor: rounds, processes, kills, the watchdog, the summary
 *     worker.c     the life of a process that is killed
 *     warden.c     the process that is not: keeps things going, checks at the end
 *     objects.c    what there is, and how each is opened
 *     deeds_*.c    what is done with each kind, and what is checked at it
 *     ledger.c     what became of each message
 *     summary.c    what happened in all
 *     diagnose.c   who holds what, when something hangs
 *
 * An actor is one flow of control: a thread of a worker, or a child that a worker forked.
 * Its state is written by itself; when it is about to be killed, it is doomed first, and so
 * whatever follows from its death happens when everybody can know.
 */
#ifndef STRESS_H
#define STRESS_H

#include <isthmus/isthmus.h>
#include <stddef.h>
#include <sys/types.h>

#define PROCESSES 32u /* workers, at most */
#define PER_PROCESS 3u
#define WARDEN PROCESSES
#define ACTORS ((PROCESSES + 1) * PER_PROCESS)
/* Every worker and a child of each, and the warden. */
#define PARTICIPANTS (2 * PROCESSES + 2)
#define FIRST_RING 25u /* the objects from here on are queues and topics */
#define RINGS 8u
#define OBJECTS (FIRST_RING + RINGS)
#define ROUNDS_KEPT 8192u
#define WORDS 8u
#define BUFFER_CAPACITY 3u
#define BUCKETS 24u

enum place {
    NAMED,
    ANONYMOUS,
    PLACED
};

struct self;

/*
 * One of the objects of a round. A named one that is kept is held by the warden, so that it never
 * starts anew; a fleeting one is opened for every use, by each actor for itself.
 */
struct object {
    const char *label;
    uint32_t kind, flags;
    enum place place;
    enum {
        COMES_AND_GOES,
        KEPT,
        FLEETING
    } lasts;
    void (*deed)(struct self *self, unsigned object);
    void (*forget)(unsigned object, unsigned actor); /* of one that is gone */
    void (*tend)(struct self *warden, unsigned object);
    void (*conclude)(struct self *warden, unsigned object);
};
extern const struct object objects[OBJECTS];

/* What one actor is and does. Doomed before it is killed; life grows when it is another. */
struct actor {
    uint32_t doomed, life;
    uint64_t killed_ns;
    const char *deed; /* the same address in all processes: all are forked */
    uint64_t began_ns;
    uint64_t deeds;
    uint32_t object;
};

/* What a lock protects. All but `inside` is written only by the owner. */
struct exclusive {
    uint32_t inside;    /* identity of who is in there */
    uint32_t dirty;     /* between the steps of a change */
    uint32_t abandoned; /* the next one must be told */
    uint64_t counter, copy;
    uint64_t report[ACTORS];
};

/* What is known about one object. */
struct facts {
    struct exclusive exclusive;
    uint32_t census[ACTORS]; /* version << 8 | what the actor has of it */
    int64_t report[ACTORS], pending[ACTORS];
    uint64_t produced[ACTORS], consumed[ACTORS], stored;
    uint64_t notified, woken, waiting;
    uint64_t unsure; /* changes that may or may not have been made by one that was killed */
    uint64_t owed;   /* permits that the warden gives back for the dead */
    uint64_t words[WORDS];
    uint64_t rounds[ROUNDS_KEPT];
};

/* Shared by all processes of this program. */
struct stress {
    uint64_t seed;
    unsigned round, processes;
    uint32_t parties, permits;
    uint32_t kill_odds; /* one in so many steps of the core; 0: never */
    uint64_t patience_ns;
    pid_t supervisor;
    char tag[64];     /* in the names of all that there is in this round */
    char segment[96]; /* name of the one in which things are placed */
    int descriptors[OBJECTS];
    uint32_t ready, stop, finish, failed;
    uint64_t deaths, takeovers, forks;
    uint64_t longest_ns, latencies[BUCKETS]; /* from death, or the start of the wait */
    struct actor actors[ACTORS];
    struct facts facts[OBJECTS];
};
extern struct stress *stress;

/* One actor, as it knows itself. */
struct self {
    unsigned actor;
    uint32_t identity;
    uint64_t random;
    uint64_t steps; /* another random state: when to die */
    int alone;      /* no other thread uses the handles: they may be closed and forked */
    int child;      /* was forked by a worker */
    struct isthmus_primitive *handles; /* of the objects before the rings */
    struct isthmus_ring *rings;
    struct hearing *hearings; /* what it knows as a subscriber of each ring */
    struct isthmus_segment *segment;
    uint64_t fresh[RINGS];         /* of each queue: 1 + the highest number that it got */
    uint32_t heard[RINGS][ACTORS]; /* 1 + the last message that it got from each */
};

/* ---- Shared words: sequentially consistent, so that a death finds them in program order ----- */

#define get(word) __atomic_load_n(word, __ATOMIC_SEQ_CST)
#define put(word, value) __atomic_store_n(word, value, __ATOMIC_SEQ_CST)
#define add(word, value) __atomic_fetch_add(word, value, __ATOMIC_SEQ_CST)
#define exchange(word, value) __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST)

/* ---- For all (worker.c) --------------------------------------------------------------------- */

uint64_t now_ns(void);
uint32_t pick(struct self *self, uint32_t below);
/* Say what is wrong and end it all. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define REQUIRE(condition, object)                                                                 \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail("%s: %s does not hold (%s:%d)", objects[object].label, #condition, __FILE__,      \
                 __LINE__);                                                                        \
    } while (0)
/* A result that is none of those that there can be. */
_Noreturn void unexpected(unsigned object, const char *what, int result);

/* For the watchdog: what this actor does now; NULL: nothing. */
void begin(struct self *self, const char *deed, unsigned object);
/* Try only, for a moment, or for ever. */
uint64_t some_deadline(struct self *self);
/* Nothing, or a moment, as it comes: so that others get in between, if they can. */
void linger(struct self *self);
/* Is the one with this identity dead, or about to be killed? */
int is_doomed(uint32_t identity);
/* Actors will be gone in a moment, by one death. */
void doom(unsigned first, unsigned count);
/* It is gone, and somebody else may be it. */
void forget(unsigned actor);
/* Something was taken from a dead owner, for which this one has waited since `began`. */
void took_over(uint32_t from, uint64_t began);

/* What this actor has of an object, and what others have. */
void declare(struct self *self, unsigned object, unsigned what);
unsigned declared(unsigned object, unsigned actor);
/* The sum of what actors have at one moment, without the doomed; -1: it changes too fast. */
int count_declared(unsigned object, int with_doomed);

/* ---- Objects (objects.c) ----------------------------------------------------------------------
 */

struct isthmus_primitive_plan object_plan(unsigned object);
struct isthmus_ring_plan ring_plan(unsigned ring);
/* Does no publisher ever write over what a subscriber has not read? */
int ring_only_blocks(unsigned ring);
/* The handle of any object, as far as it is a participant. */
struct isthmus_primitive *handle_of(struct self *self, unsigned object);
/* Join, in a child. */
int join_object(struct self *self, unsigned object);
void close_object(struct self *self, unsigned object);
uint64_t object_offset(unsigned object);
void object_name(unsigned object, char name[160]);
size_t segment_size(void);
void open_object(struct self *self, unsigned object);
void open_all(struct self *self);
void close_all(struct self *self);

/* An object as it is, for reading, without taking part. */
struct glimpse {
    const struct isthmus_shared_primitive *shared;
    uint64_t place;
    int fd;
    void *mapping;
    size_t mapped;
};
void glance(unsigned object, struct glimpse *glimpse);
void look_away(struct glimpse *glimpse);

/* ---- Deeds ------------------------------------------------------------------------------------
 */

/* Locks: also the entering and leaving of what others protect. */
void enter(struct self *self, unsigned object, unsigned facts_of, int result, uint64_t began);
void leave(struct self *self, unsigned facts_of);
int take(struct self *self, unsigned object, uint64_t deadline);
void drop(struct self *self, unsigned object);
void deed_lock(struct self *self, unsigned object);
void conclude_lock(struct self *warden, unsigned object);
void deed_fleeting(struct self *self, unsigned object);
void conclude_fleeting(struct self *warden, unsigned object);

void deed_robust(struct self *self, unsigned object);
void conclude_robust(struct self *warden, unsigned object);
void forget_declared(unsigned object, unsigned actor);
void deed_plain(struct self *self, unsigned object);
void forget_plain(unsigned object, unsigned actor);
void tend_plain(struct self *warden, unsigned object);
void conclude_plain(struct self *warden, unsigned object);

void deed_condition(struct self *self, unsigned object);
void tend_condition(struct self *warden, unsigned object);
/* The bounded buffer: its lock, then two conditions, which stand side by side. */
void deed_buffer(struct self *self, unsigned object);
void tend_buffer(struct self *warden, unsigned object);
void conclude_buffer(struct self *warden, unsigned object);

void deed_barrier(struct self *self, unsigned object);
void forget_barrier(unsigned object, unsigned actor);
void tend_barrier(struct self *warden, unsigned object);
void conclude_barrier(struct self *warden, unsigned object);

void deed_rwlock(struct self *self, unsigned object);
void conclude_rwlock(struct self *warden, unsigned object);

void deed_event(struct self *self, unsigned object);
void tend_event(struct self *warden, unsigned object);
void deed_integer(struct self *self, unsigned object);
void forget_integer(unsigned object, unsigned actor);
void tend_integer(struct self *warden, unsigned object);
void conclude_integer(struct self *warden, unsigned object);

/* Queues and topics: the ring is object FIRST_RING + its number. */
void deed_queue(struct self *self, unsigned object);
void tend_queue(struct self *warden, unsigned object);
void conclude_queue(struct self *warden, unsigned object);
void deed_fleeting_queue(struct self *self, unsigned object);
void conclude_fleeting_ring(struct self *warden, unsigned object);
/* Put or publish one message or several; what that gave. Not for ever. */
int bring(struct self *self, unsigned object, uint64_t deadline);
int bring_copy(struct self *self, unsigned object, uint64_t deadline);

/* What a subscriber has heard so far; a child that is forked goes on with it. */
struct hearing {
    int subscribed;
    uint64_t earliest, latest;   /* the number of the first message is one of these */
    uint64_t received, expected; /* so many, and the number that follows the last one's */
    uint64_t missed, before;     /* as it was told; of these, to its parent */
    uint64_t whole_from[ACTORS]; /* of each publisher, 1 + its last message; 0: not known */
};
void deed_topic(struct self *self, unsigned object);
/* In a child that has joined: its subscriptions are its own, and start where they were. */
void inherit_hearings(struct self *child);
void tend_topic(struct self *warden, unsigned object);
void conclude_topic(struct self *warden, unsigned object);
void deed_fleeting_topic(struct self *self, unsigned object);

/* ---- Processes ----------------------------------------------------------------------------------
 */

_Noreturn void live(unsigned process, uint64_t random);
_Noreturn void watch_over(uint64_t random);
/* By the supervisor: diagnose, kill and remove all, exit. */
_Noreturn void end_badly(const char *why);
/* To standard error; changes nothing. */
void diagnose(void);
/* A round is over; all are. */
void add_up(void);
void summarise(uint64_t took_ns);

#endif
