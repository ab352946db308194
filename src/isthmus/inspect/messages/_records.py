"""The messages that lie in a queue or topic, read from outside without anybody noticing.

Producers and consumers go on meanwhile. So what was copied counts only if, after the copy, the
first cursor has not passed it: before that moment nobody writes over it. What was overwritten
while it was read is passed over, as subscribers do; the numbers of the messages tell of it.

The ring is mapped once here, not twice, so a record that goes on at its start is copied in two
pieces. Nothing that was read is used as a place or a length before it is checked; all loops end
at the `tail` that was there when they began.
"""

from __future__ import annotations

import struct
from collections import deque

from isthmus.inspect.looking._structs import structs
from isthmus.inspect.messages._geometry import geometry
from isthmus.inspect.messages._record import (
    MASK,
    UNIT,
    Content,
    Cursors,
    Record,
    behind,
    check_of,
    damaged,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from isthmus.inspect.looking._observed import Observed
    from isthmus.inspect.messages._record import State

_RECORD = struct.Struct("=QQIHHII")
_META_MOST = 1 << 17
_DONE, _SLOT = 1 << 31, 0xFFFF
# How much of the ring is copied at once: little where records are large, for only their first
# bytes are looked at, more where they lie close together.
_WINDOW_LEAST, _WINDOW_MOST = 1 << 12, 1 << 16
# How far behind a damaged record the next one is searched for: a second's work.
_SEARCH_MOST = 1 << 26
# And from somewhere in the middle of a ring, where records are small; large ones are soon passed.
_NEAR_MOST = 1 << 20
# Looks at cursors that others move, until two agree.
_TRIES = 64


class RingReader:
    """The ring of a queue or topic in a file that is looked at.

    Raises what `geometry` raises; every method `Vanished` where the file is cut off meanwhile.
    """

    __slots__ = ("_observed", "geometry")

    def __init__(self, observed: Observed) -> None:
        self._observed = observed
        #: Where its parts are, and which of its fields are wrong.
        self.geometry = geometry(observed)

    # ---- Cursors -----------------------------------------------------------------------

    def cursors(self, *, aside: bool = False) -> Cursors:
        """Where it begins and ends now; `aside`: of what was set aside, which is not counted."""
        first_at, tail_at = self._fields(aside)
        for _ in range(_TRIES):
            before, tail, first = self._word(first_at), self._word(tail_at), self._word(first_at)
            bad = first % UNIT or tail % UNIT or (tail - first & MASK) > self.geometry.capacity
            # With none of them moving meanwhile, it is not that we were too slow.
            if not bad or before == first:
                break
        problems: list[str] = []
        put, tail_noted = (None, None) if aside else self._noted("tail", "put")
        done, head_noted = self._noted("head", "got") if not aside and self._queue else (None, None)
        if bad:
            first, tail = self._repaired(first, tail, head_noted, tail_noted, problems)
        if not aside and put is None:
            problems.append("neither note of the tail belongs to it: how many were put is unknown")
        if not aside and self._queue and done is None:
            problems.append("neither note of the head belongs to it: how many are done is unknown")
        closed = self._word(self._place_of("closed"), 4)
        return Cursors(
            first=first,
            tail=tail,
            put=put,
            done=done,
            closed=bool(closed & 1),
            discarded=bool(closed & 2),
            guessed=bool(bad),
            problems=tuple(problems),
        )

    @property
    def _queue(self) -> bool:
        return self.geometry.kind == "queue"

    def _place_of(self, field: str) -> int:
        return self.geometry.cursors_offset + structs()["cursors"].fields[field][0]

    def _fields(self, aside: bool) -> tuple[int, int]:
        """Where the cursors of the first and of the last end stand."""
        if aside:
            return self._place_of("aside_head"), self._place_of("aside_tail")
        return self._place_of("head" if self._queue else "oldest"), self._place_of("tail")

    def _word(self, offset: int, size: int = 8) -> int:
        """A number; 0 where the file has been cut off, which is said elsewhere."""
        if offset + size > self._observed.size:
            return 0
        return int(struct.unpack("=Q" if size == 8 else "=I", self._observed.read(offset, size))[0])

    def _noted(self, cursor: str, notes: str) -> tuple[int | None, int | None]:
        """How many messages are before a cursor; and the position of a note that could be its."""
        cursor_at, notes_at = self._place_of(cursor), self._place_of(notes)
        count = None
        if notes_at + 32 > self._observed.size:
            return None, None
        for _ in range(_TRIES):
            position = self._word(cursor_at)
            note = struct.unpack("=4Q", self._observed.read(notes_at, 32))
            count = next((note[i + 1] for i in (0, 2) if note[i] == position), None)
            # As long as the cursor is there, its note is not written.
            if self._word(cursor_at) == position:
                break
        newest = max(
            (note[i : i + 2] for i in (0, 2) if note[i] % UNIT == 0),
            key=lambda one: one[1],
            default=(None, 0),
        )
        return count, newest[0]

    def _repaired(
        self,
        first: int,
        tail: int,
        head_noted: int | None,
        tail_noted: int | None,
        problems: list[str],
    ) -> tuple[int, int]:
        """A beginning and an end that can be, from what the notes say."""
        problems.append(f"the cursors {first} and {tail} cannot be those of one ring")
        for start, end in ((first, tail_noted), (head_noted, tail), (head_noted, tail_noted)):
            if start is None or end is None or start % UNIT or end % UNIT:
                continue
            if (end - start & MASK) <= self.geometry.capacity:
                return start, end
        return tail & ~(UNIT - 1), tail & ~(UNIT - 1)

    # ---- Records -----------------------------------------------------------------------

    def records(
        self,
        *,
        start: int | Literal["oldest"] = "oldest",
        limit: int | None = None,
        aside: bool = False,
    ) -> Iterator[Record]:
        """The records from a position on, to the end that there is now, `limit` at most.

        From the oldest one, where `start` has been written over. A damaged one is given out as
        such, and then the next one that is sound.
        """
        if aside and not self.geometry.aside_offset:
            return iter(())
        ends = self.cursors(aside=aside)
        position = ends.first if start == "oldest" else start + UNIT - 1 & -UNIT & MASK
        if (position - ends.first & MASK) > (ends.tail - ends.first & MASK):
            if behind(ends.tail, position):
                return iter(())
            position = ends.first
        return self._walk(position, ends.tail, limit, aside)

    def _walk(self, position: int, tail: int, limit: int | None, aside: bool) -> Iterator[Record]:
        window, at, step, number = b"", position, _WINDOW_LEAST, None
        while position != tail and (limit is None or limit > 0):
            room = tail - position & MASK
            offset = position - at & MASK
            if offset + UNIT > len(window):
                # Records that follow each other closely are copied many at a time.
                step = min(step * 2, _WINDOW_MOST) if offset <= len(window) else _WINDOW_LEAST
                window, at, offset = self._copy(position, min(step, room), aside), position, 0
                first = self._passed(position, aside)
                if first is not None:
                    # Overwritten while it was read, or before.
                    if (first - position & MASK) >= room:
                        return
                    position, window, number = first, b"", None
                    continue
            record = self._look(window[offset : offset + UNIT], position, room, number, aside)
            if not record.sound:
                record = self._until_next(record, tail, number, aside)
            yield record
            limit = None if limit is None else limit - 1
            number = record.number if record.sound else None
            position = position + record.span & MASK

    def _passed(self, position: int, aside: bool) -> int | None:
        """Where the ring begins by now, if that is behind this position; None: it is not."""
        if not behind(position, self._word(self._fields(aside)[0])):
            return None
        ends = self.cursors(aside=aside)
        # A cursor that is damaged says nothing.
        return ends.first if not ends.guessed and behind(position, ends.first) else None

    def last(self, count: int, *, aside: bool = False) -> list[Record]:
        """The last records, in their order; of a long ring without reading all of it."""
        if count <= 0:
            return []
        ends = self.cursors(aside=aside)
        distance = max(1 << 14, count * 128)
        while not aside and distance < (ends.tail - ends.first & MASK):
            # From somewhere in the middle: a start is right if all fits from there to the end.
            near = ends.tail - distance & MASK
            # Not all of a huge record is searched for another one.
            start = self._search(near, ends.tail, None, aside, min(distance, _NEAR_MOST))
            if start is not None:
                found = list(self._walk(start, ends.tail, None, aside))
                if len(found) > count and all(one.problem is None for one in found):
                    return found[-count:]
            distance *= 4
        return list(deque(self.records(aside=aside), count))

    def content(self, record: Record, *, limit: int | None = None) -> Content | None:
        """What a sound record carries, at most `limit` bytes of payload.

        None: it has been overwritten meanwhile.
        """
        most = record.size if limit is None else min(limit, record.size)
        meta_size = min(record.data - UNIT, _META_MOST)
        meta = self._copy(record.position + UNIT & MASK, meta_size, record.aside)
        payload = self._copy(record.position + record.data & MASK, most, record.aside)
        if self._passed(record.position, record.aside) is not None:
            return None
        return Content(meta, payload, len(payload) == record.size)

    # ---- Bytes -------------------------------------------------------------------------

    def _copy(self, position: int, size: int, aside: bool) -> bytes:
        """Bytes of the ring, which may go on at its start; fewer where the file was cut off."""
        capacity = self.geometry.capacity
        base = self.geometry.aside_offset if aside else self.geometry.data_offset
        place = position & (capacity - 1)
        size = min(size, capacity)
        here = min(size, capacity - place)
        first = self._clipped(base + place, here)
        return first if here == size or len(first) < here else first + self._clipped(
            base, size - here
        )  # fmt: skip

    def _clipped(self, offset: int, size: int) -> bytes:
        size = min(size, self._observed.size - offset)
        return self._observed.read(offset, size) if size > 0 else b""

    def _look(
        self, data: bytes, position: int, room: int, before: int | None, aside: bool
    ) -> Record:
        """The record of which these are the first bytes; `before`: the number of the last one."""
        if len(data) < UNIT:
            return damaged(position, aside, "the file was cut off before it")
        number, size, start, kind, attempts, state, check = _RECORD.unpack(data)
        span = start + size + UNIT - 1 & ~(UNIT - 1)
        wrong = None
        if check != check_of(position, number, size, start, kind):
            wrong = "its check is wrong: no record begins here, or it was written over"
        elif start < UNIT or start % UNIT:
            wrong = f"its payload cannot begin after {start} bytes"
        elif span > room:
            wrong = f"its {size} bytes of payload would end beyond the last record"
        if wrong is not None:
            fields = {"number": number, "size": size, "type": kind, "data": start}
            return damaged(position, aside, wrong, **fields)
        meaning, worker = self._state(state)
        if meaning is None:
            wrong = f"its state is {state:#x}, which means nothing"
        elif not aside and before is not None and number != before + 1 & MASK:
            wrong = f"its number is {number}, after {before}"
        return Record(
            position=position,
            number=number,
            type=kind,
            size=size,
            data=start,
            attempts=attempts,
            state=meaning or "ready",
            worker=worker,
            span=span,
            sound=True,
            problem=wrong,
            aside=aside,
        )

    def _state(self, state: int) -> tuple[State | None, int | None]:
        if state == 0 or not self._queue:
            return "ready", None
        if state == _DONE:
            return "done", None
        if state & ~_SLOT or state > self.geometry.participants:
            return None, None
        return "leased", state - 1

    # ---- After damage ------------------------------------------------------------------

    def _until_next(self, record: Record, tail: int, before: int | None, aside: bool) -> Record:
        """The same damaged record, reaching to the next one that is sound, or to the end."""
        room = tail - record.position & MASK
        found = self._search(
            record.position + UNIT & MASK, tail, before, aside, min(room, _SEARCH_MOST)
        )
        span = room if found is None else found - record.position & MASK
        fields = {field: getattr(record, field) for field in Record.__dataclass_fields__}
        return Record(**{**fields, "span": span})

    def _search(
        self, position: int, tail: int, before: int | None, aside: bool, most: int
    ) -> int | None:
        """Where the next record begins, at most so many bytes further on.

        The check covers position and number, so bytes of a payload hardly ever look like one.
        """
        while (room := tail - position & MASK) and room <= self.geometry.capacity and most > 0:
            window = self._copy(position, min(room, _WINDOW_MOST, most + UNIT), aside)
            whole = len(window) // UNIT * UNIT
            if not whole:
                # Cut off. The ring goes on at its start, which is there.
                jump = self.geometry.capacity - (position & (self.geometry.capacity - 1))
                if jump >= room:
                    return None
                position, most = position + jump & MASK, most - jump
                continue
            for index, fields in enumerate(_RECORD.iter_unpack(window[:whole])):
                number, size, start, kind, _, _, check = fields
                if start < UNIT or start % UNIT:
                    continue
                here = position + index * UNIT & MASK
                if check != check_of(here, number, size, start, kind):
                    continue
                if start + size <= (tail - here & MASK) and (before is None or number > before):
                    return here
            position, most = position + whole & MASK, most - whole
        return None


def cursors(observed: Observed) -> Cursors:
    """Where the ring of a queue or topic begins and ends. See `RingReader`."""
    return RingReader(observed).cursors()


def records(
    observed: Observed, *, start: int | Literal["oldest"] = "oldest", limit: int | None = None
) -> Iterator[Record]:
    """The records of a queue or topic in their order. See `RingReader`."""
    return RingReader(observed).records(start=start, limit=limit)


def last(observed: Observed, count: int) -> list[Record]:
    """The last records of a queue or topic. See `RingReader`."""
    return RingReader(observed).last(count)
