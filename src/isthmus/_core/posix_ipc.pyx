# cython: language_level=3, freethreading_compatible=True, auto_pickle=False, autotestdict=False
"""What `isthmus.compat.posix_ipc` takes its classes, functions and exceptions from.

Each call is one call of the C library, with the errors of the package posix_ipc.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EACCES, EAGAIN, EBADF, EEXIST, EINVAL, ENOENT, ENOMEM
from libc.string cimport memset, strlen
from posix.stat cimport fstat, struct_stat
from posix.unistd cimport close as c_close, ftruncate as c_ftruncate

include "bare.pxi"


cdef extern from "Python.h":
    long PyLong_AsLong(object number) except? -1
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    bytes PyUnicode_EncodeFSDefault(object text)
    str PyUnicode_DecodeFSDefaultAndSize(const char *text, Py_ssize_t size)


cdef extern from *:
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <mqueue.h>
    #include <pthread.h>
    #include <semaphore.h>
    #include <signal.h>
    #include <sys/mman.h>
    #include <sys/random.h>
    #include <time.h>
    #include <unistd.h>

    /* How often this process, or one that it was forked from, has been the child of a fork. */
    static unsigned int isthmus_forks;

    static void isthmus_has_forked(void)
    {
        isthmus_forks++;
    }

    static int isthmus_count_forks(void)
    {
        return pthread_atfork(NULL, NULL, isthmus_has_forked);
    }
    """
    int EFBIG
    int EMFILE
    int EMSGSIZE
    int ENAMETOOLONG
    int ENFILE
    int ENOSPC
    int EPERM
    int EBUSY
    int ETIMEDOUT
    int O_CREAT
    int O_EXCL
    int O_TRUNC
    int O_NONBLOCK
    int O_RDONLY
    int O_WRONLY
    int O_RDWR
    unsigned int isthmus_forks
    int isthmus_count_forks()
    ssize_t getrandom(void *to, size_t size, unsigned int flags) nogil


if isthmus_count_forks():
    raise MemoryError("no memory to be told of forks")


# ---- Exceptions ----------------------------------------------------------------------


class Error(Exception):
    """What all errors of this module are derived from, but those that Python itself has."""

    __module__ = "isthmus.compat.posix_ipc"


class SignalError(Error):
    """A signal has ended a wait; nothing has been taken or sent.

    What its handler raised, unless that was KeyboardInterrupt, is the `__context__`.
    """

    __module__ = "isthmus.compat.posix_ipc"


class PermissionsError(Error):
    """The object's permissions, or how it was opened, do not allow this."""

    __module__ = "isthmus.compat.posix_ipc"


class ExistentialError(Error):
    """There is no such object, or there is one already, or its handle has been closed."""

    __module__ = "isthmus.compat.posix_ipc"


class BusyError(Error):
    """It would have to wait longer than it may; or another process is to be notified."""

    __module__ = "isthmus.compat.posix_ipc"


# As C variables: to raise one costs no look-up.
cdef object c_Error = Error
cdef object c_SignalError = SignalError
cdef object c_PermissionsError = PermissionsError
cdef object c_ExistentialError = ExistentialError
cdef object c_BusyError = BusyError


cdef int interrupted() except -1:
    """A signal has ended a call: raise what that means. The handle is not in use any more."""
    try:
        PyErr_CheckSignals()
    except KeyboardInterrupt:
        raise
    except BaseException:
        raise c_SignalError("The wait was interrupted by a signal")
    raise c_SignalError("The wait was interrupted by a signal")


cdef int cannot_open(int error, str absent, str present) except -1:
    """Raise what `error`, of an attempt to open, means, where all kinds of objects agree."""
    if error == ENOENT:
        raise c_ExistentialError(absent)
    if error == EEXIST:
        raise c_ExistentialError(present)
    if error == EINVAL:
        raise ValueError("Invalid parameter(s)")
    if error == ENAMETOOLONG:
        raise ValueError("The name is too long")
    if error == ENOMEM:
        raise MemoryError("Not enough memory")
    if error == EMFILE:
        raise OSError("This process already has the maximum number of files open")
    if error == ENFILE:
        raise OSError("The system limit on the total number of open files has been reached")
    fail(error, None)


cdef int cannot_unlink(int error, str absent, str denied) except -1:
    if error == ENOENT or error == EINVAL:
        raise c_ExistentialError(absent)
    if error == EACCES or error == EPERM:
        raise c_PermissionsError(denied)
    if error == ENAMETOOLONG:
        raise ValueError("The name is too long")
    fail(error, None)


# ---- Arguments -----------------------------------------------------------------------


cdef long long bits(object value, long long high) except? -1:
    """A C int, or with `high` UINT_MAX either that or its bits as an unsigned one."""
    cdef long number = PyLong_AsLong(value)
    if number > high:
        raise OverflowError("signed integer is greater than maximum")
    if number < INT_MIN:
        raise OverflowError("signed integer is less than minimum")
    return number


cdef bytes name_of(object name):
    """A name as the C library takes it; None for None."""
    cdef bytes text
    if name is None:
        return None
    if isinstance(name, str):
        text = PyUnicode_EncodeFSDefault(name)
    elif isinstance(name, bytes):
        text = name
    else:
        raise TypeError("Name must be None or a string")
    if <Py_ssize_t>strlen(text) != PyBytes_GET_SIZE(text):
        raise ValueError("embedded null character")
    return text


