"""Waits: signal handlers run, Ctrl-C ends them, other threads go on, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from bare_calls import Background, Stop, child, presses_ctrl_c, signals, stop, until
from sharing import forked

import isthmus
from isthmus import AtomicInt, Barrier, Condition, Event, Lock, RLock, RWLock, Semaphore

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@contextmanager
def on_alarm(handler: Callable[[int], object]) -> Iterator[None]:
    """Call `handler(n)` for the n-th alarm; none comes by itself."""
    with signals(lambda count: None):
        alarm(0)
        count = 0

        def handle(_number: int, _frame: object) -> None:
            nonlocal count
            count += 1
            handler(count)

        signal.signal(signal.SIGALRM, handle)
        yield


def alarm(seconds: float = 0.002, interval: float = 0) -> None:
    signal.setitimer(signal.ITIMER_REAL, seconds, interval)


def alarm_when(waiting: Callable[[], object]) -> Background:
    """From another thread, as soon as the main thread is in its wait."""

    def send() -> None:
        until(lambda: bool(waiting()))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    return Background(send)


class Case:
    """A wait that nobody ends, and how to see that it has left nothing behind."""

    def __init__(self) -> None:
        self.wait: Callable[[float | None], object] = lambda timeout: None
        self.untouched: Callable[[], bool] = lambda: True
        self.times_out: object = False
        self.others: list[Any] = []


def lock_case(cls: Any) -> Case:
    case, lock = Case(), cls()
    thread = Background(lock.acquire)  # a thread that is over, of another handle's participant
    thread.finish()
    case.wait = lambda timeout: lock.acquire(timeout=timeout)
    case.untouched = lambda: lock.locked() and lock.waiters() == []
    return case


def read_case(cls: Any) -> Case:
    case, rw = Case(), RWLock()
    rw.write.acquire()
    case.wait = lambda timeout: rw.read.acquire(timeout=timeout)
    case.untouched = lambda: not rw.readers() and rw.waiters() == [] and rw.write.locked()
    return case


def write_case(cls: Any) -> Case:
    case, rw = Case(), RWLock()
    rw.read.acquire()
    case.wait = lambda timeout: rw.write.acquire(timeout=timeout)
    case.untouched = lambda: (
        not rw.write.locked() and rw.waiters() == [] and rw.read.acquire(block=False)
    )
    return case


def semaphore_case(cls: Any) -> Case:
    case, slots = Case(), Semaphore(value=1, robust=cls)
    slots.acquire()
    case.wait = lambda timeout: slots.acquire(timeout=timeout)

    def untouched() -> bool:
        slots.release()
        return slots.value == 1

    case.untouched = untouched
    return case


def event_case(cls: Any) -> Case:
    case, event = Case(), Event()
    case.wait = event.wait
    case.untouched = lambda: not event.is_set()
    return case


def condition_case(cls: Any) -> Case:
    case = Case()
    condition = Condition(None, cls() if cls else None)

    def wait(timeout: float | None) -> object:
        with condition:
            try:
                return condition.wait(timeout)
            finally:
                assert condition.owner is not None
                assert condition.owner.thread == threading.get_native_id()

    case.wait = wait
    case.untouched = lambda: not condition.locked() and condition.waiters() == []
    return case


def barrier_case(cls: Any) -> Case:
    case, barrier = Case(), Barrier(parties=2)
    case.wait = barrier.wait
    case.untouched = lambda: barrier.n_waiting == 0 and not barrier.broken
    case.times_out = isthmus.BrokenBarrierError
    return case


def atomic_case(cls: Any) -> Case:
    case, number = Case(), AtomicInt(None, 5)
    case.wait = lambda timeout: number.wait_while(5, timeout)
    case.untouched = lambda: number.load() == 5
    return case


CASES: dict[str, tuple[Callable[[Any], Case], Any]] = {
    "Lock": (lock_case, Lock),
    "RLock": (lock_case, RLock),
    "RWLock.read": (read_case, None),
    "RWLock.write": (write_case, None),
    "Semaphore": (semaphore_case, False),
    "robust Semaphore": (semaphore_case, True),
    "Event": (event_case, None),
    "Condition": (condition_case, None),
    "Condition on a Lock": (condition_case, Lock),
    "Condition on an RLock": (condition_case, RLock),
    "Barrier": (barrier_case, None),
    "AtomicInt": (atomic_case, None),
}


@pytest.fixture(params=[*CASES.values()], ids=[*CASES])
def case(request: pytest.FixtureRequest) -> Case:
    make, cls = request.param
    made: Case = make(cls)
    return made


def test_a_handler_that_raises_ends_the_wait_and_leaves_nothing(case: Case) -> None:
    with pytest.raises(Stop), signals(stop):
        case.wait(None)
    assert case.untouched()


def test_handlers_run_and_the_wait_goes_on(case: Case) -> None:
    def handler(count: int) -> None:
        if count == 20:
            stop(count)

    with pytest.raises(Stop), signals(handler):
        case.wait(1000)
    assert case.untouched()


def test_a_timeout_counts_through_signals(case: Case) -> None:
    begin = time.monotonic()
    with signals(lambda count: None):
        if case.times_out is False:
            assert case.wait(0.12) is False
        else:
            with pytest.raises(isthmus.BrokenBarrierError):
                case.wait(0.12)
    assert 0.12 <= time.monotonic() - begin < 20


def test_other_threads_run_meanwhile(case: Case) -> None:
    beats = 0
    over = threading.Event()

    def beat() -> None:
        nonlocal beats
        while not over.is_set():
            beats += 1
            time.sleep(0.001)

    thread = Background(beat)
    try:
        if case.times_out is False:
            case.wait(0.2)
        else:
            with pytest.raises(isthmus.BrokenBarrierError):
                case.wait(0.2)
    finally:
        over.set()
        thread.finish()
    assert beats > 3


def test_a_signal_that_another_thread_gets_reaches_the_handler(case: Case) -> None:
    """The kernel may give it to any thread; the handler runs in the main one, which waits."""
    about_to_wait, ended = threading.Event(), threading.Event()

    def send() -> None:
        about_to_wait.wait(60)
        time.sleep(0.02)  # asleep in the wait, most likely; else it is no less true
        signal.pthread_kill(threading.get_ident(), signal.SIGALRM)
        ended.wait(60)

    thread = Background(send)
    with pytest.raises(Stop), on_alarm(stop):
        about_to_wait.set()
        case.wait(None)
    ended.set()
    thread.finish()
    assert case.untouched()


PROGRAMS = {
    "Lock": "lock = isthmus.Lock(); lock.acquire(); wait = lock.acquire",
    "RWLock": "rw = isthmus.RWLock(); rw.write.acquire(); wait = rw.read.acquire",
    "Semaphore": "wait = isthmus.Semaphore(value=0).acquire",
    "Event": "wait = isthmus.Event().wait",
    "Condition": "condition = isthmus.Condition(); condition.acquire(); wait = condition.wait",
    "Barrier": "wait = isthmus.Barrier(parties=2).wait",
    "AtomicInt": "wait = lambda number=isthmus.AtomicInt(): number.wait_while(0)",
}


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_ctrl_c_ends_any_wait(program: str) -> None:
    with child(f"import isthmus\n{program}\nprint(flush=True)\nwait()") as process:
        assert process.stdout is not None
        process.stdout.readline()
        presses_ctrl_c(process)


# ---- Particular things ------------------------------------------------------------------------


def test_a_condition_takes_its_lock_back_before_the_exception_goes_on() -> None:
    """The lock is held by another at that moment: the wait goes on until it is free."""
    condition = Condition()
    handled, released = threading.Event(), threading.Event()

    def handler(count: int) -> None:
        handled.set()
        raise Stop

    def other() -> None:
        until(lambda: bool(condition.waiters()))
        with condition:
            alarm()
            assert handled.wait(60)
            time.sleep(0.01)
            released.set()

    thread = Background(other)
    with on_alarm(handler):
        condition.acquire()
        condition.acquire()
        with pytest.raises(Stop):
            condition.wait()
        assert released.is_set()
    thread.finish()
    condition.release()
    condition.release()  # as deep as it was
    with pytest.raises(isthmus.NotHeldError):
        condition.release()


def test_the_first_exception_is_the_one_that_is_raised_when_the_lock_is_back() -> None:
    condition = Condition()
    seen: list[int] = []
    enough = threading.Event()

    def handler(count: int) -> None:
        seen.append(count)
        if count == 3:
            alarm(0)
            enough.set()
        raise Stop(count)

    def other() -> None:
        until(lambda: bool(condition.waiters()))
        with condition:
            alarm(0.01, 0.01)
            assert enough.wait(60)

    thread = Background(other)
    with on_alarm(handler), condition, pytest.raises(Stop) as caught:
        condition.wait()
    thread.finish()
    assert caught.value.args == (1,)
    assert seen == [1, 2, 3]


def test_a_notification_that_an_exception_cannot_use_goes_to_another_waiter() -> None:
    condition = Condition()
    handled = threading.Event()

    def handler(count: int) -> None:
        handled.set()
        raise Stop

    def other() -> None:
        """Interrupts and then notifies the main thread, before that can take the lock back."""
        until(lambda: bool(condition.waiters()))
        with condition:
            alarm()
            assert handled.wait(60)
            condition.notify()
            assert condition.wait(60) is True

    thread = Background(other)
    with on_alarm(handler), condition, pytest.raises(Stop):
        condition.wait()
    thread.finish()


def test_a_handler_may_close_other_handles_but_not_the_one_that_waits() -> None:
    lock, event = Lock(), Event()
    lock.acquire()

    def handler(count: int) -> None:
        event.close()
        lock.close()

    with (
        on_alarm(handler),
        pytest.raises(isthmus.InUseError, match="waiting on this handle"),
    ):
        alarm_when(lock.waiters)
        lock.acquire()
    assert event.closed and not lock.closed
    lock.release()


def forking_wait(what: str) -> tuple[list[Any], Callable[[], object], Callable[[], object]]:
    """The handles of a wait, the wait, and whether somebody is in it."""
    lock, condition, barrier = Lock(), Condition(), Barrier(parties=2)
    lock.acquire()

    def wait_for_condition() -> None:
        with condition:
            condition.wait()

    def wait_for_lock() -> None:
        if not lock.acquire(timeout=0.5):
            raise TimeoutError

    waits: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "lock": (wait_for_lock, lock.waiters),
        "condition": (wait_for_condition, condition.waiters),
        "barrier": (barrier.wait, barrier.waiters),
    }
    return [lock, condition, barrier], *waits[what]


@pytest.mark.parametrize("what", ["lock", "condition", "barrier"])
def test_a_handler_may_fork(what: str) -> None:
    handles, wait, waiting = forking_wait(what)
    pids: list[int] = []

    def handler(count: int) -> None:
        pids.append(os.fork())
        if pids[-1] == 0:
            try:
                for handle in handles:
                    handle.close()
                os._exit(0)
            finally:
                os._exit(1)
        raise Stop

    with pytest.raises(Stop), on_alarm(handler):
        alarm_when(waiting)
        wait()
    assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == 0


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("lock", TimeoutError),  # it goes on waiting, for itself
        ("condition", isthmus.NotHeldError),  # it was the parent that waited
        ("barrier", isthmus.NotHeldError),
    ],
)
def test_a_child_that_comes_back_from_a_handler_is_not_in_the_wait_any_more(
    what: str, expected: type[Exception]
) -> None:
    handles, wait, waiting = forking_wait(what)

    def in_child() -> None:
        """Waits, and forks in the handler; the grandchild comes back from it into the wait."""
        child = -1

        def handler(count: int) -> None:
            nonlocal child
            child = os.fork()
            if child:
                raise Stop

        with on_alarm(handler):
            alarm_when(waiting)
            try:
                wait()
            except Stop:
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            except expected:
                assert child == 0
                os._exit(0)

    with forked(in_child) as process:
        assert process.finish() == 0
    assert handles[0].locked()
