# Message queues.

from collections import namedtuple as _namedtuple


cdef extern from "<mqueue.h>" nogil:
    struct mq_attr:
        long mq_flags
        long mq_maxmsg
        long mq_msgsize
        long mq_curmsgs
    union sigval:
        int sival_int
    struct sigevent:
        int sigev_notify
        int sigev_signo
        sigval sigev_value
    int c_mq_open "mq_open"(const char *name, int oflag, ...)
    int c_mq_close "mq_close"(int queue)
    int c_mq_unlink "mq_unlink"(const char *name)
    int c_mq_send "mq_send"(int queue, const char *message, size_t size, unsigned int prio)
    int c_mq_timedsend "mq_timedsend"(int queue, const char *message, size_t size,
                                      unsigned int prio, const timespec *deadline)
    ssize_t c_mq_receive "mq_receive"(int queue, char *message, size_t size, unsigned int *prio)
    ssize_t c_mq_timedreceive "mq_timedreceive"(int queue, char *message, size_t size,
                                                unsigned int *prio, const timespec *deadline)
    int c_mq_getattr "mq_getattr"(int queue, mq_attr *attr)
    int c_mq_setattr "mq_setattr"(int queue, const mq_attr *attr, mq_attr *old)
    int c_mq_notify "mq_notify"(int queue, const sigevent *event)
    int mq_notify_socket(int queue, int fd, void *cookie)


class MqAttr(_namedtuple("MqAttr", "maxmsg msgsize flags curmsgs", defaults=(0, 0, 0, 0),
                         module="isthmus.posix")):
    """What a message queue is like: `struct mq_attr`.

    maxmsg: how many messages it holds at most; mq_open() sets it.
    msgsize: how many bytes a message has at most; mq_open() sets it.
    flags: 0 or O_NONBLOCK, of this handle; mq_setattr() sets it.
    curmsgs: how many messages are in it now.
    """

    __slots__ = ()


MqAttr.__module__ = "isthmus.posix"


@cython.final
cdef class MessageQueue(Handle):
    """An open message queue, for the functions whose names begin with ``mq_``.

    `name` is what it was opened with; `fileno()` is its descriptor, for select and poll
    (Linux); `closed` says whether the handle has been closed. Dropping the last reference
    closes it.
    """

    cdef int queue
    cdef size_t msgsize
    cdef object __weakref__

    cdef int release(self) noexcept:
        return errno if c_mq_close(self.queue) else 0

    def __dealloc__(self):
        if not self.shut:
            self.release()

    def __repr__(self):
        return f"<isthmus.posix.MessageQueue {self.name!r}{' closed' if self.shut else ''}>"

    def fileno(self):
        """The descriptor; it belongs to the handle."""
        self.enter()
        self.leave()
        return self.queue


def mq_open(name, oflag, mode=0o600, attr=None):
    """Open the message queue `name`: a MessageQueue.

    `oflag` is O_RDONLY (to receive), O_WRONLY (to send) or O_RDWR, with O_CREAT, O_EXCL and
    O_NONBLOCK as needed. A new queue has the permission bits `mode & ~umask` and holds
    `attr.maxmsg` messages of up to `attr.msgsize` bytes (None: the system's defaults).

    Does not block. Raises OSError about `name`: FileNotFoundError, FileExistsError
    (O_EXCL), PermissionError, EINVAL (a name without its slash; an attr above the limits
    in /proc/sys/fs/mqueue), EMFILE, ENOSPC (too many queues), ENOSYS (a kernel without).
    """
    cdef bytes text = encoded(name)
    cdef const char *c_name = text
    cdef int flags = whole(oflag, "oflag", INT_MIN, INT_MAX)
    cdef unsigned int bits = whole(mode, "mode", 0, 0o7777)
    cdef mq_attr wanted
    cdef mq_attr *c_attr = NULL
    cdef MessageQueue handle = MessageQueue.__new__(MessageQueue)
    cdef int queue, error
    memset(&wanted, 0, sizeof(wanted))
    if attr is not None:
        needed(attr, MqAttr, "mq_open")
        wanted.mq_maxmsg = whole(attr.maxmsg, "maxmsg", -LLONG_MAX - 1, LLONG_MAX)
        wanted.mq_msgsize = whole(attr.msgsize, "msgsize", -LLONG_MAX - 1, LLONG_MAX)
        c_attr = &wanted
    while True:
        with nogil:
            queue = c_mq_open(c_name, flags, bits, c_attr)
            error = errno
        if queue >= 0:
            break
        if error != EINTR:
            fail(error, name)
        PyErr_CheckSignals()
    handle.queue = queue
    handle.name = name
    handle.shut = False
    # A queue's message size never changes.
    if c_mq_getattr(queue, &wanted):
        fail(errno, name)
    handle.msgsize = wanted.mq_msgsize
    return handle


