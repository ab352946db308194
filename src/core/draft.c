/* Making a shared object that appears complete or not at all. See draft.h. */
#include "draft.h"

#include "os.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * Reserving goes in steps: a signal makes the kernel undo the step it is in, so
 * one step must be short against the time between signals. Each interruption
 * quarters it, down to the floor, so a process with a fast interval timer makes
 * progress too.
 */
#define STEP_START (UINT64_C(32) << 20)
#define STEP_FLOOR (UINT64_C(64) << 10)
/* From this size on it is worth asking how much memory the host has. */
#define MEMORY_CHECK (UINT64_C(64) << 20)

/* How often to start again when somebody who tidies up took a new draft for a dead one. */
#define NAMED_ATTEMPTS 16

/* One attempt. -EAGAIN: the draft was tidied away before it could be marked. */
static int open_marked(const char *path)
{
    struct isthmus_os_status status;
    int fd = isthmus_os_open_new(path);
    if (fd < 0)
        return fd == -EEXIST ? -EAGAIN : fd;
    /* Dies here: an empty unlocked draft stays; whoever tidies up may remove it. */
    int error = isthmus_os_mark_draft(fd);
    /* From here on whoever dies leaves an unlocked draft, the mark goes with the descriptor. */
    if (!error)
        error = isthmus_os_status(fd, &status);
    if (!error && status.links != 0)
        return fd;
    if (!error || error == -EACCES)
        error = -EAGAIN;
    isthmus_os_unlink(path);
    isthmus_os_close(fd);
    return error;
}

static int open_named(struct isthmus_draft *draft, const char *directory)
{
    for (int attempt = 0; attempt < NAMED_ATTEMPTS; attempt++) {
        uint64_t random;
        int fd = isthmus_os_random(&random, sizeof random);
        if (fd < 0)
            return fd;
        int length = snprintf(draft->temporary, sizeof draft->temporary, "%s/%s%016llx", directory,
                              ISTHMUS_DRAFT_PREFIX, (unsigned long long)random);
        if (length < 0 || (size_t)length >= sizeof draft->temporary)
            return -ENAMETOOLONG;
        fd = open_marked(draft->temporary);
        if (fd != -EAGAIN)
            return fd;
    }
    return -EAGAIN;
}

int isthmus_draft_open(struct isthmus_draft *draft, const char *directory, uint64_t size,
                       const struct isthmus_create_options *options, unsigned flags)
{
    static const struct isthmus_create_options standard = ISTHMUS_CREATE_DEFAULT;
    if (!options)
        options = &standard;
    if (size == 0 || options->mode > 0777)
        return -EINVAL;
    if (size > PTRDIFF_MAX)
        return -EFBIG; /* no process could map it */

    struct isthmus_draft new = {.size = size, .step = STEP_START};
    new.fd = -EOPNOTSUPP;
    /* Dies after this, unnamed: the file goes with its last descriptor, which nobody else has. */
    if (!(flags & ISTHMUS_DRAFT_NAMED))
        new.fd = isthmus_os_open_unnamed(directory);
    if (new.fd == -EOPNOTSUPP)
        new.fd = open_named(&new, directory);
    if (new.fd < 0)
        return new.fd;

    /*
     * Owner first: changing it may clear bits of the mode. Dies between the two: as above, or a
     * draft with mode 0600, which is of no use to its new owner and in nobody's way.
     */
    int error = 0;
    if (options->owner != ISTHMUS_ID_UNCHANGED || options->group != ISTHMUS_ID_UNCHANGED)
        error = isthmus_os_set_owner(new.fd, options->owner, options->group);
    if (!error)
        error = isthmus_os_set_mode(new.fd, options->mode);
    if (error) {
        isthmus_draft_abandon(&new);
        return error;
    }
    *draft = new;
    return 0;
}

int isthmus_draft_reserve_more(int fd, uint64_t *reserved, uint64_t size, uint64_t *step)
{
    if (*reserved < size) {
        /*
         * Ask first: filling a file system to the brim only to find that the object
         * does not fit would take memory from everybody else on the way. Only a
         * hint, since others allocate too; the allocation itself decides.
         */
        struct isthmus_os_status status;
        uint64_t available;
        int error = isthmus_os_status(fd, &status);
        if (!error)
            error = isthmus_os_available(fd, &available);
        if (error)
            return error;
        /* Pages beyond `reserved` may be there as well: when it is the holes that are to be filled.
         */
        uint64_t there = *reserved > status.allocated ? *reserved : status.allocated;
        uint64_t needed = size > there ? size - there : 0;
        if (needed > available)
            return -ENOSPC;
        if (needed >= MEMORY_CHECK) {
            /* A memory file system may be larger than the memory: then somebody gets killed. */
            error = isthmus_os_available_memory(fd, &available);
            if (error)
                return error;
            if (needed > available)
                return -ENOMEM;
        }
    }
    while (*reserved < size) {
        uint64_t length = size - *reserved;
        if (length > *step)
            length = *step;
        /* Dies here: the pages go with the file; a named draft keeps them until tidied up. */
        int error = isthmus_os_reserve(fd, *reserved, length);
        if (error == -EINTR && *step > STEP_FLOOR)
            *step /= 4;
        if (error)
            return error;
        *reserved += length;
    }
    return 0;
}

int isthmus_draft_reserve(struct isthmus_draft *draft)
{
    return isthmus_draft_reserve_more(draft->fd, &draft->reserved, draft->size, &draft->step);
}

int isthmus_draft_publish(struct isthmus_draft *draft, const char *path)
{
    if (!draft->temporary[0])
        /* Dies before: nothing was there. Dies after: the object is there, complete. */
        return isthmus_os_link_unnamed(draft->fd, path);

    /*
     * The same by way of a second name: link() fails when `path` is taken, rename() would not.
     * Dies before: the draft stays, unlocked, and `path` is free for the next creator.
     */
    int error = isthmus_os_link(draft->temporary, path);
    if (error)
        return error;
    /* Dies here: the object is there, complete, with the draft as a second name of it. */
    isthmus_os_unlink(draft->temporary);
    draft->temporary[0] = '\0';
    /*
     * The mark goes with the descriptor at the latest; a published object is no draft. Dies
     * here: the object is there, complete, with one name, and unmarked by our death.
     */
    isthmus_os_unmark_draft(draft->fd);
    return 0;
}

void isthmus_draft_abandon(struct isthmus_draft *draft)
{
    /* The name first: as long as it is there, the mark shows that somebody is at work on it. */
    if (draft->temporary[0])
        isthmus_os_unlink(draft->temporary);
    /* Dies before or after: nothing is left, or an unlocked draft. */
    if (draft->fd >= 0)
        isthmus_os_close(draft->fd);
    draft->fd = -1;
    draft->temporary[0] = '\0';
}
