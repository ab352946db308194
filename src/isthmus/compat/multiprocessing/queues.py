"""`Queue`, `JoinableQueue` and `SimpleQueue` as `multiprocessing.queues` has them."""

from __future__ import annotations

import functools
import time
import weakref
from multiprocessing import reduction
from queue import Empty, Full
from typing import cast

from isthmus._ring_errors import ShutDown
from isthmus.compat.multiprocessing import _chain, _pickling
from isthmus.compat.multiprocessing._chain import Announcements
from isthmus.compat.multiprocessing._ends import Drain, Reader, Writer
from isthmus.compat.multiprocessing._readiness import Readiness
from isthmus.errors import CorruptError, NotHeldError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any, NoReturn

    import isthmus
    from isthmus.compat.multiprocessing._chain import Ring

__all__ = ["Empty", "Full", "JoinableQueue", "Queue", "SimpleQueue"]

# How long a producer waits for consumers to make room, before the queue grows: nanoseconds.
_PATIENCE = 2_000_000
_FOR_EVER = 1 << 62
# Between two looks of one who waits for several rings together: seconds.
_SLICE = 0.004
# One that only tries still waits so long for those that make the queue grow: seconds.
_TRY = 0.1


def _none() -> None:
    """A weak reference to what has not been made."""


def _weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method that an object can keep of itself, and yet goes with its last reference."""
    return functools.partial(_called, weakref.WeakMethod(method))


def _called(reference: Callable[[], Any], *args: Any) -> Any:
    method = reference()
    if method is None:
        raise ReferenceError("the queue is gone")
    return method(*args)


class _Chained:
    """Base of all of them: putting into the last of some rings, getting from the first.

    See `_chain` for how rings follow each other.
    """

    # Whether a ring is needed until all that was got from it is done with, too.
    _JOINED = False
    # How long to wait for room before the queue grows.
    _WAIT = _PATIENCE

    def __init__(self, maxsize: int) -> None:
        first = _chain.make(0, _chain.FIRST_CAPACITY, max(maxsize, 0))
        self._open(maxsize, Announcements.start(first), [first])

    def _open(self, maxsize: int, announcements: Announcements, rings: list[Ring]) -> None:
        self._maxsize = maxsize
        self._announcements = announcements
        self._closed = self._watched = False
        self._use(rings, rings[0])
        self._rlock = Drain()
        self._readiness = Readiness(_weakly(self._next_ring))
        self._reading_end: Callable[[], Reader | None] = _none
        self._writing_end: Callable[[], Writer | None] = _none

    def _use(self, rings: list[Ring], reading: Ring) -> None:
        """From now on, get from `reading`, and put into the last one. `rings` is a new list."""
        for ring in rings:
            ring.queue._set_pickler(_pickling.dumps)
        take: Callable[..., Any] = reading.queue.get
        offer: Callable[..., Any] = rings[-1].queue._offer
        if self._watched:
            take = _weakly(self._take_watched)
        if self._maxsize > 0 and len(rings) > 1:
            offer = _weakly(self._offer_to_several)
        # All at once: nothing is called meanwhile, so no signal handler comes in between.
        self._rings, self._reading, self._take, self._offer = rings, reading, take, offer
        # Looked at afterwards, since another thread may just have changed it.
        if self._watched:
            self._take = _weakly(self._take_watched)
        if self._closed:
            self._take = self._offer = _weakly(self._refuse)

    def _turn(self, block: bool, deadline: float | None) -> AbstractContextManager[bool]:
        """The lock of the announcements, for `with`. Says whether it was to be had in time.

        Who has it may have been stopped, and that must not stop those that have a timeout.
        """
        if block and deadline is None:
            return self._announcements.lock._within(None)
        left = 0.0 if deadline is None or not block else deadline - time.monotonic()
        return self._announcements.lock._within(max(_TRY, left))

    def _look_again(self, block: bool = True) -> None:
        """Find rings that others have added."""
        with self._turn(block, None) as mine:
            if mine:
                self._use(self._announcements.hear(self._rings), self._reading)

    # ---- Putting ------------------------------------------------------------------------

    def _put_on(self, message: Any, tried: list[Ring], block: bool, deadline: float | None) -> None:
        """What `_offer` has not put, when there were the rings `tried`."""
        while message is not None:
            self._go_on_putting(message, tried, block, deadline)
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            tried = self._rings
            message = self._offer(message, block, left, self._WAIT)

    def _go_on_putting(
        self, message: Any, tried: list[Ring], block: bool, deadline: float | None
    ) -> None:
        """It did not fit into the last ring, or that has been shut down: find or make a larger."""
        with self._turn(block, deadline) as mine:
            if not mine:
                raise Full
            if tried is not self._rings:
                return  # another thread has been here
            last = tried[-1]
            rings = self._announcements.hear(tried)
            if rings[-1] is last:
                room = last.queue._room(message)
                capacity = _chain.capacity_after(last.queue.capacity, room)
                new = _chain.make(last.number + 1, capacity, max(self._maxsize, 0))
                rings = self._announcements.add(rings, new, self._JOINED)
            self._use(rings, self._reading)

    def _offer_to_several(
        self, message: object, block: bool, timeout: float | None, patience: int
    ) -> Any:
        """`_offer`, as long as what is in earlier rings counts, too.

        Nobody rings when something is taken from them: they are looked at again and again,
        until they are empty, which is once for each time that the queue grows.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._turn(block, deadline) as mine:
                if not mine:
                    raise Full
                *earlier, last = self._rings
                # Also, what somebody has who could die and so give it back.
                if all(ring.over(False) for ring in earlier):
                    self._offer = last.queue._offer
                    if self._closed:
                        self._offer = _weakly(self._refuse)
                    break
                if sum(ring.queue.qsize() for ring in self._rings) < self._maxsize:
                    return last.queue._offer(message, False, None, 0)
            left = _SLICE if deadline is None else deadline - time.monotonic()
            if not block or left <= 0:
                raise Full
            time.sleep(min(_SLICE, left))
        left_over = None if deadline is None else max(0.0, deadline - time.monotonic())
        return self._offer(message, block, left_over, patience)

    # ---- Getting ------------------------------------------------------------------------

    def _get_on(self, reading: Ring, block: bool, deadline: float | None) -> Any:
        """Of `reading`, which has been read from, nothing is left."""
        while True:
            if not self._go_on_getting(reading, block, deadline):
                if not block or (deadline is not None and time.monotonic() >= deadline):
                    raise Empty
                time.sleep(_SLICE)  # another thread has yet to unpickle what it has got
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            reading = self._reading
            try:
                return self._take(block, left)
            except ShutDown:
                continue

    def _go_on_getting(self, reading: Ring, block: bool, deadline: float | None) -> bool:
        """If all has been got from a ring, and nothing more will be put there: use the next.

        False: not yet.
        """
        with self._turn(block, deadline) as mine:
            if not mine:
                return False
            if reading is not self._reading:
                return True  # another thread has been here
            if not reading.over(False):
                return False  # another thread could give a message back
            rings = self._announcements.hear(self._rings)
            later = [ring for ring in rings if ring.number > reading.number]
            if not later:
                raise CorruptError("the end of a queue was reached, and it does not go on")
            self._use(rings, later[0])
            return True

    # ---- Being watched: see `_ends` -----------------------------------------------------

    # They refer to the queue, which is to go with its last reference, and so does not keep them.

    @property
    def _reader(self) -> Reader:
        end = self._reading_end()
        if end is None:
            end = Reader(cast("Queue", self))
            self._reading_end = weakref.ref(end)
        return end

    @property
    def _writer(self) -> Writer:
        end = self._writing_end()
        if end is None:
            end = Writer(cast("Queue", self))
            self._writing_end = weakref.ref(end)
        return end

    def _next_ring(self) -> isthmus.Queue:
        """Where the next message will come from."""
        reading = self._reading
        if reading.over(False):
            self._go_on_getting(reading, False, None)
        return self._reading.queue

    def _watch(self) -> None:
        """From now on, somebody has a descriptor that says whether there is something."""
        if not self._watched:
            self._watched = True
            self._take = _weakly(self._take_watched)

    def _take_watched(self, block: bool = True, timeout: float | None = None) -> Any:
        try:
            return self._reading.queue.get(block, timeout)
        finally:
            self._readiness.after_get()

    # ---- What is in it ------------------------------------------------------------------

    def qsize(self) -> int:
        """How many messages are there; a moment later it may be another number."""
        if self._rings[-1].queue.stats().shut_down:
            self._look_again(block=False)
        return sum(ring.queue.qsize() for ring in self._rings)

    def empty(self) -> bool:
        """Whether there is none. OSError: closed, and has been used."""
        if self._closed and (isinstance(self, SimpleQueue) or self._used()):
            raise OSError(f"{type(self).__name__} {self!r} is closed")
        return self.qsize() == 0

    def _used(self) -> bool:
        """Whether anything has ever been put. The standard one is not closed before, in a way."""
        return self._rings[-1].number > 0 or self._rings[0].queue.stats().put > 0

    # ---- Its end, and copies ------------------------------------------------------------

    def close(self) -> None:
        """End the use in this process. What was put stays, for the others."""
        self._closed = True
        self._take = self._offer = _weakly(self._refuse)
        self._readiness.close()

    def _refuse(self, *_: object) -> NoReturn:
        raise ValueError(f"{type(self).__name__} {self!r} is closed")

    # As the standard classes have them, so that those derived from them can add to the state.

    def __getstate__(self) -> tuple[Any, ...]:
        if self._closed:
            self._refuse()
        control, *ends = self._announcements.recipe()
        return (self._maxsize, control, *map(reduction.DupFd, ends))

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        maxsize, control, *ends = state
        inlet, outlet = (_chain.End(fileno=end.detach()) for end in ends)
        announcements = Announcements(control, inlet, outlet)
        with announcements.lock:
            rings = announcements.hear([])
        self._open(maxsize, announcements, rings)


