/*
 * Readers-writer locks: src/core/rwlock.c, with what repair.c does for them.
 *
 * Properties
 *   exclusion   While a writer is in, nobody else is.
 *   report      After a writer died in there, who comes in is told so (-EOWNERDEAD), readers
 *               included, until another writer has put it in order and released.
 *   wake-ups    Without deaths and without slices nobody sleeps for ever: not readers at the gate,
 *               not a writer that waits for readers to leave, not one that lets waiting
 *               readers in first; also when another writer gives up.
 *   recovery    With deaths at any step, of readers, of writers, of those that repair after them,
 *               all that live come in, if the scheduler is fair.
 *
 * Who is there
 *   READERS threads read and, after them in number, WRITERS threads write, once each, all of them
 *   processes of their own. PREFERENCE: readers pass waiting writers. READING:
 *   thread 0 is in at the start; WRITING: the last writer. GIVES_UP: the time of
 *   the last writer may be over while it waits for readers to leave.
 *
 * Left out
 *   How a writer waits for the word: mutex.pml. Joining in a slot. That `drained` and the count of
 *   openings wrap around; here they do after 16. The time that a writer gives to readers whose turn
 *   it is never ends with SLICES undefined, and may end at once otherwise.
 *
 * CHECK exclusion, wake-ups: READERS=2 WRITERS=1
 * CHECK exclusion, wake-ups, two writers: READERS=1 WRITERS=2
 * CHECK exclusion, wake-ups, one gives up: READERS=1 WRITERS=2 GIVES_UP
 * CHECK LONG exclusion, wake-ups, readers first: READERS=2 WRITERS=1 PREFERENCE READING
 * CHECK exclusion, wake-ups, readers first, two writers: READERS=1 WRITERS=2 PREFERENCE
 * CHECK LONG exclusion, report, recovery: READERS=1 WRITERS=2 DEATHS=1 SLICES LIVENESS
 * CHECK LONG report, recovery from a writer: READERS=2 WRITERS=1 WRITING DEATHS=2 SLICES LIVENESS
 * CHECK LONG report, recovery, two writers: READERS=1 WRITERS=2 WRITING DEATHS=2 SLICES LIVENESS
 * CHECK LONG report, recovery from a reader: READERS=2 WRITERS=1 READING DEATHS=2 SLICES LIVENESS
 * MUST FAIL READERS=1 WRITERS=1: NO_SECOND_LOOK
 * MUST FAIL READERS=1 WRITERS=1: LOOK_BEFORE_CLOSING
 * MUST FAIL READERS=2 WRITERS=1: NUMBER_AFTER_LOOK
 * MUST FAIL READERS=2 WRITERS=1: GATE_BEFORE_SHARE
 * MUST FAIL READERS=1 WRITERS=1: SLEEP_WITHOUT_COMPARING
 * MUST FAIL READERS=2 WRITERS=1 PREFERENCE READING: OPEN_IN_TWO_STEPS
 * MUST FAIL READERS=1 WRITERS=2: TURN_IN_SILENCE
 * MUST FAIL READERS=1 WRITERS=2 DEATHS=1 SLICES: NO_MARK
 * MUST FAIL READERS=2 WRITERS=1 DEATHS=1 SLICES: MARK_AFTER_GATE
 * MUST FAIL READERS=1 WRITERS=3 WRITING DEATHS=1 SLICES: GATE_AFTER_WORD
 * MUST FAIL READERS=1 WRITERS=1 DEATHS=1 SLICES LIVENESS: NO_SWEEP
 * MUST FAIL READERS=1 WRITERS=1 DEATHS=1 LIVENESS: NO_SLICES
 */
#define PROCESSES (READERS + WRITERS)
#define FUTEXES 2
#define SLOTS PROCESSES
#define THREADS_OF(p) (1 << (p))
#define ALL_THREADS ((1 << PROCESSES) - 1)
#define FORGET found = 0; owner = 0; sum = 0; i = 0; result = 0; seized = 0; told = 0

#define OWNER 15
#define ABANDONED 64

