"""A file to which any number of processes append records, and which any number read.

All numbers are little-endian. A header of 64 bytes:

====== ===== =========================================================
offset bytes
====== ===== =========================================================
0      8     ``isthmlog``
8      4     version: 1
12     4     bytes of the header: 64
16     8     the end: how long the file is as far as it counts
24     8     the same, all bits turned over
32     32    zero
====== ===== =========================================================

Then records, each at a multiple of 8: ``rec1``, a CRC-32 (4) of what follows but for padding, the
bytes of the message (8), who wrote it (8, random), the message.

Who appends holds the file by `flock`, writes behind the end, and then moves the end by one write of
16 bytes, which is the commit. Killed before: nothing has happened, and the next one writes over
it. Killed after: the record is there. The system releases the lock at a death.

Who reads goes no further than the end, and so sees no record in part. It takes no lock: what it
reads of the end while that is being written may be half of each, and then its two words do not
agree; it looks again. After a loss of power the end may have reached the disk and a record not:
that is what the CRC is for.

It is made without a name, and gets one when it is complete. Killed before: nothing is left.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time

from isthmus.errors import (
    AccessError,
    CorruptError,
    ExistsError,
    ForeignError,
    NameInvalidError,
    NoSpaceError,
    NotFoundError,
    NotReadyError,
    TruncatedError,
    VersionError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAGIC = b"isthmlog"
VERSION = 1
HEADER = 64
_WHAT = struct.Struct("<8sII")
_END = struct.Struct("<QQ")
_END_AT = 16
_ALL = 2**64 - 1
# Between looks at an end whose words do not agree: how many, and seconds.
_LOOKS, _PAUSE = 200, 0.0005
# How often to begin anew when others make and remove the file at the same time.
_TRIES = 100
# For an empty file that somebody holds: looks, which are as far apart as those above.
_PATIENCE = 2000
# A buffer a call that the system takes.
_PARTS = 1024
# There is no room, for all, for this user, or for this process.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _end_of(end: int) -> bytes:
    return _END.pack(end, end ^ _ALL)


def _fresh() -> bytes:
    return (_WHAT.pack(MAGIC, VERSION, HEADER) + _end_of(HEADER)).ljust(HEADER, b"\0")


class Log:
    """Such a file, open. `path` None: it has no name."""

    def __init__(self, descriptor: int, path: str | None, url: str, writable: bool) -> None:
        self.descriptor, self.path, self.url = descriptor, path, url
        self.writable = writable
        self._file = _identity(os.fstat(descriptor))
        self._pid = os.getpid()

    def again(self) -> Log:
        """The same, with a lock of its own."""
        return Log(_reopened(self.descriptor, self.writable), self.path, self.url, self.writable)

    def close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    # ---- Reading -------------------------------------------------------------------------

    def end(self) -> int:
        """How far it counts. FormatError."""
        for look in range(_LOOKS):
            raw = os.pread(self.descriptor, _END.size, _END_AT)
            if len(raw) < _END.size:
                raise TruncatedError(f"{self.url} was cut off: it has no header", name=self.url)
            end, turned = _END.unpack(raw)
            if end == turned ^ _ALL:
                if end < HEADER or end % 8:
                    break
                return int(end)
            if look > 10:
                time.sleep(_PAUSE)
        raise CorruptError(
            f"{self.url} does not say how long it is, at offset {_END_AT}; something else has "
            "written to it",
            name=self.url,
        )

    def read(self, size: int, at: int) -> bytes:
        """So many bytes from there. TruncatedError."""
        raw = os.pread(self.descriptor, size, at)
        while len(raw) < size:
            more = os.pread(self.descriptor, size - len(raw), at + len(raw))
            if not more:
                raise TruncatedError(
                    f"{self.url} was cut off at offset {at + len(raw)}", name=self.url
                )
            raw += more
        return raw

    def found(self) -> os.stat_result | None:
        """What others find who look for it; None: it is not this one any more."""
        if self.path is not None:
            try:
                status = os.stat(self.path, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError:
                pass  # not for us to see any more, such as after becoming another user
            else:
                return status if _identity(status) == self._file else None
        return os.fstat(self.descriptor)

    # ---- Writing -------------------------------------------------------------------------

    def lock(self) -> bool:
        """Hold it against others who append; False: one of them holds it. Does not wait."""
        if self._pid != os.getpid():
            self._make_own()
        for _ in range(3):
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.sched_yield()  # it takes microseconds, if its holder runs
            else:
                return True
        return False

    def unlock(self) -> None:
        """Also when it is not held."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def _make_own(self) -> None:
        """In a forked child: the lock would be the parent's as well. The number stays the same."""
        own = _reopened(self.descriptor, self.writable)
        try:
            os.dup2(own, self.descriptor, inheritable=False)
        finally:
            os.close(own)
        self._pid = os.getpid()

    def append(self, parts: Sequence[bytes | memoryview], size: int, there: int) -> None:
        """Records, of `size` bytes together. To be called with the lock held.

        `there`: how long the file is, since it is.
        """
        end = self.end()
        if there < end:
            raise TruncatedError(
                f"{self.url} was cut off at offset {there}; it counts up to {end}", name=self.url
            )
        try:
            _write(self.descriptor, parts, end)
            # The commit.
            os.pwrite(self.descriptor, _end_of(end + size), _END_AT)
        except OSError as error:
            if error.errno in _FULL:
                raise self._no_space(size, error) from None
            raise

    def _no_space(self, size: int, error: OSError) -> NoSpaceError:
        room = os.fstatvfs(self.descriptor)
        return NoSpaceError(
            f"there is no room for {size} bytes more in {self.url}: {error.strerror}; make some, "
            "nothing was sent",
            name=self.url, errno=error.errno, wanted=size, available=room.f_bavail * room.f_frsize,
        )  # fmt: skip


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _reopened(descriptor: int, writable: bool) -> int:
    flags = os.O_RDWR if writable else os.O_RDONLY
    return os.open(f"/proc/self/fd/{descriptor}", flags | os.O_CLOEXEC)


