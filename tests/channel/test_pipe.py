"""What is special to pipes: descriptors that are inherited, and by whom."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from channels import PATIENCE, in_thread, until_asleep

import isthmus
from isthmus import channel
from isthmus.channel import Channel, EndOfChannel, PeerGoneError, TimedOut
from isthmus.channel._pipe import PipeChannel

CHILD = """
import sys
from isthmus import channel
with channel.connect(sys.argv[1]) as parent:
    for message in parent:
        parent.send(message[::-1])
"""


def is_open(descriptor: int) -> bool:
    return os.path.exists(f"/proc/self/fd/{descriptor}")


@pytest.mark.slow
def test_a_program_that_is_started_anew_gets_its_end_by_the_url() -> None:
    mine, yours = channel.pair("pipe")
    assert isinstance(yours, PipeChannel)
    with mine:
        with yours:
            started = subprocess.Popen(
                [sys.executable, "-P", "-c", CHILD, yours.url], pass_fds=yours.descriptors
            )
        with started:
            for message in (b"abc", b"", bytes(range(256)) * 1000):
                mine.send(message, PATIENCE)
                assert mine.recv(PATIENCE) == message[::-1]
            mine.close()
            assert started.wait(PATIENCE) == 0


def test_a_program_that_knows_nothing_of_this_library_uses_the_numbers() -> None:
    mine, yours = channel.pair("pipe")
    assert isinstance(yours, PipeChannel)
    read, write = yours.descriptors
    with mine:
        with yours:
            subprocess.run(
                ["/bin/sh", "-c", f"printf '\\000\\000\\000\\002hi' >/dev/fd/{write}"],
                pass_fds=yours.descriptors,
                check=True,
                timeout=PATIENCE,
            )
        assert mine.recv(PATIENCE) == b"hi"
        with pytest.raises(EndOfChannel):
            mine.recv(PATIENCE)
    assert not is_open(read)


def test_descriptors_keep_their_numbers_and_are_closed_with_the_channel() -> None:
    read, write = os.pipe()
    os.set_inheritable(read, True)
    with channel.connect(f"pipe:{read},{write}") as both:
        assert isinstance(both, PipeChannel)
        assert both.url == f"pipe:{read},{write}"
        assert both.descriptors == (read, write)
        assert not os.get_inheritable(read)
        both.send(b"round")
        assert both.recv(PATIENCE) == b"round"
    assert both.descriptors == ()
    assert not is_open(read)
    assert not is_open(write)


def test_others_who_have_the_same_pipe_do_not_find_it_changed() -> None:
    read, write = os.pipe()
    others = os.dup(read)
    with channel.connect(f"pipe:{read},{write}"):
        assert not os.get_blocking(read)
        assert os.get_blocking(others)
    os.close(others)


def test_one_pipe_goes_one_way() -> None:
    read, write = os.pipe()
    with channel.connect(f"pipe:{read},-") as to, channel.connect(f"pipe:-,{write}") as from_:
        from_.send(b"down")
        from_.send_many([b"more", b"and more"])
        assert [to.recv(PATIENCE) for _ in range(3)] == [b"down", b"more", b"and more"]
        for use in (lambda: to.send(b"up"), lambda: to.send_many([b"up"])):
            with pytest.raises(isthmus.ClosedError, match="can only receive"):
                use()
        for use in (lambda: from_.recv(0), from_.recv, from_.fileno):
            with pytest.raises(isthmus.ClosedError, match="can only send"):
                use()
        with pytest.raises(TimedOut):
            to.recv(0)
        from_.close()
        with pytest.raises(EndOfChannel):
            to.recv()


def test_a_message_that_goes_into_a_full_pipe_in_parts_arrives_whole() -> None:
    mine, yours = channel.pair("pipe")
    with mine, yours:
        # Not a divisor of its size; small enough to go by one call when there is room.
        sent = [bytes([number]) * 9000 for number in range(20)]

        def send() -> None:
            for message in sent:
                mine.send(message, PATIENCE)

        thread, result = in_thread(send)
        until_asleep(thread)
        assert [yours.recv(PATIENCE) for _ in sent] == sent
        thread.join()
        assert result == [None]


def test_a_pipe_that_nobody_reads_any_more_is_still_taken_and_says_so() -> None:
    read, write = os.pipe()
    os.close(read)
    with channel.connect(f"pipe:-,{write}") as from_, pytest.raises(PeerGoneError):
        from_.send(b"x")


def test_without_descriptors_a_pipe_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    read, write = os.pipe()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", none_left)
        with pytest.raises(OSError, match="too many"):
            channel.connect(f"pipe:{read},{write}")
    assert os.get_blocking(read)
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(
    "where", ["", "1", "a,b", "-,-", "5,5", "-1,-", "99999999999,-", "²,-", "1,2,3"]
)
def test_what_are_no_two_numbers_is_refused(where: str) -> None:
    with pytest.raises(isthmus.ArgumentError):
        channel.connect(f"pipe:{where}")


def test_descriptors_of_the_wrong_kind_are_refused_and_left_alone(tmp_path: Path) -> None:
    read, write = os.pipe()
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    closed = os.dup(file)
    os.close(closed)
    for where, why in (
        (f"{write},{read}", "not open for reading"),
        (f"-,{read}", "not open for writing"),
        (f"{file},{write}", "no pipe"),
        (f"{read},{closed}", "pass_fds"),
    ):
        with pytest.raises(isthmus.ArgumentError, match=why):
            channel.connect(f"pipe:{where}")
    assert os.get_blocking(read)
    assert os.get_blocking(write)
    for each in (read, write, file):
        os.close(each)


def test_garbage_in_a_pipe_closes_it_and_says_so() -> None:
    for garbage in (b"\xff\xff\xff\xfe", struct.pack("!i", 1025), b"GET / HTTP"):
        read, write = os.pipe()
        to: Channel = channel.connect(f"pipe:{read},-?limit=1 KiB")
        os.write(write, garbage)
        with pytest.raises(channel.ProtocolError):
            to.recv(PATIENCE)
        assert to.closed
        os.close(write)


def test_half_a_message_is_dropped_at_the_end() -> None:
    read, write = os.pipe()
    with channel.connect(f"pipe:{read},-") as to:
        os.write(write, struct.pack("!i", 2) + b"ok" + struct.pack("!i", 100) + b"half")
        os.close(write)
        assert to.recv(PATIENCE) == b"ok"
        with pytest.raises(EndOfChannel):
            to.recv(PATIENCE)
