"""How the live screen looks: in a thread of its own, never two at once, at any size."""

from __future__ import annotations

import threading
import time

import pytest
from screens import LARGE, Made, line, opened, run

from isthmus.inspect.screen import grid

pytestmark = pytest.mark.slow
PATIENCE = 30.0


def test_keys_are_answered_while_a_look_takes_long_and_looks_do_not_pile_up() -> None:
    async def main() -> None:
        source = Made(*(line(f"q{at}") for at in range(5)))
        async with opened(source) as screen:
            go, started = threading.Event(), threading.Event()

            def wait() -> None:
                started.set()
                go.wait(PATIENCE)

            source.before = wait
            try:
                screen.app.look()
                while not started.is_set():
                    await screen._pilot._wait_for_screen()
                for _ in range(5):
                    screen.app._tick()
                    screen.app.action_look()
                screen.app.table.grid.action_move(3)
                await screen._pilot._wait_for_screen()
                assert screen.current == "q3"
                assert screen.app.looks == 1
            finally:
                go.set()
            await screen.settle()
            # The one under way, and one for all those that were asked for meanwhile.
            assert screen.app.looks == 3

    run(main)


def test_it_ends_at_once_also_while_a_look_takes_long() -> None:
    go, started = threading.Event(), threading.Event()

    async def main() -> None:
        source = Made(line("q"))
        async with opened(source) as screen:
            source.before = lambda: (started.set(), go.wait(PATIENCE))[0]
            screen.app.look()
            while not started.is_set():
                await screen._pilot._wait_for_screen()
            screen._send("q")
            while not screen.app._exit:
                await screen._pilot._wait_for_screen()

    try:
        run(main)
        assert not go.is_set()
    finally:
        go.set()


def test_a_look_that_fails_is_told_once_and_tried_again() -> None:
    async def main() -> None:
        source = Made(line("q"))
        async with opened(source) as screen:
            source.look_error = PermissionError(13, "Permission denied", "/dev/shm")
            await screen.press("r", "r")
            assert len(screen.notices) == 1 and "Permission denied" in screen.notices[0]
            assert "q" in screen.names
            source.look_error = None
            source.lines.append(line("r"))
            await screen.press("r")
            assert screen.names == ["q", "r"]

    run(main)


def test_a_terminal_that_is_too_small_says_so_until_it_is_large_enough() -> None:
    async def main() -> None:
        async with opened(Made(line("only-one")), (50, 10)) as screen:
            assert "50x10" in screen.text and "60x15" in screen.text
            await screen.press("enter", "d")
            await screen.resize(59, 40)
            assert "59x40" in screen.text
            await screen.resize(60, 15)
            assert "only-one" in screen.text and "held" not in screen.lines[1]
            await screen.press("enter")
            await screen.resize(40, 40)
            await screen.resize(120, 40)
            assert screen.lines[0].startswith(" queue only-one")

    run(main)


def test_without_colours_the_row_under_the_cursor_is_turned_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def main() -> None:
        async with opened(Made(line("one"), line("two"))) as screen:
            strips = screen.app.screen._compositor.render_strips()
            styles = [part.style for strip in strips for part in strip if part.style]
            assert all(style.color is None or style.color.is_default for style in styles)
            assert all(style.bgcolor is None or style.bgcolor.is_default for style in styles)
            row = next(strip for strip in strips if "one" in strip.text)
            assert all(part.style is None or part.style.reverse for part in row)

    run(main)


def test_of_five_thousand_objects_only_those_in_sight_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        source = Made(*(line(f"q{at:04}", depth=at, rate_in=1.0) for at in range(5000)))
        async with opened(source, LARGE) as screen:
            drawn: list[int] = []
            lines: list[int] = []
            draw, render = screen.app.table.grid._draw, grid.Grid.render_line

            def count(row: object, key: str, width: int) -> tuple[str, str]:
                drawn.append(1)
                return draw(row, key, width)  # type: ignore[arg-type]

            def rendered(self: grid.Grid[object], y: int) -> object:
                lines.append(y)
                return render(self, y)

            monkeypatch.setattr(screen.app.table.grid, "_draw", count)
            monkeypatch.setattr(grid.Grid, "render_line", rendered)
            source.change("q0007", depth=77)
            started = time.process_time()
            screen.app.table.take(source.look(foreign=False))
            took = time.process_time() - started
            await screen.settle()
            # Two cells a column and row: to see what has changed, and to draw that.
            assert len(drawn) <= 2 * 48 * 15
            # The sparkline of each line in sight grows; none is drawn twice.
            assert len(lines) <= 49 and took < 0.5
            await screen.press("end")
            assert screen.current == "q4999"

            # With nothing new, nothing is written to the terminal.
            for _ in range(60):
                screen.app.table.history.add({one.address: 1.0 for one in source.lines})
            await screen.settle()
            screen.app.table.rearrange()
            await screen.settle()
            lines.clear()
            screen.app.table.take(source.look(foreign=False))
            await screen.settle()
            assert lines == []

    run(main)
