"""Pipes within one process: as the documentation of `multiprocessing.connection` has them."""

from __future__ import annotations

import array
import multiprocessing
import multiprocessing.connection
import os
import pickle
import socket
import threading
from typing import Any

import numpy as np
import pytest
from bare_calls import Background, Stop, signals, stop, until
from pipe_ends import piped, waits

from isthmus.compat.multiprocessing import _messages, connection
from isthmus.compat.multiprocessing.connection import Connection, Pipe

OBJECTS: list[Any] = [
    *(None, True, -1, 2**70, 2**9000, 2.5, "", "text", "\ud800", b"", b"bytes", bytearray(b"x")),
    *((1, [2, {"3": None}]), {1, 2}, ValueError("no"), range(3)),
]


class Unpicklable:
    def __reduce__(self) -> Any:
        raise ValueError("not this one")


class Explosive:
    """Pickled without trouble, but not unpickled."""

    def __reduce__(self) -> Any:
        return int, ("not a number",)


def test_objects_go_in_both_directions_in_order() -> None:
    with piped() as (a, b):
        for obj in OBJECTS:
            a.send(obj)
            b.send([obj])
        for obj in OBJECTS:
            received = b.recv()
            assert type(received) is type(obj)
            assert repr(received) == repr(obj)
            assert repr(a.recv()) == repr([obj])
        assert (a.readable, a.writable, a.closed) == (True, True, False)


def test_one_way_pipes_send_one_way() -> None:
    with piped(False) as (reader, writer):
        assert (reader.readable, reader.writable) == (True, False)
        assert (writer.readable, writer.writable) == (False, True)
        writer.send(1)
        assert reader.recv() == 1
        for call in (lambda: reader.send(1), lambda: reader.send_bytes(b"")):
            with pytest.raises(OSError, match="connection is read-only"):
                call()
        for receive in (writer.recv, writer.recv_bytes, writer.poll):
            with pytest.raises(OSError, match="connection is write-only"):
                receive()
        with pytest.raises(OSError, match="connection is write-only"):
            writer.recv_bytes_into(bytearray(1))


def test_a_closed_connection_says_so() -> None:
    a, b = Pipe()
    with a as same:
        assert same is a
    a.close()
    assert a.closed
    for call in (a.recv, a.recv_bytes, a.poll, a.fileno, lambda: a.send(1)):
        with pytest.raises(OSError, match="handle is closed"):
            call()
    with pytest.raises(OSError, match="handle is closed"):
        a.send_bytes(b"x")
    with pytest.raises(OSError, match="handle is closed"):
        a.recv_bytes_into(bytearray(1))
    with pytest.raises(OSError, match="handle is closed"):
        pickle.dumps(a)
    b.close()


def test_the_end_comes_after_the_last_message() -> None:
    with piped() as (a, b):
        a.send(1)
        a.send_bytes(b"2")
        a.close()
        assert b.poll()
        assert b.recv() == 1
        assert b.recv_bytes() == b"2"
        for receive in (b.recv, b.recv_bytes, lambda: b.recv_bytes_into(bytearray(1))):
            assert b.poll()
            assert b.poll(None)
            with pytest.raises(EOFError):
                receive()


def test_sending_to_nobody_is_a_broken_pipe() -> None:
    for duplex in (True, False):
        with piped(duplex) as (a, b):
            a.close()
            for call in (lambda: b.send(1), lambda: b.send_bytes(bytes(2_000_000))):
                with pytest.raises(BrokenPipeError):
                    call()
            with pytest.raises(ValueError, match="not this one"):
                b.send(Unpicklable())


def test_connections_close_when_they_are_dropped() -> None:
    a, b = Pipe()
    b.send(1)
    descriptors = len(os.listdir("/proc/self/fd"))
    del a
    assert len(os.listdir("/proc/self/fd")) < descriptors
    with b, pytest.raises(BrokenPipeError):
        b.send(1)


def test_what_cannot_be_pickled_or_unpickled_leaves_the_pipe_as_it_was() -> None:
    with piped() as (a, b):
        with pytest.raises(ValueError, match="not this one"):
            a.send(Unpicklable())
        a.send(Explosive())
        a.send([Explosive(), np.zeros(5000)])
        a.send(2)
        for _ in range(2):
            with pytest.raises(ValueError, match="not a number"):
                b.recv()
        assert b.recv() == 2


# ---- Bytes -----------------------------------------------------------------------------


def test_send_bytes_takes_a_part_of_any_buffer() -> None:
    numbers = array.array("i", range(4))
    with piped() as (a, b):
        sent: list[tuple[Any, ...]] = [
            (b"hello",),
            (bytearray(b"hello"), 2),
            (memoryview(b"hello"), 1, 3),
            (b"hello", 5),
            (b"hello", 2, 0),
            (numbers, 4),
            (np.arange(6, dtype="u1").reshape(2, 3), 1),
        ]
        for arguments in sent:
            a.send_bytes(*arguments)
        received = [b.recv_bytes() for _ in sent]
        assert received[:5] == [b"hello", b"llo", b"ell", b"", b""]
        assert received[5] == numbers.tobytes()[4:]
        assert received[6] == bytes([1, 2, 3, 4, 5])
        for offset, size, what in (
            (-1, None, "offset is negative"),
            (6, None, "buffer length < offset"),
            (0, -1, "size is negative"),
            (3, 3, r"buffer length < offset \+ size"),
        ):
            with pytest.raises(ValueError, match=what):
                a.send_bytes(b"hello", offset, size)
        with pytest.raises(TypeError):
            a.send_bytes("text")  # type: ignore[arg-type]
        assert not b.poll()


