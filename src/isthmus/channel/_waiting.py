"""How channels and listeners wait, and how they are closed, above attempts that do not wait.

A form says how to try: `_try_send`, `_try_recv`, `_try_accept` do what can be done at once, and
never wait. It also says which descriptors tell that it is worth trying again. Everything that
waits is here, and in `isthmus.aio.channel`.

No wake-up is lost: descriptors are level-triggered. Each wait begins after an attempt that found
nothing, and a descriptor that became ready in between is ready when the wait begins.

Closing. Who is in a call holds the lock of its direction. `close` marks the channel, wakes all
who wait, and then releases the descriptors if it gets both locks at once; if not, the last of
those who hold one does it on its way out. So no descriptor is closed under a call that is about
to use it, and `close` never waits: also a signal handler may call it in the middle of a `recv`.
"""

from __future__ import annotations

import atexit
import os
import select
import threading
import weakref
from time import monotonic

from isthmus import _arguments, _ending
from isthmus.channel._errors import TimedOut
from isthmus.errors import ClosedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import ClassVar, Self, TypeVar

    from typing_extensions import Buffer

    T = TypeVar("T")

# Longest single poll, seconds; poll takes milliseconds in a C int.
_LONGEST = 1_000_000.0


def deadline_of(timeout: float | None) -> float | None:
    """When it is over, by the monotonic clock; None: never."""
    return None if timeout is None else monotonic() + _arguments.timeout(timeout)


def octets(data: Buffer) -> memoryview | bytes:
    """The bytes of anything that has some."""
    if type(data) is bytes:
        return data
    view = memoryview(data)
    if view.ndim != 1 or view.itemsize != 1 or view.format != "B" or not view.c_contiguous:
        if not view.c_contiguous:
            raise BufferError("a message must be contiguous bytes; copy it with bytes() first")
        # One with no elements cannot be cast when it has several dimensions.
        view = view.cast("B") if view.nbytes else memoryview(b"")
    return view


