"""Topics for asyncio: every method, overflow, views, loans, cancellation."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import numpy as np
import pytest
from bare_calls import PATIENCE
from tasks import asleep, cancelled, run, sleepers

import isthmus
from isthmus import aio

LARGE = b"x" * 1500  # of which two fit into the smallest topic


def test_each_subscriber_gets_each_message() -> None:
    async def main() -> None:
        async with aio.Publisher() as pub, pub.subscriber() as one, pub.subscriber() as two:
            tasks = [asyncio.create_task(sub.recv()) for sub in (one, two)]
            await asleep(one, two, count=2)
            await pub.publish({"any": "object"})
            assert await asyncio.gather(*tasks) == [{"any": "object"}] * 2

    run(main())


def test_either_side_may_be_sync_code(name: str) -> None:
    async def main() -> None:
        with isthmus.Publisher(name) as pub, isthmus.Subscriber(name) as sub:
            async with aio.Publisher(name) as awaitable, aio.Subscriber(name) as listener:
                task = asyncio.create_task(listener.recv())
                await asleep(listener)
                pub.publish(1)
                assert await task == 1
                await awaitable.publish(2)
                assert sub.recv_many(5) == [1, 2]

    run(main())


def test_a_subscriber_may_start_with_what_is_there(name: str) -> None:
    async def main() -> None:
        async with aio.Publisher(name) as pub:
            await pub.publish_many([1, 2, 3])
            async with aio.Subscriber(name, start="oldest", timeout=0) as sub:
                assert [message async for message in sub] == [1, 2, 3]
            async with aio.Subscriber(name, start=1) as sub:
                assert await sub.recv() == 3

    run(main())


def test_publish_waits_for_a_slow_subscriber() -> None:
    async def main() -> None:
        async with aio.Publisher(capacity=4096) as pub, pub.subscriber() as sub:
            await pub.publish_many([LARGE, LARGE])
            task = asyncio.create_task(pub.publish(b"more" + LARGE))
            await asleep(pub)
            assert await sub.recv() == LARGE
            await task
            assert await sub.recv_many(9) == [LARGE, b"more" + LARGE]

    run(main())


def test_publish_many_goes_on_as_there_is_room() -> None:
    async def main() -> None:
        async with aio.Publisher(capacity=4096) as pub, pub.subscriber() as sub:
            task = asyncio.create_task(pub.publish_many([LARGE] * 7))
            assert [await sub.recv(timeout=PATIENCE) for _ in range(7)] == [LARGE] * 7
            await task

    run(main())


def test_a_publisher_of_another_kind_does_not_wait() -> None:
    async def main() -> None:
        overwriting = aio.Publisher(capacity=4096, overflow="overwrite")
        async with overwriting as pub, pub.subscriber() as sub:
            await pub.publish_many([LARGE] * 5)
            await sub.recv()
            assert sub.missed == 3
        async with aio.Publisher(capacity=4096, overflow="error") as pub, pub.subscriber():
            await pub.publish_many([LARGE, LARGE])
            with pytest.raises(isthmus.Full, match="2 messages behind"):
                await pub.publish(LARGE)

    run(main())


@pytest.mark.parametrize("timeout", [0, 0.005])
def test_time_runs_out(timeout: float) -> None:
    async def main() -> None:
        async with aio.Publisher(capacity=4096) as pub, pub.subscriber(timeout=timeout) as sub:
            for nothing in (sub.recv(), sub.recv_many(2), sub.view().__aenter__()):
                with pytest.raises(isthmus.Empty):
                    await nothing
            await pub.publish_many([LARGE, LARGE])
            with pytest.raises(isthmus.Full):
                await pub.publish(LARGE, timeout=timeout)
            with pytest.raises(isthmus.Full) as found:
                await pub.publish_many([b"", LARGE], timeout=timeout)
            assert found.value.done == 1
            with pytest.raises(isthmus.Full):
                async with pub.loan(2000, timeout=timeout):
                    pass
            assert sleepers(pub, sub) == 0

    run(main())


def test_a_message_in_view() -> None:
    async def main() -> None:
        async with aio.Publisher(capacity=8192) as pub, pub.subscriber() as sub:
            viewing = sub.view()
            task = asyncio.create_task(viewing.__aenter__())
            await asleep(sub)
            await pub.publish(np.arange(500, dtype="u8"))
            frame = await task
            assert frame.sum() == 500 * 499 // 2 and not frame.flags.writeable
            await viewing.__aexit__(None, None, None)
            blocked = asyncio.create_task(pub.publish(np.zeros(900, dtype="u8")))
            await asleep(pub)
            del frame, task
            await blocked
            with pytest.raises(isthmus.ArgumentError, match="entered once"):
                async with viewing:
                    pass

    run(main())


def test_a_loan_is_published_when_its_block_ends() -> None:
    async def main() -> None:
        async with aio.Publisher() as pub, pub.subscriber() as sub:
            async with pub.loan((2, 3), "i4", order="F") as array:
                array[:] = 7
                with pytest.raises(isthmus.InUseError, match="loan open"):
                    await pub.publish(1)
            with pytest.raises(KeyError):
                async with pub.loan(10):
                    raise KeyError("not published")
            received = await sub.recv()
            assert received.shape == (2, 3) and (received == 7).all()
            assert sub.lag == 0

    run(main())


def test_a_loan_waits_for_room() -> None:
    async def main() -> None:
        async with aio.Publisher(capacity=4096) as pub, pub.subscriber() as sub:
            await pub.publish_many([LARGE, LARGE])
            lending = pub.loan(2000)
            task = asyncio.create_task(lending.__aenter__())
            await asleep(pub)
            await sub.recv_many(2)
            memory = await task
            memory[:] = b"l" * 2000
            del task, memory
            await lending.__aexit__(None, None, None)
            assert await sub.recv() == b"l" * 2000

    run(main())


def test_a_loan_waits_for_another_handle_that_publishes(name: str) -> None:
    async def main() -> None:
        async with aio.Publisher(name) as pub:
            with isthmus.Publisher(name) as other:
                lent = other.loan(5)
                memory = lent.__enter__()
                task = asyncio.create_task(pub.publish(b"after"))
                await asleep(pub)
                async with aio.Subscriber(name) as sub:
                    memory[:] = b"first"
                    del memory
                    lent.__exit__(None, None, None)
                    await task
                    assert [await sub.recv(), await sub.recv()] == [b"first", b"after"]

    run(main())


def test_a_receiver_that_is_cancelled_has_received_nothing() -> None:
    async def main() -> None:
        async with aio.Publisher() as pub, pub.subscriber() as sub:
            first, second = (asyncio.create_task(sub.recv()) for _ in range(2))
            await asleep(sub, count=2)
            await pub.publish("one")
            hearing: Any = aio._waiting._hearings[asyncio.get_running_loop()]
            hearing._rung()
            assert await cancelled(first)
            assert await second == "one"

    run(main())


def test_many_subscribers_on_one_loop_share_a_doorbell() -> None:
    async def main() -> None:
        async with aio.Publisher(participants=300) as pub:
            subs = [pub.subscriber() for _ in range(200)]
            tasks = [asyncio.create_task(sub.recv()) for sub in subs]
            await asleep(*subs, count=200)
            await pub.publish("all")
            assert await asyncio.gather(*tasks) == ["all"] * 200
            for sub in subs:
                sub.close()

    run(main())


def test_closing_ends_the_waits() -> None:
    async def main() -> None:
        async with aio.Publisher() as pub:
            sub = pub.subscriber()
            task = asyncio.create_task(sub.recv())
            await asleep(sub)
            sub.close()
            with pytest.raises(isthmus.ClosedError):
                await task

    run(main())


def test_a_subscriber_travels(name: str) -> None:
    async def main() -> None:
        async with aio.Publisher(name) as pub, aio.Subscriber(name) as sub:
            await pub.publish_many([1, 2])
            assert await sub.recv() == 1
            async with pickle.loads(pickle.dumps(sub)) as same:
                assert type(same) is aio.Subscriber
                assert await same.recv() == 2
            async with aio.Subscriber.of(sub) as same, aio.Publisher.of(pub) as again:
                await again.publish(3)
                assert await same.recv_many(5) == [2, 3]

    run(main())


@pytest.mark.parametrize("use", [iter, next, list])
def test_what_would_block_is_refused(use: Any) -> None:
    with aio.Publisher() as pub, pub.subscriber() as sub, pytest.raises(TypeError):
        use(sub)
