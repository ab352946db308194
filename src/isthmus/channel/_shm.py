"""Shared memory: how to get to it. What a connection is: see `_shm_channel`."""

from __future__ import annotations

import os
import socket

from isthmus import _arguments
from isthmus._core import memory
from isthmus.channel import _address
from isthmus.channel._base import Channel, Listener
from isthmus.channel._forms import Form
from isthmus.channel._frames import LIMIT
from isthmus.channel._shm_channel import ShmChannel, reopened
from isthmus.channel._sockets import SocketListener, UnixPlace, connected, unix_attempt
from isthmus.errors import NameInvalidError
from isthmus.queue import Queue

LISTEN = frozenset({"mode", "limit", "backlog", "spin"})
CONNECT = frozenset({"limit", "capacity", "spin"})
PAIR = frozenset({"limit", "capacity", "spin"})

CAPACITY = 1 << 20
# Handles to one ring at once: those of both ends, and of children that inherit them.
_PARTICIPANTS = 64
# Where names are: on the file system of shared memory, which containers may have in common.
_PREFIX = "/dev/shm/isthmus-channel."
# Of the path of a Unix socket, what that leaves.
_NAME_MAX = 107 - len(_PREFIX)


def _rings(capacity: int, spin: float | None) -> tuple[Queue, Queue]:
    def made() -> Queue:
        return Queue(capacity=capacity, participants=_PARTICIPANTS, spin=spin, allow_pickle=False)

    return made(), made()


def _path(where: str) -> str:
    """The file of the socket, named as an object of this library would be, but for the prefix."""
    encoded = os.fsencode(_arguments.name(where))
    if len(encoded) <= _NAME_MAX:
        escaped = os.fsdecode(memory.escape(encoded)).removeprefix("isthmus.")
        if len(os.fsencode(escaped)) <= _NAME_MAX:
            return _PREFIX + escaped
    raise NameInvalidError(
        f"the name of a shm: channel may have {_NAME_MAX} bytes, a slash counting "
        f"for three: {where[:40]!r}…",
        name=where,
    )


def facts() -> Form:
    return Form(
        name="shm",
        title="shared memory",
        reach="host",
        joins="any process with the name and the right",
        connections=True,
        notices_death=True,
        random_access=False,
        keeps="nothing",
        largest=LIMIT,
        order="as sent, in each direction",
        permissions="mode and owner of the name",
        url="shm:NAME",
    )


def listen(
    where: str,
    mode: int = 0o600,
    limit: int = LIMIT,
    backlog: int = 128,
    spin: float | None = None,
) -> Listener:
    url = f"shm:{_address.quoted(where)}"
    place = UnixPlace(_path(where), socket.SOCK_STREAM, mode, backlog, url)
    return SocketListener(
        url, place.socket, lambda sock: ShmChannel(url, sock, limit, spin, None), None, place
    )


def connect(
    where: str,
    timeout: float | None,
    limit: int = LIMIT,
    capacity: int = CAPACITY,
    spin: float | None = None,
) -> Channel:
    url = f"shm:{_address.quoted(where)}"
    sock = connected(unix_attempt(_path(where), socket.SOCK_STREAM), url, timeout)
    try:
        there, back = _rings(capacity, spin)
        try:
            socket.send_fds(sock, [b"\0"], [there._fileno(), back._fileno()])
        except BrokenPipeError:
            pass  # it has gone already; the first use of the channel says so
        return ShmChannel(url, sock, limit, spin, (back, there))
    except BaseException:
        sock.close()
        raise


def pair(
    limit: int = LIMIT, capacity: int = CAPACITY, spin: float | None = None
) -> tuple[Channel, Channel]:
    there, back = _rings(capacity, spin)
    one, other = socket.socketpair()
    try:
        one.setblocking(False)
        other.setblocking(False)
        # Each end has handles of its own: closing one does not close the other's.
        again = reopened(back._fileno(), spin), reopened(there._fileno(), spin)
        return (
            ShmChannel("shm:", one, limit, spin, (back, there)),
            ShmChannel("shm:", other, limit, spin, (again[1], again[0])),
        )
    except BaseException:
        one.close()
        other.close()
        raise
