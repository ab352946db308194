"""What is stale, what is kept and why, and that nothing else is ever removed.

Each test asks only for its own name: other programs share this host.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable

import numpy as np
import pytest
from sharing import every_kind, every_lock, forked, holding

import isthmus
from isthmus import channel, posix, sysv
from isthmus._core import memory
from isthmus.errors import ArgumentError
from isthmus.inspect import gc
from isthmus.inspect.acting import _gc
from isthmus.inspect.looking._structs import structs
from isthmus.inspect.others import _processes
from isthmus.inspect.others._processes import Users

kept: list[object] = []


def _leave(make: Callable[[], object]) -> None:
    """Make it, and be killed."""
    with holding(lambda: kept.append(make())) as child:
        child.kill()


def _of(name: str, **options):
    return gc(match=f"*{name}*", **options)


def _exists(name: str) -> bool:
    return any(name in entry for entry in os.listdir("/dev/shm"))


def _raw(name: str, age: float = 7200) -> str:
    with isthmus.Segment.create(name, 4096):
        pass
    return _aged(f"/dev/shm/{name}", age)


def _aged(path: str, age: float) -> str:
    os.utime(path, (time.time() - age,) * 2)
    return path


@pytest.fixture(autouse=True)
def any_age(monkeypatch):
    """Nobody can set the time of a file's last change: so it is not looked at here."""
    real = _gc._last_use

    def without_change(shared, held):
        status = held.status
        return max(status.st_atime, status.st_mtime) if status else real(shared, held)

    monkeypatch.setattr(_gc, "_last_use", without_change)
    monkeypatch.setattr(_gc, "_young", lambda shared, age: False)


# ---- Ours --------------------------------------------------------------------------------


@every_kind
def test_what_the_dead_left_is_stale_and_goes_only_when_told_to(name, make):
    _leave(lambda: make(name))
    (stale,) = _of(name)
    assert (stale.object.name, stale.kept, stale.removed) == (name, None, False)
    assert "ended" in stale.why
    assert "lock" in stale.evidence
    assert _exists(name)
    (stale,) = _of(name, act=True)
    assert stale.removed
    assert not _exists(name)
    assert _of(name, act=True) == []


@every_kind
def test_what_somebody_has_is_not_stale(name, make):
    with holding(lambda: kept.append(make(name))):
        assert _of(name, act=True, persistent=True, foreign=True, older_than=0) == []
        assert _exists(name)
    _of(name, act=True)


def test_what_was_made_to_stay_stays_unless_asked_for(name):
    isthmus.Queue(name, persist=True).close()
    (stale,) = _of(name, act=True)
    assert "persist=True" in (stale.kept or "")
    assert _exists(name)
    (stale,) = _of(name, act=True, persistent=True)
    assert stale.removed


def test_an_array_stays_unless_asked_for_and_if_somebody_has_it(name):
    isthmus.Array(name, 4, "f8").close()
    (stale,) = _of(name, act=True)
    assert "unlinked" in (stale.kept or "")
    array = isthmus.Array.attach(name).np
    assert isinstance(array, np.ndarray)
    assert _of(name, act=True, persistent=True) == []
    del array
    (stale,) = _of(name, act=True, persistent=True)
    assert stale.removed


@every_lock
def test_a_lock_whose_owner_died_waits_to_tell_the_next_one(name, make):
    _leave(lambda: kept.append(make(name)) or kept[-1].acquire())
    (stale,) = _of(name, act=True)
    assert "is to be told" in (stale.kept or "")
    (stale,) = _of(name, act=True, persistent=True)
    assert stale.removed


def test_a_damaged_object_is_left_to_people(name):
    isthmus.Queue(name, persist=True).close()
    with open(f"/dev/shm/isthmus.{name}", "r+b") as file:
        file.write(bytes(512))
    (stale,) = _of(name, act=True, persistent=True)
    assert "damaged" in (stale.kept or "")
    os.unlink(f"/dev/shm/isthmus.{name}")


def test_an_object_of_another_version_is_left_to_people(name):
    isthmus.Queue(name, persist=True).close()
    offset, size = structs()["header"].fields["version"]
    with open(f"/dev/shm/isthmus.{name}", "r+b") as file:
        file.seek(offset)
        file.write((999).to_bytes(size, "little"))
    (stale,) = _of(name, act=True, persistent=True)
    assert "another version" in (stale.kept or "")
    isthmus.inspect.remove(name)


def test_a_damaged_object_that_somebody_has_is_not_stale(name):
    with isthmus.Queue(name), open(f"/dev/shm/isthmus.{name}", "r+b") as file:
        head = file.read(512)
        file.seek(0)
        file.write(bytes(512))
        file.flush()
        assert _of(name, act=True, persistent=True) == []
        file.seek(0)
        file.write(head)


