"""What child processes do with locks and friends; importable under every start method."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from isthmus import AtomicInt, Barrier, Event, Lock, RWLock, Segment


def use_all(*handles: Any) -> None:
    """Each operation that never waits for long, on each of them."""
    for handle in handles:
        if isinstance(handle, AtomicInt):
            before = handle.add(1)
            assert handle.wait_while(before - 1, timeout=0)
        elif isinstance(handle, Event):
            handle.set()
            assert handle.wait(60) and handle.is_set()
        elif isinstance(handle, Barrier):
            handle.abort()
            assert handle.broken
            handle.reset()
        else:
            sides = (handle.read, handle.write) if isinstance(handle, RWLock) else (handle,)
            for side in sides:
                with side:
                    pass
                assert side.acquire(timeout=60)
                side.release()


def hold(lock: Any) -> None:
    assert lock.acquire(timeout=60)
    assert not lock.owner_died
    lock.release()


def count(lock: Lock, counter: AtomicInt, total: AtomicInt, times: int) -> None:
    """Without the lock, some of the additions to `counter` would be lost."""
    for _ in range(times):
        with lock:
            value = counter.load()
            counter.store(value + 1)
        total.add(1)


def exclude(lock: Lock) -> int:
    with lock:
        owner = lock.owner
        return int(owner is not None and owner.alive)


def make_named(name: str) -> None:
    """Objects that only this process knows, kept until its very end."""
    keep = [Lock(name), AtomicInt(name + "-n"), Segment.anonymous(10)]
    Event.kept = keep  # type: ignore[attr-defined]


def leave_a_pool_of_threads(name: str) -> None:
    """Its threads end only when the interpreter is told to; one of them still uses a lock."""
    lock, threads = Lock(name), ThreadPoolExecutor(1)
    threads.submit(hold, lock).result()
    Event.kept = [lock, threads]  # type: ignore[attr-defined]
