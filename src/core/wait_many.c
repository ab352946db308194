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

/* When there are more things than words to sleep on, or no way to sleep on more than one. */
#define REST_NS UINT64_C(4000000)
#define POLL_LEAST_NS UINT64_C(50000)
#define POLL_MOST_NS UINT64_C(2000000)

_Static_assert(ISTHMUS_WAIT_MANY_WORDS == ISTHMUS_OS_FUTEXES, "as many as the system takes");

/* How many are ready, or the first error. ARM: the first `words` of them. ASK: for the dead. */
static int look_at_all(struct isthmus_waited *things, size_t count, size_t words,
                       enum isthmus_how how)
{
    int ready = 0;
    for (size_t i = 0; i < count; i++) {
        int found = isthmus_look(&things[i], how == ISTHMUS_ARM && i >= words ? ISTHMUS_LOOK : how);
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
        if (things[i].listed == waiting)
            continue;
        things[i].listed = waiting;
        if (waiting)
            isthmus_wait_list(things[i].primitive);
        else
            isthmus_wait_unlist(things[i].primitive);
    }
}

/* See the top. */
static void pass_on(const struct isthmus_waited *things, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        const struct isthmus_waited *thing = &things[i];
        if (thing->word && (thing->ready > 0 || isthmus_load_u32(thing->word) != thing->armed))
            isthmus_os_futex_wake(thing->word, 1);
        /* On the lock of a ring in the end, but before that perhaps woken for a message. */
        if (isthmus_is_ring(thing->primitive) &&
            thing->word != &isthmus_ring_of(thing)->cursors->arrival)
            isthmus_os_futex_wake(&isthmus_ring_of(thing)->cursors->arrival, 1);
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
        int found = look_at_all(things, count, course->words, ISTHMUS_ARM);
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
            found = look_at_all(things, count, 0, ISTHMUS_ASK);
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
        if (!best ||
            isthmus_local_load_u32(&each->spin_ns) > isthmus_local_load_u32(&best->spin_ns))
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
    int result = look_at_all(things, count, 0, deadline ? ISTHMUS_LOOK : ISTHMUS_ASK);
    if (result || deadline == 0)
        return result ? result : -ETIMEDOUT;

    isthmus_wait_begin(&spin, spinner, deadline);
    do
        result = look_at_all(things, count, 0, ISTHMUS_LOOK);
    while (!result && isthmus_wait_spin(&spin));
    if (!result) {
        list_all(things, count, 1);
        result = sleep_until(things, count, &course, deadline);
        list_all(things, count, 0);
        if (course.slept)
            pass_on(things, course.words);
    }
    isthmus_wait_end(&spin);
    return result;
}
