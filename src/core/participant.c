/* Joining, leaving, and telling the living from the dead. */
#include "participant.h"

#include "atomic.h"
#include "os.h"
#include "repair.h"
#include "wait.h"

static uint64_t slot_byte(const struct isthmus_primitive *primitive, uint32_t slot)
{
    return ISTHMUS_LOCK_BYTES + primitive->place + ISTHMUS_PRIMITIVE_SIZE(0) +
           sizeof(struct isthmus_shared_participant) * (uint64_t)slot;
}

uint32_t isthmus_participants_used(const struct isthmus_primitive *primitive)
{
    /* Whoever has a share wrote `used` before: sync: used. */
    uint32_t used = isthmus_load_u32(&primitive->shared->used);
    return used < primitive->count ? used : primitive->count;
}

/* Take the byte of a slot that is free, as far as its record tells, or of any. */
static int take_slot(struct isthmus_primitive *primitive, int any, uint32_t *slot)
{
    for (uint32_t i = 0; i < primitive->count; i++) {
        if (!any && isthmus_peek_u32(&primitive->slots[i].pid) != 0)
            continue;
        int error = isthmus_os_try_byte(primitive->fd, slot_byte(primitive, i), 0);
        if (error == -EAGAIN)
            continue;
        *slot = i;
        return error;
    }
    return -ISTHMUS_E_FULL;
}

int isthmus_participant_join(struct isthmus_primitive *primitive)
{
    uint32_t slot;
    int error = take_slot(primitive, 0, &slot);
    if (error == -ISTHMUS_E_FULL)
        error = take_slot(primitive, 1, &slot);
    if (error)
        return error;

    /*
     * The byte is ours. Dies from here on: the byte is free again, the record is the dead
     * predecessor's still, in part, and the next one that takes the slot does all this anew.
     */
    uint32_t used = isthmus_load_u32(&primitive->shared->used);
    /* sync: used. Before there can be a share of ours. */
    while (used < slot + 1 && !isthmus_swap_u32(&primitive->shared->used, &used, slot + 1))
        ;
    primitive->slot = (int32_t)slot;
    isthmus_repair(primitive, slot);

    struct isthmus_shared_participant *own = isthmus_own(primitive);
    isthmus_note_u32(&own->waiting, 0);
    isthmus_note_u32(&own->pid_namespace, isthmus_os_pid_namespace());
    isthmus_note_u64(&own->joined_ns, isthmus_os_realtime_ns());
    isthmus_note_u32(&own->pid, isthmus_os_pid());
    return 0;
}

void isthmus_participant_leave(struct isthmus_primitive *primitive)
{
    const uint32_t slot = (uint32_t)primitive->slot;
    isthmus_repair(primitive, slot);
    /* Dies here: the record says that somebody is here, the byte that it is dead: as ever. */
    isthmus_note_u32(&primitive->slots[slot].waiting, 0);
    isthmus_note_u32(&primitive->slots[slot].pid, 0);
    primitive->slot = -1;
    isthmus_os_release_byte(primitive->fd, slot_byte(primitive, slot));
}

int isthmus_participant_seize(struct isthmus_primitive *primitive, uint32_t slot)
{
    const uint64_t byte = slot_byte(primitive, slot);
    if (slot == (uint32_t)primitive->slot)
        return -EAGAIN;
    /* The common answer is that it lives; to ask costs less than to try. */
    if (isthmus_os_byte_held(primitive->fd, byte))
        return -EAGAIN;
    /* All threads of a handle share its description: the kernel does not keep them apart. */
    if (!isthmus_local_claim(&primitive->seizing))
        return -EAGAIN;
    if (isthmus_os_try_byte(primitive->fd, byte, 0)) {
        isthmus_local_yield(&primitive->seizing);
        return -EAGAIN;
    }
    /* Dies from here on: the byte goes with us, and the next waiter starts again. */
    return 0;
}

void isthmus_participant_release(struct isthmus_primitive *primitive, uint32_t slot)
{
    /* In this order: the next thread's lock on the byte would go with ours. */
    isthmus_os_release_byte(primitive->fd, slot_byte(primitive, slot));
    isthmus_local_yield(&primitive->seizing);
}

