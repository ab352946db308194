"""Segment.create: what it makes, and what it says when it cannot."""

from __future__ import annotations

import os
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

import isthmus
from isthmus import Segment
from isthmus._core import memory

SHM = Path("/dev/shm")


def test_a_new_segment_is_zero_and_has_exactly_the_size_asked_for(name: str) -> None:
    with Segment.create(name, 5000) as seg:
        assert (seg.size, len(seg.buf), seg.buf.format, seg.buf.readonly) == (
            5000,
            5000,
            "B",
            False,
        )
        assert bytes(seg.buf) == bytes(5000)
        assert (SHM / name).stat().st_size == 5000
        seg.unlink()


def test_every_page_is_allocated_at_creation(name: str) -> None:
    with Segment.create(name, "1 MiB") as seg:
        assert (SHM / name).stat().st_blocks * 512 == 1 << 20
        seg.unlink()


@pytest.mark.parametrize("mode", [0o600, 0o666, 0o640, 0o400, 0o777, 0])
def test_the_mode_is_exact_whatever_the_umask(name: str, mode: int) -> None:
    before = os.umask(0o077)
    try:
        with Segment.create(name, 1, mode=mode) as seg:
            assert seg.mode == mode
            assert (SHM / name).stat().st_mode & 0o7777 == mode
            seg.unlink()
    finally:
        os.umask(before)


def test_a_leading_slash_names_the_same_object(name: str) -> None:
    with Segment.create("/" + name, 1) as seg, Segment.attach(name) as same:
        assert seg.name == same.name == name
        seg.unlink()


def test_names_in_any_script_are_names(name: str) -> None:
    with Segment.create(name + "-naïve-共享", 1) as seg:
        assert (SHM / (name + "-naïve-共享")).exists()
        seg.unlink()


def test_an_existing_name_is_refused_and_left_alone(name: str) -> None:
    with Segment.create(name, 10) as seg:
        seg.buf[0] = 7
        with pytest.raises(isthmus.ExistsError, match="exists already") as caught:
            Segment.create(name, 10)
        assert isinstance(caught.value, FileExistsError)
        assert caught.value.name == caught.value.filename == name
        assert seg.buf[0] == 7
        seg.unlink()


def test_exist_ok_attaches_to_one_of_the_same_size(name: str) -> None:
    with Segment.create(name, 10, exist_ok=True) as first:
        with Segment.create(name, 10, exist_ok=True) as second:
            assert (first.created, second.created) == (True, False)
            first.buf[3] = 9
            assert second.buf[3] == 9
        with pytest.raises(isthmus.MismatchError, match="exists with 10 bytes, not 11"):
            Segment.create(name, 11, exist_ok=True)
        first.unlink()


def test_of_many_creators_exactly_one_wins(name: str) -> None:
    start = threading.Barrier(8)
    outcomes: list[str] = []

    def compete() -> None:
        start.wait()
        try:
            Segment.create(name, 4096).close()
            outcomes.append("made")
        except isthmus.ExistsError:
            outcomes.append("exists")

    threads = [threading.Thread(target=compete) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["exists"] * 7 + ["made"]
    Segment.attach(name).unlink()


@pytest.mark.parametrize(
    ("size", "error"),
    [
        (0, isthmus.SizeError),
        (-1, isthmus.SizeError),
        (2**63, isthmus.SizeError),
        (2**200, isthmus.SizeError),
        ("nonsense", isthmus.SizeError),
        ("1.5.5 MiB", isthmus.SizeError),
        ("", isthmus.SizeError),
        (1.5, TypeError),
        (None, TypeError),
        (True, TypeError),
        (b"1", TypeError),
    ],
)
def test_a_senseless_size_is_refused(name: str, size: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="size"):
        Segment.create(name, size)  # type: ignore[arg-type]
    assert not (SHM / name).exists()


def test_a_size_beyond_the_memory_is_an_error_with_both_numbers(name: str) -> None:
    with pytest.raises(isthmus.NoSpaceError, match="TiB") as caught:
        Segment.create(name, 1 << 50)
    assert isinstance(caught.value, OSError)
    assert caught.value.wanted == 1 << 50
    assert 0 < caught.value.available < 1 << 50
    assert not (SHM / name).exists()


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("", "empty"),
        ("/", "empty"),
        (".", "directory"),
        ("..", "directory"),
        ("a/b", "slash"),
        ("//a", "slash"),
        ("a/", "slash"),
        ("a\0b", "NUL"),
        ("x" * 256, "256 bytes"),
        ("x" * 300, "300 bytes"),
        ("é" * 128, "256 bytes"),
        ("\ud800", "encoding"),
    ],
)
def test_a_bad_name_is_refused_for_its_own_reason(bad: str, words: str) -> None:
    for call in (lambda: Segment.create(bad, 1), lambda: Segment.attach(bad)):
        with pytest.raises(isthmus.NameInvalidError, match=words) as caught:
            call()
        assert isinstance(caught.value, ValueError)


def test_the_longest_name_works() -> None:
    longest = f"test-{os.getpid()}-".ljust(255, "x")
    with Segment.create(longest, 1) as seg:
        seg.unlink()


