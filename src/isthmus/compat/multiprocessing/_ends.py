"""`_reader`, `_writer` and `_rlock` of queues.

They are private, but `multiprocessing.Pool`, `concurrent.futures` and many programs use them: to
wait for a queue together with other things, and to send and receive without the queue's methods.
"""

from __future__ import annotations

import contextlib
import time
from queue import Empty

from isthmus._ring_errors import ShutDown
from isthmus.waiting import wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isthmus.compat.multiprocessing.queues import Queue, SimpleQueue

# Between two looks for what may come back: seconds.
_SLICE = 0.004


class _End:
    """What both ends have in common. They are open until the queue is closed in this process."""

    __slots__ = ("__weakref__", "_closed", "_queue")

    def __init__(self, queue: Queue | SimpleQueue) -> None:
        self._queue = queue
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed or self._queue._closed

    def close(self) -> None:
        """Say that this process needs it no more."""
        self._closed = True

    def _check(self) -> None:
        if self.closed:
            raise OSError("handle is closed")


class Writer(_End):
    __slots__ = ()

    readable, writable = False, True

    def send(self, obj: object) -> None:
        """Put an object."""
        self._check()
        self._queue.put(obj)


class Reader(_End):
    __slots__ = ()

    readable, writable = True, False

    def recv(self) -> Any:
        """Get an object; wait while there is none."""
        self._check()
        queue = self._queue
        if not queue._rlock.held:
            return queue.get()
        reading = queue._reading
        try:
            return queue._take(False)
        except ShutDown:
            with contextlib.suppress(Empty):
                return queue._get_on(reading, False, None)
        except Empty:
            pass
        return None  # a process that works has it; see `Drain`

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Whether there is something, within so many seconds; None: for ever."""
        self._check()
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            ring = self._queue._next_ring()
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not wait([ring], left):
                return False
            # It may also have been outgrown.
            if not ring.empty():
                return True
            if ring is self._queue._next_ring():
                if left == 0:
                    return False
                time.sleep(_SLICE)  # what another has got of it may come back

    def fileno(self) -> int:
        """A descriptor that is readable as long as there is something."""
        self._check()
        self._queue._watch()
        return self._queue._readiness.fileno()

    def close(self) -> None:
        super().close()
        self._queue._readiness.close()


class Drain:
    """The lock that a `Pool` takes when it ends, in order to be the only one that reads.

    Here nobody is kept from reading, since no lock outlives one who dies. So what it saw may be
    gone when it wants to take it, and then it must not wait.
    """

    def __init__(self) -> None:
        self.held = False

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        self.held = True
        return True

    def release(self) -> None:
        self.held = False

    def __enter__(self) -> Drain:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
