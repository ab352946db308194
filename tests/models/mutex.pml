/*
 * The robust lock word: src/core/mutex.c, the part of lock.c that takes it at once, and
 * seizing and joining in a slot (participant.c, repair.c).
 *
 * Properties
 *   exclusion   Never are two threads between acquire and release at the same time.
 *   report      Who gets the lock after an owner died in there is told so (-EOWNERDEAD).
 *   wake-ups    Without deaths and without slices, whatever others do, nobody sleeps for
 *               ever: neither those that wait to the end nor with one that a signal or
 *               its deadline takes away from its sleep.
 *   recovery    With deaths at any step, also during a take-over or a repair, all that
 *               live get the lock in the end, if the scheduler is fair.
 *
 * Who is there
 *   Thread 0 is a process of its own. Threads 1 and 2 are one process, with one handle and
 *   so one slot and one open file description, for which the kernel does not keep them
 *   apart (APART: two processes; SINGLE: thread 2 is not there). Thread 3 is, with JOINER, a
 *   process that joins in the slot of thread 0 if that is free; thread 0 has the lock from
 *   the start then. With GIVES_UP it is one that any sleep may end for.
 *
 * Left out
 *   The spinning before the sleep: looks that find the lock taken change nothing, so that one
 *   look stands for all. Words that name no slot at all. The words `tid`, `depth` and so
 *   on, which the owner alone writes.
 *
 * CHECK exclusion, wake-ups: APART ROUNDS=2
 * CHECK exclusion, wake-ups, one gives up: APART ROUNDS=1 GIVES_UP
 * CHECK exclusion, report, recovery: DEATHS=2 SLICES ROUNDS=1 LIVENESS
 * CHECK exclusion, report, reused slot: DEATHS=1 SLICES ROUNDS=1 JOINER
 * CHECK exclusion, report, recovery, reused slot: DEATHS=2 SLICES ROUNDS=1 JOINER SINGLE LIVENESS
 * MUST FAIL APART ROUNDS=1: NO_BIT_AFTER_SLEEP
 * MUST FAIL APART ROUNDS=1: RELEASE_IN_TWO_STEPS
 * MUST FAIL APART ROUNDS=1: SLEEP_WITHOUT_COMPARING
 * MUST FAIL DEATHS=1 ROUNDS=1 LIVENESS: NO_SLICES
 * MUST FAIL DEATHS=1 SLICES ROUNDS=1 JOINER SINGLE: DEATH_UNREPORTED
 * MUST FAIL DEATHS=1 SLICES ROUNDS=1 JOINER SINGLE: SEIZE_BY_ASKING
 * MUST FAIL DEATHS=1 SLICES ROUNDS=1 JOINER: NO_CLAIM
 * MUST FAIL DEATHS=1 SLICES ROUNDS=1 JOINER: YIELD_BEFORE_UNLOCK
 * MUST FAIL DEATHS=1 SLICES ROUNDS=1 JOINER SINGLE LIVENESS: NO_REPAIR_ON_JOIN
 */
/* left out: mutex.c take_over: isthmus_swap_u32(word, &found, mine | ISTHMUS_WORD_WAITERS) */
/* left out: participant.c isthmus_participant_join: uint32_t used =
   isthmus_load_u32(&primitive->shared->used) */
/* left out: participant.c isthmus_participant_join:
   isthmus_swap_u32(&primitive->shared->used, &used, slot + 1) */
#define FUTEXES 1
#define SLOTS 3
#ifdef APART
#define PROCESSES 4
#define THREADS_OF(p) (1 << (p))
#else
#ifdef JOINER
#define PROCESSES 3
#ifdef SINGLE
#define ALL_THREADS 11
#else
#define ALL_THREADS 15
#endif
#else
#define PROCESSES 2
#define ALL_THREADS 7
#endif
#ifdef SINGLE
#define THREADS_OF(p) ((p) == 0 -> 1 : ((p) == 1 -> 2 : 8))
#else
#define THREADS_OF(p) ((p) == 0 -> 1 : ((p) == 1 -> 6 : 8))
#endif
#endif

/* The variables of a thread that is killed, so that their values make no difference. */
#define FORGET found = 0; owner = 0; result = 0; seized = false; rounds = 0

#define OWNER 15
#define ABANDONED 64
#define WAITERS 128

#define OK 0
#define BUSY 1
#define OWNERDEAD 2
#define FREE 3        /* nobody owned it, as of the last look */
#define SLICE 4
#define INTERRUPTED 5

byte word;             /* the lock word */
bool seizing[PROCESSES]; /* isthmus_primitive.seizing of each handle */
byte inside;           /* ghost: threads between acquire and release */
bool half_done;        /* ghost: what the lock protects is being changed */

inline mourn(p)
{
    inside = inside & (255 - THREADS_OF(p))
}

#include "kernel.pml"

/* ---- mutex.c --------------------------------------------------------------------------- */

