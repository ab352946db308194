"""What a field of shared memory says, in words, and what it can never say."""

from __future__ import annotations

import time
from dataclasses import dataclass

from isthmus.inspect.looking._typed import (
    EXTERNAL_LOCK,
    KINDS,
    MAGIC,
    PERSIST,
    PRIMITIVE_MAGIC,
    READER_PREFERENCE,
    ROBUST,
    VERSION,
    fingerprint,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from isthmus.inspect.looking._seats import Clocks

    #: What it means, and whether it is a thing that cannot be.
    Meaning = tuple[str, bool]

_OWNER, _ABANDONED, _WAITERS = 0xFFFF, 1 << 30, 1 << 31
_MAKING = 0x2E4E595348545349
_FLAGS = {
    ROBUST: "robust",
    READER_PREFERENCE: "reader preference",
    EXTERNAL_LOCK: "its lock is another object",
    PERSIST: "persists",
}
#: Fields whose numbers are read in hexadecimal.
HEXADECIMAL = frozenset(
    ["magic", "fingerprint", "word", "guard", "producer", "consumer", "reader", "gate"]
)


@dataclass(frozen=True, slots=True)
class Meanings:
    """For the fields of one object."""

    clocks: Clocks
    #: Bytes of the file.
    size: int
    #: By its header or its control block: a place in `KINDS`.
    kind: int
    #: The flags of its primitive.
    flags: int
    #: Slots of the participant table, and who has each.
    participants: int
    who: Callable[[int], str]

    def of(self, struct: str, field: str, value: int) -> Meaning:
        """In words; empty where the number says all."""
        if field.startswith(("reserved", "lock_reserved")):
            return ("not zero: somebody wrote here", True) if value else ("", False)
        rule = _RULES.get(f"{struct}.{field}") or _RULES.get(field)
        if rule is None:
            return "", False
        found = rule(self, value)
        return found if isinstance(found, tuple) else (found, False)

    # ---- Rules -------------------------------------------------------------------------

    def header_magic(self, value: int) -> Meaning | str:
        if value == MAGIC:
            return "an object of isthmus"
        return ("0: being made, or damaged" if value == 0 else "not an object of isthmus", True)

    def primitive_magic(self, value: int) -> Meaning | str:
        if value == PRIMITIVE_MAGIC:
            return "a primitive of isthmus"
        return ("being made, or its maker died" if value in (0, _MAKING) else "damaged", True)

    def version(self, value: int) -> Meaning | str:
        known = value == VERSION
        return "the one that this isthmus reads" if known else (f"this reads {VERSION}", True)

    def kind_name(self, value: int) -> Meaning | str:
        return KINDS[value] if 0 < value < len(KINDS) else ("there is no such kind", True)

    def same_layout(self, value: int) -> Meaning | str:
        if 0 < self.kind < len(KINDS) and value != fingerprint(self.kind):
            return "not that of this build: damaged, or made by another", True
        return "as this build lays it out"

    def lock_layout(self, value: int) -> Meaning | str:
        return self.same_layout(value) if self.kind != 1 else ""

    def total(self, value: int) -> Meaning | str:
        if value > self.size:
            return f"the file was cut off, it has {self.size}", True
        return "the whole file" if value == self.size else f"the file has {self.size}"

    def realtime(self, value: int) -> str:
        if not value:
            return ""
        try:
            text = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value / 1e9))
        except (OverflowError, ValueError, OSError):
            return "no time that there is"
        then = value / 1e9
        return f"{text}, {self._ago(then)}" if then < time.time() + 1 else f"{text}, yet to come"

    def monotonic(self, value: int) -> str:
        if not value:
            return "never"
        then = self.clocks.monotonic(value)
        return "yet to come: damaged" if then is None else self._ago(then)

    def _ago(self, then: float) -> str:
        passed = max(0.0, time.time() - then)
        for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
            if passed >= length:
                return f"{passed / length:.1f} {unit} ago"
        return f"{passed:.1f} s ago"

    def user(self, value: int) -> str:
        import pwd

        try:
            return pwd.getpwuid(value).pw_name
        except (KeyError, OverflowError):
            return ""

    def flag_names(self, value: int) -> Meaning | str:
        names = [name for bit, name in _FLAGS.items() if value & bit]
        if value & ~sum(_FLAGS):
            return ", ".join([*names, "and bits that mean nothing"]), True
        return ", ".join(names) or "none"

    def used(self, value: int) -> Meaning | str:
        wrong = value > self.participants
        return ("more than there are", True) if wrong else "slots ever taken"

    def bells(self, value: int) -> Meaning | str:
        names = [name for bit, name in ((1, "what is ready"), (2, "room")) if value & bit]
        if value & ~3:
            return "has bits that mean nothing", True
        return f"somebody may wait by a descriptor for {' and '.join(names)}" if names else "nobody"

    def lock_word(self, value: int) -> Meaning | str:
        """Owner, waiters, abandoned: "Robust lock word" in layout.h."""
        owner, waits = value & _OWNER, ", somebody may wait" if value & _WAITERS else ""
        if value & ~(_OWNER | _ABANDONED | _WAITERS):
            return "has bits that mean nothing", True
        if owner > self.participants:
            return f"held by slot {owner - 1}, which there is not{waits}", True
        if owner:
            return f"held by {self.who(owner - 1)}{waits}"
        return ("free; its last owner died holding it" if value & _ABANDONED else "free") + waits

    def slot(self, value: int) -> Meaning | str:
        if not value:
            return "nobody"
        if value > self.participants:
            return f"slot {value - 1}, which there is not", True
        return self.who(value - 1)

    def semaphore(self, value: int) -> str:
        waits = ", somebody may wait" if value & _WAITERS else ""
        count = value & ~_WAITERS
        if self.flags & ROBUST:
            return f"permits were given back {count} times{waits}"
        return f"{count} permits free{waits}"

    def event(self, value: int) -> str:
        waits = ", somebody may wait" if value & _WAITERS else ""
        state = "set" if value & 1 else "not set"
        return f"{state}; was set {(value & ~_WAITERS) >> 1} times{waits}"

    def round(self, value: int) -> str:
        return f"{value >> 1} rounds ended" + (", broken until a reset" if value & 1 else "")

    def gate(self, value: int) -> str:
        names = [("closed to readers" if value & 1 else "open to readers")]
        names += ["a writer waits for readers to leave"] * bool(value & 2)
        names += ["it is the readers' turn"] * bool(value & 4)
        return ", ".join(names) + f"; opened {(value & ~_WAITERS) >> 3} times"

    def abandoned(self, value: int) -> str:
        return "a writer died writing, and none has released since" if value else "no"

    def maximum(self, value: int) -> str:
        return "not bounded" if value == _WAITERS - 1 else "never more permits than that"

    def signed(self, value: int) -> str:
        return str(value - (1 << 64)) if value >> 63 else ""

    def asleep(self, value: int) -> str:
        return "somebody may be asleep" if value else "nobody is asleep"

    def eventcount(self, value: int) -> str:
        sleeper = "somebody may be asleep" if value & 1 else "nobody is asleep"
        return f"{sleeper}; {value >> 1} wake-ups"

    def capacity(self, value: int) -> Meaning | str:
        return ("no power of two", True) if value & (value - 1) or not value else "bytes"

    def no_limit(self, value: int) -> str:
        return "" if value else "no limit"

    def closed(self, value: int) -> Meaning | str:
        if value & ~3:
            return "has bits that mean nothing", True
        return ("open", "nothing more may be put", "nothing may be got", "shut down")[value]

    def pinned(self, value: int) -> str:
        return f"has the record at {value & ~1} in view" if value & 1 else ""

    def moving(self, value: int) -> str:
        return f"the record at {value & ~1} is being set aside" if value else "none"

    def debt(self, value: int) -> str:
        return f"{value & 0xFFFFF} messages got and not reported as done"

    def role(self, value: int) -> Meaning | str:
        third = "publisher" if self.kind == 11 else "producer"
        names = [
            name for bit, name in ((1, third), (2, "consumer"), (4, "subscriber")) if value & bit
        ]
        return (", ".join(names), False) if not value & ~7 else ("bits that mean nothing", True)

    def order(self, value: int) -> Meaning | str:
        if value & ~1:
            return "has bits that mean nothing", True
        return "Fortran order" if value else "C order"

    def dimensions(self, value: int) -> Meaning | str:
        return ("more than there can be", True) if value > 64 else "dimensions"


