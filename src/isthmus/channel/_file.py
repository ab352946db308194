"""Files that are appended to: everybody who has one open is in the same conversation.

What one sends, all others hear who are there; who comes later can read it from the start. A
channel does not hear itself. Nobody is told when another one leaves or dies, since there is always
room for somebody who comes back: receiving goes on to wait. It ends when the file is removed, or
when its name is given to another file, after all that there was in it.

Where to begin to read: who connects or listens begins with what is sent from then on, as of a
conversation that others have had for years; with ``start="start"`` it gets all of that first, and
so does not depend on who comes first. Both ends of a pair are there from the beginning.

New records are told by the system (inotify), to those who wait for them and nobody else. When it
has no more of that to give, a look is taken every 12 milliseconds. Who wants to append while
another one does tries again after a pause, from a fifth of a millisecond up to those 12; the file
is held for microseconds, unless its holder has been stopped, and then the wait has its timeout.

The format, and what a death at each step leaves: see `_log`. A death elsewhere leaves nothing but
the file.
"""

from __future__ import annotations

import os
import select
from time import monotonic

from isthmus import _arguments
from isthmus._ring_errors import MessageTooLargeError
from isthmus.channel import _address, _log
from isthmus.channel._base import Channel, Listener
from isthmus.channel._errors import EndOfChannel, PeerGoneError, ProtocolError, TimedOut
from isthmus.channel._forms import Form
from isthmus.channel._frames import LIMIT
from isthmus.channel._log import Log
from isthmus.channel._records import Reader, record_of
from isthmus.channel._sole import SoleListener, Turn
from isthmus.channel._waiting import deadline_of, octets
from isthmus.errors import AccessError, ArgumentError, FormatError, IsthmusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from typing_extensions import Buffer

    from isthmus._core.doorbell import Doorbell

LISTEN = frozenset({"mode", "limit", "start"})
CONNECT = frozenset({"mode", "limit", "start"})
PAIR = frozenset({"limit"})

# For send_many: how much is committed together.
_BATCH = 1 << 18
# After which a timer is readable at once; and after the first pause of who waits to append.
_NOW, _FIRST_PAUSE = 1e-9, 0.0002


