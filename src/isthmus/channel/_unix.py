"""Unix stream sockets."""

from __future__ import annotations

import socket

from isthmus.channel import _address
from isthmus.channel._base import Channel, Listener
from isthmus.channel._forms import Form
from isthmus.channel._frames import LIMIT, StreamChannel
from isthmus.channel._key import asked
from isthmus.channel._sockets import (
    SocketListener,
    UnixPlace,
    connected,
    end_of,
    peer_of,
    unix_attempt,
)

LISTEN = frozenset({"mode", "key", "limit", "backlog"})
CONNECT = frozenset({"key", "limit"})
PAIR = frozenset({"limit"})


class UnixChannel(StreamChannel):
    """A connection of Unix stream sockets."""

    form = "unix"

    def __init__(self, url: str, sock: socket.socket, limit: int) -> None:
        self._peer = peer_of(sock)
        descriptor = sock.detach()
        super().__init__(url, descriptor, descriptor, limit)

    @property
    def peer(self) -> str | None:
        return self._peer

    @classmethod
    def _again(cls, url: str, source: int, sink: int, limit: int) -> UnixChannel:
        return cls(url, socket.socket(fileno=source), limit)


def facts() -> Form:
    return Form(
        name="unix",
        title="Unix socket",
        reach="host",
        joins="any process that may write to the socket's file",
        connections=True,
        notices_death=True,
        random_access=False,
        keeps="nothing",
        largest=LIMIT,
        order="as sent, in each direction",
        permissions="mode and owner of the file, of its directory; key",
        url="unix:/path",
    )


def listen(
    where: str, mode: int = 0o600, key: bytes | None = None, limit: int = LIMIT, backlog: int = 128
) -> Listener:
    url = f"unix:{_address.quoted(where)}"
    place = UnixPlace(where, socket.SOCK_STREAM, mode, backlog, url)
    return SocketListener(url, place.socket, lambda sock: UnixChannel(url, sock, limit), key, place)


def connect(
    where: str, timeout: float | None, key: bytes | None = None, limit: int = LIMIT
) -> Channel:
    url = f"unix:{_address.quoted(where)}"
    end = end_of(timeout)
    sock = connected(unix_attempt(where, socket.SOCK_STREAM), url, timeout)
    return asked(UnixChannel(url, sock, limit), key, end)


def pair(limit: int = LIMIT) -> tuple[Channel, Channel]:
    one, other = socket.socketpair()
    one.setblocking(False)
    other.setblocking(False)
    return UnixChannel("unix:", one, limit), UnixChannel("unix:", other, limit)
