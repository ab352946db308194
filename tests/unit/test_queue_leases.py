"""Leases: acknowledged, given back, lost; deaths; messages set aside; who takes part."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import Any

import pytest
from bare_calls import PATIENCE, Background, until
from sharing import forked, holding

import isthmus
from isthmus import Lease, Queue

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def test_a_leased_message_is_given_to_nobody_else_and_gone_when_acknowledged(name: str) -> None:
    q, other = Queue(name), Queue(name)
    q.put_many([b"1", {"2": 2}])
    lease = q.lease()
    assert isinstance(lease, Lease)
    assert (lease.value, lease.attempt, lease.number, lease.settled) == (b"1", 1, 0, False)
    assert other.get() == {"2": 2}
    with pytest.raises(isthmus.Empty):
        other.get_nowait()
    assert q.stats().leased == 1
    lease.acknowledge()
    assert lease.settled
    assert (q.stats().leased, q.stats().used) == (0, 0)
    assert repr(lease) == f"<isthmus.Lease of message 0 of queue {name!r}, attempt 1, settled>"


def test_what_is_given_back_is_ready_at_its_old_place() -> None:
    q = Queue()
    q.put_many([b"1", b"2", b"3"])
    first, second = q.lease(), q.lease()
    second.give_back()
    first.give_back()
    again = q.lease()
    assert (again.value, again.attempt) == (b"1", 2)
    again.acknowledge()
    assert q.get_many(5) == [b"2", b"3"]
    assert q.stats().redelivered == 2


def test_a_block_that_ends_well_acknowledges_and_one_that_does_not_gives_back() -> None:
    q = Queue()
    q.put([1])
    with pytest.raises(ZeroDivisionError), q.lease() as lease:
        lease.value[0] / 0
    assert lease.settled
    with q.lease() as lease:
        assert (lease.value, lease.attempt) == ([1], 2)
    assert q.stats().used == 0
    q.put(b"x")
    for settle in (Lease.give_back, Lease.acknowledge):
        with q.lease() as lease:
            settle(lease)  # and not once more at the end
    assert q.join(timeout=0)


def test_a_lease_is_settled_once() -> None:
    q = Queue()
    q.put(b"x")
    lease = q.lease()
    lease.give_back()
    for settle in (lease.acknowledge, lease.give_back, lease.__enter__):
        with pytest.raises(isthmus.LeaseError, match="has been settled already") as caught:
            settle()
        assert isinstance(caught.value, ValueError)
    assert q.get() == b"x"
    with pytest.raises(TypeError, match=r"made by Queue.lease\(\)"):
        Lease()


def test_a_lease_that_is_dropped_is_given_back_with_a_warning() -> None:
    q = Queue()
    q.put(b"x")
    lease = q.lease()
    with pytest.warns(ResourceWarning, match="dropped without acknowledge"):
        del lease
    assert q.get() == b"x"


def test_a_lease_that_is_left_at_the_end_of_the_program_makes_no_noise() -> None:
    script = """
import isthmus
q = isthmus.Queue()
q.put(b"x")
cycle = [q.lease()]
cycle.append(cycle)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_closing_gives_leases_back(name: str) -> None:
    q, other = Queue(name), Queue(name)
    q.put_many([b"1", b"2"])
    first, second = q.lease(), q.lease()
    waiting = Background(lambda: other.get_many(2, timeout=PATIENCE))
    q.close()
    got = waiting.finish()
    assert isinstance(got, list)
    got += other.get_many(2) if len(got) < 2 else []
    assert got == [b"1", b"2"]
    for settle in (first.acknowledge, second.give_back):
        with pytest.raises(isthmus.LeaseLostError, match="no longer leased by this handle"):
            settle()
    assert first.value == b"1"
    # An exception is not hidden by the loss; a clean end says it.
    other.put(b"3")
    third = other.lease()
    with pytest.raises(ZeroDivisionError), third:
        other.close()
        1 / 0


def test_a_clean_end_of_a_lost_lease_says_so() -> None:
    q = Queue()
    q.put(b"x")
    with pytest.raises(isthmus.LeaseLostError), q.lease():
        q.close()


def test_any_thread_may_settle_a_lease() -> None:
    q = Queue()
    q.put(b"x")
    lease = q.lease()
    Background(lease.acknowledge).finish()
    assert q.stats().used == 0


def test_a_lease_does_not_count_for_the_limit_of_messages() -> None:
    q = Queue(maxsize=1)
    q.put(b"1")
    lease = q.lease()
    q.put(b"2", timeout=0)
    lease.give_back()
    assert q.get_many(2) == [b"1", b"2"]


# ---- Deaths ---------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 100, 10_000])
def test_what_one_that_is_killed_has_leased_comes_back_to_another_that_waits(
    count: int, name: str
) -> None:
    q = Queue(name, capacity="2 MiB")
    q.put_many([b"%d" % i for i in range(count)])
    held: list[Lease] = []

    def lease_all() -> None:
        held.extend(q.lease() for _ in range(count))

    def drain() -> list[bytes]:
        got: list[bytes] = []
        while len(got) < count:
            got += q.get_many(count, timeout=PATIENCE)
        return got

    with holding(lease_all) as process:
        assert (q.qsize(), q.stats().leased) == (0, count)
        (holder,) = (each for each in q.consumers() if each.leases)
        assert (holder.pid, holder.leases) == (process.pid, count)
        waiting = Background(drain)
        until(lambda: any(facts[5] and facts[6] for facts in q._participants()))
        process.kill()
        assert waiting.finish() == [b"%d" % i for i in range(count)]
    stats = q.stats()
    assert (stats.leased, stats.redelivered) == (0, count)


