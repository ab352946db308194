"""`Publisher`, `Subscriber`, `Topic`: each message goes to everybody who listens."""

from __future__ import annotations

from isthmus import _arguments
from isthmus._core import ring
from isthmus._descriptor import Readable, Writable
from isthmus._ring import Member, Plan, RingHandle, Settings, Snapshot
from isthmus.errors import ArgumentError, InUseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, Self, SupportsIndex, Unpack

    from isthmus._options import Attaching, Creating

    Start = Literal["next", "oldest"] | SupportsIndex
    Overflow = Literal["block", "overwrite", "error"]

Loan = ring.Loan
View = ring.View

_KIND = 11
# Handles for which a new topic has room: publishers, subscribers, those that look.
_ROOM = 1024
_OVERFLOWS = {"block": 0, "overwrite": 1, "error": 2}
_NEXT, _OLDEST = 0, 2**64 - 1


class TopicHandle(RingHandle):
    """What all three have in common."""

    __slots__ = ()

    _KIND = _KIND

    if TYPE_CHECKING:

        @property
        def capacity(self) -> int: ...
        def _numbers(self) -> tuple[int, int, int, int, int, int]: ...

    def stats(self) -> TopicStats:
        """How the topic is at this moment."""
        names = ["published", "kept", "used", "subscribers", "publishers", "evicted"]
        values: dict[str, Any] = dict(zip(names, self._numbers(), strict=True))
        return TopicStats(capacity=self.capacity, **values)

    def subscribers(self) -> list[Member]:
        """Who subscribes: one for each handle, with its `lag` and `missed`."""
        return self._having("subscriber")

    def publishers(self) -> list[Member]:
        """Who has published, and is still there: one for each handle."""
        return self._having("producer")

    def _sibling(self, cls: type[Any], kept: tuple[Any, ...]) -> Any:
        """Another handle, perhaps of another class, to the same topic."""
        reopen: Callable[..., Any]
        reopen, arguments = self._recipe()
        return reopen(cls, kept, *arguments[2:])


class PublisherSettings(Settings):
    """How one publisher behaves, checked."""

    __slots__ = ("overflow",)

    def __init__(self, spin: float | None, overflow: str) -> None:
        super().__init__(spin, None)
        if overflow not in _OVERFLOWS:
            raise ArgumentError(
                f"overflow must be 'block', 'overwrite' or 'error', not {overflow!r}"
            )
        self.overflow = _OVERFLOWS[overflow]


class Publisher(ring.Publisher, Writable, TopicHandle):
    """Sends messages to all subscribers of a topic: each gets each of them, in order.

    ``Publisher(name)`` opens the topic `name`, or makes it if it is not there; `Publisher.create`
    and `Publisher.attach` insist. ``Publisher()`` makes an anonymous one, whose subscribers are
    made by `subscriber`; it reaches other processes by fork or as an argument of
    `multiprocessing`. There may be any number of publishers.

    A message lies in the topic once, however many read it, and stays there until its bytes are
    needed for others: one who comes late can have what is still there. A process may be killed at
    any instruction: a message is there, whole, or not at all; who is dead holds up nobody for
    more than 20 ms.

    The topic goes when its last handle is closed, subscribers' included, unless it was made with
    `persist=True`, or when `unlink` is called.

    Args:
        name: what to call it; None: anonymous.
        capacity: bytes for messages, as a number or like "16 MiB"; it becomes a power of two. Each
            message takes 32 bytes or more beside its own. All of it is reserved at once. For
            large messages, at least twice as much as the largest. None: 1 MiB for a new one;
            one that is there is taken as it is.
        overflow: what this publisher does when there is no room but where a living subscriber has
            not been yet: ``"block"`` waits for it; ``"overwrite"`` goes on, and it is told how many
            messages it `missed`; ``"error"`` raises `Full` at once. What a subscriber has in view
            is not written over in any case: that is waited for, but with ``"error"``.
        persist: stay when the last handle is closed.
        participants: how many handles there may be at once, of all kinds.
        spin: microseconds that a wait spins before it sleeps; see `Lock`.
        mode: permission bits of a new one, exact.
        owner: whose one that is there may be: a user, or "any"; None: one's own.
        open_timeout: seconds to wait for one that somebody is about to make.

    Raises:
        MismatchError: it is there with another capacity or persistence.
        NoSpaceError: there is not enough memory. And as `Lock`.

    >>> import isthmus
    >>> with isthmus.Publisher() as pub, pub.subscriber() as sub:
    ...     pub.publish(b"bytes")
    ...     pub.publish({"any": "object"})
    ...     sub.recv(), sub.recv(timeout=1)
    (b'bytes', {'any': 'object'})
    """

    __slots__ = ()

    def __init__(
        self,
        name: str | None = None,
        *,
        capacity: SupportsIndex | str | None = None,
        overflow: Overflow = "block",
        persist: bool = False,
        participants: SupportsIndex = _ROOM,
        spin: float | None = None,
        mode: SupportsIndex = 0o600,
        owner: SupportsIndex | str | None = None,
        open_timeout: float = 1.0,
    ) -> None:
        plan = Plan(_KIND, capacity, participants, persist)
        settings = PublisherSettings(spin, overflow)
        self._open_named(name, plan, settings, mode, owner, open_timeout)

    @classmethod
    def create(
        cls,
        name: str,
        *,
        capacity: SupportsIndex | str | None = None,
        overflow: Overflow = "block",
        persist: bool = False,
        participants: SupportsIndex = _ROOM,
        spin: float | None = None,
        **options: Unpack[Creating],
    ) -> Self:
        """Make the topic `name`, which must not exist: ExistsError. See the class.

        Args:
            mode: permission bits, exact.
            owner, group: a uid/gid or name to give it to; takes privileges.
        """
        plan = Plan(_KIND, capacity, participants, persist)
        return cls._created(name, plan, PublisherSettings(spin, overflow), **options)

    @classmethod
    def attach(
        cls,
        name: str,
        *,
        overflow: Overflow = "block",
        spin: float | None = None,
        **options: Unpack[Attaching],
    ) -> Self:
        """Attach to the topic `name`, which must exist: NotFoundError. See the class."""
        return cls._attached(name, PublisherSettings(spin, overflow), **options)

    def subscriber(
        self,
        *,
        start: Start = "next",
        timeout: float | None = None,
        spin: float | None = None,
        allow_pickle: bool | None = None,
    ) -> Subscriber:
        """A subscriber to the same topic. Arguments as for `Subscriber`."""
        settings = SubscriberSettings(spin, allow_pickle, start, timeout)
        made: Subscriber = self._sibling(Subscriber, (settings,))
        return made

    def _adopt(self, settings: Any) -> None:
        super()._adopt(settings)
        self._set_overflow(settings.overflow)

    def _kept(self) -> tuple[Any, ...]:
        return self.spin, self.overflow

    def _keep(self, spin: Any, overflow: Any = None) -> None:
        self._adopt(spin if overflow is None else PublisherSettings(spin, overflow))

    def _in_use(self) -> str:
        return "a loan is open" if self._views else super()._in_use()

    def _state(self) -> str:
        return f", {self._numbers()[0]} published"


