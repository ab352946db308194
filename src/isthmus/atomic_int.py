"""`AtomicInt`: a number that is changed in one step."""

from __future__ import annotations

from isthmus import _arguments
from isthmus._core import sync
from isthmus._plan import Plan, Settings
from isthmus._primitive import Plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self, SupportsIndex, Unpack

    from isthmus._options import Creating
    from isthmus.segment import Segment


class AtomicInt(sync.AtomicInt, Plain):
    """A 64-bit integer that any processes read and change, each change one step.

    ``AtomicInt(name)`` opens the number `name`, or makes it if it is not there;
    `AtomicInt.create` and `AtomicInt.attach` insist; ``AtomicInt()`` is anonymous. Where it
    can be, and when it goes, is as for `Lock`.

    Operations are sequentially consistent: all processes see all of them in one order. Those
    that change it return the value *before*. `add` and `sub` wrap around: one more than
    2**63 - 1 is -2**63. An argument that does not fit into 64 bits is an OverflowError.

    A process that is killed has made a change, or has not.

    Args:
        value: of a new one; one that is there keeps its own.
        name, segment, offset, spin, persist, mode, owner, open_timeout: as for `Lock`.

    >>> import isthmus
    >>> hits = isthmus.AtomicInt()
    >>> hits.add(1), hits.load()
    (0, 1)
    >>> hits.compare_exchange(1, 5), hits.exchange(7), hits.load()
    (True, 5, 7)
    >>> hits.wait_while(7, timeout=0.01)  # True when it is another
    False
    """

    __slots__ = ()

    _KIND = 9

    def __init__(
        self,
        name: str | None = None,
        value: SupportsIndex = 0,
        *,
        segment: Segment | None = None,
        offset: SupportsIndex = 0,
        spin: float | None = None,
        persist: bool = False,
        mode: SupportsIndex = 0o600,
        owner: SupportsIndex | str | None = None,
        open_timeout: float = 1.0,
    ) -> None:
        plan = Plan(self._KIND, value=_arguments.int64(value), persist=persist)
        self._open(name, segment, offset, plan, Settings(spin), mode, owner, open_timeout)

    @classmethod
    def create(
        cls,
        name: str,
        value: SupportsIndex = 0,
        *,
        spin: float | None = None,
        persist: bool = False,
        **options: Unpack[Creating],
    ) -> Self:
        """Make the number `name`, which must not exist: ExistsError. See the class.

        Args:
            mode: permission bits, exact.
            owner, group: a uid/gid or name to give it to; takes privileges.
        """
        plan = Plan(cls._KIND, value=_arguments.int64(value), persist=persist)
        return cls._created(name, plan, Settings(spin), **options)

    def _state(self) -> str:
        return f", {self.load()}"
