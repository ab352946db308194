"""The tables on the terminal: all that fits its width, in colour, or plain where it is piped."""

from __future__ import annotations

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from isthmus.bench.show.grid import Grid, Row, grids
from isthmus.bench.show.text import busy_text, gap_text, machine_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, RenderableType

    from isthmus.bench.results import Family, Gap, Results
    from isthmus.bench.show.compare import Comparison

_STYLES: dict[Family, str] = {"floor": "dim", "form": "cyan", "rival": ""}
# Between two columns.
_GAP = 3
_LABEL = 24
# Of a comparison: more than anybody would read.
_CHANGES = 40
# For terminals that have nothing else.
_ASCII = str.maketrans({"µ": "u", "·": "-", "…": "..."})


def show(console: Console, results: Results) -> None:
    """Everything that is in the results, except for the closing paragraph."""
    _print(console, Text(machine_text(results.machine), style="bold"))
    busy = busy_text(results)
    if busy is not None:
        _print(console, Text(busy, style="yellow"))
    for grid in grids(results):
        console.print()
        _print(console, table(grid, console.width, ascii_only=console.options.ascii_only))
    floors = {one.id for one in results.contenders if one.family == "floor"}
    # What a floor has no figures for is of no interest to those who choose.
    skipped = [gap for gap in results.skipped if gap.contender not in floors]
    for title, gaps in (("Left out", skipped), ("Failed", results.failed)):
        if gaps:
            console.print()
            _show_gaps(console, title, results, gaps)
    if results.absent:
        console.print()
        _print(console, Text("Not installed", style="bold"))
        _print(console, *(f"{one.label}: {one.install}" for one in results.absent), indent=2)


def table(grid: Grid, width: int, *, ascii_only: bool = False) -> Table:
    """One table, of at most that many columns of the terminal if that can be."""
    shown = _chosen(grid, width)
    left_out = len(grid.columns) - len(shown)
    note = grid.note
    if left_out:
        more = "1 size more is" if left_out == 1 else f"{left_out} sizes more are"
        note += f" {more} in the file and on the page."
    made = Table(
        title=Text(_plain(grid.title, ascii_only), style="bold"),
        caption=Text(_plain(note, ascii_only), style="dim"),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    longest = max((len(row.label) for row in grid.rows), default=0)
    left = width - _GAP - len("floor") - sum(_GAP + _width(grid, number) for number in shown)
    made.add_column("contender", min_width=max(min(longest, _LABEL, left), 9), overflow="fold")
    made.add_column("kind", no_wrap=True)
    for number in shown:
        made.add_column(grid.columns[number], justify="right", no_wrap=grid.sizes)
    for number, row in enumerate(grid.rows):
        # A line between the floors and the others.
        last_floor = row.family == "floor" and not _is_floor(grid.rows[number + 1 : number + 2])
        style = _STYLES[row.family]
        made.add_row(
            Text(_plain(row.label, ascii_only), style=style),
            Text(row.family, style=style),
            *(
                Text(
                    _plain(row.cells[column].text, ascii_only),
                    style="bold green" if column in row.best else style,
                )
                for column in shown
            ),
            end_section=last_floor and number + 1 < len(grid.rows),
        )
    return made


def comparison(console: Console, compared: Comparison) -> None:
    """What has changed since another run."""
    for warning in compared.warnings:
        _print(console, Text(warning, style="yellow"))
    _print(console, Text(compared.summary, style="bold"))
    if not compared.changes:
        return
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    made.add_column("contender", min_width=16, max_width=_LABEL, overflow="fold")
    made.add_column("what", min_width=16)
    for column in ("old", "new", "new / old", "noise"):
        made.add_column(column, justify="right", no_wrap=True)
    for change in compared.changes[:_CHANGES]:
        style = "red" if change.worse else "green"
        cells = [change.what, change.old_text, change.new_text, change.ratio_text]
        made.add_row(
            Text(change.label, style=style),
            *(Text(_plain(cell, console.options.ascii_only), style=style) for cell in cells),
            Text(change.noise_text, style="dim"),
        )
    console.print(made)
    more = len(compared.changes) - _CHANGES
    if more > 0:
        _print(console, f"and {more} smaller ones")


def paragraph(console: Console, title: str, sentences: Iterable[str]) -> None:
    """The closing words."""
    _print(console, Text(title, style="bold"))
    _print(console, *sentences, indent=2)


def _is_floor(rows: Sequence[Row]) -> bool:
    return any(row.family == "floor" for row in rows)


def _chosen(grid: Grid, width: int) -> list[int]:
    """Which columns there is room for: all, or sizes at even distances, the ends included."""
    every = list(range(len(grid.columns)))
    if not grid.sizes:
        return every
    # A longer one goes on in the next line.
    used = max((min(len(row.label), _LABEL) for row in grid.rows), default=0) + _GAP + len("floor")
    for count in range(len(every), 2, -1):
        step = (len(every) - 1) / (count - 1)
        chosen = [round(n * step) for n in range(count)]
        if used + sum(_GAP + _width(grid, number) for number in chosen) <= width:
            return chosen
    return [every[0], every[-1]]


def _width(grid: Grid, number: int) -> int:
    return max(len(grid.columns[number]), *(len(row.cells[number].text) for row in grid.rows))


def _show_gaps(console: Console, title: str, results: Results, gaps: Sequence[Gap]) -> None:
    _print(console, Text(title, style="bold"))
    lines = [f"{label}: {what}: {why}" for label, what, why in gap_text(results, gaps)]
    _print(console, *lines, indent=2)


def _print(console: Console, *texts: RenderableType, indent: int = 0) -> None:
    for text in texts:
        shown = text
        if isinstance(text, str | Text):
            plain = _plain(str(text), console.options.ascii_only)
            shown = Text(plain, style=text.style if isinstance(text, Text) else "")
        console.print(Padding(shown, (0, 0, 0, indent)) if indent else shown)


def _plain(text: str, ascii_only: bool) -> str:
    return text.translate(_ASCII) if ascii_only else text
