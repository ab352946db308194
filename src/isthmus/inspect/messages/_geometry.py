"""Where the parts of a queue or topic are: as it says itself, or as they must be.

There is one way only to place the parts (docs/segment-format.md, "A ring"), so what a damaged
header no longer tells follows from the numbers that are left, and from the size of the file.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from isthmus.errors import CorruptError, KindError, TruncatedError
from isthmus.inspect.looking._structs import structs
from isthmus.inspect.looking._typed import (
    CAPACITY_MAX,
    HEADER,
    PAGE,
    PARTICIPANTS_MAX,
    PRIMITIVE,
    SLOT,
    STATE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from isthmus.inspect.looking._observed import Observed

QUEUE, TOPIC = 10, 11
_STATE = HEADER + PRIMITIVE
_SLOTS = _STATE + STATE
_LINE, _CURSORS, _ATTEMPTS_MAX = 128, 640, 65535
# Of so many numbers that follow from each other, these must be right for the rest to be believed.
# And so many where nothing else says that it is a ring at all.
_ENOUGH, _ENOUGH_ALONE = 4, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Where the parts of a ring are, bytes from the start of the file."""

    kind: Literal["queue", "topic"]
    participants: int
    #: Bytes of the ring, a power of two.
    capacity: int
    maxsize: int
    max_attempts: int
    cursors_offset: int
    seats_offset: int
    data_offset: int
    #: 0: nothing is set aside.
    aside_offset: int
    #: Bytes that the file should have.
    total_size: int
    #: Which fields are not what they should be, one sentence each.
    problems: tuple[str, ...] = ()


def geometry(observed: Observed) -> Geometry:
    """Where everything is in the queue or topic that `observed` is.

    Raises `KindError` where it is something else, `TruncatedError` where there is not even the
    start of one, `CorruptError` where too little is left to tell.
    """
    name = observed.path
    if observed.size < _SLOTS:
        raise TruncatedError(
            f"{name}: {observed.size} bytes are not even the start of a queue or topic", name=name
        )
    data = observed.read(0, _SLOTS)
    header = structs()["header"].read(data)
    primitive = structs()["primitive"].read(data, HEADER)
    ring = structs()["ring"].read(data, _STATE)
    kind, problems = _kind(name, header["kind"], primitive["kind"])
    enough = _ENOUGH if kind else _ENOUGH_ALONE
    found = max(
        _candidates(header, primitive, ring, observed.size),
        key=lambda one: _agreeing(one, header, primitive, ring, observed.size),
        default=None,
    )
    if (
        found is None
        or _agreeing(found, header, primitive, ring, observed.size) < enough
        or found["data_offset"] >= observed.size
    ):
        if not kind:
            raise KindError(f"{name}: nothing says that it is a queue or topic", name=name)
        raise CorruptError(
            f"{name}: its header and control block are damaged, and where its messages are cannot "
            "be told from what is left",
            name=name,
        )
    if not kind:
        kind = _by_cursors(observed, found["cursors_offset"])
        what = "queue" if kind == QUEUE else "topic"
        problems.append(f"neither header.kind nor primitive.kind is one; taken for a {what}")
    problems += [
        f"{where} is {value}, and should be {wanted}"
        for where, value, wanted in _told(found, header, primitive, ring)
        if value != wanted
    ]
    if observed.size < found["total_size"]:
        missing = found["total_size"] - observed.size
        problems.append(f"the file was cut off: its last {missing} bytes are missing")
    attempts = ring["max_attempts"]
    return Geometry(
        kind="queue" if kind == QUEUE else "topic",
        maxsize=ring["maxsize"] if kind == QUEUE else 0,
        max_attempts=attempts if found["aside_offset"] and attempts <= _ATTEMPTS_MAX else 0,
        problems=tuple(problems),
        **found,
    )


