/*
 * Semaphores: src/core/semaphore.c, and for robust ones repair.c and the sweep of participant.c.
 *
 * Properties
 *   permits     Never are more permits taken than there are.
 *   wake-ups    Without deaths and without slices nobody sleeps for ever while a permit is
 *               free, though only the first of several releases in a row sees the bit, and
 *               though a signal takes away one that had been woken.
 *   recovery    Robust, with deaths at any step: the permits of the dead come back, and all
 *               that live get theirs, if the scheduler is fair.
 *
 * Who is there
 *   TAKERS threads, each a process of its own, that acquire and release, ROUNDS times. With
 *   FULL, thread 0 has all permits at the start, and releases them one by one. With KEEP,
 *   permits that were acquired are kept, so that no later release can make good what an
 *   earlier one missed. With GIVERS, somebody outside releases three permits one by one, or
 *   two in one call. With SIGNALLED, a signal may end any wait of thread 2, which keeps
 *   nothing then.
 *
 * Left out
 *   The guard is a lock that blocks, and whose dead owner is as none: mutex.pml shows that it is
 *   so. That a sweep does nothing if another was a moment ago. With deaths and with signals, the
 *   shares of all slots are added up in one step, else one by one. With deaths, nobody looks
 *   before it says that it waits.
 *
 * CHECK plain: permits, wake-ups: TAKERS=3 ROUNDS=2 PERMITS=1
 * CHECK plain: permits, wake-ups, two permits: TAKERS=4 ROUNDS=1 PERMITS=2
 * CHECK plain: wake-ups, others release: TAKERS=3 ROUNDS=1 PERMITS=0 KEEP GIVERS=1
 * CHECK plain: wake-ups, two at once: TAKERS=3 ROUNDS=1 PERMITS=1 KEEP GIVERS=2
 * CHECK plain: wake-ups, signals: TAKERS=3 ROUNDS=1 PERMITS=0 KEEP GIVERS=1 SIGNALLED
 * CHECK robust: permits, wake-ups: TAKERS=3 ROUNDS=1 PERMITS=1 ROBUST
 * CHECK robust: permits, wake-ups, kept: TAKERS=3 ROUNDS=1 PERMITS=2 ROBUST FULL KEEP
 * CHECK LONG robust: wake-ups, signals: TAKERS=4 ROUNDS=1 PERMITS=2 ROBUST FULL KEEP SIGNALLED
 * CHECK LONG robust: recovery: TAKERS=3 ROUNDS=1 PERMITS=1 ROBUST FULL DEATHS=2 SLICES LIVENESS
 * MUST FAIL TAKERS=3 ROUNDS=1 PERMITS=0 KEEP GIVERS=1: NO_CHAIN
 * MUST FAIL TAKERS=3 ROUNDS=1 PERMITS=1: NO_BIT_AFTER_SLEEP
 * MUST FAIL TAKERS=3 ROUNDS=1 PERMITS=1: SLEEP_WITHOUT_COMPARING
 * MUST FAIL TAKERS=3 ROUNDS=1 PERMITS=2 ROBUST FULL KEEP: NO_CHAIN
 * MUST FAIL TAKERS=3 ROUNDS=1 PERMITS=2 ROBUST FULL KEEP: RELEASES_UNCOUNTED
 * MUST FAIL TAKERS=3 ROUNDS=1 PERMITS=1 ROBUST: LOOK_BEFORE_BIT
 * MUST FAIL TAKERS=3 ROUNDS=1 PERMITS=1 ROBUST: NO_LOOK_UNDER_GUARD
 * MUST FAIL TAKERS=4 ROUNDS=1 PERMITS=2 ROBUST FULL KEEP SIGNALLED: INTERRUPTED_KEEPS_WAKE_UP
 * MUST FAIL TAKERS=3 ROUNDS=1 PERMITS=1 ROBUST FULL DEATHS=1 SLICES LIVENESS: NO_SWEEP
 * MUST FAIL TAKERS=3 ROUNDS=1 PERMITS=1 ROBUST DEATHS=1 SLICES: REPAIR_THE_LIVING
 */
/* left out: participant.c isthmus_participants_sweep: uint64_t last =
   isthmus_load_u64(&primitive->shared->swept_ns) */
/* left out: participant.c isthmus_participants_sweep:
   isthmus_swap_u64(&primitive->shared->swept_ns, &last, now) */
#if defined(SIGNALLED) || defined(DEATHS)
#define LOOK_AT_ONCE
#endif

