"""Ways to carry messages from one process, or several, to another, each used the best it offers.

A carrier is made before the processes that use it are forked. The one that is to receive calls
`listen`, the others then `sender`, the first one `receiver`. Both may be in one process.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import mmap
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from isthmus.bench.errors import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Send = Callable[[Any], object]
Receive = Callable[[], Any]

SIZE = 64
# Bytes that each has room for, or as many messages; never less than two of them.
ROOM = 1 << 20
MESSAGES = 1 << 13
# Seconds for one to be found by the other.
PATIENCE = 5.0

_numbers = itertools.count()
_PREFIX = "isthmus-bench-"
# More names than any process gives.
_MANY = 1000


def new_name() -> str:
    """One that nobody else uses."""
    return f"{_PREFIX}{os.getpid()}-{next(_numbers)}"


def names_of(pid: int) -> Iterator[str]:
    """Those that a process may have given that was forked from this one just now."""
    first = next(_numbers)
    for number in range(first, first + _MANY):
        yield f"{_PREFIX}{pid}-{number}"


def sweep(pid: int) -> None:
    """Remove the files that a process has left that was killed before it could do so itself."""
    for folder in (Path(tempfile.gettempdir()), Path("/dev/shm")):
        for path in folder.glob(f"*{_PREFIX}{pid}-*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def installed(module: str) -> bool:
    """Whether it can be imported; some are there and cannot."""
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


class Carrier:
    """From one process, or several, to another.

    Args:
        size: of the messages.
        spinning: whether who waits for a message looks again and again, rather than sleep.
        senders: how many there are.
        streaming: whether messages follow each other; else each is answered first.
    """

    def __init__(
        self,
        size: int = SIZE,
        *,
        spinning: bool = False,
        senders: int = 1,
        streaming: bool = False,
    ) -> None:
        self.size, self.spinning = size, spinning
        self.senders, self.streaming = senders, streaming

    # Whether who sends gets its answers the same way: then it has `receiver_back`, and the other
    # one `sender_back`.
    duplex = False

    @property
    def places(self) -> int:
        """How many messages to have room for."""
        return max(2, min(MESSAGES, ROOM // self.size))

    def listen(self) -> None:
        """In the receiving process: be there to be found."""

    def sender(self, number: int = 0) -> Send:
        raise NotImplementedError

    def receiver(self) -> Receive:
        raise NotImplementedError

    def receiver_back(self) -> Receive:
        raise NotImplementedError

    def sender_back(self) -> Send:
        raise NotImplementedError

    def sent(self) -> None:
        """The sending process ends: nothing that it sent may get lost."""

    def received(self) -> None:
        """The receiving process ends, in good order: give up its names."""

    def close(self) -> None:
        """Nobody uses it any more: leave nothing behind, also if those have been killed."""


def looking(look: Callable[[], Any], *nothing: type[BaseException]) -> Receive:
    """Receive by `look`, which raises one of `nothing` as long as there is nothing."""

    def receive() -> Any:
        while True:
            try:
                return look()
            except nothing:
                continue

    return receive


@contextlib.contextmanager
def carriers(*kinds: Callable[[], Carrier]) -> Iterator[list[Carrier]]:
    """One of each, closed at the end."""
    with contextlib.ExitStack() as stack:
        made = []
        for kind in kinds:
            carrier = kind()
            stack.callback(carrier.close)
            made.append(carrier)
        yield made


# ---- What comes with Python ------------------------------------------------------------


class PipeCarrier(Carrier):
    """`multiprocessing.Pipe`, one for each sender."""

    def __init__(self, size: int = SIZE, **how: Any) -> None:
        super().__init__(size, **how)
        connection: Any = importlib.import_module("multiprocessing.connection")
        self.wait = connection.wait
        self.ends = [connection.Pipe(duplex=False) for _ in range(self.senders)]

    def sender(self, number: int = 0) -> Send:
        send: Send = self.ends[number][1].send_bytes
        return send

    def receiver(self) -> Receive:
        there = [end[0] for end in self.ends]
        if len(there) > 1:
            wait = functools.partial(self.wait, there, 0 if self.spinning else None)
            return of_several(wait, lambda ready: ready.recv_bytes())
        (only,) = there
        if not self.spinning:
            receive: Receive = only.recv_bytes
            return receive
        poll, take = only.poll, only.recv_bytes

        def look() -> Any:
            while not poll():
                pass
            return take()

        return look

    def close(self) -> None:
        for end in itertools.chain.from_iterable(self.ends):
            end.close()


def of_several(
    wait: Callable[[], Sequence[Any]],
    take: Callable[[Any], Any],
    *nothing: type[BaseException],
) -> Receive:
    """Receive by `take` from one after the other of those that `wait` says are ready.

    It raises one of `nothing` where that was not so.
    """

    def arriving() -> Iterator[Any]:
        while True:
            for ready in wait():
                try:
                    message = take(ready)
                except nothing:
                    continue
                yield message

    receive: Receive = arriving().__next__
    return receive


class MultiprocessingQueueCarrier(Carrier):
    def __init__(self, size: int = SIZE, **how: Any) -> None:
        super().__init__(size, **how)
        # Forked, whatever the default of this Python: spawned ones would need a tracker.
        context = importlib.import_module("multiprocessing").get_context("fork")
        self.queue: Any = context.Queue(self.places)
        self.used = False

    def sender(self, number: int = 0) -> Send:
        send: Send = self.queue.put
        self.used = True
        return send

    def receiver(self) -> Receive:
        if self.spinning:
            empty = importlib.import_module("queue").Empty
            return looking(self.queue.get_nowait, empty)
        receive: Receive = self.queue.get
        return receive

    def sent(self) -> None:
        self.queue.close()
        if self.used:
            self.queue.join_thread()

    close = sent


# ---- The bare means of POSIX -----------------------------------------------------------


class PosixQueueCarrier(Carrier):
    """posix_ipc's, of as many messages as any user may have, ten."""

    def __init__(self, size: int = SIZE, **how: Any) -> None:
        super().__init__(size, **how)
        self.module: Any = importlib.import_module("posix_ipc")
        try:
            self.queue = self.module.MessageQueue(
                f"/{new_name()}",
                self.module.O_CREX,
                max_messages=10,
                max_message_size=size,
            )
        except (ValueError, OSError) as error:
            raise Refused(f"no POSIX message queue for {size} bytes here: {error}") from None
        self.queue.unlink()

    def sender(self, number: int = 0) -> Send:
        send: Send = self.queue.send
        return send

    def receiver(self) -> Receive:
        receive = self.queue.receive
        if self.spinning:
            busy = self.module.BusyError
            return looking(lambda: receive(0)[0], busy)
        return lambda: receive()[0]

    def close(self) -> None:
        self.queue.close()


