/*
 * Taking messages from a queue: src/core/queue.c, ring_read.c, queue_aside.c, and what repair.c
 * does after a dead consumer.
 *
 * Properties
 *   once        A message that a plain read took is given to nobody else, and one that is leased
 *               is nobody else's while its holder lives. Acknowledged, it does not come back.
 *   order       Without leases messages are taken in order.
 *   counted     Whoever has the lock finds `out` right, and all that live owe what they took. At
 *               the end, without deaths, nothing is left.
 *   progress    In the end each message was taken, acknowledged or set aside, whoever died at any
 *               step, and nobody waits for ever for one, or for room that is done with.
 *
 * Who is there
 *   CONSUMERS threads, each a process of its own, that take messages until all are settled: PLAIN,
 *   up to BATCH at once, or LEASES, and then acknowledge; with TAKES make it what a plain read
 *   takes; or with RETURNS give back, so often. One more thread puts MESSAGES into a ring with
 *   room for CAPACITY, all of one size. With HELD, thread 0 has leased the first one already. With MAX_ATTEMPTS, messages that were leased so often are
 *   set aside. With REUSED, another process joins in the slot of thread 0 when that has died.
 *
 * Left out
 *   That the lock is one: mutex.pml shows it. Waiting is for a condition, and looks after the dead
 *   when a slice ends: eventcount.pml shows that it is so. The notes of head: ring_write.pml has
 *   them. That a sweep does nothing if another was a moment ago. Reading on from `tail_seen`.
 *   Messages that are discarded, or put back from aside. Damage.
 *
 * CHECK once, order, counted, progress: CONSUMERS=2 MESSAGES=3 CAPACITY=2 PLAIN BATCH=2 ORDERED
 * CHECK once, counted, progress, leases: CONSUMERS=2 MESSAGES=3 CAPACITY=2 PLAIN LEASES TAKES RETURNS=1
 * CHECK once, counted, progress, aside: CONSUMERS=2 MESSAGES=3 CAPACITY=3 LEASES RETURNS=1 MAX_ATTEMPTS=1
 * CHECK once, order, progress, deaths: CONSUMERS=2 MESSAGES=3 CAPACITY=2 PLAIN BATCH=2 ORDERED DEATHS=1
 * CHECK once, counted, progress, leases, deaths: CONSUMERS=2 MESSAGES=2 CAPACITY=2 PLAIN LEASES RETURNS=1 DEATHS=1
 * CHECK progress, full: CONSUMERS=2 MESSAGES=2 CAPACITY=1 LEASES TAKES RETURNS=1 DEATHS=1
 * CHECK LONG progress, two dead: CONSUMERS=3 MESSAGES=1 CAPACITY=1 LEASES HELD DEATHS=2
 * CHECK counted, progress, aside, deaths: CONSUMERS=2 MESSAGES=2 CAPACITY=2 LEASES RETURNS=1 DEATHS=1 MAX_ATTEMPTS=1
 * CHECK LONG once, progress, reused slot: CONSUMERS=2 MESSAGES=1 CAPACITY=1 PLAIN LEASES RETURNS=1 DEATHS=1 REUSED
 * MUST FAIL CONSUMERS=2 MESSAGES=2 CAPACITY=2 PLAIN LEASES RETURNS=1 DEATHS=1: OUT_DECIDES
 * MUST FAIL CONSUMERS=2 MESSAGES=2 CAPACITY=1 LEASES RETURNS=1 DEATHS=1: RECOVERS_SILENTLY
 * MUST FAIL CONSUMERS=2 MESSAGES=2 CAPACITY=2 LEASES DEATHS=1: SHARE_AFTER_STATE
 * MUST FAIL CONSUMERS=2 MESSAGES=2 CAPACITY=2 PLAIN LEASES RETURNS=1 DEATHS=1: OUT_STAYS
 * MUST FAIL CONSUMERS=2 MESSAGES=2 CAPACITY=2 PLAIN LEASES RETURNS=1: NEXT_STAYS
 * MUST FAIL CONSUMERS=2 MESSAGES=3 CAPACITY=3 PLAIN BATCH=2 LEASES RETURNS=1: DIRECT_OVER_LEASES
 * MUST FAIL CONSUMERS=2 MESSAGES=2 CAPACITY=2 PLAIN LEASES RETURNS=1 DEATHS=1: SETTLES_THE_LIVING
 * MUST FAIL CONSUMERS=2 MESSAGES=3 CAPACITY=3 LEASES DEATHS=1 MAX_ATTEMPTS=1: NO_LOOK_AT_HEAD
 * MUST FAIL CONSUMERS=2 MESSAGES=2 CAPACITY=2 LEASES RETURNS=1 DEATHS=1 MAX_ATTEMPTS=1: MOVES_UNNOTED
 * MUST FAIL CONSUMERS=3 MESSAGES=1 CAPACITY=1 LEASES HELD DEATHS=2: SEIZE_BEFORE_LOCK
 * MUST FAIL CONSUMERS=2 MESSAGES=1 CAPACITY=1 LEASES DEATHS=1 REUSED: NO_REPAIR_ON_JOIN
 */
