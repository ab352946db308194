"""Plain values, which travel without pickle: what they are, and what comes out."""

from __future__ import annotations

import collections
import enum
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from bare_calls import PATIENCE
from hypothesis import given, settings, strategies as st

import isthmus
from isthmus import Publisher, Queue, Subscriber, UntrustedPickleError


@pytest.fixture(scope="module")
def strict() -> Iterator[Queue]:
    """A queue that reads no pickle: what comes out of it was none."""
    with Queue(capacity="2 MiB", allow_pickle=False) as queue:
        yield queue


def is_plain(strict: Queue, obj: Any) -> bool:
    for put in (strict.put, lambda it: strict.put_many([it])):
        put(obj)
    try:
        found = [strict.get(), strict.get_many(5)[0]]
    except UntrustedPickleError:
        with pytest.raises(UntrustedPickleError):
            strict.get_many(5)
        strict.clear()
        return False
    assert all(same(each, obj) for each in found)
    return True


def same(one: Any, other: Any) -> bool:
    """Equal in all its parts and in their types, to the bit."""
    if type(one) is not type(other):
        return False
    if type(one) is float:
        return struct.pack("d", one) == struct.pack("d", other)
    if type(one) is dict:
        return same(list(one.items()), list(other.items()))
    if type(one) in (list, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


texts = st.text(st.characters(exclude_categories=["Cs"]))
leaves = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | texts
    | st.binary()
)  # fmt: skip
keys = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.lists(inner, max_size=6).map(tuple)
        | st.dictionaries(keys, inner, max_size=6)
    ),
    max_leaves=40,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(value=values)
def test_plain_values_come_out_as_they_went_in(strict: Queue, value: Any) -> None:
    strict.put(value)
    strict.put_many([value, value, value])
    got = [strict.get(), next(strict), *strict.get_many(1)]
    with strict.lease() as lease:
        got.append(lease.value)
    assert all(same(each, value) for each in got)


@pytest.fixture(scope="module")
def topic() -> Iterator[tuple[Publisher, Subscriber]]:
    with Publisher() as pub, pub.subscriber(allow_pickle=False, timeout=0) as sub:
        yield pub, sub


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
@given(value=values)
def test_plain_values_come_out_of_topics_as_they_went_in(
    topic: tuple[Publisher, Subscriber], value: Any
) -> None:
    pub, sub = topic
    pub.publish(value)
    pub.publish_many([value] * 5)
    got = [sub.recv(), next(sub), *sub.recv_many(3)]
    with sub.view() as viewed:
        got.append(bytes(viewed) if isinstance(viewed, memoryview) else viewed)
    del viewed
    assert len(got) == 6
    assert all(same(each, value) for each in got)


@pytest.mark.parametrize(
    "bits", [0x7FF8_0000_0000_0000, 0xFFF8_0000_DEAD_BEEF, 0x7FF0_0000_0000_0001, 1 << 63, 1]
)
def test_a_float_keeps_its_bits(bits: int, strict: Queue) -> None:
    (number,) = struct.unpack("=d", struct.pack("=Q", bits))
    assert is_plain(strict, number)
    assert is_plain(strict, {number: [number]})


def test_what_comes_out_is_ones_own(strict: Queue) -> None:
    value: dict[str, Any] = {"list": [1], "dict": {}}
    strict.put(value)
    value["list"].append(2)
    found = strict.get()
    found["list"].append(3)
    assert (value["list"], found["list"]) == ([1, 2], [1, 3])


class Number(int):
    """Not exactly an int."""


class Colour(enum.IntEnum):
    """Not exactly an int either."""

    RED = 1


class Point(NamedTuple):
    """Not exactly a tuple."""

    x: int


class Name(str):
    """Not exactly a str."""

    __slots__ = ()