class FileChannel(Channel):
    """A participant in the conversation in a file."""

    form = "file"

    def __init__(
        self, url: str, log: Log, at: int, limit: int, writer: bytes | None = None,
        released: Callable[[int], None] | None = None,
    ) -> None:  # fmt: skip
        self._log, self._limit, self._ended = log, limit, released
        # As which it appends.
        self._writer = writer or os.urandom(8)
        self._reader = Reader(log, at, limit, self._writer)
        self._bell: Doorbell | None = None
        self._blind = False
        # Somebody has the descriptor: it is to be readable as long as there is a message.
        self._told = False
        # The timer of the bell is on.
        self._telling = False
        # For who waits to append.
        self._timer: Doorbell | None = None
        self._pause = _FIRST_PAUSE
        super().__init__(url)

    @property
    def largest(self) -> int:
        return self._limit

    def _release(self) -> None:
        for bell in (self._bell, self._timer):
            if bell is not None:
                bell.close()
        self._log.close()
        if self._ended is not None:
            self._ended(self._position())

    # ---- Sending -------------------------------------------------------------------------

    def _begin(self, data: memoryview | bytes) -> tuple[list[memoryview | bytes], int]:
        size = len(data)
        if size > self._limit:
            raise MessageTooLargeError(
                f"a message of {size} bytes is more than the limit of {self._limit}; raise "
                "limit= for all who are there, or send it in pieces",
                name=self._url, size=size, capacity=self._limit,
            )  # fmt: skip
        return record_of(data, self._writer)

    def _try_send(self, message: tuple[list[memoryview | bytes], int]) -> bool | None:
        log = self._log
        if not log.writable:
            raise AccessError(f"this user may read {self!r}, and not write to it", name=self._url)
        try:
            if not log.lock():
                return None
            self._pause = _FIRST_PAUSE
            # Others may have removed it, or made another one, and would not see this.
            found = log.found()
            if found is None:
                raise PeerGoneError(
                    f"the file of {self!r} was removed, or replaced by another one; connect again",
                    name=self._url,
                )
            log.append(*message, found.st_size)
        finally:
            # Whatever happens between, a signal handler that raises included.
            log.unlock()
        return True

    def _out(self) -> tuple[int, int]:
        """Nothing tells that a lock was released; so a timer tells when to try again."""
        if self._timer is None or self._timer.closed:
            self._timer = _doorbell()
        from isthmus._core.doorbell import SLICE

        self._timer.after(self._pause)
        self._pause = min(2 * self._pause, SLICE)
        return self._timer.fileno(), select.POLLIN

    def send_many(self, messages: Iterable[Buffer], timeout: float | None = None) -> None:
        deadline = deadline_of(timeout)
        done = count = size = 0
        parts: list[memoryview | bytes] = []
        try:
            for data in messages:
                more, length = self._begin(octets(data))
                parts += more
                size += length
                count += 1
                if size >= _BATCH:
                    self._send((parts, size), deadline)
                    done, count, size, parts = done + count, 0, 0, []
            if count:
                self._send((parts, size), deadline)
        except TimedOut as error:
            error.done = done
            raise

    # ---- Receiving -----------------------------------------------------------------------

    def _try_recv(self) -> bytes | None:
        reader = self._reader
        try:
            while (message := reader.next()) is None:
                if not self._look():
                    return None
        except FormatError as error:
            raise self._broken(error) from None
        if self._told and reader.has_more:
            self._tell()
        return message

    def _tell(self) -> None:
        """Make the descriptor readable, for what is there already; until the next look."""
        if not self._telling or self._blind:
            self._telling = True
            self._listening().after(_NOW)

    def _broken(self, why: FormatError) -> ProtocolError:
        self.close()
        return ProtocolError(f"{why}; closed", name=self._url)

    def _look(self) -> bool:
        """Whether there is more than at the last look.

        sync: file. The bell is read empty before the end is. A record that is committed after
        the end was read rings it again.
        """
        bell = self._bell
        if bell is not None and not bell.closed:
            while len(bell.heard()) > 1:
                pass  # there may be more than it takes at once
            if self._telling:
                self._telling = False
                bell.after(0)
        else:
            bell = None
        if self._reader.look():
            return True
        # Others may still have appended until the name had gone.
        if self._log.found() is None:
            if self._reader.look():
                return True
            raise EndOfChannel(
                f"the file of {self!r} was removed, or replaced by another one", name=self._url
            )
        if bell is not None and self._blind:
            self._telling = True
            bell.after(_slice())
        return False

    # ---- Waiting -------------------------------------------------------------------------

    def _in(self) -> tuple[int, int]:
        return self._listening().fileno(), select.POLLIN

    def _listening(self) -> Doorbell:
        bell = self._bell
        if bell is None or bell.closed:
            bell = _doorbell()
            self._blind = bell.watch_writes(self._log.descriptor) < 0
            # It has not heard what came before it; so the next look is at once.
            self._telling = True
            bell.after(_NOW)
            self._bell = bell
        return bell

    def _watched(self) -> int:
        bell = self._listening()
        if not self._told:
            self._told = True
            try:
                # Now that it listens: what is there already?
                if self._reader.has_more or self._look():
                    self._tell()
            except IsthmusError:
                self._tell()  # it is for recv to raise
        return bell.fileno()

    # ---- Anywhere in it ------------------------------------------------------------------

    def _position(self) -> int:
        return self._reader.at if self._held is None else self._reader.last

    def tell(self) -> int:
        """Where in the file the next message is looked for: for `seek`, of any such channel."""
        self._check()
        return self._position()

    def seek(self, position: int | str) -> None:
        """Receive from there on: from "start", from "end", or from what `tell` has said.

        ArgumentError: no message begins there. TimedOut: another thread is receiving.
        """
        self._locked(
            self._reading, lambda: self._seek(position), monotonic(), self._in, "no record"
        )

    def _seek(self, position: int | str) -> bool:
        if position == "end":
            at = None
        elif position == "start":
            at = _log.HEADER
        elif isinstance(position, str):
            raise ArgumentError(f"position must be a number, 'start' or 'end', not {position!r}")
        else:
            at = _arguments.integer(position, "position")
        try:
            found = self._reader.seek(at)
        except FormatError as error:
            raise self._broken(error) from None
        if not found:
            raise ArgumentError(
                f"no message begins at position {at} of {self!r}; give one that tell() has said",
                name=self._url,
            )
        self._held = None
        if self._told:
            self._tell()
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing.reduction import DupFd

        self._check()
        log = self._log
        return _passed, (
            self._url, DupFd(log.descriptor), log.path, log.writable, self._position(),
            self._limit, self._writer,
        )  # fmt: skip


