"""Pipes, between a process and one that it starts.

A pair is two pipes, one for each direction; an end of it has one descriptor to receive from and
one to send into. A forked child has them. A program that is started anew gets them by number:

    mine, yours = channel.pair("pipe")
    subprocess.Popen([program, yours.url], pass_fds=yours.descriptors)
    yours.close()

and says ``channel.connect(sys.argv[1])``. One that knows nothing of this library uses the numbers
in the URL: each message is behind its length, in four bytes, the highest first.

Nothing of a pipe has a name, so nothing is left by anybody. Killed while sending: what had gone
whole arrives, then the end. The end is seen when the last process that has the other side's
descriptors has closed them, or has died; so each closes the end that it does not use.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from isthmus.channel._base import Channel
from isthmus.channel._forms import Form
from isthmus.channel._frames import LIMIT, StreamChannel
from isthmus.errors import ArgumentError, ClosedError

LISTEN: frozenset[str] = frozenset()
CONNECT = frozenset({"limit"})
PAIR = frozenset({"limit"})


class PipeChannel(StreamChannel):
    """One end of two pipes, or of one: then it can only receive, or only send."""

    form = "pipe"

    def __init__(self, source: int, sink: int, limit: int) -> None:
        super().__init__(f"pipe:{_shown(source)},{_shown(sink)}", source, sink, limit)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Those that it consists of, for ``pass_fds`` of `subprocess.Popen`; none: it is closed.

        The child finds them by the `url`. They do not block, which stays so in a child that uses
        them by itself, unless it says otherwise with `os.set_blocking`.
        """
        return tuple(each for each in (self._source, self._sink) if each >= 0)

    def _watched(self) -> int:
        if self._source < 0:
            raise ClosedError(f"{self!r} can only send", name=self._url)
        return super()._watched()

    @classmethod
    def _again(cls, url: str, source: int, sink: int, limit: int) -> PipeChannel:
        return cls(source, sink, limit)


def _shown(descriptor: int) -> str:
    return "-" if descriptor < 0 else str(descriptor)


def facts() -> Form:
    return Form(
        name="pipe",
        title="pipe",
        reach="host",
        joins="children, and whoever is given the descriptors",
        connections=True,
        notices_death=True,
        random_access=False,
        keeps="nothing",
        largest=LIMIT,
        order="as sent, in each direction",
        permissions="having the descriptors",
        url="pipe:READ,WRITE",
    )


def connect(where: str, timeout: float | None, limit: int = LIMIT) -> Channel:
    read, comma, write = where.partition(",")
    if not comma or read == write:
        raise ArgumentError(
            f"{where[:80]!r} are not two descriptors; write pipe:READ,WRITE with the numbers of "
            "two pipes, and - for one that there is not"
        )
    source, sink = _number(read), _number(write)
    # Both are looked at before anything is done to one of them.
    for descriptor, without in ((source, os.O_WRONLY), (sink, os.O_RDONLY)):
        if descriptor >= 0:
            _check(descriptor, without)
    for descriptor, flags in ((source, os.O_RDONLY), (sink, os.O_WRONLY)):
        if descriptor >= 0:
            _make_own(descriptor, flags)
    return PipeChannel(source, sink, limit)


def _number(text: str) -> int:
    if text == "-":
        return -1
    if not text.isdecimal() or len(text) > 9:
        raise ArgumentError(f"{text[:40]!r} is not the number of a descriptor, nor -")
    return int(text)


def _check(descriptor: int, without: int) -> None:
    """That it is an open pipe, and not one that is open only for the other direction."""
    try:
        mode = os.fstat(descriptor).st_mode
        access = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
    except OSError as error:
        raise ArgumentError(
            f"descriptor {descriptor} is not open here; it is to be inherited, by "
            f"pass_fds=({descriptor},) or inheritable=True",
            errno=error.errno,
        ) from None
    what = "reading" if without == os.O_WRONLY else "writing"
    if not stat.S_ISFIFO(mode):
        raise ArgumentError(f"descriptor {descriptor} is no pipe")
    if access == without:
        raise ArgumentError(
            f"descriptor {descriptor} is a pipe that is not open for {what}; the first number is "
            "where to receive from, the second where to send to"
        )


def _make_own(descriptor: int, flags: int) -> None:
    """Make it one that does not block and is not inherited on, and keep its number.

    By a description of its own, so that others who have the old one, such as a shell and what
    it starts next, do not find that theirs has changed. Where there is none to be had, by a change.
    Killed in between: the pipe has one more descriptor, which ends with the process.
    """
    try:
        own = os.open(f"/proc/self/fd/{descriptor}", flags | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        # No /proc; a pipe that another user has made; one to write to that nobody reads any more.
        os.set_blocking(descriptor, False)
        os.set_inheritable(descriptor, False)
        return
    try:
        os.dup2(own, descriptor, inheritable=False)
    finally:
        os.close(own)


def pair(limit: int = LIMIT) -> tuple[Channel, Channel]:
    flags = os.O_CLOEXEC | os.O_NONBLOCK
    there = os.pipe2(flags)
    try:
        back = os.pipe2(flags)
    except OSError:
        for each in there:
            os.close(each)
        raise
    return PipeChannel(back[0], there[1], limit), PipeChannel(there[0], back[1], limit)
