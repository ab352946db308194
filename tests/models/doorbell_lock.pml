/*
 * The robust lock word, waited for by doorbell: readiness.c and doorbell.h together with mutex.c,
 * whose sleepers wait on the futex.
 *
 * Properties
 *   exclusion   Never are two between acquire and release at the same time.
 *   wake-ups    Without deaths, and without slices or timers, all get the lock in the end, whoever
 *               leaves instead.
 *   recovery    The same with deaths at any step, also during a take-over: who waits on a
 *               descriptor looks whether the owner lives only when it was told of a death, and
 *               once more after that.
 *
 * Who is there
 *   LISTENERS threads that wait by doorbell, of which the first LEAVERS may be cancelled between
 *   any two calls, and SLEEPERS that sleep on the futex. All acquire and release ROUNDS times.
 *   Each is a process, and a participant, of its own.
 *
 * Left out
 *   What mutex.pml shows: that the death is reported; several threads of one handle; who joins in
 *   the slot of a dead one, which wakes as a release does (repair.c).
 *
 * CHECK exclusion, wake-ups: LISTENERS=2 SLEEPERS=1 ROUNDS=1
 * CHECK exclusion, wake-ups, again: LISTENERS=1 SLEEPERS=1 ROUNDS=2
 * CHECK exclusion, wake-ups, two that sleep: LISTENERS=1 SLEEPERS=2 ROUNDS=1
 * CHECK exclusion, wake-ups, one leaves: LISTENERS=2 SLEEPERS=1 ROUNDS=1 LEAVERS=1
 * CHECK exclusion, recovery: LISTENERS=1 SLEEPERS=2 ROUNDS=1 DEATHS=1 SLICES
 * CHECK exclusion, recovery, by doorbell alone: LISTENERS=2 SLEEPERS=0 ROUNDS=1 DEATHS=1
 * CHECK LONG exclusion, recovery, two die: LISTENERS=2 SLEEPERS=1 ROUNDS=1 DEATHS=2 SLICES
 * MUST FAIL LISTENERS=1 SLEEPERS=1 ROUNDS=1: HANG_AFTER_LOOK
 * MUST FAIL LISTENERS=2 SLEEPERS=0 ROUNDS=1: READ_AFTER_LOOK
 * MUST FAIL LISTENERS=2 SLEEPERS=0 ROUNDS=1: LOOK_BEFORE_SAYING
 * MUST FAIL LISTENERS=2 SLEEPERS=0 ROUNDS=1: TAKE_WITHOUT_RINGING
 * MUST FAIL LISTENERS=2 SLEEPERS=1 ROUNDS=1: RING_BEFORE_RELEASE
 * MUST FAIL LISTENERS=2 SLEEPERS=1 ROUNDS=1: RING_BEFORE_TAKING
 * MUST FAIL LISTENERS=2 SLEEPERS=1 ROUNDS=1 LEAVERS=1: RING_ONE
 * MUST FAIL LISTENERS=2 SLEEPERS=0 ROUNDS=1 DEATHS=1: NOT_TOLD
 * MUST FAIL LISTENERS=2 SLEEPERS=0 ROUNDS=1 DEATHS=1: LOOK_ONCE
 * MUST FAIL LISTENERS=2 SLEEPERS=0 ROUNDS=1 DEATHS=1: BEGIN_CALMLY
 * MUST FAIL LISTENERS=2 SLEEPERS=1 ROUNDS=1 DEATHS=1 SLICES: TAKE_OVER_ALONE
 */
#define THREADS (LISTENERS + SLEEPERS)
#define PROCESSES THREADS
#define FUTEXES 1
#define SLOTS 1
#define THREADS_OF(p) (1 << (p))
#define FORGET rounds = 0; result = 0; owner = 0

byte inside; /* ghost: threads between acquire and release */

inline mourn(p)
{
    inside = inside & (255 - THREADS_OF(p))
}

#include "inotify.pml"

#ifndef LEAVERS
#define LEAVERS 0
#endif

#define OWNER 15
#define WAITERS 128

