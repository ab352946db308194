"""What every form does with messages: order, boundaries, sizes, contents."""

from __future__ import annotations

import itertools
import mmap
import os

import pytest
from channels import FORMS, PATIENCE, child, ended, in_thread, sizes_for

import isthmus
from isthmus import channel
from isthmus.channel import Channel, EndOfChannel, TimedOut

Ends = tuple[Channel, Channel]


def test_messages_go_both_ways(ends: Ends) -> None:
    mine, yours = ends
    yours.send(b"ping")
    assert mine.recv(PATIENCE) == b"ping"
    mine.send(b"pong")
    assert yours.recv(PATIENCE) == b"pong"


def test_order_and_boundaries_are_kept(ends: Ends) -> None:
    mine, yours = ends
    for _ in range(20):
        sent = sizes_for(mine, 8, 2000)
        for message in sent:
            mine.send(message, PATIENCE)
        assert [yours.recv(PATIENCE) for _ in sent] == sent


def test_an_empty_message_is_a_message(ends: Ends) -> None:
    mine, yours = ends
    for message in (b"", b"a", b"", b""):
        mine.send(message)
    assert [yours.recv(PATIENCE) for _ in range(4)] == [b"", b"a", b"", b""]


def test_the_largest_message_arrives_and_a_larger_one_is_refused_at_once(ends: Ends) -> None:
    mine, yours = ends
    most = min(mine.largest, 3 << 20)
    message = bytes(range(256)) * (most // 256) + bytes(most % 256)
    thread, result = in_thread(lambda: mine.send(message, PATIENCE))
    assert yours.recv(PATIENCE) == message
    thread.join()
    assert result == [None]
    if mine.largest <= 4 << 20:
        with pytest.raises(channel.MessageTooLargeError) as caught:
            mine.send(bytes(mine.largest + 1))
        assert caught.value.capacity == mine.largest
        mine.send(b"next")
        assert yours.recv(PATIENCE) == b"next"


def test_what_is_larger_than_any_message_may_be_is_refused(ends: Ends) -> None:
    mine, yours = ends
    # Nobody touches these pages.
    with mmap.mmap(-1, mine.largest + 1) as large, pytest.raises(channel.MessageTooLargeError):
        mine.send(large)
    mine.send(b"next")
    assert yours.recv(PATIENCE) == b"next"


def test_all_bytes_and_all_characters_pass(ends: Ends) -> None:
    mine, yours = ends
    data = bytes(range(256)) + "Grüße, κόσμε, 世界 🐚".encode()
    step = min(mine.largest, len(data))
    parts = [data[at : at + step] for at in range(0, len(data), step)]
    got = b""
    for part in parts:
        mine.send(part, PATIENCE)
        got += yours.recv(PATIENCE)
    assert got == data


def test_anything_with_contiguous_bytes_can_be_sent(ends: Ends) -> None:
    import array

    mine, yours = ends
    mine.send(bytearray(b"abc"))
    mine.send(memoryview(b"xabcx")[1:4])
    mine.send(array.array("B", b"abc"))
    assert [yours.recv(PATIENCE) for _ in range(3)] == [b"abc"] * 3
    with pytest.raises(BufferError):
        mine.send(memoryview(b"abcdef")[::2])
    with pytest.raises(TypeError):
        mine.send("abc")  # type: ignore[arg-type]
    with pytest.raises(TimedOut):
        yours.recv(0)


def test_a_buffer_may_be_changed_as_soon_as_it_is_sent(ends: Ends) -> None:
    mine, yours = ends
    buffer = bytearray(b"1234")
    mine.send(buffer)
    buffer[:] = b"5678"
    mine.send(buffer)
    assert [yours.recv(PATIENCE), yours.recv(PATIENCE)] == [b"1234", b"5678"]


def test_a_message_is_received_into_a_buffer(ends: Ends) -> None:
    mine, yours = ends
    for message in (b"abc", b"", b"defgh"):
        mine.send(message)
    buffer = bytearray(b"......")
    assert yours.recv_into(buffer, PATIENCE) == 3
    assert buffer == b"abc..."
    assert yours.recv_into(buffer, PATIENCE) == 0
    assert yours.recv_into(memoryview(buffer)[1:], PATIENCE) == 5
    assert buffer == b"adefgh"
    with pytest.raises(TimedOut):
        yours.recv_into(buffer, 0)
    with pytest.raises((TypeError, BufferError)):
        yours.recv_into(b"read-only", 0)


def test_a_message_that_does_not_fit_into_the_buffer_is_the_next_one(ends: Ends) -> None:
    mine, yours = ends
    mine.send(b"abcde")
    mine.send(b"fg")
    for _ in range(2):
        with pytest.raises(isthmus.SizeError):
            yours.recv_into(bytearray(4), PATIENCE)
    assert yours.recv(PATIENCE) == b"abcde"
    assert yours.recv(PATIENCE) == b"fg"


def test_a_buffer_without_room_takes_an_empty_message_and_leaves_others(ends: Ends) -> None:
    mine, yours = ends
    mine.send_many([b"abc", b""])
    for _ in range(2):
        with pytest.raises(isthmus.SizeError):
            yours.recv_into(bytearray(), PATIENCE)
    assert yours.recv(PATIENCE) == b"abc"
    assert yours.recv_into(bytearray(), PATIENCE) == 0


def test_an_array_without_elements_is_an_empty_message(ends: Ends) -> None:
    import ctypes

    mine, yours = ends
    mine.send((ctypes.c_int * 3 * 0)())
    assert yours.recv(PATIENCE) == b""


def test_many_are_sent_by_one_call(ends: Ends) -> None:
    mine, yours = ends
    sent = sizes_for(mine, 300, 3000)
    thread, result = in_thread(lambda: mine.send_many(iter(sent), PATIENCE))
    assert [yours.recv(PATIENCE) for _ in sent] == sent
    thread.join()
    assert result == [None]
    mine.send_many([])
    with pytest.raises(TimedOut):
        yours.recv(0)


@pytest.mark.slow
def test_ten_thousand_messages_of_another_process_arrive_in_order(ends: Ends) -> None:
    mine, yours = ends

    def work() -> None:
        mine.close()
        for number in range(10_000):
            yours.send(number.to_bytes(4, "little"), PATIENCE)

    pid = child(work)
    yours.close()
    got = [int.from_bytes(mine.recv(PATIENCE), "little") for _ in range(10_000)]
    assert got == list(range(10_000))
    assert ended(pid) == 0


@pytest.mark.slow
def test_a_process_and_its_child_answer_each_other(ends: Ends) -> None:
    mine, yours = ends

    def work() -> None:
        mine.close()
        for _ in range(100):
            yours.send(yours.recv(PATIENCE)[::-1], PATIENCE)

    pid = child(work)
    yours.close()
    for number in range(100):
        mine.send(b"%03d" % number, PATIENCE)
        assert mine.recv(PATIENCE) == (b"%03d" % number)[::-1]
    assert ended(pid) == 0


def test_iterating_ends_where_the_other_side_has_closed(ends: Ends, form: str) -> None:
    mine, yours = ends
    for message in (b"a", b"b"):
        mine.send(message)
    if FORMS[form].notices_death:
        mine.close()
        assert list(yours) == [b"a", b"b"]
        with pytest.raises(EndOfChannel):
            yours.recv()
    else:
        messages = iter(yours)
        assert [next(messages), next(messages)] == [b"a", b"b"]
        mine.close()
        with pytest.raises(TimedOut):
            yours.recv(0)


@pytest.mark.slow
def test_small_messages_of_other_threads_stand_between_the_pieces_of_large_ones() -> None:
    mine, yours = channel.pair("shm", capacity=4096)
    with mine, yours:
        large = [bytes([number]) * (20_000 + number) for number in range(20)]
        small = [b"%d" % number for number in range(1000)]
        senders = [
            in_thread(lambda: mine.send_many(large, PATIENCE)),
            in_thread(lambda: [mine.send(message, PATIENCE) for message in small]),
        ]
        got = [yours.recv(PATIENCE) for _ in range(len(large) + len(small))]
        assert [message for message in got if len(message) > 9] == large
        assert [message for message in got if len(message) <= 9] == small
        for thread, _ in senders:
            thread.join()


def test_pieces_are_larger_than_any_small_message() -> None:
    from isthmus.channel._pieces import pieces_of

    for small in (1, 8, 512):
        for size in (*range(small + 1, 20 * small + 40), 123_457):
            ends = [0, *pieces_of(size, small)]
            pieces = [after - before for before, after in itertools.pairwise(ends)]
            assert sum(pieces) == size
            assert all(small < piece <= 2 * small + 2 for piece in pieces)


def test_a_large_message_is_received_into_a_buffer_with_nothing_beside_it_touched(
    ends: Ends,
) -> None:
    mine, yours = ends
    for size in (min(mine.largest, 3_000_000), 0, min(mine.largest, 300_000), 1):
        message = os.urandom(size)
        thread, result = in_thread(lambda message=message: mine.send(message, PATIENCE))
        buffer = bytearray(size + 2)
        assert yours.recv_into(memoryview(buffer)[1:], PATIENCE) == size
        thread.join()
        assert result == [None]
        assert buffer == b"\0" + message + b"\0"
    # It can be resized: nothing refers to it any more.
    buffer.append(1)
    mine.send(b"next")
    assert yours.recv(PATIENCE) == b"next"


@pytest.mark.parametrize("form", ["unix", "tcp", "pipe", "fifo", "shm"])
def test_what_has_come_into_a_buffer_until_the_time_was_up_is_not_lost(ends: Ends) -> None:
    mine, yours = ends
    message = os.urandom(8 << 20)
    with pytest.raises(TimedOut) as caught:
        mine.send(message, 0)
    assert caught.value.begun
    buffer = bytearray(len(message))
    for _ in range(3):
        with pytest.raises(TimedOut):
            yours.recv_into(buffer, 0.01)
        buffer[:] = bytes(len(buffer))
        buffer.append(0)
        buffer.pop()
    thread, result = in_thread(lambda: mine.send(b"next", PATIENCE))
    assert yours.recv_into(buffer, PATIENCE) == len(message)
    assert buffer == message
    assert yours.recv(PATIENCE) == b"next"
    thread.join()
    assert result == [None]
