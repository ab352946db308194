"""Locks and friends of `isthmus.compat.multiprocessing` in one process, as documented there."""

from __future__ import annotations

import copy
import gc
import math
import threading
import time
from typing import Any

import pytest
from bare_calls import Background, until

import isthmus
from isthmus.compat.multiprocessing import synchronize
from isthmus.compat.multiprocessing.synchronize import (
    Barrier,
    BoundedSemaphore,
    Condition,
    Event,
    Lock,
    RLock,
    Semaphore,
)

TOO_OFTEN = "semaphore or lock released too many times"


def in_thread(call: Any) -> Any:
    return Background(call).finish()


@pytest.mark.parametrize("make", [Lock, RLock, Semaphore, BoundedSemaphore, Condition])
def test_it_is_acquired_and_released_as_the_standard_one(make: Any) -> None:
    it = make()
    assert it.acquire() is True
    assert in_thread(lambda: it.acquire(False)) is False
    assert in_thread(lambda: it.acquire(block=False, timeout=30)) is False
    assert it.release() is None
    with it as entered:
        assert entered is True
        begin = time.monotonic()
        for seconds in (0, -1, -math.inf):
            assert in_thread(lambda seconds=seconds: it.acquire(True, seconds)) is False
        assert in_thread(lambda: it.acquire(timeout=0.02)) is False
        assert time.monotonic() - begin >= 0.02
    assert it.acquire(True, 5) is True
    it.release()


def test_a_lock_is_released_by_any_thread_but_not_twice() -> None:
    lock = Lock()
    with pytest.raises(ValueError, match=TOO_OFTEN):
        lock.release()
    lock.acquire()
    in_thread(lock.release)
    assert not lock.locked()
    with pytest.raises(ValueError, match=TOO_OFTEN):
        lock.release()
    waiting = Background(lambda: lock.acquire(timeout=50)) if lock.acquire() else None
    until(lambda: bool(lock.waiters()))
    lock.release()
    assert waiting is not None and waiting.finish() is True
    lock.release()


def test_a_recursive_lock_belongs_to_its_thread() -> None:
    lock = RLock()
    with pytest.raises(AssertionError, match="attempt to release recursive lock not owned"):
        lock.release()
    with lock, lock:
        assert lock._semlock._count() == 2
        with pytest.raises(AssertionError, match="attempt to release recursive lock not owned"):
            in_thread(lock.release)
        assert in_thread(lambda: lock.acquire(False)) is False
    assert not lock.locked()


def test_a_bounded_semaphore_keeps_its_bound_and_another_has_none() -> None:
    bounded, plain = BoundedSemaphore(2), Semaphore(0)
    assert (bounded.get_value(), plain.get_value()) == (2, 0)
    with pytest.raises(ValueError, match=TOO_OFTEN):
        bounded.release()
    assert bounded.get_value() == 2
    plain.release()
    plain.release()
    assert plain.get_value() == 2 and not plain.locked()
    with pytest.raises(ValueError, match="value"):
        Semaphore(-1)
    with pytest.raises(ValueError, match="never"):
        BoundedSemaphore(0)


def test_reprs_tell_what_the_standard_ones_tell() -> None:
    lock, rlock, other = Lock(), RLock(), RLock()
    assert (repr(lock), repr(rlock)) == ("<Lock(owner=None)>", "<RLock(None, 0)>")
    with lock, rlock, rlock:
        assert repr(lock) == "<Lock(owner=MainProcess)>"
        assert repr(rlock) == "<RLock(MainProcess, 2)>"
        assert in_thread(lambda: repr(lock)) == "<Lock(owner=SomeOtherThread)>"
        assert in_thread(lambda: repr(rlock)) == "<RLock(SomeOtherThread, nonzero)>"
    seen: list[str] = []
    thread = threading.Thread(
        target=lambda: [lock.acquire(), seen.append(repr(lock)), lock.release()], name="T1"
    )
    thread.start()
    thread.join()
    assert seen == ["<Lock(owner=MainProcess|T1)>"]
    assert repr(Semaphore(3)) == "<Semaphore(value=3)>"
    assert repr(BoundedSemaphore(2)) == "<BoundedSemaphore(value=2, maxvalue=2)>"
    assert repr(Condition(other)) == "<Condition(<RLock(None, 0)>, 0)>"
    event = Event()
    assert repr(event) == f"<Event at {id(event):#x} unset>"
    event.set()
    assert repr(event) == f"<Event at {id(event):#x} set>"
    barrier = Barrier(3)
    assert repr(barrier).endswith(f"Barrier at {id(barrier):#x}: waiters=0/3>")
    barrier.abort()
    assert repr(barrier).endswith(": broken>")
    lock.close()
    assert repr(lock) == "<Lock(owner=unknown)>"


