# What semaphores and message queues have in common: they can be closed while in use.

cdef class Handle:
    """Something opened, with a count of the calls that are using it.

    Closing marks it; what is behind it goes at once, or with the last call that still
    waits on it, so no call ever works on something that is gone. The critical sections
    are for interpreters without a GIL; with one they are nothing.
    """

    cdef readonly object name
    cdef Py_ssize_t users
    cdef bint shut

    def __cinit__(self):
        # Open only once there is something behind it, however it was made.
        self.shut = True

    def __init__(self):
        raise TypeError("handles are made by sem_open, sem_init, sem_at and mq_open")

    @property
    def closed(self):
        """Whether it has been closed."""
        return self.shut

    cdef int release(self) noexcept:
        """Let go of what is behind it: 0 or an errno."""
        return 0

    @cython.final
    cdef inline int enter(self) except -1:
        cdef bint shut
        with cython.critical_section(self):
            shut = self.shut
            if not shut:
                self.users += 1
        if shut:
            raise ValueError(f"{self!r} cannot be used any more")
        return 0

    @cython.final
    cdef inline void leave(self) noexcept:
        cdef bint last
        with cython.critical_section(self):
            self.users -= 1
            last = self.shut and self.users == 0
        if last:
            self.release()

    @cython.final
    cdef int close(self) except -1:
        """Mark it, and let go of what is behind it unless somebody is using it."""
        cdef bint shut, unused
        cdef int error = 0
        with cython.critical_section(self):
            shut = self.shut
            unused = self.users == 0
            self.shut = True
        if shut:
            raise ValueError(f"{self!r} cannot be closed again")
        if unused:
            error = self.release()
        if error:
            fail(error, self.name)
        return 0
