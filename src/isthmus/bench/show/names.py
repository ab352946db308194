"""Where names stand in a plot: next to what they name, and never one upon another."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Box:
    """A rectangle, y upwards."""

    left: float
    bottom: float
    width: float
    height: float

    def overlap(self, other: Box) -> float:
        """The area that both cover."""
        if self.left >= other.left + other.width or other.left >= self.left + self.width:
            return 0.0
        wide = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        high = min(self.bottom + self.height, other.bottom + other.height) - max(
            self.bottom, other.bottom
        )
        return max(wide, 0.0) * max(high, 0.0)


def spread(wanted: Sequence[float], height: float, low: float, high: float) -> list[float]:
    """Positions as near to the wanted ones as can be, at least `height` apart, in low .. high.

    Those that touch move together, each bunch to where its middle wants to be.

    >>> spread([1.0, 1.0, 9.0], 2.0, 0.0, 10.0)
    [0.0, 2.0, 9.0]
    >>> spread([], 1.0, 0.0, 1.0)
    []
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    if len(wanted) > 1:
        # Where there is no room for all, rather close together than outside.
        height = min(height, (high - low) / (len(wanted) - 1))
    bunches: list[tuple[float, list[int]]] = []  # lowest position, members
    for index in order:
        start, members = wanted[index], [index]
        start = min(max(start, low), high)
        while bunches and bunches[-1][0] + len(bunches[-1][1]) * height > start:
            members = bunches.pop()[1] + members
            ideal = sum(wanted[one] - n * height for n, one in enumerate(members)) / len(members)
            start = min(max(ideal, low), high - (len(members) - 1) * height)
        bunches.append((start, members))
    positions = [0.0] * len(wanted)
    for start, members in bunches:
        for number, index in enumerate(members):
            positions[index] = start + number * height
    return positions


def beside(
    x: float, y: float, width: float, height: float, taken: Iterable[Box], inside: Box
) -> Box:
    """A place for a name near a point: the nearest that covers nothing, or the least bad one."""
    taken = list(taken)
    area = width * height
    best, least = Box(x, y, width, height), float("inf")
    for ring in range(1, 15):
        # Of two that are as good, the nearer one; and a corner touched is not worth a detour.
        detour = 0.01 * ring * area
        if detour >= least:
            break
        reach = 0.6 * height * ring
        for dx, dy in ((1, 0), (1, 1), (1, -1), (-1, 0), (-1, 1), (-1, -1), (0, 1), (0, -1)):
            left = x + dx * reach - (0 if dx > 0 else width if dx < 0 else width / 2)
            bottom = y + dy * reach - (height / 2 if dy == 0 else 0 if dy > 0 else height)
            box = Box(left, bottom, width, height)
            bad = detour + 10 * (area - box.overlap(inside))
            for other in taken:
                if bad >= least:
                    break
                bad += box.overlap(other)
            if bad < least:
                best, least = box, bad
    return best


def nearest(box: Box, x: float, y: float) -> tuple[float, float]:
    """The point of a rectangle that is nearest to the given one."""
    return (
        min(max(x, box.left), box.left + box.width),
        min(max(y, box.bottom), box.bottom + box.height),
    )


def along(x0: float, y0: float, x1: float, y1: float, step: float) -> list[Box]:
    """Small rectangles that cover the way from one point to another."""
    count = max(1, round(max(abs(x1 - x0), abs(y1 - y0)) / step))
    half = step / 2
    return [
        Box(x0 + (x1 - x0) * n / count - half, y0 + (y1 - y0) * n / count - half, step, step)
        for n in range(count + 1)
    ]
