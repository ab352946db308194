"""`info` and `Watch`: everything about one object, and how it changes."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from other_processes import PATIENCE, Other

import isthmus
from isthmus import inspect
from isthmus.inspect import Info, LockState, Member
from isthmus.inspect.looking._structs import structs


def until(holds: Callable[[], object]) -> None:
    """Look until it holds; each look takes a while by itself."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it never happened"


def lock_of(name: str, what: str = "lock") -> LockState:
    (found,) = (lock for lock in inspect.info(name).locks if lock.what == what)
    return found


def member_of(found: Info, pid: int) -> Member:
    (member,) = (member for member in found.members if member.pid == pid)
    return member


def held(name: str) -> isthmus.Lock:
    lock = isthmus.Lock(name)
    lock.acquire()
    return lock


def take(lock: isthmus.Lock) -> None:
    with warnings.catch_warnings(action="ignore"):
        lock.acquire()


def problems(name: str) -> str:
    return " ".join(problem.what for problem in inspect.info(name).problems)


def test_a_queue_tells_what_it_was_made_with_and_what_is_in_it(name: str) -> None:
    with isthmus.Queue(
        name, capacity=65536, maxsize=7, max_attempts=2, persist=True, participants=9
    ) as queue:
        queue.put_many(range(5))
        queue.get()
        with queue.lease():
            found = inspect.info(name)
        assert found.configuration == {
            "capacity": 65536,
            "maxsize": 7,
            "max_attempts": 2,
            "participants": 9,
            "persist": True,
        }
        assert (found.gauges["ready"], found.gauges["leased"], found.gauges["aside"]) == (3, 1, 0)
        assert (found.counters["put"], found.counters["done"]) == (5, 1)
        assert found.gauges["used_bytes"] == 4 * 64
        assert found.rates == {}
        queue.unlink()


def test_counts_are_those_that_stats_gives(name: str) -> None:
    with isthmus.Queue(name, max_attempts=1) as queue:
        queue.put_many(range(20))
        for turn in range(3):
            lease = queue.lease()
            with lease:
                pass
            with pytest.raises(ZeroDivisionError), queue.lease():
                raise ZeroDivisionError(turn)
        queue.get_many(4)
        stats, found = queue.stats(), inspect.info(name)
        assert found.gauges["ready"] == stats.ready
        assert found.gauges["aside"] == stats.aside == 3
        assert found.gauges["used_bytes"] == stats.used
        assert found.counters["put"] == stats.put
        assert found.counters["set_aside"] == stats.set_aside
        assert found.counters["redelivered"] == stats.redelivered
        assert any("set aside" in problem.what for problem in found.problems)


def test_participants_say_who_they_are_and_what_they_do(name: str) -> None:
    with isthmus.Queue(name) as queue:
        queue.put(1)

        def work() -> object:
            other = isthmus.Queue.attach(name)
            return other, other.lease()

        with Other(work) as other:
            found = inspect.info(name)
            me, worker = member_of(found, os.getpid()), member_of(found, other.pid)
            assert (me.roles, worker.roles) == (("producer",), ("consumer",))
            assert me.alive
            assert worker.alive
            assert me.command == worker.command
            assert me.command is not None
            assert "python" in me.command
            assert me.since is not None
            assert worker.share == 1
            assert worker.share_since is not None
            assert abs(worker.share_since - time.time()) < PATIENCE
            other.kill()
            worker = member_of(inspect.info(name), other.pid)
            assert (worker.alive, worker.command, worker.share) == (False, None, 1)
        assert queue.get(timeout=PATIENCE) == 1
        assert member_of(inspect.info(name), os.getpid()).roles == ("producer", "consumer")


def test_a_topic_tells_of_each_subscriber_how_far_it_is_behind(name: str) -> None:
    with (
        isthmus.Publisher(name, capacity=4096, overflow="overwrite") as publisher,
        isthmus.Subscriber(name) as slow,
        isthmus.Subscriber(name) as quick,
    ):
        for i in range(200):
            publisher.publish(i)
            quick.recv()
        found = inspect.info(name)
        lags = sorted(member.lag for member in found.members if member.lag is not None)
        assert lags == [0, 200]
        assert found.shared.depth == slow.lag == 200
        assert found.counters["published"] == 200
        assert found.gauges["kept"] == 64
        assert "behind" in found.problems[0].what
        assert str(os.getpid()) in found.problems[0].what
        slow.recv()
        found = inspect.info(name)
        assert sorted(member.missed or 0 for member in found.members) == [0, 0, slow.missed]
        assert found.gauges["missed"] == slow.missed > 0


