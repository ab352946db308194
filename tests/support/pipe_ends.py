"""What child processes do with the ends of pipes; importable under every start method."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from isthmus.compat.multiprocessing.connection import Connection, Pipe


@contextlib.contextmanager
def piped(duplex: bool = True, **options: Any) -> Iterator[tuple[Connection, Connection]]:
    """A pipe whose ends are closed in the end."""
    first, second = Pipe(duplex, **options)
    with first, second:
        yield first, second


def waits(end: Connection, *, sending: bool = False) -> bool:
    """Whether somebody waits for a message, or for room, in the ring of this end."""
    ring: Any = end._outlet if sending else end._inlet
    return any(facts[5] and facts[6] for facts in ring._participants())


def echo(end: Connection) -> None:
    """Send back what comes, until the end; then say so."""
    with end:
        while True:
            try:
                received = end.recv()
            except EOFError:
                return
            end.send(received)


def reach_through(end: Connection, *others: Connection) -> None:
    """Receive a connection, answer through it, and send one back that goes on to be used."""
    for other in others:
        other.close()
    inner = end.recv()
    inner.send(inner.recv() + 1)
    inner.close()
    mine, yours = Pipe()
    with mine:
        with yours:
            end.send(yours)
            end.recv()  # it has arrived
        mine.send("from a pipe that the child has made")
        try:
            mine.recv()
        except EOFError:
            end.send("closed")


def message(number: int) -> Any:
    """A message of a size that depends on the number; none of them are alike."""
    size = (7, 30, 700, 3_000, 20_000)[number % 5]
    data = number.to_bytes(4, "little") * size
    return [number, data, {"more": number}][:2] if number % 2 else [number, bytearray(data)]


def check(received: Any) -> int:
    """That it is such a message, whole; its number."""
    number: int = received[0]
    assert received == message(number)
    return number


def send_numbers(end: Connection, who: int, count: int) -> None:
    for i in range(count):
        end.send((who, message(i)))


def wait_then_echo(end: Connection, *others: Connection) -> None:
    """`echo`, of what `select` says is there."""
    import select

    for other in others:
        other.close()

    while select.select([end], [], [], 60)[0]:
        try:
            end.send(end.recv())
        except EOFError:
            return
    raise AssertionError("neither a message nor the end has come")
