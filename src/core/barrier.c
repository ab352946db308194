/*
 * Barriers. Who has arrived stands in the slots, as shares in the current round; the
 * round's number, whose bit 0 says "broken", changes in one store when it ends. All
 * changes are made under the guard.
 */
#include "atomic.h"
#include "doorbell.h"
#include "mutex.h"
#include "os.h"
#include "participant.h"
#include "parts.h"
#include "repair.h"
#include "wait.h"

static struct isthmus_shared_barrier *state(const struct isthmus_primitive *barrier)
{
    return isthmus_state(barrier);
}

static int unfit(const struct isthmus_primitive *barrier)
{
    if (!barrier->shared)
        return -EBADF;
    if (barrier->kind != ISTHMUS_KIND_BARRIER)
        return -EINVAL;
    return barrier->slot < 0 ? -ISTHMUS_E_NOT_JOINED : 0;
}

/* How many of this participant have arrived in the round. */
static uint32_t arrived_of(const struct isthmus_primitive *barrier, uint32_t slot, uint32_t round)
{
    const struct isthmus_shared_participant *participant = &barrier->slots[slot];
    return isthmus_load_u32(&participant->round) == round ? isthmus_load_u32(&participant->share)
                                                          : 0;
}

static uint64_t arrived(const struct isthmus_primitive *barrier, uint32_t round)
{
    const uint32_t used = isthmus_participants_used(barrier);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < used; i++)
        sum += arrived_of(barrier, i, round);
    return sum;
}

/*
 * Under the guard, when all have arrived: break the round if one of them has died, which
 * nobody has noticed who would have waited for as long as a slice. Whether that is so.
 */
static int met_the_dead(struct isthmus_primitive *barrier, uint32_t round)
{
    const uint32_t used = isthmus_participants_used(barrier);
    int found = 0;
    for (uint32_t i = 0; i < used; i++) {
        if (!arrived_of(barrier, i, round) || isthmus_participant_seize(barrier, i))
            continue;
        isthmus_repair(barrier, i);
        isthmus_participant_release(barrier, i);
        found = 1;
    }
    return found;
}

/*
 * How `round`, which is over, has ended: from the newest entry of those that broke to the
 * first that is older. When so many have broken since that there is none, its own entry may
 * have been among those that are gone. sync: round.
 */
static int outcome(const struct isthmus_primitive *barrier, uint32_t round)
{
    const uint32_t breaks = isthmus_load_u32(&state(barrier)->breaks);
    for (uint32_t i = 1; i < ISTHMUS_BARRIER_BROKEN; i++) {
        if (i > breaks)
            return 0;
        const uint32_t entry =
            isthmus_load_u32(&state(barrier)->broken[(breaks - i) % ISTHMUS_BARRIER_BROKEN]);
        if (entry == (round | 1))
            return -ISTHMUS_E_BROKEN;
        /*
         * Older? Counted back from now, since none may have broken for so long that a plain
         * comparison would go the wrong way around. Others write meanwhile: that can put a newer
         * one in the place of an older, and now may be the round that one of them is breaking.
         */
        const uint32_t now = isthmus_load_u32(&state(barrier)->round) | 1;
        if (now - entry > now - (round | 1))
            return 0;
    }
    return -ISTHMUS_E_BROKEN;
}

/* Sleep until `round` is over; ISTHMUS_WAIT_SLICE at the end of each slice. */
static int sleep_on(struct isthmus_wait *wait, uint32_t round)
{
    struct isthmus_shared_barrier *barrier = state(wait->primitive);
    do
        if (isthmus_load_u32(&barrier->round) != round)
            return 0;
    while (!wait->slept && isthmus_wait_spin(wait));
    /* The kernel compares again: who ends the round stores another number, then wakes all. */
    return isthmus_wait_sleep(wait, &barrier->round, round);
}

int isthmus_barrier_meet_the_dead(struct isthmus_primitive *barrier)
{
    if (isthmus_guard_acquire(barrier, &state(barrier)->guard, 0))
        return 0;
    const int found = isthmus_participants_sweep(barrier);
    isthmus_mutex_release(barrier, &state(barrier)->guard, 0);
    return found;
}

