"""What shared memory tells multiprocessing's resource tracker: to clean up, and do no harm.

The tracker is a process that a program and those that multiprocessing starts from it share. It
removes what is registered with it when the last of them has ended. It keeps names in a set,
and complains on stderr about one that is taken back without having been registered.
"""

from __future__ import annotations

import os
from multiprocessing import resource_tracker

from isthmus.compat._mode import strict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

KIND = "shared_memory"


def trackable(name: str) -> bool:
    """Whether the tracker's protocol has room for the name: a line of ASCII, split at colons."""
    return name.isascii() and not any(letter in name for letter in ":\r\n")


def running() -> bool:
    """Whether this process knows a tracker. Without one, nothing can be registered with it."""
    return getattr(resource_tracker._resource_tracker, "_fd", -1) is not None


def identity() -> tuple[int, int] | None:
    """The same in two processes if they share a tracker: that of the pipe which leads to it."""
    if not running():
        return None
    found = os.fstat(resource_tracker.getfd())  # type: ignore[arg-type]
    return found.st_dev, found.st_ino


def register(name: str) -> None:
    """Have the tracker remove the name when all processes that share the tracker have ended."""
    if trackable(name):
        resource_tracker.register(name, KIND)


def forget(name: str) -> None:
    """Take the name back, whether or not it was ever registered."""
    if trackable(name) and running():
        forgive()
        resource_tracker.unregister(name, KIND)


def forgive() -> None:
    """Make it harmless to take back what was not registered.

    Many programs take an attached segment back from the tracker, because the standard class
    registers it. Safe mode does not register it, and the tracker would print a traceback. So
    the name is registered immediately before, which changes nothing if it is already.
    """
    if getattr(resource_tracker.unregister, "forgiving", False):
        return
    original: Any = resource_tracker.unregister
    resource_tracker.unregister = _forgiving(original)


def _forgiving(original: Callable[[str, str], None]) -> Any:
    def unregister(name: str, rtype: str) -> None:
        if rtype == KIND and not strict():
            if not running():
                return
            resource_tracker.register(name, rtype)
        original(name, rtype)

    unregister.forgiving = True  # type: ignore[attr-defined]
    return unregister