_RULES: dict[str, Callable[[Meanings, int], Meaning | str]] = {
    "header.magic": Meanings.header_magic,
    "primitive.magic": Meanings.primitive_magic,
    "version": Meanings.version,
    "kind": Meanings.kind_name,
    "header.fingerprint": Meanings.same_layout,
    "primitive.fingerprint": Meanings.lock_layout,
    "total_size": Meanings.total,
    "created_ns": Meanings.realtime,
    "joined_ns": Meanings.realtime,
    "creator_uid": Meanings.user,
    "primitive.flags": Meanings.flag_names,
    "used": Meanings.used,
    "swept_ns": Meanings.monotonic,
    "since_ns": Meanings.monotonic,
    "waiting_ns": Meanings.monotonic,
    "held_ns": Meanings.monotonic,
    "doorbells": Meanings.bells,
    "lock.word": Meanings.lock_word,
    "condition.word": Meanings.lock_word,
    "rwlock.word": Meanings.lock_word,
    "guard": Meanings.lock_word,
    "producer": Meanings.lock_word,
    "consumer": Meanings.lock_word,
    "reader": Meanings.lock_word,
    "loan": Meanings.slot,
    "semaphore.word": Meanings.semaphore,
    "maximum": Meanings.maximum,
    "event.word": Meanings.event,
    "barrier.round": Meanings.round,
    "gate": Meanings.gate,
    "abandoned": Meanings.abandoned,
    "atomic_int.value": Meanings.signed,
    "waiters": Meanings.asleep,
    "arrival": Meanings.eventcount,
    "room": Meanings.eventcount,
    "finished": Meanings.eventcount,
    "capacity": Meanings.capacity,
    "maxsize": Meanings.no_limit,
    "max_attempts": Meanings.no_limit,
    "closed": Meanings.closed,
    "pin": Meanings.pinned,
    "moving": Meanings.moving,
    "debt": Meanings.debt,
    "role": Meanings.role,
    "array.flags": Meanings.order,
    "ndim": Meanings.dimensions,
    "deaths": lambda _, value: "owners died holding it" if value else "",
    "evicted": lambda _, value: "dead subscribers were in the way" if value else "",
    "redelivered": lambda _, value: "leases given back or taken from the dead" if value else "",
    "tail": lambda *_: "where the next record will begin",
    "oldest": lambda *_: "the first record that is kept",
    "head": lambda *_: "the first record that is not done with",
    "out": lambda *_: "records from head on that are leased or done",
    "tokens": lambda *_: "notifications that nobody has taken yet",
    "tickets": lambda *_: "waits so far",
    "parties": lambda *_: "make a round",
    "share": lambda *_: "leases, permits, reads, arrivals",
    "missed": lambda *_: "messages overwritten before it read them",
    "aside_count": lambda *_: "messages set aside",
    "put_aside": lambda *_: "messages ever set aside",
}
