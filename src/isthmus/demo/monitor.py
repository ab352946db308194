"""The monitor: a subscriber of the session's topic, which draws what it hears.

A process of its own, started by the supervisor: ``python -m isthmus.demo.monitor``.
"""

from __future__ import annotations

import io
import queue
import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from isthmus import Subscriber
from isthmus.demo.meeting import names
from isthmus.demo.role import Role
from isthmus.demo.text import rate_text, size_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isthmus.demo.role import Lifeline

_FRAME = 1 / 15
_MANY = 100


def latest(progress: Subscriber) -> dict[str, Any] | None:
    """The last of what has been published since the last time."""
    last = None
    try:
        while True:
            last = progress.recv_many(_MANY, timeout=0)[-1]
    except queue.Empty:
        return last


def _fields(news: dict[str, Any]) -> dict[str, str]:
    return {
        "moved": f"{size_text(news['received'])} of {size_text(news['total'])}",
        "rate": rate_text(news["received"], news["seconds"]),
        "jobs": f"{news['ready']} ready, {news['leased']} leased",
    }


def draw(progress: Subscriber, lifeline: Lifeline) -> None:
    """Draw frame after frame until told to stop; the last one shows how it ended."""
    columns = (
        TextColumn("   "),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[moved]}"),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[jobs]}"),
    )
    console = Console()
    if console.is_terminal:
        # Room for the ^C that a terminal shows: a line that is full would wrap.
        console.width -= 3
    with Progress(*columns, console=console, auto_refresh=False, expand=True) as bar:
        task = None
        stopping = False
        while True:
            news = latest(progress)
            if news is not None:
                # The fields are for the columns; update() has parameters of other types, too.
                fields: dict[str, Any] = _fields(news)
                total = max(news["total"], 1)
                if task is None:
                    task = bar.add_task("", total=total, **fields)
                done = news["received"] if news["total"] else int(stopping)
                bar.update(task, completed=done, refresh=not stopping, **fields)
            if stopping:
                break
            stopping = lifeline.pulled(_FRAME)


def main() -> None:
    role = Role("monitor")

    def join(session: str) -> Subscriber:
        return Subscriber.attach(names(session)["progress"])

    def run(progress: Subscriber, work: str, first: int) -> dict[str, int]:
        del work, first
        try:
            draw(progress, role.lifeline)
        except BrokenPipeError:
            # Nobody reads the output any more; the supervisor will find that out as well.
            sys.stdout = io.StringIO()
        return {}

    role.serve(join, run)


if __name__ == "__main__":
    main()
