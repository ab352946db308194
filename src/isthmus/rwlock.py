"""`RWLock`: many readers, or one writer."""

from __future__ import annotations

from isthmus import _primitive
from isthmus._core import sync
from isthmus._origin import PARTICIPANTS
from isthmus._plan import READER_PREFERENCE, Plan, Settings
from isthmus._primitive import Primitive
from isthmus.participant import Participant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self, SupportsIndex, Unpack

    from isthmus._options import Attaching, Creating
    from isthmus.segment import Segment


class RWLock(sync.RWLock, Primitive):
    """A lock that many may hold for reading, or one for writing, in any processes.

    ``RWLock(name)`` opens the lock `name`, or makes it if it is not there; `RWLock.create`
    and `RWLock.attach` insist; ``RWLock()`` is anonymous. Where it can be, and when it goes,
    is as for `Lock`.

    `read` and `write` are its two sides, each used as a lock is: ``with rw.read:``,
    ``rw.write.acquire(timeout=1)``. A writer that waits holds up new readers, so writers do
    not starve; with `reader_preference`, readers do not wait for it.

    A reader cannot become a writer: it would wait for itself, and two such for each other.
    Release `read`, take `write`, and look again at what you had read. A thread that reads
    must not take `read` once more while a writer may be waiting, unless readers have preference.

    A reader that is killed is as one that has left. When a writer is killed, whoever comes next
    is told, as `on_owner_death` says (see `Lock`): the next writer, and every reader
    until a writer has released the lock.

    Args:
        reader_preference: readers pass waiting writers. None: a new one does not let them.
        on_owner_death: as for `Lock`. A function is called with the side that is held.
        name, segment, offset, spin, participants, persist, mode, owner, open_timeout: as for
            `Lock`.

    Raises:
        MismatchError: it is there with another `reader_preference`. And as `Lock`.

    >>> import isthmus
    >>> rw = isthmus.RWLock()
    >>> with rw.read, rw.read:
    ...     rw.write.acquire(block=False)
    False
    >>> with rw.write:
    ...     rw.read.acquire(timeout=0.01)
    False
    """

    __slots__ = ()

    _KIND = 8

    def __init__(
        self,
        name: str | None = None,
        *,
        reader_preference: bool | None = None,
        segment: Segment | None = None,
        offset: SupportsIndex = 0,
        on_owner_death: str | Callable[[Any], object] = "warn",
        spin: float | None = None,
        participants: SupportsIndex = PARTICIPANTS,
        persist: bool = False,
        mode: SupportsIndex = 0o600,
        owner: SupportsIndex | str | None = None,
        open_timeout: float = 1.0,
    ) -> None:
        plan = _plan(reader_preference, participants, persist)
        settings = Settings(spin, on_owner_death)
        self._open(name, segment, offset, plan, settings, mode, owner, open_timeout)

    @classmethod
    def create(
        cls,
        name: str,
        *,
        reader_preference: bool = False,
        on_owner_death: str | Callable[[Any], object] = "warn",
        spin: float | None = None,
        participants: SupportsIndex = PARTICIPANTS,
        persist: bool = False,
        **options: Unpack[Creating],
    ) -> Self:
        """Make the lock `name`, which must not exist: ExistsError. See the class.

        Args:
            mode: permission bits, exact.
            owner, group: a uid/gid or name to give it to; takes privileges.
        """
        plan = _plan(reader_preference, participants, persist)
        return cls._created(name, plan, Settings(spin, on_owner_death), **options)

    @classmethod
    def attach(
        cls,
        name: str,
        *,
        on_owner_death: str | Callable[[Any], object] = "warn",
        spin: float | None = None,
        **options: Unpack[Attaching],
    ) -> Self:
        """Attach to the lock `name`, which must exist: NotFoundError. See the class."""
        return cls._attached(name, Settings(spin, on_owner_death), **options)

    @property
    def writer(self) -> Participant | None:
        """Who writes at this moment, alive or dead, or waits for the readers to leave."""
        return _primitive.owner(self)

    def readers(self) -> list[Participant]:
        """Who reads at this moment: one for each handle, living ones only."""
        return _primitive.sharers(self)

    def waiters(self) -> list[Participant]:
        """Who is asleep at this moment, waiting for it: one for each handle, living ones only."""
        return _primitive.waiters(self)

    def _state(self) -> str:
        readers = len(self.readers())
        return f", read by {readers}" if readers else _primitive.ownership(self)


def _plan(reader_preference: bool | None, participants: SupportsIndex, persist: bool) -> Plan:
    wanted = {} if reader_preference is None else {"reader_preference": bool(reader_preference)}
    return Plan(
        RWLock._KIND,
        wanted,
        flags=READER_PREFERENCE if reader_preference else 0,
        participants=participants,
        persist=persist,
    )
