"""The standard library's own tests of connections, with pipes of this package in their place.

A program, which gets a start method as its argument, and the names of tests, if not all of these
classes are to be run. Left out are those that pass descriptors through a connection's own, which
is for waiting only, and those that measure time.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import sys
import unittest

from test import _test_multiprocessing as standard

from isthmus.compat.multiprocessing.connection import Connection, Pipe

CLASSES = (
    "WithProcessesTestConnection",
    "WithProcessesTestPicklingConnections",
    "WithProcessesTestPoll",
    "TestWait",
)
LEFT_OUT = {"test_fd_transfer", "test_large_fd_transfer", "test_missing_fd_transfer"}
# They fail on a busy machine, whatever the pipe: they measure how long something takes.
MEASURING = {"test_wait_integer", "test_wait_timeout"}
made = 0


def pipe(duplex: bool = True) -> tuple[Connection, Connection]:
    global made  # noqa: PLW0603
    made += 1
    return Pipe(duplex)


def main(*chosen: str) -> None:
    suite, names = unittest.TestSuite(), set()
    left_out = LEFT_OUT | MEASURING
    for name in CLASSES:
        for test in unittest.defaultTestLoader.loadTestsFromTestCase(globals()[name]):
            names.add(test._testMethodName)
            if test._testMethodName in (chosen or names - left_out):
                suite.addTest(test)
    assert names >= left_out.union(chosen)
    globals()["setUpModule"]()
    try:
        result = unittest.TextTestRunner(verbosity=2).run(suite)
    finally:
        globals()["tearDownModule"]()
    assert made, "they made no pipe of this package"
    sys.exit(not result.wasSuccessful())


# They are to be found in this module, also by the processes that they start.
multiprocessing.Pipe = multiprocessing.connection.Pipe = pipe  # type: ignore[assignment]
standard.ProcessesMixin.Pipe = staticmethod(pipe)
if __name__ in {"__main__", "__mp_main__"}:
    standard.install_tests_in_module_dict(globals(), sys.argv[1])
if __name__ == "__main__":
    main(*sys.argv[2:])
