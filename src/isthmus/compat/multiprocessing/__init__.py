"""`multiprocessing`, with queues, locks, values and pipes that survive processes that die.

    >>> from isthmus.compat import multiprocessing
    >>> queue = multiprocessing.Queue()
    >>> queue.put({"job": 1})
    >>> queue.get()
    {'job': 1}

`Queue`, `JoinableQueue`, `SimpleQueue`, `Lock`, `RLock`, `Semaphore`, `BoundedSemaphore`,
`Condition`, `Event`, `Barrier`, `Value`, `Array`, `RawValue`, `RawArray` and `Pipe` are of this
package, and so are those of the contexts of `get_context`, and what a `Pool` uses. Everything
else is what the standard library has by that name, submodules included.
"""

from __future__ import annotations

import multiprocessing as _standard

from isthmus.compat.multiprocessing._context import Factories as _Factories, get_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [*_standard.__all__]  # noqa: PLE0604


class _Default(_Factories):
    """What is made without naming a context."""

    def get_context(self, method: str | None = None) -> Any:
        return get_context(method)

    def Pool(self, *args: Any, **options: Any) -> Any:
        return get_context().Pool(*args, **options)


_default = _Default()
Array = _default.Array
Barrier = _default.Barrier
BoundedSemaphore = _default.BoundedSemaphore
Condition = _default.Condition
Event = _default.Event
JoinableQueue = _default.JoinableQueue
Lock = _default.Lock
Pipe = _default.Pipe
Pool = _default.Pool
Queue = _default.Queue
RawArray = _default.RawArray
RawValue = _default.RawValue
RLock = _default.RLock
Semaphore = _default.Semaphore
SimpleQueue = _default.SimpleQueue
Value = _default.Value


_SUBMODULES = (
    "connection",
    "managers",
    "pool",
    "queues",
    "shared_memory",
    "sharedctypes",
    "synchronize",
)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_standard, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
