"""isthmus.posix: shm_open, ftruncate, mmap, munmap, msync, shm_unlink."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus import posix
from isthmus.posix import (
    MAP_ANONYMOUS,
    MAP_PRIVATE,
    MAP_SHARED,
    MS_ASYNC,
    MS_INVALIDATE,
    MS_SYNC,
    O_CREAT,
    O_EXCL,
    O_RDONLY,
    O_RDWR,
    O_TRUNC,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
)

PAGE = os.sysconf("SC_PAGESIZE")
READ_WRITE = PROT_READ | PROT_WRITE


def opened(name: str, size: int = PAGE) -> int:
    fd = posix.shm_open(name, O_CREAT | O_EXCL | O_RDWR)
    posix.ftruncate(fd, size)
    return fd


def is_mapped(address: int) -> bool:
    with open("/proc/self/maps", encoding="ascii") as maps:
        spans = (line.split()[0].split("-") for line in maps)
        return any(int(low, 16) <= address < int(high, 16) for low, high in spans)


def test_what_one_mapping_writes_another_reads(posix_name: str) -> None:
    fd = opened(posix_name)
    one = posix.mmap(PAGE, READ_WRITE, MAP_SHARED, fd)
    os.close(fd)
    fd = posix.shm_open(posix_name, O_RDONLY)
    two = posix.mmap(PAGE, PROT_READ, MAP_SHARED, fd)
    os.close(fd)
    one.buf[:5] = b"hello"
    assert bytes(two.buf[:5]) == b"hello"
    assert one.address != two.address
    assert len(one) == PAGE


def test_a_new_object_is_empty_and_its_descriptor_is_closed_in_exec(posix_name: str) -> None:
    fd = posix.shm_open(posix_name, O_CREAT | O_RDWR)
    assert os.fstat(fd).st_size == 0
    assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    os.close(fd)


def test_the_umask_applies_to_the_mode(posix_name: str) -> None:
    before = os.umask(0o027)
    try:
        fd = posix.shm_open(posix_name, O_CREAT | O_RDWR, 0o666)
    finally:
        os.umask(before)
    assert os.fstat(fd).st_mode & 0o777 == 0o640
    os.close(fd)


def test_the_default_mode_is_for_the_owner_only(posix_name: str) -> None:
    fd = posix.shm_open(posix_name, O_CREAT | O_RDWR)
    assert os.fstat(fd).st_mode & 0o777 == 0o600
    os.close(fd)


def test_truncating_while_opening_empties_the_object(posix_name: str) -> None:
    os.close(opened(posix_name))
    fd = posix.shm_open(posix_name, O_RDWR | O_TRUNC)
    assert os.fstat(fd).st_size == 0
    os.close(fd)


def test_the_memory_outlives_its_name(posix_name: str) -> None:
    fd = opened(posix_name)
    region = posix.mmap(PAGE, READ_WRITE, MAP_SHARED, fd)
    os.close(fd)
    posix.shm_unlink(posix_name)
    region.buf[0] = 1
    with pytest.raises(FileNotFoundError):
        posix.shm_open(posix_name, O_RDWR)


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_a_name_may_be_text_bytes_or_a_path(posix_name: str, kind: Any) -> None:
    fd = posix.shm_open(kind(posix_name), O_CREAT | O_RDWR)
    os.close(fd)
    posix.shm_unlink(kind(posix_name))


def test_a_name_goes_to_the_c_library_as_it_is(posix_name: str) -> None:
    os.close(posix.shm_open(posix_name[1:], O_CREAT | O_RDWR))
    assert os.path.exists("/dev/shm" + posix_name)


def test_opening_what_exists_exclusively_says_so(posix_name: str) -> None:
    os.close(opened(posix_name))
    with pytest.raises(FileExistsError) as caught:
        posix.shm_open(posix_name, O_CREAT | O_EXCL | O_RDWR)
    error = caught.value
    expected = (errno.EEXIST, os.strerror(errno.EEXIST), posix_name)
    assert (error.errno, error.strerror, error.filename) == expected


@pytest.mark.parametrize("call", [lambda name: posix.shm_open(name, O_RDWR), posix.shm_unlink])
def test_a_name_that_does_not_exist_is_reported(posix_name: str, call: Any) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        call(posix_name)
    assert caught.value.filename == posix_name


def test_another_users_object_may_not_be_opened(
    posix_name: str, run_python: Any, unprivileged: int
) -> None:
    os.close(opened(posix_name))
    # Loaded before becoming the other user, who may not be able to read the files.
    program = f"""
    import os, sys
    from isthmus import posix
    os.setuid({unprivileged})
    try:
        posix.shm_open(sys.argv[1], posix.O_RDWR)
    except PermissionError as error:
        print(error.filename)
    """
    assert run_python(program, posix_name) == posix_name + "\n"


@pytest.mark.parametrize("name", ["", "/", "/a/b"])
def test_a_name_that_the_system_does_not_take_is_an_error_about_it(name: str) -> None:
    with pytest.raises(OSError) as caught:
        posix.shm_open(name, O_CREAT | O_RDWR)
    assert caught.value.filename == name


def test_a_name_that_is_too_long_is_an_error() -> None:
    with pytest.raises(OSError) as caught:
        posix.shm_open("/" + 300 * "x", O_CREAT | O_RDWR)
    assert caught.value.errno in (errno.ENAMETOOLONG, errno.EINVAL)


@pytest.mark.parametrize("call", [lambda name: posix.shm_open(name, 0), posix.shm_unlink])
def test_a_nul_in_a_name_is_refused(call: Any) -> None:
    with pytest.raises(ValueError, match="NUL"):
        call("/a\0b")


@pytest.mark.parametrize("bad", [None, 3, 1.5])
def test_a_name_of_another_type_is_refused(bad: Any) -> None:
    with pytest.raises(TypeError):
        posix.shm_open(bad, O_RDWR)


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ("x", TypeError),
        (1.0, TypeError),
        (None, TypeError),
        (2**40, ValueError),
        (10**1000, ValueError),
    ],
)
def test_numbers_that_are_none_are_refused(bad: Any, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        posix.shm_open("/never", bad)
    with pytest.raises(expected):
        posix.shm_open("/never", 0, bad)
    with pytest.raises(expected):
        posix.ftruncate(bad, 0)
    for at in range(6):
        arguments: list[Any] = [PAGE, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0, 0]
        arguments[at] = bad
        if bad == 2**40 and at in (0, 4, 5):
            continue  # a length, an offset and an address may be that large
        with pytest.raises(expected):
            posix.mmap(*arguments)


def test_a_negative_length_is_refused(posix_name: str) -> None:
    fd = opened(posix_name)
    with pytest.raises(OSError) as caught:
        posix.ftruncate(fd, -1)  # a number that off_t has: the system says what is wrong with it
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, fd)
    with pytest.raises(ValueError, match="length"):
        posix.ftruncate(fd, 2**63)
    with pytest.raises(ValueError, match="length"):
        posix.mmap(-1, PROT_READ, MAP_SHARED, fd)
    os.close(fd)


def test_truncating_what_is_not_open_for_writing_is_an_error_about_the_descriptor(
    posix_name: str,
) -> None:
    os.close(opened(posix_name))
    fd = posix.shm_open(posix_name, O_RDONLY)
    with pytest.raises(OSError) as caught:
        posix.ftruncate(fd, 1)
    os.close(fd)
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, fd)


def test_truncating_a_closed_descriptor_is_an_error() -> None:
    with pytest.raises(OSError) as caught:
        posix.ftruncate(-1, 1)
    assert caught.value.errno == errno.EBADF


def test_mapping_begins_at_the_offset(posix_name: str) -> None:
    fd = opened(posix_name, 2 * PAGE)
    whole = posix.mmap(2 * PAGE, READ_WRITE, MAP_SHARED, fd)
    second = posix.mmap(PAGE, READ_WRITE, MAP_SHARED, fd, PAGE)
    os.close(fd)
    second.buf[0] = 7
    assert whole.buf[PAGE] == 7


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((0, PROT_READ, MAP_SHARED), errno.EINVAL),
        ((PAGE, PROT_READ, 0), errno.EINVAL),
        ((PAGE, PROT_READ, MAP_SHARED, None, 1), errno.EINVAL),
        ((2**62, PROT_READ, MAP_SHARED), errno.ENOMEM),
    ],
)
def test_what_cannot_be_mapped_is_an_error_about_the_descriptor(
    posix_name: str, arguments: Any, expected: int
) -> None:
    fd = opened(posix_name)
    length, prot, flags, _, offset = (*arguments, None, 0)[:5]
    with pytest.raises(OSError) as caught:
        posix.mmap(length, prot, flags, fd, offset)
    os.close(fd)
    assert (caught.value.errno, caught.value.filename) == (expected, fd)


def test_mapping_without_a_descriptor_is_an_error_unless_anonymous() -> None:
    with pytest.raises(OSError) as caught:
        posix.mmap(PAGE, PROT_READ, MAP_SHARED)
    assert (caught.value.errno, caught.value.filename) == (errno.EBADF, None)


def test_writing_to_what_is_open_for_reading_is_refused(posix_name: str) -> None:
    os.close(opened(posix_name))
    fd = posix.shm_open(posix_name, O_RDONLY)
    with pytest.raises(PermissionError):
        posix.mmap(PAGE, READ_WRITE, MAP_SHARED, fd)
    os.close(fd)


def test_each_flag_of_the_manual_page_is_there() -> None:
    assert posix.MAP_ANON == MAP_ANONYMOUS
    assert posix.MAP_FILE == 0
    none = posix.MAP_DENYWRITE | posix.MAP_EXECUTABLE | posix.MAP_UNINITIALIZED
    low = posix.mmap(PAGE, READ_WRITE, MAP_PRIVATE | posix.MAP_ANON | posix.MAP_32BIT | none)
    assert len(low) == PAGE
    if posix.MAP_32BIT:
        assert low.address < 2**31


def test_a_private_mapping_keeps_what_is_written_to_itself(posix_name: str) -> None:
    fd = opened(posix_name)
    shared = posix.mmap(PAGE, READ_WRITE, MAP_SHARED, fd)
    private = posix.mmap(PAGE, READ_WRITE, MAP_PRIVATE, fd)
    os.close(fd)
    private.buf[0] = 1
    assert shared.buf[0] == 0


def test_anonymous_memory_is_shared_with_a_child(run_python: Any) -> None:
    program = """
    import os
    from isthmus import posix
    region = posix.mmap(4096, posix.PROT_READ | posix.PROT_WRITE,
                        posix.MAP_SHARED | posix.MAP_ANONYMOUS)
    if os.fork() == 0:
        region.buf[:8] = 0xdbeebee.to_bytes(8, "little")
        os._exit(0)
    os.wait()
    print(hex(int.from_bytes(region.buf[:8], "little")))
    """
    assert run_python(program) == "0xdbeebee\n"


def test_memory_mapped_for_reading_cannot_be_written() -> None:
    region = posix.mmap(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS)
    assert region.buf.readonly
    with pytest.raises(TypeError):
        region.buf[0] = 1


def test_memory_without_access_has_no_view() -> None:
    region = posix.mmap(PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS)
    with pytest.raises(BufferError, match="PROT_READ"):
        _ = region.buf


def test_replacing_memory_is_refused() -> None:
    flags = MAP_PRIVATE | MAP_ANONYMOUS | posix.MAP_FIXED
    with pytest.raises(ValueError, match="interpreter"):
        posix.mmap(PAGE, READ_WRITE, flags, address=2**40)


def test_an_address_that_is_taken_is_an_error_and_a_free_one_is_used() -> None:
    flags = MAP_PRIVATE | MAP_ANONYMOUS | posix.MAP_FIXED_NOREPLACE
    two = posix.mmap(2 * PAGE, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
    with pytest.raises(FileExistsError):
        posix.mmap(PAGE, READ_WRITE, flags, address=two.address)
    address = two.address
    posix.munmap(two)
    assert posix.mmap(PAGE, READ_WRITE, flags, address=address).address == address


def test_memory_at_address_zero_is_unmapped_as_any_other() -> None:
    flags = MAP_PRIVATE | MAP_ANONYMOUS | posix.MAP_FIXED_NOREPLACE
    try:
        region = posix.mmap(PAGE, READ_WRITE, flags, address=0)
    except PermissionError:
        pytest.skip("this user may not map address zero")
    assert region.address == 0
    posix.munmap(region)
    assert not is_mapped(0)


def test_part_of_a_huge_page_is_unmapped_as_a_whole_one() -> None:
    try:
        region = posix.mmap(PAGE, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS | posix.MAP_HUGETLB)
    except OSError as error:
        pytest.skip(f"no huge pages to be had: {error}")
    address = region.address
    posix.munmap(region)
    assert not is_mapped(address)


@pytest.mark.parametrize(
    "call",
    [
        "posix.mmap(2**22, 3, posix.MAP_PRIVATE | posix.MAP_ANONYMOUS | posix.MAP_POPULATE)",
        "posix.shm_unlink(names.pop())",
    ],
)
def test_other_threads_run_during_a_call_that_may_take_long(
    posix_name: str, run_python: Any, call: str
) -> None:
    # With this interval no thread gives way: the other one runs when a call lets it, or never.
    # And when a call lets it, it runs at once: both have one core, and the caller yields it.
    program = f"""
    import os, sys, threading
    from isthmus import posix

    names = [f"{{sys.argv[1]}}-{{n}}" for n in range(500)]
    for name in names:
        fd = posix.shm_open(name, posix.O_CREAT | posix.O_RDWR)
        os.write(fd, bytes(2**14))
        os.close(fd)
    go, ran = threading.Lock(), []
    go.acquire()
    thread = threading.Thread(target=lambda: go.acquire() and ran.append(1))
    os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})
    thread.start()
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    sys.setswitchinterval(1000)
    go.release()
    for _ in range(500):
        {call}
        if ran:
            break
    print(ran)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    sys.setswitchinterval(0.005)
    thread.join()
    for name in names:
        posix.shm_unlink(name)
    """
    # One run in which it ran is proof: if no call gave way it never could. That it runs in time
    # is up to the scheduler, which on a busy machine may have others to serve.
    assert any(run_python(program, posix_name) == "[1]\n" for _ in range(5))


def test_a_given_back_region_cannot_be_used() -> None:
    region = posix.mmap(PAGE, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
    address = region.address
    assert not region.closed
    posix.munmap(region)
    assert region.closed
    assert not is_mapped(address)
    assert "munmap" in repr(region)
    for use in (
        lambda: region.buf,
        lambda: region.address,
        lambda: len(region),
        lambda: posix.msync(region, MS_SYNC),
        lambda: posix.munmap(region),
    ):
        with pytest.raises(ValueError, match="given back"):
            use()


def test_views_and_arrays_survive_unmapping() -> None:
    region = posix.mmap(PAGE, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
    address = region.address
    view = region.buf
    array: Any = np.ndarray((PAGE,), "u1", buffer=region.buf)
    view[0] = 5
    posix.munmap(region)
    assert (view[0], array[0]) == (5, 5)
    del view, region
    gc.collect()
    array[1] = 6
    assert array[:2].tolist() == [5, 6]
    assert is_mapped(address)
    del array
    gc.collect()
    assert not is_mapped(address)


def test_dropping_a_region_unmaps_it() -> None:
    region = posix.mmap(PAGE, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
    address = region.address
    del region
    gc.collect()
    assert not is_mapped(address)


def test_what_is_not_a_region_is_refused() -> None:
    not_one: Any = b"memory"
    with pytest.raises(TypeError, match="MappedRegion"):
        posix.munmap(not_one)
    with pytest.raises(TypeError, match="MappedRegion"):
        posix.msync(not_one, MS_SYNC)


@pytest.mark.parametrize("flags", [MS_SYNC, MS_ASYNC, MS_SYNC | MS_INVALIDATE])
def test_syncing_writes_to_the_file(tmp_path: Path, flags: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(2 * PAGE))
    fd = os.open(path, os.O_RDWR)
    region = posix.mmap(2 * PAGE, READ_WRITE, MAP_SHARED, fd)
    os.close(fd)
    region.buf[PAGE] = 9
    posix.msync(region, flags)
    posix.msync(region, flags, PAGE)
    posix.msync(region, flags, PAGE, 1)
    posix.msync(region, flags, 2 * PAGE)
    assert path.read_bytes()[PAGE] == 9


@pytest.mark.parametrize(("flags", "offset"), [(MS_SYNC | MS_ASYNC, 0), (1 << 10, 0), (MS_SYNC, 1)])
def test_what_the_kernel_does_not_sync_is_an_error(flags: int, offset: int) -> None:
    region = posix.mmap(PAGE, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
    with pytest.raises(OSError) as caught:
        posix.msync(region, flags, offset)
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize(
    ("offset", "length"), [(-1, None), (2 * PAGE, None), (0, PAGE + 1), (0, -1)]
)
def test_syncing_outside_the_region_is_refused(offset: int, length: int | None) -> None:
    region = posix.mmap(PAGE, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
    with pytest.raises(ValueError):
        posix.msync(region, MS_SYNC, offset, length)


def test_importing_is_cheap(run_python: Any) -> None:
    program = """
    import sys
    before = set(sys.modules)
    import isthmus.posix, isthmus.sysv
    costly = {"typing", "enum", "dataclasses", "threading", "socket", "numpy"}
    print(sorted(costly & (set(sys.modules) - before)))
    """
    assert run_python(program) == "[]\n"
