"""`Condition`: wait until something that a lock protects has become true."""

from __future__ import annotations

from isthmus import _primitive
from isthmus._core import sync
from isthmus._origin import PARTICIPANTS
from isthmus._plan import EXTERNAL_LOCK, Plan, Settings
from isthmus._primitive import Primitive
from isthmus.lock import Mutex
from isthmus.participant import Participant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self, SupportsIndex, Unpack

    from isthmus._options import Attaching, Creating
    from isthmus.segment import Segment


class Condition(sync.Condition, Primitive):
    """A lock, and a way to sleep until another one that has held it says that it is time.

    ``Condition(name)`` opens the condition `name`, or makes it if it is not there;
    `Condition.create` and `Condition.attach` insist; ``Condition()`` is anonymous. Where it
    can be, and when it goes, is as for `Lock`.

    It has a recursive lock of its own, or goes with the `lock` that it is given. All who use
    a condition must use the same lock with it.

    A waiter that is killed takes no notification with it: another one gets it. An owner of
    the lock that is killed is found and reported as for `Lock`.

    Args:
        lock: the `Lock` or `RLock` that goes with it, not closed before the condition is; None: its
            own. One that is there must have been made in the same way.
        on_owner_death: for its own lock; one that is given has its own.
        name, segment, offset, spin, participants, persist, mode, owner, open_timeout: as for
            `Lock`.

    Raises:
        MismatchError: it is there, made with a lock of its own and not without, or the reverse.
        And as `Lock`.

    >>> import isthmus
    >>> changed = isthmus.Condition()
    >>> with changed:
    ...     changed.wait(timeout=0.01)    # True when notified
    ...     changed.notify_all()
    False
    """

    __slots__ = ()

    _KIND = 6

    def __init__(
        self,
        name: str | None = None,
        lock: Mutex | None = None,
        *,
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
        plan = _plan(lock, participants, persist)
        settings = Settings(spin, on_owner_death)
        self._open(name, segment, offset, plan, settings, mode, owner, open_timeout)
        self._go_with(lock)

    @classmethod
    def create(
        cls,
        name: str,
        lock: Mutex | None = None,
        *,
        on_owner_death: str | Callable[[Any], object] = "warn",
        spin: float | None = None,
        participants: SupportsIndex = PARTICIPANTS,
        persist: bool = False,
        **options: Unpack[Creating],
    ) -> Self:
        """Make the condition `name`, which must not exist: ExistsError. See the class.

        Args:
            mode: permission bits, exact.
            owner, group: a uid/gid or name to give it to; takes privileges.
        """
        plan = _plan(lock, participants, persist)
        self = cls._created(name, plan, Settings(spin, on_owner_death), **options)
        self._go_with(lock)
        return self

    @classmethod
    def attach(
        cls,
        name: str,
        lock: Mutex | None = None,
        *,
        on_owner_death: str | Callable[[Any], object] = "warn",
        spin: float | None = None,
        **options: Unpack[Attaching],
    ) -> Self:
        """Attach to the condition `name`, which must exist: NotFoundError. See the class."""
        wanted = _plan(lock, 1, False).wanted
        self = cls._attached(name, Settings(spin, on_owner_death), wanted, **options)
        self._go_with(lock)
        return self

    @property
    def owner(self) -> Participant | None:
        """Who holds its lock at this moment, alive or dead; None: nobody."""
        return _primitive.owner(self if self.lock is None else self.lock)

    def waiters(self) -> list[Participant]:
        """Who waits at this moment for a notification: one for each handle, living ones only."""
        return _primitive.sharers(self)

    def _state(self) -> str:
        return _primitive.ownership(self if self.lock is None else self.lock)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        import copy

        same = self.__copy__()
        # The one that others get who are copied together with it.
        same._go_with(copy.deepcopy(self.lock, memo))
        return same

    def _kept(self) -> tuple[Any, ...]:
        return *super()._kept(), self.lock

    def _keep(self, spin: float | None, on_owner_death: Any, lock: Mutex | None = None) -> None:
        super()._keep(spin, on_owner_death)
        self._go_with(lock)


def _plan(lock: Mutex | None, participants: SupportsIndex, persist: bool) -> Plan:
    if lock is not None and not isinstance(lock, Mutex):
        raise TypeError(
            f"the lock of a condition must be a Lock or RLock of isthmus, not {type(lock).__name__}"
        )
    return Plan(
        Condition._KIND,
        {"a lock of its own": lock is None},
        flags=0 if lock is None else EXTERNAL_LOCK,
        participants=participants,
        persist=persist,
    )
