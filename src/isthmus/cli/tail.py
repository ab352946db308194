"""``isthmus tail``."""

from __future__ import annotations

import time

import click

from isthmus.cli.ends import timeout_option
from isthmus.cli.parameters import ObjectName
from isthmus.cli.written import Message, Unread, Writer
from isthmus.errors import NotFoundError
from isthmus.inspect._address import Address
from isthmus.inspect.looking._observed import Observed, Vanished
from isthmus.inspect.messages import _decode, _elements
from isthmus.inspect.messages._record import MASK, TYPES
from isthmus.inspect.messages._records import RingReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isthmus.inspect.messages._record import Content, Record


@click.command(
    "tail",
    epilog="Exit codes: 0 done, or there is nothing to follow any more; 1 it could not be done; 2 "
    "wrong usage; 130 ended by Ctrl-C.",
)
@click.argument("name", type=ObjectName("queue", "topic"))
@click.option(
    "-n", "--count", type=click.IntRange(min=0), default=10, show_default=True, metavar="N",
    help="How many of the last messages.",
)  # fmt: skip
@click.option("-f", "--follow", is_flag=True, help="Go on with those to come.")
@click.option(
    "--interval", type=click.FloatRange(min=0.001), default=0.1, show_default=True,
    metavar="SECONDS", help="With --follow: how often to look.",
)  # fmt: skip
@timeout_option("With --follow: end when none has come for so long.  [default: never]")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each.")
@click.option("-0", "--null", is_flag=True, help="End each message with NUL.")
def command(
    name: str,
    count: int,
    follow: bool,
    interval: float,
    timeout: float | None,
    as_json: bool,
    null: bool,
) -> None:
    """Print the last messages of a topic or queue, and those to come, without taking any.

    Nobody can tell that this command looks: it takes no part, holds up no publisher, takes no
    message from anybody, and pickles are not read. The price is that nobody wakes it up: with
    --follow it looks ten times a second. What was overwritten, or got, between two looks it has
    missed, and says so on standard error. Use `isthmus sub` to have each message of a topic.

    Of a queue it shows what is in it: ready, or being worked on.

    \b
    Examples:
        isthmus tail camera
        isthmus tail jobs -n 3 --json
        isthmus tail news --follow
        isthmus tail readings -f --interval 0.01 | grep warn
    """
    writer = Writer(as_json=as_json, data=None, null=null, output=None, several=True)
    path = Address.typed(name).path or ""
    try:
        with Observed(path) as observed:
            seen = _Seen(name, RingReader(observed), writer)
            seen.last(count)
            if follow:
                _follow(seen, observed, interval, timeout)
    except Vanished:
        raise NotFoundError(
            f"there is no queue or topic {name!r}, or it went away while it was looked at; "
            "`isthmus ls` lists what there is",
            name=name,
        ) from None


def _follow(seen: _Seen, observed: Observed, interval: float, timeout: float | None) -> None:
    """Until it is gone, or has been shut down and is empty, or nothing comes in time."""
    latest = time.monotonic()
    while True:
        # First: what was there when it went away is shown still.
        linked = observed.linked
        ended = seen.ended
        now = time.monotonic()
        if seen.next():
            latest = now
        elif timeout is not None and now - latest >= timeout:
            return
        if ended:
            return
        if not linked:
            click.echo(f"isthmus: {seen.name!r} has been removed", err=True)
            return
        time.sleep(interval)


class _Seen:
    """How far the messages of a queue or topic have been shown."""

    def __init__(self, name: str, reader: RingReader, writer: Writer) -> None:
        self.name = name
        self._reader, self._writer = reader, writer
        #: Where the next message to show begins, and its number, if that can be told.
        self._position = reader.cursors().tail
        self._number: int | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more can come."""
        ends = self._reader.cursors()
        return ends.closed and (ends.discarded or ends.first == ends.tail)

    def last(self, count: int) -> None:
        ends = self._reader.cursors()
        self._position, self._number = ends.tail, ends.put
        for record in self._reader.last(count):
            self._show(record)

    def next(self) -> bool:
        """Show what has come since; whether anything has."""
        some = False
        for record in self._reader.records(start=self._position):
            self._show(record)
            some = True
        return some

    def _show(self, record: Record) -> None:
        content = self._content(record)
        if content is None and record.sound:
            # Overwritten meanwhile: the number of the next one tells.
            return
        self._position = record.position + record.span & MASK
        if record.sound:
            if self._number is not None and record.number > self._number:
                self._tell_missed(record.number - self._number, record.number)
            self._number = record.number + 1
        if record.state != "done":
            attempt = record.attempts or None
            number = record.number if record.sound else None
            self._writer.write(Message(number, _value(record, content), attempt))

    def _content(self, record: Record) -> Content | None:
        """As much of it as is shown."""
        if not record.sound:
            return None
        kind = TYPES.get(record.type)
        # Of an array the elements are not shown, of a pickle only what it is.
        limit = 0 if kind == "array" else _decode.ENOUGH if kind == "pickle" else None
        return self._reader.content(record, limit=limit)

    def _tell_missed(self, count: int, number: int) -> None:
        click.echo(
            f"isthmus: missed {count} message{'' if count == 1 else 's'} before number {number}: "
            "gone before they could be seen",
            err=True,
        )


def _value(record: Record, content: Content | None) -> Any:
    """What the message is, without running anything that came with it."""
    if content is None:
        return Unread("damaged", record.problem or "")
    kind = TYPES.get(record.type)
    try:
        if kind == "array":
            return _without_elements(content.meta, record.size)
        if kind == "pickle":
            return Unread(kind, _decode.preview(record, content), record.size)
        return _decode.value(record, content)
    except ValueError as error:
        return Unread("damaged", str(error), record.size)


def _without_elements(meta: bytes, size: int) -> Any:
    """An array of the same shape and type, that has no memory of its own."""
    import numpy as np

    from isthmus import _dtype

    found = _elements.elements(meta, size)
    dtype = _dtype.decode(found.dtype.encode())
    return np.broadcast_to(np.zeros((), dtype), found.shape)
