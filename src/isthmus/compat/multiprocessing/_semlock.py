"""What standard code finds in a lock's `_semlock`: `multiprocessing.queues` and others use it."""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RECURSIVE_MUTEX, SEMAPHORE = 0, 1


class SemLock:
    """Base of locks and semaphores, which has no more in it than standard code asks for."""

    __slots__ = ()

    @property
    def _semlock(self) -> Facade:
        return Facade(self)


class Facade:
    """A lock or semaphore, seen as one of `_multiprocessing.SemLock`."""

    __slots__ = ("_seen", "acquire", "release")

    # By which others find it. There is no such thing: it is part of an arena.
    name = None

    def __init__(self, seen: Any) -> None:
        self._seen = seen
        self.acquire = seen.acquire
        self.release = seen.release

    def __enter__(self) -> Any:
        return self._seen.__enter__()

    def __exit__(self, *error: object) -> None:
        self._seen.__exit__(*error)

    @property
    def handle(self) -> int:
        """A number that no other one in the same arena has."""
        offset: int = self._seen._origin.block.offset
        return offset

    @property
    def kind(self) -> int:
        kind: int = self._seen._SEMLOCK_KIND
        return kind

    @property
    def maxvalue(self) -> int:
        """How many permits there can be."""
        maximum: int = self._seen._facts()[2]
        return maximum or 1

    def _get_value(self) -> int:
        """Permits that are free."""
        if hasattr(self._seen, "_held"):
            return 0 if self._seen.locked() else 1
        value: int = self._seen.value
        return value

    def _is_zero(self) -> bool:
        return self._get_value() == 0

    def _count(self) -> int:
        """How often this process has it; of a semaphore nobody knows: 0."""
        return self._held()[0]

    def _is_mine(self) -> bool:
        """Whether this thread has it."""
        count, thread = self._held()
        return count > 0 and thread == threading.get_native_id()

    def _held(self) -> tuple[int, int]:
        held: tuple[int, int] = self._seen._held() if hasattr(self._seen, "_held") else (0, 0)
        return held


class Count:
    """A number, seen as a semaphore of that value."""

    __slots__ = ("_value",)

    def __init__(self, value: int) -> None:
        self._value = value

    def get_value(self) -> int:
        return self._value
