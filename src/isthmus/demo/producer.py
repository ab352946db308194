"""The producer: reads the file straight into what the medium gives it to fill.

A process of its own, started by the supervisor: ``python -m isthmus.demo.producer``.
"""

from __future__ import annotations

import hashlib
import os
import time

from isthmus.demo.media import FileOutlet, Outlet, PipeOutlet, SegmentOutlet
from isthmus.demo.role import Lifeline, Role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.demo.transfer import Account, Transfer, Turns


class Pace:
    """Holds the producer back to so many bytes a second; None: not at all."""

    def __init__(self, rate: int | None, lifeline: Lifeline) -> None:
        self._rate, self._lifeline = rate, lifeline
        self._start = time.monotonic()

    def portion(self, wanted: int) -> int:
        """How much of `wanted` to take at a time: it shall flow, not come in bursts."""
        return wanted if self._rate is None else min(wanted, max(1, self._rate // 20))

    def keep(self, moved: int) -> None:
        """Wait until `moved` bytes are due. Raises Orphaned as Lifeline.check does."""
        due = 0.0 if self._rate is None else self._start + moved / self._rate
        self._lifeline.check(due - time.monotonic())


def read_into(fd: int, memory: memoryview, position: int) -> int:
    """Fill `memory` from the file; the number of bytes, less only at the end of the file."""
    done = 0
    while done < len(memory):
        count = os.preadv(fd, [memory[done:]], position + done)
        if not count:
            break
        done += count
    return done


def produce(
    outlet: Outlet, fd: int, total: int, account: Account, pace: Pace, *, hashing: bool
) -> None:
    """Send at most `total` bytes of the file, and the end."""
    digest = hashlib.sha256()
    while True:
        memory = outlet.claim()
        wanted = pace.portion(min(len(memory), total - account.bytes))
        length = read_into(fd, memory[:wanted], account.bytes)
        if not length:
            break
        if hashing:
            digest.update(memory[:length])
        account.moved(length)
        outlet.commit(length)
        pace.keep(account.bytes)
    account.sign(digest.digest())
    outlet.commit(0)


def main() -> None:
    role = Role("producer", "--input-fd", "--rate", "--pipe-fd", "--file-fd")
    options = role.options

    def outlet(transfer: Transfer, turns: Turns) -> Outlet:
        if options.pipe_fd is not None:
            return PipeOutlet(options.pipe_fd, transfer, role.lifeline)
        if options.file_fd is not None:
            return FileOutlet(options.file_fd, transfer, turns)
        return SegmentOutlet(transfer, turns, role.lifeline)

    def run(transfer: Transfer, turns: Turns | None, work: str) -> None:
        assert turns is not None
        account = transfer.producer
        account.open()
        account.stamp(time.monotonic_ns())
        pace = Pace(options.rate, role.lifeline)
        way = outlet(transfer, turns)
        produce(way, options.input_fd, transfer.total, account, pace, hashing=work == "analysis")

    role.serve(run)


if __name__ == "__main__":
    main()
