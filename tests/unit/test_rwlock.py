"""RWLock; what happens when owners die is in test_owner_death.py."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pytest
from bare_calls import Background, until

import isthmus
from isthmus import RWLock

SIDES = ["read", "write"]
every_side = pytest.mark.parametrize("side", SIDES)


def test_many_read_or_one_writes(name: str) -> None:
    one, other = RWLock(name), RWLock(name)
    with one.read, other.read as entered:
        assert entered == other.read
        assert one.read.locked() and not one.write.locked()
        assert other.write.acquire(block=False) is False
        assert len(one.readers()) == 2
        assert repr(one) == f"<isthmus.RWLock {name!r}, read by 2>"
    with one.write:
        assert not one.read.locked() and other.write.locked()
        for handle in (one, other):
            assert handle.read.acquire(block=False) is False
            assert handle.write.acquire(timeout=0.01) is False
        writer = other.writer
        assert writer is not None
        assert (writer.pid, writer.thread) == (os.getpid(), threading.get_native_id())
        assert repr(one) == f"<isthmus.RWLock {name!r}, held by pid {os.getpid()}>"
    assert one.writer is None and one.readers() == []
    assert one.write.acquire(True, 1) and one.write.locked()
    one.write.release()


def test_a_writer_that_waits_holds_up_new_readers() -> None:
    rw = RWLock()
    rw.read.acquire()
    writing = Background(lambda: rw.write.acquire(timeout=60))
    until(lambda: len(rw.waiters()) == 1)
    assert rw.read.acquire(timeout=0.02) is False
    rw.read.release()
    assert writing.finish() is True
    rw.write.release()
    with rw.read:
        pass


def test_readers_with_preference_pass_a_writer_that_waits() -> None:
    rw = RWLock(reader_preference=True)
    rw.read.acquire()
    writing = Background(lambda: rw.write.acquire(timeout=60))
    until(lambda: len(rw.waiters()) == 1)
    assert rw.read.acquire(timeout=60)
    rw.read.release()
    assert not rw.write.locked() or rw.writer is not None
    rw.read.release()
    assert writing.finish() is True


def test_readers_go_on_when_a_writer_gives_up_waiting() -> None:
    rw = RWLock()
    rw.read.acquire()
    assert rw.write.acquire(timeout=0.02) is False
    assert rw.read.acquire(timeout=60)
    rw.read.release()
    rw.read.release()


@every_side
def test_what_is_not_held_cannot_be_released(side: str, name: str) -> None:
    one, other = RWLock(name), RWLock(name)
    with pytest.raises(isthmus.NotHeldError):
        getattr(one, side).release()
    with getattr(one, side), pytest.raises(RuntimeError):
        getattr(other, side).release()
    wrong = "write" if side == "read" else "read"
    with getattr(one, side), pytest.raises(isthmus.NotHeldError):
        getattr(one, wrong).release()


@every_side
def test_a_timeout_is_waited_for(side: str) -> None:
    rw = RWLock()
    with rw.write:
        begin = time.monotonic()
        assert getattr(rw, side).acquire(timeout=0.07) is False
        assert time.monotonic() - begin >= 0.07
    with pytest.raises(isthmus.ArgumentError, match="does not block"):
        getattr(rw, side).acquire(False, 1)
    with pytest.raises(TypeError):
        getattr(rw, side).acquire(timeout="1")


def test_readers_see_what_writers_wrote_whole() -> None:
    rw, values = RWLock(), [0, 0]

    def write() -> None:
        for _ in range(100):
            with rw.write:
                values[0] += 1
                time.sleep(0)
                values[1] += 1

    def read() -> None:
        for _ in range(300):
            with rw.read:
                one = values[0]
                time.sleep(0)
                assert values[1] == one

    threads = [Background(work) for work in (write, write, read, read)]
    for thread in threads:
        thread.finish()
    assert values == [200, 200]


def test_sides_are_made_by_the_lock_only() -> None:
    rw = RWLock()
    write: object = rw.write
    assert rw.read == rw.read and rw.read != write and rw.read != RWLock().read
    assert len({rw.read, rw.read, rw.write}) == 2
    assert rw.read.rwlock is rw
    with pytest.raises(TypeError):
        type(rw.read)()
    assert rw.read.on_owner_death == "warn"
    rw.write.acquire()
    rw.write.abandon()
    with pytest.warns(isthmus.OwnerDiedWarning):
        rw.read.acquire()
    assert rw.read.owner_died
    rw.read.abandon()
    with pytest.warns(isthmus.OwnerDiedWarning), rw.write:
        pass


def test_what_is_there_must_be_what_was_asked_for(name: str) -> None:
    rw = RWLock(name, reader_preference=True)
    with pytest.raises(isthmus.MismatchError, match="reader_preference=True, not False"):
        RWLock(name, reader_preference=False)
    RWLock(name)
    RWLock(name, reader_preference=True)
    rw.close()


@every_side
def test_a_closed_one_says_so(side: str, name: str) -> None:
    rw = RWLock(name)
    rw.close()
    handle: Any = getattr(rw, side)
    for use in (handle.acquire, handle.release, handle.locked, handle.__enter__, rw.readers):
        with pytest.raises(isthmus.ClosedError, match="has been closed"):
            use()
