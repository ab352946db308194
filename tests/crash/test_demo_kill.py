"""`isthmus demo`, with each of its processes killed while it is doing, or awaiting, something."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo_runs import DemoRun, told, until

from isthmus.demo.meeting import Meeting

pytestmark = pytest.mark.slow

# Holes only, on no disk, and far too much to be read in the time of a test.
ENDLESS = 1 << 43
SLOTS = 4
OPTIONS = ["--segment-size", "64 KiB", "--slots", SLOTS]


@pytest.fixture
def run(tmp_path: Path, name: str) -> Iterator[DemoRun]:
    """A transfer under way, by one producer and one consumer."""
    path = tmp_path / "endless"
    path.touch()
    os.truncate(path, ENDLESS)
    # Not at full speed: other tests want a processor, too.
    options = [*OPTIONS, "--rate", "20 MiB", "--consumers", 1]
    with DemoRun("--input", path, "--name", name, *options) as run:
        run.read_until("go")
        run.under_way().close()
        yield run


@pytest.fixture
def run_of_two(tmp_path: Path, name: str) -> Iterator[DemoRun]:
    """The same with two consumers."""
    path = tmp_path / "endless"
    path.touch()
    os.truncate(path, ENDLESS)
    with DemoRun("--input", path, "--name", name, *OPTIONS, "--rate", "20 MiB") as run:
        run.read_until("go")
        run.under_way().close()
        yield run


def stall(run: DemoRun, role: str) -> None:
    """Stop one role until the other one waits for it."""
    run.kill(role, signal.SIGSTOP)
    with run.jobs() as jobs:

        def waiting() -> bool:
            facts = jobs.stats()
            if role == "producer":
                return facts.ready + facts.leased == 0
            # No room for one more. Its last chunk may be done with and lie there still.
            return facts.capacity - facts.used < facts.capacity // SLOTS

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


def stopped(pid: int) -> bool:
    """A signal has been sent when kill() returns, and not yet arrived."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def test_what_a_killed_consumer_had_begun_goes_to_another_one(tmp_path: Path, name: str) -> None:
    path = tmp_path / "input"
    path.touch()
    os.truncate(path, 192 << 20)
    # Chunks that take a while, so that it is mostly working on one.
    options = ["--segment-size", "8 MiB", "--slots", 2, "--no-compare"]
    with DemoRun("--input", path, "--name", name, *options) as run:
        run.read_until("go")
        victim = run.consumers[0]
        with run.under_way() as jobs:

            def caught() -> bool:
                os.kill(victim, signal.SIGSTOP)
                until(lambda: stopped(victim))
                if any(one.leases for one in jobs.consumers() if one.pid == victim):
                    return True
                os.kill(victim, signal.SIGCONT)
                return False

            until(caught)
        os.kill(victim, signal.SIGKILL)
        code, output, messages = run.finish()
        assert (code, messages) == (0, "")
        assert f"the consumer (process {victim}) was killed by SIGKILL" in told(output, "lost")
        assert "1 chunk came back" in told(output, "again")
        assert "the consumers have seen exactly the bytes" in output
        assert run.all_gone()
        assert run.left_behind() == []


def test_the_last_consumer_is_needed(run_of_two: DemoRun) -> None:
    run = run_of_two
    for pid in run.consumers:
        os.kill(pid, signal.SIGKILL)
    code, _, messages = run.finish()
    assert code == 1
    assert "was killed by SIGKILL after" in messages
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
        assert "the consumers have seen exactly the bytes" in output
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
    options = ["--rate", "200 kB", "--no-compare", "--consumers", 1]
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


def answers_of_a_consumer(session: str) -> tuple[subprocess.Popen[bytes], int]:
    """One that nobody but the test looks after, and where it answers."""
    answers, theirs = os.pipe()
    command = [sys.executable, "-P", "-m", "isthmus.demo.consumer", "--session", session]
    command += ["--answers-fd", str(theirs), "--size", "64"]
    role = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[theirs])
    os.close(theirs)
    assert os.read(answers, 100).startswith(b"ready ")
    return role, answers


def named(session: str) -> list[str]:
    return [entry for entry in os.listdir("/dev/shm") if session in entry]


def test_roles_whose_supervisor_dies_before_they_joined_remove_the_names(name: str) -> None:
    """The one moment in which there are names: created, and not everybody has joined."""
    program = "import os, sys; from isthmus.demo.meeting import Meeting; "
    program += "meeting = Meeting(sys.argv[1], 4096); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-P", "-c", program, name], check=False, timeout=60)
    assert len(named(name)) == 4
    role, answers = answers_of_a_consumer(name)
    # The end of the lifeline, as if it had been the supervisor that died.
    role.communicate(timeout=60)
    os.close(answers)
    assert role.returncode == 0
    assert named(name) == []


def test_so_do_roles_that_have_joined(name: str) -> None:
    meeting = Meeting(name, 4096)
    role, answers = answers_of_a_consumer(name)
    assert role.stdin is not None
    role.stdin.write(b"join\n")
    role.stdin.flush()
    assert os.read(answers, 100).startswith(b"joined ")
    meeting.close()
    assert len(named(name)) == 2, "the consumer has both queues"
    role.communicate(timeout=60)
    os.close(answers)
    assert role.returncode == 0
    assert named(name) == []
