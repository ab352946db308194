"""``isthmus top``."""

from __future__ import annotations

import os
import shutil
import sys

import click

from isthmus.cli.parameters import ObjectName
from isthmus.inspect import Address

# The columns that can be sorted by, as in isthmus.inspect.screen.table, which takes longer to load.
COLUMNS = (
    "kind",
    "name",
    "depth",
    "in",
    "out",
    "lag",
    "alive",
    "holder",
    "held",
    "size",
    "resident",
    "age",
    "state",
)


@click.command(
    "top",
    epilog="Exit codes: 0 ended by q, 1 it could not be done, 2 wrong usage, or not in a terminal, "
    "130 ended by Ctrl-C, 128 + n ended by signal n.",
)
@click.argument("name", type=ObjectName(), metavar="[NAME]", required=False)
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait between two looks.",
)
@click.option("--all", "foreign", is_flag=True, help="Also what others than isthmus have made.")
@click.option(
    "--sort",
    type=click.Choice(COLUMNS),
    default="name",
    show_default=True,
    metavar="COLUMN",
    help=f"Sort by it: {', '.join(COLUMNS)}.",
)
@click.option(
    "--filter", "text", default="", metavar="TEXT", help="Only those in which all words occur."
)
@click.option("--kind", default="", metavar="KIND", help="Only queues, or topics, or locks …")
def command(
    name: str | None, interval: float, foreign: bool, sort: str, text: str, kind: str
) -> None:
    """Watch all objects live, full screen: rates, depth, lag, who holds what, what is wrong.

    Enter shows all about an object: participants, locks, leases, problems and their remedies. There
    and in the table, objects can be removed, queues shut down and participants evicted, after a
    question. Looking only reads: those who use the objects do not notice. The key ? shows all keys.

    With NAME, a name of isthmus or an address as `isthmus ls` shows it, it begins with all about
    that one. For a list that can be piped, see `isthmus ls`.

    \b
    Examples:
        isthmus top
        isthmus top camera/front             all about this one
        isthmus top --sort lag               the slowest first
        isthmus top --kind queue --interval 0.2
        isthmus top --all --filter psm_      what multiprocessing has left
    """
    try:
        from isthmus.inspect.screen.app import TopApp
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "isthmus":
            raise
        raise click.ClickException(
            f"`isthmus top` needs {error.name}, not installed here: pip install 'isthmus[cli]'"
        ) from None
    _need_terminal()
    _settle_size()
    begin = None if name is None else Address.parse(name)
    if begin is not None and not begin.typed_object:
        foreign = True
    from isthmus.inspect.screen.live import Live
    from isthmus.inspect.screen.table import Filter

    app = TopApp(
        Live(),
        interval=interval,
        foreign=foreign,
        sort=sort,
        chosen=Filter(text, kind),
        begin=None if begin is None else str(begin),
    )
    code = app.run()
    if code == 130:
        raise click.Abort
    code = app.return_code or code or 0
    if code:
        raise SystemExit(code)


def _need_terminal() -> None:
    # It reads keys from one and draws on the others.
    for stream, what in ((sys.stdin, "input"), (sys.stdout, "output"), (sys.stderr, "error")):
        if not stream.isatty():
            raise click.UsageError(
                f"this is for a terminal, which standard {what} is not; "
                "`isthmus ls` and `isthmus metrics` are for pipes"
            )
    if os.environ.get("TERM", "dumb") in ("", "dumb"):
        raise click.UsageError(
            "this terminal cannot move its cursor (TERM is 'dumb' or not set); `isthmus ls` needs "
            "nothing of that kind"
        )


def _settle_size() -> None:
    """Agree on a size where the terminal tells none, as a serial line does.

    textual asks in two ways, which assume different ones then, and would draw without end.
    """
    columns, lines = os.get_terminal_size(sys.stdout.fileno())
    if not columns or not lines:
        size = shutil.get_terminal_size()
        os.environ |= {"COLUMNS": str(size.columns), "LINES": str(size.lines)}