/* What a look, or an attempt to take it, found; 0: look anew. */
#define NOTHING 1
#define THERE 2
#define OURS 3
#define SLICE 4

byte word;
byte byte_of[PROCESSES]; /* who has the lock on a slot's byte: process + 1 */

#if DEATHS
#define HELD(s) (byte_of[s] && !released[byte_of[s] - 1])
#else
#define HELD(s) (byte_of[s] != 0)
#endif

/* ---- mutex.c ----------------------------------------------------------------------------- */

/* In one step: an attempt that fails looks again. */
inline take_free(mine)
{
    /* mutex.c take_free: *found = isthmus_load_u32(word) */
    /* mutex.c take_free: isthmus_swap_u32(word, found, mine | (before & ISTHMUS_WORD_WAITERS)) */
    word = (mine) | (word & WAITERS);
    result = OURS
}

/* `result` stays as it is if nothing comes of it. */
inline take_over(mine)
{
    /* mutex.c take_over: uint32_t found = isthmus_load_u32(word) */
    owner = word & OWNER;
    if
    :: !owner ->
        atomic {
            if
            /* mutex.c take_over: return take_free(word, mine, &found) */
            :: !(word & OWNER) -> take_free(mine)
            :: else
            fi
        }
    /* mutex.c take_over: if (isthmus_participant_seize(primitive, owner - 1)) return -EBUSY */
    /* participant.c isthmus_participant_seize: isthmus_os_try_byte(primitive->fd, byte, 0) */
    :: atomic { owner && owner != me + 1 && !HELD(owner - 1) -> byte_of[owner - 1] = me + 1 };
        atomic {
            if
            /* mutex.c take_over: found = isthmus_load_u32(word) */
            /* mutex.c take_over: isthmus_swap_u32(word, &found, mine | (found &
               ISTHMUS_WORD_WAITERS)) */
#ifdef TAKE_OVER_ALONE
            :: (word & OWNER) == owner -> word = (mine); result = OURS
#else
            :: (word & OWNER) == owner -> word = (mine) | (word & WAITERS); result = OURS
#endif
            :: else
            fi
        };
        /* mutex.c take_over: isthmus_participant_release(primitive, owner - 1) */
        /* participant.c isthmus_participant_release: isthmus_os_release_byte(primitive->fd,
           slot_byte(primitive, slot)) */
        byte_of[owner - 1] = 0
    :: owner && (owner == me + 1 || HELD(owner - 1))
    fi;
    owner = 0
}

/* Who owns it. */
inline use()
{
    d_step { assert(inside == 0); inside = inside | BIT(me) }; /* exclusion */
    inside = inside & ALL_BUT(me);
#ifdef RING_BEFORE_RELEASE
    if
    :: word & WAITERS -> ring()
    :: else
    fi;
#endif
    if
    /* mutex.c isthmus_mutex_release: uint32_t before = isthmus_exchange_u32(word, abandoned ?
       ISTHMUS_WORD_ABANDONED : 0) */
    :: atomic { word & WAITERS -> word = 0; rounds--; result = 0 }; /* R1, R2 */
        /* mutex.c isthmus_mutex_release: if (before & ISTHMUS_WORD_WAITERS)
           isthmus_wake(primitive, word, 1) */
        /* doorbell.h isthmus_wake: isthmus_ring_doorbells(primitive, ISTHMUS_DOORBELL_READY |
           ISTHMUS_DOORBELL_ROOM) */
#ifndef RING_BEFORE_RELEASE
        ring();
#endif
        /* doorbell.h isthmus_wake: isthmus_os_futex_wake(word, count) */
        futex_wake_one(0)
    :: atomic { !(word & WAITERS) -> word = 0; rounds--; result = 0 }
    fi
}

/* ---- Who waits by doorbell --------------------------------------------------------------- */