#define CLOSED 1
#define DRAINING 2
#define TURN 4
#define OPENING 8
#define COUNT 120
#define WAITERS 128

#define GATE 0    /* the futexes: isthmus_shared_rwlock.gate */
#define DRAINED 1 /* and .drained */

#define OK 0
#define BUSY 1
#define SLICE 2
#define TIME_OVER 3

byte word;         /* isthmus_shared_rwlock.word */
byte gate;         /* isthmus_shared_rwlock.gate */
byte drained;      /* isthmus_shared_rwlock.drained, modulo 16 */
bit abandoned;     /* isthmus_shared_rwlock.abandoned */
byte share[SLOTS]; /* isthmus_shared_participant.share */
byte reading;      /* ghost: threads that read */
byte writing;      /* ghost: threads that write */
bool half_done;    /* ghost: what the lock protects is being changed */

inline mourn(p)
{
    reading = reading & (255 - (1 << (p)));
    writing = writing & (255 - (1 << (p)))
}

#include "kernel.pml"

#if DEATHS
#define DEAD(s) (dead[s])
#else
#define DEAD(s) false
#endif

#define COUNT_DRAINED drained = (drained + 1) & 15

/* ---- repair.c ---------------------------------------------------------------------------- */

/* repair.c opened: uint32_t cleared = ISTHMUS_GATE_CLOSED | ISTHMUS_WORD_WAITERS */
/* repair.c opened: uint32_t turn = !draining && gate & ISTHMUS_WORD_WAITERS ? ISTHMUS_GATE_TURN
   : 0 */
/* repair.c opened: return (((gate & ~cleared) + ISTHMUS_GATE_OPENING) & ~ISTHMUS_WORD_WAITERS)
   | turn */
#define OPENED(g) (((((g) & COUNT) + OPENING) & COUNT) | ((g) & TURN) | ((g) & WAITERS -> TURN : 0))
#define OPENED_DRAINING(g) (((((g) & COUNT) + OPENING) & COUNT) | ((g) & (TURN | DRAINING)))

inline repair_gate(now)
{
    /* repair.c isthmus_repair_gate: uint32_t found = isthmus_load_u32(&rwlock->gate) */
    found = gate;
    do
    :: atomic {
        if
        /* repair.c isthmus_repair_gate: while (!isthmus_swap_u32(&rwlock->gate, &found,
           opened(found, draining))) */
        :: gate == found -> gate = now; break
        :: else -> found = gate
        fi
    }
    od;
    if
    /* repair.c isthmus_repair_gate: if (found & ISTHMUS_WORD_WAITERS) isthmus_wake(primitive,
       &rwlock->gate, UINT32_MAX) */
    :: found & WAITERS -> futex_wake_all(GATE)
    :: else
    fi;
    found = 0
}

inline count_drained()
{
    COUNT_DRAINED;
    futex_wake_one(DRAINED)
}

/* mutex.pml has it step by step */
inline abandon(s)
{
    d_step {
        if
        :: (word & OWNER) == s + 1 -> word = ABANDONED
        :: else
        fi
    }
}

inline repair(s)
{
    if
    /* repair.c repair_rwlock: if ((isthmus_load_u32(&rwlock->word) & ISTHMUS_WORD_OWNER) ==
       slot + 1) */
    :: (word & OWNER) == s + 1 ->
#if !defined(NO_MARK) && !defined(MARK_AFTER_GATE)
        abandoned = 1; /* repair.c repair_rwlock: isthmus_store_u32(&rwlock->abandoned, 1) */
#endif
#ifdef GATE_AFTER_WORD
        abandon(s);
        repair_gate(OPENED(found))
#else
        repair_gate(OPENED(found)); /* repair.c repair_rwlock: isthmus_repair_gate(primitive, 0) */
#ifdef MARK_AFTER_GATE
        abandoned = 1;
#endif
        abandon(s) /* repair.c repair_rwlock: abandon(primitive, &rwlock->word, &rwlock->tid,
                      slot) */
#endif
    :: else
    fi;
    /* repair.c repair_rwlock: if (isthmus_exchange_u32(&primitive->slots[slot].share, 0) == 0) */
    atomic { sum = share[s]; share[s] = 0 };
    if
    :: sum ->
        /* repair.c repair_rwlock: isthmus_add_u32(&rwlock->drained, 1) */
        /* repair.c repair_rwlock: isthmus_wake(primitive, &rwlock->drained, 1) */
        count_drained();
        sum = 0
    :: else
    fi
}

