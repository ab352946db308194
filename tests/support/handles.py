"""What child processes do with the handles that they get; importable under every start method."""

from __future__ import annotations

from isthmus import Array, Segment


def write_segment(seg: Segment, value: int) -> None:
    seg.buf[0] = value


def write_array(array: Array, value: float) -> None:
    array.np[...] = value