def test_a_name_that_is_no_text_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="name must be a str, not bytes"):
        Segment.create(b"x", 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", [-1, 0o1000, 0o4755])
def test_a_mode_beyond_the_permission_bits_is_refused(name: str, mode: int) -> None:
    with pytest.raises(isthmus.ArgumentError, match="permission bits"):
        Segment.create(name, 1, mode=mode)


def test_root_gives_a_segment_to_another_user(name: str, unprivileged: int) -> None:
    with Segment.create(name, 1, mode=0o640, owner=unprivileged, group=unprivileged) as seg:
        assert (seg.owner, seg.group, seg.mode) == (unprivileged, unprivileged, 0o640)
        seg.unlink()


def test_giving_away_without_the_right_is_refused(
    name: str, unprivileged: int, run_python: Callable[..., str]
) -> None:
    program = """
        import sys, isthmus
        try:
            isthmus.Segment.create(sys.argv[1], 1, owner=0)
        except isthmus.AccessError as error:
            print(type(error).__name__, "owner" in str(error))
    """
    assert run_python(program, name, user=unprivileged) == "AccessError True\n"
    assert not (SHM / name).exists()


def test_whoever_has_no_privileges_can_create(
    name: str, unprivileged: int, run_python: Callable[..., str]
) -> None:
    program = """
        seg = isthmus.Segment.create(sys.argv[1], 5000, mode=0o644)
        print(seg.owner, oct(seg.mode), oct(os.stat("/dev/shm/" + sys.argv[1]).st_mode & 0o7777))
        seg.unlink()
    """
    output = run_python("import sys\n" + textwrap.dedent(program), name, user=unprivileged)
    assert output == f"{unprivileged} 0o644 0o644\n"


@settings(max_examples=50, deadline=None)
@given(st.integers(-(2**40), 2**40))
def test_a_mode_is_kept_exactly_or_refused(mode: int) -> None:
    name = f"test-{os.getpid()}-mode"
    if 0 <= mode <= 0o777:
        with Segment.create(name, 1, mode=mode) as seg:
            assert seg.mode == mode
            seg.unlink()
    else:
        with pytest.raises(isthmus.ArgumentError):
            Segment.create(name, 1, mode=mode)


@pytest.mark.parametrize("owner", ["no-such-user-here", -5, 2**32])
def test_an_unknown_owner_is_refused(name: str, owner: object) -> None:
    with pytest.raises(isthmus.ArgumentError, match="user"):
        Segment.create(name, 1, owner=owner)  # type: ignore[arg-type]


def test_no_constructor_but_the_named_ones() -> None:
    with pytest.raises(TypeError, match=r"Segment\.create"):
        Segment()


def test_a_draft_that_is_dropped_leaves_nothing(name: str) -> None:
    before = set(os.listdir(SHM))
    for named in (False, True):
        draft = memory.Draft(os.fsencode(SHM), 4096, named=named)
        assert named == any(
            entry.startswith(".isthmus-draft-") for entry in set(os.listdir(SHM)) - before
        )
        del draft
    assert not [e for e in set(os.listdir(SHM)) - before if e.startswith(".isthmus-draft-")]


@pytest.mark.parametrize("named", [False, True])
def test_a_draft_appears_when_published_and_not_before(name: str, named: bool) -> None:
    path = SHM / name
    draft = memory.Draft(os.fsencode(SHM), 4096, 0o644, named=named)
    memoryview(draft.mapping)[:3] = b"abc"
    assert not path.exists()
    descriptor = draft.publish(os.fsencode(path))
    assert path.read_bytes() == b"abc" + bytes(4093)
    assert (path.stat().st_nlink, path.stat().st_mode & 0o7777) == (1, 0o644)
    with pytest.raises(ValueError, match="published"):
        draft.publish(os.fsencode(path))
    other = memory.Draft(os.fsencode(SHM), 1, named=named)
    with pytest.raises(FileExistsError):
        other.publish(os.fsencode(path))
    descriptor.close()
    path.unlink()


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 200_000), offset=st.integers(0, 200_000), data=st.binary(max_size=64))
def test_bytes_written_here_are_read_there(size: int, offset: int, data: bytes) -> None:
    name = f"test-{os.getpid()}-given"
    offset %= size
    data = data[: size - offset]
    with Segment.create(name, size) as seg:
        try:
            seg.buf[offset : offset + len(data)] = data
            with Segment.attach(name, readonly=True) as other:
                expected = bytes(offset) + data + bytes(size - offset - len(data))
                assert bytes(other.buf) == expected
        finally:
            seg.unlink()


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_a_working_name_or_a_clear_error(text: str) -> None:
    name = f"test-{os.getpid()}-{text}"
    try:
        seg = Segment.create(name, 1)
    except isthmus.NameInvalidError:
        return
    with seg:
        assert os.path.exists(SHM / name)
        seg.unlink()


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("1.0e999 MiB", "is not a size"),
        ("9" * 5000, "'9{40}'… is not a size"),
        ("1.5e200 TB", "size is a number of 70. bits, which is too large"),
        (10**5000, "size is a number of 16610 bits, which is too large"),
        (-(10**5000), "size is a number of 16610 bits"),
    ],
    ids=["infinite", "long text", "large text", "large", "negative"],
)
def test_a_size_too_long_to_be_shown_is_a_size_error_as_well(
    name: str, size: int | str, message: str
) -> None:
    with pytest.raises(isthmus.SizeError, match=message):
        Segment.create(name, size)
    with pytest.raises(isthmus.ArgumentError, match="key is a number of"):
        Segment.sysv(10**5000)


def test_a_limit_on_the_address_space_is_not_mistaken_for_a_host_without_memory(
    name: str, run_python: Callable[..., str]
) -> None:
    program = """
        import errno, os, resource, sys
        import isthmus, isthmus.array
        size = 64 << 20
        used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + size // 2, -1))
        for make in (lambda: isthmus.Segment.create(sys.argv[1], size),
                     lambda: isthmus.Segment.anonymous(size),
                     lambda: isthmus.Array(sys.argv[1], size, "u1")):
            try:
                make()
            except isthmus.SystemCallError as error:
                print(error.errno == errno.ENOMEM, "ulimit -v" in str(error))
    """
    assert run_python(program, name) == "True True\n" * 3
