/*
 * Readers-writer locks. A reader has a share in its own slot and nothing else, so
 * readers do not get into each other's way, and a dead one is found in its slot. A
 * writer owns the word, closes the gate, and waits until all shares are gone.
 *
 * The gate is closed only while somebody owns the word, so whoever finds the owner dead
 * may open it in its place.
 */
#include "atomic.h"
#include "doorbell.h"
#include "mutex.h"
#include "os.h"
#include "participant.h"
#include "parts.h"
#include "repair.h"
#include "wait.h"

#define CLOSED ISTHMUS_GATE_CLOSED
#define DRAINING ISTHMUS_GATE_DRAINING
#define TURN ISTHMUS_GATE_TURN

/* How long a writer waits for readers whose turn it is: they have been woken, or have died. */
#define TURN_NS 2000000

static struct isthmus_shared_rwlock *state(const struct isthmus_primitive *rwlock)
{
    return isthmus_state(rwlock);
}

static int unfit(const struct isthmus_primitive *rwlock)
{
    if (!rwlock->shared)
        return -EBADF;
    if (rwlock->kind != ISTHMUS_KIND_RWLOCK)
        return -EINVAL;
    return rwlock->slot < 0 ? -ISTHMUS_E_NOT_JOINED : 0;
}

/* ---- Readers --------------------------------------------------------------------------- */

/* A share less; a writer that waits for that gets to know. -EPERM: there is none. */
static int give_back_share(struct isthmus_primitive *rwlock)
{
    uint32_t *share = &isthmus_own(rwlock)->share;
    uint32_t found = isthmus_load_u32(share);
    do
        if (found == 0)
            return -EPERM;
    /* Dies before: a dead reader. After: the writer looks at the end of the slice. */
    while (!isthmus_swap_u32(share, &found, found - 1));
    /* sync: drained. Less first, then the look at the gate; the writer does the reverse. */
    if (isthmus_load_u32(&state(rwlock)->gate) & (CLOSED | DRAINING)) {
        isthmus_add_u32(&state(rwlock)->drained, 1);
        isthmus_wake(rwlock, &state(rwlock)->drained, 1);
    }
    return 0;
}

/* A reader has come in: the next writer may. Dies before: the writer waits for TURN_NS in vain. */
static void end_turn(struct isthmus_primitive *rwlock)
{
    if (!(isthmus_and_u32(&state(rwlock)->gate, ~TURN) & TURN))
        return;
    isthmus_add_u32(&state(rwlock)->drained, 1); /* sync: turn */
    isthmus_wake(rwlock, &state(rwlock)->drained, 1);
}

/* 0 or -EOWNERDEAD: reading. -EBUSY: *gate is closed. */
static int enter(struct isthmus_primitive *rwlock, uint32_t *gate)
{
    *gate = isthmus_load_u32(&state(rwlock)->gate);
    if (*gate & CLOSED)
        return -EBUSY;
    isthmus_note_u64(&isthmus_own(rwlock)->held_ns, isthmus_os_coarse_ns());
    /*
     * sync: drained. First the share, then the gate. A writer closes it and then looks at the
     * shares: either it sees ours and waits, or we see that it is closed.
     * Dies from here on: a dead reader, which a writer finds at the end of its slice.
     */
    isthmus_add_u32(&isthmus_own(rwlock)->share, 1);
    *gate = isthmus_load_u32(&state(rwlock)->gate); /* sync: gate */
    if (*gate & CLOSED) {
        give_back_share(rwlock);
        return -EBUSY;
    }
    if (*gate & TURN)
        end_turn(rwlock);
    return isthmus_load_u32(&state(rwlock)->abandoned) ? -EOWNERDEAD : 0; /* sync: abandoned */
}

/* Let everybody in again. Dies between these: a dead writer, as the next one is told. */
static void let_go(struct isthmus_primitive *rwlock)
{
    isthmus_repair_gate(rwlock, 0);
    isthmus_note_u32(&state(rwlock)->tid, 0);
    isthmus_mutex_release(rwlock, &state(rwlock)->word, 0);
}

/*
 * Closed, and the word names nobody that could ever open it: a writer has left just now, or
 * somebody has written what no writer writes. Whoever gets the word may open the gate.
 */
static int open_gate_of_nobody(struct isthmus_primitive *rwlock)
{
    if (!(isthmus_load_u32(&state(rwlock)->gate) & CLOSED))
        return 1;
    int result = isthmus_mutex_acquire(rwlock, &state(rwlock)->word, &state(rwlock)->tid, 0);
    if (result && result != -EOWNERDEAD)
        return 0;
    if (result)
        isthmus_store_u32(&state(rwlock)->abandoned, 1);
    let_go(rwlock);
    return 1;
}

