# Queues: putting and getting.

cdef class Queue(Ring):
    """A queue."""

    # ---- Putting -------------------------------------------------------------------

    def put(self, obj, block=True, timeout=None):
        """Put a message; wait while there is no room.

        Args:
            obj: anything that can be pickled. `bytes`, `bytearray`, `str`, `memoryview` (which
                comes out as bytes) and numpy arrays travel as they are.
            block: False: do not wait; `timeout` is then ignored.
            timeout: seconds to wait at most; None: for ever; zero or less: try once.

        When it has returned, the message is in the queue, whatever becomes of this process. Waits
        release the GIL, and signal handlers run meanwhile; when one raises (Ctrl-C), nothing has
        been put.

        Raises:
            Full: there was no room in time.
            MessageTooLargeError: it would not even fit into an empty queue.
            ShutDown: the queue has been shut down.
            ArgumentError: timeout is NaN. ClosedError. TooManyParticipantsError (first use in
            a forked child). And what pickling raises.
        """
        if not ISTHMUS_NO_GIL and PyBytes_CheckExact(obj) and PyBytes_GET_SIZE(obj) < MUCH:
            if isthmus_ring_try_write(self.core, ISTHMUS_TYPE_BYTES, PyBytes_AS_STRING(obj),
                                      PyBytes_GET_SIZE(obj)) == 0:
                return
        queue_put(self, obj, deadline_when(block, timeout))

    def put_nowait(self, obj):
        """The same as ``put(obj, block=False)``."""
        if not ISTHMUS_NO_GIL and PyBytes_CheckExact(obj) and PyBytes_GET_SIZE(obj) < MUCH:
            if isthmus_ring_try_write(self.core, ISTHMUS_TYPE_BYTES, PyBytes_AS_STRING(obj),
                                      PyBytes_GET_SIZE(obj)) == 0:
                return
        queue_put(self, obj, 0)

    def put_many(self, items, block=True, timeout=None):
        """Put all of `items`, in order, at a fraction of what as many calls of `put` cost.

        They need not fit all at once: what fits is put, and the rest when there is room again.
        If one of them cannot be put at all, none is.

        Raises as `put`. A `Full` and a `ShutDown` have an attribute `done`: how many were put.
        """
        cdef uint64_t deadline = deadline_when(block, timeout)
        cdef Py_ssize_t done = 0
        cdef int result
        self.enter()
        try:
            result = write_many(self, all_encoded(self, items), &done, deadline)
        finally:
            self.leave()
        if result < 0:
            raise queue_failed(self, result, True, done)

    # ---- Getting -------------------------------------------------------------------

    def get(self, block=True, timeout=None):
        """Take the next message; wait while there is none.

        Args:
            block, timeout: as for `put`.

        Each message is given to one of those that get, in the order in which they were put. If
        this process dies after it has taken it, the message is gone; see `lease`.

        Raises:
            Empty: there was none in time.
            ShutDown: the queue has been shut down, nothing is left, and nothing that others
            have leased can come back.
            RecordError: the message is damaged, and stays; see `clear`.
            UntrustedPickleError: it is a pickle, and another user could have written it; it stays.
            Otherwise as `put`. An object that cannot be unpickled is gone; the error says so.
        """
        if not ISTHMUS_NO_GIL:
            value = get_now(self)
            if value is not None:
                return value
        return queue_get(self, deadline_when(block, timeout))

    def get_nowait(self):
        """The same as ``get(block=False)``."""
        if not ISTHMUS_NO_GIL:
            value = get_now(self)
            if value is not None:
                return value
        return queue_get(self, 0)

    def get_many(self, n, block=True, timeout=None):
        """Take up to `n` messages: a list. Waits, as `get`, for the first of them only."""
        cdef Py_ssize_t most = most_of(n)
        cdef uint64_t deadline = deadline_when(block, timeout)
        return queue_get_many(self, most, deadline)

    def lease(self, block=True, timeout=None):
        """Take the next message in a way that it is not lost if this process dies: a `Lease`.

        It stays in the queue, given to nobody else, until it is acknowledged (gone for good),
        given back (ready again, at its old place), or the lease ends in another way: its holder
        is closed or dies. Waits and raises as `get`; a message that cannot be decoded is
        given back, and has been delivered once more, so that `max_attempts` sets it aside.
        """
        return queue_lease(self, deadline_when(block, timeout))

    def __iter__(self):
        """Take messages until the queue is shut down."""
        return self

    def __next__(self):
        if not ISTHMUS_NO_GIL:
            value = get_now(self)
            if value is not None:
                return value
        from isthmus._ring_errors import ShutDown
        try:
            return queue_get(self, ISTHMUS_FOREVER)
        except ShutDown:
            pass
        raise StopIteration

    # ---- What is in it --------------------------------------------------------------

    def qsize(self):
        """How many messages are ready; a moment later it may be another number."""
        return state_of(self).ready

    def empty(self):
        """Whether no message is ready at the moment."""
        return state_of(self).ready == 0

    def full(self):
        """Whether at the moment not even an empty message could be put without waiting."""
        cdef isthmus_queue_state state = state_of(self)
        if self.core.maxsize and state.ready >= self.core.maxsize:
            return True
        return state.used + isthmus_record_room(0, 0) > self.core.capacity

    @property
    def maxsize(self):
        """How many messages may be ready at once; 0: as many as fit."""
        return self.core.maxsize

    @property
    def max_attempts(self):
        """How often a message is delivered by lease before it is set aside; None: no limit."""
        return self.core.max_attempts or None

    def _numbers(self):
        cdef isthmus_queue_state state = state_of(self)
        return (state.ready, state.leased, state.aside, state.put, state.redelivered,
                state.set_aside, state.used, state.closed != 0)

    # ---- Its end ---------------------------------------------------------------------

    def task_done(self):
        """Say that a message that `get` has given is done with; see `join`.

        Raises:
            NotHeldError: there is none that is not. ClosedError.
        """
        cdef int result
        self.enter()
        try:
            with nogil:
                result = isthmus_queue_task_done(self.core)
            while result == -EINTR or result == -ISTHMUS_E_NOT_JOINED:
                settle_down(self, result)
                with nogil:
                    result = isthmus_queue_task_done(self.core)
        finally:
            self.leave()
        if result < 0:
            raise self.failed(result)

    def join(self, timeout=None):
        """Wait until all that was put is done with. Returns whether it is, in time.

        A message is done with when who got it has called `task_done`, when its lease was
        acknowledged, or when the process that got it is gone.
        """
        cdef uint64_t deadline = deadline_of(timeout)
        cdef uint64_t stop
        cdef int result
        self.enter()
        try:
            while True:
                stop = next_stop(deadline)
                with nogil:
                    result = isthmus_queue_join(self.core, stop)
                if result == 0:
                    return True
                if result == -ETIMEDOUT:
                    PyErr_CheckSignals()
                    if stop == deadline:
                        return False
                else:
                    settle_down(self, result)
        finally:
            self.leave()

    def shutdown(self, immediate=False):
        """Let nothing more be put: `put` raises `ShutDown`, and `get` does when nothing is left.

        As long as somebody else has leased something, that may come back, and `get` waits for it:
        so no job is lost if the last worker dies.

        Args:
            immediate: drop what is in the queue, too, so that `get` raises at once.

        Whoever waits is woken. There is no way back.
        """
        cdef int discard = 1 if immediate else 0
        cdef int result
        self.enter()
        try:
            with nogil:
                result = isthmus_queue_shut_down(self.core, discard)
            while result < 0:
                settle_down(self, result)
                with nogil:
                    result = isthmus_queue_shut_down(self.core, discard)
        finally:
            self.leave()

    def clear(self):
        """Drop all messages that are ready, damaged ones included. Leases stay what they are."""
        cdef int result
        self.enter()
        try:
            with nogil:
                result = isthmus_queue_clear(self.core)
            while result < 0:
                settle_down(self, result)
                with nogil:
                    result = isthmus_queue_clear(self.core)
        finally:
            self.leave()

    # ---- Messages set aside ------------------------------------------------------------

    def _aside(self):
        """[(number, attempts, a copy)], oldest first."""
        return queue_aside(self)

    def _discard(self, uint64_t number):
        """False: it is not there any more."""
        cdef int result
        self.enter()
        try:
            with nogil:
                result = isthmus_queue_aside_remove(self.core, number)
            while result < 0 and result != -ENOENT:
                settle_down(self, result)
                with nogil:
                    result = isthmus_queue_aside_remove(self.core, number)
        finally:
            self.leave()
        return result == 0

    def _put_back(self, uint64_t number, timeout):
        """False: it is not there any more."""
        cdef uint64_t deadline = deadline_of(timeout)
        cdef uint64_t stop
        cdef int result
        self.enter()
        try:
            while True:
                stop = next_stop(deadline)
                with nogil:
                    result = isthmus_queue_aside_put_back(self.core, number, stop)
                if result == 0 or result == -ENOENT:
                    return result == 0
                if result == -ETIMEDOUT:
                    PyErr_CheckSignals()
                    if stop == deadline:
                        raise queue_failed(self, result, True)
                elif result == -ESHUTDOWN:
                    raise queue_failed(self, result, True)
                else:
                    settle_down(self, result)
        finally:
            self.leave()


