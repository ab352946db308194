/*
 * Conditions: src/core/condition.c.
 *
 * Properties
 *   no theft    Who is notified was waiting already when somebody notified; and no more are
 *               notified than notifications were given.
 *   wake-ups    Without deaths and without slices each notification is taken: nobody sleeps who
 *               could take one, also when a waiter's time is over at the same moment.
 *   recovery    With deaths at any step: a notification that was given is taken by one that lives,
 *               if one that may take it waits; at the end of a slice, if the scheduler is fair.
 *
 * Who is there
 *   Threads 0, 1 and 2 wait, once each or not at all, and come when they like
 *   (thread 2 is not there with LIVENESS); thread 3 notifies one, and then
 *   one again (with AT_ONCE: two). With TIME_OVER, a sleep of thread 0 may end by its deadline.
 *
 * Left out
 *   The lock that goes with the condition is one that blocks, and is taken from a dead owner:
 *   mutex.pml shows that it is so. The look before the first sleep. That a sweep does nothing if
 *   another was a moment ago. Tickets are numbers up to 2^64, which do not wrap around; that
 *   `sequence` wraps around after 2^32.
 *
 * CHECK no theft, wake-ups: NO_SLICES
 * CHECK no theft, wake-ups, two at once: NO_SLICES AT_ONCE
 * CHECK LONG no theft, wake-ups, time over: NO_SLICES TIME_OVER
 * CHECK LONG no theft, recovery: DEATHS=2 SLICES LIVENESS
 * MUST FAIL NO_SLICES: NO_TICKETS
 * MUST FAIL NO_SLICES: NUMBER_BEFORE_TOKEN
 * MUST FAIL NO_SLICES: NUMBER_AFTER_LOOK
 * MUST FAIL NO_SLICES AT_ONCE: WAKE_ONE
 * MUST FAIL NO_SLICES: TOKENS_FOR_NOBODY
 * MUST FAIL NO_SLICES TIME_OVER: LEAVES_ITS_TOKEN
 * MUST FAIL DEATHS=1 SLICES LIVENESS: TOKEN_WITHOUT_LOCK
 * MUST FAIL DEATHS=1 LIVENESS: NO_SLICES
 */
/* left out: condition.c isthmus_condition_sleep: if (isthmus_condition_may_take(state,
   waiter->ticket)) return 0 */
#define PROCESSES 4
#define FUTEXES 1
#define SLOTS 4
#ifdef LIVENESS
#define THREADS_OF(p) ((p) == 2 -> 0 : (1 << (p))) /* there is none to kill */
#else
#define THREADS_OF(p) (1 << (p))
#endif
#define FORGET found = 0; ticket = 0; before = 0; sum = 0; may = 0; over = 0; died = 0

byte lock;         /* its owner + 1 */
byte sequence;     /* isthmus_shared_condition.sequence */
byte tokens;       /* isthmus_shared_condition.tokens */
byte tickets;      /* isthmus_shared_condition.tickets */
byte limit;        /* isthmus_shared_condition.limit */
byte share[SLOTS]; /* isthmus_shared_participant.share */
byte given;        /* ghost: notifications so far */
byte taken;        /* ghost: those that were notified */
byte calls;        /* ghost: calls that let those that wait take one */
byte eligible;     /* ghost: threads that wait and may take a token */
byte waiting;      /* ghost: threads that wait */

inline mourn(p)
{
    waiting = waiting & (255 - (1 << (p)));
    eligible = eligible & (255 - (1 << (p)))
}

#include "kernel.pml"

#if DEATHS
#define LOCK_FREE (lock == 0 || dead[lock - 1])
#else
#define LOCK_FREE (lock == 0)
#endif
#define WAITERS (share[0] + share[1] + share[2])

inline take_lock()
{
    atomic { LOCK_FREE -> died = died || lock; lock = me + 1 }
}

