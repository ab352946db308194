"""What can go wrong, one class for each outcome.

Every class derives from `IsthmusError` and from the built-in exception that
callers expect, so ``except FileNotFoundError`` works as well as
``except isthmus.NotFoundError``. Each carries ``errno`` and ``name``, and its text
says what happened, to which object, and what to do next.
"""

from __future__ import annotations

import errno as _errno
import io as _io

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class IsthmusError(Exception):
    """Base of all errors of this package.

    Attributes:
        errno: the error number, as in the `errno` module.
        name: the object that it is about, as its user calls it, or None.
    """

    _default_errno = _errno.EINVAL

    if TYPE_CHECKING:
        errno: int | None
        name: str | None

    def __init__(
        self, message: str, *, name: str | None = None, errno: int | None = None, **details: Any
    ) -> None:
        number = self._default_errno if errno is None else errno
        if isinstance(self, OSError):
            # The C struct of OSError has its own errno and filename; fill those.
            OSError.__init__(self, number, message, name)
        else:
            Exception.__init__(self, message)
            self.errno = number
        self.name = name
        self._message = message
        self._details = details
        for key, value in details.items():
            setattr(self, key, value)

    def __str__(self) -> str:
        return self._message

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions travel between processes; by default they are rebuilt from args, which
        # OSError keeps in a form of its own.
        arguments = {"name": self.name, "errno": self.errno, **self._details}
        return _rebuild, (type(self), self._message, arguments)


def _rebuild(kind: type[IsthmusError], message: str, arguments: dict[str, Any]) -> IsthmusError:
    return kind(message, **arguments)


class ArgumentError(IsthmusError, ValueError):
    """An argument is of the right type and makes no sense."""


class NameInvalidError(ArgumentError):
    """Not a name that an object can have: empty, too long, a slash or NUL inside."""


class SizeError(ArgumentError):
    """A size, offset or length is zero, negative, too large or outside the object."""


class ClosedError(IsthmusError, ValueError):
    """The handle has been closed."""

    _default_errno = _errno.EBADF


class InUseError(IsthmusError, BufferError):
    """Something made from the memory is still alive."""

    _default_errno = _errno.EBUSY


class ExistsError(IsthmusError, FileExistsError):
    """Something of this name is there already."""

    _default_errno = _errno.EEXIST


class NotFoundError(IsthmusError, FileNotFoundError):
    """Nothing of this name is there."""

    _default_errno = _errno.ENOENT


class ReplacedError(NotFoundError):
    """The name now stands for another object than the one at hand, which was left alone."""

    _default_errno = _errno.ESTALE


class AccessError(IsthmusError, PermissionError):
    """The system or the mode bits forbid it."""

    _default_errno = _errno.EACCES


class OwnerError(AccessError):
    """The object belongs to a user that ``owner=`` does not name."""

    _default_errno = _errno.EPERM


class SealedError(AccessError):
    """A seal on the memory object forbids it."""

    _default_errno = _errno.EPERM


class NoSpaceError(IsthmusError, OSError):
    """The file system of the object is full.

    Attributes:
        wanted: bytes that were asked for.
        available: bytes that were free when the request had failed.
    """

    _default_errno = _errno.ENOSPC

    if TYPE_CHECKING:
        wanted: int
        available: int


class NotReadyError(IsthmusError, BlockingIOError):
    """The object is still being made by its creator, or its creator died while making it."""

    _default_errno = _errno.EAGAIN


class UnsupportedError(IsthmusError, _io.UnsupportedOperation):
    """This kind of object, or this system, cannot do that."""

    _default_errno = _errno.ENOTSUP


class SystemCallError(IsthmusError, OSError):
    """The system refused for a reason that has no class of its own; see ``errno``."""


class FormatError(IsthmusError, ValueError):
    """What lies under the name is not what was asked for. Base of the following ones."""

    _default_errno = _errno.EBADMSG


class ForeignError(FormatError):
    """Not an object of this library, or not a plain shared memory object at all."""

    _default_errno = _errno.EILSEQ


class VersionError(FormatError):
    """Written by a version of isthmus with another format."""

    _default_errno = _errno.EPROTONOSUPPORT


class LayoutError(FormatError):
    """The same format version with other offsets: a build for another architecture."""

    _default_errno = _errno.EPROTO


class KindError(FormatError):
    """An object of this library, of another kind."""

    _default_errno = _errno.EPROTOTYPE


class TruncatedError(FormatError):
    """Shorter than its own header says."""

    _default_errno = _errno.ENODATA


class CorruptError(FormatError):
    """Its header contradicts itself."""


class MismatchError(FormatError):
    """It exists with another size, shape or dtype than asked for."""


class NotHeldError(IsthmusError, RuntimeError, ValueError):
    """Released, or used in a way that needs it held, by one that does not hold it.

    A RuntimeError as in `threading`, a ValueError as in `multiprocessing`.
    """

    _default_errno = _errno.EPERM


class TooManyPermitsError(IsthmusError, ValueError):
    """A semaphore released more often than it may be; nothing was given back."""

    _default_errno = _errno.EOVERFLOW


class TooManyParticipantsError(IsthmusError, RuntimeError):
    """As many handles are open as there is room for: `participants=` at creation.

    Attributes:
        room: how many there is room for; None when not known.
        in_use: how many of them living handles have.
    """

    _default_errno = _errno.EUSERS

    if TYPE_CHECKING:
        room: int | None
        in_use: int | None


class OwnerDied(IsthmusError, RuntimeError):
    """The lock was taken from an owner that died holding it, and is *held* now.

    What it protects may be half done. Whoever catches this repairs it, and releases `lock`;
    if it cannot be repaired, `lock.abandon()` tells the next one, too. See `on_owner_death`.

    Attributes:
        lock: the lock, held; None in a copy that came from another process.
    """

    _default_errno = _errno.EOWNERDEAD

    if TYPE_CHECKING:
        lock: Any

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy of the handle would not be the one that holds it.
        return _rebuild, (
            type(self),
            self._message,
            {"name": self.name, "errno": self.errno, "lock": None},
        )


class OwnerDiedWarning(RuntimeWarning):
    """A lock was taken from an owner that died holding it; what it protects may be half done."""
