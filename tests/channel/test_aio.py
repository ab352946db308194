"""Every form with asyncio."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import channels
import pytest
from channels import FORMS, PATIENCE, child, ended, sizes_for

import isthmus
from isthmus import channel as blocking
from isthmus.aio import channel
from isthmus.channel import Channel, EndOfChannel, NotListeningError, TimedOut

Ends = tuple[Channel, Channel]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    async def limited() -> Any:
        async with asyncio.timeout(PATIENCE):
            return await work

    return asyncio.run(limited())


async def until_waiting(end: channel.Channel | channel.Listener) -> None:
    """Until a task of this loop waits for its descriptor."""
    while not end.blocking()._wakes:
        await asyncio.sleep(0)


def test_messages_go_both_ways_in_order(ends: Ends) -> None:
    async def work() -> None:
        mine, yours = map(channel.Channel.of, ends)
        sent = sizes_for(ends[0], 100, 2000)

        async def answer() -> None:
            for _ in sent:
                await yours.send(await yours.recv())

        async with asyncio.TaskGroup() as group:
            group.create_task(answer())
            for message in sent:
                await mine.send(message)
                assert await mine.recv() == message

    run(work())


def test_many_messages_and_large_ones_pass_between_tasks(ends: Ends) -> None:
    async def work() -> list[bytes]:
        mine, yours = map(channel.Channel.of, ends)
        async with asyncio.TaskGroup() as group:
            group.create_task(mine.send_many(sent))
            return [await yours.recv() for _ in sent]

    sent = [bytes(min(ends[0].largest, 1 << 20)), *sizes_for(ends[0], 200, 60_000), b""]
    assert run(work()) == sent


def test_time_runs_out_and_the_channel_is_as_good_as_before(ends: Ends) -> None:
    async def work() -> None:
        mine, yours = map(channel.Channel.of, ends)
        for timeout in (0, 0.01):
            with pytest.raises(TimedOut):
                await yours.recv(timeout)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await yours.recv()
        await mine.send(b"x")
        buffer = bytearray(3)
        assert await yours.recv_into(buffer) == 1
        assert buffer == b"x\0\0"

    run(work())


def test_a_cancelled_task_has_received_nothing(ends: Ends) -> None:
    async def work() -> None:
        mine, yours = map(channel.Channel.of, ends)
        for number in range(20):
            task = asyncio.create_task(yours.recv())
            await until_waiting(yours)
            if number % 2:
                await mine.send(b"%d" % number)
            task.cancel()
            try:
                got = await task
            except asyncio.CancelledError:
                got = None
            if number % 2:
                assert (got or await yours.recv()) == b"%d" % number
        with pytest.raises(TimedOut):
            await yours.recv(0)

    run(work())


def test_closing_ends_what_is_awaited(ends: Ends) -> None:
    async def work(close: Any) -> None:
        task = asyncio.create_task(yours.recv())
        await until_waiting(yours)
        close()
        with pytest.raises(isthmus.ClosedError):
            await task
        with pytest.raises(isthmus.ClosedError):
            await yours.recv()

    yours = channel.Channel.of(ends[1])
    run(work(yours.close))
    assert ends[1].closed


def test_a_thread_that_closes_it_ends_what_is_awaited(ends: Ends) -> None:
    async def work() -> None:
        yours = channel.Channel.of(ends[1])
        task = asyncio.create_task(yours.recv())
        await until_waiting(yours)
        thread = threading.Thread(target=ends[1].close)
        thread.start()
        with pytest.raises(isthmus.ClosedError):
            await task
        thread.join()

    run(work())


def test_several_tasks_take_turns(ends: Ends) -> None:
    async def work() -> list[bytes]:
        mine, yours = map(channel.Channel.of, ends)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(yours.recv()) for _ in range(5)]
            await until_waiting(yours)
            await mine.send_many([b"%d" % number for number in range(5)])
        return [task.result() for task in tasks]

    assert run(work()) == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("form", [name for name in channels.TELLING if name != "signal"])
def test_the_end_of_the_other_side_ends_the_iteration(form: str, tmp_path: Path) -> None:
    async def work(end: Channel) -> list[bytes]:
        return [message async for message in channel.Channel.of(end)]

    with channels.ends(form, tmp_path) as (mine, yours):

        def send() -> None:
            mine.close()
            yours.send_many([b"a", b"b"])

        pid = child(send)
        yours.close()
        assert run(work(mine)) == [b"a", b"b"]
        assert ended(pid) == 0
        with pytest.raises(EndOfChannel):
            mine.recv()


@pytest.mark.parametrize("form", channels.NAMED)
def test_listening_and_connecting_are_awaited(form: str, tmp_path: Path) -> None:
    async def work(url: str) -> None:
        async with channel.listen(url) as listener:
            if FORMS[form].connections:
                with pytest.raises(TimedOut):
                    await listener.accept(0.01)
            accepted = asyncio.create_task(listener.accept())
            client = await channel.connect(listener.url)
            async with client, await accepted as server:
                await client.send(b"hello")
                assert await server.recv() == b"hello"
                await server.send(b"you")
                assert await client.recv() == b"you"

    with channels.place(form, tmp_path) as url:
        run(work(url))


def test_what_is_connected_when_nobody_waits_for_it_any_more_is_closed() -> None:
    async def work() -> None:
        async with channel.listen(url) as listener:
            task = asyncio.create_task(channel.connect(url, timeout=PATIENCE))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            # What it makes all the same is closed as soon as it is there.
            async with await listener.accept() as server:
                assert [message async for message in server] == []

    url = f"unix:@test-{os.getpid()}-{os.urandom(6).hex()}"
    run(work())


def test_nobody_waits_for_a_connection_that_was_given_up() -> None:
    async def work() -> None:
        task = asyncio.create_task(channel.connect(url, timeout=None))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    url = f"unix:@test-{os.getpid()}-{os.urandom(6).hex()}"
    # Which waits for all threads, and would do so for ever.
    run(work())
    with pytest.raises(NotListeningError):
        blocking.connect(url)


def test_only_channels_have_a_twin() -> None:
    mine, yours = blocking.pair("unix")
    with mine, yours:
        twin = channel.Channel.of(mine)
        assert twin.blocking() is mine
        assert (twin.url, twin.form, twin.peer) == (mine.url, mine.form, mine.peer)
        assert "isthmus.aio.channel.UnixChannel" in repr(twin)
    with pytest.raises(TypeError):
        channel.Channel.of(object())  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        channel.Listener.of(mine)  # type: ignore[arg-type]
