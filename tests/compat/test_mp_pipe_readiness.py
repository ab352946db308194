"""The descriptor of a connection: readable as long as there is something to receive."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import selectors
import socket
import threading
from multiprocessing.connection import Pipe as standard_pipe, wait
from typing import Any

import pytest
from bare_calls import PATIENCE, Background, until
from pipe_ends import piped, wait_then_echo
from sharing import forked, holding

import isthmus
from isthmus.compat.multiprocessing import _readiness
from isthmus.compat.multiprocessing._readiness import Readiness

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def readable(thing: Any, timeout: float = 0) -> bool:
    return bool(select.select([thing], [], [], timeout)[0])


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "isthmus-readiness"]


@pytest.fixture(autouse=True)
def nobody_else_waits() -> None:
    """What other tests have waited for is gone, and the thread that did so has ended."""
    gc.collect()
    until(lambda: not threads())


def test_it_is_readable_as_long_as_there_is_a_message() -> None:
    with piped() as (a, b):
        descriptor = b.fileno()
        assert not readable(descriptor)
        for count in (1, 2):
            for i in range(count):
                a.send(i)
            assert readable(descriptor, PATIENCE)
            for i in range(count):
                assert readable(descriptor)
                assert b.recv() == i
            assert not readable(descriptor)
        assert b.fileno() == descriptor


def test_it_is_readable_at_the_end() -> None:
    with piped() as (a, b):
        descriptor = b.fileno()
        a.send(1)
        a.close()
        assert readable(descriptor)
        assert b.recv() == 1
        assert readable(descriptor)
        with pytest.raises(EOFError):
            b.recv()
        assert readable(descriptor)


def test_who_asks_at_once_is_told_at_once() -> None:
    with piped() as (a, b):
        for i in range(300):
            a.send(i)
            assert wait([b], 0) == [b]
            assert b.recv() == i
            assert wait([b], 0) == []


def test_large_messages_are_received_whole_when_it_is_readable() -> None:
    with piped(capacity=4096) as (a, b):
        b.fileno()
        sender = Background(lambda: [a.send(bytes(30_000)), a.send(b"x")])
        assert readable(b, PATIENCE)
        assert b.recv() == bytes(30_000)
        assert readable(b, PATIENCE)
        assert b.recv() == b"x"
        sender.finish()
        assert not readable(b)


def test_it_is_waited_for_together_with_others() -> None:
    mine, yours = socket.socketpair()
    with piped() as (a, b), piped(False) as (c, d), mine, yours, holding(lambda: None) as process:
        e, f = standard_pipe()
        pid = os.pidfd_open(process.pid)
        with e, f:
            things = [b, c, e, mine, pid]
            assert wait(things, 0) == []
            a.send(1)
            assert wait(things) == [b]
            d.send(2)
            f.send(3)
            assert set(wait(things, 0)) == {b, c, e}
            assert (b.recv(), c.recv(), e.recv()) == (1, 2, 3)
            yours.send(b"x")
            assert wait(things) == [mine]
            mine.recv(1)
            process.kill()
            assert wait(things) == [pid]
            os.close(pid)


def test_selectors_keep_being_told() -> None:
    with piped() as (a, b), selectors.DefaultSelector() as selector:
        selector.register(b, selectors.EVENT_READ)
        sender = Background(lambda: [a.send(i) for i in range(1000)])
        received = []
        while len(received) < 1000:
            assert selector.select(PATIENCE)
            received.append(b.recv())
        sender.finish()
        assert received == list(range(1000))
        assert not selector.select(0)


def test_event_loops_read_with_it() -> None:
    async def collect(end: Any) -> list[int]:
        loop, received, done = asyncio.get_running_loop(), [], asyncio.Event()

        def ready() -> None:
            try:
                received.append(end.recv())
            except EOFError:
                loop.remove_reader(end)
                done.set()

        loop.add_reader(end, ready)
        await asyncio.wait_for(done.wait(), PATIENCE)
        return received

    with piped(False) as (reader, writer):
        sender = Background(lambda: [writer.send(i) for i in range(100)] + [writer.close()])
        assert asyncio.run(collect(reader)) == list(range(100))
        sender.finish()


@pytest.mark.slow
def test_ten_thousand_times_a_wait_is_followed_by_a_message() -> None:
    with piped() as (mine, yours):

        def in_child() -> None:
            mine.close()
            wait_then_echo(yours)

        with forked(in_child) as process:
            yours.close()
            for i in range(5000):  # the child waits as often
                mine.send(i)
                assert wait([mine], PATIENCE) == [mine]
                assert mine.poll()
                assert mine.recv() == i
            assert not readable(mine)
            mine.close()
            assert process.finish() == 0


def test_a_forked_child_has_a_descriptor_of_its_own() -> None:
    with piped() as (a, b), piped() as (c, d):
        descriptor = b.fileno()
        a.send(1)
        assert readable(descriptor, PATIENCE)

        def in_child() -> None:
            assert not threads()
            with pytest.raises(OSError, match="descriptor"):
                os.fstat(descriptor)
            assert readable(b)
            assert b.recv() == 1
            assert not readable(b)
            d.send("taken")
            assert readable(b, PATIENCE)
            assert b.recv() == 2
            d.send("taken")

        with forked(in_child) as process:
            assert c.recv() == "taken"
            # Who looks finds that another process was faster; then it is not readable any more.
            assert not b.poll()
            assert not readable(descriptor)
            a.send(2)
            assert c.recv() == "taken"
            assert process.finish() == 0
        a.send(3)
        assert readable(descriptor, PATIENCE)


def test_nothing_turns_round_while_a_message_stays_unread() -> None:
    with piped() as (a, b):
        a.send(-1)
        assert readable(b)
        [thread] = threads()
        before = _rounds()
        for i in range(200):
            a.send(i)
            assert readable(b)
            b.recv()
            assert readable(b)
        # It may not have begun to wait before.
        assert _rounds() - before <= 2
        assert thread.is_alive()
        before = _rounds()
        b.recv()
        assert not readable(b)
        until(lambda: _rounds() > before)


def _rounds() -> int:
    return _readiness._watcher.rounds


def test_the_thread_ends_with_the_last_descriptor() -> None:
    until(lambda: not threads())
    with piped() as (_, b), piped() as (_, d):
        b.fileno()
        d.fileno()
        assert len(threads()) == 1
        b.close()
        assert len(threads()) == 1
        descriptors = len(os.listdir("/proc/self/fd"))
    until(lambda: not threads())
    assert len(os.listdir("/proc/self/fd")) < descriptors
    with piped() as (a, b):
        b.fileno()
        a.send(1)
        assert readable(b, PATIENCE)


def test_the_writing_end_is_readable_when_nobody_reads() -> None:
    with piped(False) as (reader, writer):
        assert not readable(writer)
        assert select.select([], [writer], [], 0)[1]
        reader.close()
        assert readable(writer)
        assert not threads()


def test_queues_have_one_too_and_may_be_followed_by_others() -> None:
    queues = [isthmus.Queue(capacity=4096), isthmus.Queue(capacity=4096)]
    current = queues[0]

    def source() -> isthmus.Queue:
        return current

    readiness = Readiness(source)
    descriptor = readiness.fileno()
    queues[0].put(1)
    assert readable(descriptor, PATIENCE)
    queues[0].get()
    readiness.after_get()
    assert not readable(descriptor)
    queues[0].shutdown()
    assert readable(descriptor, PATIENCE)  # getting raises, and does not wait
    current = queues[1]
    readiness.after_get()
    assert not readable(descriptor)
    current.put(2)
    assert readable(descriptor, PATIENCE)
    readiness.close()
    until(lambda: not threads())
    for queue in queues:
        queue.close()


def test_a_queue_that_cannot_be_looked_at_is_left_to_the_reader() -> None:
    queue, other = isthmus.Queue(), isthmus.Queue()
    one, two = Readiness(queue), Readiness(other)
    assert not readable(one.fileno())
    assert not readable(two.fileno())
    one.close()
    until(lambda: closes(queue))
    gone = Readiness(queue)
    assert readable(gone.fileno())
    other.put(1)
    assert readable(two.fileno(), PATIENCE)
    gone.close()
    two.close()


def closes(queue: isthmus.Queue) -> bool:
    try:
        queue.close()
    except isthmus.InUseError:
        return False
    return True


@pytest.mark.slow
def test_the_thread_never_keeps_a_program_from_ending(run_python: Any) -> None:
    program = """
    import threading
    from multiprocessing.connection import wait
    from isthmus.compat.multiprocessing import _readiness
    from isthmus.compat.multiprocessing.connection import Pipe
    ends = [Pipe()]
    assert wait([ends[0][1]], 0.001) == []
    # A thread that is stopped at the end may have had the lock.
    thread = threading.Thread(target=_readiness._watcher.lock.__enter__)
    thread.start()
    thread.join()
    print("done")
    """
    assert run_python(program) == "done\n"
