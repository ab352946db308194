"""`Participant`: who holds something, or waits for it."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What the binding tells about a slot.
Facts = tuple[int, int, int, int, int, int, bool]


class Participant:
    """One handle of some process, as it was when you asked.

    Two participants are equal when all that is known of them is.

    >>> import isthmus
    >>> lock = isthmus.Lock()
    >>> lock.owner is None
    True
    >>> with lock:
    ...     print(lock.owner.pid == os.getpid(), lock.owner.alive)
    True True
    """

    __slots__ = ("alive", "command", "pid", "since", "thread")

    #: Its process, as that process sees itself: in a container perhaps another number than outside.
    pid: int
    #: How the process was started, program and arguments; None when it is gone or in another
    #: pid namespace.
    command: str | None
    #: Native id of the thread, as `threading.get_native_id` gives it; None when not known.
    thread: int | None
    #: Since when it holds, or waits, as `time.time` counts; None when not known.
    since: float | None
    #: Whether the handle was still open in a living process.
    alive: bool

    def __init__(
        self, pid: int, command: str | None, thread: int | None, since: float | None, alive: bool
    ) -> None:
        for name, value in zip(
            ("pid", "command", "thread", "since", "alive"),
            (pid, command, thread, since, alive),
            strict=True,
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def _from(cls, facts: Facts) -> Participant:
        pid, namespace, thread, since, _, _, alive = facts
        command = _command(pid) if alive and namespace == _namespace() else None
        return cls(pid, command, thread or None, _wall_clock(since), alive)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Participant is a snapshot; {name!r} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Participant is a snapshot; {name!r} cannot be deleted")

    def _values(self) -> tuple[Any, ...]:
        return self.pid, self.command, self.thread, self.since, self.alive

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Participant):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __reduce__(self) -> tuple[type[Participant], tuple[Any, ...]]:
        return type(self), self._values()

    def __repr__(self) -> str:
        thread = "" if self.thread is None else f" thread {self.thread}"
        state = "" if self.alive else ", dead"
        command = "" if self.command is None else f", {self.command!r}"
        since = ""
        if self.since is not None:
            since = f", since {time.strftime('%H:%M:%S', time.localtime(self.since))}"
        return f"<isthmus.Participant pid {self.pid}{thread}{state}{command}{since}>"


def _namespace() -> int:
    """This process's pid namespace, as slots name it."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino & 0xFFFFFFFF
    except OSError:
        return 0


def _command(pid: int) -> str | None:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(4096).rstrip(b"\0").split(b"\0")
        if words != [b""]:
            return os.fsdecode(b" ".join(words))
        with open(f"/proc/{pid}/comm", "rb") as file:
            return os.fsdecode(file.read().rstrip(b"\n"))
    except OSError:
        return None


def _wall_clock(monotonic_ns: int) -> float | None:
    if monotonic_ns == 0:
        return None
    return time.time() - (time.monotonic_ns() - monotonic_ns) / 1e9
