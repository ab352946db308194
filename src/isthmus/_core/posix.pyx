# cython: language_level=3, freethreading_compatible=True, auto_pickle=False, autotestdict=False
"""The calls of POSIX for shared memory, semaphores and message queues, as libc has them.

Conversion only. What users import is `isthmus.posix`, which adds the constants'
meanings and everything that is not a call of the C library.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_GET_BUFFER, PyMemoryView_GetContiguous
from libc.stdint cimport uintptr_t
from libc.string cimport memset

include "bare.pxi"


cdef extern from *:
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <mqueue.h>
    #include <semaphore.h>
    #include <signal.h>
    #include <sys/mman.h>
    #include <sys/syscall.h>
    #include <time.h>
    #include <unistd.h>

    #ifndef HAVE_SEM_CLOCKWAIT
    static int no_sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *deadline)
    {
        (void)sem, (void)clock, (void)deadline;
        errno = ENOSYS;
        return -1;
    }
    #define sem_clockwait no_sem_clockwait
    #endif

    #define SEM_ALIGNMENT _Alignof(sem_t)

    /* How the kernel tells a socket of a message: the C library has no call for it. */
    static int mq_notify_socket(mqd_t queue, int fd, void *cookie)
    {
    #ifdef SYS_mq_notify
        struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_signo = fd};
        event.sigev_value.sival_ptr = cookie;
        return (int)syscall(SYS_mq_notify, queue, &event);
    #else
        (void)queue, (void)fd, (void)cookie;
        errno = ENOSYS;
        return -1;
    #endif
    }

    /* Newer than some C libraries; an older kernel ignores the first two. */
    #ifndef MAP_FIXED_NOREPLACE
    #define MAP_FIXED_NOREPLACE 0x100000
    #endif
    #ifndef MAP_SYNC
    #define MAP_SYNC 0x80000
    #endif
    #ifndef MAP_SHARED_VALIDATE
    #define MAP_SHARED_VALIDATE 0x03
    #endif
    /* The kernel has it, the C library does not name it. */
    #ifndef MAP_UNINITIALIZED
    #define MAP_UNINITIALIZED 0x4000000
    #endif
    /* x86 only: nothing elsewhere. */
    #ifndef MAP_32BIT
    #define MAP_32BIT 0
    #endif
    #ifndef MQ_PRIO_MAX
    #define MQ_PRIO_MAX 32768
    #endif

    #define CONSTANT(name) {#name, (long long)name}
    static const struct constant posix_constants[] = {
        CONSTANT(O_RDONLY), CONSTANT(O_WRONLY), CONSTANT(O_RDWR), CONSTANT(O_CREAT),
        CONSTANT(O_EXCL), CONSTANT(O_TRUNC), CONSTANT(O_NONBLOCK), CONSTANT(O_CLOEXEC),
        CONSTANT(O_NOFOLLOW),
        CONSTANT(PROT_NONE), CONSTANT(PROT_READ), CONSTANT(PROT_WRITE), CONSTANT(PROT_EXEC),
        CONSTANT(MAP_SHARED), CONSTANT(MAP_PRIVATE), CONSTANT(MAP_FIXED), CONSTANT(MAP_ANONYMOUS),
        CONSTANT(MAP_SHARED_VALIDATE), CONSTANT(MAP_FIXED_NOREPLACE), CONSTANT(MAP_SYNC),
        CONSTANT(MAP_POPULATE), CONSTANT(MAP_NONBLOCK), CONSTANT(MAP_NORESERVE),
        CONSTANT(MAP_LOCKED), CONSTANT(MAP_HUGETLB), CONSTANT(MAP_STACK),
        CONSTANT(MAP_GROWSDOWN), CONSTANT(MAP_ANON), CONSTANT(MAP_FILE), CONSTANT(MAP_32BIT),
        CONSTANT(MAP_DENYWRITE), CONSTANT(MAP_EXECUTABLE), CONSTANT(MAP_UNINITIALIZED),
        {"MAP_HUGE_SHIFT", 26}, {"MAP_HUGE_2MB", 21ll << 26}, {"MAP_HUGE_1GB", 30ll << 26},
        CONSTANT(MS_ASYNC), CONSTANT(MS_SYNC), CONSTANT(MS_INVALIDATE),
        CONSTANT(SIGEV_NONE), CONSTANT(SIGEV_SIGNAL), CONSTANT(SIGEV_THREAD),
        CONSTANT(CLOCK_REALTIME), CONSTANT(CLOCK_MONOTONIC),
        {"SEM_VALUE_MAX", SEM_VALUE_MAX}, {"SIZEOF_SEM_T", sizeof(sem_t)},
        {"ALIGNOF_SEM_T", SEM_ALIGNMENT},
        {"MQ_PRIO_MAX", MQ_PRIO_MAX},
        {NULL, 0},
    };
    #undef CONSTANT
    """