#define FUTEXES 1
#define SLOTS TAKERS
#define THREADS_OF(p) (1 << (p))
#define PROCESSES TAKERS
#define ALL_THREADS ((1 << TAKERS) - 1)

/* The variables of a thread that is killed, so that their values make no difference. */
#define FORGET found = 0; before = 0; result = 0; taken = 0; i = 0; slept = 0; seized = 0; left = 0

#define WAITERS 128

#define OK 0
#define BUSY 1
#define SLICE 2
#define INTERRUPTED 3

byte word;         /* isthmus_shared_semaphore.word */
byte guard;        /* its owner + 1 */
byte share[SLOTS]; /* isthmus_shared_participant.share */
byte inside;       /* ghost: threads that have a permit */
byte permits = PERMITS; /* ghost: how many there are */

inline mourn(p)
{
#ifdef ROBUST
    inside = inside & (255 - (1 << (p)))
#else
    skip
#endif
}

#include "kernel.pml"

#define ONE(t) ((inside >> (t)) & 1)
#ifdef FULL
#define TAKEN (share[0] + ONE(1) + ONE(2) + ONE(3)) /* thread 0: with its share goes its permit */
#else
#define TAKEN (ONE(0) + ONE(1) + ONE(2) + ONE(3))
#endif

#ifdef SIGNALLED
#define SIGNAL_COMES (me == 2)
#else
#define SIGNAL_COMES false
#endif

#ifdef KEEP
#define KEPT (SIGNAL_COMES == false)
#else
#define KEPT false
#endif

#ifdef NO_BIT_AFTER_SLEEP
#define IF_SLEPT 0
#else
#define IF_SLEPT (slept -> WAITERS : 0)
#endif

/* ---- Plain -------------------------------------------------------------------------------- */

inline take_plain()
{
    found = word; /* semaphore.c take_plain: *found = isthmus_load_u32(word) */
    result = BUSY;
    do
    :: atomic {
        /* semaphore.c take_plain: while (*found & ~WAITERS) */
        result == BUSY && (found & 127) ->
        if
        /* semaphore.c take_plain: isthmus_swap_u32(word, found, left | (*found & WAITERS) |
           (slept ? WAITERS : 0)) */
        :: word == found -> word = (found - 1) | (found & WAITERS) | IF_SLEPT; result = OK
        :: else -> found = word
        fi
    }
    :: else -> break
    od;
#ifndef NO_CHAIN
    if
    /* semaphore.c take_plain: if (slept && left) isthmus_os_futex_wake(word, 1) */
    :: result == OK && slept && ((found & 127) - 1) -> futex_wake_one(0)
    :: else
    fi
#endif
}

inline wake(count)
{
    futex_wake_one(0);
    if
    :: count > 1 -> futex_wake_one(0)
    :: else
    fi
}

inline release_plain(count)
{
    /* semaphore.c isthmus_semaphore_release: uint32_t found = isthmus_load_u32(&state->word) */
    found = word;
    result = BUSY;
    do
    :: atomic {
        result == BUSY ->
        if
        /* semaphore.c isthmus_semaphore_release: isthmus_swap_u32(&state->word, &found, (found &
           ~WAITERS) + permits) */
        :: word == found -> word = (found & 127) + count; result = OK
        :: else -> found = word
        fi
    }
    :: else -> break
    od;
    if
    /* semaphore.c isthmus_semaphore_release: if (found & WAITERS) isthmus_wake(semaphore,
       &state->word, permits) */
    :: found & WAITERS -> wake(count)
    :: else
    fi;
    found = 0
}

/* ---- Robust ------------------------------------------------------------------------------- */

/* isthmus_participants_shares(): slot by slot, while others go on. */
#ifdef LOOK_AT_ONCE
#define LOOK atomic
#else
#define LOOK
#endif

inline add_up()
{
    taken = 0;
    do
    :: atomic { i < SLOTS -> taken = taken + share[i]; i++ }
    :: atomic { else -> i = 0; break }
    od
}

#if DEATHS
#define GUARD_FREE (guard == 0 || dead[guard - 1])
#else
#define GUARD_FREE (guard == 0)
#endif

