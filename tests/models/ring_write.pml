/*
 * Putting messages into a ring: src/core/ring_write.c, and of ring.h the notes.
 *
 * Properties
 *   whole       What is taken was written whole: nothing is overwritten before it is taken.
 *   exactly     Each message whose commit was done is taken once, and no other; those of one
 *               producer in its order, those of one commit side by side.
 *   counted     Messages have consecutive numbers, and never are more there than there may be.
 *   progress    All that live have put what they wanted to put, in the end, whoever dies at any
 *               step; and all has been taken.
 *
 * Who is there
 *   WRITERS threads, each a process of its own, that put PUTS times BATCH messages, which take
 *   one or two units of the ring's CAPACITY. With MAXSIZE, that many messages may be there.
 *   A consumer that takes them one by one, and does not die: queue.pml has those that do.
 *
 * Left out
 *   The lock blocks here, and a dead owner is as none: mutex.pml shows that it is so. Waiting is
 *   for a condition: eventcount.pml shows that it is so. Leases: queue.pml has
 *   them, and `out` is 0 here. Shutting down, long loans, damage.
 *
 * CHECK whole, exactly, counted, progress: WRITERS=2 PUTS=3 BATCH=1 CAPACITY=3
 * CHECK whole, exactly, counted, progress, batches: WRITERS=2 PUTS=2 BATCH=2 CAPACITY=4
 * CHECK whole, exactly, counted, progress, maxsize: WRITERS=2 PUTS=3 BATCH=1 CAPACITY=4 MAXSIZE=2
 * CHECK whole, exactly, counted, progress, deaths: WRITERS=3 PUTS=1 BATCH=1 CAPACITY=3 DEATHS=2
 * CHECK whole, exactly, counted, progress, batches, deaths: WRITERS=2 PUTS=1 BATCH=2 CAPACITY=4 DEATHS=1
 * CHECK whole, exactly, counted, progress, maxsize, deaths: WRITERS=2 PUTS=2 BATCH=1 CAPACITY=4 DEATHS=1 MAXSIZE=1
 * MUST FAIL WRITERS=2 PUTS=2 BATCH=1 CAPACITY=3 DEATHS=1: COUNT_OF_ITS_OWN
 * MUST FAIL WRITERS=2 PUTS=2 BATCH=1 CAPACITY=3 DEATHS=1: ONE_NOTE
 * MUST FAIL WRITERS=2 PUTS=2 BATCH=1 CAPACITY=3 DEATHS=1: TAIL_FIRST
 * MUST FAIL WRITERS=2 PUTS=2 BATCH=1 CAPACITY=3: HEAD_BEFORE_COPY
 * MUST FAIL WRITERS=2 PUTS=1 BATCH=2 CAPACITY=4 DEATHS=1: NUMBER_AT_COMMIT
 * MUST FAIL WRITERS=1 PUTS=6 BATCH=1 CAPACITY=6 MAXSIZE=3: COUNTED_ONCE
 */
/* left out: ring_write.c isthmus_write_begin: isthmus_note_u32(&cursors->loan, for_long ?
   (uint32_t)ring->primitive.slot + 1 : 0) */
/* left out: ring_write.c end_write: isthmus_note_u32(&cursors->loan, 0) */
/* left out: ring_write.c isthmus_write_moved: if (isthmus_load_u32(&cursors->closed)) return 1 */
/* left out: ring_write.c isthmus_write_reserve: isthmus_note_u64(&shared->size, size);
   isthmus_note_u32(&shared->data, (uint32_t)data); isthmus_note_u16(&shared->type,
   (uint16_t)type); isthmus_note_u16(&shared->attempts, 0); isthmus_note_u32(&shared->state, 0);
   isthmus_note_u32(&shared->check, isthmus_record_check(shared, position)) */
#define PROCESSES WRITERS
#define FUTEXES 1
#define SLOTS 1
#define THREADS_OF(p) (1 << (p))
#define FORGET start = 0; end = 0; first = 0; count = 0; left = 0; span = 0; no_room = 0; i = 0; \
    seen = 0; seen_head = 0; gone = 0

#define START 4 /* the first position */
#define NOWHERE 1 /* a position that no record has */

byte producer;             /* its owner + 1 */
byte tail = START, head = START, head_seen = START, gone_seen;
byte position[4], count_of[4]; /* isthmus_shared_cursors.put and .got, two of each */
byte unit[CAPACITY];       /* what is written there: the message that it belongs to */
byte number[CAPACITY];     /* and, where a record starts, its number and its span */
byte span_of[CAPACITY];

