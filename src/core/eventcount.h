/*
 * Eventcounts: a futex word that says whether somebody may be asleep (bit 0), above it a count
 * of wake-ups. Who waits for something:
 *
 *     set the bit; look whether it is there; sleep while the word is as it was when the bit
 *     was set, in slices
 *
 * and who brings it: make it be there; look at the word; if the bit is set, clear it, count, and
 * wake. sync: eventcount. Both steps of either side are in one total order: so either the look of
 * who waits comes after it was made to be there, or the look at the word comes after the bit
 * was set, and then the word changes, so that the kernel does not let it sleep any more, or wakes
 * it. The same holds for the next one, as who wakes up sets the bit again before it looks.
 *
 * The store that makes something be there is ordered before the look at the word by the
 * exchange that gives up a lock, which stands between them: on x86 it is a full barrier; on ARM a
 * store-release is ordered before any later load-acquire; on RISC-V by its two bits.
 */
#ifndef ISTHMUS_EVENTCOUNT_H
#define ISTHMUS_EVENTCOUNT_H

#include "doorbell.h"
#include "ring.h"

#define ISTHMUS_EVENT_SLEEPERS 1u

void isthmus_wake_sleepers(const struct isthmus_ring *ring, uint32_t *word, uint32_t count);

/* Something has come to be there: wake up to `count` of the sleepers, and ring all doorbells. */
static inline void isthmus_notify(const struct isthmus_ring *ring, uint32_t *word, uint32_t count)
{
    /* Dies before: who sleeps looks again at the end of the slice. */
    if (isthmus_load_u32(word) & ISTHMUS_EVENT_SLEEPERS)
        isthmus_wake_sleepers(ring, word, count);
}

/* Set the bit. What to sleep on, if the look that follows finds nothing. */
static inline uint32_t isthmus_prepare_to_sleep(uint32_t *word)
{
    return isthmus_or_u32(word, ISTHMUS_EVENT_SLEEPERS) | ISTHMUS_EVENT_SLEEPERS;
}

#endif
