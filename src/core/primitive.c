/*
 * Primitives in memory: what plans say, writing and checking them, and placing them in
 * somebody's segment. Those that are objects of their own: object.c.
 */
#include "primitive.h"

#include "atomic.h"
#include "os.h"
#include "participant.h"
#include "wait.h"
#include <string.h>

#define PAUSE_NS 1000000

_Static_assert(ISTHMUS_PRIMITIVE_SIZE(0) == sizeof(struct isthmus_shared_primitive) +
                                                sizeof(struct isthmus_shared_condition),
               "the largest state");

/* ---- Plans ----------------------------------------------------------------------------- */

static int known(uint32_t kind)
{
    return kind >= ISTHMUS_KIND_LOCK && kind <= ISTHMUS_KIND_ATOMIC_INT;
}

int isthmus_primitive_has_participants(uint32_t kind, uint32_t flags)
{
    return kind != ISTHMUS_KIND_EVENT && kind != ISTHMUS_KIND_ATOMIC_INT &&
           (kind != ISTHMUS_KIND_SEMAPHORE || flags & ISTHMUS_ROBUST);
}

/* Of a ring, the state is another, of the same size. */
uint32_t isthmus_primitive_flags(uint32_t kind)
{
    return ISTHMUS_PERSIST | (kind == ISTHMUS_KIND_SEMAPHORE   ? ISTHMUS_ROBUST
                              : kind == ISTHMUS_KIND_CONDITION ? ISTHMUS_EXTERNAL_LOCK
                              : kind == ISTHMUS_KIND_RWLOCK    ? ISTHMUS_READER_PREFERENCE
                                                               : 0);
}

size_t isthmus_primitive_size(uint32_t kind, uint32_t participants)
{
    if (!known(kind) || participants > ISTHMUS_PARTICIPANTS_MAX)
        return 0;
    if (participants == 0)
        participants = ISTHMUS_PARTICIPANTS_DEFAULT;
    /* Whether a semaphore is robust is not asked: the room is for either. */
    return ISTHMUS_PRIMITIVE_SIZE(
        isthmus_primitive_has_participants(kind, ISTHMUS_ROBUST) ? participants : 0);
}

/* Check a plan and fill in what it leaves open. */
int isthmus_primitive_complete(const struct isthmus_primitive_plan *plan,
                               struct isthmus_primitive_plan *complete)
{
    struct isthmus_primitive_plan new = *plan;
    if (!known(new.kind) || new.flags & ~isthmus_primitive_flags(new.kind) ||
        new.participants > ISTHMUS_PARTICIPANTS_MAX)
        return -EINVAL;
    if (new.participants == 0)
        new.participants = ISTHMUS_PARTICIPANTS_DEFAULT;
    if (!isthmus_primitive_has_participants(new.kind, new.flags))
        new.participants = 0;
    if (new.kind == ISTHMUS_KIND_SEMAPHORE) {
        if (new.maximum == 0)
            new.maximum = ISTHMUS_PERMITS_MAX;
        if (new.maximum > ISTHMUS_PERMITS_MAX || new.value < 0 || new.value > new.maximum)
            return -EINVAL;
    } else if (new.maximum != 0) {
        return -EINVAL;
    }
    if (new.kind == ISTHMUS_KIND_BARRIER && (new.value < 1 || new.value > INT32_MAX))
        return -EINVAL;
    *complete = new;
    return 0;
}

/* ---- In memory ------------------------------------------------------------------------- */

/* Write a primitive into zeroed memory; all but the magic, so that it may be done again. */
void isthmus_primitive_write(struct isthmus_shared_primitive *shared,
                             const struct isthmus_primitive_plan *plan)
{
    void *state = shared + 1;
    shared->kind = plan->kind;
    shared->flags = plan->flags;
    shared->fingerprint = isthmus_layout_fingerprint(plan->kind);
    shared->participants = plan->participants;
    if (plan->kind == ISTHMUS_KIND_SEMAPHORE) {
        struct isthmus_shared_semaphore *semaphore = state;
        semaphore->word = plan->flags & ISTHMUS_ROBUST ? 0 : (uint32_t)plan->value;
        semaphore->initial = (uint32_t)plan->value;
        semaphore->maximum = plan->maximum;
    } else if (plan->kind == ISTHMUS_KIND_BARRIER) {
        ((struct isthmus_shared_barrier *)state)->parties = (uint32_t)plan->value;
    } else if (plan->kind == ISTHMUS_KIND_ATOMIC_INT) {
        ((struct isthmus_shared_atomic_int *)state)->value = (uint64_t)plan->value;
    }
}