inline look()
{
    found = word; /* mutex.c take_free: *found = isthmus_load_u32(word) */
    if
    /* mutex.c take_free: while (!(*found & ISTHMUS_WORD_OWNER)) */
    :: found & OWNER -> result = BUSY
    :: else -> result = FREE
    fi
}

inline take_if_free(mine)
{
    do
    :: atomic {
        result == FREE ->
        if
        /* mutex.c take_free: isthmus_swap_u32(word, found, mine | (before &
           ISTHMUS_WORD_WAITERS)) */
        :: word == found ->
            word = mine | (found & WAITERS);
            /* mutex.c take_free: return before & ISTHMUS_WORD_ABANDONED ? -EOWNERDEAD : 0 */
            result = (found & ABANDONED -> OWNERDEAD : OK);
            found = 0
        :: else ->
            found = word;
            if
            :: found & OWNER -> result = BUSY
            :: else
            fi
        fi
    }
    :: else -> break
    od
}

/* Take it from an owner that is dead. */
inline take_over(mine)
{
    atomic {
        owner = word & OWNER; /* mutex.c take_over: uint32_t found = isthmus_load_u32(word) */
        found = 0;
        result = BUSY
    };
    if
    /* mutex.c take_over: return take_free(word, mine, &found) */
    :: atomic { !owner -> look() }; take_if_free(mine)
    :: else ->
        /* mutex.c take_over: if (isthmus_participant_seize(primitive, owner - 1)) */
        seize(owner - 1);
        if
        :: seized ->
            found = word; /* mutex.c take_over: found = isthmus_load_u32(word) */
            do
            :: atomic {
                result == BUSY && (found & OWNER) == owner ->
                if
                /* mutex.c take_over: isthmus_swap_u32(word, &found, mine | (found &
                   ISTHMUS_WORD_WAITERS)) */
                :: word == found ->
                    word = mine | (found & WAITERS);
                    result = OWNERDEAD
                :: else -> found = word
                fi
            }
            :: else -> break
            od;
            /* mutex.c take_over: isthmus_participant_release(primitive, owner - 1) */
            unseize(owner - 1)
        :: else
        fi
    fi;
    atomic { owner = 0; seized = false; found = 0 }
}

#ifdef NO_BIT_AFTER_SLEEP
#define AFTER_SLEEP 0
#else
#define AFTER_SLEEP WAITERS
#endif

inline acquire()
{
    atomic {
        if
        /* lock.c take_now: isthmus_swap_u32(&state->word, &found, (uint32_t)lock->slot + 1) */
        :: word == 0 -> word = slot + 1; result = OK
        :: else -> result = BUSY
        fi
    };
    if
    /* mutex.c isthmus_mutex_acquire: int result = take_free(word, mine, &found) */
    :: atomic { result == BUSY -> look() }; take_if_free(slot + 1)
    :: else
    fi;
    do
    :: atomic { result == BUSY || result == SLICE -> look() };
        take_if_free((slot + 1) | AFTER_SLEEP); /* mutex.c wait_for: mine |= ISTHMUS_WORD_WAITERS */
        if
        :: atomic {
                /* mutex.c wait_for: if (!(found & ISTHMUS_WORD_WAITERS)) */
                result == BUSY && !(found & WAITERS) ->
                if
                /* mutex.c wait_for: isthmus_swap_u32(word, &found, found |
                   ISTHMUS_WORD_WAITERS) */
                :: word == found ->
                    word = found | WAITERS;
                    found = found | WAITERS
                :: else -> result = SLICE /* look again */
                fi
            }
        :: else
        fi;
        if
        :: result == BUSY ->
            /* mutex.c wait_for: result = isthmus_wait_sleep(wait, word, found) */
            futex_sleep(0, word == found);
            if
            :: AWAKE(0)
            :: atomic { SLICE_ENDS(0) -> rouse(0); result = SLICE }
#ifdef GIVES_UP
            /* mutex.c wait_for: return taken == -EBUSY ? result : taken */
            :: atomic { me == 3 && !AWAKE(0) -> rouse(0); result = INTERRUPTED }
#endif
            fi;
            if
            /* mutex.c wait_for: int taken = take_over(wait->primitive, word, tid, mine) */
            :: result == SLICE -> take_over((slot + 1) | AFTER_SLEEP)
            :: else
            fi
        :: else
        fi
    :: else -> break
    od
}

inline release()
{
#ifdef RELEASE_IN_TWO_STEPS
    found = word;
    word = 0;
#else
    /* mutex.c isthmus_mutex_release: uint32_t before = isthmus_exchange_u32(word, abandoned ?
       ISTHMUS_WORD_ABANDONED : 0) */
    d_step { found = word; word = 0 };
#endif
    if
    /* mutex.c isthmus_mutex_release: isthmus_wake(primitive, word, 1) */
    :: found & WAITERS -> futex_wake_one(0)
    :: else
    fi
}

/* ---- participant.c --------------------------------------------------------------------- */

#define HELD_BY_OTHERS(s) (holder[s] != 0 && holder[s] != p + 1)

