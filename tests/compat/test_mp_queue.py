"""Queue, JoinableQueue and SimpleQueue, from the documentation of multiprocessing."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import pickle
import queue as standard_queue
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

import mp_jobs
import numpy as np
import pytest
from bare_calls import PATIENCE, until
from sharing import forked

from isthmus.compat import multiprocessing
from isthmus.compat.multiprocessing import _chain, queues

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

every_method = pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
every_queue = pytest.mark.parametrize(
    "make",
    [multiprocessing.Queue, multiprocessing.JoinableQueue, multiprocessing.SimpleQueue],
    ids=["Queue", "JoinableQueue", "SimpleQueue"],
)

LARGE = 700_000  # bytes; a ring of 1 MiB has room for one of these


@dataclass
class Job:
    number: int
    data: Any


# ---- What goes in comes out ------------------------------------------------------------


@every_queue
@pytest.mark.parametrize(
    "item",
    [
        None,
        True,
        2**80,
        -1.5,
        "text \N{SNOWMAN}",
        "\udc80",
        b"bytes",
        bytearray(b"bytearray"),
        (1, [2, {"three": (4, None)}]),
        {1},
        frozenset("a"),
        Job(1, [b"x" * 1000]),
        ValueError("an error"),
        len,
        [[[[[[["deep"]]]]]]],
        list(range(1000)),
    ],
    ids=lambda item: type(item).__name__,
)
def test_objects_come_out_as_they_went_in(make: Callable[[], Any], item: Any) -> None:
    queue = make()
    queue.put(item)
    found = queue.get()
    assert type(found) is type(item)
    assert repr(found) == repr(item)


def test_a_list_that_contains_itself_comes_out_as_one() -> None:
    queue = multiprocessing.Queue()
    item: list[Any] = [1]
    item.append(item)
    queue.put(item)
    found = queue.get()
    assert found[1] is found


def test_arrays_come_out_writable_whether_alone_or_inside() -> None:
    queue = multiprocessing.Queue()
    array = np.arange(1000.0).reshape(10, 100)
    queue.put(array)
    queue.put({"inside": array, "more": [array[::2]]})
    alone, inside = queue.get(), queue.get()
    for found in (alone, inside["inside"]):
        assert (found == array).all()
        found.sort()
    assert (inside["more"][0] == array[::2]).all()


def test_what_is_changed_after_put_is_not_changed_in_the_queue() -> None:
    queue = multiprocessing.Queue()
    item = [1]
    array = np.zeros(10)
    queue.put(item)
    queue.put(array)
    item.append(2)
    array += 1
    assert queue.get() == [1]
    assert not queue.get().any()


@every_queue
def test_what_cannot_be_pickled_raises_in_put_and_leaves_the_queue_as_it_was(
    make: Callable[[], Any],
) -> None:
    queue = make()
    queue.put(1)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        queue.put(lambda: None)
    with pytest.raises(TypeError):
        queue.put(threading.Lock())
    queue.put(2)
    assert (queue.get(), queue.get()) == (1, 2)


def test_sockets_travel_as_with_multiprocessing() -> None:
    queue = multiprocessing.Queue()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        queue.put(("a socket", theirs))

        def answer() -> None:
            _, received = queue.get()
            received.sendall(b"from the child")

        with forked(answer) as process:
            ours.settimeout(PATIENCE)
            assert ours.recv(100) == b"from the child"
            assert process.finish() == 0


def test_a_reducer_registered_later_or_anew_is_used() -> None:
    from multiprocessing.reduction import ForkingPickler

    class Local:
        pass

    queue = multiprocessing.Queue()
    with pytest.raises((pickle.PicklingError, AttributeError)):
        queue.put(Local())
    reducers = ForkingPickler._extra_reducers  # type: ignore[attr-defined]
    try:
        ForkingPickler.register(Local, lambda _: (int, ("5",)))
        queue.put([Local()])
        ForkingPickler.register(Local, lambda _: (int, ("6",)))
        queue.put([Local()])
    finally:
        del reducers[Local]
    assert (queue.get(), queue.get()) == ([5], [6])
    with pytest.raises((pickle.PicklingError, AttributeError)):
        queue.put(Local())


# ---- Waiting ---------------------------------------------------------------------------


def test_get_raises_empty_when_there_is_nothing_in_time() -> None:
    queue = multiprocessing.Queue()
    with pytest.raises(standard_queue.Empty):
        queue.get(False)
    with pytest.raises(standard_queue.Empty):
        queue.get_nowait()
    with pytest.raises(standard_queue.Empty):
        queue.get(True, 0)
    with pytest.raises(standard_queue.Empty):
        queue.get(True, -1)
    before = time.monotonic()
    with pytest.raises(queues.Empty):
        queue.get(timeout=0.02)
    assert time.monotonic() - before >= 0.02


def test_put_raises_full_when_there_are_maxsize_in_time() -> None:
    queue = multiprocessing.Queue(2)
    assert not queue.full()
    queue.put(1)
    queue.put_nowait(2)
    assert queue.full()
    with pytest.raises(standard_queue.Full):
        queue.put(3, False)
    with pytest.raises(standard_queue.Full):
        queue.put_nowait(3)
    before = time.monotonic()
    with pytest.raises(queues.Full):
        queue.put(3, timeout=0.02)
    assert time.monotonic() - before >= 0.02
    assert queue.get() == 1
    queue.put(3)
    assert [queue.get(), queue.get()] == [2, 3]


def test_a_put_that_waits_goes_on_when_something_is_got() -> None:
    queue = multiprocessing.Queue(1)
    queue.put(1)
    with forked(lambda: queue.put(2)) as process:
        assert [queue.get(timeout=PATIENCE), queue.get(timeout=PATIENCE)] == [1, 2]
        assert process.finish() == 0


@pytest.mark.parametrize("maxsize", [0, -1])
def test_without_maxsize_any_number_may_be_put_before_anything_is_got(maxsize: int) -> None:
    queue = multiprocessing.Queue(maxsize)
    for i in range(20_000):
        queue.put((i, b"some data to make it large" * 4))
    queue.put(b"x" * 3_000_000)
    assert queue.qsize() == 20_001
    assert not queue.full()
    assert [queue.get()[0] for _ in range(20_000)] == list(range(20_000))
    assert len(queue.get()) == 3_000_000
    assert queue.empty()


# ---- Processes -------------------------------------------------------------------------


@pytest.mark.slow
@every_method
def test_queues_go_to_children_as_arguments(method: str) -> None:
    context = multiprocessing.get_context(method)
    questions, answers = context.Queue(), context.SimpleQueue()
    process = context.Process(target=mp_jobs.double, args=(questions, answers))
    process.start()
    for i in range(10):
        questions.put(i)
    assert [answers.get() for _ in range(10)] == [2 * i for i in range(10)]
    questions.put(None)
    process.join(PATIENCE)
    assert process.exitcode == 0


@pytest.mark.slow
@every_method
def test_a_process_exits_without_having_to_drain_what_it_has_put(method: str) -> None:
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    processes = [
        context.Process(target=mp_jobs.put_numbered, args=(queue, who, [LARGE] * 6))
        for who in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)  # before anything is got
        assert process.exitcode == 0
    found = [queue.get(timeout=PATIENCE) for _ in range(12)]
    assert queue.empty()
    for who in range(2):
        assert [number for w, number, _ in found if w == who] == list(range(6))
    assert all(len(data) == LARGE for *_, data in found)


def test_a_queue_sent_through_a_queue_is_the_same_one() -> None:
    carrier, cargo = multiprocessing.Queue(), multiprocessing.Queue()
    cargo.put(bytes(LARGE))
    cargo.put(bytes(LARGE))  # it has grown
    carrier.put(cargo)

    def answer() -> None:
        received = carrier.get()
        for _ in range(2):
            received.put(len(received.get()))

    with forked(answer) as process:
        assert process.finish() == 0
    assert [cargo.get(timeout=PATIENCE), cargo.get(timeout=PATIENCE)] == [LARGE, LARGE]


def test_each_object_goes_to_one_of_several_processes_once() -> None:
    queue, results = multiprocessing.Queue(), multiprocessing.Queue()

    def consume() -> None:
        found = []
        while (item := queue.get()) is not None:
            found.append(item[0])
        results.put(found)

    with forked(consume) as one, forked(consume) as two:
        for i in range(500):
            queue.put((i, bytes(4000 if i % 50 else LARGE)))
        queue.put(None)
        queue.put(None)
        parts = [results.get(timeout=PATIENCE) for _ in range(2)]
        assert one.finish() == two.finish() == 0
    assert all(part == sorted(part) for part in parts)
    assert sorted(parts[0] + parts[1]) == list(range(500))


def test_descriptors_go_with_the_queue_and_with_what_it_has_outgrown() -> None:
    before = len(os.listdir("/proc/self/fd"))
    queue = multiprocessing.Queue()
    fresh = len(os.listdir("/proc/self/fd"))
    for size in (1, 2, 4, 8, 16):
        for _ in range(2):
            queue.put(bytes(size << 20))
        for _ in range(2):
            queue.get()
    # The memory of the rings before goes when the next one is made.
    assert len(os.listdir("/proc/self/fd")) <= fresh + 1
    del queue
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.slow
@every_method
def test_a_derived_class_may_add_to_the_state_that_is_pickled(method: str) -> None:
    queue = mp_jobs.Counting()
    context = multiprocessing.get_context(method)
    process = context.Process(target=mp_jobs.Counting.put_counted, args=(queue, "item"))
    process.start()
    assert queue.get(timeout=PATIENCE) == "item"
    process.join(PATIENCE)
    assert (process.exitcode, queue.size.value) == (0, 1)


@pytest.mark.parametrize("end", ["closed", "grown, with maxsize", "watched"])
def test_descriptors_go_with_the_last_reference_without_the_garbage_collector(end: str) -> None:
    wait([multiprocessing.Pipe()[0]], 0)  # what the first one that is watched needs
    before = len(os.listdir("/proc/self/fd"))
    gc.disable()
    try:
        queue = multiprocessing.Queue(3)
        if end == "closed":
            queue.close()
        elif end == "watched":
            assert wait([queue._reader], 0) == []
        else:
            for _ in range(3):
                queue.put(bytes(LARGE))
        del queue
        # The thread that watches may look at it for a moment more.
        until(lambda: len(os.listdir("/proc/self/fd")) <= before + (end == "watched"))
    finally:
        gc.enable()


@contextlib.contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """So many more may be opened, by the whole process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    taken: list[int] = []
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        for _ in range(count):
            os.close(taken.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)


