"""The table of the live screen: every key and the mouse, over made-up objects."""

from __future__ import annotations

import pytest
from screens import LARGE, Made, line, opened, problem, run

from isthmus.errors import IsthmusError
from isthmus.inspect.screen.table import Filter

# Each opens a screen, which takes most of a quarter of a second.
pytestmark = pytest.mark.slow


def three() -> Made:
    return Made(
        line("alpha", depth=5, rate_in=10.0, rate_out=9.0, size=300),
        line("beta", "topic", depth=900, rate_in=2_500.0, lag=900, size=100),
        line("gamma", "lock", holder="77 python job.py", held_since=1_800_000_000.0 - 11, size=200),
    )


def test_a_small_terminal_shows_the_important_columns_aligned() -> None:
    async def main() -> None:
        source = three()
        source.lines.append(line("delta", dead=1, problems=(problem(),)))
        async with opened(source) as screen:
            head, titles, *rows = screen.lines
            assert "4 objects" in head and "! 1 with problems" in head and "every 3600 s" in head
            assert titles.split() == [
                *("kind", "name▲", "depth", "in/s", "out/s", "lag", "alive", "rate", "state")
            ]
            assert [row.split()[1] for row in rows[:4]] == ["alpha", "beta", "delta", "gamma"]
            for title, value in (("depth", "900"), ("in/s", "2500"), ("lag", "900")):
                end = titles.index(title) + len(title)
                assert rows[1][:end].endswith(value)
            assert "2+1" in rows[2] and "! It is" in rows[2]
            # Where the holder has no column, the state tells that it is held.
            assert rows[3].endswith("held 12s")
            assert all(len(row) <= 80 for row in screen.lines)
            for key in ("Open", "Filter", "Help", "Quit"):
                assert key in screen.lines[-1]

    run(main)


def test_a_large_terminal_shows_everything() -> None:
    async def main() -> None:
        source = three()
        async with opened(source, LARGE) as screen:
            titles = screen.lines[1].split()
            assert {"size", "resident", "age", "held"} <= set(titles)
            row = screen.row("gamma")
            assert "77 python job.py" in row and "12s" in row and "1h00" in row
            for rate in (20.0, 0.0, 5.0):
                source.change("alpha", rate_in=rate, rate_out=0.0)
                await screen.press("r")
            assert "▅█▁▃" in screen.row("alpha")
            await screen.resize(80, 24)
            assert "resident" not in screen.lines[1] and "held 15s" in screen.row("gamma")

    run(main)


def test_sorting_by_keys_and_by_clicks_keeps_the_row_under_the_cursor() -> None:
    async def main() -> None:
        async with opened(three()) as screen:
            await screen.press("down")
            assert screen.current == "beta"
            await screen.press("right")
            assert "▼depth" in screen.lines[1]
            assert screen.names == ["beta", "alpha", "gamma"]
            await screen.press("i")
            # What has no depth comes last either way.
            assert screen.names == ["alpha", "beta", "gamma"]
            assert screen.current == "beta"
            await screen.press("less_than_sign", "left")
            assert "kind▲" in screen.lines[1]
            assert screen.names == ["gamma", "alpha", "beta"]
            assert screen.current == "beta"
            await screen.click(screen.lines[1].index("lag"), 1)
            assert screen.names[0] == "beta" and "▼lag" in screen.lines[1]
            await screen.click(screen.lines[1].index("name"), 1)
            await screen.click(screen.lines[1].index("name"), 1)
            assert screen.names == ["gamma", "beta", "alpha"]
            assert screen.current == "beta"

    run(main)


def test_the_cursor_stays_with_its_object_or_where_that_was() -> None:
    async def main() -> None:
        source = Made(*(line(f"q{at:03}", depth=at) for at in range(60)))
        async with opened(source) as screen:
            await screen.press("pagedown", "down")
            here = screen.current
            assert here == "q022"
            source.lines.insert(0, line("a-new-one"))
            await screen.press("r")
            assert screen.current == here
            source.forget(here)
            await screen.press("r")
            assert screen.current == "q023"
            await screen.press("end")
            assert screen.current == "q059" and "q059" in screen.text
            await screen.press("home", "up")
            assert screen.current == "a-new-one"
            await screen.press("pagedown", "pageup", "down")
            assert screen.current == "q000"
            source.lines.clear()
            await screen.press("r")
            assert "Nothing is shared on this host" in screen.text
            await screen.press("down", "enter", "m", "d")
            assert source.acts == []

    run(main)


def test_the_mouse_selects_opens_and_scrolls() -> None:
    async def main() -> None:
        source = Made(*(line(f"q{at:03}") for at in range(60)))
        async with opened(source) as screen:
            await screen.click(12, 6)
            assert screen.current == "q004"
            screen.app.table.grid.scroll_to(y=10, animate=False, immediate=True)
            await screen.press("r")
            await screen.click(12, 2)
            assert screen.current == "q010"
            await screen.click(12, 3, times=2)
            assert screen.lines[0].startswith(" queue q011")

    run(main)


def test_a_filter_is_typed_kept_and_taken_back() -> None:
    async def main() -> None:
        source = three()
        async with opened(source) as screen:
            await screen.press("slash", *"topic")
            assert screen.names == ["beta"]
            # Keys of the table are letters here.
            await screen.press("space", *"q")
            assert screen.names == [] and "Nothing matches" in screen.text
            assert screen.lines[-2] == " /topic q▏"
            await screen.press("backspace", "backspace", "enter")
            assert screen.names == ["beta"] and "/topic" in screen.lines[0]
            assert "3 objects, 1 shown" in screen.lines[0]
            assert "topic q" not in screen.text
            await screen.press("escape")
            assert len(screen.names) == 3
            await screen.press("k", "k")
            assert screen.names == ["alpha"] and "only queue" in screen.lines[0]
            await screen.press("k", "k")
            assert len(screen.names) == 3
            source.change("gamma", problems=(problem("damage"),))
            await screen.press("r", "p")
            assert screen.names == ["gamma"] and "!! It is" in screen.row("gamma")
            await screen.press("escape")
            assert len(screen.names) == 3

    run(main)


