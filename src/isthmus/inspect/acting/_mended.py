"""What was found by mending, in words."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect._model import Severity
    from isthmus.inspect.acting._repair import Repair

# What the core tells: what, flags, position, before, after (mend.h).
Told = tuple[str, int, int, int, int]
_LOSSY, _LEFT, _GUESSED = 1, 2, 4
_UNKNOWN = (1 << 64) - 1
_TOPIC = 11
_LEAVE = "Left alone, as it loses messages: --lossy (lossy=True) does it."
_GUESSES = {
    "primitive.flags": (
        "Nothing tells any more whether it was made to persist, or with other options of its kind.",
        "It persists from now on, with the usual ones; `isthmus rm` removes it.",
    ),
    "ring.max_attempts": (
        "Nothing tells any more after how many deliveries messages are set aside.",
        "After 65535 from now on, which is as good as never.",
    ),
    "ring.closed": (
        "Nothing tells any more whether it was shut down.",
        "It is open from now on; shut it down again, if it was.",
    ),
    "array.flags": (
        "Nothing tells any more in which order the elements lie.",
        "In C order from now on: the last index varies fastest.",
    ),
}
# What dropping a message changes.
_FOLLOWING = ("ring.out", "ring.next", "ring.oldest", "participant.share", "aside.count")
# What a dead one's share is.
_SHARES = {
    4: ("permit", "free again"),
    6: ("waiter", "forgotten"),
    7: ("arrival", "taken back, and the round is broken"),
    8: ("read lock", "given up"),
    10: ("lease", "over: its message is ready again, or set aside"),
}


@dataclass(frozen=True, slots=True)
class Found:
    """One finding; those with the same `title` are told together."""

    severity: Severity
    #: With `{}` for the list of what was found, where several are told together.
    title: str
    action: str
    lossy: bool = False
    #: Nothing is done about it.
    left: bool = False
    detail: str = ""

    @classmethod
    def constant(cls, what: str, flags: int, position: int, before: int, after: int) -> Found:
        if flags & _GUESSED:
            return cls("damage", *_GUESSES[what])
        return cls(
            "damage",
            "What it says about itself contradicts the rest of it: {}.",
            "Made anew from the rest.",
            detail=f"{what} ({before:#x}, not {after:#x})",
        )

    @classmethod
    def changing(
        cls, kind: int, what: str, flags: int, position: int, before: int, after: int
    ) -> Found:
        left = bool(flags & _LEFT)
        if flags & _GUESSED:
            return cls("damage", *_GUESSES[what])
        if what in ("record", "aside.record"):
            return _record(kind, what, left, position, before, after)
        if what in ("ring", "aside.ring"):
            where = "messages were set aside" if what == "aside.ring" else "its messages are"
            return cls(
                "damage",
                f"Its cursors contradict each other, and nothing tells where {where}.",
                _LEAVE if left else "All of those were dropped, however many there were.",
                lossy=True,
                left=left,
            )
        if what == "record.state":
            return cls(
                "damage",
                "Messages were marked as leased by nobody: at position {}.",
                "Ready again: they may be delivered once more.",
                detail=str(position),
            )
        if what == "seat.pin":
            return cls(
                "damage",
                "A subscriber seemed to have in view what cannot be: in slot {}.",
                "Taken out: publishers would have waited for ever.",
                detail=str(position),
            )
        return cls(
            "damage",
            "Its cursors and counts contradict each other: {}.",
            "Made anew from its messages.",
            detail=f"{what} ({before}, not {after})",
        )


def _record(kind: int, what: str, left: bool, position: int, before: int, after: int) -> Found:
    aside = " that was set aside" if what == "aside.record" else ""
    lost = "a message" if _UNKNOWN in (before, after) else _numbers(before, after)
    if kind == _TOPIC:
        goes = "" if after == _UNKNOWN else f"; message {after} is the oldest now"
        return Found(
            "damage",
            f"A message at position {position} is damaged: subscribers that come to it go on with "
            "what is published next.",
            _LEAVE
            if left
            else f"All before the next sound one were let go ({lost}){goes}: subscribers count "
            "them as missed.",
            lossy=True,
            left=left,
        )
    return Found(
        "damage",
        f"A message{aside} at position {position} is damaged"
        + ("." if aside else ": whoever comes to it gets a RecordError."),
        _LEAVE if left else f"Dropped: {lost}; the next sound one follows.",
        lossy=True,
        left=left,
    )


def _numbers(first: int, end: int) -> str:
    if end - first == 1:
        return f"message {first}"
    return f"messages {first} to {end - 1}"


def of_ring(kind: int, told: list[Told]) -> list[Found]:
    """What changes, but for counts that only follow from dropped messages."""
    dropped = any("record" in one[0] and one[1] == _LOSSY for one in told)
    return [Found.changing(kind, *one) for one in told if not (dropped and one[0] in _FOLLOWING)]


def dead(kind: int, pid: int, share: int, role: int) -> Found:
    held = ""
    action = "Put in order after it, and its slot is free."
    if share and kind in _SHARES:
        noun, becomes = _SHARES[kind]
        held = f", with {share} {noun}{'' if share == 1 else 's'}"
        action = f"{'That is' if share == 1 else 'Those are'} {becomes}; its slot is free."
    elif kind == _TOPIC and role & 4:
        held = ", as a subscriber"
        action = "Publishers will not find it in their way; its slot is free."
    return Found("note", f"Process {pid} died{held}.", action)


def abandoned() -> Found:
    return Found(
        "note",
        "Its last owner died holding it, and nobody has taken it since.",
        "Left so, which is no damage: the next owner is told, as what it protects may be half "
        "done.",
        left=True,
    )


def nobody() -> Found:
    return Found(
        "note",
        "Nobody has it open, and it does not persist.",
        "Left so: whoever opens it next makes it anew; `isthmus gc` removes it.",
        left=True,
    )


def unreadable(number: int, why: str, *, left: bool) -> Found:
    return Found(
        "damage",
        f"Message {number} cannot be read ({why}): whoever comes to it gets a RecordError.",
        _LEAVE if left else f"Dropped: message {number}; the next one follows.",
        lossy=True,
        left=left,
    )


def more(count: int) -> Found:
    return Found("damage", f"There were {count} more findings of this kind.", "Done as well.")


def repairs(found: list[Found], *, dry_run: bool) -> list[Repair]:
    """Those that belong together as one, the gravest first."""
    from isthmus.inspect.acting._repair import Repair

    gravity = {"damage": 0, "warning": 1, "note": 2}
    made = []
    for _, group in groupby(found, key=lambda one: (one.title, one.action)):
        same = list(group)
        first = same[0]
        made.append(
            Repair(
                severity=first.severity,
                found=first.title.replace("{}", ", ".join(one.detail for one in same)),
                action=first.action,
                lossy=first.lossy,
                done=not (first.left or dry_run),
            )
        )
    return sorted(made, key=lambda one: gravity[one.severity])
