"""Files: what a death at each step leaves, and what may be wrong with one."""

from __future__ import annotations

import errno
import os
import signal
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from channels import PATIENCE, child, ended, in_thread, until_asleep
from logs import drained, joined

import isthmus
from isthmus.channel import EndOfChannel, PeerGoneError, ProtocolError, TimedOut

END_AT = 16


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


# ---- Deaths ----------------------------------------------------------------------------


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying_before(call: Callable[..., int]) -> Callable[..., int]:
    return die  # type: ignore[return-value]


def dying_after(call: Callable[..., int]) -> Callable[..., int]:
    def made(*arguments: object) -> int:
        call(*arguments)
        die()
        return 0

    return made


def dying_halfway(call: Callable[..., int]) -> Callable[..., int]:
    def made(descriptor: int, parts: list[bytes], at: int) -> int:
        os.pwrite(descriptor, b"".join(parts)[:30], at)
        die()
        return 0

    return made


@pytest.mark.parametrize(
    ("call", "death", "arrives"),
    [
        ("pwritev", dying_before, False),
        ("pwritev", dying_halfway, False),
        ("pwritev", dying_after, False),
        ("pwrite", dying_after, True),
    ],
)
def test_a_writer_that_is_killed_has_sent_all_or_nothing_and_holds_nobody_up(
    path: Path, call: str, death: Callable[..., Callable[..., int]], arrives: bool
) -> None:
    with joined(path) as one, joined(path) as two, joined(path) as reader:
        one.send(b"before")

        def work() -> None:
            patch = pytest.MonkeyPatch()
            real = os.pwrite
            if call == "pwritev":
                patch.setattr(os, "pwritev", death(os.pwritev))
            else:
                patch.setattr(os, "pwrite", death(real))
            one.send(b"the last words, which are longer than what comes after")

        assert ended(child(work)) == -signal.SIGKILL
        last = [b"the last words, which are longer than what comes after"] if arrives else []
        assert drained(reader) == [b"before", *last]
        two.send(b"after", 0)
        one.send(b"that", 0)
        assert drained(reader) == [b"after", b"that"]
        with joined(path) as anew:
            assert drained(anew) == [b"before", *last, b"after", b"that"]


def test_a_death_while_the_file_is_made_leaves_nothing(path: Path) -> None:
    def work() -> None:
        pytest.MonkeyPatch().setattr(os, "link", die)
        joined(path)

    assert ended(child(work)) == -signal.SIGKILL
    assert os.listdir(path.parent) == []
    with joined(path):
        assert os.listdir(path.parent) == [path.name]


