# Shared by posix.pyx and sysv.pyx: checking arguments, raising errno, reading clocks.

import os as _os

from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EINTR, errno
from libc.math cimport INFINITY, ceil, floor


cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1
    object PyNumber_Index(object number)


cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec *now)


cdef extern from *:
    """
    #include <limits.h>

    /* A row of a table of constants: only what the headers define gets into it. */
    struct constant {
        const char *name;
        long long value;
    };
    """
    struct constant:
        const char *name
        long long value
    int INT_MAX
    int INT_MIN
    long long LLONG_MAX
    long long UINT_MAX


# The words for each errno: to translate and decode them costs more than the rest of a failed call.
cdef dict words = {}


cdef int fail(int error, object name) except -1:
    """Raise the OSError of `error`, about the object `name` (text, path, key, id or None)."""
    text = words.get(error)
    if text is None:
        text = words[error] = _os.strerror(error)
    exception = OSError(error, text)
    # Not as the third argument: BlockingIOError would take a number for something else.
    if name is not None:
        exception.filename = name
    raise exception


cdef long long whole(object value, str what, long long low, long long high) except? -1:
    """`value` as a C integer from `low` to `high`; TypeError or ValueError names `what`."""
    cdef int overflow = 0
    cdef long long number
    try:
        index = PyNumber_Index(value)
    except TypeError:
        raise TypeError(f"{what} must be an integer, not {type(value).__name__}") from None
    number = PyLong_AsLongLongAndOverflow(index, &overflow)
    if overflow or number < low or number > high:
        raise ValueError(f"{what} must be from {low} to {high}, not {value}")
    return number


cdef int seconds(object value, str what, timespec *to) except -1:
    """A number of seconds, rounded up to nanoseconds; what is negative becomes 0."""
    cdef double number
    try:
        number = value
    except OverflowError:
        number = INFINITY
    if not number < 9e18:
        raise ValueError(f"{what} must be a number of seconds below 9e18, not {value}")
    if number < 0:
        number = 0
    cdef double below = floor(number)
    to.tv_sec = <long>below
    to.tv_nsec = <long>ceil((number - below) * 1e9)
    if to.tv_nsec >= 1000000000:
        to.tv_sec += 1
        to.tv_nsec -= 1000000000
    return 0


cdef bytes encoded(object name):
    """A name as the C library takes it. What else is wrong with it, the library says."""
    cdef bytes text = _os.fsencode(name)
    if b"\0" in text:
        raise ValueError(f"embedded NUL character in {name!r}")
    return text


cdef object needed(object argument, type kind, str what):
    """`argument`, which must be a `kind`; TypeError says what needs it."""
    if not isinstance(argument, kind):
        raise TypeError(f"{what} needs a {kind.__name__}, not {type(argument).__name__}")
    return argument
