/* The os layer on Linux. See os.h for what each function promises. */
#define _GNU_SOURCE
#include "os.h"

#include "killpoint.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

/* Bytes to lock: far beyond any data, so that no data lock is ever in the way. */
#define DRAFT_LOCK_OFFSET ((off_t)1 << 62)
#define SIZE_LOCK_OFFSET (((off_t)1 << 62) + 1)

/* Headers before Linux 5.16. The number is the same on all processors but Alpha. */
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#define FUTEX_OF_32_BITS 2u

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* headers before glibc 2.35 */
#endif

static int result(int value)
{
    return value < 0 ? -errno : value;
}

/* For calls that change something outside this process: points to die before and after. */
#define STEP(call)                                                                                 \
    do {                                                                                           \
        ISTHMUS_KILL_POINT();                                                                      \
        int step_result = result(call);                                                            \
        ISTHMUS_KILL_POINT();                                                                      \
        return step_result;                                                                        \
    } while (0)

uint32_t isthmus_os_pid(void)
{
    return (uint32_t)getpid();
}

uint32_t isthmus_os_uid(void)
{
    return (uint32_t)geteuid();
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t isthmus_os_realtime_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

uint64_t isthmus_os_monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t isthmus_os_coarse_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC_COARSE);
}

size_t isthmus_os_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

int isthmus_os_random(void *buffer, size_t size)
{
    ssize_t got = getrandom(buffer, size, 0);
    if (got < 0)
        return -errno;
    return (size_t)got == size ? 0 : -EIO;
}

int isthmus_os_open_unnamed(const char *directory)
{
    ISTHMUS_KILL_POINT();
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    int error = errno;
    ISTHMUS_KILL_POINT();
    if (fd >= 0)
        return fd;
    /* Without O_TMPFILE, kernel or file system see an attempt to write to a directory. */
    return error == EISDIR ? -EOPNOTSUPP : -error;
}

