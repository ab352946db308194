"""The consumer: hashes and counts the bytes where they lie.

A process of its own, started by the supervisor: ``python -m isthmus.demo.consumer``.
"""

from __future__ import annotations

import hashlib
import time

import numpy as np

from isthmus.demo.media import FileInlet, Inlet, PipeInlet, SegmentInlet
from isthmus.demo.role import Role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from isthmus.demo.role import Lifeline
    from isthmus.demo.transfer import Account, Transfer, Turns

# bincount makes an integer of 8 bytes out of each byte; so much of the file at a time.
_COUNTED = 64 * 1024
_CACHE_LINE = 64


class Analysis:
    """sha256 and how often each byte value comes, of what is fed chunk by chunk.

    >>> analysis = Analysis()
    >>> analysis.feed(b"abca")
    >>> analysis.histogram[[97, 98, 99, 100]].tolist()
    [2, 1, 1, 0]
    >>> analysis.sha256.hexdigest()[:16]
    '5c3f67b7fa84dfbe'
    """

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self.histogram = np.zeros(256, np.int64)

    def feed(self, chunk: memoryview | bytes) -> None:
        self.sha256.update(chunk)
        values = np.frombuffer(chunk, np.uint8)
        for start in range(0, len(values), _COUNTED):
            self.histogram += np.bincount(values[start : start + _COUNTED], minlength=256)


def touch(chunk: memoryview | bytes) -> None:
    """The least that a receiver does: load every cache line once."""
    np.frombuffer(chunk, np.uint8)[::_CACHE_LINE].max(initial=0)


def consume(
    inlet: Inlet,
    work: Callable[[memoryview], None],
    account: Account,
    lifeline: Lifeline,
) -> None:
    """Do `work` on each chunk until the end comes."""
    while chunk := inlet.receive():
        work(chunk)
        account.moved(len(chunk))
        inlet.release()
        lifeline.check()
    inlet.release()


def main() -> None:
    role = Role("consumer", "--pipe-fd", "--file-fd")
    options = role.options

    def inlet(transfer: Transfer, turns: Turns) -> Inlet:
        if options.pipe_fd is not None:
            return PipeInlet(options.pipe_fd, transfer, role.lifeline)
        if options.file_fd is not None:
            return FileInlet(options.file_fd, transfer, turns, role.lifeline)
        return SegmentInlet(transfer, turns, role.lifeline)

    def run(transfer: Transfer, turns: Turns | None, work: str) -> None:
        assert turns is not None
        account = transfer.consumer
        account.open()
        analysis = Analysis()
        feed = analysis.feed if work == "analysis" else touch
        consume(inlet(transfer, turns), feed, account, role.lifeline)
        account.sign(analysis.sha256.digest())
        for value, count in enumerate(analysis.histogram.tolist()):
            transfer.histogram[value] = count
        account.stamp(time.monotonic_ns())

    role.serve(run)


if __name__ == "__main__":
    main()
