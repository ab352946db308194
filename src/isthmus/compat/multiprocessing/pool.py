"""What `multiprocessing.pool` has; a pool made without a context is of a context of ours."""

from __future__ import annotations

from multiprocessing import pool as _standard

from isthmus.compat.multiprocessing._context import get_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Pool", "ThreadPool"]

ThreadPool = _standard.ThreadPool


class Pool(_standard.Pool):
    """As in the standard library."""

    def __init__(
        self,
        processes: int | None = None,
        initializer: Any = None,
        initargs: Any = (),
        maxtasksperchild: int | None = None,
        context: Any = None,
    ) -> None:
        super().__init__(
            processes, initializer, initargs, maxtasksperchild, context or get_context()
        )


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
