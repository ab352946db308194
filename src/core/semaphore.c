/* Semaphores, plain and robust. */
#include "atomic.h"
#include "doorbell.h"
#include "mutex.h"
#include "os.h"
#include "participant.h"
#include "repair.h"
#include "wait.h"

#define WAITERS ISTHMUS_WORD_WAITERS

/* ---- Plain: the word counts the free permits ------------------------------------------- */

static int take_plain(uint32_t *word, int slept, uint32_t *found)
{
    *found = isthmus_load_u32(word);
    while (*found & ~WAITERS) {
        const uint32_t left = (*found & ~WAITERS) - 1;
        /*
         * sync: semaphore-word. One that has slept sets the bit: others may sleep, and the
         * release that woke it has cleared the bit for all. Dies before: nothing happened.
         */
        if (isthmus_swap_u32(word, found, left | (*found & WAITERS) | (slept ? WAITERS : 0))) {
            /*
             * Dies from here on: the permit is gone, as a plain semaphore's are. Only the first
             * of several releases in a row saw the bit, so who is woken passes it on.
             */
            if (slept && left)
                isthmus_os_futex_wake(word, 1);
            return 0;
        }
    }
    return -EBUSY;
}

/* ---- Robust: the permits in the slots count, the word is there to sleep on ------------- */

static int take_robust(struct isthmus_primitive *primitive, int slept, uint64_t deadline)
{
    struct isthmus_shared_semaphore *semaphore = isthmus_state(primitive);
    /*
     * Not under the guard, so perhaps wrong: a permit that goes from a slot that we have seen to
     * one that we have not is counted twice. A waiter then finds that the word has changed; one
     * that only tries looks under the guard.
     */
    uint64_t taken = isthmus_participants_shares(primitive);
    if (taken >= semaphore->initial && deadline)
        return -EBUSY;
    int result = isthmus_guard_acquire(primitive, &semaphore->guard, deadline);
    if (result) {
        /* Perhaps a release woke us and nobody else: another one takes our place. */
        if (slept)
            isthmus_os_futex_wake(&semaphore->word, 1);
        return result;
    }
    /* Only here do shares grow, one at a time; anywhere else they shrink. */
    taken = isthmus_participants_shares(primitive);
    if (taken < semaphore->initial) {
        struct isthmus_shared_participant *own = isthmus_own(primitive);
        isthmus_note_u64(&own->held_ns, isthmus_os_coarse_ns());
        /* Dies before: nothing happened. After: the permit comes back with the slot. */
        isthmus_add_u32(&own->share, 1);
    } else {
        result = -EBUSY;
    }
    /* Dies here: the guard's next owner finds nothing half done. */
    isthmus_mutex_release(primitive, &semaphore->guard, 0);
    /* As above: others may have been woken by no one but us. */
    if (!result && slept && taken + 1 < semaphore->initial)
        isthmus_os_futex_wake(&semaphore->word, 1);
    return result;
}

static int release_robust(struct isthmus_primitive *primitive, uint32_t permits)
{
    uint32_t *share = &isthmus_own(primitive)->share;
    uint32_t held = isthmus_load_u32(share);
    do
        if (held < permits)
            return -EPERM;
    while (!isthmus_swap_u32(share, &held, held - permits));
    /* Dies here: they are free; whoever sleeps sees it at the end of the slice. */
    isthmus_repair_permits(primitive, permits);
    return 0;
}

/* ---- Both ------------------------------------------------------------------------------ */

static int take(struct isthmus_primitive *primitive, int slept, uint32_t *found, uint64_t deadline)
{
    struct isthmus_shared_semaphore *semaphore = isthmus_state(primitive);
    if (!(primitive->flags & ISTHMUS_ROBUST))
        return take_plain(&semaphore->word, slept, found);
    *found = WAITERS;
    if (slept)
        /*
         * sync: semaphore-word. First the bit, then the look at the shares; who gives back does
         * it the other way round: either we see the permits, or the word is another. It stays
         * another when the next waiter sets the bit again, since releases are counted.
         */
        *found |= isthmus_or_u32(&semaphore->word, WAITERS);
    return take_robust(primitive, slept, deadline);
}