cdef str shown(bytes name):
    return PyUnicode_DecodeFSDefaultAndSize(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))


cdef const char *to_unlink(object name) except NULL:
    """The name that an unlink function got: text only. It lives as long as `name`."""
    cdef Py_ssize_t size
    cdef const char *text
    if not isinstance(name, str):
        kind = "None" if name is None else type(name).__name__
        raise TypeError(f"argument 1 must be str, not {kind}")
    text = PyUnicode_AsUTF8AndSize(name, &size)
    if <Py_ssize_t>strlen(text) != size:
        raise ValueError("embedded null character")
    return text


cdef int check_creation(object name, int flags) except -1:
    if flags & O_EXCL and not flags & O_CREAT:
        raise ValueError("O_EXCL must be combined with O_CREAT")
    if name is None and not flags & O_EXCL:
        raise ValueError("Name can only be None if O_EXCL is set")
    return 0


cdef bytes random_name():
    """A slash and twelve random letters: 95 million billion names."""
    cdef unsigned char text[13]
    cdef int number
    if getrandom(text, sizeof(text), 0) != sizeof(text):
        fail(errno, None)
    text[0] = b"/"
    for number in range(1, 13):
        text[number] = <unsigned char>(97 + text[number] % 26)
    return PyBytes_FromStringAndSize(<char *>text, sizeof(text))


cdef enum Patience:
    FOREVER
    AT_ONCE
    UNTIL


cdef Patience patience(object timeout, int clock, timespec *deadline) except *:
    """How long a call may wait; with UNTIL, when `deadline` is on that clock."""
    cdef double seconds
    cdef double whole_seconds
    cdef int overflow = 0
    if timeout is None:
        return FOREVER
    if isinstance(timeout, float):
        seconds = timeout
    elif isinstance(timeout, int):
        seconds = <double>PyLong_AsLongLongAndOverflow(timeout, &overflow)
        if overflow:
            seconds = overflow * INFINITY
    else:
        seconds = -1
    if not seconds >= 0:
        raise TypeError("The timeout must be None or a non-negative number")
    if seconds == 0:
        return AT_ONCE
    # A century: what is longer need not fit into anything.
    if seconds > 3e9:
        return FOREVER
    clock_gettime(clock, deadline)
    whole_seconds = floor(seconds)
    deadline.tv_sec += <long>whole_seconds
    deadline.tv_nsec += <long>ceil((seconds - whole_seconds) * 1e9)
    if deadline.tv_nsec >= 1000000000:
        deadline.tv_sec += 1
        deadline.tv_nsec -= 1000000000
    return UNTIL


# ---- What can be closed while in use ---------------------------------------------------


cdef class Handle:
    """Something opened, with a count of the calls that are using it.

    Closing marks it. What is behind it goes at once, or with the last call that still waits
    on it, so that no call ever works on something that is gone, or on what has got its
    number since. The critical sections are for interpreters without a GIL.
    """

    cdef Py_ssize_t users
    cdef unsigned int forks
    cdef bint shut
    cdef unsigned int permissions
    cdef str text  # the name
    cdef bytes path  # the same, as the C library gets it

    def __cinit__(self):
        self.shut = True
        self.forks = isthmus_forks

    def __init__(self):
        raise TypeError("only what is derived from this can be opened")

    def __str__(self):
        return "(no name)" if self.text is None else self.text

    cdef int let_go(self) noexcept:
        """Let go of what is behind it, if that has not been done: 0 or an errno."""
        return 0

    @cython.final
    cdef inline void forget_other_threads(self) noexcept:
        # They are not in the child of a fork, and will never leave.
        if self.forks != isthmus_forks:
            self.forks = isthmus_forks
            self.users = 0

    @cython.final
    cdef inline bint enter(self) noexcept:
        """Begin a call; false if it has been closed."""
        cdef bint shut
        with cython.critical_section(self):
            self.forget_other_threads()
            shut = self.shut
            if not shut:
                self.users += 1
        return not shut

    @cython.final
    cdef inline void leave(self) noexcept:
        cdef bint last
        with cython.critical_section(self):
            # None left: a signal handler has forked meanwhile, and used it in the child.
            if self.users > 0:
                self.users -= 1
            last = self.shut and self.users == 0
        if last:
            self.let_go()

    @cython.final
    cdef void mark_shut(self, bint *was_open, bint *in_use) noexcept:
        """Mark it; the caller lets go if it was open and is not in use."""
        with cython.critical_section(self):
            self.forget_other_threads()
            was_open[0] = not self.shut
            in_use[0] = self.users > 0
            self.shut = True

    @cython.final
    cdef int prepare(self) except -1:
        """Before it is opened, for the first time or again."""
        cdef bint was_open = False
        cdef bint in_use
        with cython.critical_section(self):
            self.forget_other_threads()
            in_use = self.users > 0
            if not in_use:
                was_open = not self.shut
                self.shut = True
        if in_use:
            raise c_Error("It cannot be opened again while another thread is using it")
        if was_open:
            self.let_go()
        return 0


include "posix_ipc_semaphore.pxi"
include "posix_ipc_memory.pxi"
include "posix_ipc_notices.pxi"
include "posix_ipc_queue.pxi"
include "posix_ipc_constants.pxi"
