"""Shared memory: a ring of this library for each direction, and a Unix socket beside them.

Messages go through the rings. Nothing goes through the socket but, at the beginning, the rings
themselves, which have no name: so nothing can be left behind. The socket says who is there: the
kernel closes it when the last process that has it ends, however that happens, and shows that
to the other side.

Who connects makes the rings, and sends them with a single call. Killed before: the listener gets
a connection that ends at once. Killed after: what was sent is in the rings, which live as long as
one process has them.

Receiving. What the other side has sent was in the ring before its socket was closed. So the socket
is looked at first, and then the ring once more: the end comes after the last message, and comes.

Sending. Whoever sends looks at the socket once a millisecond at most, and whenever there is no
room: so it is told that nobody receives, if not at once.

A message that is larger than an eighth of the ring goes in pieces, behind its size. Killed between
two of them: the other side sees the end before the last one, and drops it.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from time import monotonic

from isthmus import _reopen
from isthmus._ring_errors import Empty, Full, MessageTooLargeError, RecordError, ShutDown
from isthmus.channel._base import Channel
from isthmus.channel._errors import EndOfChannel, PeerGoneError, ProtocolError, TimedOut
from isthmus.channel._pieces import Incoming, Outgoing, small_of
from isthmus.channel._sockets import peer_of
from isthmus.channel._waiting import deadline_of, octets
from isthmus.errors import FormatError, IsthmusError, SystemCallError
from isthmus.queue import Queue
from isthmus.waiting import wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from typing_extensions import Buffer

# How long a wait sleeps on the ring alone, before it sleeps on descriptors as well: seconds.
_FIRST = 0.02
# How often a sender looks whether somebody receives: seconds.
_LOOK = 0.001
# For lack of which nothing is known about what has come.
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_FILES = "this process has too many files open (ulimit -n)"
# For the rings of one who has connected, where there is no timeout to keep: seconds.
_PATIENCE = 1.0
# Messages that go into the ring at once.
_BATCH = 256
_NOTHING = object()
# For what was left by another message to go.
_NONE = Outgoing(b"")
_NONE.done = True


class ShmChannel(Channel):
    """A connection through shared memory."""

    form = "shm"

    def __init__(
        self, url: str, sock: socket.socket, limit: int, spin: float | None,
        rings: tuple[Queue, Queue] | None,
    ) -> None:  # fmt: skip
        self._socket, self._limit, self._spin = sock, limit, spin
        self._peer = peer_of(sock)
        # None: the other side has not sent them yet.
        self._rings: tuple[Queue, Queue] | None = None
        self._looked = 0.0
        self._watching: dict[bool, select.epoll] = {}
        # What a message that timed out has left; it goes before anything else.
        self._rest: Outgoing | None = None
        # Bytes of the largest message that `send` and `recv` pass in a few steps; -1: none.
        self._quick = -1
        if rings is not None:
            self._use(*rings)
        super().__init__(url)

    def _use(self, inlet: Queue, outlet: Queue) -> None:
        self._small = small_of(min(inlet.capacity, outlet.capacity))
        self._incoming = Incoming(self._small, self._limit)
        self._fetch, self._offer = inlet.get, outlet._put_now
        self._rings = inlet, outlet
        self._quick = min(self._small, self._limit)

    @property
    def peer(self) -> str | None:
        return self._peer

    @property
    def largest(self) -> int:
        return self._limit

    @property
    def capacity(self) -> int:
        """Bytes that may be on their way in each direction."""
        return self._found(deadline_of(_PATIENCE))[0].capacity

    @property
    def spin(self) -> float:
        """Microseconds that a wait spins before it sleeps."""
        rings = self._rings
        return 0.0 if rings is None else rings[0].spin

    def close(self) -> None:
        self._quick = -1
        super().close()

    def _release(self) -> None:
        for epoll in self._watching.values():
            epoll.close()
        self._watching.clear()
        rings, self._rings = self._rings, None
        for each in rings or ():
            each.close()
        self._socket.close()

    def _fresh_locks(self) -> None:
        super()._fresh_locks()
        # In a forked child: descriptors of the rings are the parent's.
        for epoll in self._watching.values():
            epoll.close()
        self._watching.clear()

    # ---- The rings, and the other side ---------------------------------------------------

    def _found(self, deadline: float | None) -> tuple[Queue, Queue]:
        """The rings to receive from, and to send into; waits for them, if it must."""
        return self._rings or self._locked(
            self._writing, self._arrived, deadline, self._socket_in, "no ring has come"
        )

    def _arrived(self) -> tuple[Queue, Queue] | None:
        """The rings; None: the side that has connected has not sent them yet."""
        with self._releasing:  # else two threads would share them between them
            if self._rings is None:
                self._try_rings()
            return self._rings

    def _socket_in(self) -> tuple[int, int]:
        return self._socket.fileno(), select.POLLIN

    def _try_rings(self) -> None:
        try:
            # One more than it needs: the kernel would drop a third without a word.
            said, descriptors, flags, _ = socket.recv_fds(self._socket, 1, 3)
        except BlockingIOError:
            return
        except OSError:
            said, descriptors, flags = b"", [], 0
        if not said:
            raise EndOfChannel(f"the other end of {self!r} is closed", name=self._url)
        try:
            if len(descriptors) < 2 and flags & socket.MSG_CTRUNC:
                raise OSError(errno.EMFILE, "no room for what it has sent; " + _FILES)
            if len(descriptors) != 2:
                raise FormatError("it has not sent two rings")
            # Its way there is our way back.
            there, back = (reopened(each, self._spin) for each in descriptors)
        except (IsthmusError, OSError) as error:
            # Gone, whatever it is: they have been received.
            self.close()
            if error.errno in _SHORT:
                raise SystemCallError(
                    f"{self!r} cannot open its rings: {error}; closed",
                    name=self._url, errno=error.errno,
                ) from None  # fmt: skip
            raise ProtocolError(
                f"what has connected to {self!r} is no channel: {error}; closed", name=self._url
            ) from None
        finally:
            for each in descriptors:
                os.close(each)
        self._use(there, back)
        watching = self._watching.get(False)
        if watching is not None:
            watching.modify(self._socket.fileno(), select.EPOLLRDHUP)
            watching.register(there.fileno(), select.EPOLLIN)

    def _hung_up(self) -> bool:
        poll = select.poll()
        poll.register(self._socket, select.POLLRDHUP)
        return bool(poll.poll(0))

    def _is_there(self) -> None:
        """PeerGoneError: nobody receives."""
        self._looked = monotonic()
        try:
            gone = self._hung_up()
        except ValueError:
            gone = True  # closed, by another thread
        if gone:
            # Else it may have been another file, of the same number.
            self._check()
            raise PeerGoneError(f"nobody receives on {self!r} any more", name=self._url)

    # ---- Sending -------------------------------------------------------------------------

    def send(self, data: Buffer, timeout: float | None = None) -> None:
        # What is usual, in a few steps: a small one, for which there is room.
        if type(data) is bytes and len(data) <= self._quick and self._rest is None:
            if monotonic() - self._looked > _LOOK:
                self._is_there()
            if self._offer(data) is None:
                return
        super().send(data, timeout)

    def _begin(self, data: memoryview | bytes) -> Outgoing:
        if len(data) > self._limit:
            raise MessageTooLargeError(
                f"a message of {len(data)} bytes is more than the limit of {self._limit}; raise "
                "limit= on both sides, or send it in pieces",
                name=self._url, size=len(data), capacity=self._limit,
            )  # fmt: skip
        return Outgoing(data)

    def _try_send(self, message: Outgoing) -> bool | None:
        rings = self._rings or self._arrived()
        return True if rings is not None and self._put(message, rings[1], 0.0) else None

    def _send(self, message: Any, deadline: float | None) -> None:
        self._sending(
            lambda outlet, until: self._put(message, outlet, until),
            deadline,
            lambda: self._give_up(message),
        )

    def _sending(
        self, put: Callable[[Queue, float], bool], deadline: float | None,
        dropped: Callable[[], bool],
    ) -> None:  # fmt: skip
        """Until `put` has done it, which sleeps on the ring for a moment: it is woken by no other
        way sooner. In between, it is looked whether somebody receives.
        """
        self._acquire(self._writing, deadline)
        try:
            while True:
                self._check()
                now = monotonic()
                rings = self._rings or self._arrived()
                if rings is None:
                    in_time = self._poll(self._socket_in(), deadline)
                else:
                    until = now + _FIRST if deadline is None else min(now + _FIRST, deadline)
                    if put(rings[1], until):
                        return
                    in_time = deadline is None or monotonic() < deadline
                if not in_time:
                    raise TimedOut(f"no room in time: {self!r}", name=self._url)
        except BaseException as error:
            begun = dropped()
            if isinstance(error, TimedOut):
                error.begun = begun
            raise
        finally:
            self._writing.release()
            if self._closed:
                self._settle()

    def _put(self, message: Outgoing, outlet: Queue, until: float) -> bool:
        """What was left before, and all of it; False: there was no room for the next piece."""
        rest = self._rest
        if rest is not None and rest is not message:
            if not self._put(rest, outlet, until):
                return False
            self._rest = None
        while (record := message.next(self._small)) is not None:
            if self._offer(record) is not None:
                self._is_there()
                try:
                    outlet.put(record, True, until - monotonic())
                except Full:
                    return False
            message.sent(self._small)
        return True

    def _give_up(self, message: Outgoing) -> bool:
        if message.begun and not message.done:
            message.keep()
            self._rest = message
            return True
        return False

    def send_many(self, messages: Iterable[Buffer], timeout: float | None = None) -> None:
        deadline = deadline_of(timeout)
        self._found(deadline)
        done = 0
        small: list[bytes | memoryview] = []
        try:
            for data in messages:
                raw = octets(data)
                if len(raw) > min(self._limit, self._small >> 1):
                    self._put_all(small, deadline)
                    done, small = done + len(small), []
                    self._send(self._begin(raw), deadline)
                    done += 1
                    continue
                small.append(raw)
                if len(small) == _BATCH:
                    self._put_all(small, deadline)
                    done, small = done + len(small), []
            self._put_all(small, deadline)
        except TimedOut as error:
            error.done += done
            raise

    def _put_all(self, messages: list[bytes | memoryview], deadline: float | None) -> None:
        """Several small ones; if time is up, those that have gone are counted."""
        gone = 0

        def put(outlet: Queue, until: float) -> bool:
            nonlocal gone
            if not self._put(_NONE, outlet, until):
                return False
            self._is_there()
            try:
                outlet.put_many(messages[gone:], True, until - monotonic())
            except Full as error:
                gone += error.done
                return False
            return True

        if not messages:
            return
        try:
            self._sending(put, deadline, bool)
        except TimedOut as error:
            error.done = gone
            raise

    # ---- Receiving -----------------------------------------------------------------------

    def recv(self, timeout: float | None = None) -> bytes:
        # What is usual, in a few steps: a small one, which is there or comes soon.
        deadline, first = None, _FIRST
        if timeout is not None:
            deadline, first = deadline_of(timeout), min(_FIRST, max(0.0, timeout))
        rings = self._rings
        if rings is None or self._held is not None or not self._reading.acquire(False):
            return super().recv(timeout)
        try:
            while True:
                whole: bytes | None = self._taken(rings[0])
                if whole is None:
                    record = self._fetch(True, first)
                    if type(record) is bytes and len(record) <= self._quick:
                        return record
                    whole = self._added(record)
                if whole is not None:
                    return whole
                if deadline is not None:
                    first = min(_FIRST, max(0.0, deadline - monotonic()))
        except Empty:
            pass
        except (RecordError, ShutDown):
            raise self._damaged("a damaged ring") from None
        finally:
            self._reading.release()
            if self._closed:
                self._settle()
        return self._locked(self._reading, self._take, deadline, self._in, "no message")

    def _try_recv(self) -> bytes | None:
        message: bytes | None = self._next()
        return message

    def _next(self) -> Any:
        """The next message: bytes, or, if it has gone into the target, a view of that."""
        rings = self._rings or self._arrived()
        if rings is None:
            return None
        gone = False
        while True:
            whole = self._taken(rings[0])
            if whole is not None:
                return whole
            try:
                record = rings[0]._get_or(_NOTHING)
            except (RecordError, ShutDown):
                raise self._damaged("a damaged ring") from None
            if record is _NOTHING:
                if gone:
                    raise EndOfChannel(f"the other end of {self!r} is closed", name=self._url)
                if not self._hung_up():
                    return None
                # In this order: after its end, nothing is put any more.
                gone = True
                continue
            whole = self._added(record)
            if whole is not None:
                return whole

    def _try_recv_into(self, view: memoryview) -> int | None:
        if self._rings is None and self._arrived() is None:
            return None
        self._incoming.target = view
        try:
            message = self._next()
        finally:
            self._incoming.target = None
        if isinstance(message, memoryview):
            # It has come to where it belongs.
            size = len(message)
            message.release()
            return size
        if message is None:
            return None
        return self._placed(message, view)

    def _detach(self) -> bool:
        if self._rings is not None:
            self._incoming.detach()
        return False

    def _taken(self, inlet: Queue) -> Any:
        """The large message, if all that was missing of it is there."""
        if not self._incoming.left:
            return None
        try:
            return self._incoming.take(inlet)
        except (RecordError, ShutDown):
            raise self._damaged("a damaged ring") from None

    def _added(self, record: object) -> Any:
        try:
            return self._incoming.add(record)
        except FormatError as error:
            raise self._damaged(str(error)) from None

    def _damaged(self, what: str) -> ProtocolError:
        error = ProtocolError(
            f"{self!r} got {what}, with a limit of {self._limit}: the other side is no channel, "
            "or has another limit; closed",
            name=self._url,
        )
        self.close()
        return error

    # ---- Waiting -------------------------------------------------------------------------

    def _await(self, side: Callable[[], tuple[int, int]], deadline: float | None) -> bool:
        # Not on descriptors of the rings: from then on, these would be rung at each message.
        rings = self._rings
        if rings is None:
            return self._poll(self._socket_in(), deadline)
        self._make_waker()
        if self._closed:
            return True
        left = None if deadline is None else deadline - monotonic()
        # At first on the ring alone: from there it is woken sooner.
        if wait([rings[0]], _FIRST if left is None else min(_FIRST, left)):
            return True
        left = None if deadline is None else deadline - monotonic()
        return bool(wait([rings[0], self._socket, self._waker], left))

    def _in(self) -> tuple[int, int]:
        return self._watch(False), select.POLLIN

    def _out(self) -> tuple[int, int]:
        if self._rings is None:
            return self._socket_in()
        return self._watch(True), select.POLLIN

    def _watch(self, for_room: bool) -> int:
        """A descriptor that is readable if the ring is ready, or if the other side has gone."""
        with self._releasing:
            epoll = self._watching.get(for_room)
            if epoll is None:
                epoll = self._watching[for_room] = select.epoll()
                rings = self._rings
                if rings is None:
                    # See _try_rings for how it goes on.
                    epoll.register(self._socket.fileno(), select.EPOLLIN)
                else:
                    epoll.register(self._socket.fileno(), select.EPOLLRDHUP)
                    ring = rings[1].writable_fileno() if for_room else rings[0].fileno()
                    epoll.register(ring, select.EPOLLIN)
            return epoll.fileno()

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing.reduction import DupFd

        self._check()
        rings = self._found(deadline_of(_PATIENCE))
        if self._incoming.left or self._rest is not None or self._held is not None:
            raise TypeError(f"{self!r} is in the middle of a message; it cannot be passed on")
        passed = [DupFd(self._socket.fileno()), *(DupFd(each._fileno()) for each in rings)]
        return _passed, (self._url, passed, self._limit, self._spin)


def reopened(descriptor: int, spin: float | None) -> Queue:
    made: Any = _reopen.anonymous(Queue, (spin, False), descriptor)
    return made  # type: ignore[no-any-return]


def _passed(url: str, passed: list[Any], limit: int, spin: float | None) -> ShmChannel:
    end, *rings = (each.detach() for each in passed)
    try:
        there, back = (reopened(each, spin) for each in rings)
    finally:
        for each in rings:
            os.close(each)
    return ShmChannel(url, socket.socket(fileno=end), limit, spin, (there, back))
