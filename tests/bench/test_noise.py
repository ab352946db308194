"""Whether two figures differ: by chance alone, they hardly ever seem to."""

from __future__ import annotations

import random
import statistics

import pytest

from isthmus.bench.show.noise import OTHER_RUN, SAME_RUN, UNKNOWN, between_runs, within_run


def rounds(chance: random.Random, middle: float, scatter: float, count: int) -> list[float]:
    return [middle * chance.lognormvariate(0, scatter) for _ in range(count)]


@pytest.mark.parametrize("count", [2, 3, 5, 9])
@pytest.mark.parametrize("scatter", [0.05, 0.3])
def test_equals_seem_to_differ_once_in_a_hundred_times(count: int, scatter: float) -> None:
    """Between two runs; within one, where there is much less to compare, in twenty."""
    chance = random.Random(count)
    wrong_between = wrong_within = 0
    for _ in range(1000):
        a, b = (rounds(chance, 1e-6, scatter, count) for _ in range(2))
        middles = statistics.median(a), statistics.median(b)
        wrong_between += between_runs(middles[0], a, middles[1], b, OTHER_RUN).certain
        wrong_within += within_run(middles[0], a, middles[1], b).certain
    assert wrong_between < 30
    assert wrong_within < 100


def test_what_disturbs_a_whole_round_does_not_hide_a_difference() -> None:
    fast, slow = [1.0, 1.02, 4.4], [2.45, 2.44, 13.1]
    assert within_run(1.02, fast, 2.45, slow).certain
    assert not between_runs(1.02, fast, 2.45, slow, OTHER_RUN).certain
    # Nor does one that was disturbed alone, if the others are clear.
    assert within_run(1.0, [1.0, 1.0, 1.0], 3.0, [3.0, 3.0, 900.0]).certain
    assert not within_run(1.0, [1.0, 1.0, 1.0], 3.0, [3.0, 3.0, 0.5]).certain


def test_rounds_of_one_that_lost_some_are_not_paired() -> None:
    assert within_run(1.0, [1.0, 1.0], 1.2, [1.2, 1.2, 1.2]).noise == 1 + UNKNOWN


@pytest.mark.parametrize("count", [3, 5, 9])
def test_a_factor_of_two_is_seen_through_little_noise(count: int) -> None:
    chance = random.Random(7)
    seen = 0
    for _ in range(200):
        a, b = rounds(chance, 2e-6, 0.05, count), rounds(chance, 1e-6, 0.05, count)
        seen += between_runs(statistics.median(a), a, statistics.median(b), b, OTHER_RUN).certain
    assert seen > 190


def test_what_does_not_scatter_has_the_least_noise() -> None:
    same = between_runs(1.04, [1.04] * 5, 1.0, [1.0] * 5, OTHER_RUN)
    assert (same.noise, same.certain) == (1.05, False)
    assert between_runs(1.06, [1.06] * 5, 1.0, [1.0] * 5, OTHER_RUN).certain
    assert between_runs(0.94, [0.94] * 5, 1.0, [1.0] * 5, OTHER_RUN).certain
    assert within_run(1.02, [1.02] * 5, 1.0, [1.0] * 5).noise == 1 + SAME_RUN


def test_of_a_single_round_much_noise_is_assumed() -> None:
    for few in ([], [1.2], [0.0, 1.2]):
        assert between_runs(1.2, few, 1.0, [1.0] * 5, OTHER_RUN).noise == 1 + UNKNOWN
    assert not between_runs(1.2, [1.2], 1.0, [1.0], OTHER_RUN).certain
    assert between_runs(1.3, [1.3], 1.0, [1.0], OTHER_RUN).certain


def test_wild_rounds_make_no_number_overflow() -> None:
    wild = between_runs(1.0, [1e-300, 1e300], 1.0, [1e-300, 1e300], OTHER_RUN)
    assert not wild.certain
    assert not within_run(1.0, [1e-300, 1e300], 1.0, [1e300, 1e-300]).certain
