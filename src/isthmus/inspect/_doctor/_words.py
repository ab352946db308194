"""How the doctor writes numbers."""

from __future__ import annotations


def size_text(size: int | None) -> str:
    """``64 MiB``, ``7.5 GiB``; None is no limit.

    >>> size_text(64 << 20), size_text(819200), size_text(None)
    ('64 MiB', '800 KiB', 'unlimited')
    """
    if size is None:
        return "unlimited"
    for unit, shift in (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << shift:
            return (
                f"{size / (1 << shift):.3g} {unit}"
                if size < 1000 << shift
                else (f"{size >> shift} {unit}")
            )
    return f"{size} bytes"


def kept(setting: str) -> str:
    """The command that sets a kernel parameter, and how it stays set."""
    return f"`sysctl -w {setting}` as root; to keep it, the same words in /etc/sysctl.d/shm.conf"
