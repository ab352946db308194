"""What is listed of others, and what of channels and drafts."""

from __future__ import annotations

import contextlib
import os
import socket

import pytest
from sharing import holding

import isthmus
from isthmus import channel, posix, sysv
from isthmus._core import memory
from isthmus.inspect._address import Address
from isthmus.inspect._model import SharedObject
from isthmus.inspect.looking._observed import Vanished
from isthmus.inspect.others import _foreign, _mqueue, _sysv
from isthmus.inspect.others._foreign import details, foreign_object, foreign_objects
from isthmus.inspect.others._libraries import library
from isthmus.inspect.others._processes import Users, mqueue_mounts, users_of

kept: list[object] = []


def _find(address: str, users: Users | None = None) -> SharedObject | None:
    found = [one for one in foreign_objects(users or Users()) if one.address == address]
    assert len(found) <= 1
    if found:
        assert str(Address.parse(address)) == address
        assert foreign_object(Address.parse(address), users or Users()) == found[0]
    return found[0] if found else None


def test_a_raw_segment_is_listed_with_its_size_owner_and_users(name):
    with isthmus.Segment.create(name, 8192, mode=0o640) as segment:
        found = _find(f"posix:{name}", users_of())
        assert found is not None
        assert (found.family, found.kind, found.name) == ("posix", "segment", f"/{name}")
        assert (found.size, found.resident, found.mode) == (8192, 8192, 0o640)
        assert (found.uid, found.library) == (os.geteuid(), None)
        assert [process.pid for process in found.users] == [os.getpid()]
        assert found.in_use is True
        segment.unlink()
    assert _find(f"posix:{name}") is None


def test_a_segment_that_nobody_has_is_unused_only_if_all_could_be_seen(name):
    with isthmus.Segment.create(name, 4096):
        pass
    try:
        assert _find(f"posix:{name}", Users()).in_use is False
        assert _find(f"posix:{name}", Users(unseen=1)).in_use is None
        assert _find(f"posix:{name}", Users(hidden=True)).in_use is None
    finally:
        isthmus.posix.shm_unlink(f"/{name}")


def test_a_named_semaphore_is_listed_and_its_value_read_without_a_trace(posix_name):
    semaphore = posix.sem_open(posix_name, os.O_CREAT, 0o600, 5)
    path = f"/dev/shm/sem.{posix_name[1:]}"
    os.utime(path, (1, os.stat(path).st_mtime))  # long ago, so that any access would show
    before = os.stat(path)
    found = _find(f"posix:sem.{posix_name[1:]}")
    assert found is not None
    assert found.kind == "semaphore"
    assert details(found) == {"value": 5, "waiters": 0}
    after = os.stat(path)
    for time in ("st_atime_ns", "st_mtime_ns", "st_ctime_ns"):
        assert getattr(before, time) == getattr(after, time)
    posix.sem_close(semaphore)


def test_typed_objects_folders_links_and_sockets_of_others_are_none_of_these(name):
    made = f"/dev/shm/{name}"
    os.mkdir(f"{made}-folder")
    os.symlink("/nowhere", f"{made}-link")
    with socket.socket(socket.AF_UNIX) as sock, isthmus.Lock(name):
        sock.bind(f"{made}-socket")
        found = [one.name for one in foreign_objects(Users()) if name in one.name]
    os.rmdir(f"{made}-folder")
    os.unlink(f"{made}-link")
    os.unlink(f"{made}-socket")
    assert found == []


def test_a_name_that_only_looks_like_one_of_ours_is_a_raw_segment(name):
    path = f"/dev/shm/isthmus.{name}%zz"
    with open(path, "xb"):
        pass
    try:
        assert _find(f"posix:isthmus.{name}%zz").kind == "segment"
    finally:
        os.unlink(path)


def test_where_a_channel_listens_is_a_socket_in_use_until_it_is_closed_or_killed(name):
    with channel.listen(f"shm:{name}/x"):
        found = _find(f"socket:{name}/x", users_of())
        assert (found.family, found.kind, found.in_use) == ("isthmus", "socket", True)
        assert [process.pid for process in found.users] == [os.getpid()]
    with holding(lambda: kept.append(channel.listen(f"shm:{name}/x"))) as child:
        assert _find(f"socket:{name}/x").in_use is True
        child.kill()
        found = _find(f"socket:{name}/x")
        assert found.in_use is False
    os.unlink(found.path)


def test_a_listener_that_proc_does_not_show_is_found_by_asking_which_disturbs_nobody(
    name, monkeypatch
):
    # As one in another network namespace.
    monkeypatch.setattr(_foreign, "listening", dict)
    with channel.listen(f"shm:{name}") as listener:
        assert _find(f"socket:{name}").in_use is True
        with pytest.raises(TimeoutError):
            listener.accept(timeout=0)


def test_a_draft_is_in_use_as_long_as_its_maker_lives():
    draft = memory.Draft(b"/dev/shm", 4096, named=True)
    found = [one for one in foreign_objects(users_of()) if one.kind == "draft" and one.users]
    mine = [one for one in found if os.getpid() in [process.pid for process in one.users]]
    assert [one.in_use for one in mine] == [True]
    assert _find(mine[0].address).in_use is True
    del draft


