"""Both ends of a channel of signals, for a process and its child.

A signal goes to a process, and pairs are made before there is a child. So a page that both ends
share says, for each end, which process receives on it: the first one that does (`recv`, or
`fileno`). What is sent before that waits in the page; it comes first. From then on, messages go by
signals. Another process cannot receive on that end until the first has closed it, or ended: it gets
an error. Any may send.

That an end is open anywhere is a lock on a byte of the page's file, which the system releases with
the last copy (see `_presence`). The other end looks when it sends, and every `_LOOK` seconds while
it waits; so much later it may notice a death. Of a close it is told, by BYE.

What a death leaves: nothing. Killed while it has the lock of the page: what was sent is in it or
not, since a message is there before the count of them says so, and the next one takes the lock.
Messages that were with a process that is killed are gone. When it lives on by another copy of the
end, in another process, that one may receive from then on.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading

from isthmus.channel import _presence, _signal_number
from isthmus.channel._errors import EndOfChannel, NotListeningError, PeerGoneError, TimedOut
from isthmus.channel._signal_channel import SignalChannel, nudge, say
from isthmus.channel._signal_value import BYE, Target, unpacked
from isthmus.errors import UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isthmus.channel._base import Channel
    from isthmus.lock import Lock

# Of each end: which process receives, how many messages wait here; then the messages.
_HEAD = struct.Struct("=II")
_VALUE = struct.Struct("=Q")
_ROOM = 500
_SIZE = 4096
# Seconds after which one who waits looks whether the other end is there.
_LOOK = 0.1
# To get the lock of the page: it is held for as long as it takes to send a signal.
_PATIENCE = 0.1


class _Page:
    """What both ends share."""

    def __init__(self, lock: Lock, file: int) -> None:
        self._inside: set[int] = set()
        self._memory = mmap.mmap(file, 2 * _SIZE)
        # From now on it is closed with this.
        self.lock, self.file = lock, file

    def enter(self) -> bool:
        """Take the lock; False: it cannot be had now. TimedOut: it never can."""
        thread = threading.get_ident()
        if thread in self._inside:
            raise TimedOut(
                "a signal handler has interrupted a call of the other end of a pair of signals at "
                "a moment at which that cannot be used; try it again later"
            )
        self._inside.add(thread)
        try:
            taken: bool = self.lock.acquire(timeout=_PATIENCE)
        except BaseException:
            self._inside.discard(thread)
            raise
        if not taken:
            self._inside.discard(thread)
        return taken

    def leave(self) -> None:
        self.lock.release()
        self._inside.discard(threading.get_ident())

    def receiver(self, end: int) -> int:
        """The process that receives on an end; 0: none yet."""
        pid: int = _HEAD.unpack_from(self._memory, end * _SIZE)[0]
        return pid

    def set_receiver(self, end: int, pid: int) -> None:
        _, count = _HEAD.unpack_from(self._memory, end * _SIZE)
        _HEAD.pack_into(self._memory, end * _SIZE, pid, count)

    def put(self, end: int, value: int) -> bool:
        pid, count = _HEAD.unpack_from(self._memory, end * _SIZE)
        if count >= _ROOM:
            return False
        _VALUE.pack_into(self._memory, end * _SIZE + _HEAD.size + count * _VALUE.size, value)
        _HEAD.pack_into(self._memory, end * _SIZE, pid, count + 1)
        return True

    def take(self, end: int) -> list[int]:
        """What waits here, which is nothing after that."""
        pid, count = _HEAD.unpack_from(self._memory, end * _SIZE)
        start = end * _SIZE + _HEAD.size
        found = [
            _VALUE.unpack_from(self._memory, start + i * _VALUE.size)[0]
            for i in range(min(count, _ROOM))
        ]
        _HEAD.pack_into(self._memory, end * _SIZE, pid, 0)
        return found

    def __del__(self) -> None:
        if hasattr(self, "file"):
            os.close(self.file)


class SignalEnd(SignalChannel):
    """One of both ends."""

    def __init__(self, page: _Page, here: int, end: int, number: int, other_number: int) -> None:
        """`here`: a description of the page's file, which holds the byte of this end."""
        self._page, self._end, self._other = page, end, 1 - end
        self._other_number = other_number
        self._target: Target | None = None
        # The process in which this one receives.
        self._claimed = 0
        self._here = here
        super().__init__("signal:", number)

    @property
    def peer(self) -> str | None:
        pid = self._page.receiver(self._other)
        return f"pid {pid}" if pid else None

    def _own(self) -> None:
        """Receive here, from now on."""
        pid = os.getpid()
        if self._claimed == pid:
            return
        if not self._page.enter():
            raise TimedOut(f"another process does not let go of {self!r}", name=self._url)
        try:
            before = self._page.receiver(self._end)
            if before not in (0, pid) and not _ended(before, self._number):
                raise UnsupportedError(
                    f"process {before} receives on this end of {self!r}; close it there first: "
                    "signals go to one process",
                    name=self._url,
                )
            self._page.set_receiver(self._end, pid)
            waiting = self._page.take(self._end)
        finally:
            self._page.leave()
        self._pid = self._claimed = pid
        self._before.extend(m for m in map(unpacked, waiting) if m is not None)

    def _watched(self) -> int:
        self._own()
        if self._before:
            nudge(self._number)
        return super()._watched()

    def _nap(self, side: tuple[int, int]) -> float | None:
        pause = super()._nap(side)
        return _LOOK if pause is None else pause

    def _gone(self) -> bool:
        return not _presence.held(self._here, self._other)

    def _try_recv(self) -> bytes | None:
        message = super()._try_recv()
        if message is not None or not self._gone():
            return message
        # What it sent just before it went.
        message = super()._try_recv()
        if message is None:
            nudge(self._number)
            raise EndOfChannel(f"the other end of {self!r} is closed", name=self._url)
        return message

    def _try_send(self, message: int) -> bool | None:
        if not self._page.enter():
            return None
        try:
            if self._gone():
                raise PeerGoneError(f"nobody receives on {self!r} any more", name=self._url)
            pid = self._page.receiver(self._other)
            if not pid:
                return self._page.put(self._other, message) or None
            try:
                return self._to(pid).send(message) or None
            except NotListeningError:
                # It has ended, or closed its copy; there is another one.
                self._forget()
                self._page.set_receiver(self._other, 0)
                return self._page.put(self._other, message) or None
        finally:
            self._page.leave()

    def _to(self, pid: int) -> Target:
        target = self._target
        if target is None or target.pid != pid:
            self._forget()
            try:
                target = self._target = Target(pid, self._other_number)
            except ProcessLookupError:
                raise NotListeningError(f"process {pid} has ended", name=self._url) from None
        return target

    def _forget(self) -> None:
        target, self._target = self._target, None
        if target is not None:
            target.close()

    def _release(self) -> None:
        super()._release()
        self._forget()
        # No lock: a signal handler may close this in the middle of anything.
        if self._page.receiver(self._end) == os.getpid():
            self._page.set_receiver(self._end, 0)
        _signal_number.leave(self._number)
        os.close(self._here)
        other = self._page.receiver(self._other)
        if other:
            say(other, self._other_number, BYE)

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing.reduction import DupFd

        self._check()
        if self._before or self._held is not None:
            raise TypeError(f"{self!r} has messages left; it cannot be passed on")
        page = self._page
        numbers = self._number, self._other_number
        return _passed, (page.lock, DupFd(page.file), DupFd(self._here), self._end, numbers)


