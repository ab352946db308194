"""The standard library's tests of its queues and pools, with the objects of isthmus in place.

    python standard_queues.py METHOD [NAME...]

For the start method METHOD; the classes Test{NAME}, or all of CLASSES. Prints a line for each test
that failed, and how many there were.
"""

import importlib
import multiprocessing
import multiprocessing.pool
import multiprocessing.queues
import sys

from standard_tests import run

CLASSES = ("Queue", "SimpleQueue", "Pool", "PoolWorkerLifetime")
# They want that what cannot be pickled does not raise in `put`, but is reported by a thread.
LEFT_OUT = {"test_queue_feeder_donot_stop_onexc", "test_queue_feeder_on_queue_feeder_error"}


def put_in_place() -> None:
    from isthmus.compat.multiprocessing import _context, queues

    _context.replace(multiprocessing)
    for name in ("Queue", "JoinableQueue", "SimpleQueue"):
        setattr(multiprocessing.queues, name, getattr(queues, name))


# Also in the children, which find the test cases here: they have the same arguments.
put_in_place()
importlib.import_module("test._test_multiprocessing").install_tests_in_module_dict(
    globals(), sys.argv[1]
)


if __name__ == "__main__":
    sys.exit(run(globals(), sys.argv[2:] or CLASSES, LEFT_OUT))
