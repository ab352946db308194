"""`evict` and `shut_down`: what an operator does to those that hold others up."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from isthmus import _arguments, _explain
from isthmus.errors import KindError, NotFoundError, NotHeldError, UnsupportedError
from isthmus.inspect._model import Member
from isthmus.inspect.acting._visiting import QUEUE, SUBSCRIBER, TOPIC, typed_address, visiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect._address import Address
    from isthmus.inspect.acting._visiting import Facts, Visit

# As times of joining are told: a float of seconds since 1970 has no more.
_PRECISION = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Eviction:
    """What was taken from a participant."""

    slot: int
    pid: int
    #: How its process was started; None: it is gone, or may not be looked at.
    command: str | None
    #: It was dead: all that it left was put in order, and its slot is free.
    dead: bool
    #: Publishers do not wait for it any more.
    subscriber: bool
    #: Messages that it had leased, which are ready again, or were set aside.
    leases: int
    #: It has messages in view, which are not overwritten before it lets go of them: publishers that
    #: come round to those still wait.
    pinned: bool


def evict(address: str | Address, member: Member | int, *, timeout: float | None = 1.0) -> Eviction:
    """Take from a participant of a queue or topic what others wait for, though it may be alive.

    A subscriber: publishers do not wait for it any more, whatever their `overflow`. It goes on
    receiving, is told what it missed (`Subscriber.missed`), and knows of it
    (`Subscriber.evicted`); what it has in view stays. It is no longer among `subscribers()`.

    A consumer: the messages that it has leased are ready again, in their places. When it
    acknowledges one, it gets `LeaseLostError`. What it got without a lease it keeps.

    A dead one, of any kind of object: what it left is put in order now, as `repair` does for all.

    Args:
        address: what to call the object by.
        member: one that `info` has told of; if it has left, nobody is evicted. Or the number of a
            slot: whoever has it.
        timeout: seconds to wait for the consumers' lock, if another one has it.

    Raises `NotFoundError`: no such object, or no such participant (any more). `NotHeldError`: it
    holds nobody up. `UnsupportedError`: it lives, and takes part in another kind of object: what
    it holds is given up when its process ends. `InUseError`: a stopped process has the lock.
    `AccessError` and the like as attaching does.

    A crash in the midst leaves some of the leases with it, or none; no count is wrong.

    >>> import isthmus
    >>> with isthmus.Queue("evict-example") as queue:
    ...     queue.put("job")
    ...     lease = queue.lease()
    ...     isthmus.inspect.evict(queue.name, 0).leases, queue.get()
    ...     try:
    ...         lease.acknowledge()
    ...     except isthmus.LeaseLostError:
    ...         print("too late")
    (1, 'job')
    too late
    """
    where = typed_address(address, "evicted from")
    patience = timeout if timeout is None else _arguments.timeout(timeout)
    with visiting(where) as visit:
        whom = _find(visit, member)
        if not whom.alive:
            return _bury(visit, whom, patience)
        if visit.kind not in (QUEUE, TOPIC):
            raise UnsupportedError(
                f"{whom.text} cannot be evicted from {visit.what} while it lives: others may "
                "rely on what it holds; it is given up when that process ends",
                name=where.name,
            )
        try:
            done = visit.guest.evict(whom.slot, whom.pid, whom.joined_ns, patience)
        except OSError as error:
            raise _explained(error, visit, whom) from None
    return _told(whom, *done)


def _told(whom: Facts, leases: int, dead: bool, pinned: bool) -> Eviction:
    return Eviction(
        slot=whom.slot,
        pid=whom.pid,
        command=whom.command,
        dead=dead,
        subscriber=bool(whom.role & SUBSCRIBER),
        leases=leases,
        pinned=pinned,
    )


def _find(visit: Visit, member: Member | int) -> Facts:
    slot = member.slot if isinstance(member, Member) else member
    for found in visit.participants():
        if found.slot == slot and (not isinstance(member, Member) or _same(found, member)):
            return found
    who = f"process {member.pid}" if isinstance(member, Member) else f"participant {slot}"
    raise NotFoundError(
        f"{who} takes no part in {visit.what} (any more); `isthmus info` lists who does",
        name=visit.where.name,
    )


def _same(found: Facts, member: Member) -> bool:
    since = member.since
    return found.pid == member.pid and (
        since is None or abs(found.joined_ns / 1e9 - since) < _PRECISION
    )


def _bury(visit: Visit, whom: Facts, timeout: float | None) -> Eviction:
    try:
        visit.guest.bury(whom.slot, timeout)
    except OSError as error:
        raise _explained(error, visit, whom) from None
    leases = whom.share if visit.kind == QUEUE else 0
    return _told(whom, leases, dead=True, pinned=False)


def _explained(error: OSError, visit: Visit, whom: Facts) -> Exception:
    name = visit.where.name
    if error.errno == errno.ESRCH:
        return NotFoundError(f"{whom.text} has just left {visit.what}", name=name)
    if error.errno == errno.ENOENT:
        has = "it is no subscriber" if visit.kind == TOPIC else "it has no leases"
        return NotHeldError(f"{whom.text} holds nobody up in {visit.what}: {has}", name=name)
    if error.errno == errno.ETIMEDOUT:
        return visit.holder("looked after")
    return _explain.general(error, f"evicting from {visit.what}", name)


def shut_down(address: str | Address, *, discard: bool = False) -> None:
    """Shut a queue down: as `Queue.shutdown`, by one that has not opened it.

    Nothing more may be put, and `ShutDown` is raised where somebody tries; what is ready can still
    be got, unless `discard`, which drops it. All that wait are woken.

    Raises `KindError` for other kinds of objects, `UnsupportedError` for what is not of isthmus,
    `NotFoundError`, `AccessError`.

    >>> import isthmus
    >>> with isthmus.Queue("shut-down-example") as queue:
    ...     isthmus.inspect.shut_down(queue.name)
    ...     queue.put(1)
    Traceback (most recent call last):
    isthmus.ShutDown: queue 'shut-down-example' has been shut down
    """
    where = typed_address(address, "shut down")
    # A guest first, so that a queue that nobody has is not removed by being opened.
    with visiting(where) as visit:
        if visit.kind != QUEUE:
            raise KindError(f"{visit.what} cannot be shut down: only queues can", name=where.name)
        from isthmus.queue import Queue

        with Queue.attach(where.name, owner="any") as queue:
            queue.shutdown(immediate=discard)
