/*
 * Eventcounts: src/core/eventcount.c, as ring_read.c waits for messages and ring_write.c for room.
 *
 * Properties
 *   wake-ups    Without deaths and without slices nobody sleeps for ever while there is a message
 *               to take, or room to fill; though a commit wakes one taker only, and though its
 *               store may stay in its processor for a while.
 *   recovery    The same with deaths at any step, at the end of a slice.
 *
 * Who is there
 *   TAKERS threads, each a process of its own, that take GETS messages each, and GIVERS more that
 *   put PUTS each into a ring with room for SPACE. With SIGNALLED, a signal may end any sleep of
 *   thread 0.
 *
 * Left out
 *   The locks block, and a dead owner is as none: mutex.pml shows that it is so. The glance
 *   before the wait. That the count of wake-ups wraps around after 2^31. One that is interrupted
 *   when it has been told that there is something, and before it takes it: another that sleeps
 *   finds out at the end of its slice.
 *
 * CHECK wake-ups: TAKERS=3 GETS=1 GIVERS=1 PUTS=3 SPACE=4
 * CHECK wake-ups, full: TAKERS=1 GETS=3 GIVERS=3 PUTS=1 SPACE=1
 * CHECK wake-ups, both: TAKERS=2 GETS=1 GIVERS=2 PUTS=1 SPACE=1
 * CHECK wake-ups, again and again: TAKERS=2 GETS=2 GIVERS=1 PUTS=4 SPACE=2
 * CHECK wake-ups, signals: TAKERS=3 GETS=1 GIVERS=1 PUTS=3 SPACE=4 SIGNALLED
 * CHECK recovery: TAKERS=2 GETS=1 GIVERS=1 PUTS=2 SPACE=1 DEATHS=1 SLICES
 * MUST FAIL TAKERS=3 GETS=1 GIVERS=1 PUTS=3 SPACE=4: NO_CHAIN
 * MUST FAIL TAKERS=3 GETS=1 GIVERS=1 PUTS=3 SPACE=4: NO_BIT_AFTER_SLEEP
 * MUST FAIL TAKERS=2 GETS=1 GIVERS=1 PUTS=2 SPACE=4: NOTIFY_BEFORE_UNLOCK
 * MUST FAIL TAKERS=2 GETS=1 GIVERS=1 PUTS=2 SPACE=4: LOOK_BEFORE_BIT
 * MUST FAIL TAKERS=2 GETS=1 GIVERS=1 PUTS=2 SPACE=4: SLEEP_WITHOUT_COMPARING
 * MUST FAIL TAKERS=2 GETS=1 GIVERS=1 PUTS=2 SPACE=4: WAKE_UPS_UNCOUNTED
 * MUST FAIL TAKERS=1 GETS=2 GIVERS=2 PUTS=1 SPACE=1 DEATHS=1: NO_SLICES
 */
#ifdef NO_SLICES
#undef SLICES
#endif
#define THREADS (TAKERS + GIVERS)
#define PROCESSES THREADS
#define FUTEXES 2
#define SLOTS 1
#define THREADS_OF(p) (1 << (p))
#define FORGET found = 0; left = 0; seen = 0; slept = 0; interrupted = 0

inline mourn(p)
{
    skip
}

#include "kernel.pml"

#define SLEEPERS 1

/* The two eventcounts. */
#define ARRIVAL 0
#define ROOM 1

byte tail, head;
byte lock[2];  /* owner + 1: of `consumer`, of `producer` */
byte event[2]; /* isthmus_shared_cursors.arrival, .room */
bool late[2];  /* a store to head, by who owns `consumer`, or tail, that nobody sees yet */

#if DEATHS
#define LOCK_FREE(e) ((lock[e] == 0 || dead[lock[e] - 1]) && !late[e])
#else
#define LOCK_FREE(e) (lock[e] == 0)
#endif

#ifdef SIGNALLED
#define SIGNAL_COMES (me == 0)
#else
#define SIGNAL_COMES false
#endif

