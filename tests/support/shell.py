"""Running the command `isthmus`: in this process where its words are the question, in a process of
its own where signals, pipes and the way it starts are.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from click.testing import CliRunner

from isthmus.cli.app import app
from isthmus.errors import IsthmusError

PATIENCE = 60.0
# Whatever the surroundings say about colour and size is none of the tests' business.
ENVIRONMENT = {
    key: value
    for key, value in os.environ.items()
    if key not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE"}
} | {"TERM": "xterm"}


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    output: bytes
    errors: str

    @property
    def text(self) -> str:
        return self.output.decode()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


def isthmus(*arguments: object, stdin: bytes | str = b"") -> Done:
    """Run it here: quick. Nothing is different but that signals are left alone."""
    result = CliRunner(env={"NO_COLOR": None}).invoke(
        app,
        [str(one) for one in arguments],
        input=stdin,
        prog_name="isthmus",
        standalone_mode=False,
    )
    error = result.exception
    if error is None:
        code = result.return_value if isinstance(result.return_value, int) else 0
        return Done(code, result.stdout_bytes, result.stderr)
    # What isthmus.cli.app.run() makes of it.
    from click import ClickException

    if isinstance(error, ClickException):
        return Done(error.exit_code, result.stdout_bytes, result.stderr + error.format_message())
    if isinstance(error, (IsthmusError, OSError)):
        return Done(1, result.stdout_bytes, f"{result.stderr}isthmus: {error}")
    raise error


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-P", "-m", "isthmus", *map(str, arguments)]


def started(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
    """Start it in a process; its streams are pipes unless said otherwise."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command(*arguments), **(pipes | {"env": ENVIRONMENT} | options))  # type: ignore[call-overload, no-any-return]


def ran(*arguments: object, **options: object) -> Done:
    """Run it in a process, from beginning to end."""
    with started(*arguments, **options) as process:
        output, errors = process.communicate(timeout=PATIENCE)
    return Done(process.returncode, output or b"", (errors or b"").decode())


def until(condition: Callable[[], object]) -> None:
    """Wait, bounded, for something that nobody would tell us."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)
