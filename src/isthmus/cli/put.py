"""``isthmus put``."""

from __future__ import annotations

import functools

import click

from isthmus._ring_errors import Full
from isthmus.cli.ends import check_creation, opened, opening_options, timeout_option
from isthmus.cli.messages import given, given_options, send
from isthmus.cli.parameters import ObjectName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.cli.messages import How


@click.command(
    "put",
    epilog="Exit codes: 0 all were put, 1 it could not be done, 2 wrong usage, 3 there was no room "
    "in time, 130 ended by Ctrl-C.",
)
@click.argument("queue", type=ObjectName("queue"))
@given_options
@timeout_option("How long a message may wait for room; 0: not at all.  [default: for ever]")
@opening_options("queue", stays=True)
def command(
    queue: str,
    texts: tuple[str, ...],
    files: tuple[str, ...],
    how: How | None,
    as_bytes: bool,
    timeout: float | None,
    create: bool,
    capacity: int | None,
    owner: int | str | None,
) -> int:
    """Put messages into a queue.

    Each TEXT is a message; without any, each line of standard input is one, as soon as it is
    there. A message is in the queue when it has been put, whatever happens to this command then.

    The queue must be there: one that this command made would be gone at its end, with what is in
    it. With --create a queue is made that stays, until somebody removes it.

    \b
    Examples:
        isthmus put jobs "resize 17.png" "resize 18.png"
        isthmus put jobs --create --capacity 16MiB < jobs.txt
        isthmus put jobs --json '{"job": 17, "sizes": [640, 480]}'
        isthmus put jobs --file movie.mkv      all of the file is one message
        find . -name '*.png' -print0 | isthmus put jobs -0
    """
    from isthmus.queue import Queue

    messages = given(texts, files, how, as_bytes)
    check_creation(create, capacity=capacity)
    make = functools.partial(Queue.create, queue, capacity=capacity, persist=True)
    attach = functools.partial(Queue.attach, queue, owner=owner)
    handle, _ = opened("queue", queue, attach, make if create else None)
    with handle:
        return send(messages, lambda message: handle.put(message, timeout=timeout), Full)