cdef int settle_down(Ring ring, int result) except -1:
    """After a failure: return if it is worth another try, else raise."""
    if result == -EINTR or result == -EBUSY or result == -ETIMEDOUT:
        PyErr_CheckSignals()
    elif result == -ISTHMUS_E_NOT_JOINED:
        ring.take_part()
    else:
        raise ring.failed(result)
    return 0


cdef object queue_failed(Queue queue, int result, bint putting, Py_ssize_t done=0):
    from isthmus import _ring
    if result == -ETIMEDOUT or result == -EAGAIN or result == -EBUSY:
        return _ring.full(queue, done) if putting else _ring.empty(queue)
    if result == -ESHUTDOWN:
        return _ring.shut_down(queue, done)
    return queue.failed(result)


cdef Py_ssize_t most_of(object n) except -1:
    cdef Py_ssize_t most
    if type(n) is int and 0 < n < 1 << 31:
        return n
    from isthmus import _arguments
    return _arguments.whole(n, "n", 1, PY_SSIZE_T_MAX)


cdef isthmus_queue_state state_of(Queue queue) except *:
    cdef isthmus_queue_state state
    queue.enter()
    cdef int result = isthmus_queue_read_state(queue.core, &state)
    queue.leave()
    if result < 0:
        raise queue.failed(result)
    return state


