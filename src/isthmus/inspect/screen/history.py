"""What the rates were, for the sparklines."""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: Looks that are remembered.
LENGTH = 60


class History:
    """The last values of several things, by name. Those that are gone are forgotten."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[str, deque[float | None]] = {}

    def add(self, values: Mapping[str, float | None]) -> None:
        """One look: whatever is not in it is forgotten."""
        kept = {}
        for name, value in values.items():
            line = self._values.get(name)
            if line is None:
                line = deque(maxlen=LENGTH)
            line.append(value)
            kept[name] = line
        self._values = kept

    def of(self, name: str) -> tuple[float | None, ...]:
        """Oldest first."""
        return tuple(self._values.get(name, ()))
