# Notification of messages by a call in a thread: posix_ipc_notices.h says how.
#
# One thread of a process reads the socket, and starts a thread for each call.

import _thread

from cpython.ref cimport PyObject, Py_XDECREF


cdef extern from "posix_ipc_notices.h":
    struct isthmus_request:
        pass
    ctypedef struct sigset_t:
        pass
    void isthmus_request_drop(isthmus_request *request)
    PyObject *isthmus_request_take(isthmus_request *request)
    int isthmus_notices_open()
    int isthmus_notices_ask(int queue, int fd, object call, isthmus_request **made)
    int isthmus_notices_next(int fd, PyObject **call, int *due) nogil
    int isthmus_notify_signal(int queue, int number)
    int isthmus_notify_nobody(int queue)
    void isthmus_block_signals(sigset_t *before)
    void isthmus_set_signals(const sigset_t *before)
    void isthmus_block_no_signals()


# The socket of this process, -1 without; and who may make it.
cdef int notices = -1
cdef object notices_lock = _thread.allocate_lock()
cdef bint told_of_forks = False


def _after_fork_in_child():
    # The registrations, and the thread that reads, are the parent's.
    global notices, notices_lock
    notices_lock = _thread.allocate_lock()
    if notices >= 0:
        c_close(notices)
        notices = -1


cdef int notices_socket() except -1:
    """The socket, and the thread that reads from it."""
    global notices, told_of_forks
    cdef sigset_t signals
    cdef int fd
    if notices >= 0:
        return notices
    with notices_lock:
        if notices >= 0:
            return notices
        if not told_of_forks:
            _os.register_at_fork(after_in_child=_after_fork_in_child)
            told_of_forks = True
        fd = isthmus_notices_open()
        if fd < 0:
            fail(errno, None)
        # The thread gets no signals: one given to it would not end a wait of the main thread.
        isthmus_block_signals(&signals)
        try:
            _thread.start_new_thread(_read_notices, (fd,))
        except BaseException:
            c_close(fd)
            raise
        finally:
            isthmus_set_signals(&signals)
        notices = fd
    return notices


def _read_notices(int fd):
    global notices
    cdef PyObject *next_call = NULL
    cdef int due = 0
    cdef int error
    while True:
        with nogil:
            error = isthmus_notices_next(fd, &next_call, &due)
        if error:
            # Somebody has closed it. Who asks next makes another.
            if notices == fd:
                notices = -1
            fail(error, None)
        call = <object>next_call
        Py_XDECREF(next_call)
        if due:
            try:
                _thread.start_new_thread(_call, call)
            except RuntimeError as why:
                report(why, call[0])
        # Not kept until there is another.
        call = None


def _call(function, param):
    # As the C library has it in such a thread.
    isthmus_block_no_signals()
    function(param)


cdef int report(object error, object function) except -1:
    """A call that cannot be made: nobody waits for it who could be told otherwise."""
    import sys
    if sys.stderr is not None:
        sys.stderr.write(f"isthmus: no thread to call {function!r} in: {error}\n")
    return 0


cdef int ask_for_call(int queue, object function, object param,
                      isthmus_request **made) except -1:
    """Register: 0 or an errno."""
    cdef int fd = notices_socket()
    cdef int error
    call = (function, param)
    while True:
        error = isthmus_notices_ask(queue, fd, call, made)
        if error != EINTR:
            return error
        PyErr_CheckSignals()
