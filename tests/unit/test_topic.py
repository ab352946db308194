"""Publisher, Subscriber and Topic: what is published is what everybody receives."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from bare_calls import PATIENCE, Background, Stop, signals, stop, until

import isthmus
from isthmus import Publisher, Subscriber, Topic


def everything(sub: Subscriber) -> list[Any]:
    """All that is there."""
    found = []
    while True:
        try:
            found.append(sub.recv(0))
        except isthmus.Empty:
            return found


def test_each_subscriber_receives_each_message_in_order(name: str) -> None:
    with Publisher(name) as pub, Subscriber(name) as one, Subscriber(name) as other:
        messages = [b"%d" % i for i in range(100)]
        for message in messages[:50]:
            pub.publish(message)
        pub.publish_many(messages[50:])
        assert everything(one) == messages
        assert other.lag == 100
        assert other.recv_many(30) + other.recv_many(1000) == messages
        assert (one.lag, other.lag, one.missed) == (0, 0, 0)


class Thing:
    """Something that only pickle can take."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing) and other.value == self.value

    def __hash__(self) -> int:
        return 0


OBJECTS: list[Any] = [
    b"",
    b"x" * 100_000,
    "",
    "text ü \N{GRINNING FACE}",
    "half a surrogate pair: \ud800",
    bytearray(b"bytes"),
    None,
    17,
    {"a": [1, 2.5, (3,)]},
    Thing([1]),
]


@pytest.mark.parametrize("obj", OBJECTS, ids=lambda obj: f"{type(obj).__name__}-{str(obj)[:5]!a}")
def test_anything_arrives_as_it_was(obj: Any) -> None:
    with Publisher() as pub, pub.subscriber() as sub:
        pub.publish(obj)
        pub.publish_many([obj, obj])
        for got in (sub.recv(), *sub.recv_many(5)):
            assert got == obj
            assert type(got) is type(obj)


ARRAYS = [
    np.arange(24.0).reshape(2, 3, 4),
    np.asfortranarray(np.arange(12).reshape(3, 4)),
    np.arange(100)[::7],
    np.zeros((0, 3)),
    np.array(5, ">i4"),
    np.array([("a", 1)], [("name", "U5"), ("n", "i2")]),
    np.array(["2020-01-01"], "M8[D]"),
    np.arange(500_000),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype.str}-{array.shape}")
def test_arrays_arrive_as_they_were_and_may_be_written_to(array: Any) -> None:
    with Publisher(capacity="16 MiB") as pub, pub.subscriber() as sub, pub.subscriber() as viewer:
        pub.publish(array)
        got = sub.recv()
        assert got.dtype == array.dtype and got.shape == array.shape
        assert (got == array).all()
        assert got.flags.writeable
        if array.flags.f_contiguous and not array.flags.c_contiguous:
            assert got.flags.f_contiguous
        with viewer.view() as seen:
            assert seen.dtype == array.dtype and seen.shape == array.shape
            assert (seen == array).all()
            assert not seen.flags.writeable
        del seen


def test_objects_with_large_buffers_arrive_whole() -> None:
    with Publisher() as pub, pub.subscriber() as sub, pub.subscriber() as viewer:
        pub.publish({"a": np.arange(1000), "b": np.ones((5, 5), order="F")})
        got = sub.recv()
        assert (got["a"] == np.arange(1000)).all() and got["a"].flags.writeable
        with viewer.view() as seen:
            assert (seen["a"] == np.arange(1000)).all() and not seen["a"].flags.writeable
            assert (seen["b"] == 1).all()
        del seen


def test_what_cannot_be_pickled_raises_in_the_publisher() -> None:
    with Publisher() as pub, pub.subscriber() as sub:
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            pub.publish(lambda: None)
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            pub.publish_many([b"first", lambda: None])
        assert everything(sub) == []
        pub.publish(b"next")
        assert everything(sub) == [b"next"]


def test_a_message_that_can_never_fit_is_refused() -> None:
    with Publisher(capacity=4096) as pub, pub.subscriber() as sub:
        sends: tuple[Callable[[], object], ...] = (
            lambda: pub.publish(b"x" * 4096),
            lambda: pub.publish_many([b"", b"x" * 4096]),
            lambda: pub.loan(4096).__enter__(),
            lambda: pub.loan((1000, 1000), "f8").__enter__(),
        )
        for send in sends:
            with pytest.raises(isthmus.MessageTooLargeError, match="4096") as caught:
                send()
            assert caught.value.capacity == 4096 < caught.value.size
        pub.publish(b"x" * 4064)
        assert sub.recv() == b"x" * 4064


