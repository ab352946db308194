"""The lock that every array has."""

from __future__ import annotations

import copy
import pickle
import threading

import pytest
from bare_calls import PATIENCE, Background, until
from sharing import forked, holding

import isthmus
from isthmus import Array, RLock

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def test_all_handles_of_an_array_have_one_lock(name: str) -> None:
    with Array(name, 3) as one, Array(name) as other, Array(name) as third:
        assert isinstance(one.lock, RLock)
        assert one.lock is one.lock
        with one.lock, one.lock:
            one.np[:] = 1
            assert not other.lock.acquire(block=False)
            assert other.lock.owner is not None
            assert f"lock of array '{name}' " in str(_refused(third.lock))
        with other.lock:
            assert other.np.sum() == 3
        one.unlink()


def _refused(lock: RLock) -> isthmus.NotHeldError:
    with pytest.raises(isthmus.NotHeldError) as caught:
        lock.release()
    return caught.value


def test_an_anonymous_array_has_one_too() -> None:
    array = Array(None, (2, 2))
    same = copy.copy(array)
    with array.lock:
        assert not same.lock.acquire(block=False)
    with same.lock:
        assert array.lock.locked()


def test_the_elements_are_not_touched_by_it(name: str) -> None:
    with Array(name, 5, "u1") as array, array.lock:
        assert array.np.tolist() == [0] * 5
        array.np[:] = 255
        array.unlink()


def test_threads_that_come_at_once_get_the_same_handle() -> None:
    array, start = Array(None, 3), threading.Barrier(8)

    def work() -> RLock:
        start.wait()
        return array.lock

    locks = [Background(work) for _ in range(8)]
    assert {id(each.finish()) for each in locks} == {id(array.lock)}


def test_one_that_only_reads_cannot_have_it(name: str) -> None:
    with Array(name, 3) as array, Array(name, readonly=True) as reader:
        with pytest.raises(isthmus.AccessError, match="reading only"):
            reader.lock
        array.unlink()


def test_it_goes_with_the_handle(name: str) -> None:
    array = Array(name, 3)
    lock = array.lock
    array.close()
    assert lock.closed and not array.deferred
    with pytest.raises(isthmus.ClosedError):
        array.lock
    with pytest.raises(isthmus.ClosedError):
        lock.acquire()
    array.unlink()


def test_a_thread_that_waits_for_it_goes_on_when_the_array_is_closed(name: str) -> None:
    array, other = Array(name, 3), Array(name)
    other.lock.acquire()

    def wait() -> bool:
        lock = array.lock
        with lock:
            return lock.locked()

    waiting = Background(wait)
    until(lambda: bool(other.lock.waiters()))
    array.close()
    other.lock.release()
    assert waiting.finish() is True
    other.close()
    other.unlink()


def test_the_next_one_is_told_when_its_owner_was_killed(name: str) -> None:
    with Array(name, 3) as array:
        with holding(array.lock.acquire) as child:
            child.kill()
        array.lock.on_owner_death = "raise"
        with pytest.raises(isthmus.OwnerDied, match=f"array '{name}'") as caught, array.lock:
            raise AssertionError
        caught.value.lock.release()
        with pytest.raises(isthmus.ArgumentError):
            array.lock.on_owner_death = "explode"
        array.unlink()


def test_it_works_in_a_child_and_in_a_copy(name: str) -> None:
    with Array(name, 1, "i8") as array:

        def work() -> None:
            for _ in range(200):
                with array.lock:
                    array.np[0] += 1

        with forked(work) as one, forked(work) as two:
            work()
            assert (one.finish(), two.finish()) == (0, 0)
        assert array.np[0] == 600
        with pickle.loads(pickle.dumps(array)) as same, same.lock:
            assert not array.lock.acquire(timeout=0.01)
        assert array.lock.acquire(timeout=PATIENCE)
        array.lock.release()
        array.unlink()