inline seize(s)
{
    atomic {
        if
        :: s != me && holder[s] == 0 -> holder[s] = me + 1; seized = true
        :: else -> seized = false
        fi
    }
}

inline unseize(s)
{
    atomic { holder[s] = 0; seized = false }
}

#define LEFT_BEHIND(s) (s != me && share[s] && holder[s] == 0)

/* For one dead participant, whichever; the next sweep does the next. */
inline sweep()
{
    atomic {
        if
        :: LEFT_BEHIND(0) -> i = 0; seized = true
        :: LEFT_BEHIND(1) -> i = 1; seized = true
#if READERS + WRITERS > 2
        :: LEFT_BEHIND(2) -> i = 2; seized = true
#endif
#if READERS + WRITERS > 3
        :: LEFT_BEHIND(3) -> i = 3; seized = true
#endif
        :: else
        fi;
        if
        :: seized -> holder[i] = me + 1
        :: else
        fi
    };
    if
    :: seized -> repair(i); unseize(i); i = 0
    :: else
    fi
}

/* ---- Readers ------------------------------------------------------------------------------ */

inline give_back_share()
{
#ifdef GATE_BEFORE_SHARE
    found = gate;
    share[me]--;
#else
    /* rwlock.c give_back_share: uint32_t found = isthmus_load_u32(share) */
    /* rwlock.c give_back_share: while (!isthmus_swap_u32(share, &found, found - 1)) */
    share[me]--; /* one thread a process: in one step */
    /* rwlock.c give_back_share: if (isthmus_load_u32(&state(rwlock)->gate) & (CLOSED |
       DRAINING)) */
    found = gate;
#endif
    if
    /* rwlock.c give_back_share: isthmus_add_u32(&state(rwlock)->drained, 1) */
    /* rwlock.c give_back_share: isthmus_wake(rwlock, &state(rwlock)->drained, 1) */
    :: found & (CLOSED | DRAINING) -> count_drained()
    :: else
    fi
}

inline end_turn()
{
    /* rwlock.c end_turn: if (!(isthmus_and_u32(&state(rwlock)->gate, ~TURN) & TURN)) */
    atomic { found = gate; gate = gate & (255 - TURN) };
#ifndef TURN_IN_SILENCE
    if
    /* rwlock.c end_turn: isthmus_add_u32(&state(rwlock)->drained, 1) */
    /* rwlock.c end_turn: isthmus_wake(rwlock, &state(rwlock)->drained, 1) */
    :: found & TURN -> count_drained()
    :: else
    fi
#endif
}

/* The result, and in `owner` the gate as it was. */
inline enter()
{
    atomic {
        owner = gate; /* rwlock.c enter: *gate = isthmus_load_u32(&state(rwlock)->gate); if (*gate &
                         CLOSED) */
        result = (owner & CLOSED -> BUSY : OK)
    };
    if
    :: result == OK ->
        share[me]++; /* rwlock.c enter: isthmus_add_u32(&isthmus_own(rwlock)->share, 1) */
#ifndef NO_SECOND_LOOK
        owner = gate; /* rwlock.c enter: *gate = isthmus_load_u32(&state(rwlock)->gate) */
#endif
        if
        /* rwlock.c enter: give_back_share(rwlock) */
        :: owner & CLOSED -> give_back_share(); result = BUSY
        :: else ->
            if
            :: owner & TURN -> end_turn() /* rwlock.c enter: if (*gate & TURN) end_turn(rwlock) */
            :: else
            fi;
            /* rwlock.c enter: return isthmus_load_u32(&state(rwlock)->abandoned) ? -EOWNERDEAD
               : 0 */
            d_step {
                told = abandoned;
                reading = reading | BIT(me);
                assert(!writing); /* exclusion */
                assert(told || !half_done); /* report */
                owner = 0;
                found = 0
            }
        fi
    :: else
    fi
}

