"""Bytes for people: offset, hexadecimal, characters.

Our own few lines: rich has none, and the packages for it have not been looked after for years.
"""

from __future__ import annotations

from itertools import groupby

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from isthmus.inspect import Piece

_WIDTH = 16


def lines(data: bytes, offset: int = 0) -> Iterator[str]:
    """16 bytes a line. Of lines that are equal, the first and the last, and ``*`` between."""
    rows = [
        (data[at : at + _WIDTH], offset + at)
        for at in range(0, len(data), _WIDTH)
    ]  # fmt: skip
    for _, group in groupby(rows, key=lambda row: row[0]):
        same = list(group)
        yield _line(*same[0])
        if len(same) > 2:
            yield "*"
        if len(same) > 1:
            yield _line(*same[-1])


def of_pieces(pieces: Iterable[Piece]) -> Iterator[str]:
    """Of a file, in which there may be holes."""
    for piece in pieces:
        if piece.data is None:
            yield f"{piece.offset:08x}  {piece.size} bytes that were never written: zeros"
        else:
            yield from lines(piece.data, piece.offset)


def _line(row: bytes, offset: int) -> str:
    left, right = row[:8].hex(" "), row[8:].hex(" ")
    shown = "".join(chr(one) if 0x20 <= one < 0x7F else "." for one in row)
    return f"{offset:08x}  {left:<23}  {right:<23}  |{shown}|"
