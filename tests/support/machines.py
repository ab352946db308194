"""Made-up machines for the tests of the doctor: files of /proc, /sys and /etc below a folder."""

from __future__ import annotations

from pathlib import Path

MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
25 24 0:23 / /dev/shm rw,relatime shared:3 - tmpfs tmpfs rw,size=65536k
"""
CGROUP2 = "31 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup rw\n"


def machine(root: Path, files: dict[str, str]) -> str:
    """Write the files; what to give as root."""
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)
