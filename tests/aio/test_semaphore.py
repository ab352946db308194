"""Semaphores for asyncio: permits. What they have in common with locks: test_taking.py."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aio_locks import both, in_line, lined_up, moments, taken_by
from sharing import holding
from tasks import asleep, run, sleepers

import isthmus
from isthmus import aio


def test_there_are_as_many_permits_as_it_was_made_with(name: str) -> None:
    async def main() -> None:
        slots, sync = aio.Semaphore(name, 2), isthmus.Semaphore(name)
        async with slots, slots:
            assert slots.value == sync.get_value() == 0
            assert slots.locked()
            assert await slots.acquire(block=False) is False
        assert sync.value == 2
        slots.close()
        sync.close()

    run(main())


def test_a_release_of_many_wakes_as_many() -> None:
    async def main() -> None:
        slots = aio.Semaphore(value=0)
        tasks = [asyncio.create_task(slots.acquire()) for _ in range(5)]
        await lined_up(slots, 5)
        await asleep(slots)
        slots.release(3)
        done, _ = await asyncio.wait(tasks[:3])
        assert len(done) == 3
        assert (in_line(slots), slots.value) == (2, 0)
        slots.release(2)
        assert await asyncio.gather(*tasks) == [True] * 5
        assert slots.value == 0

    run(main())


def test_permits_that_sync_code_gives_arrive(name: str) -> None:
    async def main() -> None:
        slots, sync = aio.Semaphore(name, 0), isthmus.Semaphore(name)
        tasks = [asyncio.create_task(slots.acquire()) for _ in range(3)]
        await asleep(slots)
        await asyncio.to_thread(sync.release, 3)
        assert await asyncio.gather(*tasks) == [True] * 3
        slots.close()
        sync.close()

    run(main())


@pytest.mark.parametrize("robust", [False, True])
def test_cancellation_loses_no_permit(robust: bool) -> None:
    async def main() -> None:
        slots: Any = aio.Semaphore(value=3, robust=robust)
        for at, cancel in moments(5):
            for _ in range(3):
                await slots.acquire()
            has, _ = await both(slots.acquire(), slots.release, at, cancel)
            assert slots.value == (0 if has else 1)
            slots.release(3 if has else 2)
            assert slots.value == 3
            assert sleepers(slots) == 0

    run(main())


def test_a_bounded_one_has_no_more_than_at_the_start() -> None:
    async def main() -> None:
        slots = aio.BoundedSemaphore(value=1)
        async with slots:
            pass
        with pytest.raises(isthmus.TooManyPermitsError):
            slots.release()
        assert isinstance(slots, (aio.Semaphore, isthmus.BoundedSemaphore))

    run(main())


def test_permits_of_one_that_is_killed_come_back_to_a_task_that_waits(name: str) -> None:
    slots = aio.Semaphore(name, 2, robust=True)

    with holding(taken_by(lambda: isthmus.Semaphore(name), 2)) as child:

        async def main() -> None:
            tasks = [asyncio.create_task(slots.acquire()) for _ in range(2)]
            await asleep(slots)
            child.kill()
            assert await asyncio.gather(*tasks) == [True, True]
            assert slots.value == 0

        run(main())
    slots.close()
