# Message queues.

cdef extern from *:
    """
    #ifndef MQ_PRIO_MAX
    #define MQ_PRIO_MAX 32768
    #endif
    """
    enum:
        MQ_PRIO_MAX
    struct mq_attr:
        long mq_flags
        long mq_maxmsg
        long mq_msgsize
        long mq_curmsgs
    int CLOCK_REALTIME
    int c_mq_open "mq_open"(const char *name, int oflag, ...) nogil
    int c_mq_close "mq_close"(int queue)
    int c_mq_unlink "mq_unlink"(const char *name)
    int c_mq_send "mq_send"(int queue, const char *message, size_t size,
                            unsigned int prio) nogil
    int c_mq_timedsend "mq_timedsend"(int queue, const char *message, size_t size,
                                      unsigned int prio, const timespec *deadline) nogil
    ssize_t c_mq_receive "mq_receive"(int queue, char *message, size_t size,
                                      unsigned int *prio) nogil
    ssize_t c_mq_timedreceive "mq_timedreceive"(int queue, char *message, size_t size,
                                                unsigned int *prio,
                                                const timespec *deadline) nogil
    int c_mq_getattr "mq_getattr"(int queue, mq_attr *attr)
    int c_mq_setattr "mq_setattr"(int queue, const mq_attr *attr, mq_attr *old)


cdef int queue_failed(int error) except -1:
    if error == EBADF:
        raise c_ExistentialError("The queue does not exist")
    fail(error, None)


cdef int wait_failed(int error, str busy, str absent) except -1:
    """Raise what `error`, of a call that may wait, means."""
    if error == EAGAIN or error == ETIMEDOUT:
        raise c_BusyError(busy)
    if error == EINTR:
        interrupted()
    if error == EBADF or error == EINVAL:
        raise c_ExistentialError(absent)
    if error == EMSGSIZE:
        raise ValueError("The message is too long")
    fail(error, None)