def test_what_standard_code_looks_at_in_a_semlock() -> None:
    lock, rlock, bounded = Lock(), RLock(), BoundedSemaphore(3)
    seen = lock._semlock
    assert (seen._get_value(), seen._is_zero(), seen._count(), seen._is_mine()) == (1, 0, 0, False)
    assert seen.acquire() is True
    assert (seen._get_value(), seen._is_zero(), seen._count(), seen._is_mine()) == (0, 1, 1, True)
    assert in_thread(lambda: (seen._count(), seen._is_mine())) == (1, False)
    seen.release()
    with seen:
        assert lock.locked()
    kinds = [each._semlock.kind for each in (lock, rlock, bounded)]
    assert kinds == [synchronize.SEMAPHORE, synchronize.RECURSIVE_MUTEX, synchronize.SEMAPHORE]
    assert [each._semlock.maxvalue for each in (lock, rlock, bounded)] == [1, 1, 3]
    assert Semaphore()._semlock.maxvalue == synchronize.SEM_VALUE_MAX
    assert bounded._semlock._get_value() == 3 and bounded._semlock._count() == 0
    assert seen.name is None and seen.handle != rlock._semlock.handle
    assert isinstance(lock, synchronize.SemLock)


@pytest.mark.parametrize("make", [None, Lock, RLock])
def test_a_condition_wakes_those_that_wait(make: Any) -> None:
    condition = Condition(None if make is None else make())
    done: list[int] = []

    def wait(number: int) -> None:
        with condition:
            assert condition.wait(50)
            done.append(number)

    waiting = [Background(lambda number=number: wait(number)) for number in range(4)]
    until(lambda: condition._sleeping_count.get_value() == 4)
    with condition:
        condition.notify(0)
        condition.notify()
        assert done == []
    until(lambda: len(done) == 1)
    with condition:
        condition.notify(n=2)
    until(lambda: len(done) == 3)
    condition.acquire()
    condition.notify_all()
    condition.release()
    for each in waiting:
        each.finish()
    with condition:
        assert condition.wait(timeout=0.01) is False
        assert condition.wait_for(lambda: done and 7, timeout=0) == 7
        assert condition.wait_for(lambda: False, timeout=0.01) is False
        assert condition._woken_count.get_value() == condition._wait_semaphore.get_value() == 0


def test_a_condition_insists_on_its_lock() -> None:
    condition = Condition(Lock())
    for call in (
        condition.wait,
        condition.notify,
        condition.notify_all,
        lambda: condition.notify(0),
        lambda: condition.wait_for(lambda: False),
    ):
        with pytest.raises(AssertionError):
            call()
    assert condition.wait_for(lambda: 5) == 5  # nothing to wait for
    with pytest.raises(ValueError, match=TOO_OFTEN):
        condition.release()
    with pytest.raises(AssertionError, match="not owned by thread"):
        Condition().release()
    with pytest.raises(TypeError, match="lock"):
        Condition(threading.Lock())  # type: ignore[arg-type]

    def predicate() -> bool:
        raise isthmus.NotHeldError("its own")

    with condition, pytest.raises(isthmus.NotHeldError, match="its own"):
        condition.wait_for(predicate)


def test_an_event_is_waited_for() -> None:
    event = Event()
    assert event.is_set() is False and event.wait(0.01) is False
    waiting = Background(lambda: event.wait(50))
    event.set()
    assert waiting.finish() is True and event.is_set() is True and event.wait() is True
    event.clear()
    assert event.wait(0) is False


def test_a_barrier_lets_all_go_at_once_and_breaks_for_all() -> None:
    calls: list[int] = []
    barrier = Barrier(2, lambda: calls.append(1), timeout=50)
    other = Background(barrier.wait)
    assert {barrier.wait(), other.finish()} == {0, 1} and calls == [1]
    assert (barrier.parties, barrier.n_waiting, barrier.broken) == (2, 0, False)
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(0.01)
    assert barrier.broken
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait()
    barrier.reset()
    assert not barrier.broken

    def wait() -> str:
        try:
            barrier.wait()
        except threading.BrokenBarrierError:
            return "broken"
        return "through"

    for end in (barrier.abort, barrier.reset):
        other = Background(wait)
        until(lambda: barrier.n_waiting == 1)
        end()
        assert other.finish() == "broken"
        barrier.reset()
    failing = Barrier(1, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        failing.wait()
    assert failing.broken


def test_an_owner_that_dies_is_no_longer_remembered_once_a_stranger_has_released() -> None:
    lock = Lock()
    lock.acquire()
    lock.abandon()  # as death does
    with pytest.warns(isthmus.OwnerDiedWarning):
        lock.acquire()
    assert lock.owner_died
    in_thread(lock.release)
    lock.acquire(timeout=5)
    assert not lock.owner_died
    lock.release()


def test_a_copy_is_the_same_and_a_lock_in_a_cycle_goes() -> None:
    lock = Lock()
    assert copy.copy(lock) is lock and copy.deepcopy([lock])[0] is lock
    lock.itself = lock  # type: ignore[attr-defined]
    lock.on_owner_death = lambda taken: taken.itself
    place = lock._origin.block.offset, lock._origin.block.arena
    del lock
    gc.collect()
    assert place[1].handles.get(place[0]) is None
    with Lock():
        pass
