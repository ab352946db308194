"""What `dump` gives out: an object taken apart."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect.messages._record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a struct, as it was at the look."""

    name: str
    #: Bytes from the start of the file.
    offset: int
    size: int
    #: A number, or several of an array.
    value: int | tuple[int, ...] | str
    #: What that says; empty: the number says all.
    meaning: str = ""
    #: Whether it is one that cannot be.
    wrong: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A struct in the file."""

    #: "file", "header", "control", "participants": what `--section` picks.
    section: str
    #: "header", "slot 3", "seat 3", "cursors" …
    title: str
    #: Bytes from the start of the file.
    offset: int
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A record of a queue or topic, and what it carries."""

    record: Record
    #: "text", "value", "array" …; "type 300" of those that programs agreed upon.
    type: str
    #: One line. Pickles are not loaded: what they refer to.
    preview: str
    #: The first bytes of the payload, or all.
    payload: bytes
    #: It was overwritten while it was read: the record was there, the payload is not.
    overwritten: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the file's bytes."""

    offset: int
    size: int
    #: None: nothing was ever written there, and it reads as zeros.
    data: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """One object taken apart, as it was at the moment of the look."""

    #: What to call it by.
    address: str
    name: str
    #: "queue", "topic", "lock" …; "object": nobody can tell; "segment", "semaphore", "semaphores".
    kind: str
    #: As `time.time` counts.
    taken: float
    path: str | None
    #: Bytes that there are.
    size: int
    #: Where something was written, start and end: what is between them reads as zeros.
    extents: tuple[tuple[int, int], ...] = ()
    parts: tuple[Part, ...] = ()
    #: Of an array: element type, shape, the first elements.
    elements: str | None = None
    #: Of a queue or topic: those that were asked for, in their order.
    messages: tuple[Message, ...] = ()
    #: How many there are; None: not counted, since the ring is damaged, or there is none.
    kept: int | None = None
    #: Those that were set aside, after too many deliveries.
    aside: tuple[Message, ...] = ()
    #: The bytes that were asked for.
    pieces: tuple[Piece, ...] = ()
    #: What is wrong, one sentence each, the place in front.
    problems: tuple[str, ...] = ()