/* left out: queue.c isthmus_queue_sweep: uint64_t last = isthmus_load_u64(swept) */
/* left out: queue.c isthmus_queue_sweep: isthmus_swap_u64(swept, &last, now) */
/* left out: queue.c isthmus_queue_return: if (isthmus_load_u32(&cursors->closed) &
   ISTHMUS_RING_DISCARDED) { isthmus_store_release_u32(&shared->state, ISTHMUS_RECORD_DONE) */
/* left out: queue.c isthmus_queue_return: isthmus_add_u64(&cursors->redelivered, 1) */
/* left out: queue_aside.c isthmus_queue_set_aside: isthmus_add_u64(&cursors->put_aside, 1) */
/* left out: queue.c give_back: isthmus_note_u16(&isthmus_record_at(queue, position)->attempts,
   (uint16_t)record.attempts) */
/* left out: queue.c isthmus_queue_lease: isthmus_note_u64(&own->held_ns, isthmus_os_coarse_ns()) */
/* left out: ring_read.c queue_next: const uint32_t closed = isthmus_load_u32(&cursors->closed) */
/* left out: ring_read.c queue_next: isthmus_note_u64(&cursors->tail_seen, tail) */
#define START 4

#define THREADS (CONSUMERS + 1)
#define PUTTER CONSUMERS
#ifdef REUSED
#define PROCESSES (THREADS + 1)
#else
#define PROCESSES THREADS
#endif
#define FUTEXES 1
#define SLOTS CONSUMERS
#define THREADS_OF(p) (1 << (p))
#define FORGET position = 0; i = 0; j = 0; k = 0; count = 0; first = 0; direct = 0; seized = 0; \
    abandoned = 0; seen = 0; seen_returned = 0; mine = 0; gives = 0

#define DONE 128
#define ABANDONED 127
#ifndef MAX_ATTEMPTS
#define MAX_ATTEMPTS 100
#endif
#ifndef BATCH
#define BATCH 1
#endif
#ifndef RETURNS
#define RETURNS 0
#endif

byte consumer;              /* the lock word: slot + 1 of its owner, or ABANDONED */
byte head = START, tail = START, next = START, out, returned;
byte state[CAPACITY], attempts[CAPACITY]; /* isthmus_shared_record */
byte share[SLOTS];          /* isthmus_shared_participant.share */
byte debt[SLOTS], debt_to[SLOTS]; /* isthmus_shared_seat.debt */
byte moving;
byte aside;                 /* messages that are aside, as bits */
byte aside_count;

byte settled;               /* ghost: messages that were taken, acknowledged or set aside, as bits */
byte lease_of[MESSAGES];    /* ghost: process + 1 of who has it and lives */
byte owed[SLOTS];           /* ghost: messages that who is there took */

inline mourn(p)
{
    do
    :: k < MESSAGES ->
        if
        :: lease_of[k] == p + 1 -> lease_of[k] = 0
        :: else
        fi;
        k++
    :: else -> k = 0; break
    od
}

