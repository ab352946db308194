"""Queue: putting, getting, waiting, limits, its end. What travels is in test_queue_messages.py."""

from __future__ import annotations

import copy
import queue as standard
import sys
import threading
from typing import Any

import pytest
from bare_calls import Background, Stop, signals, stop, until

import isthmus
from isthmus import Empty, Full, Queue, ShutDown


def test_messages_come_out_in_the_order_in_which_they_went_in(name: str) -> None:
    with Queue(name) as one, Queue(name) as other:
        assert (one.created, other.created, one.name) == (True, False, name)
        for i in range(10):
            one.put(b"%d" % i)
        assert (one.qsize(), other.qsize(), other.empty(), other.full()) == (10, 10, False, False)
        assert [other.get() for _ in range(5)] + [one.get() for _ in range(5)] == [
            b"%d" % i for i in range(10)
        ]
        assert one.empty()
        assert repr(one) == f"<isthmus.Queue {name!r}, 0 ready>"


def test_one_that_does_not_wait_says_that_there_is_nothing() -> None:
    q = Queue()
    for get in (
        q.get_nowait,
        lambda: q.get(block=False),
        lambda: q.get(False, 5),  # as in the standard library, the timeout does not count then
        lambda: q.get(timeout=0),
        lambda: q.get(timeout=-1),
        lambda: q.get(timeout=0.002),
        lambda: q.get_many(3, timeout=0.002),
        lambda: q.lease(block=False),
        lambda: q.lease(timeout=0.002),
    ):
        with pytest.raises(Empty, match="anonymous queue had no message in time") as caught:
            get()
        assert isinstance(caught.value, standard.Empty)


def test_one_that_does_not_wait_says_that_there_is_no_room() -> None:
    q = Queue(maxsize=2)
    q.put(b"1")
    assert not q.full()
    q.put("2")
    assert q.full()
    for put in (
        lambda: q.put_nowait(b"3"),
        lambda: q.put(b"3", block=False),
        lambda: q.put({}, timeout=0),
        lambda: q.put(b"3", timeout=0.002),
    ):
        with pytest.raises(Full, match="had no room in time") as caught:
            put()
        assert isinstance(caught.value, standard.Full)
    with pytest.raises(Full, match="no room in time") as caught:
        q.put_many([b"3", b"4"], block=False)
    assert caught.value.done == 0
    q.get()
    with pytest.raises(Full, match="1 were put") as caught:
        q.put_many([b"3", b"4"], timeout=0.002)
    assert caught.value.done == 1
    assert q.get_many(10) == ["2", b"3"]


def test_a_queue_is_full_when_its_bytes_are_in_use() -> None:
    q = Queue(capacity=4096)
    count = 0
    while not q.full():
        q.put_nowait(b"x" * 96)
        count += 1
    assert count == 4096 // 128
    with pytest.raises(Full):
        q.put_nowait(b"")
    assert q.stats().used == 4096
    q.get()
    q.put_nowait(b"y")
    assert len(q.get_many(100)) == count
    assert q.stats().used == 0


def test_many_are_put_and_got_in_one_go() -> None:
    q = Queue()
    items = [b"%d" % i for i in range(1000)]
    q.put_many(items)
    assert q.get_many(300) == items[:300]
    assert q.get_many(1) == items[300:301]
    assert q.get_many(10**9) == items[301:]
    q.put_many(())
    q.put_many(iter([1, "two", b"3", bytearray(b"4")]))
    got: list[Any] = []
    while len(got) < 4:
        got += q.get_many(10)
    assert got == [1, "two", b"3", bytearray(b"4")]
    for n in (0, -1):
        with pytest.raises(isthmus.ArgumentError, match="n must be from 1"):
            q.get_many(n)
    with pytest.raises(TypeError):
        q.get_many("5")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        q.put_many(5)  # type: ignore[arg-type]


def test_more_than_fits_is_put_while_another_one_gets() -> None:
    q = Queue(capacity=4096)
    items = [b"%d" % i * 20 for i in range(2000)]
    putting = Background(lambda: q.put_many(items, timeout=60))
    got: list[bytes] = []
    while len(got) < len(items):
        got += q.get_many(50, timeout=60)
    putting.finish()
    assert got == items


def test_of_several_one_that_cannot_be_put_keeps_all_from_being_put() -> None:
    q = Queue(capacity=4096)
    for wrong, error in ((lambda: 0, Exception), (b"x" * 5000, isthmus.MessageTooLargeError)):
        with pytest.raises(error):
            q.put_many([b"1", {}, wrong])
    assert q.qsize() == 0


