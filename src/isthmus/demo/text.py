"""Sizes, rates, times and file names as people read them."""

from __future__ import annotations

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


def size_text(count: float) -> str:
    """
    >>> size_text(0), size_text(1), size_text(1023), size_text(1536), size_text(3 << 30)
    ('0 B', '1 B', '1023 B', '1.5 KiB', '3.0 GiB')
    """
    if count < 1024:
        return f"{count:.0f} B"
    power = 1
    while count >= 1000 * 1024**power and power < len(_UNITS):
        power += 1
    return f"{count / 1024**power:.1f} {_UNITS[power - 1]}"


def rate_text(count: float, seconds: float) -> str:
    """
    >>> rate_text(1 << 20, 0.5), rate_text(0, 0)
    ('2.0 MiB/s', '-')
    """
    return f"{size_text(count / seconds)}/s" if count and seconds > 0 else "-"


def time_text(seconds: float) -> str:
    """
    >>> time_text(0.00012), time_text(0.0123), time_text(2.5)
    ('0.12 ms', '12.3 ms', '2.50 s')
    """
    if seconds < 0.01:
        return f"{seconds * 1e3:.2f} ms"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def path_text(path: str) -> str:
    """A file name without anything that a terminal would obey.

    >>> path_text("a b"), path_text("red\\x1b[31m")
    ('a b', "'red\\\\x1b[31m'")
    """
    return path if path.isprintable() else ascii(path)
