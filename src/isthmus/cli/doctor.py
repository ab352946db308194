"""``isthmus doctor``."""

from __future__ import annotations

import textwrap

import click
from rich.text import Text

from isthmus.cli import output
from isthmus.cli.output import safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rich.console import Console

    from isthmus.inspect import Finding

_STYLES = {"problem": "bold red", "warning": "yellow", "note": "bold", "ok": "green"}
# As wide as the widest of these, "problem" and "warning", and a space after it.
_LABEL = 8


@click.command(
    "doctor",
    epilog="Exit codes: 0 no problem was found (warnings there may be), 1 there is a problem, or "
    "it could not be looked, 2 wrong usage.",
)
@click.option("--all", "show_all", is_flag=True, help="Also all that is well, a line each.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON: a list of all findings.")
def command(show_all: bool, as_json: bool) -> int:
    """Look whether this machine is fit for shared memory.

    /dev/shm, its size and use, memory and its limits; limits of this process and user; what the
    kernel can do, tried out; System V objects and message queues; what systemd removes at logout;
    traps of containers; huge pages. Each finding says why it matters and what to do. What is told
    is true of this process and user: ask in the container, and as the user, that has trouble.

    Nothing is changed. A "problem" is what keeps something from working now, a "warning" what will
    some day, a "note" is worth knowing.

    \b
    Examples:
        isthmus doctor
        isthmus doctor --all
        isthmus doctor --json | jq -r '.[] | select(.severity == "problem") | .remedy'
    """
    from isthmus import inspect

    found = inspect.doctor()
    if as_json:
        output.print_json(found)
    else:
        _show(output.console(), found, show_all)
    return int(any(finding.severity == "problem" for finding in found))


def _show(out: Console, found: list[Finding], show_all: bool) -> None:
    """The worst first; below each, why, and what to do."""
    well = [finding for finding in found if finding.severity == "ok"]
    for finding in found:
        if finding.severity == "ok" and not show_all:
            continue
        label = Text(f"{finding.severity:<{_LABEL}}", style=_STYLES[finding.severity])
        _paragraph(out, label, f"{finding.group}: {finding.what}", "")
        if finding.why:
            _paragraph(out, Text(" " * _LABEL), f"Why: {finding.why}", "dim")
        if finding.remedy:
            _paragraph(out, Text(" " * _LABEL), f"Do: {finding.remedy}", "")
    if well and not show_all:
        names = ", ".join(finding.check for finding in well)
        label = Text(f"{'ok':<{_LABEL}}", style=_STYLES["ok"])
        _paragraph(out, label, names, "dim")
    out.print(_summary(found))


def _paragraph(out: Console, label: Text, text: str, style: str) -> None:
    """A text beside its label; in a pipe on one line, however long."""
    text = safe(text)
    lines = [text]
    if out.is_terminal:
        width = max(out.width - _LABEL, 20)
        lines = textwrap.wrap(text, width, break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        start = label if number == 0 else Text(" " * _LABEL)
        out.print(Text.assemble(start, (line, style)), soft_wrap=True)


def _summary(found: list[Finding]) -> str:
    counts = {
        one: sum(finding.severity == one for finding in found) for one in ("problem", "warning")
    }
    return ", ".join(f"{count} {one}{'' if count == 1 else 's'}" for one, count in counts.items())
