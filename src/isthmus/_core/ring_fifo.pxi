# Queues of messages that are bytes, limited in bytes of messages: see fifo.h. Such a queue is
# written to and read by nothing but these functions.

cdef extern from "fifo.h" nogil:
    uint32_t ISTHMUS_TYPE_FIFO
    uint64_t ISTHMUS_FIFO_LENGTH

    uint64_t isthmus_fifo_payload(uint64_t size)
    void isthmus_fifo_seal(const isthmus_record *record, uint64_t size, uint64_t sum)
    int isthmus_fifo_message(const isthmus_record *record, uint64_t *size, uint64_t *sum)
    uint64_t isthmus_fifo_begun(const isthmus_ring *queue, isthmus_write *write, uint64_t *sum)
    uint64_t isthmus_fifo_used(const isthmus_ring *queue)


def fifo_put(Queue queue not None, list messages not None, uint64_t most_bytes, uint64_t most,
             block, timeout, /):
    """Put all of `messages`, which are bytes, at once, or none of them.

    Returns whether there was room in time for `most_bytes` and `most` messages not to be
    exceeded; at once, without waiting, when there can never be. Raises as `put`, but no Full.
    """
    cdef uint64_t deadline = deadline_when(block, timeout)
    cdef uint64_t total = 0
    cdef uint64_t room = 0
    cdef Py_ssize_t count = len(messages)
    cdef int result
    for message in messages:
        if not PyBytes_CheckExact(message):
            raise TypeError(f"a message must be bytes, not {type(message).__name__}")
        total += PyBytes_GET_SIZE(message) + ISTHMUS_FIFO_LENGTH
        room += isthmus_record_room(0, isthmus_fifo_payload(PyBytes_GET_SIZE(message)))
    if count == 0:
        return True
    if total > most_bytes or room > queue.core.capacity or <uint64_t>count > most:
        return False
    queue.enter()
    try:
        result = fifo_write(queue, messages, total, most_bytes, most, deadline)
    finally:
        queue.leave()
    if result == -ETIMEDOUT:
        return False
    if result < 0:
        raise queue_failed(queue, result, True)
    return True


cdef int fifo_write(Queue queue, list messages, uint64_t total, uint64_t most_bytes, uint64_t most,
                    uint64_t deadline) except 1:
    """0; -ETIMEDOUT; or another answer of the core."""
    cdef isthmus_write write
    cdef isthmus_queue_state state
    cdef uint64_t used, sum
    cdef int result
    # Messages are too large for so many of them to be there.
    cdef bint counts = most < most_bytes // ISTHMUS_FIFO_LENGTH
    while True:
        result = queue.begin_write(&write, False, patience(deadline))
        if result < 0:
            return result
        used = isthmus_fifo_begun(queue.core, &write, &sum)
        if used == UINT64_MAX:
            result = -EBADMSG
        elif used + total > most_bytes:
            result = -EAGAIN
        elif counts:
            result = isthmus_queue_read_state(queue.core, &state)
            if result == 0 and state.ready + <uint64_t>len(messages) > most:
                result = -EAGAIN
        if result == 0:
            result = fifo_pour(queue, &write, messages, sum)
        if result == 0:
            isthmus_write_commit(queue.core, &write)
            return 0
        isthmus_write_abort(queue.core, &write)
        if result != -EAGAIN:
            return result
        result = queue.await_room(&write, deadline)
        if result < 0 and result != -ISTHMUS_E_NOT_JOINED:
            return result


cdef int fifo_pour(Queue queue, isthmus_write *write, list messages, uint64_t sum) noexcept:
    """In a write: all of them. Runs no code of users."""
    cdef isthmus_record record
    cdef uint64_t size
    cdef int result
    cdef Py_ssize_t i
    for i in range(len(messages)):
        message = messages[i]
        size = PyBytes_GET_SIZE(message)
        result = isthmus_write_reserve(queue.core, write, ISTHMUS_TYPE_FIFO, 0,
                                       isthmus_fifo_payload(size), &record)
        if result < 0:
            return result
        copy(record.data, PyBytes_AS_STRING(message), size)
        sum += size + ISTHMUS_FIFO_LENGTH
        isthmus_fifo_seal(&record, size, sum)
    return 0


def fifo_get(Queue queue not None, uint64_t most, uint64_t most_bytes, block, timeout, /):
    """Take messages: a list; empty if there was none in time.

    At most `most` of them; no further one once they come to `most_bytes`. Waits for the first
    of them only. Raises as `get`, but no Empty.
    """
    cdef uint64_t deadline = deadline_when(block, timeout)
    cdef isthmus_read read
    cdef list items = []
    cdef int result
    queue.enter()
    try:
        while True:
            result = queue.begin_read(&read, patience(deadline))
            if result == 0:
                result = fifo_read(queue, &read, most, most_bytes, items)
            if items:
                return items
            if result == -EAGAIN:
                result = queue.await_message(&read, deadline)
            if result == -ETIMEDOUT:
                return items
            if result < 0 and result != -ISTHMUS_E_NOT_JOINED:
                raise queue_failed(queue, result, False)
    finally:
        queue.leave()


cdef int fifo_read(Queue queue, isthmus_read *read, uint64_t most, uint64_t most_bytes,
                   list items) except 1:
    """In a read, which it ends. Runs no code of users."""
    cdef isthmus_record record
    cdef isthmus_read before
    cdef uint64_t size, sum
    cdef uint64_t total = 0
    cdef int result = 0
    try:
        while <uint64_t>len(items) < most and total < most_bytes:
            before = read[0]
            result = isthmus_read_next(queue.core, read, &record)
            if result < 0:
                break
            result = isthmus_fifo_message(&record, &size, &sum)
            if result < 0:
                read[0] = before  # as if it had not been looked at
                break
            message = PyBytes_FromStringAndSize(NULL, size)
            copy(PyBytes_AS_STRING(message), record.data, size)
            items.append(message)
            total += size + ISTHMUS_FIFO_LENGTH
    except BaseException:
        isthmus_read_abort(queue.core, read)
        del items[:]
        raise
    if items:
        isthmus_read_commit(queue.core, read)
    else:
        isthmus_read_abort(queue.core, read)
    return result


def fifo_data_size(Queue queue not None, /):
    """Bytes of the messages that are there, each with the 8 of its length."""
    cdef uint64_t used
    queue.enter()
    try:
        used = isthmus_fifo_used(queue.core)
    finally:
        queue.leave()
    if used == UINT64_MAX:
        raise queue.failed(-EBADMSG)
    return used
