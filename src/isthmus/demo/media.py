"""The ways from the producer to the consumer: a queue, a topic, a pipe, a file.

An outlet is the producer's end: it has memory filled, and sends so much of it as was. An inlet
is the consumer's, a function: it does the `work` on each chunk, until the end, which is a
chunk of no bytes. Both wait while they must, and count how often that was.
"""

from __future__ import annotations

import os
import queue
import select
from contextlib import ExitStack
from typing import Protocol

from isthmus.demo.errors import DemoError, PeerLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from isthmus import Publisher, Queue, Subscriber
    from isthmus.demo.role import Lifeline

    T = TypeVar("T")
    # A chunk's bytes, its number, and how often it was delivered.
    Work = Callable[[memoryview, int, int], None]
    # Puts bytes into memory, and tells how many.
    Fill = Callable[[memoryview], int]

# A wait for the other side is interrupted that often to see whether the supervisor lives.
_SLICE = 0.25
_PREFIX = 8


class Patience:
    """Waits for the other side as long as the supervisor lives. `waits`: how often."""

    def __init__(self, lifeline: Lifeline) -> None:
        self.waits = 0
        self._lifeline = lifeline

    def until(self, attempt: Callable[[float], T]) -> T:
        """`attempt` gets a timeout, and raises Full or Empty when it was not enough."""
        timeout = 0.0
        while True:
            try:
                return attempt(timeout)
            except (queue.Full, queue.Empty):
                self.waits += not timeout
                timeout = _SLICE
                self._lifeline.check()

    def ready(self, fd: int, event: int) -> None:
        """Until a descriptor is ready."""
        self.waits += 1
        poll = select.poll()
        poll.register(fd, event)
        poll.register(self._lifeline.fd, select.POLLIN)
        poll.poll()
        self._lifeline.check()


class Outlet(Protocol):
    def send(self, size: int, fill: Fill) -> int:
        """Let memory of so many bytes be filled, and send what was; how much that is."""
        ...

    def end(self) -> None: ...


class QueueOutlet:
    """Puts each chunk into a queue."""

    def __init__(self, jobs: Queue, patience: Patience) -> None:
        self._jobs, self._patience = jobs, patience
        self._buffer = memoryview(b"")

    def send(self, size: int, fill: Fill) -> int:
        if size > len(self._buffer):
            self._buffer = memoryview(bytearray(size))
        length = fill(self._buffer[:size])
        if length:
            self._pass_on(self._buffer[:length])
        return length

    def end(self) -> None:
        self._pass_on(memoryview(b""))

    def _pass_on(self, chunk: memoryview | bytes) -> None:
        self._patience.until(lambda timeout: self._jobs.put(chunk, timeout=timeout))


def from_queue(jobs: Queue, patience: Patience, work: Work) -> None:
    """Work on what others may work on, too. Killed meanwhile, another one does it again."""
    while True:
        with patience.until(lambda timeout: jobs.lease(timeout=timeout)) as job:
            if not job.value:
                return
            work(memoryview(job.value), job.number, job.attempt)


class TopicOutlet:
    """Has the file read into the topic itself."""

    def __init__(self, frames: Publisher, patience: Patience) -> None:
        self._frames, self._patience = frames, patience

    def send(self, size: int, fill: Fill) -> int:
        part = None
        with ExitStack() as loan:
            memory = self._patience.until(
                lambda timeout: loan.enter_context(self._frames.loan(size, timeout=timeout))
            )
            length = fill(memory)
            if length < size:
                # The file has become shorter; a loan cannot. So this once there is a copy.
                part = bytes(memory[:length])
                loan.pop_all().__exit__(EOFError, EOFError(), None)
        if part:
            self._publish(part)
        return length

    def end(self) -> None:
        self._publish(b"")

    def _publish(self, chunk: bytes) -> None:
        self._patience.until(lambda timeout: self._frames.publish(chunk, timeout=timeout))


def from_topic(frames: Subscriber, patience: Patience, work: Work, number: int) -> None:
    """Work on what lies in the topic, without a copy."""
    length = 1
    while length:
        with ExitStack() as view:

            def received(timeout: float, view: ExitStack = view) -> memoryview:
                chunk: memoryview = view.enter_context(frames.view(timeout=timeout))
                return chunk

            chunk = patience.until(received)
            length = len(chunk)
            if length:
                work(chunk, number, 1)
            # A name that is left would keep it from being written over.
            del chunk
        number += 1


class PipeOutlet(QueueOutlet):
    """Writes each chunk into a pipe, after its length. `fd` does not block."""

    def __init__(self, fd: int, jobs: Queue, patience: Patience) -> None:
        super().__init__(jobs, patience)
        self._fd = fd

    def _pass_on(self, chunk: memoryview | bytes) -> None:
        parts = [memoryview(len(chunk).to_bytes(_PREFIX, "little")), memoryview(chunk)]
        while parts:
            try:
                written = os.writev(self._fd, parts)
            except BlockingIOError:
                self._patience.ready(self._fd, select.POLLOUT)
                continue
            except BrokenPipeError:
                raise PeerLost from None
            while parts and written >= len(parts[0]):
                written -= len(parts.pop(0))
            if parts:
                parts[0] = parts[0][written:]


def from_pipe(fd: int, size: int, patience: Patience, work: Work, number: int) -> None:
    """Read each chunk, of at most `size` bytes, into memory of one's own."""
    prefix, buffer = memoryview(bytearray(_PREFIX)), memoryview(bytearray(size))

    def fill(memory: memoryview) -> memoryview:
        left = memory
        while left:
            try:
                count = os.readv(fd, [left])
            except BlockingIOError:
                patience.ready(fd, select.POLLIN)
                continue
            if not count:
                raise PeerLost
            left = left[count:]
        return memory

    while length := int.from_bytes(fill(prefix), "little"):
        if length > size:
            raise DemoError(f"the pipe announces {length} bytes; {size} were agreed")
        work(fill(buffer[:length]), number, 1)
        number += 1


class FileOutlet(QueueOutlet):
    """Appends the chunks to a file. A file tells nobody that it has grown; a queue does."""

    def __init__(self, fd: int, jobs: Queue, patience: Patience) -> None:
        super().__init__(jobs, patience)
        self._fd, self._end = fd, 0
        os.ftruncate(fd, 0)

    def _pass_on(self, chunk: memoryview | bytes) -> None:
        told = len(chunk).to_bytes(_PREFIX, "little")
        while chunk:
            written = os.pwrite(self._fd, chunk, self._end)
            self._end += written
            chunk = chunk[written:]
        super()._pass_on(told)


def from_file(fd: int, size: int, jobs: Queue, patience: Patience, work: Work, number: int) -> None:
    """Read what has been appended into memory of one's own."""
    buffer, position = memoryview(bytearray(size)), 0
    while True:
        told = patience.until(lambda timeout: jobs.get(timeout=timeout))
        chunk = buffer[: int.from_bytes(told, "little")]
        if not chunk:
            return
        count = os.preadv(fd, [chunk], position)
        position += count
        work(chunk[:count], number, 1)
        number += 1
