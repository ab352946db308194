"""`Queue` of the package faster-fifo, over `isthmus.Queue`.

Change ``from faster_fifo import Queue`` to ``from isthmus.compat.faster_fifo import Queue``. The
names, defaults and limits are those of faster-fifo 1.5; a process that is killed at any
instruction holds nobody up. See docs/compat/faster_fifo.md.
"""

from __future__ import annotations

import operator
import pickle
from io import BytesIO
from multiprocessing.reduction import ForkingPickler
from queue import Empty, Full
from threading import local

from isthmus._core import ring
from isthmus.queue import Queue as _Ring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

__all__ = [
    "DEFAULT_CIRCULAR_BUFFER_SIZE",
    "DEFAULT_TIMEOUT",
    "INITIAL_RECV_BUFFER_SIZE",
    "Empty",
    "Full",
    "Queue",
    "QueueError",
    "TLSBuffer",
]

#: Seconds that a call waits unless told otherwise.
DEFAULT_TIMEOUT = 10.0
#: Bytes that a queue takes unless told otherwise.
DEFAULT_CIRCULAR_BUFFER_SIZE = 1_000_000
#: Bytes that `Queue.reallocate_msg_buffer` gives at least.
INITIAL_RECV_BUFFER_SIZE = 5000

# What each message takes beside its own bytes: its length.
_LENGTH = 8
# Up to this size of a queue even the shortest messages fill it no earlier than they should.
_SMALL = 8 << 20
# Handles that may be open at once, one for each process.
_PARTICIPANTS = 1024
# Where ForkingPickler looks for what objects need: as it is now and as it will be.
_REDUCERS = ForkingPickler(BytesIO()).dispatch_table
# No reducer can be registered for these that pickle would ask for.
_PLAIN = frozenset((bool, bytes, bytearray, float, int, str, type(None)))


class QueueError(Exception):
    """The queue was used in a way that makes no sense. `Queue.last_error` has the message."""


class TLSBuffer(local):
    """A buffer that each thread has for itself, in `val`. Pickled, only its size travels."""

    def __init__(self, v: Any = None) -> None:
        self.val: Any = v

    def __getstate__(self) -> int:
        return 0 if self.val is None else len(self.val)

    def __setstate__(self, message_buffer_size: int) -> None:
        self.val = _buffer(message_buffer_size) if message_buffer_size else None


def _buffer(size: int) -> Any:
    from ctypes import c_ubyte

    return (c_ubyte * size)()


