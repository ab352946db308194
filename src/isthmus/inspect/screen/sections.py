"""What the screen about one object says, part by part."""

from __future__ import annotations

import time

from rich.console import Group
from rich.table import Table
from rich.text import Text

from isthmus.cli.output import duration_text, safe, size_text
from isthmus.inspect._model import LeaseState, LockState, Member, Region
from isthmus.inspect.screen import palette
from isthmus.inspect.screen.columns import (
    Column,
    bar,
    count_text,
    rate_text,
    short_duration,
    short_size,
    sparkline,
)
from isthmus.inspect.screen.table import SIGNS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from isthmus.inspect._model import Info
    from isthmus.inspect.screen.grid import Cell
    from isthmus.inspect.screen.history import History

#: From this width on, the overview has two columns.
WIDE = 120

_WHO = (
    Column("alive", "", 1, rank=0, sorts=False),
    Column("pid", "pid", 7, rank=0, justify="right", sorts=False),
    Column("role", "role", 10, 22, rank=1, sorts=False),
    Column("command", "command", 20, 90, rank=2, sorts=False),
    Column("since", "since", 5, rank=7, justify="right", sorts=False),
)
_READS = (
    Column("lag", "lag", 5, rank=3, justify="right", sorts=False),
    Column("bar", "", 6, 24, rank=6, sorts=False),
    Column("missed", "missed", 6, rank=5, justify="right", sorts=False),
    Column("view", "view", 4, rank=9, sorts=False),
)
_HAS = (
    Column("share", "has", 4, rank=3, justify="right", sorts=False),
    Column("held", "for", 5, rank=5, justify="right", sorts=False),
    Column("owed", "owes", 5, rank=9, justify="right", sorts=False),
)
_REST = (
    Column("waiting", "waits", 8, rank=4, justify="right", sorts=False),
    Column("slot", "slot", 4, rank=12, justify="right", sorts=False),
)
LOCKS = (
    Column("what", "lock", 10, 16, rank=0, sorts=False),
    Column("state", "state", 9, rank=0, sorts=False),
    Column("owner", "held by", 20, 80, rank=1, sorts=False),
    Column("held", "held", 5, rank=2, justify="right", sorts=False),
    Column("waiters", "waiters", 9, rank=3, sorts=False),
    Column("thread", "thread", 8, rank=5, justify="right", sorts=False),
    Column("depth", "times", 5, rank=6, justify="right", sorts=False),
    Column("deaths", "deaths", 6, rank=4, justify="right", sorts=False),
)
LEASES = (
    Column("number", "message", 9, rank=0, justify="right", sorts=False),
    Column("size", "size", 6, rank=2, justify="right", sorts=False),
    Column("age", "age", 6, rank=1, justify="right", sorts=False),
    Column("attempts", "times", 5, rank=3, justify="right", sorts=False),
    Column("worker", "worker", 20, 100, rank=1, sorts=False),
)
REGIONS = (
    Column("name", "part", 14, 28, rank=0, sorts=False),
    Column("offset", "offset", 12, rank=1, justify="right", sorts=False),
    Column("size", "size", 6, rank=0, justify="right", sorts=False),
    Column("bar", "", 10, 40, rank=2, sorts=False),
    Column("note", "what is in it", 14, 80, rank=3, sorts=False),
)


def who(member: Member | None) -> str:
    """A participant in a few words: its number and command."""
    if member is None:
        return "nobody that is known"
    text = f"{member.pid} {safe(member.command or '')}".rstrip()
    return text if member.alive else f"{text} (dead)"


def members(info: Info) -> list[Member]:
    """Participants; of what keeps no account of them, the processes that map it."""
    if info.members or not info.shared.users:
        return list(info.members)
    return [
        Member(
            slot=-1 - at,
            pid=process.pid,
            command=process.command,
            alive=True,
            since=None,
            roles=("maps it",),
        )
        for at, process in enumerate(info.shared.users)
    ]


def member_columns(kind: str) -> tuple[Column, ...]:
    """What there is to say of participants of such an object."""
    return (*_WHO, *(_READS if kind == "topic" else _HAS), *_REST)


def member_key(member: Member) -> str:
    """What stays the same as long as it is the same participant."""
    return f"{member.slot}/{member.pid}/{member.since}"