class SubscriberSettings(Settings):
    """How one subscriber behaves, checked."""

    __slots__ = ("start", "timeout")

    def __init__(
        self,
        spin: float | None,
        allow_pickle: bool | None,
        start: Start,
        timeout: float | None,
    ) -> None:
        super().__init__(spin, allow_pickle)
        self.start = _start(start)
        self.timeout = timeout if timeout is None else _arguments.timeout(timeout)


def _start(start: Start) -> int:
    """As the core has it."""
    if isinstance(start, str):
        if start not in ("next", "oldest"):
            raise ArgumentError(f"start must be 'next', 'oldest' or a number, not {start!r}")
        return _NEXT if start == "next" else _OLDEST
    return _arguments.whole(start, "start", 0, _OLDEST - 1)


class Subscriber(ring.Subscriber, Readable, TopicHandle):
    """Receives the messages of a topic, each once, in order, whatever other subscribers do.

    ``Subscriber(name)`` opens the topic `name`, or makes it if it is not there, so it may come
    before any publisher; `Subscriber.create` and `Subscriber.attach` insist. ``Subscriber()`` is
    one of an anonymous topic, whose publishers are made by `publisher`.

    A subscriber that is slow holds up publishers, or misses messages, as they have it; see
    `Publisher`. A forked child's goes on where its parent's was, and so does one that was pickled,
    as far as the messages are still there.

    ``for message in sub:`` goes on for ever; with a `timeout`, until none has come for so long.

    Args:
        name: what the topic is called; None: anonymous.
        start: ``"next"``: with the first message that is published from now on; ``"oldest"``: with
            the oldest that is still there; a number: with so many of the last ones, or as
            many as there are.
        timeout: seconds that `recv` and the like wait for a message, unless told otherwise;
            None: for ever.
        allow_pickle: whether to read pickles: objects that are not bytes, text, arrays or plain
            values (numbers, tuples, lists, dicts; the guide has their limits). None: if only
            this user or root could have published them, by the mode and owner of the topic.
        capacity, persist, participants, spin, mode, owner, open_timeout: as for `Publisher`. When
            it is not known who comes first, all should ask for the same capacity.

    Raises:
        As `Publisher`; TooManyParticipantsError.

    >>> import isthmus
    >>> with isthmus.Publisher() as pub:
    ...     pub.publish_many([b"1", b"2", b"3"])
    ...     with pub.subscriber(start="oldest", timeout=0) as sub:
    ...         print(list(sub), sub.lag, sub.missed)
    ...     with pub.subscriber(start=1) as sub:
    ...         print(sub.recv())
    [b'1', b'2', b'3'] 0 0
    b'3'
    """

    __slots__ = ()

    #: ``x in handle`` would have to take messages, one after the other: a TypeError.
    __contains__ = None

    def __init__(
        self,
        name: str | None = None,
        *,
        start: Start = "next",
        timeout: float | None = None,
        allow_pickle: bool | None = None,
        capacity: SupportsIndex | str | None = None,
        persist: bool = False,
        participants: SupportsIndex = _ROOM,
        spin: float | None = None,
        mode: SupportsIndex = 0o600,
        owner: SupportsIndex | str | None = None,
        open_timeout: float = 1.0,
    ) -> None:
        plan = Plan(_KIND, capacity, participants, persist)
        settings = SubscriberSettings(spin, allow_pickle, start, timeout)
        self._open_named(name, plan, settings, mode, owner, open_timeout)

    @classmethod
    def create(
        cls,
        name: str,
        *,
        start: Start = "next",
        timeout: float | None = None,
        allow_pickle: bool | None = None,
        capacity: SupportsIndex | str | None = None,
        persist: bool = False,
        participants: SupportsIndex = _ROOM,
        spin: float | None = None,
        **options: Unpack[Creating],
    ) -> Self:
        """Make the topic `name`, which must not exist: ExistsError. See the class.

        Args:
            mode: permission bits, exact.
            owner, group: a uid/gid or name to give it to; takes privileges.
        """
        plan = Plan(_KIND, capacity, participants, persist)
        settings = SubscriberSettings(spin, allow_pickle, start, timeout)
        return cls._created(name, plan, settings, **options)

    @classmethod
    def attach(
        cls,
        name: str,
        *,
        start: Start = "next",
        timeout: float | None = None,
        allow_pickle: bool | None = None,
        spin: float | None = None,
        **options: Unpack[Attaching],
    ) -> Self:
        """Attach to the topic `name`, which must exist: NotFoundError. See the class."""
        settings = SubscriberSettings(spin, allow_pickle, start, timeout)
        return cls._attached(name, settings, **options)

    def publisher(self, *, overflow: Overflow = "block", spin: float | None = None) -> Publisher:
        """A publisher to the same topic. Arguments as for `Publisher`."""
        made: Publisher = self._sibling(Publisher, (PublisherSettings(spin, overflow),))
        return made

    def _adopt(self, settings: Any) -> None:
        super()._adopt(settings)
        self._subscribe(settings.start, settings.timeout)

    def _kept(self) -> tuple[Any, ...]:
        return self.spin, self.allow_pickle, self.timeout, self._numbers()[0] - self.lag

    def _keep(
        self,
        spin: Any,
        allow_pickle: bool | None = None,
        timeout: float | None = None,
        number: int | None = None,
    ) -> None:
        """`number`: of the message to go on with."""
        settings = spin
        if number is not None:
            behind = max(0, self._numbers()[0] - number)
            settings = SubscriberSettings(spin, allow_pickle, behind, timeout)
        self._adopt(settings)

    def close(self) -> None:
        """End the use of this handle. May be called twice.

        When this was the last open handle in all processes, a named topic is removed, unless it
        was made with `persist=True`. The end of a ``with`` block does the same, but does
        not raise when something is in view: that keeps its memory until it is gone, and the
        handle is closed then.

        InUseError: another thread is waiting on this handle, or something that `view` gave is still
        there; nothing has happened.
        """
        super().close()

    def __exit__(self, *_: object) -> None:
        if not self._end():
            raise InUseError(
                f"{self._origin.what} cannot be closed: {self._in_use()}", name=self.name
            )

    def _state(self) -> str:
        return f", {self.lag} behind"


