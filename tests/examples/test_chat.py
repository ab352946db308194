"""examples/channel/chat.py"""

from __future__ import annotations

import contextlib
import os
import pty

import pytest
from channels import CONNECTING, NAMED, PATIENCE
from example_programs import EVERYBODY, NOTICING, PLACED, TOLD, Program, tidy

from isthmus import channel

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def listening(url: str) -> Program:
    return Program("chat.py", "--listen", url, "--name", "ann")


def joining(url: str, name: str = "bob", terminal: int | None = None) -> Program:
    return Program("chat.py", url, "--name", name, terminal=terminal)


@pytest.mark.parametrize("form", NAMED)
def test_lines_go_both_ways_until_one_of_them_leaves(form: str, place: str) -> None:
    with listening(place) as ann, joining(ann.url()) as bob:
        ann.until("* bob has joined")
        long = "long " * 200
        bob.enter(f"grüß dich\n{long}\n")
        assert ann.until("dich") == "bob: grüß dich"
        assert ann.until("long") == f"bob: {long}"
        ann.enter("and you\n")
        assert bob.until("you") == "ann: and you"
        bob.leave()
        assert bob.ended()[0] == 0
        ann.until("* bob has left")
        if form in TOLD:
            ann.until("* the other side has gone")
        else:
            ann.leave()
        assert ann.ended()[0] == 0


@pytest.mark.parametrize("form", PLACED)
def test_who_connects_may_come_first(form: str, place: str) -> None:
    with joining(place) as bob:
        bob.until(place)  # "waiting for somebody …", or "connected to …"
        with listening(place) as ann:
            ann.until("* bob has joined" if form in CONNECTING else "listening")
            ann.enter("hello\n")
            assert bob.until("hello") == "ann: hello"
            ann.leave()
            assert ann.ended()[0] == 0
        if form in ("file", "mq"):  # whose descriptors do not tell that nobody is there
            bob.leave()
        else:
            bob.until("* the other side has gone")
        assert bob.ended()[0] == 0


@pytest.mark.parametrize("form", EVERYBODY)
def test_three_terminals_hear_each_other(form: str, place: str) -> None:
    with listening(place) as ann:
        url = ann.url()
        with joining(url) as bob, joining(url, "eve") as eve:
            eve.until("connected")
            bob.until("connected")
            ann.until("has joined")
            ann.until("has joined")
            eve.enter("it is me\n")
            for other in (ann, bob):
                assert other.until("me") == "eve: it is me"
            eve.kill()
            ann.enter("anybody there\n")
            bob.until("ann: anybody there")
            ann.leave()
            assert ann.ended()[0] == 0
            bob.until("* ann has left")


@pytest.mark.parametrize("form", TOLD)
def test_it_says_that_the_one_who_has_connected_was_killed(form: str, place: str) -> None:
    with listening(place) as ann, joining(ann.url()) as bob:
        ann.until("* bob has joined")
        bob.kill()
        ann.until("* the other side has gone")
        assert ann.ended()[0] == 0


@pytest.mark.parametrize("form", NOTICING)
def test_it_says_that_the_one_who_listens_was_killed(form: str, place: str) -> None:
    with listening(place) as ann, joining(url := ann.url()) as bob:
        ann.until("* bob has joined")
        ann.kill()
        bob.until("* the other side has gone")
        assert bob.ended()[0] == 0
    tidy(url)


@pytest.mark.parametrize("form", ["unix"])
@pytest.mark.parametrize("key", [b"\x04", b"\x03"], ids=["Ctrl-D", "Ctrl-C"])
def test_a_key_of_a_terminal_ends_it(key: bytes, form: str, place: str) -> None:
    keyboard, terminal = pty.openpty()
    try:
        with listening(place) as ann, joining(ann.url(), terminal=terminal) as bob:
            ann.until("* bob has joined")
            os.write(keyboard, b"one\ntwo\n")
            assert ann.until("two") == "bob: two"
            os.write(keyboard, key)
            ann.until("* bob has left")
            assert bob.ended()[0] == 0
            assert ann.ended()[0] == 0
    finally:
        os.close(keyboard)
        os.close(terminal)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["unix"])
def test_nobody_waits_for_one_who_does_not_read(form: str, place: str) -> None:
    with (
        channel.listen(place) as listener,
        joining(place) as bob,
        listener.accept(PATIENCE) as ann,
    ):
        assert ann.recv(PATIENCE) == b"* bob has joined\n"
        with contextlib.suppress(BrokenPipeError):
            while True:
                bob.enter("x" * 60_000 + "\n")
        bob.until("* the other side does not read what is said")
        assert bob.ended()[0] == 0


@pytest.mark.parametrize("form", ["unix"])
def test_what_would_move_the_cursor_is_not_shown(form: str, place: str) -> None:
    with listening(place) as ann, channel.connect(ann.url()) as mallory:
        mallory.send(b"\x1b[2J\x07 \xff nice\n")
        assert ann.until("nice") == "?[2J? � nice"
        mallory.close()
        assert ann.ended()[0] == 0


@pytest.mark.parametrize("form", ["unix"])
def test_what_cannot_be_done_is_said(form: str, place: str) -> None:
    with channel.listen(place), listening(place) as ann:
        status, output = ann.ended()
        assert status == 1
        assert output.startswith(f"chat: somebody listens on {place} already")
    with joining("carrier-pigeon:coop") as bob:
        status, output = bob.ended()
        assert status == 1
        assert "there is no form 'carrier-pigeon'" in output
