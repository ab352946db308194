"""What is special about signals: who can be hit, and that nobody is hurt."""

from __future__ import annotations

import os
import resource
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from channels import PATIENCE, child, ended, in_thread, until_asleep

from isthmus import ArgumentError, InUseError, UnsupportedError, channel
from isthmus._core import signals
from isthmus.channel import (
    EndOfChannel,
    MessageTooLargeError,
    NotListeningError,
    PeerGoneError,
    ProtocolError,
    TimedOut,
)
from isthmus.channel._signal_number import number_of
from isthmus.channel._signal_value import packed, unpacked

USUAL = signal.SIGRTMIN + 1


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.0005)


@contextmanager
def listening_child(work: Callable[[channel.Channel], object]) -> Iterator[tuple[str, int]]:
    """A process that listens, and then does that with its channel; the URL and the pid."""
    read, write = os.pipe()

    def run() -> None:
        os.close(read)
        with channel.listen("signal:") as listener, listener.accept(0) as mine:
            os.write(write, listener.url.encode())
            os.close(write)
            work(mine)

    pid = child(run)
    os.close(write)
    try:
        yield os.read(read, 200).decode(), pid
    finally:
        os.close(read)
        os.kill(pid, signal.SIGKILL)
        ended(pid)


@contextmanager
def three() -> Iterator[tuple[channel.Listener, channel.Channel, channel.Channel]]:
    """A listener, its channel, and one that has connected to it."""
    with (
        channel.listen("signal:") as listener,
        listener.accept(0) as mine,
        channel.connect(listener.url) as yours,
    ):
        yield listener, mine, yours


@pytest.mark.parametrize("size", range(8))
def test_a_value_carries_up_to_seven_bytes_of_any_kind(size: int) -> None:
    for data in (bytes(size), b"\xff" * size, os.urandom(size)):
        assert unpacked(packed(data)) == data


def test_longer_ones_are_refused_and_nothing_is_sent() -> None:
    with three() as (_listener, mine, yours):
        with pytest.raises(MessageTooLargeError, match="signals carry 7 bytes"):
            yours.send(bytes(8))
        with pytest.raises(TimedOut):
            mine.recv(0)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("SIGRTMIN", signal.SIGRTMIN), ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("rtmax-1", signal.SIGRTMAX - 1), ("SIGRTMAX", signal.SIGRTMAX),
        (str(int(USUAL)), USUAL), (USUAL, USUAL), (None, None),
    ],
)  # fmt: skip
def test_a_signal_is_named_as_people_do(text: str | int | None, number: int | None) -> None:
    assert number_of(text) == number


@pytest.mark.parametrize(
    "text", ["", "SIGTERM", "15", "SIGRTMIN-1", "SIGRTMIN3", "SIGRTMAX+1", "99999", "SIG", "+1"]
)
def test_what_is_no_real_time_signal_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError):
        channel.listen("signal:", signal=text)


def test_the_first_signal_that_nobody_uses_is_taken_and_is_in_the_url() -> None:
    before = signal.signal(USUAL, lambda *_: None)
    try:
        with channel.listen("signal:self") as listener:
            assert listener.url == f"signal:{os.getpid()}?signal=SIGRTMIN+2"
            with pytest.raises(InUseError):
                channel.listen("signal:", signal=USUAL)
            with pytest.raises(InUseError):
                channel.listen(listener.url)
    finally:
        signal.signal(USUAL, before)


def test_nobody_can_listen_for_another_process() -> None:
    with pytest.raises(ArgumentError):
        channel.listen(f"signal:{os.getppid()}")


def blocked(task: str, number: int) -> bool:
    with open(f"/proc/self/task/{task}/status", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith("SigBlk:"))
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)


def test_all_threads_have_it_blocked_from_the_start_and_new_ones_too() -> None:
    end = threading.Event()
    threads = [threading.Thread(target=end.wait) for _ in range(10)]
    for thread in threads:
        thread.start()
    try:
        with channel.listen("signal:", signal="SIGRTMAX-3"):
            number = signal.SIGRTMAX - 3
            threads.append(threading.Thread(target=end.wait))
            threads[-1].start()
            assert all(blocked(task, number) for task in os.listdir("/proc/self/task"))
    finally:
        end.set()
        for thread in threads:
            thread.join()


def test_a_thread_that_unblocks_it_neither_dies_nor_keeps_the_message() -> None:
    with channel.listen("signal:") as listener, listener.accept(0) as mine:
        number = number_of(listener.url.rpartition("=")[2])
        assert number is not None
        with channel.connect(listener.url) as yours:
            for _ in range(3):
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
                yours.send(b"whole")
                # By the handler, in whichever thread it was.
                assert mine.recv(PATIENCE) == b"whole"
            assert mine.peer == f"pid {os.getpid()}, uid {os.getuid()}"
            until(lambda: number in signal.pthread_sigmask(signal.SIG_BLOCK, []))


