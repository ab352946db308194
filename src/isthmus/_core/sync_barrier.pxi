# Barriers.

cdef class Barrier(Primitive):
    """A barrier."""

    cdef object between
    cdef object limit

    def _go_with(self, action, timeout):
        self.between = action
        self.limit = timeout

    @property
    def action(self):
        """What the last one to come does, if it uses this handle; or None."""
        return self.between

    @property
    def timeout(self):
        """How many seconds a wait by this handle lasts at most, unless it says so; or None."""
        return self.limit

    def wait(self, timeout=None):
        """Wait until all parties have come. Returns the number of this arrival, from 0 up.

        The last one to come runs `action`, while the others wait, and lets all go.

        Args:
            timeout: seconds to wait at most; then the barrier is broken, for all. None:
                what the handle was made with.

        Releases the GIL; signal handlers run meanwhile, and when one raises (Ctrl-C) this
        party has withdrawn: the barrier is as if it had not come.

        Raises:
            BrokenBarrierError: it is broken, or became so: by a timeout, by `abort`, by
                `reset`, by an action that raised, or because a party died while it waited.
            ArgumentError (NaN). ClosedError.
        """
        cdef uint64_t deadline = deadline_of(self.limit if timeout is None else timeout)
        self.enter()
        try:
            return barrier_wait(self, deadline)
        finally:
            self.leave()

    def abort(self):
        """Break it: whoever waits or comes gets BrokenBarrierError, until a `reset`."""
        barrier_call(self, isthmus_barrier_abort)

    def reset(self):
        """Make it as new. Whoever waits gets BrokenBarrierError."""
        barrier_call(self, isthmus_barrier_reset)

    @property
    def parties(self):
        """How many must come."""
        self.enter()
        cdef uint32_t parties = isthmus_barrier_parties(self.core)
        self.leave()
        return parties

    @property
    def n_waiting(self):
        """How many have come and wait, at the moment."""
        self.enter()
        cdef uint32_t waiting = isthmus_barrier_waiting(self.core)
        self.leave()
        return waiting

    @property
    def broken(self):
        """Whether it is broken."""
        self.enter()
        cdef int result = isthmus_barrier_is_broken(self.core)
        self.leave()
        return result > 0


cdef int barrier_call(Barrier barrier,
                      int (*operation)(isthmus_primitive *) noexcept nogil) except -1:
    cdef int result
    barrier.enter()
    try:
        with nogil:
            result = operation(barrier.core)
        while result == -EINTR or result == -ISTHMUS_E_NOT_JOINED:
            if result == -EINTR:
                PyErr_CheckSignals()
            else:
                barrier.join()
            with nogil:
                result = operation(barrier.core)
    finally:
        barrier.leave()
    if result < 0:
        raise barrier.failed(result)
    return 0


cdef object barrier_wait(Barrier barrier, uint64_t deadline):
    cdef uint32_t round = 0
    cdef uint64_t stop = 0
    cdef int number, result
    # All of these may wait for the guard, whose owner may have been stopped: never with the GIL.
    with nogil:
        number = isthmus_barrier_arrive(barrier.core, 0, &round)
    while number < 0:
        if number == -ISTHMUS_E_NOT_JOINED:
            barrier.join()
        elif number == -ETIMEDOUT or number == -EINTR:
            if number == -ETIMEDOUT and stop == deadline:
                # All have come, and the last one's action takes long: that round is not ours.
                raise barrier.failed(-ISTHMUS_E_BROKEN)
            PyErr_CheckSignals()
        else:
            raise barrier.failed(number)
        stop = next_stop(deadline)
        with nogil:
            number = isthmus_barrier_arrive(barrier.core, stop, &round)

    if <uint32_t>number + 1 == isthmus_barrier_parties(barrier.core):
        try:
            if barrier.between is not None:
                barrier.between()
        except BaseException:
            barrier_call(barrier, isthmus_barrier_abort)
            raise
        with nogil:
            result = isthmus_barrier_trip(barrier.core, round)
        if result < 0:
            raise barrier.failed(result)
        return number

    while True:
        stop = next_stop(deadline)
        with nogil:
            result = isthmus_barrier_await(barrier.core, stop, round)
        if result >= 0:
            return number
        if result == -ETIMEDOUT and stop == deadline:
            # Unless all have come at the last moment.
            with nogil:
                result = isthmus_barrier_expire(barrier.core, round)
            if result == 0:
                return number
        if result != -ETIMEDOUT and result != -EINTR:
            raise barrier.failed(-EPERM if result == -ISTHMUS_E_NOT_JOINED else result)
        try:
            PyErr_CheckSignals()
        except BaseException:
            with nogil:
                isthmus_barrier_withdraw(barrier.core, round)
            raise
