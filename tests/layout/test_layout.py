"""Page, header file and compiled code agree on every byte in shared memory."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from isthmus._core import memory

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "segment-format.md").read_text()
HEADER = (ROOT / "include" / "isthmus" / "layout.h").read_text()

FORMAT_VERSION = 1
WIDTHS = {"isthmus_shared_note": 16, "uint8_t": 1, "uint16_t": 2, "uint32_t": 4, "uint64_t": 8}
WIDTHS |= {name[1:]: width for name, width in WIDTHS.items()}


class Field(NamedTuple):
    struct: str
    name: str
    offset: int
    size: int


class Layout(NamedTuple):
    fields: list[Field]  # in the order in which they stand
    sizes: dict[str, int]


def from_page() -> Layout:
    fields = []
    sizes = {}
    for section in re.split(r"^##+ ", PAGE, flags=re.MULTILINE)[1:]:
        struct, _, text = section.partition("\n")
        if not struct.startswith("isthmus_shared_"):
            continue
        for offset, size, name in re.findall(
            r"^\| *(\d+) *\| *(\d+) *\| *(\w+) *\|", text, re.MULTILINE
        ):
            fields.append(Field(struct, name, int(offset), int(size)))
        (sizes[struct],) = (int(n) for n in re.findall(r"^Size of the struct: (\d+)", text, re.M))
    return Layout(fields, sizes)


def from_asserts() -> dict[tuple[str, str], int]:
    found = re.findall(r"^ISTHMUS_ASSERT_OFFSET\((\w+), (\w+), (\d+)\);", HEADER, re.MULTILINE)
    offsets = {(struct, name): int(offset) for struct, name, offset in found}
    assert len(offsets) == len(found)
    return offsets


def sizes_from_asserts() -> dict[str, int]:
    found = re.findall(r"^ISTHMUS_ASSERT_SIZE\((\w+), (\d+)\);", HEADER, re.MULTILINE)
    return {struct: int(size) for struct, size in found}


def members_of_structs() -> set[tuple[str, str, int]]:
    """Each member that the C structs declare, with its size."""
    found = set()
    for struct, body in re.findall(r"^struct (\w+) \{\n(.*?)^\};", HEADER, re.M | re.S):
        if not struct.startswith("isthmus_shared_"):
            continue
        plain = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
        for width, name, _, length in re.findall(r"(\w+) (\w+)(\[(\d+)\])?;", plain):
            found.add((struct, name, WIDTHS[width] * int(length or 1)))
    return found


def from_code() -> Layout:
    rows = memory.layout()
    return Layout(
        [Field(struct, name, offset, size) for struct, name, offset, size in rows if name],
        {struct: size for struct, name, _, size in rows if name is None},
    )


CODE = from_code()
# Each kind that there is, by its number, and its name in the header file.
KINDS = {
    int(number): name
    for name, number in re.findall(r"^    ISTHMUS_KIND_(\w+) = (\d+),?$", HEADER, re.MULTILINE)
}


def structs_of_kinds() -> dict[int, list[str]]:
    """What the page says of the fingerprint: the structs of each kind, in their order."""
    _, _, text = PAGE.partition("## The fingerprint")
    return {
        int(kind): structs.split(", ")
        for kinds, structs in re.findall(
            r"^\| ([\d, ]+) \| (isthmus_shared_header, [\w, ]+) \|$", text, re.MULTILINE
        )
        for kind in kinds.split(", ")
    }


def by_struct(fields: Iterable[Field]) -> dict[str, list[Field]]:
    found = defaultdict(list)
    for field in fields:
        found[field.struct].append(field)
    return dict(found)


def test_the_page_says_what_the_code_does() -> None:
    page = from_page()
    assert set(page.fields) == set(CODE.fields)
    assert page.sizes == CODE.sizes
    assert len(page.fields) == len(set(page.fields))


def test_the_asserts_say_what_the_code_does() -> None:
    assert from_asserts() == {(f.struct, f.name): f.offset for f in CODE.fields}
    assert sizes_from_asserts() == CODE.sizes


def test_no_member_of_a_struct_is_missing() -> None:
    assert members_of_structs() == {(f.struct, f.name, f.size) for f in CODE.fields}


def test_there_is_something_to_compare() -> None:
    assert len(CODE.sizes) == 18
    assert len(CODE.fields) > 150
    assert len(KINDS) == 11


@pytest.mark.parametrize("struct", sorted(CODE.sizes))
def test_fields_follow_each_other_without_overlap_or_hole(struct: str) -> None:
    end = 0
    for field in sorted(by_struct(CODE.fields)[struct], key=lambda field: field.offset):
        assert field.offset == end, field
        assert field.size > 0, field
        end = field.offset + field.size
    assert end == CODE.sizes[struct]


# Those that stand in others, or in a record.
SMALL = {
    "isthmus_shared_note": 16,
    "isthmus_shared_record": 32,
    "isthmus_shared_elements": 8,
    "isthmus_shared_pickle": 8,
}


@pytest.mark.parametrize("struct", sorted(CODE.sizes))
def test_structs_fill_whole_cache_lines_and_fields_are_aligned(struct: str) -> None:
    assert CODE.sizes[struct] % SMALL.get(struct, 64) == 0
    for field in by_struct(CODE.fields)[struct]:
        assert field.offset % min(field.size & -field.size, 8) == 0, field


def test_magic_and_version_are_what_the_page_says() -> None:
    (magic,) = re.findall(r"^#define ISTHMUS_MAGIC UINT64_C\((\w+)\)", HEADER, re.MULTILINE)
    (version,) = re.findall(r"^#define ISTHMUS_FORMAT_VERSION (\d+)u", HEADER, re.MULTILINE)
    assert int(magic, 16).to_bytes(8, "little") == b"ISTHMUS\n"
    assert magic in PAGE
    assert int(version) == FORMAT_VERSION
    assert f"Format version: **{version}**" in PAGE


def test_the_numbers_of_primitives_are_what_the_page_says() -> None:
    for name, text in [("MAGIC", b"ISTHSYN\n"), ("MAKING", b"ISTHSYN.")]:
        (number,) = re.findall(
            rf"^#define ISTHMUS_PRIMITIVE_{name} UINT64_C\((\w+)\)", HEADER, re.M
        )
        assert int(number, 16).to_bytes(8, "little") == text
        assert number in PAGE
    (power,) = re.findall(r"^#define ISTHMUS_LOCK_BYTES \(UINT64_C\(1\) << (\d+)\)", HEADER, re.M)
    assert f"| 2^{power} + the file offset of a slot, for writing |" in PAGE
    (most,) = re.findall(r"^#define ISTHMUS_PARTICIPANTS_MAX (\d+)u", HEADER, re.MULTILINE)
    assert f"slots, 1 to {most}" in PAGE


def test_the_page_names_every_kind_and_the_struct_of_its_state() -> None:
    (text,) = re.findall(r"\| what it is: (.*?); 0 is never stored \|", PAGE)
    named = {int(number): name for number, name in re.findall(r"(\d+) ([\w -]+)", text)}
    assert set(named) == set(KINDS) == set(structs_of_kinds())
    table = re.findall(r"^\| (\d+) ([\w -]+) \| (isthmus_shared_\w+) \|", PAGE, re.MULTILINE)
    assert {int(number): name for number, name, _ in table} == {
        number: name for number, name in named.items() if number > 1
    }
    for number, _, struct in table:
        # After the header, what all primitives start with, and the participants.
        assert structs_of_kinds()[int(number)][3] == struct


def test_words_that_are_changed_by_different_sides_are_on_different_cache_lines() -> None:
    """Processors fetch pairs of lines: a word that others wait for has 128 bytes of its own."""
    offsets = {f.name: f.offset for f in by_struct(CODE.fields)["isthmus_shared_cursors"]}
    sides = ["tail", "producer", "head", "consumer", "arrival"]
    assert [offsets[name] for name in sides] == [128 * i for i in range(len(sides))]


def number_in_header(name: str) -> int:
    (number,) = re.findall(
        rf"^#define ISTHMUS_{name} (?:UINT\d\d_C\()?(\w+?)u?\)?(?: |$)", HEADER, re.M
    )
    return int(number, 0)


def test_the_numbers_of_rings_are_what_the_page_says() -> None:
    assert f"a power of two, {number_in_header('RING_MIN')} (or a page" in PAGE
    alignment = number_in_header("RECORD_ALIGNMENT")
    assert f"records, are multiples of {alignment}." in PAGE
    bits = number_in_header("DEBT_SHIFT")
    assert number_in_header("DEBT_COUNT") == 2**bits - 1
    assert f"messages, at most 2^{bits} - 1" in PAGE
    assert f"position / {alignment}, low {64 - bits} bits" in PAGE
    roles = [number_in_header(f"ROLE_{name}") for name in ("PRODUCER", "CONSUMER", "SUBSCRIBER")]
    assert roles == [1, 2, 4]
    assert "bit 0: has put or published; bit 1: has got or leased; bit 2: subscriber" in PAGE
    assert [number_in_header(f"RING_{name}") for name in ("SHUT", "DISCARDED")] == [1, 2]
    assert "bit 0: nothing more may be put; bit 1: nor got" in PAGE


def test_the_page_names_every_type_of_a_record() -> None:
    types = re.findall(r"^    ISTHMUS_TYPE_\w+ = (\d+),? +/\* (.*) \*/$", HEADER, re.MULTILINE)
    assert len(types) == HEADER.count("    ISTHMUS_TYPE_") > 0
    _, _, text = PAGE.partition("### isthmus_shared_record")
    rows = re.findall(r"^\| (\d+) \| [^|]* \| ([^|]*) \|$", text, re.MULTILINE)
    assert [number for number, _ in rows] == [number for number, _ in types]
    for (_, meta), (_, comment) in zip(rows, types, strict=True):
        assert re.findall(r"isthmus_shared_\w+", meta) == re.findall(r"isthmus_\w+", comment)


@pytest.mark.parametrize("kind", KINDS, ids=KINDS.values())
def test_the_fingerprint_is_made_as_the_page_says(kind: int) -> None:
    state = 0xCBF29CE484222325

    def add(data: bytes) -> None:
        nonlocal state
        for byte in data:
            state = (state ^ byte) * 0x100000001B3 % 2**64

    def add_number(number: int) -> None:
        add(number.to_bytes(4, sys.byteorder))

    page = from_page()
    add_number(0x01020304)
    for struct in structs_of_kinds()[kind]:
        add_number(0)
        add_number(page.sizes[struct])
        for field in by_struct(page.fields)[struct]:
            add(field.name.encode())
            add_number(field.offset)
            add_number(field.size)
    assert memory.fingerprint(kind) == state


def test_kinds_with_other_structs_have_other_fingerprints() -> None:
    structs = structs_of_kinds()
    for kind in KINDS:
        for other in KINDS:
            same = structs[kind] == structs[other]
            assert (memory.fingerprint(kind) == memory.fingerprint(other)) == same


def test_every_outcome_of_attaching_is_in_the_table() -> None:
    folder = ROOT / "include" / "isthmus"
    headers = ("isthmus.h", "primitives.h", "ring.h")
    text = "".join((folder / name).read_text() for name in headers)
    outcomes = set(re.findall(r"^#define (ISTHMUS_E_\w+)", text, re.MULTILINE))
    rows = re.findall(r"^\| +\d+ \| .*? \| (.*?) \|", PAGE, re.MULTILINE)
    named = set(re.findall(r"`(ISTHMUS_E_\w+)`", " ".join(rows)))
    # What unlink may find, and what operations say, but not attaching.
    others = {"ISTHMUS_E_REPLACED", "ISTHMUS_E_BROKEN", "ISTHMUS_E_NOT_JOINED"}
    assert named == outcomes - others
