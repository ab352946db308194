"""The screen about one object: its parts, what can be done there, and that it may go away."""

from __future__ import annotations

import pytest
from screens import LARGE, NOW, Made, Screen, line, member, opened, rich_info, run, shared

from isthmus.errors import AccessError, IsthmusError
from isthmus.inspect import Info, LockState, Process
from isthmus.inspect.screen import sections

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def it_is_always_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.inspect.screen.sections.time.time", lambda: NOW)


def jobs(**changes: object) -> Made:
    source = Made(line("jobs", depth=3))
    source.infos["jobs"] = rich_info(shared("jobs", depth=3), **changes)
    return source


def cells(screen: Screen, needle: str) -> list[str]:
    return screen.row(needle).split()


def test_every_part_of_an_object_is_a_key_away() -> None:
    async def main() -> None:
        async with opened(jobs()) as screen:
            await screen.press("enter")
            assert screen.lines[0].startswith(" queue jobs   !! A record is torn.")
            assert screen.lines[1].split() == [
                *("Overview", "Participants", "3", "Locks", "2", "Leases", "1"),
                *("Problems", "2", "Layout"),
            ]
            assert "50 %" in screen.row("used") and "512.0 KiB" in screen.row("used")
            assert cells(screen, "put")[1:3] == ["1234", "40/s"]
            assert cells(screen, "bytes")[1:5] == ["2.0", "MiB", "2.0", "KiB/s"]
            await screen.press("2")
            assert cells(screen, "worker-0")[:5] == ["•", "4000", "producer", "worker-0", "--fast"]
            assert cells(screen, "worker-1")[-3:] == ["2", "9.0s", "1"]
            assert cells(screen, "4002")[:4] == ["†", "4002", "consumer", "dead"]
            await screen.press("right")
            held = cells(screen, "producers")
            assert held == ["producers", "held", "4000", "worker-0", "--fast", "5.0s", "perhaps"]
            assert "! left" in screen.row("consumers")
            await screen.press("4")
            assert cells(screen, "worker-1") == [
                *("17", "2.0", "K", "9.0s", "3", "4001", "worker-1", "--fast")
            ]
            await screen.press("5")
            assert "!! damage" in screen.text and "· note" in screen.text
            assert screen.text.count("→ Read faster.") == 2
            await screen.press("6")
            assert cells(screen, "records")[:4] == ["records", "0x1000", "1.0", "M"]
            await screen.press("right")
            assert "50 %" in screen.text
            await screen.press("left")
            assert "who made it" in screen.text
            await screen.press("escape")
            assert "kind" in screen.lines[1] and screen.current == "jobs"

    run(main)


def test_a_large_terminal_shows_both_halves_of_the_overview_and_rates_over_time() -> None:
    async def main() -> None:
        source = jobs()
        async with opened(source, LARGE) as screen:
            await screen.press("enter")
            for rate in (10.0, 20.0):
                source.infos["jobs"] = rich_info(shared("jobs"), rates={"put": rate, "bytes": 0.0})
                await screen.press("r")
            assert "What it is" in screen.row("Now")
            assert screen.row("put").endswith("█▃▅")
            assert "/dev/shm/isthmus.jobs" in screen.text and "persist" in screen.text
            await screen.press("space")
            assert "paused" in screen.lines[0]

    run(main)


def test_a_subscriber_shows_how_far_it_is_behind() -> None:
    async def main() -> None:
        source = Made(line("camera", "topic"))
        source.infos["camera"] = rich_info(
            shared("camera", "topic"),
            members=(
                member(0, roles=("subscriber",), lag=100, missed=7, pinned=True),
                member(1, roles=("subscriber",), lag=50, waiting=2, waiting_since=NOW - 3),
            ),
            gauges={"kept": 100},
        )
        async with opened(source, LARGE) as screen:
            await screen.press("enter", "2")
            far, near = screen.row("4000"), screen.row("4001")
            assert far.count("█") == 24 and near.count("█") == 12
            assert cells(screen, "4000")[-3:] == ["7", "open", "0"]
            assert cells(screen, "4001")[-3:] == ["3.0s", "x2", "1"]

    run(main)


