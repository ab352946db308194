/*
 * Topics: src/core/topic.c, and what repair.c does after a dead subscriber.
 *
 * Properties
 *   whole       A subscriber never accepts a record that was written over while it was copied.
 *   exact       What a subscriber got, and what it was told that it missed, are together all
 *               that was published since it came in, in order. With BLOCK it has missed nothing.
 *   pinned      A record in view is not written over, and only one that is gone may not be kept.
 *   progress    With deaths at any step: publishers are not held up for ever, nor those that see
 *               records.
 *
 * Who is there
 *   SUBSCRIBERS threads, each a process of its own, that come in at what is published next, or
 *   FROM_OLDEST, read READS messages and leave; with VIEWS they keep each in view while they
 *   move on. PUBLISHERS more publish PUBS messages each into a ring with room for CAPACITY
 *   units; one message takes one, or, with WIDE, every other one two. With FULL there are
 *   messages already, as many as fit, and publishers have looked around when nobody was there.
 *
 * Left out
 *   The locks of publishers and of a subscriber's threads: mutex.pml shows that they are such, and
 *   a dead owner is as none. Waiting is for a condition: eventcount.pml shows that it is so. A
 *   subscriber that is lapped again goes on further ahead than here. Batches. Damage.
 *
 * CHECK whole, exact: SUBSCRIBERS=1 PUBLISHERS=2 PUBS=2 READS=3 CAPACITY=2
 * CHECK whole, exact, from the oldest: SUBSCRIBERS=1 PUBLISHERS=1 PUBS=4 READS=3 CAPACITY=3 WIDE FULL FROM_OLDEST
 * CHECK whole, exact, pinned: SUBSCRIBERS=1 PUBLISHERS=1 PUBS=4 READS=2 CAPACITY=3 WIDE VIEWS
 * CHECK whole, exact, block: SUBSCRIBERS=2 PUBLISHERS=1 PUBS=1 READS=1 CAPACITY=2 FULL FROM_OLDEST BLOCK
 * CHECK whole, exact, pinned, block: SUBSCRIBERS=1 PUBLISHERS=2 PUBS=1 READS=2 CAPACITY=2 FULL FROM_OLDEST VIEWS BLOCK
 * CHECK whole, exact, progress: SUBSCRIBERS=1 PUBLISHERS=2 PUBS=1 READS=2 CAPACITY=2 DEATHS=1 FULL FROM_OLDEST BLOCK
 * CHECK whole, pinned, progress: SUBSCRIBERS=1 PUBLISHERS=2 PUBS=1 READS=1 CAPACITY=2 DEATHS=1 FULL FROM_OLDEST VIEWS
 * CHECK progress, pinned, block: SUBSCRIBERS=1 PUBLISHERS=1 PUBS=1 READS=1 CAPACITY=2 DEATHS=1 FULL FROM_OLDEST VIEWS BLOCK
 * MUST FAIL SUBSCRIBERS=1 PUBLISHERS=1 PUBS=4 READS=3 CAPACITY=2: NO_VALID
 * MUST FAIL SUBSCRIBERS=1 PUBLISHERS=1 PUBS=4 READS=2 CAPACITY=2: OLDEST_AFTER_WRITING
 * MUST FAIL SUBSCRIBERS=1 PUBLISHERS=1 PUBS=5 READS=3 CAPACITY=2: TAIL_BEFORE_OLDEST
 * MUST FAIL SUBSCRIBERS=1 PUBLISHERS=1 PUBS=4 READS=2 CAPACITY=2: UNNUMBERED
 * MUST FAIL SUBSCRIBERS=1 PUBLISHERS=1 PUBS=2 READS=2 CAPACITY=2 FULL FROM_OLDEST BLOCK: NO_EPOCH
 * MUST FAIL SUBSCRIBERS=1 PUBLISHERS=1 PUBS=2 READS=2 CAPACITY=2 FULL FROM_OLDEST BLOCK: NOTHING_SAID
 * MUST FAIL SUBSCRIBERS=1 PUBLISHERS=1 PUBS=2 READS=2 CAPACITY=2 FULL FROM_OLDEST BLOCK: LOOK_ONCE_MORE
 * MUST FAIL SUBSCRIBERS=1 PUBLISHERS=1 PUBS=3 READS=2 CAPACITY=2 VIEWS: NO_LOOK_AFTER_PIN
 * MUST FAIL SUBSCRIBERS=1 PUBLISHERS=2 PUBS=1 READS=2 CAPACITY=2 DEATHS=1 FULL FROM_OLDEST BLOCK: EPOCH_FIRST
 * MUST FAIL SUBSCRIBERS=1 PUBLISHERS=1 PUBS=1 READS=1 CAPACITY=2 DEATHS=1 FULL FROM_OLDEST VIEWS BLOCK: STALE_FOR_EVER
 * MUST FAIL SUBSCRIBERS=1 PUBLISHERS=1 PUBS=2 READS=1 CAPACITY=2 DEATHS=1 FULL FROM_OLDEST BLOCK: NO_EVICTION
 */
