"""One look at a typed object: everything that changes, read once, from which the rest is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from isthmus.inspect.looking import _ring_state, _seats, _typed
from isthmus.inspect.looking._seats import Clocks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect.looking._observed import Observed
    from isthmus.inspect.looking._ring_state import Cursors, QueueNumbers
    from isthmus.inspect.looking._seats import Slot
    from isthmus.inspect.looking._typed import Typed


@dataclass(slots=True)
class Look:
    typed: Typed
    #: Whether any handle is open.
    present: bool
    slots: list[Slot]
    clocks: Clocks = field(default_factory=Clocks)
    cursors: Cursors | None = None
    #: Of a queue.
    numbers: QueueNumbers | None = None
    #: Of a topic: messages that each subscriber is behind, by slot.
    lags: dict[int, int] = field(default_factory=dict)

    @property
    def alive(self) -> int:
        return sum(slot.alive for slot in self.slots)

    @property
    def dead(self) -> int:
        return len(self.slots) - self.alive

    @property
    def depth(self) -> int | None:
        """Messages that wait: for a consumer, or for the slowest living subscriber."""
        if self.typed.kind == 10:
            return None if self.numbers is None else self.numbers.ready
        if self.typed.kind != 11 or self.cursors is None:
            return None
        living = {slot.number for slot in self.slots if slot.alive}
        return max((lag for slot, lag in self.lags.items() if slot in living), default=0)


def look(observed: Observed) -> Look:
    """Raises `Vanished` when the object goes away meanwhile."""
    typed = _typed.read(observed)
    made = Look(typed, _seats.present(typed), _seats.slots(typed))
    made.cursors = _ring_state.cursors(typed)
    if made.cursors is None:
        return made
    if made.cursors.used is None:
        typed.damage("Its cursors contradict each other.")
    elif made.cursors.put is None or (typed.kind == 10 and made.cursors.got is None):
        typed.damage("Its counts do not belong to its cursors.")
    if typed.kind == 10:
        made.numbers = _ring_state.queue_numbers(made.cursors, made.slots)
    else:
        made.lags = _ring_state.lags(typed, made.cursors, made.slots)
    return made
