"""Which form suits which need, on the machine where it was measured.

Each piece of advice is computed from the figures that decide it, and names them. Where those are
missing, nothing is said; where they do not differ by more than noise, that is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from isthmus.bench.show import noise
from isthmus.bench.show.grid import usual_size
from isthmus.bench.show.text import (
    flow_text,
    rate_text,
    ratio_text,
    share_text,
    size_text,
    time_text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from isthmus.bench.results import Contender, Latency, Results, Throughput

# From here on a message is large.
_LARGE = 1 << 20
# Of a core, while nothing happens: more than that is noticed on a battery or a bill.
_IDLE = 0.01
# What the kernel carries as it was sent: any program can be at the other end.
_PLAIN = ("seqpacket", "mq", "sysv")


@dataclass(frozen=True)
class Advice:
    """For a need, the choice (names of forms), and in a sentence the figures that decide."""

    need: str
    choice: str
    text: str


@dataclass(frozen=True)
class _Entry:
    """One contender's figure; `value` is to be small (a time, or one over a rate)."""

    contender: Contender
    value: float
    rounds: list[float]
    text: str


def advise(results: Results) -> list[Advice]:
    """All that the figures tell."""
    found = [rule(results) for rule in _RULES]
    return [advice for advice in found if advice is not None]


def sentences(results: Results) -> list[str]:
    """The closing paragraph, a sentence or two for each need."""
    told = [f"{one.need}: {one.choice}. {one.text}" for one in advise(results)]
    return told or ["Nothing that tells forms apart was measured."]


# ---- Rules --------------------------------------------------------------------------


def _lowest_latency(results: Results) -> Advice | None:
    size, entries = _trips(results, "spinning")
    return _choice(
        "Lowest latency, and a core to spend on it", entries, f"spinning, a round trip of {size}"
    )


def _without_spinning(results: Results) -> Advice | None:
    size, entries = _trips(results, "blocking")
    return _choice("Low latency without spinning", entries, f"asleep until woken, {size} and back")


def _many_small(results: Results) -> Advice | None:
    cells = [c for c in results.throughput if c.peers == 1 and c.size < _LARGE]
    size = usual_size(cells)
    entries = _streams(results, (c for c in cells if c.size == size), whole_bytes=False)
    return _choice("Many small messages", entries, f"{size_text(size or 0)} each")


def _large(results: Results) -> Advice | None:
    """Of the largest size that two forms, or else one, have been measured with."""
    forms = {one.id for one in results.contenders if one.family == "form"}
    able: dict[int, set[str]] = {}
    for cell in results.throughput:
        if cell.peers == 1 and cell.size >= _LARGE and cell.contender in forms:
            able.setdefault(cell.size, set()).add(cell.contender)
    if not able:
        return None
    size = max(able, key=lambda size: (min(len(able[size]), 2), size))
    cells = (c for c in results.throughput if c.peers == 1 and c.size == size)
    return _choice(
        "Large messages", _streams(results, cells, whole_bytes=True), f"{size_text(size)} each"
    )


def _many_peers(results: Results) -> Advice | None:
    crowds = [cell for cell in results.throughput if cell.peers > 1]
    peers = max((cell.peers for cell in crowds), default=0)
    crowds = [cell for cell in crowds if cell.peers == peers]
    size = usual_size(crowds)
    entries = _streams(results, (c for c in crowds if c.size == size), whole_bytes=False)
    what = f"{peers} of them at once, {size_text(size or 0)} each"
    return _choice("Many senders", entries, what)


def _idle(results: Results) -> Advice | None:
    shares = {
        results.contender(one.contender).label: one.cpu_share
        for one in results.idle
        if results.contender(one.contender).family == "form"
    }
    if not shares:
        return None
    busy = {label: share for label, share in shares.items() if share > _IDLE}
    if not busy:
        most = max(shares.values())
        used = f"more than {share_text(most)}" if most >= 0.00005 else "a measurable share"
        return Advice(
            "Long waits for little", "any form", f"None used {used} of a core while idle."
        )
    texts = [f"{label} ({share_text(share)} of a core)" for label, share in busy.items()]
    text = f"While idle, {_list(texts)} went on using the processor"
    calm = [share for label, share in shares.items() if label not in busy]
    if not calm:
        return Advice("Long waits for little", "none of the forms", f"{text}.")
    text += f"; the others at most {share_text(max(calm))}."
    return Advice("Long waits for little", f"not {_list([*busy])}", text)


def _processor(results: Results) -> Advice | None:
    cells = [
        c
        for c in results.throughput
        if c.peers == 1 and c.mode == "blocking" and c.size < _LARGE and c.cpu_per_message > 0
    ]
    size = usual_size(cells)
    entries = [
        _Entry(
            results.contender(c.contender),
            c.cpu_per_message,
            # It scatters as the rate does.
            [c.cpu_per_message * c.messages_per_s / rate for rate in c.rounds if rate > 0],
            time_text(c.cpu_per_message),
        )
        for c in cells
        if c.size == size
    ]
    return _choice(
        "Least processor time", entries, f"a message of {size_text(size or 0)}, both sides"
    )


