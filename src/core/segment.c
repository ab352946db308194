/* Raw segments: plain POSIX shared memory objects without any header. */
#include "segment.h"

#include <stdio.h>

int isthmus_segment_path(const char *name, char path[ISTHMUS_SEGMENT_PATH_SIZE])
{
    int error = isthmus_name_check(name);
    if (error)
        return error;
    snprintf(path, ISTHMUS_SEGMENT_PATH_SIZE, "%s/%s", ISTHMUS_OS_SHM_DIRECTORY,
             name + (*name == '/'));
    return 0;
}

int isthmus_segment_draft(struct isthmus_draft *draft, uint64_t size,
                          const struct isthmus_create_options *options)
{
    struct isthmus_draft new;
    int error = isthmus_draft_open(&new, ISTHMUS_OS_SHM_DIRECTORY, size, options, 0);
    if (error)
        return error;
    do
        error = isthmus_draft_reserve(&new);
    while (error == -EINTR);
    if (error) {
        isthmus_draft_abandon(&new);
        return error;
    }
    *draft = new;
    return 0;
}

int isthmus_segment_create(struct isthmus_segment *segment, const char *name, size_t size,
                           const struct isthmus_create_options *options)
{
    char path[ISTHMUS_SEGMENT_PATH_SIZE];
    struct isthmus_draft draft;
    void *data;

    int error = isthmus_segment_path(name, path);
    if (error)
        return error;
    error = isthmus_segment_draft(&draft, size, options);
    if (error)
        return error;
    error = isthmus_os_map(draft.fd, size, 0, &data);
    if (!error) {
        /* Dies up to here: nothing, or an unlocked draft. From here: the complete segment. */
        error = isthmus_draft_publish(&draft, path);
        if (error)
            isthmus_os_unmap(data, size);
    }
    if (error) {
        isthmus_draft_abandon(&draft);
        return error;
    }
    *segment = (struct isthmus_segment){.data = data, .size = size, .fd = draft.fd};
    return 0;
}

int isthmus_segment_open(const char *path, const struct isthmus_attach_options *options,
                         struct isthmus_os_status *status)
{
    static const struct isthmus_attach_options standard = ISTHMUS_ATTACH_DEFAULT;
    if (!options)
        options = &standard;

    int fd = isthmus_os_open(path, options->readonly);
    if (fd < 0)
        /* A symbolic link, a directory, a socket or device: not ours to follow. */
        return fd == -ELOOP || fd == -EISDIR || fd == -ENXIO ? -ISTHMUS_E_FOREIGN : fd;

    int error = isthmus_os_status(fd, status);
    if (!error && !status->regular)
        error = -ISTHMUS_E_FOREIGN;
    if (!error && options->owner != ISTHMUS_OWNER_ANY) {
        int64_t wanted =
            options->owner == ISTHMUS_OWNER_SELF ? (int64_t)isthmus_os_uid() : options->owner;
        if (wanted != (int64_t)status->uid)
            error = -ISTHMUS_E_OWNER;
    }
    if (!error && status->size == 0)
        /* Created but not sized yet, as shm_open() and ftruncate() in other programs do it. */
        error = -ISTHMUS_E_NOT_READY;
    if (!error && status->size > PTRDIFF_MAX)
        error = -EFBIG; /* made by a process with a larger address space */
    if (error) {
        isthmus_os_close(fd);
        return error;
    }
    return fd;
}

int isthmus_segment_attach(struct isthmus_segment *segment, const char *name,
                           const struct isthmus_attach_options *options)
{
    char path[ISTHMUS_SEGMENT_PATH_SIZE];
    struct isthmus_os_status status;
    void *data;

    int error = isthmus_segment_path(name, path);
    if (error)
        return error;
    int fd = isthmus_segment_open(path, options, &status);
    if (fd < 0)
        return fd;
    int readonly = options && options->readonly;
    error = isthmus_os_map(fd, (size_t)status.size, readonly, &data);
    if (error) {
        isthmus_os_close(fd);
        return error;
    }
    *segment = (struct isthmus_segment){
        .data = data, .size = (size_t)status.size, .fd = fd, .readonly = readonly};
    return 0;
}

void isthmus_segment_close(struct isthmus_segment *segment)
{
    if (segment->data) {
        isthmus_os_unmap(segment->data, segment->size);
        isthmus_os_close(segment->fd);
    }
    *segment = (struct isthmus_segment){.fd = -1};
}

int isthmus_segment_remove(uint64_t device, uint64_t inode, const char *path)
{
    struct isthmus_os_status named;
    int error = isthmus_os_status_at(path, &named);
    if (error)
        return error;
    if (device != named.device || inode != named.inode)
        return -ISTHMUS_E_REPLACED;
    /*
     * Between the look and the removal somebody could remove this object and give
     * the name to another, which would then lose it; the system has no call that
     * does both at once. The window is some hundred nanoseconds, against the
     * unlimited one of a plain shm_unlink().
     */
    return isthmus_os_unlink(path);
}

int isthmus_segment_unlink(const struct isthmus_segment *segment, const char *name)
{
    char path[ISTHMUS_SEGMENT_PATH_SIZE];
    struct isthmus_os_status mine;
    int error = isthmus_segment_path(name, path);
    if (!error && segment->readonly)
        error = -EPERM;
    if (!error)
        error = isthmus_os_status(segment->fd, &mine);
    return error ? error : isthmus_segment_remove(mine.device, mine.inode, path);
}
