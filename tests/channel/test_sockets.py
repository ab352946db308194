"""What is special to sockets: files, hosts, networks that fall silent."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from channels import PATIENCE, child, ended

import isthmus
from isthmus import channel
from isthmus.channel import EndOfChannel, NotListeningError, TimedOut

# ---- Names -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["unix", "seqpacket"])
@pytest.mark.parametrize("mode", [0o600, 0o666, 0o640])
def test_the_mode_of_a_socket_is_exact(form: str, place: str, mode: int) -> None:
    before = os.umask(0o077)
    try:
        with channel.listen(place, mode=mode) as listener:
            path = listener.url.split(":", 1)[1]
            assert stat.S_IMODE(os.stat(path).st_mode) == mode
    finally:
        os.umask(before)


def _filled(listener: socket.socket) -> list[socket.socket]:
    """As many as may have connected to it before they are accepted, and one more."""
    made = []
    for _ in range(2):
        made.append(socket.socket(listener.family, listener.type))
        made[-1].setblocking(False)
        made[-1].connect_ex(listener.getsockname())
    return made


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
def test_who_connects_waits_no_longer_for_room_than_it_says(family: int) -> None:
    with socket.socket(family) as full:
        full.bind("\0test-" + os.urandom(8).hex() if family == socket.AF_UNIX else ("127.0.0.1", 0))
        full.listen(0)
        name = full.getsockname()
        url = (
            "unix:@" + name[1:].decode() if family == socket.AF_UNIX else f"tcp:{name[0]}:{name[1]}"
        )
        waiting, begin = _filled(full), time.monotonic()
        with pytest.raises(channel.NotListeningError):
            channel.connect(url, timeout=0.05)
        assert time.monotonic() - begin < 0.8
        for each in waiting:
            each.close()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(isthmus.ExistsError):
        channel.listen(f"unix:{path}")
    assert path.read_text() == "precious"
    with pytest.raises(isthmus.NotFoundError):
        channel.listen(f"unix:{tmp_path}/nowhere/socket")


def test_a_listener_removes_only_its_own_file(tmp_path: Path) -> None:
    url = f"unix:{tmp_path}/socket"
    first = channel.listen(url)
    os.unlink(tmp_path / "socket")
    with channel.listen(url) as second:
        first.close()
        with channel.connect(url) as yours, second.accept(PATIENCE) as mine:
            mine.send(b"x")
            assert yours.recv(PATIENCE) == b"x"
    assert os.listdir(tmp_path) == []


def test_a_child_that_ends_leaves_the_listener_of_its_parent_alone(tmp_path: Path) -> None:
    url = f"unix:{tmp_path}/socket"
    with channel.listen(url) as listener:
        assert ended(child(listener.close)) == 0
        with channel.connect(url):
            listener.accept(PATIENCE).close()


def test_a_socket_of_another_type_is_named_as_the_reason(tmp_path: Path) -> None:
    with (
        channel.listen(f"unix:{tmp_path}/socket"),
        pytest.raises(isthmus.ArgumentError, match="another type"),
    ):
        channel.connect(f"seqpacket:{tmp_path}/socket")


def test_names_with_odd_characters_are_found_by_their_url(tmp_path: Path) -> None:
    path = f"{tmp_path}/a b?c%d é"
    quoted = path.replace("%", "%25").replace("?", "%3F")
    with channel.listen(f"unix:{quoted}") as listener:
        assert os.path.exists(path)
        with channel.connect(listener.url) as yours, listener.accept(PATIENCE) as mine:
            assert yours.url == mine.url == listener.url
    name = f"test/{os.getpid()}/{os.urandom(4).hex()}"
    with channel.listen(f"shm:{name}") as listener, channel.connect(f"shm:{name}"):
        listener.accept(PATIENCE).close()


# ---- TCP -------------------------------------------------------------------------------


def test_what_was_sent_arrives_also_when_the_sender_had_not_read_all_that_came() -> None:
    mine, yours = channel.pair("tcp")
    with mine, yours:
        yours.send(b"never read")
        sent = 0
        with pytest.raises(TimedOut) as caught:
            while True:  # more than has been transmitted
                mine.send(bytes(50_000), 0)
                sent += 1
        mine.close()
        assert caught.value.begun
        for _ in range(sent):
            assert yours.recv(PATIENCE) == bytes(50_000)
        with pytest.raises(EndOfChannel):
            yours.recv(PATIENCE)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "*", ""])
def test_tcp_listens_on_ipv4_ipv6_names_and_all(host: str) -> None:
    if host == "[::1]" and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with channel.listen(f"tcp://{host}:0") as listener:
        port = int(listener.url.rsplit(":", 1)[1])
        assert port
        to = host if host not in ("*", "") else "127.0.0.1"
        with channel.connect(f"tcp:{to}:{port}") as yours, listener.accept(PATIENCE) as mine:
            yours.send(b"x")
            assert mine.recv(PATIENCE) == b"x"
            assert mine.peer is not None
            assert re.fullmatch(r".*:\d+", mine.peer)


def test_a_host_that_does_not_answer_costs_no_more_than_the_timeout() -> None:
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as full,
        # All that it has room for: the system does not answer those who come now.
        socket.create_connection(full.getsockname()),
    ):
        begin = time.monotonic()
        with pytest.raises(NotListeningError):
            channel.connect(f"tcp:127.0.0.1:{full.getsockname()[1]}", timeout=0.05)
        assert time.monotonic() - begin < 5


def test_a_host_that_does_not_exist_is_named() -> None:
    for use in (channel.connect, channel.listen):
        with pytest.raises(isthmus.NotFoundError, match=r"nowhere\.invalid"):
            use("tcp:nowhere.invalid:4000")


# Both ends in a network of their own, whose only link then goes down: nothing is closed, and
# nothing arrives any more.
SILENT = """
import socket, subprocess, sys
from isthmus import channel
from isthmus.channel import EndOfChannel, TimedOut

