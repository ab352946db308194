"""What queues and topics have in common: plans, handles, members, and what can go wrong."""

from __future__ import annotations

import errno

from isthmus import _arguments, _ending, _explain, _primitive_errors, _spin
from isthmus._core import ring
from isthmus._handle import Handle
from isthmus._origin import HEADER_SIZE, PARTICIPANTS_MAX
from isthmus.errors import ClosedError, IsthmusError, NotHeldError, SizeError
from isthmus.participant import Participant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self, SupportsIndex

_ending.arrange(ring)

# isthmus_shared_primitive.flags
PERSIST = 8
# layout.h, and what a capacity is unless told otherwise.
CAPACITY_MIN, CAPACITY = 4096, 1 << 20
# Of isthmus_shared_primitive and what follows it, and of one participant.
_FIXED, _EACH = 832, 128
_ROLES = {1: "producer", 2: "consumer", 4: "subscriber"}


class Plan:
    """What a ring shall be like, and what must be true of one that is there already."""

    __slots__ = ("core", "size", "wanted")

    def __init__(
        self,
        kind: int,
        capacity: SupportsIndex | str | None,
        participants: SupportsIndex,
        persist: bool,
        wanted: Mapping[str, object] | None = None,
        *,
        max_attempts: int = 0,
        maxsize: int = 0,
        start: int = 0,
    ) -> None:
        places = _arguments.whole(participants, "participants", 1, PARTICIPANTS_MAX)
        self.wanted = dict(wanted or {})
        size = CAPACITY
        if capacity is not None:
            size = power_of_two(_arguments.size(capacity, "capacity"))
            self.wanted["capacity"] = size
        if persist:
            self.wanted["persist"] = True
        flags = PERSIST if persist else 0
        self.core = (kind, flags, places, max_attempts, size, maxsize, start)
        # To the next page.
        fixed = -(-(HEADER_SIZE + _FIXED + _EACH * places) // 4096) * 4096
        self.size = fixed + size * (2 if max_attempts else 1)


def power_of_two(size: int) -> int:
    """A capacity as the core rounds it up."""
    if size > 1 << 62:
        raise SizeError(f"capacity {size} is more than a 64-bit system can address")
    return max(CAPACITY_MIN, 1 << (size - 1).bit_length())


class Settings:
    """How one handle behaves, checked."""

    __slots__ = ("allow_pickle", "spin_ns")

    def __init__(self, spin: float | None, allow_pickle: bool | None) -> None:
        self.spin_ns = _spin.nanoseconds(spin)
        if allow_pickle is not None and not isinstance(allow_pickle, bool):
            kind = type(allow_pickle).__name__
            raise TypeError(f"allow_pickle must be True, False or None, not {kind}")
        self.allow_pickle = allow_pickle


class RingHandle(Handle):
    """Mixed in beside a class of the binding."""

    __slots__ = ()

    if TYPE_CHECKING:
        _configure: Any
        _facts: Any
        _members: Any

        @property
        def spin(self) -> Any: ...
        @property
        def allow_pickle(self) -> Any: ...
        @property
        def _views(self) -> Any: ...

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        ring.own_methods(cls)

    def _adopt(self, settings: Settings) -> None:
        self._configure(settings.spin_ns, settings.allow_pickle)

    def _kept(self) -> tuple[Any, ...]:
        return self.spin, self.allow_pickle

    def _keep(self, spin: float | None, allow_pickle: bool | None) -> None:
        self._adopt(Settings(spin, allow_pickle))

    def _found(self) -> dict[str, object]:
        flags, capacity, maxsize, max_attempts = self._facts()
        return {
            "capacity": capacity,
            "maxsize": maxsize,
            "max_attempts": max_attempts or None,
            "persist": bool(flags & PERSIST),
        }

    def _in_use(self) -> str:
        if self._views:
            return f"{self._views} views of messages in it are still there"
        return "a thread is using this handle"

    def _having(self, role: str) -> list[Member]:
        """Who is alive and has this role."""
        self._not_closed()
        found = [Member._of(*facts) for facts in self._members()]
        return [member for member in found if member.alive and role in member.roles]

    def __enter__(self) -> Self:
        self._not_closed()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Member(Participant):
    """A participant of a queue or topic: one handle of some process, as it was when you asked."""

    __slots__ = ("lag", "leases", "missed", "roles")

    #: What it does, or has done: "producer", "consumer" (of a queue), "subscriber" (of a topic).
    roles: frozenset[str]
    #: Messages that it has leased.
    leases: int
    #: Messages that a subscriber has not read yet.
    lag: int
    #: Messages that were overwritten before a subscriber had read them, ever.
    missed: int

    def __init__(
        self,
        pid: int,
        command: str | None,
        thread: int | None,
        since: float | None,
        alive: bool,
        roles: frozenset[str] = frozenset(),
        leases: int = 0,
        lag: int = 0,
        missed: int = 0,
    ) -> None:
        super().__init__(pid, command, thread, since, alive)
        for name, value in (
            ("roles", roles),
            ("leases", leases),
            ("lag", lag),
            ("missed", missed),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def _of(cls, facts: Any, seat: tuple[int, int, int, int]) -> Member:
        role, lag, missed, leases = seat
        roles = frozenset(name for bit, name in _ROLES.items() if role & bit)
        seen: Any = cls
        made: Member = seen(*Participant._from(facts)._values(), roles, leases, lag, missed)
        return made

    def _values(self) -> tuple[Any, ...]:
        return *super()._values(), self.roles, self.leases, self.lag, self.missed

    def __repr__(self) -> str:
        roles = f", {' and '.join(sorted(self.roles))}" if self.roles else ""
        return f"{super().__repr__()[:-1]}{roles}>"


class Snapshot:
    """Numbers, as they were at one moment. Attributes cannot be set; equal if all are."""

    __slots__: tuple[str, ...] = ()

    def __init__(self, **values: object) -> None:
        for name in self.__slots__:
            object.__setattr__(self, name, values[name])

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is a snapshot; {name!r} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is a snapshot; {name!r} cannot be deleted")

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __reduce__(self) -> tuple[Any, ...]:
        return _same, (type(self), dict(zip(self.__slots__, self._values(), strict=True)))

    def __repr__(self) -> str:
        values = zip(self.__slots__, self._values(), strict=True)
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in values)})"