def test_a_message_larger_than_the_queue_is_refused_with_both_numbers() -> None:
    q = Queue(capacity=4096)
    q.put(b"x" * (4096 - 32))  # all of it
    q.get()
    for large in (b"x" * (4096 - 31), "x" * 5000, bytearray(5000), list(range(3000))):
        with pytest.raises(isthmus.MessageTooLargeError, match="whose capacity is 4096") as caught:
            q.put(large)
        assert caught.value.capacity == 4096
        assert caught.value.size > 4096
        assert isinstance(caught.value, ValueError)
    assert q.empty()


def test_a_waiting_consumer_gets_what_is_put() -> None:
    q = Queue()
    waiting = [Background(lambda: q.get(timeout=60)) for _ in range(3)]
    q.put_many([b"1", b"2", {"three": 3}])
    found = [each.finish() for each in waiting]
    assert sorted(map(str, found)) == sorted(map(str, [b"1", b"2", {"three": 3}]))


def test_a_waiting_producer_puts_when_there_is_room() -> None:
    q = Queue(capacity=4096)
    q.put(b"x" * 4000)
    waiting = [Background(lambda: q.put(b"y" * 3000, timeout=60)) for _ in range(2)]
    assert len(q.get(timeout=60)) == 4000
    assert [len(q.get(timeout=60)) for _ in range(2)] == [3000, 3000]
    for each in waiting:
        each.finish()


def test_threads_that_use_one_handle_lose_and_double_nothing() -> None:
    q = Queue(capacity=4096)
    got: list[list[bytes]] = [[], [], []]

    def consume(mine: list[bytes]) -> None:
        for item in q:
            mine.append(item)

    def produce(who: int) -> None:
        for i in range(500):
            q.put(b"%d %d" % (who, i))

    consumers = [Background(lambda mine=mine: consume(mine)) for mine in got]
    producers = [Background(lambda who=who: produce(who)) for who in range(3)]
    for each in producers:
        each.finish()
    q.shutdown()
    for each in consumers:
        each.finish()
    everything = sorted(item for mine in got for item in mine)
    assert everything == sorted(b"%d %d" % (who, i) for who in range(3) for i in range(500))
    for mine in got:  # of each producer, in order
        for who in range(3):
            numbers = [int(item.split()[1]) for item in mine if item.startswith(b"%d " % who)]
            assert numbers == sorted(numbers)


def test_signal_handlers_run_during_waits_and_may_end_them() -> None:
    q = Queue(capacity=4096)
    waits = [
        q.get,
        lambda: q.get_many(5),
        q.lease,
        lambda: next(q),
    ]
    for wait in waits:
        with signals(stop), pytest.raises(Stop):
            wait()
    q.put(b"x" * 4064)
    for put in (lambda: q.put(b"y" * 100), lambda: q.put_many([{}] * 100)):
        with signals(stop), pytest.raises(Stop):
            put()
    with signals(stop), pytest.raises(Stop):
        q.join()
    assert q.get_many(10) == [b"x" * 4064]
    with signals(lambda count: q.put(b"from a handler") if count == 3 else None):
        assert q.get() == b"from a handler"


def test_join_waits_for_all_that_was_got_to_be_reported() -> None:
    q = Queue()
    assert q.join() is True
    q.put(b"1")
    q.put([2])
    q.put("x" * 300_000)  # such are copied under a lease
    assert q.join(timeout=0) is False
    waiting = Background(lambda: q.join(timeout=60))
    for _ in range(3):
        q.get()
        assert q.join(timeout=0.002) is False
        q.task_done()
    assert waiting.finish() is True
    with pytest.raises(ValueError, match=r"task_done\(\) was called more often"):
        q.task_done()


def test_join_counts_leases_and_what_others_got(name: str) -> None:
    one, other = Queue(name), Queue(name)
    one.put_many([b"1", b"2", b"3"])
    lease = one.lease()
    assert other.get_many(2) == [b"2", b"3"]
    lease.acknowledge()
    assert one.join(timeout=0) is False
    one.task_done()  # whoever knows may say so
    assert one.join(timeout=0) is False
    other.close()  # and so took its last one with it
    assert one.join(timeout=60) is True


def test_after_a_shutdown_what_is_left_can_be_got_and_nothing_put(name: str) -> None:
    q, other = Queue(name, capacity=4096), Queue(name)
    q.put_many([b"1", b"2"])
    q.shutdown()
    q.shutdown()
    for put in (lambda: other.put(b"3"), lambda: other.put({}), lambda: other.put_many([b"3"])):
        with pytest.raises(ShutDown, match="has been shut down"):
            put()
    assert other.get() == b"1"
    assert list(q) == [b"2"]
    for get in (q.get, q.get_nowait, q.lease, lambda: q.get_many(3), lambda: q.get(timeout=1)):
        with pytest.raises(ShutDown):
            get()
    assert list(other) == []
    assert q.stats().shut_down
    if sys.version_info >= (3, 13):
        assert issubclass(ShutDown, standard.ShutDown)


