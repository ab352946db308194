"""Readers-writer locks for asyncio. What writing has in common with locks: test_taking.py."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aio_locks import both, lined_up, moments, taken_by, turns
from bare_calls import PATIENCE, Background
from sharing import holding
from tasks import asleep, run, sleepers

import isthmus
from isthmus import aio

every_preference = pytest.mark.parametrize("prefer", [False, True], ids=["writers", "readers"])


def assert_free(rw: Any) -> None:
    assert not rw.read.locked()
    assert not rw.write.locked()
    assert rw.writer is None
    assert sleepers(rw) == 0


@every_preference
def test_many_read_or_one_writes(prefer: bool) -> None:
    async def main() -> None:
        rw = aio.RWLock(reader_preference=prefer)
        async with rw.read as side, rw.read:
            assert side == rw.read
            assert rw.read.locked()
            assert await rw.write.acquire(block=False) is False
            assert await rw.write.acquire(timeout=0) is False
            assert await rw.write.acquire(timeout=0.005) is False
            # One that gave up is in nobody's way.
            assert await rw.read.acquire(block=False) is True
            rw.read.release()
        async with rw.write as writing:
            assert writing == rw.write
            for side in (rw.read, rw.write):
                assert await side.acquire(block=False) is False
                assert await side.acquire(timeout=0.005) is False
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.005):
                        await side.acquire()
        assert_free(rw)

    run(main())


def test_a_lock_has_two_sides() -> None:
    async def main() -> None:
        rw = aio.RWLock()
        with pytest.raises(TypeError, match="two sides"):
            async with rw:
                raise AssertionError("the body has run")
        for side in (rw.read, rw.write):
            with pytest.raises(TypeError, match="use async with"), side:
                raise AssertionError("the body has run")
            with pytest.raises(isthmus.NotHeldError):
                side.release()
            with pytest.raises(isthmus.ArgumentError, match="NaN"):
                await side.acquire(timeout=float("nan"))
            with pytest.raises(isthmus.ArgumentError, match="does not block"):
                await side.acquire(False, 1)
        assert rw.read != rw.write
        assert_free(rw)

    run(main())


def test_all_readers_come_in_when_the_writer_has_left(name: str) -> None:
    async def main() -> None:
        rw, sync = aio.RWLock(name), isthmus.RWLock(name)
        with sync.write:
            tasks = [asyncio.create_task(rw.read.acquire()) for _ in range(20)]
            await asleep(rw, count=20)
        assert await asyncio.gather(*tasks) == [True] * 20
        for _ in range(20):
            rw.read.release()
        assert_free(rw)
        sync.close()
        rw.close()

    run(main())


def test_a_writer_waits_for_readers_and_holds_up_new_ones(name: str) -> None:
    async def main() -> None:
        rw, sync = aio.RWLock(name), isthmus.RWLock(name)
        with sync.read:
            writer = asyncio.create_task(rw.write.acquire())
            await asleep(rw)
            assert sync.read.acquire(block=False) is False
            assert await rw.read.acquire(timeout=0) is False
            assert not writer.done()
        assert await writer
        assert sync.read.acquire(block=False) is False
        waiting = Background(lambda: sync.read.acquire(timeout=PATIENCE))
        rw.write.release()
        assert await asyncio.to_thread(waiting.finish) is True
        sync.read.release()
        assert_free(rw)
        sync.close()
        rw.close()

    run(main())


def test_readers_that_are_preferred_do_not_wait_for_a_writer_that_waits() -> None:
    async def main() -> None:
        rw = aio.RWLock(reader_preference=True)
        async with rw.read:
            writer = asyncio.create_task(rw.write.acquire())
            await asleep(rw)
            async with rw.read:
                assert not writer.done()
        assert await writer
        rw.write.release()
        assert_free(rw)

    run(main())


@every_preference
def test_a_writer_that_is_cancelled_has_not_been_there(prefer: bool) -> None:
    """At each turn, between the release of a reader, of another writer, and after."""

    async def main() -> None:
        rw = aio.RWLock(reader_preference=prefer)
        for side in (rw.read, rw.write):
            for at, cancel in moments(7):
                await side.acquire()
                has, _ = await both(rw.write.acquire(), side.release, at, cancel)
                assert rw.write.locked() is has
                if has:
                    rw.write.release()
                assert_free(rw)
                async with rw.read:
                    pass

    run(main())


@every_preference
def test_a_reader_that_is_cancelled_does_not_read(prefer: bool) -> None:
    async def main() -> None:
        rw = aio.RWLock(reader_preference=prefer)
        for at, cancel in moments(6):
            await rw.write.acquire()
            has, _ = await both(rw.read.acquire(), rw.write.release, at, cancel)
            assert rw.read.locked() is has
            if has:
                rw.read.release()
            assert_free(rw)

    run(main())


def test_writers_of_one_handle_exclude_each_other_and_readers() -> None:
    async def main() -> None:
        rw, reading, writing = aio.RWLock(), 0, 0

        async def read() -> None:
            nonlocal reading
            for _ in range(10):
                async with rw.read:
                    reading += 1
                    assert writing == 0
                    await asyncio.sleep(0)
                    reading -= 1

        async def write() -> None:
            nonlocal writing
            for _ in range(10):
                async with rw.write:
                    writing += 1
                    assert (reading, writing) == (0, 1)
                    await asyncio.sleep(0)
                    writing -= 1

        await asyncio.gather(*[read() for _ in range(10)], *[write() for _ in range(5)])
        assert_free(rw)

    run(main())


def test_a_writer_that_comes_back_at_once_lets_readers_in_before() -> None:
    async def main() -> None:
        rw, stop = aio.RWLock(), False

        async def write() -> None:
            while not stop:
                async with rw.write:
                    await asyncio.sleep(0)

        writer = asyncio.create_task(write())
        await turns(3)
        for _ in range(10):
            async with rw.read:
                pass
        stop = True
        await writer
        assert_free(rw)

    run(main())


def test_closing_ends_the_waits() -> None:
    async def main() -> None:
        for held, waits in (("write", "read"), ("read", "write"), ("write", "write")):
            rw = aio.RWLock()
            await getattr(rw, held).acquire()
            task = asyncio.create_task(getattr(rw, waits).acquire())
            await asleep(rw)
            rw.close()
            with pytest.raises(isthmus.ClosedError):
                await task

    run(main())


def test_a_reader_that_is_killed_lets_a_writer_in(name: str) -> None:
    rw = aio.RWLock(name)
    with holding(taken_by(lambda: isthmus.RWLock(name).read)) as child:

        async def main() -> None:
            task = asyncio.create_task(rw.write.acquire())
            await asleep(rw)
            child.kill()
            assert await task
            assert not rw.write.owner_died
            rw.write.release()
            assert_free(rw)

        run(main())
    rw.close()


def test_a_writer_that_is_killed_lets_readers_in_and_they_are_told(name: str) -> None:
    rw = aio.RWLock(name, on_owner_death="ignore")
    with holding(taken_by(lambda: isthmus.RWLock(name).write)) as child:

        async def main() -> None:
            tasks = [asyncio.create_task(rw.read.acquire()) for _ in range(3)]
            await asleep(rw, count=3)
            child.kill()
            assert await asyncio.gather(*tasks) == [True] * 3
            assert rw.read.owner_died
            writer = asyncio.create_task(rw.write.acquire())
            await asleep(rw)
            for _ in range(3):
                rw.read.release()
            assert await writer
            assert rw.write.owner_died
            rw.write.release()
            async with rw.read:
                assert not rw.read.owner_died
            assert_free(rw)

        run(main())
    rw.close()


def test_a_writer_that_is_killed_while_it_waits_lets_readers_in(name: str) -> None:
    rw, sync = aio.RWLock(name, on_owner_death="ignore"), isthmus.RWLock(name)
    sync.read.acquire()

    async def wait(other: aio.RWLock) -> None:
        task = asyncio.create_task(other.write.acquire())
        await asleep(other)
        assert not task.done()

    def begin_to_wait() -> None:
        # In a loop that is not closed: that would cancel the task.
        kept.append(asyncio.new_event_loop())
        kept.append(aio.RWLock(name))
        kept[0].run_until_complete(wait(kept[1]))

    kept: list[Any] = []
    with holding(begin_to_wait) as child:

        async def main() -> None:
            task = asyncio.create_task(rw.read.acquire())
            await asleep(rw)
            child.kill()
            assert await task
            rw.read.release()
            sync.read.release()
            async with rw.write:  # else it would be kept, to tell of the death
                assert rw.write.owner_died

        run(main())
    sync.close()
    rw.close()


def test_writers_stand_in_line() -> None:
    async def main() -> None:
        rw, order = aio.RWLock(), []

        async def write(number: int) -> None:
            async with rw.write:
                order.append(number)
                await asyncio.sleep(0)

        async with rw.write:
            tasks = [asyncio.create_task(write(i)) for i in range(10)]
            await lined_up(rw, 10)
        await asyncio.gather(*tasks)
        assert order == list(range(10))

    run(main())
