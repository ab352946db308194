# Readers-writer locks, and the two sides by which they are used.

cdef class RWLock(Primitive):
    """A readers-writer lock."""

    @property
    def read(self):
        """The lock for reading: many may hold it at once, as long as nobody writes."""
        return side_of(ReadSide.__new__(ReadSide), self)

    @property
    def write(self):
        """The lock for writing: one holds it, alone."""
        return side_of(WriteSide.__new__(WriteSide), self)

    def _side(self, cls):
        """One of the sides, of a subclass of `ReadSide` or `WriteSide`."""
        return side_of(<Side?>cls.__new__(cls), self)

    # The parts of taking it for writing, for those that do something else meanwhile. None of
    # them waits.

    def _claim_write(self):
        """Be the first among writers; whether it has been done. Then `_give_up` or `_begin`."""
        cdef int result
        self.enter()
        try:
            result = self.attempt(isthmus_rwlock_claim_write)
        finally:
            self.leave()
        if result == -ETIMEDOUT or result == -EINTR:
            return False
        if result < 0:
            raise self.failed(result)
        return True

    def _turn(self):
        """Whether readers that wait are to come in before."""
        self.enter()
        cdef int result = isthmus_rwlock_turn(self.core)
        self.leave()
        return result > 0

    def _begin_write(self):
        """Whether there are no readers left, so it is held for writing. Reports deaths."""
        self.enter()
        cdef int result = isthmus_rwlock_begin_write(self.core)
        self.leave()
        if result == -EAGAIN:
            return False
        if result == -EOWNERDEAD:
            self.died = True
            owner_died(self.write)
        elif result < 0:
            raise self.failed(result)
        return True

    def _give_up_write(self):
        """Undo `_claim_write`."""
        self.enter()
        isthmus_rwlock_give_up_write(self.core)
        self.leave()


@cython.freelist(16)
cdef class Side:
    """One of the two ways to hold a readers-writer lock."""

    cdef RWLock whole
    cdef object __weakref__

    def __init__(self):
        raise TypeError("the sides of a readers-writer lock are its attributes read and write")

    @property
    def rwlock(self):
        """The lock that this is a side of."""
        return self.whole

    @property
    def name(self):
        """The name of the lock."""
        return self.whole.name

    @property
    def on_owner_death(self):
        """What happens when the lock is taken over from a writer that died."""
        return self.whole.on_owner_death

    def __eq__(self, other):
        return type(self) is type(other) and self.whole is (<Side>other).whole

    def __hash__(self):
        return hash((type(self), id(self.whole)))


cdef object side_of(Side side, RWLock rwlock):
    side.whole = rwlock
    return side


cdef class ReadSide(Side):
    """`RWLock.read`: the lock for reading. Used as a lock is."""

    def acquire(self, block=True, timeout=None):
        """Take the lock for reading; wait while somebody writes, or waits in order to.

        Arguments, waiting and errors as for `Lock.acquire`. When a writer died writing, every
        reader is told so until another writer has released the lock: what it protects may
        be half written.
        """
        cdef RWLock rwlock = self.whole
        taken = side_acquire(rwlock, isthmus_rwlock_acquire_read, block, timeout)
        if taken is None:
            rwlock.died_reading = True
            owner_died(self)
            return True
        if taken:
            rwlock.died_reading = False
        return taken

    def release(self):
        """Give it back. Never waits. NotHeldError: this handle does not read; ClosedError."""
        rwlock_release(self.whole, isthmus_rwlock_release_read)

    def abandon(self):
        """The same as `release`: a reader leaves nothing half done."""
        rwlock_release(self.whole, isthmus_rwlock_release_read)

    def locked(self):
        """Whether anybody reads."""
        cdef RWLock rwlock = self.whole
        rwlock.enter()
        cdef uint32_t readers = isthmus_rwlock_readers(rwlock.core)
        rwlock.leave()
        return readers > 0

    @property
    def owner_died(self):
        """Whether a writer had died when this handle last took the lock for reading."""
        return self.whole.died_reading

    def __enter__(self):
        self.acquire()
        return self

    def __exit__(self, kind, error, traceback, /):
        rwlock_release(self.whole, isthmus_rwlock_release_read)


cdef class WriteSide(Side):
    """`RWLock.write`: the lock for writing. Used as a lock is."""

    def acquire(self, block=True, timeout=None):
        """Take the lock for writing; wait while anybody reads or writes.

        Arguments, waiting and errors as for `Lock.acquire`, a writer that died included.
        """
        cdef RWLock rwlock = self.whole
        taken = side_acquire(rwlock, isthmus_rwlock_acquire_write, block, timeout)
        if taken is None:
            rwlock.died = True
            owner_died(self)
            return True
        return taken

    def release(self):
        """Give it back. Never waits. NotHeldError: this handle does not write; ClosedError."""
        write_release(self.whole, isthmus_rwlock_release_write)

    def abandon(self):
        """Give it back as if the writer had died: the next one is told. See `Lock.abandon`."""
        write_release(self.whole, isthmus_rwlock_abandon_write)

    def locked(self):
        """Whether anybody writes."""
        cdef RWLock rwlock = self.whole
        rwlock.enter()
        cdef int writing = isthmus_rwlock_is_writing(rwlock.core)
        rwlock.leave()
        return writing > 0

    @property
    def owner_died(self):
        """Held for writing by this handle, and the writer before died writing."""
        return self.whole.died

    def __enter__(self):
        self.acquire()
        return self

    def __exit__(self, kind, error, traceback, /):
        if error is not None and self.whole.died:
            from isthmus.errors import OwnerDied
            if isinstance(error, OwnerDied) and error.lock == self:
                self.abandon()
                return
        write_release(self.whole, isthmus_rwlock_release_write)


cdef inline object side_acquire(RWLock rwlock, Operation operation, object block, object timeout):
    """True, False, or None: taken, and the last writer died. First tries what costs least."""
    cdef int result
    if block is True and timeout is None and not ISTHMUS_NO_GIL:
        result = operation(rwlock.core, 0)
        if result == 0:
            return True
        if result == -EOWNERDEAD:
            return None
    return rwlock.acquire_by(operation, block, timeout)


cdef int rwlock_release(RWLock rwlock,
                        int (*operation)(isthmus_primitive *) noexcept nogil) except -1:
    rwlock.enter()
    cdef int result = operation(rwlock.core)
    rwlock.leave()
    if result < 0:
        raise rwlock.failed(-EPERM if result == -ISTHMUS_E_NOT_JOINED else result)
    return 0


cdef int write_release(RWLock rwlock,
                       int (*operation)(isthmus_primitive *) noexcept nogil) except -1:
    cdef bint died = rwlock.died
    rwlock.died = False  # before it is another's
    try:
        rwlock_release(rwlock, operation)
    except BaseException:
        rwlock.died = died
        raise
    return 0
