/*
 * A shared object that is being made and has no name yet.
 *
 *     open -> reserve (again while -EINTR) -> [map, initialise] -> publish
 *
 * and abandon instead of publish when anything fails. Until publish returns 0
 * nobody can find the object; the name then stands for a complete one.
 *
 * If the process dies at any step: an unnamed file goes with its descriptor, so
 * nothing is left. In the fallback (a file system without unnamed files) a file
 * ".isthmus-draft-*" may be left, unlocked, which nobody opens by that name.
 *
 * Who tidies up takes the lock that isthmus_os_mark_draft() takes, and unlinks the
 * file only while holding it: then nobody is at work on it. A creator that was
 * about to mark the very file finds it locked or without a name, and starts again.
 */
#ifndef ISTHMUS_DRAFT_H
#define ISTHMUS_DRAFT_H

#include <isthmus/isthmus.h>

#define ISTHMUS_DRAFT_PREFIX ".isthmus-draft-"

struct isthmus_draft {
    int fd;              /* read and write; becomes the object's descriptor */
    uint64_t size;       /* bytes the object shall have */
    uint64_t reserved;   /* bytes of them allocated so far */
    uint64_t step;       /* bytes to allocate at a time */
    char temporary[320]; /* path of the fallback's file; empty when unnamed */
};

#define ISTHMUS_DRAFT_NAMED 1u /* use the fallback even where unnamed files are to be had */

/*
 * Open a draft in `directory` with the owner and mode it shall have.
 * -EINVAL: size 0 or mode; -EFBIG; -EPERM: owner or group; -EAGAIN: somebody tidied
 * every attempt away.
 */
int isthmus_draft_open(struct isthmus_draft *draft, const char *directory, uint64_t size,
                       const struct isthmus_create_options *options, unsigned flags);

/*
 * Allocate every byte. -EINTR: a signal came; what is done is kept, call again.
 * -ENOSPC: the file system is full; -ENOMEM: the host's memory is; -EFBIG: beyond its
 * largest file.
 */
int isthmus_draft_reserve(struct isthmus_draft *draft);

/* The same for a file that has `reserved` bytes already: an object that grows. */
int isthmus_draft_reserve_more(int fd, uint64_t *reserved, uint64_t size, uint64_t *step);

/* Give it the name `path`. On success `draft->fd` is the caller's. -EEXIST. */
int isthmus_draft_publish(struct isthmus_draft *draft, const char *path);

/* Drop it. */
void isthmus_draft_abandon(struct isthmus_draft *draft);

#endif