def test_a_view_that_pins_a_record_is_told(name: str) -> None:
    with isthmus.Publisher(name) as publisher, isthmus.Subscriber(name) as subscriber:
        publisher.publish(b"x" * 100)
        assert not any(member.pinned for member in inspect.info(name).members)
        with subscriber.view():
            assert [member.pinned for member in inspect.info(name).members] == [False, True]


def test_a_lock_tells_who_holds_it_since_when_and_who_waits(name: str) -> None:
    lock = isthmus.Lock(name)
    found = lock_of(name)
    assert (found.locked, found.owner, found.since) == (False, None, None)
    with Other(lambda: held(name)) as other:
        waiting = threading.Thread(target=take, args=(lock,))
        waiting.start()
        # Between two pieces of its wait, when it looks after signals, it waits for nothing.
        looks: list[Info] = []
        until(lambda: looks.append(inspect.info(name)) or looks[-1].gauges["waiting"])
        whole = looks[-1]
        found = whole.locks[0]
        assert found.locked
        assert found.contended
        assert found.owner is not None
        assert (found.owner.pid, found.owner.alive) == (other.pid, True)
        assert found.thread == other.pid
        assert found.since is not None
        assert abs(found.since - time.time()) < PATIENCE
        me = member_of(whole, os.getpid())
        assert (me.waiting, me.waiting_thread) == (1, waiting.native_id)
        assert me.waiting_since is not None
        assert me.waiting_since >= found.since - 0.1
        assert "waiter" in me.roles
        other.kill()
        waiting.join()
    found = lock_of(name)
    assert found.owner is not None
    assert (found.owner.pid, found.deaths) == (os.getpid(), 1)
    lock.release()


def test_a_lock_whose_owner_was_killed_says_so(name: str) -> None:
    lock = isthmus.Lock(name)
    with Other(lambda: held(name)) as other:
        other.kill()
    found = lock_of(name)
    assert found.owner is not None
    assert not found.owner.alive
    assert "which died" in problems(name)
    with pytest.warns(isthmus.OwnerDiedWarning):
        assert lock.acquire(timeout=PATIENCE)
    lock.abandon()
    assert lock_of(name).abandoned
    assert "died holding it" in problems(name)
    with pytest.warns(isthmus.OwnerDiedWarning), lock:
        pass
    assert "died holding it" not in problems(name)


def test_other_primitives_tell_their_state(name: str) -> None:
    semaphore = isthmus.Semaphore(f"{name}/s", 3, robust=True)
    semaphore.acquire()
    found = inspect.info(f"{name}/s")
    assert (found.configuration["initial"], found.configuration["robust"]) == (3, True)
    assert found.gauges["permits"] == 2
    assert found.members[0].roles == ("holder",)
    semaphore.release()
    plain = isthmus.Semaphore(f"{name}/p", 5)
    plain.acquire()
    assert inspect.info(f"{name}/p").gauges["permits"] == 4
    event = isthmus.Event(f"{name}/e")
    assert inspect.info(f"{name}/e").gauges["set"] == 0
    event.set()
    assert inspect.info(f"{name}/e").gauges["set"] == 1
    rwlock = isthmus.RWLock(f"{name}/rw")
    with rwlock.read:
        found = inspect.info(f"{name}/rw")
        assert (found.gauges["readers"], found.members[0].roles) == (1, ("reader",))
    with rwlock.write:
        found = inspect.info(f"{name}/rw")
        assert found.locks[0].what == "writer"
        assert found.members[0].roles == ("writer",)
    number = isthmus.AtomicInt(f"{name}/i")
    number.add(-5)
    assert inspect.info(f"{name}/i").gauges["value"] == -5
    barrier = isthmus.Barrier(f"{name}/b", parties=2)
    waiting = threading.Thread(target=barrier.wait)
    waiting.start()
    until(lambda: inspect.info(f"{name}/b").gauges["arrived"] == 1)
    barrier.wait()
    waiting.join()
    found = inspect.info(f"{name}/b")
    assert (found.counters["rounds"], found.gauges["broken"]) == (1, 0)
    barrier.abort()
    assert inspect.info(f"{name}/b").gauges["broken"] == 1
    condition = isthmus.Condition(f"{name}/c")
    with condition:
        condition.notify()
        assert inspect.info(f"{name}/c").locks[0].locked


