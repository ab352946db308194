/*
 * Doorbells: src/core/doorbell.h, together with the eventcount that queues and topics wait by
 * (eventcount.h), and with the lock that a look for a message may find taken (readiness.c).
 *
 * Properties
 *   wake-ups    Without deaths, and without slices or timers, nobody waits for ever while there is
 *               a message: neither on the futex nor on a descriptor, whoever else leaves.
 *   recovery    The same with deaths at any step: who sleeps on the futex looks again at the end
 *               of a slice; who waits on a descriptor looks again only when it is rung for, or told
 *               of a death, and once more after that.
 *   rest        In the end nobody is rung for any more: those that look do not for ever keep
 *               each other looking.
 *
 * Who is there
 *   LISTENERS threads that take GETS messages each and wait by doorbell, of which the first LEAVERS
 *   may be cancelled between any two calls; with AGAIN each of them may be, once, and waits anew.
 *   TAKERS that take as many and sleep on the futex; GIVERS that put PUTS each. Each is a process
 *   of its own.
 *
 * Left out
 *   Room: doorbell_room.pml; that the ring may be full. Leases. Stores that stay in a processor for
 *   a while: eventcount.pml. Those that sleep until the lock is free: mutex.pml,
 *   and doorbell_lock.pml. That a sweep is left to another that has just begun one, and may have
 *   come too early: the next look is later. To take a message is one call, which is not cancelled
 *   half way.
 *
 * CHECK wake-ups: LISTENERS=2 TAKERS=0 GETS=1 GIVERS=1 PUTS=3
 * CHECK LONG wake-ups, two that sleep: LISTENERS=1 TAKERS=2 GETS=1 GIVERS=1 PUTS=3
 * CHECK wake-ups, two givers: LISTENERS=1 TAKERS=1 GETS=1 GIVERS=2 PUTS=1
 * CHECK wake-ups, again and again: LISTENERS=1 TAKERS=1 GETS=2 GIVERS=1 PUTS=4
 * CHECK wake-ups, one leaves: LISTENERS=2 TAKERS=0 GETS=1 GIVERS=2 PUTS=1 LEAVERS=1
 * CHECK LONG wake-ups, leaves, sleeps: LISTENERS=2 TAKERS=1 GETS=1 GIVERS=1 PUTS=2 LEAVERS=1
 * CHECK rest: LISTENERS=2 TAKERS=0 GETS=1 GIVERS=1 PUTS=1 LIVENESS
 * CHECK recovery: LISTENERS=1 TAKERS=1 GETS=1 GIVERS=1 PUTS=2 DEATHS=1 SLICES
 * CHECK recovery, by doorbell alone: LISTENERS=2 TAKERS=0 GETS=1 GIVERS=1 PUTS=1 DEATHS=1
 * CHECK LONG recovery, by doorbell alone, more: LISTENERS=2 TAKERS=0 GETS=1 GIVERS=1 PUTS=2 DEATHS=1
 * CHECK recovery, waits anew: LISTENERS=1 TAKERS=1 GETS=1 GIVERS=1 PUTS=2 DEATHS=1 SLICES AGAIN
 * CHECK LONG recovery, two die: LISTENERS=2 TAKERS=0 GETS=1 GIVERS=1 PUTS=2 DEATHS=2
 * CHECK LONG recovery, one leaves: LISTENERS=2 TAKERS=0 GETS=1 GIVERS=1 PUTS=2 LEAVERS=1 DEATHS=1
 * MUST FAIL LISTENERS=1 TAKERS=0 GETS=1 GIVERS=1 PUTS=1: HANG_AFTER_LOOK
 * MUST FAIL LISTENERS=1 TAKERS=0 GETS=1 GIVERS=1 PUTS=1: SAY_AFTER_LOOK
 * MUST FAIL LISTENERS=1 TAKERS=1 GETS=1 GIVERS=1 PUTS=2: SAY_BEFORE_HANGING
 * MUST FAIL LISTENERS=1 TAKERS=0 GETS=1 GIVERS=1 PUTS=1: READ_AFTER_LOOK
 * MUST FAIL LISTENERS=1 TAKERS=0 GETS=1 GIVERS=1 PUTS=1: RING_BEFORE_COMMIT
 * MUST FAIL LISTENERS=1 TAKERS=1 GETS=1 GIVERS=2 PUTS=1: RING_BEFORE_TAKING
 * MUST FAIL LISTENERS=1 TAKERS=1 GETS=1 GIVERS=2 PUTS=1: RING_BEFORE_CLEARING
 * MUST FAIL LISTENERS=2 TAKERS=0 GETS=1 GIVERS=1 PUTS=1 LEAVERS=1: RING_ONE
 * MUST FAIL LISTENERS=2 TAKERS=0 GETS=1 GIVERS=1 PUTS=1 LEAVERS=1: UNHANG_ON_LEAVING
 * MUST FAIL LISTENERS=1 TAKERS=0 GETS=1 GIVERS=1 PUTS=1: TAKE_WITHOUT_RINGING
 * MUST FAIL LISTENERS=1 TAKERS=1 GETS=1 GIVERS=1 PUTS=2: NO_RING_AT_UNLOCK
 * MUST FAIL LISTENERS=1 TAKERS=0 GETS=1 GIVERS=1 PUTS=1 DEATHS=1: NOT_TOLD
 * MUST FAIL LISTENERS=2 TAKERS=0 GETS=1 GIVERS=1 PUTS=2 DEATHS=1: LOOK_ONCE
 * MUST FAIL LISTENERS=1 TAKERS=1 GETS=1 GIVERS=1 PUTS=2 DEATHS=1 SLICES: UNCHANGED_FIRST
 * MUST FAIL LISTENERS=2 TAKERS=0 GETS=1 GIVERS=1 PUTS=2 DEATHS=1: BEGIN_CALMLY
 * MUST FAIL LISTENERS=1 TAKERS=1 GETS=1 GIVERS=1 PUTS=2 DEATHS=1 SLICES AGAIN: CALM_WHEN_ANEW
 * MUST FAIL LISTENERS=2 TAKERS=0 GETS=1 GIVERS=1 PUTS=0 LIVENESS: ALWAYS_TRY
 */
