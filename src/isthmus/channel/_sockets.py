"""Listening and connecting by sockets: what unix, seqpacket, tcp and shm have in common."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import stat
import struct
from time import monotonic, sleep

from isthmus.channel._base import Listener
from isthmus.channel._errors import NotListeningError
from isthmus.channel._key import Doorman
from isthmus.channel._patience import pause_for
from isthmus.channel._waiting import deadline_of
from isthmus.errors import AccessError, ArgumentError, ExistsError, InUseError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from isthmus.channel._base import Channel

_UCRED = struct.Struct("3i")
_PATH_MAX = 107
# Between two attempts to connect to somebody who is not there yet: seconds, and then twice that.
_FIRST_PAUSE, _LAST_PAUSE = 0.001, 0.05
# For a listener that lives and has no room just now, or a directory that is locked.
_PATIENCE = 1.0
# A host that does not answer at all.
_HOST_PATIENCE = 10.0
# What asking a socket for its peer says when that has gone already.
_LEFT = (errno.ENOTCONN, errno.ECONNRESET, errno.EINVAL)


def peer_of(sock: socket.socket) -> str | None:
    """Who is at the other end of a Unix socket, for people."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _ = _UCRED.unpack(raw)
    # 0: it lives in another container, from where it cannot be named here.
    return f"pid {pid}, uid {uid}" if pid else f"uid {uid}"


class SocketListener(Listener):
    """A socket that listens, and what makes a channel of each connection."""

    def __init__(
        self, url: str, sock: socket.socket, made: Callable[[socket.socket], Channel],
        key: bytes | None, place: UnixPlace | None = None,
    ) -> None:  # fmt: skip
        self._socket, self._made, self._place = sock, made, place
        self._doorman = None if key is None else Doorman(key, sock.fileno())
        self.form = url.partition(":")[0]  # type: ignore[misc]
        super().__init__(url)

    def _fresh_locks(self) -> None:
        super()._fresh_locks()
        if self._doorman is not None:
            self._doorman.fresh_lock()

    def _in(self) -> tuple[int, int]:
        if self._doorman is not None:
            return self._doorman.fileno(), select.POLLIN
        return self._socket.fileno(), select.POLLIN

    def _release(self) -> None:
        if self._place is not None:
            self._place.leave()
        self._socket.close()
        if self._doorman is not None:
            self._doorman.close()

    def _try_accept(self) -> Channel | None:
        doorman = self._doorman
        if doorman is None:
            return self._next()
        while doorman.has_room and (made := self._next()) is not None:
            doorman.receive(made)
        return doorman.admitted()

    def _next(self) -> Channel | None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except BlockingIOError:
                return None
            except ConnectionError:
                continue  # it came and went
            sock.setblocking(False)
            try:
                return self._made(sock)
            except OSError as error:
                sock.close()
                if error.errno not in _LEFT:
                    raise


def end_of(timeout: float | None) -> float | None:
    """When one who connects gives up whatever it is at; None: each step has a time of its own."""
    deadline = deadline_of(timeout)
    return deadline if timeout is not None and timeout > 0 else None


def connected(
    attempt: Callable[[float | None], socket.socket], url: str, timeout: float | None
) -> socket.socket:
    """What `attempt` makes as soon as it succeeds; while nobody listens, until the time is up.

    It is given the seconds that are left; None: what it takes, as no time was said.
    """
    deadline, end = deadline_of(timeout), end_of(timeout)
    # Not at all is not for one who listens, and has no room just now.
    patience = end if end is not None or deadline is None else monotonic() + _PATIENCE
    pause = _FIRST_PAUSE
    while True:
        try:
            sock = attempt(None if end is None else end - monotonic())
        except (ConnectionRefusedError, FileNotFoundError, BlockingIOError) as error:
            if isinstance(error, NotFoundError):
                raise  # the host
            limit = patience if isinstance(error, BlockingIOError) else deadline
            left = pause if limit is None else limit - monotonic()
            if left <= 0:
                raise NotListeningError(
                    f"nobody listens on {url}, or it has no room for more; "
                    "start that side first, or wait for it with timeout=",
                    name=url, errno=error.errno,
                ) from None  # fmt: skip
            pause_for(min(pause, left))
            pause = min(2 * pause, _LAST_PAUSE)
            continue
        except PermissionError as error:
            raise AccessError(
                f"{url} may not be used by this user; see its owner and mode",
                name=url, errno=error.errno,
            ) from None  # fmt: skip
        sock.setblocking(False)
        return sock


