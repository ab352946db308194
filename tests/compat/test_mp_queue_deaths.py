"""Queues of the multiprocessing drop-in when a process is killed: also while a queue grows."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from typing import Any

import pytest
from bare_calls import PATIENCE
from sharing import forked

import isthmus
from isthmus.compat import multiprocessing
from isthmus.compat.multiprocessing import _chain, queues

LARGE = 700_000


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying_before(function: Callable[..., Any]) -> Callable[..., Any]:
    return die


def dying_after(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> None:
        function(*args, **options)
        die()

    return call


def dying_with_something_to_forget(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, count: int) -> None:
        if count > 0:
            die()
        function(self, count)

    return call


# What is replaced in the child, and by what: the steps in the order of `_chain`.
STEPS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "with the lock taken": (_chain.Announcements, "hear", dying_before),
    "before a larger ring is made": (_chain, "make", dying_before),
    "when it is made": (_chain, "make", dying_after),
    "before it is announced": (_chain.Announcements, "say", dying_before),
    "with both announcements there": (
        _chain.Announcements,
        "_forget",
        dying_with_something_to_forget,
    ),
    "when it is announced": (_chain.Announcements, "say", dying_after),
    "before the ring before is shut down": (isthmus.Queue, "shutdown", dying_before),
    "when that is shut down": (isthmus.Queue, "shutdown", dying_after),
    "before the message is put": (queues._Chained, "_use", dying_before),
}


def killed_at(step: str, call: Callable[[], object], surely: bool = True) -> None:
    """A child makes the call, and is killed at that step of it; not `surely`: if it comes there."""
    owner, name, dying = STEPS[step]

    def in_child() -> None:
        setattr(owner, name, dying(getattr(owner, name)))
        call()

    with forked(in_child) as process:
        status = process.finish()
        assert status == -signal.SIGKILL or (status == 0 and not surely)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("maxsize", [0, 5])
@pytest.mark.parametrize("know", [True, False], ids=["others know the queue", "one comes later"])
def test_a_producer_killed_while_the_queue_grows_costs_no_message_and_no_wait(
    step: str, maxsize: int, know: bool
) -> None:
    queue = multiprocessing.Queue(maxsize)
    queue.put((0, bytes(LARGE)))
    killed_at(step, lambda: queue.put(("never", bytes(LARGE))))
    if know:
        queue.put((1, bytes(LARGE)), timeout=PATIENCE)
    else:
        carrier = multiprocessing.Queue()
        carrier.put(queue)
        with forked(lambda: carrier.get().put((1, bytes(LARGE)), timeout=PATIENCE)) as process:
            assert process.finish() == 0
    queue.put((2, b""), timeout=PATIENCE)
    assert queue.qsize() == 3
    assert [queue.get(timeout=PATIENCE)[0] for _ in range(3)] == [0, 1, 2]
    assert queue.empty()


@pytest.mark.parametrize("step", STEPS)
def test_a_queue_whose_growth_failed_twice_still_grows(step: str) -> None:
    queue = multiprocessing.Queue()
    queue.put((0, bytes(LARGE)))
    for _ in range(2):
        # The second one may find the work of the first one done, and live.
        killed_at(step, lambda: queue.put((0.5, bytes(LARGE))), surely=False)
    queue.put((1, bytes(LARGE)))
    killed_at(step, lambda: queue.put((1.5, bytes(8 * LARGE))))
    queue.put((2, bytes(8 * LARGE)))
    found = []
    while not queue.empty():
        found.append(queue.get(timeout=PATIENCE)[0])
    assert found in ([0, 1, 2], [0, 0.5, 1, 2])


@pytest.mark.parametrize("step", ["with the lock taken", "before the message is put"])
def test_a_consumer_killed_while_it_goes_on_to_the_next_ring_takes_nothing_along(step: str) -> None:
    queue = multiprocessing.Queue()
    queue.put((0, bytes(LARGE)))
    with forked(lambda: queue.put((1, bytes(LARGE)))) as process:
        assert process.finish() == 0
    assert queue.get()[0] == 0
    killed_at(step, queue.get)
    assert queue.get(timeout=PATIENCE)[0] == 1


def stopping(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGSTOP)
        return function(*args, **options)

    return call


def test_timeouts_hold_while_one_that_makes_it_grow_is_stopped() -> None:
    queue = multiprocessing.Queue()
    queue.put((0, bytes(LARGE)))
    with forked(lambda: queue.put((1, bytes(LARGE)))) as process:
        assert process.finish() == 0

    def grow() -> None:
        _chain.Announcements.add = stopping(_chain.Announcements.add)  # type: ignore[method-assign]
        queue.put((2, bytes(4 * LARGE)))

    with forked(grow) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        try:
            assert queue.get(timeout=PATIENCE)[0] == 0
            # What comes next is behind the lock that it has.
            with pytest.raises(queues.Empty):
                queue.get(timeout=0.02)
            with pytest.raises(queues.Full):
                queue.put_nowait(3)
            assert not queue._reader.poll(0)
            assert queue.qsize() in {0, 1}
        finally:
            os.kill(process.pid, signal.SIGCONT)
        assert process.finish() == 0
    assert [queue.get(timeout=PATIENCE)[0] for _ in range(2)] == [1, 2]


def test_one_who_waits_for_a_message_gets_it_although_its_producer_died_while_growing() -> None:
    queue, results = multiprocessing.Queue(), multiprocessing.Queue()
    with forked(lambda: results.put(len(queue.get()))) as process:
        killed_at("before the ring before is shut down", lambda: queue.put(bytes(2 * LARGE)))
        queue.put(bytes(2 * LARGE))
        assert results.get(timeout=PATIENCE) == 2 * LARGE
        assert process.finish() == 0


def test_a_message_that_a_killed_process_was_unpickling_is_not_lost() -> None:
    queue = multiprocessing.Queue()
    queue.put(Slow())
    killed = []

    def get() -> None:
        Slow.call = die
        queue.get()

    with forked(get) as process:
        killed.append(process.finish())
    assert killed == [-signal.SIGKILL]
    assert isinstance(queue.get(timeout=PATIENCE), Slow)


class Slow:
    """Calls something while it is unpickled."""

    call: Callable[[], None] = staticmethod(lambda: None)

    def __setstate__(self, state: object) -> None:
        type(self).call()

    def __getstate__(self) -> object:
        return "state"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_killed_what_was_put_is_got_once_and_in_order(seed: int) -> None:
    """Producers die at random moments, and note in pipes how far they have come."""
    chance = random.Random(seed)
    queue = multiprocessing.Queue()
    sizes = [chance.choice([10, 100, 5000, LARGE]) for _ in range(60)]
    put: dict[int, int] = {}  # who -> how many puts have returned, at least
    for who in range(8):
        reading, writing = os.pipe()

        def produce(who: int = who, writing: int = writing) -> None:
            for number, size in enumerate(sizes):
                queue.put((who, number, bytes(size)))
                os.write(writing, b".")

        with forked(produce) as process:
            os.close(writing)
            dies_after = chance.randrange(1, len(sizes))
            put[who] = 0
            while put[who] < dies_after and (more := os.read(reading, 1)):
                put[who] += len(more)
            os.kill(process.pid, signal.SIGKILL)
            assert process.finish() in (0, -signal.SIGKILL)
            while more := os.read(reading, 1000):
                put[who] += len(more)
        os.close(reading)
    found: dict[int, list[int]] = {who: [] for who in put}
    while not queue.empty():
        who, number, data = queue.get(timeout=PATIENCE)
        assert len(data) == sizes[number]
        found[who].append(number)
    for who, numbers in found.items():
        assert numbers == list(range(len(numbers)))
        # The last one may have been put, and not noted.
        assert put[who] <= len(numbers) <= put[who] + 1
