"""Creating and opening the objects behind segments, with errors that explain."""

from __future__ import annotations

import errno
import os
import time

from isthmus import _arguments, _backing, _explain, _flags
from isthmus._backing import Backing, FileBacking, MemoryBacking, PosixBacking, SysvBacking
from isthmus._core import memory
from isthmus.errors import (
    AccessError,
    ArgumentError,
    ExistsError,
    ForeignError,
    IsthmusError,
    MismatchError,
    NoSpaceError,
    NotFoundError,
    NotReadyError,
    OwnerError,
    SealedError,
    SizeError,
    UnsupportedError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from isthmus._core.memory import Mapping

    T = TypeVar("T")

# How often an open-or-create may find the object vanish between its two halves.
_ROUNDS = 100
_O_ACCMODE = os.O_RDONLY | os.O_WRONLY | os.O_RDWR
_IPC_CREAT, _IPC_EXCL = 0o1000, 0o2000


def open_or_create(
    attach: Callable[[], T], create: Callable[[], T], what: str, name: str | None
) -> tuple[T, bool]:
    """Whichever succeeds first; tells whether it was `create`."""
    for _ in range(_ROUNDS):
        try:
            return attach(), False
        except NotFoundError:
            pass
        try:
            return create(), True
        except ExistsError:
            pass  # somebody was first; attach to theirs
    raise NotReadyError(f"{what} keeps being created and unlinked by somebody else", name=name)


# ---- POSIX -------------------------------------------------------------------------


def create_posix(
    name: str, size: int, mode: int, exist_ok: bool, owner: int, group: int
) -> tuple[Backing, Mapping, bool]:
    what = f"shared memory object {name!r}"
    path = memory.posix_path(os.fsencode(name))

    def create() -> tuple[Backing, Mapping]:
        return new_posix(name, what, path, size, mode, owner, group)

    def attach() -> tuple[Backing, Mapping]:
        backing, mapping = when_ready(lambda: attach_path(name, what, path, False, owner), 1.0)
        if mapping.size != size:
            backing.close()
            raise MismatchError(
                f"{what} exists with {mapping.size} bytes, not {size}; attach to it as it is, "
                "or choose another name",
                name=name,
            )
        return backing, mapping

    if not exist_ok:
        return *create(), True
    found, created = open_or_create(attach, create, what, name)
    return *found, created


def new_posix(
    name: str,
    what: str,
    path: bytes,
    size: int,
    mode: int,
    owner: int,
    group: int,
    initialise: Callable[[Mapping], None] | None = None,
) -> tuple[Backing, Mapping]:
    """Create, initialise and then name a POSIX object."""
    directory = os.path.dirname(path)
    try:
        draft = memory.Draft(directory, size, mode, owner, group)
        if initialise is not None:
            initialise(draft.mapping)
        descriptor = draft.publish(path)
    except OSError as error:
        raise _explain.creating(error, what, name, size, directory) from None
    return PosixBacking(descriptor, name, what, path), draft.mapping


def attach_posix(name: str, readonly: bool, owner: int, timeout: float) -> tuple[Backing, Mapping]:
    path = memory.posix_path(os.fsencode(name))
    what = f"shared memory object {name!r}"
    return when_ready(lambda: attach_path(name, what, path, readonly, owner), timeout)


def attach_path(
    name: str, what: str, path: bytes, readonly: bool, owner: int
) -> tuple[Backing, Mapping]:
    """One attempt; NotReadyError while the object has no size yet."""
    try:
        descriptor, mapping = memory.attach(path, readonly, owner)
    except OSError as error:
        raise _explain.opening(error, what, name, path) from None
    return PosixBacking(descriptor, name, what, path, readonly), mapping


def when_ready(attempt: Callable[[], T], timeout: float) -> T:
    """Try again while the object is being made, for `timeout` seconds at most.

    The creator may be a program that cannot tell us when it is done (``shm_open``, then
    ``ftruncate``), so this looks again, with growing pauses.
    """
    try:
        return attempt()
    except NotReadyError:
        deadline = time.monotonic() + timeout
    pause = 0.0002
    while True:
        time.sleep(pause)
        try:
            return attempt()
        except NotReadyError:
            if time.monotonic() >= deadline:
                raise
        pause = min(pause * 2, 0.01)


# ---- Memory objects and descriptors ------------------------------------------------


def create_anonymous(size: int, label: str) -> tuple[Backing, Mapping]:
    what = f"anonymous segment {label!r}"
    encoded = os.fsencode(_arguments.name(label))
    if len(encoded) > 249:
        raise ArgumentError(f"the label has {len(encoded)} bytes; at most 249 are possible")
    try:
        descriptor = memory.memory(encoded)
        memory.reserve(descriptor.fileno(), 0, size)
    except OSError as error:
        if error.errno in (errno.ENOMEM, errno.ENOSPC):
            raise _explain.no_memory(what, None, size) from None
        raise _explain.general(error, f"creating {what}", None) from None
    backing = MemoryBacking(descriptor, None, what)
    return backing, backing.map(size)


def adopt(fd: int, readonly: bool | None) -> tuple[Backing, Mapping]:
    import fcntl

    what = f"descriptor {fd}"
    try:
        descriptor = memory.Descriptor(os.dup(fd))
        flags = fcntl.fcntl(descriptor.fileno(), fcntl.F_GETFL)
        found = memory.status(descriptor.fileno())
    except OverflowError:
        raise ArgumentError(f"{fd} is not a file descriptor") from None
    except OSError as error:
        raise _explain.general(error, f"using {what}", None) from None
    if not found[7]:
        raise ForeignError(f"{what} is not a file or memory object, so it cannot be mapped")
    if found[2] == 0:
        raise SizeError(f"{what} is empty; give it a size before mapping it")
    if flags & _O_ACCMODE == os.O_WRONLY:
        raise AccessError(f"{what} is open for writing only; a mapping must be able to read")
    try:
        seals = memory.get_seals(descriptor.fileno())
    except OSError:
        seals = 0  # not a memory object: it has none
    cannot_write = flags & _O_ACCMODE == os.O_RDONLY
    if readonly is None:
        readonly = cannot_write or bool(seals & _flags.AGAINST_WRITING)
    if not readonly and cannot_write:
        raise AccessError(f"{what} is open for reading only; say readonly=True")
    if not readonly and seals & _flags.AGAINST_WRITING:
        raise SealedError(f"{what} is sealed against writing; say readonly=True")
    backing = MemoryBacking(descriptor, None, what, readonly)
    return backing, backing.map(found[2])


# ---- Files -------------------------------------------------------------------------


def open_file(
    path: str | os.PathLike[str], size: int | None, create: bool, readonly: bool, mode: int
) -> tuple[Backing, Mapping, bool]:
    real = _backing.file_path(path)
    name = os.fsdecode(real)
    what = f"file {name!r}"

    def attach() -> tuple[Backing, Mapping]:
        return _open_existing(name, what, real, size, readonly)

    def make() -> tuple[Backing, Mapping]:
        assert size is not None
        directory = os.path.dirname(real)
        try:
            draft = memory.Draft(directory, size, mode)
            descriptor = draft.publish(real)
        except OSError as error:
            raise _explain.creating(error, what, name, size, directory) from None
        return FileBacking(descriptor, name, what, real), draft.mapping

    if not create:
        return *attach(), False
    found, created = open_or_create(attach, make, what, name)
    return *found, created


def _open_existing(
    name: str, what: str, path: bytes, size: int | None, readonly: bool
) -> tuple[Backing, Mapping]:
    try:
        descriptor = memory.open_file(path, readonly)
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.ENXIO):
            error = OSError(errno.EILSEQ, "")
        raise _explain.opening(error, what, name, path) from None
    backing = FileBacking(descriptor, name, what, path, readonly)
    present = backing.size()
    wanted = present if size is None else size
    if wanted == 0:
        raise SizeError(f"{what} is empty; give the size that it shall have", name=name)
    if wanted > present and readonly:
        raise SizeError(
            f"{what} has {present} bytes, fewer than {wanted}, and is opened for reading only",
            name=name,
        )
    if wanted > present:
        with backing.changing_size() as fd:
            present = memory.status(fd)[2]  # somebody else may have done it meanwhile
            if wanted > present:
                backing.grow(fd, present, wanted)
    return backing, backing.map(wanted)


