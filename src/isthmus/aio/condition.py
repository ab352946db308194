"""`Condition`, awaitable."""

from __future__ import annotations

import asyncio

import isthmus
from isthmus._core.doorbell import SLICE, TOKEN, WORD, Waited
from isthmus.aio._base import deadline_of
from isthmus.aio._line import Taken
from isthmus.aio._recursive import Recursive
from isthmus.aio.lock import Lock, RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    _T = TypeVar("_T")


class Condition(Recursive, isthmus.Condition):
    """`isthmus.Condition` for asyncio: ``async with condition:`` takes its lock and releases it.

    Constructors, properties and what death does are those of `isthmus.Condition`; the same one may
    be used by either, in any processes. `acquire`, `wait` and `wait_for` are awaited; `notify`,
    which waits for nobody, is not. Its own lock belongs to the task, as `RLock` does; a `lock`
    that it is given must be one of `isthmus.aio`.

    A task that is cancelled in `wait` has taken the lock back when the cancellation arrives, and a
    notification that had just come goes to another waiter.

    >>> import asyncio, isthmus.aio
    >>> async def main():
    ...     changed, found = isthmus.aio.Condition(), []
    ...     async def reader():
    ...         async with changed:
    ...             await changed.wait_for(lambda: found)
    ...             print(found)
    ...     task = asyncio.create_task(reader())
    ...     async with changed:
    ...         found.append("news")
    ...         changed.notify()
    ...     await task
    >>> asyncio.run(main())
    ['news']
    """

    __slots__ = ("_lines", "_paces", "_runs", "_tasks")

    def _go_with(self, lock: Any) -> None:
        if lock is not None and not isinstance(lock, Taken):
            self._close()
            kind = f"{type(lock).__module__}.{type(lock).__name__}"
            raise TypeError(
                f"the lock of a Condition of isthmus.aio must be a Lock or RLock of it, not {kind}"
            )
        super()._go_with(lock)

    @property
    def _its(self) -> Taken:
        """The lock that goes with it."""
        lock: Taken | None = self.lock
        return self if lock is None else lock

    # ---- Handles of the other kind ---------------------------------------------------------

    def blocking(self) -> isthmus.Condition:
        """A handle to the same condition that blocks; so does its lock, if it was given one."""
        same: isthmus.Condition = super().blocking()
        if self.lock is not None:
            same._go_with(self.lock.blocking())
        return same

    def _keep(self, spin: float | None, on_owner_death: Any, lock: Any = None) -> None:
        if lock is not None and not isinstance(lock, Taken):
            kind = RLock if isinstance(lock, isthmus.RLock) else Lock
            lock = kind.of(lock)
        super()._keep(spin, on_owner_death, lock)

    # ---- Its lock ------------------------------------------------------------------------

    async def acquire(self, block: bool = True, timeout: float | None = None) -> bool:  # type: ignore[override]
        """Take its lock. See `Lock.acquire`."""
        if self.lock is not None:
            taken: bool = await self.lock.acquire(block, timeout)
            return taken
        return await super().acquire(block, timeout)

    def release(self) -> None:
        """Give its lock back. Never waits. NotHeldError: this task does not hold it."""
        super().release() if self.lock is None else self.lock.release()

    def abandon(self) -> None:
        """Give its lock back in a way that the next one is told. See `isthmus.Lock.abandon`."""
        super().abandon() if self.lock is None else self.lock.abandon()

    def _give_back(self, error: BaseException | None) -> None:
        if self.lock is None:
            super()._give_back(error)
        else:
            self.lock._give_back(error)

    # ---- Waiting -------------------------------------------------------------------------

    async def wait(self, timeout: float | None = None) -> bool:  # type: ignore[override]
        """Release the lock, wait for a notification, take the lock back.

        Returns True, or False when `timeout` seconds have passed without a notification. To take
        the lock back has no time limit, and is not given up when the task is cancelled: what
        cancelled it is raised afterwards. See `isthmus.Condition.wait`.

        A process that is killed in here takes no notification with it.
        """
        return await self._wait(deadline_of(timeout))

    async def wait_for(  # type: ignore[override]
        self, predicate: Callable[[], _T], timeout: float | None = None
    ) -> _T:
        """Wait until `predicate()` is true; it is called with the lock held, and not awaited.

        Returns its last value, which is false only when `timeout` seconds have passed.
        """
        deadline = deadline_of(timeout)
        while True:
            result = predicate()
            if result or not await self._wait(deadline):
                return result or predicate()

    async def _wait(self, deadline: float | None) -> bool:
        lock = self._its
        lock._check()
        ticket, depth = self._enter()
        lock._released()
        token = Waited(self, TOKEN, ticket)
        error: BaseException | None = None
        try:
            while True:
                in_time = True
                if error is None:
                    try:
                        in_time = await self._until_ready(token, deadline)
                    except BaseException as raised:
                        error = raised
                # Not for what another one has taken meanwhile.
                wanted = token.look if error is None and in_time else None
                taken, error = await self._have_back(lock, depth, wanted, error)
                if taken:
                    notified = self._leave(ticket, in_time, error)
                    if notified is not None:
                        return notified
                    lock._released()
        finally:
            error = None  # which refers to this frame

    async def _have_back(
        self,
        lock: Taken,
        depth: int,
        wanted: Callable[[], bool] | None,
        error: BaseException | None,
    ) -> tuple[bool, BaseException | None]:
        """Take the lock back, unless there is nothing `wanted` any more; whether, and the error.

        Cancelled: it goes on, for whoever waits on a condition has the lock at the end.
        """
        taken: bool = False

        def attempt() -> bool:
            nonlocal taken, error
            try:
                if wanted is not None and error is None and not wanted():
                    return True
            except isthmus.ClosedError as raised:
                error = raised  # the lock that goes with it may be open
            taken = lock._take_back(lambda: self._retake(depth))
            return taken

        while True:
            if not lock._lines and attempt():
                return taken, error
            if isinstance(error, GeneratorExit):
                raise error  # this coroutine has been closed, and can wait for nothing
            try:
                await lock._in_line(attempt, None, WORD)
            except (asyncio.CancelledError, GeneratorExit) as raised:
                error = raised
            except OSError as raised:
                # Nothing to wait by, for want of descriptors: look again, as one that is blind.
                error = error or raised
                try:
                    await asyncio.sleep(SLICE)
                except (asyncio.CancelledError, GeneratorExit) as cancelled:
                    error = cancelled
            else:
                return taken, error

    # ---- Notifying -----------------------------------------------------------------------

    def notify(self, n: int = 1) -> None:
        """Wake up to `n` of those that wait now. NotHeldError: this task does not have the lock.

        See `isthmus.Condition.notify`. Never waits.
        """
        self._its._check()
        super().notify(n)

    def notify_all(self) -> None:
        """Wake all that wait now. NotHeldError: this task does not have the lock."""
        self._its._check()
        super().notify_all()
