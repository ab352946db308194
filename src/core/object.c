/*
 * Typed objects with participants: making, opening and closing them, and what a fork does to a
 * handle. See isthmus/primitives.h for what is promised, participant.h for how the living are
 * told from the dead.
 *
 * Handles of an object of its own (not placed) hold a read lock on its presence byte.
 * Whoever gets that byte for writing is alone: there it may remove the object.
 */
#include "object.h"

#include "atomic.h"
#include "draft.h"
#include "header.h"
#include "os.h"
#include "participant.h"
#include "primitive.h"
#include "ring.h"
#include "segment.h"
#include <string.h>

#define PLACE ((uint64_t)sizeof(struct isthmus_shared_header))
/* Bytes to reserve at a time, between two signals. */
#define ANONYMOUS_STEP (UINT64_C(32) << 20)

_Static_assert(sizeof(((struct isthmus_primitive *)0)->path) >= ISTHMUS_SEGMENT_PATH_SIZE, "path");

static uint64_t presence_byte(const struct isthmus_primitive *primitive)
{
    return ISTHMUS_LOCK_BYTES + primitive->place;
}

/* ---- Making and opening ---------------------------------------------------------------- */

static size_t object_size(const struct isthmus_object_plan *plan)
{
    struct isthmus_ring_extent extent;
    if (!isthmus_ring_kind(plan->primitive.kind))
        return PLACE + ISTHMUS_PRIMITIVE_SIZE((size_t)plan->primitive.participants);
    isthmus_ring_measure(&plan->ring, &extent);
    return (size_t)extent.total_size;
}

/* Zeroed memory of total_size bytes, mapped plainly, becomes the object. */
static void initialise_object(void *data, size_t size, const struct isthmus_object_plan *plan)
{
    const struct isthmus_primitive_plan *primitive = &plan->primitive;
    const uint64_t rings = isthmus_ring_kind(primitive->kind)
                               ? plan->ring.capacity * isthmus_ring_pieces(&plan->ring)
                               : 0;
    const struct isthmus_shared_header header = {
        .kind = primitive->kind,
        .total_size = size,
        .control_offset = PLACE,
        .control_size = ISTHMUS_PRIMITIVE_SIZE(0),
        .participants_offset = PLACE + (primitive->participants ? ISTHMUS_PRIMITIVE_SIZE(0) : 0),
        .participants_count = primitive->participants,
        .participant_size =
            primitive->participants ? (uint32_t)sizeof(struct isthmus_shared_participant) : 0,
        .data_offset = size - rings,
        .data_size = rings,
    };
    struct isthmus_shared_primitive *shared =
        (struct isthmus_shared_primitive *)((char *)data + PLACE);
    isthmus_header_init(data, &header);
    isthmus_primitive_write(shared, primitive);
    if (rings)
        isthmus_ring_init(data, &plan->ring);
    isthmus_store_release_u64(&shared->magic, ISTHMUS_PRIMITIVE_MAGIC);
    isthmus_header_publish(data);
}

/* Check a mapped object and make the handle of it, which has not joined. */
static int read_object(struct isthmus_ring *handle, void *data, size_t size, uint32_t kind)
{
    struct isthmus_shared_header header;
    int error = isthmus_header_read(data, size, kind, &header);
    if (error)
        return error;
    error = isthmus_primitive_read(&handle->primitive, data, (size_t)header.total_size,
                                   header.control_offset, kind);
    if (!error && isthmus_ring_kind(kind))
        error = isthmus_ring_read_shared(handle, data, &header);
    if (error == -ENOENT || error == -ERANGE || error == -EINVAL || error == -ISTHMUS_E_FOREIGN)
        return -ISTHMUS_E_CORRUPT;
    return error;
}

/* Take the presence byte for reading and join. The description is the handle's own already. */
static int enter_object(struct isthmus_primitive *primitive)
{
    int error = isthmus_os_try_byte(primitive->fd, presence_byte(primitive), 1);
    return error ? error : isthmus_primitive_join(primitive);
}

static void unmap_object(const struct isthmus_primitive *primitive)
{
    isthmus_os_unmap(primitive->mapping,
                     primitive->mapped + primitive->mirrors * primitive->mirrored);
}