/* Of a queue that nothing else happens to. */
#define THERE(e) ((e) == ARRIVAL -> tail != head : tail - head < SPACE)
/* As it was when we looked. */
#define SAW(e) ((e) == ARRIVAL -> seen != head : tail - seen < SPACE)
#define OWN_VIEW(e) ((e) == ARRIVAL -> tail : head)
/* ring_read.c arrived: return isthmus_load_u64(&cursors->tail) != read->seen_tail */
/* left out: ring_read.c arrived: isthmus_load_u32(&cursors->returned) != read->seen_returned */
/* left out: ring_read.c arrived: isthmus_load_u32(&cursors->closed) */
/* ring_write.c isthmus_write_moved: return isthmus_load_u64(&cursors->head) != write->seen */
/* left out: ring_write.c isthmus_write_moved: isthmus_load_u32(&cursors->closed) */
#define CHANGED(e) (OWN_VIEW(e) != seen)

/* When a store becomes visible to others is not said. */
active proctype processor()
{
end:
    do
    :: atomic { late[ARRIVAL] -> head++; late[ARRIVAL] = false }
    :: atomic { late[ROOM] -> tail++; late[ROOM] = false }
    od
}

inline notify(e)
{
    if
    /* eventcount.h isthmus_notify: if (isthmus_load_u32(word) & ISTHMUS_EVENT_SLEEPERS)
       isthmus_wake_sleepers(ring, word, count) */
    :: event[e] & SLEEPERS ->
        /* eventcount.c isthmus_wake_sleepers: uint32_t found = isthmus_load_u32(word) */
        found = event[e];
        do
        :: atomic {
            found & SLEEPERS ->
            if
#ifdef WAKE_UPS_UNCOUNTED
            :: event[e] == found -> event[e] = 0; found = 254; break
#else
            /* eventcount.c isthmus_wake_sleepers: isthmus_swap_u32(word, &found, (found + 2) &
               ~ISTHMUS_EVENT_SLEEPERS) */
            :: event[e] == found -> event[e] = (found + 2) & 254; found = 254; break
#endif
            :: else -> found = event[e]
            fi
        }
        :: else -> break
        od;
        if
        /* eventcount.c isthmus_wake_sleepers: isthmus_os_futex_wake(word, count) */
        :: found == 254 && e == ARRIVAL -> futex_wake_one(e)
        :: found == 254 && e == ROOM -> futex_wake_all(e)
        :: else
        fi;
        found = 0
    :: else
    fi
}

inline pass_on(e)
{
#ifndef NO_CHAIN
    if
    /* ring_read.c pass_on: if (!topic(ring) && how_many(ring, read) != 1)
       isthmus_os_futex_wake(&ring->cursors->arrival, 1) */
    /* ring_read.c how_many: const uint64_t tail = isthmus_load_u64(&ring->cursors->tail) */
    :: e == ARRIVAL && tail - seen != 1 -> futex_wake_one(ARRIVAL)
    :: else
    fi
#else
    skip
#endif
}