# ---- Unix ------------------------------------------------------------------------------


def unix_address(where: str) -> str:
    """A path or, after @, an abstract name, as the system takes it."""
    if not where or where == "@":
        raise ArgumentError("a Unix socket needs a path, or @ and a name")
    if len(os.fsencode(where)) > _PATH_MAX:
        raise ArgumentError(
            f"{where[:40]!r}… is too long for a Unix socket, which has {_PATH_MAX} bytes at most"
        )
    return "\0" + where[1:] if where[0] == "@" else where


def unix_attempt(where: str, kind: int) -> Callable[[float | None], socket.socket]:
    address = unix_address(where)

    def attempt(_: float | None) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, kind)
        try:
            sock.setblocking(False)
            sock.connect(address)
        except BaseException as error:
            sock.close()
            if isinstance(error, OSError) and error.errno == errno.EPROTOTYPE:
                raise ArgumentError(
                    f"{where} is a Unix socket of another type: unix: is for streams, "
                    "seqpacket: for packets",
                    name=where,
                ) from None
            raise
        return sock

    return attempt


class UnixPlace:
    """The name of a Unix socket that listens; it goes with the listener.

    Killed while it is bound: the file stays, and nothing answers there. The next one to listen
    notices that, and takes its place. Two who do so at the same time are kept apart by a lock on
    the directory, which the system releases at their death.
    """

    def __init__(self, where: str, kind: int, mode: int, backlog: int, url: str) -> None:
        self._address = unix_address(where)
        self._file: tuple[int, int] | None = None
        # Neither in a forked child: the file is the parent's.
        self._pid = os.getpid()
        self.socket = socket.socket(socket.AF_UNIX, kind)
        try:
            self.socket.setblocking(False)
            # Of the file to come, which is never more open than that.
            os.fchmod(self.socket.fileno(), mode)
            with _Locked(self._folder()):
                self._bind(url)
                if self._address[0] != "\0":
                    os.chmod(self._address, mode)
                    status = os.stat(self._address)
                    self._file = status.st_dev, status.st_ino
                self.socket.listen(backlog)
        except BaseException:
            self.leave()
            self.socket.close()
            raise

    def _folder(self) -> str | None:
        return None if self._address[0] == "\0" else os.path.dirname(self._address) or "."

    def _bind(self, url: str) -> None:
        try:
            try:
                self.socket.bind(self._address)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or self._address[0] == "\0":
                    raise
                self._clear(url)
                self.socket.bind(self._address)
        except PermissionError as error:
            raise AccessError(
                f"{url}: this user may not make a file there", name=url, errno=error.errno
            ) from None
        except FileNotFoundError:
            raise NotFoundError(f"{url}: there is no such directory", name=url) from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise _in_use(url) from None
            raise

    def _clear(self, url: str) -> None:
        """Remove what one who died has left; InUseError if somebody lives there."""
        # A datagram socket cannot connect to one that listens, and so does not disturb it.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(self._address)
            except ConnectionRefusedError:
                pass
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno != errno.EPROTOTYPE:
                    raise
                raise _in_use(url) from None
            else:
                raise _in_use(url)
        if not stat.S_ISSOCK(os.lstat(self._address).st_mode):
            raise ExistsError(f"{url}: a file is there that is no socket", name=url)
        os.unlink(self._address)

    def leave(self) -> None:
        """Remove the file, if it is still this one."""
        if self._file is None or self._pid != os.getpid():
            return
        file, self._file = self._file, None
        with _Locked(self._folder()):
            try:
                status = os.lstat(self._address)
                if (status.st_dev, status.st_ino) == file:
                    os.unlink(self._address)
            except OSError:
                pass  # somebody has removed it, or its directory, or made that read-only


