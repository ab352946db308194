"""Events for asyncio."""

from __future__ import annotations

import asyncio
import threading

import pytest
from aio_locks import both, moments
from bare_calls import PATIENCE
from tasks import asleep, cancelled, run, sleepers

import isthmus
from isthmus import aio


def test_all_that_wait_go_on_when_it_is_set(name: str) -> None:
    async def main() -> None:
        event, sync = aio.Event(name), isthmus.Event(name)
        tasks = [asyncio.create_task(event.wait()) for _ in range(20)]
        await asleep(event, count=20)
        sync.set()
        assert await asyncio.gather(*tasks) == [True] * 20
        assert await event.wait() is True
        assert await event.wait(timeout=0) is True
        event.clear()
        assert not sync.is_set()
        assert await event.wait(timeout=0) is False
        assert await event.wait(timeout=0.005) is False
        event.close()
        sync.close()

    run(main())


def test_all_that_waited_go_on_when_it_is_cleared_at_once() -> None:
    async def main() -> None:
        async with aio.Event() as event:
            tasks = [asyncio.create_task(event.wait()) for _ in range(5)]
            await asleep(event, count=5)
            event.set()
            event.clear()
            late = asyncio.create_task(event.wait())
            assert await asyncio.gather(*tasks) == [True] * 5
            assert not late.done()
            assert await cancelled(late)

    run(main())


def test_one_that_is_cancelled_is_gone() -> None:
    async def main() -> None:
        async with aio.Event() as event:
            for at, cancel in moments(5):
                event.clear()
                other = asyncio.create_task(event.wait())
                has, result = await both(event.wait(), event.set, at, cancel)
                assert result is (True if has else None)
                assert await other is True
                assert sleepers(event) == 0

    run(main())


def test_asyncio_timeout_ends_a_wait() -> None:
    async def main() -> None:
        async with aio.Event() as event:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.005):
                    await event.wait()
            with pytest.raises(isthmus.ArgumentError, match="NaN"):
                await event.wait(timeout=float("nan"))

    run(main())


def test_closing_ends_the_waits() -> None:
    async def main() -> None:
        event = aio.Event()
        tasks = [asyncio.create_task(event.wait()) for _ in range(3)]
        await asleep(event, count=3)
        event.close()
        for task in tasks:
            with pytest.raises(isthmus.ClosedError):
                await task
        with pytest.raises(isthmus.ClosedError):
            await event.wait()

    run(main())


def test_loops_in_several_threads_wait_for_the_same_event() -> None:
    event, ready = aio.Event(), threading.Barrier(4)

    async def main() -> None:
        tasks = [asyncio.create_task(event.wait()) for _ in range(5)]
        await asleep(event, count=5)
        ready.wait(PATIENCE)
        assert await asyncio.gather(*tasks) == [True] * 5

    threads = [threading.Thread(target=run, args=(main(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    ready.wait(PATIENCE)
    event.set()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_a_loop_of_waits_for_what_is_set_does_not_keep_other_tasks_from_running() -> None:
    async def main() -> None:
        async with aio.Event() as event:
            event.set()
            count = 0

            async def other() -> None:
                nonlocal count
                while True:
                    count += 1
                    await asyncio.sleep(0)

            task = asyncio.create_task(other())
            for _ in range(1000):
                await event.wait()
            assert count >= 1000 // aio._waiting.RUN - 1
            assert await cancelled(task)

    run(main())
