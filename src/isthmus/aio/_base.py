"""What all awaitable handles have in common."""

from __future__ import annotations

import asyncio

from isthmus import _arguments
from isthmus._core import doorbell
from isthmus._core.doorbell import Waited
from isthmus.aio import _waiting
from isthmus.aio._waiting import Pace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self


# Bytes that each message takes beside its own.
_HEADER = 32


class Awaitable:
    """A handle whose waits are awaited. Mixed in before the class of `isthmus` that has them.

    Everything that does not wait is as it is there.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def _paces(self) -> dict[int, Pace]: ...
        @_paces.setter
        def _paces(self, paces: dict[int, Pace]) -> None: ...
        @property
        def _runs(self) -> int: ...
        @_runs.setter
        def _runs(self, runs: int) -> None: ...
        @property
        def spin(self) -> float: ...
        @property
        def closed(self) -> bool: ...
        def _borrow(self) -> int: ...
        def _restore(self) -> None: ...

    @classmethod
    def of(cls, handle: Any) -> Self:
        """An awaitable handle to the same object as `handle`, which is one of either kind.

        For what was made by sync code, or came as an argument of `multiprocessing`. It is a
        participant of its own, with the settings of `handle`; close both.
        """
        blocking = _blocking(cls)
        if not isinstance(handle, blocking):
            raise TypeError(
                f"{cls.__name__}.of() takes an isthmus.{blocking.__name__}, "
                f"not {type(handle).__name__}"
            )
        made: Self = _again(handle, cls)
        return made

    def blocking(self) -> Any:
        """A handle to the same object that blocks: of the class of the same name in `isthmus`."""
        return _again(self, _blocking(type(self)))

    def _adopt(self, settings: Any) -> None:
        """However it was opened."""
        self._paces, self._runs = {}, 0
        super()._adopt(settings)  # type: ignore[misc]

    async def _until(
        self, deadline: float | None, side: int = doorbell.READY, about: int = 0
    ) -> bool:
        """Wait for one look at `side`; False: it is later than `deadline`, by the loop's clock."""
        return await self._until_ready(Waited(self, side, about), deadline)

    async def _until_ready(self, thing: Waited, deadline: float | None) -> bool:
        pace = self._paces.get(thing.side)
        if pace is None:
            pace = self._paces[thing.side] = Pace(self.spin)
        return await _waiting.until(thing, pace, deadline)

    async def _until_room(self, deadline: float | None, room: int) -> bool:
        """Of a queue or topic: for a message that takes so many bytes there, at most."""
        capacity: int = self.capacity  # type: ignore[attr-defined]
        return await self._until(deadline, doorbell.ROOM, min(room, capacity) - _HEADER)

    def close(self) -> None:
        """End the use of this handle; tasks that wait on it get ClosedError. See `isthmus`."""
        super().close()  # type: ignore[misc]
        _waiting.closing(self)

    def __repr__(self) -> str:
        return super().__repr__().replace("<isthmus.", "<isthmus.aio.", 1)

    async def __aenter__(self) -> Self:
        self._borrow()  # ClosedError
        self._restore()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


def _blocking(cls: type) -> type:
    """The class of `isthmus` whose waits it makes awaitable."""
    return next(base for base in cls.__mro__ if not issubclass(base, Awaitable))


def _again(handle: Any, cls: type) -> Any:
    reopen, arguments = handle._recipe()
    return reopen(cls, *arguments[1:])


def deadline_of(timeout: float | None) -> float | None:
    """By the clock of the running loop; None: never."""
    if timeout is None:
        return None
    return asyncio.get_running_loop().time() + max(0.0, _arguments.timeout(timeout))


def refuse(handle: Any, what: str) -> TypeError:
    """For what would block the loop, where it cannot be awaited."""
    return TypeError(f"{type(handle).__name__} of isthmus.aio: use {what}")