#define THREADS (LISTENERS + TAKERS + GIVERS)
#define PROCESSES THREADS
#define FUTEXES 1
#define SLOTS 1
#define THREADS_OF(p) (1 << (p))
#define FORGET left = 0; result = 0; seen = 0

inline mourn(p)
{
    skip
}

#include "inotify.pml"

#ifndef LEAVERS
#define LEAVERS 0
#endif

#define SLEEPERS 1

/* What the last look found; 0: there was none since one was rung for, or has taken. */
#define NOTHING 1
#define THERE 2

byte tail, head;
byte event;            /* isthmus_shared_cursors.arrival */
byte lock;             /* owner + 1: of isthmus_shared_cursors.consumer */
bool waiters;          /* its bit ISTHMUS_WORD_WAITERS */

#if DEATHS
#define FREE_FOR(asks) (lock == 0 || ((asks) && released[lock - 1]))
#else
#define FREE_FOR(asks) (lock == 0)
#endif

/* ---- Who brings it ----------------------------------------------------------------------- */

inline notify()
{
#ifdef RING_BEFORE_CLEARING
    if
    :: event & SLEEPERS -> ring()
    :: else
    fi;
#endif
    if
    /* As above; and an attempt that fails is a look. */
    /* eventcount.h isthmus_notify: if (isthmus_load_u32(word) & ISTHMUS_EVENT_SLEEPERS)
       isthmus_wake_sleepers(ring, word, count) */
    /* eventcount.c isthmus_wake_sleepers: uint32_t found = isthmus_load_u32(word) */
    /* eventcount.c isthmus_wake_sleepers: isthmus_swap_u32(word, &found, (found + 2) &
       ~ISTHMUS_EVENT_SLEEPERS) */
    :: atomic { event & SLEEPERS -> event = (event + 2) & 254 }; /* R2 */
#ifndef RING_BEFORE_CLEARING
        /* eventcount.c isthmus_wake_sleepers: isthmus_ring_doorbells(&ring->primitive, word ==
           &ring->cursors->arrival ? ISTHMUS_DOORBELL_READY : ISTHMUS_DOORBELL_ROOM) */
        ring();
#endif
        /* eventcount.c isthmus_wake_sleepers: isthmus_os_futex_wake(word, count) */
        futex_wake_one(0)
    :: !(event & SLEEPERS)
    fi
}

