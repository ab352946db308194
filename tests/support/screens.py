"""For the tests of the live screen: made-up objects, and a screen that is driven step by step.

Nothing happens by itself: the screen looks when a test asks for it, and what it finds is what the
test has made up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from bare_calls import PATIENCE
from textual import events
from textual.pilot import Pilot

from isthmus.errors import IsthmusError, NotFoundError
from isthmus.inspect import Info, LeaseState, LockState, Member, Problem, Region, SharedObject
from isthmus.inspect.screen.app import TopApp
from isthmus.inspect.screen.dialogs import Confirm
from isthmus.inspect.screen.source import Line, Snapshot

_CHARACTERS = {"space": " ", "slash": "/", "question_mark": "?", "plus": "+", "minus": "-"}
#: When all made-up looks are taken, as `time.time` counts.
NOW = 1_800_000_000.0
SMALL, LARGE = (80, 24), (200, 50)


def shared(name: str, kind: str = "queue", **changes: Any) -> SharedObject:
    """An object of isthmus, of which nothing but the name is remarkable."""
    facts: dict[str, Any] = {
        "family": "isthmus",
        "kind": kind,
        "name": name,
        "address": name,
        "library": "isthmus",
        "path": f"/dev/shm/isthmus.{name}",
        "size": 1 << 20,
        "resident": 1 << 16,
        "uid": 1000,
        "gid": 1000,
        "mode": 0o600,
        "created": NOW - 3600,
        "changed": NOW - 60,
        "alive": 2,
        "dead": 0,
        "in_use": True,
    }
    return SharedObject(**(facts | changes))


def line(name: str, kind: str = "queue", **changes: Any) -> Line:
    """A line of the table; changes are of the line or of the object."""
    own = {key: changes.pop(key) for key in list(changes) if key in Line.__dataclass_fields__}
    return Line(shared(name, kind, **changes), **own)


def member(slot: int = 0, **changes: Any) -> Member:
    facts: dict[str, Any] = {
        "slot": slot,
        "pid": 4000 + slot,
        "command": f"worker-{slot} --fast",
        "alive": True,
        "since": NOW - 100,
        "roles": ("consumer",),
    }
    return Member(**(facts | changes))


def problem(severity: Any = "warning", what: str = "It is full.") -> Problem:
    return Problem(severity, what, "Read faster.")


class Made:
    """A source of what the test has put into it, which notes what it was asked to do."""

    def __init__(self, *lines: Line) -> None:
        self.lines = list(lines)
        self.foreign_lines: list[Line] = []
        self.infos: dict[str, Info] = {}
        self.looks: list[bool] = []
        self.acts: list[tuple[object, ...]] = []
        #: What to raise instead: of looks, of acts by address.
        self.look_error: Exception | None = None
        self.refused: dict[str, IsthmusError] = {}
        #: Called in the thread that looks, before it does.
        self.before: Callable[[], None] = lambda: None

    def look(self, *, foreign: bool) -> Snapshot:
        self.before()
        self.looks.append(foreign)
        if self.look_error is not None:
            raise self.look_error
        return Snapshot(NOW + len(self.looks), (*self.lines, *self.foreign_lines * foreign))

    def info(self, address: str) -> Info:
        if address in self.infos:
            return self.infos[address]
        for found in (*self.lines, *self.foreign_lines):
            if found.address == address:
                return Info(shared=found.shared, taken=NOW, taken_monotonic=1.0, configuration={})
        raise NotFoundError(f"there is nothing called {address!r}", name=address)

    def remove(self, shared: SharedObject, *, force: bool) -> str:
        return self._act("remove", shared.address, force)

    def evict(self, address: str, member: Member) -> str:
        return self._act("evict", address, member.pid)

    def shut_down(self, shared: SharedObject) -> str:
        return self._act("shut down", shared.address)

    def _act(self, what: str, address: str, *more: object) -> str:
        if address in self.refused:
            raise self.refused[address]
        self.acts.append((what, address, *more))
        return f"{what}: {address}"

    def forget(self, address: str) -> None:
        self.lines = [one for one in self.lines if one.address != address]

    def change(self, address: str, **changes: Any) -> None:
        """Another rate, depth … from the next look on."""
        for at, one in enumerate(self.lines):
            if one.address == address:
                own = {k: changes.pop(k) for k in list(changes) if k in Line.__dataclass_fields__}
                self.lines[at] = replace(one, shared=replace(one.shared, **changes), **own)


def rich_info(found: SharedObject, **changes: Any) -> Info:
    """Everything that there can be about one."""
    first, second = member(0, roles=("producer",)), member(1, share=2, share_since=NOW - 9)
    dead = member(2, alive=False, command=None)
    facts: dict[str, Any] = {
        "shared": found,
        "taken": NOW,
        "taken_monotonic": 1.0,
        "configuration": MappingProxyType({"capacity": 1 << 20, "persist": True}),
        "members": (first, second, dead),
        "locks": (
            LockState(what="producers", locked=True, owner=first, since=NOW - 5, contended=True),
            LockState(what="consumers", locked=False, owner=None, abandoned=True),
        ),
        "leases": (
            LeaseState(number=17, position=64, size=2048, attempts=3, worker=second, since=NOW - 9),
        ),
        "counters": MappingProxyType({"put": 1234, "bytes": 1 << 21}),
        "gauges": MappingProxyType({"capacity_bytes": 1 << 20, "used_bytes": 1 << 19}),
        "rates": MappingProxyType({"put": 40.0, "bytes": 2048.0}),
        "regions": (Region("header", 0, 256, "who made it"), Region("records", 4096, 1 << 20)),
        "problems": (problem("damage", "A record is torn."), problem("note", "It is old.")),
    }
    return Info(**(facts | changes))


class Screen:
    """A screen under test."""

    def __init__(self, app: TopApp, pilot: Pilot[int]) -> None:
        self.app, self._pilot = app, pilot

    async def press(self, *keys: str) -> None:
        """Press keys, and wait until all that follows from it has happened."""
        for key in keys:
            # The pilot waits until the process has done nothing for a while, which takes longer.
            self._send(key)
            await self.settle()

    async def burst(self, *keys: str) -> None:
        """All keys at once, as of one who types fast over a slow connection."""
        for key in keys:
            self._send(key)
        await self.settle()

    def _send(self, key: str) -> None:
        driver = self.app._driver
        assert driver is not None
        event = events.Key(key, _CHARACTERS.get(key, key if len(key) == 1 else None))
        event.set_sender(self.app)
        driver.send_message(event)

    async def click(self, x: int, y: int, *, times: int = 1) -> None:
        await self._pilot.click(offset=(x, y), times=times)
        await self.settle()

    async def resize(self, width: int, height: int) -> None:
        await self._pilot.resize_terminal(width, height)
        await self.settle()

    async def settle(self) -> None:
        """Wait until nothing is on its way any more, and nothing changes on the screen."""
        still, before = 0, None
        while still < 2:
            await self.app.workers.wait_for_complete()
            await self._pilot._wait_for_screen()
            if self.app._exit:
                return
            # What the timer does that draws sixty times a second.
            self.app.screen._on_timer_update()
            nodes = [self.app, *self.app.screen.walk_children(with_self=True)]
            waiting = any(not node._message_queue.empty() for node in nodes)
            now = (self.app.screen, self.app.focused, self.lines)
            still = still + 1 if now == before and not waiting else 0
            before = now

    @property
    def lines(self) -> list[str]:
        """What stands on the screen."""
        return [strip.text.rstrip() for strip in self.app.screen._compositor.render_strips()]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def row(self, needle: str) -> str:
        """The first line with this in it."""
        return next(one for one in self.lines if needle in one)

    @property
    def names(self) -> list[str]:
        """The names of the rows of the table, from the top."""
        return [one.shared.name for one in self.app.table.grid.rows]

    @property
    def current(self) -> str:
        """The name under the cursor of the table."""
        found = self.app.table.grid.current
        return "" if found is None else found.shared.name

    @property
    def asked(self) -> str:
        """What the question that is open says below its title."""
        dialog = self.app.screen
        assert isinstance(dialog, Confirm)
        return "\n".join(dialog.question.lines)

    @property
    def notices(self) -> list[str]:
        return [one.message for one in self.app._notifications]


@contextlib.asynccontextmanager
async def opened(
    source: Made, size: tuple[int, int] = SMALL, **options: Any
) -> AsyncIterator[Screen]:
    """The screen, after its first look."""
    app = TopApp(source, **({"interval": 3600.0} | options))
    async with app.run_test(size=size) as pilot:
        screen = Screen(app, pilot)
        await screen.settle()
        yield screen


def run(main: Callable[[], Awaitable[None]] | Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine, for no longer than anything may take."""

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE):
            await (main() if callable(main) else main)

    asyncio.run(bounded())
