# Leases: messages that come back if they are not acknowledged.

cdef object queue_lease(Queue queue, uint64_t deadline, bint quiet=False):
    """`quiet`, with a deadline of 0: None when there is none, and no wait for the lock."""
    cdef isthmus_read read
    cdef isthmus_record record
    cdef Lease lease = Lease.__new__(Lease)  # before, since nothing may be allocated then
    cdef bint evicted
    cdef int result
    queue.enter()
    try:
        while True:
            result = queue.begin_read(&read, 0 if quiet else patience(deadline))
            if result == 0:
                result = isthmus_read_next(queue.core, &read, &record)
                if result == 0:
                    result = isthmus_queue_lease(queue.core, &read, &record)
                    if result == 0:
                        try:
                            content = leased_value(queue, &record, &evicted)
                        except BaseException as error:
                            # A pickle that may not be read was delivered to nobody.
                            if is_untrusted(error):
                                untake(queue, record.position, record.sequence)
                            else:
                                give_back(queue, record.position, record.sequence)
                            raise
                        if evicted:
                            continue
                        break
                else:
                    isthmus_read_abort(queue.core, &read)
            if quiet and (result == -EAGAIN or result == -ETIMEDOUT):
                return None
            if result != -EAGAIN:
                raise queue_failed(queue, result, False)
            result = queue.await_message(&read, deadline)
            if result < 0 and result != -ISTHMUS_E_NOT_JOINED:
                raise queue_failed(queue, result, False)
    finally:
        queue.leave()
    lease.content = content
    lease.queue, lease.slot = queue, queue.core.primitive.slot
    lease.position, lease.sequence = record.position, record.sequence
    lease.attempts = record.attempts
    lease.open = True
    return lease


@cython.final
cdef class Lease:
    """A message that was taken from a queue, and is not gone yet. Made by `Queue.lease`.

    As a context manager it is acknowledged at the end of the ``with`` block, and given back
    if an exception leaves that. Any thread may do so. It is settled once; one that is dropped
    unsettled is given back, with a ResourceWarning.
    """

    cdef Queue queue
    cdef object content
    cdef uint64_t position
    cdef uint64_t sequence
    cdef uint32_t attempts
    cdef int32_t slot  # of the participant that has it: a forked child does not
    cdef bint open

    def __init__(self):
        raise TypeError("a lease is made by Queue.lease()")

    @property
    def value(self):
        """The message. It stays the same object, also when the lease has been settled."""
        return self.content

    @property
    def attempt(self):
        """1 for the first delivery by lease, and one more for each that was given back."""
        return self.attempts

    @property
    def number(self):
        """The number of the message: how many were put into the queue before it."""
        return self.sequence

    @property
    def settled(self):
        """Whether it has been acknowledged or given back."""
        return not self.open

    def acknowledge(self):
        """The message is done with, and gone for good.

        Raises:
            LeaseError: it has been settled already.
            LeaseLostError: the message has become ready again meanwhile, since this handle was
            closed or evicted, or a fork made this another process: it may be given to somebody
            else.
        """
        lease_settle(self, True)

    def give_back(self):
        """The message is ready again, at its old place. Raises as `acknowledge`.

        With `max_attempts` it is set aside instead, if it has been delivered that often.
        """
        lease_settle(self, False)

    def __enter__(self):
        if not self.open:
            raise lease_error(self, False)
        return self

    def __exit__(self, kind, error, traceback, /):
        if not self.open:
            return  # settled in the block
        if error is None:
            lease_settle(self, True)
            return
        try:
            lease_settle(self, False)
        except ValueError:
            pass  # lost: the exception at hand says more

    def __del__(self):
        if not self.open:
            return
        what = repr(self)
        try:
            lease_settle(self, False)
        except ValueError:
            return  # closed, or a copy in a forked child: it is nobody's to give
        if _sys.is_finalizing():
            return  # nothing can be imported any more, and nobody is there to be warned
        import warnings
        warnings.warn(f"{what} was dropped without acknowledge() or give_back(), and has been "
                      "given back", ResourceWarning, source=self)

    def __repr__(self):
        state = "" if self.open else ", settled"
        return (f"<isthmus.Lease of message {self.sequence} of {self.queue._origin.what}, "
                f"attempt {self.attempts}{state}>")


cdef object lease_error(Lease lease, bint lost):
    from isthmus import _ring
    return _ring.lease_error(lease, lease.queue, lost)


cdef int lease_settle(Lease lease, bint done) except -1:
    cdef Queue queue = lease.queue
    cdef bint open
    cdef int result = -ESTALE
    with cython.critical_section(lease):
        open, lease.open = lease.open, False
    if not open:
        raise lease_error(lease, False)
    with cython.critical_section(queue):
        if queue.core.primitive.shared is not NULL and queue.core.primitive.slot == lease.slot:
            queue.handle.users += 1
            result = 0
    if result == 0:
        if done:
            result = acknowledge(queue, lease.position, lease.sequence, False)
        else:
            result = give_back(queue, lease.position, lease.sequence)
        queue.leave()
    if result == -ESTALE or result == -ISTHMUS_E_NOT_JOINED:
        raise lease_error(lease, True)
    if result < 0:
        raise queue.failed(result)
    return 0