def queue_from(int fd, name, /):
    """A MessageQueue over a descriptor of one, which belongs to the handle from now on."""
    cdef MessageQueue handle = MessageQueue.__new__(MessageQueue)
    cdef mq_attr found
    if c_mq_getattr(fd, &found):
        handle.shut = True
        fail(errno, name)
    handle.queue = fd
    handle.name = name
    handle.msgsize = found.mq_msgsize
    handle.shut = False
    return handle


def mq_close(MessageQueue mqd not None, /):
    """Close the handle; a notification asked for through it is off.

    A thread that waits on it keeps waiting: the descriptor is closed when the last such
    call returns. Any other use, a second close too, raises ValueError.
    """
    mqd.close()


def mq_unlink(name):
    """Remove the name of a message queue. It lives until the last handle is closed.

    Raises OSError about `name`: FileNotFoundError, PermissionError.
    """
    cdef bytes text = encoded(name)
    if c_mq_unlink(text):
        fail(errno, name)


cdef int send(MessageQueue mqd, object msg, object prio, const timespec *deadline) except -1:
    cdef unsigned int c_prio = whole(prio, "prio", 0, UINT_MAX)
    cdef Py_buffer view
    cdef int failed, error
    PyObject_GetBuffer(msg, &view, PyBUF_SIMPLE)
    try:
        mqd.enter()
        try:
            while True:
                with nogil:
                    if deadline is NULL:
                        failed = c_mq_send(mqd.queue, <char *>view.buf, view.len, c_prio)
                    else:
                        failed = c_mq_timedsend(mqd.queue, <char *>view.buf, view.len, c_prio,
                                                deadline)
                    error = errno
                if not failed:
                    return 0
                if error != EINTR:
                    fail(error, mqd.name)
                PyErr_CheckSignals()
        finally:
            mqd.leave()
    finally:
        PyBuffer_Release(&view)


cdef object receive(MessageQueue mqd, const timespec *deadline):
    cdef char small[8192]
    cdef char *buffer = small
    cdef bytes large = None
    cdef unsigned int prio = 0
    cdef ssize_t got
    cdef int error
    if mqd.msgsize > sizeof(small):
        large = PyBytes_FromStringAndSize(NULL, mqd.msgsize)
        buffer = PyBytes_AS_STRING(large)
    mqd.enter()
    try:
        while True:
            with nogil:
                if deadline is NULL:
                    got = c_mq_receive(mqd.queue, buffer, mqd.msgsize, &prio)
                else:
                    got = c_mq_timedreceive(mqd.queue, buffer, mqd.msgsize, &prio, deadline)
                error = errno
            if got >= 0:
                break
            if error != EINTR:
                fail(error, mqd.name)
            PyErr_CheckSignals()
    finally:
        mqd.leave()
    return PyBytes_FromStringAndSize(buffer, got), prio


def mq_send(MessageQueue mqd not None, msg, prio=0, /):
    """Put a message (bytes-like) into the queue, behind all of its priority or higher.

    `prio` is from 0 to MQ_PRIO_MAX - 1. Blocks, without the GIL, while the queue is full;
    with O_NONBLOCK that is BlockingIOError (EAGAIN). Signals as in sem_wait(): a call that
    raised has sent nothing. Raises OSError about the queue's name: EMSGSIZE (longer than
    msgsize), EBADF (open for receiving only), EINVAL (prio).
    """
    send(mqd, msg, prio, NULL)