/* Put a ring's bytes into the mapping twice. Its geometry was checked; it is so once more. */
static int mirror_object(struct isthmus_ring *handle, void **data, size_t size, int fd)
{
    struct isthmus_shared_header header;
    const uint32_t mirrors = handle->aside ? 2 : 1;
    const size_t capacity = (size_t)handle->capacity;
    isthmus_os_unmap(*data, size);
    *data = NULL;
    int error = isthmus_os_map_mirrored(fd, size, capacity, mirrors, data);
    if (error)
        return error;
    error = read_object(handle, *data, size, handle->primitive.kind);
    if (!error)
        error = isthmus_header_read(*data, size, handle->primitive.kind, &header);
    if (!error && (handle->capacity != capacity || (handle->aside ? 2u : 1u) != mirrors))
        error = -ISTHMUS_E_CORRUPT;
    if (error)
        isthmus_os_unmap(*data, size + mirrors * capacity);
    handle->primitive.mirrors = mirrors;
    handle->primitive.mirrored = capacity;
    return error;
}

static int map_object(struct isthmus_ring *handle, int fd, size_t size, uint32_t kind)
{
    struct isthmus_os_status status;
    void *data;
    int error = isthmus_os_status(fd, &status);
    if (!error)
        error = isthmus_os_map(fd, size, 0, &data);
    if (error)
        return error;
    /* Fault it in, so that a hole that a full file system cannot fill is no SIGBUS. */
    if (status.allocated < size && isthmus_os_populate(data, size))
        error = -ISTHMUS_E_TRUNCATED;
    if (!error)
        error = read_object(handle, data, size, kind);
    if (error) {
        isthmus_os_unmap(data, size);
        return error;
    }
    if (isthmus_ring_kind(kind)) {
        error = mirror_object(handle, &data, size, fd);
        if (error)
            return error;
    }
    handle->primitive.mapping = data;
    handle->primitive.mapped = size;
    handle->primitive.fd = fd;
    return 0;
}

static int name_path(const char *name, char path[ISTHMUS_SEGMENT_PATH_SIZE])
{
    char posix_name[ISTHMUS_NAME_MAX + 1];
    int error = isthmus_name_escape(name, posix_name);
    return error ? error : isthmus_segment_path(posix_name, path);
}

static void set_path(struct isthmus_ring *handle, const char *path)
{
    memcpy(handle->primitive.path, path, strlen(path) + 1);
}

/* Map, initialise, check and join a new file. */
static int make_object(struct isthmus_ring *handle, int fd, const struct isthmus_object_plan *plan)
{
    const size_t size = object_size(plan);
    void *data;
    int error = isthmus_os_map(fd, size, 0, &data);
    if (error)
        return error;
    initialise_object(data, size, plan);
    isthmus_os_unmap(data, size);
    error = map_object(handle, fd, size, plan->primitive.kind);
    if (!error) {
        error = enter_object(&handle->primitive);
        if (error)
            unmap_object(&handle->primitive);
    }
    return error;
}

static int create(struct isthmus_ring *handle, const char *path,
                  const struct isthmus_object_plan *plan,
                  const struct isthmus_create_options *options)
{
    struct isthmus_draft draft;
    struct isthmus_ring new;
    int error = isthmus_segment_draft(&draft, object_size(plan), options);
    if (error)
        return error;
    error = make_object(&new, draft.fd, plan);
    if (!error) {
        /* Dies up to here: nothing, or an unlocked draft. From here: a complete object of nobody.
         */
        error = isthmus_draft_publish(&draft, path);
        if (error)
            unmap_object(&new.primitive);
    }
    if (error) {
        isthmus_draft_abandon(&draft);
        return error;
    }
    set_path(&new, path);
    *handle = new;
    return 0;
}

/* Did an owner die holding it? Then it is kept for the next one, who is to be told. */
static int owed_a_report(const struct isthmus_primitive *primitive)
{
    const struct isthmus_shared_rwlock *rwlock = isthmus_state(primitive);
    switch (primitive->kind) {
    case ISTHMUS_KIND_LOCK:
    case ISTHMUS_KIND_RLOCK:
    case ISTHMUS_KIND_CONDITION:
        return isthmus_load_u32(&rwlock->word) != 0;
    case ISTHMUS_KIND_RWLOCK:
        return isthmus_load_u32(&rwlock->word) != 0 || isthmus_load_u32(&rwlock->abandoned) != 0;
    default:
        return 0;
    }
}

