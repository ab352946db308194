"""What both ends of a transfer report about each chunk, put together and compared."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Chunk:
    """What one process has made of one chunk: a message in the queue of results.

    `pid` is of the consumer, 0 from the producer; `histogram` is of 256 counters.
    """

    number: int
    length: int
    sha256: bytes
    pid: int = 0
    attempt: int = 1
    histogram: bytes = b""


class Tally:
    """Counts each chunk once, however often it is reported.

    A consumer that is killed after its report, and before it acknowledges the job, has the job
    done once more by another one. So reports are told apart by the chunk's number.

    >>> tally = Tally(0)
    >>> for chunk in (Chunk(0, 5, b"x"), Chunk(0, 5, b"x", 7), Chunk(0, 5, b"x", 8, 2)):
    ...     tally.add(chunk)
    >>> tally.sent, tally.received, tally.chunks, tally.different, dict(tally.shares)
    (5, 5, 1, 0, {7: 1})
    """

    def __init__(self, first: int) -> None:
        self.sent = 0
        self.received = 0
        self.chunks = 0
        self.again: set[int] = set()
        self.different = 0
        #: Of the sums of the chunks that were received, in order.
        self.digest = hashlib.sha256()
        self.shares: Counter[int] = Counter()
        self.histogram = np.zeros(256, np.int64)
        self._first = self._next = first
        # By side: reported so far, and not yet by the other side or for one before it.
        self._open: tuple[dict[int, Chunk], dict[int, Chunk]] = ({}, {})

    def add(self, chunk: Chunk) -> None:
        side = self._open[bool(chunk.pid)]
        if chunk.attempt > 1:
            self.again.add(chunk.number)
        if chunk.number < self._next or chunk.number in side:
            return
        side[chunk.number] = chunk
        if chunk.pid:
            self.received += chunk.length
            self.chunks += 1
            self.shares[chunk.pid] += 1
            self.histogram += np.frombuffer(chunk.histogram or bytes(2048), np.int64)
        else:
            self.sent += chunk.length
        sent, received = self._open
        while self._next in sent and self._next in received:
            ours, theirs = sent.pop(self._next), received.pop(self._next)
            self.different += (ours.length, ours.sha256) != (theirs.length, theirs.sha256)
            self.digest.update(theirs.sha256)
            self._next += 1

    @property
    def settled(self) -> int:
        """How many chunks, from the first on, both sides have reported."""
        return self._next - self._first
