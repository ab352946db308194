"""isthmus.compat.posix_ipc: being told of messages."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bare_calls import PATIENCE, until

from isthmus.compat import posix_ipc
from isthmus.compat.posix_ipc import O_CREX, USER_SIGNAL_MIN, MessageQueue

RunPython = Callable[..., str]
multi_threaded = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


@pytest.fixture
def queue(queue_name: str) -> Iterator[MessageQueue]:
    made = MessageQueue(queue_name, O_CREX, max_messages=4, max_message_size=32)
    yield made
    if made.mqd != -1:
        made.close()


@pytest.fixture
def got() -> Iterator[list[int]]:
    """The signals that came, of the first that users may have."""
    numbers: list[int] = []
    before = signal.signal(USER_SIGNAL_MIN, lambda number, _frame: numbers.append(number))
    yield numbers
    signal.signal(USER_SIGNAL_MIN, before)


def sent(queue: MessageQueue) -> None:
    """A message has come into the empty queue, and has been taken."""
    queue.send("x")
    queue.receive()


# ---- By a signal -----------------------------------------------------------------------


def test_a_signal_tells_of_a_message_once(queue: MessageQueue, got: list[int]) -> None:
    queue.request_notification(USER_SIGNAL_MIN)
    queue.send("a")
    assert got == [USER_SIGNAL_MIN]
    queue.receive()
    sent(queue)
    assert got == [USER_SIGNAL_MIN]
    # Not of one that comes to others.
    queue.send("a")
    queue.request_notification(notification=USER_SIGNAL_MIN)
    queue.send("b")
    assert got == [USER_SIGNAL_MIN]


def test_a_request_can_be_taken_back_through_any_handle(
    queue: MessageQueue, queue_name: str, got: list[int]
) -> None:
    other = MessageQueue(queue_name)
    for back in (queue.request_notification, lambda: other.request_notification(None)):
        queue.request_notification(USER_SIGNAL_MIN)
        back()
        sent(queue)
    queue.request_notification(USER_SIGNAL_MIN)
    other.close()
    sent(queue)
    assert got == []


def test_a_new_request_replaces_one_of_this_process(queue: MessageQueue, got: list[int]) -> None:
    told = threading.Event()
    queue.request_notification(USER_SIGNAL_MIN)
    queue.request_notification((lambda _: told.set(), None))
    sent(queue)
    assert told.wait(PATIENCE)
    queue.request_notification((pytest.fail, "replaced"))
    queue.request_notification(USER_SIGNAL_MIN)
    sent(queue)
    assert got == [USER_SIGNAL_MIN]


def test_a_wrong_request_leaves_the_one_there_is(queue: MessageQueue, got: list[int]) -> None:
    queue.request_notification(USER_SIGNAL_MIN)
    with pytest.raises(ValueError, match="The notification must be None"):
        queue.request_notification("x")  # type: ignore[arg-type]
    sent(queue)
    assert got == [USER_SIGNAL_MIN]


# ---- By a call -------------------------------------------------------------------------


def test_the_call_is_made_in_a_thread_of_its_own(queue: MessageQueue) -> None:
    found: dict[str, Any] = {}
    told = threading.Event()

    def call(param: object) -> None:
        thread = threading.current_thread()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        found.update(param=param, daemon=thread.daemon, task=thread.native_id, mask=mask)
        told.set()

    param = object()
    queue.request_notification((call, param))
    sent(queue)
    assert told.wait(PATIENCE)
    assert found.pop("task") != threading.get_native_id()
    assert found == {"param": param, "daemon": True, "mask": set()}


def test_a_call_that_asks_again_hears_of_every_message(queue: MessageQueue) -> None:
    heard: list[bytes] = []
    told = threading.Semaphore(0)

    def call(again: MessageQueue) -> None:
        again.request_notification((call, again))
        heard.append(again.receive()[0])
        told.release()

    queue.request_notification((call, queue))
    for number in range(20):
        queue.send(str(number))
        assert told.acquire(timeout=PATIENCE)
    assert heard == [str(number).encode() for number in range(20)]


def test_what_the_call_raises_is_reported(
    queue: MessageQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reported.append(report.exc_type))

    def call(_param: object) -> None:
        raise KeyError

    queue.request_notification((call, None))
    sent(queue)
    until(lambda: reported == [KeyError])


def test_nothing_is_kept_of_a_call_that_has_been_made_or_taken_back(
    queue: MessageQueue, queue_name: str
) -> None:
    class Param:
        pass

    other = MessageQueue(queue_name)
    told = threading.Event()
    ends: list[Callable[[], object]] = [
        lambda: (sent(queue), told.wait(PATIENCE)),
        queue.request_notification,
        lambda: queue.request_notification(USER_SIGNAL_MIN),
        other.request_notification,
        other.close,
        lambda: os.close(os.dup(queue.mqd)),
        queue.close,
    ]
    for end in ends:
        param = Param()
        reference = weakref.ref(param)
        queue.request_notification((lambda _: told.set(), param))
        del param
        end()
        until(lambda reference=reference: reference() is None)


def test_the_request_lives_as_long_as_the_descriptor(queue_name: str) -> None:
    told = threading.Event()
    mqd = MessageQueue(queue_name, O_CREX).mqd
    MessageQueue(queue_name).request_notification((lambda _: told.set(), None))
    gc.collect()
    other = MessageQueue(queue_name)
    sent(other)
    assert told.wait(PATIENCE)
    os.close(mqd)
    other.close()


def test_many_queues_can_have_their_calls(queue_name: str) -> None:
    queues = [MessageQueue(None, O_CREX, max_messages=1, max_message_size=8) for _ in range(20)]
    lock, heard, told = threading.Lock(), set(), threading.Event()

    def call(number: int) -> None:
        with lock:
            heard.add(number)
            if len(heard) == len(queues):
                told.set()

    for number, each in enumerate(queues):
        each.request_notification((call, number))
    for each in queues:
        each.send("x")
    assert told.wait(PATIENCE)
    for each in queues:
        each.unlink()
        each.close()


def test_another_thread_is_made_when_somebody_has_closed_its_socket(
    queue: MessageQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reported.append(report.exc_value))
    told = threading.Semaphore(0)
    queue.request_notification((lambda _: told.release(), None))
    socket = next(fd for fd in _sockets() if _is_netlink(fd))
    os.close(socket)
    sent(queue)
    # It got that one still, as it was waiting already.
    assert told.acquire(timeout=PATIENCE)
    until(lambda: bool(reported))
    assert isinstance(reported[0], OSError)
    queue.request_notification((lambda _: told.release(), None))
    sent(queue)
    assert told.acquire(timeout=PATIENCE)


def _sockets() -> list[int]:
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                found.append(int(fd))
        except FileNotFoundError:
            continue
    return found


def _is_netlink(fd: int) -> bool:
    import socket

    with socket.socket(fileno=os.dup(fd)) as found:
        return found.family == socket.AF_NETLINK


# ---- Several processes -----------------------------------------------------------------


def in_child(call: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            call()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@multi_threaded
def test_one_process_at_a_time_can_ask(queue: MessageQueue, got: list[int]) -> None:
    queue.request_notification(USER_SIGNAL_MIN)

    def ask() -> None:
        for request in (USER_SIGNAL_MIN, (print, None)):
            with pytest.raises(posix_ipc.BusyError, match="already delivering notifications"):
                queue.request_notification(request)
        # Which takes nothing back but its own.
        queue.request_notification()
        queue.close()

    assert in_child(ask) == 0
    sent(queue)
    assert got == [USER_SIGNAL_MIN]


@multi_threaded
def test_a_fork_leaves_the_request_with_the_parent(queue: MessageQueue, queue_name: str) -> None:
    told = threading.Semaphore(0)
    queue.request_notification((lambda _: told.release(), None))
    sockets = len(_sockets())

    def ask() -> None:
        assert len(_sockets()) == sockets - 1
        queue.send("from the child")
        assert not told.acquire(blocking=False)
        # It can have calls of its own: the parent's request has been served.
        heard = threading.Event()
        queue.receive()
        queue.request_notification((lambda _: heard.set(), None))
        queue.send("x")
        assert heard.wait(PATIENCE)

    assert in_child(ask) == 0
    assert told.acquire(timeout=PATIENCE)
    assert queue.receive() == (b"x", 0)


@pytest.mark.slow
def test_a_process_can_end_with_a_request_pending(queue_name: str, run_python: RunPython) -> None:
    queue = MessageQueue(queue_name, O_CREX)
    program = """
    import sys
    from isthmus.compat import posix_ipc
    queue = posix_ipc.MessageQueue(sys.argv[1])
    queue.request_notification((print, "never"))
    other = posix_ipc.MessageQueue(None, posix_ipc.O_CREX)
    other.unlink()
    other.request_notification((lambda _: other.receive(), None))  # waits while it ends
    other.send("a"), other.send("b"), other.receive()
    """
    assert run_python(program, queue_name) == ""
    # It is free for others.
    queue.request_notification(USER_SIGNAL_MIN)
    queue.close()
