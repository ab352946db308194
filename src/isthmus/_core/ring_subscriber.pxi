# Subscribing: receiving all that is published.

cdef class Subscriber(Ring):
    """A subscriber."""

    cdef object patience       # its timeout
    cdef object failure        # what is to be raised by the next call
    cdef dict pins             # positions of records in view, oldest first …
    cdef uint32_t pins_pid     # … in this process: a forked child inherits no pin
    cdef bint ending           # to be closed when nothing is in view any more

    def recv(self, timeout=its_own):
        """The next message; waits while there is none.

        Args:
            timeout: seconds to wait at most; None: for ever; zero or less: look once. Unless
                given, the one with which this subscriber was opened.

        Each message is given once to each subscriber, whichever thread calls. Waits release the
        GIL, and signal handlers run meanwhile; when one raises (Ctrl-C), nothing has been received.

        Raises:
            Empty: there was none in time.
            RecordError: the message is damaged; the next call goes on with what is published then.
            UntrustedPickleError: it is a pickle, and another user could have written it. The
            next call goes on with the message after it; so it does when unpickling raises.
            ArgumentError: timeout is NaN. ClosedError. TooManyParticipantsError (first use in
            a forked child).
        """
        if not ISTHMUS_NO_GIL and self.failure is None:
            value = recv_now(self)
            if value is not nothing:
                return value
        return subscriber_recv(self, until_message(self, timeout))

    def recv_many(self, n, timeout=its_own):
        """Up to `n` messages: a list. Waits, as `recv`, for the first of them only.

        Raises as `recv`; what is wrong with a message behind others is raised by the next call.
        """
        cdef Py_ssize_t most = most_of(n)
        return subscriber_recv_many(self, most, until_message(self, timeout))

    def _recv_or(self, default):
        """The next message, or `default`; never waits."""
        if not ISTHMUS_NO_GIL and self.failure is None:
            value = recv_now(self)
            if value is not nothing:
                return value
        cdef list items = subscriber_recv_many(self, 1, 0, True)
        return items[0] if items else default

    def _recv_next(self, default):
        """The same for a task; `default` also one time in 64, so that others can run."""
        self.runs += 1
        if self.runs % RUN == 0:
            return default
        if not ISTHMUS_NO_GIL and self.failure is None:
            value = recv_now(self)
            if value is not nothing:
                return value
        cdef list items = subscriber_recv_many(self, 1, 0, True)
        return items[0] if items else default

    def _recv_some(self, Py_ssize_t most):
        """Up to so many, perhaps none; never waits."""
        return subscriber_recv_many(self, most, 0, True)

    def _view_or(self, default):
        """The next message in place, or `default`; never waits."""
        return view_next(self, 0, default, True)

    def view(self, timeout=its_own):
        """The next message in place, uncopied: a context manager that gives it.

        ``with sub.view() as frame:`` gives a read-only array, or memoryview for bytes, in the
        topic's own memory; an object that was pickled has its large buffers there. Publishers do
        not write over it as long as it, or anything made from it, is there; so do not keep them:
        a publisher that comes round to it waits, whatever its `overflow`. Leaving the block lets
        go of it, if nothing else refers to it; a name that it was bound to does, until it is
        deleted or bound anew.

        Waits, at the start of the block, and raises as `recv`.
        """
        cdef View view = View.__new__(View)
        view.subscriber, view.timeout = self, timeout
        return view

    def __iter__(self):
        """Messages for ever; or, with a timeout, until none has come for so long."""
        return self

    def __next__(self):
        if not ISTHMUS_NO_GIL and self.failure is None:
            value = recv_now(self)
            if value is not nothing:
                return value
        from isthmus._ring_errors import Empty
        try:
            return subscriber_recv(self, deadline_of(self.patience))
        except Empty:
            pass
        raise StopIteration

    @property
    def timeout(self):
        """Seconds to wait at most, unless a call says otherwise; None: for ever. May be set."""
        return self.patience

    @timeout.setter
    def timeout(self, timeout):
        deadline_of(timeout)
        self.patience = timeout

    @property
    def lag(self):
        """How many messages have been published that it has not received."""
        self.enter()
        try:
            present(self)
            return isthmus_topic_lag(self.core)
        finally:
            self.leave()

    @property
    def missed(self):
        """How many messages were overwritten before it could receive them, ever."""
        self.enter()
        try:
            present(self)
            return isthmus_topic_missed(self.core)
        finally:
            self.leave()

    @property
    def evicted(self):
        """Whether somebody evicted it: publishers do not wait for it, so it may miss messages.

        It goes on receiving. One that is to be waited for again is opened anew.
        """
        self.enter()
        try:
            present(self)
            return isthmus_topic_evicted(self.core) != 0
        finally:
            self.leave()

    @property
    def closed(self):
        """Whether this handle has been closed."""
        return self.core.primitive.shared is NULL or self.ending

    def _subscribe(self, uint64_t start, timeout):
        """Begin. `start`: as the core has it."""
        cdef int result
        self.timeout = timeout
        self.pins = {}
        self.enter()
        try:
            present(self)
            with nogil:
                result = isthmus_topic_subscribe(self.core, start)
        finally:
            self.leave()
        if result < 0:
            raise self.failed(result)

    def _end(self):
        """Receive no more, and close when nothing is in view. False: another thread is waiting."""
        cdef bint later = False
        if Ring._close(self):
            return True
        with cython.critical_section(self):
            if self.handle.users == 0 and not self.ending:
                later = self.ending = True
        if later:
            self.drop_descriptors()
            with nogil:
                isthmus_topic_unsubscribe(self.core)
        return self.ending

    def _numbers(self):
        return topic_numbers(self)

    cdef void settle(self, bint again) noexcept:
        Ring.settle(self, again)
        if self.failure is not None and self.readable is not None:
            self.readable.tell()

    def _borrow(self):
        if self.ending:
            raise self.failed(-EBADF)
        return Ring._borrow(self)


