"""From a look at a typed object to what the inspector gives out."""

from __future__ import annotations

import os
import time
from types import MappingProxyType

from isthmus.inspect._address import Address
from isthmus.inspect._model import Info, Problem, SharedObject, of_file
from isthmus.inspect.looking import _leases, _problems, _regions, _state, _typed
from isthmus.inspect.looking._look import Look, look
from isthmus.inspect.looking._observed import Observed, Vanished
from isthmus.inspect.looking._seats import members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect.looking._seats import Commands
    from isthmus.inspect.others._processes import Users


def unreadable(address: Address, error: OSError, users: Users | None) -> SharedObject:
    """What is to be known of one that may not be opened; `Vanished` when it is no more."""
    path = address.path or ""
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError:
        raise Vanished(path) from None
    problem = Problem(
        "note",
        f"It may not be looked into: {error.strerror or error}.",
        "Ask as its owner, or as root.",
    )
    having = users.of(status) if users is not None else ()
    return of_file(
        address.path,
        status,
        family="isthmus",
        kind=_typed.UNKNOWN,
        name=address.name,
        address=str(address),
        library="isthmus",
        created=None,
        users=having,
        in_use=True if having else None,
        problems=(problem,),
    )


def shared_object(found: Look, address: Address, users: Users | None) -> SharedObject:
    """A line of the list. `users`: who has which file; None: nobody has looked."""
    typed, status = found.typed, found.typed.observed.status
    kept = typed.place is not None
    accounts = kept and typed.kind != 1 and typed.count > 0
    created = typed.header["created_ns"] / 1e9 if typed.header["created_ns"] else None
    having = users.of(status) if users is not None else ()
    in_use: bool | None = found.present
    if not kept or typed.kind == 1:
        # Handles of an array are no participants; whether one is open only processes tell.
        in_use = True if having else False if users is not None and users.complete else None
    return of_file(
        address.path,
        status,
        family="isthmus",
        kind=typed.kind_name,
        name=address.name,
        address=str(address),
        library="isthmus",
        created=created,
        alive=found.alive if accounts else None,
        dead=found.dead if accounts else None,
        depth=found.depth,
        users=having,
        in_use=in_use,
        problems=_problems.brief(found, str(address)),
    )


def examine(address: Address, users: Users | None) -> SharedObject:
    """Look at one typed object, readable or not; `Vanished` when it is no more."""
    try:
        with Observed(address.path or "") as observed:
            return shared_object(look(observed), address, users)
    except OSError as error:
        return unreadable(address, error, users)


def whole_info(
    observed: Observed,
    address: Address,
    users: Users | None,
    commands: Commands | None = None,
    *,
    deep: bool = True,
) -> Info:
    """Everything about one typed object, from one look; `deep`: also what takes a walk."""
    found = look(observed)
    taken, monotonic = time.time(), time.monotonic()
    there = members(
        found.typed, found.slots, found.clocks, _state.roles(found), found.lags, commands
    )
    locks = _state.locks(found, there)
    leased, damaged = _leases.walk(found, observed, there) if deep else ((), ())
    counters, gauges = _state.numbers(found)
    return Info(
        shared=shared_object(found, address, users),
        taken=taken,
        taken_monotonic=monotonic,
        configuration=MappingProxyType(_state.configuration(found)),
        members=there,
        locks=locks,
        leases=leased,
        counters=MappingProxyType(counters),
        gauges=MappingProxyType(gauges),
        regions=_regions.regions(found.typed),
        problems=_problems.in_order(
            (*damaged, *_problems.whole(found, str(address), there, locks, leased))
        ),
    )