static int wait_for(struct isthmus_wait *wait)
{
    struct isthmus_primitive *primitive = wait->primitive;
    struct isthmus_shared_semaphore *semaphore = isthmus_state(primitive);
    uint32_t found;
    int result;

    do {
        result = take(primitive, 0, &found, wait->deadline);
        if (result != -EBUSY)
            return result;
    } while (isthmus_wait_spin(wait));

    for (;;) {
        result = take(primitive, 1, &found, wait->deadline);
        if (result != -EBUSY)
            return result;
        if (!(found & WAITERS)) {
            if (!isthmus_swap_u32(&semaphore->word, &found, found | WAITERS))
                continue;
            found |= WAITERS;
        }
        /*
         * We sleep only while the word says "none free, somebody asleep". A release after that
         * sees the bit and wakes as many as it gives back; before, the word is another.
         * Woken and killed: the permit is in the word, and the others look at the slice's end.
         */
        result = isthmus_wait_sleep(wait, &semaphore->word, found);
        if (result < 0 && result != -ETIMEDOUT)
            return result;
        /* At the end of all time, too: many short waits must get what one long wait gets. */
        if (result && primitive->flags & ISTHMUS_ROBUST && isthmus_participants_sweep(primitive))
            continue;
        if (result < 0)
            return result;
    }
}

static int unfit(const struct isthmus_primitive *semaphore)
{
    if (!semaphore->shared)
        return -EBADF;
    if (semaphore->kind != ISTHMUS_KIND_SEMAPHORE)
        return -EINVAL;
    return semaphore->flags & ISTHMUS_ROBUST && semaphore->slot < 0 ? -ISTHMUS_E_NOT_JOINED : 0;
}

int isthmus_semaphore_acquire(struct isthmus_primitive *semaphore, uint64_t deadline)
{
    struct isthmus_wait wait;
    uint32_t found;
    int result = unfit(semaphore);
    if (result)
        return result;
    result = take(semaphore, 0, &found, deadline);
    if (result != -EBUSY)
        return result;
    if (deadline == 0) {
        /* One that only ever tries must get the permits of the dead, too. */
        if (semaphore->flags & ISTHMUS_ROBUST && isthmus_participants_sweep(semaphore))
            result = take(semaphore, 0, &found, deadline);
        return result == -EBUSY ? -ETIMEDOUT : result;
    }
    isthmus_wait_begin(&wait, semaphore, deadline);
    result = wait_for(&wait);
    isthmus_wait_end(&wait);
    return result;
}

int isthmus_semaphore_release(struct isthmus_primitive *semaphore, uint32_t permits)
{
    int error = unfit(semaphore);
    if (error)
        return error;
    /* Nothing to give would clear the bit of those that sleep, and wake none of them. */
    if (permits == 0)
        return 0;
    if (semaphore->flags & ISTHMUS_ROBUST)
        return release_robust(semaphore, permits);

    struct isthmus_shared_semaphore *state = isthmus_state(semaphore);
    uint32_t found = isthmus_load_u32(&state->word);
    do
        if (permits > state->maximum || (found & ~WAITERS) > state->maximum - permits)
            return -EOVERFLOW;
    while (!isthmus_swap_u32(&state->word, &found, (found & ~WAITERS) + permits));
    /* Dies here: given back; whoever sleeps looks again at the end of the slice. */
    if (found & WAITERS)
        isthmus_wake(semaphore, &state->word, permits);
    return 0;
}

uint32_t isthmus_semaphore_value(const struct isthmus_primitive *semaphore)
{
    if (!semaphore->shared || semaphore->kind != ISTHMUS_KIND_SEMAPHORE)
        return 0;
    const struct isthmus_shared_semaphore *state = isthmus_state(semaphore);
    if (!(semaphore->flags & ISTHMUS_ROBUST))
        return isthmus_load_u32(&state->word) & ~WAITERS;
    uint64_t taken = isthmus_participants_shares(semaphore);
    return taken < state->initial ? state->initial - (uint32_t)taken : 0;
}