def test_one_that_is_stopped_while_it_holds_something_is_a_problem(name: str) -> None:
    with isthmus.Queue(name) as queue:
        queue.put_many("ab")
        with Other(lambda: isthmus.Queue(name).lease()) as other:
            assert problems(name) == ""
            os.kill(other.pid, signal.SIGSTOP)
            until(lambda: f"pid {other.pid} " in problems(name))
            assert "is stopped" in problems(name)
            os.kill(other.pid, signal.SIGCONT)
            until(lambda: problems(name) == "")


def test_the_dead_wait_for_nothing(name: str) -> None:
    lock = held(name)

    def wait() -> None:
        threading.Thread(target=lambda: take(isthmus.Lock(name)), daemon=True).start()

    with Other(wait) as other:
        until(lambda: inspect.info(name).gauges["waiting"])
        other.kill()
    found = inspect.info(name)
    assert (found.gauges["dead"], found.gauges["waiting"]) == (1, 0)
    lock.release()


@pytest.mark.parametrize("kind", ["Semaphore", "Event", "AtomicInt"])
def test_who_waits_is_not_told_where_nobody_can_know(name: str, kind: str) -> None:
    made = getattr(isthmus, kind)(name)
    gauges = inspect.info(name).gauges
    assert not {"participants", "dead", "waiting"} & set(gauges)
    made.close()


@pytest.mark.parametrize(
    "text", [b"[" * 60_000, b'{"a":' * 300 + b"1" + b"}" * 300, b'{"shape": NaN}']
)
def test_a_dtype_that_makes_no_sense_is_told_as_text(name: str, text: bytes) -> None:
    array = isthmus.Array(name, 3)
    fields = structs()["array"].fields
    with (Path("/dev/shm") / f"isthmus.{name}").open("r+b", 0) as file:
        control = structs()["header"].read(file.read(256))["control_offset"]
        end = file.seek(0, os.SEEK_END)
        file.write(text)
        for field, value in (("dtype_size", len(text)), ("dtype_offset", end)):
            offset, width = fields[field]
            file.seek(control + offset)
            file.write(value.to_bytes(width, "little"))
    found = inspect.to_dict(inspect.info(name))
    assert found["configuration"]["dtype"] == text.decode()
    array.unlink()


def test_an_array_tells_shape_dtype_and_who_has_its_lock(name: str) -> None:
    array = isthmus.Array(name, (3, 4), "f8")
    with array.lock:
        found = inspect.info(name)
        assert found.locks[0].locked
        assert found.members[0].roles == ("owner",)
    assert found.configuration["shape"] == [3, 4]
    assert found.configuration["dtype"] == "<f8"
    assert found.configuration["order"] == "C"
    elements = next(region for region in found.regions if region.name == "elements")
    assert elements.size == 96
    array.unlink()


@pytest.mark.parametrize("kind", ["queue", "queue with aside", "topic", "lock", "array"])
def test_the_layout_map_covers_the_file_without_gaps(name: str, kind: str) -> None:
    made = {
        "queue": lambda: isthmus.Queue(name),
        "queue with aside": lambda: isthmus.Queue(name, max_attempts=3),
        "topic": lambda: isthmus.Publisher(name),
        "lock": lambda: isthmus.Lock(name),
        "array": lambda: isthmus.Array(name, (5,), "u1"),
    }[kind]()
    found = inspect.info(name)
    at = 0
    for region in found.regions:
        assert region.offset == at
        at += region.size
    assert at == found.shared.size
    made.unlink()


