"""For the tests of locks and friends: all kinds of them, and processes that die when told to."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from bare_calls import PATIENCE

import isthmus

# How to open one of each kind: name and options as the class takes them.
KINDS: dict[str, Callable[..., Any]] = {
    "Lock": isthmus.Lock,
    "RLock": isthmus.RLock,
    "Semaphore": isthmus.Semaphore,
    "robust Semaphore": lambda *a, **k: isthmus.Semaphore(*a, robust=True, **k),
    "BoundedSemaphore": isthmus.BoundedSemaphore,
    "Event": isthmus.Event,
    "Condition": isthmus.Condition,
    "Barrier": lambda *a, **k: isthmus.Barrier(*a, parties=2, **k),
    "RWLock": isthmus.RWLock,
    "AtomicInt": isthmus.AtomicInt,
}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())

# What to take and give back of each lock-like thing.
LOCKS: dict[str, Callable[..., Any]] = {
    "Lock": isthmus.Lock,
    "RLock": isthmus.RLock,
    "Condition": isthmus.Condition,
    "RWLock.write": lambda *a, **k: isthmus.RWLock(*a, **k).write,
}
every_lock = pytest.mark.parametrize("make", LOCKS.values(), ids=LOCKS.keys())


class Forked:
    """A child of this process that runs `call` and ends; `kill` ends it at once."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.pid = os.fork()
        if self.pid:
            return
        status = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            call()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def finish(self) -> int:
        """Its exit status, or minus the signal that it died by."""
        end = time.monotonic() + PATIENCE
        while self.pid:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < end, "the child has not ended"
            time.sleep(0.0005)
        return 0

    def kill(self, reap: bool = True) -> None:
        os.kill(self.pid, signal.SIGKILL)
        if reap:
            assert self.finish() == -signal.SIGKILL


@contextmanager
def forked(call: Callable[[], object]) -> Iterator[Forked]:
    process = Forked(call)
    try:
        yield process
    finally:
        if process.pid:
            process.kill()


class Signal:
    """A flag that one process sets and another waits for: a pipe."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def set(self) -> None:
        os.write(self._write, b"x")

    def wait(self) -> None:
        import select

        ready, _, _ = select.select([self._read], [], [], PATIENCE)
        assert ready, "the other process has not come so far"
        os.read(self._read, 1)

    def __enter__(self) -> Signal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._read)
        os.close(self._write)


@contextmanager
def holding(take: Callable[[], object]) -> Iterator[Forked]:
    """A child that has called `take()`, and does nothing more until it is killed."""
    with Signal() as taken:

        def call() -> None:
            take()
            taken.set()
            time.sleep(PATIENCE)

        with forked(call) as process:
            taken.wait()
            yield process


def objects(name: str) -> list[str]:
    """What is there under the name."""
    return [entry for entry in os.listdir("/dev/shm") if name in entry]
