"""What the inspector finds, as it was at the moment of the look. Nothing here can be changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from types import MappingProxyType
from typing import Any, Literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

#: Where something that processes share lives, and who made it.
Family = Literal["isthmus", "posix", "sysv", "mqueue"]
#: How bad a problem is: worth knowing; something is going wrong; bytes are not what they should be.
Severity = Literal["note", "warning", "damage"]

# What stat counts st_blocks in.
_BLOCK = 512

NOTHING: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Process:
    """A process that maps an object, or has it open."""

    #: As this process sees it.
    pid: int
    #: How it was started, program and arguments; None when that may not be read.
    command: str | None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be, and what to do."""

    severity: Severity
    #: One sentence: what is the matter.
    what: str
    #: One sentence: what to do about it.
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedObject:
    """One thing that processes share: a line of ``isthmus ls``."""

    family: Family
    #: Of isthmus: "queue", "topic", "array", "lock" and so on, "socket" (a channel's address),
    #: "draft" (one that is being made). Of others: "segment", "semaphore", "semaphores" (a System V
    #: set), "messages" (a message queue).
    kind: str
    #: Of isthmus: as it was given. POSIX: with its slash. System V: "shm 12", "sem 3", "msg 4".
    name: str
    #: What to call it by: a word for `info` and its kind, and for the command line.
    address: str
    #: Whose it is by its name: "multiprocessing", "PyTorch" …; "isthmus"; None: not known.
    library: str | None
    #: Its file; None: it has none.
    path: str | None
    #: Bytes that there are. Of a message queue: that may be in it; of semaphores: 0.
    size: int
    #: Bytes that take room in memory; None: not known.
    resident: int | None
    uid: int
    gid: int
    #: Permission bits.
    mode: int
    #: When it was made, as `time.time` counts; None: not known.
    created: float | None
    #: When it was last changed, or attached to, as far as the system tells; None: it does not.
    changed: float | None
    #: Participants whose handle is open in a living process; None: it keeps no account.
    alive: int | None = None
    #: Participants that died and after whom nobody has put things in order yet.
    dead: int | None = None
    #: Messages that wait: of a queue those that are ready, of a topic those of the slowest
    #: subscriber, of a message queue all. None: it has no messages.
    depth: int | None = None
    #: Who maps it or has it open, as far as this process may look.
    users: tuple[Process, ...] = ()
    #: Whether anybody has it: as the kernel says, or the locks of participants. None: not known.
    in_use: bool | None = None
    #: What is wrong with it, the gravest first; only what a short look finds.
    problems: tuple[Problem, ...] = ()

    @property
    def ours(self) -> bool:
        """Whether isthmus made it."""
        return self.family == "isthmus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A participant of an object, dead or alive: one handle of some process."""

    #: Its place in the participant table.
    slot: int
    #: As it sees itself: in a container perhaps another number than outside.
    pid: int
    #: None when it is gone, in another pid namespace, or may not be read.
    command: str | None
    alive: bool
    #: When it joined, as `time.time` counts.
    since: float | None
    #: "producer", "consumer", "subscriber", "publisher", "owner", "reader" …
    roles: tuple[str, ...] = ()
    #: How many of its threads wait, and since when the last one does.
    waiting: int = 0
    waiting_since: float | None = None
    waiting_thread: int | None = None
    #: Leases, permits, times that it reads, arrivals: what it has a share in.
    share: int = 0
    share_since: float | None = None
    #: Subscriber: the position of the next record that it reads, how many messages it is behind,
    #: how many it has missed, and whether it holds a view on one.
    cursor: int | None = None
    lag: int | None = None
    missed: int | None = None
    pinned: bool = False
    #: Consumer: messages that were got and not reported as done (`task_done`).
    owed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockState:
    """A lock in an object: its own, or one of those inside."""

    #: "lock", "writer", "producers", "consumers", "guard".
    what: str
    locked: bool
    #: Who holds it; None: nobody, or a slot that is nobody's.
    owner: Member | None
    #: Native id of the thread that holds it; None: not known.
    thread: int | None = None
    #: How often that thread has taken it.
    depth: int | None = None
    #: When it was taken, as `time.time` counts; None: not known.
    since: float | None = None
    #: The last owner died holding it, and nobody has taken it since.
    abandoned: bool = False
    #: Owners that died holding it; None: not counted.
    deaths: int | None = None
    #: Somebody may be asleep on it.
    contended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseState:
    """A message of a queue that somebody is working on."""

    #: How many messages were put before it.
    number: int
    #: Where its record begins.
    position: int
    #: Bytes of payload.
    size: int
    #: How often it was delivered.
    attempts: int
    #: Who works on it; None: a slot that is nobody's.
    worker: Member | None
    #: When the worker last took a lease, as `time.time` counts: this one is at least that old.
    since: float | None


@dataclass(frozen=True, slots=True)
class Region:
    """A part of an object's bytes."""

    name: str
    #: Bytes from the start of the file.
    offset: int
    size: int
    #: What is in it.
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """Everything about one object."""

    shared: SharedObject
    #: When the look was taken: as `time.time` and as `time.monotonic` count.
    taken: float
    taken_monotonic: float
    #: What was said when it was made: capacity, maxsize, persist, dtype, shape …
    configuration: Mapping[str, object]
    #: Who takes part, in the order of the table.
    members: tuple[Member, ...] = ()
    locks: tuple[LockState, ...] = ()
    leases: tuple[LeaseState, ...] = ()
    #: Numbers that only grow: messages put, got, redelivered …
    counters: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    #: Numbers that go up and down: ready, leased, used bytes, permits …
    gauges: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    #: Counters a second, between two looks; empty after a single one.
    rates: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    #: What is where, in order, without gaps.
    regions: tuple[Region, ...] = ()
    problems: tuple[Problem, ...] = ()


def of_file(path: str | None, status: os.stat_result, **more: Any) -> SharedObject:
    """An object that is a file, of which `stat` tells some; `more`: the rest."""
    return SharedObject(
        path=path,
        size=status.st_size,
        resident=status.st_blocks * _BLOCK,
        uid=status.st_uid,
        gid=status.st_gid,
        mode=status.st_mode & 0o7777,
        changed=max(status.st_mtime, status.st_ctime),
        **more,
    )


def to_dict(found: Any) -> Any:
    """Anything of this module as dicts, lists, numbers and texts, as JSON has them."""
    if is_dataclass(found):
        values = {one.name: to_dict(getattr(found, one.name)) for one in fields(found)}
        if isinstance(found, SharedObject):
            values["ours"] = found.ours
        return values
    if isinstance(found, Mapping):
        return {str(key): to_dict(value) for key, value in found.items()}
    if isinstance(found, (list, tuple, set, frozenset)):
        return [to_dict(value) for value in found]
    if isinstance(found, bytes):
        return found.decode("utf-8", "backslashreplace")
    if found is None or isinstance(found, (bool, int, float, str)):
        return found
    return str(found)
