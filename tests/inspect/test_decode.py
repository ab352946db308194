"""What lies in a queue is shown as what was put, and nothing of it is run."""

from __future__ import annotations

import collections
import contextlib
import os
import pickle
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st
from rings import Memory

import isthmus
from isthmus.inspect.looking._observed import Observed
from isthmus.inspect.messages import _decode
from isthmus.inspect.messages._pickles import Pickle
from isthmus.inspect.messages._record import Content, Record
from isthmus.inspect.messages._records import RingReader

CAPACITY = 1 << 20
COMMON = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4)
    | st.lists(inner, max_size=4).map(tuple)
    | st.dictionaries(st.text() | st.integers(-9, 9) | st.tuples(st.binary()), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


class Looks:
    """A queue, and what is seen of what was put into it last."""

    def __init__(self, queue: isthmus.Queue, reader: RingReader, memory: Memory) -> None:
        self.queue, self.reader, self.memory = queue, reader, memory

    def put(self, message: Any) -> Record:
        self.queue.clear()
        self.queue.put(message)
        (record,) = self.reader.records()
        return record

    def content(self, record: Record, limit: int | None = None) -> Content:
        found = self.reader.content(record, limit=limit)
        assert found is not None
        return found

    def value(self, message: Any) -> Any:
        record = self.put(message)
        return _decode.value(record, self.content(record))

    def preview(self, message: Any, width: int = 80, limit: int | None = None) -> str:
        record = self.put(message)
        return _decode.preview(record, self.content(record, limit), width)


@pytest.fixture
def looks(name: str) -> Iterator[Looks]:
    with (
        isthmus.Queue(name, capacity=CAPACITY) as queue,
        Observed(f"/dev/shm/isthmus.{name}") as observed,
    ):
        memory = Memory(name, CAPACITY)
        yield Looks(queue, RingReader(observed), memory)
        memory.close()


def same(one: Any, other: Any) -> bool:
    """Equal, of the same types, and where it is not a number, too."""
    return pickle.dumps(one) == pickle.dumps(other) or repr(one) == repr(other)


@COMMON
@given(message=PLAIN)
@example(b"")
@example("")
@example(())
@example({(1, b"2"): [None, {}]})
@example("x" * 300_000)
@example(list(range(20_000)))
def test_the_value_of_a_message_is_what_was_put(looks: Looks, message: Any) -> None:
    assert same(looks.value(message), message)


@COMMON
@given(message=PLAIN, width=st.integers(10, 60), limit=st.none() | st.integers(0, 200))
def test_a_preview_is_what_python_writes_or_the_start_of_it(
    looks: Looks, message: Any, width: int, limit: int | None
) -> None:
    found = looks.preview(message, width, limit)
    assert found.isprintable()
    assert len(found) <= width + 1
    if found.endswith("…") and not repr(message).endswith("…"):
        written = found[:-1]
        # In the middle of a text, what makes Python choose the other quotes may come later.
        assert (
            repr(message)
            .replace("\\'", "'")
            .replace('"', "'")
            .startswith(written.replace("\\'", "'").replace('"', "'").rstrip("\\'"))
            or "\\" in written
        )
    else:
        assert found == repr(message)


def test_a_bytearray_is_one(looks: Looks) -> None:
    assert looks.value(bytearray(b"x")) == bytearray(b"x")
    assert looks.preview(bytearray(b"x\0")) == r"b'x\x00'"


def test_control_characters_are_shown_by_their_escapes(looks: Looks) -> None:
    assert looks.preview("\x1b[2J\u202eöé\n") == r"'\x1b[2J\u202eöé\n'"
    assert looks.preview({"\x1b": b"\x1b"}) == r"{'\x1b': b'\x1b'}"
    dtype = np.dtype([("\x1b[2J", "<f4")])
    assert "\x1b" not in looks.preview(np.zeros(2, dtype))


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.arange(4, dtype="<f8") / 8, "float64 (4,) [0, 0.125, 0.25, 0.375]"),
        (np.arange(6, dtype=">u2").reshape(2, 3), ">u2 (2, 3) [0, 1, 2, 3, 4, 5]"),
        (
            np.asfortranarray(np.arange(4, dtype="i1").reshape(2, 2)),
            "int8 (2, 2), Fortran order [0, 2, 1, 3]",
        ),
        (np.array(1.5, "<f2"), "float16 () [1.5]"),
        (np.array([True, False]), "bool (2,) [True, False]"),
        (np.zeros((0, 3)), "float64 (0, 3) []"),
        (np.array([1 + 2j]), "complex128 (1,) [(1+2j)]"),
        (np.array(["é", "ab"]), "<U2 (2,) ['é', 'ab']"),
        (np.array(["2024-01-02"], "M8[D]"), "<M8[D] (1,) [2024-01-02]"),
        (
            np.array([(1, 2.5)], [("x", "<i4"), ("y", "<f8")]),
            "{x: int32, y: float64} (1,) [(1, 2.5)]",
        ),
    ],
)
def test_arrays_are_shown_by_type_shape_and_their_first_elements(
    looks: Looks, array: np.ndarray[Any, Any], text: str
) -> None:
    assert looks.preview(array) == text
    found = looks.value(array)
    assert found.dtype == array.dtype and found.shape == array.shape
    assert found.flags.writeable and np.array_equal(found, array)


