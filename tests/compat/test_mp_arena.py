"""What locks and values of `isthmus.compat.multiprocessing` cost, and how memory is used again."""

from __future__ import annotations

import os
import pickle
import resource
import threading
from multiprocessing import get_context
from multiprocessing.reduction import ForkingPickler
from typing import Any

import pytest
from lock_jobs import add_to_all

from isthmus.compat.multiprocessing.sharedctypes import RawArray, RawValue, Value
from isthmus.compat.multiprocessing.synchronize import Barrier, Condition, Event, Lock, Semaphore


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def places(*things: Any) -> set[tuple[int, int]]:
    blocks = [each._origin.block for each in things]
    return {(id(block.arena), block.offset) for block in blocks}


def test_hundreds_of_locks_share_a_few_descriptors() -> None:
    before = descriptors()
    kinds = (Lock, Semaphore, Event, Condition, lambda: Barrier(2))
    things = [kinds[i % 5]() for i in range(250)]
    assert descriptors() - before <= 20
    del things
    arena_in_use = 2
    assert descriptors() - before <= arena_in_use


def test_one_that_only_this_process_has_known_leaves_its_place_to_the_next() -> None:
    known = places(Lock())  # of an arena that has begun
    for make in (Lock, Lock, Condition, Lock):
        lock = make()
        with lock:
            pass
        known |= places(lock)
        del lock
    assert len(known) <= 4
    again = Lock()
    assert places(again) <= known
    assert not again.locked() and again._participants()[0][0] == os.getpid()


@pytest.mark.parametrize("how", ["fork", "pickle"])
def test_one_that_others_may_know_does_not(how: str) -> None:
    lock = Semaphore(3)
    kept = places(lock)
    if how == "fork":
        child = os.fork()
        if child == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    else:
        assert pickle.loads(ForkingPickler.dumps(lock)) is lock
    del lock
    others = [Semaphore() for _ in range(20)]
    assert not kept & places(*others)


def test_a_child_and_its_parent_do_not_make_theirs_in_the_same_place() -> None:
    first = Semaphore()
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        values = [RawValue("i", 7) for _ in range(50)]
        inherited = first._origin.block.arena
        own = all(each._wrapper.block.arena is not inherited for each in values)
        os.write(there, b"y" if own else b"n")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(here, 1) == b"y"
    os.close(here)
    os.close(there)
    assert all(RawValue("i").value == 0 for _ in range(50))


def test_a_large_one_has_memory_of_its_own_that_goes_with_it() -> None:
    before = descriptors()
    large = RawArray("B", 3 << 20)
    assert len(large) == 3 << 20 and not any(large[:4096])
    large[-1] = 255
    assert descriptors() - before == 1
    view = memoryview(large).cast("B")
    del large
    assert view[-1] == 255
    del view
    assert descriptors() == before


def test_memory_that_is_not_to_be_had_is_an_error_here() -> None:
    with pytest.raises(OSError, match="anonymous"):
        RawArray("B", 1 << 60)


def test_threads_make_them_at_the_same_time() -> None:
    made: list[Any] = []

    def make() -> None:
        for _ in range(60):
            lock = Semaphore()
            made.append(lock)
            Lock()

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(places(*made)) == 240


def test_five_hundred_values_are_made_and_inherited_under_a_tight_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(descriptors() + 64, hard), hard))
    try:
        values = [Value("i") for _ in range(500)]
        done = Semaphore(0)
        child = get_context("fork").Process(target=add_to_all, args=(values, done))
        child.start()
        child.join(60)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert child.exitcode == 0 and done.get_value() == 1
    assert all(value.value == 1 for value in values)
    child.close()


WITHOUT_DESCRIPTORS = """
import os, resource
from isthmus.compat.multiprocessing import _arena
from isthmus.compat.multiprocessing.synchronize import Lock

lock = Lock()
descriptor = lock._origin.block.arena.descriptor()
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (os.dup(0) + 1, hard))
try:
    while True:
        os.dup(0)
except OSError:
    pass  # none can be opened any more, before the fork or after it
child = os.fork()
if child == 0:
    os._exit(0 if lock.closed and descriptor.closed else 1)
assert os.waitpid(child, 0)[1] == 0
with lock:
    assert lock.locked()
assert not _arena._prepared
"""


def test_a_child_that_cannot_have_a_descriptor_of_its_own_has_the_locks_closed(
    run_python: Any,
) -> None:
    run_python(WITHOUT_DESCRIPTORS)
