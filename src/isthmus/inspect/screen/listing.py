"""The first screen: all objects, a line each."""

from __future__ import annotations

from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, Static

from isthmus.cli.output import safe, size_text
from isthmus.inspect.screen import acting, palette
from isthmus.inspect.screen.columns import rate_text
from isthmus.inspect.screen.detail import Detail
from isthmus.inspect.screen.grid import Grid
from isthmus.inspect.screen.history import History
from isthmus.inspect.screen.table import COLUMNS, Filter, Order, Painter, line_rate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from textual.app import ComposeResult

    from isthmus.inspect._model import SharedObject
    from isthmus.inspect.screen.app import TopApp
    from isthmus.inspect.screen.source import Line, Snapshot


class TableScreen(Screen[None]):
    """All objects, a line each."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", key_display="⏎"),
        # Before anybody else, so that the next key of one who types fast is part of the filter.
        Binding("slash", "filter", "Filter", key_display="/", priority=True),
        Binding("right,greater_than_sign", "sort(1)", "Sort", key_display="→"),
        Binding("left,less_than_sign", "sort(-1)", show=False),
        Binding("i", "invert", show=False),
        Binding("f", "foreign", "Foreign"),
        Binding("k", "kind", show=False),
        Binding("p", "problems", show=False),
        Binding("m", "mark", "Mark"),
        Binding("M", "mark_all", show=False),
        Binding("u", "unmark", show=False),
        Binding("d", "remove", "Remove"),
        Binding("s", "shut_down", show=False),
        Binding("escape", "clear", show=False),
    ]

    def __init__(self, order: Order, chosen: Filter) -> None:
        super().__init__()
        self.order, self.chosen = order, chosen
        self.marked: set[str] = set()
        #: Whether keys are letters of the filter at the moment.
        self.typing = False
        self._ready = False
        self._lines: tuple[Line, ...] = ()
        self.history = History()
        self.painter = Painter(self.history, self.marked)

    @property
    def top(self) -> TopApp:
        app: Any = self.app
        return app  # type: ignore[no-any-return]

    def compose(self) -> ComposeResult:
        yield Static(id="heading")
        yield Grid(COLUMNS, lambda line: line.address, self.painter, empty="Looking …", id="table")
        yield Static(id="filter")
        yield Footer(compact=True, show_command_palette=False)

    @property
    def grid(self) -> Grid[Line]:
        found: Grid[Line] = self.query_one("#table", Grid)
        return found

    def on_mount(self) -> None:
        self._ready = True
        self.grid.focus()
        self.rearrange()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        # Keys may come before there is anything to act upon.
        return self._ready

    def on_resize(self) -> None:
        # After the grid has fitted its columns.
        self.call_after_refresh(self.rearrange)

    # ---- What is shown ----------------------------------------------------------------

    def take(self, seen: Snapshot) -> None:
        """A new look at everything."""
        self._lines = seen.lines
        self.painter.now = lambda: seen.taken
        self.history.add({line.address: line_rate(line) for line in seen.lines})
        # What is gone is not marked any more: another one may come by that name.
        self.marked.intersection_update(line.address for line in seen.lines)
        self.rearrange()

    def select(self, address: str) -> SharedObject | None:
        """Put the cursor onto an object, if it is there: what was seen of it."""
        self.grid.select(address)
        lines = (line.shared for line in self._lines if line.address == address)
        return next(lines, None)

    def rearrange(self) -> None:
        """Filter, sort and show what was seen last."""
        grid = self.grid
        grid.sorted_by = self.order.key, self.order.descending
        self.painter.tells_holder = "holder" in grid.shown_columns
        if self.top.looks:
            grid.empty = (
                "Nothing matches. Esc: no filter."
                if self.chosen and self._lines
                else "Nothing is shared on this host. f: also what others have made."
                if not self.top.foreign
                else "Nothing is shared on this host."
            )
        grid.show(self.order.sort(line for line in self._lines if self.chosen.matches(line)))
        self.head()

    def head(self) -> None:
        """The first line: how much there is, and how it is looked at."""
        lines, top = self._lines, self.top
        left = Text("isthmus top", "bold", no_wrap=True, overflow="ellipsis")
        left.append(f"  {len(lines)} object{'' if len(lines) == 1 else 's'}", "not bold")
        if self.chosen:
            left.append(f", {len(self.grid.rows)} shown", "not bold")
        if self.marked:
            left.append(f", {len(self.marked)} marked", "bold")
        troubled = sum(
            line.shared.problems[0].severity != "note" for line in lines if line.shared.problems
        )
        if troubled:
            left.append(f"  ! {troubled} with problems", f"bold {palette.WARNING}")
        rate = sum(line.rate_in or 0 for line in lines)
        left.append(
            f"  {rate_text(rate)} msg/s", f"not bold {palette.ACCENT}" if rate else "not bold dim"
        )
        left.append(f"  {size_text(sum(line.shared.resident or 0 for line in lines))}", "not bold")
        right = Text(justify="right", no_wrap=True)
        for word in self._conditions():
            right.append(word + "  ", palette.ACCENT)
        right.append(top.rhythm(), f"bold {palette.WARNING}" if top.paused else "dim")
        grid = Table.grid(expand=True, padding=(0, 1, 0, 0), pad_edge=False)
        grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        grid.add_column(justify="right", no_wrap=True)
        grid.add_row(left, right)
        self.query_one("#heading", Static).update(grid)

    def _conditions(self) -> list[str]:
        words = []
        if self.chosen.text and not self.typing:
            words.append(f"/{safe(self.chosen.text)}")
        if self.chosen.kind:
            words.append(f"only {safe(self.chosen.kind)}")
        if self.chosen.problems:
            words.append("only problems")
        if self.top.foreign:
            words.append("all")
        return words

    # ---- Sorting and filtering --------------------------------------------------------

    def action_sort(self, by: int) -> None:
        self.order = self.order.next(by, self.grid.shown_columns)
        self.rearrange()

    def action_invert(self) -> None:
        self.order = self.order.turned()
        self.rearrange()

    def on_grid_head_clicked(self, event: Grid.HeadClicked) -> None:
        same = event.key == self.order.key
        self.order = self.order.turned() if same else Order.by(event.key)
        self.rearrange()

    def _choose(self, chosen: Filter) -> None:
        self.chosen = chosen
        self.rearrange()

    def action_filter(self) -> None:
        self._type(True)

    def _type(self, typing: bool) -> None:
        self.typing = typing
        field = self.query_one("#filter", Static)
        field.display = typing
        field.update(Text.assemble(("/", palette.ACCENT), safe(self.chosen.text), ("▏", "blink")))
        self.head()

    def take_key(self, key: str, character: str | None) -> bool:
        """A key while the filter is typed; whether it was part of that.

        It is no widget that has the focus: keys that come faster than it is given would be
        commands, of which some act.
        """
        text = self.chosen.text
        if key == "enter":
            self._type(False)
        elif key == "escape":
            self._choose(Filter("", self.chosen.kind, self.chosen.problems))
            self._type(False)
        elif key in ("backspace", "ctrl+h"):
            self.take_text(text[:-1])
        elif key == "ctrl+w":
            self.take_text(" ".join(text.split()[:-1]))
        elif key == "ctrl+u":
            self.take_text("")
        elif character is not None and character.isprintable():
            self.take_text(text + character)
        else:
            # Arrows move among what is found.
            return False
        return True

    def take_text(self, text: str) -> None:
        """Another text for the filter."""
        self._choose(Filter(text, self.chosen.kind, self.chosen.problems))
        self._type(True)

    def action_kind(self) -> None:
        kinds = ["", *sorted({line.shared.kind for line in self._lines})]
        at = kinds.index(self.chosen.kind) if self.chosen.kind in kinds else 0
        kind = kinds[(at + 1) % len(kinds)]
        self._choose(Filter(self.chosen.text, kind, self.chosen.problems))

    def action_problems(self) -> None:
        self._choose(Filter(self.chosen.text, self.chosen.kind, not self.chosen.problems))

    def action_foreign(self) -> None:
        self.top.foreign = not self.top.foreign
        self.head()
        self.top.look()

    def action_clear(self) -> None:
        """One step back: without filter, then without marks."""
        if self.chosen:
            self._choose(Filter())
        else:
            self.action_unmark()

    # ---- Marking and acting -----------------------------------------------------------

    def action_mark(self) -> None:
        line = self.grid.current
        if line is None:
            return
        self.marked.symmetric_difference_update({line.address})
        self.grid.action_move(1)
        self.grid.redraw()
        self.head()

    def action_mark_all(self) -> None:
        self.marked.update(line.address for line in self.grid.rows)
        self.grid.redraw()
        self.head()

    def action_unmark(self) -> None:
        self.marked.clear()
        self.grid.redraw()
        self.head()

    def action_open(self) -> None:
        self.grid.action_open()

    def on_grid_opened(self, event: Grid.Opened) -> None:
        line: Line = event.row
        self.top.open(Detail(line.shared))

    def action_remove(self) -> None:
        line = self.grid.current
        objects = [line.shared for line in self._lines if line.address in self.marked]
        if not objects and line is not None:
            objects = [line.shared]
        if objects:
            source = self.top.source
            self.top.ask(acting.removal(objects), lambda: acting.remove_all(source, objects))

    def action_shut_down(self) -> None:
        line = self.grid.current
        if line is None or line.shared.kind != "queue" or not line.shared.ours:
            self.notify("Only queues can be shut down.", severity="warning")
            return
        source, shared = self.top.source, line.shared
        self.top.ask(acting.shutting_down(shared), lambda: acting.shut_down(source, shared))
