"""URLs of channels, and the options in them."""

from __future__ import annotations

import os

from isthmus import _arguments
from isthmus.errors import ArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

# Longer ones are not shown in full.
_SHOWN = 80


def split(url: str) -> tuple[str, str, dict[str, str]]:
    """The form, what follows its colon, and the options after a question mark.

    >>> split("tcp:localhost:4000?limit=1%20MiB&keepalive=5")
    ('tcp', 'localhost:4000', {'limit': '1 MiB', 'keepalive': '5'})
    >>> split("file:///var/log/events")
    ('file', '/var/log/events', {})
    """
    if not isinstance(url, str):
        raise TypeError(f"url must be a str, not {type(url).__name__}")
    form, colon, rest = url.partition(":")
    if not colon:
        raise ArgumentError(
            f"{url[:_SHOWN]!r} is no URL of a channel; write FORM:WHERE, such as unix:/run/x.sock"
        )
    where, question, query = rest.partition("?")
    where = where.removeprefix("//")
    options: dict[str, str] = {}
    if question:
        from urllib.parse import unquote

        for each in query.split("&"):
            key, equals, value = each.partition("=")
            if not equals or key in options:
                raise ArgumentError(
                    f"{each[:_SHOWN]!r} in {url[:_SHOWN]!r} is not an option, or the second of "
                    "its name; write ?key=value&key=value"
                )
            options[key] = unquote(value)
    if "%" in where:
        from urllib.parse import unquote

        where = unquote(where)
    if "\0" in where:
        raise ArgumentError(f"{url[:_SHOWN]!r} contains a NUL character")
    try:
        os.fsencode(where)
    except UnicodeEncodeError:
        raise ArgumentError(
            f"{url[:_SHOWN]!r} has characters that the file system's encoding lacks"
        ) from None
    return form.lower(), where, options


def quoted(where: str) -> str:
    """`where` as it is to be written in a URL."""
    if any(character in where for character in "%?"):
        return where.replace("%", "%25").replace("?", "%3F")
    return where


# ---- Options ---------------------------------------------------------------------------


def _key(value: object) -> bytes:
    key = value.encode() if isinstance(value, str) else value
    if not isinstance(key, bytes):
        raise TypeError(f"key must be bytes, not {type(value).__name__}")
    if not key:
        raise ArgumentError("the key is empty; give both sides the same secret")
    return key


def _mode(value: object) -> int:
    if isinstance(value, str):
        try:
            value = int(value, 8)
        except ValueError:
            raise ArgumentError(f"mode {value!r} is not an octal number such as 600") from None
    return _arguments.mode(value)  # type: ignore[arg-type]


def _seconds(what: str) -> Callable[[Any], float]:
    def convert(value: Any) -> float:
        try:
            seconds = float(value) if isinstance(value, str) else _arguments.timeout(value)
        except ValueError:
            raise ArgumentError(f"{what} {value!r} is not a number of seconds") from None
        if not 0 < seconds <= 1e6:
            raise ArgumentError(f"{what} must be from 0 to a million seconds, not {value}")
        return seconds

    return convert


def _whole(what: str, low: int, high: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if isinstance(value, str):
            try:
                value = int(value)
            except ValueError:
                raise ArgumentError(f"{what} {value!r} is not a whole number") from None
        return _arguments.whole(value, what, low, high)

    return convert


def _size(what: str) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        return _arguments.size(value, what)

    return convert


def _spin(value: Any) -> float:
    try:
        spin = float(value)
    except (TypeError, ValueError):
        raise ArgumentError(f"spin {value!r} is not a number of microseconds") from None
    # Also for one who listens, where the rings that it is for are still to come.
    if not 0 <= spin <= 1e6:
        raise ArgumentError(f"spin must be from 0 to 1000000 microseconds, not {value}")
    return spin


def _signal(value: Any) -> str | int:
    return value if isinstance(value, str) else _arguments.integer(value, "signal")


def _start(value: Any) -> str:
    if value not in ("start", "end"):
        raise ArgumentError(f"start must be 'start' or 'end', not {value!r}")
    return str(value)


#: What an option is made of, from a URL or as an argument.
CONVERT: dict[str, Callable[[Any], Any]] = {
    "backlog": _whole("backlog", 1, 65535),
    "capacity": _size("capacity"),
    "keepalive": _seconds("keepalive"),
    "key": _key,
    "limit": _size("limit"),
    "messages": _whole("messages", 1, 1 << 20),
    "mode": _mode,
    "signal": _signal,
    "size": _size("size"),
    "spin": _spin,
    "start": _start,
}  # fmt: skip


def options_of(
    form: str, known: frozenset[str], written: Mapping[str, str], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Options in the URL and arguments, checked; None as an argument: not given."""
    both = {key: value for key, value in given.items() if value is not None}
    for key, value in written.items():
        if key in both:
            raise ArgumentError(f"option {key!r} is in the URL and an argument; give it once")
        both[key] = value
    made = {}
    for key, value in both.items():
        if key not in known:
            there = ", ".join(sorted(known)) or "none"
            raise ArgumentError(f"{form}: has no option {key!r} here; it has {there}")
        made[key] = CONVERT[key](value)
    return made
