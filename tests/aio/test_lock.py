"""Lock and RLock for asyncio: whose they are. What all locks have in common: test_taking.py."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest
from aio_locks import lined_up
from bare_calls import Background, until
from tasks import asleep, run

import isthmus
from isthmus import aio


def test_a_lock_belongs_to_the_handle(name: str) -> None:
    async def main() -> None:
        lock, other = aio.Lock(name), aio.Lock(name)
        await lock.acquire()
        assert await other.acquire(block=False) is False
        with pytest.raises(isthmus.NotHeldError):
            other.release()

        async def release() -> None:
            lock.release()

        await asyncio.create_task(release())
        assert await other.acquire() is True
        other.release()
        lock.close()
        other.close()

    run(main())


def test_a_task_that_takes_a_lock_twice_waits_for_ever() -> None:
    async def main() -> None:
        async with aio.Lock() as lock:
            assert await lock.acquire(timeout=0.005) is False

    run(main())


def test_the_task_that_has_a_recursive_lock_takes_it_again() -> None:
    async def main() -> None:
        lock = aio.RLock()
        for _ in range(3):
            assert await lock.acquire() is True
        async with lock:
            assert await lock.acquire(block=False) is True
            lock.release()
        other = asyncio.create_task(lock.acquire())
        await asleep(lock)
        for _ in range(3):
            assert not other.done()
            lock.release()
        assert await other is True
        with pytest.raises(isthmus.NotHeldError, match="another task"):
            lock.release()

    run(main())


def test_only_the_task_that_has_a_recursive_lock_releases_it() -> None:
    async def main() -> None:
        lock, loop = aio.RLock(), asyncio.get_running_loop()
        with pytest.raises(isthmus.NotHeldError, match="not held"):
            lock.release()
        async with lock:

            async def other() -> None:
                for release in (lock.release, lock.abandon):
                    with pytest.raises(isthmus.NotHeldError, match="another task"):
                        release()

            await asyncio.create_task(other())
            # Nor what is no task at all.
            found = loop.create_future()

            def callback() -> None:
                try:
                    lock.release()
                except BaseException as error:
                    found.set_result(type(error))

            loop.call_soon(callback)
            assert await found is isthmus.NotHeldError
            with pytest.raises(isthmus.NotHeldError, match="not held"):
                await asyncio.to_thread(lock.release)
            assert lock.locked()
        with pytest.raises(isthmus.NotHeldError, match="not held"):
            lock.release()

    run(main())


def test_abandoning_a_recursive_lock_gives_it_back_however_often_it_was_taken() -> None:
    async def main() -> None:
        lock = aio.RLock()
        await lock.acquire()
        await lock.acquire()
        lock.abandon()
        assert not lock.locked()
        with pytest.warns(isthmus.OwnerDiedWarning):
            await asyncio.create_task(lock.acquire())
        assert lock.owner_died

    run(main())


def test_a_recursive_lock_is_taken_by_one_task_after_the_other() -> None:
    """Each takes it twice; were it the thread's, they would all be in at once."""

    async def main() -> None:
        lock, inside = aio.RLock(), 0

        async def work() -> None:
            nonlocal inside
            for _ in range(5):
                async with lock:
                    inside += 1
                    await asyncio.sleep(0)
                    async with lock:
                        await asyncio.sleep(0)
                    assert inside == 1
                    inside -= 1

        await asyncio.gather(*[work() for _ in range(10)])
        assert not lock.locked()

    run(main())


def test_sync_code_and_tasks_exclude_each_other(name: str) -> None:
    async def main() -> None:
        for kind in ("Lock", "RLock"):
            lock, sync = getattr(aio, kind)(name + kind), getattr(isthmus, kind)(name + kind)
            with sync:
                task = asyncio.create_task(lock.acquire())
                await lined_up(lock, 1)
                await asleep(lock)
            assert await task

            def take(sync: Any = sync) -> bool:
                with sync:
                    return True

            waiting = Background(take)
            until(lambda sync=sync: bool(sync.waiters()))  # type: ignore[misc]
            if kind == "RLock":
                with pytest.raises(isthmus.NotHeldError):
                    lock.release()  # only its task can
                lock._tasks[threading.get_ident()] = asyncio.current_task()
            lock.release()
            assert await asyncio.to_thread(waiting.finish) is True
            sync.close()
            lock.close()

    run(main())


def test_a_name_is_gone_with_the_last_handle(name: str) -> None:
    async def main() -> None:
        lock = aio.Lock.create(name)
        with pytest.raises(isthmus.ExistsError):
            aio.Lock.create(name)
        with pytest.raises(isthmus.KindError):
            aio.RLock.attach(name)
        lock.close()
        with pytest.raises(isthmus.NotFoundError):
            aio.Lock.attach(name)

    run(main())


def test_one_in_a_segment(name: str) -> None:
    async def main() -> None:
        with isthmus.Segment.create(name, aio.Lock.nbytes()) as segment:
            lock, other = aio.Lock(segment=segment), isthmus.Lock(segment=segment)
            async with lock:
                assert other.acquire(block=False) is False
                task = asyncio.create_task(lock.acquire())
                await asleep(lock)
            assert await task
            lock.release()
            lock.close()
            other.close()
            segment.unlink()

    run(main())


def test_a_task_that_waits_is_listed_as_a_waiter(name: str) -> None:
    async def main() -> None:
        lock, other = aio.Lock(name), isthmus.Lock(name)
        other.acquire()
        task = asyncio.create_task(lock.acquire())
        await asleep(lock)
        (waiter,) = other.waiters()
        assert waiter.pid == os.getpid()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert other.waiters() == []
        # Also one whose handle is closed meanwhile.
        task = asyncio.create_task(lock.acquire())
        await asleep(lock)
        lock.close()
        with pytest.raises(isthmus.ClosedError):
            await task
        assert other.waiters() == []
        other.release()
        other.close()

    run(main())
