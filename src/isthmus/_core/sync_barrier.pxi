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

    # The parts of a wait, for those that do something else meanwhile. They wait for nothing but
    # the guard, whose owner may have been stopped.

    def _arrive(self):
        """(number, round); number None: come again when that round is over. BrokenBarrierError.

        Both None: the guard was not to be had for a tenth of a second.
        """
        cdef uint32_t none = <uint32_t>-1  # no round: it is odd, and nobody arrives in such a one
        cdef uint32_t round = none
        cdef int number
        self.enter()
        try:
            number = barrier_arrive(self, 0, &round)
        finally:
            self.leave()
        if number == -ETIMEDOUT or number == -EINTR:
            return None, None if round == none else round
        if number < 0:
            raise self.failed(number)
        return number, round

    def _trip(self, uint32_t round):
        """End the round, as the last one to come. BrokenBarrierError."""
        barrier_ended(self, isthmus_barrier_trip, round)

    def _expire(self, uint32_t round):
        """The time of this party is up: break the round, unless it is over. BrokenBarrierError."""
        barrier_ended(self, isthmus_barrier_expire, round)

    def _over(self, uint32_t round):
        """Whether the round is over, this one having arrived in it. BrokenBarrierError."""
        return barrier_ended(self, barrier_look, round)

    def _withdraw(self, uint32_t round):
        """As if this party had not come. False: too late, all had come, or the round is over."""
        cdef int result
        self.enter()
        with nogil:
            result = isthmus_barrier_withdraw(self.core, round)
        self.leave()
        return result == 0

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


cdef int barrier_look(isthmus_primitive *barrier, uint32_t round) noexcept nogil:
    return isthmus_barrier_await(barrier, 0, round)


cdef bint barrier_ended(Barrier barrier,
                        int (*operation)(isthmus_primitive *, uint32_t) noexcept nogil,
                        uint32_t round) except -1:
    """False: not yet."""
    cdef int result
    barrier.enter()
    with nogil:
        result = operation(barrier.core, round)
    barrier.leave()
    if result == -ETIMEDOUT or result == -EINTR:
        return False
    if result < 0:
        raise barrier.failed(-EPERM if result == -ISTHMUS_E_NOT_JOINED else result)
    return True


cdef int barrier_arrive(Barrier barrier, uint64_t deadline, uint32_t *round) except? -1:
    """The core's answer. Without the GIL."""
    cdef int number
    with nogil:
        number = isthmus_barrier_arrive(barrier.core, deadline, round)
    if number == -ISTHMUS_E_NOT_JOINED:
        barrier.join()
        return barrier_arrive(barrier, deadline, round)
    return number


cdef object barrier_wait(Barrier barrier, uint64_t deadline):
    cdef uint32_t round = 0
    cdef uint64_t stop = 0
    cdef int number, result
    # All of these may wait for the guard, whose owner may have been stopped: never with the GIL.
    number = barrier_arrive(barrier, 0, &round)
    while number < 0:
        if number == -ETIMEDOUT or number == -EINTR:
            if number == -ETIMEDOUT and stop == deadline:
                # All have come, and the last one's action takes long: that round is not ours.
                raise barrier.failed(-ISTHMUS_E_BROKEN)
            PyErr_CheckSignals()
        else:
            raise barrier.failed(number)
        stop = next_stop(deadline)
        number = barrier_arrive(barrier, stop, &round)

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
