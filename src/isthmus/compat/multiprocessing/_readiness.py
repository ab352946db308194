"""A descriptor that is readable as long as there is something to get from a queue.

`select`, `multiprocessing.connection.wait` and event loops wait for descriptors, and a queue in
shared memory has none of which the kernel would say so exactly when there is a message. So one
thread of this process waits for messages on behalf of all who have asked for a descriptor, and
makes theirs readable. It is there only as long as somebody has one.

Those of `isthmus.Queue.fileno` take no thread, but may be readable for nothing: when somebody has
gone, and when a message has been got before the one who put it has come to say so. Whoever
uses them takes without waiting. Programs for `multiprocessing` do not: what `wait` has
returned they receive from, as `concurrent.futures` does, and would hang. So somebody has to look,
before the descriptor is readable, whether a message is there; the kernel cannot.

What is to be true

1. A reader that is alone, and not in the midst of getting, finds its descriptor readable only if
   there is a message, or the other end is gone: what it gets next does not wait.
2. When there is a message, the descriptor becomes readable, soon; and it is readable at once
   after `fileno()`, which `select` and `wait` call each time.
3. Neither while nothing is there nor while a message stays unread does anything turn round.

How

For each queue there is an eventfd, and two facts: `told`, that it may be readable, and `awaited`,
that the thread is to wait for a message. One of them is always true. All of it changes under one
lock, together with a look at the queue:

- the thread, whose wait says that a message is there: *tell*. If one is there still, the eventfd
  is set, and the thread does not wait for this queue any more (3);
- a reader that has got a message: *settle*. If no other is there, the eventfd is cleared, and the
  thread waits again; it is woken for that by `changed`.

1: The reader gets a message first and settles then. A tell before that is undone by it. A tell
after that finds the queue empty, and does nothing. Nobody else takes messages, so there is no
third case.

2: A message that comes before the look of a settle is seen by it, and the eventfd stays set. One
that comes after that look is seen by the thread, which waits from then on for a state, that there
is a message, and not for the moment when it comes. The thread cannot miss that it is to wait: it
clears `changed` before it collects what is awaited, and who adds to that does so before setting
`changed`, or while holding the lock, which collecting needs.

A signal handler may raise anywhere in a settle. Its steps stand in an order in which every
prefix leaves `told` or `awaited` true, and an eventfd that is set while `told` is true; what is
left over is put right by the next settle.

A forked child has descriptors of its own, made when they are asked for: those that it has
inherited are shared with the parent, whose thread sets them, and are closed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading

from isthmus.event import Event
from isthmus.waiting import wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from isthmus.queue import Queue


class Readiness:
    """The descriptor of one reader of a queue. Nothing is made before it is asked for.

    Args:
        source: what the reader will get from next; a function, if that changes. What it raises
            counts as a message: the reader is to find out by itself.
        hangup: a socket; when its other end is closed, the descriptor is readable as well.
    """

    __slots__ = ("_hangup", "_source", "_watched")

    def __init__(self, source: Queue | Callable[[], Queue], hangup: int | None = None) -> None:
        self._source: Callable[[], Queue] = source if callable(source) else lambda: source
        self._hangup = hangup
        self._watched: _Watched | None = None

    def fileno(self) -> int:
        """The descriptor: the same one until `close`, but another one in a forked child.

        OSError: there are too many, or too little memory.
        """
        watcher = _watcher
        with watcher.lock:
            watched = self._watched
            if watched is None or watched.watcher is not watcher:
                watched = self._watched = watcher.add(self._source, self._hangup)
            watcher.settle(watched)
            return watched.descriptor

    def after_get(self) -> None:
        """To be called whenever a message was taken, or was found to be gone."""
        watched = self._watched
        if watched is not None and watched.watcher is _watcher:
            with _watcher.lock:
                # If not, a tell may come later, and looks again.
                if watched.told:
                    _watcher.settle(watched)

    def close(self) -> None:
        """Close the descriptor. It may be asked for again."""
        watched, self._watched = self._watched, None
        if watched is not None and watched.watcher is _watcher:
            _watcher.drop(watched)

    def __del__(self) -> None:
        self.close()


class _Watched:
    """A queue, its eventfd, and what is known about both."""

    __slots__ = ("_epoll", "_eventfd", "awaited", "descriptor", "source", "told", "watcher")

    def __init__(self, watcher: _Watcher, source: Callable[[], Queue], hangup: int | None) -> None:
        self.watcher = watcher
        self.source = source
        self.told = False
        self.awaited = True
        self._epoll: select.epoll | None = None
        self._eventfd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.descriptor = self._eventfd
        if hangup is not None:
            # Readable when one of the two is: a descriptor itself.
            try:
                self._epoll = select.epoll()
                self._epoll.register(self._eventfd, select.EPOLLIN)
                self._epoll.register(hangup, 0)  # the end of a socket is always told
            except BaseException:
                self.close()
                raise
            self.descriptor = self._epoll.fileno()

    def there(self) -> bool:
        """Whether getting would not wait."""
        try:
            queue = self.source()
            # The first is cheaper; the second also knows about the end of a queue.
            return not queue.empty() or bool(wait([queue], 0))
        except Exception:
            return True

    def set(self) -> None:
        os.eventfd_write(self._eventfd, 1)

    def clear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._eventfd)

    def close(self) -> None:
        if self._epoll is not None:
            self._epoll.close()
        if self._eventfd >= 0:
            os.close(self._eventfd)
            self._eventfd = -1


class _Lock:
    """A lock that is not waited for any more when the interpreter ends.

    From then on only one thread runs, and one that has been stopped with the lock never gives it
    back. It can be taken again by who has it: by a signal handler, or by a `close` when something
    is deallocated.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        if not sys.is_finalizing():
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        if not sys.is_finalizing():
            self._lock.release()