inline await(e)
{
    do
    ::
#ifdef LOOK_BEFORE_BIT
        if
        :: CHANGED(e) -> break
        :: else
        fi;
        atomic { event[e] = event[e] | SLEEPERS; found = event[e] };
#else
        atomic {
#ifdef NO_BIT_AFTER_SLEEP
            event[e] = event[e] | (slept -> 0 : SLEEPERS);
#else
            /* ring_read.c isthmus_read_await: const uint32_t seen =
               isthmus_prepare_to_sleep(&ring->cursors->arrival) */
            /* ring_write.c isthmus_write_await: const uint32_t seen =
               isthmus_prepare_to_sleep(&ring->cursors->room) */
            /* eventcount.h isthmus_prepare_to_sleep: isthmus_or_u32(word,
               ISTHMUS_EVENT_SLEEPERS) | ISTHMUS_EVENT_SLEEPERS */
            event[e] = event[e] | SLEEPERS;
#endif
            found = event[e]
        };
        if
        /* ring_read.c isthmus_read_await: if (arrived(ring, read)) { if (slept) pass_on(ring,
           read); break; } */
        /* ring_write.c isthmus_write_await: if (isthmus_write_moved(ring, write)) break */
        :: CHANGED(e) ->
            if
            :: slept -> pass_on(e)
            :: else
            fi;
            break
        :: else
        fi;
#endif
        /* ring_read.c isthmus_read_await: result = isthmus_wait_sleep(&wait,
           &ring->cursors->arrival, seen); slept = 1 */
        /* ring_write.c isthmus_write_await: result = isthmus_wait_sleep(&wait,
           &ring->cursors->room, seen) */
        futex_sleep(e, event[e] == found);
        slept = true;
        if
        :: AWAKE(e)
        /* To look when there is nothing changes nothing. */
        :: atomic { SLICE_ENDS(e) && CHANGED(e) -> rouse(e) }
        /* ring_read.c isthmus_read_await: if (result < 0 && result != -ETIMEDOUT) */
        :: atomic { SIGNAL_COMES && !AWAKE(e) -> rouse(e); interrupted = true }
        fi;
        if
        :: interrupted ->
            pass_on(e);
            left = 1; /* it will not try again */
            break
        :: else
        fi
    od;
    atomic { found = 0; slept = false; seen = 0 }
}

/* To take or put one, under the lock `e` of its side. */
inline go_on(e)
{
    late[e] = true; /* the commit: a store of head or tail */
#ifdef NOTIFY_BEFORE_UNLOCK
    notify(1 - e);
    atomic { !late[e] -> lock[e] = 0 };
#else
    /* mutex.c isthmus_mutex_release: uint32_t before = isthmus_exchange_u32(word, abandoned ?
       ISTHMUS_WORD_ABANDONED : 0) */
    atomic { !late[e] -> lock[e] = 0 }; /* no later step before earlier stores are seen */
    /* ring_write.c isthmus_write_commit: end_write(ring); if (count) isthmus_notify(ring,
       &cursors->arrival */
    /* ring_read.c isthmus_read_commit: isthmus_ring_unlock(ring, &ring->cursors->consumer); if
       (read->count) isthmus_notify(ring, &ring->cursors->room, INT32_MAX) */
    notify(1 - e);
#endif
    left--
}

inline work(e)
{
    do
    :: left ->
        atomic { LOCK_FREE(e) -> lock[e] = me + 1; seen = OWN_VIEW(e) };
        if
        :: atomic { SAW(e) -> seen = 0 };
            go_on(e)
        :: else ->
            lock[e] = 0;
            await(e);
            if
            :: interrupted -> left--
            :: else
            fi
        fi
    :: else -> break
    od
}

proctype taker(byte me; byte p)
{
    byte found, seen;
    bool slept, interrupted;
    byte left = GETS;
    {
        work(ARRIVAL);
        finished = finished | BIT(me)
    } UNTIL_KILLED
}

proctype giver(byte me; byte p)
{
    byte found, seen;
    bool slept, interrupted;
    byte left = PUTS;
    {
        work(ROOM);
        finished = finished | BIT(me)
    } UNTIL_KILLED
}

#define OWED(t) (!(finished & BIT(t)) && ((t) < TAKERS -> THERE(ARRIVAL) : THERE(ROOM)))

init
{
    byte n;
    atomic {
        do
        :: n < TAKERS -> run taker(n, n); n++
        :: n >= TAKERS && n < THREADS -> run giver(n, n); n++
        :: else -> break
        od;
        n = 0;
        LET_DIE
    };
    timeout;
    do
    :: n < THREADS && OWED(n) -> assert(false) /* wake-ups, recovery */
    :: n < THREADS && !OWED(n) -> n++
    :: else -> break
    od
}
