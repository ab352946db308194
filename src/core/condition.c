/*
 * Conditions. Whoever holds the lock that goes with a condition changes its state, so
 * there is one at a time; when it dies at some step, the lock's next owner finds the
 * state as that step left it, and each such state is a good one.
 *
 * A waiter has a share in its slot and a ticket. A notification is a token, which any
 * waiter may take that was there when it was given: its ticket is below `limit`. So a
 * token is not lost with a waiter that died, whether the kernel had woken that one or not:
 * another takes it, at the latest at the end of its slice.
 */
#include "atomic.h"
#include "doorbell.h"
#include "lock.h"
#include "os.h"
#include "participant.h"
#include "parts.h"
#include "wait.h"

static int unfit(const struct isthmus_primitive *condition)
{
    if (!condition->shared)
        return -EBADF;
    if (condition->kind != ISTHMUS_KIND_CONDITION)
        return -EINVAL;
    return condition->slot < 0 ? -ISTHMUS_E_NOT_JOINED : 0;
}

/* The same with the lock: -EPERM when it is not held, or is not the one to use. */
static int unheld(const struct isthmus_primitive *condition, const struct isthmus_primitive *lock)
{
    int error = unfit(condition);
    if (error)
        return error;
    if ((condition == lock) == ((condition->flags & ISTHMUS_EXTERNAL_LOCK) != 0))
        return -EINVAL;
    return isthmus_lock_is_mine(lock) ? 0 : -EPERM;
}

/* Tokens that nobody is left to take, since who could have died. Under the lock. */
static void take_back_tokens(struct isthmus_primitive *condition)
{
    struct isthmus_shared_condition *state = isthmus_state(condition);
    const uint32_t tokens = isthmus_load_u32(&state->tokens);
    if (tokens) {
        uint64_t waiters = isthmus_participants_shares(condition);
        if (tokens > waiters)
            isthmus_store_u32(&state->tokens, (uint32_t)waiters);
    }
}

int isthmus_condition_may_take(const struct isthmus_shared_condition *state, uint64_t ticket)
{
    return isthmus_load_u32(&state->tokens) && ticket < isthmus_load_u64(&state->limit);
}

int isthmus_condition_enter(struct isthmus_primitive *condition, struct isthmus_primitive *lock,
                            struct isthmus_condition_waiter *waiter)
{
    struct isthmus_shared_condition *state = isthmus_state(condition);
    int error = unheld(condition, lock);
    if (error)
        return error;
    take_back_tokens(condition);
    waiter->ticket = isthmus_add_u64(&state->tickets, 1);
    isthmus_note_u64(&isthmus_own(condition)->held_ns, isthmus_os_coarse_ns());
    /* Dies before: a ticket that nobody has. After: a waiter that is dead. */
    isthmus_add_u32(&isthmus_own(condition)->share, 1);
    /* Dies after: the lock is free, and a waiter dead. */
    return isthmus_lock_drop(lock, 0, &waiter->depth);
}

int isthmus_condition_sleep(struct isthmus_primitive *condition,
                            const struct isthmus_condition_waiter *waiter, uint64_t deadline)
{
    struct isthmus_shared_condition *state = isthmus_state(condition);
    struct isthmus_wait wait;
    int result = unfit(condition);
    if (result)
        return result;
    if (isthmus_condition_may_take(state, waiter->ticket))
        return 0;
    if (deadline == 0)
        return -ETIMEDOUT;

    isthmus_wait_begin(&wait, condition, deadline);
    do
        if (isthmus_condition_may_take(state, waiter->ticket)) {
            isthmus_wait_end(&wait);
            return 0;
        }
    while (isthmus_wait_spin(&wait));
    do {
        const uint32_t sequence = isthmus_load_u32(&state->sequence);
        /*
         * sync: condition-sequence. The number first, then the look. Who notifies adds a token
         * first, then to the number: if we missed the token, the number is another by
         * the time we sleep on the old one, or we sleep already and are woken.
         */
        if (isthmus_condition_may_take(state, waiter->ticket)) {
            result = 0;
            break;
        }
        result = isthmus_wait_sleep(&wait, &state->sequence, sequence);
    } while (result >= 0);
    isthmus_wait_end(&wait);
    return result;
}

int isthmus_condition_retake(struct isthmus_primitive *lock,
                             const struct isthmus_condition_waiter *waiter, uint64_t deadline)
{
    return lock->slot < 0 ? isthmus_unusable(lock)
                          : isthmus_lock_take(lock, deadline, waiter->depth);
}

int isthmus_condition_leave(struct isthmus_primitive *condition, struct isthmus_primitive *lock,
                            const struct isthmus_condition_waiter *waiter, int again)
{
    struct isthmus_shared_condition *state = isthmus_state(condition);
    int error = unheld(condition, lock);
    uint32_t depth;
    if (error)
        return error;
    const int notified = isthmus_condition_may_take(state, waiter->ticket);
    if (!notified && again) {
        error = isthmus_lock_drop(lock, 0, &depth);
        return error;
    }
    /*
     * Dies before the token is taken: another waiter takes it. After: we had been notified, and
     * died with the lock, which the next owner is told.
     */
    if (notified)
        isthmus_add_u32(&state->tokens, UINT32_MAX);
    isthmus_add_u32(&isthmus_own(condition)->share, UINT32_MAX);
    return notified;
}

int isthmus_condition_wait(struct isthmus_primitive *condition, struct isthmus_primitive *lock,
                           uint64_t deadline, int *notified)
{
    struct isthmus_condition_waiter waiter;
    int died = 0;
    int result = isthmus_condition_enter(condition, lock, &waiter);
    if (result)
        return result;
    for (;;) {
        result = isthmus_condition_sleep(condition, &waiter, deadline);
        int taken;
        do
            taken = isthmus_condition_retake(lock, &waiter, ISTHMUS_FOREVER);
        while (taken == -EINTR);
        died |= taken == -EOWNERDEAD;
        /* Once told of a death, never back to sleep: the lock would go on as if all was well. */
        int took = isthmus_condition_leave(condition, lock, &waiter, result == 0 && !died);
        if (took || result || died) {
            if (notified)
                *notified = took;
            return died ? -EOWNERDEAD : took ? 0 : result;
        }
    }
}

int isthmus_condition_notify(struct isthmus_primitive *condition, struct isthmus_primitive *lock,
                             uint32_t count)
{
    struct isthmus_shared_condition *state = isthmus_state(condition);
    int error = unheld(condition, lock);
    if (error)
        return error;
    /* Tokens that are still there: of waiters on their way, or of dead ones? */
    if (isthmus_load_u32(&state->tokens)) {
        isthmus_participants_sweep(condition);
        take_back_tokens(condition);
    }
    const uint64_t waiters = isthmus_participants_shares(condition);
    const uint64_t wanted = (uint64_t)isthmus_load_u32(&state->tokens) + count;
    if (waiters == 0 || count == 0)
        return 0;
    /*
     * sync: condition-sequence. Everybody who waits now may take one. Dies after any of
     * these: those that sleep find the token at the end of the slice, if it was given.
     */
    isthmus_exchange_u64(&state->limit, isthmus_load_u64(&state->tickets));
    isthmus_store_u32(&state->tokens, (uint32_t)(wanted < waiters ? wanted : waiters));
    isthmus_add_u32(&state->sequence, 1);
    isthmus_wake(condition, &state->sequence, count);
    return 0;
}
