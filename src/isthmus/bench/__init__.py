"""How fast each form of communication is on this machine, beside others' packages and C.

`run` measures what `Settings` ask for, in forked processes that are pinned to two cores, and
gives `Results`, which go to JSON and come back. `isthmus bench` shows them.

What is measured, and how:

latency
    A message there and the same one back, each trip timed by itself; percentiles over all trips
    of all rounds. What reading the clock takes is taken off; so the fastest are not blurred by it.
    The message is compared after the time was taken.
throughput
    Messages in one direction, from one sender or four, as the receiver sees them from the end of
    the warm-up to the last one. With it, the processor time of all sides for each message.
setup
    From nothing to the first message received, in one process that has both ends.
idle
    The share of a core that a receiver uses while nothing comes.

Spinning: who waits looks again and again, where there is no better way by calls that do not
wait. Blocking: the kernel wakes it. All take turns in each round, each round in another order, and
medians count, of C the best round. Every message is counted; one that is lost or out of order is
an error.
"""

from __future__ import annotations

from isthmus.bench.errors import BenchError, ParticipantLost
from isthmus.bench.measure.runner import Progress, known, run
from isthmus.bench.results import Results
from isthmus.bench.settings import Settings

__all__ = [
    "BenchError",
    "ParticipantLost",
    "Progress",
    "Results",
    "Settings",
    "known",
    "run",
]
