"""Semaphore and BoundedSemaphore; permits of the dead are in test_owner_death.py."""

from __future__ import annotations

import copy
import os
import time
from typing import Any

import pytest
from bare_calls import Background, until
from hypothesis import given, settings, strategies as st

import isthmus
from isthmus import BoundedSemaphore, Semaphore

every_sort = pytest.mark.parametrize(
    "make",
    [Semaphore, BoundedSemaphore, lambda *a, **k: Semaphore(*a, robust=True, **k)],
    ids=["plain", "bounded", "robust"],
)


@every_sort
def test_so_many_have_it_at_a_time(make: Any, name: str) -> None:
    one, other = make(name, 2), make(name)
    assert (one.value, other.get_value(), one.locked()) == (2, 2, False)
    assert one.acquire() is True
    with other as entered:
        assert entered is other
        assert one.value == 0 and one.locked()
        assert one.acquire(block=False) is False
        assert one.acquire(timeout=0.01) is False
    assert other.acquire(True, 1) is True
    other.release()
    one.release()
    assert one.value == 2
    assert repr(one) == f"<isthmus.{type(one).__name__} {name!r}, 2 free>"


@every_sort
def test_waiters_get_what_is_given_back(make: Any) -> None:
    slots = make(value=2)
    slots.acquire()
    slots.acquire()
    waiting = [Background(lambda: slots.acquire(timeout=60)) for _ in range(2)]
    time.sleep(0.02)
    slots.release(2)
    assert [each.finish() for each in waiting] == [True, True]
    assert slots.value == 0


def test_a_plain_one_may_be_released_by_anybody(name: str) -> None:
    one, other = Semaphore(name, 0), Semaphore(name)
    other.release(3)
    assert one.value == 3
    with pytest.raises(isthmus.TooManyPermitsError, match=f"its limit of {2**31 - 1}"):
        one.release(2**31 - 1)
    assert one.value == 3


def test_a_bounded_one_never_has_more_than_at_the_start(name: str) -> None:
    slots = BoundedSemaphore(name, 2)
    slots.acquire()
    with pytest.raises(ValueError, match="its limit of 2; nothing was given back"):
        slots.release(2)
    assert slots.value == 1
    slots.release()
    with pytest.raises(isthmus.TooManyPermitsError) as caught:
        Semaphore(name).release()  # the object is bounded, by whatever class it is used
    assert caught.value.name == name
    with pytest.raises(isthmus.ArgumentError, match="never be acquired"):
        BoundedSemaphore(value=0)


def test_of_a_robust_one_only_who_took_a_permit_gives_it_back(name: str) -> None:
    one, other = Semaphore(name, 3, robust=True), Semaphore(name)
    assert one.robust and other.robust
    one.acquire()
    one.acquire()
    with pytest.raises(isthmus.NotHeldError, match="does not have as many permits"):
        other.release()
    with pytest.raises(isthmus.NotHeldError):
        one.release(3)
    assert one.value == 1
    (holder,) = other.holders()
    assert (holder.pid, holder.alive, holder.thread) == (os.getpid(), True, None)
    assert holder.since is not None
    assert abs(holder.since - time.time()) < 60
    one.close()  # as if it had died: its permits come back
    until(lambda: other.acquire(block=False))
    assert other.value == 2


def test_of_a_plain_one_nobody_knows_who_has_it() -> None:
    slots = Semaphore()
    assert not slots.robust
    with pytest.raises(isthmus.UnsupportedError, match="who holds permits"):
        slots.holders()
    with pytest.raises(isthmus.UnsupportedError, match="who waits"):
        slots.waiters()


def test_what_is_there_must_be_what_was_asked_for(name: str) -> None:
    slots = Semaphore(name, 3)
    for options, text in (
        ({"value": 4}, "value=3, not 4"),
        ({"robust": True}, "robust=False, not True"),
        ({"value": 1, "robust": True}, "value=3, not 1; robust=False, not True"),
    ):
        with pytest.raises(isthmus.MismatchError, match=text):
            Semaphore(name, **options)
    for make in (BoundedSemaphore, BoundedSemaphore.attach):
        with pytest.raises(isthmus.MismatchError, match="bounded=False, not True"):
            make(name)
    Semaphore(name, 3, robust=False)
    slots.acquire()
    Semaphore(name, 3)  # what it was made with counts, not what is left
    slots.release()
    bounded = BoundedSemaphore(name + "-b", 3)
    with pytest.raises(isthmus.MismatchError, match="bounded=True, not False"):
        Semaphore(name + "-b", 3)
    Semaphore(name + "-b").close()
    bounded.close()


@pytest.mark.parametrize("value", [-1, 2**31, 10**30, "3", 1.5, True])
def test_values_that_make_no_sense_are_refused(value: Any) -> None:
    for cls in (Semaphore, BoundedSemaphore):
        with pytest.raises((isthmus.ArgumentError, TypeError), match="value"):
            cls(value=value)
    slots = Semaphore(value=5)
    if value != "3":
        with pytest.raises((isthmus.ArgumentError, TypeError), match="n "):
            slots.release(-1 if value is True else value)
    with pytest.raises(isthmus.ArgumentError, match="n must be from 1"):
        slots.release(0)
    assert slots.value == 5


def test_a_closed_one_says_so(name: str) -> None:
    slots = Semaphore(name)
    slots.close()
    for use in (slots.acquire, slots.release, slots.locked, slots.get_value, slots.holders):
        with pytest.raises(isthmus.ClosedError, match="has been closed"):
            use()


@given(
    st.integers(0, 3),
    st.sampled_from(["plain", "bounded", "robust"]),
    st.lists(st.tuples(st.sampled_from([0, 1]), st.sampled_from(["take", 1, 2]))),
)
@settings(deadline=None)
def test_it_counts_as_the_model_does(
    value: int, sort: str, steps: list[tuple[int, str | int]]
) -> None:
    if sort == "bounded":
        value += 1
    cls = BoundedSemaphore if sort == "bounded" else Semaphore
    options = {"robust": True} if sort == "robust" else {}
    first = cls(value=value, **options)  # type: ignore[arg-type]
    handles = (first, copy.copy(first))
    free, held = value, [0, 0]
    for who, step in steps:
        if step == "take":
            assert handles[who].acquire(block=False) == (free > 0)
            held[who] += free > 0
            free -= free > 0
        elif isinstance(step, int):
            refused: type[Exception] | None = None
            if sort == "robust" and held[who] < step:
                refused = isthmus.NotHeldError
            elif sort == "bounded" and free + step > value:
                refused = isthmus.TooManyPermitsError
            if refused is None:
                handles[who].release(step)
                free += step
                held[who] -= step
            else:
                with pytest.raises(refused):
                    handles[who].release(step)
        assert handles[1 - who].value == free
