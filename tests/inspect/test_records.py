"""The messages in a queue or topic are read from outside as they are, and nobody notices."""

from __future__ import annotations

import contextlib
import os
import random
import struct
from collections.abc import Iterator

import pytest
from rings import Memory, starting_at
from untouched import untouched

import isthmus
from isthmus.errors import CorruptError, KindError, TruncatedError
from isthmus.inspect.looking._observed import Observed
from isthmus.inspect.messages._records import RingReader, cursors, last, records

CAPACITY = 8192


def path_of(name: str) -> str:
    return f"/dev/shm/isthmus.{name}"


@pytest.fixture
def queue(name: str) -> Iterator[isthmus.Queue]:
    with isthmus.Queue(name, capacity=CAPACITY) as made:
        yield made


@pytest.fixture
def seen(queue: isthmus.Queue, name: str) -> Iterator[RingReader]:
    with Observed(path_of(name)) as observed:
        yield RingReader(observed)


def payloads(reader: RingReader, **options: object) -> list[bytes | None]:
    found = [reader.content(one) for one in reader.records(**options)]  # type: ignore[arg-type]
    return [None if one is None else one.payload for one in found]


def test_an_empty_queue_has_no_records(seen: RingReader) -> None:
    assert list(seen.records()) == seen.last(3) == []
    assert seen.cursors().put == seen.cursors().done == 0


def test_records_come_in_their_order_also_those_that_go_on_at_the_start(
    queue: isthmus.Queue, seen: RingReader, name: str
) -> None:
    for round_ in range(9):
        queue.put_many([bytes([round_]) * size for size in (0, 1, 31, 32, 33, 2000)])
        with untouched(path_of(name)):
            found = list(seen.records())
            assert payloads(seen) == [bytes([round_]) * n for n in (0, 1, 31, 32, 33, 2000)]
        assert [one.number for one in found] == list(range(6 * round_, 6 * round_ + 6))
        assert all(one.sound and one.problem is None and one.state == "ready" for one in found)
        assert found[0].position + sum(one.span for one in found) == seen.cursors().tail
        assert seen.last(2) == found[-2:]
        assert list(seen.records(start=found[3].position)) == found[3:]
        assert list(seen.records(limit=2)) == found[:2]
        queue.get_many(6)


def test_positions_may_wrap_around(name: str) -> None:
    with starting_at(2**64 - 64, name, capacity=CAPACITY) as queue:
        queue.put_many([b"x" * 10, b"y" * 100, b"z"])
        with Observed(path_of(name)) as observed:
            reader = RingReader(observed)
            assert payloads(reader) == [b"x" * 10, b"y" * 100, b"z"]
            assert [one.position for one in reader.last(2)] == [0, 160]
            assert list(reader.records(start=2**64 - 64)) == list(records(observed))


def test_states_workers_and_attempts_are_told(queue: isthmus.Queue, seen: RingReader) -> None:
    queue.put_many([b"a", b"b", b"c"])
    first, second = queue.lease(), queue.lease()
    second.acknowledge()
    found = list(seen.records())
    assert [one.state for one in found] == ["leased", "done", "ready"]
    assert [one.attempts for one in found] == [1, 1, 0]
    assert found[0].worker is not None and found[2].worker is None
    first.give_back()
    assert [one.state for one in seen.records()] == ["ready", "done", "ready"]


def test_what_was_set_aside_has_a_ring_of_its_own(name: str) -> None:
    with isthmus.Queue(name, capacity=CAPACITY, max_attempts=1) as queue:
        queue.put_many([b"a", b"b"])
        queue.lease().give_back()
        with Observed(path_of(name)) as observed:
            reader = RingReader(observed)
            assert (payloads(reader), payloads(reader, aside=True)) == ([b"b"], [b"a"])
            (one,) = reader.last(5, aside=True)
            assert (one.number, one.attempts, one.aside) == (0, 1, True)


