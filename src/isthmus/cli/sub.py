"""``isthmus sub``."""

from __future__ import annotations

import functools

import click

from isthmus._ring_errors import Empty, RecordError, UntrustedPickleError
from isthmus.cli.ends import check_creation, opened, opening_options, timeout_option
from isthmus.cli.messages import TIME_UP
from isthmus.cli.parameters import ObjectName, StartAt
from isthmus.cli.written import Message, Unread, Writer, output_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.topic import Start, Subscriber

# How often to look for a moment in which nothing was published.
_LOOKS = 1000


@click.command(
    "sub",
    epilog="Exit codes: 0 as many as asked for have come; 1 it could not be done; 2 wrong usage; 3 "
    "nothing came in time, or fewer than --count; 130 ended by Ctrl-C.",
)
@click.argument("topic", type=ObjectName("topic"))
@click.option(
    "--count", type=click.IntRange(min=1), metavar="N", help="End after so many.  [default: never]"
)
@click.option(
    "--start", type=StartAt(), default="next", show_default=True, metavar="next|oldest|N",
    help="With what is published from now on, with the oldest that is there, or the last N.",
)  # fmt: skip
@timeout_option("End when none has come for so long.  [default: never]")
@output_options
@click.option(
    "--allow-pickle", is_flag=True, help="Read pickles: they can run any code of who sent them."
)
@opening_options("topic", stays=False)
def command(
    topic: str,
    count: int | None,
    start: Start,
    timeout: float | None,
    as_json: bool,
    data: str | None,
    null: bool,
    output: str | None,
    allow_pickle: bool,
    create: bool,
    capacity: int | None,
    persist: bool,
    owner: int | str | None,
) -> int:
    """Subscribe to a topic, and print what comes.

    A text is printed as a line, bytes as they are (to a terminal: their beginning), anything else
    as Python shows it, arrays by their shape and type; --json and --output have all of it. What
    was overwritten before it could be read is told on standard error.

    This is a subscriber like any other: a publisher that waits for slow ones (overflow "block", the
    default) waits for this one, too, also when nobody reads its output. `isthmus tail` is none and
    holds up nobody. Pickles are named and passed over, unless allowed.

    \b
    Examples:
        isthmus sub camera --count 3 --json
        isthmus sub news --start oldest --timeout 5
        isthmus sub camera --count 100 --output frames/     a file for each
        isthmus sub readings --create --capacity 16MiB      wait for who publishes
    """
    from isthmus.topic import Subscriber

    check_creation(create, capacity=capacity, persist=persist)
    writer = Writer(as_json=as_json, data=data, null=null, output=output, several=count != 1)
    make = functools.partial(
        Subscriber.create, topic, start=start, timeout=timeout, allow_pickle=allow_pickle,
        capacity=capacity, persist=persist,
    )  # fmt: skip
    attach = functools.partial(
        Subscriber.attach, topic, start=start, timeout=timeout, allow_pickle=allow_pickle,
        owner=owner,
    )  # fmt: skip
    handle, _ = opened("topic", topic, attach, make if create else None)
    with handle:
        received = _Received(handle, writer).until(count)
    if received == count or (count is None and received):
        return 0
    more = "more " if received else ""
    click.echo(f"isthmus: topic {topic!r} had no {more}message in time", err=True)
    return TIME_UP


class _Received:
    """What has come to a subscriber, and which number the next one has."""

    def __init__(self, subscriber: Subscriber, writer: Writer) -> None:
        self._subscriber, self._writer = subscriber, writer
        self._missed = subscriber.missed
        self._next = self._position()

    def _position(self) -> int:
        """How many messages lie before the next one to come."""
        published = lag = 0
        # Of a topic that is never at rest it would never be told.
        for _ in range(_LOOKS):
            published = self._subscriber.stats().published
            lag = self._subscriber.lag
            # Both of the same moment, or not yet.
            if self._subscriber.stats().published == published:
                break
        return published - lag

    def until(self, count: int | None) -> int:
        """Write so many, or until none comes in time: how many have come."""
        received = 0
        while count is None or received < count:
            try:
                value = self._subscriber.recv()
            except Empty:
                break
            except UntrustedPickleError as error:
                self._tell_missed()
                value = Unread("pickle", "not read; --allow-pickle reads it")
                self._next = error.number
            except RecordError as error:
                # All up to now is lost with it: it cannot be told where the next one begins.
                click.echo(f"isthmus: {error}", err=True)
                self._missed = self._subscriber.missed
                self._next = self._position()
                continue
            else:
                self._tell_missed()
            self._writer.write(Message(self._next, value))
            self._next += 1
            received += 1
        return received

    def _tell_missed(self) -> None:
        missed = self._subscriber.missed - self._missed
        if not missed:
            return
        self._missed += missed
        self._next += missed
        click.echo(
            f"isthmus: missed {missed} message{'' if missed == 1 else 's'} before number "
            f"{self._next}: overwritten before they could be read",
            err=True,
        )