/* mutex.pml has the steps of those that only try */
inline try_word()
{
    atomic {
        if
        :: (word & OWNER) == 0 -> told = (word & ABANDONED -> 1 : 0); word = me + 1; result = OK
        :: else -> result = BUSY
        fi
    }
}

inline open_gate_of_nobody()
{
    if
    /* rwlock.c open_gate_of_nobody: if (!(isthmus_load_u32(&state(rwlock)->gate) & CLOSED))
       return 1 */
    :: gate & CLOSED ->
        /* rwlock.c open_gate_of_nobody: int result = isthmus_mutex_acquire(rwlock,
           &state(rwlock)->word, &state(rwlock)->tid, 0) */
        try_word();
        if
        :: result == OK ->
            if
            /* rwlock.c open_gate_of_nobody: isthmus_store_u32(&state(rwlock)->abandoned, 1) */
            :: told -> abandoned = 1
            :: else
            fi;
            let_go() /* rwlock.c open_gate_of_nobody: let_go(rwlock) */
        :: else
        fi;
        told = false
    :: else
    fi
}

inline replace_dead_writer()
{
    /* rwlock.c isthmus_rwlock_replace_dead_writer: const uint32_t owner =
       isthmus_load_u32(&state(rwlock)->word) & ISTHMUS_WORD_OWNER */
    owner = word & OWNER;
    if
    :: owner == 0 -> open_gate_of_nobody() /* rwlock.c isthmus_rwlock_replace_dead_writer: return
                                              open_gate_of_nobody(rwlock) */
    :: else ->
        /* rwlock.c isthmus_rwlock_replace_dead_writer: if (isthmus_participant_seize(rwlock, owner
           - 1)) */
        seize(owner - 1);
        if
        :: seized ->
            repair(owner - 1); /* rwlock.c isthmus_rwlock_replace_dead_writer:
                                  isthmus_repair(rwlock, owner - 1) */
            unseize(owner - 1)
        :: else
        fi
    fi;
    owner = 0
}

inline acquire_read()
{
    do
    ::  enter(); /* rwlock.c wait_for_gate: result = enter(rwlock, &found) */
        if
        :: result == OK -> break
        :: else
        fi;
        if
        :: atomic {
            !(owner & WAITERS) ->
            if
            /* rwlock.c wait_for_gate: isthmus_swap_u32(&state(rwlock)->gate, &found, found |
               ISTHMUS_WORD_WAITERS) */
            :: gate == owner -> gate = owner | WAITERS; owner = gate
            :: else -> result = SLICE /* look again */
            fi
        }
        :: else
        fi;
        if
        :: result == BUSY ->
            /* rwlock.c wait_for_gate: result = isthmus_wait_sleep(wait, &state(rwlock)->gate,
               found) */
            futex_sleep(GATE, gate == owner);
            if
            :: AWAKE(GATE)
            :: atomic { SLICE_ENDS(GATE) -> rouse(GATE); result = SLICE; owner = 0; found = 0 }
            fi;
            if
            /* rwlock.c wait_for_gate: if (result && !isthmus_rwlock_replace_dead_writer(rwlock) &&
               result < 0) */
            :: result == SLICE -> replace_dead_writer()
            :: else
            fi
        :: else
        fi
    od
}

/* ---- Writers ------------------------------------------------------------------------------ */

inline let_go()
{
    repair_gate(OPENED(found)); /* rwlock.c let_go: isthmus_repair_gate(rwlock, 0) */
    word = 0 /* rwlock.c let_go: isthmus_mutex_release(rwlock, &state(rwlock)->word, 0) */
}

