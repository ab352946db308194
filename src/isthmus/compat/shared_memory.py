"""`multiprocessing.shared_memory`, without what destroys data.

    from isthmus.compat import shared_memory      # instead of: from multiprocessing import …

The interface, the segments and the lists in them are those of the standard library, so that
programs that use either run side by side. What differs is in docs/compat/shared_memory.md;
the environment variable ISTHMUS_COMPAT=strict takes the differences away.

>>> from isthmus.compat import shared_memory
>>> made = shared_memory.SharedMemory(create=True, size=16)
>>> found = shared_memory.SharedMemory(made.name)
>>> made.buf[:5] = b"hello"
>>> bytes(found.buf[:5])
b'hello'
>>> found.close()
>>> made.close()
>>> made.unlink()
"""

from __future__ import annotations

import errno
import mmap
import os
import secrets
from multiprocessing import resource_tracker

from isthmus import posix
from isthmus.compat import _shm_file, _shm_tracker
from isthmus.compat._mode import strict
from isthmus.compat._shareable_list import ShareableList

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

__all__ = ["ShareableList", "SharedMemory"]

_USE_POSIX = True
_O_CREX = os.O_CREAT | os.O_EXCL
# The longest name that every system takes: FreeBSD's limit.
_SHM_SAFE_NAME_LENGTH = 14
_SHM_NAME_PREFIX = "/psm_"


