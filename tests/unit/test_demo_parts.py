"""The parts of the demo: sizes, the tally, a session, the comparison."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import isthmus
from isthmus.demo import comparison
from isthmus.demo.errors import RoleLost
from isthmus.demo.meeting import Meeting, capacity_of, slot_size
from isthmus.demo.source import Source, default_path
from isthmus.demo.supervisor import Session
from isthmus.demo.tally import Chunk, Tally


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    """A file of some slots, the last one not full."""
    path = tmp_path / "input"
    path.write_bytes(os.urandom(100_001))
    with Source(str(path)) as source:
        yield source


def test_the_default_input_is_sizeable() -> None:
    with Source(default_path()) as source:
        assert source.size > 1 << 20


@pytest.mark.parametrize("slots", [1, 7, 400, 4096])
def test_so_many_chunks_as_there_are_slots_have_room(slots: int) -> None:
    size = slot_size(300_000, slots)
    assert size % 64 == 0
    with isthmus.Queue(capacity=300_000) as jobs:
        assert jobs.capacity == capacity_of(300_000)
        for _ in range(slots):
            jobs.put_nowait(bytes(size))


def test_a_tally_counts_a_chunk_that_was_done_twice_once() -> None:
    tally = Tally(7)
    counts = np.ones(256, np.int64).tobytes()
    for number in (7, 8):
        tally.add(Chunk(number, 256, b"sum"))
    tally.add(Chunk(8, 256, b"sum", 100, 1, counts))
    assert (tally.settled, tally.received) == (0, 256)
    tally.add(Chunk(7, 256, b"sum", 101, 1, counts))
    assert (tally.settled, tally.received) == (2, 512)
    tally.add(Chunk(7, 256, b"sum", 100, 2, counts))
    assert (tally.settled, tally.received, tally.chunks) == (2, 512, 2)
    assert tally.histogram.tolist() == [2] * 256
    assert (dict(tally.shares), tally.again) == ({100: 1, 101: 1}, {7})
    assert tally.different == 0


@pytest.mark.parametrize("chunk", [Chunk(0, 3, b"other", 1), Chunk(0, 2, b"sum", 1)])
def test_a_tally_tells_of_other_bytes(chunk: Chunk) -> None:
    tally = Tally(0)
    tally.add(chunk)
    tally.add(Chunk(0, 3, b"sum"))
    assert (tally.settled, tally.different) == (1, 1)


def test_what_looks_on_holds_up_nobody(name: str) -> None:
    meeting = Meeting(name, 4096)
    with isthmus.Subscriber.attach(meeting.progress.name or "") as monitor:
        meeting.unlink()
        for number in range(10_000):
            meeting.progress.publish({"received": number}, timeout=0)
        assert monitor.lag == 10_000
    meeting.close()


@pytest.mark.slow
@pytest.mark.parametrize("consumers", [1, 3])
def test_a_session_can_run_again_and_leaves_no_name(consumers: int, source: Source) -> None:
    content = os.pread(source.fd, source.size, 0)
    expected = Counter(content)
    with Session(source.fd, source.size, 1024, 8192, consumers=consumers) as session:
        assert not [one for one in os.listdir("/dev/shm") if session.name in one]
        for _ in range(3):
            result = session.run("analysis")
            assert result.sound and result.received == source.size
            assert sum(result.shares.values()) == result.chunks
            assert result.chunks == -(-source.size // 1024)
            assert result.histogram == tuple(expected[value] for value in range(256))
            assert session.run("bare").received == source.size
        assert [role for role, _ in session.pids] == ["producer"] + ["consumer"] * consumers


@pytest.mark.slow
def test_all_media_carry_the_same_bytes(source: Source) -> None:
    measurements = comparison.compare(source.fd, source.size, 4096, 16384)
    assert [one.medium for one in measurements] == ["topic", "queue", "pipe", "file"]
    content = os.pread(source.fd, source.size, 0)
    sums = [
        hashlib.sha256(content[start : start + 4096]).digest()
        for start in range(0, len(content), 4096)
    ]
    digest = hashlib.sha256(b"".join(sums)).hexdigest()
    for one in measurements:
        assert (one.failure, one.digest) == (None, digest)
        assert one.analysis > 0 and one.bare > 0


@pytest.mark.slow
@pytest.mark.parametrize("medium", comparison.MEDIA)
def test_a_file_that_has_become_shorter_arrives_as_it_is(medium: str, source: Source) -> None:
    os.truncate(source.path, 10_000)
    with comparison.session(medium, source.fd, source.size, 4096, 16384) as session:
        for _ in range(2):
            result = session.run("analysis")
            assert result.sound and (result.received, result.chunks) == (10_000, 3)
            assert session.run("bare").received == 10_000


@pytest.mark.slow
def test_a_medium_that_fails_does_not_spoil_the_others(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file to which nothing can be written stands for a full disk.
    with open("/dev/full", "r+b", buffering=0) as full:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda: full)
        measurements = comparison.compare(source.fd, source.size, 4096, 16384)
        assert [bool(one.failure) for one in measurements] == [False, False, False, True]
        assert full.closed


@pytest.mark.slow
def test_a_role_that_fails_tells_why(tmp_path: Path) -> None:
    write_only = os.open(tmp_path / "x", os.O_WRONLY | os.O_CREAT)
    try:
        with (
            Session(write_only, 10, 64, 4096) as session,
            pytest.raises(RoleLost, match=r"producer \(process \d+\) failed: Bad file descriptor"),
        ):
            session.run("analysis")
    finally:
        os.close(write_only)
