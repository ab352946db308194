# cython: language_level=3, freethreading_compatible=True, auto_pickle=False, autotestdict=False
"""Looking after objects: visiting, evicting, burying the dead, mending. For isthmus.inspect.

Conversion only. Functions raise a bare `OSError` with the core's errno; the Python layer says
which object it was about and what to do.
"""

cimport cython
from libc.errno cimport EBADF, EINTR, EOPNOTSUPP, ESTALE, ETIMEDOUT
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset
from cpython.exc cimport PyErr_CheckSignals

from isthmus._core.primitives cimport (
    ISTHMUS_FOREVER,
    ISTHMUS_KIND_RLOCK,
    isthmus_attach_options,
    isthmus_deadline_after,
    isthmus_participant,
    isthmus_primitive,
    isthmus_primitive_close,
    isthmus_primitive_find,
    isthmus_primitive_participant,
)
from isthmus._core.rings cimport *

import os as _os


cdef extern from "object.h" nogil:
    int isthmus_object_visit(isthmus_ring *handle, const char *path, uint32_t kind,
                             const isthmus_attach_options *options)
    int isthmus_object_look(isthmus_ring *handle, void *data, size_t size, uint32_t kind)


cdef extern from "repair.h" nogil:
    int isthmus_bury(isthmus_primitive *primitive, uint32_t slot, uint64_t deadline)


cdef extern from "mend.h" nogil:
    struct isthmus_mended:
        const char *what
        uint32_t flags
        uint64_t position
        uint64_t before
        uint64_t after

    struct isthmus_mend:
        int lossy
        const uint8_t *dead
        uint32_t count
        uint32_t more
        isthmus_mended found[96]

    int isthmus_mend_constants(void *data, size_t size, isthmus_mend *mend)
    void isthmus_mend_table(const isthmus_primitive *primitive, isthmus_mend *mend)
    void isthmus_mend_queue(isthmus_ring *queue, isthmus_mend *mend)
    void isthmus_mend_topic(isthmus_ring *topic, isthmus_mend *mend)
    int isthmus_mend_begin(isthmus_ring *ring, uint64_t deadline, uint32_t *word)
    void isthmus_mend_end(isthmus_ring *ring)


include "handles.pxi"

cdef void close_guest(isthmus_handle *handle) noexcept nogil:
    isthmus_primitive_close(&handle.primitive)


cdef list told(const isthmus_mend *mend):
    cdef uint32_t i
    return [
        ((<bytes>mend.found[i].what).decode(), mend.found[i].flags, mend.found[i].position,
         mend.found[i].before, mend.found[i].after)
        for i in range(mend.count)
    ]


cdef void mend_ring(isthmus_ring *ring, isthmus_mend *mend) noexcept nogil:
    isthmus_mend_table(&ring.primitive, mend)
    if ring.primitive.kind == ISTHMUS_KIND_QUEUE:
        isthmus_mend_queue(ring, mend)
    elif ring.primitive.kind == ISTHMUS_KIND_TOPIC:
        isthmus_mend_topic(ring, mend)


