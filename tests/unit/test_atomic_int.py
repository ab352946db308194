"""AtomicInt."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from bare_calls import Background
from hypothesis import given, settings, strategies as st

import isthmus
from isthmus import AtomicInt

LEAST, MOST = -(2**63), 2**63 - 1


def wrapped(value: int) -> int:
    return (value - LEAST) % 2**64 + LEAST


MODEL: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: wrapped(a + b),
    "sub": lambda a, b: wrapped(a - b),
    "and_": lambda a, b: a & b,
    "or_": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "exchange": lambda a, b: b,
}
numbers = st.one_of(st.integers(-3, 3), st.integers(LEAST, MOST), st.sampled_from([LEAST, MOST]))


@given(numbers, st.lists(st.tuples(st.sampled_from([*MODEL, "store", "compare"]), numbers)))
@settings(deadline=None)
def test_it_computes_as_the_model_does(value: int, steps: list[tuple[str, int]]) -> None:
    number = AtomicInt(None, value)
    other = copy.copy(number)
    for operation, operand in steps:
        if operation == "store":
            assert number.store(operand) is None  # type: ignore[func-returns-value]
            value = operand
        elif operation == "compare":
            assert number.compare_exchange(value ^ 1, operand) is False
            assert number.compare_exchange(value, desired=operand) is True
            value = operand
        else:
            assert getattr(number, operation)(operand) == value  # the value before
            value = MODEL[operation](value, operand)
        assert other.load() == value


@pytest.mark.parametrize("operation", [*MODEL, "store"])
def test_what_is_no_number_of_64_bits_is_refused(operation: str) -> None:
    number = AtomicInt(None, 5)
    call = getattr(number, operation)
    for value in (MOST + 1, LEAST - 1, 10**30, -(10**400)):
        with pytest.raises(OverflowError, match="must fit into 64 bits"):
            call(value)
    for wrong in (1.5, "1", None):
        with pytest.raises(TypeError, match="whole number, not"):
            call(wrong)
    assert number.load() == 5


def test_other_arguments_are_checked_too() -> None:
    with pytest.raises(OverflowError):
        AtomicInt(None, 2**63)
    with pytest.raises(TypeError, match="whole number, not str"):
        AtomicInt(None, "1")  # type: ignore[arg-type]
    number = AtomicInt()
    for call in (
        lambda: number.compare_exchange(2**63, 1),
        lambda: number.compare_exchange(0, 2**63),
        lambda: number.wait_while(2**63),
    ):
        with pytest.raises(OverflowError):
            call()
    with pytest.raises(isthmus.ArgumentError, match="NaN"):
        number.wait_while(0, math.nan)


def test_whatever_is_an_index_is_a_number() -> None:
    class Two:
        def __index__(self) -> int:
            return 2

    class Mine(int):
        pass

    number = AtomicInt(None, Two())
    assert number.add(Two()) == 2  # type: ignore[arg-type]
    assert number.add(Mine(3)) == 4
    assert number.add(True) == 7
    assert number.load() == 8


def test_one_that_is_there_keeps_its_value(name: str) -> None:
    number = AtomicInt(name, 7)
    assert AtomicInt(name, 9).load() == 7
    assert repr(number) == f"<isthmus.AtomicInt {name!r}, 7>"


def test_threads_lose_nothing() -> None:
    number = AtomicInt()

    def work() -> None:
        for _ in range(5000):
            number.add(1)

    threads = [Background(work) for _ in range(4)]
    for thread in threads:
        thread.finish()
    assert number.load() == 20000


@pytest.mark.parametrize("change", ["store", "add", "exchange", "xor", "or_", "compare_exchange"])
def test_waiting_ends_when_it_is_another(change: str) -> None:
    number = AtomicInt()
    waiting = Background(lambda: number.wait_while(0, timeout=60))
    time.sleep(0.02)
    getattr(number, change)(*((0, 3) if change == "compare_exchange" else (3,)))
    assert waiting.finish() is True


def test_a_wait_may_time_out() -> None:
    number = AtomicInt(None, 4)
    assert number.wait_while(5) is True
    for seconds in (0.01, 0.08):
        begin = time.monotonic()
        assert number.wait_while(4, seconds) is False
        assert seconds <= time.monotonic() - begin < 20
    assert number.wait_while(4, timeout=0) is False


def test_a_closed_one_says_so(name: str) -> None:
    number = AtomicInt(name)
    number.close()
    calls: list[Any] = [number.load, lambda: number.wait_while(0), lambda: number.store(1)]
    calls += [lambda name=name: getattr(number, name)(1) for name in MODEL]
    calls.append(lambda: number.compare_exchange(0, 1))
    for call in calls:
        with pytest.raises(isthmus.ClosedError, match="has been closed"):
            call()
