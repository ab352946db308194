/*
 * Room in a ring, waited for by doorbell: readiness.c and doorbell.h together with the eventcount
 * that writers sleep on, and with the producer lock, which each look for room takes for a moment.
 *
 * Properties
 *   wake-ups    Without deaths, and without slices or timers, nobody waits for ever while there is
 *               room: neither on the futex nor on a descriptor, whoever else leaves.
 *   recovery    The same with deaths at any step, and also for room that somebody dead stood in
 *               the way of: who waits on a descriptor asks for the dead only when it is told of a
 *               death, or its wait begins; and later again, if somebody had it at that look.
 *   rest        In the end nobody is rung for any more: those that look do not for ever find each
 *               other at the producer lock, and ring each other.
 *
 * Who is there
 *   LISTENERS threads that put PUTS messages each and wait by doorbell, of which the first LEAVERS
 *   may be cancelled between any two calls. PUTTERS that put as many and sleep on the futex. TAKERS
 *   that take GETS each. Each is a process of its own. The ring has SPACE for messages, and is
 *   full at first. With TOPIC, the one taker is a subscriber, and who finds it dead evicts it.
 *
 * Left out
 *   Waiting for messages: doorbell.pml; takers are there when there are some. Leases, maxsize:
 *   room then comes by `out` as it does by `head`. Stores that stay in a processor for a while:
 *   eventcount.pml. Those that sleep until the lock is free: mutex.pml, and doorbell_lock.pml. That
 *   a sweep is left to another that has just begun one: the next look is later. Shutting down,
 *   pins, messages of several sizes. To put a message is one call, which is not cancelled half way.
 *
 * CHECK wake-ups: LISTENERS=2 PUTTERS=0 PUTS=1 TAKERS=1 GETS=2 SPACE=1
 * CHECK wake-ups, one that sleeps: LISTENERS=1 PUTTERS=1 PUTS=1 TAKERS=1 GETS=2 SPACE=1
 * CHECK LONG wake-ups, two takers: LISTENERS=2 PUTTERS=0 PUTS=1 TAKERS=2 GETS=1 SPACE=2
 * CHECK wake-ups, again and again: LISTENERS=1 PUTTERS=1 PUTS=2 TAKERS=1 GETS=4 SPACE=1
 * CHECK wake-ups, one leaves: LISTENERS=2 PUTTERS=0 PUTS=1 TAKERS=1 GETS=2 SPACE=1 LEAVERS=1
 * CHECK wake-ups, topic: LISTENERS=2 PUTTERS=0 PUTS=1 TAKERS=1 GETS=2 SPACE=1 TOPIC
 * CHECK rest: LISTENERS=2 PUTTERS=0 PUTS=1 TAKERS=1 GETS=1 SPACE=1 LIVENESS
 * CHECK LONG recovery: LISTENERS=1 PUTTERS=1 PUTS=1 TAKERS=1 GETS=2 SPACE=1 DEATHS=1 SLICES
 * CHECK recovery, by doorbell alone: LISTENERS=1 PUTTERS=0 PUTS=1 TAKERS=1 GETS=1 SPACE=1 DEATHS=1
 * CHECK LONG recovery, by doorbell alone, two: LISTENERS=2 PUTTERS=0 PUTS=1 TAKERS=1 GETS=1 SPACE=1 DEATHS=1
 * CHECK recovery, two takers: LISTENERS=1 PUTTERS=0 PUTS=2 TAKERS=2 GETS=1 SPACE=2 DEATHS=1
 * CHECK recovery, topic: LISTENERS=1 PUTTERS=1 PUTS=1 TAKERS=1 GETS=1 SPACE=1 TOPIC DEATHS=1 SLICES
 * CHECK LONG recovery, topic, by doorbell alone: LISTENERS=2 PUTTERS=0 PUTS=1 TAKERS=1 GETS=1 SPACE=1 TOPIC DEATHS=1
 * CHECK LONG recovery, two die: LISTENERS=1 PUTTERS=1 PUTS=1 TAKERS=1 GETS=1 SPACE=1 DEATHS=2 SLICES
 * CHECK LONG recovery, topic, two die: LISTENERS=1 PUTTERS=1 PUTS=1 TAKERS=1 GETS=1 SPACE=1 TOPIC DEATHS=2 SLICES
 * MUST FAIL LISTENERS=1 PUTTERS=0 PUTS=1 TAKERS=1 GETS=1 SPACE=1: HANG_AFTER_LOOK
 * MUST FAIL LISTENERS=1 PUTTERS=0 PUTS=1 TAKERS=1 GETS=1 SPACE=1: SAY_AFTER_LOOK
 * MUST FAIL LISTENERS=1 PUTTERS=1 PUTS=1 TAKERS=1 GETS=2 SPACE=1: SAY_BEFORE_HANGING
 * MUST FAIL LISTENERS=1 PUTTERS=0 PUTS=1 TAKERS=1 GETS=1 SPACE=1: READ_AFTER_LOOK
 * MUST FAIL LISTENERS=1 PUTTERS=0 PUTS=1 TAKERS=1 GETS=1 SPACE=1: SEEN_AFTER_LOOK
 * MUST FAIL LISTENERS=1 PUTTERS=0 PUTS=1 TAKERS=1 GETS=1 SPACE=1: RING_BEFORE_TAKING_IT
 * MUST FAIL LISTENERS=2 PUTTERS=0 PUTS=1 TAKERS=1 GETS=2 SPACE=1: BUSY_IS_FULL
 * MUST FAIL LISTENERS=2 PUTTERS=0 PUTS=1 TAKERS=1 GETS=2 SPACE=1: NO_RING_AT_UNLOCK
 * MUST FAIL LISTENERS=2 PUTTERS=0 PUTS=1 TAKERS=1 GETS=2 SPACE=1 LEAVERS=1: RING_ONE
 * MUST FAIL LISTENERS=1 PUTTERS=0 PUTS=1 TAKERS=1 GETS=1 SPACE=1: TAKE_WITHOUT_RINGING
 * MUST FAIL LISTENERS=2 PUTTERS=0 PUTS=1 TAKERS=1 GETS=0 SPACE=1 LIVENESS: ALWAYS_TRY
 * MUST FAIL LISTENERS=1 PUTTERS=0 PUTS=1 TAKERS=1 GETS=1 SPACE=1 DEATHS=1: NOT_TOLD
 * MUST FAIL LISTENERS=1 PUTTERS=0 PUTS=1 TAKERS=1 GETS=1 SPACE=1 DEATHS=1: LOOK_ONCE
 * MUST FAIL LISTENERS=1 PUTTERS=0 PUTS=1 TAKERS=1 GETS=1 SPACE=1 DEATHS=1: BEGIN_CALMLY
 * MUST FAIL LISTENERS=1 PUTTERS=0 PUTS=1 TAKERS=1 GETS=1 SPACE=1 DEATHS=1: NO_SWEEP
 * MUST FAIL LISTENERS=1 PUTTERS=1 PUTS=1 TAKERS=1 GETS=1 SPACE=1 DEATHS=1 SLICES: HELD_BY_CONSUMERS_ALONE
 * MUST FAIL LISTENERS=1 PUTTERS=0 PUTS=1 TAKERS=1 GETS=1 SPACE=1 TOPIC DEATHS=1: NO_SWEEP
 */
