# cython: language_level=3, freethreading_compatible=True, auto_pickle=False, autotestdict=False
# cython: binding=False, always_allow_keywords=False
# cython: embedsignature=True, embedsignature.format=clinic
"""Queues and topics: what has to be fast, or has to wait, for the classes of `isthmus`.

Every operation first tries with the GIL held, which costs a call or three of the core. Only one
that has to wait, or to copy much, releases it.

While a thread is in a read or a write of the core (between `begin` and `commit` or `abort`), no
code of users may run in it, since that could use the same handle: what is to be written is
encoded before, and what was read is decoded after. This is also why nothing may be allocated
there that the garbage collector knows of.

Opening raises a bare `OSError` with the core's errno, which the Python layer explains; all
else raises what `isthmus._ring.failed` makes of the errno.
"""

cimport cython
from libc.errno cimport (
    EAGAIN, EBADF, EBADMSG, EBUSY, EINTR, EINVAL, ENOBUFS, ENOENT, ESHUTDOWN,
    ESTALE, ETIMEDOUT,
)
from libc.stdint cimport (
    int32_t, int64_t, uint32_t, uint64_t, uintptr_t, UINT64_MAX,
)
from libc.string cimport memcpy, memset
from cpython.buffer cimport (
    Py_buffer, PyBUF_FULL_RO, PyBUF_SIMPLE, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_IsContiguous,
    PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.bytearray cimport (
    PyByteArray_AS_STRING, PyByteArray_CheckExact, PyByteArray_FromStringAndSize,
)
from cpython.bytes cimport (
    PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE,
)
from cpython.bool cimport PyBool_Check
from cpython.dict cimport PyDict_CheckExact, PyDict_Next, PyDict_SetItem
from cpython.exc cimport PyErr_CheckSignals
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact, PyFloat_FromDouble
from cpython.list cimport PyList_CheckExact, PyList_GET_SIZE, PyList_New, PyList_SET_ITEM
from cpython.long cimport (
    PyLong_AsLongLongAndOverflow, PyLong_CheckExact, PyLong_FromLongLong,
)
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_CheckExact, PyUnicode_DecodeUTF8

from isthmus._core.primitives cimport (
    ISTHMUS_E_NOT_JOINED,
    ISTHMUS_FOREVER,
    isthmus_attach_options,
    isthmus_create_options,
    isthmus_deadline_after,
    isthmus_participant,
    isthmus_primitive,
    isthmus_primitive_participant,
)
from isthmus._core.rings cimport *

import os as _os
import sys as _sys

# From so many bytes on a copy releases the GIL.
cdef enum:
    MUCH = 1 << 18


include "handles.pxi"
include "ring_object.pxi"
include "ring_codec.pxi"
include "ring_value.pxi"
include "ring_write.pxi"
include "ring_queue.pxi"
include "ring_get.pxi"
include "ring_piece.pxi"
include "ring_lease.pxi"
include "ring_fifo.pxi"
include "ring_publisher.pxi"
include "ring_loan.pxi"
include "ring_subscriber.pxi"
include "ring_view.pxi"
include "ring_topic.pxi"


def own_methods(cls):
    """Give a class that inherits methods written here the same ones as its own."""
    own_methods_of(cls, Ring)


def before_fork():
    """In a process that is about to fork: keep what the child will inherit."""
    isthmus_handles_before_fork()


def after_fork(bint in_child):
    """In both processes; in the child, make every handle one of its own."""
    isthmus_handles_after_fork(in_child)


def close_all():
    """Close whatever is open: this process is about to end."""
    isthmus_handles_close_all()


# As for locks: else the last process would not remove what its daemon threads have open.
if isthmus_handles_close_at_exit() < 0:
    raise RuntimeError("too many functions are registered with Py_AtExit")