def test_where_descriptors_run_out_nothing_is_lost_and_none_stays_open() -> None:
    def in_child() -> None:
        multiprocessing.Queue()._reader.fileno()  # all that has to be imported is
        before = len(os.listdir("/proc/self/fd"))
        failures = 0
        for left in range(7):
            with descriptors_left(left):
                try:
                    multiprocessing.Queue()
                except OSError:
                    failures += 1
            assert len(os.listdir("/proc/self/fd")) == before
            queue = multiprocessing.Queue()
            queue.put(bytes(LARGE))
            with descriptors_left(left):
                try:
                    queue.put(bytes(LARGE))
                except OSError:
                    failures += 1
            queue.put(bytes(2 * LARGE))
            sizes = [len(queue.get()) for _ in range(queue.qsize())]
            assert sizes in ([LARGE, LARGE, 2 * LARGE], [LARGE, 2 * LARGE])
            with forked(lambda queue=queue: queue.put(bytes(8 * LARGE))) as process:
                assert process.finish() == 0
            with descriptors_left(left):
                try:
                    queue.get(timeout=PATIENCE)
                except OSError:
                    failures += 1
            if not queue.empty():
                assert len(queue.get()) == 8 * LARGE
            del queue
        assert failures >= 9

    with forked(in_child) as process:
        assert process.finish() == 0


