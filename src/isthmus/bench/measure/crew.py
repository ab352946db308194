"""The processes of one measurement: forked, pinned, watched, and all gone at the end.

They are forked rather than started anew, so that a carrier made before can be handed down, and
because it takes 5 ms rather than 100. So no thread should run beside a benchmark: a child would
find the locks that it held locked for ever, and be taken to hang.
"""

from __future__ import annotations

import mmap
import os
import pickle
import select
import signal
import time
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from isthmus._core.baseline import die_with
from isthmus.bench.errors import BenchError, CellError, Overdue, ParticipantLost, Refused, ending

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, Never

# Seconds that the others have to end when one has raised: if one of them was killed, that is why.
_GRACE = 0.1
# What ends a child that outlives everything that ought to end it: seconds beyond its deadline.
_BACKSTOP = 30


@dataclass
class Work:
    """What one process does.

    Attributes:
        role: for messages.
        run: what it does; what that returns is pickled.
        forked: done in the parent when all have been forked, such as closing what they have.
    """

    role: str
    run: Callable[[], object]
    forked: Callable[[], object] = int


@dataclass
class Member:
    """One process of a crew, and the pipe that its result comes through."""

    work: Work
    core: int
    pid: int = 0
    result: int = -1
    received: bytearray = field(default_factory=bytearray)
    status: int | None = None

    @property
    def well(self) -> bool:
        """Whether it has ended, and said what it found."""
        return self.status == 0 and bool(self.received)

    def state(self) -> str:
        """What the kernel says that it does, for people."""
        states = {"R": "running", "S": "waiting", "D": "in the kernel", "T": "stopped"}
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                letter = file.read().rpartition(b")")[2].split()[0].decode()
        except OSError:
            return "gone"
        return states.get(letter, letter)


class Meeting:
    """A place where so many processes wait for each other, as often as they like."""

    def __init__(self, parties: int) -> None:
        self._here = mmap.mmap(-1, parties)

    def wait(self, number: int) -> None:
        times = self._here[number] = (self._here[number] + 1) % 256
        # Not asleep: all shall start at the same time. Four a core must get there, though.
        while any((here - times) % 256 > 127 for here in self._here[:]):
            os.sched_yield()


class Gate:
    """Where processes sleep, at no cost, until another one lets so many of them through."""

    def __init__(self) -> None:
        self._there, self._here = os.pipe()

    def wait(self, seconds: float) -> bool:
        """Whether that came in time."""
        return bool(select.select([self._there], [], [], seconds)[0] and os.read(self._there, 1))

    def open(self, count: int) -> None:
        os.write(self._here, bytes(count))

    def close(self) -> None:
        """In the parent, when all are through."""
        os.close(self._there)
        os.close(self._here)


def in_processes(
    contender: str,
    works: Sequence[Work],
    cores: Sequence[int],
    *,
    deadline: float,
    started: Callable[[list[tuple[str, int]]], None] | None = None,
) -> list[Any]:
    """Run each in a process of its own, by turns on `cores`; what each returns.

    Raises ParticipantLost if one is killed or stopped; Overdue if they have not ended `deadline`
    seconds later; Refused if one says that it cannot; CellError for whatever else one raises.
    `started` is called with roles and processes. However it ends, no process is left.
    """
    members = [Member(work, cores[n % len(cores)]) for n, work in enumerate(works)]
    end = time.monotonic() + deadline
    pipes: list[tuple[int, int]] = []
    try:
        parent = os.getpid()
        with _uninterrupted() as mask:
            pipes = [os.pipe() for _ in members]
            for member, (here, _) in zip(members, pipes, strict=True):
                member.result = here
            for number, member in enumerate(members):
                pid = os.fork()
                if pid == 0:
                    _child(member, parent, pipes, number, mask, deadline)
                member.pid = pid
            while pipes:
                os.close(pipes.pop()[1])
        for work in works:
            work.forked()
        if started is not None:
            started([(member.work.role, member.pid) for member in members])
        _gather(contender, members, end)
    finally:
        _end(members)
        for _, there in pipes:
            with suppress(OSError):
                os.close(there)
    return [pickle.loads(member.received)[1] for member in members]  # noqa: S301


