"""Pipes between processes: whatever started them, and whatever ends them."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import socket
import threading
from multiprocessing.connection import Pipe as standard_pipe
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pytest
from bare_calls import PATIENCE, Background, Stop, child, presses_ctrl_c, signals, stop, until
from pipe_ends import (
    check,
    echo,
    message,
    piped,
    reach_through,
    send_numbers,
    wait_then_echo,
    waits,
)
from sharing import forked, holding

from isthmus.compat.multiprocessing._messages import Piece
from isthmus.compat.multiprocessing.connection import Connection, Pipe

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

every_method = pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])


def ends(process: Any) -> None:
    process.join(PATIENCE)
    assert process.exitcode == 0


def take_piece(end: Connection) -> None:
    """What `recv` does first with a large message."""
    piece = end._take_one()
    assert type(piece) is Piece
    assert end._pieces.add(piece) is None


@pytest.mark.slow
@every_method
def test_an_end_goes_to_a_child_as_an_argument(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    with piped() as (mine, yours), piped() as (mine2, yours2):
        # A forked child has all of them; a copy in it counts, as with the original.
        others = (mine, mine2) if method == "fork" else ()
        first = context.Process(target=wait_then_echo, args=(yours, yours2, *others))
        second = context.Process(target=reach_through, args=(yours2, yours, *others))
        first.start()
        second.start()
        yours.close()
        yours2.close()
        for obj in (1, "text", b"bytes", {"a": [1.5]}, bytes(3_000_000)):
            mine.send(obj)
            assert mine.recv() == obj
        array = np.arange(400_000, dtype="f8")
        mine.send([array])
        np.testing.assert_array_equal(mine.recv()[0], array)
        mine.close()
        # A connection goes through a connection, in both directions.
        with piped() as (here, there):
            mine2.send(there)
            there.close()
            here.send(41)
            assert here.recv() == 42
            with pytest.raises(EOFError):
                here.recv()
        inner = mine2.recv()
        mine2.send("it has arrived")
        assert inner.recv() == "from a pipe that the child has made"
        inner.close()
        assert mine2.recv() == "closed"
        ends(first)
        ends(second)


@pytest.mark.slow
def test_an_end_goes_through_standard_queues_and_keeps_the_pipe_open() -> None:
    context: Any = multiprocessing.get_context("fork")
    with piped() as (mine, yours):
        queue = context.SimpleQueue()
        queue.put(yours)
        # On its way it counts as open.
        yours.close()
        mine.send(1)
        assert not mine.poll()
        arrived = queue.get()
        assert arrived.recv() == 1
        assert (arrived.readable, arrived.writable) == (True, True)
        arrived.close()
        with pytest.raises(EOFError):
            mine.recv()
        queue.close()


@pytest.mark.slow
def test_what_multiprocessing_can_pickle_can_be_sent() -> None:
    one, other = socket.socketpair()
    theirs, ours = standard_pipe()
    with piped() as (a, b), one, other, theirs, ours:
        a.send([one, theirs, np.zeros(2000)])
        got, connection, _ = b.recv()
        with got, connection:
            other.send(b"hello")
            assert got.recv(10) == b"hello"
            ours.send("hello")
            assert connection.recv() == "hello"
        # Bytes that somebody else has pickled for `recv`.
        a.send_bytes(ForkingPickler.dumps({1: 2}))
        assert b.recv() == {1: 2}
        assert type(pickle.loads(pickle.dumps(a))) is Connection


def test_an_end_is_open_as_long_as_any_process_has_it() -> None:
    with piped() as (a, b), piped() as (c, d):

        def in_child() -> None:
            d.close()
            assert c.recv() == "go"  # has not used the other pipe up to here
            a.send("from the child")

        with forked(in_child) as process:
            a.close()
            assert not b.poll()
            d.send("go")
            assert b.recv() == "from the child"
            with pytest.raises(EOFError):
                b.recv()
            assert process.finish() == 0


def test_the_end_comes_after_all_that_a_killed_sender_has_sent() -> None:
    with piped(capacity="4 MiB") as (a, b):

        def send() -> None:
            for i in range(100):
                a.send(message(i))

        with holding(send) as process:
            a.close()
            process.kill()
            assert [check(b.recv()) for _ in range(100)] == list(range(100))
            with pytest.raises(EOFError):
                b.recv()


@pytest.mark.slow
def test_senders_killed_at_any_moment_leave_whole_messages() -> None:
    for number in range(25):
        with piped(capacity=16384) as (a, b), piped(False) as (started, starter):

            def send(a: Connection = a, b: Connection = b, starter: Connection = starter) -> None:
                b.close()
                starter.send(1)
                for i in range(1_000_000):
                    a.send(message(i))

            with forked(send) as process:
                a.close()
                starter.close()
                started.recv()
                for i in range(number):
                    assert check(b.recv()) == i
                process.kill()
                following = number
                with pytest.raises(EOFError):
                    while True:
                        assert check(b.recv()) == following
                        following += 1


@pytest.mark.slow
def test_receivers_killed_at_any_moment_break_the_pipe() -> None:
    for number in range(15):
        with piped(capacity=16384) as (a, b):

            def receive(a: Connection = a, b: Connection = b) -> None:
                a.close()
                while True:
                    check(b.recv())

            with forked(receive) as process:
                b.close()
                for i in range(5 * number):
                    a.send(message(i))
                process.kill(reap=False)
                with pytest.raises(BrokenPipeError):
                    while True:
                        a.send(message(1))
                process.finish()


def test_a_sender_that_waits_for_room_is_told_when_the_receiver_is_killed() -> None:
    with piped(capacity=4096) as (a, b), holding(a.close) as process:
        b.close()
        sender = Background(lambda: a.send(bytes(100_000)))
        until(lambda: waits(a, sending=True))
        process.kill()
        with pytest.raises(BrokenPipeError):
            sender.finish()


def test_a_receiver_that_waits_is_told_when_the_sender_is_killed() -> None:
    with piped() as (a, b), holding(b.close) as process:
        a.close()
        receiver, poll = Background(b.recv), Background(lambda: b.poll(None))
        until(lambda: waits(b))
        assert poll.is_alive()
        process.kill()
        with pytest.raises(EOFError):
            receiver.finish()
        assert poll.finish() is True


def test_a_receiver_killed_within_a_large_message_takes_no_other_along() -> None:
    with piped() as (a, b):
        a.send(bytes(600_000))
        a.send("next")
        with holding(lambda: take_piece(b)) as process:
            process.kill()
        assert b.recv() == "next"


def test_a_sender_killed_within_a_large_message_takes_no_other_along() -> None:
    with piped(capacity=4096) as (a, b):
        with forked(lambda: a.send(bytes(100_000))) as process:
            until(lambda: waits(a, sending=True))
            process.kill()

        def send() -> None:
            a.send("next")
            a.send(b"x" * 10_000)

        with forked(send) as process:
            assert b.recv() == "next"
            assert b.recv() == b"x" * 10_000
            assert process.finish() == 0
        a.close()
        with pytest.raises(EOFError):
            b.recv()


@pytest.mark.slow
def test_several_processes_send_through_one_end() -> None:
    with piped(capacity=16384) as (a, b):
        processes = [forked(lambda who=who: send_numbers(a, who, 200)) for who in range(3)]
        with processes[0] as first, processes[1] as second, processes[2] as third:
            a.close()
            received: list[list[int]] = [[], [], []]
            with pytest.raises(EOFError):
                while True:
                    who, content = b.recv()
                    received[who].append(check(content))
            assert received == [list(range(200))] * 3
            assert [each.finish() for each in (first, second, third)] == [0, 0, 0]


@pytest.mark.slow
def test_several_processes_receive_from_one_end() -> None:
    with piped() as (a, b), piped() as (results, report):

        def receive() -> None:
            a.close()
            count = 0
            while True:
                try:
                    check(b.recv())
                except EOFError:
                    break
                count += 1
            report.send(count)

        with forked(receive) as first, forked(receive) as second:
            b.close()
            for i in range(2000):
                a.send(message(i))
            a.close()
            assert results.recv() + results.recv() == 2000
            assert (first.finish(), second.finish()) == (0, 0)


@pytest.mark.slow
def test_64_mib_go_there_and_back() -> None:
    big = np.arange(8 << 20, dtype="u8")
    with piped() as (mine, yours):

        def in_child() -> None:
            mine.close()
            echo(yours)

        with forked(in_child) as process:
            yours.close()
            mine.send(big)
            np.testing.assert_array_equal(mine.recv(), big)
            mine.send_bytes(pickle.dumps(b"x" * (64 << 20)))
            assert mine.recv() == b"x" * (64 << 20)
            mine.close()
            assert process.finish() == 0


def test_a_signal_handler_may_raise_while_receiving() -> None:
    with piped() as (a, b):
        for method in (b.recv, lambda: b.poll(None)):
            with pytest.raises(Stop), signals(stop):
                method()
        a.send(1)
        assert b.recv() == 1


@pytest.mark.slow
def test_ctrl_c_ends_a_program_that_receives() -> None:
    program = """
    from isthmus.compat.multiprocessing.connection import Pipe
    a, b = Pipe()
    b.fileno()
    print("ready", flush=True)
    b.recv()
    """
    with child(program) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        presses_ctrl_c(process)


def test_a_forked_child_drops_what_has_begun_to_come_to_its_parent() -> None:
    with piped(capacity=4096) as (a, b), piped() as (c, d):
        pieces = forked(lambda: [d.recv(), a.send(b"x" * 6000)])
        with pieces as process:
            c.send("go")
            take_piece(b)
            with forked(lambda: [take_piece(b), d.send(len(b._pieces._growing))]) as other:
                assert c.recv() == 1
                assert other.finish() == 0
            process.kill()
        assert len(b._pieces._growing) == 1


def test_nothing_is_left_open() -> None:
    gc.collect()  # what other tests have waited for
    counts = []
    for duplex in (True, False) * 5:
        a, b = Pipe(duplex)
        a.fileno()
        b.send(np.zeros(3))
        a.recv()
        a.close()
        b.close()
        until(lambda: all(each.name != "isthmus-readiness" for each in threading.enumerate()))
        counts.append(len(os.listdir("/proc/self/fd")))
    # What the thread has waited for goes a moment after it.
    until(lambda: len(os.listdir("/proc/self/fd")) <= counts[0])