def _in_use(url: str) -> InUseError:
    return InUseError(f"somebody listens on {url} already; choose another name", name=url)


class _Locked:
    """Holds a directory, against others who listen and clear away in it. It waits a second at most.

    Without it, since anybody who may read the directory can lock it, all is as well, but for two
    who clear away the same file at the same moment.
    """

    def __init__(self, folder: str | None) -> None:
        self._folder, self._descriptor = folder, -1

    def __enter__(self) -> None:
        if self._folder is None:
            return
        try:
            self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return  # a directory that may be written to and not read; bind says what else is wrong
        end = monotonic() + _PATIENCE
        while monotonic() < end:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                sleep(_FIRST_PAUSE)
            else:
                return

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


# ---- TCP -------------------------------------------------------------------------------


def tcp_address(where: str) -> tuple[str, int]:
    """Host and port: ``localhost:4000``, ``[::1]:4000``, ``*:4000`` (all of this host)."""
    host, colon, port = where.rpartition(":")
    good = port.isdecimal() and len(port) < 8 and int(port) <= 65535
    if not colon or not good or (":" in host and host[0] != "["):
        raise ArgumentError(
            f"{where[:80]!r} is no host and port; write HOST:PORT, or [ADDRESS]:PORT for IPv6"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def tcp_where(sockname: Any) -> str:
    host, port = sockname[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _no_host(host: str, error: Exception, name: str) -> NotFoundError:
    """UnicodeError: its name cannot be one, such as with two dots in a row."""
    why = error.strerror if isinstance(error, OSError) else "that is no name of a host"
    return NotFoundError(f"there is no host {host[:80]!r}: {why}", name=name)


def tcp_attempt(where: str) -> Callable[[float | None], socket.socket]:
    host, port = tcp_address(where)

    def attempt(left: float | None) -> socket.socket:
        patience = _HOST_PATIENCE if left is None else min(max(left, _FIRST_PAUSE), _HOST_PATIENCE)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return _first_of(found, monotonic() + patience)
        except (socket.gaierror, UnicodeError) as error:
            raise _no_host(host, error, where) from None
        except TimeoutError:
            raise ConnectionRefusedError(errno.ETIMEDOUT, "the host does not answer") from None

    return attempt


def _first_of(found: list[Any], end: float) -> socket.socket:
    """A connection to the first address of a host that answers. All have a share of the time."""
    failed: OSError | None = None
    for number, (family, kind, protocol, _, address) in enumerate(found):
        share = (end - monotonic()) / (len(found) - number)
        sock = None
        try:
            sock = socket.socket(family, kind, protocol)
            # As long as nothing, and it would not wait at all.
            sock.settimeout(max(share, _FIRST_PAUSE))
            sock.connect(address)
        except OSError as error:
            if sock is not None:
                sock.close()
            failed = error
        else:
            return sock
    assert failed is not None  # there is no host without an address
    raise failed


def tcp_listening(where: str, backlog: int, url: str) -> socket.socket:
    host, port = tcp_address(where)
    try:
        if host in ("", "*"):
            both = socket.has_dualstack_ipv6()
            family = socket.AF_INET6 if both else socket.AF_INET
            sock = socket.create_server(
                ("", port), family=family, backlog=backlog, dualstack_ipv6=both
            )
        else:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            family, _, _, _, address = found[0]
            sock = socket.create_server(address[:2], family=family, backlog=backlog)
    except (socket.gaierror, UnicodeError) as error:
        raise _no_host(host, error, url) from None
    except PermissionError as error:
        raise AccessError(f"{url}: this user may not listen there", name=url) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise _in_use(url) from None
        raise
    sock.setblocking(False)
    return sock
