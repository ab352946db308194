"""Event."""

from __future__ import annotations

import math
import time

import pytest
from bare_calls import Background

import isthmus
from isthmus import Event


def test_it_is_set_for_all_and_cleared_for_all(name: str) -> None:
    one, other = Event(name), Event(name)
    assert not one.is_set()
    assert repr(one) == f"<isthmus.Event {name!r}, not set>"
    one.set()
    one.set()
    assert other.is_set() and other.wait() is True and other.wait(0) is True
    assert repr(other) == f"<isthmus.Event {name!r}, set>"
    other.clear()
    other.clear()
    assert not one.is_set()
    assert one.wait(timeout=0) is False


def test_all_that_wait_are_woken() -> None:
    event = Event()
    waiting = [Background(lambda: event.wait(60)) for _ in range(4)]
    time.sleep(0.02)
    event.set()
    assert [each.finish() for each in waiting] == [True] * 4


def test_it_wakes_also_when_it_is_cleared_at_once() -> None:
    event = Event(spin=0)
    waiting = Background(lambda: event.wait(60))
    woken = False
    while not woken:  # before it waits, a set and clear pass unseen
        event.set()
        event.clear()
        waiting.join(0.01)
        woken = not waiting.is_alive()
    assert waiting.finish() is True
    assert not event.is_set()


def test_a_timeout_is_waited_for() -> None:
    event = Event()
    for seconds in (0.01, 0.08):
        begin = time.monotonic()
        assert event.wait(seconds) is False
        assert seconds <= time.monotonic() - begin < 20
    with pytest.raises(isthmus.ArgumentError, match="NaN"):
        event.wait(math.nan)
    with pytest.raises(TypeError, match="seconds, not str"):
        event.wait("1")  # type: ignore[arg-type]


def test_a_closed_one_says_so(name: str) -> None:
    event = Event(name)
    event.close()
    for use in (event.set, event.clear, event.is_set, event.wait):
        with pytest.raises(isthmus.ClosedError, match="has been closed"):
            use()
    assert "closed" in repr(event)


def test_it_cannot_be_closed_under_a_waiter() -> None:
    event = Event()
    waiting = Background(lambda: event.wait(60))
    refused = False
    while not refused:
        try:
            Event.close(event)
        except isthmus.InUseError:
            refused = True
        else:
            event = Event()  # it had not begun to wait
            with pytest.raises(isthmus.ClosedError):
                waiting.finish()
            waiting = Background(lambda: event.wait(60))  # noqa: B023
    event.set()
    waiting.finish()
