"""`objects`, `info`, `Watch`: everything that is there, and how it changes."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, replace
from types import MappingProxyType

from isthmus._core import memory
from isthmus.errors import AccessError, ArgumentError, ForeignError
from isthmus.inspect._address import PREFIX, Address
from isthmus.inspect._model import Info, Problem, SharedObject
from isthmus.inspect.looking import _shared
from isthmus.inspect.looking._observed import DIRECTORY, Observed, Vanished
from isthmus.inspect.others._foreign import details, foreign_object, foreign_objects, notes
from isthmus.inspect.others._processes import Users, users_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isthmus.inspect.looking._seats import Commands


def typed_addresses() -> Iterator[Address]:
    """Every typed object of this host, by its file name, in no order."""
    try:
        entries = list(os.scandir(DIRECTORY))
    except OSError:
        return  # no shared memory on this machine: `doctor` says so
    for entry in entries:
        name = entry.name
        if not name.startswith(PREFIX) or not entry.is_file(follow_symlinks=False):
            continue
        try:
            users = os.fsdecode(memory.unescape(os.fsencode(name)))
        except OSError:
            continue  # a raw segment whose name only looks like one of ours
        yield Address("isthmus", None, users, entry.path)


def objects(*, foreign: bool = True, users: bool = True) -> list[SharedObject]:
    """Everything that processes share on this host, as far as this process may see it.

    Args:
        foreign: also what other libraries and programs made: POSIX and System V.
        users: find out which processes have each of them; takes a look at all processes.

    Reads only. An object that goes away meanwhile is left out; one that may not be read has the
    kind "object" and a problem that says so. Sorted by family and name.
    """
    known = users_of() if users else None
    found = []
    for address in typed_addresses():
        try:
            found.append(_shared.examine(address, known))
        except Vanished:
            continue
    if foreign:
        found.extend(foreign_objects(known or Users(hidden=True)))
    return _sorted(found)


def blind_spots() -> tuple[Problem, ...]:
    """What `objects` could not see here, and why: processes of others, queues that nobody lists."""
    return notes(users_of())


def _sorted(found: list[SharedObject]) -> list[SharedObject]:
    return sorted(found, key=lambda one: (one.family, one.name))


def info(address: str | Address, *, seconds: float = 0) -> Info:
    """Everything about one object.

    Args:
        address: what to call it by, see `Address`.
        seconds: look twice, so long apart, and tell the rates between; 0: look once.

    Blocks for `seconds`, where there is something to count. Raises `NotFoundError` when there is no
    such object, or it goes away meanwhile; `AccessError` when this user may not read it. A damaged
    one raises nothing: what can be read is told, and `problems` say the rest.
    """
    if not 0 <= seconds <= 3600:
        raise ArgumentError(f"seconds must be 0 to 3600, not {seconds!r}")
    where = address if isinstance(address, Address) else Address.parse(address)
    first = _info(where)
    if not seconds or not first.counters:
        return first
    time.sleep(seconds)
    second = _info(where)
    return replace(second, rates=MappingProxyType(rates(first, second)))


def rates(before: Info, after: Info) -> dict[str, float]:
    """How much each counter grew in a second, between two looks at the same object."""
    passed = after.taken_monotonic - before.taken_monotonic
    if passed <= 0 or before.shared.created != after.shared.created:
        return {}
    grown = {
        name: (after.counters[name] - value) % 2**64
        for name, value in before.counters.items()
        if name in after.counters
    }
    # What was not read at one moment, or has been repaired, may also be a little less than before.
    return {name: more / passed if more < 2**63 else 0.0 for name, more in grown.items()}


def _info(address: Address) -> Info:
    users = users_of()
    try:
        if not address.typed_object:
            return _of_others(foreign_object(address, users))
        with Observed(address.path or "") as observed:
            return _shared.whole_info(observed, address, users)
    except Vanished:
        raise address.missing() from None
    except PermissionError as error:
        raise AccessError(
            f"{str(address)!r} may not be read: {error.strerror}; ask as its owner, or as root",
            name=address.name,
        ) from None
    except OSError:
        raise ForeignError(
            f"{str(address)!r} is no shared memory: {address.path} is a link, a folder, or the "
            "like",
            name=address.name,
        ) from None


def _of_others(found: SharedObject) -> Info:
    """What there is to know about something that isthmus did not make."""
    return Info(
        shared=found,
        taken=time.time(),
        taken_monotonic=time.monotonic(),
        configuration=details(found),
        gauges=MappingProxyType({} if found.depth is None else {"messages": found.depth}),
        problems=found.problems,
    )


@dataclass(frozen=True, slots=True)
class Sight:
    """What a `Watch` saw at one moment."""

    #: As `time.time` counts.
    taken: float
    #: Everything that is there, as `objects` gives it.
    objects: tuple[SharedObject, ...]
    #: All about each typed object that may be read, by address, but for its leases; with rates
    #: since the look before.
    infos: Mapping[str, Info]


class Watch:
    """Looks again and again, and tells rates.

    >>> import isthmus
    >>> q = isthmus.Queue("watched-example")
    >>> watch = isthmus.inspect.Watch()
    >>> _ = watch.look()
    >>> q.put(1)
    >>> watch.look().infos["watched-example"].rates["put"] > 0
    True
    >>> q.close()
    """

    def __init__(self, *, foreign: bool = False) -> None:
        """`foreign`: also what others made, and who has it, which takes a look at all processes."""
        self._foreign = foreign
        self._before: dict[str, Info] = {}
        self._commands: Commands = {}

    def look(self) -> Sight:
        """Look at all of them now. Takes some 0.2 ms for each object; blocks for nothing."""
        users = users_of() if self._foreign else None
        found = [] if users is None else foreign_objects(users)
        infos: dict[str, Info] = {}
        for address in typed_addresses():
            try:
                with Observed(address.path or "") as observed:
                    seen = _shared.whole_info(observed, address, users, self._commands, deep=False)
            except Vanished:
                continue
            except OSError as error:
                with contextlib.suppress(Vanished):
                    found.append(_shared.unreadable(address, error, users))
                continue
            before = self._before.get(str(address))
            if before is not None:
                seen = replace(seen, rates=MappingProxyType(rates(before, seen)))
            infos[str(address)] = seen
            found.append(seen.shared)
        self._before = infos
        return Sight(time.time(), tuple(_sorted(found)), MappingProxyType(dict(infos)))
