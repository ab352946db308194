"""Unix sockets whose messages the kernel keeps apart.

An empty message and the end look the same to `recv`. So credentials are asked for with each
message (`SO_PASSCRED`): the end comes without.

A message is with the receiver whole or not at all, whoever is killed when.
"""

from __future__ import annotations

import errno
import select
import socket

from isthmus._ring_errors import MessageTooLargeError
from isthmus.channel import _address
from isthmus.channel._base import Channel, Listener
from isthmus.channel._errors import EndOfChannel, PeerGoneError, ProtocolError
from isthmus.channel._forms import Form
from isthmus.channel._key import asked
from isthmus.channel._sockets import (
    SocketListener,
    UnixPlace,
    connected,
    end_of,
    peer_of,
    unix_attempt,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LISTEN = frozenset({"mode", "key", "backlog"})
CONNECT = frozenset({"key"})
PAIR: frozenset[str] = frozenset()

# Of a message that others may send, who have asked for larger buffers. Here nobody does: the
# kernel wants most of a message in one piece of memory, which may not be there.
_ROOM = 1 << 20
# What the kernel keeps of it for itself.
_OVERHEAD = 32
# Room for the credentials and nothing else: descriptors that come along are closed by the kernel.
_CREDENTIALS = socket.CMSG_SPACE(12)
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)


class SeqpacketChannel(Channel):
    """A connection of Unix sockets of the type SOCK_SEQPACKET."""

    form = "seqpacket"

    def __init__(self, url: str, sock: socket.socket) -> None:
        self._socket = sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._largest = _largest(sock)
        # The system gives its pages when they are used.
        self._limit = self._room = max(self._largest, _ROOM)
        self._buffer: memoryview | None = None
        self._peer = peer_of(sock)
        super().__init__(url)

    @property
    def peer(self) -> str | None:
        return self._peer

    @property
    def largest(self) -> int:
        return self._largest

    def _in(self) -> tuple[int, int]:
        return self._socket.fileno(), select.POLLIN

    def _out(self) -> tuple[int, int]:
        return self._socket.fileno(), select.POLLOUT

    def _release(self) -> None:
        self._socket.close()

    def _begin(self, data: memoryview | bytes) -> object:
        if len(data) > self._largest:
            raise MessageTooLargeError(
                f"a message of {len(data)} bytes is more than {self._largest}, which is what "
                "net.core.wmem_default of this system allows; use unix:, or send it in pieces",
                name=self._url, size=len(data), capacity=self._largest,
            )  # fmt: skip
        return data

    def _try_send(self, message: memoryview | bytes) -> bool | None:
        try:
            self._socket.send(message)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in _GONE:
                raise PeerGoneError(
                    f"nobody receives on {self!r} any more", name=self._url
                ) from None
            raise
        return True

    def _try_recv(self) -> bytes | None:
        buffer = self._buffer
        if buffer is None:
            buffer = self._buffer = memoryview(bytearray(self._room))
        size = self._try_recv_into(buffer)
        return None if size is None else bytes(buffer[:size])

    def _try_recv_into(self, view: memoryview) -> int | None:
        if not len(view):
            # `socket` asks the system for nothing then, and a message would look like garbage.
            return super()._try_recv_into(view)
        if len(view) < self._room:
            # A message that does not fit would be cut off: so look first.
            try:
                size = self._socket.recv_into(view, 0, socket.MSG_PEEK | socket.MSG_TRUNC)
            except BlockingIOError:
                return None
            except OSError:
                size = 0  # the call below says what it is
            if size > len(view):
                self._held = self._try_recv()
                raise self._too_long(size, len(view))
        try:
            size, credentials, flags, _ = self._socket.recvmsg_into([view], _CREDENTIALS)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in _GONE:
                raise self._end() from None
            raise
        if not size and not credentials:
            raise self._end()
        if flags & socket.MSG_TRUNC or size > self._limit:
            self.close()
            raise ProtocolError(
                f"{self!r} got a message of more than {self._limit} bytes; closed", name=self._url
            )
        return size

    def _end(self) -> EndOfChannel:
        return EndOfChannel(f"the other end of {self!r} is closed", name=self._url)

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing.reduction import DupFd

        self._check()
        if self._held is not None:
            raise TypeError(f"{self!r} has a message left; it cannot be passed on")
        return _passed, (self._url, DupFd(self._socket.fileno()))


def _passed(url: str, passed: Any) -> SeqpacketChannel:
    return SeqpacketChannel(url, socket.socket(fileno=passed.detach()))


def _largest(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) - _OVERHEAD


def facts() -> Form:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        largest = _largest(sock)
    return Form(
        name="seqpacket",
        title="Unix socket of packets",
        reach="host",
        joins="any process that may write to the socket's file",
        connections=True,
        notices_death=True,
        random_access=False,
        keeps="nothing",
        largest=largest,
        order="as sent, in each direction",
        permissions="mode and owner of the file, of its directory; key",
        url="seqpacket:/path",
    )


def listen(where: str, mode: int = 0o600, key: bytes | None = None, backlog: int = 128) -> Listener:
    url = f"seqpacket:{_address.quoted(where)}"
    place = UnixPlace(where, socket.SOCK_SEQPACKET, mode, backlog, url)
    return SocketListener(url, place.socket, lambda sock: SeqpacketChannel(url, sock), key, place)


def connect(where: str, timeout: float | None, key: bytes | None = None) -> Channel:
    url = f"seqpacket:{_address.quoted(where)}"
    end = end_of(timeout)
    sock = connected(unix_attempt(where, socket.SOCK_SEQPACKET), url, timeout)
    return asked(SeqpacketChannel(url, sock), key, end)


def pair() -> tuple[Channel, Channel]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one.setblocking(False)
    other.setblocking(False)
    return SeqpacketChannel("seqpacket:", one), SeqpacketChannel("seqpacket:", other)