def test_a_draft_whose_maker_was_killed_is_not_in_use():
    before = {one.address for one in foreign_objects(Users()) if one.kind == "draft"}
    with holding(lambda: kept.append(memory.Draft(b"/dev/shm", 4096, named=True))) as child:
        users = users_of()
        mine = [
            one
            for one in foreign_objects(users)
            if one.kind == "draft"
            and one.address not in before
            and child.pid in [user.pid for user in one.users]
        ]
        child.kill()
        try:
            assert [_find(one.address).in_use for one in mine] == [False]
        finally:
            for one in mine:
                os.unlink(one.path)


def test_system_v_objects_are_listed_with_what_the_kernel_tells(shmid, semid, msqid):
    with holding(lambda: kept.append(sysv.shmat(shmid))) as child:
        segment = _find(f"sysv-shm:{shmid}", users_of())
        assert (segment.size, segment.in_use, segment.mode) == (4096, True, 0o600)
        assert [process.pid for process in segment.users] == [child.pid]
        assert details(segment)["creator"] == os.getpid()
        child.kill()
    assert _find(f"sysv-shm:{shmid}").in_use is False
    assert _find(f"sysv-sem:{semid}").kind == "semaphores"
    assert details(_find(f"sysv-sem:{semid}"))["semaphores"] == 3
    sysv.msgsnd(msqid, 1, b"four")
    queue = _find(f"sysv-msg:{msqid}")
    assert (queue.kind, queue.size, queue.depth) == ("messages", 4, 1)
    # Whoever knows the number may use these: nobody can say that nobody does.
    assert queue.in_use is None


def test_queues_of_a_channel_are_known_as_ours(key):
    with channel.listen(f"sysv:{key:#x}"):
        names = {one.library for one in _sysv.sysv_objects(Users()) if one.kind == "messages"}
        mine = [row["msqid"] for row in _sysv.rows("messages") if row["key"] == key]
        assert _find(f"sysv-msg:{mine[0]}").library == "isthmus"
        assert "isthmus" in names


def test_a_message_queue_is_listed_and_asked_without_a_trace(queue_name):
    queue = posix.mq_open(
        queue_name, os.O_CREAT | os.O_RDWR, 0o600, posix.MqAttr(maxmsg=4, msgsize=64)
    )
    posix.mq_send(queue, b"x")
    before = os.fstat(queue.fileno())
    address = Address.parse(f"mq:{queue_name[1:]}")
    found = foreign_object(address, users_of())
    assert (found.family, found.kind, found.name) == ("mqueue", "messages", queue_name)
    assert (found.size, found.depth, found.mode) == (256, 1, 0o600)
    assert os.fstat(queue.fileno()) == before
    if mqueue_mounts():
        assert _find(str(address), users_of()).in_use is True
        assert details(found) == {"maxmsg": 4, "msgsize": 64}
    posix.mq_close(queue)


def test_a_message_queue_is_found_by_its_name_where_none_can_be_listed(queue_name, monkeypatch):
    monkeypatch.setattr(_mqueue, "mqueue_mounts", list)
    monkeypatch.setattr(_foreign, "mqueue_mounts", list)
    posix.mq_close(posix.mq_open(queue_name, os.O_CREAT | os.O_RDWR))
    found = foreign_object(Address.parse(f"mq:{queue_name[1:]}"), Users())
    assert (found.depth, found.in_use, found.path) == (0, None, None)
    assert _mqueue.NOT_LISTED in _foreign.notes(Users())


@pytest.mark.parametrize("address", ["posix:none-{}", "sysv-shm:{}", "mq:none-{}", "socket:{}"])
def test_one_that_is_not_there_has_vanished(address):
    with pytest.raises(Vanished):
        foreign_object(Address.parse(address.format(2**31 - 1)), Users())


def test_objects_that_go_away_during_the_look_are_left_out(name, monkeypatch):
    path = f"/dev/shm/{name}"
    with open(path, "xb"):
        pass
    scan = os.scandir

    def scan_and_remove(folder):
        entries = list(scan(folder))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return iter(entries)

    monkeypatch.setattr(_foreign.os, "scandir", scan_and_remove)
    assert not [one for one in foreign_objects(Users()) if name in one.name]


@pytest.mark.parametrize(
    ("file", "made_by"),
    [
        ("psm_21467ac4", "multiprocessing"),
        ("sem.mp-x0_ab12c", "multiprocessing"),
        ("torch_8812_143_0", "PyTorch"),
        ("vader_segment.node.0.a.1", "Open MPI"),
        ("sem.fastrtps_port7400_mutex", "Fast DDS"),
        ("PostgreSQL.2763491928", "PostgreSQL"),
        ("psm_data", None),
        ("sem.mine", None),
        ("torch_weights", None),
    ],
)
def test_a_library_is_known_by_names_that_only_it_gives(file, made_by):
    assert library(file) == made_by
