"""`isthmus.channel` for asyncio: the same functions and classes; what waits there is awaited here.

>>> import asyncio
>>> from isthmus.aio import channel
>>> async def main():
...     async with channel.listen("unix:@guide-channel-aio") as listener:
...         client = await channel.connect("unix:@guide-channel-aio")
...         server = await listener.accept()
...         async with client, server:
...             await client.send(b"hello")
...             print(await server.recv(timeout=10))
>>> asyncio.run(main())
b'hello'
"""

from __future__ import annotations

import asyncio
import math
import select
import threading
from time import monotonic_ns
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

import isthmus.channel as _blocking
from isthmus.aio._base import deadline_of
from isthmus.aio._waiting import RUN, Pace, turn
from isthmus.channel._errors import EndOfChannel, TimedOut
from isthmus.channel._patience import given_up
from isthmus.channel._waiting import octets
from isthmus.errors import ClosedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from typing import Any, Self

    from typing_extensions import Buffer

T = TypeVar("T")
B = TypeVar("B", _blocking.Channel, _blocking.Listener)

__all__ = ["Channel", "Listener", "connect", "listen", "pair"]

# While another thread is in a call of the same channel, which nothing tells the end of: seconds.
_PAUSE = 0.001


class _Side:
    """One direction: in which tasks of each loop take turns, and how long it pays to look again."""

    __slots__ = ("_turns", "pace")

    def __init__(self, spin: float) -> None:
        self.pace = Pace(spin)
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]
        self._turns = WeakKeyDictionary()

    def turns(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        lock = self._turns.get(loop)
        if lock is None:
            lock = self._turns[loop] = asyncio.Lock()
        return lock


class _Twin(Generic[B]):
    """What waits, over the attempts of the blocking one.

    A task that waits holds the lock of its direction, as a thread would: so nothing is closed
    under it. What it waits for, it takes in one step without awaiting: a task that is cancelled
    has taken nothing.
    """

    def __init__(self, twin: B) -> None:
        self._twin: B = twin
        spin: float = getattr(twin, "spin", 0.0)
        self._inward, self._outward = _Side(spin), _Side(spin)
        self._runs = 0

    @property
    def url(self) -> str:
        """Where it is, as `connect` takes it."""
        return self._twin.url

    @property
    def form(self) -> str:
        """The name of the form: "unix", "shm", …"""
        return self._twin.form

    @property
    def closed(self) -> bool:
        """Whether it has been closed, in this process."""
        return self._twin.closed

    def blocking(self) -> B:
        """The same one for threads. Closing either closes both."""
        return self._twin

    def fileno(self) -> int:
        """As that of the blocking one."""
        return self._twin.fileno()

    def close(self) -> None:
        """End the use of it; tasks and threads that wait on it get ClosedError. Does not block."""
        self._twin.close()

    async def __aenter__(self) -> Self:
        self._twin._check()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._twin).replace("<isthmus.", "<isthmus.aio.", 1)

    async def _until(
        self, side: _Side, lock: threading.Lock, attempt: Callable[[], T | None],
        deadline: float | None, where: Callable[[], tuple[int, int]], what: str,
        dropped: Callable[[], bool] | None = None,
    ) -> T:  # fmt: skip
        """What `attempt` gives when it gives something. Nothing is awaited after that.

        `dropped` is called, still under the lock, if something else ends it.
        """
        twin = self._twin
        self._runs += 1
        if self._runs % RUN == 0:
            await turn()
        turns = side.turns()
        await self._turn(turns, deadline)
        try:
            while not lock.acquire(blocking=False):
                if _is_over(deadline):
                    raise TimedOut(f"another thread is in a call of {self!r}", name=self.url)
                await asyncio.sleep(_PAUSE)
            try:
                twin._check()
                if (found := attempt()) is not None:
                    return found
                begin = monotonic_ns()
                while monotonic_ns() - begin < side.pace.now and not _is_over(deadline):
                    await turn()
                    twin._check()
                    if (found := attempt()) is not None:
                        side.pace.took(monotonic_ns() - begin)
                        return found
                while not _is_over(deadline):
                    await self._ready(where(), deadline)
                    twin._check()
                    if (found := attempt()) is not None:
                        side.pace.took(monotonic_ns() - begin)
                        return found
                raise TimedOut(f"{what} in time: {self!r}", name=self.url)
            except BaseException as error:
                begun = dropped is not None and dropped()
                if isinstance(error, TimedOut):
                    error.begun = begun
                raise
            finally:
                lock.release()
                if twin._closed:
                    twin._settle()
        finally:
            turns.release()

    async def _turn(self, turns: asyncio.Lock, deadline: float | None) -> None:
        if not turns.locked():
            await turns.acquire()  # at once
            return
        try:
            async with asyncio.timeout_at(deadline):
                await turns.acquire()
        except TimeoutError:
            self._twin._check()
            raise TimedOut(f"another task is in a call of {self!r}", name=self.url) from None

    async def _ready(self, where: tuple[int, int], deadline: float | None) -> None:
        """Until it is worth trying again, it is closed, or it is too late.

        sync: closed. The mark is set before those who wait are called, and looked at here after
        this task is among them: one of the two sees the other.
        """
        twin = self._twin
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def wake() -> None:
            if not future.done():
                future.set_result(None)

        def closing() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(wake)

        descriptor, event = where
        add, remove = (
            (loop.add_reader, loop.remove_reader)
            if event == select.POLLIN
            else (loop.add_writer, loop.remove_writer)
        )
        look = twin._nap(where)
        end = min(
            loop.time() + look if look is not None else math.inf,
            deadline if deadline is not None else math.inf,
        )
        timer = None if end == math.inf else loop.call_at(end, wake)
        twin._wakes.add(closing)
        try:
            if twin._closed:
                return
            add(descriptor, wake)
            try:
                await future
            finally:
                # Still open: whoever closes it leaves that to the holder of the lock.
                remove(descriptor)
        finally:
            twin._wakes.discard(closing)
            if timer is not None:
                timer.cancel()


