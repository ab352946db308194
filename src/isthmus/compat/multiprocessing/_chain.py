"""A queue that grows: rings of shared memory, each larger than the one before.

`multiprocessing.Queue` takes whatever is put, without a limit of bytes. A ring has one. So when a
message does not fit, and does not after a moment either, a larger ring is made, and the one
before is shut down: nothing more is put into it, and who has got all that is in it goes on to the
next.

The rings have no names. Where they are is said by one message in a socket that all processes of
the queue have open, and look at without taking it: descriptors in a socket live as long as
the socket. So nothing is lost when a producer exits, no process has to drain anything, and
the kernel frees everything with the last process, whatever that dies of.

Crashes. What follows happens under a lock that survives its owner, see `Announcements`:

1. A larger ring is made. Dies here: it goes with its maker.
2. A message with the descriptors of all rings that are still needed, the new one last, is sent.
   Dies here: two messages are there. The later one is the better one, and whoever comes next
   takes the earlier one away.
3. The earlier message is taken away. Dies here: the ring before is still open, so that others go
   on using it; whoever sees the message shuts it down.
4. The ring before is shut down. Whoever is in it is woken by that, and comes here.

A message is announced before any ring is shut down, so one who finds the end of a ring always
finds the next one. A ring is left out once it is shut down, has no message, and nobody has one of
it who could die and so give it back.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import os
import socket
import struct
import termios

import isthmus
from isthmus import _reopen
from isthmus.errors import CorruptError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# For one process that uses a queue there is one participant in each ring.
PARTICIPANTS = 1024
FIRST_CAPACITY = 1 << 20
# The number of the first ring, and how many there are.
_ANNOUNCEMENT = struct.Struct("=QQ")
# More than rings that double from 1 MiB can become.
_RINGS_MAX = 64


class Ring:
    """One of the rings, and its place in their order."""

    __slots__ = ("number", "queue")

    def __init__(self, number: int, queue: isthmus.Queue) -> None:
        self.number = number
        self.queue = queue

    def over(self, joined: bool) -> bool:
        """Whether nothing is in it, and nothing can come; `joined`: and all is done with."""
        stats = self.queue.stats()
        if not stats.shut_down or stats.ready or stats.leased:
            return False
        return not joined or self.queue.join(timeout=0)


def make(number: int, capacity: int, maxsize: int) -> Ring:
    queue = isthmus.Queue(capacity=capacity, maxsize=maxsize, participants=PARTICIPANTS)
    return Ring(number, queue)


def capacity_after(capacity: int, room: int) -> int:
    """Of the ring after one of `capacity`, for a message that takes `room` bytes."""
    return max(2 * capacity, 2 * room)


class End(socket.socket):
    """Closed with its last reference, as files of a queue are, without a warning."""

    __slots__ = ()

    def __del__(self) -> None:
        self.close()


class Announcements:
    """Where all processes of a queue find its rings. All methods but `lock` need that lock.

    Attributes:
        lock: of one process or thread at a time; survives its owner.
    """

    def __init__(self, control: isthmus.Segment, inlet: End, outlet: End) -> None:
        self._control = control
        self.lock = isthmus.Lock(
            segment=control, offset=0, participants=PARTICIPANTS, on_owner_death="ignore"
        )
        self._inlet, self._outlet = inlet, outlet
        self._outlet.setblocking(False)
        self._inlet.setblocking(False)

    @classmethod
    def start(cls, first: Ring) -> Announcements:
        control = isthmus.Segment.anonymous(isthmus.Lock.nbytes(participants=PARTICIPANTS))
        with contextlib.ExitStack() as stack:
            ends = [stack.enter_context(end) for end in socket.socketpair()]
            inlet, outlet = (End(fileno=end.detach()) for end in ends)
        self = cls(control, inlet, outlet)
        self.say([first])
        return self

    def recipe(self) -> tuple[isthmus.Segment, int, int]:
        """What another process needs to come to the same; two descriptors last."""
        return self._control, self._inlet.fileno(), self._outlet.fileno()

    def add(self, rings: list[Ring], new: Ring, joined: bool) -> list[Ring]:
        """Announce `new` as the last one, and shut the one before down: those that are needed."""
        needed = list(rings)
        while needed and needed[0].over(joined):
            del needed[0]
        needed.append(new)
        self.say(needed)
        rings[-1].queue.shutdown()
        return needed

    def say(self, rings: list[Ring]) -> None:
        """Announce these, in order, in place of what was announced before."""
        before = self._count()
        descriptors = array.array("i")
        try:
            for ring in rings:
                descriptors.append(_opened_anew(ring.queue._fileno()))
            self._inlet.sendmsg(
                [_ANNOUNCEMENT.pack(rings[0].number, len(rings))],
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)],
            )
        except OSError as error:
            if error.errno != errno.ETOOMANYREFS:
                raise
            what = "all processes of this user have too many queues for their limit of open files"
            raise OSError(error.errno, f"{what} (ulimit -n)") from None
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        self._forget(before)

    def hear(self, known: list[Ring]) -> list[Ring]:
        """The rings that are there; those of them that are `known` are not opened again."""
        # An earlier message is there if somebody died before it was taken away.
        self._forget(self._count() - 1)
        with self._look() as (first, descriptors):
            have = {ring.number: ring for ring in known}
            rings = []
            for number, descriptor in enumerate(descriptors, first):
                ring = have.get(number)
                if ring is None:
                    queue: Any = _reopen.anonymous(isthmus.Queue, (None, None), descriptor)
                    ring = Ring(number, queue)
                rings.append(ring)
        # Somebody may have died before this was done.
        for ring in rings[:-1]:
            if not ring.queue.stats().shut_down:
                ring.queue.shutdown()
        return rings

    @contextlib.contextmanager
    def _look(self) -> Iterator[tuple[int, list[int]]]:
        size = array.array("i").itemsize
        data, ancillary, flags, _ = self._outlet.recvmsg(
            _ANNOUNCEMENT.size,
            socket.CMSG_SPACE(_RINGS_MAX * size),
            socket.MSG_PEEK | socket.MSG_CMSG_CLOEXEC,
        )
        descriptors = array.array("i")
        for _, _, content in ancillary:
            descriptors.frombytes(content[: len(content) - len(content) % size])
        try:
            if flags & socket.MSG_CTRUNC:
                raise OSError(errno.EMFILE, "no more descriptors can be opened for this queue")
            first, count = _ANNOUNCEMENT.unpack(data)
            if count != len(descriptors) or not count:
                raise CorruptError("what was said of the rings of a queue contradicts itself")
            yield first, list(descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _count(self) -> int:
        """How many messages are there."""
        (size,) = array.array("i", fcntl.ioctl(self._outlet, termios.FIONREAD, bytes(4)))
        return int(size) // _ANNOUNCEMENT.size

    def _forget(self, count: int) -> None:
        for _ in range(count):
            self._outlet.recv(_ANNOUNCEMENT.size)


def _opened_anew(descriptor: int) -> int:
    """The same file, but not the same open file description.

    That one carries the lock that says that its process lives. In a socket it would say so
    for as long as the socket is there.
    """
    return os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