def test_of_a_dead_one_what_it_got_is_gone_and_what_it_leased_is_not(name: str) -> None:
    q = Queue(name)
    q.put_many([b"1", b"2", b"3"])
    kept: list[Any] = []

    def take() -> None:
        assert q.get() == b"1"
        kept.append(q.lease())

    with holding(take) as process:
        process.kill()
    with q.lease(timeout=PATIENCE) as lease:
        # The third is ready at once; the second one when somebody has noticed the death.
        first = (lease.value, lease.attempt)
    with q.lease(timeout=PATIENCE) as lease:
        second = (lease.value, lease.attempt)
    assert {first, second} == {(b"2", 2), (b"3", 1)}
    assert q.join(timeout=PATIENCE)


def test_a_message_that_kills_is_set_aside(name: str) -> None:
    q = Queue(name, max_attempts=3)
    q.put({"poison": True})
    kept = []
    for attempt in (1, 2, 3):

        def take(attempt: int = attempt) -> None:
            kept.append(q.lease(timeout=PATIENCE))
            assert kept[0].attempt == attempt

        with holding(take) as process:
            process.kill()

    def is_set_aside() -> bool:
        with pytest.raises(isthmus.Empty):
            q.get_nowait()
        return q.stats().aside == 1

    until(is_set_aside)
    (message,) = q.aside()
    assert (message.attempts, message.value) == (3, {"poison": True})


def test_messages_set_aside_can_be_looked_at_put_back_and_discarded() -> None:
    q = Queue(max_attempts=1)
    q.put_many([b"0", [1], "2", b"3"])
    for _ in range(3):
        q.lease().give_back()
    assert (q.qsize(), q.stats().aside) == (1, 3)
    first, second, third = q.aside()
    assert [m.number for m in (first, second, third)] == [0, 1, 2]
    assert (first.value, second.value, third.value) == (b"0", [1], "2")
    assert second.value is second.value
    assert repr(first) == "<isthmus.AsideMessage 0 of anonymous queue, 1 attempts>"
    second.put_back()
    first.discard()
    for settle in (second.put_back, first.discard, second.discard):
        with pytest.raises(isthmus.NotFoundError, match="somebody has put it back or discarded"):
            settle()
    assert [m.number for m in q.aside()] == [2]
    assert q.get() == b"3"
    lease = q.lease()
    assert (lease.value, lease.attempt) == ([1], 1)
    lease.acknowledge()
    q.shutdown()
    with pytest.raises(isthmus.ShutDown):
        third.put_back()
    third.discard()
    assert q.aside() == Queue().aside() == []


def test_putting_back_waits_for_room() -> None:
    q = Queue(capacity=4096, max_attempts=1)
    q.put(b"x" * 1000)
    q.lease().give_back()
    q.put(b"y" * 4000)
    (message,) = q.aside()
    with pytest.raises(isthmus.Full):
        message.put_back(timeout=0.002)
    waiting = Background(lambda: message.put_back(timeout=PATIENCE))
    q.get()
    waiting.finish()
    assert q.get() == b"x" * 1000


# ---- Forks ----------------------------------------------------------------------------


def test_what_is_leased_across_a_fork_is_the_parents() -> None:
    q = Queue()
    q.put_many([b"1", b"2"])
    lease = q.lease()

    def in_child() -> None:
        nonlocal lease
        with pytest.raises(isthmus.LeaseLostError):
            lease.acknowledge()
        assert q.get() == b"2"
        q.put(b"3")

    with forked(in_child) as child:
        assert child.finish() == 0
    assert q.stats().leased == 1
    lease.acknowledge()

    q.put(b"4")
    lease = q.lease()

    def drop() -> None:
        nonlocal lease
        del lease  # without a warning: it was not the child's
        gc.collect()

    with forked(drop) as child:
        assert child.finish() == 0
    lease.give_back()
    assert q.get_many(5) == [b"3", b"4"]


def test_a_child_that_ends_gives_back_what_it_has_leased(name: str) -> None:
    q = Queue(name)
    q.put(b"x")

    kept = []
    with forked(lambda: kept.append(q.lease())) as child:
        assert child.finish() == 0
    assert q.get(timeout=PATIENCE) == b"x"


def test_a_lease_that_goes_back_counts_again_at_once() -> None:
    q = Queue(maxsize=3)
    q.put_many([b"0", b"1"])
    lease = q.lease()
    assert q.get() == b"1"
    q.put_many([b"2", b"3"])
    lease.give_back()
    assert q.qsize() == 3
    with pytest.raises(isthmus.Full):
        q.put(b"4", block=False)
    assert [q.get(), q.get(), q.get()] == [b"0", b"2", b"3"]
