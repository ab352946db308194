"""isthmus.sysv: ftok, shmget, shmat, shmdt, shmctl."""

from __future__ import annotations

import errno
import gc
import os
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus import posix, sysv
from isthmus._core import memory
from isthmus.sysv import IPC_CREAT, IPC_EXCL, IPC_PRIVATE, IPC_RMID, IPC_SET, IPC_STAT

PAGE = os.sysconf("SC_PAGESIZE")


def attached(shmid: int) -> int:
    return sysv.shmctl(shmid, IPC_STAT).nattch


def test_what_one_attachment_writes_another_reads(shmid: int) -> None:
    one, two = sysv.shmat(shmid), sysv.shmat(shmid, 0, sysv.SHM_RDONLY)
    one.buf[:5] = b"hello"
    assert bytes(two.buf[:5]) == b"hello"
    assert (len(one), one.buf.readonly, two.buf.readonly) == (PAGE, False, True)


def test_a_mapping_for_reading_only_has_no_writable_buffer(shmid: int) -> None:
    mapping = memory.sysv_attach(shmid, sysv.SHM_RDONLY)
    assert mapping.readonly
    with pytest.raises(TypeError, match="read-write"):
        struct.pack_into("q", mapping, 0, 1)


def test_another_process_finds_it_by_its_key(key: int, shmid: int, run_python: Any) -> None:
    region = sysv.shmat(shmid)
    program = """
    import sys
    from isthmus import sysv
    region = sysv.shmat(sysv.shmget(int(sys.argv[1]), 0))
    region.buf[:8] = 0xdbeebee.to_bytes(8, "little")
    """
    run_python(program, key)
    assert int.from_bytes(region.buf[:8], "little") == 0xDBEEBEE


def test_a_private_key_always_makes_a_new_one() -> None:
    ids = [sysv.shmget(IPC_PRIVATE, PAGE, 0o600) for _ in range(2)]
    for id in ids:
        sysv.shmctl(id, IPC_RMID)
    assert ids[0] != ids[1]


def test_status_tells_all_about_it(key: int, shmid: int) -> None:
    region = sysv.shmat(shmid)
    found = sysv.shmctl(shmid, IPC_STAT)
    assert found.perm[:6] == (key, os.geteuid(), os.getegid(), os.geteuid(), os.getegid(), 0o600)
    assert (found.segsz, found.nattch) == (PAGE, 1)
    assert (found.cpid, found.lpid) == (os.getpid(), os.getpid())
    assert abs(found.ctime - time.time()) < 60
    assert abs(found.atime - time.time()) < 60
    assert found.dtime == 0
    sysv.shmdt(region)
    with pytest.raises(AttributeError):
        found.segsz = 1  # type: ignore[misc]


def test_the_umask_does_not_apply(key: int) -> None:
    before = os.umask(0o077)
    try:
        shmid = sysv.shmget(key, PAGE, IPC_CREAT | 0o666)
    finally:
        os.umask(before)
    assert sysv.shmctl(shmid, IPC_STAT).perm.mode == 0o666


def test_setting_changes_owner_and_mode(shmid: int) -> None:
    found = sysv.shmctl(shmid, IPC_STAT)
    uid = 12345 if os.geteuid() == 0 else found.perm.uid
    sysv.shmctl(shmid, IPC_SET, found._replace(perm=found.perm._replace(mode=0o640, uid=uid)))
    changed = sysv.shmctl(shmid, IPC_STAT).perm
    assert (changed.mode, changed.uid, changed.cuid) == (0o640, uid, found.perm.cuid)


@pytest.mark.parametrize("bad", [None, 1, (1, 2)])
def test_setting_needs_a_status(shmid: int, bad: Any) -> None:
    with pytest.raises(TypeError, match="ShmidDs"):
        sysv.shmctl(shmid, IPC_SET, bad)
    with pytest.raises(TypeError, match="IpcPerm"):
        sysv.shmctl(shmid, IPC_SET, sysv.shmctl(shmid, IPC_STAT)._replace(perm=bad))


