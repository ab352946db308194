# Writing: what putting and publishing have in common.

# One that only tries still waits so long for those that are in the middle of something.
cdef uint64_t PATIENCE = 100_000_000
# A batch is committed when it has so many bytes, so that readers can begin.
cdef uint64_t BATCH = 1 << 18


cdef inline uint64_t patience(uint64_t deadline) noexcept:
    return isthmus_deadline_after(PATIENCE) if deadline == 0 else deadline


cdef inline uint64_t deadline_when(object block, object timeout) except? 0:
    """As `queue.Queue` has it: a timeout is for those that block."""
    return deadline_of(timeout) if block else 0


cdef inline bint written_now(Ring ring, object obj) noexcept:
    """What costs least: short bytes or values that there is room for. False: not written."""
    cdef bint written
    if PyBytes_CheckExact(obj):
        written = PyBytes_GET_SIZE(obj) < MUCH and isthmus_ring_try_write(
            ring.core, ISTHMUS_TYPE_BYTES, PyBytes_AS_STRING(obj), PyBytes_GET_SIZE(obj)) == 0
    else:
        written = may_be_plain(obj) and value_written(ring, obj)
    if written and ring.roomy is not None:
        ring.settle_now()
    return written


cdef int write_one(Ring ring, Outgoing message, uint64_t deadline) except 1:
    """Put or publish it. 0; -ETIMEDOUT: no room in time; or another answer of the core."""
    cdef isthmus_write write
    cdef isthmus_record record
    cdef int result
    fitting(ring, message.meta_size, message.size)
    while True:
        result = ring.begin_write(&write, False, patience(deadline))
        if result < 0:
            return result
        result = isthmus_write_reserve(ring.core, &write, message.type, message.meta_size,
                                       message.size, &record)
        if result == 0:
            pour(message, &record)
            isthmus_write_commit(ring.core, &write)
            return 0
        isthmus_write_abort(ring.core, &write)
        if result != -EAGAIN:
            return result
        result = ring.await_room(&write, deadline)
        if result < 0 and result != -ISTHMUS_E_NOT_JOINED:
            return result


cdef int write_quietly(Ring ring, Outgoing message) except 1:
    """Put or publish it if that can be done without waiting, even for a lock: 0, -EAGAIN, less."""
    cdef isthmus_write write
    cdef isthmus_record record
    cdef int result
    fitting(ring, message.meta_size, message.size)
    while True:
        result = ring.begin_write(&write, False, 0)
        if result == -ETIMEDOUT:
            return -EAGAIN
        if result < 0:
            return result
        result = isthmus_write_reserve(ring.core, &write, message.type, message.meta_size,
                                       message.size, &record)
        if result == 0:
            pour(message, &record)
            isthmus_write_commit(ring.core, &write)
            return 0
        isthmus_write_abort(ring.core, &write)
        if result == -EAGAIN:
            ring.need(write.needed)
        # Unless what is in the way is dead, and is so no longer.
        if result != -EAGAIN or isthmus_write_await(ring.core, &write, 0) < 0:
            return result


cdef int write_many(Ring ring, tuple items, Py_ssize_t *done, uint64_t deadline,
                    bint quiet=False) except 1:
    """As `write_one` for all of them, in order; *done counts those that are there.

    Each is bytes or Outgoing. `quiet`, with a deadline of 0: as `write_quietly`.
    """
    cdef isthmus_write write
    cdef isthmus_record record
    cdef Outgoing message
    cdef Py_ssize_t count = len(items)
    cdef uint64_t size
    cdef int result
    while done[0] < count:
        result = ring.begin_write(&write, False, 0 if quiet else patience(deadline))
        if result < 0:
            return result
        while <Py_ssize_t>write.count < count - done[0] and write.end - write.start < BATCH:
            item = items[done[0] + <Py_ssize_t>write.count]
            if PyBytes_CheckExact(item):
                size = PyBytes_GET_SIZE(item)
                result = isthmus_write_reserve(ring.core, &write, ISTHMUS_TYPE_BYTES, 0, size,
                                               &record)
                if result < 0:
                    break
                copy(record.data, PyBytes_AS_STRING(item), size)
            else:
                message = <Outgoing>item
                result = isthmus_write_reserve(ring.core, &write, message.type, message.meta_size,
                                               message.size, &record)
                if result < 0:
                    break
                pour(message, &record)
        done[0] += <Py_ssize_t>write.count
        isthmus_write_commit(ring.core, &write)
        if result == -EAGAIN:
            result = ring.await_room(&write, deadline)
        if result < 0 and result != -ISTHMUS_E_NOT_JOINED:
            return result
    return 0


cdef tuple all_encoded(Ring ring, object objects):
    """What `write_many` takes: if one of them cannot be put, none is."""
    cdef tuple items = tuple(objects)
    cdef Outgoing message
    cdef bint plain = True
    for item in items:
        if not PyBytes_CheckExact(item):
            plain = False
        elif <uint64_t>PyBytes_GET_SIZE(item) > ring.core.capacity // 2:
            fitting(ring, 0, PyBytes_GET_SIZE(item))
    if plain:
        return items
    made = []
    for item in items:
        if not PyBytes_CheckExact(item):
            message = encoded(ring, item)
            fitting(ring, message.meta_size, message.size)
            item = message
        made.append(item)
    return tuple(made)
