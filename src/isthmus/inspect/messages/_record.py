"""A message in a ring, what it carries, and where a ring begins and ends."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal

    State = Literal["ready", "leased", "done", "damaged"]

#: What the payload of a record is, by its type.
TYPES: Final = {1: "bytes", 2: "bytearray", 3: "text", 4: "array", 5: "pickle", 6: "value"}

#: Positions are free-running numbers of 64 bits; records and cursors lie at multiples of the unit.
MASK, UNIT = 2**64 - 1, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One message in the ring, as it was at the moment of the look.

    Its payload: `RingReader.content`. Of one that is damaged, the fields are what is
    written there, whatever that means.
    """

    #: Where it begins: a cursor, which only grows.
    position: int
    #: How many messages were put before it.
    number: int
    #: What the payload is: a key of `TYPES`, or a number that programs agreed upon.
    type: int
    #: Bytes of payload.
    size: int
    #: Where the payload begins, bytes from the start of the record.
    data: int
    #: How often it was delivered by a lease.
    attempts: int
    state: State
    #: The slot of the participant that has leased it.
    worker: int | None
    #: Bytes from here to the next one.
    span: int
    #: Whether its place, type and size can be believed.
    sound: bool
    #: What is wrong with it; also of one that is sound otherwise.
    problem: str | None = None
    #: Whether it was set aside, after too many deliveries.
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """What a record carries, or the first bytes of it."""

    #: What stands before the payload: the shape of an array, the buffers of a pickle.
    meta: bytes
    payload: bytes
    #: Whether that is all of the payload.
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursors:
    """Where a ring begins and ends at the moment, checked against each other."""

    #: The first record that counts: `head` of a queue, `oldest` of a topic.
    first: int
    #: Where the next record will begin.
    tail: int
    #: Messages ever put or published; None: cannot be told.
    put: int | None
    #: Queue: messages that are done with, all before `first`; None: cannot be told, or a topic.
    done: int | None
    #: Nothing more may be put, and nothing may be got either.
    closed: bool
    discarded: bool
    #: Whether `first` and `tail` are what was made of cursors that cannot be.
    guessed: bool = False
    #: One sentence for each thing that cannot be.
    problems: tuple[str, ...] = ()


def check_of(position: int, number: int, size: int, start: int, kind: int) -> int:
    """The check word of a record."""
    low = (position // UNIT ^ number ^ size ^ size >> 32) & 0xFFFFFFFF
    return low ^ start ^ (kind << 16)


def behind(position: int, cursor: int) -> bool:
    """Whether a position lies before a cursor. Both may have wrapped around."""
    return 0 < (cursor - position & MASK) < 1 << 63


def damaged(position: int, aside: bool, problem: str, **fields: int) -> Record:
    """A record of which nothing can be believed."""
    known = {"number": 0, "size": 0, "type": 0, "data": 0, **fields}
    return Record(
        position=position,
        attempts=0,
        state="damaged",
        worker=None,
        span=UNIT,
        sound=False,
        problem=problem,
        aside=aside,
        **known,
    )