/* Whoever holds the presence byte for writing is alone. Remove the object under its name. */
static int remove_alone(const struct isthmus_primitive *primitive)
{
    struct isthmus_os_status status;
    int error = isthmus_os_status(primitive->fd, &status);
    if (error || status.links == 0)
        return error;
    return isthmus_segment_remove(status.device, status.inode, primitive->path);
}

/*
 * Come in where others may be, may be leaving, or may all have died. 0: among the living.
 * -EAGAIN: it is being removed at this moment. -ENOENT: it was nobody's, and is gone now.
 */
static int come_in(struct isthmus_primitive *primitive)
{
    struct isthmus_os_status status;
    int error = isthmus_os_try_byte(primitive->fd, presence_byte(primitive), 0);
    if (!error && !(primitive->flags & ISTHMUS_PERSIST) && !owed_a_report(primitive)) {
        /*
         * Nobody has it, and nobody can come in as long as we hold the byte. Dies here: as
         * before. One who may not remove it, as it is another user's, goes on with it.
         */
        error = remove_alone(primitive);
        if (!error || error == -ENOENT || error == -ISTHMUS_E_REPLACED)
            return -ENOENT;
        error = 0;
    }
    if (error && error != -EAGAIN)
        return error;
    /* Among others, or, if we were alone, for reading from now on. -EAGAIN: one removes it. */
    error = isthmus_os_try_byte(primitive->fd, presence_byte(primitive), 1);
    if (!error)
        error = isthmus_os_status(primitive->fd, &status);
    /* Here for sure from the lock on. Had it lost its name before that? */
    if (!error && status.links == 0)
        error = -EAGAIN;
    return error ? error : isthmus_primitive_join(primitive);
}

static int attach(struct isthmus_ring *handle, const char *path, uint32_t kind,
                  const struct isthmus_attach_options *options)
{
    struct isthmus_ring new;
    struct isthmus_os_status status;
    if (options && options->readonly)
        return -EINVAL;
    int fd = isthmus_segment_open(path, options, &status);
    if (fd < 0)
        return fd;
    int error = map_object(&new, fd, (size_t)status.size, kind);
    if (!error) {
        set_path(&new, path);
        error = come_in(&new.primitive);
        if (error)
            unmap_object(&new.primitive);
    }
    if (error) {
        isthmus_os_close(fd);
        return error;
    }
    *handle = new;
    return 0;
}

int isthmus_object_visit(struct isthmus_ring *handle, const char *path, uint32_t kind,
                         const struct isthmus_attach_options *options)
{
    struct isthmus_ring new;
    struct isthmus_os_status status;
    int fd = isthmus_segment_open(path, options, &status);
    if (fd < 0)
        return fd;
    int error = map_object(&new, fd, (size_t)status.size, kind);
    if (!error) {
        /* Among others: the last to leave removes it, which may be us. Alone: it stays as it is. */
        if (isthmus_os_byte_held(fd, presence_byte(&new.primitive)) == 1)
            set_path(&new, path);
        error = enter_object(&new.primitive);
        if (error)
            unmap_object(&new.primitive);
    }
    if (error) {
        isthmus_os_close(fd);
        return error;
    }
    *handle = new;
    return 0;
}

int isthmus_object_look(struct isthmus_ring *handle, void *data, size_t size, uint32_t kind)
{
    const int error = read_object(handle, data, size, kind);
    if (!error && isthmus_ring_kind(kind) && handle->aside)
        handle->aside = handle->data + handle->capacity; /* nothing is mapped twice */
    return error;
}

/* attach(), again while somebody is removing it: that takes a moment, however it ends. */
static int attach_persistently(struct isthmus_ring *handle, const char *path, uint32_t kind,
                               const struct isthmus_attach_options *options)
{
    int error = -EAGAIN;
    for (unsigned i = 0; error == -EAGAIN && i < ISTHMUS_ATTEMPTS; i++) {
        error = attach(handle, path, kind, options);
        if (error == -EAGAIN && isthmus_pause_a_moment())
            return -EINTR;
    }
    return error;
}

