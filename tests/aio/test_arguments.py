"""Arguments that are wrong, or of no matter: nothing is lost by them."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from tasks import asleep, run

import isthmus
from isthmus import aio

WRONG = [(math.nan, isthmus.ArgumentError), ("soon", TypeError)]


@pytest.mark.parametrize(("timeout", "error"), WRONG)
def test_what_is_there_stays_when_the_timeout_is_none(timeout: Any, error: type[Exception]) -> None:
    async def main() -> None:
        async with aio.Queue() as q:
            q.put_nowait(1)
            for taking in (q.get_many(1, timeout=timeout), q.lease(timeout=timeout)):
                with pytest.raises(error, match="timeout"):
                    await taking
            with pytest.raises(error, match="timeout"):
                await q.put_many([2], timeout=timeout)
            assert q.qsize() == 1 and await q.get() == 1

    run(main())


@pytest.mark.parametrize(("timeout", "error"), WRONG)
def test_a_topic_is_as_it_was_when_the_timeout_is_none(
    timeout: Any, error: type[Exception]
) -> None:
    async def main() -> None:
        async with aio.Publisher() as pub, pub.subscriber() as sub:
            await pub.publish(b"first")
            viewing = sub.view(timeout)
            for nothing in (sub.recv_many(1, timeout), viewing.__aenter__()):
                with pytest.raises(error, match="timeout"):
                    await nothing
            with pytest.raises(error, match="timeout"):
                await pub.publish_many([b"more"], timeout=timeout)
            lending = pub.loan(10, timeout=timeout)
            with pytest.raises(error, match="timeout"):
                await lending.__aenter__()
            await pub.publish(b"second")
            assert await sub.recv_many(9) == [b"first", b"second"]

    run(main())


def test_the_timeout_of_what_does_not_wait_is_of_no_matter() -> None:
    timeout: Any = "soon"

    async def main() -> None:
        async with aio.Queue(maxsize=1) as q:
            await q.put_many([1], block=False, timeout=timeout)
            for put in (q.put(2, False, timeout), q.put_many([2], False, timeout)):
                with pytest.raises(isthmus.Full):
                    await put
            async with q.lease(False, timeout) as job:
                assert job.value == 1
            for get in (q.get(False, timeout), q.get_many(1, False, timeout)):
                with pytest.raises(isthmus.Empty):
                    await get
            with pytest.raises(isthmus.Empty):
                await q.lease(False, timeout)

    run(main())


@pytest.mark.parametrize("timeout", [math.inf, 1e300, 10**400], ids=["inf", "float", "int"])
def test_a_timeout_may_be_as_long_as_one_likes(timeout: float) -> None:
    async def main() -> None:
        async with aio.Queue() as q:
            # After short waits a task looks again for a while, with a limit of its own.
            for number in range(3):
                task = asyncio.create_task(q.get())
                await asleep(q) if number == 0 else await asyncio.sleep(0)
                q.put_nowait(number)
                assert await task == number
            assert q._paces[0].now > 0
            task = asyncio.create_task(q.get(timeout=timeout))
            await asyncio.sleep(0)
            q.put_nowait("in time")
            assert await task == "in time"

    run(main())
