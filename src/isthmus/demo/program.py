"""The whole demonstration, one part after the other."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.demo import comparison, sample
from isthmus.demo.errors import DemoError, RoleLost
from isthmus.demo.meeting import capacity_of, slot_size
from isthmus.demo.report import Report, entropy
from isthmus.demo.source import Source
from isthmus.demo.supervisor import Result, Session
from isthmus.demo.text import path_text, size_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rich.console import Console

_NOTHING_LEFT = "and nothing is left behind"


@dataclass(frozen=True)
class Options:
    """What the user has asked for, already checked: see ``isthmus demo --help``."""

    name: str
    segment_size: int
    slots: int
    consumers: int
    rate: int | None
    compare: bool


def run(source: Source, options: Options, console: Console) -> None:
    """Show everything. Raises DemoError, or another IsthmusError, where it cannot go on."""
    report = Report(console)
    # First, while this process has a single thread: the sample forks.
    report.heading("The classic sample: a parent, a child, one page of shared memory")
    sample.run(options.name, report.step, report.output)
    report.gap()
    report.heading(
        f"A real transfer: {size_text(source.size)} through "
        f"{size_text(capacity_of(options.segment_size))}"
    )
    report.step("input", path_text(source.path))
    result = _transfer(source, options, report, console)
    _verdict(source, result, report)
    if options.compare:
        report.gap()
        _compare(source, options, report)


def _transfer(source: Source, options: Options, report: Report, console: Console) -> Result:
    capacity = capacity_of(options.segment_size)
    size = slot_size(capacity, options.slots)

    def on_loss(error: RoleLost) -> None:
        goes_on = "its work, what it had begun included, goes to another one"
        if error.role == "monitor":
            goes_on = "the transfer goes on, without a bar"
            if console.is_terminal:
                # The last thing that it did may have been to hide it.
                console.show_cursor()
        if console.is_terminal:
            console.print()
        report.step("lost", f"{error}; {goes_on}", style="yellow")

    try:
        with Session(
            source.fd,
            source.size,
            size,
            capacity,
            consumers=options.consumers,
            monitor=True,
            on_loss=on_loss,
            rate=options.rate,
        ) as session:
            report.step("start", _crew(session.pids))
            report.step(
                "meet",
                f"in the queue {session.name}-jobs, which has room for {size_text(capacity)}, "
                f"or {options.slots} chunks of {size_text(size)}; a topic tells the monitor",
            )
            report.step(
                "unlink",
                "all names, now that everybody has joined: whoever is killed from here on "
                "leaves nothing behind. Try it: kill -9 one of them",
            )
            report.step(
                "go",
                "the producer puts the file into the queue, chunk by chunk; a consumer leases one, "
                "hashes and counts its bytes, and acknowledges it",
            )
            return session.run("transfer")
    except RoleLost as error:
        if error.moved is None:
            how_far = "before the transfer began"
        else:
            how_far = (
                f"after {size_text(error.moved)} of {size_text(source.size)}; "
                "the transfer was abandoned"
            )
        raise DemoError(f"{error} {how_far}, {_NOTHING_LEFT}") from None


def _crew(pids: list[tuple[str, int]]) -> str:
    """Who is there, in words."""
    consumers = [str(pid) for role, pid in pids if role == "consumer"]
    *some, last = consumers
    told = dict(pids) | {"consumer": f"{', '.join(some)} and {last}" if some else last}
    return ", ".join(f"{role}{'s' * (' ' in str(pid))} {pid}" for role, pid in told.items())


def _verdict(source: Source, result: Result, report: Report) -> None:
    report.summary(result)
    report.step("sha256", f"{result.sha256}")
    if not result.sound:
        raise DemoError(
            f"the consumers got something else ({result.received} bytes, {result.different} chunks "
            f"of another sha256) than the producer sent ({result.sent} bytes): please report "
            "this, it must not happen"
        )
    report.step(
        "check", "the consumers have seen exactly the bytes that the producer read", "green"
    )
    change = source.change()
    if change is not None:
        report.step(
            "note",
            f"the file was changed while it was being read ({change}); what was read of it, "
            f"{size_text(result.received)}, has arrived",
            "yellow",
        )
    if result.received:
        report.step(
            "content",
            f"{entropy(result.histogram):.2f} bits of entropy a byte (8: random or compressed)",
        )
        report.content(result.histogram)


def _compare(source: Source, options: Options, report: Report) -> None:
    report.heading("The same transfer through a topic, a queue, a pipe and a file")
    if not source.size:
        report.step("skip", "an empty file has nothing to compare")
        return
    if source.change() is not None:
        report.step("skip", "the file is being changed, no two transfers would be the same")
        return
    total = min(source.size, comparison.LIMIT)
    part = "" if total == source.size else f" of the first {size_text(total)}"
    capacity = capacity_of(options.segment_size)
    chunk = slot_size(capacity, options.slots)
    report.step(
        "measure",
        f"medians{part}, in chunks of {size_text(chunk)}, one producer and one consumer with the "
        "same work; bare: without hashing and counting",
    )
    try:
        measurements = comparison.compare(source.fd, total, chunk, capacity)
    except RoleLost as error:
        raise DemoError(f"{error} while the ways were being compared, {_NOTHING_LEFT}") from None
    report.table(measurements, total)
    if source.change() is not None:
        report.step("note", "the file was changed meanwhile, the runs differ in what they moved")
        return
    came = [one for one in measurements if one.failure is None]
    for one in came:
        if one.digest is None or one.digest != came[0].digest:
            raise DemoError(
                f"not the same bytes have come through each time ({one.medium}): please report "
                "this, it must not happen"
            )