def test_a_topic_is_read_from_the_oldest_that_is_left(name: str) -> None:
    with (
        isthmus.Publisher(name, capacity=CAPACITY, overflow="overwrite") as publisher,
        Observed(path_of(name)) as observed,
    ):
        reader = RingReader(observed)
        for number in range(1000):
            publisher.publish(b"%d" % number)
        found = list(reader.records())
        assert [one.number for one in found] == list(range(1000 - len(found), 1000))
        assert payloads(reader)[-1] == b"999"
        old = found[0]
        assert reader.last(3) == last(observed, 3) == found[-3:]
        for number in range(1000, 1300):
            publisher.publish(b"%d" % number)
        # What has been overwritten is not given out as if it were there.
        assert reader.content(old) is None
        assert next(reader.records(start=old.position)).number == 1300 - len(found)


@contextlib.contextmanager
def copied() -> Iterator[list[int]]:
    """How many bytes were copied, each time."""
    sizes: list[int] = []
    copy = RingReader._copy
    try:
        RingReader._copy = (  # type: ignore[method-assign]
            lambda self, at, size, aside: sizes.append(size) or copy(self, at, size, aside)
        )
        yield sizes
    finally:
        RingReader._copy = copy  # type: ignore[method-assign]


def test_the_last_ones_of_a_long_ring_are_found_from_its_end(name: str) -> None:
    with isthmus.Queue(name, capacity=1 << 20) as queue:
        sizes = random.Random(1)
        queue.put_many([bytes(sizes.randrange(300)) for _ in range(4000)])
        with Observed(path_of(name)) as observed:
            reader = RingReader(observed)
            with copied() as looked:
                found = reader.last(10)
            assert [one.number for one in found] == list(range(3990, 4000))
            assert sum(looked) < 1 << 17


def test_a_huge_record_is_not_searched_for_another_one(name: str) -> None:
    with isthmus.Queue(name, capacity=1 << 24) as queue:
        queue.put(bytes(12 << 20))
        with Observed(path_of(name)) as observed:
            reader = RingReader(observed)
            with copied() as looked:
                (found,) = reader.last(10)
            assert found.size == 12 << 20
            assert sum(looked) < 3 << 20


# ---- Damage ----------------------------------------------------------------------------


@pytest.fixture
def memory(queue: isthmus.Queue, name: str) -> Iterator[Memory]:
    memory = Memory(name, CAPACITY)
    yield memory
    memory.close()


def test_after_a_damaged_record_the_next_sound_one_is_found(
    queue: isthmus.Queue, seen: RingReader, memory: Memory
) -> None:
    queue.put_many([b"a" * 100, b"b" * 100, b"c" * 100])
    places = [one.position for one in seen.records()]
    memory.change(places[1], checked=False, size=5)
    first, second, third = seen.records()
    assert first.sound and third.sound and not second.sound
    assert (second.state, second.span) == ("damaged", places[2] - places[1])
    assert second.problem is not None and "check" in second.problem
    memory.change(places[2], size=CAPACITY)
    first, rest = seen.records()
    assert "beyond" not in str(rest.problem) and rest.span == seen.cursors().tail - places[1]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"size": 2**63}, "would end beyond the last record"),
        ({"data": 0}, "cannot begin after 0 bytes"),
        ({"data": 33}, "cannot begin after 33 bytes"),
    ],
)
def test_what_a_record_claims_is_checked_even_where_its_check_is_right(
    queue: isthmus.Queue,
    seen: RingReader,
    memory: Memory,
    fields: dict[str, int],
    problem: str,
) -> None:
    queue.put_many([b"a", b"b"])
    memory.change(0, **fields)
    first, second = seen.records()
    assert not first.sound and problem in str(first.problem)
    assert second.sound and second.number == 1


def test_numbers_and_states_that_cannot_be_are_told(
    queue: isthmus.Queue, seen: RingReader, memory: Memory
) -> None:
    queue.put_many([b"a", b"b", b"c"])
    places = [one.position for one in seen.records()]
    memory.change(places[1], sequence=7)
    memory.change(places[0], state=1 << 20)
    first, second, third = seen.records()
    assert first.problem == "its state is 0x100000, which means nothing"
    assert second.problem == "its number is 7, after 0"
    assert third.problem == "its number is 2, after 7"


