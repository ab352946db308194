"""The tables on the terminal: what is in them, in what order, and that they fit."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import get_args

import pytest
from bench_results import results, without
from rich.console import Console

from isthmus.bench.results import Gap, Measure, Results
from isthmus.bench.show import tables
from isthmus.bench.show.grid import grids

EVERYBODY = results()


def printed(made: Results, width: int, *, encoding: str = "utf-8") -> str:
    buffer = io.BytesIO()
    file = io.TextIOWrapper(buffer, encoding=encoding, newline="")
    tables.show(Console(file=file, width=width, highlight=False), made)
    file.flush()
    return buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [80, 100])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = printed(EVERYBODY, width).splitlines()
    assert len(lines) > 100
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [80, 100])
def test_every_figure_stands_in_one_piece(width: int) -> None:
    """Names may go on in the next line where they are long, figures may not."""
    text = printed(EVERYBODY, width)
    for line in text.splitlines():
        assert line.strip() not in {"ns", "µs", "ms", "M/s", "k/s", "GiB/s", "MiB/s", "%"}
    assert " 742 ns " in text


@pytest.mark.parametrize("width", [80, 100])
def test_long_names_take_no_figure_its_place(width: int) -> None:
    labels = [replace(one, label=f"{one.label}, and more of it") for one in EVERYBODY.contenders]
    lines = printed(replace(EVERYBODY, contenders=labels), width).splitlines()
    assert max(map(len, lines)) <= width
    heads = [line for line in lines if line.startswith("contender")]
    assert [line for line in heads if line.endswith("x floor")]
    assert any("742 ns" in line and "3.9" in line for line in lines)


def test_a_wider_terminal_shows_more_sizes() -> None:
    narrow, wide, all_of_them = (
        next(line for line in printed(EVERYBODY, width).splitlines() if "64 MiB" in line)
        for width in (80, 100, 200)
    )
    assert narrow.count("iB") < wide.count("iB") <= all_of_them.count("iB")
    assert " 8 B" in narrow
    assert "sizes more are in the file" in printed(EVERYBODY, 80)
    assert "sizes more are in the file" not in printed(EVERYBODY, 200)


def test_floors_come_first_and_then_the_best() -> None:
    for grid in grids(EVERYBODY):
        families = [row.family for row in grid.rows]
        floors = families.count("floor")
        assert families[:floors] == ["floor"] * floors, grid.title
        assert grid.rows[floors].cells[0].value is not None
        assert 0 in grid.rows[floors].best, grid.title


def test_times_grow_and_rates_fall_from_row_to_row() -> None:
    for grid in grids(EVERYBODY):
        values = [
            row.cells[0].value
            for row in grid.rows
            if row.family != "floor" and row.cells[0].value is not None
        ]
        rates = "Throughput" in grid.title or "senders" in grid.title
        assert values == sorted(values, reverse=rates), grid.title


def test_spinning_and_blocking_are_never_in_one_table_of_times() -> None:
    titles = [grid.title for grid in grids(EVERYBODY)]
    for mode in ("spinning", "blocking"):
        assert sum(mode in title for title in titles) == 4
    assert sum("spinning" not in title and "blocking" not in title for title in titles) == 1


def test_a_contender_with_smaller_messages_says_so() -> None:
    made = results(only=["signal", "pipe"], sizes=[4, 8, 64])
    made.latency[:] = [
        one for one in made.latency if one.size == (4 if one.contender == "signal" else 64)
    ]
    made.latency.append(next(one for one in results(only=["shm"]).latency if one.size == 64))
    made.contenders.extend(results(only=["shm"]).contenders)
    rows = [row.label for row in grids(made)[0].rows]
    assert "signal (4 B)" in rows


@pytest.mark.parametrize(
    "fields", [("latency",), ("throughput",), ("setup", "idle"), ("latency", "throughput")]
)
def test_parts_of_a_run_have_the_tables_of_those_parts(fields: tuple[str, ...]) -> None:
    titles = " ".join(grid.title for grid in grids(without(EVERYBODY, *fields)))
    assert ("Round trip" in titles) == ("latency" not in fields)
    assert ("Throughput" in titles) == ("throughput" not in fields)
    assert "What it takes" in titles
    assert printed(without(EVERYBODY, *fields), 80)


def test_nothing_at_all_is_no_error() -> None:
    empty = without(EVERYBODY, "latency", "throughput", "setup", "idle", "skipped", "absent")
    machine = "Example 9000 CPU @ 3.00GHz, 2 cores · Linux 6.1.0 · Python 3.11.2"
    assert printed(empty, 80).strip() == machine


def test_what_is_missing_is_told_once_for_each_reason() -> None:
    text = " ".join(printed(EVERYBODY, 100).split())
    assert (
        "Unix seqpacket: latency and throughput, 1 MiB to 64 MiB: its messages have at most "
        "204800 bytes" in text
    )
    assert (
        "POSIX queue, System V queue, posix_ipc queue: latency and throughput, 64 KiB to 64 MiB: "
        "its messages have at most 8192 bytes" in text
    )
    assert text.count("its messages have at most 8192 bytes") == 1
    assert "Not installed zeroq: pip install zeroq" in text


def test_a_terminal_without_other_characters_gets_ascii() -> None:
    text = printed(EVERYBODY, 80, encoding="ascii")
    assert "us" in text
    assert "?" not in text


def test_what_looks_like_markup_is_shown_as_it_is() -> None:
    text = EVERYBODY.to_json().replace('"shared memory"', '"[bold]shm[/x]"')
    assert "[bold]shm[/x]" in printed(Results.from_json(text), 100)


def test_that_others_had_work_for_the_machine_is_said() -> None:
    machine = EVERYBODY.machine
    for load, busy in (([1.0, 9.0, 9.0], False), ([1.1], True), ([], False)):
        made = replace(EVERYBODY, machine=replace(machine, load=load))
        assert ("The machine was busy" in printed(made, 100)) == busy


def test_a_form_that_is_not_there_at_all_is_told_in_one_line() -> None:
    made = results(only=["pipe"])
    for measure in get_args(Measure):
        made.skipped.append(Gap(contender="pipe", measure=measure, why="pipe: no\n such thing"))
    lines = [line.rstrip() for line in printed(made, 100).splitlines()]
    assert lines[lines.index("Left out") :][1:3] == ["  pipe: everything: no such thing", ""]
