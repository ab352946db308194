/*
 * Barriers: src/core/barrier.c, with what repair.c does for them.
 *
 * Properties
 *   together    A round ends well only when all its parties have arrived and none of them has
 *               withdrawn, and by one of them, the one that arrived last.
 *   agreement   All that waited in a round get the same answer, however long each of them takes to
 *               ask, and whatever happens to later rounds meanwhile.
 *   wake-ups    Without deaths and without slices nobody sleeps for a round that is over, or for
 *               room in one that has room.
 *   recovery    With deaths at any step: nobody waits for ever with one that is dead, or for a
 *               round that is over, if the scheduler is fair.
 *
 * Who is there
 *   THREADS threads, each a process of its own, that wait ROUNDS times unless the barrier
 *   breaks; PARTIES make a round. Thread 0 may, with WITHDRAWS, be interrupted while it waits for
 *   others, and with EXPIRES run out of time. With RESETS, one more resets the barrier once, and
 *   those that found it broken wait once more. With EARLY, threads 0 and 1 have arrived at the
 *   start.
 *
 * Left out
 *   The guard is a lock that blocks, and whose dead owner is as none: mutex.pml shows that it is
 *   so. Under it the shares of all slots are looked at in one step: nobody else changes them.
 *   That a sweep does nothing if another was a moment ago. That the number of the round wraps
 *   around. `broken` has 4 entries, not 12: who asks when nearly that many rounds have broken
 *   since is told that its own did.
 *
 * CHECK together, agreement, wake-ups: THREADS=3 PARTIES=3 ROUNDS=2
 * CHECK together, agreement, wake-ups, full rounds: THREADS=4 PARTIES=2 ROUNDS=1
 * CHECK together, agreement, wake-ups, withdrawing: THREADS=3 PARTIES=2 ROUNDS=1 WITHDRAWS
 * CHECK together, agreement, wake-ups, expiring: THREADS=3 PARTIES=2 ROUNDS=2 EXPIRES
 * CHECK LONG together, agreement, wake-ups, reset: THREADS=3 PARTIES=2 ROUNDS=1 EXPIRES RESETS
 * CHECK LONG together, agreement, recovery: THREADS=3 PARTIES=2 ROUNDS=1 DEATHS=1 SLICES LIVENESS
 * CHECK together, agreement, a reset cut off: THREADS=2 PARTIES=2 ROUNDS=1 RESETS DEATHS=1 SLICES
 * CHECK LONG agreement, recovery, three: THREADS=3 PARTIES=3 ROUNDS=1 EARLY DEATHS=2 SLICES LIVENESS
 * MUST FAIL THREADS=3 PARTIES=2 ROUNDS=1 WITHDRAWS: WITHDRAW_FROM_FULL
 * MUST FAIL THREADS=4 PARTIES=2 ROUNDS=1: ENTER_FULL
 * MUST FAIL THREADS=2 PARTIES=2 ROUNDS=2: OLD_SHARES_COUNT
 * MUST FAIL THREADS=3 PARTIES=2 ROUNDS=1 EXPIRES RESETS: ENTRY_AFTER_ROUND
 * MUST FAIL THREADS=2 PARTIES=2 ROUNDS=1 RESETS DEATHS=1 SLICES: ENTRY_STAYS
 * MUST FAIL THREADS=3 PARTIES=2 ROUNDS=1: SLEEP_WITHOUT_COMPARING
 * MUST FAIL THREADS=3 PARTIES=2 ROUNDS=1 EXPIRES: EXPIRE_WITHOUT_LOOK
 * MUST FAIL THREADS=2 PARTIES=2 ROUNDS=1 DEATHS=1 SLICES LIVENESS: NO_SWEEP
 * MUST FAIL THREADS=2 PARTIES=2 ROUNDS=1 DEATHS=1 LIVENESS: NO_SLICES
 */
#ifdef RESETS
#define PROCESSES (THREADS + 1)
#else
#define PROCESSES THREADS
#endif
#define FUTEXES 1
#define SLOTS THREADS
#define THREADS_OF(p) (1 << (p))
#define FORGET found = 0; mine = 0; result = 0; index = 0; i = 0; left = 0

