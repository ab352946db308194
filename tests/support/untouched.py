"""For tests of what only looks: that nobody can tell, from the object, that it was looked at."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from isthmus._core import doorbell


@contextlib.contextmanager
def untouched(*paths: str | Path, still: bool = True) -> Iterator[None]:
    """What is done in the block leaves these files as they were, and wakes up nobody.

    No byte changes, nor size, times or room in memory (a hole is not filled); nobody who waits
    for the object by a descriptor hears anything. `still=False`: others write to them meanwhile,
    so only size, room and bells are looked at. (Those do not ring for others: that must be asked
    for in the object.) Only for files of this user.
    """
    for path in paths if still else ():
        # The kernel notes an access only where the last one was before the last change.
        changed = os.stat(path).st_mtime_ns
        os.utime(path, ns=(changed - 1, changed))
    before = {path: _facts(Path(path), still) for path in paths}
    bell = doorbell.Doorbell()
    try:
        numbers = {}
        for path in paths:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                numbers[bell.watch(descriptor)] = path
            finally:
                os.close(descriptor)
        # Whatever the opening above has rung.
        bell.heard()
        yield
        # The end of a description that is for reading only is none of those that are told.
        rung = [(numbers[number], told) for number, told in bell.heard()]
        assert rung == [], "somebody read, or wrote to, what was only to be looked at"
    finally:
        bell.close()
    assert {path: _facts(Path(path), still) for path in paths} == before


def _facts(path: Path, still: bool) -> tuple[object, ...]:
    # To map a file is to access it, unless one says that it is none.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOATIME)
    try:
        found = os.fstat(descriptor)
        facts = (found.st_size, found.st_blocks, found.st_mode, found.st_uid, found.st_ino)
        if not still:
            return facts
        times = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
        return (*facts, times, _digest(descriptor, found.st_size))
    finally:
        os.close(descriptor)


def _digest(descriptor: int, size: int) -> str:
    """Of the bytes that are there: by a mapping, since reading rings, and around the holes."""
    digest = hashlib.sha256()
    if not size:
        return digest.hexdigest()
    with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as seen:
        at = 0
        while at < size:
            try:
                start = os.lseek(descriptor, at, os.SEEK_DATA)
            except OSError:  # nothing but a hole up to the end
                break
            at = os.lseek(descriptor, start, os.SEEK_HOLE)
            digest.update(start.to_bytes(8, "little") + seen[start:at])
    return digest.hexdigest()
