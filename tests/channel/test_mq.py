"""What is special about POSIX message queues."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import channels
import pytest
from channels import PATIENCE, child, ended, in_thread, until_asleep

from isthmus import ArgumentError, InUseError, NameInvalidError, channel, posix
from isthmus.channel import EndOfChannel, MessageTooLargeError, PeerGoneError, TimedOut
from isthmus.errors import MismatchError, OwnerError


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with channels.place("mq", tmp_path) as place:
        yield place
        for name in names(place):
            with suppress(FileNotFoundError):
                posix.mq_unlink(name)


def names(url: str) -> tuple[str, str]:
    name = url.removeprefix("mq:")
    return name, name + ".back"


def there(url: str) -> list[bool]:
    """Which of both queues have their names."""
    found = []
    for name in names(url):
        try:
            posix.mq_close(posix.mq_open(name, posix.O_RDONLY))
        except FileNotFoundError:
            found.append(False)
        else:
            found.append(True)
    return found


def test_a_foreign_program_talks_to_a_listener(url: str) -> None:
    posix_ipc = pytest.importorskip("posix_ipc")
    to, back = names(url)
    with channel.listen(url) as listener, listener.accept(0) as mine:
        sends, hears = posix_ipc.MessageQueue(to), posix_ipc.MessageQueue(back)
        sends.send(b"late", priority=1)
        sends.send(b"first", priority=5)
        assert [mine.recv(PATIENCE), mine.recv(PATIENCE)] == [b"first", b"late"]
        mine.send(b"answer")
        assert hears.receive(PATIENCE) == (b"answer", 0)
        sends.close()
        hears.close()


def test_a_foreign_program_that_has_closed_its_queues_is_not_missed(url: str) -> None:
    to, back = names(url)
    queues = [
        posix.mq_open(name, posix.O_RDWR | posix.O_CREAT | posix.O_EXCL) for name in (to, back)
    ]
    with channel.connect(url) as yours:
        for name in (to, back):
            posix.mq_unlink(name)
        yours.send(b"it may listen without the names")
        assert posix.mq_receive(queues[0])[0] == b"it may listen without the names"
        posix.mq_send(queues[1], b"answer")
        assert yours.recv(PATIENCE) == b"answer"
        with pytest.raises(TimedOut):
            yours.recv(0.01)
    for queue in queues:
        posix.mq_close(queue)


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


def test_the_names_go_with_the_listener_and_those_connected_are_told(url: str) -> None:
    with channel.connect(url) as yours:
        listener = channel.listen(url)
        mine = listener.accept(0)
        mine.send(b"last")
        listener.close()
        assert there(url) == [False, False]
        yours.send(b"its channel is open still")
        assert mine.recv(PATIENCE) == b"its channel is open still"
        mine.close()
        assert yours.recv(PATIENCE) == b"last"
        with pytest.raises(EndOfChannel):
            yours.recv(PATIENCE)
        with pytest.raises(PeerGoneError):
            yours.send(b"x")


def test_one_who_waits_notices_that_the_listener_has_closed(url: str) -> None:
    listener = channel.listen(url)
    with channel.connect(url) as yours:
        thread, result = in_thread(yours.recv)
        until_asleep(thread)
        listener.close()
        thread.join(PATIENCE)
        assert isinstance(result[0], EndOfChannel)


def test_who_connects_first_leaves_the_queues_to_the_one_who_will_listen(url: str) -> None:
    with channel.connect(url) as yours:
        yours.send(b"for later")
    assert there(url) == [True, True]
    with channel.listen(url) as listener, listener.accept(0) as mine:
        assert mine.recv(0) == b"for later"
    assert there(url) == [False, False]


def test_the_end_of_a_pair_is_noticed_by_the_other_that_waits() -> None:
    mine, yours = channel.pair("mq")
    with mine, yours:
        thread, result = in_thread(mine.recv)
        until_asleep(thread)
        yours.close()
        thread.join(PATIENCE)
        assert isinstance(result[0], EndOfChannel)
        with pytest.raises(PeerGoneError):
            mine.send(b"x")


def test_the_mode_is_exact_whatever_the_umask(url: str) -> None:
    before = os.umask(0o077)
    try:
        with channel.listen(url, mode=0o622):
            for name in names(url):
                queue = posix.mq_open(name, posix.O_RDONLY)
                assert os.fstat(queue.fileno()).st_mode & 0o7777 == 0o622
                posix.mq_close(queue)
        with channel.connect(url, mode=0o640), channel.listen(url):
            queue = posix.mq_open(names(url)[0], posix.O_RDONLY)
            assert os.fstat(queue.fileno()).st_mode & 0o7777 == 0o600
            posix.mq_close(queue)
    finally:
        os.umask(before)


def test_room_is_as_asked_for(url: str) -> None:
    with (
        channel.listen(url, messages=2, size=16) as listener,
        listener.accept(0) as mine,
        channel.connect(url) as yours,
    ):
        assert mine.largest == yours.largest == 16
        yours.send(bytes(16))
        yours.send(b"")
        with pytest.raises(TimedOut):
            yours.send(b"", 0.01)
        with pytest.raises(MessageTooLargeError, match="msgsize_max"):
            yours.send(bytes(17))
        assert [mine.recv(0), mine.recv(0)] == [bytes(16), b""]


@pytest.mark.parametrize("asked", [{"size": "1 GiB"}, {"messages": 1 << 20}])
def test_more_than_the_system_allows_is_refused_with_its_limits(
    url: str, asked: dict[str, object]
) -> None:
    with pytest.raises(ArgumentError, match="/proc/sys/fs/mqueue/msg_max"):
        channel.listen(url, **asked)
    assert there(url) == [False, False]


@pytest.mark.usefixtures("unprivileged")
def test_where_there_is_room_for_one_queue_only_none_is_left(url: str) -> None:
    def work() -> None:
        # Of the user's other processes, nobody knows.
        os.setuid(100_000 + os.getpid())
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (100_000, 100_000))
        for use in (channel.listen, channel.connect):
            with pytest.raises(OSError, match="RLIMIT_MSGQUEUE"):
                use(url)
        with pytest.raises(OSError, match="RLIMIT_MSGQUEUE"):
            channel.pair("mq")
        with channel.listen(url, messages=2):
            pass

    assert ended(child(work)) == 0
    assert there(url) == [False, False]


def test_queues_with_other_room_are_not_taken_over(url: str) -> None:
    with channel.connect(url, messages=3) as yours:
        yours.send(b"kept")
        with pytest.raises(MismatchError, match="mq_unlink"):
            channel.listen(url, messages=4)
        with channel.listen(url) as listener, listener.accept(0) as mine:
            assert mine.recv(0) == b"kept"


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
        queue = posix.mq_open(names(url)[0], posix.O_RDONLY)
        os.fchown(queue.fileno(), unprivileged, -1)
        posix.mq_close(queue)
        with pytest.raises(OwnerError, match=str(unprivileged)):
            channel.listen(url)


def test_the_second_listener_is_refused_also_in_a_child(url: str) -> None:
    with channel.listen(url):

        def work() -> None:
            with pytest.raises(InUseError) as caught:
                channel.listen(url)
            assert caught.value.errno == errno.EBUSY

        assert ended(child(work)) == 0


@pytest.mark.parametrize("where", ["no-slash", "/", "/a/b", "/" + 251 * "x"])
def test_a_name_that_no_queue_can_have_is_refused(where: str) -> None:
    with pytest.raises(NameInvalidError):
        channel.listen(f"mq:{where}")
