# Locks, semaphores and conditions with the manners of `multiprocessing`: `isthmus.compat`.

def place_lent(Primitive handle, mapping, descriptor, uint64_t offset, tuple plan):
    """Make one in a mapping; by `descriptor`, which others share, it tells that it lives.

    Both are kept for as long as the handle is open, also when the collector takes a cycle apart.
    """
    cdef int fd = descriptor.fileno()
    cdef isthmus_primitive_plan made = plan_of(plan)
    cdef uintptr_t address = mapping.address
    cdef size_t length = mapping.size
    handle.fresh()
    while handle.again(isthmus_primitive_place_by_fd(handle.core, <void *>address, length, fd,
                                                     offset, &made)):
        pass
    handle.mapping = mapping, descriptor


def find_lent(Primitive handle, mapping, descriptor, uint64_t offset, uint32_t kind):
    """The same for one that is there."""
    cdef int fd = descriptor.fileno()
    cdef uintptr_t address = mapping.address
    cdef size_t length = mapping.size
    handle.fresh()
    while handle.again(isthmus_primitive_find_by_fd(handle.core, <void *>address, length, fd,
                                                    offset, kind)):
        pass
    handle.mapping = mapping, descriptor


cdef object too_often():
    return ValueError("semaphore or lock released too many times")


cdef object standard_acquire(Primitive lock, object block, object timeout, bint tried=False):
    # Without blocking the timeout does not count, whatever it is.
    taken = lock.acquire_by(isthmus_lock_acquire, block, timeout if block else None, tried)
    if taken is None:
        return taken_over(lock)
    if taken and lock.core.kind == ISTHMUS_KIND_LOCK:
        lock.died = False  # a stranger may have released it after we had taken it over
    return taken


cdef inline object standard_acquire_now(Primitive lock):
    if not ISTHMUS_NO_GIL:
        if isthmus_lock_glance(lock.core) == 0:
            if lock.core.kind == ISTHMUS_KIND_LOCK:
                lock.died = False
            return True
    return standard_acquire(lock, True, None, True)


cdef int standard_release(Primitive lock) except -1:
    cdef int result
    if not lock.died and not ISTHMUS_NO_GIL:
        if isthmus_lock_release(lock.core) == 0:
            return 0
    result = lock_let_go(lock)
    if result == -EPERM or result == -ISTHMUS_E_NOT_JOINED:
        if lock.core.kind != ISTHMUS_KIND_LOCK:
            raise AssertionError("attempt to release recursive lock not owned by thread")
        lock.enter()
        result = isthmus_lock_release_any(lock.core)
        lock.leave()
        if result == -EPERM:
            raise too_often()
    if result < 0:
        raise lock.failed(result)
    return 0


cdef tuple standard_held(Primitive lock):
    """(how often this process has taken it and not given back, by which of its threads)."""
    cdef isthmus_shared_lock *state
    cdef uint32_t depth = 0
    cdef uint32_t tid = 0
    lock.enter()
    state = <isthmus_shared_lock *>(lock.core.shared + 1)
    if lock.core.slot >= 0 and state.word & ISTHMUS_WORD_OWNER == <uint32_t>lock.core.slot + 1:
        depth, tid = state.depth, state.tid
    lock.leave()
    return depth, tid


cdef class StandardMutex(Mutex):
    """A lock that anybody may release, or a recursive one that only its thread may."""

    def acquire(self, block=True, timeout=None):
        """Take the lock; wait while another has it. Returns whether it has been taken.

        Args:
            block: False: try once, do not wait, whatever `timeout` is.
            timeout: seconds to wait at most; None: for ever; zero or less: try once.

        Waits release the GIL, and signal handlers run meanwhile; when one raises (Ctrl-C), the
        lock has not been taken. When its last holder died, it is taken all the same, with an
        `OwnerDiedWarning`, or as `on_owner_death` says.
        """
        if block is True and timeout is None:
            return standard_acquire_now(self)
        return standard_acquire(self, block, timeout)

    def release(self):
        """Give the lock back: a lock that anybody has taken, a recursive one of this thread.

        Never waits. ValueError: nobody holds it. AssertionError: it is recursive, and this
        thread does not hold it.
        """
        standard_release(self)

    def _held(self):
        return standard_held(self)

    def __enter__(self):
        return standard_acquire_now(self)

    def __exit__(self, kind, error, traceback, /):
        lock_left_by(self, error)
        standard_release(self)


cdef class StandardSemaphore(Semaphore):
    """A semaphore."""

    def acquire(self, block=True, timeout=None):
        """Take a permit; wait while there is none. Returns whether it has been taken.

        Args:
            block: False: try once, do not wait, whatever `timeout` is.
            timeout: seconds to wait at most; None: for ever; zero or less: try once.

        Waits release the GIL, and signal handlers run meanwhile; when one raises (Ctrl-C),
        no permit has been taken.
        """
        if block is True and timeout is None and not ISTHMUS_NO_GIL:
            if isthmus_semaphore_acquire(self.core, 0) == 0:
                return True
        return self.acquire_by(isthmus_semaphore_acquire, block, timeout if block else None)

    def release(self):
        """Give a permit back. Never waits. ValueError: a bounded one has all that it may have."""
        cdef int result
        if not ISTHMUS_NO_GIL:
            if isthmus_semaphore_release(self.core, 1) == 0:
                return
        self.enter()
        result = isthmus_semaphore_release(self.core, 1)
        self.leave()
        if result == -EOVERFLOW:
            raise too_often()
        if result < 0:
            raise self.failed(result)

    def __enter__(self):
        if not ISTHMUS_NO_GIL:
            if isthmus_semaphore_acquire(self.core, 0) == 0:
                return True
        return self.acquire_by(isthmus_semaphore_acquire, True, None)

    def __exit__(self, kind, error, traceback, /):
        self.release()


cdef class StandardCondition(Condition):
    """A condition that goes with a lock of the kind above."""

    def acquire(self, block=True, timeout=None):
        """Take its lock, as that one's `acquire` does."""
        if block is True and timeout is None:
            return standard_acquire_now(lock_of(self))
        return standard_acquire(lock_of(self), block, timeout)

    def release(self):
        """Give its lock back, as that one's `release` does."""
        standard_release(lock_of(self))

    def __enter__(self):
        return standard_acquire_now(lock_of(self))

    def __exit__(self, kind, error, traceback, /):
        lock_left_by(lock_of(self), error)
        standard_release(lock_of(self))
