"""Loans of publishers, views of subscribers: what can be lent, and what can go wrong."""

from __future__ import annotations

import operator

from isthmus import _primitive_errors
from isthmus._ring_errors import Full
from isthmus.errors import ArgumentError, InUseError, IsthmusError, SizeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def array(shape: Any, dtype: Any, order: str) -> tuple[tuple[int, ...], Any, str, int, bytes]:
    """What a lent array is to be: shape, dtype, order, bytes of its elements, dtype as text."""
    from isthmus import _dtype  # not above: loans of bytes, and errors, do without numpy

    encode = _dtype.encode
    import numpy as np

    kind = np.dtype(dtype)
    try:
        lengths = tuple(operator.index(length) for length in shape)
    except TypeError:
        try:
            lengths = (operator.index(shape),)
        except TypeError:
            raise TypeError(
                f"shape must be a whole number or several, not {type(shape).__name__}"
            ) from None
    if kind.subdtype is not None:  # as numpy has it
        kind, inner = kind.subdtype
        lengths += inner
    if any(length < 0 for length in lengths):
        raise ArgumentError(f"shape {lengths} has a negative length")
    if order not in ("C", "F"):
        raise ArgumentError(f"order must be 'C' or 'F', not {order!r}")
    if kind.hasobject:
        raise TypeError(f"an array of {kind} holds references, which cannot be written in place")
    if kind.itemsize == 0:
        raise ArgumentError(f"elements of {kind} have no size")
    try:
        text = encode(kind)
    except ValueError as error:
        raise TypeError(str(error)) from None
    size = kind.itemsize
    for length in lengths:
        size *= length
    if size >= 1 << 62:
        raise SizeError(f"an array of shape {lengths} is more than a 64-bit system can address")
    return lengths, kind, order, size, text


def open_here(publisher: Any) -> IsthmusError:
    what, name = _primitive_errors.described(publisher)
    return InUseError(
        f"{what}: this thread has a loan open, and nobody can publish before it has ended",
        name=name,
    )


def still_there(publisher: Any) -> IsthmusError:
    what, name = _primitive_errors.described(publisher)
    return InUseError(
        f"{what}: nothing was published, since something still refers to the memory of the loan: "
        "another array or memoryview made from it, or a second name; copy what is to be kept, and "
        "delete the rest before the block ends",
        name=name,
    )


def used(handle: Any, noun: str) -> IsthmusError:
    what, name = _primitive_errors.described(handle)
    return ArgumentError(f"{what}: a {noun} can be entered once; make another", name=name)


def no_room(publisher: Any, done: int) -> IsthmusError:
    what, name = _primitive_errors.described(publisher)
    slow = [each for each in publisher._having("subscriber") if each.lag]
    why = ""
    if slow and publisher.overflow != "overwrite":
        slowest = max(slow, key=lambda each: each.lag)
        why = f": a subscriber of process {slowest.pid} is {slowest.lag} messages behind"
    before = f"; {done} were published" if done else ""
    return Full(f"{what} had no room in time{why}{before}", name=name, done=done)
