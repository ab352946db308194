"""Barriers for asyncio."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from aio_locks import turns
from bare_calls import PATIENCE, Background
from sharing import holding
from tasks import asleep, cancelled, run, sleepers

import isthmus
from isthmus import aio


def test_all_go_on_when_all_have_come() -> None:
    async def main() -> None:
        barrier = aio.Barrier(parties=5)
        for _ in range(10):
            found = await asyncio.gather(*[barrier.wait() for _ in range(5)])
            assert sorted(found) == list(range(5))
        assert (barrier.n_waiting, barrier.broken, sleepers(barrier)) == (0, False, 0)

    run(main())


def test_async_with_waits_and_gives_the_number() -> None:
    async def main() -> None:
        barrier = aio.Barrier(parties=2)

        async def party() -> int:
            async with barrier as number:
                return number

        assert sorted(await asyncio.gather(party(), party())) == [0, 1]
        assert not barrier.closed

    run(main())


def test_sync_code_and_tasks_wait_for_each_other(name: str) -> None:
    async def main() -> None:
        barrier, sync = aio.Barrier(name, parties=3), isthmus.Barrier(name)
        for _ in range(5):
            thread = Background(lambda: sync.wait(PATIENCE))
            found = await asyncio.gather(barrier.wait(), barrier.wait())
            assert sorted([*found, await asyncio.to_thread(thread.finish)]) == [0, 1, 2]  # type: ignore[type-var]
        barrier.close()
        sync.close()

    run(main())


def test_the_last_one_acts_while_the_others_wait() -> None:
    async def main() -> None:
        happened: list[int] = []

        async def act() -> None:
            happened.append(barrier.n_waiting)
            await turns(3)
            happened.append(sum(task.done() for task in tasks))

        barrier = aio.Barrier(parties=3, action=act)
        tasks = [asyncio.create_task(barrier.wait()) for _ in range(3)]
        await asyncio.wait(tasks)
        assert happened == [3, 0]
        plain = aio.Barrier(parties=1, action=lambda: happened.append(7))
        assert await plain.wait() == 0
        assert happened[2:] == [7]

    run(main())


def test_one_that_comes_while_the_last_one_acts_is_of_the_next_round() -> None:
    async def main() -> None:
        go = asyncio.Event()
        barrier = aio.Barrier(parties=2, action=go.wait)
        tasks = [asyncio.create_task(barrier.wait()) for _ in range(4)]
        await asleep(barrier, count=3)
        with pytest.raises(isthmus.BrokenBarrierError):
            await barrier.wait(timeout=0.005)  # that round is not its own
        assert not barrier.broken
        go.set()
        assert sorted(await asyncio.gather(*tasks)) == [0, 0, 1, 1]

    run(main())


def test_an_action_that_raises_or_is_cancelled_breaks_it() -> None:
    async def main() -> None:
        def fail() -> None:
            raise KeyError

        async def fail_later() -> None:
            await asyncio.sleep(0)
            raise KeyError

        for action in (fail, fail_later, asyncio.Event().wait):
            barrier = aio.Barrier(parties=2, action=action)
            first = asyncio.create_task(barrier.wait())
            await asleep(barrier)
            last = asyncio.create_task(barrier.wait())
            await turns(4)
            if action not in (fail, fail_later):
                assert await cancelled(last)
            else:
                with pytest.raises(KeyError):
                    await last
            with pytest.raises(isthmus.BrokenBarrierError):
                await first
            assert barrier.broken
            barrier.reset()
            assert not barrier.broken

    run(main())


def test_a_timeout_breaks_it_for_all(name: str) -> None:
    async def main() -> None:
        barrier, own = aio.Barrier(name, parties=3), aio.Barrier(name, timeout=0.005)
        other = asyncio.create_task(barrier.wait())
        await asleep(barrier)
        with pytest.raises(isthmus.BrokenBarrierError):
            await own.wait()
        with pytest.raises(isthmus.BrokenBarrierError):
            await other
        with pytest.raises(isthmus.BrokenBarrierError):
            await barrier.wait()
        barrier.reset()
        with pytest.raises(isthmus.BrokenBarrierError):
            await barrier.wait(timeout=0)
        with pytest.raises(isthmus.ArgumentError, match="NaN"):
            await barrier.wait(timeout=float("nan"))
        barrier.close()
        own.close()

    run(main())


def test_abort_and_reset_break_it_for_those_that_wait() -> None:
    async def main() -> None:
        for end in ("abort", "reset"):
            barrier = aio.Barrier(parties=3)
            tasks = [asyncio.create_task(barrier.wait()) for _ in range(2)]
            await asleep(barrier, count=2)
            getattr(barrier, end)()
            for task in tasks:
                with pytest.raises(isthmus.BrokenBarrierError):
                    await task
            assert barrier.broken is (end == "abort")

    run(main())


def test_one_that_is_cancelled_has_not_come() -> None:
    async def main() -> None:
        barrier = aio.Barrier(parties=2)
        for cancel in range(6):
            task = asyncio.create_task(barrier.wait())
            await turns(cancel)
            assert await cancelled(task)
            assert (barrier.n_waiting, barrier.broken, sleepers(barrier)) == (0, False, 0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005):
                await barrier.wait()
        assert not barrier.broken
        assert sorted(await asyncio.gather(barrier.wait(), barrier.wait())) == [0, 1]

    run(main())


def test_one_that_is_cancelled_too_late_has_come_all_the_same() -> None:
    async def main() -> None:
        go = asyncio.Event()
        barrier = aio.Barrier(parties=3, action=go.wait)
        first, second = (asyncio.create_task(barrier.wait()) for _ in range(2))
        await asleep(barrier, count=2)
        last = asyncio.create_task(barrier.wait())
        await turns(2)
        assert await cancelled(first)
        go.set()
        assert {await second, await last} == {1, 2}
        assert (barrier.n_waiting, barrier.broken) == (0, False)
        # And over already: the result was there, and has not been looked at.
        tasks = [asyncio.create_task(barrier.wait()) for _ in range(2)]
        await asleep(barrier, count=2)
        await barrier.wait()
        assert await cancelled(tasks[0])
        assert await tasks[1] in (0, 1)
        assert sorted(await asyncio.gather(*[barrier.wait() for _ in range(3)])) == [0, 1, 2]

    run(main())


def test_closing_ends_the_waits() -> None:
    async def main() -> None:
        barrier = aio.Barrier(parties=3)
        tasks = [asyncio.create_task(barrier.wait()) for _ in range(2)]
        await asleep(barrier, count=2)
        barrier.close()
        for task in tasks:
            with pytest.raises(isthmus.ClosedError):
                await task

    run(main())


def test_a_party_that_is_killed_breaks_it(name: str) -> None:
    barrier = aio.Barrier(name, parties=3)
    kept: list[Any] = []

    async def wait(other: aio.Barrier) -> None:
        asyncio.create_task(other.wait())  # noqa: RUF006
        await asleep(other)

    def come() -> None:
        # In a loop that is not closed: that would cancel the task.
        kept.extend((asyncio.new_event_loop(), aio.Barrier(name)))
        kept[0].run_until_complete(wait(kept[1]))

    with holding(come) as child:

        async def main() -> None:
            assert barrier.n_waiting == 1
            task = asyncio.create_task(barrier.wait())
            await asleep(barrier)
            child.kill()
            with pytest.raises(isthmus.BrokenBarrierError):
                await task

        run(main())
    barrier.close()


def test_loops_in_several_threads_wait_for_each_other() -> None:
    barrier, found, guard = aio.Barrier(parties=6), [], threading.Lock()

    async def party() -> None:
        for _ in range(20):
            number = await barrier.wait()
            with guard:
                found.append(number)

    async def two() -> None:
        await asyncio.gather(party(), party())

    threads = [threading.Thread(target=run, args=(two(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(found) == sorted(list(range(6)) * 20)


def test_a_barrier_of_one_does_not_keep_other_tasks_from_running() -> None:
    async def main() -> None:
        barrier, count = aio.Barrier(parties=1), 0

        async def other() -> None:
            nonlocal count
            while True:
                count += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        for _ in range(1000):
            await barrier.wait()
        assert count >= 1000 // aio._waiting.RUN - 1
        assert await cancelled(task)

    run(main())
