"""isthmus.compat.posix_ipc: several threads, forks, signals and deaths."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from bare_calls import Background, child, is_in, presses_ctrl_c, until, waiters

from isthmus.compat import posix_ipc
from isthmus.compat.posix_ipc import O_CREX, MessageQueue, Semaphore

WAITS = [None, 1000]


def waits_in(call: str, thread: Background) -> Callable[[], bool]:
    return lambda: is_in(call, thread.task)


# ---- Waiting ---------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", WAITS)
def test_a_wait_for_a_semaphore_ends_when_it_is_released(posix_name: str, timeout: Any) -> None:
    sem = Semaphore(posix_name, O_CREX)
    waiting = Background(lambda: sem.acquire(timeout))
    # Both this and the release need the GIL, which the waiting thread must not hold.
    until(lambda: waiters(posix_name) == 1)
    sem.release()
    waiting.finish()
    assert sem.value == 0


@pytest.mark.parametrize("timeout", WAITS)
def test_waits_for_a_queue_end_when_there_is_a_message_or_room(
    queue_name: str, timeout: Any
) -> None:
    queue = MessageQueue(queue_name, O_CREX, max_messages=1)
    receiving = Background(lambda: queue.receive(timeout))
    until(waits_in("mq_receive", receiving))
    queue.send("a", priority=3)
    assert receiving.finish() == (b"a", 3)
    queue.send("b")
    sending = Background(lambda: queue.send("c", timeout))
    until(waits_in("mq_send", sending))
    assert queue.receive() == (b"b", 0)
    sending.finish()
    assert queue.receive() == (b"c", 0)
    queue.close()


# ---- Closing in one thread what another waits on ---------------------------------------


def test_closing_a_semaphore_does_not_end_a_wait_on_it(posix_name: str) -> None:
    sem, other = Semaphore(posix_name, O_CREX), Semaphore(posix_name)
    waiting = Background(sem.acquire)
    until(lambda: waiters(posix_name) == 1)
    sem.close()
    with pytest.raises(posix_ipc.ExistentialError, match="The semaphore has been closed"):
        sem.release()
    with pytest.raises(posix_ipc.Error, match="another thread"):
        sem.__init__(posix_name)  # type: ignore[misc]
    other.release()
    waiting.finish()
    assert other.value == 0
    # The last call has let go of it; it can be opened again.
    sem.__init__(posix_name)  # type: ignore[misc]
    assert sem.value == 0


def test_closing_a_queue_does_not_end_a_wait_on_it(queue_name: str) -> None:
    queue, other = MessageQueue(queue_name, O_CREX), MessageQueue(queue_name)
    mqd = queue.mqd
    waiting = Background(queue.receive)
    until(waits_in("mq_receive", waiting))
    queue.request_notification(posix_ipc.USER_SIGNAL_MIN)
    queue.close()
    assert (queue.mqd, queue.fileno()) == (-1, -1)
    with pytest.raises(posix_ipc.ExistentialError):
        queue.send("a")
    with pytest.raises(posix_ipc.Error, match="another thread"):
        queue.__init__(queue_name)  # type: ignore[misc]
    # Its number is not anybody else's while the call is there.
    assert os.fstat(mqd)
    other.send("a")
    assert waiting.finish() == (b"a", 0)
    with pytest.raises(OSError):
        os.fstat(mqd)
    other.close()


def test_closing_while_others_use_it_is_an_error_for_them_and_no_crash(queue_name: str) -> None:
    sems = [Semaphore(queue_name, posix_ipc.O_CREAT, initial_value=1) for _ in range(50)]
    queues = [MessageQueue(queue_name, posix_ipc.O_CREAT) for _ in range(50)]
    together = threading.Barrier(3)

    def use(call: Callable[[Any], object], things: list[Any]) -> int:
        together.wait(60)
        refused = 0
        for thing in things:
            try:
                for _ in range(1000):
                    call(thing)
            except posix_ipc.ExistentialError:
                refused += 1
        return refused

    def take(sem: Any) -> None:
        sem.acquire()
        sem.release()

    def ask(queue: Any) -> None:
        queue.current_messages
        queue.block = True

    users = [Background(lambda: use(take, sems)), Background(lambda: use(ask, queues))]
    together.wait(60)
    for thing in [*sems, *queues]:
        thing.close()
    for user in users:
        user.finish()
    with pytest.raises(posix_ipc.ExistentialError):
        sems[0].release()


# ---- Forks -----------------------------------------------------------------------------


def in_child(call: Callable[[], object]) -> int:
    """The exit status of a child that makes the call: 0 if it returned."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            call()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_child_can_close_what_the_parents_thread_waits_on(queue_name: str) -> None:
    sem, queue = Semaphore(queue_name, O_CREX), MessageQueue(queue_name, O_CREX)
    waits = [Background(sem.acquire), Background(queue.receive)]
    until(lambda: waiters(queue_name) == 1)
    until(waits_in("mq_receive", waits[1]))

    def close() -> None:
        mqd = queue.mqd
        sem.close()
        queue.close()
        with pytest.raises(OSError):
            os.fstat(mqd)
        sem.__init__(queue_name)  # type: ignore[misc]

    assert in_child(close) == 0
    # Those here are unharmed.
    sem.release()
    queue.send("a")
    for wait in waits:
        wait.finish()
    queue.close()


# ---- Signals and deaths ----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("timeout", ["", "2**33"])
def test_ctrl_c_ends_the_wait(queue_name: str, timeout: str) -> None:
    Semaphore(queue_name, O_CREX)
    queue = MessageQueue(queue_name, O_CREX)
    program = f"""
    from isthmus.compat import posix_ipc
    sem, queue = posix_ipc.Semaphore(sys.argv[1]), posix_ipc.MessageQueue(sys.argv[1])
    try:
        sem.acquire({timeout})
    except KeyboardInterrupt:
        queue.receive({timeout})
    """
    with child(program, queue_name) as process:
        until(lambda: waiters(queue_name) == 1)
        os.kill(process.pid, 2)
        until(lambda: is_in("mq_receive", process.pid, process.pid))
        presses_ctrl_c(process)
    queue.close()


@pytest.mark.slow
def test_a_waiting_process_that_is_killed_takes_nothing(queue_name: str) -> None:
    sem, queue = Semaphore(queue_name, O_CREX), MessageQueue(queue_name, O_CREX)
    program = """
    import threading
    from isthmus.compat import posix_ipc
    sem, queue = posix_ipc.Semaphore(sys.argv[1]), posix_ipc.MessageQueue(sys.argv[1])
    threading.Thread(target=sem.acquire, daemon=True).start()
    queue.receive()
    """
    with child(program, queue_name) as process:
        until(lambda: waiters(queue_name) == 1)
        until(lambda: is_in("mq_receive", process.pid, process.pid))
        process.kill()
        process.wait()
    sem.release()
    queue.send("a")
    assert (sem.acquire(0), queue.receive(0)) == (None, (b"a", 0))
    queue.close()
