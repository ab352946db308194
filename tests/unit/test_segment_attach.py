"""Segment.attach: what it accepts, and each reason to refuse."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import isthmus
from isthmus import Segment

SHM = Path("/dev/shm")


def test_a_missing_object_is_not_found(name: str) -> None:
    with pytest.raises(isthmus.NotFoundError, match="has not been created yet") as caught:
        Segment.attach(name)
    assert isinstance(caught.value, FileNotFoundError)
    assert caught.value.filename == name


def test_a_read_only_handle_can_do_no_harm(name: str) -> None:
    with Segment.create(name, 4096) as seg, Segment.attach(name, readonly=True) as reader:
        assert reader.readonly and reader.buf.readonly
        with pytest.raises(TypeError):
            reader.buf[0] = 1
        with pytest.raises(ValueError, match="read-only"):
            reader.array(dtype="u1")[0] = 1
        with pytest.raises(isthmus.AccessError, match="reading only"):
            reader.unlink()
        with pytest.raises(isthmus.AccessError, match="reading only"):
            reader.resize(8192)
        with pytest.raises(isthmus.AccessError, match="reading only"):
            reader.reserve()
        with pytest.raises(OSError, match=r"Invalid argument|Bad file"):
            os.ftruncate(reader.fileno(), 0)
        seg.buf[0] = 5
        assert reader.buf[0] == 5
        seg.unlink()


def test_an_object_of_another_user_is_refused_unless_named(name: str, unprivileged: int) -> None:
    with Segment.create(name, 1, owner=unprivileged) as seg:
        with pytest.raises(isthmus.OwnerError, match="belongs to uid 65534") as caught:
            Segment.attach(name)
        assert isinstance(caught.value, PermissionError)
        with pytest.raises(isthmus.OwnerError):
            Segment.attach(name, owner=1)
        for owner in (unprivileged, "any", "nobody"):
            Segment.attach(name, owner=owner).close()
        with pytest.raises(isthmus.OwnerError):
            Segment.create(name, 1, exist_ok=True)
        seg.unlink()


def test_without_permission_the_error_tells_whose_it_is(
    name: str, unprivileged: int, run_python: Callable[..., str]
) -> None:
    program = """
        import sys, isthmus
        for readonly in (False, True):
            try:
                isthmus.Segment.attach(sys.argv[1], owner="any", readonly=readonly)
                print("attached")
            except isthmus.AccessError as error:
                print(type(error).__name__, error.errno, "uid 0 (root)" in str(error),
                      "0o600" in str(error) or "0o644" in str(error))
    """
    with Segment.create(name, 1, mode=0o600) as seg:
        output = run_python(program, name, user=unprivileged)
        assert output == "AccessError 13 True True\n" * 2
        os.chmod(SHM / name, 0o644)
        output = run_python(program, name, user=unprivileged)
        assert output == "AccessError 13 True True\nattached\n"
        seg.unlink()


def test_an_object_without_a_size_is_awaited(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = SHM / name
    path.touch(0o600)
    pauses: list[float] = []

    def creator_goes_on(pause: float) -> None:
        pauses.append(pause)
        if len(pauses) == 3:
            os.truncate(path, 100)

    monkeypatch.setattr("isthmus._opening.time.sleep", creator_goes_on)
    with Segment.attach(name, timeout=30) as seg:
        assert seg.size == 100
    assert len(pauses) == 3
    path.unlink()


def test_an_object_that_stays_without_a_size_is_not_ready(name: str) -> None:
    (SHM / name).touch(0o600)
    with pytest.raises(isthmus.NotReadyError, match="has no size yet") as caught:
        Segment.attach(name, timeout=0)
    assert isinstance(caught.value, BlockingIOError)
    (SHM / name).unlink()


@pytest.mark.parametrize("kind", ["symlink", "directory", "fifo", "dangling"])
def test_what_is_not_a_plain_object_is_foreign(name: str, kind: str) -> None:
    path = SHM / name
    if kind == "symlink":
        path.symlink_to("/etc/passwd")
    elif kind == "dangling":
        path.symlink_to("/nowhere/at/all")
    elif kind == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)
    try:
        for readonly in (False, True):
            with pytest.raises(isthmus.ForeignError, match="not a plain file"):
                Segment.attach(name, readonly=readonly)
    finally:
        path.rmdir() if kind == "directory" else path.unlink()


def test_unlink_removes_this_object_and_no_other(name: str) -> None:
    first = Segment.create(name, 1)
    first.unlink()
    with pytest.raises(isthmus.NotFoundError, match="unlinked already"):
        first.unlink()
    second = Segment.create(name, 1)
    with pytest.raises(isthmus.ReplacedError, match="left alone"):
        first.unlink()
    assert (SHM / name).exists()
    first.close()
    with pytest.raises(isthmus.ReplacedError, match="left alone"):
        first.unlink()
    second.close()
    second.unlink()
    assert not (SHM / name).exists()


def test_descriptors_do_not_reach_programs_started_from_here(name: str) -> None:
    with Segment.create(name, 1) as seg, Segment.attach(name) as other:
        assert not os.get_inheritable(seg.fileno())
        assert not os.get_inheritable(other.fileno())
        seg.unlink()


def test_no_descriptor_or_mapping_stays_after_use(name: str) -> None:
    def state() -> tuple[int, int]:
        maps = Path("/proc/self/maps").read_text()
        return len(os.listdir("/proc/self/fd")), maps.count("/dev/shm/")

    before = state()
    for _ in range(20):
        seg = Segment.create(name, 4096)
        other = Segment.attach(name)
        seg.unlink()
        del seg, other  # not closed: dropping them is enough
    for _ in range(20):
        with pytest.raises(isthmus.NotFoundError):
            Segment.attach(name)
    assert state() == before


@pytest.mark.parametrize("attach", [Segment.attach, isthmus.Array, isthmus.Array.attach])
def test_a_timeout_that_is_no_number_of_seconds_is_refused_at_once(
    name: str, attach: Callable[..., object]
) -> None:
    with pytest.raises(isthmus.ArgumentError, match="NaN"):
        attach(name, timeout=float("nan"))  # compares with nothing: would wait for ever
    for wrong in (None, "1"):
        with pytest.raises(TypeError, match="timeout must be a number of seconds"):
            attach(name, timeout=wrong)