def _doorbell() -> Doorbell:
    from isthmus import _ending
    from isthmus._core import doorbell

    _ending.arrange(doorbell)
    return doorbell.Doorbell()


def _slice() -> float:
    from isthmus._core.doorbell import SLICE

    return SLICE


def _passed(
    url: str, passed: Any, path: str | None, writable: bool, at: int, limit: int, writer: bytes
) -> FileChannel:
    there = Log(passed.detach(), path, url, writable)
    try:
        return FileChannel(url, there.again(), at, limit, writer)
    finally:
        there.close()


class _Place:
    """The conversation in a file, from where it was when somebody began to listen.

    A channel that is accepted when the last one was closed goes on where that has stopped.
    """

    def __init__(self, url: str, log: Log, at: int, limit: int) -> None:
        self._url, self._log, self._at, self._limit = url, log, at, limit
        self._writer = os.urandom(8)

    def channel(self, turn: Turn) -> Channel:
        def stopped(at: int) -> None:
            self._at = at
            turn.give_back()

        log = self._log.again()
        return FileChannel(self._url, log, self._at, self._limit, self._writer, stopped)

    def leave(self) -> None:
        self._log.close()


def facts() -> Form:
    return Form(
        name="file",
        title="file",
        reach="host",
        joins="any number, at any time, who may open the file; all hear all others",
        connections=False,
        notices_death=False,
        random_access=True,
        keeps="everything, until the file is removed",
        largest=LIMIT,
        order="as appended, the same for all",
        permissions="mode and owner of the file, of its directory",
        url="file:/path",
    )


def _opened(where: str, mode: int, start: str) -> tuple[str, Log, int]:
    if not where:
        raise ArgumentError("a file needs a path; write file:/path")
    url = f"file:{_address.quoted(where)}"
    log = _log.opened(where, mode, url)
    try:
        return url, log, log.end() if start == "end" else _log.HEADER
    except BaseException:
        log.close()
        raise


def listen(where: str, mode: int = 0o600, limit: int = LIMIT, start: str = "end") -> Listener:
    url, log, at = _opened(where, mode, start)
    try:
        place = _Place(url, log, at, limit)
        return SoleListener(url, place.channel, place.leave)
    except BaseException:
        log.close()
        raise


def connect(
    where: str, timeout: float | None, mode: int = 0o600, limit: int = LIMIT, start: str = "end"
) -> Channel:
    url, log, at = _opened(where, mode, start)
    return FileChannel(url, log, at, limit)


def pair(limit: int = LIMIT) -> tuple[Channel, Channel]:
    import tempfile

    with tempfile.TemporaryFile(buffering=0) as file:
        _log.begin(file.fileno())
        log = Log(os.dup(file.fileno()), None, "file:", True)
    try:
        return (
            FileChannel("file:", log.again(), _log.HEADER, limit),
            FileChannel("file:", log.again(), _log.HEADER, limit),
        )
    finally:
        log.close()