class MemberPainter:
    """Cells of participants. The bar compares their lags with what the object holds."""

    def __init__(self) -> None:
        self._most = 1
        self.now: Callable[[], float] = time.time

    def take(self, info: Info) -> None:
        most = max((member.lag or 0 for member in info.members), default=0)
        self._most = max(1, most, int(info.gauges.get("kept", 0)))

    def __call__(self, member: Member, key: str, width: int) -> Cell:
        now = self.now()
        if key == "alive":
            return ("•", "good") if member.alive else ("†", "damage")
        if key == "pid":
            return str(member.pid), "" if member.alive else "damage"
        if key == "role":
            return ", ".join(member.roles), ""
        if key == "command":
            return safe(member.command or ("" if member.alive else "dead")), ""
        if key == "since":
            return _ago(member.since, now), "dim"
        if key == "lag":
            return count_text(member.lag), "" if member.lag else "dim"
        if key == "bar":
            return ("", "") if not member.lag else (bar(member.lag / self._most, width), "rate")
        if key == "missed":
            return count_text(member.missed), "warning" if member.missed else "dim"
        if key == "waiting":
            if not member.waiting:
                return "", ""
            times = f" x{member.waiting}" if member.waiting > 1 else ""
            return (_ago(member.waiting_since, now) or "yes") + times, "note"
        if key == "share":
            return (count_text(member.share), "") if member.share else ("", "")
        if key == "view":
            return ("open", "") if member.pinned else ("", "")
        if key == "held":
            return (_ago(member.share_since, now), "") if member.share else ("", "")
        if key == "owed":
            return count_text(member.owed), ""
        return (str(member.slot) if member.slot >= 0 else ""), "dim"


class LockPainter:
    """Cells of locks. Who waits is known of the object, not of each of several locks in it."""

    def __init__(self) -> None:
        self._waiting = ""

    def take(self, info: Info) -> None:
        waiting = [member for member in info.members if member.waiting]
        count = sum(member.waiting for member in waiting)
        since = [member.waiting_since for member in waiting if member.waiting_since is not None]
        longest = f", {short_duration(time.time() - min(since))}" if since else ""
        self._waiting = f"{count}{longest}" if count and len(info.locks) == 1 else ""

    def __call__(self, lock: LockState, key: str, width: int) -> Cell:
        if key == "waiters" and self._waiting:
            return self._waiting, "note"
        return draw_lock(lock, key, width)


def draw_lock(lock: LockState, key: str, width: int) -> Cell:
    if key == "what":
        return lock.what, ""
    if key == "state":
        if lock.abandoned:
            return "! left", "warning"
        return ("held", "strong") if lock.locked else ("free", "dim")
    if key == "owner":
        return who(lock.owner) if lock.locked or lock.owner is not None else "", ""
    if key == "held":
        return (_ago(lock.since, time.time()), "strong") if lock.locked else ("", "")
    if key == "waiters":
        return ("perhaps", "note") if lock.contended else ("no", "dim")
    if key == "thread":
        return "" if lock.thread is None else str(lock.thread), "dim"
    if key == "depth":
        return count_text(lock.depth), ""
    return count_text(lock.deaths), "warning" if lock.deaths else "dim"


def draw_lease(lease: LeaseState, key: str, width: int) -> Cell:
    if key == "number":
        return str(lease.number), ""
    if key == "size":
        return short_size(lease.size), ""
    if key == "age":
        return _ago(lease.since, time.time()), ""
    if key == "attempts":
        return count_text(lease.attempts), "warning" if lease.attempts > 1 else ""
    return who(lease.worker), ""


class RegionPainter:
    """Cells of the layout map. The bar is where a part lies in the whole."""

    def __init__(self) -> None:
        self._whole = 1

    def take(self, info: Info) -> None:
        ends = [region.offset + region.size for region in info.regions]
        self._whole = max(1, info.shared.size, *ends)

    def __call__(self, region: Region, key: str, width: int) -> Cell:
        if key == "name":
            return region.name, ""
        if key == "offset":
            return f"{region.offset:#x}", "dim"
        if key == "size":
            return short_size(region.size), ""
        if key == "bar":
            start = min(width - 1, int(region.offset / self._whole * width))
            stop = round((region.offset + region.size) / self._whole * width)
            return "·" * start + "█" * max(1, min(width, stop) - start), "rate"
        return safe(region.note), "dim"