cdef int queue_put(Queue queue, object obj, uint64_t deadline) except -1:
    cdef Outgoing message = encoded(obj)
    cdef int result
    queue.enter()
    try:
        result = write_one(queue, message, deadline)
    finally:
        queue.leave()
    if result < 0:
        raise queue_failed(queue, result, True)
    return 0


cdef inline bint is_simple(const isthmus_record *record) noexcept:
    """Whether it can be decoded within the read: see `simple`."""
    return record.type in (ISTHMUS_TYPE_BYTES, ISTHMUS_TYPE_BYTEARRAY, ISTHMUS_TYPE_TEXT) and (
        record.size < MUCH)


cdef inline object get_now(Queue queue):
    """What costs least: short bytes that are there. None: anything else."""
    cdef isthmus_read read
    cdef isthmus_record record
    if isthmus_read_begin(queue.core, &read, 0) < 0:
        return None
    if isthmus_read_next(queue.core, &read, &record) == 0:
        if record.type == ISTHMUS_TYPE_BYTES and record.size < MUCH:
            try:
                value = PyBytes_FromStringAndSize(<char *>record.data, record.size)
            except BaseException:
                isthmus_read_abort(queue.core, &read)
                raise
            isthmus_read_commit(queue.core, &read)
            return value
    isthmus_read_abort(queue.core, &read)
    return None


cdef object queue_get(Queue queue, uint64_t deadline):
    return queue_get_many(queue, 1, deadline)[0]


cdef list queue_get_many(Queue queue, Py_ssize_t most, uint64_t deadline):
    """Messages that need no more than copying, or leased ones, which are acknowledged in the end.

    Never both: those that were read must not be lost to an error in decoding the others.
    """
    cdef isthmus_read read
    cdef isthmus_record record
    cdef list items = []
    cdef list leases = []
    cdef int result
    queue.enter()
    try:
        while True:
            result = queue.begin_read(&read, patience(deadline))
            if result == 0:
                result = read_batch(queue, &read, &record, most, items, len(leases) != 0)
            if result == LEASED:
                take_leased(queue, &record, items, leases)
                if len(items) < most:
                    deadline = 0
                    continue
            if items:
                break
            if result != -EAGAIN:
                raise queue_failed(queue, result, False)
            result = queue.await_message(&read, deadline)
            if result < 0 and result != -ISTHMUS_E_NOT_JOINED:
                raise queue_failed(queue, result, False)
    except BaseException as error:
        if not items or not isinstance(error, Exception):
            give_all_back(queue, leases)
            raise
        # What has failed has stayed, and fails again when it is its turn.
    finally:
        acknowledge_all(queue, leases)
        queue.leave()
    return items


cdef enum:
    LEASED = 1


