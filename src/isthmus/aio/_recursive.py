"""Locks that belong to a task, which may take them again."""

from __future__ import annotations

import asyncio
from threading import get_ident

from isthmus import _primitive_errors
from isthmus._core.doorbell import WORD
from isthmus.aio._line import Taken
from isthmus.errors import NotHeldError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    _Task = asyncio.Task[Any] | None


class Recursive(Taken):
    """A recursive lock of tasks: mixed in before the class of `isthmus` that has one of threads.

    The lock in memory belongs to a thread, as everywhere. Which task of that thread has it by this
    handle, the handle knows, and asks before it lets the core take what its thread has.
    """

    __slots__ = ()

    # Free, for a task that must not have it only because its thread has.
    _SIDE = WORD

    if TYPE_CHECKING:
        # By thread, the task that has taken it; of no meaning unless that thread has it.
        @property
        def _tasks(self) -> dict[int, _Task]: ...
        @_tasks.setter
        def _tasks(self, tasks: dict[int, _Task]) -> None: ...

        def _mine(self) -> bool: ...

    def _adopt(self, settings: Any) -> None:
        self._tasks = {}
        super()._adopt(settings)

    def _has_it(self) -> bool:
        return self._mine() and self._tasks.get(get_ident()) is current()

    def _try(self) -> bool:
        thread, task = get_ident(), current()
        if self._mine():
            return self._tasks.get(thread) is task and super()._try()
        # Before, since a function that is told of a death may release it.
        self._tasks[thread] = task
        if super()._try():
            return True
        self._tasks.pop(thread, None)
        return False

    def _take_back(self, attempt: Callable[[], bool]) -> bool:
        """Take it by another way, of which nobody is told until later."""
        if self._mine() or not attempt():
            return False
        self._tasks[get_ident()] = current()
        return True

    def _check(self) -> None:
        """NotHeldError, if another task has it. Whether any has, the core knows."""
        if self._mine() and self._tasks.get(get_ident()) is not current():
            what, name = _primitive_errors.described(self)  # type: ignore[arg-type]
            raise NotHeldError(
                f"{what} is held by another task of this thread, and only that one may use it so",
                name=name,
            )

    def _released(self) -> None:
        """It may have been: then forget whose it was."""
        if not self._mine():
            self._tasks.pop(get_ident(), None)

    def release(self) -> None:
        """Give the lock back. Never waits. See `isthmus.RLock.release`.

        NotHeldError: this task does not hold it.
        """
        self._check()
        super().release()  # type: ignore[misc]
        self._released()

    def abandon(self) -> None:
        """Give it back as if its owner had died. See `isthmus.Lock.abandon`.

        However often this task has taken it. NotHeldError: it has not.
        """
        self._check()
        super().abandon()  # type: ignore[misc]
        self._released()

    def _give_back(self, error: BaseException | None) -> None:
        self._check()
        super()._give_back(error)
        self._released()


def current() -> _Task:
    """The task that runs; None: something else does."""
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop at all
        return None
