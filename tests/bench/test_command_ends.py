"""``isthmus bench`` in a process of its own, ended from outside: a message, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo_runs import ENVIRONMENT, PATIENCE, until

pytestmark = pytest.mark.slow


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A measurement of two processes that would go on for minutes, in the middle of it."""
    arguments = ["--form", "shm", "--no-rivals", "--no-floors", "--measure", "latency"]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "isthmus", "bench", *arguments, "--rounds", "1000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT | {"TMPDIR": str(tmp_path)},
    )
    with process:
        try:
            until(lambda: len(children(process.pid)) >= 2 or process.poll() is not None)
            yield process
        finally:
            process.kill()
    assert not list(tmp_path.iterdir())


def children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_ctrl_c_ends_it(running: subprocess.Popen[str]) -> None:
    pids = children(running.pid)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=PATIENCE)
    assert (running.returncode, out, err.strip()) == (130, "", "isthmus: interrupted")
    assert gone(pids)


def test_a_participant_that_is_killed_ends_it_with_a_message(
    running: subprocess.Popen[str],
) -> None:
    pids = children(running.pid)
    while True:
        # It may have come to its end meanwhile; then another one is.
        try:
            os.kill(children(running.pid)[0], signal.SIGKILL)
            break
        except (IndexError, ProcessLookupError):
            assert running.poll() is None
    _, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 1
    assert "SIGKILL" in err
    assert "shared memory" in err
    assert gone(pids)
