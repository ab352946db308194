"""The floor in C: it does what it says, and ends when the other side does not."""

from __future__ import annotations

import errno
import mmap
import os
from array import array

import pytest

from isthmus._core import baseline
from isthmus.bench.errors import CellError
from isthmus.bench.measure.crew import Work, in_processes
from isthmus.bench.measure.floors import Descriptors, Floor, Memcpy, Words, sockets

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

CORES = sorted(os.sched_getaffinity(0))[-2:]


def measured(works: list[Work]) -> list[object]:
    return in_processes("C", works, CORES, deadline=20)


@pytest.mark.parametrize("size", [1, 64, 100_000])
@pytest.mark.parametrize("asleep", [False, True])
def test_words_answer_each_other(asleep: bool, size: int) -> None:
    if not asleep and len(CORES) < 2:
        pytest.skip("spinning takes two cores")
    with Words(asleep).trips(size, 0.003) as works:
        times = array("q", measured(works)[0])  # type: ignore[arg-type]
    assert len(times) > 0
    assert all(0 <= time < 10**10 for time in times)


@pytest.mark.parametrize("size", [1, 64, 100_000])
@pytest.mark.parametrize("make", [os.pipe, sockets])
def test_descriptors_answer_each_other_and_stream(make: object, size: int) -> None:
    floor = Descriptors(make)  # type: ignore[arg-type]
    with floor.trips(size, 0.003) as works:
        assert array("q", measured(works)[0])  # type: ignore[arg-type]
    with floor.streams(size, 1, 0.003) as works:
        (rate, got, _), (sent, _) = measured(works)  # type: ignore[misc]
    assert rate > 0
    assert got == sent > 0


@pytest.mark.parametrize("size", [1, 64, 1 << 20])
def test_every_copy_that_goes_in_comes_out(size: int) -> None:
    floor: Floor = Memcpy()
    with floor.streams(size, 1, 0.003) as works:
        (rate, got, _), (sent, _) = measured(works)  # type: ignore[misc]
    assert rate > 0
    assert got == sent > 0


def test_a_floor_leaves_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    floor = Descriptors(os.pipe)
    with floor.trips(8, 0.001) as works:
        measured(works)
    with pytest.raises(ZeroDivisionError), floor.streams(8, 1, 0.001):
        raise ZeroDivisionError
    assert len(os.listdir("/proc/self/fd")) == before


def test_one_whose_peer_is_gone_is_told_by_the_end_of_the_pipe() -> None:
    here, there = os.pipe()
    os.close(there)
    assert baseline.get_fd(here, 8, 0.0)[:2] == (0, 0)
    baseline.pong_fd(here, here, 8)
    os.close(here)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        baseline.ping_fd(there, here, 8, 0.1, array("q", bytes(80)))


def test_a_message_that_ends_in_the_middle_is_an_error() -> None:
    here, there = os.pipe()
    os.write(there, b"1234")
    os.close(there)
    with pytest.raises(BrokenPipeError):
        baseline.get_fd(here, 8, 0.0)
    os.close(here)


def test_an_area_without_room_is_refused() -> None:
    area = mmap.mmap(-1, baseline.room(64, 2) + 1)
    for size in (0, 1 << 20):
        with pytest.raises(ValueError, match=r"no room|at least one byte"):
            baseline.pong(area, size, False)
    with pytest.raises(ValueError, match="no room for 100 messages"):
        baseline.put(area, 64, 100, 0.1)
    with pytest.raises(ValueError, match="at least one byte"):
        baseline.put_fd(1, 0, 0.1)
    with memoryview(area)[1:] as view, pytest.raises(ValueError, match="multiple of 128"):
        baseline.pong(view, 64, False)
    area.close()


def test_one_that_says_it_cannot_start_does_not_hang_the_other() -> None:
    def broken() -> None:
        raise ValueError("no")

    with Words(True).trips(8, 0.001) as works, pytest.raises(CellError, match="first failed"):
        in_processes("C", [Work("first", broken), works[1]], CORES, deadline=20)
