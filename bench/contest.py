"""What takes several processes: contenders that take turns in every round, and goals for them."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness import CORES, duration
from rich.table import Table

from isthmus.bench.measure.crew import Meeting, Work, in_processes

__all__ = ["Comparison", "Contest", "Goal", "Meeting", "Party", "in_children", "two_cores"]

# Small counts, to see that everything works; the figures then mean nothing.
QUICK = bool(os.environ.get("BENCH_QUICK"))
# Seconds after which a process of a benchmark is taken to hang.
PATIENCE = 120


def scaled(count: int) -> int:
    return max(1000, count // 100 // 1000 * 1000) if QUICK and count > 1000 else count


# ---- Processes -------------------------------------------------------------------------


def in_children(works: Sequence[Callable[[], object]], cores: Sequence[int]) -> list[float]:
    """Run each in a forked process on its core; what each returns, as a float."""
    named = [Work(f"process {number}", work) for number, work in enumerate(works)]
    done = in_processes("the benchmark", named, cores, deadline=PATIENCE)
    return [float(value or 0.0) for value in done]


def two_cores() -> list[int]:
    """The last two of those there are, whatever this process is pinned to."""
    return CORES[-2:]


# ---- Contests --------------------------------------------------------------------------


@dataclass
class Party:
    """One way to do the job: `measure(count)` gives the seconds that one of `count` takes."""

    label: str
    measure: Callable[[int], float]
    count: int


@dataclass
class Goal:
    """`first` is so many times as fast as `other`, or takes so many times as long."""

    first: str
    other: str
    at_least: float | None = None
    at_most: float | None = None

    def text(self) -> str:
        if self.at_least is not None:
            return f"{self.first}: at least {self.at_least:g} x as fast as {self.other}"
        return f"{self.first}: at most {self.at_most:g} x {self.other}"

    def verdict(self, contest: Contest) -> dict[str, object]:
        if not all(contest.times.get(label) for label in (self.first, self.other)):
            return {"goal": self.text(), "ratio": None, "met": None}
        ratio = contest.ratio(self.first, self.other)
        if self.at_least is not None:
            ratio = 1 / ratio
            met = ratio >= self.at_least
        else:
            met = ratio <= (self.at_most or 0)
        return {"goal": self.text(), "ratio": ratio, "met": met}


@dataclass
class Contest:
    """Parties that do the same job; the first is the one to compare with."""

    title: str
    parties: Sequence[Party]
    goals: Sequence[Goal] = ()
    rounds: int = 9
    absent: Sequence[str] = ()
    rate: bool = False  # show messages a second rather than times
    times: dict[str, list[float]] = field(default_factory=dict)

    def run(self) -> Contest:
        self.times = {party.label: [] for party in self.parties}
        for number in range(1 if QUICK else self.rounds):
            # Taking turns, each round in another order: drift hits all alike.
            shift = number % len(self.parties)
            for party in [*self.parties[shift:], *self.parties[:shift]]:
                self.times[party.label].append(party.measure(scaled(party.count)))
        return self

    def ratio(self, label: str, other: str) -> float:
        """Median over rounds of the time of `label` / that of `other`."""
        pairs = zip(self.times[label], self.times[other], strict=True)
        return statistics.median(a / b for a, b in pairs)

    def verdicts(self) -> list[dict[str, object]]:
        return [goal.verdict(self) for goal in self.goals]

    def _shown(self, seconds: float) -> str:
        return f"{1e-6 / seconds:.3g} M/s" if self.rate else duration(seconds)

    def table(self) -> Table:
        table = Table(title=self.title, title_justify="left", caption_justify="left")
        table.add_column("contender", overflow="fold")
        for column in ("median", "best", "p90", "this / first"):
            table.add_column(column, justify="right")
        first = self.parties[0].label
        for party in self.parties:
            times = sorted(self.times[party.label])
            p90 = times[int(len(times) * 0.9)]
            cells = [self._shown(value) for value in (statistics.median(times), times[0], p90)]
            table.add_row(party.label, *cells, f"{self.ratio(party.label, first):.2f}")
        table.caption = "\n".join(
            [shown(verdict) for verdict in self.verdicts()]
            + [f"{name}: not installed here, left out" for name in self.absent]
            or ["for information"]
        )
        return table

    def record(self) -> dict[str, object]:
        return {
            "title": self.title,
            "goals": self.verdicts(),
            "absent": list(self.absent),
            "contenders": {
                label: {"median_s": statistics.median(times), "rounds_s": times}
                for label, times in self.times.items()
            },
        }


def shown(verdict: dict[str, object]) -> str:
    if verdict["met"] is None:
        return f"Goal: {verdict['goal']}: nothing to compare with"
    met = "met" if verdict["met"] else "NOT MET"
    return f"Goal: {verdict['goal']}: {met}, {verdict['ratio']:.3g}"


@dataclass
class Comparison:
    """Figures of one run, in columns."""

    title: str
    goal: str
    columns: Sequence[str]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)
    met: bool | None = None

    def table(self) -> Table:
        met = {None: "", True: ": met", False: ": NOT MET"}[self.met]
        table = Table(title=self.title, title_justify="left", caption=f"Goal: {self.goal}{met}",
                      caption_justify="left")  # fmt: skip
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        return table

    def record(self) -> dict[str, object]:
        return {"title": self.title, "goal": self.goal, "met": self.met, "figures": self.figures}
