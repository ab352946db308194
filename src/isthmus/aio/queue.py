"""`Queue`, awaitable."""

from __future__ import annotations

import sys

import isthmus
from isthmus import _arguments, _loan, _ring
from isthmus._core.doorbell import END, Waited
from isthmus._ring_errors import ShutDown
from isthmus.aio._base import Awaitable, deadline_of, refuse
from isthmus.aio._waiting import RUN, turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from types import TracebackType
    from typing import Any, NoReturn, Self

_NOTHING: Any = object()


class Queue(Awaitable, isthmus.Queue):
    """`isthmus.Queue` for asyncio: what waits there is awaited here, by any number of tasks.

    Constructors, properties and all that does not wait are those of `isthmus.Queue`; the same queue
    may be used by either, in any processes. ``async for message in q`` takes messages until the
    queue is shut down.

    A task that is cancelled while it waits has taken nothing, and put nothing. Use
    `asyncio.timeout`, or the `timeout` of each method.

    >>> import asyncio, isthmus.aio
    >>> async def main():
    ...     async with isthmus.aio.Queue() as q:
    ...         await q.put({"job": 1})
    ...         print(await q.get())
    ...         try:
    ...             async with asyncio.timeout(0.01):
    ...                 await q.get()
    ...         except TimeoutError:
    ...             print("nothing")
    >>> asyncio.run(main())
    {'job': 1}
    nothing
    """

    __slots__ = ("_paces", "_runs")

    # ---- Putting -----------------------------------------------------------------------

    async def put(  # type: ignore[override]
        self, obj: object, block: bool = True, timeout: float | None = None
    ) -> None:
        """Put a message; wait while there is no room. See `isthmus.Queue.put`.

        Cancelled while it waits: nothing has been put. Tasks that wait for room with messages
        of different sizes are served as these fit, not in order.
        """
        self._runs += 1
        if self._runs % RUN == 0:
            await turn()
        message = self._put_now(obj)
        if message is None:
            return
        deadline = deadline_of(timeout) if block else None
        size = self._room(message)
        while block and await self._until_room(deadline, size):
            if self._put_again(message):
                return
        if not self._put_again(message):
            raise _ring.full(self, 0)

    async def put_many(  # type: ignore[override]
        self, items: Iterable[object], block: bool = True, timeout: float | None = None
    ) -> None:
        """Put all of `items`, in order. See `isthmus.Queue.put_many`.

        Cancelled while it waits: the first ones have been put, how many is not told; put them one
        by one where that matters.
        """
        self._runs += 1
        if self._runs % RUN == 0:
            await turn()
        messages = self._encoded(items)
        deadline = deadline_of(timeout) if block else None
        done = self._put_some(messages, 0)
        while done < len(messages):
            size = self._room(messages[done])
            if not block or not await self._until_room(deadline, size):
                raise _ring.full(self, done)
            done = self._put_some(messages, done)

    # ---- Getting -----------------------------------------------------------------------

    async def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the next message; wait while there is none. See `isthmus.Queue.get`.

        Cancelled while it waits: nothing has been taken. Messages that are there are taken without
        a turn of the loop, but for one in 64.
        """
        value = self._get_next(_NOTHING)
        if value is not _NOTHING:
            return value
        return await self._get_later(block, timeout)

    async def _get_later(self, block: bool = True, timeout: float | None = None) -> Any:
        """When there was none, or others are to run first."""
        if self._others_first():
            await turn()
            value = self._get_or(_NOTHING)
            if value is not _NOTHING:
                return value
        if not block:
            return self.get_nowait()
        deadline = deadline_of(timeout)
        while await self._until(deadline):
            value = self._get_or(_NOTHING)
            if value is not _NOTHING:
                return value
        raise _ring.empty(self)

    async def get_many(  # type: ignore[override]
        self, n: int, block: bool = True, timeout: float | None = None
    ) -> list[Any]:
        """Take up to `n` messages: a list. Waits, as `get`, for the first of them only."""
        self._runs += 1
        if self._runs % RUN == 0:
            await turn()
        most = _arguments.whole(n, "n", 1, sys.maxsize)
        deadline = deadline_of(timeout) if block else None
        values = self._get_some(most)
        while not values:
            if not block or not await self._until(deadline):
                raise _ring.empty(self)
            values = self._get_some(most)
        return values

    def lease(  # type: ignore[override]
        self, block: bool = True, timeout: float | None = None
    ) -> Leasing:
        """Take the next message in a way that it is not lost if this process dies.

        ``async with q.lease() as job: await work(job.value)``: a clean exit acknowledges, an
        exception or cancellation gives it back, and so does death. Or ``job = await q.lease()``,
        and then `acknowledge` or `give_back`. See `isthmus.Queue.lease`.
        """
        return Leasing(self, block, timeout)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            value = self._get_next(_NOTHING)
            if value is not _NOTHING:
                return value
            return await self._get_later()
        except ShutDown:
            raise StopAsyncIteration from None

    def __iter__(self) -> NoReturn:
        raise refuse(self, "async for")

    def __next__(self) -> NoReturn:
        raise refuse(self, "async for")

    # ---- Its end -----------------------------------------------------------------------

    async def join(self, timeout: float | None = None) -> bool:  # type: ignore[override]
        """Wait until all that was put is done with. See `isthmus.Queue.join`."""
        deadline = deadline_of(timeout)
        self._runs += 1
        if self._runs % RUN == 0:
            await turn()
        thing = Waited(self, END)
        while not thing.look():
            if not await self._until_ready(thing, deadline):
                return thing.look()
        return True

    def aside(self) -> list[AsideMessage]:  # type: ignore[override]
        """Messages that were set aside; see `isthmus.Queue.aside`. `put_back` is awaited."""
        return [AsideMessage(self, *found) for found in self._aside()]


class AsideMessage(isthmus.AsideMessage):
    """A message that was set aside: see `Queue.aside`."""

    __slots__ = ()

    async def put_back(self, timeout: float | None = None) -> None:  # type: ignore[override]
        """Make it ready again, behind all others; wait while there is no room.

        See `isthmus.AsideMessage.put_back`. Cancelled while it waits: it is where it was.
        """
        queue: Any = self._queue
        deadline = deadline_of(timeout)
        while True:
            try:
                super().put_back(0)
            except isthmus.Full:
                size = queue._room(self._copy)
                if not await queue._until_room(deadline, size):
                    raise
            else:
                return


class Leasing:
    """What `Queue.lease` returns: to be awaited, or entered by ``async with``."""

    __slots__ = ("_block", "_lease", "_queue", "_timeout")

    def __init__(self, queue: Queue, block: bool, timeout: float | None) -> None:
        self._queue, self._block, self._timeout = queue, block, timeout
        self._lease: isthmus.Lease | None = None

    async def _take(self) -> isthmus.Lease:
        queue = self._queue
        queue._runs += 1
        if queue._runs % RUN == 0:
            await turn()
        deadline = deadline_of(self._timeout) if self._block else None
        lease = queue._lease_or_none()
        while lease is None:
            if not self._block or not await queue._until(deadline):
                raise _ring.empty(queue)
            lease = queue._lease_or_none()
        return lease

    def __await__(self) -> Generator[Any, Any, isthmus.Lease]:
        return self._take().__await__()

    async def __aenter__(self) -> isthmus.Lease:
        if self._lease is not None:
            raise _loan.used(self._queue, "lease")
        self._lease = await self._take()
        return self._lease.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._lease is not None
        self._lease.__exit__(kind, error, traceback)
