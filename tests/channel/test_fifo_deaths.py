"""Named pipes: a process is killed before each of its calls of the system, and what that leaves."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from channels import PATIENCE, child, ended
from named_pipes import left

from isthmus import channel
from isthmus.channel import EndOfChannel, TimedOut

# All that leaves something behind, or lets something go.
CALLS = ("mkfifo", "chmod", "open", "fchmod", "link", "rename", "unlink", "write", "read", "close")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "known"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not been welcomed looks after that at once; what has no name yet is old at once."""
    monkeypatch.setattr("isthmus.channel._caller.LOOK", 0.01)
    monkeypatch.setattr("isthmus.channel._fifo.LOOK", 0.01)
    monkeypatch.setattr("isthmus.channel._meeting._DEAD", -1.0)


def killed(
    work: Callable[[], object], step: int, before: Callable[[], object] | None = None
) -> bool:
    """Do it in a child that is killed before its call of that number; False: there was none.

    What it does `before` does not count.
    """

    def until_then() -> None:
        if before is not None:
            before()
        count = 0

        def counted(call: Callable[..., object]) -> Callable[..., object]:
            def counting(*arguments: object, **options: object) -> object:
                nonlocal count
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **options)

            return counting

        for name in CALLS:
            setattr(os, name, counted(getattr(os, name)))
        work()

    code = ended(child(until_then))
    assert code in (0, -signal.SIGKILL)
    return code != 0


def steps(work: Callable[[], object], at_least: int, stride: int = 1) -> Iterator[int]:
    """Each step at which it has been killed; and then zero, when it was not."""
    step = 1
    while killed(work, step):
        yield step
        step += stride
    assert step > at_least
    yield 0


@pytest.mark.slow
def test_a_client_that_is_killed_leaves_what_the_next_listener_clears_away(path: Path) -> None:
    def work() -> None:
        client = channel.connect(f"fifo:{path}")
        client.send(b"x")
        client.close()

    for step in steps(work, 25):
        if not step:
            assert left(path) == []
        with channel.listen(f"fifo:{path}") as listener:
            with pytest.raises(TimedOut):
                listener.accept(0)
            assert left(path) == ["known"]
        assert left(path) == []


@pytest.mark.slow
def test_a_client_that_is_killed_while_it_leaves_what_it_has_sent_leaves_all_or_nothing(
    path: Path,
) -> None:
    clients: list[channel.Channel] = []

    def before() -> None:
        clients.append(channel.connect(f"fifo:{path}"))
        clients[0].send(b"x")

    def work() -> None:
        clients[0].close()

    outcomes = set()
    step = 1
    going = True
    while going:
        with channel.listen(f"fifo:{path}") as listener:
            going = killed(work, step, before)
            try:
                with listener.accept(0) as mine:
                    outcomes.add(tuple(mine))
            except TimedOut:
                outcomes.add(None)
            with pytest.raises(TimedOut):
                listener.accept(0)
        with channel.listen(f"fifo:{path}"):
            assert left(path) == ["known"]
        step += 1
    assert outcomes == {None, (b"x",)}


def test_a_client_that_is_killed_while_somebody_listens_is_cleared_away_by_the_accept(
    path: Path,
) -> None:
    def work() -> None:
        with channel.connect(f"fifo:{path}"):
            os.kill(os.getpid(), signal.SIGKILL)

    with channel.listen(f"fifo:{path}") as listener:
        for _ in range(2):
            assert ended(child(work)) == -signal.SIGKILL
        assert len(left(path)) == 5
        with channel.connect(f"fifo:{path}") as yours, listener.accept(PATIENCE) as mine:
            assert left(path) == ["known"]
            yours.send(b"the living one")
            assert mine.recv(PATIENCE) == b"the living one"


@pytest.mark.slow
def test_a_client_that_is_killed_while_it_is_welcomed_is_an_end(path: Path) -> None:
    def work() -> None:
        with listened, yours:
            mine.close()
            yours.send(b"x")
            yours.recv(PATIENCE)

    step = 1
    going = True
    while going:
        with channel.listen(f"fifo:{path}") as listened:
            yours = channel.connect(f"fifo:{path}")
            mine = listened.accept(PATIENCE)
            with mine, yours:
                mine.send(b"welcome")
                going = killed(work, step)
                yours.close()
                got = list(mine)
                assert got in ([], [b"x"])
                assert going or got == [b"x"]
        assert left(path) == []
        step += 1
    assert step > 8


@pytest.mark.slow
def test_a_listener_that_is_killed_leaves_nobody_waiting(path: Path) -> None:
    def work() -> None:
        with channel.listen(f"fifo:{path}") as listener, listener.accept(PATIENCE) as mine:
            mine.send(b"from the first")

    step, outcomes = 1, set()
    going = True
    while going:
        with channel.connect(f"fifo:{path}") as yours:
            yours.send(b"hello")
            going = killed(work, step)
            with channel.listen(f"fifo:{path}") as listener:
                try:
                    mine = listener.accept(0)
                except TimedOut:
                    # Then the first one had welcomed it.
                    got = list(yours)
                    assert got in ([], [b"from the first"])
                    outcomes.add(len(got))
                else:
                    outcomes.add(-1)
                    with mine:
                        assert mine.recv(PATIENCE) == b"hello"
                        mine.send(b"from the second")
                        assert yours.recv(PATIENCE) == b"from the second"
                    with pytest.raises(EndOfChannel):
                        yours.recv(PATIENCE)
                assert left(path) == ["known"]
        assert left(path) == []
        step += 1
    assert outcomes == {-1, 0, 1}


def test_what_was_left_for_a_listener_that_was_killed_is_for_the_next_one(path: Path) -> None:
    def work() -> None:
        with channel.listen(f"fifo:{path}"):
            with channel.connect(f"fifo:{path}") as yours:
                yours.send(b"x")
            os.kill(os.getpid(), signal.SIGKILL)

    assert ended(child(work)) == -signal.SIGKILL
    with channel.listen(f"fifo:{path}") as listener, listener.accept(0) as mine:
        assert list(mine) == [b"x"]
        assert left(path) == ["known"]


def test_who_waits_for_a_listener_that_was_killed_with_its_hello_is_found(path: Path) -> None:
    def work() -> None:
        with channel.listen(f"fifo:{path}") as listener:
            assert listener._known.next()  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGKILL)

    with channel.connect(f"fifo:{path}") as yours:
        assert ended(child(work)) == -signal.SIGKILL
        with channel.listen(f"fifo:{path}") as listener, listener.accept(PATIENCE) as mine:
            mine.send(b"found")
            assert yours.recv(PATIENCE) == b"found"


def test_who_was_accepted_by_one_that_was_killed_connects_again(path: Path) -> None:
    def work() -> None:
        with channel.listen(f"fifo:{path}") as listener, listener.accept(PATIENCE) as mine:
            mine.recv(PATIENCE)
            os.kill(os.getpid(), signal.SIGKILL)

    with channel.connect(f"fifo:{path}") as yours:
        yours.send(b"x")
        assert ended(child(work)) == -signal.SIGKILL
        assert list(yours) == []
    with (
        channel.connect(f"fifo:{path}") as yours,
        channel.listen(f"fifo:{path}") as listener,
        listener.accept(PATIENCE) as mine,
    ):
        yours.send(b"again")
        assert mine.recv(PATIENCE) == b"again"