byte committed[WRITERS];   /* ghost: messages of each writer that have been committed */
byte taken[WRITERS];       /* ghost: and that have been taken */

inline mourn(p)
{
    skip
}

#include "kernel.pml"

#if DEATHS
#define LOCK_FREE (producer == 0 || dead[producer - 1])
#else
#define LOCK_FREE (producer == 0)
#endif

#define PUT 0
#define GOT 2
#define AT(p) ((p) % CAPACITY)
#define MESSAGE(p, n) (16 * ((p) + 1) + (n))
#define SPAN(p, n) (1 + (((p) + (n)) & 1))

/* ring.h isthmus_noted: return
   isthmus_peek_u64(&note[isthmus_peek_u64(&note[0].position) != position].count) */
#define NOTED(notes, p) (position[notes] == (p) -> count_of[notes] : count_of[notes + 1])

/* ring.h isthmus_note_down: struct isthmus_shared_note *other =
   &note[isthmus_peek_u64(&note[0].position) == now] */
#ifdef ONE_NOTE
#define OTHER(notes, now) (notes)
#else
#define OTHER(notes, now) (position[notes] == (now) -> notes + 1 : notes)
#endif

/* ring.h isthmus_note_down: isthmus_note_u64(&other->position, position) */
/* ring.h isthmus_note_down: isthmus_note_u64(&other->count, count) */
inline note_down(notes, now, then, messages)
{
    atomic { i = OTHER(notes, now); position[i] = then };
    count_of[i] = messages;
    i = 0
}

/* ---- Writing ----------------------------------------------------------------------------- */

inline write_begin()
{
    atomic {
        /* ring_write.c isthmus_write_begin: result = isthmus_ring_lock(ring, &cursors->producer,
           deadline) */
        LOCK_FREE -> producer = me + 1
    };
    d_step {
        /* Only who owns the lock writes these: in one step. */
        /* ring_write.c isthmus_write_begin: write->start = write->end =
           isthmus_peek_u64(&cursors->tail) */
        start = tail;
        end = tail;
#ifdef COUNT_OF_ITS_OWN
        first = count_of[PUT];
#else
        /* ring_write.c isthmus_write_begin: write->first = isthmus_noted(cursors->put,
           write->start) */
        first = NOTED(PUT, start);
#endif
        count = 0
    }
}

/* Of a cursor and notes that others change. */
inline count_gone()
{
    do
    ::  /* ring.c isthmus_counted: const uint64_t position = isthmus_load_u64(cursor) */
        seen_head = head;
        /* ring.c isthmus_counted: count = isthmus_noted(note, position) */
        i = (position[GOT] == seen_head -> GOT : GOT + 1);
        gone = count_of[i];
        i = 0;
#ifdef COUNTED_ONCE
        break
#else
        if
        /* ring.c isthmus_counted: if (isthmus_load_u64(cursor) == position) break */
        :: head == seen_head -> break
        :: else
        fi
#endif
    od;
    /* queue.c isthmus_queue_gone: return got + isthmus_load_u64(&cursors->out) */
    seen_head = 0
}

inline make_room()
{
    no_room = false;
    if
    /* ring_write.c make_room: uint64_t head = isthmus_peek_u64(&cursors->head_seen); if (end -
       head > queue->capacity) */
    :: end + span - head_seen > CAPACITY ->
        seen = head; /* ring_write.c make_room: head = isthmus_load_acquire_u64(&cursors->head) */
        head_seen = seen /* ring_write.c make_room: isthmus_note_u64(&cursors->head_seen, head) */
    :: else -> seen = head_seen
    fi;
    /* ring_write.c make_room: write->seen = head; if (end - head > queue->capacity) { */
    no_room = (end + span - seen > CAPACITY);
#ifdef MAXSIZE
    if
    /* ring_write.c make_room: uint64_t gone = isthmus_peek_u64(&cursors->gone_seen); if (number -
       gone >= queue->maxsize || to_be_counted(queue, number)) */
    :: !no_room && first + count - gone_seen >= MAXSIZE ->
        /* ring_write.c make_room: write->seen = isthmus_load_acquire_u64(&cursors->head) */
        seen = head;
        count_gone(); /* ring_write.c make_room: gone = isthmus_queue_gone(queue) */
        gone_seen = gone; /* ring_write.c make_room: isthmus_note_u64(&cursors->gone_seen, gone) */
        /* ring_write.c make_room: write->seen_gone = gone; if (number - gone >= queue->maxsize)
           return -EAGAIN */
        atomic { no_room = (first + count - gone >= MAXSIZE); gone = 0 }
    :: else
    fi
#endif
}