def _kind(name: str, in_header: int, in_primitive: int) -> tuple[int, list[str]]:
    """0: nobody can tell."""
    rings = (QUEUE, TOPIC)
    if in_header == in_primitive and in_header in rings:
        return in_header, []
    if in_header in rings and in_primitive not in rings:
        return in_header, [f"primitive.kind is {in_primitive}, and should be {in_header}"]
    if in_primitive in rings and in_header not in range(1, QUEUE):
        return in_primitive, [f"header.kind is {in_header}, and should be {in_primitive}"]
    if in_header in rings:
        return in_header, [f"header.kind is {in_header}, primitive.kind {in_primitive}"]
    if in_header not in range(1, QUEUE) and in_primitive not in range(1, QUEUE):
        return 0, []
    raise KindError(f"{name} is neither a queue nor a topic, and has no messages", name=name)


def _by_cursors(observed: Observed, offset: int) -> int:
    """Of a topic `head` stays where it began, of a queue `oldest`: the other one moves on."""
    cursors = structs()["cursors"]
    now = cursors.read(observed.read(offset, cursors.size))
    kept, waiting = (now["tail"] - now[field] & 2**64 - 1 for field in ("oldest", "head"))
    return TOPIC if kept < waiting else QUEUE


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def _placed(participants: int, capacity: int, pieces: int) -> dict[str, int]:
    cursors = _round_up(_SLOTS + participants * SLOT, _LINE)
    seats = cursors + _CURSORS
    data = _round_up(seats + participants * SLOT, PAGE)
    return {
        "participants": participants,
        "capacity": capacity,
        "cursors_offset": cursors,
        "seats_offset": seats,
        "data_offset": data,
        "aside_offset": data + capacity if pieces == 2 else 0,
        "total_size": data + pieces * capacity,
    }


def _candidates(
    header: dict[str, int], primitive: dict[str, int], ring: dict[str, int], size: int
) -> Iterator[dict[str, int]]:
    """All rings that one of the numbers may stand for."""
    before_cursors = (ring["cursors_offset"] - _SLOTS) // SLOT
    before_seats = (ring["seats_offset"] - _CURSORS - _SLOTS) // SLOT
    counts = {
        primitive["participants"],
        header["participants_count"],
        before_cursors,
        before_seats,
    }
    for participants, pieces in itertools.product(sorted(counts), (1, 2)):
        if not 1 <= participants <= PARTICIPANTS_MAX:
            continue
        behind = size - _placed(participants, PAGE, 1)["data_offset"]
        sizes = {ring["capacity"], header["data_size"] // pieces, behind // pieces}
        for capacity in sorted(sizes):
            if PAGE <= capacity <= CAPACITY_MAX and capacity & (capacity - 1) == 0:
                yield _placed(participants, capacity, pieces)


def _told(
    found: dict[str, int], header: dict[str, int], primitive: dict[str, int], ring: dict[str, int]
) -> list[tuple[str, int, int]]:
    """Each field that follows from where the parts are, what it says, and what it should."""
    told = [(f"ring.{field}", ring[field], found[field]) for field in (
        "capacity", "cursors_offset", "seats_offset", "data_offset", "aside_offset")]  # fmt: skip
    return [
        *told,
        ("primitive.participants", primitive["participants"], found["participants"]),
        ("header.participants_count", header["participants_count"], found["participants"]),
        ("header.data_offset", header["data_offset"], found["data_offset"]),
        ("header.data_size", header["data_size"], found["total_size"] - found["data_offset"]),
        ("header.total_size", header["total_size"], found["total_size"]),
        ("header.control_offset", header["control_offset"], HEADER),
        ("header.control_size", header["control_size"], PRIMITIVE + STATE),
        ("header.participants_offset", header["participants_offset"], _SLOTS),
        ("header.participant_size", header["participant_size"], SLOT),
    ]


def _agreeing(
    found: dict[str, int],
    header: dict[str, int],
    primitive: dict[str, int],
    ring: dict[str, int],
    size: int,
) -> int:
    """How many of the numbers that tell one ring from another say that it is this one."""
    # The last four are the same for all.
    told = _told(found, header, primitive, ring)[:-4]
    right = sum(value == wanted for _, value, wanted in told)
    return right + (size == found["total_size"])
