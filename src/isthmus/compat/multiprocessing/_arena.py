"""Memory for thousands of small things: some segments, each cut into blocks.

An arena is an anonymous segment. It costs a mapping and a descriptor, and a second one if
there are locks in it, however many blocks it is cut into; it lives until the last of them is
gone in this process. Arenas travel, with whatever lies in them, as descriptors; a process has each
of them once.

A block that nobody else can know, since it was never pickled and this process has not forked
meanwhile, is used again. One that others may know is not: they may use it for longer
than whoever made it. Its memory goes with the arena.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque

from isthmus import Segment
from isthmus._core import memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Blocks begin, and end, where a cache line does: what processes write does not disturb neighbours.
LINE = 64
# The first arena has so many bytes, each later one twice as many as the one before, up to a limit.
_SMALLEST, _LARGEST = 64 << 10, 2 << 20

# Held for every change of what is below. A finalizer takes it never: see Block.__del__.
lock = threading.RLock()
# All that this process has, by device and inode.
_arenas: weakref.WeakValueDictionary[tuple[int, int], Arena] = weakref.WeakValueDictionary()
# Blocks that are about to be used again: arena, offset, size, zero_when_left.
_dropped: deque[tuple[Arena, int, int, int]] = deque()


class Arena:
    """A segment, and what is known about it here."""

    __slots__ = (
        "__weakref__",
        "_descriptor",
        "buf",
        "end",
        "free",
        "handles",
        "mapping",
        "segment",
    )

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.mapping = segment._open()
        self.buf = segment.buf
        self.end = 0  # from here on it was never used; only where it was made
        self.free: dict[int, list[int]] = {}  # offsets of blocks to be used again, by size
        # The handles that are open here, by offset: one to each, for they share a descriptor.
        self.handles: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self._descriptor: memory.Descriptor | None = None
        _arenas[memory.status(segment.fileno())[:2]] = self

    def descriptor(self) -> memory.Descriptor:
        """One by which the handles in it tell that this process lives. With `lock` held.

        Not the segment's: that one is mapped, and so stays open for as long as a child that was
        forked has the mapping, whatever becomes of the parent.
        """
        if self._descriptor is None:
            self._descriptor = memory.Descriptor(_reopened(self.segment.fileno()))
        return self._descriptor

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        from multiprocessing import reduction

        return _attach, (reduction.DupFd(self.segment.fileno()),)


class _State:
    """Of this process."""

    def __init__(self) -> None:
        self.forks = 0  # so far; in a child, one more than in its parent before
        self.begin()

    def begin(self) -> None:
        self.current: Arena | None = None  # it is being cut into blocks
        self.next_size = _SMALLEST


_state = _State()


class Block:
    """A piece of an arena, for as long as this object lives."""

    __slots__ = ("_forks", "arena", "offset", "shared", "size", "zero_when_left")

    def __init__(self, arena: Arena, offset: int, size: int, shared: bool = True) -> None:
        self.arena = arena
        self.offset = offset
        self.size = size
        self.shared = shared  # others may know of it
        # Offset of a word that a handle in here makes zero when it is closed, which may come
        # later than the end of the block, when the collector takes both apart. 0: none.
        self.zero_when_left = 0
        self._forks = _state.forks

    def view(self) -> memoryview:
        """Its bytes. They stay mapped for as long as the view is there."""
        return self.arena.buf[self.offset : self.offset + self.size]

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self.shared = True
        return Block, (self.arena, self.offset, self.size)

    def __del__(self) -> None:
        # At any moment, in any thread, also in the midst of `take`: no more than this.
        known = self.shared or self._forks != _state.forks
        if not known and self.arena is _state.current:
            _dropped.append((self.arena, self.offset, self.size, self.zero_when_left))


def take(size: int) -> Block:
    """A block of zeros of at least `size` bytes. NoSpaceError.

    Its pages are reserved: to write in it never fails.
    """
    wanted = max(-(-size // LINE) * LINE, LINE)
    if wanted > _LARGEST // 4:
        return Block(Arena(Segment.anonymous(size)), 0, size)
    with lock:
        _use_again()
        arena = _state.current
        offsets = None if arena is None else arena.free.get(wanted)
        if arena is not None and offsets:
            return Block(arena, offsets.pop(), wanted, shared=False)
        if arena is None or arena.end + wanted > arena.segment.size:
            while _state.next_size < wanted:
                _state.next_size *= 2
            arena = _state.current = Arena(Segment.anonymous(_state.next_size))
            _state.next_size = min(_state.next_size * 2, _LARGEST)
        offset, arena.end = arena.end, arena.end + wanted
        return Block(arena, offset, wanted, shared=False)


def _use_again() -> None:
    """What has been dropped becomes free, if it is of the arena that is being cut into blocks."""
    for _ in range(len(_dropped)):
        arena, offset, size, word = _dropped.popleft()
        if arena is not _state.current:
            continue
        if word and any(arena.buf[offset + word : offset + word + 4]):
            _dropped.append((arena, offset, size, word))
            continue
        arena.buf[offset : offset + size] = bytes(size)
        arena.free.setdefault(size, []).append(offset)


def _attach(passed: Any) -> Arena:
    """What an arena becomes in another process, or here again."""
    fd = passed.detach()
    try:
        with lock:
            found = _arenas.get(memory.status(fd)[:2])
            return Arena(Segment.from_fd(fd)) if found is None else found
    finally:
        os.close(fd)


def _reopened(fd: int) -> int:
    return os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)


# ---- Forks -----------------------------------------------------------------------------

# Descriptors for the child, while this process forks.
_prepared: list[tuple[Arena, memory.Descriptor, int]] = []


def _before_fork() -> None:
    lock.acquire()
    for arena in list(_arenas.values()):
        if arena._descriptor is not None:
            _prepared.append((arena, arena._descriptor, _reopened_or_none(arena)))


def _after_in_parent() -> None:
    _state.forks += 1
    for _, _, fd in _prepared:
        if fd >= 0:
            os.close(fd)
    _prepared.clear()
    lock.release()


def _after_in_child() -> None:
    _state.forks += 1
    _state.begin()  # the parent goes on cutting up what was there
    _dropped.clear()
    for arena, descriptor, prepared in _prepared:
        fd = prepared if prepared >= 0 else _reopened_or_none(arena)
        if fd >= 0:
            os.dup2(fd, descriptor.fileno(), inheritable=False)
            os.close(fd)
            continue
        # Nothing could be said about who is alive, and the parent would seem to be for ever.
        for handle in list(arena.handles.values()):
            handle._close()
        descriptor.close()
    _prepared.clear()
    lock.release()


def _reopened_or_none(arena: Arena) -> int:
    try:
        return _reopened(arena.segment.fileno())
    except OSError:
        return -1


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
