"""What locks and friends have in common: making, opening, placing, copying, describing them."""

from __future__ import annotations

import errno

from isthmus import (
    _arguments,
    _ending,
    _opening,
    _primitive_errors as _errors,
    _reopen,
)
from isthmus._core import memory, sync
from isthmus._handle import Handle
from isthmus._origin import PARTICIPANTS, PARTICIPANTS_MAX, Origin
from isthmus._plan import (
    EXTERNAL_LOCK,
    PERMITS_MAX,
    PERSIST,
    READER_PREFERENCE,
    ROBUST,
    Plan,
    Settings,
)
from isthmus.errors import (
    AccessError,
    ArgumentError,
    IsthmusError,
    NotReadyError,
    SizeError,
    UnsupportedError,
)
from isthmus.participant import Participant
from isthmus.segment import Segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self, SupportsIndex, Unpack

    from isthmus._options import Attaching

_ending.arrange(sync)

# How often something may be gone again, or another, before we give up.
_ROUNDS = 100


class Primitive(sync.Primitive, Handle):
    """Base of all of them."""

    __slots__ = ()

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
        self._adopt(settings)

    @classmethod
    def _part_of(cls, segment: Segment, offset: int, what: str) -> Self:
        """One that a typed object contains; `what` to call it."""
        self: Any = _reopen.placed(cls, (None, "warn"), segment, offset)
        self._origin.what = what
        found: Self = self
        return found

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
    def nbytes(cls, participants: SupportsIndex = PARTICIPANTS) -> int:
        """How many bytes one takes in a segment: a multiple of 64.

        Args:
            participants: for how many handles at once it has room.
        """
        places = _arguments.whole(participants, "participants", 1, PARTICIPANTS_MAX)
        return sync.size(cls._KIND, places)

    # ---- What it is ----------------------------------------------------------------

    @property
    def segment(self) -> Segment | None:
        """The segment that it was placed in; None: it has memory of its own."""
        return self._origin.segment

    @property
    def offset(self) -> int:
        """Where in the segment it begins, in bytes."""
        return self._origin.offset

    def _kept(self) -> tuple[Any, ...]:
        """What a copy takes over from this handle: the arguments of its `_keep`."""
        return self.spin, self.on_owner_death

    def _keep(self, spin: float | None, on_owner_death: Any) -> None:
        self._adopt(Settings(spin, on_owner_death))

    def _adopt(self, settings: Settings) -> None:
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
