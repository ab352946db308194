"""isthmus.compat.faster_fifo: how much fits, as in the original."""

from __future__ import annotations

import queue
import time
from typing import Any

import pytest
from fifos import LONG, both, plain
from hypothesis import given, settings, strategies as st

from isthmus import RecordError
from isthmus.compat import faster_fifo as ours


@both
@pytest.mark.parametrize("limit", [0, 8, 9, 60, 100, 5000])
def test_max_size_bytes_is_what_the_messages_and_their_lengths_may_come_to(
    module: Any, limit: int
) -> None:
    for size in (0, 1, 7, 23, 24, 25, 92, 93):
        q = plain(module, max_size_bytes=limit)
        fits = limit // (size + 8)
        for count in range(fits):
            q.put_nowait(b"x" * size)
            assert q.data_size() == (count + 1) * (size + 8)
        with pytest.raises(queue.Full):
            q.put_nowait(b"x" * size)
        assert (q.qsize(), q.full()) == (fits, limit - fits * (size + 8) < 9)
        while fits:
            q.get()
            fits -= 1
            assert q.data_size() == fits * (size + 8)


def test_sizes_stay_right_when_the_queue_goes_round_many_times() -> None:
    q = plain(ours, max_size_bytes=500)
    kept: list[bytes] = []
    for turn in range(3000):
        message = bytes(turn % 97)
        while sum(map(len, kept)) + 8 * len(kept) + len(message) + 8 > 500:
            assert q.get() == kept.pop(0)
        q.put_nowait(message)
        kept.append(message)
        assert q.data_size() == sum(map(len, kept)) + 8 * len(kept)
    assert q.get_many() == kept


class Model:
    """A plain list that takes as much."""

    def __init__(self, limit: int, maxsize: int) -> None:
        self.limit, self.maxsize = limit, maxsize
        self.items: list[bytes] = []

    def size(self, items: list[bytes]) -> int:
        return sum(map(len, items)) + 8 * len(items)

    def put(self, items: list[bytes]) -> bool:
        fits = self.size(self.items + items) <= self.limit
        fits = not items or (fits and len(self.items + items) <= self.maxsize)
        self.items += items if fits else []
        return fits

    def get(self, most: int, most_bytes: int) -> list[bytes]:
        got: list[bytes] = []
        while self.items and len(got) < most and self.size(got) < most_bytes:
            got.append(self.items.pop(0))
        return got


@settings(deadline=None, max_examples=60)
@given(
    limit=st.integers(0, 400),
    maxsize=st.integers(0, 12),
    steps=st.lists(
        st.lists(st.integers(0, 90), max_size=4) | st.tuples(st.integers(1, 5), st.integers(1, 99)),
        max_size=60,
    ),
)
def test_a_queue_does_as_its_model(
    limit: int, maxsize: int, steps: list[list[int] | tuple[int, int]]
) -> None:
    q = plain(ours, max_size_bytes=limit, maxsize=maxsize)
    model = Model(limit, maxsize)
    for number, step in enumerate(steps):
        if isinstance(step, list):
            items = [bytes([number % 256]) * size for size in step]
            try:
                q.put_many_nowait(items)
                done = True
            except queue.Full:
                done = False
            assert model.put(items) == done
        else:
            most, q.max_bytes_to_read = step
            try:
                found = q.get_many_nowait(most)
            except queue.Empty:
                found = []
            assert found == model.get(*step)
        assert (q.qsize(), q.data_size()) == (len(model.items), model.size(model.items))
        assert q.empty() == (not model.items)
        assert q.full() == (model.size(model.items) + 9 > limit or len(model.items) >= maxsize)


def test_what_is_damaged_is_told() -> None:
    """Nothing but this class writes to such a queue; if something does, nobody is misled."""
    q = plain(ours)
    q._ring.put(b"not one of its messages")
    for use in (q.get, q.data_size, lambda: q.put(b"x")):
        with pytest.raises(RecordError):
            use()


@both
def test_maxsize_is_how_many_messages_there_may_be(module: Any) -> None:
    q = module.Queue(maxsize=2)
    assert not q.full()
    for many in (3, 4):
        with pytest.raises(queue.Full):
            q.put_many([0] * many, timeout=0.01)
    q.put_many([1, 2])
    assert q.full()
    with pytest.raises(queue.Full):
        q.put(3, timeout=0.01)
    q.get()
    q.put(3)
    assert q.get_many(max_messages_to_get=9) == [2, 3]


@both
def test_put_many_is_all_or_nothing(module: Any) -> None:
    q = plain(module, max_size_bytes=100)
    q.put(b"x" * 12)
    with pytest.raises(queue.Full):
        q.put_many([b"y" * 32, b"z" * 33], timeout=0.01)
    assert q.qsize() == 1
    q.put_many([b"y" * 32, b"z" * 32])
    assert q.data_size() == 100


def test_what_can_never_fit_is_refused_at_once() -> None:
    q = plain(ours, max_size_bytes=100)
    began = time.monotonic()
    for put in (lambda: q.put(b"x" * 93, timeout=LONG), lambda: q.put_many([b""] * 13)):
        with pytest.raises(queue.Full, match="bytes"):
            put()
    assert time.monotonic() - began < ours.DEFAULT_TIMEOUT


@both
def test_get_many_takes_no_further_message_beyond_max_bytes_to_read(module: Any) -> None:
    q = plain(module)
    q.put_many([b"12345"] * 5)
    assert q.max_bytes_to_read == q.max_size_bytes == module.DEFAULT_CIRCULAR_BUFFER_SIZE
    q.max_bytes_to_read = 14
    assert len(q.get_many()) == 2
    q.max_bytes_to_read = 13
    assert len(q.get_many()) == 1


@both
def test_sizes_that_make_no_sense_are_refused(module: Any) -> None:
    for options, error in (
        ({"max_size_bytes": -1}, ValueError),
        ({"max_size_bytes": "5"}, TypeError),
        ({"maxsize": -1}, OverflowError),
    ):
        with pytest.raises(error):
            module.Queue(**options).put(1)