def link(state):
    subprocess.run(["ip", "link", "set", "lo", state], check=True)

link("up")
with channel.listen("tcp:127.0.0.1:0", keepalive=1) as listener:
    yours = channel.connect(listener.url, keepalive=1)
    mine = listener.accept(5)
yours.send(b"x")
assert mine.recv(5) == b"x"
link("down")
try:
    if sys.argv[1] == "idle":
        mine.recv(20)
    elif sys.argv[1] == "sent":
        mine.send(b"y")
        mine.recv(20)
    else:
        while True:
            mine.send(bytes(100_000), 20)
except (channel.EndOfChannel, channel.PeerGoneError) as error:
    print(type(error).__name__)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "told"),
    [("idle", "EndOfChannel"), ("sent", "EndOfChannel"), ("sending", "PeerGoneError")],
)
def test_a_host_that_falls_silent_is_noticed(case: str, told: str) -> None:
    command = ["unshare", "--net", "--map-root-user"]
    for needed in ([*command, "true"], [*command, "ip", "link", "set", "lo", "up"]):
        try:
            may = subprocess.run(needed, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            may = False
        if not may:
            pytest.skip("needs unshare, ip, and the right to make a network")
    done = subprocess.run(
        [*command, sys.executable, "-P", "-c", SILENT, case],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == told, done.stderr


# ---- What is no place ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("tcp:localhost:" + "9" * 5000, isthmus.ArgumentError),
        ("tcp:two..dots:1", isthmus.NotFoundError),
        ("tcp:" + "long" * 20 + ":1", isthmus.NotFoundError),
        ("signal:" + "9" * 5000, isthmus.ArgumentError),
        ("shm:unused?spin=nan", isthmus.ArgumentError),
        ("shm:unused?spin=-1", isthmus.ArgumentError),
        *(
            (f"{form}:/nowhere/\ud800", isthmus.ArgumentError)
            for form in ("unix", "seqpacket", "fifo", "file", "mq", "sysv")
        ),
    ],
)
def test_what_is_no_place_is_refused_at_once_by_an_error_of_this_library(
    url: str, kind: type[Exception]
) -> None:
    for call in (channel.listen, channel.connect):
        with pytest.raises(kind):
            call(url)
