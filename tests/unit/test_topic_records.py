"""Damaged messages, and pickles that are not to be trusted."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from rings import Memory
from sharing import forked

import isthmus
from isthmus import Publisher, Subscriber

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture
def topic(name: str) -> Any:
    """A publisher, two subscribers, and what lies in their memory."""
    pub = Publisher(name, capacity=4096)
    one, two = Subscriber(name, timeout=0), Subscriber(name, timeout=0)
    memory = Memory(name, pub.capacity)
    yield pub, one, two, memory
    memory.close()
    for each in (one, two, pub):
        each.close()


@pytest.mark.parametrize(
    ("obj", "damage", "match"),
    [
        (b"x", {"type": 99}, "does not know its type 99"),
        (b"\xff\xfe", {"type": 3}, "not UTF-8"),
        (b"x", {"type": 4}, "too little meta data for an array"),
        (b"x", {"type": 5}, "too little meta data for a pickle"),
        (b"x", {"type": 6}, "its value makes no sense from byte 0 on"),
        (np.arange(3), {"size": 8}, "not that of its payload"),
        (np.arange(3), {"type": 5}, "buffer of its pickle lies outside"),
    ],
)
@pytest.mark.parametrize("how", ["recv", "recv_many", "view", "loop"])
def test_one_that_makes_no_sense_raises_once(
    topic: Any, how: str, obj: Any, damage: dict[str, int], match: str
) -> None:
    pub, sub, _, memory = topic
    pub.publish(obj)
    pub.publish(b"after")
    memory.change(0, **damage)
    with pytest.raises(isthmus.RecordError, match=match) as caught:
        if how == "recv":
            sub.recv()
        elif how == "recv_many":
            sub.recv_many(5)
        elif how == "view":
            with sub.view():
                pass
        else:
            next(sub)
    assert (caught.value.number, caught.value.position) == (0, 0)
    assert "message 0, at position 0, of topic" in str(caught.value)
    assert sub.recv() == b"after"
    assert sub._views == 0


def test_one_behind_others_raises_at_the_next_call(topic: Any) -> None:
    pub, sub, other, memory = topic
    pub.publish_many([b"0", b"1", b"2", b"3"])
    memory.change(2 * 64, type=99)
    for each in (sub, other):
        assert each.recv_many(10) == [b"0", b"1"]
        with pytest.raises(isthmus.RecordError, match="message 2"):
            each.recv()
        assert each.recv_many(10) == [b"3"]


@pytest.mark.parametrize("how", ["recv", "view"])
def test_after_a_damaged_header_it_goes_on_with_what_is_published_then(
    topic: Any, how: str
) -> None:
    pub, sub, other, memory = topic
    pub.publish_many([b"0", b"1", b"2"])
    assert sub.recv() == b"0"
    memory.change(64, checked=False, size=5000)
    with pytest.raises(isthmus.RecordError, match=r"message 1, at position 64, .*contradicts"):
        if how == "recv":
            sub.recv()
        else:
            with sub.view():
                pass
    with pytest.raises(isthmus.Empty):
        sub.recv()
    assert other.recv_many(5) == [b"0"]
    with pytest.raises(isthmus.RecordError):
        next(other)
    pub.publish(b"3")
    assert sub.recv() == other.recv() == b"3"
    pub.publish_many([bytes(64)] * 20)
    assert len(sub.recv_many(100)) == 20


def test_an_object_that_cannot_be_unpickled_is_passed_over(topic: Any) -> None:
    pub, sub, _, _ = topic
    pub.publish(Fails())
    pub.publish(b"after")
    with pytest.raises(ZeroDivisionError):
        sub.recv()
    assert sub.recv() == b"after"


class Fails:
    def __reduce__(self) -> Any:
        return divmod, (1, 0)


def test_pickles_that_others_could_have_written_are_refused(name: str) -> None:
    with (
        Publisher(name, mode=0o666) as pub,
        Subscriber(name, timeout=0) as careful,
        Subscriber(name, timeout=0, allow_pickle=True) as trusting,
        Subscriber(name, timeout=0, allow_pickle=False) as strict,
    ):
        pub.publish({"a"})
        pub.publish(b"after")
        for sub in (careful, strict):
            with pytest.raises(isthmus.UntrustedPickleError, match="message 0") as caught:
                sub.recv()
            assert caught.value.number == 0 and isinstance(caught.value, PermissionError)
            assert sub.recv() == b"after"
        assert trusting.recv_many(5) == [{"a"}, b"after"]
        with pub.subscriber(start="oldest") as late:
            with pytest.raises(isthmus.UntrustedPickleError), late.view():
                pass
            with late.view() as memory:
                assert memory == b"after"
            del memory


def test_two_users_share_a_topic_but_not_their_pickles(name: str, unprivileged: int) -> None:
    with Publisher(name, mode=0o666) as pub, Subscriber(name, timeout=60) as sub:
        pub.publish(b"from root")

        def other() -> None:
            os.setgroups([])
            os.setgid(unprivileged)
            os.setuid(unprivileged)
            with pytest.raises(isthmus.OwnerError):
                Publisher(name)
            with Publisher(name, owner=0) as own, own.subscriber(start="oldest") as reader:
                assert reader.recv(60) == b"from root"
                own.publish("text")
                own.publish({"code": 1})
                own.publish({"code"})

        with forked(other) as process:
            assert process.finish() == 0
        assert sub.recv() == b"from root" and sub.recv() == "text"
        assert sub.recv() == {"code": 1}
        with pytest.raises(isthmus.UntrustedPickleError):
            sub.recv()
