"""Slow, dead and many subscribers, several publishers, and what each policy makes of them."""

from __future__ import annotations

import os
import resource
import time
import zlib
from typing import Any

import pytest
from bare_calls import PATIENCE, Background, until
from sharing import forked, holding

import isthmus
from isthmus import Publisher, Subscriber, Topic

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def numbers(sub: Subscriber) -> list[int]:
    """Of all messages that are there."""
    found = []
    while True:
        try:
            found += [int(each) for each in sub.recv_many(100, timeout=0)]
        except isthmus.Empty:
            return found


def test_block_waits_for_the_slowest(name: str) -> None:
    with Publisher(name, capacity=4096) as pub, Subscriber(name) as slow, Subscriber(name) as fast:
        sent = 0
        with pytest.raises(
            isthmus.Full, match=r"a subscriber of process \d+ is \d+ messages behind"
        ):
            for sent in range(10_000):
                pub.publish(b"%64d" % sent, timeout=0)
        assert numbers(fast) == list(range(sent))
        began = time.monotonic()
        with pytest.raises(isthmus.Full):
            pub.publish(b"%64d" % sent, timeout=0.02)
        assert time.monotonic() - began >= 0.02
        waiting = Background(lambda: pub.publish(b"%64d" % sent))
        until(lambda: bool(pub._participants()[0][5]))
        assert slow.recv() == b"%64d" % 0
        waiting.finish()
        assert numbers(slow) == list(range(1, sent + 1))
        assert numbers(fast) == [sent]
        assert (slow.missed, fast.missed) == (0, 0)


def test_error_never_waits(name: str) -> None:
    with Publisher(name, capacity=4096, overflow="error") as pub, Subscriber(name) as sub:
        with pytest.raises(isthmus.Full) as caught:
            pub.publish_many([b"%64d" % i for i in range(1000)], timeout=PATIENCE)
        assert numbers(sub) == list(range(caught.value.done))
        pub.publish(b"1")
        assert numbers(sub) == [1]


def test_overwrite_goes_on_and_the_slow_are_told_how_many_they_missed(name: str) -> None:
    with (
        Publisher(name, capacity=4096, overflow="overwrite") as pub,
        Subscriber(name) as slow,
        Subscriber(name) as fast,
    ):
        got: list[int] = []
        for i in range(1000):
            pub.publish(b"%64d" % i, timeout=0)
            if i % 10 == 9:
                got += numbers(fast)
        assert got == list(range(1000)) and fast.missed == 0
        assert slow.lag == 1000
        kept = numbers(slow)
        assert kept == list(range(1000 - len(kept), 1000)) and 20 < len(kept) < 60
        assert slow.missed == 1000 - len(kept) and slow.lag == 0
        (member,) = [each for each in pub.subscribers() if each.missed]
        assert member.missed == slow.missed


def test_a_large_message_that_overwrites_all_others_is_not_taken_for_damaged(name: str) -> None:
    with (
        Publisher(name, capacity="64 KiB", overflow="overwrite") as pub,
        Subscriber(name) as sub,
        Subscriber(name) as viewer,
    ):
        pub.publish_many([b"1", b"2"])
        with pub.loan(65_500) as memory:
            # Both messages are gone, and the third one is not there yet.
            with pytest.raises(isthmus.Empty):
                sub.recv(timeout=0)
            with pytest.raises(isthmus.Empty), viewer.view(timeout=0):
                pass
            assert (sub.missed, sub.lag) == (0, 2)
            memory[:] = bytes(65_500)
        assert sub.recv(timeout=PATIENCE) == bytes(65_500)
        with viewer.view(timeout=PATIENCE) as message:
            assert bytes(message) == bytes(65_500)
        assert (sub.missed, viewer.missed) == (2, 2)


def test_policies_belong_to_publishers(name: str) -> None:
    with (
        Publisher(name, capacity=4096) as careful,
        Publisher(name, overflow="overwrite") as careless,
        Subscriber(name) as sub,
    ):
        assert (careful.overflow, careless.overflow) == ("block", "overwrite")
        with pytest.raises(isthmus.Full):
            for _ in range(1000):
                careful.publish(bytes(64), timeout=0)
        for _ in range(100):
            careless.publish(b"1", timeout=0)
        with pytest.raises(isthmus.Full):
            for _ in range(1000):
                careful.publish(bytes(64), timeout=0)
        assert sub.missed == 0 and sub.recv() is not None and sub.missed > 0


