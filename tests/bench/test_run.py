"""A run, small and real: every cell is accounted for, and nothing is left."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from bench_carriers import (
    Damaging,
    Datagrams,
    Deaf,
    Losing,
    Mute,
    Raising,
    Refusing,
    Swapping,
    children,
    contender,
)

from isthmus.bench import Progress, Results, Settings, known, run
from isthmus.bench.measure import streams
from isthmus.bench.measure.cells import cells
from isthmus.bench.measure.contenders import Contender, FormContender
from isthmus.errors import ArgumentError

# Those that run the tests side by side have a thread of their own.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

BRIEF: dict[str, Any] = {"seconds": 0.004, "rounds": 2, "idle_seconds": 0.05, "patience": 20.0}


def keys(results: Results) -> Counter[tuple[Any, ...]]:
    """The cells that figures, gaps and failures are about."""
    found: Counter[tuple[Any, ...]] = Counter()
    for name in ("latency", "throughput"):
        for cell in getattr(results, name):
            found[cell.contender, name, cell.size, cell.mode, cell.peers] += 1
    for name in ("setup", "idle"):
        for cell in getattr(results, name):
            found[cell.contender, name, None, None, None] += 1
    for gap in [*results.skipped, *results.failed]:
        found[gap.contender, gap.measure, gap.size, gap.mode, gap.peers] += 1
    return found


@pytest.mark.slow
def test_each_cell_of_each_contender_is_measured_or_accounted_for_once() -> None:
    settings = Settings(forms=[], rivals=["mp-pipe"], floors=["c-pipe"], sizes=[64], **BRIEF)
    left = {path.name for path in Path("/dev/shm").iterdir()}
    before = children()
    results = run(settings)
    wanted = Counter(
        (id, cell.measure, cell.size, cell.mode, cell.peers)
        for cell in cells(settings)
        for id in ("mp-pipe", "c-pipe")
    )
    assert keys(results) == wanted
    assert not results.failed
    assert Results.from_json(results.to_json()) == results
    assert (
        not {
            path.name for path in Path("/dev/shm").iterdir() if f"bench-{os.getpid()}-" in path.name
        }
        - left
    )
    assert children() <= before


def test_what_is_found_makes_sense() -> None:
    results = run(
        Settings(
            modes=["blocking"], sizes=[64], peers=[1], measures=["latency", "throughput"], **BRIEF
        ),
        contenders=[contender(Datagrams)],
    )
    (trip,), (stream,) = results.latency, results.throughput
    assert 1e-7 < trip.min <= trip.p50 <= trip.p90 <= trip.p99 <= trip.p999 < 10
    assert trip.count >= 2
    assert len(trip.rounds_p50) == len(stream.rounds) == 2
    assert stream.bytes_per_s == pytest.approx(64 * stream.messages_per_s)
    assert stream.cpu_per_message > 0
    assert results.settings["rounds_done"] == 2


def test_rounds_go_by_turns_each_in_another_order() -> None:
    seen: list[Progress] = []
    run(
        Settings(measures=["setup"], **BRIEF),
        seen.append,
        contenders=[contender(Datagrams, "one"), contender(Datagrams, "two")],
    )
    assert [(step.round, step.contender) for step in seen[:-1]] == [
        (1, "the one"),
        (1, "the two"),
        (2, "the two"),
        (2, "the one"),
    ]
    assert [step.done for step in seen] == [0, 1, 2, 3, 4]
    assert seen[-1].total == 4
    assert [step.share for step in seen] == sorted(step.share for step in seen)


@pytest.mark.parametrize(
    ("kind", "peers"), [(Losing, 1), (Losing, 2), (Swapping, 1), (Damaging, 1), (Damaging, 2)]
)
def test_a_message_that_is_lost_or_out_of_order_is_told(
    kind: Any, peers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "ARRIVES", 0.05)
    settings = Settings(
        measures=["throughput"],
        modes=["blocking"],
        sizes=[64],
        peers=[peers],
        seconds=0.01,
        rounds=1,
        patience=20.0,
    )
    results = run(settings, contenders=[contender(kind)])
    (failed,) = results.failed
    # Of what got lost among those of several, one sees in the end that it has not come.
    assert "lost, damaged, or out of order" in failed.why or "not all that was sent" in failed.why
    assert not results.throughput


def test_a_wrong_answer_is_told() -> None:
    settings = Settings(measures=["latency"], modes=["blocking"], sizes=[64], **BRIEF)
    (failed,) = run(settings, contenders=[contender(Damaging)]).failed
    assert "answer is not what was sent" in failed.why


def test_who_fails_is_left_out_from_then_on_and_others_are_measured() -> None:
    settings = Settings(measures=["latency", "idle"], modes=["blocking"], sizes=[64], **BRIEF)
    results = run(settings, contenders=[contender(Raising, "bad"), contender(Datagrams, "good")])
    assert [(one.contender, one.measure) for one in results.failed] == [
        ("bad", "idle"),
        ("bad", "latency"),
    ]
    assert "OverflowError: not today" in results.failed[0].why
    assert "OverflowError: not today (in bench_carriers.py, line" in results.failed[1].why
    assert [one.contender for one in results.latency] == ["good"]
    assert len(results.latency[0].rounds_p50) == 2


def test_one_that_cannot_begin_to_wait_does_not_take_the_others_along() -> None:
    results = run(
        Settings(measures=["idle"], **BRIEF),
        contenders=[
            contender(Deaf, "deaf"),
            contender(Mute, "mute"),
            contender(Raising, "bad"),
            contender(Datagrams, "good"),
        ],
    )
    assert [one.contender for one in results.idle] == ["good"]
    assert 0 <= results.idle[0].cpu_share < 0.9
    whys = {one.contender: one.why for one in results.failed}
    assert "its sender: OverflowError: not a word" in whys["mute"]
    assert "its receiver: OverflowError: not today" in whys["bad"]
    assert "its receiver: OverflowError: not a sound" in whys["deaf"]


def test_what_cannot_be_carried_is_skipped_with_the_reason() -> None:
    settings = Settings(
        measures=["throughput"], modes=["blocking"], sizes=[64, 128], peers=[1], **BRIEF
    )
    results = run(settings, contenders=[contender(Refusing)])
    assert [one.size for one in results.throughput] == [64]
    (gap,) = results.skipped
    assert (gap.size, gap.mode, gap.peers, gap.why) == (128, "blocking", 1, "at most 100 bytes")


def test_on_one_core_nothing_spins_and_the_rest_is_measured() -> None:
    core = min(os.sched_getaffinity(0))
    settings = Settings(
        forms=[], rivals=["mp-pipe"], floors=[], sizes=[64], peers=[1], measures=["latency"],
        cores=[core], **BRIEF,
    )  # fmt: skip
    results = run(settings)
    assert results.machine.pinned == [core]
    assert [one.mode for one in results.latency] == ["blocking"]
    (gap,) = results.skipped
    assert (gap.mode, gap.why.split(":")[0]) == (
        "spinning",
        "spinning takes a core for each process",
    )


def test_rounds_are_left_out_when_time_runs_out_but_never_the_first() -> None:
    settings = Settings(measures=["setup"], rounds=50, budget=0.001, seconds=0.004, patience=20.0)
    results = run(settings, contenders=[contender(Datagrams)])
    assert len(results.setup[0].rounds) == results.settings["rounds_done"] == 1


def test_a_rival_that_is_not_installed_is_absent_with_the_way_to_have_it() -> None:
    missing = Contender(
        "gone", "Gone", "rival", kind=Datagrams, modules=("no_such_module",), package="gone-mq"
    )
    results = run(Settings(measures=["setup"], **BRIEF), contenders=[missing, contender(Datagrams)])
    (absent,) = results.absent
    assert (absent.id, absent.install) == ("gone", "pip install gone-mq")
    assert "no_such_module" in absent.why
    assert [one.id for one in results.contenders] == ["test"]


def test_a_form_that_is_missing_keeps_its_place() -> None:
    missing = FormContender("pigeon", "carrier pigeon", "form")
    results = run(
        Settings(measures=["setup", "idle"], **BRIEF), contenders=[missing, contender(Datagrams)]
    )
    assert [one.id for one in results.contenders] == ["pigeon", "test"]
    assert [(gap.contender, gap.measure) for gap in results.skipped] == [
        ("pigeon", "setup"),
        ("pigeon", "idle"),
    ]


def test_ids_that_there_are_not_are_refused_with_those_that_there_are() -> None:
    with pytest.raises(ArgumentError, match="rivals: there is no 'smoke'; there are mp-pipe"):
        run(Settings(rivals=["smoke"]))
    with pytest.raises(ArgumentError, match="nobody to measure"):
        run(Settings(forms=[], rivals=[], floors=[]))


def test_ids_are_told_apart() -> None:
    ids = [one.id for there in known().values() for one in there]
    assert len(ids) == len(set(ids)) == 23
