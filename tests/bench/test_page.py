"""The page: all in one file, nothing from elsewhere, and whatever results hold is text in it."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from bench_results import results, without

from isthmus.bench.results import Gap, Results
from isthmus.bench.show.advice import advise
from isthmus.bench.show.grid import grids
from isthmus.bench.show.page import page
from isthmus.bench.show.plots import draw

FEW = results(only=["c-pipe", "shm", "pipe", "mp-pipe"], sizes=[8, 64, 1 << 20])
_VOID = {"meta", "link", "br"}


class Reader(HTMLParser):
    """Elements and text of a page; an error if what was opened is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def whole() -> str:
    return page(FEW, draw(FEW))


@pytest.fixture(scope="module")
def read(whole: str) -> Reader:
    return Reader(whole)


def test_nothing_comes_from_elsewhere(whole: str, read: Reader) -> None:
    for tag, attributes in read.elements:
        assert tag not in {"img", "iframe", "object", "embed", "base", "form"}
        assert "src" not in attributes
        for name in ("href", "xlink:href"):
            target = attributes.get(name) or "#"
            assert target.startswith("#") or target == "data:,", (tag, target)
    names = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\s\"'<>)]*", whole)) <= names
    assert "@import" not in whole
    assert "@font-face" not in whole


def test_advice_plots_tables_and_facts_are_there_in_that_order(read: Reader) -> None:
    sections = [attributes["id"] for tag, attributes in read.elements if tag == "section"]
    assert sections == ["advice", "plots", "tables", "machine", "missing", "again"]
    text = " ".join(read.text.replace("\u00a0", " ").split())
    for one in advise(FEW):
        assert one.text in text
        assert one.need in text
    for grid in grids(FEW):
        assert grid.title in text
        for row in grid.rows:
            assert all(cell.text in text for cell in row.cells)
    assert sum(tag == "svg" for tag, _ in read.elements) == len(draw(FEW)) == 9
    for fact in (
        "Example 9000 CPU @ 3.00GHz",
        "8 GiB",
        "numpy 2.4.6",
        "Linux 6.1.0-13-amd64",
        "isthmus bench --quick",
        "pip install zeroq",
        "2026-01-02 03:04:05 UTC",
    ):
        assert fact in text


def test_it_can_be_read_aloud(read: Reader) -> None:
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert ("html", {"lang": "en"}) in read.elements
    assert [tag for tag, _ in read.elements].count("h1") == 1
    for tag, attributes in read.elements:
        if tag == "svg":
            assert attributes["role"] == "img"
            assert "shared memory" in (attributes["aria-label"] or "")
        if tag == "th":
            assert attributes["scope"] in {"col", "row"}
        for target in [attributes.get("aria-labelledby"), (attributes.get("href") or "")[1:]]:
            assert not target or target in ids or target == "ata:,"


def test_whatever_results_hold_is_text() -> None:
    evil = "<script>alert(1)</script>'\"&{{ 7*7 }}"
    made = replace(
        FEW,
        contenders=[replace(one, label=f"{one.id}{evil}", note=evil) for one in FEW.contenders],
        machine=replace(FEW.machine, processor=evil, packages={evil: evil}),
        settings={evil: evil},
        command=[evil],
        when=evil,
        absent=[replace(one, why=evil, install=evil, label=evil) for one in FEW.absent],
        failed=[Gap(contender="shm", measure="idle", why=evil)],
    )
    text = page(made, draw(made))
    assert text.count("<script>") == 1
    read = Reader(text)
    assert read.text.count("alert(1)") > 20
    assert "{{ 7*7 }}" in read.text
    assert "&49" not in read.text
    names = {name for _, attributes in read.elements for name in attributes}
    assert not {name for name in names if name.startswith("on") or "alert" in name}


@pytest.mark.parametrize(
    "made",
    [
        without(FEW, "latency", "throughput", "setup", "idle"),
        without(FEW, "latency", "throughput", "setup", "idle", "absent", "skipped", "contenders"),
        without(FEW, "throughput", "absent"),
    ],
    ids=["nothing measured", "nothing at all", "only trips"],
)
def test_parts_of_a_run_make_a_page_of_those_parts(made: Results) -> None:
    read = Reader(page(made, draw(made)))
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert ("plots" in ids) == ("tables" in ids) == bool(made.latency)
    assert ("missing" in ids) == bool(made.absent or made.skipped)
    for tag, attributes in read.elements:
        if tag == "a":
            assert (attributes["href"] or "")[1:] in ids
    if not made.latency:
        assert "Nothing that tells forms apart" in read.text
