"""`Publisher` and `Subscriber`, awaitable."""

from __future__ import annotations

import sys

import isthmus
from isthmus import _arguments, _loan, _ring
from isthmus._core import ring
from isthmus._ring_errors import Empty
from isthmus.aio import _waiting
from isthmus.aio._base import Awaitable, deadline_of, refuse
from isthmus.aio._waiting import RUN, turn
from isthmus.topic import PublisherSettings, SubscriberSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Any, Literal, NoReturn, Self

    from isthmus.topic import Overflow, Start

_NOTHING: Any = object()
_ITS_OWN: Any = ring.DEFAULT


class Publisher(Awaitable, isthmus.Publisher):
    """`isthmus.Publisher` for asyncio: what waits there is awaited here, by any number of tasks.

    Constructors, properties and all that does not wait are those of `isthmus.Publisher`; the same
    topic may be used by either, in any processes.

    A task that is cancelled while it waits has published nothing.

    >>> import asyncio, isthmus.aio
    >>> async def main():
    ...     async with isthmus.aio.Publisher() as pub, pub.subscriber() as sub:
    ...         await pub.publish(b"bytes")
    ...         print(await sub.recv())
    >>> asyncio.run(main())
    b'bytes'
    """

    __slots__ = ("_paces", "_runs")

    async def publish(  # type: ignore[override]
        self, obj: object, timeout: float | None = None
    ) -> None:
        """Send a message to all subscribers. See `isthmus.Publisher.publish`.

        Waits only for a subscriber that is in the way, with overflow "block", or for what one has
        in view. Cancelled while it waits: nothing has been published.
        """
        self._runs += 1
        if self._runs % RUN == 0:
            await turn()
        message = self._publish_now(obj)
        if message is None:
            return
        deadline = deadline_of(timeout)
        size = self._room(message)
        while await self._room_comes(deadline, size):
            if self._publish_again(message):
                return
        raise _loan.no_room(self, 0)

    async def publish_many(  # type: ignore[override]
        self, items: Iterable[object], timeout: float | None = None
    ) -> None:
        """Send all of `items`, in order. See `isthmus.Publisher.publish_many`.

        Cancelled while it waits: the first ones have been published, how many is not told.
        """
        self._runs += 1
        if self._runs % RUN == 0:
            await turn()
        messages = self._encoded(items)
        deadline = deadline_of(timeout)
        done = self._publish_some(messages, 0)
        while done < len(messages):
            if not await self._room_comes(deadline, self._room(messages[done])):
                raise _loan.no_room(self, done)
            done = self._publish_some(messages, done)

    def loan(  # type: ignore[override]
        self,
        shape: Any,
        dtype: Any = None,
        *,
        order: Literal["C", "F"] = "C",
        timeout: float | None = None,
    ) -> Lending:
        """A message to be written in place: ``async with pub.loan((100, 3), "u1") as frame:``.

        See `isthmus.Publisher.loan`. As long as the block lasts nobody else can publish to this
        topic, in any process: those that want to wait, and tasks of this thread get InUseError.
        So fill it, and do not await what may take long. Cancelled, it publishes nothing.
        """
        return Lending(self, super().loan(shape, dtype, order=order), timeout)

    async def _room_comes(self, deadline: float | None, size: int) -> bool:
        return self.overflow != "error" and await self._until_room(deadline, size)

    def subscriber(
        self,
        *,
        start: Start = "next",
        timeout: float | None = None,
        spin: float | None = None,
        allow_pickle: bool | None = None,
    ) -> Subscriber:
        """A subscriber to the same topic. Arguments as for `Subscriber`."""
        settings = SubscriberSettings(spin, allow_pickle, start, timeout)
        made: Subscriber = self._sibling(Subscriber, (settings,))
        return made


class Lending:
    """What `Publisher.loan` returns, to be entered by ``async with``, once."""

    __slots__ = ("_loan", "_publisher", "_timeout")

    def __init__(self, publisher: Publisher, loan: ring.Loan[Any], timeout: float | None) -> None:
        self._publisher, self._loan, self._timeout = publisher, loan, timeout

    async def __aenter__(self) -> Any:
        publisher = self._publisher
        publisher._runs += 1
        if publisher._runs % RUN == 0:
            await turn()
        deadline = deadline_of(self._timeout)
        memory = self._loan._enter_or_none()
        while memory is None:
            if not await publisher._room_comes(deadline, self._loan._room):
                raise _loan.no_room(publisher, 0)
            memory = self._loan._enter_or_none()
        return memory

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loan.__exit__(kind, error, traceback)


