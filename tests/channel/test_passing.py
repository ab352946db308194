"""Ends that are given to other processes; messages that are not whole."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import channels
import pytest
from channels import PATIENCE, child, ended, in_thread, until_asleep

import isthmus
from isthmus import channel
from isthmus.channel import (
    AuthenticationError,
    EndOfChannel,
    PeerGoneError,
    ProtocolError,
    TimedOut,
)

SPAWNED = """
import multiprocessing
from isthmus import channel

def answer(end):
    for message in end:
        end.send(message[::-1])

if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    for form in ("unix", "seqpacket", "tcp", "shm", "pipe", "fifo", "mq", "sysv", "signal"):
        mine, yours = channel.pair(form)
        process = spawn.Process(target=answer, args=(yours,))
        process.start()
        yours.close()
        mine.send(b"abc")
        assert mine.recv(30) == b"cba"
        mine.close()
        process.join()
        assert process.exitcode == 0
    print("well")
"""


@pytest.mark.slow
def test_ends_are_arguments_of_processes_that_are_spawned(tmp_path: Path) -> None:
    program = tmp_path / "spawned.py"
    program.write_text(SPAWNED)
    done = subprocess.run(
        [sys.executable, "-P", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "well\n", done.stderr


def test_an_end_in_the_middle_of_a_message_cannot_be_passed_on() -> None:
    import pickle

    mine, yours = channel.pair("unix")
    with mine, yours:
        with pytest.raises(TimedOut):
            while True:
                mine.send(bytes(100_000), 0)
        with pytest.raises(TypeError, match="middle of a message"):
            pickle.dumps(mine)


@pytest.mark.parametrize("form", [name for name in channels.NAMES if name != "file"])
def test_an_end_with_a_message_that_did_not_fit_cannot_be_passed_on(form: str) -> None:
    import pickle

    mine, yours = channel.pair(form)
    with mine, yours:
        mine.send(b"abc")
        with pytest.raises(isthmus.SizeError):
            yours.recv_into(bytearray(1), PATIENCE)
        with pytest.raises(TypeError, match="cannot be passed on"):
            pickle.dumps(yours)
        assert yours.recv(0) == b"abc"


@pytest.mark.parametrize("form", ["unix", "tcp", "shm", "pipe"])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_killed_within_a_large_message_nothing_of_it_is_received(
    form: str, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender dies after so many pieces of it: system calls, or records of a ring."""
    with channels.ends(form, tmp_path) as (mine, yours):

        def work() -> None:
            mine.close()
            left = after

            def counted(call):  # type: ignore[no-untyped-def]
                def put(*arguments, **options):  # type: ignore[no-untyped-def]
                    nonlocal left
                    if not left:
                        os.kill(os.getpid(), signal.SIGKILL)
                    left -= 1
                    return call(*arguments, **options)

                return put

            yours.send(b"whole")
            if form == "shm":
                # Those for which there was room at once, since the other side is quick, as well.
                monkeypatch.setattr(isthmus.Queue, "put", counted(isthmus.Queue.put))
                monkeypatch.setattr(yours, "_offer", counted(yours._offer))  # type: ignore[attr-defined]
            else:
                # Not all at once, as the system may do when the other side is quick.
                write, writev = os.write, os.writev
                short = counted(lambda to, data: write(to, data[: 1 << 20]))
                monkeypatch.setattr(os, "write", short)
                shorter = counted(lambda to, parts: writev(to, [each[: 1 << 20] for each in parts]))
                monkeypatch.setattr(os, "writev", shorter)
            # More than all buffers of the system hold.
            yours.send(bytes(64 << 20), PATIENCE)

        pid = child(work)
        yours.close()
        assert mine.recv(PATIENCE) == b"whole"
        with pytest.raises(EndOfChannel):
            mine.recv(PATIENCE)
        assert ended(pid) == -signal.SIGKILL


def test_errors_of_a_channel_are_those_that_people_expect() -> None:
    for kind, expected, number in (
        (TimedOut, TimeoutError, errno.ETIMEDOUT),
        (EndOfChannel, EOFError, errno.ENODATA),
        (PeerGoneError, BrokenPipeError, errno.EPIPE),
        (ProtocolError, ValueError, errno.EBADMSG),
        (AuthenticationError, PermissionError, errno.EACCES),
    ):
        assert issubclass(kind, expected)
        assert issubclass(kind, isthmus.IsthmusError)
        assert kind("text").errno == number


def test_a_timeout_in_the_middle_of_a_message_says_so_and_the_rest_follows() -> None:
    for form in ("unix", "shm"):
        mine, yours = channel.pair(form)
        with mine, yours:
            large = os.urandom(8 << 20)
            buffer = bytearray(large)
            with pytest.raises(TimedOut) as caught:
                mine.send(buffer, 0.01)
            assert caught.value.begun
            buffer[:] = bytes(len(buffer))
            thread, result = in_thread(lambda mine=mine: mine.send(b"next", PATIENCE))
            until_asleep(thread)
            assert yours.recv(PATIENCE) == large
            assert yours.recv(PATIENCE) == b"next"
            thread.join()
            assert result == [None]


def test_many_that_time_out_tell_how_many_have_gone() -> None:
    for form in ("unix", "shm", "tcp", "seqpacket"):
        mine, yours = channel.pair(form)
        with mine, yours:
            messages = [b"%05d" % number * 20 for number in range(200_000)]
            with pytest.raises(TimedOut) as caught:
                mine.send_many(messages, 0.05)
            done = caught.value.done + caught.value.begun
            mine_later, _ = in_thread(lambda mine=mine: mine.send(b"end", PATIENCE))
            got = []
            while (message := yours.recv(PATIENCE)) != b"end":
                got.append(message)
            mine_later.join()
            assert got == messages[:done]


@pytest.mark.parametrize("form", ["unix", "shm"])
def test_what_a_sender_leaves_in_the_middle_goes_before_what_others_wait_to_send(form: str) -> None:
    """As soon as one gives up, others that wait for their turn begin; the rest is before them."""
    mine, yours = channel.pair(form)
    with mine, yours:
        large = os.urandom(4 << 20)
        first, gave_up = in_thread(lambda: mine.send(large, 0.1))
        while not gave_up and not mine._writing.locked():
            time.sleep(0)
        others = [in_thread(lambda n=n: mine.send(b"%d" % n, PATIENCE)) for n in range(5)]
        first.join()
        assert isinstance(gave_up[0], TimedOut)
        assert gave_up[0].begun
        end, _ = in_thread(lambda: mine.send(b"end", PATIENCE))
        got = [yours.recv(PATIENCE) for _ in range(7)]
        end.join()
        # Through a ring, small ones may also go in between its pieces.
        assert form == "shm" or got[0] == large
        assert sorted(got) == sorted([large, b"end", *(b"%d" % n for n in range(5))])
        for thread, result in others:
            thread.join()
            assert result == [None]
