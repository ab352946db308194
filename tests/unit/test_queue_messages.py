"""What travels through a queue: which types, what comes out, and what cannot go in."""

from __future__ import annotations

import array
import datetime
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from rings import starting_at

import isthmus
from isthmus import Queue


def through(obj: Any, queue: Queue | None = None) -> Any:
    q = Queue() if queue is None else queue
    q.put(obj)
    found = q.get()
    assert q.empty()
    q.put_many([obj])
    (again,) = q.get_many(5)
    assert type(again) is type(found)
    q.put(obj)
    with q.lease() as lease:
        assert type(lease.value) is type(found)
    return found


@pytest.mark.parametrize(
    "obj",
    [
        b"",
        b"bytes",
        b"x" * 300_000,
        bytearray(b"array"),
        bytearray(300_000),
        "",
        "text, also with ü and 漢字",
        "x" * 300_000,
        "half of a pair: \ud800",
        None,
        True,
        5,
        1.5,
        ("a", [1, {2: {3}}]),
        datetime.datetime(2020, 1, 1),
        array.array("d", [1, 2]),
        {"deep": [b"x" * 1000, bytearray(1000)]},
    ],
    ids=lambda obj: type(obj).__name__,
)
def test_what_comes_out_equals_what_went_in(obj: Any) -> None:
    found = through(obj)
    assert type(found) is type(obj)
    assert found == obj


def test_a_memoryview_comes_out_as_bytes() -> None:
    assert through(memoryview(b"abcdef")[1:3]) == b"bc"
    assert through(memoryview(b"abcdef")[::-2]) == b"fdb"
    assert through(memoryview(np.arange(3))) == np.arange(3).tobytes()
    assert type(through(memoryview(bytearray(b"x")))) is bytes


def test_subclasses_stay_what_they_are() -> None:
    for obj in (Text("x"), Bytes(b"x"), Matrix(np.arange(4).reshape(2, 2))):
        found = through(obj)
        assert type(found) is type(obj)
        assert (found == obj).all() if isinstance(obj, np.ndarray) else found == obj


class Text(str):
    """Not exactly a str."""

    __slots__ = ()


class Bytes(bytes):
    """Not exactly bytes."""


class Matrix(np.ndarray):  # type: ignore[type-arg]
    """Not exactly an ndarray."""

    def __new__(cls, values: Any) -> Matrix:
        return np.asarray(values).view(cls)


DTYPES = [
    "?", "u1", "<i2", ">i4", "i8", "f2", "<f4", ">f8", "g", "c8", ">c16", "S5", "<U3", ">U3", "V7",
    "M8[ns]", ">M8[D]", "m8[s]",
    [("a", "u1"), ("b", ">f8"), ("when", "M8[s]")],
    [("grid", "f4", (2, 3)), ("name", "S4")],
    np.dtype([("a", "u1"), ("b", "f8")], align=True),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 0, 3), (3, 4, 2)], ids=str)
def test_arrays_keep_dtype_shape_and_elements(dtype: Any, shape: Any) -> None:
    element = np.dtype(dtype)
    size = int(np.prod(shape)) * element.itemsize
    plain = np.frombuffer(bytes(i % 2 for i in range(size)), "u1").copy()
    original = np.ndarray(shape, element, plain if size else bytearray(1))
    found = through(original)
    assert type(found) is np.ndarray
    assert (found.dtype, found.shape) == (original.dtype, original.shape)
    assert found.dtype.isalignedstruct == original.dtype.isalignedstruct
    assert found.tobytes() == original.tobytes()
    assert found.flags.writeable
    assert not np.shares_memory(found, original)


@pytest.mark.parametrize("size", [6, 60])
def test_arrays_of_any_layout_come_out_compact(size: int) -> None:
    q = Queue(capacity="8 MiB")
    base = np.arange(size**3, dtype="<f4").reshape(size, size, size)
    for view in (
        base[::2],
        base[:, ::-1],
        base[..., 1:4],
        base.transpose(1, 2, 0),
        base[::-2, 1, ::3],
        np.broadcast_to(base[0, 0], (3, size)),
        base.view("V4")[::3],
        base.view("V2")[..., ::3],
        base.view("u1")[..., ::3],
        base.astype("c16")[::2],
        base.astype("f8")[::2, ::2],
    ):
        found = through(view, q)
        assert found.flags.c_contiguous
        assert found.flags.writeable
        assert found.tobytes() == view.tobytes()
        assert found.shape == view.shape
    fortran = np.asfortranarray(base)
    found = through(fortran, q)
    assert found.flags.f_contiguous
    assert (found == base).all()


def test_what_reads_only_goes_in_and_comes_out_writable() -> None:
    frozen = np.arange(10)
    frozen.flags.writeable = False
    assert through(frozen).flags.writeable


