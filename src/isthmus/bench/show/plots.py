"""The plots of a run: what a person sees at a glance, and can look up."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from isthmus.bench.show import looks
from isthmus.bench.show.canvas import (
    Plot,
    data,
    figure,
    log_axis,
    log_limits,
    pixels,
    settings,
    size_axis,
)
from isthmus.bench.show.grid import trips_of, usual_size
from isthmus.bench.show.looks import Look, look
from isthmus.bench.show.names import Box, along, beside, nearest, spread
from isthmus.bench.show.text import (
    MODES,
    flow_text,
    machine_text,
    rate_text,
    size_text,
    time_text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from matplotlib.axes import Axes
    from matplotlib.text import Text

    from isthmus.bench.results import Contender, Results

# What one who waits does, in the titles.
_WAITS = {
    "spinning": "both sides looking for it all the time (spinning)",
    "blocking": "asleep until a message comes (blocking)",
}
_NAME = 9.0  # points
_HEIGHT = _NAME * 1.25 / 72  # inches
_LETTER = 0.078  # inches, of a name, about
_LONGEST = 40  # letters of a name; what is longer is cut


@dataclass(frozen=True)
class _Line:
    """One contender's figures by size."""

    label: str
    look: Look
    floor: bool
    points: list[tuple[int, float]]


def draw(results: Results) -> list[Plot]:
    """Every plot there are figures for."""
    plots: list[Plot | None] = []
    with settings():
        for mode in MODES:
            plots += [
                _latency(results, mode),
                _percentiles(results, mode),
                _throughput(results, mode, whole_bytes=False),
                _throughput(results, mode, whole_bytes=True),
            ]
        plots.append(_processor(results))
    return [plot for plot in plots if plot is not None]


# ---- By size ------------------------------------------------------------------------


def _latency(results: Results, mode: str) -> Plot | None:
    lines = _lines(
        results,
        [
            (cell.contender, cell.size, cell.p50)
            for cell in results.latency
            if cell.mode == mode and cell.peers == 1
        ],
    )
    title = f"Round trip by size, {_WAITS[mode]}"
    return _by_size(results, f"latency-{mode}", title, "round trip, median", time_text, lines)


def _throughput(results: Results, mode: str, *, whole_bytes: bool) -> Plot | None:
    lines = _lines(
        results,
        [
            (cell.contender, cell.size, cell.bytes_per_s if whole_bytes else cell.messages_per_s)
            for cell in results.throughput
            if cell.mode == mode and cell.peers == 1
        ],
    )
    what = "bytes" if whole_bytes else "messages"
    return _by_size(
        results,
        f"{what}-{mode}",
        f"{what.capitalize()} a second by size, {_WAITS[mode]}",
        f"{what} a second, one sender",
        flow_text if whole_bytes else rate_text,
        lines,
        more=True,
    )


def _lines(results: Results, cells: Sequence[tuple[str, int, float]]) -> list[_Line]:
    """Floors first, and ours last, on top of all others."""
    lines = []
    for number, contender in enumerate(results.contenders):
        points = sorted(
            (size, value) for id, size, value in cells if id == contender.id and value > 0
        )
        if points:
            floor = contender.family == "floor"
            lines.append(_Line(_label(contender), look(contender, number), floor, points))
    return sorted(lines, key=lambda line: (not line.floor, line.look.weight))


def _by_size(
    results: Results,
    name: str,
    title: str,
    what: str,
    text: Callable[[float], str],
    lines: list[_Line],
    *,
    more: bool = False,
) -> Plot | None:
    sizes = sorted({size for line in lines for size, _ in line.points})
    if len(sizes) < 2:
        return None
    right = 0.35 + _LETTER * max(len(line.label) for line in lines)
    better = "higher is better" if more else "lower is better"
    axes = figure(title, f"{better} · {machine_text(results.machine)}", 5.8, 1.15, right)
    size_axis(axes, sizes)
    axes.set_yscale("log")
    axes.set_ylim(*log_limits(value for line in lines for _, value in line.points))
    log_axis(axes.yaxis, text, binary=text is flow_text)
    axes.set_ylabel(what)
    for line in lines:
        if line.floor and len(line.points) == 1:
            # It holds for any size.
            axes.axhline(line.points[0][1], **line.look.line)
        else:
            axes.plot(*zip(*line.points, strict=True), **line.look.line)
    _name_ends(axes, lines, sizes[-1])
    ends = [
        f"{line.label} {text(line.points[0][1])} at {size_text(line.points[0][0])}"
        + (
            f" and {text(line.points[-1][1])} at {size_text(line.points[-1][0])}"
            if len(line.points) > 1
            else ""
        )
        for line in sorted(lines, key=lambda line: line.points[0][1], reverse=more)
    ]
    return Plot(name, title, f"Lines, {better}: {'; '.join(ends)}.", _of(axes))