@pytest.mark.parametrize(
    "obj",
    [
        Number(1), Colour.RED, Point(1), Name("x"), np.float64(1), np.int64(1), 1j, {1}, ...,
        collections.OrderedDict(a=1), collections.defaultdict(int), 2**63, -(2**63) - 1, 10**30,
        "\ud800", bytearray(b"x"), frozenset(), range(3), print,
    ],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("where", ["list", "tuple", "value", "key"])
def test_what_is_not_plain_is_pickled_and_comes_out_the_same(
    obj: Any, where: str, strict: Queue
) -> None:
    if where == "key" and type(obj).__hash__ is None:
        where = "list"
    holder: Any = {
        "list": lambda: [1, obj],
        "tuple": lambda: ("a", (obj,)),
        "value": lambda: {"a": obj},
        "key": lambda: {obj: 1},
    }[where]()
    assert not is_plain(strict, holder)
    with Queue() as q:
        q.put(holder)
        found = q.get()
    assert found == holder
    inner = found[-1] if where in ("list", "tuple") else next(iter(found.items()))[where == "value"]
    inner = inner[0] if where == "tuple" else inner
    assert type(inner) is type(obj)


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 2**30, -(2**30), 0, True])
def test_an_int_of_64_bits_is_plain(number: int, strict: Queue) -> None:
    assert is_plain(strict, number)


# ---- Identity --------------------------------------------------------------------------


def test_a_list_that_is_there_twice_is_there_twice_afterwards(strict: Queue) -> None:
    inner: list[Any] = [1]
    for twice in (
        [inner, inner],
        (inner, [inner]),
        {"a": inner, "b": {"c": inner}},
        [(inner,), (inner,)],
    ):
        assert not is_plain(strict, twice)
    table: dict[str, int] = {}
    assert not is_plain(strict, [table, table])
    with Queue() as q:
        q.put([inner, inner])
        one, other = q.get()
        assert one is other


def test_a_list_within_a_tuple_that_is_there_twice_counts_as_twice(strict: Queue) -> None:
    pair = ([1], {})
    assert not is_plain(strict, (pair, pair))
    assert not is_plain(strict, {"a": [pair], "b": [(pair,)]})
    outer = (pair[:1],)
    assert not is_plain(strict, [outer, outer])


def test_what_cannot_be_changed_may_be_there_twice(strict: Queue) -> None:
    pair, text = (1, "text" * 3, ()), "another"
    assert is_plain(strict, [pair, pair, (pair, text), {text: pair, pair: text}])


def test_a_list_that_somebody_else_has_as_well_is_plain(strict: Queue) -> None:
    kept = [[1], [2], {"a": [3]}]
    assert is_plain(strict, kept)
    assert is_plain(strict, list(kept))
    assert is_plain(strict, [[1], [1], {}, {}])


def test_a_value_that_contains_itself_comes_out_as_such(strict: Queue) -> None:
    circle: list[Any] = [1]
    circle.append((circle,))
    ring: dict[str, Any] = {}
    ring["self"] = [ring]
    for endless in (circle, ring):
        assert not is_plain(strict, endless)
    with Queue() as q:
        q.put(circle)
        found = q.get()
        assert found[1][0] is found


# ---- Limits ----------------------------------------------------------------------------


def nested(depth: int, kind: str) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"list": [value], "tuple": (value,), "dict": {"key": value}}[kind]
    return value


@pytest.mark.parametrize("kind", ["list", "tuple", "dict"])
def test_values_are_plain_up_to_a_depth(kind: str, strict: Queue) -> None:
    assert is_plain(strict, nested(16, kind))
    assert not is_plain(strict, nested(17, kind))
    assert not is_plain(strict, nested(100, kind))


def test_so_many_lists_are_plain_whoever_has_them(strict: Queue) -> None:
    kept: list[Any] = [[] for _ in range(256)]
    assert is_plain(strict, tuple(kept))
    kept.append([])
    assert not is_plain(strict, tuple(kept))
    assert is_plain(strict, tuple([] for _ in range(2000)))  # nobody else has these


