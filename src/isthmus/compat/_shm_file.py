"""Shared memory that gets its name when it is complete, and sizes of what others make."""

from __future__ import annotations

import errno
import os
import time

# Where shm_open() has its objects on Linux.
DIRECTORY = "/dev/shm"
_NAME_MAX = 255
# How long the one who made a segment may take to give it its size, and how often to look.
PATIENCE = 1.0
_PAUSE = 0.0005


def path_of(name: str) -> str | None:
    """Where shm_open() would make the object; None if it would refuse the name."""
    bare = name.lstrip("/")
    if not bare or bare in (".", "..") or "/" in bare or "\0" in bare:
        return None
    try:
        if len(os.fsencode(bare)) > _NAME_MAX:
            return None
    except UnicodeEncodeError:
        return None
    return f"{DIRECTORY}/{bare}"


def unnamed(mode: int) -> int | None:
    """A descriptor of a new file without a name, which goes with its last user; None: not here."""
    try:
        return os.open(DIRECTORY, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, mode)
    except OSError:
        return None


def give_name(fd: int, name: str, path: str) -> bool:
    """Make the file appear under its name; False if that cannot be done here (without /proc).

    FileExistsError about `name`: there is one already.
    """
    try:
        # Only linkat() follows /proc/self/fd, and os.link() only calls it if given a directory.
        os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd, follow_symlinks=True)
    except FileExistsError:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from None
    except OSError:
        return False
    return True


def has_name(fd: int) -> bool:
    return os.fstat(fd).st_nlink > 0


def size_of(fd: int, patience: float) -> int:
    """The size of the file in bytes; one of 0 is waited for, up to `patience` seconds."""
    size = os.fstat(fd).st_size
    if size == 0 and patience > 0:
        end = time.monotonic() + patience
        while size == 0 and time.monotonic() < end:
            time.sleep(_PAUSE)
            size = os.fstat(fd).st_size
    return size