/* left out: topic.c isthmus_topic_evict: isthmus_add_u32(&topic->cursors->evicted, 1) */
/* left out: topic.c isthmus_topic_subscribe: isthmus_note_u64(&seat->sequence, topic->sequence =
   UINT64_MAX) */
/* left out: repair.c abandon_ring: if (isthmus_load_u32(&cursors->loan) == slot + 1)
   isthmus_store_u32(&cursors->loan, 0) */
#define START 4            /* the first position */
#define NOWHERE 1          /* a position that no record has */
#define NOBODY 255

#define THREADS (SUBSCRIBERS + PUBLISHERS)
#define PROCESSES THREADS
#define FUTEXES 1
#define SLOTS SUBSCRIBERS
#define THREADS_OF(p) (1 << (p))
#define FORGET_PUBLISHER i = 0; result = 0; left = 0; start = 0; number = 0; before = 0; now = 0; \
    new_epoch = 0; slowest = 0; pinner = 0; slowest_seen = 0; least = 0; least_pin = 0; seized = 0; seen = 0
#define FORGET_SUBSCRIBER position = 0; first = 0; last = 0; result = 0; left = 0; number = 0; \
    base = 0; got = 0; seen = 0; lapped = 0
#define FORGET FORGET_PUBLISHER

#define OK 0
#define BY_CURSOR 1
#define BY_PIN 2
#define STALE 3
#define NOTHING 4

byte producer;             /* its owner + 1 */
byte tail = START, oldest = START, overwriting = START, floor = START, pin_floor = START;
byte position_of[2], count_of[2]; /* isthmus_shared_cursors.put */
byte epoch, epoch_seen;
byte unit[CAPACITY];       /* the number of the record that is written there, + 1 */
bool subscriber[SLOTS];    /* isthmus_shared_seat.role */
byte cursor[SLOTS], pin[SLOTS], sequence[SLOTS], missed[SLOTS];

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
#define AT(p) ((p) % CAPACITY)

#ifdef WIDE
#define SPAN(n) (1 + ((n) & 1))
#else
#define SPAN(n) 1
#endif

/* ---- Publishing ---------------------------------------------------------------------------- */

inline look_around()
{
    atomic {
        least = tail;
        least_pin = tail;
        slowest = NOBODY;
        pinner = NOBODY;
        /* topic.c look_around: const uint32_t epoch = isthmus_load_u32(&cursors->epoch) */
        new_epoch = epoch
    };
#ifdef EPOCH_FIRST
    epoch_seen = new_epoch;
#endif
    do
    :: atomic {
            i < SLOTS ->
            if
            /* topic.c look_around: const uint64_t pin = isthmus_load_u64(&seat->pin) */
            /* topic.c look_around: if (pin && isthmus_beyond(pin_floor, pin - 1)) { pin_floor =
               pin - 1; *pinner = (struct obstacle){(int32_t)i, pin}; } */
            :: pin[i] && pin[i] - 1 < least_pin -> least_pin = pin[i] - 1; pinner = i
            :: else
            fi
        };
        if
        :: atomic {
            /* topic.c look_around: if (isthmus_load_u32(&seat->role) & ISTHMUS_ROLE_SUBSCRIBER) */
            /* topic.c look_around: const uint64_t seen = isthmus_load_u64(&seat->cursor); const
               uint64_t cursor = isthmus_beyond(oldest, seen) ? oldest : seen */
            subscriber[i] ->
            seen = (cursor[i] < oldest -> oldest : cursor[i]);
            if
            /* topic.c look_around: floor = cursor; *slowest = (struct obstacle){(int32_t)i,
               seen} */
            :: seen < least -> least = seen; slowest = i; slowest_seen = cursor[i]
            :: else
            fi;
            seen = 0;
            i++
        }
        :: atomic { !subscriber[i] -> i++ }
        fi
    :: atomic { else -> i = 0; break }
    od;
    floor = least; /* topic.c look_around: isthmus_note_u64(&cursors->floor, floor) */
    /* topic.c look_around: isthmus_note_u64(&cursors->pin_floor, pin_floor) */
    pin_floor = least_pin;
#ifndef EPOCH_FIRST
    epoch_seen = new_epoch; /* topic.c look_around: isthmus_note_u32(&cursors->epoch_seen, epoch) */
#endif
    atomic { new_epoch = 0; least = 0; least_pin = 0 }
}

