"""`Barrier`, awaitable."""

from __future__ import annotations

import asyncio
import errno
import inspect

import isthmus
from isthmus import _primitive
from isthmus._core.doorbell import ROUND
from isthmus.aio._base import Awaitable, deadline_of
from isthmus.aio._waiting import RUN, turn


class Barrier(Awaitable, isthmus.Barrier):
    """`isthmus.Barrier` for asyncio: what waits there is awaited here.

    Constructors, properties, `abort` and `reset` are those of `isthmus.Barrier`; the same barrier
    may be used by either, in any processes. ``async with barrier as number:`` waits, and does
    nothing at the end of the block. `action` may also be a coroutine function, which is awaited
    while the other parties wait.

    A task that is cancelled while it waits has withdrawn: the barrier is as if it had not come.
    Only when all have come by then, the round goes on with it, and it is cancelled all the same.
    Use the `timeout` of `wait` where the others are not to wait any longer, either: that breaks
    the barrier.

    Everything here holds the barrier's guard for some instructions. When a process is stopped, not
    killed, just there, the loops of the others stand still until it goes on.

    >>> import asyncio, isthmus.aio
    >>> async def main():
    ...     start = isthmus.aio.Barrier(parties=2)
    ...     print(sorted(await asyncio.gather(start.wait(), start.wait())))
    >>> asyncio.run(main())
    [0, 1]
    """

    __slots__ = ("_paces", "_runs")

    async def wait(self, timeout: float | None = None) -> int:  # type: ignore[override]
        """Wait until all parties have come. Returns the number of this arrival, from 0 up.

        Args:
            timeout: seconds to wait at most; then the barrier is broken, for all. None:
                what the handle was made with.

        BrokenBarrierError: see `isthmus.Barrier.wait`.
        """
        deadline = deadline_of(self.timeout if timeout is None else timeout)
        self._runs += 1
        if self._runs % RUN == 0:
            await turn()
        number, round = self._arrive()
        while number is None or round is None:
            # All have come, and the last one is at its action: that round is not ours.
            if not await self._next(deadline, round):
                raise _primitive.failed(self, errno.ECANCELED)
            number, round = self._arrive()
        if number + 1 == self.parties:
            await self._act()
            self._trip(round)
            return number
        while True:
            try:
                in_time = await self._until(deadline, ROUND, round)
            except BaseException:  # cancelled, or no descriptor to wait on
                if not self.closed:
                    self._withdraw(round)
                raise
            if self._over(round):
                return number
            if not in_time:
                # Unless all have come at the last moment.
                self._expire(round)
                return number

    async def _next(self, deadline: float | None, round: int | None) -> bool:
        """Wait for the end of that round. None: of the time that somebody has the guard."""
        if round is not None:
            return await self._until(deadline, ROUND, round)
        await turn()
        return deadline is None or asyncio.get_running_loop().time() < deadline

    async def _act(self) -> None:
        """As the last one to come. Killed meanwhile: the others find the barrier broken."""
        try:
            if self.action is not None:
                done = self.action()
                if inspect.isawaitable(done):
                    await done
        except BaseException:
            self.abort()
            raise

    async def __aenter__(self) -> int:  # type: ignore[override]
        return await self.wait()

    async def __aexit__(self, *_: object) -> None:
        pass
