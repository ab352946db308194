"""Arrays: what their elements are, and the first of them, with numpy only where it is needed."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass

from isthmus.inspect.looking._structs import structs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FORTRAN, _NDIM_MAX, _DTYPE_MAX = 1, 64, 65536
# Those that need no numpy, by their dtype without the byte order.
_FORMATS = {
    "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I",
    "u8": "Q", "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip
_NAMES = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}


@dataclass(frozen=True, slots=True)
class Elements:
    """What an array is, without its elements."""

    #: JSON, as docs/segment-format.md has it.
    dtype: str
    shape: tuple[int, ...]
    itemsize: int
    #: Whether the first index varies fastest.
    fortran: bool

    @property
    def count(self) -> int:
        """How many elements."""
        return math.prod(self.shape)

    @property
    def name(self) -> str:
        """The element type for people: ``float64``, ``>f8``, ``{x: <f4, y: <f4}``."""
        try:
            return _name(json.loads(self.dtype), 0)
        except (ValueError, RecursionError):
            return self.dtype


def elements(meta: bytes, size: int) -> Elements:
    """From the meta data of a record with `size` bytes; `ValueError` where they do not suit."""
    layout = structs()["elements"]
    if len(meta) < layout.size:
        raise ValueError("its meta data are no array's: there are too few")
    fields = layout.read(meta)
    ndim, text_size = fields["ndim"], fields["dtype_size"]
    start = layout.size + 8 * ndim
    if ndim > _NDIM_MAX or not 0 < text_size <= _DTYPE_MAX or start + text_size > len(meta):
        raise ValueError("its meta data are no array's: the shape or the dtype cannot be")
    shape = struct.unpack_from(f"={ndim}Q", meta, layout.size)
    text = meta[start : start + text_size].decode("utf-8", "backslashreplace")
    found = Elements(text, shape, fields["itemsize"], bool(fields["flags"] & _FORTRAN))
    if found.itemsize < 1 or found.count * found.itemsize != size:
        raise ValueError(
            f"{found.count} elements of {found.itemsize} bytes are not the {size} that it has"
        )
    return found


def preview(found: Elements, payload: bytes, width: int) -> str:
    """Element type, shape and the first elements, in the order in which they lie."""
    order = ", Fortran order" if found.fortran and len(found.shape) > 1 else ""
    text = f"{found.name[:width]} {found.shape}{order} ["
    count = min(len(payload) // found.itemsize, max(1, width // 2))
    shown = 0
    for item in first(found, payload, count):
        piece = (", " if shown else "") + item
        if shown and len(text) + len(piece) + 3 > width:
            break
        text += piece
        shown += 1
    return text + ("]" if shown == found.count else ", …]" if shown else "…]")


def first(found: Elements, payload: bytes, count: int) -> list[str]:
    """Elements from the start of the payload, as text; none where that would need numpy."""
    payload = payload[: count * found.itemsize]
    try:
        described = json.loads(found.dtype)
    except (ValueError, RecursionError):
        return []
    code = _FORMATS.get(described[1:]) if isinstance(described, str) else None
    order = {"<": "<", ">": ">", "|": "<"}.get(described[:1]) if code else None
    if code and order and struct.calcsize(order + code) == found.itemsize:
        whole = len(payload) // found.itemsize * found.itemsize
        return [_text(one) for (one,) in struct.iter_unpack(order + code, payload[:whole])]
    array = numpy_array(
        found, payload[: len(payload) // found.itemsize * found.itemsize], flat=True
    )
    return [] if array is None else [_text(one) for one in array]


def numpy_array(found: Elements, payload: bytes, *, flat: bool = False) -> Any:
    """A copy as numpy has it, in its shape or flat; None where there is no numpy.

    `ValueError` where the dtype is none.
    """
    try:
        from isthmus import _dtype
    except ImportError:
        return None
    import numpy as np

    try:
        dtype = _dtype.decode(found.dtype.encode())
    except ValueError:
        if flat:
            return None
        raise
    if dtype.itemsize != found.itemsize:
        if flat:
            return None
        raise ValueError(f"its elements have {found.itemsize} bytes, those of its dtype do not")
    shape = (len(payload) // found.itemsize,) if flat else found.shape
    try:
        return np.ndarray(shape, dtype, bytearray(payload), order="F" if found.fortran else "C")
    except (TypeError, OverflowError) as error:
        raise ValueError(str(error)) from None


def _text(element: object) -> str:
    if isinstance(element, float):
        return f"{element:.6g}"
    # Of numpy, the value: its own repr has the type in it.
    plain = element.tolist() if hasattr(element, "tolist") else element
    known = isinstance(plain, (bool, int, float, complex, str, bytes, tuple, list))
    return repr(plain) if known else str(element)


def _name(described: Any, depth: int) -> str:
    if isinstance(described, str):
        order, kind, size = described[:1], described[1:2], described[2:]
        if described == "|b1":
            return "bool"
        if order in "<|" and kind in _NAMES and size.isdigit():
            return f"{_NAMES[kind]}{8 * int(size)}"
        return described
    if isinstance(described, dict) and depth < 8:
        if "base" in described:
            return f"{_name(described['base'], depth + 1)} {described.get('shape')}"
        names, formats = described.get("names"), described.get("formats")
        if isinstance(names, list) and isinstance(formats, list):
            fields = zip(names, formats, strict=False)
            inside = ", ".join(f"{name}: {_name(one, depth + 1)}" for name, one in fields)
            return f"{{{inside}}}"
    return json.dumps(described)
