"""`Pipe`, and connections whose messages go through shared memory.

A pipe has a ring for each direction, and a pair of sockets, of which each end has one. Messages go
through the rings; nothing goes through the sockets. They say who is there: the kernel closes
a socket when the last process that has it closes it or ends, however that happens, and shows that
to the other one. What has a socket, and for how long, is as with the original: a copy in a forked
child counts, and so does one that is on its way to another process.

Why nothing hangs, and nothing is lost

Receiving. Who waits for a message looks at the socket every 20 ms at the latest. When it says that
nobody has the other end any more, the ring is looked at once more: whatever was sent was in it, or
never will be, before the socket was closed. So the end comes after the last message, and comes.
Of a message that a sender has not completed, nothing is received.

Sending. Whoever sends looks at the socket first, and then every 20 ms while the ring is full. So
it is told if nobody can receive. A message that is sent while the last receiver ends is lost,
as with the original.

Killed while sending: a message is in the ring or not, see `isthmus.Queue`; a large one goes in
pieces, which are dropped if the last one is missing. Killed while receiving: that message
is gone. A large one is gone as well, with the pieces of it that are not taken yet: the next
receiver drops them.
"""

from __future__ import annotations

import os
import select
import socket
import time
from multiprocessing import connection as _standard
from multiprocessing.context import BufferTooShort
from types import GeneratorType

from isthmus._ring_errors import Empty, Full
from isthmus.compat.multiprocessing._messages import (
    Piece,
    Pieces,
    Sizes,
    as_bytes,
    as_object,
    of_bytes,
    of_object,
)
from isthmus.compat.multiprocessing._readiness import Readiness
from isthmus.queue import Queue
from isthmus.waiting import wait as _wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self, SupportsIndex

    from typing_extensions import Buffer

    _Base = _standard.Connection[Any, Any]
else:
    _Base = _standard.Connection

__all__ = ["Client", "Connection", "Listener", "Pipe", "wait"]

Client = _standard.Client
Listener = _standard.Listener
wait = _standard.wait

_CAPACITY = 1 << 20
# Processes that use one end or the other. Each takes 128 bytes.
_PARTICIPANTS = 512
# Between two looks whether the other end is still there: seconds.
_SLICE = 0.02


def __getattr__(name: str) -> Any:
    """Everything else is that of the standard library."""
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_standard, name)


def Pipe(
    duplex: bool = True, *, capacity: SupportsIndex | str | None = None
) -> tuple[Connection, Connection]:
    """Two connections, the ends of a pipe.

    Args:
        duplex: both send and receive; else the first one only receives, the second only sends.
        capacity: bytes that may be on their way in a direction before `send` waits, as a number
            or like "16 MiB"; it becomes a power of two. It is reserved at once. None: 1 MiB.

    Raises NoSpaceError: there is not enough memory.
    """
    if capacity is None:
        capacity = _CAPACITY
    there = Queue(capacity=capacity, participants=_PARTICIPANTS)
    back = Queue(capacity=capacity, participants=_PARTICIPANTS) if duplex else None
    one, other = socket.socketpair()
    with one, other:
        first = Connection(one.fileno(), True, duplex, _rings=(there, back))
        one.detach()
        second = Connection(other.fileno(), duplex, True, _rings=(back, there))
        other.detach()
    return first, second


