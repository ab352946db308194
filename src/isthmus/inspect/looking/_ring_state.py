"""A queue or topic at a moment: cursors, counts, who is how far behind."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.inspect.looking._structs import structs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect.looking._seats import Slot
    from isthmus.inspect.looking._typed import Typed

# How often to look again when a cursor and its notes were copied at different moments.
_ATTEMPTS = 50
_WORD = 1 << 64
PRODUCER, CONSUMER, SUBSCRIBER = 1, 2, 4
_UNKNOWN = _WORD - 1


@dataclass(slots=True)
class Cursors:
    """What isthmus_shared_cursors says; the counts are right as of the look."""

    fields: dict[str, int]
    #: Messages ever put, and how many lie before `head`; None: the notes contradict the cursors.
    put: int | None
    got: int | None
    #: Bytes between the first record that counts and `tail`; None: those contradict each other.
    used: int | None

    def between(self, start: int, end: int) -> int:
        return (end - start) % _WORD


def cursors(typed: Typed) -> Cursors | None:
    """Copy them until the parts fit together; None: there is no ring to be found."""
    ring = typed.ring
    if ring is None:
        return None
    layout = structs()["cursors"]
    for _ in range(_ATTEMPTS):
        data = typed.observed.read(ring.cursors, layout.size)
        fields = layout.read(data)
        put = _noted(layout.numbers(data, "put", 8), fields["tail"])
        got = _noted(layout.numbers(data, "got", 8), fields["head"])
        first = fields["oldest"] if typed.kind == 11 else fields["head"]
        used: int | None = (fields["tail"] - first) % _WORD
        if used is not None and (used > ring.capacity or (fields["tail"] | first) % 32):
            used = None
        if put is not None and used is not None and (typed.kind == 11 or got is not None):
            break
    return Cursors(fields, put, got, used)


def _noted(notes: tuple[int, ...], cursor: int) -> int | None:
    """The count that belongs to the cursor: of the note that names it (isthmus_noted)."""
    if notes[0] == cursor:
        return notes[1]
    return notes[3] if notes[2] == cursor else None


@dataclass(slots=True)
class QueueNumbers:
    """As `Queue.stats` has them."""

    ready: int
    leased: int
    #: Messages that were got, or acknowledged, or dropped.
    done: int


def queue_numbers(found: Cursors, slots: list[Slot]) -> QueueNumbers | None:
    """None: the counts are damaged."""
    if found.put is None or found.got is None:
        return None
    out = found.fields["out"]
    leased = min(out, sum(slot.fields["share"] for slot in slots))
    gone = found.got + out
    # These were not written at once.
    ready = max(0, found.put - gone)
    return QueueNumbers(ready, leased, max(0, gone - leased))


def lags(typed: Typed, found: Cursors, slots: list[Slot]) -> dict[int, int]:
    """How many messages each subscriber is behind, by slot."""
    lag = {}
    for slot in slots:
        seat = slot.seat
        if seat is None or not seat["role"] & SUBSCRIBER:
            continue
        put = found.put or 0
        number = seat["sequence"]
        if number == _UNKNOWN:
            number = number_at(typed, found, seat["cursor"])
        lag[slot.number] = 0 if number > put else min(put - number, put)
    return lag


def number_at(typed: Typed, found: Cursors, position: int) -> int:
    """The number of the message that begins there; that of the next one where none does."""
    ring, put = typed.ring, found.put or 0
    behind = (found.fields["tail"] - position) % _WORD
    if ring is None or not 0 < behind <= ring.capacity or position % 32:
        return put
    record = structs()["record"]
    # Records begin at multiples of their size, so none of these wraps around.
    place = ring.data + position % ring.capacity
    return record.read(typed.observed.read(place, record.size))["sequence"]


def kept(typed: Typed, found: Cursors) -> int:
    """Messages of a topic that are still there."""
    put = found.put or 0
    return max(0, put - number_at(typed, found, found.fields["oldest"]))


def roles(typed: Typed, slots: list[Slot]) -> dict[int, tuple[str, ...]]:
    """What each participant of a ring does, by slot."""
    names = {
        PRODUCER: "publisher" if typed.kind == 11 else "producer",
        CONSUMER: "consumer",
        SUBSCRIBER: "subscriber",
    }
    return {
        slot.number: tuple(name for bit, name in names.items() if slot.seat["role"] & bit)
        for slot in slots
        if slot.seat is not None
    }
