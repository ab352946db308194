# Shared memory.

cdef extern from *:
    int c_shm_open "shm_open"(const char *name, int oflag, unsigned int mode) nogil
    int c_shm_unlink "shm_unlink"(const char *name) nogil


cdef int opened_memory(object name, bytes path, int flags, unsigned int mode) except -1:
    """A new descriptor of the segment `path`; `name` is for which errors to try again."""
    cdef const char *c_path = path
    cdef int fd, error
    while True:
        with nogil:
            fd = c_shm_open(c_path, flags, mode)
            error = errno
        if fd >= 0:
            return fd
        if error == EINTR:
            PyErr_CheckSignals()
        elif error == EEXIST and name is None:
            return -2
        elif error == EACCES:
            what = "truncate" if flags & O_TRUNC else "access"
            raise c_PermissionsError(f"No permission to {what} this segment")
        else:
            cannot_open(error, "No shared memory exists with the specified name",
                        "Shared memory with the specified name already exists")


cdef int resized(int fd, long long size) except? -1:
    """0 or an errno."""
    cdef int failed, error
    while True:
        with nogil:
            failed = c_ftruncate(fd, size)
            error = errno
        if not failed:
            return 0
        if error != EINTR:
            return error
        PyErr_CheckSignals()


cdef int not_resized(const char *path, bint created, int error) except -1:
    """Raise what `error`, of an attempt to set the size, means. What was made goes again."""
    # The original removes the name in any case: also that of a segment that others use.
    if not created:
        from isthmus.compat import _mode
        created = _mode.strict()
    if created and c_shm_unlink(path):
        error = errno
    if error == EINVAL:
        raise ValueError("The size is invalid or the memory is read-only")
    if error == EFBIG:
        raise ValueError("The size is too large")
    if error == EACCES:
        raise c_PermissionsError("The memory is read-only")
    fail(error, None)


cdef class SharedMemory:
    """SharedMemory(name, flags=0, mode=0o600, size=0, read_only=False): opens or creates a segment.

    `name`, `flags` and `mode` as for a Semaphore; O_TRUNC makes an existing segment empty. A
    `size` in bytes other than 0 is given to it, whether it is new or not: whoever has more of
    it mapped gets SIGBUS beyond. `read_only`: `fd` is open for reading only.

    Nothing is reserved: a write to a full /dev/shm is a SIGBUS. Does not block. The descriptor
    stays open until close_fd() or os.close(), whatever becomes of this object. Raises
    ExistentialError (none or one there), PermissionsError, ValueError (name or size), OSError.
    """

    cdef int descriptor
    cdef unsigned int permissions
    cdef str text
    cdef bytes path

    def __cinit__(self):
        self.descriptor = -1

    def __init__(self, name, flags=0, mode=0o600, size=0, read_only=False):
        cdef bytes path = name_of(name)
        cdef int c_flags = <int>bits(flags, UINT_MAX)
        cdef unsigned int c_mode = <unsigned int>bits(mode, INT_MAX)
        cdef int overflow = 0
        cdef long long c_size = PyLong_AsLongLongAndOverflow(PyNumber_Index(size), &overflow)
        cdef bint reading = bits(read_only, INT_MAX) != 0
        cdef bint created = c_flags & O_EXCL != 0
        cdef bint hopeless
        cdef int fd = -1
        cdef int error
        self.descriptor = -1
        self.text = None if name is None else shown(path)
        check_creation(name, c_flags)
        if overflow:
            c_size = -1
        c_flags |= O_RDONLY if reading else O_RDWR
        hopeless = c_size < 0 or (c_size > 0 and reading)
        if hopeless and c_flags & O_CREAT and not created:
            # The size will be refused: find out whether there is a segment of somebody else.
            try:
                fd = opened_memory(name, path, c_flags | O_EXCL, c_mode)
                created = True
            except ExistentialError:
                pass
        while fd < 0:
            if name is None:
                path = random_name()
            fd = opened_memory(name, path, c_flags, c_mode)
        if c_size != 0:
            try:
                error = resized(fd, c_size)
                if error:
                    not_resized(path, created, error)
            except BaseException:
                c_close(fd)
                raise
        self.path = path
        self.text = shown(path)
        self.permissions = c_mode
        self.descriptor = fd

    def __str__(self):
        return "(no name)" if self.text is None else self.text

    def __repr__(self):
        return f'posix_ipc.SharedMemory("{self}", mode=0{self.permissions:o})'

    @property
    def name(self):
        """What it was opened with, or its random name."""
        return self.text

    @property
    def mode(self):
        """The permission bits that it was opened with, which need not be those that it has."""
        return self.permissions

    @property
    def fd(self):
        """The descriptor, for mmap; -1 after close_fd()."""
        return self.descriptor

    def fileno(self):
        """The descriptor, for mmap; -1 after close_fd()."""
        return self.descriptor

    @property
    def size(self):
        """How many bytes the segment has now. ExistentialError when `fd` is closed."""
        cdef struct_stat found
        if fstat(self.descriptor, &found):
            if errno == EBADF:
                raise c_ExistentialError("The segment does not exist")
            fail(errno, None)
        return found.st_size

    def close_fd(self):
        """Close the descriptor; what is mapped stays mapped. A second time does nothing.

        ValueError when it has been closed by other means.
        """
        cdef int fd, error
        with cython.critical_section(self):
            fd = self.descriptor
            self.descriptor = -1
        if fd < 0 or not c_close(fd):
            return
        error = errno
        if error == EBADF:
            self.descriptor = fd
            raise ValueError("The file descriptor is invalid")
        fail(error, None)

    def unlink(self):
        """Remove the name; the memory lives until nobody has it mapped or open.

        Raises ExistentialError (no such name), PermissionsError.
        """
        if self.path is None:
            raise c_ExistentialError("No shared memory exists with the specified name")
        unlink_memory(self.path)


cdef int unlink_memory(const char *name) except -1:
    cdef int failed, error
    # The last name of large memory: freeing it takes a while.
    with nogil:
        failed = c_shm_unlink(name)
        error = errno
    if failed:
        cannot_unlink(error, "No shared memory exists with the specified name",
                      "Permission denied")
    return 0


def unlink_shared_memory(name, /):
    """Remove the name of a segment, which lives until nobody has it mapped or open.

    Raises ExistentialError (no such name), PermissionsError, OSError.
    """
    unlink_memory(to_unlink(name))