inline reserve()
{
    span = SPAN(me, PUTS * BATCH - left + count);
    make_room();
    if
    :: !no_room ->
        d_step {
            /* ring_write.c isthmus_write_reserve: isthmus_note_u64(&shared->sequence,
               write->first + write->count) */
            number[AT(end)] = first + count;
            span_of[AT(end)] = span
        };
        unit[AT(end)] = MESSAGE(me, PUTS * BATCH - left + count);
        if
        :: span == 2 -> unit[AT(end + 1)] = MESSAGE(me, PUTS * BATCH - left + count)
        :: else
        fi;
        atomic {
            end = end + span; /* ring_write.c isthmus_write_reserve: write->end = position + span */
            count++           /* ring_write.c isthmus_write_reserve: write->count++ */
        }
    :: else
    fi;
    span = 0
}

inline commit()
{
    if
    :: count ->
        /* ring_write.c isthmus_write_commit: isthmus_note_down(cursors->put, write->start,
           write->end, write->first + count) */
#ifndef TAIL_FIRST
#ifdef NUMBER_AT_COMMIT
        note_down(PUT, start, end, first + 1);
#else
        note_down(PUT, start, end, first + count);
#endif
#endif
        d_step {
            /* ring_write.c isthmus_write_commit: isthmus_store_release_u64(&cursors->tail,
               write->end) */
            tail = end;
#ifdef MAXSIZE
            assert(first + count - NOTED(GOT, head) <= MAXSIZE); /* counted */
#endif
            committed[me] = committed[me] + count;
            left = left - count
        };
#ifdef TAIL_FIRST
        note_down(PUT, start, end, first + count);
#endif
    :: else
    fi;
    /* ring_write.c isthmus_write_commit: end_write(ring) */
    /* ring_write.c end_write: isthmus_ring_unlock(ring, &cursors->producer) */
    atomic { producer = 0; start = 0; end = 0; first = 0; count = 0 }
}

proctype writer(byte me)
{
    byte start, end, first, count, span, i, seen, seen_head, gone;
    bool no_room;
    byte p = me;
    byte left = PUTS * BATCH;
    {
        do
        :: left ->
            write_begin();
            do
            :: count < BATCH && count < left -> reserve();
                if
                :: no_room -> break
                :: else
                fi
            :: else -> break
            od;
            if
            :: no_room && count == 0 ->
                atomic { producer = 0; start = 0; end = 0; first = 0 };
                /* ring_write.c isthmus_write_moved: return isthmus_load_u64(&cursors->head) !=
                   write->seen || (ring->maxsize && isthmus_queue_gone(ring) != write->seen_gone) */
                head != seen
            :: else -> commit()
            fi;
            atomic { no_room = false; seen = 0 }
        :: else -> break
        od;
        finished = finished | BIT(me)
    } UNTIL_KILLED
}

/* ---- Reading, as by one that is alone with it ---------------------------------------------- */

#define WRITER(message) ((message) / 16 - 1)

proctype reader()
{
    byte message, i, next, number_now;
end:
    do
    :: d_step {
            head != tail ->
            message = unit[AT(head)];
            assert(message); /* whole */
            assert(number[AT(head)] == NOTED(GOT, head)); /* counted */
            assert(span_of[AT(head)] == SPAN(WRITER(message), message & 15)); /* whole */
            assert((message & 15) == taken[WRITER(message)]); /* exactly */
            next = head + span_of[AT(head)];
            assert(next <= tail)
        };
#ifdef HEAD_BEFORE_COPY
        number_now = NOTED(GOT, head) + 1;
        note_down(GOT, head, next, number_now);
        head = next;
        assert(unit[AT(next - 1)] == message);
#else
        assert(unit[AT(next - 1)] == message); /* whole */
        number_now = NOTED(GOT, head) + 1;
        note_down(GOT, head, next, number_now);
        head = next;
#endif
        d_step {
            taken[WRITER(message)] = taken[WRITER(message)] + 1;
            assert(taken[WRITER(message)] <= committed[WRITER(message)]); /* exactly */
            message = 0;
            next = 0;
            number_now = 0
        }
    od
}

init
{
    byte n;
    atomic {
        position[PUT] = START;
        position[PUT + 1] = NOWHERE;
        position[GOT] = START;
        position[GOT + 1] = NOWHERE;
        do
        :: n < WRITERS -> run writer(n); n++
        :: else -> break
        od;
        run reader();
        n = 0;
        LET_DIE
    };
    timeout;
    assert(finished == (1 << WRITERS) - 1); /* progress */
    assert(head == tail);
    do
    :: n < WRITERS -> assert(taken[n] == committed[n]); n++
    :: else -> break
    od
}