def test_a_shutdown_wakes_all_that_wait() -> None:
    q = Queue(capacity=4096)
    getting = [Background(q.get) for _ in range(2)]
    full = Queue(capacity=4096)
    full.put(b"x" * 4000)
    putting = Background(lambda: full.put(b"y" * 100))
    until(lambda: len(threading.enumerate()) > 1)
    q.shutdown()
    full.shutdown()
    for each in (*getting, putting):
        with pytest.raises(ShutDown):
            each.finish()


def test_an_immediate_shutdown_drops_what_is_there() -> None:
    q = Queue()
    q.put_many([b"1", b"2"])
    q.shutdown(immediate=True)
    with pytest.raises(ShutDown):
        q.get()
    assert q.join(timeout=60) is True


def test_clear_drops_what_is_ready_and_leaves_what_is_leased() -> None:
    q = Queue()
    q.put_many([b"%d" % i for i in range(5)])
    lease = q.lease()
    q.clear()
    assert (q.qsize(), q.stats().leased) == (0, 1)
    lease.give_back()
    assert q.get() == b"0"
    q.clear()
    assert q.stats().used == 0


def test_what_is_there_must_be_what_was_asked_for(name: str) -> None:
    q = Queue(name, capacity="5 KiB", maxsize=7, max_attempts=3)
    assert (q.capacity, q.maxsize, q.max_attempts) == (8192, 7, 3)
    for options, text in (
        ({"capacity": 4096}, "capacity=8192, not 4096"),
        ({"maxsize": 0}, "maxsize=7, not 0"),
        ({"max_attempts": 4}, "max_attempts=3, not 4"),
        ({"persist": True}, "persist=False, not True"),
    ):
        with pytest.raises(isthmus.MismatchError, match=text):
            Queue(name, **options)  # type: ignore[arg-type]
    with Queue(name, capacity=8000) as same, Queue.attach(name) as another:
        assert (same.maxsize, another.capacity) == (7, 8192)
    with pytest.raises(isthmus.ExistsError):
        Queue.create(name)
    with pytest.raises(isthmus.KindError, match="of the kind 'queue', not a lock"):
        isthmus.Lock(name)
    q.close()
    with pytest.raises(isthmus.NotFoundError):
        Queue.attach(name)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"capacity": 0}, isthmus.SizeError),
        ({"capacity": "many"}, isthmus.SizeError),
        ({"capacity": 2**63}, isthmus.SizeError),
        ({"capacity": 2**62 + 1}, isthmus.SizeError),
        ({"capacity": 2**50}, isthmus.IsthmusError),
        ({"capacity": 1.5}, TypeError),
        ({"maxsize": "x"}, TypeError),
        ({"max_attempts": 0}, isthmus.ArgumentError),
        ({"max_attempts": 65536}, isthmus.ArgumentError),
        ({"participants": 0}, isthmus.ArgumentError),
        ({"spin": -1}, isthmus.ArgumentError),
        ({"allow_pickle": 1}, TypeError),
        ({"mode": 0o1000}, isthmus.ArgumentError),
        ({"open_timeout": float("nan")}, isthmus.ArgumentError),
    ],
)
def test_what_makes_no_sense_is_refused(options: Any, error: Any, name: str) -> None:
    with pytest.raises(error):
        Queue(name, **options)


@pytest.mark.parametrize("named", [True, False])
def test_one_that_is_larger_than_any_file_is_refused_with_its_size(named: bool, name: str) -> None:
    with pytest.raises(isthmus.SizeError, match="more than the largest file"):
        Queue(name if named else None, capacity=2**62)


def test_timeouts_that_make_no_sense_are_refused() -> None:
    q = Queue()
    for call in (q.get, q.lease, q.join, lambda timeout: q.get_many(1, timeout=timeout)):
        with pytest.raises(isthmus.ArgumentError, match="not a number"):
            call(timeout=float("nan"))
        with pytest.raises(TypeError, match="timeout must be a number"):
            call(timeout="1")


def test_a_maxsize_of_zero_or_less_is_no_limit() -> None:
    assert Queue(maxsize=0).maxsize == Queue(maxsize=-5).maxsize == 0


