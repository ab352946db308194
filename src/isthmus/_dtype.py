"""numpy element types as text in shared memory, and arrays over mapped memory.

The text is JSON, as docs/segment-format.md says: ``"<f8"`` for a plain type, an
object for structured types and subarrays. It is parsed, never evaluated.
"""

from __future__ import annotations

import functools
import json
import math
import operator

from isthmus.errors import ArgumentError, SizeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, SupportsIndex

    import numpy.typing as npt

    from isthmus._core.memory import Mapping

try:
    import numpy as np
except ImportError as error:
    raise ImportError(
        "arrays need numpy, which is not installed: pip install 'isthmus[numpy]'"
    ) from error

_NESTING_MAX = 32
# numpy keeps the size of an element in a C int
_ITEMSIZE_MAX = 2**31 - 1


def check(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """`dtype` as one that can lie in shared memory: no Python objects, at least one byte."""
    found = np.dtype(dtype)
    if found.hasobject:
        raise ArgumentError(
            f"dtype {found} holds references to Python objects, which mean nothing to another "
            "process; use numbers, fixed-length text or a structured dtype"
        )
    if found.itemsize == 0:
        raise ArgumentError(f"dtype {dtype!r} has elements of no bytes; give it a length")
    return found


def encode(dtype: np.dtype[Any]) -> bytes:
    """The text for a dtype. ArgumentError if numpy cannot make the same dtype from it."""
    text = json.dumps(_describe(dtype), separators=(",", ":"), ensure_ascii=True).encode()
    if len(text) > 65536:
        raise ArgumentError(f"dtype with {len(dtype.names or ())} fields is too long to describe")
    try:
        same = decode(text) == dtype
    except (ValueError, TypeError):
        same = False
    if not same:
        raise ArgumentError(
            f"dtype {dtype} is known to this process only; use one that numpy itself has"
        )
    return text


def _describe(dtype: np.dtype[Any]) -> Any:
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return {"base": _describe(base), "shape": list(shape)}
    if dtype.names is None:
        return dtype.str
    fields = [dtype.fields[name] for name in dtype.names]  # type: ignore[index]
    described: dict[str, Any] = {
        "names": list(dtype.names),
        "formats": [_describe(field[0]) for field in fields],
        "offsets": [field[1] for field in fields],
        "itemsize": dtype.itemsize,
        "aligned": dtype.isalignedstruct,
    }
    titles = [field[2] if len(field) > 2 else None for field in fields]  # type: ignore[misc]
    if any(title is not None for title in titles):
        if not all(title is None or isinstance(title, str) for title in titles):
            raise ArgumentError("titles of a structured dtype must be text")
        described["titles"] = titles
    return described


def decode(text: bytes) -> np.dtype[Any]:
    """The dtype that a text stands for; ValueError if it is none."""
    # The names of a structured dtype can be changed, so each array needs one of its own.
    return _plain(text) if text[:1] == b'"' else _decoded(text)


@functools.lru_cache(maxsize=64)
def _plain(text: bytes) -> np.dtype[Any]:
    return _decoded(text)


def _decoded(text: bytes) -> np.dtype[Any]:
    try:
        return check(_parse(json.loads(text), 0))
    except (
        TypeError,
        KeyError,
        OverflowError,
        RecursionError,
        UnicodeDecodeError,
        Warning,
    ) as error:
        raise ValueError(f"not a description of a dtype: {error}") from None


def _parse(described: Any, depth: int) -> np.dtype[Any]:
    if depth > _NESTING_MAX:
        raise ValueError(f"nested more than {_NESTING_MAX} deep")
    if isinstance(described, str):
        # numpy takes comma-separated and other composite strings too; we do not.
        if len(described) > 64 or described[:1] not in set("<>|=") or "," in described:
            raise ValueError(f"{described[:80]!r} is not a plain type")
        return np.dtype(described)
    if not isinstance(described, dict):
        raise ValueError(f"{type(described).__name__} where a type should be")
    if "base" in described:
        base = _parse(described["base"], depth + 1)
        shape = tuple(operator.index(length) for length in described["shape"])
        if any(length < 0 for length in shape) or base.itemsize * math.prod(shape) > _ITEMSIZE_MAX:
            raise ValueError(f"a subarray {shape} of {base} is impossible")
        return np.dtype((base, shape))
    formats = [_parse(each, depth + 1) for each in described["formats"]]
    offsets = [operator.index(each) for each in described["offsets"]]
    itemsize = operator.index(described["itemsize"])
    for each, offset in zip(formats, offsets, strict=True):
        # numpy adds the two as C ints, so that a sum beyond those would count as inside.
        if not 0 <= offset <= itemsize - each.itemsize:
            raise ValueError(f"a field at {offset} is outside an element of {itemsize} bytes")
    arguments: dict[str, Any] = {
        "names": described["names"],
        "formats": formats,
        "offsets": offsets,
        "itemsize": itemsize,
    }
    if described.get("titles") is not None:
        arguments["titles"] = described["titles"]
    return np.dtype(arguments, align=bool(described["aligned"]))  # type: ignore[call-overload, no-any-return]


def shape_of(shape: SupportsIndex | tuple[SupportsIndex, ...]) -> tuple[int, ...]:
    """A shape as a tuple of lengths, none negative."""
    try:
        lengths: tuple[int, ...] = (operator.index(shape),)  # type: ignore[arg-type]
    except TypeError:
        try:
            lengths = tuple(operator.index(length) for length in shape)  # type: ignore[union-attr]
        except TypeError:
            raise TypeError(
                f"shape must be a number or a tuple of numbers, not {shape!r}"
            ) from None
    if any(length < 0 for length in lengths):
        raise SizeError(f"shape {lengths} has a negative length")
    return lengths


def check_dimensions(shape: tuple[int, ...]) -> None:
    """ValueError if these are more dimensions than this numpy can have."""
    np.empty((0,) * len(shape))


def order_of(order: str) -> Literal["C", "F"]:
    if order == "C":
        return "C"
    if order == "F":
        return "F"
    raise ArgumentError(f'order must be "C" or "F", not {order!r}')


def view(
    mapping: Mapping,
    shape: SupportsIndex | tuple[SupportsIndex, ...] | None,
    dtype: npt.DTypeLike,
    offset: int,
    order: str,
) -> np.ndarray[Any, Any]:
    """An array over a mapping; it keeps the mapping alive."""
    element = check(dtype)
    if offset > mapping.size:
        raise SizeError(f"offset {offset} is beyond the end ({mapping.size} bytes)")
    if shape is None:
        lengths: tuple[int, ...] = ((mapping.size - offset) // element.itemsize,)
    else:
        lengths = shape_of(shape)
    count = 1
    for length in lengths:
        count *= length
    if count * element.itemsize > mapping.size - offset:
        raise SizeError(
            f"an array {lengths} of {element} takes {count * element.itemsize} bytes; "
            f"from offset {offset} on there are {mapping.size - offset}"
        )
    return over(mapping, lengths, element, offset, order_of(order))


def over(
    mapping: Mapping,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    offset: int,
    order: Literal["C", "F"],
) -> np.ndarray[Any, Any]:
    """An array over a mapping, of which is known that it fits and that the dtype is sound."""
    # A Mapping has the buffer protocol, which numpy's stubs do not know of in general.
    return np.ndarray(shape, dtype, mapping, offset, order=order)  # type: ignore[arg-type, unused-ignore]
