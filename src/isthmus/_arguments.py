"""Checking what callers pass in, with errors that say what is wrong with it."""

from __future__ import annotations

import math
import operator
import os

from isthmus.errors import ArgumentError, NameInvalidError, SizeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

# What a signed 64-bit file offset can hold.
SIZE_MAX = 2**63 - 1
NAME_MAX = 255
_UNITS = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgtp", 1):
    _UNITS[f"{_letter}ib"] = 1024**_power
    _UNITS[f"{_letter}b"] = 1000**_power

OWNER_SELF = -1
OWNER_ANY = -2


def integer(value: SupportsIndex, what: str, too_large: type[ArgumentError] = ArgumentError) -> int:
    """`value` as an int; TypeError for anything that is not a whole number, bool included."""
    if isinstance(value, bool):
        raise TypeError(f"{what} must be a whole number, not {value}")
    try:
        number = operator.index(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{what} must be a whole number, not {kind}") from None
    if number.bit_length() > 512:  # far beyond all uses, and too long to be shown
        raise too_large(f"{what} is a number of {number.bit_length()} bits, which is too large")
    return number


def size(value: SupportsIndex | str, what: str = "size", minimum: int = 1) -> int:
    """A number of bytes, from an int or a text such as ``"16 MiB"``.

    >>> size("16 MiB")
    16777216
    >>> size(0)
    Traceback (most recent call last):
    isthmus.errors.SizeError: size must be at least 1, not 0
    """
    number = integer(_parsed(value, what) if isinstance(value, str) else value, what, SizeError)
    if number < minimum:
        raise SizeError(f"{what} must be at least {minimum}, not {number}")
    if number > SIZE_MAX:
        raise SizeError(f"{what} {number} is more than a 64-bit system can address")
    return number


def _parsed(text: str, what: str) -> int:
    stripped = text.strip()
    digits = stripped.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    unit = stripped[len(digits) :].strip().lower()
    try:
        return int(float(digits) * _UNITS[unit]) if "." in digits else int(digits) * _UNITS[unit]
    except (KeyError, ValueError, OverflowError):
        shown = f"{text[:40]!r}…" if len(text) > 40 else repr(text)
        raise SizeError(
            f'{what} {shown} is not a size; write bytes as a number, or as "16 MiB"'
        ) from None


def span(offset: SupportsIndex, length: SupportsIndex | None, total: int) -> tuple[int, int]:
    """The part of `total` bytes that starts at `offset`; length None: all the rest."""
    start = size(offset, "offset", 0)
    if start > total:
        raise SizeError(f"offset {start} is beyond the end ({total} bytes)")
    count = total - start if length is None else size(length, "length", 0)
    if count > total - start:
        raise SizeError(f"{count} bytes from offset {start} reach beyond the end ({total} bytes)")
    return start, count


def name(value: str) -> str:
    """A name as text that the system can take at all: not empty, no NUL."""
    if not isinstance(value, str):
        raise TypeError(f"name must be a str, not {type(value).__name__}")
    if not value:
        raise NameInvalidError("the name is empty; give the object a name", name=value)
    if "\0" in value:
        raise NameInvalidError(f"name {value!r} contains a NUL character", name=value)
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        raise NameInvalidError(
            f"name {value!r} has characters that the file system's encoding lacks", name=value
        ) from None
    return value


def posix_name(value: str) -> str:
    """The name of a raw POSIX object, without its leading slash."""
    bare = name(value).removeprefix("/")
    if not bare:
        raise NameInvalidError(f"name {value!r} is empty but for the slash", name=value)
    if "/" in bare:
        raise NameInvalidError(
            f"name {value!r} has a slash inside; a POSIX shared memory object has one "
            "at the start at most",
            name=value,
        )
    if bare in (".", ".."):
        raise NameInvalidError(f"name {value!r} stands for a directory", name=value)
    length = len(os.fsencode(bare))
    if length > NAME_MAX:
        raise NameInvalidError(
            f"the name has {length} bytes; at most {NAME_MAX} are possible: {value[:40]!r}…",
            name=value,
        )
    return bare


def whole(
    value: SupportsIndex, what: str, low: int, high: int, why: str = "", name: str | None = None
) -> int:
    """A whole number from `low` to `high`."""
    number = integer(value, what)
    if not low <= number <= high:
        raise ArgumentError(f"{what} must be from {low} to {high}{why}, not {number}", name=name)
    return number


def int64(value: SupportsIndex) -> int:
    """A number that a signed 64-bit integer can hold, else OverflowError."""
    try:
        number = operator.index(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"value must be a whole number, not {kind}") from None
    if not -(2**63) <= number < 2**63:
        long = number.bit_length() > 512
        shown = f"a number of {number.bit_length()} bits" if long else number
        raise OverflowError(f"value must fit into 64 bits, signed; {shown} does not")
    return number


def timeout(value: float) -> float:
    """Seconds to wait: any number, but a number."""
    try:
        seconds = value + 0.0
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"timeout must be a number of seconds, not {kind}") from None
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    if math.isnan(seconds):
        raise ArgumentError("timeout is not a number (NaN); give seconds")
    return seconds


def mode(value: SupportsIndex) -> int:
    """Permission bits."""
    bits = integer(value, "mode")
    if not 0 <= bits <= 0o777:
        raise ArgumentError(f"mode {bits:#o} is not made of permission bits (0 to 0o777)")
    return bits


def owner(value: SupportsIndex | str | None) -> int:
    """Whose an object may be: a uid or name, None for the caller's own, ``"any"``."""
    if value is None:
        return OWNER_SELF
    if value == "any":
        return OWNER_ANY
    return _identity(value, "user")


def new_owner(value: SupportsIndex | str | None) -> int:
    """Whose a new object shall be; -1: as the system would have it."""
    return -1 if value is None else _identity(value, "user")


def new_group(value: SupportsIndex | str | None) -> int:
    return -1 if value is None else _identity(value, "group")


def _identity(value: SupportsIndex | str, what: str) -> int:
    if isinstance(value, str):
        import grp
        import pwd

        try:
            return pwd.getpwnam(value).pw_uid if what == "user" else grp.getgrnam(value).gr_gid
        except KeyError:
            raise ArgumentError(f"there is no {what} {value!r} on this system") from None
    number = integer(value, f"{what} id")
    if not 0 <= number < 2**32 - 1:
        raise ArgumentError(f"{number} is not a {what} id")
    return number
