# Message queues.


cdef enum:
    # What is not longer needs no memory of its own: the default of max_message_size.
    SHORT_MESSAGE = 2048
    # With its type, even where a long has four bytes.
    WORDS = 513


cdef int queue_failed(int error) except -1:
    """For msgctl."""
    if error == EINVAL or error == EIDRM:
        raise ExistentialError("The queue no longer exists")
    if error == EACCES or error == EPERM:
        raise PermissionsError("Permission denied")
    fail(error, None)


cdef int opening_queue_failed(int error) except -1:
    if error == EACCES:
        raise PermissionsError("Permission denied")
    if error == EEXIST:
        raise ExistentialError("A queue with the specified key already exists")
    if error == ENOENT:
        raise ExistentialError("No queue exists with the specified key")
    if error == ENOMEM:
        raise MemoryError("Not enough memory")
    if error == ENOSPC:
        raise OSError("The system limit for message queues has been reached")
    fail(error, None)


cdef int transfer_failed(int error) except -1:
    if error == EINTR:
        ended_by_signal()
    if error == EACCES:
        raise PermissionsError("Permission denied")
    if error == EIDRM:
        raise ExistentialError("The queue no longer exists")
    fail(error, None)


cdef int get_queue(int32_t key, size_t size, int flags) noexcept nogil:
    return c_msgget(key, flags)


cdef int queue_status(int id, msqid_ds *to) except -1:
    if c_msgctl(id, C_IPC_STAT, to):
        queue_failed(errno)
    return 0


cdef int set_queue_status(int id, msqid_ds *status) except -1:
    if c_msgctl(id, C_IPC_SET, status):
        queue_failed(errno)
    return 0


cdef int remove_queue(int id) except -1:
    if c_msgctl(id, C_IPC_RMID, NULL):
        queue_failed(errno)
    return 0


cdef long *message_buffer(long *short_one, size_t size) except NULL:
    """Room for a type and `size` bytes: `short_one` if that is enough."""
    cdef long *found = short_one
    if size > SHORT_MESSAGE:
        found = NULL
        if size <= <size_t>LONG_MAX:
            found = <long *>malloc(sizeof(long) + size)
        if found is NULL:
            raise MemoryError("Out of memory")
    return found


