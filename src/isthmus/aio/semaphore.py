"""`Semaphore` and `BoundedSemaphore`, awaitable."""

from __future__ import annotations

import isthmus
from isthmus.aio._line import Taken


class Semaphore(Taken, isthmus.Semaphore):  # type: ignore[misc]
    """`isthmus.Semaphore` for asyncio: ``async with slots:`` takes a permit and gives it back.

    Constructors, properties, `release` and what death does are those of `isthmus.Semaphore`; the
    same one may be used by either, in any processes. Nothing but `acquire` is awaited.

    A task that is cancelled while it waits has taken no permit. Use `asyncio.timeout`, or
    ``acquire(timeout=…)``.

    >>> import asyncio, isthmus.aio
    >>> async def main():
    ...     slots = isthmus.aio.Semaphore(value=2)
    ...     async with slots:
    ...         print(slots.value)
    ...     await slots.acquire(), await slots.acquire()
    ...     print(await slots.acquire(timeout=0.01))
    >>> asyncio.run(main())
    1
    False
    """

    __slots__ = ("_lines", "_paces", "_runs")


class BoundedSemaphore(Semaphore, isthmus.BoundedSemaphore):  # type: ignore[misc]
    """`isthmus.BoundedSemaphore` for asyncio: never more permits than at the start.

    Releasing it too often is a TooManyPermitsError. All else is as for `Semaphore`.

    >>> import asyncio, isthmus.aio
    >>> async def main():
    ...     slots = isthmus.aio.BoundedSemaphore(value=1)
    ...     async with slots:
    ...         print(slots.locked())
    ...     slots.release()
    >>> asyncio.run(main())
    Traceback (most recent call last):
    isthmus.errors.TooManyPermitsError: anonymous semaphore would have more permits than its limit of 1; nothing was given back
    """  # noqa: E501

    __slots__ = ()
