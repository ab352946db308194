"""The file of results: it comes back the same, and what is wrong with one is told."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from bench_results import results

from isthmus.bench.results import Gap, Results
from isthmus.errors import ForeignError, FormatError, TruncatedError, VersionError

SMALL = results(only=["shm", "pipe", "signal", "c-spin"], sizes=[8, 64])


def changed(*path: str | int, to: object = None) -> str:
    """The small file with one thing changed; taken out if `to` is None."""
    record = json.loads(SMALL.to_json())
    place: Any = record
    for step in path[:-1]:
        place = place[step]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return json.dumps(record)


def test_what_was_written_comes_back() -> None:
    assert Results.from_json(SMALL.to_json()) == SMALL
    assert {gap.mode for gap in SMALL.skipped} == {"spinning", "blocking"}


def test_a_gap_that_holds_for_every_mode_comes_back() -> None:
    SMALL.failed.append(Gap(contender="shm", measure="setup", why="no room"))
    try:
        assert Results.from_json(SMALL.to_json()) == SMALL
    finally:
        SMALL.failed.pop()


def test_fields_of_a_later_version_are_passed_over() -> None:
    assert Results.from_json(changed("machine", "turbo", to="on")) == SMALL


def test_every_cut_is_noticed() -> None:
    text = SMALL.to_json()
    for length in [0, 1, 30, len(text) // 3, len(text) // 2, len(text) - 2, len(text) - 3]:
        with pytest.raises(FormatError):
            Results.from_json(text[:length], "cut.json")
    for length in (len(text) // 2, len(text) - 3):
        with pytest.raises(TruncatedError, match=r"cut\.json is cut off in line \d+; measure"):
            Results.from_json(text[:length], "cut.json")
    with pytest.raises(TruncatedError, match="is empty"):
        Results.from_json("  \n", "cut.json")


@pytest.mark.parametrize(
    "text",
    ["hello", "[]", "7", "null", "{}", '{"format": "other"}', "{'format': 1}", "[" * 100_000,
     '{"format": "isthmus-bench", "version": NaN}'],
)  # fmt: skip
def test_something_else_is_told_from_results(text: str) -> None:
    with pytest.raises(ForeignError, match=r"x\.json does not hold results of `isthmus bench"):
        Results.from_json(text, "x.json")


def test_another_version_is_told() -> None:
    with pytest.raises(VersionError, match=r"is of version 2 of its format.*reads version 1"):
        Results.from_json(changed("version", to=2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (changed("latency"), r"latency is missing"),
        (changed("latency", 0, "p50"), r"latency\[0\]\.p50 is missing"),
        (changed("latency", 0, "p50", to="fast"), r"latency\[0\]\.p50 cannot be 'fast'"),
        (changed("latency", 0, "p50", to=True), r"latency\[0\]\.p50 cannot be True"),
        (changed("latency", 0, "p50", to=-1), r"latency\[0\]\.p50 cannot be -1"),
        (changed("latency", 0, "p50", to=1e300), r"latency\[0\]\.p50 cannot be 1e\+300"),
        (changed("latency", 0, "p50", to=1e-300), r"latency\[0\]\.p50 cannot be 1e-300"),
        (changed("latency", 0, "p50", to=10**400), r"latency\[0\]\.p50 cannot be 1000"),
        (changed("latency", 0, "size", to=0), r"latency\[0\]\.size cannot be 0"),
        (changed("latency", 0, "size", to=10**30), r"latency\[0\]\.size cannot be 1000"),
        (changed("throughput", 0, "peers", to=0), r"throughput\[0\]\.peers cannot be 0"),
        (changed("latency", 1, to=vars(SMALL.latency[0])), r"latency\[1\] is there twice"),
        (changed("latency", 0, "size", to=8.5), r"latency\[0\]\.size cannot be 8\.5"),
        (changed("latency", 0, "mode", to="asleep"), r"latency\[0\]\.mode cannot be 'asleep'"),
        (changed("latency", 0, "rounds_p50", to=7), r"latency\[0\]\.rounds_p50 cannot be 7"),
        (changed("latency", to={"a": 1}), r"latency cannot be \{'a': 1\}"),
        (changed("machine", to=[1]), r"machine cannot be \[1\]"),
        (changed("machine", "packages", "numpy", to=2), r"machine\.packages\.numpy cannot be 2"),
        (changed("latency", 0, "contender", to="x"), r"latency\[0\] is about 'x', which is not"),
        (changed("contenders", 1, "id", to=SMALL.contenders[0].id), "two contenders have the sa"),
        (changed("when", to=["x" * 99]), r"when cannot be \['x{37}…"),
    ],
)  # fmt: skip
def test_the_place_of_what_is_wrong_is_told(text: str, message: str) -> None:
    with pytest.raises(FormatError, match=f"^a file: {message}"):
        Results.from_json(text, "a file")


def test_what_a_terminal_would_obey_comes_out_as_an_escape() -> None:
    text = changed("contenders", 0, "label", to="red\x1b[31m\nline\ud800")
    assert Results.from_json(text).contenders[0].label == r"red\x1b[31m line\ud800"


def test_what_is_no_number_of_json_is_not_written() -> None:
    SMALL.setup[0].rounds.append(math.inf)
    try:
        with pytest.raises(ValueError, match="not JSON compliant"):
            SMALL.to_json()
    finally:
        SMALL.setup[0].rounds.pop()
