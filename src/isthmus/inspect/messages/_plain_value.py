"""Plain values, type 6, from bytes that were copied, or the first of them.

See "Values" in docs/segment-format.md.

Nothing of a value runs any code. Each size is compared with what is left before it is believed.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DEPTH = 16
_SINGLE = {ord("N"): None, ord("F"): False, ord("T"): True}
_INTEGER, _DOUBLE, _TEXT, _BYTES = b"idsb"
_TUPLE, _LIST, _DICT = b"([{"
_OPEN = {_TUPLE: "(", _LIST: "[", _DICT: "{"}
_CLOSE = {_TUPLE: ")", _LIST: "]", _DICT: "}"}
_COUNT = struct.Struct("=I")


class _Cut(Exception):
    """The bytes that were copied end here; the value goes on."""


class _Full(Exception):
    """As much as was wanted has been written."""


class _Reader:
    """Takes one thing after the other out of the bytes."""

    def __init__(self, payload: bytes, size: int) -> None:
        self.payload = payload
        #: Bytes of the whole value, of which `payload` may be the start.
        self.size = size
        self.at = 0

    def wrong(self) -> ValueError:
        return ValueError(f"its value makes no sense from byte {self.at} on")

    def take(self, size: int) -> bytes:
        """The next bytes: fewer of them, and then `_Cut`, come from one that is cut."""
        if size > self.size - self.at:
            raise self.wrong()
        taken = self.payload[self.at : self.at + size]
        if len(taken) < size:
            raise _Cut
        self.at += size
        return taken

    def tag(self, depth: int, key: bool) -> int:
        """What comes next; it can be there."""
        (tag,) = self.take(1)
        known = tag in _SINGLE or tag in b"idsb" or tag in _OPEN
        if not known or (tag in _OPEN and depth == 0) or (key and tag in (_LIST, _DICT)):
            self.at -= 1
            raise self.wrong()
        return tag

    def count(self) -> int:
        """How many bytes or items: each takes a byte at least."""
        (count,) = _COUNT.unpack(self.take(4))
        if count > self.size - self.at:
            raise self.wrong()
        return int(count)

    def number(self, tag: int) -> int | float:
        return struct.unpack("=q" if tag == _INTEGER else "=d", self.take(8))[0]  # type: ignore[no-any-return]

    def text(self, content: bytes) -> str:
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise self.wrong() from None


def decode(payload: bytes) -> Any:
    """The value that the bytes are, all of them; `ValueError` where they are none."""
    reader = _Reader(payload, len(payload))
    found = _value(reader, _DEPTH, False)
    if reader.at != len(payload):
        raise reader.wrong()
    return found


def _value(reader: _Reader, depth: int, key: bool) -> Any:
    tag = reader.tag(depth, key)
    if tag in _SINGLE:
        return _SINGLE[tag]
    if tag in (_INTEGER, _DOUBLE):
        return reader.number(tag)
    count = reader.count()
    if tag in (_TEXT, _BYTES):
        content = reader.take(count)
        return reader.text(content) if tag == _TEXT else content
    if tag == _DICT:
        return {
            _value(reader, depth - 1, True): _value(reader, depth - 1, False) for _ in range(count)
        }
    items = [_value(reader, depth - 1, key) for _ in range(count)]
    return tuple(items) if tag == _TUPLE else items


def preview(payload: bytes, size: int, width: int) -> str:
    """The value as Python writes it, from the first bytes of it; longer than `width` it is cut.

    `size`: bytes of the whole value.
    """
    writer = _Writer(_Reader(payload, size), width)
    try:
        writer.value(_DEPTH, False)
        if writer.reader.at != size:
            raise writer.reader.wrong()
    except (_Cut, _Full):
        return "".join(writer.pieces) + "…"
    except ValueError as error:
        return f"{''.join(writer.pieces)}… ({error})"
    return "".join(writer.pieces)


class _Writer:
    def __init__(self, reader: _Reader, width: int) -> None:
        self.reader = reader
        self.pieces: list[str] = []
        self.left = width

    def write(self, text: str) -> None:
        if len(text) > self.left:
            self.pieces.append(text[: max(0, self.left - 1)])
            raise _Full
        self.pieces.append(text)
        self.left -= len(text)

    def value(self, depth: int, key: bool) -> None:
        tag = self.reader.tag(depth, key)
        if tag in _SINGLE:
            self.write(repr(_SINGLE[tag]))
        elif tag in (_INTEGER, _DOUBLE):
            self.write(repr(self.reader.number(tag)))
        elif tag in (_TEXT, _BYTES):
            self._string(tag, self.reader.count())
        else:
            self._items(tag, self.reader.count(), depth - 1, key)

    def _string(self, tag: int, count: int) -> None:
        # No more of a long one is decoded than can be shown.
        shown = min(count, 4 * self.left + 4)
        content = self.reader.payload[self.reader.at : self.reader.at + shown]
        if tag == _BYTES:
            text = repr(content)
        elif len(content) < count:
            text = repr(content.decode("utf-8", "ignore"))
        else:
            text = repr(self.reader.text(content))
        if len(content) < count:
            self.write(text[:-1])
            raise _Cut
        self.write(text)
        self.reader.at += count

    def _items(self, tag: int, count: int, depth: int, key: bool) -> None:
        self.write(_OPEN[tag])
        for place in range(count):
            if place:
                self.write(", ")
            self.value(depth, key or tag == _DICT)
            if tag == _DICT:
                self.write(": ")
                self.value(depth, False)
        self.write(",)" if tag == _TUPLE and count == 1 else _CLOSE[tag])