def test_who_is_second_to_make_it_takes_the_one_of_the_first(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def overtaken(*arguments: object, **options: object) -> None:
        monkeypatch.setattr(os, "link", real)
        with joined(path) as first:
            first.send(b"by the first")
        real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", overtaken)
    with joined(path) as second:
        assert drained(second) == [b"by the first"]


def test_it_is_made_also_where_every_file_has_a_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def without(name: str, flags: int, *rest: int, **options: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not here")
        return real(name, flags, *rest, **options)

    monkeypatch.setattr(os, "open", without)
    with joined(path) as one, joined(path) as two:
        one.send(b"x")
        assert two.recv(0) == b"x"
    assert os.listdir(path.parent) == [path.name]


# ---- What may be wrong -----------------------------------------------------------------


def test_the_mode_of_a_file_is_exact(path: Path) -> None:
    before = os.umask(0o077)
    try:
        joined(path, mode=0o664).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o664


def test_what_is_no_file_of_a_channel_is_left_alone(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(isthmus.ForeignError):
        joined(path)
    assert path.read_text() == "precious"
    for make in (os.mkdir, os.mkfifo, lambda where: os.symlink("log", where)):
        path.unlink()
        make(path)
        with pytest.raises(isthmus.ExistsError):
            joined(path)
        if path.is_dir():
            path.rmdir()
            path.touch()
    path.unlink()
    with pytest.raises(isthmus.NotFoundError):
        joined(path / "nowhere" / "log")
    with pytest.raises(isthmus.NameInvalidError):
        joined(path.with_name(300 * "x"))


def test_an_empty_file_becomes_one(path: Path) -> None:
    path.touch(0o640)
    with joined(path) as one, joined(path) as two:
        one.send(b"x")
        assert drained(two) == [b"x"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("at", "data", "error"),
    [
        (8, struct.pack("<I", 2), isthmus.VersionError),
        (END_AT, struct.pack("<QQ", 1 << 40, (1 << 40) ^ (2**64 - 1)), isthmus.TruncatedError),
        (END_AT, struct.pack("<QQ", 8, 8 ^ (2**64 - 1)), isthmus.CorruptError),
        (END_AT, struct.pack("<Q", 72), isthmus.CorruptError),
    ],
)
def test_a_damaged_header_is_said_when_it_is_opened(
    path: Path, at: int, data: bytes, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.channel._log._PAUSE", 0)
    joined(path).close()
    written_over(path, at, data)
    with pytest.raises(error):
        joined(path)


def written_over(path: Path, at: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize(
    ("at", "data", "says"),
    [
        (64, b"xxxx", "no record at offset 64"),
        (68, b"xxxx", "offset 64 is not what was sent"),
        (72, struct.pack("<Q", 1), "offset 64 is not what was sent"),
        (72, struct.pack("<Q", 33), "no record at offset 64"),
        (72, struct.pack("<Q", 2**64 - 1), "no record at offset 64"),
        (80, b"xxxxxxxx", "offset 64 is not what was sent"),
        (88, b"B", "offset 64 is not what was sent"),
        (END_AT, struct.pack("<QQ", 80, 80 ^ (2**64 - 1)), "no record at offset 64"),
    ],
)
def test_a_damaged_record_closes_the_channel_and_says_where(
    path: Path, at: int, data: bytes, says: str
) -> None:
    with joined(path) as one:
        one.send(b"A" * 8)
    reader = joined(path)
    written_over(path, at, data)
    with pytest.raises(ProtocolError, match=says):
        reader.recv(PATIENCE)
    assert reader.closed


def test_a_file_that_was_cut_off_is_said_to_readers_and_writers(path: Path) -> None:
    with joined(path) as one:
        for _ in range(3):
            one.send(b"A" * 1000)
        reader, at_end, headless = joined(path), joined(path, "end"), joined(path, "end")
        assert len(reader.recv(0)) == 1000
        os.truncate(path, 1500)
        with pytest.raises(isthmus.TruncatedError, match="offset 1500"):
            one.send(b"x")
        reader._reader._buffer = b""  # what was read ahead is still good
        with pytest.raises(ProtocolError, match="offset 1500"):
            reader.recv(0)
        written_over(path, END_AT, struct.pack("<QQ", 64, 64 ^ (2**64 - 1)))
        with pytest.raises(ProtocolError, match="cut off at offset 64"):
            at_end.recv(0)
        os.truncate(path, 10)
        with pytest.raises(ProtocolError, match="no header"):
            headless.recv(0)


def test_an_end_that_is_just_being_written_is_looked_at_again(path: Path) -> None:
    with joined(path) as one, joined(path) as reader:
        one.send(b"x")
        whole = path.read_bytes()[END_AT : END_AT + 16]
        written_over(path, END_AT + 8, bytes(8))
        looks = 0
        real = os.pread

        def then_whole(descriptor: int, size: int, at: int) -> bytes:
            nonlocal looks
            if at == END_AT:
                looks += 1
                if looks == 5:
                    written_over(path, END_AT, whole)
            return real(descriptor, size, at)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "pread", then_whole)
            assert reader.recv(0) == b"x"
        assert looks >= 5


def test_who_waits_is_told_that_the_file_was_removed(path: Path) -> None:
    for take_away in (os.unlink, lambda where: os.rename(where, f"{where}.1")):
        with joined(path) as one, joined(path) as waiting, joined(path, "end") as late:
            thread, result = in_thread(waiting.recv)
            until_asleep(thread)
            take_away(path)
            thread.join()
            assert isinstance(result[0], EndOfChannel)
            with pytest.raises(PeerGoneError):
                one.send(b"x")
            assert list(late) == []


def test_what_was_in_a_file_that_was_replaced_still_arrives(path: Path) -> None:
    with joined(path) as one, joined(path) as reader:
        one.send(b"old")
        path.unlink()
        with joined(path) as anew:
            anew.send(b"new")
            assert list(reader) == [b"old"]
            with pytest.raises(PeerGoneError, match="connect again"):
                one.send(b"x")
            with joined(path) as again:
                assert drained(again) == [b"new"]


def test_what_was_appended_just_before_the_file_was_removed_still_arrives(path: Path) -> None:
    with joined(path) as one, joined(path) as reader:
        real = reader._log.found

        def just_then() -> os.stat_result | None:
            one.send(b"just in time")
            path.unlink()
            reader._log.found = real  # type: ignore[method-assign]
            return real()

        reader._log.found = just_then  # type: ignore[method-assign]
        assert list(reader) == [b"just in time"]


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_where_there_is_no_room_nothing_was_sent(
    path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    with joined(path) as one, joined(path) as reader:

        def full(*_: object) -> int:
            raise OSError(reason, "full")

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwritev", full)
            with pytest.raises(isthmus.NoSpaceError) as caught:
                one.send(b"x")
            assert (caught.value.wanted, caught.value.errno) == (32, reason)
        one.send(b"y")
        assert drained(reader) == [b"y"]


def test_a_file_for_which_there_is_no_room_is_not_made(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(isthmus.NoSpaceError):
            joined(path).__enter__()
    assert os.listdir(path.parent) == []


def test_a_write_in_parts_arrives_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def some(descriptor: int, parts: list[bytes], at: int) -> int:
        return os.pwrite(descriptor, b"".join(parts)[:7], at)

    with joined(path) as one, joined(path) as reader:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwritev", some)
            one.send(b"in several parts")
            one.send_many([b"", b"a", b"b" * 20])
        assert drained(reader) == [b"in several parts", b"", b"a", b"b" * 20]


def test_who_may_only_read_hears_and_is_told_that_it_may_not_send(
    path: Path, unprivileged: int
) -> None:
    for folder in (path.parent, *path.parent.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    with joined(path, mode=0o644) as one:
        one.send(b"for all")

        def work() -> None:
            os.setgroups([])
            os.setgid(unprivileged)
            os.setuid(unprivileged)
            with joined(path) as reader:
                assert reader.recv(0) == b"for all"
                with pytest.raises(isthmus.AccessError):
                    reader.send(b"x")
                with pytest.raises(TimedOut):
                    reader.recv(0.001)

        assert ended(child(work)) == 0


def test_a_message_beyond_the_limit_of_the_reader_is_refused_there(path: Path) -> None:
    with joined(path) as one, joined(path, limit="1 KiB") as small:
        assert small.largest == 1024
        one.send(bytes(1025))
        with pytest.raises(ProtocolError, match="1025 bytes at offset 64, more than the limit"):
            small.recv(0)
