"""What a message says, for people and programs, without running anything that came with it."""

from __future__ import annotations

from isthmus.inspect.messages import _elements, _pickles, _plain_value
from isthmus.inspect.messages._record import TYPES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isthmus.inspect.messages._record import Content, Record

#: Bytes of payload that are enough for a preview of a line.
ENOUGH = 4096


def type_name(number: int) -> str:
    """What a record's type is called; numbers that programs agreed upon stay numbers."""
    return TYPES.get(number, f"type {number}")


def value(record: Record, content: Content) -> Any:
    """What the message is: bytes, text, a plain value, an array; of a pickle, a `Pickle` of facts.

    An array is one of numpy; where numpy is not installed, its `Elements`. `ValueError` where it
    is damaged, or `content` is not all of it.
    """
    kind = TYPES.get(record.type)
    if kind == "pickle":
        return _pickles.pickle(content.meta, content.payload, record.size)
    if not content.whole:
        raise ValueError(f"only {len(content.payload)} of its {record.size} bytes were read")
    if kind == "text":
        return content.payload.decode()
    if kind == "bytearray":
        return bytearray(content.payload)
    if kind == "value":
        return _plain_value.decode(content.payload)
    if kind == "array":
        found = _elements.elements(content.meta, record.size)
        array = _elements.numpy_array(found, content.payload)
        return found if array is None else array
    return content.payload


def preview(record: Record, content: Content, width: int = 80) -> str:
    """The message on one line of `width` characters or little more; what is cut ends with ``…``.

    Control characters are shown by their escapes. Of one that is damaged, it says so.
    """
    return printable(_preview(record, content, width))


def printable(text: str) -> str:
    """Names in a dtype or a pickle come from others, too: control characters as escapes."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(one: str) -> str:
    return one if one.isprintable() else one.encode("unicode_escape").decode()


def _preview(record: Record, content: Content, width: int) -> str:
    kind, payload = TYPES.get(record.type), content.payload
    try:
        if kind == "value":
            return _plain_value.preview(payload, record.size, width)
        if kind == "text":
            return _text(payload, content.whole, width)
        if kind == "array":
            return _elements.preview(_elements.elements(content.meta, record.size), payload, width)
        if kind == "pickle":
            facts = _pickles.pickle(content.meta, payload, record.size)
            return _pickles.preview(facts, width)
    except ValueError as error:
        return f"{_bytes(payload, content.whole, max(8, width // 2))} ({error})"
    return _bytes(payload, content.whole, width)


def _bytes(payload: bytes, whole: bool, width: int) -> str:
    return _shortened(repr(payload[:width]), whole and len(payload) <= width, width)


def _text(payload: bytes, whole: bool, width: int) -> str:
    shown = payload[: 4 * width]
    whole = whole and len(shown) == len(payload)
    try:
        text = shown.decode()
    except UnicodeDecodeError as error:
        # In the middle of a character is no damage where it was cut.
        if whole or error.start < len(shown) - 3:
            raise ValueError(f"not UTF-8 from byte {error.start} on") from None
        text = shown[: error.start].decode()
    return _shortened(repr(text), whole, width)


def _shortened(quoted: str, whole: bool, width: int) -> str:
    if whole and len(quoted) <= width:
        return quoted
    return quoted[:-1][: max(1, width - 1)] + "…"
