"""`objects`: what there is, whose it is, and what is the matter with it at a short look."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest
from other_processes import Other

import isthmus
from isthmus import inspect
from isthmus.inspect import SharedObject

# Of isthmus_shared_header, and where it ends.
VERSION, KIND, FINGERPRINT, TOTAL_SIZE, HEADER = 8, 12, 16, 24, 256


def named(name: str) -> list[SharedObject]:
    return [one for one in inspect.objects(foreign=False) if name in one.name]


def only(name: str) -> SharedObject:
    (found,) = named(name)
    return found


def path_of(name: str) -> Path:
    found = only(name).path
    assert found is not None
    return Path(found)


def overwrite(name: str, offset: int, data: bytes) -> None:
    with path_of(name).open("r+b") as file:
        file.seek(offset)
        file.write(data)


def test_every_kind_is_listed_by_its_name(name: str) -> None:
    kept = [
        isthmus.Lock(f"{name}/lock"),
        isthmus.RLock(f"{name}/rlock"),
        isthmus.Semaphore(f"{name}/semaphore", 2),
        isthmus.Event(f"{name}/event"),
        isthmus.Condition(f"{name}/condition"),
        isthmus.Barrier(f"{name}/barrier", parties=2),
        isthmus.RWLock(f"{name}/rwlock"),
        isthmus.AtomicInt(f"{name}/atomic int"),
        isthmus.Queue(f"{name}/queue"),
        isthmus.Publisher(f"{name}/topic"),
    ]
    array = isthmus.Array(f"{name}/array", (2,), "f8")
    found = named(name)
    assert sorted(one.kind for one in found) == sorted(
        one.name.removeprefix(f"{name}/") for one in found
    )
    assert len(found) == len(kept) + 1
    for one in found:
        assert one.ours
        assert (one.family, one.library, one.problems) == ("isthmus", "isthmus", ())
        assert one.address == one.name
        assert (one.uid, one.gid, one.mode) == (os.geteuid(), os.getegid(), 0o600)
        assert one.created is not None
        assert abs(time.time() - one.created) < 60
        assert one.resident is not None
        assert one.resident >= one.size
    array.unlink()


def test_names_come_back_as_they_were_given(name: str) -> None:
    strange = f"{name}/a b%c\n ü:x"
    with isthmus.Queue(strange):
        found = only(name)
        assert found.name == strange
        assert inspect.info(found.address).shared.name == strange


def test_a_name_that_looks_like_an_address_gets_one_that_says_so(name: str) -> None:
    with isthmus.Queue(f"mq:{name}"):
        found = only(name)
        assert found.address == f"isthmus:mq:{name}"
        assert inspect.info(found.address).shared.kind == "queue"


def test_depth_counts_messages_that_wait(name: str) -> None:
    with isthmus.Queue(name) as queue:
        queue.put_many(range(5))
        assert only(name).depth == 5
        queue.get()
        with queue.lease():
            assert only(name).depth == 3


def test_depth_of_a_topic_is_how_far_the_slowest_is_behind(name: str) -> None:
    with isthmus.Publisher(name) as publisher:
        publisher.publish(1)
        assert only(name).depth == 0
        with isthmus.Subscriber(name) as slow, isthmus.Subscriber(name) as quick:
            publisher.publish_many([2, 3])
            quick.recv_many(2)
            assert (only(name).depth, slow.lag) == (2, 2)


def test_participants_are_those_that_live_and_those_that_died(name: str) -> None:
    with isthmus.Queue(name), Other(lambda: isthmus.Queue.attach(name)) as other:
        found = only(name)
        assert (found.alive, found.dead, found.in_use) == (2, 0, True)
        other.kill()
        found = only(name)
        assert (found.alive, found.dead, found.in_use) == (1, 1, True)
        assert [problem.severity for problem in found.problems] == ["note"]
        assert "died" in found.problems[0].what


def test_one_whose_users_were_all_killed_is_a_problem(name: str) -> None:
    with Other(lambda: isthmus.Queue(name)) as other:
        assert only(name).problems == ()
        other.kill()
    found = only(name)
    assert (found.alive, found.dead, found.in_use) == (0, 1, False)
    (problem,) = found.problems
    assert problem.severity == "warning"
    assert "All that used it died" in problem.what
    assert "gc" in problem.remedy
    with pytest.raises(FileNotFoundError):
        isthmus.Queue.attach(name)  # which takes it away


def test_what_is_kept_to_tell_of_a_dead_owner_is_not_said_to_go(name: str) -> None:
    def hold() -> isthmus.Lock:
        lock = isthmus.Lock(name)
        lock.acquire()
        return lock

    with Other(hold) as other:
        other.kill()
    (problem,) = only(name).problems
    assert f"`isthmus rm {name}` removes it" in problem.remedy
    (stale,) = inspect.gc(match=[name], act=True)
    assert stale.kept is not None
    inspect.remove(name)


def test_one_that_persists_may_have_nobody(name: str) -> None:
    isthmus.Queue(name, persist=True).close()
    found = only(name)
    assert (found.alive, found.in_use, found.problems) == (0, False, ())
    isthmus.Queue.attach(name).unlink()


def test_an_object_of_another_user_is_listed_and_says_that_it_may_not_be_read(
    name: str, unprivileged: int, run_python: object
) -> None:
    assert callable(run_python)
    program = """
        import json, sys
        from isthmus import inspect
        found = [one for one in inspect.objects(foreign=False) if one.name == sys.argv[1]]
        try:
            inspect.info(sys.argv[1])
        except isthmus.AccessError as error:
            print(json.dumps([inspect.to_dict(found), str(error)]))
        """
    with isthmus.Queue(name):
        told, error = json.loads(run_python(program, name, user=unprivileged))
    (one,) = told
    assert (one["kind"], one["uid"], one["mode"]) == ("object", 0, 0o600)
    assert "may not be looked into" in one["problems"][0]["what"]
    assert one["size"] > 1 << 20
    assert name in error
    assert "owner" in error


def test_an_object_that_others_may_read_is_read_by_them(
    name: str, unprivileged: int, run_python: object
) -> None:
    assert callable(run_python)
    program = """
        import json, sys
        from isthmus import inspect
        print(json.dumps(inspect.to_dict(inspect.info(sys.argv[1]))))
        """
    with isthmus.Queue(name, mode=0o644) as queue:
        queue.put_many([1, 2])
        told = json.loads(run_python(program, name, user=unprivileged))
    assert told["shared"]["depth"] == 2
    assert told["members"][0]["alive"]


@pytest.mark.parametrize(
    ("offset", "data", "severity", "says"),
    [
        (0, b"\0" * 8, "damage", "is empty"),
        (0, b"ELF\x7f....", "damage", "does not say that it is of isthmus"),
        (VERSION, b"\xff\0\0\0", "warning", "format version 255"),
        (KIND, b"\xff\0\0\0", "damage", "a kind that there is not: 255"),
        (KIND, b"\x0b\0\0\0", "damage", "Its header says topic"),
        (KIND, b"\x02\0\0\0", "damage", "fingerprint of another layout"),
        (FINGERPRINT, b"\0" * 8, "damage", "fingerprint of another layout"),
        (TOTAL_SIZE, b"\xff" * 7 + b"\0", "damage", "cut off"),
        (HEADER, b"\0" * 8, "damage", "control block is damaged"),
        (HEADER + 8, b"\x02", "damage", "its control block lock"),
        (HEADER + 24, b"\xff" * 4, "damage", "slots, more than there can be"),
        (HEADER + 28, b"\xff\xff\0\0", "damage", "are said to be in use"),
        (HEADER + 64, b"\x01" + b"\0" * 7, "damage", "none that a ring can have"),
        (HEADER + 64 + 16, b"\x01" + b"\0" * 7, "damage", "names other places"),
    ],
)
def test_a_damaged_object_is_listed_with_what_is_wrong(
    name: str, offset: int, data: bytes, severity: str, says: str
) -> None:
    with isthmus.Queue(name, persist=True) as queue:
        overwrite(name, offset, data)
        found = only(name)
        assert found.problems[0].severity == severity
        assert any(says in problem.what for problem in found.problems), found.problems
        told = inspect.info(name)
        assert told.problems
        queue.unlink()


def test_a_file_that_is_cut_off_is_listed_at_any_length(name: str) -> None:
    isthmus.Queue(name, persist=True).close()
    path = path_of(name)
    for length in (100_000, 1000, 300, 256, 100, 1, 0):
        os.truncate(path, length)
        assert only(name).problems[0].severity == "damage"
        regions = inspect.info(name).regions
        assert sum(region.size for region in regions) == length
    path.unlink()


def test_what_is_no_file_of_ours_is_left_alone(name: str) -> None:
    folder = Path("/dev/shm") / f"isthmus.{name}"
    folder.mkdir()
    link = Path("/dev/shm") / f"isthmus.{name}-link"
    link.symlink_to("/etc/passwd")
    fifo = Path("/dev/shm") / f"isthmus.{name}-fifo"
    os.mkfifo(fifo)
    try:
        assert named(name) == []
        for strange in (f"{name}-link", f"{name}-fifo", name):
            with pytest.raises(isthmus.ForeignError, match=strange):
                inspect.info(strange)
    finally:
        folder.rmdir()
        link.unlink()
        fifo.unlink()


def test_objects_that_come_and_go_meanwhile_do_no_harm(name: str) -> None:
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            with isthmus.Queue(f"{name}/{os.urandom(2).hex()}", capacity=4096) as queue:
                queue.put(1)

    threads = [threading.Thread(target=come_and_go) for _ in range(2)]
    with isthmus.Queue(f"{name}/stays"):
        for thread in threads:
            thread.start()
        try:
            for _ in range(12):
                found = {one.name: one for one in named(name)}
                assert f"{name}/stays" in found
                assert all(one.kind == "queue" for one in found.values()), found
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def test_info_of_one_that_is_not_there_says_so(name: str) -> None:
    with pytest.raises(isthmus.NotFoundError, match=name):
        inspect.info(name)
    with pytest.raises(isthmus.NotFoundError):
        inspect.info(f"isthmus:{name}")


@pytest.mark.parametrize(
    "address",
    ["", "a\0b", "sysv-shm:x", "sysv-shm:", "posix:a/b", "mq:", "x" * 300, "socket:" + "/" * 90],
)
def test_an_address_that_nothing_can_have_is_refused(address: str) -> None:
    with pytest.raises(isthmus.ArgumentError):
        inspect.info(address)
