"""Large arrays: copied in and viewed, against memcpy; written in place, of any size."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from functools import partial

import carriers
import numpy as np
from contest import Contest, Goal, Party, in_children, two_cores
from trips import SPIN, round_trip

import isthmus

KIB, MIB = 1 << 10, 1 << 20
ROUNDS = 15


def timed(work: Callable[[], object], count: int) -> float:
    for _ in range(max(4, count // 10)):
        work()
    begin = time.perf_counter()
    for _ in range(count):
        work()
    return (time.perf_counter() - begin) / count


def alone(make: Callable[[], tuple[Callable[[], object], object]], count: int) -> float:
    """In a process of its own on one core."""

    def work() -> float:
        job, keep = make()
        spent = timed(job, count)
        del job, keep
        return spent

    return in_children([work], two_cores()[-1:])[0]


def ring_room(size: int) -> int:
    """A topic for arrays of this size, no larger than it has to be: the caches are small."""
    return 2 * size


def published(size: int) -> tuple[Callable[[], object], object]:
    """Copied in by one handle, and viewed by another."""
    array = np.arange(size, dtype="u1")
    publisher = isthmus.Publisher(None, capacity=ring_room(size))
    subscriber = publisher.subscriber()
    first = int(array[1])

    def job() -> None:
        publisher.publish(array)
        with subscriber.view() as view:
            if view[1] != first:
                raise RuntimeError("this is not what was published")

    return job, (publisher, subscriber)


def copied(size: int) -> tuple[Callable[[], object], object]:
    """Always to the same place."""
    source, target = np.arange(size, dtype="u1"), np.zeros(size, "u1")
    return partial(np.copyto, target, source), None


def copied_around(size: int) -> tuple[Callable[[], object], object]:
    """To shared memory of the size of the topic, place after place, as a topic has it."""
    source = np.arange(size, dtype="u1")
    room = np.frombuffer(mmap.mmap(-1, ring_room(size)), "u1")
    room[:] = 0
    targets = [room[at : at + size] for at in range(0, len(room), size)]
    at = 0

    def job() -> None:
        nonlocal at
        np.copyto(targets[at], source)
        at = (at + 1) % len(targets)

    return job, room


def array_contests() -> list[Contest]:
    contests = []
    topic, rival = "isthmus, published and viewed", "np.copyto"
    for size, count in ((MIB, 400), (8 * MIB, 40)):
        parties = [
            Party(topic, partial(alone, partial(published, size)), count),
            Party(rival, partial(alone, partial(copied, size)), count),
            Party(
                "np.copyto, from place to place in as much shared memory",
                partial(alone, partial(copied_around, size)),
                count,
            ),
        ]
        goals = [Goal(topic, rival, at_least=0.9)]
        title = f"An array of {size // MIB} MiB, copied in and viewed, on one core"
        contests.append(Contest(title, parties, goals, ROUNDS).run())
    return contests


def lent(size: int) -> tuple[Callable[[], object], object]:
    """A frame that nobody fills, lent and viewed."""
    publisher = isthmus.Publisher(None, capacity=4 * max(size, 64 * KIB))
    subscriber = publisher.subscriber()

    def job() -> None:
        with publisher.loan((size,), "u1") as frame:
            frame[1] = 7
        del frame
        with subscriber.view() as view:
            if view[1] != 7:
                raise RuntimeError("this is not what was written")

    return job, (publisher, subscriber)


def loan_contest() -> Contest:
    small, large = "loan and view, 1 KiB", "loan and view, 8 MiB"
    trip = "round trip of 64 bytes over queues"
    parties = [
        Party(large, partial(alone, partial(lent, 8 * MIB)), 10_000),
        Party(small, partial(alone, partial(lent, KIB)), 10_000),
        Party(trip, partial(round_trip, partial(carriers.QueueCarrier, SPIN)), 50_000),
    ]
    goals = [
        Goal(large, small, at_most=1.2),
        Goal(large, trip, at_most=10),
        Goal(small, trip, at_most=10),
    ]
    return Contest("A frame written in place, on one core", parties, goals, ROUNDS).run()


def frame_contests() -> list[Contest]:
    return [*array_contests(), loan_contest()]
