"""Names of objects that are there, for a shell that completes a word: quick, and never wrong.

It looks at names first and only then into files, and no longer than somebody waits who has pressed
a key.
"""

from __future__ import annotations

import os
import time

from isthmus._core import memory
from isthmus.inspect._address import DRAFT_PREFIX, PREFIX, SOCKET_PREFIX
from isthmus.inspect.looking._observed import DIRECTORY, Observed, Vanished
from isthmus.inspect.looking._structs import structs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: As the header of an object says it (layout.h).
_KINDS = {"queue": 10, "topic": 11}
#: Seconds after which what has been found is what there is.
_PATIENCE = 0.3


def names(beginning: str, kinds: frozenset[str] = frozenset()) -> list[str]:
    """Those that begin so, in order; of these kinds, or of any and of others than isthmus."""
    deadline = time.monotonic() + _PATIENCE
    wanted = {_KINDS[kind] for kind in kinds}
    found = []
    for name, file in _called(beginning, ours_only=bool(kinds)):
        if time.monotonic() > deadline:
            break
        if not wanted or _kind(f"{DIRECTORY}/{file}") in wanted:
            found.append(name)
    return sorted(found)


def _called(beginning: str, *, ours_only: bool) -> Iterator[tuple[str, str]]:
    for file in os.listdir(DIRECTORY):
        if file.startswith((SOCKET_PREFIX, DRAFT_PREFIX)):
            continue
        if file.startswith(PREFIX):
            try:
                name = os.fsdecode(memory.unescape(os.fsencode(file)))
            except (OSError, ValueError):
                continue
        elif ours_only:
            continue
        else:
            name = file
        # What does not print would be no word that a shell can show.
        if name.startswith(beginning) and name.isprintable():
            yield name, file


def _kind(path: str) -> int | None:
    header = structs()["header"]
    try:
        with Observed(path) as file:
            return header.read(file.read(0, header.size))["kind"] if file.size >= header.size else 0
    except (OSError, Vanished):
        return None
