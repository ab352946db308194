"""A reader of queues and topics that uses nothing but docs/segment-format.md."""

from __future__ import annotations

import mmap
import os
import pickle
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import isthmus

MASK = 2**64 - 1
HEADER, PRIMITIVE, PARTICIPANT, SEAT = 256, 64, 64, 64
STATES = {0: "ready", 1 << 31: "done"}


class Record(NamedTuple):
    position: int
    sequence: int
    type: int
    attempts: int
    state: str
    meta: bytes
    payload: bytes


class Ring:
    """What is in a queue or topic, as of now. Read-only: it takes no part."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        self.memory = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
        os.close(descriptor)
        self.kind = self.number(12, 4)
        assert self.memory[:8] == b"ISTHMUS\n"
        assert self.kind in (10, 11)
        ring = HEADER + PRIMITIVE
        self.capacity, self.maxsize, self.cursors, self.seats, self.data, self.aside = (
            self.number(ring + 8 * i) for i in range(6)
        )

    def number(self, offset: int, size: int = 8) -> int:
        return int.from_bytes(self.memory[offset : offset + size], sys.byteorder)

    def bytes_at(self, base: int, position: int, size: int) -> bytes:
        start = position % self.capacity
        first = self.memory[base + start : base + min(start + size, self.capacity)]
        return first + self.memory[base : base + size - len(first)]

    def record(self, base: int, position: int, end: int) -> tuple[Record, int]:
        head = self.bytes_at(base, position, 32)
        sequence, size, data, kind, attempts, state, check = struct.unpack("=QQIHHII", head)
        low, high = size & 0xFFFFFFFF, size >> 32
        number = (position // 32 ^ sequence) & 0xFFFFFFFF
        assert check == number ^ low ^ high ^ data ^ kind << 16
        assert data >= 32
        assert data % 32 == 0
        span = (data + size + 31) // 32 * 32
        assert span <= (end - position) & MASK
        content = self.bytes_at(base, position, data + size)
        name = STATES.get(state, f"leased by {state - 1}")
        found = Record(
            position, sequence, kind, attempts, name, content[32:data], content[data : data + size]
        )
        return found, position + span & MASK

    def records(self, aside: bool = False) -> Iterator[Record]:
        if aside:
            position, end, base = *(self.number(self.cursors + i) for i in (424, 432)), self.aside
        else:
            first = 256 if self.kind == 10 else 8
            position, end, base = self.number(self.cursors + first), self.tail, self.data
        while position != end:
            record, position = self.record(base, position, end)
            yield record

    @property
    def tail(self) -> int:
        return self.number(self.cursors)

    def count(self, note: int, cursor: int) -> int:
        """Of the two notes, the one that belongs to the cursor."""
        notes = [(self.number(note + 16 * i), self.number(note + 16 * i + 8)) for i in range(2)]
        (count,) = {count for position, count in notes if position == self.number(cursor)}
        return count

    def subscribers(self) -> dict[int, int]:
        """Slot and cursor of each."""
        used = self.number(HEADER + 28, 4)
        seats = [self.seats + SEAT * i for i in range(used)]
        return {i: self.number(s) for i, s in enumerate(seats) if self.number(s + 44, 4) & 4}


def decode(record: Record) -> Any:
    match record.type:
        case 1 | 2:
            return record.payload
        case 3:
            return record.payload.decode()
        case 4:
            ndim, flags, itemsize, dtype_size = struct.unpack("=IIQI4x", record.meta[:24])
            shape = struct.unpack(f"={ndim}Q", record.meta[24 : 24 + 8 * ndim])
            dtype = record.meta[24 + 8 * ndim :][:dtype_size].decode().strip('"')
            assert np.dtype(dtype).itemsize == itemsize
            elements = np.frombuffer(record.payload, dtype)
            return elements.reshape(shape[::-1]).T if flags & 1 else elements.reshape(shape)
        case 5:
            size, buffers = struct.unpack("=QI4x", record.meta[:16])
            place, parts = size, []
            for length in struct.unpack(f"={buffers}Q", record.meta[16 : 16 + 8 * buffers]):
                place = (place + 63) // 64 * 64
                parts.append(record.payload[place : place + (length & MASK >> 1)])
                place += length & MASK >> 1
            return pickle.loads(record.payload[:size], buffers=parts)
        case 6:
            value, place = plain_value(record.payload, 0)
            assert place == len(record.payload)
            return value
    raise AssertionError(record)


def plain_value(payload: bytes, place: int) -> tuple[Any, int]:
    """A value, and where the next one begins."""
    tag = payload[place : place + 1]
    place += 1
    if tag in (b"N", b"F", b"T"):
        return {b"N": None, b"F": False, b"T": True}[tag], place
    if tag in (b"i", b"d"):
        (number,) = struct.unpack_from("=q" if tag == b"i" else "=d", payload, place)
        return number, place + 8
    (count,) = struct.unpack_from("=I", payload, place)
    place += 4
    if tag in (b"s", b"b"):
        content = payload[place : place + count]
        assert len(content) == count
        return content if tag == b"b" else content.decode(), place + count
    assert tag in (b"(", b"[", b"{")
    items = []
    for _ in range(2 * count if tag == b"{" else count):
        item, place = plain_value(payload, place)
        items.append(item)
    if tag == b"{":
        return dict(zip(items[::2], items[1::2], strict=True)), place
    return tuple(items) if tag == b"(" else items, place


VALUES = [
    b"",
    b"some bytes",
    bytearray(b"to be changed"),
    "text, \N{SNOWMAN}",
    np.arange(12, dtype="<f8").reshape(3, 4),
    np.asfortranarray(np.arange(12, dtype=">u2").reshape(3, 4)),
    np.float32(1.5) * np.ones(()),
    {"nested": [1, None, (2.5, True, False)], "text": b"bytes", -(2**63): "\N{SNOWMAN}", 1: {}},
    -0.0,
    {"nested": [1, None], "array": np.arange(100), "more": pickle.PickleBuffer(b"x" * 1000)},
]


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, np.ndarray):
        return bool(one.dtype == other.dtype and one.shape == other.shape and (one == other).all())
    if isinstance(other, pickle.PickleBuffer):
        return bytes(one) == bytes(other)
    return bool(one == other)


@pytest.fixture
def path(name: str) -> Path:
    return Path("/dev/shm") / f"isthmus.{name}"


def test_a_queue_is_read_by_the_page_alone(name: str, path: Path) -> None:
    with isthmus.Queue(name, capacity=16384, maxsize=100) as queue:
        ring = Ring(path)
        assert (ring.kind, ring.capacity, ring.maxsize) == (10, 16384, 100)
        # Far enough that records go on at the start of the ring.
        for round_ in range(30):
            queue.put_many(VALUES)
            found = list(ring.records())
            assert [record.sequence for record in found] == [
                len(VALUES) * round_ + i for i in range(len(VALUES))
            ]
            for record, value in zip(found, VALUES, strict=True):
                assert equal(decode(record), value)
                assert record.state == "ready"
            assert ring.count(ring.cursors + 16, ring.cursors) == len(VALUES) * (round_ + 1)
            assert all(equal(queue.get(timeout=0), value) for value in VALUES)
            assert list(ring.records()) == []
            assert ring.count(ring.cursors + 264, ring.cursors + 256) == len(VALUES) * (round_ + 1)


def test_the_page_tells_leased_records_done_ones_and_those_that_were_set_aside(
    name: str, path: Path
) -> None:
    with isthmus.Queue(name, capacity=4096, max_attempts=1) as queue:
        ring = Ring(path)
        queue.put_many([b"a", b"b", b"c"])
        first, second = queue.lease(), queue.lease()
        second.acknowledge()
        states = [(record.state[:6], record.attempts) for record in ring.records()]
        assert states == [("leased", 1), ("done", 1), ("ready", 0)]
        first.give_back()
        assert [decode(record) for record in ring.records()] == [b"c"]
        (aside,) = ring.records(aside=True)
        assert (decode(aside), aside.sequence, aside.attempts) == (b"a", 0, 1)


def test_a_topic_is_read_by_the_page_alone(name: str, path: Path) -> None:
    with (
        isthmus.Publisher(name, capacity=8192) as publisher,
        isthmus.Subscriber(name, start="next") as subscriber,
    ):
        ring = Ring(path)
        assert ring.kind == 11
        for _ in range(30):
            for value in VALUES:
                publisher.publish(value)
            found = list(ring.records())[-len(VALUES) :]
            for record, value in zip(found, VALUES, strict=True):
                assert equal(decode(record), value)
            (cursor,) = ring.subscribers().values()
            assert cursor == found[0].position
            assert len(subscriber.recv_many(len(VALUES))) == len(VALUES)
            assert list(ring.subscribers().values()) == [ring.tail]
