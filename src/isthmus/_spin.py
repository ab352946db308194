"""How long waits spin before they sleep: `spin=`, and ISTHMUS_SPIN_US for all."""

from __future__ import annotations

import os

from isthmus.errors import ArgumentError


def nanoseconds(spin: float | None) -> int | None:
    """`spin` in microseconds, checked; None: as the core chooses."""
    return _from_environment() if spin is None else _nanoseconds(spin, "spin")


def _from_environment() -> int | None:
    variable = "ISTHMUS_SPIN_US"
    text = os.environ.get(variable)
    if text is None:
        return None
    try:
        spin = float(text)
    except ValueError:
        raise ArgumentError(f"{variable} is {text!r}, not a number of microseconds") from None
    return _nanoseconds(spin, variable)


def _nanoseconds(spin: float, what: str) -> int:
    try:
        microseconds = spin + 0.0
    except TypeError:
        kind = type(spin).__name__
        raise TypeError(f"{what} must be a number of microseconds, not {kind}") from None
    if not 0 <= microseconds <= 1_000_000:
        raise ArgumentError(f"{what} must be from 0 to 1000000 microseconds, not {spin}")
    return int(microseconds * 1000)