def test_large_arrays_come_out_whole() -> None:
    q = Queue(capacity="32 MiB")
    large = np.arange(2**20, dtype="f8").reshape(1024, -1)
    for obj in (large, np.asfortranarray(large), large[::2], {"large": large}):
        found = through(obj, q)
        found = found["large"] if isinstance(found, dict) else found
        expected = obj["large"] if isinstance(obj, dict) else obj
        assert (found == expected).all()


def test_buffers_of_a_pickle_travel_beside_it_and_keep_what_they_are() -> None:
    q = Queue(capacity="4 MiB")
    frozen = np.arange(1000)
    frozen.flags.writeable = False
    many = [np.full(40, i) for i in range(5000)]
    found = through(
        {"a": np.ones(1000), "frozen": frozen, "f": np.ones((50, 50), order="F"), "tiny": many[3]},
        q,
    )
    assert [found[key].flags.writeable for key in ("a", "frozen", "f", "tiny")] == [
        True, False, True, True,
    ]  # fmt: skip
    assert found["f"].flags.f_contiguous
    found["a"][:] = 5
    assert (found["frozen"] == frozen).all()
    assert (found["tiny"] == 3).all()
    for one, other in zip(through(many, q), many, strict=True):
        assert (one == other).all()


def test_arrays_that_only_pickle_can_take_are_pickled() -> None:
    for obj in (
        np.array([{"a": 1}, None], dtype=object),
        np.zeros(3, "V0"),
        np.zeros(3, [("a", "u1"), ("o", object)]),
    ):
        found = through(obj)
        assert found.dtype == obj.dtype
        assert list(found) == list(obj)


def test_dtypes_whose_names_change_are_described_anew() -> None:
    dtype = np.dtype([("a", "u1"), ("b", "u2")])
    one = np.zeros(2, dtype)
    assert through(one).dtype.names == ("a", "b")
    dtype.names = ("c", "d")
    assert through(np.zeros(2, dtype)).dtype.names == ("c", "d")
    changed = through(np.zeros(2, dtype))
    changed.dtype.names = ("e", "f")
    assert through(np.zeros(2, dtype)).dtype.names == ("c", "d")


class Stubborn:
    """Cannot be pickled."""

    def __reduce__(self) -> str:
        raise LookupError("no")


class Explosive:
    """Cannot be unpickled."""

    def __reduce__(self) -> Any:
        return _explode, ()


def _explode() -> None:
    raise LookupError("bang")


def test_what_cannot_be_pickled_raises_where_it_is_put() -> None:
    q = Queue()
    for put in (q.put, q.put_nowait, lambda obj: q.put_many([b"1", obj])):
        with pytest.raises(LookupError, match="no"):
            put(Stubborn())
        with pytest.raises((AttributeError, TypeError)):
            put({"f": sys._getframe()})
    assert q.stats().put == 0


def test_what_cannot_be_unpickled_is_gone_and_the_error_says_so() -> None:
    q = Queue()
    for get in (q.get, lambda: q.get_many(5), lambda: next(q)):
        q.put(Explosive())
        q.put(b"next")
        with pytest.raises(LookupError, match="bang") as caught:
            get()
        assert "has been taken from anonymous queue" in caught.value.__notes__[0]
        assert q.get() == b"next"
    q.task_done()


class UnnotableError(LookupError):
    """No note can be added to it."""

    def add_note(self, note: str) -> None:
        raise RuntimeError(note)


def _refuse_notes() -> None:
    raise UnnotableError("bang")


class Unnotable:
    """It raises, when it is unpickled, what takes no note."""

    def __reduce__(self) -> Any:
        return _refuse_notes, ()


def test_what_cannot_be_unpickled_is_gone_also_if_its_error_takes_no_note() -> None:
    q = Queue()
    q.put_many([Unnotable(), b"next"])
    with pytest.raises(UnnotableError, match="bang"):
        q.get()
    assert (q.stats().leased, q.qsize()) == (0, 1)
    assert q.get() == b"next"


def test_what_cannot_be_unpickled_under_a_lease_is_given_back_and_set_aside_in_the_end() -> None:
    q = Queue(max_attempts=2)
    q.put(Explosive())
    for left in (1, 0):
        with pytest.raises(LookupError):
            q.lease()
        assert q.qsize() == left
    (message,) = q.aside()
    with pytest.raises(LookupError):
        message.value
    message.discard()
    assert q.aside() == []


def test_messages_before_one_that_fails_are_not_lost() -> None:
    q = Queue()
    q.put_many([b"1", [2], Explosive(), {3}, Explosive(), {4}, b"5"])
    assert q.get_many(10) == [b"1", [2]]
    with pytest.raises(LookupError):
        q.get_many(10)
    assert q.get_many(10) == [{3}]
    with pytest.raises(LookupError):
        q.get()
    assert q.get_many(10) == [{4}]
    assert q.get_many(10) == [b"5"]


