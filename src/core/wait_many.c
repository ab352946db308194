/*
 * Waiting for the first of several things. See wait_many.h.
 *
 * Why no wake-up is lost
 *
 * Ours. Each thing has a word, a futex, with a bit that says "somebody may be asleep". Arming
 * sets the bit and then looks at the thing, so that the word is as `armed` says while the
 * thing is not ready. Whoever makes it ready changes the word and then looks at what it was
 * before: if it does so before we arm, we see the thing ready; if after, the word is no
 * longer `armed`. The kernel compares each word with `armed` and lists us as its sleeper in one
 * step against everybody who wakes; so either it does not let us sleep, or the one who changes
 * the word, and has seen the bit, wakes us. That is so for each word alone, hence for all.
 *
 * Those of others. A release of a lock clears the bit and wakes one sleeper, and counts on it
 * either to take the lock with the bit set or to set the bit again, since others may be asleep.
 * So does a semaphore, with as many sleepers as permits, and a commit to a queue, with one for
 * the message. We are such a sleeper on every word that we sleep on, may have been woken by
 * several of them, are told of one, and take nothing. So, when we leave, we wake one more
 * sleeper (pass_on) of each thing that is ready, or whose word is no longer as we armed it: it
 * looks again and does what we were to do. Else the thing is not ready and its word has the
 * bit: whatever happened meanwhile, the next one to make it ready sees the bit and wakes a
 * sleeper. And when we do not leave but sleep again, arming sets the bit again.
 *
 * Killed at any step: the bit is set for nobody, which costs the next one a system call; or a
 * wake-up that was ours is not passed on, and the others look again at the end of their slice.
 */
#include "wait_many.h"

#include "eventcount.h"
#include "os.h"
#include "participant.h"
#include "ring.h"

#define WAITERS ISTHMUS_WORD_WAITERS

/* When there are more things than words to sleep on, or no way to sleep on more than one. */
#define REST_NS UINT64_C(4000000)
#define POLL_LEAST_NS UINT64_C(50000)
#define POLL_MOST_NS UINT64_C(2000000)

_Static_assert(ISTHMUS_WAIT_MANY_WORDS == ISTHMUS_OS_FUTEXES, "as many as the system takes");

/* Each look: 1 if ready. `arming`: first set the bit, and note the word in `armed`. */

/* ---- Locks ----------------------------------------------------------------------------- */

static int look_at_word(struct isthmus_waited *thing, uint32_t *word, int arming)
{
    uint32_t found = isthmus_load_u32(word);
    thing->word = word;
    while (found & ISTHMUS_WORD_OWNER) {
        thing->armed = found | WAITERS;
        /* sync: lock-waiters. Only on a word that has an owner, who will see it. */
        if (!arming || found & WAITERS || isthmus_swap_u32(word, &found, found | WAITERS))
            return 0;
    }
    return 1;
}

static int look_at_lock(struct isthmus_waited *thing, int arming)
{
    const struct isthmus_primitive *lock = thing->primitive;
    struct isthmus_shared_lock *state = isthmus_state(lock);
    const int mine = lock->kind == ISTHMUS_KIND_RLOCK && isthmus_lock_is_mine(lock);
    return look_at_word(thing, &state->word, arming) || mine;
}

static int lock_of_the_dead(const struct isthmus_waited *thing)
{
    const struct isthmus_primitive *lock = thing->primitive;
    const uint32_t owner = isthmus_load_u32(thing->word) & ISTHMUS_WORD_OWNER;
    /* No participant can have written that: whoever takes it takes it over. */
    if (owner > lock->count)
        return 1;
    return owner == 0 || !isthmus_participant_lives(lock, owner - 1);
}

/* ---- Semaphores ------------------------------------------------------------------------ */