#include "kernel.pml"

#define AT(p) ((p) % CAPACITY)
#define MESSAGE(p) ((p) - START)
#define COUNTED(bits) (((bits) & 1) + ((bits) >> 1 & 1) + ((bits) >> 2 & 1) + ((bits) >> 3 & 1))
/* The putter has no slot: it never holds the lock but for a sweep. */
#define ALIVE(s) ((s) >= SLOTS -> !dead[s] : holder[s] != 0)
#define OWNER_DEAD (consumer && consumer != ABANDONED && !ALIVE(consumer - 1))

/* ---- Under the consumer lock ------------------------------------------------------------------ */

/* With a slot seized, no other can be: then it is not taken over. */
#define LOCK_FREE (consumer == 0 || consumer == ABANDONED || (OWNER_DEAD && !seized))

/* What is out, by what the records say. */
inline count_out(number)
{
    number = 0;
    j = head;
    do
    :: j < tail ->
        if
        /* queue.c recover: const uint32_t state = isthmus_peek_u32(&isthmus_record_at(queue,
           position)->state); out += state != 0 */
        :: state[AT(j)] -> number++
        :: else
        fi;
        j++
    :: else -> j = 0; break
    od
}

/* queue.c isthmus_queue_lock: int result = isthmus_ring_lock(queue, &queue->cursors->consumer,
   deadline) */
#define TAKE LOCK_FREE -> abandoned = (consumer != 0); consumer = slot + 1

/* When it is ours. */
inline begin()
{
    if
    /* queue.c isthmus_queue_lock: if (result == -EOWNERDEAD) { recover(queue); result = 0 */
    /* queue.c isthmus_queue_lock_surely: if (isthmus_ring_lock_surely(queue,
       &queue->cursors->consumer) == -EOWNERDEAD) recover(queue) */
    :: abandoned -> recover()
    :: else
    fi;
    abandoned = false;
    d_step {
        count_out(k);
        assert(out == k); /* counted */
        k = 0;
        do
        :: k < SLOTS -> assert(dead[k] || debt[k] == owed[k]); k++ /* counted */
        :: else -> k = 0; break
        od
    }
}

inline lock()
{
    atomic { TAKE };
    begin()
}

inline unlock()
{
    consumer = 0
}

inline reclaim()
{
    atomic {
        do
        /* queue.c isthmus_queue_reclaim: while (head != tail && !look(queue, head, tail, &record,
           &span) && isthmus_peek_u32(&isthmus_record_at(queue, head)->state) &
           ISTHMUS_RECORD_DONE) */
        /* queue.c isthmus_queue_reclaim: const uint64_t tail =
           isthmus_load_acquire_u64(&cursors->tail) */
        :: head + j < tail && state[AT(head + j)] == DONE -> j++
        :: else -> break
        od
    };
    if
    :: j ->
        /* queue.c isthmus_queue_reclaim: isthmus_note_u64(&cursors->out,
           isthmus_peek_u64(&cursors->out) - done) */
        out = out - j;
        /* queue.c isthmus_queue_reclaim: isthmus_store_release_u64(&cursors->head, head) */
        atomic { head = head + j; j = 0 }
    :: else
    fi
}

/* For all seats in one step: those of the living do not change, those of the dead say less. */
#define UNDONE(s) (state[AT(debt_to[s] - 1)] == DONE -> 0 : (state[AT(head)] == 0 && state[AT(debt_to[s] - 1)] == 0 -> debt_to[s] - head : 1))

inline settle()
{
    d_step {
        k = 0;
        do
        :: k < SLOTS ->
            if
            :: debt[k] && debt_to[k] > head && debt_to[k] <= tail ->
#ifdef SETTLES_THE_LIVING
                j = (state[AT(head)] == 0 -> debt_to[k] - head : UNDONE(k));
#else
                /* queue.c settle: if (state & ISTHMUS_RECORD_DONE) undone = 0; else if (!direct ||
                   state) undone = 1 */
                j = UNDONE(k);
#endif
                /* queue.c settle: isthmus_note_u64(debt, head / ISTHMUS_RECORD_ALIGNMENT <<
                   ISTHMUS_DEBT_SHIFT | (owed - (undone < owed ? undone : owed))) */
                debt[k] = (debt[k] > j -> debt[k] - j : 0);
                debt_to[k] = head
            :: else
            fi;
            k++
        :: else -> break
        od;
        k = 0;
        j = 0
    }
}

