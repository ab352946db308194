"""What a type checker must see in a program that uses isthmus: checked by `make check`, not run."""

from __future__ import annotations

import socket
from typing import Any, assert_type

import numpy as np

import isthmus
from isthmus import Array, Segment, posix, sysv


def segments() -> None:
    with Segment.create("name", "1 MiB", mode=0o640, exist_ok=True, owner="alice") as seg:
        assert_type(seg, Segment)
        assert_type(seg.buf, memoryview)
        assert_type(seg.size, int)
        assert_type(seg.name, str | None)
        assert_type(seg.seals, frozenset[str])
        assert_type(seg.array((2, 3), "f8", offset=64), np.ndarray[Any, Any])
        seg.flush(0, 10, wait=False)
        seg.resize(np.int64(10), shrink=True)
    assert_type(Segment.attach("name", readonly=True, owner=1000, timeout=0.5), Segment)
    assert_type(Segment.anonymous(4096, seals=("shrink", "grow")), Segment)
    assert_type(Segment.map_file("path", size=10, create=True), Segment)
    assert_type(Segment.sysv(5, 4096).id, int)
    with socket.socket() as sock:
        Segment.from_fd(sock.fileno())


class Frames(Segment):
    """Constructors of a subclass give the subclass."""


def subclasses() -> None:
    assert_type(Frames.create("name", 10), Frames)
    with Frames.attach("name") as frames:
        assert_type(frames, Frames)


def arrays() -> None:
    array = Array("name", (1080, 1920, 3), np.uint8)
    assert_type(array.np, np.ndarray[Any, Any])
    assert_type(array.shape, tuple[int, ...])
    assert_type(array.dtype, np.dtype[Any])
    assert_type(array.segment, Segment)
    assert_type(Array.attach("name", readonly=True), Array)
    assert_type(np.asarray(array).ndim, int)


def errors() -> None:
    try:
        Segment.attach("name")
    except isthmus.NoSpaceError as error:
        assert_type(error.wanted, int)
        assert_type(error.errno, int | None)
    except FileNotFoundError:
        pass
    except isthmus.IsthmusError as error:
        assert_type(error.name, str | None)


def bare_calls() -> None:
    fd = posix.shm_open("/name", posix.O_CREAT | posix.O_RDWR, 0o600)
    assert_type(fd, int)
    region = posix.mmap(4096, posix.PROT_READ, posix.MAP_SHARED, fd)
    assert_type(region, posix.MappedRegion)
    assert_type(region.buf, memoryview)
    sem = posix.sem_open("/name", posix.O_CREAT, 0o600, 1)
    assert_type(sem, posix.Semaphore)
    posix.sem_wait(sem)
    assert_type(posix.sem_getvalue(sem), int)
    mqd = posix.mq_open("/name", posix.O_RDWR)
    assert_type(posix.mq_receive(mqd), tuple[bytes, int])
    shmid = sysv.shmget(sysv.ftok("/", 1), 4096, sysv.IPC_CREAT | 0o600)
    assert_type(sysv.shmat(shmid), sysv.MappedRegion)
    assert_type(sysv.shmctl(shmid, sysv.IPC_STAT), sysv.ShmidDs)
