"""Ten thousand awaits that are cancelled at random, under load: nothing is lost or comes twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from sharing import forked
from tasks import cancelled, run

import isthmus
from isthmus import aio

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

AWAITS = 10_000
MESSAGES = 4_000


class Chance:
    """Cancels what it is given after a random time, and counts."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.tried = self.cancelled = 0

    async def tries(self, await_: Coroutine[Any, Any, Any]) -> tuple[Any] | None:
        """What it gives, or None: cancelled."""
        task = asyncio.create_task(await_)
        self.tried += 1
        for _ in range(self.random.choice((0, 0, 1, 1, 2, 3, 8))):
            await asyncio.sleep(0)
        if self.random.random() < 0.02:
            await asyncio.sleep(self.random.random() * 0.0005)
        if await cancelled(task):
            self.cancelled += 1
            return None
        return (task.result(),)


def feeds(q: isthmus.Queue, count: int, ahead: isthmus.Semaphore) -> None:
    """Puts numbers, no further ahead than that those who get have something to wait for."""
    for number in range(count):
        ahead.acquire()
        q.put(number)


# Looking again before they sleep, or asleep at once.
either_way = pytest.mark.parametrize("spin", [20, 0])


@either_way
@pytest.mark.parametrize("consumers", [1, 4])
def test_cancelled_gets_lose_no_message(consumers: int, spin: float) -> None:
    source, ahead = isthmus.Queue(spin=spin), isthmus.Semaphore(None, 2)
    chance, found = Chance(consumers), list[int]()

    async def consume(q: aio.Queue) -> None:
        while len(found) < MESSAGES or chance.tried < AWAITS:
            got = await chance.tries(q.get())
            if got is not None:
                found.append(got[0])
                ahead.release()

    async def main() -> None:
        async with aio.Queue.of(source) as q, asyncio.TaskGroup() as group:
            for _ in range(consumers):
                group.create_task(consume(q))

    with forked(lambda: feeds(source, MESSAGES, ahead)) as producer:
        run(main())
        assert producer.finish() == 0
    assert sorted(found) == list(range(MESSAGES))
    assert consumers > 1 or found == list(range(MESSAGES))
    assert chance.cancelled > AWAITS // 4
    assert source.empty() and source.stats().leased == 0


@either_way
def test_cancelled_puts_put_all_or_nothing(spin: float) -> None:
    target, done = isthmus.Queue(capacity=4096, spin=spin), isthmus.Queue()
    chance, put = Chance(3), list[int]()

    def drain() -> None:
        found = []
        for message in target:
            found.append(int(message[:8]))
        done.put(found)

    async def produce(q: aio.Queue, first: int) -> None:
        number = first
        while chance.tried < AWAITS:
            size = chance.random.choice((1, 300, 1500))
            message = b"%08d" % number + b"x" * size
            if await chance.tries(q.put(message)) is not None:
                put.append(number)
            number += 4

    async def main() -> None:
        async with aio.Queue.of(target) as q:
            async with asyncio.TaskGroup() as group:
                for first in range(4):
                    group.create_task(produce(q, first))
            q.shutdown()

    with forked(drain) as consumer:
        run(main())
        found = done.get()
        assert consumer.finish() == 0
    assert sorted(found) == sorted(put)
    assert chance.cancelled > AWAITS // 20


@either_way
def test_cancelled_leases_go_back(spin: float) -> None:
    source, ahead = isthmus.Queue(spin=spin), isthmus.Semaphore(None, 2)
    chance, found = Chance(4), list[int]()

    async def work(q: aio.Queue) -> int:
        async with q.lease() as job:
            for _ in range(chance.random.choice((0, 1, 2))):
                await asyncio.sleep(0)
            number: int = job.value
        return number

    async def consume(q: aio.Queue) -> None:
        while len(found) < MESSAGES or chance.tried < AWAITS:
            done = await chance.tries(work(q))
            if done is not None:
                found.append(done[0])
                ahead.release()

    async def main() -> None:
        async with aio.Queue.of(source) as q, asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(consume(q))

    with forked(lambda: feeds(source, MESSAGES, ahead)) as producer:
        run(main())
        assert producer.finish() == 0
    assert sorted(found) == list(range(MESSAGES))
    assert chance.cancelled > AWAITS // 4
    assert source.stats().leased == 0 and source.stats().redelivered > 0


Receive = Callable[[aio.Subscriber], Coroutine[Any, Any, Any]]


async def look(sub: aio.Subscriber) -> Any:
    async with sub.view() as memory:
        return int(memory[:])


async def receive(sub: aio.Subscriber) -> Any:
    return int(await sub.recv())


@either_way
@pytest.mark.parametrize("how", [receive, look])
def test_a_subscriber_misses_nothing(how: Receive, spin: float) -> None:
    topic, ahead = isthmus.Publisher(capacity=4096, spin=spin), isthmus.Semaphore(None, 2)
    chance, found = Chance(5), list[int]()

    def publish() -> None:
        for number in range(MESSAGES):
            ahead.acquire()
            topic.publish(b"%d" % number)

    async def main() -> None:
        async with aio.Publisher.of(topic) as pub, pub.subscriber(spin=spin) as sub:
            with forked(publish) as producer:
                while len(found) < MESSAGES or chance.tried < AWAITS:
                    got = await chance.tries(how(sub))
                    if got is not None:
                        found.append(got[0])
                        ahead.release()
                assert producer.finish() == 0
                assert sub.lag == 0 and sub.missed == 0

    run(main())
    assert found == list(range(MESSAGES))
    assert chance.cancelled > AWAITS // 4
