"""``isthmus repair``."""

from __future__ import annotations

import click

from isthmus import inspect
from isthmus.cli import output
from isthmus.cli.parameters import ObjectName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect import Repair


@click.command(
    "repair",
    epilog="Exit codes: 0 it is in order, or would be, 1 it cannot be repaired, or only with "
    "--lossy, 2 wrong usage.",
)
@click.argument("name", type=ObjectName(), metavar="NAME")
@click.option("--dry-run", is_flag=True, help="Only look, and tell what would be done.")
@click.option("--lossy", is_flag=True, help="Drop messages that are damaged, and tell which.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a lock of the object's own that another process has.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON: all that was found.")
def command(name: str, dry_run: bool, lossy: bool, timeout: float, as_json: bool) -> int:
    """Put an object in order after the dead and after damage.

    What processes left that died: leases, permits, locks of the library's own. What is damaged: a
    header, cursors and counts are made anew from the rest, and nothing is lost. A message that is
    damaged is dropped with --lossy only. Those that use the object need not stop.

    \b
    Examples:
        isthmus repair jobs --dry-run     what is there to do?
        isthmus repair jobs
        isthmus repair jobs --lossy       also drop what cannot be mended
    """
    found = inspect.repair(name, lossy=lossy, dry_run=dry_run, timeout=timeout)
    if as_json:
        output.print_json(found)
    elif not found:
        click.echo(f"{output.safe(name)}: nothing to repair")
    else:
        for one in found:
            _tell(one, dry_run)
    return int(any(one.lossy and not one.done and not (dry_run and lossy) for one in found))


def _tell(one: Repair, dry_run: bool) -> None:
    click.echo(f"{one.severity}: {output.safe(one.found)}")
    would = "would be: " if dry_run and not one.done else ""
    click.echo(f"  {would}{output.safe(one.action)}")
