"""What all channels of signals have in common: reading the signals of this process, and pauses."""

from __future__ import annotations

import os
import select
import threading
from collections import deque

from isthmus._core import signals
from isthmus._ring_errors import MessageTooLargeError
from isthmus.channel._base import Channel
from isthmus.channel._errors import (
    ProtocolError,
)
from isthmus.channel._signal_value import (
    LARGEST,
    NOTES,
    NUDGE,
    SI_QUEUE,
    SI_TKILL,
    Target,
    packed,
    read,
    unpacked,
)
from isthmus.errors import UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Between two attempts to send into a full queue, or to reach one who does not listen yet.
FIRST_PAUSE, LAST_PAUSE = 0.0005, 0.01


class SignalChannel(Channel):
    """What both sides, and ends of pairs, have in common: a signal of this process."""

    form = "signal"

    def __init__(self, url: str, number: int) -> None:
        self._number = number
        self._signals = signals.open(number)
        try:
            # Never readable: to be waited for where nothing tells.
            self._quiet = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except BaseException:
            os.close(self._signals)
            raise
        self._pid = os.getpid()
        self._pause = FIRST_PAUSE
        # What was read by one who looked for something else, and comes first.
        self._before: deque[bytes] = deque()
        self._looking = threading.Lock()
        super().__init__(url)

    @property
    def largest(self) -> int:
        return LARGEST

    def _fresh_locks(self) -> None:
        super()._fresh_locks()
        self._looking = threading.Lock()

    def _in(self) -> tuple[int, int]:
        return self._signals, select.POLLIN

    def _out(self) -> tuple[int, int]:
        return self._quiet, select.POLLIN

    def _release(self) -> None:
        os.close(self._signals)
        os.close(self._quiet)
        self._signals = self._quiet = -1

    def _nap(self, side: tuple[int, int]) -> float | None:
        if side[0] != self._quiet:
            return None
        pause, self._pause = self._pause, min(2 * self._pause, LAST_PAUSE)
        return pause

    def _begin(self, data: memoryview | bytes) -> int:
        size = len(data)
        if size > LARGEST:
            raise MessageTooLargeError(
                f"signals carry {LARGEST} bytes; this message has {size}: send it by another form",
                name=self._url, size=size, capacity=LARGEST,
            )  # fmt: skip
        self._pause = FIRST_PAUSE
        return packed(data)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(f"{self!r} cannot be passed on: signals go to one process")

    def _own(self) -> None:
        """Nothing can be done here in another process than the one that gets the signals."""
        if self._pid != os.getpid():
            raise UnsupportedError(
                f"{self!r} belongs to process {self._pid}, which gets its signals; listen, or "
                "connect, anew in this one",
                name=self._url,
            )

    # ---- Receiving -----------------------------------------------------------------------

    def _heard(self, pid: int, uid: int, note: int | None, about: int) -> None:
        """Somebody has sent a message (note: None), or a note: what the form makes of it."""

    def _next(self) -> bytes | None:
        """The next message among the signals."""
        while (found := read(self._signals)) is not None:
            code, pid, uid, value = found
            if code == SI_TKILL and pid == self._pid:
                continue  # a probe that came when the signal was blocked already
            if code != SI_QUEUE:
                self._heard(pid, uid, None, 0)
                return b""
            note = value & 0xFF
            if note in NOTES:
                self._heard(pid, uid, note, value >> 8)
                continue
            message = unpacked(value)
            if message is None:
                raise self._garbage(pid, value)
            self._heard(pid, uid, None, 0)
            return message
        return None

    def _garbage(self, pid: int, value: int) -> ProtocolError:
        error = ProtocolError(
            f"{self!r} got the value {value:#x} from process {pid}, which is no message; closed",
            name=self._url,
        )
        self.close()
        return error

    def _try_recv(self) -> bytes | None:
        self._own()
        with self._looking:
            return self._before.popleft() if self._before else self._next()


def nudge(number: int) -> None:
    """Make the descriptor readable. If there is no room for it, there is something to read."""
    say(os.getpid(), number, NUDGE)


def say(pid: int, number: int, value: int) -> None:
    try:
        target = Target(pid, number)
    except OSError:
        return
    target.note(value)
    target.close()
