"""What a run is to measure, and how long."""

from __future__ import annotations

import os
from dataclasses import dataclass

from isthmus.errors import ArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from isthmus.bench.results import Measure, Mode

KIB, MIB = 1 << 10, 1 << 20
SIZES = (8, 64, 512, 4 * KIB, 64 * KIB, MIB, 8 * MIB, 64 * MIB)
QUICK_SIZES = (64, 4 * KIB, 64 * KIB, MIB)
LATENCY_SIZES = (8, 64, KIB, 64 * KIB, MIB)
QUICK_LATENCY_SIZES = (64,)
MEASURES: tuple[Measure, ...] = ("latency", "throughput", "setup", "idle")
MODES: tuple[Mode, ...] = ("blocking", "spinning")
# Seconds that a whole run may take, what the machine cannot do in time left out.
BUDGET, QUICK_BUDGET = 300.0, 21.0
ROUNDS, QUICK_ROUNDS = 7, 3
MOST_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to measure. A run takes some 25 s when `quick`, else 6 minutes with all rivals.

    Args:
        quick: fewer sizes, fewer rounds, less time.
        forms, rivals, floors: the ids of those that take part; None: all there are.
        sizes: of messages, for throughput (and latency, if those are not given), in bytes.
        latency_sizes: of messages that are answered.
        measures: of ``"latency"``, ``"throughput"``, ``"setup"`` and ``"idle"``.
        modes: of ``"blocking"`` and ``"spinning"``.
        peers: how many senders there are to one receiver, for throughput.
        peers_sizes: with several senders, only these; None: 64 bytes, or the first of `sizes`.
        cores: on which the processes take turns; None: the last two of this process's. Nothing
            spins where there are fewer than processes.
        rounds: how often each is measured, all others in between; the median counts.
        seconds: that each figure is measured in each round; None: what `budget` allows.
        budget: seconds for the run. What takes longer than thought loses rounds, never all.
        idle_seconds: how long a receiver is watched that gets nothing.
        patience: seconds beyond its time after which a process is taken to hang.
    """

    quick: bool = False
    forms: Sequence[str] | None = None
    rivals: Sequence[str] | None = None
    floors: Sequence[str] | None = None
    sizes: Sequence[int] | None = None
    latency_sizes: Sequence[int] | None = None
    measures: Sequence[Measure] = MEASURES
    modes: Sequence[Mode] = MODES
    peers: Sequence[int] = (1, 4)
    peers_sizes: Sequence[int] | None = None
    cores: Sequence[int] | None = None
    rounds: int | None = None
    seconds: float | None = None
    budget: float | None = None
    idle_seconds: float | None = None
    patience: float = 20.0

    def __post_init__(self) -> None:
        _known("measures", self.measures, MEASURES)
        _known("modes", self.modes, MODES)
        for name in ("sizes", "latency_sizes", "peers_sizes"):
            for size in getattr(self, name) or ():
                if not 1 <= size <= MOST_BYTES:
                    raise ArgumentError(f"{name}: {size} is not from 1 byte to 1 GiB")
        for name in ("rounds", "seconds", "budget", "idle_seconds", "patience"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ArgumentError(f"{name}: {value} is not above 0")
        for count in self.peers:
            if not 1 <= count <= 64:
                raise ArgumentError(f"peers: {count} is not from 1 to 64")
        allowed = os.sched_getaffinity(0)
        for core in self.cores or ():
            if core not in allowed:
                raise ArgumentError(
                    f"cores: this process may not use core {core}; it may use "
                    f"{', '.join(map(str, sorted(allowed)))}"
                )
        if self.cores is not None and not self.cores:
            raise ArgumentError("cores: none given; name one or two, or leave it out")

    @property
    def stream_sizes(self) -> tuple[int, ...]:
        """Those that throughput is measured with."""
        if self.sizes is not None:
            return _once(self.sizes)
        return QUICK_SIZES if self.quick else SIZES

    @property
    def trip_sizes(self) -> tuple[int, ...]:
        """Those that latency is measured with."""
        if self.latency_sizes is not None:
            return _once(self.latency_sizes)
        if self.sizes is not None:
            return _once(self.sizes)
        return QUICK_LATENCY_SIZES if self.quick else LATENCY_SIZES

    @property
    def crowd_sizes(self) -> tuple[int, ...]:
        """Those that several senders send."""
        if self.peers_sizes is not None:
            return _once(self.peers_sizes)
        sizes = self.stream_sizes
        return (64,) if 64 in sizes else sizes[:1]

    @property
    def pinned(self) -> list[int]:
        """The cores that are used. The first of a machine serves most interrupts: not that one."""
        if self.cores is not None:
            return list(_once(self.cores))
        return sorted(os.sched_getaffinity(0))[-2:]

    @property
    def most_rounds(self) -> int:
        return self.rounds or (QUICK_ROUNDS if self.quick else ROUNDS)

    @property
    def time(self) -> float | None:
        """Seconds for all figures, if they are not given one by one."""
        if self.seconds is not None:
            return self.budget
        return self.budget or (QUICK_BUDGET if self.quick else BUDGET)

    @property
    def watched(self) -> float:
        """Seconds that a receiver is idle."""
        return self.idle_seconds or (1.2 if self.quick else 3.0)

    def record(self) -> dict[str, object]:
        """As results keep it."""
        return {
            "forms": None if self.forms is None else list(self.forms),
            "rivals": None if self.rivals is None else list(self.rivals),
            "floors": None if self.floors is None else list(self.floors),
            "rounds": self.most_rounds,
            "sizes": list(self.stream_sizes),
            "latency_sizes": list(self.trip_sizes),
            "peers_sizes": list(self.crowd_sizes),
            "measures": list(self.measures),
            "modes": list(self.modes),
            "peers": list(self.peers),
            "cores": self.pinned,
            "seconds": self.seconds,
            "budget": self.time,
            "idle_seconds": self.watched,
            "patience": self.patience,
        }


def _once(values: Sequence[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(values))


def _known(name: str, values: Iterable[str], known: Sequence[str]) -> None:
    for value in values:
        if value not in known:
            raise ArgumentError(f"{name}: there is no {value!r}; there are {', '.join(known)}")
