"""Where the screen gets what it shows, and what it asks to act: real objects, or made-up ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from isthmus.inspect._model import Info, Member, SharedObject


@dataclass(frozen=True, slots=True)
class Line:
    """What the table says of one object."""

    shared: SharedObject
    #: Messages a second that went in and came out, since the look before; None: it has none, or
    #: there was no look before.
    rate_in: float | None = None
    rate_out: float | None = None
    #: Messages that the slowest subscriber is behind; None: nobody can be.
    lag: int | None = None
    #: Who holds it, or a lock in it; "": nobody.
    holder: str = ""
    #: Since when, as `time.time` counts; None: not known.
    held_since: float | None = None

    @property
    def address(self) -> str:
        return self.shared.address


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All objects at one moment."""

    #: As `time.time` counts.
    taken: float
    lines: tuple[Line, ...]


class Source(Protocol):
    """What the screen calls, never two of them at once, in a thread of its own.

    What cannot be done raises `IsthmusError` or `OSError`; both become messages on the screen.
    """

    def look(self, *, foreign: bool) -> Snapshot:
        """All objects; with `foreign`, also those that others than isthmus made."""
        ...

    def info(self, address: str) -> Info:
        """All about one. Raises `NotFoundError` when it is gone."""
        ...

    def remove(self, shared: SharedObject, *, force: bool) -> str:
        """Remove this one, with `force` also from under those who use it: what was done."""
        ...

    def evict(self, address: str, member: Member) -> str:
        """Take a participant's part away from it: what was done."""
        ...

    def shut_down(self, shared: SharedObject) -> str:
        """Let nothing more into this queue: what was done."""
        ...
