"""The layout map of a typed object: what is where in its file."""

from __future__ import annotations

from isthmus.inspect._model import Region
from isthmus.inspect.looking._structs import structs
from isthmus.inspect.looking._typed import HEADER, PRIMITIVE, SLOT, STATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect.looking._typed import Typed


def regions(typed: Typed) -> tuple[Region, ...]:
    """In order, with what lies between them, up to the end of the file."""
    whole = min(HEADER, typed.observed.size)
    found = [Region("header", 0, whole, "what it is, how large, who made it")]
    if typed.array:
        start, header = typed.header["control_offset"], typed.header
        found.append(Region("array", start, structs()["array"].size, "shape and element size"))
        control = typed.array
        found.append(Region("dtype", control["dtype_offset"], control["dtype_size"], "as JSON"))
        found.append(Region("elements", header["data_offset"], header["data_size"]))
    if typed.place is not None:
        what = "its lock" if typed.array else "kind, flags, participants"
        found.append(Region("primitive", typed.place, PRIMITIVE, what))
        what = "configuration" if typed.kind > 9 else "the state"
        found.append(Region("state", typed.place + PRIMITIVE, STATE, what))
        note = f"{typed.count} slots of {SLOT} bytes, {typed.used} ever taken"
        found.append(Region("participants", typed.slots, typed.count * SLOT, note))
    ring = typed.ring
    if ring is not None:
        seat = structs()["seat"].size
        found.append(Region("cursors", ring.cursors, structs()["cursors"].size, "positions, locks"))
        note = f"{typed.count} of {seat} bytes"
        found.append(Region("seats", ring.seats, typed.count * seat, note))
        found.append(Region("records", ring.data, ring.capacity, "mapped twice by its users"))
        if ring.aside:
            found.append(Region("aside", ring.aside, ring.capacity, "messages set aside"))
    return tuple(_filled(sorted(found, key=lambda one: one.offset), typed.observed.size))


def _filled(found: list[Region], size: int) -> list[Region]:
    whole: list[Region] = []
    at = 0
    for region in found:
        if region.size == 0 or region.offset < at or region.offset + region.size > size:
            continue  # damaged: it is not there
        if region.offset > at:
            whole.append(Region("unused", at, region.offset - at, "alignment"))
        whole.append(region)
        at = region.offset + region.size
    if at < size:
        whole.append(Region("unused", at, size - at, "to the end of the file"))
    return whole
