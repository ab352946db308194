"""Who comes to meet somebody by named pipes, until it is welcomed: see `_meeting`."""

from __future__ import annotations

import errno
import fcntl
import os
from time import monotonic

from isthmus.channel._meeting import (
    LOOK,
    ends_of,
    grant,
    is_dead,
    is_named,
    known_fifo,
    leave_rest,
    new_token,
    open_fifo,
    read_all,
    remove_if_dead,
    say,
    unlink,
    waiting_in,
)
from isthmus.errors import AccessError


class Caller:
    """Who has come, until it is welcomed.

    It holds both ends of each of its FIFOs: so what it sends waits there, and nothing looks like
    an end that is none.
    """

    def __init__(self, path: str, mode: int, url: str) -> None:
        self._path, self._mode, self._url = path, mode, url
        self.token = new_token()
        self.source = self.sink = -1
        self._guards: list[int] = []
        self._next_look = 0.0
        # To those who read what is open as the known one.
        self._has_said = False
        self._door, self._has_made = self._opened()
        try:
            bits, group = self._rights()
            there, back = ends_of(path, self.token)
            # The other way round than it is looked for: with the first name, both are there.
            guard, self.sink = self._own(back, bits, group)
            self._guards.append(guard)
            self.source, guard = self._own(there, bits, group)
            self._guards.append(guard)
        except BaseException as error:
            for each in (self.source, self.sink):
                if each >= 0:
                    os.close(each)
            self.give_up()
            if isinstance(error, PermissionError) and not isinstance(error, AccessError):
                raise AccessError(
                    f"{url}: this user may not make FIFOs beside it",
                    name=url, errno=error.errno,
                ) from None  # fmt: skip
            raise
        self.look()

    def _opened(self) -> tuple[int, bool]:
        try:
            return known_fifo(self._path, self._mode, self._url, os.O_RDWR)
        except AccessError:
            # It may be one that others may only write to.
            try:
                return open_fifo(self._path, os.O_WRONLY), False
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return -1, False  # and nobody listens just now
            raise

    def _rights(self) -> tuple[int, int]:
        """Who may write to the known one may use what is made beside it: the mode, the group."""
        return self._rights_of(self._door if self._door >= 0 else self._path)

    def _rights_of(self, known: int | str) -> tuple[int, int]:
        status = os.stat(known)
        bits = 0o600
        for read, write in ((0o040, 0o020), (0o004, 0o002)):
            if status.st_mode & write:
                bits |= read | write
        return bits, status.st_gid

    def _own(self, path: str, bits: int, group: int) -> tuple[int, int]:
        """A FIFO, open to read and to write; it gets its name when it is."""
        draft = path + ".new"
        os.mkfifo(draft, 0o600)
        opened: list[int] = []
        try:
            os.chmod(draft, 0o600)
            opened.append(open_fifo(draft, os.O_RDONLY))
            opened.append(open_fifo(draft, os.O_WRONLY))
            grant(opened[0], bits, group)
            os.rename(draft, path)
        except BaseException:
            for each in opened:
                os.close(each)
            unlink(draft)
            raise
        return opened[0], opened[1]

    def look(self) -> None:
        """Say hello, and once a second again, as long as it may not have been heard."""
        now = monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK
        if self._door >= 0 and is_named(self._door, self._path):
            # Else somebody is still to read it; and if that one dies, another one will look.
            if self._has_said and waiting_in(self._door):
                return
        else:
            self._close_door()
            self._has_said = False
            try:
                self._door, self._has_made = self._opened()
            except (OSError, ValueError):
                return  # such as when its directory was removed
        if self._door >= 0:
            self._has_said = say(self._door, self.token)

    def hide(self) -> None:
        """Remove the names: it has been welcomed."""
        for each in ends_of(self._path, self.token):
            unlink(each)

    def leave(self) -> None:
        """Give up all but the two ends that the channel has."""
        guards, self._guards = self._guards, []
        for each in guards:
            os.close(each)
        self._close_door()

    def give_up(self) -> None:
        """Remove all that has a name, when also those two have been closed.

        Unless somebody else still reads: in a forked process, which then goes on to wait.
        """
        there, _ = ends_of(self._path, self.token)
        # sync: welcome. Nobody reads any more, so that none is written from now on.
        left = b""
        if len(self._guards) == 2 and is_dead(there) and not waiting_in(self._guards[1]):
            left = read_all(self._guards[0])
        if left and self._door >= 0 and not is_named(self._door, self._path):
            self._next_look = 0.0
            self.look()  # there may be another listener
        door, made = self._door, self._has_made
        self._door = -1
        self.leave()
        if door < 0:
            remove_if_dead(self._path, self.token)
            return
        try:
            # Nobody has come here to listen, and until it has gone nobody can.
            fcntl.flock(door, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # Somebody listens, and is to have what was sent, as from a socket.
            if left and leave_rest(self._path, self.token, left, self._rights_of(door)):
                say(door, self.token)
        else:
            if made and is_named(door, self._path):
                unlink(self._path)
        finally:
            remove_if_dead(self._path, self.token)
            os.close(door)

    def _close_door(self) -> None:
        door, self._door = self._door, -1
        if door >= 0:
            os.close(door)