/*
 * A part of the wait for the end of `round`: 0: look again; -ETIMEDOUT, -EINTR. The dead are
 * looked for at the end of all time, too: many short waits must find what one long wait finds.
 */
static int wait_on(struct isthmus_wait *wait, uint32_t round)
{
    int result = wait->deadline ? sleep_on(wait, round) : -ETIMEDOUT;
    if (result == ISTHMUS_WAIT_SLICE || result == -ETIMEDOUT)
        if (isthmus_barrier_meet_the_dead(wait->primitive) || result == ISTHMUS_WAIT_SLICE)
            return 0;
    return result;
}

/* One attempt, under the guard: the number of this arrival; -EBUSY: the round is full. */
static int arrive(struct isthmus_primitive *barrier, uint32_t *round)
{
    struct isthmus_shared_participant *own = isthmus_own(barrier);
    *round = isthmus_load_u32(&state(barrier)->round);
    if (*round & 1)
        return -ISTHMUS_E_BROKEN;
    const uint64_t before = arrived(barrier, *round);
    if (before + 1 >= state(barrier)->parties && met_the_dead(barrier, *round))
        return -ISTHMUS_E_BROKEN;
    /* More than can be were written by nobody sensible; the sum is of shares in memory. */
    if (before >= state(barrier)->parties || before > INT32_MAX)
        return -EBUSY;
    if (isthmus_load_u32(&own->round) != *round) {
        /* Dies between these: a dead participant without a share. */
        isthmus_store_u32(&own->share, 0);
        isthmus_store_u32(&own->round, *round);
    }
    isthmus_note_u64(&own->held_ns, isthmus_os_coarse_ns());
    /* Dies from here on: a waiting party that is dead, for which the round breaks. */
    isthmus_add_u32(&own->share, 1);
    return (int)before;
}

int isthmus_barrier_arrive(struct isthmus_primitive *barrier, uint64_t deadline, uint32_t *round)
{
    struct isthmus_wait wait;
    int result = unfit(barrier);
    if (result)
        return result;
    isthmus_wait_begin(&wait, barrier, deadline);
    for (;;) {
        result = isthmus_guard_acquire(barrier, &state(barrier)->guard, deadline);
        if (result)
            break;
        result = arrive(barrier, round);
        isthmus_mutex_release(barrier, &state(barrier)->guard, 0);
        if (result != -EBUSY)
            break;
        /* All are there, and the last one is doing what is to be done between the rounds. */
        result = wait_on(&wait, *round);
        if (result)
            break;
    }
    isthmus_wait_end(&wait);
    return result;
}

int isthmus_barrier_trip(struct isthmus_primitive *barrier, uint32_t round)
{
    int result = unfit(barrier);
    if (result)
        return result;
    isthmus_guard_enter(barrier, &state(barrier)->guard);
    if (isthmus_load_u32(&state(barrier)->round) != round) {
        result = -ISTHMUS_E_BROKEN; /* only this caller could have ended it otherwise */
    } else if (met_the_dead(barrier, round)) {
        result = -ISTHMUS_E_BROKEN;
    } else {
        /* Of one that died about to break it. Dies after this: nothing happened. */
        if (isthmus_round_noted(state(barrier), round))
            isthmus_add_u32(&state(barrier)->breaks, UINT32_MAX);
        /* sync: round. */
        isthmus_store_u32(&state(barrier)->round, round + 2);
        /* Dies here: those that sleep look again at the end of the slice. */
    }
    isthmus_mutex_release(barrier, &state(barrier)->guard, 0);
    if (!result)
        isthmus_wake(barrier, &state(barrier)->round, UINT32_MAX);
    return result;
}

int isthmus_barrier_expire(struct isthmus_primitive *barrier, uint32_t round)
{
    int result = unfit(barrier);
    if (result)
        return result;
    isthmus_guard_enter(barrier, &state(barrier)->guard);
    const int over = isthmus_load_u32(&state(barrier)->round) != round;
    if (!over)
        isthmus_repair_round(barrier, 1);
    isthmus_mutex_release(barrier, &state(barrier)->guard, 0);
    return over ? outcome(barrier, round) : -ISTHMUS_E_BROKEN;
}

