"""Keys: only who has the same one becomes a channel."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from multiprocessing import connection as standard

import pytest
from channels import PATIENCE, child, ended, in_thread, raw

from isthmus import channel
from isthmus.channel import (
    AuthenticationError,
    NotListeningError,
    TimedOut,
)

KEYED = ("unix", "seqpacket", "tcp")
STREAMS = ("unix", "tcp")


@pytest.mark.parametrize("form", KEYED)
def test_both_sides_must_have_the_same_key(form: str, place: str) -> None:
    with channel.listen(place, key=b"secret") as listener:
        thread, result = in_thread(lambda: listener.accept(PATIENCE))
        with pytest.raises(AuthenticationError) as caught:
            channel.connect(listener.url, key=b"wrong")
        assert isinstance(caught.value, PermissionError)
        with channel.connect(listener.url, key="secret") as yours:
            thread.join()
            (mine,) = result
            assert isinstance(mine, channel.Channel)
            with mine:
                yours.send(b"in")
                assert mine.recv(PATIENCE) == b"in"


@pytest.mark.parametrize("form", KEYED)
def test_one_who_says_nothing_keeps_nobody_else_from_getting_in(form: str, place: str) -> None:
    with channel.listen(place, key=b"secret") as listener:
        silent = [raw(listener.url) for _ in range(3)]
        thread, result = in_thread(lambda: listener.accept(PATIENCE))
        with channel.connect(listener.url, key=b"secret"):
            thread.join()
            (mine,) = result
            assert isinstance(mine, channel.Channel)
            mine.close()
        for sock in silent:
            sock.close()


@pytest.mark.parametrize("form", STREAMS)
def test_garbage_instead_of_the_answer_is_no_key(form: str, place: str) -> None:
    with channel.listen(place, key=b"secret") as listener, raw(listener.url) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n" * 50)
        with pytest.raises(TimedOut):
            listener.accept(0.05)
        # It was sent away.
        sock.settimeout(PATIENCE)
        with pytest.raises(ConnectionResetError):
            while sock.recv(1000):
                pass
            raise ConnectionResetError
        with pytest.raises(TimedOut):
            listener.accept(0)


def test_a_child_forked_while_somebody_is_let_in_can_close_the_listener() -> None:
    def close() -> None:
        signal.alarm(10)
        listener.close()

    with channel.listen("tcp:127.0.0.1:0", key=b"secret") as listener:
        with listener._doorman._lock:  # type: ignore[attr-defined]
            pid = child(close)
        assert ended(pid) == 0


@pytest.mark.parametrize("form", KEYED)
def test_a_listener_that_goes_while_it_asks_is_not_one_with_another_key(
    form: str, place: str
) -> None:
    with channel.listen(place) as listener:
        url = listener.url

        def leave() -> None:
            listener.accept(PATIENCE).close()

        thread, result = in_thread(leave)
        with pytest.raises(NotListeningError, match="has gone"):
            channel.connect(url, key=b"secret")
        thread.join()
        assert result == [None]


def test_a_listener_that_is_closed_sends_away_those_who_are_being_asked() -> None:
    url = f"unix:@test-{os.getpid()}-{os.urandom(6).hex()}"
    before = threading.active_count()
    with channel.listen(url, key=b"secret") as listener:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect("\0" + url.removeprefix("unix:@"))
        with pytest.raises(TimedOut):
            listener.accept(0.01)
    with sock:
        sock.settimeout(PATIENCE)
        while sock.recv(1000):
            pass
    while threading.active_count() > before:
        select.select([], [], [], 0.001)


@pytest.mark.parametrize("form", STREAMS)
def test_a_connection_of_the_standard_library_may_be_at_the_other_end(
    form: str, place: str
) -> None:
    """With and without a key, in both roles."""
    with channel.listen(place, key=b"secret") as listener:
        where = listener.url.split(":", 1)[1]
        address = where if form == "unix" else (where.split(":")[0], int(where.split(":")[1]))
        thread, result = in_thread(lambda: listener.accept(PATIENCE))
        with standard.Client(address, authkey=b"secret") as client:  # type: ignore[arg-type]
            thread.join()
            (mine,) = result
            assert isinstance(mine, channel.Channel)
            with mine:
                for message in (b"", b"x" * 100, bytes(100_000)):
                    sender, _ = in_thread(lambda message=message: client.send_bytes(message))
                    assert mine.recv(PATIENCE) == message
                    sender.join()
                    sender, _ = in_thread(lambda message=message: mine.send(message))
                    assert client.recv_bytes() == message
                    sender.join()
    family = "AF_UNIX" if form == "unix" else "AF_INET"
    kept = None if form == "unix" else ("127.0.0.1", 0)
    with standard.Listener(kept, family, authkey=b"other") as there:
        thread, result = in_thread(there.accept)
        url = f"{form}:{there.address}"
        if form == "tcp":
            url = f"tcp:127.0.0.1:{there.address[1]}"
        with channel.connect(url, key=b"other") as yours:
            thread.join()
            yours.send(b"hello")
            assert result[0].recv_bytes() == b"hello"  # type: ignore[attr-defined]
            result[0].close()  # type: ignore[attr-defined]


def test_who_is_not_asked_for_the_key_waits_no_longer_than_it_says() -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        name = "test-" + os.urandom(8).hex()
        silent.bind("\0" + name)
        silent.listen()
        begin = time.monotonic()
        with pytest.raises(AuthenticationError):
            channel.connect(f"unix:@{name}", timeout=0.05, key="secret")
        assert time.monotonic() - begin < 4