def test_a_closed_handle_says_so(name: str) -> None:
    q = Queue(name)
    with q as entered:
        assert entered is q
    assert q.closed
    q.close()
    for use in (
        lambda: q.put(b""),
        lambda: q.put({}),
        lambda: q.put_many([b""]),
        q.get,
        q.get_nowait,
        lambda: q.get_many(1),
        q.lease,
        q.qsize,
        q.join,
        q.task_done,
        q.shutdown,
        q.clear,
        q.stats,
        q.aside,
        q.producers,
        q.unlink,
        lambda: copy.copy(q),
        q.__enter__,
        lambda: next(q),
    ):
        with pytest.raises(isthmus.ClosedError, match=f"queue '{name}' has been closed"):
            use()
    assert repr(q) == f"<isthmus.Queue {name!r}, closed>"


def test_a_handle_that_a_thread_waits_on_is_not_closed() -> None:
    q = Queue()
    waiting = Background(lambda: q.get(timeout=60))
    until(lambda: any(facts[5] for facts in q._participants()))
    with pytest.raises(isthmus.InUseError, match="a thread is using this handle"):
        q.close()
    q.put(b"x")
    assert waiting.finish() == b"x"
    q.close()


def test_what_a_queue_that_nobody_has_open_held_is_gone_unless_it_persists(name: str) -> None:
    with Queue(name) as q:
        q.put(b"x")
    with Queue(name) as q:
        assert q.empty()
    with Queue(name, persist=True) as q:
        q.put(b"x")
    with Queue(name) as q:
        assert q.get() == b"x"
        q.unlink()
        with pytest.raises(isthmus.NotFoundError, match="has been unlinked already"):
            q.unlink()
        with Queue(name) as new:
            q.put(b"y")
            assert new.empty()


def test_an_anonymous_one_has_no_name() -> None:
    q = Queue()
    assert (q.name, repr(q)) == (None, "<isthmus.Queue anonymous, 0 ready>")
    with pytest.raises(isthmus.UnsupportedError):
        q.unlink()
    same = copy.copy(q)
    q.put(b"x")
    assert copy.deepcopy(same).get() == b"x"


def test_the_statistics_are_a_snapshot(name: str) -> None:
    q, other = Queue(name, capacity=4096, max_attempts=1), Queue(name)
    q.put_many([b"1", b"2", b"3"])
    first = q.stats()
    lease = other.lease()
    stats = q.stats()
    assert (stats.ready, stats.leased, stats.put, stats.capacity) == (2, 1, 3, 4096)
    assert first != stats == q.stats()
    assert hash(stats) == hash(q.stats())
    assert copy.copy(stats) == stats
    assert "ready=2" in repr(stats)
    with pytest.raises(AttributeError, match="snapshot"):
        stats.ready = 5  # type: ignore[misc]
    with pytest.raises(AttributeError, match="snapshot"):
        del stats.ready
    (producer,), (consumer,) = q.producers(), q.consumers()
    assert producer.roles == {"producer"}
    assert (consumer.roles, consumer.leases) == ({"consumer"}, 1)
    assert "consumer" in repr(consumer)
    assert copy.copy(consumer) == consumer != producer
    lease.give_back()
    stats = q.stats()
    assert (stats.aside, stats.set_aside, stats.used > 0) == (1, 1, True)


def test_to_look_for_a_message_in_a_queue_takes_none() -> None:
    with Queue() as queue:
        queue.put(1)
        with pytest.raises(TypeError):
            1 in queue  # type: ignore[operator]  # noqa: B015
        assert queue.qsize() == 1


def test_a_piece_is_copied_into_what_it_is_a_piece_of_if_it_fits_there() -> None:
    from isthmus._core.ring import fill, new_bytes

    with isthmus.Queue() as q:
        whole = new_bytes(10)
        assert q._get_piece(whole, 0, 1) == 0
        q.put(b"abcd")
        assert q._get_piece(whole, 0, 5) == 0
        assert q._get_piece(whole, 7, 1) == 0
        assert q._get_piece(whole, 0, 4) == 4
        q.put("text")
        assert q._get_piece(whole, 4, 1) == 0
        assert q.get() == "text"
        q.put(memoryview(b"efghij"))
        assert q._get_piece(whole, 4, 1) == 6
        assert whole == b"abcdefghij"
        assert (q.qsize(), q.stats().leased) == (0, 0)
        fill(whole, 8, b"IJ")
        assert whole == b"abcdefghIJ"
        for at in (-1, 9):
            with pytest.raises(ValueError, match="do not fit"):
                fill(whole, at, b"xy")
        for at, least in ((-1, 1), (11, 1), (0, 0)):
            with pytest.raises(ValueError, match="no piece"):
                q._get_piece(whole, at, least)
