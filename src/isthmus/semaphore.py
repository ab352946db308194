"""`Semaphore` and `BoundedSemaphore`: so many at a time."""

from __future__ import annotations

from isthmus import _arguments, _primitive
from isthmus._core import sync
from isthmus._descriptor import Readable
from isthmus._origin import PARTICIPANTS
from isthmus._plan import PERMITS_MAX, ROBUST, Plan, Settings
from isthmus._primitive import Primitive
from isthmus.errors import ArgumentError, UnsupportedError
from isthmus.participant import Participant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self, SupportsIndex, Unpack

    from isthmus._options import Attaching, Creating
    from isthmus.segment import Segment


class Semaphore(sync.Semaphore, Readable, Primitive):
    """A count of permits that any processes share: `acquire` takes one, `release` gives back.

    ``Semaphore(name)`` opens the semaphore `name`, or makes it if it is not there;
    `Semaphore.create` and `Semaphore.attach` insist; ``Semaphore()`` is anonymous. Where it
    can be, and when it goes, is as for `Lock`.

    Of a plain semaphore, anybody may release, whether it has acquired or not, and a permit
    that a process holds when it is killed is gone. Of one with `robust=True` permits belong
    to the handle that took them: those of a dead process come back within 20 ms of being
    needed, only who took them gives them back, and `holders` tells who that is. A plain one
    is what counts things in a queue, a robust one what limits how many do something at once.

    Args:
        value: permits at the start, 0 to 2**31 - 1; of a robust one, all that there are.
            None: 1 for a new one; one that is there is taken as it is, else it must have
            been made with this value.
        robust: None: a new one is not.
        name, segment, offset, spin, participants, persist, mode, owner, open_timeout: as for
            `Lock`. Only a robust one has room for a limited number of handles.

    Raises:
        MismatchError: it is there with another value, or robust or bounded and should not be.
        And as `Lock`.

    >>> import isthmus
    >>> slots = isthmus.Semaphore(value=2)
    >>> with slots:
    ...     slots.value
    1
    >>> slots.acquire(), slots.acquire(), slots.acquire(block=False)
    (True, True, False)
    >>> slots.release(2)
    """

    __slots__ = ()

    _KIND = 4
    _BOUNDED = False

    def __init__(
        self,
        name: str | None = None,
        value: SupportsIndex | None = None,
        *,
        robust: bool | None = None,
        segment: Segment | None = None,
        offset: SupportsIndex = 0,
        spin: float | None = None,
        participants: SupportsIndex = PARTICIPANTS,
        persist: bool = False,
        mode: SupportsIndex = 0o600,
        owner: SupportsIndex | str | None = None,
        open_timeout: float = 1.0,
    ) -> None:
        plan = self._plan(value, robust, participants, persist)
        self._open(name, segment, offset, plan, Settings(spin), mode, owner, open_timeout)

    @classmethod
    def create(
        cls,
        name: str,
        value: SupportsIndex = 1,
        *,
        robust: bool = False,
        spin: float | None = None,
        participants: SupportsIndex = PARTICIPANTS,
        persist: bool = False,
        **options: Unpack[Creating],
    ) -> Self:
        """Make the semaphore `name`, which must not exist: ExistsError. See the class.

        Args:
            mode: permission bits, exact.
            owner, group: a uid/gid or name to give it to; takes privileges.
        """
        plan = cls._plan(value, robust, participants, persist)
        return cls._created(name, plan, Settings(spin), **options)

    @classmethod
    def attach(cls, name: str, *, spin: float | None = None, **options: Unpack[Attaching]) -> Self:
        """Attach to the semaphore `name`, which must exist: NotFoundError. See the class."""
        wanted = {"bounded": True} if cls._BOUNDED else None
        return cls._attached(name, Settings(spin), wanted, **options)

    @classmethod
    def _plan(
        cls,
        value: SupportsIndex | None,
        robust: bool | None,
        participants: SupportsIndex,
        persist: bool,
    ) -> Plan:
        wanted: dict[str, Any] = {"bounded": True} if cls._BOUNDED else {}
        permits = 1
        if value is not None:
            permits = _arguments.whole(value, "value", 0, PERMITS_MAX)
            wanted.update(value=permits, bounded=cls._BOUNDED)
        if cls._BOUNDED and permits == 0:
            raise ArgumentError("a bounded semaphore of value 0 could never be acquired")
        if robust is not None:
            wanted["robust"] = bool(robust)
        return Plan(
            cls._KIND,
            wanted,
            flags=ROBUST if robust else 0,
            participants=participants,
            maximum=permits if cls._BOUNDED else 0,
            value=permits,
            persist=persist,
        )

    @property
    def robust(self) -> bool:
        """Whether permits of the dead come back."""
        return bool(self._found()["robust"])

    def holders(self) -> list[Participant]:
        """Who holds permits at this moment, if it is robust: one for each handle.

        Dead ones, whose permits are about to come back, are left out. UnsupportedError: it is
        not robust, and nobody knows.
        """
        self._check_robust("holds permits")
        return _primitive.sharers(self)

    def waiters(self) -> list[Participant]:
        """Who is asleep at this moment, waiting for a permit. As `holders`, if it is robust."""
        self._check_robust("waits")
        return _primitive.waiters(self)

    def _check_robust(self, does: str) -> None:
        if not self.robust:
            raise UnsupportedError(
                f"nobody can tell who {does}: {self._origin.what} is not robust", name=self.name
            )

    def _state(self) -> str:
        return f", {self.value} free"


class BoundedSemaphore(Semaphore):
    """A semaphore that never has more permits than at the start.

    Releasing it more often than it was acquired is an error: TooManyPermitsError, which is a
    ValueError. All else is as for `Semaphore`; `value` is at least 1.

    >>> import isthmus
    >>> slots = isthmus.BoundedSemaphore(value=2)
    >>> slots.release()
    Traceback (most recent call last):
    isthmus.errors.TooManyPermitsError: anonymous semaphore would have more permits than its limit of 2; nothing was given back
    """  # noqa: E501

    __slots__ = ()

    _BOUNDED = True
