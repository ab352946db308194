"""From a bare error number of the core to an error that tells the user what to do."""

from __future__ import annotations

import errno
import os

from isthmus import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READ_ONLY = "readonly=True needs less than read and write"


def size_text(size: int) -> str:
    """A number of bytes for people: ``4096 bytes``, ``1.5 GiB (1610612736 bytes)``.

    >>> size_text(4096)
    '4096 bytes'
    >>> size_text(3 << 29)
    '1.5 GiB (1610612736 bytes)'
    """
    for unit, shift in (("TiB", 40), ("GiB", 30), ("MiB", 20)):
        if size >= 1 << shift:
            return f"{size / (1 << shift):.4g} {unit} ({size} bytes)"
    return f"{size} bytes"


def user_text(uid: int) -> str:
    """``uid 1000 (alice)``, or the number alone when the user has no name here."""
    import pwd

    try:
        return f"uid {uid} ({pwd.getpwuid(uid).pw_name})"
    except KeyError:
        return f"uid {uid}"


def opening(
    error: OSError, what: str, name: str | None, path: bytes, advice: str = READ_ONLY
) -> errors.IsthmusError:
    """Why something that should exist could not be opened.

    `what` names it for the message: ``"shared memory object 'x'"``. `advice`: what to do if it
    may not be opened.
    """
    code = error.errno
    if code == errno.ENOENT:
        if not os.path.isdir(os.path.dirname(path)):
            folder = os.fsdecode(os.path.dirname(path))
            return errors.NotFoundError(f"there is no directory {folder!r} for {what}", name=name)
        return errors.NotFoundError(
            f"there is no {what}; it has not been created yet, was unlinked, "
            "or is called something else",
            name=name,
        )
    if code == errno.EREMOTE:
        return errors.OwnerError(
            f"{what} belongs to {_owner_of(path)}, not to {user_text(os.geteuid())}; "
            'if that is expected, say so with owner=… (a user, or "any")',
            name=name,
        )
    if code == errno.EROFS:
        return _read_only(f"{what} may not be opened for writing", name)
    if code in (errno.EACCES, errno.EPERM):
        return errors.AccessError(
            f"{what} may not be opened by {user_text(os.geteuid())}: its owner is "
            f"{_owner_of(path)} and its mode {_mode_of(path)}; {advice}",
            name=name,
            errno=code,
        )
    if code == errno.EAGAIN:
        return errors.NotReadyError(
            f"{what} has no size yet: the program that creates it is not ready, or died "
            "before it was; in that case unlink it",
            name=name,
        )
    if code == errno.EILSEQ:
        return errors.ForeignError(
            f"{what} is not a plain file (it is a link, directory, FIFO, socket or device), "
            "so it cannot be mapped",
            name=name,
        )
    return general(error, f"opening {what}", name)


def creating(
    error: OSError, what: str, name: str | None, size: int, directory: bytes
) -> errors.IsthmusError:
    """Why something could not be made in `directory`."""
    code = error.errno
    if code == errno.EEXIST:
        return errors.ExistsError(
            f"{what} exists already; attach to it, choose another name, or unlink the old one",
            name=name,
        )
    folder = os.fsdecode(directory)
    if code in (errno.ENOSPC, errno.EDQUOT):
        found = os.statvfs(directory)
        available = found.f_bavail * found.f_frsize
        left = f"{size_text(available)} left of {size_text(found.f_blocks * found.f_frsize)}"
        if found.f_files and not found.f_favail:
            left += f", and no inode of {found.f_files}"
        return errors.NoSpaceError(
            f"{what} needs {size_text(size)} and {folder} has {left}; remove what is not needed "
            "or make that file system larger",
            name=name,
            errno=code,
            wanted=size,
            available=available,
        )
    if code == errno.ENOMEM:
        return no_memory(what, name, size)
    if code == errno.EFBIG:
        return larger_than_files(what, name, size, folder)
    if code == errno.ENOENT:
        return errors.NotFoundError(f"there is no directory {folder!r} for {what}", name=name)
    if code == errno.EROFS:
        return _read_only(f"{what} may not be created in {folder}", name)
    if code in (errno.EACCES, errno.EPERM):
        return errors.AccessError(
            f"{user_text(os.geteuid())} may not create {what} in {folder}, or not give it "
            "this owner or group, or that file system has no links",
            name=name,
            errno=code,
        )
    return general(error, f"creating {what}", name)


