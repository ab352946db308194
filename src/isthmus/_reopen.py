"""Finding a lock or one of its friends again, in this or another process: what copies call."""

from __future__ import annotations

import os

from isthmus import _arguments, _primitive_errors as _errors
from isthmus._core import memory
from isthmus._origin import Origin
from isthmus.errors import ReplacedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isthmus._handle import Handle
    from isthmus._primitive import Primitive
    from isthmus.segment import Segment


def named(cls: type[Handle], kept: tuple[Any, ...], name: str, identity: tuple[int, int]) -> Handle:
    self = cls.__new__(cls)
    # Whose it may be was decided where the handle came from; identity says it is that one.
    self._attach_named(name, _arguments.OWNER_ANY, 1.0)
    if memory.status(self._fileno())[:2] != identity:
        what = self._origin.what
        self._close()
        raise ReplacedError(
            f"{what} was removed and made anew after this handle to it was sent here", name=name
        )
    self._keep(*kept)
    return self


def placed(cls: type[Primitive], kept: tuple[Any, ...], segment: Segment, offset: int) -> Primitive:
    self = cls.__new__(cls)
    mapping, start, what = self._spot(segment, offset)
    try:
        self._find(mapping, segment.fileno(), start, cls._KIND)
    except OSError as error:
        raise _errors.placing(error, what, segment, cls._KIND, cls.nbytes()) from None
    self._origin = Origin(what, False, segment.name, b"", segment, start)
    self._keep(*kept)
    return self


def anonymous(cls: type[Handle], kept: tuple[Any, ...], fd: int) -> Handle:
    self = cls.__new__(cls)
    what = cls._called(None)
    try:
        self._from_fd(fd, cls._KIND)
    except OSError as error:
        raise _errors.opening(error, what, None, b"", cls._KIND) from None
    self._origin = Origin(what, False)
    self._keep(*kept)
    return self


def passed(cls: type[Handle], kept: tuple[Any, ...], passed: Any) -> Handle:
    fd = passed.detach()
    try:
        return anonymous(cls, kept, fd)
    finally:
        os.close(fd)
