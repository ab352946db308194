"""Percentiles, pieces, messages and the share of time that each figure gets."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from isthmus.bench.measure import figures
from isthmus.bench.measure.figures import Budget, last_message, messages, percentile, piece


@given(
    st.lists(st.integers(0, 100), min_size=1).map(sorted),
    st.floats(0.001, 1.0, exclude_min=True),
)
def test_a_percentile_is_the_least_value_that_enough_do_not_exceed(
    ordered: list[int], share: float
) -> None:
    found = percentile(ordered, share)
    enough = [
        value
        for value in ordered
        if sum(one <= value for one in ordered) >= share * len(ordered) - 1e-6
    ]
    assert found == enough[0]


def test_the_percentiles_of_a_thousand_values_are_those_that_one_counts() -> None:
    ordered = list(range(1, 1001))
    assert [percentile(ordered, share) for share in (0.5, 0.9, 0.99, 0.999)] == [
        500,
        900,
        990,
        999,
    ]


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


@pytest.mark.parametrize("senders", [1, 4])
@pytest.mark.parametrize("size", [1, 2, 4, 8, 64, 1000, 1 << 20])
def test_messages_of_a_piece_are_told_from_each_other_and_from_the_last(
    size: int, senders: int
) -> None:
    count = piece(size, senders)
    pools = [messages(size, count, number * count) for number in range(senders)]
    made = [message for pool in pools for message in pool]
    assert {len(message) for message in made} == {size}
    heads = {message[:8] for message in [*made, last_message(size)]}
    assert len(heads) == len(made) + 1
    assert all(message[-min(8, size) :] == message[: min(8, size)] for message in made)


def test_a_piece_of_large_messages_is_small() -> None:
    assert piece(8) == 128
    assert piece(64 << 10) == 16
    assert piece(64 << 20) == 2


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(figures, "time", clock)
    return clock


def test_what_is_left_is_shared_by_the_runs_that_are_left(clock: Clock) -> None:
    budget = Budget(10.0, 100)
    assert budget.slice() == pytest.approx(0.1 - Budget.OVERHEAD)
    for _ in range(50):
        clock.now += 0.15  # half as much again as there was
        budget.spent(0.15, 0.085)
    # 2.5 s for 50 runs, of which each takes 65 ms more than it measures.
    assert budget.slice() == budget.slice() == 0.004
    budget.drop(40)
    assert budget.slice() == pytest.approx(0.25 - 0.065)


def test_a_fixed_time_is_kept_whatever_there_is(clock: Clock) -> None:
    budget = Budget(0.1, 1000, fixed=0.02)
    clock.now += 5
    assert budget.slice() == 0.02
    assert budget.left < 0


def test_without_a_budget_there_is_time(clock: Clock) -> None:
    budget = Budget(None, 10)
    assert budget.left == math.inf
    assert budget.slice() == 0.25
