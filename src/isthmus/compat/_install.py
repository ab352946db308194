"""`install`: put the drop-ins in place of what a program imports, when it imports it.

This file is also run at the start of every process under ``python -m isthmus.compat``, before
anything else and without the rest of the package, which is loaded when something is replaced.
"""

from __future__ import annotations

import os
import sys
from _thread import get_ident
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, MutableMapping, Sequence
    from importlib.abc import Loader
    from types import ModuleType
    from typing import Any

#: What can be replaced.
NAMES = ("shared_memory", "multiprocessing", "posix_ipc", "sysv_ipc", "faster_fifo")
#: The environment variable that says what is to be replaced: names with commas between them.
VARIABLE = "ISTHMUS_COMPAT_INSTALL"
#: Where the sitecustomize is that reads it.
SITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_site")

_PACKAGE = "isthmus.compat."
# Modules that are replaced as a whole, and by which of ours.
_INSTEAD = {
    "shared_memory": {"multiprocessing.shared_memory": "shared_memory"},
    "posix_ipc": {"posix_ipc": "posix_ipc"},
    "sysv_ipc": {"sysv_ipc": "sysv_ipc"},
    "faster_fifo": {
        "faster_fifo": "faster_fifo",
        "faster_fifo_reduction": "faster_fifo_reduction",
    },
}
# Modules in which names are replaced.
_WITHIN = {
    "shared_memory": {"multiprocessing.managers": "managers"},
    "multiprocessing": {"multiprocessing": "multiprocessing"},
}


def install(names: Iterable[str] | None = None, *, inherit: bool = False) -> None:
    """Let what this program imports from now on be the drop-ins.

    Nothing is loaded before the program imports what it replaces. What has been replaced already
    stays so. Of `multiprocessing`, which may be loaded already, the names in it are replaced; who
    has done ``from multiprocessing import Queue`` before keeps the old one.

    Args:
        names: of `NAMES`, what to replace; None: everything.
        inherit: whether also in every Python process that this one starts from now on; else in
            forked ones alone, and in others that call this function. Changes `os.environ`.

    ArgumentError: no such name; or a module that would have to be replaced as a whole is loaded
    already, and who has it would keep it. Nothing has been replaced then.
    """
    wanted = checked(NAMES if names is None else names)
    late = [
        name
        for what in wanted
        for name, ours in _INSTEAD.get(what, {}).items()
        if name in sys.modules and sys.modules[name] is not sys.modules.get(_PACKAGE + ours)
    ]
    if late:
        raise _error(
            f"{', '.join(late)} cannot be replaced any more: already imported. Call "
            "isthmus.compat.install() before, or run the program by python -m isthmus.compat"
        )
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    for what in wanted:
        _FINDER.add(_INSTEAD.get(what, {}), _WITHIN.get(what, {}))
    if inherit:
        announce(wanted, os.environ)


def checked(names: Iterable[str]) -> list[str]:
    """The names, each once. ArgumentError: one of them cannot be replaced."""
    if isinstance(names, str):
        names = names.split(",")
    wanted = list(dict.fromkeys(names))
    wrong = [name for name in wanted if name not in NAMES]
    if wrong:
        raise _error(f"{', '.join(map(repr, wrong))}: what can be replaced is {', '.join(NAMES)}")
    return wanted


def announce(names: Iterable[str], environment: MutableMapping[str, str]) -> None:
    """Write into an environment what makes processes with it call `install`."""
    environment[VARIABLE] = ",".join(names)
    before = environment.get("PYTHONPATH", "")
    paths = [path for path in before.split(os.pathsep) if before and path != SITE]
    environment["PYTHONPATH"] = os.pathsep.join([SITE, *paths])


def at_start(environment: MutableMapping[str, str]) -> None:
    """What the sitecustomize does: install what the environment says."""
    if environment.get(VARIABLE):
        install(environment[VARIABLE])


def _error(text: str) -> Exception:
    from isthmus.errors import ArgumentError

    return ArgumentError(text)


# ---- Importing -----------------------------------------------------------------------------


