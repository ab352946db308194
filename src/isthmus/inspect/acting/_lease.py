"""Whether anybody else has a file open or mapped, in whatever process and namespace.

The kernel gives a lease for writing (fcntl, F_SETLEASE) only to who is alone with a file: it counts
all open descriptions, of mappings, too, and of descriptors that are on their way through a socket.
That is a proof, which /proc is not, where processes of other users or containers are not shown.
It takes to own the file, or to have CAP_LEASE.

As long as a lease is held, others who open the file wait: for microseconds, if it is released at
once. Who dies with it releases it; who is stopped with it lets them wait for 45 seconds
(/proc/sys/fs/lease-break-time). Those who open with O_NONBLOCK, as isthmus does, do not wait and
get EWOULDBLOCK. So only what acts, or is asked to prove it, takes a lease; the list does not. See
docs/design/0016-who-uses-it.md.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import signal
import time

# What an inspector that only looks takes is over by then.
PATIENCE, _PAUSE = 0.02, 0.001


def take(fd: int, patience: float = 0.0) -> bool | None:
    """Whether nobody else has the file; then nobody gets it until `release`.

    None: it may not be asked, since it is another user's, or the system has no leases. With
    `patience`, somebody who has it for less than so many seconds does not count.
    """
    # Who waits for us is told to us by a signal: one that does nothing unless it is handled. The
    # usual one, SIGIO, would kill.
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                return None
        else:
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(_PAUSE)


def undisturbed(fd: int) -> bool:
    """Whether still nobody waits to open it."""
    return bool(fcntl.fcntl(fd, fcntl.F_GETLEASE) == fcntl.F_WRLCK)


def release(fd: int) -> None:
    """Give it back; nothing happens if there is none. Closing the descriptor does so, too, but for
    a child that another thread is forking just now."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
