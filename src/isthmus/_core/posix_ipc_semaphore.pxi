# Semaphores.

cdef extern from *:
    """
    /* By a clock that nobody sets, where the C library can. */
    #ifdef HAVE_SEM_CLOCKWAIT
    #define ISTHMUS_SEM_CLOCK CLOCK_MONOTONIC
    #define isthmus_sem_wait_until(sem, deadline) sem_clockwait(sem, ISTHMUS_SEM_CLOCK, deadline)
    #else
    #define ISTHMUS_SEM_CLOCK CLOCK_REALTIME
    #define isthmus_sem_wait_until(sem, deadline) sem_timedwait(sem, deadline)
    #endif
    """
    ctypedef struct sem_t:
        pass
    int ISTHMUS_SEM_CLOCK
    sem_t *SEM_FAILED
    sem_t *c_sem_open "sem_open"(const char *name, int oflag, ...) nogil
    int c_sem_close "sem_close"(sem_t *sem) nogil
    int c_sem_unlink "sem_unlink"(const char *name) nogil
    int c_sem_wait "sem_wait"(sem_t *sem) nogil
    int c_sem_trywait "sem_trywait"(sem_t *sem) nogil
    int isthmus_sem_wait_until(sem_t *sem, const timespec *deadline) nogil
    int c_sem_post "sem_post"(sem_t *sem) nogil
    int c_sem_getvalue "sem_getvalue"(sem_t *sem, int *value) nogil


cdef int sem_closed() except -1:
    raise c_ExistentialError("The semaphore has been closed")


cdef int take_failed(int error) except -1:
    if error == EINTR:
        interrupted()
    if error == EINVAL:
        raise c_ExistentialError("The semaphore does not exist")
    fail(error, None)