int isthmus_rwlock_replace_dead_writer(struct isthmus_primitive *rwlock)
{
    const uint32_t owner = isthmus_load_u32(&state(rwlock)->word) & ISTHMUS_WORD_OWNER;
    if (owner == 0 || owner > rwlock->count)
        return open_gate_of_nobody(rwlock);
    if (isthmus_participant_seize(rwlock, owner - 1))
        return 0;
    isthmus_repair(rwlock, owner - 1);
    isthmus_participant_release(rwlock, owner - 1);
    return 1;
}

static int wait_for_gate(struct isthmus_wait *wait)
{
    struct isthmus_primitive *rwlock = wait->primitive;
    uint32_t found;
    int result;

    do {
        result = enter(rwlock, &found);
        if (result != -EBUSY)
            return result;
    } while (isthmus_wait_spin(wait));
    for (;;) {
        result = enter(rwlock, &found);
        if (result != -EBUSY)
            return result;
        if (!(found & ISTHMUS_WORD_WAITERS)) {
            if (!isthmus_swap_u32(&state(rwlock)->gate, &found, found | ISTHMUS_WORD_WAITERS))
                continue;
            found |= ISTHMUS_WORD_WAITERS;
        }
        /* We sleep only before that very closed gate, with the bit set: its opening wakes all. */
        result = isthmus_wait_sleep(wait, &state(rwlock)->gate, found);
        if (result == -EINTR)
            return result;
        if (result && !isthmus_rwlock_replace_dead_writer(rwlock) && result < 0)
            return result;
    }
}

int isthmus_rwlock_acquire_read(struct isthmus_primitive *rwlock, uint64_t deadline)
{
    struct isthmus_wait wait;
    uint32_t found;
    int result = unfit(rwlock);
    if (result)
        return result;
    result = enter(rwlock, &found);
    if (result != -EBUSY)
        return result;
    if (deadline == 0) {
        if (isthmus_rwlock_replace_dead_writer(rwlock))
            result = enter(rwlock, &found);
        return result == -EBUSY ? -ETIMEDOUT : result;
    }
    isthmus_wait_begin(&wait, rwlock, deadline);
    result = wait_for_gate(&wait);
    isthmus_wait_end(&wait);
    return result;
}

int isthmus_rwlock_release_read(struct isthmus_primitive *rwlock)
{
    int error = unfit(rwlock);
    return error ? error : give_back_share(rwlock);
}

/* ---- Writers --------------------------------------------------------------------------- */

/*
 * One attempt, by the owner of the word: keep new readers out; have the present ones left? Those
 * that leave after a look that finds them change `drained`, and wake and ring.
 */
static int drained(struct isthmus_primitive *rwlock)
{
    isthmus_or_u32(&state(rwlock)->gate, CLOSED | DRAINING); /* sync: drained */
    if (isthmus_participants_shares(rwlock) == 0)
        return 1;
    if (rwlock->flags & ISTHMUS_READER_PREFERENCE) {
        /* They may come in while we wait; the next look closes the gate for a moment. */
        isthmus_repair_gate(rwlock, 1);
    }
    return 0;
}

/* The word is ours, and the gate is open: let those in who could not while one was writing. */
static int give_turn(struct isthmus_primitive *rwlock, uint64_t deadline)
{
    const uint64_t patience = isthmus_deadline_after(TURN_NS);
    int result = 0;
    if (patience < deadline)
        deadline = patience;
    while (!result) {
        const uint32_t drained = isthmus_load_u32(&state(rwlock)->drained);
        /* sync: turn. The number first; who ends the turn changes the gate first. */
        if (!(isthmus_load_u32(&state(rwlock)->gate) & TURN))
            return 0;
        result = isthmus_os_futex_wait(&state(rwlock)->drained, drained, deadline);
    }
    if (result == -ETIMEDOUT) {
        isthmus_and_u32(&state(rwlock)->gate, ~TURN);
        return 0;
    }
    return result;
}

/* The word is ours: keep new readers out, and wait until the present ones have left. */
static int drain(struct isthmus_wait *wait)
{
    struct isthmus_primitive *rwlock = wait->primitive;
    for (;;) {
        const uint32_t seen = isthmus_load_u32(&state(rwlock)->drained);
        if (drained(rwlock))
            return 0;
        /* A share that went after our look has changed `drained` since, or wakes us. */
        if (wait->deadline == 0) {
            if (isthmus_participants_sweep(rwlock))
                continue;
            return -ETIMEDOUT;
        }
        if (!wait->slept && isthmus_wait_spin(wait))
            continue;
        int result = isthmus_wait_sleep(wait, &state(rwlock)->drained, seen);
        if (result == -EINTR)
            return result;
        if (result && !isthmus_participants_sweep(rwlock) && result < 0)
            return result;
    }
}

