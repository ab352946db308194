"""The same transfer through shared memory, a pipe and a file, timed.

The same two processes, the same chunks, the same work at both ends; only the way between them
is another. Each is measured with the whole work (sha256 at both ends, a histogram) and bare
(the producer reads the file, the consumer loads every cache line of what it gets).
"""

from __future__ import annotations

import fcntl
import os
import statistics
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from isthmus.demo.errors import RoleLost
from isthmus.demo.supervisor import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MEDIA = ("shared memory", "pipe", "file")
# What is compared of a larger file: enough for steady figures, not too much for a disk.
LIMIT = 256 << 20
# The median of so many runs, fewer if they take long.
_RUNS = 5
_SECONDS = 0.75


@dataclass(frozen=True)
class Measurement:
    """Medians, in seconds, of one medium; or why there are none."""

    medium: str
    analysis: float = 0.0
    bare: float = 0.0
    sha256: str | None = None
    failure: str | None = None


def compare(fd: int, total: int, slots: int, slot_size: int) -> Iterator[Measurement]:
    """Measure one medium after the other.

    Raises RoleLost if a process is killed. One that fails by itself, a full disk for
    instance, fails for its medium only.
    """
    for medium in MEDIA:
        try:
            yield _measure(medium, fd, total, slots, slot_size)
        except RoleLost as error:
            if error.reason is None:
                raise
            yield Measurement(medium, failure=error.reason)


def _measure(medium: str, fd: int, total: int, slots: int, slot_size: int) -> Measurement:
    medians = {}
    digests = set()
    with _session(medium, fd, total, slots, slot_size) as session:
        for work in ("analysis", "bare"):
            times: list[float] = []
            while len(times) < _RUNS and sum(times) < _SECONDS:
                result = session.run(work)
                times.append(result.seconds)
                if work == "analysis":
                    digests |= {result.sent_sha256, result.received_sha256}
            medians[work] = statistics.median(times)
    return Measurement(
        medium,
        medians["analysis"],
        medians["bare"],
        sha256=digests.pop() if len(digests) == 1 else None,
    )


@contextmanager
def _session(medium: str, fd: int, total: int, slots: int, slot_size: int) -> Iterator[Session]:
    with ExitStack() as stack, ExitStack() as opening:
        ends: list[list[tuple[str, int]]] = [[], []]
        if medium == "pipe":
            outlet, inlet = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)[::-1]
            # Here only for the roles to inherit: a pipe ends when nobody has its other end.
            opening.callback(os.close, inlet)
            opening.callback(os.close, outlet)
            with suppress(OSError, AttributeError):
                fcntl.fcntl(outlet, fcntl.F_SETPIPE_SZ, slot_size)
            ends = [[("--pipe-fd", outlet)], [("--pipe-fd", inlet)]]
        elif medium == "file":
            file = stack.enter_context(tempfile.TemporaryFile())
            ends = [[("--file-fd", file.fileno())]] * 2
        else:
            assert medium == "shared memory"
        session = Session(fd, total, slots, slot_size, producer=ends[0], consumer=ends[1])
        stack.enter_context(session)
        opening.close()
        yield session
