"""Locks and friends across forks, and in children of multiprocessing, whatever started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from bare_calls import PATIENCE, Background, until
from sharing import Forked, Signal, every_kind, forked, objects
from turns import count, exclude, hold, leave_a_pool_of_threads, make_named, use_all

import isthmus
from isthmus import AtomicInt, Barrier, Condition, Event, Lock, RLock, RWLock, Segment, Semaphore

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def context_of(method: str) -> Any:
    return multiprocessing.get_context(method)


every_method = pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])


@every_kind
def test_a_handle_made_before_a_fork_works_in_both(make: Any, name: str) -> None:
    with Segment.anonymous("64 KiB") as segment:
        handles = [make(name), make(), make(segment=segment, offset=64)]
        for handle in handles:
            with forked(lambda handle=handle: use_all(handle)) as child:  # type: ignore[misc]
                assert child.finish() == 0
            use_all(handle)
        with forked(lambda: use_all(*handles)) as one, forked(lambda: use_all(*handles)) as two:
            use_all(*handles)
            assert (one.finish(), two.finish()) == (0, 0)


@pytest.mark.parametrize("make", [Lock, RLock, Condition], ids=lambda cls: cls.__name__)
def test_what_is_held_across_a_fork_belongs_to_the_parent(make: Any) -> None:
    lock = make()
    lock.acquire()

    def in_child() -> None:
        assert lock.locked() and not lock.owner_died
        assert lock.owner.pid == os.getppid()
        for give_back in (lock.release, lock.abandon):
            with pytest.raises(isthmus.NotHeldError, match="the parent's"):
                give_back()
        assert not lock.acquire(timeout=0.05)
        with pytest.raises(isthmus.NotHeldError):
            lock.release()

    with forked(in_child) as child:
        assert child.finish() == 0
    assert lock.locked()
    lock.release()
    with forked(lambda: hold(lock)) as child:
        assert child.finish() == 0


def test_what_is_shared_across_a_fork_belongs_to_the_parent() -> None:
    rw, slots = RWLock(), Semaphore(value=1, robust=True)
    rw.read.acquire()
    slots.acquire()

    def in_child() -> None:
        assert not rw.write.acquire(timeout=0.01)
        assert [each.pid for each in rw.readers()] == [os.getppid()]
        assert [each.pid for each in slots.holders()] == [os.getppid()]
        with pytest.raises(isthmus.NotHeldError):
            rw.read.release()
        with pytest.raises(isthmus.NotHeldError, match="robust"):
            slots.release()
        with rw.read:
            pass

    with forked(in_child) as child:
        assert child.finish() == 0
    rw.read.release()
    slots.release()


def test_the_owner_of_what_a_child_takes_is_the_child() -> None:
    lock = RLock()
    with Signal() as taken, Signal() as go_on:

        def in_child() -> None:
            with lock:
                taken.set()
                go_on.wait()

        with forked(in_child) as child:
            taken.wait()
            owner = lock.owner
            assert owner is not None
            assert (owner.pid, owner.thread, owner.alive) == (child.pid, child.pid, True)
            assert not lock.acquire(block=False)
            go_on.set()
            assert child.finish() == 0
    assert lock.owner is None


def test_a_child_that_dies_takes_nothing_with_it(name: str) -> None:
    lock, slots = Lock(name), Semaphore(value=2, robust=True)
    lock.acquire()
    slots.acquire()
    with forked(lambda: os.kill(os.getpid(), signal.SIGKILL)) as child:
        assert child.finish() == -signal.SIGKILL
    assert lock.locked() and slots.value == 1
    other = Lock(name, on_owner_death="raise")
    assert not other.acquire(timeout=0.05)
    lock.release()
    with other:
        pass


def test_a_parent_that_dies_leaves_its_child_the_object(name: str) -> None:
    with Signal() as died, Signal() as done:

        def parent() -> None:
            lock = Lock(name, on_owner_death="ignore")
            lock.acquire()

            def grandchild() -> None:
                died.wait()
                assert objects(name)
                # The child inherited what its parent had open; it is dead all the same.
                assert lock.acquire(timeout=PATIENCE)
                assert lock.owner_died
                lock.release()
                lock.close()
                assert not objects(name)
                done.set()

            Forked(grandchild)
            os.kill(os.getpid(), signal.SIGKILL)

        with forked(parent) as child:
            assert child.finish() == -signal.SIGKILL
            died.set()
            done.wait()


def test_an_object_outlives_the_parents_handle_as_long_as_a_child_has_one(name: str) -> None:
    lock = Lock(name)
    with Signal() as closed, Signal() as seen:

        def in_child() -> None:
            closed.wait()
            assert objects(name)
            with lock:
                seen.set()
            lock.close()
            assert not objects(name)

        with forked(in_child) as child:
            lock.close()
            closed.set()
            seen.wait()
            assert child.finish() == 0


def test_a_child_forked_while_others_wait_can_close_and_use_the_handle() -> None:
    lock = Lock()
    lock.acquire()
    waiting = Background(lambda: lock.acquire(timeout=PATIENCE))
    until(lambda: len(lock.waiters()) == 1)
    with forked(lock.close) as child:
        assert child.finish() == 0
    with forked(lambda: lock.acquire(timeout=0.02)) as child:
        assert child.finish() == 0
    lock.release()
    assert waiting.finish() is True
    lock.release()


def test_a_child_with_no_room_left_is_told_so(name: str) -> None:
    lock = Lock(name, participants=1)

    def in_child() -> None:
        with pytest.raises(isthmus.TooManyParticipantsError, match="1 living handles and room"):
            lock.acquire()

    with forked(in_child) as child:
        assert child.finish() == 0


@pytest.mark.slow
@every_method
def test_they_reach_children_of_multiprocessing(method: str, name: str) -> None:
    context = context_of(method)
    with Segment.anonymous("64 KiB") as segment:
        for where in ({"name": name}, {}, {"segment": segment, "offset": 1024}):
            lock = Lock(**where)
            counter, total = AtomicInt(), AtomicInt(name + "-total")
            children = [
                context.Process(target=count, args=(lock, counter, total, 200)) for _ in range(2)
            ]
            for child in children:
                child.start()
            count(lock, counter, total, 200)
            for child in children:
                child.join(PATIENCE)
                assert child.exitcode == 0
            assert (counter.load(), total.load()) == (600, 600)
            total.close()


@pytest.mark.slow
@every_method
def test_every_kind_reaches_children_of_multiprocessing(method: str) -> None:
    lock = Lock()
    handles = [
        lock,
        RLock(),
        Semaphore(),
        Semaphore(robust=True),
        Event(),
        Condition(),
        Condition(None, lock),
        Barrier(parties=1),
        RWLock(),
        AtomicInt(),
    ]
    process = context_of(method).Process(target=use_all, args=handles)
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == 0


@pytest.mark.slow
@every_method
def test_a_child_of_multiprocessing_that_ends_leaves_nothing(method: str, name: str) -> None:
    """It does not run what is registered with atexit."""
    context = context_of(method)
    process = context.Process(target=make_named, args=(name,))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == 0
    assert objects(name) == []


@pytest.mark.slow
@every_method
def test_a_pool_shares_a_lock(method: str, name: str) -> None:
    lock = Lock(name)
    with context_of(method).Pool(2) as pool:
        assert sum(pool.map(exclude, [lock] * 20)) == 20


@pytest.mark.slow
def test_another_program_takes_its_turn(name: str) -> None:
    lock = Lock(name)
    program = """