def test_a_lock_shows_who_waits_for_it_and_how_long() -> None:
    waiting = member(1, roles=(), waiting=1, waiting_since=NOW - 4)
    owner = member(0, roles=("owner",))
    info = rich_info(
        shared("db", "lock"),
        members=(owner, waiting, member(2, waiting=2, waiting_since=NOW - 70)),
        locks=(LockState(what="lock", locked=True, owner=owner, since=NOW - 90),),
    )
    painter = sections.LockPainter()
    painter.take(info)
    assert painter(info.locks[0], "waiters", 9) == ("3, 1m10", "note")
    assert painter(info.locks[0], "held", 9) == ("1m30", "strong")


def test_an_object_that_keeps_no_account_shows_who_maps_it() -> None:
    async def main() -> None:
        found = shared(
            "/psm_1", "segment", family="posix", alive=None, users=(Process(77, "train.py"),)
        )
        source = Made(line("x"))
        source.lines = []
        source.foreign_lines = [line("/psm_1", "segment", family="posix")]
        source.infos["/psm_1"] = Info(
            shared=found, taken=NOW, taken_monotonic=0.0, configuration={}
        )
        async with opened(source, foreign=True) as screen:
            await screen.press("enter", "2")
            assert cells(screen, "77") == ["•", "77", "maps", "it", "train.py"]
            # It has no participants that could be evicted, and is no queue.
            assert "Evict" not in screen.lines[-1]
            await screen.press("e", "s")
            assert source.acts == [] and screen.lines[0].startswith(" segment /psm_1")

    run(main)


def test_a_participant_is_evicted_after_a_yes_that_names_it() -> None:
    async def main() -> None:
        source = jobs()
        async with opened(source) as screen:
            await screen.press("enter", "e")
            assert source.acts == [] and "Evict" not in screen.lines[-1]
            await screen.press("2", "down")
            assert "Evict" in screen.lines[-1]
            await screen.press("e")
            assert "Evict 4001 worker-1 --fast?" in screen.text
            assert "The 2 messages that it works on go to others" in screen.asked
            assert "The 2 messages" in screen.text
            await screen.press("n", "e", "y")
            assert source.acts == [("evict", "jobs", 4001)]
            await screen.press("down", "e")
            assert "It is dead" in screen.text
            source.refused["jobs"] = IsthmusError("its lock is held")
            await screen.press("y")
            assert screen.notices[-1] == "queue jobs: its lock is held"

    run(main)


def test_who_holds_a_lock_is_not_evicted_from_it_but_the_dead_are_cleared_away() -> None:
    async def main() -> None:
        source = Made(line("db", "lock"))
        source.infos["db"] = rich_info(shared("db", "lock"))
        async with opened(source) as screen:
            await screen.press("enter", "2", "e")
            assert "when its process ends" in screen.notices[0] and source.acts == []
            await screen.burst("1", "2", "end", "e", "y")
            assert source.acts == [("evict", "db", 4002)]

    run(main)


def test_the_object_is_shut_down_and_removed_and_then_left() -> None:
    async def main() -> None:
        source = jobs()
        async with opened(source) as screen:
            await screen.press("enter", "s", "y")
            assert source.acts == [("shut down", "jobs")]
            await screen.press("d")
            assert "Remove queue jobs?" in screen.text
            source.forget("jobs")
            del source.infos["jobs"]
            await screen.press("y")
            assert source.acts[-1] == ("remove", "jobs", True)
            assert "queue jobs is gone." in screen.notices
            assert "Nothing is shared" in screen.text

    run(main)


def test_one_that_goes_away_below_a_question_is_left_after_the_answer() -> None:
    async def main() -> None:
        source = jobs()
        async with opened(source) as screen:
            await screen.press("enter", "d")
            source.forget("jobs")
            del source.infos["jobs"]
            screen.app.look()
            await screen.settle()
            assert "Remove queue jobs?" in screen.text
            await screen.press("n")
            assert "Nothing is shared" in screen.text

    run(main)


def test_one_that_may_not_be_read_any_more_says_why() -> None:
    async def main() -> None:
        source = jobs()
        async with opened(source) as screen:
            source.info = _refuse  # type: ignore[method-assign]
            await screen.press("enter")
            assert screen.notices == ["queue jobs: only its owner may look"]
            assert screen.current == "jobs"

    run(main)


def _refuse(address: str) -> Info:
    raise AccessError("only its owner may look", name=address)
