# Named semaphores, and those in a buffer.

cdef extern from "<semaphore.h>" nogil:
    ctypedef struct sem_t:
        pass
    sem_t *SEM_FAILED
    sem_t *c_sem_open "sem_open"(const char *name, int oflag, ...)
    int c_sem_close "sem_close"(sem_t *sem)
    int c_sem_unlink "sem_unlink"(const char *name)
    int c_sem_init "sem_init"(sem_t *sem, int pshared, unsigned int value)
    int c_sem_destroy "sem_destroy"(sem_t *sem)
    int c_sem_wait "sem_wait"(sem_t *sem)
    int c_sem_trywait "sem_trywait"(sem_t *sem)
    int c_sem_timedwait "sem_timedwait"(sem_t *sem, const timespec *deadline)
    int c_sem_clockwait "sem_clockwait"(sem_t *sem, int clock, const timespec *deadline)
    int c_sem_post "sem_post"(sem_t *sem)
    int c_sem_getvalue "sem_getvalue"(sem_t *sem, int *value)


@cython.final
cdef class Semaphore(Handle):
    """A semaphore, for the functions whose names begin with ``sem_``.

    `name` is what it was opened with, None for one in a buffer; `closed` says whether the
    handle has been closed. Dropping the last reference closes it.
    """

    cdef sem_t *sem
    cdef bint named
    # A memoryview of where it is, if it has no name. Not a Py_buffer: the garbage collector
    # could not see what that refers to, and would never free a buffer that refers to this.
    cdef object buffer
    cdef object __weakref__

    cdef int release(self) noexcept:
        if self.named:
            return errno if c_sem_close(self.sem) else 0
        self.buffer = None
        return 0

    def __dealloc__(self):
        if not self.shut:
            self.release()

    def __repr__(self):
        state = " closed" if self.shut else ""
        if self.name is None:
            return f"<isthmus.posix.Semaphore at {<uintptr_t>self.sem:#x}{state}>"
        return f"<isthmus.posix.Semaphore {self.name!r}{state}>"


def sem_open(name, oflag=0, mode=0o600, value=0):
    """Open the named semaphore `name`: a Semaphore.

    `oflag` is 0, O_CREAT or O_CREAT | O_EXCL; a new semaphore has the permission bits
    `mode & ~umask` and starts at `value`; both are ignored for one that exists.

    Does not block. Raises OSError about `name`: FileNotFoundError, FileExistsError
    (O_EXCL), PermissionError, EINVAL (bad name, or a value above SEM_VALUE_MAX), ENAMETOOLONG.
    """
    cdef bytes text = encoded(name)
    cdef const char *c_name = text
    cdef int flags = whole(oflag, "oflag", INT_MIN, INT_MAX)
    cdef unsigned int bits = whole(mode, "mode", 0, 0o7777)
    cdef unsigned int start = whole(value, "value", 0, UINT_MAX)
    cdef Semaphore handle = Semaphore.__new__(Semaphore)
    cdef sem_t *sem
    cdef int error
    while True:
        with nogil:
            sem = c_sem_open(c_name, flags, bits, start)
            error = errno
        if sem != SEM_FAILED:
            break
        if error != EINTR:
            fail(error, name)
        PyErr_CheckSignals()
    handle.sem = sem
    handle.named = True
    handle.name = name
    handle.shut = False
    return handle


def sem_close(Semaphore sem not None, /):
    """Close the handle; the semaphore stays, for others and under its name.

    A thread that waits on it keeps waiting: what is behind the handle is let go of when
    the last such call returns. Any other use, a second close too, raises ValueError.
    A handle from sem_init() or sem_at() lets go of its buffer; the semaphore in it lives on.
    """
    sem.close()


def sem_unlink(name):
    """Remove the name of a semaphore. It lives until the last handle is closed.

    Raises OSError about `name`: FileNotFoundError, PermissionError.
    """
    cdef bytes text = encoded(name)
    if c_sem_unlink(text):
        fail(errno, name)


cdef Semaphore placed(object buffer, object offset):
    """A handle for the semaphore at `offset` of a writable buffer, which it keeps alive."""
    cdef Py_ssize_t start = whole(offset, "offset", 0, LLONG_MAX)
    cdef Semaphore handle = Semaphore.__new__(Semaphore)
    handle.buffer = PyMemoryView_GetContiguous(buffer, PyBUF_WRITE, b"C")
    handle.shut = False
    cdef Py_buffer *view = PyMemoryView_GET_BUFFER(handle.buffer)
    cdef Py_ssize_t size = view.len
    if start > size or size - start < <Py_ssize_t>sizeof(sem_t):
        raise ValueError(
            f"a semaphore of {sizeof(sem_t)} bytes at offset {start} does not fit into "
            f"a buffer of {size} bytes"
        )
    cdef uintptr_t address = <uintptr_t>view.buf + <uintptr_t>start
    if address % SEM_ALIGNMENT:
        raise ValueError(
            f"a semaphore needs an address that is a multiple of {SEM_ALIGNMENT}; "
            f"offset {start} of this buffer is {address:#x}"
        )
    handle.sem = <sem_t *>address
    return handle


