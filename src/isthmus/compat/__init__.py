"""One-line drop-ins for what people use today.

Change one import and keep the rest of the program::

    from isthmus.compat import shared_memory          # multiprocessing.shared_memory
    from isthmus.compat import posix_ipc, sysv_ipc    # the packages of these names
    from isthmus.compat import multiprocessing        # queues, locks, Value, Array, Pipe
    from isthmus.compat.faster_fifo import Queue      # faster-fifo

Or change nothing, and run the program with the drop-ins put in place in it and in every
process it starts: ``python -m isthmus.compat PROGRAM …``.
"""

from __future__ import annotations

from isthmus.compat._mode import mode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.compat._install import install as install

__all__ = ["install", "mode"]


def __getattr__(name: str) -> object:
    if name != "install":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from isthmus.compat._install import install

    return install
