"""Fixtures for all tests: unique names that must be gone at the end, and processes that end."""

from __future__ import annotations

import gc
import itertools
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bare_calls import key, msqid, posix_name, queue_name, semid, shmid

__all__ = ["key", "msqid", "posix_name", "queue_name", "semid", "shmid"]  # fixtures

SHM = Path("/dev/shm")
# Longest that any process started by a test may take; far more than it needs.
PATIENCE = 60.0
_counter = itertools.count()


@pytest.fixture
def name() -> Iterator[str]:
    """A name that nobody else uses. The test fails if anything of that name is left over."""
    unique = f"test-{os.getpid()}-{next(_counter)}-{os.urandom(4).hex()}"
    yield unique
    gc.collect()
    left = [path for path in SHM.iterdir() if unique in path.name]
    for path in left:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
    assert not left, "the test left these behind"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever starts a Python takes more than a quarter of a second on a busy machine."""
    for item in items:
        if "run_python" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


RunPython = Callable[..., str]

# Becomes another user from inside: that user may not be able to read this Python's files, so
# all that will be needed is loaded first.
_BECOME_USER = """
import grp, os, pwd, queue, re, resource
import numpy, isthmus, isthmus.array, isthmus.inspect._objects, isthmus.queue, isthmus.segment
os.setgroups([])
os.setgid({user})
os.setuid({user})
"""


@pytest.fixture
def run_python() -> RunPython:
    """Run a program in a Python process of its own; its output, or an error with its stderr."""

    def run(program: str, *arguments: object, user: int | None = None, fails: bool = False) -> str:
        text = textwrap.dedent(program)
        if user is not None:
            text = _BECOME_USER.format(user=user) + text
        command = [sys.executable, "-P", "-c", text, *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        if not fails:
            assert done.returncode == 0, done.stderr
        assert "resource_tracker" not in done.stderr
        return done.stdout + (done.stderr if fails else "")

    return run


@pytest.fixture
def unprivileged() -> int:
    """The id of a user without any rights; the test is skipped when not run as root."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    return 65534
