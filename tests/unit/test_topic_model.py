"""Topics against a plain model: several publishers and subscribers, and everything in any order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase, settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

import isthmus
from isthmus import Publisher, Subscriber
from isthmus._ring import Plan
from isthmus.topic import PublisherSettings

CAPACITY = 4096
# Making a failure small takes minutes.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
KINDS = st.sampled_from(["bytes", "text", "object", "array"])
SIZES = st.integers(0, 900)
NEAR_THE_END = [0, 2**63 - 2048, 2**64 - 4096, 2**64 - 32]


class Message:
    """What was published, and how to compare it."""

    def __init__(self, number: int, kind: str, size: int) -> None:
        self.number, self.kind = number, kind
        self.bytes = (b"%d " % number) + bytes([number % 251]) * size

    def object(self) -> Any:
        if self.kind == "bytes":
            return self.bytes
        if self.kind == "text":
            return self.bytes.decode("latin-1")
        if self.kind == "object":
            return [self.number, self.bytes]
        import numpy as np

        return np.frombuffer(self.bytes, "u1")

    def is_like(self, got: Any) -> bool:
        if self.kind == "bytes":
            return bytes(got) == self.bytes
        if self.kind == "text":
            return bool(got == self.bytes.decode("latin-1"))
        if self.kind == "object":
            return got[0] == self.number and bytes(got[1]) == self.bytes
        return bytes(got.tobytes()) == self.bytes and got.dtype == "u1"


class Reader:
    """A subscriber, and what is known of it."""

    def __init__(self, sub: Subscriber, at: int) -> None:
        self.sub, self.at = sub, at
        self.missed = 0

    def received(self, messages: list[Message], got: Any) -> None:
        """Take note of one; it may have missed some before it."""
        missed = self.sub.missed - self.missed
        self.missed += missed
        self.at += missed
        assert messages[self.at].is_like(got), (self.at, got)
        self.at += 1


class Topics(RuleBasedStateMachine):
    publishers = Bundle("publishers")
    readers = Bundle("readers")
    views = Bundle("views")

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.readers_open: list[Reader] = []
        self.pubs: list[Publisher] = []
        self.views_open: list[tuple[Message, list[Any]]] = []

    @initialize(start=st.sampled_from(NEAR_THE_END))
    def make(self, start: int) -> None:
        plan = Plan(11, CAPACITY, 64, False, start=start)
        self.first = Publisher.__new__(Publisher)
        self.first._make_anonymous(plan)
        self.first._adopt(PublisherSettings(0, "error"))
        self.pubs.append(self.first)

    def teardown(self) -> None:
        for _, seen in self.views_open:
            seen.clear()  # the bundles keep the rest
        for reader in self.readers_open:
            reader.sub.close()
        for pub in self.pubs:
            pub.close()

    @rule(target=publishers, overflow=st.sampled_from(["block", "overwrite", "error"]))
    def another_publisher(self, overflow: str) -> Publisher:
        pub: Publisher = self.first._sibling(Publisher, (PublisherSettings(0, overflow),))
        self.pubs.append(pub)
        return pub

    @precondition(lambda self: len(self.readers_open) < 8)
    @rule(target=readers, start=st.one_of(st.sampled_from(["next", "oldest"]), st.integers(0, 30)))
    def subscribe(self, start: Any) -> Reader:
        kept = self.first.stats().kept
        sub = self.first.subscriber(start=start, timeout=0, spin=0)
        number = {"next": 0, "oldest": kept}.get(start, start)
        reader = Reader(sub, len(self.messages) - min(number, kept))
        assert sub.lag == min(number, kept)
        self.readers_open.append(reader)
        return reader

    @rule(reader=consumes(readers))
    def close(self, reader: Reader) -> None:
        if reader.sub._views:
            reader.sub.__exit__()
        else:
            reader.sub.close()
        self.readers_open.remove(reader)

    def full(self, pub: Publisher) -> None:
        """There is a reason."""
        behind = any(reader.sub.lag for reader in self.readers_open)
        assert self.views_open or (behind and pub.overflow != "overwrite")

    @rule(pub=publishers, kind=KINDS, size=SIZES)
    def publish(self, pub: Publisher, kind: str, size: int) -> None:
        message = Message(len(self.messages), kind, size)
        try:
            pub.publish(message.object(), timeout=0)
        except isthmus.Full:
            self.full(pub)
        else:
            self.messages.append(message)

    @rule(pub=publishers, sizes=st.lists(SIZES, max_size=6), kind=KINDS)
    def publish_many(self, pub: Publisher, sizes: list[int], kind: str) -> None:
        batch = [Message(len(self.messages) + i, kind, size) for i, size in enumerate(sizes)]
        try:
            pub.publish_many([message.object() for message in batch], timeout=0)
        except isthmus.Full as error:
            self.full(pub)
            batch = batch[: error.done]
        self.messages += batch

    @rule(pub=publishers, size=SIZES, fails=st.booleans())
    def lend(self, pub: Publisher, size: int, fails: bool) -> None:
        message = Message(len(self.messages), "bytes", size)
        try:
            with pub.loan(len(message.bytes), timeout=0) as memory:
                memory[:] = message.bytes
                if fails:
                    raise KeyError
        except isthmus.Full:
            self.full(pub)
        except KeyError:
            pass
        else:
            self.messages.append(message)

    @rule(reader=readers)
    def receive(self, reader: Reader) -> None:
        lag = reader.sub.lag
        try:
            got = reader.sub.recv()
        except isthmus.Empty:
            assert reader.at == len(self.messages) and lag == 0
        else:
            reader.received(self.messages, got)

    @rule(reader=readers, most=st.integers(1, 20))
    def receive_many(self, reader: Reader, most: int) -> None:
        try:
            got = reader.sub.recv_many(most)
        except isthmus.Empty:
            assert reader.at == len(self.messages)
            return
        assert 1 <= len(got) <= most
        for each in got:
            reader.received(self.messages, each)
        assert len(got) == most or reader.at == len(self.messages)

    @precondition(lambda self: len(self.views_open) < 4)
    @rule(target=views, reader=readers)
    def look(self, reader: Reader) -> Any:
        try:
            with reader.sub.view() as seen:
                reader.received(self.messages, seen)
        except isthmus.Empty:
            return None
        view = (self.messages[reader.at - 1], [seen])
        self.views_open.append(view)
        return view

    @rule(view=consumes(views))
    def look_away(self, view: Any) -> None:
        if view is not None:
            # Not remove(): two that look at the same message would be equal.
            self.views_open = [each for each in self.views_open if each is not view]
            view[1].clear()

    @invariant()
    def what_is_in_view_stays_as_it_was(self) -> None:
        for message, (seen,) in self.views_open:
            assert message.is_like(seen)

    @invariant()
    def nobody_is_further_on_than_there_are_messages(self) -> None:
        for reader in self.readers_open:
            assert reader.sub.lag == len(self.messages) - reader.at
        if self.pubs:
            assert self.first.stats().published == len(self.messages)

    @invariant()
    def wait_tells_who_has_something_to_receive(self) -> None:
        subs = [reader.sub for reader in self.readers_open]
        behind = [reader.sub for reader in self.readers_open if reader.at < len(self.messages)]
        assert isthmus.wait(subs, 0) == behind


TestTopics = Topics.TestCase
TestTopics.settings = settings(
    max_examples=60, stateful_step_count=60, deadline=None, phases=PHASES
)
pytestmark = pytest.mark.slow
