"""isthmus.compat.shared_memory: what others see of a segment in the making, step by step."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest
from remote import Remote

from isthmus import posix
from isthmus.compat import _shm_file, shared_memory
from isthmus.compat.shared_memory import ShareableList, SharedMemory

SHM = Path("/dev/shm")
OURS = str(Path(shared_memory.__file__).parent)


@contextmanager
def between_lines(look: Callable[[], None]) -> Iterator[None]:
    """Call `look` before each line of the drop-ins that runs."""

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename.startswith(OURS):
            look()
            return trace
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.fixture(params=["complete", "plain"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With and without files that have no name."""
    if request.param == "plain":
        monkeypatch.setattr(_shm_file, "unnamed", lambda mode: None)
    return str(request.param)


def test_a_segment_never_appears_without_its_size(name: str) -> None:
    sizes: list[int] = []

    def look() -> None:
        if (SHM / name).exists():
            sizes.append((SHM / name).stat().st_size)

    with between_lines(look):
        segment = SharedMemory(name, create=True, size=5000)
    assert set(sizes) == {5000}
    segment.close()
    segment.unlink()


def test_a_list_never_appears_without_its_items(name: str) -> None:
    seen: list[bytes] = []

    def look() -> None:
        if (SHM / name).exists():
            seen.append((SHM / name).read_bytes())

    with between_lines(look):
        made = ShareableList([1, "two", b"three"], name=name)
    assert set(seen) == {(SHM / name).read_bytes()}
    assert list(made) == [1, "two", b"three"]
    made.shm.close()
    made.shm.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [False, True])
def test_a_creator_killed_at_any_step_leaves_nothing(name: str, chosen: bool) -> None:
    """Or, with a name of the user's, a complete segment, killed before the tracker knows of it."""
    program = f"""
    import itertools, os, signal, sys
    from isthmus.compat import shared_memory
    folder = os.path.dirname(shared_memory.__file__)
    resource_tracker.ensure_running()
    def attempt(step):
        name = "{name}-%d" % step
        shared_memory._make_filename = lambda: "/" + name
        left = step
        def trace(frame, event, argument):
            nonlocal left
            if not frame.f_code.co_filename.startswith(folder):
                return None
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace
        sys.settrace(trace)
        SharedMemory(name if {chosen} else None, create=True, size=5000)
        sys.settrace(None)
        os._exit(0)
    for steps in itertools.count():
        pid = os.fork()
        if pid == 0:
            attempt(steps)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0:
            break
    """
    with Remote() as remote:
        remote(program)
        steps = remote("steps")
        assert len(list(SHM.glob(name + "*"))) > 1  # the tracker has them until the end
        remote.end()
    assert steps > 30
    left = list(SHM.glob(name + "*"))
    assert len(left) <= (8 if chosen else 0)
    assert {path.stat().st_size for path in left} <= {5000}
    for path in left:
        path.unlink()


def test_where_there_are_no_unnamed_files_it_is_made_as_ever(name: str, way: str) -> None:
    segment = SharedMemory(name, create=True, size=5000)
    assert (segment.size, (SHM / name).stat().st_size) == (5000, 5000)
    with pytest.raises(FileExistsError):
        SharedMemory(name, create=True, size=1)
    values = ShareableList(["a", 1], name=name + "-list")
    assert list(ShareableList(name=name + "-list")) == ["a", 1]
    made_up = SharedMemory(create=True, size=10)
    for each in (segment, values.shm, made_up):
        each.close()
        each.unlink()


@pytest.mark.parametrize("chosen", [False, True])
def test_without_proc_it_is_made_as_ever(
    name: str, chosen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_shm_file, "give_name", lambda *arguments: False)
    segment = SharedMemory(name if chosen else None, create=True, size=5000)
    assert (SHM / segment.name).stat().st_size == 5000
    segment.close()
    segment.unlink()


def test_of_two_creators_at_once_one_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[SharedMemory] = []
    unnamed = _shm_file.unnamed

    def overtaken(mode: int) -> int | None:
        if not made:
            made.append(SharedMemory.__new__(SharedMemory))
            made[0].__init__(name, create=True, size=10)  # type: ignore[misc]
        return unnamed(mode)

    monkeypatch.setattr(_shm_file, "unnamed", overtaken)
    with pytest.raises(FileExistsError) as caught:
        SharedMemory(name, create=True, size=20)
    assert (caught.value.errno, caught.value.filename) == (errno.EEXIST, "/" + name)
    assert SharedMemory(name).size == 10
    made[0].close()
    made[0].unlink()


def refuse(*arguments: object, **options: object) -> None:
    raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


@pytest.mark.parametrize("what", ["mmap", "register", "ensure_running"])
@pytest.mark.parametrize("chosen", [False, True])
def test_one_that_cannot_be_made_leaves_nothing(
    name: str, way: str, what: str, chosen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standard class leaves one that it cannot register."""
    if what == "ensure_running" and way == "plain":
        pytest.skip("nothing is started beforehand")
    resource_tracker.ensure_running()  # it has a descriptor, too
    where: ModuleType = shared_memory.mmap if what == "mmap" else resource_tracker
    monkeypatch.setattr(where, what, refuse)
    monkeypatch.setattr(shared_memory, "_make_filename", lambda: f"/{name}-made-up")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="memory") as caught:
        SharedMemory(name if chosen else None, create=True, size=64)
    assert caught.value.errno == errno.ENOMEM
    assert not list(SHM.glob(name + "*"))
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("mode", ["safe", "strict"])
def test_one_that_cannot_attach_removes_nothing(
    name: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standard class unlinks what it cannot map, whoever uses it."""
    monkeypatch.setenv("ISTHMUS_COMPAT", mode)
    segment = SharedMemory(name, create=True, size=64)
    with monkeypatch.context() as patch:
        patch.setattr(shared_memory.mmap, "mmap", refuse)
        patch.setattr(resource_tracker, "unregister", lambda *arguments: None)
        with pytest.raises(OSError, match="memory"):
            SharedMemory(name)
    assert (SHM / name).exists() is (mode == "safe")
    segment.close()
    if mode == "safe":
        segment.unlink()
    else:
        resource_tracker.unregister("/" + name, "shared_memory")


# ---- Segments without a size -------------------------------------------------------


def test_who_attaches_waits_for_the_size(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fd = posix.shm_open("/" + name, os.O_CREAT | os.O_EXCL | os.O_RDWR)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            os.ftruncate(fd, 100)

    monkeypatch.setattr(_shm_file.time, "sleep", pause)
    segment = SharedMemory(name)
    assert (segment.size, len(pauses)) == (100, 3)
    os.close(fd)
    segment.close()
    segment.unlink()


@pytest.mark.parametrize("mode", ["safe", "strict"])
def test_who_attaches_does_not_wait_for_ever(
    name: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_shm_file, "PATIENCE", 0.01)
    monkeypatch.setenv("ISTHMUS_COMPAT", mode)
    os.close(posix.shm_open("/" + name, os.O_CREAT | os.O_EXCL | os.O_RDWR))
    with pytest.raises(ValueError, match="cannot mmap an empty file"):
        SharedMemory(name)
    posix.shm_unlink("/" + name)
