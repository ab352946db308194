"""Queues of the multiprocessing drop-in that grow: threads, timeouts, signals, `maxsize`."""

from __future__ import annotations

import contextlib
import queue as standard_queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import mp_jobs
import pytest
from bare_calls import PATIENCE
from sharing import forked

from isthmus.compat import multiprocessing
from isthmus.compat.multiprocessing import _chain, queues

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


LARGE = 700_000  # bytes; a ring of 1 MiB has room for one of these


def test_maxsize_counts_over_all_that_the_queue_has_grown_to() -> None:
    queue = multiprocessing.Queue(4)
    for i in range(4):
        queue.put((i, bytes(LARGE)))
    assert queue.qsize() == 4
    assert queue.full()
    with pytest.raises(standard_queue.Full):
        queue.put("x", timeout=0.01)
    assert queue.get()[0] == 0
    queue.put_nowait((4, b""))
    with pytest.raises(standard_queue.Full):
        queue.put_nowait("x")
    waiter = threading.Thread(target=queue.put, args=((5, b""),))
    waiter.start()
    assert [queue.get(timeout=PATIENCE)[0] for _ in range(5)] == [1, 2, 3, 4, 5]
    waiter.join()
    assert queue.empty()


def test_several_threads_may_use_one_queue_while_it_grows() -> None:
    queue = multiprocessing.Queue()
    found: list[Any] = []

    def read() -> None:
        while (item := queue.get(timeout=PATIENCE)) is not None:
            found.append(item[:2])

    readers = [threading.Thread(target=read) for _ in range(3)]
    writers = [
        threading.Thread(target=mp_jobs.put_numbered, args=(queue, who, [10, LARGE, 3000] * 5))
        for who in range(3)
    ]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    for _ in readers:
        queue.put(None)
    for thread in readers:
        thread.join()
    assert sorted(found) == [(who, number) for who in range(3) for number in range(15)]


def test_threads_and_processes_that_wait_for_room_make_the_queue_grow_once_together() -> None:
    def capacities(put: Callable[[Callable[[], None]], None]) -> list[int]:
        queue = multiprocessing.Queue()
        for _ in range(3):
            queue.put(bytes(LARGE // 3))
        put(lambda: queue.put(bytes(LARGE // 3)))
        assert queue.qsize() == 11
        return [ring.queue.capacity >> 20 for ring in queue._rings]

    def in_threads(put: Callable[[], None]) -> None:
        threads = [threading.Thread(target=put) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def in_processes(put: Callable[[], None]) -> None:
        with contextlib.ExitStack() as stack:
            for process in [stack.enter_context(forked(put)) for _ in range(8)]:
                assert process.finish() == 0

    # 2.6 MB in all: 1 MiB, and 2 MiB, or 4 MiB if one of them waits for too long.
    assert capacities(in_threads) in ([1, 2], [1, 2, 4])
    assert capacities(in_processes) in ([1], [1, 2], [1, 2, 4])


def test_timeouts_hold_while_another_thread_unpickles_the_last_of_a_ring() -> None:
    queue = multiprocessing.Queue()
    queue.put(Slow())
    queue.put(bytes(2 * LARGE))
    slow = threading.Thread(target=queue.get)
    slow.start()
    assert Slow.begun.wait(PATIENCE)
    try:
        before = time.monotonic()
        with pytest.raises(standard_queue.Empty):
            queue.get_nowait()
        with pytest.raises(standard_queue.Empty):
            queue.get(timeout=0.02)
        assert not queue._reader.poll(0.02)
        assert time.monotonic() - before < PATIENCE / 2
    finally:
        Slow.may_end.set()
        slow.join()
    assert len(queue.get(timeout=PATIENCE)) == 2 * LARGE


class Slow:
    """Tells when it is being unpickled, and ends that when told."""

    begun, may_end = threading.Event(), threading.Event()

    def __getstate__(self) -> object:
        return "state"

    def __setstate__(self, state: object) -> None:
        self.begun.set()
        self.may_end.wait(PATIENCE)


class Interrupted(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("maxsize", [0, 3])
def test_a_signal_handler_that_raises_while_it_grows_leaves_it_in_order(maxsize: int) -> None:
    """At every line of every function of the queue, as if one had been delivered there."""
    places: set[tuple[str, int]] = set()
    while True:
        queue = multiprocessing.Queue(maxsize)
        queue.put((0, bytes(LARGE)))
        done, found = [0], []
        with forked(lambda queue=queue: queue.put((1, bytes(LARGE)))) as process:
            assert process.finish() == 0

        def act(queue: Any, done: list[int], found: list[int]) -> None:
            queue.put((2, bytes(2 * LARGE)))
            done.append(2)
            found.append(queue.get(timeout=PATIENCE)[0])
            found.append(queue.get(timeout=PATIENCE)[0])

        before = len(places)
        with contextlib.suppress(Interrupted), interrupted_at_a_new_line(places):
            act(queue, done, found)
        complete = len(places) == before
        if not found and queue.qsize() == 2:  # interrupted before it was put
            queue.put((2, b""), timeout=PATIENCE)
        while not queue.empty():
            found.append(queue.get(timeout=PATIENCE)[0])
        # One that was got when the exception came may be gone with it.
        assert found in ([0, 1, 2], [1, 2], [0, 2]), found
        for i in range(maxsize or 5):
            queue.put(i, timeout=PATIENCE)
        if maxsize:
            with pytest.raises(standard_queue.Full):
                queue.put_nowait(None)
        assert [queue.get(timeout=PATIENCE) for _ in range(maxsize or 5)] == [*range(maxsize or 5)]
        assert len(queue._rings) <= 4
        if complete:
            break
    assert len(places) > 50


@contextlib.contextmanager
def interrupted_at_a_new_line(places: set[tuple[str, int]]) -> Iterator[None]:
    """Raise `Interrupted` in a line that is not in `places`, and note it there."""
    files = (queues.__file__, _chain.__file__)

    def trace(frame: Any, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        place = (frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and place not in places:
            places.add(place)
            sys.settrace(None)
            raise Interrupted
        return trace

    kept = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(kept)
