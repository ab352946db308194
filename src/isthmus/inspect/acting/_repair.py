"""`repair`: put an object in order after the dead, and after damage."""

from __future__ import annotations

import ctypes
import errno
import os
from dataclasses import dataclass

from isthmus import _arguments, _explain
from isthmus._core import memory, mending
from isthmus.errors import (
    CorruptError,
    ForeignError,
    IsthmusError,
    LayoutError,
    TruncatedError,
    VersionError,
)
from isthmus.inspect._model import Severity
from isthmus.inspect.acting import _mended, _repair_dry
from isthmus.inspect.acting._unreadable import unreadable
from isthmus.inspect.acting._visiting import ARRAY, QUEUE, opening, typed_address, visiting
from isthmus.inspect.looking._observed import Observed, Vanished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus._core.memory import Mapping
    from isthmus.inspect._address import Address
    from isthmus.inspect.acting._visiting import Visit

#: Bytes from the start in which everything is that does not change: dtypes are no longer.
HEAD = 72 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """One thing that was found, and what was done about it."""

    severity: Severity
    #: One sentence: what was the matter.
    found: str
    #: One sentence: what was done; or, where it was not, what would be, or why not.
    action: str
    #: Something is lost by it: messages, as a rule.
    lossy: bool
    #: Whether that was done.
    done: bool


def repair(
    address: str | Address,
    *,
    lossy: bool = False,
    dry_run: bool = False,
    timeout: float | None = 1.0,
) -> list[Repair]:
    """Put an object in order, as far as it can be: what was found, and what was done.

    After the dead, what others would do when they next come to it: leases and permits are free
    again, subscribers evicted, the library's own locks taken over. A lock of users' whose owner
    died stays abandoned, so that the next one to take it is told: that is no damage.

    After damage: a header, cursors and counts are made anew from what the rest of the object says,
    and nothing is lost. What nothing tells is chosen so that it does no harm, and said. A message
    that is damaged is dropped, and the queue goes on with the next sound one, only where `lossy`.

    Those that use the object meanwhile need not stop; they are held up while its messages are
    looked at.

    Args:
        address: what to call it by.
        lossy: drop what cannot be mended. Else it is only told of.
        dry_run: only look, without a trace, and tell what would be done. It takes as much memory
            as the object does.
        timeout: seconds to wait for a lock of the object's own that another one has.

    Raises `NotFoundError`, `AccessError`; `UnsupportedError` for what is not of isthmus.
    `TruncatedError`, `VersionError`, `LayoutError`, `ForeignError`, `CorruptError`: it cannot be
    repaired, or must not. `InUseError`: another process has a lock for so long, and which.

    A crash in the midst leaves what is repaired by doing it again.

    >>> import isthmus
    >>> with isthmus.Queue("repair-example") as queue:
    ...     isthmus.inspect.repair(queue.name)
    []
    """
    where = typed_address(address, "repaired")
    patience = timeout if timeout is None else _arguments.timeout(timeout)
    try:
        with Observed(where.path or "") as observed:
            head, constant = mended_head(where, observed)
            if dry_run:
                told = _repair_dry.looked(observed, head, lossy)
                return _mended.repairs([*constant, *told], dry_run=True)
            deserted = _repair_dry.deserted(observed, head)
    except Vanished:
        raise where.missing() from None
    except OSError as error:
        raise error if isinstance(error, IsthmusError) else opening(error, where) from None
    if constant:
        _mend_constants(where)
    with visiting(where) as visit:
        told = _acted(visit, head, lossy, patience)
    return _mended.repairs([*constant, *told, *deserted], dry_run=False)


# ---- What is constant -----------------------------------------------------------------------


def mended_head(where: Address, observed: Observed) -> tuple[bytearray, list[_mended.Found]]:
    """A copy of the start of an object as it should be, and what is to be done to make it so.

    Raises an error that says why it cannot be made so.
    """
    size = min(HEAD, observed.size)
    head = bytearray(observed.read(0, size)).ljust(HEAD, b"\0")
    found, code = mending.mend_constants(_address_of(head), observed.size)
    if code:
        raise _beyond_repair(where, code)
    _check_elements(where, head)
    return head, [_mended.Found.constant(*one) for one in found]