def _passed(lock: Lock, file: Any, here: Any, end: int, numbers: tuple[int, int]) -> SignalEnd:
    """An end that came from another process; both have it until they close it."""
    memory = file.detach()
    try:
        page = _Page(lock, memory)
    except BaseException:
        os.close(memory)
        raise
    descriptor = here.detach()
    taken = 0
    try:
        taken = _signal_number.take(numbers[0])
        return SignalEnd(page, descriptor, end, *numbers)
    except BaseException:
        os.close(descriptor)
        if taken:
            _signal_number.leave(taken)
        raise


def _ended(pid: int, number: int) -> bool:
    try:
        target = Target(pid, number)
    except ProcessLookupError:
        return True
    try:
        return not target.listens()
    finally:
        target.close()


def pair() -> tuple[Channel, Channel]:
    from isthmus.lock import Lock

    lock = Lock(on_owner_death="ignore")
    file = os.memfd_create("isthmus-signal-pair", os.MFD_CLOEXEC)
    files: list[int] = []
    numbers: list[int] = []
    made: list[SignalEnd] = []
    try:
        os.ftruncate(file, 2 * _SIZE)
        page = _Page(lock, file)
        file = -1  # it goes with the page
        for i in (0, 1):
            files.append(_presence.again(page.file))
            _presence.hold(files[-1], i)
            numbers.append(_signal_number.take(None))
        for i in (0, 1):
            made.append(SignalEnd(page, files[i], i, numbers[i], numbers[1 - i]))
        return made[0], made[1]
    except BaseException:
        for end in made:
            end.close()
        for each in {file, *files[len(made) :]} - {-1}:
            os.close(each)
        for number in numbers[len(made) :]:
            _signal_number.leave(number)
        raise
