"""Removing: what nobody has, and nothing else."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from bare_calls import until
from sharing import every_kind, forked, holding

import isthmus
from isthmus import channel, posix, sysv
from isthmus._core import memory
from isthmus.errors import (
    AccessError,
    ArgumentError,
    InUseError,
    NotFoundError,
    NotReadyError,
    OwnerDiedWarning,
    ReplacedError,
)
from isthmus.inspect import remove
from isthmus.inspect.acting import _claims, _lease, _remove
from isthmus.inspect.others import _foreign
from isthmus.inspect.others._processes import Users, users_of

kept: list[object] = []


def _raw(name: str) -> str:
    with isthmus.Segment.create(name, 4096):
        return f"/dev/shm/{name}"


def _leave(make: Callable[[], object]) -> None:
    """Make it, and be killed."""
    with holding(lambda: kept.append(make())) as child:
        child.kill()


def _map_for_reading(path: str) -> None:
    with open(path, "rb") as file:
        kept.append(mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ))


def _open(path: str) -> None:
    kept.append(os.open(path, os.O_RDONLY))


# ---- The proof ---------------------------------------------------------------------------


@pytest.mark.parametrize("take", [_map_for_reading, _open, "send"])
def test_a_lease_tells_of_any_use_in_whatever_process(name, take):
    path = _raw(name)
    fd = os.open(path, os.O_RDONLY)
    try:
        assert _lease.take(fd) is True
        _lease.release(fd)
        if take == "send":
            # In no table of descriptors: /proc cannot tell.
            one, other = socket.socketpair()
            with one, other:
                descriptor = os.open(path, os.O_RDONLY)
                socket.send_fds(one, [b"x"], [descriptor])
                os.close(descriptor)
                assert _lease.take(fd) is False
        else:
            with holding(lambda: take(path)):
                assert _lease.take(fd) is False
        assert _lease.take(fd) is True
    finally:
        os.close(fd)
        os.unlink(path)


def test_who_opens_a_leased_file_shows_and_is_let_in_when_it_is_released(name):
    path = _raw(name)
    fd = os.open(path, os.O_RDONLY)
    try:
        assert _lease.take(fd)
        assert _lease.undisturbed(fd)
        with pytest.raises(BlockingIOError):
            os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        assert not _lease.undisturbed(fd)
        _lease.release(fd)
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    finally:
        os.close(fd)
        os.unlink(path)


@pytest.mark.parametrize("attach", ["Segment", "Array"])
def test_an_attacher_of_ours_that_meets_a_lease_waits_for_its_end(name, attach):
    if attach == "Segment":
        path = _raw(name)
    else:
        isthmus.Array(name, 4, "f8").close()
        path = f"/dev/shm/isthmus.{name}"
    fd = os.open(path, os.O_RDONLY)
    assert _lease.take(fd)
    with forked(lambda: getattr(isthmus, attach).attach(name).close()) as child:
        while _lease.undisturbed(fd):
            pass
        _lease.release(fd)
        assert child.finish() == 0
    os.close(fd)
    os.unlink(path)


def test_another_users_file_has_no_lease_for_us(name, unprivileged):
    path = _raw(name)
    os.chmod(path, 0o644)

    def ask() -> None:
        os.setgroups([])
        os.setgid(unprivileged)
        os.setuid(unprivileged)
        with _claims.FileClaim(path, Users(unseen=1)) as held:
            assert held.free is None
        with pytest.raises(InUseError, match="nobody can tell"):
            remove(f"posix:{name}")
        with pytest.raises(AccessError, match=r"^segment .* belongs to"):
            remove(f"posix:{name}", force=True)

    try:
        with forked(ask) as child:
            assert child.finish() == 0
    finally:
        os.unlink(path)


# ---- Typed objects -----------------------------------------------------------------------


@every_kind
def test_an_object_in_use_stays_and_the_error_names_who_has_it(name, make):
    with holding(lambda: kept.append(make(name))) as child:
        with pytest.raises(InUseError, match=f"in use by process {child.pid} .*python"):
            remove(name)
        assert os.path.exists(f"/dev/shm/isthmus.{name}")
        assert remove(name, force=True).name == name
        assert not os.path.exists(f"/dev/shm/isthmus.{name}")


@every_kind
def test_what_the_dead_left_is_removed(name, make):
    _leave(lambda: make(name))
    assert remove(name).name == name
    with pytest.raises(NotFoundError, match="isthmus ls"):
        remove(name)


def test_a_handle_that_only_a_forked_child_has_keeps_the_object(name):
    with isthmus.Lock(name, persist=True):
        child = holding(lambda: None)
        child.__enter__()
    try:
        with pytest.raises(InUseError):
            remove(name)
    finally:
        child.__exit__(None, None, None)
    remove(name)


def _sleeps(pid: int) -> int:
    """How often a process has gone to sleep."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def _links(pid: int) -> list[str]:
    """What a process has open."""
    folder = Path(f"/proc/{pid}/fd")
    with contextlib.suppress(FileNotFoundError):
        return [str(link.readlink()) for link in folder.iterdir()]
    return []