@pytest.mark.parametrize(
    ("start", "expected"),
    [("next", []), ("oldest", [0, 1, 2, 3, 4]), (0, []), (2, [3, 4]), (99, [0, 1, 2, 3, 4])],
)
def test_who_comes_late_starts_where_it_wants(name: str, start: Any, expected: list[int]) -> None:
    with Publisher(name) as pub:
        for i in range(5):
            pub.publish(i)
        with Subscriber(name, start=start) as sub, pub.subscriber(start=start) as other:
            pub.publish(5)
            assert sub.lag == len(expected) + 1
            assert everything(sub) == [*expected, 5] == everything(other)


def test_old_messages_stay_until_their_room_is_needed(name: str) -> None:
    with Publisher(name, capacity=4096) as pub:
        for i in range(1000):
            pub.publish(b"%64d" % i)
        kept = pub.stats().kept
        assert 30 < kept <= 4096 // 64
        with Subscriber(name, start="oldest") as sub:
            assert [int(each) for each in everything(sub)] == list(range(1000 - kept, 1000))
            assert sub.missed == 0


def test_a_subscriber_may_come_before_any_publisher(name: str) -> None:
    with Subscriber(name, capacity="64 KiB") as sub:
        assert sub.created
        assert everything(sub) == []
        with Publisher(name) as pub:
            assert not pub.created and pub.capacity == 65536
            pub.publish(b"x")
        assert sub.recv() == b"x"


def test_other_capacities_are_told(name: str) -> None:
    with Subscriber(name, capacity=8192), Publisher(name, capacity=5000):
        with pytest.raises(isthmus.MismatchError, match="capacity=8192, not 16384"):
            Publisher(name, capacity="16 KiB")
        with pytest.raises(isthmus.MismatchError, match="persist"):
            Subscriber(name, persist=True)
        with pytest.raises(isthmus.ExistsError):
            Publisher.create(name)
        with pytest.raises(isthmus.ExistsError):
            Subscriber.create(name)
        with pytest.raises(isthmus.KindError):
            isthmus.Queue(name)
    for attach in (Publisher.attach, Subscriber.attach, Topic):
        with pytest.raises(isthmus.NotFoundError, match=f"no topic '{name}'"):
            attach(name)


def test_the_last_one_out_removes_the_name(name: str) -> None:
    pub, sub, topic = Publisher.create(name), Subscriber.attach(name), Topic(name)
    pub.close()
    sub.close()
    assert topic.stats().publishers == 0
    topic.close()
    with pytest.raises(isthmus.NotFoundError):
        Topic(name)
    with Publisher.create(name, persist=True) as pub:
        pub.publish(b"kept")
    with Subscriber.attach(name, start="oldest") as sub:
        assert sub.recv() == b"kept"
        sub.unlink()


def test_arguments_are_checked(name: str) -> None:
    with pytest.raises(isthmus.ArgumentError, match="'block', 'overwrite' or 'error'"):
        Publisher(name, overflow="wait")  # type: ignore[arg-type]
    with pytest.raises(isthmus.ArgumentError, match="'next', 'oldest' or a number"):
        Subscriber(name, start="last")  # type: ignore[arg-type]
    with pytest.raises(isthmus.ArgumentError, match="start must be"):
        Subscriber(name, start=-1)
    with pytest.raises(isthmus.ArgumentError, match="NaN"):
        Subscriber(name, timeout=float("nan"))
    with Publisher() as pub, pub.subscriber(timeout=1) as sub:
        with pytest.raises(isthmus.ArgumentError):
            sub.recv_many(0)
        with pytest.raises(isthmus.ArgumentError, match="NaN"):
            sub.recv(float("nan"))
        with pytest.raises(isthmus.ArgumentError, match="NaN"):
            pub.publish({1}, timeout=float("nan"))
        with pytest.raises(TypeError):
            sub.timeout = "1"  # type: ignore[assignment,unused-ignore]
        sub.timeout = None
        assert sub.timeout is None


