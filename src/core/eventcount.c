/* Waking those that wait at an eventcount. See eventcount.h. */
#include "eventcount.h"

void isthmus_wake_sleepers(const struct isthmus_ring *ring, uint32_t *word, uint32_t count)
{
    uint32_t found = isthmus_load_u32(word);
    /* sync: eventcount. Another one may have done this for us meanwhile. */
    do
        if (!(found & ISTHMUS_EVENT_SLEEPERS))
            return;
    while (!isthmus_swap_u32(word, &found, (found + 2) & ~ISTHMUS_EVENT_SLEEPERS));
    /* Dies here: who sleeps looks again at the end of the slice, or is told by our descriptor's. */
    isthmus_ring_doorbells(&ring->primitive, word == &ring->cursors->arrival
                                                 ? ISTHMUS_DOORBELL_READY
                                                 : ISTHMUS_DOORBELL_ROOM);
    isthmus_os_futex_wake(word, count);
}