class _Watcher:
    """All that this process watches, and the thread that does."""

    def __init__(self) -> None:
        self.lock = _Lock()
        self.watched: dict[int, _Watched] = {}
        self._changed: Event | None = None
        self._running = False
        #: How often the thread has begun to wait; for tests.
        self.rounds = 0

    def add(self, source: Callable[[], Queue], hangup: int | None) -> _Watched:
        """Under the lock, as are the next two."""
        if self._changed is None:
            self._changed = Event()
        watched = _Watched(self, source, hangup)
        self.watched[id(watched)] = watched
        if self._running:
            self._changed.set()
        else:
            thread = threading.Thread(target=self._run, name="isthmus-readiness", daemon=True)
            self._running = True
            try:
                thread.start()
            except BaseException:
                self._running = False
                self.drop(watched)
                raise
        return watched

    def settle(self, watched: _Watched) -> None:
        if watched.there():
            if watched.awaited or not watched.told:
                watched.told = True
                watched.set()
            watched.awaited = False
        elif watched.told:
            watched.awaited = True
            self._wake()
            watched.clear()
            watched.told = False

    def _tell(self, watched: _Watched) -> None:
        if watched.awaited and id(watched) in self.watched and watched.there():
            watched.told = True
            watched.set()
            watched.awaited = False

    def drop(self, watched: _Watched) -> None:
        with self.lock:
            if self.watched.pop(id(watched), None) is not None:
                watched.close()
                self._wake()

    def _wake(self) -> None:
        # At the end of the process it may have been closed already.
        if self._changed is not None and not self._changed.closed:
            self._changed.set()

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            while self._round():
                pass
        except BaseException:
            self._running = False
            raise

    def _round(self) -> bool:
        """Wait once, and tell. False: there is nothing to wait for any more."""
        changed = self._changed
        if changed is None or changed.closed:
            return False
        with self.lock:
            changed.clear()
            if not self.watched:
                self._running = False  # while nobody can add
                return False
            awaited = [each for each in self.watched.values() if each.awaited]
            self.rounds += 1
        queues: list[Queue | None] = []
        for each in awaited:
            try:
                queues.append(each.source())
            except Exception:
                queues.append(None)
        try:
            ready = wait([changed, *(queue for queue in queues if queue is not None)])
        except Exception:
            # Somebody has closed one of them. Looking at each will show which.
            if changed.closed:
                return False
            ready = [each for each in queues if each is not None]
        found = {id(each) for each in ready}
        for each, queue in zip(awaited, queues, strict=True):
            if queue is None or id(queue) in found:
                with self.lock:
                    self._tell(each)
        return True


_watcher = _Watcher()


def _after_fork() -> None:
    global _watcher  # noqa: PLW0603
    inherited = list(_watcher.watched.values())
    _watcher = _Watcher()
    for watched in inherited:
        watched.close()


os.register_at_fork(after_in_child=_after_fork)
