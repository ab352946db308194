"""isthmus.compat.shared_memory.ShareableList: one suite, over it and the standard class."""

from __future__ import annotations

import copy
import math
import multiprocessing.shared_memory
import pickle
import struct
from collections.abc import Callable, Iterator
from types import GenericAlias, ModuleType
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from remote import Remote

from isthmus.compat import shared_memory as ours

STANDARD = multiprocessing.shared_memory
VALUES: list[Any] = ["howdy", b"HoWdY", -273.154, 100, None, True, 42, "", b"", False, -(2**63)]

Make = Callable[..., Any]


@pytest.fixture(params=["standard", "strict", "safe"])
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Each of the modules that must behave alike."""
    if request.param == "standard":
        return STANDARD
    monkeypatch.setenv("ISTHMUS_COMPAT", request.param)
    return ours


@pytest.fixture
def make(module: ModuleType, name: str) -> Iterator[Make]:
    """Makes lists, which are gone at the end."""
    yield from _maker(module)


@pytest.fixture
def make_safe(name: str) -> Iterator[Make]:
    yield from _maker(ours)


def _maker(module: ModuleType) -> Iterator[Make]:
    lists: list[Any] = []

    def make(*arguments: Any, **options: Any) -> Any:
        lists.append(module.ShareableList(*arguments, **options))
        return lists[-1]

    yield make
    for each in lists:
        each.shm.close()
    for name in {each.shm._name for each in lists}:
        module._posixshmem.shm_unlink(name)
        module.resource_tracker.register(name, "shared_memory")
        module.resource_tracker.unregister(name, "shared_memory")


def test_it_has_the_items_of_the_sequence(make: Make) -> None:
    made = make(VALUES)
    assert list(made) == VALUES
    assert [type(item) for item in made] == [type(value) for value in VALUES]
    assert (len(made), made[0], made[-7]) == (len(VALUES), "howdy", None)
    assert "howdy" in made
    assert "absent" not in made


@pytest.mark.parametrize("values", [VALUES, [], ["x" * n for n in range(20)], range(400)])
def test_the_bytes_in_memory_are_those_of_the_standard_class(make: Make, values: Any) -> None:
    made, standard = make(values), STANDARD.ShareableList(values)
    assert bytes(made.shm.buf) == bytes(standard.shm.buf)
    assert made.format == standard.format
    standard.shm.close()
    standard.shm.unlink()


def test_strict_mode_writes_and_spoils_exactly_what_the_standard_class_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ISTHMUS_COMPAT", "strict")
    values: list[Any] = ["ä" * 9, b"a\0", "b\0\0", "€" * 5, 1]
    pair = [module.ShareableList(values) for module in (STANDARD, ours)]
    for step in ("x\0", 7, b"\0\0", None, 2.5, True, "ä"):
        contents = [bytes(each.shm.buf) for each in pair]
        assert contents[0] == contents[1]
        for each in pair:
            each[1] = step
    assert pair[0][1] == pair[1][1] == "ä"
    for each in pair:
        with pytest.raises(struct.error):
            each[4] = 2**63
        each.shm.close()
        each.shm.unlink()


def test_it_is_shown_with_items_and_name(make: Make) -> None:
    made = make([1, "a"])
    assert repr(made) == f"ShareableList([1, 'a'], name={made.shm.name!r})"


def test_a_list_without_items(make: Make) -> None:
    for made in (make(), make([]), make(())):
        assert (len(made), list(made), made.format, made.count(1)) == (0, [], "", 0)
        assert made.shm.size == 16
        with pytest.raises(IndexError, match="index out of range"):
            made[0]


def test_another_handle_sees_what_is_assigned(make: Make, name: str) -> None:
    first, second = make(VALUES, name=name), make(name=name)
    second[3], first[2] = -1, 0.5
    assert (first[3], second[2]) == (-1, 0.5)
    assert list(first) == list(second)


def test_a_list_is_copied_into_a_new_one(make: Make, name: str) -> None:
    first = make(VALUES)
    second = make(first, name=name)
    assert (list(first), first.format) == (list(second), second.format)
    second[-2] = True
    assert (first[-2], second[-2], second.shm.name) == (False, True, name)


def test_pickles_and_copies_are_handles_of_the_same_list(make: Make, module: ModuleType) -> None:
    made = make(range(10))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(made, protocol))
        assert type(again) is module.ShareableList
        again[0] = protocol + 1
        assert made[0] == protocol + 1
        again.shm.close()
    again = copy.copy(made)
    again[1] = 8
    assert made[1] == 8
    again.shm.close()


def test_count_and_index(make: Make) -> None:
    made = make(["a", 1, 1.0, True, None, "b"])
    assert (made.count(1), made.count("b"), made.count("c")) == (3, 1, 0)
    assert (made.index(1), made.index(None), made.index("b")) == (1, 4, 5)
    with pytest.raises(ValueError, match="'c' not in this container"):
        made.index("c")


def test_types_can_be_named(module: ModuleType) -> None:
    assert module.ShareableList[int] == GenericAlias(module.ShareableList, int)


# ---- Assignment --------------------------------------------------------------------


def test_the_type_of_an_item_may_change(make: Make) -> None:
    made = make(VALUES)
    assert made.format == "8s8sdqxxxxxx?xxxxxxxx?q8s8sxxxxxxx?q"
    for position in range(len(VALUES)):
        for value in (*VALUES, "12345678", b"87654321", math.inf):
            made[position] = value
            assert made[position] == value
            assert type(made[position]) is type(value)
        made[position] = VALUES[position]
    assert list(made) == VALUES
    assert made._get_packing_format(2) == "d"
    made[2] = "text"
    assert made._get_packing_format(2) == made._get_packing_format(-9) == "8s"


@pytest.mark.parametrize("value", ["123456789", "äääää", b"123456789"])
def test_what_does_not_fit_into_its_slot_is_refused(make: Make, value: Any) -> None:
    made = make(["a", b"b", 3])
    for position in range(3):
        with pytest.raises(ValueError, match="bytes/str item exceeds available storage"):
            made[position] = value
    assert list(made) == ["a", b"b", 3]


@pytest.mark.parametrize("position", [3, 100, -100])
def test_positions_beyond_the_end(make: Make, module: ModuleType, position: int) -> None:
    made = make(["a", b"b", 3])
    with pytest.raises(IndexError, match=r"^index out of range"):
        made[position]
    with pytest.raises(IndexError, match="assignment index out of range"):
        made[position] = 1
    with pytest.raises(TypeError):
        made[0:1]
    for method in (made._get_packing_format, made._get_back_transform):
        with pytest.raises(IndexError, match=r"Requested position out of range\."):
            method(3)
    with pytest.raises(IndexError, match=r"Requested position out of range\."):
        made._set_packing_format_and_transform(3, "q", 1)


def test_a_position_just_before_the_start_is_refused(make_safe: Make) -> None:
    """The standard class reads and writes the formats there, and spoils the list."""
    made = make_safe(["a", b"b", 3])
    with pytest.raises(IndexError, match="index out of range"):
        made[-4]
    with pytest.raises(IndexError, match="assignment index out of range"):
        made[-4] = 1
    assert list(made) == ["a", b"b", 3]


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_an_int_beyond_64_bits_is_refused(
    make: Make, module: ModuleType, value: int, name: str
) -> None:
    made = make([1])
    with pytest.raises(struct.error):
        made[0] = value
    if module is ours:  # the standard class has made its segment by then
        with pytest.raises(struct.error):
            module.ShareableList([value], name=name)


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize("value", [[], {}, 1j, object(), bytearray(b"x"), int])
def test_other_types_are_refused(make: Make, module: ModuleType, value: Any) -> None:
    made = make([1])
    with pytest.raises(KeyError):
        made[0] = value
    for wrong in (value, Text("x")):
        with pytest.raises(KeyError):
            module.ShareableList([wrong])
    made[0] = Text("x")
    assert (made[0], type(made[0])) == ("x", str)


def test_a_new_item_of_ten_million_bytes_is_refused(module: ModuleType) -> None:
    with pytest.raises(AssertionError):
        module.ShareableList(["x" * 10_000_000])


def test_a_refused_value_leaves_the_item(make_safe: Make) -> None:
    """The standard class has changed the format by then, and made the value zero."""
    made = make_safe(["text", 5])
    for position in range(2):
        with pytest.raises(struct.error):
            made[position] = 2**63
    assert list(made) == ["text", 5]


# ---- What the standard class spoils ------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "ä" * 9,
        "日本語のテキスト",
        "\N{SNAKE}" * 4,
        "a\0",
        "\0",
        "\0" * 8,
        "1234567\0",
        "ä" * 3 + "\0\0",
        b"\0",
        b"a\0\0",
        b"\0" * 16,
        bytes(range(256)) + b"\0",
        b"x" * 999_998 + b"\0",
    ],
    ids=lambda value: f"{type(value).__name__}-{len(value)}",
)
def test_strings_survive(make_safe: Make, value: Any) -> None:
    made = make_safe([1, value, "after"])
    assert list(made) == [1, value, "after"]
    again = make_safe(name=made.shm.name)
    assert list(again) == [1, value, "after"]
    made[1] = 5
    made[1] = value
    assert list(again) == [1, value, "after"]
    sizes = struct.unpack_from(made.format, made.shm.buf, made._offset_data_start)
    assert len(sizes) == 3
    assert struct.calcsize(made.format) == made._allocated_offsets[-1]


def test_a_million_bytes_with_a_nul_at_the_end_are_refused(make_safe: Make) -> None:
    value = b"x" * 999_999 + b"\0"
    with pytest.raises(ValueError, match="1000000 bytes that ends in NUL"):
        ours.ShareableList([value])
    made = make_safe([b"x" * 1_000_000])
    with pytest.raises(ValueError, match="1000000 bytes that ends in NUL"):
        made[0] = value
    assert made[0] == b"x" * 1_000_000


ITEMS = st.one_of(
    st.text(max_size=20),
    st.text("\0aä", max_size=10),
    st.binary(max_size=20),
    st.lists(st.sampled_from([b"\0", b"a"]), max_size=17).map(b"".join),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.none(),
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.lists(ITEMS, max_size=6), st.data())
def test_a_list_behaves_like_a_list(values: list[Any], data: st.DataObject) -> None:
    made: Any = ours.ShareableList(values)
    try:
        assert list(made) == values
        for _ in range(4 if values else 0):
            position = data.draw(st.integers(-len(values), len(values) - 1))
            value = data.draw(ITEMS)
            try:
                made[position] = value
            except ValueError:
                encoded = value.encode() if isinstance(value, str) else value
                assert len(encoded) > made._capacity(position % len(values))
            else:
                values[position] = value
            assert list(made) == values
            assert [type(item) for item in made] == [type(item) for item in values]
    finally:
        made.shm.close()
        made.shm.unlink()


# ---- With the standard class in another process ------------------------------------


@pytest.fixture
def standard() -> Iterator[Remote]:
    """A process that uses the standard module, and says nothing on stderr.

    It takes what it attaches back from its tracker, which would remove it.
    """
    with Remote(standard=True) as remote:
        remote("""
        def attach(name):
            found = ShareableList(name=name)
            resource_tracker.unregister(found.shm._name, "shared_memory")
            return found
        """)
        yield remote
        assert remote.end() == ""


@pytest.mark.slow
def test_the_standard_class_reads_and_writes_our_list(standard: Remote, make_safe: Make) -> None:
    values = [*VALUES, "ä" * 20, "a\0", b"b\0\0", "x\0" * 20]
    made = make_safe(values)
    standard(f"theirs = attach({made.shm.name!r})")
    # It strips what it takes for padding; nothing else changes, and no neighbour suffers.
    read = [v.rstrip("\0") if isinstance(v, str) else v for v in values]
    read = [v.rstrip(b"\0") if isinstance(v, bytes) else v for v in read]
    assert standard("list(theirs)") == read
    for position, written in [(0, "näher"), (-3, "1234567"), (-2, b"abcdefgh"), (-1, "y" * 48)]:
        standard(f"theirs[{position}] = {written!r}")
        assert made[position] == written
        assert standard(f"theirs[{position}]") == written
    for written in (2.5, None, "text", True, b"bytes", -1):
        standard(f"theirs[-4] = {written!r}")
        assert (made[-4], type(made[-4])) == (written, type(written))
    made[0] = "z\0"
    assert standard("theirs[0]") == "z"
    standard("theirs.shm.close()")


@pytest.mark.slow
def test_we_read_and_write_a_list_of_the_standard_class(standard: Remote) -> None:
    name = standard(f"theirs = ShareableList({VALUES!r})") or standard("theirs.shm.name")
    made: Any = ours.ShareableList(name=name)
    assert list(made) == VALUES
    for position, written in enumerate(["näher", b"b\0", 0.5, "12345678", b"c\0\0", 7, None]):
        made[position] = written
        assert made[position] == written
    expected = ["näher", b"b", 0.5, "12345678", b"c", 7, None, *VALUES[7:]]
    assert standard("list(theirs)") == expected
    standard("theirs[1] = b'longer'; theirs[4] = 'text'")
    assert (made[1], made[4]) == (b"longer", "text")
    made.shm.close()
    standard("theirs.shm.close(); theirs.shm.unlink()")
