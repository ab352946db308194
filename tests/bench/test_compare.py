"""Comparing two runs: what has changed is told, what is noise is not."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from bench_results import results, without
from rich.console import Console

from isthmus.bench.results import Idle
from isthmus.bench.show import tables
from isthmus.bench.show.compare import compare

OLD = results(only=["shm", "pipe", "pyzmq"])


def test_a_run_is_like_itself() -> None:
    same = compare(OLD, OLD)
    assert (same.changes, same.warnings, same.only_new, same.only_old) == ([], [], 0, 0)
    assert same.summary == f"{same.compared} figures compared: 0 worse, 0 better, " \
        f"{same.compared} within noise"  # fmt: skip


def test_another_run_on_the_same_machine_hardly_differs() -> None:
    other = compare(results(seed=3), results(seed=4))
    assert other.compared > 800
    assert len(other.changes) < other.compared / 100


def test_what_takes_longer_is_worse_whichever_way_it_is_told() -> None:
    slow = compare(OLD, results(only=["shm", "pipe", "pyzmq"], seed=2, scale=1.5))
    kinds = {change.what.split(",")[0] for change in slow.changes}
    assert kinds == {"round trip", "throughput", "CPU a message", "set-up"}
    for change in slow.changes:
        assert change.worse, change
        assert (change.ratio.value < 1) == change.what.startswith("throughput")
    fast = compare(results(only=["shm", "pipe", "pyzmq"], seed=2, scale=1.5), OLD)
    assert not any(change.worse for change in fast.changes)
    assert len(fast.changes) == len(slow.changes)


def test_the_worst_stands_on_top() -> None:
    new = replace(OLD, setup=[replace(one, seconds=9, rounds=[9.0] * 5) for one in OLD.setup])
    new.latency[:] = OLD.latency
    better = replace(OLD.latency[0], p50=1e-9, rounds_p50=[1e-9] * 5)
    changes = compare(OLD, replace(new, latency=[better, *OLD.latency[1:]])).changes
    assert [change.worse for change in changes] == [True, True, True, False]
    sizes = [change.size for change in changes[:3]]
    assert sizes == sorted(sizes, reverse=True)
    assert changes[0].label == "pipe"
    assert changes[0].what == "set-up"
    assert changes[0].new_text == "9 s"


def test_figures_that_only_one_run_has_are_counted() -> None:
    new = results(only=["shm", "mq"])
    compared = compare(OLD, new)
    assert compared.only_new > 0
    assert compared.only_old > 0
    assert f"; {compared.only_new} figures only in the new run; " in compared.summary
    nothing = compare(OLD, without(OLD, "latency", "throughput", "setup", "idle"))
    assert nothing.summary == "The two runs have no figure in common: nothing was compared."


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [(0.0, 0.5, True), (0.5, 0.0, False), (0.0, 0.004, None), (0.5, 0.6, None), (0.0, 0.0, None)],
)
def test_idle_shares_are_compared_where_they_matter(
    before: float, after: float, worse: bool | None
) -> None:
    old, new = (
        replace(without(OLD, "latency", "throughput", "setup"), idle=[
            Idle(contender="shm", cpu_share=share, seconds=1.0)])
        for share in (before, after)
    )  # fmt: skip
    assert [change.worse for change in compare(old, new).changes] == [worse] * (worse is not None)


def test_other_reasons_for_a_difference_are_told() -> None:
    machine = replace(OLD.machine, processor="Other 1", pinned=[2, 3], load=[9.0])
    contenders = [replace(one, version="1.0") for one in OLD.contenders]
    newer = [replace(one, version="2.0") for one in OLD.contenders[:1]] + contenders[1:]
    old = replace(OLD, contenders=contenders)
    new = replace(OLD, machine=machine, quick=False, contenders=newer)
    text = "\n".join(compare(old, new).warnings)
    assert "Another machine or Python: Example 9000 CPU @ 3.00GHz, 2 cores" in text
    assert "Other 1, 2 cores" in text
    assert "Only the old run was a quick one" in text
    assert "Pinned to cores 0 and 1 before, 2 and 3 now." in text
    assert "The machine was busy before the new run (load 9.0)." in text
    assert "pipe is of version 2.0 now, and was 1.0." in text
    assert len(text.splitlines()) == 5


def test_the_table_fits_80_columns_and_ends() -> None:
    file = io.StringIO()
    old, new = results(sizes=[64]), results(sizes=[64], seed=2, scale=1.5)
    label = "posix_ipc.MessageQueue and more than fits"
    slow = compare(old, replace(new, contenders=[replace(c, label=label) for c in new.contenders]))
    tables.comparison(Console(file=file, width=80), slow)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(" %" in line for line in lines) == 40
    assert sum("throughput, 64 B" in line for line in lines) > 5
    assert lines[-1].strip() == f"and {len(slow.changes) - 40} smaller ones"
