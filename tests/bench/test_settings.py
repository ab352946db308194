"""What settings ask for, and what they refuse."""

from __future__ import annotations

import os
from typing import Any

import pytest

from isthmus.bench import Settings
from isthmus.bench.measure.cells import Cell, cells, largest_only, readable
from isthmus.errors import ArgumentError


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"measures": ["speed"]}, "there is no 'speed'; there are latency, throughput"),
        ({"modes": ["dozing"]}, "no 'dozing'"),
        ({"sizes": [0]}, "sizes: 0 is not"),
        ({"latency_sizes": [2 << 30]}, "latency_sizes: 2147483648 is not"),
        ({"rounds": 0}, "rounds: 0 is not above 0"),
        ({"seconds": float("nan")}, "seconds: nan"),
        ({"peers": [65]}, "peers: 65"),
        ({"cores": []}, "cores: none given"),
        ({"cores": [9999]}, "may not use core 9999"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        Settings(**options)


def test_each_option_decides_what_is_measured() -> None:
    settings = Settings(
        sizes=[8, 64, 8],
        latency_sizes=[16],
        modes=["blocking"],
        peers=[1, 3],
        measures=["latency", "throughput"],
    )
    assert list(cells(settings)) == [
        Cell("latency", 16, "blocking", 1),
        Cell("throughput", 8, "blocking", 1),
        Cell("throughput", 64, "blocking", 1),
        Cell("throughput", 64, "blocking", 3),
    ]


def test_sizes_are_those_of_latency_too_unless_those_are_given() -> None:
    assert Settings(sizes=[5]).trip_sizes == (5,)
    assert Settings(sizes=[5], latency_sizes=[6]).trip_sizes == (6,)
    assert Settings(sizes=[5, 7]).crowd_sizes == (5,)
    assert Settings(sizes=[5], peers_sizes=[9]).crowd_sizes == (9,)


def test_a_full_run_goes_from_8_bytes_to_64_mib() -> None:
    sizes = Settings().stream_sizes
    assert (min(sizes), max(sizes)) == (8, 64 << 20)
    assert len(Settings(quick=True).stream_sizes) < len(sizes)


def test_the_last_two_cores_are_used_unless_others_are_named() -> None:
    there = sorted(os.sched_getaffinity(0))
    assert Settings().pinned == there[-2:]
    assert Settings(cores=[there[0], there[0]]).pinned == there[:1]


def test_quick_means_less_time_and_fewer_rounds() -> None:
    quick, full = Settings(quick=True), Settings()
    assert quick.time is not None
    assert full.time is not None
    assert quick.time < 30 < full.time
    assert quick.most_rounds < full.most_rounds
    assert quick.watched < full.watched
    assert Settings(seconds=0.1).time is None


def test_who_can_carry_none_of_the_sizes_is_measured_with_its_largest() -> None:
    settings = Settings(sizes=[64, 128], latency_sizes=[4, 64], modes=["blocking"], peers=[1, 2])
    assert list(largest_only(cells(settings), 7)) == [
        Cell("throughput", 7, "blocking", 1),
        Cell("throughput", 7, "blocking", 2),
    ]
    assert not list(largest_only(cells(settings), 64))


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell("setup"), "setup"),
        (Cell("latency", 1 << 20, "spinning", 1), "latency 1 MiB, spinning"),
        (Cell("throughput", 1000, "blocking", 4), "throughput 1000 B, blocking from 4"),
    ],
)
def test_a_cell_is_told_in_words(cell: Cell, text: str) -> None:
    assert str(cell) == text


def test_sizes_are_shown_in_whole_units_only() -> None:
    assert [readable(size) for size in (8, 1024, 1536, 64 << 20)] == [
        "8 B",
        "1 KiB",
        "1536 B",
        "64 MiB",
    ]
