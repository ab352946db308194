"""What children of the tests of `isthmus.compat.multiprocessing` do with locks and values."""

from __future__ import annotations

import os
import signal
import time
import warnings
from ctypes import Structure, c_int
from multiprocessing.connection import Connection
from typing import Any

from isthmus import OwnerDiedWarning


class Pair(Structure):
    _fields_ = (("x", c_int), ("y", c_int))


METHODS = ("fork", "spawn", "forkserver")


def add(lock: Any, value: Any, times: int) -> None:
    """Without the lock some of the additions would be lost."""
    for _ in range(times):
        with lock:
            value.value += 1


def add_to_all(values: Any, done: Any) -> None:
    for value in values:
        with value:
            value.value += 1
    done.release()


def raise_when_told(value: Any, pipe: Connection) -> None:
    pipe.recv()
    value.value += 1
    pipe.send(value.value)


def release(lock: Any) -> None:
    lock.release()


def take_and_be_killed(*locks: Any) -> None:
    for lock in locks:
        assert lock.acquire(timeout=60)
    os.kill(os.getpid(), signal.SIGKILL)


def wait_and_be_killed(barrier: Any, ready: Any) -> None:
    ready.release()
    barrier.wait()


def take_and_tell(lock: Any, ready: Any, stay: Connection) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        ready.release()
        assert lock.acquire(timeout=60)
    stay.send([issubclass(each.category, OwnerDiedWarning) for each in heard])
    lock.release()


def use_everything(things: dict[str, Any]) -> None:
    """Take part in all that the parent has made; see test_mp_locks_processes.py."""
    things["go"].wait(60)
    assert things["go"].is_set()
    with things["condition"]:
        things["array"][0] += 1
        things["condition"].notify_all()
    with things["rlock"], things["rlock"]:
        things["raw"].x += 1
    things["semaphore"].release()
    assert things["barrier"].wait(60) in (0, 1)
    things["value"].value *= 2
    things["lock"].release()  # which the parent has taken


def seconds_until(lock: Any) -> float:
    begin = time.monotonic()
    assert lock.acquire(timeout=60)
    return time.monotonic() - begin
