# Events.

cdef class Event(Primitive):
    """An event."""

    def set(self):
        """Set it, and wake all that wait for it."""
        event_call(self, isthmus_event_set)

    def clear(self):
        """Unset it: who waits from now on, waits for the next `set`."""
        event_call(self, isthmus_event_clear)

    def is_set(self):
        """Whether it is set."""
        self.enter()
        cdef int result = isthmus_event_is_set(self.core)
        self.leave()
        return result > 0

    def wait(self, timeout=None):
        """Wait until it is set. Returns True, or False when `timeout` seconds have passed.

        True also when it was set and cleared again meanwhile. Releases the GIL; signal
        handlers run, and may end the wait by raising. ArgumentError (NaN); ClosedError.
        """
        cdef uint64_t deadline = deadline_of(timeout)
        cdef uint64_t stop = 0
        cdef uint32_t seen = 0
        cdef int result
        self.enter()
        try:
            result = isthmus_event_wait(self.core, 0, &seen)
            while result < 0:
                if result != -ETIMEDOUT and result != -EINTR:
                    raise self.failed(result)
                if result == -ETIMEDOUT and stop == deadline:
                    return False
                PyErr_CheckSignals()
                stop = next_stop(deadline)
                with nogil:
                    result = isthmus_event_wait(self.core, stop, &seen)
            return True
        finally:
            self.leave()


cdef int event_call(Event event,
                    int (*operation)(isthmus_primitive *) noexcept nogil) except -1:
    event.enter()
    cdef int result = operation(event.core)
    event.leave()
    if result < 0:
        raise event.failed(result)
    return 0
