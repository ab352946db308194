/*
 * The operating system, as the core sees it: the only file that differs between
 * systems is the one that implements this. Every function is one system call, or
 * as many as it takes to make the same promise everywhere; results are 0 (or a
 * descriptor) or -errno. Nothing here retries on EINTR; what waits says so.
 */
#ifndef ISTHMUS_OS_H
#define ISTHMUS_OS_H

#include <stddef.h>
#include <stdint.h>

/* The directory in which the names of POSIX shared memory objects are files. */
#define ISTHMUS_OS_SHM_DIRECTORY "/dev/shm"

struct isthmus_os_status {
    uint64_t device, inode;
    uint64_t size;      /* bytes */
    uint64_t allocated; /* bytes that take room already, holes left out */
    uint64_t links;
    uint32_t mode; /* permission bits */
    uint32_t uid, gid;
    int regular; /* a plain file */
};

struct isthmus_os_sysv_status {
    uint64_t size; /* bytes, as asked for at creation */
    uint64_t attached;
    int32_t key;
    uint32_t mode;
    uint32_t uid, gid;
    int removed; /* marked for destruction, lives until the last one detaches */
};

uint32_t isthmus_os_pid(void);
uint32_t isthmus_os_uid(void);
uint64_t isthmus_os_realtime_ns(void);
size_t isthmus_os_page_size(void);
int isthmus_os_random(void *buffer, size_t size);

/* A file without a name in `directory`. -EOPNOTSUPP where that is not to be had. */
int isthmus_os_open_unnamed(const char *directory);
/* A new file that must not exist yet. */
int isthmus_os_open_new(const char *path);
/* An existing object. Never follows a link, never blocks on a FIFO. */
int isthmus_os_open(const char *path, int readonly);
/*
 * Open once more what `fd` stands for: a description of its own, with locks and access of its own.
 * Where that is not to be had (no /proc, no right any more), another descriptor of `fd`.
 */
int isthmus_os_reopen(int fd, int readonly);
int isthmus_os_close(int fd);
/* Give a file from isthmus_os_open_unnamed() its name. -EEXIST when it is taken. */
int isthmus_os_link_unnamed(int fd, const char *path);
int isthmus_os_link(const char *from, const char *to);
int isthmus_os_unlink(const char *path);
/* Say by a lock on the open file that somebody is at work on it; released by close or death. */
int isthmus_os_mark_draft(int fd);
int isthmus_os_unmark_draft(int fd);
/*
 * Keep others from changing the size meanwhile, those that ask by this lock: `shared` by whoever
 * needs it to stay, else by whoever changes it. Waits for them; -EINTR when a signal comes. 0 also
 * where the file system has no locks. Released by the kernel when the holder dies.
 */
int isthmus_os_lock_size(int fd, int shared);
int isthmus_os_unlock_size(int fd);

int isthmus_os_status(int fd, struct isthmus_os_status *status);
int isthmus_os_status_at(const char *path, struct isthmus_os_status *status);
/*
 * Tells a file from an earlier one that had the same inode number: of the open file `fd`, or, when
 * `fd` is negative, of the one at `path`. 0 where the file system does not tell.
 */
int isthmus_os_generation(int fd, const char *path, uint64_t *generation);
/* owner, group: -1 leaves it. */
int isthmus_os_set_owner(int fd, int64_t owner, int64_t group);
int isthmus_os_set_mode(int fd, uint32_t mode);
/* Allocate the bytes [offset, offset + length), making the file that long if it is shorter. */
int isthmus_os_reserve(int fd, uint64_t offset, uint64_t length);
int isthmus_os_truncate(int fd, uint64_t size);
/* Bytes free for this user on the file system of `fd`; UINT64_MAX where it has no limit. */
int isthmus_os_available(int fd, uint64_t *available);
/*
 * Memory that the host can give without killing anybody, for a file that lives in memory;
 * UINT64_MAX for one that lives on a disk, or where the host does not tell.
 */
int isthmus_os_available_memory(int fd, uint64_t *available);

int isthmus_os_map(int fd, size_t size, int readonly, void **data);
/*
 * Map the first `size` bytes of a file; of the last `pieces` times `length` of them, both multiples
 * of a page, each piece twice, back to back. In all size + pieces * length bytes from *data on.
 * Where *data is not NULL: in the place of such a mapping, which lets go of the open file
 * description that it was made by: a mapping keeps that open, and with it its locks.
 */
int isthmus_os_map_mirrored(int fd, size_t size, size_t length, uint32_t pieces, void **data);
/* Put memory of this process's own, all zero, in the place of a mapping, in one step. */
int isthmus_os_map_over(void *data, size_t size);
int isthmus_os_map_exact(void *hint, size_t size, int protection, int flags, int fd,
                         uint64_t offset, void **data);
/*
 * Bring the pages in that hold the bytes [data, data + size) of a mapping, so that reading them
 * cannot raise SIGBUS: -EFAULT when one is beyond the end of the file, or a hole that a full file
 * system cannot fill. 0 also where the kernel has no such call (before Linux 5.14).
 */
int isthmus_os_populate(const void *data, size_t size);
/*
 * Copy `size` bytes of a mapping whose file others may cut off at any moment. -EFAULT: they are not
 * there. A hole is filled by it, unless the file system has no room.
 */
int isthmus_os_copy_out(const void *from, size_t size, void *to);
int isthmus_os_unmap(void *data, size_t size);
int isthmus_os_flush(void *data, size_t size, int flags);
int isthmus_os_advise(void *data, size_t size, int advice);
int isthmus_os_lock_memory(const void *data, size_t size);
int isthmus_os_unlock_memory(const void *data, size_t size);

