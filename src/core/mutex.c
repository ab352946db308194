/* The robust lock word. See mutex.h. */
#include "mutex.h"

#include "atomic.h"
#include "doorbell.h"
#include "os.h"
#include "participant.h"
#include "wait.h"

/*
 * Take it if nobody owns it; -EBUSY, and *found is what was seen. `mine` has the bit
 * WAITERS if we have slept: others that sleep may depend on us for their wake-up, since
 * the release that woke us has cleared the bit for all.
 */
static int take_free(uint32_t *word, uint32_t mine, uint32_t *found)
{
    /* Nobody is asleep for a lock that was never contended: the exact word 0 first. */
    *found = isthmus_load_u32(word);
    while (!(*found & ISTHMUS_WORD_OWNER)) {
        const uint32_t before = *found;
        /* Dies here: nothing happened. sync: lock-word. Sees all that the last owner did. */
        if (isthmus_swap_u32(word, found, mine | (before & ISTHMUS_WORD_WAITERS)))
            /* Dies from here on: it is ours, and whoever waits takes it from a dead owner. */
            return before & ISTHMUS_WORD_ABANDONED ? -EOWNERDEAD : 0;
    }
    return -EBUSY;
}

/* Take it from an owner that is dead. -EBUSY: it is not, or somebody else is at it. */
static int take_over(struct isthmus_primitive *primitive, uint32_t *word, uint32_t *tid,
                     uint32_t mine)
{
    uint32_t found = isthmus_load_u32(word);
    const uint32_t owner = found & ISTHMUS_WORD_OWNER;
    int result = -EBUSY;

    if (!owner)
        return take_free(word, mine, &found);
    if (owner > primitive->count) {
        /* No participant can have written that; nobody will ever release it. */
        if (tid)
            isthmus_note_u32(tid, 0);
        return isthmus_swap_u32(word, &found, mine | ISTHMUS_WORD_WAITERS) ? -EOWNERDEAD : -EBUSY;
    }
    if (isthmus_participant_seize(primitive, owner - 1))
        return -EBUSY;
    /*
     * Until the release nobody can be this participant, and only one that is, or has seized
     * it, changes a word that it owns: if the word still names it, it will not be released
     * under our hands, and is not the word of a successor in the same slot.
     */
    found = isthmus_load_u32(word);
    if ((found & ISTHMUS_WORD_OWNER) == owner && tid)
        /* Of the dead thread: it could be the id of one of ours. Dies here: no harm. */
        isthmus_note_u32(tid, 0);
    while ((found & ISTHMUS_WORD_OWNER) == owner)
        if (isthmus_swap_u32(word, &found, mine | (found & ISTHMUS_WORD_WAITERS))) {
            /* Dies from here on: we are the dead owner. */
            result = -EOWNERDEAD;
            break;
        }
    isthmus_participant_release(primitive, owner - 1);
    return result;
}

static int wait_for(struct isthmus_wait *wait, uint32_t *word, uint32_t *tid, uint32_t mine)
{
    uint32_t found;
    int result;

    do {
        result = take_free(word, mine, &found);
        if (result != -EBUSY)
            return result;
    } while (isthmus_wait_spin(wait));

    mine |= ISTHMUS_WORD_WAITERS;
    for (;;) {
        result = take_free(word, mine, &found);
        if (result != -EBUSY)
            return result;
        if (!(found & ISTHMUS_WORD_WAITERS)) {
            if (!isthmus_swap_u32(word, &found, found | ISTHMUS_WORD_WAITERS))
                continue;
            found |= ISTHMUS_WORD_WAITERS;
        }
        /*
         * sync: lock-waiters. We sleep only while the word names the same owner with the bit
         * set. A release after that sees the bit and wakes one of us; before, the word is
         * another, and the kernel does not let us sleep. Whoever is woken takes the lock with
         * the bit set, or sets it before sleeping again, so the next release wakes another.
         * Dies here, or woken and not yet the owner: the others find out at the slice's end.
         */
        result = isthmus_wait_sleep(wait, word, found);
        if (result < 0 && result != -ETIMEDOUT)
            return result;
        if (result) {
            int taken = take_over(wait->primitive, word, tid, mine);
            if (taken != -EBUSY || result == -ETIMEDOUT)
                return taken == -EBUSY ? result : taken;
        }
    }
}

int isthmus_mutex_acquire(struct isthmus_primitive *primitive, uint32_t *word, uint32_t *tid,
                          uint64_t deadline)
{
    const uint32_t mine = (uint32_t)primitive->slot + 1;
    struct isthmus_wait wait;
    uint32_t found;

    int result = take_free(word, mine, &found);
    if (result != -EBUSY)
        return result;
    if (deadline == 0) {
        /* One that only ever tries must get it from a dead owner, too. */
        result = take_over(primitive, word, tid, mine);
        return result == -EBUSY ? -ETIMEDOUT : result;
    }
    isthmus_wait_begin(&wait, primitive, deadline);
    result = wait_for(&wait, word, tid, mine);
    isthmus_wait_end(&wait);
    return result;
}

void isthmus_mutex_release(const struct isthmus_primitive *primitive, uint32_t *word, int abandoned)
{
    /* Dies here: still ours, and taken from a dead owner. sync: lock-word, lock-waiters. */
    uint32_t before = isthmus_exchange_u32(word, abandoned ? ISTHMUS_WORD_ABANDONED : 0);
    /* Dies here: it is free; whoever sleeps looks again at the end of the slice. */
    if (before & ISTHMUS_WORD_WAITERS)
        isthmus_wake(primitive, word, 1);
}

int isthmus_mutex_release_any(const struct isthmus_primitive *primitive, uint32_t *word,
                              uint32_t *tid)
{
    uint32_t found = isthmus_load_u32(word);
    while (found & ISTHMUS_WORD_OWNER) {
        /* For people only. Dies here: owned as before, by a thread that nobody can name. */
        isthmus_note_u32(tid, 0);
        /*
         * Against whom it may run: another release, a waiter that sets its bit, one that takes
         * over from a dead owner. Each changes the word that was seen, and one of them succeeds.
         * sync: lock-word, lock-waiters.
         */
        if (isthmus_swap_u32(word, &found, 0)) {
            /* Dies here: it is free; whoever sleeps looks again at the end of the slice. */
            if (found & ISTHMUS_WORD_WAITERS)
                isthmus_wake(primitive, word, 1);
            return 0;
        }
    }
    return -EPERM;
}

int isthmus_guard_acquire(struct isthmus_primitive *primitive, uint32_t *word, uint64_t deadline)
{
    uint32_t found;
    int result = take_free(word, (uint32_t)primitive->slot + 1, &found);
    if (result == -EBUSY) {
        const uint64_t patience = isthmus_deadline_after(ISTHMUS_PATIENCE_NS);
        const int short_of_time = deadline < patience;
        do
            result =
                isthmus_mutex_acquire(primitive, word, NULL, short_of_time ? patience : deadline);
        while (result == -EINTR && short_of_time);
    }
    return result == -EOWNERDEAD ? 0 : result;
}

void isthmus_guard_enter(struct isthmus_primitive *primitive, uint32_t *word)
{
    int result;
    do
        result = isthmus_mutex_acquire(primitive, word, NULL, ISTHMUS_FOREVER);
    while (result == -EINTR);
}
