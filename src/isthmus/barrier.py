"""`Barrier`: wait for each other."""

from __future__ import annotations

import threading

from isthmus import _arguments, _primitive
from isthmus._core import sync
from isthmus._origin import PARTICIPANTS
from isthmus._plan import PERMITS_MAX, Plan, Settings
from isthmus._primitive import Primitive
from isthmus.errors import IsthmusError
from isthmus.participant import Participant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self, SupportsIndex, Unpack

    from isthmus._options import Attaching, Creating
    from isthmus.segment import Segment


class BrokenBarrierError(IsthmusError, threading.BrokenBarrierError):
    """The barrier is broken, or has become so during the wait."""

    _default_errno = 125  # ECANCELED


class Barrier(sync.Barrier, Primitive):
    """A point where so many parties, in any processes, wait for each other, again and again.

    ``Barrier(name, parties=n)`` opens the barrier `name`, or makes it if it is not there;
    ``Barrier(name)`` attaches to it. `Barrier.create` and `Barrier.attach` insist;
    ``Barrier(parties=n)`` is anonymous. Where it can be, and when it goes, is as for `Lock`.

    When a party is killed while it waits, the barrier breaks within 20 ms: the others get
    BrokenBarrierError.

    Args:
        parties: how many must come; one that is there must have been made for as many. None:
            attach only.
        action: called without arguments in each round by the last one to come, if that uses this
            handle, before all go on. When it raises, the barrier is broken.
        timeout: seconds that each `wait` waits at most, unless it says so itself.
        name, segment, offset, spin, participants, persist, mode, owner, open_timeout: as for
            `Lock`.

    Raises:
        MismatchError: it is there, for another number of parties. NotFoundError: it is not,
        and `parties` is None. And as `Lock`.

    >>> import isthmus, threading
    >>> start = isthmus.Barrier(parties=2)
    >>> other = threading.Thread(target=start.wait)
    >>> other.start()
    >>> start.wait() in (0, 1)
    True
    >>> other.join()
    """

    __slots__ = ()

    _KIND = 7

    def __init__(
        self,
        name: str | None = None,
        *,
        parties: SupportsIndex | None = None,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
        segment: Segment | None = None,
        offset: SupportsIndex = 0,
        spin: float | None = None,
        participants: SupportsIndex = PARTICIPANTS,
        persist: bool = False,
        mode: SupportsIndex = 0o600,
        owner: SupportsIndex | str | None = None,
        open_timeout: float = 1.0,
    ) -> None:
        _check(action, timeout)
        plan = None if parties is None else _plan(parties, participants, persist)
        self._open(name, segment, offset, plan, Settings(spin), mode, owner, open_timeout)
        self._go_with(action, timeout)

    @classmethod
    def create(
        cls,
        name: str,
        *,
        parties: SupportsIndex,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
        spin: float | None = None,
        participants: SupportsIndex = PARTICIPANTS,
        persist: bool = False,
        **options: Unpack[Creating],
    ) -> Self:
        """Make the barrier `name`, which must not exist: ExistsError. See the class.

        Args:
            mode: permission bits, exact.
            owner, group: a uid/gid or name to give it to; takes privileges.
        """
        _check(action, timeout)
        plan = _plan(parties, participants, persist)
        self = cls._created(name, plan, Settings(spin), **options)
        self._go_with(action, timeout)
        return self

    @classmethod
    def attach(
        cls,
        name: str,
        *,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
        spin: float | None = None,
        **options: Unpack[Attaching],
    ) -> Self:
        """Attach to the barrier `name`, which must exist: NotFoundError. See the class."""
        _check(action, timeout)
        self = cls._attached(name, Settings(spin), **options)
        self._go_with(action, timeout)
        return self

    def waiters(self) -> list[Participant]:
        """Who has come and waits at this moment: one for each handle, living ones only."""
        return _primitive.waiters(self)

    def _state(self) -> str:
        broken = ", broken" if self.broken else ""
        return f", {self.n_waiting} of {self.parties} there{broken}"

    def _kept(self) -> tuple[Any, ...]:
        return *super()._kept(), self.action, self.timeout

    def _keep(
        self,
        spin: float | None,
        on_owner_death: Any,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
    ) -> None:
        super()._keep(spin, on_owner_death)
        self._go_with(action, timeout)


def _plan(parties: SupportsIndex, participants: SupportsIndex, persist: bool) -> Plan:
    number = _arguments.whole(parties, "parties", 1, PERMITS_MAX)
    return Plan(
        Barrier._KIND,
        {"parties": number},
        participants=participants,
        value=number,
        persist=persist,
    )


def _check(action: object, timeout: float | None) -> None:
    if action is not None and not callable(action):
        raise TypeError(f"action must be a function, not {type(action).__name__}")
    if timeout is not None:
        _arguments.timeout(timeout)
