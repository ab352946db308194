# Views: messages that are read in place.

@cython.final
@cython.no_gc_clear  # what it needs in the end must be there until then
@cython.internal
cdef class Pinned:
    """The memory of a record that is in view, read-only: in view as long as this is there."""

    cdef Subscriber subscriber
    cdef void *address
    cdef Py_ssize_t size
    cdef uint64_t position
    cdef uint32_t pid  # of the process that pinned it: a forked child inherits no pin
    cdef bint pinned

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.address, self.size, 1, flags)

    def __dealloc__(self):
        if self.pinned:
            unpin(self.subscriber, self.position, self.pid)


cdef int pin(Pinned pinned, const isthmus_record *record) except 1:
    """In a read, of the record that it gave. -ESTALE: it was overwritten.

    The oldest of several is what the seat says; those that come later need not be said.
    """
    cdef Subscriber subscriber = pinned.subscriber
    cdef bint first
    cdef int result = 0
    cdef uint32_t pid = subscriber.core.primitive.pid
    with cython.critical_section(subscriber):
        if subscriber.pins_pid != pid:
            subscriber.pins.clear()
            subscriber.pins_pid = pid
        first = len(subscriber.pins) == 0
        subscriber.pins[record.position] = None
    if first:
        # Perhaps until a publisher that is at it is done, which may need the GIL.
        with nogil:
            result = isthmus_topic_pin(subscriber.core, record.position)
        if result < 0:
            subscriber.pins.pop(record.position)
            return result
    pinned.position, pinned.pid = record.position, pid
    pinned.address, pinned.size = record.data, record.size
    pinned.pinned = True
    subscriber.hold()
    return 0


cdef void unpin(Subscriber subscriber, uint64_t position, uint32_t pid) noexcept:
    cdef uint64_t oldest = UINT64_MAX
    cdef bint last
    with cython.critical_section(subscriber):
        if subscriber.pins_pid == pid and subscriber.core.primitive.pid == pid:
            subscriber.pins.pop(position, None)
            for oldest in subscriber.pins:
                break
            isthmus_topic_pin(subscriber.core, oldest)
        subscriber.handle.views -= 1
        last = subscriber.handle.views == 0 and subscriber.handle.users == 0
        if last and subscriber.ending:
            isthmus_handle_close(subscriber.handle)


@cython.final
cdef class View:
    """A message to be looked at in place. Made by `Subscriber.view`; used once."""

    cdef Subscriber subscriber
    cdef object timeout
    cdef object value
    cdef bint used

    def __init__(self):
        raise TypeError("a view is made by Subscriber.view()")

    def __enter__(self):
        if self.used:
            from isthmus import _loan
            raise _loan.used(self.subscriber, "view")
        self.used = True
        self.value = view_next(self.subscriber, until_message(self.subscriber, self.timeout))
        return self.value

    def __exit__(self, kind, error, traceback, /):
        self.value = None


cdef object view_next(Subscriber subscriber, uint64_t deadline, object default=None,
                      bint quiet=False):
    """`quiet`, with a deadline of 0: `default` when there is none, and no wait for the lock."""
    cdef isthmus_read read
    cdef isthmus_record record
    cdef Pinned pinned
    cdef bytes meta
    cdef uint64_t expected = UINT64_MAX
    cdef int result
    subscriber.enter()
    try:
        check_failure(subscriber)
        # Before the read, for nothing may be allocated in it that the garbage collector knows of.
        pinned = Pinned.__new__(Pinned)
        pinned.subscriber = subscriber
        while True:
            result = subscriber.begin_read(&read, 0 if quiet else patience(deadline))
            if result == 0:
                expected = read.sequence
                result = view_begun(pinned, &read, &record)
            if result == 0:
                break
            if result == -EBADMSG:
                raise no_record(subscriber, record.position, expected)
            if quiet and (result == -EAGAIN or result == -ETIMEDOUT):
                return default
            if result != -EAGAIN:
                raise receiving_failed(subscriber, result)
            result = subscriber.await_message(&read, deadline)
            if result < 0 and result != -ISTHMUS_E_NOT_JOINED:
                raise receiving_failed(subscriber, result)
    finally:
        subscriber.leave()
    meta = PyBytes_FromStringAndSize(<const char *>record.meta, record.meta_size)
    return viewed(pinned, &record, meta)


cdef int view_begun(Pinned pinned, isthmus_read *read, isthmus_record *record) except 1:
    """In a read, which it ends. 0: the record is in view."""
    cdef Subscriber subscriber = pinned.subscriber
    cdef int result
    while True:
        result = isthmus_read_next(subscriber.core, read, record)
        if result < 0:
            break
        result = pin(pinned, record)
        if result == 0:
            break
        # Overwritten before it was pinned: as if it had not been given.
        isthmus_read_valid(subscriber.core, read, record)
    if result == -EAGAIN and read.count == 0 and read.position == read.first:
        isthmus_read_abort(subscriber.core, read)
    else:
        isthmus_read_commit(subscriber.core, read)
    return result


cdef object viewed(Pinned pinned, const isthmus_record *record, bytes meta):
    """What a record in view stands for, in place."""
    cdef Subscriber subscriber = pinned.subscriber
    cdef uint32_t kind = record.type
    if kind == ISTHMUS_TYPE_BYTES or kind == ISTHMUS_TYPE_BYTEARRAY:
        return memoryview(pinned)
    if kind == ISTHMUS_TYPE_ARRAY:
        return array_of(subscriber, record, meta, memoryview(pinned))
    return value_of(subscriber, record, meta, memoryview(pinned))
