"""Columns that fit a width, and numbers that fit a column."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from rich.cells import cell_len, set_cell_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Literal

_BLOCKS = "▁▂▃▄▅▆▇█"
_PARTS = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a grid."""

    key: str
    title: str
    #: Cells that it takes at least, and at most where there is room.
    width: int
    most: int = 0
    #: Cells that it takes before any column comes in that is only nice to have.
    good: int = 0
    nice: bool = False
    #: Where the terminal is narrow, those with the highest numbers are left out.
    rank: int = 0
    justify: Literal["left", "right"] = "left"
    #: Whether a click on its heading sorts by it.
    sorts: bool = True
    #: Whether large values are the interesting ones, which come first then.
    descending: bool = False


def fit(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    """Those that have room, in their order, one cell apart, and how wide each is.

    It depends on nothing but the width, so that columns do not move while one looks.
    """
    ranked = sorted(columns, key=lambda column: column.rank)
    widths: dict[str, int] = {}
    room = width + 1
    for nice in (False, True):
        for column in ranked:
            if column.nice is not nice:
                continue
            if column.width + 1 > room:
                # Nor those that are less important and would have room.
                break
            widths[column.key] = column.width
            room -= column.width + 1
        for column in ranked:
            room -= _grow(widths, column, column.good, room)
    # The most important ones grow first, but leave something to the others.
    for share in (0.5, 1.0):
        for column in ranked:
            room -= _grow(widths, column, column.most, int(room * share))
    return [(column, widths[column.key]) for column in columns if column.key in widths]


def _grow(widths: dict[str, int], column: Column, most: int, room: int) -> int:
    if column.key not in widths:
        return 0
    more = max(0, min(most - widths[column.key], room))
    widths[column.key] += more
    return more


def cell(text: str, width: int, justify: Literal["left", "right"]) -> str:
    """Exactly that wide; what is too long ends in an ellipsis."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width else ""
    padding = " " * (width - length)
    return padding + text if justify == "right" else text + padding


def count_text(number: float | None) -> str:
    """A count in at most five cells: ``12``, ``99999``, ``123k``, ``4.5M``; blank: not known."""
    if number is None or not isfinite(number):
        return ""
    number = max(0, round(number))
    if number < 100_000:
        return str(number)
    amount = float(number)
    for unit in "kMGTPE":
        amount /= 1000
        if amount < 9.95:
            return f"{amount:.1f}{unit}"
        if amount < 999.5:
            return f"{amount:.0f}{unit}"
    return "many"


def rate_text(rate: float | None) -> str:
    """A rate in at most five cells: slow ones with a digit after the point."""
    if rate is None or not isfinite(rate):
        return ""
    if 0 < rate < 9.95:
        return f"{rate:.1f}"
    return count_text(rate)


def short_size(size: int | None) -> str:
    """Bytes in at most six cells: ``640 B``, ``4.0 K``, ``16 M``, ``1.5 G``, of 1024 each."""
    if size is None:
        return ""
    if size < 1024:
        return f"{size} B"
    amount = float(size)
    for unit in "KMGTPE":
        amount /= 1024
        if amount < 9.95:
            return f"{amount:.1f} {unit}"
        if amount < 999.5:
            return f"{amount:.0f} {unit}"
    return "many"


def short_duration(seconds: float | None) -> str:
    """A time in at most five cells: ``0.4s``, ``12s``, ``3m05``, ``2h10``, ``4d``."""
    if seconds is None or not isfinite(seconds):
        return ""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}"
    return f"{min(whole // 86400, 9999)}d"


def sparkline(values: Iterable[float | None], width: int) -> str:
    """The newest values as bars, the newest at the right; a gap where there is none.

    The highest of all values is a full bar: also of those that have no room any more, so that
    bars do not jump when one of them leaves.
    """
    known = [None if value is None or not isfinite(value) else value for value in values]
    highest = max((value for value in known if value is not None), default=0.0)
    bars = []
    for value in known[-width:] if width else []:
        if value is None:
            bars.append(" ")
        elif value <= 0 or highest <= 0:
            bars.append(_BLOCKS[0])
        else:
            bars.append(_BLOCKS[min(7, 1 + int(value / highest * 6.999))])
    return "".join(bars).rjust(width)


def bar(share: float, width: int) -> str:
    """A bar that fills this share of a width, in eighths of a cell."""
    share = min(1.0, max(0.0, share)) if isfinite(share) else 0.0
    eighths = round(share * width * 8)
    if share > 0 and width:
        eighths = max(1, eighths)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_PARTS[rest] if rest else "")).ljust(width)