def growing(error: OSError, what: str, name: str | None, size: int, fd: int) -> errors.IsthmusError:
    """Why something that is open as `fd` could not be made larger, or its pages not be reserved."""
    code = error.errno
    if code in (errno.ENOSPC, errno.EDQUOT):
        found = os.fstatvfs(fd)
        available = found.f_bavail * found.f_frsize
        return errors.NoSpaceError(
            f"{what} cannot have all of {size_text(size)}: its file system has "
            f"{size_text(available)} left; it keeps the size it had",
            name=name,
            errno=code,
            wanted=size,
            available=available,
        )
    if code == errno.ENOMEM:
        return no_memory(what, name, size)
    if code == errno.EPERM:
        return errors.SealedError(f"{what} is sealed against changing its size", name=name)
    return general(error, f"resizing {what}", name)


def no_memory(what: str, name: str | None, size: int) -> errors.IsthmusError:
    """Why there was not enough memory: the host has too little left, or this process may not."""
    available = _memory_left()
    if available is None or available >= size:
        return general(OSError(errno.ENOMEM, ""), f"mapping {size_text(size)} of {what}", name)
    return errors.NoSpaceError(
        f"{what} needs {size_text(size)} and this host has {size_text(available)} of memory "
        "left; using more would make the kernel kill processes",
        name=name,
        errno=errno.ENOMEM,
        wanted=size,
        available=available,
    )


def sealing(error: OSError, what: str, name: str | None, *, possible: bool) -> errors.IsthmusError:
    """Why a seal could not be set; `possible`: whether this kind of object takes any."""
    if error.errno == errno.EBUSY:
        return errors.SealedError(
            f"{what} cannot be sealed against writing while a writable mapping of it exists; "
            'use "future_write", or close those first',
            name=name,
        )
    if error.errno == errno.EPERM and possible:
        return errors.SealedError(f"{what} takes no further seals from this handle", name=name)
    if error.errno in (errno.EINVAL, errno.EPERM):
        return errors.UnsupportedError(f"{what} cannot be sealed; anonymous ones can", name=name)
    return general(error, f"sealing {what}", name)


def _memory_left() -> int | None:
    """Bytes that the host can give to a process; None where it does not tell."""
    import re

    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            found = dict(re.findall(r"^(\w+): +(\d+) kB$", file.read(), re.MULTILINE))
    except OSError:
        return None
    return 1024 * (int(found.get("MemAvailable", 0)) + int(found.get("SwapFree", 0)))