def test_waiting_ends_with_a_message_or_the_time() -> None:
    with Publisher() as pub, pub.subscriber() as sub:
        began = time.monotonic()
        with pytest.raises(isthmus.Empty, match="no message in time"):
            sub.recv(timeout=0.03)
        assert time.monotonic() - began >= 0.03
        with pytest.raises(isthmus.Empty):
            sub.recv_many(3, timeout=0)
        waiting = Background(sub.recv)
        until(lambda: bool(pub.subscribers()[0].alive))
        pub.publish(b"x")
        assert waiting.finish() == b"x"
        waiting = Background(lambda: sub.recv_many(3))
        pub.publish_many([b"y", b"z"])
        got = waiting.finish()
        assert isinstance(got, list)
        assert got + everything(sub) == [b"y", b"z"]


def test_a_loop_goes_on_until_nothing_has_come_for_so_long() -> None:
    with Publisher() as pub, pub.subscriber(timeout=0.02) as sub:
        pub.publish_many([1, "2", b"3"])
        assert list(sub) == [1, "2", b"3"]
        pub.publish(4)
        assert next(sub) == 4
        assert list(sub) == []


def test_several_threads_share_a_subscriber_and_each_message_comes_once() -> None:
    count = 3000
    with Publisher() as pub, pub.subscriber(timeout=1) as sub:
        threads = [Background(lambda: list(sub)) for _ in range(3)]
        for i in range(count):
            pub.publish(b"%d" % i)
        got: list[bytes] = []
        for thread in threads:
            part: Any = thread.finish()
            assert [int(each) for each in part] == sorted(int(each) for each in part)
            got += part
        assert sorted(int(each) for each in got) == list(range(count))


def test_several_publishers_keep_the_order_of_each(name: str) -> None:
    with Subscriber(name, capacity=8192) as sub, Subscriber(name) as other:

        def send(number: int) -> None:
            with Publisher(name) as pub:
                for i in range(500):
                    if i % 3:
                        pub.publish(b"%d %d" % (number, i))
                    else:
                        pub.publish_many([b"%d %d" % (number, i)])

        def receive(subscriber: Subscriber) -> list[Any]:
            return [subscriber.recv(PATIENCE) for _ in range(1500)]

        threads = [Background(partial(send, number)) for number in range(3)]
        both = [Background(partial(receive, each)) for each in (sub, other)]
        for thread in threads:
            thread.finish()
        first, second = (each.finish() for each in both)
        assert first == second
        assert isinstance(first, list)
        for number in range(3):
            parts = [each.split() for each in first]
            assert [int(i) for who, i in parts if int(who) == number] == list(range(500))


def test_stats_and_members_tell_who_is_there(name: str) -> None:
    with Publisher(name) as pub, Subscriber(name) as sub, Topic(name) as topic:
        assert topic.publishers() == []
        pub.publish(b"1")
        pub.publish(b"2")
        sub.recv()
        stats = topic.stats()
        assert (stats.published, stats.kept, stats.subscribers, stats.publishers) == (2, 2, 1, 1)
        assert stats.capacity == topic.capacity >= stats.used > 0
        assert stats == sub.stats() == pub.stats()
        assert pickle.loads(pickle.dumps(stats)) == stats
        with pytest.raises(AttributeError, match="snapshot"):
            stats.kept = 1
        (member,) = topic.subscribers()
        assert (member.pid, member.lag, member.missed, member.alive) == (os.getpid(), 1, 0, True)
        (member,) = topic.publishers()
        assert member.roles == {"producer"}
        assert repr(topic) == (
            f"<isthmus.Topic {name!r}, 2 published, 1 subscribers, 1 publishers>"
        )
        assert repr(sub) == f"<isthmus.Subscriber {name!r}, 1 behind>"
        assert repr(pub) == f"<isthmus.Publisher {name!r}, 2 published>"
    assert repr(sub) == f"<isthmus.Subscriber {name!r}, closed>"


def test_closed_handles_say_so(name: str) -> None:
    pub, sub, topic = Publisher(name), Subscriber(name), Topic(name)
    for each in (pub, sub, topic):
        each.close()
        each.close()
        assert each.closed
    calls: list[Any] = [
        lambda: pub.publish(b""),
        lambda: pub.publish_many([b""]),
        lambda: pub.loan(5).__enter__(),
        pub.subscriber,
        sub.recv,
        lambda: sub.recv_many(3),
        lambda: sub.view().__enter__(),
        lambda: next(sub),
        lambda: sub.lag,
        lambda: sub.missed,
        topic.stats,
        topic.subscribers,
        lambda: isthmus.wait([sub]),
        pub.__enter__,
    ]
    for call in calls:
        with pytest.raises(isthmus.ClosedError, match="closed"):
            call()