int isthmus_rwlock_claim_write(struct isthmus_primitive *rwlock, uint64_t deadline)
{
    const int error = unfit(rwlock);
    if (error)
        return error;
    const int found =
        isthmus_mutex_acquire(rwlock, &state(rwlock)->word, &state(rwlock)->tid, deadline);
    if (found && found != -EOWNERDEAD)
        return found;
    isthmus_note_u32(&state(rwlock)->tid, isthmus_os_tid());
    isthmus_note_u64(&state(rwlock)->since_ns, isthmus_os_coarse_ns());
    if (found) {
        isthmus_add_u32(&state(rwlock)->deaths, 1);
        /* Dies before: the next one takes it from us, dead like the one before us. */
        isthmus_store_u32(&state(rwlock)->abandoned, 1);
    }
    return 0;
}

int isthmus_rwlock_turn(const struct isthmus_primitive *rwlock)
{
    const int error = unfit(rwlock);
    return error ? error : (isthmus_load_u32(&state(rwlock)->gate) & TURN) != 0;
}

int isthmus_rwlock_begin_write(struct isthmus_primitive *rwlock)
{
    const int error = unfit(rwlock);
    if (error)
        return error;
    /* Readers that had a turn have had it; the dead among them do not count. */
    if (isthmus_load_u32(&state(rwlock)->gate) & TURN)
        isthmus_and_u32(&state(rwlock)->gate, ~TURN);
    while (!drained(rwlock))
        if (!isthmus_participants_sweep(rwlock))
            return -EAGAIN;
    return isthmus_load_u32(&state(rwlock)->abandoned) ? -EOWNERDEAD : 0;
}

int isthmus_rwlock_give_up_write(struct isthmus_primitive *rwlock)
{
    const int error = unfit(rwlock);
    if (!error)
        let_go(rwlock);
    return error;
}

int isthmus_rwlock_acquire_write(struct isthmus_primitive *rwlock, uint64_t deadline)
{
    struct isthmus_wait wait;
    int result = isthmus_rwlock_claim_write(rwlock, deadline);
    if (result)
        return result;
    if (deadline && isthmus_load_u32(&state(rwlock)->gate) & TURN)
        result = give_turn(rwlock, deadline);
    isthmus_wait_begin(&wait, rwlock, deadline);
    if (!result)
        result = drain(&wait);
    isthmus_wait_end(&wait);
    if (result)
        let_go(rwlock);
    else if (isthmus_load_u32(&state(rwlock)->abandoned))
        result = -EOWNERDEAD;
    return result;
}

static int release_write(struct isthmus_primitive *rwlock, int abandoned)
{
    int error = unfit(rwlock);
    if (error)
        return error;
    /* Nobody else writes our number. A gate that is open: still on its way in. */
    if ((isthmus_load_u32(&state(rwlock)->word) & ISTHMUS_WORD_OWNER) != (uint32_t)rwlock->slot + 1)
        return -EPERM;
    /* sync: abandoned. Before the gate: readers that get in see it. */
    isthmus_store_u32(&state(rwlock)->abandoned, (uint32_t)abandoned);
    let_go(rwlock);
    return 0;
}

int isthmus_rwlock_release_write(struct isthmus_primitive *rwlock)
{
    return release_write(rwlock, 0);
}

int isthmus_rwlock_abandon_write(struct isthmus_primitive *rwlock)
{
    return release_write(rwlock, 1);
}

uint32_t isthmus_rwlock_readers(const struct isthmus_primitive *rwlock)
{
    if (!rwlock->shared || rwlock->kind != ISTHMUS_KIND_RWLOCK)
        return 0;
    return (uint32_t)isthmus_participants_shares(rwlock);
}

int isthmus_rwlock_is_writing(const struct isthmus_primitive *rwlock)
{
    if (!rwlock->shared)
        return -EBADF;
    if (rwlock->kind != ISTHMUS_KIND_RWLOCK)
        return -EINVAL;
    return (isthmus_load_u32(&state(rwlock)->word) & ISTHMUS_WORD_OWNER) != 0 &&
           (isthmus_load_u32(&state(rwlock)->gate) & CLOSED) != 0;
}