class Subscriber(Awaitable, isthmus.Subscriber):
    """`isthmus.Subscriber` for asyncio: what waits there is awaited here, by any number of tasks.

    Constructors, properties and all that does not wait are those of `isthmus.Subscriber`; the
    same topic may be used by either, in any processes. ``async for message in sub`` goes on for
    ever; with a `timeout`, until none has come for so long.

    A task that is cancelled while it waits has received nothing: the next one gets the message.
    Several tasks that read by one subscriber get each message once; to each of its own, each
    takes a subscriber.

    >>> import asyncio, isthmus.aio
    >>> async def main():
    ...     async with isthmus.aio.Publisher() as pub, pub.subscriber(timeout=0.01) as sub:
    ...         await pub.publish_many([1, 2, 3])
    ...         print([message async for message in sub])
    >>> asyncio.run(main())
    [1, 2, 3]
    """

    __slots__ = ("_paces", "_runs")

    async def recv(self, timeout: float | None = _ITS_OWN) -> Any:
        """The next message; waits while there is none. See `isthmus.Subscriber.recv`.

        Cancelled while it waits: nothing has been received. Messages that are there are taken
        without a turn of the loop, but for one in 64.
        """
        value = self._recv_next(_NOTHING)
        if value is not _NOTHING:
            return value
        return await self._recv_later(timeout)

    async def _recv_later(self, timeout: float | None = _ITS_OWN) -> Any:
        """When there was none, or others are to run first."""
        if self._others_first():
            await turn()
            value = self._recv_or(_NOTHING)
            if value is not _NOTHING:
                return value
        deadline = self._deadline(timeout)
        while await self._until(deadline):
            value = self._recv_or(_NOTHING)
            if value is not _NOTHING:
                return value
        raise _ring.empty(self)

    async def recv_many(  # type: ignore[override]
        self, n: int, timeout: float | None = _ITS_OWN
    ) -> list[Any]:
        """Up to `n` messages: a list. Waits, as `recv`, for the first of them only."""
        self._runs += 1
        if self._runs % RUN == 0:
            await turn()
        most = _arguments.whole(n, "n", 1, sys.maxsize)
        deadline = self._deadline(timeout)
        values = self._recv_some(most)
        while not values:
            if not await self._until(deadline):
                raise _ring.empty(self)
            values = self._recv_some(most)
        return values

    def view(self, timeout: float | None = _ITS_OWN) -> Viewing:  # type: ignore[override]
        """The next message in place: ``async with sub.view() as frame:``. See `isthmus`.

        A publisher that comes round to it waits as long as it is in view, so take what you
        need, and do not await anything that may take long.
        """
        return Viewing(self, timeout)

    def _deadline(self, timeout: float | None) -> float | None:
        return deadline_of(self.timeout if timeout is _ITS_OWN else timeout)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        value = self._recv_next(_NOTHING)
        if value is not _NOTHING:
            return value
        try:
            return await self._recv_later()
        except Empty:
            raise StopAsyncIteration from None

    def __iter__(self) -> NoReturn:
        raise refuse(self, "async for")

    def __next__(self) -> NoReturn:
        raise refuse(self, "async for")

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()
        _waiting.closing(self)

    def publisher(self, *, overflow: Overflow = "block", spin: float | None = None) -> Publisher:
        """A publisher to the same topic. Arguments as for `Publisher`."""
        made: Publisher = self._sibling(Publisher, (PublisherSettings(spin, overflow),))
        return made


class Viewing:
    """What `Subscriber.view` returns, to be entered by ``async with``, once."""

    __slots__ = ("_subscriber", "_timeout", "_value")

    def __init__(self, subscriber: Subscriber, timeout: float | None) -> None:
        self._subscriber, self._timeout = subscriber, timeout
        self._value: Any = _NOTHING

    async def __aenter__(self) -> Any:
        subscriber = self._subscriber
        if self._value is not _NOTHING:
            raise _loan.used(subscriber, "view")
        subscriber._runs += 1
        if subscriber._runs % RUN == 0:
            await turn()
        deadline = subscriber._deadline(self._timeout)
        self._value = subscriber._view_or(_NOTHING)
        while self._value is _NOTHING:
            if not await subscriber._until(deadline):
                raise _ring.empty(subscriber)
            self._value = subscriber._view_or(_NOTHING)
        return self._value

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._value = None
