"""Event loops that begin and end while others go on, and what is left of those that have ended."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from typing import Any

import pytest
from bare_calls import PATIENCE, Background
from sharing import forked
from tasks import asleep, run, sleepers
from watches import allow_inotify, without_inotify

import isthmus
from isthmus import aio
from isthmus.aio import _waiting


class Idle:
    """As good as a loop, to those that go through all of them."""

    def is_closed(self) -> bool:
        return False

    def call_soon_threadsafe(self, *_: object) -> None:
        pass


class Silent:
    """In place of what a loop hears by."""

    def fit(self, loop: object) -> bool:
        return True

    def forget(self, handle: object) -> None:
        pass


class Ending(asyncio.SelectorEventLoop):
    """A loop that ends just after it has been asked whether it has."""

    ends = False

    def is_closed(self) -> bool:
        if self.ends:
            self.ends = False
            self.close()
            return False
        return super().is_closed()


def test_a_handle_is_closed_while_other_threads_begin_and_end_their_loops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hearings: Any = _waiting._hearings
    monkeypatch.setattr(_waiting, "Hearing", lambda loop: Silent())
    some, stop, interval = [Idle() for _ in range(100)], threading.Event(), sys.getswitchinterval()

    def begin_and_end() -> None:
        while not stop.is_set():
            _waiting._hearing_of(Idle())  # type: ignore[arg-type]

    for each in some:
        hearings[each] = Silent()
    sys.setswitchinterval(1e-6)
    others = [Background(begin_and_end) for _ in range(2)]
    try:
        for _ in range(300):
            aio.Event().close()
            _waiting._hearing_of(Idle())  # type: ignore[arg-type]
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        for other in others:
            other.finish()
        for each in some:
            del hearings[each]


def test_a_handle_is_closed_while_a_loop_ends() -> None:
    lock, loop = aio.Lock(), Ending()
    loop.run_until_complete(lock.acquire())
    assert loop.run_until_complete(lock.acquire(timeout=0.001)) is False
    loop.ends = True
    lock.close()
    loop.close()


@pytest.mark.parametrize("kind", ["Lock", "Queue", "Event", "Subscriber"])
def test_tasks_that_a_loop_has_left_go_quietly(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", heard.append)
    loop = asyncio.new_event_loop()
    handle: Any = getattr(aio, kind)()
    wait = {"Lock": "acquire", "Queue": "get", "Event": "wait", "Subscriber": "recv"}[kind]

    async def begin(handle: Any) -> list[asyncio.Task[Any]]:
        if kind == "Lock":
            await handle.acquire()
        tasks = [asyncio.create_task(getattr(handle, wait)()) for _ in range(3)]
        await asleep(handle, count=1 if kind == "Lock" else 3)
        return tasks

    tasks = loop.run_until_complete(begin(handle))
    loop.close()
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    handle.close()
    del tasks, task, handle, loop
    gc.collect()
    assert [str(each.exc_value) for each in heard] == []  # type: ignore[attr-defined]


def test_tasks_that_one_loop_has_left_keep_those_of_another_from_nothing() -> None:
    lock, loop = aio.Lock(), asyncio.new_event_loop()

    async def begin() -> asyncio.Task[Any]:
        await lock.acquire()
        task = asyncio.create_task(lock.acquire())
        await asleep(lock)
        return task

    left = loop.run_until_complete(begin())
    loop.close()
    left._log_destroy_pending = False  # type: ignore[attr-defined]
    lock.release()

    async def main() -> None:
        async with lock:
            assert sleepers(lock) == 0

    run(main())
    lock.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_loop_that_began_without_watches_hears_when_there_are_some_again(name: str) -> None:
    answers = isthmus.Queue()

    async def wait(q: aio.Queue) -> None:
        blind = []
        for instances in (0, 0, 5, 5):
            allow_inotify(instances)
            task = asyncio.create_task(q.get())
            await asleep(q)
            hearing: Any = _waiting._hearings[asyncio.get_running_loop()]
            blind.append(hearing._bell.blind)
            answers.put("waits")
            assert await task == "told"
        assert blind == [True, True, False, False]

    def in_child() -> None:
        try:
            without_inotify()
        except OSError:
            answers.put("not here")
            return
        with aio.Queue(name) as q:
            run(wait(q))

    with isthmus.Queue(name) as q, forked(in_child) as child:
        for _ in range(4):
            if answers.get(timeout=PATIENCE) == "not here":
                pytest.skip("this user may not make user namespaces")
            q.put("told")
        assert child.finish() == 0