int isthmus_object_create(struct isthmus_ring *handle, const char *name,
                          const struct isthmus_object_plan *plan,
                          const struct isthmus_create_options *options)
{
    char path[ISTHMUS_SEGMENT_PATH_SIZE];
    struct isthmus_ring other;
    int error = name_path(name, path);
    if (!error)
        error = create(handle, path, plan, options);
    if (error == -EEXIST) {
        /* Of somebody, or left by the dead? Attaching removes what is nobody's. */
        error = attach_persistently(&other, path, plan->primitive.kind, NULL);
        if (error == -ENOENT)
            return create(handle, path, plan, options);
        if (!error)
            isthmus_primitive_close(&other.primitive);
        error = error == -EINTR ? error : -EEXIST;
    }
    return error;
}

int isthmus_object_attach(struct isthmus_ring *handle, const char *name, uint32_t kind,
                          const struct isthmus_attach_options *options)
{
    char path[ISTHMUS_SEGMENT_PATH_SIZE];
    int error = name_path(name, path);
    return error ? error : attach_persistently(handle, path, kind, options);
}

static int compare(const struct isthmus_ring *handle, const struct isthmus_object_plan *plan)
{
    return isthmus_ring_kind(handle->primitive.kind)
               ? isthmus_ring_compare(handle, &plan->ring)
               : isthmus_primitive_compare(&handle->primitive, &plan->primitive);
}

int isthmus_object_open(struct isthmus_ring *handle, const char *name,
                        const struct isthmus_object_plan *plan,
                        const struct isthmus_create_options *create_options,
                        const struct isthmus_attach_options *attach_options)
{
    char path[ISTHMUS_SEGMENT_PATH_SIZE];
    struct isthmus_ring new;
    int error = name_path(name, path);
    if (error)
        return error;
    for (unsigned i = 0; i < ISTHMUS_ATTEMPTS; i++) {
        error = attach_persistently(&new, path, plan->primitive.kind, attach_options);
        if (!error)
            error = compare(&new, plan);
        else if (error == -ENOENT)
            error = create(&new, path, plan, create_options);
        else
            return error;
        if (!error) {
            *handle = new;
            return 0;
        }
        if (error == -ENOTUNIQ)
            isthmus_primitive_close(&new.primitive);
        if (error != -EEXIST)
            return error;
        /* Somebody was first; attach to theirs. */
    }
    return -ISTHMUS_E_NOT_READY;
}

int isthmus_object_anonymous(struct isthmus_ring *handle, const struct isthmus_object_plan *plan)
{
    const size_t size = object_size(plan);
    uint64_t reserved = 0, step = ANONYMOUS_STEP;
    struct isthmus_ring new;
    int error;
    int fd = isthmus_os_audible_memory("isthmus");
    if (fd < 0)
        return fd;
    do
        error = isthmus_draft_reserve_more(fd, &reserved, size, &step);
    while (error == -EINTR);
    if (!error)
        error = make_object(&new, fd, plan);
    if (error) {
        isthmus_os_close(fd);
        return error;
    }
    *handle = new;
    return 0;
}

int isthmus_object_from_fd(struct isthmus_ring *handle, int fd, uint32_t kind)
{
    struct isthmus_os_status status;
    struct isthmus_ring new;
    fd = isthmus_os_own_description(fd);
    if (fd < 0)
        return fd;
    int error = isthmus_os_status(fd, &status);
    if (!error && status.size < ISTHMUS_PRIMITIVE_SIZE(0))
        error = -ISTHMUS_E_FOREIGN;
    if (!error)
        error = map_object(&new, fd, (size_t)status.size, kind);
    if (!error) {
        error = enter_object(&new.primitive);
        if (error)
            unmap_object(&new.primitive);
    }
    if (error) {
        isthmus_os_close(fd);
        return error;
    }
    *handle = new;
    return 0;
}

/* ---- The end --------------------------------------------------------------------------- */

