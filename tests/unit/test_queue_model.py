"""A state machine of several handles to one queue, against a plain model."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)
from rings import starting_at

import isthmus
from isthmus import Lease, Queue

messages = st.one_of(
    st.binary(max_size=200), st.text(max_size=20), st.lists(st.integers(), max_size=3)
)
_numbers = iter(range(10**9))


class Message:
    """What the model knows of one: where it is in the order, and how often it was delivered."""

    def __init__(self, number: int, value: Any) -> None:
        self.number, self.value, self.attempts = number, value, 0


class Handles(RuleBasedStateMachine):
    """Capacity is never what stands in the way here, but `maxsize` may be."""

    handles = Bundle("handles")
    leases = Bundle("leases")

    @initialize(
        start=st.sampled_from([0, 32, 2**63 - 320, 2**64 - 320]),
        maxsize=st.sampled_from([0, 3]),
        max_attempts=st.sampled_from([None, 2]),
    )
    def begin(self, start: int, maxsize: int, max_attempts: int | None) -> None:
        self.name = f"model-{os.getpid()}-{next(_numbers)}"
        self.maxsize, self.max_attempts = maxsize, max_attempts
        self.first = starting_at(
            start, self.name, capacity="256 KiB", maxsize=maxsize, max_attempts=max_attempts
        )
        self.open: list[Queue] = [self.first]
        self.ready: list[Message] = []
        self.held: dict[Lease, Message] = {}
        self.aside: list[Message] = []
        self.put = 0
        self.owner: dict[Lease, Queue] = {}

    def teardown(self) -> None:
        for lease in list(self.held):
            lease.give_back()
        for handle in self.open:
            handle.close()

    # ---- Handles

    @rule(target=handles)
    def attach(self) -> Queue:
        self.open.append(Queue.attach(self.name))
        return self.open[-1]

    @rule(target=handles)
    def use_the_first(self) -> Queue:
        return self.first

    @rule(handle=consumes(handles))
    def close(self, handle: Queue) -> None:
        if handle is self.first or handle.closed:
            return
        handle.close()
        self.open.remove(handle)
        for lease in [each for each in self.held if self.owner[each] is handle]:
            self.back(lease)
            try:
                lease.acknowledge()
            except isthmus.LeaseLostError:
                continue
            raise AssertionError("a lease outlived its handle")

    # ---- Putting

    def added(self, values: list[Any]) -> None:
        for value in values:
            self.ready.append(Message(self.put, value))
            self.put += 1

    @rule(handle=handles, value=messages)
    def put_one(self, handle: Queue, value: Any) -> None:
        if handle.closed:
            return
        try:
            handle.put(value, block=False)
        except isthmus.Full:
            assert self.maxsize and len(self.ready) >= self.maxsize
        else:
            assert not self.maxsize or len(self.ready) < self.maxsize
            self.added([value])

    @rule(handle=handles, values=st.lists(messages, max_size=6))
    def put_several(self, handle: Queue, values: list[Any]) -> None:
        if handle.closed:
            return
        room = max(0, self.maxsize - len(self.ready)) if self.maxsize else len(values)
        try:
            handle.put_many(values, block=False)
        except isthmus.Full as error:
            done = error.done
        else:
            done = len(values)
        assert done == min(room, len(values))
        self.added(values[:done])

    # ---- Getting

    @rule(handle=handles)
    def get_one(self, handle: Queue) -> None:
        if handle.closed:
            return
        try:
            value = handle.get(block=False)
        except isthmus.Empty:
            assert not self.ready
        else:
            assert value == self.ready.pop(0).value

    @rule(handle=handles, n=st.integers(1, 5))
    def get_several(self, handle: Queue, n: int) -> None:
        if handle.closed:
            return
        try:
            values = handle.get_many(n, block=False)
        except isthmus.Empty:
            assert not self.ready
        else:
            assert 1 <= len(values) <= n
            assert values == [message.value for message in self.ready[: len(values)]]
            del self.ready[: len(values)]

    @rule(handle=handles, target=leases)
    def lease(self, handle: Queue) -> Any:
        if handle.closed:
            return multiple()
        try:
            lease = handle.lease(block=False)
        except isthmus.Empty:
            assert not self.ready
            return multiple()
        message = self.ready.pop(0)
        message.attempts += 1
        assert (lease.value, lease.attempt) == (message.value, message.attempts)
        assert lease.number == message.number
        self.held[lease] = message
        self.owner[lease] = handle
        return lease

    @rule(lease=consumes(leases))
    def acknowledge(self, lease: Lease) -> None:
        if lease in self.held:
            lease.acknowledge()
            del self.held[lease]

    @rule(lease=consumes(leases))
    def give_back(self, lease: Lease) -> None:
        if lease in self.held:
            lease.give_back()
            self.back(lease)

    def back(self, lease: Lease) -> None:
        message = self.held.pop(lease)
        if self.max_attempts and message.attempts >= self.max_attempts:
            self.aside.append(message)
        else:
            self.ready.append(message)
            self.ready.sort(key=lambda each: each.number)

    # ---- Aside

    @precondition(lambda self: self.aside)
    @rule(handle=handles, which=st.integers(0, 100), keep=st.booleans())
    def settle_aside(self, handle: Queue, which: int, keep: bool) -> None:
        if handle.closed:
            return
        found = handle.aside()
        assert sorted(each.number for each in found) == sorted(m.number for m in self.aside)
        chosen = found[which % len(found)]
        (message,) = (m for m in self.aside if m.number == chosen.number)
        assert chosen.value == message.value
        if not keep:
            chosen.discard()
        elif not self.maxsize or len(self.ready) < self.maxsize:
            chosen.put_back(timeout=0)
            self.added([message.value])
        else:
            return
        self.aside.remove(message)

    @rule(handle=handles)
    def clear(self, handle: Queue) -> None:
        if not handle.closed:
            handle.clear()
            self.ready.clear()

    # ---- Always

    @invariant()
    def all_see_the_same(self) -> None:
        for handle in getattr(self, "open", []):
            stats = handle.stats()
            assert stats.ready == len(self.ready) == handle.qsize()
            assert (stats.leased, stats.aside) == (len(self.held), len(self.aside))
            assert stats.put == self.put
            assert handle.empty() == (not self.ready)


TestHandles = Handles.TestCase
TestHandles.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
