"""For the tests of `isthmus.aio`: running a coroutine, and knowing that a task is asleep."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from bare_calls import PATIENCE

from isthmus import aio
from isthmus.aio import _waiting

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run it in a loop of its own, for no longer than anything may take."""

    async def bounded() -> T:
        async with asyncio.timeout(PATIENCE):
            return await main

    return asyncio.run(bounded())


def sleepers(*handles: object) -> int:
    """How many tasks of this loop are asleep until they are rung for, waiting on these handles."""
    hearing = _waiting._hearings.get(asyncio.get_running_loop())
    if hearing is None:
        return 0
    wanted = {id(handle) for handle in handles}
    return sum(
        len(group)
        for groups in hearing._files.values()
        for key, group in groups.items()
        if key[0] in wanted
    )


async def asleep(*handles: object, count: int = 1) -> None:
    """Let others run until so many tasks are asleep."""
    while sleepers(*handles) < count:
        await asyncio.sleep(0)


async def cancelled(task: asyncio.Task[Any]) -> bool:
    """Cancel it; whether that came in time, so that it has no result."""
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


def answer_by_a_loop(questions: aio.Queue, answers: aio.Queue) -> None:
    """What a child does."""

    async def main() -> None:
        async for question in questions:
            await answers.put(question + 1)

    run(main())
