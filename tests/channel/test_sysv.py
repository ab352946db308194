"""What is special about System V message queues."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bare_calls
import channels
import pytest
from channels import PATIENCE, child, ended, in_thread, until_asleep

from isthmus import InUseError, NameInvalidError, NotFoundError, channel, sysv
from isthmus.channel import (
    EndOfChannel,
    MessageTooLargeError,
    PeerGoneError,
    TimedOut,
    _sysv,
    _sysv_queue,
)
from isthmus.channel._sysv_queue import Queue
from isthmus.errors import OwnerError
from isthmus.event import Event


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with channels.place("sysv", tmp_path) as place:
        yield place
        for key in keys(place):
            bare_calls.clear(key)
        assert not [path for path in os.listdir("/dev/shm") if place[5:] in path]


def keys(url: str) -> tuple[int, int]:
    key = int(url[5:], 0)
    return key, key - (1 << 31)


def queues(url: str) -> list[int]:
    """The ids of those that are there."""
    found = []
    for key in keys(url):
        try:
            found.append(sysv.msgget(key))
        except FileNotFoundError:
            pass
    return found


def test_a_foreign_message_wakes_one_who_waits_and_is_answered(url: str) -> None:
    with channel.listen(url) as listener, listener.accept(0) as mine:
        to, back = queues(url)
        thread, result = in_thread(lambda: mine.recv(PATIENCE))
        until_asleep(thread)
        sysv.msgsnd(to, 7, b"of any type")
        thread.join()
        assert result == [b"of any type"]
        mine.send(b"answer")
        assert sysv.msgrcv(back, 100) == (1, b"answer")


def test_both_directions_may_be_full_at_once(url: str) -> None:
    with (
        channel.listen(url) as listener,
        listener.accept(0) as mine,
        channel.connect(url) as yours,
    ):
        counts = []
        for end in (mine, yours):
            count = 0
            with pytest.raises(TimedOut):
                while True:
                    end.send(bytes(4000), 0.01)
                    count += 1
            counts.append(count)
        assert min(counts) > 1
        assert len([yours.recv(0) for _ in range(counts[0])]) == counts[0]
        assert len([mine.recv(0) for _ in range(counts[1])]) == counts[1]


class Before:
    """An event before whose clearing something else happens."""

    def __init__(self, event: Event, work: Callable[[], object]) -> None:
        self._event, self._work = event, work

    def clear(self) -> None:
        self._work()
        self._event.clear()

    def set(self) -> None:
        self._event.set()


@pytest.fixture
def one_queue(msqid: int) -> tuple[Queue, Queue]:
    """Two handles of one that has room for four messages of ten bytes."""
    found = sysv.msgctl(msqid, sysv.IPC_STAT)
    sysv.msgctl(msqid, sysv.IPC_SET, found._replace(qbytes=40))
    there, room = Event(), Event()
    return Queue(msqid, there, room), Queue(msqid, there, room)


@pytest.mark.parametrize("count", [1, 2])
def test_what_comes_between_the_look_and_the_clearing_is_received_or_told_of(
    one_queue: tuple[Queue, Queue], count: int
) -> None:
    receiver, sender = one_queue
    there = receiver.there

    def work() -> None:
        for _ in range(count):
            assert sender.put(bytes(10))

    receiver.there = Before(there, work)  # type: ignore[assignment]
    assert receiver.get() == bytes(10)
    # Others, who wait for it, are to be woken.
    assert there.is_set()


@pytest.mark.parametrize("count", [1, 2])
def test_room_made_between_the_look_and_the_clearing_is_used_or_told_of(
    one_queue: tuple[Queue, Queue], count: int
) -> None:
    receiver, sender = one_queue
    room = sender.room
    while sender.put(bytes(10)):
        pass

    def work() -> None:
        for _ in range(count):
            assert receiver.get() == bytes(10)

    sender.room = Before(room, work)  # type: ignore[assignment]
    assert sender.put(bytes(10))
    assert room.is_set()


def test_nobody_sleeps_on_while_there_is_something_to_do(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the events alone: nobody looks for himself. Small messages, and little room."""
    monkeypatch.setattr(_sysv, "LOOK", None)
    count, each = 3, 400
    with channel.listen(url) as listener, listener.accept(0) as mine:
        clients = [channel.connect(url) for _ in range(count)]
        to = queues(url)[0]
        found = sysv.msgctl(to, sysv.IPC_STAT)
        sysv.msgctl(to, sysv.IPC_SET, found._replace(qbytes=60))
        got: list[bytes] = []

        def receive() -> None:
            for _ in range(each):
                got.append(mine.recv(PATIENCE))

        # Receivers through handles of their own: those of one channel take turns.
        place = listener._leave.__self__  # type: ignore[attr-defined]
        others = [_sysv.SysvChannel(url, *place.queues()) for _ in range(count - 1)]

        def receive_too(other: _sysv.SysvChannel) -> None:
            for _ in range(each):
                got.append(other.recv(PATIENCE))

        def send(client: channel.Channel, number: int) -> None:
            for i in range(each):
                client.send(b"%d %d" % (number, i), PATIENCE)

        works = [in_thread(receive)]
        works += [in_thread(lambda other=other: receive_too(other)) for other in others]
        works += [in_thread(lambda c=c, n=n: send(c, n)) for n, c in enumerate(clients)]
        for thread, result in works:
            thread.join(PATIENCE)
            assert result == [None]
        assert sorted(got) == sorted(b"%d %d" % (n, i) for n in range(count) for i in range(each))
        for other in others:
            other._source.close()
            other._sink.close()
            other._released = True
            place._users -= 1
        for client in clients:
            client.close()


