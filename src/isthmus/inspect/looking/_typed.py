"""A typed object of isthmus as it lies in its file: the parts that do not change, checked.

Everything is read from copies, and nothing that is read is used as a place or a length before it
is checked against the size of the file. What is wrong is noted, and what can be read in spite of
it is read: an inspector is for objects that are damaged, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from isthmus._core import memory
from isthmus.inspect._model import Problem
from isthmus.inspect.looking._structs import structs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect.looking._observed import Observed

# layout.h
MAGIC, VERSION = 0x0A53554D48545349, 1
PRIMITIVE_MAGIC = 0x0A4E595348545349
KINDS = (
    "object",
    "array",
    "lock",
    "rlock",
    "semaphore",
    "event",
    "condition",
    "barrier",
    "rwlock",
    "atomic int",
    "queue",
    "topic",
)
#: What nobody can tell the kind of.
UNKNOWN = "object"
LOCK_BYTES = 1 << 61
ROBUST, READER_PREFERENCE, EXTERNAL_LOCK, PERSIST = 1, 2, 4, 8
HEADER, PRIMITIVE = 256, 64
#: Of the state that follows a primitive; its participants follow that.
STATE = 128
SLOT = 64
PARTICIPANTS_MAX = 32768
PAGE = max(4096, memory.page_size())
CAPACITY_MAX = 1 << 44
#: Bytes that say what an object is, from its start.
HEAD = HEADER + PRIMITIVE + STATE


@cache
def fingerprint(kind: int) -> int:
    return memory.fingerprint(kind)


@dataclass(slots=True)
class Ring:
    """Where the parts of a queue or topic are: bytes from the start of the file."""

    capacity: int
    maxsize: int
    max_attempts: int
    cursors: int
    seats: int
    data: int
    aside: int


@dataclass(slots=True)
class Typed:
    """What is to be known without a look at what changes."""

    observed: Observed
    header: dict[str, int]
    kind: int
    #: Where its primitive is (of an array: that of its lock), or None: it cannot be found.
    place: int | None
    primitive: dict[str, int] = field(default_factory=dict)
    #: The bytes after the primitive, as they were at the look.
    state: bytes = b""
    #: Slots that there are, and slots that were ever taken.
    count: int = 0
    used: int = 0
    ring: Ring | None = None
    #: The control block of an array.
    array: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def kind_name(self) -> str:
        return KINDS[self.kind]

    @property
    def persist(self) -> bool:
        return bool(self.primitive.get("flags", 0) & PERSIST)

    @property
    def slots(self) -> int:
        """Where the participant table is."""
        return (self.place or 0) + PRIMITIVE + STATE

    def damage(self, what: str, remedy: str = "") -> None:
        self.problems.append(Problem("damage", what, remedy or _REPAIR))


_REPAIR = "Try `isthmus repair` with its name; if that cannot help, remove it and make it anew."


def read(observed: Observed) -> Typed:
    """Read what an object is; `Vanished` when it goes away meanwhile."""
    head = observed.read(0, min(HEAD, observed.size)).ljust(HEAD, b"\0")
    header = structs()["header"].read(head)
    typed = Typed(observed, header, 0, None)
    sound = _check_header(typed)
    if header["kind"] == 1 and sound:
        _read_array(typed)
    else:
        # All others have their primitive right after the header: that is looked for also where
        # the header is damaged.
        _read_primitive(typed, head, HEADER)
    return typed


def _check_header(typed: Typed) -> bool:
    header, size = typed.header, typed.observed.size
    if size < HEADER:
        typed.damage(f"It has {size} bytes, fewer than a header takes.", _REMOVE)
        return False
    if header["magic"] != MAGIC:
        what = "is empty" if header["magic"] == 0 else "does not say that it is of isthmus"
        typed.damage(f"Its header {what}.")
        return False
    if header["version"] != VERSION:
        typed.problems.append(
            Problem(
                "warning",
                f"It has format version {header['version']}; this isthmus reads {VERSION}.",
                "Look at it with the version of isthmus that made it.",
            )
        )
        return False
    kind = header["kind"]
    if not 0 < kind < len(KINDS):
        typed.damage(f"Its header names a kind that there is not: {kind}.")
        return False
    typed.kind = kind
    if header["fingerprint"] != fingerprint(kind):
        typed.damage(
            "Its header has the fingerprint of another layout: it is damaged, or was made by "
            "another build of isthmus."
        )
        return False
    if header["total_size"] > size:
        typed.damage(f"It is cut off: {size} of {header['total_size']} bytes are there.", _REMOVE)
    return True


_REMOVE = "Nothing can bring back what is missing: remove it with `isthmus rm`."


def _read_primitive(typed: Typed, head: bytes, place: int) -> None:
    """`head`: the bytes up to the participants, of which the primitive is at its end."""
    start = len(head) - PRIMITIVE - STATE
    primitive = structs()["primitive"].read(head, start)
    kind = primitive["kind"]
    if primitive["magic"] != PRIMITIVE_MAGIC or not 1 < kind < len(KINDS):
        if typed.kind:
            typed.damage("Its control block is damaged: it does not begin as it should.")
        return
    expected = 3 if typed.kind == 1 else typed.kind
    if expected and kind != expected:
        typed.damage(f"Its header says {KINDS[expected]}, its control block {KINDS[kind]}.")
        return
    if not typed.kind:
        typed.kind = kind
    count = primitive["participants"]
    if count > PARTICIPANTS_MAX or place + PRIMITIVE + STATE + count * SLOT > typed.observed.size:
        typed.damage(f"Its participant table has {count} slots, more than there can be.")
        count = 0
    if primitive["used"] > count:
        typed.damage(f"{primitive['used']} of {count} participant slots are said to be in use.")
    typed.place, typed.primitive, typed.state = place, primitive, head[start + PRIMITIVE :]
    typed.count, typed.used = count, min(primitive["used"], count)
    if typed.kind > 9:
        _read_ring(typed)


def _read_ring(typed: Typed) -> None:
    """Only if everything is where the core expects it (isthmus_ring_read_shared)."""
    state = structs()["ring"].read(typed.state)
    capacity, pieces = state["capacity"], 2 if state["max_attempts"] else 1
    if capacity < PAGE or capacity > CAPACITY_MAX or capacity & (capacity - 1):
        typed.damage(f"Its capacity, {capacity} bytes, is none that a ring can have.")
        return
    cursors = -(-(typed.slots + typed.count * SLOT) // 128) * 128
    seats = cursors + structs()["cursors"].size
    data = -(-(seats + typed.count * structs()["seat"].size) // PAGE) * PAGE
    aside = data + capacity if pieces == 2 else 0
    found = tuple(state[key] for key in _PLACES)
    if found != (cursors, seats, data, aside):
        typed.damage("Its control block names other places than those where its parts are.")
    if data + pieces * capacity > typed.observed.size:
        if not any("cut off" in problem.what for problem in typed.problems):
            typed.damage("Its capacity is more than there is in its file.")
        return
    typed.ring = Ring(
        capacity, state["maxsize"], state["max_attempts"], cursors, seats, data, aside
    )


_PLACES = ("cursors_offset", "seats_offset", "data_offset", "aside_offset")


def _read_array(typed: Typed) -> None:
    header, observed = typed.header, typed.observed
    whole = structs()["array"].size
    if header["control_offset"] + whole > observed.size:
        typed.damage("Its control block lies beyond its end.")
        return
    block = observed.read(header["control_offset"], whole)
    control = structs()["array"].read(block)
    ndim = control["ndim"]
    if ndim > 64 or control["dtype_offset"] + control["dtype_size"] > observed.size:
        typed.damage("Its control block is damaged: the shape or the dtype cannot be.")
        return
    typed.array = control
    place = control["lock_offset"]
    end = place + PRIMITIVE + STATE
    if place % 64 or place < HEADER or end > observed.size:
        typed.damage("Its control block names a place for its lock that cannot be.")
        return
    _read_primitive(typed, observed.read(place, end - place), place)


def shape_and_dtype(typed: Typed) -> tuple[tuple[int, ...], str] | None:
    """Of an array whose control block is sound: shape, and the dtype as JSON text."""
    if not typed.array:
        return None
    offset = typed.header["control_offset"]
    block = typed.observed.read(offset, structs()["array"].size)
    shape = structs()["array"].numbers(block, "shape", 8)[: typed.array["ndim"]]
    # No dtype takes more than this to say, and a damaged size might.
    size = min(typed.array["dtype_size"], 65536)
    text = typed.observed.read(typed.array["dtype_offset"], size)
    return shape, text.decode("utf-8", "replace")


# What is kept for the next one to open it, if its word says that an owner died.
_OWNED = ("lock", "rlock", "condition", "rwlock")


def owed_a_report(typed: Typed) -> bool:
    """Whether the next one to open it is to be told that an owner died (object.c)."""
    if typed.kind_name not in _OWNED:
        return False
    state = structs()["rwlock"].read(typed.state)
    return bool(state["word"] or (typed.kind_name == "rwlock" and state["abandoned"]))