def test_a_process_that_does_not_listen_is_not_hit() -> None:
    pid = child(signal.pause)
    for timeout in (0, 0.02):
        with pytest.raises(NotListeningError, match="does not listen"):
            channel.connect(f"signal:{pid}", timeout=timeout)
    os.kill(pid, signal.SIGTERM)
    # By this one, and not by the one before.
    assert ended(pid) == -signal.SIGTERM
    with pytest.raises(NotListeningError, match="no process"):
        channel.connect(f"signal:{pid}", timeout=PATIENCE)


def test_who_connects_can_wait_until_a_process_listens() -> None:
    read, write = os.pipe()

    def work() -> None:
        os.read(read, 1)
        with channel.listen("signal:") as listener, listener.accept(0) as mine:
            mine.send(mine.recv(PATIENCE))
            mine.recv(PATIENCE)

    pid = child(work)
    thread, result = in_thread(lambda: channel.connect(f"signal:{pid}", timeout=PATIENCE))
    until_asleep(thread)
    os.write(write, b"x")
    thread.join()
    (yours,) = result
    assert isinstance(yours, channel.Channel)
    with yours:
        yours.send(b"hello")
        assert yours.recv(PATIENCE) == b"hello"
        yours.send(b"")
        assert ended(pid) == 0
    os.close(read)
    os.close(write)


def test_an_answer_goes_to_whoever_was_heard_last() -> None:
    with three() as (listener, mine, yours):

        def work() -> None:
            with channel.connect(listener.url) as third:
                third.send(b"third")
                assert third.recv(PATIENCE) == b"to you"
                third.recv(PATIENCE)

        pid = child(work)
        assert mine.recv(PATIENCE) == b"third"
        assert mine.peer == f"pid {pid}, uid {os.getuid()}"
        mine.send(b"to you")
        yours.send(b"mine")
        assert mine.recv(PATIENCE) == b"mine"
        mine.send(b"to me")
        assert yours.recv(PATIENCE) == b"to me"
        os.kill(pid, signal.SIGKILL)
        ended(pid)


def test_who_has_connected_is_told_of_the_death_of_the_listener_at_once() -> None:
    def work(mine: channel.Channel) -> None:
        mine.recv(PATIENCE)
        mine.send(b"1")
        mine.send(b"2")
        signal.pause()

    with listening_child(work) as (url, pid), channel.connect(url) as yours:
        yours.send(b"x")
        assert yours.recv(PATIENCE) == b"1"
        thread, result = in_thread(lambda: [yours.recv(PATIENCE), yours.recv(PATIENCE)])
        until_asleep(thread)
        os.kill(pid, signal.SIGKILL)
        thread.join()
        assert isinstance(result[0], EndOfChannel)
        assert select.select([yours], [], [], 0)[0] == [yours]
        with pytest.raises(PeerGoneError):
            yours.send(b"x")
        with pytest.raises(EndOfChannel):
            yours.recv()


def test_a_close_is_told_of_and_what_was_sent_before_it_arrives() -> None:
    with channel.listen("signal:") as listener:
        yours = channel.connect(listener.url)
        mine = listener.accept(0)
        mine.send(b"last")
    mine.close()
    with yours:
        assert yours.recv(PATIENCE) == b"last"
        for _ in range(2):
            with pytest.raises(EndOfChannel):
                yours.recv(PATIENCE)
        with pytest.raises(PeerGoneError):
            yours.send(b"x")


def test_whoever_was_heard_last_may_be_gone() -> None:
    with channel.listen("signal:") as listener, listener.accept(0) as mine:

        def work() -> None:
            with channel.connect(listener.url) as yours:
                yours.send(b"bye")

        assert ended(child(work)) == 0
        assert mine.recv(PATIENCE) == b"bye"
        with pytest.raises(PeerGoneError):
            mine.send(b"x")
        with channel.connect(listener.url) as yours:
            mine.send(b"next")
            assert yours.recv(PATIENCE) == b"next"


def test_a_plain_kill_is_an_empty_message() -> None:
    with channel.listen("signal:") as listener, listener.accept(0) as mine:
        number = number_of(listener.url.rpartition("=")[2])
        assert number is not None

        def work() -> None:
            os.kill(os.getppid(), number)
            signal.pause()

        pid = child(work)
        assert mine.recv(PATIENCE) == b""
        assert mine.peer == f"pid {pid}, uid {os.getuid()}"
        os.kill(pid, signal.SIGKILL)
        ended(pid)


