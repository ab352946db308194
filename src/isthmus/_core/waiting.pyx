# cython: language_level=3, freethreading_compatible=True, auto_pickle=False, autotestdict=False
# cython: binding=False, always_allow_keywords=False
"""Waiting for the first of several things: what `isthmus.wait` does in the core."""

from libc.errno cimport EINTR, ETIMEDOUT
from libc.stdint cimport int64_t, uint64_t, uintptr_t
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Calloc, PyMem_Free

import os as _os


cdef extern from "isthmus/isthmus.h" nogil:
    uint64_t ISTHMUS_FOREVER
    struct isthmus_primitive:
        int fd
    uint64_t isthmus_deadline_after(int64_t nanoseconds)


cdef extern from "os.h" nogil:
    uint64_t isthmus_os_monotonic_ns()


cdef extern from "wait_many.h" nogil:
    enum isthmus_how:
        ISTHMUS_ASK
    struct isthmus_waited:
        isthmus_primitive *primitive
        int ready
        int held
        int listed
    int isthmus_look(isthmus_waited *thing, isthmus_how how)
    int isthmus_doorbell_arm(isthmus_waited *thing)
    void isthmus_wait_list(isthmus_primitive *primitive)
    void isthmus_wait_unlist(isthmus_primitive *primitive)
    int isthmus_wait_many(isthmus_waited *things, size_t count, int poll, uint64_t deadline)


# As in sync_primitive.pxi.
cdef uint64_t CHUNK = 48_000_000


cdef class Wait:
    """One wait: for those that are lent, until `close`.

    `things`: what has `_borrow` and `_restore`. `poll`: as on a system that cannot sleep on
    several words at once.
    """

    cdef isthmus_waited *things
    cdef size_t count
    cdef list lent
    cdef bint poll
    cdef uint64_t deadline

    def __cinit__(self, things, object timeout, bint poll=False):
        cdef uintptr_t address
        cdef double seconds
        self.lent = []
        self.poll = poll
        self.deadline = ISTHMUS_FOREVER
        if timeout is not None:
            seconds = timeout
            if seconds <= 0:
                self.deadline = 0
            elif seconds < 9e9:  # nearly what 64 bits of nanoseconds can hold
                self.deadline = isthmus_deadline_after(<int64_t>(seconds * 1e9))
        self.things = <isthmus_waited *>PyMem_Calloc(len(things), sizeof(isthmus_waited))
        if self.things is NULL:
            raise MemoryError()
        try:
            for thing in things:
                address = thing._borrow()
                self.things[len(self.lent)].primitive = <isthmus_primitive *>address
                self.lent.append(thing)
        except BaseException:
            self.close()
            raise
        self.count = len(self.lent)

    def __dealloc__(self):
        PyMem_Free(self.things)

    def close(self):
        """Give back what was lent."""
        cdef isthmus_waited *thing
        while self.lent:
            thing = &self.things[len(self.lent) - 1]
            if thing.listed:
                thing.listed = 0
                isthmus_wait_unlist(thing.primitive)
            self.lent.pop()._restore()

    @property
    def empty(self):
        """Whether there are no things to wait for."""
        return self.count == 0

    @property
    def over(self):
        """Whether the time is up."""
        return self.deadline == 0 or isthmus_os_monotonic_ns() >= self.deadline

    @property
    def left(self):
        """Seconds until then; None: for ever."""
        if self.deadline == ISTHMUS_FOREVER:
            return None
        now = isthmus_os_monotonic_ns()
        return (self.deadline - now) / 1e9 if now < self.deadline else 0.0

    def look(self):
        """Which of the things are ready, by their numbers, without waiting."""
        if not self.lent:
            return []
        cdef int result = isthmus_wait_many(self.things, self.count, self.poll, 0)
        if result == -ETIMEDOUT or result == -EINTR:
            return []
        return self.ready(result)

    def sleep(self):
        """Wait; which are ready. None of them: the time is up."""
        cdef uint64_t stop
        cdef int result
        while True:
            stop = isthmus_deadline_after(CHUNK)
            if stop > self.deadline:
                stop = self.deadline
            with nogil:
                result = isthmus_wait_many(self.things, self.count, self.poll, stop)
            if result != -ETIMEDOUT and result != -EINTR:
                return self.ready(result)
            if result == -ETIMEDOUT and stop == self.deadline:
                return []
            PyErr_CheckSignals()

    cdef list ready(self, int result):
        cdef size_t i
        if result < 0:
            raise OSError(-result, _os.strerror(-result))
        return [i for i in range(self.count) if self.things[i].ready > 0]

    # By a doorbell that watches all of their files: see the core's doorbell.h.

    def files(self):
        """The descriptors of all things."""
        return [self.things[i].primitive.fd for i in range(self.count)]

    def arm(self, bint ask):
        """After the doorbell was read: which are ready now. All others will ring it.

        `ask`: look also whether those live that have something.
        """
        cdef isthmus_waited *thing
        cdef size_t i
        cdef int worst = 0
        with nogil:
            for i in range(self.count):
                thing = &self.things[i]
                if not thing.listed:
                    thing.listed = 1
                    isthmus_wait_list(thing.primitive)
                thing.ready = isthmus_doorbell_arm(thing)
                if thing.ready == 0 and ask and thing.held:
                    thing.ready = isthmus_look(thing, ISTHMUS_ASK)
                worst = min(worst, thing.ready)
        return self.ready(worst)

    @property
    def held(self):
        """Whether others have something that their deaths would give."""
        return any([self.things[i].held for i in range(self.count)])
