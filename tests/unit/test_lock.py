"""Lock and RLock in one process; what happens when owners die is in test_owner_death.py."""

from __future__ import annotations

import gc
import math
import os
import threading
import time
from typing import Any

import pytest
from bare_calls import Background, until
from hypothesis import given, settings, strategies as st

import isthmus
from isthmus import Lock, RLock

both = pytest.mark.parametrize("make", [Lock, RLock])


@both
def test_it_is_held_by_one_at_a_time(make: Any, name: str) -> None:
    one, other = make(name), make(name)
    assert one.acquire() is True
    assert one.locked() and other.locked()
    assert other.acquire(block=False) is False
    one.release()
    assert not one.locked()
    with other as entered:
        assert entered is other
        assert one.acquire(timeout=0) is False
    assert one.acquire(True, 0.5) is True
    one.release()


def test_a_waiter_gets_it_when_it_is_released(name: str) -> None:
    one, other = Lock(name), Lock(name)
    one.acquire()
    waiting = Background(lambda: other.acquire(timeout=50))
    until(lambda: len(one.waiters()) == 1)
    one.release()
    assert waiting.finish() is True
    assert other.locked() and one.waiters() == []
    other.release()


@both
def test_a_timeout_is_waited_for_and_reported(make: Any, name: str) -> None:
    one, other = make(name), make(name)
    with one:
        for seconds in (0.01, 0.08):  # less and more than the wait is cut into
            begin = time.monotonic()
            assert other.acquire(timeout=seconds) is False
            assert seconds <= time.monotonic() - begin < 20
        for seconds in (0, -1, -math.inf):
            assert other.acquire(timeout=seconds) is False


@both
@pytest.mark.parametrize("timeout", [None, 1e300, math.inf, 10**400])
def test_a_free_one_is_taken_whatever_the_timeout(make: Any, timeout: Any) -> None:
    lock = make()
    assert lock.acquire(timeout=timeout) is True
    lock.release()


@both
def test_arguments_that_make_no_sense_are_refused_though_it_is_free(make: Any) -> None:
    lock = make()
    with pytest.raises(isthmus.ArgumentError, match="does not block"):
        lock.acquire(False, 1)
    with pytest.raises(ValueError, match="NaN"):
        lock.acquire(timeout=math.nan)
    with pytest.raises(TypeError, match="seconds, not str"):
        lock.acquire(timeout="1")
    with pytest.raises(TypeError):
        lock.acquire(blocking=True)
    assert not lock.locked()


@both
def test_what_is_not_held_cannot_be_released(make: Any, name: str) -> None:
    one, other = make(name), make(name)
    with pytest.raises(isthmus.NotHeldError, match="not held by this handle"):
        one.release()
    with one:
        for wrong in (RuntimeError, ValueError):
            with pytest.raises(wrong, match="not held"):
                other.release()
        with pytest.raises(isthmus.NotHeldError):
            other.abandon()
        assert one.locked()


def test_any_thread_may_release_a_lock() -> None:
    lock = Lock()
    Background(lock.acquire).finish()
    assert lock.locked()
    lock.release()
    assert not lock.locked()


def test_only_its_thread_may_release_a_recursive_lock() -> None:
    lock = RLock()
    taken, done = threading.Event(), threading.Event()

    def other() -> None:
        with lock:
            taken.set()
            done.wait(60)

    thread = Background(other)
    assert taken.wait(60)
    with pytest.raises(isthmus.NotHeldError):
        lock.release()
    assert lock.acquire(block=False) is False
    done.set()
    thread.finish()
    assert lock.acquire(block=False)
    lock.release()


@given(st.lists(st.booleans()))
@settings(deadline=None, max_examples=40)
def test_a_recursive_lock_counts(steps: list[bool]) -> None:
    lock, depth = RLock(), 0
    for take in steps:
        if take:
            assert lock.acquire(block=False)
            depth += 1
        elif depth:
            lock.release()
            depth -= 1
        else:
            with pytest.raises(isthmus.NotHeldError):
                lock.release()
        assert lock.locked() == (depth > 0)
        assert Background(lambda: lock.acquire(block=False)).finish() == (depth == 0) or depth
        if depth == 0 and lock.locked():
            return  # the other thread has it now, and is gone


