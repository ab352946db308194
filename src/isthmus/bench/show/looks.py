"""How the contenders look in plots: the same in all of them.

Colours that are told apart with every kind of colour vision (Okabe and Ito), one a kin of
forms, and of two kin the second one dashed. What is others' is grey, the floor is the ink's
colour: the eye goes to the forms that one can choose from. No line needs its colour to be known:
its name stands at its end.
"""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isthmus.bench.results import Contender

INK, MUTED, FAINT, PAPER = "#1d2126", "#5b6470", "#dde1e6", "#ffffff"
_GREY = "#8d949e"
_VERMILION, _BLUE, _GREEN = "#d55e00", "#0072b2", "#00916a"
_PINK, _OCHRE, _SKY, _PLUM = "#c2649a", "#b98300", "#3a9bd9", "#7d4fa0"
# In the page, where the background is dark.
DARK = {
    INK: "#eceef1", MUTED: "#a7b0bb", FAINT: "#363c44", PAPER: "#16191d", _GREY: "#868e98",
    _VERMILION: "#ff8440", _BLUE: "#4eaef0", _GREEN: "#35c79b", _PINK: "#ea94c3",
    _OCHRE: "#e6b340", _SKY: "#8fd0ff", _PLUM: "#b891dd",
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """Colour, mark and line of a contender; `weight` is how thick."""

    colour: str
    marker: str = "o"
    dashes: tuple[float, ...] = ()
    weight: float = 1.8
    name_colour: str | None = None

    @property
    def line(self) -> dict[str, Any]:
        """What a line of matplotlib takes."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "linewidth": self.weight,
            "linestyle": (0, self.dashes) if self.dashes else "solid",
            "markersize": 3 + self.weight,
            "markeredgewidth": 0,
        }


_FLOOR = Look(INK, "", (1.5, 1.5), 1.4)
_RIVALS = tuple(
    Look(_GREY, marker, dashes, 1.0, MUTED)
    for marker, dashes in (("o", ()), ("s", (4, 2)), ("^", (1, 1)), ("D", (5, 1, 1, 1)))
)
_DASHED = (4.0, 1.5)
_FORMS = {
    "shm": Look(_VERMILION, "o", (), 3.2),
    "pipe": Look(_BLUE),
    "fifo": Look(_BLUE, "s", _DASHED),
    "unix": Look(_GREEN),
    "seqpacket": Look(_GREEN, "s", _DASHED),
    "tcp": Look(_SKY, "^"),
    "mq": Look(_PINK),
    "sysv": Look(_PINK, "s", _DASHED),
    "file": Look(_OCHRE, "D"),
    "signal": Look(_PLUM, "X"),
}


def look(contender: Contender, number: int) -> Look:
    """That of a contender, the `number`-th one of its results."""
    if contender.family == "floor":
        return _FLOOR
    if contender.family == "form":
        return _FORMS.get(contender.id, Look(_PLUM, "v"))
    return _RIVALS[number % len(_RIVALS)]
