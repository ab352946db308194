"""Locks and atomic integers, uncontended: isthmus against what Python has."""

from __future__ import annotations

import itertools
import multiprocessing
import threading
from collections.abc import Callable

import posix_ipc
from harness import Contender, Race

import isthmus

PAIRS = 20_000


def pairs(lock: object) -> Callable[[int], None]:
    """`acquire` and `release`, so and so often, as a program would call them."""

    def run(count: int) -> None:
        acquire, release = lock.acquire, lock.release  # type: ignore[attr-defined]
        for _ in itertools.repeat(None, count):
            acquire()
            release()

    return run


def blocks(lock: object) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in itertools.repeat(None, count):
            with lock:  # type: ignore[attr-defined]
                pass

    return run


def calls(call: Callable[[], object]) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in itertools.repeat(None, count):
            call()

    return run


def lock_races() -> list[Race]:
    locks = [
        ("isthmus.Lock", isthmus.Lock()),
        ("multiprocessing.Lock", multiprocessing.Lock()),
        ("threading.Lock", threading.Lock()),
        ("posix_ipc.Semaphore", _semaphore()),
    ]
    recursive = [
        ("isthmus.RLock", isthmus.RLock()),
        ("multiprocessing.RLock", multiprocessing.RLock()),
        ("threading.RLock", threading.RLock()),
    ]
    goal = "at most 1.6 of multiprocessing.Lock and 0.8 of threading.Lock"
    return [
        _race("acquire() and release(), nobody else there", locks, pairs, goal),
        _race("with lock, nobody else there", locks, blocks, "none of its own"),
        _race("the same, recursive", recursive, pairs, "none of its own"),
    ]


def _race(
    title: str,
    locks: list[tuple[str, object]],
    job: Callable[[object], Callable[[int], None]],
    goal: str,
) -> Race:
    return Race(title, [Contender(label, job(lock), PAIRS) for label, lock in locks], goal).run()


def _semaphore() -> posix_ipc.Semaphore:
    semaphore = posix_ipc.Semaphore(None, posix_ipc.O_CREX, initial_value=1)
    semaphore.unlink()
    return semaphore


def atomic_race() -> Race:
    integer = isthmus.AtomicInt()
    value = multiprocessing.Value("q", 0)

    def add_to_value(count: int) -> None:
        for _ in itertools.repeat(None, count):
            with value.get_lock():
                value.value += 1

    def add(count: int) -> None:
        method = integer.add
        for _ in itertools.repeat(None, count):
            method(1)

    return Race(
        "AtomicInt.add",
        [
            Contender("AtomicInt.add(1)", add, PAIRS),
            Contender("an empty method of the same extension", calls(integer._nothing), PAIRS),
            Contender("multiprocessing.Value under its lock", add_to_value, PAIRS // 4),
        ],
        "at most 2 of an empty method; at most 0.1 of Value",
    ).run()
