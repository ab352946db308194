"""The main table: its columns, what their cells say, how they sort, what a filter finds."""

from __future__ import annotations

import time
from dataclasses import dataclass

from isthmus.cli.output import safe
from isthmus.inspect.screen.columns import (
    Column,
    count_text,
    rate_text,
    short_duration,
    short_size,
    sparkline,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from isthmus.inspect._model import Severity, SharedObject
    from isthmus.inspect.screen.grid import Cell
    from isthmus.inspect.screen.history import History
    from isthmus.inspect.screen.source import Line

#: A problem is never told by colour alone. As in `isthmus ls`.
SIGNS: dict[Severity, str] = {"note": "·", "warning": "!", "damage": "!!"}
_GRAVITY = {"note": 1, "warning": 2, "damage": 3}

COLUMNS = (
    Column("mark", "", 1, rank=0, sorts=False),
    Column("kind", "kind", 9, 17, rank=1),
    Column("name", "name", 16, 44, rank=0, good=20),
    Column("depth", "depth", 6, rank=2, justify="right", descending=True),
    Column("in", "in/s", 5, rank=3, justify="right", descending=True),
    Column("out", "out/s", 6, rank=3, justify="right", descending=True),
    Column("lag", "lag", 5, rank=5, justify="right", descending=True),
    Column("alive", "alive", 6, rank=4, justify="right", descending=True),
    Column("holder", "held by", 14, 34, rank=9, nice=True),
    Column("held", "held", 5, rank=10, justify="right", descending=True, nice=True),
    Column("size", "size", 6, rank=8, justify="right", descending=True, nice=True),
    Column("resident", "resident", 9, rank=12, justify="right", descending=True, nice=True),
    Column("age", "age", 5, rank=13, justify="right", descending=True, nice=True),
    Column("spark", "rate", 6, 60, rank=7, sorts=False, good=14),
    Column("state", "state", 10, 60, rank=6, descending=True, good=26),
)
SORTABLE = tuple(column.key for column in COLUMNS if column.sorts)
_BY_KEY = {column.key: column for column in COLUMNS}


def state(line: Line, now: float, width: int, *, holder: bool) -> Cell:
    """The gravest problem with its sign, with `holder` who holds it, or whether anybody has it."""
    shared = line.shared
    worst = shared.problems[0] if shared.problems else None
    if line.holder and holder and (worst is None or worst.severity == "note"):
        since = "" if line.held_since is None else f" {short_duration(now - line.held_since)}"
        sign = "" if worst is None else f"{SIGNS[worst.severity]} "
        return f"{sign}held{since}" + (f" by {safe(line.holder)}" if width > 20 else ""), ""
    if worst is not None:
        return f"{SIGNS[worst.severity]} {safe(worst.what)}", worst.severity
    if shared.in_use is None:
        return "", ""
    return ("in use", "dim") if shared.in_use else ("unused", "dim")


def alive_text(shared: SharedObject) -> str:
    """Participants that live, and after a plus those that are dead: ``3``, ``2+1``."""
    if shared.alive is None:
        # No account of participants: those that map it.
        return str(len(shared.users)) if shared.users else ""
    return f"{shared.alive}+{shared.dead}" if shared.dead else str(shared.alive)


@dataclass(frozen=True, slots=True)
class Order:
    """What the rows are sorted by."""

    key: str
    descending: bool

    @classmethod
    def by(cls, key: str) -> Order:
        """As one wants it first: large numbers at the top, names from A on."""
        return cls(key, _BY_KEY[key].descending)

    def turned(self) -> Order:
        return Order(self.key, not self.descending)

    def next(self, by: int, shown: Iterable[str]) -> Order:
        """The next column to the right or left, of those that are shown."""
        keys = [key for key in SORTABLE if key in set(shown)] or [self.key]
        at = keys.index(self.key) + by if self.key in keys else 0
        return Order.by(keys[at % len(keys)])

    def sort(self, lines: Iterable[Line]) -> list[Line]:
        """Sorted; those without a value last, equal ones by kind and name in any case."""
        known: list[tuple[Any, Line]] = []
        unknown: list[Line] = []
        value = _VALUES[self.key]
        for line in sorted(lines, key=_identity):
            found = value(line)
            if found is None:
                unknown.append(line)
            else:
                known.append((found, line))
        known.sort(key=lambda pair: pair[0], reverse=self.descending)
        return [*(line for _, line in known), *unknown]


def _identity(line: Line) -> tuple[bool, str, str]:
    return not line.shared.ours, line.shared.kind, line.address


def _state_value(line: Line) -> Any:
    if line.shared.problems:
        return _GRAVITY[line.shared.problems[0].severity]
    return 0 if line.shared.in_use is None else -1 if line.shared.in_use else 0.5


def _alive_value(line: Line) -> Any:
    if line.shared.alive is None:
        return (len(line.shared.users), 0) if line.shared.users else None
    return line.shared.alive, line.shared.dead or 0


_VALUES: dict[str, Callable[[Line], Any]] = {
    "kind": lambda line: line.shared.kind,
    "name": lambda line: line.shared.name,
    "depth": lambda line: line.shared.depth,
    "in": lambda line: line.rate_in,
    "out": lambda line: line.rate_out,
    "lag": lambda line: line.lag,
    "alive": _alive_value,
    "holder": lambda line: line.holder or None,
    "held": lambda line: None if line.held_since is None else -line.held_since,
    "size": lambda line: line.shared.size,
    "resident": lambda line: line.shared.resident,
    "age": lambda line: None if line.shared.created is None else -line.shared.created,
    "state": _state_value,
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows are shown."""

    text: str = ""
    #: One kind only; "": all.
    kind: str = ""
    #: Only those with problems.
    problems: bool = False

    def matches(self, line: Line) -> bool:
        """Each word must be somewhere in kind, name, holder, library, or what uses it."""
        shared = line.shared
        if self.kind and shared.kind != self.kind:
            return False
        if self.problems and not shared.problems:
            return False
        if not self.text:
            return True
        words = [shared.kind, shared.name, shared.address, line.holder, shared.library or ""]
        for process in shared.users:
            words += [str(process.pid), process.command or ""]
        text = "\n".join(words).casefold()
        return all(word in text for word in self.text.casefold().split())

    def __bool__(self) -> bool:
        return bool(self.text or self.kind or self.problems)


class Painter:
    """What the cells of one line say."""

    def __init__(self, history: History, marked: set[str]) -> None:
        self._history, self._marked = history, marked
        self.now: Callable[[], float] = time.time
        #: Whether a column says who holds it; where it has no room, the state does.
        self.tells_holder = True

    def __call__(self, line: Line, key: str, width: int) -> Cell:
        shared = line.shared
        if key == "mark":
            return ("*", "strong") if line.address in self._marked else ("", "")
        if key == "kind":
            return shared.kind, "" if shared.ours else "dim"
        if key == "name":
            return safe(shared.name), "strong" if line.address in self._marked else ""
        if key == "depth":
            return count_text(shared.depth), ""
        if key in ("in", "out"):
            rate = line.rate_in if key == "in" else line.rate_out
            return rate_text(rate), "" if rate else "dim"
        if key == "lag":
            return count_text(line.lag), "" if line.lag else "dim"
        if key == "alive":
            return alive_text(shared), "warning" if shared.dead else ""
        if key == "holder":
            return safe(line.holder), ""
        if key == "held":
            since = line.held_since
            return short_duration(None if since is None else self.now() - since), ""
        if key == "size":
            return short_size(shared.size), ""
        if key == "resident":
            return short_size(shared.resident), "dim"
        if key == "age":
            made = shared.created
            return short_duration(None if made is None else self.now() - made), "dim"
        if key == "spark":
            return self._spark(line, width)
        return state(line, self.now(), width, holder=not self.tells_holder)

    def _spark(self, line: Line, width: int) -> Cell:
        values = self._history.of(line.address)
        if not any(value is not None for value in values):
            return "", ""
        return sparkline(values, width), "rate" if any(values) else "dim"


def line_rate(line: Line) -> float | None:
    """What the sparkline shows: the busier of the two directions."""
    rates = [rate for rate in (line.rate_in, line.rate_out) if rate is not None]
    return max(rates) if rates else None
