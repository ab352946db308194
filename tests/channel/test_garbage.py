"""What is no message, or too much of one, from the other side."""

from __future__ import annotations

import os
import select
import socket
import struct
from pathlib import Path

import channels
import pytest
from channels import PATIENCE, raw

from isthmus import channel
from isthmus.channel import (
    EndOfChannel,
    ProtocolError,
    TimedOut,
)

STREAMS = ("unix", "tcp")


@pytest.mark.parametrize("form", ["shm"])
def test_who_sends_no_rings_makes_no_call_wait_longer_than_it_may(place: str) -> None:
    with channel.listen(place) as listener, socket.socket(socket.AF_UNIX) as sock:
        sock.connect("/dev/shm/isthmus-channel." + place.partition(":")[2])
        with listener.accept(PATIENCE) as mine:
            for call in (
                lambda: mine.send(b"x", 0.01),
                lambda: mine.send_many([b"x"], 0.01),
                lambda: mine.recv(0.01),
            ):
                with pytest.raises(TimedOut):
                    call()


@pytest.mark.parametrize("form", STREAMS)
@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff\xff\xff\xfe",
        b"\xff\xff\xff\xff" + b"\xff" * 8,
        struct.pack("!i", (256 << 20) + 1),
    ],
)
def test_what_is_no_message_closes_the_channel_and_says_so(
    form: str, place: str, garbage: bytes
) -> None:
    with channel.listen(place) as listener, raw(listener.url) as sock:
        mine = listener.accept(PATIENCE)
        sock.sendall(struct.pack("!i", 2) + b"ok" + garbage)
        assert mine.recv(PATIENCE) == b"ok"
        with pytest.raises(ProtocolError, match="no channel"):
            mine.recv(PATIENCE)
        assert mine.closed


@pytest.mark.parametrize("form", STREAMS)
def test_a_message_beyond_the_limit_of_the_receiver_is_refused_there(form: str, place: str) -> None:
    with (
        channel.listen(place, limit="1 KiB") as listener,
        channel.connect(f"{listener.url}?limit=2 KiB") as yours,
    ):
        mine = listener.accept(PATIENCE)
        assert (mine.largest, yours.largest) == (1024, 2048)
        yours.send(bytes(1024))
        assert mine.recv(PATIENCE) == bytes(1024)
        yours.send(bytes(1025))
        with pytest.raises(ProtocolError, match="1025, more than the limit of 1024"):
            mine.recv(PATIENCE)
        with pytest.raises(EndOfChannel):
            yours.recv(PATIENCE)


@pytest.mark.parametrize("form", STREAMS)
def test_half_a_message_is_dropped_at_the_end(form: str, place: str) -> None:
    with (
        channel.listen(place) as listener,
        raw(listener.url) as sock,
        listener.accept(PATIENCE) as mine,
    ):
        sock.sendall(struct.pack("!i", 4) + b"abcd" + struct.pack("!i", 100_000) + b"xyz")
        sock.close()
        assert mine.recv(PATIENCE) == b"abcd"
        for _ in range(2):
            with pytest.raises(EndOfChannel):
                mine.recv(PATIENCE)


@pytest.mark.parametrize("form", STREAMS)
def test_a_message_that_comes_byte_by_byte_arrives_whole(form: str, place: str) -> None:
    with (
        channel.listen(place) as listener,
        raw(listener.url) as sock,
        listener.accept(PATIENCE) as mine,
    ):
        descriptor = mine.fileno()
        for byte in struct.pack("!i", 3) + b"abc":
            with pytest.raises(TimedOut):
                mine.recv(0)
            sock.sendall(bytes([byte]))
            assert select.select([descriptor], [], [], PATIENCE)[0]
        assert mine.recv(PATIENCE) == b"abc"


def test_packets_with_descriptors_in_them_leave_none_behind(tmp_path: Path) -> None:
    with (
        channels.place("seqpacket", tmp_path) as url,
        channel.listen(url) as listener,
        raw(url) as sock,
        listener.accept(PATIENCE) as mine,
    ):
        before = len(os.listdir("/proc/self/fd"))
        socket.send_fds(sock, [b"x"], [0, 1, 2])
        assert mine.recv(PATIENCE) == b"x"
        assert len(os.listdir("/proc/self/fd")) == before


def test_who_connects_to_shared_memory_and_sends_no_rings_is_no_channel(tmp_path: Path) -> None:
    with channels.place("shm", tmp_path) as url, channel.listen(url) as listener:
        name = url.removeprefix("shm:")
        path = f"unix:/dev/shm/isthmus-channel.{name}"
        with raw(path) as silent, listener.accept(PATIENCE) as mine:
            with pytest.raises(TimedOut):
                mine.recv(0.01)
            with pytest.raises(TimedOut):
                mine.send(b"x", 0.01)
            with pytest.raises(TimedOut):
                mine.send_many([b"x"], 0.01)
            assert not select.select([mine.fileno()], [], [], 0)[0]
            silent.close()
            with pytest.raises(EndOfChannel):
                mine.recv(PATIENCE)
        for descriptors in ([], [0], [0, 1], [0, 1, 2]):
            before = len(os.listdir("/proc/self/fd"))
            with raw(path) as wrong, listener.accept(PATIENCE) as mine:
                socket.send_fds(wrong, [b"x"], descriptors)
                with pytest.raises(ProtocolError):
                    mine.recv(PATIENCE)
                assert mine.closed
            assert len(os.listdir("/proc/self/fd")) == before


def test_a_ring_that_the_other_side_has_shut_down_is_damaged() -> None:
    for timeout in (0, PATIENCE):
        mine, yours = channel.pair("shm")
        with mine, yours:
            yours._rings[1].shutdown()  # type: ignore[attr-defined]
            with pytest.raises(ProtocolError):
                mine.recv(timeout)
            assert mine.closed


def test_what_in_a_ring_is_no_message_closes_the_channel() -> None:
    for wrong in ("text", -1, 1 << 40, {"a": 1}):
        mine, yours = channel.pair("shm")
        with mine, yours:
            yours._rings[1].put(wrong)  # type: ignore[attr-defined]
            with pytest.raises(ProtocolError):
                mine.recv(PATIENCE)
            assert mine.closed
    mine, yours = channel.pair("shm")
    with mine, yours:
        ring = yours._rings[1]  # type: ignore[attr-defined]
        ring.put(10)
        ring.put(b"more than ten bytes")
        with pytest.raises(ProtocolError):
            mine.recv(PATIENCE)
