"""TCP over IPv4 and IPv6.

A host that is cut off, or loses its power, closes nothing. The kernel asks an idle one after a
while (keepalive). It does not while sent data has not been acknowledged, and then gives up only
after a quarter of an hour; so whoever waits here looks now and then how long nothing was heard.
`TCP_USER_TIMEOUT` is not what that takes: it also ends the connection to one that is well and only
slow, when its window is closed for as long.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from time import monotonic

from isthmus.channel import _address
from isthmus.channel._base import Channel, Listener
from isthmus.channel._errors import EndOfChannel, PeerGoneError
from isthmus.channel._forms import Form
from isthmus.channel._frames import LIMIT, StreamChannel
from isthmus.channel._key import asked
from isthmus.channel._sockets import (
    SocketListener,
    connected,
    end_of,
    tcp_attempt,
    tcp_listening,
    tcp_where,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LISTEN = frozenset({"key", "limit", "backlog", "keepalive"})
CONNECT = frozenset({"key", "limit", "keepalive"})
PAIR = frozenset({"limit", "keepalive"})

KEEPALIVE = 30.0
# Of tcp_info: what is not acknowledged yet, in segments; when the last was, in milliseconds.
_UNACKED = struct.Struct("=24xI")
_LAST_ACK = struct.Struct("=56xI")
_INFO_SIZE = 104
# What is thrown away at once at the end, and how often: more than any buffer holds.
_UNREAD, _READS = 1 << 20, 64


class TcpChannel(StreamChannel):
    """A TCP connection."""

    form = "tcp"

    def __init__(self, url: str, sock: socket.socket, limit: int, keepalive: float) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # Three questions without an answer, in the second half of the time.
        idle, between = max(1, round(keepalive / 2)), max(1, round(keepalive / 6))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, min(idle, 32767))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, min(between, 32767))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        self._keepalive = keepalive
        self._looked = monotonic()
        self._peer = tcp_where(sock.getpeername())
        descriptor = sock.detach()
        super().__init__(url, descriptor, descriptor, limit)

    @property
    def peer(self) -> str | None:
        return self._peer

    def _kept(self) -> tuple[Any, ...]:
        self._shared = True
        return (self._keepalive,)

    @classmethod
    def _again(
        cls, url: str, source: int, sink: int, limit: int, keepalive: float = KEEPALIVE
    ) -> TcpChannel:
        made = cls(url, socket.socket(fileno=source), limit, keepalive)
        made._shared = True
        return made

    def _release(self) -> None:
        # The system drops what is still to be sent when there is something left to be read. But
        # that is not ours to read when it may be for another process.
        try:
            for _ in range(0 if self._shared else _READS):
                if not os.read(self._source, _UNREAD):
                    break
        except OSError:
            pass  # nothing is left, or nobody is there
        super()._release()

    def _nap(self, side: tuple[int, int]) -> float | None:
        """Also looks, now and then, whether the other host is still to be heard."""
        now = monotonic()
        if now - self._looked > self._keepalive / 3:
            self._looked = now
            if self._silent():
                kind = EndOfChannel if side[1] == select.POLLIN else PeerGoneError
                raise kind(
                    f"nothing was heard of the other host of {self!r} for {self._keepalive:g} "
                    "seconds",
                    name=self._url,
                )
        return self._keepalive / 3

    def _silent(self) -> bool:
        """Whether something that was sent has not been acknowledged for so long."""
        # A copy, so that no second owner closes the descriptor.
        with socket.socket(fileno=os.dup(self._source)) as sock:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_SIZE)
        (unacked,) = _UNACKED.unpack_from(info)
        (last,) = _LAST_ACK.unpack_from(info)
        return bool(unacked > 0 and last > self._keepalive * 1000)


def facts() -> Form:
    return Form(
        name="tcp",
        title="TCP socket",
        reach="network",
        joins="anyone who can connect to the port",
        connections=True,
        notices_death=True,
        random_access=False,
        keeps="nothing",
        largest=LIMIT,
        order="as sent, in each direction",
        permissions="key; what the network lets through",
        url="tcp:HOST:PORT",
    )


def listen(
    where: str,
    key: bytes | None = None,
    limit: int = LIMIT,
    backlog: int = 128,
    keepalive: float = KEEPALIVE,
) -> Listener:
    sock = tcp_listening(where, backlog, f"tcp:{where}")
    # With the port that it has got, if it was to be any.
    url = f"tcp:{tcp_where(sock.getsockname())}"
    return SocketListener(url, sock, lambda each: TcpChannel(url, each, limit, keepalive), key)


def connect(
    where: str,
    timeout: float | None,
    key: bytes | None = None,
    limit: int = LIMIT,
    keepalive: float = KEEPALIVE,
) -> Channel:
    url = f"tcp:{_address.quoted(where)}"
    end = end_of(timeout)
    sock = connected(tcp_attempt(where), url, timeout)
    return asked(TcpChannel(url, sock, limit, keepalive), key, end)


def pair(limit: int = LIMIT, keepalive: float = KEEPALIVE) -> tuple[Channel, Channel]:
    with listen("127.0.0.1:0", None, limit, 1, keepalive) as listener:
        one = connect(listener.url.partition(":")[2], None, None, limit, keepalive)
        try:
            return one, listener.accept(10)
        except BaseException:
            one.close()
            raise