inline look() /* D3, D4 */
{
#ifdef LOOK_BEFORE_SAYING
    result = (word & OWNER -> NOTHING : THERE);
    word = word | (word & OWNER -> WAITERS : 0);
#else
    /* readiness.c look_at_word: uint32_t found = isthmus_load_u32(word) */
    /* readiness.c look_at_word: isthmus_swap_u32(word, &found, found | WAITERS) */
    atomic {
        result = (word & OWNER -> NOTHING : THERE);
        word = word | (word & OWNER -> WAITERS : 0)
    };
#endif
    if
    :: asks && result == NOTHING ->
        /* readiness.c lock_of_the_dead: const uint32_t owner = isthmus_load_u32(thing->word) &
           ISTHMUS_WORD_OWNER */
        owner = word & OWNER;
        /* readiness.c lock_of_the_dead: return owner == 0 || !isthmus_participant_lives(lock,
           owner - 1) */
        /* participant.c isthmus_participant_lives: return slot == (uint32_t)primitive->slot ||
           isthmus_os_byte_held(primitive->fd, slot_byte(primitive, slot)) == 1 */
        atomic {
            result = (owner && (owner == me + 1 || HELD(owner - 1)) -> NOTHING : THERE);
            owner = 0
        }
    :: else
    fi;
    asks = false
}

proctype listener(byte me; byte p)
{
    byte result, owner;
    bool asks, anxious;
    byte rounds = ROUNDS;
    {
        watch();
        do
        :: atomic {
            rounds && result < THERE && (result != NOTHING || queue[me] || LATE_LOOK) -> /* D5 */
            result = 0;
#ifndef READ_AFTER_LOOK
            read_empty()
#endif
        };
#ifdef HANG_AFTER_LOOK
            look(); hang()
#else
            hang(); look()
#endif
#ifdef READ_AFTER_LOOK
            ; read_empty()
#endif
        :: atomic {
            result == THERE ->
            result = 0;
            if
            /* mutex.c isthmus_mutex_acquire: int result = take_free(word, mine, &found) */
            :: !(word & OWNER) -> take_free(me + 1)
            :: else
            fi
        };
            if
            /* mutex.c isthmus_mutex_acquire: result = take_over(primitive, word, tid, mine) */
            :: result != OURS -> take_over(me + 1)
            :: else
            fi
        :: result == OURS -> use()
        :: !rounds || (me < LEAVERS && result < OURS) -> break
        od;
        atomic {
            rounds = 0; result = 0; asks = false; anxious = false;
            watching[me] = false;
            queue[me] = 0;
            finished = finished | BIT(me)
        }
    } UNTIL_KILLED
}

/* ---- Who sleeps on the futex: as in mutex.pml -------------------------------------------- */

/* To look when nothing can be taken changes nothing. */
#if DEATHS
#define FOR_A_SLICE (!(word & OWNER) || !HELD((word & OWNER) - 1))
#else
#define FOR_A_SLICE true
#endif

proctype sleeper(byte me; byte p)
{
    byte result, owner, found;
    byte rounds = ROUNDS;
    {
        do
        :: atomic {
            rounds && result != OURS && result != SLICE ->
            if
            :: !(word & OWNER) -> take_free((me + 1) | (result == NOTHING -> WAITERS : 0))
            :: else -> word = word | WAITERS; found = word; result = NOTHING
            fi
        };
            if
            :: result == NOTHING ->
                futex_sleep(0, word == found);
                if
                :: AWAKE(0)
                :: atomic { SLICE_ENDS(0) && FOR_A_SLICE -> rouse(0); result = SLICE }
                fi;
                found = 0
            :: else
            fi
        :: result == SLICE ->
            take_over((me + 1) | WAITERS);
            result = (result == OURS -> OURS : NOTHING)
        :: result == OURS -> use()
        :: !rounds -> break
        od;
        finished = finished | BIT(me)
    } UNTIL_KILLED
}

init
{
    byte i;
    atomic {
        do
        :: i < LISTENERS -> byte_of[i] = i + 1; run listener(i, i); i++
        :: i >= LISTENERS && i < THREADS -> byte_of[i] = i + 1; run sleeper(i, i); i++
        :: else -> break
        od;
        i = 0;
        LET_DIE
    };
    timeout;
    assert(finished == BIT(THREADS) - 1) /* wake-ups, recovery */
}
