# Integers that are changed in one step.

cdef class AtomicInt(Primitive):
    """A 64-bit integer that many processes can change at once."""

    def load(self):
        """Its value."""
        cdef int64_t found = isthmus_atomic_int_load(integer_of(self))
        integer_done(self)
        return found

    def store(self, value, /):
        """Make it `value`."""
        cdef int64_t number = number_of(value)
        isthmus_atomic_int_store(integer_of(self), number)
        integer_done(self)

    def add(self, value, /):
        """Add `value`, and return the value *before*. Wraps around at 64 bits, as in C."""
        cdef int64_t number = number_of(value)
        number = isthmus_atomic_int_add(integer_of(self), number)
        integer_done(self)
        return number

    def sub(self, value, /):
        """Subtract `value`, and return the value *before*. Wraps around at 64 bits, as in C."""
        cdef int64_t number = number_of(value)
        number = isthmus_atomic_int_sub(integer_of(self), number)
        integer_done(self)
        return number

    def and_(self, value, /):
        """Keep only the bits that are set in `value`, too; return the value *before*."""
        cdef int64_t number = number_of(value)
        number = isthmus_atomic_int_and(integer_of(self), number)
        integer_done(self)
        return number

    def or_(self, value, /):
        """Set the bits that are set in `value`; return the value *before*."""
        cdef int64_t number = number_of(value)
        number = isthmus_atomic_int_or(integer_of(self), number)
        integer_done(self)
        return number

    def xor(self, value, /):
        """Flip the bits that are set in `value`; return the value *before*."""
        cdef int64_t number = number_of(value)
        number = isthmus_atomic_int_xor(integer_of(self), number)
        integer_done(self)
        return number

    def exchange(self, value, /):
        """Make it `value`, and return the value *before*."""
        cdef int64_t number = number_of(value)
        number = isthmus_atomic_int_exchange(integer_of(self), number)
        integer_done(self)
        return number

    def compare_exchange(self, expected, desired):
        """Make it `desired` if it is `expected`. Returns whether it was."""
        cdef int64_t before = number_of(expected)
        cdef int64_t after = number_of(desired)
        cdef int done = isthmus_atomic_int_compare_exchange(integer_of(self), &before, after)
        integer_done(self)
        return done == 1

    def wait_while(self, value, timeout=None):
        """Wait as long as it is `value`. Returns True, or False after `timeout` seconds.

        A value that comes and goes again within the wait may pass unseen. Releases the GIL;
        signal handlers run, and may end the wait by raising. ArgumentError (NaN); ClosedError.
        """
        cdef int64_t number = number_of(value)
        cdef uint64_t deadline = deadline_of(timeout)
        cdef uint64_t stop = 0
        cdef int result
        self.enter()
        try:
            result = isthmus_atomic_int_wait_while(self.core, number, 0)
            while result < 0:
                if result != -ETIMEDOUT and result != -EINTR:
                    raise self.failed(result)
                if result == -ETIMEDOUT and stop == deadline:
                    return False
                PyErr_CheckSignals()
                stop = next_stop(deadline)
                with nogil:
                    result = isthmus_atomic_int_wait_while(self.core, number, stop)
            return True
        finally:
            self.leave()


cdef inline isthmus_primitive *integer_of(AtomicInt integer) except NULL:
    if ISTHMUS_NO_GIL or integer.core.shared is NULL:
        integer.enter()
    return integer.core


cdef inline void integer_done(AtomicInt integer) noexcept:
    if ISTHMUS_NO_GIL:
        integer.leave()


cdef extern from *:
    """
    /* A short number at once: the general way is a call of the interpreter. */
    static inline int isthmus_short(PyObject *number, int64_t *value)
    {
    #if PY_VERSION_HEX >= 0x030C0000
        if (!PyUnstable_Long_IsCompact((PyLongObject *)number))
            return 0;
        *value = PyUnstable_Long_CompactValue((PyLongObject *)number);
    #else
        const Py_ssize_t size = Py_SIZE(number);
        if (size < -1 || size > 1)
            return 0;
        *value = size * (int64_t)((PyLongObject *)number)->ob_digit[0];
    #endif
        return 1;
    }
    """
    int isthmus_short(object number, int64_t *value)


cdef inline int64_t number_of(object value) except? -1:
    cdef int overflow = 0
    cdef int64_t number
    if PyLong_CheckExact(value) and isthmus_short(value, &number):
        return number
    if PyLong_CheckExact(value):
        number = PyLong_AsLongLongAndOverflow(value, &overflow)
        if overflow == 0:
            return number
    return number_of_any(value)


cdef int64_t number_of_any(object value) except? -1:
    from isthmus import _arguments
    return _arguments.int64(value)
