"""Every contender that can be had here carries messages, in every way that it says."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from isthmus.bench import Settings, known, run
from isthmus.bench.measure.cells import cells
from isthmus.bench.measure.contenders import Contender

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

PLACES = [place for place in map(Path, ("/dev/shm", "/dev/mqueue", "/tmp")) if place.exists()]
THERE = [one for there in known().values() for one in there if one.missing() is None]


@pytest.mark.slow
@pytest.mark.parametrize("contender", THERE, ids=lambda contender: contender.id)
def test_each_carries_messages_as_it_says_and_leaves_no_name(contender: Contender) -> None:
    pids = [os.getpid()]
    settings = Settings(
        sizes=[64],
        peers=[1, 3],
        rounds=1,
        seconds=0.002,
        idle_seconds=0.01,
        patience=30.0,
    )
    results = run(
        settings,
        contenders=[contender],
        started=lambda there: pids.extend(pid for _, pid in there),
    )
    assert not results.failed
    found = {
        *(("latency", one.mode) for one in results.latency),
        *(("throughput", one.mode) for one in results.throughput),
        *(("setup", None) for _ in results.setup),
        *(("idle", None) for _ in results.idle),
    }
    wanted = {(cell.measure, cell.mode) for cell in cells(settings)}
    if len(settings.pinned) > 1 and contender.family != "floor":
        assert found == wanted
    assert found
    names = re.compile("|".join(f"isthmus-bench-{pid}-" for pid in pids))
    assert not [path for place in PLACES for path in place.glob("*") if names.search(path.name)]


def test_a_package_that_is_broken_is_one_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "zeroq.py").write_text("raise RuntimeError('half a build')")
    monkeypatch.delitem(sys.modules, "zeroq", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    rival = next(one for one in known()["rivals"] if one.id == "zeroq")
    assert rival.missing() == "zeroq cannot be imported: half a build"