inline take_robust()
{
    LOOK {
        result = OK;
        /* semaphore.c take_robust: uint64_t taken = isthmus_participants_shares(primitive); if
           (taken >= semaphore->initial && deadline) return -EBUSY */
        add_up();
        if
        :: taken >= PERMITS -> result = BUSY; taken = 0
        :: else
        fi
    };
    if
    :: result == OK ->
        if
        /* semaphore.c take_robust: int result = isthmus_guard_acquire(primitive, &semaphore->guard,
           deadline) */
        :: atomic { GUARD_FREE -> guard = me + 1 }
        :: atomic { !GUARD_FREE && SIGNAL_COMES -> result = INTERRUPTED };
#ifndef INTERRUPTED_KEEPS_WAKE_UP
            if
            /* semaphore.c take_robust: if (slept) isthmus_os_futex_wake(&semaphore->word, 1) */
            :: slept -> futex_wake_one(0)
            :: else
            fi
#endif
        fi;
        if
        :: result == OK ->
            LOOK {
                /* semaphore.c take_robust: taken = isthmus_participants_shares(primitive); if
                   (taken < semaphore->initial) */
#ifndef NO_LOOK_UNDER_GUARD
                add_up();
#endif
                if
                /* semaphore.c take_robust: isthmus_add_u32(&own->share, 1) */
                :: taken < PERMITS -> share[me]++
                :: else -> result = BUSY
                fi
            };
            guard = 0; /* semaphore.c take_robust: isthmus_mutex_release(primitive,
                          &semaphore->guard, 0) */
#ifndef NO_CHAIN
            if
            /* semaphore.c take_robust: if (!result && slept && taken + 1 < semaphore->initial)
               isthmus_os_futex_wake(&semaphore->word, 1) */
            :: result == OK && slept && taken + 1 < PERMITS -> futex_wake_one(0)
            :: else
            fi
#endif
        :: else
        fi
    :: else
    fi;
    taken = 0
}

inline give_back(count)
{
#ifdef RELEASES_UNCOUNTED
    d_step { found = word; word = 1 };
#else
    found = word; /* repair.c isthmus_repair_permits: uint32_t found =
                     isthmus_load_u32(&semaphore->word) */
    do
    :: atomic {
        /* repair.c isthmus_repair_permits: while (!isthmus_swap_u32(&semaphore->word, &found,
           (found + 1) & ~ISTHMUS_WORD_WAITERS)) */
        if
        :: word == found -> word = (found + 1) & 127; break
        :: else -> found = word
        fi
    }
    od;
#endif
    if
    /* repair.c isthmus_repair_permits: if (found & ISTHMUS_WORD_WAITERS) isthmus_wake(primitive,
       &semaphore->word, permits) */
    :: found & WAITERS -> futex_wake_one(0)
    :: else
    fi;
    found = 0
}

inline release_robust()
{
    /* semaphore.c release_robust: uint32_t held = isthmus_load_u32(share) */
    /* semaphore.c release_robust: isthmus_swap_u32(share, &held, held - permits) */
    share[me]--; /* one thread a process: in one step */
    give_back(1) /* semaphore.c release_robust: isthmus_repair_permits(primitive, permits) */
}

inline repair(s)
{
    /* repair.c repair_semaphore: uint32_t permits =
       isthmus_exchange_u32(&primitive->slots[slot].share, 0) */
    atomic { taken = share[s]; share[s] = 0 };
    if
    /* repair.c repair_semaphore: if (permits) isthmus_repair_permits(primitive, permits) */
    :: taken -> give_back(taken)
    :: else
    fi;
    taken = 0
}

#ifdef REPAIR_THE_LIVING
#define LEFT_BEHIND(s) (s != me && share[s])
#else
#define LEFT_BEHIND(s) (s != me && share[s] && holder[s] == 0)
#endif

/* For one dead participant, whichever; the next sweep does the next. */
inline sweep()
{
    atomic {
        if
        /* participant.c isthmus_participants_sweep: if
           (isthmus_load_u32(&primitive->slots[i].share) == 0 ||
           isthmus_participant_seize(primitive, i)) continue */
        :: LEFT_BEHIND(0) -> i = 0; seized = true
        :: LEFT_BEHIND(1) -> i = 1; seized = true
#if TAKERS > 2
        :: LEFT_BEHIND(2) -> i = 2; seized = true
#endif
        :: else
        fi;
        if
        :: seized -> holder[i] = me + 1
        :: else
        fi
    };
    if
    :: seized ->
        repair(i); /* participant.c isthmus_participants_sweep: isthmus_repair(primitive, i) */
        /* participant.c isthmus_participants_sweep: isthmus_participant_release(primitive, i) */
        atomic { holder[i] = 0; seized = false; i = 0 }
    :: else
    fi
}