@pytest.mark.parametrize("value", [8, 0x1234 << 8 | 1, 0xFC])
def test_a_foreign_value_closes_the_channel_and_the_listener_gives_it_anew(value: int) -> None:
    with channel.listen("signal:") as listener:
        number = number_of(listener.url.rpartition("=")[2])
        assert number is not None
        mine = listener.accept(0)
        descriptor = os.pidfd_open(os.getpid())
        signals.send(descriptor, number, value)
        os.close(descriptor)
        with pytest.raises(ProtocolError):
            mine.recv(PATIENCE)
        assert mine.closed
        with channel.connect(listener.url) as yours, listener.accept(0) as mine:
            yours.send(b"well")
            assert mine.recv(PATIENCE) == b"well"


@pytest.mark.usefixtures("unprivileged")
def test_a_full_queue_is_waited_for() -> None:
    def work() -> None:
        # The limit counts what all processes of a user have pending: one that has no others.
        os.setuid(100_000 + os.getpid())
        resource.setrlimit(resource.RLIMIT_SIGPENDING, (20, 20))
        with three() as (_listener, mine, yours):
            sent = 0
            with pytest.raises(TimedOut):
                while True:
                    yours.send(b"%d" % sent, 0.02)
                    sent += 1
            assert sent > 0
            thread, result = in_thread(lambda: yours.send(b"late", PATIENCE))
            until_asleep(thread)
            assert [mine.recv(0) for _ in range(sent)] == [b"%d" % n for n in range(sent)]
            assert mine.recv(PATIENCE) == b"late"
            thread.join()
            assert result == [None]

    assert ended(child(work)) == 0


def test_what_comes_too_late_hurts_nobody() -> None:
    def work() -> None:
        with channel.listen("signal:") as listener, channel.connect(listener.url) as yours:
            number = number_of(listener.url.rpartition("=")[2])
            assert number is not None
            yours.send(b"pending")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        os.kill(os.getpid(), number)

    assert ended(child(work)) == 0


def test_a_listener_after_it_has_the_signal_again() -> None:
    urls = set()
    for _ in range(3):
        with three() as (listener, mine, yours):
            yours.send(b"x")
            assert mine.recv(PATIENCE) == b"x"
            urls.add(listener.url)
    assert len(urls) == 1


def test_a_forked_copy_is_for_closing_only() -> None:
    with three() as (listener, mine, yours):

        def work() -> None:
            for each in (mine, yours):
                with pytest.raises(UnsupportedError, match=str(os.getppid())):
                    each.recv(0)
                with pytest.raises(UnsupportedError):
                    each.send(b"x")
                each.close()
            listener.close()

        assert ended(child(work)) == 0
        yours.send(b"well")
        assert mine.recv(PATIENCE) == b"well"


def test_what_an_end_was_sent_before_the_fork_is_with_the_child() -> None:
    mine, yours = channel.pair("signal")
    with mine:
        for number in range(100):
            mine.send(b"%d" % number)

        def work() -> None:
            mine.close()
            assert select.select([yours], [], [], PATIENCE)[0] == [yours]
            for number in range(200):
                assert yours.recv(PATIENCE) == b"%d" % number
            yours.send(b"all")

        pid = child(work)
        for number in range(100, 200):
            mine.send(b"%d" % number)
        yours.close()
        assert mine.recv(PATIENCE) == b"all"
        assert ended(pid) == 0
        with pytest.raises(EndOfChannel):
            mine.recv(PATIENCE)


def test_two_processes_cannot_receive_on_one_end_but_one_after_the_other() -> None:
    mine, yours = channel.pair("signal")
    with mine, yours:
        with pytest.raises(TimedOut):
            yours.recv(0)

        def refused() -> None:
            with pytest.raises(UnsupportedError, match=str(os.getppid())):
                yours.recv(0)

        assert ended(child(refused)) == 0

        def work() -> None:
            mine.close()
            assert yours.recv(PATIENCE) == b"child"

        read, write = os.pipe()

        def later() -> None:
            os.close(write)
            os.read(read, 1)
            work()

        pid = child(later)
        yours.close()
        mine.send(b"child")
        os.write(write, b"x")
        assert ended(pid) == 0
        os.close(read)
        os.close(write)


def test_one_who_waits_at_a_pair_notices_that_the_other_process_was_killed() -> None:
    mine, yours = channel.pair("signal")
    with mine:
        pid = child(lambda: (mine.close(), yours.send(b"here"), yours.recv(PATIENCE)))
        yours.close()
        assert mine.recv(PATIENCE) == b"here"
        thread, result = in_thread(lambda: mine.recv(PATIENCE))
        until_asleep(thread)
        os.kill(pid, signal.SIGKILL)
        ended(pid)
        thread.join()
        assert isinstance(result[0], EndOfChannel)
        with pytest.raises(PeerGoneError):
            mine.send(b"x")
