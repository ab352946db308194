"""The real-time signals of this process that carry messages: which are free, and taking one.

A signal is taken once: it is blocked in all threads, and whatever unblocks it again in one runs a
handler that sends the signal on to the process (see src/core/os_signal.h). So none of them can end
the process, nor interrupt it.

It stays blocked, in all threads, when it is left; and is ignored then, not as it was by default:
a message on its way to a process that has just stopped to listen would end that. Of a fork, the
child has both from the start. A program that is started has the mask, and no handler.
"""

from __future__ import annotations

import os
import threading
from time import monotonic, sleep

from isthmus import _arguments
from isthmus._core import signals
from isthmus.errors import ArgumentError, InUseError

#: The signal that is meant when nothing is said.
USUAL = signals.FIRST + 1
# Seconds that other threads have to block a signal: one that sleeps in the kernel takes none of
# them, unless nothing can interrupt it. Later, only the order of its first messages suffers.
_PATIENCE = 1.0
_PAUSE = 0.0002


class _Taking:
    """Held while a signal is chosen; also by a signal handler in the middle of that."""

    lock = threading.RLock()


# Those of channels that are open; and those which are blocked since they were.
_open: set[int] = set()
_ours: set[int] = set()


def number_of(signal: str | int | None) -> int | None:
    """From a number or a name: ``"SIGRTMIN+2"``, ``"SIGRTMAX-1"``, ``"36"``."""
    if signal is None:
        return None
    number = _parsed(signal) if isinstance(signal, str) else _arguments.integer(signal, "signal")
    if number is None or not signals.FIRST <= number <= signals.LAST:
        raise ArgumentError(
            f"signal {str(signal)[:40]!r} is no real-time signal; write SIGRTMIN+1 or a number "
            f"from {signals.FIRST} to {signals.LAST}"
        )
    return number


def _parsed(text: str) -> int | None:
    import re

    found = re.fullmatch(r"(?:SIG)?(RTMIN|RTMAX)?([+-]?\d{1,5})?", text.strip().upper(), re.ASCII)
    if found is None or not any(found.groups()):
        return None
    name, digits = found.groups()
    if name is None:
        return int(digits)
    base = signals.FIRST if name == "RTMIN" else signals.LAST
    # RTMIN3 is a name of nothing.
    return base + int(digits or 0) if digits is None or digits[0] in "+-" else None


def name_of(number: int) -> str:
    return f"SIGRTMIN+{number - signals.FIRST}" if number > signals.FIRST else "SIGRTMIN"


def _free(number: int) -> bool:
    """Whether nobody in this process handles it."""
    if number in _open:
        return False
    now = signals.disposition(number)
    return now in (signals.IGNORED, signals.DEFAULT) or (now == signals.TAKEN and number in _ours)


def _unused(number: int) -> bool:
    """Whether nobody waits for it either: it is not blocked, or by this module.

    That may be for nothing: programs have blocked what the one has that started them.
    """
    return _free(number) and (number in _ours or not signals.blocked(number))


def take(wanted: int | None, usual: int = USUAL) -> int:
    """Take `wanted`, or the first that nobody has a use for, from `usual` on. InUseError."""
    with _Taking.lock:
        if wanted is None:
            count = signals.LAST - signals.FIRST + 1
            some = (signals.FIRST + (usual - signals.FIRST + i) % count for i in range(count))
            number = next(filter(_unused, some), None)
            if number is None:
                raise InUseError("all real-time signals of this process are in use")
        elif _free(wanted):
            number = wanted
        else:
            raise InUseError(
                f"signal {name_of(wanted)} of this process is in use: it is handled, or a channel "
                "is open on it; choose another one, or none"
            )
        signals.take(number)
        _open.add(number)
        _ours.add(number)
    try:
        _block_everywhere(number)
    except BaseException:
        leave(number)
        raise
    return number


def leave(number: int) -> None:
    """Throw away what has not been received, and what may still come. May be called anywhere."""
    # Unless somebody has installed a handler of their own meanwhile.
    if signals.disposition(number) == signals.TAKEN:
        signals.leave(number)
    # No lock: a signal handler may be here, in the middle of `take`.
    _open.discard(number)


def _block_everywhere(number: int) -> None:
    """Have all other threads block it. New ones have blocked what the one has that makes them."""
    probed: set[int] = set()
    end = monotonic() + _PATIENCE
    # Until a look finds none: one that has not blocked it may have made another in between.
    while tasks := [
        task for task in map(int, os.listdir("/proc/self/task")) if _open_to(task, number)
    ]:
        for task in tasks:
            if task not in probed:
                probed.add(task)
                try:
                    signals.probe(task, number)
                except OSError:
                    pass  # it has ended; or there is no room for a signal just now
        if monotonic() > end:
            break
        sleep(_PAUSE)


def _open_to(task: int, number: int) -> bool:
    """Whether a thread has the signal not blocked."""
    try:
        with open(f"/proc/self/task/{task}/status", "rb") as file:
            status = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return False  # it has ended
    return not mask(status, b"SigBlk") & bit(number) and b"\nState:\tZ" not in status


def bit(number: int) -> int:
    return 1 << (number - 1)


def mask(status: bytes, name: bytes) -> int:
    """A set of signals in a `status` of /proc; 0 if it is not there."""
    _, found, rest = status.partition(b"\n" + name + b":\t")
    return int(rest[:16], 16) if found else 0


def _in_child() -> None:
    _Taking.lock = threading.RLock()


os.register_at_fork(after_in_child=_in_child)
