"""The structs of an object, field by field, as far as they are there."""

from __future__ import annotations

import os
from itertools import islice

from isthmus.errors import ArgumentError
from isthmus.inspect.dumping._dump_model import Field, Part, Piece
from isthmus.inspect.dumping._meanings import Meanings
from isthmus.inspect.looking import _typed
from isthmus.inspect.looking._seats import Clocks
from isthmus.inspect.looking._structs import structs
from isthmus.inspect.looking._typed import HEADER, LOCK_BYTES, PRIMITIVE, SLOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from isthmus.inspect.looking._observed import Observed
    from isthmus.inspect.looking._structs import Struct
    from isthmus.inspect.looking._typed import Typed
    from isthmus.inspect.messages._geometry import Geometry

_STATES = {
    1: "lock", 2: "lock", 3: "lock", 4: "semaphore", 5: "event", 6: "condition", 7: "barrier",
    8: "rwlock", 9: "atomic_int", 10: "ring", 11: "ring",
}  # fmt: skip
# Fields that are arrays of numbers: bytes of each.
_ARRAYS = {"array.shape": 8, "barrier.broken": 4, "cursors.put": 8, "cursors.got": 8}
_TOPIC_ONLY = {"oldest", "overwriting", "floor", "pin_floor", "epoch", "epoch_seen", "evicted"}
_QUEUE_ONLY = {
    "head_seen", "gone_seen", "recount", "head", "got", "consumer", "returned", "next",
    "tail_seen", "out", "moving", "aside_head", "aside_tail", "aside_count", "finished",
    "redelivered", "put_aside",
}  # fmt: skip
# More of them are not told of a file that is scattered so much.
_EXTENTS_MOST = 1000


def parts(typed: Typed, ring: Geometry | None) -> tuple[list[Part], list[str]]:
    """All structs with their fields; and a sentence for each field that cannot be."""
    looked = _Parts(typed, ring)
    looked.header()
    looked.control()
    looked.participants()
    return looked.parts, looked.problems