cdef int read_batch(Queue queue, isthmus_read *read, isthmus_record *record, Py_ssize_t most,
                    list items, bint leasing) except -1000:
    """In a read, which it ends: append messages to `items`. Runs no code of users.

    LEASED: there is one, at *record, that is leased now. Otherwise as the core answered
    when it found no more, or 0.
    """
    cdef isthmus_read before
    cdef int result = 0
    cdef Py_ssize_t count = 0
    cdef bint fits
    while len(items) < most:
        before = read[0]
        result = isthmus_read_next(queue.core, read, record)
        if result < 0:
            break
        fits = is_simple(record)
        value = None
        if fits and not leasing:
            try:
                value = simple(record)
            except BaseException:
                isthmus_read_abort(queue.core, read)
                del items[:]
                raise
        if value is None:  # or it is a text that is none: `loaded` says so
            if count == 0 and not (fits and leasing):
                result = isthmus_queue_lease(queue.core, read, record)
                return LEASED if result == 0 else result
            read[0] = before  # as if it had not been looked at
            break
        items.append(value)
        count += 1
    if count == 0:
        isthmus_read_abort(queue.core, read)
    else:
        isthmus_read_commit(queue.core, read)
    return result


cdef int take_leased(Queue queue, const isthmus_record *record, list items,
                     list leases) except -1:
    """Decode a record that is leased, and append it. On an error it goes back, or is gone."""
    cdef uint64_t position = record.position
    cdef uint64_t sequence = record.sequence
    try:
        value = loaded(queue, record)
    except BaseException as error:
        try:
            lost = not items and record.type == ISTHMUS_TYPE_PICKLE and is_lost(error)
        except BaseException:
            untake(queue, position, sequence)
            raise
        if not lost:
            untake(queue, position, sequence)
            raise
        # It would fail again and again, and nothing behind it could be reached.
        acknowledge(queue, position, sequence, True)
        try:
            error.add_note(f"(message {sequence} has been taken from {queue._origin.what})")
        except Exception:
            pass  # of a class of its own, which takes none
        raise
    items.append(value)
    leases.append((position, sequence))
    return 0


cdef bint is_lost(object error) except -1:
    """Whether unpickling has failed for a reason that is in the message."""
    if not isinstance(error, Exception) or isinstance(error, MemoryError):
        return False
    from isthmus._ring_errors import RecordError, UntrustedPickleError
    return not isinstance(error, (RecordError, UntrustedPickleError))


# Without the GIL, since they wait for a lock that a thread may have that waits for the GIL.

cdef int acknowledge(Queue queue, uint64_t position, uint64_t sequence, bint taken) noexcept:
    """`taken`: as if it had been got without a lease, so that `task_done` is to follow."""
    cdef int result = -EINTR
    while result == -EINTR:
        with nogil:
            if taken:
                result = isthmus_queue_take(queue.core, position, sequence)
            else:
                result = isthmus_queue_acknowledge(queue.core, position, sequence)
    return result


cdef int give_back(Queue queue, uint64_t position, uint64_t sequence) noexcept:
    cdef int result = -EINTR
    while result == -EINTR:
        with nogil:
            result = isthmus_queue_give_back(queue.core, position, sequence)
    return result


cdef int untake(Queue queue, uint64_t position, uint64_t sequence) noexcept:
    """Give back what `get` could not get: that was no delivery by lease."""
    cdef int result = -EINTR
    while result == -EINTR:
        with nogil:
            result = isthmus_queue_untake(queue.core, position, sequence)
    return result


cdef int acknowledge_all(Queue queue, list leases) except -1:
    for position, sequence in leases:
        # Those that are not ours any more, since a signal handler has forked, are the parent's.
        acknowledge(queue, position, sequence, True)
    return 0


cdef int give_all_back(Queue queue, list leases) except -1:
    for position, sequence in reversed(leases):
        untake(queue, position, sequence)
    del leases[:]
    return 0


cdef list queue_aside(Queue queue):
    cdef isthmus_read read
    cdef isthmus_record record
    cdef list found = []
    cdef list copies = []
    cdef Arrived copied
    cdef uint64_t deadline = 0
    cdef int result
    queue.enter()
    try:
        while True:
            with nogil:
                result = isthmus_queue_aside_begin(queue.core, &read, deadline)
            if result == 0:
                break
            if result == -ENOENT:
                return found  # it has no place for them
            settle_down(queue, result)
            deadline = isthmus_deadline_after(CHUNK)
        try:
            while True:
                result = isthmus_queue_aside_next(queue.core, &read, &record)
                if result < 0:
                    break
                copies.append(arrived(&record))
        finally:
            isthmus_read_abort(queue.core, &read)
        if result != -EAGAIN:
            raise queue.failed(result)
    finally:
        queue.leave()
    for copied in copies:
        found.append((copied.record.sequence, copied.record.attempts, copied))
    return found


def decode(Ring ring, copied):
    """The object that a copy of a record stands for; the copy is used up."""
    return decoded(ring, <Arrived?>copied)
