"""What one task at a time can have: taking it in the order in which tasks have come."""

from __future__ import annotations

import asyncio
from collections import deque

from isthmus._core.doorbell import READY
from isthmus.aio._base import Awaitable, deadline_of, refuse
from isthmus.aio._waiting import RUN, turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn, Self

    _Line = deque[asyncio.Future[bool]]


class Lined(Awaitable):
    """A handle by which tasks of one loop take something one after the other.

    Only the first of them looks, and waits for what others do; those behind it wait for it. So a
    task that gives back and takes again comes after those that waited meanwhile, and what many
    tasks wait for costs no more than what one does. Among loops, and among handles, nobody keeps
    an order, as among threads.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        # Of each loop in which somebody waits.
        @property
        def _lines(self) -> dict[asyncio.AbstractEventLoop, _Line]: ...
        @_lines.setter
        def _lines(self, lines: dict[asyncio.AbstractEventLoop, _Line]) -> None: ...

    def _adopt(self, settings: Any) -> None:
        self._lines = {}
        super()._adopt(settings)

    async def _in_line(
        self, attempt: Callable[[], bool], deadline: float | None, side: int
    ) -> bool:
        """What `attempt` does, which does not wait; False: not by the deadline.

        The attempt that succeeds is the last thing that happens: whoever is cancelled here has
        nothing, and leaves the place to the next.
        """
        loop = asyncio.get_running_loop()
        line = self._lines.setdefault(loop, deque())
        place = loop.create_future()
        line.append(place)
        timer = None
        try:
            if line[0] is not place:
                if deadline is not None:
                    timer = loop.call_at(deadline, _call, place, False)
                if not await place:
                    return attempt()
            while not attempt():
                if not await self._until(deadline, side):
                    return attempt()
            return True
        finally:
            if timer is not None:
                timer.cancel()
            first = line[0] is place
            line.remove(place)
            if not line:
                del self._lines[loop]
            elif first:
                _call(line[0], True)


class Taken(Lined):
    """A handle that a task takes and gives back: mixed in before the class that says what.

    Releasing never waits, so it is not awaited. `async with` takes and releases.
    """

    __slots__ = ()

    # What of it is waited for.
    _SIDE = READY

    async def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take it; wait while there is none to be had. Returns whether it has been taken.

        Args:
            block: False: try once, do not wait.
            timeout: seconds to wait at most; None: for ever; zero or less: try once.

        Tasks that wait for the same handle on one loop take it in the order in which they came.
        One that is cancelled while it waits has taken nothing. What is free is taken without a
        turn of the loop, but for one in 64 times.

        Raises and warns as the class of the same name in `isthmus` does.
        """
        self._runs += 1
        if self._runs % RUN == 0:
            await turn()
        if not block:
            return self._once(timeout)
        deadline = deadline_of(timeout)
        if (not self._lines or self._has_it()) and self._try():
            return True
        return await self._in_line(self._try, deadline, self._SIDE)

    def _once(self, timeout: float | None) -> bool:
        if timeout is not None:
            return self._sync_acquire(False, timeout)  # which raises what it raises for that
        return self._try()

    def _has_it(self) -> bool:
        """Whether this task need not stand in line, since those in it wait for this task."""
        return False

    def _try(self) -> bool:
        """Take it, if that is possible at once."""
        return self._sync_acquire(False, None)

    def _sync_acquire(self, block: bool, timeout: float | None) -> bool:
        taken: bool = super().acquire(block, timeout)  # type: ignore[misc]
        return taken

    # What `Condition` needs of the lock that goes with it, and a lock of tasks does otherwise.

    def _take_back(self, attempt: Callable[[], bool]) -> bool:
        """Take it by another way."""
        return attempt()

    def _check(self) -> None:
        """NotHeldError, if only another task may use it now."""

    def _released(self) -> None:
        """It may have been."""

    def _give_back(self, error: BaseException | None) -> None:
        """At the end of ``async with``."""
        super().__exit__(None, error, None)  # type: ignore[misc]

    def __enter__(self) -> NoReturn:
        raise refuse(self, "async with")

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(self, *ending: Any) -> None:
        self._give_back(ending[1])


def _call(place: asyncio.Future[bool], first: bool) -> None:
    """It is the first in its line now; or it is time to go."""
    # A loop that has ended wakes nobody: tasks that it has left go when nobody refers to them.
    if not place.done() and not place.get_loop().is_closed():
        place.set_result(first)