def test_a_user_with_too_many_queues_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ETOOMANYREFS, "Too many references: cannot splice")

    monkeypatch.setattr(_chain.End, "sendmsg", refuse)
    with pytest.raises(OSError, match="too many queues for their limit of open files"):
        multiprocessing.Queue()


# ---- The end ---------------------------------------------------------------------------


def test_after_close_nothing_is_put_or_got_here_but_there() -> None:
    queue = multiprocessing.Queue()
    queue.put(1)
    with pytest.raises(AssertionError):
        queue.join_thread()
    queue.cancel_join_thread()
    with forked(queue.close) as process:
        assert process.finish() == 0
    assert queue.get() == 1
    queue.close()
    queue.close()
    queue.join_thread()
    for call in (lambda: queue.put(1), queue.get, lambda: queue.put(1, timeout=1)):
        with pytest.raises(ValueError, match="is closed"):
            call()


def test_a_closed_queue_stays_closed_when_others_make_it_grow() -> None:
    queue = multiprocessing.Queue()
    queue.put(1)
    with forked(lambda: queue.put(bytes(2 * LARGE))) as process:
        assert process.finish() == 0
    reader = queue._reader
    queue.close()
    assert queue.qsize() == 2
    with pytest.raises(OSError, match="is closed"):
        queue.empty()
    for call in (lambda: queue.put(1), queue.get):
        with pytest.raises(ValueError, match="is closed"):
            call()
    assert reader.closed
    assert queue._writer.closed


