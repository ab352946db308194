"""The page: one HTML file with everything in it, to be opened from a disk and to be sent around."""

from __future__ import annotations

import html
import re
import shlex
from importlib import resources

from isthmus.bench.show import looks
from isthmus.bench.show.advice import advise
from isthmus.bench.show.grid import grids
from isthmus.bench.show.text import busy_text, gap_text, machine_text, size_text, time_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from isthmus.bench.results import Results
    from isthmus.bench.show.canvas import Plot


def page(results: Results, plots: Sequence[Plot]) -> str:
    """The whole file. What comes from the results is text there, whatever it holds."""
    import jinja2
    from markupsafe import Markup

    source = resources.files("isthmus.bench.show").joinpath("page.html").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["together"] = _together
    return environment.from_string(source).render(
        results=results,
        machine=machine_text(results.machine),
        took=time_text(results.seconds),
        when=results.when.replace("T", " ").replace("Z", " UTC"),
        busy=busy_text(results),
        advice=advise(results),
        plots=[
            # What matplotlib has made, in which it has escaped all text.
            {"name": plot.name, "title": plot.title, "svg": Markup(_image(plot))}  # noqa: S704
            for plot in plots
        ],
        grids=grids(results),
        facts=_facts(results),
        notes=[
            (one.label, ", ".join(filter(None, [one.version, one.note])))
            for one in results.contenders
            if one.version or one.note
        ],
        skipped=gap_text(results, results.skipped),
        failed=gap_text(results, results.failed),
        command=shlex.join(results.command),
        dark_colours=list(looks.DARK.items()),
    )


def _image(plot: Plot) -> str:
    """The plot as part of the page, and in words for those who do not see it."""
    words = html.escape(f"{plot.title}. {plot.words}")
    return plot.svg_inline().replace("<svg ", f'<svg role="img" aria-label="{words}" ', 1)


def _together(text: str) -> str:
    """No line ends between a number and its unit."""
    return re.sub(r"(?<=\d) (?=[BkMGKµmn%/s])", "\u00a0", text)


def _facts(results: Results) -> list[tuple[str, str]]:
    machine = results.machine
    facts = [
        ("Processor", f"{machine.processor}, {machine.cores} cores"),
        ("Pinned to cores", ", ".join(map(str, machine.pinned)) or "none"),
        ("Memory", size_text(machine.memory_bytes)),
        ("System", machine.system),
        ("Python", machine.python),
        ("Packages", ", ".join(f"{name} {what}" for name, what in machine.packages.items())),
        ("Load before", " ".join(f"{value:.2f}" for value in machine.load)),
        *(
            (name.replace("_", " ").capitalize(), _setting(name, value))
            for name, value in results.settings.items()
            if value is not None
        ),
    ]
    return [(name, value) for name, value in facts if value]


def _setting(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_setting(name, one) for one in value)
    if "sizes" in name and isinstance(value, int):
        return size_text(value)
    return str(value)
