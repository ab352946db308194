"""What has been measured, cell by cell, and what comes of it."""

from __future__ import annotations

import statistics
from array import array

from isthmus.bench.measure.figures import percentile
from isthmus.bench.results import Gap, Idle, Latency, Setup, Throughput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from isthmus.bench.measure.cells import Cell


class Tally:
    """Every cell of every contender ends up in one of its lists.

    Of those in `floors`, the best round counts: what disturbed the others is not theirs.
    """

    def __init__(self, floors: Collection[str] = ()) -> None:
        self._floors = floors
        self.skipped: list[Gap] = []
        self.failed: list[Gap] = []
        self._trips: dict[tuple[str, Cell], list[array[int]]] = {}
        self._rates: dict[tuple[str, Cell], list[float]] = {}
        self._cpu: dict[tuple[str, Cell], list[float]] = {}
        self._setup: dict[str, list[float]] = {}
        self._idle: list[Idle] = []

    def skip(self, gap: Gap) -> None:
        """It cannot be had, by the nature of things."""
        self._drop(gap)
        self.skipped.append(gap)

    def fail(self, gap: Gap) -> None:
        """Something went wrong. What rounds before it found is not told: it may be wrong, too."""
        self._drop(gap)
        self.failed.append(gap)

    def skips(self, contender: str, measure: str) -> bool:
        """Whether a contender has none of a measure."""
        return any(
            gap.contender == contender and gap.measure == measure and gap.size is None
            for gap in self.skipped
            if gap.mode is None
        )

    def has(self, contender: str, cell: Cell) -> bool:
        """Whether a round has found something."""
        if cell.measure == "setup":
            return contender in self._setup
        return (contender, cell) in self._trips or (contender, cell) in self._rates

    def _drop(self, gap: Gap) -> None:
        for store in (self._trips, self._rates, self._cpu):
            for contender, cell in list(store):
                if cell.gap(contender, gap.why) == gap:
                    del store[contender, cell]
        if gap.measure == "setup":
            self._setup.pop(gap.contender, None)

    def trips(self, contender: str, cell: Cell, nanoseconds: array[int]) -> None:
        """The round trips of one round."""
        self._trips.setdefault((contender, cell), []).append(nanoseconds)

    def stream(self, contender: str, cell: Cell, rate: float, cpu: float) -> None:
        """Messages a second of one round, and CPU seconds for each."""
        self._rates.setdefault((contender, cell), []).append(rate)
        self._cpu.setdefault((contender, cell), []).append(cpu)

    def setup(self, contender: str, seconds: float) -> None:
        self._setup.setdefault(contender, []).append(seconds)

    def idle(self, contender: str, share: float, seconds: float) -> None:
        self._idle.append(Idle(contender=contender, cpu_share=share, seconds=seconds))

    def latencies(self) -> list[Latency]:
        """Percentiles over all trips of all rounds."""
        return [
            _latency(contender, cell, rounds, contender in self._floors)
            for (contender, cell), rounds in self._trips.items()
        ]

    def throughputs(self) -> list[Throughput]:
        """Medians over the rounds."""
        found = []
        for (contender, cell), rounds in self._rates.items():
            best = contender in self._floors
            rate = max(rounds) if best else statistics.median(rounds)
            assert cell.size is not None
            assert cell.mode is not None
            found.append(
                Throughput(
                    contender=contender,
                    size=cell.size,
                    mode=cell.mode,
                    peers=cell.peers or 1,
                    messages_per_s=rate,
                    bytes_per_s=rate * cell.size,
                    rounds=rounds,
                    cpu_per_message=(min if best else statistics.median)(
                        self._cpu[contender, cell]
                    ),
                )
            )
        return found

    def setups(self) -> list[Setup]:
        return [
            Setup(contender=contender, seconds=statistics.median(rounds), rounds=rounds)
            for contender, rounds in self._setup.items()
        ]

    def idles(self) -> list[Idle]:
        return list(self._idle)


def _latency(contender: str, cell: Cell, rounds: list[array[int]], best: bool) -> Latency:
    assert cell.size is not None
    assert cell.mode is not None
    medians = [percentile(sorted(times), 0.5) for times in rounds]
    counted = [rounds[medians.index(min(medians))]] if best else rounds
    ordered = sorted(time for times in counted for time in times)
    p50, p90, p99, p999 = (percentile(ordered, share) * 1e-9 for share in (0.5, 0.9, 0.99, 0.999))
    return Latency(
        contender=contender,
        size=cell.size,
        mode=cell.mode,
        peers=cell.peers or 1,
        count=len(ordered),
        p50=p50,
        p90=p90,
        p99=p99,
        p999=p999,
        min=ordered[0] * 1e-9,
        mean=statistics.fmean(ordered) * 1e-9,
        rounds_p50=[median * 1e-9 for median in medians],
    )
