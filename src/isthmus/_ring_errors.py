"""What queues and topics raise that nothing else does."""

from __future__ import annotations

import errno as _errno
import queue as _queue

from isthmus.errors import AccessError, CorruptError, IsthmusError, SizeError

TYPE_CHECKING = False
if TYPE_CHECKING:

    class _ShutDown(Exception):
        """What Python 3.13 and later have as `queue.ShutDown`."""

else:
    _ShutDown = getattr(_queue, "ShutDown", Exception)


class Full(IsthmusError, _queue.Full):
    """There was no room for a message in time. Also a `queue.Full`.

    Attributes:
        done: of several messages, how many were put, the first ones.
    """

    _default_errno = _errno.EAGAIN

    if TYPE_CHECKING:
        done: int


class Empty(IsthmusError, _queue.Empty):
    """There was no message in time. Also a `queue.Empty`."""

    _default_errno = _errno.EAGAIN


class ShutDown(IsthmusError, _ShutDown):
    """The queue has been shut down. Also a `queue.ShutDown`, where Python has that (3.13).

    Attributes:
        done: of several messages, how many were put, the first ones.
    """

    _default_errno = _errno.ESHUTDOWN

    if TYPE_CHECKING:
        done: int


class MessageTooLargeError(SizeError):
    """A message that would not fit even if nothing else were there.

    Attributes:
        size: bytes that it takes, with its header.
        capacity: bytes that there are.
    """

    _default_errno = _errno.EMSGSIZE

    if TYPE_CHECKING:
        size: int
        capacity: int


class RecordError(CorruptError):
    """A message contradicts itself: something wrote over it, or a program that put it is wrong.

    Attributes:
        number: how many messages were put before it; None when that cannot be told.
        position: where its record begins, as a cursor; None likewise.
    """

    if TYPE_CHECKING:
        number: int | None
        position: int | None


class UntrustedPickleError(AccessError):
    """A pickle that another user could have written, and which could run any code when read.

    Attributes:
        number: how many messages were put before it.
    """

    _default_errno = _errno.EPERM

    if TYPE_CHECKING:
        number: int


class LeaseError(IsthmusError, ValueError):
    """A lease that is used again when it has been settled."""


class LeaseLostError(LeaseError):
    """A lease that is no longer this handle's; its message may be delivered once more."""

    _default_errno = _errno.ESTALE


# What users see in a traceback is where they find them.
for _error in (
    Full,
    Empty,
    ShutDown,
    MessageTooLargeError,
    RecordError,
    UntrustedPickleError,
    LeaseError,
    LeaseLostError,
):
    _error.__module__ = "isthmus"
