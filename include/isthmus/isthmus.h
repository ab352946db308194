/*
 * isthmus: shared memory that processes on one host can rely on. The C interface.
 *
 * Conventions
 *   Functions return 0 or -errno, and put results into out-parameters, which are
 *   untouched on failure. Nothing here keeps process-wide state, starts a thread
 *   or installs a signal handler. Structures are the caller's; one structure must
 *   not be used by two threads at once, different ones may.
 *   Names are bytes with a terminating NUL.
 *
 * What a crash leaves
 *   A process killed inside any of these functions leaves either nothing or a
 *   complete object under its name. (Where the file system has no unnamed files
 *   it may also leave a file named ".isthmus-draft-*", which nobody waits for.)
 *
 * What is not protected
 *   A process that may write to an object may also shrink it with ftruncate();
 *   touching a page that is gone raises SIGBUS, here as with any mapping.
 */
#ifndef ISTHMUS_H
#define ISTHMUS_H

#include <errno.h>
#include <isthmus/layout.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * How an existing object can be unfit: the negative of these is returned where
 * an object is opened and checked. Each is an errno value of its own.
 */
#define ISTHMUS_E_NOT_READY EAGAIN /* is being made by its creator: try again in a moment */
#define ISTHMUS_E_FOREIGN EILSEQ   /* not an object of this library, or not a plain segment */
#define ISTHMUS_E_VERSION EPROTONOSUPPORT /* written by another version of the format */
#define ISTHMUS_E_LAYOUT EPROTO           /* same version, other layout: another architecture */
#define ISTHMUS_E_KIND EPROTOTYPE         /* another kind of object than asked for */
#define ISTHMUS_E_TRUNCATED ENODATA       /* shorter than its header says */
#define ISTHMUS_E_CORRUPT EBADMSG         /* its header contradicts itself */
#define ISTHMUS_E_OWNER EREMOTE           /* belongs to a user that was not asked for */
#define ISTHMUS_E_REPLACED ESTALE         /* the name now stands for another object */

/* ---- Names ------------------------------------------------------------------ */

/* The longest name of an object in bytes, without the leading slash and the NUL. */
#define ISTHMUS_NAME_MAX 255
/* What the POSIX name of every typed object starts with. */
#define ISTHMUS_NAME_PREFIX "isthmus."

/*
 * Is this the name of a POSIX shared memory object? One leading slash is allowed.
 * -EINVAL: empty, ".", "..", or with a further slash; -ENAMETOOLONG.
 */
int isthmus_name_check(const char *name);

/*
 * The POSIX name (without slash) of the typed object that users call `name`:
 * ISTHMUS_NAME_PREFIX and the name with '%', '/' and control bytes written as %XX.
 * Reversible; different names stay different.
 * -EINVAL: empty; -ENAMETOOLONG: longer than ISTHMUS_NAME_MAX when escaped.
 */
int isthmus_name_escape(const char *name, char posix_name[ISTHMUS_NAME_MAX + 1]);

/* The reverse. -EINVAL when `posix_name` is not what isthmus_name_escape() makes of any name. */
int isthmus_name_unescape(const char *posix_name, char name[ISTHMUS_NAME_MAX + 1]);

/* ---- Raw segments ------------------------------------------------------------ */

/* A mapped segment. `fd` stays open until close: for resizing, passing on, or waiting. */
struct isthmus_segment {
    void *data;  /* start of the mapping, page-aligned */
    size_t size; /* bytes mapped */
    int fd;
    int readonly; /* mapped and opened for reading only */
};

#define ISTHMUS_ID_UNCHANGED ((int64_t)-1) /* as the system would have it */
#define ISTHMUS_OWNER_SELF ((int64_t)-1)   /* the effective user */
#define ISTHMUS_OWNER_ANY ((int64_t)-2)

struct isthmus_create_options {
    uint32_t mode; /* permission bits, at most 0777, exact: the umask is not applied */
    int64_t owner; /* user id, or ISTHMUS_ID_UNCHANGED */
    int64_t group; /* group id, or ISTHMUS_ID_UNCHANGED */
};
#define ISTHMUS_CREATE_DEFAULT {0600, ISTHMUS_ID_UNCHANGED, ISTHMUS_ID_UNCHANGED}

