"""What `repair` would do: the same, with a copy of the object, which nobody notices."""

from __future__ import annotations

import ctypes
import time

from isthmus._core import mending
from isthmus.inspect.acting import _mended
from isthmus.inspect.acting._unreadable import unreadable
from isthmus.inspect.acting._visiting import ARRAY, QUEUE, RWLOCK, TOPIC
from isthmus.inspect.looking._observed import Vanished
from isthmus.inspect.looking._structs import structs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect.looking._observed import Observed

_LOCK_BYTES, _PLACE, _FIXED, _EACH = 1 << 61, 256, 192, 64
_PERSIST = 8
_LOCKS = (1, 2, 3, 6)  # array, lock, recursive lock, condition: all with such a state
_ABANDONED, _OWNER = 1 << 30, 0xFFFF
# Looks at something that moves, and seconds between two that shall agree.
_ATTEMPTS, _PAUSE = 50, 0.01


def looked(observed: Observed, head: bytearray, lossy: bool) -> list[_mended.Found]:
    """`head`: its start as it should be."""
    header = structs()["header"].read(bytes(head))
    kind = header["kind"]
    found = [
        _mended.dead(kind, slot["pid"], slot["share"], _role(observed, head, kind, number))
        for number, slot in enumerate(_slots(observed, header))
        if slot["pid"] and not _lives(observed, header, number)
    ]
    if kind != ARRAY:
        told = _mend_copy(observed, head, kind, lossy)
        if told:
            # What is only under way looks otherwise a moment later.
            time.sleep(_PAUSE)
            again = set(_mend_copy(observed, head, kind, lossy))
            told = [one for one in told if one in again]
        found.extend(_mended.of_ring(kind, told))
    if kind == QUEUE:
        found.extend(
            _mended.unreadable(record.number, why, left=not lossy)
            for record, why in unreadable(observed)
        )
    return [*found, *abandoned(observed, head, kind), *deserted(observed, head)]


def _table(header: dict[str, int]) -> tuple[int, int]:
    """Where the participants are, and how many there can be."""
    return header["participants_offset"], header["participants_count"]


def _slots(observed: Observed, header: dict[str, int]) -> list[dict[str, int]]:
    start, count = _table(header)
    if not count:
        return []
    return list(structs()["participant"].each(observed.read(start, count * _EACH)))


def _lives(observed: Observed, header: dict[str, int], slot: int) -> bool:
    return observed.held(_LOCK_BYTES + _table(header)[0] + slot * _EACH)[0]


def _role(observed: Observed, head: bytearray, kind: int, slot: int) -> int:
    if kind not in (QUEUE, TOPIC):
        return 0
    seats = structs()["ring"].read(bytes(head), _PLACE + 64)["seats_offset"]
    seat = structs()["seat"]
    return seat.read(observed.read(seats + slot * seat.size, seat.size))["role"]


def _mend_copy(observed: Observed, head: bytearray, kind: int, lossy: bool) -> list[_mended.Told]:
    header = structs()["header"].read(bytes(head))
    copy = _copy(observed, head, kind)
    start, count = _table(header)
    dead = (
        bytes(not alive for alive in observed.held(_LOCK_BYTES + start, _EACH, count))
        if count
        else b""
    )
    # Nobody is to be rung by what is done to a copy.
    doorbells = _PLACE + structs()["primitive"].fields["doorbells"][0]
    copy[doorbells : doorbells + 4] = bytes(4)
    address = ctypes.addressof(ctypes.c_char.from_buffer(copy))
    return mending.mend_copy(address, len(copy), kind, dead or b"\0", lossy)[0]


def _copy(observed: Observed, head: bytearray, kind: int) -> bytearray:
    """All of it. Of a ring, as far as records go, as it was at one moment."""
    total = structs()["header"].read(bytes(head))["total_size"]
    fixed = _PLACE + _FIXED
    if kind not in (QUEUE, TOPIC):
        copy = bytearray(observed.read(0, total))
        copy[:fixed] = head[:fixed]
        return copy
    cursors = structs()["cursors"]
    place = structs()["ring"].read(bytes(head), _PLACE + 64)["cursors_offset"]
    for _ in range(_ATTEMPTS):
        before = observed.read(place, cursors.size)
        if observed.read(place, cursors.size) != before:
            continue
        copy = bytearray(observed.read(0, total))
        first, then = cursors.read(before), cursors.read(observed.read(place, cursors.size))
        if all(first[one] == then[one] for one in ("head", "oldest", "aside_head")):
            # What was written over lay before these: the records up to `tail` are whole.
            copy[place : place + cursors.size] = before
            copy[:fixed] = head[:fixed]
            return copy
    raise Vanished(observed.path)


def deserted(observed: Observed, head: bytearray) -> list[_mended.Found]:
    """That nobody has it, where that matters."""
    header = structs()["header"].read(bytes(head))
    flags = structs()["primitive"].read(bytes(head), _PLACE)["flags"]
    if header["kind"] == ARRAY or flags & _PERSIST or observed.held(_LOCK_BYTES + _PLACE)[0]:
        return []
    return [_mended.nobody()]


def abandoned(observed: Observed, head: bytes | bytearray, kind: int) -> list[_mended.Found]:
    """That the next owner of a lock is told of a death: no damage. `head`: as it should be."""
    header = structs()["header"].read(bytes(head))
    state = _PLACE + 64
    if kind == ARRAY:
        control = structs()["array"].read(bytes(head), _PLACE)
        state = control["lock_offset"] + 64
    if state + 64 > observed.size:
        return []
    if kind == RWLOCK:
        found = structs()["rwlock"].read(observed.read(state, 64))
        told = found["abandoned"] == 1
    elif kind in _LOCKS:
        found = structs()["lock"].read(observed.read(state, 64))
        told = bool(found["word"] & _ABANDONED)
    else:
        return []
    owner = found["word"] & _OWNER
    if owner and owner <= header["participants_count"]:
        told = told or not _lives(observed, header, owner - 1)
    return [_mended.abandoned()] if told else []
