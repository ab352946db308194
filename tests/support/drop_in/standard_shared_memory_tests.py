"""Runs the standard library's tests of shared memory: `python … START_METHOD`.

With sitecustomize.py of this folder in the path of this process and all that it starts, they
test our modules. Prints how many tests ran.
"""

import multiprocessing
import multiprocessing.managers
import signal
import subprocess
import sys
import unittest

from test import _test_multiprocessing as tests

from isthmus.compat import managers, mode, shared_memory

METHOD = sys.argv[1]
CASES = ["WithProcessesTestSharedMemory"]
if METHOD == "fork":  # where these are quick; they have little to do with how processes start
    CASES += ["TestSyncManagerTypes", "TestResourceTracker"]

# At the top: spawned processes look for the classes here.
tests.install_tests_in_module_dict(globals(), METHOD)


class PopenWithPath(subprocess.Popen):
    """Starts Pythons that look at PYTHONPATH, which the tests mean to keep from them."""

    def __init__(self, args, *more, **options):
        if isinstance(args, list | tuple):
            args = [each for each in args if each not in ("-E", "-I")]
        super().__init__(args, *more, **options)


class TestStartMethod(unittest.TestCase):
    def test_it_is_the_one_asked_for(self):
        assert multiprocessing.get_start_method() == METHOD


# That who attaches removes the segment: what safe mode is for.
NOT_SAFE = "test_shared_memory_tracking"


def main() -> int:
    assert tests.shared_memory is shared_memory
    assert multiprocessing.managers is managers
    subprocess.Popen = PopenWithPath
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also in the background of a shell
    suite = unittest.TestSuite()
    for name in ["TestStartMethod", *CASES]:
        for test in unittest.TestLoader().loadTestsFromTestCase(globals()[name]):
            if mode() == "strict" or not test.id().endswith(NOT_SAFE):
                suite.addTest(test)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    print(result.testsRun)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