static int look_at_semaphore(struct isthmus_waited *thing, int arming)
{
    const struct isthmus_primitive *primitive = thing->primitive;
    struct isthmus_shared_semaphore *semaphore = isthmus_state(primitive);
    uint32_t *word = &semaphore->word;
    thing->word = word;
    if (primitive->flags & ISTHMUS_ROBUST) {
        /* sync: semaphore-word. First the bit, then the look at the shares. */
        thing->armed = (arming ? isthmus_or_u32(word, WAITERS) : isthmus_load_u32(word)) | WAITERS;
        return isthmus_participants_shares(primitive) < semaphore->initial;
    }
    uint32_t found = isthmus_load_u32(word);
    while ((found & ~WAITERS) == 0) {
        thing->armed = WAITERS;
        /* sync: semaphore-word. Only on one without permits. */
        if (!arming || found & WAITERS || isthmus_swap_u32(word, &found, WAITERS))
            return 0;
    }
    return 1;
}

/* ---- Events ---------------------------------------------------------------------------- */

#define SET 1u

static int look_at_event(struct isthmus_waited *thing, int arming)
{
    struct isthmus_shared_event *event = isthmus_state(thing->primitive);
    uint32_t found = isthmus_load_u32(&event->word);
    thing->word = &event->word;
    if (thing->seen == 0)
        /* Any number but 0, which says that this is the first look. */
        thing->seen = (found & ~WAITERS) | SET;
    /* Set, or set and cleared since the first look. */
    while (!(found & SET) && ((found & ~WAITERS) | SET) == thing->seen) {
        thing->armed = found | WAITERS;
        /* sync: event-word. */
        if (!arming || found & WAITERS || isthmus_swap_u32(&event->word, &found, found | WAITERS))
            return 0;
    }
    return 1;
}

/* ---- Queues and subscribers ------------------------------------------------------------ */

static struct isthmus_ring *ring_of(const struct isthmus_waited *thing)
{
    return (struct isthmus_ring *)thing->primitive; /* its first member */
}

static int is_ring(const struct isthmus_primitive *primitive)
{
    return primitive && isthmus_ring_kind(primitive->kind);
}

/* Is it as it was when a look found nothing? */
static int unchanged(const struct isthmus_waited *thing)
{
    const struct isthmus_shared_cursors *cursors = ring_of(thing)->cursors;
    return thing->looked && isthmus_load_u64(&cursors->tail) == thing->seen_tail &&
           (thing->primitive->kind == ISTHMUS_KIND_TOPIC ||
            (isthmus_load_u32(&cursors->returned) == thing->seen_returned &&
             isthmus_load_u32(&cursors->closed) == thing->seen_closed));
}

/* A read that takes nothing, and may find another consumer, or thread, at it: -EBUSY. */
static int try_to_read(struct isthmus_waited *thing, uint64_t deadline)
{
    struct isthmus_ring *ring = ring_of(thing);
    struct isthmus_read read;
    struct isthmus_record record;
    int result = isthmus_read_begin(ring, &read, deadline);
    if (result)
        return result;
    result = isthmus_read_next(ring, &read, &record);
    isthmus_read_abort(ring, &read);
    /* Damaged, shut down: whoever reads is told at once. */
    if (result != -EAGAIN)
        return 1;
    thing->seen_tail = read.seen_tail;
    thing->seen_returned = read.seen_returned;
    thing->seen_closed = read.seen_closed;
    thing->looked = 1;
    return 0;
}

static int look_at_ring(struct isthmus_waited *thing, int arming)
{
    struct isthmus_ring *ring = ring_of(thing);
    uint32_t *busy = ring->primitive.kind == ISTHMUS_KIND_TOPIC ? &isthmus_seat_of(ring)->reader
                                                                : &ring->cursors->consumer;
    int result;
    do {
        thing->word = &ring->cursors->arrival;
        /* sync: eventcount. First the bit, then the look. */
        if (arming)
            thing->armed = isthmus_prepare_to_sleep(thing->word);
        if (unchanged(thing))
            return 0;
        result = try_to_read(thing, 0);
        /*
         * While another one reads, it is not known what it leaves: sleep on its lock instead,
         * and look again when it is free.
         */
    } while (result == -EBUSY && look_at_word(thing, busy, arming));
    return result == -EBUSY || result == -ETIMEDOUT ? 0 : result;
}

