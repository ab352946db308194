"""Whether two figures differ, or only seem to.

Each figure comes with those of its rounds. Times are skewed and differ by factors, so all is
done with logarithms. The median of n rounds scatters by about 1.25 s / sqrt(n), s being the
scatter of a round; few rounds tell little about s, for which Student's t makes up.

Within one run all take turns: what disturbs a round disturbs everybody in it. So there, the
ratios in each round are what counts, and they scatter much less than the figures.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Beyond which 1 of 100 would lie by chance, by degrees of freedom (two-sided); and 1 of 20.
_T_99 = (63.7, 9.92, 5.84, 4.60, 4.03, 3.71, 3.50, 3.36, 3.25, 3.17, 2.9)
_T_95 = (12.7, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.1)
# Of the median, as against the mean.
_MEDIAN = 1.2533
# Nothing is told apart below: what happens to lie where in memory makes so much.
SAME_RUN = 0.03
OTHER_RUN = 0.05
# With a single round there is nothing to estimate from.
UNKNOWN = 0.25


@dataclass(frozen=True)
class Ratio:
    """`value` is the ratio of two figures; within `noise`, a factor of at least 1, it is none."""

    value: float
    noise: float

    @property
    def certain(self) -> bool:
        return not 1 / self.noise <= self.value <= self.noise


def between_runs(
    a: float, a_rounds: Sequence[float], b: float, b_rounds: Sequence[float], least: float
) -> Ratio:
    """`a` / `b`, both above 0, of two runs. Hundreds are compared, so few may be wrong."""
    scatter, freedom = 0.0, 0
    for rounds in (a_rounds, b_rounds):
        logarithms = [math.log(value) for value in rounds if value > 0]
        if len(logarithms) < 2:
            return Ratio(a / b, 1 + max(UNKNOWN, least))
        scatter += statistics.variance(logarithms) / len(logarithms)
        freedom += len(logarithms) - 1
    return Ratio(a / b, _bound(_T_99, freedom, scatter, least))


def within_run(a: float, a_rounds: Sequence[float], b: float, b_rounds: Sequence[float]) -> Ratio:
    """`a` / `b`, both above 0, of two that took turns."""
    logarithms = [
        math.log(one) - math.log(other)
        for one, other in zip(a_rounds, b_rounds, strict=False)
        if one > 0 and other > 0
    ]
    # Of those that lost rounds it is not known which.
    if len(logarithms) < 2 or len(a_rounds) != len(b_rounds):
        return Ratio(a / b, 1 + UNKNOWN)
    scatter = statistics.variance(logarithms) / len(logarithms)
    noise = _bound(_T_95, len(logarithms) - 1, scatter, SAME_RUN)
    # Rounds that all say the same, and by far, are not to be outdone by how far one of them is.
    clear = math.log(1 + UNKNOWN)
    agree = min(logarithms) > clear or max(logarithms) < -clear
    if agree and len(logarithms) > 2:
        noise = min(noise, 1 + UNKNOWN)
    return Ratio(a / b, noise)


def _bound(t: Sequence[float], freedom: int, scatter: float, least: float) -> float:
    wide = t[min(freedom, len(t)) - 1] * _MEDIAN * math.sqrt(scatter)
    # Beyond a factor of 1000 it makes no difference any more.
    return max(math.exp(min(wide, 7.0)), 1 + least)
