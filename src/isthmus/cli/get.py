"""``isthmus get``."""

from __future__ import annotations

import click

from isthmus._ring_errors import Empty, ShutDown, UntrustedPickleError
from isthmus.cli.ends import owner_option, timeout_option
from isthmus.cli.messages import TIME_UP
from isthmus.cli.parameters import ObjectName
from isthmus.cli.written import Message, Writer, output_options
from isthmus.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.queue import Queue


@click.command(
    "get",
    epilog="Exit codes: 0 as many as asked for were got, or the queue has been shut down and is "
    "empty; 1 it could not be done; 2 wrong usage; 3 nothing more came in time; 130 ended by "
    "Ctrl-C.",
)
@click.argument("queue", type=ObjectName("queue"))
@click.option(
    "--count", type=click.IntRange(min=1), metavar="N", help="How many messages.  [default: 1]"
)
@click.option("--all", "everything", is_flag=True, help="All that are ready; wait for none.")
@click.option("--follow", is_flag=True, help="Go on until the queue is shut down.")
@timeout_option("How long to wait for each; 0: not at all.  [default: for ever]")
@output_options
@click.option(
    "--allow-pickle", is_flag=True, help="Read pickles: they can run any code of who put them."
)
@owner_option
def command(
    queue: str,
    count: int | None,
    everything: bool,
    follow: bool,
    timeout: float | None,
    as_json: bool,
    data: str | None,
    null: bool,
    output: str | None,
    allow_pickle: bool,
    owner: int | str | None,
) -> int:
    """Get messages from a queue: nobody else gets them then.

    A text is printed as a line, bytes as they are (to a terminal: their beginning), anything else
    as Python shows it, arrays by their shape and type; --json and --output have all of it.

    A message is leased until it has been written, and only then gone. If this command is killed
    before, or nobody reads its output any more, the message is in the queue again: it may come
    twice, and is not lost. What lies in a pipe has been written, whether or not it is read.

    \b
    Examples:
        isthmus get jobs
        isthmus get jobs --count 10 --timeout 5 --json
        isthmus get jobs --all --output jobs/       a file for each message
        isthmus get jobs --follow | while read -r job; do work "$job"; done
    """
    if sum((count is not None, everything, follow)) > 1:
        raise click.UsageError("--count, --all and --follow: one of them")
    if everything and timeout is not None:
        raise click.UsageError("--all waits for nothing, so there is no use for --timeout")
    writer = Writer(
        as_json=as_json,
        data=data,
        null=null,
        output=output,
        several=everything or follow or (count or 1) > 1,
    )
    most = None if everything or follow else count or 1
    with _attached(queue, owner, allow_pickle) as handle:
        try:
            got, ended = _got(handle, writer, most, 0.0 if everything else timeout)
        except UntrustedPickleError as error:
            raise UntrustedPickleError(
                f"message {error.number} of queue {queue!r} is a pickle, and stays; "
                "--allow-pickle reads it, and runs what is in it",
                name=queue,
                number=error.number,
            ) from None
    if everything or ended or got == most or (follow and got):
        return 0
    click.echo(f"isthmus: queue {queue!r} had no {'more ' if got else ''}message in time", err=True)
    return TIME_UP


def _attached(name: str, owner: int | str | None, allow_pickle: bool) -> Queue:
    from isthmus.queue import Queue

    try:
        return Queue.attach(name, owner=owner, allow_pickle=allow_pickle)
    except NotFoundError:
        raise NotFoundError(
            f"there is no queue {name!r}; `isthmus ls` lists what there is", name=name
        ) from None


def _got(queue: Queue, writer: Writer, most: int | None, timeout: float | None) -> tuple[int, bool]:
    """How many, and whether the queue has been shut down and is empty."""
    got = 0
    while most is None or got < most:
        try:
            lease = queue.lease(timeout=timeout)
        except Empty:
            return got, False
        except ShutDown:
            return got, True
        with lease:
            # An error or a signal from here on gives it back.
            writer.write(Message(lease.number, lease.value, lease.attempt))
        got += 1
    return got, False
