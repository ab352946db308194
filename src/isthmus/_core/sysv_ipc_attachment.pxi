# Attached memory, which outlasts everything that uses it.


cdef int memory_failed(int error, int id, str what) except -1:
    """For shmctl; `what` the caller has no permission to do."""
    if error == EINVAL or error == EIDRM:
        raise ExistentialError(f"No shared memory with id {id} exists")
    if error == EACCES or error == EPERM:
        raise PermissionsError(f"You do not have permission to {what}")
    fail(error, None)


cdef int memory_status(int id, shmid_ds *to) except -1:
    if c_shmctl(id, C_IPC_STAT, to):
        memory_failed(errno, id, "read the shared memory attribute")
    return 0


@cython.final
cdef class Attachment:
    """One shmat. It is undone when it was asked for and nobody uses the memory any more.

    Until it is asked for, the memory stays attached, even if all objects are gone: programs
    may be using its address.
    """

    cdef char *address
    cdef size_t size
    cdef bint readonly
    # Buffers that others have, and calls that are copying.
    cdef Py_ssize_t users
    # Somebody may use the memory without being counted.
    cdef bint lent
    cdef bint detached
    cdef bint gone

    def __dealloc__(self):
        if self.detached and not self.gone:
            c_shmdt(self.address)

    cdef bint enter(self) noexcept:
        """Count a user; False when it has been detached."""
        cdef bint there
        with cython.critical_section(self):
            there = not self.detached
            if there:
                self.users += 1
        return there

    cdef void leave(self) noexcept:
        with cython.critical_section(self):
            self.users -= 1

    cdef int detach(self) noexcept:
        """0 or an errno. With users: nothing yet, it is done with the last reference."""
        cdef bint now
        cdef int failed = 0
        cdef int error = 0
        with cython.critical_section(self):
            self.detached = True
            now = self.users == 0 and not self.lent
            self.gone = now
        if now:
            with nogil:
                failed = c_shmdt(self.address)
                error = errno
        return error if failed else 0


cdef Attachment new_attachment(int id, object address, int flags):
    cdef void *wish = NULL
    cdef void *data
    cdef int error
    if address is not None:
        if not isinstance(address, int):
            raise TypeError("address must be a long")
        wish = <void *>as_address(address)
    with nogil:
        data = c_shmat(id, wish, flags)
        error = errno
    if data == <void *>-1:
        if error == EACCES:
            raise PermissionsError("No permission to attach")
        if error == ENOMEM:
            raise MemoryError("Not enough memory")
        if error == EINVAL:
            raise ValueError("Invalid id, address, or flags")
        fail(error, None)
    cdef Attachment made = Attachment.__new__(Attachment)
    cdef shmid_ds status
    made.address = <char *>data
    # Asked after attaching: from then on the segment cannot go away or change its size.
    try:
        memory_status(id, &status)
    except BaseException:
        made.detached = True
        raise
    made.size = status.shm_segsz
    # Exactly 1 or 0: PyBuffer_FillInfo() takes any other number for "writable".
    made.readonly = flags & C_SHM_RDONLY != 0
    return made


cdef uintptr_t as_address(object number) except? 1:
    """An address, or a negative number for one in the upper half."""
    if number < -LONG_MAX - 1 or number > ULONG_MAX:
        raise OverflowError("Python int too large to convert to C long")
    return <uintptr_t>(number & ULONG_MAX)


cdef enum:
    # Copying more than this lets other threads run.
    SMALL = 32768


cdef void copy(char *to, const char *source, size_t size) noexcept:
    # Both may be in the same memory.
    if size <= SMALL:
        memmove(to, source, size)
        return
    with nogil:
        memmove(to, source, size)