int isthmus_participant_lives(const struct isthmus_primitive *primitive, uint32_t slot)
{
    return slot == (uint32_t)primitive->slot ||
           isthmus_os_byte_held(primitive->fd, slot_byte(primitive, slot)) == 1;
}

uint64_t isthmus_participants_shares(const struct isthmus_primitive *primitive)
{
    const uint32_t used = isthmus_participants_used(primitive);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < used; i++)
        sum += isthmus_load_u32(&primitive->slots[i].share);
    return sum;
}

int isthmus_participants_sweep(struct isthmus_primitive *primitive)
{
    const uint64_t now = isthmus_os_monotonic_ns();
    uint64_t last = isthmus_load_u64(&primitive->shared->swept_ns);
    int found = 0;

    /* Unsigned: a time in the future, which nobody sensible wrote, is long ago. */
    if (now - last < ISTHMUS_SLICE_NS / 2 ||
        !isthmus_swap_u64(&primitive->shared->swept_ns, &last, now))
        return 0;
    /* Dies here: the next sweep is half a slice later. */
    const uint32_t used = isthmus_participants_used(primitive);
    for (uint32_t i = 0; i < used; i++) {
        if (isthmus_load_u32(&primitive->slots[i].share) == 0 ||
            isthmus_participant_seize(primitive, i))
            continue;
        isthmus_repair(primitive, i);
        isthmus_participant_release(primitive, i);
        found = 1;
    }
    return found;
}

/* ---- Who takes part -------------------------------------------------------------------- */

int isthmus_primitive_participant(const struct isthmus_primitive *primitive, uint32_t slot,
                                  struct isthmus_participant *participant)
{
    if (!primitive->shared)
        return -EBADF;
    if (slot >= primitive->count)
        return -ERANGE;
    const struct isthmus_shared_participant *shared = &primitive->slots[slot];
    struct isthmus_participant new = {
        .slot = slot,
        .pid = isthmus_peek_u32(&shared->pid),
        .pid_namespace = isthmus_peek_u32(&shared->pid_namespace),
        .tid = isthmus_peek_u32(&shared->waiting_tid),
        .joined_ns = isthmus_peek_u64(&shared->joined_ns),
        .share = isthmus_peek_u32(&shared->share),
        .waiting = isthmus_peek_u32(&shared->waiting),
    };
    if (new.pid == 0)
        return -ENOENT;
    new.since_ns = isthmus_peek_u64(new.waiting ? &shared->waiting_ns : &shared->held_ns);
    if (!new.waiting)
        new.tid = 0;
    new.alive = isthmus_participant_lives(primitive, slot);
    *participant = new;
    return 0;
}

int isthmus_primitive_owner(const struct isthmus_primitive *primitive,
                            struct isthmus_participant *owner)
{
    if (!primitive->shared)
        return -EBADF;
    const struct isthmus_shared_lock *lock = isthmus_state(primitive);
    const struct isthmus_shared_rwlock *rwlock = isthmus_state(primitive);
    const int writer = primitive->kind == ISTHMUS_KIND_RWLOCK;
    if (!writer && primitive->kind != ISTHMUS_KIND_LOCK && primitive->kind != ISTHMUS_KIND_RLOCK &&
        primitive->kind != ISTHMUS_KIND_CONDITION)
        return -EINVAL;
    struct isthmus_participant new;
    const uint32_t word = isthmus_load_u32(&lock->word);
    if (!(word & ISTHMUS_WORD_OWNER))
        return -ENOENT;
    int error = isthmus_primitive_participant(primitive, (word & ISTHMUS_WORD_OWNER) - 1, &new);
    if (error)
        return error == -ERANGE ? -ENOENT : error;
    new.tid = isthmus_peek_u32(&lock->tid);
    new.since_ns = isthmus_peek_u64(writer ? &rwlock->since_ns : &lock->since_ns);
    /* Another owner by now: then these are parts of two. */
    if ((isthmus_load_u32(&lock->word) & ISTHMUS_WORD_OWNER) != (word & ISTHMUS_WORD_OWNER))
        return -ENOENT;
    *owner = new;
    return 0;
}
