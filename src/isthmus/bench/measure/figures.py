"""Figures out of samples, and how much to do at a time."""

from __future__ import annotations

import math
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Bytes in the messages that are made beforehand, and those of a piece; as many messages at most.
PIECE_BYTES = 1 << 20
PIECE_MOST = 128
# What the least number of messages that are told from each other is.
PIECE_LEAST = 2


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the values, sorted, that at least `share` of them do not exceed.

    A value that was measured, never one in between: the 99.9th percentile of few samples is
    the largest of them.

    Example:
        >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5)
        2.0
    """
    if not ordered:
        raise ValueError("no percentile of no values")
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


def piece(size: int, senders: int = 1) -> int:
    """How many messages of `size` bytes pass between two looks at the clock.

    Few of large ones: no piece takes much longer than the time that is to be measured. No more
    than can be told from each other by their first bytes.
    """
    count = min(PIECE_MOST, max(PIECE_LEAST, PIECE_BYTES // size))
    distinct: int = 256 ** min(size, 8) - 1
    return max(1, min(count, distinct // senders))


def messages(size: int, count: int, first: int = 0) -> list[bytes]:
    """So many messages, all different in their first bytes, and in their last if they are long.

    Not to be changed: those of the last size are kept, for the next run.
    """
    if size not in _kept:
        _kept.clear()
    kept = _kept.setdefault(size, {})
    if (count, first) not in kept:
        kept[count, first] = _messages(size, count, first)
    return kept[count, first]


_kept: dict[int, dict[tuple[int, int], list[bytes]]] = {}


def _messages(size: int, count: int, first: int) -> list[bytes]:
    head = min(size, 8)
    made = []
    for number in range(first, first + count):
        start = number.to_bytes(head, "little")
        made.append((start * (size // head + 1))[: size - head] + start)
    return made


def last_message(size: int) -> bytes:
    """One that is different from all of `messages`."""
    return b"\xff" * size


def clock_cost() -> int:
    """Nanoseconds between two readings of the clock, by median: part of all that is timed."""
    clock = time.perf_counter_ns
    spent = []
    for _ in range(1001):
        before = clock()
        after = clock()
        spent.append(after - before)
    return sorted(spent)[500]


class Budget:
    """Shares out the time that there is for a number of runs, whose overhead is learnt.

    Args:
        seconds: for all of them; None: as long as it takes, `fixed` for each.
        runs: how many there will be.
        fixed: seconds that each measures, if not shared out.
        least, most: seconds, within which what is shared out stays.
    """

    # What starting and ending the processes of a run takes, before it has been measured.
    OVERHEAD = 0.015

    def __init__(
        self,
        seconds: float | None,
        runs: int,
        *,
        fixed: float | None = None,
        least: float = 0.004,
        most: float = 0.25,
    ) -> None:
        self._seconds, self._runs, self._fixed = seconds, runs, fixed
        self._least, self._most = least, most
        self._begin = time.monotonic()
        self._overhead, self._done = self.OVERHEAD, 0

    @property
    def left(self) -> float:
        """Seconds; below 0 when it took longer than there was."""
        if self._seconds is None:
            return math.inf
        return self._seconds - (time.monotonic() - self._begin)

    def slice(self) -> float:
        """How long the next run is to measure."""
        if self._fixed is not None:
            return self._fixed
        left = self.left / max(1, self._runs - self._done) - self._overhead
        return min(self._most, max(self._least, left))

    def spent(self, seconds: float, measured: float) -> None:
        """A run took so long in all, and measured so long of it."""
        self._done += 1
        self._overhead += (max(0.0, seconds - measured) - self._overhead) / min(self._done, 50)

    def drop(self, runs: int) -> None:
        """So many will not take place."""
        self._runs -= runs