cdef extern from *:
    constant posix_constants[]
    size_t SEM_ALIGNMENT


cdef extern from "<errno.h>":
    int EBUSY


cdef extern from "<sys/mman.h>" nogil:
    int c_shm_open "shm_open"(const char *name, int oflag, unsigned int mode)
    int c_shm_unlink "shm_unlink"(const char *name)


cdef extern from "<unistd.h>" nogil:
    int c_ftruncate "ftruncate"(int fd, long long length)


cdef int define_constants() except -1:
    cdef const constant *row = posix_constants
    names = globals()
    while row.name is not NULL:
        names[(<bytes>row.name).decode()] = row.value
        row += 1
    return 0


define_constants()


def shm_open(name, oflag, mode=0o600):
    """Open the shared memory object `name`: a new file descriptor, close-on-exec.

    `oflag` is O_RDONLY or O_RDWR, with O_CREAT, O_EXCL, O_TRUNC as needed. A new object
    has size 0 and the permission bits `mode & ~umask`. The name goes to the C library as
    it is: one that starts with a slash and has no other is good everywhere.

    Does not block. Raises OSError about `name`: FileNotFoundError (ENOENT; also without
    O_CREAT), FileExistsError (O_CREAT | O_EXCL), PermissionError (EACCES), EINVAL for a
    bad name, ENAMETOOLONG, EMFILE, ENFILE.
    """
    cdef bytes text = encoded(name)
    cdef const char *c_name = text
    cdef int flags = whole(oflag, "oflag", INT_MIN, INT_MAX)
    cdef unsigned int bits = whole(mode, "mode", 0, 0o7777)
    cdef int fd, error
    while True:
        with nogil:
            fd = c_shm_open(c_name, flags, bits)
            error = errno
        if fd >= 0:
            return fd
        if error != EINTR:
            fail(error, name)
        PyErr_CheckSignals()


def shm_unlink(name):
    """Remove the name of a shared memory object. The memory lives until its last user is gone.

    Raises OSError about `name`: FileNotFoundError, PermissionError.
    """
    cdef bytes text = encoded(name)
    cdef const char *c_name = text
    cdef int failed, error
    # The last name of large memory: freeing it takes a while.
    with nogil:
        failed = c_shm_unlink(c_name)
        error = errno
    if failed:
        fail(error, name)


def ftruncate(fd, length):
    """Make the object open as `fd` exactly `length` bytes long; what is new reads as zero.

    Nothing is reserved: a later write to a full file system is a SIGBUS. Raises OSError
    about `fd`: EBADF, EINVAL (not open for writing), EFBIG, EPERM (sealed).
    """
    cdef int c_fd = whole(fd, "fd", INT_MIN, INT_MAX)
    cdef long long c_length = whole(length, "length", -LLONG_MAX - 1, LLONG_MAX)
    cdef int failed, error
    while True:
        with nogil:
            failed = c_ftruncate(c_fd, c_length)
            error = errno
        if not failed:
            return
        if error != EINTR:
            fail(error, fd)
        PyErr_CheckSignals()


include "posix_handle.pxi"
include "posix_semaphore.pxi"
include "posix_queue.pxi"
