"""``isthmus info``."""

from __future__ import annotations

import datetime

import click
from rich.text import Text

from isthmus import inspect
from isthmus.cli import output
from isthmus.cli.output import Column, age_text, safe, size_text
from isthmus.cli.parameters import ObjectName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from rich.console import Console

    from isthmus.inspect import Info, LockState, Member

# How long rates are measured, unless told otherwise: seconds.
_SECONDS = 1.0
_STYLES = {"damage": "bold red", "warning": "yellow", "note": ""}
# Gauges and counters that are bytes.
_BYTES = {"used_bytes", "capacity_bytes", "bytes"}


@click.command(
    "info",
    epilog="Exit codes: 0 done, also when problems were found; 1 there is no such object, or it "
    "may not be read; 2 wrong usage.",
)
@click.argument("names", type=ObjectName(), metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--seconds",
    type=click.FloatRange(0, 3600),
    default=_SECONDS,
    show_default=True,
    metavar="S",
    help="How long to measure rates; 0: not at all.",
)
@click.option(
    "--map/--no-map",
    "with_map",
    default=True,
    help="What is where in the file.  [default: map]",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON: a list, all that is known.")
def command(names: tuple[str, ...], seconds: float, with_map: bool, as_json: bool) -> None:
    """Tell all about one object, or several.

    What it was made with, who takes part and since when, who lives, who is how far behind, who
    holds its locks and who waits for them, what is being worked on, how much goes through it in a
    second, and what is wrong with it, with the remedy. NAME is a name of isthmus or of POSIX shared
    memory, or an address as `isthmus ls` shows it (posix:psm_1234, sysv-shm:5, mq:jobs).

    \b
    Examples:
        isthmus info jobs
        isthmus info camera/front --seconds 5
        isthmus info posix:psm_1a2b3c4d
        isthmus info jobs --seconds 0 --json | jq '.[0].gauges'
    """
    found = [inspect.info(name, seconds=seconds) for name in names]
    if as_json:
        output.print_json(found)
        return
    out = output.console()
    for place, one in enumerate(found):
        if place:
            out.print()
        _show(out, one, with_map)


def _show(out: Console, one: Info, with_map: bool) -> None:
    shared = one.shared
    out.print(Text(f"{shared.kind} ", style="dim") + Text(safe(shared.name), style="bold"))
    _pairs(out, _basics(one))
    _section(out, "Configuration", _pairs, _numbers(one.configuration))
    _section(out, "Now", _pairs, _numbers(one.gauges))
    _section(out, "Since it was made", _pairs, _counters(one))
    _section(out, "Participants", _members, one.members)
    _section(out, "Locks", _locks, [lock for lock in one.locks if _interesting(lock)])
    _section(out, "Leases", _leases, one.leases)
    _section(out, "Processes that have it", _users, shared.users)
    if with_map:
        _section(out, "Layout", _regions, one.regions)
    _section(out, "Problems", _problems, one.problems)
    if not one.problems:
        out.print()
        out.print("No problems found.")


def _section(
    out: Console, title: str, show: Callable[[Console, Any], None], found: Sequence[Any]
) -> None:
    if not found:
        return
    out.print()
    out.print(Text(title, style="bold"))
    show(out, found)


def _pairs(out: Console, pairs: Iterable[tuple[str, str]]) -> None:
    pairs = list(pairs)
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        out.print(Text(f"  {name:<{width}}  ", style="dim") + Text(safe(value)), soft_wrap=True)


def _basics(one: Info) -> list[tuple[str, str]]:
    shared = one.shared
    pairs = [("address", shared.address)]
    if shared.path:
        pairs.append(("file", shared.path))
    if shared.library and not shared.ours:
        pairs.append(("made by", shared.library))
    in_memory = "" if shared.resident is None else f", {size_text(shared.resident)} in memory"
    pairs.append(("size", f"{size_text(shared.size)} ({shared.size} bytes){in_memory}"))
    pairs.append(("owner", f"{output.user_text(shared.uid)} (mode {shared.mode:04o})"))
    if shared.created is not None:
        pairs.append(("made", f"{_clock(shared.created)}, {age_text(shared.created)} ago"))
    elif shared.changed is not None:
        pairs.append(("changed", f"{_clock(shared.changed)}, {age_text(shared.changed)} ago"))
    used = {True: "yes", False: "no: nobody has it", None: "not known"}[shared.in_use]
    pairs.append(("in use", used))
    return pairs


def _clock(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment).astimezone().isoformat(" ", "seconds")


def _numbers(values: Any) -> list[tuple[str, str]]:
    return [(_title(name), _value(name, value)) for name, value in values.items()]


def _title(name: str) -> str:
    return name.removesuffix("_bytes").replace("_", " ")


def _value(name: str, value: object) -> str:
    if name in _BYTES or name == "capacity":
        return size_text(int(str(value)))
    if isinstance(value, bool) or name in {"set", "broken", "shut_down"}:
        return "yes" if value else "no"
    if value is None:
        return "no limit"
    if isinstance(value, list):
        return " x ".join(map(str, value)) or "one element"
    return str(value)


def _counters(one: Info) -> list[tuple[str, str]]:
    pairs = []
    for name, value in one.counters.items():
        rate = one.rates.get(name)
        pace = ""
        if rate is not None:
            pace = f"{size_text(round(rate))}/s" if name in _BYTES else f"{rate:.4g}/s"
            pace = f"   {pace}"
        pairs.append((_title(name), _value(name, value) + pace))
    return pairs


def _members(out: Console, members: Sequence[Member]) -> None:
    lag = any(member.lag is not None for member in members)
    share = any(member.share or member.owed for member in members)
    columns = [
        Column("SLOT", "right"),
        Column("PID", "right"),
        Column("STATE"),
        Column("ROLE"),
        Column("SINCE", "right"),
        Column("WAITING", "right"),
    ]
    if share:
        columns += [Column("HOLDS", "right"), Column("FOR", "right")]
    if lag:
        columns += [Column("LAG", "right"), Column("MISSED", "right")]
    columns.append(Column("COMMAND", shrinks=True))
    rows = []
    for member in members:
        waiting = "-"
        if member.waiting:
            threads = f"{member.waiting} x " if member.waiting > 1 else ""
            waiting = threads + age_text(member.waiting_since)
        state = Text("alive") if member.alive else Text("dead", style="yellow")
        row: list[str | Text] = [
            str(member.slot),
            str(member.pid),
            state,
            ", ".join(member.roles) or "-",
            age_text(member.since),
            waiting,
        ]
        if share:
            row += [str(member.share), age_text(member.share_since)]
        if lag:
            row += [_or_dash(member.lag), _or_dash(member.missed)]
        row.append((member.command or "-") + (" (holds a view)" if member.pinned else ""))
        rows.append(row)
    output.table(out, columns, rows)


def _or_dash(number: int | None) -> str:
    return "-" if number is None else str(number)


def _interesting(lock: LockState) -> bool:
    """Locks inside are worth a line only while somebody has them."""
    own = lock.what in {"lock", "writer"}
    return own or lock.locked or lock.abandoned or lock.contended


def _locks(out: Console, locks: Sequence[LockState]) -> None:
    rows = []
    for lock in locks:
        if lock.owner is not None:
            dead = "" if lock.owner.alive else ", dead"
            thread = f" thread {lock.thread}" if lock.thread else ""
            holder = f"pid {lock.owner.pid}{thread}{dead}"
        else:
            holder = "a slot of nobody" if lock.locked else "nobody"
        if lock.abandoned:
            holder += " (the last owner died)"
        held = age_text(lock.since) if lock.locked else "-"
        depth = "-" if lock.depth is None else str(lock.depth)
        command = lock.owner.command if lock.owner is not None else None
        rows.append(
            [
                lock.what,
                holder,
                held,
                depth,
                "yes" if lock.contended else "no",
                _or_dash(lock.deaths),
                command or "-",
            ]
        )
    columns = [
        Column("LOCK"),
        Column("HELD BY"),
        Column("FOR", "right"),
        Column("DEPTH", "right"),
        Column("WANTED"),
        Column("DEATHS", "right"),
        Column("COMMAND", shrinks=True),
    ]
    output.table(out, columns, rows)


def _leases(out: Console, leases: Sequence[inspect.LeaseState]) -> None:
    columns = [
        Column("MESSAGE", "right"),
        Column("SIZE", "right"),
        Column("ATTEMPT", "right"),
        Column("AT LEAST FOR", "right"),
        Column("WORKER"),
        Column("COMMAND", shrinks=True),
    ]
    rows = []
    for lease in leases:
        worker = "nobody" if lease.worker is None else f"pid {lease.worker.pid}"
        if lease.worker is not None and not lease.worker.alive:
            worker += ", dead"
        rows.append(
            [
                str(lease.number),
                size_text(lease.size),
                str(lease.attempts),
                age_text(lease.since),
                worker,
                (lease.worker.command if lease.worker is not None else None) or "-",
            ]
        )
    output.table(out, columns, rows)


def _users(out: Console, users: Sequence[inspect.Process]) -> None:
    columns = [Column("PID", "right"), Column("COMMAND", shrinks=True)]
    output.table(out, columns, [[str(user.pid), user.command or "-"] for user in users])


def _regions(out: Console, regions: Sequence[inspect.Region]) -> None:
    columns = [
        Column("OFFSET", "right"),
        Column("SIZE", "right"),
        Column("PART"),
        Column("WHAT", shrinks=True),
    ]
    rows = [[hex(one.offset), size_text(one.size), one.name, one.note] for one in regions]
    output.table(out, columns, rows)


def _problems(out: Console, problems: Sequence[inspect.Problem]) -> None:
    for problem in problems:
        head = Text(f"  {problem.severity}: ", style=_STYLES[problem.severity] or "bold")
        out.print(head + Text(safe(problem.what)))
        out.print(Text(f"    {safe(problem.remedy)}", style="dim"))
