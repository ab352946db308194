"""Whoever never has to wait lets the others run all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tasks import run

from isthmus import aio


async def view(sub: aio.Subscriber) -> None:
    with sub.blocking() as other, other.publisher() as pub:
        pub.publish(b"news")
    async with sub.view():
        pass


async def lend(pub: aio.Publisher) -> None:
    async with pub.loan(10):
        pass


async def lease(q: aio.Queue) -> None:
    q.put_nowait(1)
    async with q.lease():
        pass


BUSY: dict[str, tuple[Callable[[], Any], Callable[[Any], Coroutine[Any, Any, Any]]]] = {
    "view": (aio.Subscriber, view),
    "loan": (aio.Publisher, lend),
    "lease": (aio.Queue, lease),
    "join": (aio.Queue, lambda q: q.join()),
    "acquire": (lambda: aio.Semaphore(value=999), lambda slots: slots.acquire()),
    "try": (lambda: aio.Semaphore(value=0), lambda slots: slots.acquire(block=False)),
    "read": (aio.RWLock, lambda rw: rw.read.acquire(block=False)),
    "write": (aio.RWLock, lambda rw: rw.write.acquire(block=False)),
    "event": (aio.Event, lambda event: event.wait(0)),
}


@pytest.mark.parametrize("what", BUSY)
def test_others_run_after_a_while(what: str) -> None:
    make, step = BUSY[what]

    async def main() -> None:
        handle = make()
        other = asyncio.create_task(asyncio.sleep(0))
        for _ in range(3 * 64):
            await step(handle)
            if other.done():
                break
        assert other.done()
        handle.close()

    run(main())