inline seize(s)
{
    seized = false;
    if
    /* participant.c isthmus_participant_seize: if (slot == (uint32_t)primitive->slot) */
    :: s == slot
    /* participant.c isthmus_participant_seize: if (isthmus_os_byte_held(primitive->fd, byte))
       */
    :: s != slot && HELD_BY_OTHERS(s)
    :: else ->
        d_step {
            if
#ifndef NO_CLAIM
            /* participant.c isthmus_participant_seize: if
               (!isthmus_local_claim(&primitive->seizing)) */
            :: seizing[p]
#endif
            :: else -> seizing[p] = true; seized = true
            fi
        };
#ifndef SEIZE_BY_ASKING
        d_step {
            if
            :: !seized
            /* participant.c isthmus_participant_seize: if (isthmus_os_try_byte(primitive->fd,
               byte, 0)) */
            :: seized && HELD_BY_OTHERS(s) ->
                /* participant.c isthmus_participant_seize:
                   isthmus_local_yield(&primitive->seizing) */
                seizing[p] = false;
                seized = false
            :: else -> holder[s] = p + 1
            fi
        }
#endif
    fi
}

inline unseize(s)
{
#ifdef YIELD_BEFORE_UNLOCK
    seizing[p] = false;
#endif
#ifndef SEIZE_BY_ASKING
    /* A description can take away its own lock only. */
    d_step {
        if
        /* participant.c isthmus_participant_release: isthmus_os_release_byte(primitive->fd,
           slot_byte(primitive, slot)) */
        :: holder[s] == p + 1 -> holder[s] = 0
        :: else
        fi
    };
#endif
    /* participant.c isthmus_participant_release: isthmus_local_yield(&primitive->seizing) */
    seizing[p] = false
}

/* ---- repair.c -------------------------------------------------------------------------- */

inline abandon(s)
{
    found = word; /* repair.c abandon: uint32_t found = isthmus_load_u32(word) */
    do
    :: atomic {
        /* repair.c abandon: while ((found & ISTHMUS_WORD_OWNER) == slot + 1) */
        (found & OWNER) == s + 1 ->
        if
#ifdef DEATH_UNREPORTED
        :: word == found -> word = 0; result = found; found = 0
#else
        /* repair.c abandon: isthmus_swap_u32(word, &found, ISTHMUS_WORD_ABANDONED) */
        :: word == found -> word = ABANDONED; result = found; found = 0
#endif
        :: else -> found = word; result = 0
        fi
    }
    :: else -> break
    od;
    found = 0;
    if
    /* repair.c abandon: isthmus_wake(primitive, word, 1) */
    :: result & WAITERS -> futex_wake_one(0)
    :: else
    fi;
    result = 0
}

/* ---- Those who take part ----------------------------------------------------------------- */

inline critical()
{
    d_step {
        assert(result == OK || result == OWNERDEAD);
        assert(inside == 0); /* exclusion */
        inside = inside | BIT(me);
        assert(result == OWNERDEAD || !half_done); /* report */
        half_done = true
    };
    d_step { half_done = false; inside = inside & ALL_BUT(me) }
}

proctype thread(byte me; byte p; byte slot)
{
    byte found, owner, result;
    bool seized;
    byte rounds = ROUNDS;
    {
        do
        :: rounds > 0 ->
            if
#ifdef JOINER
            :: me == 0 /* it has it */
#endif
            :: else -> acquire()
            fi;
            if
            :: result != INTERRUPTED -> critical(); release()
            :: else
            fi;
            d_step { rounds--; result = 0; found = 0; owner = 0; seized = false }
        :: else -> break
        od;
        finished = finished | BIT(me)
    } UNTIL_KILLED
}

#ifdef JOINER
proctype joiner(byte me; byte p; byte slot)
{
    byte found, owner, result, rounds;
    bool seized;
    {
        d_step {
            if
            /* participant.c take_slot: int error = isthmus_os_try_byte(primitive->fd,
               slot_byte(primitive, i), 0) */
            :: holder[slot] == 0 -> holder[slot] = p + 1; seized = true
            :: else
            fi
        };
        if
        :: seized ->
            seized = false;
#ifndef NO_REPAIR_ON_JOIN
            /* participant.c isthmus_participant_join: isthmus_repair(primitive, slot) */
            abandon(slot);
#endif
            acquire();
            critical();
            release()
        :: else
        fi;
        finished = finished | BIT(me)
    } UNTIL_KILLED
}
#endif

init
{
    atomic {
#ifdef JOINER
        word = 1;
#endif
        holder[0] = 1;
        holder[1] = 2;
        run thread(0, 0, 0);
        run thread(1, 1, 1);
#ifdef APART
        holder[2] = 3;
        run thread(2, 2, 2);
#ifdef GIVES_UP
        run thread(3, 3, 3);
#endif
#elif !defined(SINGLE)
        run thread(2, 1, 1);
#endif
#ifdef JOINER
        run joiner(3, 2, 0);
#endif
        LET_DIE
    }
}

#ifdef LIVENESS
ltl recovery { <> (finished == ALL_THREADS) }
#endif
