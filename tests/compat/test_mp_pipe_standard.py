"""The standard library's own tests of connections, on pipes of this package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from bare_calls import PATIENCE

PROGRAM = Path(__file__).parent.parent / "support" / "standard_connections.py"


# Enough where another start method makes the difference: one of each kind that starts processes.
FEWER = ("test_connection", "test_pickling", "test_boundaries", "test_wait", "test_spawn_close")


@pytest.mark.slow
def test_the_standard_tests_of_connections_hold() -> None:
    pytest.importorskip("test._test_multiprocessing")
    command = [sys.executable, "-P", "-W", "ignore", str(PROGRAM)]
    # They spend most of their time asleep.
    programs = [
        subprocess.Popen([*command, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for words in (["fork"], ["spawn", *FEWER], ["forkserver", *FEWER])
    ]
    try:
        for program in programs:
            output, _ = program.communicate(timeout=3 * PATIENCE)
            assert program.returncode == 0, output.decode()
    finally:
        for program in programs:
            program.kill()
            program.communicate()
