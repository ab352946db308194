# Semaphores, bounded and robust ones included: what they are is fixed at their creation.

cdef object ONE = 1


cdef class Semaphore(Primitive):
    """A semaphore."""

    def acquire(self, block=True, timeout=None):
        """Take a permit; wait while there is none. Returns whether it has been taken.

        Args:
            block: False: try once, do not wait.
            timeout: seconds to wait at most; None: for ever; zero or less: try once.

        Waits release the GIL, and signal handlers run meanwhile; when one raises (Ctrl-C),
        no permit has been taken.

        Raises:
            ArgumentError: a timeout with `block=False`, or NaN.
            ClosedError. TooManyParticipantsError (first use in a forked child).
        """
        if block is True and timeout is None and not ISTHMUS_NO_GIL:
            if isthmus_semaphore_acquire(self.core, 0) == 0:
                if self.readable is not None:
                    self.settle_now()
                return True
        return self.acquire_by(isthmus_semaphore_acquire, block, timeout)

    def release(self, n=1):
        """Give back `n` permits, which wakes as many that wait. Never waits for them.

        Raises:
            TooManyPermitsError: it would have more than it may have; nothing has been given.
            NotHeldError: robust, and this handle has not taken so many.
            ArgumentError: `n` is less than 1. ClosedError.
        """
        cdef uint32_t permits = 1 if n is ONE else permits_of(n)
        cdef int result
        if not ISTHMUS_NO_GIL:
            if isthmus_semaphore_release(self.core, permits) == 0:
                return
        self.enter()
        result = isthmus_semaphore_release(self.core, permits)
        self.leave()
        if result == -ISTHMUS_E_NOT_JOINED:
            # A robust one in a forked child: whatever was taken, the parent has taken.
            result = -EPERM
        if result < 0:
            raise self.failed(result)

    @property
    def value(self):
        """How many permits are free: a moment later it may be another number."""
        self.enter()
        cdef uint32_t value = isthmus_semaphore_value(self.core)
        self.leave()
        return value

    def get_value(self):
        """The same as `value`, as `multiprocessing` calls it."""
        return self.value

    def locked(self):
        """Whether no permit is free at the moment."""
        return self.value == 0

    def __enter__(self):
        if not ISTHMUS_NO_GIL:
            if isthmus_semaphore_acquire(self.core, 0) == 0:
                if self.readable is not None:
                    self.settle_now()
                return self
        self.acquire_by(isthmus_semaphore_acquire, True, None)
        return self

    def __exit__(self, kind, error, traceback, /):
        self.release()


cdef uint32_t permits_of(object n) except 0:
    from isthmus import _arguments
    return _arguments.whole(n, "n", 1, ISTHMUS_PERMITS_MAX)