inline recover()
{
    settle(); /* queue.c recover: if (head != tail) settle(queue, head, tail) */
    if
    :: atomic {
        moving >= head && moving < tail && (aside & BIT(MESSAGE(moving))) ->
        /* queue_aside.c isthmus_queue_recover_aside: !find(queue, record.sequence, &copy))
           isthmus_store_release_u32(&isthmus_record_at(queue, position)->state,
           ISTHMUS_RECORD_DONE) */
        state[AT(moving)] = DONE;
        settled = settled | BIT(MESSAGE(moving))
    }
    :: else
    fi;
    /* queue_aside.c isthmus_queue_recover_aside: const uint64_t tail =
       isthmus_load_acquire_u64(&cursors->tail) */
    /* queue_aside.c isthmus_queue_recover_aside: isthmus_note_u64(&cursors->moving, 0);
       count_aside(queue) */
    moving = 0;
    aside_count = COUNTED(aside);
#ifndef OUT_STAYS
    /* queue.c recover: const uint64_t tail = isthmus_load_acquire_u64(&cursors->tail) */
    /* queue.c recover: isthmus_note_u64(&cursors->out, out) */
    d_step { count_out(k); out = k; k = 0 };
#endif
    /* left out: queue.c recover: isthmus_store_u32(&cursors->recount, 1) */
#ifndef RECOVERS_SILENTLY
    returned++; /* queue.c recover: isthmus_add_u32(&cursors->returned, 1) */
#endif
    reclaim() /* queue.c recover: isthmus_queue_reclaim(queue) */
}

/* ---- Reading -------------------------------------------------------------------------------- */

inline read()
{
    lock();
    atomic {
        /* ring_read.c isthmus_read_begin: read->first = read->position = isthmus_queue_next(ring);
           read->direct = read->position == isthmus_peek_u64(&cursors->head) */
        /* queue.c isthmus_queue_next: return isthmus_beyond(head, next) ? head : next */
        position = (head > next -> head : next);
        first = position;
        direct = (position == head)
    };
    do
    :: atomic {
        /* ring_read.c queue_next: tail = isthmus_load_acquire_u64(&cursors->tail) */
        /* ring_read.c queue_next: if (tail == read->position) return nothing(queue, read, closed)
           */
        position == tail || count == BATCH ->
        seen = position; /* ring_read.c nothing: read->seen_tail = read->position */
        /* ring_read.c nothing: read->seen_returned = isthmus_peek_u32(&cursors->returned) */
        seen_returned = returned;
        break
    }
    :: atomic {
        position < tail && count < BATCH && state[AT(position)] == 0 ->
        /* ring_read.c queue_next: read->position += span; read->count++; return 0 */
        position++;
        count++
    }
    :: position < tail && count < BATCH && state[AT(position)] ->
#ifndef DIRECT_OVER_LEASES
        if
        /* ring_read.c queue_next: if (read->direct && read->count) return nothing(queue, read,
           0) */
        :: direct && count -> break
        :: else
        fi;
#endif
        atomic {
            /* ring_read.c queue_next: read->direct = 0; read->position += span */
#ifndef DIRECT_OVER_LEASES
            direct = false;
#endif
            position++;
            if
            /* ring_read.c queue_next: if (read->count == 0) isthmus_note_u64(&cursors->next,
               read->position); if (read->count == 0) read->first = read->position */
            /* ring_read.c nothing: if (read->position != read->first)
               isthmus_note_u64(&cursors->next, read->position) */
            :: count == 0 -> next = position; first = position; direct = false
            :: else
            fi
        }
    od
}

