"""What is not as it should be with a typed object, in words, and what to do about it."""

from __future__ import annotations

import time

from isthmus.inspect._model import Problem
from isthmus.inspect.looking import _typed
from isthmus.inspect.others._processes import stopped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from isthmus.inspect._model import LeaseState, LockState, Member
    from isthmus.inspect.looking._look import Look

_GRAVITY = {"damage": 0, "warning": 1, "note": 2}
# Longer than a lock should be held while others wait, and than a job should take: seconds.
LONG_HOLD, LONG_LEASE = 10.0, 600.0
# So full that the next large message may have to wait.
_NEARLY = 0.9
# What a lock inside is called in a sentence.
_LOCKS = {
    "producers": "the lock of the producers",
    "consumers": "the lock of the consumers",
    "writer": "the lock of the writer",
}
_KEPT = (
    "Most of it is done with, behind a message that is still being worked on: see in "
    "`isthmus info` who leases it; when that one is acknowledged there is room. Or make it larger."
)


def brief(look: Look, address: str) -> tuple[Problem, ...]:
    """What a short look finds: for the list of all objects."""
    typed = look.typed
    found = list(typed.problems)
    if typed.place is not None and not look.present and typed.kind != 1:
        found.extend(_deserted(look, address))
    elif look.dead:
        found.append(
            Problem(
                "note",
                f"{_count(look.dead, 'participant')} died, and nobody has put things in order "
                "after that yet.",
                "Whoever waits for it next does, or finds it in the way; "
                f"`isthmus repair {address}` does it now.",
            )
        )
    if look.cursors is not None and look.present:
        found.extend(_crowded(look, address))
    full = typed.count and look.alive >= typed.count * _NEARLY
    if full:
        found.append(
            Problem(
                "warning",
                f"{look.alive} of {typed.count} participants are there: there is room for "
                f"{typed.count - look.alive} more.",
                "Close handles that are not needed, or make it anew with more `participants`.",
            )
        )
    return in_order(found)


def _deserted(look: Look, address: str) -> Iterable[Problem]:
    if look.typed.persist:
        return
    if look.dead:
        what = f"All that used it died ({_count(look.dead, 'participant')}); nobody has it open."
    else:
        what = "Nobody has it open, though it was to go with its last user."
    remedy = "Whoever opens it next makes it anew; `isthmus gc --yes` removes it."
    if _typed.owed_a_report(look.typed):
        remedy = (
            "It is kept for whoever opens it next, who is told that its owner died; if nobody is "
            f"to be told, `isthmus rm {address}` removes it."
        )
    yield Problem("warning", what, remedy)


def _crowded(look: Look, address: str) -> Iterable[Problem]:
    found, typed, ring = look.cursors, look.typed, look.typed.ring
    if found is None or ring is None or found.used is None:
        return
    share = found.used / ring.capacity
    if typed.kind == 10:
        numbers = look.numbers
        at_most = ring.maxsize and numbers is not None and numbers.ready >= ring.maxsize
        if share >= _NEARLY or at_most:
            consumers = sum(
                slot.alive and slot.seat is not None and bool(slot.seat["role"] & 2)
                for slot in look.slots
            )
            # Of the records up to the tail: done with, but behind one that is not.
            behind = 0 if numbers is None else (found.fields["out"] - numbers.leased)
            kept = not at_most and numbers is not None and numbers.leased and behind > numbers.ready
            full = f"It holds {ring.maxsize} messages, its maxsize" if at_most else _full(share)
            yield Problem(
                "warning",
                f"{full}: producers wait; "
                f"{_count(consumers, 'consumer') if consumers else 'no consumer'} there.",
                _KEPT
                if kept
                else "Start consumers or more of them, see in `isthmus info` whether they "
                "work, or make it larger.",
            )
        if found.fields["closed"] & 1:
            yield Problem(
                "note",
                "It has been shut down: nothing more may be put.",
                "Close all handles, and open it anew.",
            )
        if found.fields["aside_count"]:
            yield Problem(
                "note",
                f"{_count(found.fields['aside_count'], 'message')} set aside after too many "
                "deliveries.",
                f"See them by `isthmus dump {address}`, put them back or discard them by "
                "`Queue.aside()`.",
            )
    elif look.depth and share >= _NEARLY:
        slowest = max(
            (slot for slot in look.slots if slot.alive and slot.number in look.lags),
            key=lambda slot: look.lags[slot.number],
        )
        lag = look.lags[slowest.number]
        # A full ring is usual: what counts is how much of it is kept for the slowest.
        behind = (found.fields["tail"] - slowest.seat["cursor"]) % 2**64 if slowest.seat else 0
        if behind >= ring.capacity * _NEARLY:
            yield Problem(
                "warning",
                f"The subscriber with pid {slowest.fields['pid']} is {_count(lag, 'message')} "
                "behind, as far as the ring reaches: publishers wait for it, or overwrite what "
                "it has not read.",
                f"Make it read faster, or evict it: `isthmus top`, or `isthmus.inspect.evict"
                f"({address!r}, {slowest.number})`; more capacity only helps against bursts.",
            )