void isthmus_primitive_init(void *memory, uint32_t kind, uint32_t participants)
{
    const struct isthmus_primitive_plan plan = {.kind = kind, .participants = participants};
    struct isthmus_shared_primitive *shared = memory;
    isthmus_primitive_write(shared, &plan);
    isthmus_store_release_u64(&shared->magic, ISTHMUS_PRIMITIVE_MAGIC);
}

/* Make the handle of what is at `place`, without a description: checked, within `room` bytes. */
int isthmus_primitive_read(struct isthmus_primitive *primitive, void *data, size_t size,
                           uint64_t place, uint32_t kind)
{
    if (place % 64 != 0)
        return -EINVAL;
    if (place > size || size - place < ISTHMUS_PRIMITIVE_SIZE(0))
        return -ERANGE;
    struct isthmus_shared_primitive *shared =
        (struct isthmus_shared_primitive *)((char *)data + place);
    /* sync: primitive-magic. Acquire: who sees it sees the rest. */
    const uint64_t magic = isthmus_load_acquire_u64(&shared->magic);
    if (magic == 0 || magic == ISTHMUS_PRIMITIVE_MAKING)
        return -ENOENT;
    if (magic != ISTHMUS_PRIMITIVE_MAGIC)
        return -ISTHMUS_E_FOREIGN;
    /* Copies: what is checked is what will be used. */
    struct isthmus_primitive new = {
        .shared = shared,
        .slots = (struct isthmus_shared_participant *)((char *)shared + ISTHMUS_PRIMITIVE_SIZE(0)),
        .kind = isthmus_peek_u32(&shared->kind),
        .flags = isthmus_peek_u32(&shared->flags),
        .count = isthmus_peek_u32(&shared->participants),
        .slot = -1,
        .fd = -1,
        .fork_fd = -1,
        .pid = isthmus_os_pid(),
        .place = place,
    };
    if (new.kind != kind)
        return -ISTHMUS_E_KIND;
    if (isthmus_peek_u64(&shared->fingerprint) != isthmus_layout_fingerprint(kind))
        return -ISTHMUS_E_LAYOUT;
    if (new.flags & ~isthmus_primitive_flags(kind) ||
        (new.count != 0) != (isthmus_primitive_has_participants(kind, new.flags) != 0) ||
        new.count > ISTHMUS_PARTICIPANTS_MAX)
        return -ISTHMUS_E_CORRUPT;
    if (size - place < ISTHMUS_PRIMITIVE_SIZE((uint64_t)new.count))
        return -ISTHMUS_E_TRUNCATED;
    if (isthmus_os_processors() > 1)
        new.spin_ns = new.spin_now_ns = ISTHMUS_SPIN_DEFAULT_NS;
    *primitive = new;
    return 0;
}

/* Does what is there suit the plan? */
int isthmus_primitive_compare(const struct isthmus_primitive *primitive,
                              const struct isthmus_primitive_plan *plan)
{
    const void *state = isthmus_state(primitive);
    int same = primitive->flags == plan->flags;
    if (primitive->kind == ISTHMUS_KIND_SEMAPHORE) {
        const struct isthmus_shared_semaphore *semaphore = state;
        same = same && semaphore->maximum == plan->maximum &&
               semaphore->initial == (uint32_t)plan->value;
    } else if (primitive->kind == ISTHMUS_KIND_BARRIER) {
        same = same &&
               ((const struct isthmus_shared_barrier *)state)->parties == (uint32_t)plan->value;
    }
    return same ? 0 : -ENOTUNIQ;
}

int isthmus_primitive_join(struct isthmus_primitive *primitive)
{
    if (!primitive->shared)
        return -EBADF;
    return primitive->slot >= 0 || primitive->count == 0 ? 0 : isthmus_participant_join(primitive);
}

/* A moment of sleep that a signal ends. */
int isthmus_pause_a_moment(void)
{
    static const uint32_t nothing = 0;
    int result = isthmus_os_futex_wait(&nothing, 0, isthmus_deadline_after(PAUSE_NS));
    return result == -EINTR ? -EINTR : 0;
}

/* ---- In a segment of the caller's ------------------------------------------------------ */

static int join_placed(struct isthmus_primitive *primitive, int fd, int borrowed)
{
    /* An atomic integer is waited for by its own value alone. */
    if (primitive->kind == ISTHMUS_KIND_ATOMIC_INT)
        return 0;
    primitive->borrowed = borrowed;
    primitive->fd = borrowed ? fd : isthmus_os_own_description(fd);
    if (primitive->fd < 0)
        return primitive->fd;
    /* Without participants nothing is asked about the living: it is there for doorbells. */
    if (primitive->count == 0)
        return 0;
    int error = isthmus_participant_join(primitive);
    if (error && !borrowed)
        isthmus_os_close(primitive->fd);
    return error;
}