def _same(cls: type[Snapshot], values: dict[str, object]) -> Snapshot:
    return cls(**values)


# ---- What can go wrong; called by the binding ---------------------------------------------


def failed(handle: Any, code: int) -> IsthmusError:
    """The error for what an operation has met."""
    what, name = _primitive_errors.described(handle)
    if code == errno.EBADF:
        return ClosedError(f"{what} has been closed", name=name)
    if code == errno.EBADMSG:
        return damaged(handle, None, None, "what is in it contradicts itself")
    if code == errno.EUSERS:
        living = sum(facts[6] for facts in handle._participants())
        return _primitive_errors.too_many(what, name, handle.participants, living)
    if code == errno.ERANGE:
        return NotHeldError(
            f"{what}: task_done() was called more often than messages were got",
            name=name,
        )
    return _explain.general(OSError(code, ""), f"using {what}", name)


def full(handle: Any, done: int) -> IsthmusError:
    from isthmus._ring_errors import Full

    what, name = _primitive_errors.described(handle)
    before = f"; {done} were put" if done else ""
    return Full(f"{what} had no room in time{before}", name=name, done=done)


def empty(handle: Any) -> IsthmusError:
    from isthmus._ring_errors import Empty

    what, name = _primitive_errors.described(handle)
    return Empty(f"{what} had no message in time", name=name)


def shut_down(handle: Any, done: int) -> IsthmusError:
    from isthmus._ring_errors import ShutDown

    what, name = _primitive_errors.described(handle)
    before = f"; {done} were put before" if done else ""
    return ShutDown(f"{what} has been shut down{before}", name=name, done=done)


def too_large(handle: Any, size: int) -> IsthmusError:
    from isthmus._ring_errors import MessageTooLargeError

    what, name = _primitive_errors.described(handle)
    return MessageTooLargeError(
        f"a message that takes {_explain.size_text(size)} can never fit into {what}, whose "
        f"capacity is {_explain.size_text(handle.capacity)}; send it in parts, or make a larger "
        "one",
        name=name,
        size=size,
        capacity=handle.capacity,
    )


def damaged(handle: Any, number: int | None, position: int | None, why: str) -> IsthmusError:
    from isthmus._ring_errors import RecordError

    what, name = _primitive_errors.described(handle)
    which = "" if number is None else f"message {number}, at position {position}, of "
    return RecordError(
        f"{which}{what} is damaged: {why}", name=name, number=number, position=position
    )


def untrusted(handle: Any, number: int) -> IsthmusError:
    from isthmus._ring_errors import UntrustedPickleError

    what, name = _primitive_errors.described(handle)
    why = "this handle has allow_pickle=False"
    if handle.allow_pickle is None:
        why = (
            "another user could have written it, by its mode or owner; if all who may write are "
            "to be trusted with running code in this process, open it with allow_pickle=True"
        )
    return UntrustedPickleError(
        f"message {number} of {what} is a pickle, and is not read: {why}", name=name, number=number
    )


def lease_error(lease: ring.Lease, handle: Any, lost: bool) -> IsthmusError:
    from isthmus._ring_errors import LeaseError, LeaseLostError

    what, name = _primitive_errors.described(handle)
    if lost:
        return LeaseLostError(
            f"message {lease.number} of {what} is no longer leased by this handle, which was "
            "closed, or was evicted, or is the copy in a forked process; it may be delivered once "
            "more",
            name=name,
        )
    return LeaseError(
        f"the lease of message {lease.number} of {what} has been settled already", name=name
    )
