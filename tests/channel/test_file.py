"""What is special to files: who reads what, who appends when, and how one waits."""

from __future__ import annotations

import fcntl
import os
import select
import struct
from pathlib import Path

import pytest
from channels import PATIENCE, child, ended, in_thread, until_asleep
from logs import drained, joined

import isthmus
from isthmus import channel
from isthmus._core import doorbell
from isthmus.channel import Channel, TimedOut, _file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def is_readable(end: Channel) -> bool:
    return bool(select.select([end], [], [], 0)[0])


# ---- Who hears what --------------------------------------------------------------------


def test_all_hear_what_one_sends_but_that_one(path: Path) -> None:
    with joined(path) as one, joined(path) as two, joined(path) as three:
        one.send(b"1")
        two.send(b"2")
        one.send(b"3")
        assert drained(one) == [b"2"]
        assert drained(two) == [b"1", b"3"]
        assert drained(three) == [b"1", b"2", b"3"]


def test_who_comes_late_hears_all_from_the_start_or_what_is_new_from_the_end(path: Path) -> None:
    with joined(path) as one:
        one.send(b"old")
        with joined(path, "start") as early, joined(path, "end") as late:
            one.send(b"new")
            assert drained(early) == [b"old", b"new"]
            assert drained(late) == [b"new"]
    with channel.connect(f"file:{path}") as later:
        assert drained(later) == []
    with channel.connect(f"file:{path}?start=start") as later:
        assert drained(later) == [b"old", b"new"]


def test_a_listener_hears_from_the_moment_it_was_made_and_goes_on_where_it_stopped(
    path: Path,
) -> None:
    with channel.listen(f"file:{path}") as listener, joined(path) as one:
        one.send(b"a")
        with listener.accept(0) as mine:
            one.send(b"b")
            assert mine.recv(PATIENCE) == b"a"
            mine.send(b"answer")
            with pytest.raises(isthmus.SizeError):
                mine.recv_into(bytearray(0))
        with listener.accept(PATIENCE) as mine:
            assert drained(mine) == [b"b"]
        assert drained(one) == [b"answer"]


