/*
 * What the models take from the kernel: futexes, open file description locks, death.
 *
 * A model says beforehand: PROCESSES, FUTEXES and SLOTS, how many there are of each;
 * THREADS_OF(p), the threads of process p as bits; FORGET, what sets a thread's variables to 0
 * when it is killed, so that they make no difference; mourn(p), what its death means for the
 * ghost variables. It starts the deaths with LET_DIE. From outside come DEATHS, how many processes
 * may be killed, and SLICES, whether sleepers look again by themselves.
 *
 * Memory is sequentially consistent here. In the core each operation that a protocol
 * depends on is so, too (atomic.h), and the relaxed ones are notes that decide nothing.
 */
#ifndef DEATHS
#define DEATHS 0
#endif
#ifdef SLICES
#define SLICED 1
#else
#define SLICED 0
#endif

#define BIT(t) (1 << (t))
#define ALL_BUT(t) (255 - (1 << (t)))

byte asleep[FUTEXES];  /* threads that sleep on each futex, as bits */
byte holder[SLOTS];    /* whose open file description has the lock on a slot's byte: process + 1 */
bool dead[PROCESSES];
byte finished;         /* threads that have come to their end, or were killed */

/* The kernel compares and puts to sleep in one step, as seen by any wake-up. */
inline futex_sleep(futex, unchanged)
{
#ifdef SLEEP_WITHOUT_COMPARING
    unchanged -> asleep[futex] = asleep[futex] | BIT(me)
#else
    d_step {
        if
        :: unchanged -> asleep[futex] = asleep[futex] | BIT(me)
        :: else
        fi
    }
#endif
}
#define AWAKE(futex) (!(asleep[futex] & BIT(me)))

/* What a thread that is asleep can wait for: that it is woken, or that its slice ends. */
#define SLICE_ENDS(futex) (SLICED && !AWAKE(futex))

inline rouse(futex)
{
    asleep[futex] = asleep[futex] & ALL_BUT(me)
}

/* Whom the kernel picks is nobody's business: any order will do. */
inline futex_wake_one(futex)
{
    atomic {
        if
        :: asleep[futex] == 0
        :: asleep[futex] & BIT(0) -> asleep[futex] = asleep[futex] & ALL_BUT(0)
        :: asleep[futex] & BIT(1) -> asleep[futex] = asleep[futex] & ALL_BUT(1)
        :: asleep[futex] & BIT(2) -> asleep[futex] = asleep[futex] & ALL_BUT(2)
        :: asleep[futex] & BIT(3) -> asleep[futex] = asleep[futex] & ALL_BUT(3)
        :: asleep[futex] & BIT(4) -> asleep[futex] = asleep[futex] & ALL_BUT(4)
        fi
    }
}

inline futex_wake_all(futex)
{
    asleep[futex] = 0
}

#if DEATHS
/* SIGKILL: at once nothing of it runs, sleeps, or holds a lock any more. */
inline kill(p)
{
    d_step {
        dead[p] = true;
        finished = finished | THREADS_OF(p);
        k = 0;
        do
        :: k < FUTEXES -> asleep[k] = asleep[k] & (255 - THREADS_OF(p)); k++
        :: else -> break
        od;
        k = 0;
        do
        :: k < SLOTS ->
            if
            :: holder[k] == p + 1 -> holder[k] = 0
            :: else
            fi;
            k++
        :: else -> break
        od;
        k = 0;
        mourn(p);
        deaths_left--
    }
}
#define MAY_DIE(p) (deaths_left && !dead[p] && (finished & THREADS_OF(p)) != THREADS_OF(p))

proctype killer()
{
    byte deaths_left = DEATHS;
    byte k;
end:
    do
    :: atomic { MAY_DIE(0) -> kill(0) }
    :: atomic { MAY_DIE(1) -> kill(1) }
#if PROCESSES > 2
    :: atomic { MAY_DIE(2) -> kill(2) }
#endif
#if PROCESSES > 3
    :: atomic { MAY_DIE(3) -> kill(3) }
#endif
#ifdef LIVENESS
    :: break /* a fair scheduler need not kill */
#endif
    od
}
#define UNTIL_KILLED unless { atomic { dead[p]; FORGET } }
#define LET_DIE run killer()
#else
#define UNTIL_KILLED
#define LET_DIE
#endif