static int left_in_a_ring(struct isthmus_waited *thing)
{
    struct isthmus_ring *ring = ring_of(thing);
    if (ring->primitive.kind == ISTHMUS_KIND_QUEUE)
        isthmus_queue_sweep(ring, 0);
    if (unchanged(thing))
        return 0;
    /* One that only tries still waits for those that are about to be done. */
    const int result = try_to_read(thing, isthmus_deadline_after(ISTHMUS_PATIENCE_NS));
    return result == -ETIMEDOUT || result == -EINTR || result == -EBUSY ? 0 : result;
}

/* ---- All of them ----------------------------------------------------------------------- */

static int look_at(struct isthmus_waited *thing, int arming)
{
    const struct isthmus_primitive *primitive = thing->primitive;
    if (!primitive) {
        thing->armed = thing->seen;
        return isthmus_load_u32(thing->word) != thing->seen;
    }
    if (!primitive->shared)
        return -EBADF;
    if (primitive->slot < 0 && primitive->count)
        return -ISTHMUS_E_NOT_JOINED;
    switch (primitive->kind) {
    case ISTHMUS_KIND_LOCK:
    case ISTHMUS_KIND_RLOCK:
        return look_at_lock(thing, arming);
    case ISTHMUS_KIND_SEMAPHORE:
        return look_at_semaphore(thing, arming);
    case ISTHMUS_KIND_EVENT:
        return look_at_event(thing, arming);
    case ISTHMUS_KIND_QUEUE:
    case ISTHMUS_KIND_TOPIC:
        return look_at_ring(thing, arming);
    default:
        return -EINVAL;
    }
}

/* What only a look at who lives can tell. To be called after look_at(). */
static int left_by_the_dead(struct isthmus_waited *thing)
{
    struct isthmus_primitive *primitive = thing->primitive;
    if (!primitive)
        return 0;
    if (primitive->kind == ISTHMUS_KIND_LOCK || primitive->kind == ISTHMUS_KIND_RLOCK)
        return lock_of_the_dead(thing);
    if (primitive->kind == ISTHMUS_KIND_SEMAPHORE && primitive->flags & ISTHMUS_ROBUST) {
        isthmus_participants_sweep(primitive);
        return look_at(thing, 0);
    }
    return is_ring(primitive) ? left_in_a_ring(thing) : 0;
}

enum how {
    LOOK,
    ARM,
    ASK
};

/* How many are ready, or the first error. ARM: the first `words` of them. ASK: for the dead. */
static int look_at_all(struct isthmus_waited *things, size_t count, size_t words, enum how how)
{
    int ready = 0;
    for (size_t i = 0; i < count; i++) {
        int found = look_at(&things[i], how == ARM && i < words);
        if (found == 0 && how == ASK)
            found = left_by_the_dead(&things[i]);
        things[i].ready = found;
        if (found < 0)
            return found;
        if (found && ready < INT32_MAX)
            ready++;
    }
    return ready;
}

static void list_all(struct isthmus_waited *things, size_t count, int waiting)
{
    for (size_t i = 0; i < count; i++) {
        if (!things[i].primitive || things[i].listed == waiting)
            continue;
        things[i].listed = waiting;
        if (waiting)
            isthmus_wait_list(things[i].primitive);
        else
            isthmus_wait_unlist(things[i].primitive);
    }
}

/* See the top. The own words of this process have no other sleeper. */
static void pass_on(const struct isthmus_waited *things, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        const struct isthmus_waited *thing = &things[i];
        if (thing->primitive && thing->word &&
            (thing->ready > 0 || isthmus_load_u32(thing->word) != thing->armed))
            isthmus_os_futex_wake(thing->word, 1);
        /* On the lock of a ring in the end, but before that perhaps woken for a message. */
        if (is_ring(thing->primitive) && thing->word != &ring_of(thing)->cursors->arrival)
            isthmus_os_futex_wake(&ring_of(thing)->cursors->arrival, 1);
    }
}

/* How a wait goes on. */
struct course {
    size_t words;   /* that we sleep on */
    uint64_t slice; /* to sleep at a time */
    int alone;      /* there is no sleeping on more than one word */
    int slept;
};

