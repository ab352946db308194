"""`isthmus demo` from beginning to end: what arrives, what is shown, what is refused."""

from __future__ import annotations

import hashlib
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from demo_runs import ENVIRONMENT, PATIENCE, DemoRun, command, demo, told

pytestmark = pytest.mark.slow

SLOT = 4096
SLOTS = 4
LAYOUT = ["--segment-size", SLOT * SLOTS, "--slots", SLOTS, "--no-compare"]


@pytest.mark.parametrize(
    "size",
    [0, 1, SLOT - 1, SLOT, SLOT + 1, SLOT * SLOTS, SLOT * SLOTS + 1, 40 * SLOT * SLOTS + 3],
)
def test_every_byte_of_a_file_arrives(size: int, tmp_path: Path, name: str) -> None:
    content = os.urandom(size)
    path = tmp_path / "input"
    path.write_bytes(content)
    done = demo("--input", path, "--name", name, *LAYOUT)
    assert (done.returncode, done.stderr) == (0, "")
    assert told(done.stdout, "sha256") == hashlib.sha256(content).hexdigest()
    assert "exactly the bytes" in told(done.stdout, "check")


@pytest.mark.parametrize("slots", [1, 2, 64])
def test_any_number_of_slots_will_do(slots: int, tmp_path: Path, name: str) -> None:
    content = os.urandom(100_000)
    path = tmp_path / "input"
    path.write_bytes(content)
    done = demo("--input", path, "--name", name, "--slots", slots, "--segment-size", "8 KiB")
    assert (done.returncode, done.stderr) == (0, "")
    assert told(done.stdout, "sha256") == hashlib.sha256(content).hexdigest()


def test_without_options_it_does_all_of_it(name: str) -> None:
    done = demo("--name", name.removeprefix("test-"))  # so short that no line is broken
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    steps = ["create", "map", "fork", "wait", "child wrote 0xdbeebee", "unmap", "unlink"]
    found = [line if line.startswith("child") else line.split()[0] for line in lines[1:8]]
    assert found == steps
    for medium in ("topic", "queue", "pipe", "file"):
        row = next(line for line in lines if re.match(rf"  {medium}  ", line))
        assert len(re.findall(r"[\d.]+ m?s", row)) == 2, row
    # Plain text: nothing for a terminal, nothing to be cut off, no blanks at the end.
    assert "\x1b" not in done.stdout
    assert [line for line in lines if len(line) > 80 or line != line.rstrip()] == []


def test_the_sample_forks_without_a_complaint_of_the_interpreter(tmp_path: Path, name: str) -> None:
    path = tmp_path / "input"
    path.touch()
    done = demo("--input", path, "--name", name, flags=("-W", "error", "-X", "dev"))
    assert (done.returncode, done.stderr) == (0, "")


def in_terminal(*arguments: object, **environment: str) -> tuple[int, str]:
    """Exit code, and what a terminal of 80 columns receives."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command(*arguments),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=ENVIRONMENT | {"COLUMNS": "80"} | environment,
    )
    os.close(slave)
    received = b""
    try:
        while chunk := os.read(master, 4096):
            received += chunk
    except OSError:  # EIO: everybody has closed the terminal
        pass
    os.close(master)
    return process.wait(PATIENCE), received.decode()


def test_a_terminal_gets_a_bar_and_colours(tmp_path: Path, name: str) -> None:
    path = tmp_path / "input"
    path.write_bytes(bytes(300_000))
    code, output = in_terminal("--input", path, "--name", name, "--no-compare", "--rate", "1 MB")
    assert code == 0
    assert "\x1b[36m" in output
    assert "━" in output and "100%" in output
    assert len(set(re.findall(r"(\d+)%", output))) > 3, "the bar does not move"
    assert output.count("\x1b[?25l") == output.count("\x1b[?25h") > 0, "the cursor stays hidden"


def test_no_color_is_obeyed(tmp_path: Path, name: str) -> None:
    path = tmp_path / "input"
    path.write_bytes(bytes(300_000))
    code, output = in_terminal("--input", path, "--name", name, "--no-compare", NO_COLOR="1")
    assert code == 0
    assert re.findall(r"\x1b\[[\d;]*[34]\d[\d;]*m", output) == []


def test_a_locale_without_the_characters_is_no_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / "äöü"
    path.write_bytes(b"abc")
    done = subprocess.run(
        command("--input", path, "--name", name, "--no-compare"),
        env=ENVIRONMENT | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()


def test_a_reader_that_has_had_enough_is_no_traceback(name: str) -> None:
    line = f"{sys.executable} -P -m isthmus demo --name {name} | head -n 1"
    done = subprocess.run(
        line,
        shell=True,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout.startswith("The classic sample")
    assert done.stderr == ""


def test_demos_at_the_same_time_do_not_meet(tmp_path: Path, name: str) -> None:
    contents = [os.urandom(200_000) for _ in range(3)]
    runs = []
    for number, content in enumerate(contents):
        path = tmp_path / str(number)
        path.write_bytes(content)
        options = ["--name", f"{name}-{number}", "--rate", "1 MB", *LAYOUT]
        runs.append(DemoRun("--input", path, *options))
    for run, content in zip(runs, contents, strict=True):
        with run:
            code, output, messages = run.finish()
            assert (code, messages) == (0, "")
            assert told(output, "sha256") == hashlib.sha256(content).hexdigest()
            assert run.left_behind() == []


@pytest.mark.parametrize("size", [0, 150_000, 5_000_000])
def test_a_file_that_changes_is_called_that(size: int, tmp_path: Path, name: str) -> None:
    path = tmp_path / "input"
    path.write_bytes(bytes(300_000))
    with DemoRun("--input", path, "--name", name, "--rate", "500 kB") as run:
        run.read_until("go")
        with run.under_way():
            os.truncate(path, size)
            code, output, messages = run.finish()
    assert (code, messages) == (0, "")
    assert f"it had 300000 bytes, now it has {size}" in told(output, "note")
    assert "exactly the bytes" in told(output, "check")
    assert "being changed" in told(output, "skip")


def test_a_name_that_is_taken_is_left_alone(name: str) -> None:
    path = Path("/dev/shm", name)
    path.write_bytes(b"somebody's")
    try:
        done = demo("--name", name)
        assert done.returncode == 1
        assert f"isthmus: the name {name!r} is taken" in done.stderr
        assert "--name" in done.stderr and f"rm /dev/shm/{name}" in done.stderr
        assert path.read_bytes() == b"somebody's"
    finally:
        path.unlink()