def test_a_message_whose_sender_was_killed_before_it_woke_anybody_is_noticed(url: str) -> None:
    with (
        channel.listen(url) as listener,
        listener.accept(0) as mine,
        channel.connect(url) as yours,
    ):
        assert isinstance(yours, _sysv.SysvChannel)
        sink = yours._sink

        def work() -> None:
            class Killing:
                def set(self) -> None:
                    os.kill(os.getpid(), signal.SIGKILL)

            sink.there = Killing()  # type: ignore[assignment]
            yours.send(b"whole")

        thread, result = in_thread(lambda: mine.recv(PATIENCE))
        until_asleep(thread)
        assert ended(child(work)) == -signal.SIGKILL
        thread.join()
        assert result == [b"whole"]


def test_a_queue_that_is_removed_by_somebody_ends_the_waits(url: str) -> None:
    with (
        channel.listen(url) as listener,
        listener.accept(0) as mine,
        channel.connect(url) as yours,
    ):
        thread, result = in_thread(mine.recv)
        until_asleep(thread)
        sysv.msgctl(queues(url)[0], sysv.IPC_RMID)
        thread.join(PATIENCE)
        assert isinstance(result[0], EndOfChannel)
        with pytest.raises(PeerGoneError):
            yours.send(b"x")


def test_what_a_killed_listener_had_not_received_is_with_the_next_one(url: str) -> None:
    with channel.connect(url) as yours:

        def work() -> None:
            with channel.listen(url) as listener, listener.accept(0) as mine:
                mine.recv(PATIENCE)
                os.kill(os.getpid(), signal.SIGKILL)

        yours.send(b"1")
        yours.send(b"2")
        assert ended(child(work)) == -signal.SIGKILL
        yours.send(b"3")
        with channel.listen(url) as listener, listener.accept(0) as mine:
            assert [mine.recv(PATIENCE), mine.recv(PATIENCE)] == [b"2", b"3"]


def test_what_the_listener_sent_before_it_closed_arrives_and_the_queues_are_gone(url: str) -> None:
    with channel.connect(url) as yours:
        with channel.listen(url) as listener:
            mine = listener.accept(0)
            mine.send(b"last")
        yours.send(b"its channel is open still")
        assert mine.recv(PATIENCE) == b"its channel is open still"
        mine.close()
        assert yours.recv(PATIENCE) == b"last"
        with pytest.raises(EndOfChannel):
            yours.recv(PATIENCE)
        assert queues(url) == []
        with pytest.raises(PeerGoneError):
            yours.send(b"x")


@pytest.mark.parametrize("connected", [True, False])
def test_what_nobody_will_receive_goes_with_the_last_one(url: str, connected: bool) -> None:
    yours = channel.connect(url) if connected else None
    with channel.listen(url) as listener, listener.accept(0) as mine:
        mine.send(b"for nobody")
    if yours is not None:
        assert len(queues(url)) == 1
        yours.close()
    assert queues(url) == []


def test_answers_of_a_listener_before_are_not_for_those_who_come_now(url: str) -> None:
    with channel.connect(url) as old:
        with channel.listen(url) as listener, listener.accept(0) as mine:
            mine.send(b"old")
        with channel.listen(url) as listener, channel.connect(url) as new:
            with pytest.raises(TimedOut):
                new.recv(0)
            with pytest.raises(EndOfChannel):
                old.recv(PATIENCE)
            with listener.accept(0) as mine:
                mine.send(b"new")
                assert new.recv(PATIENCE) == b"new"


