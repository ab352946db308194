"""``isthmus demo``."""

from __future__ import annotations

import click
from rich.console import Console

from isthmus.cli.parameters import PosixName, Size
from isthmus.demo.errors import DemoError
from isthmus.demo.meeting import SLOT_MIN, SLOTS_MAX, slot_size
from isthmus.demo.program import Options, run
from isthmus.demo.source import Source, default_path


@click.command(
    "demo",
    epilog="Exit codes: 0 all went well, 1 a process was killed or something could not be done, "
    "2 wrong usage, 130 ended by Ctrl-C.",
)
@click.option(
    "--input", "path", metavar="FILE", help="What to transfer.  [default: the Python interpreter]"
)
@click.option(
    "--segment-size",
    type=Size(),
    default="4 MiB",
    show_default=True,
    metavar="SIZE",
    help="Shared memory for the queue that the file goes through; a power of two, or rounded up.",
)
@click.option(
    "--slots",
    type=click.IntRange(1, SLOTS_MAX),
    default=8,
    show_default=True,
    metavar="N",
    help="How many chunks of the file have room in it at once.",
)
@click.option(
    "--consumers",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    metavar="N",
    help="How many processes work on the chunks.",
)
@click.option(
    "--rate",
    type=Size(),
    metavar="SIZE",
    help="Read so many bytes a second at most, to have time to look.  [default: full speed]",
)
@click.option(
    "--name",
    type=PosixName(),
    default="sample",
    show_default=True,
    help="Name of the segment of the classic sample.",
)
@click.option(
    "--compare/--no-compare",
    default=True,
    help="Time the same transfer through a topic, a queue, a pipe and a file.  [default: compare]",
)
def command(
    path: str | None,
    segment_size: int,
    slots: int,
    consumers: int,
    rate: int | None,
    name: str,
    compare: bool,
) -> None:
    """Show what shared memory is for, step by step.

    First the classic sample: a parent and a child share one page, the child writes a number into
    it, the parent reads it. Then a real transfer: a producer puts a file into a queue, chunk by
    chunk, consumers hash them and count their bytes, and a monitor subscribes to a topic and
    draws a bar. What a consumer works on when it is killed goes to another one. In the end, the
    time of such a transfer is shown beside that of a pipe and a file.

    \b
    Examples:
        isthmus demo
        isthmus demo --input movie.mkv --segment-size "16 MiB"
        isthmus demo --rate "5 MiB"        slowly: kill -9 one of them meanwhile
    """
    if slot_size(segment_size, slots) < SLOT_MIN:
        raise click.BadParameter(
            f"{segment_size} bytes in {slots} slots are less than {SLOT_MIN} bytes each; "
            "make it larger, or have fewer slots",
            param_hint="'--segment-size'",
        )
    try:
        source = Source(default_path() if path is None else path)
    except DemoError as error:
        raise click.BadParameter(str(error), param_hint="'--input'") from None
    with source:
        options = Options(name, segment_size, slots, consumers, rate, compare)
        run(source, options, Console(highlight=False))