@contextmanager
def _uninterrupted() -> Iterator[set[Any]]:
    """No signal comes between a fork and the note of it."""
    names = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, names)
    try:
        yield before
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _child(
    member: Member,
    parent: int,
    pipes: list[tuple[int, int]],
    number: int,
    mask: set[Any],
    deadline: float,
) -> Never:
    status = 1
    try:
        # Ctrl-C reaches the whole terminal, but it is for the parent to end its children.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
            signal.signal(one, signal.SIG_DFL)
        die_with(parent)
        signal.alarm(int(deadline) + _BACKSTOP)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for place, (here, there) in enumerate(pipes):
            os.close(here)
            if place != number:
                os.close(there)
        os.sched_setaffinity(0, {member.core})
        try:
            said: tuple[str, Any] = ("done", member.work.run())
        except BaseException as error:
            said = ("refused" if _refuses(error) else "failed", described(error))
        with os.fdopen(pipes[number][1], "wb") as file:
            file.write(pickle.dumps(said))
        status = 0 if said[0] == "done" else 1
    finally:
        os._exit(status)


def _refuses(error: BaseException) -> bool:
    """Whether it says that this cannot be carried here, rather than that something is wrong."""
    from isthmus._ring_errors import MessageTooLargeError
    from isthmus.errors import NoSpaceError

    return isinstance(error, Refused | MessageTooLargeError | NoSpaceError | MemoryError)


def described(error: BaseException) -> str:
    """An error in one line, for the table of what failed."""
    if isinstance(error, BenchError) or _refuses(error):
        return str(error)
    text = str(error)
    line = ""
    if error.__traceback__ is not None:
        last = traceback.extract_tb(error.__traceback__)[-1]
        line = f" (in {os.path.basename(last.filename)}, line {last.lineno})"
    return f"{type(error).__name__}: {text}{line}" if text else f"{type(error).__name__}{line}"


def _gather(contender: str, members: list[Member], end: float) -> None:
    """Take in what they say until all have ended."""
    poll = select.poll()
    open_ones = {member.result: member for member in members}
    for fd in open_ones:
        poll.register(fd, select.POLLIN)
    troubled = False
    while open_ones:
        left = end - time.monotonic()
        ready = poll.poll(max(0.0, left) * 1000)
        if not ready and left <= 0:
            if not troubled:
                _raise_hanging(contender, list(open_ones.values()))
            break
        for fd, _ in ready:
            member = open_ones[fd]
            received = os.read(fd, 1 << 20)
            member.received += received
            if not received:
                poll.unregister(fd)
                del open_ones[fd]
                _reap(member, end)
                if not member.well and not troubled:
                    # Those that wait for it may fail as well, or never end. One that was killed
                    # is why; one that raised may have met its death first.
                    troubled = True
                    killed = member.status is not None and member.status < 0
                    end = min(end, time.monotonic() + (0.0 if killed else _GRACE))
    if troubled:
        _raise_failed(contender, members)


def _reap(member: Member, end: float) -> None:
    """One whose pipe has closed ends at once, unless it was stopped just there."""
    while member.status is None and time.monotonic() < end:
        pid, status = os.waitpid(member.pid, os.WNOHANG)
        if pid:
            member.status = os.waitstatus_to_exitcode(status)
        else:
            os.sched_yield()


def _raise_hanging(contender: str, members: list[Member]) -> Never:
    who = ", ".join(f"{m.work.role} (process {m.pid}, {m.state()})" for m in members)
    # One that was stopped is why the others wait.
    first = min(members, key=lambda member: member.state() != "stopped")
    if first.state() != "stopped":
        raise Overdue(f"not ended in time: {who}")
    raise ParticipantLost(
        f"{contender}: not ended in time: {who}; the benchmark was given up. Leave {contender} "
        "out, or give it more time",
        contender=contender,
        role=first.work.role,
        pid=first.pid,
    )


def _raise_failed(contender: str, members: list[Member]) -> Never:
    said: list[tuple[Member, str, str]] = []
    for member in members:
        if member.status is None or member.well:
            continue
        if member.status < 0 or not member.received:
            raise ParticipantLost(
                f"{contender}: its {member.work.role} (process {member.pid}) "
                f"{ending(member.status)}; the benchmark was given up",
                contender=contender,
                role=member.work.role,
                pid=member.pid,
            )
        how, text = pickle.loads(member.received)  # noqa: S301
        said.append((member, how, text))
    for _, how, text in said:
        if how == "refused":
            raise Refused(text)
    # Which one took the other along cannot be told here.
    raise CellError("; ".join(f"its {one.work.role} failed: {text}" for one, _, text in said))


def _end(members: list[Member]) -> None:
    """Kill and reap those that are left."""
    for member in members:
        if member.pid and member.status is None:
            with suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGKILL)
    for member in members:
        if member.pid and member.status is None:
            with suppress(ChildProcessError):
                os.waitpid(member.pid, 0)
        if member.result >= 0:
            with suppress(OSError):
                os.close(member.result)
