"""`isthmus top` as a command: where it runs, where it does not, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from demo_runs import ENVIRONMENT, PATIENCE
from terminals import InTerminal

import isthmus

pytestmark = pytest.mark.slow


def test_it_shows_real_objects_and_leaves_the_terminal_as_it_was(name: str) -> None:
    with isthmus.Queue(name, capacity="64 KiB") as queue:
        with InTerminal("top", name, "--filter", name, "--interval", "0.1") as top:
            # All about it, and behind that the table.
            top.read_until(b"Since it was made")
            top.type(b"\x7f")
            top.read_until(b"depth")
            top.type(b"q")
            assert top.finish() == 0 and top.restored
        queue.unlink()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130), (None, 130)],
)
def test_a_signal_or_ctrl_c_ends_it_and_restores_the_terminal(
    number: signal.Signals | None, code: int
) -> None:
    with InTerminal("top") as top:
        # The keys at the bottom are drawn last: it listens by now.
        top.read_until(b"Quit")
        if number is None:
            top.type(b"\x03")
        else:
            os.kill(top.process.pid, number)
        assert top.finish() == code and top.restored
        assert (b"interrupted" in top.output) == (code == 130)
        assert b"Traceback" not in top.output


def test_all_of_it_is_drawn_when_it_goes_on_after_a_stop() -> None:
    with InTerminal("top", "--interval", "3600") as top:
        top.read_until(b"Quit")
        for _ in range(2):
            top.output = b""
            top.process.send_signal(signal.SIGSTOP)
            top.process.send_signal(signal.SIGCONT)
            # Nothing of that has changed.
            top.read_until(b"Filter")
        top.type(b"q")
        assert top.finish() == 0 and top.restored


def test_a_terminal_that_tells_no_size_is_taken_for_one_of_80x24() -> None:
    with InTerminal("top", columns=0, lines=0) as top:
        top.read_until(b"Quit")
        top.type(b"q")
        assert top.finish() == 0 and top.restored


def test_without_a_terminal_it_says_what_to_use_instead() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "isthmus", "top"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert "standard input is not" in done.stderr and "isthmus ls" in done.stderr


def test_a_terminal_that_cannot_move_its_cursor_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "TERM", "dumb")
    with InTerminal("top") as top:
        assert top.finish() == 2
        assert b"TERM is 'dumb'" in top.output and b"\x1b[?1049h" not in top.output
