# cython: language_level=3, freethreading_compatible=True, auto_pickle=False, autotestdict=False
"""The classes and functions of sysv_ipc, for `isthmus.compat.sysv_ipc`.

They call the C library directly, as `isthmus.sysv` does, and turn errno into the exceptions
and the words that sysv_ipc has for it.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_ANY_CONTIGUOUS, PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport (
    EACCES, EAGAIN, EEXIST, EIDRM, EINVAL, ENOENT, ENOMEM, ENOMSG, ENOSPC, EPERM, ERANGE,
)
from libc.limits cimport LONG_MAX, ULONG_MAX
from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove, memset

include "bare.pxi"
include "sysv_calls.pxi"

cdef extern from "<unistd.h>":
    enum:
        SC_PAGESIZE "_SC_PAGESIZE"
    long sysconf(int name)


cdef extern from *:
    enum:
        C_IPC_CREAT "IPC_CREAT"
        C_IPC_EXCL "IPC_EXCL"
        C_IPC_NOWAIT "IPC_NOWAIT"
        C_IPC_PRIVATE "IPC_PRIVATE"
        C_SEM_UNDO "SEM_UNDO"
        C_SHM_RDONLY "SHM_RDONLY"
        C_SHM_RND "SHM_RND"
        C_SHM_REMAP "SHM_REMAP"
        C_SHM_HUGETLB "SHM_HUGETLB"
        C_SHM_NORESERVE "SHM_NORESERVE"


cdef enum:
    CREX = C_IPC_CREAT | C_IPC_EXCL
    # SEMVMX, which no header has.
    LARGEST_VALUE = 32767
    # SHRT_MAX: keys made up for a caller are from 1 to this.
    LARGEST_RANDOM_KEY = 32767

IPC_CREAT = C_IPC_CREAT
IPC_EXCL = C_IPC_EXCL
IPC_CREX = CREX
IPC_PRIVATE = C_IPC_PRIVATE
SHM_RDONLY = C_SHM_RDONLY
SHM_RND = C_SHM_RND
SHM_REMAP = C_SHM_REMAP
SHM_HUGETLB = C_SHM_HUGETLB
SHM_NORESERVE = C_SHM_NORESERVE
KEY_MIN = -LONG_MAX - 1
KEY_MAX = LONG_MAX
SEMAPHORE_VALUE_MAX = LARGEST_VALUE
PAGE_SIZE = sysconf(SC_PAGESIZE)


class Error(Exception):
    """What all exceptions of this module derive from. Raised itself when a signal ends a wait."""


class InternalError(Error):
    """Something is wrong in the module. Nothing raises it here."""


class PermissionsError(Error):
    """The permissions of the object do not allow it."""


class ExistentialError(Error):
    """There is no such object, or there already is one."""


class BusyError(Error):
    """It would have to wait: a timeout has passed, or waiting is not wanted."""


class NotAttachedError(Error):
    """The memory is not attached."""


for _type in (Error, InternalError, PermissionsError, ExistentialError, BusyError,
              NotAttachedError):
    _type.__module__ = "isthmus.compat.sysv_ipc"
del _type

include "sysv_ipc_arguments.pxi"
include "sysv_ipc_semaphore.pxi"
include "sysv_ipc_attachment.pxi"
include "sysv_ipc_memory.pxi"
include "sysv_ipc_queue.pxi"


def ftok(path, id, silence_warning=False):
    """The key that the C library makes from a file that exists and the low 8 bits of `id`.

    Two files may have the same key, of which a Warning tells, unless `silence_warning`.
    Does not block. Raises OSError (FileNotFoundError …) about the file.
    """
    cdef bytes text = encoded(path)
    cdef const char *c_path = text
    cdef int project = c_int(id)
    cdef int32_t key
    cdef int error
    if not silence_warning:
        import warnings
        # A compiled function has no frame: the first one is the caller's.
        warnings.warn("Use of ftok() is not recommended; see sysv_ipc documentation", Warning,
                      stacklevel=1)
    with nogil:
        key = c_ftok(c_path, project)
        error = errno
    if key == -1:
        fail(error, None)
    return key
