"""The same transfer through a queue, a topic, a pipe and a file, timed.

The same two processes, the same chunks, the same work at both ends; only the way between them
is another. Each is measured with the whole work (sha256 at both ends, a histogram) and bare
(the producer reads the file, the consumer loads every cache line of what it gets).
"""

from __future__ import annotations

import fcntl
import os
import statistics
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from isthmus.demo.errors import RoleLost
from isthmus.demo.supervisor import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MEDIA = ("topic", "queue", "pipe", "file")
# What is compared of a larger file: enough for steady figures, not too much for a disk.
LIMIT = 256 << 20
# The median of so many rounds, fewer if they take long.
_ROUNDS = 7
_SECONDS = 2.0
_WORK = ("analysis", "bare")


@dataclass(frozen=True)
class Measurement:
    """Medians, in seconds, of one medium; or why there are none.

    `digest` is of what has come through every time, None if that was not always the same.
    """

    medium: str
    analysis: float = 0.0
    bare: float = 0.0
    digest: str | None = None
    failure: str | None = None


class _Contestant:
    """One medium, with its two processes, waiting for its turn."""

    def __init__(self, medium: str, stack: ExitStack, session: Session) -> None:
        self.medium, self.session = medium, session
        self._stack = stack
        self._times: dict[str, list[float]] = {work: [] for work in _WORK}
        self._digests: set[str] = set()

    def run(self, work: str) -> None:
        result = self.session.run(work)
        self._times[work].append(result.seconds)
        if work == "analysis":
            self._digests |= {result.digest, result.digest if result.sound else "other"}

    def drop(self) -> None:
        self._stack.close()

    def measurement(self) -> Measurement:
        analysis, bare = (statistics.median(self._times[work]) for work in _WORK)
        digest = self._digests.pop() if len(self._digests) == 1 else None
        return Measurement(self.medium, analysis, bare, digest)


def compare(fd: int, total: int, size: int, capacity: int) -> list[Measurement]:
    """Measure all media, which take turns: what disturbs one disturbs the others as well.

    Raises RoleLost if a process is killed. A medium that fails by itself, because of a full
    disk for instance, is out; the others go on.
    """
    failures: dict[str, str] = {}
    contestants: dict[str, _Contestant] = {}
    with ExitStack() as stack:
        for medium in MEDIA:
            own = stack.enter_context(ExitStack())
            with _noting(medium, failures):
                roles = own.enter_context(session(medium, fd, total, size, capacity))
                contestants[medium] = _Contestant(medium, own, roles)
        for work in _WORK:
            start = time.monotonic()
            for done in range(_ROUNDS):
                if done and time.monotonic() - start > _SECONDS:
                    break
                for medium in [medium for medium in contestants if medium not in failures]:
                    with _noting(medium, failures):
                        contestants[medium].run(work)
                    if medium in failures:
                        contestants[medium].drop()
        return [
            Measurement(medium, failure=failures[medium])
            if medium in failures
            else contestants[medium].measurement()
            for medium in MEDIA
        ]


@contextmanager
def _noting(medium: str, failures: dict[str, str]) -> Iterator[None]:
    try:
        yield
    except RoleLost as error:
        if error.reason is None:
            raise
        failures[medium] = error.reason
    except OSError as error:
        failures[medium] = error.strerror or str(error)


@contextmanager
def session(medium: str, fd: int, total: int, size: int, capacity: int) -> Iterator[Session]:
    """The roles, with this way between them."""
    with ExitStack() as stack, ExitStack() as opening:
        ends: list[list[tuple[str, int]]] = [[], []]
        if medium == "pipe":
            outlet, inlet = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)[::-1]
            # Here only for the roles to inherit: a pipe ends when nobody has its other end.
            opening.callback(os.close, inlet)
            opening.callback(os.close, outlet)
            with suppress(OSError, AttributeError):
                fcntl.fcntl(outlet, fcntl.F_SETPIPE_SZ, size)
            ends = [[("--pipe-fd", outlet)], [("--pipe-fd", inlet)]]
        elif medium == "file":
            file = stack.enter_context(tempfile.TemporaryFile())
            ends = [[("--file-fd", file.fileno())]] * 2
        else:
            ends = [[("--topic", int(medium == "topic"))]] * 2
        roles = stack.enter_context(
            Session(fd, total, size, capacity, producer=ends[0], consumer=ends[1])
        )
        opening.close()
        yield roles