/* topic.c make_room: const uint64_t limit = end - topic->capacity */
#define BEYOND_LIMIT(p) (start + SPAN(number) > CAPACITY + (p))
#ifdef BLOCK
/* topic.c make_room: const int slow = block && isthmus_beyond(oldest,
   isthmus_peek_u64(&cursors->floor)) */
#define SLOW (now > floor)
#else
#define SLOW false
#endif
/* topic.c make_room: if (slow || isthmus_beyond(limit,
   isthmus_peek_u64(&cursors->pin_floor))) */
#define PINNED BEYOND_LIMIT(pin_floor)

#ifdef NO_EPOCH
#define LOOK_AGAIN (SLOW || PINNED)
#else
/* topic.c make_room: if (isthmus_load_u32(&cursors->epoch) !=
   isthmus_peek_u32(&cursors->epoch_seen) || (block && isthmus_beyond(oldest,
   isthmus_peek_u64(&cursors->floor))) || isthmus_beyond(limit,
   isthmus_peek_u64(&cursors->pin_floor))) */
#define LOOK_AGAIN (epoch != epoch_seen || SLOW || PINNED)
#endif

inline make_room()
{
    atomic {
        result = OK;
        before = oldest;
        now = oldest;
        do
        /* topic.c make_room: while (isthmus_beyond(limit, oldest)) */
        /* topic.c make_room: oldest = next_record(topic, oldest, write->start) */
        :: BEYOND_LIMIT(now) -> now = now + SPAN(unit[AT(now)] - 1)
        :: else -> break
        od
    };
#ifndef NOTHING_SAID
    if
    /* topic.c make_room: if (oldest != before)
       isthmus_store_u64(&cursors->overwriting, oldest) */
    :: now != before -> overwriting = now
    :: else
    fi;
#endif
    if
    /* topic.c make_room: look_around(topic, write->start, &slowest, &pinner) */
    :: LOOK_AGAIN -> look_around()
    :: else
    fi;
    if
    :: SLOW || PINNED ->
        /* topic.c make_room: return slow ? in_the_way(write, slowest, BY_CURSOR) :
           in_the_way(write, pinner, BY_PIN) */
        /* topic.c in_the_way: write->seen = obstacle.seen */
        atomic {
            result = (SLOW -> BY_CURSOR : BY_PIN);
            seen = (SLOW -> slowest_seen : pin_floor + 1);
            pinner = (SLOW -> slowest : pinner);
            slowest = 0;
            slowest_seen = 0
        };
        if
        /* topic.c make_room: if (oldest != before)
           isthmus_store_u64(&cursors->overwriting, before) */
        :: now != before -> overwriting = before
        :: else
        fi;
#ifdef LOOK_ONCE_MORE
        if
        :: result == BY_PIN -> seen = pin[pinner]
        :: else -> seen = cursor[pinner]
        fi
#endif
    :: else ->
        atomic { slowest = 0; pinner = 0; slowest_seen = 0 };
#ifndef OLDEST_AFTER_WRITING
        if
        /* topic.c make_room: if (oldest != before) {
           isthmus_store_u64(&cursors->oldest, oldest) */
        :: now != before -> oldest = now
        :: else
        fi
#endif
    fi;
    before = 0
}

/* topic.c isthmus_topic_moved: if (write->seen_gone == BY_PIN) return
   isthmus_load_u64(&seat->pin) != write->seen; return isthmus_load_u64(&seat->cursor) !=
   write->seen || !(isthmus_load_u32(&seat->role) & ISTHMUS_ROLE_SUBSCRIBER) */
#define MOVED (result == BY_PIN -> pin[pinner] != seen : cursor[pinner] != seen || !subscriber[pinner])

