/* Lock and recursive lock; the lock inside a condition. */
#include "lock.h"

#include "atomic.h"
#include "mutex.h"
#include "os.h"
#include "participant.h"
#include "parts.h"
#include "wait.h"

static int is_lock(const struct isthmus_primitive *lock)
{
    return lock->kind == ISTHMUS_KIND_LOCK || lock->kind == ISTHMUS_KIND_RLOCK ||
           (lock->kind == ISTHMUS_KIND_CONDITION && !(lock->flags & ISTHMUS_EXTERNAL_LOCK));
}

static int recursive(const struct isthmus_primitive *lock)
{
    return lock->kind != ISTHMUS_KIND_LOCK;
}

/* Held by this participant, and, where that matters, by this thread? */
static int is_mine(const struct isthmus_primitive *lock)
{
    const struct isthmus_shared_lock *state = isthmus_state(lock);
    /*
     * That the word names us, or that the thread is ours, is something that this thread itself
     * has written, or has not. When it names us for another thread of this handle, `tid` is that
     * thread's, or 0: it is cleared before the word is released, and before it is taken from a
     * dead owner, whose thread could have the same number. Acquire: seen in that order.
     */
    return (isthmus_load_acquire_u32(&state->word) & ISTHMUS_WORD_OWNER) ==
               (uint32_t)lock->slot + 1 &&
           (!recursive(lock) || isthmus_peek_u32(&state->tid) == isthmus_os_tid());
}

/* The word is ours; the rest of it. */
static void own(struct isthmus_shared_lock *state, uint32_t depth)
{
    isthmus_note_u32(&state->tid, isthmus_os_tid());
    isthmus_note_u32(&state->depth, depth);
    isthmus_note_u64(&state->since_ns, isthmus_os_coarse_ns());
}

/* The whole way of an uncontended lock; -EBUSY. What death at each step means: mutex.c. */
static inline int take_now(struct isthmus_primitive *lock, uint32_t depth)
{
    struct isthmus_shared_lock *state = isthmus_state(lock);
    uint32_t found = 0;
    if (isthmus_swap_u32(&state->word, &found, (uint32_t)lock->slot + 1)) {
        own(state, depth);
        return 0;
    }
    if (!recursive(lock) || !is_mine(lock))
        return -EBUSY;
    depth = isthmus_peek_u32(&state->depth);
    if (depth == UINT32_MAX)
        return -EOVERFLOW;
    isthmus_note_u32(&state->depth, depth + 1);
    return 0;
}

int isthmus_lock_take(struct isthmus_primitive *lock, uint64_t deadline, uint32_t depth)
{
    struct isthmus_shared_lock *state = isthmus_state(lock);
    int result = take_now(lock, depth);
    if (result != -EBUSY)
        return result;
    result = isthmus_mutex_acquire(lock, &state->word, &state->tid, deadline);
    if (result == -EOWNERDEAD)
        isthmus_add_u32(&state->deaths, 1);
    else if (result)
        return result;
    own(state, depth);
    return result;
}

int isthmus_lock_glance(struct isthmus_primitive *lock)
{
    return lock->slot < 0 ? isthmus_unusable(lock) : take_now(lock, 1);
}

int isthmus_lock_acquire(struct isthmus_primitive *lock, uint64_t deadline)
{
    if (lock->slot < 0)
        return isthmus_unusable(lock);
    return is_lock(lock) ? isthmus_lock_take(lock, deadline, 1) : -EINVAL;
}

int isthmus_lock_drop(struct isthmus_primitive *lock, int abandoned, uint32_t *depth)
{
    struct isthmus_shared_lock *state = isthmus_state(lock);
    if (!is_mine(lock))
        return -EPERM;
    *depth = isthmus_peek_u32(&state->depth);
    /* Before the word: else another thread of this handle could take it for its own. */
    isthmus_note_u32(&state->tid, 0);
    isthmus_mutex_release(lock, &state->word, abandoned);
    return 0;
}

int isthmus_lock_release(struct isthmus_primitive *lock)
{
    uint32_t depth;
    if (lock->slot < 0)
        return isthmus_unusable(lock);
    if (!is_lock(lock))
        return -EINVAL;
    if (recursive(lock)) {
        struct isthmus_shared_lock *state = isthmus_state(lock);
        if (!is_mine(lock))
            return -EPERM;
        depth = isthmus_peek_u32(&state->depth);
        if (depth > 1) {
            isthmus_note_u32(&state->depth, depth - 1);
            return 0;
        }
    }
    return isthmus_lock_drop(lock, 0, &depth);
}

int isthmus_lock_release_any(struct isthmus_primitive *lock)
{
    if (!lock->shared)
        return -EBADF;
    if (lock->kind != ISTHMUS_KIND_LOCK)
        return -EINVAL;
    /* Who takes part is not asked: a handle that has not joined may do this, too. */
    struct isthmus_shared_lock *state = isthmus_state(lock);
    return isthmus_mutex_release_any(lock, &state->word, &state->tid);
}

int isthmus_lock_abandon(struct isthmus_primitive *lock)
{
    uint32_t depth;
    if (lock->slot < 0)
        return isthmus_unusable(lock);
    return is_lock(lock) ? isthmus_lock_drop(lock, 1, &depth) : -EINVAL;
}

int isthmus_lock_locked(const struct isthmus_primitive *lock)
{
    if (!lock->shared)
        return -EBADF;
    if (!is_lock(lock))
        return -EINVAL;
    const struct isthmus_shared_lock *state = isthmus_state(lock);
    return (isthmus_peek_u32(&state->word) & ISTHMUS_WORD_OWNER) != 0;
}

uint32_t *isthmus_word_of(const struct isthmus_primitive *primitive)
{
    /* The first of each of their states: layout.h. */
    return &((struct isthmus_shared_lock *)isthmus_state(primitive))->word;
}

int isthmus_lock_is_mine(const struct isthmus_primitive *lock)
{
    return lock->slot >= 0 && is_lock(lock) && is_mine(lock);
}
