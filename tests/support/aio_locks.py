"""For the tests of awaitable locks and friends: all kinds of them, and cancelling at each turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import isthmus
from isthmus import aio

# What a task takes and gives back; all of them for one at a time.
TAKEN: dict[str, Callable[..., Any]] = {
    "Lock": aio.Lock,
    "RLock": aio.RLock,
    "Semaphore": aio.Semaphore,
    "robust Semaphore": lambda *a, **k: aio.Semaphore(*a, robust=True, **k),
    "BoundedSemaphore": aio.BoundedSemaphore,
    "Condition": aio.Condition,
    "Condition on a Lock": lambda: aio.Condition(None, aio.Lock()),
    "Condition on an RLock": lambda: aio.Condition(None, aio.RLock()),
    "RWLock.write": lambda *a, **k: aio.RWLock(*a, **k).write,
}
every_taken = pytest.mark.parametrize("make", TAKEN.values(), ids=TAKEN.keys())

# Those with an owner, that have a name, and the sync class of the same name.
OWNED: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "Lock": (aio.Lock, isthmus.Lock),
    "RLock": (aio.RLock, isthmus.RLock),
    "Condition": (aio.Condition, isthmus.Condition),
    "RWLock.write": (TAKEN["RWLock.write"], lambda *a, **k: isthmus.RWLock(*a, **k).write),
}
every_owned = pytest.mark.parametrize(("make", "sync"), OWNED.values(), ids=OWNED.keys())


async def turns(count: int) -> None:
    """Let all others run so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


def handle_of(thing: Any) -> Any:
    """What is waited on."""
    if hasattr(thing, "rwlock"):
        return thing.rwlock
    return getattr(thing, "lock", None) or thing


def in_line(thing: Any) -> int:
    """How many tasks of this loop stand in line for it."""
    return len(handle_of(thing)._lines.get(asyncio.get_running_loop(), ()))


async def lined_up(thing: Any, count: int) -> None:
    """Let others run until so many stand in line for it."""
    while in_line(thing) < count:
        await asyncio.sleep(0)


def moments(most: int) -> Iterator[tuple[int, int]]:
    """(when to do something, when to cancel): each pair of numbers of turns."""
    for act in range(most):
        for cancel in range(most):
            yield act, cancel


async def both(
    waiting: Coroutine[Any, Any, Any], act: Callable[[], object], at: int, cancel: int
) -> tuple[bool, Any]:
    """Run `waiting`; after `at` turns call `act`, after `cancel` turns cancel it.

    Returns whether it has a result, and which; all that it set off has settled by then.
    """
    task = asyncio.create_task(waiting)
    for turn in range(max(at, cancel) + 1):
        if turn == at:
            act()
        if turn == cancel:
            task.cancel()
        await asyncio.sleep(0)
    try:
        return True, await task
    except asyncio.CancelledError:
        return False, None


_kept: list[Any] = []


def taken_by(make: Callable[[], Any], times: int = 1) -> Callable[[], None]:
    """For a child that is to hold what `make` opens until it is killed."""

    def take() -> None:
        thing = make()
        _kept.append(thing)
        for _ in range(times):
            assert thing.acquire(timeout=0)

    return take