inline evict()
{
    if
    :: atomic {
        /* topic.c isthmus_topic_evict: if (write->blocker < 0 ||
           isthmus_participant_seize(primitive, slot)) return 0 */
        holder[pinner] == 0 -> holder[pinner] = me + 1; seized = true
    }
    :: holder[pinner]
    fi;
    if
    :: seized ->
        /* topic.c isthmus_topic_evict: isthmus_repair(primitive, slot) */
        /* repair.c abandon_ring: isthmus_store_u32(&ring->seats[slot].role, 0) */
        subscriber[pinner] = false;
        pin[pinner] = 0; /* repair.c repair_topic: isthmus_store_u64(&topic->seats[slot].pin, 0) */
        /* topic.c isthmus_topic_evict: isthmus_participant_release(primitive, slot) */
        atomic { holder[pinner] = 0; seized = false }
    :: else
    fi
}

inline publish()
{
    atomic {
        LOCK_FREE ->
        seized = (producer != 0);
        producer = me + 1;
        start = tail;
        number = (position_of[0] == tail -> count_of[0] : count_of[1])
    };
    if
    /* ring_write.c isthmus_write_begin: isthmus_store_u64(&cursors->overwriting,
       isthmus_peek_u64(&cursors->oldest)) */
    :: atomic { seized -> seized = false; overwriting = oldest }
    :: else
    fi;
    make_room();
    if
    :: result == OK ->
        unit[AT(start)] = number + 1;
        if
        :: SPAN(number) == 2 -> unit[AT(start + 1)] = number + 1
        :: else
        fi;
#ifdef OLDEST_AFTER_WRITING
        oldest = now;
#endif
        /* The notes, in ring_write.pml step by step. */
        atomic {
            i = (position_of[0] == start -> 1 : 0);
            position_of[i] = start + SPAN(number)
        };
        atomic { count_of[i] = number + 1; i = 0 };
        tail = start + SPAN(number);
        atomic { producer = 0; start = 0; number = 0; now = 0; left-- }
    :: else ->
        atomic { producer = 0; start = 0; number = 0; now = 0 };
#ifdef NO_EVICTION
        MOVED;
#else
        if
        :: MOVED
        :: !holder[pinner] -> evict()
        fi;
#endif
        atomic { pinner = 0; seen = 0; result = 0 }
    fi
}

proctype publisher(byte me)
{
    byte i, result, start, number, before, now, new_epoch, slowest, pinner, least, least_pin, seen;
    byte slowest_seen;
    bool seized;
    byte p = me;
    byte left = PUBS;
    {
        do
        :: left -> publish()
        :: else -> break
        od;
        finished = finished | BIT(me)
    } UNTIL_KILLED
}
#undef FORGET
#define FORGET FORGET_SUBSCRIBER

/* ---- Subscribing ----------------------------------------------------------------------------- */

inline first_to_stay()
{
    /* topic.c first_to_stay: const uint64_t overwriting =
       isthmus_load_u64(&cursors->overwriting) */
    position = overwriting;
    if
    /* topic.c first_to_stay: if (overwriting == isthmus_load_u64(&cursors->oldest)) return
       overwriting */
    :: position != oldest ->
        if
        /* topic.c first_to_stay: const int result = isthmus_ring_lock(topic, &cursors->producer,
           0) */
        :: atomic { LOCK_FREE -> producer = me + 1 };
            /* topic.c first_to_stay: isthmus_store_u64(&cursors->overwriting, oldest) */
            overwriting = oldest;
            position = oldest;
            producer = 0
        :: !(LOCK_FREE) -> skip
        fi
    :: else
    fi
}

inline choose()
{
    /* topic.c isthmus_topic_subscribe: const uint64_t tail =
       isthmus_load_acquire_u64(&cursors->tail) */
    seen = tail;
#ifdef FROM_OLDEST
    /* topic.c isthmus_topic_subscribe: cursor = first_to_stay(topic); if
       (isthmus_between(topic, cursor, tail) == UINT64_MAX) cursor = tail */
    first_to_stay();
    if
    :: position > seen -> position = seen
    :: else
    fi;
#else
    position = seen;
#endif
    number = NOBODY;
    if
    /* topic.c number_at: if (position != tail) return isthmus_record_look(isthmus_record_at(topic,
       position), position, tail - position, &record, &span) ? UINT64_MAX : record.sequence */
    :: position != seen -> number = unit[AT(position)] - 1
    :: else ->
        /* topic.c number_at: const uint64_t number = isthmus_noted(cursors->put, tail) */
        first = (position_of[0] == seen -> 0 : 1);
        number = count_of[first];
        first = 0;
        if
        /* topic.c number_at: return isthmus_load_u64(&cursors->tail) == tail ? number :
           UINT64_MAX */
        :: tail != seen -> number = NOBODY
        :: else
        fi
    fi;
    seen = 0
}