def _name_ends(axes: Axes, lines: list[_Line], last: int) -> None:
    """Names on the right of lines that go on to the last size, others near where they end."""
    inch = axes.figure.dpi
    inside = axes.get_window_extent()
    right = [line for line in lines if line.points[-1][0] == last or _level(line)]
    ends = [pixels(axes, last, line.points[-1][1]) for line in right]
    places = spread(
        [y for _, y in ends], _HEIGHT * inch, inside.y0 + 0.06 * inch, inside.y1 + 0.25 * inch
    )
    column = inside.x1 + 0.16 * inch
    for line, (x, y), place in zip(right, ends, places, strict=True):
        start = inside.x1 if _level(line) else x
        path = [data(axes, start + 4, y), data(axes, column - 3, place)]
        axes.plot(*zip(*path, strict=True), color=line.look.colour, linewidth=0.6, clip_on=False)
        _name(axes, line.label, line.look, data(axes, column, place), halo=False)
    # What the others must not cover: lines, and each other.
    taken = []
    for line in lines:
        path = [pixels(axes, *point) for point in line.points]
        if _level(line):
            path = [(inside.x0, path[0][1]), (inside.x1, path[0][1])]
        for (x0, y0), (x1, y1) in pairwise(path):
            taken += along(x0, y0, x1, y1, 6)
    room = Box(inside.x0, inside.y0, inside.width, inside.height)
    for line in lines:
        if line not in right:
            _name_near(axes, line.label, line.look, line.points[-1], taken, room)


def _level(line: _Line) -> bool:
    return line.floor and len(line.points) == 1


# ---- Percentiles --------------------------------------------------------------------


