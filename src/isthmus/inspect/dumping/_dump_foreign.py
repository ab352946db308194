"""What others made: bytes of segments, values of semaphores."""

from __future__ import annotations

import errno
import os
import struct
import time

from isthmus._core import memory
from isthmus.errors import AccessError, ArgumentError, IsthmusError, UnsupportedError
from isthmus.inspect.dumping import _dump_parts
from isthmus.inspect.dumping._dump_model import Dump, Field, Part, Piece

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect._address import Address
    from isthmus.inspect.looking._observed import Observed

# What glibc keeps of a named semaphore: the value, then how many wait, in a file of 32 bytes.
_SEMAPHORE_SIZE, _SEMAPHORE = 32, struct.Struct("=II")


def of_file(where: Address, observed: Observed, bytes_of: tuple[int, int] | str | None) -> Dump:
    """A POSIX segment, or the semaphore that is one."""
    parts: tuple[Part, ...] = ()
    kind = "segment"
    if where.name.startswith("/sem.") and observed.size == _SEMAPHORE_SIZE:
        kind = "semaphore"
        value, waiting = _SEMAPHORE.unpack(observed.read(0, _SEMAPHORE.size))
        fields = (
            Field(name="value", offset=0, size=4, value=value, meaning="as glibc keeps it"),
            Field(name="waiting", offset=4, size=4, value=waiting, meaning="threads"),
        )
        parts = (Part(section="control", title="semaphore", offset=0, fields=fields),)
    return Dump(
        address=str(where),
        name=where.name,
        kind=kind,
        taken=time.time(),
        path=where.path,
        size=observed.size,
        extents=_dump_parts.extents(observed),
        parts=parts,
        pieces=() if bytes_of is None else _dump_parts.pieces(observed, _numbers(bytes_of)),
    )


def without_file(where: Address, bytes_of: tuple[int, int] | str | None) -> Dump:
    """System V segments and semaphores."""
    if where.kind in ("messages", "socket"):
        why = (
            "its messages can only be looked at by taking them out"
            if where.kind == "messages"
            else "a socket has no bytes of its own"
        )
        raise UnsupportedError(
            f"{str(where)!r} cannot be dumped: {why}; `isthmus info` tells the rest",
            name=where.name,
        )
    try:
        return _segment(where, bytes_of) if where.kind == "segment" else _semaphores(where)
    except IsthmusError:
        raise
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EIDRM, errno.ENOENT):
            raise where.missing() from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise AccessError(
                f"{str(where)!r} may not be read: {os.strerror(error.errno)}; ask as its owner, "
                "or as root",
                name=where.name,
            ) from None
        raise


def _segment(where: Address, bytes_of: tuple[int, int] | str | None) -> Dump:
    """The kernel notes who attaches last, and when; so only where bytes are asked for."""
    from isthmus._core import sysv

    id = _id(where)
    size = memory.sysv_status(id)[1]
    pieces: tuple[Piece, ...] = ()
    if bytes_of is not None:
        first, end = _dump_parts.checked_range(_numbers(bytes_of))
        end = min(end, size)
        if first < end:
            mapping = memory.sysv_attach(id, sysv.SHM_RDONLY)
            pieces = (Piece(first, end - first, memory.copy_out(mapping, first, end - first)),)
            del mapping
    return _made(where, "segment", size, (), pieces)


def _semaphores(where: Address) -> Dump:
    from isthmus._core import sysv

    values = sysv.semctl(_id(where), 0, sysv.GETALL)
    fields = tuple(
        Field(name=f"semaphore {number}", offset=0, size=2, value=value)
        for number, value in enumerate(values)
    )
    part = Part(section="control", title="values", offset=0, fields=fields)
    return _made(where, "semaphores", 0, (part,), ())


def _made(
    where: Address, kind: str, size: int, parts: tuple[Part, ...], pieces: tuple[Piece, ...]
) -> Dump:
    return Dump(
        address=str(where),
        name=where.name,
        kind=kind,
        taken=time.time(),
        path=None,
        size=size,
        extents=((0, size),) if size else (),
        parts=parts,
        pieces=pieces,
    )


def _id(where: Address) -> int:
    # The kernel's ids are ints of C; a larger one is nobody's.
    if where.id is None or where.id >= 1 << 31:
        raise where.missing()
    return where.id


def _numbers(bytes_of: tuple[int, int] | str) -> tuple[int, int]:
    if isinstance(bytes_of, str):
        raise ArgumentError(f"{bytes_of!r}: only objects of isthmus have regions; give two numbers")
    return bytes_of
