"""Handles across forks, and at the end of a process.

The binding closes what is still open when the interpreter has ended, so that the last
process removes an object. Children of `multiprocessing` leave by ``os._exit``, which skips
that; they run its finalizers instead, so in them there is one that does it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Extension(Protocol):
        """A part of the binding that has handles, and keeps a list of its own of them."""

        def before_fork(self) -> None: ...
        def after_fork(self, in_child: bool, /) -> None: ...
        def close_all(self) -> None: ...


_extensions: list[Extension] = []
# After all other finalizers, those of users included.
_PRIORITY = -(10**9)


def arrange(extension: Extension, first: bool = False) -> None:
    """When a class that has such handles is loaded; the first time for all of its extension.

    `first`: it is made of those of others, and is to be closed before them.
    """
    if extension in _extensions:
        return
    _extensions.insert(0 if first else len(_extensions), extension)
    if len(_extensions) == 1:
        os.register_at_fork(
            before=_before,
            after_in_parent=_after_in_parent,
            after_in_child=_after_in_child,
        )
        _watch_multiprocessing()


def _before() -> None:
    for extension in _extensions:
        extension.before_fork()


def _after_in_parent() -> None:
    for extension in _extensions:
        extension.after_fork(False)


def _after_in_child() -> None:
    for extension in _extensions:
        extension.after_fork(True)
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
    for extension in _extensions:
        extension.close_all()
