"""``isthmus doctor``: what it writes of made-up machines, and as a process of this one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from isthmus import inspect
from isthmus.cli.app import app
from isthmus.inspect import Finding
from isthmus.inspect._doctor._finding import Grade

PATIENCE = 60.0


def finding(severity: Grade, check: str, **more: str) -> Finding:
    return Finding(check=check, group="limits", severity=severity, what=f"it is {check}", **more)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    found = [
        finding("problem", "awful", why="nothing works", remedy="`repair it` as root"),
        finding("warning", "bad", why="it will\x1b[2J fail", remedy="watch"),
        finding("warning", "worse", why="so", remedy="run"),
        finding("ok", "fine"),
        finding("ok", "good"),
    ]
    monkeypatch.setattr(inspect, "doctor", lambda: found)
    return found


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *arguments], standalone_mode=False)


@pytest.mark.usefixtures("found")
def test_the_worst_comes_first_with_its_remedy_and_what_is_well_in_short() -> None:
    assert run().output.splitlines() == [
        "problem limits: it is awful",
        "        Why: nothing works",
        "        Do: `repair it` as root",
        "warning limits: it is bad",
        "        Why: it will\\x1b[2J fail",
        "        Do: watch",
        "warning limits: it is worse",
        "        Why: so",
        "        Do: run",
        "ok      fine, good",
        "1 problem, 2 warnings",
    ]


@pytest.mark.usefixtures("found")
def test_all_are_told_when_asked_for() -> None:
    lines = run("--all").output.splitlines()
    assert lines[-3:] == ["ok      limits: it is fine", "ok      limits: it is good",
                          "1 problem, 2 warnings"]  # fmt: skip


def test_programs_get_the_same_as_json(found: list[Finding]) -> None:
    told = json.loads(run("--json").output)
    assert [one["check"] for one in told] == [one.check for one in found]
    assert told[0] == {
        "check": "awful",
        "group": "limits",
        "severity": "problem",
        "what": "it is awful",
        "why": "nothing works",
        "remedy": "`repair it` as root",
        "facts": {},
    }


def test_only_a_problem_is_a_failure(found: list[Finding]) -> None:
    assert run().return_value == 1
    assert run("--json").return_value == 1
    found.pop(0)
    assert run().return_value == 0
    assert run().output.splitlines()[-1] == "0 problems, 2 warnings"
    del found[:2]
    assert run().output.splitlines()[-1] == "0 problems, 0 warnings"


@pytest.mark.slow
def test_this_machine_is_examined_by_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "isthmus", "doctor", "--json"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    told = json.loads(done.stdout)
    assert done.stderr == ""
    assert done.returncode == any(one["severity"] == "problem" for one in told)
    sizes = [one["facts"]["size"] for one in told if one["check"] == "shm-size"]
    assert len(sizes) == 1