def _is_over(deadline: float | None) -> bool:
    return deadline is not None and asyncio.get_running_loop().time() >= deadline


class Channel(_Twin[_blocking.Channel]):
    """`isthmus.channel.Channel` for asyncio.

    A task that is cancelled while it waits has received nothing, and what it was to send has
    either not been begun, or goes whole before the next message (see `TimedOut.begun`).
    """

    @classmethod
    def of(cls, channel: _blocking.Channel) -> Self:
        """An awaitable one for a channel that was made by sync code."""
        if not isinstance(channel, _blocking.Channel):
            raise TypeError(f"Channel.of() takes a Channel, not {type(channel).__name__}")
        return cls(channel)

    @property
    def peer(self) -> str | None:
        """Who is at the other end, for people."""
        return self._twin.peer

    @property
    def largest(self) -> int:
        """Bytes of the largest message that can be sent."""
        return self._twin.largest

    async def send(self, data: Buffer, timeout: float | None = None) -> None:
        """Send a message; wait while there is no room. See `isthmus.channel.Channel.send`."""
        await self._send(self._twin._begin(octets(data)), deadline_of(timeout))

    async def _send(self, message: Any, deadline: float | None) -> None:
        twin = self._twin
        await self._until(
            self._outward, twin._writing, lambda: twin._try_send(message), deadline, twin._out,
            "no room", lambda: twin._give_up(message),
        )  # fmt: skip

    async def send_many(self, messages: Iterable[Buffer], timeout: float | None = None) -> None:
        """Send several messages, in order. See `isthmus.channel.Channel.send_many`."""
        deadline = deadline_of(timeout)
        done = 0
        try:
            for data in messages:
                await self._send(self._twin._begin(octets(data)), deadline)
                done += 1
        except TimedOut as error:
            error.done = done
            raise

    async def recv(self, timeout: float | None = None) -> bytes:
        """Receive a message; wait while there is none. See `isthmus.channel.Channel.recv`."""
        twin = self._twin
        return await self._until(
            self._inward, twin._reading, twin._take, deadline_of(timeout), twin._in, "no message"
        )

    async def recv_into(self, buffer: Buffer, timeout: float | None = None) -> int:
        """Receive a message into a buffer. See `isthmus.channel.Channel.recv_into`."""
        twin = self._twin
        view = memoryview(buffer)
        if view.readonly:
            raise TypeError("recv_into takes a writable buffer")
        with view, view.cast("B") as to:
            return await self._until(
                self._inward, twin._reading, lambda: twin._take_into(to), deadline_of(timeout),
                twin._in, "no message", twin._detach,
            )  # fmt: skip

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Messages, until the other end is closed."""
        while True:
            try:
                message = await self.recv()
            except EndOfChannel:
                return
            yield message


class Listener(_Twin[_blocking.Listener]):
    """`isthmus.channel.Listener` for asyncio."""

    @classmethod
    def of(cls, listener: _blocking.Listener) -> Self:
        """An awaitable one for a listener that was made by sync code."""
        if not isinstance(listener, _blocking.Listener):
            raise TypeError(f"Listener.of() takes a Listener, not {type(listener).__name__}")
        return cls(listener)

    async def accept(self, timeout: float | None = None) -> Channel:
        """The channel to the next one who connects. See `isthmus.channel.Listener.accept`."""
        twin = self._twin
        made = await self._until(
            self._inward, twin._reading, twin._try_accept, deadline_of(timeout), twin._in,
            "nobody has connected",
        )  # fmt: skip
        return Channel(made)

    async def __aiter__(self) -> AsyncIterator[Channel]:
        """Channels to all who connect, until the listener is closed."""
        while True:
            try:
                made = await self.accept()
            except ClosedError:
                return
            yield made


def listen(url: str, **options: Any) -> Listener:
    """Be there for others to connect to. See `isthmus.channel.listen`; it does not wait."""
    return Listener(_blocking.listen(url, **options))


async def connect(url: str, *, timeout: float | None = 0, **options: Any) -> Channel:
    """The channel to whoever listens at `url`. See `isthmus.channel.connect`.

    It runs in a thread, since finding a host, and showing a key, may take a while. Cancelled:
    the thread waits for nobody any more, and what it has made is closed when it is done.
    """
    stop = threading.Event()

    def connect() -> _blocking.Channel:
        given_up.set(stop)  # in a context of this thread's
        return _blocking.connect(url, timeout=timeout, **options)

    work = asyncio.ensure_future(asyncio.to_thread(connect))
    try:
        return Channel(await asyncio.shield(work))
    except asyncio.CancelledError:
        stop.set()
        work.add_done_callback(_close_made)
        raise


def _close_made(work: asyncio.Future[_blocking.Channel]) -> None:
    if not work.cancelled() and work.exception() is None:
        work.result().close()


def pair(form: str, **options: Any) -> tuple[Channel, Channel]:
    """Both ends of a channel that has no name. See `isthmus.channel.pair`."""
    one, other = _blocking.pair(form, **options)
    return Channel(one), Channel(other)
