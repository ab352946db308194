"""A file of shared memory, looked at so that nobody can tell: no byte of it changes, no lock on
it is taken, no room in memory, and those that use it are not woken up.

It is mapped for reading, not read: whoever waits for an object by a descriptor is told when
somebody reads its file (docs/design/0013-doorbells.md). The bytes are copied by the kernel, so
that a file that is cut off meanwhile is an error and not a SIGBUS; holes are left holes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat

from isthmus._core import memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

#: Where the names of POSIX shared memory objects are files.
DIRECTORY = "/dev/shm"
# Extents that are remembered.
_KNOWN = 16


class Vanished(Exception):
    """The object went away, or was cut off, while it was looked at."""


class Observed:
    """An open file, mapped for reading when first needed. Use it with `with`.

    Raises `OSError` where it cannot be opened, `Vanished` when it is no more.
    """

    __slots__ = ("_fd", "_known", "_mapping", "path", "status")

    def __init__(self, path: str) -> None:
        self.path = path
        self._mapping: memory.Mapping | None = None
        # Where there are no holes, start and end: the kernel looks at each page to tell, and what
        # has been written to stays so.
        self._known: list[tuple[int, int]] = []
        try:
            self._fd = memory.open_file(os.fsencode(path), True)
        except FileNotFoundError:
            raise Vanished(path) from None
        # Mapping sets the time of the last access, unless told not to. Only its owner may tell: of
        # others' files that time is the one thing that a look may change.
        flags = fcntl.fcntl(self._fd.fileno(), fcntl.F_GETFL)
        with contextlib.suppress(PermissionError):
            fcntl.fcntl(self._fd.fileno(), fcntl.F_SETFL, flags | os.O_NOATIME)
        #: As it was when it was opened.
        self.status: os.stat_result = os.fstat(self._fd.fileno())

    @property
    def size(self) -> int:
        """Bytes that it had when it was opened."""
        return self.status.st_size

    def read(self, offset: int, size: int) -> bytes:
        """Copy bytes, all of which must be before the end. Holes are zeros."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise ValueError(f"bytes {offset} to {offset + size} of a file of {self.size} bytes")
        pieces, at, end = [], offset, offset + size
        while at < end:
            start, stop = self._data(at, end)
            pieces.append(bytes(start - at))
            if start < stop:
                pieces.append(self._copy(start, stop - start))
            at = stop
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _data(self, at: int, end: int) -> tuple[int, int]:
        """The next bytes from `at` on that are no hole: start and stop, at most `end` both."""
        for start, stop in self._known:
            if start <= at < stop:
                return at, min(stop, end)
        fd = self._fd.fileno()
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
            if start >= end:
                return end, end
            stop = os.lseek(fd, start, os.SEEK_HOLE)
            self._known = [(start, stop), *self._known[: _KNOWN - 1]]
            return start, min(stop, end)
        except OSError as error:
            if error.errno == errno.ENXIO:
                # Nothing but a hole from here on, or the end has come nearer.
                if os.fstat(fd).st_size < end:
                    raise Vanished(self.path) from None
                return end, end
            return at, end

    def _copy(self, offset: int, size: int) -> bytes:
        if self._mapping is None:
            self._mapping = memory.map_shared(self._fd.fileno(), self.size, True)
        try:
            return memory.copy_out(self._mapping, offset, size)
        except OSError as error:
            if error.errno == errno.EFAULT:
                raise Vanished(self.path) from None
            raise

    def held(self, first: int, step: int = 1, count: int = 1) -> list[bool]:
        """For each of some bytes, perhaps beyond the end: does an open file lock it?"""
        return memory.bytes_held(self._fd.fileno(), first, step, count)

    @property
    def linked(self) -> bool:
        """Whether it still has its name."""
        return os.fstat(self._fd.fileno()).st_nlink > 0

    def fileno(self) -> int:
        return self._fd.fileno()

    def close(self) -> None:
        self._fd.close()
        self._mapping = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def plain(status: os.stat_result) -> bool:
    """Whether it is a file like those of shared memory, not a folder, socket or link."""
    return stat.S_ISREG(status.st_mode)