/* Of `consumer`. */
inline unlock()
{
    if
    /* ring.h isthmus_ring_unlock: if (isthmus_exchange_u32(word, 0) & ISTHMUS_WORD_WAITERS)
       isthmus_wake(&ring->primitive, word, 1) */
    :: atomic { waiters -> lock = 0; waiters = false };
#ifndef NO_RING_AT_UNLOCK
        /* doorbell.h isthmus_wake: isthmus_ring_doorbells(primitive, ISTHMUS_DOORBELL_READY |
           ISTHMUS_DOORBELL_ROOM) */
        ring()
        /* left out: doorbell.h isthmus_wake: isthmus_os_futex_wake(word, count) */
#endif
    :: atomic { !waiters -> lock = 0 }
    fi
}

/* By the owner of `consumer`: take one, if takes is 1, or only look. */
inline look(takes)
{
    d_step {
        if
        :: tail != head ->
            head = head + takes;
            left = left - takes;
            result = (takes -> 0 : THERE)
        :: else ->
            seen = tail + 1;
            result = (takes -> 0 : NOTHING)
        fi
    };
    unlock()
}

proctype giver(byte me; byte p)
{
    byte result, seen;
    byte left = PUTS;
    {
        do
#ifdef RING_BEFORE_COMMIT
        :: left -> notify(); atomic { tail++; left-- }
#else
        /* ring_write.c isthmus_write_commit: end_write(ring); if (count) isthmus_notify(ring,
           &cursors->arrival */
        :: atomic { left -> tail++; left-- }; /* R1 */
            notify()
#endif
        :: !left -> break
        od;
        finished = finished | BIT(me)
    } UNTIL_KILLED
}

/* ---- Who waits by doorbell --------------------------------------------------------------- */

inline say() /* D3 */
{
    /* readiness.c look_for_message: if (arming) thing->armed =
       isthmus_prepare_to_sleep(thing->word) */
    /* eventcount.h isthmus_prepare_to_sleep: isthmus_or_u32(word, ISTHMUS_EVENT_SLEEPERS) |
       ISTHMUS_EVENT_SLEEPERS */
    event = event | SLEEPERS
}

/* That a look cannot find anything new. That it can stays so until it is made. */
#ifdef ALWAYS_TRY
#define UNCHANGED false
#elif defined(UNCHANGED_FIRST)
#define UNCHANGED (seen == tail + 1)
#else
/* readiness.c message_of_the_dead: if (ring->primitive.kind == ISTHMUS_KIND_QUEUE)
   isthmus_queue_sweep(ring, 0); if (unchanged(thing)) return 0 */
/* readiness.c held_by_consumers: (isthmus_load_u32(&ring->cursors->consumer) &
   ISTHMUS_WORD_OWNER) != 0 */
/* left out: readiness.c held_by_consumers: isthmus_load_u64(&ring->cursors->out) != 0 */
/* queue.c isthmus_queue_sweep: isthmus_peek_u32(&queue->cursors->consumer) == 0 */
#define UNCHANGED (seen == tail + 1 && !(asks && lock))
#endif

inline look_for_message() /* D4 */
{
    do
    /* readiness.c unchanged: isthmus_load_u64(&cursors->tail) == thing->seen_tail */
    /* left out: readiness.c unchanged: isthmus_load_u32(&cursors->returned) ==
       thing->seen_returned && isthmus_load_u32(&cursors->closed) == thing->seen_closed */
    /* readiness.c look_for_message: if (unchanged(thing)) return 0 */
    :: atomic { UNCHANGED -> result = NOTHING; asks = false; break }
    /* readiness.c look_for_message: result = try_to_read(thing, 0) */
    /* readiness.c message_of_the_dead: try_to_read(thing,
       isthmus_deadline_after(ISTHMUS_PATIENCE_NS)) */
    :: atomic { !UNCHANGED && FREE_FOR(asks) -> lock = me + 1; asks = false };
        look(0);
        break
    :: !UNCHANGED && !FREE_FOR(asks) ->
        atomic {
            if
            /* readiness.c look_at_word: uint32_t found = isthmus_load_u32(word) */
            /* readiness.c look_at_word: isthmus_swap_u32(word, &found, found | WAITERS) */
            :: lock -> waiters = true; result = NOTHING; asks = false; break
            /* readiness.c look_for_message: while (result == -EBUSY && look_at_word(thing, busy,
               arming)) */
            :: else
            fi
        }
    od
}