def _come_in(name: str) -> None:
    while True:
        # It gives up after 200 attempts, which may be soon on a busy machine.
        with contextlib.suppress(NotReadyError):
            return isthmus.Queue(name).close()


def test_who_comes_in_while_an_object_is_removed_waits_and_makes_it_anew(name):
    _leave(lambda: isthmus.Queue(name))
    path = f"/dev/shm/isthmus.{name}"
    first = os.stat(path).st_ino
    with _claims.TypedClaim(path, True) as held:
        assert held.free
        with forked(lambda: _come_in(name)) as child:
            # It has opened the old one, and can neither come in nor remove it.
            until(lambda: path in _links(child.pid))
            sleeps = _sleeps(child.pid)
            until(lambda: _sleeps(child.pid) >= sleeps + 3)
            assert os.stat(path).st_ino == first
            held.remove()
            held.close()
            assert child.finish() == 0
    assert held.status is not None
    assert held.status.st_ino == first
    assert not os.path.exists(path)


def test_an_array_in_use_stays_also_if_only_its_memory_is(name):
    array = isthmus.Array(name, 4, "f8").np
    with pytest.raises(InUseError):
        remove(name)
    del array
    assert remove(name).kind == "array"


def test_a_damaged_object_is_removed_if_nobody_has_it_mapped_either(name):
    isthmus.Queue(name, persist=True).close()
    path = f"/dev/shm/isthmus.{name}"
    with open(path, "r+b") as file:
        file.write(bytes(512))
    with holding(lambda: _map_for_reading(path)), pytest.raises(InUseError):
        remove(name)
    remove(name)


# ---- Others ------------------------------------------------------------------------------


@pytest.mark.parametrize("take", [_map_for_reading, _open])
def test_a_raw_segment_in_use_stays_and_a_leaked_one_goes(name, take):
    path = _raw(name)
    with holding(lambda: take(path)) as child:
        with pytest.raises(InUseError, match=f"process {child.pid}"):
            remove(f"posix:{name}")
        child.kill()
        assert remove(name).address == f"posix:{name}"
    assert not os.path.exists(path)


def test_a_raw_segment_in_use_goes_by_force_and_its_users_keep_it(name):
    with isthmus.Segment.create(name, 4096) as segment:
        remove(f"posix:{name}", force=True)
        segment.buf[:2] = b"ok"
        assert not os.path.exists(f"/dev/shm/{name}")


def test_an_object_that_takes_the_name_of_the_one_looked_at_stays(name, monkeypatch):
    path = _raw(name)
    claim = _remove.claim

    def replace_first(shared, users):
        os.rename(path, path + ".old")
        _raw(name)
        return claim(shared, users)

    monkeypatch.setattr(_remove, "claim", replace_first)
    with pytest.raises(ReplacedError):
        remove(f"posix:{name}")
    os.unlink(path)
    os.unlink(path + ".old")


def test_who_opens_a_segment_just_before_its_removal_keeps_it(name):
    path = _raw(name)
    with _claims.FileClaim(path, Users()) as held:
        assert held.free
        with pytest.raises(BlockingIOError):
            os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with pytest.raises(OSError, match="just opened"):
            held.remove()
    os.unlink(path)


def test_when_it_is_asked_for_the_last_time_nobody_finds_the_segment_any_more(name, monkeypatch):
    path = _raw(name)
    before = os.stat(path)

    def asked(fd: int) -> bool:
        assert not os.path.exists(path)
        return False

    monkeypatch.setattr(_lease, "undisturbed", asked)
    with _claims.FileClaim(path, Users()) as held, pytest.raises(OSError, match="just opened"):
        held.remove()
    # Who waited has what has the name.
    assert os.path.samestat(os.stat(path), before)
    assert os.stat(path).st_nlink == 1
    os.unlink(path)


def test_what_took_the_name_in_the_last_moment_gets_it_back(name):
    path = _raw(name)
    with _claims.FileClaim(path, Users()) as held:
        os.unlink(path)
        _raw(name)
        other = os.stat(path)
        with pytest.raises(OSError, match="another one"):
            held.remove()
    assert os.path.samestat(os.stat(path), other)
    os.unlink(path)


def test_a_system_v_segment_goes_when_nobody_has_attached_it(shmid):
    region = sysv.shmat(shmid)
    with pytest.raises(InUseError, match="kernel counts 1"):
        remove(f"sysv-shm:{shmid}")
    sysv.shmdt(region)
    assert remove(f"sysv-shm:{shmid}").size == 4096
    with pytest.raises(NotFoundError):
        remove(f"sysv-shm:{shmid}")


