"""For tests of what happens where the system gives nothing to watch files with."""

from __future__ import annotations

import ctypes
import os


def without_inotify() -> None:
    """From now on the system gives this process no more watches, and others as many as before.

    OSError: this user may not make user namespaces.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    clone_newuser = 0x10000000
    if libc.unshare(clone_newuser):
        raise PermissionError("no user namespaces")
    allow_inotify(0)
    assert libc.inotify_init1(os.O_CLOEXEC) == -1


def allow_inotify(instances: int) -> None:
    """After `without_inotify`: so many."""
    with open("/proc/sys/user/max_inotify_instances", "w") as limit:
        limit.write(str(instances))
