"""What lies over the screens: a question, the help, and that the terminal is too small."""

from __future__ import annotations

from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from isthmus.inspect.screen import palette

TYPE_CHECKING = False
if TYPE_CHECKING:
    from textual.app import ComposeResult

    from isthmus.inspect.screen.acting import Question

#: The smallest terminal that has room for everything.
SMALLEST = (60, 15)

KEYS = (
    (
        "Everywhere",
        (
            ("? F1", "this help"),
            ("q", "quit"),
            ("Esc", "back; in the table: no filter, then no marks"),
            ("Space", "pause, and go on"),
            ("+ -", "look more often, less often"),
            ("r", "look now"),
        ),
    ),
    (
        "In the table",
        (
            ("↑ ↓ PgUp PgDn", "move; also Home, End, the mouse and its wheel"),
            ("Enter", "all about one object; also a double click"),
            ("← → or < >", "sort by the next column; also a click on a heading"),
            ("i", "sort the other way round; also a second click"),
            ("/", "filter: words of kind, name, holder, program"),
            ("k", "one kind only: the next one"),
            ("p", "only those with problems"),
            ("f", "also what others than isthmus have made"),
            ("m", "mark; Shift+M: all in sight of the filter; u: none"),
            ("d", "remove those marked, or the one under the cursor"),
            ("s", "shut down the queue under the cursor"),
        ),
    ),
    (
        "In an object",
        (
            ("← → or 1 to 6", "the next part, or the one of that number"),
            ("e", "evict the participant under the cursor"),
            ("d  s", "remove it, shut it down"),
        ),
    ),
)
SIGNS = (
    ("!", "warning: something is going wrong"),
    ("!!", "damage: bytes are not what they should be"),
    ("·", "note: worth knowing"),
    ("*", "marked"),
    ("2+1", "two participants live, one is dead: it ended without leaving"),
    ("• †", "a participant that lives, one that is dead"),
)


class _Dialog(ModalScreen[bool]):
    """Over another screen. Ctrl-C and q end the program from here as well."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "app.interrupt", show=False, priority=True),
        Binding("escape", "no", show=False),
    ]

    def action_no(self) -> None:
        self.dismiss(False)


class Confirm(_Dialog):
    """Yes or no; what is not clearly yes is no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", show=False),
        Binding("n,q", "no", show=False),
        Binding("left,right", "other", show=False),
    ]

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question = question

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(Text(self.question.title, "bold"), id="title")
            with VerticalScroll(id="text", can_focus=False):
                yield Static(Text("\n".join(self.question.lines)))
            with Horizontal(id="buttons"):
                yield Button("No  [n]".replace("[", "\\["), id="no", compact=True)
                yield Button(f"{self.question.verb}  \\[y]", id="yes", compact=True)

    def on_mount(self) -> None:
        self.query_one("#no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_yes(self) -> None:
        self.dismiss(True)

    def action_other(self) -> None:
        self.focus_next()


class Help(_Dialog):
    """All keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,f1,enter", "no", show=False),
        Binding("q", "app.quit", show=False),
    ]

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="dialog", classes="help"):
            yield Static(self._text())

    def _text(self) -> Table:
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True, min_width=13)
        grid.add_column()
        for title, keys in (*KEYS, ("Signs", SIGNS)):
            grid.add_row(Text(title, "bold"), "")
            for key, what in keys:
                grid.add_row(Text(f"  {key}", palette.ACCENT), Text(what))
        grid.add_row("", "")
        grid.add_row(Text("Esc", "bold"), Text("closes this; ↑ ↓ scroll"))
        return grid


class TooSmall(ModalScreen[None]):
    """Instead of everything, as long as the terminal has no room for it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "app.interrupt", show=False, priority=True),
        Binding("q", "app.quit", show=False),
    ]

    def compose(self) -> ComposeResult:
        yield Static(id="small")

    def on_resize(self) -> None:
        width, height = self.app.size
        self.query_one("#small", Static).update(
            f"The terminal has {width}x{height} characters; isthmus top needs "
            f"{SMALLEST[0]}x{SMALLEST[1]}. Make it larger, or press q to quit."
        )
