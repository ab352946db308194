"""Locks and friends as in `multiprocessing.synchronize`, which survive their holders.

Each class takes what the function of its name in `multiprocessing` takes. `ctx` is taken for the
sake of code that was written for the standard classes: every object here goes to children of
every start method.
"""

from __future__ import annotations

import threading
from multiprocessing import process

from isthmus import barrier, condition, event, lock as _lock, semaphore
from isthmus._core import sync
from isthmus._origin import PARTICIPANTS
from isthmus._plan import PERMITS_MAX, Plan
from isthmus.compat.multiprocessing._placed import Placed
from isthmus.compat.multiprocessing._semlock import RECURSIVE_MUTEX, SEMAPHORE, Count, SemLock
from isthmus.errors import NotHeldError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, SupportsIndex, TypeVar

    _T = TypeVar("_T")

__all__ = ["BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]

SEM_VALUE_MAX = PERMITS_MAX


class Lock(Placed, SemLock, sync.StandardMutex, _lock.Lock):
    """A lock for any processes, which any of them may release, whoever has taken it.

    When its holder dies, whoever waits takes it over within 20 ms, with an
    `isthmus.OwnerDiedWarning`; `on_owner_death` may be set to another way, as for
    `isthmus.Lock`.
    """

    _SEMLOCK_KIND = SEMAPHORE

    def __init__(self, *, ctx: Any = None) -> None:
        self._make(Plan(self._KIND, participants=PARTICIPANTS))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(owner={_holder(self)[0]})>"


class RLock(Placed, SemLock, sync.StandardMutex, _lock.RLock):
    """A lock that the thread which has it may take again, and must release as often."""

    _SEMLOCK_KIND = RECURSIVE_MUTEX

    def __init__(self, *, ctx: Any = None) -> None:
        self._make(Plan(self._KIND, participants=PARTICIPANTS))

    def __repr__(self) -> str:
        name, count = _holder(self)
        return f"<{type(self).__name__}({name}, {count})>"


def _holder(lock: Lock | RLock) -> tuple[str, int | str]:
    """Who has it, in the words of the standard library, and how often."""
    if lock.closed:
        return "unknown", "unknown"
    count, thread = lock._held()
    if count and thread == threading.get_native_id():
        name = process.current_process().name
        current = threading.current_thread().name
        return (name if current == "MainThread" else f"{name}|{current}"), count
    if not lock.locked():
        return "None", 0
    return ("SomeOtherThread" if count else "SomeOtherProcess"), "nonzero"


class Semaphore(Placed, SemLock, sync.StandardSemaphore, semaphore.Semaphore):
    """A count of permits. One that a process holds when it is killed is gone, as ever."""

    _SEMLOCK_KIND = SEMAPHORE

    def __init__(self, value: SupportsIndex = 1, *, ctx: Any = None) -> None:
        self._make(self._plan(value, None, 1, False))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(value={_value(self)})>"


class BoundedSemaphore(Semaphore):
    """A semaphore that never has more permits than at the start, which is one at least."""

    _BOUNDED = True

    def __repr__(self) -> str:
        maximum = "unknown" if self.closed else self._semlock.maxvalue
        return f"<{type(self).__name__}(value={_value(self)}, maxvalue={maximum})>"


def _value(counted: Semaphore) -> int | str:
    return "unknown" if counted.closed else counted.value


class Condition(Placed, sync.StandardCondition, condition.Condition):
    """A condition that goes with a `Lock` or `RLock` of this module; None: an RLock of its own.

    A waiter that is killed takes no notification with it.
    """

    def __init__(self, lock: _lock.Mutex | None = None, *, ctx: Any = None) -> None:
        if lock is None:
            lock = RLock(ctx=ctx)
        self._make(condition._plan(lock, PARTICIPANTS, False))
        self._go_with(lock)

    @property
    def _lock(self) -> Any:
        return self.lock

    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock, wait for a notification, take the lock back. Whether one came.

        AssertionError: the lock is not held by this thread, or (a `Lock`) this process. True
        also when a holder of the lock was found to have died meanwhile.
        """
        try:
            return super().wait(timeout)
        except NotHeldError:
            raise AssertionError("must acquire() condition before using wait()") from None

    def wait_for(self, predicate: Callable[[], _T], timeout: float | None = None) -> _T:
        """Wait until `predicate()` is true; returns its last value. Raises as `wait`."""
        try:
            return super().wait_for(predicate, timeout)
        except NotHeldError:
            if self.lock._held()[0]:
                raise  # by the predicate
            raise AssertionError("must acquire() condition before using wait()") from None

    def notify(self, n: int = 1) -> None:
        """Wake up to `n` of those that wait. AssertionError: the lock is not held."""
        try:
            if n >= 1:
                super().notify(min(n, PERMITS_MAX))
            elif not self.lock._held()[0]:
                raise AssertionError("lock is not owned")
        except NotHeldError:
            raise AssertionError("lock is not owned") from None

    def notify_all(self) -> None:
        """Wake all that wait. AssertionError: the lock is not held."""
        self.notify(PERMITS_MAX)

    def __repr__(self) -> str:
        waiting = "unknown" if self.closed else self._sleeping_count.get_value()
        return f"<{type(self).__name__}({self.lock!r}, {waiting})>"

    # The three semaphores of the standard class, as far as somebody may look at their values.

    @property
    def _sleeping_count(self) -> Count:
        """Who waits, the dead left out; nobody that has been woken."""
        return Count(sum(facts[4] for facts in self._participants() if facts[6]))

    @property
    def _woken_count(self) -> Count:
        return Count(0)

    @property
    def _wait_semaphore(self) -> Count:
        return Count(0)


class Event(Placed, event.Event):
    """A flag that any processes set, clear and wait for."""

    def __init__(self, *, ctx: Any = None) -> None:
        self._make(Plan(self._KIND))

    def __repr__(self) -> str:
        state = "closed" if self.closed else "set" if self.is_set() else "unset"
        return f"<{type(self).__qualname__} at {id(self):#x} {state}>"


class Barrier(Placed, barrier.Barrier):
    """A point where so many parties wait for each other; it breaks when one of them dies there."""

    def __init__(
        self,
        parties: SupportsIndex,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
        *,
        ctx: Any = None,
    ) -> None:
        barrier._check(action, timeout)
        self._make(barrier._plan(parties, PARTICIPANTS, False))
        self._go_with(action, timeout)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "broken" if self.broken else self._there()
        return f"<{type(self).__module__}.{type(self).__qualname__} at {id(self):#x}: {state}>"

    def _there(self) -> str:
        return f"waiters={self.n_waiting}/{self.parties}"
