"""``isthmus rm``."""

from __future__ import annotations

import click

from isthmus import inspect
from isthmus.cli import output
from isthmus.cli.parameters import ObjectName
from isthmus.errors import IsthmusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@click.command(
    "rm",
    epilog="Exit codes: 0 all were removed, 1 one or several could not be (the others were), "
    "2 wrong usage.",
)
@click.argument("names", type=ObjectName(), metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--force",
    is_flag=True,
    help="Also what somebody has, or may have. Those keep it, without its name.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON: what became of each.")
def command(names: tuple[str, ...], force: bool, as_json: bool) -> int:
    """Remove objects that nobody has.

    NAME is a name of isthmus or of POSIX shared memory, or an address as `isthmus ls` shows it
    (posix:psm_1234, sysv-shm:5, mq:jobs, socket:server). What is in use stays, and you are told by
    whom; so does what nobody can know of, since processes of other users cannot be looked at. The
    socket of a channel that somebody listens at stays even with --force.

    \b
    Examples:
        isthmus rm jobs
        isthmus rm posix:psm_1a2b3c4d sysv-shm:5
        isthmus rm camera/front --force
    """
    results: list[dict[str, Any]] = []
    for name in names:
        try:
            removed, error = inspect.remove(name, force=force), None
        except (IsthmusError, OSError) as reason:
            removed, error = None, str(reason)
        results.append({"address": name, "removed": removed, "error": error})
        if as_json:
            continue
        if removed is None:
            click.echo(f"isthmus: {output.safe(error or '')}", err=True)
        else:
            size = output.size_text(removed.size)
            click.echo(f"removed {removed.kind} {output.safe(removed.address)} ({size})")
    if as_json:
        output.print_json(results)
    return int(any(one["error"] for one in results))
