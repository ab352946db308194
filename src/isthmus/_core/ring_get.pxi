# Queues: what getting consists of.

cdef inline bint is_simple(const isthmus_record *record) noexcept:
    """Whether it can be decoded within the read: see `simple`."""
    return record.type in (ISTHMUS_TYPE_BYTES, ISTHMUS_TYPE_BYTEARRAY, ISTHMUS_TYPE_TEXT) and (
        record.size < MUCH)


cdef inline object get_now(Queue queue):
    """What costs least: short bytes or a value that are there. `nothing`: anything else."""
    cdef isthmus_read read
    cdef isthmus_record record
    if isthmus_read_begin(queue.core, &read, 0) < 0:
        return nothing
    if isthmus_read_next(queue.core, &read, &record) == 0:
        if record.type == ISTHMUS_TYPE_BYTES and record.size < MUCH:
            try:
                value = PyBytes_FromStringAndSize(<char *>record.data, record.size)
            except BaseException:
                isthmus_read_abort(queue.core, &read)
                raise
            isthmus_read_commit(queue.core, &read)
            if queue.readable is not None:
                queue.settle_now()
            return value
        if record.type == ISTHMUS_TYPE_VALUE and record.size <= VALUE_SMALL:
            return get_value_now(queue, &read, &record)
    isthmus_read_abort(queue.core, &read)
    return nothing


cdef object get_value_now(Queue queue, isthmus_read *read, const isthmus_record *record):
    cdef char small[VALUE_SMALL]
    cdef uint64_t place
    memcpy(small, record.data, record.size)
    if not is_value(small, record.size, &place):
        isthmus_read_abort(queue.core, read)
        return nothing
    isthmus_read_commit(queue.core, read)
    if queue.readable is not None:
        queue.settle_now()
    return value_taken(queue, small, record.sequence)


cdef object queue_get(Queue queue, uint64_t deadline):
    return queue_get_many(queue, 1, deadline)[0]


cdef list queue_get_many(Queue queue, Py_ssize_t most, uint64_t deadline, bint quiet=False):
    """As many as there are, `most` at most, one at least: see `get_some`.

    `quiet`, with a deadline of 0: an empty list when there is none, and no wait for the lock.
    """
    cdef bint evicted = True
    cdef list items = []
    while evicted and not items:
        evicted = False
        items = get_some(queue, most, deadline, quiet, &evicted)
    return items


cdef list get_some(Queue queue, Py_ssize_t most, uint64_t deadline, bint quiet, bint *evicted):
    """Messages that need no more than copying, or leased ones, which are acknowledged in the end.

    Never both: those that were read must not be lost to an error in decoding the others.
    *evicted: some were given to others meanwhile, and are left out.
    """
    cdef isthmus_read read
    cdef isthmus_record record
    cdef list items = []
    cdef list leases = []
    cdef bint values = False
    cdef int result
    queue.enter()
    try:
        while True:
            result = queue.begin_read(&read, 0 if quiet else patience(deadline))
            if result == 0:
                result = read_batch(queue, &read, &record, most, items, len(leases) != 0, &values)
            if result == LEASED:
                if not take_leased(queue, &record, items, leases):
                    continue
                if len(items) < most:
                    deadline = 0
                    continue
            if items or quiet and (result == -EAGAIN or result == -ETIMEDOUT):
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
        evicted[0] = acknowledge_all(queue, leases, items)
        queue.leave()
    if values:
        make_values(queue, items)
    return items


cdef enum:
    LEASED = 1


cdef int read_batch(Queue queue, isthmus_read *read, isthmus_record *record, Py_ssize_t most,
                    list items, bint leasing, bint *values) except -1000:
    """In a read, which it ends: append messages to `items`. Runs no code of users.

    LEASED: there is one, at *record, that is leased now. Otherwise as the core answered
    when it found no more, or 0. *values: True, if there are some for `make_values`.
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
        fits = is_simple(record) or is_short_value(record)
        value = None
        if fits and not leasing:
            try:
                if record.type == ISTHMUS_TYPE_VALUE:
                    value, values[0] = value_arrived(record), True
                else:
                    value = simple(record)
                if value is not None:
                    items.append(value)
            except BaseException:
                isthmus_read_abort(queue.core, read)
                del items[:]
                raise
        if value is None:  # or it is a text or value that is none: `decoded` says so
            if count == 0 and not (fits and leasing):
                result = isthmus_queue_lease(queue.core, read, record)
                return LEASED if result == 0 else result
            read[0] = before  # as if it had not been looked at
            break
        count += 1
    if count == 0:
        isthmus_read_abort(queue.core, read)
    else:
        isthmus_read_commit(queue.core, read)
    return result


cdef object leased_value(Queue queue, const isthmus_record *record, bint *evicted):
    """What a record stands for that is leased. *evicted: nothing, it was given to somebody else.

    Whoever evicts one that is stopped right here, or slow, lets others have the message, and its
    place. So nothing counts, and no pickle is read, before it is clear that what was copied is the
    message.
    """
    cdef Arrived copied
    evicted[0] = False
    try:
        if record.type == ISTHMUS_TYPE_ARRAY:
            # Straight into an array of its own.
            meta = PyBytes_FromStringAndSize(<const char *>record.meta, record.meta_size)
            value = array_of(queue, record, meta, None)
        else:
            copied = arrived(record)
    except BaseException:
        evicted[0] = isthmus_queue_still_leased(queue.core, record) != 0
        if evicted[0]:
            return None
        raise
    evicted[0] = isthmus_queue_still_leased(queue.core, record) != 0
    if evicted[0]:
        return None
    return value if record.type == ISTHMUS_TYPE_ARRAY else decoded(queue, copied)


cdef int take_leased(Queue queue, const isthmus_record *record, list items,
                     list leases) except -1:
    """Decode a record that is leased, and append it. On an error it goes back, or is gone.

    0: it was given to somebody else before it was copied.
    """
    cdef uint64_t position = record.position
    cdef uint64_t sequence = record.sequence
    cdef bint evicted
    try:
        value = leased_value(queue, record, &evicted)
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
    if evicted:
        return 0
    items.append(value)
    leases.append((position, sequence))
    return 1


cdef bint is_lost(object error) except -1:
    """Whether unpickling has failed for a reason that is in the message."""
    if not isinstance(error, Exception) or isinstance(error, MemoryError):
        return False
    from isthmus._ring_errors import RecordError, UntrustedPickleError
    return not isinstance(error, (RecordError, UntrustedPickleError))


cdef bint is_untrusted(object error) except -1:
    """Whether it says that a pickle is not read, whatever is in it."""
    from isthmus._ring_errors import UntrustedPickleError
    return isinstance(error, UntrustedPickleError)


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


cdef bint acknowledge_all(Queue queue, list leases, list items) except -1:
    """True: this participant was evicted, and some of them, which are dropped, went to others.

    `items`: of the leases, in their order; where there are no leases, of none.
    """
    cdef Py_ssize_t place = 0
    cdef bint lost = False
    for position, sequence in leases:
        # Those that are not ours any more, since a signal handler has forked, are the parent's.
        if acknowledge(queue, position, sequence, True) == -ESTALE:
            del items[place]
            lost = True
        else:
            place += 1
    return lost


cdef int give_all_back(Queue queue, list leases) except -1:
    for position, sequence in reversed(leases):
        untake(queue, position, sequence)
    del leases[:]
    return 0