def sem_init(buffer, pshared=True, value=0, offset=0):
    """Make a semaphore in SIZEOF_SEM_T bytes of a writable buffer, at `offset`: a Semaphore.

    `pshared`: other processes may use it; the buffer must then be shared memory. Whoever
    else has that memory gets a handle by sem_at(). The handle keeps the buffer alive.

    Raises ValueError when it does not fit or is not aligned, BufferError or TypeError for
    a buffer that cannot be written, OSError(EINVAL) for a value above SEM_VALUE_MAX.
    """
    cdef unsigned int start = whole(value, "value", 0, UINT_MAX)
    cdef int shared = 1 if pshared else 0
    cdef Semaphore handle = placed(buffer, offset)
    if c_sem_init(handle.sem, shared, start):
        fail(errno, None)
    return handle


def sem_at(buffer, offset=0):
    """A handle for a semaphore that sem_init() has made at `offset` of `buffer`.

    Nothing tells a semaphore from other bytes: using the handle before somebody has made
    one there is undefined. Raises as sem_init() does.
    """
    return placed(buffer, offset)


def sem_destroy(Semaphore sem not None, /):
    """End a semaphore that sem_init() has made, and close the handle.

    Nobody may be waiting on it, in any process. A wait in this process through this handle
    is noticed: OSError(EBUSY), and nothing has happened. A named one is a ValueError.
    """
    if sem.named:
        raise ValueError(f"{sem!r} has a name: close it with sem_close, remove it with sem_unlink")
    sem.enter()
    try:
        # Alone but for this call: from here on, nobody else gets in.
        with cython.critical_section(sem):
            busy = sem.users > 1
            if not busy:
                sem.shut = True
        if busy:
            fail(EBUSY, None)
        if c_sem_destroy(sem.sem):
            fail(errno, None)
    finally:
        sem.leave()


cdef enum:
    # Beside the clocks, which are not negative.
    FOR_EVER = -1
    BY_TIMEDWAIT = -2


cdef int wait(Semaphore sem, int clock, const timespec *deadline) except -1:
    cdef int failed, error
    sem.enter()
    try:
        # What can be had at once costs no release of the GIL.
        if not c_sem_trywait(sem.sem):
            return 0
        while True:
            with nogil:
                if clock == FOR_EVER:
                    failed = c_sem_wait(sem.sem)
                elif clock == BY_TIMEDWAIT:
                    failed = c_sem_timedwait(sem.sem, deadline)
                else:
                    failed = c_sem_clockwait(sem.sem, clock, deadline)
                error = errno
            if not failed:
                return 0
            if error != EINTR:
                fail(error, sem.name)
            PyErr_CheckSignals()
    finally:
        sem.leave()


def sem_wait(Semaphore sem not None, /):
    """Take one from the semaphore; wait while it is 0.

    Blocks, without the GIL. A signal runs its Python handler; if that returns, the wait
    goes on; if it raises (Ctrl-C), nothing has been taken.
    """
    wait(sem, FOR_EVER, NULL)


def sem_trywait(Semaphore sem not None, /):
    """Take one from the semaphore; BlockingIOError (EAGAIN) if it is 0. Never blocks."""
    cdef int error = 0
    sem.enter()
    if c_sem_trywait(sem.sem):
        error = errno
    sem.leave()
    if error:
        fail(error, sem.name)


def sem_try(Semaphore sem not None, /):
    """sem_trywait() for who often finds it 0 and wants no exception: whether it took one."""
    cdef int failed
    sem.enter()
    failed = c_sem_trywait(sem.sem)
    sem.leave()
    return not failed


def sem_timedwait(Semaphore sem not None, abs_timeout, /):
    """Like sem_wait(), until CLOCK_REALTIME shows `abs_timeout` seconds: then TimeoutError.

    `abs_timeout` is a moment, not a duration: ``time.time() + 0.5``. One in the past fails
    at once, unless there is one to take.
    """
    cdef timespec deadline
    seconds(abs_timeout, "abs_timeout", &deadline)
    wait(sem, BY_TIMEDWAIT, &deadline)


def sem_clockwait(Semaphore sem not None, clock, abs_timeout, /):
    """Like sem_timedwait(), with `clock` CLOCK_REALTIME or CLOCK_MONOTONIC.

    Setting the time of day does not move CLOCK_MONOTONIC. OSError(EINVAL) for any other
    clock, if it has to wait; OSError(ENOSYS) if the C library that this was built with
    has no sem_clockwait (glibc before 2.30, musl).
    """
    cdef timespec deadline
    cdef int which = whole(clock, "clock", 0, INT_MAX)
    seconds(abs_timeout, "abs_timeout", &deadline)
    wait(sem, which, &deadline)


def sem_post(Semaphore sem not None, /):
    """Add one to the semaphore, which wakes one that waits.

    Never blocks. OSError(EOVERFLOW) when it is SEM_VALUE_MAX.
    """
    cdef int error = 0
    sem.enter()
    if c_sem_post(sem.sem):
        error = errno
    sem.leave()
    if error:
        fail(error, sem.name)


def sem_getvalue(Semaphore sem not None, /):
    """The semaphore's value: a moment later it may be another. 0 when somebody waits."""
    cdef int value = 0
    cdef int error = 0
    sem.enter()
    if c_sem_getvalue(sem.sem, &value):
        error = errno
    sem.leave()
    if error:
        fail(error, sem.name)
    return value
