"""Creating and attaching: isthmus against what people use today."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from functools import partial
from multiprocessing import shared_memory

import numpy as np
import posix_ipc
from harness import Contender, Race

import isthmus

PAGE = 4096
NAME = f"bench-{os.getpid()}"


def create_isthmus(count: int, *, touch: bool = False) -> None:
    for _ in range(count):
        seg = isthmus.Segment.create(NAME, PAGE)
        if touch:
            seg.buf[0] = 1
        seg.close()
        seg.unlink()


def create_stdlib(count: int, *, touch: bool = False) -> None:
    for _ in range(count):
        shm = shared_memory.SharedMemory(NAME, create=True, size=PAGE)
        if touch:
            shm.buf[0] = 1
        shm.close()
        shm.unlink()


def create_posix_ipc(count: int, *, touch: bool = False) -> None:
    for _ in range(count):
        shm = posix_ipc.SharedMemory("/" + NAME, posix_ipc.O_CREX, size=PAGE)
        data = mmap.mmap(shm.fd, PAGE)
        shm.close_fd()
        if touch:
            data[0] = 1
        data.close()
        shm.unlink()


def attach_isthmus(count: int) -> None:
    for _ in range(count):
        isthmus.Segment.attach(NAME).close()


def attach_stdlib(count: int) -> None:
    for _ in range(count):
        shared_memory.SharedMemory(NAME).close()


def attach_posix_ipc(count: int) -> None:
    for _ in range(count):
        shm = posix_ipc.SharedMemory("/" + NAME)
        data = mmap.mmap(shm.fd, shm.size)
        shm.close_fd()
        data.close()


def array_isthmus(count: int) -> None:
    for _ in range(count):
        array = isthmus.Array(NAME)
        array.np  # noqa: B018
        array.close()


def array_stdlib(count: int) -> None:
    """What people write by hand; shape and dtype must be known from elsewhere."""
    for _ in range(count):
        shm = shared_memory.SharedMemory(NAME)
        values = np.ndarray((64, 64), "f8", buffer=shm.buf)
        del values
        shm.close()


def opening_races() -> list[Race]:
    with isthmus.Segment.create(NAME, PAGE) as seg:
        # Attaching through the standard library registers the name with its tracker, which
        # would remove it at exit; that happens at the end of the run and is unlinked here.
        attach = Race(
            "Attach to an existing 4 KiB segment and close it",
            [
                Contender("isthmus.Segment.attach", attach_isthmus, 1000),
                Contender("multiprocessing.shared_memory", attach_stdlib, 1000),
                Contender("posix_ipc + mmap", attach_posix_ipc, 1000),
            ],
            "no slower than multiprocessing.shared_memory (at most 1 x)",
        ).run()
        seg.unlink()
    create = Race(
        "Create, map, close and unlink a segment of 4 KiB",
        [
            Contender("isthmus.Segment.create", create_isthmus, 500),
            Contender("multiprocessing.shared_memory", create_stdlib, 500),
            Contender("posix_ipc + mmap", create_posix_ipc, 500),
        ],
        "at most 1 x multiprocessing.shared_memory; aim: at most 2 x posix_ipc",
    ).run()
    touch = Race(
        "The same, writing one byte (so that all of them have allocated the page)",
        [
            Contender("isthmus.Segment.create", partial(create_isthmus, touch=True), 500),
            Contender("multiprocessing.shared_memory", partial(create_stdlib, touch=True), 500),
            Contender("posix_ipc + mmap", partial(create_posix_ipc, touch=True), 500),
        ],
        "for information",
    ).run()
    return [create, touch, attach]


def array_race() -> Race:
    with isthmus.Array(NAME, (64, 64), "f8") as array:
        other = shared_memory.SharedMemory(NAME, create=True, size=64 * 64 * 8)
        try:
            return Race(
                "Attach to a 64 x 64 array of float64 and close it",
                [
                    Contender("isthmus.Array(name)", array_isthmus, 500),
                    Contender("multiprocessing.shared_memory + ndarray", array_stdlib, 500),
                ],
                "no slower than multiprocessing.shared_memory (at most 1 x)",
            ).run()
        finally:
            other.close()
            other.unlink()
            array.unlink()


GIB = 1 << 30


def gib_isthmus(_: int) -> None:
    seg = isthmus.Segment.create(NAME, GIB)
    seg.close()
    seg.unlink()


def gib_fallocate(_: int) -> None:
    """The floor: the one system call that allocates, on a bare file, and giving it back."""
    path = "/dev/shm/" + NAME
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.posix_fallocate(fd, 0, GIB)
    os.unlink(path)
    os.close(fd)


def large_race() -> Race:
    return Race(
        "Create, close and unlink a segment of 1 GiB",
        [
            Contender("isthmus.Segment.create", gib_isthmus, 1),
            Contender("posix_fallocate alone", gib_fallocate, 1),
        ],
        "at most 1.1 x posix_fallocate",
        rounds=9,
    ).run()


def run_python(code: str, count: int) -> None:
    for _ in range(count):
        subprocess.run([sys.executable, "-I", "-c", code], check=True)


def import_race() -> Race:
    return Race(
        "Start Python and import (a whole process)",
        [
            Contender("import isthmus", lambda n: run_python("import isthmus", n), 5),
            Contender(
                "import isthmus, use Segment",
                lambda n: run_python("import isthmus; isthmus.Segment", n),
                5,
            ),
            Contender("pass", lambda n: run_python("pass", n), 5),
            Contender(
                "import multiprocessing.shared_memory",
                lambda n: run_python("import multiprocessing.shared_memory", n),
                5,
            ),
        ],
        "import isthmus within 15 ms of pass",
        rounds=11,
    ).run()
