# Messages that are pieces of a larger one, copied into it without anything in between.

def new_bytes(Py_ssize_t size):
    """Bytes to be filled by `Queue._get_piece` and `fill`, all of them, before they are used."""
    return PyBytes_FromStringAndSize(NULL, size)


def fill(bytes whole, Py_ssize_t at, bytes piece):
    """Copy a piece into what `new_bytes` gave, and nobody has used yet."""
    if at < 0 or at + len(piece) > len(whole):
        raise ValueError(f"{len(piece)} bytes do not fit at {at} of {len(whole)}")
    memcpy(PyBytes_AS_STRING(whole) + at, PyBytes_AS_STRING(piece), len(piece))


cdef Py_ssize_t get_piece(Queue queue, char *place, uint64_t least, uint64_t most) except -1:
    """Copy the next message there, if it is bytes, and so many: how many; 0: it is not, or none.

    It is leased for as long as that takes, so that others are not kept from reading. Killed
    meanwhile: it is ready again, as if it had never been looked at.
    """
    cdef isthmus_read read
    cdef isthmus_record record
    cdef int result
    queue.enter()
    try:
        result = queue.begin_read(&read, 0)
        if result < 0:
            return none_or_failed(queue, result)
        result = isthmus_read_next(queue.core, &read, &record)
        if result < 0 or record.type != ISTHMUS_TYPE_BYTES or not least <= record.size <= most:
            isthmus_read_abort(queue.core, &read)
            return none_or_failed(queue, result) if result < 0 else 0
        result = isthmus_queue_lease(queue.core, &read, &record)
        if result < 0:
            return none_or_failed(queue, result)
        with nogil:
            memcpy(place, record.data, record.size)
        acknowledge(queue, record.position, record.sequence, True)
        return record.size
    finally:
        queue.leave()


cdef Py_ssize_t none_or_failed(Queue queue, int result) except -1:
    if result == -EAGAIN or result == -ETIMEDOUT:
        return 0
    raise queue_failed(queue, result, False)
