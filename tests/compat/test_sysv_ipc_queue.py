"""isthmus.compat.sysv_ipc.MessageQueue: waiting, signals, and what crashes with the original."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest
from bare_calls import Background, Stop, child, is_in, presses_ctrl_c, signals, stop, until

from isthmus.compat import sysv_ipc
from isthmus.compat.sysv_ipc import IPC_CREX, MessageQueue


@pytest.fixture
def queue(key: int) -> MessageQueue:
    return MessageQueue(key, IPC_CREX)


@pytest.fixture
def full(queue: MessageQueue) -> MessageQueue:
    queue.max_size = 10
    queue.send(b"0123456789")
    return queue


def test_receive_waits_for_a_message_of_the_type(queue: MessageQueue) -> None:
    waiting = Background(lambda: queue.receive(type=3))
    until(lambda: is_in("msgrcv", waiting.task))
    queue.send(b"other", type=2)
    queue.send(b"this", type=3)
    assert waiting.finish() == (b"this", 3)
    assert queue.receive() == (b"other", 2)


def test_send_waits_for_room(full: MessageQueue) -> None:
    waiting = Background(lambda: full.send(bytearray(b"more")))
    until(lambda: is_in("msgsnd", waiting.task))
    assert full.receive()[0] == b"0123456789"
    waiting.finish()
    assert full.receive() == (b"more", 1)


def test_removing_it_ends_every_wait(full: MessageQueue) -> None:
    sending = Background(lambda: full.send(b"more"))
    until(lambda: is_in("msgsnd", sending.task))
    receiving = Background(lambda: full.receive(type=9))
    until(lambda: is_in("msgrcv", receiving.task))
    full.remove()
    for wait in (sending, receiving):
        with pytest.raises(sysv_ipc.ExistentialError, match=r"^The queue no longer exists$"):
            wait.finish()


def test_a_signal_ends_a_wait(full: MessageQueue) -> None:
    waits: list[Callable[[], object]] = [lambda: full.send(b"more"), lambda: full.receive(type=9)]
    for wait in waits:
        often = signals(lambda _count: None)
        with often, pytest.raises(sysv_ipc.Error, match=r"^Signaled while waiting$") as caught:
            wait()
        assert type(caught.value) is sysv_ipc.Error
        with signals(stop), pytest.raises(Stop):
            wait()
    assert full.current_messages == 1


@pytest.mark.slow
def test_ctrl_c_ends_a_wait(full: MessageQueue, key: int) -> None:
    for call, action in (("msgsnd", "send(b'x')"), ("msgrcv", "receive(type=9)")):
        program = f"""
        from isthmus.compat import sysv_ipc
        sysv_ipc.MessageQueue(int(sys.argv[1])).{action}
        """
        with child(program, key) as process:
            until(lambda call=call, p=process.pid: is_in(call, p, p))  # type: ignore[misc]
            presses_ctrl_c(process)
    assert full.current_messages == 1


def test_messages_of_every_length_come_out_as_they_went_in(key: int) -> None:
    longest = 8000
    queue = MessageQueue(key, IPC_CREX, max_message_size=longest)
    for size in (0, 1, 7, 8, 2047, 2048, 2049, longest):
        message = os.urandom(size)
        queue.send(message, type=size + 1)
        assert queue.receive() == (message, size + 1)
    queue.send(memoryview(b"abc"), type=2**31 - 1)
    assert queue.receive() == (b"abc", 2**31 - 1)


def test_a_message_that_is_too_long_stays(key: int, queue: MessageQueue) -> None:
    queue.send(b"0123456789")
    with pytest.raises(OSError, match="too long") as caught:
        MessageQueue(key, max_message_size=9).receive(False)
    assert caught.value.args == (7, os.strerror(7))
    assert MessageQueue(key, max_message_size=10).receive() == (b"0123456789", 1)


def test_what_is_no_bytes_is_refused(queue: MessageQueue) -> None:
    for wrong in (5, None, 1.5, [1]):
        with pytest.raises(TypeError, match="bytes-like"):
            queue.send(wrong)  # type: ignore[arg-type]
    with pytest.raises(BufferError, match="contiguous"):
        queue.send(memoryview(b"abcdef")[::2])
    with pytest.raises(TypeError):
        queue.send()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="integer"):
        queue.send(b"x", True, "x")  # type: ignore[arg-type]
    assert queue.current_messages == 0


def test_what_is_neither_true_nor_false_is_an_error(queue: MessageQueue) -> None:
    class Neither:
        def __bool__(self) -> bool:
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        queue.send(b"x", Neither())
    with pytest.raises(ArithmeticError):
        queue.receive(Neither())
    assert queue.current_messages == 0


def test_a_length_that_no_memory_holds_is_a_memory_error(key: int, queue: MessageQueue) -> None:
    huge = MessageQueue(key, max_message_size=2**62)
    with pytest.raises(MemoryError, match=r"^Out of memory$"):
        huge.receive(False)
    huge.send(b"short")
    assert queue.receive() == (b"short", 1)


def test_numbers_that_do_not_fit_are_errors(queue: MessageQueue, key: int) -> None:
    for name in ("uid", "gid", "mode"):
        before = getattr(queue, name)
        for value in (2**32, -2, 2**70):
            with pytest.raises(OverflowError):
                setattr(queue, name, value)
        assert getattr(queue, name) == before
    for size in (2**63, 2**64 + 5, -1):
        with pytest.raises(ValueError, match="message length must be <="):
            MessageQueue(key, max_message_size=size)


def test_threads_share_it(queue: MessageQueue) -> None:
    total = 300
    got: list[bytes] = []
    lock = threading.Lock()

    def take() -> None:
        while (message := queue.receive()[0]) != b"":
            with lock:
                got.append(message)

    takers = [Background(take) for _ in range(2)]
    for number in range(total):
        queue.send(b"%d" % number)
    for _ in takers:
        queue.send(b"")
    for taker in takers:
        taker.finish()
    assert sorted(map(int, got)) == list(range(total))
