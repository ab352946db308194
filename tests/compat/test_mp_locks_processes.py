"""Locks, friends and values of `isthmus.compat.multiprocessing` among processes that die."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import time
from typing import Any

import pytest
from bare_calls import until
from lock_jobs import (
    METHODS,
    Pair,
    add,
    add_to_all,
    raise_when_told,
    release,
    seconds_until,
    take_and_be_killed,
    take_and_tell,
    use_everything,
    wait_and_be_killed,
)

import isthmus
from isthmus.compat.multiprocessing.sharedctypes import Array, RawValue, Value
from isthmus.compat.multiprocessing.synchronize import (
    Barrier,
    BoundedSemaphore,
    Condition,
    Event,
    Lock,
    RLock,
    Semaphore,
)

FORK = multiprocessing.get_context("fork")


def start(function: Any, *arguments: Any, method: str = "fork") -> Any:
    process = multiprocessing.get_context(method).Process(  # type: ignore[attr-defined]
        target=function, args=arguments, daemon=True
    )
    process.start()
    return process


def end(*processes: Any) -> None:
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
        process.close()


def killed(*processes: Any) -> None:
    for process in processes:
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        process.close()


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_children_of_every_start_method_take_part_in_everything(method: str) -> None:
    lock = Lock()
    condition = Condition(lock=RLock())
    raw = RawValue(Pair, 1, 2)
    things = {
        "go": Event(),
        "lock": lock,
        "rlock": RLock(),
        "semaphore": Semaphore(0),
        "condition": condition,
        "barrier": Barrier(2),
        "value": Value("d", 1.5, lock=lock),
        "array": Array("i", 3),
        "raw": raw,
    }
    # The value has the lock that is taken here: it goes on under another one.
    things["value"] = Value("d", 1.5)
    lock.acquire()
    child = start(use_everything, things, method=method)
    with condition:
        things["go"].set()
        assert condition.wait_for(lambda: things["array"][0] == 1, timeout=60)
    assert things["barrier"].wait(60) in (0, 1)
    assert lock.acquire(timeout=60)
    end(child)
    assert things["semaphore"].get_value() == 1
    assert things["value"].value == 3.0 and (raw.x, raw.y) == (2, 2)
    lock.release()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_hundreds_of_values_travel_with_a_few_descriptors(method: str) -> None:
    values = [Value("i") for _ in range(300)]  # forkserver sends 256 at most
    done = BoundedSemaphore(1)
    done.acquire()
    end(start(add_to_all, values, done, method=method))
    assert done.acquire(timeout=0) and all(value.value == 1 for value in values)


@pytest.mark.parametrize("kind", [Lock, RLock])
def test_processes_keep_out_of_each_others_way(kind: Any) -> None:
    lock, value = kind(), RawValue("i")
    children = [start(add, lock, value, 500) for _ in range(2)]
    add(lock, value, 500)
    end(*children)
    assert value.value == 1500


def test_a_child_releases_what_its_parent_has_taken() -> None:
    lock = Lock()
    assert lock.acquire()
    child = start(release, lock)
    assert lock.acquire(timeout=60)
    end(child)
    seen = repr(lock)
    assert seen == "<Lock(owner=MainProcess)>"
    lock.release()


def test_who_waits_takes_over_from_a_holder_that_is_killed() -> None:
    locks = Lock(), RLock(), Condition()
    for lock in locks:
        lock.acquire()
    child = start(take_and_be_killed, *locks)
    for lock in locks:
        lock.release()
    until(lambda: not _alive(child))
    for lock in locks:
        with pytest.warns(isthmus.OwnerDiedWarning):
            assert seconds_until(lock) < 20
        lock.release()
        with lock:
            pass  # nobody is told twice
    killed(child)


def _alive(child: Any) -> bool:
    return child.is_alive()


def test_one_that_sleeps_is_told_soon_after_the_death() -> None:
    lock, ready = Lock(), Semaphore(0)
    here, there = FORK.Pipe()
    lock.acquire()
    holder = start(signal.pause)
    sleeper = start(take_and_tell, lock, ready, there)
    assert ready.acquire(timeout=60)
    until(lambda: len(lock.waiters()) == 1)
    lock.abandon()  # as the kernel and the sleeper see a death, without the wait for it
    assert here.poll(60) and here.recv() == [True]
    os.kill(holder.pid, signal.SIGKILL)
    killed(holder)
    end(sleeper)
    here.close()
    there.close()


def test_a_child_that_ends_holding_a_lock_hands_it_over_with_a_warning() -> None:
    lock = Lock()
    child = start(lock.acquire)
    end(child)
    with pytest.warns(isthmus.OwnerDiedWarning):
        assert lock.acquire(timeout=60)
    lock.release()


def test_a_permit_that_is_held_at_death_is_gone_and_no_other() -> None:
    semaphore = Semaphore(2)
    killed(start(take_and_be_killed, semaphore))
    assert semaphore.get_value() == 1
    assert semaphore.acquire(timeout=5) and not semaphore.acquire(timeout=0.03)


def test_a_barrier_breaks_when_a_party_is_killed_there() -> None:
    barrier, ready = Barrier(3), Semaphore(0)
    child = start(wait_and_be_killed, barrier, ready)
    assert ready.acquire(timeout=60)
    until(lambda: barrier.n_waiting == 1)
    os.kill(child.pid, signal.SIGKILL)
    begin = time.monotonic()
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait()
    assert time.monotonic() - begin < 20
    killed(child)


def test_a_waiter_that_is_killed_takes_no_notification_with_it() -> None:
    condition, ready = Condition(), Semaphore(0)

    def wait() -> None:
        with condition:
            ready.release()
            condition.wait(60)

    children = [start(wait), start(wait)]
    for _ in children:
        assert ready.acquire(timeout=60)
    until(lambda: condition._sleeping_count.get_value() == 2)
    os.kill(children[0].pid, signal.SIGKILL)
    killed(children[0])
    assert repr(condition) == "<Condition(<RLock(None, 0)>, 1)>"
    with condition:
        condition.notify()
    end(children[1])


def test_a_value_may_be_dropped_where_it_was_made_while_a_child_uses_it() -> None:
    here, there = FORK.Pipe()
    value = Value("i", 5)
    child = start(raise_when_told, value, there)
    del value
    gc.collect()
    others = [Value("i", 100) for _ in range(30)]
    here.send(None)
    assert here.poll(60) and here.recv() == 6
    end(child)
    assert all(other.value == 100 for other in others)
    here.close()
    there.close()


def test_a_child_of_a_child_takes_part_after_both_parents_are_gone() -> None:
    lock, value, done = Lock(), RawValue("i"), Semaphore(0)

    def grandchild() -> None:
        add(lock, value, 10)
        done.release()

    def child() -> None:
        add(lock, value, 10)
        if os.fork() == 0:
            grandchild()
            os._exit(0)

    end(start(child))
    assert done.acquire(timeout=60)
    assert value.value == 20
    with lock:
        pass