def test_recv_bytes_into_fills_a_buffer() -> None:
    with piped() as (a, b):
        a.send_bytes(b"hello")
        a.send_bytes(b"hello")
        buffer = bytearray(b".......")
        assert b.recv_bytes_into(buffer) == 5
        assert b.recv_bytes_into(buffer, 2) == 5
        assert buffer == b"hehello"
        numbers = array.array("i", [0] * 4)
        a.send_bytes(array.array("i", [1, 2]))
        assert b.recv_bytes_into(numbers, 2 * numbers.itemsize) == 2 * numbers.itemsize
        assert list(numbers) == [0, 0, 1, 2]
        grid = np.zeros((2, 3), "u1")
        a.send_bytes(bytes(range(6)))
        assert b.recv_bytes_into(grid) == 6
        assert grid.tolist() == [[0, 1, 2], [3, 4, 5]]
        for offset, what in ((-1, "negative offset"), (8, "offset too large")):
            with pytest.raises(ValueError, match=what):
                b.recv_bytes_into(buffer, offset)
        a.send_bytes(b"hello")
        with pytest.raises(multiprocessing.BufferTooShort) as caught:
            b.recv_bytes_into(buffer, 3)
        assert caught.value.args[0] == b"hello"
        assert buffer == b"hehello"


def test_a_message_that_is_too_long_ends_receiving() -> None:
    with piped() as (a, b):
        a.send_bytes(b"12345")
        a.send_bytes(b"123456")
        with pytest.raises(ValueError, match="negative maxlength"):
            b.recv_bytes(-1)
        assert b.recv_bytes(5) == b"12345"
        with pytest.raises(OSError, match="bad message length"):
            b.recv_bytes(5)
        assert not b.readable
        b.send(1)
        assert a.recv() == 1
    with piped(False) as (reader, writer):
        writer.send_bytes(b"123456")
        with pytest.raises(OSError, match="bad message length"):
            reader.recv_bytes(5)
        assert reader.closed


def test_objects_are_received_as_bytes_and_bytes_as_objects() -> None:
    with piped() as (a, b):
        for obj in [*OBJECTS, {"array": np.ones(9000)}, np.arange(5), "x" * 3000]:
            a.send(obj)
            assert repr(pickle.loads(b.recv_bytes())) == repr(obj)
            a.send_bytes(pickle.dumps(obj))
            assert repr(b.recv()) == repr(obj)


# ---- Large ones ------------------------------------------------------------------------


@pytest.mark.parametrize("capacity", [4096, 65536])
def test_messages_of_any_size_pass_through_a_ring_of_any_size(capacity: int) -> None:
    sizes = [n + d for n in (0, 256, 1024, 2048, 4096, 70_000) for d in (-1, 0, 1) if n + d >= 0]
    with piped(capacity=capacity) as (a, b):

        def send() -> None:
            for size in sizes:
                data = os.urandom(size)
                a.send(data)
                a.send_bytes(data)
                a.send([data, np.frombuffer(bytearray(data), "u1"), bytearray(data)])
                a.send(np.frombuffer(data, "u1"))
                a.send("x" * size)

        sender = Background(send)
        for size in sizes:
            data = b.recv()
            assert type(data) is bytes
            assert len(data) == size
            assert b.recv_bytes() == data
            first, second, third = b.recv()
            assert (first, second.tobytes(), third) == (data, data, bytearray(data))
            assert b.recv().tobytes() == data
            assert b.recv() == "x" * size
        sender.finish()
        assert not b.poll()


def test_arrays_arrive_as_they_were_and_can_be_written_to() -> None:
    big = np.arange(300_000, dtype="f4").reshape(300, 1000)
    arrays = [
        *(np.arange(6).reshape(2, 3), big, big[:, ::2], np.asfortranarray(big), np.array(5)),
        *(np.array([None, "object"], object), np.zeros(3, "i4,f8"), np.zeros((0, 3))),
    ]
    with piped() as (a, b):

        def send() -> None:
            for each in arrays:
                a.send(each)
                a.send({"in": [each, each]})

        sender = Background(send)
        for each in arrays:
            for received in (b.recv(), *b.recv()["in"]):
                np.testing.assert_array_equal(received, each)
                assert received.dtype == each.dtype
                received[...] = each
        sender.finish()


def test_sending_waits_for_room() -> None:
    with piped(capacity=4096) as (a, b):

        def fill() -> None:
            for i in range(200):
                a.send_bytes(b"%d" % i * 30)

        sender = Background(fill)
        until(lambda: waits(a, sending=True))
        assert sender.is_alive()
        for i in range(200):
            assert b.recv_bytes() == b"%d" % i * 30
        sender.finish()


