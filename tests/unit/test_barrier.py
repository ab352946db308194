"""Barrier."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import pytest
from bare_calls import Background, until

import isthmus
from isthmus import Barrier, BrokenBarrierError


def test_all_wait_for_each_other_again_and_again(name: str) -> None:
    handles = [Barrier(name, parties=3) for _ in range(3)]
    rounds: list[list[int]] = [[], [], []]

    def work(number: int) -> list[int]:
        arrivals = []
        for count in range(50):
            rounds[number].append(count)
            arrivals.append(handles[number].wait(60))
            # Nobody is more than the next round ahead of anybody.
            assert all(len(each) in (count + 1, count + 2) for each in rounds)
        return arrivals

    threads = [Background(lambda number=number: work(number)) for number in range(3)]  # type: ignore[misc]
    results: list[Any] = [thread.finish() for thread in threads]
    for arrivals in zip(*results, strict=True):
        assert sorted(arrivals) == [0, 1, 2]


def test_who_is_there_is_counted() -> None:
    barrier = Barrier(parties=2)
    assert (barrier.parties, barrier.n_waiting, barrier.broken) == (2, 0, False)
    waiting = Background(barrier.wait)
    until(lambda: barrier.n_waiting == 1)
    assert repr(barrier) == "<isthmus.Barrier anonymous, 1 of 2 there>"
    until(lambda: len(barrier.waiters()) == 1)
    assert barrier.wait() == 1
    assert waiting.finish() == 0
    assert barrier.n_waiting == 0


def test_one_party_never_waits() -> None:
    barrier = Barrier(parties=1)
    assert [barrier.wait() for _ in range(3)] == [0, 0, 0]


def test_the_last_one_does_what_is_to_be_done_before_all_go_on() -> None:
    done: list[int] = []
    barrier = Barrier(parties=2, action=lambda: done.append(barrier.n_waiting))
    waiting = Background(barrier.wait)
    until(lambda: barrier.n_waiting == 1)
    barrier.wait()
    waiting.finish()
    assert done == [2]


def test_an_action_that_fails_breaks_it() -> None:
    def action() -> None:
        raise KeyError("action")

    barrier = Barrier(parties=2, action=action)
    waiting = Background(lambda: barrier.wait(60))
    until(lambda: barrier.n_waiting == 1)
    with pytest.raises(KeyError, match="action"):
        barrier.wait()
    with pytest.raises(BrokenBarrierError):
        waiting.finish()
    assert barrier.broken


def test_a_timeout_breaks_it_for_all() -> None:
    barrier = Barrier(parties=3)
    waiting = Background(barrier.wait)
    until(lambda: barrier.n_waiting == 1)
    begin = time.monotonic()
    with pytest.raises(threading.BrokenBarrierError, match="is broken"):
        barrier.wait(timeout=0.08)
    assert time.monotonic() - begin >= 0.08
    with pytest.raises(isthmus.IsthmusError):
        waiting.finish()
    with pytest.raises(BrokenBarrierError):
        barrier.wait()
    assert "broken" in repr(barrier)


def test_a_timeout_can_be_given_once_for_all() -> None:
    barrier = Barrier(parties=2, timeout=0.01)
    with pytest.raises(BrokenBarrierError):
        barrier.wait()
    barrier.reset()
    with pytest.raises(BrokenBarrierError):
        barrier.wait(timeout=0)
    for wrong in (math.nan, "1"):
        with pytest.raises((ValueError, TypeError)):
            Barrier(parties=2, timeout=wrong)  # type: ignore[arg-type]


def test_reset_makes_it_as_new() -> None:
    barrier = Barrier(parties=2)
    waiting = Background(barrier.wait)
    until(lambda: barrier.n_waiting == 1)
    barrier.reset()
    with pytest.raises(BrokenBarrierError):
        waiting.finish()
    assert not barrier.broken
    waiting = Background(barrier.wait)
    barrier.wait(60)
    waiting.finish()


def test_abort_breaks_it_until_a_reset() -> None:
    barrier = Barrier(parties=2)
    waiting = Background(barrier.wait)
    until(lambda: barrier.n_waiting == 1)
    barrier.abort()
    with pytest.raises(BrokenBarrierError):
        waiting.finish()
    with pytest.raises(BrokenBarrierError):
        barrier.wait()
    barrier.reset()
    assert not barrier.broken


def test_the_next_round_waits_for_an_action_that_takes_its_time() -> None:
    go_on = threading.Event()
    barrier = Barrier(parties=2, action=lambda: go_on.wait(60))
    first, last = Background(barrier.wait), Background(barrier.wait)
    until(lambda: barrier.n_waiting == 2)
    with pytest.raises(BrokenBarrierError):
        barrier.wait(timeout=0.06)  # it is not part of this round, and does not break it
    go_on.set()
    assert {first.finish(), last.finish()} == {0, 1}
    assert not barrier.broken


def test_parties_are_fixed_when_it_is_made(name: str) -> None:
    with pytest.raises(isthmus.NotFoundError):
        Barrier(name)
    barrier = Barrier(name, parties=2)
    assert Barrier(name).parties == Barrier.attach(name).parties == 2
    with pytest.raises(isthmus.MismatchError, match="parties=2, not 3"):
        Barrier(name, parties=3)
    for wrong in (0, -1, 2**31, 1.5, "2"):
        with pytest.raises((isthmus.ArgumentError, TypeError), match="parties"):
            Barrier(parties=wrong)  # type: ignore[arg-type]
    with pytest.raises(isthmus.ArgumentError, match="only made"):
        Barrier()
    with pytest.raises(TypeError, match="must be a function"):
        Barrier(parties=2, action=5)  # type: ignore[arg-type]
    barrier.close()
    for use in (barrier.wait, barrier.abort, barrier.reset, lambda: barrier.n_waiting):
        with pytest.raises(isthmus.ClosedError):
            use()