inline take_seat()
{
    /* topic.c isthmus_topic_take_seat: isthmus_note_u64(&seat->sequence, sequence) */
    sequence[me] = number;
    /* topic.c isthmus_topic_take_seat: isthmus_store_u64(&seat->cursor, cursor) */
    cursor[me] = position;
    /* topic.c isthmus_topic_take_seat: isthmus_or_u32(&seat->role, ISTHMUS_ROLE_SUBSCRIBER) */
    subscriber[me] = true;
    epoch++; /* topic.c isthmus_topic_take_seat: isthmus_add_u32(&cursors->epoch, 1) */
    /* topic.c isthmus_topic_take_seat: return
       isthmus_beyond(isthmus_load_u64(&cursors->overwriting), cursor) ? -ESTALE : 0 */
    result = (overwriting > position -> STALE : OK)
}

inline subscribe()
{
    missed[me] = 0; /* topic.c isthmus_topic_subscribe: isthmus_note_u64(&seat->missed, 0) */
    do
    ::  choose();
        /* topic.c isthmus_topic_subscribe: error = isthmus_topic_take_seat(topic, cursor,
           number) */
        take_seat();
        if
        /* topic.c isthmus_topic_subscribe: while ((error || number == UINT64_MAX) &&
           --attempts) */
        :: result == OK && number != NOBODY -> break
        :: else
        fi
    od;
    /* A ghost from here on: which number was the first. */
    atomic { base = number; number = 0; position = 0 }
#ifdef UNNUMBERED
    ;
    sequence[me] = NOBODY
#endif
}

/* ---- Reading --------------------------------------------------------------------------------- */

inline read_next()
{
    do
    ::
#ifdef TAIL_BEFORE_OLDEST
        seen = tail;
#endif
        if
        :: atomic {
            /* topic.c isthmus_topic_read_next: const uint64_t oldest =
               isthmus_load_u64(&cursors->oldest); const uint64_t tail =
               isthmus_load_acquire_u64(&cursors->tail) */
            /* topic.c isthmus_topic_read_next: if (isthmus_beyond(oldest, position)) {
               read->lapped++; position = go_on(topic, read, oldest, tail); } */
            oldest > position -> position = oldest; lapped = true
        }
        :: else
        fi;
#ifndef TAIL_BEFORE_OLDEST
        seen = tail;
#endif
        assert(position <= seen); /* whole: else the record is taken for damaged */
        if
        /* topic.c isthmus_topic_read_next: if (position == tail) return -EAGAIN */
        :: atomic { position == seen -> result = NOTHING; break }
        :: else
        fi;
        first = unit[AT(position)];
        if
        /* topic.c isthmus_topic_read_next: if (isthmus_beyond(isthmus_load_u64(&cursors->oldest),
           position)) continue */
        :: oldest > position -> first = 0
        :: else -> result = OK; break
        fi
    od;
    seen = 0
}

inline read()
{
    /* topic.c isthmus_topic_read_next: uint64_t position = read->position, span */
    position = cursor[me];
    do
    ::  read_next();
        if
        :: result == OK ->
            /* The copy that whoever reads makes. */
            last = unit[AT(position + SPAN(first - 1) - 1)];
#ifdef NO_VALID
            break
#else
            if
            /* topic.c isthmus_read_valid: if
               (!isthmus_beyond(isthmus_load_u64(&ring->cursors->oldest), record->position)) return
               0 */
            :: oldest <= position -> break
            :: else
            fi
#endif
        :: else -> break
        fi
    od;
    if
    :: result == OK ->
        atomic {
            assert(first && first == last); /* whole */
            if
            /* topic.c isthmus_topic_read_next: if (read->sequence != UINT64_MAX) read->missed +=
               record->sequence - read->sequence */
            :: sequence[me] != NOBODY ->
                assert(first - 1 == sequence[me] || (lapped && first - 1 > sequence[me]));
                missed[me] = missed[me] + first - 1 - sequence[me]
            :: else
            fi;
            got++;
            assert(got + missed[me] == first - base); /* exact */
#ifdef BLOCK
            assert(missed[me] == 0); /* exact */
#endif
            number = first
        };
#ifdef VIEWS
        view()
#else
        move_on()
#endif
    :: else -> atomic { position = 0; lapped = false }
    fi
}

