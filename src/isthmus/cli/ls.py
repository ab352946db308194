"""``isthmus ls``."""

from __future__ import annotations

import fnmatch

import click
from rich.text import Text

from isthmus import inspect
from isthmus.cli import output
from isthmus.cli.output import Column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from isthmus.inspect import SharedObject

_SIGNS = {"damage": "!!", "warning": "!", "note": "·"}
_STYLES = {"damage": "bold red", "warning": "yellow", "note": "dim"}
# What to sort by, and which way is the natural one.
_KEYS: dict[str, tuple[Callable[[SharedObject], Any], bool]] = {
    "name": (lambda one: (one.family, one.name), False),
    "kind": (lambda one: (one.kind, one.name), False),
    "size": (lambda one: one.size, True),
    "resident": (lambda one: one.resident or 0, True),
    "depth": (lambda one: -1 if one.depth is None else one.depth, True),
    "age": (lambda one: one.created or one.changed or 0.0, False),
    "users": (lambda one: (one.alive or 0, len(one.users)), True),
    "owner": (lambda one: one.uid, False),
}


@click.command(
    "ls",
    epilog="Exit codes: 0 done, also when there is nothing; 1 it could not be done, 2 wrong usage.",
)
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@click.option("--ours", "only", flag_value="ours", help="Only objects of isthmus.")
@click.option("--foreign", "only", flag_value="foreign", help="Only what others made.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    help="Only objects of this kind: queue, topic, lock, segment …; may be given several times.",
)
@click.option("--unused", is_flag=True, help="Only what nobody is seen to have.")
@click.option("--problems", is_flag=True, help="Only what has problems.")
@click.option(
    "--sort", type=click.Choice(list(_KEYS)), default="name", show_default=True, help="By what."
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option("--users", is_flag=True, help="Add a line for each process that has it.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON: a list, all that is known.")
def command(
    patterns: tuple[str, ...],
    only: str | None,
    kinds: tuple[str, ...],
    unused: bool,
    problems: bool,
    sort: str,
    reverse: bool,
    users: bool,
    as_json: bool,
) -> None:
    """List what processes share on this host.

    Objects of isthmus (queues, topics, locks, arrays …), and what others made: POSIX shared memory
    and semaphores, System V segments, semaphores and message queues, POSIX message queues. PATTERN
    picks by name or address, with * and ?.

    ALIVE is how many participants are there (+ those that died and have not been cleaned up
    after); DEPTH how many messages wait; USERS how many processes map it or have it open, 0? where
    some could not be looked at (of other users, in other containers). A sign says that there is a
    problem: !! damage, ! a warning, · a note; `isthmus info` explains it.

    \b
    Examples:
        isthmus ls
        isthmus ls 'camera/*' --kind topic
        isthmus ls --sort size --foreign
        isthmus ls --unused --json | jq -r '.[].address'
    """
    found = inspect.objects(foreign=only != "ours")
    if only == "foreign":
        found = [one for one in found if not one.ours]
    if patterns:
        found = [one for one in found if _matches(one, patterns)]
    if kinds:
        found = [one for one in found if one.kind in kinds]
    if unused:
        found = [one for one in found if not one.in_use and not one.users]
    if problems:
        found = [one for one in found if one.problems]
    key, downwards = _KEYS[sort]
    found.sort(key=key, reverse=downwards != reverse)
    if as_json:
        output.print_json(found)
        return
    out = output.console()
    if not found:
        out.print("Nothing." if out.is_terminal else "", end="\n" if out.is_terminal else "")
        return
    _show(out, found, users)
    if out.is_terminal and not patterns:
        for note in inspect.blind_spots():
            out.print(f"{note.what} {note.remedy}", style="dim")


def _matches(one: SharedObject, patterns: tuple[str, ...]) -> bool:
    return any(
        fnmatch.fnmatchcase(text, pattern)
        for pattern in patterns
        for text in (one.name, one.address, one.name.lstrip("/"))
    )


def _show(out: Any, found: list[SharedObject], users: bool) -> None:
    columns = [
        Column(" "),
        Column("KIND"),
        Column("NAME", shrinks=True),
        Column("SIZE", "right"),
        Column("RESIDENT", "right"),
        Column("ALIVE", "right"),
        Column("DEPTH", "right"),
        Column("USERS", "right"),
        Column("AGE", "right"),
        Column("OWNER"),
        Column("MODE"),
        Column("LIBRARY"),
    ]
    if out.is_terminal and out.width < 110:
        # What a narrow terminal has no room for: --json has it all.
        columns = [one for one in columns if one.title not in {"RESIDENT", "LIBRARY", "MODE"}]
    if out.is_terminal and out.width < 72:
        columns = [one for one in columns if one.title not in {"USERS", "AGE", "OWNER"}]
    titles = [one.title for one in columns]
    rows = []
    for one in found:
        cells = _cells(one)
        rows.append([cells[title] for title in titles])
        if users:
            rows.extend(_user_rows(one, titles))
    output.table(out, columns, rows)


def _cells(one: SharedObject) -> dict[str, str | Text]:
    worst = one.problems[0].severity if one.problems else None
    dead = f"+{one.dead}" if one.dead else ""
    return {
        " ": Text(_SIGNS[worst], style=_STYLES[worst]) if worst else "",
        "KIND": one.kind,
        "NAME": one.name if one.ours else one.address,
        "SIZE": output.size_text(one.size),
        "RESIDENT": output.size_text(one.resident),
        "ALIVE": "-" if one.alive is None else f"{one.alive}{dead}",
        "DEPTH": "-" if one.depth is None else str(one.depth),
        "USERS": _users_text(one),
        "AGE": output.age_text(one.created if one.created is not None else one.changed),
        "OWNER": output.user_text(one.uid),
        "MODE": f"{one.mode:04o}",
        "LIBRARY": one.library or "-",
    }


def _users_text(one: SharedObject) -> str:
    if one.users:
        return str(len(one.users))
    return {True: "some", False: "0", None: "0?"}[one.in_use]


def _user_rows(one: SharedObject, titles: list[str]) -> list[list[str | Text]]:
    rows: list[list[str | Text]] = []
    for user in one.users:
        text = f"  {user.pid} {user.command or ''}"
        rows.append([text if title == "NAME" else "" for title in titles])
    return rows
