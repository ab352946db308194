"""`Queue`: each message goes to one of those that read, and survives those that die."""

from __future__ import annotations

from isthmus import _arguments
from isthmus._core import ring
from isthmus._descriptor import Readable, Writable
from isthmus._origin import PARTICIPANTS
from isthmus._ring import Member, Plan, RingHandle, Settings, Snapshot
from isthmus.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self, SupportsIndex, Unpack

    from isthmus._options import Attaching, Creating

Lease = ring.Lease

_ATTEMPTS_MAX = 65535


class Queue(ring.Queue, Readable, Writable, RingHandle):
    """Messages in order, from any number of processes to any number: each is got once.

    ``Queue(name)`` opens the queue `name`, or makes it if it is not there; `Queue.create` and
    `Queue.attach` insist; ``Queue()`` is anonymous, and reaches other processes by fork or as an
    argument of `multiprocessing`. It is a drop-in for `queue.Queue`: the same methods, `Full` and
    `Empty`, but between processes.

    A process may be killed at any instruction: a message is in the queue, whole, once `put` has
    returned, and nobody is held up for more than 20 ms. Who uses `lease` instead of `get` does
    not lose the message that it is working on: another one gets it.

    A named queue goes when its last handle is closed, with what is in it, unless it was made with
    `persist=True`, or when `unlink` is called.

    Args:
        name: what to call it; None: anonymous.
        capacity: bytes for messages, as a number or like "16 MiB"; it becomes a power of two. Each
            message takes 32 bytes beside its own. All of it is reserved at once. None: 1 MiB
            for a new one; one that is there is taken as it is.
        maxsize: how many messages may be ready at once; 0: as many as fit. None: 0.
        max_attempts: after so many deliveries by `lease` a message is not ready again but set
            aside, see `aside`; that takes as many bytes again as `capacity`. None: no limit.
        persist: stay when the last handle is closed.
        participants: how many handles there may be at once.
        spin: microseconds that a wait spins before it sleeps; see `Lock`.
        allow_pickle: whether to read pickles: objects that are not bytes, text, arrays or plain
            values (numbers, tuples, lists, dicts; the guide has their limits). None: if only
            this user or root could have put them, by the mode and owner of the queue.
        mode: permission bits of a new one, exact.
        owner: whose one that is there may be: a user, or "any"; None: one's own.
        open_timeout: seconds to wait for one that somebody is about to make.

    Raises:
        MismatchError: it is there with another capacity, maxsize, max_attempts or persistence.
        NoSpaceError: there is not enough memory. And as `Lock`.

    >>> import isthmus
    >>> q = isthmus.Queue()
    >>> q.put({"job": 1})
    >>> q.put(b"bytes")
    >>> q.get(), q.get(timeout=1)
    ({'job': 1}, b'bytes')
    >>> q.put("a job for somebody careful")
    >>> with q.lease() as job:
    ...     print(job.value, job.attempt)
    a job for somebody careful 1
    >>> q.empty()
    True
    """

    __slots__ = ()

    #: ``x in handle`` would have to take messages, one after the other: a TypeError.
    __contains__ = None

    _KIND = 10

    def __init__(
        self,
        name: str | None = None,
        *,
        capacity: SupportsIndex | str | None = None,
        maxsize: SupportsIndex | None = None,
        max_attempts: SupportsIndex | None = None,
        persist: bool = False,
        participants: SupportsIndex = PARTICIPANTS,
        spin: float | None = None,
        allow_pickle: bool | None = None,
        mode: SupportsIndex = 0o600,
        owner: SupportsIndex | str | None = None,
        open_timeout: float = 1.0,
    ) -> None:
        plan = self._plan(capacity, maxsize, max_attempts, participants, persist)
        settings = Settings(spin, allow_pickle)
        self._open_named(name, plan, settings, mode, owner, open_timeout)

    @classmethod
    def create(
        cls,
        name: str,
        *,
        capacity: SupportsIndex | str | None = None,
        maxsize: SupportsIndex | None = None,
        max_attempts: SupportsIndex | None = None,
        persist: bool = False,
        participants: SupportsIndex = PARTICIPANTS,
        spin: float | None = None,
        allow_pickle: bool | None = None,
        **options: Unpack[Creating],
    ) -> Self:
        """Make the queue `name`, which must not exist: ExistsError. See the class.

        Args:
            mode: permission bits, exact.
            owner, group: a uid/gid or name to give it to; takes privileges.
        """
        plan = cls._plan(capacity, maxsize, max_attempts, participants, persist)
        return cls._created(name, plan, Settings(spin, allow_pickle), **options)

    @classmethod
    def attach(
        cls,
        name: str,
        *,
        spin: float | None = None,
        allow_pickle: bool | None = None,
        **options: Unpack[Attaching],
    ) -> Self:
        """Attach to the queue `name`, which must exist: NotFoundError. See the class."""
        return cls._attached(name, Settings(spin, allow_pickle), **options)

    @classmethod
    def _plan(
        cls,
        capacity: SupportsIndex | str | None,
        maxsize: SupportsIndex | None,
        max_attempts: SupportsIndex | None,
        participants: SupportsIndex,
        persist: bool,
        start: int = 0,
    ) -> Plan:
        wanted: dict[str, object] = {}
        most, attempts = 0, 0
        if maxsize is not None:
            # As in the standard library: zero and less is no limit.
            most = max(0, _arguments.whole(maxsize, "maxsize", -(2**62), 2**62))
            wanted["maxsize"] = most
        if max_attempts is not None:
            attempts = _arguments.whole(max_attempts, "max_attempts", 1, _ATTEMPTS_MAX)
            wanted["max_attempts"] = attempts
        return Plan(
            cls._KIND,
            capacity,
            participants,
            persist,
            wanted,
            max_attempts=attempts,
            maxsize=most,
            start=start,
        )

    # ---- What is in it ------------------------------------------------------------------

    def stats(self) -> QueueStats:
        """How it is at this moment."""
        names = ["ready", "leased", "aside", "put", "redelivered", "set_aside", "used", "shut_down"]
        values: dict[str, Any] = dict(zip(names, self._numbers(), strict=True))
        return QueueStats(capacity=self.capacity, **values)

    def producers(self) -> list[Member]:
        """Who is there and has put messages: one for each handle."""
        return self._having("producer")

    def consumers(self) -> list[Member]:
        """Who is there and has got or leased messages, and how many leases it holds."""
        return self._having("consumer")

    def aside(self) -> list[AsideMessage]:
        """Messages that were set aside after `max_attempts` deliveries, oldest first.

        They wait there, and take no part in anything, until they are put back or discarded.
        """
        return [AsideMessage(self, *found) for found in self._aside()]

    def _state(self) -> str:
        return f", {self.qsize()} ready"


