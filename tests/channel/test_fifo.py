"""What is special to named pipes: strangers who meet, come first, go, and come back."""

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest
from channels import PATIENCE, child, ended, in_thread, until_asleep
from named_pipes import check, connected, left, listening

from isthmus import channel
from isthmus.channel import EndOfChannel, PeerGoneError, TimedOut


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "known"


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not been welcomed looks after that at once, and not each second."""
    monkeypatch.setattr("isthmus.channel._caller.LOOK", 0.01)
    monkeypatch.setattr("isthmus.channel._fifo.LOOK", 0.01)


# ---- Meeting ---------------------------------------------------------------------------


def test_nothing_of_a_connection_has_a_name_once_it_is_accepted(path: Path) -> None:
    with listening(path) as listener, connected(path) as yours:
        assert len(left(path)) == 3
        with listener.accept(PATIENCE) as mine:
            assert left(path) == ["known"]
            check(yours, mine)
            assert mine.peer == f"uid {os.getuid()}"
    assert left(path) == []


def test_several_who_came_first_are_all_found(path: Path) -> None:
    clients = [connected(path) for _ in range(5)]
    for number, each in enumerate(clients):
        each.send(b"%d" % number)
    with listening(path) as listener:
        servers = [listener.accept(PATIENCE) for _ in clients]
        numbers = [int(each.recv(PATIENCE)) for each in servers]
        assert sorted(numbers) == [0, 1, 2, 3, 4]
        for number, each in zip(numbers, servers, strict=True):
            check(clients[number], each)
        with pytest.raises(TimedOut):
            listener.accept(0)
    for each in (*clients, *servers):
        each.close()


def test_who_comes_first_and_leaves_takes_everything_along(path: Path) -> None:
    one, two = connected(path), connected(path)
    two.close()
    assert len(left(path)) == 3
    one.close()
    assert left(path) == []


def test_who_waits_is_found_when_the_known_fifo_was_removed(path: Path, soon: None) -> None:
    with connected(path) as yours:
        os.unlink(path)
        with listening(path) as listener, listener.accept(PATIENCE) as mine:
            check(yours, mine)


def test_who_waits_when_a_listener_goes_is_found_by_the_next_one(path: Path) -> None:
    with connected(path) as yours:
        yours.send(b"early")
        listening(path).close()
        with listening(path) as listener, listener.accept(PATIENCE) as mine:
            assert mine.recv(PATIENCE) == b"early"
            check(yours, mine)


@pytest.mark.parametrize("waits", ["recv", "send"])
def test_who_waits_says_hello_again_where_the_first_one_was_lost(
    path: Path, soon: None, waits: str
) -> None:
    with connected(path) as yours, open(path, "r+b", buffering=0) as known:
        known.read(4096)

        def wait() -> None:
            if waits == "recv":
                yours.recv(PATIENCE)
            else:
                yours.send(bytes(1 << 20), PATIENCE)

        thread, result = in_thread(wait)
        # By the hello alone: this one cannot see who is there.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "listdir", lambda _: [])
            listener = listening(path)
        with listener, listener.accept(PATIENCE) as mine:
            mine.send(b"found")
            if waits == "send":
                assert mine.recv(PATIENCE) == bytes(1 << 20)
            thread.join()
            assert result == [None]


def test_a_known_fifo_that_is_full_does_not_keep_anybody_out(path: Path, soon: None) -> None:
    with listening(path) as listener:
        with open(path, "r+b", buffering=0) as known:
            os.set_blocking(known.fileno(), False)
            while known.write(b"x" * 4096):
                pass
        with connected(path) as yours:
            thread, result = in_thread(lambda: yours.recv(PATIENCE))
            with listener.accept(PATIENCE) as mine:
                mine.send(b"found")
                thread.join()
                assert result == [b"found"]


def test_a_hello_that_is_said_twice_is_heard_once(path: Path) -> None:
    with listening(path) as listener, connected(path) as yours:
        with open(path, "r+b", buffering=0) as known:
            hello = known.read(4096)
            known.write(3 * hello)
        with listener.accept(PATIENCE) as mine:
            with pytest.raises(TimedOut):
                listener.accept(0)
            check(yours, mine)


def test_no_second_one_is_welcomed_also_where_names_cannot_be_removed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        listening(path) as listener,
        connected(path) as yours,
        open(path, "r+b", buffering=0) as known,
    ):
        said = known.read(4096)
        known.write(3 * said)
        with monkeypatch.context() as patch:
            # Such as in a directory where everybody removes only what is their own.
            patch.setattr("isthmus.channel._meeting.unlink", lambda _: None)
            mine = listener.accept(PATIENCE)
            with pytest.raises(TimedOut):
                listener.accept(0)
        known.write(said)
        with mine:
            check(mine, yours)
            with pytest.raises(TimedOut):
                listener.accept(0)
    assert left(path) == []


def test_the_descriptor_of_a_listener_tells_of_each_who_has_come(path: Path) -> None:
    with listening(path) as listener:
        clients = [connected(path) for _ in range(3)]
        for each in clients:
            assert select.select([listener], [], [], 0)[0]
            listener.accept(0).close()
            each.close()
        assert not select.select([listener], [], [], 0)[0]


def test_a_child_goes_on_to_wait_when_its_parent_has_closed(path: Path) -> None:
    yours = connected(path)
    ready, go = os.pipe()

    def work() -> None:
        assert os.read(ready, 1) == b"x"
        assert yours.recv(PATIENCE) == b"for the child"
        yours.close()

    pid = child(work)
    yours.close()
    os.write(go, b"x")
    with listening(path) as listener, listener.accept(PATIENCE) as mine:
        mine.send(b"for the child")
        with pytest.raises(EndOfChannel):
            mine.recv(PATIENCE)
    assert ended(pid) == 0
    assert left(path) == []
    os.close(ready)
    os.close(go)


def test_a_child_that_closes_leaves_the_listener_of_its_parent_alone(path: Path) -> None:
    with listening(path) as listener:
        assert ended(child(listener.close)) == 0
        with connected(path) as yours, listener.accept(PATIENCE) as mine:
            check(yours, mine)


def test_who_only_sends_is_told_that_who_has_accepted_it_has_gone(path: Path) -> None:
    with listening(path) as listener, connected(path) as yours:
        yours.send(b"x")
        listener.accept(PATIENCE).close()
        with pytest.raises(PeerGoneError):
            yours.send(b"y")


def test_before_it_is_accepted_it_cannot_be_passed_on(path: Path) -> None:
    with connected(path) as yours, pytest.raises(TypeError, match="not been accepted"):
        yours.__reduce__()


def test_a_pair_leaves_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mine, yours = channel.pair("fifo")
    assert os.listdir(tmp_path) == []
    with mine, yours:
        check(mine, yours)


def test_what_was_sent_before_it_is_accepted_waits_and_fills_up(path: Path) -> None:
    with connected(path) as yours:
        count = 0
        with pytest.raises(TimedOut):
            while True:
                yours.send(bytes(1000), 0)
                count += 1
        assert count >= 60
        # What has room in a page goes whole or not at all; a smaller one would still go.
        last = b"last" * 250
        thread, result = in_thread(lambda: yours.send(last, PATIENCE))
        until_asleep(thread)
        with listening(path) as listener, listener.accept(PATIENCE) as mine:
            assert [mine.recv(PATIENCE) for _ in range(count)] == [bytes(1000)] * count
            assert mine.recv(PATIENCE) == last
            thread.join()
            assert result == [None]


# ---- Going before it is accepted -------------------------------------------------------


def test_what_one_sends_who_goes_before_it_is_accepted_arrives(path: Path) -> None:
    with listening(path) as listener:
        sent = [b"a", b"", bytes(60_000)]
        with connected(path) as yours:
            for message in sent:
                yours.send(message)
        assert len(left(path)) == 2
        assert select.select([listener], [], [], 0)[0]
        with listener.accept(0) as mine:
            assert left(path) == ["known"]
            assert mine.peer == f"uid {os.getuid()}"
            assert select.select([mine], [], [], 0)[0]
            assert list(mine) == sent
            with pytest.raises(PeerGoneError):
                mine.send(b"too late")
        with pytest.raises(TimedOut):
            listener.accept(0)


def test_what_goes_in_part_before_it_is_accepted_is_dropped(path: Path) -> None:
    with listening(path) as listener:
        with connected(path) as yours, pytest.raises(TimedOut):
            yours.send(b"first")
            yours.send(bytes(100_000), 0)
        with listener.accept(0) as mine:
            assert list(mine) == [b"first"]


def test_what_one_has_sent_who_goes_when_it_was_accepted_arrives_once(path: Path) -> None:
    with listening(path) as listener:
        with connected(path) as yours:
            yours.send(b"x")
            mine = listener.accept(0)
        with mine:
            assert list(mine) == [b"x"]
        with pytest.raises(TimedOut):
            listener.accept(0)
        assert left(path) == ["known"]


def test_what_somebody_has_left_goes_with_the_listener(path: Path) -> None:
    with listening(path):
        with connected(path) as yours:
            yours.send(b"x")
        assert len(left(path)) == 2
    assert left(path) == []


def test_a_listener_finds_what_was_left_for_another_one(path: Path) -> None:
    with connected(path) as yours:
        yours.send(b"x")
        first = listening(path)
        path.unlink()
        first.close()
        with listening(path) as second:
            # It has not noticed yet that the first one has gone.
            yours.close()
            with second.accept(0) as mine:
                assert list(mine) == [b"x"]


def test_where_there_is_no_room_to_leave_it_nothing_is_left(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int, data: bytes) -> int:
        return len(data) - 1

    with listening(path) as listener:
        yours = connected(path)
        yours.send(b"x")
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            yours.close()
        assert left(path) == ["known"]
        with pytest.raises(TimedOut):
            listener.accept(0)


def test_what_is_for_a_child_is_not_taken_along_by_its_parent(path: Path) -> None:
    with listening(path) as listener:
        yours = connected(path)
        yours.send(b"from both")
        ready, go = os.pipe()

        def work() -> None:
            assert os.read(ready, 1) == b"x"
            yours.send(b"from the child")
            yours.close()

        pid = child(work)
        yours.close()
        os.write(go, b"x")
        assert ended(pid) == 0
        with listener.accept(0) as mine:
            assert list(mine) == [b"from both", b"from the child"]
        os.close(ready)
        os.close(go)
