"""What comes of the rounds: percentiles, medians, and who is told of why."""

from __future__ import annotations

from array import array

import pytest

from isthmus.bench.measure.cells import Cell
from isthmus.bench.measure.tally import Tally

TRIP = Cell("latency", 8, "blocking", 1)
STREAM = Cell("throughput", 8, "blocking", 4)
SLOW, FAST = array("q", range(2000, 4000)), array("q", range(1000))


def test_percentiles_are_over_the_trips_of_all_rounds() -> None:
    tally = Tally()
    tally.trips("x", TRIP, SLOW)
    tally.trips("x", TRIP, FAST)
    (found,) = tally.latencies()
    assert (found.count, found.size, found.mode, found.peers) == (3000, 8, "blocking", 1)
    assert found.p50 == pytest.approx(2499e-9)
    assert found.p999 == pytest.approx(3996e-9)
    assert found.min == 0
    assert found.rounds_p50 == pytest.approx([2999e-9, 499e-9])


def test_of_a_floor_the_best_round_counts() -> None:
    tally = Tally({"c"})
    for times, rate, cpu in ((SLOW, 10.0, 0.5), (FAST, 30.0, 0.2), (SLOW, 20.0, 0.3)):
        tally.trips("c", TRIP, times)
        for id in ("c", "x"):
            tally.stream(id, STREAM, rate, cpu)
    (trip,) = tally.latencies()
    assert (trip.count, trip.p50) == (1000, pytest.approx(499e-9))
    assert len(trip.rounds_p50) == 3
    floor, other = tally.throughputs()
    assert (floor.messages_per_s, floor.bytes_per_s, floor.cpu_per_message) == (30.0, 240.0, 0.2)
    assert (other.messages_per_s, other.bytes_per_s, other.cpu_per_message) == (20.0, 160.0, 0.3)


def test_what_fails_in_a_later_round_takes_its_figures_along() -> None:
    tally = Tally()
    tally.trips("x", TRIP, FAST)
    tally.stream("x", STREAM, 1.0, 1.0)
    tally.setup("x", 1.0)
    tally.fail(TRIP.gap("x", "broke"))
    assert not tally.latencies()
    assert len(tally.throughputs()) == 1
    tally.fail(Cell("setup").gap("x", "broke"))
    assert not tally.setups()
    assert [gap.why for gap in tally.failed] == ["broke", "broke"]
