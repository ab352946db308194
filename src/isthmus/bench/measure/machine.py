"""Where it is measured."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

from isthmus.bench.results import Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def processor() -> str:
    """What the processor calls itself."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine() or "unknown"


def versions(names: Iterable[str]) -> dict[str, str]:
    """Of those packages that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine(pinned: Sequence[int], packages: Iterable[str]) -> Machine:
    """This one, whose benchmark runs on the cores `pinned`."""
    return Machine(
        processor=processor(),
        cores=os.cpu_count() or 1,
        pinned=list(pinned),
        system=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages=versions(packages),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        load=list(os.getloadavg()),
    )