def test_rates_are_told_between_two_looks(name: str) -> None:
    with isthmus.Queue(name) as queue:
        before = inspect.info(name)
        queue.put_many(range(10))
        queue.get_many(4)
        after = inspect.info(name)
        told = inspect.rates(before, after)
        passed = after.taken_monotonic - before.taken_monotonic
        assert told["put"] * passed == pytest.approx(10)
        assert told["done"] * passed == pytest.approx(4)
        assert inspect.info(name, seconds=0.001).rates["put"] == 0


def test_rates_of_two_objects_of_one_name_are_none(name: str) -> None:
    with isthmus.Queue(name):
        before = inspect.info(name)
    with isthmus.Queue(name):
        assert inspect.rates(before, inspect.info(name)) == {}


@pytest.mark.parametrize("seconds", [-1, float("nan"), 1e9])
def test_a_time_that_cannot_be_is_refused(name: str, seconds: float) -> None:
    with isthmus.Queue(name), pytest.raises(isthmus.ArgumentError, match="seconds"):
        inspect.info(name, seconds=seconds)


def test_a_counter_that_is_a_little_less_than_before_has_not_grown(name: str) -> None:
    # What is done with is told from numbers that were read one after the other.
    with isthmus.Queue(name) as queue:
        queue.put_many(range(3))
        before = inspect.info(name)
        after = replace(
            before,
            taken_monotonic=before.taken_monotonic + 2,
            counters={**before.counters, "done": 2**64 - 1, "put": 7, "bytes": 0},
        )
        assert inspect.rates(before, after) == {
            "put": 2, "done": 0, "redelivered": 0, "set_aside": 0, "bytes": 0,
        }  # fmt: skip


def test_a_queue_that_is_full_behind_a_lease_says_so(name: str) -> None:
    with isthmus.Queue(name, capacity=8192) as queue:
        queue.put("long work")
        with queue.lease():
            for number in range(126):
                queue.put(number)
                queue.get()
            (problem,) = inspect.info(name).problems
            assert problem.what.startswith("It is full")
            assert "still being worked on" in problem.remedy
        assert inspect.info(name).problems == ()


def test_a_full_queue_without_consumers_is_a_problem(name: str) -> None:
    with isthmus.Queue(name, maxsize=2) as queue:
        queue.put_many([1, 2])
        assert "holds 2 messages, its maxsize" in problems(name)
        assert "no consumer there" in problems(name)
        queue.get()
        assert problems(name) == ""
        queue.shutdown()
        assert "shut down" in problems(name)


def test_a_table_that_is_nearly_full_is_a_problem(name: str) -> None:
    with isthmus.Queue(name, participants=2), isthmus.Queue(name):
        assert "2 of 2 participants" in problems(name)


def test_one_that_everybody_may_write_to_is_noted(name: str) -> None:
    with isthmus.Queue(name, mode=0o666):
        assert "Every user" in problems(name)


def test_what_was_found_can_be_kept_and_compared(name: str) -> None:
    with isthmus.Queue(name) as queue:
        queue.put(1)
        found = inspect.info(name)
        with pytest.raises(AttributeError):
            found.shared = found.shared  # type: ignore[misc]
        assert pickle.loads(pickle.dumps(found.shared)) == found.shared
        told = inspect.to_dict(found)
        assert told["gauges"]["ready"] == 1
        assert told["shared"]["ours"] is True


def test_watch_tells_rates_from_look_to_look(name: str) -> None:
    watch = inspect.Watch()
    with isthmus.Queue(name) as queue:
        assert watch.look().infos[name].rates == {}
        queue.put(1)
        sight = watch.look()
        assert sight.infos[name].rates["put"] > 0
        assert sight.infos[name].shared in sight.objects
        assert watch.look().infos[name].rates["put"] == 0
    assert name not in watch.look().infos


def test_inspect_is_loaded_when_it_is_used(run_python: Callable[..., str]) -> None:
    program = """
        import sys, isthmus
        assert "isthmus.inspect" not in sys.modules
        isthmus.inspect.objects()
        print(*sorted({name.partition(".")[0] for name in sys.modules}))
        """
    loaded = set(run_python(program).split())
    assert "isthmus" in loaded
    assert not loaded & {"numpy", "rich", "click", "textual", "prometheus_client", "asyncio"}
    assert sys.modules["isthmus"]