cdef inline uint64_t until_message(Subscriber subscriber, object timeout) except? 0:
    return deadline_of(subscriber.patience if timeout is its_own else timeout)


cdef int present(Ring ring) except -1:
    """Join, in a forked child."""
    if ring.core.primitive.slot < 0:
        ring.take_part()
    return 0


cdef inline object recv_now(Subscriber subscriber):
    """What costs least: short bytes or a value that are there. `nothing`: anything else."""
    cdef isthmus_read read
    cdef isthmus_record record
    if isthmus_read_begin(subscriber.core, &read, 0) < 0:
        return nothing
    if isthmus_read_next(subscriber.core, &read, &record) == 0:
        if record.type == ISTHMUS_TYPE_BYTES and record.size < MUCH:
            try:
                value = PyBytes_FromStringAndSize(<char *>record.data, record.size)
            except BaseException:
                isthmus_read_abort(subscriber.core, &read)
                raise
            if isthmus_read_valid(subscriber.core, &read, &record) == 0:
                isthmus_read_commit(subscriber.core, &read)
                if subscriber.readable is not None:
                    subscriber.settle_now()
                return value
        elif record.type == ISTHMUS_TYPE_VALUE and record.size <= VALUE_SMALL:
            return recv_value_now(subscriber, &read, &record)
    isthmus_read_abort(subscriber.core, &read)
    return nothing


cdef object recv_value_now(Subscriber subscriber, isthmus_read *read,
                           const isthmus_record *record):
    cdef char small[VALUE_SMALL]
    cdef uint64_t place
    memcpy(small, record.data, record.size)
    if is_value(small, record.size, &place):
        if isthmus_read_valid(subscriber.core, read, record) == 0:
            isthmus_read_commit(subscriber.core, read)
            if subscriber.readable is not None:
                subscriber.settle_now()
            return value_taken(subscriber, small, record.sequence)
    isthmus_read_abort(subscriber.core, read)
    return nothing


cdef object receiving_failed(Subscriber subscriber, int result):
    from isthmus import _ring
    if result == -ETIMEDOUT or result == -EAGAIN or result == -EBUSY:
        return _ring.empty(subscriber)
    if result == -EINVAL:  # not subscribed any more
        return subscriber.failed(-EBADF)
    return subscriber.failed(result)