inline took(m)
{
    assert(!(settled & BIT(m)) && !lease_of[m]); /* once */
#ifdef ORDERED
    assert(settled == (1 << (m)) - 1); /* order */
#endif
    settled = settled | BIT(m);
    if
    :: slot < SLOTS -> owed[slot]++
    :: else
    fi
}

inline owe(number, position)
{
    /* ring_read.c isthmus_queue_owe: isthmus_note_u64(debt, position / ISTHMUS_RECORD_ALIGNMENT <<
       ISTHMUS_DEBT_SHIFT | owed) */
    d_step { debt[slot] = debt[slot] + number; debt_to[slot] = position }
}

inline commit()
{
    if
    :: direct ->
        /* ring_read.c commit_direct: isthmus_queue_owe(queue, read->count, read->position) */
        owe(count, position);
        atomic {
            /* ring_read.c commit_direct: isthmus_store_release_u64(&cursors->head,
               read->position) */
            head = position;
            do
            :: count -> took(MESSAGE(position - count)); count--
            :: else -> break
            od
        };
        if
        /* ring_read.c commit_direct: if (isthmus_peek_u64(&cursors->out))
           isthmus_queue_reclaim(queue) */
        :: out -> reclaim()
        :: else
        fi
    :: else ->
        /* ring_read.c commit_marked: while (position != read->position) */
        do
        :: first < position ->
            if
            /* ring_read.c commit_marked: if (isthmus_peek_u32(&shared->state)) continue */
            :: state[AT(first)] == 0 ->
                owe(1, first + 1); /* ring_read.c commit_marked: isthmus_queue_owe(queue, 1, position) */
                atomic {
                    /* ring_read.c commit_marked: isthmus_store_release_u32(&shared->state,
                       ISTHMUS_RECORD_DONE) */
                    state[AT(first)] = DONE;
                    took(MESSAGE(first))
                };
                /* ring_read.c commit_marked: isthmus_note_u64(&cursors->out,
                   isthmus_peek_u64(&cursors->out) + 1) */
                out++
            :: else
            fi;
            first++
        :: else -> break
        od;
        /* ring_read.c commit_marked: isthmus_note_u64(&cursors->next, read->position) */
        next = position;
        reclaim() /* ring_read.c commit_marked: isthmus_queue_reclaim(queue) */
    fi;
    unlock()
}

/* ---- Leases -------------------------------------------------------------------------------- */

inline lease()
{
    mine = position - 1;
#ifndef SHARE_AFTER_STATE
    share[slot]++; /* queue.c isthmus_queue_lease: isthmus_add_u32(&own->share, 1) */
#endif
    /* queue.c isthmus_queue_lease: isthmus_note_u16(&shared->attempts,
       (uint16_t)record->attempts) */
    attempts[AT(mine)]++;
    d_step {
        /* queue.c isthmus_queue_lease: isthmus_store_release_u32(&shared->state,
           (uint32_t)queue->primitive.slot + 1) */
        state[AT(mine)] = slot + 1;
        assert(!(settled & BIT(MESSAGE(mine))) && !lease_of[MESSAGE(mine)]); /* once */
        lease_of[MESSAGE(mine)] = me + 1
    };
    /* queue.c isthmus_queue_lease: isthmus_note_u64(&cursors->out,
       isthmus_peek_u64(&cursors->out) + 1) */
    out++;
    next = position; /* queue.c isthmus_queue_lease: isthmus_note_u64(&cursors->next, read->position) */
    unlock();        /* queue.c isthmus_queue_lease: isthmus_ring_unlock(queue,
                        &cursors->consumer) */
#ifdef SHARE_AFTER_STATE
    share[slot]++
#else
    skip
#endif
}

