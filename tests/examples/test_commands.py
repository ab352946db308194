"""examples/channel/command_server.py and command.py"""

from __future__ import annotations

import contextlib
import signal
import socket

import pytest
from channels import CONNECTING, NAMED, PATIENCE
from example_programs import EVERYBODY, Program

from isthmus import channel

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
THERE_ARE = "error: there are: echo help list status stop sum"


def ask(client: Program, command: str, answer: str) -> str:
    client.enter(command + "\n")
    return client.until(answer)


@pytest.mark.parametrize("form", NAMED)
def test_commands_are_obeyed_or_refused_until_one_stops_the_server(form: str, place: str) -> None:
    with (
        Program("command_server.py", place) as server,
        Program("command.py", server.url()) as client,
    ):
        ask(client, "status", "1 connected, 0 commands obeyed")
        assert ask(client, "echo grüß dich", "dich") == "grüß dich"
        assert ask(client, "sum 1 2 3.5", "6.5") == "6.5"
        assert ask(client, "sum 1 x", "error").endswith("'x'")
        assert ask(client, "dance", "error") == THERE_ARE
        assert ask(client, "help", "echo") == "echo help list status stop sum"
        ask(client, "list", "pid" if form in ("shm", "unix", "seqpacket", "signal") else "")
        ask(client, "status", "1 connected, 5 commands obeyed")
        assert ask(client, "stop", "goodbye") == "goodbye"
        client.leave()
        assert client.ended()[0] == 1  # something was refused
        status, output = server.ended()
        assert (status, output.count("\n")) == (0, 1), output


@pytest.mark.parametrize("form", EVERYBODY)
def test_clients_are_served_at_the_same_time_also_when_one_is_killed(form: str, place: str) -> None:
    with (
        Program("command_server.py", place) as server,
        Program("command.py", url := server.url()) as ann,
        Program("command.py", url) as bob,
    ):
        everybody = 2 if form in CONNECTING else 1
        ask(bob, "echo bob", "bob")
        ask(ann, "status", f"{everybody} connected")
        # In the middle of a command: what it has begun is never ended.
        bob.stop()
        bob.enter("echo again\n")
        bob.kill()
        for number in range(20):
            ask(ann, f"echo {number}", str(number))
        with Program("command.py", url, "sum", 20, 22) as eve:
            assert eve.ended() == (0, "42\n")
        with Program("command.py", url, "dance") as eve:
            assert eve.ended() == (1, THERE_ARE + "\n")
        assert server.kill(signal.SIGTERM) == 0


@pytest.mark.parametrize("form", NAMED)
def test_garbage_is_answered_and_kills_nobody(form: str, place: str) -> None:
    with (
        Program("command_server.py", place) as server,
        channel.connect(url := server.url(), timeout=PATIENCE) as mallory,
    ):
        for garbage in (b"\xff\xfe\0\n", b"", b"\n\n \n", b"x" * min(mallory.largest, 100_000)):
            mallory.send(garbage, PATIENCE)
        mallory.send(b"\na sum\n", PATIENCE)
        heard = b""
        while b"=a ok 0\n" not in heard:
            heard += mallory.recv(PATIENCE)
        assert b"error there are: echo" in heard
        mallory.close()
        with Program("command.py", url, "echo", "well") as client:
            assert client.ended() == (0, "well\n")
        assert server.kill(signal.SIGTERM) == 0


@pytest.mark.parametrize("form", ["unix"])
def test_one_who_speaks_another_protocol_is_sent_away(form: str, place: str) -> None:
    with Program("command_server.py", place) as server:
        path = server.url().removeprefix("unix:")
        with socket.socket(socket.AF_UNIX) as browser:
            browser.connect(path)
            browser.sendall(b"GET / HTTP/1.1\r\n\r\n")
            browser.settimeout(PATIENCE)
            with contextlib.suppress(ConnectionResetError):
                assert browser.recv(1) == b""
        with Program("command.py", place, "status") as client:
            assert client.ended()[1].startswith("1 connected, 0 commands obeyed")
        assert server.kill(signal.SIGTERM) == 0


@pytest.mark.parametrize("form", ["unix"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_is_asked_to_end_leaves_nothing(number: int, form: str, place: str) -> None:
    with (
        Program("command_server.py", place) as server,
        Program("command.py", server.url()) as client,
    ):
        ask(client, "status", "1 connected")
        assert server.kill(number) == 0
        client.enter("status\n")
        status, output = client.ended()
        assert (status, output.splitlines()[-1][:9]) == (1, "command: ")


@pytest.mark.parametrize("form", ["unix"])
def test_nobody_there_and_no_answer_are_told_apart(form: str, place: str) -> None:
    with Program("command.py", place, "status", "--timeout", 0.01) as client:
        status, output = client.ended()
        assert status == 1
        assert output.startswith(f"command: nobody listens on {place}")
    with (
        channel.listen(place),
        Program("command.py", place, "status", "--timeout", 0.01) as client,
    ):
        assert client.ended() == (1, "command: no answer within 0.01 seconds\n")