def test_removed_memory_lives_until_it_is_detached(shmid: int) -> None:
    region = sysv.shmat(shmid)
    sysv.shmctl(shmid, IPC_RMID)
    found = sysv.shmctl(shmid, IPC_STAT)
    assert found.perm.mode & sysv.SHM_DEST
    assert found.perm.key == IPC_PRIVATE
    region.buf[0] = 1
    sysv.shmdt(region)
    with pytest.raises(OSError) as caught:
        sysv.shmctl(shmid, IPC_STAT)
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, shmid)


def test_memory_can_be_locked_and_unlocked(shmid: int) -> None:
    sysv.shmctl(shmid, sysv.SHM_LOCK)
    assert sysv.shmctl(shmid, IPC_STAT).perm.mode & sysv.SHM_LOCKED
    sysv.shmctl(shmid, sysv.SHM_UNLOCK)
    assert not sysv.shmctl(shmid, IPC_STAT).perm.mode & sysv.SHM_LOCKED


def test_the_limits_of_the_system_are_told(shmid: int) -> None:
    highest, limits = sysv.shmctl(0, sysv.IPC_INFO)
    assert highest >= 0
    assert limits.shmmin == 1
    assert limits.shmmni == int(Path("/proc/sys/kernel/shmmni").read_text())
    assert limits.shmmax == int(Path("/proc/sys/kernel/shmmax").read_text())
    assert limits.shmall == int(Path("/proc/sys/kernel/shmall").read_text())


def test_what_is_in_use_is_told(shmid: int) -> None:
    highest, info = sysv.shmctl(0, sysv.SHM_INFO)
    assert highest >= 0
    assert info.used_ids >= 1
    assert info.shm_tot >= 1


@pytest.mark.parametrize("command", [sysv.SHM_STAT, sysv.SHM_STAT_ANY])
def test_all_segments_can_be_found_by_their_index(key: int, shmid: int, command: int) -> None:
    highest, _ = sysv.shmctl(0, sysv.SHM_INFO)
    found = {}
    for index in range(highest + 1):
        try:
            id, status = sysv.shmctl(index, command)
        except OSError as error:
            assert error.errno in {errno.EINVAL, errno.EIDRM, errno.EACCES}  # noqa: PT017
        else:
            found[id] = status
    assert found[shmid].perm.key == key


def test_exclusive_creation_reports_one_that_exists(key: int, shmid: int) -> None:
    with pytest.raises(FileExistsError) as caught:
        sysv.shmget(key, PAGE, IPC_CREAT | IPC_EXCL)
    error = caught.value
    expected = (errno.EEXIST, os.strerror(errno.EEXIST), key)
    assert (error.errno, error.strerror, error.filename) == expected


def test_a_key_that_leads_nowhere_is_reported(key: int) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        sysv.shmget(key, 0)
    assert caught.value.filename == key


@pytest.mark.parametrize(("size", "flags"), [(0, IPC_CREAT), (2**62, IPC_CREAT)])
def test_a_size_that_the_system_does_not_take_is_an_error(key: int, size: int, flags: int) -> None:
    with pytest.raises(OSError) as caught:
        sysv.shmget(key, size, flags | 0o600)
    assert caught.value.errno in {errno.EINVAL, errno.ENOMEM, errno.ENOSPC}


def test_asking_for_more_than_there_is_is_an_error(key: int, shmid: int) -> None:
    with pytest.raises(OSError) as caught:
        sysv.shmget(key, 2 * PAGE)
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, key)


def test_another_users_segment_may_not_be_attached(
    shmid: int, run_python: Any, unprivileged: int
) -> None:
    program = f"""
    import os, sys
    from isthmus import sysv
    os.setuid({unprivileged})
    id = int(sys.argv[1])
    for call in (
        lambda: sysv.shmat(id), lambda: sysv.shmctl(id, sysv.IPC_STAT),
        lambda: sysv.shmctl(id, sysv.IPC_RMID),
    ):
        try:
            call()
        except PermissionError as error:
            print(error.filename)
    """
    assert run_python(program, shmid) == 3 * f"{shmid}\n"


@pytest.mark.parametrize("bad", [2**31, -(2**31) - 1, 2**64, 10**1000])
def test_a_key_or_id_that_is_none_is_refused(bad: int) -> None:
    for call in (sysv.semget, sysv.shmget):
        with pytest.raises(ValueError, match="key"):
            call(bad, 1)
    with pytest.raises(ValueError, match="key"):
        sysv.msgget(bad)
    for attempt in (lambda: sysv.shmat(bad), lambda: sysv.shmctl(bad, IPC_STAT)):
        with pytest.raises(ValueError, match="shmid"):
            attempt()