@pytest.mark.parametrize("size", [4081, 4082, 4083, 20_000, 262_120])
def test_values_are_plain_up_to_a_size(size: int, strict: Queue) -> None:
    """The smallest sizes are those at which encoding takes another way."""
    for content in ("x" * size, b"x" * size, ("é" * size)[: size // 2]):
        assert is_plain(strict, [content, 1])
    assert is_plain(strict, [float(i) for i in range(size // 9)])


def test_larger_ones_are_pickled(strict: Queue) -> None:
    for content in ("x" * 262_140, b"x" * 262_140, "é" * 131_070, "x" * 300_000):
        assert not is_plain(strict, [content])
    assert not is_plain(strict, [1] * 29_200)
    assert not is_plain(strict, [None] * 300_000)


# ---- In batches, and beside others ------------------------------------------------------


def test_one_call_takes_values_bytes_and_texts_in_order() -> None:
    items: list[Any] = [1, b"2", [3], "4", None, bytearray(b"6"), {"7": (8.0,)}, (), True]
    with Queue(allow_pickle=False) as q:
        q.put_many(items)
        assert q.get_many(100) == items
        for item in items:
            q.put(item)
        assert q.get_many(4) == items[:4]
        assert [q.get() for _ in items[4:]] == items[4:]
    with Publisher() as pub, pub.subscriber(timeout=0) as sub:
        pub.publish_many([*items, {1}, [2]])
        assert sub.recv_many(100) == [*items, {1}, [2]]


def test_values_and_pickles_keep_their_order() -> None:
    items: list[Any] = [[1], {2}, [3], {4}, {5}, 6]
    with Queue() as q:
        q.put_many(items)
        got: list[Any] = []
        while not q.empty():
            got += q.get_many(10)
        assert got == items
        q.join(0)
        for _ in items:
            q.task_done()
        assert q.join(0)


def test_none_is_a_message_like_others() -> None:
    with Queue() as q, Publisher() as pub, pub.subscriber(timeout=0) as sub:
        q.put(None)
        pub.publish(None)
        assert (q.get(), q.qsize(), sub.recv(), sub.lag) == (None, 0, None, 0)


COLLECTING = """
import gc, isthmus

def seldom(phase, info):
    # As a finalizer might: were it called in the middle of a read, it would wait for that.
    if phase == "start":
        for use in (lambda: q.get(block=False), lambda: q.put(0, block=False),
                    lambda: sub.recv(0)):
            try:
                seen.append(use())
            except (isthmus.Empty, isthmus.Full):
                pass

seen = []
q = isthmus.Queue()
pub = isthmus.Publisher()
sub = pub.subscriber(timeout=5)
value = {"a": [[i] for i in range(20)], "b": [(i, {}) for i in range(20)]}
for get, put in ((q.get, q.put_many), (lambda: q.get_many(2), q.put_many),
                 (sub.recv, pub.publish_many), (lambda: sub.recv_many(2), pub.publish_many)):
    put([value] * 400)
    gc.callbacks.append(seldom)
    gc.set_threshold(1)
    for _ in range(5):
        found = get()
        assert found == value or value in found
    gc.set_threshold(0)
    gc.callbacks.clear()
    q.clear()
    while sub.lag:
        sub.recv_many(100)
assert seen
"""


@pytest.mark.slow
def test_a_collection_of_garbage_while_values_are_made_may_use_the_queue() -> None:
    run(COLLECTING)


NO_MEMORY = """
import isthmus, _testcapi
q = isthmus.Queue()
notes = 0
for size in (10, 1000):
    for take in (q.get, lambda: q.get_many(3)):
        for first in range(30):
            q.put_many([[[i] for i in range(size)], b"next"] * 3)
            before = q.qsize()
            try:
                _testcapi.set_nomemory(first, first + 1)
                take()
            except MemoryError as error:
                _testcapi.remove_mem_hooks()
                if getattr(error, "__notes__", None):
                    assert "message " in error.__notes__[0] and "taken from" in error.__notes__[0]
                    assert q.qsize() < before
                    notes += 1
                else:
                    assert q.qsize() == before
            finally:
                _testcapi.remove_mem_hooks()
            q.clear()
assert notes
"""


@pytest.mark.slow
def test_where_there_is_no_memory_a_value_stays_or_the_error_says_that_it_is_gone() -> None:
    pytest.importorskip("_testcapi")
    run(NO_MEMORY)


def run(program: str) -> None:
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.stderr, done.returncode) == ("", 0)


def test_a_value_that_never_fits_is_refused() -> None:
    with Queue(capacity=4096) as q:
        for put in (q.put, lambda it: q.put_many([1, it])):
            with pytest.raises(isthmus.MessageTooLargeError):
                put([b"x" * 4100])
        q.put([b"x" * 3000])
        with pytest.raises(isthmus.Full):
            q.put([b"x" * 2000], block=False)
        assert q.get_many(2) == [[b"x" * 3000]]
