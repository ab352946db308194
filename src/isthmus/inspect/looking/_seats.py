"""Who takes part in an object: its participant table, and what the locks say of the living."""

from __future__ import annotations

import time
from dataclasses import dataclass

from isthmus.inspect._model import Member
from isthmus.inspect.looking._structs import structs
from isthmus.inspect.looking._typed import LOCK_BYTES, SLOT
from isthmus.participant import _command, _namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect.looking._typed import Typed

_DEBT_COUNT = 0xFFFFF
# Command lines by process and time of joining: who starts another program has left before.
Commands = dict[tuple[int, int], str | None]
_COMMANDS_MAX = 10_000


@dataclass(slots=True)
class Slot:
    """A slot that somebody has, or had when it died."""

    number: int
    fields: dict[str, int]
    #: Of a ring: its seat.
    seat: dict[str, int] | None
    alive: bool


def slots(typed: Typed) -> list[Slot]:
    """Those that are taken, in the order of the table."""
    if typed.place is None or not typed.used:
        return []
    observed, start = typed.observed, typed.slots
    table = list(structs()["participant"].each(observed.read(start, typed.used * SLOT)))
    seats = None
    if typed.ring is not None:
        size = structs()["seat"].size
        seats = list(structs()["seat"].each(observed.read(typed.ring.seats, typed.used * size)))
    held = observed.held(LOCK_BYTES + start, SLOT, typed.used)
    return [
        Slot(number, fields, None if seats is None else seats[number], held[number])
        for number, fields in enumerate(table)
        if fields["pid"]
    ]


def present(typed: Typed) -> bool:
    """Whether any handle is open, in whatever process and namespace: the kernel's word."""
    return typed.place is not None and typed.observed.held(LOCK_BYTES + typed.place)[0]


class Clocks:
    """From what processes noted to what people read: `time.time`."""

    __slots__ = ("_monotonic", "_now")

    def __init__(self) -> None:
        self._now, self._monotonic = time.time(), time.monotonic_ns()

    def monotonic(self, noted: int) -> float | None:
        """Of CLOCK_MONOTONIC, nanoseconds; None: not noted, or a time that is yet to come."""
        ago = self._monotonic - noted
        # The coarse clock, and clocks of other processors, may be a little behind or ahead.
        return None if not noted or ago < -1_000_000_000 else self._now - max(0, ago) / 1e9

    def realtime(self, noted: int) -> float | None:
        """Of CLOCK_REALTIME, nanoseconds."""
        return noted / 1e9 if noted else None


def members(
    typed: Typed,
    found: list[Slot],
    clocks: Clocks,
    roles: dict[int, tuple[str, ...]],
    lags: dict[int, int],
    commands: Commands | None = None,
) -> tuple[Member, ...]:
    """`roles` and `lags` (of subscribers) by slot; `commands`: those already known."""
    namespace = _namespace()
    known: Commands = {} if commands is None else commands
    made = []
    for slot in found:
        fields, seat = slot.fields, slot.seat
        here = slot.alive and fields["pid_namespace"] == namespace
        reads = seat is not None and slot.number in lags
        waiting = fields["waiting"]
        made.append(
            Member(
                slot=slot.number,
                pid=fields["pid"],
                command=_known(known, fields) if here else None,
                alive=slot.alive,
                since=clocks.realtime(fields["joined_ns"]),
                roles=roles.get(slot.number, ()),
                waiting=waiting,
                waiting_since=clocks.monotonic(fields["waiting_ns"]) if waiting else None,
                waiting_thread=fields["waiting_tid"] or None if waiting else None,
                share=fields["share"],
                share_since=clocks.monotonic(fields["held_ns"]) if fields["share"] else None,
                cursor=seat["cursor"] if seat and reads else None,
                lag=lags.get(slot.number),
                missed=seat["missed"] if seat and reads else None,
                pinned=bool(seat and seat["pin"]),
                owed=seat["debt"] & _DEBT_COUNT if seat and typed.kind == 10 else None,
            )
        )
    return tuple(made)


def _known(commands: Commands, fields: dict[str, int]) -> str | None:
    key = fields["pid"], fields["joined_ns"]
    if key not in commands:
        if len(commands) >= _COMMANDS_MAX:
            commands.clear()
        commands[key] = _command(key[0])
    return commands[key]
