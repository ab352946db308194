"""Puts our modules in place of the standard ones, in every Python that has this in its path."""

import multiprocessing
import sys

from isthmus.compat import managers, shared_memory

for module in (managers, shared_memory):
    name = module.__name__.rpartition(".")[2]
    sys.modules[f"multiprocessing.{name}"] = module
    setattr(multiprocessing, name, module)
