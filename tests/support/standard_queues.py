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
import unittest

CLASSES = ("Queue", "SimpleQueue", "Pool", "PoolWorkerLifetime")
# They want that what cannot be pickled does not raise in `put`, but is reported by a thread.
LEFT_OUT = {"test_queue_feeder_donot_stop_onexc", "test_queue_feeder_on_queue_feeder_error"}


def put_in_place() -> None:
    from isthmus.compat.multiprocessing import _context, queues

    _context.replace(multiprocessing)
    for name in ("Queue", "JoinableQueue", "SimpleQueue"):
        setattr(multiprocessing.queues, name, getattr(queues, name))


class Result(unittest.TestResult):
    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        print("test", test.id().split(".", 1)[1], flush=True)


# Also in the children, which find the test cases here: they have the same arguments.
put_in_place()
importlib.import_module("test._test_multiprocessing").install_tests_in_module_dict(
    globals(), sys.argv[1]
)


def main(*chosen: str) -> int:
    globals()["setUpModule"]()
    result, suite = Result(), unittest.TestSuite()
    try:
        for name in chosen or CLASSES:
            case = globals().get(f"WithProcessesTest{name}") or globals()[f"Test{name}"]
            tests = unittest.defaultTestLoader.loadTestsFromTestCase(case)
            suite.addTests(test for test in tests if test._testMethodName not in LEFT_OUT)
        suite.run(result)
    finally:
        globals()["tearDownModule"]()
    for test, text in result.failures + result.errors:
        print("FAILED", test.id(), "\n", text)
    for test, why in result.skipped:
        print("skipped", test.id(), why)
    print(result.testsRun, "tests")
    return not result.wasSuccessful()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[2:]))