class _Parts:
    def __init__(self, typed: Typed, ring: Geometry | None) -> None:
        self.typed, self.ring, self.observed = typed, ring, typed.observed
        self.parts: list[Part] = []
        self.problems: list[str] = []
        #: Where its primitive is, or should be.
        self.place = HEADER if typed.place is None else typed.place
        self.kind = typed.kind
        if ring is not None:
            self.kind = 10 if ring.kind == "queue" else 11
        self.slots = self._taken()
        self.meanings = Meanings(
            Clocks(),
            self.observed.size,
            self.kind,
            typed.primitive.get("flags", 0),
            typed.count if ring is None else ring.participants,
            self._who,
        )

    def _taken(self) -> dict[int, tuple[int, bool]]:
        """By slot: the process, and whether it lives."""
        count, used = self.typed.count, self.typed.used
        if self.ring is not None:
            # Where the control block is damaged, all of them are looked at.
            count = self.ring.participants
            used = used if self.typed.place is not None else count
        start = self.place + PRIMITIVE + _typed.STATE
        there = min(used, count, max(0, self.observed.size - start) // SLOT)
        if not there:
            return {}
        table = structs()["participant"].each(self.observed.read(start, there * SLOT))
        held = self.observed.held(LOCK_BYTES + start, SLOT, there)
        return {
            number: (fields["pid"], held[number])
            for number, fields in enumerate(table)
            if fields["pid"] or held[number]
        }

    def _who(self, slot: int) -> str:
        pid, alive = self.slots.get(slot, (0, False))
        return f"slot {slot}, pid {pid}{'' if alive else ', dead'}" if pid else f"slot {slot}, free"

    # ---- Sections ----------------------------------------------------------------------

    def header(self) -> None:
        self._add("header", "header", "header", 0)

    def control(self) -> None:
        if self.typed.array:
            offset = self.typed.header["control_offset"]
            self._add("control", "array", "array", offset)
        if self.kind == 1 and not self.typed.array:
            return
        self._add("control", "primitive", "primitive", self.place)
        state = _STATES.get(self.kind)
        if state is not None:
            title = "lock of the array" if self.kind == 1 else state.replace("_", " ")
            self._add("control", state, title, self.place + PRIMITIVE)
        if self.ring is not None:
            self._add("control", "cursors", "cursors", self.ring.cursors_offset)

    def participants(self) -> None:
        start = self.place + PRIMITIVE + _typed.STATE
        for slot, (_, alive) in self.slots.items():
            state = "" if alive else ", dead"
            self._add("participants", "participant", f"slot {slot}{state}", start + slot * SLOT)
            if self.ring is not None:
                seats = self.ring.seats_offset + slot * structs()["seat"].size
                self._add("participants", "seat", f"seat {slot}", seats)

    # ---- Fields ------------------------------------------------------------------------

    def _add(self, section: str, name: str, title: str, offset: int) -> None:
        struct = structs()[name]
        if offset + struct.size > self.observed.size:
            self.problems.append(f"{title}: the file ends before byte {offset + struct.size}")
            return
        data = self.observed.read(offset, struct.size)
        numbers = struct.read(data)
        fields = []
        for field, (at, size) in struct.fields.items():
            if not self._belongs(name, field):
                continue
            value = numbers.get(field)
            if field in numbers and value is not None:
                meaning, wrong = self.meanings.of(name, field, value)
                if field.startswith("reserved") and not wrong:
                    continue
                made = Field(
                    name=field,
                    offset=offset + at,
                    size=size,
                    value=value,
                    meaning=meaning,
                    wrong=wrong,
                )
            else:
                found = self._array(struct, data, offset, field)
                if found is None:
                    continue
                made = found
            if made.wrong:
                number = f"{made.value}: " if isinstance(made.value, int) else ""
                what = f"{title}.{field}, byte {made.offset}: {number}{made.meaning}"
                self.problems.append(what)
            fields.append(made)
        if name == "array":
            fields += self._dtype(numbers)
        self.parts.append(Part(section=section, title=title, offset=offset, fields=tuple(fields)))

    def _belongs(self, struct: str, field: str) -> bool:
        if struct == "cursors":
            return field not in (_TOPIC_ONLY if self.kind == 10 else _QUEUE_ONLY)
        if struct == "seat" and self.kind == 10:
            return field in ("debt", "role")
        if struct == "seat":
            return field != "debt"
        return not (struct == "ring" and self.kind == 11 and field in ("maxsize", "max_attempts"))

    def _array(self, struct: Struct, data: bytes, offset: int, field: str) -> Field | None:
        """One that is several numbers; of reserved ones only if they are not zero."""
        at, size = struct.fields[field]
        unit = _ARRAYS.get(f"{struct.name}.{field}")
        meaning = ""
        if unit is None:
            if not any(data[at : at + size]):
                return None
            values: tuple[int, ...] = tuple(data[at : at + size])
            meaning = "not zero: somebody wrote here"
            return Field(
                name=field, offset=offset + at, size=size, value=values, meaning=meaning, wrong=True
            )
        values = struct.numbers(data, field, unit)
        if field == "shape":
            values = values[: self.typed.array.get("ndim", 0)]
        elif unit == 8:
            cursor = struct.read(data)["tail" if field == "put" else "head"]
            count = next((values[i + 1] for i in (0, 2) if values[i] == cursor), None)
            # Not wrong in itself: the cursor may have moved on while this was read.
            meaning = "no note of its cursor" if count is None else f"{count} messages"
        return Field(name=field, offset=offset + at, size=size, value=values, meaning=meaning)

    def _dtype(self, control: dict[str, int]) -> list[Field]:
        described = _typed.shape_and_dtype(self.typed)
        if described is None:
            return []
        return [
            Field(
                name="dtype",
                offset=control["dtype_offset"],
                size=control["dtype_size"],
                value=described[1],
            )
        ]


# ---- Bytes -----------------------------------------------------------------------------


def extents(observed: Observed) -> tuple[tuple[int, int], ...]:
    """Where something was written, start and end; the holes between them read as zeros."""
    return tuple(islice(_extents(observed, 0, observed.size), _EXTENTS_MOST))


def _extents(observed: Observed, at: int, end: int) -> Iterator[tuple[int, int]]:
    fd = observed.fileno()
    while at < end:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
            at = os.lseek(fd, start, os.SEEK_HOLE)
        except OSError:
            return  # nothing but a hole up to the end
        if start >= end:
            return
        yield start, min(at, end)


def pieces(observed: Observed, bytes_of: tuple[int, int]) -> tuple[Piece, ...]:
    """The bytes that were asked for, as far as they are there, and the holes among them."""
    at, end = checked_range(bytes_of)
    end = min(end, observed.size)
    found: list[Piece] = []
    for start, stop in _extents(observed, at, end):
        if start > at:
            found.append(Piece(at, start - at, None))
        found.append(Piece(start, stop - start, observed.read(start, stop - start)))
        at = stop
    if at < end:
        found.append(Piece(at, end - at, None))
    return tuple(found)


def checked_range(bytes_of: tuple[int, int]) -> tuple[int, int]:
    """From and to; `ArgumentError`."""
    first, end = bytes_of
    if not 0 <= first <= end:
        raise ArgumentError(f"bytes {first} to {end}: the first one must be 0 or more, and first")
    return first, end
