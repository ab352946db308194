"""Conditions for asyncio: waiting, notifying, and the lock that is always taken back."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable
from typing import Any

import pytest
from aio_locks import in_line, taken_by, turns
from bare_calls import PATIENCE, Background, until
from sharing import holding
from tasks import asleep, run, sleepers

import isthmus
from isthmus import aio
from isthmus.aio import _waiting

# From Python 3.12 on; no other thread runs while a test forks.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

MAKERS: dict[str, Callable[[], aio.Condition]] = {
    "its own lock": aio.Condition,
    "on a Lock": lambda: aio.Condition(None, aio.Lock()),
    "on an RLock": lambda: aio.Condition(None, aio.RLock()),
}
every_lock = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


async def wait(condition: aio.Condition, timeout: float | None = PATIENCE) -> bool:
    async with condition:
        return await condition.wait(timeout)


def shares(condition: Any) -> int:
    """How many wait, as the object itself says."""
    return sum(facts[4] for facts in condition._participants())


async def waiting(condition: aio.Condition, count: int) -> list[asyncio.Task[bool]]:
    tasks = [asyncio.create_task(wait(condition)) for _ in range(count)]
    while shares(condition) < count:
        await asyncio.sleep(0)
    await asleep(condition, count=count)
    return tasks


def assert_at_rest(condition: aio.Condition) -> None:
    """Nobody waits, nobody has the lock, and no notification is left over."""
    assert shares(condition) == 0
    assert not condition.locked()
    lock = condition.lock or condition
    assert (sleepers(condition, lock), in_line(condition)) == (0, 0)


@every_lock
def test_notify_wakes_as_many_as_it_is_told(make: Any) -> None:
    async def main() -> None:
        condition = make()
        tasks = await waiting(condition, 5)
        for n, expected in ((1, 1), (2, 3)):
            async with condition:
                condition.notify(n)
            while sum(task.done() for task in tasks) < expected:
                await asyncio.sleep(0)
            await turns(10)
            assert sum(task.done() for task in tasks) == expected
        async with condition:
            condition.notify_all()
        assert await asyncio.gather(*tasks) == [True] * 5
        assert_at_rest(condition)

    run(main())


@every_lock
def test_a_timeout_is_waited_for(make: Any) -> None:
    async def main() -> None:
        condition = make()
        async with condition:
            begun = asyncio.get_running_loop().time()
            assert await condition.wait(timeout=0.02) is False
            assert asyncio.get_running_loop().time() - begun >= 0.02
            assert await condition.wait(timeout=0) is False
            assert await condition.wait(timeout=-1) is False
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.005):
                    await condition.wait()
            with pytest.raises(isthmus.ArgumentError, match="NaN"):
                await condition.wait(timeout=float("nan"))
            assert condition.locked()
        assert_at_rest(condition)

    run(main())


@every_lock
def test_without_the_lock_nothing_is_possible(make: Any) -> None:
    async def main() -> None:
        condition = make()
        for use in (condition.notify, condition.notify_all, condition.release, condition.abandon):
            with pytest.raises(isthmus.NotHeldError):
                use()
        with pytest.raises(isthmus.NotHeldError):
            await condition.wait(0)

        async def other() -> None:
            for use in (condition.notify, condition.notify_all, condition.release):
                with pytest.raises(isthmus.NotHeldError, match="another task"):
                    use()
            with pytest.raises(isthmus.NotHeldError, match="another task"):
                await condition.wait(0)

        if type(condition.lock) is not aio.Lock:  # which any task of the handle may use
            async with condition:
                await asyncio.create_task(other())
        assert_at_rest(condition)

    run(main())


def test_the_lock_must_be_one_of_tasks() -> None:
    with pytest.raises(TypeError, match=r"of isthmus\.aio"):
        aio.Condition(None, isthmus.Lock())


def test_a_wait_gives_back_a_recursive_lock_however_deep() -> None:
    async def main() -> None:
        for condition in (aio.Condition(), aio.Condition(None, aio.RLock())):
            async with condition, condition:
                task = asyncio.create_task(notify(condition))
                assert await condition.wait() is True
                await task
                assert condition.locked()
            assert_at_rest(condition)

    async def notify(condition: aio.Condition) -> None:
        async with condition:
            condition.notify()

    run(main())


@every_lock
def test_wait_for_waits_until_it_is_true(make: Any) -> None:
    async def main() -> None:
        condition, value = make(), 0

        async def produce() -> None:
            nonlocal value
            for _ in range(3):
                async with condition:
                    value += 1
                    condition.notify()
                await turns(3)

        async with condition:
            task = asyncio.create_task(produce())
            assert await condition.wait_for(lambda: value == 3 and "three") == "three"
            assert await condition.wait_for(lambda: value > 5, timeout=0.005) is False
            await task
        assert_at_rest(condition)

    run(main())


@every_lock
def test_a_cancelled_wait_has_the_lock_and_hands_a_notification_on(make: Any) -> None:
    """Two wait, one is notified; one is cancelled, and once more: at each turn."""

    async def main() -> None:
        for at in range(4):
            for cancel in range(8):
                condition = make()
                held: list[bool] = []

                async def wait_and_look(condition: Any = condition, held: Any = held) -> bool:
                    async with condition:
                        try:
                            notified: bool = await condition.wait()
                        except asyncio.CancelledError:
                            held.append(condition.locked())
                            condition.notify(0x7FFFFFFF)  # only with the lock
                            raise
                        return notified

                first = asyncio.create_task(wait_and_look())
                while shares(condition) < 1:
                    await asyncio.sleep(0)
                (second,) = await waiting_too(condition)
                notifying = None
                for turn in range(max(at, cancel) + 2):
                    if turn == at:
                        notifying = asyncio.create_task(notify(condition))
                    if turn in (cancel, cancel + 1):
                        first.cancel()
                    await asyncio.sleep(0)
                await asyncio.wait([first])
                assert held == ([True] if first.cancelled() else [])
                assert notifying is not None
                await notifying
                async with condition:
                    condition.notify_all()
                if not first.cancelled():
                    assert await first is True
                assert await second is True
                assert_at_rest(condition)

    async def waiting_too(condition: Any) -> list[asyncio.Task[bool]]:
        task = asyncio.create_task(wait(condition))
        while shares(condition) < 2:
            await asyncio.sleep(0)
        return [task]

    async def notify(condition: Any) -> None:
        async with condition:
            condition.notify()
            await turns(2)  # those that are woken have to wait for the lock

    run(main())


@every_lock
def test_a_notification_for_one_that_is_cancelled_goes_to_another(make: Any) -> None:
    async def main() -> None:
        condition = make()
        for victims in range(4):
            tasks = await waiting(condition, 5)
            async with condition:
                condition.notify(1)
                await turns(3)  # they have been woken, and cannot have the lock
                for task in tasks[:victims]:
                    task.cancel()
            done, _ = await asyncio.wait(tasks[victims:], return_when=asyncio.FIRST_COMPLETED)
            await turns(20)
            assert [await task for task in done] == [True]
            assert all(task.cancelled() for task in tasks[:victims])
            assert sum(task.done() for task in tasks) == victims + 1
            async with condition:
                condition.notify_all()
            await asyncio.wait(tasks)
            assert_at_rest(condition)

    run(main())


@every_lock
def test_a_notification_that_a_cancelled_one_has_taken_goes_to_another(make: Any) -> None:
    async def main() -> None:
        condition = make()
        for victims in range(1, 4):
            tasks = await waiting(condition, 5)
            async with condition:
                condition.notify(1)
            # Before the bell is heard: so these have the lock first, and the notification.
            for task in tasks[:victims]:
                task.cancel()
            done, _ = await asyncio.wait(tasks[victims:], return_when=asyncio.FIRST_COMPLETED)
            await turns(20)
            assert [await task for task in done] == [True]
            assert all(task.cancelled() for task in tasks[:victims])
            assert sum(task.done() for task in tasks) == victims + 1
            async with condition:
                condition.notify_all()
            await asyncio.wait(tasks)
            assert_at_rest(condition)

    run(main())


@every_lock
def test_a_coroutine_that_is_closed_does_not_wait_any_more(make: Any) -> None:
    async def main() -> None:
        condition = make()
        coroutine = wait(condition)
        coroutine.send(None)
        assert shares(condition) == 1
        coroutine.close()
        assert_at_rest(condition)

    run(main())


@every_lock
def test_closing_ends_the_waits(make: Any) -> None:
    async def main() -> None:
        condition = make()
        tasks = await waiting(condition, 2)
        condition.close()
        for task in tasks:
            with pytest.raises(isthmus.ClosedError):
                await task
        assert condition.lock is None or not condition.lock.locked()

    run(main())


def test_sync_code_notifies_tasks_and_tasks_notify_sync_code(name: str) -> None:
    async def main() -> None:
        condition, sync = aio.Condition(name), isthmus.Condition(name)
        tasks = await waiting(condition, 2)
        with sync:
            sync.notify_all()
        assert await asyncio.gather(*tasks) == [True, True]

        def wait_in_thread() -> bool:
            with sync:
                return sync.wait(PATIENCE)

        thread = Background(wait_in_thread)
        until(lambda: shares(sync) == 1)
        async with condition:
            condition.notify()
        assert await asyncio.to_thread(thread.finish) is True
        assert_at_rest(condition)
        condition.close()
        sync.close()

    run(main())


def test_loops_in_several_threads_pass_a_turn_around() -> None:
    condition, turn = aio.Condition(), [0]

    async def play(mine: int) -> None:
        for _ in range(20):
            async with condition:
                await condition.wait_for(lambda: turn[0] % 6 == mine)
                turn[0] += 1
                condition.notify_all()

    async def two(first: int) -> None:
        await asyncio.gather(play(first), play(first + 1))

    threads = [threading.Thread(target=run, args=(two(i),)) for i in (0, 2, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert turn[0] == 120
    assert shares(condition) == 0


def test_an_owner_that_is_killed_while_a_task_has_to_take_the_lock_back(name: str) -> None:
    condition = aio.Condition(name)

    def notify_and_stay() -> None:
        take()
        kept[0].notify()

    kept: list[Any] = []

    def make() -> Any:
        kept.append(isthmus.Condition(name))
        return kept[0]

    take = taken_by(make)

    async def main() -> None:
        async with condition:
            # Forks while the lock is held, so it can be taken only once this task waits.
            ready = asyncio.create_task(kill_the_holder())
            with pytest.warns(isthmus.OwnerDiedWarning) as caught:
                assert await condition.wait() is True
            (told,) = [each for each in caught if each.category is isthmus.OwnerDiedWarning]
            assert told.filename == __file__
            assert condition.owner_died
            await ready
        assert not condition.owner_died
        assert_at_rest(condition)

    async def kill_the_holder() -> None:
        with holding(notify_and_stay) as child:
            await turns(20)
            child.kill()

    run(main())
    condition.close()


@every_lock
def test_handles_of_the_other_kind(make: Any) -> None:
    async def main() -> None:
        condition = make()
        sync = condition.blocking()
        assert type(sync) is isthmus.Condition
        again = aio.Condition.of(sync)
        for other in (sync.lock, again.lock):
            assert (other is None) is (condition.lock is None)
        (task,) = await waiting(condition, 1)
        with sync:
            assert await again.acquire(block=False) is False
            sync.notify()
        assert await task is True
        (task,) = await waiting(again, 1)
        async with condition:
            condition.notify()
        assert await task is True

    run(main())


@every_lock
def test_one_that_cannot_wait_for_want_of_descriptors_has_the_lock_when_it_is_told(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        condition = make()
        other = condition.blocking()
        calls = 0

        def none_left(_: object) -> None:
            nonlocal calls
            calls += 1
            if calls == 1:
                assert other.acquire(block=False)  # somebody is quicker
            elif calls == 3:
                other.release()
            raise OSError(errno.EMFILE, "none left")

        with pytest.raises(OSError, match="none left"):
            async with condition:
                monkeypatch.setattr(_waiting, "_hearing_of", none_left)
                try:
                    await condition.wait()
                finally:
                    assert condition.locked() and not other.acquire(block=False)
        assert calls >= 3
        assert_at_rest(condition)

    run(main())