def test_one_who_comes_in_between_the_look_and_the_removal_keeps_the_object(name, monkeypatch):
    _leave(lambda: isthmus.Semaphore(name, persist=True))
    claim = _gc.claim

    def come_in_first(shared, users):
        kept.append(isthmus.Semaphore(name))
        return claim(shared, users)

    monkeypatch.setattr(_gc, "claim", come_in_first)
    assert _of(name, act=True, persistent=True) == []
    semaphore = kept.pop()
    assert semaphore.acquire(timeout=0)
    semaphore.unlink()
    semaphore.close()


def test_an_object_that_is_replaced_between_the_look_and_the_removal_stays(name, monkeypatch):
    _leave(lambda: isthmus.Semaphore(name))
    claim = _gc.claim

    def replace(shared, users):
        os.unlink(shared.path)
        isthmus.Semaphore(name, persist=True).close()
        return claim(shared, users)

    monkeypatch.setattr(_gc, "claim", replace)
    assert _of(name, act=True) == []
    assert isthmus.inspect.remove(name).kind == "semaphore"


def test_the_socket_of_a_channel_is_stale_when_nobody_listens(name):
    with channel.listen(f"shm:{name}"):
        assert _of(name, act=True) == []
    _leave(lambda: channel.listen(f"shm:{name}"))
    assert [one.removed for one in _of(name)] == [False]
    assert [one.removed for one in _of(name, act=True)] == [True]
    assert not _exists(name)


def test_a_draft_is_stale_when_its_maker_has_died():
    draft = memory.Draft(b"/dev/shm", 4096, named=True)
    (mine,) = [
        one
        for one in isthmus.inspect.objects(foreign=True)
        if one.kind == "draft" and os.getpid() in [user.pid for user in one.users]
    ]
    assert _of(mine.name, act=True) == []
    copy = f"{mine.name}-copy"
    os.link(f"/dev/shm/{mine.name}", f"/dev/shm/{copy}")
    del draft
    assert [one.removed for one in _of(copy)] == [False]
    assert [one.removed for one in _of(copy, act=True)] == [True]


# ---- Others ------------------------------------------------------------------------------


def test_foreign_ones_are_never_removed_unless_asked_for(name, shmid):
    path = _raw(name)
    assert _of(name, act=True) == []
    assert gc(match=f"sysv-shm:{shmid}", act=True) == []
    os.unlink(path)


def test_a_leaked_segment_of_multiprocessing_is_stale_unless_somebody_maps_it():
    name = f"psm_{os.urandom(4).hex()}"
    path = _raw(name)
    try:
        with holding(lambda: kept.append(isthmus.Segment.attach(name))):
            assert _of(name, foreign=True, act=True) == []
        _aged(path, 7200)
        (stale,) = _of(name, foreign=True)
        assert (stale.object.library, stale.kept) == ("multiprocessing", None)
        assert "lease" in stale.evidence
        (stale,) = _of(name, foreign=True, act=True)
        assert stale.removed
        assert not os.path.exists(path)
    finally:
        if os.path.exists(path):
            os.unlink(path)


def test_a_segment_that_is_only_mapped_or_only_open_is_never_stale(name):
    path = _raw(name)

    def map_only() -> None:
        with open(path, "rb") as file:
            kept.append(mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ))

    with holding(map_only):
        assert _of(name, foreign=True, older_than=0, act=True) == []
    with holding(lambda: kept.append(os.open(path, os.O_RDONLY))):
        assert _of(name, foreign=True, older_than=0, act=True) == []
    os.unlink(path)


def test_a_use_that_proc_does_not_show_is_found_by_the_kernels_word(name, monkeypatch):
    path = _raw(name)
    monkeypatch.setattr(_gc, "users_of", Users)
    with holding(lambda: kept.append(os.open(path, os.O_RDONLY))):
        assert _of(name, foreign=True, older_than=0, act=True) == []
    assert os.path.exists(path)
    os.unlink(path)


def test_the_use_by_another_user_counts(name, unprivileged):
    path = _raw(name)
    os.chmod(path, 0o666)

    def take() -> None:
        os.setgid(unprivileged)
        os.setuid(unprivileged)
        kept.append(os.open(path, os.O_RDONLY))

    with holding(take):
        assert _of(name, foreign=True, older_than=0, act=True) == []
    os.unlink(path)


