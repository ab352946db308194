"""How commands write: tables for people, plain columns for pipes, JSON for programs.

Colours only in a terminal, and not where NO_COLOR says so. In a pipe nothing is cut off.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import cache

import click
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from isthmus.inspect._model import to_dict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Literal

# More rows than anybody reads: then speed is worth more than looks.
_ROWS_MOST = 500
# So much of a text that may be cut off is shown in any terminal; and blanks between columns.
_SHRUNK, _BETWEEN = 8, 3
# Wider than any line: a pipe has no width.
_UNLIMITED = 10_000


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    #: Numbers to the right.
    justify: Literal["left", "right"] = "left"
    #: Whether it may be cut off where the terminal is narrow; the others keep their width.
    shrinks: bool = False


def console(*, stderr: bool = False) -> Console:
    """Where to write: as wide as the terminal, or without an end."""
    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = _UNLIMITED
    return made


def table(out: Console, columns: Sequence[Column], rows: Iterable[Sequence[str | Text]]) -> None:
    """Rows under a heading; in a pipe as plain columns, two spaces apart."""
    rows = list(rows)
    if not out.is_terminal or len(rows) > _ROWS_MOST:
        _plain(columns, rows)
        return
    made = Table(
        box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 2, 0, 0)
    )
    shrinks = any(column.shrinks for column in columns)
    for column in columns:
        # Rich takes room from columns that may wrap; what is in them is on one line all the same.
        made.add_column(column.title, justify=column.justify, no_wrap=shrinks != column.shrinks)
    for row in rows:
        made.add_row(*map(_cell, row, columns))
    least = _least_width(columns, rows)
    if least <= out.width:
        out.print(made)
        return
    # Rather lines that the terminal breaks than columns that are not there.
    made.width = least
    out.print(made, crop=False, no_wrap=True, overflow="ignore")


def _least_width(columns: Sequence[Column], rows: Sequence[Sequence[str | Text]]) -> int:
    """How wide the table is at least, when its columns that may shrink have done so."""
    least = 0
    for place, column in enumerate(columns):
        width = max(cell_len(str(cell)) for cell in (column.title, *(row[place] for row in rows)))
        least += min(width, _SHRUNK) if column.shrinks else width
    return least + _BETWEEN * (len(columns) - 1)


def _cell(cell: str | Text, column: Column) -> Text:
    text = Text(safe(cell)) if isinstance(cell, str) else cell.copy()
    if column.shrinks:
        text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _plain(columns: Sequence[Column], rows: Sequence[Sequence[str | Text]]) -> None:
    """The same without colours, and as fast as `ls` must be with thousands of objects.

    A rich table takes 0.6 ms for a row of twelve cells.
    """
    lines = [[column.title for column in columns]]
    lines.extend([safe(str(cell)) for cell in row] for row in rows)
    widths = [max(map(cell_len, cells)) for cells in zip(*lines, strict=True)]
    last = len(columns) - 1
    for line in lines:
        cells = []
        for place, (cell, column, width) in enumerate(zip(line, columns, widths, strict=True)):
            blank = " " * (width - cell_len(cell))
            if column.justify == "right":
                cells.append(blank + cell)
            else:
                cells.append(cell if place == last else cell + blank)
        click.echo("  ".join(cells).rstrip())


def safe(text: str) -> str:
    """Text of others, without control characters, which a terminal takes for commands."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def print_json(found: Any) -> None:
    """One value, for programs."""
    click.echo(_json(found, 2))


def print_json_line(found: Any) -> None:
    """One value on one line: the next one may follow."""
    click.echo(_json(found, None))


def _json(found: Any, indent: int | None) -> str:
    plain = to_dict(found)
    text = json.dumps(plain, indent=indent, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        # Bytes that are no text, in a name or in the words of a process: as `os.fsdecode` has them.
        return json.dumps(plain, indent=indent)
    return text


def size_text(size: int | None) -> str:
    """Bytes for a column: ``64 B``, ``4.0 KiB``, ``1.5 GiB``; a dash when not known."""
    if size is None:
        return "-"
    amount, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{size} B" if unit == "B" else f"{amount:.1f} {unit}"


def duration_text(seconds: float | None) -> str:
    """A time for a column, two units at most: ``850 ms``, ``12 s``, ``3 min 5 s``, ``2 d 4 h``."""
    if seconds is None:
        return "-"
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for place, (unit, length) in enumerate(units):
        if seconds >= length:
            whole, rest = divmod(int(seconds), length)
            if place + 1 < len(units) and (smaller := rest // units[place + 1][1]):
                return f"{whole} {unit} {smaller} {units[place + 1][0]}"
            return f"{whole} {unit}"
    return "0 s"


def age_text(since: float | None) -> str:
    """How long ago, from a time as `time.time` counts."""
    return "-" if since is None else duration_text(time.time() - since)


@cache
def user_text(uid: int) -> str:
    """A user's name, or the number where it has none."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
