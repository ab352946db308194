/*
 * Atomic integers: src/core/atomic_int.c.
 *
 * Properties
 *   wake-ups    Without deaths and without slices nobody sleeps for ever while the value is
 *               another than the one that it waits to be gone.
 *   recovery    The same with deaths at any step, at the end of a slice, if the scheduler is fair.
 *
 * Who is there
 *   Thread 0 waits while the value is 0, and thread 1 while it is 1. Threads 2 and 3 add one
 *   each, and thread 4 another, so that it ends as 3, in whatever order.
 *
 * Left out
 *   That `changes` wraps around after 2^32.
 *
 * CHECK wake-ups: NO_SLICES
 * CHECK LONG recovery: DEATHS=2 SLICES LIVENESS
 * MUST FAIL NO_SLICES: LOOK_FIRST
 * MUST FAIL NO_SLICES: COUNT_BEFORE_CLEARING
 * MUST FAIL NO_SLICES: NUMBER_AFTER_LOOK
 * MUST FAIL NO_SLICES: SLEEP_WITHOUT_COMPARING
 * MUST FAIL DEATHS=1 LIVENESS: NO_SLICES
 */
#define PROCESSES 4
#define FUTEXES 1
#define SLOTS 1
#define THREADS_OF(p) (1 << (p))
#define FORGET found = 0

inline mourn(p)
{
    skip
}

#include "kernel.pml"

byte value;   /* isthmus_shared_atomic_int.value */
byte changes; /* isthmus_shared_atomic_int.changes */
bit waiters;  /* isthmus_shared_atomic_int.waiters */

inline changed()
{
    if
    /* atomic_int.c changed: if (!isthmus_load_u32(&integer->waiters) */
    :: waiters ->
#ifdef COUNT_BEFORE_CLEARING
        changes++;
        futex_wake_all(0);
        waiters = 0
#else
        /* atomic_int.c changed: !isthmus_exchange_u32(&integer->waiters, 0)) */
        d_step { found = waiters; waiters = 0 };
        if
        :: found ->
            changes++; /* atomic_int.c changed: isthmus_add_u32(&integer->changes, 1) */
            /* atomic_int.c changed: isthmus_os_futex_wake(&integer->changes, UINT32_MAX) */
            futex_wake_all(0)
        :: else
        fi
#endif
    :: else
    fi
}

inline wait_while(old)
{
    do
    ::
#ifdef LOOK_FIRST
        if
        :: value != old -> break
        :: else
        fi;
        found = changes;
        waiters = 1;
#elif defined(NUMBER_AFTER_LOOK)
        waiters = 1;
        if
        :: value != old -> break
        :: else
        fi;
        found = changes;
#else
        /* atomic_int.c wait_for: const uint32_t changes = isthmus_load_u32(&integer->changes) */
        found = changes;
        waiters = 1; /* atomic_int.c wait_for: isthmus_store_u32(&integer->waiters, 1) */
        if
        /* atomic_int.c wait_for: if (isthmus_atomic_int_load(primitive) != value) */
        :: value != old -> break
        :: else
        fi;
#endif
        /* atomic_int.c wait_for: int result = isthmus_wait_sleep(wait, &integer->changes,
           changes) */
        futex_sleep(0, changes == found);
        if
        :: AWAKE(0)
        :: atomic { SLICE_ENDS(0) -> rouse(0) }
        fi
    od
}

proctype waiter(byte me; byte p; byte old)
{
    byte found;
    {
        wait_while(old);
        finished = finished | BIT(me)
    } UNTIL_KILLED
}

proctype changer(byte me; byte p)
{
    byte found;
    {
        value++; /* atomic_int.c CHANGE: operation(&state(integer)->value, (uint64_t)value) */
        changed(); /* atomic_int.c CHANGE: changed(state(integer)) */
        finished = finished | BIT(me)
    } UNTIL_KILLED
}

init
{
    atomic {
        run waiter(0, 0, 0);
        run waiter(1, 1, 1);
        run changer(2, 2);
        run changer(3, 3);
#if !DEATHS
        run changer(4, 4);
#endif
        LET_DIE
    };
#if !DEATHS
    timeout;
    assert(finished == 31) /* wake-ups */
#endif
}

#ifdef LIVENESS
#define OWED(t) (!(finished & BIT(t)) && value != (t))
ltl recovery { <> ((finished & 12) == 12 && !OWED(0) && !OWED(1)) }
#endif
