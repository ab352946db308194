"""`Segment`: a piece of shared memory."""

from __future__ import annotations

import weakref

from isthmus import _arguments, _opening
from isthmus._core import memory
from isthmus._kernel import KernelCalls
from isthmus.errors import (
    AccessError,
    ArgumentError,
    ClosedError,
    InUseError,
    IsthmusError,
    SizeError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Self, SupportsIndex

    import numpy as np
    import numpy.typing as npt

    from isthmus._backing import Backing
    from isthmus._core.memory import Mapping


class Segment(KernelCalls):
    """Shared memory, mapped: created, attached, anonymous, a file, or System V.

    Made by one of the class methods `create`, `attach`, `anonymous`, `from_fd`,
    `map_file` and `sysv`; there is no other constructor. The bytes are in `buf`,
    or, as a numpy array, come from `array`.

    Lifetime. `close` (or leaving the ``with`` block) ends the use of the handle;
    the memory stays mapped until the last memoryview or array made from it is
    gone, so none of them ever dangles. The *name* stays until somebody calls
    `unlink`; nothing else removes it, whichever process ends in whichever way.

    Threads may share a segment. There is no lock in it: who writes when is up to
    the participants. A segment pickles: by name for named ones, as a descriptor
    for anonymous ones (to child processes of `multiprocessing`).

    >>> import isthmus, os
    >>> with isthmus.Segment.create(f"doc-{os.getpid()}", 4096) as seg:
    ...     seg.buf[:5] = b"hello"
    ...     other = isthmus.Segment.attach(seg.name, readonly=True)
    ...     print(bytes(other.buf[:5]))
    ...     other.close()
    ...     seg.unlink()
    b'hello'
    """

    __slots__ = ("__weakref__", "_backing", "_buf", "_created", "_mapping", "_remains", "_size")

    _backing: Backing
    _mapping: Mapping | None
    _buf: memoryview | None
    _created: bool
    _size: int
    _remains: tuple[weakref.ref[Mapping], ...]

    def __init__(self) -> None:
        raise TypeError(
            "a Segment is made by Segment.create, .attach, .anonymous, .from_fd, .map_file or .sysv"
        )

    @classmethod
    def _over(cls, backing: Backing, mapping: Mapping, created: bool = False) -> Self:
        self = cls.__new__(cls)
        self._backing = backing
        self._created = created
        self._remains = ()
        self._take(mapping)
        return self

    def _take(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._buf = None
        self._size = mapping.size
        # Views of earlier mappings may live, too: of the same memory, before it was resized.
        earlier = [each for each in self._remains if each() is not None]
        self._remains = (*earlier, weakref.ref(mapping))

    # ---- Making one ---------------------------------------------------------------

    @classmethod
    def create(
        cls,
        name: str,
        size: SupportsIndex | str,
        *,
        mode: SupportsIndex = 0o600,
        exist_ok: bool = False,
        owner: SupportsIndex | str | None = None,
        group: SupportsIndex | str | None = None,
    ) -> Self:
        """Create the POSIX shared memory object `name`, `size` zero bytes, and map it.

        The object appears complete or not at all: its pages are reserved and its mode
        is set before it gets its name. A process killed in here leaves nothing.

        Args:
            name: as other programs write it for ``shm_open``; a leading slash is optional.
                1 to 255 bytes, without a slash inside.
            size: bytes, or a text such as ``"16 MiB"``.
            mode: permission bits, exact, whatever the umask is.
            exist_ok: attach if it is there already; it must then have this very size and
                belong to `owner`. `created` tells which of the two happened.
            owner, group: a uid/gid or name to give it to; takes privileges.

        Raises:
            ExistsError: the name is taken.
            NoSpaceError: the shared memory file system has too little room.
            NameInvalidError, SizeError, ArgumentError: bad input.
            MismatchError: with `exist_ok`, it exists with another size.
            AccessError, OwnerError: not permitted; with `exist_ok`, somebody else's.

        Blocks only while the kernel finds and clears the pages (some 0.4 s per GiB).
        """
        bare = _arguments.posix_name(name)
        wanted = _arguments.size(size)
        backing, mapping, created = _opening.create_posix(
            bare,
            wanted,
            _arguments.mode(mode),
            exist_ok,
            _arguments.new_owner(owner),
            _arguments.new_group(group),
        )
        return cls._over(backing, mapping, created)

    @classmethod
    def attach(
        cls,
        name: str,
        *,
        readonly: bool = False,
        owner: SupportsIndex | str | None = None,
        timeout: float = 1.0,
    ) -> Self:
        """Map the existing POSIX shared memory object `name`, whoever made it.

        Args:
            readonly: open and map for reading only; this handle can then do no harm.
            owner: whose it may be: a uid or user name, ``"any"``, or None for the
                effective user of this process.
            timeout: seconds to wait, at most, for a program that has created the object
                and is about to give it its size. isthmus itself never leaves it so.

        Raises:
            NotFoundError, AccessError, OwnerError, NameInvalidError.
            NotReadyError: still without a size when `timeout` has passed.
            ForeignError: the name is a link, directory, FIFO, socket or device.
        """
        bare = _arguments.posix_name(name)
        backing, mapping = _opening.attach_posix(
            bare, bool(readonly), _arguments.owner(owner), _arguments.timeout(timeout)
        )
        return cls._over(backing, mapping)

    @classmethod
    def anonymous(
        cls,
        size: SupportsIndex | str,
        *,
        label: str = "isthmus",
        seals: tuple[str, ...] = ("shrink",),
    ) -> Self:
        """Memory without a name, for this process and those that it is passed to.

        It goes when the last process that has it is gone: nothing to unlink, nothing
        to leak. Pass it by fork, as an argument of `multiprocessing`, by
        ``subprocess.Popen(pass_fds=[seg.fileno()])`` or over a Unix socket with
        ``socket.send_fds``; the other side calls `from_fd`.

        Args:
            size: bytes, or a text such as ``"16 MiB"``.
            label: shown in ``/proc/PID/maps``; need not be unique; at most 249 bytes.
            seals: what nobody may do to it from now on, see `seal`. By default nobody can
                shrink it, so that a partner cannot cause SIGBUS here.

        Raises:
            NoSpaceError, SizeError, ArgumentError.
        """
        wanted = _arguments.size(size)
        backing, mapping = _opening.create_anonymous(wanted, label)
        self = cls._over(backing, mapping, True)
        if seals:
            self.seal(*seals)
        return self

    @classmethod
    def from_fd(cls, fd: SupportsIndex, *, readonly: bool | None = None) -> Self:
        """Map what the descriptor `fd` stands for, all of it. `fd` stays the caller's.

        Args:
            fd: of a memory object, POSIX object or file; usually received from another process.
            readonly: None: read and write if descriptor and seals allow it, else read only.

        Raises:
            ForeignError: not a file or memory object. SizeError: it is empty.
            AccessError, SealedError: `readonly=False` asked for more than is allowed.
        """
        backing, mapping = _opening.adopt(_arguments.integer(fd, "fd"), readonly)
        return cls._over(backing, mapping)

    @classmethod
    def map_file(
        cls,
        path: str | os.PathLike[str],
        *,
        size: SupportsIndex | str | None = None,
        create: bool = False,
        readonly: bool = False,
        mode: SupportsIndex = 0o600,
    ) -> Self:
        """Map a file, so that its bytes are shared by all who map it and kept on disk.

        Args:
            path: links are followed.
            size: bytes to map; None for the whole file. A file that is shorter is made
                longer, with the new blocks reserved, so that a full disk is an error here.
                Holes that a sparse file has already stay; `reserve` fills them.
            create: make the file if it is not there, complete or not at all; needs `size`.
            readonly: open and map for reading only.
            mode: permission bits of a file made here, exact.

        Raises:
            NotFoundError, AccessError, NoSpaceError, SizeError, ForeignError.

        When the bytes are on the disk is decided by the kernel, or by `flush`.
        A file that is cut short by another process while mapped raises SIGBUS on access
        beyond its new end; no library can prevent that.
        """
        wanted = None if size is None else _arguments.size(size)
        if create and wanted is None:
            raise ArgumentError("create=True needs a size")
        if create and readonly:
            raise ArgumentError("a file that is created is not mapped read-only")
        backing, mapping, created = _opening.open_file(
            path, wanted, bool(create), bool(readonly), _arguments.mode(mode)
        )
        return cls._over(backing, mapping, created)

    @classmethod
    def sysv(
        cls,
        key: SupportsIndex | None = None,
        size: SupportsIndex | str | None = None,
        *,
        id: SupportsIndex | None = None,
        mode: SupportsIndex = 0o600,
        exist_ok: bool = False,
        readonly: bool = False,
        owner: SupportsIndex | str | None = None,
    ) -> Self:
        """System V shared memory: created when a size is given, else attached to.

        Args:
            key: the number that participants agree on (see `isthmus.sysv.ftok`); None or 0
                for a private one, which others find by `id` only.
            size: bytes to create it with; None: it must exist.
            id: attach to the segment of this id instead.
            mode: permission bits.
            exist_ok: with a size: attach if it exists already, with this very size.
            readonly: attach for reading only.
            owner: whose an existing one may be, as for `attach`.

        Raises:
            ExistsError, NotFoundError, AccessError, OwnerError, SizeError, ArgumentError,
            MismatchError, NoSpaceError.

        `unlink` marks it for removal (IPC_RMID); without that it stays until the host
        is shut down. It has no descriptor and cannot change its size.
        """
        backing, mapping, created = _opening.open_sysv(
            None if key is None else _arguments.integer(key, "key"),
            None if size is None else _arguments.size(size),
            None if id is None else _arguments.integer(id, "id"),
            _arguments.mode(mode),
            exist_ok,
            bool(readonly),
            _arguments.owner(owner),
        )
        return cls._over(backing, mapping, created)

    # ---- What it is ----------------------------------------------------------------

    def _open(self) -> Mapping:
        mapping = self._mapping
        if mapping is None:
            raise self._not_open()
        return mapping

    def _not_open(self) -> IsthmusError:
        what = self._backing.what
        if self.closed:
            return ClosedError(f"{what} has been closed", name=self.name)
        return InUseError(f"{what} is just being made smaller by another thread", name=self.name)

    @property
    def name(self) -> str | None:
        """The POSIX name without slash, the file's path, ``"sysv:…"``, or None if anonymous."""
        return self._backing.name

    @property
    def kind(self) -> str:
        """``"posix"``, ``"anonymous"``, ``"file"`` or ``"sysv"``."""
        return self._backing.kind

    @property
    def size(self) -> int:
        """Bytes mapped. Another process may have resized the object since: see `resize`."""
        return self._size

    @property
    def mode(self) -> int:
        """Permission bits of the object, as they are now."""
        self._open()
        return self._backing.permissions()[0]

    @property
    def owner(self) -> int:
        """User id of the object's owner, as it is now."""
        self._open()
        return self._backing.permissions()[1]

    @property
    def group(self) -> int:
        """Group id of the object, as it is now."""
        self._open()
        return self._backing.permissions()[2]

    @property
    def readonly(self) -> bool:
        """Whether this handle may only read."""
        return self._backing.readonly

    @property
    def created(self) -> bool:
        """Whether this handle made the object, rather than found it."""
        return self._created

    @property
    def id(self) -> int:
        """The id of a System V segment, for ``Segment.sysv(id=…)``; else UnsupportedError."""
        return _opening.sysv_id(self._backing)

    @property
    def closed(self) -> bool:
        """Whether `close` has been called."""
        return self._mapping is None and self._backing.descriptor.closed

    @property
    def deferred(self) -> bool:
        """Whether it is closed and yet mapped, because something made from it is still alive."""
        return self.closed and any(each() is not None for each in self._remains)

    def fileno(self) -> int:
        """The open file descriptor. UnsupportedError for System V memory, which has none."""
        self._open()
        return self._backing.fileno()

    # ---- Its bytes -----------------------------------------------------------------

    @property
    def buf(self) -> memoryview:
        """All bytes as a memoryview (format ``B``), writable unless the segment is read-only."""
        buf = self._buf
        if buf is None:
            mapping = self._open()
            buf = memoryview(mapping)
            if self._mapping is mapping:  # else another thread has resized it meanwhile
                self._buf = buf
        return buf

    def array(
        self,
        shape: SupportsIndex | tuple[SupportsIndex, ...] | None = None,
        dtype: npt.DTypeLike = "u1",
        *,
        offset: SupportsIndex = 0,
        order: str = "C",
    ) -> np.ndarray[Any, Any]:
        """A numpy array over the memory from `offset` on, not a copy.

        Args:
            shape: lengths; None for one dimension with as many elements as fit.
            dtype: any numpy dtype without Python objects.
            offset: bytes from the start.
            order: ``"C"`` (last index varies fastest) or ``"F"``.

        The array keeps the memory mapped for as long as it lives, also after `close`.
        """
        mapping = self._open()
        from isthmus import _dtype

        return _dtype.view(mapping, shape, dtype, _arguments.size(offset, "offset", 0), order)

    # ---- Its size ------------------------------------------------------------------

    def resize(self, size: SupportsIndex | str | None = None, *, shrink: bool = False) -> None:
        """Change the size of the object, and of this mapping of it.

        Args:
            size: new number of bytes; None: take over the size that the object has now,
                because another process has changed it.
            shrink: allow a smaller size. Whoever else has the rest mapped gets SIGBUS when
                touching it, hence not by default.

        New bytes are zero and reserved. Waits while somebody else is resizing it; one that
        is killed while growing leaves it longer by some of them, which is harmless (and so does
        an exception from a signal handler if the segment is sealed against shrinking). `buf` is
        a new memoryview afterwards; memoryviews and arrays from before stay valid (they show
        the old extent of the same memory).

        Raises:
            NoSpaceError: the object keeps its size. SizeError. AccessError (read-only).
            InUseError: shrinking while something made from this segment is alive.
            SealedError, UnsupportedError (System V).
        """
        self._open()
        backing = self._backing
        if size is None:
            with backing.keeping_size():
                wanted = backing.size()
                if wanted == 0:
                    raise SizeError(f"{backing.what} has been cut to size 0", name=self.name)
                self._remap(wanted)
            return
        wanted = _arguments.size(size)
        if backing.readonly:
            raise AccessError(f"{backing.what} is attached for reading only", name=self.name)
        with backing.changing_size() as fd:
            self._change_size(fd, wanted, shrink)
            # Still alone: else another thread could cut off what is just being mapped.
            self._remap(wanted)

    def _remap(self, size: int) -> None:
        if self._mapping is None or size != self._size:
            self._take(self._backing.map(size))

    def _change_size(self, fd: int, wanted: int, shrink: bool) -> None:
        backing = self._backing
        current = memory.status(fd)[2]
        if wanted > current:
            backing.grow(fd, current, wanted)
        elif wanted < current:
            if not shrink:
                raise SizeError(
                    f"{backing.what} has {current} bytes; making it smaller ({wanted}) crashes "
                    "processes that use the rest: say shrink=True if there are none",
                    name=self.name,
                )
            self._release_for_shrinking()
            try:
                backing.shrink(fd, wanted)
            except BaseException:
                self._take(backing.map(current))
                raise

    def _release_for_shrinking(self) -> None:
        *earlier, current = self._remains
        if not any(each() is not None for each in earlier):
            self._mapping = self._buf = None
            left = current()
            if left is None:
                return
            self._mapping = left
        raise InUseError(
            f"{self._backing.what} cannot shrink: a memoryview or array of it is still alive",
            name=self.name,
        )

    def reserve(self) -> None:
        """Allocate every page that is still a hole, so that no later access can fail.

        Segments made by isthmus have no holes. Those of other programs (``ftruncate``
        without more) and sparse files may: writing to a hole while the file system is full
        is SIGBUS. Raises NoSpaceError instead, and AccessError if attached for reading only.
        """
        self._open()
        if self.readonly:
            raise AccessError(f"{self._backing.what} is attached for reading only", name=self.name)
        with self._backing.changing_size() as fd:
            self._backing.grow(fd, 0, memory.status(fd)[2])

    # ---- Its end -------------------------------------------------------------------

    def close(self) -> None:
        """End the use of this handle; the object and its name stay. May be called twice.

        The memory is unmapped at once, or, if memoryviews or arrays made from it are still
        in use, with the last of them; `deferred` tells. They stay valid until then.
        """
        self._mapping = self._buf = None
        self._backing.close()

    def unlink(self) -> None:
        """Remove the name. The memory lives on until its last user is gone.

        Only ever removes the object that this handle stands for.

        Raises:
            NotFoundError: the name is gone. ReplacedError: it stands for another object.
            AccessError: not permitted, or attached for reading only.
            UnsupportedError: anonymous.

        May also be called after `close`.
        """
        self._backing.unlink()

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __copy__(self) -> Self:
        """Another handle to the same object, as pickling makes one, without leaving the process."""
        self._open()
        return self._over(*self._backing.again(self._size))

    def __deepcopy__(self, memo: object) -> Self:
        return self.__copy__()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self._open()
        return _restore, (type(self), *self._backing.reduce(self._size))

    def __repr__(self) -> str:
        state = "deferred, " if self.deferred else "closed, " if self.closed else ""
        access = "read-only" if self.readonly else "read-write"
        label = "" if self.name is None else f" {self.name!r}"
        return f"<isthmus.Segment{label} {self.kind}, {state}{access}, {self._size} bytes>"


def _restore(
    cls: type[Segment], reopen: Callable[..., tuple[Backing, Mapping]], arguments: tuple[Any, ...]
) -> Segment:
    return cls._over(*reopen(*arguments))