class Topic(ring.Topic, TopicHandle):
    """A topic as it is seen by one who only looks: neither a publisher nor a subscriber.

    ``Topic(name)`` attaches to the topic `name`, which must exist: NotFoundError. Arguments as
    for `Publisher.attach`.

    >>> import isthmus, os
    >>> with isthmus.Publisher(f"doc/topic-{os.getpid()}") as pub:
    ...     pub.publish(b"message")
    ...     with isthmus.Topic(pub.name) as topic:
    ...         topic.stats().published, topic.subscribers(), len(topic.publishers())
    (1, [], 1)
    """

    __slots__ = ()

    def __init__(
        self,
        name: str,
        *,
        spin: float | None = None,
        owner: SupportsIndex | str | None = None,
        open_timeout: float = 1.0,
    ) -> None:
        self._attach_named(name, _arguments.owner(owner), _arguments.timeout(open_timeout))
        self._adopt(Settings(spin, None))

    def _state(self) -> str:
        facts = self.stats()
        return (
            f", {facts.published} published, {facts.subscribers} subscribers, "
            f"{facts.publishers} publishers"
        )


class TopicStats(Snapshot):
    """What `stats` of a topic gives; it cannot be changed, and two are equal if all numbers are."""

    __slots__ = (
        "capacity",
        "evicted",
        "kept",
        "published",
        "publishers",
        "subscribers",
        "used",
    )

    #: Messages that were published, ever.
    published: int
    #: Messages with which a new subscriber could still start.
    kept: int
    #: Bytes that those take, with headers.
    used: int
    #: Bytes that there are.
    capacity: int
    #: Subscribers at this moment, living ones.
    subscribers: int
    #: Living handles that have published.
    publishers: int
    #: Subscribers that died and were found in the way of a publisher, or were evicted, ever.
    evicted: int
