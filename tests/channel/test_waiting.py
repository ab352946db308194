"""What every form does while it waits: timeouts, closing, signals, descriptors, threads."""

from __future__ import annotations

import select
import signal
import threading
import time

import pytest
from channels import FORMS, PATIENCE, in_thread, until_asleep

import isthmus
from isthmus import channel
from isthmus.channel import Channel, TimedOut

Ends = tuple[Channel, Channel]


def test_nothing_in_time_is_a_timeout_and_the_channel_is_as_good_as_before(ends: Ends) -> None:
    mine, yours = ends
    for timeout in (0, -1, 0.01):
        with pytest.raises(TimeoutError) as caught:
            yours.recv(timeout)
        assert isinstance(caught.value, TimedOut)
        assert isinstance(caught.value, isthmus.IsthmusError)
    with pytest.raises(ValueError, match="NaN"):
        yours.recv(float("nan"))
    mine.send(b"late")
    assert yours.recv(0.01 + PATIENCE) == b"late"


class _Raced:
    """A lock that another thread takes as soon as it was released for the first time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.release = self._lock.release
        self.locked = self._lock.locked
        self._times = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        self._times += 1
        return self._times == 1 and self._lock.acquire(blocking, timeout)


@pytest.mark.parametrize("form", ["pipe", "tcp", "fifo"])
def test_a_message_that_has_gone_in_part_is_begun_whoever_sends_meanwhile(ends: Ends) -> None:
    mine, yours = ends
    message, count = bytes(10_000), 0
    with pytest.raises(TimedOut) as caught:
        while True:
            mine._writing = _Raced()  # type: ignore[assignment]
            mine.send(message, 0)
            count += 1
    mine._writing = threading.Lock()
    # Of a pipe, no more than whole messages up to 4096 bytes is sure to go at once or not at all.
    left = bool(mine._rest)  # type: ignore[attr-defined]
    assert caught.value.begun == left
    mine_after, result = in_thread(lambda: mine.send(b"next", PATIENCE))
    assert [yours.recv(PATIENCE) for _ in range(count + left)] == [message] * (count + left)
    assert yours.recv(PATIENCE) == b"next"
    mine_after.join()
    assert result == [None]


@pytest.mark.parametrize("form", ["pipe", "mq"])
def test_many_who_wait_are_told_of_the_close_and_nothing_else(form: str) -> None:
    for _ in range(5):
        mine, yours = channel.pair(form)

        def send(end: Channel = mine) -> None:
            while True:
                end.send(bytes(4000))

        waiting = [in_thread(work) for work in (mine.recv, mine.recv, send, send, send, send)]
        until_asleep(waiting[-1][0])
        mine.close()
        for thread, result in waiting:
            thread.join()
            assert isinstance(result[0], isthmus.ClosedError), result
        assert mine._released
        yours.close()


def test_a_wait_ends_with_the_message(ends: Ends) -> None:
    mine, yours = ends
    thread, result = in_thread(lambda: yours.recv(PATIENCE))
    until_asleep(thread)
    mine.send(b"wake")
    thread.join()
    assert result == [b"wake"]


def test_a_sender_that_finds_no_room_waits_and_loses_nothing(ends: Ends, form: str) -> None:
    mine, yours = ends
    message = bytes(min(mine.largest, 60_000) - 4)
    sent = []
    begun = False
    # What has no end to its room is left in peace after some.
    for number in range(2000 if FORMS[form].largest < 100 else 300):
        each = number.to_bytes(4, "little") + message if len(message) > 4 else b"%04d" % number
        try:
            mine.send(each, 0)
        except TimedOut as error:
            begun = error.begun
            if begun:
                sent.append(each)
            break
        sent.append(each)
    else:
        assert form in ("file", "signal")
    thread, result = in_thread(lambda: mine.send(b"last", PATIENCE))
    assert [yours.recv(PATIENCE) for _ in sent] == sent
    assert yours.recv(PATIENCE) == b"last"
    thread.join()
    assert result == [None]


def test_closing_ends_a_wait_in_another_thread(ends: Ends) -> None:
    _, yours = ends
    thread, result = in_thread(yours.recv)
    until_asleep(thread)
    yours.close()
    thread.join()
    (error,) = result
    assert isinstance(error, isthmus.ClosedError)


def test_a_closed_channel_says_so(ends: Ends) -> None:
    mine, yours = ends
    mine.close()
    mine.close()
    assert mine.closed
    assert "closed" in repr(mine)
    for use in (
        lambda: mine.send(b"x"),
        lambda: mine.recv(0),
        lambda: mine.recv_into(bytearray(3), 0),
        lambda: mine.send_many([b"x"]),
        mine.fileno,
        mine.__enter__,
    ):
        with pytest.raises(isthmus.ClosedError):
            use()
    with yours as same:
        assert same is yours
    assert yours.closed


def test_a_signal_handler_runs_during_a_wait_and_the_wait_goes_on(ends: Ends) -> None:
    mine, yours = ends
    before = signal.signal(signal.SIGALRM, lambda *_: mine.send(b"handler"))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert yours.recv(PATIENCE) == b"handler"
    finally:
        signal.signal(signal.SIGALRM, before)


def test_what_a_signal_handler_raises_ends_the_wait_and_loses_nothing(ends: Ends) -> None:
    mine, yours = ends

    def interrupt(*_: object) -> None:
        raise InterruptedError("by the handler")

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(InterruptedError, match="by the handler"):
            yours.recv(PATIENCE)
    finally:
        signal.signal(signal.SIGALRM, before)
    mine.send(b"after")
    assert yours.recv(PATIENCE) == b"after"


def test_a_handler_may_close_the_channel_that_is_waited_on(ends: Ends) -> None:
    _, yours = ends
    before = signal.signal(signal.SIGALRM, lambda *_: yours.close())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(isthmus.ClosedError):
            yours.recv(PATIENCE)
    finally:
        signal.signal(signal.SIGALRM, before)


def is_readable(descriptor: int, timeout: float = 0) -> bool:
    return bool(select.select([descriptor], [], [], timeout)[0])


def drained(end: Channel) -> list[bytes]:
    got = []
    while True:
        try:
            got.append(end.recv(0))
        except TimedOut:
            return got


def test_its_descriptor_is_readable_as_long_as_there_is_a_message(ends: Ends) -> None:
    mine, yours = ends
    descriptor = yours.fileno()
    drained(yours)
    assert not is_readable(descriptor)
    for message in (b"a", b"b", b"c"):
        mine.send(message)
    for message in (b"a", b"b", b"c"):
        assert is_readable(descriptor, PATIENCE)
        assert yours.recv(0) == message
    assert drained(yours) == []
    assert not is_readable(descriptor)
    mine.send(b"d")
    assert is_readable(descriptor, PATIENCE)
    assert yours.fileno() == descriptor


def test_its_descriptor_tells_of_messages_that_were_there_before_it_was_asked_for(
    ends: Ends,
) -> None:
    mine, yours = ends
    for message in (b"a", b"b", b"c"):
        mine.send(message)
    assert yours.recv(PATIENCE) == b"a"
    descriptor = yours.fileno()
    for message in (b"b", b"c"):
        assert is_readable(descriptor, PATIENCE)
        assert yours.recv(0) == message
    drained(yours)
    assert not is_readable(descriptor)


def test_isthmus_waits_for_channels_with_other_things(ends: Ends) -> None:
    mine, yours = ends
    event = isthmus.Event()
    assert isthmus.wait([yours, event], timeout=0) == []
    mine.send(b"x")
    assert yours in isthmus.wait([yours, event], timeout=PATIENCE)


@pytest.mark.slow
def test_threads_that_use_one_end_at_once_get_each_message_once(ends: Ends) -> None:
    mine, yours = ends
    count, crowd = 200, 3
    got: list[bytes] = []

    def send(which: int) -> None:
        for number in range(count):
            mine.send(b"%d%03d" % (which, number), PATIENCE)

    def receive() -> None:
        for _ in range(count):
            got.append(yours.recv(PATIENCE))

    threads = [threading.Thread(target=send, args=(which,)) for which in range(crowd)]
    threads += [threading.Thread(target=receive) for _ in range(crowd)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [b"%d%03d" % (w, n) for w in range(crowd) for n in range(count)]


def test_who_waits_uses_no_processor_time(ends: Ends) -> None:
    _, yours = ends
    before = time.thread_time()
    with pytest.raises(TimedOut):
        yours.recv(0.2)
    assert time.thread_time() - before < 0.05