def unlinking(error: OSError, what: str, name: str | None) -> errors.IsthmusError:
    """Why a name could not be removed."""
    if error.errno == errno.ENOENT:
        return errors.NotFoundError(f"{what} has been unlinked already", name=name)
    if error.errno == errno.ESTALE:
        return errors.ReplacedError(
            f"the name of {what} stands for another object by now, which was left alone", name=name
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return errors.AccessError(
            f"{user_text(os.geteuid())} may not unlink {what}", name=name, errno=error.errno
        )
    return general(error, f"unlinking {what}", name)


def locking(error: OSError, what: str, name: str | None, size: int) -> errors.IsthmusError:
    """Why memory could not be locked."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return errors.SystemCallError(
        f"{size_text(size)} of {what} could not be locked into memory "
        f"({os.strerror(error.errno or 0)}); the limit for this process is {size_text(soft)} "
        "(ulimit -l)",
        name=name,
        errno=error.errno,
    )


def checking(error: OSError, what: str, name: str | None, kind: str) -> errors.IsthmusError:
    """Why the bytes under a name are not the typed object `kind` (with its article)."""
    reasons: dict[int, tuple[type[errors.IsthmusError], str]] = {
        errno.EAGAIN: (
            errors.NotReadyError,
            "is still being made, or its creator died meanwhile; in that case unlink it",
        ),
        errno.EILSEQ: (
            errors.ForeignError,
            "was not made by isthmus: its first bytes are not our header; "
            "use Segment.attach for raw memory",
        ),
        errno.EPROTONOSUPPORT: (
            errors.VersionError,
            "was written by a version of isthmus with another format; "
            "use the same version in all processes",
        ),
        errno.EPROTO: (
            errors.LayoutError,
            "was written by a build with another layout; "
            "use builds for the same architecture in all processes",
        ),
        errno.EPROTOTYPE: (errors.KindError, f"is not {kind}"),
        errno.ENODATA: (
            errors.TruncatedError,
            "is shorter than its header says: somebody has cut it off; unlink it",
        ),
        errno.EBADMSG: (
            errors.CorruptError,
            "has a header that contradicts itself: something wrote over it; unlink it",
        ),
    }
    if error.errno not in reasons:
        return general(error, f"checking {what}", name)
    cls, text = reasons[error.errno]
    return cls(f"{what} {text}", name=name)


def another_kind(what: str, name: str | None, kind: str, found: str | None) -> errors.KindError:
    """`kind` (with its article) was asked for; `found`, if known, is what is there."""
    there = "an object of another kind" if found is None else f"of the kind {found!r}"
    return errors.KindError(f"{what} is {there}, not {kind}", name=name)


def too_large(what: str, name: str | None, shape: tuple[int, ...], dtype: str) -> errors.SizeError:
    """A shape whose bytes cannot even be counted in 63 bits."""
    return errors.SizeError(
        f"{what} of shape {shape} and {dtype} is larger than a 64-bit system can address",
        name=name,
        errno=errno.EFBIG,
    )


def larger_than_files(
    what: str, name: str | None, size: int, folder: str = "memory"
) -> errors.SizeError:
    """More than the system, `folder` or the limits of this process let a file have."""
    return errors.SizeError(
        f"{what} cannot have {size_text(size)}: more than the largest file "
        f"({folder}, or the limit on file sizes: ulimit -f)",
        name=name,
        errno=errno.EFBIG,
    )


def name_too_long(name: str, encoded: bytes) -> errors.NameInvalidError:
    """A users' name that does not fit into a file name."""
    return errors.NameInvalidError(
        f"the name {name[:40]!r}… has {len(encoded)} bytes; at most 247 fit, and each slash, "
        "percent sign and control character counts as three",
        name=name,
    )


def _read_only(what: str, name: str | None) -> errors.AccessError:
    return errors.AccessError(
        f"{what}: its file system is mounted read-only", name=name, errno=errno.EROFS
    )


def general(error: OSError, doing: str, name: str | None) -> errors.IsthmusError:
    """The system's own words, with what was being done to what."""
    code = error.errno or 0
    hints = {
        errno.EMFILE: "; this process has too many open files (ulimit -n)",
        errno.ENFILE: "; the system has too many open files",
        errno.ENOMEM: "; no address space (ulimit -v), or too many mappings, for this process",
    }
    return errors.SystemCallError(
        f"{doing} failed: {os.strerror(code)}{hints.get(code, '')}", name=name, errno=code
    )


def _looked_up(path: bytes, tell: Callable[[os.stat_result], str]) -> str:
    try:
        return tell(os.lstat(path))
    except OSError:
        return "unknown by now"


def _owner_of(path: bytes) -> str:
    return _looked_up(path, lambda found: user_text(found.st_uid))


def _mode_of(path: bytes) -> str:
    return _looked_up(path, lambda found: f"{found.st_mode & 0o7777:#o}")