#define OK 0
#define BROKEN 1
#define BUSY 2
#define SLICE 3
#define INTERRUPTED 4
#define TIME_OVER 5

#define ENTRIES 4

byte guard;             /* its owner + 1 */
byte round;             /* isthmus_shared_barrier.round */
byte breaks;            /* isthmus_shared_barrier.breaks */
byte broken[ENTRIES];   /* isthmus_shared_barrier.broken */
byte share[SLOTS];      /* isthmus_shared_participant.share */
byte round_of[SLOTS];   /* isthmus_shared_participant.round */
byte waiting;           /* ghost: threads that have arrived and await */
byte waits_for[THREADS]; /* ghost: the round that each of them awaits */
byte there;             /* ghost: those that are in the current round */
bit went_well[16];      /* ghost: of each round that is over */

inline mourn(p)
{
    waiting = waiting & (255 - (1 << (p)))
}

#include "kernel.pml"

#if DEATHS
#define GUARD_FREE (guard == 0 || dead[guard - 1])
#else
#define GUARD_FREE (guard == 0)
#endif

#ifdef OLD_SHARES_COUNT
#define COUNTS(s) share[s]
#else
#define COUNTS(s) (round_of[s] == round -> share[s] : 0)
#endif
#if THREADS == 2
#define ARRIVED (COUNTS(0) + COUNTS(1))
#define THERE ((there & 1) + (there >> 1 & 1))
#elif THREADS == 3
#define ARRIVED (COUNTS(0) + COUNTS(1) + COUNTS(2))
#define THERE ((there & 1) + (there >> 1 & 1) + (there >> 2 & 1))
#else
#define ARRIVED (COUNTS(0) + COUNTS(1) + COUNTS(2) + COUNTS(3))
#define THERE ((there & 1) + (there >> 1 & 1) + (there >> 2 & 1) + (there >> 3 & 1))
#endif

inline enter_guard()
{
    atomic { GUARD_FREE -> guard = me + 1 }
}

/* ---- repair.c ----------------------------------------------------------------------------- */

/* repair.c isthmus_round_noted: const uint32_t last = isthmus_load_u32(&barrier->breaks) - 1 */
/* repair.c isthmus_round_noted: return isthmus_load_u32(&barrier->broken[last %
   ISTHMUS_BARRIER_BROKEN]) == (round | 1) */
#define NOTED (breaks && broken[(breaks + ENTRIES - 1) % ENTRIES] == (round | 1))

inline repair_round(stay_broken)
{
    /* repair.c isthmus_repair_round: const uint32_t round = isthmus_load_u32(&barrier->round) */
    /* repair.c isthmus_repair_round: const uint32_t breaks = isthmus_load_u32(&barrier->breaks) */
    found = round;
#ifndef ENTRY_AFTER_ROUND
    if
    /* repair.c isthmus_repair_round: if (!(round & 1) && !isthmus_round_noted(barrier, round)) */
    :: !(round & 1) && !NOTED ->
        /* repair.c isthmus_repair_round: isthmus_store_u32(&barrier->broken[breaks %
           ISTHMUS_BARRIER_BROKEN], round | 1) */
        broken[breaks % ENTRIES] = round | 1;
        /* repair.c isthmus_repair_round: isthmus_store_u32(&barrier->breaks, breaks + 1) */
        breaks++
    :: else
    fi;
#endif
    /* repair.c isthmus_repair_round: isthmus_store_u32(&barrier->round, ((round | 1) + 1) |
       (stay_broken != 0)) */
    atomic { round = ((found | 1) + 1) | stay_broken; there = 0 };
#ifdef ENTRY_AFTER_ROUND
    broken[breaks % ENTRIES] = found | 1;
    breaks++;
#endif
    /* repair.c isthmus_repair_round: isthmus_wake(primitive, &barrier->round, UINT32_MAX) */
    futex_wake_all(0);
    found = 0
}

#define LEFT_BEHIND(s) (s != me && share[s] && holder[s] == 0)