class SemaphoreCarrier(Carrier):
    """posix_ipc's semaphores beside a raw segment, with room for one message."""

    def __init__(self, size: int = SIZE, **how: Any) -> None:
        super().__init__(size, **how)
        self.module: Any = importlib.import_module("posix_ipc")
        self.memory = mmap.mmap(-1, size)
        self.full = self._semaphore(0)
        # Where each message is answered, there is room whenever somebody sends.
        self.free = self._semaphore(1) if self.streaming else None

    def _semaphore(self, value: int) -> Any:
        made = self.module.Semaphore(f"/{new_name()}", self.module.O_CREX, initial_value=value)
        made.unlink()
        return made

    def _taking(self, semaphore: Any) -> Callable[[], object]:
        take: Callable[..., object] = semaphore.acquire
        if self.spinning:
            return looking(functools.partial(take, 0), self.module.BusyError)
        return take

    def sender(self, number: int = 0) -> Send:
        memory, release = self.memory, self.full.release

        def send(message: bytes) -> None:
            memory[:] = message
            release()

        if self.free is None:
            return send
        acquire = self._taking(self.free)

        def send_in_turn(message: bytes) -> None:
            acquire()
            memory[:] = message
            release()

        return send_in_turn

    def receiver(self) -> Receive:
        memory, acquire = self.memory, self._taking(self.full)

        def receive() -> bytes:
            acquire()
            return memory[:]

        if self.free is None:
            return receive
        release = self.free.release

        def receive_in_turn() -> bytes:
            acquire()
            message = memory[:]
            release()
            return message

        return receive_in_turn

    def close(self) -> None:
        self.full.close()
        if self.free is not None:
            self.free.close()
        self.memory.close()


def found(look: Callable[[], Any], *nothing: type[BaseException]) -> Any:
    """What `look` gives as soon as it no longer raises one of `nothing`; bounded."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return look()
        except nothing:
            if time.monotonic() > end:
                raise
            os.sched_yield()
