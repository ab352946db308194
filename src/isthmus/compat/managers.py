"""`multiprocessing.managers`, with a SharedMemoryManager over `isthmus.compat.shared_memory`.

    from isthmus.compat.managers import SharedMemoryManager

All other names are those of the standard module itself.

>>> from isthmus.compat.managers import SharedMemoryManager
>>> with SharedMemoryManager() as manager:
...     numbers = manager.ShareableList([1, 2, 3])
...     sum(numbers)
6
"""

from __future__ import annotations

import multiprocessing.managers as _standard
import os
from multiprocessing import util
from multiprocessing.managers import BaseManager, BaseProxy, Server, SyncManager, Token
from os import getpid

from isthmus.compat import _shm_tracker, shared_memory
from isthmus.compat._mode import strict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["BaseManager", "BaseProxy", "SharedMemoryManager", "SyncManager", "Token"]

HAS_SHMEM = True


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_standard, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(_standard)})


class _SharedMemoryTracker:
    """The segments that a manager's server removes when it ends."""

    def __init__(self, name: str, segment_names: list[str] | None = None) -> None:
        self.shared_memory_context_name = name
        self.segment_names = [] if segment_names is None else segment_names

    def register_segment(self, segment_name: str) -> None:
        util.debug(f"Register segment {segment_name!r} in pid {getpid()}")
        self.segment_names.append(segment_name)

    def destroy_segment(self, segment_name: str) -> None:
        """Unlink one. ValueError: not one of these; FileNotFoundError: somebody has done so."""
        util.debug(f"Destroy segment {segment_name!r} in pid {getpid()}")
        self.segment_names.remove(segment_name)
        segment = shared_memory.SharedMemory(segment_name)
        segment.close()
        segment.unlink()

    def unlink(self) -> None:
        """Unlink them all; in safe mode also those after one that somebody has unlinked."""
        for segment_name in self.segment_names[:]:
            try:
                self.destroy_segment(segment_name)
            except FileNotFoundError:
                if strict():
                    raise
                _shm_tracker.forget("/" + segment_name)

    def __del__(self) -> None:
        util.debug(f"Call {self.__class__.__name__}.__del__ in {getpid()}")
        self.unlink()

    def __getstate__(self) -> tuple[str, list[str]]:
        return self.shared_memory_context_name, self.segment_names

    def __setstate__(self, state: tuple[str, list[str]]) -> None:
        self.__init__(*state)  # type: ignore[misc]


class SharedMemoryServer(_standard.SharedMemoryServer):
    """The server of a SharedMemoryManager: serves objects, and removes segments at its end."""

    shared_memory_context: _SharedMemoryTracker

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        Server.__init__(self, *args, **kwargs)
        address: Any = self.address
        if isinstance(address, bytes):  # of Linux's abstract sockets
            address = os.fsdecode(address)
        self.shared_memory_context = _SharedMemoryTracker(f"shm_{address}_{getpid()}")
        util.debug(f"SharedMemoryServer started by pid {getpid()}")

    def track_segment(self, c: Any, segment_name: str) -> Any:
        """Remove the segment at the end of the server, however it ends.

        The answer says, in safe mode, which tracker looks after it from now on.
        """
        self.shared_memory_context.register_segment(segment_name)
        if strict():
            return None
        _shm_tracker.register("/" + segment_name)
        return _shm_tracker.identity()


class SharedMemoryManager(_standard.SharedMemoryManager):
    """Makes segments and lists that are removed with the manager.

    Use it in a ``with`` block, or call start() and shutdown(). Another process may connect()
    to its address; what it makes is removed with the manager too.

    Raises what BaseManager does; ValueError (or AssertionError) if it is not running.
    """

    _Server = SharedMemoryServer

    def SharedMemory(self, size: int) -> Any:
        """A new segment of `size` bytes. Waits for the answer of the manager's process."""
        made = None
        with self._connected() as connection:
            made = shared_memory.SharedMemory(None, create=True, size=size)
            self._hand_over(connection, made)
        return made

    def ShareableList(self, sequence: Iterable[Any] | None) -> Any:
        """A new list of these values. Waits for the answer of the manager's process."""
        with self._connected() as connection:
            made: Any = shared_memory.ShareableList(sequence)
            self._hand_over(connection, made.shm)
        return made

    def _connected(self) -> Any:
        manager: Any = self
        return manager._Client(manager._address, authkey=manager._authkey)

    def _hand_over(self, connection: Any, segment: shared_memory.SharedMemory) -> None:
        try:
            tracker = _standard.dispatch(  # type: ignore[attr-defined]
                connection, None, "track_segment", (segment.name,)
            )
        except BaseException:
            segment.unlink()
            raise
        # The server's tracker removes it. If ours is another, it would do so when this
        # process ends, and others could still use it.
        if tracker is not None and not strict() and tracker != _shm_tracker.identity():
            segment._unregister()
