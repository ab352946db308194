"""Evicting participants, and shutting queues down from outside."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from other_processes import Other

import isthmus
from isthmus import LeaseLostError, Queue, ShutDown
from isthmus.errors import (
    ArgumentError,
    InUseError,
    KindError,
    NotFoundError,
    NotHeldError,
    UnsupportedError,
)
from isthmus.inspect import evict, info, repair, shut_down

PATIENCE = 60.0


@pytest.fixture
def thread() -> Iterator[Callable[[Callable[[], object]], threading.Thread]]:
    """Starts threads, which must have ended at the end."""
    started: list[threading.Thread] = []

    def start(work: Callable[[], object]) -> threading.Thread:
        started.append(threading.Thread(target=work, daemon=True))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.join(PATIENCE)
        assert not one.is_alive()


def member(name: str, role: str) -> isthmus.inspect.Member:
    (found,) = [one for one in info(name).members if role in one.roles]
    return found


# ---- Queues ----------------------------------------------------------------------------


def test_what_an_evicted_consumer_has_leased_is_ready_again_in_its_place(name: str) -> None:
    with Queue(name) as queue, Queue.attach(name) as slow:
        queue.put_many(range(4))
        jobs = [slow.lease() for _ in range(2)]
        done = evict(name, member(name, "consumer"))
        assert (done.leases, done.dead, done.pid) == (2, False, os.getpid())
        assert queue.stats().leased == 0
        for job in jobs:
            with pytest.raises(LeaseLostError, match="evicted"):
                job.acknowledge()
        with queue.lease() as job:
            assert (job.value, job.attempt) == (0, 2)
        assert queue.get_many(9, timeout=0) == [1, 2, 3]
        # It goes on as any other.
        queue.put("more")
        with slow.lease() as job:
            assert job.value == "more"
        for _ in range(3):
            queue.task_done()
        queue.join()


def test_an_evicted_consumer_wakes_up_who_waits_for_its_messages(name, thread) -> None:
    with Queue(name) as queue, Queue.attach(name) as slow:
        queue.put("job")
        job = slow.lease()
        got: list[object] = []
        with Queue.attach(name) as waiting:
            one = thread(lambda: got.append(waiting.get(timeout=PATIENCE)))
            while not any(each.waiting for each in info(name).members):
                pass
            evict(name, 1)
            one.join(PATIENCE)
        assert got == ["job"]
        with pytest.raises(LeaseLostError):
            job.give_back()


def test_with_max_attempts_what_was_delivered_too_often_is_set_aside(name: str) -> None:
    with Queue(name, max_attempts=1) as queue:
        queue.put("poison")
        job = queue.lease()
        assert evict(name, 0).leases == 1
        assert [one.value for one in queue.aside()] == ["poison"]
        with pytest.raises(LeaseLostError):
            job.acknowledge()


def test_what_was_got_without_a_lease_stays_owed(name: str) -> None:
    with Queue(name) as queue:
        queue.put_many("ab")
        queue.get()
        job = queue.lease()
        evict(name, 0)
        assert info(name).members[0].owed == 1
        queue.task_done()
        with pytest.raises(LeaseLostError):
            job.acknowledge()


def test_one_that_holds_nobody_up_is_not_evicted(name: str) -> None:
    with Queue(name) as queue:
        queue.put(1)
        with pytest.raises(NotHeldError, match="no leases"):
            evict(name, 0)
    with isthmus.Publisher(f"{name}/t") as pub:
        pub.publish(1)
        with pytest.raises(NotHeldError, match="no subscriber"):
            evict(f"{name}/t", 0)


def test_a_stopped_process_that_has_the_lock_is_named(name: str) -> None:
    with Queue(name) as queue:
        queue.put(1)
        job = queue.lease()
        # As one that was stopped between two instructions.
        word = next(one.offset for one in info(name).regions if one.name == "cursors") + 384
        with Queue.attach(name), open(f"/dev/shm/isthmus.{name}", "r+b", buffering=0) as file:
            os.pwrite(file.fileno(), (2).to_bytes(4, "little"), word)
            for act in (lambda: evict(name, 0, timeout=0.01), lambda: repair(name, timeout=0.01)):
                with pytest.raises(InUseError, match=rf"process {os.getpid()} .*consumers' lock"):
                    act()
            os.pwrite(file.fileno(), bytes(4), word)
        assert evict(name, 0).leases == 1
        with pytest.raises(LeaseLostError):
            job.acknowledge()


# ---- Topics ----------------------------------------------------------------------------


def test_publishers_do_not_wait_for_an_evicted_subscriber_which_reads_on(name, thread) -> None:
    with isthmus.Publisher(name, capacity=4096) as pub, isthmus.Subscriber(name) as slow:
        assert not slow.evicted
        for _ in range(4096 // 64):
            pub.publish(b"x" * 32)
        one = thread(lambda: pub.publish(b"y" * 32, timeout=PATIENCE))
        while not any(each.waiting for each in info(name).members):
            pass
        done = evict(name, member(name, "subscriber"))
        assert (done.subscriber, done.pinned, done.leases) == (True, False, 0)
        one.join(PATIENCE)
        assert slow.evicted
        assert (pub.subscribers(), pub.stats().subscribers, pub.stats().evicted) == ([], 0, 1)
        for _ in range(100):
            pub.publish(b"z" * 32)
        lag = slow.lag
        assert lag == 165
        got = slow.recv_many(1000, timeout=0)
        assert got[-1] == b"z" * 32
        assert len(got) + slow.missed == lag
        assert slow.missed > 0
        # It waits as ever, also by its descriptor.
        import select

        assert slow.fileno() >= 0
        pub.publish(b"last")
        assert select.select([slow], [], [], PATIENCE)[0] == [slow]
        assert slow.recv(timeout=PATIENCE) == b"last"


def test_what_an_evicted_subscriber_has_in_view_stays(name: str) -> None:
    with isthmus.Publisher(name, capacity=4096) as pub, isthmus.Subscriber(name) as slow:
        pub.publish(b"seen" * 100)
        with slow.view() as seen:
            assert evict(name, 1).pinned
            published = 0
            with pytest.raises(isthmus.Full):
                while True:
                    pub.publish(b"x" * 400, timeout=0)
                    published += 1
            assert published > 0
            assert bytes(seen) == b"seen" * 100
            del seen
        pub.publish(b"x" * 400, timeout=0)


def test_a_new_subscriber_is_not_taken_for_an_evicted_one(name: str) -> None:
    with isthmus.Publisher(name) as pub:
        with isthmus.Subscriber(name):
            old = member(name, "subscriber")
        with isthmus.Subscriber(name) as new:
            assert member(name, "subscriber").slot == old.slot
            with pytest.raises(NotFoundError, match="takes no part"):
                evict(name, old)
            with pytest.raises(NotFoundError):
                evict(name, replace(member(name, "subscriber"), pid=1))
            assert not new.evicted
            evict(name, member(name, "subscriber"))
            assert new.evicted
        assert pub.stats().evicted == 1


# ---- The dead, and others --------------------------------------------------------------


def test_a_dead_participant_of_any_kind_is_put_in_order(name: str) -> None:
    semaphore = isthmus.Semaphore(f"{name}/s", 1, robust=True)
    with Queue(name) as queue, contextlib.closing(semaphore):
        queue.put("job")
        kept: list[object] = []

        def take() -> None:
            kept.append(Queue.attach(name))
            kept.append(kept[0].lease())  # type: ignore[attr-defined]
            kept.append(isthmus.Semaphore.attach(f"{name}/s"))
            kept[2].acquire()  # type: ignore[attr-defined]

        with Other(take) as other:
            other.kill()
        done = evict(name, next(one for one in info(name).members if not one.alive))
        assert (done.dead, done.leases, done.pid) == (True, 1, other.pid)
        assert queue.stats().ready == 1
        assert len(info(name).members) == 1
        dead = next(one for one in info(f"{name}/s").members if not one.alive)
        assert evict(f"{name}/s", dead.slot).dead
        assert semaphore.acquire(timeout=0)
        semaphore.release()


def test_who_has_a_lock_and_lives_keeps_it(name: str) -> None:
    with contextlib.closing(isthmus.Lock(name)) as lock, lock:
        with pytest.raises(UnsupportedError, match="when that process ends"):
            evict(name, 0)
        assert lock.locked()


def test_what_has_no_participants_has_none_to_evict(name: str) -> None:
    with pytest.raises(NotFoundError):
        evict(name, 0)
    with contextlib.closing(isthmus.Event(name)), pytest.raises(NotFoundError):
        evict(name, 0)
    with isthmus.Segment.create(name, 4096) as segment:
        with pytest.raises(UnsupportedError, match="not an object of isthmus"):
            evict(f"posix:{name}", 0)
        segment.unlink()
    with Queue(name), pytest.raises(ArgumentError):
        evict(name, 0, timeout=float("nan"))


def test_evicting_removes_nothing_that_nobody_has(name: str) -> None:
    with Other(lambda: Queue(name)) as other:
        other.kill()
    assert evict(name, 0).dead
    assert os.path.exists(f"/dev/shm/isthmus.{name}")
    with Queue(name):
        pass


# ---- Shutting down ---------------------------------------------------------------------


def test_a_queue_is_shut_down_from_outside(name: str, thread) -> None:
    with Queue(name) as queue:
        queue.put_many([1, 2])
        shut_down(name)
        with pytest.raises(ShutDown):
            queue.put(3)
        assert queue.get_many(9) == [1, 2]
        with pytest.raises(ShutDown):
            queue.get()
    with Queue(name) as queue:
        ended: list[BaseException] = []

        def wait() -> None:
            try:
                queue.get(timeout=PATIENCE)
            except ShutDown as error:
                ended.append(error)

        one = thread(wait)
        while not any(each.waiting for each in info(name).members):
            pass
        shut_down(name, discard=True)
        one.join(PATIENCE)
        assert len(ended) == 1


def test_only_queues_can_be_shut_down(name: str) -> None:
    with isthmus.Publisher(name), pytest.raises(KindError, match="only queues"):
        shut_down(name)
    with pytest.raises(NotFoundError):
        shut_down(name)
    with pytest.raises(UnsupportedError):
        shut_down("sysv-msg:0")


def test_a_queue_that_nobody_has_is_not_removed_by_shutting_it_down(name: str) -> None:
    with Other(lambda: Queue(name)) as other:
        other.kill()
    shut_down(name)
    assert os.path.exists(f"/dev/shm/isthmus.{name}")
    os.unlink(f"/dev/shm/isthmus.{name}")
