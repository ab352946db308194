"""The plots: files that open, every name in them, none upon another, nothing global touched."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise

import matplotlib
import pytest
from bench_results import results, without
from matplotlib.figure import Figure
from matplotlib.text import Text

from isthmus.bench.results import Results
from isthmus.bench.show.canvas import Plot
from isthmus.bench.show.names import Box, beside, spread
from isthmus.bench.show.plots import draw

EVERYBODY = results()
# All kinds of plots of one mode; and two of them.
FEW = results(only=["c-futex", "shm", "pipe"], sizes=[8, 64], modes=("blocking",))
TWO = results(only=["c-futex", "shm", "pipe"], sizes=[64], modes=("blocking",))
NAMES = {
    *(f"{kind}-{mode}" for kind in ("latency", "percentiles", "messages", "bytes")
      for mode in ("spinning", "blocking")),
    "processor",
}  # fmt: skip


@pytest.fixture(scope="module")
def plots() -> dict[str, Plot]:
    made = {plot.name: plot for plot in draw(EVERYBODY)}
    for plot in made.values():
        plot.figure.draw_without_rendering()
    return made


@pytest.fixture(scope="module")
def images(plots: dict[str, Plot]) -> dict[str, str]:
    return {name: plot.svg() for name, plot in plots.items()}


def texts(svg: str) -> list[str]:
    root = ET.fromstring(svg)
    return ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]


def visible(figure: Figure) -> list[Text]:
    """All texts, but for those of ticks outside the axes, which exist and are not drawn."""
    found = list(figure.texts)
    for axes in figure.axes:
        found += axes.texts
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
            found += [axis.label, *(label for place, label in ticks if low <= place <= high)]
    return [text for text in found if text.get_text()]


def measured(made: Results, name: str) -> set[str]:
    """The labels of those that have figures for a plot."""
    kind, _, mode = name.partition("-")
    if kind in {"latency", "percentiles"}:
        ids = {one.contender for one in made.latency if one.mode == mode}
    elif kind == "processor":
        trips = {one.contender for one in made.latency if one.mode == "blocking"}
        ids = {one.contender for one in made.throughput if one.mode == "blocking"} & trips
    else:
        ids = {one.contender for one in made.throughput if one.mode == mode}
    return {made.contender(id).label for id in ids}


def test_a_whole_run_has_every_plot(plots: dict[str, Plot]) -> None:
    assert set(plots) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_contender_has_its_name_in_the_svg(
    plots: dict[str, Plot], images: dict[str, str], name: str
) -> None:
    shown = texts(images[name])
    for label in measured(EVERYBODY, name):
        assert shown.count(label) == 1, label
    assert plots[name].title in shown
    assert any("Example 9000 CPU @ 3.00GHz" in text for text in shown)
    assert all(label in plots[name].words for label in measured(EVERYBODY, name))


@pytest.mark.parametrize("name", sorted(NAMES))
def test_no_text_lies_upon_another(plots: dict[str, Plot], name: str) -> None:
    figure = plots[name].figure
    boxes = []
    for text in visible(figure):
        extent = text.get_window_extent()
        # Between two lines that touch, there is room still.
        box = Box(extent.x0, extent.y0 + 2, extent.width, extent.height - 4)
        boxes.append((text.get_text(), box))
    assert len(boxes) > 15
    for number, (text, box) in enumerate(boxes):
        for other_text, other in boxes[:number]:
            small = min(box.width * box.height, other.width * other.height)
            assert box.overlap(other) < small / 10, (text, other_text)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_text_is_inside_the_image(plots: dict[str, Plot], name: str) -> None:
    figure = plots[name].figure
    width, height = figure.bbox.width, figure.bbox.height
    for text in visible(figure):
        extent = text.get_window_extent()
        assert extent.x0 >= 0, text.get_text()
        assert extent.x1 <= width, text.get_text()
        assert extent.y0 >= 0, text.get_text()
        assert extent.y1 <= height, text.get_text()


def test_a_png_is_an_image_with_something_on_it(plots: dict[str, Plot]) -> None:
    from matplotlib.image import imread

    image = imread(io.BytesIO(plots["latency-spinning"].png()))
    height, width = image.shape[:2]
    assert (width, height) == (1440, 870)
    assert (image[..., :3].min(axis=2) < 0.9).mean() > 0.01


def test_ticks_are_in_units_that_people_read(images: dict[str, str]) -> None:
    shown = texts(images["latency-spinning"])
    assert {"8 B", "1 KiB", "64 MiB", "1 µs", "100 µs", "10 ms"} <= set(shown)
    assert {"1 MiB/s", "1 GiB/s"} <= set(texts(images["bytes-blocking"]))
    assert "1 M/s" in texts(images["messages-blocking"])


def test_the_same_figures_give_the_same_file_whatever_the_settings_of_the_user() -> None:
    expected = [plot.svg() for plot in draw(TWO)]
    assert [plot.svg() for plot in draw(TWO)] == expected
    user = {"font.size": 33.0, "axes.facecolor": "red", "svg.fonttype": "path"}
    with matplotlib.rc_context(user):
        before = dict(matplotlib.rcParams)
        assert [plot.svg() for plot in draw(TWO)] == expected
        assert dict(matplotlib.rcParams) == before


def test_images_in_one_page_share_no_ids() -> None:
    seen: set[str] = set()
    for plot in draw(FEW):
        svg = plot.svg_inline()
        ids = re.findall(r'\bid="([^"]*)"', svg)
        assert len(ids) == len(set(ids))
        assert not seen & set(ids)
        seen |= set(ids)
        for used in re.findall(r'(?:href="#|url\(#)([^")]*)', svg):
            assert used in ids
        assert svg.startswith("<svg ")
        assert "#ffffff" in svg
        assert not re.search(r"[:\s]#ffffff", svg.replace("var(--plot-ffffff, #ffffff)", ""))


@pytest.mark.parametrize(
    "made",
    [
        without(FEW, "latency"),
        without(FEW, "throughput"),
        without(FEW, "latency", "throughput"),
        results(only=["shm"], sizes=[64]),
        results(only=["c-spin", "c-futex"]),
        results(only=["signal"]),
        results(only=["pipe"], sizes=[8, 64], modes=("blocking",), rounds=1),
    ],
    ids=["streams", "trips", "neither", "one size", "floors", "signal", "one form"],
)
def test_parts_of_a_run_have_the_plots_of_those_parts(made: Results) -> None:
    for plot in draw(made):
        assert measured(made, plot.name) <= set(texts(plot.svg()))


def test_long_names_are_cut_and_what_looks_like_mathematics_is_not_read_as_such() -> None:
    evil = r"$x_1$ & <b>\frac</b>"
    labels = {"c-futex": f"{evil} 1", "shm": f"{evil} 2", "pipe": f"a name of fifty letters {evil}"}
    made = replace(FEW, contenders=[replace(c, label=labels[c.id]) for c in FEW.contenders])
    for plot in draw(made):
        plot.figure.draw_without_rendering()
        shown = visible(plot.figure)
        for text in shown:
            assert text.get_window_extent().x1 <= plot.figure.bbox.width, text.get_text()
        assert {labels["shm"], f"{labels['pipe'][:39]}…"} <= {text.get_text() for text in shown}
        svg = plot.svg_inline()
        assert "&lt;b&gt;" in svg
        assert "<b>" not in svg


def test_names_that_want_the_same_place_stand_in_order_side_by_side() -> None:
    places = spread([5.0, 5.1, 5.05, 20.0], 2.0, 0.0, 30.0)
    assert sorted(range(4), key=lambda n: places[n]) == [0, 2, 1, 3]
    ordered = sorted(places)
    assert all(b - a >= 2.0 - 1e-9 for a, b in pairwise(ordered))
    assert places[3] == 20.0


def test_too_many_names_share_the_room_that_there_is() -> None:
    places = spread([1.0] * 11, 2.0, 0.0, 10.0)
    assert sorted(places) == pytest.approx([float(n) for n in range(11)])


def test_a_name_avoids_what_is_taken() -> None:
    room = Box(0, 0, 100, 100)
    taken = [Box(50, 0, 50, 100)]
    box = beside(50, 50, 20, 10, taken, room)
    assert box.overlap(taken[0]) == 0
    assert box.overlap(room) == 200