def test_system_v_semaphores_go_when_those_that_used_them_have_ended(semid):
    with pytest.raises(InUseError, match="nobody has ever used it"):
        remove(f"sysv-sem:{semid}")
    sysv.semop(semid, [(0, 1, 0)])
    with pytest.raises(InUseError, match=f"process {os.getpid()}"):
        remove(f"sysv-sem:{semid}")
    with forked(lambda: sysv.semop(semid, [(0, 1, 0)])) as child:
        child.finish()
    assert remove(f"sysv-sem:{semid}").kind == "semaphores"


def test_a_system_v_queue_goes_when_those_that_used_it_have_ended_or_by_force(msqid):
    with forked(lambda: sysv.msgsnd(msqid, 1, b"x")) as child:
        child.finish()
    sysv.msgrcv(msqid, 8)
    with pytest.raises(InUseError, match=f"process {os.getpid()}"):
        remove(f"sysv-msg:{msqid}")
    remove(f"sysv-msg:{msqid}", force=True)
    with pytest.raises(NotFoundError):
        remove(f"sysv-msg:{msqid}")


def test_a_message_queue_goes_when_nobody_has_it_open(queue_name):
    address = f"mq:{queue_name[1:]}"
    queue = posix.mq_open(queue_name, os.O_CREAT | os.O_RDWR)
    with pytest.raises(InUseError):
        remove(address)
    posix.mq_close(queue)
    assert remove(address).name == queue_name
    with pytest.raises(NotFoundError):
        remove(address)


def test_a_named_semaphore_goes_when_nobody_has_it(posix_name):
    semaphore = posix.sem_open(posix_name, os.O_CREAT, 0o600, 1)
    with pytest.raises(InUseError):
        remove(f"posix:sem.{posix_name[1:]}")
    posix.sem_close(semaphore)
    remove(f"posix:sem.{posix_name[1:]}")


def test_the_socket_of_a_channel_goes_only_when_nobody_listens_whatever_the_force(name):
    with channel.listen(f"shm:{name}"), pytest.raises(InUseError, match="somebody listens"):
        remove(f"socket:{name}", force=True)
    _leave(lambda: channel.listen(f"shm:{name}"))
    assert remove(f"socket:{name}").kind == "socket"
    with channel.listen(f"shm:{name}"):
        pass  # nothing keeps the name


def test_a_draft_goes_only_when_its_maker_has_died():
    draft = memory.Draft(b"/dev/shm", 4096, named=True)
    users = _foreign.foreign_objects(users_of())
    mine = [one for one in users if one.kind == "draft" and os.getpid() in _pids(one)]
    with pytest.raises(InUseError, match="at work"):
        remove(mine[0].address, force=True)
    copy = f"{mine[0].path}-copy"
    os.link(mine[0].path or "", copy)
    del draft
    assert remove(f"posix:{os.path.basename(copy)}").kind == "draft"


def _pids(shared) -> list[int]:
    return [process.pid for process in shared.users]


def test_removing_a_lock_whose_owner_died_takes_the_report_with_it(name):
    _leave(lambda: kept.append(isthmus.Lock(name)) or kept[-1].acquire())
    lock = isthmus.Lock(name)
    with pytest.warns(OwnerDiedWarning):
        lock.acquire()
    lock.release()
    lock.close()
    _leave(lambda: kept.append(isthmus.Lock(name)) or kept[-1].acquire())
    remove(name)
    lock = isthmus.Lock(name)
    lock.acquire()
    lock.release()
    lock.close()


@pytest.mark.parametrize("address", ["sysv-shm:x", "posix:", ""])
def test_what_is_no_address_is_an_error_of_the_caller(address):
    with pytest.raises(ArgumentError):
        remove(address)


def test_a_death_while_a_name_is_taken_away_leaves_what_is_removed_as_a_draft(name):
    path = _raw(name)
    with open(path, "rb") as opened:
        inode = os.fstat(opened.fileno()).st_ino

    def die(_):
        os.kill(os.getpid(), signal.SIGKILL)

    def remove_and_die():
        _lease.undisturbed = die
        remove(f"posix:{name}")

    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            remove_and_die()
        os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    assert not os.path.exists(path)
    found = [one for one in _foreign.foreign_objects(Users()) if one.kind == "draft"]
    (left,) = [one for one in found if os.stat(one.path).st_ino == inode]
    try:
        # Somebody who opened it in the last moment keeps what it has; then it can go.
        with open(left.path, "rb"), pytest.raises(InUseError):
            remove(left.address)
        assert os.path.exists(left.path)
        assert remove(left.address).kind == "draft"
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(left.path)
