"""The C programs of examples/c: compiling them, running them and their like in Python."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

PATIENCE = 60.0
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]

Run = Callable[..., subprocess.CompletedProcess[str]]


def compile_program(cc: str, source: Path, program: Path, *more: str) -> Path:
    command = [cc, *STRICT, "-o", str(program), str(source), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return program


def fails(done: subprocess.CompletedProcess[str], *words: str, status: int = 1) -> None:
    assert done.returncode == status
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr


# What a test has started.
started: list[subprocess.Popen[str]] = []


def start(command: list[str], *arguments: object) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started.append(process)
    return process


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "")
    return output
