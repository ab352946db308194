"""`Lock` and `RLock`, awaitable."""

from __future__ import annotations

import isthmus
from isthmus.aio._line import Taken
from isthmus.aio._recursive import Recursive


class Lock(Taken, isthmus.Lock):  # type: ignore[misc]
    """`isthmus.Lock` for asyncio: ``async with lock:`` takes it and releases it.

    Constructors, properties, what death does, and all that does not wait are those of
    `isthmus.Lock`; the same lock may be used by either, in any processes. Nothing but `acquire` is
    awaited. It belongs to the handle: tasks that share one exclude each other, and any of them
    may release it.

    A task that is cancelled while it waits does not have the lock. Use `asyncio.timeout`, or
    ``acquire(timeout=…)``.

    >>> import asyncio, isthmus.aio
    >>> async def main():
    ...     lock = isthmus.aio.Lock()
    ...     async with lock:
    ...         print(lock.locked(), await lock.acquire(timeout=0.01))
    ...     print(lock.locked())
    >>> asyncio.run(main())
    True False
    False
    """

    __slots__ = ("_lines", "_paces", "_runs")


class RLock(Recursive, isthmus.RLock):  # type: ignore[misc]
    """`isthmus.RLock` for asyncio: the task that holds the lock may take it again.

    It belongs to the task that took it: other tasks wait, also those of the same thread that use
    the same handle, and may not release it. When a task ends while holding it, nobody can. It
    is to be released in the thread in which it was taken. As `Lock` in all else.

    >>> import asyncio, isthmus.aio
    >>> async def main():
    ...     lock = isthmus.aio.RLock()
    ...     async with lock, lock:
    ...         other = asyncio.create_task(lock.acquire(block=False))
    ...         print(await other)
    ...     print(lock.locked())
    >>> asyncio.run(main())
    False
    False
    """

    __slots__ = ("_lines", "_paces", "_runs", "_tasks")