class _Finder:
    """The first in `sys.meta_path`."""

    def __init__(self) -> None:
        self.instead: dict[str, str] = {}  # what is imported: ours
        self.within: dict[str, str] = {}
        self.ours: dict[str, str] = {}  # the other way round
        self.loading: set[str] = set()
        self.threads: dict[str, int] = {}  # ours: who loads it, or has done so

    def add(self, instead: dict[str, str], within: dict[str, str]) -> None:
        for table, new in ((self.instead, instead), (self.within, within)):
            for name, short in new.items():
                table[name] = _PACKAGE + short
                self.ours[_PACKAGE + short] = name
        for name in within:
            if name in sys.modules:
                self.loaded(name)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name in self.instead:
            return self.given(name)
        if name in self.within:
            return self.followed(name, path, target, self.loaded)
        if name in self.ours:
            self.threads[name] = get_ident()
            return self.followed(name, path, target, self.settle)
        return None

    def given(self, name: str) -> ModuleSpec | None:
        """Ours. None, so that the original is found: ours itself is just importing that."""
        ours = self.instead[name]
        if name in self.loading:
            return None
        # If it is another thread that is just loading ours, this one will wait for it.
        if _unfinished(ours) and self.threads.get(ours, get_ident()) == get_ident():
            return None
        if not _there(name):
            return None
        return ModuleSpec(name, _Given(), origin=ours)  # type: ignore[arg-type]

    def load(self, name: str) -> ModuleType:
        """Ours, loaded in place of `name`, which it may import itself."""
        ours = self.instead[name]
        self.loading.add(name)
        try:
            module = _load(ours)
        finally:
            self.loading.discard(name)
        # The original, if ours has imported it.
        sys.modules.pop(name, None)
        return module

    def followed(
        self,
        name: str,
        path: Sequence[str] | None,
        target: ModuleType | None,
        then: Callable[[str], None],
    ) -> ModuleSpec | None:
        """What the other finders find, with something to do once it is loaded."""
        for finder in sys.meta_path:
            if finder is not self:
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    if spec.loader is not None:
                        spec.loader = _Followed(spec.loader, then)  # type: ignore[assignment]
                    return spec
        return None

    def loaded(self, name: str) -> None:
        """A module in which names are to be replaced is there."""
        ours = self.within[name]
        if _unfinished(ours):
            return  # it is what imports this one, and is settled at its end
        if ours in sys.modules:
            self.settle(ours)
        elif _there(name):
            _load(ours)  # and settles

    def settle(self, ours: str) -> None:
        """One of ours is loaded: put it, or its names, in place if the original is there."""
        name = self.ours[ours]
        if name not in sys.modules:
            return
        if name in self.within:
            _replace_within(sys.modules[name], ours)
        elif sys.modules[name] is not sys.modules[ours] and name not in self.loading:
            sys.modules[name] = sys.modules[ours]
            parent, _, child = name.rpartition(".")
            if parent in sys.modules:
                setattr(sys.modules[parent], child, sys.modules[ours])


_FINDER = _Finder()


class _Given:
    """Loads ours instead.

    Not while the finder is asked: Python holds a lock of all imports there, and another thread
    that is importing what ours needs would never have it.
    """

    def __init__(self) -> None:
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = _FINDER.load(spec.name)
        self._spec = module.__spec__  # which is about to be overwritten
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class _Followed:
    """Loads as another loader does, and then does something more."""

    def __init__(self, loader: Loader, then: Callable[[str], None]) -> None:
        self._loader, self._then = loader, then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Nobody else shall see that we were there.
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._then(module.__spec__.name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def _unfinished(name: str) -> bool:
    """Whether a module is being loaded at this moment."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return getattr(spec, "_initializing", False)


def _there(name: str) -> bool:
    """Whether this Python has isthmus; if not, warns that `name` is not replaced."""
    if "isthmus" in sys.modules:
        return True
    if any(finder.find_spec("isthmus", None, None) for finder in sys.meta_path):
        return True
    import warnings

    warnings.warn(
        f"{name} is not replaced: {sys.executable} has no isthmus", RuntimeWarning, stacklevel=2
    )
    return False


def _load(ours: str) -> ModuleType:
    from importlib import import_module

    return import_module(ours)


def _replace_within(module: ModuleType, ours: str) -> None:
    from importlib import import_module

    if ours == _PACKAGE + "multiprocessing":
        import_module(ours + "._context").replace(module)
    else:
        module.SharedMemoryManager = import_module(ours).SharedMemoryManager  # type: ignore[attr-defined]
