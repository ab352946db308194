"""Figures as people read them: three digits, and the unit that makes them short."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from isthmus.bench.results import Gap, Machine, Results

_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_COUNTS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
MODES = ("spinning", "blocking")


def size_text(size: float) -> str:
    """
    >>> size_text(8), size_text(1024), size_text(1500), size_text(64 << 20)
    ('8 B', '1 KiB', '1.46 KiB', '64 MiB')
    """
    for factor, unit in _SIZES:
        if size >= factor:
            return f"{digits(size / factor)} {unit}"
    return f"{size:.0f} B"


def time_text(seconds: float) -> str:
    """
    >>> time_text(0), time_text(7.5e-7), time_text(1e-6), time_text(0.0123), time_text(9.9996e-4)
    ('0', '750 ns', '1 µs', '12.3 ms', '1 ms')
    """
    if not seconds:
        return "0"
    for factor, unit in _TIMES:
        # What would be shown as 1000 of a unit is 1 of the next.
        if seconds >= factor * 0.9995:
            return f"{digits(seconds / factor)} {unit}"
    return f"{digits(seconds * 1e9)} ns"


def rate_text(messages: float) -> str:
    """
    >>> rate_text(4_321_000), rate_text(999.96), rate_text(12)
    ('4.32 M/s', '1 k/s', '12 /s')
    """
    for factor, unit in _COUNTS:
        if messages >= factor * 0.9995:
            return f"{digits(messages / factor)} {unit}/s"
    return f"{digits(messages)} /s"


def flow_text(bytes_per_s: float) -> str:
    """
    >>> flow_text(17 << 30), flow_text(0)
    ('17 GiB/s', '0 B/s')
    """
    return f"{size_text(bytes_per_s)}/s"


def share_text(share: float) -> str:
    """
    >>> share_text(0.0001), share_text(0.0123), share_text(0.999)
    ('0.01 %', '1.2 %', '100 %')
    """
    percent = share * 100
    for limit, places in ((0.1, 2), (10, 1)):
        if percent < limit:
            return f"{percent:.{places}f} %"
    return f"{percent:.0f} %"


def ratio_text(ratio: float) -> str:
    """
    >>> ratio_text(1.04), ratio_text(2.345), ratio_text(17.2), ratio_text(431.9)
    ('1.04', '2.3', '17', '432')
    """
    for limit, places in ((1.995, 2), (9.95, 1)):
        if ratio < limit:
            return f"{ratio:.{places}f}"
    return f"{ratio:.0f}"


def digits(value: float) -> str:
    """Three of them, and no zeros behind the point.

    >>> digits(1.0), digits(1.234), digits(12.34), digits(123.4), digits(1234.5), digits(0.5)
    ('1', '1.23', '12.3', '123', '1234', '0.5')
    """
    for limit, places in ((9.995, 2), (99.95, 1)):
        if value < limit:
            text = f"{value:.{places}f}"
            return text.rstrip("0").rstrip(".") or "0"
    return f"{value:.0f}"


def machine_text(machine: Machine) -> str:
    """The machine in one line.

    The version of the kernel without what the distribution has added.
    """
    cores = "1 core" if machine.cores == 1 else f"{machine.cores} cores"
    system = machine.system.split("-", 1)[0]
    python = machine.python.removeprefix("CPython ")
    return f"{machine.processor}, {cores} · {system} · Python {python}"


def busy_text(results: Results) -> str | None:
    """A warning, if others had work for the machine when the run began."""
    machine = results.machine
    load = machine.load[0] if machine.load else 0.0
    if load <= max(machine.cores / 2, 1):
        return None
    return (
        f"The machine was busy when the run began (load {load:.1f}): some of what it shows is "
        "the doing of others."
    )


def gap_text(results: Results, gaps: Sequence[Gap]) -> list[tuple[str, str, str]]:
    """Who is missing, what of it, and why: one line for all that have that in common."""
    groups: dict[tuple[str, str], list[Gap]] = {}
    for gap in gaps:
        label = results.contender(gap.contender).label
        why = " ".join(gap.why.split()).removeprefix(f"{label}: ")
        groups.setdefault((label, why), []).append(gap)
    told: dict[tuple[str, str], list[str]] = {}
    for (label, why), group in groups.items():
        told.setdefault((_what_text(group), why), []).append(label)
    return [(", ".join(labels), what, why) for (what, why), labels in told.items()]


def _what_text(gaps: Sequence[Gap]) -> str:
    names: dict[str, str] = {"setup": "set-up", "idle": "idle CPU"}
    measures = list(dict.fromkeys(names.get(gap.measure, gap.measure) for gap in gaps))
    if len(measures) == 4:
        return "everything"
    parts = [" and ".join(measures)]
    modes = {gap.mode for gap in gaps}
    if len(modes) == 1:
        parts += [mode for mode in modes if mode is not None]
    peers = {gap.peers for gap in gaps}
    if len(peers) == 1:
        parts += [f"{count} senders" for count in peers if count is not None and count > 1]
    sizes = [gap.size for gap in gaps if gap.size is not None]
    if len(sizes) == len(gaps):
        low, high = size_text(min(sizes)), size_text(max(sizes))
        parts.append(low if low == high else f"{low} to {high}")
    return ", ".join(parts)
