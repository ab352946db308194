# Conditions.

cdef class Condition(Primitive):
    """A condition, with its own recursive lock or with a lock that was given to it."""

    cdef Primitive given

    def _go_with(self, Primitive lock):
        self.given = lock

    @property
    def lock(self):
        """The lock that was given to it; None: it has its own."""
        return self.given

    def acquire(self, block=True, timeout=None):
        """Take its lock, as `Lock.acquire` does."""
        if block is True and timeout is None:
            return lock_acquire_now(lock_of(self))
        return lock_acquire(lock_of(self), block, timeout)

    def release(self):
        """Give its lock back, as `Lock.release` does."""
        lock_release(lock_of(self))

    def abandon(self):
        """Give its lock back in a way that the next one is told, as `Lock.abandon` does."""
        lock_release(lock_of(self), True)

    def locked(self):
        """Whether anybody holds its lock."""
        cdef Primitive lock = lock_of(self)
        lock.enter()
        cdef int locked = isthmus_lock_locked(lock.core)
        lock.leave()
        return locked > 0

    @property
    def owner_died(self):
        """Its lock is held by this handle, and the owner before died holding it."""
        return lock_of(self).died

    def __enter__(self):
        lock_acquire_now(lock_of(self))
        return self

    def __exit__(self, kind, error, traceback, /):
        lock_exit(lock_of(self), error)

    def wait(self, timeout=None):
        """Release the lock, wait for a notification, take the lock back.

        The lock must be held; a recursive one is released however often it was taken.
        Returns True, or False when `timeout` seconds have passed without a notification. True
        also, without one, when an owner of the lock was found to have died meanwhile. To take
        the lock back may last longer: that has no time limit.

        Releases the GIL; signal handlers run meanwhile. When one raises (Ctrl-C), the lock is
        taken back first, a notification that had just come goes to another waiter, and if an
        owner of the lock had died, the next one is told so once the lock has been released.

        Raises:
            NotHeldError: the lock is not held; nothing has happened.
            OwnerDied: chosen by `on_owner_death`: while this one waited, an owner of the lock
                died. The lock is held.
            What the function that `on_owner_death` may be raises: the lock is held, and once
                it is released, the next one is told as well.
            ArgumentError (NaN). ClosedError.
        """
        cdef uint64_t deadline = deadline_of(timeout)
        cdef Primitive lock = lock_of(self)
        self.enter()
        try:
            lock.enter()
            try:
                return condition_wait(self, lock, deadline)
            finally:
                lock.leave()
        finally:
            self.leave()

    def wait_for(self, predicate, timeout=None):
        """Wait until `predicate()` is true; it is called with the lock held.

        Returns its last value, which is false only when `timeout` seconds have passed.
        Raises as `wait`, and whatever the predicate raises; the lock is held then.
        """
        cdef uint64_t deadline = deadline_of(timeout)
        cdef Primitive lock = lock_of(self)
        self.enter()
        try:
            lock.enter()
            try:
                while True:
                    result = predicate()
                    if result or not condition_wait(self, lock, deadline):
                        return result or predicate()
            finally:
                lock.leave()
        finally:
            self.leave()

    def notify(self, n=1):
        """Wake up to `n` of those that wait now. The lock must be held: NotHeldError.

        They go on one after the other, once the lock has been released. A notification that
        a waiter dies with goes to another one.
        """
        condition_notify(self, permits_of(n))

    def notify_all(self):
        """Wake all that wait now. The lock must be held: NotHeldError."""
        condition_notify(self, <uint32_t>-1)

    # The parts of a wait, for those that do something else meanwhile. None of them waits.

    def _mine(self):
        """Whether this thread holds its own lock by this handle."""
        return lock_is_mine(self)

    def _enter(self):
        """Begin: (ticket, depth), and the lock is free. NotHeldError: nothing has happened."""
        cdef Primitive lock = lock_of(self)
        cdef isthmus_condition_waiter waiter
        self.enter()
        try:
            lock.enter()
            try:
                condition_enter(self, lock, &waiter)
            finally:
                lock.leave()
        finally:
            self.leave()
        return waiter.ticket, waiter.depth

    def _retake(self, uint32_t depth):
        """Take the lock back; whether it has been taken. What has died, `_leave` tells."""
        cdef Primitive lock = lock_of(self)
        cdef isthmus_condition_waiter waiter
        cdef int result
        waiter.ticket, waiter.depth = 0, depth
        lock.enter()
        try:
            result = isthmus_condition_retake(lock.core, &waiter, 0)
            if result == -ETIMEDOUT or result == -EINTR:
                return False
            if result != 0 and result != -EOWNERDEAD:
                raise left_behind(self, lock, result)
            condition_retaken(lock, result)
        finally:
            lock.leave()
        return True

    def _leave(self, uint64_t ticket, bint in_time, error):
        """With the lock: whether there was a notification; None: not yet, and the lock is free.

        `in_time`: there is time to wait again. `error`: what is to be raised in any case, once a
        notification has been handed on.
        """
        cdef Primitive lock = lock_of(self)
        cdef isthmus_condition_waiter waiter
        cdef int notified
        waiter.ticket, waiter.depth = ticket, 0
        cdef bint again = in_time and error is None and not lock.died
        self.enter()
        try:
            lock.enter()
            try:
                notified = isthmus_condition_leave(self.core, lock.core, &waiter, again)
                if notified < 0:
                    raise left_behind(self, lock, notified)
                if again and not notified:
                    return None
                return condition_left(self, lock, notified, not in_time, error)
            finally:
                lock.leave()
        finally:
            self.leave()


