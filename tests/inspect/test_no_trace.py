"""Whatever only looks leaves no trace: no byte, no time, no room, no bell."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from untouched import untouched

import isthmus
from isthmus import inspect

LOOKS: dict[str, Callable[[str], object]] = {
    "objects": lambda name: inspect.objects(),
    "dump": lambda name: inspect.dump(name, bytes_of=(0, 1 << 40)),
    "info": inspect.info,
    "doctor": lambda name: inspect.doctor(),
    "metrics": lambda name: inspect.metrics(),
    "watch": lambda name: inspect.Watch().look(),
}


@pytest.fixture
def everything(name: str) -> Iterator[list[str]]:
    """Objects of several kinds, in use, with something in them; their paths."""
    array = isthmus.Array(f"{name}/array", (100, 100), "f8")
    lock = isthmus.Lock(f"{name}/lock")
    with (
        isthmus.Queue(f"{name}/queue", max_attempts=1) as queue,
        isthmus.Publisher(f"{name}/topic") as publisher,
        isthmus.Subscriber(f"{name}/topic"),
    ):
        queue.put_many([1, b"x" * 5000, "text"])
        publisher.publish([1, 2])
        paths = [str(path) for path in Path("/dev/shm").iterdir() if name in path.name]
        assert len(paths) == 4
        with queue.lease(), lock:
            yield paths
    lock.close()
    array.unlink()


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_is_not_noticed(name: str, everything: list[str], look: str) -> None:
    for kind in ("queue", "topic", "lock", "array"):
        with untouched(*everything):
            LOOKS[look](f"{name}/{kind}")


def test_the_helper_notices_a_read(name: str, everything: list[str]) -> None:
    with pytest.raises(AssertionError, match="only to be looked at"), untouched(*everything):
        Path(everything[0]).read_bytes()


def test_the_helper_notices_a_write(name: str, everything: list[str]) -> None:
    with pytest.raises(AssertionError), untouched(*everything):
        isthmus.Queue.attach(f"{name}/queue").put(1)


def test_holes_stay_holes(name: str) -> None:
    path = Path("/dev/shm") / f"isthmus.{name}"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    try:
        with untouched(path):
            found = inspect.info(name)
        assert found.shared.resident == 0
        assert path.stat().st_blocks == 0
        assert found.problems[0].severity == "damage"
    finally:
        os.unlink(path)


def test_nothing_that_looks_may_write_to_the_mapping(name: str, everything: list[str]) -> None:
    from isthmus.inspect.looking._observed import Observed

    with Observed(everything[0]) as observed:
        observed.read(0, 100)
        maps = Path("/proc/self/maps").read_text().splitlines()
        inode = str(os.stat(everything[0]).st_ino)
        ways = [line.split()[1] for line in maps if line.split()[4] == inode]
        # Those of the handles, and the one of the look.
        assert "r--s" in ways
        flags = Path(f"/proc/self/fdinfo/{observed.fileno()}").read_text()
        assert int(flags.split("flags:")[1].split()[0], 8) & os.O_ACCMODE == os.O_RDONLY
