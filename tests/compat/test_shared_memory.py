"""isthmus.compat.shared_memory.SharedMemory: one suite, over it and the standard class."""

from __future__ import annotations

import copy
import errno
import gc
import mmap
import multiprocessing.shared_memory
import os
import pickle
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from isthmus.compat import shared_memory as ours

STANDARD = multiprocessing.shared_memory
SHM = "/dev/shm/"


@pytest.fixture(params=["standard", "strict", "safe"])
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Each of the modules that must behave alike."""
    if request.param == "standard":
        return STANDARD
    monkeypatch.setenv("ISTHMUS_COMPAT", request.param)
    return ours


def made(module: ModuleType, name: str, size: int = 64) -> Any:
    return module.SharedMemory(name, create=True, size=size)


def gone(*segments: Any) -> None:
    for segment in segments:
        segment.close()
    segments[0].unlink()


def test_what_is_written_by_one_is_read_by_another(module: ModuleType, name: str) -> None:
    first = made(module, name, 5000)
    second = module.SharedMemory(name)
    first.buf[:5] = b"hello"
    assert bytes(second.buf[:6]) == b"hello\0"
    assert (first.size, second.size, len(first.buf), len(second.buf)) == (5000,) * 4
    assert (first.name, second.name) == (name, name)
    gone(first, second)


def test_the_size_asked_for_when_attaching_is_ignored(module: ModuleType, name: str) -> None:
    first = made(module, name)
    second = module.SharedMemory(name, size=100_000)
    assert second.size == 64
    gone(first, second)


def test_a_name_is_made_up(module: ModuleType) -> None:
    segment = module.SharedMemory(create=True, size=1)
    assert segment._name.startswith(module._SHM_NAME_PREFIX)
    assert segment._name == "/" + segment.name
    assert len(segment._name) <= module._SHM_SAFE_NAME_LENGTH
    assert os.path.exists(SHM + segment.name)
    gone(segment)


def test_a_made_up_name_that_exists_is_made_up_again(
    module: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"/{name}-1", f"/{name}-1", f"/{name}-2"]
    monkeypatch.setattr(module, "_make_filename", lambda: names.pop(0))
    first = module.SharedMemory(create=True, size=1)
    second = module.SharedMemory(create=True, size=1)
    assert (first._name, second._name) == (f"/{name}-1", f"/{name}-2")
    gone(first)
    gone(second)


def test_a_leading_slash_belongs_to_the_name(module: ModuleType, name: str) -> None:
    first = made(module, "/" + name)
    second = module.SharedMemory(name)
    assert (first.name, first._name) == ("/" + name, "//" + name)
    first.buf[0] = 7
    assert second.buf[0] == 7
    gone(first, second)


def test_private_details_are_there(module: ModuleType, name: str) -> None:
    segment = made(module, name)
    assert segment._name == "/" + name
    assert isinstance(segment._mmap, mmap.mmap)
    assert os.fstat(segment._fd).st_size == segment._size == 64
    assert segment._buf is segment.buf
    assert segment._flags == module._O_CREX | os.O_RDWR
    assert module.SharedMemory._flags == os.O_RDWR
    assert (segment._mode, segment._prepend_leading_slash) == (0o600, True)
    assert (module._USE_POSIX, module._SHM_NAME_PREFIX) == (True, "/psm_")
    assert module._posixshmem.shm_open
    assert module.resource_tracker is multiprocessing.resource_tracker
    if module is ours or sys.version_info >= (3, 13):
        assert segment._track is True
    gone(segment)
    with pytest.raises(AttributeError, match="nothing"):
        module._nothing


def test_it_is_shown_with_name_and_size(module: ModuleType, name: str) -> None:
    segment = made(module, name)
    assert repr(segment) == str(segment) == f"SharedMemory({name!r}, size=64)"
    gone(segment)


def test_only_its_user_may_open_it(module: ModuleType, name: str) -> None:
    before = os.umask(0)
    try:
        segment = made(module, name)

        class Open(module.SharedMemory):  # type: ignore[name-defined,misc]
            _mode = 0o666

        another = Open(name + "-o", create=True, size=1)
    finally:
        os.umask(before)
    assert os.stat(SHM + name).st_mode & 0o777 == 0o600
    assert os.stat(SHM + name + "-o").st_mode & 0o777 == 0o666
    gone(segment)
    gone(another)


def test_a_subclass_may_open_or_create(module: ModuleType, name: str) -> None:
    class Optional(module.SharedMemory):  # type: ignore[name-defined,misc]
        _flags = os.O_CREAT | os.O_RDWR

    first = made(module, name)
    second = Optional(name)
    assert second.size == 64
    gone(first, second)
    with pytest.raises(ValueError, match="cannot mmap an empty file"):
        Optional(name)  # nobody gave it a size
    os.unlink(SHM + name)
    gc.collect()


def test_a_subclass_may_take_names_as_they_are(module: ModuleType, name: str) -> None:
    class Bare(module.SharedMemory):  # type: ignore[name-defined,misc]
        _prepend_leading_slash = False

    segment = Bare("/" + name, create=True, size=1)
    assert (segment._name, segment.name) == ("/" + name, "/" + name)
    gone(segment)


# ---- Errors ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"create": True, "size": -1}, ValueError, "'size' must be a positive integer"),
        ({"create": True}, ValueError, "'size' must be a positive number different from zero"),
        ({"name": "x", "create": True}, ValueError, "positive number different from zero"),
        ({}, ValueError, "'name' can only be None if create=True"),
        ({"name": "x", "size": -1}, ValueError, "'size' must be a positive integer"),
        ({"name": 5}, TypeError, 'can only concatenate str (not "int") to str'),
        ({"name": b"x"}, TypeError, 'can only concatenate str (not "bytes") to str'),
        ({"name": "x", "size": "1"}, TypeError, "'>=' not supported between"),
    ],
)
def test_arguments_that_make_no_sense(
    module: ModuleType, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as caught:
        module.SharedMemory(**arguments)
    assert text in str(caught.value)


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "x" * 256, "é" * 128])
def test_names_that_the_system_does_not_take(module: ModuleType, bad: str, create: bool) -> None:
    with pytest.raises(OSError) as caught:
        flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if create else 0)
        STANDARD._posixshmem.shm_open("/" + bad, flags)
    expected = caught.value
    with pytest.raises(type(expected)) as caught:
        module.SharedMemory(bad, create=create, size=1)
    assert (caught.value.args, caught.value.filename) == (expected.args, "/" + bad)


def test_a_name_that_exists(module: ModuleType, name: str) -> None:
    segment = made(module, name)
    with pytest.raises(FileExistsError) as caught:
        made(module, name)
    error = caught.value
    assert (error.args, error.filename) == ((errno.EEXIST, "File exists"), "/" + name)
    assert segment.size == module.SharedMemory(name).size
    gone(segment)


def test_a_name_that_does_not_exist(module: ModuleType, name: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        module.SharedMemory(name)
    error = caught.value
    expected = ((errno.ENOENT, "No such file or directory"), "/" + name)
    assert (error.args, error.filename) == expected


def test_unlinking_twice(module: ModuleType, name: str) -> None:
    segment = made(module, name)
    gone(segment)
    with pytest.raises(FileNotFoundError) as caught:
        segment.unlink()
    assert caught.value.filename == "/" + name


def test_a_nul_in_the_name(module: ModuleType, name: str) -> None:
    if module is STANDARD and sys.version_info < (3, 13):
        pytest.skip("the standard module of this version cuts the name at the NUL")
    segment = made(module, name)
    for create in (False, True):
        with pytest.raises(ValueError, match="embedded null character"):
            module.SharedMemory(name + "\0a", create=create, size=1)
    segment._name += "\0a"
    with pytest.raises(ValueError, match="embedded null character"):
        segment.unlink()
    segment._name = "/" + name
    gone(segment)


@pytest.mark.parametrize("size", [2**63, 1.5])
def test_a_size_that_is_none_leaves_nothing(
    name: str, size: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standard class leaves an empty object behind."""
    with pytest.raises((OverflowError, TypeError)):
        made(ours, name, size)
    assert not os.path.exists(SHM + name)


