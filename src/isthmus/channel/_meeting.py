"""Where strangers meet by named pipes: a FIFO that is known, and two of each who comes.

Who comes makes two FIFOs of its own beside the known one: ``PATH.TOKEN.out``, which it sends into,
and ``PATH.TOKEN.in``. It writes a hello with its token, 16 random hexadecimal digits, into the
known one. Who listens there opens the two, writes a welcome into the second, and removes their
names. From the first hello on nothing but the kernel says who lives: a FIFO that nobody reads is
one whose maker has gone.

What each death leaves, and who puts it right:

- While making its FIFOs: one called ``….new`` that nobody reads. Each gets its name only when it
  is open, so that one with a name that nobody reads is dead at once; one without, after a minute.
- Before its hello is read: its FIFOs. The listener finds that nobody reads, and removes them.
- The listener's, with hellos read or not, before the welcome: who came waits, and is found by
  name by the next listener. Also it says hello again now and then, while the known one is empty.
- The listener's after the welcome: who came sees the end, and removes the names itself.
- The listener's at any time: the known one, which the next one takes over. That somebody listens is
  a lock on it (flock), which the system releases.

Who closes before it is welcomed, while somebody listens, leaves what it has sent in a file,
``PATH.TOKEN.rest``, and says hello once more. Killed before that has its name: what it has sent is
lost. It goes with the listener, or else is for the next one.

Exactly one welcome. It is written only into a FIFO that is empty and then still has its name; who
came removes the name before it reads the welcome. There is one listener at a time.

Whatever else is written into the known one is skipped. Of a hello nothing is used but the token,
and that has no slash in it; what is opened is looked at and is used only if it is a FIFO.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import re
import stat
import termios
import time
from typing import NamedTuple

from isthmus.errors import (
    AccessError,
    ArgumentError,
    ExistsError,
    InUseError,
    NameInvalidError,
    NotFoundError,
    NotReadyError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

WELCOME = b"isthmus\n"
_HELLO = re.compile(rb"isthmus ([0-9a-f]{16})\n")
_HELLO_SIZE = 25
_FLAGS = os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY
# For lack of which nothing is known about a file.
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
# What a pipe holds, and more.
_MOST = 1 << 20
# How much may be skipped before the time is looked at.
_SKIPPED = 65536 // _HELLO_SIZE
# Between looks of one who has not been welcomed; after that a FIFO without a name is dead: seconds.
LOOK, _DEAD = 1.0, 60.0
# How often to begin anew when others remove what was just made.
_TRIES = 100
# For one who holds the lock only to clear away: looks, and seconds in between.
_PATIENCE, _PAUSE = 5, 0.002


class Welcomed(NamedTuple):
    """Where to receive from, and to send into; whose that is; what has been received already."""

    source: int
    sink: int
    uid: int
    received: bytes = b""


def waiting_in(descriptor: int) -> int:
    """Bytes in a pipe, by any end of it."""
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]


def path_of(where: str) -> str:
    if not where:
        raise ArgumentError("a FIFO needs a path; write fifo:/path")
    path = os.path.abspath(where)
    if len(os.fsencode(os.path.basename(path))) > 255 - len(".0123456789abcdef.out.new"):
        raise NameInvalidError(f"{where[:80]}… is too long a name for FIFOs beside it", name=where)
    return path


def is_named(descriptor: int, path: str) -> bool:
    """Whether the path stands for what is open."""
    try:
        named = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    status = os.fstat(descriptor)
    return (named.st_dev, named.st_ino) == (status.st_dev, status.st_ino)


def open_fifo(path: str, flags: int) -> int:
    """A FIFO; without waiting. OSError: FileExistsError if it is something else."""
    try:
        descriptor = os.open(path, flags | _FLAGS)
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.ELOOP) or (
            error.errno == errno.ENXIO and flags == os.O_RDWR
        ):
            raise FileExistsError(errno.EEXIST, "no FIFO") from None
        raise
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileExistsError(errno.EEXIST, "no FIFO")
    return descriptor


def unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # it has gone, or is not ours to remove


def is_dead(path: str) -> bool:
    """Whether it is a FIFO that nobody reads."""
    try:
        os.close(open_fifo(path, os.O_WRONLY))
    except OSError as error:
        return error.errno == errno.ENXIO
    return False


def ends_of(path: str, token: str) -> tuple[str, str]:
    return f"{path}.{token}.in", f"{path}.{token}.out"


def remove_if_dead(path: str, token: str) -> bool:
    there, back = ends_of(path, token)
    if is_dead(there) or (not os.path.lexists(there) and is_dead(back)):
        unlink(there)
        unlink(back)
        return True
    return False


def read_all(pipe: int) -> bytes:
    """What there is in it, at one moment."""
    try:
        return os.read(pipe, _MOST)
    except BlockingIOError:
        return b""


def grant(descriptor: int, bits: int, group: int) -> None:
    """Give it the mode, for that group and no other."""
    if bits & 0o060 and os.fstat(descriptor).st_gid != group:
        try:
            os.fchown(descriptor, -1, group)
        except PermissionError:
            bits &= ~0o060
    os.fchmod(descriptor, bits)


def leave_rest(path: str, token: str, data: bytes, rights: tuple[int, int]) -> bool:
    """Leave it for the listener. It has its name when it is complete."""
    rest = f"{path}.{token}.rest"
    draft = rest + ".new"
    try:
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
        try:
            whole = os.write(file, data) == len(data)
            grant(file, *rights)
        finally:
            os.close(file)
        if whole:
            os.rename(draft, rest)
            return True
    except OSError:
        pass  # no room, or no right any more: as if the process had died
    unlink(draft)
    return False


def _rest_of(path: str, token: str) -> Welcomed | None:
    """What one has left who has gone: two pipes that have ended, and what came before the end."""
    rest = f"{path}.{token}.rest"
    try:
        file = os.open(rest, os.O_RDONLY | _FLAGS)
    except OSError as error:
        if error.errno in _SHORT:
            raise
        return None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_size > _MOST:
            return None
        data = os.read(file, _MOST)
    finally:
        os.close(file)
    source, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.close(write)
    try:
        read, sink = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        os.close(source)
        raise
    os.close(read)
    unlink(rest)
    return Welcomed(source, sink, status.st_uid, data)


def new_token() -> str:
    return os.urandom(8).hex()


# ---- The known one ---------------------------------------------------------------------


def _made(path: str, mode: int) -> bool:
    """Make it, complete; False: somebody has."""
    draft = f"{path}.{new_token()}.new"
    os.mkfifo(draft, 0o600)
    try:
        os.chmod(draft, mode)
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        unlink(draft)
    return True


def known_fifo(path: str, mode: int, url: str, flags: int) -> tuple[int, bool]:
    """The known FIFO, open, made if there is none; and whether it was made here."""
    try:
        for _ in range(_TRIES):
            try:
                return open_fifo(path, flags), False
            except FileNotFoundError:
                pass
            if _made(path, mode):
                return open_fifo(path, flags), True
    except FileNotFoundError:
        raise NotFoundError(f"{url}: there is no such directory", name=url) from None
    except FileExistsError:
        raise ExistsError(f"{url}: something is there that is no FIFO", name=url) from None
    except PermissionError as error:
        raise AccessError(
            f"{url} may not be used by this user; see its owner and mode, and its directory's",
            name=url, errno=error.errno,
        ) from None  # fmt: skip
    raise NotReadyError(f"{url} is made and removed by others all the time; try again", name=url)


class Known:
    """The known FIFO, of who listens. Killed: it stays, and the next one takes it over."""

    def __init__(self, path: str, mode: int | None, url: str) -> None:
        self._path, self._tail = path, b""
        self.descriptor = -1
        # Not by a forked child: the name is the parent's.
        self._pid = os.getpid()
        self._take(mode, url)
        try:
            if mode is not None:
                self._set_mode(mode, url)
            self._sweep()
        except BaseException:
            self.leave()
            raise

    def _take(self, mode: int | None, url: str) -> None:
        for look in range(_TRIES):
            door, _ = known_fifo(self._path, 0o600 if mode is None else mode, url, os.O_RDWR)
            try:
                fcntl.flock(door, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if is_named(door, self._path):
                    self.descriptor, door = door, -1
                    return
            except BlockingIOError:
                if look >= _PATIENCE:
                    raise InUseError(
                        f"somebody listens on {url} already; choose another name", name=url
                    ) from None
                time.sleep(_PAUSE)
            finally:
                if door >= 0:
                    os.close(door)
        raise NotReadyError(f"{url} is removed by others all the time; try again", name=url)

    def _set_mode(self, mode: int, url: str) -> None:
        if stat.S_IMODE(os.fstat(self.descriptor).st_mode) == mode:
            return
        try:
            os.fchmod(self.descriptor, mode)
        except PermissionError as error:
            raise AccessError(
                f"{url} is another user's, and has another mode than {mode:o}",
                name=url, errno=error.errno,
            ) from None  # fmt: skip

    def _sweep(self) -> None:
        """Clear away what the dead have left, and have those who live say hello."""
        for path, token, what in self._beside():
            if what.endswith("new"):
                # The first: its maker died when it had given the known one its name.
                unread = what == "rest.new" or is_dead(path)
                if is_named(self.descriptor, path) or (unread and _is_old(path)):
                    unlink(path)
            elif what == "rest" or (not remove_if_dead(self._path, token) and what == "in"):
                say(self.descriptor, token)

    def _beside(self) -> Iterator[tuple[str, str, str]]:
        """What is beside it of those who come: the path, the token, and what it is."""
        folder, name = os.path.split(self._path)
        ours = re.compile(
            re.escape(name) + r"\.([0-9a-f]{16})\.(in|out|rest|in\.new|out\.new|rest\.new|new)"
        )
        try:
            names = os.listdir(folder)
        except OSError:
            return  # one that may not be read; who waits says hello again
        for each in names:
            found = ours.fullmatch(each)
            if found is not None:
                yield os.path.join(folder, each), found[1], found[2]

    def leave(self) -> None:
        """Remove its name, if it is still this one's, and then let others listen."""
        descriptor, self.descriptor = self.descriptor, -1
        if self._pid == os.getpid() and is_named(descriptor, self._path):
            for path, _, what in self._beside():
                if what == "rest":
                    unlink(path)
            unlink(self._path)
        os.close(descriptor)

    def next(self) -> str | None:
        """The token of a hello.

        No more is read than one hello has, so that a second one is not taken out: the descriptor
        is readable as long as there is one.
        """
        for _ in range(_SKIPPED):
            try:
                self._tail += os.read(self.descriptor, _HELLO_SIZE)
            except BlockingIOError:
                break
            found = _HELLO.search(self._tail)
            if found is not None:
                self._tail = self._tail[found.end() :]
                return found[1].decode()
            self._tail = self._tail[1 - _HELLO_SIZE :]
        return None

    def welcomed(self, token: str) -> Welcomed | None:
        """Who has said that hello; None: nobody is there who waits."""
        there, back = ends_of(self._path, token)
        opened: list[int] = []
        try:
            opened.append(open_fifo(there, os.O_WRONLY))
            opened.append(open_fifo(back, os.O_RDONLY))
            sink, source = opened
            # sync: welcome. Empty, and then still with its name: nobody has welcomed it.
            if waiting_in(sink) or not is_named(sink, there):
                return None
            uid = os.fstat(sink).st_uid
            os.write(sink, WELCOME)
            opened = []
        except OSError as error:
            if error.errno in _SHORT:
                raise
            # Not there any more, never there, not to be opened, no FIFO; or its maker has died.
            remove_if_dead(self._path, token)
            return _rest_of(self._path, token)
        finally:
            for each in opened:
                os.close(each)
        unlink(there)
        unlink(back)
        return Welcomed(source, sink, uid)


def _is_old(path: str) -> bool:
    try:
        return time.time() - os.lstat(path).st_mtime > _DEAD
    except OSError:
        return False


def say(door: int, token: str) -> bool:
    """Hello: whole, or not at all, when there is no room for it."""
    try:
        os.write(door, b"isthmus %s\n" % token.encode())
    except OSError:
        return False
    return True
