"""Who has what: descriptors and maps, with and without a name."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from pathlib import Path

import pytest
from sharing import Signal, forked, holding

import isthmus
from isthmus import channel, posix, sysv
from isthmus.inspect.others import _processes
from isthmus.inspect.others._processes import Users, users_of

_kept: list[object] = []


def _file(name: str) -> str:
    path = f"/dev/shm/{name}"
    with open(path, "xb") as file:
        file.truncate(4096)
    return path


def _pids(users: Users, path: str) -> list[int]:
    return [process.pid for process in users.of(os.stat(path))]


def _map(path: str) -> None:
    with open(path, "r+b") as file:
        _kept.append(mmap.mmap(file.fileno(), 4096))


def _map_for_reading(path: str) -> None:
    with open(path, "rb") as file:
        _kept.append(mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ))


def _open(path: str) -> None:
    _kept.append(os.open(path, os.O_RDONLY))


@pytest.mark.parametrize("take", [_map, _map_for_reading, _open])
def test_who_only_maps_a_file_or_only_has_it_open_is_found_and_named(name, take):
    path = _file(name)
    try:
        assert _pids(users_of(), path) == []
        with holding(lambda: take(path)) as child:
            users = users_of()
            assert _pids(users, path) == [child.pid]
            assert "python" in users.of(os.stat(path))[0].command
        assert _pids(users_of(), path) == []
    finally:
        os.unlink(path)


def test_who_has_it_open_and_mapped_is_named_once(name):
    path = _file(name)
    try:
        with open(path, "r+b") as file, mmap.mmap(file.fileno(), 4096), open(path):
            assert _pids(users_of(), path) == [os.getpid()]
    finally:
        os.unlink(path)


def test_the_maker_of_an_object_is_found_though_its_maps_show_no_name(name):
    with isthmus.Lock(name):
        assert _pids(users_of(), f"/dev/shm/isthmus.{name}") == [os.getpid()]


def test_the_name_of_a_program_may_look_like_another_line_of_the_kernels_list(name):
    path = _file(name)

    def take() -> None:
        Path("/proc/self/comm").write_text("a) Z 1 1 1")
        _map(path)

    try:
        with holding(take) as child:
            assert _pids(users_of(), path) == [child.pid]
            assert _processes.alive(child.pid)
    finally:
        os.unlink(path)


def test_a_process_whose_first_thread_has_ended_still_has_its_files(name):
    path = _file(name)

    def take() -> None:
        _map(path)
        ended = threading.Event()
        threading.Thread(target=lambda: (ended.wait(), taken.set(), stop.wait())).start()
        ended.set()
        ctypes.CDLL(None).pthread_exit(None)

    try:
        with Signal() as taken, Signal() as stop, forked(take) as child:
            taken.wait()
            while Path(f"/proc/{child.pid}/stat").read_text().split()[2] != "Z":
                pass
            assert _pids(users_of(), path) == [child.pid]
            assert _processes.alive(child.pid)
    finally:
        os.unlink(path)


def test_who_has_died_and_was_not_reaped_has_nothing(name):
    path = _file(name)
    try:
        with holding(lambda: _map(path)) as child:
            child.kill(reap=False)
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            assert _pids(users_of(), path) == []
            assert not _processes.alive(child.pid)
    finally:
        os.unlink(path)


def test_who_attaches_a_system_v_segment_is_found_by_its_id(shmid):
    with holding(lambda: _kept.append(sysv.shmat(shmid))) as child:
        found = users_of().segments[shmid]
        assert [process.pid for process in found] == [child.pid]
    assert shmid not in users_of().segments


def test_a_segment_of_another_ipc_namespace_is_another_one_though_its_number_is_the_same():
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a namespace")

    def take() -> None:
        if ctypes.CDLL(None, use_errno=True).unshare(0x08000000):  # CLONE_NEWIPC
            os._exit(77)
        _kept.append(sysv.shmat(sysv.shmget(sysv.IPC_PRIVATE, 4096, sysv.IPC_CREAT | 0o600)))

    with holding(take) as child:
        assert b"/SYSV" in Path(f"/proc/{child.pid}/maps").read_bytes()
        named = [process.pid for users in users_of().segments.values() for process in users]
        assert child.pid not in named


def test_who_has_a_message_queue_open_is_found_where_queues_are_files(queue_name):
    if not _processes.mqueue_mounts():
        pytest.skip("no file system of message queues is mounted")
    queue = posix.mq_open(queue_name, os.O_CREAT | os.O_RDWR)
    path = _processes.mqueue_mounts()[0] + queue_name
    assert _pids(users_of(), path) == [os.getpid()]
    posix.mq_close(queue)
    assert _pids(users_of(), path) == []


def test_who_listens_at_a_channel_is_found(name):
    with channel.listen(f"shm:{name}"):
        found = users_of().sockets[f"/dev/shm/isthmus-channel.{name}"]
        assert [process.pid for process in found] == [os.getpid()]


def test_a_process_that_may_not_be_looked_at_is_counted(name, unprivileged):
    path = _file(name)

    def look() -> None:
        os.setgroups([])
        os.setgid(unprivileged)
        os.setuid(unprivileged)
        users = users_of()
        assert users.unseen > 0
        assert not users.complete
        assert users.of(os.stat(path)) == ()

    try:
        with holding(lambda: _map(path)), forked(look) as child:
            assert child.finish() == 0
    finally:
        os.unlink(path)


@pytest.mark.parametrize(
    ("options", "hides"),
    [("rw", False), ("rw,hidepid=1", False), ("rw,hidepid=invisible", True), ("hidepid=4", True)],
)
def test_hidden_processes_are_known_to_be_hidden(monkeypatch, options, hides):
    monkeypatch.setattr(_processes, "_mounts", lambda: iter([("/proc", "proc", options)]))
    assert _processes._hides() is hides


def test_looking_at_many_processes_that_end_meanwhile_raises_nothing():
    with forked(lambda: None) as child:
        seen = _processes._Pass()
        child.finish()
        seen.look(str(os.getpid()))
        seen.look("4194304")  # more than there can be
    assert seen.unseen == 0