cdef inline Primitive lock_of(Condition condition):
    return condition if condition.given is None else condition.given


cdef int condition_notify(Condition condition, uint32_t count) except -1:
    cdef Primitive lock = lock_of(condition)
    cdef int result
    condition.enter()
    try:
        lock.enter()
        result = isthmus_condition_notify(condition.core, lock.core, count)
        lock.leave()
    finally:
        condition.leave()
    if result == -ISTHMUS_E_NOT_JOINED and lock.core.slot >= 0:
        condition.join()
        return condition_notify(condition, count)
    if result < 0:
        raise lock.failed(-EPERM if result == -ISTHMUS_E_NOT_JOINED else result)
    return 0


cdef int condition_enter(Condition condition, Primitive lock,
                         isthmus_condition_waiter *waiter) except -1:
    cdef int result = isthmus_condition_enter(condition.core, lock.core, waiter)
    if result == -ISTHMUS_E_NOT_JOINED and lock.core.slot >= 0:
        condition.join()
        result = isthmus_condition_enter(condition.core, lock.core, waiter)
    if result < 0:
        raise lock.failed(-EPERM if result == -ISTHMUS_E_NOT_JOINED else result)
    lock.died = False
    return 0


cdef inline void condition_retaken(Primitive lock, int result) noexcept:
    lock.died = result == -EOWNERDEAD
    lock.unrepaired = False


cdef object condition_left(Condition condition, Primitive lock, bint notified, bint timed_out,
                           object error):
    """What a wait returns or raises, at its end, with the lock held."""
    if error is not None:
        if notified:
            isthmus_condition_notify(condition.core, lock.core, 1)
        # Of a death nobody has been told, for there is something else to be raised.
        lock.unrepaired = lock.died
        raise error
    if lock.died:
        try:
            owner_died(lock, True)
        except BaseException:
            # With "raise", whoever catches it is the one to repair.
            lock.unrepaired = lock.died and lock.policy != "raise"
            raise
        # Its holder has to look at the data, so this counts as a wake-up.
        return notified or not timed_out
    return notified


cdef object condition_wait(Condition condition, Primitive lock, uint64_t deadline):
    cdef isthmus_condition_waiter waiter
    cdef bint timed_out = False
    cdef uint64_t stop = 0
    cdef int result
    cdef int notified = 0
    cdef object error = None

    condition_enter(condition, lock, &waiter)
    while True:
        # Asleep, without the lock, until notified, out of time, or a handler raises.
        while True:
            stop = next_stop(deadline)
            with nogil:
                result = isthmus_condition_sleep(condition.core, &waiter, stop)
            if result == 0:
                break
            if result == -ETIMEDOUT and stop == deadline:
                timed_out = True
                break
            if result != -ETIMEDOUT and result != -EINTR:
                raise left_behind(condition, lock, result)
            try:
                PyErr_CheckSignals()
            except BaseException as raised:
                error = raised
                break
        # The lock is taken back whatever happens; what handlers raise now comes later.
        while True:
            stop = next_stop(ISTHMUS_FOREVER)
            with nogil:
                result = isthmus_condition_retake(lock.core, &waiter, stop)
            if result == 0 or result == -EOWNERDEAD:
                break
            if result != -ETIMEDOUT and result != -EINTR:
                raise left_behind(condition, lock, result)
            try:
                PyErr_CheckSignals()
            except BaseException as raised:
                error = error or raised
        condition_retaken(lock, result)
        notified = isthmus_condition_leave(condition.core, lock.core, &waiter,
                                           not timed_out and error is None and not lock.died)
        if notified or timed_out or error is not None or lock.died:
            break
        # Another one was quicker to take the notification: asleep again.

    return condition_left(condition, lock, notified > 0, timed_out, error)


cdef object left_behind(Condition condition, Primitive lock, int result):
    """Why a wait cannot go on, nor take the lock back."""
    # The child of a signal handler that forked during the wait: it was the parent that waited.
    return lock.failed(-EPERM if result == -ISTHMUS_E_NOT_JOINED else result)
