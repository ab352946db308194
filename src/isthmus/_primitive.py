"""What locks and friends have in common: making, opening, placing, copying, describing them."""

from __future__ import annotations

import errno
import os

from isthmus import (
    _arguments,
    _ending,
    _explain,
    _opening,
    _primitive_errors as _errors,
    _reopen,
)
from isthmus._core import memory, sync
from isthmus._plan import (
    EXTERNAL_LOCK,
    HEADER_SIZE,
    PARTICIPANTS,
    PARTICIPANTS_MAX,
    PERMITS_MAX,
    PERSIST,
    READER_PREFERENCE,
    ROBUST,
    Origin,
    Plan,
    Settings,
)
from isthmus.errors import (
    AccessError,
    ArgumentError,
    InUseError,
    IsthmusError,
    MismatchError,
    NotReadyError,
    SizeError,
    UnsupportedError,
)
from isthmus.participant import Participant
from isthmus.segment import Segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Self, SupportsIndex, Unpack

    from isthmus._options import Attaching

_ending.arrange()

# How often something may be gone again, or another, before we give up.
_ROUNDS = 100


class Primitive(sync.Primitive):
    """Base of all of them: a handle, which is a participant of its own."""

    __slots__ = ()

    _KIND = 0

    if TYPE_CHECKING:
        _origin: Origin

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        sync.own_methods(cls)

    # ---- Making and opening --------------------------------------------------------

    def _open(
        self,
        name: str | None,
        segment: Segment | None,
        offset: SupportsIndex,
        plan: Plan | None,
        settings: Settings,
        mode: SupportsIndex,
        owner: SupportsIndex | str | None,
        open_timeout: float,
    ) -> None:
        """What constructors do: open it or make it, wherever it is to be. Plan None: open it."""
        bits, uid = _arguments.mode(mode), _arguments.owner(owner)
        seconds = _arguments.timeout(open_timeout)
        if segment is not None:
            if name is not None:
                raise ArgumentError("a name and a segment: it can be in one place only, give one")
            self._open_placed(segment, offset, plan, seconds)
        elif name is None:
            self._make_anonymous(plan)
        elif plan is None:
            self._attach_named(name, uid, seconds)
        else:
            self._attach_or_create(name, plan, bits, uid, seconds)
        self._configure(settings.on_owner_death, settings.spin_ns)

    def _attach_or_create(
        self, name: str, plan: Plan, mode: int, owner: int, seconds: float
    ) -> None:
        def attach() -> None:
            self._attach_named(name, owner, seconds)
            self._compare(plan.wanted)

        def create() -> None:
            self._create_named(name, plan, mode, -1, -1)

        _opening.open_or_create(attach, create, self._called(name), name)

    @classmethod
    def _created(
        cls,
        name: str,
        plan: Plan,
        settings: Settings,
        mode: SupportsIndex = 0o600,
        owner: SupportsIndex | str | None = None,
        group: SupportsIndex | str | None = None,
    ) -> Self:
        """What `create` does."""
        self = cls.__new__(cls)
        uid, gid = _arguments.new_owner(owner), _arguments.new_group(group)
        self._create_named(name, plan, _arguments.mode(mode), uid, gid)
        self._configure(settings.on_owner_death, settings.spin_ns)
        return self

    @classmethod
    def _attached(
        cls,
        name: str,
        settings: Settings,
        wanted: Mapping[str, object] | None = None,
        owner: SupportsIndex | str | None = None,
        open_timeout: float = 1.0,
    ) -> Self:
        """What `attach` does."""
        self = cls.__new__(cls)
        self._attach_named(name, _arguments.owner(owner), _arguments.timeout(open_timeout))
        self._compare(wanted or {})
        self._configure(settings.on_owner_death, settings.spin_ns)
        return self

    @classmethod
    def _part_of(cls, segment: Segment, offset: int, what: str) -> Self:
        """One that a typed object contains; `what` to call it."""
        self: Any = _reopen.placed(cls, (None, "warn"), segment, offset)
        self._origin.what = what
        found: Self = self
        return found

    def _create_named(self, name: str, plan: Plan, mode: int, owner: int, group: int) -> None:
        what, (encoded, path) = self._called(name), paths(name)
        try:
            self._create(encoded, plan.core, mode, owner, group)
        except OSError as error:
            size = plan.size + HEADER_SIZE
            raise _errors.opening(error, what, name, path, self._KIND, size) from None
        self._origin = Origin(what, True, name, path)

    def _attach_named(self, name: str, owner: int, seconds: float) -> None:
        what, (encoded, path) = self._called(name), paths(name)

        def attempt() -> None:
            try:
                self._attach(encoded, self._KIND, owner)
            except OSError as error:
                raise _errors.opening(error, what, name, path, self._KIND) from None

        _opening.when_ready(attempt, seconds)
        self._origin = Origin(what, False, name, path)

    def _make_anonymous(self, plan: Plan | None) -> None:
        what = self._called(None)
        if plan is None:
            raise ArgumentError(f"{what} cannot be attached to, only made: say what it shall be")
        try:
            self._anonymous(plan.core)
        except OSError as error:
            if error.errno in (errno.ENOMEM, errno.ENOSPC):
                raise _explain.no_memory(what, None, plan.size) from None
            raise _errors.opening(error, what, None, b"", self._KIND) from None
        self._origin = Origin(what, True)

    def _open_placed(
        self, segment: Segment, offset: SupportsIndex, plan: Plan | None, seconds: float
    ) -> None:
        mapping, start, what = self._spot(segment, offset)
        size = self.nbytes() if plan is None else plan.size

        def attempt() -> bool:
            """Whether it was made here."""
            for _ in range(_ROUNDS):
                try:
                    self._find(mapping, segment.fileno(), start, self._KIND)
                    return False
                except OSError as error:
                    if error.errno != errno.ENOENT or plan is None:
                        raise _errors.placing(error, what, segment, self._KIND, size) from None
                try:
                    self._place(mapping, segment.fileno(), start, plan.core)
                    return True
                except OSError as error:
                    if error.errno != errno.ENOTUNIQ:  # somebody was first, and made another
                        raise _errors.placing(error, what, segment, self._KIND, size) from None
            raise NotReadyError(f"{what} keeps changing", name=segment.name)

        created = _opening.when_ready(attempt, seconds)
        self._origin = Origin(what, created, segment.name, b"", segment, start)
        if plan is not None and not created:
            self._compare(plan.wanted)

    def _spot(self, segment: Segment, offset: SupportsIndex) -> tuple[memory.Mapping, int, str]:
        """The mapping, the offset in it, and what to call it."""
        if not isinstance(segment, Segment):
            raise TypeError(f"segment must be a Segment, not {type(segment).__name__}")
        start = _arguments.size(offset, "offset", 0)
        noun, name = _errors.NOUNS[self._KIND], segment.name
        what = f"{noun} at offset {start} of {segment._backing.what}"
        mapping = segment._open()
        if start % 64:
            raise SizeError(f"{what}: the offset must be a multiple of 64", name=name)
        if segment.kind == "sysv":
            raise UnsupportedError(
                f"{what} is not possible: locks on the file tell who is alive, and System V "
                "memory has no file",
                name=name,
            )
        if segment.readonly:
            raise AccessError(f"{what}: the segment is attached for reading only", name=name)
        return mapping, start, what

    def _compare(self, wanted: Mapping[str, object]) -> None:
        """MismatchError, and closed, if what has been opened is not what was asked for."""
        found = self._found()
        differences = [
            f"{what}={found[what]!r}, not {value!r}"
            for what, value in wanted.items()
            if found[what] != value
        ]
        if differences:
            what, name = self._origin.what, self._origin.name
            self._close()
            raise MismatchError(
                f"{what} exists with {'; '.join(differences)}. Ask for it as it is, or choose "
                "another name",
                name=name,
            )

    def _found(self) -> dict[str, object]:
        """What it was made with, in the words of the constructors."""
        flags, initial, maximum = self._facts()
        return {
            "robust": bool(flags & ROBUST),
            "reader_preference": bool(flags & READER_PREFERENCE),
            "a lock of its own": not flags & EXTERNAL_LOCK,
            "persist": bool(flags & PERSIST),
            "value": initial,
            "parties": initial,
            "bounded": maximum < PERMITS_MAX,
        }

    @classmethod
    def _called(cls, name: str | None) -> str:
        noun = _errors.NOUNS[cls._KIND]
        return f"anonymous {noun}" if name is None else f"{noun} {name!r}"

    @classmethod
    def nbytes(cls, participants: SupportsIndex = PARTICIPANTS) -> int:
        """How many bytes one takes in a segment: a multiple of 64.

        Args:
            participants: for how many handles at once it has room.
        """
        places = _arguments.whole(participants, "participants", 1, PARTICIPANTS_MAX)
        return sync.size(cls._KIND, places)

    # ---- What it is ----------------------------------------------------------------

    @property
    def name(self) -> str | None:
        """The name, as it was given; of one in a segment, that of the segment; or None."""
        return None if self._origin is None else self._origin.name

    @property
    def segment(self) -> Segment | None:
        """The segment that it was placed in; None: it has memory of its own."""
        return self._origin.segment

    @property
    def offset(self) -> int:
        """Where in the segment it begins, in bytes."""
        return self._origin.offset

    @property
    def created(self) -> bool:
        """Whether this handle made it, rather than found it."""
        return self._origin.created

    def __repr__(self) -> str:
        origin = self._origin
        if origin is None:
            return f"<isthmus.{type(self).__name__}, not open>"
        if origin.segment is not None:
            label = f"at {origin.offset} of {origin.segment!r}"
        else:
            label = "anonymous" if origin.name is None else repr(origin.name)
        state = ", closed" if self.closed else self._state()
        return f"<isthmus.{type(self).__name__} {label}{state}>"

    def _state(self) -> str:
        """What is to be seen of an open one."""
        return ""

    # ---- Its end -------------------------------------------------------------------

    def close(self) -> None:
        """End the use of this handle. May be called twice.

        What it holds counts as held by one that died. When this was the last open handle in
        all processes, a named object is removed, unless it was made with `persist=True`.

        InUseError: another thread is waiting on this handle; nothing has happened.
        """
        if not self._close():
            raise InUseError(
                f"{self._origin.what} cannot be closed: a thread is waiting on this handle",
                name=self.name,
            )

    def unlink(self) -> None:
        """Remove the name now. Whoever has it open keeps it; who comes later makes a new one.

        NotFoundError: the name is gone. ReplacedError: it stands for another object, which is
        left alone. AccessError. UnsupportedError: anonymous, or in a segment. ClosedError.
        """
        origin = self._not_closed()
        if not origin.path:
            raise UnsupportedError(f"{origin.what} has no name of its own", name=origin.name)
        try:
            self._unlink()
        except OSError as error:
            raise _explain.unlinking(error, origin.what, origin.name) from None

    def _not_closed(self) -> Origin:
        if self.closed:
            raise failed(self, errno.EBADF)
        return self._origin

    # ---- Copies --------------------------------------------------------------------

    def __copy__(self) -> Self:
        """Another handle to the same, as pickling makes one: another participant."""
        reopen, arguments = self._recipe()
        same: Self = reopen(*arguments)
        return same

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        reopen, arguments = self._recipe()
        if reopen is _reopen.anonymous:
            # Travels as a descriptor: only to processes that multiprocessing can pass one to.
            from multiprocessing import reduction

            return _reopen.passed, (*arguments[:2], reduction.DupFd(arguments[2]))
        return reopen, arguments

    def _recipe(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        origin = self._not_closed()
        if origin.segment is not None:
            return _reopen.placed, (type(self), self._kept(), origin.segment, origin.offset)
        if origin.path:
            identity = memory.status(self._fileno())[:2]
            return _reopen.named, (type(self), self._kept(), origin.name, identity)
        return _reopen.anonymous, (type(self), self._kept(), self._fileno())

    def _kept(self) -> tuple[Any, ...]:
        """What a copy takes over from this handle: the arguments of its `_keep`."""
        return self.spin, self.on_owner_death

    def _keep(self, spin: float | None, on_owner_death: Any) -> None:
        settings = Settings(spin, on_owner_death)
        self._configure(settings.on_owner_death, settings.spin_ns)


class Plain(Primitive):
    """Those without an owner that could die: `attach` needs no more than a name."""

    __slots__ = ()

    @classmethod
    def attach(cls, name: str, *, spin: float | None = None, **options: Unpack[Attaching]) -> Self:
        """Attach to the one called `name`, which must exist: NotFoundError. See the class."""
        return cls._attached(name, Settings(spin), **options)


def owner(handle: Primitive) -> Participant | None:
    """Who holds it, dead or alive."""
    facts = handle._owner()
    return None if facts is None else Participant._from(facts)


def ownership(handle: Primitive) -> str:
    """The same for a repr."""
    found = owner(handle)
    if found is None:
        return ", free"
    return f", held by pid {found.pid}{'' if found.alive else ', dead'}"


def waiters(handle: Primitive) -> list[Participant]:
    """Who is alive and asleep, waiting."""
    return [Participant._from(facts) for facts in handle._participants() if facts[5] and facts[6]]


def sharers(handle: Primitive) -> list[Participant]:
    """Who is alive and has a share: permits, or reads, or has arrived."""
    return [Participant._from(facts) for facts in handle._participants() if facts[4] and facts[6]]


def failed(handle: Primitive, code: int) -> IsthmusError:
    """The error for what an operation has met. Called by the binding."""
    return _errors.using(handle, code)


def paths(name: str) -> tuple[bytes, bytes]:
    """A user's name as bytes, and the path of its object."""
    encoded = os.fsencode(_arguments.name(name))
    try:
        return encoded, memory.posix_path(memory.escape(encoded))
    except OSError:
        raise _explain.name_too_long(name, encoded) from None