def _full(share: float) -> str:
    return f"It is full to {share:.0%}"


def whole(
    look: Look,
    address: str,
    members: tuple[Member, ...],
    locks: tuple[LockState, ...],
    leases: tuple[LeaseState, ...],
) -> tuple[Problem, ...]:
    """All that can be found."""
    now = time.time()
    found = list(brief(look, address))
    waiting = sum(member.waiting for member in members if member.alive)
    for lock in locks:
        found.extend(_lock(lock, waiting, now))
    for member in members:
        found.extend(_stopped(member, locks))
    for lease in leases:
        if lease.worker is not None and lease.worker.alive and lease.since is not None:
            age = now - lease.since
            if age >= LONG_LEASE:
                found.append(
                    Problem(
                        "note",
                        f"Message {lease.number} has been leased by pid {lease.worker.pid} for "
                        f"at least {age:.0f} s.",
                        "If that one hangs, end it, and the message goes to another one; or "
                        f"`isthmus.inspect.evict({address!r}, {lease.worker.slot})`.",
                    )
                )
    if look.typed.observed.status.st_mode & 0o002:
        found.append(
            Problem(
                "note",
                "Every user of this machine may write to it.",
                "If that is not meant, make it with another `mode`.",
            )
        )
    return in_order(found)


def _stopped(member: Member, locks: tuple[LockState, ...]) -> Iterable[Problem]:
    """Of those that others may have to wait for. Without a command, it cannot be seen from here."""
    owner = any(lock.owner is not None and lock.owner.slot == member.slot for lock in locks)
    if not (owner or member.share or member.pinned or member.lag) or member.command is None:
        return
    if stopped(member.pid):
        yield Problem(
            "warning",
            f"pid {member.pid} ({member.command}) is stopped, and keeps what it holds.",
            f"Let it go on: `kill -CONT {member.pid}`; or end it.",
        )


def _lock(lock: LockState, waiting: int, now: float) -> Iterable[Problem]:
    what = _LOCKS.get(lock.what, f"the {lock.what}")
    if lock.abandoned:
        yield Problem(
            "note",
            f"The last owner of {what} died holding it.",
            "Whoever takes it next is told (`OwnerDied`), and decides what to make of the data.",
        )
        return
    if lock.owner is None:
        if lock.locked:
            yield Problem(
                "damage",
                f"{what.capitalize()} is held by a participant that there is not.",
                "Try `isthmus repair`.",
            )
        return
    who = f"pid {lock.owner.pid}" + (f" ({lock.owner.command})" if lock.owner.command else "")
    if not lock.owner.alive:
        yield Problem(
            "note",
            f"{what.capitalize()} is held by {who}, which died.",
            "Whoever waits for it takes it over within 20 ms; `isthmus repair` frees it now.",
        )
    elif lock.since is not None and waiting and now - lock.since >= LONG_HOLD:
        yield Problem(
            "warning",
            f"{who} has held {what} for {now - lock.since:.0f} s, and "
            f"{_count(waiting, 'thread')} wait{'s' if waiting == 1 else ''}.",
            f"See what it does: `py-spy dump --pid {lock.owner.pid}`, "
            f"`cat /proc/{lock.owner.pid}/stack`; when it ends, the lock is free.",
        )


def in_order(found: Iterable[Problem]) -> tuple[Problem, ...]:
    """The gravest first; each once."""
    once = dict.fromkeys(found)
    return tuple(sorted(once, key=lambda problem: _GRAVITY[problem.severity]))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