int isthmus_barrier_await(struct isthmus_primitive *barrier, uint64_t deadline, uint32_t round)
{
    struct isthmus_wait wait;
    int result = unfit(barrier);
    if (result)
        return result;
    isthmus_wait_begin(&wait, barrier, deadline);
    while (!result && isthmus_load_u32(&state(barrier)->round) == round)
        result = wait_on(&wait, round);
    isthmus_wait_end(&wait);
    return result ? result : outcome(barrier, round);
}

int isthmus_barrier_withdraw(struct isthmus_primitive *barrier, uint32_t round)
{
    int result = unfit(barrier);
    if (result)
        return result;
    struct isthmus_shared_participant *own = isthmus_own(barrier);
    isthmus_guard_enter(barrier, &state(barrier)->guard);
    /* When all are there, the last one is about to trip: it must not go through without us. */
    const int late = isthmus_load_u32(&state(barrier)->round) != round ||
                     arrived(barrier, round) >= state(barrier)->parties;
    /* Dies before or after: a dead party, or one that had withdrawn. */
    if (!late && isthmus_load_u32(&own->share))
        isthmus_add_u32(&own->share, UINT32_MAX);
    isthmus_mutex_release(barrier, &state(barrier)->guard, 0);
    return late;
}

int isthmus_barrier_wait(struct isthmus_primitive *barrier, uint64_t deadline)
{
    uint32_t round;
    int index = isthmus_barrier_arrive(barrier, deadline, &round);
    if (index < 0)
        return index;
    int result = (uint32_t)index + 1 == state(barrier)->parties
                     ? isthmus_barrier_trip(barrier, round)
                     : isthmus_barrier_await(barrier, deadline, round);
    while (result == -EINTR && isthmus_barrier_withdraw(barrier, round) == 1)
        result = isthmus_barrier_await(barrier, deadline, round);
    if (result == -ETIMEDOUT)
        result = isthmus_barrier_expire(barrier, round);
    return result ? result : index;
}

int isthmus_barrier_abort(struct isthmus_primitive *barrier)
{
    int result = unfit(barrier);
    if (result)
        return result;
    isthmus_guard_enter(barrier, &state(barrier)->guard);
    if (!(isthmus_load_u32(&state(barrier)->round) & 1))
        isthmus_repair_round(barrier, 1);
    isthmus_mutex_release(barrier, &state(barrier)->guard, 0);
    return 0;
}

int isthmus_barrier_reset(struct isthmus_primitive *barrier)
{
    int result = unfit(barrier);
    if (result)
        return result;
    isthmus_guard_enter(barrier, &state(barrier)->guard);
    const uint32_t round = isthmus_load_u32(&state(barrier)->round);
    if (round & 1 || arrived(barrier, round))
        isthmus_repair_round(barrier, 0);
    isthmus_mutex_release(barrier, &state(barrier)->guard, 0);
    return 0;
}

int isthmus_barrier_is_broken(const struct isthmus_primitive *barrier)
{
    if (!barrier->shared)
        return -EBADF;
    if (barrier->kind != ISTHMUS_KIND_BARRIER)
        return -EINVAL;
    return isthmus_load_u32(&state(barrier)->round) & 1;
}

uint32_t isthmus_barrier_parties(const struct isthmus_primitive *barrier)
{
    return barrier->shared && barrier->kind == ISTHMUS_KIND_BARRIER ? state(barrier)->parties : 0;
}

uint32_t isthmus_barrier_waiting(const struct isthmus_primitive *barrier)
{
    if (!barrier->shared || barrier->kind != ISTHMUS_KIND_BARRIER)
        return 0;
    const uint32_t round = isthmus_load_u32(&state(barrier)->round);
    const uint32_t used = isthmus_participants_used(barrier);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < used; i++) {
        const uint32_t those = arrived_of(barrier, i, round);
        /* The dead do not wait, though it breaks only when somebody comes. */
        if (those && isthmus_participant_lives(barrier, i))
            sum += those;
    }
    return sum;
}
