"""Timing contenders fairly: pinned, warmed up, taking turns in every round; medians and ratios."""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.table import Table

from isthmus.bench.measure.machine import machine as measured_on

# Those that this process may use, before it pins itself.
CORES = sorted(os.sched_getaffinity(0))
# With which isthmus is compared.
RIVALS = ("posix_ipc", "sysv_ipc", "zeroq", "iceoryx2", "faster-fifo", "pyzmq")


class Result(Protocol):
    """What a benchmark has to show."""

    def table(self) -> Table: ...
    def record(self) -> dict[str, object]: ...


@dataclass
class Contender:
    """One way to do the job. `run` does it `count` times."""

    label: str
    run: Callable[[int], object]
    count: int


@dataclass
class Race:
    """Contenders for the same job; the first is what the goal is about."""

    title: str
    contenders: list[Contender]
    goal: str
    rounds: int = 21
    times: dict[str, list[float]] = field(default_factory=dict)

    def run(self) -> Race:
        for contender in self.contenders:
            contender.run(max(1, contender.count // 10))
        self.times = {contender.label: [] for contender in self.contenders}
        gc.disable()
        try:
            for number in range(self.rounds):
                # Taking turns, each round in another order: drift hits all alike.
                shift = number % len(self.contenders)
                for contender in self.contenders[shift:] + self.contenders[:shift]:
                    start = time.perf_counter()
                    contender.run(contender.count)
                    spent = time.perf_counter() - start
                    self.times[contender.label].append(spent / contender.count)
                gc.collect()
        finally:
            gc.enable()
        return self

    def median(self, label: str) -> float:
        return statistics.median(self.times[label])

    def ratio(self, label: str) -> float:
        """Median over rounds of first contender / this one: under 1, the first is faster."""
        first = self.times[self.contenders[0].label]
        return statistics.median(a / b for a, b in zip(first, self.times[label], strict=True))

    def table(self) -> Table:
        table = Table(title=self.title, title_justify="left", caption=f"Goal: {self.goal}",
                      caption_justify="left")  # fmt: skip
        table.add_column("contender", overflow="fold")
        for column in ("median", "fastest", "p90", "isthmus / this"):
            table.add_column(column, justify="right")
        for contender in self.contenders:
            times = sorted(self.times[contender.label])
            p90 = times[int(len(times) * 0.9)]
            cells = [duration(value) for value in (statistics.median(times), times[0], p90)]
            table.add_row(contender.label, *cells, f"{self.ratio(contender.label):.2f}")
        return table

    def record(self) -> dict[str, object]:
        return {
            "title": self.title,
            "goal": self.goal,
            "contenders": {
                contender.label: {
                    "median_s": self.median(contender.label),
                    "ratio": self.ratio(contender.label),
                    "rounds_s": self.times[contender.label],
                }
                for contender in self.contenders
            },
        }


def duration(seconds: float) -> str:
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def pin() -> int:
    """Keep this process on one core, the last it may use: the first serves most interrupts."""
    core = CORES[-1]
    os.sched_setaffinity(0, {core})
    return core


def machine(core: int) -> dict[str, str]:
    facts = measured_on([core], ("isthmus", "numpy", *RIVALS))
    return {
        "processor": f"{facts.processor}, {facts.cores} cores, pinned to {core}",
        "system": facts.system,
        "python": facts.python,
        "packages": ", ".join(f"{name} {version}" for name, version in facts.packages.items()),
        "load": " ".join(f"{value:.2f}" for value in facts.load),
    }


def report(races: list[Result], facts: dict[str, str], path: str | None) -> None:
    console = Console()
    for key, value in facts.items():
        console.print(f"[bold]{key}[/]: {value}")
    for race in races:
        console.print()
        console.print(race.table())
    if path:
        record = {"machine": facts, "command": sys.argv, "races": [r.record() for r in races]}
        Path(path).write_text(json.dumps(record, indent=2) + "\n")