inline set_aside(at)
{
#ifndef MOVES_UNNOTED
    /* queue_aside.c isthmus_queue_set_aside: isthmus_note_u64(&cursors->moving, record->position |
       1) */
    moving = at;
#endif
    atomic {
        /* queue_aside.c append: isthmus_note_u64(&queue->cursors->aside_tail, position + span) */
        assert(!(aside & BIT(MESSAGE(at)))); /* once */
        aside = aside | BIT(MESSAGE(at))
    };
    atomic {
        /* queue_aside.c isthmus_queue_set_aside:
           isthmus_store_release_u32(&isthmus_record_at(queue, record->position)->state,
           ISTHMUS_RECORD_DONE) */
        state[AT(at)] = DONE;
        settled = settled | BIT(MESSAGE(at));
        lease_of[MESSAGE(at)] = 0
    };
    moving = 0; /* queue_aside.c isthmus_queue_set_aside: isthmus_note_u64(&cursors->moving, 0) */
    /* queue_aside.c isthmus_queue_set_aside: isthmus_note_u64(&cursors->aside_count,
       isthmus_peek_u64(&cursors->aside_count) + 1) */
    aside_count++;
    reclaim() /* queue_aside.c isthmus_queue_set_aside: isthmus_queue_reclaim(queue) */
}

inline return_it(at)
{
    if
    /* queue.c isthmus_queue_return: if (queue->max_attempts && record->attempts >=
       queue->max_attempts && !isthmus_queue_set_aside(queue, record)) return 0 */
    :: attempts[AT(at)] >= MAX_ATTEMPTS -> set_aside(at)
    :: else ->
#ifndef NEXT_STAYS
        if
        /* queue.c isthmus_queue_return: if (isthmus_beyond(isthmus_peek_u64(&cursors->next),
           record->position)) isthmus_note_u64(&cursors->next, record->position) */
        :: next > at -> next = at
        :: else
        fi;
#endif
        /* queue.c isthmus_queue_return: isthmus_note_u64(&cursors->out,
           isthmus_peek_u64(&cursors->out) - 1) */
        out--;
        /* queue.c isthmus_queue_return: isthmus_store_release_u32(&shared->state, 0) */
        atomic { state[AT(at)] = 0; lease_of[MESSAGE(at)] = 0 };
        /* left out: queue.c isthmus_queue_return: isthmus_store_u32(&cursors->recount, 1) */
        returned++ /* queue.c isthmus_queue_return: isthmus_add_u32(&cursors->returned, 1) */
    fi
}

inline end_lease()
{
    lock();
    /* queue.c isthmus_queue_leased: isthmus_peek_u32(&isthmus_record_at(queue, position)->state) !=
       slot + 1) return -ESTALE */
    /* queue.c isthmus_queue_leased: const uint64_t tail =
       isthmus_load_acquire_u64(&cursors->tail) */
    assert(mine >= head && state[AT(mine)] == slot + 1); /* once */
    if
    ::
#ifdef TAKES
        if
        /* queue.c finish: if (owing) isthmus_queue_owe(queue, 1, end_of(queue, &record)) */
        :: true -> direct = true; owe(1, mine + 1)
        :: direct = false
        fi;
#else
        direct = false;
#endif
        atomic {
            /* queue.c finish: isthmus_store_release_u32(&isthmus_record_at(queue, position)->state,
               ISTHMUS_RECORD_DONE) */
            state[AT(mine)] = DONE;
            lease_of[MESSAGE(mine)] = 0;
            if
            :: direct -> took(MESSAGE(mine))
            :: else -> settled = settled | BIT(MESSAGE(mine))
            fi
        };
        /* queue.c finish: isthmus_add_u32(&isthmus_own(&queue->primitive)->share, UINT32_MAX) */
        share[slot]--;
        reclaim() /* queue.c finish: isthmus_queue_reclaim(queue) */
    :: gives ->
        gives--;
        /* queue.c give_back: woken = (uint32_t)isthmus_queue_return(queue,
           &record) */
        return_it(mine);
        /* queue.c give_back: isthmus_add_u32(&isthmus_own(&queue->primitive)->share,
           UINT32_MAX) */
        share[slot]--
    fi;
    unlock();
    mine = 0
}

/* ---- After the dead ------------------------------------------------------------------------- */

