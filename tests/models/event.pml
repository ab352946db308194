/*
 * Events: src/core/event.c.
 *
 * Properties
 *   wake-ups    Without deaths and without slices nobody sleeps any more when the event has been
 *               set since the wait began, even if it was cleared at once.
 *   no excuse   Who returns has waited for an event that was set, or had been set since.
 *   recovery    If the one that sets it dies, right after it did so or later: the same, at the
 *               end of a slice, if the scheduler is fair.
 *
 * Who is there
 *   Threads 0 and 1 wait, once each; thread 2 sets, clears and sets, thread 3 sets and clears.
 *   With deaths, thread 2 only sets and clears, and thread 3 is not there.
 *
 * Left out
 *   That the count of sets wraps around after 2^30.
 *
 * CHECK no excuse, wake-ups: NO_SLICES
 * CHECK no excuse, recovery: DEATHS=2 SLICES LIVENESS
 * MUST FAIL NO_SLICES: SETS_UNCOUNTED
 * MUST FAIL NO_SLICES: SET_IN_TWO_STEPS
 * MUST FAIL NO_SLICES: SLEEP_WITHOUT_COMPARING
 * MUST FAIL NO_SLICES: WAKE_ONE
 * MUST FAIL DEATHS=1 LIVENESS: NO_SLICES
 */
#if DEATHS
#define PROCESSES 3
#define SETTERS 4
#else
#define PROCESSES 4
#define SETTERS 12
#endif
#define FUTEXES 1
#define SLOTS 1
#define THREADS_OF(p) (1 << (p))
#define FORGET found = 0; seen = 0; again = 0

/* As in event.c, with fewer bits for the count. */
#define SET 1
#define ONCE 2
#define COUNT 62
#define WAITERS 128

byte word;      /* isthmus_shared_event.word */
byte sets;      /* ghost: how often it was set by a step that changed it */
byte since[2];  /* ghost: sets, when the wait of each began */
byte waiting;   /* ghost: threads between beginning and end of a wait */

inline mourn(p)
{
    waiting = waiting & (255 - (1 << (p)))
}

#include "kernel.pml"

inline set()
{
#ifdef SET_IN_TWO_STEPS
    found = word;
    d_step { word = ((found + ONCE) & COUNT) | SET; sets++ };
#else
    found = word; /* event.c isthmus_event_set: uint32_t found = isthmus_load_u32(&state->word) */
    do
    /* event.c isthmus_event_set: if (found & SET) return 0 */
    :: found & SET -> break
    :: atomic {
        else ->
        if
        /* event.c isthmus_event_set: isthmus_swap_u32(&state->word, &found, ((found + ONCE) &
           COUNT) | SET) */
        :: word == found -> word = ((found + ONCE) & COUNT) | SET; sets++; break
        :: else -> found = word
        fi
    }
    od;
#endif
    if
    /* event.c isthmus_event_set: if (found & ISTHMUS_WORD_WAITERS) isthmus_wake(event,
       &state->word, UINT32_MAX) */
#ifdef WAKE_ONE
    :: found & WAITERS -> futex_wake_one(0)
#else
    :: found & WAITERS -> futex_wake_all(0)
#endif
    :: else
    fi;
    found = 0
}

inline clear()
{
    found = word; /* event.c isthmus_event_clear: uint32_t found = isthmus_load_u32(&state->word) */
    do
    :: atomic {
        found & SET ->
        if
        /* event.c isthmus_event_clear: while (found & SET && !isthmus_swap_u32(&state->word,
           &found, found & COUNT)) */
        :: word == found -> word = found & COUNT; break
        :: else -> found = word
        fi
    }
    :: else -> break
    od;
    found = 0
}

/* event.c happened: return *found & SET || (*found & COUNT) != (seen & COUNT) */
#ifdef SETS_UNCOUNTED
#define HAPPENED (found & SET)
#else
#define HAPPENED ((found & SET) || (found & COUNT) != (seen & COUNT))
#endif

inline wait()
{
    atomic {
        /* event.c isthmus_event_wait: *seen = (isthmus_load_u32(&state->word) & COUNT) | SET */
        seen = word & COUNT;
        waiting = waiting | BIT(me);
        since[me] = sets;
        excuse = word & SET
    };
    do
    ::  found = word; /* event.c happened: *found = isthmus_load_u32(&state->word) */
        if
        /* event.c wait_for: if (happened(state, seen, &found)) return 0 */
        :: HAPPENED -> break
        :: else
        fi;
        again = false;
        if
        :: atomic {
            /* event.c wait_for: if (!(found & ISTHMUS_WORD_WAITERS)) */
            !(found & WAITERS) ->
            if
            /* event.c wait_for: isthmus_swap_u32(&state->word, &found, found |
               ISTHMUS_WORD_WAITERS) */
            :: word == found -> word = found | WAITERS; found = word
            :: else -> again = true
            fi
        }
        :: else
        fi;
        if
        :: !again ->
            /* event.c wait_for: int result = isthmus_wait_sleep(wait, &state->word, found) */
            futex_sleep(0, word == found);
            if
            :: AWAKE(0)
            :: atomic { SLICE_ENDS(0) -> rouse(0) }
            fi
        :: else
        fi
    od;
    atomic {
        assert(excuse || sets > since[me]); /* no excuse */
        waiting = waiting & ALL_BUT(me)
    }
}

/* To be woken, and not to be so. */
#define OWED(t) ((waiting & BIT(t)) && sets > since[t])

proctype waiter(byte me; byte p)
{
    byte found, seen;
    bool again;
    bool excuse; /* ghost: it was set when the wait began */
    {
        wait();
        finished = finished | BIT(me)
    } UNTIL_KILLED
}

proctype setter(byte me; byte p; bool again)
{
    byte found, seen;
    {
        set();
        clear();
        if
        :: again -> set()
        :: else
        fi;
        finished = finished | BIT(me)
    } UNTIL_KILLED
}

init
{
    atomic {
        run waiter(0, 0);
        run waiter(1, 1);
#if DEATHS
        run setter(2, 2, false);
#else
        run setter(2, 2, true);
        run setter(3, 3, false);
#endif
        LET_DIE
    };
#if !DEATHS
    timeout;
    assert(!OWED(0) && !OWED(1)) /* wake-ups */
#endif
}

#ifdef LIVENESS
ltl recovery { <> ((finished & SETTERS) == SETTERS && !OWED(0) && !OWED(1)) }
#endif
