"""Owners that are killed: the next one takes over, within 20 ms of waiting, and is told."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from typing import Any

import pytest
from bare_calls import PATIENCE, Background, until
from sharing import Signal, every_lock, forked, holding, objects

import isthmus
from isthmus import Barrier, Condition, Lock, OwnerDied, RLock, RWLock, Semaphore

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def left_by_a_dead_owner(make: Any, name: str | None = None, **options: Any) -> Any:
    """A lock whose owner has been killed."""
    lock = make(name, **options)
    with holding(lock.acquire) as child:
        child.kill()
    return lock


@every_lock
def test_the_next_owner_is_warned_and_holds_it(make: Any) -> None:
    lock = left_by_a_dead_owner(make)
    assert lock.locked() and not lock.owner_died
    with pytest.warns(isthmus.OwnerDiedWarning, match="died while it held it") as caught:
        assert lock.acquire(timeout=PATIENCE) is True
    assert caught[0].filename == __file__
    assert lock.owner_died and lock.locked()
    lock.release()
    assert not lock.owner_died
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with lock:  # the one after that is not told any more
            assert not lock.owner_died


@every_lock
def test_a_warning_that_is_an_error_gives_the_lock_back_as_it_was(make: Any) -> None:
    lock = left_by_a_dead_owner(make)
    for _ in range(2):
        with pytest.raises(isthmus.OwnerDiedWarning):  # warnings are errors in these tests
            lock.acquire()
        assert not lock.locked() and not lock.owner_died
    with pytest.raises(isthmus.OwnerDiedWarning), lock:
        raise AssertionError("the body has run")
    with pytest.warns(isthmus.OwnerDiedWarning):
        lock.acquire()
    lock.release()


@every_lock
def test_raising_leaves_the_lock_held_for_a_repair(make: Any, name: str) -> None:
    lock = left_by_a_dead_owner(make, name, on_owner_death="raise")
    with pytest.raises(OwnerDied, match="You hold it now") as caught, lock:
        raise AssertionError("the body has run")
    assert lock.locked() and lock.owner_died
    assert caught.value.name == name
    assert caught.value.lock == lock
    caught.value.lock.release()
    assert not lock.locked()
    with lock:
        assert not lock.owner_died
    lock.acquire()  # and acquire() raises, too, when it was not repaired
    lock.abandon()
    with pytest.raises(OwnerDied):
        lock.acquire(block=False)
    lock.abandon()
    with pytest.raises(OwnerDied):
        lock.acquire(timeout=1)
    lock.release()


@every_lock
def test_ignoring_leaves_a_flag(make: Any) -> None:
    lock = left_by_a_dead_owner(make, on_owner_death="ignore")
    with lock:
        assert lock.owner_died
    with lock:
        assert not lock.owner_died


@every_lock
def test_a_function_is_called_with_the_lock_held(make: Any) -> None:
    seen: list[Any] = []

    def repair(taken: Any) -> None:
        seen.append((taken, taken.locked(), taken.owner_died))

    lock = left_by_a_dead_owner(make, on_owner_death=repair)
    with lock:
        assert seen == [(lock, True, True)]
        assert lock.owner_died


@every_lock
def test_a_function_that_fails_gives_the_lock_back_as_it_was(make: Any) -> None:
    def repair(taken: Any) -> None:
        raise OSError("cannot be repaired")

    lock = left_by_a_dead_owner(make, on_owner_death=repair)
    for _ in range(2):
        with pytest.raises(OSError, match="cannot be repaired"):
            lock.acquire()
        assert not lock.locked()


def test_a_function_may_release_the_lock_itself_before_it_raises() -> None:
    def repair(taken: Any) -> None:
        taken.release()
        raise KeyError

    lock = left_by_a_dead_owner(Lock, on_owner_death=repair)
    with pytest.raises(KeyError):
        lock.acquire()
    with lock:
        assert not lock.owner_died


def test_one_that_only_tries_gets_it_from_a_dead_owner_too() -> None:
    lock = left_by_a_dead_owner(Lock, on_owner_death="ignore")
    assert lock.acquire(block=False)
    assert lock.owner_died
    lock.release()


@every_lock
def test_a_waiter_gets_it_soon_after_its_owner_was_killed(make: Any) -> None:
    lock = make(on_owner_death="ignore")

    def wait() -> tuple[float, bool]:
        with lock:
            return time.monotonic(), lock.owner_died

    with holding(lock.acquire) as child:
        waiting = Background(wait)
        time.sleep(0.03)  # most likely it is asleep by now; no matter if not
        killed = time.monotonic()
        child.kill()
        result: Any = waiting.finish()
    got, died = result
    assert died
    assert got - killed < 5  # 20 ms, on a machine that is not busy: see bench/


def test_an_owner_that_is_not_reaped_is_dead() -> None:
    lock = Lock(on_owner_death="ignore")
    with holding(lock.acquire) as child:
        child.kill(reap=False)
        assert lock.acquire(timeout=PATIENCE)
        assert lock.owner_died
        with open(f"/proc/{child.pid}/stat", encoding="ascii") as file:
            assert file.read().split()[2] == "Z"
        assert child.finish() == -signal.SIGKILL
    lock.release()


def test_a_dead_owner_is_shown_as_such() -> None:
    lock = Lock()
    with holding(lock.acquire) as child:
        owner = lock.owner
        assert owner is not None
        assert owner.alive and owner.pid == child.pid
        child.kill()
    owner = lock.owner
    assert owner is not None
    assert not owner.alive and owner.command is None
    assert "dead" in repr(owner) and "dead" in repr(lock)


def test_an_owner_that_is_stopped_is_alive() -> None:
    lock = Lock()
    with holding(lock.acquire) as child:
        os.kill(child.pid, signal.SIGSTOP)
        assert not lock.acquire(timeout=0.1)
        assert lock.owner is not None
        assert lock.owner.alive


@pytest.fixture
def unshare() -> list[str]:
    """The command before one that is to run in a pid namespace of its own."""
    command = [shutil.which("unshare") or "", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if not command[0] or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("this user may not make pid namespaces")
    return [*command, sys.executable, "-P", "-c"]


def test_an_owner_in_another_pid_namespace(name: str, unshare: list[str]) -> None:
    program = "import sys, time, isthmus; lock = isthmus.Lock(sys.argv[1]); lock.acquire();"
    program += "print(lock.owner.pid, flush=True); time.sleep(100)"
    lock = Lock(name, on_owner_death="ignore")
    with subprocess.Popen([*unshare, program, name], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        assert not lock.acquire(timeout=0.05)
        owner = lock.owner
        assert owner is not None
        # Its pid is that of another process here: nothing is said about that one.
        assert (owner.pid, owner.alive, owner.command) == (1, True, None)
        process.kill()
    assert lock.acquire(timeout=PATIENCE)
    assert lock.owner_died
    lock.release()


def test_an_owner_whose_pid_is_that_of_a_living_process_by_now(unshare: list[str]) -> None:
    program = """
        import os, signal, isthmus
        lock = isthmus.Lock(on_owner_death="ignore")
        first = os.fork()
        if first == 0:
            lock.acquire()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(first, 0)
        with open("/proc/sys/kernel/ns_last_pid", "w") as last:
            last.write(str(first - 1))
        second = os.fork()
        if second == 0:
            signal.pause()
        owner = lock.owner
        print(second == first, owner.pid == first, owner.alive, owner.command)
        print(lock.acquire(timeout=60), lock.owner_died)
        os.kill(second, signal.SIGKILL)
        os.waitpid(second, 0)
    """
    done = subprocess.run(
        [*unshare, textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if "ns_last_pid" in done.stderr:
        pytest.skip("this kernel does not let anybody choose a pid")
    assert done.stdout == "True True False None\nTrue True\n", done.stderr


def test_a_lock_whose_owner_was_killed_is_kept_for_a_report_when_nobody_is_left(name: str) -> None:
    def call() -> None:
        Lock(name).acquire()
        os.kill(os.getpid(), signal.SIGKILL)

    with forked(call) as child:
        assert child.finish() == -signal.SIGKILL
    lock = Lock(name, on_owner_death="ignore")
    assert not lock.created
    with lock:
        assert lock.owner_died
    lock.close()
    assert objects(name) == []


def test_a_recursive_lock_is_taken_over_once_however_deep_it_was() -> None:
    lock = RLock(on_owner_death="ignore")

    def take() -> None:
        for _ in range(5):
            lock.acquire()

    with holding(take) as child:
        child.kill()
    lock.acquire()
    assert lock.owner_died
    lock.acquire()
    lock.release()
    assert lock.owner_died and lock.locked()
    lock.release()
    assert not lock.owner_died and not lock.locked()


def test_what_travels_between_processes_does_not_hold_the_lock() -> None:
    lock = left_by_a_dead_owner(Lock, on_owner_death="raise")
    with pytest.raises(OwnerDied) as caught:
        lock.acquire()
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert copy.lock is None
    lock.release()


# ---- The friends ---------------------------------------------------------------------------


def test_a_robust_semaphore_gives_back_the_permits_of_the_dead() -> None:
    slots = Semaphore(value=3, robust=True)

    def take() -> None:
        slots.acquire()
        slots.acquire()

    with holding(take) as child:
        assert slots.value == 1
        (holder,) = slots.holders()
        assert (holder.pid, holder.alive) == (child.pid, True)
        slots.acquire()
        waiting = Background(lambda: slots.acquire(timeout=PATIENCE))
        until(lambda: len(slots.waiters()) == 1)
        child.kill()
        assert waiting.finish() is True
    assert slots.acquire(block=False)
    assert not slots.acquire(block=False)
    slots.release(3)
    assert slots.value == 3


def test_a_plain_semaphore_loses_the_permits_of_the_dead() -> None:
    slots = Semaphore(value=2)
    with holding(slots.acquire) as child:
        child.kill()
    assert slots.acquire(block=False)
    assert not slots.acquire(timeout=0.05)


def test_a_barrier_breaks_when_a_waiting_party_dies() -> None:
    barrier = Barrier(parties=3)
    with forked(barrier.wait) as child:
        until(lambda: len(barrier.waiters()) == 1)  # it has come a moment before
        (party,) = barrier.waiters()
        assert party.pid == child.pid
        waiting = Background(lambda: barrier.wait(timeout=PATIENCE))
        until(lambda: barrier.n_waiting == 2)
        child.kill()
        with pytest.raises(isthmus.BrokenBarrierError, match="died"):
            waiting.finish()
    assert barrier.broken
    barrier.reset()
    assert not barrier.broken and barrier.n_waiting == 0


def test_a_party_that_died_alone_meets_nobody() -> None:
    ran: list[int] = []
    barrier = Barrier(parties=2, action=lambda: ran.append(1))
    with forked(barrier.wait) as child:
        until(lambda: barrier.n_waiting == 1)
        child.kill()
    assert barrier.n_waiting == 0
    with pytest.raises(isthmus.BrokenBarrierError):
        barrier.wait(timeout=PATIENCE)
    assert barrier.broken and not ran


def test_a_barrier_breaks_when_its_action_dies() -> None:
    barrier = Barrier(parties=2, action=lambda: os.kill(os.getpid(), signal.SIGKILL))
    waiting = Background(lambda: barrier.wait(timeout=PATIENCE))
    until(lambda: barrier.n_waiting == 1)
    with forked(barrier.wait) as child:
        assert child.finish() == -signal.SIGKILL
    with pytest.raises(isthmus.BrokenBarrierError):
        waiting.finish()


def test_one_that_never_waits_for_long_finds_that_the_action_died() -> None:
    barrier = Barrier(parties=1, action=lambda: os.kill(os.getpid(), signal.SIGKILL))
    with forked(barrier.wait) as child:
        assert child.finish() == -signal.SIGKILL

    def broken() -> bool:
        with pytest.raises(isthmus.BrokenBarrierError):
            barrier.wait(timeout=0.003)
        return barrier.broken

    until(broken)


def test_a_notification_is_not_lost_with_a_dead_waiter() -> None:
    condition = Condition(on_owner_death="ignore")

    def wait() -> None:
        with condition:
            condition.wait()

    with forked(wait) as child:
        until(lambda: len(condition.waiters()) == 1)
        os.kill(child.pid, signal.SIGSTOP)  # so that it cannot take what it is given
        waiting = Background(lambda: _waits(condition))
        until(lambda: len(condition.waiters()) == 2)
        with condition:
            condition.notify(1)
        child.kill()
        assert waiting.finish() is True


def _waits(condition: Condition) -> bool:
    with condition:
        return condition.wait(timeout=PATIENCE)


def test_a_waiter_is_told_when_an_owner_of_the_lock_dies_meanwhile() -> None:
    condition = Condition(on_owner_death="raise")
    died: list[tuple[bool, bool]] = []

    def wait() -> None:
        with condition:
            try:
                condition.wait(timeout=PATIENCE)
            except OwnerDied as error:
                died.append((condition.owner_died, error.lock is condition))
                raise

    waiting = Background(wait)
    until(lambda: len(condition.waiters()) == 1)

    def call() -> None:
        condition.acquire()
        condition.notify()

    with holding(call) as child:
        child.kill()
    with pytest.raises(OwnerDied):
        waiting.finish()
    # It left its `with` block by that error: nobody has repaired anything, so it is told again.
    assert died == [(True, True)]
    assert not condition.locked()
    with pytest.raises(OwnerDied):
        condition.acquire()
    condition.release()


def woken_by_a_dead_owner(condition: Condition, wait: Any) -> Background:
    """What calls `wait`, which waits with `condition`, when one has died that notified it."""
    waiting = Background(wait)
    until(lambda: len(condition.waiters()) == 1)

    def call() -> None:
        condition.acquire()
        condition.notify()

    with holding(call) as child:
        child.kill()
    return waiting


@pytest.mark.parametrize("given", [None, Lock, RLock], ids=["own", "Lock", "RLock"])
def test_a_function_that_fails_during_a_wait_is_what_the_with_block_ends_by(given: Any) -> None:
    told: list[bool] = []

    def repair(taken: Any) -> None:
        told.append(taken.locked())
        raise OSError("cannot be repaired")

    lock = None if given is None else given(on_owner_death=repair)
    condition = Condition(None, lock, on_owner_death=repair)

    def wait() -> None:
        with condition:
            try:
                condition.wait(timeout=PATIENCE)
            finally:
                told.append(condition.locked() and condition.owner_died)

    waiting = woken_by_a_dead_owner(condition, wait)
    with pytest.raises(OSError, match="cannot be repaired") as caught:
        waiting.finish()
    assert type(caught.value) is OSError
    assert told == [True, True]
    assert not condition.locked() and not condition.owner_died
    with pytest.raises(OSError, match="cannot be repaired"):  # the next one is told
        condition.acquire()
    assert not condition.locked()


def test_a_warning_that_is_an_error_is_what_the_with_block_of_a_wait_ends_by() -> None:
    condition = Condition()

    def wait() -> None:
        with condition:
            condition.wait(timeout=PATIENCE)

    with pytest.raises(isthmus.OwnerDiedWarning):  # warnings are errors in these tests
        woken_by_a_dead_owner(condition, wait).finish()
    with pytest.warns(isthmus.OwnerDiedWarning):
        condition.acquire()
    condition.release()


@pytest.mark.parametrize("policy", ["raise", None], ids=["raise", "function"])
def test_what_leaves_nested_with_blocks_is_what_the_wait_raised(policy: Any) -> None:
    class Unrepaired(Exception):
        pass

    def repair(taken: Any) -> None:
        raise Unrepaired

    condition = Condition(on_owner_death=policy or repair)

    def wait() -> None:
        with condition, condition:
            condition.wait(timeout=PATIENCE)

    with pytest.raises((OwnerDied, Unrepaired)):
        woken_by_a_dead_owner(condition, wait).finish()
    assert not condition.locked()
    condition.on_owner_death = "ignore"
    with condition:
        assert condition.owner_died
    with condition:
        assert not condition.owner_died


@pytest.mark.parametrize("policy", ["warn", "raise", "ignore"])
def test_a_handler_that_raises_during_a_wait_does_not_swallow_the_report(policy: Any) -> None:
    condition = Condition(on_owner_death=policy)
    reporter = copy.copy(condition)
    reporter.on_owner_death = "ignore"

    class Interrupt(Exception):
        pass

    with Signal() as interrupted:

        def handle(*_: object) -> None:
            interrupted.set()
            raise Interrupt

        def wait() -> None:
            signal.signal(signal.SIGUSR1, handle)
            try:
                with condition:
                    condition.wait()
            except Interrupt:
                pass

        with forked(wait) as waiter:
            until(lambda: len(condition.waiters()) == 1)
            with holding(condition.acquire) as owner:
                os.kill(waiter.pid, signal.SIGUSR1)
                interrupted.wait()
                owner.kill()
            assert waiter.finish() == 0
    with reporter:
        assert reporter.owner_died
    with reporter:
        assert not reporter.owner_died


def test_a_dead_reader_is_as_one_that_has_left() -> None:
    rw = RWLock(on_owner_death="raise")
    with holding(rw.read.acquire) as child:
        assert not rw.write.acquire(timeout=0.02)
        (reader,) = rw.readers()
        assert reader.pid == child.pid
        child.kill()
    assert rw.write.acquire(timeout=PATIENCE)
    rw.write.release()


def test_readers_are_told_of_a_dead_writer_until_another_has_written() -> None:
    rw = RWLock(on_owner_death="ignore")
    with holding(rw.write.acquire) as child:
        assert rw.writer is not None
        assert rw.writer.pid == child.pid
        child.kill()
    for _ in range(2):
        with rw.read as side:
            assert side.owner_died
    with rw.write as side:
        assert side.owner_died
    with rw.read as side:
        assert not side.owner_died


def test_a_reader_that_raises_may_keep_or_give_back_what_it_has() -> None:
    rw = left_by_a_dead_owner(lambda *a, **k: RWLock(*a, **k).write, on_owner_death="raise").rwlock
    with pytest.raises(OwnerDied) as caught:
        rw.read.acquire()
    assert caught.value.lock == rw.read
    assert len(rw.readers()) == 1
    caught.value.lock.release()
    assert rw.readers() == []
    with pytest.raises(OwnerDied), rw.read:
        raise AssertionError
    rw.read.release()


def test_the_lock_given_to_a_condition_reports_as_it_would_itself() -> None:
    lock = Lock(on_owner_death="raise")
    condition = Condition(None, lock)
    with holding(condition.acquire) as child:
        child.kill()
    with pytest.raises(OwnerDied) as caught, condition:
        raise AssertionError
    assert caught.value.lock is lock
    lock.release()