cdef class Semaphore(Handle):
    """Semaphore(name, flags=0, mode=0o600, initial_value=0): opens or creates a semaphore.

    `name` is a str or bytes that begin with a slash, or with O_CREX None, for a random name
    that nobody uses. `flags` is 0 for one that exists, O_CREAT for one that need not, O_CREX
    for one that must not. A new one has the permission bits `mode & ~umask` and starts at
    `initial_value`, which is at most SEMAPHORE_VALUE_MAX.

    Does not block. Raises ExistentialError (none or one there), PermissionsError, ValueError
    (name, flags or value), OSError. A process that dies has taken what it took.
    """

    cdef sem_t *sem

    cdef int let_go(self) noexcept:
        cdef sem_t *sem = self.sem
        self.sem = NULL
        return errno if sem is not NULL and c_sem_close(sem) else 0

    def __dealloc__(self):
        if not self.shut:
            self.let_go()

    def __init__(self, name, flags=0, mode=0o600, initial_value=0):
        cdef bytes path = name_of(name)
        cdef int c_flags = <int>bits(flags, INT_MAX)
        cdef unsigned int c_mode = <unsigned int>bits(mode, INT_MAX)
        cdef unsigned int value
        cdef const char *c_path
        cdef sem_t *sem
        cdef int overflow = 0
        cdef int error
        cdef long long start
        start = PyLong_AsLongLongAndOverflow(PyNumber_Index(initial_value), &overflow)
        self.prepare()
        check_creation(name, c_flags)
        if overflow or start < 0 or start > UINT_MAX:
            raise ValueError("Invalid parameter(s)")
        value = <unsigned int>start
        while True:
            if name is None:
                path = random_name()
            c_path = path
            with nogil:
                sem = c_sem_open(c_path, c_flags, c_mode, value)
                error = errno
            if sem != SEM_FAILED:
                break
            if error == EINTR:
                PyErr_CheckSignals()
            elif error != EEXIST or name is not None:
                if error == EACCES:
                    raise c_PermissionsError("Permission denied")
                cannot_open(error, "No semaphore exists with the specified name",
                            "A semaphore with the specified name already exists")
        with cython.critical_section(self):
            self.sem = sem
            self.permissions = c_mode
            self.path = path
            self.text = name if type(name) is str else shown(path)
            self.shut = False

    def __repr__(self):
        return f'posix_ipc.Semaphore("{self}", mode=0{self.permissions:o})'

    @property
    def name(self):
        """What it was opened with, or its random name."""
        return self.text

    @property
    def mode(self):
        """The permission bits that it was opened with, which need not be those that it has."""
        return self.permissions

    @property
    def value(self):
        """The semaphore's value, which may be another one by now; 0 while somebody waits."""
        cdef int value = 0
        if not self.enter():
            sem_closed()
        c_sem_getvalue(self.sem, &value)
        self.leave()
        return value

    def acquire(self, timeout=None):
        """Take one from the semaphore; wait for it up to `timeout` seconds, None without end.

        Blocks, without the GIL, unless `timeout` is 0. Raises BusyError when the time is up,
        SignalError or KeyboardInterrupt when a signal came while it waited: then nothing has
        been taken. ExistentialError: it has been closed. Closing it in another thread does
        not end a wait.
        """
        cdef int error = self.take(timeout)
        # Here, not one call deeper: who tries again and again pays for each traceback entry.
        if error == EAGAIN or error == ETIMEDOUT:
            raise c_BusyError("Semaphore is busy")
        if error:
            take_failed(error)

    @cython.final
    cdef int take(self, object timeout) except -1:
        """0 or an errno."""
        cdef timespec deadline
        cdef Patience how = FOREVER
        cdef int failed, error
        if self.shut:
            sem_closed()
        if timeout is not None:
            how = patience(timeout, ISTHMUS_SEM_CLOCK, &deadline)
        if not self.enter():
            sem_closed()
        # What can be had at once costs no release of the GIL.
        failed = c_sem_trywait(self.sem)
        error = errno
        if failed and how != AT_ONCE:
            with nogil:
                if how == FOREVER:
                    failed = c_sem_wait(self.sem)
                else:
                    failed = isthmus_sem_wait_until(self.sem, &deadline)
                error = errno
        self.leave()
        return error if failed else 0

    def release(self):
        """Add one to the semaphore, which wakes one that waits. Does not block.

        Anybody may, whoever took it. Raises OSError (EOVERFLOW) at SEMAPHORE_VALUE_MAX,
        ExistentialError when it has been closed.
        """
        self.give()

    @cython.final
    cdef int give(self) except -1:
        cdef int error = 0
        if not self.enter():
            sem_closed()
        if c_sem_post(self.sem):
            error = errno
        self.leave()
        if error:
            fail(error, None)
        return 0

    def __enter__(self):
        cdef int error = self.take(None)
        if error:
            take_failed(error)
        return self

    def __exit__(self, *_):
        self.give()

    def close(self):
        """Close the handle; the semaphore stays, for others and under its name.

        A thread that waits on it waits on. Raises ExistentialError when it is closed.
        """
        cdef bint was_open, in_use
        cdef int error = 0
        self.mark_shut(&was_open, &in_use)
        if not was_open:
            sem_closed()
        if not in_use:
            error = self.let_go()
        if error:
            fail(error, None)

    def unlink(self):
        """Remove the name; the semaphore lives until everybody has closed it.

        Raises ExistentialError (no such name; the handle has been closed), PermissionsError.
        """
        if self.shut:
            sem_closed()
        unlink_sem(self.path)


cdef int unlink_sem(const char *name) except -1:
    if c_sem_unlink(name):
        cannot_unlink(errno, "No semaphore exists with the specified name",
                      "Denied permission to unlink this semaphore")
    return 0


def unlink_semaphore(name, /):
    """Remove the name of a semaphore, which lives until everybody has closed it.

    Raises ExistentialError (no such name), PermissionsError, ValueError, OSError.
    """
    unlink_sem(to_unlink(name))