def test_the_owner_is_known(name: str) -> None:
    one, other = Lock(name), Lock(name)
    assert other.owner is None
    before = time.time()
    with one:
        owner = other.owner
        assert owner is not None
        assert (owner.pid, owner.thread, owner.alive) == (
            os.getpid(),
            threading.get_native_id(),
            True,
        )
        assert owner.command is not None
        assert "python" in owner.command
        assert owner.since is not None
        assert before - 1 < owner.since < time.time() + 1
        assert f"pid {os.getpid()}" in repr(owner)
        assert repr(other) == f"<isthmus.Lock {name!r}, held by pid {os.getpid()}>"
        with pytest.raises(AttributeError, match="snapshot"):
            owner.pid = 1
    assert repr(other) == f"<isthmus.Lock {name!r}, free>"


def test_waiters_are_known(name: str) -> None:
    lock, second, third = Lock(name), Lock(name), Lock(name)
    lock.acquire()
    assert lock.waiters() == []
    waiting = [Background(handle.acquire) for handle in (second, third)]
    until(lambda: len(lock.waiters()) == 2)
    found = lock.waiters()
    assert {each.thread for each in found} == {each.task for each in waiting}
    assert all(each.alive and each.pid == os.getpid() for each in found)
    lock.release()
    until(lambda: not (waiting[0].is_alive() and waiting[1].is_alive()))
    for handle in (second, third) if not waiting[0].is_alive() else (third, second):
        until(lambda handle=handle: _release(handle))  # type: ignore[misc]
    for each in waiting:
        each.finish()


def _release(lock: Lock) -> bool:
    try:
        lock.release()
    except isthmus.NotHeldError:
        return False
    return True


@both
def test_threads_exclude_each_other(make: Any) -> None:
    lock, counter = make(), [0]

    def work() -> None:
        for _ in range(300):
            with lock:
                value = counter[0]
                time.sleep(0)
                counter[0] = value + 1

    threads = [Background(work) for _ in range(4)]
    for thread in threads:
        thread.finish()
    assert counter == [1200]


@both
def test_a_closed_handle_says_so(make: Any, name: str) -> None:
    lock = make(name)
    assert not lock.closed
    lock.close()
    lock.close()
    assert lock.closed and "closed" in repr(lock)
    for use in (lock.acquire, lock.release, lock.locked, lock.__enter__, lambda: lock.owner):
        with pytest.raises(isthmus.ClosedError, match=f"'{name}' has been closed"):
            use()
    with pytest.raises(isthmus.ClosedError):
        lock.unlink()


def test_it_cannot_be_closed_under_a_waiter(name: str) -> None:
    one, other = Lock(name), Lock(name)
    one.acquire()
    waiting = Background(other.acquire)
    until(lambda: len(one.waiters()) == 1)
    with pytest.raises(isthmus.InUseError, match="waiting on this handle"):
        other.close()
    one.release()
    waiting.finish()
    other.release()
    other.close()


def test_what_a_closed_handle_held_is_as_if_its_owner_had_died(name: str) -> None:
    one, other = Lock(name), Lock(name, on_owner_death="ignore")
    one.acquire()
    one.close()
    assert other.acquire(timeout=50)
    assert other.owner_died
    other.release()
    assert not other.owner_died


def test_the_last_reference_closes_it(name: str) -> None:
    lock = Lock(name)
    lock.acquire()
    other = Lock(name, on_owner_death="ignore")
    del lock
    gc.collect()
    assert other.acquire(timeout=50)
    other.release()


def test_spinning_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Lock(spin=7.5).spin == 7.5
    assert Lock(spin=0).spin == 0
    monkeypatch.setenv("ISTHMUS_SPIN_US", "33")
    assert Lock().spin == 33
    assert Lock(spin=1).spin == 1
    monkeypatch.setenv("ISTHMUS_SPIN_US", "much")
    with pytest.raises(isthmus.ArgumentError, match="ISTHMUS_SPIN_US is 'much'"):
        Lock()
    for wrong in (-1, 2_000_000, math.nan):
        with pytest.raises(isthmus.ArgumentError, match="spin must be from"):
            Lock(spin=wrong)
    with pytest.raises(TypeError, match="microseconds, not str"):
        Lock(spin="1")  # type: ignore[arg-type]


def test_a_subclass_may_override_what_it_likes() -> None:
    class Loud(Lock):
        taken = 0

        def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
            Loud.taken += 1
            return super().acquire(block, timeout)

    class Louder(Loud):
        pass

    lock = Louder()
    assert lock.acquire() and Loud.taken == 1
    lock.release()
    with lock:  # not by way of acquire(), as in threading
        assert lock.locked()