/* 0: look again. 1: look again, and for the dead. -ETIMEDOUT, -EINTR. */
static int sleep_on(const struct isthmus_waited *things, struct course *course, uint64_t deadline)
{
    struct isthmus_os_futex futexes[ISTHMUS_OS_FUTEXES];
    const uint64_t slice = isthmus_os_monotonic_ns() + course->slice;
    const int last = deadline <= slice;
    int result = -ENOSYS;

    course->slept = 1;
    for (size_t i = 0; i < course->words; i++)
        futexes[i] = (struct isthmus_os_futex){things[i].word, things[i].armed};
    if (course->words == 1)
        result = isthmus_os_futex_wait(things[0].word, things[0].armed, last ? deadline : slice);
    else if (!course->alone)
        result =
            isthmus_os_futex_wait_many(futexes, (unsigned)course->words, last ? deadline : slice);
    if (result == -ENOSYS) {
        if (!course->alone) {
            course->alone = 1;
            course->slice = POLL_LEAST_NS;
            return 0;
        }
        result = isthmus_os_futex_wait(things[0].word, things[0].armed, last ? deadline : slice);
        course->slice = course->slice * 2 < POLL_MOST_NS ? course->slice * 2 : POLL_MOST_NS;
    }
    return result == -ETIMEDOUT && !last ? 1 : result;
}

static int sleep_until(struct isthmus_waited *things, size_t count, struct course *course,
                       uint64_t deadline)
{
    uint64_t asked_ns = isthmus_os_monotonic_ns();
    for (;;) {
        int found = look_at_all(things, count, course->words, ARM);
        if (found)
            return found;
        int result = sleep_on(things, course, deadline);
        if (result < 0 && result != -ETIMEDOUT)
            return result;
        if (result == 0)
            continue;
        /* At the end of all time, too: many short waits must get what one long wait gets. */
        const uint64_t now = isthmus_os_monotonic_ns();
        if (result == -ETIMEDOUT || now - asked_ns >= ISTHMUS_SLICE_NS) {
            found = look_at_all(things, count, 0, ASK);
            asked_ns = now;
        }
        if (found || result < 0)
            return found ? found : result;
    }
}

/* The one whose users are willing to spin for longest says for how long. */
static struct isthmus_primitive *eager(const struct isthmus_waited *things, size_t count)
{
    struct isthmus_primitive *best = NULL;
    for (size_t i = 0; i < count; i++) {
        struct isthmus_primitive *each = things[i].primitive;
        if (each && (!best || isthmus_local_load_u32(&each->spin_ns) >
                                  isthmus_local_load_u32(&best->spin_ns)))
            best = each;
    }
    return best;
}

int isthmus_wait_many(struct isthmus_waited *things, size_t count, int poll, uint64_t deadline)
{
    struct isthmus_primitive *spinner = eager(things, count);
    struct isthmus_wait spin;
    struct course course = {
        .words = count < ISTHMUS_WAIT_MANY_WORDS ? count : ISTHMUS_WAIT_MANY_WORDS,
        .slice = poll                              ? POLL_LEAST_NS
                 : count > ISTHMUS_WAIT_MANY_WORDS ? REST_NS
                                                   : ISTHMUS_SLICE_NS,
        .alone = poll,
    };
    if (count == 0)
        return -EINVAL;
    int result = look_at_all(things, count, 0, deadline ? LOOK : ASK);
    if (result || deadline == 0)
        return result ? result : -ETIMEDOUT;

    if (spinner) {
        isthmus_wait_begin(&spin, spinner, deadline);
        do
            result = look_at_all(things, count, 0, LOOK);
        while (!result && isthmus_wait_spin(&spin));
    }
    if (!result) {
        list_all(things, count, 1);
        result = sleep_until(things, count, &course, deadline);
        list_all(things, count, 0);
        if (course.slept)
            pass_on(things, course.words);
    }
    if (spinner)
        isthmus_wait_end(&spin);
    return result;
}

void isthmus_wait_ring(uint32_t *word)
{
    isthmus_add_u32(word, 1);
    isthmus_os_futex_wake(word, UINT32_MAX);
}
