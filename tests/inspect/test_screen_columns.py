"""Columns that fit, numbers that fit into them, and what a line of the table says and means."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from rich.cells import cell_len
from screens import NOW, line, member, problem, shared

from isthmus.cli.top import COLUMNS as SORTABLE
from isthmus.inspect import Process
from isthmus.inspect.screen import acting, columns, sections, table
from isthmus.inspect.screen.columns import Column
from isthmus.inspect.screen.history import LENGTH, History

NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@given(NUMBERS)
def test_every_number_fits_its_column(number: float) -> None:
    assert cell_len(columns.count_text(number)) <= 5
    assert cell_len(columns.rate_text(number)) <= 5
    assert cell_len(columns.short_duration(number)) <= 5
    if 0 <= number < 2**80:
        assert cell_len(columns.short_size(int(number))) <= 6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (columns.count_text(99_999), "99999"),
        (columns.count_text(100_000), "100k"),
        (columns.count_text(999_600), "1.0M"),
        (columns.count_text(None), ""),
        (columns.rate_text(0.25), "0.2"),
        (columns.rate_text(9.96), "10"),
        (columns.short_size(1023), "1023 B"),
        (columns.short_size(1024 * 1000), "1.0 M"),
        (columns.short_size(16 << 20), "16 M"),
        (columns.short_duration(0.04), "0.0s"),
        (columns.short_duration(59.9), "59s"),
        (columns.short_duration(185), "3m05"),
        (columns.short_duration(7800), "2h10"),
        (columns.short_duration(-5), "0.0s"),
        (columns.short_duration(400_000), "4d"),
    ],
)
def test_numbers_are_short(text: str, expected: str) -> None:
    assert text == expected


@given(st.text(), st.integers(0, 30))
def test_a_cell_is_exactly_as_wide_as_its_column(text: str, width: int) -> None:
    assert cell_len(columns.cell(text, width, "left")) == width
    assert cell_len(columns.cell(text, width, "right")) == width


@given(st.lists(st.none() | NUMBERS, max_size=LENGTH), st.integers(0, 70))
def test_a_sparkline_and_a_bar_are_exactly_as_wide_as_asked(
    values: list[float | None], width: int
) -> None:
    assert len(columns.sparkline(values, width)) == width
    assert len(columns.bar(values[0] or 0 if values else 0, width)) == width


def test_a_sparkline_grows_from_the_right_and_keeps_its_scale() -> None:
    assert columns.sparkline([0, None, 1, 2, 4], 6) == " ▁ ▃▅█"
    # The highest one has no room any more, and still is the measure.
    assert columns.sparkline([8, 4, 8, 4], 1) == "▅"
    assert columns.bar(0.5, 4) == "██  " and columns.bar(0.001, 4)[0] == "▏"


@given(st.integers(0, 300))
def test_columns_fit_whatever_the_width(width: int) -> None:
    fitted = columns.fit(table.COLUMNS, width)
    assert sum(one + 1 for _, one in fitted) <= width + 1
    shown = {one.key for one, _ in fitted}
    for nice in (False, True):
        # None is left out for the sake of a less important one.
        ranked = sorted(
            (one for one in table.COLUMNS if one.nice is nice), key=lambda one: one.rank
        )
        there = [one.key in shown for one in ranked]
        assert there == sorted(there, reverse=True)


def test_columns_keep_their_order_and_no_room_is_wasted() -> None:
    some = [
        Column("a", "a", 3, 5, rank=2),
        Column("b", "b", 4, 90, rank=1),
        Column("c", "c", 9, rank=3),
    ]
    assert [(one.key, width) for one, width in columns.fit(some, 8)] == [("a", 3), ("b", 4)]
    assert sum(width for _, width in columns.fit(some, 60)) == 60 - 2
    some = [Column("a", "a", 3, good=6), Column("b", "b", 2, nice=True)]
    assert [width for _, width in columns.fit(some, 8)] == [6]
    assert [width for _, width in columns.fit(some, 9)] == [6, 2]


def test_the_command_offers_exactly_the_columns_that_sort() -> None:
    assert SORTABLE == table.SORTABLE


@pytest.mark.parametrize("key", SORTABLE)
def test_every_column_sorts_lines_with_and_without_values(key: str) -> None:
    lines = [
        line("b", depth=1, rate_in=1.0, rate_out=1.0, lag=1, holder="h", held_since=NOW),
        line("a", "topic", alive=None, users=(Process(1, None),), created=None, resident=None),
        line("c", "segment", family="posix", alive=None, in_use=None, size=0),
    ]
    for order in (table.Order.by(key), table.Order.by(key).turned()):
        assert {one.address for one in order.sort(lines)} == {"a", "b", "c"}
        assert order.sort(lines) == order.sort(reversed(lines))


def test_the_longest_held_and_the_gravest_come_first() -> None:
    lines = [
        line("short", holder="x", held_since=NOW - 1, problems=(problem("note"),)),
        line("never"),
        line("long", holder="x", held_since=NOW - 9, problems=(problem("damage"),)),
    ]
    for key in ("held", "state"):
        assert [one.address for one in table.Order.by(key).sort(lines)][:2] == ["long", "short"]


def test_a_filter_wants_all_words_anywhere_in_any_case() -> None:
    found = line("camera/front", "topic", holder="12 python", users=(Process(9, "Recorder"),))
    for text in ("", "CAMERA", "front topic", "12 camera", "recorder 9"):
        assert table.Filter(text).matches(found)
    for text in ("rear", "camera rear"):
        assert not table.Filter(text).matches(found)
    assert not table.Filter(kind="queue").matches(found)
    assert not table.Filter(problems=True).matches(found)


def test_what_others_have_written_cannot_command_the_terminal() -> None:
    evil = "a\x1b[2Jb\n\u202e"
    found = line(evil, holder=evil, problems=(problem(what=evil),), kind="lock")
    painter = table.Painter(History(), set())
    texts = [painter(found, column.key, 30)[0] for column in table.COLUMNS]
    member_texts = [
        sections.MemberPainter()(member(command=evil), column.key, 30)[0]
        for column in sections.member_columns("topic")
    ]
    texts += member_texts + list(acting.removal([found.shared]).lines)
    assert all(text.isprintable() for text in texts)
    assert sum("\\x1b[2J" in text for text in texts) == 5


def test_a_question_says_what_happens_to_whom() -> None:
    used = shared("m", "segment", alive=None, in_use=None, users=(Process(7, "x"), Process(8, "y")))
    text = " ".join(acting.removal([used]).lines)
    assert "2 processes (7, 8)" in text and "It is in use" in text
    unknown = " ".join(acting.removal([shared("m", alive=0, in_use=None)]).lines)
    assert "not known whether it is in use" in unknown and "It may be in use" in unknown
    many = acting.removal([shared(f"q{at}", alive=0, in_use=False) for at in range(40)])
    assert many.title == "Remove 40 objects?" and many.lines[-1] == "… and 35 more"
    topic = acting.eviction(shared("t", "topic"), member(roles=("subscriber",), lag=9))
    assert "9 messages behind" in topic.lines[0] and "not ended" in topic.lines[0]


def test_only_who_may_hold_others_up_is_evicted() -> None:
    reads, writes = member(roles=("subscriber",)), member(roles=("publisher",))
    assert acting.evictable(shared("t", "topic"), reads)
    assert not acting.evictable(shared("t", "topic"), writes)
    assert acting.evictable(shared("q"), member())
    assert not acting.evictable(shared("l", "lock"), member())
    assert acting.evictable(shared("l", "lock"), member(alive=False))


def test_the_history_forgets_what_is_gone_and_what_is_long_ago() -> None:
    history = History()
    for at in range(LENGTH + 5):
        history.add({"a": float(at), "b": None})
    history.add({"a": 1.0})
    assert history.of("b") == () and len(history.of("a")) == LENGTH
    assert history.of("a")[-2:] == (LENGTH + 4.0, 1.0)
