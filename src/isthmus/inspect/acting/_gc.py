"""`gc`: what nobody has any more, how that is known, and its removal."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from isthmus.errors import ArgumentError
from isthmus.inspect._model import SharedObject
from isthmus.inspect._objects import typed_addresses
from isthmus.inspect.acting._claims import (
    DEAF,
    PRESENCE_BYTE,
    UNMARKED,
    UNUSED,
    Claim,
    SysvClaim,
    claim,
)
from isthmus.inspect.acting._remove import explained
from isthmus.inspect.looking import _shared, _typed
from isthmus.inspect.looking._observed import Observed, Vanished
from isthmus.inspect.others._foreign import foreign_objects
from isthmus.inspect.others._processes import Users, alive, users_of
from isthmus.inspect.others._sysv import latest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from isthmus.inspect.looking._typed import Typed

# Of which a look tells whether somebody has them.
_SEEN = {"draft": UNMARKED, "socket": DEAF}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """An object that nobody has any more, or may not have."""

    object: SharedObject
    #: One sentence: why it is of no use.
    why: str
    #: How it is known that nobody has it, or why it is not known.
    evidence: str
    #: Why it stays; None: nothing keeps it.
    kept: str | None = None
    removed: bool = False
    #: Whether it was to be removed, and could not be.
    failed: bool = False


def gc(
    *,
    foreign: bool = False,
    persistent: bool = False,
    older_than: float = 3600.0,
    match: Iterable[str] = (),
    act: bool = False,
) -> list[Stale]:
    """Find what nobody has any more; with `act`, remove it.

    Args:
        foreign: also what other libraries and programs made, if nobody has it, as the kernel
            proves, and nobody has used it for `older_than` seconds. What cannot be known stays.
        persistent: also objects of isthmus that are meant to stay when nobody has them: arrays,
            those made with ``persist=True``, and locks whose last owner died holding them, which
            wait to tell the next one.
        older_than: seconds, for foreign ones. Those of isthmus go by the locks of the living.
        match: patterns such as ``psm_*``: only those whose name or address fits one of them.
        act: remove them. Each is looked at once more before, while nobody can come in.

    Without `act` nothing changes; whoever opens a foreign object at that very moment may wait for
    some microseconds. Objects of other users that may not be removed are told, and do not stop it.

    Returns what is of no use any more, whatever its end: see `Stale`. What somebody has is not
    among it, nor what is too young.
    """
    if not older_than >= 0:
        raise ArgumentError(f"older_than must be at least 0 seconds, not {older_than!r}")
    patterns = (match,) if isinstance(match, str) else tuple(match)
    users = users_of() if foreign else Users(hidden=True)
    found = []
    for shared in _candidates(users, foreign, patterns):
        try:
            if shared.family == "isthmus" and shared.kind not in ("socket", "draft", "array"):
                stale = _typed_one(shared, users, persistent, act)
            else:
                stale = _other_one(shared, users, persistent, older_than, act)
        except Vanished:
            continue  # gone without us
        except (PermissionError, BlockingIOError):
            continue  # one that may not be read, or that somebody else is about to remove
        if stale is not None:
            found.append(stale)
    return sorted(found, key=lambda one: (one.object.family, one.object.name))


def _candidates(users: Users, foreign: bool, patterns: tuple[str, ...]) -> Iterator[SharedObject]:
    """Those that nobody seems to have."""
    for address in typed_addresses():
        if not _wanted(address.name, str(address), patterns):
            continue
        try:
            shared = _shared.examine(address, users)
        except Vanished:
            continue
        if not shared.in_use:
            yield shared
    for shared in foreign_objects(users):
        ours = shared.family == "isthmus"
        wanted = _wanted(shared.name, shared.address, patterns)
        if wanted and not shared.in_use and (ours or foreign):
            yield shared


def _wanted(name: str, address: str, patterns: tuple[str, ...]) -> bool:
    texts = name, address, name.lstrip("/")
    return not patterns or any(fnmatchcase(text, one) for text in texts for one in patterns)


# ---- Typed objects ---------------------------------------------------------------------


def _typed_one(shared: SharedObject, users: Users, persistent: bool, act: bool) -> Stale | None:
    with Observed(shared.path or "") as observed:
        if observed.held(PRESENCE_BYTE)[0]:
            return None
        stale = _verdict(shared, _typed.read(observed), persistent)
        looked_at = observed.status
    if not act or stale.kept is not None:
        return stale
    with claim(shared, users) as held:
        if held.status is None or held.status.st_ino != looked_at.st_ino:
            return None  # another one by now
        if held.free is not True:
            return None if held.free is False else replace(stale, kept=held.evidence)
        # Nobody can come in from here on; somebody may have, and gone, since the look.
        with Observed(shared.path or "") as observed:
            if observed.status.st_ino != looked_at.st_ino:
                return None
            stale = _verdict(shared, _typed.read(observed), persistent)
        return stale if stale.kept is not None else _removed(stale, held)


def _verdict(shared: SharedObject, typed: Typed, persistent: bool) -> Stale:
    stale = Stale(
        object=shared,
        why="All that had it have ended.",
        evidence=UNUSED,
    )
    if typed.kind_name == "array":
        return replace(stale, kept="it is an array by now")
    if typed.place is None or typed.problems:
        # Another version may tell the living by another lock.
        return replace(
            stale,
            kept="it is damaged, or of another version: look at it (info), then remove it (rm)",
        )
    if persistent:
        return stale
    if typed.persist:
        return replace(stale, kept="it was made to stay (persist=True)")
    if _typed.owed_a_report(typed):
        return replace(stale, kept="its last owner died holding it: the next one is to be told")
    return stale


# ---- All others ------------------------------------------------------------------------


def _other_one(
    shared: SharedObject, users: Users, persistent: bool, older_than: float, act: bool
) -> Stale | None:
    ours = shared.family == "isthmus"
    # Cheap questions first: a claim lets others wait.
    if not ours and _young(shared, older_than):
        return None
    if shared.kind in _SEEN:
        if shared.in_use is None:
            return None
        if not act:
            return Stale(object=shared, why=_why(shared), evidence=_SEEN[shared.kind])
    with claim(shared, users) as held:
        if held.free is False:
            return None
        if not ours:
            unused = time.time() - _last_use(shared, held)
            if unused < older_than:
                return None
        stale = Stale(object=shared, why=_why(shared), evidence=held.evidence)
        kept = _why_kept(shared, held, persistent)
        if kept is not None:
            return replace(stale, kept=kept)
        return _removed(stale, held) if act else stale


def _young(shared: SharedObject, older_than: float) -> bool:
    return shared.changed is not None and time.time() - shared.changed < older_than


def _why(shared: SharedObject) -> str:
    if shared.kind == "draft":
        return "Whoever was making it has died."
    if shared.kind == "socket":
        return "Whoever listened there has ended."
    if shared.kind == "array":
        return "Nobody has it open."
    return "Nobody has it, nor has had for as long as asked."


def _last_use(shared: SharedObject, held: Claim) -> float:
    """The latest time that the system has noted, as of now."""
    if isinstance(held, SysvClaim):
        return latest(held.row) or time.time()
    status = held.status
    if status is None:
        return shared.changed or time.time()
    return max(status.st_atime, status.st_mtime, status.st_ctime)


def _why_kept(shared: SharedObject, held: Claim, persistent: bool) -> str | None:
    if held.free is None:
        return f"it cannot be known whether anybody has it: {held.evidence}"
    if shared.kind == "array" and not persistent:
        return "an array stays until it is unlinked"
    if shared.kind == "messages" and held.depth != 0:
        count = "messages" if held.depth is None else f"{held.depth} message"
        count += "s" if held.depth not in (None, 1) else ""
        return f"{count} may be in it that somebody is still to receive"
    if isinstance(held, SysvClaim) and shared.kind == "segment":
        creator = held.row["cpid"]
        if not creator:
            return "who made it is in another container: whether that has ended is not known"
        if alive(creator):
            return f"process {creator}, which made it, is alive"
    return None


def _removed(stale: Stale, held: Claim) -> Stale:
    try:
        held.remove()
    except FileNotFoundError:
        raise Vanished(stale.object.address) from None
    except OSError as error:
        return replace(stale, kept=str(explained(error, stale.object)), failed=True)
    return replace(stale, removed=True)
