"""The floor: what C reaches with the same means, from `isthmus._core.baseline`."""

from __future__ import annotations

import mmap
import os
import socket
import time
from array import array
from contextlib import contextmanager, suppress

from isthmus._core import baseline
from isthmus.bench.errors import Refused
from isthmus.bench.measure.crew import Work
from isthmus.bench.measure.streams import WARM_UP
from isthmus.bench.measure.trips import MOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Bytes of messages that are between the two, but at least two messages.
ROOM = 1 << 20


def _area(size: int, slots: int) -> mmap.mmap:
    """With its pages, which would else be made while it is measured."""
    flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    return mmap.mmap(-1, baseline.room(size, slots), flags)


def _timed(ping: Callable[[array[int]], int]) -> bytes:
    times = array("q", bytes(8 * MOST))
    count = ping(times)
    skipped = count // 10 if count > 20 else 0
    return times[skipped:count].tobytes()


def _sending(put: Callable[[], int]) -> tuple[int, float]:
    used = time.process_time()
    return put(), time.process_time() - used


def _receiving(get: Callable[[], tuple[int, int, float]]) -> tuple[float, int, float]:
    used = time.process_time()
    messages, measured, seconds = get()
    return measured / seconds if seconds else 0.0, messages, time.process_time() - used


class Floor:
    """Its works, as `trips` and `streams` have them for a carrier."""

    #: In which modes there are trips and streams.
    trip_modes: tuple[str, ...] = ()
    stream_modes: tuple[str, ...] = ()

    @contextmanager
    def trips(self, size: int, seconds: float) -> Iterator[list[Work]]:
        raise Refused("it only streams")
        yield []

    @contextmanager
    def streams(self, size: int, peers: int, seconds: float) -> Iterator[list[Work]]:
        raise Refused("it only answers")
        yield []


class Words(Floor):
    """Two words in shared memory, and a copy of each message there and back."""

    def __init__(self, asleep: bool) -> None:
        self.asleep = asleep
        self.trip_modes = ("blocking",) if asleep else ("spinning",)

    @contextmanager
    def trips(self, size: int, seconds: float) -> Iterator[list[Work]]:
        area, asleep = _area(size, 2), self.asleep
        yield [
            Work(
                "first",
                lambda: _timed(lambda times: baseline.ping(area, size, asleep, seconds, times)),
            ),
            Work("second", lambda: baseline.pong(area, size, asleep)),
        ]
        area.close()


class Memcpy(Floor):
    """A copy into shared memory, and one out of it."""

    stream_modes = ("spinning",)

    @contextmanager
    def streams(self, size: int, peers: int, seconds: float) -> Iterator[list[Work]]:
        if peers > 1:
            raise Refused("the floor is for one sender")
        slots = max(2, min(1024, ROOM // size))
        area, warm = _area(size, slots), WARM_UP * seconds
        yield [
            Work("receiver", lambda: _receiving(lambda: baseline.get(area, size, slots, warm))),
            Work("sender", lambda: _sending(lambda: baseline.put(area, size, slots, seconds))),
        ]
        area.close()


class Descriptors(Floor):
    """Pipes, or pairs of sockets: written to and read from, a call for each message."""

    trip_modes = stream_modes = ("blocking",)

    def __init__(self, make: Callable[[], tuple[int, int]]) -> None:
        self.make = make

    @contextmanager
    def trips(self, size: int, seconds: float) -> Iterator[list[Work]]:
        (from_first, to_second), (from_second, to_first) = self.make(), self.make()
        all_four = (from_first, to_second, from_second, to_first)

        def first() -> bytes:
            _keep(all_four, to_second, from_second)
            times = _timed(
                lambda times: baseline.ping_fd(to_second, from_second, size, seconds, times)
            )
            os.close(to_second)
            return times

        def second() -> None:
            _keep(all_four, from_first, to_first)
            baseline.pong_fd(from_first, to_first, size)

        try:
            # Else the end of a pipe would not come as long as this process has it.
            yield [Work("first", first, lambda: _keep(all_four)), Work("second", second)]
        finally:
            _keep(all_four)

    @contextmanager
    def streams(self, size: int, peers: int, seconds: float) -> Iterator[list[Work]]:
        if peers > 1:
            raise Refused("the floor is for one sender")
        both = here, there = self.make()
        warm = WARM_UP * seconds

        def receiver() -> tuple[float, int, float]:
            _keep(both, here)
            return _receiving(lambda: baseline.get_fd(here, size, warm))

        def sender() -> tuple[int, float]:
            _keep(both, there)
            done = _sending(lambda: baseline.put_fd(there, size, seconds))
            os.close(there)
            return done

        try:
            yield [Work("receiver", receiver, lambda: _keep(both)), Work("sender", sender)]
        finally:
            _keep(both)


def _keep(descriptors: tuple[int, ...], *needed: int) -> None:
    """Close the others: so that the end of one is seen, and nothing is left."""
    for descriptor in descriptors:
        if descriptor not in needed:
            with suppress(OSError):
                os.close(descriptor)


def sockets() -> tuple[int, int]:
    """What the first one reads, and the other writes."""
    here, there = socket.socketpair()
    return here.detach(), there.detach()
