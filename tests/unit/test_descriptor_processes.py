"""Descriptors of handles when processes die, and across namespaces: the waiter only ever polls."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from typing import Any

import pytest
from bare_calls import PATIENCE, until
from sharing import Signal, forked, holding, objects
from watches import without_inotify

import isthmus
from isthmus import Event, Lock, Publisher, Queue, RLock, Semaphore

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

NOTHING: Any = object()


def told(descriptor: int, attempt: Callable[[], Any], nothing: object = False) -> Any:
    """What an attempt gives in the end that is made only when the descriptor is readable."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert select.select([descriptor], [], [], PATIENCE)[0], "not told"
        found = attempt()
        if found is not nothing:
            return found
    pytest.fail("told of nothing")


def quiet(descriptor: int) -> bool:
    return not select.select([descriptor], [], [], 0)[0]


def silenced(descriptor: int, look: Callable[[], object]) -> bool:
    """Whether looks make it quiet: a ring for one who has gone before may still come."""
    for _ in range(100):
        if quiet(descriptor):
            return True
        look()
    return False


# ---- The dead ---------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [False, True], ids=["anonymous", "named"])
@pytest.mark.parametrize("kind", [Lock, RLock])
def test_a_lock_is_told_of_when_its_owner_is_killed(kind: Any, named: bool, name: str) -> None:
    with contextlib.closing(kind(name if named else None, on_owner_death="ignore")) as lock:
        descriptor = lock.fileno()
        for _ in range(3):
            with holding(lock.acquire) as process:
                assert not lock.acquire(block=False)
                assert silenced(descriptor, lambda: lock.acquire(block=False))
                process.kill()
                assert told(descriptor, lambda: lock.acquire(block=False))
                assert lock.owner_died
            lock.release()


def test_a_permit_is_told_of_when_its_holder_is_killed() -> None:
    with contextlib.closing(Semaphore(value=1, robust=True)) as permits:
        descriptor = permits.fileno()
        with holding(permits.acquire) as process:
            assert not permits.acquire(block=False)
            process.kill()
            assert told(descriptor, lambda: permits.acquire(block=False))


def test_a_message_is_told_of_when_the_holder_of_its_lease_is_killed() -> None:
    with Queue() as q:
        descriptor = q.fileno()
        q.put("job")
        with holding(lambda: kept.append(q.lease())) as process:
            assert q._get_or(None) is None
            assert quiet(descriptor)
            process.kill()
            assert told(descriptor, lambda: q._get_or(None), None) == "job"
        assert quiet(descriptor)


kept: list[object] = []


def test_room_is_told_of_when_the_subscriber_in_the_way_is_killed() -> None:
    with Publisher(capacity=4096) as pub:
        room = pub.writable_fileno()
        with holding(lambda: kept.append(pub.subscriber())) as process:
            with contextlib.suppress(isthmus.Full):
                while True:
                    pub.publish(bytes(1000), timeout=0)
            assert quiet(room)
            process.kill()
            assert told(room, lambda: pub._publish_now(bytes(1000)) is None)


@pytest.mark.slow
def test_a_producer_that_is_killed_at_any_moment_keeps_nobody_from_being_told() -> None:
    with Queue(capacity=4096) as q:
        descriptor = q.fileno()

        def put_for_ever() -> None:
            for i in range(10**9):
                q.put(i)

        for _ in range(30):
            with forked(put_for_ever) as process:
                for i in range(50):
                    assert told(descriptor, lambda: q._get_or(NOTHING), NOTHING) == i
                process.kill()
            while q._get_or(NOTHING) is not NOTHING:
                pass
            with forked(lambda: q.put("after")) as process:
                assert told(descriptor, lambda: q._get_or(NOTHING), NOTHING) == "after"
                assert process.finish() == 0


def test_a_waiter_that_is_killed_leaves_nothing(name: str) -> None:
    with Queue(name, maxsize=1) as q, contextlib.closing(Lock(f"{name}-lock")) as lock:
        before = objects(name)
        lock.acquire()

        def take_part() -> None:
            q.put(1)
            for each in (q.fileno(), q.writable_fileno(), lock.fileno()):
                select.select([each], [], [], 0)

        for _ in range(3):
            with holding(take_part) as process:
                assert objects(name) == before
                process.kill()
            assert q.get(timeout=PATIENCE) == 1
            assert len(q.consumers()) == 1
        lock.release()
        assert objects(name) == before
        descriptor = q.fileno()
        q.put(2)
        assert told(descriptor, lambda: q._get_or(None), None) == 2