def problems(info: Info) -> Text:
    """What is wrong and what to do, or that nothing is."""
    text = Text()
    for problem in info.problems or info.shared.problems:
        if text:
            text.append("\n\n")
        text.append(
            f"{SIGNS[problem.severity]} {problem.severity}", palette.SEVERITIES[problem.severity]
        )
        text.append(f"\n{safe(problem.what)}")
        text.append(f"\n→ {safe(problem.remedy)}", "bold")
    return text or Text("No problem was found.", "dim")


def overview(info: Info, history: History, width: int) -> Group | Table:
    """Everything that is not a list: what it is, how it was made, and its numbers."""
    left = [_part("What it is", _identity(info))]
    if info.configuration:
        left.append(
            _part(
                "Configuration",
                [(_label(name), _value(name, value)) for name, value in info.configuration.items()],
            )
        )
    right = []
    if info.gauges:
        right.append(_part("Now", _gauges(info, 24)))
    if info.counters:
        right.append(_counters(info, history, width))
    if width < WIDE or not right:
        # The numbers that move first: in a small terminal the rest is scrolled to.
        return Group(*right, *left)
    grid = Table.grid(padding=(0, 4, 0, 0), expand=True)
    grid.add_column(ratio=1)
    grid.add_column(ratio=1)
    grid.add_row(Group(*left), Group(*right))
    return grid


def _part(title: str, rows: Iterable[tuple[str, Text | str]]) -> Group:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", min_width=16, no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, Text(value) if isinstance(value, str) else value)
    return Group(Text(title, "bold"), grid, Text(""))


def _identity(info: Info) -> list[tuple[str, str]]:
    shared, now = info.shared, time.time()
    rows = [
        ("address", safe(shared.address)),
        ("file", safe(shared.path or "none")),
        ("made by", f"{shared.library or 'not known'}, user {shared.uid}, group {shared.gid}"),
        ("mode", f"{shared.mode:04o}"),
        ("size", _both_sizes(shared.size, shared.resident)),
    ]
    if shared.created is not None:
        rows.append(("made", f"{duration_text(now - shared.created)} ago"))
    if shared.changed is not None:
        rows.append(("last used", f"{duration_text(now - shared.changed)} ago"))
    return rows


def _both_sizes(size: int, resident: int | None) -> str:
    return size_text(size) + (
        "" if resident is None else f", {size_text(resident)} of it in memory"
    )


def _label(name: str) -> str:
    return name.removesuffix("_bytes").replace("_", " ")


def _is_bytes(name: str) -> bool:
    return name in ("capacity", "itemsize") or name.endswith("bytes")


def _value(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and _is_bytes(name):
        return size_text(value)
    if isinstance(value, float):
        return f"{value:g}"
    return safe(str(value))


def _rate(name: str, rate: float) -> str:
    return f"{size_text(round(rate)) if _is_bytes(name) else rate_text(rate)}/s"


def _gauges(info: Info, width: int) -> list[tuple[str, Text]]:
    rows = []
    capacity = info.gauges.get("capacity_bytes", 0)
    for name, value in info.gauges.items():
        if name == "capacity_bytes":
            continue  # stands in the configuration
        number = int(value) if float(value).is_integer() else value
        text = Text(f"{_value(name, number):>10}")
        if name == "used_bytes" and capacity > 0:
            text.append("  ")
            text.append(bar(value / capacity, width), palette.ACCENT)
            text.append(f" {min(999, value / capacity * 100):.0f} %", "dim")
        rows.append((_label(name), text))
    return rows


def _counters(info: Info, history: History, width: int) -> Group:
    room = (width - 4) // 2 if width >= WIDE else width
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", min_width=16, no_wrap=True)
    grid.add_column(justify="right", min_width=10, no_wrap=True)
    grid.add_column(justify="right", min_width=11, no_wrap=True)
    grid.add_column(no_wrap=True)
    for name, count in info.counters.items():
        rate = info.rates.get(name)
        line = sparkline(history.of(name), max(0, min(60, room - 52))).lstrip()
        grid.add_row(
            _label(name),
            _value(name, count),
            "" if rate is None else _rate(name, rate),
            Text(line if rate is not None else "", palette.ACCENT),
        )
    return Group(Text("Since it was made", "bold"), grid, Text(""))


def _ago(since: float | None, now: float) -> str:
    return "" if since is None else short_duration(now - since)
