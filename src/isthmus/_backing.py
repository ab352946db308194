"""What a segment is made on: a POSIX object, a memory object, a file, System V memory.

A backing knows the object behind a mapping: how to describe it, remove its name,
change its size and find it again from another process. `Segment` does the rest.
"""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod

from isthmus import _arguments, _explain
from isthmus._core import memory
from isthmus.errors import (
    AccessError,
    NotFoundError,
    ReplacedError,
    TruncatedError,
    UnsupportedError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any

    from isthmus._core.memory import Descriptor, Mapping


class Backing(ABC):
    """Base: an object with a descriptor."""

    __slots__ = ("descriptor", "name", "readonly", "what")

    kind = ""

    def __init__(
        self, descriptor: Descriptor, name: str | None, what: str, readonly: bool = False
    ) -> None:
        self.descriptor = descriptor
        self.name = name
        self.what = what  # for messages
        self.readonly = readonly

    def fileno(self) -> int:
        return self.descriptor.fileno()

    def close(self) -> None:
        self.descriptor.close()

    def identity(self) -> tuple[int, int, int]:
        """Tells this object from any other, also from a later one of the same name."""
        found = memory.status(self.fileno())
        return found[0], found[1], 0

    def size(self) -> int:
        return memory.status(self.fileno())[2]

    def permissions(self) -> tuple[int, int, int]:
        """(mode, uid, gid) as they are now."""
        found = memory.status(self.fileno())
        return found[4], found[5], found[6]

    def map(self, size: int) -> Mapping:
        try:
            return memory.map_shared(self.fileno(), size, self.readonly)
        except OSError as error:
            raise _explain.general(error, f"mapping {self.what}", self.name) from None

    def changing_size(self) -> SizeLock:
        """For a ``with`` block around whatever changes the size; gives the descriptor for it."""
        return SizeLock(self)

    def keeping_size(self) -> AbstractContextManager[object]:
        """For a ``with`` block in which the size must stay what it is."""
        return SizeLock(self, shared=True)

    def grow(self, fd: int, reserved: int, size: int) -> None:
        """Allocate the bytes from `reserved` to `size`; the object keeps its size on failure.

        `fd` is what `changing_size` gave. A process killed in here leaves the object longer
        than it was by some part, all of it allocated and zero; so does a failure when the
        object is sealed against shrinking.
        """
        before = memory.status(fd)[2]
        try:
            memory.reserve(fd, reserved, size)
        except BaseException as error:
            if size > before:
                # Some steps may have been done: give them back.
                try:
                    memory.truncate(fd, before)
                except OSError:
                    pass  # sealed; what went wrong before is what counts
            if isinstance(error, OSError):
                raise _explain.growing(error, self.what, self.name, size, fd) from None
            raise

    def shrink(self, fd: int, size: int) -> None:
        try:
            memory.truncate(fd, size)
        except OSError as error:
            raise _explain.growing(error, self.what, self.name, size, fd) from None

    def unlink(self) -> None:
        raise UnsupportedError(f"{self.what} has no name to remove", name=self.name)

    def again(self, size: int) -> tuple[Backing, Mapping]:
        """The same object, opened once more in this process."""
        reopen, arguments = self.reduce(size)
        found: tuple[Backing, Mapping] = reopen(*arguments)
        return found

    @abstractmethod
    def reduce(self, size: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """How another process maps the same object, of which `size` bytes are mapped here.

        (function, arguments) for pickle. Objects in memory are mapped whole, as large as they
        are by then; of a file, the part that is mapped here.
        """


class SizeLock:
    """Alone among those who change the size of an object through isthmus.

    `shared`: together with others who need that nobody changes it.

    Without that, giving back what a failed growth has allocated could cut off what somebody
    else has grown in the meantime. Waits for whoever is at it; the kernel ends the lock
    of one that dies.

    The lock is on a descriptor of its own, which others that use the same handle (threads, a
    forked child) neither share nor can close halfway.
    """

    __slots__ = ("_backing", "_descriptor", "_shared")

    _descriptor: Descriptor

    def __init__(self, backing: Backing, *, shared: bool = False) -> None:
        self._backing = backing
        self._shared = shared

    def __enter__(self) -> int:
        backing = self._backing
        try:
            self._descriptor = memory.reopen(backing.fileno(), backing.readonly)
            memory.lock_size(self._descriptor.fileno(), self._shared)
        except OSError as error:
            raise _explain.general(error, f"resizing {backing.what}", backing.name) from None
        return self._descriptor.fileno()

    def __exit__(self, *_: object) -> None:
        memory.unlock_size(self._descriptor.fileno())
        self._descriptor.close()


class _Named(Backing):
    """An object with a path in some file system."""

    __slots__ = ("_identity", "path")

    def __init__(
        self, descriptor: Descriptor, name: str, what: str, path: bytes, readonly: bool = False
    ) -> None:
        super().__init__(descriptor, name, what, readonly)
        self.path = path
        self._identity = super().identity()  # now, since unlink() may come after close()

    def identity(self) -> tuple[int, int, int]:
        return self._identity

    def unlink(self) -> None:
        if self.readonly:
            raise AccessError(
                f"{self.what} is attached for reading only and is not unlinked through it",
                name=self.name,
            )
        try:
            memory.remove(*self.identity(), self.path)
        except OSError as error:
            raise _explain.unlinking(error, self.what, self.name) from None


class PosixBacking(_Named):
    """A POSIX shared memory object, raw or typed."""

    __slots__ = ()

    kind = "posix"

    def reduce(self, size: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return reopen_posix, (self.name, self.what, self.path, self.readonly, self.identity())


class FileBacking(_Named):
    """A file in any file system."""

    __slots__ = ()

    kind = "file"

    def __init__(
        self, descriptor: Descriptor, name: str, what: str, path: bytes, readonly: bool = False
    ) -> None:
        super().__init__(descriptor, name, what, path, readonly)
        # Unlike those of memory, file systems on a disk give an inode number again at once.
        self._identity = (*self._identity[:2], memory.generation(descriptor.fileno()))

    def reduce(self, size: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        arguments = (self.name, self.what, self.path, self.readonly, self.identity(), size)
        return reopen_file, arguments


class MemoryBacking(Backing):
    """A memory object without a name (memfd), or whatever a descriptor stands for."""

    __slots__ = ()

    kind = "anonymous"

    def map(self, size: int) -> Mapping:
        if not self.readonly:
            return super().map(size)
        # By a descriptor that cannot write: else the mapping could be made writable, and counts
        # as such against the seal "write".
        try:
            reading = memory.reopen(self.fileno(), True)
            return memory.map_shared(reading.fileno(), size, True)
        except OSError as error:
            raise _explain.general(error, f"mapping {self.what}", self.name) from None

    def again(self, size: int) -> tuple[Backing, Mapping]:
        duplicate = memory.Descriptor(os.dup(self.fileno()))
        backing = MemoryBacking(duplicate, None, self.what, self.readonly)
        return backing, backing.map(size)

    def reduce(self, size: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # Travels as a descriptor: only to processes that multiprocessing can pass one to.
        from multiprocessing import reduction

        passed = reduction.DupFd(self.fileno())
        return reopen_memory, (passed, self.what, self.readonly)


class SysvBacking(Backing):
    """A System V shared memory segment. It has an id where others have a descriptor."""

    __slots__ = ("id",)

    kind = "sysv"

    def __init__(self, id: int, name: str, what: str, readonly: bool = False) -> None:
        super().__init__(memory.Descriptor(), name, what, readonly)
        self.id = id

    def fileno(self) -> int:
        raise UnsupportedError(f"{self.what} has no file descriptor", name=self.name)

    def identity(self) -> tuple[int, int, int]:
        return -1, self.id, 0

    def size(self) -> int:
        return memory.sysv_status(self.id)[1]

    def permissions(self) -> tuple[int, int, int]:
        _, _, mode, uid, gid, _, _ = memory.sysv_status(self.id)
        return mode, uid, gid

    def map(self, size: int) -> Mapping:
        try:
            return memory.sysv_attach(self.id, 0o10000 if self.readonly else 0)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EIDRM):
                raise NotFoundError(f"{self.what} is gone already", name=self.name) from None
            raise _explain.general(error, f"attaching to {self.what}", self.name) from None

    def changing_size(self) -> SizeLock:
        raise UnsupportedError(f"{self.what} cannot change its size", name=self.name)

    def keeping_size(self) -> AbstractContextManager[object]:
        from contextlib import nullcontext

        return nullcontext()  # nobody can change it

    def unlink(self) -> None:
        if self.readonly:
            raise AccessError(
                f"{self.what} is attached for reading only and is not removed through it",
                name=self.name,
            )
        try:
            removed = memory.sysv_status(self.id)[6]
            if not removed:
                memory.sysv_remove(self.id)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EIDRM):
                raise NotFoundError(f"{self.what} is gone already", name=self.name) from None
            raise _explain.unlinking(error, self.what, self.name) from None
        if removed:
            raise NotFoundError(f"{self.what} has been removed already", name=self.name)

    def reduce(self, size: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return reopen_sysv, (self.id, self.name, self.what, self.readonly)


# ---- Finding an object again, in another process -----------------------------------


def _same(backing: Backing, identity: tuple[int, int, int]) -> Backing:
    if backing.identity() == identity:
        return backing
    backing.close()
    raise ReplacedError(
        f"{backing.what} was removed and made anew after this handle to it was sent here",
        name=backing.name,
    )


def reopen_posix(
    name: str, what: str, path: bytes, readonly: bool, identity: tuple[int, int, int]
) -> tuple[Backing, Mapping]:
    # Whose it may be was decided where the handle came from; identity says it is that one.
    try:
        descriptor, mapping = memory.attach(path, readonly, _arguments.OWNER_ANY)
    except OSError as error:
        raise _explain.opening(error, what, name, path) from None
    return _same(PosixBacking(descriptor, name, what, path, readonly), identity), mapping


def reopen_file(
    name: str, what: str, path: bytes, readonly: bool, identity: tuple[int, int, int], size: int
) -> tuple[Backing, Mapping]:
    try:
        descriptor = memory.open_file(path, readonly)
    except OSError as error:
        raise _explain.opening(error, what, name, path) from None
    backing = _same(FileBacking(descriptor, name, what, path, readonly), identity)
    present = backing.size()
    if present < size:
        raise TruncatedError(
            f"{what} has {present} bytes by now, and the handle that was sent here had {size}",
            name=name,
        )
    return backing, backing.map(size)


def reopen_memory(passed: Any, what: str, readonly: bool) -> tuple[Backing, Mapping]:
    backing = MemoryBacking(memory.Descriptor(passed.detach()), None, what, readonly)
    return backing, backing.map(backing.size())


def reopen_sysv(id: int, name: str, what: str, readonly: bool) -> tuple[Backing, Mapping]:
    backing = SysvBacking(id, name, what, readonly)
    return backing, backing.map(0)


# ---- Users' paths ------------------------------------------------------------------


def file_path(path: str | os.PathLike[str]) -> bytes:
    """The real path: a mapping is of the file that a link leads to, now and later."""
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"path must be a str or os.PathLike, not {type(path).__name__}")
    _arguments.name(text)
    return os.fsencode(os.path.realpath(text))
