"""The consumer: hashes and counts the bytes, chunk by chunk. There may be several.

A process of its own, started by the supervisor: ``python -m isthmus.demo.consumer``.
"""

from __future__ import annotations

import hashlib
import os
import time

import numpy as np

from isthmus import Queue, Subscriber
from isthmus.demo.media import Patience, from_file, from_pipe, from_queue, from_topic
from isthmus.demo.meeting import names
from isthmus.demo.role import Role
from isthmus.demo.tally import Chunk

# bincount makes an integer of 8 bytes out of each byte; so much of a chunk at a time.
_COUNTED = 64 * 1024
_CACHE_LINE = 64


def analysed(data: memoryview, number: int, attempt: int) -> Chunk:
    """sha256 of a chunk, and how often each byte value comes.

    >>> chunk = analysed(memoryview(b"abca"), 0, 1)
    >>> np.frombuffer(chunk.histogram, np.int64)[[97, 98, 99, 100]].tolist()
    [2, 1, 1, 0]
    >>> chunk.sha256.hex()[:16]
    '5c3f67b7fa84dfbe'
    """
    histogram = np.zeros(256, np.int64)
    values = np.frombuffer(data, np.uint8)
    for start in range(0, len(values), _COUNTED):
        histogram += np.bincount(values[start : start + _COUNTED], minlength=256)
    digest = hashlib.sha256(data).digest()
    return Chunk(number, len(data), digest, os.getpid(), attempt, histogram.tobytes())


def touch(data: memoryview) -> None:
    """The least that a receiver does: load every cache line once."""
    np.frombuffer(data, np.uint8)[::_CACHE_LINE].max(initial=0)


def main() -> None:
    role = Role("consumer", "--size", "--pipe-fd", "--file-fd", "--topic")
    options, lifeline = role.options, role.lifeline
    patience, telling = Patience(lifeline), Patience(lifeline)

    def join(session: str) -> tuple[Queue, Queue, Subscriber | None]:
        called = names(session)
        frames = Subscriber.attach(called["frames"]) if options.topic else None
        return Queue.attach(called["jobs"]), Queue.attach(called["results"]), frames

    def run(
        joined: tuple[Queue, Queue, Subscriber | None], work: str, first: int
    ) -> dict[str, int]:
        jobs, results, frames = joined
        done = {"bytes": 0, "chunks": 0, "end": 0}
        patience.waits = 0

        def each(data: memoryview, number: int, attempt: int) -> None:
            if work != "bare":
                chunk = analysed(data, number, attempt)
                # Before the job is acknowledged: it is done when its result is in.
                telling.until(lambda timeout: results.put(chunk, timeout=timeout))
            else:
                touch(data)
            done["bytes"] += len(data)
            done["chunks"] += 1
            done["end"] = time.monotonic_ns()
            lifeline.check()

        if options.pipe_fd is not None:
            from_pipe(options.pipe_fd, options.size, patience, each, first)
        elif options.file_fd is not None:
            from_file(options.file_fd, options.size, jobs, patience, each, first)
        elif frames is not None:
            from_topic(frames, patience, each, first)
        else:
            from_queue(jobs, patience, each)
        return {**done, "waits": patience.waits}

    role.serve(join, run)


if __name__ == "__main__":
    main()
