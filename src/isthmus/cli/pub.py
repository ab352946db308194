"""``isthmus pub``."""

from __future__ import annotations

import functools
import time

import click

from isthmus._ring_errors import Full
from isthmus.cli.ends import check_creation, opened, opening_options, timeout_option
from isthmus.cli.messages import TIME_UP, given, given_options, send
from isthmus.cli.parameters import ObjectName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from isthmus.cli.messages import How
    from isthmus.topic import Publisher

# Seconds between two looks whether they have come. Nobody tells a publisher of that.
_LOOK = 0.01


@click.command(
    "pub",
    epilog="Exit codes: 0 all were published, 1 it could not be done, 2 wrong usage, 3 there was "
    "no room, or were not enough subscribers, in time, 130 ended by Ctrl-C.",
)
@click.argument("topic", type=ObjectName("topic"))
@given_options
@click.option(
    "--wait-subscribers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Begin when so many subscribe.",
)
@timeout_option("How long to wait for them, and a message for room.  [default: for ever]")
@click.option(
    "--overflow",
    type=click.Choice(["block", "overwrite", "error"]),
    default="block",
    show_default=True,
    help="Where a slow subscriber is in the way: wait, let it miss messages, or give up.",
)
@opening_options("topic", stays=False)
def command(
    topic: str,
    texts: tuple[str, ...],
    files: tuple[str, ...],
    how: How | None,
    as_bytes: bool,
    wait_subscribers: int | None,
    timeout: float | None,
    overflow: Literal["block", "overwrite", "error"],
    create: bool,
    capacity: int | None,
    persist: bool,
    owner: int | str | None,
) -> int:
    """Publish messages on a topic: each subscriber gets each of them.

    Each TEXT is a message; without any, each line of standard input is one, as soon as it is
    there.

    A topic is there as long as anybody has it open. One that --create makes goes at the end of
    this command, unless somebody has subscribed meanwhile (see --wait-subscribers), or --persist
    keeps it.

    \b
    Examples:
        isthmus pub news "it rains"
        sensor --lines | isthmus pub readings --overflow overwrite
        isthmus pub news --create --wait-subscribers 2 --timeout 10 "it rains"
        isthmus pub camera --npy --file frame.npy
    """
    from isthmus.topic import Publisher

    messages = given(texts, files, how, as_bytes)
    check_creation(create, capacity=capacity, persist=persist)
    make = functools.partial(
        Publisher.create, topic, overflow=overflow, capacity=capacity, persist=persist
    )
    attach = functools.partial(Publisher.attach, topic, overflow=overflow, owner=owner)
    handle, new = opened("topic", topic, attach, make if create else None)
    with handle:
        if wait_subscribers is not None and not _come(handle, wait_subscribers, timeout):
            click.echo(
                f"isthmus: topic {topic!r} had less than {wait_subscribers} subscribers in time; "
                "nothing was published",
                err=True,
            )
            return TIME_UP
        code = send(messages, lambda message: handle.publish(message, timeout=timeout), Full)
        if new and not persist and not handle.stats().subscribers:
            click.echo(
                f"isthmus: nobody subscribes to topic {topic!r}, so it goes again; "
                "--wait-subscribers waits for somebody, --persist keeps it",
                err=True,
            )
    return code


def _come(publisher: Publisher, count: int, timeout: float | None) -> bool:
    deadline = None if timeout is None else time.monotonic() + timeout
    while publisher.stats().subscribers < count:
        if deadline is not None and time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK)
    return True
