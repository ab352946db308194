"""What there is to measure: a table of cells, and which of them make sense."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from isthmus.bench.results import Gap, Measure, Mode
    from isthmus.bench.settings import Settings


@dataclass(frozen=True)
class Cell:
    """One figure of each contender."""

    measure: Measure
    size: int | None = None
    mode: Mode | None = None
    peers: int | None = None

    @property
    def spinning(self) -> bool:
        return self.mode == "spinning"

    def gap(self, contender: str, why: str) -> Gap:
        """That it is not there."""
        from isthmus.bench.results import Gap

        return Gap(
            contender=contender,
            measure=self.measure,
            size=self.size,
            mode=self.mode,
            peers=self.peers,
            why=why,
        )

    def __str__(self) -> str:
        parts: list[str] = [self.measure]
        if self.size is not None:
            parts.append(f"{readable(self.size)},")
        if self.mode is not None:
            parts.append(self.mode)
        if self.peers not in {None, 1}:
            parts.append(f"from {self.peers}")
        return " ".join(parts)


def readable(size: int) -> str:
    """In bytes, KiB or MiB, whichever is whole."""
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} B"


def largest_only(wanted: Iterable[Cell], largest: int) -> Iterator[Cell]:
    """For one whose largest message is smaller than all that are wanted: those with that size."""
    wanted = [cell for cell in wanted if cell.size is not None]
    for measure, mode, peers in dict.fromkeys(
        (cell.measure, cell.mode, cell.peers) for cell in wanted
    ):
        sizes = [cell.size or 0 for cell in wanted if cell.measure == measure]
        if largest < min(sizes):
            yield Cell(measure, largest, mode, peers)


def cells(settings: Settings) -> Iterator[Cell]:
    """All that the settings ask for, in the order in which they are measured."""
    if "setup" in settings.measures:
        yield Cell("setup")
    if "latency" in settings.measures:
        for mode in settings.modes:
            for size in settings.trip_sizes:
                yield Cell("latency", size, mode, 1)
    if "throughput" in settings.measures:
        for mode in settings.modes:
            for peers in settings.peers:
                for size in settings.stream_sizes if peers == 1 else settings.crowd_sizes:
                    yield Cell("throughput", size, mode, peers)
    if "idle" in settings.measures:
        yield Cell("idle")
