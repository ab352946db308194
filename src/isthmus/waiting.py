"""`wait`: for the first of several things."""

from __future__ import annotations

import _thread
import os
import select
import sys
import threading

from isthmus import _arguments
from isthmus._core import sync
from isthmus._core.waiting import Bell, Wait
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
    all are, every 2 ms at most. Descriptors beside such objects take a thread, for as long as
    the call lasts.

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
        ready = process.run(_Files(files) if files else None)
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
        self._poll = _polled(self.descriptors)

    def look(self, seconds: float | None = 0.0) -> list[int]:
        """Those that are ready, within so many seconds."""
        timeout = min(_LONGEST if seconds is None else seconds, _LONGEST)
        found = []
        for descriptor, events in self._poll.poll(timeout * 1000):
            if events & select.POLLNVAL:
                raise ClosedError(f"descriptor {descriptor} is not open")
            found.append(descriptor)
        return found


def _polled(descriptors: Iterable[int]) -> Any:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, _READABLE)
    return poll


class _Wait(Wait):
    """One call of `wait`."""

    def run(self, files: _Files | None) -> tuple[Sequence[int], Sequence[int]]:
        """Which objects, by their numbers, and which descriptors are ready."""
        ready: list[int] = self.look()
        readable = files.look() if files else []
        while not ready and not readable and not self.over:
            if files is None:
                ready = self._sleep_without_files()
            elif self.empty:
                readable = files.look(self.left)
            else:
                with _Watch(files.descriptors) as watch:
                    self.hear(watch.bell)
                    ready = self.sleep()
                readable = files.look()
        if ready and files and not readable:
            readable = files.look()
        return ready, readable

    def _sleep_without_files(self) -> list[int]:
        if not self.empty:
            return self.sleep()
        nobody = Bell()
        self.hear(nobody)
        return self.sleep()


class _Watch:
    """A thread that waits for descriptors, and rings a bell when one is ready.

    A signal handler may raise at any moment, also when it is not known yet whether the thread has
    started. So the thread is told to end in any case, and what it uses goes with the last of us.
    """

    def __init__(self, descriptors: Iterable[int]) -> None:
        self.bell = Bell()
        self._stop = _Stop()
        self._poll = _polled([*descriptors, self._stop.descriptor])
        self._ended = False
        self._over = threading.Lock()
        self._over.acquire()

    def _run(self) -> None:
        try:
            self._poll.poll()
            self.bell.ring()
        finally:
            self._ended = True
            self._over.release()

    def __enter__(self) -> _Watch:
        try:
            _thread.start_new_thread(self._run, ())
        except BaseException:
            self._stop.set()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it, whatever comes in between: it must not outlive the call."""
        interruption: BaseException | None = None
        while not self._ended:
            try:
                self._stop.set()
                self._over.acquire()
            except BaseException as error:
                interruption = error
        if interruption is not None:
            raise interruption


class _Stop:
    """A descriptor that becomes readable, and is closed when nobody needs it."""

    descriptor = -1

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC)

    def set(self) -> None:
        os.eventfd_write(self.descriptor, 1)

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