def test_a_handle_that_a_thread_waits_on_cannot_be_closed() -> None:
    with Publisher() as pub:
        sub = pub.subscriber()
        waiting = Background(sub.recv)

        def refused() -> bool:
            try:
                sub.recv(0)
            except isthmus.Empty:
                pass
            try:
                sub.close()
            except isthmus.InUseError:
                return True
            raise AssertionError("closed under a thread that waits")

        until(lambda: bool(sub._participants()[1][5]))
        assert refused()
        pub.publish(b"x")
        assert waiting.finish() == b"x"
        sub.close()


def test_copies_go_on_where_the_original_was(name: str) -> None:
    with Publisher(name, overflow="error") as pub, Subscriber(name, timeout=0.5) as sub:
        pub.publish_many([b"1", b"2", b"3"])
        sub.recv()
        text = pickle.dumps(sub)
        pub.publish(b"4")
        with pickle.loads(text) as same, copy.copy(sub) as other:
            assert same.timeout == other.timeout == 0.5
            assert everything(same) == [b"2", b"3", b"4"] == everything(other)
            assert everything(sub) == [b"2", b"3", b"4"]
        with copy.copy(pub) as another, pickle.loads(pickle.dumps(pub)) as third:
            assert another.overflow == third.overflow == "error"
            third.publish(b"5")
        with pickle.loads(pickle.dumps(Topic(name))) as topic:
            assert topic.stats().published == 5


def test_a_signal_handler_that_raises_ends_a_wait_and_nothing_is_lost() -> None:
    with Publisher(capacity=4096) as pub, pub.subscriber() as sub:
        with pytest.raises(Stop), signals(stop):
            sub.recv(PATIENCE)
        with pytest.raises(Stop), signals(stop), sub.view(PATIENCE):
            pass
        with pytest.raises(isthmus.Full):
            for i in range(10_000):
                pub.publish(b"%64d" % i, timeout=0)
        with pytest.raises(Stop), signals(stop):
            pub.publish(b"%64d" % -1, timeout=PATIENCE)
        with pytest.raises(Stop), signals(stop):
            pub.publish_many([b"%64d" % -1], timeout=PATIENCE)
        got = everything(sub)
        assert [int(each) for each in got] == list(range(len(got)))
        pub.publish(b"x")
        assert everything(sub) == [b"x"]


def test_wait_tells_when_a_message_is_there(name: str) -> None:
    with Publisher(name) as pub, Subscriber(name) as one, Subscriber(name) as two:
        with isthmus.Queue() as queue:
            assert isthmus.wait([one, queue, two], timeout=0.01) == []
            waiting = Background(lambda: isthmus.wait([queue, one], PATIENCE))
            pub.publish(b"x")
            assert waiting.finish() == [one]
            assert isthmus.wait([one, queue, two]) == [one, two]
            two.recv()
            assert isthmus.wait([one, queue, two]) == [one]
            one.recv()
            waiting = Background(lambda: isthmus.wait([one, queue, two], PATIENCE))
            queue.put(1)
            assert waiting.finish() == [queue]
            queue.shutdown(immediate=True)
            assert isthmus.wait([one, queue], 1) == [queue]
        with pytest.raises(TypeError, match="cannot wait for a Publisher"):
            isthmus.wait([pub], 0)


@pytest.mark.slow
def test_a_topic_of_bytes_works_where_numpy_is_not_installed() -> None:
    program = """
import sys
sys.modules["numpy"] = None
import isthmus
with isthmus.Publisher(overflow="error") as pub, pub.subscriber() as sub:
    with pub.loan(3) as memory:
        memory[:] = b"one"
        try:
            pub.publish(b"not now")
        except isthmus.InUseError:
            pass
    with sub.view() as message:
        assert message == b"one"
    try:
        while True:
            pub.publish(bytes(1000), timeout=0)
    except isthmus.Full:
        pass
    try:
        pub.loan(3, "u1")
    except ImportError as error:
        assert "isthmus[numpy]" in str(error), error
"""
    subprocess.run([sys.executable, "-P", "-c", program], check=True, timeout=60)
