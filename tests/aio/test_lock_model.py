"""Semaphores and locks for asyncio against a plain model, with cancellations at random."""

from __future__ import annotations

import asyncio
from typing import Any

from aio_locks import in_line, turns
from hypothesis import given, settings, strategies as st
from tasks import run, sleepers

from isthmus import aio

# What happens at one time: a task comes, one of those there is cancelled, a permit comes back, or
# so many turns of the loop go by.
STEPS = st.lists(
    st.one_of(
        st.just(("come", 0)),
        st.tuples(st.just("cancel"), st.integers(0, 7)),
        st.tuples(st.just("release"), st.just(0)),
        st.tuples(st.just("turns"), st.integers(1, 3)),
    ),
    max_size=40,
)


class Model:
    """So many permits; who came first, and was not cancelled in time, is first to have one."""

    def __init__(self, taken: Any, permits: int) -> None:
        self.taken, self.permits = taken, permits
        self.tasks: list[asyncio.Task[bool]] = []
        self.had: list[int] = []  # who has had one, in order
        self.held = 0
        self.asked: set[int] = set()  # to go

    async def party(self, number: int) -> bool:
        await self.taken.acquire()
        self.had.append(number)
        self.held += 1
        assert self.held <= self.permits
        return True

    def step(self, what: str, which: int) -> None:
        if what == "come":
            self.tasks.append(asyncio.create_task(self.party(len(self.tasks))))
        elif what == "cancel" and which < len(self.tasks):
            if self.tasks[-1 - which].cancel():
                self.asked.add(len(self.tasks) - 1 - which)
        elif what == "release" and self.held:
            self.held -= 1
            self.taken.release()

    async def settle(self) -> None:
        """Give back what is held until nobody waits; then nothing may be missing."""
        while not all(task.done() for task in self.tasks):
            self.step("release", 0)
            await asyncio.sleep(0)
        while self.held:
            self.step("release", 0)
        for number, task in enumerate(self.tasks):
            assert task.cancelled() is (number not in self.had)
            # Nobody goes without having been asked to.
            assert number in self.had or number in self.asked
        # In order: whoever is passed by has been cancelled.
        assert self.had == sorted(self.had)


async def play(taken: Any, permits: int, steps: list[tuple[str, int]]) -> None:
    model = Model(taken, permits)
    for what, which in steps:
        if what == "turns":
            await turns(which)
        else:
            model.step(what, which)
    await model.settle()
    await turns(2)
    assert not taken.locked()
    assert (in_line(taken), sleepers(taken)) == (0, 0)


@settings(deadline=None, max_examples=60)
@given(permits=st.integers(1, 3), robust=st.booleans(), steps=STEPS)
def test_no_permit_is_lost_and_none_is_given_twice(
    permits: int, robust: bool, steps: list[tuple[str, int]]
) -> None:
    slots = aio.BoundedSemaphore(value=permits, robust=robust)
    run(play(slots, permits, steps))
    assert slots.value == permits
    slots.close()


@settings(deadline=None, max_examples=60)
@given(steps=STEPS)
def test_a_lock_is_held_by_one_at_a_time_and_is_free_at_the_end(
    steps: list[tuple[str, int]],
) -> None:
    lock = aio.Lock()
    run(play(lock, 1, steps))
    assert not lock.locked()
    lock.close()
