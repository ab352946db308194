/* Events. */
#include "atomic.h"
#include "doorbell.h"
#include "os.h"
#include "participant.h"
#include "wait.h"

/*
 *     31        30 .. 1              0
 *     WAITERS   how often it was set  SET
 *
 * The count tells a waiter that it was set, even if it has been cleared since. WAITERS is
 * never there together with SET.
 */
#define SET 1u
#define ONCE 2u
#define COUNT (~(SET | ISTHMUS_WORD_WAITERS))

static int unfit(const struct isthmus_primitive *event)
{
    if (!event->shared)
        return -EBADF;
    return event->kind == ISTHMUS_KIND_EVENT ? 0 : -EINVAL;
}

int isthmus_event_set(struct isthmus_primitive *event)
{
    int error = unfit(event);
    if (error)
        return error;
    struct isthmus_shared_event *state = isthmus_state(event);
    uint32_t found = isthmus_load_u32(&state->word);
    do
        if (found & SET)
            return 0;
    while (!isthmus_swap_u32(&state->word, &found, ((found + ONCE) & COUNT) | SET));
    /* Dies here: it is set; whoever sleeps looks again at the end of the slice. */
    if (found & ISTHMUS_WORD_WAITERS)
        isthmus_wake(event, &state->word, UINT32_MAX);
    return 0;
}

int isthmus_event_clear(struct isthmus_primitive *event)
{
    int error = unfit(event);
    if (error)
        return error;
    struct isthmus_shared_event *state = isthmus_state(event);
    uint32_t found = isthmus_load_u32(&state->word);
    while (found & SET && !isthmus_swap_u32(&state->word, &found, found & COUNT))
        ;
    return 0;
}

int isthmus_event_is_set(const struct isthmus_primitive *event)
{
    int error = unfit(event);
    if (error)
        return error;
    const struct isthmus_shared_event *state = isthmus_state(event);
    return (isthmus_load_u32(&state->word) & SET) != 0;
}

/* Set, or set since `seen`? */
static int happened(const struct isthmus_shared_event *state, uint32_t seen, uint32_t *found)
{
    *found = isthmus_load_u32(&state->word); /* sync: event-word */
    return *found & SET || (*found & COUNT) != (seen & COUNT);
}

static int wait_for(struct isthmus_wait *wait, uint32_t seen)
{
    struct isthmus_shared_event *state = isthmus_state(wait->primitive);
    uint32_t found;

    do
        if (happened(state, seen, &found))
            return 0;
    while (isthmus_wait_spin(wait));
    for (;;) {
        if (happened(state, seen, &found))
            return 0;
        if (!(found & ISTHMUS_WORD_WAITERS)) {
            if (!isthmus_swap_u32(&state->word, &found, found | ISTHMUS_WORD_WAITERS))
                continue;
            found |= ISTHMUS_WORD_WAITERS;
        }
        /*
         * sync: event-word. We sleep only while it is as it was at that look, with the bit:
         * whoever sets it after that sees the bit and wakes all; before, the word is another.
         */
        int result = isthmus_wait_sleep(wait, &state->word, found);
        if (result < 0)
            return result;
    }
}

int isthmus_event_wait(struct isthmus_primitive *event, uint64_t deadline, uint32_t *seen)
{
    struct isthmus_wait wait;
    uint32_t found;
    int result = unfit(event);
    if (result)
        return result;
    const struct isthmus_shared_event *state = isthmus_state(event);
    if (*seen == 0)
        /* Any number but 0: bit 0 says that the rest is a count. */
        *seen = (isthmus_load_u32(&state->word) & COUNT) | SET;
    if (happened(state, *seen, &found))
        return 0;
    if (deadline == 0)
        return -ETIMEDOUT;
    isthmus_wait_begin(&wait, event, deadline);
    result = wait_for(&wait, *seen);
    isthmus_wait_end(&wait);
    return result;
}