import sys, isthmus
with isthmus.Lock(sys.argv[1]) as lock:
    print(lock.owner.command.split()[1:3], isthmus.AtomicInt(sys.argv[1] + "-n").add(1))
"""
    counter = AtomicInt(name + "-n")
    lock.acquire()
    command = [sys.executable, "-P", "-c", program, name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        until(lambda: len(lock.waiters()) == 1)
        assert counter.load() == 0
        lock.release()
        output, _ = process.communicate(timeout=PATIENCE)
    assert output == "['-P', '-c'] 0\n"
    assert counter.load() == 1


@pytest.mark.slow
def test_a_handle_closed_just_before_a_fork_leaves_no_descriptor(
    run_python: Callable[..., str],
) -> None:
    program = """
    import os
    handles = []
    # Runs after what isthmus does before a fork, as it was there first.
    os.register_at_fork(before=lambda: [handle.close() for handle in handles])
    import isthmus
    isthmus.Lock(), isthmus.AtomicInt()
    before = len(os.listdir("/proc/self/fd"))
    handles += [isthmus.Lock(), isthmus.AtomicInt(), isthmus.Lock()]
    pid = os.fork()
    assert len(os.listdir("/proc/self/fd")) == before
    if pid:
        print(os.waitpid(pid, 0)[1])
    """
    assert run_python(program) == "0\n"


@pytest.mark.slow
def test_a_child_that_never_used_it_ends_without_harm(run_python: Callable[..., str]) -> None:
    program = """
    import multiprocessing, threading, isthmus, os
    context = multiprocessing.get_context("fork")
    lock = isthmus.Lock()

    def work(ready):
        # A thread that is still at work when the function has returned.
        def late():
            ready.wait(60)
            for _ in range(100):
                with lock:
                    pass
            print("late", flush=True)
        threading.Thread(target=late).start()
        threading.Timer(0.01, ready.set).start()

    if __name__ == "__main__":
        process = context.Process(target=work, args=(threading.Event(),))
        process.start()
        process.join()
        print(process.exitcode)
    """
    assert run_python(program).split() == ["late", "0"]


@pytest.mark.slow
@every_method
def test_a_child_that_leaves_a_pool_of_threads_ends(method: str, name: str) -> None:
    process = context_of(method).Process(target=leave_a_pool_of_threads, args=(name,))
    process.start()
    process.join(PATIENCE)
    ended = process.exitcode
    process.kill()
    process.join()
    assert ended == 0
    assert objects(name) == []