/* repair.c isthmus_repair_leases: const uint64_t tail = isthmus_load_acquire_u64(&cursors->tail) */
/* By who has the lock. That shares are counted anew by recover() is left out: they are wrong only
   after the death of one who evicted another, and that is not in here. */
inline repair_leases(s)
{
    i = head; /* repair.c isthmus_repair_leases: uint64_t position = isthmus_peek_u64(&cursors->head), span */
    do
    :: i < tail ->
        assert(i >= head); /* else it may be written over */
        if
        /* repair.c isthmus_repair_leases: if (isthmus_peek_u32(&shared->state) == slot + 1) { ready
           += (uint32_t)isthmus_queue_return(queue, &record); ++*ended; } */
        :: state[AT(i)] == s + 1 -> return_it(i)
        :: else
        fi;
        i++;
#ifndef NO_LOOK_AT_HEAD
        if
        /* repair.c isthmus_repair_leases: if (isthmus_beyond(head, position)) position = head */
        :: i < head -> i = head
        :: else
        fi
#endif
    :: else -> i = 0; break
    od;
    share[s] = 0;                  /* repair.c repair_queue: isthmus_store_u32(share, 0) */
    d_step { debt[s] = 0; debt_to[s] = 0; owed[s] = 0 } /* repair.c repair_queue: isthmus_note_u64(debt, 0) */
}

#define LEFT_BEHIND(s) ((s) != slot && share[s] && holder[s] == 0)
#if CONSUMERS == 2
#define ANY_LEFT (LEFT_BEHIND(0) || LEFT_BEHIND(1))
#else
#define ANY_LEFT (LEFT_BEHIND(0) || LEFT_BEHIND(1) || LEFT_BEHIND(2))
#endif

/* Whether a sweep would find anything: to look when there is nothing changes nothing. */
#ifdef OUT_DECIDES
#define WORTH (out && (ANY_LEFT || OWNER_DEAD))
#else
/* queue.c isthmus_queue_sweep: if (!debts && isthmus_peek_u64(&queue->cursors->out) == 0 &&
   isthmus_peek_u32(&queue->cursors->consumer) == 0) return 0 */
#define WORTH ((out && ANY_LEFT) || OWNER_DEAD)
#endif

inline seize_one()
{
    atomic {
        if
        /* queue.c isthmus_queue_sweep: isthmus_load_u32(&primitive->slots[i].share) == 0) ||
           isthmus_participant_seize(primitive, i)) continue */
        :: LEFT_BEHIND(0) -> k = 0; seized = true
        :: LEFT_BEHIND(1) -> k = 1; seized = true
#if CONSUMERS > 2
        :: LEFT_BEHIND(2) -> k = 2; seized = true
#endif
        :: else
        fi;
        if
        :: seized -> holder[k] = p + 1
        :: else
        fi
    }
}

inline sweep_one()
{
    if
    :: seized ->
        repair_leases(k); /* queue.c isthmus_queue_sweep: isthmus_repair(primitive, i) */
        /* queue.c isthmus_queue_sweep: isthmus_participant_release(primitive, i) */
        atomic { holder[k] = 0; seized = false; k = 0 }
    :: else
    fi;
    unlock() /* queue.c isthmus_queue_sweep: isthmus_ring_unlock(queue,
                &queue->cursors->consumer) */
}

/* For one slot, whichever; the next one does the next. */
inline sweep()
{
#ifdef SEIZE_BEFORE_LOCK
    seize_one();
    i = k;
    lock();
    k = i;
    sweep_one()
#else
    if
    /* queue.c isthmus_queue_sweep: if (isthmus_queue_lock(queue,
       isthmus_deadline_after(ISTHMUS_PATIENCE_NS))) return 0 */
    :: atomic { TAKE }; begin(); seize_one(); sweep_one()
    :: !LOCK_FREE /* its owner lives, and may take its time */
    fi
#endif
}

/* ---- Those who take part ---------------------------------------------------------------------- */

#define ALL_PUT (finished & BIT(PUTTER))
#define ALL_SETTLED (ALL_PUT && settled == (1 << (tail - START)) - 1)

