"""What a segment asks the kernel for: seals, writing back, locking, advice."""

from __future__ import annotations

import errno

from isthmus import _arguments, _explain, _flags
from isthmus._core import memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

    from isthmus._backing import Backing
    from isthmus._core.memory import Mapping

_MS_ASYNC, _MS_SYNC = 1, 4


class KernelCalls:
    """The part of `isthmus.Segment` that hands its pages to system calls."""

    __slots__ = ()

    if TYPE_CHECKING:
        # What Segment has.
        _backing: Backing
        _size: int

        @property
        def name(self) -> str | None: ...
        @property
        def kind(self) -> str: ...
        def fileno(self) -> int: ...
        def _open(self) -> Mapping: ...

    def seal(self, *what: str) -> None:
        """Forbid, for everybody and for ever, to change an anonymous segment in some way.

        Args:
            what: ``"shrink"``, ``"grow"``; ``"write"`` (by anybody: needs that no writable
                mapping exists, this one included, so it is for `from_fd(…, readonly=True)`);
                ``"future_write"`` (mappings that exist may go on writing, new ones may not:
                for handing out read-only memory); ``"seal"`` (no further seals).

        Raises:
            SealedError: sealed against sealing, or in use. UnsupportedError: not anonymous.
        """
        fd = self.fileno()
        bits = _flags.seals(what)
        try:
            memory.add_seals(fd, bits)
        except OSError as error:
            raise _explain.sealing(
                error, self._backing.what, self.name, possible=self.kind != "posix"
            ) from None

    @property
    def seals(self) -> frozenset[str]:
        """The seals in force. None for a file; ``"seal"`` for a POSIX object, which takes none."""
        fd = self.fileno()
        try:
            return _flags.seal_words(memory.get_seals(fd))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise _explain.general(error, f"asking {self._backing.what}", self.name) from None
            return frozenset()

    def flush(
        self, offset: SupportsIndex = 0, length: SupportsIndex | None = None, *, wait: bool = True
    ) -> None:
        """Write changed pages of a mapped file back to it (msync).

        Args:
            offset, length: the bytes meant, any numbers; whole pages are written.
            wait: block until they are on the disk (MS_SYNC); else they are only marked for
                writing soon (MS_ASYNC).

        Without effect on memory that has no disk behind it. Raises SystemCallError with the
        disk's error, which may concern pages written earlier.
        """
        start, count = self._pages(offset, length)
        try:
            self._open().flush(start, count, _MS_SYNC if wait else _MS_ASYNC)
        except OSError as error:
            raise _explain.general(error, f"flushing {self._backing.what}", self.name) from None

    def lock_memory(self, offset: SupportsIndex = 0, length: SupportsIndex | None = None) -> None:
        """Keep the pages in physical memory, so that no access waits for the disk (mlock).

        Ends with `unlock_memory` or when the mapping goes. Raises SystemCallError that tells
        the limit (``ulimit -l``) when this process may not lock so much.
        """
        start, count = self._pages(offset, length)
        try:
            self._open().lock(start, count)
        except OSError as error:
            raise _explain.locking(error, self._backing.what, self.name, count) from None

    def unlock_memory(self, offset: SupportsIndex = 0, length: SupportsIndex | None = None) -> None:
        """Undo `lock_memory`."""
        start, count = self._pages(offset, length)
        try:
            self._open().unlock(start, count)
        except OSError as error:
            raise _explain.general(error, f"unlocking {self._backing.what}", self.name) from None

    def advise(
        self, advice: str, offset: SupportsIndex = 0, length: SupportsIndex | None = None
    ) -> None:
        """Tell the kernel how the memory is going to be used (madvise).

        Args:
            advice: ``"normal"``; ``"sequential"``, ``"random"`` (how much to read ahead);
                ``"willneed"`` (read it in now), ``"dontneed"`` (this process is done with it;
                the data stays), ``"cold"``, ``"pageout"`` (reclaim it first, or now);
                ``"populate_read"``, ``"populate_write"`` (map all pages now, without later
                page faults); ``"hugepage"``, ``"nohugepage"``; ``"dontdump"``, ``"dodump"``
                (leave it out of core dumps, or not).
            offset, length: the bytes meant, any numbers; whole pages are affected.

        Advice that discards data is not offered. Raises SystemCallError for what this
        kernel or this kind of memory does not know.
        """
        number = _flags.advice(advice)
        start, count = self._pages(offset, length)
        try:
            self._open().advise(start, count, number)
        except OSError as error:
            doing = f"advice {advice!r} for {self._backing.what}"
            raise _explain.general(error, doing, self.name) from None

    def _pages(self, offset: SupportsIndex, length: SupportsIndex | None) -> tuple[int, int]:
        """The bytes from the start of the first page concerned to the last byte."""
        self._open()
        start, count = _arguments.span(offset, length, self._size)
        before = start % memory.page_size()
        return start - before, count + before