/* After the dead participant `i`, which has been seized. Under the guard. */
inline repair_seized()
{
    if
    :: result == BROKEN ->
        if
        /* repair.c repair_barrier: const uint32_t round = isthmus_load_u32(&barrier->round); if
           (isthmus_load_u32(&gone->share) && isthmus_load_u32(&gone->round) == round && !(round &
           1)) isthmus_repair_round(primitive, 1) */
        :: round_of[i] == round && !(round & 1) -> repair_round(1)
        :: else
        fi;
        share[i] = 0; /* repair.c repair_barrier: isthmus_store_u32(&gone->share, 0) */
        atomic { holder[i] = 0; i = 0 }
    :: else
    fi
}

/* For one dead participant, whichever; the next sweep does the next. */
inline sweep()
{
    atomic {
        if
        :: LEFT_BEHIND(0) -> i = 0; holder[0] = me + 1; result = BROKEN
        :: LEFT_BEHIND(1) -> i = 1; holder[1] = me + 1; result = BROKEN
#if THREADS > 2
        :: LEFT_BEHIND(2) -> i = 2; holder[2] = me + 1; result = BROKEN
#endif
        :: else -> result = OK
        fi
    };
    repair_seized()
}

/* ---- barrier.c ------------------------------------------------------------------------------ */

#define MET(s) (LEFT_BEHIND(s) && round_of[s] == mine)

/* BROKEN if one that is counted in the round is dead; one is enough, the others' round is over. */
inline meet_the_dead()
{
    atomic {
        if
        /* barrier.c met_the_dead: if (!arrived_of(barrier, i, round) ||
           isthmus_participant_seize(barrier, i)) continue */
        :: MET(0) -> i = 0; holder[0] = me + 1; result = BROKEN
        :: MET(1) -> i = 1; holder[1] = me + 1; result = BROKEN
#if THREADS > 2
        :: MET(2) -> i = 2; holder[2] = me + 1; result = BROKEN
#endif
        :: else
        fi
    };
    repair_seized() /* barrier.c met_the_dead: isthmus_repair(barrier, i) */
}

#define AGE(r) (((round | 1) - (r)) & 255)

inline outcome()
{
    /* barrier.c outcome: const uint32_t breaks = isthmus_load_u32(&state(barrier)->breaks) */
    index = breaks;
    i = 1;
    result = BUSY; /* not decided yet */
    do
    :: atomic {
        result == BUSY ->
        if
        :: i >= ENTRIES -> result = BROKEN
        /* barrier.c outcome: if (i > breaks) return 0 */
        :: i < ENTRIES && i > index -> result = OK
        :: else ->
            /* barrier.c outcome: const uint32_t entry =
               isthmus_load_u32(&state(barrier)->broken[(breaks - i) % ISTHMUS_BARRIER_BROKEN]) */
            found = broken[(index - i) % ENTRIES];
            if
            /* barrier.c outcome: if (entry == (round | 1)) */
            :: found == (mine | 1) -> result = BROKEN
            :: else
            fi
        fi
    };
        atomic {
            if
            /* barrier.c outcome: const uint32_t now = isthmus_load_u32(&state(barrier)->round) | 1;
               if (now - entry > now - (round | 1)) */
            :: result == BUSY && AGE(found) > AGE(mine | 1) ->
                result = OK
            :: else -> i++
            fi
        }
    :: else -> break
    od;
    atomic { i = 0; found = 0; index = 0 }
}

#if THREADS > 2
#define SOMEBODY_LEFT_BEHIND (LEFT_BEHIND(0) || LEFT_BEHIND(1) || LEFT_BEHIND(2))
#else
#define SOMEBODY_LEFT_BEHIND (LEFT_BEHIND(0) || LEFT_BEHIND(1))
#endif

#ifdef NO_SWEEP
#define LOOK_FOR_THE_DEAD false
#else
#define LOOK_FOR_THE_DEAD SOMEBODY_LEFT_BEHIND /* else it would do nothing */
#endif

