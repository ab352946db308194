"""isthmus.compat.sysv_ipc against the package sysv_ipc: the calls, with nobody else there."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sysv_ipc
from harness import Contender, Race

from isthmus.compat import sysv_ipc as ours

CALLS = 20_000
GOAL = "at most 1.3 of sysv_ipc"
Job = Callable[[Any], Callable[[int], None]]


def taken(semaphore: Any) -> Callable[[int], None]:
    def run(count: int) -> None:
        acquire, release = semaphore.acquire, semaphore.release
        for _ in itertools.repeat(None, count):
            acquire()
            release()

    return run


def taken_in_blocks(semaphore: Any) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in itertools.repeat(None, count):
            with semaphore:
                pass

    return run


def taken_by_delta(semaphore: Any) -> Callable[[int], None]:
    def run(count: int) -> None:
        acquire, release = semaphore.acquire, semaphore.release
        for _ in itertools.repeat(None, count):
            acquire(delta=1)
            release(delta=1)

    return run


def asked(semaphore: Any) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in itertools.repeat(None, count):
            _ = semaphore.value

    return run


def written(size: int) -> Job:
    def job(memory: Any) -> Callable[[int], None]:
        data = b"x" * size

        def run(count: int) -> None:
            write, read = memory.write, memory.read
            for _ in itertools.repeat(None, count):
                write(data)
                read(size)

        return run

    return job


def sent(size: int) -> Job:
    def job(queue: Any) -> Callable[[int], None]:
        data = b"x" * size

        def run(count: int) -> None:
            send, receive = queue.send, queue.receive
            for _ in itertools.repeat(None, count):
                send(data)
                receive()

        return run

    return job


def opened(semaphore: Any) -> Callable[[int], None]:
    def run(count: int) -> None:
        opens, key = type(semaphore), semaphore.key
        for _ in itertools.repeat(None, count):
            opens(key)

    return run


@contextmanager
def pair(kind: str, **options: object) -> Iterator[tuple[Any, Any]]:
    """One object of ours and one of theirs; both are removed."""
    made: list[Any] = []
    try:
        for module in (ours, sysv_ipc):
            made.append(getattr(module, kind)(None, module.IPC_CREX, **options))
        yield made[0], made[1]
    finally:
        for each in made:
            each.remove()


def compat_sysv_races() -> list[Race]:
    jobs: list[tuple[str, str, Job, dict[str, object], int]] = [
        ("acquire() and release()", "Semaphore", taken, {"initial_value": 1}, CALLS),
        ("the same with delta=1", "Semaphore", taken_by_delta, {"initial_value": 1}, CALLS),
        ("with semaphore", "Semaphore", taken_in_blocks, {"initial_value": 1}, CALLS),
        ("semaphore.value", "Semaphore", asked, {}, CALLS),
        ("Semaphore(key)", "Semaphore", opened, {}, CALLS),
        ("write() and read() of 64 bytes", "SharedMemory", written(64), {}, CALLS),
        ("write() and read() of 1 MiB", "SharedMemory", written(1 << 20), {"size": 1 << 20}, 50),
        ("send() and receive() of 64 bytes", "MessageQueue", sent(64), {}, CALLS),
        ("send() and receive() of 8 KiB", "MessageQueue", sent(8192),
         {"max_message_size": 8192}, CALLS // 4),
    ]  # fmt: skip
    races = []
    for title, kind, job, options, count in jobs:
        with pair(kind, **options) as (mine, original):
            contenders = [
                Contender("isthmus.compat.sysv_ipc", job(mine), count),
                Contender("sysv_ipc", job(original), count),
            ]
            races.append(Race(f"sysv_ipc: {title}", contenders, GOAL).run())
    return races
