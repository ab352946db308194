"""The real objects of this host, as the screen wants them."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from isthmus import inspect
from isthmus.errors import ReplacedError
from isthmus.inspect.screen.sections import who
from isthmus.inspect.screen.source import Line, Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from isthmus.inspect import Eviction
    from isthmus.inspect._model import Info, Member, SharedObject

# Counters of what goes in and what comes out.
_IN, _OUT = ("put", "published"), ("done",)


class Live:
    """Looks at what there is, and acts on it."""

    def __init__(self) -> None:
        self._watches = {foreign: inspect.Watch(foreign=foreign) for foreign in (False, True)}
        # Of the look before, whatever it was asked for: so that rates go on when that changes.
        self._before: Mapping[str, Info] = MappingProxyType({})
        self._told: Info | None = None

    def look(self, *, foreign: bool) -> Snapshot:
        sight = self._watches[foreign].look()
        lines = tuple(self._line(shared, sight.infos) for shared in sight.objects)
        self._before = sight.infos
        return Snapshot(sight.taken, lines)

    def _line(self, shared: SharedObject, infos: Mapping[str, Info]) -> Line:
        info = infos.get(shared.address)
        return Line(shared) if info is None else line(info, self._before.get(shared.address))

    def info(self, address: str) -> Info:
        info = inspect.info(address)
        before, self._told = self._told, info
        if before is not None and before.shared.address == info.shared.address:
            return replace(info, rates=MappingProxyType(inspect.rates(before, info)))
        return info

    def remove(self, shared: SharedObject, *, force: bool) -> str:
        _check_same(shared)
        inspect.remove(shared.address, force=force)
        return f"{shared.kind} {shared.address} is removed"

    def evict(self, address: str, member: Member) -> str:
        done = inspect.evict(address, member)
        return f"{who(member)} {_became(done)}"

    def shut_down(self, shared: SharedObject) -> str:
        _check_same(shared)
        inspect.shut_down(shared.address)
        return f"queue {shared.address} is shut down"


def _check_same(shared: SharedObject) -> None:
    """The question was about this one, not about whatever has its name by now."""
    if inspect.info(shared.address).shared.created != shared.created:
        raise ReplacedError(
            f"{shared.address!r} stands for another object by now, which was left alone",
            name=shared.name,
        )


def _became(done: Eviction) -> str:
    if done.dead:
        text = "was dead: what it left is in order"
    elif done.subscriber:
        text = "is evicted: publishers do not wait for it any more"
    else:
        text = "is evicted"
    if done.leases:
        text += f"; {done.leases} of its messages went back"
    if done.pinned:
        text += "; what it has in view stays until it lets go"
    return text


def line(info: Info, before: Info | None) -> Line:
    """A line of the table from all about an object, now and at the look before."""
    passed = {} if before is None else inspect.rates(before, info)
    lag = info.gauges.get("lag")
    # Those without a time are held for a moment only, by whoever happens to put or get.
    held = next((lock for lock in info.locks if lock.locked and lock.since is not None), None)
    return Line(
        info.shared,
        rate_in=_first(passed, _IN),
        rate_out=_first(passed, _OUT),
        lag=None if lag is None else int(lag),
        holder="" if held is None else who(held.owner),
        held_since=None if held is None else held.since,
    )


def _first(values: Mapping[str, float], names: tuple[str, ...]) -> float | None:
    return next((values[name] for name in names if name in values), None)