@pytest.mark.parametrize("size", [True, np.int64(64)])
def test_the_size_is_a_plain_number_whatever_it_was_made_with(
    module: ModuleType, name: str, size: Any
) -> None:
    """Else it would be shown as ``np.int64(64)``, and pickled so that only numpy can read it."""
    segment = module.SharedMemory(name, create=True, size=size)
    assert type(segment.size) is int
    assert segment.size == int(size) == len(segment.buf)
    gone(segment)


# ---- Closing -----------------------------------------------------------------------


def test_a_closed_one_has_no_memory_but_its_name(module: ModuleType, name: str) -> None:
    segment = made(module, name)
    segment.close()
    assert segment.buf is None
    assert (segment.name, segment.size, segment._fd) == (name, 64, -1)
    segment.close()
    module.SharedMemory(name).close()
    segment.unlink()


def test_it_is_not_closed_under_an_array(module: ModuleType, name: str) -> None:
    segment = made(module, name)
    array = np.frombuffer(segment.buf, "f8")
    with pytest.raises(BufferError, match="cannot close exported pointers exist"):
        segment.close()
    array[0] = 1.5
    del array
    gone(segment)


def test_it_is_not_closed_under_a_slice(module: ModuleType, name: str) -> None:
    segment = made(module, name)
    part = segment.buf[:4]
    with pytest.raises(BufferError, match="cannot close exported pointers exist"):
        segment.close()
    part.release()
    gone(segment)


