"""`isthmus demo`, with each of its processes killed while it is doing, or awaiting, something."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo_runs import DemoRun, until

from isthmus.demo.transfer import Transfer, Turns

pytestmark = pytest.mark.slow

# Holes only, on no disk, and far too much to be read in the time of a test.
ENDLESS = 1 << 43
SLOTS = 4
OPTIONS = ["--segment-size", "64 KiB", "--slots", SLOTS]


@pytest.fixture
def run(tmp_path: Path, name: str) -> Iterator[DemoRun]:
    """A transfer under way."""
    path = tmp_path / "endless"
    path.touch()
    os.truncate(path, ENDLESS)
    # Not at full speed: other tests want a processor, too.
    options = [*OPTIONS, "--rate", "20 MiB"]
    with DemoRun("--input", path, "--name", name, *options) as run:
        run.read_until("go")
        transfer = run.transfer()
        until(lambda: transfer.consumer.bytes)
        yield run


def stall(run: DemoRun, role: str) -> None:
    """Stop one role until the other one waits for it."""
    transfer = run.transfer()
    run.kill(role, signal.SIGSTOP)

    def waiting() -> bool:
        filled = transfer.producer.chunks - transfer.consumer.chunks
        return filled == (SLOTS if role == "consumer" else 0)

    until(waiting)


@pytest.mark.parametrize("stalled", [False, True], ids=["running", "stalled"])
@pytest.mark.parametrize("role", ["producer", "consumer"])
def test_a_killed_role_ends_the_transfer(role: str, stalled: bool, run: DemoRun) -> None:
    if stalled:
        stall(run, role)
    run.kill(role)
    code, _, messages = run.finish()
    assert code == 1
    assert messages.startswith(f"isthmus: the {role} (process {run.pids[role]}) was killed")
    assert "by SIGKILL after" in messages
    assert "of 8.0 TiB; the transfer was abandoned, and nothing is left behind" in messages
    assert messages.count("\n") == 1
    assert run.all_gone()
    assert run.left_behind() == []


def test_a_killed_monitor_is_reported_and_the_transfer_goes_on(tmp_path: Path, name: str) -> None:
    path = tmp_path / "input"
    path.write_bytes(os.urandom(1 << 20))
    options = [*OPTIONS, "--rate", "2 MiB", "--no-compare"]
    with DemoRun("--input", path, "--name", name, *options) as run:
        run.read_until("go")
        run.kill("monitor")
        code, output, messages = run.finish()
        assert (code, messages) == (0, "")
        assert f"the monitor (process {run.pids['monitor']}) was killed by SIGKILL" in output
        assert "the consumer has seen exactly the bytes" in output
        assert run.all_gone()
        assert run.left_behind() == []


def test_a_monitor_that_hangs_does_not_keep_the_others(tmp_path: Path, name: str) -> None:
    path = tmp_path / "input"
    path.write_bytes(bytes(1000))
    options = ["--rate", 2000, "--no-compare"]
    with DemoRun("--input", path, "--name", name, *options) as run:
        run.read_until("go")
        run.kill("monitor", signal.SIGSTOP)
        code, _, messages = run.finish()
        assert (code, messages) == (0, "")
        assert run.all_gone()


@pytest.mark.parametrize("stalled", ["nobody", "producer", "consumer"])
def test_roles_end_when_the_supervisor_is_killed(stalled: str, run: DemoRun) -> None:
    if stalled != "nobody":
        stall(run, stalled)
    run.kill("supervisor")
    if stalled != "nobody":
        # One that is stopped cannot notice anything; the others must not wait for it.
        assert run.all_gone(but=stalled)
        run.kill(stalled, signal.SIGCONT)
    assert run.all_gone()
    assert run.left_behind() == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_everything_in_good_order(number: int, code: int, run: DemoRun) -> None:
    # To the supervisor and all roles at once, as a terminal does.
    os.killpg(run.process.pid, number)
    found, _, messages = run.finish()
    assert found == code
    assert "Traceback" not in messages
    assert run.all_gone()
    assert run.left_behind() == []


@pytest.mark.parametrize("role", ["producer", "consumer"])
def test_a_plain_kill_of_a_role_is_reported_as_well(role: str, run: DemoRun) -> None:
    run.kill(role, signal.SIGTERM)
    code, _, messages = run.finish()
    assert code == 1
    assert "was killed by SIGTERM after" in messages
    assert run.all_gone()


@pytest.mark.parametrize("role", ["producer", "consumer", "monitor"])
def test_a_role_killed_while_it_starts_is_reported(role: str, tmp_path: Path, name: str) -> None:
    path = tmp_path / "input"
    path.write_bytes(bytes(100_000))
    options = ["--rate", "200 kB", "--no-compare"]
    with DemoRun("--input", path, "--name", name, *options) as run:
        run.read_until("input")
        until(lambda: run.children(role))
        victim = run.children(role)[0]
        os.kill(victim, signal.SIGKILL)
        code, output, messages = run.finish()
        assert f"the {role} (process {victim}) was killed by SIGKILL" in output + messages
        if role == "monitor":
            assert (code, messages) == (0, "")
            assert "exactly the bytes" in output
        else:
            # By far the likeliest is that it was importing; a slow test may come later.
            assert code == 1
            assert "nothing is left behind" in messages
        assert run.left_behind() == []


def test_ctrl_c_while_the_roles_start_ends_everything(tmp_path: Path, name: str) -> None:
    path = tmp_path / "input"
    path.write_bytes(bytes(100_000))
    with DemoRun("--input", path, "--name", name, "--rate", "10 kB") as run:
        run.read_until("input")
        until(lambda: run.children("producer"))
        os.killpg(run.process.pid, signal.SIGINT)
        code, _, messages = run.finish()
        assert (code, messages.strip()) == (130, "isthmus: interrupted")
        assert run.left_behind() == []


@pytest.mark.parametrize("role", ["producer", "consumer"])
def test_a_role_killed_during_the_comparison_is_reported(
    role: str, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "input"
    path.touch()
    os.truncate(path, 64 << 20)
    with DemoRun("--input", path, "--name", name, "--segment-size", "64 KiB") as run:
        run.read_until("measure")
        until(lambda: run.children(role))
        victim = run.children(role)[0]
        os.kill(victim, signal.SIGKILL)
        code, _, messages = run.finish()
        assert code == 1
        assert f"the {role} (process {victim}) was killed by SIGKILL" in messages
        assert "being compared, and nothing is left behind" in messages
        assert run.left_behind() == []


def test_roles_whose_supervisor_dies_before_they_joined_remove_the_names(name: str) -> None:
    """The one moment in which there are names: created, and not everybody has joined."""
    Transfer.create(name, 2, 64, 0)
    Turns.create(name, 2)
    assert len([entry for entry in os.listdir("/dev/shm") if name in entry]) == 3
    answers, theirs = os.pipe()
    command = [sys.executable, "-P", "-m", "isthmus.demo.consumer"]
    command += ["--session", name, "--answers-fd", str(theirs)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[theirs]) as role:
        os.close(theirs)
        assert os.read(answers, 100) == b"ready\n"
        # The end of the lifeline, as if the supervisor were dead.
        role.communicate(timeout=60)
        os.close(answers)
        assert role.returncode == 0
    assert not [entry for entry in os.listdir("/dev/shm") if name in entry]