class Queue:
    """Messages in order, from any number of processes to any number: each is got once.

    It reaches other processes by fork, or as an argument of `multiprocessing.Process`.

    Args:
        max_size_bytes: what the messages in it may come to, each as `dumps` made it and 8 bytes.
        maxsize: how many messages may be in it.
        loads: makes an object of a memoryview of what `dumps` made; None: by pickle.
        dumps: makes bytes of an object; None: as `multiprocessing` pickles.

    Waiting lets other threads and signal handlers run. A process may be killed at any
    instruction: what it was putting is there, all of it, or not at all, and nobody waits for it
    longer than 20 ms. What it had taken is gone with it.

    >>> from isthmus.compat.faster_fifo import Queue
    >>> q = Queue(1000 * 1000)
    >>> q.put_many([{"step": 1}, {"step": 2}])
    >>> q.qsize(), q.get_many(max_messages_to_get=100)
    (2, [{'step': 1}, {'step': 2}])
    """

    def __init__(
        self,
        max_size_bytes: int = DEFAULT_CIRCULAR_BUFFER_SIZE,
        maxsize: int = 1_000_000_000,
        loads: Callable[[Any], Any] | None = None,
        dumps: Callable[[Any], bytes] | None = None,
    ) -> None:
        from ctypes import c_bool
        from multiprocessing.sharedctypes import RawValue

        size = operator.index(max_size_bytes)
        if size < 0:
            raise ValueError(f"max_size_bytes must not be negative, not {size}")
        if maxsize < 0:
            raise OverflowError(f"maxsize must not be negative, not {maxsize}")
        self.max_size_bytes = size
        self.maxsize = int(maxsize)
        #: `get_many` takes no further message once those that it has come to so many bytes.
        self.max_bytes_to_read = size
        if loads is not None:
            self.loads = loads  # type: ignore[method-assign, assignment]
        if dumps is not None:
            self.dumps = dumps  # type: ignore[method-assign, assignment]
        self.closed = RawValue(c_bool, False)
        self.message_buffer = TLSBuffer()
        self.last_error: str | None = None
        self._ring = _Ring(capacity=_capacity(size), participants=_PARTICIPANTS)

    def _error(self, message: str) -> NoReturn:
        self.last_error = message
        raise QueueError(message)

    # ---- From objects to bytes and back ---------------------------------------------------

    def loads(self, msg_bytes: Any) -> Any:
        """The object of which `dumps` made these bytes."""
        return pickle.loads(msg_bytes)  # noqa: S301 - from who has this very queue

    def dumps(self, obj: Any) -> bytes:
        """The object as bytes, as `multiprocessing` pickles what it sends to other processes."""
        if type(obj) in _PLAIN:
            return pickle.dumps(obj)
        to = BytesIO()
        pickler = pickle.Pickler(to)
        pickler.dispatch_table = _REDUCERS
        pickler.dump(obj)
        return to.getvalue()

    def _loaded(self, messages: list[bytes]) -> list[Any]:
        loads = self.loads
        if getattr(loads, "__func__", None) is _LOADS:
            return list(map(pickle.loads, messages))
        return [loads(memoryview(message)) for message in messages]

    # ---- Putting --------------------------------------------------------------------------

    def put_many(
        self,
        xs: list[Any] | tuple[Any, ...],
        block: bool = True,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> None:
        """Put all of `xs`, one after the other with nothing between them, or none.

        Args:
            block: False: do not wait for room.
            timeout: seconds to wait at most; None: for ever; zero or less: try once.

        Raises:
            Full: there was no room in time; at once if there can never be any.
            QueueError: `xs` is neither a list nor a tuple. And what `dumps` raises.
            TypeError: `dumps` gave something that is not bytes.
            TooManyParticipantsError: first use in a process, and 1024 others use it.
        """
        if not isinstance(xs, (list, tuple)):
            self._error(f"put_many() expects a list or tuple, got {type(xs)}")
        dumps = self.dumps
        messages = [dumps(x) for x in xs]
        if not ring.fifo_put(
            self._ring, messages, self.max_size_bytes, self.maxsize, block, timeout
        ):
            raise Full(f"no room in time for {len(messages)} messages of together {_sum(messages)}")

    def put(self, x: Any, block: bool = True, timeout: float | None = DEFAULT_TIMEOUT) -> None:
        """Put one object. As `put_many`."""
        message = self.dumps(x)
        if not ring.fifo_put(
            self._ring, [message], self.max_size_bytes, self.maxsize, block, timeout
        ):
            raise Full(f"no room in time for a message of {_sum([message])}")

    def put_many_nowait(self, xs: list[Any] | tuple[Any, ...]) -> None:
        """The same as ``put_many(xs, block=False)``."""
        self.put_many(xs, block=False)

    def put_nowait(self, x: Any) -> None:
        """The same as ``put(x, block=False)``."""
        self.put(x, block=False)

    # ---- Getting --------------------------------------------------------------------------

    def get_many(
        self,
        block: bool = True,
        timeout: float | None = DEFAULT_TIMEOUT,
        max_messages_to_get: int = 1_000_000_000,
    ) -> list[Any]:
        """Take what there is, waiting for the first message only.

        Args:
            block, timeout: as for `put_many`.
            max_messages_to_get: how many messages at most.

        Raises:
            Empty: there was none in time.
            QueueError: `max_messages_to_get` or `max_bytes_to_read` is zero.
            And what `loads` raises; all messages that this call has taken are gone then.
        """
        most, most_bytes = int(max_messages_to_get), int(self.max_bytes_to_read)
        if most <= 0 or most_bytes <= 0:
            self._none_wanted(most, most_bytes)
        found = ring.fifo_get(self._ring, most, most_bytes, block, timeout)
        if not found:
            raise Empty
        return self._loaded(found)

    def _none_wanted(self, most: int, most_bytes: int) -> NoReturn:
        if most < 0 or most_bytes < 0:
            raise OverflowError("max_messages_to_get and max_bytes_to_read must not be negative")
        self._error("Expected to read at least 1 message, but got 0 messages and 0 bytes")

    def get_many_nowait(self, max_messages_to_get: int = 1_000_000_000) -> list[Any]:
        """The same as ``get_many(block=False, …)``."""
        return self.get_many(block=False, max_messages_to_get=max_messages_to_get)

    def get(self, block: bool = True, timeout: float | None = DEFAULT_TIMEOUT) -> Any:
        """Take one object. As `get_many`."""
        found = ring.fifo_get(self._ring, 1, 1, block, timeout)
        if not found:
            raise Empty
        return self._loaded(found)[0]

    def get_nowait(self) -> Any:
        """The same as ``get(block=False)``."""
        return self.get(block=False)

    def parse_messages(self, num_messages: int, total_bytes: int, msg_buffer: TLSBuffer) -> Any:
        """The objects in a buffer: each 8 bytes of length, as the machine has it, and a message.

        QueueError: they do not take `total_bytes`. No other method calls it.
        """
        view = memoryview(msg_buffer.val).cast("B")
        messages, place = [], 0
        for _ in range(num_messages):
            start = place + _LENGTH
            place = start + int.from_bytes(view[place:start], "little")
            if place > min(total_bytes, len(view)):
                self._error(f"the messages take more than {total_bytes} bytes")
            messages.append(self.loads(view[start:place]))
        if place != total_bytes:
            self._error(f"the messages take {place} bytes, not {total_bytes}")
        return messages

    def reallocate_msg_buffer(self, new_size: int) -> None:
        """Give this thread a buffer of so many bytes in `message_buffer`.

        faster-fifo receives into it, so that its size limits what `get_many` gives. Here
        nothing is limited by it.
        """
        self.message_buffer.val = _buffer(max(operator.index(new_size), INITIAL_RECV_BUFFER_SIZE))

    # ---- What is in it --------------------------------------------------------------------

    def qsize(self) -> int:
        """How many messages there are; a moment later it may be another number."""
        return self._ring.qsize()

    def data_size(self) -> int:
        """Bytes that the messages come to, each with 8 more: what `max_size_bytes` limits."""
        return ring.fifo_data_size(self._ring)

    def empty(self) -> bool:
        """Whether there is no message at the moment."""
        return self._ring.empty()

    def full(self) -> bool:
        """Whether at the moment not even a message of one byte could be put without waiting."""
        if self.data_size() + 1 + _LENGTH > self.max_size_bytes:
            return True
        return self.qsize() >= self.maxsize

    # ---- Its end --------------------------------------------------------------------------

    def close(self) -> None:
        """Let `is_closed` be true, in every process. Nothing else: it can still be used."""
        self.closed.value = True

    def is_closed(self) -> bool:
        """Whether some process has called `close`."""
        closed: bool = self.closed.value
        return closed

    def join_thread(self) -> None:
        """Nothing: there is no thread to wait for."""

    def cancel_join_thread(self) -> None:
        """Nothing, as `join_thread`."""


_LOADS = Queue.loads


def _capacity(size: int) -> int:
    """How large a ring is in which `max_size_bytes` is what limits.

    There a message takes 32 bytes and its own with 8 more, to the next multiple of 32; at worst
    that is eight times as much as here. For a large queue that would be a waste: there it is
    enough for messages of 244 bytes and more.
    """
    return max(8 * min(size, _SMALL), size + size // 4, 1)


def _sum(messages: list[bytes]) -> str:
    return f"{sum(map(len, messages)) + _LENGTH * len(messages)} bytes"
