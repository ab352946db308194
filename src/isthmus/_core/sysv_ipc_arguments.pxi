# Arguments as sysv_ipc takes them, and what its three constructors have in common.


cdef extern from "Python.h":
    long PyLong_AsLong(object number) except? -1


cdef long ranged(object value, str type, long low, long high) except? -1:
    cdef long number = PyLong_AsLong(value)
    if number > high:
        raise OverflowError(f"{type} is greater than maximum")
    if number < low:
        raise OverflowError(f"{type} is less than minimum")
    return number


cdef inline int c_int(object value) except? -1:
    return ranged(value, "signed integer", INT_MIN, INT_MAX)


cdef inline int c_short(object value) except? -1:
    return ranged(value, "signed short integer", -0x8000, 0x7fff)


cdef unsigned long c_size(object value) except? 7:
    """A size or an offset. What the type cannot hold becomes more than anything can have."""
    index = PyNumber_Index(value)
    if index < 0 or index > ULONG_MAX:
        return ULONG_MAX
    return index


cdef unsigned int c_attribute(object value, str problem) except? 7:
    """A uid, a gid or a mode that is given to an attribute; -1 is the highest one."""
    if not isinstance(value, int):
        raise TypeError(problem)
    cdef long number = PyLong_AsLong(value)
    if number < -1 or number > UINT_MAX:
        raise OverflowError("Python int too large to convert to C unsigned int")
    return <unsigned int>number


cdef int ended_by_signal() except -1:
    """A signal has ended a wait: raise what its handler raises, otherwise Error."""
    PyErr_CheckSignals()
    raise Error("Signaled while waiting")


# How an object is found or made. The functions take a key and flags to an id, or -1 and errno.
ctypedef int (*getter)(int32_t key, size_t size, int flags) noexcept nogil


@cython.final
cdef class Wanted:
    """The key and the flags of a constructor, checked."""

    cdef bint unkeyed
    cdef int32_t key
    cdef int flags
    # Nobody else can have made what `get` gives.
    cdef bint made

    cdef int get(self, getter call, size_t size) noexcept:
        """The id, or -1 and errno. Without a key: with one that nobody uses, from 1 on."""
        cdef int id = -1
        cdef int tries = LARGEST_RANDOM_KEY if self.unkeyed else 1
        while tries:
            id = call(self.key, size, self.flags)
            if id >= 0 or not self.unkeyed or errno != EEXIST:
                break
            self.key = self.key % LARGEST_RANDOM_KEY + 1
            tries -= 1
        self.made = id >= 0 and (self.flags & CREX == CREX or self.key == C_IPC_PRIVATE)
        return id


cdef Wanted wanted(object key, int flags):
    """None stands for a key to be made up. Other keys lose the bits that key_t has not."""
    cdef Wanted want = Wanted.__new__(Wanted)
    cdef int overflow = 0
    cdef long long number = 0
    if key is not None:
        if not isinstance(key, int):
            raise TypeError("Key must be an integer or None")
        number = PyLong_AsLongLongAndOverflow(key, &overflow)
        if overflow:
            raise TypeError("Key must be an integer or None")
        if number and <int32_t>number == C_IPC_PRIVATE:
            raise ValueError(
                f"Key {number} would be IPC_PRIVATE: its low 32 bits are 0, and this system "
                "knows no others"
            )
    if flags & CREX == C_IPC_EXCL:
        raise ValueError("IPC_EXCL must be combined with IPC_CREAT")
    if key is None and not flags & C_IPC_EXCL:
        raise ValueError("Key can only be None if IPC_EXCL is set")
    want.unkeyed = key is None
    if want.unkeyed:
        number = int.from_bytes(_os.urandom(4), "little") % LARGEST_RANDOM_KEY + 1
    want.key = <int32_t>number
    want.flags = flags
    return want