def checked(number: int, size: int) -> bytes:
    body = number.to_bytes(8, "little") * (size // 8)
    return zlib.crc32(body).to_bytes(4, "little") + body


def check(message: Any) -> int:
    body = bytes(message[4:])
    assert zlib.crc32(body) == int.from_bytes(message[:4], "little"), "a torn message"
    number = int.from_bytes(body[:8], "little")
    assert body == number.to_bytes(8, "little") * (len(body) // 8)
    return number


@pytest.mark.parametrize("how", ["recv", "recv_many", "view"])
def test_no_message_is_torn_however_fast_it_is_overwritten(name: str, how: str) -> None:
    count = 6000
    with Subscriber(name, capacity=8192, timeout=PATIENCE) as sub:

        def send() -> None:
            with Publisher(name, overflow="overwrite") as pub:
                for i in range(count):
                    pub.publish(checked(i, 8 + i * 56 % 2000))
                pub.publish(checked(count, 8))

        with forked(send) as process:
            last, received = -1, 0
            while last < count:
                if how == "recv":
                    found = [check(sub.recv())]
                elif how == "recv_many":
                    found = [check(each) for each in sub.recv_many(10)]
                else:
                    with sub.view() as message:
                        found = [check(message)]
                    del message
                for each in found:
                    assert each > last
                    last = each
                received += len(found)
            assert received + sub.missed == count + 1
            assert process.finish() == 0


def test_several_publishers_in_processes_lose_nothing(name: str) -> None:
    each = 1000
    with Subscriber(name, capacity=4096) as sub, Subscriber(name) as other:

        def send(number: int) -> None:
            with Publisher(name) as pub:
                for i in range(each):
                    pub.publish(checked(number * each + i, 8 + i * 8 % 300), timeout=PATIENCE)

        with forked(lambda: send(0)) as one, forked(lambda: send(1)) as two:
            got: list[int] = []
            seen: list[int] = []
            while len(got) < 2 * each or len(seen) < 2 * each:
                for subscriber, where in ((sub, got), (other, seen)):
                    if len(where) < 2 * each and isthmus.wait([sub, other], PATIENCE):
                        try:
                            where += [check(m) for m in subscriber.recv_many(50, timeout=0)]
                        except isthmus.Empty:
                            pass
            assert one.finish() == 0 and two.finish() == 0
        assert got == seen
        assert [i for i in got if i < each] == list(range(each))
        assert [i for i in got if i >= each] == list(range(each, 2 * each))


def test_a_killed_subscriber_is_evicted_when_it_is_in_the_way(name: str) -> None:
    with Publisher(name, capacity=4096) as pub, Topic(name) as topic:

        def subscribe() -> None:
            sub = Subscriber(name)
            subscribe.kept = sub  # type: ignore[attr-defined]

        with holding(subscribe) as process:
            assert topic.stats().subscribers == 1
            with pytest.raises(isthmus.Full):
                for _ in range(1000):
                    pub.publish(bytes(64), timeout=0)
            waiting = Background(lambda: pub.publish(bytes(64)))
            until(lambda: bool(pub._participants()[0][5]))
            process.kill()
            waiting.finish()
        stats = topic.stats()
        assert (stats.subscribers, stats.evicted) == (0, 1)
        pub.publish_many([bytes(64)] * 1000, timeout=0)
        # One that never waits finds it, too.
        with holding(subscribe) as process:
            with pytest.raises(isthmus.Full):
                for _ in range(1000):
                    pub.publish(bytes(64), timeout=0)
            process.kill()
        pub.publish(bytes(64), timeout=0)
        assert topic.stats().evicted == 2


def test_a_publisher_killed_in_a_loan_leaves_nothing_and_holds_up_nobody(name: str) -> None:
    with Publisher(name) as pub, Subscriber(name) as sub:

        def begin() -> None:
            own = Publisher(name)
            loan = own.loan(100)
            loan.__enter__()[:] = b"x" * 100
            begin.kept = loan  # type: ignore[attr-defined]

        with holding(begin) as process:
            with pytest.raises(isthmus.Full):
                pub.publish(b"early", timeout=0.01)
            process.kill()
        pub.publish(b"later", timeout=PATIENCE)
        assert sub.recv(0) == b"later"
        with pytest.raises(isthmus.Empty):
            sub.recv(0)


@pytest.mark.slow
def test_a_thousand_subscribers(name: str) -> None:
    count = 1000
    limit, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 200:
        pytest.skip(f"this process may have {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit, count + 200), hard))
    subs: list[Subscriber] = []
    try:
        with Publisher(name, capacity=65536, overflow="error") as pub:
            subs += [Subscriber(name) for _ in range(count)]
            assert pub.stats().subscribers == count
            messages = [b"%64d" % i for i in range(20)]
            pub.publish_many(messages)
            for sub in subs[1:]:
                assert sub.recv_many(100) == messages
            assert isthmus.wait(subs, 0) == [subs[0]]
            with pytest.raises(isthmus.Full):
                for _ in range(10_000):
                    pub.publish(bytes(64))
            while subs:
                subs.pop().close()
            pub.publish_many(messages * 100)
            with pytest.raises(isthmus.TooManyParticipantsError, match="participants="):
                for _ in range(1100):
                    subs.append(Subscriber(name))
    finally:
        for sub in subs:
            sub.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def test_room_for_participants_can_be_chosen(name: str) -> None:
    with Publisher(name, participants=2) as pub, Subscriber(name):
        with pytest.raises(isthmus.TooManyParticipantsError, match="room for 2"):
            Subscriber(name)
        assert pub.participants == 2


def test_a_forked_subscriber_is_another_one_that_goes_on_at_the_same_place(name: str) -> None:
    with Publisher(name) as pub, Subscriber(name, timeout=PATIENCE) as sub:
        pub.publish_many([b"1", b"2"])
        assert sub.recv() == b"1"
        read, write = os.pipe()

        def receive() -> None:
            assert sub.recv() == b"2"
            os.write(write, b"x")
            assert sub.recv() == b"3"
            with Topic(name) as topic:
                assert topic.stats().subscribers == 2
            pub.publish(b"4")

        with forked(receive) as process:
            os.read(read, 1)
            pub.publish(b"3")
            assert process.finish() == 0
        assert sub.recv_many(3) == [b"2", b"3", b"4"]
        os.close(read)
        os.close(write)
