# cython: language_level=3, freethreading_compatible=True, auto_pickle=False, autotestdict=False
"""Mappings, descriptors and the objects behind them: the C core for Python.

Conversion only. Functions raise a bare `OSError` with the core's errno; the
Python layer says which object it was about and what to do.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from cpython.buffer cimport PyBuffer_FillInfo
from libc.errno cimport EAGAIN, EILSEQ, EINTR, ESTALE
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t

from isthmus._core.core cimport *

import os as _os


cdef int fail(int error) except -1:
    raise OSError(-error, _os.strerror(-error))


cdef int check(int result) except -1:
    if result < 0:
        fail(result)
    return result


cdef enum:
    # The address does not tell whether there is a mapping: zero can be one.
    NOT_MAPPED
    BY_MMAP
    BY_SHMAT


cdef class Mapping:
    """Mapped memory. Exports the buffer protocol; unmapped with its last reference.

    Nothing unmaps it earlier, whatever is closed: every memoryview and every
    array made of it holds a reference to it, some (numpy's ``buffer=``) without
    a registered export, so the reference count is the only count to trust.
    """

    cdef void *data
    cdef readonly size_t size
    cdef readonly bint readonly
    cdef readonly bint readable
    cdef int origin
    cdef object __weakref__

    def __init__(self):
        raise TypeError("mappings are made by the functions of this module")

    def __dealloc__(self):
        if self.origin == BY_SHMAT:
            isthmus_os_sysv_detach(self.data)
        elif self.origin == BY_MMAP:
            isthmus_os_unmap(self.data, self.size)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        if not self.readable:
            raise BufferError("this mapping may not be read (no PROT_READ)")
        PyBuffer_FillInfo(buffer, self, self.data, <Py_ssize_t>self.size, self.readonly, flags)

    def __len__(self):
        return self.size

    @property
    def address(self):
        return <uintptr_t>self.data

    cdef int span(self, size_t offset, size_t length) except -1:
        if offset > self.size or length > self.size - offset:
            raise ValueError(
                f"bytes {offset} to {offset + length} are outside a mapping of {self.size} bytes"
            )
        return 0

    def flush(self, size_t offset, size_t length, int flags):
        self.span(offset, length)
        cdef int error
        while True:
            with nogil:
                error = isthmus_os_flush(<char *>self.data + offset, length, flags)
            if error != -EINTR:
                check(error)
                return
            PyErr_CheckSignals()

    def advise(self, size_t offset, size_t length, int advice):
        self.span(offset, length)
        cdef int error
        with nogil:
            error = isthmus_os_advise(<char *>self.data + offset, length, advice)
        check(error)

    def lock(self, size_t offset, size_t length):
        self.span(offset, length)
        cdef int error
        with nogil:
            error = isthmus_os_lock_memory(<char *>self.data + offset, length)
        check(error)

    def unlock(self, size_t offset, size_t length):
        self.span(offset, length)
        check(isthmus_os_unlock_memory(<char *>self.data + offset, length))


cdef Mapping new_mapping(void *data, size_t size, bint readonly, int origin, bint readable=True):
    cdef Mapping mapping = Mapping.__new__(Mapping)
    mapping.data = data
    mapping.size = size
    mapping.readonly = readonly
    mapping.readable = readable
    mapping.origin = origin
    return mapping


cdef class Descriptor:
    """An open file descriptor, closed with its last reference or by close()."""

    cdef int fd

    def __cinit__(self, int fd=-1):
        self.fd = fd

    def __dealloc__(self):
        if self.fd >= 0:
            isthmus_os_close(self.fd)

    @property
    def closed(self):
        return self.fd < 0

    def fileno(self):
        if self.fd < 0:
            raise ValueError("I/O operation on closed descriptor")
        return self.fd

    def close(self):
        # Whoever takes the number out closes it: two threads cannot both.
        cdef int fd = isthmus_exchange_int(&self.fd, -1)
        if fd >= 0:
            check(isthmus_os_close(fd))


cdef class Draft:
    """An object that has no name yet: reserved, mapped, zeroed. `publish` names it.

    A draft that is dropped, or whose process dies, leaves nothing.
    """

    cdef isthmus_draft draft
    cdef readonly Mapping mapping

    def __cinit__(self, const char *directory, uint64_t size, uint32_t mode=0o600,
                  int64_t owner=-1, int64_t group=-1, bint named=False):
        cdef isthmus_create_options options
        cdef void *data = NULL
        cdef int error
        self.draft.fd = -1
        options.mode = mode
        options.owner = owner
        options.group = group
        check(isthmus_draft_open(&self.draft, directory, size, &options,
                                 ISTHMUS_DRAFT_NAMED if named else 0))
        while True:
            with nogil:
                error = isthmus_draft_reserve(&self.draft)
            if error != -EINTR:
                check(error)
                break
            PyErr_CheckSignals()
        check(isthmus_os_map(self.draft.fd, size, 0, &data))
        self.mapping = new_mapping(data, size, False, BY_MMAP)

    def __dealloc__(self):
        if self.draft.fd >= 0:
            isthmus_draft_abandon(&self.draft)

    def publish(self, const char *path):
        """Name it. FileExistsError leaves the draft as it was."""
        if self.draft.fd < 0:
            raise ValueError("this draft has been published")
        check(isthmus_draft_publish(&self.draft, path))
        cdef Descriptor descriptor = Descriptor.__new__(Descriptor, self.draft.fd)
        self.draft.fd = -1
        return descriptor


# ---- Opening and mapping ---------------------------------------------------------


def page_size():
    return isthmus_os_page_size()


def posix_path(const char *name):
    """The path of the POSIX shared memory object `name`; OSError(EINVAL, ENAMETOOLONG)."""
    cdef char path[ISTHMUS_SEGMENT_PATH_SIZE]
    check(isthmus_segment_path(name, path))
    return <bytes>path


def attach(const char *path, bint readonly, int64_t owner):
    """Open, check and map what `path` names: (Descriptor, Mapping)."""
    cdef isthmus_attach_options options
    cdef isthmus_os_status status
    cdef void *data = NULL
    options.readonly = readonly
    options.owner = owner
    cdef int fd = check(isthmus_segment_open(path, &options, &status))
    cdef Descriptor descriptor = Descriptor.__new__(Descriptor, fd)
    check(isthmus_os_map(fd, status.size, readonly, &data))
    return descriptor, new_mapping(data, status.size, readonly, BY_MMAP)


def open_file(const char *path, bint readonly):
    """Open a plain file that exists. OSError(EILSEQ) when it is anything else."""
    cdef isthmus_os_status status
    cdef int fd = isthmus_os_open(path, readonly)
    cdef Descriptor descriptor = Descriptor.__new__(Descriptor, check(fd))
    check(os_status(fd, &status))
    if not status.regular:
        fail(-EILSEQ)
    return descriptor


def memory(const char *label):
    """A new memory object without a name, of size 0."""
    return Descriptor.__new__(Descriptor, check(isthmus_os_memory(label)))


def reserve(int fd, uint64_t reserved, uint64_t size):
    """Make a file of `reserved` bytes one of `size`, all of them allocated."""
    cdef uint64_t step = 32 << 20
    cdef int error
    while True:
        with nogil:
            error = isthmus_draft_reserve_more(fd, &reserved, size, &step)
        if error != -EINTR:
            check(error)
            return
        PyErr_CheckSignals()


def reopen(int fd, bint readonly=False):
    """Another descriptor of what `fd` stands for, if possible with locks and access of its own."""
    return Descriptor.__new__(Descriptor, check(isthmus_os_reopen(fd, readonly)))


def lock_size(int fd, bint shared=False):
    """Wait until nobody else is changing the size, and keep it so; `shared`: others may, too."""
    cdef int error
    while True:
        with nogil:
            error = isthmus_os_lock_size(fd, shared)
        if error != -EINTR:
            check(error)
            return
        PyErr_CheckSignals()


def unlock_size(int fd):
    check(isthmus_os_unlock_size(fd))


def truncate(int fd, uint64_t size):
    check(isthmus_os_truncate(fd, size))


def map_shared(int fd, size_t size, bint readonly):
    cdef void *data = NULL
    check(isthmus_os_map(fd, size, readonly, &data))
    return new_mapping(data, size, readonly, BY_MMAP)


def map_exact(uintptr_t hint, size_t size, int protection, int flags, int fd, uint64_t offset):
    """mmap(2) as it is. PROT_READ is 1, PROT_WRITE is 2 on every system."""
    cdef void *data = NULL
    cdef int error
    # MAP_POPULATE and MAP_LOCKED fetch every page.
    with nogil:
        error = isthmus_os_map_exact(<void *>hint, size, protection, flags, fd, offset, &data)
    check(error)
    return new_mapping(data, size, not protection & 2, BY_MMAP, protection & 1)


def generation(int fd):
    """Tells a file from an earlier one with its inode number; 0 where that is not to be had."""
    cdef uint64_t found = 0
    check(isthmus_os_generation(fd, NULL, &found))
    return found


def remove(uint64_t device, uint64_t inode, uint64_t generation, const char *path):
    """Remove `path` if it is still the object with this identity, else OSError(ESTALE)."""
    cdef uint64_t found = 0
    if generation:
        check(isthmus_os_generation(-1, path, &found))
        if found != generation:
            fail(-ESTALE)
    check(isthmus_segment_remove(device, inode, path))


def status(int fd):
    """(device, inode, size, links, mode, uid, gid, regular)"""
    cdef isthmus_os_status found
    check(os_status(fd, &found))
    return (found.device, found.inode, found.size, found.links, found.mode, found.uid, found.gid,
            found.regular != 0)


def add_seals(int fd, int seals):
    check(isthmus_os_add_seals(fd, seals))


def get_seals(int fd):
    cdef int seals = 0
    check(isthmus_os_get_seals(fd, &seals))
    return seals


# ---- Looking, without leaving a trace ---------------------------------------------


def copy_out(Mapping mapping, size_t offset, size_t length):
    """Bytes of a mapping; OSError(EFAULT) when the file has been cut off meanwhile."""
    mapping.span(offset, length)
    cdef bytes copied = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>length)
    cdef char *target = copied
    cdef const char *source = <char *>mapping.data + offset
    cdef int error
    with nogil:
        error = isthmus_os_copy_out(source, length, target)
    check(error)
    return copied


def bytes_held(int fd, uint64_t first, uint64_t step, uint32_t count):
    """For each of `count` bytes of a file, `step` apart: does another description lock it?"""
    cdef uint32_t i
    held = []
    for i in range(count):
        held.append(check(isthmus_os_byte_held(fd, first + i * step)) != 0)
    return held


def try_byte(int fd, uint64_t byte):
    """Lock a byte of a file for this description alone, until it is closed. False: others have it.

    The descriptor must be open for writing.
    """
    cdef int error = isthmus_os_try_byte(fd, byte, 0)
    if error == -EAGAIN:
        return False
    check(error)
    return True


# ---- System V --------------------------------------------------------------------


def sysv_get(int32_t key, size_t size, int flags):
    cdef int id = -1
    check(isthmus_os_sysv_get(key, size, flags, &id))
    return id


def sysv_attach(int id, int flags, uintptr_t hint=0):
    """shmat(2): the Mapping of the whole segment. SHM_RDONLY is 0o10000."""
    cdef isthmus_os_sysv_status found
    cdef void *data = NULL
    check(isthmus_os_sysv_attach(id, <void *>hint, flags, &data))
    # Asked after attaching: from then on the segment cannot go away or change its size.
    cdef int error = os_sysv_status(id, &found)
    if error:
        isthmus_os_sysv_detach(data)
        fail(error)
    # Exactly 1 or 0: PyBuffer_FillInfo() takes any other number for "writable".
    return new_mapping(data, found.size, flags & 0o10000 != 0, BY_SHMAT)


def sysv_status(int id):
    """(key, size, mode, uid, gid, attached, removed)"""
    cdef isthmus_os_sysv_status found
    check(os_sysv_status(id, &found))
    return (found.key, found.size, found.mode, found.uid, found.gid, found.attached,
            found.removed != 0)


def sysv_set_owner(int id, int64_t owner, int64_t group):
    check(isthmus_os_sysv_set_owner(id, owner, group))


def sysv_remove(int id):
    check(isthmus_os_sysv_remove(id))


# ---- Typed objects ---------------------------------------------------------------


def escape(const char *name):
    """The POSIX name of the typed object `name`; OSError(EINVAL, ENAMETOOLONG)."""
    cdef char posix_name[256]
    check(isthmus_name_escape(name, posix_name))
    return <bytes>posix_name


def unescape(const char *posix_name):
    """The reverse of escape(); OSError(EINVAL) for what escape() never gives."""
    cdef char name[256]
    check(isthmus_name_unescape(posix_name, name))
    return <bytes>name


def read_header(Mapping mapping, uint32_t kind=0):
    """The checked header as a dict; OSError with an ISTHMUS_E_* code (0: any kind)."""
    cdef isthmus_shared_header header
    check(isthmus_header_read(mapping.data, mapping.size, kind, &header))
    return header


cdef class ArrayPlan:
    """What an array looks like: measured, to be written into a mapping of `size` bytes."""

    cdef isthmus_array_plan plan
    cdef isthmus_array_extent extent
    cdef uint64_t shape[64]
    cdef bytes dtype

    def __cinit__(self, bytes dtype, uint64_t itemsize, tuple shape, bint fortran):
        cdef uint32_t i
        if len(shape) > ISTHMUS_ARRAY_MAX_NDIM:
            raise ValueError(
                f"{len(shape)} dimensions; at most {ISTHMUS_ARRAY_MAX_NDIM} are possible"
            )
        for i in range(len(shape)):
            self.shape[i] = shape[i]
        self.dtype = dtype
        self.plan.dtype = dtype
        self.plan.itemsize = itemsize
        self.plan.shape = self.shape
        self.plan.ndim = len(shape)
        self.plan.fortran = fortran
        check(isthmus_array_measure(&self.plan, &self.extent))

    @property
    def size(self):
        return self.extent.total_size

    def write(self, Mapping mapping):
        if mapping.readonly or mapping.size < self.extent.total_size:
            raise ValueError("the mapping is too small or read-only")
        isthmus_array_init(mapping.data, &self.plan, &self.extent)


def read_array(Mapping mapping):
    """(shape, itemsize, fortran, dtype text, offset of the elements, of the lock), checked."""
    cdef isthmus_array found
    cdef uint32_t i
    check(isthmus_array_read(mapping.data, mapping.size, &found))
    shape = tuple([found.shape[i] for i in range(found.ndim)])
    return (shape, found.itemsize, found.fortran != 0,
            PyBytes_FromStringAndSize(found.dtype, found.dtype_size),
            <char *>found.data - <char *>mapping.data, found.lock_offset)


def layout():
    """Rows (struct, field or None, offset, size) of everything in shared memory."""
    cdef size_t count = 0
    cdef size_t i
    cdef const isthmus_layout_field *rows = isthmus_layout_fields(&count)
    return [
        ((<bytes>rows[i].type).decode(),
         None if rows[i].field is NULL else (<bytes>rows[i].field).decode(),
         rows[i].offset, rows[i].size)
        for i in range(count)
    ]


def fingerprint(uint32_t kind):
    return isthmus_layout_fingerprint(kind)