@cython.final
@cython.no_gc_clear  # where it lies must stay mapped until it has left, also in a cycle
cdef class Guest:
    """A participant that looks after an object. It leaves one that nobody has as it was."""

    cdef isthmus_handle *handle
    cdef isthmus_ring *core  # in the handle
    cdef object mapping      # of an array, in which its lock lies

    def __cinit__(self):
        self.handle = isthmus_handle_new(close_guest)
        if self.handle is NULL:
            raise MemoryError()
        self.core = &self.handle.ring

    def __dealloc__(self):
        isthmus_handle_free(self.handle)

    def visit(self, const char *path, uint32_t kind, int64_t owner):
        """Join the object at `path`: OSError as for attaching; EAGAIN: it is being removed."""
        cdef isthmus_attach_options options
        cdef int result
        options.readonly, options.owner = 0, owner
        while True:
            result = isthmus_object_visit(self.core, path, kind, &options)
            if result != -EINTR:
                break
            PyErr_CheckSignals()
        opened(result)
        isthmus_handle_open(self.handle)

    def visit_lock(self, object mapping, uintptr_t address, size_t size, int fd, uint64_t offset):
        """Join the lock of an array, in its mapping."""
        opened(isthmus_primitive_find(&self.core.primitive, <void *>address, size, fd, offset,
                                      ISTHMUS_KIND_RLOCK))
        self.mapping = mapping
        isthmus_handle_open(self.handle)

    def close(self):
        isthmus_handle_close(self.handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    cdef int open_yet(self) except -1:
        if self.core.primitive.shared is NULL:
            opened(-EBADF)
        return 0

    @property
    def slot(self):
        """Its own place in the participant table; -1: the kind has none."""
        return self.core.primitive.slot

    def participants(self):
        """Who has a slot: (slot, pid, pid namespace, when it joined, share, alive, role).

        When it joined: nanoseconds, as `time.time_ns` counts. Role: as of a ring; else 0.
        """
        cdef isthmus_participant found
        cdef isthmus_seat seat
        cdef uint32_t slot
        self.open_yet()
        facts = []
        for slot in range(self.core.primitive.count):
            if isthmus_primitive_participant(&self.core.primitive, slot, &found) < 0:
                continue
            seat.role = 0
            if self.core.primitive.kind in (ISTHMUS_KIND_QUEUE, ISTHMUS_KIND_TOPIC):
                isthmus_ring_seat(self.core, slot, &seat)
            facts.append((slot, found.pid, found.pid_namespace, found.joined_ns, found.share,
                          found.alive != 0, seat.role))
        return facts

    def bury(self, uint32_t slot, timeout):
        """Put in order what a dead one left: whether it was dead. OSError(ETIMEDOUT)."""
        cdef uint64_t deadline = deadline_of(timeout)
        cdef uint64_t stop
        cdef int result
        self.open_yet()
        while True:
            stop = next_stop(deadline)
            with nogil:
                result = isthmus_bury(&self.core.primitive, slot, stop)
            if result == -EINTR or (result == -ETIMEDOUT and stop != deadline):
                PyErr_CheckSignals()
                continue
            opened(result)
            return result == 1

    def evict(self, uint32_t slot, uint32_t pid, uint64_t joined_ns, timeout):
        """(leases that went back, it was dead, it has messages in view). OSError as of the core."""
        cdef uint64_t deadline = deadline_of(timeout)
        cdef uint64_t stop
        cdef isthmus_participant whom
        cdef isthmus_evicted evicted
        cdef int result
        self.open_yet()
        if self.core.primitive.kind not in (ISTHMUS_KIND_QUEUE, ISTHMUS_KIND_TOPIC):
            opened(-EOPNOTSUPP)
        whom.slot, whom.pid, whom.joined_ns = slot, pid, joined_ns
        while True:
            stop = next_stop(deadline)
            with nogil:
                result = isthmus_ring_evict(self.core, &whom, stop, &evicted)
            if result == -EINTR or (result == -ETIMEDOUT and stop != deadline):
                PyErr_CheckSignals()
                continue
            opened(result)
            return evicted.leases, evicted.dead != 0, evicted.pinned != 0

    def lock_owners(self):
        """Slots that own the locks of a queue or topic: (producers', consumers'); -1: nobody."""
        self.open_yet()
        return (<int64_t>(self.core.cursors.producer & 0xffff) - 1,
                <int64_t>(self.core.cursors.consumer & 0xffff) - 1)

    def drop(self, uint64_t position, uint64_t sequence, timeout):
        """Drop a message of a queue; whether it was still there. OSError(ETIMEDOUT) as `mend`."""
        cdef uint64_t deadline = deadline_of(timeout)
        cdef uint64_t stop
        cdef int result
        self.open_yet()
        while True:
            stop = next_stop(deadline)
            with nogil:
                result = isthmus_queue_drop(self.core, position, sequence, stop)
            if result == -EINTR or (result == -ETIMEDOUT and stop != deadline):
                PyErr_CheckSignals()
                continue
            if result == -ESTALE:
                return False
            opened(result)
            return True

    def mend(self, bint lossy, timeout):
        """What was found and done, and how much more; of a queue or topic under both locks.

        OSError(ETIMEDOUT): another has one of them.
        """
        cdef uint64_t deadline = deadline_of(timeout)
        cdef uint64_t stop
        cdef isthmus_mend mend
        cdef uint32_t word = 0
        cdef int result
        self.open_yet()
        memset(&mend, 0, sizeof(mend))
        mend.lossy = lossy
        if self.core.primitive.kind not in (ISTHMUS_KIND_QUEUE, ISTHMUS_KIND_TOPIC):
            isthmus_mend_table(&self.core.primitive, &mend)
            return told(&mend), mend.more
        while True:
            stop = next_stop(deadline)
            with nogil:
                result = isthmus_mend_begin(self.core, stop, &word)
                if result == 0:
                    mend_ring(self.core, &mend)
                    isthmus_mend_end(self.core)
            if result == -EINTR or (result == -ETIMEDOUT and stop != deadline):
                PyErr_CheckSignals()
                continue
            opened(result)
            return told(&mend), mend.more


def mend_constants(uintptr_t address, size_t size):
    """What was found and done in the constant part of the object in memory; the core's errno, or 0.

    The caller keeps the memory.
    """
    cdef isthmus_mend mend
    cdef int result
    memset(&mend, 0, sizeof(mend))
    with nogil:
        result = isthmus_mend_constants(<void *>address, size, &mend)
    return told(&mend), -result


def mend_copy(uintptr_t address, size_t size, uint32_t kind, const unsigned char[:] dead,
              bint lossy):
    """What would be found and done in what changes: of a copy, whose constant part is in order.

    `dead`: for each slot whether it is. OSError as for attaching.
    """
    cdef isthmus_ring ring
    cdef isthmus_mend mend
    memset(&mend, 0, sizeof(mend))
    memset(&ring, 0, sizeof(ring))
    opened(isthmus_object_look(&ring, <void *>address, size, kind))
    if <uint32_t>dead.shape[0] < ring.primitive.count:
        raise ValueError("too few slots")
    mend.lossy = lossy
    if ring.primitive.count:
        mend.dead = &dead[0]
    with nogil:
        mend_ring(&ring, &mend)
    return told(&mend), mend.more


def before_fork():
    """In a process that is about to fork: keep what the child will inherit."""
    isthmus_handles_before_fork()


def after_fork(bint in_child):
    """In both processes; in the child, make every handle one of its own."""
    isthmus_handles_after_fork(in_child)


def close_all():
    """Close whatever is open: this process is about to end."""
    isthmus_handles_close_all()


if isthmus_handles_close_at_exit() < 0:
    raise RuntimeError("too many functions are registered with Py_AtExit")