inline look_for_the_dead()
{
    /* barrier.c isthmus_barrier_meet_the_dead: if (isthmus_guard_acquire(barrier,
       &state(barrier)->guard, 0)) */
    enter_guard();
    /* barrier.c isthmus_barrier_meet_the_dead: const int found =
       isthmus_participants_sweep(barrier) */
    sweep();
    /* barrier.c isthmus_barrier_meet_the_dead: isthmus_mutex_release(barrier,
       &state(barrier)->guard, 0) */
    guard = 0
}

/* 0 or SLICE; for thread 0 also INTERRUPTED and TIME_OVER, if it has arrived. */
inline sleep_on(arrived)
{
    result = OK;
    if
    /* barrier.c sleep_on: if (isthmus_load_u32(&barrier->round) != round) return 0 */
    :: round == mine ->
        /* barrier.c sleep_on: return isthmus_wait_sleep(wait, &barrier->round, round) */
        futex_sleep(0, round == mine);
        if
        :: AWAKE(0)
        :: atomic { SLICE_ENDS(0) -> rouse(0); result = SLICE }
#ifdef WITHDRAWS
        :: atomic { me == 0 && arrived && !AWAKE(0) -> rouse(0); result = INTERRUPTED }
#endif
#ifdef EXPIRES
        :: atomic { me == 0 && arrived && !AWAKE(0) -> rouse(0); result = TIME_OVER }
#endif
        fi
    :: else
    fi
}

inline wait_on(arrived)
{
    /* barrier.c wait_on: int result = wait->deadline ? sleep_on(wait, round) : -ETIMEDOUT */
    sleep_on(arrived);
    if
    /* barrier.c wait_on: if (isthmus_barrier_meet_the_dead(wait->primitive) || result ==
       ISTHMUS_WAIT_SLICE) return 0 */
    :: (result == SLICE || result == TIME_OVER) && LOOK_FOR_THE_DEAD ->
        look_for_the_dead();
        result = OK
    :: else ->
        if
        :: result == SLICE -> result = OK
        :: else
        fi
    fi
}

inline arrive()
{
    do
    ::  enter_guard(); /* barrier.c isthmus_barrier_arrive: result = isthmus_guard_acquire(barrier,
                          &state(barrier)->guard, deadline) */
        atomic {
            mine = round; /* barrier.c arrive: *round = isthmus_load_u32(&state(barrier)->round); if
                             (*round & 1) return -ISTHMUS_E_BROKEN */
            /* barrier.c arrive: const uint64_t before = arrived(barrier, *round) */
            index = ARRIVED;
            if
            :: mine & 1 -> result = BROKEN
#ifndef ENTER_FULL
            /* barrier.c arrive: if (before >= state(barrier)->parties || before > INT32_MAX) return
               -EBUSY */
            :: !(mine & 1) && index >= PARTIES -> result = BUSY
#endif
            :: else -> result = OK
            fi
        };
        if
        /* barrier.c arrive: if (before + 1 >= state(barrier)->parties && met_the_dead(barrier,
           *round)) return -ISTHMUS_E_BROKEN */
        :: result != BROKEN && index + 1 >= PARTIES -> meet_the_dead()
        :: else
        fi;
        if
        :: result == OK ->
            if
            /* barrier.c arrive: if (isthmus_load_u32(&own->round) != *round) */
            :: round_of[me] != mine ->
                share[me] = 0; /* barrier.c arrive: isthmus_store_u32(&own->share, 0) */
                round_of[me] = mine /* barrier.c arrive: isthmus_store_u32(&own->round, *round) */
            :: else
            fi;
            atomic {
                share[me]++; /* barrier.c arrive: isthmus_add_u32(&own->share, 1) */
                there = there | BIT(me);
                waiting = waiting | BIT(me);
                waits_for[me] = mine
            }
        :: else
        fi;
        /* barrier.c isthmus_barrier_arrive: isthmus_mutex_release(barrier, &state(barrier)->guard,
           0) */
        guard = 0;
        if
        :: result != BUSY -> break
        :: else
        fi;
        wait_on(false) /* barrier.c isthmus_barrier_arrive: result = wait_on(&wait, *round) */
    od
}

