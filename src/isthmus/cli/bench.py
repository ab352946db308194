"""``isthmus bench``."""

from __future__ import annotations

import contextlib
import os
from importlib.util import find_spec
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from isthmus import bench
from isthmus.bench.show import advice, compare as comparing, files, tables
from isthmus.bench.show.text import time_text
from isthmus.cli.parameters import Cores, Sizes
from isthmus.errors import ArgumentError, IsthmusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from isthmus.bench.results import Results
    from isthmus.bench.show.canvas import Plot

_MEASURES = ("latency", "throughput", "setup", "idle")
# Options that say what to measure: they have no meaning where nothing is measured.
_MEASURING = frozenset(
    ["quick", "forms", "rivals", "no_rivals", "no_floors", "sizes", "measures", "cores", "rounds"]
)


@click.command(
    "bench",
    epilog="Exit codes: 0 all went well, 1 a process was killed or something could not be done, "
    "2 wrong usage, 130 ended by Ctrl-C.",
)
@click.option("--quick", is_flag=True, help="In under half a minute, rather than some minutes.")
@click.option(
    "--form", "forms", multiple=True, metavar="FORM",
    help="Only this form; may be given several times: file, pipe, fifo, signal, shm, unix, "
    "seqpacket, tcp, mq, sysv.",
)  # fmt: skip
@click.option(
    "--rival", "rivals", multiple=True, metavar="RIVAL",
    help="Only this one of the other packages; may be given several times.",
)  # fmt: skip
@click.option("--no-rivals", is_flag=True, help="No other packages.")
@click.option("--no-floors", is_flag=True, help="Not what C reaches with the same means.")
@click.option(
    "--rivals", "list_rivals", is_flag=True,
    help="Tell which other packages there are, and how to install them; measure nothing.",
)  # fmt: skip
@click.option("--sizes", type=Sizes(), metavar="SIZE,…", help="Sizes of messages: 64,4KiB,1MiB.")
@click.option(
    "--measure", "measures", multiple=True, type=click.Choice(_MEASURES),
    help="Only this; may be given several times.",
)  # fmt: skip
@click.option(
    "--cores", type=Cores(), metavar="CORE,…",
    help="Cores on which the processes take turns.  [default: the last two]",
)  # fmt: skip
@click.option(
    "--rounds", type=click.IntRange(1, 1000), metavar="N", help="How many turns each has."
)
@click.option("--json", "json_path", metavar="FILE", help="Keep all figures in this file.")
@click.option("--html", "html_path", metavar="FILE", help="Write a page with plots and tables.")
@click.option("--plots", "plots_path", metavar="DIR", help="Write each plot as PNG and SVG there.")
@click.option(
    "--compare",
    "old_path",
    metavar="FILE",
    help="Tell what has changed since that run, kept by --json.",
)
@click.option(
    "--from", "from_path", metavar="FILE", help="Show a run kept by --json; measure nothing."
)
@click.pass_context
def command(ctx: click.Context, /, **options: object) -> None:
    """Measure which form of communication suits, on this machine.

    Round trips and throughput by size of message, with one and several peers, spinning and asleep;
    set-up, and processor time. All forms of isthmus.channel, the other packages that are
    installed here, and what C reaches with the same means of the kernel: the floor. They take
    turns, pinned to two cores. The last words tell which form suits which need.

    \b
    Examples:
        isthmus bench --quick
        isthmus bench --json monday.json --html monday.html
        isthmus bench --quick --form shm --form pipe --no-rivals --sizes 64,1MiB
        isthmus bench --from tuesday.json --compare monday.json
    """
    _Command(ctx).run()