class Connection(_Base):
    """One end of a `Pipe`. With a descriptor, one of the standard library.

    Several processes and threads may send through the same end at once, messages of any size, and
    receive from the same end messages of up to half the capacity; larger ones need a lock around
    receiving, or some of them are lost.
    """

    def __new__(
        cls,
        handle: SupportsIndex,
        readable: bool = True,
        writable: bool = True,
        *,
        _rings: tuple[Queue | None, Queue | None] | None = None,
    ) -> Self:
        if _rings is None:
            plain: Any = _Base(handle, readable, writable)
            made: Self = plain
            return made
        return super().__new__(cls)

    def __init__(
        self,
        handle: SupportsIndex,
        readable: bool = True,
        writable: bool = True,
        *,
        _rings: tuple[Queue | None, Queue | None],
    ) -> None:
        # First of all, since __del__ closes it.
        self._handle: int | None = None
        self._readable, self._writable = readable, writable
        self._inlet, self._outlet = _rings
        super().__init__(handle, readable, writable)
        self._readiness: Readiness | None = None
        if self._inlet is not None:
            self._pieces = Pieces()
            self._readiness = Readiness(self._inlet, handle.__index__())
        if self._outlet is not None:
            self._sizes = Sizes(self._outlet.capacity)

    # ---- Sending -----------------------------------------------------------------------

    def send(self, obj: Any) -> None:
        """Send an object; wait while there is no room for it.

        Anything that `multiprocessing` can pickle, of any size; what pickling raises is raised
        here, and then nothing has been sent. Arrays and large buffers are copied only into
        shared memory.

        Raises BrokenPipeError: nobody can receive it. OSError: closed, or cannot send.
        """
        self._sending()
        self._put(of_object(obj, self._sizes))

    def send_bytes(self, buf: Buffer, offset: int = 0, size: int | None = None) -> None:
        """Send bytes, as one message: `size` of `buf` from `offset` on, or all. As `send`.

        ValueError: they are not in `buf`.
        """
        self._sending()
        data = memoryview(buf)
        if data.itemsize > 1 or data.ndim != 1:
            data = data.cast("B")
        if offset < 0:
            raise ValueError("offset is negative")
        if data.nbytes < offset:
            raise ValueError("buffer length < offset")
        if size is None:
            size = data.nbytes - offset
        elif size < 0:
            raise ValueError("size is negative")
        elif offset + size > data.nbytes:
            raise ValueError("buffer length < offset + size")
        self._put(of_bytes(data[offset : offset + size], self._sizes))

    def _put(self, message: object) -> None:
        if type(message) is GeneratorType:
            for piece in message:
                self._put_one(piece)
        else:
            self._put_one(message)

    def _put_one(self, message: object) -> None:
        while True:
            ring = self._sending()
            # No byte goes through it, but it raises BrokenPipeError if nobody has the other end.
            os.write(self._open(), b"")
            try:
                ring.put(message, True, _SLICE)
            except Full:
                continue
            return

    # ---- Receiving ---------------------------------------------------------------------

    def recv(self) -> Any:
        """Receive an object; wait while there is none.

        Raises EOFError: nothing is left, and nobody has the other end. OSError: closed, or
        cannot receive. And what unpickling raises.
        """
        self._receiving()
        return as_object(self._take())

    def recv_bytes(self, maxlength: int | None = None) -> bytes:
        """Receive a message as bytes; of an object, those of its pickle. As `recv`.

        OSError: it is longer than `maxlength`. The connection can no longer be used to receive.
        """
        self._receiving()
        if maxlength is not None and maxlength < 0:
            raise ValueError("negative maxlength")
        data = as_bytes(self._take())
        if maxlength is not None and len(data) > maxlength:
            if self._writable:
                self._readable = False
            else:
                self.close()
            raise OSError("bad message length")
        return data

    def recv_bytes_into(self, buf: Buffer, offset: int = 0) -> int:
        """Receive a message into a buffer, from `offset` on, and return how long it is. As `recv`.

        BufferTooShort: there is no room; the message is its first argument.
        """
        self._receiving()
        with memoryview(buf) as view:
            if offset < 0:
                raise ValueError("negative offset")
            if offset > view.nbytes:
                raise ValueError("offset too large")
            data = as_bytes(self._take())
            if view.nbytes < offset + len(data):
                raise BufferTooShort(data)
            with view.cast("B") as to:
                to[offset : offset + len(data)] = data
        return len(data)

    def _take(self) -> object:
        """The next message that is whole."""
        while True:
            message = self._take_one()
            if type(message) is Piece:
                message = self._pieces.add(message)
            if message is not None:
                return message

    def _take_one(self) -> object:
        """The next message in the ring; None: not yet."""
        ring = self._receiving()
        try:
            return ring.get(True, _SLICE)
        except Empty:
            # In this order: after the end, nothing is put any more.
            if self._hung_up() and ring.empty():
                raise EOFError from None
            return None
        finally:
            # Also when it could not be unpickled, or another process has got it.
            readiness = self._readiness
            if readiness is not None:
                readiness.after_get()

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Whether `recv` would find something: a message, or the end.

        Args:
            timeout: seconds to wait for that at most; None: for ever.
        """
        ring = self._receiving()
        if not ring.empty():
            return True
        end = None if timeout is None else time.monotonic() + timeout
        while not self._hung_up():
            left = _SLICE if end is None else min(end - time.monotonic(), _SLICE)
            if left > 0:
                if _wait([ring], left):
                    break
            elif ring.empty():
                # Another process may have got what the descriptor is readable for.
                if self._readiness is not None:
                    self._readiness.after_get()
                return False
            else:
                break
        return True

    # ---- The other end, and this one ---------------------------------------------------

    def _hung_up(self) -> bool:
        """Whether nobody has the other end."""
        # One that is used by several threads at once raises.
        poll = select.poll()
        poll.register(self._open(), 0)
        found = poll.poll(0)
        self._open()  # else that was another file
        return bool(found)

    # Another thread may close it at any moment; so each use begins with one of these.

    def _open(self) -> int:
        """The socket."""
        handle = self._handle
        if handle is None:
            raise OSError("handle is closed")
        return handle

    def _receiving(self) -> Queue:
        self._open()
        if not self._readable:
            raise OSError("connection is write-only")
        return self._there(self._inlet)

    def _sending(self) -> Queue:
        self._open()
        if not self._writable:
            raise OSError("connection is read-only")
        return self._there(self._outlet)

    def _there(self, ring: Queue | None) -> Queue:
        if ring is None:
            raise OSError("handle is closed")  # just now
        return ring

    def fileno(self) -> int:
        """A descriptor that is readable as long as `recv` has something to return, or the end.

        It is for waiting only: nothing can be read from it, nor written to it. It is made when
        it is first asked for, and then a thread waits for messages. OSError: closed.
        """
        handle = self._open()
        return handle if self._readiness is None else self._readiness.fileno()

    # At the end of the interpreter, a name of this module may be gone.
    def _close(self, _close: Callable[[int], None] = os.close) -> None:
        handle, self._handle = self._handle, None
        # Each thread that is waiting in one of them keeps it until it notices.
        self._inlet = self._outlet = None
        try:
            if self._readiness is not None:
                self._readiness.close()
        finally:
            if handle is not None:
                _close(handle)

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing.reduction import DupFd

        passed = DupFd(self._open())
        return _opened, (passed, self._readable, self._writable, (self._inlet, self._outlet))


def _opened(
    passed: Any, readable: bool, writable: bool, rings: tuple[Queue | None, Queue | None]
) -> Connection:
    handle = passed.detach()
    try:
        return Connection(handle, readable, writable, _rings=rings)
    except BaseException:
        os.close(handle)
        raise