inline trip()
{
    enter_guard(); /* barrier.c isthmus_barrier_trip: isthmus_guard_enter(barrier,
                      &state(barrier)->guard) */
    if
    /* barrier.c isthmus_barrier_trip: if (isthmus_load_u32(&state(barrier)->round) != round) */
    :: round != mine -> result = BROKEN
    :: else ->
        result = OK;
        meet_the_dead() /* barrier.c isthmus_barrier_trip: else if (met_the_dead(barrier, round)) */
    fi;
    if
    :: result == BROKEN
    :: else ->
        if
        /* barrier.c isthmus_barrier_trip: if (isthmus_round_noted(state(barrier), round)) */
        /* barrier.c isthmus_barrier_trip: isthmus_add_u32(&state(barrier)->breaks, UINT32_MAX) */
#ifndef ENTRY_STAYS
        :: NOTED -> breaks--
#endif
        :: else
        fi;
        d_step {
            assert(THERE == PARTIES && (there & BIT(me))); /* together */
            there = 0;
            went_well[mine >> 1] = 1;
            /* barrier.c isthmus_barrier_trip: isthmus_store_u32(&state(barrier)->round, round +
               2) */
            round = mine + 2
        };
        result = OK
    fi;
    /* barrier.c isthmus_barrier_trip: isthmus_mutex_release(barrier, &state(barrier)->guard, 0) */
    guard = 0;
    if
    /* barrier.c isthmus_barrier_trip: isthmus_wake(barrier, &state(barrier)->round, UINT32_MAX) */
    :: result == OK -> futex_wake_all(0)
    :: else
    fi
}

inline await()
{
    result = OK;
    do
    /* barrier.c isthmus_barrier_await: while (!result &&
       isthmus_load_u32(&state(barrier)->round) == round) result = wait_on(&wait, round) */
    :: result == OK && round == mine -> wait_on(true)
    :: else -> break
    od;
    if
    /* barrier.c isthmus_barrier_await: return result ? result : outcome(barrier, round) */
    :: result == OK -> outcome()
    :: else
    fi
}

inline withdraw()
{
    enter_guard(); /* barrier.c isthmus_barrier_withdraw: isthmus_guard_enter(barrier,
                      &state(barrier)->guard) */
    if
#ifdef WITHDRAW_FROM_FULL
    :: round == mine ->
#else
    /* barrier.c isthmus_barrier_withdraw: const int late =
       isthmus_load_u32(&state(barrier)->round) != round || arrived(barrier, round) >=
       state(barrier)->parties */
    :: round == mine && ARRIVED < PARTIES ->
#endif
        d_step {
            /* barrier.c isthmus_barrier_withdraw: if (!late && isthmus_load_u32(&own->share))
               isthmus_add_u32(&own->share, UINT32_MAX) */
            share[me]--;
            there = there & ALL_BUT(me);
            waiting = waiting & ALL_BUT(me)
        }
    :: else -> result = SLICE /* too late: await it */
    fi;
    guard = 0 /* barrier.c isthmus_barrier_withdraw: isthmus_mutex_release(barrier,
                 &state(barrier)->guard, 0) */
}

inline expire()
{
    enter_guard(); /* barrier.c isthmus_barrier_expire: isthmus_guard_enter(barrier,
                      &state(barrier)->guard) */
    if
#ifdef EXPIRE_WITHOUT_LOOK
    :: repair_round(1); result = BROKEN
#else
    /* barrier.c isthmus_barrier_expire: const int over = isthmus_load_u32(&state(barrier)->round)
       != round; if (!over) isthmus_repair_round(barrier, 1) */
    :: round == mine -> repair_round(1); result = BROKEN
    :: round != mine -> result = OK
#endif
    fi;
    /* barrier.c isthmus_barrier_expire: isthmus_mutex_release(barrier, &state(barrier)->guard,
       0) */
    guard = 0;
    if
    :: result == OK -> outcome() /* barrier.c isthmus_barrier_expire: return over ? outcome(barrier,
                                    round) : -ISTHMUS_E_BROKEN */
    :: else
    fi
}

