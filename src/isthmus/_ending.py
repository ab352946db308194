"""Handles across forks, and at the end of a process.

The binding closes what is still open when the interpreter has ended, so that the last
process removes an object. Children of `multiprocessing` leave by ``os._exit``, which skips
that; they run its finalizers instead, so in them there is one that does it.
"""

from __future__ import annotations

import os
import sys

from isthmus._core import sync

_arranged = False
# After all other finalizers, those of users included.
_PRIORITY = -(10**9)


def arrange() -> None:
    """Once a process, when the first class that has such handles is loaded."""
    global _arranged  # noqa: PLW0603
    if _arranged:
        return
    _arranged = True
    os.register_at_fork(
        before=sync.before_fork,
        after_in_parent=_after_in_parent,
        after_in_child=_after_in_child,
    )
    _watch_multiprocessing()


def _after_in_parent() -> None:
    sync.after_fork(False)


def _after_in_child() -> None:
    sync.after_fork(True)
    _watch_multiprocessing()


def _watch_multiprocessing() -> None:
    util = sys.modules.get("multiprocessing.util")
    if util is None:
        return  # then no child of it either: one that forks later has it by then
    # What multiprocessing does first in its children is to drop all finalizers and then to
    # call these.
    util.register_after_fork(_close_all_when_done, _add_finalizer)
    process = sys.modules["multiprocessing.process"]
    if process.parent_process() is not None:
        _add_finalizer(None)


def _add_finalizer(_: object) -> None:
    util = sys.modules["multiprocessing.util"]
    util.Finalize(None, _close_all_when_done, exitpriority=_PRIORITY)


def _close_all_when_done() -> None:
    # What multiprocessing does next, and then no more: tell pools of threads to end, which they do
    # not by themselves, and wait for all threads. They may use what would be closed here.
    sys.modules["threading"]._shutdown()
    sync.close_all()
