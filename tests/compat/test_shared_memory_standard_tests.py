"""The standard library's own tests of shared memory, with our modules in place of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

DROP_IN = Path(__file__).parents[1] / "support" / "drop_in"
PATIENCE = 300.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "mode"),
    [("fork", "strict"), ("spawn", "strict"), ("forkserver", "strict"), ("forkserver", "safe")],
)
def test_the_standard_tests_pass(method: str, mode: str) -> None:
    """In safe mode all but the one which wants that who attaches removes the segment."""
    if importlib.util.find_spec("test._test_multiprocessing") is None:
        pytest.skip("this Python comes without the standard library's tests")
    done = subprocess.run(
        [sys.executable, "-P", str(DROP_IN / "standard_shared_memory_tests.py"), method],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "ISTHMUS_COMPAT": mode, "PYTHONPATH": str(DROP_IN)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) >= 14
    for word in ("skipped", "Traceback", "leaked"):
        assert word not in done.stderr, done.stderr
