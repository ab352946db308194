# Queues: putting and getting.

cdef class Queue(Ring):
    """A queue."""

    # ---- Putting -------------------------------------------------------------------

    def put(self, obj, block=True, timeout=None):
        """Put a message; wait while there is no room.

        Args:
            obj: anything that can be pickled. `bytes`, `bytearray`, `str`, `memoryview` (which
                comes out as bytes) and numpy arrays travel as they are; numbers, and tuples,
                lists and dicts of numbers, text and bytes, in a form of their own, unpickled.
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
        if not ISTHMUS_NO_GIL and written_now(self, obj):
            return
        queue_put(self, obj, deadline_when(block, timeout))

    def put_nowait(self, obj):
        """The same as ``put(obj, block=False)``."""
        if not ISTHMUS_NO_GIL and written_now(self, obj):
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

    def _put_now(self, obj):
        """None: it has been put. Else: what `_put_again` may be called with, later."""
        if not ISTHMUS_NO_GIL and written_now(self, obj):
            return None
        cdef Outgoing message = encoded(self, obj)
        return None if self._put_again(message) else message

    def _put_again(self, message):
        """Whether it could be put now."""
        cdef int result
        self.enter()
        try:
            result = write_quietly(self, <Outgoing?>message)
        finally:
            self.leave()
        if result < 0 and result != -EAGAIN:
            raise queue_failed(self, result, True)
        return result == 0

    def _put_some(self, tuple items, Py_ssize_t done):
        """How many of them are put, of which `done` were before; they are of `_encoded`."""
        cdef int result
        self.enter()
        try:
            result = write_many(self, items, &done, 0, True)
        finally:
            self.leave()
        if result < 0 and result != -EAGAIN and result != -ETIMEDOUT:
            raise queue_failed(self, result, True, done)
        return done

    def _offer(self, obj, bint block, timeout, uint64_t patience_ns):
        """As `put`, but where it is bytes that are missing, wait no longer than `patience_ns`.

        None: it has been put. Else: the message, pickled, to be offered to a larger queue; also
        when this one has been shut down.
        """
        cdef Outgoing message
        cdef int result
        if not ISTHMUS_NO_GIL and written_now(self, obj):
            return None
        message = encoded(self, obj)
        if isthmus_record_room(message.meta_size, message.size) > self.core.capacity:
            return message
        self.enter()
        try:
            result = offer_one(self, message, deadline_when(block, timeout), patience_ns)
        finally:
            self.leave()
        if result == -ENOBUFS or result == -ESHUTDOWN:
            return message
        if result < 0:
            raise queue_failed(self, result, True)
        return None

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
            if value is not nothing:
                return value
        return queue_get(self, deadline_when(block, timeout))

    def get_nowait(self):
        """The same as ``get(block=False)``."""
        if not ISTHMUS_NO_GIL:
            value = get_now(self)
            if value is not nothing:
                return value
        return queue_get(self, 0)

    def _get_or(self, default):
        """The next message, or `default`; never waits."""
        if not ISTHMUS_NO_GIL:
            value = get_now(self)
            if value is not nothing:
                return value
        cdef list items = queue_get_many(self, 1, 0, True)
        return items[0] if items else default

    def _get_next(self, default):
        """The same for a task; `default` also one time in 64, so that others can run."""
        self.runs += 1
        if self.runs % RUN == 0:
            return default
        if not ISTHMUS_NO_GIL:
            value = get_now(self)
            if value is not nothing:
                return value
        cdef list items = queue_get_many(self, 1, 0, True)
        return items[0] if items else default

    def _get_piece(self, bytes whole, Py_ssize_t at, Py_ssize_t least):
        """The next message into `whole`, see `new_bytes`, from `at` on, if it is bytes that fit.

        How many; 0: none is there, or it is something else, or has less than `least`. Never waits.
        """
        if at < 0 or least < 1 or at > len(whole):
            raise ValueError(f"no piece of {least} bytes at {at} of {len(whole)}")
        return get_piece(self, PyBytes_AS_STRING(whole) + at, least, len(whole) - at)

    def _get_piece_into(self, unsigned char[::1] place not None, Py_ssize_t least):
        """The same into a writable buffer."""
        if least < 1 or place.shape[0] == 0:
            raise ValueError(f"no piece of {least} bytes in a buffer of {place.shape[0]}")
        return get_piece(self, <char *>&place[0], least, place.shape[0])

    def _get_some(self, Py_ssize_t most):
        """Up to so many, perhaps none; never waits."""
        return queue_get_many(self, most, 0, True)

    def _lease_or_none(self):
        """A lease of the next message, or None; never waits."""
        return queue_lease(self, 0, True)

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
            if value is not nothing:
                return value
        from isthmus._ring_errors import ShutDown
        try:
            return queue_get(self, ISTHMUS_FOREVER)
        except ShutDown:
            pass
        raise StopIteration

    def _set_pickler(self, pickler):
        """Use ``pickler(obj, buffer_callback)`` instead of `pickle.dumps`; None: as before."""
        self.pickler = pickler

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
    cdef Outgoing message = encoded(queue, obj)
    cdef int result
    queue.enter()
    try:
        result = write_one(queue, message, deadline)
    finally:
        queue.leave()
    if result < 0:
        raise queue_failed(queue, result, True)
    return 0


cdef int offer_one(Queue queue, Outgoing message, uint64_t deadline,
                   uint64_t patience_ns) except 1:
    """As `write_one`, but -ENOBUFS when it is bytes that are missing."""
    cdef isthmus_write write
    cdef isthmus_record record
    cdef uint64_t limit = ISTHMUS_FOREVER  # for bytes; not begun
    cdef uint64_t until
    cdef int result
    while True:
        result = queue.begin_write(&write, False, patience(deadline))
        if result < 0:
            return result
        result = isthmus_write_reserve(queue.core, &write, message.type, message.meta_size,
                                       message.size, &record)
        if result == 0:
            pour(message, &record)
            isthmus_write_commit(queue.core, &write)
            return 0
        isthmus_write_abort(queue.core, &write)
        if result != -EAGAIN:
            return result
        until = deadline
        if write.end + write.needed - write.seen > queue.core.capacity:
            if deadline == 0 or patience_ns == 0:
                return -ENOBUFS
            if limit == ISTHMUS_FOREVER:
                limit = isthmus_deadline_after(patience_ns)
            until = min(until, limit)
        result = queue.await_room(&write, until)
        if result == -ETIMEDOUT and until == limit:
            return -ENOBUFS
        if result < 0 and result != -ISTHMUS_E_NOT_JOINED:
            return result


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
