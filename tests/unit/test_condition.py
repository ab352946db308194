"""Condition, with its own lock and with one that it was given."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from bare_calls import Background, until

import isthmus
from isthmus import Condition, Lock, RLock

MAKERS: dict[str, Callable[[], Condition]] = {
    "its own lock": Condition,
    "on a Lock": lambda: Condition(None, Lock()),
    "on an RLock": lambda: Condition(None, RLock()),
}
every_lock = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


def waits(condition: Condition, timeout: float | None = 60) -> Background:
    """A thread that waits."""

    def wait() -> bool:
        with condition:
            return condition.wait(timeout)

    return Background(wait)


@every_lock
def test_it_is_a_lock(make: Any) -> None:
    condition = make()
    assert condition.acquire() is True
    assert condition.locked()
    assert condition.owner.thread == threading.get_native_id()
    assert Background(lambda: condition.acquire(block=False)).finish() is False
    condition.release()
    with condition as entered:
        assert entered is condition
    assert not condition.locked() and condition.owner is None
    if condition.lock is not None:
        with condition:
            assert condition.lock.locked()


@every_lock
def test_notify_wakes_as_many_as_it_is_told(make: Any) -> None:
    condition = make()
    waiting = [waits(condition) for _ in range(3)]
    # Threads of one handle are one participant, whose share says how many they are.
    until(lambda: sum(facts[4] for facts in condition._participants()) == 3)
    (participant,) = condition.waiters()
    assert participant.alive

    def finished() -> int:
        return sum(not each.is_alive() for each in waiting)

    for n, expected in ((1, 1), (2, 3)):
        with condition:
            condition.notify(n)
        until(lambda expected=expected: finished() == expected)  # type: ignore[misc]
    assert [each.finish() for each in waiting] == [True, True, True]
    assert condition.waiters() == []


@every_lock
def test_notify_all_wakes_all(make: Any) -> None:
    condition = make()
    waiting = [waits(condition) for _ in range(4)]
    until(lambda: sum(facts[4] for facts in condition._participants()) == 4)
    with condition:
        condition.notify_all()
    assert [each.finish() for each in waiting] == [True] * 4


def test_a_notification_is_for_those_that_wait_then() -> None:
    condition = Condition()
    with condition:
        condition.notify_all()
        assert condition.wait(0.02) is False
        assert condition.locked()


@every_lock
def test_a_timeout_is_waited_for(make: Any) -> None:
    condition = make()
    with condition:
        for seconds in (0.01, 0.08):
            begin = time.monotonic()
            assert condition.wait(timeout=seconds) is False
            assert seconds <= time.monotonic() - begin < 20
        assert condition.wait(0) is False
        assert condition.wait(-1) is False


@every_lock
def test_without_the_lock_nothing_is_possible(make: Any) -> None:
    condition = make()
    for use in (condition.wait, condition.notify, condition.notify_all, condition.release):
        with pytest.raises(RuntimeError, match="not held"):
            use()
    with condition:
        holder = Background(lambda: condition.acquire(timeout=0))
        assert holder.finish() is False

    def other() -> None:
        if isinstance(condition.lock, Lock):
            return  # such a lock belongs to the handle, whichever thread uses it
        with pytest.raises(isthmus.NotHeldError):
            condition.notify()

    with condition:
        Background(other).finish()


def test_a_wait_gives_back_a_recursive_lock_however_deep() -> None:
    for condition in (Condition(), Condition(None, RLock())):
        condition.acquire()
        condition.acquire()
        thread = Background(lambda: notify_when_free(condition))  # noqa: B023
        assert condition.wait(60) is True
        thread.finish()
        condition.release()
        condition.release()
        with pytest.raises(isthmus.NotHeldError):
            condition.release()


def notify_when_free(condition: Condition) -> None:
    until(lambda: bool(condition.waiters()))
    with condition:
        condition.notify()


@every_lock
def test_wait_for_waits_until_it_is_true(make: Any) -> None:
    condition, value = make(), [0]

    def produce() -> None:
        for _ in range(3):
            with condition:
                value[0] += 1
                condition.notify()
            time.sleep(0.005)

    with condition:
        thread = Background(produce)
        assert condition.wait_for(lambda: value[0] >= 3 and "yes", timeout=60) == "yes"
    thread.finish()


def test_wait_for_gives_up_when_its_time_is_over() -> None:
    condition, calls = Condition(), []

    def never() -> int:
        calls.append(condition.locked())
        return 0

    with condition:
        begin = time.monotonic()
        assert condition.wait_for(never, timeout=0.06) == 0
        assert time.monotonic() - begin >= 0.06
        assert len(calls) >= 2 and all(calls)
        assert condition.wait_for(never, timeout=0) == 0
        assert condition.wait_for(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            condition.wait_for(lambda: 1 // 0)
        assert condition.locked()


def test_a_queue_made_of_it_loses_nothing() -> None:
    condition, queue, got = Condition(), [], []  # type: ignore[var-annotated]

    def consume() -> None:
        while True:
            with condition:
                condition.wait_for(lambda: queue)
                item = queue.pop(0)
            if item is None:
                return
            got.append(item)

    consumers = [Background(consume) for _ in range(3)]
    for item in [*range(300), None, None, None]:
        with condition:
            queue.append(item)
            condition.notify()
    for each in consumers:
        each.finish()
    assert sorted(got) == list(range(300))


def test_all_must_agree_whose_lock_it_is(name: str) -> None:
    condition, lock = Condition(name), Lock(name + "-lock")
    assert condition.lock is None
    for make in (Condition, Condition.attach):
        with pytest.raises(isthmus.MismatchError, match="a lock of its own=True, not False"):
            make(name, lock)
    condition.close()
    condition = Condition.create(name, lock)
    with pytest.raises(isthmus.MismatchError):
        Condition(name)
    assert Condition.attach(name, lock).lock is lock
    with pytest.raises(TypeError, match="a Lock or RLock of isthmus, not lock"):
        Condition(name, threading.Lock())  # type: ignore[arg-type]


def test_two_handles_with_handles_of_one_lock(name: str) -> None:
    one = Condition(name, Lock(name + "-lock"))
    other = Condition(name, Lock(name + "-lock"))
    waiting = waits(one)
    until(lambda: bool(other.waiters()))
    with other:
        assert not one.acquire(block=False)
        other.notify()
    assert waiting.finish() is True


def test_it_cannot_be_closed_under_a_waiter_nor_can_its_lock() -> None:
    condition = Condition(None, Lock())
    waiting = waits(condition)
    until(lambda: bool(condition.waiters()))
    for handle in (condition, condition.lock):
        with pytest.raises(isthmus.InUseError, match="waiting on this handle"):
            handle.close()
    with condition:
        condition.notify()
    waiting.finish()
    condition.close()
    for use in (condition.wait, condition.notify, condition.notify_all):
        with pytest.raises(isthmus.ClosedError):
            use()
    condition.lock.close()
    with pytest.raises(isthmus.ClosedError):
        condition.acquire()