inline consume()
{
    do
    :: read();
        if
        :: count == 0 ->
            unlock();
            if
            :: tail != seen || returned != seen_returned
            :: WORTH -> sweep()
            :: ALL_SETTLED -> break
            fi
#ifdef PLAIN
        :: count -> commit()
#endif
#ifdef LEASES
        :: count == 1 -> lease(); atomic { direct = 0; count = 0; first = 0; position = 0 }; end_lease()
#endif
        fi;
        atomic { position = 0; first = 0; count = 0; seen = 0; seen_returned = 0; direct = 0 }
    od;
    atomic { position = 0; first = 0; seen = 0; seen_returned = 0; direct = 0 }
}

proctype taker(byte me; byte p; byte slot)
{
    byte position, i, j, k, count, first, seen, seen_returned, mine;
    bool direct, seized, abandoned;
    byte gives = RETURNS;
    {
#ifdef HELD
        if
        :: slot == 0 -> mine = START; end_lease()
        :: else
        fi;
#endif
        consume();
        finished = finished | BIT(me)
    } UNTIL_KILLED
}

#ifdef REUSED
proctype joiner(byte me; byte p; byte slot)
{
    byte position, i, j, k, count, first, seen, seen_returned, mine, gives;
    bool direct, seized, abandoned;
    {
        if
        :: atomic { holder[slot] == 0 -> holder[slot] = p + 1 };
#ifndef NO_REPAIR_ON_JOIN
            /* repair.c abandon_ring: abandon(&ring->primitive, &cursors->consumer, NULL, slot) */
            if
            :: atomic { consumer == slot + 1 -> consumer = ABANDONED }
            :: else
            fi;
            if
            /* repair.c repair_queue: if (isthmus_load_u32(share) == 0 && isthmus_peek_u64(debt) ==
               0) return */
            :: share[slot] || debt[slot] ->
                lock(); /* repair.c repair_queue: if (own) isthmus_queue_lock_surely(queue) */
                repair_leases(slot);
                unlock() /* repair.c repair_queue: if (own) isthmus_ring_unlock(queue,
                            &cursors->consumer) */
            :: else
            fi;
#endif
            consume()
        :: ALL_SETTLED
        fi;
        finished = finished | BIT(me)
    } UNTIL_KILLED
}
#endif

proctype putter(byte me; byte p; byte slot)
{
    byte position, i, j, k, count, first, seen, seen_returned, mine, gives;
    bool direct, seized, abandoned;
    {
        do
        :: tail - START < MESSAGES ->
            seen = head;
            if
            :: tail - seen < CAPACITY ->
                d_step { state[AT(tail)] = 0; attempts[AT(tail)] = 0 };
                atomic { tail++; seen = 0 }
            :: else ->
                if
                :: head != seen
                :: WORTH -> sweep()
                fi;
                seen = 0
            fi
        :: else -> break
        od;
        finished = finished | BIT(me)
    } UNTIL_KILLED
}

#ifdef REUSED
#define ALL_THREADS ((1 << (THREADS + 1)) - 1)
#else
#define ALL_THREADS ((1 << THREADS) - 1)
#endif

init
{
    byte n;
    atomic {
#ifdef HELD
        d_step {
            tail++;
            next++;
            out = 1;
            state[AT(START)] = 1;
            attempts[AT(START)] = 1;
            share[0] = 1;
            lease_of[0] = 1
        };
#endif
        do
        :: n < CONSUMERS -> holder[n] = n + 1; run taker(n, n, n); n++
        :: else -> break
        od;
        run putter(n, n, n);
#ifdef REUSED
        run joiner(THREADS, THREADS, 0);
#endif
        n = 0;
        LET_DIE
    };
    timeout;
    assert(finished == ALL_THREADS); /* progress */
#if !DEATHS
    assert(head == tail && out == 0 && moving == 0 && aside_count == COUNTED(aside)); /* counted */
    do
    :: n < SLOTS -> assert(share[n] == 0); n++ /* counted */
    :: else -> break
    od
#endif
}