def test_a_queue_that_was_closed_before_it_was_used_is_empty() -> None:
    queue = multiprocessing.Queue()
    queue.close()
    assert queue.empty()
    simple = multiprocessing.SimpleQueue()
    simple.close()
    with pytest.raises(OSError, match="is closed"):
        simple.empty()


def test_a_simple_queue_says_that_it_is_closed_as_a_pipe_does() -> None:
    queue = multiprocessing.SimpleQueue()
    queue.close()
    with pytest.raises(OSError, match="handle is closed"):
        queue.put(1)
    with pytest.raises(OSError, match="handle is closed"):
        queue.get()


def test_a_simple_queue_makes_its_producer_wait_but_takes_what_is_too_large() -> None:
    queue = multiprocessing.SimpleQueue()
    done = multiprocessing.Queue()
    queue.put(bytes(LARGE))

    def put_more() -> None:
        queue.put(bytes(LARGE))
        done.put("put")

    with forked(put_more) as process:
        with pytest.raises(standard_queue.Empty):
            done.get(timeout=0.05)
        assert len(queue.get()) == LARGE
        assert done.get(timeout=PATIENCE) == "put"
        assert process.finish() == 0
    queue.put(bytes(5 << 20))
    assert (len(queue.get()), len(queue.get())) == (LARGE, 5 << 20)
    assert queue.empty()


# ---- Tasks -----------------------------------------------------------------------------


def test_join_waits_until_all_tasks_are_done() -> None:
    queue = multiprocessing.JoinableQueue()
    queue.join()
    with forked(lambda: mp_jobs.work(queue, 12)) as process:
        for i in range(12):
            queue.put(bytes(LARGE) if i % 3 == 0 else i)
        queue.join()
        assert queue.empty()
        assert process.finish() == 0
    with pytest.raises(ValueError, match="called too many times"):
        queue.task_done()


def test_a_task_may_be_reported_by_another_process_than_got_it() -> None:
    queue = multiprocessing.JoinableQueue()
    queue.put(1)
    queue.get()
    with forked(queue.task_done) as process:
        assert process.finish() == 0
    queue.join()


def test_the_tasks_of_a_process_that_dies_are_not_waited_for() -> None:
    queue = multiprocessing.JoinableQueue()
    queue.put(1)
    with forked(queue.get) as process:
        assert process.finish() == 0
    queue.join()