/* A memory object without a name that can be sealed. `label` is for people (/proc/self/maps). */
int isthmus_os_memory(const char *label);
/*
 * The same, by a description that doorbells hear: the kernel (from Linux 6.14 on) tells nobody what
 * becomes of the one that made it. As above where there is no /proc.
 */
int isthmus_os_audible_memory(const char *label);
int isthmus_os_add_seals(int fd, int seals);
int isthmus_os_get_seals(int fd, int *seals);

/*
 * Locks on single bytes of an open file, for liveness (isthmus/layout.h): they go with the
 * description of `fd`, when its last descriptor is closed or its last process dies.
 * try: -EAGAIN when another description has it in a way that excludes ours; what ours had
 * there before is replaced. held: 1 when another description has it in any way.
 */
int isthmus_os_try_byte(int fd, uint64_t byte, int shared);
int isthmus_os_release_byte(int fd, uint64_t byte);
int isthmus_os_byte_held(int fd, uint64_t byte);
/* As isthmus_os_reopen(), for reading and writing, but -ENOSYS where that is not to be had. */
int isthmus_os_own_description(int fd);

/*
 * Sleep while *word is `expected`, until `deadline` (CLOCK_MONOTONIC, nanoseconds) at most.
 * 0: woken, or it was another already, or for no reason; -ETIMEDOUT; -EINTR.
 */
int isthmus_os_futex_wait(const uint32_t *word, uint32_t expected, uint64_t deadline);
/*
 * The same for several words at once: until one of them is another, or is woken. At most
 * ISTHMUS_OS_FUTEXES. -ENOSYS: this system cannot (before Linux 5.16, or forbidden).
 */
#define ISTHMUS_OS_FUTEXES 128u
struct isthmus_os_futex {
    const uint32_t *word;
    uint32_t expected;
};
int isthmus_os_futex_wait_many(const struct isthmus_os_futex *futexes, unsigned count,
                               uint64_t deadline);
/* Wake up to `count` sleepers. */
void isthmus_os_futex_wake(uint32_t *word, uint32_t count);

/*
 * Waiting on a descriptor. A doorbell watches files: `poll` is readable when one of them has been
 * rung, or a descriptor of it that was open for writing has gone, as they do with a process,
 * or the timer has expired. watch < 0: the system gives no more of them; only the timer is left.
 * All of it goes with the process.
 */
struct isthmus_os_doorbell {
    int poll, watch, timer;
};
#define ISTHMUS_OS_DOORBELL_CLOSED {-1, -1, -1}
/* With `watch` of one that is no more, see keep; or -1: of its own. */
int isthmus_os_doorbell_open(struct isthmus_os_doorbell *doorbell, int watch);
void isthmus_os_doorbell_close(struct isthmus_os_doorbell *doorbell);
/*
 * The same, but for its watch, which is returned, or -1: to close one takes the kernel 10 ms. All
 * files must be unwatched.
 */
int isthmus_os_doorbell_keep(struct isthmus_os_doorbell *doorbell);
/* The number by which the file of `fd` is known; the same for the same file. -ENOSPC … */
int isthmus_os_doorbell_watch(struct isthmus_os_doorbell *doorbell, int fd);
/*
 * The same for a file that is written to, and rung by nothing else: other readers are not heard.
 * All is told as ISTHMUS_OS_ROOM, or as an event that was dropped.
 */
int isthmus_os_doorbell_watch_writes(struct isthmus_os_doorbell *doorbell, int fd);
/* An event that says so may still come, and is as one that was dropped. */
void isthmus_os_doorbell_unwatch(struct isthmus_os_doorbell *doorbell, int id);
/* Once, in so many nanoseconds from now; 0: never. */
void isthmus_os_doorbell_after(struct isthmus_os_doorbell *doorbell, uint64_t nanoseconds);
/* Has that time come? It is over then. */
int isthmus_os_doorbell_timer(struct isthmus_os_doorbell *doorbell);

/* What has happened to a file. id < 0: so much that it is not known to which of them. */
#define ISTHMUS_OS_READY 1u
#define ISTHMUS_OS_ROOM 2u
#define ISTHMUS_OS_GONE 4u
#define ISTHMUS_OS_RUNG 64u
struct isthmus_os_rung {
    int id;
    uint32_t what;
};
/* How many there were, up to `room` and ISTHMUS_OS_RUNG; they are read then. -errno. */
int isthmus_os_doorbell_read(struct isthmus_os_doorbell *doorbell, struct isthmus_os_rung *rung,
                             unsigned room);
/* Ring at all doorbells that watch the file of `fd`, a description of this process's own. */
void isthmus_os_ring(int fd, uint32_t whom);

uint64_t isthmus_os_monotonic_ns(void);
/* The same clock as it was at the last tick, some milliseconds ago at most; costs less. */
uint64_t isthmus_os_coarse_ns(void);
/* The calling thread's id, asked for once per thread. */
uint32_t isthmus_os_tid(void);
/* The calling thread is another now: in the child after a fork. */
void isthmus_os_forget_tid(void);
/* Inode of this process's pid namespace, low 32 bits; 0: not known. */
uint32_t isthmus_os_pid_namespace(void);
/* Processors that this process may use. */
unsigned isthmus_os_processors(void);

/* System V shared memory; `id` in *id. flags as in shmget(2). */
int isthmus_os_sysv_get(int32_t key, size_t size, int flags, int *id);
int isthmus_os_sysv_attach(int id, void *hint, int flags, void **data);
int isthmus_os_sysv_detach(void *data);
int isthmus_os_sysv_status(int id, struct isthmus_os_sysv_status *status);
int isthmus_os_sysv_set_owner(int id, int64_t owner, int64_t group);
int isthmus_os_sysv_remove(int id);

#endif
