"""Why a lock or one of its friends could not be opened or used."""

from __future__ import annotations

import errno
import os

from isthmus import _arguments, _explain
from isthmus._core import memory
from isthmus.errors import (
    ClosedError,
    ForeignError,
    IsthmusError,
    NotFoundError,
    NotHeldError,
    SizeError,
    TooManyParticipantsError,
    TooManyPermitsError,
    UnsupportedError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus._handle import Handle
    from isthmus._primitive import Primitive
    from isthmus.segment import Segment

# enum isthmus_kind, and what users call them.
NOUNS = {
    1: "array",
    2: "lock",
    3: "recursive lock",
    4: "semaphore",
    5: "event",
    6: "condition",
    7: "barrier",
    8: "readers-writer lock",
    9: "atomic integer",
    10: "queue",
    11: "topic",
}
_UNFIT = (errno.EILSEQ, errno.EPROTONOSUPPORT, errno.EPROTO, errno.ENODATA, errno.EBADMSG)


def with_article(kind: int) -> str:
    noun = NOUNS[kind]
    return f"{'an' if noun[0] in 'ae' else 'a'} {noun}"


def opening(
    error: OSError, what: str, name: str | None, path: bytes, kind: int, size: int = 0
) -> IsthmusError:
    """`size`: of the object, if it was to be made."""
    code = error.errno
    if code == errno.EUSERS:
        header = _header_at(path)
        room = None if header is None else header["participants_count"]
        return too_many(what, name, room, room)
    if code == errno.EPROTOTYPE:
        header = _header_at(path)
        found = None if header is None else header["kind"]
        return _explain.another_kind(what, name, with_article(kind), NOUNS.get(found or 0))
    if code == errno.ENOSYS:
        return _no_locks(what, name)
    if code in _UNFIT or (code == errno.EAGAIN and not size):
        return _explain.checking(error, what, name, with_article(kind))
    if not path:
        return _explain.general(error, f"making {what}", name)
    if size:
        return _explain.creating(error, what, name, size, os.path.dirname(path))
    return _explain.opening(error, what, name, path, "it has to be read and written")


def placing(error: OSError, what: str, segment: Segment, kind: int, size: int) -> IsthmusError:
    """`size`: what it would take in the segment."""
    code, name = error.errno, segment.name
    if code in (errno.ERANGE, errno.ENODATA):
        return SizeError(
            f"{what} does not fit: it takes {size} bytes, and the segment has {segment.size}",
            name=name,
            errno=code,
        )
    if code == errno.ENOENT:
        return NotFoundError(f"there is no {what}, only zeros", name=name)
    if code == errno.EILSEQ:
        return ForeignError(
            f"{what} is not one: something else is there, and not the zeros that it could be "
            "made in",
            name=name,
        )
    if code == errno.EUSERS:
        return too_many(what, name, None, None)
    if code == errno.EPROTOTYPE:
        return _explain.another_kind(what, name, with_article(kind), None)
    if code == errno.ENOSYS:
        return _no_locks(what, name)
    return _explain.checking(error, what, name, with_article(kind))


def using(handle: Primitive, code: int) -> IsthmusError:
    """For an operation of the binding."""
    what, name = described(handle)
    if code == errno.EBADF:
        return ClosedError(f"{what} has been closed", name=name)
    if code == errno.EPERM:
        return _not_held(handle, what, name)
    if code == errno.EUSERS:
        living = sum(facts[6] for facts in handle._participants())
        return too_many(what, name, handle.participants, living)
    if code == errno.EOVERFLOW:
        _, _, limit = handle._facts()
        if limit:
            return TooManyPermitsError(
                f"{what} would have more permits than its limit of {limit}; nothing was given back",
                name=name,
            )
        return TooManyPermitsError(f"{what} has been taken too often by one thread", name=name)
    if code == errno.ECANCELED:
        from isthmus.barrier import BrokenBarrierError

        return BrokenBarrierError(
            f"{what} is broken: a party gave up or died, or somebody aborted or reset it; reset() "
            "makes it usable again",
            name=name,
        )
    return _explain.general(OSError(code, ""), f"using {what}", name)


def described(handle: Handle) -> tuple[str, str | None]:
    if handle._origin is None:  # never opened
        return f"this {type(handle).__name__}", None
    return handle._origin.what, handle._origin.name


def too_many(
    what: str, name: str | None, room: int | None, in_use: int | None
) -> TooManyParticipantsError:
    living = "as many living handles as there is room for"
    if room is not None:
        living = f"{in_use} living handles and room for {room}"
    return TooManyParticipantsError(
        f"{what} has {living}; close some, or make it anew with more participants=",
        name=name,
        room=room,
        in_use=in_use,
    )


def _not_held(handle: Primitive, what: str, name: str | None) -> NotHeldError:
    if handle._facts()[2]:
        return NotHeldError(
            f"{what} is robust, and this handle does not have as many permits as it would give "
            "back; what was taken before a fork is the parent's",
            name=name,
        )
    return NotHeldError(
        f"{what} is not held by this handle (a recursive one: by this thread); what was taken "
        "before a fork is the parent's",
        name=name,
    )


def _no_locks(what: str, name: str | None) -> UnsupportedError:
    return UnsupportedError(
        f"{what} needs /proc, and a file system that has open file description locks", name=name
    )


def _header_at(path: bytes) -> dict[str, int] | None:
    try:
        _, mapping = memory.attach(path, True, _arguments.OWNER_ANY)
        return memory.read_header(mapping)
    except OSError:
        return None
