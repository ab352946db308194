"""The parts of the demo: the layout of its segment, a session, the comparison."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus import Segment
from isthmus.demo import comparison
from isthmus.demo.errors import DemoError, RoleLost
from isthmus.demo.source import Source, default_path
from isthmus.demo.supervisor import Session
from isthmus.demo.transfer import Transfer, slot_size, unlink


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


@pytest.mark.parametrize("slots", [1, 7, 4096])
def test_slots_are_whole_cache_lines_and_do_not_overlap(slots: int, name: str) -> None:
    size = slot_size(300_000, slots)
    assert size % 64 == 0 and 0 <= 300_000 - size * slots < 64 * slots
    transfer = Transfer.create(name, slots, size, 5)
    unlink(name)
    for index in range(slots):
        transfer.slot(index)[:] = index.to_bytes(2, "little") * (size // 2)
        transfer.set_length(index, size)
    for index in range(slots):
        assert transfer.chunk(index) == index.to_bytes(2, "little") * (size // 2)


def test_a_reader_of_the_segment_can_do_no_harm(name: str) -> None:
    transfer = Transfer.create(name, 2, 64, 5)
    transfer.producer.moved(3)
    reader = Transfer.attach(name, readonly=True)
    unlink(name)
    assert (reader.slots, reader.slot_size, reader.total) == (2, 64, 5)
    assert (reader.producer.bytes, reader.producer.chunks) == (3, 1)
    with pytest.raises(TypeError, match="read-only"):
        reader.producer.moved(1)


def test_a_length_beyond_the_slot_is_refused(name: str) -> None:
    transfer = Transfer.create(name, 2, 64, 0)
    unlink(name)
    transfer.set_length(1, 65)
    with pytest.raises(DemoError, match="claims to hold 65 bytes"):
        transfer.chunk(1)


def test_another_segment_is_refused(name: str) -> None:
    with Segment.create(name, 100_000) as segment:
        with pytest.raises(DemoError, match="not the segment of a transfer"):
            Transfer.attach(name)
        segment.unlink()


@pytest.mark.slow
def test_a_session_can_run_again_and_leaves_no_name(source: Source) -> None:
    content = os.pread(source.fd, source.size, 0)
    expected = Counter(content)
    with Session(source.fd, source.size, 3, 1024) as session:
        assert not [one for one in os.listdir("/dev/shm") if session.name in one]
        for _ in range(3):
            result = session.run("analysis")
            assert result.sound and result.received == source.size
            assert result.chunks == -(-source.size // 1024)
            assert result.histogram == tuple(expected[value] for value in range(256))
            assert session.run("bare").received == source.size
        assert set(session.pids) == {"producer", "consumer"}


@pytest.mark.slow
def test_all_media_carry_the_same_bytes(source: Source) -> None:
    import hashlib

    measurements = comparison.compare(source.fd, source.size, 4, 4096)
    assert [one.medium for one in measurements] == ["shared memory", "pipe", "file"]
    digest = hashlib.sha256(os.pread(source.fd, source.size, 0)).hexdigest()
    for one in measurements:
        assert (one.failure, one.sha256) == (None, digest)
        assert one.analysis > 0 and one.bare > 0


@pytest.mark.slow
def test_a_medium_that_fails_does_not_spoil_the_others(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file to which nothing can be written stands for a full disk.
    with open("/dev/full", "r+b", buffering=0) as full:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda: full)
        measurements = comparison.compare(source.fd, source.size, 4, 4096)
        assert [bool(one.failure) for one in measurements] == [False, False, True]
        assert full.closed


@pytest.mark.slow
def test_a_role_that_fails_tells_why(tmp_path: Path) -> None:
    write_only = os.open(tmp_path / "x", os.O_WRONLY | os.O_CREAT)
    try:
        with (
            Session(write_only, 10, 2, 64) as session,
            pytest.raises(RoleLost, match=r"producer \(process \d+\) failed: Bad file descriptor"),
        ):
            session.run("analysis")
    finally:
        os.close(write_only)
