"""Waits that end as none should: without descriptors, and with a loop that is gone."""

from __future__ import annotations

import asyncio
import errno
import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tasks import run, sleepers

import isthmus
from isthmus import aio
from isthmus._core.doorbell import Waited
from isthmus.aio import _waiting


async def in_condition(condition: aio.Condition) -> None:
    async with condition:
        await condition.wait()


Wait = Callable[[Any], Coroutine[Any, Any, Any]]

WAITS: list[tuple[Callable[[], Any], Wait]] = [
    (aio.Queue, lambda q: q.get()),
    (aio.Event, lambda event: event.wait()),
    (lambda: aio.Semaphore(value=0), lambda slots: slots.acquire()),
    (lambda: aio.Barrier(parties=9), lambda barrier: barrier.wait()),
    (aio.Condition, in_condition),
]
IDS = ["queue", "event", "semaphore", "barrier", "condition"]


@pytest.mark.parametrize(("make", "wait"), WAITS, ids=IDS)
def test_tasks_may_be_left_behind_by_their_loop(
    make: Callable[[], Any], wait: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaints: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    handle = make()

    async def begin() -> None:
        tasks.extend(asyncio.create_task(wait(handle)) for _ in range(3))
        while not sleepers(handle):
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[Any]] = []
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # which hears of each task
    loop.run_until_complete(begin())
    loop.close()
    tasks.clear()
    _waiting._hearings.clear()
    del loop
    if isinstance(handle, aio.Barrier):
        gc.collect()
        assert handle.n_waiting == 0
    handle = None
    gc.collect()
    assert [str(complaint.exc_value) for complaint in complaints] == []


@pytest.mark.parametrize(("make", "wait"), WAITS, ids=IDS)
def test_without_descriptors_it_is_as_if_nobody_had_come(
    make: Callable[[], Any], wait: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(loop: asyncio.AbstractEventLoop) -> _waiting.Hearing:
        raise OSError(errno.EMFILE, "Too many open files")

    async def main() -> None:
        handle = make()
        with monkeypatch.context() as patch:
            patch.setattr(_waiting, "Hearing", none_left)
            with pytest.raises(OSError, match="Too many"):
                await wait(handle)
        if isinstance(handle, aio.Barrier):
            assert handle.n_waiting == 0 and not handle.broken
        if isinstance(handle, aio.Condition):
            assert await handle.acquire(timeout=0)
            handle.release()
        assert not getattr(handle, "_lines", {})
        handle.close()

    run(main())


def test_what_is_closed_says_so_also_of_many_messages() -> None:
    async def main() -> None:
        q, pub = aio.Queue(), aio.Publisher()
        q.close()
        pub.close()
        for sending in (q.put_many([b"1"]), q.put_many([]), pub.publish_many([1, 2])):
            with pytest.raises(isthmus.ClosedError):
                await sending

    run(main())


def test_a_closed_handle_is_not_entered() -> None:
    async def main() -> None:
        for handle in (aio.Queue(), aio.Publisher(), aio.Subscriber(), aio.Event()):
            async with handle:
                pass
            with pytest.raises(isthmus.ClosedError):
                await handle.__aenter__()

    run(main())


def test_a_handle_that_is_closed_just_before_a_task_falls_asleep() -> None:
    """By another thread, after the look that found nothing."""

    async def main() -> None:
        event = aio.Event()
        thing = Waited(event)
        assert not thing.look()
        event.close()
        with pytest.raises(isthmus.ClosedError):
            await _waiting._hearing_of(asyncio.get_running_loop()).wait(thing, None)

    run(main())


def test_a_loop_that_is_closed_just_before_it_is_told_of_a_handle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its own thread, while another one closes the handle."""

    async def main() -> asyncio.AbstractEventLoop:
        assert not await event.wait(timeout=0)
        return asyncio.get_running_loop()

    event = aio.Event()
    loop = run(main())
    assert loop in _waiting._hearings
    monkeypatch.setattr(loop, "is_closed", lambda: False)
    event.close()
    assert event.closed


def test_of_a_wait_that_has_ended_nothing_is_kept() -> None:
    async def main() -> None:
        hearing = _waiting._hearing_of(asyncio.get_running_loop())
        events = [aio.Event() for _ in range(3)]
        tasks = [asyncio.create_task(event.wait()) for event in events for _ in range(2)]
        while sleepers(*events) < 6:
            await asyncio.sleep(0)
        assert sorted(map(len, hearing._handles.values())) == [2, 2, 2]
        events[0].set()
        events[1].close()
        for task in tasks[4:]:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert ended[:2] == [True, True]
        assert [type(each) for each in ended[2:4]] == [isthmus.ClosedError] * 2
        assert hearing._handles == {} and sleepers(*events) == 0

    run(main())
