"""What all that a task takes and gives back has in common: locks, semaphores, conditions, sides."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from aio_locks import (
    TAKEN,
    both,
    every_taken,
    handle_of,
    in_line,
    lined_up,
    moments,
    turns,
)
from bare_calls import PATIENCE
from tasks import asleep, cancelled, run, sleepers

import isthmus
from isthmus import aio


@every_taken
def test_async_with_takes_it_and_gives_it_back(make: Any) -> None:
    async def main() -> None:
        taken = make()
        async with taken as entered:
            assert entered is taken
            assert taken.locked()
        assert not taken.locked()
        with pytest.raises(KeyError):
            async with taken:
                raise KeyError
        assert not taken.locked()

    run(main())


@every_taken
def test_with_is_refused(make: Any) -> None:
    taken = make()
    with pytest.raises(TypeError, match="use async with"), taken:
        raise AssertionError("the body has run")
    assert not taken.locked()


@every_taken
def test_acquire_tells_whether_it_has_been_taken(make: Any) -> None:
    async def main() -> None:
        taken = make()
        assert await taken.acquire() is True

        async def other() -> None:
            assert await taken.acquire(block=False) is False
            assert await taken.acquire(timeout=0) is False
            assert await taken.acquire(timeout=-1) is False
            assert await taken.acquire(timeout=0.005) is False
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.005):
                    await taken.acquire()

        await asyncio.create_task(other())
        assert (in_line(taken), sleepers(handle_of(taken))) == (0, 0)
        taken.release()
        assert await taken.acquire(block=False) is True
        taken.release()

    run(main())


@every_taken
def test_what_makes_no_sense_is_refused(make: Any) -> None:
    async def main() -> None:
        taken = make()
        with pytest.raises(isthmus.ArgumentError, match="does not block"):
            await taken.acquire(False, 1)
        with pytest.raises(isthmus.ArgumentError, match="NaN"):
            await taken.acquire(timeout=float("nan"))
        assert not taken.locked()

    run(main())


@every_taken
def test_a_cancelled_task_has_taken_nothing(make: Any) -> None:
    """Cancelled at each turn, with a release at each turn."""

    async def main() -> None:
        taken = make()
        for at, cancel in moments(6):
            await taken.acquire()
            has, result = await both(taken.acquire(), taken.release, at, cancel)
            assert taken.locked() is has
            assert (in_line(taken), sleepers(handle_of(taken))) == (0, 0)
            if has:
                assert result is True
                release_by_its_owner(taken)

    def release_by_its_owner(taken: Any) -> None:
        # A recursive one belongs to a task that has ended: nobody else may release it.
        if getattr(handle_of(taken), "_tasks", None):
            handle_of(taken)._tasks[threading.get_ident()] = asyncio.current_task()
        taken.release()

    run(main())


@every_taken
def test_one_that_is_cancelled_leaves_its_place_to_the_next(make: Any) -> None:
    async def main() -> None:
        for cancel in range(5):
            taken, order = make(), []

            async def take(number: int, taken: Any = taken, order: list[int] = order) -> None:
                async with taken:
                    order.append(number)

            await taken.acquire()
            tasks = [asyncio.create_task(take(i)) for i in range(4)]
            await lined_up(taken, 4)
            taken.release()
            await turns(cancel)
            tasks[0].cancel()
            tasks[2].cancel()
            await asyncio.wait(tasks)
            assert order in ([1, 3], [0, 1, 3], [0, 1, 2, 3])
            assert not taken.locked()
            assert in_line(taken) == 0

    run(main())


@every_taken
def test_tasks_of_one_handle_take_it_in_the_order_in_which_they_came(make: Any) -> None:
    async def main() -> None:
        taken, order = make(), []

        async def take(number: int) -> None:
            async with taken:
                order.append(number)
                await asyncio.sleep(0)

        async with taken:
            tasks = [asyncio.create_task(take(i)) for i in range(50)]
            await lined_up(taken, 50)
            # One of them waits for what others do, the rest for it.
            await asleep(handle_of(taken))
            assert sleepers(handle_of(taken)) == 1
        await asyncio.gather(*tasks)
        assert order == list(range(50))

    run(main())


@every_taken
def test_a_task_that_takes_it_again_and_again_does_not_starve_another(make: Any) -> None:
    async def main() -> None:
        taken, stop = make(), False

        async def greedy() -> None:
            while not stop:
                async with taken:
                    await asyncio.sleep(0)

        tasks = [asyncio.create_task(greedy()) for _ in range(2)]
        await turns(3)
        for _ in range(20):
            async with taken:
                pass
        stop = True
        await asyncio.gather(*tasks)

    run(main())


@every_taken
def test_taking_what_is_free_does_not_keep_other_tasks_from_running(make: Any) -> None:
    async def main() -> None:
        taken, count = make(), 0

        async def other() -> None:
            nonlocal count
            while True:
                count += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        for _ in range(1000):
            async with taken:
                pass
        assert count >= 1000 // aio._waiting.RUN - 1
        assert await cancelled(task)

    run(main())


@every_taken
def test_closing_ends_the_waits(make: Any) -> None:
    async def main() -> None:
        taken = make()
        await taken.acquire()
        tasks = [asyncio.create_task(taken.acquire()) for _ in range(3)]
        await lined_up(taken, 3)
        await asleep(handle_of(taken))
        handle_of(taken).close()
        for task in tasks:
            with pytest.raises(isthmus.ClosedError):
                await task
        with pytest.raises(isthmus.ClosedError):
            await taken.acquire()
        assert in_line(taken) == 0

    run(main())


@every_taken
def test_loops_in_several_threads_exclude_each_other(make: Any) -> None:
    taken, inside, done = make(), [0], isthmus.AtomicInt()

    async def work() -> None:
        async def one() -> None:
            for _ in range(20):
                async with taken:
                    inside[0] += 1
                    assert inside[0] == 1
                    await asyncio.sleep(0)
                    inside[0] -= 1
                done.add(1)

        await asyncio.gather(*[one() for _ in range(3)])

    threads = [threading.Thread(target=run, args=(work(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert done.load() == 3 * 3 * 20
    assert not taken.locked()
    assert handle_of(taken)._lines == {}


@every_taken
def test_one_loop_after_another_uses_the_same_handle(make: Any) -> None:
    taken = make()

    async def main() -> None:
        async with taken:
            task = asyncio.create_task(taken.acquire(timeout=PATIENCE))
            await asleep(handle_of(taken))
        assert await task
        if getattr(handle_of(taken), "_tasks", None):
            handle_of(taken)._tasks[threading.get_ident()] = asyncio.current_task()
        taken.release()

    for _ in range(3):
        run(main())


@pytest.mark.parametrize("kind", ["Lock", "RLock", "Semaphore", "Condition"])
def test_they_are_pickled_and_copied_as_what_they_are(kind: str, name: str) -> None:
    import copy
    import pickle

    async def main() -> None:
        first = TAKEN[kind](name)
        for other in (pickle.loads(pickle.dumps(first)), copy.copy(first)):
            assert type(other) is type(first)
            async with first:
                assert await other.acquire(timeout=0) is False
            async with other:
                assert first.locked()
            other.close()
        first.close()

    run(main())


@pytest.mark.parametrize("kind", ["Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition"])
def test_handles_of_the_other_kind(kind: str) -> None:
    async def main() -> None:
        first = TAKEN[kind]()
        sync = first.blocking()
        assert type(sync) is getattr(isthmus, kind)
        again = type(first).of(sync)
        async with first:
            assert sync.acquire(block=False) is False
            assert await again.acquire(block=False) is False
        with sync:
            assert await first.acquire(block=False) is False

    run(main())
