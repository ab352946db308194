"""What an object is and how it is: configuration, counters, gauges, locks."""

from __future__ import annotations

import json

from isthmus.inspect._model import LockState
from isthmus.inspect.looking import _ring_state, _typed
from isthmus.inspect.looking._structs import structs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect._model import Member
    from isthmus.inspect.looking._look import Look

_OWNER, _ABANDONED, _WAITERS = 0xFFFF, 1 << 30, 1 << 31
_COUNT = _WAITERS - 1
_SHUT, _DISCARDED = 1, 2
# Deeper than any dtype, and far from where Python gives up.
_NESTED_MOST = 100


def configuration(look: Look) -> dict[str, object]:
    """What was said when it was made."""
    typed = look.typed
    found: dict[str, object] = {}
    described = _typed.shape_and_dtype(typed)
    if described is not None:
        found["shape"], found["dtype"] = list(described[0]), _dtype(described[1])
        found["order"] = "F" if typed.array["flags"] & 1 else "C"
        found["itemsize"] = typed.array["itemsize"]
    if typed.ring is not None:
        found["capacity"] = typed.ring.capacity
        if typed.kind == 10:
            found["maxsize"] = typed.ring.maxsize or None
            found["max_attempts"] = typed.ring.max_attempts or None
    if typed.place is None:
        return found
    flags = typed.primitive["flags"]
    state = _state(look)
    if typed.kind == 4:
        found["robust"] = bool(flags & _typed.ROBUST)
        found["initial"], found["maximum"] = state["initial"], state["maximum"]
    elif typed.kind == 7:
        found["parties"] = state["parties"]
    elif typed.kind == 8:
        readers = flags & _typed.READER_PREFERENCE
        found["preference"] = "readers" if readers else "writers"
    elif typed.kind == 6:
        found["lock"] = "of another object" if flags & _typed.EXTERNAL_LOCK else "its own"
    found["participants"] = typed.count
    if typed.kind != 1:
        found["persist"] = typed.persist
    return found


def _dtype(text: str) -> object:
    """What it says; the text itself, if it is damaged."""
    depth = deepest = 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    if deepest > _NESTED_MOST:
        return text
    try:
        return json.loads(text, parse_constant=_no_number)
    except ValueError:
        return text


def _no_number(text: str) -> object:
    raise ValueError(f"{text} is no JSON")


_STATES = {
    1: "lock",
    2: "lock",
    3: "lock",
    4: "semaphore",
    5: "event",
    6: "condition",
    7: "barrier",
    8: "rwlock",
    9: "atomic_int",
}


def _state(look: Look) -> dict[str, int]:
    name = _STATES.get(look.typed.kind)
    return {} if name is None else structs()[name].read(look.typed.state)


def numbers(look: Look) -> tuple[dict[str, int], dict[str, float]]:
    """Counters, which only grow, and gauges."""
    typed = look.typed
    counters: dict[str, int] = {}
    gauges: dict[str, float] = {}
    if typed.count:
        # Others have no table of who takes part, so who is there and who waits is not known.
        gauges["participants"], gauges["dead"] = look.alive, look.dead
    if look.cursors is not None:
        _ring_numbers(look, counters, gauges)
    if typed.place is None or typed.kind > 9:
        return counters, gauges
    state = _state(look)
    if typed.kind in {1, 2, 3, 6, 8}:
        counters["owner_deaths"] = state["deaths"]
    if typed.kind == 6:
        counters["waits"] = state["tickets"]
        gauges["notified"] = state["tokens"]
    elif typed.kind == 4:
        gauges["permits"] = state["word"] & _COUNT
        if typed.primitive["flags"] & _typed.ROBUST:
            taken = sum(slot.fields["share"] for slot in look.slots)
            gauges["permits"] = max(0, state["initial"] - taken)
    elif typed.kind == 5:
        gauges["set"] = state["word"] & 1
        counters["sets"] = (state["word"] & _COUNT) >> 1
    elif typed.kind == 7:
        counters["rounds"], counters["breaks"] = state["round"] >> 1, state["breaks"]
        gauges["broken"] = state["round"] & 1
        gauges["arrived"] = sum(
            slot.fields["share"] > 0 and slot.fields["round"] == state["round"]
            for slot in look.slots
        )
    elif typed.kind == 8:
        gauges["readers"] = sum(slot.fields["share"] for slot in look.slots)
    elif typed.kind == 9:
        value = state["value"]
        gauges["value"] = value - (1 << 64) if value >> 63 else value
    if typed.count:
        gauges["waiting"] = _waiting(look)
    return counters, gauges