def test_of_a_large_array_only_as_much_is_read_as_is_shown(looks: Looks) -> None:
    found = looks.preview(np.arange(100_000, dtype="<i8"), 60, limit=64)
    assert found == "int64 (100000,) [0, 1, 2, 3, 4, 5, 6, 7, …]"


class Loud:
    """Would be noticed if it were loaded."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("/nonexistent/loaded",)


def test_a_pickle_is_looked_at_and_not_loaded(looks: Looks) -> None:
    found = looks.value([Loud(), "text", 5, collections.OrderedDict(a=1)])
    assert isinstance(found, Pickle)
    assert found.complete and found.protocol == 5
    assert found.names == ("posix.mkdir", "collections.OrderedDict")
    assert found.constants == ("'/nonexistent/loaded'", "'text'", "5", "'a'", "1")
    assert looks.preview([Loud()]) == "protocol 5; posix.mkdir; '/nonexistent/loaded'"
    with_buffers = {1, pickle.PickleBuffer(b"x" * 1000)}
    assert looks.value(with_buffers).buffers == (1000,)
    assert "1 buffers of 1000 bytes" in looks.preview(with_buffers)
    looks.queue.clear()


@pytest.mark.parametrize("protocol", range(6))
def test_names_in_pickles_of_any_protocol_are_found(looks: Looks, protocol: int) -> None:
    record = looks.put({1, 2})
    data = pickle.dumps([collections.deque(), collections.deque([1]), 1 << 70], protocol)
    meta = struct.pack("=QI4x", len(data), 0)
    fields = {name: getattr(record, name) for name in Record.__dataclass_fields__}
    record = Record(**{**fields, "size": len(data)})
    found = _decode.value(record, Content(meta, data, True))
    assert found.complete and "collections.deque" in found.names
    # Any part of it is looked at as far as it goes.
    for end in range(len(data)):
        assert not _decode.value(record, Content(meta, data[:end], False)).complete


# ---- Damage ----------------------------------------------------------------------------


@COMMON
@given(
    kind=st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 256]),
    meta=st.binary(max_size=120),
    payload=st.binary(max_size=100),
    more=st.integers(0, 1 << 40),
)
@example(4, struct.pack("=IIQII", 1, 0, 1, 2, 0) + struct.pack("=Q", 2) + b"[[", b"xx", 0)
@example(4, struct.pack("=IIQII", 1, 0, 8, 5, 0) + struct.pack("=Q", 1) + b'"|O8"', b"x" * 8, 0)
@example(4, struct.pack("=IIQII2Q", 2, 0, 1, 5, 0, 0, 2**63) + b'"|u1"', b"", 0)
@example(6, b"", b"[" * 40 + b"\xff" * 4, 0)
@example(6, b"", b"[\xff\xff\xff\xff", 2**33)
@example(5, struct.pack("=QI4x", 20, 0), b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f", 30)
def test_whatever_is_there_has_a_preview_and_a_value_or_a_reason(
    kind: int, meta: bytes, payload: bytes, more: int
) -> None:
    record = Record(
        position=0, number=0, type=kind, size=len(payload) + more, data=32, attempts=0,
        state="ready", worker=None, span=32, sound=True,
    )  # fmt: skip
    content = Content(meta, payload, not more)
    assert _decode.preview(record, content, 40).isprintable()
    with contextlib.suppress(ValueError):
        _decode.value(record, content)


def test_where_a_value_or_a_text_is_damaged_is_told(looks: Looks) -> None:
    record = looks.put([1, "ab"])
    looks.memory.map[looks.memory.place(record.position) + 32 + 5 + 9] = ord("x")
    content = looks.content(record)
    assert _decode.preview(record, content) == "[1, … (its value makes no sense from byte 14 on)"
    with pytest.raises(ValueError, match="from byte 14 on"):
        _decode.value(record, content)
    record = looks.put("abcdefgh")
    looks.memory.map[looks.memory.place(record.position) + 32 + 3] = 0xFF
    found = _decode.preview(record, looks.content(record))
    assert found == r"b'abc\xffefgh' (not UTF-8 from byte 3 on)"