def _network(results: Results) -> Advice | None:
    size, entries = _trips(results, "blocking")
    tcp = next((one for one in entries if one.contender.id == "tcp"), None)
    if tcp is None:
        return None
    text = f"Only it reaches other hosts. Within this one, {size} and back take {tcp.text}"
    best = min((one for one in _forms(entries)), key=lambda one: one.value)
    if best is not tcp:
        factor = ratio_text(tcp.value / best.value)
        text += f", {factor} times as long as through {best.contender.label}"
    return Advice("Across a network", tcp.contender.label, f"{text}.")


def _kept(results: Results) -> Advice | None:
    cells = [c for c in results.throughput if c.peers == 1 and c.size < _LARGE]
    size = usual_size(cells)
    entries = _streams(results, (c for c in cells if c.size == size), whole_bytes=False)
    file = next((one for one in entries if one.contender.id == "file"), None)
    if file is None:
        return None
    text = (
        "What was sent stays, for readers that come later and through a restart of the machine: "
        f"{file.text} of {size_text(size or 0)}"
    )
    best = min((one for one in _forms(entries)), key=lambda one: one.value)
    if best is not file:
        text += f", where {best.contender.label} moves {best.text}"
    return Advice("Messages that are kept", file.contender.label, f"{text}.")


def _strangers(results: Results) -> Advice | None:
    size, entries = _trips(results, "blocking")
    plain = [one for one in entries if one.contender.id in _PLAIN]
    return _choice("A program without this library at the other end", plain, f"{size} and back")


_RULES: tuple[Callable[[Results], Advice | None], ...] = (
    _lowest_latency,
    _without_spinning,
    _many_small,
    _large,
    _many_peers,
    _idle,
    _processor,
    _network,
    _kept,
    _strangers,
)


# ---- Figures ------------------------------------------------------------------------


def _trips(results: Results, mode: str) -> tuple[str, list[_Entry]]:
    """Round trips of one size, the usual one, and that size."""
    cells = [c for c in results.latency if c.mode == mode and c.peers == 1 and c.p50 > 0]
    size = usual_size(cells)

    def entry(cell: Latency) -> _Entry:
        text = time_text(cell.p50)
        return _Entry(results.contender(cell.contender), cell.p50, cell.rounds_p50, text)

    return size_text(size or 0), [entry(cell) for cell in cells if cell.size == size]


def _streams(results: Results, cells: Iterable[Throughput], *, whole_bytes: bool) -> list[_Entry]:
    """The better of both ways to wait, of each contender."""
    best: dict[str, _Entry] = {}
    for cell in cells:
        if cell.messages_per_s > 0:
            text = flow_text(cell.bytes_per_s) if whole_bytes else rate_text(cell.messages_per_s)
            one = _Entry(
                results.contender(cell.contender),
                1 / cell.messages_per_s,
                [1 / value for value in cell.rounds if value > 0],
                text if cell.mode == "blocking" else f"{text} spinning",
            )
            other = best.get(cell.contender)
            if other is None or one.value < other.value:
                best[cell.contender] = one
    return list(best.values())


def _forms(entries: Sequence[_Entry]) -> list[_Entry]:
    return sorted(
        (one for one in entries if one.contender.family == "form"), key=lambda one: one.value
    )


def _choice(need: str, entries: Sequence[_Entry], what: str) -> Advice | None:
    """The best form, or all that cannot be told from it; and how far the next one is."""
    forms = _forms(entries)
    if not forms:
        return None
    best = forms[0]
    # As far as the first that is worse for certain.
    equal = list(takewhile(lambda one: one is best or not _differ(one, best), forms))
    labels = [one.contender.label for one in equal]
    text = f"{what[0].upper()}{what[1:]}: "
    text += _list([f"{one.text} with {one.contender.label}" for one in equal])
    if len(equal) > 1:
        text += ", which is no difference beyond noise"
    rest = forms[len(equal) :]
    if rest:
        text += f"; the next form, {rest[0].contender.label}, is {_behind(rest[0], best)}"
    elif len(forms) == 1:
        text += ", the only form that was measured for this"
    return Advice(need, " or ".join(labels), text + _others(entries, best) + ".")


def _others(entries: Sequence[_Entry], best: _Entry) -> str:
    """How the floor and the fastest rival compare with the best form."""
    text = ""
    floors = [one for one in entries if one.contender.family == "floor"]
    if floors:
        floor = min(floors, key=lambda one: one.value)
        text += f". The floor, {floor.contender.label}, has {floor.text}"
    rivals = [one for one in entries if one.contender.family == "rival"]
    if rivals:
        rival = min(rivals, key=lambda one: one.value)
        label = rival.contender.label
        if not _differ(rival, best):
            text += f". Of other packages, {label} is as good within noise ({rival.text})"
        elif rival.value < best.value:
            factor = ratio_text(best.value / rival.value)
            text += f". Of other packages, {label} is a factor of {factor} ahead ({rival.text})"
        else:
            text += f". Of other packages, the best is {label}, {_behind(rival, best)}"
    return text


def _differ(one: _Entry, other: _Entry) -> bool:
    return noise.within_run(one.value, one.rounds, other.value, other.rounds).certain


def _behind(one: _Entry, other: _Entry) -> str:
    return f"a factor of {ratio_text(one.value / other.value)} behind ({one.text})"


def _list(items: Sequence[str]) -> str:
    *some, last = items
    return f"{', '.join(some)} and {last}" if some else last
