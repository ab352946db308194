"""`Event`: something that has happened."""

from __future__ import annotations

from isthmus._core import sync
from isthmus._descriptor import Readable
from isthmus._plan import Plan, Settings
from isthmus._primitive import Plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self, SupportsIndex, Unpack

    from isthmus._options import Creating
    from isthmus.segment import Segment


class Event(sync.Event, Readable, Plain):
    """A flag that any processes set, clear and wait for.

    ``Event(name)`` opens the event `name`, or makes it, unset, if it is not there;
    `Event.create` and `Event.attach` insist; ``Event()`` is anonymous. Arguments and errors
    as for `Lock`, where it can be and when it goes, too.

    Nobody owns an event: a process that is killed changes nothing about it.

    >>> import isthmus
    >>> ready = isthmus.Event()
    >>> ready.wait(timeout=0.01)
    False
    >>> ready.set()
    >>> ready.wait(), ready.is_set()
    (True, True)
    """

    __slots__ = ()

    _KIND = 5

    def __init__(
        self,
        name: str | None = None,
        *,
        segment: Segment | None = None,
        offset: SupportsIndex = 0,
        spin: float | None = None,
        persist: bool = False,
        mode: SupportsIndex = 0o600,
        owner: SupportsIndex | str | None = None,
        open_timeout: float = 1.0,
    ) -> None:
        plan = Plan(self._KIND, persist=persist)
        self._open(name, segment, offset, plan, Settings(spin), mode, owner, open_timeout)

    @classmethod
    def create(
        cls,
        name: str,
        *,
        spin: float | None = None,
        persist: bool = False,
        **options: Unpack[Creating],
    ) -> Self:
        """Make the event `name`, which must not exist: ExistsError. See the class.

        Args:
            mode: permission bits, exact.
            owner, group: a uid/gid or name to give it to; takes privileges.
        """
        return cls._created(name, Plan(cls._KIND, persist=persist), Settings(spin), **options)

    def _state(self) -> str:
        return ", set" if self.is_set() else ", not set"
