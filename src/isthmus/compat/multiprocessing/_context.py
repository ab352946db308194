"""Contexts whose queues, locks, values and pipes are those of this package."""

from __future__ import annotations

from multiprocessing import context, get_start_method

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from isthmus.compat.multiprocessing import connection, queues, synchronize


class Factories:
    """The methods of a context that make something, as `multiprocessing.context` has them.

    Each imports what it makes when it is first called.
    """

    if TYPE_CHECKING:

        def get_context(self, method: str | None = None) -> Any: ...

    def Queue(self, maxsize: int = 0) -> queues.Queue:
        from isthmus.compat.multiprocessing.queues import Queue

        return Queue(maxsize, ctx=self.get_context())

    def JoinableQueue(self, maxsize: int = 0) -> queues.JoinableQueue:
        from isthmus.compat.multiprocessing.queues import JoinableQueue

        return JoinableQueue(maxsize, ctx=self.get_context())

    def SimpleQueue(self) -> queues.SimpleQueue:
        from isthmus.compat.multiprocessing.queues import SimpleQueue

        return SimpleQueue(ctx=self.get_context())

    def Lock(self) -> synchronize.Lock:
        from isthmus.compat.multiprocessing.synchronize import Lock

        return Lock(ctx=self.get_context())

    def RLock(self) -> synchronize.RLock:
        from isthmus.compat.multiprocessing.synchronize import RLock

        return RLock(ctx=self.get_context())

    def Semaphore(self, value: int = 1) -> synchronize.Semaphore:
        from isthmus.compat.multiprocessing.synchronize import Semaphore

        return Semaphore(value, ctx=self.get_context())

    def BoundedSemaphore(self, value: int = 1) -> synchronize.BoundedSemaphore:
        from isthmus.compat.multiprocessing.synchronize import BoundedSemaphore

        return BoundedSemaphore(value, ctx=self.get_context())

    def Condition(self, lock: Any = None) -> synchronize.Condition:
        from isthmus.compat.multiprocessing.synchronize import Condition

        return Condition(lock, ctx=self.get_context())

    def Event(self) -> synchronize.Event:
        from isthmus.compat.multiprocessing.synchronize import Event

        return Event(ctx=self.get_context())

    def Barrier(
        self, parties: int, action: Any = None, timeout: float | None = None
    ) -> synchronize.Barrier:
        from isthmus.compat.multiprocessing.synchronize import Barrier

        return Barrier(parties, action, timeout, ctx=self.get_context())

    def RawValue(self, typecode_or_type: Any, *args: Any) -> Any:
        from isthmus.compat.multiprocessing.sharedctypes import RawValue

        return RawValue(typecode_or_type, *args)

    def RawArray(self, typecode_or_type: Any, size_or_initializer: Any) -> Any:
        from isthmus.compat.multiprocessing.sharedctypes import RawArray

        return RawArray(typecode_or_type, size_or_initializer)

    def Value(self, typecode_or_type: Any, *args: Any, lock: Any = True) -> Any:
        from isthmus.compat.multiprocessing.sharedctypes import Value

        return Value(typecode_or_type, *args, lock=lock, ctx=self.get_context())

    def Array(self, typecode_or_type: Any, size_or_initializer: Any, *, lock: Any = True) -> Any:
        from isthmus.compat.multiprocessing.sharedctypes import Array

        return Array(typecode_or_type, size_or_initializer, lock=lock, ctx=self.get_context())

    def Pipe(self, duplex: bool = True) -> tuple[connection.Connection, connection.Connection]:
        from isthmus.compat.multiprocessing.connection import Pipe

        return Pipe(duplex)


#: What is made here, and what the standard library's contexts make otherwise.
NAMES = tuple(name for name in vars(Factories) if name[0].isupper())


class _Ours(Factories):
    """Mixed in before a context of the standard library."""

    def get_context(self, method: str | None = None) -> Any:
        return self if method is None else get_context(method)


class ForkContext(_Ours, context.ForkContext):  # type: ignore[misc]
    pass


class SpawnContext(_Ours, context.SpawnContext):  # type: ignore[misc]
    pass


class ForkServerContext(_Ours, context.ForkServerContext):  # type: ignore[misc]
    pass


_contexts = {"fork": ForkContext(), "spawn": SpawnContext(), "forkserver": ForkServerContext()}


def get_context(method: str | None = None) -> Any:
    """The context for a start method; None: the one that `multiprocessing` uses.

    As `multiprocessing.get_context`, for `Pool`, `Process`, `concurrent.futures`. Raises
    ValueError: there is no such method.
    """
    found = _contexts.get(get_start_method() if method is None else method)
    if found is None:
        raise ValueError(f"cannot find context for {method!r}")
    return found


def replace(package: ModuleType) -> None:
    """Put what is made here in place in the package `multiprocessing`, and in all its contexts."""
    for name in NAMES:
        setattr(context.BaseContext, name, vars(Factories)[name])
        setattr(package, name, getattr(package.context._default_context, name))
