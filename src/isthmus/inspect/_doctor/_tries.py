"""What the kernel can do, found out by trying. Nothing stays: descriptors are closed again.

The file that is made in /dev/shm has a name for a moment, that of a draft (`Segment.create` makes
such on other systems): killed just then, this process leaves what `isthmus gc` clears away.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import signal
import struct

from isthmus._core import memory
from isthmus.inspect._address import DRAFT_PREFIX
from isthmus.inspect.looking._observed import DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

# The same number on all processors but Alpha.
_FUTEX_WAITV = 449
_MADV_POPULATE_READ = 22
_AT_FDCWD, _AT_SYMLINK_FOLLOW, _AT_EMPTY_PATH = -100, 0x400, 0x1000
_PAGE = mmap.PAGESIZE


def features() -> dict[str, str | None]:
    """By name: None, or why it does not work."""
    return {name: _answer(one) for name, one in _TRIES.items()}


def _answer(attempt: Callable[[], None]) -> str | None:
    try:
        attempt()
    except OSError as error:
        return f"{errno.errorcode.get(error.errno or 0, '?')}: {error.strerror or error}"
    except (AttributeError, ValueError, ImportError) as error:
        # Python was built without it.
        return str(error)
    return None


def _unnamed_file() -> None:
    os.close(_unnamed())


def _unnamed() -> int:
    return os.open(DIRECTORY, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)


def _some_file() -> int:
    """A file of shared memory, be it one that could have no name."""
    try:
        return _unnamed()
    except OSError:
        return os.memfd_create("isthmus-doctor", os.MFD_CLOEXEC)


def _naming() -> None:
    """Give an unnamed file a name, as each object gets its own, and take it away again."""
    fd = _unnamed()
    try:
        name = f"{DIRECTORY}/{DRAFT_PREFIX}{os.urandom(8).hex()}"
        _link(fd, os.fsencode(name))
        # Another program may have cleared it away.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
    finally:
        os.close(fd)


def _link(fd: int, name: bytes) -> None:
    """As the core does it: by the descriptor, or else by /proc."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.linkat(fd, b"", _AT_FDCWD, name, _AT_EMPTY_PATH) == 0:
        return
    if ctypes.get_errno() == errno.ENOENT:
        path = f"/proc/self/fd/{fd}".encode()
        if libc.linkat(_AT_FDCWD, path, _AT_FDCWD, name, _AT_SYMLINK_FOLLOW) == 0:
            return
    _fail(ctypes.get_errno())


def _description_locks() -> None:
    fd = _some_file()
    try:
        # struct flock: type, whence, start, length, pid (0 for these locks).
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, lock)
    finally:
        os.close(fd)


def _anonymous() -> None:
    """As anonymous objects are made, and sealed."""
    file = memory.memory(b"isthmus-doctor")
    try:
        memory.truncate(file.fileno(), _PAGE)
        memory.add_seals(file.fileno(), fcntl.F_SEAL_SHRINK)
    finally:
        file.close()


def _safe_copy() -> None:
    """Whether the kernel copies memory of this process for it: `process_vm_readv` on itself."""
    import ctypes

    source, target = ctypes.c_char(b"x"), ctypes.c_char()

    class Part(ctypes.Structure):
        _fields_ = (("start", ctypes.c_void_p), ("size", ctypes.c_size_t))

    local = Part(ctypes.addressof(target), 1)
    remote = Part(ctypes.addressof(source), 1)
    libc = ctypes.CDLL(None, use_errno=True)
    one, none = ctypes.c_ulong(1), ctypes.c_ulong(0)
    call = libc.process_vm_readv
    call.restype = ctypes.c_ssize_t
    if call(os.getpid(), ctypes.byref(local), one, ctypes.byref(remote), one, none) != 1:
        _fail(ctypes.get_errno())


def _many_futexes() -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    # Nothing to wait for: a kernel that knows the call refuses that, and does nothing.
    zero = ctypes.c_long(0)
    libc.syscall(ctypes.c_long(_FUTEX_WAITV), None, zero, zero, None, zero)
    number = ctypes.get_errno()
    if number != errno.EINVAL:
        _fail(number)


def _watches() -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        _fail(ctypes.get_errno())
    os.close(fd)


def _processes() -> None:
    fd = os.pidfd_open(os.getpid())
    try:
        # Signal 0 is none: only whether it may be sent is checked.
        signal.pidfd_send_signal(fd, 0)
    finally:
        os.close(fd)


def _populate() -> None:
    with mmap.mmap(-1, _PAGE) as pages:
        pages.madvise(_MADV_POPULATE_READ)


def _reopen() -> None:
    """Open what is open already once more, by /proc."""
    fd = _some_file()
    try:
        os.close(os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC))
    finally:
        os.close(fd)


def _fail(number: int) -> NoReturn:
    raise OSError(number, os.strerror(number))


_TRIES: dict[str, Callable[[], None]] = {
    "unnamed-files": _unnamed_file,
    "naming": _naming,
    "description-locks": _description_locks,
    "reopening": _reopen,
    "anonymous-memory": _anonymous,
    "safe-copy": _safe_copy,
    "futex-waitv": _many_futexes,
    "inotify": _watches,
    "pidfd": _processes,
    "populate": _populate,
}
