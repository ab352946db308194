"""Contexts, and what the standard library builds on them: pools, executors, waiting."""

from __future__ import annotations

import importlib
import multiprocessing as standard
import os
import pickle
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any

import mp_jobs
import pytest
from bare_calls import PATIENCE
from sharing import forked

from isthmus.compat import multiprocessing
from isthmus.compat.multiprocessing import _context

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

every_method = pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])


def test_everything_that_the_standard_package_has_is_there() -> None:
    for name in standard.__all__:  # type: ignore[attr-defined]
        ours, theirs = getattr(multiprocessing, name), getattr(standard, name)
        made_here = name in {*_context.NAMES, "get_context", "Pool"}
        assert (ours == theirs) is not made_here, name
    assert set(standard.__all__) <= set(dir(multiprocessing))  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        multiprocessing.no_such_name


@pytest.mark.parametrize(
    "name",
    ["connection", "managers", "pool", "queues", "shared_memory", "sharedctypes", "synchronize"],
)
def test_submodules_can_be_imported_by_their_names(name: str) -> None:
    module = importlib.import_module(f"isthmus.compat.multiprocessing.{name}")
    original = importlib.import_module(f"multiprocessing.{name}")
    for public in original.__all__:
        assert hasattr(module, public), public
    assert getattr(multiprocessing, name) is module


@every_method
def test_a_context_makes_objects_of_this_package_and_starts_processes(method: str) -> None:
    context = multiprocessing.get_context(method)
    assert context.get_context() is context
    assert context.get_context("spawn") is multiprocessing.get_context("spawn")
    assert context.get_start_method() == method
    assert issubclass(context.Process, standard.process.BaseProcess)
    for name in ("Queue", "JoinableQueue", "SimpleQueue", "Lock", "RLock", "Semaphore", "Event",
                 "BoundedSemaphore", "Condition"):  # fmt: skip
        assert type(getattr(context, name)()).__module__.startswith("isthmus."), name
    assert context.Barrier(2).parties == 2
    assert context.Value("i", 3).value == 3
    assert list(context.Array("i", [1, 2])) == [1, 2]
    assert (context.RawValue("d", 1.5).value, len(context.RawArray("d", 3))) == (1.5, 3)
    one, other = context.Pipe()
    with one, other:
        one.send("x")
        assert other.recv() == "x"


def test_a_start_method_that_does_not_exist_is_said() -> None:
    with pytest.raises(ValueError, match="cannot find context for 'spoon'"):
        multiprocessing.get_context("spoon")


def test_the_default_context_is_that_of_the_standard_package() -> None:
    assert multiprocessing.get_context().get_start_method() == standard.get_start_method()


@pytest.mark.slow
@every_method
def test_a_pool_works_over_our_queues_and_ends(method: str) -> None:
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert type(pool._inqueue).__module__.startswith("isthmus.")
        assert pool.map(mp_jobs.square, range(50)) == [i * i for i in range(50)]
        results = [pool.apply_async(mp_jobs.square, (i,)) for i in range(5)]
        assert [result.get(PATIENCE) for result in results] == [0, 1, 4, 9, 16]
        assert sum(pool.imap_unordered(mp_jobs.square, range(10))) == 285
        with pytest.raises((pickle.PicklingError, AttributeError)):
            pool.apply(lambda: None)
        pool.close()
        pool.join()


def test_a_pool_that_is_terminated_with_tasks_left_ends() -> None:
    pool = multiprocessing.get_context("fork").Pool(2)
    pool.map_async(time.sleep, [0.005] * 500, chunksize=1)
    pool.apply(mp_jobs.whoami)
    pool.terminate()
    pool.join()


@pytest.mark.slow
@every_method
def test_an_executor_works_over_our_queues(method: str) -> None:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        assert list(executor.map(mp_jobs.square, range(20))) == [i * i for i in range(20)]
        assert executor.submit(len, bytes(3_000_000)).result(PATIENCE) == 3_000_000
        assert len(executor.submit(bytes, 3_000_000).result(PATIENCE)) == 3_000_000
        with pytest.raises((pickle.PicklingError, AttributeError)):
            executor.submit(lambda: None).result(PATIENCE)


def test_an_executor_notices_that_its_processes_were_killed() -> None:
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        victim = executor.submit(mp_jobs.whoami).result(PATIENCE)
        future = executor.submit(time.sleep, PATIENCE)
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(BrokenProcessPool):
            future.result(PATIENCE)


@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue", "SimpleQueue"])
def test_the_reader_of_a_queue_can_be_waited_for(kind: str) -> None:
    queue: Any = getattr(multiprocessing, kind)()
    assert wait([queue._reader], 0) == []
    assert not queue._reader.poll()
    with forked(lambda: queue.put(1)) as process:
        assert wait([queue._reader], PATIENCE) == [queue._reader]
        assert process.finish() == 0
    assert queue.get() == 1
    assert wait([queue._reader], 0) == []
    # The same with a queue that grows meanwhile.
    queue._writer.send(bytes(3_000_000))
    queue._writer.send("text")
    for expected in (3_000_000, 4):
        assert wait([queue._reader], PATIENCE) == [queue._reader]
        assert queue._reader.poll(PATIENCE)
        assert len(queue._reader.recv()) == expected
    assert wait([queue._reader], 0) == []
    assert not queue._reader.poll(0.01)


def test_one_who_sleeps_on_the_reader_wakes_when_the_queue_has_grown() -> None:
    queue = multiprocessing.Queue()
    assert wait([queue._reader], 0) == []
    with forked(lambda: queue.put(bytes(3_000_000))) as process:
        assert wait([queue._reader], PATIENCE) == [queue._reader]
        assert process.finish() == 0
    assert len(queue.get_nowait()) == 3_000_000