inline move_on()
{
    /* topic.c isthmus_topic_read_commit: isthmus_note_u64(&seat->sequence, read->sequence) */
    /* topic.c isthmus_topic_read_commit: isthmus_note_u64(&seat->missed, read->missed) */
    sequence[me] = number;
    /* topic.c isthmus_topic_read_commit: isthmus_store_release_u64(&seat->cursor,
       read->position) */
    cursor[me] = position + SPAN(number - 1);
    atomic { position = 0; first = 0; last = 0; number = 0; lapped = false; left-- }
}

inline about_to_go()
{
#ifdef STALE_FOR_EVER
    result = STALE
#else
    if
    /* topic.c about_to_go: if (isthmus_beyond(isthmus_load_u64(&cursors->oldest), position)) return
       1 */
    :: oldest > position -> result = STALE
    :: else ->
        /* topic.c about_to_go: (void)isthmus_ring_lock_surely(topic, &cursors->producer) */
        atomic { LOCK_FREE -> producer = me + 1 };
        /* topic.c about_to_go: isthmus_store_u64(&cursors->overwriting, oldest) */
        overwriting = oldest;
        if
        /* topic.c about_to_go: return isthmus_beyond(oldest, position) */
        :: oldest > position -> result = STALE
        :: else
        fi;
        producer = 0
    fi
#endif
}

inline view()
{
    /* topic.c isthmus_topic_pin: isthmus_store_u64(pin, now) */
    pin[me] = position + 1;
    epoch++; /* topic.c isthmus_topic_pin: isthmus_add_u32(&cursors->epoch, 1) */
#ifndef NO_LOOK_AFTER_PIN
    if
    /* topic.c isthmus_topic_pin: if (isthmus_beyond(isthmus_load_u64(&cursors->overwriting),
       position) && about_to_go(topic, position)) */
    :: overwriting > position -> about_to_go()
    :: else
    fi;
#endif
    if
    :: result == OK ->
        atomic { seen = position; last = first };
        move_on();
        /* However long it looks at it. */
        assert(unit[AT(seen)] == sequence[me]); /* pinned */
        assert(unit[AT(seen + SPAN(sequence[me] - 1) - 1)] == sequence[me]); /* pinned */
        atomic { pin[me] = 0; seen = 0 }
    :: else ->
        /* topic.c isthmus_topic_pin: isthmus_store_u64(pin, before) */
        /* As if it had not been read, and once more. */
        atomic {
            assert(oldest > position); /* pinned */
            pin[me] = 0;
            missed[me] = missed[me] - (first - 1 - sequence[me]);
            got--;
            position = 0; first = 0; last = 0; number = 0; lapped = false
        }
    fi
}

#define ALL_PUBLISHED ((finished >> SUBSCRIBERS) == (1 << PUBLISHERS) - 1)
#define SOMETHING (cursor[me] != tail && oldest != tail)

proctype reader(byte me)
{
    byte position, first, last, result, number, base, got, seen;
    bool lapped;
    byte p = me;
    byte left = READS;
    {
        subscribe();
        do
        :: left && SOMETHING -> read()
        :: left && !SOMETHING && ALL_PUBLISHED -> break
        :: left == 0 -> break
        od;
        /* topic.c isthmus_topic_unsubscribe: isthmus_and_u32(&seat->role,
           ~ISTHMUS_ROLE_SUBSCRIBER) */
        subscriber[me] = false;
        finished = finished | BIT(me)
    } UNTIL_KILLED
}

init
{
    byte n;
    atomic {
#ifdef FULL
        do
        :: tail + SPAN(n) <= START + CAPACITY ->
            unit[AT(tail)] = n + 1;
            unit[AT(tail + SPAN(n) - 1)] = n + 1;
            tail = tail + SPAN(n);
            n++
        :: else -> break
        od;
        floor = tail;
        pin_floor = tail;
#endif
        position_of[0] = tail;
        count_of[0] = n;
        position_of[1] = NOWHERE;
        n = 0;
        do
        :: n < SUBSCRIBERS -> holder[n] = n + 1; run reader(n); n++
        :: n >= SUBSCRIBERS && n < THREADS -> run publisher(n); n++
        :: else -> break
        od;
        n = 0;
        LET_DIE
    };
    timeout;
    assert(finished == (1 << THREADS) - 1) /* progress */
}