cdef class MessageQueue(Handle):
    """MessageQueue(name, flags=0, mode=0o600, max_messages=10, max_message_size=8192,
    read=True, write=True): opens or creates a queue of the kernel's.

    `name`, `flags` and `mode` as for a Semaphore; with O_NONBLOCK, `block` is False from the
    start. A new queue holds `max_messages` messages of up to `max_message_size` bytes, within
    the limits in /proc/sys/fs/mqueue; both are ignored for one that exists. Without `read`
    nothing can be received through this handle, without `write` nothing sent.

    Does not block. The descriptor stays open until close(), whatever becomes of this object.
    Raises ExistentialError (none or one there), PermissionsError, ValueError (name, flags, limits,
    neither read nor write), OSError (too many queues or descriptors; a kernel without queues).
    """

    cdef int queue
    cdef long capacity
    cdef long message_size
    cdef bint reading
    cdef bint writing
    # What was last asked for through this handle, if that is a call.
    cdef isthmus_request *request

    def __dealloc__(self):
        # The descriptor stays open, and the call will be made.
        isthmus_request_drop(self.request)

    @cython.final
    cdef void notify_nobody(self) noexcept:
        """Take back what this process has asked for, through whatever handle."""
        cdef PyObject *call
        self.remember(NULL, &call)
        isthmus_notify_nobody(self.queue)
        Py_XDECREF(call)

    @cython.final
    cdef void remember(self, isthmus_request *request, PyObject **call) noexcept:
        """Refer to `request` from now on; `call` is what the one before would still call."""
        cdef isthmus_request *before
        with cython.critical_section(self):
            before = self.request
            self.request = request
        call[0] = isthmus_request_take(before)
        isthmus_request_drop(before)

    cdef int let_go(self) noexcept:
        cdef int queue = self.queue
        cdef PyObject *call
        self.queue = -1
        self.remember(NULL, &call)
        cdef int error = errno if queue >= 0 and c_mq_close(queue) else 0
        Py_XDECREF(call)
        return error

    def __cinit__(self):
        self.queue = -1

    def __init__(
        self, name, flags=0, mode=0o600, max_messages=10, max_message_size=8192, read=True,
        write=True
    ):
        cdef bytes path = name_of(name)
        cdef int c_flags = <int>bits(flags, UINT_MAX)
        cdef unsigned int c_mode = <unsigned int>bits(mode, INT_MAX)
        cdef bint reading = True if read else False
        cdef bint writing = True if write else False
        cdef mq_attr attr
        cdef const char *c_path
        cdef int queue, error
        memset(&attr, 0, sizeof(attr))
        attr.mq_maxmsg = PyLong_AsLong(max_messages)
        attr.mq_msgsize = PyLong_AsLong(max_message_size)
        self.begin_again(path, c_mode, reading, writing)
        if not reading and not writing:
            raise ValueError("At least one of read or write must be True")
        check_creation(name, c_flags)
        c_flags |= (O_RDWR if writing else O_RDONLY) if reading else O_WRONLY
        while True:
            if name is None:
                path = random_name()
            c_path = path
            with nogil:
                queue = c_mq_open(c_path, c_flags, c_mode, &attr)
                error = errno
            if queue >= 0:
                break
            if error == EINTR:
                PyErr_CheckSignals()
            elif error != EEXIST or name is not None:
                if error == EACCES:
                    raise c_PermissionsError("Permission denied")
                if error == ENOSPC:
                    raise OSError("Insufficient space for a new queue")
                cannot_open(error, "No queue exists with the specified name",
                            "A queue with the specified name already exists")
        if c_mq_getattr(queue, &attr):
            c_mq_close(queue)
            raise c_Error("Unable to initialize object")
        with cython.critical_section(self):
            self.path = path
            self.text = shown(path)
            # What it really holds; that never changes.
            self.capacity = attr.mq_maxmsg
            self.message_size = attr.mq_msgsize
            self.queue = queue
            self.shut = False

    cdef int begin_again(self, bytes path, unsigned int mode, bint reading,
                         bint writing) except -1:
        cdef bint in_use
        with cython.critical_section(self):
            self.forget_other_threads()
            in_use = self.users > 0
            if not in_use:
                # An earlier descriptor stays open, as when this object goes.
                self.shut = True
                self.queue = -1
                self.path = path
                self.text = None if path is None else shown(path)
                self.permissions = mode
                self.reading = reading
                self.writing = writing
        if in_use:
            raise c_Error("It cannot be opened again while another thread is using it")
        return 0

    def __repr__(self):
        return (
            f'posix_ipc.MessageQueue("{self}", mode=0{self.permissions:o}, '
            f"max_message_size={self.message_size}, max_messages={self.capacity}, "
            f"read={self.reading}, write={self.writing})"
        )

    @property
    def name(self):
        """What it was opened with, or its random name."""
        return self.text

    @property
    def mode(self):
        """The permission bits that it was opened with, which need not be those that it has."""
        return self.permissions

    @property
    def mqd(self):
        """The descriptor, which select and poll take; -1 after close()."""
        return -1 if self.shut else self.queue

    def fileno(self):
        """The descriptor, which select and poll take; -1 after close()."""
        return -1 if self.shut else self.queue

    @property
    def max_messages(self):
        """How many messages the queue holds."""
        return self.capacity

    @property
    def max_message_size(self):
        """How many bytes a message may have."""
        return self.message_size

    @cython.final
    cdef int attributes(self, mq_attr *found) except -1:
        cdef int error = 0
        if not self.enter():
            queue_failed(EBADF)
        if c_mq_getattr(self.queue, found):
            error = errno
        self.leave()
        if error:
            queue_failed(error)
        return 0

    @property
    def current_messages(self):
        """How many messages are in the queue now. ExistentialError when it is closed."""
        cdef mq_attr found
        self.attributes(&found)
        return found.mq_curmsgs

    @property
    def block(self):
        """Whether send() and receive() wait; if not, they raise BusyError.

        It belongs to this handle, and to those that a fork has made of it.
        ExistentialError when it is closed.
        """
        cdef mq_attr found
        self.attributes(&found)
        return not found.mq_flags & O_NONBLOCK

    @block.setter
    def block(self, value):
        cdef mq_attr wanted
        cdef int error = 0
        if self.shut:
            queue_failed(EBADF)
        memset(&wanted, 0, sizeof(wanted))
        wanted.mq_flags = 0 if value else O_NONBLOCK
        if not self.enter():
            queue_failed(EBADF)
        if c_mq_setattr(self.queue, &wanted, NULL):
            error = errno
        self.leave()
        if error:
            queue_failed(error)

    @block.deleter
    def block(self):
        raise AttributeError("the attribute 'block' cannot be deleted")

    def send(self, message, timeout=None, priority=0):
        """Put a message, a str (as UTF-8) or bytes-like, behind all of its priority or higher.

        `priority` is from 0 to QUEUE_PRIORITY_MAX. While the queue is full it blocks, without
        the GIL, up to `timeout` seconds, None without end; not at all with 0 or if `block` is
        False. Raises BusyError when the time is up, SignalError or KeyboardInterrupt
        when a signal came while it waited: then nothing has been sent. ValueError: the message
        is too long, or the priority too high. PermissionsError: `write` was False.
        ExistentialError: it is closed.
        """
        cdef Py_buffer view
        cdef Py_ssize_t size
        cdef const char *text
        if isinstance(message, str):
            text = PyUnicode_AsUTF8AndSize(message, &size)
            self.put(text, size, timeout, priority)
            return
        PyObject_GetBuffer(message, &view, PyBUF_SIMPLE)
        try:
            self.put(<char *>view.buf, view.len, timeout, priority)
        finally:
            PyBuffer_Release(&view)

    @cython.final
    cdef int put(self, const char *text, Py_ssize_t size, object timeout,
                 object priority) except -1:
        cdef timespec deadline
        cdef Patience how = FOREVER
        cdef int failed, error
        cdef long c_priority
        memset(&deadline, 0, sizeof(deadline))
        if timeout is not None:
            how = patience(timeout, CLOCK_REALTIME, &deadline)
        c_priority = PyLong_AsLong(priority)
        if not self.writing:
            raise c_PermissionsError("The queue is not open for writing")
        if c_priority < 0 or c_priority >= MQ_PRIO_MAX:
            raise ValueError("The priority must be a positive number no greater than "
                             f"QUEUE_PRIORITY_MAX ({MQ_PRIO_MAX - 1})")
        if not self.enter():
            wait_failed(EBADF, "", "The message queue does not exist or is not open for writing")
        with nogil:
            if how == FOREVER:
                failed = c_mq_send(self.queue, text, size, <unsigned int>c_priority)
            else:
                failed = c_mq_timedsend(self.queue, text, size, <unsigned int>c_priority, &deadline)
            error = errno
        self.leave()
        if failed:
            wait_failed(error, "The queue is full",
                        "The message queue does not exist or is not open for writing")
        return 0

    def receive(self, timeout=None):
        """Take the oldest of the messages of the highest priority: (bytes, priority).

        While the queue is empty it blocks, without the GIL, up to `timeout` seconds, None
        without end; not at all with 0 or if `block` is False. Raises BusyError when the time is
        up, SignalError or KeyboardInterrupt when a signal came while it waited: then
        nothing has been taken. PermissionsError: `read` was False. ExistentialError: it is
        closed; closing it in another thread does not end a wait.
        """
        cdef char small[8192]
        cdef char *buffer = small
        cdef bytes large = None
        cdef timespec deadline
        cdef Patience how = FOREVER
        cdef unsigned int priority = 0
        # Of the moment that the buffer is for, whatever another thread opens meanwhile.
        cdef Py_ssize_t size = self.message_size
        cdef ssize_t got
        cdef int error
        memset(&deadline, 0, sizeof(deadline))
        if timeout is not None:
            how = patience(timeout, CLOCK_REALTIME, &deadline)
        if not self.reading:
            raise c_PermissionsError("The queue is not open for reading")
        if size > <Py_ssize_t>sizeof(small):
            large = PyBytes_FromStringAndSize(NULL, size)
            buffer = PyBytes_AS_STRING(large)
        if not self.enter():
            wait_failed(EBADF, "", "The message queue does not exist or is not open for reading")
        with nogil:
            if how == FOREVER:
                got = c_mq_receive(self.queue, buffer, size, &priority)
            else:
                got = c_mq_timedreceive(self.queue, buffer, size, &priority, &deadline)
            error = errno
        self.leave()
        if got < 0:
            wait_failed(error, "The queue is empty",
                        "The message queue does not exist or is not open for reading")
        if large is not None and got == size:
            return large, priority
        return PyBytes_FromStringAndSize(buffer, got), priority

    def request_notification(self, notification=None):
        """Be told, once, when a message comes into the empty queue and nobody waits for one.

        An int is the signal to get; `(function, param)` has `function(param)` called in a new
        thread, where what it raises goes to sys.unraisablehook. None takes a request of
        this process back. A new request replaces one of this process. All handles of the
        queue in this process share it; it ends when one of them is closed.

        Does not block. BusyError: another process is to be notified. ValueError: any other
        notification. OSError: no such signal; it is closed.
        """
        cdef isthmus_request *request = NULL
        cdef PyObject *replaced
        cdef int error = 0
        cdef long number = 0
        if notification is None:
            if self.enter():
                self.notify_nobody()
                self.leave()
            return
        if isinstance(notification, int):
            number = PyLong_AsLong(notification)
            if number > INT_MAX or number < INT_MIN:
                number = -1  # which is no signal either
        elif not (
            isinstance(notification, tuple) and len(notification) == 2 and callable(notification[0])
        ):
            raise ValueError(
                "The notification must be None, an integer, or a tuple of (function, parameter)"
            )
        if not self.enter():
            fail(EBADF, None)
        try:
            # One of this process would be in the way.
            self.notify_nobody()
            if isinstance(notification, tuple):
                error = ask_for_call(self.queue, notification[0], notification[1], &request)
                if not error:
                    self.remember(request, &replaced)
                    Py_XDECREF(replaced)
            elif isthmus_notify_signal(self.queue, <int>number):
                error = errno
        finally:
            self.leave()
        if error == EBUSY:
            raise c_BusyError("The queue is already delivering notifications elsewhere")
        if error:
            fail(error, None)

    def close(self):
        """Close the handle, which takes a request for notification back.

        A thread that waits on it waits on. ExistentialError when it is closed.
        """
        cdef bint was_open, in_use
        cdef int error = 0
        self.mark_shut(&was_open, &in_use)
        if not was_open:
            queue_failed(EBADF)
        if in_use:
            # The descriptor goes with the last call; what else closing does is due now.
            self.notify_nobody()
        else:
            error = self.let_go()
        if error:
            queue_failed(error)

    def unlink(self):
        """Remove the name; the queue lives until everybody has closed it.

        Raises ExistentialError (no such name), PermissionsError.
        """
        if self.path is None:
            raise c_ExistentialError("No queue exists with the specified name")
        unlink_queue(self.path)


cdef int unlink_queue(const char *name) except -1:
    if c_mq_unlink(name):
        cannot_unlink(errno, "No queue exists with the specified name", "Permission denied")
    return 0


def unlink_message_queue(name, /):
    """Remove the name of a queue, which lives until everybody has closed it.

    Raises ExistentialError (no such name), PermissionsError, ValueError, OSError.
    """
    unlink_queue(to_unlink(name))
