"""Handles on file descriptors: readable as long as they are ready, and never a moment too short."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bare_calls import PATIENCE
from sharing import forked

import isthmus
from isthmus import BoundedSemaphore, Event, Lock, Publisher, Queue, RLock, Semaphore

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def readable(descriptor: int, timeout: float = 0) -> bool:
    """As it is at this moment, without asking the handle."""
    return bool(select.select([descriptor], [], [], timeout)[0])


def opened() -> int:
    return len(os.listdir("/proc/self/fd"))


# ---- What readable means ------------------------------------------------------------------


def test_a_queue_is_readable_as_long_as_there_is_a_message() -> None:
    with Queue() as q, q.__copy__() as other:
        descriptor = q.fileno()
        assert not readable(descriptor)
        for count in (1, 2, 3):
            for i in range(count):
                other.put(i)
            for i in range(count):
                assert readable(descriptor)
                assert q.get() == i
            assert not readable(descriptor)
        assert q.fileno() == descriptor


def leased(q: Queue) -> None:
    with q.lease() as job:
        assert job.value == MESSAGE


MESSAGE = {"of": ["some", 1.5]}
# Each takes the one message that is there.
TAKING: dict[str, Callable[[Queue], object]] = {
    "get": lambda q: q.get(),
    "get in time": lambda q: q.get(timeout=PATIENCE),
    "get_nowait": lambda q: q.get_nowait(),
    "get_many": lambda q: q.get_many(5),
    "lease": leased,
    "next": lambda q: next(iter(q)),
    "clear": lambda q: q.clear(),
    "_get_or": lambda q: q._get_or(None),
    "_get_some": lambda q: q._get_some(5),
    "_lease_or_none": lambda q: q._lease_or_none().acknowledge(),  # type: ignore[union-attr]
}


@pytest.mark.parametrize("taking", TAKING)
@pytest.mark.parametrize("message", [b"bytes", MESSAGE, {1, 2}, b"x" * 300_000])
def test_no_way_to_take_the_last_message_leaves_a_queue_readable(
    taking: str, message: object
) -> None:
    if taking == "lease" and message != MESSAGE:
        return
    with Queue() as q:
        descriptor = q.fileno()
        q.put(message)
        assert readable(descriptor)
        TAKING[taking](q)
        assert not readable(descriptor)
        q.put(message)
        assert readable(descriptor)


@pytest.mark.parametrize("message", [b"bytes", MESSAGE, {1, 2}])
@pytest.mark.parametrize("way", ["recv", "recv_many", "view", "next", "_recv_or", "_recv_some"])
def test_a_subscriber_is_readable_as_long_as_there_is_a_message(way: str, message: object) -> None:
    def take() -> None:
        if way == "recv":
            sub.recv()
        elif way == "recv_many":
            sub.recv_many(5)
        elif way == "next":
            next(sub)
        elif way == "_recv_or":
            sub._recv_or(None)
        elif way == "_recv_some":
            sub._recv_some(5)
        else:
            with sub.view():
                pass

    with Publisher() as pub, pub.subscriber() as sub, pub.subscriber() as other:
        descriptor = sub.fileno()
        for _ in range(3):
            assert not readable(descriptor)
            pub.publish(message)
            assert readable(descriptor)
            other.recv()
            assert readable(descriptor)
            take()
        assert not readable(descriptor)


@pytest.mark.parametrize("kind", [Lock, RLock, Semaphore, BoundedSemaphore])
def test_what_can_be_acquired_is_readable(kind: Any) -> None:
    with contextlib.closing(kind()) as mine, contextlib.closing(mine.__copy__()) as other:
        descriptor = mine.fileno()
        assert readable(descriptor)
        for ways in ({}, {"block": False}, {"timeout": PATIENCE}):
            other.acquire()
            assert not mine.acquire(block=False)
            assert not readable(descriptor)
            other.release()
            assert readable(descriptor)
            assert mine.acquire(**ways)
            # A recursive lock can be taken again by this thread.
            assert readable(descriptor) == (kind is RLock)
            mine.release()
            assert readable(descriptor)
            with mine:
                assert readable(descriptor) == (kind is RLock)
            assert readable(descriptor)


def test_an_event_is_readable_as_long_as_it_is_set() -> None:
    event = Event()
    other = event.__copy__()
    descriptor = event.fileno()
    for look in (event.is_set, lambda: event.wait(0), event.clear):
        assert not readable(descriptor)
        other.set()
        assert readable(descriptor)
        assert event.wait()
        assert readable(descriptor)
        other.clear()
        look()
    assert not readable(descriptor)


def test_asking_for_the_descriptor_makes_it_say_what_is_true() -> None:
    with Queue() as q, q.__copy__() as other:
        descriptor = q.fileno()
        q.put(1)
        assert other.get() == 1
        assert readable(descriptor)  # another one was faster
        assert select.select([q], [], [], 0) == ([], [], [])
        assert not readable(descriptor)


def test_what_is_ready_before_it_is_asked_for_is_readable_at_once() -> None:
    with Queue() as q:
        q.put(1)
        assert readable(q.fileno(), PATIENCE)


def test_a_failed_call_says_what_is_true_too() -> None:
    with Queue() as q, q.__copy__() as other:
        descriptor = q.fileno()
        for fail in (q.get_nowait, lambda: q.get(timeout=0.001), lambda: q.lease(block=False)):
            q.put(1)
            other.get()
            assert readable(descriptor)
            with pytest.raises(isthmus.Empty):
                fail()
            assert not readable(descriptor)


def test_a_queue_that_was_shut_down_stays_readable() -> None:
    with Queue() as q, q.__copy__() as other:
        descriptor, room = q.fileno(), q.writable_fileno()
        other.shutdown()
        for _ in range(2):
            assert readable(descriptor)
            assert readable(room)
            with pytest.raises(isthmus.ShutDown):
                q.get()
            with pytest.raises(isthmus.ShutDown):
                q.put(1)


def test_a_message_that_was_given_back_makes_it_readable_again() -> None:
    with Queue() as q, q.__copy__() as other:
        descriptor = q.fileno()
        q.put(1)
        lease = other.lease()
        with pytest.raises(isthmus.Empty):
            q.get_nowait()
        assert not readable(descriptor)
        lease.give_back()
        assert readable(descriptor)


def test_an_error_that_the_next_call_will_raise_makes_a_subscriber_readable() -> None:
    with Publisher() as pub, pub.subscriber(allow_pickle=False) as sub:
        descriptor = sub.fileno()
        pub.publish_many([b"1", {1, 2}])
        assert sub.recv_many(5) == [b"1"]
        assert readable(descriptor, PATIENCE)
        with pytest.raises(isthmus.UntrustedPickleError):
            sub.recv(timeout=0)
        assert not readable(descriptor)


# ---- Room -----------------------------------------------------------------------------------


def filled(q: Any, size: int) -> int:
    """Put as many as there is room for."""
    put = q.put_nowait if isinstance(q, Queue) else lambda message: q.publish(message, timeout=0)
    count = 0
    with contextlib.suppress(isthmus.Full):
        while True:
            put(bytes(size))
            count += 1
    return count


def test_there_is_room_for_what_there_was_none_for() -> None:
    with Queue(capacity=4096) as q, q.__copy__() as other:
        room = q.writable_fileno()
        assert readable(room)
        assert filled(q, 1000) == 3
        assert not readable(room)
        other.get()
        assert readable(room)
        q.put(bytes(1000))
        assert not readable(room)
        with pytest.raises(isthmus.Full):
            q.put_nowait(bytes(2000))
        other.get()
        assert not select.select([q.writable_fileno()], [], [], 0)[0]  # for 1000, not for 2000
        other.get()
        assert readable(room)


def test_a_queue_with_a_limit_has_room_for_one_more() -> None:
    with Queue(maxsize=1) as q, q.__copy__() as other:
        room = q.writable_fileno()
        for message in (b"bytes", MESSAGE, {1, 2}):
            assert readable(room)
            q.put(message)
            assert not readable(room)
            other.get()


def test_a_publisher_has_room_when_its_subscribers_have_read() -> None:
    with Publisher(capacity=4096) as pub, pub.subscriber() as sub:
        room = pub.writable_fileno()
        filled(pub, 1000)
        assert not readable(room)
        sub.recv_many(9)
        assert readable(room)
        with pub.loan(1000) as memory:
            memory[:] = bytes(1000)
        assert readable(room)
        filled(pub, 1000)
        assert not readable(room)


@pytest.mark.parametrize("overflow", ["overwrite", "block"])
def test_looking_for_room_evicts_nothing(overflow: Any) -> None:
    with Publisher(capacity=4096, overflow=overflow) as pub, pub.subscriber() as sub:
        for i in range(4):
            pub.publish(bytes([i]) * 992)  # it is full to the last byte
        if overflow == "block":
            sub.recv_many(9)
        assert readable(pub.writable_fileno(), PATIENCE)
        assert pub.stats().kept == 4
        with pub.subscriber(start="oldest") as late:
            assert [message[0] for message in late.recv_many(9)] == [0, 1, 2, 3]
        assert sub.missed == 0
        pub.publish(b"")
        assert pub.stats().kept == 4


def test_who_puts_and_gets_by_one_handle_is_told_of_both() -> None:
    with Queue(maxsize=2) as q:
        messages, room = q.fileno(), q.writable_fileno()
        for _ in range(3):
            assert (readable(messages), readable(room)) == (False, True)
            q.put(1)
            assert (readable(messages), readable(room)) == (True, True)
            q.put(2)
            assert (readable(messages), readable(room)) == (True, False)
            q.get()
            assert (readable(messages), readable(room)) == (True, True)
            q.get()


# ---- What they are, and how long ----------------------------------------------------------------


def test_they_take_three_descriptors_and_go_with_the_handle() -> None:
    before = opened()
    for _ in range(20):
        q = Queue()
        of_the_queue = opened()
        descriptor = q.fileno()
        # Watches of those that were closed are used again; two are kept here for that.
        assert 2 <= opened() - of_the_queue <= 3
        q.writable_fileno()
        assert 4 <= opened() - of_the_queue <= 6
        assert not os.get_inheritable(descriptor)
        q.close()
        assert opened() <= before + 2
    with pytest.raises(isthmus.ClosedError):
        q.fileno()
    with pytest.raises(isthmus.ClosedError):
        q.writable_fileno()
    for _ in range(20):
        lock = Lock()
        lock.fileno()
        del lock
        gc.collect()
    assert opened() <= before + 2


def test_a_subscriber_that_ends_with_something_in_view_has_none_any_more() -> None:
    with Publisher() as pub:
        before = opened()
        with pub.subscriber() as sub:
            descriptor = sub.fileno()
            pub.publish(b"x")
            with sub.view() as frame:
                kept = memoryview(frame)
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(descriptor)
        with pytest.raises(isthmus.ClosedError):
            sub.fileno()
        kept.release()
        del frame, kept
    assert opened() < before


def test_a_thread_that_is_first_gets_the_same_as_the_others() -> None:
    with Queue() as q:
        start, found = threading.Barrier(4), set[int]()

        def ask() -> None:
            start.wait()
            found.add(q.fileno())

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == {q.fileno()}


def test_many_handles_of_one_object_are_all_told() -> None:
    with Queue() as q, contextlib.ExitStack() as stack:
        handles = [stack.enter_context(q.__copy__()) for _ in range(10)]
        descriptors = [handle.fileno() for handle in handles]
        assert not any(map(readable, descriptors))
        q.put(1)
        assert all(map(readable, descriptors))
        assert handles[3].get() == 1
        for handle in handles:
            assert handle._get_or(None) is None
        assert not any(map(readable, descriptors))


def test_the_other_processes_of_a_fork_have_descriptors_of_their_own() -> None:
    with Queue() as q, Queue() as answers:
        descriptor = q.fileno()

        def in_child() -> None:
            with pytest.raises(OSError, match="descriptor"):
                os.fstat(descriptor)
            mine = q.fileno()
            answers.put("asked")
            assert readable(mine, PATIENCE)
            assert q.get() == 1
            assert not readable(mine)
            answers.put("got")

        with forked(in_child) as process:
            assert answers.get(timeout=PATIENCE) == "asked"
            q.put(1)
            assert answers.get(timeout=PATIENCE) == "got"
            assert process.finish() == 0
        assert q._get_or(None) is None
        assert not readable(descriptor)
        q.put(2)
        assert readable(descriptor)


# ---- Where the objects are ----------------------------------------------------------------------


@contextlib.contextmanager
def segment_of(kind: str, name: str, tmp_path: Path, size: int) -> Iterator[isthmus.Segment]:
    if kind == "anonymous":
        made = isthmus.Segment.anonymous(size)
    elif kind == "named":
        made = isthmus.Segment.create(name, size)
    else:
        made = isthmus.Segment.map_file(tmp_path / "segment", size=size, create=True)
    with made as segment:
        yield segment
    if kind == "named":
        isthmus.Segment.unlink(segment)


@pytest.mark.parametrize("kind", ["anonymous", "named", "file"])
def test_primitives_in_a_segment_have_descriptors(kind: str, name: str, tmp_path: Path) -> None:
    with segment_of(kind, name, tmp_path, 1 << 16) as segment:
        lock = Lock(segment=segment, offset=0, participants=8)
        event = Event(segment=segment, offset=32768)
        other = lock.__copy__()
        descriptors = lock.fileno(), event.fileno()
        assert [readable(each) for each in descriptors] == [True, False]

        def in_child() -> None:
            with other:
                assert not lock.acquire(block=False)
                event.set()
                assert not readable(lock.fileno())

        with forked(in_child) as process:
            assert readable(descriptors[1], PATIENCE)
            assert process.finish() == 0
        assert lock.acquire(timeout=PATIENCE)
        assert not readable(descriptors[0])
        lock.release()
        assert readable(descriptors[0])
        for each in (lock, other, event):
            each.close()


def test_one_that_became_another_user_still_tells_of_room(name: str, unprivileged: int) -> None:
    go, seen = Event(), Event()
    with Queue(name, maxsize=1) as q, Queue() as answers:

        def in_child() -> None:
            assert q.empty() and answers.empty()  # it takes part from now on
            os.setuid(unprivileged)
            answers.put("ready")
            assert go.wait(PATIENCE)
            assert q.get() == 1
            assert seen.wait(PATIENCE)  # for its end would be told, too

        with forked(in_child) as process:
            assert answers.get(timeout=PATIENCE) == "ready"
            room = q.writable_fileno()
            q.put(1)
            assert not readable(room)
            go.set()
            assert readable(room, PATIENCE)
            seen.set()
            assert process.finish() == 0
