"""The figures of a run in rows and columns, for the terminal and for the page.

A row is a contender. Floors come first, then all others together, the best one on top.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from isthmus.bench.show.text import (
    MODES,
    flow_text,
    rate_text,
    ratio_text,
    share_text,
    size_text,
    time_text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from isthmus.bench.results import Contender, Family, Latency, Results, Throughput

# From here on, how many bytes pass tells more than how many messages.
LARGE = 4096


@dataclass(frozen=True)
class Cell:
    """A figure: the number, which is None where it is not known, and its text."""

    value: float | None
    text: str


@dataclass(frozen=True)
class Row:
    """`best` is the number of each column in which none but a floor does better."""

    label: str
    family: Family
    cells: list[Cell]
    best: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Grid:
    """One table. `sizes`: its columns are sizes of messages, some of which may be left out."""

    title: str
    note: str
    columns: list[str]
    rows: list[Row]
    sizes: bool = False


_NONE = Cell(None, "-")


def grids(results: Results) -> list[Grid]:
    """All tables there is something for."""
    made = []
    for mode in MODES:
        made += [_percentiles(results, mode), _trips(results, mode), _streams(results, mode)]
    made += [*(_crowds(results, mode) for mode in MODES), _costs(results)]
    return [grid for grid in made if grid.rows]


def usual_size(cells: Iterable[Latency | Throughput]) -> int | None:
    """The size that most contenders have a figure for; the smallest of those."""
    counts = Counter(cell.size for cell in cells)
    return min(counts, key=lambda size: (-counts[size], size)) if counts else None


def trips_of(results: Results, mode: str) -> dict[str, Latency]:
    """One round trip of each contender, of the usual size, or else of the nearest that it has."""
    cells = [cell for cell in results.latency if cell.mode == mode and cell.peers == 1]
    usual = usual_size(cells)
    found: dict[str, Latency] = {}
    for cell in cells:
        assert usual is not None
        other = found.get(cell.contender)
        if other is None or abs(cell.size - usual) < abs(other.size - usual):
            found[cell.contender] = cell
    return found


def _percentiles(results: Results, mode: str) -> Grid:
    trips = trips_of(results, mode)
    usual = usual_size(trips.values())
    floor = min(
        (one.p50 for id, one in trips.items() if results.contender(id).family == "floor"),
        default=None,
    )
    entries = []
    for id, one in trips.items():
        contender = results.contender(id)
        times = [one.p50, one.p90, one.p99, one.p999]
        cells = [Cell(time, time_text(time)) for time in times]
        if floor is not None:
            ratio = one.p50 / floor if floor else None
            cells.append(_NONE if ratio is None else Cell(ratio, ratio_text(ratio)))
        entries.append((contender, cells, "" if one.size == usual else f" ({size_text(one.size)})"))
    columns = ["p50", "p90", "p99", "p99.9"] + (["x floor"] if floor is not None else [])
    note = (
        "There and back, each trip timed by itself: of 1000, 500, 900, 990 and 999 take no longer."
    )
    fewest = min((one.count for one in trips.values()), default=0)
    if fewest < 1000:
        note += f" Of few trips ({fewest} of some), p99.9 is the slowest one."
    return Grid(
        f"Round trip of {size_text(usual or 0)}, {mode}",
        note,
        columns,
        _sorted(entries, lowest=True),
    )


def _trips(results: Results, mode: str) -> Grid:
    cells = [cell for cell in results.latency if cell.mode == mode and cell.peers == 1]
    found = {(one.contender, one.size): Cell(one.p50, time_text(one.p50)) for one in cells}
    return _by_size(
        results, f"Round trip by size of message, {mode}", "Medians.", found, lowest=True
    )


def _streams(results: Results, mode: str) -> Grid:
    cells = [cell for cell in results.throughput if cell.mode == mode and cell.peers == 1]
    found = {(one.contender, one.size): _rate(one) for one in cells}
    note = f"One sender, one receiver. Messages, or from {size_text(LARGE)} on bytes, a second."
    return _by_size(results, f"Throughput by size of message, {mode}", note, found, lowest=False)


def _rate(one: Throughput) -> Cell:
    text = rate_text(one.messages_per_s) if one.size < LARGE else flow_text(one.bytes_per_s)
    return Cell(one.messages_per_s, text)


def _by_size(
    results: Results,
    title: str,
    note: str,
    found: Mapping[tuple[str, int], Cell],
    *,
    lowest: bool,
) -> Grid:
    sizes = sorted({size for _, size in found})
    entries = []
    for contender in results.contenders:
        cells = [found.get((contender.id, size), _NONE) for size in sizes]
        if any(cell.value is not None for cell in cells):
            entries.append((contender, cells, ""))
    columns = [size_text(size) for size in sizes]
    # A single size says nothing that the percentiles do not.
    if len(sizes) < 2 and lowest:
        entries = []
    return Grid(title, note, columns, _sorted(entries, lowest=lowest), sizes=True)


def _crowds(results: Results, mode: str) -> Grid:
    """Several senders, as compared with one."""
    cells = [cell for cell in results.throughput if cell.mode == mode]
    alone = {(cell.contender, cell.size): cell for cell in cells if cell.peers == 1}
    peers = max((cell.peers for cell in cells), default=1)
    crowds = {
        (cell.contender, cell.size): cell for cell in cells if cell.peers == peers and peers > 1
    }
    sizes = sorted({size for _, size in crowds})
    entries = []
    for contender in results.contenders:
        row = []
        for size in sizes:
            crowd, one = crowds.get((contender.id, size)), alone.get((contender.id, size))
            row.append(_NONE if crowd is None else _rate(crowd))
            if crowd is None or one is None or not one.messages_per_s:
                row.append(_NONE)
            else:
                ratio = crowd.messages_per_s / one.messages_per_s
                row.append(Cell(ratio, ratio_text(ratio)))
        if any(cell.value is not None for cell in row):
            entries.append((contender, row, ""))
    return Grid(
        f"{peers} senders at once, {mode}",
        "What all of them send to one receiver, and that as compared with a single sender.",
        [column for size in sizes for column in (size_text(size), "/ single")],
        _sorted(entries, lowest=False),
    )


def _costs(results: Results) -> Grid:
    """What it takes before, between and for messages."""
    setup = {one.contender: Cell(one.seconds, time_text(one.seconds)) for one in results.setup}
    idle = {one.contender: Cell(one.cpu_share, share_text(one.cpu_share)) for one in results.idle}
    columns = [("set-up", setup), ("idle CPU", idle)]
    cells = [one for one in results.throughput if one.peers == 1]
    size = usual_size(cells)
    for mode in MODES:
        cpu = {
            one.contender: Cell(one.cpu_per_message, time_text(one.cpu_per_message))
            for one in cells
            if one.size == size and one.mode == mode and one.cpu_per_message
        }
        columns.append((f"CPU {mode}", cpu))
    columns = [column for column in columns if column[1]]
    entries = []
    for contender in results.contenders:
        row = [found.get(contender.id, _NONE) for _, found in columns]
        if any(cell.value is not None for cell in row):
            entries.append((contender, row, ""))
    return Grid(
        "What it takes besides time",
        "Set-up: until the first message has come. Idle CPU: of one core, by a receiver to which "
        "nothing comes. CPU: of sender and receiver together, a message"
        + (f" of {size_text(size)}." if size is not None else "."),
        [title for title, _ in columns],
        _sorted(entries, lowest=True),
    )


def _sorted(entries: list[tuple[Contender, list[Cell], str]], *, lowest: bool) -> list[Row]:
    """By the first column that has a figure; and which are the best."""
    sign = 1 if lowest else -1

    def place(entry: tuple[Contender, list[Cell], str]) -> tuple[bool, tuple[float, float]]:
        contender, cells, _ = entry
        first = next(
            (n, sign * cell.value) for n, cell in enumerate(cells) if cell.value is not None
        )
        return contender.family != "floor", first

    values: dict[int, list[float]] = {}
    for contender, cells, _ in entries:
        for number, cell in enumerate(cells):
            if cell.value is not None and contender.family != "floor":
                values.setdefault(number, []).append(sign * cell.value)
    # Where several have the same, as with nothing at all, none stands out.
    best = {number: min(ones) for number, ones in values.items() if ones.count(min(ones)) == 1}
    rows = []
    for contender, cells, addition in sorted(entries, key=place):
        wins = {
            number
            for number, cell in enumerate(cells)
            if contender.family != "floor"
            and cell.value is not None
            and sign * cell.value == best.get(number)
        }
        rows.append(Row(contender.label + addition, contender.family, cells, frozenset(wins)))
    return rows
