"""`Lock` and `RLock`: one at a time, also when an owner dies."""

from __future__ import annotations

from isthmus import _primitive
from isthmus._core import sync
from isthmus._descriptor import Readable
from isthmus._origin import PARTICIPANTS
from isthmus._plan import Plan, Settings
from isthmus._primitive import Primitive
from isthmus.participant import Participant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self, SupportsIndex, Unpack

    from isthmus._options import Attaching, Creating
    from isthmus.segment import Segment


class Mutex(sync.Mutex, Readable, Primitive):
    """Base of the two."""

    __slots__ = ()

    def __init__(
        self,
        name: str | None = None,
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
        plan = Plan(self._KIND, participants=participants, persist=persist)
        settings = Settings(spin, on_owner_death)
        self._open(name, segment, offset, plan, settings, mode, owner, open_timeout)

    @classmethod
    def create(
        cls,
        name: str,
        *,
        on_owner_death: str | Callable[[Any], object] = "warn",
        spin: float | None = None,
        participants: SupportsIndex = PARTICIPANTS,
        persist: bool = False,
        **options: Unpack[Creating],
    ) -> Self:
        """Make the one called `name`, which must not exist: ExistsError. See the class.

        Args:
            mode: permission bits, exact.
            owner, group: a uid/gid or name to give it to; takes privileges.
        """
        plan = Plan(cls._KIND, participants=participants, persist=persist)
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
        """Attach to the one called `name`, which must exist: NotFoundError. See the class."""
        return cls._attached(name, Settings(spin, on_owner_death), **options)

    @property
    def owner(self) -> Participant | None:
        """Who holds it at this moment, alive or dead; None: nobody."""
        return _primitive.owner(self)

    def waiters(self) -> list[Participant]:
        """Who is asleep at this moment, waiting for it: one for each handle, living ones only."""
        return _primitive.waiters(self)

    def _state(self) -> str:
        return _primitive.ownership(self)


class Lock(Mutex):
    """A lock that any processes share, and that survives its owner.

    ``Lock(name)`` opens the lock `name`, or makes it if it is not there; `Lock.create`
    insists on making it, `Lock.attach` on finding it. ``Lock()`` makes an anonymous one, for
    children of this process: by fork, or as an argument of `multiprocessing`. ``Lock(segment=…,
    offset=…)`` opens or makes one inside a `Segment`.

    Each handle is a participant of its own. The lock belongs to the handle by which it was
    taken: two handles exclude each other also in one process, and any thread that uses the
    same handle may release it. Taking it again while holding it waits for ever, as in
    `threading`; see `RLock`.

    ``with lock:`` takes it. A handle is closed by `close`, or with its last reference, and at
    the end of the process; the last one of all removes the lock's name.

    When its owner is killed, whoever waits takes over within 20 ms, and is told: what the
    lock protects may be half done. `on_owner_death` says how:

    - ``"warn"``, the default: an `OwnerDiedWarning`, and `owner_died` is true until this
      handle releases the lock. Should the warning be turned into an error, the lock is given
      back, and the next one is told.
    - ``"raise"``: `OwnerDied` is raised *with the lock held*, by `acquire` and by ``with``,
      whose body does not run. Whoever catches it repairs and calls ``error.lock.release()``,
      or ``error.lock.abandon()``. It is not the default, for a handler that catches any
      exception and goes on would leave a living process with the lock for ever.
    - ``"ignore"``: `owner_died` only.
    - a function, which is called with the lock, held. If it raises, the lock is given back as it
      was: the next one is told.

    A thread that ends while its process lives does not release what it holds.

    Args:
        name: 1 to 247 bytes as UTF-8, any characters but NUL; each slash, percent sign and
            control character counts as three. None: anonymous, or in a segment.
        segment: writable, and not System V; with `offset`, a multiple of 64. `nbytes` tells how
            much room it takes. Where there are zeros, it is made. Never removed by `close`.
        on_owner_death: as said above; for this handle.
        spin: microseconds that a wait spins at most, before it sleeps; None: 20, or what the
            environment variable ISTHMUS_SPIN_US says; on one processor, 0.
        participants: for how many open handles a new one has room, 1 to 32768; 64 bytes each.
        persist: a new one stays when the last handle is closed, until `unlink`; one that is
            there must be such a one.
        mode: permission bits of a new one with a name, exact.
        owner: whose one with a name may be: a uid or name, ``"any"``, or None for the effective
            user.
        open_timeout: seconds to wait, at most, while another program is still making it.

    Raises:
        KindError, ForeignError, VersionError, LayoutError, TruncatedError, CorruptError,
        NotReadyError: what is there is not a lock, each for its own reason.
        MismatchError: it is there and not persistent. TooManyParticipantsError.
        NoSpaceError, NameInvalidError, SizeError, ArgumentError, AccessError, OwnerError,
        UnsupportedError (System V; no /proc).

    A process killed in here leaves nothing, or a complete lock that the next one removes.

    >>> import isthmus, os
    >>> lock = isthmus.Lock(f"doc/lock-{os.getpid()}")
    >>> with lock:
    ...     print(lock.locked(), lock.owner.pid == os.getpid())
    True True
    >>> lock.acquire(timeout=0.1), lock.acquire(block=False)
    (True, False)
    >>> lock.release()
    >>> lock.close()                      # the last handle: the name is gone
    """

    __slots__ = ()

    _KIND = 2


class RLock(Mutex):
    """A lock that the thread which holds it may take again, and releases as often.

    As `Lock` in all else. It belongs to the thread: others, of this process too, must wait and
    may not release it. When a thread ends while holding it, nobody can.

    >>> import isthmus
    >>> lock = isthmus.RLock()
    >>> with lock, lock:
    ...     print(lock.locked())
    True
    >>> lock.locked()
    False
    """

    __slots__ = ()

    _KIND = 3