def test_writers_of_several_processes_keep_out_of_each_others_way(path: Path) -> None:
    crowd, count = 3, 100

    def work(which: int) -> None:
        with joined(path) as writer:
            for number in range(count):
                message = struct.pack("<II", which, number) * (1 + number % 50)
                if number % 3:
                    writer.send(message, PATIENCE)
                else:
                    writer.send_many([message[:8], message], PATIENCE)

    with joined(path) as reader:
        pids = [child(lambda which=which: work(which)) for which in range(crowd)]  # type: ignore[misc]
        assert [ended(pid) for pid in pids] == [0] * crowd
        got: list[list[int]] = [[] for _ in range(crowd)]
        for message in drained(reader):
            which, number = struct.unpack_from("<II", message)
            assert message == message[:8] * (len(message) // 8)
            got[which].append(number)
        wanted = sorted([*range(count), *range(0, count, 3)])
        assert got == [wanted] * crowd


def test_a_forked_child_and_its_parent_take_turns_with_the_same_end(path: Path) -> None:
    with joined(path) as reader, joined(path) as writer:
        writer.send(b"before")

        def work() -> None:
            writer.send(b"in the child")
            assert drained(reader) == [b"before", b"in the child"]
            # What it holds is its own, and not its parent's as well.
            assert writer._log.lock()
            with joined(path) as other, pytest.raises(TimedOut):
                other.send(b"x", 0)

        assert ended(child(work)) == 0
        writer.send(b"after")
        assert drained(reader) == [b"before", b"in the child", b"after"]


class Handed:
    """As `multiprocessing` hands a descriptor to another process."""

    def __init__(self, descriptor: int) -> None:
        self._copy = os.dup(descriptor)

    def detach(self) -> int:
        return self._copy


def test_an_end_that_was_passed_on_goes_on_where_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multiprocessing.reduction.DupFd", Handed)
    with joined(path) as one, joined(path) as reader:
        for message in (b"a", b"b", b"c"):
            one.send(message)
        assert reader.recv(0) == b"a"
        make, arguments = reader.__reduce__()
        with make(*arguments) as passed:
            assert drained(passed) == [b"b", b"c"]
            passed.send(b"heard by all but those two")
            assert drained(reader) == [b"b", b"c"]
            assert drained(one) == [b"heard by all but those two"]
            # Each has a lock of its own.
            assert passed._log.lock()
            with pytest.raises(TimedOut):
                reader.send(b"x", 0)


# ---- Anywhere --------------------------------------------------------------------------


def test_what_was_read_can_be_read_again(path: Path) -> None:
    with joined(path) as one, joined(path) as reader:
        places = []
        for number in range(10):
            places.append(reader.tell())
            one.send(b"%d" % number * 1000)
            assert reader.recv(PATIENCE) == b"%d" % number * 1000
        for number in (7, 0, 9, 3):
            reader.seek(places[number])
            assert reader.tell() == places[number]
            assert reader.recv(0) == b"%d" % number * 1000
        reader.seek("start")
        assert len(drained(reader)) == 10
        reader.seek("end")
        assert drained(reader) == []
        assert reader.tell() == path.stat().st_size
        one.seek("start")
        assert drained(one) == []


def test_a_message_that_did_not_fit_counts_as_not_read(path: Path) -> None:
    with joined(path) as one, joined(path) as reader:
        one.send(b"abc")
        before = reader.tell()
        with pytest.raises(isthmus.SizeError):
            reader.recv_into(bytearray(1))
        assert reader.tell() == before
        reader.seek("end")
        assert drained(reader) == []


@pytest.mark.parametrize("position", [0, 63, 64 + 4, 72, 1 << 40, -8, "middle", "72"])
def test_where_no_message_begins_one_cannot_go(path: Path, position: int | str) -> None:
    with joined(path) as one, joined(path) as reader:
        one.send(b"abc")
        one.send(b"def")
        assert reader.recv(0) == b"abc"
        with pytest.raises(isthmus.ArgumentError):
            reader.seek(position)
        assert drained(reader) == [b"def"]
        with pytest.raises(TypeError):
            reader.seek(1.5)  # type: ignore[arg-type]


def test_going_back_makes_the_descriptor_readable(path: Path) -> None:
    with joined(path) as one, joined(path) as reader:
        one.send(b"abc")
        select.select([reader], [], [], 0)
        assert drained(reader) == [b"abc"]
        assert not is_readable(reader)
        reader.seek("start")
        assert select.select([reader], [], [], PATIENCE)[0]


# ---- Waiting ---------------------------------------------------------------------------


def test_others_who_read_wake_nobody(path: Path) -> None:
    with joined(path) as one, joined(path) as waiting, joined(path) as reading:
        assert not is_readable(waiting)
        one.send(b"x")
        assert waiting.recv(PATIENCE) == b"x"
        drained(waiting)
        assert drained(reading) == [b"x"]
        with open(path, "rb") as file:
            file.read()
        assert not is_readable(waiting)


class Deaf(doorbell.Doorbell):
    """As where the system has nothing left to watch files with."""

    def watch_writes(self, fd: int) -> int:
        return -1


def test_without_inotify_it_looks_now_and_then(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_file, "_doorbell", Deaf)
    with joined(path) as one, joined(path) as waiting:
        thread, result = in_thread(lambda: waiting.recv(PATIENCE))
        until_asleep(thread)
        one.send(b"x")
        thread.join()
        assert result == [b"x"]
        descriptor = waiting.fileno()
        one.send(b"y")
        for _ in range(1000):
            assert select.select([descriptor], [], [], PATIENCE)[0]
            if drained(waiting):
                return
        raise AssertionError("it was not told")


def held_by_another(path: Path) -> int:
    """Held as by a writer that has been stopped; until it is closed."""
    descriptor = os.open(path, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def test_who_waits_to_append_gets_its_turn_or_is_told_that_it_was_too_late(path: Path) -> None:
    with joined(path) as one, joined(path) as reader:
        descriptor = held_by_another(path)
        for timeout in (0, 0.005):
            with pytest.raises(TimedOut) as caught:
                one.send(b"too late", timeout)
            assert not caught.value.begun
        with pytest.raises(TimedOut) as caught:
            one.send_many([b"too late", b"as well"], 0.001)
        assert caught.value.done == 0
        thread, result = in_thread(lambda: one.send(b"in time", PATIENCE))
        until_asleep(thread)
        assert drained(reader) == []
        os.close(descriptor)
        thread.join()
        assert result == [None]
        assert drained(reader) == [b"in time"]


def test_a_task_that_waits_to_append_gets_its_turn(path: Path) -> None:
    import asyncio

    from isthmus.aio import channel as awaited

    async def main() -> None:
        async with await awaited.connect(f"file:{path}") as one:
            descriptor = held_by_another(path)
            with pytest.raises(TimedOut):
                await one.send(b"too late", 0.005)
            sending = asyncio.create_task(one.send(b"in time", PATIENCE))
            while not one.blocking()._wakes:
                await asyncio.sleep(0)
            os.close(descriptor)
            await sending

    with joined(path) as reader:
        asyncio.run(main())
        assert drained(reader) == [b"in time"]


def test_closing_ends_the_wait_of_who_waits_to_append(path: Path) -> None:
    one = joined(path)
    descriptor = held_by_another(path)
    thread, result = in_thread(lambda: one.send(b"x"))
    until_asleep(thread)
    one.close()
    thread.join()
    assert isinstance(result[0], isthmus.ClosedError)
    os.close(descriptor)


def test_what_a_signal_handler_raises_leaves_the_file_to_others(path: Path) -> None:
    with joined(path) as one, joined(path) as reader:

        def interrupted(*_: object) -> None:
            raise InterruptedError

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "pwritev", interrupted)
            with pytest.raises(InterruptedError):
                one.send(b"lost")
        with joined(path) as other:
            other.send(b"x", 0)
        one.send(b"y", 0)
        assert drained(reader) == [b"x", b"y"]
