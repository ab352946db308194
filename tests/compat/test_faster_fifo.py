"""isthmus.compat.faster_fifo, and the package that it stands for, in the same scenarios."""

from __future__ import annotations

import ctypes
import pickle
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import faster_fifo as original
import pytest
from fifos import LONG, both, plain

from isthmus.compat import faster_fifo as ours


class Shape:
    """Something that only pickle can take."""

    def __init__(self, side: int) -> None:
        self.side = side

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shape) and other.side == self.side

    __hash__ = None  # type: ignore[assignment]


# ---- Putting and getting -------------------------------------------------------------------


@both
def test_put_and_get_give_equal_objects_in_order(module: Any) -> None:
    q = module.Queue()
    objects = [1, "text", b"bytes", None, 2.5, (1, [2, {"three": 3}]), Shape(4), "long" * 5000]
    for item in objects:
        q.put(item)
    assert [q.get() for _ in objects] == objects
    q.put_nowait("now")
    assert q.get_nowait() == "now"


@both
def test_put_many_and_get_many_take_several(module: Any) -> None:
    q = module.Queue()
    q.put_many([1, 2])
    q.put_many((3,), True, 1.0)
    q.put_many_nowait([4, 5])
    q.put_many([])
    assert q.get_many(max_messages_to_get=2) == [1, 2]
    assert q.get_many(True, 1.0, 1) == [3]
    assert q.get_many_nowait(max_messages_to_get=1) == [4]
    assert q.get_many_nowait() == [5]


def test_get_many_gives_all_that_there_is_however_large() -> None:
    q = ours.Queue(10_000_000)
    items = [bytes([n]) * 300_000 for n in range(20)]
    q.put_many(items)
    assert q.get_many() == items


@both
def test_a_message_may_be_empty(module: Any) -> None:
    q = plain(module)
    q.put(b"")
    q.put_many([b"", b"x"])
    assert q.data_size() == 25
    assert [q.get(), q.get(), q.get()] == [b"", b"", b"x"]
    assert q.data_size() == 0


@both
def test_put_many_takes_lists_and_tuples_only_and_last_error_says_so(module: Any) -> None:
    q = module.Queue()
    assert q.last_error is None
    for wrong in ("ab", {}, iter([1])):
        with pytest.raises(module.QueueError) as caught:
            q.put_many(wrong)
        assert q.last_error == str(caught.value)
        assert q.last_error == f"put_many() expects a list or tuple, got {type(wrong)}"
    assert q.empty()


@both
def test_what_cannot_be_pickled_raises_in_put_and_nothing_is_put(module: Any) -> None:
    q = module.Queue()
    with pytest.raises((AttributeError, pickle.PicklingError)):
        q.put(lambda: None)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        q.put_many([1, lambda: None])
    assert q.qsize() == 0


def test_what_is_not_bytes_after_dumps_is_refused() -> None:
    for wrong in ("text", bytearray(b"b"), memoryview(b"m"), 5):
        q = ours.Queue(dumps=lambda item: item)
        with pytest.raises(TypeError, match="must be bytes"):
            q.put(wrong)
        assert q.empty()


@both
def test_nothing_wanted_is_an_error(module: Any) -> None:
    q = module.Queue()
    q.put(1)
    with pytest.raises(module.QueueError, match="at least 1 message"):
        q.get_many(max_messages_to_get=0)
    with pytest.raises(OverflowError):
        q.get_many(max_messages_to_get=-1)
    q.max_bytes_to_read = 0
    with pytest.raises(module.QueueError, match="at least 1 message"):
        q.get_many()
    assert q.qsize() == 1


@both
def test_a_message_that_loads_refuses_is_gone(module: Any) -> None:
    def refuse(message: Any) -> Any:
        raise ArithmeticError(bytes(message))

    q = module.Queue(loads=refuse, dumps=bytes)
    q.put(b"poison")
    with pytest.raises(ArithmeticError, match="poison"):
        q.get()
    assert q.empty()


# ---- Waiting -----------------------------------------------------------------------------------


@both
def test_empty_and_full_are_those_of_the_standard_library(module: Any) -> None:
    assert module.Empty is queue.Empty
    assert module.Full is queue.Full
    q = plain(module, max_size_bytes=10)
    for get in (q.get_nowait, q.get_many_nowait, lambda: q.get(block=False)):
        with pytest.raises(queue.Empty):
            get()
    q.put(b"ab")
    for put in (
        lambda: q.put_nowait(b"c"),
        lambda: q.put_many_nowait([b"c"]),
        lambda: q.put(b"c", False),
    ):
        with pytest.raises(queue.Full):
            put()


@both
def test_a_timeout_is_seconds(module: Any) -> None:
    q = plain(module, max_size_bytes=10)
    for wait, error in (
        (lambda: q.get(timeout=0.03), queue.Empty),
        (lambda: q.get_many(True, 0.03), queue.Empty),
    ):
        began = time.monotonic()
        with pytest.raises(error):
            wait()
        assert 0.029 < time.monotonic() - began < LONG
    q.put(b"ab")
    began = time.monotonic()
    with pytest.raises(queue.Full):
        q.put(b"c", timeout=0.03)
    assert 0.029 < time.monotonic() - began < LONG
    with pytest.raises(TypeError):
        q.put(b"c", timeout="soon")


