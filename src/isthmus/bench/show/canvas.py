"""What all plots have in common: a title, the machine, axes with ticks that people read.

Nothing here touches matplotlib's global state: figures are made without pyplot, and settings,
those of the user included, are put aside while one is drawn or saved.
"""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from isthmus.bench.show import looks
from isthmus.bench.show.text import size_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_SETTINGS: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 10.0,
    "svg.fonttype": "none",  # text stays text: it can be searched, copied and read aloud
    "text.parse_math": False,
    "axes.edgecolor": looks.MUTED,
    "text.color": looks.INK,
    "axes.labelcolor": looks.INK,
    "xtick.color": looks.MUTED,
    "ytick.color": looks.MUTED,
    "figure.facecolor": looks.PAPER,
    "axes.facecolor": looks.PAPER,
}
WIDTH = 9.6  # inches
_DPI = 150


@dataclass
class Plot:
    """A plot, drawn. `name` is that of its files; `words` are for those who cannot see it."""

    name: str
    title: str
    words: str
    figure: Figure

    def png(self) -> bytes:
        """As a PNG image."""
        buffer = io.BytesIO()
        with settings():
            self.figure.savefig(buffer, format="png", dpi=_DPI)
        return buffer.getvalue()

    def svg(self) -> str:
        """As an SVG image, a file of its own."""
        buffer = io.StringIO()
        with settings(self.name):
            # No date: the same figures give the same file.
            self.figure.savefig(buffer, format="svg", metadata={"Date": None, "Title": self.title})
        return buffer.getvalue()

    def svg_inline(self) -> str:
        """As SVG inside a page: without a head, and in colours that the page may change."""
        text = self.svg()
        text = text[text.index("<svg") :]
        text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
        # Several images in one page must not have the same ids.
        for pattern in (r'(\bid=")', r"(url\(#)", r'(href="#)'):
            text = re.sub(pattern, rf"\g<1>{self.name}-", text)
        for colour in looks.DARK:
            text = re.sub(colour, f"var(--plot-{colour[1:]}, {colour})", text, flags=re.IGNORECASE)
        # For this image only; and the page says how wide it is.
        text = text.replace("*{stroke-linejoin", f"#{self.name} svg *{{stroke-linejoin")
        head, mark, rest = text.partition(">")
        return re.sub(r' (width|height)="[^"]*"', "", head) + mark + rest


@contextmanager
def settings(salt: str = "isthmus") -> Iterator[None]:
    """matplotlib as it comes, with ours on top; as it was before, afterwards."""
    values: dict[str, Any] = {
        key: value
        for key, value in matplotlib.rcParamsDefault.items()
        if not key.startswith(("backend", "interactive", "toolbar", "webagg", "date.", "timezone"))
    }
    values |= {**_SETTINGS, "svg.hashsalt": salt}
    with matplotlib.rc_context(cast("Any", values)):
        yield


def figure(title: str, subtitle: str, height: float, left: float, right: float) -> Axes:
    """An empty plot: its axes. `left` and `right`: inches that are kept free for names."""
    made = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(made)
    bottom, top = 0.62, 0.95
    axes = made.add_axes(
        (
            left / WIDTH,
            bottom / height,
            (WIDTH - left - right) / WIDTH,
            (height - bottom - top) / height,
        )
    )
    made.text(0.15 / WIDTH, 1 - 0.36 / height, title, fontsize=14, fontweight="bold")
    made.text(0.15 / WIDTH, 1 - 0.64 / height, subtitle, fontsize=9, color=looks.MUTED)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(True, color=looks.FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    return axes


def log_axis(axis: Axis, text: Callable[[float], str], *, binary: bool = False) -> None:
    """Ticks at powers of ten, as people write them; between them where there are few.

    `binary`: at 1, 10 and 100 KiB, MiB and so on.
    """
    low, high = sorted(axis.get_view_interval())
    if binary:
        ticks = [10.0**n * 1024.0**k for k in range(6) for n in range(3)]
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
    else:
        decades = sum(1 for n in range(-12, 15) if low <= 10.0**n <= high)
        steps = [1.0] if decades > 2 else [1.0, 2.0, 5.0]
        axis.set_major_locator(LogLocator(base=10, subs=steps, numticks=40))
        axis.set_minor_locator(LogLocator(base=10, subs=[2, 3, 4, 5, 6, 7, 8, 9], numticks=40))
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    axis.set_minor_formatter(NullFormatter())


def size_axis(axes: Axes, sizes: Sequence[int]) -> None:
    """Sizes of messages: a tick at each that was measured, unless there are too many."""
    axes.set_xscale("log", base=2)
    low, high = min(sizes), max(sizes)
    axes.set_xlim(low / 1.3, high * 1.3 if high > low else low * 4)
    # Not two at the same place, such as 7 and 8 bytes: the one that most have.
    apart = [one for one, after in pairwise([*sizes, 2**63]) if after > 1.5 * one]
    step = -(-len(apart) // 10)
    axes.xaxis.set_major_locator(FixedLocator(apart[::step]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: size_text(value)))
    axes.set_xlabel("size of a message")


def log_limits(values: Iterable[float]) -> tuple[float, float]:
    """Limits with some room around the values."""
    values = list(values)
    low, high = min(values), max(values)
    room = max((high / low) ** 0.06, 1.15)
    return low / room, high * room


def pixels(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """Where a point of the axes lies in the figure."""
    found = axes.transData.transform((x, y))
    return float(found[0]), float(found[1])


def data(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """What lies at a place in the figure."""
    found = axes.transData.inverted().transform((x, y))
    return float(found[0]), float(found[1])