static int find(struct isthmus_primitive *primitive, void *data, size_t size, int fd,
                uint64_t offset, uint32_t kind, int borrowed)
{
    struct isthmus_primitive new;
    int error = known(kind) ? isthmus_primitive_read(&new, data, size, offset, kind) : -EINVAL;
    if (!error)
        error = join_placed(&new, fd, borrowed);
    if (!error)
        *primitive = new;
    return error;
}

int isthmus_primitive_find(struct isthmus_primitive *primitive, void *data, size_t size, int fd,
                           uint64_t offset, uint32_t kind)
{
    return find(primitive, data, size, fd, offset, kind, 0);
}

int isthmus_primitive_find_by_fd(struct isthmus_primitive *primitive, void *data, size_t size,
                                 int fd, uint64_t offset, uint32_t kind)
{
    return find(primitive, data, size, fd, offset, kind, 1);
}

/* Is everything zero where the primitive is to be? */
static int vacant(const void *memory, size_t size)
{
    const unsigned char *bytes = memory;
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return 0;
    return 1;
}

/* One that initialises holds the primitive's own byte. */
static int initialise_placed(void *data, uint64_t offset, int fd,
                             const struct isthmus_primitive_plan *plan)
{
    struct isthmus_shared_primitive *shared =
        (struct isthmus_shared_primitive *)((char *)data + offset);
    const size_t size = ISTHMUS_PRIMITIVE_SIZE((size_t)plan->participants);
    int error = -EAGAIN;
    int own = isthmus_os_own_description(fd);
    if (own < 0)
        return own;
    for (unsigned i = 0; error == -EAGAIN && i < ISTHMUS_ATTEMPTS; i++) {
        error = isthmus_os_try_byte(own, ISTHMUS_LOCK_BYTES + offset, 0);
        if (error == -EAGAIN && isthmus_pause_a_moment())
            error = -EINTR;
    }
    const uint64_t magic =
        error ? ISTHMUS_PRIMITIVE_MAGIC : isthmus_load_acquire_u64(&shared->magic);
    if (magic == 0 && !vacant(shared, size)) {
        error = -ISTHMUS_E_FOREIGN;
    } else if (magic == 0 || magic == ISTHMUS_PRIMITIVE_MAKING) {
        /* Ours to make, from now on visibly. Dies anywhere here: the next one makes it anew. */
        isthmus_store_release_u64(&shared->magic, ISTHMUS_PRIMITIVE_MAKING);
        memset((char *)shared + sizeof shared->magic, 0, size - sizeof shared->magic);
        isthmus_primitive_write(shared, plan);
        isthmus_store_release_u64(&shared->magic, ISTHMUS_PRIMITIVE_MAGIC);
    }
    isthmus_os_close(own); /* and the byte with it */
    return error;
}

static int place(struct isthmus_primitive *primitive, void *data, size_t size, int fd,
                 uint64_t offset, const struct isthmus_primitive_plan *plan, int borrowed)
{
    struct isthmus_primitive_plan full;
    struct isthmus_primitive new;
    int error = isthmus_primitive_complete(plan, &full);
    if (error)
        return error;
    error = isthmus_primitive_read(&new, data, size, offset, full.kind);
    if (error == -ENOENT) {
        if (size - offset < ISTHMUS_PRIMITIVE_SIZE((size_t)full.participants))
            return -ERANGE;
        error = initialise_placed(data, offset, fd, &full);
        if (!error)
            error = isthmus_primitive_read(&new, data, size, offset, full.kind);
    }
    if (!error)
        error = isthmus_primitive_compare(&new, &full);
    if (!error)
        error = join_placed(&new, fd, borrowed);
    if (!error)
        *primitive = new;
    return error;
}

int isthmus_primitive_place(struct isthmus_primitive *primitive, void *data, size_t size, int fd,
                            uint64_t offset, const struct isthmus_primitive_plan *plan)
{
    return place(primitive, data, size, fd, offset, plan, 0);
}

int isthmus_primitive_place_by_fd(struct isthmus_primitive *primitive, void *data, size_t size,
                                  int fd, uint64_t offset,
                                  const struct isthmus_primitive_plan *plan)
{
    return place(primitive, data, size, fd, offset, plan, 1);
}