def test_what_cannot_be_known_or_not_be_removed_is_told_and_does_not_stop_the_rest(
    name, unprivileged
):
    theirs = _raw(f"{name}-theirs")
    os.chmod(theirs, 0o644)
    with isthmus.Semaphore(f"{name}-theirs", persist=True, mode=0o666):
        pass

    # That user may not be able to read this Python's files: all that is needed is loaded first.
    assert _of(f"{name}-nobody", foreign=True) == []

    def ask() -> None:
        os.setgroups([])
        os.setgid(unprivileged)
        os.setuid(unprivileged)
        _leave(lambda: isthmus.Event(f"{name}-mine"))
        _raw(f"{name}-mine")
        found = {
            (one.object.family, one.object.name.strip("/")): one
            for one in _of(name, foreign=True, older_than=0, persistent=True, act=True)
        }
        raw = found["posix", f"{name}-theirs"]
        assert "cannot be known" in (raw.kept or "")
        semaphore = found["isthmus", f"{name}-theirs"]
        assert semaphore.failed
        assert "belongs to" in (semaphore.kept or "")
        assert found["isthmus", f"{name}-mine"].removed
        # Though not all processes can be looked at.
        assert found["posix", f"{name}-mine"].removed

    with forked(ask) as child:
        assert child.finish() == 0
    isthmus.inspect.remove(f"{name}-theirs")
    os.unlink(theirs)


def test_what_was_used_lately_is_not_stale(name, monkeypatch):
    path = _raw(name, age=1800)
    assert _of(name, foreign=True, act=True) == []
    assert len(_of(name, foreign=True, older_than=1500)) == 1
    monkeypatch.undo()
    # Its status has changed just now, by os.utime().
    assert _of(name, foreign=True, older_than=60, act=True) == []
    assert len(_of(name, foreign=True, older_than=0)) == 1
    os.unlink(path)


def test_a_system_v_segment_is_stale_when_its_maker_has_ended_and_nobody_has_it(shmid, key):
    address = f"sysv-shm:{shmid}"
    (stale,) = gc(match=address, foreign=True, older_than=0, act=True)
    assert f"process {os.getpid()}" in (stale.kept or "")
    sysv.shmctl(shmid, sysv.IPC_RMID)
    with forked(lambda: sysv.shmget(key, 4096, sysv.IPC_CREAT | 0o600)) as child:
        child.finish()
    address = f"sysv-shm:{sysv.shmget(key, 0)}"
    with holding(lambda: kept.append(sysv.shmat(sysv.shmget(key, 0)))):
        assert gc(match=address, foreign=True, older_than=0, act=True) == []
    assert gc(match=address, foreign=True, act=True) == []  # too young
    (stale,) = gc(match=address, foreign=True, older_than=0, act=True)
    assert stale.removed


def test_system_v_semaphores_are_stale_when_those_that_used_them_have_ended(semid):
    address = f"sysv-sem:{semid}"
    (stale,) = gc(match=address, foreign=True, older_than=0, act=True)
    assert "cannot be known" in (stale.kept or "")
    with forked(lambda: sysv.semop(semid, [(0, 1, 0)])) as child:
        child.finish()
    (stale,) = gc(match=address, foreign=True, older_than=0, act=True)
    assert stale.removed


def test_a_queue_with_messages_in_it_stays(queue_name, msqid):
    if not _processes.mqueue_mounts():
        pytest.skip("no file system of message queues is mounted")
    queue = posix.mq_open(queue_name, os.O_CREAT | os.O_RDWR)
    assert _of(queue_name[1:], foreign=True, older_than=0, act=True) == []
    posix.mq_send(queue, b"x")
    posix.mq_close(queue)
    (stale,) = _of(queue_name[1:], foreign=True, older_than=0, act=True)
    assert "1 message " in (stale.kept or "")
    queue = posix.mq_open(queue_name, os.O_RDWR)
    posix.mq_receive(queue)
    posix.mq_close(queue)
    (stale,) = _of(queue_name[1:], foreign=True, older_than=0, act=True)
    assert stale.removed
    with forked(lambda: sysv.msgsnd(msqid, 1, b"x")) as child:
        child.finish()
    (stale,) = gc(match=f"sysv-msg:{msqid}", foreign=True, older_than=0, act=True)
    assert "1 message " in (stale.kept or "")


def test_queues_of_a_channel_are_in_use_as_long_as_somebody_listens(key):
    with channel.listen(f"sysv:{key:#x}"):
        id = sysv.msgget(key)
        with forked(lambda: sysv.msgsnd(id, 1, b"x")) as child:
            child.finish()
        assert gc(match=f"sysv-msg:{id}", foreign=True, older_than=0, act=True) == []


def test_an_age_that_is_none_is_refused():
    with pytest.raises(ArgumentError):
        gc(older_than=-1)
    with pytest.raises(ArgumentError):
        gc(older_than=float("nan"))