/* ---- Both ----------------------------------------------------------------------------------- */

inline take()
{
#ifdef ROBUST
#ifdef LOOK_BEFORE_BIT
    take_robust();
    atomic { word = word | WAITERS; found = word }
#else
    if
    /* semaphore.c take: if (slept) *found |= isthmus_or_u32(&semaphore->word, WAITERS) */
    :: atomic { slept -> word = word | WAITERS; before = word }
    :: else
    fi;
    take_robust(); /* semaphore.c take: return take_robust(primitive, slept, deadline) */
    found = before
#endif
#else
    /* semaphore.c take: return take_plain(&semaphore->word, slept, found) */
    take_plain()
#endif
}

inline acquire()
{
    slept = false;
#if DEATHS
    result = BUSY;
#else
    /* semaphore.c isthmus_semaphore_acquire: result = take(semaphore, 0, &found, deadline) */
    take();
#endif
    slept = true;
    do
    :: result == BUSY || result == SLICE ->
        take(); /* semaphore.c wait_for: result = take(primitive, 1, &found, wait->deadline) */
        if
        :: atomic {
            /* semaphore.c wait_for: if (!(found & WAITERS)) */
            result == BUSY && !(found & WAITERS) ->
            if
            /* semaphore.c wait_for: isthmus_swap_u32(&semaphore->word, &found, found | WAITERS) */
            :: word == found -> word = found | WAITERS; found = word
            :: else -> result = SLICE /* look again */
            fi
        }
        :: else
        fi;
        if
        :: result == BUSY ->
            /* semaphore.c wait_for: result = isthmus_wait_sleep(wait, &semaphore->word, found) */
            futex_sleep(0, word == found);
            if
            :: AWAKE(0)
            :: atomic { SLICE_ENDS(0) -> rouse(0); result = SLICE }
            /* semaphore.c wait_for: if (result < 0 && result != -ETIMEDOUT) return result */
            :: atomic { SIGNAL_COMES && !AWAKE(0) -> rouse(0); result = INTERRUPTED }
            fi;
#if defined(ROBUST) && !defined(NO_SWEEP)
            if
            /* semaphore.c wait_for: if (result && primitive->flags & ISTHMUS_ROBUST &&
               isthmus_participants_sweep(primitive)) */
            :: result == SLICE -> sweep()
            :: else
            fi
#endif
        :: else
        fi
    :: else -> break
    od;
    atomic { slept = false; found = 0 }
}

inline release()
{
#ifdef ROBUST
    release_robust()
#else
    release_plain(1)
#endif
}

/* ---- Those who take part -------------------------------------------------------------------- */

proctype taker(byte me)
{
    byte found, result, taken, i;
#if defined(ROBUST)
    byte before;
#endif
    bool slept, seized;
    byte left = ROUNDS;
    byte p = me;
    {
        do
        :: left > 0 ->
            acquire();
            if
            :: result == OK ->
                d_step {
                    inside = inside | BIT(me);
                    assert(TAKEN <= permits) /* permits */
                };
                if
                :: KEPT == false -> inside = inside & ALL_BUT(me); release()
                :: else
                fi
            :: else
            fi;
            atomic { left--; result = 0; found = 0 }
        :: else -> break
        od;
        finished = finished | BIT(me)
    } UNTIL_KILLED
}

#ifdef GIVERS
proctype giver()
{
    byte found, result;
    byte left = 3 - PERMITS;
    do
    :: left > 0 -> permits = permits + GIVERS; release_plain(GIVERS); left = left - GIVERS
    :: else -> break
    od
}
#endif

#ifdef FULL
proctype releaser(byte me)
{
    byte found, before, result, taken, i;
    bool slept, seized;
    byte left = PERMITS;
    byte p = me;
    {
        do
        :: left > 0 -> release_robust(); left--
        :: else -> break
        od;
        finished = finished | BIT(me)
    } UNTIL_KILLED
}
#endif

init
{
    byte n;
    atomic {
#ifndef ROBUST
        word = PERMITS;
#endif
#ifdef FULL
        share[0] = PERMITS;
        holder[0] = 1;
        run releaser(0);
        n = 1;
#endif
        do
        :: n < TAKERS -> holder[n] = n + 1; run taker(n); n++
        :: else -> break
        od;
#ifdef GIVERS
        run giver();
#endif
        LET_DIE
    }
}

#ifdef LIVENESS
ltl recovery { <> (finished == ALL_THREADS) }
#endif