cdef class MessageQueue:
    """A message queue, opened or made:
    ``MessageQueue(key, flags=0, mode=0o600, max_message_size=2048)``.

    `key` and `flags` as for Semaphore. `max_message_size` is in bytes, and for this object
    alone: what it sends and receives may not be longer.

    Does not block. Raises ExistentialError, PermissionsError, ValueError, OSError (a limit).
    """

    cdef readonly int id
    cdef int32_t _key
    cdef unsigned long longest

    def __init__(self, key, flags=0, mode=0o600, max_message_size=2048):
        cdef int given = c_int(flags) & CREX
        cdef int bits = c_int(mode) & 0o777
        cdef unsigned long longest = c_size(max_message_size)
        if longest > <unsigned long>LONG_MAX:
            raise ValueError(f"The message length must be <= {LONG_MAX}\n")
        cdef Wanted want = wanted(key, given)
        want.flags |= bits
        cdef int id = want.get(get_queue, 0)
        if id < 0:
            opening_queue_failed(errno)
        self.longest = longest
        self._key = want.key
        self.id = id

    def __repr__(self):
        return f"sysv_ipc.MessageQueue({self._key})"

    def __str__(self):
        return f"Key={self._key}, id={self.id}"

    def send(self, message, block=True, type=1):
        """Put `message` (bytes-like, or text as UTF-8) of `type` (above 0) into the queue.

        Blocks, without the GIL, while the queue is full; with `block` false that is
        BusyError. A signal ends the wait: what its handler raises, else Error. Whoever
        raised has sent nothing. Raises ExistentialError (removed meanwhile),
        PermissionsError, ValueError (`type`; longer than max_message_size), OSError
        (EINVAL: removed before, or longer than the system allows).
        """
        cdef long short_one[WORDS]
        cdef long *buffer
        cdef Py_buffer view
        cdef int kind = c_int(type)
        cdef int flags = 0 if block else C_IPC_NOWAIT
        cdef int failed, error
        cdef size_t size
        if isinstance(message, str):
            message = message.encode()
        PyObject_GetBuffer(message, &view, PyBUF_SIMPLE)
        try:
            if kind <= 0:
                raise ValueError("The type must be > 0")
            size = view.len
            if size > self.longest:
                raise ValueError(
                    f"The message length exceeds queue's max_message_size ({self.longest})"
                )
            buffer = message_buffer(short_one, size)
            buffer[0] = kind
            memcpy(buffer + 1, view.buf, size)
        finally:
            PyBuffer_Release(&view)
        with nogil:
            failed = c_msgsnd(self.id, buffer, size, flags)
            error = errno
            if buffer != short_one:
                free(buffer)
        if failed:
            if error == EAGAIN:
                raise BusyError("The queue is full, or a system-wide limit on the number of "
                                "queue messages has been reached")
            transfer_failed(error)

    def receive(self, block=True, type=0):
        """Take a message out of the queue: (message, type).

        `type` 0: the first; above 0: the first of that type; below 0: the first of the lowest
        type that is not above -type. Blocks, without the GIL, while there is none; with
        `block` false that is BusyError. Signals as in send(): a call that raised has taken
        nothing. Raises ExistentialError (removed), PermissionsError, OSError (E2BIG: longer
        than max_message_size; it stays).
        """
        cdef long short_one[WORDS]
        cdef int kind = c_int(type)
        cdef int flags = 0 if block else C_IPC_NOWAIT
        cdef int error
        cdef ssize_t got
        cdef long *buffer = message_buffer(short_one, self.longest)
        try:
            with nogil:
                got = c_msgrcv(self.id, buffer, self.longest, kind, flags)
                error = errno
            if got < 0:
                if error == ENOMSG:
                    raise BusyError("No available messages of the specified type")
                if error == EINVAL:
                    error = EIDRM
                transfer_failed(error)
            return PyBytes_FromStringAndSize(<char *>(buffer + 1), got), buffer[0]
        finally:
            if buffer != short_one:
                free(buffer)

    def remove(self):
        """Remove it, with what is in it; whoever waits for it gets ExistentialError."""
        remove_queue(self.id)

    @property
    def key(self):
        """The key that it was opened with."""
        return self._key

    @property
    def max_size(self):
        """How many bytes it may hold in all. Above the system's limit only root can set it."""
        cdef msqid_ds status
        queue_status(self.id, &status)
        return status.msg_qbytes

    @max_size.setter
    def max_size(self, value):
        cdef msqid_ds status
        if not isinstance(value, int):
            raise TypeError("The attribute must be an integer")
        cdef unsigned long number = c_size(value)
        queue_status(self.id, &status)
        status.msg_qbytes = number
        set_queue_status(self.id, &status)

    @property
    def current_messages(self):
        """How many messages are in it."""
        cdef msqid_ds status
        queue_status(self.id, &status)
        return status.msg_qnum

    @property
    def last_send_time(self):
        """When something was last sent, in seconds since 1970; or 0."""
        cdef msqid_ds status
        queue_status(self.id, &status)
        return status.msg_stime

    @property
    def last_receive_time(self):
        """When something was last received, in seconds since 1970; or 0."""
        cdef msqid_ds status
        queue_status(self.id, &status)
        return status.msg_rtime

    @property
    def last_change_time(self):
        """When it was made or its attributes set, in seconds since 1970."""
        cdef msqid_ds status
        queue_status(self.id, &status)
        return status.msg_ctime

    @property
    def last_send_pid(self):
        """The process that last sent something; or 0."""
        cdef msqid_ds status
        queue_status(self.id, &status)
        return status.msg_lspid

    @property
    def last_receive_pid(self):
        """The process that last received something; or 0."""
        cdef msqid_ds status
        queue_status(self.id, &status)
        return status.msg_lrpid

    @property
    def mode(self):
        """The permission bits."""
        cdef msqid_ds status
        queue_status(self.id, &status)
        return status.msg_perm.mode

    @mode.setter
    def mode(self, value):
        cdef unsigned int number = c_attribute(value, "The attribute must be an integer")
        cdef msqid_ds status
        queue_status(self.id, &status)
        status.msg_perm.mode = number
        set_queue_status(self.id, &status)

    @property
    def uid(self):
        """Whose it is: a user id."""
        cdef msqid_ds status
        queue_status(self.id, &status)
        return status.msg_perm.uid

    @uid.setter
    def uid(self, value):
        cdef unsigned int number = c_attribute(value, "The attribute must be an integer")
        cdef msqid_ds status
        queue_status(self.id, &status)
        status.msg_perm.uid = number
        set_queue_status(self.id, &status)

    @property
    def gid(self):
        """Whose it is: a group id."""
        cdef msqid_ds status
        queue_status(self.id, &status)
        return status.msg_perm.gid

    @gid.setter
    def gid(self, value):
        cdef unsigned int number = c_attribute(value, "The attribute must be an integer")
        cdef msqid_ds status
        queue_status(self.id, &status)
        status.msg_perm.gid = number
        set_queue_status(self.id, &status)

    @property
    def cuid(self):
        """Who made it: a user id."""
        cdef msqid_ds status
        queue_status(self.id, &status)
        return status.msg_perm.cuid

    @property
    def cgid(self):
        """Who made it: a group id."""
        cdef msqid_ds status
        queue_status(self.id, &status)
        return status.msg_perm.cgid


def remove_message_queue(id, /):
    """Remove the queue with this id, with what is in it."""
    remove_queue(c_int(id))
