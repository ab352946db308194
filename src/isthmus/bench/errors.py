"""How a benchmark can fail."""

from __future__ import annotations

import signal

from isthmus.errors import IsthmusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isthmus.bench.results import Results


class BenchError(IsthmusError):
    """The benchmark cannot go on; the text says why and what to do."""


class ParticipantLost(BenchError):
    """A process that takes part was killed or stopped: the run ends.

    Attributes:
        contender: the id of the one that was measured.
        role: which of its processes: ``"sender"``, ``"receiver"``, ``"first"`` …
        pid: its process.
        results: what was measured until then, or None.
    """

    if TYPE_CHECKING:
        contender: str
        role: str
        pid: int

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message, **details)
        self.results: Results | None = None


class CellError(BenchError):
    """One figure cannot be had, because a participant failed; the run goes on without it."""


class Overdue(CellError):
    """A contender does not come to an end. It is left out from then on, and the run goes on."""


class Refused(BenchError):
    """A contender cannot carry that, by its nature or on this system. The text says why."""


class Disorder(BenchError):
    """What arrived is not what was due: a message got lost, damaged, or out of order."""


def ending(status: int) -> str:
    """How a process ended, from its status as `os.waitstatus_to_exitcode` gives it."""
    if status >= 0:
        return f"ended with exit code {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
