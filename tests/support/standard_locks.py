"""The standard library's tests of its locks and shared values, with those of isthmus in place.

    python standard_locks.py METHOD [NAME...]

For the start method METHOD; the classes Test{NAME}, or all of CLASSES. Prints a line for each test
that failed, and how many there were.
"""

import importlib
import multiprocessing
import sys
from multiprocessing import context, sharedctypes as standard

from standard_tests import run

LOCKS = ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier")
NAMES = (*LOCKS, "Value", "Array", "RawValue", "RawArray")
CLASSES = (*LOCKS[:1], *LOCKS[2:3], *LOCKS[4:], "Value", "Array", "SharedCTypes")


def put_in_place() -> None:
    from isthmus.compat.multiprocessing import _context, sharedctypes

    for name in NAMES:
        setattr(context.BaseContext, name, vars(_context.Factories)[name])
        setattr(multiprocessing, name, getattr(context._default_context, name))
    for name in sharedctypes.__all__:
        setattr(standard, name, getattr(sharedctypes, name))


# Also in the children, which find the test cases here: they have the same arguments.
put_in_place()
tests = importlib.import_module("test._test_multiprocessing")
tests.DELTA = 0.5  # how long they give others to do something: 0.1 is too little on a busy machine
tests.install_tests_in_module_dict(globals(), sys.argv[1])


if __name__ == "__main__":
    sys.exit(run(globals(), sys.argv[2:] or CLASSES))
