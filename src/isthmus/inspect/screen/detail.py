"""The screen about one object."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static, TabbedContent, TabPane, Tabs

from isthmus.cli.output import safe
from isthmus.inspect.screen import acting, palette, sections
from isthmus.inspect.screen.grid import Grid
from isthmus.inspect.screen.history import History
from isthmus.inspect.screen.table import SIGNS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from textual.app import ComposeResult

    from isthmus.inspect._model import Info, Member, SharedObject
    from isthmus.inspect.screen.app import TopApp

_PARTS = ("overview", "participants", "locks", "leases", "problems", "layout")


class Detail(Screen[None]):
    """Everything about one object, in six parts."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back"),
        Binding("backspace", "back", show=False),
        Binding("left", "part(-1)", show=False, priority=True),
        Binding("right", "part(1)", "Next part", key_display="→", priority=True),
        Binding("e", "evict", "Evict"),
        Binding("s", "shut_down", "Shut down"),
        Binding("d", "remove", "Remove"),
        *(Binding(str(n + 1), f"go('{part}')", show=False) for n, part in enumerate(_PARTS)),
    ]

    def __init__(self, shared: SharedObject) -> None:
        super().__init__()
        self.shared = shared
        self.info: Info | None = None
        #: It went away while something lay over this screen.
        self.gone = False
        self._ready = False
        self._history = History()
        self._paint_member = sections.MemberPainter()
        self._paint_lock = sections.LockPainter()
        self._paint_region = sections.RegionPainter()

    @property
    def address(self) -> str:
        return self.shared.address

    @property
    def top(self) -> TopApp:
        app: Any = self.app
        return app  # type: ignore[no-any-return]

    def compose(self) -> ComposeResult:
        yield Static(id="heading")
        with TabbedContent():
            with TabPane("Overview", id="overview"), VerticalScroll():
                yield Static(id="facts")
            with TabPane("Participants", id="participants"):
                yield Grid(
                    sections.member_columns(self.shared.kind),
                    sections.member_key,
                    self._paint_member,
                    empty="Nobody takes part in it.",
                    id="members",
                )
            with TabPane("Locks", id="locks"):
                yield Grid(
                    sections.LOCKS,
                    lambda lock: lock.what,
                    self._paint_lock,
                    empty="There is no lock in it.",
                    id="lock-rows",
                )
            with TabPane("Leases", id="leases"):
                yield Grid(
                    sections.LEASES,
                    lambda lease: str(lease.number),
                    sections.draw_lease,
                    empty="Nobody works on a message.",
                    id="lease-rows",
                )
            with TabPane("Problems", id="problems"), VerticalScroll():
                yield Static(id="troubles")
            with TabPane("Layout", id="layout"):
                yield Grid(
                    sections.REGIONS,
                    lambda region: str(region.offset),
                    self._paint_region,
                    empty="It is not known what is in it.",
                    id="regions",
                )
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(Tabs).can_focus = False
        self.head()
        self.query_one(TabbedContent).query_one("#overview VerticalScroll").focus()
        # A look may be over before this screen is there.
        self._ready = True
        self.on_resize()

    def on_screen_resume(self) -> None:
        if self.gone:
            self.dismiss()

    def on_resize(self) -> None:
        if self._ready and self.info is not None:
            self.show(self.info)

    # ---- What is shown ----------------------------------------------------------------

    def take(self, info: Info) -> None:
        """A new look at it."""
        self.info, self.shared = info, info.shared
        self._history.add(info.rates)
        if self._ready:
            self.show(info)

    def show(self, info: Info) -> None:
        self.head()
        self._paint_member.take(info)
        self._paint_lock.take(info)
        self._paint_region.take(info)
        width = max(20, self.app.size.width - 4)
        self.query_one("#facts", Static).update(sections.overview(info, self._history, width))
        self.query_one("#troubles", Static).update(sections.problems(info))
        members = sections.members(info)
        self._rows("#members", members)
        self._rows("#lock-rows", info.locks)
        self._rows("#lease-rows", info.leases)
        self._rows("#regions", info.regions)
        tabs = self.query_one(TabbedContent)
        for part, title in (
            ("participants", f"Participants {len(members)}"),
            ("locks", f"Locks {len(info.locks)}"),
            ("leases", f"Leases {len(info.leases)}"),
            ("problems", f"Problems {len(info.problems or info.shared.problems)}"),
        ):
            if str(tabs.get_tab(part).label) != title:
                tabs.get_tab(part).label = title

    def _rows(self, selector: str, rows: Any) -> None:
        self.query_one(selector, Grid).show(rows)

    def head(self) -> None:
        text = Text(f"{self.shared.kind} ", "bold", no_wrap=True, overflow="ellipsis")
        text.append(safe(self.shared.name), f"bold {palette.ACCENT}")
        problems = self.info.problems if self.info is not None else self.shared.problems
        if problems:
            worst = problems[0]
            text.append(
                f"   {SIGNS[worst.severity]} {safe(worst.what)}",
                palette.SEVERITIES[worst.severity],
            )
        if self.top.paused:
            text.append("   paused", f"bold {palette.WARNING}")
        self.query_one("#heading", Static).update(text)

    # ---- Keys -------------------------------------------------------------------------

    def action_back(self) -> None:
        self.dismiss()

    def action_part(self, by: int) -> None:
        at = _PARTS.index(self.query_one(TabbedContent).active or "overview")
        self.action_go(_PARTS[(at + by) % len(_PARTS)])

    def action_go(self, part: str) -> None:
        self.query_one(TabbedContent).active = part
        # At once, so that the next key of one who types fast is for this part.
        self._focus_part(self.query_one(f"#{part}", TabPane))

    def on_tabbed_content_tab_activated(self, event: TabbedContent.TabActivated) -> None:
        self._focus_part(event.pane)
        self.refresh_bindings()

    def _focus_part(self, pane: TabPane) -> None:
        # What moves by arrows is what one sees.
        self.set_focus(pane.query("Grid, VerticalScroll").first())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self._ready:
            # Keys may come before there is anything to act upon; but one can always go back.
            return action == "back"
        if action == "shut_down":
            return self.shared.kind == "queue" and self.shared.ours
        if action == "evict":
            return self.shared.ours and self._active() == "participants"
        return True

    def _active(self) -> str:
        # Asked for once before there are any parts.
        return next((tabs.active for tabs in self.query(TabbedContent)), "")

    def action_evict(self) -> None:
        member: Member | None = self.query_one("#members", Grid).current
        if member is None or self.info is None or not self.info.members:
            self.notify("There is no participant to evict.", severity="warning")
            return
        shared, source = self.shared, self.top.source
        if not acting.evictable(shared, member):
            self.notify(
                "Of those that live, only subscribers of topics and consumers of queues can be "
                "evicted; what this one holds is given up when its process ends.",
                severity="warning",
            )
            return
        self.top.ask(acting.eviction(shared, member), lambda: acting.evict(source, shared, member))

    def action_shut_down(self) -> None:
        shared, source = self.shared, self.top.source
        self.top.ask(acting.shutting_down(shared), lambda: acting.shut_down(source, shared))

    def action_remove(self) -> None:
        objects, source = [self.shared], self.top.source
        self.top.ask(acting.removal(objects), lambda: acting.remove_all(source, objects))
