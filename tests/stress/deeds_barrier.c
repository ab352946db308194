/*
 * Barriers: a round ends well for all its parties or for none, and in one that ended well
 * each number was given once. Rounds in which somebody died or gave up are not counted.
 */
#include "stress.h"

/* A word for each round: its number, what is known of how it ended, and who came through. */
#define NUMBER_SHIFT 32
#define WELL (UINT64_C(1) << 31)
#define BADLY (UINT64_C(1) << 30)
#define INCOMPLETE (UINT64_C(1) << 29) /* one of the parties withdrew or died */
/* As long as no more have broken since, how a round ended is known. */
#define KNOWN (ISTHMUS_BARRIER_BROKEN - 2)
#define CAME(index) (UINT64_C(1) << (index))

static void note(unsigned object, uint32_t round, uint64_t what)
{
    const uint64_t number = (round >> 1) + 1; /* 0: nothing there */
    uint64_t *word = &stress->facts[object].rounds[number % ROUNDS_KEPT];
    uint64_t found = get(word), wanted;
    do {
        if (found >> NUMBER_SHIFT > number)
            return; /* long ago, of one that was put aside for as long */
        wanted = found >> NUMBER_SHIFT == number ? found : number << NUMBER_SHIFT;
        if (what & WELL && wanted & what & (INCOMPLETE - 1) && !(wanted & INCOMPLETE))
            fail("%s: a number was given twice in round %u", objects[object].label,
                 (unsigned)number);
        wanted |= what;
    } while (
        !__atomic_compare_exchange_n(word, &found, wanted, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    if (wanted & WELL && wanted & BADLY)
        fail("%s: round %u ended well for some and was broken for others", objects[object].label,
             (unsigned)number);
}

/*
 * From before it arrives until it has noted how the round ended, an actor has the round in
 * `pending`, so that it can be noted as incomplete when it is killed: round + 1 when it has
 * arrived, less than 0 when it is about to, in this round or a later one.
 */
static void set_pending(struct self *self, unsigned object, int64_t value)
{
    put(&stress->facts[object].pending[self->actor], value);
}

/* Until the end of the round, or until this one gives up, in one of the ways that there are. */
static int await(struct self *self, unsigned object, uint64_t deadline, uint32_t round)
{
    struct isthmus_primitive *barrier = &self->handles[object];
    int result;
    for (;;) {
        result = isthmus_barrier_await(barrier, deadline, round);
        if (result == -ETIMEDOUT && pick(self, 2))
            return isthmus_barrier_expire(barrier, round);
        if (result == -EINTR && pick(self, 2))
            continue;
        if (result != -EINTR && result != -ETIMEDOUT)
            return result;
        note(object, round, INCOMPLETE);
        const int late = isthmus_barrier_withdraw(barrier, round);
        if (late == 0)
            return -EINTR;
        if (late != 1)
            unexpected(object, "withdrawing", late);
        deadline = ISTHMUS_FOREVER;
    }
}

void deed_barrier(struct self *self, unsigned object)
{
    struct isthmus_primitive *barrier = &self->handles[object];
    const uint64_t deadline =
        pick(self, 3) ? ISTHMUS_FOREVER : isthmus_deadline_after(pick(self, 20000000));
    const struct isthmus_shared_barrier *state = (const void *)(barrier->shared + 1);
    uint32_t round, breaks;

    begin(self, "arrives at", object);
    if (pick(self, 64) == 0)
        isthmus_barrier_abort(barrier);
    breaks = get(&state->breaks);
    set_pending(self, object, -1 - (int64_t)get(&state->round));
    int index;
    do
        index = isthmus_barrier_arrive(barrier, deadline, &round);
    while (index == -EINTR);
    if (index < 0) {
        if (index != -ISTHMUS_E_BROKEN && index != -ETIMEDOUT)
            unexpected(object, "arriving", index);
        if (index == -ISTHMUS_E_BROKEN && pick(self, 4) == 0)
            isthmus_barrier_reset(barrier);
        set_pending(self, object, 0);
        return;
    }
    set_pending(self, object, (int64_t)round + 1);
    REQUIRE((uint32_t)index < stress->parties, object);
    begin(self, "waits at", object);
    int result;
    if ((uint32_t)index + 1 == stress->parties) {
        linger(self);
        result = isthmus_barrier_trip(barrier, round);
    } else {
        result = await(self, object, deadline, round);
    }
    if (result == 0)
        note(object, round, WELL | CAME((unsigned)index));
    else if (result == -ISTHMUS_E_BROKEN)
        /* Of one that was put aside while so many others broke nothing is known any more. */
        note(object, round, get(&state->breaks) - breaks < KNOWN ? BADLY : INCOMPLETE);
    else if (result != -EINTR)
        unexpected(object, "waiting", result);
    set_pending(self, object, 0);
}

void forget_barrier(unsigned object, unsigned actor)
{
    const int64_t pending = exchange(&stress->facts[object].pending[actor], 0);
    if (pending > 0)
        note(object, (uint32_t)(pending - 1), INCOMPLETE);
    if (pending < 0) {
        /* It is gone: what it could arrive in is there by now. */
        struct glimpse glimpse;
        glance(object, &glimpse);
        const struct isthmus_shared_barrier *state = (const void *)(glimpse.shared + 1);
        const uint32_t last = get(&state->round) >> 1;
        for (uint32_t number = (uint32_t)(-1 - pending) >> 1; number <= last; number++)
            note(object, number << 1, INCOMPLETE);
        look_away(&glimpse);
    }
}

/* Whoever waits in vain, as the others are elsewhere, does not wait for ever. */
void tend_barrier(struct self *warden, unsigned object)
{
    if (pick(warden, 8) && !get(&stress->stop))
        return;
    int result = isthmus_barrier_reset(&warden->handles[object]);
    if (result)
        unexpected(object, "resetting", result);
}

void conclude_barrier(struct self *warden, unsigned object)
{
    const uint64_t all = CAME(stress->parties) - 1;
    REQUIRE(isthmus_barrier_waiting(&warden->handles[object]) == 0, object);
    for (unsigned i = 0; i < ROUNDS_KEPT; i++) {
        const uint64_t word = get(&stress->facts[object].rounds[i]);
        if (word & WELL && !(word & INCOMPLETE))
            REQUIRE((word & all) == all, object);
    }
}
