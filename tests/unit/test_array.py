"""Array: named numpy arrays."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as npst

import isthmus
from isthmus import Array, Segment, _dtype
from isthmus._core import memory

SHM = Path("/dev/shm")


def test_whoever_attaches_needs_the_name_only(name: str) -> None:
    with Array(name, (3, 4), "i4") as made:
        assert made.created and made.np.shape == (3, 4) and not made.np.any()
        made.np[1, 2] = 7
        with Array(name) as found:
            assert (found.shape, found.dtype, found.np[1, 2]) == ((3, 4), np.dtype("i4"), 7)
            assert not found.created and found.nbytes == 48
            found.np[0] = 1
        assert made.np.sum() == 4 + 7
        made.unlink()


def test_the_elements_start_on_a_page(name: str) -> None:
    with Array(name, 5) as array:
        assert array.np.ctypes.data % 4096 == 0
        array.unlink()


def test_another_process_sees_the_same_numbers(name: str, run_python: Callable[..., str]) -> None:
    program = """
        import sys, isthmus
        with isthmus.Array(sys.argv[1]) as a:
            print(a.dtype, a.shape, a.np.sum())
            a.np[:] *= 2
    """
    with Array(name, 4, "f4") as array:
        array.np[:] = [1, 2, 3, 4]
        assert run_python(program, name) == "float32 (4,) 10.0\n"
        assert array.np.tolist() == [2, 4, 6, 8]
        array.unlink()


def test_any_name_that_people_write_works(name: str) -> None:
    for odd in ("camera/front", "100%", "%2F", "line\nbreak", "日本", "..", "/", " "):
        with Array(f"{name}{odd}", 1) as array, Array(f"{name}{odd}") as same:
            array.np[0] = 5
            assert same.np[0] == 5 and same.name == f"{name}{odd}"
            array.unlink()


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("", "empty"),
        ("a\0", "NUL"),
        ("x" * 248, "247"),
        ("/" * 83, "three"),
        ("\ud800", "encoding"),
    ],
)
def test_a_bad_name_is_refused_for_its_own_reason(bad: str, words: str) -> None:
    for call in (lambda: Array(bad, 1), lambda: Array(bad), lambda: Array.create(bad, 1)):
        with pytest.raises(isthmus.NameInvalidError, match=words):
            call()


def test_create_insists_on_making_and_attach_on_finding(name: str) -> None:
    with pytest.raises(isthmus.NotFoundError, match=f"there is no array '{name}'"):
        Array.attach(name)
    with pytest.raises(isthmus.NotFoundError):
        Array(name)
    with pytest.raises(isthmus.NotFoundError):
        Array(name, 5, readonly=True)
    with Array.create(name, 5) as array:
        with pytest.raises(isthmus.ExistsError):
            Array.create(name, 5)
        Array.attach(name).close()
        array.unlink()


@pytest.mark.parametrize(
    ("shape", "dtype", "order"),
    [((3, 2), "f8", None), ((2, 3), "f4", None), ((2, 3), ">f8", None), (6, "f8", None),
     ((2, 3), "f8", "F"), ((2, 3), "i8", None)],
)  # fmt: skip
def test_another_shape_dtype_or_order_is_refused_with_both(
    name: str, shape: object, dtype: str, order: str | None
) -> None:
    with Array(name, (2, 3), "f8") as array:
        with pytest.raises(isthmus.MismatchError, match=r"\(2, 3\), dtype float64, order C"):
            Array(name, shape, dtype, order=order)  # type: ignore[arg-type]
        for same in (Array(name, (2, 3)), Array(name, (2, 3), float, order="C")):
            same.close()
        array.unlink()


def test_fortran_order_is_kept(name: str) -> None:
    with Array(name, (2, 3), order="F") as array, Array(name) as same:
        assert same.np.flags.f_contiguous and not same.np.flags.c_contiguous
        array.np[1, 2] = 4
        assert same.np[1, 2] == 4
        Array(name, (2, 3), order="F").close()
        with pytest.raises(isthmus.MismatchError, match="order F"):
            Array(name, (2, 3), order="C")
        array.unlink()


@pytest.mark.parametrize("shape", [(), 0, (0, 3), (3, 0), 1, (1,) * 32])
def test_scalars_empty_and_many_dimensional_arrays_work(name: str, shape: object) -> None:
    with Array(name, shape, "u2") as array, Array(name) as same:  # type: ignore[arg-type]
        assert same.np.shape == array.np.shape == array.shape
        array.np[...] = 3
        assert (same.np == 3).all()
        array.unlink()


def test_dimensions_beyond_what_numpy_can_have_are_refused_before_anything_is_made(
    name: str,
) -> None:
    most = 64 if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else 32
    with Array(name, (1,) * most) as array:
        assert array.np.ndim == most
        array.unlink()
    for dimensions in (most + 1, 64 + 1):
        with pytest.raises(isthmus.ArgumentError, match="dimension"):
            Array.create(name, (1,) * dimensions)
        assert not os.path.exists(f"/dev/shm/isthmus.{name}")


@pytest.mark.parametrize(
    ("shape", "dtype", "error"),
    [
        (-1, "f8", isthmus.SizeError),
        ((2**40, 2**40), "f8", isthmus.SizeError),
        ((2**63,), "u1", isthmus.SizeError),
        ((0, 2**62, 2**62), "u1", isthmus.SizeError),
        ((2**48,), "u1", isthmus.NoSpaceError),
        ((1,) * 65, "f8", isthmus.ArgumentError),
        (1, "O", isthmus.ArgumentError),
        (1, [("a", "i4"), ("b", "O")], isthmus.ArgumentError),
        (1, "S", isthmus.ArgumentError),
        (1, "V0", isthmus.ArgumentError),
        (1, "nonsense", TypeError),
        ("3", "f8", TypeError),
        (1.5, "f8", TypeError),
        ((1, None), "f8", TypeError),
    ],
)
def test_what_cannot_be_an_array_is_refused(
    name: str, shape: object, dtype: object, error: type[Exception]
) -> None:
    with pytest.raises(error):
        Array(name, shape, dtype)  # type: ignore[arg-type]


def test_arguments_that_contradict_are_refused(name: str) -> None:
    with pytest.raises(isthmus.ArgumentError, match="without a shape"):
        Array(name, dtype="f8")
    with pytest.raises(isthmus.ArgumentError, match="needs a shape"):
        Array(None)
    with pytest.raises(isthmus.ArgumentError, match="read-only"):
        Array(None, 1, readonly=True)
    with pytest.raises(isthmus.ArgumentError, match='"C" or "F"'):
        Array(name, 1, order="K")


def test_a_read_only_array_cannot_be_written(name: str) -> None:
    with Array(name, 5) as array, Array(name, readonly=True) as reader:
        assert reader.readonly
        with pytest.raises(ValueError, match="read-only"):
            reader.np[0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            reader.np.flags.writeable = True
        with pytest.raises(isthmus.AccessError):
            reader.unlink()
        array.np[0] = 4
        assert reader.np[0] == 4
        array.unlink()


def test_mode_and_owner_are_as_asked(name: str, unprivileged: int) -> None:
    with Array.create(name, 1, mode=0o644, owner=unprivileged, group=unprivileged) as array:
        assert (array.segment.mode, array.segment.owner) == (0o644, unprivileged)
        with pytest.raises(isthmus.OwnerError):
            Array(name)
        Array(name, owner=unprivileged).close()
        Array(name, 1, owner="any").close()
        array.unlink()


def test_the_array_outlives_the_handle(name: str) -> None:
    with Array(name, 1000) as array:
        array.unlink()
        values = array.np
        part = values[10:20]
    assert array.closed and array.deferred
    with pytest.raises(isthmus.ClosedError):
        array.np
    with pytest.raises(isthmus.ClosedError), array:
        pass
    values[:] = 3
    del values
    assert part.sum() == 30
    del part
    assert not array.deferred


def test_closing_the_segment_closes_the_array(name: str) -> None:
    array = Array(name, 3)
    array.unlink()
    array.segment.close()
    assert array.closed
    with pytest.raises(isthmus.ClosedError):
        array.np


def test_numpy_takes_it_as_an_array(name: str) -> None:
    with Array(name, 3) as array:
        array.unlink()
        array.np[:] = [1, 2, 3]
        assert np.asarray(array) is array.np
        assert np.asarray(array, "i4").tolist() == [1, 2, 3]
        assert np.array(array) is not array.np
        assert np.add(array, 1).tolist() == [2, 3, 4]  # type: ignore[call-overload]


def test_an_anonymous_array_goes_with_its_users() -> None:
    with Array(None, (2, 2), "i8") as array:
        assert array.name is None and array.created and "anonymous" in repr(array)
        array.np[:] = 1
        with pytest.raises(isthmus.UnsupportedError, match="no name"):
            array.unlink()
        assert "/memfd:isthmus.Array" in Path("/proc/self/maps").read_text()
    assert "/memfd:isthmus.Array" not in Path("/proc/self/maps").read_text()


# ---- What lies under the name may be anything --------------------------------------


def test_foreign_bytes_are_not_an_array(name: str) -> None:
    path = SHM / f"isthmus.{name}"
    for content in (b"x", b"y" * 255, b"z" * 100_000):
        path.write_bytes(content)
        with pytest.raises(isthmus.ForeignError, match="was not made by isthmus"):
            Array(name)
        with pytest.raises(isthmus.ForeignError):
            Array(name, 5)
    path.unlink()


def test_a_half_made_one_is_not_ready(name: str) -> None:
    path = SHM / f"isthmus.{name}"
    for content in (b"", bytes(8192)):
        path.write_bytes(content)
        with pytest.raises(isthmus.NotReadyError):
            Array(name, timeout=0)
    path.unlink()


@pytest.mark.parametrize(
    ("offset", "value", "error"),
    [
        (8, 2, isthmus.VersionError),
        (12, 77, isthmus.KindError),
        (16, 1, isthmus.LayoutError),
        (24, 2**40, isthmus.TruncatedError),
        (48, 2**40, isthmus.CorruptError),
        (56, 2**63, isthmus.CorruptError),
        (72, 2**31, isthmus.CorruptError),
        (80, 2**40, isthmus.CorruptError),
        (88, 2**40, isthmus.CorruptError),
        (88, 8, isthmus.CorruptError),
        (256 + 0, 2, isthmus.CorruptError),
        (256 + 4, 65, isthmus.CorruptError),
        (256 + 8, 0, isthmus.CorruptError),
        (256 + 8, 4, isthmus.CorruptError),
        (256 + 16, 2**60, isthmus.CorruptError),
        (256 + 24, 0, isthmus.CorruptError),
        (256 + 32, 2**40, isthmus.CorruptError),
        (256 + 64, 2**60, isthmus.CorruptError),
        (256 + 576, 0x4F7C2222, isthmus.CorruptError),
    ],
)
def test_a_damaged_header_is_refused_for_its_own_reason(
    name: str, offset: int, value: int, error: type[Exception]
) -> None:
    with Array(name, 5) as array:
        size = 4 if offset in (8, 12, 72, 256, 260, 832) else 8
        array.segment.buf[offset : offset + size] = value.to_bytes(size, "little")
        with pytest.raises(error, match=name):
            Array(name)
        array.unlink()


def test_a_cut_off_array_is_truncated(name: str) -> None:
    with Array(name, 5000) as array:
        os.truncate(SHM / f"isthmus.{name}", 8192)
        with pytest.raises(isthmus.TruncatedError, match="shorter than its header says"):
            Array(name)
        array.unlink()


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), max_size=20))
def test_no_damage_crashes_whoever_attaches(edits: list[tuple[int, int]]) -> None:
    name = f"test-{os.getpid()}-damage"
    with Array(name, (4, 5), [("a", "u1"), ("b", "f8", (2,))]) as array:
        try:
            for offset, value in edits:
                array.segment.buf[offset] = value
            with Array(name, timeout=0) as found:
                bytes(found.np)
        except isthmus.FormatError as error:
            assert name in str(error)  # noqa: PT017
        except isthmus.NotReadyError:
            pass
        finally:
            array.unlink()


# ---- Every dtype ---------------------------------------------------------------------


def plain(dtype: np.dtype) -> bool:  # type: ignore[type-arg]
    return not dtype.hasobject and dtype.itemsize > 0


DTYPES = (npst.scalar_dtypes() | npst.nested_dtypes(max_leaves=6)).filter(plain)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(DTYPES, npst.array_shapes(min_dims=0, min_side=0, max_dims=4, max_side=4), st.data())
def test_any_dtype_comes_back_as_it_was(
    dtype: np.dtype,  # type: ignore[type-arg]
    shape: tuple[int, ...],
    data: st.DataObject,
) -> None:
    name = f"test-{os.getpid()}-dtype"
    expected = np.zeros(shape, dtype)
    raw = data.draw(st.binary(min_size=expected.nbytes, max_size=expected.nbytes))
    with Array(name, shape, dtype) as made:
        try:
            offset = memory.read_array(made.segment._open())[4]
            made.segment.buf[offset : offset + len(raw)] = raw
            with Array(name) as found:
                assert (found.np.dtype, found.np.shape) == (expected.dtype, expected.shape)
                assert found.np.tobytes() == raw
        finally:
            made.unlink()


def test_layouts_that_people_make_by_hand_are_kept() -> None:
    for dtype in (
        np.dtype([("a", "u1"), ("b", "f8")], align=True),
        np.dtype({"names": ["x", "y"], "formats": ["i4", "i4"], "offsets": [4, 0], "itemsize": 64}),
        np.dtype({"names": ["all", "low"], "formats": ["u4", "u2"], "offsets": [0, 0]}),
        np.dtype([(("a title", "a"), "i4"), ("b", "M8[10us]"), ("c", "m8[D]"), ("d", "U3")]),
        np.dtype([("m", [("deep", ">c16", (2, 1))], (3,)), ("é/\n", "V7")]),
    ):
        found = _dtype.decode(_dtype.encode(dtype))
        assert found == dtype
        assert found.isalignedstruct == dtype.isalignedstruct
        assert [found.fields[n][1] for n in found.names] == [  # type: ignore[index,union-attr]
            dtype.fields[n][1] for n in dtype.names  # type: ignore[index,union-attr]
        ]  # fmt: skip


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=100) | st.text(max_size=100).map(lambda text: text.encode()))
def test_no_text_is_evaluated_or_crashes(text: bytes) -> None:
    try:
        _dtype.decode(text)
    except ValueError:
        pass


@pytest.mark.parametrize(
    "text",
    [
        b'"O"', b'"|O"', b'"|O8"', b'"f8,f8"', b'"<f8,|O"', b"5", b"null", b"[]", b"{}", b"",
        b'{"base": "<f8", "shape": [-1]}', b'{"base": "<f8", "shape": [1.5]}',
        b'{"base": "<f8", "shape": [1000000000000, 1000000000000]}',
        b'{"names":["a"],"formats":["|O"],"offsets":[0],"itemsize":8,"aligned":false}',
        b'{"names":["a"],"formats":["<f8"],"offsets":[4],"itemsize":8,"aligned":false}',
        b'{"names":["a"],"formats":["<f8"],"offsets":[-8],"itemsize":8,"aligned":false}',
        # 2147483647 + 8 is less than 64 to numpy, which then reads there
        b'{"names":["a"],"formats":["<f8"],"offsets":[2147483647],"itemsize":64,"aligned":false}',
        b'{"names":["a"],"formats":["<f8"],"offsets":[],"itemsize":64,"aligned":false}',
        b'{"base": "<f8", "shape": [536870912]}',
        b'{"names":["a","a"],"formats":["<f8","<f8"],"offsets":[0,8],"itemsize":16,"aligned":false}',
        b'{"base":' * 200 + b'"<f8"' + b',"shape":[1]}' * 200,
    ],
)  # fmt: skip
def test_descriptions_that_numpy_must_not_see_are_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        _dtype.decode(text)


def test_a_raw_segment_of_that_name_is_another_thing(name: str) -> None:
    with Segment.create(name, 10) as seg:
        with pytest.raises(isthmus.NotFoundError):
            Array(name)
        seg.unlink()


def test_renaming_the_fields_of_one_array_leaves_all_others_alone(name: str) -> None:
    fields = [("x", "f8"), ("inner", [("y", "f8")])]
    with Array(name, 3, fields) as one, Array(None, 3, fields) as other:
        assert one.np.dtype.names is not None
        one.np.dtype.names = ("a", "b")
        one.np.dtype["b"].names = ("c",)
        assert other.dtype == fields
        with Array(name) as same, Array(name, 3, fields) as again:
            assert same.dtype == again.dtype == fields
        one.unlink()