#define THREADS (LISTENERS + PUTTERS + TAKERS)
#define TAKER (LISTENERS + PUTTERS) /* the first one */
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

/* What the last look found; 0: there was none since one was rung for, or has put. */
#define NOTHING 1
#define THERE 2

byte tail = SPACE;
byte head;             /* isthmus_shared_cursors.head; with TOPIC isthmus_shared_seat.cursor */
byte marked;           /* up to where records are marked as done */
byte event;            /* isthmus_shared_cursors.room */
byte lock;             /* owner + 1: of isthmus_shared_cursors.producer */
bool waiters;          /* its bit ISTHMUS_WORD_WAITERS */
byte consumer;         /* owner + 1: of isthmus_shared_cursors.consumer */
bool evicted;          /* not ISTHMUS_ROLE_SUBSCRIBER in isthmus_shared_seat.role */
byte evictor;          /* who has seized the subscriber's slot, + 1 */

/* Whoever tries to get it gets it from a dead owner as well. */
#define FREE(word) ((word) == 0 || released[(word) - 1])
#define FULL (!evicted && tail - head == SPACE)

/* ring_write.c isthmus_write_moved: return isthmus_load_u64(&cursors->head) != write->seen */
/* topic.c isthmus_topic_moved: return isthmus_load_u64(&seat->cursor) != write->seen ||
   !(isthmus_load_u32(&seat->role) & ISTHMUS_ROLE_SUBSCRIBER) */