inline wait()
{
#ifdef EARLY
    if
    :: me < 2 -> skip
    :: else -> arrive()
    fi;
#else
    /* barrier.c isthmus_barrier_wait: int index = isthmus_barrier_arrive(barrier, deadline,
       &round) */
    arrive();
#endif
    if
    :: result == OK ->
        if
        /* barrier.c isthmus_barrier_wait: isthmus_barrier_trip(barrier, round) */
        :: index + 1 == PARTIES -> trip()
        /* barrier.c isthmus_barrier_wait: isthmus_barrier_await(barrier, deadline, round) */
        :: else -> await()
        fi;
        do
        /* barrier.c isthmus_barrier_wait: while (result == -EINTR &&
           isthmus_barrier_withdraw(barrier, round) == 1) result = isthmus_barrier_await(barrier,
           deadline, round) */
        :: result == INTERRUPTED ->
            withdraw();
            if
            :: result == SLICE -> await()
            :: else -> break
            fi
        /* barrier.c isthmus_barrier_wait: if (result == -ETIMEDOUT) result =
           isthmus_barrier_expire(barrier, round) */
        :: result == TIME_OVER -> expire()
        :: else -> break
        od;
        atomic {
            waiting = waiting & ALL_BUT(me);
            /* agreement */
            assert(result == INTERRUPTED || (result == OK) == went_well[mine >> 1])
        }
    :: else
    fi;
    atomic { mine = 0; index = 0 }
}

#ifdef RESETS
proctype resetter(byte me; byte p)
{
    byte found, mine, result, index, i, left;
    {
        enter_guard(); /* barrier.c isthmus_barrier_reset: isthmus_guard_enter(barrier,
                          &state(barrier)->guard) */
        if
        /* barrier.c isthmus_barrier_reset: const uint32_t round =
           isthmus_load_u32(&state(barrier)->round); if (round & 1 || arrived(barrier, round))
           isthmus_repair_round(barrier, 0) */
        :: round & 1 || ARRIVED -> repair_round(0)
        :: else
        fi;
        /* barrier.c isthmus_barrier_reset: isthmus_mutex_release(barrier, &state(barrier)->guard,
           0) */
        guard = 0;
        finished = finished | BIT(me)
    } UNTIL_KILLED
}
#define AGAIN (result == BROKEN && !(round & 1))
#else
#define AGAIN false
#endif

proctype party(byte me; byte p)
{
    byte found, mine, result, index, i;
    byte left = ROUNDS;
    bool once = true;
    {
        do
        :: left > 0 ->
            wait();
            if
            :: AGAIN && once -> once = false
            :: else -> left = (result == OK -> left - 1 : 0)
            fi
        :: else -> break
        od;
        atomic { finished = finished | BIT(me); FORGET }
    } UNTIL_KILLED
}

#define FOR_NOTHING(t) ((waiting & BIT(t)) && waits_for[t] != round)

init
{
    byte n;
    atomic {
        do
        :: n < THREADS ->
            holder[n] = n + 1;
            round_of[n] = 0;
            run party(n, n);
            n++
        :: else -> break
        od;
        n = 0;
#ifdef EARLY
        share[0] = 1;
        share[1] = 1;
        there = 3;
        waiting = 3;
#endif
#ifdef RESETS
        run resetter(THREADS, THREADS);
#endif
        LET_DIE
    };
#if !DEATHS
    timeout;
    /* wake-ups */
    assert(guard == 0 && THERE < PARTIES);
    assert(!FOR_NOTHING(0) && !FOR_NOTHING(1));
#if THREADS > 2
    assert(!FOR_NOTHING(2));
#endif
    /* And nobody waits for room: all that are not at their end have arrived. */
    assert((finished | waiting) == (1 << PROCESSES) - 1)
#endif
}

#ifdef LIVENESS
#define IN_VAIN(t) (share[t] && dead[t] && round_of[t] == round && !(round & 1) && waiting)
#define STUCK_WITH(t) (FOR_NOTHING(t) || IN_VAIN(t))
#if THREADS > 2
#define STUCK (STUCK_WITH(0) || STUCK_WITH(1) || STUCK_WITH(2))
#else
#define STUCK (STUCK_WITH(0) || STUCK_WITH(1))
#endif
ltl recovery { [] (STUCK -> <> !STUCK) }
#endif
