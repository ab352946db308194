"""The command line: options that make no sense, help, versions, missing packages."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from demo_runs import ENVIRONMENT, PATIENCE, demo

import isthmus

pytestmark = pytest.mark.slow


def isthmus_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "isthmus", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=ENVIRONMENT,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--segment-size", "0"], "size must be at least 1"),
        (["--segment-size", "-5"], "size must be at least 1"),
        (["--segment-size", "much"], "'much' is not a size"),
        (["--segment-size", "1 KiB", "--slots", "100"], "less than 64 bytes each"),
        (["--segment-size", "9 XB"], "is not a size"),
        (["--slots", "0"], "not in the range"),
        (["--slots", "5000"], "not in the range"),
        (["--slots", "some"], "not a valid integer"),
        (["--consumers", "0"], "not in the range"),
        (["--rate", "0"], "size must be at least 1"),
        (["--name", ""], "name is empty"),
        (["--name", "a/b"], "slash inside"),
        (["--name", "x" * 300], "at most 255"),
        (["--nonsense"], "No such option"),
        (["file"], "unexpected extra argument"),
    ],
)
def test_a_bad_value_is_told(arguments: list[str], message: str) -> None:
    done = demo(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in " ".join(done.stderr.split())
    assert "Usage: isthmus demo" in done.stderr


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "No such file"),
        ("directory", "is a directory"),
        ("fifo", "is not a plain file"),
        ("/dev/zero", "is not a plain file"),
        ("/proc/self/status", "made by the kernel"),
    ],
)
def test_what_is_no_file_is_refused(kind: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / kind if not kind.startswith("/") else Path(kind)
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    done = demo("--input", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in " ".join(done.stderr.split())


def test_a_file_that_may_not_be_read_is_refused(
    tmp_path: Path, unprivileged: int, run_python: Callable[..., str]
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"x")
    path.chmod(0)
    program = """
        import os, sys
        from isthmus.demo.errors import DemoError
        from isthmus.demo.source import Source
        os.setuid(int(sys.argv[2]))
        try:
            Source(sys.argv[1])
        except DemoError as error:
            print(error)
    """
    output = run_python(program, path, unprivileged)
    assert output == f"cannot read {str(path)!r}: Permission denied\n"


def test_more_than_the_machine_has_is_an_error_not_a_crash(tmp_path: Path, name: str) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"abc")
    done = demo("--input", path, "--name", name, "--segment-size", "1000 TiB")
    assert done.returncode == 1
    assert done.stderr.startswith("isthmus: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["demo", "--help"]])
def test_help_shows_examples(arguments: list[str]) -> None:
    done = isthmus_command(*arguments)
    text = done.stdout + done.stderr
    assert "Examples:" in text and "Exit codes:" in text
    assert "isthmus demo" in text


def test_the_version_is_told() -> None:
    done = isthmus_command("--version")
    assert (done.returncode, done.stdout) == (0, f"isthmus, version {isthmus.__version__}\n")


def test_an_unknown_command_is_wrong_usage() -> None:
    done = isthmus_command("dmeo")
    assert done.returncode == 2
    assert "dmeo" in done.stderr


@pytest.mark.parametrize("missing", ["click", "rich", "numpy"])
def test_a_missing_package_is_one_line(missing: str, run_python: Callable[..., str]) -> None:
    program = f"""
        import sys
        sys.modules[{missing!r}] = None
        from isthmus.cli import main
        try:
            main()
        except SystemExit as error:
            print(error.code)
    """
    output = run_python(program, fails=True)
    assert output == (
        f"1\nisthmus: the command needs {missing}, not installed here: pip install 'isthmus[cli]'\n"
    )