# ---- Several, and elsewhere ----------------------------------------------------------------


def test_two_processes_that_wait_for_one_queue_are_both_told() -> None:
    with Queue() as q, Queue() as answers, Signal() as ready:
        descriptor = q.fileno()

        def in_child() -> None:
            mine = q.fileno()
            assert q._get_or(None) is None
            ready.set()
            assert select.select([mine], [], [], PATIENCE)[0]
            answers.put("told")

        with forked(in_child) as process:
            ready.wait()
            assert q._get_or(None) is None
            q.put(1)
            assert not quiet(descriptor)
            assert answers.get(timeout=PATIENCE) == "told"
            assert process.finish() == 0
            assert q.get() == 1


def test_where_the_system_gives_no_more_watches_they_still_tell() -> None:
    with Queue() as q, Queue() as answers, contextlib.closing(Lock()) as lock:

        def in_child() -> None:
            try:
                without_inotify()
            except OSError:
                answers.put("not here")
                return
            descriptor = q.fileno()
            lock.acquire()
            answers.put("waits")
            assert told(descriptor, lambda: q._get_or(None), None) == 1
            assert isthmus.wait([lock, descriptor], 0.001) in ([], [descriptor])
            answers.put("told")
            assert isthmus.wait([q, read], PATIENCE) == [q]

        read, write = os.pipe()
        with forked(in_child) as process:
            if answers.get(timeout=PATIENCE) == "not here":
                pytest.skip("this user may not make user namespaces")
            q.put(1)
            assert answers.get(timeout=PATIENCE) == "told"
            q.put(2)
            assert process.finish() == 0
        os.close(read)
        os.close(write)


NAMESPACES = {
    "net": ["-n"],
    "pid": ["-p", "-f", "--kill-child"],
    "pid and proc": ["-p", "-f", "--kill-child", "--mount-proc"],
    "net and pid": ["-n", "-p", "-f", "--kill-child"],
    "all": ["-n", "-p", "-f", "--kill-child", "--mount-proc", "-i", "-u"],
}


@pytest.fixture(params=NAMESPACES.values(), ids=NAMESPACES.keys())
def elsewhere(request: pytest.FixtureRequest) -> list[str]:
    """The command before a program that is to run in namespaces of its own."""
    command = [shutil.which("unshare") or "", *request.param]
    if not command[0] or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("this user may not make such namespaces")
    return [*command, sys.executable, "-P", "-c"]


@pytest.mark.slow
def test_processes_that_share_only_the_memory_tell_each_other(
    elsewhere: list[str], name: str
) -> None:
    program = """
        import select, sys, isthmus
        there, back = isthmus.Queue(sys.argv[1]), isthmus.Queue(sys.argv[1] + "-back")
        lock = isthmus.Lock(sys.argv[1] + "-lock")
        lock.acquire()
        there.fileno()
        back.put("ready")
        for i in range(100):
            while (found := there._get_or(None)) is None:
                assert select.select([there.fileno()], [], [], 60)[0]
            back.put(found)
        select.select([there], [], [], 60)
    """
    there, back = Queue(name), Queue(f"{name}-back")
    lock = Lock(f"{name}-lock", on_owner_death="ignore")
    with there, back, contextlib.closing(lock):
        command = [*elsewhere, textwrap.dedent(program), name]
        with subprocess.Popen(command) as process:
            answers, free = back.fileno(), lock.fileno()
            assert told(answers, lambda: back._get_or(None), None) == "ready"
            assert not lock.acquire(block=False)
            for i in range(100):
                there.put(i)
                assert told(answers, lambda: back._get_or(None), None) == i
            assert quiet(free)
            process.kill()  # and so what it runs
            assert told(free, lambda: lock.acquire(block=False))
            assert lock.owner_died
            lock.release()
        # Who closes last removes them: that is to be this process.
        until(lambda: not there.consumers() and not back.producers())


def test_an_event_of_a_process_that_dies_at_once_is_told() -> None:
    with contextlib.closing(Event()) as event:
        descriptor = event.fileno()
        for _ in range(20):
            with forked(event.set) as process:
                assert told(descriptor, lambda: event.wait(0))
                assert process.finish() == 0
            event.clear()
            assert event.is_set() is False
