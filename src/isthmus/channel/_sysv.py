"""System V message queues: two, one for each direction.

The classic is one queue, whose messages have a type for each direction. But it has one limit: one
direction that is full stops the other, too, and two sides that both send before they
receive wait for each other for ever. So what goes towards the one who listens is in the queue of
the key, and what comes from it in that of the key with its highest bit the other way round (0x1234
and 0x80001234). Ours have type 1; of other programs, any type is received. The kernel
keeps the boundaries, and any bytes are a message.

Either side may come first: each makes what is not there. What a side has sent stays in the queue
until somebody receives it, whoever dies; what was left by a listener that was killed is taken over
by the next one, with the messages in it. Waiting, and why nobody sleeps for ever: see
`_sysv_queue`. A message by another program wakes nobody, and is noticed within 50 ms; by
`fileno`, it is not.

Who listens holds a lock of this library. When it and its channel are closed, it removes the queue
towards it: those who are connected get what it has sent, then EndOfChannel; and who sends,
PeerGoneError. Of a death, nobody is told: somebody may come. One end of a pair notices that the
other has gone, within `LOOK` seconds.

What a death leaves, step by step:

- opening: one queue, or both, empty. The next one makes what is missing.
- listening, or connected: both queues, with what is in them. The next one to listen has them; or
  ``ipcrm -Q KEY`` removes them. The events and locks beside them are cleared by the next one who
  opens them, or by ``isthmus gc``.
- removing: the second queue, which the last one who is connected removes, or the next to listen.
- a pair: both queues, if all who had it were killed, or ended without closing it, before one has
  received that the other end was closed. They have no key: see ``ipcs -q``, and ``ipcrm -q ID``.

Who connects removes nothing but what a listener has left to it: queues that it made wait for the
one who will listen.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress

from isthmus import sysv
from isthmus._ring_errors import MessageTooLargeError
from isthmus.channel import _presence, _sysv_queue
from isthmus.channel._base import Channel, Listener
from isthmus.channel._errors import EndOfChannel, PeerGoneError
from isthmus.channel._forms import Form
from isthmus.channel._sole import SoleListener, Turn
from isthmus.channel._sysv_queue import LOOK, REMOVED, Address, Place, Queue
from isthmus.event import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LISTEN = frozenset({"mode"})
CONNECT = frozenset({"mode"})
PAIR: frozenset[str] = frozenset()


class SysvChannel(Channel):
    """A queue to receive from, and one to send to."""

    form = "sysv"

    def __init__(self, url: str, source: Queue, sink: Queue) -> None:
        self._source, self._sink = source, sink
        self._largest = _largest(sink.id)
        super().__init__(url)

    @property
    def largest(self) -> int:
        return self._largest

    def _in(self) -> tuple[int, int]:
        return self._source.there.fileno(), select.POLLIN

    def _out(self) -> tuple[int, int]:
        # Readable, as descriptors of events are.
        return self._sink.room.fileno(), select.POLLIN

    def _nap(self, side: tuple[int, int]) -> float | None:
        return LOOK

    def _begin(self, data: memoryview | bytes) -> memoryview | bytes:
        if len(data) > self._largest:
            raise MessageTooLargeError(
                f"a message of {len(data)} bytes is more than this queue takes ({self._largest}): "
                f"see /proc/sys/kernel/msgmax ({_sysv_queue.limit('msgmax')}) and msgmnb "
                f"({_sysv_queue.limit('msgmnb')}), or send it in pieces",
                name=self._url, size=len(data), capacity=self._largest,
            )  # fmt: skip
        return data

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(f"{self!r} cannot be passed on; connect to {self._url} anew there")

    def _gone(self) -> bool:
        """Whether the other side is known to have gone; asked when there is nothing to do."""
        return False

    def _try_send(self, message: memoryview | bytes) -> bool | None:
        try:
            if not self._gone():
                return self._sink.put(message) or None
        except OSError as error:
            if error.errno not in REMOVED:
                raise
        raise PeerGoneError(f"nobody receives on {self!r} any more", name=self._url)

    def _try_recv(self) -> bytes | None:
        try:
            message = self._source.get()
            if message is not None or not self._gone():
                return message
            # What it sent just before it went.
            message = self._source.get()
        except OSError as error:
            if error.errno not in REMOVED:
                raise
            message = None
        if message is None:
            self._drained()
            raise EndOfChannel(f"the other end of {self!r} is closed", name=self._url)
        return message

    def _drained(self) -> None:
        """The other side has gone, and all that it has sent was received."""
        # Readable from now on.
        self._source.there.set()


class SoleSysvChannel(SysvChannel):
    """The one channel of the side that listens."""

    def __init__(self, url: str, place: Place, turn: Turn) -> None:
        source, sink = place.queues()
        self._place, self._turn = place, turn
        try:
            super().__init__(url, source, sink)
        except BaseException:
            source.close()
            sink.close()
            place.leave()
            raise

    def _release(self) -> None:
        self._source.close()
        self._sink.close()
        self._place.leave()
        self._turn.give_back()


class ConnectedSysvChannel(SysvChannel):
    """The side that has connected."""

    def __init__(self, address: Address, mode: int) -> None:
        self._address, self._mode, self._pid = address, mode, os.getpid()
        with address.opening(mode):
            self._presence = address.clients(mode)
            try:
                self._presence.read.acquire()
                to, back = address.id(False, 0o200), address.id(True, 0o400)
                to = address.made(False, mode) if to is None else to
                back = address.made(True, mode) if back is None else back
                source = address.queue(True, back, mode)
                try:
                    sink = address.queue(False, to, mode)
                except BaseException:
                    source.close()
                    raise
            except BaseException:
                self._presence.close()
                raise
        super().__init__(address.url, source, sink)

    def _gone(self) -> bool:
        return self._sink.removed

    def _drained(self) -> None:
        self._remove()
        super()._drained()

    def _remove(self) -> None:
        """Remove what the listener has left; not if there is another one by now."""
        with self._address.opening(self._mode):
            if self._address.id(False) is None:
                self._source.remove()

    def _release(self) -> None:
        if self._pid == os.getpid():
            self._presence.read.release()
        self._presence.close()
        try:
            if self._sink.removed and not self._address.has_clients(self._mode):
                self._remove()
        finally:
            self._source.close()
            self._sink.close()


class SysvEnd(SysvChannel):
    """One of both ends of a pair. That one is open is a lock on a byte of a file without a name."""

    def __init__(self, source: Queue, sink: Queue, file: int, here: int, end: int) -> None:
        """`file` to look at it, and `here`, another description of it, which holds the byte."""
        self._end, self._file, self._here = end, file, here
        super().__init__("sysv:", source, sink)

    def _gone(self) -> bool:
        return not _presence.held(self._here, 1 - self._end)

    def _drained(self) -> None:
        # Nobody will use them; so that this process may end without closing it.
        self._source.remove()
        self._sink.remove()
        super()._drained()

    def _release(self) -> None:
        os.close(self._here)
        if not _presence.held(self._file, self._end):
            # In no other process either. Whoever waits at the other end is told.
            self._source.wake()
            self._sink.wake()
            if not _presence.held(self._file, 1 - self._end):
                self._source.remove()
                self._sink.remove()
        os.close(self._file)

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing.reduction import DupFd

        self._check()
        if self._held is not None:
            raise TypeError(f"{self!r} has a message left; it cannot be passed on")
        queues = [(each.id, each.there, each.room) for each in (self._source, self._sink)]
        return _passed, (queues, DupFd(self._file), DupFd(self._here), self._end)


def _passed(queues: list[tuple[int, Event, Event]], file: Any, here: Any, end: int) -> SysvEnd:
    """An end that came from another process; both have it until they close it."""
    source, sink = (Queue(*each) for each in queues)
    return SysvEnd(source, sink, file.detach(), here.detach(), end)


def _largest(id: int) -> int:
    try:
        room = sysv.msgctl(id, sysv.IPC_STAT).qbytes
    except OSError:
        room = _sysv_queue.limit("msgmnb")  # it may be written to only
    return min(room, _sysv_queue.limit("msgmax"))


# ---- What the form offers --------------------------------------------------------------


def facts() -> Form:
    return Form(
        name="sysv",
        title="System V message queue",
        reach="host",
        joins="any process that may use both queues",
        connections=False,
        notices_death=False,
        random_access=False,
        keeps="until it is received, or the listener is closed; not over a restart of the system",
        largest=min(_sysv_queue.limit("msgmax"), _sysv_queue.limit("msgmnb")),
        order="as sent, in each direction",
        permissions="mode and owner of the queues",
        url="sysv:KEY",
    )


def listen(where: str, mode: int = 0o600) -> Listener:
    address = Address(where)
    place = Place(address, mode)
    return SoleListener(
        address.url, lambda turn: SoleSysvChannel(address.url, place, turn), place.leave
    )


def connect(where: str, timeout: float | None, mode: int = 0o600) -> Channel:
    return ConnectedSysvChannel(Address(where), mode)


def pair() -> tuple[Channel, Channel]:
    ids: list[int] = []
    files: list[int] = []
    queues: list[Queue] = []
    events: list[Event] = []
    try:
        files.append(os.memfd_create("isthmus-sysv-pair", os.MFD_CLOEXEC))
        for end in (0, 1):
            files.append(_presence.again(files[0]))
            _presence.hold(files[-1], end)
        files.append(os.dup(files[0]))
        for _ in (0, 1):
            ids.append(sysv.msgget(sysv.IPC_PRIVATE, sysv.IPC_CREAT | 0o600))
            events.append(Event())
            events.append(Event())
            queues.append(Queue(ids[-1], *events[-2:]))
        return (
            SysvEnd(queues[0], queues[1], files[0], files[1], 0),
            SysvEnd(queues[1], queues[0], files[3], files[2], 1),
        )
    except BaseException:
        for id in ids:
            with suppress(OSError):
                sysv.msgctl(id, sysv.IPC_RMID)
        for file in files:
            os.close(file)
        raise