def later(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


@both
def test_who_waits_is_woken(module: Any) -> None:
    q = plain(module, max_size_bytes=20)
    got: list[bytes] = []
    thread = later(lambda: got.append(q.get(timeout=LONG)))
    q.put(b"one")
    thread.join(LONG)
    assert got == [b"one"]
    q.put(b"x" * 12)
    thread = later(lambda: q.put(b"y" * 12, timeout=LONG))
    assert q.get() == b"x" * 12
    thread.join(LONG)
    assert q.get(timeout=LONG) == b"y" * 12


def test_no_timeout_waits_for_ever_and_a_negative_one_not_at_all() -> None:
    q = ours.Queue()
    with pytest.raises(queue.Empty):
        q.get(timeout=-1)
    thread = later(lambda: q.get(timeout=None))
    q.put(1, timeout=None)
    thread.join(LONG)
    assert not thread.is_alive()


# ---- Pickling, and what is in the module ---------------------------------------------------


@both
def test_loads_and_dumps_can_be_given_or_overridden(module: Any) -> None:
    kinds: list[type] = []

    def loads(message: Any) -> str:
        kinds.append(type(message))
        return bytes(message).decode()

    given = module.Queue(loads=loads, dumps=str.encode)

    class Texts(module.Queue):  # type: ignore[misc]
        def loads(self, msg_bytes: Any) -> Any:
            return loads(msg_bytes)

        def dumps(self, obj: Any) -> Any:
            return obj.encode()

    for q in (given, Texts()):
        q.put("ü")
        q.put_many(["a", "b"])
        assert q.data_size() == 2 + 1 + 1 + 3 * 8
        assert [q.get(), *q.get_many(max_messages_to_get=1), q.get()] == ["ü", "a", "b"]
    assert set(kinds) == {memoryview}


def test_dumps_makes_the_same_bytes_as_the_original() -> None:
    theirs, mine = original.Queue(), ours.Queue()
    for item in (1, None, True, 1.5, "s", b"b", bytearray(b"c"), (1, 2), [Shape(1)], {"a": {}}):
        message = mine.dumps(item)
        assert message == theirs.dumps(item)
        assert mine.loads(message) == theirs.loads(memoryview(message)) == item


def test_dumps_knows_what_multiprocessing_has_registered() -> None:
    """Only with its reducers can a socket, or a tensor, travel."""
    q = ours.Queue()
    with socket.socket() as end, pytest.raises(TypeError):
        pickle.dumps(end)
    with socket.socket() as end:
        q.put(end)
        with q.get() as copy:
            assert copy.fileno() != end.fileno()
            assert copy.family == end.family


@both
def test_close_says_so_to_everybody_and_does_nothing_else(module: Any) -> None:
    q = module.Queue()
    assert not q.is_closed()
    assert not q.closed.value
    q.close()
    assert q.is_closed()
    assert q.closed.value
    q.put(1)
    assert q.get() == 1
    assert q.join_thread() is None
    assert q.cancel_join_thread() is None


@both
def test_parse_messages_reads_a_buffer_of_reallocate_msg_buffer(module: Any) -> None:
    q = plain(module)
    q.reallocate_msg_buffer(9000)
    assert len(q.message_buffer.val) == 9000
    q.reallocate_msg_buffer(10)
    assert len(q.message_buffer.val) == module.INITIAL_RECV_BUFFER_SIZE
    data = struct.pack("=Q3sQ2s", 3, b"abc", 2, b"de")
    memoryview(q.message_buffer.val).cast("B")[: len(data)] = data
    assert q.parse_messages(2, len(data), q.message_buffer) == [b"abc", b"de"]
    with pytest.raises((module.QueueError, AssertionError)):
        q.parse_messages(2, len(data) + 1, q.message_buffer)


@both
def test_a_tlsbuffer_is_of_each_thread_and_travels_as_its_size(module: Any) -> None:
    buffer = module.TLSBuffer((ctypes.c_ubyte * 7)())
    assert len(pickle.loads(pickle.dumps(buffer)).val) == buffer.__getstate__() == 7
    empty = module.TLSBuffer()
    assert empty.val is None
    assert pickle.loads(pickle.dumps(empty)).val is None
    empty.__setstate__(3)
    seen: list[object] = []
    thread = later(lambda: seen.append(empty.val))
    thread.join(LONG)
    assert len(empty.val) == 3
    assert seen == [None]


@pytest.mark.parametrize(
    "constant", ["DEFAULT_CIRCULAR_BUFFER_SIZE", "DEFAULT_TIMEOUT", "INITIAL_RECV_BUFFER_SIZE"]
)
def test_every_constant_has_the_value_of_the_original(constant: str) -> None:
    assert constant in dir(original)
    assert getattr(ours, constant) == getattr(original, constant)
    assert type(getattr(ours, constant)) is type(getattr(original, constant))
