"""`wait`: for the first of several things."""

from __future__ import annotations

import select
import sys
from time import monotonic

from isthmus import _arguments, _ending
from isthmus._core import sync
from isthmus._core.waiting import Wait
from isthmus.errors import ArgumentError, ClosedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, TypeVar

    T = TypeVar("T")

# What `select` calls readable: reading would not block.
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR
# poll() takes its timeout as an int of milliseconds.
_LONGEST = 86400.0


def wait(objects: Iterable[T], timeout: float | None = None) -> list[T]:
    """Wait until at least one of several things is ready; those that are, in their order.

    Ready means that what one does next with it does not wait: `Queue.get`, `Subscriber.recv`,
    `Lock.acquire`, `Semaphore.acquire`, `Event.wait`, reading from a file descriptor. It
    also means that a lock can be taken over from an owner that died, and that a queue has been shut
    down. Nothing is taken: of several processes that wait for one lock, or queue, all may be told,
    and one of them gets it, so use ``acquire(block=False)`` and the like. An event that was set
    and cleared again during the wait counts.

    Args:
        objects: any number of `Queue`, `Subscriber`, `Lock`, `RLock`, `Semaphore`,
            `BoundedSemaphore`, `Event`; file descriptors, as numbers or as objects with
            `fileno()`: sockets, pipes, files. One that is at its end, or broken, is ready,
            since reading tells.
        timeout: seconds; None: for ever; zero or less: look once. When it has passed, the list
            is empty.

    The wait spins for a moment, as its objects do, and then sleeps in the kernel on all of them
    at once, without the GIL; signal handlers run meanwhile, and may end it by raising. With more
    than 127 objects of this library, the others are looked at every 4 ms; before Linux 5.16,
    all are, every 2 ms at most. With descriptors in the list, too, it waits for all on
    descriptors, of which it then takes three more for as long as the call lasts.

    Raises:
        ArgumentError: nothing to wait for, for ever; NaN. TypeError: something else.
        ClosedError: one of them is closed. TooManyParticipantsError (first use in a forked child).

    >>> import isthmus, os
    >>> lock, ready, (end, other) = isthmus.Lock(), isthmus.Event(), os.pipe()
    >>> with lock:
    ...     isthmus.wait([lock, ready, end], timeout=0.01)
    []
    >>> ready.set()
    >>> isthmus.wait([lock, ready, end]) == [lock, ready]
    True
    >>> os.close(other)
    >>> isthmus.wait([end]) == [end]
    True
    >>> os.close(end)
    """
    things = list(objects)
    if timeout is not None:
        timeout = _arguments.timeout(timeout)
    elif not things:
        raise ArgumentError("nothing to wait for, and no timeout: that would be for ever")
    return _wait(things, timeout)


def _wait(things: list[T], timeout: float | None, poll: bool = False) -> list[T]:
    """`poll`: as on a system that cannot sleep on several words at once."""
    ours: list[Any] = []
    places: list[int] = []
    files: dict[int, list[int]] = {}  # descriptor -> where it is among the things
    for place, thing in enumerate(things):
        if _is_ours(thing):
            ours.append(thing)
            places.append(place)
        else:
            files.setdefault(_descriptor(thing), []).append(place)

    process = _Wait(ours, timeout, poll)
    try:
        ready = process.run(_Files(files))
    finally:
        process.close()
    found = [places[number] for number in ready[0]]
    for descriptor in ready[1]:
        found += files[descriptor]
    return [things[place] for place in sorted(found)]


def _is_ours(thing: object) -> bool:
    """Whether the core waits for it."""
    # Nobody has one of those who has not loaded their module.
    ring = sys.modules.get("isthmus._core.ring")
    return isinstance(thing, (sync.Mutex, sync.Semaphore, sync.Event)) or (
        ring is not None and isinstance(thing, (ring.Queue, ring.Subscriber))
    )


def _descriptor(thing: object) -> int:
    if type(thing).__module__.startswith("isthmus.") and hasattr(thing, "_borrow"):
        raise TypeError(f"cannot wait for a {type(thing).__name__} together with others")
    if isinstance(thing, int) and not isinstance(thing, bool):
        number = thing
    else:
        fileno = getattr(thing, "fileno", None)
        if fileno is None:
            kind = type(thing).__name__
            raise TypeError(f"cannot wait for a {kind}: it has no fileno(), nor is it of isthmus")
        number = fileno()
    if number < 0:
        raise ClosedError(f"{thing!r} has no open descriptor")
    return number


class _Files:
    """Plain descriptors, to be read from."""

    __slots__ = ("_poll", "descriptors")

    def __init__(self, descriptors: Iterable[int]) -> None:
        self.descriptors = list(descriptors)
        self._poll = select.poll()
        for descriptor in self.descriptors:
            self._poll.register(descriptor, _READABLE)

    def look(self, seconds: float | None = 0.0, bell: int | None = None) -> list[int]:
        """Those that are ready, within so many seconds; `bell`: or until this one is."""
        timeout = min(_LONGEST if seconds is None else seconds, _LONGEST)
        if bell is not None:
            self._poll.register(bell, select.POLLIN)
        found = []
        for descriptor, events in self._poll.poll(timeout * 1000):
            if events & select.POLLNVAL:
                raise ClosedError(f"descriptor {descriptor} is not open")
            found.append(descriptor)
        if bell is not None:
            self._poll.unregister(bell)
        return found


class _Wait(Wait):
    """One call of `wait`."""

    def run(self, files: _Files) -> tuple[Sequence[int], Sequence[int]]:
        """Which objects, by their numbers, and which descriptors are ready."""
        ready: list[int] = self.look()
        readable = files.look()
        while not ready and not readable and not self.over:
            if not files.descriptors and not self.empty:
                ready = self.sleep()
            elif self.empty:
                readable = files.look(self.left)
            else:
                with _Hearing(self) as hearing:
                    ready = hearing.wait(files)
                readable = files.look()
        if ready and not readable:
            readable = files.look()
        return ready, readable


class _Hearing:
    """A doorbell on the files of all objects, which is polled together with other descriptors."""

    def __init__(self, process: _Wait) -> None:
        from isthmus._core import doorbell

        _ending.arrange(doorbell)
        self._process = process
        self._core = doorbell
        self._bell = doorbell.Doorbell()

    def __enter__(self) -> _Hearing:
        return self

    def __exit__(self, *_: object) -> None:
        self._bell.close()

    def wait(self, files: _Files) -> list[int]:
        """Which objects are ready. None of them: descriptors are, or the time is up.

        sync: doorbell. Each poll comes after the bell was read empty, all objects have been armed,
        and none was found ready.
        """
        core, process = self._core, self._process
        blind = -1 in [self._bell.watch(file) for file in process.files()]
        # Seconds until the next look for one that has died, if it could have something.
        patience = core.SLICE if blind else core.LATE_LOOK
        # When that is to be. Others may ring all the time, and that must not put it off.
        due = 0.0
        while True:
            gone = any(what & core.GONE for _, what in self._bell.heard())
            if gone and not blind:
                patience = core.FIRST_LOOK
            over = process.over
            ask = gone or over or monotonic() >= due
            ready = process.arm(ask)
            if ready or over:
                return ready
            again = blind or process.held
            if ask:
                due = monotonic() + patience
                if again and not blind:
                    patience *= 2
            left = process.left
            sooner = max(0.0, due - monotonic())
            limit = sooner if again and (left is None or sooner < left) else left
            found = files.look(limit, self._bell.fileno())
            if any(each != self._bell.fileno() for each in found):
                return []
