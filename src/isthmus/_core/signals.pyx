# cython: language_level=3, freethreading_compatible=True, auto_pickle=False, autotestdict=False
# cython: binding=False
"""Real-time signals with a value. Conversion only: see src/core/os_signal.h."""

from libc.stdint cimport uint64_t

import os as _os


cdef extern from "os_signal.h" nogil:
    enum isthmus_disposition:
        ISTHMUS_SIGNAL_DEFAULT
        ISTHMUS_SIGNAL_IGNORED
        ISTHMUS_SIGNAL_TAKEN
        ISTHMUS_SIGNAL_HANDLED
    int isthmus_signal_first()
    int isthmus_signal_last()
    int isthmus_signal_disposition(int number)
    int isthmus_signal_blocked(int number)
    int isthmus_signal_take(int number)
    int isthmus_signal_leave(int number)
    int isthmus_signal_probe(int task, int number)
    int isthmus_signal_open(int number)
    int isthmus_signal_send(int pidfd, int number, uint64_t value)


FIRST = isthmus_signal_first()
LAST = isthmus_signal_last()
DEFAULT = ISTHMUS_SIGNAL_DEFAULT
IGNORED = ISTHMUS_SIGNAL_IGNORED
TAKEN = ISTHMUS_SIGNAL_TAKEN
HANDLED = ISTHMUS_SIGNAL_HANDLED
# Bytes of a value: those of a pointer.
VALUE_SIZE = sizeof(void *)


cdef int checked(int result) except -1:
    if result < 0:
        raise OSError(-result, _os.strerror(-result))
    return result


def disposition(int number, /):
    """DEFAULT, IGNORED, TAKEN (by `take`) or HANDLED (by somebody else)."""
    return checked(isthmus_signal_disposition(number))


def blocked(int number, /):
    """Whether the calling thread has it blocked."""
    return checked(isthmus_signal_blocked(number)) != 0


def take(int number, /):
    """Block it in the calling thread, and install the handler that does so in the others."""
    checked(isthmus_signal_take(number))


def leave(int number, /):
    """Throw away what is pending, and ignore it from now on."""
    checked(isthmus_signal_leave(number))


def probe(int task, int number, /):
    """Have a thread of this process run the handler. ProcessLookupError: there is none."""
    checked(isthmus_signal_probe(task, number))


def open(int number, /):
    """A new descriptor from which this signal is read."""
    return checked(isthmus_signal_open(number))


def send(int pidfd, int number, uint64_t value, /):
    """Send it. BlockingIOError: no room. ProcessLookupError. PermissionError."""
    checked(isthmus_signal_send(pidfd, number, value))