def _address_of(copy: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(copy))


def _mend_constants(where: Address) -> None:
    """The same in the object itself. Whoever has it open does not read that any more."""
    mapping: Mapping
    try:
        descriptor, mapping = memory.attach(
            os.fsencode(where.path or ""), False, _arguments.OWNER_ANY
        )
        descriptor.close()
        # Whether it is all there; else reading it would end this process.
        memory.copy_out(mapping, 0, min(HEAD, mapping.size))
    except OSError as error:
        raise opening(error, where) from None
    _, code = mending.mend_constants(mapping.address, mapping.size)
    if code:
        raise _beyond_repair(where, code)


def _check_elements(where: Address, head: bytearray) -> None:
    """The text that says what an array's elements are must say so, and of the right size."""
    if int.from_bytes(head[12:16], "little") != ARRAY:
        return
    itemsize = int.from_bytes(head[264:272], "little")
    start = int.from_bytes(head[280:288], "little")
    text = bytes(head[start : start + int.from_bytes(head[288:296], "little")])
    from isthmus import _dtype

    try:
        fits = _dtype.decode(text).itemsize == itemsize
    except (ValueError, TypeError):
        fits = False
    if not fits:
        raise _beyond_repair(where, errno.EBADMSG)


def _beyond_repair(where: Address, code: int) -> IsthmusError:
    what = repr(str(where))
    reasons: dict[int, tuple[type[IsthmusError], str]] = {
        errno.ENODATA: (
            TruncatedError,
            "was cut off, and what was there is gone: it cannot be repaired; `isthmus rm` removes "
            "it",
        ),
        errno.EPROTONOSUPPORT: (
            VersionError,
            "was written by a version of isthmus with another format, and is left alone; repair "
            "it with that version",
        ),
        errno.EPROTO: (
            LayoutError,
            "was written by a build with another layout, and is left alone; repair it with a build "
            "for the same architecture",
        ),
        errno.EILSEQ: (
            ForeignError,
            "does not look like an object of isthmus, and is left alone: nothing in it says so",
        ),
        errno.EBADMSG: (
            CorruptError,
            "is damaged so much that nothing tells what it was: it cannot be repaired; "
            "`isthmus dump` shows its bytes, `isthmus rm` removes it",
        ),
    }
    if code not in reasons:
        return _explain.general(OSError(code, ""), f"repairing {what}", where.name)
    kind, text = reasons[code]
    return kind(f"{what} {text}", name=where.name)


# ---- What changes ---------------------------------------------------------------------------


def _dropped(visit: Visit, lossy: bool, timeout: float | None) -> list[_mended.Found]:
    """Messages that nobody can read."""
    if visit.kind != QUEUE:
        return []
    with Observed(visit.where.path or "") as observed:
        found = unreadable(observed)
    return [
        _mended.unreadable(record.number, why, left=not lossy)
        for record, why in found
        if not lossy or visit.guest.drop(record.position, record.number, timeout)
    ]


def _acted(
    visit: Visit, head: bytearray, lossy: bool, timeout: float | None
) -> list[_mended.Found]:
    found = []
    more = 0
    try:
        for whom in visit.participants():
            if not whom.alive and visit.guest.bury(whom.slot, timeout):
                found.append(_mended.dead(visit.kind, whom.pid, whom.share, whom.role))
        told, more = visit.guest.mend(lossy, timeout)
        found.extend(_mended.of_ring(visit.kind, told))
        found.extend(_dropped(visit, lossy, timeout))
    except Vanished:
        pass  # the last one has removed it meanwhile
    except OSError as error:
        if error.errno == errno.ETIMEDOUT:
            raise visit.holder("repaired") from None
        raise _explain.general(error, f"repairing {visit.what}", visit.where.name) from None
    if more:
        found.append(_mended.more(more))
    try:
        with Observed(visit.where.path or "") as observed:
            found.extend(_repair_dry.abandoned(observed, head, visit.kind))
    except (OSError, Vanished):
        pass  # the last one has removed it meanwhile
    return found