def test_the_end_of_a_pair_is_noticed_by_the_other_that_waits_and_nothing_is_left() -> None:
    mine, yours = channel.pair("sysv")
    assert isinstance(mine, _sysv.SysvChannel)
    ids = mine._source.id, mine._sink.id
    with mine, yours:
        thread, result = in_thread(mine.recv)
        until_asleep(thread)
        yours.close()
        thread.join(PATIENCE)
        assert isinstance(result[0], EndOfChannel)
        with pytest.raises(PeerGoneError):
            mine.send(b"x")
    for id in ids:
        with pytest.raises(OSError):
            sysv.msgctl(id, sysv.IPC_STAT)


def test_a_pair_lives_until_the_last_process_has_closed_it() -> None:
    mine, yours = channel.pair("sysv")
    assert isinstance(mine, _sysv.SysvChannel)
    ids = mine._source.id, mine._sink.id
    with mine:

        def work() -> None:
            mine.close()
            # It ends without closing it, and leaves nothing, since it was told of the end.
            for message in yours:
                yours.send(message)

        pid = child(work)
        yours.close()
        mine.send(b"still there")
        assert mine.recv(PATIENCE) == b"still there"
        mine.close()
        assert ended(pid) == 0
    for id in ids:
        with pytest.raises(OSError):
            sysv.msgctl(id, sysv.IPC_STAT)


def test_the_mode_is_exact_and_set_where_one_takes_over(url: str) -> None:
    with channel.connect(url, mode=0o640), channel.listen(url, mode=0o622):
        for id in queues(url):
            assert sysv.msgctl(id, sysv.IPC_STAT).perm.mode & 0o777 == 0o622


def test_another_user_takes_part_where_the_mode_says_so(url: str, unprivileged: int) -> None:
    with channel.listen(url, mode=0o666) as listener, listener.accept(0) as mine:

        def work() -> None:
            os.setgroups([])
            os.setgid(unprivileged)
            os.setuid(unprivileged)
            with channel.connect(url) as yours:
                yours.send(b"hello")
                assert yours.recv(PATIENCE) == b"you"

        pid = child(work)
        assert mine.recv(PATIENCE) == b"hello"
        mine.send(b"you")
        assert ended(pid) == 0


def test_the_queue_of_somebody_else_is_not_listened_on(url: str, unprivileged: int) -> None:
    with channel.connect(url):
        id = queues(url)[0]
        found = sysv.msgctl(id, sysv.IPC_STAT)
        sysv.msgctl(id, sysv.IPC_SET, found._replace(perm=found.perm._replace(uid=unprivileged)))
        with pytest.raises(OwnerError, match=str(unprivileged)):
            channel.listen(url)


def test_the_second_listener_is_refused_soon(url: str) -> None:
    with channel.listen(url):
        begin = time.monotonic()
        with pytest.raises(InUseError):
            channel.listen(url)
        assert time.monotonic() - begin < 2


def test_a_message_beyond_the_limits_is_refused_with_their_names(url: str) -> None:
    with channel.listen(url) as listener, listener.accept(0) as mine:
        assert mine.largest == min(_sysv_queue.limit("msgmax"), _sysv_queue.limit("msgmnb"))
        mine.send(bytes(mine.largest))
        with pytest.raises(MessageTooLargeError, match="/proc/sys/kernel/msgmax"):
            mine.send(bytes(mine.largest + 1))


def test_a_key_may_be_made_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with pytest.raises(NotFoundError):
        channel.listen(f"sysv:{file}")
    file.touch()
    with (
        channel.listen(f"sysv:{file}") as listener,
        channel.connect(f"sysv:{file}") as yours,
        listener.accept(0) as mine,
    ):
        yours.send(b"x")
        assert mine.recv(PATIENCE) == b"x"


def test_a_key_may_be_written_in_any_way(url: str) -> None:
    with channel.listen(url) as listener, channel.connect(f"sysv:{int(url[5:], 0)}") as yours:
        assert yours.url == listener.url == url


@pytest.mark.parametrize("key", ["0", "0x100000000", "-1", "0x80000000", "x", "1.5"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(NameInvalidError):
        channel.listen(f"sysv:{key}")


def test_several_threads_may_close_and_wait_at_once(url: str) -> None:
    with channel.listen(url) as listener, listener.accept(0) as mine:
        works = [in_thread(lambda: mine.recv(PATIENCE)) for _ in range(2)]
        until_asleep(works[0][0])
        closers = [threading.Thread(target=mine.close) for _ in range(2)]
        for closer in closers:
            closer.start()
        for thread in (*closers, *(work[0] for work in works)):
            thread.join(PATIENCE)
            assert not thread.is_alive()