struct isthmus_attach_options {
    int readonly;
    int64_t owner; /* whose it may be: a user id, ISTHMUS_OWNER_SELF or ISTHMUS_OWNER_ANY */
};
#define ISTHMUS_ATTACH_DEFAULT {0, ISTHMUS_OWNER_SELF}

/*
 * Make a new POSIX shared memory object of `size` zero bytes and map it. All its
 * pages are reserved: a full file system is -ENOSPC here and not SIGBUS later. It
 * gets its name last, so nobody ever attaches to a half-made one.
 * `options` may be NULL for ISTHMUS_CREATE_DEFAULT.
 * Blocks only for as long as the kernel takes to find and clear the pages.
 * -EEXIST; -ENOSPC; -EINVAL (size 0, mode, name); -EFBIG; -ENAMETOOLONG; -EPERM (owner, group).
 */
int isthmus_segment_create(struct isthmus_segment *segment, const char *name, size_t size,
                           const struct isthmus_create_options *options);

/*
 * Map an existing POSIX shared memory object, whoever made it.
 * -ENOENT; -EACCES; -ISTHMUS_E_OWNER; -ISTHMUS_E_FOREIGN (a directory, link, FIFO …);
 * -ISTHMUS_E_NOT_READY (size 0: another program is about to set its size).
 */
int isthmus_segment_attach(struct isthmus_segment *segment, const char *name,
                           const struct isthmus_attach_options *options);

/* Unmap and close. The object and its name stay. Safe to call twice. */
void isthmus_segment_close(struct isthmus_segment *segment);

/*
 * Remove the name of this very object; the memory lives until its last user is gone.
 * -ENOENT: the name is gone; -ISTHMUS_E_REPLACED: it stands for another object by now,
 * which is left alone; -EPERM: attached for reading only.
 */
int isthmus_segment_unlink(const struct isthmus_segment *segment, const char *name);

/* ---- Typed objects ------------------------------------------------------------ */

/*
 * Copy the header out of a mapping and check that the copy can be trusted: that
 * magic, version, fingerprint and kind (ISTHMUS_KIND_ANY: any) are as expected and
 * that every offset in it lies inside the `mapped` bytes.
 * One of the ISTHMUS_E_* above, negated, if not.
 */
int isthmus_header_read(const void *data, size_t mapped, uint32_t kind,
                        struct isthmus_shared_header *header);

/* An attached array. `dtype` points into the mapping and has no terminator. */
struct isthmus_array {
    struct isthmus_segment segment;
    void *data;        /* the elements */
    uint64_t itemsize; /* bytes per element */
    uint64_t count;    /* elements */
    uint64_t shape[ISTHMUS_ARRAY_MAX_NDIM];
    uint32_t ndim;
    int fortran; /* first index varies fastest */
    const char *dtype;
    size_t dtype_size;
    uint64_t lock_offset; /* of its lock, see isthmus_array_lock() */
};

/* What an array to be made looks like. `dtype`: JSON as in docs/segment-format.md, "\"<f8\"". */
struct isthmus_array_plan {
    const char *dtype;
    uint64_t itemsize;
    const uint64_t *shape;
    uint32_t ndim;
    int fortran;
};

/* `name` is the user's name for it; isthmus_name_escape() is applied. Errors as for segments. */
int isthmus_array_create(struct isthmus_array *array, const char *name,
                         const struct isthmus_array_plan *plan,
                         const struct isthmus_create_options *options);
int isthmus_array_attach(struct isthmus_array *array, const char *name,
                         const struct isthmus_attach_options *options);
void isthmus_array_close(struct isthmus_array *array);
int isthmus_array_unlink(const struct isthmus_array *array, const char *name);

struct isthmus_primitive;
/*
 * Open the recursive lock that every array has (isthmus/primitives.h); nobody is made to
 * use it. It stands in the array's memory, so close it before the array.
 * -EPERM: attached for reading only.
 */
int isthmus_array_lock(const struct isthmus_array *array, struct isthmus_primitive *lock);

#ifdef __cplusplus
}
#endif

#include <isthmus/primitives.h>
#include <isthmus/ring.h>

#endif