def _percentiles(results: Results, mode: str) -> Plot | None:
    trips = trips_of(results, mode)
    if not trips:
        return None
    usual = usual_size(trips.values())
    assert usual is not None
    order = {contender.id: n for n, contender in enumerate(results.contenders)}
    rows = sorted(
        trips.values(),
        key=lambda one: (results.contender(one.contender).family != "floor", one.p50),
    )
    title = f"Round trip of {size_text(usual)}, {_WAITS[mode]}"
    left = 0.5 + _LETTER * max(len(_label(results.contender(one.contender))) for one in rows)
    axes = figure(
        title,
        f"further left is better · {machine_text(results.machine)}",
        1.75 + 0.27 * len(rows),
        left,
        0.35,
    )
    axes.set_xscale("log")
    low, high = log_limits(value for one in rows for value in (one.p50, one.p999))
    axes.set_xlim(low / 1.4, high)  # with room for the text of the first
    log_axis(axes.xaxis, time_text)
    axes.set_ylim(len(rows) - 0.4, -1.25)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    labels = []
    for y, one in enumerate(rows):
        contender = results.contender(one.contender)
        kind = look(contender, order[one.contender])
        for low, high, weight in ((one.p50, one.p90, 5), (one.p90, one.p99, 2.6),
                                  (one.p99, one.p999, 1)):  # fmt: skip
            axes.plot([low, high], [y, y], color=kind.colour, linewidth=weight,
                      solid_capstyle="butt")  # fmt: skip
        axes.plot([one.p999], [y], "|", color=kind.colour, markersize=8)
        axes.plot([one.p50], [y], "o", color=kind.colour, markersize=7)
        axes.annotate(
            time_text(one.p50), (one.p50, y), (-7, 0), textcoords="offset points", ha="right",
            va="center", fontsize=8, color=kind.name_colour or kind.colour,
            bbox={"facecolor": looks.PAPER, "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip
        labels.append(
            _label(contender) + ("" if one.size == usual else f" ({size_text(one.size)})")
        )
    axes.set_yticks(range(len(rows)), labels, fontsize=_NAME)
    for tick, one in zip(axes.get_yticklabels(), rows, strict=True):
        kind = look(results.contender(one.contender), order[one.contender])
        tick.set_color(kind.name_colour or kind.colour)
        tick.set_fontweight("bold" if kind.weight > 3 else "normal")
    _percentile_key(axes)
    words = "; ".join(
        f"{label} {time_text(one.p50)}, 99.9 % within {time_text(one.p999)}"
        for label, one in zip(labels, rows, strict=True)
    )
    return Plot(f"percentiles-{mode}", title, f"Median round trips: {words}.", _of(axes))


def _percentile_key(axes: Axes) -> None:
    """What dot, bars and tick mean, drawn as they are, above the rows."""
    x = [0.60, 0.70, 0.80, 0.93]
    place = axes.get_yaxis_transform()  # x: part of the axes, y: rows
    row = -0.95
    for low, high, weight in zip(x, x[1:], (5, 2.6, 1), strict=False):
        axes.plot([low, high], [row, row], color=looks.MUTED, linewidth=weight, transform=place,
                  solid_capstyle="butt", clip_on=False)  # fmt: skip
    axes.plot([x[0]], [row], "o", color=looks.MUTED, markersize=7, transform=place)
    axes.plot([x[-1]], [row], "|", color=looks.MUTED, markersize=8, transform=place)
    for part, text in zip(x, ("half", "90 %", "99 %", "99.9 % are faster"), strict=True):
        axes.annotate(
            text, (part, row), (0, 6), xycoords=place, textcoords="offset points",
            ha="center", fontsize=8, color=looks.MUTED, annotation_clip=False,
        )  # fmt: skip


# ---- What it costs ------------------------------------------------------------------


def _processor(results: Results) -> Plot | None:
    """Processor time a message against the round trip: who is fast, and what for."""
    trips = trips_of(results, "blocking")
    cells = [c for c in results.throughput if c.mode == "blocking" and c.peers == 1]
    size = usual_size(cells)
    found = []
    for number, contender in enumerate(results.contenders):
        for cell in cells:
            trip = trips.get(contender.id)
            if cell.contender != contender.id or cell.size != size or trip is None:
                continue
            if trip.p50 > 0 and cell.cpu_per_message > 0:
                found.append((contender, look(contender, number), trip.p50, cell.cpu_per_message))
    if size is None or len(found) < 2:
        return None
    title = "What a quick answer costs: processor time against round trip (blocking)"
    axes = figure(title, f"lower left is better · {machine_text(results.machine)}", 5.6, 1.0, 0.5)
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = log_limits(x for _, _, x, _ in found)
    axes.set_xlim(low, high * 1.3)
    axes.set_ylim(*log_limits(y for _, _, _, y in found))
    log_axis(axes.xaxis, time_text)
    log_axis(axes.yaxis, time_text)
    axes.set_xlabel(f"round trip of {size_text(size)}, median")
    axes.set_ylabel("processor time a message, both sides")
    for _, kind, x, y in found:
        marker = kind.marker or "*"
        axes.plot([x], [y], marker, color=kind.colour, markersize=7 + kind.weight)
    _name_points(axes, [(_label(contender), kind, (x, y)) for contender, kind, x, y in found])
    words = "; ".join(
        f"{_label(contender)} {time_text(x)} and {time_text(y)}" for contender, _, x, y in found
    )
    return Plot("processor", title, f"Round trip, and processor time: {words}.", _of(axes))


def _name_points(axes: Axes, points: Sequence[tuple[str, Look, tuple[float, float]]]) -> None:
    inside = axes.get_window_extent()
    room = Box(inside.x0, inside.y0, inside.width, inside.height)
    places = [pixels(axes, *point) for _, _, point in points]
    taken = [Box(x - 6, y - 6, 12, 12) for x, y in places]
    for label, kind, point in points:
        _name_near(axes, label, kind, point, taken, room)


# ---- Names --------------------------------------------------------------------------


def _name_near(
    axes: Axes, label: str, kind: Look, point: tuple[float, float], taken: list[Box], room: Box
) -> None:
    """A name where there is room for it, with a line to its point; both are `taken` then."""
    x, y = pixels(axes, *point)
    text = _name(axes, label, kind, point, halo=True)
    width = text.get_window_extent().width
    box = beside(x, y, width, _HEIGHT * axes.figure.dpi, taken, room)
    end = nearest(box, x, y)
    text.set_position(data(axes, box.left, box.bottom + box.height / 2))
    path = [point, data(axes, *end)]
    axes.plot(*zip(*path, strict=True), color=kind.colour, linewidth=0.8)
    taken += [box, *along(x, y, *end, 4)]


def _name(axes: Axes, label: str, kind: Look, place: tuple[float, float], *, halo: bool) -> Text:
    return axes.text(
        *place,
        label,
        fontsize=_NAME,
        fontweight="bold" if kind.weight > 3 else "normal",
        color=kind.name_colour or kind.colour,
        va="center",
        bbox={"facecolor": looks.PAPER, "edgecolor": "none", "pad": 0.4, "alpha": 0.8}
        if halo
        else None,
    )


def _label(contender: Contender) -> str:
    label = contender.label
    return label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…"


def _of(axes: Axes) -> Any:
    return axes.figure
