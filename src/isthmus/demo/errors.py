"""How a demonstration can fail."""

from __future__ import annotations

import signal

from isthmus.errors import IsthmusError


class DemoError(IsthmusError):
    """The demonstration cannot go on; the text says why and what to do."""


class RoleLost(DemoError):
    """One of the processes has ended before its work was done.

    Attributes:
        role: which one: ``"producer"``, ``"consumer"`` or ``"monitor"``.
        reason: what it said itself before it ended, or None.
        moved: bytes that it had moved by then; set by who knows.
    """

    def __init__(self, role: str, pid: int, status: int, reason: str | None) -> None:
        self.role = role
        self.reason = reason
        self.moved: int | None = None
        super().__init__(f"the {role} (process {pid}) {ending(status, reason)}")


class Orphaned(Exception):
    """In a role: the supervisor is gone, or wants no more."""


class PeerLost(Exception):
    """In a role: the other end of the pipe is gone. The supervisor sees that, too."""


def ending(status: int, reason: str | None) -> str:
    """How a process ended, from its status as `subprocess` gives it."""
    if reason is not None:
        return f"failed: {reason}"
    if status >= 0:
        return f"ended with exit code {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
