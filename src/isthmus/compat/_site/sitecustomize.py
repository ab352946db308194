"""What a Python process under ``python -m isthmus.compat`` runs first; see `isthmus.compat`.

Puts the drop-ins in place, leaves no trace in `sys.path`, and runs the sitecustomize that it
hides, if there is one.
"""

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader

_HERE = os.path.dirname(os.path.abspath(__file__))


def _install() -> None:
    """Run ../_install.py as the module that it is, without the packages above it."""
    name = "isthmus.compat._install"
    path = os.path.join(os.path.dirname(_HERE), "_install.py")
    loader = SourceFileLoader(name, path)
    module = type(sys)(name)
    module.__file__, module.__loader__, module.__package__ = path, loader, "isthmus.compat"
    module.__spec__ = ModuleSpec(name, loader, origin=path)
    module.__spec__.has_location = True
    sys.modules[name] = module
    loader.exec_module(module)
    module.at_start(os.environ)


def _hidden() -> None:
    """Run the next sitecustomize, in place of this one."""
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        # As if there were none: this is how site knows.
        raise ModuleNotFoundError("No module named 'sitecustomize'", name="sitecustomize")
    module = type(sys)("sitecustomize")
    module.__spec__, module.__loader__ = spec, spec.loader
    vars(module).update(__file__=spec.origin, __cached__=spec.cached, __package__="")
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


sys.path[:] = [path for path in sys.path if os.path.abspath(path) != _HERE]
# Another Python than ours may have been started.
if sys.version_info >= (3, 11):  # noqa: UP036
    _install()
_hidden()