def test_memory_outlives_its_name(module: ModuleType, name: str) -> None:
    segment = made(module, name)
    segment.unlink()
    segment.buf[0] = 1
    assert segment.buf[0] == 1
    segment.close()


def test_dropping_it_closes_it(module: ModuleType, name: str) -> None:
    segment = made(module, name)
    segment.unlink()
    fd = segment._fd
    del segment
    gc.collect()
    with pytest.raises(OSError):
        os.fstat(fd)


def mappings(inode: int) -> int:
    """How often this process has the file mapped."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        return sum(line.split()[4] == str(inode) for line in maps)


@pytest.mark.parametrize("drop", [False, True])
def test_an_array_that_says_nothing_keeps_its_memory(name: str, drop: bool) -> None:
    """With the standard class, using the array kills the process with SIGSEGV."""
    segment = made(ours, name)
    inode = os.stat(SHM + name).st_ino
    segment.unlink()
    array = np.ndarray((8,), "f8", buffer=segment.buf)
    if drop:
        del segment
        gc.collect()
    else:
        segment.close()
        assert (segment.buf, segment._mmap, segment._fd) == (None, None, -1)
    array[:] = 2.5
    assert array.sum() == 20.0
    assert mappings(inode) == 1
    del array
    gc.collect()
    assert mappings(inode) == 0


def test_who_keeps_the_view_finds_it_closed(module: ModuleType, name: str) -> None:
    segment = made(module, name)
    inode = os.stat(SHM + name).st_ino
    view = segment.buf
    segment.close()
    with pytest.raises(ValueError, match="released memoryview"):
        view[0]
    segment.unlink()
    del view
    assert mappings(inode) == 0


def test_one_dropped_under_an_array_is_closed(name: str) -> None:
    """The standard class cannot close, says so on stderr, and keeps the descriptor open."""
    segment = made(ours, name)
    inode = os.stat(SHM + name).st_ino
    segment.unlink()
    array, part = np.frombuffer(segment.buf, "f8"), segment.buf[:1]
    fd = segment._fd
    del segment
    gc.collect()
    with pytest.raises(OSError):
        os.fstat(fd)
    array[:] = 2.5
    assert array.sum() == 20.0
    del array, part
    assert mappings(inode) == 0


# ---- Copies ------------------------------------------------------------------------


def test_pickles_attach_by_name(module: ModuleType, name: str) -> None:
    segment = made(module, name)
    assert segment.__reduce__() == (module.SharedMemory, (name, False, 64))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(segment, protocol))
        assert type(again) is module.SharedMemory
        again.buf[protocol] = protocol + 1
        assert segment.buf[protocol] == protocol + 1
        again.close()
    pickled = pickle.dumps(segment)
    shallow = copy.copy(segment)
    assert shallow.name == segment.name
    gone(segment, shallow)
    with pytest.raises(FileNotFoundError):
        pickle.loads(pickled)


def test_tracking_can_be_turned_off_under_every_version(name: str) -> None:
    segment = ours.SharedMemory(name, create=True, size=8, track=False)
    assert segment._track is False
    with pytest.raises(TypeError):
        ours.SharedMemory(name, False, 0, False)  # type: ignore[misc]
    gone(segment)
