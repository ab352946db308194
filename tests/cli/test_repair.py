"""``isthmus repair``, as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from rings import Memory

import isthmus

pytestmark = pytest.mark.slow
PATIENCE = 60.0


def command(*words: str, code: int = 0) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "isthmus", "repair", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def test_it_says_what_it_found_and_drops_messages_only_if_told_to(name: str) -> None:
    with isthmus.Queue(name) as queue:
        queue.put_many("abc")
        memory = Memory(name, queue.capacity)
        memory.change(0, checked=False, size=99)
        shown, _ = command(name, code=1)
        assert shown.splitlines()[0].startswith("damage: A message at position 0 is damaged")
        assert "--lossy" in shown
        found = json.loads(command(name, "--lossy", "--dry-run", "--json")[0])
        assert [(one["lossy"], one["done"]) for one in found] == [(True, False)]
        assert "Dropped: message 0" in command(name, "--lossy")[0]
        assert queue.get_many(9, timeout=0) == ["b", "c"]
        assert command(name)[0] == f"{name}: nothing to repair\n"
        memory.close()


def test_what_cannot_be_repaired_is_an_error(name: str) -> None:
    _, error = command(name, code=1)
    assert error.startswith("isthmus: there is nothing called")
    command(name, "--timeout", "x", code=2)
