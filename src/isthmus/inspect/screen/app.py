"""The program behind ``isthmus top``: it looks, asks and acts; its screens show."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.theme import Theme

from isthmus.cli.output import safe
from isthmus.errors import IsthmusError, NotFoundError
from isthmus.inspect.looking._observed import Vanished
from isthmus.inspect.screen import acting, palette
from isthmus.inspect.screen.detail import Detail
from isthmus.inspect.screen.dialogs import SMALLEST, Confirm, Help, TooSmall
from isthmus.inspect.screen.listing import TableScreen
from isthmus.inspect.screen.looker import Looker
from isthmus.inspect.screen.table import Filter, Order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from textual.timer import Timer

    from isthmus.inspect._model import Info
    from isthmus.inspect.screen.acting import Outcome, Question
    from isthmus.inspect.screen.source import Snapshot, Source

INTERVALS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)

_THEME = Theme(
    name="isthmus",
    primary=palette.ACCENT,
    secondary=palette.NOTE,
    success=palette.GOOD,
    warning=palette.WARNING,
    error=palette.DAMAGE,
    foreground=palette.TEXT,
    background=palette.GROUND,
    surface=palette.SURFACE,
    panel=palette.PANEL,
    dark=True,
)


class TopApp(App[int], inherit_bindings=False):
    """Looks at everything again and again, in a thread of its own, and shows it."""

    CSS_PATH = Path(__file__).with_name("styles.tcss")
    TITLE = "isthmus top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("f1", "help", show=False),
        Binding("q", "quit", "Quit"),
        Binding("space", "pause", "Pause", key_display="␣"),
        Binding("plus,equals_sign", "interval(-1)", show=False),
        Binding("minus", "interval(1)", show=False),
        Binding("r", "look", show=False),
        Binding("ctrl+c", "interrupt", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", show=False),
    ]

    def __init__(
        self,
        source: Source,
        *,
        interval: float = 1.0,
        foreign: bool = False,
        sort: str = "name",
        chosen: Filter | None = None,
        begin: str | None = None,
    ) -> None:
        """`begin`: the address of an object to show all about, as soon as it is seen."""
        # Where there are to be no colours, those of the terminal stay, not shades of grey on black.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        # Calm, and nothing on the wire that says nothing.
        self.animation_level = "none"
        self.source = source
        self.interval, self.foreign = interval, foreign
        self.paused = False
        #: Looks that were taken so far.
        self.looks = 0
        self._looking = self._again = False
        self._took = 0.0
        self._trouble = ""
        self._begin = begin
        self._looker = Looker()
        self._sigcont: Any = signal.SIG_DFL
        self._timer: Timer | None = None
        self.table = TableScreen(Order.by(sort), chosen or Filter())

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {"faint": palette.FAINT, "cursor": palette.CURSOR}

    def get_default_screen(self) -> Screen[None]:
        return self.table

    def on_mount(self) -> None:
        self.register_theme(_THEME)
        self.theme = "ansi-dark" if self.no_color else "isthmus"
        if self.no_color:
            self.table.add_class("plain")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            # So that the terminal is put in order first.
            if signal.getsignal(number) != signal.SIG_IGN:
                loop.add_signal_handler(number, self.exit, 128 + number)
        self._watch_continuing(loop)
        self._start_timer()
        self.look()

    def _watch_continuing(self, loop: asyncio.AbstractEventLoop) -> None:
        """Draw everything when the process was stopped and goes on: the shell has written."""
        before = self._sigcont = signal.getsignal(signal.SIGCONT)

        def go_on(number: int, frame: FrameType | None) -> None:
            driver: Any = self._driver
            if callable(before):
                # textual's own prepares the terminal and reads keys in a new thread. It takes every
                # stop for one by SIGTSTP; after another the old thread is there still, and the
                # program might not end for it.
                if not getattr(driver, "_must_signal_resume", True):
                    driver.suspend_application_mode()
                before(number, frame)
            loop.call_soon_threadsafe(lambda: self.refresh(layout=True))

        signal.signal(signal.SIGCONT, go_on)

    def on_unmount(self) -> None:
        signal.signal(signal.SIGCONT, self._sigcont)
        self._looker.end()

    async def on_event(self, event: events.Event) -> None:
        """What is typed into the filter goes there before anybody else sees it."""
        if self.table.typing and self.screen is self.table:
            if isinstance(event, events.Key) and not event.is_forwarded:
                if self.table.take_key(event.key, event.character):
                    return
            elif isinstance(event, events.Paste) and not event.is_forwarded:
                line = event.text.partition("\n")[0]
                self.table.take_text(self.table.chosen.text + line)
                return
        await super().on_event(event)

    # ---- Looking ----------------------------------------------------------------------

    def _start_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_interval(self.interval, self._tick)

    def _tick(self) -> None:
        # One that is still under way when the next is due is not followed by two at once.
        if not self.paused and not self._looking:
            self.look()

    def look(self) -> None:
        """Look now, or as soon as the look that is under way is over."""
        if self._looking:
            self._again = True
            return
        self._looking = True
        self.run_worker(self._look(), name="look", group="look")

    async def _look(self) -> None:
        try:
            while True:
                self._again = False
                await self._look_once()
                if not self._again:
                    return
        finally:
            self._looking = False

    async def _look_once(self) -> None:
        foreign, detail = self.foreign, self._detail()
        address = None if detail is None else detail.address
        started = time.monotonic()
        try:
            seen, info = await self._looker.do(lambda: self._see(foreign, address))
        except (IsthmusError, OSError) as error:
            if not self._trouble:
                self.notify(safe(str(error)), title="Cannot look", severity="error")
            self._trouble = str(error)
            return
        self._trouble = ""
        self._took = time.monotonic() - started
        self.looks += 1
        self.table.take(seen)
        if self._begin is not None:
            self._begin_with(self._begin)
        if detail is None or detail is not self._detail():
            return
        if isinstance(info, Exception):
            self._leave(detail, info)
        elif info is not None:
            detail.take(info)

    def _begin_with(self, address: str) -> None:
        self._begin = None
        shared = self.table.select(address)
        if shared is not None:
            self.open(Detail(shared))
        else:
            self.notify(f"There is nothing called {safe(address)}.", severity="warning")

    def _see(self, foreign: bool, address: str | None) -> tuple[Snapshot, Info | Exception | None]:
        """In the thread that looks."""
        seen = self.source.look(foreign=foreign)
        if address is None:
            return seen, None
        try:
            return seen, self.source.info(address)
        except (IsthmusError, OSError, Vanished) as error:
            return seen, error

    def _detail(self) -> Detail | None:
        """The screen about one object, if that is open, also below a dialog."""
        return next((one for one in self.screen_stack if isinstance(one, Detail)), None)

    def _leave(self, detail: Detail, error: Exception) -> None:
        name = acting.called(detail.shared)
        if isinstance(error, (NotFoundError, Vanished, FileNotFoundError)):
            self.notify(f"{name} is gone.", severity="warning")
        else:
            self.notify(f"{name}: {safe(str(error))}", severity="error")
        if self.screen is detail:
            detail.dismiss()
        else:
            detail.gone = True

    def open(self, detail: Detail) -> None:
        """Show all about one object."""
        self.push_screen(detail)
        self.look()

    # ---- Acting -----------------------------------------------------------------------

    def ask(self, question: Question, act: Callable[[], Outcome]) -> None:
        """Ask; if the answer is yes, act, in the thread that looks, and tell what came of it."""

        def answered(yes: bool | None) -> None:
            if yes:
                self.run_worker(self._act(act), name="act", group="act")

        self.push_screen(Confirm(question), answered)

    async def _act(self, act: Callable[[], Outcome]) -> None:
        outcome = await self._looker.do(act)
        if outcome.done:
            self.notify(acting.brief(outcome.done))
        if outcome.failed:
            self.notify(acting.brief(outcome.failed), severity="error", timeout=15)
        else:
            self.table.action_unmark()
        self.look()

    # ---- Keys -------------------------------------------------------------------------

    def rhythm(self) -> str:
        """How it is looked at, for the first line."""
        if self.paused:
            return "paused"
        if self._took > self.interval:
            return f"every {self._took:.1f} s (a look takes that)"
        return f"every {self.interval:g} s"

    def action_look(self) -> None:
        self.look()

    def action_pause(self) -> None:
        self.paused = not self.paused
        self._heads()
        if not self.paused:
            self.look()

    def action_interval(self, by: int) -> None:
        if by < 0:
            found = [one for one in INTERVALS if one < self.interval]
            self.interval = found[-1] if found else INTERVALS[0]
        else:
            found = [one for one in INTERVALS if one > self.interval]
            self.interval = found[0] if found else INTERVALS[-1]
        self._start_timer()
        self._heads()

    def _heads(self) -> None:
        self.table.head()
        detail = self._detail()
        if detail is not None:
            detail.head()
            if not self.paused:
                self.notify(f"Looks every {self.interval:g} s", timeout=2)

    def action_help(self) -> None:
        self.push_screen(Help())

    async def action_quit(self) -> None:
        self.exit(0)

    def action_interrupt(self) -> None:
        self.exit(130)

    def on_resize(self, event: events.Resize) -> None:
        # Before the program's own idea of its size has changed.
        small = event.size.width < SMALLEST[0] or event.size.height < SMALLEST[1]
        if small and not isinstance(self.screen, TooSmall):
            self.push_screen(TooSmall())
        elif not small and isinstance(self.screen, TooSmall):
            self.pop_screen()
