"""What the live screen takes from real objects."""

from __future__ import annotations

import os

import pytest

import isthmus
from isthmus.errors import InUseError, NotFoundError, ReplacedError
from isthmus.inspect.screen.live import Live
from isthmus.inspect.screen.source import Line


def seen(live: Live, name: str) -> Line:
    return next(one for one in live.look(foreign=False).lines if one.shared.name == name)


def test_a_queue_has_rates_from_the_second_look_on(name: str) -> None:
    live = Live()
    with isthmus.Queue(name, capacity="64 KiB") as queue:
        assert seen(live, name).rate_in is None
        queue.put(1)
        found = seen(live, name)
        assert found.rate_in and found.rate_in > 0 and found.rate_out == 0
        assert found.shared.depth == 1 and found.holder == ""
        # Also when it is looked at together with what others have made.
        queue.get()
        lines = live.look(foreign=True).lines
        rate = next(one for one in lines if one.shared.name == name).rate_out
        assert rate and rate > 0
        assert live.info(found.address).rates == {}
        queue.put(2)
        assert live.info(found.address).rates["put"] > 0
        queue.unlink()
    with pytest.raises(NotFoundError):
        live.info(name)


def test_a_lock_says_who_holds_it_and_a_topic_how_far_the_slowest_is(name: str) -> None:
    live = Live()
    with isthmus.Lock(name + "-lock") as lock:
        found = seen(live, name + "-lock")
        assert found.holder.startswith(f"{os.getpid()} ") and found.held_since is not None
        lock.unlink()
    lock.close()
    with isthmus.Publisher(name, capacity="64 KiB") as pub, isthmus.Subscriber(name):
        pub.publish(1)
        pub.publish(2)
        assert seen(live, name).lag == 2
        pub.unlink()


def test_what_is_removed_is_what_was_seen(name: str) -> None:
    live = Live()
    with isthmus.Queue(name, capacity="64 KiB", persist=True) as queue:
        first = seen(live, name).shared
        with pytest.raises(InUseError):
            live.remove(first, force=False)
        queue.unlink()
    isthmus.Queue(name, capacity="64 KiB", persist=True).close()
    with pytest.raises(ReplacedError, match="another object"):
        live.remove(first, force=True)
    second = seen(live, name).shared
    assert live.remove(second, force=False) == f"queue {name} is removed"
    with pytest.raises(NotFoundError):
        live.remove(second, force=False)


def test_what_is_shut_down_is_what_was_seen(name: str) -> None:
    live = Live()
    with isthmus.Queue(name, capacity="64 KiB") as queue:
        first = seen(live, name).shared
        queue.unlink()
    with isthmus.Queue(name, capacity="64 KiB") as queue:
        with pytest.raises(ReplacedError, match="another object"):
            live.shut_down(first)
        queue.put(1)


def test_a_slow_subscriber_and_a_consumer_are_evicted_and_a_queue_is_shut_down(name: str) -> None:
    live = Live()
    with isthmus.Publisher(name, capacity="64 KiB") as pub, isthmus.Subscriber(name) as slow:
        pub.publish(1)
        topic = seen(live, name).address
        reader = next(one for one in live.info(topic).members if "subscriber" in one.roles)
        assert "publishers do not wait for it any more" in live.evict(topic, reader)
        assert slow.evicted
        pub.unlink()
    with isthmus.Queue(name, capacity="64 KiB") as queue:
        queue.put("job")
        lease = queue.lease()
        worker = live.info(name).members[0]
        assert live.evict(name, worker).endswith("is evicted; 1 of its messages went back")
        assert queue.get() == "job"
        with pytest.raises(isthmus.LeaseLostError):
            lease.acknowledge()
        assert live.shut_down(seen(live, name).shared) == f"queue {name} is shut down"
        with pytest.raises(isthmus.ShutDown):
            queue.put(1)
        queue.unlink()