class QueueStats(Snapshot):
    """What `Queue.stats` gives; it cannot be changed, and two are equal if all numbers are."""

    __slots__ = (
        "aside",
        "capacity",
        "leased",
        "put",
        "ready",
        "redelivered",
        "set_aside",
        "shut_down",
        "used",
    )

    #: Messages that can be got.
    ready: int
    #: Messages that are leased.
    leased: int
    #: Messages that wait aside.
    aside: int
    #: Messages that were put, ever.
    put: int
    #: Leases that were given back, by their holders or because these died, ever.
    redelivered: int
    #: Messages that were set aside, ever.
    set_aside: int
    #: Bytes that are in use, with headers.
    used: int
    #: Bytes that there are.
    capacity: int
    #: Whether the queue has been shut down.
    shut_down: bool


class AsideMessage:
    """A message that was set aside: see `Queue.aside`."""

    __slots__ = ("_copy", "_queue", "_value", "attempts", "number")

    #: Its number: how many messages were put before it.
    number: int
    #: How often it was delivered.
    attempts: int

    def __init__(self, queue: Queue, number: int, attempts: int, copy: object) -> None:
        self._queue, self._copy = queue, copy
        self.number, self.attempts = number, attempts
        self._value: tuple[Any, ...] = ()

    @property
    def value(self) -> Any:
        """The message, as `get` would give it; decoded when first asked for. Raises as `get`."""
        if not self._value:
            self._value = (ring.decode(self._queue, self._copy),)
            self._copy = None
        return self._value[0]

    def put_back(self, timeout: float | None = None) -> None:
        """Make it ready again, behind all others, as a new message that was never delivered.

        Raises `NotFoundError` when somebody has put it back or discarded it already, `Full`
        when there is no room in time, `ShutDown`.
        """
        if not self._queue._put_back(self.number, timeout):
            raise self._gone()

    def discard(self) -> None:
        """Drop it. Raises `NotFoundError` as `put_back`."""
        if not self._queue._discard(self.number):
            raise self._gone()

    def _gone(self) -> NotFoundError:
        what = self._queue._origin.what
        return NotFoundError(
            f"message {self.number} is not set aside in {what}; somebody has put it back or "
            "discarded it",
            name=self._queue.name,
        )

    def __repr__(self) -> str:
        what = self._queue._origin.what
        return f"<isthmus.AsideMessage {self.number} of {what}, {self.attempts} attempts>"
