"""The producer: reads the file into what the medium gives it to fill.

A process of its own, started by the supervisor: ``python -m isthmus.demo.producer``.
"""

from __future__ import annotations

import hashlib
import os
import time

from isthmus import Publisher, Queue
from isthmus.demo.media import FileOutlet, Outlet, Patience, PipeOutlet, QueueOutlet, TopicOutlet
from isthmus.demo.meeting import names
from isthmus.demo.role import Lifeline, Role
from isthmus.demo.tally import Chunk


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


def main() -> None:
    role = Role(
        "producer", "--input-fd", "--total", "--size", "--rate", "--pipe-fd", "--file-fd", "--topic"
    )
    options, lifeline = role.options, role.lifeline
    patience = Patience(lifeline)

    def join(session: str) -> tuple[Queue, Queue, Publisher]:
        called = names(session)
        jobs, results = Queue.attach(called["jobs"]), Queue.attach(called["results"])
        return jobs, results, Publisher.attach(called["frames"])

    def outlet(jobs: Queue, frames: Publisher) -> Outlet:
        if options.pipe_fd is not None:
            return PipeOutlet(options.pipe_fd, jobs, patience)
        if options.file_fd is not None:
            return FileOutlet(options.file_fd, jobs, patience)
        return TopicOutlet(frames, patience) if options.topic else QueueOutlet(jobs, patience)

    def run(joined: tuple[Queue, Queue, Publisher], work: str, first: int) -> dict[str, int]:
        jobs, results, frames = joined
        way, pace, whole = outlet(jobs, frames), Pace(options.rate, lifeline), hashlib.sha256()
        telling = Patience(lifeline)
        patience.waits = 0
        start, moved, number = time.monotonic_ns(), 0, first

        def fill(memory: memoryview) -> int:
            length = read_into(options.input_fd, memory, moved)
            if work == "transfer":
                whole.update(memory[:length])
            if length and work != "bare":
                chunk = Chunk(number, length, hashlib.sha256(memory[:length]).digest())
                telling.until(lambda timeout: results.put(chunk, timeout=timeout))
            return length

        while wanted := pace.portion(min(options.size, options.total - moved)):
            length = way.send(wanted, fill)
            if not length:
                break
            moved, number = moved + length, number + 1
            pace.keep(moved)
        role.answer(
            "sent", bytes=moved, chunks=number - first, start=start, sha256=whole.hexdigest()
        )
        # Only the supervisor knows when all jobs are done; until then one may come back.
        for _ in range(int(lifeline.order())):
            way.end()
        return {"waits": patience.waits}

    role.serve(join, run)


if __name__ == "__main__":
    main()