def test_keys_that_come_all_at_once_mean_what_they_mean_one_by_one() -> None:
    async def main() -> None:
        source = three()
        async with opened(source) as screen:
            # As commands, these would mark, show problems only, and shut down.
            await screen.burst("slash", *"mps", "ctrl+u", *"be x", "ctrl+w", "enter", "d")
            assert screen.names == ["beta"]
            assert "Remove topic beta?" in screen.text
            await screen.burst("y", "escape", "enter", "2")
            assert source.acts == [("remove", "beta", True)]
            assert screen.lines[0].startswith(" topic beta")
            await screen.burst("escape", "slash", "escape", "q")
            assert screen.app.return_value == 0

    run(main)


def test_what_others_have_made_is_shown_when_asked_for() -> None:
    async def main() -> None:
        source = three()
        source.foreign_lines = [line("/psm_12", "segment", family="posix", library=None)]
        async with opened(source) as screen:
            assert "psm_12" not in screen.text
            await screen.press("f")
            assert "psm_12" in screen.text and " all " in screen.lines[0]
            await screen.press("f")
            assert "psm_12" not in screen.text
            assert source.looks == [False, True, False]

    run(main)


def test_pause_interval_help_and_the_options_of_the_command() -> None:
    async def main() -> None:
        options = {"sort": "depth", "chosen": Filter("a", "queue"), "foreign": True}
        async with opened(three(), interval=1800.0, **options) as screen:
            assert screen.names == ["alpha"] and "/a" in screen.lines[0]
            await screen.press("space")
            assert "paused" in screen.lines[0]
            looks = screen.app.looks
            screen.app._tick()
            await screen.settle()
            assert screen.app.looks == looks
            await screen.press("r")
            assert screen.app.looks == looks + 1
            await screen.press("space")
            assert screen.app.looks == looks + 2
            await screen.press("plus")
            assert "every 60 s" in screen.lines[0]
            await screen.press("plus", "plus", "minus")
            assert "every 30 s" in screen.lines[0]
            for key in ("question_mark", "f1"):
                await screen.press(key)
                assert "sort by the next column" in screen.text
                await screen.press("escape")
                assert "alpha" in screen.text

    run(main)


def test_it_begins_with_an_object_that_was_named_or_says_that_there_is_none() -> None:
    async def main() -> None:
        async with opened(three(), begin="beta") as screen:
            assert screen.lines[0].startswith(" topic beta")
            await screen.press("escape")
            assert screen.current == "beta"
        async with opened(three(), begin="no-such") as screen:
            assert screen.notices == ["There is nothing called no-such."]

    run(main)


def test_marked_objects_are_removed_after_a_yes_only() -> None:
    async def main() -> None:
        source = three()
        source.change("alpha", alive=0, in_use=False)
        async with opened(source) as screen:
            await screen.press("m", "m")
            assert screen.row("alpha").startswith("*") and "2 marked" in screen.lines[0]
            await screen.press("d")
            assert "Remove 2 objects?" in screen.text
            assert "queue alpha: nobody uses it, 5 messages in it will be lost" in screen.text
            assert "One of them is in use." in screen.text
            # The answer of one who only wants it to go away is no.
            await screen.press("enter")
            await screen.press("d", "escape")
            await screen.press("d", "n")
            assert source.acts == []
            await screen.press("d", "y")
            assert source.acts == [("remove", "alpha", False), ("remove", "beta", True)]
            assert screen.notices == ["remove: alpha\nremove: beta"]
            assert "marked" not in screen.lines[0]

    run(main)


def test_what_could_not_be_removed_is_told_and_stays_marked() -> None:
    async def main() -> None:
        source = three()
        source.refused["beta"] = IsthmusError("beta belongs to \x1b[31mroot")
        async with opened(source) as screen:
            await screen.press("M", "d", "right", "enter")
            assert [act[1] for act in source.acts] == ["alpha", "gamma"]
            assert screen.notices[1] == "beta belongs to \\x1b[31mroot"
            assert "3 marked" in screen.lines[0]
            await screen.press("u")
            assert "marked" not in screen.lines[0]
            # Marks are for those that are there: another one may come by that name.
            await screen.press("end", "m")
            assert "1 marked" in screen.lines[0]
            source.forget("gamma")
            await screen.press("r")
            assert "marked" not in screen.lines[0]

    run(main)


def test_only_queues_are_shut_down() -> None:
    async def main() -> None:
        source = three()
        async with opened(source) as screen:
            await screen.press("s")
            assert "Shut down queue alpha?" in screen.text
            assert "2 participants" in screen.text and "5 messages" in screen.text
            await screen.press("y")
            assert source.acts == [("shut down", "alpha")]
            await screen.press("down", "s")
            assert screen.notices[-1] == "Only queues can be shut down."

    run(main)


@pytest.mark.parametrize(
    ("before", "key", "code"),
    [(["enter"], "ctrl+c", 130), (["d"], "ctrl+c", 130), (["question_mark"], "q", 0)],
)
def test_it_ends_by_key_from_everywhere(before: list[str], key: str, code: int) -> None:
    async def main() -> None:
        async with opened(three()) as screen:
            await screen.press(*before, key)
            assert screen.app.return_value == code

    run(main)