def test_a_get_that_fails_is_no_delivery_by_lease() -> None:
    q = Queue(max_attempts=1)
    q.put_many([{1}, Explosive(), Interrupting()])
    assert q.get_many(10) == [{1}]
    assert (q.qsize(), q.aside()) == (2, [])
    with pytest.raises(LookupError):
        q.get_many(10)
    Interrupting.armed = 1
    with pytest.raises(KeyboardInterrupt):
        q.get()
    assert (q.qsize(), q.aside(), q.stats().set_aside) == (1, [], 0)
    lease = q.lease()
    assert (lease.value, lease.attempt) == ("whole", 1)
    lease.acknowledge()


class Interrupting:
    """Ctrl-C comes while it is unpickled; `armed` says how often."""

    armed = 0

    def __reduce__(self) -> Any:
        return _interrupt, ()


def _interrupt() -> str:
    if Interrupting.armed:
        Interrupting.armed -= 1
        raise KeyboardInterrupt
    return "whole"


def test_ctrl_c_while_decoding_loses_nothing() -> None:
    q = Queue()
    q.put_many([{1}, {2}, Interrupting(), {3}])
    Interrupting.armed = 1
    with pytest.raises(KeyboardInterrupt):
        q.get_many(10)
    assert q.get_many(10) == [{1}, {2}, "whole", {3}]
    for get in (q.get, q.lease):
        q.put(Interrupting())
        Interrupting.armed = 1
        with pytest.raises(KeyboardInterrupt):
            get()
        assert q.get() == "whole"


def test_unpickling_may_use_the_queue_itself() -> None:
    q = Queue()
    Nested.queue = q
    q.put_many([Nested(), b"inner", b"next"])
    assert q.get() == b"inner"
    assert q.get() == b"next"


class Nested:
    """Gets the next message while it is unpickled."""

    queue: Queue

    def __reduce__(self) -> Any:
        return _get_inner, ()


def _get_inner() -> Any:
    return Nested.queue.get_nowait()


@pytest.mark.parametrize("start", [0, 2**63 - 64, 2**64 - 4096, 2**64 - 32])
def test_every_size_crosses_the_end_of_the_ring(start: int) -> None:
    q = starting_at(start, capacity=4096)
    for size in range(1500):
        first, second = b"a" * size, bytearray(b"b" * (size // 2))
        q.put(first)
        q.put(second)
        assert q.get() == first
        assert q.get() == second
    assert q.stats().put == 3000


@pytest.mark.parametrize("start", [2**63 - 640, 2**64 - 640])
def test_arrays_and_leases_cross_the_end_of_the_numbers(start: int) -> None:
    q = starting_at(start, capacity=8192, max_attempts=2)
    held = []
    for i in range(40):
        q.put(np.full(i, i, "u2"))
        if i % 3 == 0:
            held.append(q.lease())
            held[-1].give_back()
        assert (q.get() == i).all()
    assert q.stats().used == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=300),
            st.text(max_size=100),
            st.binary(max_size=300).map(bytearray),
            st.dictionaries(st.text(max_size=5), st.integers() | st.floats(allow_nan=False)),
            st.none(),
        ),
        max_size=20,
    ),
    st.integers(1, 7),
)
def test_any_messages_in_any_batches_come_out_as_they_went_in(items: list[Any], n: int) -> None:
    with Queue(capacity="64 KiB") as q:
        q.put_many(items[::2])
        for item in items[1::2]:
            q.put(item)
        found: list[Any] = []
        while len(found) < len(items):
            found += q.get_many(n)
        assert found == items[::2] + items[1::2]
        assert [type(each) for each in found] == [type(each) for each in items[::2] + items[1::2]]


@pytest.mark.slow
def test_numpy_is_loaded_only_by_those_that_use_it() -> None:
    program = """
import sys, isthmus
q = isthmus.Queue()
q.put_many([b"x", "y", {"z": 1}, {1}, bytearray(b"a"), memoryview(b"v")])
while not q.empty():
    q.get_many(3)
assert "numpy" not in sys.modules
import numpy
q.put(numpy.ones(3))
assert q.get().sum() == 3
"""
    subprocess.run([sys.executable, "-P", "-c", program], check=True, timeout=60)


def test_the_error_of_a_full_queue_carries_its_name(name: str) -> None:
    q = Queue(name, maxsize=1)
    q.put(b"")
    with pytest.raises(isthmus.Full) as caught:
        q.put(b"", block=False)
    assert caught.value.name == name
