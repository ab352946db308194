"""Who is there, where the system does not tell: by locks that it releases at a death.

They are locks of an open file description: of whoever has it, a forked child included, and gone
with the last descriptor of it. Nobody waits for one.
"""

from __future__ import annotations

import fcntl
import os
import struct

# struct flock: what kind of lock, from where the start counts, start, length, whose.
_FLOCK = struct.Struct("hhqqi4x")


def hold(descriptor: int, byte: int) -> None:
    """Be there, until this description is closed. Others may hold the same byte."""
    lock = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, byte, 1, 0)
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, lock)


def held(descriptor: int, byte: int) -> bool:
    """Whether anybody else is: another description than this one."""
    lock = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, lock)
    kind: int = _FLOCK.unpack(found)[0]
    return kind != fcntl.F_UNLCK


def again(descriptor: int) -> int:
    """A description of its own of the same file."""
    return os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
