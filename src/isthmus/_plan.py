"""What locks and friends are made with, checked."""

from __future__ import annotations

from isthmus import _arguments, _owner_death, _spin
from isthmus._core import sync
from isthmus._origin import PARTICIPANTS_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, SupportsIndex

# isthmus_shared_primitive.flags
ROBUST, READER_PREFERENCE, EXTERNAL_LOCK, PERSIST = 1, 2, 4, 8
PERMITS_MAX = 2**31 - 1


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
        self.spin_ns = _spin.nanoseconds(spin)