# ---- System V ----------------------------------------------------------------------


def open_sysv(
    key: int | None,
    size: int | None,
    id: int | None,
    mode: int,
    exist_ok: bool,
    readonly: bool,
    owner: int,
) -> tuple[Backing, Mapping, bool]:
    if id is not None:
        if key is not None or size is not None:
            raise ArgumentError("id= is for a segment that exists: give no key and no size")
        return *_attach_sysv(id, readonly, owner), False
    key = key or 0
    if not -(2**31) <= key < 2**31:
        raise ArgumentError(f"{key} is not a System V key (32 bits, signed)")
    if size is None and key == 0:
        raise ArgumentError("a private segment is created with a size, or attached to by id=")
    if size is not None and readonly:
        raise ArgumentError("a segment that is created is not attached read-only")
    what = f"System V segment {_sysv_name(key)!r}" if key else "private System V segment"

    def attach() -> tuple[Backing, Mapping]:
        found = _attach_sysv(_sysv_get(key, 0, 0, what), readonly, owner)
        if size is not None and found[1].size != size:
            raise MismatchError(f"{what} exists with {found[1].size} bytes, not {size}")
        return found

    def create() -> tuple[Backing, Mapping]:
        assert size is not None
        made = _sysv_get(key, size, _IPC_CREAT | _IPC_EXCL | mode, what)
        backing = _sysv_backing(made, key)
        try:
            return backing, backing.map(size)
        except IsthmusError:
            memory.sysv_remove(made)
            raise

    if size is None:
        return *attach(), False
    if not exist_ok or key == 0:
        return *create(), True
    found, created = open_or_create(attach, create, what, None)
    return *found, created