/* As mutex.pml shows: from nobody, or from a dead owner whose slot is seized. */
inline take_word()
{
    do
    :: atomic { (word & OWNER) == 0 -> told = (word & ABANDONED -> 1 : 0); word = me + 1; break }
#if DEATHS
    :: atomic {
        (word & OWNER) && holder[(word & OWNER) - 1] == 0 ->
        owner = word & OWNER;
        holder[owner - 1] = me + 1
    };
        atomic {
            if
            :: (word & OWNER) == owner -> word = me + 1; told = true; seized = true
            :: else
            fi
        };
        atomic {
            holder[owner - 1] = 0;
            owner = 0;
            if
            :: seized -> seized = false; break
            :: else
            fi
        }
#endif
    od
}

inline give_turn()
{
    do
    ::  found = drained; /* rwlock.c give_turn: const uint32_t drained =
                            isthmus_load_u32(&state(rwlock)->drained) */
        if
        /* rwlock.c give_turn: if (!(isthmus_load_u32(&state(rwlock)->gate) & TURN)) return 0 */
        :: !(gate & TURN) -> break
        :: else
        fi;
        /* rwlock.c give_turn: result = isthmus_os_futex_wait(&state(rwlock)->drained, drained,
           deadline) */
        futex_sleep(DRAINED, drained == found);
        if
        :: AWAKE(DRAINED)
        :: atomic {
            /* rwlock.c give_turn: isthmus_and_u32(&state(rwlock)->gate, ~TURN) */
            SLICE_ENDS(DRAINED) -> rouse(DRAINED); gate = gate & (255 - TURN); break
        }
        fi
    od
}

/* isthmus_participants_shares(): slot by slot, while others go on; with deaths in one step. */
#if DEATHS
#define LOOK atomic
#else
#define LOOK
#endif
inline add_up()
{
    LOOK {
        sum = 0;
        do
        :: atomic { i < SLOTS -> sum = sum + share[i]; i++ }
        :: atomic { else -> i = 0; break }
        od
    }
}

/* One attempt: `sum` is 0 if nobody reads any more. */
inline close()
{
#ifdef LOOK_BEFORE_CLOSING
    add_up();
#endif
    /* rwlock.c drained: isthmus_or_u32(&state(rwlock)->gate, CLOSED | DRAINING) */
    gate = gate | CLOSED | DRAINING;
#ifndef LOOK_BEFORE_CLOSING
    add_up(); /* rwlock.c drained: if (isthmus_participants_shares(rwlock) == 0) return 1 */
#endif
#ifdef PREFERENCE
    if
    :: sum ->
        owner = found;
#ifdef OPEN_IN_TWO_STEPS
        repair_gate(OPENED(found));
        gate = gate | DRAINING;
#else
        /* rwlock.c drained: isthmus_repair_gate(rwlock, 1) */
        repair_gate(OPENED_DRAINING(found));
#endif
        atomic { found = owner; owner = 0 }
    :: else
    fi
#endif
}

inline drain()
{
    result = OK;
    do
    ::
#ifndef NUMBER_AFTER_LOOK
        found = drained; /* rwlock.c drain: const uint32_t seen =
                            isthmus_load_u32(&state(rwlock)->drained) */
#endif
        close(); /* rwlock.c drain: if (drained(rwlock)) return 0 */
        if
        :: sum == 0 -> break
        :: else -> sum = 0
        fi;
#ifdef NUMBER_AFTER_LOOK
        found = drained;
#endif
        /* rwlock.c drain: int result = isthmus_wait_sleep(wait, &state(rwlock)->drained, seen) */
        futex_sleep(DRAINED, drained == found);
        if
        :: AWAKE(DRAINED)
        :: atomic { SLICE_ENDS(DRAINED) -> rouse(DRAINED); result = SLICE; found = 0 }
#ifdef GIVES_UP
        /* rwlock.c drain: if (result && !isthmus_participants_sweep(rwlock) && result < 0) */
        :: atomic {
            me == PROCESSES - 1 && !AWAKE(DRAINED) ->
            rouse(DRAINED);
            result = TIME_OVER;
            break
        }
#endif
        fi;
        if
        :: result == SLICE ->
#ifndef NO_SWEEP
            sweep(); /* rwlock.c drain: isthmus_participants_sweep(rwlock) */
#endif
            result = OK
        :: else
        fi
    od;
    atomic { found = 0; sum = 0 }
}

