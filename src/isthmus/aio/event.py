"""`Event`, awaitable."""

from __future__ import annotations

import isthmus
from isthmus.aio._base import Awaitable, deadline_of
from isthmus.aio._waiting import RUN, turn


class Event(Awaitable, isthmus.Event):
    """`isthmus.Event` for asyncio: what waits there is awaited here.

    Constructors, `set`, `clear` and `is_set` are those of `isthmus.Event`; the same event may be
    used by either, in any processes. ``async with event:`` closes it at the end.

    >>> import asyncio, isthmus.aio
    >>> async def main():
    ...     ready = isthmus.aio.Event()
    ...     print(await ready.wait(timeout=0.01))
    ...     waiting = [asyncio.create_task(ready.wait()) for _ in range(3)]
    ...     ready.set()
    ...     print(await asyncio.gather(*waiting))
    >>> asyncio.run(main())
    False
    [True, True, True]
    """

    __slots__ = ("_paces", "_runs")

    async def wait(self, timeout: float | None = None) -> bool:  # type: ignore[override]
        """Wait until it is set. Returns True, or False when `timeout` seconds have passed.

        True also when it was set and cleared again meanwhile. See `isthmus.Event.wait`.
        """
        deadline = deadline_of(timeout)
        self._runs += 1
        if self._runs % RUN == 0:
            await turn()
        if self.is_set():
            return True
        found = await self._until(deadline)
        # Closed meanwhile: that says so.
        return self.is_set() or found