def mq_timedsend(MessageQueue mqd not None, msg, prio, abs_timeout, /):
    """Like mq_send(), until CLOCK_REALTIME shows `abs_timeout` seconds: then TimeoutError."""
    cdef timespec deadline
    seconds(abs_timeout, "abs_timeout", &deadline)
    send(mqd, msg, prio, &deadline)


def mq_receive(MessageQueue mqd not None, /):
    """Take the oldest of the messages of the highest priority: (bytes, prio).

    Blocks, without the GIL, while the queue is empty; with O_NONBLOCK that is
    BlockingIOError (EAGAIN). Signals as in sem_wait(): a call that raised has taken
    nothing. OSError(EBADF) about the queue's name when it is open for sending only.
    """
    return receive(mqd, NULL)


def mq_timedreceive(MessageQueue mqd not None, abs_timeout, /):
    """Like mq_receive(), until CLOCK_REALTIME shows `abs_timeout` seconds: then TimeoutError."""
    cdef timespec deadline
    seconds(abs_timeout, "abs_timeout", &deadline)
    return receive(mqd, &deadline)


cdef object to_mq_attr(const mq_attr *attr):
    return MqAttr(attr.mq_maxmsg, attr.mq_msgsize, attr.mq_flags, attr.mq_curmsgs)


def mq_getattr(MessageQueue mqd not None, /):
    """The queue's attributes: an MqAttr."""
    cdef mq_attr found
    cdef int error = 0
    mqd.enter()
    if c_mq_getattr(mqd.queue, &found):
        error = errno
    mqd.leave()
    if error:
        fail(error, mqd.name)
    return to_mq_attr(&found)


def mq_setattr(MessageQueue mqd not None, attr, /):
    """Set the handle's flags to `attr.flags` (0 or O_NONBLOCK): the attributes before.

    The other fields of `attr` are ignored. OSError(EINVAL) for any other flag.
    """
    cdef mq_attr wanted, old
    cdef int error = 0
    memset(&wanted, 0, sizeof(wanted))
    wanted.mq_flags = whole(needed(attr, MqAttr, "mq_setattr").flags, "flags", 0, INT_MAX)
    mqd.enter()
    if c_mq_setattr(mqd.queue, &wanted, &old):
        error = errno
    mqd.leave()
    if error:
        fail(error, mqd.name)
    return to_mq_attr(&old)


def notify_off(MessageQueue mqd not None, /):
    """mq_notify(3) with NULL."""
    cdef int error = 0
    mqd.enter()
    if c_mq_notify(mqd.queue, NULL):
        error = errno
    mqd.leave()
    if error:
        fail(error, mqd.name)


def notify_signal(MessageQueue mqd not None, how, signo, value, /):
    """mq_notify(3) with SIGEV_NONE or SIGEV_SIGNAL."""
    cdef sigevent event
    cdef int error = 0
    memset(&event, 0, sizeof(event))
    event.sigev_notify = whole(how, "notify", INT_MIN, INT_MAX)
    event.sigev_signo = whole(signo, "signo", INT_MIN, INT_MAX)
    event.sigev_value.sival_int = whole(value, "value", INT_MIN, INT_MAX)
    mqd.enter()
    if c_mq_notify(mqd.queue, &event):
        error = errno
    mqd.leave()
    if error:
        fail(error, mqd.name)


def notify_socket(MessageQueue mqd not None, int fd, bytes cookie not None, /):
    """Have the kernel send `cookie` to the netlink socket `fd`.

    Of its 32 bytes the last becomes 1 when a message has come, 2 when the registration
    has ended without one.
    """
    cdef int error = 0
    if len(cookie) != 32:
        raise ValueError("a cookie has 32 bytes")
    mqd.enter()
    if mq_notify_socket(mqd.queue, fd, PyBytes_AS_STRING(cookie)):
        error = errno
    mqd.leave()
    if error:
        fail(error, mqd.name)
