"""What locks and friends are made with, checked."""

from __future__ import annotations

import os

from isthmus import _arguments, _owner_death
from isthmus._core import sync
from isthmus.errors import ArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, SupportsIndex

    from isthmus.segment import Segment

# isthmus_shared_primitive.flags
ROBUST, READER_PREFERENCE, EXTERNAL_LOCK, PERSIST = 1, 2, 4, 8
PARTICIPANTS, PARTICIPANTS_MAX = 256, 32768
PERMITS_MAX = 2**31 - 1
HEADER_SIZE = 256


class Plan:
    """What a primitive shall be like, and what must be true of one that is there already."""

    __slots__ = ("core", "size", "wanted")

    def __init__(
        self,
        kind: int,
        wanted: Mapping[str, object] | None = None,
        *,
        flags: int = 0,
        participants: SupportsIndex = 1,
        maximum: int = 0,
        value: int = 0,
        persist: bool = False,
    ) -> None:
        places = _arguments.whole(participants, "participants", 1, PARTICIPANTS_MAX)
        self.wanted = dict(wanted or {})
        if persist:
            flags |= PERSIST
            self.wanted["persist"] = True
        self.core = (kind, flags, places, maximum, value)
        self.size = sync.size(kind, places)


class Settings:
    """How one handle behaves, checked."""

    __slots__ = ("on_owner_death", "spin_ns")

    def __init__(
        self, spin: float | None, on_owner_death: str | Callable[[Any], object] = "ignore"
    ) -> None:
        _owner_death.check(on_owner_death)
        self.on_owner_death = on_owner_death
        self.spin_ns = _from_environment() if spin is None else _nanoseconds(spin, "spin")


class Origin:
    """Where what a handle stands for is to be found."""

    __slots__ = ("created", "name", "offset", "path", "segment", "what")

    def __init__(
        self,
        what: str,
        created: bool,
        name: str | None = None,
        path: bytes = b"",
        segment: Segment | None = None,
        offset: int = 0,
    ) -> None:
        self.what = what  # for messages
        self.created = created
        self.name = name
        self.path = path  # of an object with a name
        self.segment = segment
        self.offset = offset


def _from_environment() -> int | None:
    variable = "ISTHMUS_SPIN_US"
    text = os.environ.get(variable)
    if text is None:
        return None
    try:
        spin = float(text)
    except ValueError:
        raise ArgumentError(f"{variable} is {text!r}, not a number of microseconds") from None
    return _nanoseconds(spin, variable)


def _nanoseconds(spin: float, what: str) -> int:
    try:
        microseconds = spin + 0.0
    except TypeError:
        kind = type(spin).__name__
        raise TypeError(f"{what} must be a number of microseconds, not {kind}") from None
    if not 0 <= microseconds <= 1_000_000:
        raise ArgumentError(f"{what} must be from 0 to 1000000 microseconds, not {spin}")
    return int(microseconds * 1000)
