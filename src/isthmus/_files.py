"""Writing files: all of one, or nothing.

What is killed while it writes leaves the file that was there before, and perhaps a hidden one of
a random name beside it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path


def check_file(path: str) -> None:
    """Raise the OSError that writing this file would raise, while there is time."""
    target = _target(path)
    if _special(target):
        with target.open("ab"):
            return
    if target.is_dir():
        raise IsADirectoryError(f"{path} is a directory")
    _check_folder(target.parent)


def check_folder(path: str) -> None:
    """The same for files in a folder that need not be there yet."""
    folder = Path(path).absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a directory")
    _check_folder(folder)


def write(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file, or replace the one that is there; an OSError names it."""
    try:
        _write(_target(path), content)
    except OSError as error:
        # It may come from a descriptor, or name the hidden file.
        raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from error


def _write(target: Path, content: bytes) -> None:
    if _special(target):
        target.write_bytes(content)
        return
    descriptor, temporary = tempfile.mkstemp(prefix=".isthmus-", dir=target.parent)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(file.fileno(), _mode(target))
            file.write(content)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _target(path: str | os.PathLike[str]) -> Path:
    """Where a symbolic link leads: that is replaced, the link stays."""
    return Path(os.path.realpath(path))


def _special(target: Path) -> bool:
    """A device or a pipe, such as /dev/null: nothing to be replaced."""
    return target.exists() and not target.is_file() and not target.is_dir()


def _mode(target: Path) -> int:
    """The bits of the file that was there, or those of a new one."""
    with contextlib.suppress(FileNotFoundError):
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


def _check_folder(folder: Path) -> None:
    # Permission bits do not tell: root, file systems that are read-only, or full of inodes.
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=".isthmus-", dir=folder)
    except OSError as error:
        # It names the hidden file, which nobody has asked for.
        raise OSError(error.errno, error.strerror, str(folder)) from None
    os.close(descriptor)
    os.unlink(temporary)
