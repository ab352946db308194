"""What child processes do with queues; importable under every start method."""

from __future__ import annotations

import isthmus
from isthmus import Queue


def double(work: Queue, results: Queue, factor: int = 2) -> None:
    for job in work:
        results.put(factor * job)


def feed(work: Queue, who: int, count: int) -> None:
    for i in range(count):
        work.put((who, i) if i % 2 else b"%d %d" % (who, i))


def gather(work: Queue, results: Queue) -> None:
    found = []
    while True:
        try:
            items = work.get_many(7)
        except isthmus.ShutDown:
            break
        for item in items:
            found.append(tuple(map(int, item.split())) if isinstance(item, bytes) else item)
    results.put(found)


def answer(queue: Queue) -> None:
    """A child that finds no room to join says so at its first use."""
    try:
        queue.put(b"x")
    except isthmus.TooManyParticipantsError:
        return
    raise AssertionError("there was room")
