"""isthmus.posix: message queues."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import pytest
from bare_calls import Background, Stop, child, is_in, presses_ctrl_c, signals, stop, until

from isthmus import posix
from isthmus.posix import (
    O_CREAT,
    O_EXCL,
    O_NONBLOCK,
    O_RDONLY,
    O_RDWR,
    O_WRONLY,
    SIGEV_NONE,
    SIGEV_SIGNAL,
    SIGEV_THREAD,
    MqAttr,
    SigEvent,
)

LATER = 2**33
RECEIVES = {
    "mq_receive": posix.mq_receive,
    "mq_timedreceive": lambda mqd: posix.mq_timedreceive(mqd, LATER),
}
SENDS = {
    "mq_send": lambda mqd: posix.mq_send(mqd, b"more", 1),
    "mq_timedsend": lambda mqd: posix.mq_timedsend(mqd, b"more", 1, LATER),
}
every_receive = pytest.mark.parametrize("receive", RECEIVES.values(), ids=RECEIVES.keys())
every_send = pytest.mark.parametrize("send", SENDS.values(), ids=SENDS.keys())
USES: list[Any] = [
    *RECEIVES.values(),
    *SENDS.values(),
    posix.mq_getattr,
    lambda mqd: posix.mq_setattr(mqd, MqAttr()),
    posix.mq_notify,
    lambda mqd: posix.mq_notify(mqd, SigEvent(SIGEV_NONE)),
    lambda mqd: posix.mq_notify(mqd, SigEvent(SIGEV_THREAD, function=print)),
    posix.mq_close,
]


def opened(name: str, maxmsg: int = 4, msgsize: int = 32, flags: int = 0) -> posix.MessageQueue:
    attr = MqAttr(maxmsg, msgsize)
    return posix.mq_open(name, O_CREAT | O_EXCL | O_RDWR | flags, 0o600, attr)


def filled(name: str, flags: int = 0) -> posix.MessageQueue:
    mqd = opened(name, 1, flags=flags)
    posix.mq_send(mqd, b"first")
    return mqd


def test_messages_come_by_priority_then_in_order(queue_name: str) -> None:
    mqd = opened(queue_name)
    for message, prio in ((b"a", 0), (b"b", 2), (b"c", 2), (b"", 1)):
        posix.mq_send(mqd, message, prio)
    received = [posix.mq_receive(mqd) for _ in range(4)]
    assert received == [(b"b", 2), (b"c", 2), (b"", 1), (b"a", 0)]


@pytest.mark.parametrize("size", [1, 8192])
def test_a_message_may_be_as_long_as_the_queue_says(queue_name: str, size: int) -> None:
    mqd = opened(queue_name, 1, size)
    posix.mq_send(mqd, memoryview(bytes(range(256)) * 32)[:size])
    assert posix.mq_receive(mqd) == ((bytes(range(256)) * 32)[:size], 0)


def test_a_queue_of_longer_messages_than_usual() -> None:
    """In an IPC namespace of its own, where the limit is raised."""
    program = """
        from isthmus import posix
        attr = posix.MqAttr(1, 20000)
        mqd = posix.mq_open("/long", posix.O_CREAT | posix.O_RDWR, 0o600, attr)
        posix.mq_send(mqd, 20000 * b"x")
        assert posix.mq_receive(mqd) == (20000 * b"x", 0)
        posix.mq_send(mqd, b"short")
        assert posix.mq_receive(mqd) == (b"short", 0)
        print("received")
    """
    raise_limit = 'echo 20000 > /proc/sys/fs/mqueue/msgsize_max && exec "$@"'
    apart = ["unshare", "--ipc", "sh", "-c", raise_limit, "sh"]
    probe = subprocess.run([*apart, "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"no IPC namespace to be had: {probe.stderr.strip()}")
    command = [*apart, sys.executable, "-P", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("received\n", "")


def test_a_longer_message_is_an_error_about_the_queue(queue_name: str) -> None:
    mqd = opened(queue_name)
    with pytest.raises(OSError) as caught:
        posix.mq_send(mqd, bytes(33))
    error = caught.value
    expected = (errno.EMSGSIZE, os.strerror(errno.EMSGSIZE), queue_name)
    assert (error.errno, error.strerror, error.filename) == expected


def test_a_queue_without_attributes_has_the_systems(queue_name: str) -> None:
    attr = posix.mq_getattr(posix.mq_open(queue_name, O_CREAT | O_RDWR))
    assert attr.maxmsg > 0
    assert attr.msgsize > 0
    assert (attr.flags, attr.curmsgs) == (0, 0)


def test_attributes_tell_what_is_in_the_queue(queue_name: str) -> None:
    mqd = opened(queue_name, 4, 32)
    posix.mq_send(mqd, b"x")
    assert posix.mq_getattr(mqd) == MqAttr(maxmsg=4, msgsize=32, flags=0, curmsgs=1)


def test_setting_attributes_sets_the_flags_and_gives_those_before(queue_name: str) -> None:
    mqd = opened(queue_name, 4, 32)
    assert posix.mq_setattr(mqd, MqAttr(flags=O_NONBLOCK)).flags == 0
    with pytest.raises(BlockingIOError):
        posix.mq_receive(mqd)
    assert posix.mq_setattr(mqd, MqAttr(99, 99)) == MqAttr(4, 32, O_NONBLOCK, 0)
    assert posix.mq_getattr(mqd) == MqAttr(4, 32)
    with pytest.raises(OSError) as caught:
        posix.mq_setattr(mqd, MqAttr(flags=1))
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, queue_name)


def test_exclusive_creation_reports_one_that_exists(queue_name: str) -> None:
    opened(queue_name)
    with pytest.raises(FileExistsError) as caught:
        opened(queue_name)
    assert caught.value.filename == queue_name


@pytest.mark.parametrize("call", [lambda name: posix.mq_open(name, O_RDWR), posix.mq_unlink])
def test_one_that_does_not_exist_is_reported(queue_name: str, call: Any) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        call(queue_name)
    assert caught.value.filename == queue_name


def test_it_outlives_its_name(queue_name: str) -> None:
    mqd = opened(queue_name)
    posix.mq_unlink(queue_name)
    posix.mq_send(mqd, b"x")
    assert posix.mq_receive(mqd) == (b"x", 0)


@pytest.mark.usefixtures("queue_name")
@pytest.mark.parametrize("name", ["", "/", "noslash", "/a/b", "/" + 300 * "x"])
def test_a_name_that_the_system_does_not_take_is_an_error_about_it(name: str) -> None:
    with pytest.raises(OSError) as caught:
        posix.mq_open(name, O_CREAT | O_RDWR)
    assert caught.value.filename == name


@pytest.mark.parametrize("call", [lambda name: posix.mq_open(name, 0), posix.mq_unlink])
def test_a_nul_in_a_name_is_refused(call: Any) -> None:
    with pytest.raises(ValueError, match="NUL"):
        call("/a\0b")


@pytest.mark.parametrize(
    "attr", [MqAttr(), MqAttr(0, 8), MqAttr(-1, 8), MqAttr(8, -1), MqAttr(2**40, 8)]
)
def test_a_queue_of_no_messages_or_too_many_is_an_error(queue_name: str, attr: MqAttr) -> None:
    with pytest.raises(OSError) as caught:
        posix.mq_open(queue_name, O_CREAT | O_RDWR, 0o600, attr)
    assert caught.value.errno in (errno.EINVAL, errno.EOVERFLOW, errno.ENOMEM)


def test_numbers_that_are_none_are_refused(queue_name: str) -> None:
    for attr in (MqAttr(2**70, 8), MqAttr(8, -(2**70))):
        with pytest.raises(ValueError, match=r"maxmsg|msgsize"):
            posix.mq_open(queue_name, O_CREAT | O_RDWR, 0o600, attr)
    mqd = opened(queue_name)
    for prio in (-1, 2**40):
        with pytest.raises(ValueError, match="prio"):
            posix.mq_send(mqd, b"", prio)
    with pytest.raises(OSError) as caught:
        posix.mq_send(mqd, b"", posix.MQ_PRIO_MAX)
    assert caught.value.errno == errno.EINVAL
    posix.mq_send(mqd, b"", posix.MQ_PRIO_MAX - 1)
    text: Any = "text"
    with pytest.raises(TypeError):
        posix.mq_send(mqd, text)
    with pytest.raises(TypeError):
        posix.mq_timedreceive(mqd, text)
    with pytest.raises(ValueError, match="abs_timeout"):
        posix.mq_timedsend(mqd, b"", 0, float("nan"))


def test_a_handle_allows_what_it_was_opened_for(queue_name: str) -> None:
    opened(queue_name)
    sender, receiver = posix.mq_open(queue_name, O_WRONLY), posix.mq_open(queue_name, O_RDONLY)
    for call in (lambda: posix.mq_receive(sender), lambda: posix.mq_send(receiver, b"")):
        with pytest.raises(OSError) as caught:
            call()
        assert (caught.value.errno, caught.value.filename) == (errno.EBADF, queue_name)
    posix.mq_send(sender, b"x")
    assert posix.mq_receive(receiver) == (b"x", 0)


def test_the_umask_applies_to_the_mode(queue_name: str) -> None:
    before = os.umask(0o027)
    try:
        mqd = posix.mq_open(queue_name, O_CREAT | O_RDWR, 0o666)
    finally:
        os.umask(before)
    assert os.fstat(mqd.fileno()).st_mode & 0o777 == 0o640
    assert not os.get_inheritable(mqd.fileno())


def test_a_handle_can_be_polled(queue_name: str) -> None:
    mqd = opened(queue_name)
    assert select.select([mqd], [], [], 0)[0] == []
    posix.mq_send(mqd, b"x")
    assert select.select([mqd], [], [], 0)[0] == [mqd]


# ---- Waiting -----------------------------------------------------------------------


@every_receive
def test_receiving_waits_for_a_message(queue_name: str, receive: Any) -> None:
    mqd = opened(queue_name)
    waiting = Background(lambda: receive(mqd))
    until(lambda: is_in("mq_receive", waiting.task))
    posix.mq_send(mqd, b"x", 3)
    assert waiting.finish() == (b"x", 3)


@every_send
def test_sending_waits_for_room(queue_name: str, send: Any) -> None:
    mqd = filled(queue_name)
    waiting = Background(lambda: send(mqd))
    until(lambda: is_in("mq_send", waiting.task))
    assert posix.mq_receive(mqd) == (b"first", 0)
    waiting.finish()
    assert posix.mq_receive(mqd) == (b"more", 1)


@pytest.mark.parametrize("use", [*RECEIVES.values(), *SENDS.values()])
def test_without_blocking_an_error_says_that_it_would(queue_name: str, use: Any) -> None:
    mqd = opened(queue_name, 1, flags=O_NONBLOCK)
    if use in SENDS.values():
        posix.mq_send(mqd, b"first")
    with pytest.raises(BlockingIOError) as caught:
        use(mqd)
    assert (caught.value.errno, caught.value.filename) == (errno.EAGAIN, queue_name)


@pytest.mark.parametrize("ahead", [-5, 0, 0.002])
def test_the_time_runs_out(queue_name: str, ahead: float) -> None:
    mqd = opened(queue_name, 1)
    deadline = time.time() + ahead
    with pytest.raises(TimeoutError) as caught:
        posix.mq_timedreceive(mqd, deadline)
    assert (caught.value.errno, caught.value.filename) == (errno.ETIMEDOUT, queue_name)
    assert time.time() >= deadline
    posix.mq_send(mqd, b"first")
    deadline = time.time() + ahead
    with pytest.raises(TimeoutError):
        posix.mq_timedsend(mqd, b"more", 0, deadline)
    assert time.time() >= deadline


@every_receive
def test_a_handler_that_returns_does_not_end_receiving(queue_name: str, receive: Any) -> None:
    mqd = opened(queue_name)
    with signals(lambda count: posix.mq_send(mqd, b"x") if count == 3 else None):
        assert receive(mqd) == (b"x", 0)


@every_send
def test_a_handler_that_returns_does_not_end_sending(queue_name: str, send: Any) -> None:
    mqd = filled(queue_name)
    with signals(lambda count: posix.mq_receive(mqd) if count == 3 else None):
        send(mqd)
    assert posix.mq_receive(mqd) == (b"more", 1)


@every_receive
def test_a_handler_that_raises_ends_receiving(queue_name: str, receive: Any) -> None:
    mqd = opened(queue_name)
    with pytest.raises(Stop), signals(stop):
        receive(mqd)


@every_send
def test_a_handler_that_raises_ends_sending(queue_name: str, send: Any) -> None:
    mqd = filled(queue_name)
    with pytest.raises(Stop), signals(stop):
        send(mqd)
    assert posix.mq_getattr(mqd).curmsgs == 1


@pytest.mark.parametrize("killed", [True, False])
def test_ctrl_c_or_death_ends_a_wait_and_takes_nothing(queue_name: str, killed: bool) -> None:
    mqd = opened(queue_name)
    program = """
    from isthmus import posix
    posix.mq_receive(posix.mq_open(sys.argv[1], posix.O_RDONLY))
    """
    with child(program, queue_name) as process:
        until(lambda: is_in("mq_receive", process.pid, process.pid))
        if killed:
            process.kill()
            process.wait()
        else:
            presses_ctrl_c(process)
    posix.mq_send(mqd, b"x")
    assert posix.mq_receive(mqd) == (b"x", 0)


# ---- Closing -----------------------------------------------------------------------


@pytest.mark.parametrize("use", USES)
def test_a_closed_handle_cannot_be_used(queue_name: str, use: Any) -> None:
    mqd = opened(queue_name)
    fd = mqd.fileno()
    posix.mq_close(mqd)
    assert mqd.closed
    with pytest.raises(OSError):
        os.fstat(fd)
    with pytest.raises(ValueError, match="closed"):
        use(mqd)
    with pytest.raises(ValueError, match="closed"):
        mqd.fileno()


@pytest.mark.parametrize("use", USES)
def test_what_is_no_queue_is_refused(use: Any) -> None:
    with pytest.raises(TypeError):
        use(3)


def test_closing_while_another_thread_waits_lets_it_wait_on(queue_name: str) -> None:
    mqd = opened(queue_name)
    fd = mqd.fileno()
    waiting = Background(lambda: posix.mq_receive(mqd))
    until(lambda: is_in("mq_receive", waiting.task))
    posix.mq_close(mqd)
    with pytest.raises(ValueError, match="closed"):
        posix.mq_send(mqd, b"x")
    os.fstat(fd)
    posix.mq_send(posix.mq_open(queue_name, O_WRONLY), b"x")
    assert waiting.finish() == (b"x", 0)


# ---- Notification ------------------------------------------------------------------


def test_a_signal_tells_once_of_a_message(queue_name: str) -> None:
    mqd = opened(queue_name)
    told: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: told.append(number))
    try:
        posix.mq_notify(mqd, SigEvent(SIGEV_SIGNAL, signal.SIGUSR1))
        posix.mq_send(mqd, b"x")
        until(lambda: told == [signal.SIGUSR1])
        posix.mq_receive(mqd)
        posix.mq_send(mqd, b"x")
        # Not registered any more: another one may be.
        posix.mq_notify(posix.mq_open(queue_name, O_RDONLY), SigEvent(SIGEV_NONE))
        assert told == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_function_is_called_once_in_a_thread(queue_name: str) -> None:
    mqd = opened(queue_name)
    called = threading.Event()
    calls: list[tuple[object, int]] = []

    def function(value: object) -> None:
        calls.append((value, threading.get_ident()))
        called.set()

    for round in range(2):
        called.clear()
        posix.mq_notify(mqd, SigEvent(SIGEV_THREAD, value=("any", round), function=function))
        posix.mq_send(mqd, b"x")
        assert called.wait(60)
        posix.mq_receive(mqd)
        posix.mq_send(mqd, b"unheard")
        posix.mq_receive(mqd)
    assert [value for value, _ in calls] == [("any", 0), ("any", 1)]
    assert threading.get_ident() not in [thread for _, thread in calls]


@pytest.mark.parametrize("end", [posix.mq_notify, posix.mq_close])
def test_a_registration_taken_back_calls_nothing_and_leaves_no_thread(
    queue_name: str, end: Any
) -> None:
    before = set(threading.enumerate())
    mqd = opened(queue_name)
    calls: list[object] = []
    posix.mq_notify(mqd, SigEvent(SIGEV_THREAD, function=calls.append))
    (thread,) = set(threading.enumerate()) - before
    assert queue_name in thread.name
    end(mqd)
    posix.mq_send(posix.mq_open(queue_name, O_WRONLY), b"x")
    thread.join(60)
    assert not thread.is_alive()
    assert calls == []


def test_only_one_can_be_registered(queue_name: str) -> None:
    mqd = opened(queue_name)
    other = posix.mq_open(queue_name, O_RDWR)
    posix.mq_notify(mqd, SigEvent(SIGEV_NONE))
    before = threading.active_count()
    for event in (SigEvent(SIGEV_NONE), SigEvent(SIGEV_THREAD, function=print)):
        with pytest.raises(OSError) as caught:
            posix.mq_notify(other, event)
        assert (caught.value.errno, caught.value.filename) == (errno.EBUSY, queue_name)
    assert threading.active_count() == before
    posix.mq_notify(mqd)
    posix.mq_notify(other, SigEvent(SIGEV_NONE))


def test_who_waits_gets_the_message_and_nobody_is_told(queue_name: str) -> None:
    mqd = opened(queue_name)
    waiting = Background(lambda: posix.mq_receive(mqd))
    until(lambda: is_in("mq_receive", waiting.task))
    posix.mq_notify(mqd, SigEvent(SIGEV_NONE))
    posix.mq_send(mqd, b"x")
    waiting.finish()
    # Still registered: a second registration is refused.
    with pytest.raises(OSError):
        posix.mq_notify(mqd, SigEvent(SIGEV_NONE))


def test_a_way_to_tell_that_is_none_is_refused(queue_name: str) -> None:
    mqd = opened(queue_name)
    for event in (SigEvent(99), SigEvent(SIGEV_SIGNAL, 1000)):
        with pytest.raises(OSError) as caught:
            posix.mq_notify(mqd, event)
        assert caught.value.errno == errno.EINVAL
    with pytest.raises(TypeError, match="function"):
        posix.mq_notify(mqd, SigEvent(SIGEV_THREAD))
    with pytest.raises(ValueError, match="signo"):
        posix.mq_notify(mqd, SigEvent(SIGEV_SIGNAL, 2**40))


@pytest.mark.parametrize("bad", [5, (4, 32), "attr"])
def test_what_is_neither_attributes_nor_an_event_is_refused(queue_name: str, bad: Any) -> None:
    with pytest.raises(TypeError, match="MqAttr"):
        posix.mq_open(queue_name, O_CREAT | O_RDWR, 0o600, bad)
    mqd = opened(queue_name)
    with pytest.raises(TypeError, match="MqAttr"):
        posix.mq_setattr(mqd, bad)
    with pytest.raises(TypeError, match="SigEvent"):
        posix.mq_notify(mqd, bad)
