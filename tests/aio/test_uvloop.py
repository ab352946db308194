"""Locks and friends on uvloop, which waits by another library."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aio_locks import every_taken, handle_of, lined_up
from tasks import asleep, cancelled

from isthmus import aio

uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")


def run(main: Any) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


@every_taken
def test_tasks_take_it_one_after_the_other(make: Any) -> None:
    async def main() -> None:
        taken, order = make(), []

        async def use(number: int) -> None:
            async with taken:
                order.append(number)
                await asyncio.sleep(0)

        async with taken:
            tasks = [asyncio.create_task(use(i)) for i in range(5)]
            await lined_up(taken, 5)
            await asleep(handle_of(taken))
            assert await cancelled(tasks[0])
        await asyncio.gather(*tasks[1:])
        assert order == [1, 2, 3, 4]
        assert not taken.locked()

    run(main())


def test_events_conditions_barriers_and_readers() -> None:
    async def main() -> None:
        event, condition = aio.Event(), aio.Condition()
        barrier, rw = aio.Barrier(parties=2), aio.RWLock()
        heard = []

        async def listen() -> None:
            await event.wait()
            async with condition:
                await condition.wait()
            await barrier.wait()
            async with rw.read:
                heard.append("all")

        task = asyncio.create_task(listen())
        await asleep(event)
        event.set()
        await asleep(condition)
        async with condition:
            condition.notify()
        await barrier.wait()
        async with rw.write:
            await asyncio.sleep(0)
        await task
        assert heard == ["all"]

    run(main())