class Queue(_Chained):
    """Objects from any number of processes to any number, as `multiprocessing.Queue`.

    What was put is in shared memory when `put` returns: no thread feeds it, nothing is pickled
    later, and the process may exit, or be killed, at once. The memory grows as needed.

    Args:
        maxsize: how many objects may be in it at once; zero or less: any number.
        ctx: as in the standard library; it makes no difference.
    """

    def __init__(self, maxsize: int = 0, *, ctx: object = None) -> None:
        super().__init__(maxsize)

    def put(self, obj: object, block: bool = True, timeout: float | None = None) -> None:
        """Put an object; wait while there are `maxsize`.

        Args:
            obj: anything that `multiprocessing` can pickle. What pickling raises is raised here.
            block: False: do not wait; `timeout` is then ignored.
            timeout: seconds to wait at most; None: for ever.

        Raises: Full: still `maxsize`. NoSpaceError: there is no more memory. ValueError: closed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        tried = self._rings
        message = self._offer(obj, block, timeout, _PATIENCE)
        if message is not None:
            self._put_on(message, tried, block, deadline)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the next object; wait while there is none. Empty: none in time. As `put`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        reading = self._reading
        try:
            return self._take(block, timeout)
        except ShutDown:
            return self._get_on(reading, block, deadline)

    def put_nowait(self, obj: object) -> None:
        """The same as ``put(obj, block=False)``."""
        self.put(obj, False)

    def get_nowait(self) -> Any:
        """The same as ``get(block=False)``."""
        return self.get(False)

    def full(self) -> bool:
        """Whether there are `maxsize` objects."""
        return 0 < self._maxsize <= self.qsize()

    def join_thread(self) -> None:
        """Return at once: no thread has to be waited for. AssertionError: not closed."""
        if not self._closed:
            raise AssertionError(f"Queue {self!r} not closed")

    def cancel_join_thread(self) -> None:
        """Do nothing: an exiting process never waits, and loses nothing."""


class JoinableQueue(Queue):
    """A `Queue` that knows whether all that was got from it is done with.

    A process that dies with what it has got leaves nothing to wait for.
    """

    _JOINED = True

    def task_done(self) -> None:
        """Say that an object that was got is done with. ValueError: more often than got."""
        if not self._report():
            self._look_again()
            if not self._report():
                raise ValueError("task_done() called too many times")

    def _report(self) -> bool:
        for ring in self._rings:
            try:
                ring.queue.task_done()
            except NotHeldError:
                continue
            return True
        return False

    def join(self) -> None:
        """Wait until everything that was put is done with."""
        while True:
            rings = self._rings
            for ring in rings:
                ring.queue.join()
            # What was joined and shut down stays so; was the last one shut down meanwhile?
            self._look_again()
            if self._rings[-1] is rings[-1]:
                return


class SimpleQueue(_Chained):
    """Objects from any number of processes to any number, as `multiprocessing.SimpleQueue`.

    `put` waits while 1 MiB is there that nobody has got; only for one object that is larger than
    the memory that there is, this becomes more.
    """

    _WAIT = _FOR_EVER

    def __init__(self, *, ctx: object = None) -> None:
        super().__init__(0)

    def put(self, obj: object) -> None:
        """Put an object; wait while there is no room. OSError: closed. And as `Queue.put`."""
        tried = self._rings
        message = self._offer(obj, True, None, _FOR_EVER)
        if message is not None:
            self._put_on(message, tried, True, None)

    def get(self) -> Any:
        """Take the next object; wait while there is none. OSError: closed."""
        reading = self._reading
        try:
            return self._take()
        except ShutDown:
            return self._get_on(reading, True, None)

    def _refuse(self, *_: object) -> NoReturn:
        raise OSError("handle is closed")
