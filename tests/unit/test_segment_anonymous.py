"""Segments without a name, and descriptors that are passed around."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import isthmus
from isthmus import Segment
from isthmus._core import memory


def test_an_anonymous_segment_has_no_name_and_cannot_shrink() -> None:
    with Segment.anonymous("64 KiB", label="frames") as seg:
        assert (seg.name, seg.kind, seg.size, seg.created) == (None, "anonymous", 65536, True)
        assert seg.seals == {"shrink"}
        assert "/memfd:frames" in Path("/proc/self/maps").read_text()
        assert os.fstat(seg.fileno()).st_blocks * 512 == 65536
        with pytest.raises(isthmus.SealedError, match="sealed"):
            seg.resize(10, shrink=True)
        assert len(seg.buf) == 65536
        seg.resize("128 KiB")
        assert len(seg.buf) == 1 << 17
        with pytest.raises(isthmus.UnsupportedError, match="no name"):
            seg.unlink()


def test_from_fd_maps_the_same_memory_and_leaves_the_descriptor_alone() -> None:
    with Segment.anonymous(100) as seg:
        with Segment.from_fd(seg.fileno()) as same:
            same.buf[7] = 7
            assert seg.buf[7] == 7 and not same.readonly and not same.created
            assert same.fileno() != seg.fileno()
        os.fstat(seg.fileno())


def test_it_travels_over_a_unix_socket() -> None:
    here, there = socket.socketpair()
    with here, there, Segment.anonymous(100) as seg:
        socket.send_fds(here, [b"segment"], [seg.fileno()])
        message, fds, _, _ = socket.recv_fds(there, 100, 1)
        with Segment.from_fd(fds[0]) as received:
            os.close(fds[0])
            received.buf[:3] = b"abc"
        assert (message, bytes(seg.buf[:3])) == (b"segment", b"abc")


@pytest.mark.slow
def test_it_is_inherited_by_programs_that_are_told_so() -> None:
    program = "import sys, isthmus; isthmus.Segment.from_fd(int(sys.argv[1])).buf[:2] = b'hi'"
    with Segment.anonymous(100) as seg:
        fd = seg.fileno()
        subprocess.run(
            [sys.executable, "-P", "-c", program, str(fd)], check=True, pass_fds=[fd], timeout=60
        )
        assert bytes(seg.buf[:2]) == b"hi"


def test_it_is_shared_with_a_forked_child() -> None:
    with Segment.anonymous(8) as seg:
        child = os.fork()
        if child == 0:
            seg.buf[0] = 42
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert seg.buf[0] == 42


def test_future_write_hands_out_memory_that_others_only_read() -> None:
    with Segment.anonymous(8) as seg:
        seg.seal("future_write", "grow")
        seg.buf[0] = 3
        with Segment.from_fd(seg.fileno()) as reader:
            assert reader.readonly and reader.buf.readonly and reader.buf[0] == 3
        with pytest.raises(isthmus.SealedError, match="readonly=True"):
            Segment.from_fd(seg.fileno(), readonly=False)
        with pytest.raises(isthmus.SealedError, match="sealed"):
            seg.resize(100_000)
        assert seg.seals == {"shrink", "grow", "future_write"}


def test_sealing_against_writing_needs_that_nobody_writes() -> None:
    with Segment.anonymous(8) as seg:
        with pytest.raises(isthmus.SealedError, match="future_write"):
            seg.seal("write")
        with pytest.raises(isthmus.ArgumentError, match="there is no seal 'no'"):
            seg.seal("no")
        seg.seal("seal")
        with pytest.raises(isthmus.SealedError, match="no further seals"):
            seg.seal("grow")
    with Segment.anonymous(8) as seg:
        seg.buf[0] = 5
        reader = Segment.from_fd(seg.fileno(), readonly=True)
    with reader:
        reader.seal("write")
        assert reader.seals == {"shrink", "write"} and reader.buf[0] == 5
        with Segment.from_fd(reader.fileno()) as other:
            assert other.readonly and other.buf[0] == 5


def test_named_segments_take_no_seals(name: str) -> None:
    with Segment.create(name, 8) as seg:
        seg.unlink()
        assert seg.seals == {"seal"}
        with pytest.raises(isthmus.UnsupportedError, match="anonymous ones can"):
            seg.seal("shrink")


def test_from_fd_follows_the_mode_of_the_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with path.open("rb") as file:
        with Segment.from_fd(file.fileno()) as seg:
            assert seg.readonly and bytes(seg.buf) == b"content"
        with pytest.raises(isthmus.AccessError, match="reading only"):
            Segment.from_fd(file.fileno(), readonly=False)
    with path.open("ab") as file, pytest.raises(isthmus.AccessError, match="writing only"):
        Segment.from_fd(file.fileno())
    with path.open("r+b") as file, Segment.from_fd(file.fileno(), readonly=True) as seg:
        assert seg.readonly


def test_from_fd_refuses_what_cannot_be_mapped(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with pytest.raises(isthmus.ForeignError, match="cannot be mapped"):
        Segment.from_fd(reader)
    os.close(reader)
    os.close(writer)
    with pytest.raises(isthmus.SystemCallError, match="Bad file descriptor"):
        Segment.from_fd(reader)
    with pytest.raises(isthmus.SystemCallError, match="Bad file descriptor"):
        Segment.from_fd(-1)
    with pytest.raises(isthmus.ArgumentError, match="not a file descriptor"):
        Segment.from_fd(2**80)
    with pytest.raises(TypeError, match="fd must be"):
        Segment.from_fd("0")  # type: ignore[arg-type]
    empty = tmp_path / "empty"
    empty.touch()
    with empty.open("r+b") as file, pytest.raises(isthmus.SizeError, match="is empty"):
        Segment.from_fd(file.fileno())


def test_more_memory_than_the_host_has_is_refused_at_once() -> None:
    with pytest.raises(isthmus.NoSpaceError, match="this host has") as caught:
        Segment.anonymous(1 << 50)
    assert caught.value.wanted == 1 << 50 > caught.value.available > 0


@pytest.mark.parametrize("label", ["", "a\0b", "x" * 250])
def test_a_senseless_label_is_refused(label: str) -> None:
    with pytest.raises(isthmus.ArgumentError):
        Segment.anonymous(1, label=label)


def test_what_interrupts_the_growth_of_a_sealed_segment_is_what_the_caller_sees(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def half(fd: int, reserved: int, size: int) -> None:
        os.posix_fallocate(fd, reserved, (size - reserved) // 2)
        raise KeyboardInterrupt

    with Segment.anonymous(4096) as seg:
        monkeypatch.setattr(memory, "reserve", half)
        with pytest.raises(KeyboardInterrupt):
            seg.resize(3 * 4096)
        assert seg.size == len(seg.buf) == 4096
        monkeypatch.undo()
        seg.resize(3 * 4096)
        assert len(seg.buf) == 3 * 4096
