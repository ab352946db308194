# cython: language_level=3, freethreading_compatible=True, auto_pickle=False, autotestdict=False
# cython: binding=False, always_allow_keywords=False
"""Waiting for the first of several things: what `isthmus.wait` does in the core."""

from libc.errno cimport EINTR, ETIMEDOUT
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Calloc, PyMem_Free

import os as _os


cdef extern from "isthmus/isthmus.h" nogil:
    uint64_t ISTHMUS_FOREVER
    struct isthmus_primitive:
        pass
    uint64_t isthmus_deadline_after(int64_t nanoseconds)


cdef extern from "os.h" nogil:
    uint64_t isthmus_os_monotonic_ns()


cdef extern from "wait_many.h" nogil:
    struct isthmus_waited:
        isthmus_primitive *primitive
        int ready
        uint32_t seen
        uint32_t *word
    int isthmus_wait_many(isthmus_waited *things, size_t count, int poll, uint64_t deadline)
    void isthmus_wait_ring(uint32_t *word)


# As in sync_primitive.pxi.
cdef uint64_t CHUNK = 48_000_000


cdef class Bell:
    """A word that a thread of this process makes another, to end a wait."""

    cdef uint32_t word

    def ring(self):
        """End the wait, if it has begun; else it does not begin."""
        isthmus_wait_ring(&self.word)


cdef class Wait:
    """One wait: for those that are lent, until `close`, and for a bell.

    `things`: what has `_borrow` and `_restore`. `poll`: as on a system that cannot sleep on
    several words at once.
    """

    cdef isthmus_waited *things
    cdef size_t count
    cdef list lent
    cdef Bell bell
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
        self.things = <isthmus_waited *>PyMem_Calloc(len(things) + 1, sizeof(isthmus_waited))
        if self.things is NULL:
            raise MemoryError()
        try:
            for thing in things:
                address = thing._borrow()
                self.lent.append(thing)
                # After the bell, which is to be among those that are slept on.
                self.things[len(self.lent)].primitive = <isthmus_primitive *>address
        except BaseException:
            self.close()
            raise
        self.count = len(self.lent)

    def __dealloc__(self):
        PyMem_Free(self.things)

    def close(self):
        """Give back what was lent."""
        while self.lent:
            self.lent.pop()._restore()

    @property
    def empty(self):
        """Whether there are no things, so that only a bell ends a wait."""
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

    def hear(self, Bell bell):
        """A new bell is to end the waits from now on."""
        self.bell = bell
        self.things[0].word = &bell.word
        # What it is until it is rung, and not what it is now: it may have been rung already.
        self.things[0].seen = 0

    def look(self):
        """Which of the things are ready, by their numbers, without waiting."""
        if not self.lent:
            return []
        cdef int result = isthmus_wait_many(self.things + 1, self.count, self.poll, 0)
        if result == -ETIMEDOUT or result == -EINTR:
            return []
        return self.ready(result)

    def sleep(self):
        """Wait; which are ready. None of them: the time is up, or the bell was rung."""
        cdef size_t more = self.bell is not None
        cdef uint64_t stop
        cdef int result
        while True:
            stop = isthmus_deadline_after(CHUNK)
            if stop > self.deadline:
                stop = self.deadline
            with nogil:
                result = isthmus_wait_many(self.things + 1 - more, self.count + more, self.poll,
                                           stop)
            if result != -ETIMEDOUT and result != -EINTR:
                return self.ready(result)
            if result == -ETIMEDOUT and stop == self.deadline:
                return []
            PyErr_CheckSignals()

    cdef list ready(self, int result):
        cdef size_t i
        if result < 0:
            raise OSError(-result, _os.strerror(-result))
        return [i for i in range(self.count) if self.things[1 + i].ready > 0]
