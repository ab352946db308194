# Shared memory.


cdef int get_memory(int32_t key, size_t size, int flags) noexcept nogil:
    return c_shmget(key, size, flags)


cdef int opening_memory_failed(int error, int32_t key, int mode) except -1:
    if error == EACCES:
        raise PermissionsError(f"Permission {mode:o} cannot be granted on the existing segment")
    if error == EEXIST:
        raise ExistentialError(f"Shared memory with the key {key} already exists")
    if error == ENOENT:
        raise ExistentialError(f"No shared memory exists with the key {key}")
    if error == EINVAL:
        raise ValueError("The size is invalid")
    if error == ENOMEM:
        raise MemoryError("Not enough memory")
    if error == ENOSPC:
        raise OSError("Not enough shared memory identifiers available (ENOSPC)")
    fail(error, None)


cdef int remove_memory(int id) except -1:
    cdef int failed, error
    # It may free much memory.
    with nogil:
        failed = c_shmctl(id, C_IPC_RMID, NULL)
        error = errno
    if failed:
        memory_failed(error, id, "remove the shared memory")
    return 0


cdef char character(object value) except? 7:
    if not isinstance(value, (bytes, bytearray)) or len(value) != 1:
        kind = "None" if value is None else type(value).__name__
        raise TypeError(f"argument 5 must be a byte string of length 1, not {kind}")
    return <char><unsigned char>value[0]


