"""`remove`: take an object's name away, unless somebody has it."""

from __future__ import annotations

import errno
import os

from isthmus import _explain
from isthmus.errors import AccessError, InUseError, ReplacedError
from isthmus.inspect._address import Address
from isthmus.inspect.acting._claims import claim
from isthmus.inspect.looking import _shared
from isthmus.inspect.looking._observed import Vanished
from isthmus.inspect.others._foreign import foreign_object
from isthmus.inspect.others._processes import users_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.errors import IsthmusError
    from isthmus.inspect._model import SharedObject
    from isthmus.inspect.acting._claims import Claim
    from isthmus.inspect.others._processes import Users

# Processes that an error names; of more, it says how many.
_NAMED = 3


def remove(address: str | Address, *, force: bool = False) -> SharedObject:
    """Remove an object that nobody has: what it was.

    Args:
        address: what to call it by, see `Address`.
        force: remove it also if somebody has it, or if that cannot be known. Those who have it
            keep it, without its name, and do not meet those who make it anew.

    Raises `InUseError` when somebody has it, or nobody can tell, and says who; also with `force`
    for the socket of a channel that somebody listens at, and for a draft that somebody is making.
    Raises `NotFoundError`, `AccessError`, and `ReplacedError` when the name was given to another
    object meanwhile, which is left alone.

    Removes it only while it is certain that nobody comes in: dies at any step: it is there as it
    was, or gone.

    >>> import isthmus
    >>> isthmus.Segment.create("guide-removed", 4096).close()
    >>> isthmus.inspect.remove("guide-removed").size
    4096
    """
    where = address if isinstance(address, Address) else Address.parse(address)
    try:
        users = users_of()
        shared = _find(where, users)
        before = _status(shared)
        held = claim(shared, users)
    except Vanished:
        raise where.missing() from None
    except PermissionError as error:
        raise AccessError(
            f"{str(where)!r} may not be looked at: {error.strerror}; remove it as its owner",
            name=where.name,
        ) from None
    with held:
        if before and held.status and not os.path.samestat(before, held.status):
            raise ReplacedError(
                f"{str(where)!r} stands for another object than a moment ago, which was left alone",
                name=where.name,
            )
        _refuse(shared, held, force)
        try:
            held.remove(force)
        except OSError as error:
            raise explained(error, shared) from None
    return shared


def _status(shared: SharedObject) -> os.stat_result | None:
    """Of its file, if it has one."""
    try:
        return os.lstat(shared.path) if shared.path else None
    except FileNotFoundError:
        raise Vanished(shared.address) from None


def _find(where: Address, users: Users) -> SharedObject:
    if where.family != "isthmus" or where.kind is not None:
        return foreign_object(where, users)
    return _shared.examine(where, users)


def _refuse(shared: SharedObject, held: Claim, force: bool) -> None:
    if held.free or (force and held.by_force):
        return
    what = f"{shared.kind} {shared.address!r}"
    if held.free is None:
        raise InUseError(
            f"{what} was left alone, since nobody can tell whether it is in use: {held.evidence}; "
            + ("look as root, or " if os.geteuid() and shared.family != "sysv" else "")
            + "remove it with force",
            name=shared.name,
        )
    remedy = "stop those first, or remove it with force" if held.by_force else "stop those first"
    raise InUseError(f"{what} is in use{who(shared)}: {held.evidence}; {remedy}", name=shared.name)


def who(shared: SharedObject) -> str:
    """Those that have it, for a sentence."""
    named = [
        f"{process.pid} ({process.command})" if process.command else str(process.pid)
        for process in shared.users[:_NAMED]
    ]
    if not named:
        return ""
    more = len(shared.users) - len(named)
    if more:
        named.append(f"{more} more")
    return f" by process {', '.join(named)}"


def explained(error: OSError, shared: SharedObject) -> IsthmusError:
    """Why it could not be removed."""
    what = f"{shared.kind} {shared.address!r}"
    if error.errno == errno.EBUSY:
        return InUseError(f"{what} was left alone: {error.strerror}", name=shared.name)
    if error.errno in (errno.EIDRM, errno.EINVAL):
        return _explain.unlinking(FileNotFoundError(errno.ENOENT, "removed"), what, shared.name)
    found = _explain.unlinking(error, what, shared.name)
    if isinstance(found, AccessError):
        return AccessError(
            f"{what} belongs to {_explain.user_text(shared.uid)}, and may not be removed by this "
            "user; do it as that one, or as root",
            name=shared.name,
            errno=error.errno,
        )
    return found
