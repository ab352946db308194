"""How tasks wait: at first by looking again, then on one doorbell for each event loop.

A task that finds nothing yields to the others, and looks again when it is its turn, for as long
as that has paid lately: a peer that is about to answer does so sooner than any descriptor could
wake this process. Then it is registered with the `Hearing` of its loop, and sleeps in a future.

Whoever is woken takes what is there itself, at once, without anything to wait for in between.
So a task that is cancelled has either taken nothing, or has returned; and on its way out it has
the next one of those that wait for the same look.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic_ns
from types import coroutine
from weakref import WeakKeyDictionary

from isthmus import _ending
from isthmus._core import doorbell
from isthmus._core.doorbell import FIRST_LOOK, GONE, LATE_LOOK, RUNG_READY, RUNG_ROOM, SLICE
from isthmus.errors import IsthmusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from typing import Any

    from isthmus._core.doorbell import Waited

_ending.arrange(doorbell)

# What a doorbell knows files by that it does not hear: all of them.
_UNHEARD = -1
# To be woken by a descriptor takes some 80 µs, four times what the spinning of threads lasts.
_LOOKING = 5
# Not before a task has taken so much without waiting does it let the others run.
RUN = 64
# Those that wait for these all get what is there; of others, one does.
_SHARED = frozenset({doorbell.END, doorbell.ROUND, doorbell.GATE})


@coroutine
def turn() -> Generator[None, None, None]:
    """Let all other tasks run that can, once."""
    yield


class Pace:
    """How long it is worth to look again and again; of one handle, in one direction.

    As for threads (wait.c), but that it goes down to nothing where waits are long: then a
    task costs nothing until it is woken, and is woken as soon as anybody.
    """

    __slots__ = ("_most", "now")

    def __init__(self, spin: float) -> None:
        self._most = int(spin * 1000 * _LOOKING)
        self.now = 0

    def took(self, nanoseconds: int) -> None:
        """A wait is over."""
        if nanoseconds < 4 * self._most:
            self.now = min(self._most, self.now * 2 + self._most // 4)
        else:
            self.now //= 2
            if self.now < self._most // 8:
                self.now = 0


async def until(thing: Waited, pace: Pace, deadline: float | None) -> bool:
    """Wait until `thing` is ready, or may be. False: the loop's time is `deadline`, and it is not.

    It may be another's by the time that the caller is there: then it is to wait again.
    """
    began = monotonic_ns()
    if pace.now:
        stop = began + pace.now
        if deadline is not None:
            left = deadline - asyncio.get_running_loop().time()
            stop = int(min(stop, began + max(0.0, left) * 1e9))
        while True:
            await turn()
            if thing.look():
                pace.took(monotonic_ns() - began)
                return True
            if monotonic_ns() >= stop:
                break
    found = await _hearing_of(asyncio.get_running_loop()).wait(thing, deadline)
    pace.took(monotonic_ns() - began)
    return found


class _Waiter:
    """A task that waits."""

    __slots__ = ("future", "group", "number", "thing")

    def __init__(self, thing: Waited, future: asyncio.Future[bool], number: int) -> None:
        self.thing, self.future, self.number = thing, future, number
        # Those of one group wait for the very same; a dict, since it keeps them in order.
        self.group: dict[_Waiter, None] = {}

    def wake(self, found: bool) -> None:
        if not self.future.done():
            self.future.set_result(found)


_Key = tuple[int, int, int]


class Hearing:
    """All that the tasks of one event loop wait for, by one doorbell.

    sync: doorbell. A waiter's future is set, or it has been armed and not found ready since the
    doorbell was last heard for its file. Each `heard` is followed by a look at every group of that
    file, and by arming those that are not ready.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._bell = doorbell.Doorbell()
        self._files: dict[int, dict[_Key, dict[_Waiter, None]]] = {}
        # All of them by handle: of thousands of handles, each is closed by itself.
        self._handles: dict[int, dict[_Waiter, None]] = {}
        # Files of which something may be held by one that is going, or has gone.
        self._suspects: dict[int, float] = {}
        loop.add_reader(self._bell.fileno(), self._rung)

    def fit(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether it is of use: not in a forked child; nor blind, where another need not be."""
        if self._bell.closed:
            return False
        if not self._bell.blind or any(self._files.values()):
            return True
        # Nobody waits by it at the moment, and there may be something to watch with again.
        loop.remove_reader(self._bell.fileno())
        self._bell.close()
        return False

    async def wait(self, thing: Waited, deadline: float | None) -> bool:
        """See `until`."""
        loop = asyncio.get_running_loop()
        number = self._bell.watch(thing.handle._fileno())
        waiter = _Waiter(thing, loop.create_future(), number)
        self._join(waiter)
        timer = None
        try:
            if thing.arm() or (thing.held and thing.ask()):
                return True
            if number == _UNHEARD:
                self._suspect(number, SLICE)
            elif thing.held:
                # By one that may be going already, of which nothing more will be told.
                self._suspect(number, LATE_LOOK)
            if deadline is not None:
                timer = loop.call_at(deadline, waiter.wake, False)
            thing.list()
            return await waiter.future
        finally:
            thing.unlist()
            if timer is not None:
                timer.cancel()
            self._leave(waiter)

    def _join(self, waiter: _Waiter) -> None:
        thing = waiter.thing
        groups = self._files.setdefault(waiter.number, {})
        # The handle's own, since handles of one object get different messages.
        key = (id(thing.handle), thing.side, thing.about)
        waiter.group = groups.setdefault(key, waiter.group)
        waiter.group[waiter] = None
        self._handles.setdefault(id(thing.handle), {})[waiter] = None

    def _leave(self, waiter: _Waiter) -> None:
        """However its wait ended: it may have been woken for what others can have now."""
        del waiter.group[waiter]
        thing = waiter.thing
        of_handle = self._handles[id(thing.handle)]
        del of_handle[waiter]
        if not of_handle:
            del self._handles[id(thing.handle)]
        if not waiter.group:
            groups = self._files.get(waiter.number, {})
            key = (id(thing.handle), thing.side, thing.about)
            if groups.get(key) is waiter.group:
                del groups[key]
        elif thing.side not in _SHARED:
            # Once this one has taken what it was woken for, which it does before the loop goes on.
            loop = waiter.future.get_loop()
            # It has ended, if this task goes because nobody refers to it any more.
            if not loop.is_closed():
                loop.call_soon(self._look_at, waiter.group, False)

    def _look_at(self, group: dict[_Waiter, None], ask: bool) -> None:
        """Wake those who can have something, and arm the others.

        Where one takes it from the others, the first alone: as it leaves, it wakes the next, also
        if it has been woken before, and has not run yet.
        """
        first = next(iter(group), None)
        if first is None:
            return
        # Not the list of all for the sake of one: there may be thousands, each of which comes here.
        for waiter in list(group) if first.thing.side in _SHARED else (first,):
            if not waiter.future.done() and _ready(waiter.thing, ask):
                waiter.wake(True)

    def _rung(self) -> None:
        for number, what in self._bell.heard():
            numbers: Iterable[int] = list(self._files) if number == _UNHEARD else (number,)
            for each in numbers:
                self._heard(each, what)

    def _heard(self, number: int, what: int) -> None:
        groups = self._files.get(number)
        if not groups:
            # For nobody: others are rung for, or those who waited are gone.
            if self._files.pop(number, None) is not None:
                self._suspects.pop(number, None)
                self._bell.unwatch(number)
            return
        if what & GONE:
            self._suspect(number, FIRST_LOOK)
        for group in list(groups.values()):
            first = next(iter(group), None)
            if first is not None:
                mine = RUNG_ROOM if first.thing.for_room else RUNG_READY
                if what & (mine | GONE):
                    self._look_at(group, bool(what & GONE))

    # ---- The dead ------------------------------------------------------------------------

    def _suspect(self, number: int, patience: float) -> None:
        """Look again in so many seconds, and again; see the core for why."""
        asked = self._suspects.get(number)
        if asked is None or patience < asked:
            self._suspects[number] = patience
            loop = asyncio.get_running_loop()
            loop.call_later(patience, self._look_again, number, patience)

    def _look_again(self, number: int, patience: float) -> None:
        if self._suspects.get(number) != patience:
            return  # there is another such call, sooner
        del self._suspects[number]
        groups = self._files.get(number)
        if not groups:
            return
        for group in list(groups.values()):
            self._look_at(group, True)
        if number == _UNHEARD:
            self._suspect(number, SLICE)
        elif any(waiter.thing.held for group in groups.values() for waiter in group):
            self._suspect(number, patience * 2)

    def forget(self, handle: object) -> None:
        """It has been closed: those that wait for it are to find out."""
        for waiter in list(self._handles.get(id(handle), ())):
            waiter.wake(True)


def _ready(thing: Waited, ask: bool) -> bool:
    try:
        if thing.look() or thing.arm():
            return True
        return ask and thing.held and thing.ask()
    except IsthmusError:
        return True  # closed: the operation says so


_hearings: WeakKeyDictionary[asyncio.AbstractEventLoop, Hearing] = WeakKeyDictionary()


def _all() -> list[tuple[asyncio.AbstractEventLoop, Hearing]]:
    """All loops in which a task has waited. Other threads may begin and end theirs meanwhile."""
    found = []
    for reference in _hearings.keyrefs():  # a copy; to go through the dictionary may fail
        loop = reference()
        hearing = None if loop is None else _hearings.get(loop)
        if loop is not None and hearing is not None:
            found.append((loop, hearing))
    return found


def _hearing_of(loop: asyncio.AbstractEventLoop) -> Hearing:
    hearing = _hearings.get(loop)
    if hearing is None or not hearing.fit(loop):
        for other, _ in _all():
            if other.is_closed():
                _hearings.pop(other, None)  # its descriptors go with it
        hearing = _hearings[loop] = Hearing(loop)
    return hearing


def closing(handle: Any) -> None:
    """Wake whoever waits for this handle, in any loop of any thread: it has been closed."""
    for loop, hearing in _all():
        if not loop.is_closed():
            with suppress(RuntimeError):  # it is closed just now
                loop.call_soon_threadsafe(hearing.forget, handle)
