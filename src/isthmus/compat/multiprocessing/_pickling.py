"""Pickling as `multiprocessing` does: with its own reducers, for sockets, connections and more."""

from __future__ import annotations

import copyreg
import io
import pickle
from multiprocessing.reduction import ForkingPickler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Reducers = dict[type, Callable[[Any], Any]]


class _Current:
    """The reducers that are registered, looked up in one dict instead of a chain of two."""

    def __init__(self) -> None:
        self._own: Reducers = {}
        self._general: Reducers = {}
        self.pickler: type[pickle.Pickler] = pickle.Pickler

    def update(self) -> None:
        """What was registered, or registered anew, since then is used as well."""
        own: Reducers = ForkingPickler._extra_reducers  # type: ignore[attr-defined]
        general: Reducers = copyreg.dispatch_table
        if own != self._own or general != self._general:
            self._own, self._general = dict(own), dict(general)
            table = {**general, **own}
            self.pickler = type("Pickler", (pickle.Pickler,), {"dispatch_table": table})


_current = _Current()


def dumps(obj: object, buffer_callback: Callable[[pickle.PickleBuffer], Any] | None) -> bytes:
    """A pickle of protocol 5, as `multiprocessing.reduction.ForkingPickler` makes it."""
    _current.update()
    file = io.BytesIO()
    _current.pickler(file, 5, buffer_callback=buffer_callback).dump(obj)
    return file.getvalue()