#define MOVED (seen != head + 1 || evicted)

/* ---- Who makes room ---------------------------------------------------------------------- */

inline notify()
{
    if
    /* eventcount.h isthmus_notify: if (isthmus_load_u32(word) & ISTHMUS_EVENT_SLEEPERS)
       isthmus_wake_sleepers(ring, word, count) */
    /* eventcount.c isthmus_wake_sleepers: isthmus_swap_u32(word, &found, (found + 2) &
       ~ISTHMUS_EVENT_SLEEPERS) */
    :: atomic { event & SLEEPERS -> event = (event + 2) & 254 }; /* R2 */
        /* eventcount.c isthmus_wake_sleepers: isthmus_ring_doorbells(&ring->primitive, word ==
           &ring->cursors->arrival ? ISTHMUS_DOORBELL_READY : ISTHMUS_DOORBELL_ROOM) */
        ring();
        /* eventcount.c isthmus_wake_sleepers: isthmus_os_futex_wake(word, count) */
        futex_wake_all(0)
    :: !(event & SLEEPERS)
    fi
}

/* By the next owner of `consumer`. It wakes nobody: all that wait look after a death anyway. */
inline recover()
{
    head = marked /* queue.c recover: isthmus_queue_reclaim(queue) */
}

proctype taker(byte me; byte p)
{
    byte result, seen;
    byte left = GETS;
    {
        do
#ifdef RING_BEFORE_TAKING_IT
        :: left && tail != head -> notify(); atomic { head++; left-- }
#elif defined(TOPIC)
        /* topic.c isthmus_topic_read_commit: isthmus_store_release_u64(&seat->cursor,
           read->position) */
        /* topic.c isthmus_topic_read_commit: isthmus_notify(topic, &topic->cursors->room,
           INT32_MAX) */
        :: atomic { left && tail != head -> head++; left-- }; /* R1 */
            notify()
#else
        /* ring_read.c isthmus_read_begin: result = isthmus_queue_lock(ring, deadline) */
        :: atomic {
            left && tail != marked && FREE(consumer) ->
            seen = consumer;
            consumer = me + 1
        };
            if
            :: seen -> recover()
            :: else
            fi;
            atomic { marked++; seen = 0 };
            /* queue.c isthmus_queue_reclaim: isthmus_store_release_u64(&cursors->head, head) */
            head = marked; /* R1 */
            /* ring_read.c isthmus_read_commit: isthmus_ring_unlock(ring, &ring->cursors->consumer);
               if (read->count) isthmus_notify(ring, &ring->cursors->room, INT32_MAX) */
            atomic { consumer = 0; left-- };
            notify()
#endif
        :: !left -> break
        od;
        finished = finished | BIT(me)
    } UNTIL_KILLED
}

/* ---- What the dead have left ------------------------------------------------------------- */

/* Whether to look for the dead would change anything. */
#ifdef NO_SWEEP
#define WORTH false
#elif defined(TOPIC)
#define WORTH (released[TAKER] && !evicted)
#else
#define WORTH (consumer && FREE(consumer))
#endif

