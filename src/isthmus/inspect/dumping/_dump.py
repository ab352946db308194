"""`dump`: what is in an object, byte by byte if need be, whole or damaged."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from itertools import islice

from isthmus.errors import (
    AccessError,
    ArgumentError,
    ForeignError,
    FormatError,
    IsthmusError,
    KindError,
    NotFoundError,
)
from isthmus.inspect._address import Address
from isthmus.inspect.dumping import _dump_foreign, _dump_parts
from isthmus.inspect.dumping._dump_model import Dump, Message
from isthmus.inspect.looking import _regions, _typed
from isthmus.inspect.looking._observed import Observed, Vanished
from isthmus.inspect.messages import _decode, _elements
from isthmus.inspect.messages._records import RingReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal, TypeVar

    from isthmus.inspect.dumping._dump_model import Piece
    from isthmus.inspect.looking._typed import Typed
    from isthmus.inspect.messages._record import Cursors, Record

    Start = Literal["oldest", "newest"] | int
    Found = TypeVar("Found")

# A file that is cut off while it is looked at is looked at again, as often as this.
_TRIES = 4
_ELEMENTS_SEEN = 4096
_ALL = 1 << 62


def dump(
    address: str | Address,
    *,
    records: int | None = 10,
    start: Start = "newest",
    bytes_of: tuple[int, int] | str | None = None,
    payload: int = _decode.ENOUGH,
    width: int = 80,
) -> Dump:
    """Take one object apart: header, control block, participants, messages, bytes.

    Args:
        address: what to call it by, see `Address`.
        records: of a queue or topic, how many messages; None: all.
        start: which ones: "newest": the last ones; "oldest": the first ones; or the number of the
            message to begin with.
        bytes_of: also these bytes of the file, from and to; or the name of a region, as `info`
            has them: "header", "cursors", "records" …
        payload: of each message, so many bytes at most.
        width: characters of a preview.

    Reads only, and blocks for nothing; nobody who uses the object can tell. Pickles are not
    loaded. Of an object that is damaged or cut off, all is told that can still be read, and
    `problems` say the rest.

    Raises `NotFoundError` when there is no such object, or it goes away meanwhile; `AccessError`
    when this user may not read it; `ForeignError` where the name is no shared memory's;
    `UnsupportedError` for a message queue of the system, whose messages can only be taken out;
    `ArgumentError`.

    >>> import isthmus
    >>> with isthmus.Queue("dumped-example") as q:
    ...     q.put({"job": 1})
    ...     isthmus.inspect.dump("dumped-example").messages[0].preview
    "{'job': 1}"
    """
    where = address if isinstance(address, Address) else Address.parse(address)
    if records is not None and records < 0:
        raise ArgumentError(f"records must be 0 or more, or None for all, not {records}")
    if payload < 0:
        raise ArgumentError(f"payload must be 0 or more, not {payload}")
    if records is not None:
        records = min(records, _ALL)
    if not (start in ("oldest", "newest") or (isinstance(start, int) and start >= 0)):
        raise ArgumentError(f'start must be "oldest", "newest" or a number, not {start!r}')
    if where.path is None or where.kind is not None:
        return _dump_foreign.without_file(where, bytes_of)

    def taken(observed: Observed) -> Dump:
        if where.family == "posix":
            return _dump_foreign.of_file(where, observed, bytes_of)
        return _typed_dump(where, observed, records, start, bytes_of, payload, width)

    return _looked(where, taken)


def payload(address: str | Address, number: int) -> bytes:
    """All of the payload of one message of a queue or topic, by its number, as it lies there.

    Raises what `dump` raises, `NotFoundError` also where there is no such message, or it was
    overwritten before it was read; `KindError` of what is no queue or topic; `FormatError` where
    damage leaves no ring to be found.
    """
    where = address if isinstance(address, Address) else Address.parse(address)
    if where.path is None or where.family != "isthmus" or where.kind is not None:
        raise KindError(f"{str(where)!r} is neither a queue nor a topic", name=where.name)

    def taken(observed: Observed) -> bytes:
        reader = RingReader(observed)
        for aside in (False, True):
            for record in reader.records(aside=aside):
                if record.sound and record.number == number and (not aside or _live(record)):
                    content = reader.content(record)
                    if content is not None:
                        return content.payload
        raise NotFoundError(
            f"{str(where)!r} has no message {number} now: it is done with, was overwritten, or "
            "was never put",
            name=where.name,
        )

    return _looked(where, taken)


def _looked(where: Address, taken: Callable[[Observed], Found]) -> Found:
    for _ in range(_TRIES):
        try:
            with Observed(where.path or "") as observed:
                return taken(observed)
        except Vanished:
            # Or it was cut off meanwhile: then there is a shorter one to be looked at.
            if not os.path.lexists(where.path or ""):
                break
        except IsthmusError:
            raise
        except PermissionError as error:
            raise AccessError(
                f"{str(where)!r} may not be read: {error.strerror}; ask as its owner, or as root",
                name=where.name,
            ) from None
        except OSError as error:
            raise ForeignError(
                f"{str(where)!r} is no shared memory: {where.path} is a link, a folder, or the "
                f"like ({error.strerror})",
                name=where.name,
            ) from None
    raise where.missing()


def _typed_dump(
    where: Address,
    observed: Observed,
    records: int | None,
    start: Start,
    bytes_of: tuple[int, int] | str | None,
    payload: int,
    width: int,
) -> Dump:
    typed = _typed.read(observed)
    problems = [one.what for one in typed.problems]
    reader = None
    if typed.kind > 9 or typed.kind == 0:
        try:
            reader = RingReader(observed)
        except FormatError as error:
            if typed.kind:
                problems.append(str(error))
    parts, wrong = _dump_parts.parts(typed, None if reader is None else reader.geometry)
    problems += wrong
    kind = typed.kind_name if reader is None else reader.geometry.kind
    taken = Dump(
        address=str(where),
        name=where.name,
        kind=kind,
        taken=time.time(),
        path=where.path,
        size=observed.size,
        extents=_dump_parts.extents(observed),
        parts=tuple(parts),
        elements=_first_elements(typed, width),
        pieces=_pieces(typed, bytes_of),
        problems=tuple(problems),
    )
    return (
        taken if reader is None else _with_messages(taken, reader, records, start, payload, width)
    )


def _with_messages(
    taken: Dump, reader: RingReader, records: int | None, start: Start, payload: int, width: int
) -> Dump:
    ends = reader.cursors()
    found = [_message(reader, one, payload, width) for one in _chosen(reader, records, start)]
    beside = [
        _message(reader, one, payload, width)
        for one in reader.last(records if records is not None else _ALL, aside=True)
        if _live(one)
    ]
    geometry = reader.geometry
    problems = [*taken.problems, *geometry.problems, *ends.problems]
    for one in (message.record for message in [*found, *beside]):
        if one.problem is None:
            continue
        base = geometry.aside_offset if one.aside else geometry.data_offset
        place = base + one.position % geometry.capacity
        rest = "" if one.sound else f"; the {one.span} bytes from there on are passed over"
        problems.append(f"the record at position {one.position}, byte {place}: {one.problem}{rest}")
    return replace(
        taken,
        messages=tuple(found),
        kept=_kept(reader, ends),
        aside=tuple(beside),
        problems=tuple(dict.fromkeys(problems)),
    )


def _live(record: Record) -> bool:
    """One that was set aside and is done with is no message any more."""
    return record.state != "done"


def _chosen(reader: RingReader, records: int | None, start: Start) -> list[Record]:
    if start == "newest" and records is not None:
        return reader.last(records)
    found = reader.records()
    if isinstance(start, int):
        found = (one for one in found if not one.sound or one.number >= start)
    return list(islice(found, records))


def _kept(reader: RingReader, ends: Cursors) -> int | None:
    """Records between the first that counts and the end, those that are done among them."""
    if ends.guessed or ends.put is None:
        return None
    if reader.geometry.kind == "queue":
        return None if ends.done is None else max(0, ends.put - ends.done)
    oldest = next(reader.records(limit=1), None)
    if oldest is None:
        return 0
    return max(0, ends.put - oldest.number) if oldest.sound else None


def _message(reader: RingReader, record: Record, limit: int, width: int) -> Message:
    kind = _decode.type_name(record.type) if record.sound else "-"
    if not record.sound:
        return Message(record=record, type=kind, preview=record.problem or "", payload=b"")
    # A preview of a pickle or an array needs more than may be wanted of the payload.
    content = reader.content(record, limit=max(limit, _decode.ENOUGH))
    if content is None:
        return Message(
            record=record,
            type=kind,
            preview="overwritten while it was read",
            payload=b"",
            overwritten=True,
        )
    preview = _decode.preview(record, content, width)
    return Message(record=record, type=kind, preview=preview, payload=content.payload[:limit])


def _first_elements(typed: Typed, width: int) -> str | None:
    described = _typed.shape_and_dtype(typed)
    header = typed.header
    if described is None or header["data_offset"] > typed.observed.size:
        return None
    found = _elements.Elements(
        described[1], described[0], typed.array["itemsize"], bool(typed.array["flags"] & 1)
    )
    if found.itemsize < 1:
        return None
    there = min(header["data_size"], typed.observed.size - header["data_offset"], _ELEMENTS_SEEN)
    return _decode.printable(
        _elements.preview(found, typed.observed.read(header["data_offset"], there), width)
    )


def _pieces(typed: Typed, bytes_of: tuple[int, int] | str | None) -> tuple[Piece, ...]:
    if bytes_of is None:
        return ()
    if isinstance(bytes_of, str):
        regions = _regions.regions(typed)
        region = next((one for one in regions if one.name == bytes_of), None)
        if region is None:
            known = ", ".join(dict.fromkeys(one.name for one in regions))
            raise ArgumentError(f"there is no region {bytes_of!r} in it; there are: {known}")
        bytes_of = region.offset, region.offset + region.size
    return _dump_parts.pieces(typed.observed, bytes_of)
