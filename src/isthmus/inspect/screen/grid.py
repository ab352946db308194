"""A table of any length, of which only the rows in sight are ever drawn.

textual's own table keeps a cell for each value and measures them all. Here rows are whatever
objects one has; a refresh asks for the text of those in sight, and the terminal is told of the
lines that have changed, which keeps a slow connection calm.
"""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from isthmus.inspect.screen.columns import cell, fit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from rich.style import Style
    from textual import events

    from isthmus.inspect.screen.columns import Column

    #: What a cell says, and the name of its style: "" or one of STYLES.
    Cell = tuple[str, str]

T = TypeVar("T")

STYLES = ("dim", "strong", "rate", "good", "note", "warning", "damage")


class Grid(ScrollView, Generic[T], can_focus=True):
    """Rows with a cursor, which stays on its row's key wherever that row goes."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "grid--head",
        "grid--sorted",
        "grid--cursor",
        *(f"grid--{style}" for style in STYLES),
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "move(-1000000000)", "First", show=False),
        Binding("end", "move(1000000000)", "Last", show=False),
    ]

    class Opened(Message):
        """`action_open`, or a double click."""

        def __init__(self, grid: Grid[Any], row: Any) -> None:
            super().__init__()
            self.grid, self.row = grid, row

    class HeadClicked(Message):
        """A click on the heading of a column that sorts."""

        def __init__(self, grid: Grid[Any], key: str) -> None:
            super().__init__()
            self.grid, self.key = grid, key

    def __init__(
        self,
        columns: Sequence[Column],
        key: Callable[[T], str],
        draw: Callable[[T, str, int], Cell],
        *,
        empty: str = "",
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._columns = columns
        self._key, self._draw = key, draw
        self._rows: Sequence[T] = ()
        self._index = 0
        self._fitted: list[tuple[Column, int]] = []
        # What each line of the viewport shows, to tell which have to be drawn again.
        self._drawn: dict[int, object] = {}
        #: What stands there when there are no rows.
        self.empty = empty
        #: The column that the rows are sorted by, and whether large values come first.
        self.sorted_by: tuple[str, bool] | None = None

    # ---- Rows -------------------------------------------------------------------------

    @property
    def rows(self) -> Sequence[T]:
        return self._rows

    @property
    def current(self) -> T | None:
        """The row under the cursor."""
        return self._rows[self._index] if self._rows else None

    @property
    def shown_columns(self) -> list[str]:
        """The keys of the columns that have room."""
        return [column.key for column, _ in self._fitted]

    def show(self, rows: Sequence[T]) -> None:
        """Other rows, or the same ones changed: the cursor stays with its row.

        When that one is gone, the cursor stays where it is.
        """
        key = None if self.current is None else self._key(self.current)
        was_seen = self._seen(self._index)
        self._rows = rows
        found = next((at for at, row in enumerate(rows) if self._key(row) == key), None)
        moved = found is not None and found != self._index
        self._index = min(self._index, max(0, len(rows) - 1)) if found is None else found
        self._measure()
        if was_seen and (moved or found is None):
            self._follow()
        self.redraw()

    def select(self, key: str) -> None:
        """Put the cursor onto a row, if it is there."""
        for at, row in enumerate(self._rows):
            if self._key(row) == key:
                self._put_cursor(at)
                return

    # ---- Drawing ----------------------------------------------------------------------

    def redraw(self) -> None:
        """Draw those lines in sight that show something else than they should."""
        for y in range(self.size.height):
            if self._drawn.get(y) != self._content(y):
                self.refresh(Region(0, y, self.size.width, 1))

    def _measure(self) -> None:
        width = self.scrollable_content_region.width
        self._fitted = fit(self._columns, width)
        self.virtual_size = Size(width, len(self._rows) + 1)

    def on_resize(self) -> None:
        self._measure()
        self._follow()
        self.refresh()

    def _content(self, y: int) -> tuple[bool, tuple[tuple[str, str], ...]]:
        """What a line of the viewport is to show: under the cursor or not, its cells."""
        if y == 0:
            return False, tuple(self._head(column, width) for column, width in self._fitted)
        at = y - 1 + self.scroll_offset.y
        if not self._rows:
            return False, ((self.empty, "dim"),) if y == 2 else ()
        if at >= len(self._rows):
            return False, ()
        row, cells = self._rows[at], []
        for column, width in self._fitted:
            text, style = self._draw(row, column.key, width)
            cells.append((cell(text, width, column.justify), style))
        return at == self._index, tuple(cells)

    def _head(self, column: Column, width: int) -> tuple[str, str]:
        title = column.title
        if self.sorted_by is None or self.sorted_by[0] != column.key:
            return cell(title, width, column.justify), "head"
        arrow = "▼" if self.sorted_by[1] else "▲"
        if len(title) + 1 > width:
            title = title[: width - 1]
        title = arrow + title if column.justify == "right" else title + arrow
        return cell(title, width, column.justify), "sorted"

    def render_line(self, y: int) -> Strip:
        cursor, cells = content = self._content(y)
        self._drawn[y] = content
        base = self.rich_style
        if y == 0:
            base = self.get_component_rich_style("grid--head")
        elif cursor:
            base = self.get_component_rich_style("grid--cursor")
        segments: list[Segment] = []
        for text, style in cells:
            if segments:
                segments.append(Segment(" ", base))
            segments.append(Segment(text, base + self._style(style, cursor)))
        width = self.size.width
        return Strip(segments).adjust_cell_length(width, base)

    def _style(self, name: str, cursor: bool) -> Style:
        from rich.style import Style

        if not name or name == "head":
            return Style.null()
        style = self.get_component_rich_style(f"grid--{name}", partial=True)
        # The ground is that of the row. Faint text would be lost under the cursor.
        color = None if cursor and name == "dim" else style.color
        return Style(color=color, bold=style.bold)

    # ---- Cursor -----------------------------------------------------------------------

    def _height(self) -> int:
        return max(1, self.size.height - 1)

    def _seen(self, at: int) -> bool:
        return 0 <= at - self.scroll_offset.y < self._height()

    def _follow(self) -> None:
        top = self.scroll_offset.y
        if self._index < top:
            self.scroll_to(y=self._index, animate=False, immediate=True)
        elif self._index >= top + self._height():
            self.scroll_to(y=self._index - self._height() + 1, animate=False, immediate=True)

    def _put_cursor(self, at: int) -> None:
        self._index = min(max(0, at), max(0, len(self._rows) - 1))
        self._follow()
        self.redraw()

    def action_move(self, by: int) -> None:
        self._put_cursor(self._index + by)

    def action_page(self, by: int) -> None:
        self._put_cursor(self._index + by * self._height())

    def action_open(self) -> None:
        if self.current is not None:
            self.post_message(self.Opened(self, self.current))

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if event.y == 0:
            at = 0
            for column, width in self._fitted:
                if at <= event.x <= at + width:
                    if column.sorts:
                        self.post_message(self.HeadClicked(self, column.key))
                    return
                at += width + 1
            return
        row = event.y - 1 + self.scroll_offset.y
        if row < len(self._rows):
            self._put_cursor(row)
            if event.chain == 2:
                self.action_open()
