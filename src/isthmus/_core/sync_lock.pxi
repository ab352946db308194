# Lock, recursive lock, and what a condition has of them.

cdef object lock_acquire(Primitive lock, object block, object timeout, bint tried=False):
    taken = lock.acquire_by(isthmus_lock_acquire, block, timeout, tried)
    return taken_over(lock) if taken is None else taken


cdef inline object lock_acquire_now(Primitive lock):
    """Wait for ever, but first try what costs least."""
    if not ISTHMUS_NO_GIL:
        if isthmus_lock_glance(lock.core) == 0:
            if lock.readable is not None:
                lock.settle_now()
            return True
    return lock_acquire(lock, True, None, True)


cdef object taken_over(Primitive lock):
    lock.died = True
    lock.unrepaired = False
    owner_died(lock)
    return True


cdef int lock_let_go(Primitive lock, bint abandon=False) except 1:
    """The core's answer."""
    cdef int result
    lock.enter()
    # Before it is another's. Only this thread, which holds it, could change the depth.
    cdef bint died = lock.died
    cdef isthmus_shared_lock *state = <isthmus_shared_lock *>(lock.core.shared + 1)
    if lock.core.kind == ISTHMUS_KIND_LOCK or state.depth <= 1 or abandon:
        lock.died = False
        abandon = abandon or (died and lock.unrepaired)
    if abandon:
        result = isthmus_lock_abandon(lock.core)
    else:
        result = isthmus_lock_release(lock.core)
    if result < 0:
        lock.died = died
    lock.leave()
    return result


cdef int lock_release(Primitive lock, bint abandon=False) except -1:
    cdef int result = lock_let_go(lock, abandon)
    if result < 0:
        # Not joined: the parent may hold it, this child does not.
        raise lock.failed(-EPERM if result == -ISTHMUS_E_NOT_JOINED else result)
    return 0


cdef int lock_left_by(Primitive lock, object error) except -1:
    """At the end of a `with` block. When `OwnerDied` leaves it, nobody has repaired anything."""
    if error is not None and lock.died:
        from isthmus.errors import OwnerDied
        if isinstance(error, OwnerDied) and error.lock is lock:
            lock.unrepaired = True
    return 0


cdef int lock_exit(Primitive lock, object error) except -1:
    lock_left_by(lock, error)
    return lock_release(lock)


cdef bint lock_is_mine(Primitive lock) except -1:
    lock.enter()
    cdef bint mine = isthmus_lock_is_mine(lock.core)
    lock.leave()
    return mine


cdef int owner_died(object lock, bint keep=False) except -1:
    """It is held, and its last owner died holding it: do as its handle says.

    `keep`: it stays held even if what its handle says fails.
    """
    if lock.on_owner_death == "ignore":
        return 0
    from isthmus import _owner_death
    _owner_death.report(lock, keep)
    return 0


cdef class Mutex(Primitive):
    """A lock or recursive lock."""

    def acquire(self, block=True, timeout=None):
        """Take the lock; wait while another has it. Returns whether it has been taken.

        Args:
            block: False: try once, do not wait.
            timeout: seconds to wait at most; None: for ever; zero or less: try once.

        Waits release the GIL, and signal handlers run meanwhile; when one raises (Ctrl-C),
        the lock has not been taken.

        When its last owner died holding it, the lock is taken all the same, and
        `on_owner_death` says what happens: a warning, unless you chose otherwise.

        Raises:
            OwnerDied: chosen by `on_owner_death`; the lock is held.
            ArgumentError: a timeout with `block=False`, or NaN.
            ClosedError. TooManyParticipantsError (first use in a forked child).
        """
        if block is True and timeout is None:
            return lock_acquire_now(self)
        return lock_acquire(self, block, timeout)

    def release(self):
        """Give the lock back. Never waits.

        Raises:
            NotHeldError: this handle (of a recursive lock: this thread) does not hold it.
            ClosedError.
        """
        if not self.died and not ISTHMUS_NO_GIL:
            if isthmus_lock_release(self.core) == 0:
                return
        lock_release(self)

    def abandon(self):
        """Give it back as if its owner had died: the next one to take it is told so.

        For when what the lock protects is known to be half done, and cannot be repaired
        here. A recursive lock is given back however often it was taken. Raises as `release`.
        """
        lock_release(self, True)

    def locked(self):
        """Whether anybody holds it: a moment later that may be otherwise."""
        self.enter()
        cdef int locked = isthmus_lock_locked(self.core)
        self.leave()
        return locked > 0

    def _mine(self):
        """Whether this handle (of a recursive lock: this thread, by this handle) holds it."""
        return lock_is_mine(self)

    def _within(self, timeout):
        """For `with`: take the lock within so many seconds, and say whether it has been taken.

        Signal handlers that raise come between none of it, so it is given back for certain.
        """
        return Within(self, timeout)

    @property
    def owner_died(self):
        """Held by this handle, and the owner before died holding it. False once released."""
        return self.died

    def __enter__(self):
        lock_acquire_now(self)
        return self

    def __exit__(self, kind, error, traceback, /):
        if not self.died and not ISTHMUS_NO_GIL:
            if isthmus_lock_release(self.core) == 0:
                return
        lock_exit(self, error)


@cython.final
@cython.internal
cdef class Within:
    """What `Mutex._within` returns; for one use."""

    cdef Mutex lock
    cdef object timeout
    cdef bint taken

    def __cinit__(self, Mutex lock, timeout):
        self.lock, self.timeout = lock, timeout

    def __enter__(self):
        self.taken = lock_acquire(self.lock, True, self.timeout)
        return self.taken

    def __exit__(self, kind, error, traceback, /):
        if self.taken:
            self.taken = False
            lock_exit(self.lock, error)