/* No longer keep the object; if nobody else does, remove it. */
static void give_up_object(const struct isthmus_primitive *primitive)
{
    if (!primitive->path[0] || primitive->fd < 0 || primitive->flags & ISTHMUS_PERSIST)
        return;
    /*
     * Of several that leave at once, one at least finds itself alone: the last one to give
     * up its read lock tries when nobody has one, and fails only if another has
     * the byte for writing, and removes the object. Who comes in takes its read lock
     * before the look at the name. Dies anywhere here: an object of nobody, which the
     * next one to open it removes.
     */
    isthmus_os_release_byte(primitive->fd, presence_byte(primitive));
    if (!isthmus_os_try_byte(primitive->fd, presence_byte(primitive), 0) &&
        !owed_a_report(primitive))
        remove_alone(primitive);
}

void isthmus_primitive_forsake(const struct isthmus_primitive *primitive)
{
    if (!primitive->shared || primitive->pid != isthmus_os_pid() || !primitive->mapping)
        return;
    give_up_object(primitive);
    isthmus_os_release_byte(primitive->fd, presence_byte(primitive));
}

void isthmus_primitive_close(struct isthmus_primitive *primitive)
{
    if (!primitive->shared)
        return;
    /* In a child that was forked without a word to us, all but the descriptor is its parent's. */
    const int own = primitive->pid == isthmus_os_pid();
    if (own && primitive->slot >= 0)
        isthmus_participant_leave(primitive);
    if (own)
        give_up_object(primitive);
    if (primitive->mapping)
        unmap_object(primitive);
    if (primitive->fd >= 0 && !primitive->borrowed)
        isthmus_os_close(primitive->fd);
    if (primitive->fork_fd >= 0)
        isthmus_os_close(primitive->fork_fd); /* closed between the two calls around a fork */
    *primitive = (struct isthmus_primitive){.slot = -1, .fd = -1, .fork_fd = -1};
}

int isthmus_primitive_unlink(const struct isthmus_primitive *primitive)
{
    struct isthmus_os_status status;
    if (!primitive->shared)
        return -EBADF;
    if (!primitive->path[0])
        return -ENOTSUP;
    int error = isthmus_os_status(primitive->fd, &status);
    return error ? error : isthmus_segment_remove(status.device, status.inode, primitive->path);
}

/* A description of its own for another participant, which keeps the object. */
static int keep(const struct isthmus_primitive *primitive)
{
    int fd = isthmus_os_own_description(primitive->fd);
    if (fd < 0 || !primitive->mapping)
        return fd;
    int error = isthmus_os_try_byte(fd, presence_byte(primitive), 1);
    if (error) {
        isthmus_os_close(fd);
        return error;
    }
    return fd;
}

int isthmus_primitive_before_fork(struct isthmus_primitive *primitive)
{
    if (!primitive->shared || primitive->fd < 0 || primitive->borrowed)
        return 0;
    int fd = keep(primitive);
    primitive->fork_fd = fd < 0 ? -1 : fd;
    return fd < 0 ? fd : 0;
}

int isthmus_primitive_after_fork(struct isthmus_primitive *primitive, int in_child)
{
    if (in_child)
        isthmus_os_forget_tid();
    if (!primitive->shared || primitive->fd < 0)
        return 0;
    int fd = primitive->fork_fd;
    primitive->fork_fd = -1;
    if (!in_child)
        return fd >= 0 ? isthmus_os_close(fd) : 0;

    primitive->slot = -1;
    primitive->seizing = 0;
    primitive->pid = isthmus_os_pid();
    if (primitive->borrowed)
        return 0; /* whoever lent it replaces what it stands for */
    if (fd < 0)
        fd = keep(primitive);
    /* The parent's, which would keep it alive for ever; the mapping holds on to it, too. */
    isthmus_os_close(primitive->fd);
    primitive->fd = fd < 0 ? -1 : fd;
    if (fd >= 0 && primitive->mapping)
        fd = isthmus_os_map_mirrored(fd, primitive->mapped, primitive->mirrored, primitive->mirrors,
                                     &primitive->mapping);
    if (fd >= 0)
        return 0;
    /* Without a description nothing can be said about the living, nor the object kept. */
    if (primitive->fd >= 0)
        isthmus_os_close(primitive->fd);
    if (primitive->mapping)
        unmap_object(primitive);
    *primitive = (struct isthmus_primitive){.slot = -1, .fd = -1, .fork_fd = -1};
    return fd;
}