cdef int check_failure(Subscriber subscriber) except -1:
    """Raise what the last call has left to this one."""
    if subscriber.failure is not None:
        failure, subscriber.failure = subscriber.failure, None
        raise failure
    return 0


cdef object subscriber_recv(Subscriber subscriber, uint64_t deadline):
    return subscriber_recv_many(subscriber, 1, deadline)[0]


cdef list subscriber_recv_many(Subscriber subscriber, Py_ssize_t most, uint64_t deadline,
                               bint quiet=False):
    """`quiet`, with a deadline of 0: an empty list when there is none, and no wait for the lock."""
    cdef isthmus_read read
    cdef isthmus_record record
    cdef list items = []
    cdef Arrived copied
    cdef uint64_t expected = UINT64_MAX
    cdef bint values = False
    cdef int result
    subscriber.enter()
    try:
        check_failure(subscriber)
        while True:
            copied = None
            if items:  # nothing that could raise: they would be lost
                result = isthmus_read_begin(subscriber.core, &read, 0)
            else:
                result = subscriber.begin_read(&read, 0 if quiet else patience(deadline))
            if result == 0:
                copied = receive_batch(subscriber, &read, &record, most, items, &values,
                                       &expected, &result)
            if values:
                values = False
                make_values(subscriber, items)
            try:
                if copied is not None:
                    items.append(decoded(subscriber, copied))
                    if len(items) < most:
                        continue
                elif result == -EBADMSG:
                    raise no_record(subscriber, record.position, expected)
            except Exception as error:
                if not items:
                    raise
                subscriber.failure = error
            if items or quiet and (result == -EAGAIN or result == -ETIMEDOUT):
                return items
            if result != -EAGAIN:
                raise receiving_failed(subscriber, result)
            result = subscriber.await_message(&read, deadline)
            if result < 0 and result != -ISTHMUS_E_NOT_JOINED:
                raise receiving_failed(subscriber, result)
    finally:
        subscriber.leave()


cdef object no_record(Subscriber subscriber, uint64_t position, uint64_t expected):
    """The error for what is not even a record."""
    from isthmus import _ring
    return _ring.damaged(subscriber, None if expected == UINT64_MAX else expected, position,
                         "its header contradicts itself; what was published after it cannot be "
                         "found, the next call goes on with what will be")


cdef Arrived receive_batch(Subscriber subscriber, isthmus_read *read, isthmus_record *record,
                           Py_ssize_t most, list items, bint *values, uint64_t *expected,
                           int *result):
    """In a read, which it ends: append messages to `items`. Runs no code of users.

    The last one, if it is not as simple as the others, is what it returns. *result: as the
    core has answered; *values: as for `read_batch`; *expected: the number that the last one that
    it looked at should have.
    """
    cdef Arrived copied = None
    cdef object value
    cdef Py_ssize_t taken = 0
    while copied is None and len(items) < most:
        expected[0] = read.sequence
        result[0] = isthmus_read_next(subscriber.core, read, record)
        if result[0] < 0:
            break
        value = None
        try:
            if is_simple(record):
                value = simple(record)
            elif is_short_value(record):
                value, values[0] = value_arrived(record), True
            if value is None:  # or it is none of its type: if it was whole, `decoded` says so
                copied = arrived(record)
            result[0] = isthmus_read_valid(subscriber.core, read, record)
            if result[0] == -ESTALE:
                copied = None
                result[0] = 0
                continue  # overwritten while it was copied
            if copied is None:
                items.append(value)
        except BaseException:
            isthmus_read_abort(subscriber.core, read)
            del items[len(items) - taken:]
            raise
        taken += 1
    if taken == 0 and result[0] == -EAGAIN and read.position == read.first:
        isthmus_read_abort(subscriber.core, read)
    else:
        # Also without a message: it goes on behind what is damaged, or was overwritten.
        isthmus_read_commit(subscriber.core, read)
    return copied