int isthmus_os_open_new(const char *path)
{
    STEP(open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
}

int isthmus_os_open(const char *path, int readonly)
{
    return result(open(path, (readonly ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
}

int isthmus_os_reopen(int fd, int readonly)
{
    char proc[64];
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    int again = open(proc, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    return again >= 0 ? again : result(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

int isthmus_os_close(int fd)
{
    STEP(close(fd));
}

int isthmus_os_link_unnamed(int fd, const char *path)
{
    ISTHMUS_KILL_POINT();
    int failed = linkat(fd, "", AT_FDCWD, path, AT_EMPTY_PATH);
    if (failed && errno == ENOENT) {
        /* Linking by descriptor needs a capability (before Linux 6.10); by /proc it does not. */
        char proc[64];
        snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
        failed = linkat(AT_FDCWD, proc, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
    }
    int error = errno;
    ISTHMUS_KILL_POINT();
    return failed ? -error : 0;
}

int isthmus_os_link(const char *from, const char *to)
{
    STEP(link(from, to));
}

int isthmus_os_unlink(const char *path)
{
    STEP(unlink(path));
}

static int lock_byte(int fd, int command, short type, off_t offset)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = offset, .l_len = 1};
    STEP(fcntl(fd, command, &lock));
}

int isthmus_os_mark_draft(int fd)
{
    return lock_byte(fd, F_OFD_SETLK, F_WRLCK, DRAFT_LOCK_OFFSET);
}

int isthmus_os_unmark_draft(int fd)
{
    return lock_byte(fd, F_OFD_SETLK, F_UNLCK, DRAFT_LOCK_OFFSET);
}

/* Without locks in the file system, a size is as safe as the users' good manners. */
static int lock_size(int fd, int command, short type)
{
    int error = lock_byte(fd, command, type, SIZE_LOCK_OFFSET);
    return error == -ENOLCK || error == -EOPNOTSUPP || error == -ENOSYS ? 0 : error;
}

int isthmus_os_lock_size(int fd, int shared)
{
    return lock_size(fd, F_OFD_SETLKW, shared ? F_RDLCK : F_WRLCK);
}

int isthmus_os_unlock_size(int fd)
{
    return lock_size(fd, F_OFD_SETLK, F_UNLCK);
}

static int fill_status(int failed, const struct stat *from, struct isthmus_os_status *to)
{
    if (failed)
        return -errno;
    to->device = (uint64_t)from->st_dev;
    to->inode = (uint64_t)from->st_ino;
    to->size = (uint64_t)from->st_size;
    to->allocated = (uint64_t)from->st_blocks * 512;
    to->links = (uint64_t)from->st_nlink;
    to->mode = (uint32_t)from->st_mode & 07777u;
    to->uid = (uint32_t)from->st_uid;
    to->gid = (uint32_t)from->st_gid;
    to->regular = S_ISREG(from->st_mode);
    return 0;
}

int isthmus_os_status(int fd, struct isthmus_os_status *status)
{
    struct stat found;
    return fill_status(fstat(fd, &found), &found, status);
}

int isthmus_os_status_at(const char *path, struct isthmus_os_status *status)
{
    struct stat found;
    return fill_status(lstat(path, &found), &found, status);
}

int isthmus_os_generation(int fd, const char *path, uint64_t *generation)
{
    union {
        struct file_handle handle;
        unsigned char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } found;
    int mount;

    *generation = 0;
    found.handle.handle_bytes = MAX_HANDLE_SZ;
    if (name_to_handle_at(fd < 0 ? AT_FDCWD : fd, fd < 0 ? path : "", &found.handle, &mount,
                          fd < 0 ? 0 : AT_EMPTY_PATH))
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? -errno : 0;
    /* What is in a handle is known to its file system only; a hash (FNV-1a) of it will do. */
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (unsigned i = 0; i < found.handle.handle_bytes; i++)
        hash = (hash ^ found.handle.f_handle[i]) * UINT64_C(0x100000001b3);
    *generation = hash;
    return 0;
}

int isthmus_os_set_owner(int fd, int64_t owner, int64_t group)
{
    STEP(fchown(fd, (uid_t)owner, (gid_t)group));
}

int isthmus_os_set_mode(int fd, uint32_t mode)
{
    STEP(fchmod(fd, (mode_t)mode));
}

int isthmus_os_reserve(int fd, uint64_t offset, uint64_t length)
{
    ISTHMUS_KILL_POINT();
    int error = fallocate(fd, 0, (off_t)offset, (off_t)length) ? errno : 0;
    if (error == EOPNOTSUPP || error == ENOSYS)
        /* The file system cannot reserve; the C library then writes a byte to every block. */
        error = posix_fallocate(fd, (off_t)offset, (off_t)length);
    ISTHMUS_KILL_POINT();
    return -error;
}

int isthmus_os_truncate(int fd, uint64_t size)
{
    STEP(ftruncate(fd, (off_t)size));
}

int isthmus_os_available(int fd, uint64_t *available)
{
    struct statvfs found;
    if (fstatvfs(fd, &found))
        return -errno;
    /* A tmpfs mounted without a limit reports no blocks at all. */
    *available = found.f_blocks ? (uint64_t)found.f_bavail * (uint64_t)found.f_frsize : UINT64_MAX;
    return 0;
}

/* The value of a line "Name:   123 kB" of /proc/meminfo, in bytes; 0 if it is not there. */
static uint64_t meminfo_bytes(const char *text, const char *name)
{
    const char *line = strstr(text, name);
    return line ? strtoull(line + strlen(name), NULL, 10) * 1024 : 0;
}

int isthmus_os_available_memory(int fd, uint64_t *available)
{
    struct statfs found;
    char text[4096];

    if (fstatfs(fd, &found))
        return -errno;
    *available = UINT64_MAX;
    if (found.f_type != TMPFS_MAGIC)
        return 0;
    int meminfo = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
    if (meminfo < 0)
        return 0;
    ssize_t length = read(meminfo, text, sizeof text - 1);
    close(meminfo);
    if (length > 0) {
        text[length] = '\0';
        uint64_t memory = meminfo_bytes(text, "MemAvailable:");
        if (memory)
            *available = memory + meminfo_bytes(text, "SwapFree:");
    }
    return 0;
}

int isthmus_os_map(int fd, size_t size, int readonly, void **data)
{
    return isthmus_os_map_exact(NULL, size, readonly ? PROT_READ : PROT_READ | PROT_WRITE,
                                MAP_SHARED, fd, 0, data);
}

int isthmus_os_map_exact(void *hint, size_t size, int protection, int flags, int fd,
                         uint64_t offset, void **data)
{
    ISTHMUS_KILL_POINT();
    void *mapped = mmap(hint, size, protection, flags, fd, (off_t)offset);
    int error = errno;
    ISTHMUS_KILL_POINT();
    if (mapped == MAP_FAILED)
        return -error;
    *data = mapped;
    return 0;
}

int isthmus_os_map_over(void *data, size_t size)
{
    return isthmus_os_map_exact(data, size, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0,
                                &data);
}

int isthmus_os_map_mirrored(int fd, size_t size, size_t length, uint32_t pieces, void **data)
{
    const size_t whole = size + pieces * length;
    const size_t base = size - pieces * length; /* mapped once, together with the first piece */
    const int protection = PROT_READ | PROT_WRITE;
    const int flags = MAP_SHARED | MAP_FIXED;
    void *start = *data;
    void *ignored;
    int error = 0;

    /* First the room, so that nothing of anybody else's is in it. */
    if (!start)
        error = isthmus_os_map_exact(NULL, whole, PROT_NONE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, &start);
    if (error)
        return error;
    error = isthmus_os_map_exact(start, base + (pieces ? length : 0), protection, flags, fd, 0,
                                 &ignored);
    for (uint32_t i = 0; !error && i < 2 * pieces; i++)
        if (i > 0)
            error = isthmus_os_map_exact((char *)start + base + i * length, length, protection,
                                         flags, fd, base + i / 2 * length, &ignored);
    if (error && !*data)
        isthmus_os_unmap(start, whole);
    else
        *data = start;
    return error;
}

int isthmus_os_populate(const void *data, size_t size)
{
    const uintptr_t before = (uintptr_t)data % isthmus_os_page_size();
    if (!madvise((char *)data - before, size + before, MADV_POPULATE_READ))
        return 0;
    return errno == EFAULT ? -EFAULT : 0;
}

int isthmus_os_unmap(void *data, size_t size)
{
    ISTHMUS_KILL_POINT();
    int error = result(munmap(data, size));
    /*
     * mmap() rounds a size up to whole huge pages, munmap() refuses a part of one, and nobody says
     * how large they are. A size that is too small still ends inside a page and is refused as
     * well, so the first one that is not refused is what is mapped, and no more.
     */
    for (size_t page = 4096; error == -EINVAL && page; page *= 2)
        error = result(munmap(data, (size + page - 1) & ~(page - 1)));
    ISTHMUS_KILL_POINT();
    return error;
}

int isthmus_os_flush(void *data, size_t size, int flags)
{
    return result(msync(data, size, flags));
}

int isthmus_os_advise(void *data, size_t size, int advice)
{
    return result(madvise(data, size, advice));
}

int isthmus_os_lock_memory(const void *data, size_t size)
{
    return result(mlock(data, size));
}

int isthmus_os_unlock_memory(const void *data, size_t size)
{
    return result(munlock(data, size));
}

int isthmus_os_memory(const char *label)
{
    STEP(memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

int isthmus_os_add_seals(int fd, int seals)
{
    STEP(fcntl(fd, F_ADD_SEALS, seals));
}

int isthmus_os_get_seals(int fd, int *seals)
{
    int found = fcntl(fd, F_GET_SEALS);
    if (found < 0)
        return -errno;
    *seals = found;
    return 0;
}

/* ---- Liveness and waiting --------------------------------------------------------- */

int isthmus_os_try_byte(int fd, uint64_t byte, int shared)
{
    int error = lock_byte(fd, F_OFD_SETLK, shared ? F_RDLCK : F_WRLCK, (off_t)byte);
    return error == -EACCES ? -EAGAIN : error;
}

int isthmus_os_release_byte(int fd, uint64_t byte)
{
    return lock_byte(fd, F_OFD_SETLK, F_UNLCK, (off_t)byte);
}

int isthmus_os_byte_held(int fd, uint64_t byte)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    ISTHMUS_KILL_POINT();
    if (fcntl(fd, F_OFD_GETLK, &lock))
        return -errno;
    return lock.l_type != F_UNLCK;
}

int isthmus_os_own_description(int fd)
{
    char proc[64];
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    ISTHMUS_KILL_POINT();
    int again = open(proc, O_RDWR | O_CLOEXEC);
    int error = errno;
    ISTHMUS_KILL_POINT();
    if (again >= 0)
        return again;
    return error == ENOENT ? -ENOSYS : -error;
}

static long futex(const uint32_t *word, int operation, uint32_t value, const struct timespec *until)
{
    return syscall(SYS_futex, word, operation, value, until, NULL, FUTEX_BITSET_MATCH_ANY);
}

int isthmus_os_futex_wait(const uint32_t *word, uint32_t expected, uint64_t deadline)
{
    const struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000u),
                                   .tv_nsec = (long)(deadline % 1000000000u)};
    ISTHMUS_KILL_POINT();
    /* With a bit set, as opposed to a plain wait, the time is a point of the monotonic clock. */
    int error = futex(word, FUTEX_WAIT_BITSET, expected, &until) ? errno : 0;
    ISTHMUS_KILL_POINT();
    return error == EAGAIN ? 0 : -error;
}

int isthmus_os_futex_wait_many(const struct isthmus_os_futex *futexes, unsigned count,
                               uint64_t deadline)
{
    const struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000u),
                                   .tv_nsec = (long)(deadline % 1000000000u)};
    /* As the kernel has it; not in headers before Linux 5.16. */
    struct {
        uint64_t expected, address;
        uint32_t flags, reserved;
    } waits[ISTHMUS_OS_FUTEXES];

    if (count > ISTHMUS_OS_FUTEXES)
        return -EINVAL;
    for (unsigned i = 0; i < count; i++) {
        waits[i].expected = futexes[i].expected;
        waits[i].address = (uintptr_t)futexes[i].word;
        waits[i].flags = FUTEX_OF_32_BITS;
        waits[i].reserved = 0;
    }
    ISTHMUS_KILL_POINT();
    long woken = syscall(SYS_futex_waitv, waits, count, 0, &until, CLOCK_MONOTONIC);
    int error = woken < 0 ? errno : 0;
    ISTHMUS_KILL_POINT();
    /* Filters of system calls, in containers, say EPERM for what they have never heard of. */
    return error == EAGAIN ? 0 : error == EPERM ? -ENOSYS : -error;
}

void isthmus_os_futex_wake(uint32_t *word, uint32_t count)
{
    ISTHMUS_KILL_POINT();
    futex(word, FUTEX_WAKE, count > INT32_MAX ? INT32_MAX : count, NULL);
    ISTHMUS_KILL_POINT();
}

static _Thread_local uint32_t known_tid;

uint32_t isthmus_os_tid(void)
{
    if (!known_tid)
        known_tid = (uint32_t)syscall(SYS_gettid);
    return known_tid;
}

void isthmus_os_forget_tid(void)
{
    known_tid = 0;
}

uint32_t isthmus_os_pid_namespace(void)
{
    struct stat found;
    return stat("/proc/self/ns/pid", &found) ? 0 : (uint32_t)found.st_ino;
}

unsigned isthmus_os_processors(void)
{
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set))
        return (unsigned)CPU_COUNT(&set);
    /* More processors than fit into the set: many. */
    return 2;
}

int isthmus_os_sysv_get(int32_t key, size_t size, int flags, int *id)
{
    ISTHMUS_KILL_POINT();
    int found = shmget((key_t)key, size, flags);
    int error = errno;
    ISTHMUS_KILL_POINT();
    if (found < 0)
        return -error;
    *id = found;
    return 0;
}

int isthmus_os_sysv_attach(int id, void *hint, int flags, void **data)
{
    ISTHMUS_KILL_POINT();
    void *mapped = shmat(id, hint, flags);
    int error = errno;
    ISTHMUS_KILL_POINT();
    if (mapped == (void *)-1)
        return -error;
    *data = mapped;
    return 0;
}

int isthmus_os_sysv_detach(void *data)
{
    STEP(shmdt(data));
}

int isthmus_os_sysv_status(int id, struct isthmus_os_sysv_status *status)
{
    struct shmid_ds found;
    if (shmctl(id, IPC_STAT, &found))
        return -errno;
    status->size = (uint64_t)found.shm_segsz;
    status->attached = (uint64_t)found.shm_nattch;
    status->key = (int32_t)found.shm_perm.__key;
    status->mode = (uint32_t)found.shm_perm.mode & 0777u;
    status->uid = (uint32_t)found.shm_perm.uid;
    status->gid = (uint32_t)found.shm_perm.gid;
    status->removed = (found.shm_perm.mode & SHM_DEST) != 0;
    return 0;
}

int isthmus_os_sysv_set_owner(int id, int64_t owner, int64_t group)
{
    struct shmid_ds found;
    if (shmctl(id, IPC_STAT, &found))
        return -errno;
    if (owner >= 0)
        found.shm_perm.uid = (uid_t)owner;
    if (group >= 0)
        found.shm_perm.gid = (gid_t)group;
    STEP(shmctl(id, IPC_SET, &found));
}

int isthmus_os_sysv_remove(int id)
{
    STEP(shmctl(id, IPC_RMID, NULL));
}
