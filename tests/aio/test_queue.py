"""Queues for asyncio: every method, timeouts, cancellation, fairness, closing."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import threading
from typing import Any

import pytest
from bare_calls import PATIENCE
from tasks import asleep, cancelled, run, sleepers

import isthmus
from isthmus import aio


def full_queue() -> aio.Queue:
    q = aio.Queue(capacity=4096)
    with contextlib.suppress(isthmus.Full):
        while True:
            q.put_nowait(b"")
    return q


def test_messages_of_all_kinds_come_out_in_order() -> None:
    async def main() -> None:
        async with aio.Queue() as q:
            things: list[Any] = [b"bytes", "text", 7, {"a": [1, 2]}, None, {1, 2}, b"x" * 300_000]
            for thing in things:
                await q.put(thing)
            assert [await q.get() for _ in things] == things

    run(main())


def test_get_waits_for_what_sync_code_puts(name: str) -> None:
    async def main() -> None:
        with isthmus.Queue(name) as other:
            async with aio.Queue(name) as q:
                task = asyncio.create_task(q.get())
                await asleep(q)
                other.put("late")
                assert await task == "late"

    run(main())


def test_put_waits_for_room_that_sync_code_makes(name: str) -> None:
    async def main() -> None:
        with isthmus.Queue(name, capacity=4096) as other:
            async with aio.Queue(name) as q:
                await q.put(b"a" * 3000)
                task = asyncio.create_task(q.put(b"b" * 3000))
                await asleep(q)
                assert other.get() == b"a" * 3000
                await task
                assert other.get() == b"b" * 3000

    run(main())


def test_put_waits_for_room_by_number(name: str) -> None:
    async def main() -> None:
        async with aio.Queue(name, maxsize=2) as q:
            await q.put(1)
            await q.put(2)
            task = asyncio.create_task(q.put(3))
            await asleep(q)
            assert await q.get() == 1
            await task
            assert [await q.get(), await q.get()] == [2, 3]

    run(main())


def test_a_message_that_needs_more_room_than_comes_first_goes_on_waiting() -> None:
    async def main() -> None:
        async with aio.Queue(capacity=4096) as q:
            for _ in range(30):
                await q.put(b"x" * 96)
            large = asyncio.create_task(q.put(b"l" * 2000))
            await asleep(q)
            await q.get()
            for _ in range(10):
                await asyncio.sleep(0)
            assert not large.done()
            while not large.done():
                await q.get()
                await asyncio.sleep(0)
            await large

    run(main())


@pytest.mark.parametrize("timeout", [0, 0.001, 0.02])
def test_time_runs_out(timeout: float) -> None:
    async def main() -> None:
        async with aio.Queue(capacity=4096) as q:
            with pytest.raises(isthmus.Empty):
                await q.get(timeout=timeout)
            with pytest.raises(isthmus.Empty):
                await q.get_many(3, timeout=timeout)
            with pytest.raises(isthmus.Empty):
                await q.lease(timeout=timeout)
            await q.put(b"x" * 3000)
            with pytest.raises(isthmus.Full):
                await q.put(b"x" * 3000, timeout=timeout)
            with pytest.raises(isthmus.Full) as found:
                await q.put_many([b"1", b"x" * 3000], timeout=timeout)
            assert found.value.done == 1
            assert await q.join(timeout=timeout) is False
            assert sleepers(q) == 0

    run(main())


def test_what_is_not_to_block_does_not() -> None:
    async def main() -> None:
        async with aio.Queue(capacity=4096) as q:
            with pytest.raises(isthmus.Empty):
                await q.get(block=False)
            with pytest.raises(isthmus.Empty):
                q.get_nowait()
            q.put_nowait(b"x" * 3000)
            with pytest.raises(isthmus.Full):
                await q.put(b"x" * 3000, block=False)
            with pytest.raises(isthmus.Full):
                q.put_nowait(b"x" * 3000)

    run(main())


def test_a_timeout_that_is_no_number_is_refused() -> None:
    async def main() -> None:
        async with aio.Queue() as q:
            with pytest.raises(isthmus.ArgumentError):
                await q.get(timeout=float("nan"))

    run(main())


def test_asyncio_timeout_takes_nothing() -> None:
    async def main() -> None:
        async with aio.Queue() as q:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.005):
                    await q.get()
            assert sleepers(q) == 0
            await q.put(1)
            assert await q.get() == 1

    run(main())


def test_many_tasks_on_one_handle_get_one_message_each_in_turn() -> None:
    async def main() -> None:
        async with aio.Queue() as q:
            tasks = [asyncio.create_task(q.get()) for _ in range(50)]
            await asleep(q, count=50)
            await q.put_many(range(50))
            assert await asyncio.gather(*tasks) == list(range(50))

    run(main())


def test_a_task_that_was_woken_and_is_cancelled_leaves_the_message_to_the_next() -> None:
    async def main() -> None:
        async with aio.Queue() as q:
            first, second = (asyncio.create_task(q.get()) for _ in range(2))
            await asleep(q, count=2)
            q.put_nowait("one")
            # Until the first has been woken, and has not run yet.
            hearing: Any = aio._waiting._hearings[asyncio.get_running_loop()]
            hearing._rung()
            assert await cancelled(first)
            assert await second == "one"

    run(main())


def test_cancelled_puts_have_put_nothing() -> None:
    async def main() -> None:
        q = full_queue()
        before = q.qsize()
        task = asyncio.create_task(q.put(b"never"))
        await asleep(q)
        assert await cancelled(task)
        assert q.qsize() == before
        assert b"never" not in await q.get_many(1000)
        q.close()

    run(main())


def test_async_for_ends_with_the_queue() -> None:
    async def main() -> None:
        async with aio.Queue() as q:
            found = []

            async def consume() -> None:
                async for message in q:
                    found.append(message)

            task = asyncio.create_task(consume())
            await q.put_many([1, 2, 3])
            await asleep(q)
            q.shutdown()
            await task
            assert found == [1, 2, 3]

    run(main())


def test_shutdown_wakes_those_that_wait_for_room() -> None:
    async def main() -> None:
        q = full_queue()
        task = asyncio.create_task(q.put(b""))
        await asleep(q)
        q.shutdown()
        with pytest.raises(isthmus.ShutDown):
            await task
        q.close()

    run(main())


def test_a_lease_is_acknowledged_or_goes_back() -> None:
    async def main() -> None:
        async with aio.Queue() as q:
            await q.put("job")
            with pytest.raises(KeyError):
                async with q.lease() as job:
                    raise KeyError(job.value)
            async with q.lease() as job:
                assert (job.value, job.attempt) == ("job", 2)
            assert q.stats().leased == 0 and q.empty()
            await q.put("by hand")
            lease = await q.lease()
            lease.acknowledge()
            assert await q.join(timeout=PATIENCE)

    run(main())


def test_a_lease_is_given_back_by_cancellation() -> None:
    async def main() -> None:
        async with aio.Queue() as q:
            await q.put("job")
            begun = asyncio.Event()

            async def work() -> None:
                async with q.lease():
                    begun.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(work())
            await begun.wait()
            assert q.qsize() == 0
            assert await cancelled(task)
            assert await q.get() == "job"

    run(main())


def test_a_lease_that_waits_is_entered_once() -> None:
    async def main() -> None:
        async with aio.Queue() as q:
            leasing = q.lease()
            task = asyncio.create_task(leasing.__aenter__())
            await asleep(q)
            await q.put(1)
            (await task).acknowledge()
            with pytest.raises(isthmus.ArgumentError, match="entered once"):
                async with leasing:
                    pass

    run(main())


def test_join_waits_until_all_is_done() -> None:
    async def main() -> None:
        async with aio.Queue() as q:
            assert await q.join()
            await q.put_many([1, 2])
            task = asyncio.create_task(q.join())
            await asleep(q)
            await q.get_many(2)
            q.task_done()
            for _ in range(5):
                await asyncio.sleep(0)
            assert not task.done()
            q.task_done()
            assert await task

    run(main())


def test_a_message_set_aside_is_put_back_when_there_is_room() -> None:
    async def main() -> None:
        async with aio.Queue(capacity=4096, max_attempts=1) as q:
            await q.put(b"p" * 3000)
            (await q.lease()).give_back()
            await q.put(b"x" * 3000)
            (message,) = q.aside()
            task = asyncio.create_task(message.put_back())
            await asleep(q)
            assert await q.get() == b"x" * 3000
            await task
            assert await q.get() == b"p" * 3000
            with pytest.raises(isthmus.NotFoundError):
                await message.put_back()

    run(main())


def test_messages_that_are_there_do_not_keep_other_tasks_from_running() -> None:
    async def main() -> None:
        async with aio.Queue(capacity="1 MiB") as q:
            turns = 0

            async def other() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            task = asyncio.create_task(other())
            for _ in range(10_000):
                await q.put(b"x")
            for _ in range(10_000):
                await q.get()
            assert turns >= 2 * 10_000 // aio._waiting.RUN - 2
            task.cancel()

    run(main())


def test_closing_ends_the_waits() -> None:
    async def main() -> None:
        q = aio.Queue()
        tasks = [asyncio.create_task(q.get()) for _ in range(3)]
        await asleep(q, count=3)
        q.close()
        for task in tasks:
            with pytest.raises(isthmus.ClosedError):
                await task
        with pytest.raises(isthmus.ClosedError):
            await q.put(1)

    run(main())


def test_closing_in_another_thread_ends_the_waits() -> None:
    async def main() -> None:
        q = aio.Queue()
        task = asyncio.create_task(q.get())
        await asleep(q)
        await asyncio.to_thread(q.close)
        with pytest.raises(isthmus.ClosedError):
            await task

    run(main())


def test_one_handle_serves_loops_in_several_threads() -> None:
    q, answers = aio.Queue(), isthmus.Queue()

    async def consume() -> None:
        async for number in q:
            answers.put(number)

    threads = [threading.Thread(target=run, args=(consume(),)) for _ in range(3)]
    for thread in threads:
        thread.start()

    async def produce() -> None:
        for number in range(600):
            await q.put(number)
            if number % 50 == 0:
                await asyncio.sleep(0.001)
        q.shutdown()

    run(produce())
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(answers.get_many(1000)) == list(range(600))


def test_one_loop_after_another() -> None:
    q = aio.Queue()

    async def once(number: int) -> None:
        task = asyncio.create_task(q.get())
        await asleep(q)
        q.put_nowait(number)
        assert await task == number

    for number in range(5):
        run(once(number))


def test_handles_of_the_other_kind() -> None:
    async def main() -> None:
        with isthmus.Queue() as q:
            q.put(1)
            async with aio.Queue.of(q) as same:
                assert await same.get() == 1
                with same.blocking() as again:
                    assert type(again) is isthmus.Queue
                    again.put(2)
                assert await same.get() == 2
            with pytest.raises(TypeError, match=r"takes an isthmus\.Queue"):
                aio.Queue.of(isthmus.Lock())

    run(main())


def test_it_is_pickled_as_what_it_is(name: str) -> None:
    async def main() -> None:
        async with aio.Queue(name) as q:
            await q.put(5)
            async with pickle.loads(pickle.dumps(q)) as same:
                assert type(same) is aio.Queue
                assert await same.get() == 5

    run(main())


@pytest.mark.parametrize("use", [iter, next, list])
def test_what_would_block_is_refused(use: Any) -> None:
    with aio.Queue() as q, pytest.raises(TypeError, match="use async for"):
        use(q)


def test_a_queue_can_be_opened_and_closed_without_a_loop() -> None:
    q = aio.Queue()
    assert repr(q) == "<isthmus.aio.Queue anonymous, 0 ready>"
    q.put_nowait(1)
    assert q.get_nowait() == 1
    q.close()
    assert q.closed


def test_async_for_over_a_queue_that_was_shut_down_before() -> None:
    async def main() -> None:
        async with aio.Queue() as q:
            q.put_nowait(1)
            q.shutdown()
            assert [message async for message in q] == [1]

    run(main())
