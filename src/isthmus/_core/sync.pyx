# cython: language_level=3, freethreading_compatible=True, auto_pickle=False, autotestdict=False
# cython: binding=False, always_allow_keywords=False
# cython: embedsignature=True, embedsignature.format=clinic
"""Locks and friends: what has to be fast, or has to wait, for the classes of `isthmus`.

Every operation first tries with the GIL held, which costs one call of the core. Only one
that has to wait goes on to `Primitive.wait_by`, releases the GIL, and takes it back every now
and then to let signal handlers run.

Opening raises a bare `OSError` with the core's errno, which the Python layer explains; all
else raises what `isthmus._primitive.failed` makes of the errno.
"""

cimport cython
from libc.errno cimport EAGAIN, EBADF, EINTR, EOVERFLOW, EPERM, ETIMEDOUT
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t
from cpython.exc cimport PyErr_CheckSignals
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_CheckExact

from isthmus._core.primitives cimport *

import os as _os


cdef extern from *:
    """
    #ifndef EOWNERDEAD
    #error "this system has no EOWNERDEAD"
    #endif
    """
    int EOWNERDEAD


include "handles.pxi"
include "sync_primitive.pxi"
include "sync_lock.pxi"
include "sync_semaphore.pxi"
include "sync_event.pxi"
include "sync_condition.pxi"
include "sync_barrier.pxi"
include "sync_rwlock.pxi"
include "sync_atomic_int.pxi"
include "sync_standard.pxi"


def size(uint32_t kind, uint32_t participants):
    """Bytes that one takes in a segment; 0 for a kind or number that cannot be."""
    return isthmus_primitive_size(kind, participants)


def before_fork():
    """In a process that is about to fork: keep what the child will inherit."""
    isthmus_handles_before_fork()


def after_fork(bint in_child):
    """In both processes; in the child, make every handle one of its own."""
    isthmus_handles_after_fork(in_child)


def close_all():
    """Close whatever is open: this process is about to end."""
    isthmus_handles_close_all()


# The last thing of all that the interpreter does. Without it handles in daemon threads and the
# like would stay open until the kernel closes them, and the last one would not remove the object.
if isthmus_handles_close_at_exit() < 0:
    raise RuntimeError("too many functions are registered with Py_AtExit")
