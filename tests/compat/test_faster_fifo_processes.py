"""isthmus.compat.faster_fifo between processes, and with those that are killed."""

from __future__ import annotations

import multiprocessing
import os
import queue
import random
import signal
import time
from typing import Any

import pytest
from fifos import LONG, both, echo
from sharing import Forked

from isthmus.compat import faster_fifo as ours


def collect(q: Any, count: int) -> list[Any]:
    found: list[Any] = []
    while len(found) < count:
        found += q.get_many(timeout=LONG)
    return found


@both
def test_a_forked_child_shares_the_queues_and_sees_close(module: Any) -> None:
    inbox, outbox = module.Queue(), module.Queue(5000)
    child = Forked(lambda: echo(inbox, outbox))
    for n in range(200):
        inbox.put((n, "item"))
    assert collect(outbox, 200) == [(n, "item") for n in range(200)]
    inbox.close()
    assert child.finish() == 0


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_queue_goes_to_a_process_as_an_argument(method: str) -> None:
    context = multiprocessing.get_context(method)
    inbox, outbox = ours.Queue(maxsize=50), ours.Queue(5000)
    inbox.put("before")
    process = context.Process(target=echo, args=(inbox, outbox))
    process.start()
    inbox.put_many([1, 2])
    assert collect(outbox, 3) == ["before", 1, 2]
    inbox.close()
    process.join(LONG)
    assert process.exitcode == 0
    process.close()


def test_batches_of_several_processes_stay_together() -> None:
    q = ours.Queue(3000)

    def batches(which: int) -> None:
        for n in range(100):
            q.put_many([(which, n, part) for part in range(1 + n % 7)])

    children = [Forked(lambda which=which: batches(which)) for which in range(3)]
    expected = 3 * sum(1 + n % 7 for n in range(100))
    found = collect(q, expected)
    assert [child.finish() for child in children] == [0, 0, 0]
    assert (len(found), q.empty(), q.data_size()) == (expected, True, 0)
    place = 0
    while place < len(found):
        which, n, _ = found[place]
        size = 1 + n % 7
        assert found[place : place + size] == [(which, n, part) for part in range(size)]
        place += size


def numbers(q: Any, which: int) -> None:
    """Put batches until killed."""
    n = 0
    while True:
        q.put_many([(which, n, part) for part in range(3)])
        n += 1


def test_those_that_put_are_killed_and_every_batch_is_whole() -> None:
    q = ours.Queue(2000)
    chance = random.Random(5)
    for turn in range(12):
        child = Forked(lambda turn=turn: numbers(q, turn))
        found = q.get_many(timeout=LONG)
        until = time.monotonic() + chance.random() * 0.003
        while time.monotonic() < until:
            found += q.get_many(timeout=LONG)
        os.kill(child.pid, signal.SIGKILL)
        assert child.finish() == -signal.SIGKILL
        try:
            while True:
                found += q.get_many_nowait()
        except queue.Empty:
            pass
        assert found == [(turn, n // 3, n % 3) for n in range(len(found))]
        assert len(found) % 3 == 0
        assert q.data_size() == 0


def drain(q: Any) -> None:
    while True:
        q.get_many(timeout=LONG, max_messages_to_get=2)


def test_those_that_get_are_killed_and_hold_nobody_up() -> None:
    q = ours.Queue(2000)
    chance = random.Random(6)
    for _ in range(12):
        child = Forked(lambda: drain(q))
        until = time.monotonic() + chance.random() * 0.003
        last = 0
        while time.monotonic() < until:
            last += 1
            q.put((last, "x" * 50), timeout=LONG)
        os.kill(child.pid, signal.SIGKILL)
        assert child.finish() == -signal.SIGKILL
        rest = [] if q.empty() else q.get_many_nowait()
        q.put((last + 1, "x" * 50), timeout=LONG)
        rest += q.get_many(timeout=LONG)
        assert [n for n, _ in rest] == list(range(last + 2 - len(rest), last + 2))
        assert (q.qsize(), q.data_size()) == (0, 0)


def test_ctrl_c_ends_a_wait_at_once() -> None:
    """In the original it takes until the time is up."""
    q = ours.Queue()
    old = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.03)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            q.get(timeout=LONG)
        assert time.monotonic() - began < LONG / 2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
