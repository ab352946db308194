"""What the demonstration prints."""

from __future__ import annotations

import math
import textwrap

from rich.text import Text

from isthmus.demo.text import rate_text, size_text, time_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from isthmus.demo.comparison import Measurement
    from isthmus.demo.supervisor import Result

_VERB = 8
_INDENT = _VERB + 2
_BAR = 32
_LABEL, _GROUP = 16, 30
_EIGHTHS = " ▏▎▍▌▋▊▉"
_KINDS = (
    ("zero", range(0x01)),
    ("control characters", range(0x01, 0x20)),
    ("ASCII text", range(0x20, 0x7F)),
    ("above ASCII", range(0x7F, 0xFF)),
    ("all ones (0xff)", range(0xFF, 0x100)),
)


def entropy(histogram: Sequence[int]) -> float:
    """Bits of information in a byte, as if every byte stood alone.

    >>> entropy([5] * 256), entropy([9] + [0] * 255), entropy([0] * 256)
    (8.0, 0.0, 0.0)
    """
    total = sum(histogram)
    return sum((n / total * math.log2(total / n) for n in histogram if n), 0.0)


class Report:
    """Writes to a console: in colour on a terminal, plain elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def heading(self, text: str) -> None:
        self._console.print(Text(text, style="bold"))

    def step(self, verb: str, text: str, style: str = "cyan") -> None:
        """One line (or more, if it is long): what has happened, and why."""
        width = max(self._console.width - _INDENT, 30)
        # A path is not broken: it is there to be copied.
        lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        self._console.print(Text(f"{verb:>{_VERB}}", style=style), end="  ")
        self._console.print(Text(("\n" + " " * _INDENT).join(lines)), soft_wrap=True)

    def output(self, line: str) -> None:
        """A line that stands for itself."""
        self._console.print(Text(line, style="bold green"))

    def gap(self) -> None:
        self._console.print()

    def content(self, histogram: Sequence[int]) -> None:
        """What kinds of bytes there were, as bars."""
        total = sum(histogram)
        if not total:
            return
        shares = [(label, sum(histogram[v] for v in kind) / total) for label, kind in _KINDS]
        largest = max(share for _, share in shares)
        for label, share in shares:
            bar = _bar(share / largest, self._console.options.ascii_only)
            line = Text(f"{label:>{_INDENT + 18}}  {share:6.1%}")
            self._console.print(line.append(f"  {bar}".rstrip(), style="cyan"))

    def table(self, measurements: Sequence[Measurement], total: int) -> None:
        """Time, rate and ratio of each medium, side by side."""
        first = measurements[0]
        rule = "-" if self._console.options.ascii_only else "─"
        titles = "".join(
            "  " + f" {title} ".center(_GROUP - 2, rule)
            for title in ("with analysis", "bare transfer")
        )
        self._console.print(Text(" " * _LABEL + titles, style="bold"))
        columns = f"{'time':>9}{'rate':>13}{'ratio':>8}"
        self._console.print(Text(f"{'  through':{_LABEL}}{columns}{columns}", style="bold"))
        for one in measurements:
            line = f"  {one.medium}".ljust(_LABEL)
            if one.failure is not None:
                self._console.print(Text(f"{line}  failed: {one.failure}", style="red"))
                continue
            for seconds, base in ((one.analysis, first.analysis), (one.bare, first.bare)):
                ratio = f"{seconds / base:.2f}" if base else "-"
                line += f"{time_text(seconds):>9}{rate_text(total, seconds):>13}{ratio:>8}"
            self._console.print(Text(line, style="green" if one is first else ""))

    def summary(self, result: Result) -> None:
        """How the transfer went, who waited for whom, and what the bytes were like."""
        rate = f", {rate_text(result.received, result.seconds)}" if result.received else ""
        self.step("done", f"{size_text(result.received)} in {time_text(result.seconds)}{rate}")
        if len(result.shares) > 1:
            shares = ", ".join(
                f"process {pid} {_chunks(count)}" for pid, count in sorted(result.shares.items())
            )
            self.step("shared", shares)
        if result.again:
            self.step(
                "again",
                f"{_chunks(result.again)} came back from a process that did not finish, and went "
                "to another: nothing was lost, and nothing counted twice",
                "yellow",
            )
        self.step(
            "waited",
            f"the producer {_times(result.full_waits)}, the queue being full; "
            f"the consumers {_times(result.empty_waits)}, it being empty",
        )


def _bar(share: float, ascii_only: bool) -> str:
    """A bar of the given share of the full length."""
    if ascii_only:
        return "#" * round(_BAR * share)
    whole, eighths = divmod(round(_BAR * 8 * share), 8)
    return "█" * whole + _EIGHTHS[eighths].strip()


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _chunks(count: int) -> str:
    return "1 chunk" if count == 1 else f"{count} chunks"
