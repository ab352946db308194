"""`Channel` and `Listener`: what all forms have in common. How they wait: see `_waiting`."""

from __future__ import annotations

from isthmus.channel._errors import EndOfChannel, TimedOut
from isthmus.channel._waiting import Waiting, deadline_of, octets
from isthmus.errors import ClosedError, IsthmusError, SizeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from typing_extensions import Buffer


class Channel(Waiting):
    """One end of a connection that carries messages: bytes, whole, in order.

    Made by `connect`, `pair` or `Listener.accept`. Several threads may use one at the same time;
    each message goes whole. A forked child has a copy, as with files.

    What waits takes `timeout`, in seconds: None waits for ever, 0 tries once. TimedOut, a
    TimeoutError, says that nothing came in time. Waits use no processor time, release the GIL,
    and run signal handlers; what a handler raises ends them, and nothing is lost by that.

    When the process at the other end dies, what it had sent whole still arrives; then `recv`
    raises EndOfChannel, and `send` raises PeerGoneError, as after a `close`. Forms without
    connections cannot tell (see `forms`): there, one waits for whoever comes next.
    """

    #: A message that was received and did not fit into what `recv_into` was given.
    _held: bytes | None = None

    @property
    def peer(self) -> str | None:
        """Who is at the other end, for people: "pid 42, uid 0", "192.0.2.7:40312"; or None."""
        return None

    @property
    def largest(self) -> int:
        """Bytes of the largest message that can be sent."""
        raise NotImplementedError

    # ---- To be said by a form ------------------------------------------------------------

    def _begin(self, data: memoryview | bytes) -> object:
        """Check a message, and make of it what `_try_send` takes."""
        return data

    def _try_send(self, message: Any) -> bool | None:
        """Send it. None: it cannot be done at once; then this is called again, with the same."""
        raise NotImplementedError

    def _give_up(self, message: Any) -> bool:
        """A message that could not be sent is dropped. True: it has gone in part; keep the rest."""
        return False

    def _try_recv(self) -> bytes | None:
        """A message; None: there is none at once. EndOfChannel: there will be none."""
        raise NotImplementedError

    def _try_recv_into(self, view: memoryview) -> int | None:
        """The same, into a buffer; a message that is too long is to be `_held`."""
        message = self._try_recv()
        return None if message is None else self._placed(message, view)

    def _placed(self, message: bytes, view: memoryview) -> int:
        if len(message) > len(view):
            self._held = message
            raise self._too_long(len(message), len(view))
        view[: len(message)] = message
        return len(message)

    def _detach(self) -> bool:
        """Keep what has come of a message, which the buffer it was to go into will not. False."""
        return False

    # ---- Sending -------------------------------------------------------------------------

    def send(self, data: Buffer, timeout: float | None = None) -> None:
        """Send a message; wait while there is no room for it.

        Args:
            data: anything with contiguous bytes, also none. It is copied: it may be changed after.
            timeout: seconds; None: for ever; 0: try once.

        When it returns, the message is with the system, or with the other side; a death of
        this process does not take it back. Killed before: the other side gets it whole or not.

        Raises:
            TimedOut: no room in time; its `begun` says if a part has gone.
            PeerGoneError: nobody can receive it. ClosedError.
            MessageTooLargeError: more than `largest`; nothing was sent.
        """
        message = self._begin(octets(data))
        self._send(message, deadline_of(timeout))

    def _send(self, message: object, deadline: float | None) -> None:
        self._locked(
            self._writing, lambda: self._try_send(message), deadline, self._out, "no room",
            lambda: self._give_up(message),
        )  # fmt: skip

    def send_many(self, messages: Iterable[Buffer], timeout: float | None = None) -> None:
        """Send several messages, in order, as with `send`; faster than one by one, in some forms.

        `timeout` is for all together. When it raises TimedOut, `done` says how many were sent.
        """
        deadline = deadline_of(timeout)
        done = 0
        try:
            for data in messages:
                self._send(self._begin(octets(data)), deadline)
                done += 1
        except TimedOut as error:
            error.done = done
            raise

    # ---- Receiving -----------------------------------------------------------------------

    def recv(self, timeout: float | None = None) -> bytes:
        """Receive a message; wait while there is none.

        Raises:
            TimedOut: none in time. EndOfChannel: there will be none. ClosedError.
            ProtocolError: what came is no message; the channel is closed then.
        """
        deadline = None if timeout is None else deadline_of(timeout)
        lock = self._reading
        if not lock.acquire(False):
            self._acquire(lock, deadline)
        try:
            while True:
                if self._closed:
                    self._check()
                message = self._take()
                if message is not None:
                    return message
                if not self._await(self._in, deadline):
                    raise TimedOut(f"no message in time: {self!r}", name=self._url)
        finally:
            lock.release()
            if self._closed:
                self._settle()

    def _take(self) -> bytes | None:
        held = self._held
        if held is not None:
            self._held = None
            return held
        return self._try_recv()

    def recv_into(self, buffer: Buffer, timeout: float | None = None) -> int:
        """Receive a message into a writable buffer; how many bytes it has. Waits as `recv`.

        Raises as `recv`, and SizeError: there is no room for it in `buffer`. The message is
        not lost then: it is the next one, at once (`fileno` does not tell of it).
        """
        deadline = deadline_of(timeout)
        view = memoryview(buffer)
        if view.readonly:
            raise TypeError("recv_into takes a writable buffer")
        with view, view.cast("B") as to:
            return self._locked(
                self._reading, lambda: self._take_into(to), deadline, self._in, "no message",
                self._detach,
            )  # fmt: skip

    def _take_into(self, view: memoryview) -> int | None:
        held = self._held
        if held is None:
            return self._try_recv_into(view)
        if len(held) > len(view):
            raise self._too_long(len(held), len(view))
        self._held = None
        view[: len(held)] = held
        return len(held)

    def _too_long(self, size: int, room: int) -> IsthmusError:
        return SizeError(
            f"the message has {size} bytes, and the buffer room for {room}; it can still be "
            "received, by a larger buffer or by recv()",
            name=self._url,
        )

    def __iter__(self) -> Iterator[bytes]:
        """Messages, until the other end is closed."""
        while True:
            try:
                message = self.recv()
            except EndOfChannel:
                return
            yield message

    def fileno(self) -> int:
        """A descriptor that polls as readable when `recv` has something to give, or to raise.

        For select, poll, epoll, `isthmus.wait` and event loops: nothing may be read from it. It
        may also be readable for nothing; so receive with ``timeout=0``. To be asked for by the
        thread that receives. It stays the same until the channel is closed.
        """
        self._check()
        return self._watched()

    def _watched(self) -> int:
        return self._in()[0]


class Listener(Waiting):
    """A place where others can connect to. Made by `listen`."""

    def _try_accept(self) -> Channel | None:
        """The next who has connected; None: nobody yet."""
        raise NotImplementedError

    def accept(self, timeout: float | None = None) -> Channel:
        """The channel to the next one who connects; wait for that.

        In a form without connections (see `forms`), the first call gives the one channel that
        there is, at once; and after that has been closed, the next call gives it anew.

        Raises TimedOut: nobody in time. ClosedError.
        """
        return self._locked(
            self._reading, self._try_accept, deadline_of(timeout), self._in, "nobody has connected"
        )

    def __iter__(self) -> Iterator[Channel]:
        """Channels to all who connect, until the listener is closed."""
        while True:
            try:
                made = self.accept()
            except ClosedError:
                return
            yield made

    def fileno(self) -> int:
        """A descriptor that polls as readable when `accept` may have something to give."""
        self._check()
        return self._in()[0]