def sysv_id(backing: Backing) -> int:
    if isinstance(backing, SysvBacking):
        return backing.id
    raise UnsupportedError(f"{backing.what} has no System V id", name=backing.name)


def _sysv_name(key: int, id: int = -1) -> str:
    return f"sysv:{key & 0xFFFFFFFF:#x}" if key else f"sysv:private:{id}"


def _sysv_backing(id: int, key: int, readonly: bool = False) -> SysvBacking:
    name = _sysv_name(key, id)
    return SysvBacking(id, name, f"System V segment {name!r}", readonly)


def _sysv_get(key: int, size: int, flags: int, what: str) -> int:
    try:
        return memory.sysv_get(key, size, flags)
    except OSError as error:
        code = error.errno
        if code == errno.EEXIST:
            raise ExistsError(f"{what} exists already") from None
        if code == errno.ENOENT:
            raise NotFoundError(f"there is no {what}") from None
        if code == errno.EACCES:
            raise AccessError(f"{what} may not be opened by this user") from None
        if code in (errno.EINVAL, errno.ENOMEM, errno.ENOSPC) and size:
            raise _sysv_limit(code, size, what) from None
        raise _explain.general(error, f"opening {what}", None) from None


def _sysv_limit(code: int, size: int, what: str) -> IsthmusError:
    wanted = f"{what} of {_explain.size_text(size)}"
    if code == errno.EINVAL:
        return SizeError(f"{wanted}: beyond the limit of kernel.shmmax", errno=code)
    if code == errno.ENOMEM:
        return _explain.no_memory(what, None, size)
    return NoSpaceError(
        f"{wanted}: kernel.shmmni or kernel.shmall is reached; see `ipcs -l`",
        errno=code,
        wanted=size,
        available=0,
    )


def _attach_sysv(id: int, readonly: bool, owner: int) -> tuple[Backing, Mapping]:
    what = f"System V segment of id {id}"
    try:
        key, _, _, uid, _, _, _ = memory.sysv_status(id)
    except OverflowError:
        raise ArgumentError(f"{id} is not a System V id") from None
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EIDRM):
            raise NotFoundError(f"there is no {what}") from None
        if error.errno == errno.EACCES:
            raise AccessError(f"{what} may not be opened by this user") from None
        raise _explain.general(error, f"opening {what}", None) from None
    if owner != _arguments.OWNER_ANY:
        wanted = os.geteuid() if owner == _arguments.OWNER_SELF else owner
        if uid != wanted:
            raise OwnerError(
                f"{what} belongs to {_explain.user_text(uid)}, not to "
                f'{_explain.user_text(wanted)}; say owner=… (a user, or "any") if that is expected'
            )
    backing = _sysv_backing(id, key, readonly)
    return backing, backing.map(0)
