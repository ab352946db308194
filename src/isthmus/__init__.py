"""Shared memory that Python processes can rely on.

`Segment` is a piece of shared memory, `Array` a named numpy array in one. `Lock`, `RLock`,
`Semaphore`, `BoundedSemaphore`, `Event`, `Condition`, `Barrier`, `RWLock` and `AtomicInt`
are for processes to take turns and to wait for each other; they survive processes that die.
`Queue` passes messages, each to one of its readers, and loses none to a death.
`Publisher` and `Subscriber` pass each message to everybody who listens.
`wait` waits for the first of several of all these, and of file descriptors; `isthmus.aio` has
what waits for asyncio. `isthmus.channel` carries messages over any form of interprocess
communication, by one interface.
`isthmus.posix` and `isthmus.sysv` are the bare system calls, `isthmus.compat` has drop-ins for
what programs use otherwise. Every error derives from `IsthmusError` and from the built-in
exception that people expect.

Importing this package is cheap: each part is loaded when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import isthmus.aio as aio
    import isthmus.channel as channel
    import isthmus.compat as compat
    import isthmus.inspect as inspect
    import isthmus.posix as posix
    import isthmus.sysv as sysv
    from isthmus._paths import get_include as get_include, get_pkgconfig_dir as get_pkgconfig_dir
    from isthmus._ring import Member as Member
    from isthmus._ring_errors import (
        Empty as Empty,
        Full as Full,
        LeaseError as LeaseError,
        LeaseLostError as LeaseLostError,
        MessageTooLargeError as MessageTooLargeError,
        RecordError as RecordError,
        ShutDown as ShutDown,
        UntrustedPickleError as UntrustedPickleError,
    )
    from isthmus.array import Array as Array
    from isthmus.atomic_int import AtomicInt as AtomicInt
    from isthmus.barrier import Barrier as Barrier, BrokenBarrierError as BrokenBarrierError
    from isthmus.condition import Condition as Condition
    from isthmus.errors import (
        AccessError as AccessError,
        ArgumentError as ArgumentError,
        ClosedError as ClosedError,
        CorruptError as CorruptError,
        ExistsError as ExistsError,
        ForeignError as ForeignError,
        FormatError as FormatError,
        InUseError as InUseError,
        IsthmusError as IsthmusError,
        KindError as KindError,
        LayoutError as LayoutError,
        MismatchError as MismatchError,
        NameInvalidError as NameInvalidError,
        NoSpaceError as NoSpaceError,
        NotFoundError as NotFoundError,
        NotHeldError as NotHeldError,
        NotReadyError as NotReadyError,
        OwnerDied as OwnerDied,
        OwnerDiedWarning as OwnerDiedWarning,
        OwnerError as OwnerError,
        ReplacedError as ReplacedError,
        SealedError as SealedError,
        SizeError as SizeError,
        SystemCallError as SystemCallError,
        TooManyParticipantsError as TooManyParticipantsError,
        TooManyPermitsError as TooManyPermitsError,
        TruncatedError as TruncatedError,
        UnsupportedError as UnsupportedError,
        VersionError as VersionError,
    )
    from isthmus.event import Event as Event
    from isthmus.lock import Lock as Lock, RLock as RLock
    from isthmus.participant import Participant as Participant
    from isthmus.queue import (
        AsideMessage as AsideMessage,
        Lease as Lease,
        Queue as Queue,
        QueueStats as QueueStats,
    )
    from isthmus.rwlock import RWLock as RWLock
    from isthmus.segment import Segment as Segment
    from isthmus.semaphore import BoundedSemaphore as BoundedSemaphore, Semaphore as Semaphore
    from isthmus.topic import (
        Loan as Loan,
        Publisher as Publisher,
        Subscriber as Subscriber,
        Topic as Topic,
        TopicStats as TopicStats,
        View as View,
    )
    from isthmus.waiting import wait as wait

__version__ = "0.1.0"

__all__ = [
    "AccessError",
    "ArgumentError",
    "Array",
    "AsideMessage",
    "AtomicInt",
    "Barrier",
    "BoundedSemaphore",
    "BrokenBarrierError",
    "ClosedError",
    "Condition",
    "CorruptError",
    "Empty",
    "Event",
    "ExistsError",
    "ForeignError",
    "FormatError",
    "Full",
    "InUseError",
    "IsthmusError",
    "KindError",
    "LayoutError",
    "Lease",
    "LeaseError",
    "LeaseLostError",
    "Loan",
    "Lock",
    "Member",
    "MessageTooLargeError",
    "MismatchError",
    "NameInvalidError",
    "NoSpaceError",
    "NotFoundError",
    "NotHeldError",
    "NotReadyError",
    "OwnerDied",
    "OwnerDiedWarning",
    "OwnerError",
    "Participant",
    "Publisher",
    "Queue",
    "QueueStats",
    "RLock",
    "RWLock",
    "RecordError",
    "ReplacedError",
    "SealedError",
    "Segment",
    "Semaphore",
    "ShutDown",
    "SizeError",
    "Subscriber",
    "SystemCallError",
    "TooManyParticipantsError",
    "TooManyPermitsError",
    "Topic",
    "TopicStats",
    "TruncatedError",
    "UnsupportedError",
    "UntrustedPickleError",
    "VersionError",
    "View",
    "__version__",
    "aio",
    "channel",
    "compat",
    "get_include",
    "get_pkgconfig_dir",
    "inspect",
    "posix",
    "sysv",
    "wait",
]

# Where each of them is found: None, the name is a module; not listed, in errors.
_HOME = {
    "Array": "array",
    "AsideMessage": "queue",
    "AtomicInt": "atomic_int",
    "Barrier": "barrier",
    "BoundedSemaphore": "semaphore",
    "BrokenBarrierError": "barrier",
    "Condition": "condition",
    "Empty": "_ring_errors",
    "Event": "event",
    "Full": "_ring_errors",
    "Lease": "queue",
    "LeaseError": "_ring_errors",
    "LeaseLostError": "_ring_errors",
    "Loan": "topic",
    "Lock": "lock",
    "Member": "_ring",
    "MessageTooLargeError": "_ring_errors",
    "Participant": "participant",
    "Publisher": "topic",
    "Queue": "queue",
    "QueueStats": "queue",
    "RLock": "lock",
    "RWLock": "rwlock",
    "RecordError": "_ring_errors",
    "Segment": "segment",
    "Semaphore": "semaphore",
    "ShutDown": "_ring_errors",
    "Subscriber": "topic",
    "Topic": "topic",
    "TopicStats": "topic",
    "UntrustedPickleError": "_ring_errors",
    "View": "topic",
    "aio": None,
    "channel": None,
    "compat": None,
    "get_include": "_paths",
    "get_pkgconfig_dir": "_paths",
    "inspect": None,
    "posix": None,
    "sysv": None,
    "wait": "waiting",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = _HOME.get(name, "errors")
    if home is None:
        return import_module(f"{__name__}.{name}")
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