cdef class SharedMemory:
    """A shared memory segment, opened or made, and attached:
    ``SharedMemory(key, flags=0, mode=0o600, size=0, init_character=b' ')``.

    `key` and `flags` as for Semaphore, with SHM_HUGETLB and SHM_NORESERVE as needed. `size` is
    in bytes: of a new segment (0, with IPC_CREX: PAGE_SIZE), or at most that of an existing
    one. With IPC_CREX every byte is `init_character`, unless `mode` has no right to write:
    then the memory is attached for reading only. One that cannot be attached is removed again.

    Does not block. Raises ExistentialError, PermissionsError, ValueError (`size`), MemoryError,
    OSError (a limit). It exports the buffer protocol. The memory stays attached until
    detach() or the end of the process, whatever becomes of this object. A process that is
    killed while it makes a segment leaves one that is zero from some place on.
    """

    cdef readonly int id
    cdef int32_t _key
    cdef bint readonly
    cdef Attachment attachment
    # Detached ones that somebody may still use: they stay as long as this object.
    cdef list kept

    def __cinit__(self):
        self._key = -1

    def __init__(self, key, flags=0, mode=0o600, size=0, init_character=b" "):
        cdef int bits = c_int(mode) & 0o777
        cdef int given = c_int(flags) & ~0o777
        cdef size_t bytes_wanted = c_size(size)
        cdef char fill = character(init_character)
        cdef Wanted want = wanted(key, given)
        cdef bint creating = given & CREX == CREX
        if creating and bytes_wanted == 0:
            bytes_wanted = <size_t>PAGE_SIZE
        want.flags |= bits
        cdef int id = want.get(get_memory, bytes_wanted)
        if id < 0:
            opening_memory_failed(errno, want.key, bits)
        cdef int how = 0 if bits & 0o200 else C_SHM_RDONLY
        cdef Attachment made
        try:
            made = new_attachment(id, None, how)
        except BaseException:
            if want.made:
                remove_memory(id)
            raise
        if creating and not made.readonly:
            with nogil:
                memset(made.address, fill, made.size)
        self._key = want.key
        self.id = id
        self.hold(made)

    def __repr__(self):
        return f"sysv_ipc.SharedMemory({self._key})"

    def __str__(self):
        return f"Key={self._key}, id={self.id}"

    cdef int hold(self, Attachment made) except -1:
        with cython.critical_section(self):
            self.attachment = made
            self.readonly = made.readonly
        return 0

    cdef Attachment use(self, str what):
        """The attached memory, counted; NotAttachedError says `what` was tried."""
        cdef Attachment attachment
        with cython.critical_section(self):
            attachment = self.attachment
        if attachment is None or not attachment.enter():
            raise NotAttachedError(f"{what} attempt on unattached memory segment")
        return attachment

    def __getbuffer__(self, Py_buffer *view, int flags):
        cdef Attachment attachment = self.use("Read")
        # What asks in this way is numpy.ndarray(buffer=…), which keeps the address and this
        # object, but not the buffer.
        if flags & ~PyBUF_WRITABLE == PyBUF_ANY_CONTIGUOUS:
            attachment.lent = True
        try:
            PyBuffer_FillInfo(view, self, attachment.address, <Py_ssize_t>attachment.size,
                              attachment.readonly, flags)
        except BaseException:
            attachment.leave()
            raise
        Py_INCREF(attachment)
        view.internal = <void *>attachment

    def __releasebuffer__(self, Py_buffer *view):
        cdef Attachment attachment = <Attachment>view.internal
        attachment.leave()
        Py_DECREF(attachment)

    def attach(self, address=None, flags=0):
        """Attach the memory, at `address` if it is not None.

        `flags` are SHM_RDONLY, SHM_RND and SHM_REMAP. What is attached already stays so, out
        of reach of detach(). Does not block. Raises ValueError (no such segment, a bad
        address, or one in use), PermissionsError, MemoryError.
        """
        self.hold(new_attachment(self.id, address, c_int(flags)))

    def detach(self):
        """Detach the memory, now, or with the last buffer that somebody has of it.

        NotAttachedError if it is not attached.
        """
        cdef Attachment attachment
        with cython.critical_section(self):
            attachment = self.attachment
            self.attachment = None
            if attachment is not None and attachment.lent:
                if self.kept is None:
                    self.kept = []
                self.kept.append(attachment)
        if attachment is None:
            raise NotAttachedError
        cdef int error = attachment.detach()
        if error == EINVAL:
            raise NotAttachedError
        if error:
            fail(error, None)

    def read(self, byte_count=0, offset=0):
        """`byte_count` bytes from `offset` on, or as many as there are; 0: all of them.

        Does not block. Raises NotAttachedError; ValueError when `offset` is outside.
        """
        cdef long count = PyLong_AsLong(byte_count)
        cdef size_t start = c_size(offset)
        cdef Attachment attachment = self.use("Read")
        cdef bytes result
        try:
            if start >= attachment.size:
                raise ValueError("The offset must be less than the segment size")
            if count < 0:
                raise ValueError("The byte_count cannot be negative")
            if count == 0 or <size_t>count > attachment.size - start:
                count = <long>(attachment.size - start)
            if count <= SMALL:
                return PyBytes_FromStringAndSize(attachment.address + start, count)
            result = PyBytes_FromStringAndSize(NULL, count)
            copy(PyBytes_AS_STRING(result), attachment.address + start, count)
            return result
        finally:
            attachment.leave()

    def write(self, s, offset=0):
        """Write `s` (bytes-like, or text as UTF-8) to the memory, from `offset` on.

        Does not block. Raises NotAttachedError; OSError when it is attached for reading
        only; ValueError when it does not fit, and then nothing is written. A process
        that is killed meanwhile leaves a part of it.
        """
        cdef size_t start = c_size(offset)
        cdef Py_buffer view
        if isinstance(s, str):
            s = s.encode()
        PyObject_GetBuffer(s, &view, PyBUF_SIMPLE)
        cdef Attachment attachment
        try:
            if self.readonly:
                raise OSError("Write attempt on read-only memory segment")
            attachment = self.use("Write")
            try:
                if start > attachment.size or <size_t>view.len > attachment.size - start:
                    raise ValueError("Attempt to write past end of memory segment")
                copy(attachment.address + start, <const char *>view.buf, view.len)
            finally:
                attachment.leave()
        finally:
            PyBuffer_Release(&view)

    def remove(self):
        """Remove the segment from the system; it goes when the last process detaches it."""
        remove_memory(self.id)

    cdef int set_status(self, shmid_ds *status) except -1:
        if c_shmctl(self.id, C_IPC_SET, status):
            memory_failed(errno, self.id, "change the shared memory's attributes")
        return 0

    @property
    def key(self):
        """The key that it was opened with; -1 from attach()."""
        return self._key

    @property
    def attached(self):
        """Whether it is attached through this object."""
        return self.attachment is not None

    @property
    def address(self):
        """Where it is attached; 0 if it is not."""
        cdef Attachment attachment
        with cython.critical_section(self):
            attachment = self.attachment
        return 0 if attachment is None else <uintptr_t>attachment.address

    @property
    def size(self):
        """Its size in bytes, as it was asked for."""
        cdef shmid_ds status
        memory_status(self.id, &status)
        return status.shm_segsz

    @property
    def last_attach_time(self):
        """When it was last attached, in seconds since 1970; or 0."""
        cdef shmid_ds status
        memory_status(self.id, &status)
        return status.shm_atime

    @property
    def last_detach_time(self):
        """When it was last detached, in seconds since 1970; or 0."""
        cdef shmid_ds status
        memory_status(self.id, &status)
        return status.shm_dtime

    @property
    def last_change_time(self):
        """When it was made, or its owner, group or mode set, in seconds since 1970."""
        cdef shmid_ds status
        memory_status(self.id, &status)
        return status.shm_ctime

    @property
    def creator_pid(self):
        """The process that made it."""
        cdef shmid_ds status
        memory_status(self.id, &status)
        return status.shm_cpid

    @property
    def last_pid(self):
        """The process that last attached or detached it."""
        cdef shmid_ds status
        memory_status(self.id, &status)
        return status.shm_lpid

    @property
    def number_attached(self):
        """How often it is attached now, in all processes."""
        cdef shmid_ds status
        memory_status(self.id, &status)
        return status.shm_nattch

    @property
    def mode(self):
        """The permission bits; from the moment it is removed also 0o1000."""
        cdef shmid_ds status
        memory_status(self.id, &status)
        return status.shm_perm.mode

    @mode.setter
    def mode(self, value):
        cdef unsigned int number = c_attribute(value, "attribute 'mode' must be an integer")
        cdef shmid_ds status
        memory_status(self.id, &status)
        status.shm_perm.mode = number
        self.set_status(&status)

    @property
    def uid(self):
        """Whose it is: a user id."""
        cdef shmid_ds status
        memory_status(self.id, &status)
        return status.shm_perm.uid

    @uid.setter
    def uid(self, value):
        cdef unsigned int number = c_attribute(value, "Attribute 'uid' must be an integer")
        cdef shmid_ds status
        memory_status(self.id, &status)
        status.shm_perm.uid = number
        self.set_status(&status)

    @property
    def gid(self):
        """Whose it is: a group id."""
        cdef shmid_ds status
        memory_status(self.id, &status)
        return status.shm_perm.gid

    @gid.setter
    def gid(self, value):
        cdef unsigned int number = c_attribute(value, "attribute 'gid' must be an integer")
        cdef shmid_ds status
        memory_status(self.id, &status)
        status.shm_perm.gid = number
        self.set_status(&status)

    @property
    def cuid(self):
        """Who made it: a user id."""
        cdef shmid_ds status
        memory_status(self.id, &status)
        return status.shm_perm.cuid

    @property
    def cgid(self):
        """Who made it: a group id."""
        cdef shmid_ds status
        memory_status(self.id, &status)
        return status.shm_perm.cgid


def attach(id, address=None, flags=0):
    """Attach the segment with this id: a SharedMemory, whose `key` is -1.

    `address` and `flags`, and what is raised, as for SharedMemory.attach().
    """
    cdef int number = c_int(id)
    cdef SharedMemory memory = SharedMemory.__new__(SharedMemory)
    memory.id = number
    memory.hold(new_attachment(number, address, c_int(flags)))
    return memory


def remove_shared_memory(id, /):
    """Remove the segment with this id; it goes when the last process detaches it."""
    remove_memory(c_int(id))