proctype listener(byte me; byte p)
{
    byte result, seen;
    bool asks, anxious, again;
    byte left = GETS;
    {
        watch();
        do
        :: atomic {
            left && result != THERE && (result != NOTHING || queue[me] || LATE_LOOK) -> /* D5 */
            result = 0;
#ifndef READ_AFTER_LOOK
            read_empty();
#endif
#ifdef CALM_WHEN_ANEW
            asks = asks || again; /* which does not help */
#endif
        };
#ifdef HANG_AFTER_LOOK
            say(); look_for_message(); hang()
#elif defined(SAY_AFTER_LOOK)
            hang(); look_for_message(); say()
#elif defined(SAY_BEFORE_HANGING)
            say(); hang(); look_for_message()
#else
            hang(); say(); look_for_message()
#endif
#ifdef READ_AFTER_LOOK
            ; read_empty()
#endif
        /* One call, which waits for those that are about to be done, as long as it is patient. */
        :: atomic { result == THERE && FREE_FOR(true) -> lock = me + 1 }; look(1)
#ifndef LIVENESS
        :: atomic { result == THERE && !FREE_FOR(true) -> result = 0 }
#endif
        :: !left || me < LEAVERS -> break
#ifdef AGAIN
        /* Another wait begins on the same descriptor, which is watching all the time. */
        :: atomic {
            result && !again ->
            again = true;
            result = 0;
            seen = 0;
#ifdef CALM_WHEN_ANEW
            anxious = false
#endif
        }
#endif
        od;
        atomic {
            seen = 0; result = 0; left = 0; asks = false; anxious = false;
            /* The bits stay: they may be those of others as well. */
#ifdef UNHANG_ON_LEAVING
            doorbells = false;
#endif
            watching[me] = false;
            queue[me] = 0;
            finished = finished | BIT(me)
        }
    } UNTIL_KILLED
}

/* ---- Who sleeps on the futex: as in eventcount.pml --------------------------------------- */

inline await()
{
    do
    :: atomic { event = event | SLEEPERS; found = event };
        if
        :: seen != tail + 1 ->
            if
            :: slept && tail + 1 - seen != 1 -> futex_wake_one(0)
            :: else
            fi;
            break
        :: else
        fi;
        futex_sleep(0, event == found);
        slept = true;
        if
        :: AWAKE(0)
        :: atomic { SLICE_ENDS(0) && seen != tail + 1 -> rouse(0) }
        fi
    od;
    atomic { found = 0; slept = false; seen = 0 }
}

proctype taker(byte me; byte p)
{
    byte found, result, seen;
    bool slept;
    byte left = GETS;
    {
        do
        :: atomic { left && FREE_FOR(true) -> lock = me + 1 };
            look(1);
            if
            :: seen -> await()
            :: else
            fi
        :: !left -> break
        od;
        finished = finished | BIT(me)
    } UNTIL_KILLED
}

init
{
    byte i;
    atomic {
        do
        :: i < LISTENERS -> run listener(i, i); i++
        :: i >= LISTENERS && i < LISTENERS + TAKERS -> run taker(i, i); i++
        :: i >= LISTENERS + TAKERS && i < THREADS -> run giver(i, i); i++
        :: else -> break
        od;
        i = 0;
        LET_DIE
    };
    timeout;
    do
    /* wake-ups, recovery: no message is left lying before one who waits for it */
    :: i < LISTENERS + TAKERS -> assert(finished & BIT(i) || tail == head); i++
    :: else -> break
    od
}

#ifdef LIVENESS
ltl rest { <> [] (queue[0] == 0 && queue[LISTENERS - 1] == 0) }
#endif
