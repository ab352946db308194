"""Segment.map_file, and what the kernel is asked for: flush, lock_memory, advise."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

import isthmus
from isthmus import Segment
from isthmus._core import memory


def test_a_file_is_made_with_all_its_blocks_and_the_exact_mode(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with Segment.map_file(path, size=10_000, create=True, mode=0o640) as seg:
        assert (seg.kind, seg.name, seg.size, seg.created) == ("file", str(path), 10_000, True)
        seg.buf[:5] = b"hello"
        seg.flush()
    assert path.read_bytes() == b"hello" + bytes(9_995)
    assert path.stat().st_mode & 0o7777 == 0o640
    assert path.stat().st_blocks * 512 >= 10_000
    assert sorted(os.listdir(tmp_path)) == ["data"]


def test_an_existing_file_is_mapped_whole_in_part_or_made_longer(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"abcdef")
    with Segment.map_file(str(path)) as seg:
        assert bytes(seg.buf) == b"abcdef" and not seg.created
    with Segment.map_file(path, size=3) as seg:
        assert bytes(seg.buf) == b"abc"
    with Segment.map_file(path, size=10, create=True) as seg:
        assert bytes(seg.buf) == b"abcdef" + bytes(4) and not seg.created
    assert path.stat().st_size == 10
    with pytest.raises(isthmus.SizeError, match="reading only"):
        Segment.map_file(path, size=100, readonly=True)


def test_a_link_leads_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"xyz")
    (tmp_path / "link").symlink_to("real")
    with Segment.map_file(tmp_path / "link") as seg:
        assert seg.name == str(tmp_path / "real")


def test_read_only_needs_no_right_to_write(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"abc")
    with Segment.map_file(path, readonly=True) as seg:
        with pytest.raises(TypeError):
            seg.buf[0] = 1
        with pytest.raises(isthmus.AccessError):
            seg.unlink()


def test_what_cannot_be_mapped_says_why(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    cases: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: Segment.map_file(tmp_path / "none"), isthmus.NotFoundError, "there is no file"),
        (lambda: Segment.map_file(tmp_path / "a" / "b"), isthmus.NotFoundError, "no directory"),
        (lambda: Segment.map_file(tmp_path), isthmus.ForeignError, "not a plain file"),
        (lambda: Segment.map_file("/dev/null"), isthmus.ForeignError, "not a plain file"),
        (lambda: Segment.map_file(tmp_path / "empty"), isthmus.SizeError, "is empty"),
        (lambda: Segment.map_file(""), isthmus.NameInvalidError, "empty"),
        (lambda: Segment.map_file("a\0b"), isthmus.NameInvalidError, "NUL"),
        (lambda: Segment.map_file(b"x"), TypeError, "path must be"),  # type: ignore[arg-type]
        (lambda: Segment.map_file(tmp_path / "x", create=True), isthmus.ArgumentError, "a size"),
        (
            lambda: Segment.map_file(tmp_path / "x", create=True, size=1, readonly=True),
            isthmus.ArgumentError,
            "read-only",
        ),
        (
            lambda: Segment.map_file(tmp_path / "none" / "x", create=True, size=1),
            isthmus.NotFoundError,
            "no directory",
        ),
        (
            lambda: Segment.map_file(tmp_path / ("x" * 300), create=True, size=1),
            isthmus.SystemCallError,
            "too long",
        ),
        (
            lambda: Segment.map_file(tmp_path / "x", create=True, size=2**62),
            OSError,
            "larger|largest|left",
        ),
    ]
    for call, error, words in cases:
        with pytest.raises(error, match=words):
            call()
    assert os.listdir(tmp_path) == ["empty"]


def test_reserve_fills_the_holes_of_a_sparse_file(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 20)
    assert path.stat().st_blocks == 0
    with Segment.map_file(path) as seg:
        seg.reserve()
        assert path.stat().st_blocks * 512 >= 1 << 20
        assert seg.size == path.stat().st_size == 1 << 20


def test_unlink_removes_the_file_only_while_it_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with Segment.map_file(path, size=1, create=True) as seg:
        path.rename(tmp_path / "moved")
        path.write_bytes(b"another")
        with pytest.raises(isthmus.ReplacedError):
            seg.unlink()
        assert path.read_bytes() == b"another"


def test_a_file_beyond_the_limit_of_the_process_is_refused(
    tmp_path: Path, run_python: Callable[..., str]
) -> None:
    program = """
        import resource, sys, isthmus
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        try:
            isthmus.Segment.map_file(sys.argv[1], size=1 << 20, create=True)
        except isthmus.SizeError as error:
            print("ulimit -f" in str(error))
    """
    assert run_python(program, tmp_path / "big") == "True\n"
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.integers(-10, 70_000), st.none() | st.integers(-10, 70_000), st.booleans())
def test_flush_takes_any_bytes_inside_and_no_others(
    offset: int, length: int | None, wait: bool
) -> None:
    with Segment.anonymous(50_000) as seg:
        inside = 0 <= offset <= 50_000 and (length is None or 0 <= length <= 50_000 - offset)
        if inside:
            seg.flush(offset, length, wait=wait)
            seg.advise("willneed", offset, length)
        else:
            with pytest.raises(isthmus.SizeError):
                seg.flush(offset, length, wait=wait)
            with pytest.raises(isthmus.SizeError):
                seg.advise("willneed", offset, length)


@pytest.mark.parametrize(
    "advice",
    [
        "normal",
        "random",
        "sequential",
        "willneed",
        "dontneed",
        "hugepage",
        "nohugepage",
        "dontdump",
        "dodump",
        "cold",
        "pageout",
        "populate_read",
        "populate_write",
    ],
)
def test_advice_never_changes_the_data(advice: str) -> None:
    with Segment.anonymous(3 * 4096) as seg:
        seg.buf[:] = b"x" * len(seg.buf)
        try:
            seg.advise(advice, 10, 5000)
        except isthmus.SystemCallError as error:
            # A kernel may lack one of them; it then says so.
            assert error.errno in (errno.EINVAL, errno.ENOSYS)  # noqa: PT017
        assert bytes(seg.buf) == b"x" * len(seg.buf)


def test_unknown_advice_is_refused_with_the_list() -> None:
    with (
        Segment.anonymous(1) as seg,
        pytest.raises(isthmus.ArgumentError, match="there is no advice 'remove'; there is normal"),
    ):
        seg.advise("remove")


def test_locked_memory_is_locked_until_unlocked() -> None:
    def locked() -> int:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmLck:"):
                return int(line.split()[1])
        raise AssertionError

    before = locked()
    with Segment.anonymous(5 * 4096) as seg:
        seg.lock_memory(4096 + 1, 4096)
        assert locked() - before == 8
        seg.unlock_memory()
        assert locked() == before
        seg.lock_memory()
        assert locked() - before == 20
    assert locked() == before


def test_more_locked_memory_than_allowed_tells_the_limit(
    unprivileged: int, run_python: Callable[..., str]
) -> None:
    program = """
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
        try:
            isthmus.Segment.anonymous("1 MiB").lock_memory()
        except isthmus.SystemCallError as error:
            print("65536" in str(error), "ulimit -l" in str(error))
    """
    assert run_python(program, user=unprivileged) == "True True\n"
    assert resource.getrlimit(resource.RLIMIT_MEMLOCK)


@pytest.mark.parametrize("readonly", [False, True])
def test_a_socket_is_foreign_like_everything_that_is_no_plain_file(
    tmp_path: Path, readonly: bool
) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        with pytest.raises(isthmus.ForeignError, match="socket"):
            Segment.map_file(path, readonly=readonly)


def test_a_pickled_handle_maps_the_same_part_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(bytes(8192))
    with Segment.map_file(path, size=100) as seg:
        sent = pickle.dumps(seg)
        with pickle.loads(sent) as copy:
            assert copy.size == len(copy.buf) == 100
        os.truncate(path, 50)
        with pytest.raises(isthmus.TruncatedError, match="has 50 bytes"):
            pickle.loads(sent)


def test_a_later_file_with_the_same_inode_number_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "data"
    handles = []
    for _ in range(8):  # each one gets the number of the one before, on ext4 for example
        with Segment.map_file(path, size=10, create=True) as seg:
            handles.append((seg, pickle.dumps(seg)))
        path.unlink()
    path.write_bytes(b"precious, not ours")
    with path.open("rb") as file:
        told = memory.generation(file.fileno())
    if not told:
        pytest.skip("this file system does not tell a file from one that had its number")
    for handle, sent in handles:
        with pytest.raises(isthmus.ReplacedError):
            handle.unlink()
        with pytest.raises(isthmus.ReplacedError):
            pickle.loads(sent)
    assert path.read_bytes() == b"precious, not ours"
