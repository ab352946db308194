"""Locks and friends for asyncio among processes: exact totals, and owners that are killed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from aio_locks import OWNED, every_owned, handle_of, taken_by
from bare_calls import PATIENCE
from sharing import holding
from tasks import asleep, run

import isthmus
from isthmus import aio

# Fifty tasks, or with "sync" one thread; what they do is wrong unless they exclude each other.
_COUNT = """
import asyncio, sys
import isthmus
from isthmus import aio

kind, name, how = sys.argv[1:]
tasks, times = 50, 4

def opened(package):
    if kind == "Semaphore":
        return package.Semaphore(name, 1)
    if kind == "RWLock":
        return package.RWLock(name).write
    return getattr(package, kind)(name)

counter, start = isthmus.AtomicInt(name + "-n"), isthmus.Barrier(name + "-b")

def add_in_thread():
    lock = opened(isthmus)
    for _ in range(tasks * times):
        with lock:
            value = counter.load()
            counter.store(value + 1)

async def add(lock):
    for _ in range(times):
        async with lock:
            value = counter.load()
            await asyncio.sleep(0)
            counter.store(value + 1)

async def main():
    lock = opened(aio)
    await asyncio.gather(*[add(lock) for _ in range(tasks)])

start.wait(60)
add_in_thread() if how == "sync" else asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Lock", "RLock", "Semaphore", "Condition", "RWLock"])
@pytest.mark.parametrize("hows", [("async",) * 3, ("async", "sync", "async")], ids=["async", "mix"])
def test_fifty_tasks_in_each_of_three_processes_exclude_each_other(
    kind: str, hows: tuple[str, ...], name: str
) -> None:
    start, number = isthmus.Barrier(name + "-b", parties=4), isthmus.AtomicInt(name + "-n")
    with closing(start), closing(number):
        processes = [
            subprocess.Popen(
                [sys.executable, "-P", "-c", textwrap.dedent(_COUNT), kind, name, how],
                stderr=subprocess.PIPE,
                text=True,
            )
            for how in hows
        ]
        try:
            start.wait(PATIENCE)
            for process in processes:
                _, errors = process.communicate(timeout=PATIENCE)
                assert process.returncode == 0, errors
        finally:
            for process in processes:
                process.kill()
                process.wait()
        assert number.load() == 3 * 50 * 4


@every_owned
def test_a_task_that_waits_for_one_that_is_killed_has_it_and_is_told(
    make: Any, sync: Any, name: str
) -> None:
    lock = make(name)
    with holding(taken_by(lambda: sync(name))) as child:

        async def main() -> None:
            tasks = [asyncio.create_task(use()) for _ in range(3)]
            await asleep(handle_of(lock))
            child.kill()
            with pytest.warns(isthmus.OwnerDiedWarning) as caught:
                assert await asyncio.gather(*tasks) == [True, False, False]
            # Whoever awaits it is told, not what is in between.
            assert [each.filename for each in caught] == [__file__]
            assert not lock.locked()

        async def use() -> bool:
            async with lock:
                died: bool = lock.owner_died
                return died

        run(main())
    handle_of(lock).close()


@every_owned
def test_owner_died_is_raised_with_the_lock_held(make: Any, sync: Any, name: str) -> None:
    lock = make(name, on_owner_death="raise")

    async def main(kill: Callable[[], object]) -> None:
        async def use() -> None:
            with pytest.raises(isthmus.OwnerDied) as found:
                await lock.acquire()
            assert found.value.lock == lock
            assert lock.locked()
            assert lock.owner_died
            found.value.lock.release()
            assert not lock.locked()

        task = asyncio.create_task(use())
        await asleep(handle_of(lock))
        kill()
        await task

    async def uncaught(kill: Callable[[], object]) -> None:
        async def use() -> None:
            async with lock:
                raise AssertionError("the body has run")

        task = asyncio.create_task(use())
        await asleep(handle_of(lock))
        kill()
        with pytest.raises(isthmus.OwnerDied):
            await task

    with holding(taken_by(lambda: sync(name))) as child:
        run(main(child.kill))
    handle_of(lock).close()
    lock = make(name, on_owner_death="raise")
    with holding(taken_by(lambda: sync(name))) as child:
        run(uncaught(child.kill))
    # As with those of threads: raised with the lock held, by a task that has ended.
    assert lock.locked()
    handle_of(lock).close()
    clear(sync, name)


def clear(sync: Any, name: str) -> None:
    """A lock that died in somebody's hands is kept until one has released it."""
    last = sync(name, on_owner_death="ignore")
    with last:
        pass
    handle_of(last).close()


@every_owned
def test_a_warning_that_is_an_error_gives_it_back_as_it_was(
    make: Any, sync: Any, name: str
) -> None:
    lock = make(name)
    with holding(taken_by(lambda: sync(name))) as child:

        async def main() -> None:
            child.kill()
            for _ in range(2):
                with pytest.raises(isthmus.OwnerDiedWarning):  # warnings are errors in these tests
                    await lock.acquire()
                assert not lock.locked()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                async with lock:
                    assert lock.owner_died

        run(main())
    handle_of(lock).close()


@every_owned
def test_a_function_that_is_told_may_release_it(make: Any, sync: Any, name: str) -> None:
    heard: list[Any] = []

    def told(lock: Any) -> None:
        heard.append(lock.locked())
        lock.release()

    lock = make(name, on_owner_death=told)
    with holding(taken_by(lambda: sync(name))) as child:

        async def main() -> None:
            task = asyncio.create_task(lock.acquire())
            await asleep(handle_of(lock))
            child.kill()
            assert await task is True
            assert heard == [True]
            assert not lock.locked()

        run(main())
    handle_of(lock).close()


@pytest.mark.parametrize("kind", OWNED)
def test_a_process_of_tasks_that_is_killed_leaves_it_to_another(kind: str, name: str) -> None:
    make, sync = OWNED[kind]
    lock = sync(name, on_owner_death="ignore")
    kept: list[Any] = []

    def take() -> None:
        # In a loop that is not closed, with more that wait for the same.
        kept.extend((asyncio.new_event_loop(), make(name)))
        kept[0].run_until_complete(hold(kept[1]))

    async def hold(mine: Any) -> None:
        await mine.acquire()
        kept.extend(asyncio.create_task(mine.acquire()) for _ in range(3))
        await asleep(handle_of(mine))

    with holding(take) as child:
        assert lock.acquire(timeout=0) is False
        child.kill()
        assert lock.acquire(timeout=PATIENCE)
        assert lock.owner_died
        lock.release()
    handle_of(lock).close()


def test_semaphores_are_counted_by_tasks_and_sync_code_alike(name: str) -> None:
    async def main() -> None:
        slots, sync = aio.BoundedSemaphore(name, 3), isthmus.BoundedSemaphore(name, 3)
        inside = most = 0

        async def use() -> None:
            nonlocal inside, most
            async with slots:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        sync.acquire()
        tasks = [asyncio.create_task(use()) for _ in range(20)]
        await asyncio.gather(*tasks)
        assert most == 2
        sync.release()
        assert slots.value == 3
        slots.close()
        sync.close()

    run(main())