inline take_back_tokens()
{
    /* Only who has the lock changes shares. */
    atomic {
        found = tokens; /* condition.c take_back_tokens: const uint32_t tokens =
                           isthmus_load_u32(&state->tokens) */
        sum = WAITERS /* condition.c take_back_tokens: uint64_t waiters =
                         isthmus_participants_shares(condition) */
    };
    if
    /* condition.c take_back_tokens: if (tokens > waiters) isthmus_store_u32(&state->tokens,
       (uint32_t)waiters) */
    :: atomic { found > sum -> tokens = sum; given = given - (found - sum) }
    :: else
    fi;
    atomic { found = 0; sum = 0 }
}

/* condition.c isthmus_condition_may_take: return isthmus_load_u32(&state->tokens) && ticket <
   isthmus_load_u64(&state->limit) */
inline may_take()
{
    may = (tokens > 0);
#ifndef NO_TICKETS
    if
    :: may -> may = (ticket < limit)
    :: else
    fi
#endif
}

inline enter()
{
    take_back_tokens();
    /* condition.c isthmus_condition_enter: waiter->ticket = isthmus_add_u64(&state->tickets, 1) */
    atomic { ticket = tickets; tickets++ };
    d_step {
        /* condition.c isthmus_condition_enter: isthmus_add_u32(&isthmus_own(condition)->share,
           1) */
        share[me]++;
        waiting = waiting | BIT(me);
        before = calls
    };
    lock = 0 /* condition.c isthmus_condition_enter: return isthmus_lock_drop(lock, 0,
                &waiter->depth) */
}

inline sleep()
{
    do
    ::
#ifdef NUMBER_AFTER_LOOK
        may_take();
        found = sequence;
#else
        found = sequence; /* condition.c isthmus_condition_sleep: const uint32_t sequence =
                             isthmus_load_u32(&state->sequence) */
        may_take(); /* condition.c isthmus_condition_sleep: if (isthmus_condition_may_take(state,
                       waiter->ticket)) */
#endif
        if
        :: may -> break
        :: else
        fi;
        /* condition.c isthmus_condition_sleep: result = isthmus_wait_sleep(&wait, &state->sequence,
           sequence) */
        futex_sleep(0, sequence == found);
        if
        :: AWAKE(0)
        :: atomic { SLICE_ENDS(0) -> rouse(0) }
#ifdef TIME_OVER
        /* condition.c isthmus_condition_sleep: while (result >= 0) */
        :: atomic { me == 0 && !AWAKE(0) -> rouse(0); over = true; break }
#endif
        fi
    od
}

inline leave()
{
#ifndef TOKEN_WITHOUT_LOCK
    may_take(); /* condition.c isthmus_condition_leave: const int notified =
                   isthmus_condition_may_take(state, waiter->ticket) */
#endif
#ifdef LEAVES_ITS_TOKEN
    if
    :: over -> may = false
    :: else
    fi;
#endif
    if
    :: !may && !over && !died -> /* condition.c isthmus_condition_leave: if (!notified && again) */
        /* condition.c isthmus_condition_leave: error = isthmus_lock_drop(lock, 0, &depth) */
        lock = 0
    :: else ->
        if
        :: may ->
            d_step {
#ifndef TOKEN_WITHOUT_LOCK
                /* condition.c isthmus_condition_leave: if (notified)
                   isthmus_add_u32(&state->tokens, UINT32_MAX) */
                tokens--;
#endif
                taken++;
                assert(taken <= given && calls > before) /* no theft */
            }
        :: else
        fi;
        d_step {
            /* condition.c isthmus_condition_leave:
               isthmus_add_u32(&isthmus_own(condition)->share, UINT32_MAX) */
            share[me]--;
            waiting = waiting & ALL_BUT(me);
            eligible = eligible & ALL_BUT(me)
        };
        lock = 0; /* by the caller */
        break
    fi
}