def _waiting(look: Look) -> int:
    """Threads that wait: those of the dead do so no more."""
    return sum(slot.fields["waiting"] for slot in look.slots if slot.alive)


def _ring_numbers(look: Look, counters: dict[str, int], gauges: dict[str, float]) -> None:
    found, typed = look.cursors, look.typed
    if found is None or typed.ring is None:
        return
    gauges["capacity_bytes"] = typed.ring.capacity
    if found.used is not None:
        gauges["used_bytes"] = found.used
    gauges["waiting"] = _waiting(look)
    if typed.kind == 11:
        if found.put is not None:
            counters["published"] = found.put
            gauges["kept"] = _ring_state.kept(typed, found)
        counters["evicted"] = found.fields["evicted"]
        living = [slot.seat for slot in look.slots if slot.alive and slot.seat is not None]
        readers = [seat for seat in living if seat["role"] & _ring_state.SUBSCRIBER]
        # Of those that are there: it falls when one leaves.
        gauges["missed"] = sum(seat["missed"] for seat in readers)
        gauges["subscribers"] = len(readers)
        gauges["publishers"] = sum(bool(seat["role"] & _ring_state.PRODUCER) for seat in living)
        gauges["lag"] = look.depth or 0
    else:
        if found.put is not None:
            counters["put"] = found.put
        if look.numbers is not None:
            counters["done"] = look.numbers.done
            gauges["ready"], gauges["leased"] = look.numbers.ready, look.numbers.leased
        counters["redelivered"] = found.fields["redelivered"]
        counters["set_aside"] = found.fields["put_aside"]
        gauges["aside"] = found.fields["aside_count"]
        gauges["shut_down"] = int(found.fields["closed"] & _SHUT)
    counters["bytes"] = found.fields["tail"]


def locks(look: Look, members: tuple[Member, ...]) -> tuple[LockState, ...]:
    """Who holds what."""
    typed = look.typed
    if look.cursors is not None:
        words = look.cursors.fields
        both = [_word("producers", words["producer"], members)]
        if typed.kind == 10:
            both.append(_word("consumers", words["consumer"], members))
        return tuple(both)
    if typed.place is None:
        return ()
    state = _state(look)
    if typed.kind in {1, 2, 3} or (
        typed.kind == 6 and not typed.primitive["flags"] & _typed.EXTERNAL_LOCK
    ):
        return (_full("lock", look, state, members, state["depth"]),)
    if typed.kind == 8:
        return (_full("writer", look, state, members, None),)
    if typed.kind in {4, 7}:
        return (_word("guard", state["guard"], members),)
    return ()


def _word(what: str, word: int, members: tuple[Member, ...]) -> LockState:
    """One of those that are held for a moment."""
    slot = (word & _OWNER) - 1
    return LockState(
        what=what,
        locked=slot >= 0,
        owner=next((member for member in members if member.slot == slot), None),
        abandoned=bool(word & _ABANDONED) and slot < 0,
        contended=bool(word & _WAITERS),
    )


def _full(
    what: str, look: Look, state: dict[str, int], members: tuple[Member, ...], depth: int | None
) -> LockState:
    short = _word(what, state["word"], members)
    return LockState(
        what=what,
        locked=short.locked,
        owner=short.owner,
        thread=(state["tid"] or None) if short.locked else None,
        depth=depth if short.locked else None,
        since=look.clocks.monotonic(state["since_ns"]) if short.locked else None,
        abandoned=short.abandoned or bool(state.get("abandoned")),
        deaths=state["deaths"],
        contended=short.contended,
    )


def roles(look: Look) -> dict[int, tuple[str, ...]]:
    """What each participant does, by slot."""
    typed = look.typed
    if look.cursors is not None:
        return _ring_state.roles(typed, look.slots)
    if typed.place is None:
        return {}
    state = _state(look)
    owner = (state["word"] & _OWNER) - 1 if typed.kind in {1, 2, 3, 6, 8} else -1
    sharing = {4: "holder", 6: "waiter", 7: "waiter", 8: "reader"}.get(typed.kind)
    found = {}
    for slot in look.slots:
        names = []
        if slot.number == owner:
            names.append("writer" if typed.kind == 8 else "owner")
        if sharing and slot.fields["share"]:
            names.append(sharing)
        elif slot.fields["waiting"]:
            names.append("waiter")
        found[slot.number] = tuple(names)
    return found
