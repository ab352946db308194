"""Shared ctypes objects as in `multiprocessing.sharedctypes`, in memory that is reserved.

The wrappers are those of the standard library; what they lie in, and the locks, are of this
package. Such memory is found out to be short when an object is made (NoSpaceError, which is an
OSError), never when it is written to.
"""

from __future__ import annotations

import ctypes
from multiprocessing import sharedctypes as _sharedctypes

from isthmus.compat.multiprocessing import _arena

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Array", "RawArray", "RawValue", "Value", "copy", "synchronized"]

_standard: Any = _sharedctypes  # of which type checkers do not know all
_synchronized = _standard.synchronized  # this one, whoever puts another one in its place later
typecode_to_type = _standard.typecode_to_type
SynchronizedBase = _sharedctypes.SynchronizedBase
Synchronized = _sharedctypes.Synchronized
SynchronizedArray = _sharedctypes.SynchronizedArray
SynchronizedString = _sharedctypes.SynchronizedString
reduce_ctype = _standard.reduce_ctype
rebuild_ctype = _standard.rebuild_ctype
make_property = _standard.make_property


class Wrapper:
    """Where a shared object lies; what the standard library calls its `_wrapper`."""

    __slots__ = ("block", "size")

    def __init__(self, size: int) -> None:
        self.block = _arena.take(size)
        self.size = size

    def create_memoryview(self) -> memoryview:
        """Its bytes, exactly."""
        return self.block.view()[: self.size]

    def __getstate__(self) -> tuple[_arena.Block, int]:
        return self.block, self.size

    def __setstate__(self, state: tuple[_arena.Block, int]) -> None:
        self.block, self.size = state


def _new(type_: Any) -> Any:
    return rebuild_ctype(type_, Wrapper(ctypes.sizeof(type_)), None)


def RawValue(typecode_or_type: Any, *args: Any) -> Any:
    """A ctypes object in shared memory, without a lock; zero, or made from `args`.

    Args:
        typecode_or_type: a letter as in the module `array`, or a ctypes type.
    """
    value = _new(typecode_to_type.get(typecode_or_type, typecode_or_type))
    value.__init__(*args)
    return value


def RawArray(typecode_or_type: Any, size_or_initializer: Any) -> Any:
    """A ctypes array in shared memory, without a lock.

    Args:
        typecode_or_type: as for `RawValue`, of one element.
        size_or_initializer: how many, all zero; or a sequence of the elements.
    """
    type_ = typecode_to_type.get(typecode_or_type, typecode_or_type)
    if isinstance(size_or_initializer, int):
        return _new(type_ * size_or_initializer)
    array = _new(type_ * len(size_or_initializer))
    array.__init__(*size_or_initializer)
    return array


def Value(typecode_or_type: Any, *args: Any, lock: Any = True, ctx: Any = None) -> Any:
    """A ctypes object in shared memory, with a lock around each access.

    Args:
        typecode_or_type, args: as for `RawValue`.
        lock: True: with an RLock of its own. A lock: with that one. False: without, as `RawValue`.
        ctx: a context that makes the lock; None: it is an RLock of this package.

    A process that dies with the lock does not keep it: the next one that needs it takes it over,
    with an `isthmus.OwnerDiedWarning`. AttributeError: `lock` is not a lock.
    """
    return _wrapped(RawValue(typecode_or_type, *args), lock, ctx)


def Array(
    typecode_or_type: Any, size_or_initializer: Any, *, lock: Any = True, ctx: Any = None
) -> Any:
    """A ctypes array in shared memory, with a lock around each access. As `Value`."""
    return _wrapped(RawArray(typecode_or_type, size_or_initializer), lock, ctx)


def copy(obj: Any) -> Any:
    """A new ctypes object in shared memory that is equal to `obj`, which may lie anywhere."""
    new = _new(type(obj))
    ctypes.pointer(new)[0] = obj
    return new


def synchronized(obj: Any, lock: Any = None, ctx: Any = None) -> Any:
    """`obj`, a ctypes object, with a lock around each access; None: an RLock of its own."""
    return _synchronized(obj, _rlock(ctx) if lock is None else lock, ctx)


def _wrapped(obj: Any, lock: Any, ctx: Any) -> Any:
    if lock is False:
        return obj
    if lock is True or lock is None:
        lock = _rlock(ctx)
    if not hasattr(lock, "acquire"):
        raise AttributeError(f"{lock!r} has no method 'acquire'")
    return _synchronized(obj, lock, ctx)


def _rlock(ctx: Any) -> Any:
    if ctx is not None:
        return ctx.RLock()
    from isthmus.compat.multiprocessing.synchronize import RLock

    return RLock()