def test_an_interrupted_large_message_is_dropped() -> None:
    with piped(capacity=4096) as (a, b):
        with pytest.raises(Stop), signals(stop):
            a.send(bytes(100_000))  # nobody receives
        sender = Background(lambda: [a.send(b"x" * 50_000), a.send("next")])
        assert b.recv() == b"x" * 50_000
        assert b.recv() == "next"
        sender.finish()
        assert not b.poll()


def test_what_was_begun_and_never_sent_is_forgotten_in_the_end() -> None:
    sizes, pieces = _messages.Sizes(4096), _messages.Pieces()
    for _ in range(50):
        [first, *_rest] = _messages.of_bytes(memoryview(bytes(10_000)), sizes)  # type: ignore[misc]
        assert pieces.add(first) is None
    [kept] = pieces._growing.values()
    assert len(kept) == _messages._LATE
    parts = list(_messages.of_bytes(memoryview(b"x" * 10_000), sizes))  # type: ignore[call-overload]
    whole = [pieces.add(each) for each in reversed(parts)]
    assert whole == [None] * (len(parts) - 1) + [b"x" * 10_000]


def test_an_interrupted_recv_goes_on_where_it_was() -> None:
    with piped(capacity=4096) as (a, b):
        with pytest.raises(Stop), signals(stop):
            b.recv()
        sender = Background(lambda: a.send(b"x" * 50_000))
        b._pieces.add(b._inlet.get(timeout=60))  # a recv that was interrupted then
        assert b.recv() == b"x" * 50_000
        sender.finish()


# ---- Threads, polling ------------------------------------------------------------------


def test_threads_send_and_receive_large_messages_through_the_same_ends() -> None:
    received: list[Any] = []

    def receive() -> None:
        while (each := b.recv()) is not None:
            received.append(each)

    with piped(capacity=16384) as (a, b):
        receivers = [Background(receive) for _ in range(3)]
        senders = [
            Background(lambda n=n: [a.send(bytes([n, i]) * 9000) for i in range(10)])
            for n in range(3)
        ]
        for each in senders:
            each.finish()
        for _ in receivers:
            a.send(None)
        for each in receivers:
            each.finish()
        assert not b.poll()
    assert sorted(received) == [bytes([n, i]) * 9000 for n in range(3) for i in range(10)]


def test_poll_tells_and_waits() -> None:
    with piped() as (a, b):
        assert b.poll() is False
        assert b.poll(-1) is False
        assert b.poll(0.03) is False
        waiting = Background(lambda: b.poll(None))
        a.send(None)
        assert waiting.finish() is True
        assert b.poll() is b.poll(1) is True
        assert b.recv() is None
        assert not b.poll()
        a.close()
        assert b.poll() is True


@pytest.mark.parametrize("what", ["recv", "poll", "send"])
def test_closing_ends_what_another_thread_does_with_it(what: str) -> None:
    with piped(capacity=4096) as (_a, b):

        def use() -> None:
            if what == "send":
                while True:
                    b.send_bytes(bytes(1000))
            b.recv() if what == "recv" else b.poll(None)

        thread = Background(use)
        if what != "poll":  # of which nobody can tell
            until(lambda: waits(b, sending=what == "send"))
        b.close()
        with pytest.raises(OSError, match="handle is closed"):
            thread.finish()


def test_the_reader_of_a_full_ring_that_goes_away_breaks_the_pipe() -> None:
    with piped(capacity=4096) as (a, b):
        sender = Background(lambda: a.send(bytes(100_000)))
        until(lambda: waits(a, sending=True))
        b.close()
        with pytest.raises(BrokenPipeError):
            sender.finish()


# ---- Names -----------------------------------------------------------------------------


def test_it_is_a_connection_of_the_standard_library() -> None:
    with piped() as (a, _):
        assert isinstance(a, multiprocessing.connection.Connection)
    mine, yours = socket.socketpair()
    with Connection(mine.detach()) as plain, yours:
        assert type(plain) is multiprocessing.connection.Connection
        plain.send_bytes(b"x")
        assert yours.recv(10) == b"\0\0\0\1x"
    with pytest.raises(ValueError, match="invalid handle"):
        Connection(-1)


def test_the_module_has_the_names_of_the_original() -> None:
    assert connection.wait is multiprocessing.connection.wait
    assert connection.Listener is multiprocessing.connection.Listener
    assert connection.Client is multiprocessing.connection.Client
    assert connection.answer_challenge is multiprocessing.connection.answer_challenge
    with pytest.raises(AttributeError):
        connection.nothing_of_that_name
    assert set(multiprocessing.connection.__all__) <= set(connection.__all__)
    public = {name for name in dir(multiprocessing.connection.Connection) if name[0] != "_"}
    assert {name for name in dir(Connection) if name[0] != "_"} == public


def test_no_thread_is_there_unless_a_descriptor_is_asked_for() -> None:
    with piped() as (a, b):
        before = threading.active_count()
        a.send(1)
        b.recv()
        assert threading.active_count() == before
