# cython: language_level=3, freethreading_compatible=True, auto_pickle=False, autotestdict=False
# cython: binding=False, always_allow_keywords=False
"""What C reaches with the means of the contenders of `isthmus bench`: the floor under them."""

from libc.stdint cimport int64_t, uint64_t, uintptr_t

import os as _os


cdef extern from "baseline.h" nogil:
    struct isthmus_baseline:
        pass
    struct isthmus_baseline_stream:
        uint64_t messages
        uint64_t measured
        uint64_t nanoseconds
    size_t isthmus_baseline_rounded(size_t size)
    int isthmus_baseline_die_with(int64_t parent)
    int64_t isthmus_baseline_ping(
        isthmus_baseline *area, size_t size, int asleep, uint64_t nanoseconds, int64_t *times,
        size_t room)
    int isthmus_baseline_pong(isthmus_baseline *area, size_t size, int asleep)
    int64_t isthmus_baseline_put(
        isthmus_baseline *area, size_t size, uint64_t slots, uint64_t nanoseconds)
    int isthmus_baseline_get(
        isthmus_baseline *area, size_t size, uint64_t slots, uint64_t warm_up,
        isthmus_baseline_stream *stream)
    int64_t isthmus_baseline_ping_fd(
        int out, int back, size_t size, uint64_t nanoseconds, int64_t *times, size_t room)
    int isthmus_baseline_pong_fd(int there, int out, size_t size)
    int64_t isthmus_baseline_put_fd(int fd, size_t size, uint64_t nanoseconds)
    int isthmus_baseline_get_fd(
        int fd, size_t size, uint64_t warm_up, isthmus_baseline_stream *stream)


def die_with(int64_t parent):
    """Have this process killed when `parent` dies; at once, if it is dead."""
    if checked(isthmus_baseline_die_with(parent)) < 0:
        _os._exit(1)


def room(size_t size, uint64_t slots):
    """Bytes that the shared area must have for `slots` messages of `size`; trips take two."""
    return sizeof(isthmus_baseline) + slots * isthmus_baseline_rounded(size)


def ping(unsigned char[::1] area not None, size_t size, bint asleep, double seconds,
         int64_t[::1] times not None):
    """Make round trips of `size` bytes for so long: how many, their nanoseconds in `times`.

    Spins for each answer, or sleeps on a futex. Raises TimeoutError when none comes for 5 s.
    """
    cdef isthmus_baseline *shared = area_of(area, size, 2)
    cdef uint64_t nanoseconds = <uint64_t>(seconds * 1e9)
    cdef size_t places = times.shape[0]
    cdef int64_t result
    with nogil:
        result = isthmus_baseline_ping(shared, size, asleep, nanoseconds, &times[0], places)
    return checked(result)


def pong(unsigned char[::1] area not None, size_t size, bint asleep):
    """Answer until the other one has made its last trip."""
    cdef isthmus_baseline *shared = area_of(area, size, 2)
    cdef int64_t result
    with nogil:
        result = isthmus_baseline_pong(shared, size, asleep)
    checked(result)


def put(unsigned char[::1] area not None, size_t size, uint64_t slots, double seconds):
    """Copy messages of `size` bytes into the area for so long: how many. Spins for room."""
    cdef isthmus_baseline *shared = area_of(area, size, slots)
    cdef uint64_t nanoseconds = <uint64_t>(seconds * 1e9)
    cdef int64_t result
    with nogil:
        result = isthmus_baseline_put(shared, size, slots, nanoseconds)
    return checked(result)


def get(unsigned char[::1] area not None, size_t size, uint64_t slots, double warm_up):
    """Copy them out until there are no more: (all, those after the warm-up, seconds for these)."""
    cdef isthmus_baseline *shared = area_of(area, size, slots)
    cdef uint64_t warm = <uint64_t>(warm_up * 1e9)
    cdef isthmus_baseline_stream stream
    cdef int64_t result
    with nogil:
        result = isthmus_baseline_get(shared, size, slots, warm, &stream)
    checked(result)
    return stream.messages, stream.measured, stream.nanoseconds * 1e-9


def ping_fd(int out, int back, size_t size, double seconds, int64_t[::1] times not None):
    """As `ping`, by write and read. BrokenPipeError when the other one ends."""
    cdef uint64_t nanoseconds = <uint64_t>(seconds * 1e9)
    cdef size_t places = times.shape[0]
    cdef int64_t result
    sized(size)
    with nogil:
        result = isthmus_baseline_ping_fd(out, back, size, nanoseconds, &times[0], places)
    return checked(result)


def pong_fd(int there, int out, size_t size):
    """Answer until `there` comes to its end."""
    cdef int64_t result
    sized(size)
    with nogil:
        result = isthmus_baseline_pong_fd(there, out, size)
    checked(result)


def put_fd(int fd, size_t size, double seconds):
    """Write messages of `size` bytes for so long: how many."""
    cdef uint64_t nanoseconds = <uint64_t>(seconds * 1e9)
    cdef int64_t result
    sized(size)
    with nogil:
        result = isthmus_baseline_put_fd(fd, size, nanoseconds)
    return checked(result)


def get_fd(int fd, size_t size, double warm_up):
    """Read them until the end, as `get`."""
    cdef uint64_t warm = <uint64_t>(warm_up * 1e9)
    cdef isthmus_baseline_stream stream
    cdef int64_t result
    sized(size)
    with nogil:
        result = isthmus_baseline_get_fd(fd, size, warm, &stream)
    checked(result)
    return stream.messages, stream.measured, stream.nanoseconds * 1e-9


cdef int sized(size_t size) except -1:
    if size == 0:
        raise ValueError("a message has at least one byte")
    return 0


cdef isthmus_baseline *area_of(
        unsigned char[::1] area, size_t size, uint64_t slots) except NULL:
    sized(size)
    if slots == 0 or <size_t>area.shape[0] < room(size, slots):
        raise ValueError(f"the area has no room for {slots} messages of {size} bytes")
    if <uintptr_t>&area[0] % 128:
        raise ValueError("the area does not begin at a multiple of 128 bytes")
    return <isthmus_baseline *>&area[0]


cdef int64_t checked(int64_t result) except? -1:
    if result < 0:
        raise OSError(-result, _os.strerror(-result))
    return result