def __getattr__(name: str) -> Any:
    # What subclasses that override unlink() take from here, and nothing here needs.
    if name == "_posixshmem":
        from importlib import import_module

        return import_module(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _make_filename() -> str:
    """A random name that every system takes, with the slash in front."""
    count = (_SHM_SAFE_NAME_LENGTH - len(_SHM_NAME_PREFIX)) // 2
    return _SHM_NAME_PREFIX + secrets.token_hex(count)


def _exported(mapping: mmap.mmap) -> bool:
    """Whether close() would be a BufferError, since memoryviews of it exist."""
    try:
        mapping.resize(-1)  # never done: refused for the views, or else for the size
    except BufferError:
        return True
    except (ValueError, TypeError, SystemError):
        return False
    raise AssertionError("a mapping of a negative size")


class SharedMemory:
    """A segment of shared memory: a new one (`create`), or the existing one of that name.

    name: without the leading slash of POSIX; None makes one up, for a new segment.
    size: how many bytes a new one has. An existing one has the size that it has.
    track: whether multiprocessing's resource tracker removes a new one when its creator, and
        the processes that multiprocessing started from it, have ended without unlinking it.
        An existing one is only tracked with ISTHMUS_COMPAT=strict.

    The memory is zero, and its pages are taken when they are first written to: with a full
    /dev/shm that is a SIGBUS. `isthmus.Segment` reserves them.

    Does not block, except for up to a second on a segment to which its creator has not yet
    given a size. Raises FileExistsError and FileNotFoundError about the name; ValueError for
    a size below 1 of a new one, no name of an existing one, one without a size; OSError.

    A creator that is killed leaves either nothing or a complete segment, which the tracker
    removes; killed in the instant between the name and telling the tracker, a segment stays.
    """

    # Those of the standard class. Without an instance's own, close() and unlink() do nothing.
    _name: str = None  # type: ignore[assignment]
    _fd = -1
    _mmap: mmap.mmap | None = None
    _buf: memoryview | None = None
    _flags = os.O_RDWR
    _mode = 0o600
    _prepend_leading_slash = True
    _track = True
    _size: int

    _strict = False
    _contents: bytes | bytearray = b""  # of a new one, from its start
    _registered = False  # by this object, which made the segment; only known in safe mode

    def __init__(
        self, name: str | None = None, create: bool = False, size: int = 0, *, track: bool = True
    ) -> None:
        if not size >= 0:
            raise ValueError("'size' must be a positive integer")
        if create:
            self._flags = _O_CREX | os.O_RDWR
            if size == 0:
                raise ValueError("'size' must be a positive number different from zero")
        if name is None and not self._flags & os.O_EXCL:
            raise ValueError("'name' can only be None if create=True")
        self._track = track
        self._strict = strict()
        if name is not None and self._prepend_leading_slash:
            name = "/" + name
        if self._strict:
            self._open_as_the_standard_class(name, create, size)
        elif not create:
            self._attach(name)
        elif not self._create_complete(name, size):
            self._create_plainly(name, size)
        self._buf = memoryview(self._mmap)  # type: ignore[arg-type]

    # ---- Strict ------------------------------------------------------------------------

    def _open_as_the_standard_class(self, name: str | None, create: bool, size: int) -> None:
        self._open(name)
        try:
            if create and size:
                os.ftruncate(self._fd, size)
            size = os.fstat(self._fd).st_size
            self._mmap = mmap.mmap(self._fd, size)
        except OSError:
            self.unlink()
            raise
        if self._track:
            resource_tracker.register(self._name, "shared_memory")
        self._size = size

    def _open(self, name: str | None) -> None:
        """Open the object by its name; made up if it is None."""
        if name is not None:
            if "\0" in name:
                raise ValueError("embedded null character")
            self._fd = posix.shm_open(name, self._flags, self._mode)
            self._name = name
            return
        while True:
            made_up = _make_filename()
            try:
                self._fd = posix.shm_open(made_up, self._flags, self._mode)
            except FileExistsError:
                continue
            self._name = made_up
            return

    # ---- Safe --------------------------------------------------------------------------

    def _attach(self, name: str | None) -> None:
        """Attach, and do not register: the tracker of who attaches must not remove it."""
        _shm_tracker.forgive()
        self._open(name)
        try:
            # With O_CREAT, of a subclass, it may be new and nobody's to give a size.
            patience = 0.0 if self._flags & os.O_CREAT else _shm_file.PATIENCE
            size = _shm_file.size_of(self._fd, patience)
            self._mmap = mmap.mmap(self._fd, size)
        except BaseException:
            self.close()
            raise
        self._size = size

    def _create_complete(self, name: str | None, size: int) -> bool:
        """Make all of it, then give it its name. False: this system cannot do so.

        Killed before it has its name: nothing is left.
        """
        if name is not None:
            path = _shm_file.path_of(name)
            if path is None:
                return False
            if os.path.lexists(path):  # and no tracker is started for it
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        fd = _shm_file.unnamed(self._mode)
        if fd is None:
            return False
        self._fd = fd
        try:
            os.ftruncate(fd, size)
            self._map_new(size)
            if self._track:
                resource_tracker.ensure_running()  # it takes long to start: not once it has a name
            if name is None:
                done = self._publish_made_up()
            else:
                self._name = name
                done = self._publish()
        except BaseException:
            self._undo()
            raise
        if not done:
            self._undo()
        return done

    def _map_new(self, size: int) -> None:
        self._mmap = mmap.mmap(self._fd, size)
        self._mmap[: len(self._contents)] = self._contents
        self._size = len(self._mmap)  # `size` may be of numpy

    def _publish(self) -> bool:
        path = _shm_file.path_of(self._name)
        registers = self._track and not self._registered and _shm_tracker.trackable(self._name)
        if path is None or not _shm_file.give_name(self._fd, self._name, path):
            return False
        if registers:  # and nothing before it: killed here, the segment stays
            resource_tracker.register(self._name, _shm_tracker.KIND)
            self._registered = True
        return True

    def _publish_made_up(self) -> bool:
        while True:
            name = self._name = _make_filename()
            path = _shm_file.path_of(name)
            if path is not None and os.path.lexists(path):
                continue
            # Nobody else comes to have this name, so it can be registered first: killed
            # here, the tracker finds nothing to remove. A name that the user chose may be
            # that of another's segment in a moment, which the tracker would remove.
            self._register()
            try:
                if self._publish():
                    return True
            except FileExistsError:
                self._unregister()
                continue
            self._unregister()
            return False

    def _create_plainly(self, name: str | None, size: int) -> None:
        """Make it in the steps that every system has; another may see it without a size."""
        self._open(name)
        try:
            os.ftruncate(self._fd, size)
            self._map_new(size)
            self._register()
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        """Leave nothing of a segment that could not be made."""
        if self._fd >= 0 and _shm_file.has_name(self._fd):
            posix.shm_unlink(self._name)
        self._unregister()
        self.close()
        self._name = SharedMemory._name

    def _register(self) -> None:
        if self._track:
            _shm_tracker.register(self._name)
            self._registered = True

    def _unregister(self) -> None:
        if self._registered:
            self._registered = False
            _shm_tracker.forget(self._name)

    @classmethod
    def _filled(cls, name: str | None, contents: bytes | bytearray) -> Self:
        """A new segment that has its contents before it has its name."""
        made = cls.__new__(cls)
        made._contents = contents
        made.__init__(name, create=True, size=len(contents))  # type: ignore[misc]
        made._contents = b""
        return made

    # ---- In use ------------------------------------------------------------------------

    def __del__(self) -> None:
        try:
            self.close()
        except OSError:
            pass  # there is nobody to tell
        except BufferError:
            if self._strict:
                raise
            # Arrays and views still use the memory: it is unmapped with the last of them.
            self._buf = None
            self._mmap = None
            self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return self.__class__, (self.name, False, self.size)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.name!r}, size={self.size})"

    @property
    def buf(self) -> memoryview:
        """The memory, readable and writable; None once it is closed."""
        return self._buf  # type: ignore[return-value]

    @property
    def name(self) -> str:
        """What to attach by, in this process or another."""
        name = self._name
        if self._prepend_leading_slash and name.startswith("/"):
            return name[1:]
        return name

    @property
    def size(self) -> int:
        """How many bytes it has; also when it is closed."""
        return self._size

    def close(self) -> None:
        """Unmap the memory here; the segment stays. A second time does nothing.

        BufferError: memoryviews or arrays made from `buf` still exist. Drop them first. For an
        array that uses the memory without saying so, it stays until the array is gone.
        """
        if self._buf is not None:
            self._buf.release()
            self._buf = None
        if self._mmap is not None:
            # An array made by numpy.ndarray(buffer=…) refers to the mapping, which does not
            # know that its memory is read. Unmapped now, the array's next use would be a
            # SIGSEGV; so it is unmapped when nobody refers to it, mostly in the next line.
            if self._strict or _exported(self._mmap):
                self._mmap.close()
            self._mmap = None
        if self._fd >= 0:
            if self._registered:
                self._forget_if_gone()
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _forget_if_gone(self) -> None:
        """When another program has unlinked it, the tracker here need not look for it."""
        if _shm_file.has_name(self._fd):
            return
        path = _shm_file.path_of(self._name)
        # A new one of this name may be of a process that shares the tracker: leave it there.
        if path is None or not os.path.lexists(path):
            self._unregister()

    def unlink(self) -> None:
        """Remove the name: nobody can attach any more. The memory goes with its last user.

        Once for each segment, by any of those who use it, before or after close().
        FileNotFoundError: somebody has done so already.
        """
        if not self._name:
            return
        if "\0" in self._name:
            raise ValueError("embedded null character")
        if self._strict:
            posix.shm_unlink(self._name)
            if self._track:
                resource_tracker.unregister(self._name, "shared_memory")
            return
        try:
            posix.shm_unlink(self._name)
        except FileNotFoundError:
            self._unregister()
            raise
        self._registered = False
        _shm_tracker.forget(self._name)  # whoever registered it, here or in a related process
