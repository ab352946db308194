"""``isthmus gc``."""

from __future__ import annotations

import re

import click

from isthmus import inspect
from isthmus.cli import output
from isthmus.cli.output import Column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isthmus.inspect import Stale

    DurationType = click.ParamType[float]
else:
    DurationType = click.ParamType

_UNITS = {"": 1.0, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


class Duration(DurationType):
    """A time: ``90``, ``90s``, ``10min``, ``1h``, ``1.5 d``."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*", str(value))
        if not found or found[2] not in _UNITS:
            self.fail(f"{value!r} is not a time; write seconds, or 10min, 1h, 2d", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


@click.command(
    "gc",
    epilog="Exit codes: 0 done, also when nothing is stale; 1 something could not be removed; "
    "2 wrong usage.",
)
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@click.option("--yes", "act", is_flag=True, help="Remove them. Without it nothing is changed.")
@click.option("--foreign", is_flag=True, help="Also what other libraries and programs have made.")
@click.option(
    "--older-than",
    type=Duration(),
    default="1h",
    show_default=True,
    metavar="TIME",
    help="Of foreign ones, only those that were not used for so long.",
)
@click.option(
    "--persistent",
    is_flag=True,
    help="Also objects of isthmus that were made to stay: arrays, persist=True, and locks that "
    "are to tell the next one that their owner died.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON: a list, with the reasons.")
def command(
    patterns: tuple[str, ...],
    act: bool,
    foreign: bool,
    older_than: float,
    persistent: bool,
    as_json: bool,
) -> int:
    """Find what nobody uses any more, and remove it with --yes.

    Objects of isthmus go by the locks that all who have one hold, and that the kernel releases
    when they die: if none is held, nobody has it. Foreign ones only with --foreign, only if no
    process has them open or mapped, and only if they have not been used for a while. What cannot be
    known stays. Look at the list before you say --yes: some people keep plain files in
    /dev/shm. PATTERN picks by name or address, with * and ?.

    \b
    Examples:
        isthmus gc
        isthmus gc --yes
        isthmus gc --foreign --older-than 2d 'psm_*'
        isthmus gc --foreign --json | jq -r '.[] | select(.kept == null) | .object.address'
    """
    found = inspect.gc(
        foreign=foreign, persistent=persistent, older_than=older_than, match=patterns, act=act
    )
    if as_json:
        output.print_json(found)
    else:
        _show(found, act)
    return int(act and any(one.failed for one in found))


def _show(found: list[Stale], act: bool) -> None:
    out = output.console()
    if found:
        columns = [
            Column("KIND"),
            Column("NAME", shrinks=True),
            Column("SIZE", "right"),
            Column("AGE", "right"),
            Column("WHAT"),
            Column("WHY"),
        ]
        output.table(out, columns, [_cells(one) for one in found])
    if not out.is_terminal:
        return
    gone = [one for one in found if one.kept is None]
    size = output.size_text(sum(one.object.resident or 0 for one in gone))
    count = f"{len(gone)} object{'' if len(gone) == 1 else 's'}, {size}"
    if not found:
        out.print("Nothing is stale.")
    elif act:
        out.print(f"Removed: {count}.")
    elif gone:
        out.print(f"Stale: {count}. Nothing was removed; --yes does it.")


def _cells(one: Stale) -> list[str]:
    shared = one.object
    since = shared.created if shared.created is not None else shared.changed
    what = "removed" if one.removed else "kept" if one.kept else "stale"
    return [
        shared.kind,
        shared.name if shared.ours else shared.address,
        output.size_text(shared.size),
        output.age_text(since),
        what,
        one.kept or one.evidence,
    ]
