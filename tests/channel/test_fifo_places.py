"""Named pipes: garbage, rights, and what else may be in the place of one."""

from __future__ import annotations

import fcntl
import os
import random
import stat
from pathlib import Path

import pytest
from channels import PATIENCE, child, ended
from named_pipes import check, connected, left, listening

import isthmus
from isthmus.channel import ProtocolError, TimedOut, _caller


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "known"


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not been welcomed looks after that at once, and not each second."""
    monkeypatch.setattr("isthmus.channel._caller.LOOK", 0.01)
    monkeypatch.setattr("isthmus.channel._fifo.LOOK", 0.01)


# ---- Garbage ---------------------------------------------------------------------------


def test_what_is_no_hello_is_skipped(path: Path) -> None:
    chance = random.Random(1)
    with listening(path) as listener, open(path, "r+b", buffering=0) as known:
        for garbage in (
            b"x\n",
            b"isthmus 0123456789abcdef\n",
            b"isthmus 0123456789ABCDEF\n",
            b"isthmus ../../../../etc/\n",
            b"isthmus 0123",
            chance.randbytes(5000),
            b"isthmus isthmus isthmus ",
        ):
            known.write(garbage)
            with connected(path) as yours, listener.accept(PATIENCE) as mine:
                check(yours, mine)
            with pytest.raises(TimedOut):
                listener.accept(0)


def test_a_flood_of_garbage_does_not_hold_up_who_has_no_time(path: Path) -> None:
    with listening(path) as listener:
        real = os.read

        def more(descriptor: int, size: int) -> bytes:
            return (
                b"y\n" * (size // 2) if descriptor == listener.fileno() else real(descriptor, size)
            )

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "read", more)
            with pytest.raises(TimedOut):
                listener.accept(0)


def test_a_hello_opens_nothing_but_fifos(path: Path, tmp_path: Path) -> None:
    token = "0123456789abcdef"
    precious = tmp_path / "precious"
    fifo = tmp_path / "fifo"
    there, back = (path.with_name(f"known.{token}.{end}") for end in ("in", "out"))
    with listening(path) as listener, open(path, "r+b", buffering=0) as known:
        os.mkfifo(fifo)
        kept = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        for number in range(4):
            precious.write_text("precious")
            if number == 0:
                os.symlink(precious, there)
            elif number == 1:
                os.symlink(fifo, there)
            elif number == 2:
                os.link(precious, there)
            else:
                os.link(fifo, there)
                os.symlink(precious, back)
            known.write(b"isthmus %s\n" % token.encode())
            with pytest.raises(TimedOut):
                listener.accept(0)
            assert precious.read_text() == "precious"
            with pytest.raises(BlockingIOError):
                os.read(kept, 100)
            there.unlink(missing_ok=True)
            back.unlink(missing_ok=True)
        os.close(kept)


def test_nothing_is_read_from_what_is_no_rest(path: Path, tmp_path: Path) -> None:
    token = "0123456789abcdef"
    rest = path.with_name(f"known.{token}.rest")
    precious = tmp_path / "precious"
    precious.write_bytes(b"\0\0\0\1x")
    huge = tmp_path / "huge"
    huge.touch()
    os.truncate(huge, 1 << 30)
    with listening(path) as listener, open(path, "r+b", buffering=0) as known:
        for make in (
            lambda: os.symlink(precious, rest),
            lambda: os.link(precious, rest),
            lambda: os.rename(huge, rest),
            lambda: os.mkfifo(rest),
        ):
            make()
            known.write(b"isthmus %s\n" % token.encode())
            with pytest.raises(TimedOut):
                listener.accept(0)
            rest.unlink()
        rest.write_bytes(b"\xff\xff\xff\xfe")
        known.write(b"isthmus %s\n" % token.encode())
        with listener.accept(0) as mine, pytest.raises(ProtocolError):
            mine.recv(0)


def test_what_is_no_welcome_closes_the_channel(path: Path) -> None:
    yours = connected(path)
    (name,) = (each for each in left(path) if each.endswith(".in"))
    with open(path.with_name(name), "wb", buffering=0) as there:
        there.write(b"rubbish, and more of it")
    with pytest.raises(ProtocolError):
        yours.recv(PATIENCE)
    assert yours.closed
    assert left(path) == []


# ---- Rights, and what is there ---------------------------------------------------------


def test_the_mode_is_exact_and_that_of_what_clients_make(path: Path) -> None:
    before = os.umask(0o077)
    try:
        for mode, clients in ((0o600, 0o600), (0o622, 0o666), (0o660, 0o660), (0o644, 0o600)):
            with listening(path, mode=mode), connected(path):
                for each in path.parent.iterdir():
                    wanted = mode if each == path else clients
                    assert stat.S_IMODE(each.stat().st_mode) == wanted
        with connected(path, mode=0o660), listening(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            with pytest.raises(isthmus.InUseError):
                listening(path, mode=0o600)
    finally:
        os.umask(before)


def test_another_user_who_may_only_write_to_it_is_welcome(path: Path, unprivileged: int) -> None:
    for folder in (path.parent, *path.parent.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    path.parent.chmod(0o1777)
    with listening(path, mode=0o622) as listener:

        def work() -> None:
            os.setgroups([])
            os.setgid(unprivileged)
            os.setuid(unprivileged)
            with connected(path) as yours:
                assert yours.recv(PATIENCE) == b"welcome"

        pid = child(work)
        with listener.accept(PATIENCE) as mine:
            assert mine.peer == f"uid {unprivileged}"
            mine.send(b"welcome")
            assert ended(pid) == 0


def test_who_may_only_write_waits_for_a_listener(path: Path, unprivileged: int, soon: None) -> None:
    for folder in (path.parent, *path.parent.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    path.parent.chmod(0o1777)
    os.mkfifo(path)
    path.chmod(0o622)
    ready, told = os.pipe()

    def work() -> None:
        os.setgroups([])
        os.setgid(unprivileged)
        os.setuid(unprivileged)
        with connected(path) as yours:
            os.write(told, b"x")
            assert yours.recv(PATIENCE) == b"welcome"

    pid = child(work)
    assert os.read(ready, 1) == b"x"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "listdir", lambda _: [])
        listener = listening(path)
    with listener, listener.accept(PATIENCE) as mine:
        mine.send(b"welcome")
        assert ended(pid) == 0
    os.close(ready)
    os.close(told)


def test_what_is_no_fifo_is_left_alone(path: Path) -> None:
    def to_itself(where: Path) -> None:
        os.symlink("known", where)

    for make in (lambda where: where.write_text("x"), os.mkdir, to_itself):
        make(path)
        for use in (listening, connected):
            with pytest.raises(isthmus.ExistsError):
                use(path)
        assert left(path) == ["known"]
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
    for use in (listening, connected):
        with pytest.raises(isthmus.NotFoundError):
            use(path / "nowhere" / "known")
        with pytest.raises(isthmus.NameInvalidError):
            use(path.with_name(240 * "x"))


def test_a_listener_removes_only_its_own_fifo(path: Path) -> None:
    first = listening(path)
    path.unlink()
    with listening(path) as second:
        first.close()
        with connected(path) as yours, second.accept(PATIENCE) as mine:
            check(yours, mine)
    assert left(path) == []


def test_a_fifo_that_somebody_else_has_made_is_used_as_it_is(path: Path) -> None:
    os.mkfifo(path)
    path.chmod(0o640)
    with listening(path) as listener, connected(path) as yours, listener.accept(PATIENCE) as mine:
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        check(yours, mine)


def test_a_fifo_that_was_removed_before_it_was_locked_is_made_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock

    def late(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        path.unlink()  # by the listener before
        real(descriptor, how)

    os.mkfifo(path)
    monkeypatch.setattr(fcntl, "flock", late)
    with listening(path) as listener, connected(path) as yours, listener.accept(PATIENCE) as mine:
        check(yours, mine)
    assert left(path) == []


def test_who_clears_away_keeps_no_listener_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(path)
    clearing = os.open(path, os.O_RDWR)
    fcntl.flock(clearing, fcntl.LOCK_EX)
    pauses = 0

    def pause(_: float) -> None:
        nonlocal pauses
        pauses += 1
        if pauses == 2:
            os.close(clearing)

    monkeypatch.setattr("time.sleep", pause)
    with listening(path) as listener, connected(path) as yours, listener.accept(PATIENCE) as mine:
        check(yours, mine)


def test_without_descriptors_a_client_leaves_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = _caller.open_fifo
    for number in range(4):
        calls = 0

        def short(where: str, flags: int, stop: int = number) -> int:
            nonlocal calls
            calls += 1
            if calls > stop:
                raise OSError(24, "too many open files")
            return real(where, flags)

        before = len(os.listdir("/proc/self/fd"))
        with monkeypatch.context() as patch:
            patch.setattr(_caller, "open_fifo", short)
            with pytest.raises(OSError, match="too many"):
                connected(path)
        assert left(path) == []
        assert len(os.listdir("/proc/self/fd")) == before
