"""``isthmus rm`` and ``isthmus gc``, as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import click
import pytest
from sharing import holding

import isthmus
from isthmus.cli.gc import Duration

PATIENCE = 60.0
kept: list[object] = []


def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "isthmus", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.slow
def test_rm_removes_what_it_may_and_says_what_it_may_not(name: str) -> None:
    isthmus.Segment.create(f"{name}-raw", 4096).close()
    isthmus.Queue(f"{name}/left", persist=True).close()
    with isthmus.Lock(f"{name}/used"):
        done = run("rm", f"posix:{name}-raw", f"{name}/used", f"{name}/left", code=1)
        assert done.stdout.splitlines()[0] == f"removed segment posix:{name}-raw (4.0 KiB)"
        assert f"removed queue {name}/left" in done.stdout
        assert f"in use by process {os.getpid()}" in done.stderr
        assert "force" in done.stderr
        done = run("rm", f"{name}/used", f"{name}/none", "--force", "--json", code=1)
        used, none = json.loads(done.stdout)
        assert (used["removed"]["name"], used["error"]) == (f"{name}/used", None)
        assert none["removed"] is None
        assert "nothing called" in none["error"]


@pytest.mark.slow
def test_gc_shows_what_is_stale_and_removes_it_only_with_yes(name: str) -> None:
    with holding(lambda: kept.append(isthmus.Semaphore(f"{name}/dead"))) as child:
        child.kill()
    path = f"/dev/shm/{name}-raw"
    every = f"*{name}*"
    with isthmus.Segment.create(f"{name}-raw", 4096), isthmus.Lock(f"{name}/living"):
        heading, *rows = run("gc", every, "--foreign", "--older-than", "0").stdout.splitlines()
        assert heading.split() == ["KIND", "NAME", "SIZE", "AGE", "WHAT", "WHY"]
        assert [row.split()[1] for row in rows] == [f"{name}/dead"]
        assert " stale " in rows[0]
    (removed,) = json.loads(run("gc", every, "--yes", "--json").stdout)
    assert (removed["object"]["name"], removed["removed"]) == (f"{name}/dead", True)
    assert os.path.exists(path)  # not ours
    shown = run("gc", every, "--yes", "--foreign", "--older-than", "0").stdout
    assert f"posix:{name}-raw" in shown
    assert " removed " in shown
    assert not os.path.exists(path)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("10 min", 600), ("1.5h", 5400), ("2d", 172800)]
)
def test_a_time_may_have_a_unit(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1 year", "nan"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="10min"):
        Duration().convert(text, None, None)
