"""``python -m isthmus.compat PROGRAM``: unchanged programs with the drop-ins in place."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from isthmus.compat import _install

PATIENCE = 60.0
PROGRAMS = Path(__file__).parent / "programs"
OURS = (sys.executable, "-m", "isthmus.compat")

pytestmark = pytest.mark.slow


# What a module is imported as, and what it is under the drop-ins.
REPLACED = {
    original: f"isthmus.compat.{ours}"
    for modules in _install._INSTEAD.values()
    for original, ours in modules.items()
}


def run(
    *command: str | os.PathLike[str], status: int = 0, text: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(text, PATIENCE)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # it, and what it has started
            raise
    done = subprocess.CompletedProcess(command, process.returncode, output, errors)
    assert done.returncode == status, done.stderr
    return done


def test_every_process_of_a_program_gets_the_drop_ins_alone_that_it_was_to_get() -> None:
    names = list(REPLACED)
    done = run(*OURS, PROGRAMS / "which.py", *names)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found == {place: list(REPLACED.values()) for place in found}
    assert list(found) == ["here", "fork", "spawn", "forkserver", "pool", "script"]
    found = json.loads(run(*OURS, "--only", "faster_fifo", PROGRAMS / "which.py", *names).stdout)
    expected = [REPLACED[name] if name.startswith("faster") else name for name in names]
    assert found == dict.fromkeys(found, expected)


@pytest.mark.parametrize(
    "program",
    [
        "fifo.py",
        "posix.py",
        "sysv.py",
        "memory.py fork",
        "memory.py spawn",
        "memory.py forkserver",
        "queues.py fork",
        "queues.py spawn",
        "queues.py forkserver",
    ],
)
def test_an_unchanged_program_does_the_same(program: str, posix_name: str) -> None:
    file, *arguments = program.split()
    if file == "posix.py":
        arguments = [posix_name]
    plain = run(sys.executable, PROGRAMS / file, *arguments)
    done = run(*OURS, PROGRAMS / file, *arguments)
    assert done.stdout == plain.stdout != ""
    assert done.stderr == plain.stderr == ""


@pytest.fixture
def another(tmp_path: Path) -> dict[str, str]:
    """An environment with a sitecustomize of its own."""
    (tmp_path / "sitecustomize.py").write_text("MARK = 'mine'\n")
    return {"PYTHONPATH": str(tmp_path)}


def test_a_program_cannot_tell_how_it_was_started(another: dict[str, str]) -> None:
    program = (PROGRAMS / "itself.py", "-m", "--only", "ü")
    facts: list[dict[str, Any]] = []
    python = (sys.executable, "-bX", "utf8")
    for command in ((*python, *program), (*python, *OURS[1:], *program)):
        done = run(*command, status=7, text="from stdin", ISTHMUS_COMPAT="strict", **another)
        facts.append(json.loads(done.stdout))
    assert facts[0] == facts[1]
    assert (facts[0]["sitecustomize"], facts[0]["mode"]) == ("mine", "strict")
    assert facts[0]["argv"][1:] == ["-m", "--only", "ü"]


def test_modules_code_and_stdin_are_programs_too() -> None:
    text = "import sys; print(sys.argv, 'sitecustomize' in sys.modules)"
    for arguments in (("-c", text, "-x"), ("-", "-x"), ("--", "-", "-x")):
        plain = run(sys.executable, *arguments[arguments[0] == "--" :], text=text)
        assert run(*OURS, *arguments, text=text).stdout == plain.stdout
    assert run(*OURS, "-m", "json.tool", text="[1]").stdout.split() == ["[", "1", "]"]


def test_a_program_that_needs_nothing_of_it_loads_nothing_of_it() -> None:
    text = "import json, sys; print(*[name for name in sys.modules if name[:7] == 'isthmus'])"
    assert run(*OURS, "-c", text).stdout.split() == ["isthmus.compat._install"]


def test_ctrl_c_goes_to_the_program() -> None:
    command = [*OURS, str(PROGRAMS / "waits.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGINT
    assert b"KeyboardInterrupt" in errors


def test_mistakes_are_told_at_the_start() -> None:
    assert "usage: python -m isthmus.compat" in run(*OURS, "--help").stdout
    for arguments, why in (
        ((), "no PROGRAM is given"),
        (("--only", "nothing", "x.py"), "'nothing': what can be replaced is shared_memory, "),
        (("-m",), "argument expected for the -m option"),
    ):
        assert why in run(*OURS, *arguments, status=2).stderr
    assert (
        '"safe" or "strict", not \'bad\''
        in run(*OURS, "-c", "", status=2, ISTHMUS_COMPAT="bad").stderr
    )
    isolated = (sys.executable, "-I", "-m", "isthmus.compat", "-c", "")
    assert "with the options -I, -E and -S" in run(*isolated, status=2).stderr


def test_a_program_that_is_not_there_is_told_as_python_does() -> None:
    missing = "/there/is/no/such/program.py"
    plain = run(sys.executable, missing, status=2)
    assert run(*OURS, missing, status=2).stderr == plain.stderr != ""


def test_a_wrong_variable_is_told_by_each_process() -> None:
    environment = {"PYTHONPATH": _install.SITE, _install.VARIABLE: "posix_ipc,wrong"}
    done = run(sys.executable, "-c", "print('goes on')", **environment)
    assert done.stdout == "goes on\n"
    assert "'wrong': what can be replaced is" in done.stderr


def test_a_python_without_isthmus_keeps_the_originals_and_warns(tmp_path: Path) -> None:
    venv.create(tmp_path, symlinks=True)
    text = "import multiprocessing.shared_memory as it; print(it.__name__)"
    start = (
        "import subprocess, sys; "
        f"sys.exit(subprocess.call([{str(tmp_path / 'bin/python')!r}, '-c', {text!r}]))"
    )
    done = run(*OURS, "-c", start)
    assert done.stdout == "multiprocessing.shared_memory\n"
    assert "multiprocessing.shared_memory is not replaced: " in done.stderr
    assert "has no isthmus" in done.stderr
