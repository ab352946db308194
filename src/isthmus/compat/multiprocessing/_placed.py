"""What the locks and friends of this package have in common: they are placed in arenas."""

from __future__ import annotations

from isthmus import _primitive_errors as _errors
from isthmus._core import sync
from isthmus._origin import Origin
from isthmus._plan import Settings
from isthmus.compat.multiprocessing import _arena

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from isthmus._plan import Plan

if TYPE_CHECKING:
    from isthmus._primitive import Primitive as _Base
else:
    _Base = object  # which class of the binding makes the object is for the others to say

# Where in a primitive the process id of its first participant is: 0 when that has left.
_FIRST_PARTICIPANT = 192


class _Origin(Origin):
    __slots__ = ("block",)

    def __init__(self, what: str, created: bool, block: _arena.Block) -> None:
        super().__init__(what, created)
        self.block = block


class Placed(_Base):
    """Mixed in first. A process has one handle to each, whichever way it got it, and how often."""

    __slots__ = ()

    if TYPE_CHECKING:
        _origin: _Origin

    def _make(self, plan: Plan) -> None:
        block = _arena.take(plan.size)
        if plan.size > sync.size(self._KIND, 1):
            block.zero_when_left = _FIRST_PARTICIPANT
        arena, what = block.arena, self._called(None)
        with _arena.lock:
            try:
                sync.place_lent(self, arena.mapping, arena.descriptor(), block.offset, plan.core)
            except OSError as error:
                raise _errors.opening(error, what, None, b"", self._KIND) from None
            arena.handles[block.offset] = self
        self._origin = _Origin(what, True, block)
        self._adopt(Settings(None, "warn"))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self._not_closed()
        # What users have added to it travels along.
        return _found, (type(self), self._origin.block, self._kept(), vars(self))


def _found(
    cls: type[Placed], block: _arena.Block, kept: tuple[Any, ...], added: dict[str, Any]
) -> Placed:
    """The handle that this process has to what is in the block, or a new one."""
    arena = block.arena
    with _arena.lock:
        known: Placed | None = arena.handles.get(block.offset)
        if known is not None and not known.closed:
            return known
        self = cls.__new__(cls)
        what = cls._called(None)
        try:
            sync.find_lent(self, arena.mapping, arena.descriptor(), block.offset, cls._KIND)
        except OSError as error:
            raise _errors.opening(error, what, None, b"", cls._KIND) from None
        self._origin = _Origin(what, False, block)
        self._keep(*kept)
        vars(self).update(added)
        arena.handles[block.offset] = self
    return self
