"""What every form does when one side dies, comes late, may not, or is there twice."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

import channels
import pytest
from channels import CONNECTING, FORMS, NAMED, PATIENCE, child, ended

from isthmus import AccessError, ArgumentError, ClosedError, InUseError, UnsupportedError, channel
from isthmus.channel import Channel, EndOfChannel, NotListeningError, PeerGoneError, TimedOut


def until_told(end: Channel) -> None:
    """Send until nobody receives any more; the system may take some before it knows."""
    for _ in range(100_000):
        end.send(b"x", PATIENCE)


@pytest.mark.parametrize("form", channels.NAMES)
@pytest.mark.parametrize("dies", ["listener", "client"])
def test_what_one_who_is_killed_has_sent_arrives_and_then_the_end(
    form: str, dies: str, tmp_path: Path
) -> None:
    with channels.ends(form, tmp_path) as (mine, yours):
        lives, other = (yours, mine) if dies == "listener" else (mine, yours)

        def work() -> None:
            lives.close()
            for message in (b"1", b"2", b"3"):
                other.send(message)
            os.kill(os.getpid(), signal.SIGKILL)

        pid = child(work)
        other.close()
        assert ended(pid) == -signal.SIGKILL
        assert [lives.recv(PATIENCE) for _ in range(3)] == [b"1", b"2", b"3"]
        if FORMS[form].notices_death:
            with pytest.raises(EndOfChannel):
                lives.recv(PATIENCE)
            with pytest.raises(PeerGoneError):
                until_told(lives)
        else:
            with pytest.raises(TimedOut):
                lives.recv(0.01)


@pytest.mark.parametrize("form", channels.TELLING)
def test_a_wait_ends_when_the_other_side_is_killed(form: str, tmp_path: Path) -> None:
    with channels.ends(form, tmp_path) as (mine, yours):

        def work() -> None:
            mine.close()
            yours.recv()

        pid = child(work)
        yours.close()
        thread, result = channels.in_thread(mine.recv)
        channels.until_asleep(thread)
        os.kill(pid, signal.SIGKILL)
        ended(pid)
        thread.join()
        assert isinstance(result[0], EndOfChannel)


@pytest.mark.parametrize("form", channels.TELLING)
def test_a_sender_that_waits_for_room_is_told_that_the_receiver_was_killed(
    form: str, tmp_path: Path
) -> None:
    with channels.ends(form, tmp_path) as (mine, yours):
        pid = child(lambda: (mine.close(), signal.pause()))
        yours.close()

        def fill() -> None:
            message = bytes(min(mine.largest, 50_000))
            while True:
                mine.send(message)

        thread, result = channels.in_thread(fill)
        channels.until_asleep(thread)
        os.kill(pid, signal.SIGKILL)
        ended(pid)
        thread.join()
        assert isinstance(result[0], PeerGoneError)


@pytest.mark.parametrize("form", [name for name in NAMED if name not in ("signal", "tcp")])
def test_a_place_is_taken_over_from_a_listener_that_was_killed(form: str, tmp_path: Path) -> None:
    with channels.place(form, tmp_path) as url:

        def work() -> None:
            listener = channel.listen(url)
            assert listener.url
            os.kill(os.getpid(), signal.SIGKILL)

        assert ended(child(work)) == -signal.SIGKILL
        with (
            channel.listen(url) as listener,
            channel.connect(url) as yours,
            listener.accept(PATIENCE) as mine,
        ):
            yours.send(b"here")
            assert mine.recv(PATIENCE) == b"here"


@pytest.mark.parametrize("form", [name for name in NAMED if name != "file"])
def test_a_place_where_somebody_listens_is_in_use(form: str, tmp_path: Path) -> None:
    with channels.place(form, tmp_path) as url, channel.listen(url) as listener:
        with pytest.raises(InUseError):
            channel.listen(listener.url)
        with channel.connect(listener.url) as yours, listener.accept(PATIENCE) as mine:
            mine.send(b"well")
            assert yours.recv(PATIENCE) == b"well"


@pytest.mark.parametrize("form", ["unix", "seqpacket", "shm", "tcp"])
def test_where_nobody_listens_is_said_at_once_or_when_the_time_is_up(
    form: str, tmp_path: Path
) -> None:
    with channels.place(form, tmp_path) as url:
        # A port that was free a moment ago.
        with channel.listen(url) as listener:
            where = listener.url
        for timeout in (0, 0.02):
            with pytest.raises(NotListeningError) as caught:
                channel.connect(where, timeout=timeout)
            assert isinstance(caught.value, ConnectionRefusedError)


@pytest.mark.parametrize("form", ["unix", "seqpacket", "shm"])
def test_who_connects_can_wait_for_somebody_to_listen(form: str, tmp_path: Path) -> None:
    with channels.place(form, tmp_path) as url:
        thread, result = channels.in_thread(lambda: channel.connect(url, timeout=PATIENCE))
        with channel.listen(url) as listener, listener.accept(PATIENCE) as mine:
            thread.join()
            (yours,) = result
            assert isinstance(yours, Channel)
            with yours:
                yours.send(b"hello")
                assert mine.recv(PATIENCE) == b"hello"


@pytest.mark.parametrize("form", ["fifo", "file", "mq", "sysv"])
def test_either_side_may_come_first(form: str, tmp_path: Path) -> None:
    with channels.place(form, tmp_path) as url, channel.connect(url) as yours:
        yours.send(b"early")
        start = {"start": "start"} if form == "file" else {}
        with channel.listen(url, **start) as listener, listener.accept(PATIENCE) as mine:
            assert mine.recv(PATIENCE) == b"early"
            mine.send(b"answer")
            assert yours.recv(PATIENCE) == b"answer"


@pytest.mark.parametrize("form", CONNECTING)
def test_everybody_who_connects_has_a_channel_of_its_own(form: str, tmp_path: Path) -> None:
    with channels.place(form, tmp_path) as url, channel.listen(url) as listener:
        clients = [channel.connect(listener.url) for _ in range(3)]
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
        servers = [listener.accept(PATIENCE) for _ in clients]
        for server in servers:
            server.send(b"you are " + server.recv(PATIENCE))
        for number, client in enumerate(clients):
            assert client.recv(PATIENCE) == b"you are %d" % number
        for each in (*clients, *servers):
            each.close()
        with pytest.raises(TimedOut):
            listener.accept(0)


@pytest.mark.parametrize("form", [name for name in NAMED if name not in CONNECTING])
def test_a_form_without_connections_has_one_channel_at_a_time(form: str, tmp_path: Path) -> None:
    with channels.place(form, tmp_path) as url, channel.listen(url) as listener:
        first = listener.accept(0)
        with pytest.raises(TimedOut):
            listener.accept(0.01)
        thread, result = channels.in_thread(lambda: listener.accept(PATIENCE))
        channels.until_asleep(thread)
        first.close()
        thread.join()
        (second,) = result
        assert isinstance(second, Channel)
        second.close()


@pytest.mark.parametrize("form", NAMED)
def test_closing_a_listener_ends_its_accept(form: str, tmp_path: Path) -> None:
    with channels.place(form, tmp_path) as url:
        listener = channel.listen(url)
        channels_of = []
        if form not in CONNECTING:
            channels_of.append(listener.accept(0))
        thread, result = channels.in_thread(listener.accept)
        channels.until_asleep(thread)
        listener.close()
        thread.join()
        assert isinstance(result[0], ClosedError)
        with pytest.raises(ClosedError):
            listener.accept(0)
        assert list(listener) == []
        for each in channels_of:
            each.close()


# Becomes another user, who may enter no directory here, and tries to connect.
@pytest.mark.slow
@pytest.mark.parametrize("form", [name for name in NAMED if name != "tcp"])
def test_who_has_no_right_is_told_so(form: str, tmp_path: Path, unprivileged: int) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    with channels.place(form, tmp_path) as url, channel.listen(url) as listener:

        def work() -> None:
            os.setgroups([])
            os.setgid(unprivileged)
            os.setuid(unprivileged)
            with pytest.raises(AccessError) as caught:
                channel.connect(listener.url).send(b"x")
            assert isinstance(caught.value, PermissionError)

        assert ended(child(work)) == 0


@pytest.mark.parametrize(
    "url",
    [
        "", "unix", "nothing:here", "unix:", "tcp:host", "tcp:host:x", "tcp:::1:80", "tcp:h:99999",
        "shm:", "unix:a\0b", "fifo:", "file:", "mq:", "sysv:", "signal:x", "unix:" + 200 * "x",
        "tcp:localhost:0?limit=", "tcp:localhost:0?limit=1&limit=2", "tcp:localhost:0?color=red",
        "tcp:localhost:0?keepalive=never", "unix:x?mode=9", "unix:x?limit=-1", "shm:" + 300 * "x",
    ],
)  # fmt: skip
def test_a_url_that_says_nothing_sensible_is_refused(url: str) -> None:
    for use in (channel.connect, channel.listen):
        with pytest.raises(ArgumentError):
            use(url)


def test_an_option_that_a_form_has_not_is_refused_and_the_others_named() -> None:
    with pytest.raises(ArgumentError, match="backlog, key, limit, mode"):
        channel.listen("unix:@nobody", capacity=1)
    with pytest.raises(ArgumentError, match="give it once"):
        channel.listen("unix:@nobody?limit=5", limit=5)
    with pytest.raises(UnsupportedError):
        channel.listen("pipe:")
    with pytest.raises(TypeError):
        channel.connect(5)  # type: ignore[arg-type]


def test_every_form_tells_what_it_can_do() -> None:
    assert tuple(form.name for form in channel.forms()) == channels.NAMES
    for form in channel.forms():
        assert form.reach in ("host", "network")
        assert form.largest > 0
        assert form.url.startswith(f"{form.name}:")
        assert all((form.title, form.joins, form.keeps, form.order, form.permissions))


@pytest.mark.parametrize("form", [name for name in channels.NAMES if FORMS[name].connections])
def test_a_copy_that_another_process_closes_takes_nothing_away(form: str, tmp_path: Path) -> None:
    """As a server does that forks a process for each who connects."""
    with channels.ends(form, tmp_path) as (mine, yours):
        yours.send(b"request")
        assert ended(child(mine.close)) == 0
        assert mine.recv(PATIENCE) == b"request"
        yours.send(b"another")
        pid = child(lambda: mine.send(mine.recv(PATIENCE)))
        mine.close()
        assert yours.recv(PATIENCE) == b"another"
        assert ended(pid) == 0


@pytest.mark.parametrize("form", ["pipe", "fifo", "unix", "tcp"])
def test_a_forked_child_does_not_keep_a_descriptor_readable(form: str, tmp_path: Path) -> None:
    with channels.ends(form, tmp_path) as (mine, yours):
        yours.send_many([b"1", b"2"])
        assert mine.recv(PATIENCE) == b"1"
        # Behind which the second message was read already.
        readable = select.poll()
        readable.register(mine.fileno(), select.POLLIN)
        rest, end = os.pipe()
        there, here = os.pipe()

        def stay() -> None:
            os.close(end)
            os.write(here, b"x")
            os.read(rest, 1)
            assert readable.poll(0)
            assert mine.recv(0) == b"2"
            with pytest.raises(TimedOut):
                mine.recv(0)
            assert not readable.poll(0)

        pid = child(stay)
        os.read(there, 1)
        assert mine.recv(0) == b"2"
        with pytest.raises(TimedOut):
            mine.recv(0)
        assert not readable.poll(0)
        os.close(end)
        assert ended(pid) == 0
        for each in (rest, there, here):
            os.close(each)