def test_cursors_that_cannot_be_are_put_right_from_their_notes(
    queue: isthmus.Queue, seen: RingReader, memory: Memory, name: str
) -> None:
    queue.put_many([b"a", b"b"])
    tail = seen.geometry.cursors_offset
    for field, value in ((tail, 5), (tail, 2**40), (tail + 256, 2**40), (tail + 256, 3)):
        right = memory.map[field : field + 8]
        struct.pack_into("<Q", memory.map, field, value)
        assert seen.cursors().guessed
        assert "cannot be those of one ring" in seen.cursors().problems[0]
        assert payloads(seen) == [b"a", b"b"]
        memory.map[field : field + 8] = right
    with Observed(path_of(name)) as observed:
        assert not cursors(observed).guessed


def test_where_the_header_is_damaged_the_records_are_found_by_what_is_left(
    queue: isthmus.Queue, memory: Memory, name: str
) -> None:
    queue.put_many([b"a", b"b"])
    original = bytes(memory.map)
    for start, end in ((0, 256), (320, 448), (256, 320)):
        memory.map[start:end] = b"\xaa" * (end - start)
        with Observed(path_of(name)) as observed:
            reader = RingReader(observed)
            assert payloads(reader) == [b"a", b"b"]
            assert reader.geometry.problems
        memory.map[:] = original
    memory.map[0:320] = b"\xaa" * 320
    with Observed(path_of(name)) as observed:
        reader = RingReader(observed)
        assert (reader.geometry.kind, payloads(reader)) == ("queue", [b"a", b"b"])
    memory.map[:] = original
    # With the kinds alone, nothing tells where the messages are.
    for keep, error in ((12, KindError), (16, CorruptError)):
        memory.map[keep:448] = b"\xaa" * (448 - keep)
        with Observed(path_of(name)) as observed, pytest.raises(error):
            RingReader(observed)
        memory.map[:] = original


def test_where_no_kind_is_left_a_topic_is_told_from_a_queue_by_its_cursors(name: str) -> None:
    with isthmus.Publisher(name, capacity=CAPACITY, overflow="overwrite") as publisher:
        for number in range(400):
            publisher.publish(b"%d" % number)
        memory = Memory(name, CAPACITY)
        right = bytes(memory.map[:320])
        memory.map[:320] = bytes(320)
        with Observed(path_of(name)) as observed:
            reader = RingReader(observed)
            assert reader.geometry.kind == "topic"
            assert payloads(reader)[-1] == b"399"
        memory.map[:320] = right
        memory.close()


def test_other_objects_have_no_records(name: str) -> None:
    with isthmus.Lock(name), Observed(path_of(name)) as observed, pytest.raises(KindError):
        RingReader(observed)
    path = path_of(name)
    with open(path, "wb") as file:
        file.write(b"short")
    with Observed(path) as observed, pytest.raises(TruncatedError):
        RingReader(observed)
    os.unlink(path)


def test_of_a_queue_that_was_cut_off_the_rest_is_read(name: str) -> None:
    with isthmus.Queue(name, capacity=CAPACITY, persist=True) as queue:
        queue.put_many([bytes([number]) * 2040 for number in range(3)])
    os.truncate(path_of(name), os.stat(path_of(name)).st_size - 4096)
    with Observed(path_of(name)) as observed:
        reader = RingReader(observed)
        assert "4096 bytes are missing" in reader.geometry.problems[-1]
        found = list(reader.records())
        assert [one.sound for one in found] == [True, True, False]
        assert found[2].problem == "the file was cut off before it"
        contents = [reader.content(one) for one in found[:2]]
        assert [one is not None and one.whole for one in contents] == [True, False]
    os.unlink(path_of(name))