def _write(descriptor: int, parts: Sequence[bytes | memoryview], at: int) -> None:
    left = list(parts)
    while left:
        written = os.pwritev(descriptor, left[:_PARTS], at)
        at += written
        gone = 0
        while gone < len(left) and written >= len(left[gone]):
            written -= len(left[gone])
            gone += 1
        del left[:gone]
        if written:
            left[0] = memoryview(left[0])[written:]


# ---- Opening and making ----------------------------------------------------------------


def opened(where: str, mode: int, url: str) -> Log:
    """The log of this path, made if there is none."""
    path = os.path.abspath(where)
    for _ in range(_TRIES):
        try:
            log = _open(path, url)
        except FileNotFoundError:
            _make(path, mode, url)
            continue
        try:
            if _is_complete(log):
                return log
        except BaseException:
            log.close()
            raise
        log.close()
    raise NotReadyError(f"{url} is made and removed by others all the time; try again", name=url)


def _open(path: str, url: str) -> Log:
    # Without waiting, should it be a FIFO.
    flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    writable = True
    try:
        try:
            descriptor = os.open(path, os.O_RDWR | flags)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EROFS):
                raise
            descriptor = os.open(path, os.O_RDONLY | flags)
            writable = False
    except PermissionError as error:
        raise AccessError(
            f"{url} may not be used by this user; see its owner and mode",
            name=url, errno=error.errno,
        ) from None  # fmt: skip
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.ELOOP, errno.ENXIO):
            raise ExistsError(f"{url}: something is there that is no file", name=url) from None
        if error.errno == errno.ENAMETOOLONG:
            raise NameInvalidError(f"{url[:80]}… is too long a name", name=url) from None
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ExistsError(f"{url}: something is there that is no file", name=url)
        return Log(descriptor, path, url, writable)
    except BaseException:
        os.close(descriptor)
        raise


def _is_complete(log: Log) -> bool:
    """Whether it is what it should be, now; False: its name stands for another one. FormatError."""
    url = log.url
    raw = os.pread(log.descriptor, HEADER, 0)
    if not raw:
        return _fill_empty(log)
    magic, version, header = _WHAT.unpack_from(raw.ljust(HEADER, b"\0"))
    if magic != MAGIC:
        raise ForeignError(f"{url} is a file that no channel has made; it is left alone", name=url)
    if len(raw) < HEADER:
        raise TruncatedError(f"{url} was cut off: it has no header", name=url)
    if (version, header) != (VERSION, HEADER):
        raise VersionError(
            f"{url} has version {version} of the format, this is for {VERSION}", name=url
        )
    end, there = log.end(), os.fstat(log.descriptor).st_size
    if there < end:
        raise TruncatedError(
            f"{url} was cut off at offset {there}; it counts up to {end}", name=url
        )
    return log.found() is not None


def _fill_empty(log: Log) -> bool:
    """Make a log of an empty file, such as an administrator makes for others to write to."""
    if not log.writable:
        raise TruncatedError(f"{log.url} is empty, and this user may not write to it", name=log.url)
    for _ in range(_PATIENCE):
        if log.lock():
            break
        time.sleep(_PAUSE)
    else:
        raise NotReadyError(f"{log.url} is empty, and somebody holds it; try again", name=log.url)
    try:
        if not os.fstat(log.descriptor).st_size:
            os.pwrite(log.descriptor, _fresh(), 0)
    finally:
        log.unlock()
    return False  # to be opened anew, and looked at


def begin(descriptor: int) -> None:
    """Make an empty file, which nobody else has, a log."""
    os.pwrite(descriptor, _fresh(), 0)


def _make(path: str, mode: int, url: str) -> None:
    """Make it, complete, unless somebody else has."""
    folder, name = os.path.split(path)
    draft = None
    try:
        within = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"{url}: there is no such directory", name=url) from None
    try:
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            # Here and now, below `within`, whatever becomes of its name.
            made = os.open(".", flags | os.O_TMPFILE, 0o600, dir_fd=within)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
                raise
            # A file system without files that have no name. Killed from here on: it stays.
            draft = f".{name[:200]}.{os.urandom(8).hex()}"
            made = os.open(draft, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=within)
        try:
            os.fchmod(made, mode)
            begin(made)
            # With a descriptor of a directory, it is linkat, which can follow the link in /proc.
            os.link(
                f"/proc/self/fd/{made}" if draft is None else draft,
                name,
                src_dir_fd=within,
                dst_dir_fd=within,
                follow_symlinks=draft is None,
            )
        finally:
            os.close(made)
            if draft is not None:
                os.unlink(draft, dir_fd=within)
    except FileExistsError:
        pass
    except PermissionError as error:
        raise AccessError(
            f"{url}: this user may not make a file there", name=url, errno=error.errno
        ) from None
    except OSError as error:
        if error.errno in _FULL:
            raise NoSpaceError(
                f"{url}: there is no room for a new file: {error.strerror}; make some",
                name=url, errno=error.errno, wanted=HEADER, available=0,
            ) from None  # fmt: skip
        raise
    finally:
        os.close(within)