def test_a_negative_key_is_a_key() -> None:
    # ftok() makes them, from a proj_id of 128 or more.
    with pytest.raises(FileNotFoundError):
        sysv.shmget(-(2**31), 0)


@pytest.mark.parametrize("bad", [None, "1", 1.5])
def test_numbers_of_another_type_are_refused(shmid: int, bad: Any) -> None:
    for call in (
        lambda: sysv.shmget(bad, 1),
        lambda: sysv.shmget(0, bad),
        lambda: sysv.shmget(0, 1, bad),
        lambda: sysv.shmat(bad),
        lambda: sysv.shmat(shmid, bad),
        lambda: sysv.shmat(shmid, 0, bad),
        lambda: sysv.shmctl(bad, IPC_STAT),
        lambda: sysv.shmctl(shmid, bad),
        lambda: sysv.ftok("/", bad),
    ):
        with pytest.raises(TypeError):
            call()


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="size"):
        sysv.shmget(IPC_PRIVATE, -1, IPC_CREAT)


def test_an_unknown_command_is_refused(shmid: int) -> None:
    with pytest.raises(ValueError, match="999"):
        sysv.shmctl(shmid, 999)


@pytest.mark.parametrize("call", [sysv.shmat, lambda id: sysv.shmctl(id, IPC_STAT)])
def test_an_id_that_leads_nowhere_is_an_error_about_it(call: Any) -> None:
    with pytest.raises(OSError) as caught:
        call(-1)
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, -1)


def test_attaching_at_an_address(shmid: int) -> None:
    first = sysv.shmat(shmid)
    with pytest.raises(OSError) as caught:
        sysv.shmat(shmid, first.address)
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, shmid)
    with pytest.raises(OSError):
        sysv.shmat(shmid, first.address + 1)
    address = first.address
    sysv.shmdt(first)
    assert sysv.shmat(shmid, address + 1, sysv.SHM_RND).address == address


def test_replacing_memory_is_refused(shmid: int) -> None:
    with pytest.raises(ValueError, match="interpreter"):
        sysv.shmat(shmid, 2**40, sysv.SHM_REMAP)


def test_a_detached_region_cannot_be_used(shmid: int) -> None:
    region = sysv.shmat(shmid)
    assert attached(shmid) == 1
    sysv.shmdt(region)
    assert attached(shmid) == 0
    assert region.closed
    for use in (lambda: region.buf, lambda: len(region), lambda: sysv.shmdt(region)):
        with pytest.raises(ValueError, match="shmdt"):
            use()


def test_views_and_arrays_survive_detaching(shmid: int) -> None:
    region = sysv.shmat(shmid)
    view = region.buf
    array: Any = np.ndarray((PAGE,), "u1", buffer=region.buf)
    sysv.shmdt(region)
    view[0] = 5
    del view, region
    gc.collect()
    assert (array[0], attached(shmid)) == (5, 1)
    del array
    gc.collect()
    assert attached(shmid) == 0


def test_each_kind_of_region_is_given_back_its_own_way(shmid: int) -> None:
    ours = sysv.shmat(shmid)
    other = posix.mmap(PAGE, posix.PROT_READ, posix.MAP_PRIVATE | posix.MAP_ANONYMOUS)
    with pytest.raises(ValueError, match="shmdt"):
        posix.munmap(ours)
    with pytest.raises(ValueError, match="munmap"):
        sysv.shmdt(other)
    assert not ours.closed
    assert not other.closed


def test_a_file_gives_the_same_key_each_time(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    key = sysv.ftok(file, 65)
    assert key == sysv.ftok(os.fsencode(file), 65) == sysv.ftok(str(file), 65 + 256)
    assert key >> 24 == 65
    assert key & 0xFFFF == file.stat().st_ino & 0xFFFF
    assert sysv.ftok(file, 66) != key
    assert sysv.ftok(file, 200) < 0


def test_a_key_of_a_file_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        sysv.ftok(tmp_path / "none", 1)
    assert caught.value.filename == tmp_path / "none"
    with pytest.raises(ValueError, match="NUL"):
        sysv.ftok("a\0b", 1)
