"""Values that are damaged, or were written by another program: they are read or refused."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st
from rings import Memory

from isthmus import Queue, RecordError


class Payloads:
    """A queue, into which anything can be put as if it were a value."""

    def __init__(self, queue: Queue, memory: Memory) -> None:
        self.queue = queue
        self.memory = memory

    @property
    def tail(self) -> int:
        """Where the next record begins."""
        (cursors,) = struct.unpack_from("<Q", self.memory.map, 256 + 64 + 16)
        return int(struct.unpack_from("<Q", self.memory.map, cursors)[0])

    def put(self, payload: bytes) -> None:
        position = self.tail
        self.queue.put(payload)
        self.memory.change(position, type=6)

    def read(self, payload: bytes) -> Any:
        """What it is read as; `RecordError`: not at all, and it has stayed."""
        self.put(payload)
        try:
            return self.queue.get(block=False)
        except RecordError as error:
            refused = str(error)
        assert "its value makes no sense from byte" in refused
        assert self.queue.qsize() == 1
        self.queue.clear()
        return RecordError


@pytest.fixture
def payloads(name: str) -> Iterator[Payloads]:
    with Queue(name, capacity=1 << 20, allow_pickle=False) as queue:
        memory = Memory(name, queue.capacity)
        yield Payloads(queue, memory)
        memory.close()


def encoded(value: Any) -> bytes:
    """As docs/segment-format.md has it."""
    if value is None or type(value) is bool:
        return {None: b"N", False: b"F", True: b"T"}[value]
    if type(value) is int:
        return struct.pack("=cq", b"i", value)
    if type(value) is float:
        return struct.pack("=cd", b"d", value)
    if type(value) in (str, bytes):
        content = value.encode() if type(value) is str else value
        return struct.pack("=cI", b"s" if type(value) is str else b"b", len(content)) + content
    items = [part for pair in value.items() for part in pair] if type(value) is dict else value
    tag = {tuple: b"(", list: b"[", dict: b"{"}[type(value)]
    return struct.pack("=cI", tag, len(value)) + b"".join(encoded(item) for item in items)


SAMPLES: list[Any] = [
    7,
    ("a", 1, 2.5),
    {"job": 17, "name": "résize", "sizes": [640, 480], "more": {(1, b"k"): None, True: ()}},
    [[], {}, (), "", b"", -1.5, False, "漢\N{SNOWMAN}\U0001f600"],
]


def test_what_python_puts_is_what_the_page_says(payloads: Payloads) -> None:
    for value in SAMPLES:
        position = payloads.tail
        payloads.queue.put(value)
        record = payloads.memory.record(position)
        start = payloads.memory.place(position) + record["data"]
        assert record["type"] == 6
        assert payloads.memory.map[start : start + record["size"]] == encoded(value)
        assert payloads.queue.get() == value


def test_what_another_program_has_put_is_read(payloads: Payloads) -> None:
    for value in SAMPLES:
        assert payloads.read(encoded(value)) == value
    pairs = encoded({1: "a"})[5:] + encoded({1: "b"})[5:]
    assert payloads.read(struct.pack("=cI", b"{", 2) + pairs) == {1: "b"}
    for length in (100_000, 400_000):  # in the read, and by lease
        assert payloads.read(struct.pack("=cI", b"[", length) + b"T" * length) == [True] * length
        assert payloads.read(struct.pack("=cI", b"[", length) + b"T" * (length - 1)) is RecordError
    payloads.put(encoded([1]))
    with payloads.queue.lease(block=False) as lease:
        assert lease.value == [1]


@pytest.mark.parametrize("value", SAMPLES, ids=["int", "tuple", "dict", "list"])
def test_every_truncation_is_noticed(value: Any, payloads: Payloads) -> None:
    whole = encoded(value)
    for size in range(len(whole)):
        assert payloads.read(whole[:size]) is RecordError
    assert payloads.read(whole + b"N") is RecordError
    assert payloads.read(whole) == value


@pytest.mark.parametrize("value", SAMPLES, ids=["int", "tuple", "dict", "list"])
def test_a_byte_that_is_another_makes_another_value_or_none(value: Any, payloads: Payloads) -> None:
    whole = encoded(value)
    others = bytes((0, 1, 2, 7, 0x7F, 0x80, 0xC3, 0xED, 0xFF)) + b"NFTidsb([{"
    for place in range(len(whole)):
        for other in others:
            found = payloads.read(whole[:place] + bytes((other,)) + whole[place + 1 :])
            if found is not RecordError:
                assert type(found) in (int, float, str, bytes, tuple, list, dict, bool)
                assert len(encoded(found)) <= len(whole)


def test_any_damage_makes_another_value_or_none(payloads: Payloads) -> None:
    chance = random.Random(6)
    wholes = [encoded(value) for value in SAMPLES]
    outcomes = {True: 0, False: 0}
    for _ in range(2000):
        damaged = bytearray(chance.choice(wholes))
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(damaged))
            match chance.randrange(4):
                case 0:
                    damaged[place] = chance.randrange(256)
                case 1:
                    damaged[place : place + chance.randint(1, 5)] = b""
                case 2:
                    damaged[place:place] = chance.choice(wholes)[: chance.randint(1, 20)]
                case _:
                    damaged[place] = chance.choice(b"NFTidsb([{")
            damaged = damaged or bytearray(b"x")
        found = payloads.read(bytes(damaged))
        outcomes[found is RecordError] += 1
        if found is not RecordError:
            assert len(encoded(found)) <= len(damaged)
    assert min(outcomes.values()) > 20


HEAD = struct.Struct("=cI")


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        (b"", 0),
        (b"x", 0),
        (b"\0" * 40, 0),
        (b"i1234567", 0),
        (b"NN", 1),
        (HEAD.pack(b"s", 2**32 - 1) + b"abc", 0),
        (HEAD.pack(b"b", 4) + b"abc", 0),
        (HEAD.pack(b"[", 2**32 - 1) + b"N", 0),
        (HEAD.pack(b"(", 2) + b"N", 0),
        (HEAD.pack(b"{", 2) + b"NNN", 8),
        (HEAD.pack(b"{", 2**31) + b"NN", 0),
        (HEAD.pack(b"{", 1) + encoded([]) + b"N", 5),
        (HEAD.pack(b"{", 1) + encoded({}) + b"N", 5),
        (HEAD.pack(b"{", 1) + encoded((1, ([],))) + b"N", 5 + 5 + 9 + 5),
        (HEAD.pack(b"[", 1) * 17 + b"N", 16 * 5),
        (HEAD.pack(b"(", 1) * 100_000 + b"N", 16 * 5),
        (HEAD.pack(b"s", 3) + b"\xed\xa0\x80", 0),
        (HEAD.pack(b"[", 1) + HEAD.pack(b"s", 1) + b"\xff", 5),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_makes_no_sense_is_refused_by_every_way_to_take_it_and_stays(
    payload: bytes, place: int, payloads: Payloads
) -> None:
    q = payloads.queue
    q.put([1])
    payloads.put(payload)
    q.put(b"behind")
    assert q.get_many(3) == [[1]]
    for get in (q.get, q.get_nowait, lambda: q.get_many(3), lambda: next(q), q.lease):
        with pytest.raises(RecordError, match=f"from byte {place} on") as caught:
            get()
        assert caught.value.number == 1
    assert q.qsize() == 2


def test_one_that_is_set_aside_can_be_looked_at_there(name: str) -> None:
    with Queue(name, capacity=8192, max_attempts=1, allow_pickle=False) as q:
        q.put_many([[1], (2.5, "x")])
        q.lease().give_back()
        memory = Memory(name, q.capacity)
        memory.map[memory.place(64) + 32 + 5] = ord("?")
        memory.close()
        with pytest.raises(RecordError):
            q.lease()
        sound, wrong = q.aside()
        assert sound.value == [1]
        with pytest.raises(RecordError, match=r"message 1.*from byte 5 on"):
            wrong.value


@pytest.mark.slow
@settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=st.binary(max_size=40) | st.text(max_size=20).map(lambda t: t.encode("utf-8")))
@example(text=b"\xc0\x80")
@example(text=b"\xe0\x9f\xbf")
@example(text=b"\xe0\xa0\x80")
@example(text=b"\xed\x9f\xbf")
@example(text=b"\xed\xa0\x80")
@example(text=b"\xee\x80\x80")
@example(text=b"\xf0\x8f\xbf\xbf")
@example(text=b"\xf4\x8f\xbf\xbf")
@example(text=b"\xf4\x90\x80\x80")
@example(text=b"\xf8\x88\x80\x80\x80")
@example(text=b"12345678\xc3")
@example(text=b"1234567\xc3\xa4 and more\xe2\x82")
def test_a_text_is_read_if_it_is_utf_8_and_else_the_message_stays(
    text: bytes, payloads: Payloads
) -> None:
    found = payloads.read(HEAD.pack(b"s", len(text)) + text)
    try:
        assert found == text.decode("utf-8")
    except UnicodeDecodeError:
        assert found is RecordError
