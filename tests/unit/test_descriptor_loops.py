"""Handles in selectors and event loops: all that a process puts arrives, by each of them."""

from __future__ import annotations

import asyncio
import select
import selectors
from collections.abc import Callable
from typing import Any

import pytest
from bare_calls import PATIENCE
from sharing import Signal, forked

import isthmus
from isthmus import Event, Lock, Publisher, Queue, Semaphore

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

COUNT = 300
# Takes a handle and calls a function whenever it may be ready, until that returns True.
Driver = Callable[[Any, Callable[[], bool]], None]


def by_select(handle: Any, ready: Callable[[], bool]) -> None:
    while select.select([handle], [], [], PATIENCE)[0]:
        if ready():
            return
    pytest.fail("not told")


def by_poll(handle: Any, ready: Callable[[], bool]) -> None:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    while poll.poll(PATIENCE * 1000):
        if ready():
            return
    pytest.fail("not told")


def by_epoll(handle: Any, ready: Callable[[], bool], flags: int = 0) -> None:
    with select.epoll() as poll:
        poll.register(handle, select.EPOLLIN | flags)
        while poll.poll(PATIENCE):
            if ready():
                return
    pytest.fail("not told")


def by_edges(handle: Any, ready: Callable[[], bool]) -> None:
    by_epoll(handle, ready, select.EPOLLET)


def by_selectors(handle: Any, ready: Callable[[], bool]) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        while selector.select(PATIENCE):
            if ready():
                return
    pytest.fail("not told")


async def read_with_the_loop(handle: Any, ready: Callable[[], bool]) -> None:
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def readable() -> None:
        if ready():
            loop.remove_reader(handle)
            done.set()

    loop.add_reader(handle, readable)
    await asyncio.wait_for(done.wait(), PATIENCE)


def by_asyncio(handle: Any, ready: Callable[[], bool]) -> None:
    asyncio.run(read_with_the_loop(handle, ready))


def by_uvloop(handle: Any, ready: Callable[[], bool]) -> None:
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(read_with_the_loop(handle, ready))


def by_trio(handle: Any, ready: Callable[[], bool]) -> None:
    trio = pytest.importorskip("trio")

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            while True:
                await trio.lowlevel.wait_readable(handle)
                if ready():
                    return

    trio.run(main)


def by_anyio(handle: Any, ready: Callable[[], bool]) -> None:
    anyio = pytest.importorskip("anyio")

    async def main() -> None:
        with anyio.fail_after(PATIENCE):
            while True:
                await anyio.wait_readable(handle.fileno())
                if ready():
                    return

    anyio.run(main)


ALL: dict[str, Driver] = {
    "select": by_select,
    "poll": by_poll,
    "epoll": by_epoll,
    "epoll edges": by_edges,
    "selectors": by_selectors,
    "asyncio": by_asyncio,
    "uvloop": by_uvloop,
    "trio": by_trio,
    "anyio": by_anyio,
}
every_driver = pytest.mark.parametrize("drive", ALL.values(), ids=ALL.keys())


@every_driver
def test_a_queue_that_another_process_puts_into_is_read_to_the_end(drive: Driver) -> None:
    received: list[int] = []
    with Queue() as q:

        def ready() -> bool:
            """Until nothing is there, which is what those that tell of edges ask for."""
            while (found := q._get_or(None)) is not None:
                received.append(found)
            return len(received) == COUNT

        with forked(lambda: [q.put(i) for i in range(COUNT)]) as process:
            drive(q, ready)
            assert process.finish() == 0
    assert received == list(range(COUNT))


@every_driver
def test_one_message_at_a_time_is_answered(drive: Driver) -> None:
    if drive is by_edges:
        pytest.skip("who takes one message of several is not told of the others by an edge")
    with Queue() as to, Queue() as back:

        def in_child() -> None:
            for i in range(COUNT):
                to.put(i)
                assert back.get(timeout=PATIENCE) == i

        last = -1

        def ready() -> bool:
            nonlocal last
            try:
                last = to.get_nowait()
            except isthmus.Empty:
                return False
            back.put(last)
            return last == COUNT - 1

        with forked(in_child) as process:
            drive(to, ready)
            assert process.finish() == 0


@every_driver
def test_a_subscriber_is_told_of_what_is_published(drive: Driver) -> None:
    received: list[bytes] = []
    with Publisher() as pub, pub.subscriber() as sub:

        def ready() -> bool:
            while (found := sub._recv_or(None)) is not None:
                received.append(found)
            return len(received) == COUNT

        with forked(lambda: [pub.publish(b"%d" % i) for i in range(COUNT)]) as process:
            drive(sub, ready)
            assert process.finish() == 0
    assert received == [b"%d" % i for i in range(COUNT)]


class Writable:
    """What is to be waited for when something is to be written."""

    def __init__(self, queue: Queue | Publisher) -> None:
        self.fileno = queue.writable_fileno


@every_driver
def test_who_waits_for_room_puts_everything(drive: Driver) -> None:
    with Queue(capacity=4096) as q:
        done = 0

        def ready() -> bool:
            nonlocal done
            try:
                while done < COUNT:
                    q.put_nowait((done, b"x" * 500))
                    done += 1
            except isthmus.Full:
                return False
            return True

        def in_child() -> None:
            for i in range(COUNT):
                assert q.get(timeout=PATIENCE)[0] == i

        with forked(in_child) as process:
            drive(Writable(q), ready)
            assert process.finish() == 0


@every_driver
def test_a_lock_a_semaphore_and_an_event_are_told_of(drive: Driver) -> None:
    lock, permits, event = Lock(), Semaphore(value=0), Event()
    with Signal() as held, Signal() as armed:

        def in_child() -> None:
            with lock:
                held.set()
                armed.wait()
            permits.release()
            assert event.wait(PATIENCE) is True

        with forked(in_child) as process:
            held.wait()
            lock.fileno()
            assert not lock.acquire(block=False)
            armed.set()
            drive(lock, lambda: lock.acquire(block=False))
            drive(permits, lambda: permits.acquire(block=False))
            with forked(event.set) as other:
                drive(event, lambda: event.wait(0))
                assert other.finish() == 0
            assert process.finish() == 0
        lock.release()


def test_there_is_another_edge_when_something_is_there_after_what_may_have_found_nothing() -> None:
    """It may have come since the operation looked, and then it rang nobody: nothing was hung."""
    with Queue() as q, select.epoll() as poll:
        poll.register(q, select.EPOLLIN | select.EPOLLET)
        q.put_many([1, 2])
        assert poll.poll(PATIENCE / 20)
        assert not poll.poll(0)
        assert q.get_many(1) == [1]
        assert poll.poll(PATIENCE / 20)
        assert q.get_many(2) == [2]
        assert not poll.poll(0)
