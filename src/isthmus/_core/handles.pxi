# What all extensions that have handles need: deadlines, errors of opening, methods, participants.

# How long to sleep before looking whether a signal handler has to run. A signal ends the sleep
# of the thread that the kernel gives it to, which need not be the main one, where handlers run.
# Four slices of the core's, so that nothing is awake more often than the core is.
cdef uint64_t CHUNK = 48_000_000


cdef extern from "readiness.h" nogil:
    enum:
        ISTHMUS_WAIT_READY
        ISTHMUS_WAIT_ROOM


cdef extern from *:
    """
    /* The same method, as one of `type`'s own. */
    static PyObject *isthmus_own_method(PyTypeObject *type, PyObject *descriptor)
    {
        return PyDescr_NewMethod(type, ((PyMethodDescrObject *)descriptor)->d_method);
    }
    """
    object isthmus_own_method(type cls, object descriptor)


cdef uint64_t deadline_of(object timeout) except? 0:
    """The deadline of a wait: None is never, zero and less is at once (0)."""
    cdef double seconds
    if timeout is None:
        return ISTHMUS_FOREVER
    from isthmus import _arguments
    seconds = _arguments.timeout(timeout)
    if seconds <= 0:
        return 0
    if seconds >= 9e9:  # nearly what 64 bits of nanoseconds can hold
        return ISTHMUS_FOREVER
    return isthmus_deadline_after(<int64_t>(seconds * 1e9))


cdef inline uint64_t next_stop(uint64_t deadline) noexcept nogil:
    cdef uint64_t stop = isthmus_deadline_after(CHUNK)
    return stop if stop < deadline else deadline


cdef object new_descriptor(object handle, uint32_t side):
    from isthmus._descriptor import made
    return made(handle, side)


cdef int opened(int result) except -1:
    if result < 0:
        raise OSError(-result, _os.strerror(-result))
    return 0


cdef object own_methods_of(type cls, type base_of_all):
    """Give a class that inherits methods of the binding the same ones as its own.

    The interpreter has a quick way to call a method of an object whose type is exactly the
    one that defines it: such a call takes half of the time.
    """
    for base in cls.__mro__[1:]:
        for name, member in base.__dict__.items():
            # Unless something in between overrides it.
            if type(member) is type(str.join) and getattr(cls, name) is member:
                if issubclass(member.__objclass__, base_of_all):
                    setattr(cls, name, isthmus_own_method(cls, member))


cdef tuple participant_facts(const isthmus_participant *found):
    return (found.pid, found.pid_namespace, found.tid, found.since_ns, found.share, found.waiting,
            found.alive != 0)
