"""The whole demonstration, one part after the other."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.demo import comparison, sample
from isthmus.demo.errors import DemoError, RoleLost
from isthmus.demo.report import Report, entropy
from isthmus.demo.source import Source
from isthmus.demo.supervisor import Result, Session
from isthmus.demo.text import path_text, size_text
from isthmus.demo.transfer import slot_size

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
        f"A real transfer: {size_text(source.size)} through {size_text(options.segment_size)}"
    )
    report.step("input", path_text(source.path))
    result = _transfer(source, options, report, console)
    _verdict(source, result, report)
    if options.compare:
        report.gap()
        _compare(source, options, result, report)


def _transfer(source: Source, options: Options, report: Report, console: Console) -> Result:
    size = slot_size(options.segment_size, options.slots)

    slots = f"{options.slots} slots" if options.slots > 1 else "one slot"

    def on_loss(error: RoleLost) -> None:
        if console.is_terminal:
            # The last thing that it did may have been to hide it.
            console.show_cursor()
            console.print()
        report.step("monitor", f"{error}; the transfer goes on, without a bar", style="yellow")

    try:
        with Session(
            source.fd,
            source.size,
            options.slots,
            size,
            monitor=True,
            on_loss=on_loss,
            rate=options.rate,
        ) as session:
            report.step(
                "start",
                "three processes: "
                + ", ".join(f"{role} {pid}" for role, pid in session.pids.items()),
            )
            report.step(
                "meet",
                f"in the segment {session.name}: {slots} of {size_text(size)}; "
                "two named semaphores count which are empty and which are filled",
            )
            report.step(
                "unlink",
                "all names, now that everybody has joined: whoever is killed from here on "
                "leaves nothing behind. Try it: kill -9 one of them",
            )
            report.step(
                "go",
                "the producer reads the file into empty slots, the consumer hashes and counts "
                "the bytes where they lie, the monitor looks on",
            )
            return session.run("analysis")
    except RoleLost as error:
        if error.moved is None:
            how_far = "before the transfer began"
        else:
            how_far = (
                f"after {size_text(error.moved)} of {size_text(source.size)}; "
                "the transfer was abandoned"
            )
        raise DemoError(f"{error} {how_far}, {_NOTHING_LEFT}") from None


def _verdict(source: Source, result: Result, report: Report) -> None:
    report.summary(result)
    report.step("sha256", f"{result.received_sha256}")
    if not result.sound:
        raise DemoError(
            f"the consumer got something else ({result.received} bytes, sha256 "
            f"{result.received_sha256}) than the producer sent ({result.sent} bytes, sha256 "
            f"{result.sent_sha256}): please report this, it must not happen"
        )
    report.step("check", "the consumer has seen exactly the bytes that the producer read", "green")
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


def _compare(source: Source, options: Options, result: Result, report: Report) -> None:
    report.heading("The same transfer through a pipe and through a file")
    if not source.size:
        report.step("skip", "an empty file has nothing to compare")
        return
    if source.change() is not None:
        report.step("skip", "the file is being changed, no two transfers would be the same")
        return
    total = min(source.size, comparison.LIMIT)
    part = "" if total == source.size else f" of the first {size_text(total)}"
    chunk = slot_size(options.segment_size, options.slots)
    report.step(
        "measure",
        f"medians{part}, in chunks of {size_text(chunk)}, the same two processes with the same "
        "work; bare: without hashing and counting",
    )
    try:
        measurements = comparison.compare(source.fd, total, options.slots, chunk)
    except RoleLost as error:
        raise DemoError(
            f"{error} while shared memory, pipe and file were being compared, {_NOTHING_LEFT}"
        ) from None
    report.table(measurements, total)
    if source.change() is not None:
        report.step("note", "the file was changed meanwhile, the runs differ in what they moved")
        return
    for one in measurements:
        expected = result.received_sha256 if total == source.size else measurements[0].sha256
        if one.failure is None and one.sha256 != expected:
            raise DemoError(
                f"not the same bytes have come through each time ({one.medium}): please report "
                "this, it must not happen"
            )
