"""What the doctor says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

#: As it should be; worth knowing; will bite some day; something does not work here.
Grade = Literal["ok", "note", "warning", "problem"]
#: The worst first.
GRADES: tuple[Grade, ...] = ("problem", "warning", "note", "ok")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one check of `doctor`."""

    #: Which check: a short word that stays the same, such as "shm-size".
    check: str
    #: What it is about: "shared memory", "limits", "kernel" …
    group: str
    severity: Grade
    #: One sentence: what was found.
    what: str
    #: Why it matters; empty where all is well.
    why: str = ""
    #: What to do about it, with the command where there is one; empty: nothing.
    remedy: str = ""
    #: The numbers behind it, in bytes where they are sizes; None: no limit, or not known.
    facts: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