inline free_of_the_dead()
{
    /* ring_write.c isthmus_write_free_of_the_dead: return ring->primitive.kind ==
       ISTHMUS_KIND_TOPIC ? isthmus_topic_evict(ring, write) : isthmus_queue_sweep(ring, 0) */
#ifdef NO_SWEEP
    skip
#elif defined(TOPIC)
    if
    /* topic.c isthmus_topic_evict: if (write->blocker < 0 || isthmus_participant_seize(primitive,
       slot)) return 0 */
    :: atomic { seen && released[TAKER] && FREE(evictor) -> evictor = me + 1 };
        /* topic.c isthmus_topic_evict: isthmus_repair(primitive, slot) */
        /* repair.c abandon_ring: isthmus_store_u32(&ring->seats[slot].role, 0) */
        evicted = true;
        notify(); /* repair.c repair_topic: isthmus_notify(topic, &topic->cursors->room,
                     INT32_MAX) */
        evictor = 0 /* topic.c isthmus_topic_evict: isthmus_participant_release(primitive, slot) */
    :: !(seen && released[TAKER] && FREE(evictor))
    fi
#else
    if
    /* queue.c isthmus_queue_sweep: isthmus_peek_u32(&queue->cursors->consumer) == 0 */
    /* queue.c isthmus_queue_sweep: if (isthmus_queue_lock(queue,
       isthmus_deadline_after(ISTHMUS_PATIENCE_NS))) return 0 */
    :: atomic { consumer && FREE(consumer) -> consumer = me + 1 };
        recover();
        consumer = 0
    :: !(consumer && FREE(consumer))
    fi
#endif
}

/* ---- Under the producer lock ------------------------------------------------------------- */

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
#endif
    :: atomic { !waiters -> lock = 0 }
    fi
}

/* Put one, if puts is 1, or only look. */
inline look(puts)
{
    /* readiness.c try_to_write: thing->looked = result == -EAGAIN */
    d_step {
        if
        :: !FULL ->
            tail = tail + puts;
            left = left - puts;
            seen = 0;
            result = (puts -> 0 : THERE)
        :: else ->
            seen = head + 1;
            result = (puts -> 0 : NOTHING)
        fi
    };
    unlock();
#ifdef SEEN_AFTER_LOOK
    seen = (seen -> head + 1 : 0)
#endif
}

/* ---- Who waits by doorbell --------------------------------------------------------------- */

inline say() /* D3 */
{
    /* To say so once more before each further attempt is not relied on. */
    /* readiness.c look_for_room: if (arming) thing->armed =
       isthmus_prepare_to_sleep(thing->word) */
    event = event | SLEEPERS
}

/*
 * What the deaths of others would give. The producer lock too: whoever is told that its owner has
 * died may find no room then, and some when the kernel has not yet taken the lock back.
 */
#ifdef HELD_BY_CONSUMERS_ALONE
/* readiness.c held_from_writers: (isthmus_load_u32(&ring->cursors->producer) & ISTHMUS_WORD_OWNER) != 0 */
#define HELD (consumer != 0)
#elif defined(TOPIC)
#define HELD (seen != 0 || lock != 0)
#else
#define HELD (consumer != 0 || lock != 0)
#endif

#ifdef ALWAYS_TRY
#define UNMOVED false
#else
#define UNMOVED (!MOVED)
#endif

inline look_for_room(arms) /* D4 */
{
    do
    ::  if
        /* readiness.c look_for_room: thing->held = held_from_writers(thing) */
        :: atomic { asks -> held = HELD }
        :: !asks /* nobody looks at it */
        fi;
        if
        /* readiness.c look_for_room: if (thing->looked &&
           !isthmus_write_moved(isthmus_ring_of(thing), &thing->write)) return 0 */
        :: atomic { seen && UNMOVED -> result = NOTHING }
        /* readiness.c look_for_room: result = try_to_write(thing, 0); thing->held =
           held_from_writers(thing) */
        :: atomic { !(seen && UNMOVED) && FREE(lock) -> lock = me + 1; seen = 0 };
            look(0);
            held = asks && HELD
        /* readiness.c try_to_write: thing->looked = 0; int result = isthmus_write_begin(ring,
           &thing->write, 0, deadline); if (result) return result */
        :: atomic { !(seen && UNMOVED) && !FREE(lock) -> seen = 0 };
            atomic {
                if
                /* readiness.c look_for_room: while (result == -EBUSY && look_at_word(thing,
                   &cursors->producer, arming)) */
#ifdef BUSY_IS_FULL
                :: lock -> held = asks; result = NOTHING
#else
                :: lock -> held = asks; waiters = waiters || arms; result = NOTHING
#endif
                :: else
                fi
            }
        fi;
        if
        :: result -> break
        :: else /* it is free by now */
        fi
    od
}

