"""isthmus.compat.sysv_ipc.Semaphore: timeouts, signals, undo, and what the original gets wrong."""

from __future__ import annotations

import math
import os
import signal
import threading
import time

import pytest
from bare_calls import Background, Stop, child, presses_ctrl_c, signals, stop, until

from isthmus import sysv
from isthmus.compat import sysv_ipc
from isthmus.compat.sysv_ipc import IPC_CREAT, IPC_CREX, IPC_PRIVATE, BusyError, Semaphore


@pytest.fixture
def semaphore(key: int) -> Semaphore:
    return Semaphore(key, IPC_CREX)


def test_a_timeout_is_kept(semaphore: Semaphore) -> None:
    start = time.monotonic()
    for call in (semaphore.acquire, semaphore.P):
        with pytest.raises(BusyError, match=r"^The semaphore is busy$"):
            call(0.01)
        with pytest.raises(BusyError):
            call(timeout=0)
    assert time.monotonic() - start >= 0.02
    semaphore.value = 1
    with pytest.raises(BusyError):
        semaphore.acquire(0.001, 2)
    with pytest.raises(BusyError):
        semaphore.Z(1e-12)
    semaphore.acquire(1000)
    semaphore.Z(0)
    semaphore.V()
    semaphore.acquire(math.inf)
    assert semaphore.value == 0
    with pytest.raises(TypeError, match=r"^The timeout must be None or a non-negative number$"):
        semaphore.acquire(math.nan)


def test_who_waits_is_counted_and_let_go(semaphore: Semaphore) -> None:
    taking = Background(lambda: semaphore.acquire(delta=2))
    until(lambda: semaphore.waiting_for_nonzero == 1)
    semaphore.release()
    assert semaphore.waiting_for_nonzero == 1
    semaphore.release(2)
    taking.finish()
    assert (semaphore.value, semaphore.waiting_for_nonzero) == (1, 0)
    waiting = Background(lambda: semaphore.Z(1000))
    until(lambda: semaphore.waiting_for_zero == 1)
    semaphore.value = 0
    waiting.finish()
    assert semaphore.waiting_for_zero == 0


def test_removing_it_ends_every_wait(semaphore: Semaphore) -> None:
    waits = [Background(semaphore.acquire), Background(lambda: semaphore.acquire(1000))]
    until(lambda: semaphore.waiting_for_nonzero == 2)
    semaphore.remove()
    for wait in waits:
        with pytest.raises(sysv_ipc.ExistentialError, match=r"^The semaphore was removed$"):
            wait.finish()


@pytest.mark.parametrize("timeout", [None, 1000])
def test_a_signal_ends_a_wait(semaphore: Semaphore, timeout: float | None) -> None:
    for wait in (semaphore.acquire, semaphore.Z):
        semaphore.value = 0 if wait == semaphore.acquire else 1
        often = signals(lambda _count: None)
        with often, pytest.raises(sysv_ipc.Error, match=r"^Signaled while waiting$") as caught:
            wait(timeout)
        assert type(caught.value) is sysv_ipc.Error
        with signals(stop), pytest.raises(Stop):
            wait(timeout)
    assert semaphore.value == 1


@pytest.mark.slow
def test_ctrl_c_ends_a_wait(semaphore: Semaphore, key: int) -> None:
    program = """
    from isthmus.compat import sysv_ipc
    sysv_ipc.Semaphore(int(sys.argv[1])).acquire()
    """
    with child(program, key) as process:
        until(lambda: semaphore.waiting_for_nonzero == 1)
        presses_ctrl_c(process)
    assert semaphore.waiting_for_nonzero == 0


@pytest.mark.slow
def test_undo_gives_back_what_a_killed_process_has_taken(semaphore: Semaphore, key: int) -> None:
    semaphore.value = 5
    program = """
    from isthmus.compat import sysv_ipc
    semaphore = sysv_ipc.Semaphore(int(sys.argv[1]))
    semaphore.acquire()
    semaphore.undo = True
    semaphore.acquire(delta=3)
    semaphore.release()
    with semaphore:
        print("taken", flush=True)
        signal.pause()
    """
    with child(program, key) as process:
        assert process.stdout is not None
        assert Background(process.stdout.readline).finish() == "taken\n"
        assert semaphore.value == 1
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
    # All but what it has taken before it asked for that.
    assert semaphore.value == 4


def test_threads_share_it(semaphore: Semaphore) -> None:
    semaphore.value = 1
    inside = 0

    def work() -> None:
        nonlocal inside
        for _ in range(100):
            with semaphore:
                inside += 1
                assert inside == 1
                inside -= 1

    jobs = [Background(work) for _ in range(3)]
    for job in jobs:
        job.finish()
    assert semaphore.value == 1


def test_a_delta_beyond_any_value_is_an_error_not_a_wait(semaphore: Semaphore) -> None:
    for call in (semaphore.release, semaphore.V, lambda delta: semaphore.acquire(None, delta)):
        with pytest.raises(ValueError, match="must remain between 0 and SEMVMX"):
            call(-32768)
    assert semaphore.value == 0


def test_opening_one_that_exists_leaves_its_value(
    key: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Semaphore(key, IPC_CREAT, initial_value=2)
    assert made.value == 2
    assert Semaphore(key, IPC_CREAT, initial_value=9).value == 2
    monkeypatch.setenv("ISTHMUS_COMPAT", "strict")
    assert Semaphore(key, IPC_CREAT, initial_value=9).value == 9
    made.remove()
    assert Semaphore(key, IPC_CREAT, 0o400, initial_value=9).value == 0


def test_two_that_open_or_make_it_agree(key: int) -> None:
    for _ in range(20):
        start = threading.Barrier(2)

        def make(start: threading.Barrier = start) -> Semaphore:
            start.wait(60)
            return Semaphore(key, IPC_CREAT, initial_value=1)

        one, two = Background(make), Background(make)
        made = one.finish()
        assert isinstance(made, Semaphore)
        assert made.id == two.finish().id  # type: ignore[attr-defined]
        assert made.value == 1
        made.remove()


def test_one_that_cannot_have_its_value_is_not_left_behind(key: int) -> None:
    for value in (40000, -1):
        for flags in (IPC_CREX, IPC_CREAT):
            with pytest.raises(ValueError, match="SEMVMX"):
                Semaphore(key, flags, initial_value=value)
        with pytest.raises(FileNotFoundError):
            sysv.semget(key, 0)
    private = Semaphore(IPC_PRIVATE, 0, initial_value=40000)
    assert private.value == 0
    private.remove()


def test_numbers_that_do_not_fit_are_errors(semaphore: Semaphore) -> None:
    for name in ("uid", "gid", "mode"):
        before = getattr(semaphore, name)
        for value in (2**32, -2, 2**70):
            with pytest.raises(OverflowError):
                setattr(semaphore, name, value)
        assert getattr(semaphore, name) == before
    for name in ("undo", "block", "value", "uid"):
        with pytest.raises((AttributeError, NotImplementedError)):
            delattr(semaphore, name)


def test_what_is_neither_true_nor_false_is_an_error(semaphore: Semaphore) -> None:
    class Neither:
        def __bool__(self) -> bool:
            raise ArithmeticError

    for name in ("undo", "block"):
        with pytest.raises(ArithmeticError):
            setattr(semaphore, name, Neither())
    assert (semaphore.undo, semaphore.block) == (False, True)
