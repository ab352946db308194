"""`isthmus.wait`: the first of several things."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from bare_calls import PATIENCE, Background, Stop, child, presses_ctrl_c, signals, stop, until
from hypothesis import given, settings, strategies as st
from sharing import Signal, forked, holding

import isthmus
from isthmus import (
    AtomicInt,
    Barrier,
    BoundedSemaphore,
    Condition,
    Event,
    Lock,
    RLock,
    RWLock,
    Semaphore,
)
from isthmus._core import doorbell
from isthmus.waiting import _Files, _Hearing, _Wait, _wait

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def threads() -> int:
    """How many this process has; one that has ended is gone a moment later."""
    return len(os.listdir("/proc/self/task"))


every_way = pytest.mark.parametrize("poll", [False, True], ids=["kernel", "poll"])


def test_those_that_are_ready_come_in_their_order() -> None:
    lock, event, slots = Lock(), Event(), Semaphore(value=1)
    assert isthmus.wait([slots, event, lock], timeout=0) == [slots, lock]
    event.set()
    assert isthmus.wait(iter([slots, event, lock, event])) == [slots, event, lock, event]
    lock.acquire()
    slots.acquire()
    assert isthmus.wait([slots, event, lock]) == [event]


def test_nothing_is_taken() -> None:
    lock, slots = Lock(), BoundedSemaphore(value=1)
    for _ in range(3):
        assert isthmus.wait([lock, slots]) == [lock, slots]
    assert not lock.locked() and slots.value == 1


@every_way
def test_a_wait_ends_when_its_time_is_over(poll: bool) -> None:
    before = threads()
    lock, event = Lock(), Event()
    with lock, Signal() as flag:
        for things in ([lock], [lock, event], [flag._read], [lock, flag._read], []):
            began = time.monotonic()
            assert _wait(list[Any](things), 0.03, poll) == []
            assert time.monotonic() - began >= 0.03
            assert _wait(list[Any](things), 0, poll) == []
            assert _wait(list[Any](things), -1, poll) == []
    until(lambda: threads() <= before)


def _lock(make: Any) -> tuple[Any, Any]:
    """One that is taken, and how to give it back."""
    lock = make()
    other = lock.__copy__()
    other.acquire()
    return lock, other.release


def _event(event: Event) -> tuple[Any, Any]:
    return event, event.set


THINGS: dict[str, Any] = {
    "Lock": lambda: _lock(Lock),
    "RLock": lambda: _lock(RLock),
    "Semaphore": lambda: _lock(lambda: Semaphore(value=1)),
    "robust Semaphore": lambda: _lock(lambda: Semaphore(value=1, robust=True)),
    "BoundedSemaphore": lambda: _lock(lambda: BoundedSemaphore(value=1)),
    "Event": lambda: _event(Event()),
}
every_thing = pytest.mark.parametrize("make", THINGS.values(), ids=THINGS.keys())


@every_thing
@every_way
def test_each_kind_ends_the_wait_when_it_is_ready(make: Any, poll: bool) -> None:
    thing, give = make()
    busy = Lock()
    other = busy.__copy__()
    with other:
        waiting = Background(lambda: _wait([busy, thing], PATIENCE, poll))
        until(lambda: bool(other.waiters()))
        if not isinstance(thing, RLock):  # belongs to this thread
            Background(give).finish()
        else:
            give()
        assert waiting.finish() == [thing]
        assert other.waiters() == []


@every_way
def test_descriptors_end_the_wait_beside_objects(poll: bool) -> None:
    before = threads()
    near, far = socket.socketpair()
    read, write = os.pipe()
    busy = Lock()
    with near, far, open(read, "rb") as pipe, busy.__copy__() as other:
        waiting = Background(lambda: _wait([near, busy, pipe, read], PATIENCE, poll))
        until(lambda: bool(other.waiters()))
        os.write(write, b"x")
        assert waiting.finish() == [pipe, read]
        far.send(b"y")
        assert _wait([near, busy, pipe, read], PATIENCE, poll) == [near, pipe, read]
        pipe.read(1)
        near.recv(1)
        assert _wait([near, busy, pipe, read], 0.01, poll) == []
        os.close(write)  # the end of the pipe is something to be read
        assert _wait([near, busy, pipe, read], PATIENCE, poll) == [pipe, read]
    until(lambda: threads() <= before)


def test_descriptors_alone_need_nothing_else() -> None:
    read, write = os.pipe()
    waiting = Background(lambda: isthmus.wait([read], PATIENCE))
    os.write(write, b"x")
    assert waiting.finish() == [read]
    os.close(write)
    os.close(read)


def test_objects_that_are_ready_do_not_hide_descriptors() -> None:
    with Signal() as flag:
        lock = Lock()
        flag.set()
        assert isthmus.wait([lock, flag._read]) == [lock, flag._read]


def test_what_the_wait_needs_for_descriptors_goes_with_the_call() -> None:
    lock = Lock()
    with lock.__copy__() as other, Signal() as flag:
        before = set(os.listdir("/proc/self/fd"))
        for _ in range(5):
            waiting = Background(lambda: isthmus.wait([lock, flag._read], PATIENCE))
            until(lambda: bool(other.waiters()))
            other.release()
            assert waiting.finish() == [lock]
            other.acquire()
        assert set(os.listdir("/proc/self/fd")) == before


def test_a_closed_descriptor_is_told() -> None:
    lock = Lock()
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(isthmus.ClosedError, match=f"descriptor {read} is not open"):
        isthmus.wait([read, lock], 1)
    os.close(write)
    near, far = socket.socketpair()
    with far:
        near.close()
        with pytest.raises(isthmus.ClosedError, match="no open descriptor"):
            isthmus.wait([near], 1)


def test_what_cannot_be_waited_for_is_refused() -> None:
    for thing in (Condition(), Barrier(parties=2), RWLock(), AtomicInt()):
        with pytest.raises(TypeError, match=f"cannot wait for a {type(thing).__name__} together"):
            isthmus.wait([Lock(), thing], 0)
    for wrong in ("lock", True, None, object()):
        with pytest.raises(TypeError, match="it has no fileno"):
            isthmus.wait([wrong], 0)
    with pytest.raises(isthmus.ArgumentError, match="for ever"):
        isthmus.wait([])
    with pytest.raises(isthmus.ArgumentError, match="NaN"):
        isthmus.wait([Lock()], float("nan"))


def test_a_closed_object_is_told_and_the_others_are_as_before() -> None:
    lock, closed = Lock(), Lock()
    closed.close()
    with pytest.raises(isthmus.ClosedError):
        isthmus.wait([lock, closed])
    lock.close()  # not kept in use


def test_an_object_cannot_be_closed_while_it_is_waited_for() -> None:
    lock = Lock()
    with lock.__copy__() as other:
        waiting = Background(lambda: isthmus.wait([lock], PATIENCE))
        until(lambda: bool(other.waiters()))
        with pytest.raises(isthmus.InUseError):
            lock.close()
        other.release()
        assert waiting.finish() == [lock]
        other.acquire()
    lock.close()


def test_an_event_that_is_cleared_again_ends_the_wait() -> None:
    event, busy = Event(), Lock()
    with busy.__copy__() as other:
        waiting = Background(lambda: isthmus.wait([busy, event], PATIENCE))
        until(lambda: bool(other.waiters()))
        event.set()
        event.clear()
        assert waiting.finish() == [event]


def test_any_number_of_objects() -> None:
    events = [Event() for _ in range(300)]
    busy = Lock()
    with busy.__copy__() as other:
        for chosen in (0, 126, 127, 299):
            waiting = Background(lambda: isthmus.wait([busy, *events], PATIENCE))
            until(lambda: bool(other.waiters()))
            events[chosen].set()
            assert waiting.finish() == [events[chosen]]
            events[chosen].clear()


@pytest.mark.parametrize("make", [Lock, RLock, lambda: Semaphore(value=1, robust=True)])
def test_what_a_killed_process_held_is_ready(make: Any) -> None:
    thing, event = make(), Event()
    with holding(thing.acquire) as process:
        assert isthmus.wait([thing, event], 0.01) == []
        waiting = Background(lambda: isthmus.wait([thing, event], PATIENCE))
        until(lambda: bool(thing.waiters()))
        process.kill()
        assert waiting.finish() == [thing]
        if not isinstance(thing, Semaphore):
            thing.on_owner_death = "ignore"
        assert thing.acquire(timeout=PATIENCE)


class Fuss(_Files):
    """In place of plain descriptors: before each poll others have rung, though nothing has come."""

    def __init__(self, first: Callable[[], object] = int) -> None:
        super().__init__([])
        self._first, self.polls = first, 0

    def look(self, seconds: float | None = 0.0, bell: int | None = None) -> list[int]:
        assert bell is not None
        if self.polls == 0:
            self._first()
        self.polls += 1
        assert self.polls < 1_000_000, "this goes on for ever"
        return [bell]


def test_what_a_killed_process_held_is_ready_however_much_others_ring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doorbell, "LATE_LOOK", 0.01)
    lock = Lock()
    with holding(lock.acquire) as process:
        waiting = _Wait([lock], None)
        with _Hearing(waiting) as hearing:

            def die_too_early() -> None:
                process.kill()
                hearing._bell.heard()

            assert hearing.wait(Fuss(die_too_early)) == [0]
        waiting.close()


def test_a_wait_ends_when_its_time_is_over_however_much_others_ring() -> None:
    event = Event()
    waiting = _Wait([event], 0.01)
    with _Hearing(waiting) as hearing:
        assert hearing.wait(Fuss()) == []
    waiting.close()
    event.close()


def test_several_processes_wait_for_the_same_and_all_are_told(name: str) -> None:
    event, busy = Event(name), Lock(name + "-busy")
    with busy:

        def wait() -> None:
            assert isthmus.wait([busy, event], PATIENCE) == [event]

        with forked(wait) as one, forked(wait) as other:
            until(lambda: len(busy.waiters()) == 2)
            event.set()
            assert one.finish() == 0 and other.finish() == 0
    busy.close()
    event.close()


def test_locks_that_several_processes_wait_for_go_from_one_to_the_next() -> None:
    locks, count, rounds = [Lock() for _ in range(3)], AtomicInt(), 200

    def take_whichever_is_free() -> None:
        for _ in range(rounds):
            while True:
                ready = isthmus.wait(locks, PATIENCE)
                assert ready
                if ready[0].acquire(block=False):
                    break
            count.add(1)
            ready[0].release()

    def take_the_first() -> None:
        for _ in range(rounds):
            assert locks[0].acquire(timeout=PATIENCE)
            count.add(1)
            locks[0].release()

    with (
        forked(take_whichever_is_free) as one,
        forked(take_whichever_is_free) as two,
        forked(take_the_first) as three,
    ):
        assert [each.finish() for each in (one, two, three)] == [0, 0, 0]
    assert count.load() == 3 * rounds


@pytest.mark.parametrize("beside", [False, True], ids=["objects", "and descriptors"])
def test_signal_handlers_run_and_may_end_the_wait(beside: bool) -> None:
    before = threads()
    lock = Lock()
    with lock.__copy__() as other, Signal() as flag:
        things: list[Any] = [lock, flag._read] if beside else [lock]
        calls: list[int] = []

        def count_five(number: int) -> None:
            calls.append(number)
            if number == 5:
                stop(number)

        with pytest.raises(Stop), signals(count_five):
            isthmus.wait(things, PATIENCE)
        assert calls[:5] == [1, 2, 3, 4, 5]
        assert other.waiters() == []
    until(lambda: threads() <= before)
    lock.close()


@pytest.mark.slow
def test_ctrl_c_ends_the_wait_at_once() -> None:
    program = """
    import isthmus, os
    lock = isthmus.Lock()
    read, write = os.pipe()
    with lock.__copy__():
        print("waiting", flush=True)
        isthmus.wait([lock, read])
    """
    with child(program) as process:
        assert process.stdout is not None
        process.stdout.readline()
        presses_ctrl_c(process)


def test_a_forked_child_waits_with_what_it_inherited() -> None:
    lock, event = Lock(), Event()
    with lock:

        def wait() -> None:
            assert isthmus.wait([lock, event], 0) == []
            assert isthmus.wait([lock, event], PATIENCE) == [event]

        with forked(wait) as process:
            until(lambda: bool(lock.waiters()))
            event.set()
            assert process.finish() == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["lock", "slots", "event", "pipe"]), max_size=8), st.data())
def test_it_tells_what_each_of_them_would_tell(kinds: list[str], data: st.DataObject) -> None:
    things: list[Any] = []
    expected: list[bool] = []
    ends: list[int] = []
    for kind in kinds:
        ready = data.draw(st.booleans())
        expected.append(ready)
        if kind == "lock":
            things.append(Lock())
            if not ready:
                things[-1].acquire()
        elif kind == "slots":
            things.append(Semaphore(value=int(ready)))
        elif kind == "event":
            things.append(Event())
            if ready:
                things[-1].set()
        else:
            ends += os.pipe()
            things.append(ends[-2])
            if ready:
                os.write(ends[-1], b"x")
    timeout = data.draw(st.sampled_from([0, 0.001]))
    try:
        found = isthmus.wait(things, timeout)
        assert found == [thing for thing, ready in zip(things, expected, strict=True) if ready]
    finally:
        for end in ends:
            os.close(end)


def test_an_idle_wait_burns_next_to_no_time() -> None:
    locks = [Lock() for _ in range(3)]
    for lock in locks:
        lock.acquire()
    before = time.process_time()
    began = time.monotonic()
    assert isthmus.wait(locks, 0.5) == []
    assert time.process_time() - before < 0.2 * (time.monotonic() - began)
