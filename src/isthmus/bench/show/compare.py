"""What has become slower or faster since another run."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.bench.show import noise
from isthmus.bench.show.text import (
    busy_text,
    flow_text,
    machine_text,
    rate_text,
    ratio_text,
    share_text,
    size_text,
    time_text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from isthmus.bench.results import Results

# Idle shares have no rounds; less than that is not spoken of, nor is less than twice as much.
_IDLE_LEAST = 0.005
_IDLE_FACTOR = 2.0
# Of the clock's ticks of processor time, where there are few: more than rounds tell of.
_PROCESSOR_LEAST = 0.15


@dataclass(frozen=True)
class Change:
    """A figure that differs beyond noise. `ratio` is new / old."""

    label: str
    what: str
    old_text: str
    new_text: str
    ratio: noise.Ratio
    worse: bool

    @property
    def ratio_text(self) -> str:
        return ratio_text(self.ratio.value)

    @property
    def noise_text(self) -> str:
        """More or less than that, nothing would have been said."""
        return f"{(self.ratio.noise - 1) * 100:.0f} %"

    @property
    def size(self) -> float:
        """How large it is, whatever its direction."""
        return max(self.ratio.value, 1 / self.ratio.value)


@dataclass(frozen=True)
class Comparison:
    """Two runs, side by side. `changes`: those for the worse first, the largest on top."""

    warnings: list[str]
    changes: list[Change]
    compared: int
    only_new: int
    only_old: int

    @property
    def summary(self) -> str:
        """In one line."""
        if not self.compared:
            return "The two runs have no figure in common: nothing was compared."
        worse = sum(change.worse for change in self.changes)
        better = len(self.changes) - worse
        text = (
            f"{_figures(self.compared)} compared: {worse} worse, {better} better, "
            f"{self.compared - worse - better} within noise"
        )
        for count, which in ((self.only_new, "new"), (self.only_old, "old")):
            if count:
                text += f"; {_figures(count)} only in the {which} run"
        return text


@dataclass(frozen=True)
class _Figure:
    value: float
    rounds: list[float]
    text: str
    more_is_better: bool = False
    least: float = noise.OTHER_RUN


_Key = tuple[str, str, int, str, int]  # contender, measure, size, mode, peers


def compare(old: Results, new: Results) -> Comparison:
    """Each figure that both have, new against old."""
    before, after = _figures_of(old), _figures_of(new)
    both = [key for key in after if key in before]
    changes = []
    for key in both:
        change = _change(new, key, before[key], after[key])
        if change is not None:
            changes.append(change)
    changes.sort(key=lambda change: (not change.worse, -change.size))
    return Comparison(
        _warnings(old, new), changes, len(both), len(after) - len(both), len(before) - len(both)
    )


def _change(new: Results, key: _Key, before: _Figure, after: _Figure) -> Change | None:
    contender, measure, size, mode, peers = key
    if measure == "idle CPU":
        low, high = sorted((before.value, after.value))
        if high < _IDLE_LEAST or high < _IDLE_FACTOR * low:
            return None
        # Nothing at all, before or after, has no ratio.
        found = noise.Ratio(max(after.value, 1e-5) / max(before.value, 1e-5), noise=_IDLE_FACTOR)
    else:
        found = noise.between_runs(
            after.value, after.rounds, before.value, before.rounds, after.least
        )
        if not found.certain:
            return None
    what = measure
    if size:
        what += f", {size_text(size)}"
    if mode:
        what += f", {mode}"
    if peers > 1:
        what += f", {peers} senders"
    return Change(
        new.contender(contender).label,
        what,
        before.text,
        after.text,
        found,
        worse=(found.value < 1) == after.more_is_better,
    )


def _figures_of(results: Results) -> dict[_Key, _Figure]:
    """All that have something to compare; 0 has no ratio to anything."""
    found: dict[_Key, _Figure] = {}
    for trip in results.latency:
        if trip.p50 > 0:
            found[trip.contender, "round trip", trip.size, trip.mode, trip.peers] = _Figure(
                trip.p50, trip.rounds_p50, time_text(trip.p50)
            )
    for flow in results.throughput:
        text: Callable[[float], str] = rate_text
        value = flow.messages_per_s
        if flow.size >= 4096:
            text, value = flow_text, flow.bytes_per_s
        if flow.messages_per_s > 0:
            key = (flow.contender, "throughput", flow.size, flow.mode, flow.peers)
            found[key] = _Figure(flow.messages_per_s, flow.rounds, text(value), more_is_better=True)
        if flow.cpu_per_message > 0:
            key = (flow.contender, "CPU a message", flow.size, flow.mode, flow.peers)
            found[key] = _Figure(
                flow.cpu_per_message,
                # It scatters as the time a message does, or more.
                [1 / rate for rate in flow.rounds if rate > 0],
                time_text(flow.cpu_per_message),
                least=_PROCESSOR_LEAST,
            )
    for setup in results.setup:
        if setup.seconds > 0:
            found[setup.contender, "set-up", 0, "", 1] = _Figure(
                setup.seconds, setup.rounds, time_text(setup.seconds)
            )
    for idle in results.idle:
        found[idle.contender, "idle CPU", 0, "", 1] = _Figure(
            idle.cpu_share, [], share_text(idle.cpu_share)
        )
    return found


def _warnings(old: Results, new: Results) -> list[str]:
    """Why the two runs may differ for other reasons than the code."""
    warnings = []
    if machine_text(old.machine) != machine_text(new.machine):
        warnings.append(
            f"Another machine or Python: {machine_text(old.machine)} before, "
            f"{machine_text(new.machine)} now. The differences may be theirs."
        )
    if old.quick != new.quick:
        which = "old" if old.quick else "new"
        warnings.append(f"Only the {which} run was a quick one: its figures have more noise.")
    if old.machine.pinned != new.machine.pinned:
        warnings.append(
            f"Pinned to cores {_cores(old.machine.pinned)} before, "
            f"{_cores(new.machine.pinned)} now."
        )
    for results, which in ((old, "old"), (new, "new")):
        if busy_text(results) is not None:
            load = results.machine.load[0]
            warnings.append(f"The machine was busy before the {which} run (load {load:.1f}).")
    versions = {one.id: one.version for one in old.contenders}
    warnings += [
        f"{one.label} is of version {one.version} now, and was {versions[one.id]}."
        for one in new.contenders
        if one.version is not None and versions.get(one.id) not in {None, one.version}
    ]
    return warnings


def _cores(pinned: list[int]) -> str:
    return " and ".join(map(str, pinned)) or "none"


def _figures(count: int) -> str:
    return "1 figure" if count == 1 else f"{count} figures"
