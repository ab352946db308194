"""The three ways from the producer to the consumer: shared memory, a pipe, a file.

An outlet is the producer's end: `claim` memory, fill it, `commit` so many bytes of it; 0 is
the end of the file. An inlet is the consumer's: `receive` the bytes of the next chunk, empty
at the end, and `release` them. Both wait while they must, and count how often that was.
"""

from __future__ import annotations

import os
import select
import time
from typing import Protocol

from isthmus import posix
from isthmus.demo.errors import DemoError, PeerLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.demo.role import Lifeline
    from isthmus.demo.transfer import Account, Transfer, Turns

# A wait for the other side is interrupted that often to see whether the supervisor lives.
_SLICE = 0.25
_PREFIX = 8


class Outlet(Protocol):
    def claim(self) -> memoryview: ...
    def commit(self, length: int) -> None: ...


class Inlet(Protocol):
    def receive(self) -> memoryview: ...
    def release(self) -> None: ...


def _take(semaphore: posix.Semaphore, account: Account, lifeline: Lifeline) -> None:
    """Take one from the semaphore, waiting until there is one."""
    try:
        posix.sem_trywait(semaphore)
        return
    except BlockingIOError:
        account.waited()
    while True:
        lifeline.check()
        try:
            posix.sem_clockwait(semaphore, time.CLOCK_MONOTONIC, time.monotonic() + _SLICE)
            return
        except TimeoutError:
            pass


class SegmentOutlet:
    """Fills the slots of the segment: what is claimed is where the consumer will read it."""

    def __init__(self, transfer: Transfer, turns: Turns, lifeline: Lifeline) -> None:
        self._transfer, self._turns, self._lifeline = transfer, turns, lifeline
        self._next = 0

    def claim(self) -> memoryview:
        _take(self._turns.empty, self._transfer.producer, self._lifeline)
        return self._transfer.slot(self._next)

    def commit(self, length: int) -> None:
        self._transfer.set_length(self._next, length)
        self._next = (self._next + 1) % self._transfer.slots
        posix.sem_post(self._turns.filled)


class SegmentInlet:
    """Looks at the filled slots in place, without a copy."""

    def __init__(self, transfer: Transfer, turns: Turns, lifeline: Lifeline) -> None:
        self._transfer, self._turns, self._lifeline = transfer, turns, lifeline
        self._next = 0

    def receive(self) -> memoryview:
        _take(self._turns.filled, self._transfer.consumer, self._lifeline)
        return self._transfer.chunk(self._next)

    def release(self) -> None:
        self._next = (self._next + 1) % self._transfer.slots
        posix.sem_post(self._turns.empty)


class PipeOutlet:
    """Writes each chunk into a pipe, after its length. `fd` does not block."""

    def __init__(self, fd: int, transfer: Transfer, lifeline: Lifeline) -> None:
        self._fd, self._account, self._lifeline = fd, transfer.producer, lifeline
        self._buffer = memoryview(bytearray(transfer.slot_size))
        self._writable = _waiter(fd, select.POLLOUT, lifeline)

    def claim(self) -> memoryview:
        return self._buffer

    def commit(self, length: int) -> None:
        prefix = memoryview(length.to_bytes(_PREFIX, "little"))
        parts = [prefix, self._buffer[:length]]
        while parts:
            try:
                written = os.writev(self._fd, parts)
            except BlockingIOError:
                self._account.waited()
                self._writable.poll()
                self._lifeline.check()
                continue
            except BrokenPipeError:
                raise PeerLost from None
            while parts and written >= len(parts[0]):
                written -= len(parts.pop(0))
            if parts:
                parts[0] = parts[0][written:]


class PipeInlet:
    """Reads each chunk into memory of its own. `fd` does not block."""

    def __init__(self, fd: int, transfer: Transfer, lifeline: Lifeline) -> None:
        self._fd, self._account, self._lifeline = fd, transfer.consumer, lifeline
        self._prefix = memoryview(bytearray(_PREFIX))
        self._buffer = memoryview(bytearray(transfer.slot_size))
        self._readable = _waiter(fd, select.POLLIN, lifeline)

    def receive(self) -> memoryview:
        self._fill(self._prefix)
        length = int.from_bytes(self._prefix, "little")
        if length > len(self._buffer):
            raise DemoError(f"the pipe announces {length} bytes; {len(self._buffer)} were agreed")
        chunk = self._buffer[:length]
        self._fill(chunk)
        return chunk

    def release(self) -> None:
        pass

    def _fill(self, memory: memoryview) -> None:
        while memory:
            try:
                count = os.readv(self._fd, [memory])
            except BlockingIOError:
                self._account.waited()
                self._readable.poll()
                self._lifeline.check()
                continue
            if not count:
                raise PeerLost
            memory = memory[count:]


def _waiter(fd: int, event: int, lifeline: Lifeline) -> select.poll:
    poll = select.poll()
    poll.register(fd, event)
    poll.register(lifeline.fd, select.POLLIN)
    return poll


class FileOutlet:
    """Appends the chunks to a file. A file tells nobody that it has grown; a semaphore does."""

    def __init__(self, fd: int, transfer: Transfer, turns: Turns) -> None:
        self._fd, self._turns = fd, turns
        self._buffer = memoryview(bytearray(transfer.slot_size))
        self._end = 0
        os.ftruncate(fd, 0)

    def claim(self) -> memoryview:
        return self._buffer

    def commit(self, length: int) -> None:
        chunk = self._buffer[:length]
        while chunk:
            written = os.pwrite(self._fd, chunk, self._end)
            self._end += written
            chunk = chunk[written:]
        posix.sem_post(self._turns.filled)


class FileInlet:
    """Reads what has been appended into memory of its own."""

    def __init__(self, fd: int, transfer: Transfer, turns: Turns, lifeline: Lifeline) -> None:
        self._fd, self._transfer, self._turns, self._lifeline = fd, transfer, turns, lifeline
        self._buffer = memoryview(bytearray(transfer.slot_size))
        self._position = 0

    def receive(self) -> memoryview:
        _take(self._turns.filled, self._transfer.consumer, self._lifeline)
        # All chunks but the last are as large as the buffer, so this is the one announced.
        count = os.preadv(self._fd, [self._buffer], self._position)
        self._position += count
        return self._buffer[:count]

    def release(self) -> None:
        pass