/* Left by the dead? The timer is set whenever somebody had it at a look that asked. */
inline ask()
{
    /* readiness.c isthmus_look: const int found = look_at(thing, how == ISTHMUS_ARM); return found
       == 0 && how == ISTHMUS_ASK ? left_by_the_dead(thing) : found */
    result = 0;
    look_for_room(false);
    if
    :: result == NOTHING ->
        /* readiness.c room_of_the_dead:
           isthmus_write_free_of_the_dead(isthmus_ring_of(thing), &thing->write) */
        free_of_the_dead();
        if
        /* readiness.c room_of_the_dead: const int result = try_to_write(thing, 0) */
        :: atomic { FREE(lock) -> lock = me + 1; seen = 0 }; look(0)
        :: atomic { !FREE(lock) -> seen = 0 }
        fi
    :: else
    fi
}

/* The timer, if it is set: again and again. To look when there is nothing changes nothing. */
#define LATER (LATE_LOOK && (!FULL || WORTH))

proctype listener(byte me; byte p)
{
    byte result, seen;
    bool asks, anxious, held;
    bool begins = true;
    byte left = PUTS;
    {
        watch();
        do
        :: atomic {
            left && result != THERE && (result != NOTHING || queue[me] || LATER) -> /* D5 */
            result = 0;
#ifndef READ_AFTER_LOOK
            read_empty();
#endif
#ifndef BEGIN_CALMLY
            asks = asks || begins;
#endif
            begins = false
        };
#ifdef HANG_AFTER_LOOK
            say(); look_for_room(true); hang();
#elif defined(SAY_AFTER_LOOK)
            hang(); look_for_room(true); say();
#elif defined(SAY_BEFORE_HANGING)
            say(); hang(); look_for_room(true);
#else
            hang(); say(); look_for_room(true);
#endif
#ifdef READ_AFTER_LOOK
            read_empty();
#endif
            if
            :: asks && held && result == NOTHING -> ask()
            :: else
            fi;
            atomic {
#if DEATHS && !defined(LOOK_ONCE)
                anxious = (asks -> held : anxious);
#endif
                asks = false;
                held = false
            }
        :: atomic { result == THERE && FREE(lock) -> lock = me + 1 };
            look(1);
            atomic { result = 0; seen = 0; begins = true }
#ifndef LIVENESS
        :: atomic { result == THERE && !FREE(lock) -> result = 0; begins = true }
#endif
        :: !left || me < LEAVERS -> break
        od;
        atomic {
            seen = 0; result = 0; left = 0; asks = false; anxious = false; begins = false;
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
        :: MOVED -> break
        :: else
        fi;
        futex_sleep(0, event == found);
        if
        :: AWAKE(0)
        /* To look when there is nothing changes nothing. */
        :: atomic { SLICE_ENDS(0) && (MOVED || WORTH) -> rouse(0) };
            free_of_the_dead()
        fi
    od;
    atomic { found = 0; seen = 0 }
}

proctype putter(byte me; byte p)
{
    byte found, result, seen;
    byte left = PUTS;
    {
        do
        :: atomic { left && FREE(lock) -> lock = me + 1 };
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

#if DEATHS
#define LIVES(t) (!dead[t])
#else
#define LIVES(t) true
#endif

init
{
    byte i;
    atomic {
        do
        :: i < LISTENERS -> run listener(i, i); i++
        :: i >= LISTENERS && i < TAKER -> run putter(i, i); i++
        :: i >= TAKER && i < THREADS -> run taker(i, i); i++
        :: else -> break
        od;
        i = 0;
        LET_DIE
    };
    timeout;
    do
    /* wake-ups, recovery: no room is left, before one who waits for it, nor could be made */
#ifdef TOPIC
    :: i < TAKER -> assert(finished & BIT(i) || (FULL && LIVES(TAKER))); i++
#else
    :: i < TAKER -> assert(finished & BIT(i) || (FULL && marked == head)); i++
#endif
    :: else -> break
    od
}

#ifdef LIVENESS
ltl rest { <> [] (queue[0] == 0 && queue[LISTENERS - 1] == 0) }
#endif
