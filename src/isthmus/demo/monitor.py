"""The monitor: looks at the segment, which it has mapped for reading only, and draws.

A process of its own, started by the supervisor: ``python -m isthmus.demo.monitor``.
"""

from __future__ import annotations

import io
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from isthmus.demo.role import Role
from isthmus.demo.text import rate_text, size_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isthmus.demo.role import Lifeline
    from isthmus.demo.transfer import Transfer, Turns

_FRAME = 1 / 15


def _fields(transfer: Transfer) -> dict[str, str]:
    done = transfer.consumer.bytes
    start, end = transfer.producer.time, transfer.consumer.time
    seconds = ((end or time.monotonic_ns()) - start) / 1e9 if start else 0.0
    filled = max(0, transfer.producer.chunks - transfer.consumer.chunks)
    return {
        "moved": f"{size_text(done)} of {size_text(transfer.total)}",
        "rate": rate_text(done, seconds),
        "filled": f"{min(filled, transfer.slots)}/{transfer.slots} filled",
    }


def draw(transfer: Transfer, lifeline: Lifeline) -> None:
    """Draw frame after frame until told to stop; the last one shows how it ended."""
    columns = (
        TextColumn("   "),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[moved]}"),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[filled]}"),
    )
    total = max(transfer.total, 1)
    console = Console()
    if console.is_terminal:
        # Room for the ^C that a terminal shows: a line that is full would wrap.
        console.width -= 3
    with Progress(*columns, console=console, auto_refresh=False, expand=True) as progress:
        initial: dict[str, Any] = _fields(transfer)
        task = progress.add_task("", total=total, **initial)
        stopping = False
        while True:
            done = transfer.consumer.bytes if transfer.total else int(stopping)
            # The fields are for the columns; update() has parameters of other types, too.
            fields: dict[str, Any] = _fields(transfer)
            progress.update(task, completed=done, refresh=not stopping, **fields)
            if stopping:
                break
            stopping = lifeline.pulled(_FRAME)


def main() -> None:
    role = Role("monitor")

    def run(transfer: Transfer, turns: Turns | None, work: str) -> None:
        del turns, work
        try:
            draw(transfer, role.lifeline)
        except BrokenPipeError:
            # Nobody reads the output any more; the supervisor will find that out as well.
            sys.stdout = io.StringIO()

    role.serve(run, readonly=True)


if __name__ == "__main__":
    main()
