"""A whole run: every cell of every contender, round by round, by turns."""

from __future__ import annotations

import signal
import sys
import threading
import time
from array import array
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from isthmus.bench.errors import CellError, Disorder, Overdue, ParticipantLost, Refused
from isthmus.bench.measure import contenders as all_contenders
from isthmus.bench.measure.cells import Cell, cells, largest_only
from isthmus.bench.measure.crew import described, in_processes
from isthmus.bench.measure.figures import Budget
from isthmus.bench.measure.machine import machine, versions
from isthmus.bench.measure.moments import idlers, setups
from isthmus.bench.measure.tally import Tally
from isthmus.bench.results import Absent, Contender as ContenderFacts, Gap, Results
from isthmus.bench.settings import Settings
from isthmus.errors import ArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType
    from typing import Any, Never

    from isthmus.bench.measure.contenders import Contender

_CROWDED = "spinning takes a core for each process: one would use up the time of the other"
# A round is left out when there is less than this part of the time that the one before took.
_NO_MORE = 0.75


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        done, total: measurements. Where time runs out, not all of `total` are made; but the last
            report has done == total.
        share: of the work, or of the time that there is; from 0 to 1.
        contender: the label of the one that is measured now, `cell`: what of it, for people.
        round, rounds: of how many at most, from 1.
        seconds: since the start.
    """

    done: int
    total: int
    share: float
    contender: str
    cell: str
    round: int
    rounds: int
    seconds: float


def run(
    settings: Settings | None = None,
    progress: Callable[[Progress], None] | None = None,
    *,
    contenders: Sequence[Contender] | None = None,
    started: Callable[[list[tuple[str, int]]], None] | None = None,
) -> Results:
    """Measure what the settings ask for.

    Args:
        settings: what, and how long; `Settings` says what it takes.
        progress: called before each measurement, in the thread of the caller. No thread may be
            running meanwhile (see `isthmus.bench.measure.crew`); so a bar must not refresh itself.
        contenders: others than those that there are, for tests.
        started: called with roles and processes, whenever some have been started.

    Blocks until all is done. Processes that it starts have ended when it returns, or raises.

    Raises:
        ParticipantLost: a process was killed or stopped; its `results` has what was measured.
        ArgumentError: an id that there is not, or nobody to measure.
    """
    return _Run(settings or Settings(), progress, contenders, started).run()


def known() -> dict[str, list[Contender]]:
    """Those that there are, installed or not, by what the settings call them."""
    return {
        "forms": all_contenders.forms(),
        "rivals": all_contenders.rivals(),
        "floors": all_contenders.floor(),
    }


class _Run:
    def __init__(
        self,
        settings: Settings,
        progress: Callable[[Progress], None] | None,
        contenders: Sequence[Contender] | None,
        started: Callable[[list[tuple[str, int]]], None] | None,
    ) -> None:
        self._settings, self._progress, self._started = settings, progress, started
        self._when, self._begin = datetime.now(UTC), time.monotonic()
        asked = _asked(settings) if contenders is None else list(contenders)
        if not asked:
            raise ArgumentError("nobody to measure: all of forms, rivals and floors are empty")
        self._absent: list[Absent] = []
        self._there: list[Contender] = []
        self._tally = Tally({one.id for one in asked if one.family == "floor"})
        self._cores = settings.pinned
        self._cells = list(cells(settings))
        self._machine = machine(self._cores, ["isthmus", *_packages()])
        for contender in asked:
            self._take_in(contender)
        self._open = {cell: self._runners(cell, self._there) for cell in self._cells}
        self._add_small_ones()
        self._round = 0
        self._steps, self._total = 0, 0

    def _take_in(self, contender: Contender) -> None:
        why = contender.missing()
        if why is None:
            self._there.append(contender)
        elif contender.family == "form":
            # It is one of ours: its place in the tables stays.
            self._there.append(contender)
            for measure in self._settings.measures:
                self._tally.skip(Gap(contender=contender.id, measure=measure, why=why))
        else:
            self._absent.append(
                Absent(id=contender.id, label=contender.label, install=contender.install, why=why)
            )

    def _add_small_ones(self) -> None:
        """Who can carry none of the sizes that are wanted is measured with its largest."""
        for contender in self._there:
            if contender.missing() is None and contender.largest is not None:
                for cell in list(largest_only(self._cells, contender.largest)):
                    self._open.setdefault(cell, []).extend(self._runners(cell, [contender]))

    def _runners(self, cell: Cell, there: Sequence[Contender]) -> list[Contender]:
        """Who of them is measured; why the others are not is noted."""
        runners = []
        for contender in there:
            if self._tally.skips(contender.id, cell.measure):
                continue
            why = contender.refuses(cell)
            if why is None and cell.spinning and len(self._cores) < 1 + (cell.peers or 1):
                why = _CROWDED
            if why is None:
                runners.append(contender)
            else:
                self._tally.skip(cell.gap(contender.id, why))
        return runners

    def run(self) -> Results:
        with _ended_in_order():
            try:
                self._all()
            except ParticipantLost as error:
                error.results = self._results()
                raise
        return self._results()

    def _all(self) -> None:
        rounds = self._settings.most_rounds
        by_turns = [cell for cell in self._open if cell.measure != "idle"]
        idle = [cell for cell in self._open if cell.measure == "idle" and self._open[cell]]
        each = sum(len(self._open[cell]) for cell in by_turns)
        self._total = rounds * each + len(idle)
        for cell in idle:
            self._step("all", cell)
            self._idle(cell)
        time_left = self._settings.time
        if time_left is not None:
            time_left -= time.monotonic() - self._begin
        budget = Budget(time_left, rounds * each, fixed=self._settings.seconds)
        for number in range(rounds):
            begin = time.monotonic()
            self._round = number
            for cell in by_turns:
                self._by_turns(cell, budget, rounds - number)
            spent = time.monotonic() - begin
            if budget.left < _NO_MORE * spent and number + 1 < rounds:
                break
        self._total = self._steps
        self._report("", "done")

    def _by_turns(self, cell: Cell, budget: Budget, rounds_left: int) -> None:
        runners = self._open[cell]
        # Each round in another order: drift hits all alike.
        shift = self._round % max(1, len(runners))
        for contender in [*runners[shift:], *runners[:shift]]:
            self._step(contender.label, cell)
            seconds = budget.slice()
            begin = time.monotonic()
            try:
                self._measure(contender, cell, seconds)
            except Refused as error:
                self._tally.skip(cell.gap(contender.id, str(error)))
            except (CellError, Disorder) as error:
                self._tally.fail(cell.gap(contender.id, str(error)))
                if isinstance(error, Overdue):
                    self._leave_out(contender, cell, rounds_left)
            except (OSError, ValueError, RuntimeError, MemoryError) as error:
                # Of the carrier itself, which is made in this process.
                self._tally.fail(cell.gap(contender.id, described(error)))
            else:
                budget.spent(time.monotonic() - begin, seconds)
                continue
            runners.remove(contender)
            budget.drop(rounds_left)
            self._total -= rounds_left - 1

    def _leave_out(self, contender: Contender, cell: Cell, rounds_left: int) -> None:
        """Of one that does not come to an end: not to wait for it again and again."""
        for other, runners in self._open.items():
            if other != cell and other.measure != "idle" and contender in runners:
                runners.remove(contender)
                self._total -= rounds_left
                if not self._tally.has(contender.id, other):
                    why = f"left out after it had not come to an end in {cell}"
                    self._tally.fail(other.gap(contender.id, why))

    def _measure(self, contender: Contender, cell: Cell, seconds: float) -> None:
        if cell.measure == "setup":
            self._set_up(contender, cell, seconds)
            return
        with contender.works(cell, seconds) as works:
            said = self._processes(contender, works, seconds)
        if cell.measure == "latency":
            self._tally.trips(contender.id, cell, array("q", said[0]))
        else:
            (rate, got, used), *senders = said
            sent = sum(count for count, _ in senders)
            if sent != got:
                raise Disorder(f"{sent} messages were sent, and {got} arrived")
            used += sum(cpu for _, cpu in senders)
            self._tally.stream(contender.id, cell, rate, used / got)

    def _set_up(self, contender: Contender, cell: Cell, seconds: float) -> None:
        there: list[int] = []
        works = setups(contender.carrier(cell), seconds)
        try:
            (spent,) = self._processes(contender, works, seconds, there)
        except BaseException:
            for pid in there:
                contender.forget(pid)
            raise
        self._tally.setup(contender.id, spent)

    def _processes(
        self, contender: Contender, works: Any, seconds: float, there: list[int] | None = None
    ) -> list[Any]:
        """Run them; `there` gets their process ids."""

        def started(pids: list[tuple[str, int]]) -> None:
            if there is not None:
                there.extend(pid for _, pid in pids)
            if self._started is not None:
                self._started(pids)

        return in_processes(
            contender.label,
            works,
            self._cores,
            deadline=seconds + self._settings.patience,
            started=started,
        )

    def _idle(self, cell: Cell) -> None:
        seconds = self._settings.watched
        blocking = Cell("idle", None, "blocking", 1)
        kinds = {one.id: one.carrier(blocking) for one in self._open[cell]}
        with idlers(kinds, seconds) as (works, refused):
            for id, why in refused.items():
                self._tally.skip(cell.gap(id, why))
            there = [id for id in kinds if id not in refused]
            try:
                said = in_processes(
                    "what waits",
                    works,
                    self._cores,
                    deadline=seconds + self._settings.patience,
                    started=self._started,
                )
            except (CellError, Refused) as error:
                said = [str(error)] * len(works)
        for id, one, other in zip(there, said[::2], said[1::2], strict=True):
            if isinstance(one, str):
                why = f"its receiver: {one}" + (f"; its sender: {other}" if other else "")
                self._tally.fail(cell.gap(id, why))
            else:
                self._tally.idle(id, *one)

    def _step(self, label: str, cell: Cell) -> None:
        self._report(label, str(cell))
        self._steps += 1

    def _report(self, label: str, cell: str) -> None:
        if self._progress is None:
            return
        spent, time_there = time.monotonic() - self._begin, self._settings.time
        share = self._steps / max(1, self._total)
        if time_there is not None:
            share = max(share, spent / time_there)
        self._progress(
            Progress(
                done=self._steps,
                total=max(self._total, self._steps),
                share=min(1.0, share),
                contender=label,
                cell=cell,
                round=self._round + 1,
                rounds=self._settings.most_rounds,
                seconds=spent,
            )
        )

    def _results(self) -> Results:
        return Results(
            when=self._when.isoformat(timespec="seconds").replace("+00:00", "Z"),
            seconds=time.monotonic() - self._begin,
            command=list(sys.argv),
            quick=self._settings.quick,
            machine=self._machine,
            settings={**self._settings.record(), "rounds_done": self._round + 1},
            contenders=[_facts(contender) for contender in self._there],
            absent=self._absent,
            latency=self._tally.latencies(),
            throughput=self._tally.throughputs(),
            setup=self._tally.setups(),
            idle=self._tally.idles(),
            skipped=self._tally.skipped,
            failed=self._tally.failed,
        )


def _asked(settings: Settings) -> list[Contender]:
    """Those that the settings name."""
    asked = []
    for kind, there in known().items():
        wanted = getattr(settings, kind)
        ids = [contender.id for contender in there]
        for id in wanted or ():
            if id not in ids:
                raise ArgumentError(f"{kind}: there is no {id!r}; there are {', '.join(ids)}")
        asked += [one for one in there if wanted is None or one.id in wanted]
    return asked


def _packages() -> list[str]:
    found = [one.package for one in all_contenders.rivals() if one.package is not None]
    return list(dict.fromkeys([*found, "numpy"]))


def _facts(contender: Contender) -> ContenderFacts:
    version = None
    if contender.package is not None:
        version = versions([contender.package]).get(contender.package)
    return ContenderFacts(
        id=contender.id,
        label=contender.label,
        family=contender.family,
        note=contender.note,
        version=version,
    )


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM and SIGHUP end this process in good order: children killed, names removed.

    Where the program has no handlers of its own; and only in its main thread, which has them.
    """

    def end(number: int, frame: FrameType | None) -> Never:
        raise SystemExit(128 + number)

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (int(signal.SIGTERM), int(signal.SIGHUP)):
            if signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
