"""`RWLock`, awaitable."""

from __future__ import annotations

import asyncio

import isthmus
from isthmus._core import sync
from isthmus._core.doorbell import GATE, READERS, WORD
from isthmus.aio._base import deadline_of, refuse
from isthmus.aio._line import Lined
from isthmus.aio._waiting import RUN, turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, NoReturn, Self

# How long a writer lets readers come in that waited for the one before it: as in the core.
_TURN = 0.002


class RWLock(Lined, isthmus.RWLock):
    """`isthmus.RWLock` for asyncio: ``async with rw.read:`` and ``async with rw.write:``.

    Constructors, properties and what death does are those of `isthmus.RWLock`; the same lock may
    be used by either, in any processes. Of its sides, nothing but `acquire` is awaited. Both belong
    to the handle: of tasks that share one, many may read, or one writes.

    A task that is cancelled while it waits reads nothing and writes nothing, and no longer keeps
    readers out.

    >>> import asyncio, isthmus.aio
    >>> async def main():
    ...     rw = isthmus.aio.RWLock()
    ...     async with rw.read, rw.read:
    ...         print(await rw.write.acquire(timeout=0.01))
    ...     async with rw.write:
    ...         print(await rw.read.acquire(timeout=0.01))
    >>> asyncio.run(main())
    False
    False
    """

    __slots__ = ("_lines", "_paces", "_runs")

    @property
    def read(self) -> ReadSide:
        """The lock for reading: many may hold it at once, as long as nobody writes."""
        return self._side(ReadSide)

    @property
    def write(self) -> WriteSide:
        """The lock for writing: one holds it, alone."""
        return self._side(WriteSide)

    async def __aenter__(self) -> NoReturn:
        raise TypeError("a readers-writer lock has two sides: use async with its read or write")

    # ---- Writing -------------------------------------------------------------------------

    async def _write_by(self, deadline: float | None) -> bool:
        """First among writers, then alone. Killed in here: as a writer that has not written."""
        if self._lines or not self._claim_write():
            if not await self._in_line(self._claim_write, deadline, WORD):
                return False
        if self._turn():
            now = asyncio.get_running_loop().time()
            patience = now + _TURN
            await self._no_readers(patience if deadline is None else min(patience, deadline), 1)
        while not self._begin_write():
            if not await self._no_readers(deadline, 0):
                if self._begin_write():
                    return True
                self._give_up_write()
                return False
        return True

    async def _no_readers(self, deadline: float | None, turn: int) -> bool:
        """Wait until they have left; `turn`: until one of those who waited has come in."""
        try:
            return await self._until(deadline, READERS, turn)
        except BaseException:
            if not self.closed:
                self._give_up_write()
            raise


class _Side:
    """What both sides have in common. Mixed in before the classes of the binding."""

    __slots__ = ()

    def __enter__(self) -> NoReturn:
        raise refuse(self, "async with")

    async def __aenter__(self) -> Self:
        await self.acquire()  # type: ignore[attr-defined]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)  # type: ignore[misc]


class ReadSide(_Side, sync.ReadSide):
    """`RWLock.read`: the lock for reading. Used as a `Lock` is."""

    __slots__ = ()

    async def acquire(  # type: ignore[override]
        self, block: bool = True, timeout: float | None = None
    ) -> bool:
        """Take the lock for reading; wait while somebody writes, or waits in order to.

        Arguments and waiting as for `Lock.acquire`, but for the order: all that wait come in
        together. What the death of a writer does: see `isthmus.RWLock.read`.
        """
        rwlock: Any = self.rwlock
        rwlock._runs += 1
        if rwlock._runs % RUN == 0:
            await turn()
        if not block:
            return super().acquire(block, timeout)
        deadline = deadline_of(timeout)
        while not super().acquire(False):
            if not await rwlock._until(deadline, GATE):
                return super().acquire(False)
        return True


class WriteSide(_Side, sync.WriteSide):
    """`RWLock.write`: the lock for writing. Used as a `Lock` is."""

    __slots__ = ()

    async def acquire(  # type: ignore[override]
        self, block: bool = True, timeout: float | None = None
    ) -> bool:
        """Take the lock for writing; wait while anybody reads or writes.

        Arguments and waiting as for `Lock.acquire`. Readers that could not come in while another
        one wrote have two thousandths of a second to do so before.
        """
        rwlock: Any = self.rwlock
        rwlock._runs += 1
        if rwlock._runs % RUN == 0:
            await turn()
        if not block:
            return super().acquire(block, timeout)
        deadline = deadline_of(timeout)
        taken: bool = await rwlock._write_by(deadline)
        return taken