class _Command:
    """One call of the command, with its options."""

    def __init__(self, ctx: click.Context) -> None:
        self._ctx = ctx
        self._options = ctx.params
        self._console = Console(highlight=False)

    def run(self) -> None:
        if self._options["list_rivals"]:
            self._list_rivals()
            return
        # All that can be wrong is found before minutes go by.
        self._check_usage()
        self._check_outputs()
        old = self._read("old_path", "--compare")
        kept = self._read("from_path", "--from")
        lost: IsthmusError | None = None
        if kept is None:
            kept, lost = self._measured()
        # First: who reads the tables may close the pipe before their end (`| head`).
        full = self._keep(kept)
        self._show(kept, old)
        if full is not None:
            raise full
        self._write(kept)
        if lost is not None:
            raise lost

    # ---- Before -----------------------------------------------------------------------

    def _check_usage(self) -> None:
        options = self._options
        if options["from_path"] is not None:
            given = [
                parameter.opts[0]
                for parameter in self._ctx.command.params
                if parameter.name in _MEASURING and options[parameter.name] not in {None, False, ()}
            ]
            if given:
                raise click.UsageError(
                    f"--from measures nothing, so there is no use for {given[0]}", self._ctx
                )
        if options["no_rivals"] and options["rivals"]:
            raise click.UsageError("--rival and --no-rivals: either, not both", self._ctx)
        needed = []
        if options["html_path"] is not None or options["plots_path"] is not None:
            needed.append("matplotlib")
        if options["html_path"] is not None:
            needed.append("jinja2")
        missing = [name for name in needed if find_spec(name) is None]
        if missing:
            option = "--plots" if options["html_path"] is None else "--html"
            raise click.ClickException(
                f"{option} needs {' and '.join(missing)}, not installed here: "
                "pip install 'isthmus[plot]'"
            )

    def _check_outputs(self) -> None:
        checks: tuple[tuple[str, str, Callable[[str], None]], ...] = (
            ("json_path", "--json", files.check_file),
            ("html_path", "--html", files.check_file),
            ("plots_path", "--plots", files.check_folder),
        )
        for name, option, check in checks:
            path = self._options[name]
            if path is None:
                continue
            if not path:
                # As of a variable that is not set; it would be the folder that one is in.
                raise click.BadParameter("the name is empty", param_hint=f"'{option}'")
            try:
                check(path)
            except OSError as error:
                raise click.BadParameter(
                    f"cannot write there: {error.strerror or error}", param_hint=f"'{option}'"
                ) from None
        json_path, html_path = self._options["json_path"], self._options["html_path"]
        if json_path and html_path and os.path.realpath(json_path) == os.path.realpath(html_path):
            raise click.UsageError("--json and --html: not into the same file", self._ctx)

    def _read(self, name: str, option: str) -> Results | None:
        path = self._options[name]
        if path is None:
            return None
        try:
            return files.read_results(path)
        except IsthmusError as error:
            raise click.BadParameter(str(error), param_hint=f"'{option}'") from None
        except OSError as error:
            raise click.BadParameter(
                f"{path}: {error.strerror or error}", param_hint=f"'{option}'"
            ) from None

    def _list_rivals(self) -> None:
        rivals = bench.known()["rivals"]
        for rival in rivals:
            missing = rival.missing()
            state = "installed" if missing is None else rival.install
            self._console.print(f"{rival.label:<26}{rival.id:<16}{state}", markup=False)
        packages = {one.package for one in rivals if one.package and one.missing() is not None}
        if packages:
            self._console.print(
                f"\nAll that are missing: pip install {' '.join(sorted(packages))}", markup=False
            )

    # ---- The run ----------------------------------------------------------------------

    def _measured(self) -> tuple[Results, IsthmusError | None]:
        """What was measured; and what has ended it early, if there is something to show still."""
        options = self._options
        try:
            settings = bench.Settings(
                quick=options["quick"],
                forms=options["forms"] or None,
                rivals=() if options["no_rivals"] else options["rivals"] or None,
                floors=() if options["no_floors"] else None,
                sizes=options["sizes"],
                cores=options["cores"],
                rounds=options["rounds"],
                **({"measures": options["measures"]} if options["measures"] else {}),
            )
            with _progress() as step:
                return bench.run(settings, progress=step), None
        except ArgumentError as error:
            raise click.UsageError(str(error), self._ctx) from None
        except bench.ParticipantLost as error:
            if error.results is None or not (error.results.latency or error.results.throughput):
                raise
            return error.results, error

    # ---- After ------------------------------------------------------------------------

    def _show(self, results: Results, old: Results | None) -> None:
        tables.show(self._console, results)
        if old is not None:
            self._console.print()
            self._console.rule("Compared with the old run", align="left", style="dim")
            tables.comparison(self._console, comparing.compare(old, results))
        self._console.print()
        tables.paragraph(self._console, "Which form suits", advice.sentences(results))
        self._console.print()
        self._console.print(
            f"Measured in {time_text(results.seconds)}; {len(results.latency)} round trips and "
            f"{len(results.throughput)} streams, {len(results.skipped)} left out, "
            f"{len(results.failed)} failed.",
            markup=False,
        )

    def _keep(self, results: Results) -> OSError | None:
        """Why that failed, if it did: the figures can be shown all the same."""
        if self._options["json_path"] is not None:
            try:
                files.write(self._options["json_path"], results.to_json().encode())
            except OSError as error:
                return error
        return None

    def _write(self, results: Results) -> None:
        json_path, html_path = self._options["json_path"], self._options["html_path"]
        plots_path = self._options["plots_path"]
        if json_path is not None:
            self._wrote(json_path)
        if html_path is None and plots_path is None:
            return
        from isthmus.bench.show.plots import draw

        plots = draw(results)
        if html_path is not None:
            from isthmus.bench.show.page import page

            files.write(html_path, page(results, plots).encode())
            self._wrote(html_path)
        if plots_path is not None:
            self._write_plots(Path(plots_path), plots)

    def _write_plots(self, folder: Path, plots: list[Plot]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for plot in plots:
            files.write(folder / f"{plot.name}.png", plot.png())
            files.write(folder / f"{plot.name}.svg", plot.svg().encode())
        self._wrote(f"{folder} ({len(plots)} plots, as PNG and SVG)")

    def _wrote(self, what: str) -> None:
        self._console.print(f"wrote {what}", markup=False, soft_wrap=True)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[bench.Progress], None]]:
    """A bar on standard error, if that is a terminal.

    It has no thread that draws it: processes are forked while it is there.
    """
    console = Console(stderr=True)
    bar = Progress(
        BarColumn(bar_width=16),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis")),
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=1.0)

        def step(at: bench.Progress) -> None:
            text = f"round {at.round} of {at.rounds} · {at.contender}: {at.cell}"
            if not at.contender:
                text = "done"
            text = text.replace("[", "\\[")
            bar.update(task, completed=at.share, description=text, refresh=True)

        yield step
