/*
 * What the models of doorbells share: inotify, the order in which the kernel lets a process end,
 * and both sides of doorbell.h but for the look.
 *
 * A model says beforehand: LISTENERS, which are its threads from 0 on, one or two; FUTEXES and so
 * on for kernel.pml. What is held by a process that has died is held until released[] says so. Each
 * thread that listens has `asks` and `anxious`.
 *
 * An inotify queue for each listener. Equal events may be merged: so it is bits. To ring appends
 * to all queues, one after the other. When a process dies, all that watch are told, and some time
 * later its locks are released. Who was told, or has begun to watch meanwhile, looks again and
 * again: looks that find those locks still held change nothing, so that one look after they are
 * released stands for all. That it goes on looking, with ever longer pauses, is not relied on, but
 * in doorbell_room.pml: there it does as long as somebody has what it waits for.
 *
 * From outside come the mistakes RING_ONE, TAKE_WITHOUT_RINGING, RING_BEFORE_TAKING, NOT_TOLD,
 * LOOK_ONCE and BEGIN_CALMLY.
 */
#include "kernel.pml"

#define RUNG 1
#define GONE 2

bool doorbells;        /* isthmus_shared_primitive.doorbells: ISTHMUS_DOORBELL_READY, or _ROOM */
byte queue[LISTENERS]; /* of each listener's inotify: the events in it */
bool watching[LISTENERS];
bool told[PROCESSES];     /* of its death */
bool released[PROCESSES]; /* the locks of the dead one */

/* Is there a death that was told of, and whose locks are still held? */
#define UNSETTLED(p) (told[p] && !released[p])

#if DEATHS
inline tell()
{
#ifndef NOT_TOLD
    k = 0;
    do
    :: k < LISTENERS -> queue[k] = queue[k] | (watching[k] -> GONE : 0); k++
    :: else -> break
    od;
    k = 0
#else
    skip
#endif
}
#define BURY(p) \
    :: d_step { dead[p] && !told[p] -> told[p] = true; tell() } \
    :: d_step { UNSETTLED(p) -> released[p] = true }

/* The end of a process: the kernel tells who watches, and then takes its locks back. */
active proctype undertaker()
{
    byte k;
end:
    do
    BURY(0)
    BURY(1)
#if PROCESSES > 2
    BURY(2)
#endif
#if PROCESSES > 3
    BURY(3)
#endif
    od
}
#endif

#if PROCESSES > 3
#define SETTLED (!(UNSETTLED(0) || UNSETTLED(1) || UNSETTLED(2) || UNSETTLED(3)))
#elif PROCESSES > 2
#define SETTLED (!(UNSETTLED(0) || UNSETTLED(1) || UNSETTLED(2)))
#else
#define SETTLED (!(UNSETTLED(0) || UNSETTLED(1)))
#endif

/* ---- Who rings ----------------------------------------------------------------------------- */

/* Of those that watch, one after the other. */
inline ring_all()
{
    queue[0] = queue[0] | (watching[0] -> RUNG : 0);
#if LISTENERS > 1
#ifdef RING_ONE
    queue[1] = queue[1] | (watching[1] && !watching[0] -> RUNG : 0)
#else
    queue[1] = queue[1] | (watching[1] -> RUNG : 0)
#endif
#endif
}

inline ring()
{
    if
    /* Looking first, and exchanging then, is as exchanging then. */
    /* doorbell.h isthmus_ring_doorbells: if (isthmus_load_u32(&primitive->shared->doorbells) &
       whom) isthmus_doorbells_ring(primitive, whom) */
    /* doorbell.c isthmus_doorbells_ring: const uint32_t found =
       isthmus_and_u32(&primitive->shared->doorbells, ~whom) & whom; if (found && primitive->fd >=
       0) isthmus_os_ring(primitive->fd, found) */
#ifdef TAKE_WITHOUT_RINGING
    :: doorbells -> doorbells = false
#elif defined(RING_BEFORE_TAKING)
    :: doorbells -> ring_all(); doorbells = false
#else
    :: atomic { doorbells -> doorbells = false }; /* R3 */
        ring_all() /* R4 */
#endif
    :: !doorbells
    fi
}

/* ---- Who waits ----------------------------------------------------------------------------- */

/* First of all. */
inline watch()
{
    d_step {
        watching[me] = true;
#if DEATHS && !defined(BEGIN_CALMLY)
        anxious = true /* one that died may have told all that watched then */
#endif
    }
}

/* Told of a death, and its locks are released. */
#define LATE_LOOK (anxious && SETTLED)

inline read_empty() /* D1 */
{
#if DEATHS
    asks = queue[me] & GONE || LATE_LOOK;
#ifdef LOOK_ONCE
    anxious = anxious && !SETTLED;
#else
    anxious = queue[me] & GONE || (anxious && !SETTLED);
#endif
#endif
    queue[me] = 0
}

inline hang() /* D2 */
{
    /* To set it when it is set changes nothing. */
    /* doorbell.c isthmus_doorbell_arm: if (!(isthmus_load_u32(doorbells) & bit))
       isthmus_or_u32(doorbells, bit) */
    doorbells = true
}
