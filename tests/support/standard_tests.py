"""Running some of the standard library's own tests, with objects of isthmus in place.

The programs that use this put those in place first, also in the children of the tests.
"""

import unittest
from collections.abc import Container, Iterable


class Result(unittest.TestResult):
    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        print("test", test.id().split(".", 1)[1], flush=True)


def run(module: dict[str, object], names: Iterable[str], left_out: Container[str] = ()) -> int:
    """Run the classes Test{name} of `module` that use processes. The exit status: 0 if all hold.

    Prints a line for each test, and in the end what failed, what was skipped, and how many ran.
    """
    result, suite = Result(), unittest.TestSuite()
    for name in names:
        case = module.get(f"WithProcessesTest{name}") or module[f"Test{name}"]
        tests = unittest.defaultTestLoader.loadTestsFromTestCase(case)  # type: ignore[arg-type]
        suite.addTests(test for test in tests if test._testMethodName not in left_out)
    module["setUpModule"]()  # type: ignore[operator]
    try:
        suite.run(result)
    finally:
        module["tearDownModule"]()  # type: ignore[operator]
    for test, text in result.failures + result.errors:
        print("FAILED", test.id(), "\n", text)
    for test, why in result.skipped:
        print("skipped", test.id(), why)
    print(result.testsRun, "tests")
    return not result.wasSuccessful()