inline acquire_write()
{
    /* rwlock.c isthmus_rwlock_acquire_write: int result = isthmus_rwlock_claim_write(rwlock,
       deadline) */
    take_word(); /* rwlock.c isthmus_rwlock_claim_write: isthmus_mutex_acquire(rwlock,
                    &state(rwlock)->word, &state(rwlock)->tid, deadline) */
    if
    /* rwlock.c isthmus_rwlock_claim_write: if (found) { isthmus_add_u32(&state(rwlock)->deaths,
       1); isthmus_store_u32(&state(rwlock)->abandoned, 1) */
    :: told -> abandoned = 1
    :: else
    fi;
    if
    /* rwlock.c isthmus_rwlock_acquire_write: if (deadline &&
       isthmus_load_u32(&state(rwlock)->gate) & TURN) result = give_turn(rwlock, deadline) */
    :: gate & TURN -> give_turn()
    :: else
    fi;
    drain(); /* rwlock.c isthmus_rwlock_acquire_write: result = drain(&wait) */
    if
    :: result == TIME_OVER -> let_go() /* rwlock.c isthmus_rwlock_acquire_write: if (result)
                                          let_go(rwlock) */
    /* rwlock.c isthmus_rwlock_acquire_write: else if (isthmus_load_u32(&state(rwlock)->abandoned))
       result = -EOWNERDEAD */
    :: else ->
        d_step {
            told = abandoned;
            assert(!writing && !reading); /* exclusion */
            assert(told || !half_done); /* report */
            writing = writing | BIT(me);
            half_done = true
        }
    fi
}

inline release_write()
{
    d_step { half_done = false; writing = 0 };
    /* rwlock.c release_write: if ((isthmus_load_u32(&state(rwlock)->word) & ISTHMUS_WORD_OWNER) !=
       (uint32_t)rwlock->slot + 1) */
    abandoned = 0; /* rwlock.c release_write: isthmus_store_u32(&state(rwlock)->abandoned,
                      (uint32_t)abandoned) */
    let_go() /* rwlock.c release_write: let_go(rwlock) */
}

#ifdef READING
#define READS_ALREADY (me == 0)
#else
#define READS_ALREADY false
#endif
#ifdef WRITING
#define WRITES_ALREADY (me == PROCESSES - 1)
#else
#define WRITES_ALREADY false
#endif

/* ---- Those who take part ------------------------------------------------------------------ */

proctype reader(byte me; byte p)
{
    byte found, owner, sum, i, result;
    bool seized, told;
    {
        if
        :: READS_ALREADY
        :: else -> acquire_read()
        fi;
        reading = reading & ALL_BUT(me);
        give_back_share(); /* rwlock.c isthmus_rwlock_release_read: give_back_share(rwlock) */
        atomic { finished = finished | BIT(me); FORGET }
    } UNTIL_KILLED
}

proctype writer(byte me; byte p)
{
    byte found, owner, sum, i, result;
    bool seized, told;
    {
        if
        :: WRITES_ALREADY
        :: else -> acquire_write()
        fi;
        if
        :: result == OK -> release_write()
        :: else
        fi;
        atomic { finished = finished | BIT(me); FORGET }
    } UNTIL_KILLED
}

init
{
    byte n;
    atomic {
        do
        :: n < READERS -> holder[n] = n + 1; run reader(n, n); n++
        :: n >= READERS && n < PROCESSES -> holder[n] = n + 1; run writer(n, n); n++
        :: else -> break
        od;
        n = 0;
#ifdef READING
        reading = 1;
        share[0] = 1;
#endif
#ifdef WRITING
        writing = BIT(PROCESSES - 1);
        half_done = true;
        word = PROCESSES;
        gate = CLOSED | DRAINING;
#endif
        LET_DIE
    }
}

#ifdef LIVENESS
ltl recovery { <> (finished == ALL_THREADS) }
#endif