class Waiting:
    """What channels and listeners share: closing, waiting, forking."""

    #: The name of the form: "unix", "shm", …
    form: ClassVar[str]
    #: Another process may have the same: it was forked since, or this was passed on.
    _shared = False

    def __init__(self, url: str) -> None:
        self._url = url
        self._closed = False
        self._released = False
        self._waker = -1
        # Called when it is closed, from any thread: for tasks that wait.
        self._wakes: set[Callable[[], object]] = set()
        self._fresh_locks()
        _alive.add(self)

    def _fresh_locks(self) -> None:
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        # Around the use of the waker. Taken again by a signal handler that closes in there.
        self._releasing = threading.RLock()
        self._waking = 0

    @property
    def url(self) -> str:
        """Where it is, as `connect` takes it."""
        return self._url

    @property
    def closed(self) -> bool:
        """Whether it has been closed, in this process."""
        return self._closed

    # ---- To be said by a form ------------------------------------------------------------

    def _in(self) -> tuple[int, int]:
        """A descriptor, and the event on it after which to try again to receive."""
        raise NotImplementedError

    def _out(self) -> tuple[int, int]:
        """The same for sending."""
        raise NotImplementedError

    def _nap(self, side: tuple[int, int]) -> float | None:
        """Seconds after which one who waits is to try again, though no descriptor says so.

        Asked before each wait. None: descriptors tell of everything.
        """
        return None

    def _release(self) -> None:
        """Give everything back to the system. Called once."""
        raise NotImplementedError

    # ---- Closing -------------------------------------------------------------------------

    def close(self) -> None:
        """End the use of it. Calls that wait in other threads raise ClosedError. Does not block.

        May be called again, and from a signal handler.
        """
        self._closed = True
        with self._releasing:
            self._waking += 1
            try:
                if self._waker >= 0:
                    os.eventfd_write(self._waker, 1)
            finally:
                self._waking -= 1
        for wake in list(self._wakes):
            wake()
        self._settle()

    def _settle(self) -> None:
        """Release what there is, unless somebody is in a call; then that one will get here."""
        while self._reading.acquire(blocking=False):
            if self._writing.acquire(blocking=False):
                try:
                    if not self._released:
                        self._released = True
                        self._release()
                    self._drop_waker()
                finally:
                    self._writing.release()
                    self._reading.release()
                return
            self._reading.release()
            # Its holder comes here when it lets go of it. It may have done so just now, and found
            # the other lock taken. `locked` does not tell: it says no of one that was given to a
            # thread which has yet to run.
            if not self._writing.acquire(blocking=False):
                return
            self._writing.release()

    def _drop_waker(self) -> None:
        """Close it; not in a handler amid a `close` that writes to it, and does this afterwards."""
        with self._releasing:
            if not self._waking:
                waker, self._waker = self._waker, -1
                if waker >= 0:
                    os.close(waker)

    def _check(self) -> None:
        if self._closed:
            raise ClosedError(f"{self!r} is closed", name=self._url)

    def __del__(self) -> None:
        if not getattr(self, "_released", True):
            self.close()

    def __enter__(self) -> Self:
        self._check()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = " closed" if self._closed else ""
        return f"<isthmus.channel.{type(self).__name__} {self._url}{state}>"

    # ---- Waiting -------------------------------------------------------------------------

    def _locked(
        self, lock: threading.Lock, attempt: Callable[[], T | None], deadline: float | None,
        side: Callable[[], tuple[int, int]], what: str, dropped: Callable[[], bool] | None = None,
    ) -> T:  # fmt: skip
        """What `attempt` gives when it gives something, tried until then under `lock`.

        `dropped` is called, still under the lock, if something else ends it: what has been begun
        is to be kept, before anybody else begins something. It gives whether that was so.
        """
        self._acquire(lock, deadline)
        try:
            self._check()
            while (found := attempt()) is None:
                if not self._await(side, deadline):
                    raise TimedOut(f"{what} in time: {self!r}", name=self._url)
                self._check()
            return found
        except BaseException as error:
            begun = dropped is not None and dropped()
            if isinstance(error, TimedOut):
                error.begun = begun
            raise
        finally:
            lock.release()
            if self._closed:
                self._settle()

    def _acquire(self, lock: threading.Lock, deadline: float | None) -> None:
        if lock.acquire(False):
            return
        left = -1.0 if deadline is None else min(deadline - monotonic(), _LONGEST)
        if (deadline is not None and left <= 0) or not lock.acquire(timeout=left):
            self._check()
            raise TimedOut(f"another thread is in a call of {self!r}", name=self._url)

    def _await(self, side: Callable[[], tuple[int, int]], deadline: float | None) -> bool:
        """Wait as `_poll` does, on what `side` gives, or on something better if there is."""
        return self._poll(side(), deadline)

    def _poll(self, side: tuple[int, int], deadline: float | None) -> bool:
        """Wait until it is worth trying again, or `close` was called; False: it is too late."""
        if deadline is not None and deadline <= monotonic():
            return False
        look = self._nap(side)
        if look is not None and (deadline is None or monotonic() + look < deadline):
            self._until(side, monotonic() + look)
            return True
        return self._until(side, deadline)

    def _until(self, side: tuple[int, int], deadline: float | None) -> bool:
        if self._waker < 0:
            self._make_waker()
        poll = select.poll()
        poll.register(*side)
        poll.register(self._waker, select.POLLIN)
        # sync: closed. The mark is set before the waker is written to, and looked at here after
        # the waker is there: one of the two sees the other.
        if self._closed:
            return True
        while True:
            left = _LONGEST if deadline is None else min(deadline - monotonic(), _LONGEST)
            if left <= 0:
                return False
            # Rounded up: not to come back, again and again, just before the time.
            if poll.poll(int(left * 1000) + 1):
                return True

    def _make_waker(self) -> None:
        with self._releasing:
            if self._waker < 0:
                self._waker = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)


# ---- Forks, and the end ----------------------------------------------------------------

_alive: weakref.WeakSet[Waiting] = weakref.WeakSet()


class _Channels:
    """All channels and listeners of this process: see `isthmus._ending`."""

    def before_fork(self) -> None:
        for each in list(_alive):
            each._shared = True

    def after_fork(self, in_child: bool, /) -> None:
        """Locks that other threads of the parent held are free; its waker is not the child's."""
        if in_child:
            for each in list(_alive):
                each._fresh_locks()
                waker, each._waker = each._waker, -1
                if waker >= 0 and not each._released:
                    os.close(waker)

    def close_all(self) -> None:
        for each in list(_alive):
            each.close()


_channels = _Channels()
_ending.arrange(_channels, first=True)
# Before what they are made of is closed by the binding.
atexit.register(_channels.close_all)
