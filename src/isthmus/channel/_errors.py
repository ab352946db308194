"""What channels raise that nothing else does."""

from __future__ import annotations

import errno as _errno

from isthmus.errors import AccessError, FormatError, IsthmusError


class TimedOut(IsthmusError, TimeoutError):
    """Nothing came, or went, in time. The channel is as good as before.

    Attributes:
        begun: the message that was to be sent has gone in part. The rest is kept, and goes before
            the next one; so it is not to be sent again.
        done: of several messages, how many were sent.
    """

    _default_errno = _errno.ETIMEDOUT
    begun: bool = False
    done: int = 0


class EndOfChannel(IsthmusError, EOFError):
    """The other end has been closed, or its process has ended, and nothing is left to receive."""

    _default_errno = _errno.ENODATA


class PeerGoneError(IsthmusError, BrokenPipeError):
    """Nobody can receive it any more: the other end was closed, or its process has ended."""

    _default_errno = _errno.EPIPE


class ProtocolError(FormatError):
    """What the other side sent is no message: it is not a channel, or it is broken.

    The channel has been closed.
    """

    _default_errno = _errno.EBADMSG


class AuthenticationError(AccessError):
    """The other side does not have the same key."""

    _default_errno = _errno.EACCES


class NotListeningError(IsthmusError, ConnectionRefusedError):
    """Nobody listens there, or nobody did in time."""

    _default_errno = _errno.ECONNREFUSED