inline wait()
{
    enter();
    do
    ::  sleep(); /* condition.c isthmus_condition_wait: result = isthmus_condition_sleep(condition,
                    &waiter, deadline) */
        /* condition.c isthmus_condition_wait: taken = isthmus_condition_retake(lock, &waiter,
           ISTHMUS_FOREVER) */
#ifdef TOKEN_WITHOUT_LOCK
        atomic {
            if
            :: tokens > 0 -> tokens--
            :: else -> may = false
            fi
        };
#endif
        take_lock();
        /* condition.c isthmus_condition_wait: int took = isthmus_condition_leave(condition, lock,
           &waiter, result == 0 && !died) */
        leave()
    od
}

#define GONE(s) (share[s] && dead[s])

inline notify(count)
{
    if
    /* condition.c isthmus_condition_notify: if (isthmus_load_u32(&state->tokens)) */
    :: tokens > 0 ->
        /* condition.c isthmus_condition_notify: isthmus_participants_sweep(condition) */
        /* repair.c isthmus_repair: isthmus_store_u32(&primitive->slots[slot].share, 0) */
        if
        :: GONE(0) -> share[0] = 0
        :: else
        fi;
        if
        :: GONE(1) -> share[1] = 0
        :: else
        fi;
        if
        :: GONE(2) -> share[2] = 0
        :: else
        fi;
        take_back_tokens() /* condition.c isthmus_condition_notify: take_back_tokens(condition) */
    :: else
    fi;
    atomic {
        sum = WAITERS; /* condition.c isthmus_condition_notify: const uint64_t waiters =
                          isthmus_participants_shares(condition) */
        found = tokens + count /* condition.c isthmus_condition_notify: const uint64_t wanted =
                                  (uint64_t)isthmus_load_u32(&state->tokens) + count */
    };
    if
    /* condition.c isthmus_condition_notify: if (waiters == 0 || count == 0) return 0 */
    :: sum == 0
    :: else ->
        /* condition.c isthmus_condition_notify: isthmus_exchange_u64(&state->limit,
           isthmus_load_u64(&state->tickets)) */
        d_step { limit = tickets; eligible = waiting; calls++ };
#ifdef NUMBER_BEFORE_TOKEN
        sequence++;
#endif
        /* condition.c isthmus_condition_notify: isthmus_store_u32(&state->tokens,
           (uint32_t)(wanted < waiters ? wanted : waiters)) */
        d_step {
#ifndef TOKENS_FOR_NOBODY
            found = (found < sum -> found : sum);
#endif
            given = given + (found - tokens);
            tokens = found
        };
#ifndef NUMBER_BEFORE_TOKEN
        sequence++; /* condition.c isthmus_condition_notify: isthmus_add_u32(&state->sequence, 1) */
#endif
        /* condition.c isthmus_condition_notify: isthmus_wake(condition, &state->sequence, count) */
        futex_wake_one(0);
#ifndef WAKE_ONE
        if
        :: count > 1 -> futex_wake_one(0)
        :: else
        fi
#endif
    fi;
    atomic { sum = 0; found = 0 }
}

proctype waiter(byte me; byte p)
{
    byte found, ticket, before, sum;
    bool may, over, died;
    {
        if
        :: take_lock(); died = false; wait()
        :: true
        fi;
        atomic { finished = finished | BIT(me); FORGET }
    } UNTIL_KILLED
}

proctype notifier(byte me; byte p)
{
    byte found, ticket, before, sum;
    bool may, over, died;
    {
#ifdef AT_ONCE
        take_lock();
        notify(2);
        lock = 0;
#else
        take_lock();
        notify(1);
        lock = 0;
        take_lock();
        notify(1);
        lock = 0;
#endif
        finished = finished | BIT(me)
    } UNTIL_KILLED
}

init
{
    atomic {
        run waiter(0, 0);
        run waiter(1, 1);
#ifndef LIVENESS
        run waiter(2, 2);
#endif
        run notifier(3, 3);
        LET_DIE
    };
#if !DEATHS
    timeout;
    assert(lock == 0 && tokens == 0 && taken == given) /* wake-ups */
#endif
}

#ifdef LIVENESS
ltl recovery { <> ((finished & 8) && !(given > taken && eligible)) }
#endif
